"""Long work: found again after a kill, done by one where several want it, refused to any other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import facelab as fl
from facelab import keeping, owners
from facelab.artefacts import EMBEDDINGS, FACES
from facelab.errors import BadInput
from facelab.faces.faceset import content
from facelab.keeping import locked, once, resume_folder

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
    (out / "card.json").write_text('{"sha256": {}}')
    with pytest.raises(BadInput, match="exists already"), resume_folder(out, ORDER):
        pass
    with (
        pytest.raises(BadInput, match="not that of a FaceSet"),
        resume_folder(out, ORDER, True, FACES),
    ):
        pass
    assert (out / "card.json").exists()
    with resume_folder(out, ORDER, True, EMBEDDINGS) as (aside, _):
        assert (out / "card.json").exists(), "the old one stays until the new one is whole"
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
    flock, taken = owners._flock, []

    def gone(file):
        if not taken:
            taken.append(file)
            (tmp_path / "work" / "lock").unlink()
        return flock(file)

    monkeypatch.setattr(owners, "_flock", gone)
    with locked(tmp_path / "work"):
        assert json.loads((tmp_path / "work" / "lock").read_text()) == owners.token()
    assert (tmp_path / "work" / "lock").read_text() == ""
    assert len(taken) == 1


def test_a_job_for_faces_leaves_the_unfinished_job_for_faces_v2(tmp_path):
    leave_unfinished(tmp_path / "faces.v2")
    with resume_folder(tmp_path / "faces", ORDER):
        pass
    fl.synthesize(6, 2, size=32, jobs=1).save(tmp_path / "faces", replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".faces.v2.partial", "faces"]
    with resume_folder(tmp_path / "faces.v2", ORDER) as (aside, done):
        assert (aside / "crops").read_text() == "half"
        assert [path.name for path in done.iterdir()] == ["0"]


def test_saving_to_a_place_leaves_the_unfinished_work_for_it(tmp_path):
    leave_unfinished(tmp_path / "set")
    fl.synthesize(6, 2, size=32, jobs=1).save(tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".set.partial", "set"]


def test_somebody_elses_hidden_folder_of_that_name_is_refused_and_kept(tmp_path):
    mine = tmp_path / ".set.partial"
    mine.mkdir()
    (mine / "diary.txt").write_text("keep")
    for replace in (False, True):
        with (
            pytest.raises(BadInput, match="does not say"),
            resume_folder(tmp_path / "set", ORDER, replace),
        ):
            pass
    assert [path.name for path in mine.iterdir()] == ["diary.txt"]


def test_unfinished_work_whose_order_is_damaged_is_named_or_replaced(tmp_path):
    out = tmp_path / "set"
    leave_unfinished(out)
    (tmp_path / ".set.partial" / "order.json").write_text("")
    with (
        pytest.raises(BadInput, match=r"order\.json, which is damaged.*or delete"),
        resume_folder(out, ORDER),
    ):
        pass
    with resume_folder(out, ORDER, replace=True) as (_, done):
        assert not list(done.iterdir())


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize(
    ("renames", "was"), [(1, False), (2, False), (1, True), (2, True), (3, True)]
)
def test_a_kill_while_finished_work_is_put_in_place_loses_nothing(
    tmp_path, renames, was, exchanges
):
    """Moves one by one: it is called ready, changes places, or is moved after what was there."""
    out = tmp_path / "set"
    if was:
        out.mkdir()
        (out / "card.json").write_text('{"sha256": "old"}')
    script = (
        "import os, signal; from facelab import artefacts, moving\n"
        "from facelab.keeping import resume_folder\n"
        "count, rename, exchange = [], os.rename, moving.exchange\n"
        "def counted(move):\n"
        "    def one(*given):\n"
        "        done = move(*given); count.append(1)\n"
        f"        if len(count) == {renames}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return done\n"
        "    return one\n"
        "kind = artefacts.EMBEDDINGS\n"
        f"with resume_folder({str(out)!r}, {ORDER!r}, True, kind) as (aside, done):\n"
        "    (aside / 'card.json').write_text('{\"sha256\": \"new\"}')\n"
        "    (done / '0').write_text('a')\n"
        "    os.rename, moving.exchange = counted(rename), counted(exchange)\n"
        + ("" if exchanges else "    moving.exchange = lambda *_: False\n")
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    with resume_folder(out, ORDER, True, EMBEDDINGS) as (new, done):
        if was and renames == 1:
            assert "old" in (out / "card.json").read_text(), "undone, and gone on with"
            assert (done / "0").exists() and "new" in (new / "card.json").read_text()
        else:
            assert "new" in (out / "card.json").read_text(), "finished"
            assert not list(done.iterdir()), "what is finished went with the result"
            (new / "card.json").write_text('{"sha256": "new"}')
    assert "new" in (out / "card.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


# ---- a group of users


def as_another_user(work):
    """What `work` says in a process of another user's, who is in the group of root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.umask(0o002)
            os.setgroups([0])
            os.setgid(12345)
            os.setuid(12345)
            try:
                said = str(work())
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            os.write(write, said.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


@pytest.fixture
def shared(tmp_path_factory):
    """A folder that a group shares: setgid, and every one in the group may write."""
    folder = Path(tempfile.mkdtemp(prefix="facelab-shared-"))
    folder.chmod(0o2770)
    before = os.umask(0o002)
    yield folder
    os.umask(before)
    shutil.rmtree(folder)


def test_a_colleague_of_the_group_takes_the_lock_goes_on_and_replaces(shared):
    leave_unfinished(shared / "set")
    made = shared / "kept"

    def make(out):
        out.mkdir()
        return out

    once(made, "thing", {"a": 1}, make, Path)

    def work():
        with resume_folder(shared / "set", ORDER) as (_, done):
            found = [path.name for path in done.iterdir()]
        (shared / "set" / "crops").unlink()
        (shared / "set" / "card.json").write_text('{"sha256": {}}')
        with resume_folder(shared / "set", ORDER, True, EMBEDDINGS):
            pass
        return found, once(made, "thing", {"a": 2}, make, Path).is_dir()

    assert as_another_user(work) == "(['0'], True)"
    assert sorted(path.name for path in shared.iterdir()) == ["kept", "set"]
    assert len(list(made.glob("thing-*"))) == 2


def test_a_lock_that_cannot_be_opened_is_one_sentence(shared):
    with locked(shared / "work"):
        pass
    (shared / "work" / "lock").chmod(0o600)

    def work():
        with locked(shared / "work"):
            pass

    said = as_another_user(work)
    assert said.startswith("BadInput") and "lock keeps two runs from writing" in said
    assert "let your group write it" in said


def test_a_folder_without_leave_to_write_is_named(shared):
    shared.chmod(0o755)

    def work():
        with resume_folder(shared / "set", ORDER):
            pass

    assert str(shared / "set") in as_another_user(work)


# ---- done once


MAKE = """
import sys, time
from facelab import files
from facelab.keeping import once

def make(out):
    print("at it", flush=True)
    time.sleep(float(sys.argv[2]))
    with files.write_folder(out) as aside:
        (aside / "x").write_text("whole")

once(sys.argv[1], "thing", {"a": 1}, make, lambda out: (out / "x").read_text())
"""


def wanting(folder: Path, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", MAKE, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_several_that_want_the_same_one_makes_it(tmp_path):
    started = [wanting(tmp_path, 1.0) for _ in range(3)]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sorted(said) == ["", "", "at it\n"]
    (kept,) = tmp_path.glob("thing-*")
    assert (kept / "x").read_text() == "whole"


def test_who_waits_for_a_killed_one_makes_it_itself(tmp_path):
    first = wanting(tmp_path, 600)
    assert first.stdout.readline() == "at it\n"
    second = wanting(tmp_path, 0)
    with pytest.raises(subprocess.TimeoutExpired):
        second.communicate(timeout=3)
    first.kill()
    first.communicate()
    assert second.communicate()[0] == "at it\n"
    (kept,) = tmp_path.glob("thing-*")
    assert (kept / "x").read_text() == "whole"


def test_a_population_is_rendered_once_and_is_the_same_afterwards(tmp_path, monkeypatch):
    wanted = {"subjects": 6, "images_per_subject": 2, "size": 32, "jobs": 1}
    first = fl.synthesize(**wanted, kept=tmp_path)
    from facelab.synthetic import produce

    monkeypatch.setattr(produce, "make", None)
    again = fl.synthesize(**wanted, kept=tmp_path)
    assert (again.crops == first.crops).all()
    assert again.table.equals(first.table)
    monkeypatch.undo()
    other = fl.synthesize(**wanted, seed=1, kept=tmp_path)
    assert (other.crops != first.crops).any()
    assert len(list(tmp_path.glob("faces-*"))) == 2
    plain = fl.synthesize(**wanted)
    assert (plain.crops == first.crops).all()
    assert content(plain) == content(first)
    with pytest.raises(fl.BadInput, match="either `out`"):
        fl.synthesize(**wanted, out=tmp_path / "x", kept=tmp_path)


@pytest.mark.parametrize("damage", ["a file is missing", "a file is cut", "everything is missing"])
def test_what_is_kept_and_was_damaged_is_made_anew_and_named(tmp_path, damage):
    wanted = {"subjects": 6, "images_per_subject": 2, "size": 32, "jobs": 1}
    first = fl.synthesize(**wanted, kept=tmp_path)
    (kept,) = tmp_path.glob("faces-*")
    for file in kept.iterdir():
        if damage == "a file is cut" and file.name == "crops.npy":
            data = file.read_bytes()
            file.unlink()  # the first one is a map of it
            file.write_bytes(data[:500])
        elif damage == "everything is missing" or file.name == "card.json":
            file.unlink()
    with pytest.warns(UserWarning, match=f"{kept.name} is damaged: it is made anew"):
        again = fl.synthesize(**wanted, kept=tmp_path)
    assert content(again) == content(first)
    assert [path.name for path in tmp_path.glob("[!.]*")] == [kept.name]


def test_the_code_behind_a_result_is_all_that_it_imports(tmp_path):
    """A change of the door to all faces, or of a picture that the renderer reads, is other code."""
    home = Path(fl.__file__).parent
    reached = {
        start: {str(path.relative_to(home)) for path in keeping._reached(home, (start,))}
        for start in ("synthetic", "embedders.trained", "training.arms", "photos")
    }
    for start, files in reached.items():
        assert {"files.py", "errors.py", "faces/faceset.py"} <= files, start
        assert not [file for file in files if file.startswith(("figures", "pages", "cli"))], start
    assert {"comparisons/kernels.py", "rates/counts.py", "embedders/network.py"} <= reached[
        "training.arms"
    ]
    assert {file for file in reached["synthetic"] if not file.endswith(".py")}


def test_code_and_versions_tell_results_apart():
    assert len({keeping.code_of(), keeping.code_of("synthetic"), keeping.code_of("photos")}) == 3
    made = keeping.made_with("numpy", "no-such-package")
    assert made["numpy"] == np.__version__ and made["no-such-package"] is None
    assert {"python", "machine"} <= set(made)
