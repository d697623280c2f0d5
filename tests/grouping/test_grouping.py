"""Grouping faces: the clusters are those of independent, slower ways."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN, AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

import facelab as fl
from facelab.grouping.clusters import (
    STRANGERS,
    Grouping,
    group_faces,
    grouping_threshold,
    nearest_neighbours,
)
from facelab.grouping.measures import grouping_accuracy


def embeddings(vectors, subject=None):
    subject = np.arange(len(vectors)) if subject is None else subject
    table = pd.DataFrame({"subject": subject.astype(str)})
    return fl.Embeddings.from_arrays(vectors, table, embedder="test")


def noise(seed, count, dim):
    return embeddings(np.random.default_rng(seed).standard_normal((count, dim)))


def crowd(seed=0, people=120, images=4, spread=0.6, dim=64):
    """Faces around one centre a person."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, dim)) / np.sqrt(dim)
    subject = np.repeat(np.arange(people), images)
    vectors = centres[subject] + spread * rng.standard_normal((len(subject), dim)) / np.sqrt(dim)
    order = rng.permutation(len(subject))
    return embeddings(vectors[order], subject[order])


def same(labels, others):
    return adjusted_rand_score(labels, others) == 1.0


@pytest.mark.parametrize(
    ("count", "dim", "threshold"),
    [(200, 8, 0.3), (500, 8, 0.5), (600, 16, 0.2), (400, 4, 0.8), (300, 3, -0.2), (150, 32, 0.6)],
)
def test_average_linkage_is_that_of_scikit_learn_on_everything(count, dim, threshold):
    """Noise: at low thresholds one component holds everybody, and average linkage cuts it."""
    some = noise(count, count, dim)
    peer = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - threshold
    )
    found = group_faces(some, threshold)
    expected = peer.fit_predict(some.vectors.astype(np.float64))
    assert found.clusters == expected.max() + 1
    assert same(found.labels, expected)


def test_average_linkage_lies_within_the_components():
    some = crowd(spread=0.9)
    threshold = grouping_threshold(some)
    average = group_faces(some, threshold).labels
    whole = group_faces(some, threshold, "components").labels
    pairs = pd.DataFrame({"average": average, "whole": whole}).drop_duplicates()
    assert not pairs["average"].duplicated().any()
    assert average.max() > whole.max()


@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.6])
def test_components_are_those_of_all_scores(threshold):
    some = crowd(spread=1.0)
    scores = some.vectors.astype(np.float64) @ some.vectors.T.astype(np.float64)
    graph = coo_array(np.triu(scores >= threshold, 1))
    _, expected = connected_components(graph, directed=False)
    found = group_faces(some, threshold, "components")
    assert same(found.labels, expected)
    peer = DBSCAN(eps=1 - threshold, min_samples=1, metric="cosine")
    assert same(found.labels, peer.fit_predict(some.vectors.astype(np.float64)))


def test_a_person_with_more_photos_than_any_k_stays_whole():
    """A chain of photos, each like its neighbours only, and 200 copies of its ends."""
    angle = np.r_[np.zeros(200), np.linspace(0, np.pi / 2, 40), np.full(200, np.pi / 2)]
    some = embeddings(np.stack([np.cos(angle), np.sin(angle)], 1))
    assert group_faces(some, 0.999, "components").clusters == 1


def test_one_giant_component_takes_no_matrix():
    import tracemalloc

    some = noise(1, 3000, 128)
    group_faces(some[:100], 0.2)  # compiled
    tracemalloc.start()
    found = group_faces(some, 0.2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert group_faces(some, 0.2, "components").sizes[0] > 2900
    assert found.clusters > 500
    condensed = 3000 * 2999 / 2 * 8
    tiles = 5 * 2048**2 * 4  # what comparing a tile takes, whatever the number of faces
    assert peak - tiles < condensed / 3


@pytest.mark.parametrize("method", ["average", "components", "infomap", "hdbscan"])
def test_every_method_finds_people_who_are_apart(method):
    some = crowd(spread=0.45)
    found = group_faces(some, method=method)
    assert found.method == method
    assert same(found.labels, some.table["subject"])
    assert found.sizes.tolist() == [4] * 120
    assert (found.threshold is None) == (method == "hdbscan")


def test_clusters_are_numbered_from_the_largest_down():
    grouping = Grouping.from_labels(
        np.array(["x", "b", "b", "q", "a", "a", "a"]), pd.DataFrame({"subject": list("1234567")})
    )
    assert grouping.labels.tolist() == [2, 1, 1, 3, 0, 0, 0]
    assert grouping.sizes.tolist() == [3, 2, 1, 1]
    assert (len(grouping), grouping.clusters) == (7, 4)


def test_the_order_of_faces_changes_no_cluster():
    some = crowd(spread=0.9)
    order = np.random.default_rng(3).permutation(len(some))
    threshold = grouping_threshold(some)
    for method in ("average", "components"):
        labels = group_faces(some, threshold, method).labels
        assert same(labels[order], group_faces(some[order], threshold, method).labels)


def test_infomap_repeats_itself():
    some = crowd(spread=0.8)
    first, again = (group_faces(some, method="infomap", k=10, seed=4).labels for _ in range(2))
    assert (first == again).all()


def test_the_nearest_neighbours_are_those_of_sorting_all_scores():
    some = noise(5, 300, 16)
    scores = some.vectors @ some.vectors.T
    np.fill_diagonal(scores, -np.inf)
    near = np.argsort(-scores, axis=1)[:, :7]
    expected = {
        tuple(sorted((i, int(j)))) for i in range(300) for j in near[i] if scores[i, j] >= 0.3
    }
    a, b, values = nearest_neighbours(some.vectors, 7, 0.3)
    assert (a < b).all()
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == expected
    assert values == pytest.approx(scores[a, b], abs=1e-6)


def test_the_threshold_is_found_without_labels_and_near_what_labels_tell():
    some = crowd(people=400, images=3, spread=0.7)
    for method, strangers in STRANGERS.items():
        threshold = grouping_threshold(some, method)
        hidden = fl.Embeddings(some.vectors, some.table.assign(subject="unknown"))
        assert grouping_threshold(hidden, method) == threshold
        rates = fl.compare_all(some).error_rates(threshold)
        assert strangers / 4 < rates["fmr"][0] * (len(some) - 1) < strangers * 4 + 0.01


def test_the_default_threshold_groups_well():
    some = crowd(people=400, images=3, spread=0.7)
    assert grouping_accuracy(group_faces(some))["bcubed_f"][0] > 0.97


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "kmeans"}, "method must be 'average', 'components'"),
        ({"threshold": 1.2}, "from -1 to 1, not 1.2"),
        ({"threshold": float("nan")}, "threshold must be a number, not nan"),
        ({"k": 5}, "'average' takes no k"),
        ({"method": "infomap", "k": 0, "threshold": 0.5}, "positive number of neighbours, not 0"),
        ({"method": "hdbscan", "threshold": 0.5}, "takes no threshold"),
    ],
)
def test_wrong_wishes_are_refused_in_a_sentence(options, told):
    with pytest.raises(fl.BadInput, match=told):
        group_faces(crowd(people=10), **options)


def test_too_few_faces_to_tell_a_threshold_from():
    with pytest.raises(fl.BadInput, match="12 faces are too few"):
        group_faces(crowd(people=3))
    assert group_faces(crowd(people=3), 0.5).clusters == 3


def test_too_many_pairs_are_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr("facelab.audits.overlaps.MOST_PAIRS", 1000)
    with pytest.raises(fl.BadInput, match="raise the threshold"):
        group_faces(noise(0, 200, 8), 0.0)


def test_too_many_faces_for_hdbscan(monkeypatch):
    monkeypatch.setattr("facelab.grouping.clusters.MOST_FACES", 100)
    with pytest.raises(fl.BadInput, match="too many for 480 faces"):
        group_faces(crowd(), method="hdbscan")


@pytest.mark.parametrize("package", ["infomap", "faiss"])
def test_without_a_package_its_extra_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(fl.MissingExtra, match=r"facelab\[grouping\]"):
        group_faces(crowd(people=10), 0.5, "infomap")


def test_without_scikit_learn_its_extra_is_named(monkeypatch):
    class Without:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "sklearn":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in ("sklearn", "sklearn.cluster"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without, *sys.meta_path])
    with pytest.raises(fl.MissingExtra, match=r"facelab\[grouping\]"):
        group_faces(crowd(people=10), method="hdbscan")


@pytest.mark.parametrize("method", ["average", "components", "infomap", "hdbscan"])
@pytest.mark.parametrize("faces", [2, 3, 30])
def test_equal_vectors_are_one_person_by_every_method(method, faces):
    table = pd.DataFrame({"subject": [f"s{row}" for row in range(faces)]})
    equal = fl.Embeddings.from_arrays(np.ones((faces, 8)), table)
    threshold = None if method == "hdbscan" else 0.5
    assert fl.group_faces(equal, threshold, method).clusters == 1


def test_a_grouping_of_nobody_says_so():
    nobody = fl.Grouping.from_labels([], pd.DataFrame({"subject": [], "image": []}))
    assert repr(nobody).startswith("Grouping(0 faces in 0 clusters")
    for measure in (fl.grouping_accuracy, fl.grouping_errors, fl.split_people):
        with pytest.raises(fl.BadInput, match="no faces in the grouping"):
            measure(nobody)
