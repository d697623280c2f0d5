"""The arms of an experiment: side by side as one by one, and never trained twice."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput, FacelabError
from facelab.training import arms as arms_module
from facelab.training import loop
from facelab.training.recipe import Mitigation, Validation

SHORT = dataclasses.replace(TINY, steps=2)


def vectors(embedder, faces):
    return embedder.embed(faces, progress=False).vectors


def alone(faces, recipe, **given):
    """A training as a worker does it: one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    embedder = fl.train(faces, recipe, device="cpu", progress=False, **given)
    torch.set_num_threads(threads)
    return embedder


def test_arms_equal_training_one_by_one_and_come_back_in_order():
    arms = {"a": patterns(seed=0), "b": patterns(seed=1)}
    recipe = dataclasses.replace(TINY, steps=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        embedders = fl.train_arms(arms, recipe, seeds=(0, 7), jobs=2)
    assert list(embedders) == [("a", 0), ("a", 7), ("b", 0), ("b", 7)]
    beside = embedders["b", 7]
    one = alone(arms["b"], recipe, seed=7)
    assert np.array_equal(vectors(beside, arms["b"]), vectors(one, arms["b"]))
    assert beside.name == "b-7"
    assert beside.card["arm"] == "b"
    assert beside.card["seconds"] > 0 and beside.card["cpu_seconds"] > 0
    assert beside.recipe["seed"] == 7
    assert beside.history["step"].tolist() == [1, 2, 3, 4]


def test_on_a_gpu_arms_take_turns_in_this_process(monkeypatch):
    monkeypatch.setattr(arms_module, "_takes_turns", lambda device: True)
    monkeypatch.setattr(arms_module, "pool", lambda *given, **more: pytest.fail("side by side"))
    arms, seen = {"a": patterns(seed=0), "b": patterns(seed=1)}, []
    real = loop.train

    def noted(faces, recipe, **options):
        seen.append((recipe.seed, options["device"], os.getpid()))
        return real(faces, recipe, **options)

    monkeypatch.setattr(loop, "train", noted)
    embedders = fl.train_arms(arms, SHORT, seeds=(0, 7), jobs=4, device="cpu")
    assert seen == [(seed, "cpu", os.getpid()) for seed in (0, 0, 7, 7)]
    one = alone(arms["b"], SHORT, seed=7)
    assert np.array_equal(vectors(embedders["b", 7], arms["b"]), vectors(one, arms["b"]))


@pytest.mark.parametrize(("device", "turns"), [("cpu", False), ("cuda", True), ("mps", True)])
def test_only_on_a_cpu_they_stand_side_by_side(device, turns):
    assert arms_module._takes_turns(torch.device(device)) is turns


def test_a_device_that_is_not_there_is_told_before_any_training():
    with pytest.raises(BadInput, match="device must be auto or what torch has here"):
        fl.train_arms({"a": patterns()}, SHORT, seeds=[0], device="cuda:99")


@pytest.mark.gpu
def test_arms_on_a_gpu_come_back_on_it_and_are_kept(tmp_path):
    arms = {"a": patterns(seed=0), "b": patterns(seed=1)}
    first = fl.train_arms(arms, SHORT, seeds=[0], kept=tmp_path)
    again = fl.train_arms(arms, SHORT, seeds=[0], kept=tmp_path)
    for key, embedder in first.items():
        assert embedder.card["device"] == "cuda"
        assert next(embedder.network.parameters()).device.type == "cuda"
        assert again[key].identity() == embedder.identity()


def test_arms_of_the_same_faces_differ_in_recipe_without_a_warning():
    faces, others = patterns(), patterns(seed=5, prefix="m")
    recipes = {
        "plain": dataclasses.replace(SHORT, validate=Validation(fmr=0.1)),
        "learnt": dataclasses.replace(
            SHORT,
            mitigate=Mitigation(by=["gender"], meta_margins=0.05),
            validate=Validation(fmr=0.1),
        ),
    }
    arms = dict.fromkeys(recipes, faces)
    held_out = patterns(seed=6, prefix="h")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "the 237 false matches that set the threshold")
        embedders = fl.train_arms(arms, recipes, [1], jobs=1, held_out=held_out, meta=others)
    for arm, recipe in recipes.items():
        used = others if recipe.mitigate.meta_margins else None
        one = alone(faces, recipe, seed=1, held_out=held_out, meta=used)
        assert np.array_equal(vectors(embedders[arm, 1], faces), vectors(one, faces))
        assert embedders[arm, 1].validation["fnmr"].tolist() == one.validation["fnmr"].tolist()
    assert "margins" in embedders["learnt", 1].card and "margins" not in embedders["plain", 1].card


def test_arms_of_unequal_size_are_warned_about():
    arms = {"large": patterns(12), "small": patterns(10)}
    with pytest.warns(UserWarning, match="large: 12 subjects, 72 images, small: 10 subjects, 60"):
        fl.train_arms(arms, dataclasses.replace(TINY, steps=1), seeds=[0], jobs=1)


def test_arms_of_unequal_steps_are_warned_about():
    faces = patterns()
    recipes = {"long": SHORT, "short": dataclasses.replace(TINY, steps=1)}
    with pytest.warns(UserWarning, match="long: 2 steps of 32, short: 1 steps of 32"):
        fl.train_arms(dict.fromkeys(recipes, faces), recipes, seeds=[0], jobs=1)


def test_a_failing_arm_names_itself_and_its_seed():
    arms = {"fine": patterns(), "lonely": patterns()[:6]}
    with (
        pytest.warns(UserWarning),
        pytest.raises(FacelabError, match=r"arm 'lonely' with seed 3 failed: .*at least 2 subj"),
    ):
        fl.train_arms(arms, dataclasses.replace(TINY, steps=1), seeds=[3], jobs=1)


def test_arms_need_an_arm_and_seeds_that_differ():
    for arms, seeds in (({}, [0]), ({"a": patterns()}, []), ({"a": patterns()}, [1, 1])):
        with pytest.raises(BadInput, match="at least one arm and at least one seed"):
            fl.train_arms(arms, TINY, seeds=seeds)


def test_recipes_and_arms_need_the_same_names():
    with pytest.raises(BadInput, match="there is no recipe 'b'"):
        fl.train_arms({"a": patterns(), "b": patterns()}, {"a": TINY})
    with pytest.raises(BadInput, match="there is no arm 'b'"):
        fl.train_arms({"a": patterns()}, {"a": TINY, "b": TINY})


# ---- kept


def test_a_kept_training_is_loaded_and_whatever_decides_it_makes_another(tmp_path, capsys):
    faces, held_out, meta = patterns(), patterns(seed=6, prefix="h"), patterns(seed=5, prefix="m")
    learnt = dataclasses.replace(SHORT, mitigate=Mitigation(by=["gender"], meta_margins=0.05))

    def trained(arms, recipe=SHORT, seeds=(0,), **given):
        """How many embedders there are afterwards, and those that came back."""
        back = fl.train_arms(arms, recipe, seeds, jobs=1, kept=tmp_path / "kept", **given)
        return len(list((tmp_path / "kept").glob("[!.]*"))), back

    there, (first,) = trained({"first": faces})[0], trained({"first": faces})[1].values()
    assert there == 1
    assert f"1 of 1 trainings were kept in {tmp_path / 'kept'}" in capsys.readouterr().out

    # The same training under another name, and beside a meta set that it does not use.
    there, back = trained({"other": patterns()}, meta=meta)
    assert there == 1 and back["other", 0].name == "other-0"
    assert back["other", 0].card["arm"] == "other"
    assert back["other", 0].card["seconds"] == first.card["seconds"]
    assert np.array_equal(vectors(back["other", 0], faces), vectors(first, faces))

    assert trained({"a": faces}, seeds=(0, 1))[0] == 2
    assert trained({"a": faces}, dataclasses.replace(SHORT, lr=0.001))[0] == 3
    assert trained({"a": patterns(seed=3)})[0] == 4
    assert trained({"a": faces}, held_out=held_out)[0] == 5
    assert trained({"a": faces}, learnt, meta=meta)[0] == 6
    assert trained({"a": faces}, learnt, meta=held_out)[0] == 7
    # Two arms that are the same training are one training.
    assert trained({"a": faces, "b": faces}, seeds=(5,))[0] == 8


def test_a_damaged_kept_training_is_trained_again_with_a_warning(tmp_path):
    faces = patterns()
    (first,) = fl.train_arms({"a": faces}, SHORT, [0], jobs=1, kept=tmp_path).values()
    (folder,) = tmp_path.glob("[!.]*")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=f"{folder.name}.*: it is trained again"):
        (again,) = fl.train_arms({"a": faces}, SHORT, [0], jobs=1, kept=tmp_path).values()
    assert np.array_equal(vectors(again, faces), vectors(first, faces))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fl.train_arms({"a": faces}, SHORT, [0], jobs=1, kept=tmp_path)


CALLER = """
import dataclasses, sys
sys.path.insert(0, {here!r})
from training_sets import TINY, patterns
import facelab as fl
arms = {{"quick": patterns(seed=0), "slow": patterns(seed=1)}}
steps = {{"quick": 2, "slow": {slow}}}
recipes = {{arm: dataclasses.replace(TINY, steps=number) for arm, number in steps.items()}}
if __name__ == "__main__":
    fl.train_arms(arms, recipes, [0], jobs=2, kept={kept!r})
"""


def wait_until(done, what):
    until = time.monotonic() + 240
    while not done():
        assert time.monotonic() < until, f"{what} not after four minutes"
        time.sleep(0.1)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX")
def test_a_kill_of_the_caller_leaves_what_was_finished_and_ends_what_was_not(tmp_path):
    kept = tmp_path / "kept"
    code = CALLER.format(here=str(Path(__file__).parents[1]), kept=str(kept), slow=100_000)
    caller = subprocess.Popen(
        [sys.executable, "-c", code],
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        wait_until(lambda: list(kept.glob("*/embedder.json")), "the quick training")
        (counters,) = tmp_path.glob("facelab-arms-*/steps.npy")
        wait_until(lambda: np.load(counters)[1] > 10, "the slow training")
        caller.kill()
        caller.wait()

        def stands_still():
            before = np.load(counters)[1]
            time.sleep(3)
            return np.load(counters)[1] == before

        wait_until(stands_still, "the end of the slow training")
        assert np.load(counters)[1] < 100_000
    finally:
        with contextlib.suppress(ProcessLookupError):  # nothing is left
            os.killpg(caller.pid, signal.SIGKILL)
    (finished,) = kept.glob("[!.]*")
    took = json.loads((finished / "embedder.json").read_text())["card"]["seconds"]

    arms = {"quick": patterns(seed=0), "slow": patterns(seed=1)}
    embedders = fl.train_arms(arms, SHORT, [0], jobs=1, kept=kept)
    assert embedders["quick", 0].card["seconds"] == took
    assert len([path for path in kept.iterdir() if re.fullmatch(r"\w+", path.name)]) == 2


@pytest.mark.parametrize("kind", ["a file", "a trained embedder's folder"])
def test_a_kept_training_is_told_by_the_weights_that_it_begins_with(tmp_path, kind):
    """Not by the path: the file behind it may be another one tomorrow, of the same size and age."""
    from safetensors.torch import save_file

    from facelab.embedders.backbones import create
    from facelab.training.arms import Names

    place = tmp_path / ("weights.safetensors" if kind == "a file" else "model.safetensors")
    given = place if kind == "a file" else tmp_path
    options = {**TINY.backbone_options, "checkpoint_path": str(given)}
    recipe = dataclasses.replace(TINY, backbone_options=options)
    names, before = set(), torch.random.get_rng_state()
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = create(TINY.backbone, TINY.backbone_options, TINY.size)[0]
        prefix = "" if kind == "a file" else "backbone."
        weights = {prefix + name: value for name, value in network.state_dict().items()}
        save_file(weights, place)
        os.utime(place, (1, 1))
        torch.random.set_rng_state(before)
        names |= {
            Names(torch.device("cpu")).of(recipe, patterns()),
            Names(torch.device("cpu")).of(recipe, patterns()),
        }
        assert torch.equal(torch.random.get_rng_state(), before)
    assert len(names) == 2


def test_a_kept_training_is_told_by_precision_device_and_versions(monkeypatch):
    from facelab.embedders import tensors
    from facelab.training import arms, engine

    names = {arms.Names(torch.device("cpu")).of(TINY, patterns())}
    for module, name, value in (
        (engine, "precision_on", lambda *_: torch.bfloat16),
        (tensors, "computes_on", lambda _: "cpu ANOTHER highest"),
        (arms, "made_with", lambda *_: {"torch": "1.0"}),
        (arms, "code_of", lambda *_: "other code"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            names.add(arms.Names(torch.device("cpu")).of(TINY, patterns()))
    assert len(names) == 5


# ---- who is drawn


def test_arms_are_drawn_anew_with_the_seed_or_once_for_all():
    asked = []

    def draw(seed: int) -> dict[str, fl.FaceSet]:
        asked.append(seed)
        return {arm: patterns(seed=seed + n) for n, arm in enumerate(("plain", "other"))}

    arms = fl.draw_arms(draw, population_seed=7, seeds=[0, 3])
    assert asked == [7, 307] and list(arms) == ["plain", "other"]
    assert not np.array_equal(arms["plain"][0].gather(slice(9)), arms["plain"][3].gather(slice(9)))
    assert "own to train on: who was drawn is in" in fl.who_was_drawn(arms)
    once = fl.draw_arms(draw, population_seed=7, seeds=[0, 3], redraw=False)
    assert asked == [7, 307, 7] and once["plain"][0] is once["plain"][3]
    assert "the same people: who was drawn is not in" in fl.who_was_drawn(once)
    assert "one seed" in fl.who_was_drawn(fl.draw_arms(draw, 7, seeds=[1]))
    with pytest.raises(BadInput, match="the draws name different arms"):
        fl.draw_arms(lambda seed: {f"arm {seed}": patterns()}, 0, [0, 1])


def test_every_seed_trains_on_the_people_drawn_for_it(tmp_path):
    sets = {seed: patterns(seed=seed, prefix=f"p{seed}-") for seed in (0, 1)}
    redrawn = fl.train_arms({"plain": sets}, TINY, [0, 1], 1, kept=tmp_path)
    for seed, faces in sets.items():
        alone = fl.train_arms({"plain": faces}, TINY, [seed], 1)["plain", seed]
        found = redrawn["plain", seed].network.state_dict()
        for name, value in alone.network.state_dict().items():
            assert torch.equal(value, found[name]), name
    other = fl.train_arms({"plain": sets[0]}, TINY, [1], 1, kept=tmp_path)["plain", 1]
    assert not torch.equal(
        other.network.embed[0].weight, redrawn["plain", 1].network.embed[0].weight
    )
    with pytest.raises(BadInput, match="arm 'plain' has no training set for the seed 2: draw one"):
        fl.train_arms({"plain": sets}, TINY, [0, 2], 1)
    with pytest.warns(UserWarning, match=r"12 subjects, 72 images, plain: 6 subjects, 36 images"):
        fl.train_arms({"plain": {**sets, 1: patterns(subjects=6)}}, TINY, [0, 1], 1, kept=tmp_path)
