"""People under another name in the calibration are suspected by score, and hardly anybody else."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits.suspects import CHANCE, People, people_of, suspects

KINDS = ("crowd", "alike by nobody", "hubs", "groups")


def made_up(kind, count, images, dim, seed):
    """Vectors (count, images, dim) of people of a kind of population."""
    rng = np.random.default_rng(seed)
    if kind == "crowd":
        return fl.crowd(count, images, dim=dim, seed=seed)[0].vectors.reshape(count, images, dim)
    centres = rng.normal(size=(count, dim))
    if kind == "hubs":  # some people resemble many
        centres += np.outer(rng.lognormal(-1.2, 1, count), rng.normal(size=dim))
    if kind == "groups":  # within some groups everybody resembles everybody
        group = rng.integers(0, 6, count)
        weight = np.array([0.2, 0.4, 0.6, 0.8, 1, 1.5])[group]
        centres += weight[:, None] * rng.normal(size=(6, dim))[group]
    photos = centres[:, None] + 0.7 * rng.normal(size=(count, images, dim))
    return photos / np.linalg.norm(photos, axis=2, keepdims=True)


def embedded(vectors, prefix):
    count, images, dim = vectors.shape
    table = pd.DataFrame({"subject": np.repeat([f"{prefix}{k:03d}" for k in range(count)], images)})
    table["group"] = np.array(["x", "y"])[np.arange(len(table)) // images % 2]
    return fl.Embeddings.from_arrays(vectors.reshape(-1, dim), table, normalise=True)


@pytest.mark.parametrize("kind", KINDS)
def test_sets_without_a_person_in_common_raise_hardly_a_suspicion(kind):
    """40 pairs of sets: more than 4 with a suspect have probability 0.1% at 2 in 100."""
    false = 0
    for seed in range(40):
        vectors = made_up(kind, 110, 2, 64, seed)
        a, b = embedded(vectors[:70], "a"), embedded(vectors[70:], "b")
        false += len(suspects(people_of(a), people_of(b))[0]) > 0
    assert CHANCE == 0.02
    assert false <= 4


@pytest.mark.parametrize("kind", KINDS)
def test_people_under_another_name_are_found_and_named(kind):
    found, wrong = 0, 0
    for seed in range(10):
        vectors = made_up(kind, 300, 5, 128, 100 + seed)
        test = embedded(vectors[:200, :3], "a")
        # Ten of the test's people are in the calibration too, on other photos.
        calibration = embedded(np.concatenate([vectors[:10, 3:], vectors[210:, 3:]]), "b")
        pairs = suspects(people_of(test), people_of(calibration))[0]
        right = pairs["subject_a"].str[1:] == pairs["subject_b"].str[1:]
        found, wrong = found + right.sum(), wrong + (~right).sum()
    assert found >= 60  # of 100; measured: 74 to 100
    assert wrong <= 2


def test_an_audit_tells_of_them_with_names_on_the_screen_and_without_in_what_is_kept():
    vectors = made_up("alike by nobody", 160, 4, 128, 5)
    test = embedded(vectors[:100, :3], "ada-")
    calibration = embedded(vectors[95:, 3:], "bea-")
    with pytest.warns(UserWarning, match=r"5 test subjects may be people of the calibration under"):
        audit = fl.audit(test, "group", 0.01, calibration, replicates=10)
    told = [text for text in audit.warnings if "another name" in text]
    assert len(told) == 1
    assert told[0].startswith("5 test subjects may be people of the calibration under another name")
    assert "fl.overlapping_subjects" in told[0]
    assert "ada-" not in " ".join(audit.warnings)
    with pytest.warns(UserWarning) as caught:
        fl.audit(test, "group", 0.01, calibration, replicates=10)
    said = " ".join(str(one.message) for one in caught if "another name" in str(one.message))
    assert said.count("'ada-") == 3 and "and 2 more" in said
    named = re.findall(r"'ada-(\d+)' and 'bea-(\d+)' \(0\.\d{3}\)", said)
    assert len(named) == 3
    assert all(int(one) == int(other) + 95 for one, other in named)


def test_who_is_in_both_under_one_name_is_no_suspect():
    vectors = made_up("crowd", 80, 2, 64, 6)
    test, calibration = embedded(vectors[:, :1], "a"), embedded(vectors[:, 1:], "a")
    assert suspects(people_of(test), people_of(calibration))[0].empty
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audit = fl.audit(test, "group", 0.05, calibration, replicates=10)
    assert not [text for text in audit.warnings if "another name" in text]


def test_two_people_look_alike_to_a_few_is_not_told():
    few = embedded(made_up("crowd", 29, 2, 64, 7), "a")
    assert suspects(people_of(few), people_of(few))[1] == 0


def test_of_large_sets_a_sample_is_looked_at_and_that_is_said(monkeypatch):
    monkeypatch.setattr("facelab.audits.suspects._PAIRS", 100 * 60)
    vectors = made_up("alike by nobody", 200, 3, 128, 8)
    test, calibration = embedded(vectors[:, :2], "a"), embedded(vectors[:60, 2:], "b")
    found, looked = suspects(people_of(test), people_of(calibration))
    assert looked == 100
    assert (found["subject_a"].str[1:] == found["subject_b"].str[1:]).all()
    with pytest.warns(UserWarning, match="of 100 test subjects that were looked at, "):
        fl.audit(test, "group", 0.01, calibration, replicates=10)


def test_a_subject_is_the_mean_of_its_images_and_nothing_where_they_cancel_out():
    table = pd.DataFrame({"subject": ["a", "b", "a", "c", "c"]})
    vectors = np.array([[1, 0], [0, 1], [0, 1], [1, 0], [-1, 0]], np.float32)
    people = people_of(fl.Embeddings.from_arrays(vectors, table))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(people.vectors, [[half, half], [0, 1], [0, 0]], atol=1e-6)
    assert isinstance(people, People) and people.names.tolist() == ["a", "b", "c"]


@pytest.mark.real
def test_people_who_stand_in_lfw_under_two_names_are_found(lfw_embedded):
    """Known errors of LFW's labels; and between halves of its people hardly anything else."""
    known = [
        {"Joseph_Blatter", "Sepp_Blatter"},
        {"Hasan_Wirayuda", "Hassan_Wirajuda"},
        {"Chyung_Dai-chul", "Dai_Chul_Chyung"},
        {"Nan_Wang", "Wang_Nan"},
    ]
    subject = lfw_embedded.table["subject"]
    first = {sorted(pair)[0] for pair in known}
    names = np.array(sorted(set(subject) - set().union(*known)))
    half = np.random.default_rng(0).permutation(len(names)) % 2 == 0
    a = lfw_embedded[(subject.isin(first) | subject.isin(names[half])).to_numpy()]
    b = lfw_embedded[~(subject.isin(first) | subject.isin(names[half])).to_numpy()]
    pairs = suspects(people_of(a), people_of(b))[0]
    found = [{row.subject_a, row.subject_b} for row in pairs.itertuples()]
    assert sum(pair in found for pair in known) >= 3
    assert len(found) <= 12  # others stand in LFW twice too, or were taken for each other
