"""Comparisons that were selected by chance: what was seen of them, and what the selection adds.

In: the pairs of units of an `ErrorCounts`, with sums of weights. Out: sums by group, and the
variance of rates over all pairs of these very people.
"""

import numpy as np
import pandas as pd

from facelab.rates.intervals import SelectedSums, Sums

_NONE = 1e-12  # of the variance of one comparison


def columns(weight: np.ndarray, wrong: np.ndarray) -> dict[str, np.ndarray]:
    """What is kept of each comparison beside its weight, to be summed by pair of units."""
    spread = weight * (weight - 1)
    return {
        "compared": np.ones(len(wrong), np.int64),
        "wrong": wrong.astype(np.int64),
        "spread": spread,
        "spread_wrong": wrong * spread,
    }


def by_group(pairs: pd.DataFrame, group: np.ndarray, groups: int, name: str) -> np.ndarray:
    """Sums of a column over everybody and then within each group; `group` -1 is in none."""
    values = pairs[name].to_numpy(np.float64)
    within = np.bincount(group[group >= 0], values[group >= 0], groups)
    return np.append(values.sum(), within)


def of_these_people(pairs: pd.DataFrame, group: np.ndarray, sums: Sums) -> SelectedSums:
    """The same rates, with the variance that the selection of comparisons alone gives them.

    Of a ratio of Horvitz and Thompson's totals, selected one by one: the sum over what was drawn
    of w (w - 1) (e - p)^2, over the squared number of all comparisons.
    """
    groups = len(sums.rate) - 1
    spread, wrong = (by_group(pairs, group, groups, name) for name in ("spread", "spread_wrong"))
    rate = np.nan_to_num(sums.rate)
    total = np.where(sums.comparisons > 0, sums.comparisons, 1)
    variance = ((1 - 2 * rate) * wrong + rate**2 * spread) / total**2
    # Where all were made there is none; as little as tells that from not knowing it.
    variance = np.maximum(variance, _NONE * rate * (1 - rate))
    return SelectedSums(*sums._replace(variance=variance, plain=variance))
