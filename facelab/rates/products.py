"""Small sums behind the variance of error rates: over all pairs of nodes, and of their powers.

In: arrays by node or by pair of nodes. Out: arrays by group or by pair of groups.
"""

from typing import NamedTuple

import numpy as np


class NonMated(NamedTuple):
    """Pairs of nodes that met: all that did, unless `images` says that everybody met everybody."""

    a: np.ndarray
    b: np.ndarray
    errors: np.ndarray
    comparisons: np.ndarray
    images: np.ndarray | None
    nodes: int


def every_pair(one: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Sums of products over all pairs of nodes, from sums and sums of squares, by groups."""
    result = np.triu(np.outer(one, one)).astype(np.float64)
    np.fill_diagonal(result, (one**2 - squared) / 2)
    return result


def effective(squares: np.ndarray, fourths: np.ndarray) -> np.ndarray:
    """(sum u^2)^2 / sum u^4: 1 where there is nothing to see."""
    return np.where(fourths > 0, squares**2 / np.where(fourths > 0, fourths, 1), 1.0)


def one_subject_pairs(subject: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Pairs of labelled units that are one subject under two labels: int64 (n, 2), mostly empty."""
    known = np.flatnonzero(group >= 0)
    order = known[np.argsort(subject[known], kind="stable")]
    runs = np.split(order, np.flatnonzero(np.diff(subject[order])) + 1)
    found = [(x, y) for run in runs for i, x in enumerate(run) for y in run[i + 1 :]]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def merged(
    a: np.ndarray, b: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the columns of `values` that belong to the same unordered pair."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    base = int(high.max(initial=0)) + 1
    keys, place = np.unique(low * base + high, return_inverse=True)
    sums = np.stack([np.bincount(place, row, minlength=len(keys)) for row in values])
    return keys // base, keys % base, sums


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Errors over comparisons; NaN where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def evened(
    comparisons: np.ndarray, errors: np.ndarray, weights: str
) -> tuple[np.ndarray, np.ndarray]:
    """Comparisons and errors of each subject, or with weights "subjects" one and its rate."""
    if weights == "comparisons":
        return comparisons, errors
    some = comparisons > 0
    return some.astype(np.float64), errors / np.where(some, comparisons, 1)


_Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def weighed(
    images: np.ndarray | None, pairs: _Pairs, weights: str
) -> tuple[np.ndarray | None, _Pairs]:
    """The same for pairs of nodes: what `non_mated_sums` takes."""
    if weights == "comparisons":
        return images, pairs
    a, b, errors, comparisons = pairs
    if comparisons is None:
        return np.ones(len(images)), (a, b, errors / (images[a] * images[b]), None)
    ones, shares = evened(comparisons, errors, weights)
    return images, (a, b, shares, ones)


def lifted(residuals: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Residuals over 1 - their subject's share of the comparisons, as a jackknife has them.

    The rate follows whoever has most comparisons, so that their residual hides how far they stand
    from all others. Who has all the comparisons has no residual.
    """
    return np.where(shares < 1, residuals / np.where(shares < 1, 1 - shares, 1), 0)


def in_whole(numbers: np.ndarray) -> np.ndarray:
    """Counts, or sums of weights, as whole numbers."""
    return np.rint(numbers).astype(np.int64)
