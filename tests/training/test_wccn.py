"""Within-class covariance normalisation against its formula, and how a training ends with it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
from torch import nn
from torch.nn import functional as F
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.trained import TrainedEmbedder
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


def test_of_many_images_whole_subjects_with_a_pair_are_looked_at():
    counts = np.r_[np.ones(30, int), np.full(40, 5)]
    subjects = np.repeat([f"s{i}" for i in range(70)], counts)
    chosen = [wccn._whole_subjects(subjects, seed, 60) for seed in (0, 1)]
    for some in chosen:
        kept, images = np.unique(subjects[some], return_counts=True)
        assert len(kept) == 12 and set(images) == {5}
    assert not np.array_equal(*chosen)
    assert wccn._whole_subjects(subjects, 0, 10_000).sum() == 200


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


# ---- whose covariance


class Pixels(nn.Module):
    """The last layer alone, on the colours of an image's sixteenths."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(48, 48, bias=False), nn.BatchNorm1d(48, affine=False))
        nn.init.eye_(self.embed[0].weight)
        self.embed[1].running_mean.fill_(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.embed(F.avg_pool2d(images, images.shape[-1] // 4).flatten(1))


def skewed(subjects: dict[str, int], seed: int) -> fl.FaceSet:
    """Photos of one group's subjects differ above all in red, those of the other's in blue."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.repeat(list(subjects), list(subjects.values())), 6)
    subject = np.repeat(np.arange(sum(subjects.values())), 6)
    colours = 128 + rng.normal(0, 25, (subject.max() + 1, 4, 4, 3))[subject]
    spread = np.where((group == "many")[:, None], [35, 5, 5], [5, 5, 35])[:, None, None]
    colours += spread * rng.normal(size=colours.shape)
    crops = colours.clip(0, 255).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    table = pd.DataFrame({"subject": [f"s{seed}-{n}" for n in subject], "group": group})
    table["image"] = [f"{n}.png" for n in range(len(table))]
    return fl.FaceSet.from_arrays(table, crops, name="skewed", synthetic=True, groups=["group"])


@pytest.fixture(scope="module")
def by_whom() -> dict[str, TrainedEmbedder]:
    """Nine of ten subjects are of one group: the covariance of all, and of the groups alike."""
    faces, made = skewed({"many": 90, "few": 10}, seed=0), {}
    for name, by in (("all", []), ("alike", ["group"])):
        recipe = {**TINY.to_dict(), "dim": 48}
        made[name] = TrainedEmbedder(Pixels(), recipe, {}, pd.DataFrame(), name)
        wccn.normalise_within(made[name], faces, SHRINKAGE, 0, progress=False, by=by)
    return made


def within_share(embedder: TrainedEmbedder, group: str) -> float:
    """How much of the spread of a group's embeddings lies within subjects; other subjects."""
    embeddings = embedder.embed(skewed({group: 60}, seed=1), progress=False)
    within = np.trace(covariance_by_subject(embeddings))
    return within / embeddings.vectors.var(axis=0).sum()


def test_one_covariance_of_all_serves_the_many_and_balanced_ones_both_alike(by_whom):
    shares = {
        name: {group: within_share(one, group) for group in ("many", "few")}
        for name, one in by_whom.items()
    }
    assert shares["all"]["few"] > 1.4 * shares["all"]["many"]
    assert shares["alike"]["few"] == pytest.approx(shares["alike"]["many"], rel=0.1)
    assert shares["alike"]["few"] < 0.85 * shares["all"]["few"]


def test_balanced_covariances_are_the_mean_of_the_groups_own(by_whom):
    faces = skewed({"many": 90, "few": 10}, seed=0)
    plain = TrainedEmbedder(Pixels(), {**TINY.to_dict(), "dim": 48}, {}, pd.DataFrame(), "plain")
    before = plain.embed(faces, progress=False)
    groups = [before[(faces.table["group"] == name).to_numpy()] for name in ("many", "few")]
    within = np.mean([covariance_by_subject(own) for own in groups], axis=0)
    found = by_whom["alike"].embed(faces, progress=False).vectors
    assert np.allclose(found, whitened(before, within) @ rotation(within), atol=1e-5)


def rotation(within: np.ndarray) -> np.ndarray:
    """From Cholesky's root of the inverse to the symmetric one."""
    inverse = np.linalg.inv(within / np.mean(np.diag(within)) + SHRINKAGE * np.eye(len(within)))
    return np.linalg.solve(np.linalg.cholesky(inverse), scipy.linalg.sqrtm(inverse))


def test_the_card_says_whose_covariance_it_was(by_whom, normalised):
    told = by_whom["all"].card["wccn"]
    assert (told["subjects"], told["images"], told["by"]) == (100, 600, [])
    assert told["shares"] == {"group": {"many": 0.9, "few": 0.1}}
    told = by_whom["alike"].card["wccn"]
    assert told["by"] == ["group"] and told["shares"] == {"group": {"few": 0.5, "many": 0.5}}
    assert normalised.card["wccn"]["shares"] == {"gender": {"female": 0.5, "male": 0.5}}


def test_a_scale_and_shift_of_the_last_norm_are_whitened_with_it(faces):
    recipe = dataclasses.replace(TINY, lengths="free", wccn=0.0)
    free = fl.train(faces, recipe, device="cpu", progress=False)
    assert free.network.embed[1].weight.std() > 0
    before = free.embed(faces, progress=False)
    wccn.normalise_within(free, faces, SHRINKAGE, seed=0, progress=False)
    after, expected = (
        free.embed(faces, progress=False),
        whitened(before, covariance_by_subject(before)),
    )
    assert np.allclose(after.vectors @ after.vectors.T, expected @ expected.T, atol=1e-4)


def test_groups_that_cannot_have_a_covariance_are_refused_before_training(faces):
    lone = faces[
        ~((faces.table["gender"] == "male") & faces.table["subject"].duplicated()).to_numpy()
    ]
    recipe = dataclasses.replace(TINY, wccn=SHRINKAGE, wccn_by="gender")
    with pytest.raises(BadInput, match="two images or more in the group 'male', and there are"):
        fl.train(lone, recipe, device="cpu", progress=False)
    table = faces.table.assign(light=np.resize(["day", "night"], len(faces)))
    mixed = fl.FaceSet(table, faces.gather(slice(None)), faces.card)
    recipe = dataclasses.replace(recipe, wccn_by="light")
    with pytest.raises(BadInput, match="wccn_by: the subject 's000' stands in two groups"):
        fl.train(mixed, recipe, device="cpu", progress=False)
    with pytest.raises(BadInput, match="wccn_by must be empty where wccn is 0, not"):
        dataclasses.replace(recipe, wccn=0)
