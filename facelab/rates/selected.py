"""Comparisons that were selected by chance: what was seen of them, and what the selection adds.

In: the pairs of units of an `ErrorCounts`, with sums of weights. Out: sums by group, and the
variance of rates over all pairs of these very people.
"""

import numpy as np
import pandas as pd

from facelab.errors import BadInput
from facelab.rates.intervals import SelectedSums, Sums
from facelab.rates.products import effective

_NONE = 1e-12  # of the variance of one comparison


def columns(
    weight: np.ndarray, wrong: np.ndarray, mated: np.ndarray, stratum: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """What is kept of each comparison beside its weight, to be summed by pair of units.

    Without strata every comparison was selected for itself; from a stratum a number of them was,
    so that only how errors scatter within it makes rates vary.
    """
    spread = weight * (weight - 1)
    kept = {
        "compared": np.ones(len(wrong), np.int64),
        "wrong": wrong.astype(np.int64),
        "spread": spread,
        "spread_wrong": wrong * spread,
    }
    if stratum is not None:
        place = np.unique(2 * stratum + mated, return_inverse=True)[1]
        many = np.bincount(place)[place]
        # One of a stratum tells nothing of its scatter: it is taken with all of its kind.
        usual = np.where(many > 1, _mean(wrong, weight, place), _mean(wrong, weight, mated * 1))
        kept["spread_within"] = spread * (wrong - usual) ** 2 * many / np.maximum(many - 1, 1)
    return kept


def _mean(wrong: np.ndarray, weight: np.ndarray, place: np.ndarray) -> np.ndarray:
    return (np.bincount(place, weight * wrong) / np.maximum(np.bincount(place, weight), 1))[place]


def by_strata(sums: Sums, pairs: pd.DataFrame, one: np.ndarray, other: np.ndarray) -> Sums:
    """Sums of pairs of groups, their variance without what strata took out of the selection.

    `one` and `other` are the groups of the listed pairs, by place in the matrices of `sums`.
    """
    if "spread_within" not in pairs.columns:
        return sums
    size = len(sums.comparisons)
    within, wrong, spread = (
        by_pair_of_groups(pairs, one, other, size, name)
        for name in ("spread_within", "spread_wrong", "spread")
    )
    rate, total = np.nan_to_num(sums.rate), np.where(sums.comparisons > 0, sums.comparisons, 1)
    taken = (1 - 2 * rate) * wrong + rate**2 * spread - within
    variance, plain = (
        np.maximum(part - taken / total**2, within / total**2)
        for part in (sums.variance, sums.plain)
    )
    return sums._replace(variance=variance, plain=plain)


def by_group(pairs: pd.DataFrame, group: np.ndarray, groups: int, name: str) -> np.ndarray:
    """Sums of a column over everybody and then within each group; `group` -1 is in none."""
    return _sums(pairs[name].to_numpy(np.float64), group, groups)


def _sums(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    within = np.bincount(group[group >= 0], values[group >= 0], groups)
    return np.append(values.sum(), within)


def by_pair_of_groups(
    pairs: pd.DataFrame, one: np.ndarray, other: np.ndarray, size: int, name: str
) -> np.ndarray:
    """Sums of a column by pair of groups, in the upper triangle; group -1 is in none."""
    known, found = (one >= 0) & (other >= 0), np.zeros((size, size))
    at = np.minimum(one, other)[known], np.maximum(one, other)[known]
    np.add.at(found, at, pairs[name].to_numpy(np.float64)[known])
    return found


def refuse_selected(pairs: pd.DataFrame, what: str, instead: str = "compare all faces") -> None:
    """Refuse what has no meaning for comparisons that stand for others."""
    if "compared" in pairs.columns:
        raise BadInput(
            f"{what} needs comparisons that stand for themselves, not ones with weights, which "
            f"were selected by chance: {instead}"
        )


def of_these_people(pairs: pd.DataFrame, group: np.ndarray, sums: Sums) -> SelectedSums:
    """The same rates, with the variance that the selection of comparisons alone gives them.

    Of a ratio of Horvitz and Thompson's totals, selected one by one: the sum over what was drawn
    of w (w - 1) (e - p)^2, over the squared number of all comparisons; p is the stratum's where
    there are strata.
    """
    groups = len(sums.rate) - 1
    rate = np.nan_to_num(sums.rate)
    total = np.where(sums.comparisons > 0, sums.comparisons, 1)
    if "spread_within" in pairs.columns:
        term = pairs["spread_within"].to_numpy(np.float64)
        told, squares = _sums(term, group, groups), _sums(term**2, group, groups)
    else:
        wrong, spread = (pairs[name].to_numpy(np.float64) for name in ("spread_wrong", "spread"))
        of_all, *of_groups = ((1 - 2 * p) * wrong + p**2 * spread for p in rate)
        # A group's pairs with the group's rate.
        term = np.stack([of_all, *of_groups])
        own = np.vstack([np.ones(len(group), bool), group == np.arange(groups)[:, None]])
        told, squares = (term * own).sum(axis=1), (term**2 * own).sum(axis=1)
    # Where all were made there is none; as little as tells that from not knowing it.
    variance = np.maximum(told / total**2, _NONE * rate * (1 - rate))
    together = effective(told, squares)
    return SelectedSums(*sums._replace(variance=variance, plain=variance, effective=together))
