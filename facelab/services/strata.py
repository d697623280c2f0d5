"""All pairs of some faces, cut into strata by group and by an open embedder's score.

In: embeddings and what to group by. Out: every pair's stratum, and the order in which pairs of a
stratum are bought, which is by chance and the same for every budget.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import ndtri

from facelab.comparisons.given import check_embeddings, people_of
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.limits import check_room

ACROSS = "across groups"
_STEP = 2.0  # the tail of the proxy's scores is cut at 1/2, 1/4, 1/8, ...
_BYTES = 60  # that a pair takes
_FEWEST = 8  # pairs in a stratum of the tail
_POINTS = 16  # scores that stand for those of a stratum
_KNOWN = 20  # pairs of one person that tell whether the proxy knows people apart


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every pair of faces.

    Attributes
    ----------
    a, b
        Rows of the embeddings.
    mated
        Whether they are of one person.
    place
        Of the set: the group of both, or the number of groups where they are not of one.
    z
        Normal scores of the proxy's scores over all non-mated pairs; 0 for mated ones.
    chance
        A number in [0, 1) by chance: pairs are bought in its order.
    names
        The groups, and `ACROSS`.
    told
        How often the proxy scores two photos of one person above two of two people; NaN where
        there are too few of those to say.
    """

    a: np.ndarray
    b: np.ndarray
    mated: np.ndarray
    place: np.ndarray
    z: np.ndarray
    chance: np.ndarray
    names: tuple[str, ...]
    subject: np.ndarray
    group: np.ndarray
    told: float

    @classmethod
    def of(cls, embeddings: Embeddings, by: str | list[str], seed: int) -> "Pairs":
        """All pairs of these faces."""
        check_embeddings(embeddings, "plan_pairs")
        count = len(embeddings)
        check_room(count * (count - 1) // 2 * _BYTES, "the plan, made over all pairs of faces,")
        subject, labels, _ = people_of(embeddings.table, by)
        group = labels.cat.codes.to_numpy()
        names = tuple(labels.cat.categories)
        if not names:
            raise BadInput("no image has a label: there is nothing to group by")
        a, b = (side.astype(np.int32) for side in np.triu_indices(count, 1))
        vectors = np.asarray(embeddings.vectors, np.float32)
        scores = (vectors @ vectors.T)[a, b]
        codes = pd.factorize(subject)[0]
        mated = codes[a] == codes[b]
        place = np.where((group[a] == group[b]) & (group[a] >= 0), group[a], len(names))
        z = np.zeros(len(a))
        others = np.flatnonzero(~mated)
        if not len(others):
            raise BadInput("there is one subject: a plan needs pairs of two people")
        ranks = np.empty(len(others))
        order = np.argsort(scores[others], kind="stable")
        ranks[order] = np.arange(len(others))
        z[others] = ndtri((ranks + 0.5) / len(others))
        told = np.nan
        if mated.sum() >= _KNOWN:
            told = np.searchsorted(scores[others][order], scores[mated]).mean() / len(others)
        chance = np.random.default_rng(seed).random(len(a))
        return cls(a, b, mated, place, z, chance, (*names, ACROSS), subject, group, float(told))

    def drawn(self, rng: np.random.Generator) -> "Pairs":
        """The same pairs in another order by chance."""
        return replace(self, chance=rng.random(len(self.chance)))

    def rows(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Where pairs of two faces stand here."""
        low, high, size = np.minimum(a, b), np.maximum(a, b), len(self.subject)
        return low * (2 * size - low - 1) // 2 + high - low - 1

    @cached_property
    def _cuts(self) -> dict[tuple[float, float], "Strata"]:
        return {}

    def strata(self, fmr: float, most: int) -> "Strata":
        """Strata by set and by the tail of the proxy's scores, no more than so many."""
        step = _STEP
        while True:
            found = self._cut(fmr, step)
            if len(found.size) <= most or step > 1 / fmr:
                return found
            step *= step  # a finer cut is one of these cut again: what was bought stays a sample

    def _cut(self, fmr: float, step: float) -> "Strata":
        if (fmr, step) not in self._cuts:
            self._cuts[fmr, step] = self._made(fmr, step)
        return self._cuts[fmr, step]

    def _made(self, fmr: float, step: float) -> "Strata":
        stratum = np.full(len(self.a), -1, np.int32)
        places, sizes, mated, points = [], [], [], []
        for place in range(len(self.names)):
            inside = self.place == place
            own = np.flatnonzero(inside & self.mated)
            rest = np.flatnonzero(inside & ~self.mated)
            rest = rest[np.argsort(-self.z[rest], kind="stable")]
            edges, tail = [len(rest)], 1.0
            while (tail := tail / step) * 3 >= fmr and round(len(rest) * tail) >= _FEWEST:
                edges.append(round(len(rest) * tail))
            parts = [(own, True)] if len(own) else []
            if len(rest):
                parts += [(part, False) for part in np.split(rest, edges[:0:-1])]
            for rows, kind in parts:
                stratum[rows] = len(sizes)
                places.append(place)
                sizes.append(len(rows))
                mated.append(kind)
                at = np.linspace(0, len(rows) - 1, _POINTS).round().astype(int)
                points.append(self.z[rows[at]])
        return Strata(self, stratum, *map(np.array, (places, sizes, mated)), np.array(points))


@dataclass(frozen=True, eq=False)
class Strata:
    """Pairs by stratum: its set, its size, whether mated, and the proxy's scores in it."""

    pairs: Pairs
    stratum: np.ndarray
    place: np.ndarray
    size: np.ndarray
    mated: np.ndarray
    z: np.ndarray

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs by stratum and then by chance, and where each stratum begins."""
        order = np.lexsort((self.pairs.chance, self.stratum))
        return order, np.append(0, np.cumsum(self.size))[:-1]

    def first(self, count: np.ndarray) -> np.ndarray:
        """The first so many pairs of each stratum, by chance; the plan's rows."""
        order, start = self._order
        return np.concatenate([order[s : s + n] for s, n in zip(start, count, strict=True)])

    def counted(self, rows: np.ndarray) -> np.ndarray:
        """How many of some pairs are in each stratum."""
        return np.bincount(self.stratum[rows], minlength=len(self.size))

    def reached(self, rows: np.ndarray) -> np.ndarray:
        """How many of the first pairs of each stratum hold all of these."""
        order, start = self._order
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        reached = np.zeros(len(self.size), np.int64)
        stratum = self.stratum[rows]
        np.maximum.at(reached, stratum, place[rows] - start[stratum] + 1)
        return reached
