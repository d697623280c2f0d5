"""A training that is killed, stopped or starved goes on as if it had not been."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from training_sets import TINY, patterns

import facelab as fl
from facelab import sums
from facelab.cli.app import command
from facelab.errors import BadInput, Stopped
from facelab.training import checkpoints
from facelab.training.checkpoints import Checkpoints, fingerprint
from facelab.training.recipe import Mitigation, Validation

# Everything that has a state: moments, averages, weights and margins by group, an adversary, looks.
FULL = dataclasses.replace(
    TINY,
    steps=40,
    ema=0.9,
    wccn=0.1,
    head="curricular",
    mitigate=Mitigation(
        by=["gender"], group_power=0.5, dro=0.1, focal=1.0, meta_margins=0.01, adversary=0.3
    ),
    validate=Validation(every=7, by=["gender"], fmr=0.05, keep="worst_fnmr"),
)
SAMPLED = dataclasses.replace(TINY, steps=40, head="adaface", centres=0.6, optimiser="sgd", lr=0.05)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """FaceSets as the command takes them."""
    folder = tmp_path_factory.mktemp("sets")
    patterns().save(folder / "faces")
    patterns(seed=1, prefix="held").save(folder / "held")
    patterns(seed=2, prefix="meta").save(folder / "meta")
    return folder


def words(folders: Path, recipe: Path, out: Path, *more: str) -> list[str]:
    """The command line of a training that saves every third step."""
    learns_margins = fl.Recipe.from_yaml(recipe).mitigate.meta_margins
    return [
        *("train", str(folders / "faces"), "--out", str(out), "--recipe", str(recipe)),
        *("--held-out", str(folders / "held")),
        *(("--meta", str(folders / "meta")) if learns_margins else ()),
        *("--checkpoint-every", "3", "--device", "cpu", *more),
    ]


@pytest.mark.parametrize("recipe", [FULL, SAMPLED], ids=["mitigations", "sampled centres"])
def test_a_training_killed_at_any_step_ends_with_the_same_weights_when_resumed(
    tmp_path, folders, recipe
):
    path = recipe.to_yaml(tmp_path / "recipe.yaml")
    assert command(words(folders, path, tmp_path / "whole")) == 0

    line = [sys.executable, "-m", "facelab", *words(folders, path, tmp_path / "cut", "--resume")]
    kills = 0
    wanted = random.Random().sample(range(4, 36), 2)
    for step in sorted(wanted):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        folder = tmp_path / "cut.checkpoints"
        reached = f"step-{step // 3 * 3:09d}.pt"
        while process.poll() is None and not any(
            file.name >= reached for file in folder.glob("step-*.pt")
        ):
            time.sleep(0.002)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills, f"every training ended before it could be killed at {wanted}"
    assert command(words(folders, path, tmp_path / "cut", "--resume")) == 0

    whole, cut = (tmp_path / name for name in ("whole", "cut"))
    for name in ("model.safetensors", "validation.csv", "centres.safetensors"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), (name, wanted)
    histories = [fl.load_embedder(folder).history for folder in (whole, cut)]
    assert histories[0].drop(columns="seconds").equals(histories[1].drop(columns="seconds"))
    assert not folder.exists()


def interrupted(number: int, at: int, **options) -> fl.Recipe:
    """Train in this process and signal it after a step; gives the Stopped error."""

    def on_step(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped) as error:
        fl.train(patterns(), TINY, device="cpu", on_step=on_step, **options)
    return error.value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_a_training_saves_the_very_step_and_leaves(tmp_path, number):
    before = signal.getsignal(number)
    error = interrupted(number, 5, checkpoints=tmp_path / "kept")
    assert f"stopped at step 5 of 12 and saved in {tmp_path / 'kept'}" in str(error)
    assert [file.name for file in (tmp_path / "kept").glob("*.pt")] == ["step-000000005.pt"]
    assert signal.getsignal(number) == before

    steps = []
    options = {"device": "cpu", "checkpoints": tmp_path / "kept", "resume": True}
    resumed = fl.train(patterns(), TINY, on_step=steps.append, **options)
    assert steps == [6, 7, 8, 9, 10, 11, 12]
    whole = fl.train(patterns(), TINY, device="cpu").network.state_dict()
    assert all(
        torch.equal(value, whole[name]) for name, value in resumed.network.state_dict().items()
    )


def test_without_checkpoints_an_interrupt_strikes_at_once(request):
    # A process that was started in the background may have been told to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def on_step(step: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fl.train(patterns(), TINY, device="cpu", on_step=on_step)


def test_training_in_a_thread_saves_although_only_the_main_thread_hears_signals(tmp_path):
    done = []
    thread = threading.Thread(
        target=lambda: done.append(
            fl.train(patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept")
        )
    )
    thread.start()
    thread.join()
    assert len(done) == 1
    assert (tmp_path / "kept" / "step-000000012.pt").is_file()


def test_a_training_that_ran_out_of_patience_is_not_taken_up_again(tmp_path):
    validate = Validation(every=1, by=["gender"], fmr=0.05, keep="fnmr", patience=2)
    recipe = dataclasses.replace(TINY, validate=validate)
    options = {"held_out": patterns(seed=1, prefix="h"), "checkpoints": tmp_path / "kept"}
    first = fl.train(patterns(), recipe, device="cpu", **options)
    assert first.card["steps"] < 12
    again = fl.train(patterns(), recipe, device="cpu", resume=True, **options)
    assert again.card["steps"] == first.card["steps"]
    assert again.card["kept"] == first.card["kept"]
    assert again.validation.equals(first.validation)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    fl.train(
        patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept", checkpoint_every=2, keep=3
    )
    names = sorted(file.name for file in (tmp_path / "kept").iterdir())
    assert names == ["lock", "step-000000008.pt", "step-000000010.pt", "step-000000012.pt"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: {"recipe": dataclasses.replace(TINY, lr=0.1)}, r"recipe.lr \(it was 0.002"),
        (lambda: {"faces": patterns(seed=9)}, "faces"),
        (lambda: {"held_out": patterns(seed=1, prefix="h")}, "held_out"),
    ],
)
def test_a_checkpoint_of_another_training_is_not_gone_on_with(tmp_path, change, told):
    interrupted(signal.SIGTERM, 4, checkpoints=tmp_path / "kept")
    options = {"faces": patterns(), "recipe": TINY, "resume": True} | change()
    with pytest.raises(BadInput, match=f"another training, which differs in {told}"):
        fl.train(device="cpu", checkpoints=tmp_path / "kept", **options)


def test_an_unfinished_training_is_not_overwritten_unasked(tmp_path):
    interrupted(signal.SIGTERM, 4, checkpoints=tmp_path / "kept")
    with pytest.raises(BadInput, match="unfinished training: resume it, delete it"):
        fl.train(patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept")


def test_a_damaged_checkpoint_is_named(tmp_path):
    interrupted(signal.SIGTERM, 4, checkpoints=tmp_path / "kept")
    path = tmp_path / "kept" / "step-000000004.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadInput, match=r"step-000000004.pt has no sum .*delete"):
        fl.train(patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept", resume=True)


@pytest.mark.parametrize("damage", [b"", b"half", None, {"order": "[]", "state": {}}, {"a": 1}])
def test_of_a_damaged_newest_checkpoint_the_one_before_is_gone_on_with(tmp_path, damage):
    kept = {"checkpoints": tmp_path / "kept", "device": "cpu"}
    whole = fl.train(patterns(), TINY, device="cpu").network.state_dict()
    fl.train(patterns(), TINY, checkpoint_every=4, **kept)
    newest = tmp_path / "kept" / "step-000000012.pt"
    if damage is None:
        newest.write_bytes(newest.read_bytes()[:-2000])
    elif isinstance(damage, bytes):
        newest.write_bytes(damage)
    else:
        torch.save(damage, newest)
    with pytest.warns(UserWarning, match=r"step-000000012.*step-000000008.pt, before it"):
        resumed = fl.train(patterns(), TINY, resume=True, **kept)
    found = resumed.network.state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in found.items())


def test_other_files_beside_checkpoints_are_not_ours(tmp_path):
    """Copies by hand and notes are neither read nor counted nor removed."""
    folder = tmp_path / "model.checkpoints"
    interrupted(signal.SIGTERM, 4, checkpoints=folder)
    for name in ("step-best.pt", "step-000000099.pt.bak", "notes.txt"):
        (folder / name).write_text("mine")
    kept = {"checkpoints": folder, "device": "cpu", "checkpoint_every": 2, "keep": 1}
    fl.train(patterns(), TINY, resume=True, **kept)
    checkpoints.remove_checkpoints(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["lock", "notes.txt", "step-000000099.pt.bak", "step-best.pt"]
    for name in names[1:]:
        (folder / name).unlink()
    checkpoints.remove_checkpoints(folder)
    assert not folder.exists()


def test_a_checkpoint_by_other_versions_is_gone_on_with_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_made", lambda: {"torch": "1.0"})
    interrupted(signal.SIGTERM, 4, checkpoints=tmp_path / "kept")
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"was written with another .*last digits"):
        fl.train(patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept", resume=True)


def test_one_pixel_makes_another_training(tmp_path):
    interrupted(signal.SIGTERM, 4, checkpoints=tmp_path / "kept")
    faces = patterns()
    spread = set(np.unique(np.linspace(0, len(faces) - 1, 64).astype(int)))
    row = next(row for row in range(len(faces)) if row not in spread)
    crops = np.array(faces.crops)
    crops[row, 0, 0, 0] ^= 1
    other = fl.FaceSet(faces.table, crops, faces.card)
    with pytest.raises(BadInput, match=r"differs in pixels\.faces"):
        fl.train(other, TINY, device="cpu", checkpoints=tmp_path / "kept", resume=True)


def test_a_checkpoint_is_written_while_training_goes_on(tmp_path, monkeypatch):
    real, later = torch.save, threading.Event()

    def slow(*given: object) -> None:
        assert later.wait(60), "the training waited for its checkpoint"
        real(*given)

    monkeypatch.setattr(torch, "save", slow)
    kept = {"device": "cpu", "checkpoint_every": 4, "keep": 9}
    fl.train(
        patterns(), TINY, checkpoints=tmp_path / "kept", **kept,
        on_step=lambda step: step == 6 and later.set(),
    )  # fmt: skip
    # It holds what was then, not what came of it.
    with pytest.raises(Stopped):
        fl.train(
            patterns(), TINY, checkpoints=tmp_path / "stopped", **kept,
            on_step=lambda step: step == 4,
        )  # fmt: skip
    then, stopped = (
        torch.load(tmp_path / name / "step-000000004.pt")["state"] for name in ("kept", "stopped")
    )
    for part in ("network", "head", "optimiser"):
        torch.testing.assert_close(then[part], stopped[part], rtol=0, atol=0)


@pytest.fixture
def second_fails(monkeypatch):
    """The disk has no room for the second checkpoint."""
    real, wrote = torch.save, []

    def full(*given: object) -> None:
        wrote.append(1)
        if len(wrote) == 2:
            raise OSError(28, "No space left on device")
        real(*given)

    monkeypatch.setattr(torch, "save", full)


@pytest.mark.usefixtures("second_fails")
def test_a_checkpoint_that_cannot_be_written_is_told_and_the_training_goes_on(tmp_path):
    kept = {"device": "cpu", "checkpoint_every": 4, "keep": 9}
    with pytest.warns(UserWarning, match=r"step 8 could not be written, the one before is kept"):
        embedder = fl.train(patterns(), TINY, checkpoints=tmp_path / "kept", **kept)
    assert embedder.card["steps"] == 12
    names = [path.name for path in sorted((tmp_path / "kept").glob("*.pt"))]
    assert names == ["step-000000004.pt", "step-000000012.pt"]


@pytest.mark.usefixtures("second_fails")
def test_a_stop_that_could_not_be_saved_names_the_step_to_go_on_from(tmp_path):
    options = {"device": "cpu", "checkpoints": tmp_path / "kept", "checkpoint_every": 3}
    with (
        pytest.warns(UserWarning, match="step 5 could not be written"),
        pytest.raises(Stopped, match=r"at step 5 of 12 and could not be saved: .* from step 3"),
    ):
        fl.train(patterns(), TINY, on_step=lambda step: step == 5, **options)
    steps = []
    fl.train(patterns(), TINY, on_step=steps.append, resume=True, **options)
    assert steps[0] == 4


def test_what_breaks_in_the_thread_that_writes_is_raised(tmp_path, monkeypatch):
    def broken(*given: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        fl.train(patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept")


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    torch.save({"order": "{}", "state": Evil()}, tmp_path / "step-000000001.pt")
    sums.sign_file(tmp_path / "step-000000001.pt")
    with pytest.raises(BadInput, match="cannot be read as a checkpoint"):
        Checkpoints(tmp_path, 1, {}).latest(torch.device("cpu"))
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    kept = {"checkpoints": tmp_path / "kept", "checkpoint_every": 5}
    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.warns(
        UserWarning, match="checkpoint of step 5 could not be written, .*No space left"
    ):
        embedder = fl.train(patterns(), TINY, device="cpu", **kept)
    assert embedder.card["steps"] == 12
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["lock"]


def test_two_trainings_at_once_do_not_share_a_folder(tmp_path):
    def second(step: int) -> None:
        if step == 3:
            with pytest.raises(BadInput, match=r"another run .* is writing"):
                fl.train(patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept")

    fl.train(patterns(), TINY, device="cpu", checkpoints=tmp_path / "kept", on_step=second)


def test_the_command_says_how_to_go_on(tmp_path, folders, capsys):
    recipe = tmp_path / "long.yaml"
    recipe.write_text(yaml.safe_dump({**TINY.to_dict(), "steps": 100_000}))
    line = [sys.executable, "-m", "facelab", *words(folders, recipe, tmp_path / "model")]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "model.checkpoints"
    while not list(folder.glob("step-*.pt")):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "training stopped at step" in told
    assert "resume it to go on" in told
    assert command(words(folders, recipe, tmp_path / "model")) == 1
    assert "holds an unfinished training" in capsys.readouterr().err


def test_a_fingerprint_tells_tables_and_crops_apart():
    faces = patterns()
    other = patterns()
    other.crops[:] = 255 - np.asarray(other.crops)
    relabelled = fl.FaceSet(faces.table.assign(gender="female"), faces.crops, faces.card)
    names = {fingerprint(f) for f in (faces, other, relabelled, faces[:70])}
    assert len(names) == 4
    assert fingerprint(faces) == fingerprint(patterns())
