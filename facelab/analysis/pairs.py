"""Groups two at a time: how much further one errs, and whether that is chance.

In: shares or means by group. Out: differences and ratios with intervals, p-values by Holm over all
pairs, and the smallest difference that these faces would have shown.
"""

from itertools import combinations
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr, stdtrit

from facelab.analysis.tallies import Means, Shares
from facelab.rates.contrasts import holm, lower_ratio

_Z = np.linspace(0, 8, 161)  # standard errors at which intervals are looked at
_POWER = 0.8


def contrasts_of_shares(found: Shares, names: list[str], confidence: float) -> pd.DataFrame:
    """Every two groups' shares, the higher over the lower.

    Intervals are MOVER's (Donner and Zou 2012) of this pair alone, made of the ends that each share
    has by itself; the p-value is that of the interval that just holds no difference, and `p_holm`
    allows for all pairs. Groups are taken as of different people.

    Returns
    -------
    pandas.DataFrame
        `group reference rate reference_rate difference difference_low difference_high ratio
        ratio_low ratio_high p p_holm detectable`, the surest difference first. `detectable`: the
        difference that four of five tests of this size would show, allowing for all pairs.
    """
    rate, number = found.rate[1:], found.effective[1:]  # without everybody
    tries, errors = found.sums.comparisons[1:], found.sums.errors[1:]
    one, other = _ordered(rate)
    p, q = rate[one], rate[other]
    ends = [[end[1:] for end in found.limits(1 - 2 * ndtr(-z))] for z in _Z]
    room = np.array([p - q - np.hypot(p - low[one], high[other] - q) for low, high in ends])
    chance = _chance(room.reshape(len(_Z), len(one)))
    low, high = found.low[1:], found.high[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (errors[one] + errors[other]) / (tries[one] + tries[other])
        spread = np.sqrt(pooled * (1 - pooled) * (1 / number[one] + 1 / number[other]))
        ratio = p / q
        ratio_high = 1 / lower_ratio(q, low[other], p, high[one])
    return _table(
        names, one, other,
        {
            "rate": p, "reference_rate": q, "difference": p - q,
            "difference_low": p - q - np.hypot(p - low[one], high[other] - q),
            "difference_high": p - q + np.hypot(high[one] - p, q - low[other]),
            "ratio": ratio, "ratio_low": lower_ratio(p, low[one], q, high[other]),
            "ratio_high": ratio_high,
        },
        chance, spread, confidence,
    )  # fmt: skip


def _ordered(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every two groups with a value, the higher first."""
    known = np.flatnonzero(np.isfinite(value))
    ordered = known[np.argsort(-value[known], kind="stable")]
    one, other = np.array(list(combinations(ordered, 2)), np.int64).reshape(-1, 2).T
    return one, other


def _chance(room: np.ndarray) -> np.ndarray:
    """P-values of pairs, from how far above zero their intervals begin at each of `_Z`."""
    inside = room <= 0
    first = np.where(inside.any(axis=0), inside.argmax(axis=0), len(_Z) - 1)
    last = np.maximum(first - 1, 0)
    columns = np.arange(room.shape[1])
    above, below = room[last, columns], room[first, columns]
    share = np.where(above > below, above / np.where(above > below, above - below, 1), 0)
    return 2 * ndtr(-(_Z[last] + np.clip(share, 0, 1) * (_Z[first] - _Z[last])))


def contrasts_of_means(found: Means, names: list[str], confidence: float) -> pd.DataFrame:
    """Every two groups' means, the higher less the lower: Welch's interval and p-value, Holm's."""
    mean, error, freedom = (one[1:] for one in (found.mean, found.error, found.freedom))
    one, other = _ordered(np.where(np.isfinite(error), mean, np.nan))
    difference = mean[one] - mean[other]
    spread = np.hypot(error[one], error[other])
    with np.errstate(invalid="ignore", divide="ignore"):
        welch = spread**4 / (
            error[one] ** 4 / np.maximum(freedom[one], 1)
            + error[other] ** 4 / np.maximum(freedom[other], 1)
        )
        p = 2 * stdtr(welch, -np.abs(difference / spread))
        ratio = mean[one] / mean[other]
    half = stdtrit(welch, (1 + confidence) / 2) * spread
    return _table(
        names, one, other,
        {
            "mean": mean[one], "reference_mean": mean[other], "difference": difference,
            "difference_low": difference - half, "difference_high": difference + half,
            "ratio": ratio,
        },
        p, spread, confidence,
    )  # fmt: skip


def _table(
    names: list[str],
    one: np.ndarray,
    other: np.ndarray,
    columns: dict[str, np.ndarray],
    p: np.ndarray,
    spread: np.ndarray,
    confidence: float,
) -> pd.DataFrame:
    groups = np.array(names[1:], object)
    normal = NormalDist()
    least = normal.inv_cdf(1 - (1 - confidence) / 2 / max(len(one), 1)) + normal.inv_cdf(_POWER)
    table = pd.DataFrame(
        {
            "group": groups[one],
            "reference": groups[other],
            **columns,
            "p": p,
            "p_holm": holm(p),
            "detectable": least * spread,
        }
    )
    order = ["p_holm", "p", "difference"]
    return table.sort_values(order, ascending=[True, True, False], ignore_index=True)
