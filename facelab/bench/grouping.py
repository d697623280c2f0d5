"""Grouping, side by side with scikit-learn: accuracy and seconds on the same vectors.

In: embeddings whose labels are known. Out: one row a way and threshold. ``python -m
facelab.bench.grouping FOLDER`` prints it for embeddings stored in a folder.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from facelab.embedders.embeddings import Embeddings
from facelab.errors import need
from facelab.grouping.clusters import Grouping, group_faces, grouping_threshold
from facelab.grouping.measures import grouping_accuracy

STEPS = 13  # thresholds tried, to find each way's best
_SHOWN = ["bcubed_precision", "bcubed_recall", "bcubed_f", "pairwise_f"]


def ways(embeddings: Embeddings) -> dict[str, Callable[[float], np.ndarray]]:
    """Labels at a threshold, by ours and by theirs: average linkage, and DBSCAN of two and more,
    which is components but for names."""
    cluster = need("sklearn.cluster", "grouping")
    rows = np.asarray(embeddings.vectors)

    def ours(method: str, threshold: float) -> np.ndarray:
        return group_faces(embeddings, threshold, method, jobs=1).labels

    def agglomerative(threshold: float) -> np.ndarray:
        peer = cluster.AgglomerativeClustering(
            n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - threshold
        )
        return peer.fit_predict(rows)

    def dbscan(threshold: float) -> np.ndarray:
        labels = cluster.DBSCAN(eps=1 - threshold, min_samples=2, metric="cosine").fit_predict(rows)
        return np.where(labels < 0, len(rows) + np.arange(len(rows)), labels)

    return {
        "facelab average": partial(ours, "average"),
        "facelab components": partial(ours, "components"),
        "facelab Infomap": partial(ours, "infomap"),
        "scikit-learn agglomerative, average": agglomerative,
        "scikit-learn DBSCAN": dbscan,
    }


def beside_scikit_learn(embeddings: Embeddings) -> pd.DataFrame:
    """Every way at our threshold and at its own best, in one run.

    The best threshold is that of the highest B-cubed F on a ladder, which only labels tell; that of
    average linkage is found with ours, whose clusters are the same.

    Returns
    -------
    DataFrame
        `way`, `threshold of` ("ours", found without labels, or "best"), `threshold`, `clusters`,
        B-cubed precision, recall and F, pairwise F, `seconds`.
    """
    known = ways(embeddings)

    def accuracy(labels: np.ndarray) -> pd.Series:
        grouping = Grouping.from_labels(labels, embeddings.table)
        return grouping_accuracy(grouping).iloc[0][_SHOWN].rename(grouping.clusters)

    def best(way: str, start: float) -> float:
        ladder = start + np.linspace(-0.12, 0.12, STEPS)
        return max(ladder, key=lambda t: accuracy(known[way](t))["bcubed_f"])

    average, components, infomap = list(known)[:3]
    own = {way: grouping_threshold(embeddings, way.split()[-1].lower()) for way in list(known)[:3]}
    own |= dict(zip(list(known)[3:], (own[average], own[components]), strict=True))
    found = {way: best(way, own[way]) for way in (average, components, infomap)}
    found |= dict(zip(list(known)[3:], (found[average], found[components]), strict=True))
    rows = []
    for way, make in known.items():
        for whose, threshold in (("ours", own[way]), ("best", found[way])):
            start = time.perf_counter()
            labels = make(threshold)
            seconds = time.perf_counter() - start
            told = accuracy(labels)
            head = {"way": way, "threshold of": whose, "threshold": threshold}
            rows.append({**head, "clusters": told.name, **told, "seconds": seconds})
    start = time.perf_counter()
    labels = group_faces(embeddings, method="hdbscan").labels
    seconds, told = time.perf_counter() - start, accuracy(labels)
    head = {"way": "scikit-learn HDBSCAN", "threshold of": "none", "threshold": np.nan}
    rows.append({**head, "clusters": told.name, **told, "seconds": seconds})
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table for the embeddings in the folder that is named."""
    (folder,) = sys.argv[1:]
    with pd.option_context("display.width", 200, "display.max_columns", None):
        print(beside_scikit_learn(Embeddings.load(folder)).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
