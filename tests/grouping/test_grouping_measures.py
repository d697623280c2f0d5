"""Measures of a grouping: against pair by pair counting, scikit-learn and simulation."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.cluster import pair_confusion_matrix

import facelab as fl
from facelab.grouping.clusters import Grouping
from facelab.grouping.measures import (
    MEASURES,
    clusters_of,
    grouping_accuracy,
    grouping_errors,
    split_people,
)


def grouped(subjects, labels, **columns):
    table = pd.DataFrame({"subject": [str(s) for s in subjects], **columns})
    return Grouping.from_labels(np.asarray(labels), table)


def a_case(seed, faces=120, subjects=25, clusters=30):
    """A subject's faces mostly in one cluster; some faces astray, some without a group."""
    rng = np.random.default_rng(seed)
    subject = rng.integers(0, subjects, faces)
    labels = np.where(rng.random(faces) < 0.6, subject, rng.integers(0, clusters, faces))
    group = np.array(["a", "b", "c"], dtype=object)[subject % 3]
    group[rng.random(faces) < 0.05] = None
    return grouped(subject, labels, group=group)


def by_hand(grouping, inside):
    """Every face beside every other."""
    subject, labels = grouping.table["subject"].to_numpy(object), grouping.labels
    own, together = subject[:, None] == subject, labels[:, None] == labels
    both = own & together
    precision = (both.sum(1) / together.sum(1))[inside].mean()
    recall = (both.sum(1) / own.sum(1))[inside].mean()
    pairs, mated = together.sum(1)[inside] - 1, own.sum(1)[inside] - 1
    right = both.sum(1)[inside] - 1
    most = {s: pd.Series(labels[subject == s]).value_counts().max() for s in np.unique(subject)}
    outside = sum(sum(subject == s) - n for s, n in most.items())
    return {
        "bcubed_precision": precision,
        "bcubed_recall": recall,
        "bcubed_f": 2 / (1 / precision + 1 / recall),
        "pairwise_precision": right.sum() / pairs.sum(),
        "pairwise_recall": right.sum() / mated.sum(),
        "with_strangers": (together & ~own).any(1)[inside].mean(),
    }, outside / len(subject)


@pytest.mark.parametrize("seed", range(5))
def test_every_measure_is_that_of_counting_every_pair(seed):
    grouping = a_case(seed)
    group = grouping.table["group"].to_numpy(object)
    for row in grouping_accuracy(grouping, "group").to_dict("records"):
        inside = group == row["group"] if row["group"] != "all" else np.ones(len(group), bool)
        expected, outside = by_hand(grouping, inside)
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-12), name
        if row["group"] == "all":
            assert row["split_off"] == pytest.approx(outside, abs=1e-12)
        p, r = row["pairwise_precision"], row["pairwise_recall"]
        assert row["pairwise_f"] == pytest.approx(2 * p * r / (p + r), abs=1e-12)
        for name in MEASURES:
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_of_scikit_learn(seed):
    grouping = a_case(seed)
    (_, false), (missed, right) = pair_confusion_matrix(grouping.table["subject"], grouping.labels)
    row = grouping_accuracy(grouping).iloc[0]
    assert row["pairwise_precision"] == pytest.approx(right / (right + false))
    assert row["pairwise_recall"] == pytest.approx(right / (right + missed))
    rates = grouping_errors(grouping).rates().iloc[0]
    assert (2 * rates["false_matches"], 2 * rates["false_non_matches"]) == (false, missed)
    assert rates["fnmr"] == pytest.approx(1 - row["pairwise_recall"])


def test_which_groups_are_merged_is_that_of_counting_every_pair():
    grouping = a_case(7)
    subject = grouping.table["subject"].to_numpy(object)
    group = grouping.table["group"].to_numpy(object)
    errors, compared = {}, {}
    for i, j in itertools.combinations(range(len(subject)), 2):
        if subject[i] != subject[j] and not pd.isna([group[i], group[j]]).any():
            key = tuple(sorted((group[i], group[j])))
            compared[key] = compared.get(key, 0) + 1
            errors[key] = errors.get(key, 0) + (grouping.labels[i] == grouping.labels[j])
    table = grouping_errors(grouping, "group").cross_group()
    assert len(table) == 6
    for row in table.itertuples():
        key = (row.group_a, row.group_b)
        assert (row.non_mated, row.false_matches) == (compared[key], errors[key])


def test_the_worked_example():
    """Two people of three faces; one face of the second sits with the first."""
    grouping = grouped("aaabbb", [0, 0, 0, 0, 1, 1])
    row = grouping_accuracy(grouping).iloc[0]
    assert row["bcubed_precision"] == pytest.approx((3 * 3 / 4 + 1 / 4 + 2) / 6)
    assert row["bcubed_recall"] == pytest.approx((3 + 1 / 3 + 2 * 2 / 3) / 6)
    assert row["pairwise_precision"] == pytest.approx(4 / 7)
    assert row["pairwise_recall"] == pytest.approx(4 / 6)
    assert row["with_strangers"] == pytest.approx(4 / 6)
    assert row["split_off"] == pytest.approx(1 / 6)
    first = clusters_of(grouping).iloc[0]
    assert (first["images"], first["subjects"], first["main_subject"]) == (4, 2, "a")
    assert (first["main_share"], first["false_pairs"]) == (0.75, 3)
    (split,) = split_people(grouping).to_dict("records")
    assert split == {"subject": "b", "images": 3, "clusters": 2, "largest_part": 2 / 3}


def test_a_perfect_grouping_has_no_errors_and_still_an_interval():
    grouping = grouped(np.repeat(np.arange(30), 3), np.repeat(np.arange(30), 3))
    row = grouping_accuracy(grouping).iloc[0]
    for name in MEASURES:
        best = 0.0 if name in ("with_strangers", "split_off") else 1.0
        assert row[name] == best
        assert row[f"{name}_high"] - row[f"{name}_low"] > 0.05
    assert not clusters_of(grouping)["false_pairs"].any()
    assert split_people(grouping).empty


def test_everybody_in_one_cluster_and_nobody_with_anybody():
    subject = np.repeat(np.arange(12), 2)
    one = grouping_accuracy(grouped(subject, np.zeros(24, int))).iloc[0]
    assert one["bcubed_recall"] == 1
    assert one["bcubed_precision"] == pytest.approx(2 / 24)
    assert one["with_strangers"] == 1
    none = grouping_accuracy(grouped(subject, np.arange(24))).iloc[0]
    assert none["bcubed_precision"] == 1
    assert none["bcubed_recall"] == 0.5
    assert np.isnan(none["pairwise_precision"]) and none["pairwise_recall"] == 0


def test_people_with_one_photo_are_noted():
    row = grouping_accuracy(grouped(range(20), range(20))).iloc[0]
    assert np.isnan(row["pairwise_recall"])
    assert "no subject with two faces" in row["note"]
    assert "few subjects (4)" in grouping_accuracy(grouped("abcd", range(4))).iloc[0]["note"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_names_of_clusters_and_order_of_faces_change_nothing(faces):
    subject, labels = np.array(faces).T
    row = grouping_accuracy(grouped(subject, labels)).iloc[0]
    turned = grouping_accuracy(grouped(subject[::-1], (3 - labels)[::-1])).iloc[0]
    for name in MEASURES:
        if name != "split_off":
            assert row[name] == pytest.approx(turned[name], nan_ok=True)


def simulated(rng, people):
    """People who come in households: the households are told apart, those within not always."""
    household = np.arange(people) // 2
    images = rng.integers(1, 6, people)
    merged = rng.random(people // 2) < 0.2
    subject = np.repeat(np.arange(people), images)
    labels = np.where(merged[household[subject]], household[subject], people + subject)
    astray = rng.random(len(subject)) < rng.choice([0.02, 0.3], people)[subject]
    labels[astray] = 10 * people + np.flatnonzero(astray)
    return grouped(subject, labels)


def test_intervals_hold_the_true_value_about_as_often_as_they_say():
    """The true value is that of very many people; pairs and B-cubed are of households here, so
    that it does not depend on how many there are."""
    rng = np.random.default_rng(0)
    truth = grouping_accuracy(simulated(rng, 40_000)).iloc[0]
    held = {name: 0 for name in MEASURES}
    for _ in range(200):
        row = grouping_accuracy(simulated(rng, 120)).iloc[0]
        for name in MEASURES:
            held[name] += row[f"{name}_low"] <= truth[name] <= row[f"{name}_high"]
    for name, times in held.items():
        assert times / 200 >= 0.90, (name, times)


def test_a_missing_label_is_named():
    table = pd.DataFrame({"subject": ["a", "b"]})
    with pytest.raises(fl.BadInput, match="row 1 has no label"):
        Grouping.from_labels(np.array([0.0, np.nan]), table)
    with pytest.raises(fl.BadInput, match="give one label a face"):
        Grouping.from_labels(np.zeros(3), table)
