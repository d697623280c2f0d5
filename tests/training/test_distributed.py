"""Several processes train what one process trains."""

import copy
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput
from facelab.training.distributed import Team, _synchronise
from facelab.training.recipe import Augmentation, Mitigation, Validation

# In float64: in float32 a difference of 1e-7 at the start is 1e-3 after some 20 steps of a network
# as small and fast as this, on one process as on two.
FIFTY = dataclasses.replace(TINY, steps=50, margin=0.3, precision="fp64")
RECIPES = {
    "classes": FIFTY,
    # Every kind of thing that must see the whole batch.
    "everything": dataclasses.replace(
        FIFTY,
        head="adaface",
        accumulate=2,
        ema=0.9,
        wccn=0.1,
        augment=Augmentation(noise=0.05, cover=0.3, grey=0.3, jpeg=0.3, erase=0.2),
        mitigate=Mitigation(by=["gender"], dro=0.1, meta_margins=0.01, adversary=0.3),
        validate=Validation(every=20, by=["gender"], fmr=0.05, keep="fnmr"),
    ),
    "pairs": dataclasses.replace(FIFTY, head="contrast", together=2, batch=16),
    "sampled centres": dataclasses.replace(FIFTY, centres=0.7, optimiser="sgd", lr=0.02),
}


def launch(processes: int, *words: object) -> subprocess.CompletedProcess:
    """A script, or `-m` and a module, on some processes."""
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    line += [f"--nproc-per-node={processes}", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(line, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    patterns().save(folder / "faces")
    patterns(seed=1, prefix="held").save(folder / "held")
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory, sets) -> Path:
    """All recipes trained on two processes."""
    folder = tmp_path_factory.mktemp("together")
    recipes = [recipe.to_yaml(folder / f"{name}.yaml") for name, recipe in RECIPES.items()]
    script = Path(__file__).with_name("train_together.py")
    run = launch(2, script, sets / "faces", sets / "held", folder, *recipes)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_go_the_way_of_one(together, sets, name):
    recipe = RECIPES[name]
    other = fl.load(sets / "held")
    one = fl.train(
        fl.load(sets / "faces"),
        recipe,
        device="cpu",
        held_out=other if recipe.validate.every else None,
        meta=other if recipe.mitigate.meta_margins else None,
    )
    two = fl.load_embedder(together / name)
    assert (one.card["processes"], two.card["processes"]) == (1, 2)
    assert len(one.history) == 50
    np.testing.assert_allclose(one.history["loss"], two.history["loss"], rtol=1e-7)
    # Norms saw the whole batch, weights moved alike.
    weights = one.network.state_dict()
    for part, value in two.network.state_dict().items():
        torch.testing.assert_close(value, weights[part], rtol=1e-5, atol=1e-6)
    if one.validation is not None:
        pd.testing.assert_frame_equal(one.validation, two.validation, check_dtype=False)


def test_the_command_goes_on_with_another_number_of_processes(tmp_path, sets, together):
    # Begun by one process and cut at step 20.
    path = together / "everything.yaml"
    fl.train(
        fl.load(sets / "faces"),
        fl.Recipe.from_yaml(path),
        held_out=fl.load(sets / "held"),
        meta=fl.load(sets / "held"),
        device="cpu",
        checkpoints=tmp_path / "shared.checkpoints",
        checkpoint_every=20,
        keep=9,
    )
    for late in ("step-000000040.pt", "step-000000050.pt"):
        (tmp_path / "shared.checkpoints" / late).unlink()
    words = ["train", sets / "faces", "--recipe", path, "--out", tmp_path / "shared", "--resume"]
    words += ["--held-out", sets / "held", "--meta", sets / "held", "--device", "cpu"]
    run = launch(2, "-m", "facelab", *words)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("embedder") == 1
    whole, shared = (fl.load_embedder(p) for p in (together / "everything", tmp_path / "shared"))
    np.testing.assert_allclose(whole.history["loss"], shared.history["loss"], rtol=1e-7)
    assert not (tmp_path / "shared.checkpoints").exists()


def test_a_batch_that_does_not_divide_is_refused_in_one_sentence(tmp_path, sets):
    recipe = dataclasses.replace(TINY, batch=33).to_yaml(tmp_path / "recipe.yaml")
    words = ["train", sets / "faces", "--recipe", recipe, "--out", tmp_path / "out"]
    run = launch(2, "-m", "facelab", *words, "--device", "cpu")
    assert run.returncode != 0
    assert "facelab: a batch of 33 images does not divide among 2 processes" in run.stderr
    with pytest.raises(BadInput, match="does not divide among 4 processes"):
        Team(torch.device("cpu"), 0, 4).part(30)


def test_the_parts_of_a_batch_are_all_of_it_once():
    parts = [Team(torch.device("cpu"), rank, 4).part(32) for rank in range(4)]
    assert np.concatenate([np.arange(32)[part] for part in parts]).tolist() == list(range(32))


@pytest.fixture
def alone():
    """A group of one process."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("norm", "shape"),
    [(torch.nn.BatchNorm2d(5), (12, 5, 6, 6)), (torch.nn.BatchNorm1d(5, affine=False), (12, 5))],
)
def test_norm_over_all_processes_is_that_of_torch(alone, kind, norm, shape):
    torch.manual_seed(0)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    found = []
    for whole in (False, True):
        net = torch.nn.Sequential(copy.deepcopy(norm))
        if whole:
            _synchronise(net)
        torch.manual_seed(1)
        x = (3 + 2 * torch.randn(shape)).to(kind)
        if len(shape) == 4:
            x = x.to(memory_format=torch.channels_last)
        out = net(x.requires_grad_())
        assert out.dtype == kind
        (out.float() * torch.randn(shape)).sum().backward()
        found.append([out, x.grad, *(p.grad for p in net.parameters()), *net.buffers()])
    near = 1e-5 if kind == torch.float32 else 0.02
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=near, atol=near)
