"""Average linkage on a sparse graph, compiled.

In: unit rows and, of each, the rows that score a threshold or more with it. Out: the clusters that
average linkage of all rows gives when it is cut at that threshold.

The mean score of two clusters is the product of their mean vectors, so that no matrix of scores is
needed; and where it reaches the threshold, so does some score, so that only neighbours in the graph
need be looked at. Memory is that of the vectors and of the graph.
"""
# ruff: noqa: ANN001 - the compiler infers the types of the inner functions

import numpy as np

from facelab.caches import compiled
from facelab.comparisons.kernels import dot

_compiled = compiled(nogil=True, error_model="numpy")


@_compiled
def _root(parent, row):
    """The cluster that a row is in now; the way there is halved in passing."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@_compiled
def _nearest(cluster, before, sums, size, parent, runs, neighbours, seen, stamp):
    """The neighbour of highest mean score, and that score; of equals `before`, if it is one.

    A cluster's neighbours stand in the runs of its rows. Those that have become one cluster, or
    the cluster itself, are kept once or not at all: what is crossed out is never read again.
    """
    first, last, following = runs
    best, score, run, kept = -1, -np.inf, cluster, cluster
    seen[cluster] = stamp
    while run >= 0:
        place = first[run]
        for k in range(first[run], last[run]):
            other = _root(parent, neighbours[k])
            if seen[other] == stamp:
                continue
            seen[other] = stamp
            neighbours[place] = other
            place += 1
            mean = dot(sums, min(cluster, other), sums, max(cluster, other))
            mean /= np.float64(size[cluster]) * size[other]
            if mean > score or (mean == score and other == before):
                best, score = other, mean
        last[run] = place
        if place > first[run]:
            kept = run
        elif run != cluster and following[run] >= 0:  # the last one must stay: more may be added
            following[kept] = following[run]
        run = following[run]
    return best, score


@_compiled
def average_link(
    sums: np.ndarray, first: np.ndarray, neighbours: np.ndarray, threshold: float
) -> np.ndarray:
    """Merge clusters while their mean score reaches the threshold.

    Chains of nearest neighbours (Benzécri 1982; Müllner 2011, arXiv 1109.2378, section 3.2): from
    any cluster to its nearest, and on, until two are each other's nearest; these are merged. For
    average linkage this gives the same tree as merging the nearest two of all first.

    Parameters
    ----------
    sums : float32 (N, D)
        Unit rows; becomes the sums of the clusters' rows.
    first : int64 (N + 1,)
        Where each row's neighbours begin.
    neighbours : int32
        Of each row those that score the threshold or more, both ways; is written over.
    threshold
        Lowest mean score of two clusters that are merged.

    Returns
    -------
    ndarray
        int64 (N,): of each row a row of its cluster, the same for all of them.
    """
    count = len(sums)
    parent, size = np.arange(count), np.ones(count, np.int64)
    runs = first[:-1].copy(), first[1:].copy(), np.full(count, -1)
    end = np.arange(count)  # the last run of a cluster
    seen, stamp = np.full(count, -1), 0
    chain, length = np.empty(count + 1, np.int64), 0
    for start in range(count):
        done = parent[start] != start
        while not done:
            if length == 0:
                chain[0], length = start, 1
            cluster = chain[length - 1]
            before = chain[length - 2] if length > 1 else -1
            nearest, score = _nearest(
                cluster, before, sums, size, parent, runs, neighbours, seen, stamp
            )
            stamp += 1
            if score < threshold:
                # Nobody's nearest, for it would be near enough: the chain is this cluster alone.
                length, done = 0, True
            elif nearest != before:
                chain[length], length = nearest, length + 1
            else:
                kept, gone = max(cluster, nearest), min(cluster, nearest)
                sums[kept] += sums[gone]
                size[kept] += size[gone]
                parent[gone] = kept
                runs[2][end[kept]], end[kept] = gone, end[gone]
                length -= 2
                done = length == 0 and parent[start] != start
    return np.array([_root(parent, row) for row in range(count)])
