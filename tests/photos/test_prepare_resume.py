"""A killed preparing goes on where it was, and ends with the bytes of one that was not killed."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.photos import preparing

SIZE = 32
COUNT = 100

# Killed in the middle of the third batch, when the second is saved.
KILLED = """
    import os, signal, sys
    import facelab as fl
    from facelab.photos import preparing
    from facelab.photos.cutter import Cutter

    preparing._SAVE_EVERY = 0.0
    one = Cutter.one

    def some(self, place):
        if os.path.basename(place.path) == "70.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return one(self, place)

    Cutter.one = some
    fl.prepare(sys.argv[1], sys.argv[2], size=32, jobs=1, set_aside=True)
"""


def run(script, *arguments):
    code = textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)]).returncode


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """`photos`, and what a run for `set` left beside them that was killed after two batches of 32.

    Ten subjects have ten images each: two are damaged, and two are there twice, one of them once
    before and once after the place of the kill.
    """
    rng = np.random.default_rng(0)
    place = tmp_path_factory.mktemp("killed")
    folder = place / "photos"
    for number in range(COUNT):
        path = folder / str(number // 10) / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(path)
    (folder / "1" / "15.png").write_bytes(b"damaged")
    (folder / "9" / "95.png").write_bytes(b"")
    shutil.copy(folder / "0" / "05.png", folder / "2" / "25.png")
    shutil.copy(folder / "0" / "06.png", folder / "9" / "90.png")
    assert run(KILLED, folder, place / "set") == -9
    assert sorted(os.listdir(place)) == [".set.partial", "photos"]
    return place


@pytest.fixture
def photos(killed, tmp_path):
    return shutil.copytree(killed / "photos", tmp_path / "photos")


@pytest.fixture
def unfinished(killed, photos, tmp_path):
    return shutil.copytree(killed / ".set.partial", tmp_path / ".set.partial")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def uninterrupted(photos, tmp_path):
    fl.prepare(photos, tmp_path / "whole", size=SIZE, jobs=1, set_aside=True)
    expected = contents(tmp_path / "whole")
    shutil.rmtree(tmp_path / "whole")
    return expected


def test_a_killed_run_has_noted_the_digests_of_what_was_finished(photos, unfinished):
    parts = sorted((unfinished / "done").iterdir())
    saved = [row for part in parts for row in json.loads(part.read_text(encoding="utf-8"))]
    assert len(saved) == 64
    third = (photos / "0" / "03.png").read_bytes()
    assert saved[3][0] == hashlib.sha256(third).hexdigest()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    photos, unfinished, tmp_path, monkeypatch, jobs
):
    expected, bar, bars = uninterrupted(photos, tmp_path), preparing.bar, []
    monkeypatch.setattr(preparing, "bar", lambda **say: (bars.append(say), bar(**say))[1])
    out = tmp_path / "set"
    faces = fl.prepare(photos, out, size=SIZE, jobs=jobs, set_aside=True)
    assert (bars[0]["initial"], bars[0]["total"], bars[0]["unit"]) == (64, COUNT, "img")
    assert contents(out) == expected
    assert sorted(os.listdir(tmp_path)) == ["photos", "set"]
    assert len(fl.load(out, verify=True)) == COUNT - 4
    for name, crop in zip(faces.table["image"], faces.crops, strict=True):
        np.testing.assert_array_equal(crop, np.asarray(Image.open(photos / name)))


def test_what_a_killed_run_found_is_found_after_it(photos, unfinished, tmp_path):
    faces = fl.prepare(photos, tmp_path / "set", size=SIZE, jobs=1, set_aside=True)
    rejects = pd.read_parquet(tmp_path / "set" / "rejects.parquet")
    assert faces.card["duplicates"] == 2
    assert dict(zip(rejects["image"], rejects["reason"], strict=True)) == {
        "1/15.png": "it is not an image",
        "2/25.png": "it has the same bytes as 0/05.png, another subject",
        "9/90.png": "it has the same bytes as 0/06.png, another subject",
        "9/95.png": "it is empty (zero bytes)",
    }


def test_unfinished_work_of_other_options_or_photos_is_not_gone_on_with(
    photos, unfinished, tmp_path
):
    out, before = tmp_path / "set", contents(unfinished / "done")
    with pytest.raises(fl.BadInput, match=r"differs in size \(it was 32, now 16\).*or delete"):
        fl.prepare(photos, out, size=16, jobs=1, set_aside=True)
    Image.new("RGB", (SIZE, SIZE)).save(photos / "9" / "99a.png")
    with pytest.raises(fl.BadInput, match=r"differs in photos \(it was 100 of .*, now 101 of "):
        fl.prepare(photos, out, size=SIZE, jobs=1, set_aside=True)
    (photos / "9" / "99a.png").unlink()
    Image.new("RGB", (SIZE, SIZE)).save(photos / "0" / "03.png")
    with pytest.raises(fl.BadInput, match=r"0/03\.png has changed since .*: delete .* to begin"):
        fl.prepare(photos, out, size=SIZE, jobs=1, set_aside=True)
    assert contents(unfinished / "done") == before
    faces = fl.prepare(photos, out, size=SIZE, jobs=1, replace=True, set_aside=True)
    assert (faces.crops[3] == 0).all()
    assert sorted(os.listdir(tmp_path)) == ["photos", "set"]


def test_a_photo_that_changes_before_its_turn_is_taken_as_it_is(photos, unfinished, tmp_path):
    Image.new("RGB", (SIZE, SIZE), "red").save(photos / "8" / "80.png")
    faces = fl.prepare(photos, tmp_path / "set", size=SIZE, jobs=1, set_aside=True)
    row = faces.table["image"].tolist().index("8/80.png")
    assert (faces.crops[row] == [255, 0, 0]).all()


def test_a_strict_run_that_stops_leaves_nothing_that_mended_images_would_differ_from(
    photos, tmp_path
):
    with pytest.raises(fl.BadInput, match=r"4 of 100 images cannot be used, first 1/15\.png"):
        fl.prepare(photos, tmp_path / "set", size=SIZE, set_aside=False, jobs=1)
    assert os.listdir(tmp_path) == ["photos"]


def test_a_disk_without_room_is_known_before_the_work(photos, tmp_path, monkeypatch):
    def full(file, start, count):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(preparing, "outcomes", lambda *work: pytest.fail("work was begun"))
    with pytest.raises(OSError, match="No space left on device: 0 MB are needed"):
        fl.prepare(photos, tmp_path / "set", size=SIZE, jobs=1, set_aside=True)
    assert os.listdir(tmp_path) == ["photos"]


def test_a_disk_that_fills_up_leaves_no_set_and_the_work_goes_on_later(
    photos, tmp_path, monkeypatch
):
    expected, out, room = uninterrupted(photos, tmp_path), tmp_path / "set", iter([True] * 5)
    fsync = os.fsync

    def fill(handle):
        if not next(room, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_SAVE_EVERY", 0.0)
        patch.setattr(os, "fsync", fill)
        with pytest.raises(OSError, match="No space left on device"):
            fl.prepare(photos, out, size=SIZE, jobs=1, set_aside=True)
    assert sorted(os.listdir(tmp_path)) == [".set.partial", "photos"]
    fl.prepare(photos, out, size=SIZE, jobs=1, set_aside=True)
    assert contents(out) == expected
    assert sorted(os.listdir(tmp_path)) == ["photos", "set"]
