"""Planted copies, overlaps and wrong labels are found, and little else."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits import overlaps
from facelab.audits.overlaps import (
    coinciding_subjects,
    near_duplicates,
    overlapping_subjects,
    split_subjects,
)

WIDE, PER = 64, 5


def people(numbers, seed, per=PER, noise=0.09):
    """Photos of numbered people: a person is a direction, a photo is that and some noise."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(400, WIDE))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    who = np.repeat(numbers, per)
    vectors = centres[who] + rng.normal(size=(len(who), WIDE)) * noise
    names = [f"p{number:03d}" for number in who]
    images = [f"{name}/{seed}-{place % per}" for place, name in enumerate(names)]
    return vectors, pd.DataFrame({"subject": names, "image": images})


def embedded(vectors, table):
    return fl.Embeddings.from_arrays(vectors, table)


@pytest.fixture
def crowd():
    return people(np.arange(80), seed=1)


@pytest.fixture
def threshold(crowd):
    return fl.compare_all(embedded(*crowd)).threshold(fmr=1e-3)


def brute(vectors):
    """Exact scores of all pairs."""
    wide = vectors.astype(np.float64)
    return np.triu((wide @ wide.T).astype(np.float32), 1)


@pytest.mark.parametrize(("tile", "jobs"), [(7, 1), (64, 1), (2048, 1), (64, 2)])
def test_the_pairs_are_those_of_the_whole_matrix_whatever_the_tiles(crowd, monkeypatch, tile, jobs):
    monkeypatch.setattr(overlaps, "TILE", tile)
    embeddings = embedded(*crowd)
    found = near_duplicates(embeddings, 0.5, jobs)
    scores = brute(embeddings.vectors)
    a, b = np.nonzero(scores >= np.float32(0.5))
    images = embeddings.table["image"].to_numpy(object)
    expected = dict(zip(zip(images[a], images[b], strict=True), scores[a, b], strict=True))
    assert len(expected) > 500
    got = dict(
        zip(zip(found["image_a"], found["image_b"], strict=True), found["score"], strict=True)
    )
    assert got == expected
    assert (np.diff(found["score"]) <= 0).all()
    assert (found["mated"] == (found["subject_a"] == found["subject_b"])).all()


def test_planted_copies_are_found_and_nothing_else(crowd):
    vectors, table = crowd
    rng = np.random.default_rng(5)
    rows = rng.choice(len(table), 20, replace=False)
    copies = vectors[rows] + rng.normal(size=(20, WIDE)) * 0.01  # compressed again
    labels = table.iloc[rows].assign(image=[f"copy/{row}" for row in rows])
    labels.iloc[:3, 0] = ["x", "y", "z"]  # under other names
    found = near_duplicates(
        embedded(np.concatenate([vectors, copies]), pd.concat([table, labels])), 0.95
    )
    pairs = set(zip(found["image_a"], found["image_b"], strict=True))
    planted = set(zip(table["image"].iloc[rows], labels["image"], strict=True))
    assert pairs == planted, "precision 1 and recall 1"
    assert (~found["mated"]).sum() == 3


def test_people_of_two_sets_are_found_under_any_name(crowd, threshold):
    vectors, table = people(np.arange(60, 140), seed=2)
    theirs = table.assign(subject="their " + table["subject"])
    found = overlapping_subjects(embedded(*crowd), embedded(vectors, theirs), threshold, 0.8)
    right = found["subject_b"] == "their " + found["subject_a"]
    precision, recall = right.mean(), right.sum() / 20
    assert precision > 0.95 and recall > 0.9  # measured: 1 and 1
    assert (found["comparisons"] == PER * PER).all()
    assert (found["share"] == found["matches"] / found["comparisons"]).all()
    best = found.iloc[0]
    a = vectors[table["image"] == best["image_b"]][0]
    b = crowd[0][crowd[1]["image"] == best["image_a"]][0]
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert best["score"] == pytest.approx(cosine, abs=1e-6)


@pytest.mark.parametrize("tile", [13, 2048])
def test_the_matches_of_two_sets_are_those_of_the_whole_matrix(crowd, monkeypatch, tile):
    monkeypatch.setattr(overlaps, "TILE", tile)
    one, two = embedded(*crowd), embedded(*people(np.arange(60, 100), seed=2, per=3))
    found = overlapping_subjects(one, two, 0.3, share=0.0)
    scores = one.vectors.astype(float) @ two.vectors.T.astype(float)
    hit = pd.DataFrame(
        scores.astype(np.float32) >= np.float32(0.3),
        index=one.table["subject"],
        columns=two.table["subject"],
    )
    matches = hit.groupby(level=0).sum().T.groupby(level=0).sum().T.stack()
    matches = matches[matches > 0]
    got = found.set_index(["subject_a", "subject_b"])["matches"]
    assert got.sort_index().to_dict() == matches.to_dict()


def test_sets_without_a_person_in_common_give_an_empty_table(crowd):
    others = embedded(*people(np.arange(200, 220), seed=3))
    found = overlapping_subjects(embedded(*crowd), others, 0.9)
    assert list(found.columns)[:4] == ["subject_a", "subject_b", "comparisons", "matches"]
    assert found.empty
    assert near_duplicates(others, 1.0).empty and split_subjects(others, -1.0).empty
    assert coinciding_subjects(others, 1.0).empty


def test_a_person_under_two_names_is_found(crowd, threshold):
    vectors, table = crowd
    names = table["subject"].to_numpy(object).copy()
    for number in range(0, 30, 3):  # the last two photos of ten people get a name of their own
        names[number * PER + 3 : number * PER + 5] = f"new {number:03d}"
    found = coinciding_subjects(embedded(vectors, table.assign(subject=names)), threshold, 0.9)
    pairs = {frozenset(pair) for pair in zip(found["subject_a"], found["subject_b"], strict=True)}
    planted = {frozenset((f"p{number:03d}", f"new {number:03d}")) for number in range(0, 30, 3)}
    assert len(pairs) == len(found), "each pair stands there once"
    assert len(pairs & planted) / 10 >= 0.9 and len(pairs & planted) / len(pairs) >= 0.9
    assert (found["comparisons"] == 6).all()


def test_a_wrong_label_is_found_with_the_name_it_should_have(crowd, threshold):
    vectors, table = crowd
    rng = np.random.default_rng(4)
    wrong = np.sort(rng.choice(80, 12, replace=False)) * PER + 2
    names = table["subject"].to_numpy(object).copy()
    truly = names[wrong].copy()
    names[wrong] = np.roll(truly, 1)
    found = split_subjects(embedded(vectors, table.assign(subject=names)), threshold)
    sure = found[found["other_share"] >= 0.5]
    planted = dict(zip(table["image"].iloc[wrong], truly, strict=True))
    caught = [planted.get(row.image) == row.other_subject for row in sure.itertuples()]
    assert sum(caught) / 12 >= 0.9 and np.mean(caught) >= 0.9  # measured: 1 and 1
    assert caught == [True] * sum(caught) + [False] * (len(caught) - sum(caught)), "surest first"
    assert (sure["other_score"] > sure["own_score"])[: sum(caught)].all()
    row = sure.iloc[0]
    assert (row["subject_images"], row["largest_part"], row["part_images"]) == (5, 4, 1)


def test_parts_scores_and_ties_by_hand():
    # Subject s: two pairs that do not match each other, and a single; t is like the single.
    angles = np.radians([0, 10, 90, 100, 180, 185])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    table = pd.DataFrame({"subject": [*"sssss", "t"], "image": [*"abcdef"]})
    found = split_subjects(embedded(vectors, table), 0.9).set_index("image")
    assert list(found.index) == ["e", "c", "d"] or list(found.index) == ["e", "d", "c"]
    assert found["part"].to_dict() == {"e": 3, "c": 2, "d": 2}, "a and b, as large, come first"
    assert (found["largest_part"] == 2).all() and (found["subject_images"] == 5).all()
    assert found.loc["c", "own_score"] == pytest.approx(np.cos(np.radians(80)), abs=1e-6)
    assert found.loc["d", "own_score"] == pytest.approx(np.cos(np.radians(80)), abs=1e-6)
    assert found.loc["e", "other_subject"] == "t" and found.loc["e", "other_share"] == 1
    assert found.loc["e", "other_score"] == pytest.approx(np.cos(np.radians(5)), abs=1e-6)
    assert found.loc[["c", "d"], "other_subject"].isna().all()


def test_bad_input_is_one_sentence(crowd, monkeypatch):
    one = embedded(*crowd)
    with pytest.raises(fl.BadInput, match="a score from -1 to 1, not 2"):
        near_duplicates(one, 2)
    narrow = fl.Embeddings.from_arrays(crowd[0][:, :8], crowd[1])
    with pytest.raises(fl.BadInput, match="vectors of 64 and of 8 numbers"):
        overlapping_subjects(one, narrow, 0.5)
    monkeypatch.setattr(overlaps, "MOST_PAIRS", 100)
    with pytest.raises(fl.BadInput, match=r"more than 100 pairs score 0 or more: raise"):
        near_duplicates(one, 0.0)
