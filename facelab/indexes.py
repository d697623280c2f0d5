"""Indexes: who of the enrolled is most similar to a probe.

In: unit vectors of the enrolled and of probes. Out: rows and their exact cosines.
"""

import contextlib
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """faiss on one thread inside the block: its threads spin where another process is busy."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def nearest(vectors: np.ndarray, probes: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k most similar vectors, by all inner products: int64 (P, k).

    faiss's blocked product and selection on the arrays as they lie, also memory-mapped: what
    `IndexFlatIP` does, without its copy.
    """
    import faiss

    with one_thread():
        return faiss.knn(probes, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)[1]


def cosines(vectors: np.ndarray, probes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The inner product of each probe with the vectors that its rows name, -inf where a row is -1.

    Pair by pair in one fixed order, so that a score does not depend on what else is searched, nor
    by which kind of index the pair was found.

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
    import faiss

    rows, scores = np.ascontiguousarray(rows), np.empty(rows.shape, np.float32)
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
    return scores


def best_first(scores: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays with each probe's highest score first; equal scores by row."""
    order = np.lexsort((rows, -scores))
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
