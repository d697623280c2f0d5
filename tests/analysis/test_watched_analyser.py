"""Held-out people, watched while an analyser is trained."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from coloured_people import TINY, coloured_people, learn, same_weights
from torch import nn

import facelab as fl
from facelab.errors import BadInput
from facelab.training.recipe import Validation

HELD_OUT = coloured_people(1, "h")


def with_validate(steps=9, **changes) -> fl.Recipe:
    every = {"every": 3, "by": ["light"]} | changes
    return dataclasses.replace(TINY, steps=steps, validate=Validation(**every))


@pytest.fixture(scope="module")
def faces() -> fl.FaceSet:
    return coloured_people()


def noted(states):
    """A callback that keeps the weights of network and head after every step."""

    def note(training):
        parts = (training.network, training.head)
        states[training.step] = [
            {name: value.clone() for name, value in part.state_dict().items()} for part in parts
        ]

    return note


@pytest.mark.parametrize(
    ("column", "kind", "size"),
    [("gender", None, 32), ("band", "ordinal", 32), ("years", "expected", 24)],
)
def test_each_look_is_the_audit_of_the_analyser_at_that_step(faces, column, kind, size):
    given, states = [], {}
    recipe = dataclasses.replace(with_validate(), size=size)
    more = {"on_look": given.append, "callbacks": [noted(states)]}
    made = learn(faces, column, recipe, kind=kind, held_out=HELD_OUT, **more)
    looks = made.validation
    assert looks["step"].unique().tolist() == [3, 6, 9]
    pd.testing.assert_frame_equal(pd.concat(given, ignore_index=True), looks)
    audited = "number" if kind == "expected" else "class"
    for step in (3, 6, 9):
        network, head = states[step]
        made.embedder.network.load_state_dict(network)
        made._head.load_state_dict(head)
        said = made.predict(HELD_OUT)
        theirs = fl.analysis_audit(said, column, "light", kind=audited, replicates=20).rates
        mine = looks[looks["step"] == step].drop(columns="step").reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, theirs)


def test_watching_changes_nothing_that_is_learnt_and_is_stored(faces, tmp_path):
    watched = learn(faces, recipe=with_validate(), held_out=HELD_OUT)
    alone = learn(faces, recipe=with_validate())
    assert same_weights(watched, alone) and alone.validation is None
    again = fl.analyser(watched.save(tmp_path / "mine"))
    assert set(again.validation["group"]) == {"all", "dim", "bright"}
    pd.testing.assert_frame_equal(again.validation, watched.validation, check_dtype=False)


def test_without_groups_everybody_is_looked_at(faces):
    recipe = with_validate(steps=20, every=0, by=[])
    for column, kind, error in (("gender", None, "error"), ("years", "expected", "mae")):
        looks = learn(faces, column, recipe, kind=kind, held_out=HELD_OUT).validation
        assert looks["step"].tolist() == [*range(2, 21, 2)]
        assert set(looks["group"]) == {"all"} and looks[error].notna().all()


@pytest.mark.parametrize(("keep", "place"), [("error", "all"), ("worst_error", "worst")])
def test_the_best_look_is_kept_with_network_and_head(faces, keep, place):
    recipe, states = with_validate(steps=12, every=1, keep=keep), {}
    more = {"held_out": HELD_OUT, "callbacks": [noted(states)]}
    made = learn(faces, "years", recipe, kind="expected", **more)
    looks = made.validation
    groups = looks["group"] == "all"
    told = looks[groups if place == "all" else ~groups].groupby("step")["mae"].max()
    best = int(told.idxmin())
    assert made.card["kept"] == {"step": best, "figure": told[best]}
    network, head = states[best]
    assert all(torch.equal(v, network[n]) for n, v in made.embedder.network.state_dict().items())
    assert all(torch.equal(value, head[n]) for n, value in made._head.state_dict().items())
    off = (made.predict(HELD_OUT)["predicted_years"] - HELD_OUT.table["years"]).abs()
    by_light = off.groupby(HELD_OUT.table["light"]).mean()
    assert told[best] == pytest.approx(off.mean() if place == "all" else by_light.max())


def test_patience_stops_when_looks_get_no_better(faces, monkeypatch):
    figures = iter([0.5, 0.4, 0.4, 0.6, 0.1])
    monkeypatch.setattr("facelab.analysis.watching.figure_of", lambda *_: next(figures))
    recipe = with_validate(steps=30, every=1, keep="error", patience=2)
    made = learn(faces, recipe=recipe, held_out=HELD_OUT)
    assert made.validation["step"].unique().tolist() == [1, 2, 3, 4]
    assert made.card["steps"] == 4 and made.card["kept"] == {"step": 2, "figure": 0.4}


def test_each_arm_is_looked_at_and_kept_apart_from_one_that_is_not(faces, tmp_path):
    more = {"jobs": 1, "kept": tmp_path, "device": "cpu"}
    arms, recipe = {"plain": faces}, with_validate(steps=6, keep="worst_error")
    made = fl.train_analysers(arms, "gender", recipe, [0], held_out=HELD_OUT, **more)
    assert made["plain", 0].validation["step"].unique().tolist() == [3, 6]
    bare = fl.train_analysers(arms, "gender", with_validate(steps=6), [0], **more)
    assert bare["plain", 0].validation is None
    assert len(list(tmp_path.glob("analyser-*"))) == 2


CHILD = """
import sys, time
from coloured_people import coloured_people, learn
from test_watched_analyser import KEPT, HELD_OUT
learn(
    coloured_people(), recipe=KEPT, held_out=HELD_OUT, checkpoints=sys.argv[1],
    checkpoint_every=3, on_step=lambda step: time.sleep(0.05),
)
"""
KEPT = with_validate(steps=30, every=4, keep="worst_error")


def test_a_training_killed_at_once_goes_on_to_the_same_looks_and_weights(faces, tmp_path):
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), os.environ.get("PYTHONPATH", "")]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "cut")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    while child.poll() is None and not (tmp_path / "cut" / "step-000000012.pt").exists():
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL, "it had ended before it could be killed"
    steps = []
    resumed = learn(
        faces, recipe=KEPT, held_out=HELD_OUT, checkpoints=tmp_path / "cut", checkpoint_every=3,
        resume=True, on_step=steps.append,
    )  # fmt: skip
    assert 12 < steps[0] <= 30
    whole = learn(faces, recipe=KEPT, held_out=HELD_OUT)
    assert same_weights(resumed, whole) and resumed.card["kept"] == whole.card["kept"]
    pd.testing.assert_frame_equal(resumed.validation, whole.validation)
    histories = [one.history.drop(columns="seconds") for one in (resumed, whole)]
    pd.testing.assert_frame_equal(*histories)


class Narrow(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU())


def test_a_backbone_of_ones_own_learns_labels_and_opens_again(faces, tmp_path):
    made = learn(faces, recipe=with_validate(), backbone=Narrow, held_out=HELD_OUT)
    folder = made.save(tmp_path / "own")
    again = fl.analyser(folder, backbone=Narrow)
    assert again.predict(faces).equals(made.predict(faces))
    with pytest.raises(BadInput, match=r"somebody's own, .*Narrow, which is not saved"):
        fl.analyser(folder)
    with pytest.raises(BadInput, match="backbone= is of trained analysers"):
        fl.analyser(__file__, backbone=Narrow)
    assert np.isfinite(made.history["loss"]).all()


@pytest.mark.parametrize(
    ("validate", "held_out", "words"),
    [
        (
            {"keep": "fnmr"},
            HELD_OUT,
            "keep fnmr is of trainings that tell people apart: take error",
        ),
        ({"keep": "error"}, None, "asks for the best error: give the subjects"),
        ({"fmr": 0.1}, HELD_OUT, "validate.fmr is of trainings that tell people apart"),
        ({"by": ["tone"]}, HELD_OUT, "no column 'tone'"),
        ({}, coloured_people()[:9], r"3 subjects are both .* \(first: '0'\): split"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(faces, validate, held_out, words):
    with pytest.raises(BadInput, match=words):
        learn(faces, recipe=with_validate(**validate), held_out=held_out)


def test_held_out_people_need_labels_and_recognisers_no_error_of_labels(faces):
    bare = HELD_OUT.table.assign(gender=None)
    unlabelled = fl.FaceSet.from_arrays(bare, HELD_OUT.crops[:].copy(), synthetic=True)
    with pytest.raises(BadInput, match="no held-out face has a gender"):
        learn(faces, recipe=with_validate(), held_out=unlabelled)
    with pytest.raises(BadInput, match=r"validate.by must be the groups that worst_error compares"):
        Validation(keep="worst_error")
    with pytest.raises(BadInput, match=r"keep error is of analysers \(fl.train_analyser\)"):
        fl.train(faces, with_validate(keep="error"), held_out=HELD_OUT, progress=False)
