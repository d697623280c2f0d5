"""What a training cannot be made with is said before it begins, and leaves nothing behind."""

import os

import pytest
from training_sets import TINY, patterns

import facelab as fl
from facelab.cli.app import command
from facelab.embedders.tensors import pick_device
from facelab.embedders.trained import TrainedEmbedder

pytestmark = pytest.mark.security(area="processes")
DEVICES = [
    *("RUBBISH", "", "cuda:99", "cpu:99", "meta", "cuda:x", "cpu:-1", "mps:9", "é", "x" * 9999),
    *("hip", "xla", "CPU", " cpu", "cpu,cuda", "privateuseone", "auto:0", "cpu\x1b[31m"),
]
SEEDS = ["-1", str(2**63), str(10**30), "1.5", "x"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early")
    patterns().save(folder / "faces")
    TINY.to_yaml(folder / "tiny.yaml")
    (folder / "empty.yaml").write_text(" \n")
    (folder / "comments.yaml").write_text("# nothing is meant to differ\n")
    return folder


def trains(place, monkeypatch, capfd, *options):
    """Exit code and sentence; that nothing was written is seen here."""
    monkeypatch.chdir(place)
    before = sorted(os.listdir())
    line = ["train", "faces", "-o", "out", "--recipe", "tiny.yaml", *options]
    code = command(line)
    told = capfd.readouterr().err
    assert told.startswith("facelab: ") and told.count("\n") == 1 and "unexpected" not in told
    assert sorted(os.listdir()) == before
    return code, told


@pytest.mark.parametrize("device", DEVICES, ids=lambda name: ascii(name)[:20])
def test_a_device_that_is_not_here_is_named(place, monkeypatch, capfd, device, tried):
    code, told = trains(place, monkeypatch, capfd, "--device", device)
    assert code == 1 and "device must be auto or what torch has here, cpu" in told
    tried()


@pytest.mark.parametrize("device", [None, 1.5, [], 10**30, *DEVICES[:6]], ids=repr)
def test_devices_of_functions_are_asked_for_at_one_door(device, tmp_path, tried):
    people, _ = fl.crowd(20, images=2, dim=16)
    for work in (
        lambda: pick_device(device),
        lambda: fl.train(patterns(), TINY, device=device, checkpoints=tmp_path / "kept"),
        lambda: fl.compare_all(people, device=device),
        lambda: TrainedEmbedder.load(tmp_path, device=device),
        lambda: fl.load_embedder("timm:resnet18", device=device),
    ):
        with pytest.raises(fl.BadInput, match=r"device must be (text|auto or what torch has here)"):
            work()
        tried()
    assert not list(tmp_path.iterdir())


def test_what_is_here_is_taken():
    people, _ = fl.crowd(20, images=2, dim=16)
    for device in ("auto", "cpu", "cpu:0"):
        assert pick_device(device)
        assert fl.compare_all(people, device=device).threshold(0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_torch_does_not_take_is_refused(place, monkeypatch, capfd, seed, tried):
    code, told = trains(place, monkeypatch, capfd, "--seed", seed)
    assert code in (1, 2) and "seed" in told
    with pytest.raises(fl.BadInput, match="seed must be"):
        fl.Recipe(seed=int(seed) if seed.lstrip("-").isdigit() else seed)
    tried(2)


@pytest.mark.parametrize("option", ["--checkpoint-every", "--keep"])
@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", ""])
def test_checkpoints_are_of_one_step_or_more(place, monkeypatch, capfd, option, number):
    code, told = trains(place, monkeypatch, capfd, option, number)
    assert code == 2 and option in told
    if number == "0":
        given = {option[2:].replace("-", "_"): 0}
        with pytest.raises(fl.BadInput, match="must be a whole number of 1 or more, not 0"):
            fl.train(patterns(), TINY, checkpoints=place / "kept", **given)
        assert not (place / "kept").exists()


def test_force_removes_nothing_where_the_training_cannot_begin(place, monkeypatch, capfd):
    kept = place / "out.checkpoints"
    kept.mkdir(exist_ok=True)
    (kept / "step-000000001.pt").write_bytes(b"x")
    for wrong in (["--device", "x"], ["--recipe", "empty.yaml"], ["--meta", "nowhere"]):
        trains(place, monkeypatch, capfd, "--force", *wrong)
        assert (kept / "step-000000001.pt").exists()
    (kept / "step-000000001.pt").unlink()
    kept.rmdir()


def test_an_empty_file_is_no_recipe_and_none_of_anything(place, monkeypatch, capfd, tried):
    code, told = trains(place, monkeypatch, capfd, "--recipe", "empty.yaml")
    assert code == 1 and "empty.yaml is empty: write in it what is meant" in told
    for read in (
        fl.Recipe.from_yaml,
        fl.Population.load,
        fl.read_experiment,
        lambda file: fl.synthesize(6, 1, size=32, population=file),
    ):
        with pytest.raises(fl.BadInput, match="is empty: write in it what is meant"):
            read(place / "empty.yaml")
        tried()
    assert fl.Recipe.from_yaml(place / "comments.yaml") == fl.Recipe()
