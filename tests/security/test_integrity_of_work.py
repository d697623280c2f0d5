"""What a kill left unfinished is whole or done again, and no answer is older than its question."""

import json
import os
import random
import shutil

import numpy as np
import pytest
from flipped import flip
from nbformat import v4 as nb
from PIL import Image

import facelab as fl
from facelab.embedders.weights import weights_in
from facelab.photos import preparing
from facelab.runs.inputs import folders_of, key_of
from facelab.synthetic import plan, produce

pytestmark = pytest.mark.security(area="integrity")


# ---- what a kill left unfinished


def interrupted(work, module, name, after, monkeypatch):
    """Stop some work at the n-th call of a function, as Ctrl-C would."""
    inner, calls = getattr(module, name), []

    def stop(*words, **options):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return inner(*words, **options)

    monkeypatch.setattr(module, name, stop)
    with pytest.raises(KeyboardInterrupt):
        work()
    monkeypatch.setattr(module, name, inner)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def unfinished(tmp_path, monkeypatch):
    """A preparation that was stopped after six of ten photos, each noted by itself."""
    photos = tmp_path / "photos" / "ada"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(5)
    for number in range(10):
        noise = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(photos / f"{number}.bmp")  # all of one size
    monkeypatch.setattr(preparing, "_SAVE_EVERY", 0.0)

    def prepare(out="set"):
        return fl.prepare(photos.parent, tmp_path / out, size=32, jobs=1)

    prepare("whole")
    interrupted(prepare, preparing, "_save", 6, monkeypatch)
    return photos, tmp_path / ".set.partial", prepare


@pytest.mark.parametrize("where", ["a part", "a part is cut", "crops", "crops are gone"])
def test_unfinished_work_that_is_damaged_is_done_again_from_there(where, unfinished, tmp_path):
    _, place, prepare = unfinished
    parts = sorted((place / "done").glob("*.json"))
    assert len(parts) == 6
    if where == "a part":
        flip(parts[2], random.Random(1))
    elif where == "a part is cut":
        parts[2].write_bytes(parts[2].read_bytes()[:-80])
    elif where == "crops":
        data = bytearray((place / "new" / "crops.npy").read_bytes())
        data[128 + 2 * 32 * 32 * 3 + 7] ^= 16
        (place / "new" / "crops.npy").write_bytes(data)
    else:
        (place / "new" / "crops.npy").unlink()
    with pytest.warns(UserWarning, match="damaged: from there on it is done again"):
        prepare()
    assert bytes_of(tmp_path / "set") == bytes_of(tmp_path / "whole")


def test_a_photo_that_changed_under_its_old_time_and_size_is_seen(unfinished):
    photos, _, prepare = unfinished
    facts = (photos / "3.bmp").stat()
    data = bytearray((photos / "3.bmp").read_bytes())
    data[-9] ^= 1
    (photos / "3.bmp").write_bytes(data)
    os.utime(photos / "3.bmp", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(fl.BadInput, match=r"3\.bmp has changed since"):
        prepare()


def test_two_people_whose_folders_change_names_are_seen(tmp_path, monkeypatch):
    """Both photos have one size and one time: only what is in them differs."""
    root, rng = tmp_path / "photos", np.random.default_rng(0)
    for name in ("ada", "bea"):
        (root / name).mkdir(parents=True)
        noise = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(root / name / "1.bmp")
        os.utime(root / name / "1.bmp", ns=(10**18, 10**18))
    monkeypatch.setattr(preparing, "_SAVE_EVERY", 0.0)

    def prepare():
        return fl.prepare(root, tmp_path / "set", size=32, jobs=1)

    interrupted(prepare, preparing, "_save", 1, monkeypatch)
    (root / "ada").rename(root / "x")
    (root / "bea").rename(root / "ada")
    (root / "x").rename(root / "bea")
    with pytest.raises(fl.BadInput, match=r"ada/1\.bmp has changed since"):
        prepare()


def test_photos_that_only_moved_are_gone_on_with(unfinished, tmp_path):
    photos, _, prepare = unfinished
    for path in sorted(photos.iterdir()):
        shutil.copy2(path, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    prepare()
    assert bytes_of(tmp_path / "set") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("where", ["rows", "crops", "crops are gone"])
def test_unfinished_synthesis_that_is_damaged_is_rendered_again(where, tmp_path, monkeypatch):
    def synthesize(out="set"):
        return fl.synthesize(12, 2, size=32, out=tmp_path / out, jobs=1)

    monkeypatch.setattr(plan, "_BLOCK", (4, 6))
    synthesize("whole")
    interrupted(synthesize, produce, "store_block", 2, monkeypatch)
    place = tmp_path / ".set.partial"
    rows = sorted((place / "done").glob("*.npy"))
    assert len(rows) == 2
    if where == "rows":
        flip(rows[0], random.Random(2))
    elif where == "crops":
        data = bytearray((place / "new" / "crops.npy").read_bytes())
        data[128 + 99] ^= 2
        (place / "new" / "crops.npy").write_bytes(data)
    else:
        (place / "new" / "crops.npy").unlink()
    synthesize()
    assert bytes_of(tmp_path / "set") == bytes_of(tmp_path / "whole")


# ---- no stale answers


@pytest.mark.parametrize("name", ["../a.safetensors", "/etc/passwd", "x/../../a", "..", "", 3])
def test_an_index_of_weights_leads_nowhere_else(name, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(fl.BadInput, match=r"index\.json"):
        weights_in(str(tmp_path), None)


@pytest.mark.parametrize("what", ["a model's folder", "a shard", "a file", "labels in a folder"])
def test_what_lies_behind_a_parameter_decides_whether_a_run_is_done(what, tmp_path):
    (tmp_path / "runs").mkdir()
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "a.safetensors", "labels.csv"):
        (model / name).write_text("{}")
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    book = tmp_path / "x.ipynb"
    book.write_text(nb.writes(nb.new_notebook()))
    shown, change = {
        "a model's folder": ({"backbone": f"local-dir:{model}"}, "a.safetensors"),
        "a shard": ({"options": {"checkpoint_path": str(index)}}, "a.safetensors"),
        "a file": ({"weights": str(model / "a.safetensors")}, "a.safetensors"),
        "labels in a folder": ({"photos": str(model)}, "labels.csv"),
    }[what]

    def decides():
        return key_of(book, shown), folders_of(shown, tmp_path / "runs")

    before = decides()
    assert decides() == before
    facts = (model / change).stat()
    (model / change).write_text("[]")
    os.utime(model / change, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert decides() != before
