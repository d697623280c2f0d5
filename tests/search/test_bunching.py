"""False matches that bunch upon few people: what is expected is what brute-force searches give."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.rates.counts import ErrorCounts
from facelab.search.bunching import Hits, bunching
from facelab.search.false_matches import expected_false_matches

WIDE = 32
AXES = np.exp(-1.1 * np.arange(WIDE) / WIDE)
AXES /= np.linalg.norm(AXES)
SEARCHES = GALLERY = 600
AUDITED = 240


def people(size, hubs, rng, towards):
    """Unit vectors; the nearer to one point, the more people somebody resembles."""
    near = {"none": np.zeros(size), "mild": rng.beta(3, 12, size) / 2}.get(hubs)
    near = rng.beta(0.3, 4, size) if near is None else near
    vectors = np.sqrt(1 - near)[:, None] * rng.standard_normal((size, WIDE)) * AXES
    vectors += np.sqrt(near)[:, None] * towards
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def counted(scores, threshold, group):
    """The errors of an audit of one image a person."""
    a, b = np.nonzero(np.triu(scores >= threshold, 1))
    names = [f"s{k:04d}" for k in range(len(scores))]
    units = pd.DataFrame({"subject": names, "group": group, "images": 1})
    pairs = pd.DataFrame({"unit_a": a, "unit_b": b, "errors": np.ones(len(a), int)})
    groups = tuple("xy"[: group.max() + 1])
    return ErrorCounts(threshold, groups, units, pairs, complete=True)


def a_year(hubs, groups, seed):
    """Comparisons of an audit, a threshold, and a year of searches of new people: who was named."""
    rng = np.random.default_rng(seed)
    towards = np.random.default_rng(5).standard_normal((2, WIDE)) * AXES
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)

    def some(size):
        group = np.arange(size) % groups
        own = people(size, hubs, rng, towards[0]) + 0.35 * group[:, None] * towards[1]
        return group, own / np.linalg.norm(own, axis=1, keepdims=True)

    group, audited = some(AUDITED)
    table = pd.DataFrame({"subject": np.arange(AUDITED), "group": np.array(list("xy"))[group]})
    audit = fl.compare_all(fl.Embeddings.from_arrays(audited, table), "group", jobs=1)
    threshold = audit._threshold(2e-3)
    (asked, searched), (stored, enrolled) = some(SEARCHES), some(GALLERY)
    found = searched @ enrolled.T
    every = found >= threshold
    top = every & (found == found.max(axis=1, keepdims=True))
    return audit, threshold, asked, stored, {"all": every, "top": top}


@pytest.mark.parametrize(
    ("hubs", "groups"), [("none", 1), ("mild", 1), ("mild", 2), ("strong", 1), ("strong", 2)]
)
def test_what_is_expected_is_what_brute_force_searches_give(hubs, groups):
    held, near, law = [], [], []
    for seed in range(14):
        audit, threshold, asked, stored, named = a_year(hubs, groups, seed)
        for look_at, hits in named.items():
            told = expected_false_matches(audit, SEARCHES, GALLERY, threshold, look_at=look_at)
            for k in range(-1, groups):
                mine = np.ones(SEARCHES, bool) if k < 0 else asked == k
                theirs = np.ones(GALLERY, bool) if k < 0 else stored == k
                searched, enrolled = told.searched.iloc[k + 1], told.enrolled.iloc[k + 1]
                for row, name, seen in (
                    (searched, "named", hits[mine].sum()),
                    (searched, "chance", hits[mine].any(axis=1).mean()),
                    (enrolled, "named", hits[:, theirs].sum()),
                    (enrolled, "people", hits[:, theirs].any(axis=0).sum()),
                ):
                    assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
                    held.append((name, row[f"{name}_low"] <= seen <= row[f"{name}_high"]))
                    near.append((name, row[name] / seen))
            assert told.enrolled["people"][0] <= told.enrolled["named"][0] * (1 + 1e-9)
            assert told.enrolled["named"][0] == pytest.approx(told.pairs["named"].sum())
        law.append((1 - (1 - hits.mean()) ** SEARCHES) * GALLERY / hits.any(axis=0).sum())
    for name in ("named", "chance", "people"):
        assert np.mean([right for what, right in held if what == name]) > 0.8, name
        assert np.median([x for what, x in near if what == name]) == pytest.approx(1, abs=0.15)
    assert np.mean([right for _, right in held]) > 0.9  # of 250 years of each kind 94 % and more
    if hubs == "strong":
        assert np.median(law) > 1.1, "the binomial law names far too many"


def test_how_many_have_how_many_is_found_again_without_a_shape():
    """One in twenty resembles forty times as many as the others, in a sample of half the size."""
    rng = np.random.default_rng(0)
    size = 1500
    factor = np.where(rng.random(size) < 0.05, 40.0, 1.0)
    chance = np.minimum(2e-4 * np.sqrt(np.outer(factor, factor)), 1)
    hit = np.triu(rng.random((size, size)) < chance, 1)
    counts = counted(hit.astype(float), 0.5, np.zeros(size, int))
    hits = Hits.of(counts)
    fmr = np.array([[hit.sum() * 2 / size / (size - 1)]])
    column = np.full(size, 2.0)
    found = bunching(hits, np.ones(size), column, fmr, 0.95, 5, np.random.default_rng(1))
    coming = 2 * chance.sum(axis=1)
    assert found.mean == pytest.approx(coming.mean(), rel=0.1)
    assert found.spread == pytest.approx(coming.var() / coming.mean() ** 2, rel=0.35)

    def none(many):
        return np.exp(-many)

    low, high = found.range(none)
    assert low < none(coming).mean() < high and low < found.of(none) < high
    assert found.of(none) == pytest.approx(none(coming).mean(), rel=0.05)
    assert none(coming.mean()) < low, "evenly spread they would leave fewer people alone"


def test_the_errors_of_many_images_are_those_of_one_drawn_of_each():
    """Of nine comparisons of two people three are false matches: a third of the searches."""
    units = pd.DataFrame({"subject": ["a", "b", "c"], "group": 0, "images": 3})
    pairs = pd.DataFrame({"unit_a": [0], "unit_b": [1], "errors": [3]})
    hits = Hits.of(ErrorCounts(0.5, ("x",), units, pairs, complete=True))
    assert hits.share.tolist() == [1 / 3, 1 / 3] and hits.a.tolist() == [0, 1]
    listed = pairs.assign(comparisons=3)
    again = Hits.of(ErrorCounts(0.5, ("x",), units, listed, complete=False))
    assert again.share.tolist() == [1, 1]
    assert again.meeting(np.ones(3)).tolist() == [1, 1, 0]


def test_somebody_under_two_labels_never_meets_themselves():
    units = pd.DataFrame({"subject": ["a", "a", "c"], "group": [0, 1, -1], "images": 1})
    pairs = pd.DataFrame({"unit_a": [0, 0], "unit_b": [1, 2], "errors": [1, 1]})
    assert not len(Hits.of(ErrorCounts(0.5, ("x", "y"), units, pairs, complete=True)).share)
