"""Where scores come from: all pairs of embeddings tile by tile, or a list of scored pairs.

In: vectors and who they are, or a frame of scores. Out, the same from both: score histograms, the
errors at a threshold, and the smallest threshold that satisfies a condition, exact to the score.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab import kernels
from facelab.error_rates import ErrorCounts
from facelab.progress import bar

TILE = 2048
KEEP_PAIRS = 50_000_000  # scores kept in memory between passes: 200 MB
_ORDINAL_BINS = 1 << 16
_LIST_BINS = 8192
_SHOW_TILES = 64

# From false matches and false non-matches, at ascending thresholds, to whether each is high enough.
# False matches fall and false non-matches rise, so the answer turns from no to yes once.
Enough = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Histogram(NamedTuple):
    """Scores counted in bins [edge, next edge): int64 ``counts[bucket, mated, bin]``.

    A bucket is a group; the last one holds the pairs that are not within a group.
    """

    edges: np.ndarray
    counts: np.ndarray

    def scope(self, group: int) -> np.ndarray:
        """Counts (mated, bin) within a group, or of everything (-1)."""
        return self.counts.sum(axis=0) if group < 0 else self.counts[group]


class AllPairs:
    """Every pair of embeddings, scored tile by tile.

    Tiles that fit in `KEEP_PAIRS` scores altogether are kept, so that later passes multiply no
    more; otherwise a pass holds one tile.
    """

    def __init__(
        self, vectors: np.ndarray, subject: np.ndarray, labels: pd.Series, tile: int = TILE
    ) -> None:
        self.groups = tuple(labels.cat.categories)
        names, codes = np.unique(subject, return_inverse=True)
        group = labels.cat.codes.to_numpy().astype(np.int64)
        # Sorted by group and subject, so that a tile holds few units and a unit is one run of rows.
        self._order = np.lexsort((codes, group))
        codes, group = codes[self._order].astype(np.int64), group[self._order]
        new = np.r_[True, (np.diff(codes) != 0) | (np.diff(group) != 0)]
        self._side = kernels.Side(codes, group, np.cumsum(new) - 1)
        first = np.flatnonzero(new)
        self.units = pd.DataFrame(
            {
                "subject": names[codes[first]],
                "group": group[first],
                "images": np.diff(np.r_[first, len(codes)]),
            }
        )
        self._vectors, self._tile = vectors, tile
        self._keep = len(codes) * (len(codes) - 1) // 2 <= KEEP_PAIRS
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def _tiles(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """The upper triangle in tiles: first row, first column, float32 scores."""
        starts = range(0, len(self._order), self._tile)
        total = len(starts) * (len(starts) + 1) // 2
        with bar(total=total, desc="comparing", unit="tile", show=total > _SHOW_TILES) as progress:
            for i in starts:
                left = None
                for j in starts[i // self._tile :]:
                    scores = self._kept.get((i, j))
                    if scores is None:
                        left = self._rows(i) if left is None else left
                        right = left if i == j else self._rows(j)
                        scores = (left @ right.T).astype(np.float32)
                        if self._keep:
                            self._kept[i, j] = scores
                    yield i, j, scores
                    progress.update()

    def _rows(self, start: int) -> np.ndarray:
        return self._vectors[self._order[start : start + self._tile]].astype(np.float64)

    def _side_of(self, start: int) -> kernels.Side:
        subject, group, unit = (part[start : start + self._tile] for part in self._side)
        return kernels.Side(subject, group, unit - unit[0])

    @cached_property
    def histogram(self) -> Histogram:
        counts = np.zeros((len(self.groups) + 1, 2, kernels.BINS), dtype=np.int64)
        for i, j, scores in self._tiles():
            kernels.count_bins(scores, self._side_of(i), self._side_of(j), i == j, counts)
        return Histogram(kernels.bin_edges(), counts)

    def errors(self, t: float) -> ErrorCounts:
        found = []
        for i, j, scores in self._tiles():
            rows, columns = self._side_of(i), self._side_of(j)
            grid = np.zeros((rows.unit[-1] + 1, columns.unit[-1] + 1), dtype=np.int64)
            kernels.count_errors(scores, rows, columns, i == j, t, grid)
            a, b = np.nonzero(grid)
            unit = self._side.unit
            found.append(np.stack([a + unit[i], b + unit[j], grid[a, b]]))
        a, b, errors = np.concatenate(found, axis=1)
        # A unit that lies across two tiles was counted in parts.
        pairs = pd.DataFrame({"unit_a": a, "unit_b": b, "errors": errors})
        pairs = pairs.groupby(["unit_a", "unit_b"], as_index=False).sum()
        return ErrorCounts(t, self.groups, self.units, pairs, complete=True)

    def smallest(self, group: int, enough: Enough) -> tuple[float, int, int]:
        """The smallest float32 threshold that is `enough`, and the two errors at it.

        The histogram finds the bin in which the answer turns; passes over the scores in that bin,
        counted by their place among all float32, narrow it down to one number.
        """
        false_matches, false_non_matches = tails(self.histogram.scope(group))
        edges = self.histogram.edges
        high = int(np.argmax(enough(false_matches, false_non_matches)))
        if high == 0:
            return float(edges[0]), int(false_matches[0]), int(false_non_matches[0])
        at = (false_matches[high], false_non_matches[high])
        low, high = kernels.ordinal(edges[high - 1]), kernels.ordinal(edges[high])
        while high - low > 1:
            bins = min(high - low, _ORDINAL_BINS)
            width = -(-(high - low) // bins)
            counts = np.zeros((2, -(-(high - low) // width)), dtype=np.int64)
            for i, j, scores in self._tiles():
                sides = self._side_of(i), self._side_of(j)
                kernels.count_ordinals(
                    scores.view(np.int32), *sides, i == j, group, low, width, high, counts
                )
            false_matches, false_non_matches = tails(counts)
            false_matches += at[0]
            false_non_matches += at[1] - false_non_matches[-1]
            turn = int(np.argmax(enough(false_matches, false_non_matches)))
            at = (false_matches[turn], false_non_matches[turn])
            low, high = low + (turn - 1) * width, min(low + turn * width, high)
        return float(kernels.from_ordinal(high)), int(at[0]), int(at[1])


class ScoreList:
    """Listed comparisons.

    The frame has `score mated subject_a subject_b`, and may have `group_a group_b image_a image_b`.
    """

    def __init__(self, frame: pd.DataFrame, groups: tuple[str, ...]) -> None:
        self.groups = groups
        self._score = frame["score"].to_numpy()
        self._mated = frame["mated"].to_numpy(dtype=bool)
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

    @cached_property
    def histogram(self) -> Histogram:
        low, high = float(self._score.min()), float(self._score.max())
        span = high - low or 1.0
        edges = np.append(np.linspace(low, high, _LIST_BINS), high + span / _LIST_BINS)
        place = np.searchsorted(edges, self._score, side="right") - 1
        counts = np.zeros((len(self.groups) + 1, 2, len(edges) - 1), dtype=np.int64)
        np.add.at(counts, (self._bucket, self._mated.astype(int), place), 1)
        return Histogram(edges, counts)

    def errors(self, t: float) -> ErrorCounts:
        # float64 against a float32 score compares the numbers themselves, as the tiles do.
        wrong = (self._score.astype(np.float64) >= t) != self._mated
        pairs = pd.DataFrame(
            {"unit_a": self._unit_a, "unit_b": self._unit_b, "errors": wrong.astype(np.int64)}
        )
        grouped = pairs.groupby(["unit_a", "unit_b"])["errors"]
        pairs = grouped.agg(errors="sum", comparisons="count").reset_index()
        return ErrorCounts(t, self.groups, self.units, pairs, complete=False)

    def smallest(self, group: int, enough: Enough) -> tuple[float, int, int]:
        """The smallest threshold that is `enough`, and the two errors at it.

        The answer can turn only just above a score, in the scores' own precision.
        """
        inside = slice(None) if group < 0 else self._bucket == group
        values, place = np.unique(self._score[inside], return_inverse=True)
        counts = np.zeros((2, len(values)), dtype=np.int64)
        np.add.at(counts, (self._mated[inside].astype(int), place), 1)
        false_matches, false_non_matches = tails(counts)
        turn = int(np.argmax(enough(false_matches, false_non_matches)))
        t = values[0] if turn == 0 else np.nextafter(values[turn - 1], values.dtype.type(np.inf))
        return float(t), int(false_matches[turn]), int(false_non_matches[turn])


def tails(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False matches and false non-matches with the threshold at each bin's edge, and past the last.

    `counts` is (mated, bin); both results are int64 (bins + 1,).
    """
    non_mated, mated = counts
    false_matches = np.append(np.cumsum(non_mated[::-1])[::-1], 0)
    return false_matches, np.append(0, np.cumsum(mated))
