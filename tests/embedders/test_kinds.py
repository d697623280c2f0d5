"""What is taken for embeddings or faces by mistake: every verb says how it becomes them."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl

PEOPLE, _ = fl.crowd(6, images=2, dim=8)
TABLE = pd.DataFrame({"subject": list("aabb"), "image": list("1234"), "group": list("xxyy")})
FACES = fl.FaceSet.from_arrays(TABLE, np.zeros((4, 8, 8, 3), np.uint8), name="four")
PAIRS = pd.DataFrame({"row_a": [0], "row_b": [1]})


def gallery():
    return fl.Gallery().enrol(PEOPLE)


EMBEDDINGS = {
    "fl.audit": lambda one: fl.audit(one, "group"),
    "calibration": lambda one: fl.audit(PEOPLE, "group", calibration=one),
    "compare_all": fl.compare_all,
    "compare_pairs": lambda one: fl.compare_pairs(one, PAIRS),
    "Gallery.enrol": lambda one: fl.Gallery().enrol(one),
    "Gallery.search": lambda one: gallery().search(one),
    "fl.identify": lambda one: fl.identify(gallery(), one, "group"),
    "fl.search_experiment": lambda one: fl.search_experiment(one, PEOPLE, "group", 0.5),
    "fl.open_set": lambda one: fl.open_set(one, PEOPLE),
    "fl.gallery_sizes": lambda one: fl.gallery_sizes(one, PEOPLE, "group", [6]),
    "fl.gallery_mixes": lambda one: fl.gallery_mixes(PEOPLE, one, "group", {"even": None}),
    "fl.look_alikes": lambda one: fl.look_alikes(PEOPLE, one),
    "fl.group_faces": fl.group_faces,
    "fl.grouping_threshold": fl.grouping_threshold,
    "fl.number_of_people": fl.number_of_people,
    "fl.robust_threshold": lambda one: fl.robust_threshold(one, 0.01),
    "fl.near_duplicates": lambda one: fl.near_duplicates(one, 0.5),
    "fl.overlapping_subjects": lambda one: fl.overlapping_subjects(PEOPLE, one, 0.5),
    "fl.coinciding_subjects": lambda one: fl.coinciding_subjects(one, 0.5),
    "fl.split_subjects": lambda one: fl.split_subjects(one, 0.5),
    "twin_effects": lambda one: fl.twin_effects(one, 0.5),
}
MISTAKEN = {
    "faces": (FACES, r"faces \(the FaceSet 'four'\): embed them first"),
    "a path": ("data/kept/lfw", r"the path 'data/kept/lfw': open it first, fl.Embeddings.load"),
    "a table": (TABLE, r"a DataFrame: fl.Embeddings.from_arrays\(vectors, table\)"),
    "an array": (PEOPLE.vectors, r"an array: fl.Embeddings.from_arrays"),
    "parts": ({"train": FACES, "test": FACES}, r"a dict: give one of its parts \(train, test\)"),
    "a function": (
        fl.embedder_of(lambda crops: crops.reshape(len(crops), -1) - 127.5, "pixels", size=8),
        r"a FunctionEmbedder: embed faces with it first",
    ),
}


BY_NAME = "takes (arms by name|training sets by arm)|arms must be names with values"
NO_AUDIT = "arm 'a' holds .* and no audit|'a' must be a list"


@pytest.mark.parametrize("verb", EMBEDDINGS)
@pytest.mark.parametrize("mistaken", MISTAKEN)
def test_embeddings_are_asked_for_with_how_to_make_them(verb, mistaken):
    given, advice = MISTAKEN[mistaken]
    with pytest.raises(fl.BadInput, match=f"{verb} takes .*embeddings.*, not {advice}"):
        EMBEDDINGS[verb](given)


@pytest.mark.parametrize("given", [PEOPLE, FACES, TABLE, "folder", None, [1, 2]])
@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        (lambda one: fl.identify(one, PEOPLE, "group"), "takes a gallery, not "),
        (lambda one: fl.Searches(one), "Searches takes what a gallery's search returns"),
        (lambda one: fl.refusal(one, [1], 0.5), r"fl.refusal takes fl.Searches"),
        (lambda one: fl.grouping_accuracy(one), "takes a grouping, not .*: fl.group_faces"),
        (lambda one: fl.grouping_errors(one), "takes a grouping, not .*: fl.group_faces"),
        (lambda one: fl.split_people(one), "takes a grouping, not .*: fl.group_faces"),
        (lambda one: fl.tar_at_far(one, 0.1), "takes comparisons, not .*: fl.compare_all"),
        (lambda one: fl.roc(one), "takes comparisons, not .*: fl.compare_all"),
        (lambda one: fl.compare_audits(one), BY_NAME),
        (
            lambda one: fl.compare_audits({"a": one, "b": one}),
            NO_AUDIT,
        ),
        (
            lambda one: fl.compare_arms({"a": one}, "a"),
            NO_AUDIT,
        ),
        (lambda one: fl.all_probes(one), "takes what fl.probe_study returns"),
        (
            lambda one: fl.study(one, None, FACES, FACES, "group", baseline="a"),
            BY_NAME,
        ),
    ],
)
def test_other_things_are_asked_for_by_their_name(given, verb, sentence):
    if isinstance(given, type(None) | str) and sentence == NO_AUDIT:
        sentence = "and no audit|must be a list, not None"
    with pytest.raises(fl.BadInput, match=sentence):
        verb(given)


@pytest.mark.parametrize("given", [PEOPLE, TABLE, "folder", None, {"train": FACES}])
@pytest.mark.parametrize(
    "verb", [lambda one: fl.degrade(one, "mask"), lambda one: fl.plant(one, 0, 0, 0)]
)
def test_faces_are_asked_for_where_pixels_are_needed(given, verb):
    with pytest.raises(fl.BadInput, match=r"takes faces \(a FaceSet\), not "):
        verb(given)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fl.audit(PEOPLE, "grup"), r"no column 'grup' .*did you mean 'group'\?"),
        (lambda: fl.audit(PEOPLE, "group", pairs="same group"), r"'all' or 'same-group', not"),
        (lambda: fl.Gallery("meen"), r"template must be 'mean' or 'max', not 'meen' \(did you"),
        (lambda: fl.Gallery(kind="hnws"), r"kind must be 'auto', .* \(did you mean 'hnsw'\?\)"),
        (lambda: fl.group_faces(PEOPLE, 0.5, "averge"), r"\(did you mean 'average'\?\)"),
        (
            lambda: fl.search_experiment(PEOPLE, PEOPLE, "group", 0.5, overlap="dropp"),
            "'refuse' or 'drop', not 'dropp'",
        ),
        (lambda: fl.expected_false_matches(0.1, 9, 9, look_at="first"), "'top' or 'all', not"),
        (lambda: fl.degrade(FACES, "masc"), r"\(did you mean 'mask'\?\)"),
        (lambda: fl.twin_effects(PEOPLE, 0.5, references="none"), "'unchanged' or 'changed', not"),
        (lambda: fl.compare_all(PEOPLE, "group").threshold(0.5, "B"), r"did you mean 'b'\?"),
    ],
)
def test_a_wrong_word_lists_the_right_ones(call, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        call()
