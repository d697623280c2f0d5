"""The hot loops: what happens to a tile of scores, compiled.

In: a tile of float32 scores with the subject, group or unit of its rows and columns. Out: counts,
added to arrays that the caller owns, so that tiles may come in any order.
"""

from typing import NamedTuple

import numba
import numpy as np

# Scores of unit rows lie in [-1, 1]; a hair of rounding beyond either end goes to the end bins.
BINS_PER_UNIT = 4096
BINS = 2 * BINS_PER_UNIT + 1
LOWEST, HIGHEST = -2.0, 2.0

_compiled = numba.njit(cache=True, nogil=True)


def bin_edges() -> np.ndarray:
    """Lower edges of the score bins and, last, the upper end: float64 (BINS + 1,), all exact."""
    edges = np.arange(BINS + 1) / BINS_PER_UNIT - 1.0
    edges[0], edges[-1] = LOWEST, HIGHEST
    return edges


def ordinal(score: float) -> int:
    """Where a float32 stands among all float32 in ascending order; both zeros stand at 0."""
    bits = int(np.float32(score).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def from_ordinal(place: int | np.ndarray) -> np.ndarray:
    """The float32 that stands at a place, the inverse of `ordinal`."""
    place = np.asarray(place, dtype=np.int64)
    bits = np.where(place >= 0, place, (-place) | 0x80000000).astype(np.uint32)
    return bits.view(np.float32)


class Side(NamedTuple):
    """Who stands along one side of a tile, one entry a row or column, all int64.

    `unit` counts from the first unit of this side; `group` is -1 without a label.
    """

    subject: np.ndarray
    group: np.ndarray
    unit: np.ndarray


@_compiled
def count_bins(
    scores: np.ndarray, rows: Side, columns: Side, diagonal: bool, counts: np.ndarray
) -> None:
    """Add a tile's scores to ``counts[bucket, mated, bin]``.

    The bucket is the group when both faces are of one, else the last. On a `diagonal` tile only
    the upper triangle is counted, so that each pair counts once.
    """
    other, last = counts.shape[0] - 1, counts.shape[2] - 1
    for i in range(scores.shape[0]):
        subject, group = rows.subject[i], rows.group[i]
        for j in range(i + 1 if diagonal else 0, scores.shape[1]):
            # A power of two scales without rounding, so a bin holds exactly [edge, next edge).
            place = int(np.floor(scores[i, j] * np.float32(BINS_PER_UNIT))) + BINS_PER_UNIT
            place = min(max(place, 0), last)
            bucket = group if group >= 0 and columns.group[j] == group else other
            counts[bucket, 1 if columns.subject[j] == subject else 0, place] += 1


@_compiled
def count_ordinals(
    bits: np.ndarray,
    rows: Side,
    columns: Side,
    diagonal: bool,
    group: int,
    low: int,
    width: int,
    high: int,
    counts: np.ndarray,
) -> None:
    """Add a tile's scores, as int32 `bits`, to ``counts[mated, (ordinal - low) // width]``.

    Scores outside [low, high) are passed over, and so are pairs that are not within `group`
    (-1: every pair).
    """
    for i in range(bits.shape[0]):
        if group >= 0 and rows.group[i] != group:
            continue
        for j in range(i + 1 if diagonal else 0, bits.shape[1]):
            if group >= 0 and columns.group[j] != group:
                continue
            place = np.int64(bits[i, j])
            if place < 0:
                place = -(place & 0x7FFFFFFF)
            if low <= place < high:
                mated = 1 if columns.subject[j] == rows.subject[i] else 0
                counts[mated, (place - low) // width] += 1


@_compiled
def count_errors(
    scores: np.ndarray, rows: Side, columns: Side, diagonal: bool, t: float, errors: np.ndarray
) -> None:
    """Add a tile's errors at threshold `t` to ``errors[row unit, column unit]``.

    An error is a non-mated score >= t or a mated score < t; which of the two an entry holds follows
    from the subjects of its units.
    """
    for i in range(scores.shape[0]):
        subject, unit = rows.subject[i], rows.unit[i]
        for j in range(i + 1 if diagonal else 0, scores.shape[1]):
            if (scores[i, j] >= t) != (columns.subject[j] == subject):
                errors[unit, columns.unit[j]] += 1
