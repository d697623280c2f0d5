"""Within-class covariance normalisation against its formula, and how a training ends with it."""

import dataclasses

import numpy as np
import pytest
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput
from facelab.training import wccn

SHRINKAGE = 0.1


@pytest.fixture(scope="module")
def faces() -> fl.FaceSet:
    return patterns()


@pytest.fixture(scope="module")
def plain(faces):
    return fl.train(faces, TINY, device="cpu", progress=False)


@pytest.fixture(scope="module")
def normalised(faces):
    recipe = dataclasses.replace(TINY, wccn=SHRINKAGE)
    return fl.train(faces, recipe, device="cpu", progress=False)


def covariance_by_subject(embeddings: fl.Embeddings) -> np.ndarray:
    """Within-class covariance, subject by subject."""
    subjects = embeddings.table["subject"].astype(str).to_numpy()
    scatter, freedom = 0, 0
    for subject in np.unique(subjects):
        own = embeddings.vectors[subjects == subject].astype(np.float64)
        scatter = scatter + (own - own.mean(0)).T @ (own - own.mean(0))
        freedom += len(own) - 1
    return scatter / freedom


def whitened(embeddings: fl.Embeddings, within: np.ndarray) -> np.ndarray:
    """The formula, by Cholesky instead of eigenvectors: the same cosines."""
    shrunk = within / np.mean(np.diag(within)) + SHRINKAGE * np.eye(len(within))
    vectors = embeddings.vectors @ np.linalg.cholesky(np.linalg.inv(shrunk))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_training_ends_with_the_formula(faces, plain, normalised):
    within = covariance_by_subject(plain.embed(faces, progress=False))
    unseen = patterns(seed=5, prefix="unseen")
    wanted = whitened(plain.embed(unseen, progress=False), within)
    found = normalised.embed(unseen, progress=False).vectors
    assert np.abs(found @ found.T - wanted @ wanted.T).max() < 1e-5
    before = plain.embed(unseen, progress=False).vectors
    assert np.abs(found @ found.T - before @ before.T).max() > 0.01


def test_it_only_changes_the_last_layer(plain, normalised):
    before, after = plain.network.state_dict(), normalised.network.state_dict()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"embed.0.weight", "embed.1.running_mean", "embed.1.running_var"}


def test_the_covariance_does_not_depend_on_the_order_of_the_images(plain, faces):
    embeddings = plain.embed(faces, progress=False)
    mixed = embeddings[np.random.default_rng(0).permutation(len(embeddings))]
    for some in (embeddings, mixed):
        found = wccn.within_covariance(some.vectors, some.table["subject"].astype(str).to_numpy())
        assert np.allclose(found, covariance_by_subject(embeddings), atol=1e-12)


def test_it_is_saved_with_the_embedder(tmp_path, faces, normalised):
    again = fl.load_embedder(normalised.save(tmp_path / "model"))
    assert again.recipe["wccn"] == SHRINKAGE
    ours = normalised.embed(faces, progress=False).vectors
    assert np.array_equal(again.embed(faces, progress=False).vectors, ours)


def test_of_many_images_whole_subjects_with_a_pair_are_looked_at(monkeypatch):
    monkeypatch.setattr(wccn, "_MOST", 60)
    counts = np.r_[np.ones(30, int), np.full(40, 5)]
    subjects = np.repeat([f"s{i}" for i in range(70)], counts)
    chosen = [wccn._whole_subjects(subjects, seed) for seed in (0, 1)]
    for some in chosen:
        kept, images = np.unique(subjects[some], return_counts=True)
        assert len(kept) == 12 and set(images) == {5}
    assert not np.array_equal(*chosen)
    monkeypatch.setattr(wccn, "_MOST", 10_000)
    assert wccn._whole_subjects(subjects, 0).sum() == 200


def test_subjects_of_one_image_are_refused_before_training(faces):
    singles = faces[~faces.table["subject"].duplicated().to_numpy()]
    recipe = dataclasses.replace(TINY, wccn=SHRINKAGE)
    with pytest.raises(BadInput, match="two images"):
        fl.train(singles, recipe, device="cpu", progress=False)


def test_photos_that_do_not_differ_are_refused(faces, plain):
    rows = np.flatnonzero(~faces.table["subject"].duplicated().to_numpy())
    table = faces.table.iloc[np.repeat(rows, 2)].reset_index(drop=True)
    table["image"] = [f"copy-{i}" for i in range(len(table))]
    copies = fl.FaceSet(table, faces.gather(np.repeat(rows, 2)), faces.card)
    with pytest.raises(BadInput, match="alike"):
        wccn.normalise_within(plain, copies, SHRINKAGE, seed=0, progress=False)
