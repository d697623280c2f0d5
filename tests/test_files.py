"""Folders that outlive a kill: found again by the same order, refused to any other."""

import os
import subprocess
import sys

import pytest
from filelock import FileLock, Timeout

from facelab.errors import BadInput
from facelab.keeping import locked, resume_folder

ORDER = {"seed": 1, "of": {"size": 32}}


def leave_unfinished(out, order=ORDER):
    with pytest.raises(RuntimeError), resume_folder(out, order) as (aside, done):
        (aside / "crops").write_text("half")
        (done / "0").write_text("a")
        raise RuntimeError


def test_unfinished_work_is_found_again_and_put_in_place_when_whole(tmp_path):
    out = tmp_path / "set"
    leave_unfinished(out)
    assert not out.exists()
    with resume_folder(out, ORDER) as (aside, done):
        assert (aside / "crops").read_text() == "half"
        assert [path.name for path in done.iterdir()] == ["0"]
        (aside / "crops").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert [path.name for path in out.iterdir()] == ["crops"]
    assert (out / "crops").read_text() == "whole"


def test_a_failure_before_anything_is_finished_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="full"), resume_folder(tmp_path / "set", ORDER):
        raise OSError("full")
    assert not list(tmp_path.iterdir())


def test_unfinished_work_of_another_order_is_named(tmp_path):
    out = tmp_path / "set"
    leave_unfinished(out)
    with (
        pytest.raises(BadInput, match=r"differs in of.size \(it was 32, now 64\)"),
        resume_folder(out, {"seed": 1, "of": {"size": 64}}),
    ):
        pass
    with resume_folder(out, ORDER | {"seed": 2}, replace=True) as (_, done):
        assert not list(done.iterdir())
    assert out.is_dir()


def test_a_taken_place_is_refused_or_replaced(tmp_path):
    out = tmp_path / "set"
    out.mkdir()
    (out / "mine").write_text("keep")
    with pytest.raises(BadInput, match="exists already"), resume_folder(out, ORDER):
        pass
    assert (out / "mine").exists()
    with resume_folder(out, ORDER, replace=True) as (aside, _):
        assert (out / "mine").exists(), "the old one stays until the new one is whole"
        (aside / "yours").write_text("new")
    assert [path.name for path in out.iterdir()] == ["yours"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_two_at_once_is_one_sentence_and_a_dead_ones_lock_is_free(tmp_path):
    out = tmp_path / "set"
    with (
        resume_folder(out, ORDER),
        pytest.raises(BadInput, match=rf"another run \(process {os.getpid()}\) is writing"),
        resume_folder(out, ORDER),
    ):
        pass
    script = (
        "import os, signal, sys; from facelab.keeping import resume_folder\n"
        f"with resume_folder({str(tmp_path / 'dead')!r}, {ORDER!r}) as (aside, done):\n"
        "    (done / '0').write_text('a')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    with resume_folder(tmp_path / "dead", ORDER) as (_, done):
        assert [path.name for path in done.iterdir()] == ["0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dead", "set"]


def test_a_lock_that_goes_while_its_holder_is_looked_up_is_taken(tmp_path, monkeypatch):
    """Who held it has just put the folder in place: nobody is to be waited for."""
    acquire, taken = FileLock.acquire, []

    def gone(lock, *given):
        if not taken:
            taken.append(lock)
            raise Timeout(lock.lock_file)
        return acquire(lock, *given)

    monkeypatch.setattr(FileLock, "acquire", gone)
    with locked(tmp_path / "work"):
        assert (tmp_path / "work" / "lock").read_text() == str(os.getpid())
    assert len(taken) == 1
