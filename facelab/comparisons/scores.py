"""A list of scored pairs, and what it has in common with all pairs (`all_pairs`).

In: a frame of scores. Out: score histograms, the errors at a threshold, and the smallest threshold
that satisfies a condition, exact to the score.
"""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.rates import selected
from facelab.rates.counts import ErrorCounts

_LIST_BINS = 8192
# From false matches and false non-matches, at ascending thresholds, to whether each is high enough.
# False matches fall and false non-matches rise, so the answer turns from no to yes once.
Enough = Callable[[np.ndarray, np.ndarray], np.ndarray]
_ROUNDING = 1e-12  # of sums of weights
EVERY_PAIR, SAME_GROUP = -1, -2  # instead of the number of one group


def chosen(group: int, buckets: int) -> np.ndarray:
    """Which buckets a question is about: one group's, all groups', or all."""
    picks = np.full(buckets, group < 0)
    if group == SAME_GROUP:
        picks[-1] = False
    elif group >= 0:
        picks[group] = True
    return picks


class Histogram(NamedTuple):
    """Scores counted in bins [edge, next edge): ``counts[bucket, mated, bin]``, int64.

    Of weighted comparisons they are float64, sums of weights.

    A bucket is a group; the last one holds the pairs that are not within a group.
    """

    edges: np.ndarray
    counts: np.ndarray

    def scope(self, group: int) -> np.ndarray:
        """Counts (mated, bin) of one group, `EVERY_PAIR` or `SAME_GROUP`."""
        return self.counts[chosen(group, len(self.counts))].sum(axis=0)


class ScoreList:
    """Listed comparisons.

    The frame has `score mated subject_a subject_b`, and may have `group_a group_b image_a image_b`
    and `weight`, 1 / the chance that a comparison was selected, and `stratum`.
    """

    def __init__(self, frame: pd.DataFrame, groups: tuple[str, ...]) -> None:
        self.groups = groups
        self._score = frame["score"].to_numpy()
        self._mated = frame["mated"].to_numpy(dtype=bool)
        self._weight = frame["weight"].to_numpy(np.float64) if "weight" in frame else None
        self._stratum = frame["stratum"].to_numpy() if "stratum" in frame else None
        people = []
        for side in ("a", "b"):
            label = frame.get(f"group_{side}", pd.Series(None, index=frame.index, dtype=object))
            code = pd.Categorical(label, categories=list(groups)).codes.astype(np.int64)
            image = frame.get(f"image_{side}", pd.Series(np.nan, index=frame.index))
            people.append(
                pd.DataFrame({"subject": frame[f"subject_{side}"], "group": code, "image": image})
            )
        both = pd.concat(people, ignore_index=True)
        units = both.groupby(["group", "subject"], sort=True)
        unit = units.ngroup().to_numpy()
        self.units = units["image"].nunique().rename("images").reset_index()
        self.units = self.units[["subject", "group", "images"]]
        a, b = unit[: len(frame)], unit[len(frame) :]
        self._unit_a, self._unit_b = np.minimum(a, b), np.maximum(a, b)
        same = people[0]["group"].to_numpy() == people[1]["group"].to_numpy()
        known = people[0]["group"].to_numpy() >= 0
        self._bucket = np.where(same & known, people[0]["group"].to_numpy(), len(groups))

    @property
    def weighted(self) -> bool:
        """Whether comparisons stand for others that were not made."""
        return self._weight is not None

    def sizes(self) -> tuple[int, int]:
        """Mated and non-mated comparisons that were made."""
        mated = int(self._mated.sum())
        return mated, len(self._mated) - mated

    @property
    def _worth(self) -> np.ndarray:
        """How many comparisons each stands for."""
        if self._weight is None:
            return np.ones(len(self._mated), dtype=np.int64)
        return self._weight

    @cached_property
    def histogram(self) -> Histogram:
        low, high = float(self._score.min()), float(self._score.max())
        span = high - low or 1.0
        edges = np.append(np.linspace(low, high, _LIST_BINS), high + span / _LIST_BINS)
        place = np.searchsorted(edges, self._score, side="right") - 1
        worth = self._worth
        counts = np.zeros((len(self.groups) + 1, 2, len(edges) - 1), dtype=worth.dtype)
        np.add.at(counts, (self._bucket, self._mated.astype(int), place), worth)
        return Histogram(edges, counts)

    def errors(self, t: float) -> ErrorCounts:
        # float64 against a float32 score compares the numbers themselves, as the tiles do.
        wrong = (self._score.astype(np.float64) >= t) != self._mated
        worth = self._worth
        columns = {"errors": wrong * worth, "comparisons": worth}
        if self.weighted:
            columns |= selected.columns(worth, wrong, self._mated, self._stratum)
        pairs = pd.DataFrame({"unit_a": self._unit_a, "unit_b": self._unit_b, **columns})
        pairs = pairs.groupby(["unit_a", "unit_b"], as_index=False).sum()
        return ErrorCounts(t, self.groups, self.units, pairs, complete=False)

    def smallest(self, group: int, enough: Enough) -> tuple[float, float, float]:
        """The smallest threshold that is `enough`, and the two errors at it.

        The answer can turn only just above a score, in the scores' own precision.
        """
        inside = chosen(group, len(self.groups) + 1)[self._bucket]
        values, place = np.unique(self._score[inside], return_inverse=True)
        worth = self._worth[inside]
        counts = np.zeros((2, len(values)), dtype=worth.dtype)
        np.add.at(counts, (self._mated[inside].astype(int), place), worth)
        false_matches, false_non_matches = tails(counts)
        turn = int(np.argmax(enough(false_matches, false_non_matches)))
        t = values[0] if turn == 0 else np.nextafter(values[turn - 1], values.dtype.type(np.inf))
        return float(t), false_matches[turn].item(), false_non_matches[turn].item()


def tails(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False matches and false non-matches with the threshold at each bin's edge, and past the last.

    `counts` is (mated, bin); both results are of its type, (bins + 1,).
    """
    non_mated, mated = counts
    false_matches = np.append(np.cumsum(non_mated[::-1])[::-1], 0)
    return false_matches, np.append(0, np.cumsum(mated))


def allowed_errors(fmr: float, comparisons: float) -> float:
    """The most false matches k for which k / comparisons <= fmr holds as written.

    Of weighted comparisons, sums of weights, there need not be whole ones.
    """
    if isinstance(comparisons, float):
        return fmr * comparisons * (1 + _ROUNDING)
    allowed = int(fmr * comparisons)
    while (allowed + 1) / comparisons <= fmr:
        allowed += 1
    while allowed / comparisons > fmr:
        allowed -= 1
    return allowed
