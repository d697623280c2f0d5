"""Lengths of embeddings: those that a head rewards can grow, and tell the quality of photos."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F
from training_sets import TINY

import facelab as fl
from facelab.embedders.network import network_of
from facelab.embedders.tensors import as_images
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput
from facelab.training.heads import HEADS
from facelab.training.recipe import Recipe


def degraded(crops: np.ndarray, side: int, noise: float) -> np.ndarray:
    """Photos of `side` times fewer pixels a side, and noise of this deviation."""
    count, size = crops.shape[:2]
    places = (count, size // side, side, size // side, side, 3)
    coarse = crops.reshape(places).mean((2, 4)).repeat(side, 1).repeat(side, 2)
    noisy = coarse + np.random.default_rng(0).normal(0, noise, coarse.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def lengths(embedder: TrainedEmbedder, crops: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return embedder.network(as_images(crops, torch.device("cpu"))).norm(dim=1).numpy()


def learnt_lengths(head: str, steps: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Lengths that the last layers learn with a head, and how poor each photo is, from 0 to 1.

    The features are made up: where a subject is, and noise, more of it in a poor photo.
    """
    recipe = Recipe.from_dict({**TINY.to_dict(), "head": head, "lengths": None, "dim": 128})
    torch.manual_seed(0)
    layers = network_of(recipe.to_dict()).embed
    made = HEADS[head](128, 20, recipe.scale, recipe.margin)
    subject = torch.arange(400) % 20
    poor = torch.rand(400, generator=torch.Generator().manual_seed(1))
    centres = torch.randn(20, layers[0].in_features)
    noise = 2 * poor[:, None] * torch.randn(400, layers[0].in_features)
    features = layers[0].in_features ** 0.5 * F.normalize(centres[subject] + noise)
    optimiser = torch.optim.Adam([*layers.parameters(), *made.parameters()], lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        made.losses(layers(features), subject).mean().backward()
        optimiser.step()
    return layers(features).detach().norm(dim=1).numpy(), poor.numpy()


def test_magfaces_lengths_grow_and_those_of_other_heads_are_held():
    """With a last norm without scale, the mean square of lengths is the number of dimensions."""
    free, poor = learnt_lengths("magface")
    held, _ = learnt_lengths("cosface")
    assert np.sqrt((held**2).mean()) == pytest.approx(np.sqrt(128), rel=1e-3)
    assert np.sqrt((free**2).mean()) > 1.5 * np.sqrt(128)
    assert free.std() > 1
    assert stats.spearmanr(free, poor).statistic < -0.5, "the poorer, the shorter"


@pytest.mark.slow
def test_magfaces_lengths_tell_the_quality_of_rendered_photos():
    """Meng et al. 2021, section 4.2: the poorer a photo, the shorter its embedding.

    Photos that were not trained on, of people who were: as they are, and worse in two steps.
    """
    faces = fl.synthesize(100, 8, 0, size=32, jobs=1)
    faces = faces[faces.table["subject"].isin(faces.table["subject"].unique()[:60]).to_numpy()]
    turn = faces.table.groupby("subject", observed=True).cumcount().to_numpy()
    recipe = Recipe.from_dict(
        {
            **TINY.to_dict(),
            **{"head": "magface", "lengths": None, "dim": 128, "scale": 24, "steps": 500},
            "backbone_options": {"layers": [1, 1, 1, 1], "channels": [16, 32, 64, 96]},
            **{"lr": 4e-3, "augment": {"soften": 0.04, "noise": 0.08, "shrink": 0.8}},
        }
    )
    embedder = fl.train(faces[turn < 6], recipe, device="cpu", progress=False)
    clean = faces[turn >= 6].gather(slice(0, None))
    worse = [degraded(clean, side, noise) for side, noise in ((4, 25), (8, 40))]
    found = np.array([lengths(embedder, crops) for crops in (clean, *worse)])
    trained_on = faces[turn < 6].gather(slice(0, None))
    assert lengths(embedder, trained_on).mean() > 1.3 * np.sqrt(128)
    assert found.std(axis=1).min() > 1, "lengths spread"
    assert (np.diff(found.mean(axis=1)) < 0).all(), "each step is shorter than the one before"
    ranks = stats.spearmanr(found.ravel(), np.repeat(range(3), found.shape[1]))
    assert ranks.statistic < -0.2 and ranks.pvalue < 1e-4


def test_lengths_that_magface_cannot_use_are_refused():
    with pytest.raises(BadInput, match=r"lengths must be free for the head magface, .* 'fixed'"):
        Recipe(head="magface", lengths="fixed")
    with pytest.raises(BadInput, match=r"dim must be above l_a squared \(100\) for magface"):
        Recipe(head="magface", dim=64)
    assert Recipe(head="magface", dim=64, head_options={"l_a": 5}).lengths == "free"
    assert Recipe(head="adaface").lengths == "fixed"
    mitigate = {"by": ["gender"], "meta_margins": 0.1}
    with pytest.raises(BadInput, match="lengths must be fixed where margins by group are learnt"):
        Recipe.from_dict({"head": "magface", "mitigate": mitigate})
