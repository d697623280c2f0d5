"""Grouping similar faces: which photos show one person, when nobody says who is on them.

In: embeddings. Out: a `Grouping`: one cluster a face. Here a cluster is a set of faces that are
taken for one person; a group is a group of people, as everywhere.

The graph of all pairs that score a threshold or more is exact: every pair is scored, in tiles, as
`facelab.audits.overlaps` does. A graph of each face's k nearest would cut a person with more than k
photos in two without a word; only Infomap, which is given a k, works on one.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import root
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import betaincinv, ndtri

from facelab.arguments import as_annotated
from facelab.audits.overlaps import alike_pairs
from facelab.comparisons.given import as_cosine, check_embeddings
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_kind
from facelab.errors import BadInput, FacelabError, check_option, need
from facelab.faces.tables import as_face_table
from facelab.grouping.kernel import average_link
from facelab.workers import apart

# False neighbours of a face, on average, at the threshold that is taken by default. A stranger
# counts for little in a mean over two clusters; where one pair joins two clusters, it is enough.
STRANGERS = {"average": 0.1, "components": 0.003, "infomap": 0.003}
NEIGHBOURS = 50
MOST_FACES = 20_000  # for HDBSCAN, which holds all distances: 3.2 GB
_BULK = 0.05
_SAMPLE = 4000  # faces whose scores tell how strangers score
_BATCH = 1024  # faces that are searched for at a time


@as_annotated
@dataclass(frozen=True, eq=False)
class Grouping:
    """Faces in clusters, each taken for one person.

    Attributes
    ----------
    labels
        int64 (N,): the cluster of each face. Clusters are numbered from 0, the largest first; of
        equal ones the one whose first face comes first.
    table
        DataFrame, one row a face: `subject`, `image`, group columns.
    method, threshold
        How, and from which score on; no threshold is None.
    seconds
        Wall-clock time of the grouping.
    card
        What made the vectors.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> grouping = fl.group_faces(people, threshold=0.4)
    >>> grouping.labels.shape, grouping.clusters
    ((400,), 100)
    >>> fl.Grouping.from_labels(people.table["subject"], people.table).clusters
    100
    """

    labels: np.ndarray
    table: pd.DataFrame
    method: str
    threshold: float | None = None
    seconds: float = 0.0
    card: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_labels(
        cls, labels: np.ndarray, table: pd.DataFrame, method: str = "given"
    ) -> "Grouping":
        """A grouping that others made.

        Parameters
        ----------
        labels
            (N,) numbers or texts; faces with equal ones are one cluster.
        table
            N rows with at least `subject`; `image` is numbered when absent.
        method
            What made it.

        Raises
        ------
        BadInput
            Not one label a face, or one is missing.
        """
        labels = np.asarray(labels)
        if labels.shape != (len(table),):
            raise BadInput(
                f"labels of shape {labels.shape} do not fit a table of {len(table)} rows: give one "
                "label a face"
            )
        missing = np.flatnonzero(pd.isna(labels))
        if len(missing):
            raise BadInput(
                f"row {missing[0]} has no label: give a face without a cluster one of its own"
            )
        if "image" not in table.columns:
            table = table.assign(image=[str(row) for row in range(len(table))])
        return cls(_by_size(labels), as_face_table(table), method)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Faces in each cluster, int64 (clusters,), in falling order."""
        return np.bincount(self.labels)

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return len(self.sizes)

    def __repr__(self) -> str:
        at = "" if self.threshold is None else f" at {self.threshold:.3f}"
        return (
            f"Grouping({len(self):,} faces in {self.clusters:,} clusters, {self.method}{at}, "
            f"the largest of {self.sizes.max(initial=0):,}, {self.seconds:.2f} s)"
        )


@as_annotated
def group_faces(
    embeddings: Embeddings,
    threshold: float | None = None,
    method: str = "average",
    *,
    k: int | None = None,
    jobs: int | None = None,
    seed: int = 0,
) -> Grouping:
    """Put faces of one person together, without knowing who is who.

    Parameters
    ----------
    embeddings
        One set; its subjects are not looked at.
    threshold
        Lowest score of faces, or mean score of clusters, that belong together. By default
        `grouping_threshold` of the method, which needs no labels; for a threshold with a known
        false match rate take ``fl.compare_all(calibration).threshold(fmr)``.
    method
        - ``"average"``: average linkage: clusters are merged while the mean score between them
          reaches the threshold. Exact: the same clusters as with a matrix of all scores.
        - ``"components"``: two faces are together when a chain of scores at or above the threshold
          joins them (single linkage). One wrong score merges two people.
        - ``"infomap"``: communities of random walks (Rosvall & Bergstrom 2008) on the graph of each
          face's k nearest, weighted by how far a score lies above the threshold; extra `grouping`.
        - ``"hdbscan"``: Campello et al. 2013, which takes no threshold, for clusters of two and
          more; extra `grouping`. A face that it calls noise is a cluster of its own, with those of
          an equal vector: a photo always shows somebody.
    k
        For Infomap: neighbours of a face; by default 50.
    jobs
        Processes for the scores of all pairs; by default as many as pay off.
    seed
        For Infomap, which visits faces in random order.

    Returns
    -------
    Grouping

    Raises
    ------
    BadInput
        A method that is not known; a threshold outside [-1, 1], or more than 20 million pairs that
        reach it; a threshold for HDBSCAN, or a k for another method than Infomap; more than 20,000
        faces for HDBSCAN.
    MissingExtra
        Infomap or scikit-learn is not installed.

    Notes
    -----
    Average linkage restricted to the components of the threshold's graph is the same as average
    linkage of everything, cut at the threshold: between two components no score reaches the
    threshold, so no mean does. Memory beyond the vectors is about 50 bytes a pair at or
    above the threshold, also where one component holds nearly everybody.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> grouping = fl.group_faces(people)
    >>> len(people), grouping.clusters
    (400, 91)
    >>> grouping.sizes[:3].tolist()
    [12, 8, 8]
    """
    ways: dict[str, Callable[[], np.ndarray]] = {
        "average": partial(_average, embeddings, jobs),
        "components": partial(_components, embeddings, jobs),
        "infomap": partial(_infomap, embeddings, NEIGHBOURS if k is None else k, seed),
        "hdbscan": partial(_hdbscan, embeddings),
    }
    check_option("method", method, ways)
    if k is not None and method != "infomap":
        raise BadInput(f"method {method!r} takes no k: leave it out, or take method='infomap'")
    check_embeddings(embeddings, "fl.group_faces")
    start = time.perf_counter()
    if method != "hdbscan":
        if threshold is None:
            threshold = grouping_threshold(embeddings, method)
        threshold = as_cosine(threshold)
        found = ways[method](threshold)
    elif threshold is not None:
        raise BadInput("method 'hdbscan' takes no threshold: leave it out, or take another method")
    else:
        found = ways[method]()
    seconds = time.perf_counter() - start
    table = embeddings.table.reset_index(drop=True)
    return Grouping(_by_size(found), table, method, threshold, seconds, dict(embeddings.card))


@as_annotated
def grouping_threshold(
    embeddings: Embeddings, method: str = "average", strangers: float | None = None
) -> float:
    """A threshold at which a face has so many false neighbours on average, without labels.

    In a set of many people almost all pairs are strangers, so that the bulk of all scores tells how
    strangers score: a Beta distribution of (1 + score) / 2 is laid through the median and the score
    that one pair in twenty reaches, and its tail gives the threshold of the false match rate
    strangers / (N - 1). For cosines of random directions the Beta distribution is exact, with both
    parameters (D - 1) / 2; of an embedder's scores it is a good guess and no more: on LFW there are
    three times as many false neighbours as asked for. Where more than one pair in fifty is of one
    person (fewer than about fifty people), the threshold comes out too high.

    Parameters
    ----------
    embeddings
        One set; its subjects are not looked at.
    method
        Sets `strangers` by default: 0.1 for average linkage, 0.003 for components and Infomap.
    strangers
        False neighbours of a face, on average.

    Raises
    ------
    BadInput
        Fewer than 20 faces, faces that all score alike, or a number of strangers that is not
        between 0 and a twentieth of the others.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(200, images=4)
    >>> round(fl.grouping_threshold(people), 2)
    0.21
    >>> round(fl.grouping_threshold(people, "components"), 2)
    0.25
    """
    check_kind(embeddings, "fl.grouping_threshold")
    if strangers is None:
        check_option("method", method, STRANGERS)
        strangers = STRANGERS[method]
    others = len(embeddings) - 1
    if others < 19:
        raise BadInput(f"{others + 1} faces are too few to tell a threshold from: give one")
    if not 0 < strangers <= others * _BULK:
        raise BadInput(f"strangers must lie between 0 and {others * _BULK:g}, not be {strangers}")
    sample = np.asarray(embeddings.vectors[:: -(-len(embeddings) // _SAMPLE)])
    scores = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    middle, upper = (1 + np.quantile(scores, [0.5, 1 - _BULK]).astype(np.float64)) / 2
    if not 0 < middle < upper < 1:
        raise BadInput("the faces score too much alike to tell a threshold from: give one")
    return float(2 * betaincinv(*_through(middle, upper), 1 - strangers / others) - 1)


def _through(middle: float, upper: float) -> np.ndarray:
    """The two shapes of the Beta distribution with this median and this upper quantile."""
    sd = (upper - middle) / ndtri(1 - _BULK)
    size = max(middle * (1 - middle) / sd**2 - 1, 0.1)

    def miss(logs: np.ndarray) -> np.ndarray:
        return betaincinv(*np.exp(logs), [0.5, 1 - _BULK]) - (middle, upper)

    return np.exp(root(miss, np.log([middle * size, (1 - middle) * size])).x)


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Numbers from 0 for the largest cluster down; int64."""
    code, _ = pd.factorize(labels)  # in the order of first faces
    place = np.argsort(-np.bincount(code), kind="stable")
    number = np.empty(len(place), np.int64)
    number[place] = np.arange(len(place))
    return number[code]


# ---- the methods; each returns (N,) labels in any numbering


def _components(embeddings: Embeddings, jobs: int | None, threshold: float) -> np.ndarray:
    a, b, _ = alike_pairs(embeddings.vectors, threshold, jobs)
    return _connected(a, b, len(embeddings))


def _connected(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _average(embeddings: Embeddings, jobs: int | None, threshold: float) -> np.ndarray:
    a, b, _ = alike_pairs(embeddings.vectors, threshold, jobs)
    one, other = np.concatenate([a, b]), np.concatenate([b, a])
    many = np.bincount(one, minlength=len(embeddings))
    neighbours = other[np.argsort(one, kind="stable")]
    sums = np.array(embeddings.vectors, np.float32)
    return average_link(sums, np.r_[0, np.cumsum(many)], neighbours, threshold)


def _infomap(embeddings: Embeddings, k: int, seed: int, threshold: float) -> np.ndarray:
    """Infomap in a process of its own: it and faiss in one process end it (SWIG's shared types)."""
    if find_spec("infomap") is None:
        need("infomap", "grouping")
    a, b, scores = nearest_neighbours(embeddings.vectors, k, threshold)
    labels = np.arange(len(embeddings)) + len(embeddings)  # who has no neighbour is alone
    if not len(a):
        return labels
    weight = np.maximum(scores.astype(np.float64) - threshold, 1e-6)
    with tempfile.TemporaryDirectory() as folder:
        links = Path(folder) / "links.txt"
        pd.DataFrame({"a": a, "b": b, "weight": weight}).to_csv(
            links, sep=" ", header=False, index=False
        )
        words = [str(links), folder, "--two-level", "--clu", "--silent", "--num-trials", "1"]
        command = apart("run_module('infomap')", *words, "--seed", str(seed + 1))
        done = subprocess.run(**command, capture_output=True, text=True)
        if done.returncode:
            raise FacelabError(f"Infomap failed: {(done.stderr or done.stdout).strip()[-300:]}")
        modules = np.loadtxt(links.with_suffix(".clu"), usecols=(0, 1), dtype=np.int64, ndmin=2)
    labels[modules[:, 0]] = modules[:, 1]
    return labels


def nearest_neighbours(
    vectors: np.ndarray, k: int, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs a < b of which one is among the other's k nearest, at or above a threshold, each once.

    faiss searches all rows (`IndexFlatIP`, exact, one thread): scores are float32 products.

    Returns
    -------
    tuple
        int64 a and b, float32 scores, in the order of a and b.
    """
    faiss = need("faiss", "grouping")

    count = len(vectors)
    if not k > 0:
        raise BadInput(f"k must be a positive number of neighbours, not {k}")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(vectors.shape[1])
    rows = np.ascontiguousarray(vectors, np.float32)
    index.add(rows)
    keys, values = [], []
    for start in range(0, count, _BATCH):
        scores, near = index.search(rows[start : start + _BATCH], min(k + 1, count))
        here = np.arange(start, start + len(near))[:, None]
        keep = (scores >= threshold) & (near != here)
        low, high = np.minimum(near, here)[keep], np.maximum(near, here)[keep]
        keys.append(low * count + high)
        values.append(scores[keep])
    key, first = np.unique(np.concatenate(keys), return_index=True)
    return key // count, key % count, np.concatenate(values)[first]


def _hdbscan(embeddings: Embeddings) -> np.ndarray:
    cluster = need("sklearn.cluster", "grouping")
    count = len(embeddings)
    if count > MOST_FACES:
        raise BadInput(
            f"HDBSCAN holds all distances, too many for {count:,} faces: take {MOST_FACES:,} at "
            "most, or method='average'"
        )
    # Distances of unit vectors are in the order of scores.
    way = cluster.HDBSCAN(min_cluster_size=2, min_samples=1, algorithm="brute", copy=True)
    labels = way.fit_predict(np.asarray(embeddings.vectors, np.float64))
    # A cluster that is everybody counts as noise there; equal vectors are together all the same.
    same, _ = pd.factorize(np.array([hash(row.tobytes()) for row in embeddings.vectors]))
    return np.where(labels < 0, same + count, labels)
