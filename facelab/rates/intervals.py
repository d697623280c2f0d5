"""Intervals of error rates: Wilson's, with a variance that respects subjects.

In: comparisons, errors and the variance of their ratio. Out: both ends.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit


class Sums(NamedTuple):
    """Comparisons, errors, the variance of their ratio, and how little that variance rests on.

    Numbers of people are effective ones, 1 / sum of squared shares of the comparisons: one person
    with nearly all the comparisons of a group is one, whoever else is in it.
    """

    comparisons: np.ndarray
    errors: np.ndarray
    variance: np.ndarray  # leverage-corrected, as a jackknife over subjects has it
    subjects: np.ndarray  # effective number of those who take part
    independent: np.ndarray  # effective number of pairs of subjects, or of subjects for FNMR
    effective: np.ndarray  # equally large independent terms that the variance is made of
    largest: np.ndarray  # share of the comparisons of whoever takes part in most
    plain: np.ndarray  # the variance by the plug-in estimator of arXiv 2306.01198

    @property
    def rate(self) -> np.ndarray:
        """Errors over comparisons; NaN where there are none."""
        n = np.where(self.comparisons > 0, self.comparisons, np.nan)
        return self.errors / n

    @property
    def usable(self) -> np.ndarray:
        """Where the variance tells something: neither no errors nor nothing else."""
        inside = (self.errors > 0) & (self.errors < self.comparisons)
        return inside & (self.variance > 0)

    @property
    def freedom(self) -> np.ndarray:
        """Degrees of freedom of the variance: half of Satterthwaite's, see `small_sample_wilson`.

        No more than there are people, less one.
        """
        most = np.maximum(self.subjects - 1, 1)
        gap = 1 / np.maximum(self.effective, 1) - 1 / np.maximum(self.subjects, 1)
        return np.clip(1 / np.maximum(gap, 1 / most), 1, most)

    @property
    def number(self) -> np.ndarray:
        """Effective number of comparisons: so many independent ones would tell as much.

        p (1 - p) / Var where there are errors. A group without any (or with nothing else) takes
        over from the others, given in the same arrays, how many comparisons tell as much as one;
        two errors in which all comparisons of two people (of one, for FNMR) go together are added
        to what was seen of that, so that where there is nothing to take over people count.
        """
        return self._number(self.comparisons)

    def _number(self, made: np.ndarray) -> np.ndarray:
        p, usable = self.rate, self.usable
        with np.errstate(invalid="ignore", divide="ignore"):
            number = np.where(usable, p * (1 - p) / self.variance, np.nan)
            bunch = made / number
            weight = np.where(usable, np.minimum(p, 1 - p) * number, 0)
            together = made / np.maximum(self.independent, 1)
        seen = np.nansum(weight * np.maximum(bunch, 1))
        taken = (seen + 2 * np.maximum(together, 1)) / (weight.sum() + 2)
        number = np.where(usable, number, made / taken)
        return np.where(self.comparisons > 0, number, np.nan)


class SelectedSums(Sums):
    """Sums of weights: how many comparisons they stand for says nothing of how many were made."""

    __slots__ = ()

    @property
    def number(self) -> np.ndarray:
        """As of `Sums`, of the effective number of those that were made (Kish)."""
        return self._number(self.independent)


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


def small_sample_wilson(
    sums: Sums, confidence: float = 0.95, share: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval that allows for a variance estimated from few subjects.

    Two changes to `wilson`. The normal quantile gives way to Student's with half of Satterthwaite's
    degrees of freedom: Var is a sum of squares u^2, whose own variance is about sum u^4 -
    (sum u^2)^2 / n, so that Satterthwaite's are 2 / (1/G - 1/n), G = (sum u^2)^2 / sum u^4; half,
    because errors are skewed: a test that misses the few people who err most has a low rate and a
    low variance at once. And with no error (or nothing else) only pairs of subjects, or subjects
    for FNMR, count as independent, not comparisons; of these the effective number.

    `share` is that half. Of comparisons that were selected by chance it is 1: they meet the same
    people less often, so that their errors bunch less.
    """
    usable = sums.usable
    number = np.where(usable, sums.number, sums.independent)
    z = np.where(
        usable,
        stdtrit(2 * share * sums.freedom, (1 + confidence) / 2),
        NormalDist().inv_cdf((1 + confidence) / 2),
    )
    return wilson_limits(sums.rate, number, z)


def wilson_limits(
    p: np.ndarray, number: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's limits of rates `p` of so many independent comparisons, z standard errors away."""
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = p + z**2 / (2 * number)
        half = z * np.sqrt((p * (1 - p) + z**2 / (4 * number)) / number)
        scale = 1 + z**2 / number
        low, high = (centre - half) / scale, (centre + half) / scale
    # The ends at 0 and 1, to the last bit.
    low = np.where(p == 0, 0 * number, np.maximum(low, 0))
    return low, np.where(p == 1, 1 + 0 * number, np.minimum(high, 1))


def interval(
    sums: Sums, confidence: float = 0.95, small_samples: bool = False, weighted: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of each ratio: the paper's, or the one that allows for few subjects.

    Of weighted comparisons it is always the second, with all of Satterthwaite's degrees of freedom.
    """
    if weighted:
        return small_sample_wilson(sums, confidence, 1.0)
    if small_samples:
        return small_sample_wilson(sums, confidence)
    return wilson(sums.comparisons, sums.errors, sums.plain, confidence)
