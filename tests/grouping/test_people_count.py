"""The number of people without labels: what the estimator comes to where it must be right."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import facelab as fl
from facelab.grouping.people import number_of_people, one_of


@pytest.mark.parametrize("p", [0.6, 0.8, 0.97, 1.0])
@pytest.mark.parametrize("m", [1, 2, 3, 7, 30])
def test_the_share_of_a_person_is_estimated_without_bias(m, p):
    d = np.arange(m)
    assert (binom.pmf(d, m - 1, p) * one_of(d, p)).sum() == pytest.approx(1 / m)


@pytest.mark.parametrize("p", [0.6, 0.9])
def test_pairs_of_photos_are_counted_as_by_the_published_estimator(p):
    """Chen, Shrivastava & Steorts: a matched pair counts (2p - 1) / p, a single photo 1."""
    assert 2 * one_of(np.array([1]), p)[0] == pytest.approx((2 * p - 1) / p)
    assert one_of(np.array([0]), p)[0] == pytest.approx(1)


def crowd(images, spread, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(images), 128)) / np.sqrt(128)
    subject = np.repeat(np.arange(len(images)), images)
    vectors = centres[subject] + spread * rng.standard_normal((len(subject), 128)) / np.sqrt(128)
    return fl.Embeddings.from_arrays(vectors, pd.DataFrame({"subject": subject.astype(str)}))


@pytest.mark.parametrize("spread", [0.6, 1.0])
def test_the_number_of_people_is_found_where_misses_are_chance(spread):
    images = np.random.default_rng(1).geometric(0.4, 500)
    some = crowd(images, spread)
    count = number_of_people(some)
    assert count.people == pytest.approx(500, rel=0.03)
    assert count.note == ""
    hidden = fl.Embeddings(some.vectors, some.table.assign(subject="unknown"))
    assert number_of_people(hidden) == count
    assert number_of_people(some, count.threshold).people == count.people


def test_one_photo_each_is_as_many_people_as_photos():
    count = number_of_people(crowd(np.ones(400, int), 1.0))
    assert count.people == pytest.approx(400, rel=0.02)
    assert "hardly anybody" in count.note


def test_where_most_matches_are_missed_the_estimate_says_so():
    count = number_of_people(crowd(np.full(150, 6), 1.3))
    assert count.found < 0.85
    assert "far too high" in count.note
    assert count.people > 160
    assert "far too high" in repr(count)
