"""One person, one name: ids and labels become text by one rule."""

import datetime
import decimal
import enum
import pathlib
import unicodedata
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import facelab as fl
from facelab.faces.names import Unfit, as_label_column, as_name, as_names


class Site(enum.Enum):
    NORTH = "north"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *[(three, "3") for three in (3, 3.0, "3", "3.0", " 3\n", np.int8(3), np.float32(3))],
        *[(three, "3") for three in (decimal.Decimal("3.0"), b"3", np.str_("3"), "\ufeff3")],
        ("007", "007"), ("7.50", "7.50"), ("1.10", "1.10"), ("-0", "-0"), (0.5, "0.5"), (-0.0, "0"),
        (np.float32(0.1), "0.1"), (12345678901234567890, "12345678901234567890"),
        ("Jose\u0301", "José"), ("\u00a0Łukasz\u200b", "Łukasz"), ("王 伟", "王 伟"),
        ("NA", "NA"), ("None", "None"), ("nan", "nan"), ("null", "null"),
        (True, "True"), (np.False_, "False"), (None, None), (np.nan, None), (pd.NA, None),
        (pd.NaT, None), (np.datetime64("NaT"), None), ("", None), ("  ", None), (b"", None),
        (datetime.date(2026, 5, 1), "2026-05-01"), (pd.Timestamp("2026-05-01"), "2026-05-01"),
        (pd.Timestamp("2026-05-01 10:00"), "2026-05-01 10:00:00"), (pd.Interval(0, 18), "(0, 18]"),
        (pd.Period("2026-05"), "2026-05"), (pathlib.PurePosixPath("a/1.jpg"), "a/1.jpg"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"), (Site.NORTH, "north"),
        ("caf\udce9", "caf\\xe9"), ("half \ud83d", "half \\ud83d"),
    ],
)  # fmt: skip
def test_a_value_has_one_name_whatever_its_type_and_spelling(value, name):
    assert as_name(value) == name


@pytest.mark.parametrize("value", [[1], {"a"}, {}, (1, 2), np.arange(2), 1j, np.inf, 2.0**60])
def test_what_is_no_name_is_refused(value):
    with pytest.raises(Unfit):
        as_name(value)


def test_ids_that_a_float_has_rounded_are_refused_with_their_column():
    with pytest.raises(fl.BadInput, match=r"'subject' holds 1.1.*e\+17.*read ids as text"):
        as_names(pd.Series([112233445566778899.0]), "subject")


NUMBERS = [3, 12, 0]
SPELLINGS = {
    "int": lambda n: n,
    "float": float,
    "text": str,
    "padded": lambda n: f" {n} ",
    "float's text": lambda n: f"{n}.0",
    "numpy": np.int16,
    "bytes": lambda n: str(n).encode(),
}


@given(st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(list(SPELLINGS))), min_size=1))
def test_a_mixture_of_types_and_spellings_gives_the_same_names(drawn):
    mixed = pd.Series([SPELLINGS[how](number) for number, how in drawn], dtype=object)
    assert as_names(mixed, "subject").tolist() == [str(number) for number, _ in drawn]
    assert as_label_column(mixed, "group").astype(str).tolist() == [str(n) for n, _ in drawn] or (
        all(how in ("int", "float", "numpy") for _, how in drawn)
    )


@given(st.lists(st.text(max_size=6), min_size=1))
def test_names_are_stable_and_do_not_depend_on_the_unicode_form(texts):
    once = as_names(pd.Series(texts, dtype=object), "subject")
    assert as_names(once, "subject").equals(once)
    for form in ("NFC", "NFD"):
        again = as_names([unicodedata.normalize(form, text) for text in texts], "subject")
        assert again.tolist() == once.tolist() or once.isna().any()
        assert again.isna().tolist() == once.isna().tolist()


COLUMNS = {
    "text": pd.Series(["b", "a", "b"]),
    "objects with gaps": pd.Series(["b", None, np.nan], dtype=object),
    "nullable text": pd.Series(["b", pd.NA, "a"], dtype="string"),
    "arrow text": pd.Series(["b", None, "a"], dtype=pd.ArrowDtype(pa.string())),
    "arrow dictionary": pd.Series(
        ["b", None, "a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
    ),
    "quoted NA and None": pd.Series(["NA", "None", None], dtype=object),
    "numbers and text": pd.Series([1, "x", 2.0], dtype=object),
    "truth values": pd.Series([True, False, True]),
    "truth values with gaps": pd.Series([True, None, False], dtype="boolean"),
    "truth values as objects": pd.Series([True, None, False], dtype=object),
    "integers": pd.Series([3, 1, 2]),
    "integers with gaps": pd.Series([3, None, 2], dtype="Int64"),
    "integers as objects": pd.Series([3, None, 2], dtype=object),
    "arrow integers": pd.Series([3, None, 2], dtype=pd.ArrowDtype(pa.int32())),
    "decimals": pd.Series([decimal.Decimal("1.5"), None, decimal.Decimal(2)], dtype=object),
    "half floats": pd.Series([1.5, np.nan, 2], dtype=np.float16),
    "intervals of cut": pd.cut(pd.Series([70, 5, 30]), [0, 18, 65, 120]),
    "bare intervals": pd.Series(pd.arrays.IntervalArray.from_tuples([(5, 6), (0, 1), (5, 6)])),
    "categories of numbers": pd.Series([10, 9, 10], dtype="category"),
    "categories of floats": pd.Series([10.0, 9.0, np.nan], dtype="category"),
    "ordered categories": pd.Series(pd.Categorical(["tall", "low", None], ["low", "tall"], True)),
    "unused categories": pd.Series(pd.Categorical(["a", "a", None], ["z", "a"])),
    "categories that are one": pd.Series(pd.Categorical(["3", 3.0, " 3"], ["3", 3.0, " 3"])),
    "dates": pd.Series([datetime.date(2026, 5, 1), None, datetime.date(2025, 1, 2)], dtype=object),
    "time stamps": pd.Series(pd.to_datetime(["2026-05-01", None, "2025-01-02"])),
    "time stamps with a zone": pd.Series(pd.to_datetime(["2026-05-01"] * 3, utc=True)),
    "durations": pd.Series(pd.to_timedelta([1, None, 2], unit="h")),
    "periods": pd.Series(pd.PeriodIndex(["2026-05", "2025-01", "2026-05"], freq="M")),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 1, 0])),
    "nothing": pd.Series([None, None, None], dtype=object),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_labels_of_every_kind_are_the_same_before_and_after_saving(kind, tmp_path):
    table = pd.DataFrame({"subject": [1, 1, 2], "image": ["x", "y", "z"], "label": COLUMNS[kind]})
    faces = fl.FaceSet.from_arrays(table, np.zeros((3, 8, 8, 3), np.uint8))
    loaded = fl.load(faces.save(tmp_path / "faces"))
    pd.testing.assert_frame_equal(loaded.table, faces.table)
    kind = faces.table["label"].dtype
    assert isinstance(kind, pd.CategoricalDtype) or kind.kind in "biufmM"
    before, after = (fl.group_labels(one.table, "label") for one in (faces, loaded))
    pd.testing.assert_series_equal(before, after)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("intervals of cut", ["(65, 120]", "(0, 18]", "(18, 65]"]),
        ("categories of numbers", ["10", "9", "10"]),
        ("categories that are one", ["3", "3", "3"]),
        ("quoted NA and None", ["NA", "None", None]),
        ("numbers and text", ["1", "x", "2"]),
        ("truth values with gaps", ["True", None, "False"]),
        ("integers with gaps", ["3", None, "2"]),
    ],
)
def test_groups_have_the_names_that_people_would_give_them(kind, labels):
    found = fl.group_labels(pd.DataFrame({"label": COLUMNS[kind]}), "label")
    assert [None if pd.isna(label) else label for label in found] == labels


def test_labels_keep_the_order_that_they_had():
    found = fl.group_labels(pd.DataFrame({"label": COLUMNS["intervals of cut"]}), "label")
    assert list(found.cat.categories) == ["(0, 18]", "(18, 65]", "(65, 120]"]
    numbers = fl.group_labels(pd.DataFrame({"label": COLUMNS["categories of numbers"]}), "label")
    assert list(numbers.cat.categories) == ["9", "10"]


@pytest.mark.parametrize(
    "values",
    [[[1], [2], [3]], [{"a"}, {"b"}, {"c"}], [{}, {}, {}], [1j, 2j, 3j], [(1,), (2,), (3,)]],
)
def test_a_column_that_is_no_label_is_refused_at_entry_by_its_name(values):
    column = (
        pd.Series(values) if isinstance(values[0], complex) else pd.Series(values, dtype=object)
    )
    table = pd.DataFrame({"subject": [1, 1, 2], "image": ["x", "y", "z"], "tags": column})
    with pytest.raises(fl.BadInput, match="column 'tags' holds"):
        fl.FaceSet.from_arrays(table, np.zeros((3, 8, 8, 3), np.uint8))
