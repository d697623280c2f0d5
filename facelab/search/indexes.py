"""Indexes: which of many unit vectors are likely to be most similar to a probe.

In: unit vectors of the enrolled and of probes. Out: rows, by all comparisons or as an approximate
faiss index proposes them, and their exact cosines.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass as pydantic_dataclass

from facelab.errors import BadInput, check_option, need
from facelab.search.stored_index import read_checked
from facelab.words import checked

if TYPE_CHECKING:
    import faiss

Kind = Literal["auto", "exact", "ivf", "fastscan", "hnsw"]
Approximate = Literal["ivf", "fastscan", "hnsw"]

FEWEST = 1000  # vectors; below, all comparisons cost nothing and a quantiser learns nothing
_AUTO = 50_000  # vectors from which "auto" is fastscan; see `kind_for`
_ADDED = 65536  # vectors added at a time


class Effort(NamedTuple):
    """How hard an index looks: the share of its lists (or HNSW's efSearch), and the shortlist."""

    reach: float
    shortlist: int


# The first look, then what a search goes on to; shortlists grow with how coarse the codes are.
_EFFORTS: dict[Approximate, list[Effort]] = {
    "ivf": [Effort(share, 30) for share in (0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)],
    "fastscan": [
        *(Effort(0.02, 64), Effort(0.05, 200), Effort(0.1, 200), Effort(0.1, 300)),
        *(Effort(0.15, 300), Effort(0.2, 300), Effort(0.2, 400), Effort(0.25, 400)),
        *(Effort(0.3, 400), Effort(0.4, 600), Effort(0.6, 1000), Effort(1.0, 2000)),
    ],
    "hnsw": [Effort(reach, 30) for reach in (32, 64, 128, 256, 512, 1024, 2048)],
}


def kind_for(kind: Kind, vectors: int, subjects: int) -> Literal["exact"] | Approximate:
    """The kind of index for so many vectors of so many subjects; few are always compared.

    "auto" was measured on made-up people (`fl.crowd`, 512 numbers, four images a subject, batches
    of 1,000 probes, k = 1, one core with AVX-512; `facelab.search.bench`). Milliseconds a probe,
    for indexes set to find strangers' best candidate in 98 % of searches:

    =========  ===============  ==============  ==================  =======================
    vectors    all comparisons  fastscan,mates  fastscan,strangers  recall mates, strangers
    =========  ===============  ==============  ==================  =======================
    10,000     0.106            0.039           0.35                1.000, 0.988
    20,000     0.21             0.043           0.47                1.000, 0.985
    100,000    1.07             0.055           0.62                1.000, 0.991
    1,000,000  11.2             0.121           0.88                1.000, 0.984
    =========  ===============  ==============  ==================  =======================

    For as many mates as strangers fast scan wins from about 30,000 vectors, for strangers alone
    from about 50,000. For strangers among 100,000 "ivf" takes 3.3 ms and "hnsw" 7.1 ms, more than
    all comparisons: "hnsw" is the fastest (0.07 ms) only where a recall of 94 % is enough.
    """
    check_option("kind", kind, get_args(Kind))
    if kind == "exact" or vectors < FEWEST or subjects < FEWEST / 10:
        return "exact"
    if kind == "auto":
        return "fastscan" if vectors >= _AUTO else "exact"
    return kind


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """faiss on one thread inside the block: its threads spin where another process is busy."""
    faiss = need("faiss", "search")

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def nearest(vectors: np.ndarray, probes: np.ndarray, n: int) -> np.ndarray:
    """Rows of the n most similar vectors, by all inner products: int64 (P, n).

    faiss's blocked product and selection on the arrays as they lie, also memory-mapped: what
    `IndexFlatIP` does, without its copy.
    """
    faiss = need("faiss", "search")

    with one_thread():
        return faiss.knn(probes, vectors, n, metric=faiss.METRIC_INNER_PRODUCT)[1]


def cosines(vectors: np.ndarray, probes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The inner product of each probe with the vectors that its rows name, -inf where a row is -1.

    Pair by pair in one fixed order, so that a score does not depend on what else is searched, nor
    on the kind of index by which the pair was found.

    Parameters
    ----------
    vectors, probes
        float32 (N, D), (P, D).
    rows
        int64 (P, n).

    Returns
    -------
    float32 (P, n)
    """
    faiss = need("faiss", "search")

    rows, scores = np.ascontiguousarray(rows, np.int64), np.empty(rows.shape, np.float32)
    vectors = np.ascontiguousarray(vectors, np.float32)
    probes = np.ascontiguousarray(probes, np.float32)
    # faiss reads where it is told to, also beyond the end.
    if rows.size and not (rows.min() >= -1 and rows.max() < len(vectors)):
        raise BadInput(
            f"the index names row {rows.max()}, and there are {len(vectors)} vectors: build it anew"
        )
    if len(rows) != len(probes) or vectors.shape[1:] != probes.shape[1:]:
        raise BadInput(f"probes of shape {probes.shape} do not fit vectors of {vectors.shape}")
    with one_thread():
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(scores),
            faiss.swig_ptr(probes),
            faiss.swig_ptr(vectors),
            faiss.swig_ptr(rows),
            vectors.shape[1],
            len(probes),
            rows.shape[1],
        )
    scores[rows < 0] = -np.inf
    if np.isnan(scores).any():
        raise BadInput("a vector of the gallery or a probe holds NaN: enrol its people anew")
    return scores


@dataclass
class Index:
    """An approximate index over a gallery's vectors: it proposes, exact cosines decide.

    Attributes
    ----------
    kind
        "ivf": inverted lists of 8-bit codes. "fastscan": inverted lists of 4-bit product codes that
        lie in registers while they are compared (Andre, Kermarrec and Le Scouarnec 2017). "hnsw": a
        graph of neighbours (Malkov and Yashunin 2018) over 8-bit codes.
    index
        faiss's own, of inner products.
    effort
        What a search goes on to.
    settled
        The score from which candidates of the first look need no second one; None where there is no
        such score. Both are chosen by `facelab.search.searching.calibrate`.
    rows
        int64: the row of each vector that was ever added, -1 where it was removed since; None
        where nothing was removed.
    """

    kind: Approximate
    index: "faiss.Index"
    effort: Effort
    settled: float | None = None
    rows: np.ndarray | None = None

    @classmethod
    def build(cls, kind: Approximate, vectors: np.ndarray, seed: int = 0) -> "Index":
        """Train on a sample of at most 64 vectors a list, then add all of them.

        The same vectors and seed give the same index.
        """
        faiss = need("faiss", "search")

        lists = 2 ** round(np.log2(np.sqrt(len(vectors)) / 2))
        dim = vectors.shape[1]
        codes = dim // next(width for width in (4, 3, 2, 1) if dim % width == 0)
        recipe = {
            "ivf": f"IVF{lists},SQ8",
            "fastscan": f"IVF{lists},PQ{codes}x4fs",
            "hnsw": "HNSW32_SQ8",
        }[kind]
        index = faiss.index_factory(dim, recipe, faiss.METRIC_INNER_PRODUCT)
        if kind != "hnsw":
            index.cp.seed, index.cp.min_points_per_centroid = seed + 1, 1
        if kind == "fastscan":
            index.pq.cp.seed, index.pq.cp.min_points_per_centroid = seed + 1, 1
        count = min(len(vectors), max(64 * lists, 16_384))
        chosen = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
        with one_thread():
            index.train(np.ascontiguousarray(vectors[np.sort(chosen)]))
        made = cls(kind, index, _EFFORTS[kind][-1])
        made.add(vectors)
        return made

    def __len__(self) -> int:
        """Vectors that were ever added."""
        return self.index.ntotal

    @property
    def efforts(self) -> list[Effort]:
        """From the first look to everything."""
        return _EFFORTS[self.kind]

    def add(self, vectors: np.ndarray) -> None:
        """Add vectors; their rows come after those that are there."""
        if self.rows is not None:
            last = self.rows.max(initial=-1)
            self.rows = np.append(self.rows, np.arange(last + 1, last + 1 + len(vectors)))
        with one_thread():
            for start in range(0, len(vectors), _ADDED):
                part = vectors[start : start + _ADDED]
                self.index.add(np.ascontiguousarray(part, np.float32))

    def forget(self, keep: np.ndarray) -> None:
        """Rows were taken out of the vectors: bool (N,), which stay."""
        rows = np.arange(len(self)) if self.rows is None else self.rows
        there = (rows >= 0) & keep[rows]
        self.rows = np.where(there, (np.cumsum(keep) - 1)[rows], -1)

    def propose(self, probes: np.ndarray, effort: Effort, more: int = 0) -> np.ndarray:
        """Rows that may be the most similar ones, -1 where there are no more: int64 (P, n)."""
        faiss = need("faiss", "search")

        n = min(effort.shortlist + more, len(self))
        if self.kind == "hnsw":
            ask = faiss.SearchParametersHNSW(efSearch=max(int(effort.reach), n))
        else:
            lists = max(1, round(effort.reach * self.index.nlist))
            ask = faiss.SearchParametersIVF(nprobe=lists)
        with one_thread():
            found = self.index.search(probes, n, params=ask)[1]
        return found if self.rows is None else np.where(found >= 0, self.rows[found], -1)

    def facts(self) -> dict[str, Any]:
        """What is needed beside faiss's file to open the index again."""
        return {"kind": self.kind, "effort": list(self.effort), "settled": self.settled}

    def write(self, path: Path) -> None:
        """faiss's own file."""
        faiss = need("faiss", "search")

        faiss.write_index(self.index, str(path))

    @classmethod
    def read(
        cls, path: Path, facts: dict[str, Any], shape: tuple[int, int], rows: np.ndarray | None
    ) -> "Index":
        """The index of a file, for vectors of such a shape (N, D).

        Raises
        ------
        BadInput
            It does not fit them, or `facts` are none that `facts()` gave.
        """
        told = checked(_Facts, facts, "the index", path.parent / "card.json")
        reach, shortlist = told.effort
        most = 1 << 20 if told.kind == "hnsw" else 1  # efSearch, or a share of the lists
        if not (0 < reach <= most and 0 < shortlist <= 1 << 20):
            raise BadInput(f"{path.parent / 'card.json'}: an index looks at {told.effort}: damaged")
        index = read_checked(path, told.kind, shape, rows)
        return cls(told.kind, index, Effort(reach, int(shortlist)), told.settled, rows)


@pydantic_dataclass
class _Facts:
    """What a card says of an index."""

    kind: Approximate
    effort: tuple[float, int]
    settled: float | None
    vectors: PositiveInt
    target: float
    seed: int
    recall: Any
