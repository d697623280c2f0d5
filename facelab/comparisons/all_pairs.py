"""All pairs of faces, scored at the speed of a matrix product and counted exactly.

In: unit vectors, who they are and their groups. Out: what `scores.ScoreList` gives for a list:
score histograms, the errors at a threshold, and the smallest threshold that satisfies a condition.

A fast product, of float32 or of int8, errs by no more than a bound that follows from arithmetic;
scores that are within it of a limit are made again by `kernels.exact_score`. So counts and
thresholds depend neither on the product nor on tiles nor on the number of processes. A pass holds
one tile of scores and its counts. The first pass also keeps the highest scores, from which most
thresholds, and the errors at them, follow without another.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import joblib
import numpy as np
import pandas as pd

from facelab.comparisons import kernels
from facelab.comparisons.scores import Enough, Histogram, chosen, tails
from facelab.comparisons.tiles import LONGEST, Crowd, Hits, joined, tallied
from facelab.progress import bar
from facelab.rates.counts import ErrorCounts
from facelab.workers import as_jobs, pool

TILE = 2048
KEEP_HITS = 10_000_000  # highest scores kept by the first pass: 12 bytes each ...
KEEP_SHARE = 0.02  # ... and no more than this share of all
KEEP_MATED = 20_000_000
_PILOT = 2000
_FAN_OUT = 30_000  # faces from which on processes pay
_SCREEN_UP_TO = 120_000  # faces; beyond, torch and the rounded rows would pass 1.5 GB with the rest
_SHOW_TILES = 64
# What a pair takes, in units of its float32 product: measured with 512 numbers a row.
_INT8, _AGAIN = 0.25, 6.0


class AllPairs:
    """Every pair of embeddings.

    Parameters
    ----------
    vectors : float32 (N, D)
        Unit rows; may be memory-mapped.
    subject : object (N,)
    labels
        Categorical group labels; missing ones count in no group.
    tile
        Faces along a tile's side.
    jobs
        Processes; None takes all processors when there are faces enough, else one.
    screened
        Whether errors at a threshold are looked for with int8 products: None where that is faster.
    device
        Where products are made: "cpu", or a torch device, on which there is one process.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        subject: np.ndarray,
        labels: pd.Series,
        tile: int = TILE,
        jobs: int | None = None,
        screened: bool | None = None,
        device: str = "cpu",
    ) -> None:
        self.groups = tuple(labels.cat.categories)
        names, codes = np.unique(subject, return_inverse=True)
        group = labels.cat.codes.to_numpy().astype(np.int64)
        order = np.lexsort((codes, group))
        codes, group = codes[order].astype(np.int64), group[order]
        new = np.r_[True, (np.diff(codes) != 0) | (np.diff(group) != 0)]
        first = np.flatnonzero(new)
        unit = np.cumsum(new) - 1
        self.units = pd.DataFrame(
            {
                "subject": names[codes[first]],
                "group": group[first],
                "images": np.diff(np.r_[first, len(codes)]),
            }
        )
        here = np.arange(len(codes))
        group_from = np.where(group < 0, here, np.searchsorted(group, group))
        group_to = np.where(group < 0, here, np.searchsorted(group, group, side="right"))
        side = kernels.Side(np.asarray(vectors), order, codes, group, unit, group_from, group_to)
        self._crowd = Crowd(side, _cuts(first, len(codes), tile))
        self._jobs = None if jobs is None else as_jobs(jobs)
        self._screened, self._device = screened, device
        self._mated_kept: Hits | None = None
        self._hits: Hits | None = None
        self._floor = np.inf

    # ---- mated pairs, which are few: always exact, one by one

    def _mated(self) -> Iterator[Hits]:
        """Rows a and b and scores of the mated pairs, in parts."""
        if self._mated_kept is not None:
            yield self._mated_kept
            return
        parts = []
        keep = self.mated_total <= KEEP_MATED
        for a, b in pairs_within(self._crowd.side.subject):
            part = a, b, self._crowd.exact(a, b)
            if keep:
                parts.append(part)
            yield part
        if keep:
            self._mated_kept = joined(parts)

    @cached_property
    def mated_total(self) -> int:
        """How many pairs are mated."""
        images = np.bincount(self._crowd.side.subject).astype(object)
        return int((images * (images - 1) // 2).sum())

    def _bucket(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self._crowd.bucket(a, b, len(self.groups))

    # ---- the first pass

    @cached_property
    def _fine(self) -> np.ndarray:
        """Scores in fine bins, int64 (bucket, mated, bin); keeps the highest in passing."""
        counts = np.zeros((len(self.groups) + 1, 2, kernels.FINE_BINS), np.int64)
        pairs = len(self._crowd.side.order) * (len(self._crowd.side.order) - 1) // 2
        share = min(KEEP_SHARE, KEEP_HITS / max(pairs, 1))
        floor = float(np.quantile(self._pilot, 1 - share))
        parts = []
        for every, hits in self._run(survey_band, floor, len(counts)):
            counts[:, 0] += every
            parts.append(self._non_mated(hits))
        for a, b, scores in self._mated():
            place = np.floor(scores * np.float32(kernels.FINE_PER_UNIT)).astype(np.int64)
            place = np.clip(place + kernels.FINE_BINS // 2, 0, kernels.FINE_BINS - 1)
            np.add.at(counts, (self._bucket(a, b), 1, place), 1)
        counts[:, 0] -= counts[:, 1]
        self._hits, self._floor = joined(parts), floor
        return counts

    @cached_property
    def _pilot(self) -> np.ndarray:
        """Scores of the pairs of a few faces, about 2 million at most: what to expect."""
        count = len(self._crowd.side.order)
        rows = np.random.default_rng(0).permutation(count)[:_PILOT]
        vectors = self._crowd.side.vectors[np.sort(rows)]
        scores = vectors @ vectors.T
        return scores[np.triu_indices(len(rows), 1)]

    weighted = False  # every comparison is made

    @cached_property
    def histogram(self) -> Histogram:
        """Scores in the coarse bins."""
        counts = self._fine.reshape(*self._fine.shape[:2], -1, kernels.COARSE).sum(axis=3)
        return Histogram(kernels.fine_edges()[:: kernels.COARSE], counts)

    def _non_mated(self, hits: Hits) -> Hits:
        subject = self._crowd.side.subject
        keep = subject[hits[0]] != subject[hits[1]]
        return tuple(part[keep] for part in hits)

    # ---- thresholds

    def smallest(self, group: int, enough: Enough) -> tuple[float, int, int]:
        """The smallest float32 threshold that is `enough`, and the two errors at it.

        The fine bins bound it; the scores between the bounds, made exactly, hold it.
        """
        edges = kernels.fine_edges()
        picks = chosen(group, len(self.groups) + 1)
        turns = enough(*tails(self._fine[picks].sum(axis=0)))
        if turns[0]:
            return self._at(edges[0], picks)
        # A product may have put a score into the bin beside its own: a bin more on either side.
        first = int(np.argmax(turns))
        low, high = max(first - 2, 0), min(first + 1, len(edges) - 1)
        while True:
            values, false_matches, false_non_matches = self._steps(edges[low], edges[high], picks)
            turns = enough(false_matches, false_non_matches)
            if turns[0] and low > 0:
                low -= 1
            elif not turns[-1] and high < len(edges) - 1:
                high += 1
            else:
                break
        turn = int(np.argmax(turns))
        t = np.nextafter(values[turn - 1], np.float32(np.inf))
        return float(t), int(false_matches[turn]), int(false_non_matches[turn])

    def _at(self, t: float, picks: np.ndarray) -> tuple[float, int, int]:
        """A threshold that no score lies below, and the two errors at it."""
        non_mated, _ = self._fine[picks].sum(axis=(0, 2))
        return float(t), int(non_mated), 0

    def _steps(
        self, low: float, high: float, picks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The scores in [low, high), each once, and the errors at thresholds of and past them."""
        above, (a, b, scores) = self._between(low, high)
        mated_below = 0
        values = [scores[picks[self._bucket(a, b)]]]
        is_mated = [np.zeros(len(values[0]), int)]
        for a, b, scores in self._mated():
            inside = scores[picks[self._bucket(a, b)]]
            mated_below += int((inside < low).sum())
            values.append(inside[(inside >= low) & (inside < high)])
            is_mated.append(np.ones(len(values[-1]), int))
        distinct, place = np.unique(np.concatenate(values), return_inverse=True)
        counts = np.zeros((2, len(distinct)), np.int64)
        np.add.at(counts, (np.concatenate(is_mated), place), 1)
        false_matches, false_non_matches = tails(counts)
        return distinct, false_matches + int(above[picks].sum()), false_non_matches + mated_below

    def _between(self, low: float, high: float) -> tuple[np.ndarray, Hits]:
        """Non-mated pairs: how many score `high` or more, by bucket; those in [low, high)."""
        above = np.zeros(len(self.groups) + 1, np.int64)
        error = self._crowd.error
        if low - error > self._floor:
            a, b, scores = self._hits
            exact = scores.copy()
            near = np.flatnonzero((scores >= low - error) & (scores <= high + error))
            exact[near] = self._crowd.exact(a[near], b[near])
            top = exact >= high
            above += np.bincount(self._bucket(a[top], b[top]), minlength=len(above))
            keep = near[(exact[near] >= low) & (exact[near] < high)]
            return above, (a[keep], b[keep], exact[keep])
        parts = []
        for more, hits in self._run(collect_band, low, high, len(above)):
            above += more
            parts.append(self._non_mated(hits))
        for a, b, scores in self._mated():
            top = scores >= high
            above -= np.bincount(self._bucket(a[top], b[top]), minlength=len(above))
        return above, joined(parts)

    # ---- errors at a threshold

    def errors(self, t: float) -> ErrorCounts:
        """Errors for every pair of units."""
        if t - self._crowd.error > self._floor:
            found = [self._kept_matches(t)]
        elif self._device == "cpu" and self._screens(t):
            found = self._run(screen_band, self._rounded, t)
        else:
            found = self._run(mark_band, t)
        return ErrorCounts(t, self.groups, self.units, self._as_frame(found, t), complete=True)

    def _as_frame(self, found: Iterable[Hits], t: float) -> pd.DataFrame:
        """Errors of pairs of units, in order, from the matches that were found band by band."""
        unit, cuts = self._crowd.side.unit, self._crowd.cuts
        owner = self._crowd.side.subject[np.unique(unit, return_index=True)[1]]
        parts = []
        for a, b, many in found:
            other = owner[a] != owner[b]
            parts.append((a[other], b[other], many[other]))
        missed = []
        for a, b, scores in self._mated():
            wrong = scores < t
            missed.append(tallied(unit[a[wrong]], unit[b[wrong]]))
        missed = tallied(*joined(missed))
        # Bands follow one another in the order of units: each can be put in order by itself, for
        # less memory, unless a unit is longer than a tile.
        first = unit[cuts[:-1]]
        if len(parts) != len(first) or (first[1:] == unit[cuts[1:-1] - 1]).any():
            parts, first = [joined(parts)], first[:1]
        places = [*np.searchsorted(missed[0], first), len(missed[0])]
        for number, part in enumerate(parts):
            own = tuple(column[places[number] : places[number + 1]] for column in missed)
            parts[number] = tallied(*joined([part, own]))
        return pd.DataFrame(
            dict(zip(("unit_a", "unit_b", "errors"), joined(parts), strict=True)), copy=False
        )

    def _kept_matches(self, t: float) -> Hits:
        """Units a and b and how many of their pairs score `t` or more, from the highest scores."""
        a, b, scores = self._hits
        exact = scores.copy()
        near = np.flatnonzero(np.abs(scores - t) <= self._crowd.error)
        exact[near] = self._crowd.exact(a[near], b[near])
        matched, unit = exact >= t, self._crowd.side.unit
        return tallied(unit[a[matched]], unit[b[matched]])

    @cached_property
    def _rounded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All rows, in order, rounded to int8: numbers, steps and what is left over."""
        from facelab.comparisons import int8

        parts = [int8.rounded(self._crowd.rows(k)) for k in range(len(self._crowd.cuts) - 1)]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _screens(self, t: float) -> bool:
        """Whether int8 products pay: they do unless many scores must be made again."""
        from facelab.comparisons import int8

        if self._screened is not None:
            return self._screened
        if not _FAN_OUT <= len(self._crowd.side.order) <= _SCREEN_UP_TO or not int8.is_fast():
            return False
        reach = 2 * float(self._rounded[2].max())
        again = float(np.mean(np.abs(self._pilot - t) <= reach))
        return _INT8 + _AGAIN * again < 1

    # ---- fanning out

    def _run(self, band: Callable[..., Any], *more: Any) -> Iterator[Any]:
        """The bands of tiles one after another, in their order, whoever works them out."""
        bands = range(len(self._crowd.cuts) - 1)
        jobs = self._jobs
        if self._device != "cpu":
            from facelab.comparisons import all_pairs_torch

            jobs, band = 1, getattr(all_pairs_torch, band.__name__)
            more = (*more, self._device)
        elif jobs is None:
            jobs = joblib.cpu_count() if len(self._crowd.side.order) >= _FAN_OUT else 1
        jobs = min(jobs, len(bands))
        total = len(bands) * (len(bands) + 1) // 2
        with bar(total=total, desc="comparing", unit="tile", show=total > _SHOW_TILES) as progress:
            for number, result in enumerate(_results(jobs, band, self._crowd, bands, more)):
                progress.update(len(bands) - number)
                yield result


def _results(
    jobs: int, band: Callable[..., Any], crowd: Crowd, bands: range, more: tuple[Any, ...]
) -> Iterator[Any]:
    if jobs == 1:
        for number in bands:
            yield band(crowd, number, *more)
        return
    # Memory-mapped arrays that may be written to are of the type that the kernels know.
    run = pool(jobs, return_as="generator", mmap_mode="c")
    yield from run(joblib.delayed(_in_process)(band, crowd, number, *more) for number in bands)


def _in_process(band: Callable[..., Any], *arguments: Any) -> Any:
    """A band in a process of its own, which has torch from the start: joblib ends what grows."""
    import torch

    torch.set_num_threads(1)
    return band(*arguments)


def _cuts(first: np.ndarray, count: int, tile: int) -> np.ndarray:
    """Where tiles begin, each at the beginning of a unit where there is one, and the end."""
    cuts = [0]
    while cuts[-1] + tile < count:
        end = cuts[-1] + tile
        begin = int(first[np.searchsorted(first, end, side="right") - 1])
        cuts.append(begin if begin > cuts[-1] else end)
    return np.array([*cuts, count])


def pairs_within(subject: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows of one subject, a before b, in parts of a few million."""
    order = np.argsort(subject, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(subject[order]) != 0])
    ends = np.r_[starts[1:], len(order)]
    last = np.repeat(ends, ends - starts)  # of each place, where its subject ends
    after = last - np.arange(len(order)) - 1
    done = np.r_[0, np.cumsum(after)]
    begin = 0
    while begin < len(order):
        end = max(begin + 1, int(np.searchsorted(done, done[begin] + 4_000_000, side="right")) - 1)
        many = after[begin:end]
        a = np.repeat(np.arange(begin, end), many)
        b = a + 1 + np.arange(len(a)) - np.repeat(done[begin:end] - done[begin], many)
        if len(a):
            yield order[a], order[b]
        begin = end


# ---- a band: one row of tiles, from the diagonal to the right


def _room(crowd: Crowd, number: int, kind: type) -> Hits:
    """Lists long enough for a tile; what is not written takes no memory."""
    size = int(np.diff(crowd.cuts)[number] * np.diff(crowd.cuts).max())
    return np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, kind)


def _taken(room: Hits, count: int) -> Hits:
    return tuple(part[:count].copy() for part in room)


def survey_band(crowd: Crowd, number: int, floor: float, buckets: int) -> tuple[np.ndarray, Hits]:
    """Counts (bucket, fine bin) and the pairs that score `floor` or more."""
    counts = np.zeros((buckets, kernels.FINE_BINS), np.int64)
    room, parts = _room(crowd, number, np.float32), []
    for tile in crowd.tiles(number):
        found = kernels.survey(tile, crowd.side, crowd.error, floor, counts, room)
        parts.append(_taken(room, found))
    return counts, joined(parts)


def collect_band(
    crowd: Crowd, number: int, low: float, high: float, buckets: int
) -> tuple[np.ndarray, Hits]:
    """How many pairs score `high` or more, by bucket, and those in [low, high)."""
    above = np.zeros(buckets, np.int64)
    room, parts = _room(crowd, number, np.float32), []
    for tile in crowd.tiles(number):
        found = kernels.collect(tile, crowd.side, crowd.error, low, high, above, room)
        parts.append(_taken(room, found))
    return above, joined(parts)


def mark_band(crowd: Crowd, number: int, t: float) -> Hits:
    """How many pairs of each two units score `t` or more."""
    room, parts = _room(crowd, number, np.int32), []
    for tile in crowd.tiles(number):
        found = kernels.mark(tile, crowd.side, crowd.error, t, room)
        parts.append(tallied(*(part[:found] for part in room)))
    return joined(parts)


def screen_band(crowd: Crowd, number: int, rounded: tuple[np.ndarray, ...], t: float) -> Hits:
    """As `mark_band`, by products of the rows rounded to int8."""
    from facelab.comparisons import int8

    room, parts = _room(crowd, number, np.int32), []
    here = [slice(*pair) for pair in zip(crowd.cuts, crowd.cuts[1:], strict=False)]
    whole, steps, errors = rounded
    for other in here[number:]:
        products = int8.products(whole[here[number]], whole[other])
        found = kernels.screen(
            kernels.Tile(products, int(crowd.cuts[number]), int(other.start)),
            crowd.side,
            (steps[here[number]], steps[other]),
            np.append(errors[here[number]], errors[other].max()),
            LONGEST,
            t,
            room,
        )
        parts.append(tallied(*(part[:found] for part in room)))
    return joined(parts)
