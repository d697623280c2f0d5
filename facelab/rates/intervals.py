"""Intervals of error rates: Wilson's, with a variance that respects subjects.

In: comparisons, errors and the variance of their ratio. Out: both ends.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit


class Sums(NamedTuple):
    """Comparisons, errors, the variance of their ratio, and how little that variance rests on."""

    comparisons: np.ndarray
    errors: np.ndarray
    variance: np.ndarray
    subjects: np.ndarray  # who take part
    independent: np.ndarray  # pairs of subjects, or subjects for FNMR
    effective: np.ndarray  # equally large independent terms that the variance is made of


def wilson(
    comparisons: np.ndarray, errors: np.ndarray, variance: np.ndarray, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval with the effective sample size p(1-p)/Var (arXiv 2306.01198).

    A single error (or all but one) moves the end nearest to it to -log(confidence)/n, as the
    paper's code does (after Brown, Cai and DasGupta 2001). Where the variance is zero although
    errors and successes occur, the comparisons are taken as independent.
    """
    n = np.where(comparisons > 0, comparisons, np.nan)
    p = errors / n
    usable = (p > 0) & (p < 1) & (variance > 0)
    n_eff = np.where(usable, p * (1 - p) / np.where(usable, variance, 1), n)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = p + z**2 / (2 * n_eff)
    half = z * np.sqrt((p * (1 - p) + z**2 / (4 * n_eff)) / n_eff)
    scale = 1 + z**2 / n_eff
    low, high = (centre - half) / scale, (centre + half) / scale
    nudge = -np.log(confidence) / n
    low = np.where(errors == 0, 0 * n, np.where((errors == 1) & (n > 1), nudge, low))
    nearly = (errors == n - 1) & (errors > 1)
    high = np.where(errors == n, 1, np.where(nearly, 1 - nudge, high))
    return low, high


def small_sample_wilson(sums: Sums, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval that allows for a variance estimated from few subjects.

    Two changes to `wilson`. The normal quantile gives way to Student's with half of Satterthwaite's
    degrees of freedom: Var is a sum of squares u^2, whose own variance is about sum u^4 -
    (sum u^2)^2 / n, so that Satterthwaite's are 2 / (1/G - 1/n), G = (sum u^2)^2 / sum u^4; half,
    because errors are skewed: a test that misses the few people who err most has a low rate and a
    low variance at once. And with no error (or nothing else) only pairs of subjects, or subjects
    for FNMR, count as independent, not comparisons.
    """
    n = np.where(sums.comparisons > 0, sums.comparisons, np.nan)
    p = sums.errors / n
    usable = (p > 0) & (p < 1) & (sums.variance > 0)
    n_eff = np.where(usable, p * (1 - p) / np.where(usable, sums.variance, 1), sums.independent)
    most = np.maximum(sums.subjects - 1, 1)
    gap = 1 / np.maximum(sums.effective, 1) - 1 / np.maximum(sums.subjects, 1)
    freedom = np.clip(1 / np.maximum(gap, 1 / most), 1, most)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    z = np.where(usable, stdtrit(freedom, (1 + confidence) / 2), z)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = p + z**2 / (2 * n_eff)
        half = z * np.sqrt((p * (1 - p) + z**2 / (4 * n_eff)) / n_eff)
        scale = 1 + z**2 / n_eff
        low, high = (centre - half) / scale, (centre + half) / scale
    # The ends at 0 and 1, to the last bit.
    low = np.where(sums.errors == 0, 0 * n, np.maximum(low, 0))
    high = np.where(sums.errors == sums.comparisons, 1 + 0 * n, np.minimum(high, 1))
    return low, high


def interval(
    sums: Sums, confidence: float = 0.95, small_samples: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of each ratio: the paper's, or the one that allows for few subjects."""
    if small_samples:
        return small_sample_wilson(sums, confidence)
    return wilson(sums.comparisons, sums.errors, sums.variance, confidence)
