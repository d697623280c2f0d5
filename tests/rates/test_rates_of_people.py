"""The interval of a rate over people: searched, presented, told from their mates."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest

from facelab.rates.intervals import small_sample_wilson
from facelab.rates.persons import interval_of_people, sums_of_people

RUNS = 2000


def chances(rate, shape, spread, rng):
    """Everybody's own chance of an error: a few people err most as `spread` grows; 1 is all."""
    if spread == 1:
        return (rng.random(shape) < rate).astype(float)
    hard = rng.standard_normal(shape)
    return ndtr((np.sqrt(spread) * hard - ndtri(1 - rate)) / np.sqrt(1 - spread))


@pytest.mark.parametrize("people", [8, 20, 40, 100, 400])
@pytest.mark.parametrize("images", ["one", "five", "one to nine", "one person has a third"])
def test_the_interval_holds_the_rate_however_errors_bunch(people, images):
    tries = {
        "one": np.ones(people),
        "five": np.full(people, 5.0),
        "one to nine": 1.0 + np.arange(people) % 9,
        "one person has a third": np.append(np.full(people - 1, 2.0), people),
    }[images][:, None]
    rng = np.random.default_rng(people)
    for rate in (0.02, 0.2, 0.5):
        for spread in (0, 0.5, 1):
            own = chances(rate, (people, RUNS), spread, rng)
            errors = rng.binomial(tries.astype(int), own).astype(float)
            low, high = interval_of_people(np.broadcast_to(tries, errors.shape), errors)
            held = ((low <= rate) & (rate <= high)).mean()
            assert held > 0.915, (rate, spread, held)


@pytest.mark.parametrize("wrong", [0, 1, 2, 7, 30])
def test_with_one_try_each_neither_end_lies_beyond_the_exact_test(wrong):
    errors = np.zeros((30, 1))
    errors[:wrong] = 1
    low, high = interval_of_people(np.ones((30, 1)), errors)
    exact = binomtest(wrong, 30).proportion_ci()
    assert exact.low - 1e-9 <= low[0] and high[0] <= exact.high + 1e-9
    if wrong == 1:  # where a variance that one error makes says next to nothing
        assert small_sample_wilson(sums_of_people(np.ones((30, 1)), errors))[1][0] > 0.6
        assert high[0] == pytest.approx(exact.high)


def test_what_is_asked_twice_of_everybody_says_no_more():
    errors = (np.arange(50) < 4).astype(float)[:, None]
    once = interval_of_people(np.ones((50, 1)), errors)
    twice = interval_of_people(np.full((50, 1), 2.0), 2 * errors)
    assert np.ravel(twice) == pytest.approx(np.ravel(once))


def test_nobody_tried_is_no_interval_and_nothing_but_errors_ends_at_one():
    tries = np.array([[0.0, 3.0, 1.0], [0.0, 2.0, 1.0]])
    low, high = interval_of_people(tries, tries * [1, 1, 0])
    assert np.isnan(low[0]) and np.isnan(high[0])
    assert 0 < low[1] < high[1] == 1
    assert low[2] == 0 < high[2] < 1
