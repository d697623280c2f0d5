"""The door for tables of faces, and what stands in brackets behind a set of them."""

import datetime
import warnings

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.faces.tables import as_face_table


def crops(count):
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)


def table(**columns):
    return pd.DataFrame({"subject": [1, 1, 2], "image": ["x", "y", "z"], **columns})


def test_one_person_in_three_types_is_one_subject():
    mixed = table(subject=[3, 3.0, "3"])
    assert fl.FaceSet.from_arrays(mixed, crops(3)).card["subjects"] == 1
    gaps = pd.DataFrame({"subject": [1.0, 2.0, 3.0], "image": ["x", "y", "z"]})
    assert as_face_table(gaps)["subject"].tolist() == ["1", "2", "3"]
    kept = pd.DataFrame({"subject": ["007", "7", "7.0"], "image": ["x", "y", "z"]})
    assert as_face_table(kept)["subject"].tolist() == ["007", "7", "7"]


def test_an_image_that_is_named_in_two_spellings_stands_there_twice():
    with pytest.raises(fl.BadInput, match="'é' stands in the table twice"):
        as_face_table(table(image=["é", "e\u0301 ", "z"]))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"subject": ["x"]}, "must be a DataFrame with a row a face, not a dict"),
        (table().rename(columns={"subject": "Subject"}), r"'subject' \(did you mean 'Subject'\?\)"),
        (table(subject=["a", " ", "b"]), "row 1 of the table has no subject"),
        (table(image=["a", "b", None]), "row 2 of the table has no image"),
        (table().set_axis(["subject", "image"], axis=1).assign(**{" image": 1}), "two columns"),
        (table(tags=[{1}, {2}, {3}]), "column 'tags' holds a set, which is no label"),
        (pd.concat({"a": table()}, axis=1), "several levels"),
    ],
)  # fmt: skip
def test_an_unfit_table_is_refused_in_one_sentence(given, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        as_face_table(given)


def test_names_in_the_index_are_taken_and_names_of_columns_are_text():
    indexed = table(**{"gender ": ["f", "f", "m"]}).set_index("image")
    found = as_face_table(indexed)
    assert found["image"].tolist() == ["x", "y", "z"] and "gender" in found
    assert list(as_face_table(table().assign(**{"7": 1}).rename(columns={"7": 7}))) == [
        *("subject", "image", "7")
    ]


def test_columns_set_later_pass_the_door_when_faces_are_chosen_or_stored(tmp_path):
    faces = fl.FaceSet.from_arrays(table(), crops(3))
    faces.table["site"] = pd.Series([1, None, "b"], dtype=object)
    chosen = faces[[0, 2]]
    assert chosen.table["site"].tolist() == ["1", "b"]
    stored = fl.load(faces.save(tmp_path / "set")).table["site"]
    assert stored.cat.categories.tolist() == ["1", "b"] and stored.isna().sum() == 1
    faces.table["site"] = pd.Series([[1], [2], [3]])
    with pytest.raises(fl.BadInput, match="column 'site' holds a list"):
        faces[[0]]


def test_dates_and_sets_in_a_card_are_the_same_before_and_after_storing(tmp_path):
    facts = {
        "taken": datetime.date(2026, 5, 1),
        "sites": {"b", "a"},
        "sizes": np.array([1, 2]),
        "more": {"share": np.float32(0.5), "unknown": np.nan, "span": (1, 2)},
    }
    faces = fl.FaceSet.from_arrays(table(), crops(3), **facts)
    assert faces.card["taken"] == "2026-05-01" and faces.card["sites"] == ["a", "b"]
    stored = fl.load(faces.save(tmp_path / "set")).card
    assert {name: stored[name] for name in facts} == {name: faces.card[name] for name in facts}
    with pytest.raises(fl.BadInput, match=r"'more\.maker' of the card is an object"):
        fl.FaceSet.from_arrays(table(), crops(3), more={"maker": object()})


def test_the_card_says_which_columns_are_groups_and_selections_keep_it():
    people = table(ward=["n", "n", "s"], name=["Ada", "Ada", "Bea"])
    faces = fl.FaceSet.from_arrays(people, crops(3), groups=["ward"])
    assert faces.groups == ["ward"] == faces[[0, 1]].groups
    assert fl.FaceSet.from_arrays(people, crops(3)).groups == []


# ---- objects answer as the ecosystem expects


@pytest.fixture
def faces():
    return fl.FaceSet.from_arrays(table(), crops(3))


@pytest.fixture
def embeddings():
    return fl.Embeddings.from_arrays(np.eye(3), table())


@pytest.mark.parametrize("kind", ["faces", "embeddings"])
def test_sets_answer_as_sequences_and_as_arrays(kind, request):
    held = request.getfixturevalue(kind)
    array = np.asarray(held)
    assert len(held) == 3 == len(list(held)) == len(array)
    np.testing.assert_array_equal(array, held.crops if kind == "faces" else held.vectors)
    for one in (held[0], held[np.int64(0)], next(iter(held)), held[:1], held[[True, False, False]]):
        assert one.table["image"].tolist() == ["x"]
        np.testing.assert_array_equal(np.asarray(one), array[:1])
    assert held[-1].table["image"].tolist() == ["z"] and held[::-1].table["image"][0] == "z"
    assert held[pd.Series([False, True, False])].table["image"].tolist() == ["y"]
    assert len(held[[]]) == 0
    assert "x" in held and 2 in held and 2.0 in held and "nobody" not in held and [1] not in held
    with pytest.raises(IndexError):
        held[3]


@pytest.mark.parametrize("kind", ["faces", "embeddings"])
def test_what_does_not_choose_rows_is_said_in_one_sentence(kind, request):
    held = request.getfixturevalue(kind)
    with pytest.raises(fl.BadInput, match=r"not 'gender': its columns are those of `.table`"):
        held["gender"]
    with pytest.raises(fl.BadInput, match="a mask of 2 does not fit"):
        held[[True, False]]
    with pytest.raises(fl.BadInput, match="the mask has gaps"):
        held[pd.Series([True, None, False], dtype="boolean")]
    with pytest.raises(fl.BadInput, match=r"row numbers or a slice in brackets, not \[0.5\]"):
        held[[0.5]]
    held.table["tone"] = ["1", "2", "3"]
    with pytest.raises(
        fl.BadInput, match="whose labels are text, with a number: write tone == '2'"
    ):
        held.query("tone == 2")
    with pytest.raises(fl.BadInput, match="'nobody' is not defined; the table has: subject, image"):
        held.query("nobody == 2")
    assert len(held.query("tone == '2'")) == 1


@pytest.mark.parametrize("name", ["images", "set"])
def test_a_label_column_that_is_called_as_one_of_our_own_is_refused(name):
    with pytest.raises(fl.BadInput, match=f"label column '{name}', which is .*rename it"):
        fl.join({"one": fl.FaceSet.from_arrays(table(**{name: ["a", "a", "b"]}), crops(3))})


def test_subjects_spelt_alike_count_apart_and_are_told_once_by_their_rows(tmp_path):
    names = ["Ann", "bo-b", "Ann", "ann ", "bo b", "BO_B", "ﬁfi", "fifi", "-1", "1", "cy"]
    people = pd.DataFrame({"subject": names, "image": range(len(names))})
    with pytest.warns(UserWarning) as warned:
        kept = fl.FaceSet.from_arrays(people, crops(len(names)))
        fl.load(kept.save(tmp_path / "kept"))
    assert kept.card["subjects"] == 10
    told = str(warned[0].message)
    assert len(warned) == 1 and told.startswith("the subjects of rows 0 and 3 are spelt alike")
    assert "and 3 more subjects like one before: they count as different people" in told
    assert not any(name in told for name in names if name.isalpha())


def test_no_word_of_subjects_where_nobody_is_spelt_like_another():
    people = pd.DataFrame({"subject": ["Ann", "Anne", "-1", "1", "1.5"], "image": range(5)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fl.Embeddings.from_arrays(np.eye(5), people)
