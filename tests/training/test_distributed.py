"""Several processes train what one process trains."""

import copy
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.network import network_of
from facelab.errors import BadInput, Stopped
from facelab.training import pulses
from facelab.training.checkpoints import Checkpoints
from facelab.training.distributed import Team
from facelab.training.norms import over_all_processes
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

KEEPS = {
    keep: dataclasses.replace(
        TINY,
        steps=24,
        lr=0.02,
        validate=Validation(every=4, by=["gender"], fmr=0.05, keep=keep),
    )
    for keep in ("last", "fnmr", "worst_fnmr", "fmr_ratio", "garbe")
}

MAIN = "from facelab.cli import main; main()"


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
def together(tmp_path_factory, sets):
    """All recipes trained on two processes, and every way to keep weights on four."""

    @cache
    def trained(processes: int) -> Path:
        folder = tmp_path_factory.mktemp("together")
        recipes = {2: RECIPES, 4: KEEPS}[processes]
        files = [recipe.to_yaml(folder / f"{name}.yaml") for name, recipe in recipes.items()]
        script = Path(__file__).with_name("train_together.py")
        run = launch(processes, script, sets / "faces", sets / "held", folder, *files)
        assert run.returncode == 0, run.stderr
        return folder

    return trained


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
    two = fl.load_embedder(together(2) / name / "0")
    assert (one.card["processes"], two.card["processes"]) == (1, 2)
    assert len(one.history) == 50
    np.testing.assert_allclose(one.history["loss"], two.history["loss"], rtol=1e-7)
    # Norms saw the whole batch, weights moved alike.
    weights = one.network.state_dict()
    for part, value in two.network.state_dict().items():
        torch.testing.assert_close(value, weights[part], rtol=1e-5, atol=1e-6)
    if one.centres is not None:
        torch.testing.assert_close(two.centres.weight, one.centres.weight, rtol=1e-5, atol=1e-6)
    if one.validation is not None:
        pd.testing.assert_frame_equal(one.validation, two.validation, check_dtype=False)


# Four processes on the two cores of a test machine take minutes.
FOUR = pytest.param(4, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("processes", "name"),
    [
        *((2, name) for name in RECIPES),
        *(pytest.param(4, name, marks=pytest.mark.slow) for name in KEEPS),
    ],
)
def test_all_processes_get_the_same_embedder(together, processes, name):
    first, *others = (
        fl.load_embedder(together(processes) / name / str(rank)) for rank in range(processes)
    )
    for other in others:
        assert other.identity() == first.identity()
        assert other.card == first.card
        assert other.history.equals(first.history)
        assert first.validation is None or other.validation.equals(first.validation)
        assert (first.centres is None) == (RECIPES.get(name, TINY).head == "contrast")
        if first.centres is not None:
            assert all(map(torch.equal, first.centres, other.centres))
            assert len(first.centres.weight) == 12


@pytest.mark.slow
def test_what_is_kept_by_a_figure_is_not_the_last_step(together):
    cards = {name: fl.load_embedder(together(4) / name / "3").card for name in KEEPS}
    assert "kept" not in cards.pop("last")
    assert any(card["kept"]["step"] < 24 for card in cards.values())


@pytest.mark.parametrize("processes", [2, FOUR])
def test_centres_in_shards_go_the_way_of_whole_ones_for_fifty_steps(together, processes):
    for rank in range(processes):
        found = json.loads((together(processes) / f"apart-{rank}.json").read_text())
        assert len(found) == 12
        assert all(value < 1e-5 for value in found.values()), found


def test_the_command_goes_on_with_another_number_of_processes(tmp_path, sets, together):
    # Begun by one process and cut at step 20.
    path = together(2) / "everything.yaml"
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
    whole, shared = (
        fl.load_embedder(path) for path in (together(2) / "everything" / "0", tmp_path / "shared")
    )
    np.testing.assert_allclose(whole.history["loss"], shared.history["loss"], rtol=1e-7)
    assert not (tmp_path / "shared.checkpoints").exists()


@pytest.mark.parametrize(
    "recipe", [pytest.param("classes", marks=pytest.mark.slow), "sampled centres"]
)
def test_one_of_three_is_killed_the_others_stop_with_a_sentence_and_one_goes_on(
    tmp_path, sets, recipe
):
    faces, kept = fl.load(sets / "faces"), tmp_path / "out.checkpoints"
    recipe = dataclasses.replace(RECIPES[recipe], batch=33, steps=4000, lr=1e-4)
    path = recipe.to_yaml(tmp_path / "long.yaml")
    words = ["train", sets / "faces", "--recipe", path, "--out", tmp_path / "out"]
    workers = started(3, *words, "--device", "cpu", "--checkpoint-every", "5")
    while len(list(kept.glob("step-*.part-*.pt"))) < 6:
        assert all(worker.poll() is None for worker in workers), workers[0].communicate()
        time.sleep(0.05)
    workers[1].kill()
    start = time.monotonic()
    for rank in (0, 2):
        told = workers[rank].communicate(timeout=300)[1]
        assert workers[rank].returncode == 1, told
        assert f"facelab: process {rank} of 3 lost another one" in told
        assert "Traceback" not in told
    assert time.monotonic() - start < 110  # as soon as gloo says so, not when they are missed
    newest = max(path.name for path in kept.glob("step-*.pt") if "part" not in path.name)
    assert len(list(kept.glob(f"{newest[:-3]}.part-*.pt"))) == 3

    # One process has all centres again, with their moments, as if it had come so far alone.
    step = int(newest[5:14])
    options = {"recipe": recipe, "device": "cpu", "on_step": lambda done: done >= step}
    with pytest.raises(Stopped):
        fl.train(faces, checkpoints=tmp_path / "alone", **options)
    shared, alone = (_whole(folder, recipe) for folder in (kept, tmp_path / "alone"))
    for part in ("network", "head", "optimiser", "centres"):
        torch.testing.assert_close(shared.get(part), alone.get(part), rtol=1e-6, atol=1e-9)
    with pytest.raises(Stopped, match=f"stopped at step {step + 1} of 4000 and saved"):
        fl.train(faces, checkpoints=kept, resume=True, **options)


@pytest.mark.slow
@pytest.mark.parametrize("still", [0, 2])
def test_one_of_three_falls_silent_and_the_others_stop_with_a_sentence(tmp_path, sets, still):
    recipe = dataclasses.replace(TINY, batch=33, steps=100_000).to_yaml(tmp_path / "long.yaml")
    words = ["train", sets / "faces", "--recipe", recipe, "--out", tmp_path / "out"]
    code = "from facelab.training import pulses; pulses.SILENCE = 5.0\n" + MAIN
    workers = started(3, *words, "--device", "cpu", "--checkpoint-every", "5", code=code)
    kept = tmp_path / "out.checkpoints"
    while not list(kept.glob("step-*.part-2.pt")):
        assert all(worker.poll() is None for worker in workers), workers[0].communicate()
        time.sleep(0.05)
    workers[still].send_signal(signal.SIGSTOP)
    others = [worker for worker in workers if worker is not workers[still]]
    try:
        told = [worker.communicate(timeout=300)[1] for worker in others]
    finally:
        workers[still].kill()
        workers[still].communicate()
    assert [worker.returncode for worker in others] == [1, 1]
    assert f"facelab: process {still} of 3 has not been heard of for 5 seconds" in told[0]
    # The other one heard nothing either, or that the first of the others ended.
    assert "of 3 has not been heard of" in told[1] or "of 3 lost another one" in told[1]


@pytest.mark.parametrize("peer", ["silent", "closed", "alive", "closed as all leave"])
def test_who_is_not_heard_of_ends_this_process(peer, monkeypatch, capsys):
    monkeypatch.setattr(pulses, "SILENCE", 0.4)
    ended, left = [], threading.Event()
    monkeypatch.setattr(os, "_exit", lambda code: (ended.append(code), left.set()))
    here, there = socket.socketpair()
    here.setblocking(False)
    if peer.startswith("closed"):
        there.close()
    if peer == "closed as all leave":
        threading.Timer(0.2, left.set).start()
    if peer == "alive":
        for beat in range(12):
            threading.Timer(0.1 * beat, there.send, (b".",)).start()
        threading.Timer(1.2, left.set).start()
    pulses._listen({3: here}, 1, 4, left)
    here.close()
    assert ended == ([1] if peer in ("silent", "closed") else [])
    told = "facelab: process 3 of 4 has not been heard of for 0 seconds, and process 1 stops"
    assert (told in capsys.readouterr().err) == bool(ended)


def _whole(folder: Path, recipe: fl.Recipe) -> dict:
    """What the newest checkpoint holds, for one process that has all 12 centres."""
    newest = Checkpoints(folder, 1, {}).found()[-1]
    order = json.loads(torch.load(newest, weights_only=True)["order"])
    number = None
    if recipe.centres == 1:  # the last of the parameters that decay
        network = network_of(recipe.to_dict())
        number = sum(p.requires_grad and p.ndim > 1 for p in network.parameters())
    return Checkpoints(folder, 1, order).latest(torch.device("cpu"), slice(0, 12), number)


def started(processes: int, *words: object, code: str = MAIN) -> list[subprocess.Popen]:
    """The command on some processes that nobody looks after."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    line = [sys.executable, "-c", code, *map(str, words)]
    return [
        subprocess.Popen(
            line,
            env={**os.environ, **where, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]


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


def test_on_cuda_norms_are_torchs_own_with_the_activation_of_timms():
    """torch's runs on a GPU alone; what it is made of is seen here."""
    norms = {
        "plain": torch.nn.BatchNorm2d(5, eps=1e-3, momentum=0.2),
        "bare": torch.nn.BatchNorm1d(5, affine=False),
        "timm": timm.layers.BatchNormAct2d(5, act_layer=torch.nn.SiLU, drop_layer=torch.nn.Dropout),
    }
    net = torch.nn.Sequential(torch.nn.ModuleDict(copy.deepcopy(norms)))
    over_all_processes(net, torch.device("cuda"))
    for name, before in norms.items():
        after = net[0][name]
        assert isinstance(after, torch.nn.SyncBatchNorm) and after.training
        assert (after.eps, after.momentum) == (before.eps, before.momentum)
        states = before.state_dict(), after.state_dict()
        assert states[0].keys() == states[1].keys()
        torch.testing.assert_close(*map(dict, states))
    assert isinstance(net[0]["timm"].act, torch.nn.SiLU)
    assert isinstance(net[0]["timm"].drop, torch.nn.Dropout)
    # Without other processes, both are torch's and timm's batch norm.
    x = torch.randn(4, 5, 3, 3)
    net.eval()
    torch.testing.assert_close(net[0]["timm"](x), norms["timm"].eval()(x))
    before = net[0]["plain"]
    over_all_processes(net, torch.device("cuda"))
    assert net[0]["plain"] is before


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_batch_norm_of_its_own_kind_is_refused(device):
    class Ghost(torch.nn.BatchNorm2d):
        pass

    net = torch.nn.Sequential(Ghost(3))
    with pytest.raises(BadInput, match="0 is a Ghost, a batch norm of its own kind"):
        over_all_processes(net, torch.device(device))


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
            over_all_processes(net, torch.device("cpu"))
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
