"""Several processes train what one process trains."""

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
from facelab.training import Augmentation, Mitigation, Validation
from facelab.training.distributed import Team

FIFTY = dataclasses.replace(TINY, steps=50, margin=0.3)
RECIPES = {
    # The whole of it: every change of the images, all mitigations, dropout-like randomness.
    "classes": dataclasses.replace(
        FIFTY,
        head="adaface",
        accumulate=2,
        ema=0.9,
        augment=Augmentation(noise=0.05, cover=0.3, grey=0.3, jpeg=0.3, erase=0.2),
        mitigate=Mitigation(by=["gender"], dro=0.1, meta_margins=0.01, adversary=0.3),
        validate=Validation(every=20, by=["gender"], fmr=0.05, keep="fnmr"),
    ),
    "pairs": dataclasses.replace(FIFTY, head="contrast", together=2, batch=16),
    "sampled centres": dataclasses.replace(FIFTY, centres=0.7, optimiser="sgd", lr=0.02),
}


def launch(folder: Path, processes: int, *words: str) -> subprocess.CompletedProcess:
    """`python -m facelab train` on some processes."""
    line = [sys.executable]
    if processes > 1:
        line += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line += ["-m", "facelab", "train", *words, "--device", "cpu"]
    return subprocess.run(line, capture_output=True, text=True, env=environment, cwd=folder)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    patterns().save(folder / "faces")
    patterns(seed=1, prefix="held").save(folder / "held")
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_go_the_way_of_one(tmp_path, sets, name):
    recipe = RECIPES[name].to_yaml(tmp_path / "recipe.yaml")
    told = ["--held-out", str(sets / "held")] if RECIPES[name].validate.every else []
    told += ["--meta", str(sets / "held")] if RECIPES[name].mitigate.meta_margins else []
    histories, networks = [], []
    for processes in (1, 2):
        out = tmp_path / f"on{processes}"
        run = launch(
            tmp_path, processes, str(sets / "faces"), "-o", str(out), "--recipe", str(recipe), *told
        )
        assert run.returncode == 0, run.stderr
        embedder = fl.load_embedder(out)
        assert embedder.card["processes"] == processes
        assert run.stdout.count("embedder") == 1
        histories.append(embedder.history["loss"].to_numpy())
        networks.append(embedder.network.state_dict())
    assert len(histories[0]) == 50
    np.testing.assert_allclose(histories[0], histories[1], atol=1e-4, rtol=1e-4)
    # The running mean of the inputs' first convolution saw the whole batch, not a half.
    one, two = (n["backbone.bn1.running_mean"] for n in networks)
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_a_training_resumed_on_another_number_of_processes_goes_the_same_way(tmp_path, sets):
    recipe = dataclasses.replace(RECIPES["classes"], validate=Validation(every=20, fmr=0.05))
    recipe = recipe.to_yaml(tmp_path / "recipe.yaml")
    words = [str(sets / "faces"), "--recipe", str(recipe), "--checkpoint-every", "10"]
    words += ["--meta", str(sets / "held"), "--keep", "9"]
    assert launch(tmp_path, 1, *words, "-o", "whole").returncode == 0

    # Stopped half way: the checkpoints of a whole run, but for those after step 20.
    fl.train(
        fl.load(sets / "faces"),
        fl.Recipe.from_yaml(recipe),
        meta=fl.load(sets / "held"),
        device="cpu",
        checkpoints=tmp_path / "shared.checkpoints",
        checkpoint_every=20,
        keep=9,
    )
    for late in ("step-000000040.pt", "step-000000050.pt"):
        (tmp_path / "shared.checkpoints" / late).unlink()
    run = launch(tmp_path, 2, *words, "-o", "shared", "--resume")
    assert run.returncode == 0, run.stderr
    whole, shared = (fl.load_embedder(tmp_path / name).history for name in ("whole", "shared"))
    np.testing.assert_allclose(whole["loss"], shared["loss"], atol=1e-4, rtol=1e-4)


def test_a_batch_that_does_not_divide_is_refused_in_one_sentence(tmp_path, sets):
    recipe = dataclasses.replace(TINY, batch=33).to_yaml(tmp_path / "recipe.yaml")
    run = launch(tmp_path, 2, str(sets / "faces"), "-o", "out", "--recipe", str(recipe))
    assert run.returncode != 0
    assert "a batch of 33 images does not divide among 2 processes" in run.stderr
    with pytest.raises(BadInput, match="does not divide among 4 processes"):
        Team(torch.device("cpu"), 0, 4).part(30)


def test_the_parts_of_a_batch_are_all_of_it_once():
    parts = [Team(torch.device("cpu"), rank, 4).part(32) for rank in range(4)]
    assert np.concatenate([np.arange(32)[part] for part in parts]).tolist() == list(range(32))


def test_histories_are_of_every_step():
    assert pd.Series(range(1, 13)).tolist() == fl.train(patterns(), TINY).history["step"].tolist()
