"""Who is compared, in the order in which tiles are cut, and what the tiles found.

In: vectors with subjects and groups. Out: `Crowd`; hits of many tiles as one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facelab.comparisons import kernels

LONGEST = 1.001  # of a unit row, as `check_embeddings` admits it
Hits = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Crowd:
    """Everybody in the order of groups and subjects: what a process needs for its share of tiles.

    Attributes
    ----------
    side : kernels.Side
        Who stands where.
    cuts : int64 (tiles + 1,)
        Where tiles begin; no unit lies across two unless it is longer than a tile.
    """

    side: kernels.Side
    cuts: np.ndarray

    def rows(self, number: int) -> np.ndarray:
        """The vectors along a side of a tile."""
        return self.side.vectors[self.side.order[self.cuts[number] : self.cuts[number + 1]]]

    def exact(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Exact scores of pairs of rows."""
        order = self.side.order
        return kernels.score_pairs(self.side.vectors, order[a], order[b])

    def bucket(self, a: np.ndarray, b: np.ndarray, last: int) -> np.ndarray:
        """The bucket of pairs of rows: their common group, else the last."""
        group = self.side.group
        return np.where((group[a] == group[b]) & (group[a] >= 0), group[a], last)

    @property
    def error(self) -> float:
        """By how much a float32 product may miss the exact score.

        n u / (1 - n u) |x| |y| with unit roundoff u, in whatever order it adds (Higham 2002,
        section 3.1), and as much again as one rounding for the exact score itself.
        """
        n, u = self.side.vectors.shape[1], 2.0**-24
        return (n * u / (1 - n * u) + u) * LONGEST**2

    def tiles(self, number: int) -> Iterator[kernels.Tile]:
        """The tiles of a band, from the diagonal to the right."""
        left = self.rows(number)
        cuts = self.cuts
        room = np.empty((len(left), int(np.diff(cuts).max())), np.float32)
        for other in range(number, len(cuts) - 1):
            right = left if other == number else self.rows(other)
            scores = np.matmul(left, right.T, out=_part(room, len(right)))
            yield kernels.Tile(scores, int(cuts[number]), int(cuts[other]))


def _part(room: np.ndarray, wide: int) -> np.ndarray:
    """A contiguous (n, wide) view into the room of a larger tile."""
    return room.reshape(-1)[: len(room) * wide].reshape(len(room), wide)


def joined(parts: list[Hits]) -> Hits:
    """The parts one after another; the list is empty afterwards."""
    if not parts:
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
    size = sum(len(part[0]) for part in parts)
    whole = tuple(np.empty(size, column.dtype) for column in parts[0])
    start = 0
    while parts:  # each is let go as soon as it is copied: together they may be large
        part = parts.pop(0)
        for column, values in zip(whole, part, strict=True):
            column[start : start + len(values)] = values
        start += len(part[0])
    return whole


def tallied(a: np.ndarray, b: np.ndarray, many: np.ndarray | None = None) -> Hits:
    """Each pair of units once, in order, with how often it stands there: int32."""
    keys = a.astype(np.int64) << 32 | b
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    if many is None:
        total = np.diff(first, append=len(keys))
    else:
        total = np.add.reduceat(many[order], first) if len(first) else many
    keys = keys[first]
    return tuple(part.astype(np.int32) for part in (keys >> 32, keys & 0xFFFFFFFF, total))
