"""Messages: counts that read right, what may be meant and what there is, and no more than fits."""

import pytest

import facelab as fl
from facelab.errors import BadInput, check_columns, how_many, there_are


def test_one_is_singular_and_many_are_parted_by_thousands():
    assert how_many(1, "image") == "1 image"
    assert how_many(0, "image") == "0 images"
    assert how_many(12_000, "such row") == "12,000 such rows"
    assert how_many(1, "person is", "people are") == "1 person is"
    assert how_many(2, "person is", "people are") == "2 people are"


def test_what_is_not_there_ends_in_what_is_and_what_may_be_meant():
    assert there_are("grup", ["group", "age"]) == " (did you mean 'group'?); there are: group, age"
    assert there_are("x", [], "it has") == "; it has: none"
    assert there_are("x", range(35)).endswith("28, 29, ...")


def test_every_column_that_is_lacking_is_named():
    check_columns("the scores", ["score", "mated"], ["score"])
    with pytest.raises(BadInput, match=r"the scores lack the column mated; they have: score$"):
        check_columns("the scores", ["score"], ["score", "mated"])
    with pytest.raises(BadInput, match=r"lack the columns score, mated .did you mean 'Score'\?"):
        check_columns("the scores", ["Score"], ["score", "mated"])


@pytest.mark.parametrize("load", [fl.load, fl.Embeddings.load, fl.Audit.load, fl.Gallery.load])
def test_a_folder_that_is_not_there_is_said_in_the_same_words_everywhere(load, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*/none"):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"\.(npy|parquet|json) is missing$"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda faces: fl.measure([]), "takes faces .a FaceSet., not a list"),
        (lambda faces: fl.join([faces]), "such as {.name.: FaceSet}, not .FaceSet"),
        (lambda faces: fl.join({}), "by name, such as .* not nothing"),
        (lambda faces: faces.split([0.5, 0.5]), "such as {.name.: 0.5}, not .0.5, 0.5"),
        (lambda faces: faces.query("gendr == 'male'"), "did you mean 'gender'"),
        (lambda faces: fl.train(faces, {"steps": 1}), "takes a recipe, not a dict: fl.Recipe"),
        (lambda faces: fl.Recipe(head="arcfase"), "not 'arcfase' .did you mean 'arcface'"),
        (lambda faces: fl.synthesize(6, 1, frame="Full"), "not 'Full' .did you mean 'full'"),
        (
            lambda faces: fl.plots.twin_effects(faces.table),
            "the effects lack the columns group, factor",
        ),
    ],
)
def test_what_people_hand_over_by_mistake_is_told_what_to_do(wrong, sentence):
    with pytest.raises(BadInput, match=sentence):
        wrong(fl.synthesize(6, 1, size=32))


def test_a_name_is_no_detector(tmp_path):
    (tmp_path / "photos/ada").mkdir(parents=True)
    (tmp_path / "photos/ada/1.jpg").touch()
    with pytest.raises(BadInput, match=r"not a name: load_detector\('yunet'\)"):
        fl.prepare(tmp_path / "photos", tmp_path / "out", detector="yunet")
