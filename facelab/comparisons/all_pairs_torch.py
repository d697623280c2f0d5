"""The bands of `all_pairs` on a GPU: products, bins and choices there, exact scores here.

In and out: as the bands of `all_pairs`. Only what lies within the product's error of a limit, and
the pairs asked for, come back from the device. TensorFloat-32 would break the error's bound: it is
switched off for these products.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from facelab.comparisons import kernels
from facelab.comparisons.tiles import Crowd, Hits, joined, tallied


class _Tile(NamedTuple):
    """Scores on the device, which of them count, and where the tile begins among all rows."""

    scores: torch.Tensor
    counted: torch.Tensor | None
    top: int
    start: int

    def rows(self, mask: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Rows a and b of the pairs that a mask names and that count."""
        if self.counted is not None:
            mask = mask & self.counted
        a, b = torch.nonzero(mask, as_tuple=True)
        a, b = (side.to("cpu", torch.int32).numpy() for side in (a, b))
        return a + np.int32(self.top), b + np.int32(self.start)

    def at(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The product's scores of pairs of rows."""
        a, b = (torch.from_numpy(x.astype(np.int64)) for x in (a - self.top, b - self.start))
        where = self.scores.device
        return self.scores[a.to(where), b.to(where)].cpu().numpy()


def _tiles(crowd: Crowd, number: int, device: str) -> Iterator[_Tile]:
    """The tiles of a band, from the diagonal to the right."""
    before = torch.backends.cuda.matmul.allow_tf32
    left = torch.from_numpy(crowd.rows(number)).to(device)
    for other in range(number, len(crowd.cuts) - 1):
        right = left if other == number else torch.from_numpy(crowd.rows(other)).to(device)
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            scores = left @ right.T
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before
        counted = None
        if other == number:
            counted = torch.ones_like(scores, dtype=torch.bool).triu_(1)
        yield _Tile(scores, counted, int(crowd.cuts[number]), int(crowd.cuts[other]))


def _same_group(crowd: Crowd, tile: _Tile) -> Iterator[tuple[int, slice, slice]]:
    """Each group that stands along both sides of a tile, with its rows and columns in it."""
    side, (high, wide) = crowd.side, tile.scores.shape
    group = side.group[tile.top : tile.top + high]
    for found in np.unique(group[group >= 0]):
        rows = np.flatnonzero(group == found)
        low, top = side.group_from[tile.top + rows[0]], side.group_to[tile.top + rows[0]]
        low, top = (min(max(int(x) - tile.start, 0), wide) for x in (low, top))
        if low < top:
            yield int(found), slice(int(rows[0]), int(rows[-1]) + 1), slice(low, top)


def survey_band(
    crowd: Crowd, number: int, floor: float, buckets: int, device: str
) -> tuple[np.ndarray, Hits]:
    """Counts (bucket, fine bin) and the pairs that score `floor` or more."""
    counts = np.zeros((buckets, kernels.FINE_BINS), np.int64)
    width, nowhere = 1.0 / kernels.FINE_PER_UNIT, kernels.FINE_BINS
    parts = []
    for tile in _tiles(crowd, number, device):
        # In float64, so that nothing is rounded but the score itself.
        place = (tile.scores.double() - kernels.LOWEST) / (width * kernels.COARSE)
        near = (place - place.round()).abs() * width * kernels.COARSE <= crowd.error
        bins = (place * kernels.COARSE).floor().clamp_(0, nowhere - 1).long()
        if tile.counted is not None:
            bins = bins.masked_fill_(~tile.counted, nowhere)

        def counted(part: torch.Tensor) -> np.ndarray:
            return torch.bincount(part.flatten(), minlength=nowhere + 1)[:-1].cpu().numpy()

        rest = counted(bins)
        for group, rows, columns in _same_group(crowd, tile):
            own = counted(bins[rows, columns])
            counts[group] += own
            rest = rest - own
        counts[-1] += rest
        a, b = tile.rows(near)
        bucket = crowd.bucket(a, b, buckets - 1)
        guessed = bins[a - tile.top, b - tile.start].cpu().numpy()
        exact = np.floor(crowd.exact(a, b) * np.float32(kernels.FINE_PER_UNIT)).astype(np.int64)
        exact = np.clip(exact + kernels.FINE_BINS // 2, 0, nowhere - 1)
        np.subtract.at(counts, (bucket, guessed), 1)
        np.add.at(counts, (bucket, exact), 1)
        a, b = tile.rows(tile.scores >= floor)
        parts.append((a, b, tile.at(a, b)))
    return counts, joined(parts)


def collect_band(
    crowd: Crowd, number: int, low: float, high: float, buckets: int, device: str
) -> tuple[np.ndarray, Hits]:
    """How many pairs score `high` or more, by bucket, and those in [low, high)."""
    above, parts = np.zeros(buckets, np.int64), []
    for tile in _tiles(crowd, number, device):
        scores = tile.scores.double()
        certain = scores > high + crowd.error
        if tile.counted is not None:
            certain = certain & tile.counted
        rest = int(certain.sum())
        for group, rows, columns in _same_group(crowd, tile):
            own = int(certain[rows, columns].sum())
            above[group] += own
            rest -= own
        above[-1] += rest
        a, b = tile.rows((scores >= low - crowd.error) & (scores <= high + crowd.error))
        exact = crowd.exact(a, b)
        top = exact >= high
        np.add.at(above, crowd.bucket(a[top], b[top], buckets - 1), 1)
        keep = (exact >= low) & ~top
        parts.append((a[keep], b[keep], exact[keep]))
    return above, joined(parts)


def mark_band(crowd: Crowd, number: int, t: float, device: str) -> Hits:
    """How many pairs of each two units score `t` or more."""
    parts, unit = [], crowd.side.unit
    for tile in _tiles(crowd, number, device):
        a, b = tile.rows(tile.scores.double() >= t - crowd.error)
        matched = tile.at(a, b).astype(np.float64) > t + crowd.error
        near = np.flatnonzero(~matched)
        matched[near] = crowd.exact(a[near], b[near]) >= t
        parts.append(tallied(unit[a[matched]], unit[b[matched]]))
    return joined(parts)
