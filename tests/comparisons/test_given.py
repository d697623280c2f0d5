"""Target rates, thresholds and pairs as people give them: percents are named, names are one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import facelab as fl
from facelab.comparisons.given import as_cosine, as_share

PEOPLE, PROBES = fl.crowd(30, images=3, probes=20, dim=16)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, "not 1: 1 % is fmr=0.01"),
        (1.0, "1 % is fmr=0.01"),
        (np.float32(5), "5 % is fmr=0.05"),
        ("0.1%", "not '0.1%', which is fmr=0.001"),
        ("0,1 %", "which is fmr=0.001"),
        ("0.001", "which is fmr=0.001"),
        ("1e-3", "which is fmr=0.001"),
        *((value, "give a share, such as 0.001") for value in (100, -0.1, None, True, np.nan, "x")),
    ],
)
def test_a_rate_in_percent_is_named_as_such(value, hint):
    with pytest.raises(fl.BadInput, match=f"the target FMR must be at least 0 and below 1.*{hint}"):
        as_share(value, "the target FMR", "fmr")


@given(st.floats(0, 1, exclude_max=True))
def test_a_share_is_taken_as_it_is(value):
    assert as_share(value, "the target FMR", "fmr") == value
    assert as_share(np.float64(value), "the target FMR", "fmr") == value


@pytest.mark.parametrize(
    "call",
    [
        lambda: fl.compare_all(PEOPLE).threshold(5),
        lambda: fl.audit(PEOPLE, "group", fmr=5),
        lambda: fl.audit(PEOPLE, "group", fmr="5 %"),
        lambda: fl.tar_at_far(fl.compare_all(PEOPLE), 5),
        lambda: fl.robust_threshold(PEOPLE, 5),
        lambda: fl.identify(fl.Gallery().enrol(PEOPLE), PROBES, "group", fpir=5),
        lambda: fl.search_experiment(PROBES, PEOPLE, "group", fpir="5 %", overlap="drop"),
        lambda: fl.audit(PEOPLE, "group", confidence=5),
        lambda: fl.identify(fl.Gallery().enrol(PEOPLE), PROBES, "group", confidence=5),
        lambda: fl.compare_all(PEOPLE).error_rates(0.5, confidence=5),
    ],
)
def test_every_verb_names_percents(call):
    with pytest.raises(fl.BadInput, match=r"(5 %.* (is|which is) [a-z]+=0.05|which is fpir=0.05)"):
        call()


@pytest.mark.parametrize("value", [80, "80 %", "0.5", -1.5, None, np.nan, np.inf, True])
@pytest.mark.parametrize(
    "call",
    [
        as_cosine,
        lambda t: fl.compare_all(PEOPLE).error_rates(t),
        lambda t: fl.group_faces(PEOPLE, t if t is not None else "none"),
        lambda t: fl.near_duplicates(PEOPLE, t),
        lambda t: fl.twin_effects(PEOPLE, t),
        lambda t: fl.Gallery().enrol(PEOPLE).search(PROBES, threshold="none" if t is None else t),
        lambda t: fl.identify(
            fl.Gallery().enrol(PEOPLE), PROBES, "group", threshold="none" if t is None else t
        ),
    ],
)
def test_a_threshold_that_no_cosine_reaches_is_named(call, value):
    hint = "is it in percent" if value in (80, "80 %", "0.5") else ""
    with pytest.raises(
        fl.BadInput, match=rf"must be (a score from -1 to 1, not .*{hint}|a number, not \S+)"
    ):
        call(value)


def test_targets_that_leave_no_factor_of_two_are_audited():
    for fmr in (0, 0.5, 0.9):
        assert fl.audit(PEOPLE, "group", fmr=fmr, replicates=10).rates.loc[0, "fmr"] <= fmr


NAMED = fl.Embeddings.from_arrays(
    PEOPLE.vectors[:6],
    pd.DataFrame({"subject": [1.0, 1, 2, 2, 3, 3], "image": range(6)}),
)


@pytest.mark.parametrize("spelt", [int, float, str, lambda row: f" {row}.0", lambda row: f"{row}"])
def test_pairs_meet_images_however_their_numbers_are_written(spelt):
    pairs = pd.DataFrame({"image_a": [0, 2, 4], "image_b": [1, 3, 0]})
    written = pairs.map(spelt).assign(mated=["same", "same", "different"])
    found = fl.compare_pairs(NAMED, written)
    assert repr(found) == "Comparisons(2 mated, 1 non-mated, ())"
    rows = fl.compare_pairs(NAMED, pairs.set_axis(["row_a", "row_b"], axis=1).map(float))
    pd.testing.assert_frame_equal(found.error_rates(0.5), rows.error_rates(0.5))


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ({"image_a": ["x/0.jpg"], "image_b": ["1"]}, "'0' is, and folders and suffixes differ"),
        ({"image_a": [None], "image_b": ["1"]}, "pair 0 has no image_a"),
        ({"row_a": [0.5], "row_b": [1]}, "row_a of pair 0 is 0.5, which is no row number"),
        ({"row_a": [np.nan], "row_b": [1]}, "row_a of pair 0 is nan"),
        ({"image_A": ["0"], "image_B": ["1"]}, "did you mean 'image_A'"),
        (
            {"row_a": [0, 2], "row_b": [1, 3], "mated": ["different"] * 2},
            "in each of the 2 pairs mated says the opposite",
        ),
    ],
)
def test_pairs_that_name_nobody_are_told_why(pairs, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        fl.compare_pairs(NAMED, pd.DataFrame(pairs))


def test_calibration_subjects_are_known_again_in_every_spelling():
    table = pd.DataFrame({"subject": np.repeat(np.arange(30), 3), "group": PEOPLE.table["group"]})
    test = fl.Embeddings.from_arrays(PEOPLE.vectors, table)
    for spelt in (table["subject"].astype(float), table["subject"].map("{}.0 ".format)):
        other = fl.Embeddings.from_arrays(PEOPLE.vectors, table.assign(subject=spelt))
        found = fl.audit(test, "group", 0.1, calibration=other, replicates=10)
        assert found.calibration == "30 calibration subjects, 30 of them in the test too"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (slice(0, 0), r"there are no faces in the embeddings of 'crowd of seed 0' by 'made-up'"),
        (slice(0, 1), "needs two faces; there is 1 in the embeddings of 'crowd of seed 0'"),
        (slice(0, 3), "there is one subject in the embeddings of 'crowd of seed 0'"),
    ],
)
def test_too_little_to_audit_names_the_set_and_the_embedder(rows, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        fl.audit(PEOPLE[rows], "group")


def test_a_calibration_of_one_person_is_named_as_the_calibration():
    with pytest.raises(fl.BadInput, match=r"the calibration, the embeddings .*, has one subject"):
        fl.audit(PEOPLE, "group", calibration=PEOPLE[:3])
