"""Intervals of FNMR at the image counts of real people: a few have most of the photos."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from facelab.rates.counts import mated_sums
from facelab.rates.intervals import small_sample_wilson

TESTS = 1000


def held(images, truth, rng, together=0.45):
    """How often the interval holds the rate, over tests of people with so many photos."""
    pairs = images * (images - 1) // 2
    hard = rng.normal(size=(TESTS, len(images))) * np.sqrt(together)
    missed = rng.binomial(pairs, norm.cdf((norm.ppf(truth) + hard) / np.sqrt(1 - together)))
    test = np.repeat(np.arange(TESTS), len(images))
    sums = mated_sums(
        np.tile(pairs, TESTS).astype(float), missed.ravel().astype(float), test, TESTS
    )
    low, high = small_sample_wilson(sums)
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.real
@pytest.mark.parametrize("truth", [0.02, 0.08, 0.2])
def test_every_group_of_lfw_keeps_its_word(real, truth):
    labels = pd.read_csv(real / "lfw" / "labels.csv").dropna(subset=["race", "gender"])
    rng, told = np.random.default_rng(0), {}
    for group, part in labels.groupby(["race", "gender"]):
        images = part.groupby("identity").size().to_numpy()
        if len(images) >= 8 and (images > 1).any():
            told[group] = held(images, truth, rng)
    assert len(told) >= 6
    assert min(told.values()) >= 0.93, told


@pytest.mark.parametrize("images", [[21, 2] + [1] * 6, [60] + [3] * 15, [100, 40] + [2] * 36])
@pytest.mark.parametrize("truth", [0.02, 0.08, 0.2])
def test_one_person_with_most_of_the_photos_is_not_forgotten(images, truth):
    assert held(np.array(images), truth, np.random.default_rng(1)) >= 0.93
