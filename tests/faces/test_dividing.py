"""Parts of a set: even over what are groups, untouched by anything else."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facelab as fl

HALVES = {"train": 0.5, "test": 0.5}


def people(count, **columns):
    table = pd.DataFrame({"subject": np.arange(count), "image": np.arange(count), **columns})
    return fl.FaceSet.from_arrays(table, np.zeros((count, 4, 4, 3), np.uint8))


def test_a_name_or_a_note_decides_nobodys_part():
    gender = np.repeat(["male", "female"], 100)
    plain = people(200, gender=gender)
    names = [f"{'ABC'[n % 3]}{n:03d}" for n in range(200)]
    notes = np.where(np.arange(200) < 100, "first visit", "second visit")
    told = people(200, name=names, note=notes, gender=gender)
    for seed in (0, 1):
        parts, others = (one.split(HALVES, seed) for one in (plain, told))
        for name in HALVES:
            assert parts[name].table["subject"].tolist() == others[name].table["subject"].tolist()
            assert (parts[name].composition("gender")["subjects"] == 50).all()


def test_another_seed_draws_other_people_whatever_columns_there_are():
    faces = people(200, name=[f"n{n}" for n in range(200)], gender=["f", "m"] * 100)
    drawn = [set(faces.split(HALVES, seed)["train"].table["subject"]) for seed in (0, 1, 2)]
    assert 30 < len(drawn[0] & drawn[1]) < 70 and drawn[1] != drawn[2]


def test_the_balance_says_what_became_of_each_group():
    faces = people(100, gender=["f", "m"] * 50, region=["n"] * 30 + ["s"] * 70)
    parts = faces.split({"train": 0.6, "test": 0.4}, by=["gender", "region"])
    balance = parts.balance.set_index(["column", "group", "part"])
    for (column, group, part), row in balance.iterrows():
        held = parts[part].composition(column.split("/"))["subjects"]
        assert held[group] == row["subjects"]
        assert row["due"] == pytest.approx({"train": 0.6, "test": 0.4}[part] * {
            "f": 50, "m": 50, "n": 30, "s": 70, "f/n": 15, "f/s": 35, "m/n": 15, "m/s": 35
        }[group])  # fmt: skip
    assert (balance["subjects"] - balance["due"]).abs().max() <= 2


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["a/x", "a/y", "b/x", "c/y"]), min_size=4, max_size=60),
    st.sampled_from([HALVES, {"train": 0.6, "calibration": 0.1, "test": 0.3}]),
    st.integers(0, 5),
)
def test_every_group_and_intersection_of_leading_columns_is_within_two_of_its_due(
    who, shares, seed
):
    race, gender = zip(*(label.split("/") for label in who), strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = people(len(who), race=race, gender=gender).split(shares, seed, ["race", "gender"])
    balance = parts.balance.query("column != 'gender'")
    assert ((balance["subjects"] - balance["due"]).abs() <= 2).all()
    assert sum(len(part) for part in parts.values()) == len(who)


def test_a_group_of_one_subject_is_warned_of():
    faces = people(21, region=["north"] * 20 + ["south"])
    with pytest.warns(
        UserWarning, match=r"in 1 of 2 groups there is one subject.*: south \(region\)"
    ):
        faces.split(HALVES)
    with pytest.warns(UserWarning, match=r"m/south \(gender/region\)"):
        people(21, region=["north"] * 20 + ["south"], gender=["f"] * 10 + ["m"] * 11).split(
            HALVES, by=["gender", "region"]
        )


def test_what_cannot_be_split_by_is_one_sentence():
    table = pd.DataFrame(
        {"subject": [1, 1, 2, 3], "image": range(4), "smile": ["y", "n", "y", "y"]}
    )
    faces = fl.FaceSet.from_arrays(table, np.zeros((4, 4, 4, 3), np.uint8))
    with pytest.raises(fl.BadInput, match=r"'smile': it is not constant by subject .* first '1'"):
        faces.split(HALVES, by="smile")
    with pytest.raises(fl.BadInput, match=r"no column 'smil' to split by \(did you mean 'smile'"):
        faces.split(HALVES, by="smil")
    with pytest.raises(fl.BadInput, match="2 subjects cannot be split into 3 parts"):
        faces[[0, 2]].split({"a": 0.3, "b": 0.3, "c": 0.4})


def test_a_set_splits_alike_before_and_after_it_is_stored(tmp_path):
    region = pd.Series([1, None, "b", 2.0] * 10, dtype=object)
    faces = people(40, region=region, gender=pd.Series(["f", None] * 20, dtype=object))
    loaded = fl.load(faces.save(tmp_path / "set"))
    for by in (None, ["region"], ["gender", "region"]):
        parts, again = (one.split(HALVES, 3, by) for one in (faces, loaded))
        for name in HALVES:
            pd.testing.assert_frame_equal(parts[name].table, again[name].table)


def test_years_of_age_are_put_into_age_groups():
    faces = people(90, age=np.arange(90))
    assert faces.composition("age").index.tolist() == ["0-17", "18-29", "30-44", "45-59", "60+"]
    as_text = people(90, age=[str(years) for years in range(90)])
    assert as_text.composition("age")["images"].tolist() == [18, 12, 15, 15, 30]
    assert faces.groups == ["age"]
    with pytest.raises(fl.BadInput, match=r"'height' holds 90 different numbers.*pd\.cut"):
        people(90, height=np.arange(90) / 7).composition("height")


@pytest.mark.parametrize("label", ["all", "(no label)"])
def test_a_group_that_is_called_as_one_of_our_rows_is_refused(label):
    with pytest.raises(
        fl.BadInput,
        match=f"group of ward is called '{label}'".replace("(", r"\(").replace(")", r"\)"),
    ):
        people(2, ward=["n", label]).composition("ward")


def test_two_groups_that_would_share_a_name_are_refused():
    faces = people(2, a=["x/y", "x"], b=["z", "y/z"])
    with pytest.raises(fl.BadInput, match="two groups of a and b are both called 'x/y/z'"):
        faces.composition(["a", "b"])
