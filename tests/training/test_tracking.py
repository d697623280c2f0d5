"""A training's numbers arrive: the same in TensorBoard, MLflow and W&B, all without a network."""

import contextlib
import dataclasses
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import pandas as pd
import pytest
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput, FacelabError
from facelab.training.recipe import Validation

RECIPE = dataclasses.replace(TINY, steps=3, validate=Validation(every=2, fmr=0.05, by=["gender"]))


def in_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder)).Reload()
    return {
        (tag, event.step): event.value
        for tag in read.Tags()["scalars"]
        for event in read.Scalars(tag)
    }


def in_mlflow(folder):
    found = {}
    for file in folder.glob("*/*/metrics/**/*"):
        if file.is_file():
            tag = file.relative_to(next(p for p in file.parents if p.name == "metrics")).as_posix()
            for line in file.read_text().splitlines():
                _, value, step = line.split()
                found[tag, int(step)] = float(value)
    return found


def logged(data, block=32_768):
    """The records of a log in LevelDB's format, which W&B writes after seven bytes of its own."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:  # no room for a head: the rest of the block is empty
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield whole
            whole = b""


def in_wandb(folder):
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.rglob("run-*.wandb")
    found = {}
    for data in logged(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        items = {item.key or "/".join(item.nested_key): item for item in record.history.item}
        if "_step" in items:
            step = int(items["_step"].value_json)
            for tag, item in items.items():
                if not tag.startswith("_"):
                    found[tag, step] = float(item.value_json)
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What one training told each of them, and its own history and looks."""
    for needed in ("tensorboard", "mlflow", "wandb"):
        pytest.importorskip(needed)
    place = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as setting:
        setting.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        setting.setenv("WANDB_MODE", "offline")
        to = [
            fl.tracker(kind, place / kind, name="first")
            for kind in ("tensorboard", "mlflow", "wandb")
        ]
        embedder = fl.train(
            patterns(), RECIPE, held_out=patterns(seed=1, prefix="held"), callbacks=to
        )
        for one in to:
            one.close()
    read = {
        "tensorboard": in_tensorboard(place / "tensorboard" / "first"),
        "mlflow": in_mlflow(place / "mlflow"),
        "wandb": in_wandb(place / "wandb"),
    }
    return embedder, read


def test_all_three_have_the_same_scalars(told):
    _, read = told
    board, mlflow, wandb = (read[kind] for kind in ("tensorboard", "mlflow", "wandb"))
    assert mlflow == wandb
    assert board == pytest.approx(mlflow, rel=1e-6)  # it keeps 32 bits


def told_by(embedder):
    """Each number of a training's history and looks, by its name and step."""
    expected = {}
    for row in embedder.history.to_dict("records"):
        for name in ("epoch", "loss", "lr", "seconds"):
            expected[f"train/{name}", int(row["step"])] = row[name]
    for row in embedder.validation.to_dict("records"):
        for error in ("fmr", "fnmr"):
            if row[error] == row[error]:
                expected[f"held_out/{row['group']}/{error}", int(row["step"])] = row[error]
        expected["held_out/threshold", int(row["step"])] = row["threshold"]
    assert len(expected) > 20
    return expected


def test_they_are_the_trainings_own_history_and_looks(told):
    embedder, read = told
    assert read["mlflow"] == pytest.approx(told_by(embedder))


def test_an_mlflow_that_takes_no_folder_is_told_in_one_sentence(tmp_path, monkeypatch):
    settings = pytest.importorskip("mlflow.environment_variables")
    if not hasattr(settings, "MLFLOW_ALLOW_FILE_STORE"):
        pytest.skip("this MLflow takes folders")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(FacelabError, match=r"no run at file://.*set MLFLOW_ALLOW_FILE_STORE=true"):
        fl.tracker("mlflow", tmp_path / "runs")


@contextlib.contextmanager
def mlflow_server(place):
    """A server of MLflow with a database and artifacts of its own, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", f"--port={port}", "--workers=1"]
    command += ["--host=127.0.0.1", f"--backend-store-uri=sqlite:///{place}/runs.db"]
    command += [f"--artifacts-destination={place}/artifacts"]
    with open(place / "server.log", "w") as log:
        running = subprocess.Popen(
            command, env=os.environ, cwd=place, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert running.poll() is None, (place / "server.log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(60)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("sqlalchemy") is None or importlib.util.find_spec("flask") is None,
    reason="the extra brings MLflow's client; its server is `pip install mlflow`",
)
def test_a_server_of_mlflow_gives_the_same_scalars_back(tmp_path):
    from mlflow import MlflowClient

    with mlflow_server(tmp_path) as address:
        to = fl.tracker("mlflow", address, name="first")
        embedder = fl.train(
            patterns(), RECIPE, held_out=patterns(seed=1, prefix="held"), callbacks=[to]
        )
        to.close()
        client = MlflowClient(address)
        (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
        assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
        found = {
            (tag, one.step): one.value
            for tag in run.data.metrics
            for one in client.get_metric_history(run.info.run_id, tag)
        }
    assert found == pytest.approx(told_by(embedder))


def of(groups, fmr, leads=True):
    looks = [pd.DataFrame({"step": 4, "threshold": 0.5, "group": groups, "fmr": fmr, "fnmr": 0.1})]
    return SimpleNamespace(processes=SimpleNamespace(leads=leads), looks=looks)


def test_unknown_rates_are_left_out_and_names_are_such_as_all_take():
    seen = []
    watching = fl.tracker(lambda *given: seen.append(given))
    watching.at_look(of(["all", "Łódź (old)"], [float("nan"), 0.25]))
    assert seen == [
        (
            {
                "held_out/threshold": 0.5,
                "held_out/all/fnmr": 0.1,
                "held_out/Łódź _old_/fmr": 0.25,
                "held_out/Łódź _old_/fnmr": 0.1,
            },
            4,
        )
    ]
    watching.at_look(of(["all"], [0.5], leads=False))
    assert len(seen) == 1


def test_what_cannot_be_is_one_sentence():
    with pytest.raises(BadInput, match="TensorBoard reads a folder"):
        fl.tracker("tensorboard")
    with pytest.raises(BadInput, match="wandb"):
        fl.tracker("wandbb")
