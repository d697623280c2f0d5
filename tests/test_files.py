"""Files and folders: written whole or not at all, and nobody else's work touched on the way."""

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from facelab import files
from facelab.errors import BadInput

# Writes the folder or file that it is given, and is killed (or waits to be) in the middle.
WRITE = """
import os, signal, sys, time
from facelab import artefacts, files, moving

out, where, end = sys.argv[1:]

def stop(*_):
    print("there", flush=True)
    if end == "waits":
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)

if where == "between":
    moving._renameat2 = lambda: None  # as on a system that cannot let two change places
    rename = os.rename
    def one(source, target):
        rename(source, target)
        if str(target).endswith("/old"):
            stop()
    os.rename = one
if where == "file":
    files.os.replace = stop
    files.write_text(out, "half")
with files.write_folder(out, True, artefacts.EMBEDDINGS) as aside:
    (aside / "card.json").write_text('{"sha256": "new"}')
    if where == "inside":
        stop()
"""


def writer(out, where, end="killed"):
    command = [sys.executable, "-c", WRITE, str(out), where, end]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "there\n"
    if end == "killed":
        assert started.wait() == -signal.SIGKILL
    return started


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_aside_is_removed_by_the_next_of_the_same_output(tmp_path):
    writer(tmp_path / "faces", "inside")
    assert len(listed(tmp_path)) == 1
    with files.write_folder(tmp_path / "faces") as aside:
        (aside / "x").write_text("whole")
    assert listed(tmp_path) == ["faces"]


@pytest.mark.parametrize("name", ["faces.v2", "faces.v2.1", "faces.faces", "face", ".faces"])
def test_a_living_or_a_dead_writer_of_another_output_is_left_alone(tmp_path, name):
    """A job for `faces` is not one for `faces.v2`, whatever their hidden folders are called."""
    living = writer(tmp_path / name, "inside", "waits")
    writer(tmp_path / f"{name}.dead", "inside")
    before = listed(tmp_path)
    with files.write_folder(tmp_path / "faces") as aside:
        (aside / "x").write_text("whole")
    assert listed(tmp_path) == sorted([*before, "faces"])
    living.kill()
    living.wait()


def test_a_living_writer_of_the_same_output_is_left_alone(tmp_path):
    living = writer(tmp_path / "faces", "inside", "waits")
    (before,) = listed(tmp_path)
    with files.write_folder(tmp_path / "faces"):
        assert before in listed(tmp_path)
    assert listed(tmp_path) == sorted([before, "faces"])
    living.kill()
    living.wait()


@pytest.mark.parametrize("told", [None, "", "{", "[]", '"faces"', '{"output": "other"}'])
@pytest.mark.parametrize("name", [".faces.mine.partial", ".faces.123.partial"])
def test_a_folder_that_does_not_say_it_is_ours_is_nobodys_to_remove(tmp_path, name, told):
    mine = tmp_path / name
    mine.mkdir()
    (mine / "diary.txt").write_text("keep")
    if told is not None:
        (mine / "owner.json").write_text(told)
    with files.write_folder(tmp_path / "faces"):
        pass
    files.write_text(tmp_path / "faces.txt", "x")
    assert (mine / "diary.txt").read_text() == "keep"


def test_a_name_with_brackets_is_no_pattern(tmp_path):
    writer(tmp_path / "faces[1-9]", "inside")
    writer(tmp_path / "faces1", "inside")
    with files.write_folder(tmp_path / "faces[1-9]"):
        pass
    assert [name for name in listed(tmp_path) if name.startswith(".faces1.")]
    assert not [name for name in listed(tmp_path) if name.startswith(".faces[")]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path):
    out = tmp_path / "faces"
    out.mkdir()
    (out / "card.json").write_text('{"sha256": "old"}')
    writer(out, "between")
    assert not out.exists()
    assert files.settle(out) == out
    assert "new" in (out / "card.json").read_text()
    assert listed(tmp_path) == ["faces"]


def test_the_next_writer_finds_what_was_killed_between_the_renames_and_asks(tmp_path):
    out = tmp_path / "faces"
    out.mkdir()
    (out / "card.json").write_text('{"sha256": "old"}')
    writer(out, "between")
    with pytest.raises(BadInput, match="exists already"), files.write_folder(out):
        pass
    assert "new" in (out / "card.json").read_text()


def test_a_file_that_a_kill_left_half_written_goes_with_the_next(tmp_path):
    writer(tmp_path / "report.html", "file")
    assert len(listed(tmp_path)) == 1
    files.write_text(tmp_path / "report.html", "whole")
    assert listed(tmp_path) == ["report.html"]


def test_a_failed_write_leaves_nothing_and_the_old_file_as_it_was(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a.txt", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(tmp_path / "a.txt", "new")
    assert listed(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_place_that_is_a_link_is_named_as_one(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "faces").symlink_to(tmp_path / "disk")
    with pytest.raises(BadInput, match="is a link"), files.write_folder(tmp_path / "faces"):
        pass


def test_what_cannot_be_written_is_named_and_not_the_folder_beside_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*there to write a\.txt in"):
        files.write_text(tmp_path / "there" / "a.txt", "x")


# ---- a group of users


@pytest.fixture
def umask():
    """Gives a way to set it, and puts it back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o027, 0o077, 0o000])
def test_modes_are_the_umasks_and_setgid_is_handed_down(tmp_path, umask, mask):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2777)
    umask(mask)
    files.write_text(shared / "report.html", "x")
    with files.write_folder(shared / "faces") as aside:
        (aside / "card.json").write_text("{}")
        (lock,) = shared.glob(".faces.*/lock")
        assert stat.S_IMODE(lock.stat().st_mode) == 0o666 & ~mask
    for path in (shared / "report.html", shared / "faces" / "card.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
        assert path.stat().st_gid == shared.stat().st_gid
    assert stat.S_IMODE((shared / "faces").stat().st_mode) == 0o2777 & ~mask


# ---- what is in them


def test_the_content_of_a_folder_is_every_name_and_every_byte(tmp_path):
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights.bin").write_bytes(b"1234")
    seen = [files.contents(folder)]

    def changed():
        seen.append(files.contents(folder))
        return len(set(seen)) == len(seen)

    stamp = (folder / "deep" / "weights.bin").stat()
    (folder / "deep" / "weights.bin").write_bytes(b"1235")
    os.utime(folder / "deep" / "weights.bin", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert changed(), "same size, same time"
    (folder / "deep" / "weights.bin").rename(folder / "deep" / "w.bin")
    assert changed(), "another name"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "shard").write_bytes(b"a")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    assert changed(), "a link to a folder"
    (tmp_path / "elsewhere" / "shard").write_bytes(b"b")
    assert changed(), "what is behind the link"
    (folder / "linked" / "up").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "nothing")
    assert changed(), "a link in a circle and one to nowhere"
    (folder / ".DS_Store").write_bytes(b"x")
    assert not changed(), "hidden files are no content"


def test_values_are_plain_json(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": (1, float("nan")), "b": tmp_path})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None], "b": str(tmp_path)}
