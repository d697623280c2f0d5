"""Batches are ready when the step asks for them, and no step waits for the device."""

import dataclasses
import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.tensors import fastest_kernels, kernels_on, resized
from facelab.training import engine, examples, feed
from facelab.training.distributed import Team
from facelab.training.engine import Training
from facelab.training.examples import Examples
from facelab.training.feed import Feed
from facelab.training.parts import Parts
from facelab.training.recipe import Augmentation, Mitigation

CPU = torch.device("cpu")
EVERYTHING = Augmentation(
    shift=0.1, rotate=5, scale=0.1, stretch=0.1, brightness=0.2, contrast=0.2, colour=0.1,
    tone=0.3, shade=0.3, grey=0.3, blur=0.3, soften=0.1, shrink=0.3, jpeg=0.5, noise=0.1,
    erase=0.3, cover=0.3,
)  # fmt: skip
MITIGATED = Mitigation(
    by=["gender"], group_power=0.0, dro=0.1, focal=0.5, adversary=0.3, weights="inverse"
)
LEARNT = Mitigation(by=["gender"], meta_margins=0.01, group_power=0.5)
TINY = dataclasses.replace(TINY, steps=1000)  # what is logged waits, each hundredth of them
RECIPES = {
    "everything": dataclasses.replace(
        TINY, ema=0.9, accumulate=2, augment=EVERYTHING, mitigate=MITIGATED, label_smoothing=0.1
    ),
    "learnt margins": dataclasses.replace(TINY, mitigate=LEARNT, augment=EVERYTHING),
    "sampled centres": dataclasses.replace(TINY, centres=0.5),
    **{
        head: dataclasses.replace(TINY, head=head)
        for head in ("arcface", "adaface", "subcenter", "curricular", "combined")
    },
    "magface": dataclasses.replace(TINY, head="magface", lengths="free", dim=128),
    "head first": dataclasses.replace(TINY, head_first=0.001, freeze=["backbone"]),
    "contrast": dataclasses.replace(TINY, head="contrast", together=2),
}


@pytest.fixture
def elsewhere(monkeypatch) -> torch.device:
    """A device whose values nobody can ask for: torch refuses what would wait for them."""
    # Neither is made for it; on CUDA, neither waits.
    monkeypatch.setattr(torch, "autocast", lambda *given, **more: nullcontext())
    monkeypatch.setattr(
        engine, "optimiser_of", lambda parameters, *_: torch.optim.SGD(parameters, 0.1, 0.9)
    )
    return torch.device("meta")


@pytest.mark.parametrize("name", RECIPES)
def test_no_step_waits_for_the_device(elsewhere, name):
    recipe = RECIPES[name]
    meta = patterns(seed=1, prefix="m") if recipe.mitigate.meta_margins else None
    training = Training(patterns(), recipe, Team(elsewhere), meta, Parts())
    if recipe.centres < 1:  # its optimiser is fused on a GPU, where it counts its steps there
        training.optimiser.param_groups[-1]["capturable"] = True
    for _ in range(3):
        training.one_step()
    training.close()
    assert training.step == 3 and not training.waits
    # Nor has anybody looked at what the steps gave.
    told = [value for _, watched in training.unchecked for value in watched.values()]
    assert len(told) >= 3 and {value.device.type for value in told} == {"meta"}


@pytest.mark.parametrize("ask", [torch.Tensor.item, torch.Tensor.nonzero, torch.unique])
def test_what_waits_would_have_been_seen(elsewhere, ask):
    with pytest.raises((RuntimeError, NotImplementedError)):
        ask(torch.ones(1, device=elsewhere))


def test_chance_is_the_same_on_every_device():
    from facelab.training.augment import Chance, generator_of

    here, there = (
        Chance(generator_of(3, 4), 8, slice(2, 5), torch.device(kind)) for kind in ("cpu", "meta")
    )
    assert here.uniform(0, 1).shape == there.uniform(0, 1).shape
    assert there.uniform(0, 1).device.type == "meta"
    here.drawn(0, 1)
    assert torch.equal(here.happens(0.5), there.happens(0.5))


def fed(rows=None, here=lambda rows: rows, beside=None, steps=9, **options) -> Feed:
    batches = rows or (lambda step: np.arange(step, step + 6))
    return Feed(Examples(patterns(**options), TINY, CPU), batches, here, beside, steps)


def test_a_batch_is_what_its_rows_say():
    faces = patterns()
    ahead = fed(here=lambda rows: rows[:2], beside=lambda rows: rows[::-1][:2])
    for step in (0, 1, 2, 7):  # a resumed training begins anywhere
        batch = ahead.take(step)
        assert batch.rows.tolist() == list(range(step, step + 6))
        assert np.array_equal(batch.images.numpy(), faces.crops[step : step + 2])
        assert np.array_equal(batch.others.numpy(), faces.crops[step + 5 : step + 3 : -1])
        assert np.array_equal(batch.labels.numpy(), batch.subjects)
        assert batch.labels.tolist() == [row // 6 for row in range(step, step + 6)]
    ahead.close()


def test_crops_that_do_not_fit_in_memory_are_resized_into_a_file(monkeypatch):
    monkeypatch.setattr(examples, "_IN_MEMORY", 0)
    faces = patterns(size=64)
    rows = np.array([70, 0, 33])
    found = Examples(faces, TINY, CPU).crops(rows)
    assert np.array_equal(found.numpy(), resized(faces.crops, 32)[rows])


def test_batches_are_made_while_a_step_is_at_work_and_no_further_than_wanted():
    made, go = [], threading.Event()

    def rows(step: int) -> np.ndarray:
        made.append(step)
        if len(made) == 1 + feed.AHEAD:
            go.set()
        return np.arange(4)

    ahead = fed(rows)
    ahead.take(0)
    assert go.wait(30)  # nobody asked for them yet
    ahead.close()
    assert made == list(range(1 + feed.AHEAD))


def test_a_sampler_of_ones_own_is_asked_at_its_step():
    asked, seen = [], []

    class Sampler:
        def batch(self, step):
            asked.append(step)
            return np.arange(TINY.batch)

    recipe = dataclasses.replace(TINY, steps=3)
    fl.train(
        patterns(), recipe, device="cpu", sampler=Sampler(), progress=False,
        on_step=lambda step: seen.append(len(asked)) or False,
    )  # fmt: skip
    assert asked == [0, 1, 2] and seen == [1, 2, 3]


def test_the_last_batch_is_followed_by_none():
    made = []
    ahead = fed(lambda step: made.append(step) or np.arange(4), steps=3)
    for step in range(3):
        ahead.take(step)
    ahead.close()
    assert made == [0, 1, 2]


def test_what_goes_wrong_in_the_thread_is_raised_in_the_step():
    ahead = fed(lambda step: np.array([10_000]))
    with pytest.raises(IndexError):
        ahead.take(0)
    ahead.close()


def test_training_leaves_no_thread_behind():
    before = set(threading.enumerate())
    fl.train(patterns(), dataclasses.replace(TINY, steps=2), device="cpu")
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not [name for name in left if name.startswith("facelab-feed")]


def test_a_card_says_how_a_gpu_multiplied():
    gpu = torch.device("cuda")
    with fastest_kernels(gpu):
        found = kernels_on(gpu)
    assert found.keys() == {"tf32_matmul", "tf32_convolutions", "cudnn_benchmark"}
    assert found["cudnn_benchmark"] and not torch.backends.cudnn.benchmark
    with fastest_kernels(CPU):
        assert not torch.backends.cudnn.benchmark
    assert kernels_on(CPU) == {}


def test_whoever_wants_the_same_result_twice_keeps_the_same_kernels(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    with fastest_kernels(torch.device("cuda")):
        assert not torch.backends.cudnn.benchmark


@pytest.mark.gpu
@pytest.mark.parametrize("name", RECIPES)
def test_on_a_gpu_no_step_waits_either(name):
    recipe = RECIPES[name]
    meta = patterns(seed=1, prefix="m") if recipe.mitigate.meta_margins else None
    training = Training(patterns(), recipe, Team(torch.device("cuda", 0)), meta, Parts())
    training.one_step()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            training.one_step()
    finally:
        torch.cuda.set_sync_debug_mode(before)
        training.close()


@pytest.mark.gpu
def test_a_gpu_is_given_what_the_host_has():
    faces = patterns()
    there = Feed(
        Examples(faces, TINY, torch.device("cuda", 0)), lambda step: np.arange(step, step + 6),
        lambda rows: rows, None, 40,
    )  # fmt: skip
    for step in range(40):
        batch = there.take(step)
        assert np.array_equal(batch.images.cpu().numpy(), faces.crops[step : step + 6])
    there.close()
