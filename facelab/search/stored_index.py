"""An index as it lies on disk, held against the vectors that it is to find before it is searched.

In: faiss's file and how many vectors of which length there are. Out: faiss's index, in which every
number that leads to a place in memory leads inside, or one sentence. faiss itself trusts its files.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facelab.errors import BadInput, need

if TYPE_CHECKING:
    import faiss

_CLASSES = {
    "ivf": "IndexIVFScalarQuantizer",
    "fastscan": "IndexIVFPQFastScan",
    "hnsw": "IndexHNSWSQ",
}


def read_checked(
    path: Path, kind: str, shape: tuple[int, int], rows: np.ndarray | None
) -> "faiss.Index":
    """The index of a file.

    Parameters
    ----------
    path
        faiss's own file.
    kind
        "ivf", "fastscan" or "hnsw".
    shape
        Of the vectors, (N, D).
    rows
        int64: the row of each vector that was ever added, -1 where it was removed since; None
        where nothing was removed.

    Raises
    ------
    BadInput
        The file is no such index, or does not fit the vectors.
    """
    faiss = need("faiss", "search")

    count, dim = shape
    try:
        index = faiss.read_index(str(path))
        fits = type(index).__name__ == _CLASSES.get(kind)
        fits = fits and index.d == dim and index.is_trained
        fits = fits and index.metric_type == faiss.METRIC_INNER_PRODUCT
        fits = fits and index.ntotal == (count if rows is None else len(rows))
        fits = fits and (rows is None or _names_each_once(rows, count))
        fits = fits and (_is_whole_graph if kind == "hnsw" else _are_whole_lists)(index)
    except (RuntimeError, MemoryError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise BadInput(f"{path} is no index that this faiss reads: build it anew") from error
    if not fits:
        raise BadInput(
            f"{path} is damaged, or is not of these {count:,} vectors of {dim}: build it anew"
        )
    return index


def _names_each_once(rows: np.ndarray, count: int) -> bool:
    there = rows[rows >= 0] if rows.ndim == 1 and rows.dtype == np.int64 else rows
    right = rows.ndim == 1 and rows.dtype == np.int64 and (rows >= -1).all()
    return bool(right and np.array_equal(np.sort(there), np.arange(count)))


def _are_whole_lists(index: Any) -> bool:
    """Inverted lists: each list, its codes and the centre that leads to it are there."""
    faiss = need("faiss", "search")

    quantiser, lists = faiss.downcast_index(index.quantizer), index.invlists
    codes = index.pq.M if hasattr(index, "pq") else 0
    recipe = f"IVF{index.nlist},PQ{codes}x4fs" if codes else f"IVF{index.nlist},SQ8"
    if not 0 < index.nlist <= index.ntotal or (codes and index.d % codes):
        return False
    fresh = faiss.index_factory(index.d, recipe, faiss.METRIC_INNER_PRODUCT)
    same = _alike(index, fresh, "code_size nlist metric_type by_residual M M2 ksub nbits bbs")
    same &= _alike(lists, fresh.invlists, "nlist code_size")
    same &= type(quantiser).__name__ == "IndexFlatIP" and quantiser.d == index.d
    same &= quantiser.ntotal == index.nlist
    same &= quantiser.codes.size() == 4 * index.nlist * index.d
    same &= index.direct_map.type == faiss.DirectMap.NoMap
    if not same:
        return False
    if codes:  # that each block of codes has its size, faiss compares itself
        blocks, own = faiss.downcast_InvertedLists(lists), index.pq
        others = faiss.downcast_InvertedLists(fresh.invlists)
        same = _alike(blocks, others, "n_per_block block_size")
        same &= _alike(own, fresh.pq, "d M nbits dsub ksub code_size")
        same &= own.centroids.size() == own.ksub * own.d
    else:
        same = _is_whole_quantiser(index.sq, fresh.sq)
    sizes = [lists.list_size(n) for n in range(index.nlist)]
    if not same or sum(sizes) != index.ntotal:
        return False
    ids = [faiss.rev_swig_ptr(lists.get_ids(n), size) for n, size in enumerate(sizes) if size]
    return bool(np.array_equal(np.sort(np.concatenate(ids)), np.arange(index.ntotal)))


def _is_whole_quantiser(own: Any, fresh: Any) -> bool:
    """8-bit codes: a least value and a step for each dimension."""
    return _alike(own, fresh, "d code_size qtype bits") and own.trained.size() == 2 * own.d


def _is_whole_graph(index: Any) -> bool:
    """A graph of neighbours: every edge leads to a vector that has edges on its level."""
    faiss = need("faiss", "search")

    fresh = faiss.index_factory(index.d, "HNSW32_SQ8", faiss.METRIC_INNER_PRODUCT)
    graph, store = index.hnsw, faiss.downcast_index(index.storage)
    count = index.ntotal
    if type(store).__name__ != "IndexScalarQuantizer" or not count:
        return False
    same = _alike(store, faiss.downcast_index(fresh.storage), "d code_size metric_type")
    same &= _is_whole_quantiser(store.sq, faiss.downcast_index(fresh.storage).sq)
    same &= store.ntotal == count and store.codes.size() == count * store.code_size
    widths = faiss.vector_to_array(graph.cum_nneighbor_per_level)
    same &= np.array_equal(widths, faiss.vector_to_array(fresh.hnsw.cum_nneighbor_per_level))
    levels = faiss.vector_to_array(graph.levels)  # how many levels a vector is on: 1 and more
    starts = faiss.vector_to_array(graph.offsets).astype(np.int64)
    edges = faiss.vector_to_array(graph.neighbors)
    same &= len(levels) == count and len(starts) == count + 1 and starts[0] == 0
    if not same or levels.min() < 1 or levels.max() >= len(widths):
        return False
    same = np.array_equal(np.diff(starts), widths[levels]) and starts[-1] == len(edges)
    same = same and edges.min() >= -1 and edges.max() < count
    same = same and 0 <= graph.entry_point < count
    if not same or not 0 <= graph.max_level < levels[graph.entry_point]:
        return False
    for level in range(1, int(levels.max())):
        on_it = np.flatnonzero(levels > level)
        places = starts[on_it][:, None] + np.arange(widths[level], widths[level + 1])
        met = edges[places]
        if (levels[met[met >= 0]] <= level).any():
            return False
    return True


def _alike(one: Any, other: Any, names: str) -> bool:
    """Whether two of faiss's things have the same values, as far as they have them."""
    return all(getattr(one, name, None) == getattr(other, name, None) for name in names.split())
