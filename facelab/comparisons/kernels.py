"""The hot loops over a tile of scores, compiled.

In: a tile of scores as a fast product gives them, and the rows that they are of. Out: counts and
lists, in arrays that the caller owns. Scores so close to a limit that the product's error could
decide are made again by `exact_score`: whatever the product, the counts are of exact scores.
"""
# ruff: noqa: ANN001 - the compiler infers the types of the inner functions

from typing import NamedTuple

import numpy as np

from facelab.caches import compiled

# Scores of unit rows lie in [-1, 1]. Fine bins cover [-2, 2); counts are exact at the coarse edges,
# every eighth, and elsewhere true to the product's error.
FINE_PER_UNIT = 1024
FINE_BINS = 4 * FINE_PER_UNIT
COARSE = 8
LOWEST = -2.0
_BITS = 10  # a fine bin in so many bits: the grid on which closeness to an edge is read
_GRID = FINE_PER_UNIT << _BITS
_CHUNK = 32
_compiled = compiled(nogil=True, error_model="numpy")
_regrouped = compiled(
    nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "nnan"}
)


class Side(NamedTuple):
    """Who stands in each row, sorted by group and subject; int64 (N,) each, but for the vectors.

    Row n is ``vectors[order[n]]``. A unit is one subject within one group: one run of rows. Group
    -1 is no label. `group_from` and `group_to` bound the run of the row's own group; both are the
    row itself without a label.
    """

    vectors: np.ndarray
    order: np.ndarray
    subject: np.ndarray
    group: np.ndarray
    unit: np.ndarray
    group_from: np.ndarray
    group_to: np.ndarray


class Tile(NamedTuple):
    """Scores (n, m), or products of whole numbers, and where the tile begins among all rows."""

    scores: np.ndarray
    top: int
    start: int


def fine_edges() -> np.ndarray:
    """Lower edges of the fine bins and, last, the upper end: float64 (FINE_BINS + 1,), exact."""
    return np.arange(FINE_BINS + 1) / FINE_PER_UNIT + LOWEST


@_regrouped
def dot(x: np.ndarray, i: int, y: np.ndarray, j: int) -> float:
    total, i, j = 0.0, np.uintp(i), np.uintp(j)
    for k in range(x.shape[1]):
        total += np.float64(x[i, k]) * np.float64(y[j, k])
    return total


@_compiled
def exact_score(x: np.ndarray, i: int, y: np.ndarray, j: int) -> np.float32:
    """The score of two float32 rows: their dot product in float64, rounded to float32."""
    return np.float32(dot(x, i, y, j))


@_compiled
def score_pairs(vectors: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Exact scores of listed pairs of rows, float32."""
    scores = np.empty(len(a), np.float32)
    for n in range(len(a)):
        scores[n] = exact_score(vectors, a[n], vectors, b[n])
    return scores


@_compiled
def fine_bin(score: float) -> int:
    """The fine bin that a score lies in; a power of two scales without rounding."""
    place = int(np.floor(score * np.float32(FINE_PER_UNIT))) + FINE_BINS // 2
    return min(max(place, 0), FINE_BINS - 1)


@_compiled
def _near(place, reach):
    """Whether a position on the grid lies within `reach` of a coarse edge."""
    return (np.int32(place + reach) & np.int32((COARSE << _BITS) - 1)) <= np.int32(2 * reach)


@_compiled
def _locate(scores, row, low, high, reach, limit, places, special):
    """The places of a row's scores on the grid; lists the columns near an edge or past `limit`."""
    row, low, high = np.uintp(row), np.uintp(low), np.uintp(high)  # else signs are looked at
    for j in range(low, high):
        places[j] = np.int32((scores[row, j] - np.float32(LOWEST)) * np.float32(_GRID))
    found = 0
    for begin in range(low, high, np.uintp(_CHUNK)):
        end = min(begin + np.uintp(_CHUNK), high)
        if _specials(places, begin, end, reach, limit):
            for j in range(begin, end):
                if _near(places[j], reach) | (places[j] >= limit):
                    special[found] = j
                    found += 1
    return found


@_compiled
def _specials(places, low, high, reach, limit):
    count = np.int32(0)
    for j in range(low, high):
        count += np.int32(_near(places[j], reach) | (places[j] >= limit))
    return count


@_compiled
def survey(
    tile: Tile,
    side: Side,
    error: float,
    floor: float,
    counts: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:
    """Count a tile's scores into ``counts[bucket, fine bin]`` and list those from `floor` upwards.

    The bucket is the group when both faces are of one, else the last. `hits` takes rows, columns
    and scores; their number is returned. Only pairs above the diagonal count.
    """
    scores, top, start = tile
    wide = scores.shape[1]
    # Four counters a bin, for one increment waits for the last of the same counter.
    own, other = np.zeros((4, FINE_BINS), np.int32), np.zeros((4, FINE_BINS), np.int32)
    places, special = np.empty(wide, np.int32), np.empty(wide, np.int32)
    reach = np.int32(np.ceil(error * _GRID)) + np.int32(2)
    limit = np.int32(min(max((floor - LOWEST) * _GRID, 0.0), 2.0**31 - 1))
    last, found = len(counts) - 1, 0
    for i in range(scores.shape[0]):
        row = top + i
        if i and side.group[row] != side.group[row - 1]:
            _add_lanes(own, counts[side.group[row - 1]])
        begin = max(0, row + 1 - start)
        inner = min(max(side.group_from[row] - start, begin), wide)
        outer = min(max(side.group_to[row] - start, begin), wide)
        waiting = _locate(scores, i, begin, wide, reach, limit, places, special)
        found = _settle(
            scores, side, i, start, row, reach, limit, places, special, waiting, hits, found
        )
        _count(places, begin, inner, other)
        _count(places, inner, outer, own)
        _count(places, outer, wide, other)
    _add_lanes(own, counts[side.group[top + scores.shape[0] - 1]])
    _add_lanes(other, counts[last])
    return found


@_compiled
def _settle(scores, side, i, start, row, reach, limit, places, special, waiting, hits, found):
    """List what is past the limit; find the true bin of what is near an edge."""
    rows, columns, values = hits
    vectors, order = side.vectors, side.order
    for n in range(waiting):
        j = special[n]
        if places[j] >= limit:
            rows[found], columns[found], values[found] = row, start + j, scores[i, j]
            found += 1
        if _near(places[j], reach):
            places[j] = (
                fine_bin(exact_score(vectors, order[row], vectors, order[start + j])) << _BITS
            )
    return found


@_compiled
def _count(places, low, high, lanes):
    """Count positions on the grid by their fine bins."""
    for j in range(np.uintp(low), np.uintp(high)):
        lanes[j & np.uintp(3), np.uint32(places[j]) >> np.uint32(_BITS)] += 1


@_compiled
def _add_lanes(lanes: np.ndarray, counts: np.ndarray) -> None:
    for k in range(lanes.shape[1]):
        counts[k] += lanes[0, k] + lanes[1, k] + lanes[2, k] + lanes[3, k]
    lanes[:] = 0


@_regrouped
def _highest(scores: np.ndarray, row: int, low: int, high: int) -> float:
    value, row = np.float32(LOWEST), np.uintp(row)
    for j in range(np.uintp(low), np.uintp(high)):
        value = max(value, scores[row, j])
    return value


@_compiled
def collect(
    tile: Tile,
    side: Side,
    error: float,
    low: float,
    high: float,
    above: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:
    """List a tile's exact scores in [low, high) and count those from `high` in ``above[bucket]``.

    Buckets, hits and what is returned are as in `survey`.
    """
    scores, top, start = tile
    vectors, order = side.vectors, side.order
    group, group_from, group_to = side.group, side.group_from, side.group_to
    rows, columns, values = hits
    wide, last, found = scores.shape[1], len(above) - 1, 0
    for i in range(scores.shape[0]):
        row = top + i
        for begin in range(max(0, row + 1 - start), wide, _CHUNK):
            end = min(begin + _CHUNK, wide)
            if _highest(scores, i, begin, end) < low - error:
                continue
            for j in range(begin, end):
                score = scores[i, j]
                if score < low - error:
                    continue
                if score <= high + error:
                    score = exact_score(vectors, order[row], vectors, order[start + j])
                column = start + j
                if score >= high:
                    within = group_from[row] <= column < group_to[row]
                    above[group[row] if within else last] += 1
                elif score >= low:
                    rows[found], columns[found], values[found] = row, column, score
                    found += 1
    return found


@_compiled
def _match(units_a, units_b, many, found, fresh, one, other):
    """Count a match of two units: in the last run, or in a new one on a fresh row or unit."""
    if fresh or units_b[found - 1] != other:
        units_a[found], units_b[found], many[found] = one, other, 0
        found += 1
    many[found - 1] += 1
    return found


@_compiled
def mark(
    tile: Tile,
    side: Side,
    error: float,
    t: float,
    runs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:
    """List a tile's scores >= t as runs along its rows: units a and b, and how many.

    The number of runs is returned.
    """
    scores, top, start = tile
    units_a, units_b, many = runs
    vectors, order, unit = side.vectors, side.order, side.unit
    wide, found = scores.shape[1], 0
    for i in range(scores.shape[0]):
        row, fresh = top + i, True
        for begin in range(max(0, row + 1 - start), wide, _CHUNK):
            end = min(begin + _CHUNK, wide)
            if _highest(scores, i, begin, end) < t - error:
                continue
            for j in range(begin, end):
                score = scores[i, j]
                if score < t - error:
                    continue
                if (
                    score <= t + error
                    and exact_score(vectors, order[row], vectors, order[start + j]) < t
                ):
                    continue
                found = _match(units_a, units_b, many, found, fresh, unit[row], unit[start + j])
                fresh = False
    return found


@_compiled
def screen(
    tile: Tile,
    side: Side,
    steps: tuple[np.ndarray, np.ndarray],
    errors: np.ndarray,
    length: float,
    t: float,
    runs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:
    """As `mark`, of a tile of int32 products of rows rounded to int8.

    A row x was rounded to its step a times whole numbers; `errors` holds the length of what is left
    over, e, of this tile's rows, and `steps` the steps of both sides. With rows no longer than
    `length` L a score lies within e L of the product of the rounded row with y, and that within
    (L + e) e' of the product of both (Cauchy-Schwarz). e' is the largest of the columns: the last
    of `errors`.
    """
    products, top, start = tile
    units_a, units_b, many = runs
    step_a, step_b = steps
    vectors, order, unit = side.vectors, side.order, side.unit
    wide, found = products.shape[1], 0
    for i in range(products.shape[0]):
        row, fresh = top + i, True
        e = errors[i]
        reach = e * length + (length + e) * errors[len(errors) - 1] + 1e-6
        low = np.float32((t - reach) / step_a[i])
        high = np.float32((t + reach) / step_a[i])
        for begin in range(max(0, row + 1 - start), wide, _CHUNK):
            end = min(begin + _CHUNK, wide)
            if not _reaches(products, i, begin, end, step_b, low):
                continue
            for j in range(begin, end):
                value = np.float32(products[i, j]) * step_b[j]
                if value < low:
                    continue
                if (
                    value <= high
                    and exact_score(vectors, order[row], vectors, order[start + j]) < t
                ):
                    continue
                found = _match(units_a, units_b, many, found, fresh, unit[row], unit[start + j])
                fresh = False
    return found


@_regrouped
def _reaches(products, row, low, high, steps, limit):
    """Whether one of a row's products, times its column's step, reaches the limit."""
    count, row = np.int32(0), np.uintp(row)
    for j in range(np.uintp(low), np.uintp(high)):
        count += np.int32(np.float32(products[row, j]) * steps[j] >= limit)
    return count > 0
