"""Several at work at once: threads, readers, forks, containers; nobody gets a mixture or a half."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab import files, moving, owners, places
from facelab.artefacts import EMBEDDINGS, PAGE
from facelab.errors import BadInput, FacelabError
from facelab.keeping import locked, once, resume_folder

pytestmark = pytest.mark.security(area="files")
LOOKING = 3  # seconds of reading what is replaced
PATIENCE = 60  # seconds for what takes a moment on a machine that is not busy


def faces(number, rows=64):
    table = pd.DataFrame(
        {"subject": [f"{number}" for _ in range(rows)], "image": [f"{i}" for i in range(rows)]}
    )
    crops = np.full((rows, 16, 16, 3), number, np.uint8)
    return fl.FaceSet.from_arrays(table, crops, name=str(number), synthetic=True)


def version(found):
    """The one version that a set's card, table and crops are of."""
    told = {found.card["name"], *found.table["subject"]} | {
        str(one) for one in np.unique(found.crops)
    }
    assert len(told) == 1, f"a set of several versions: {told}"
    return told.pop()


def all_at_once(work, number=16):
    """`work(0)`, `work(1)` ... in threads that start together; what each said or refused."""
    start, said = threading.Barrier(number), [None] * number

    def one(place):
        start.wait()
        try:
            said[place] = work(place)
        except FacelabError as refused:
            said[place] = refused

    threads = [threading.Thread(target=one, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def writers(people):
    def resumed(out, place, replace):
        with resume_folder(out, {"seed": 0}, replace, EMBEDDINGS) as (new, done):
            (done / "0").write_text("a")
            (new / "card.json").write_text('{"sha256": {}}')

    return {
        "write_folder": lambda out, place, replace: faces(place).save(out, replace),
        "embeddings": lambda out, place, replace: people.save(out, replace),
        "resume_folder": resumed,
    }


@pytest.fixture(scope="module")
def people():
    return fl.crowd(20, images=2, dim=8)[0]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("how", ["write_folder", "embeddings", "resume_folder"])
def test_threads_that_write_one_output(tmp_path, people, tried, how, replace):
    write = writers(people)[how]
    said = all_at_once(lambda place: write(tmp_path / "it", place, replace))
    tried(16)
    done = [word for word in said if not isinstance(word, Exception)]
    assert done, "at least one did it"
    if how != "resume_folder":
        assert replace is (len(done) == 16)
    for word in said:
        assert not isinstance(word, Exception) or isinstance(word, BadInput)
    if how == "write_folder":
        version(fl.load(tmp_path / "it", verify=True))
    left = sorted(path.name for path in tmp_path.iterdir())
    kept = [word for word in said if "is kept in" in str(word)]
    assert len(left) == 1 + len(kept), "what nobody names is not there"
    for word in kept:
        assert os.path.exists(str(word).rpartition("is kept in ")[2])


def test_threads_that_write_outputs_of_their_own(tmp_path, tried):
    said = all_at_once(lambda place: faces(place).save(tmp_path / f"it.{place}"))
    tried(16)
    assert said == [tmp_path / f"it.{place}" for place in range(16)]
    for place in range(16):
        assert version(fl.load(tmp_path / f"it.{place}", verify=True)) == str(place)
    assert len(list(tmp_path.iterdir())) == 16


def test_threads_that_write_one_file_and_want_one_thing(tmp_path, tried):
    def make(out):
        with files.write_folder(out) as new:
            (new / "x").write_text("whole")

    said = all_at_once(
        lambda place: (
            files.write_text(tmp_path / "a.txt", f"{place}" * 5000),
            once(tmp_path / "kept", "thing", {}, make, lambda out: (out / "x").read_text()),
        )
    )
    tried(32)
    assert said == [(None, "whole")] * 16
    assert len(set((tmp_path / "a.txt").read_text().replace("1", ""))) <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "kept"]


@pytest.mark.parametrize("replace", [False, True])
def test_threads_that_write_a_page(tmp_path, tried, replace):
    page = '<meta name="generator" content="facelab"> '
    out = tmp_path / "p.html"
    said = all_at_once(lambda place: files.write_asked(out, page + str(place), replace, PAGE))
    tried(16)
    done = [place for place, word in enumerate(said) if word is None]
    assert len(done) == (16 if replace else 1)
    assert out.read_text() in {page + str(place) for place in done}


# ---- what appears meanwhile


@pytest.mark.parametrize("kind", ["folder", "file", "link", "empty"])
@pytest.mark.parametrize("writer", ["write_folder", "resume_folder", "page"])
def test_what_appears_while_work_is_done_is_left_and_the_work_is_kept(tmp_path, writer, kind):
    out = tmp_path / "it"

    def appear():
        if kind == "folder":
            out.mkdir()
            (out / "notes.txt").write_text("mine")
        elif kind == "file":
            out.write_text("mine")
        elif kind == "link":
            out.symlink_to(tmp_path / "nowhere")
        else:
            out.mkdir()

    def write(replace):
        if writer == "write_folder":
            with files.write_folder(out, replace, EMBEDDINGS) as new:
                (new / "card.json").write_text("work")
                appear()
        elif writer == "resume_folder":
            with resume_folder(out, {}, replace, EMBEDDINGS) as (new, _):
                (new / "card.json").write_text("work")
                appear()
        else:
            check = files.check_file
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(files, "check_file", lambda *given: (check(*given), appear()))
                files.write_asked(out, "work", replace, PAGE)

    for replace in (False, True):
        if kind == "empty" and writer != "page":  # there is nothing in it to lose
            write(replace)
            assert (out / "card.json").read_text() == "work"
            shutil.rmtree(out)
            continue
        with pytest.raises(BadInput, match=r"left as it is; what was made|not replaced: ") as error:
            write(replace)
        kept = places.Path(str(error.value).rpartition("is kept in ")[2])
        assert "work" in (kept if kept.is_file() else kept / "card.json").read_text()
        if kind == "folder":
            assert (out / "notes.txt").read_text() == "mine"
        elif kind == "file":
            assert out.read_text() == "mine"
        elif kind == "link":
            assert out.is_symlink()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "it-2"]
        for path in (out, kept):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.parametrize("exchanges", [True, False])
def test_what_takes_the_place_of_what_is_replaced_at_the_last_moment_is_given_back(
    tmp_path, monkeypatch, exchanges
):
    """The look and the exchange are two moments: what was taken is looked at once more."""
    out = tmp_path / "it"
    out.mkdir()
    (out / "card.json").write_text('{"sha256": "old"}')
    note = places._note

    def slip(path, *given, **more):
        note(path, *given, **more)
        if path.name == places.SWAP:
            (out / "diary.txt").write_text("mine")

    monkeypatch.setattr(places, "_note", slip)
    if not exchanges:
        monkeypatch.setattr(moving, "_renameat2", lambda: None)
    with (
        pytest.raises(BadInput, match=r"diary\.txt, which is no part of embeddings; what was made"),
        files.write_folder(out, True, EMBEDDINGS) as new,
    ):
        (new / "card.json").write_text('{"sha256": "new"}')
    assert (out / "diary.txt").read_text() == "mine"
    assert "old" in (out / "card.json").read_text()
    assert "new" in (tmp_path / "it-2" / "card.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "it-2"]


# ---- readers


REPLACE = """
import sys, numpy as np, pandas as pd, facelab as fl
from facelab import moving
out, exchanges = sys.argv[1:]
if exchanges == "False":
    moving._renameat2 = lambda: None
number = 0
while True:
    number = (number + 1) % 200
    table = pd.DataFrame({"subject": [str(number)] * 64, "image": [str(i) for i in range(64)]})
    crops = np.full((64, 16, 16, 3), number, np.uint8)
    fl.FaceSet.from_arrays(table, crops, name=str(number), synthetic=True).save(out, replace=True)
    print(number, flush=True)
"""


@contextlib.contextmanager
def replacing(out, exchanges=True):
    """A process that replaces a set again and again while the block runs."""
    command = [sys.executable, "-c", REPLACE, str(out), str(exchanges)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(3):
            assert process.stdout.readline()
        # Or it would wait for somebody to read what it says.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process
        assert process.poll() is None, "nothing was replaced any more"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two moves"])
def test_a_reader_sees_one_version_while_a_set_is_replaced(tmp_path, tried, exchanges):
    seen = set()
    with replacing(tmp_path / "it", exchanges):
        end = time.monotonic() + LOOKING
        while time.monotonic() < end or len(seen) < 3:
            found = fl.load(tmp_path / "it")
            tried(1)
            seen.add(version(found))
    assert len(seen) >= 3


def test_crops_of_an_old_version_stay_what_they_were(tmp_path):
    faces(7).save(tmp_path / "it")
    old = fl.load(tmp_path / "it")
    for number in range(8, 12):
        faces(number).save(tmp_path / "it", replace=True)
    assert version(old) == "7"
    assert version(fl.load(tmp_path / "it")) == "11"


@pytest.mark.parametrize("named", [True, False])
def test_worker_processes_read_the_version_that_was_opened(tmp_path, monkeypatch, named):
    faces(40, rows=600).save(tmp_path / "it")
    old = fl.load(tmp_path / "it")
    faces(200, rows=600).save(tmp_path / "it", replace=True)
    if not named:
        exists = os.path.exists
        monkeypatch.setattr(os.path, "exists", lambda p: "/fd/" not in str(p) and exists(p))
    assert fl.measure(old, jobs=2).table["brightness"].unique().tolist() == [40]


def test_worker_processes_compare_the_embeddings_that_were_opened(tmp_path):
    one, two = (fl.crowd(700, images=4, dim=32, seed=seed)[0] for seed in (1, 2))
    one.save(tmp_path / "it")
    old = fl.Embeddings.load(tmp_path / "it")
    two.save(tmp_path / "it", replace=True)
    rates = [
        fl.compare_all(people, by="group", jobs=jobs).error_rates(0.5)
        for people, jobs in ((one, 1), (old, 2))
    ]
    pd.testing.assert_frame_equal(*rates)
    found = [
        fl.coinciding_subjects(people, 0.7, jobs=jobs) for people, jobs in ((one, 1), (old, 2))
    ]
    pd.testing.assert_frame_equal(*found)


def test_an_output_between_two_names_is_waited_for(tmp_path, monkeypatch):
    """Where two folders cannot change places at once, a reader may come between the two moves."""
    out = tmp_path / "it"
    faces(1).save(out)
    monkeypatch.setattr(moving, "_renameat2", lambda: None)
    put, came = moving.put_new, threading.Event()

    def slowly(source, target):
        if source.name == "ready":
            came.set()
            time.sleep(0.5)
        put(source, target)

    monkeypatch.setattr(moving, "put_new", slowly)
    writer = threading.Thread(target=lambda: faces(2).save(out, replace=True))
    writer.start()
    came.wait()
    assert version(fl.load(out)) == "2"
    writer.join()


# ---- locks and whose they are


HOLD = """
import os, subprocess, sys, time
from facelab.keeping import locked
with locked(sys.argv[1]):
    if sys.argv[2] == "fork":
        if not os.fork():
            print("child", os.getpid(), flush=True)
            time.sleep(600)
    elif sys.argv[2] == "exec":
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
        print("child", child.pid, flush=True)
    elif sys.argv[2] == "thread fork":
        import multiprocessing
        def stay():  # the child speaks, so that it has run
            print("child", os.getpid(), flush=True)
            time.sleep(600)
        multiprocessing.get_context("fork").Process(target=stay).start()
    time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
@pytest.mark.parametrize("how", ["fork", "exec", "thread fork"])
def test_a_lock_ends_with_its_owner_and_not_with_a_child(tmp_path, how):
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "it"), how], stdout=subprocess.PIPE, text=True
    )
    child = int(owner.stdout.readline().split()[1])
    try:
        assert owners.held(tmp_path / "it")
        said = pytest.raises(BadInput, match=rf"process {owner.pid}\) is writing")
        with said, locked(tmp_path / "it"):
            pass
        owner.kill()
        owner.wait()
        os.kill(child, 0)  # it lives
        assert not owners.held(tmp_path / "it")
        with locked(tmp_path / "it"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
def test_a_forked_child_that_leaves_the_block_ends_nothing_of_its_parents(tmp_path):
    def left(block):
        """Fork inside the block; the child goes on to its end and beyond, then ends."""
        child = None
        try:
            with block:
                child = os.fork()
            if child == 0:
                os._exit(3)
        except BadInput as error:
            if child == 0:
                os._exit(4 if "forked from" in str(error) else 5)
            raise
        except BaseException:
            if child == 0:
                os._exit(6)
            raise
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @contextlib.contextmanager
    def waits(block):
        """The parent ends its block when the child has ended."""
        with block as given:
            me = os.getpid()
            yield given
            if os.getpid() == me:
                time.sleep(0.3)

    assert left(waits(files.write_folder(tmp_path / "a"))) == 4
    assert left(waits(resume_folder(tmp_path / "b", {}))) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def with_token(folder, **changed):
    """Leave a lock as an owner leaves it that ended without a word."""
    folder.mkdir(exist_ok=True)
    (folder / "lock").write_text(json.dumps(owners.token() | changed))


def test_a_lock_of_another_machine_is_taken_only_where_locks_reach(tmp_path, monkeypatch):
    with_token(tmp_path / "it", boot="another", host="far", pid=12)
    monkeypatch.setattr(owners, "_reaches_all", lambda folder: False)
    assert owners.held(tmp_path / "it")
    for wait in (False, True):
        with (
            pytest.raises(BadInput, match=r"\(process 12 on far\).*nobody here can tell.*delete"),
            locked(tmp_path / "it", wait=wait),
        ):
            pass
    (tmp_path / "it" / "lock").unlink()  # as the sentence says
    with locked(tmp_path / "it"):
        pass
    monkeypatch.undo()
    with_token(tmp_path / "it", boot="another")
    monkeypatch.setattr(owners, "mounts", lambda: [("/", "ext4", "rw")])
    with locked(tmp_path / "it"):  # of this machine, before it was started anew
        pass


@pytest.mark.parametrize(
    ("kind", "options", "reaches"),
    [
        ("ext4", "rw", True),
        ("overlay", "rw,lowerdir=/a", True),
        ("tmpfs", "rw", True),
        ("nfs4", "rw,vers=4.2,local_lock=none", True),
        ("nfs", "rw,nolock", False),
        ("nfs", "rw,local_lock=all", False),
        ("nfs", "rw,local_lock=flock", False),
        ("lustre", "rw,flock", True),
        ("lustre", "rw,localflock", False),
        ("9p", "rw", False),
        ("fuse.sshfs", "rw", False),
        ("virtiofs", "rw", False),
        ("cifs", "rw", False),
    ],
)
def test_where_a_lock_holds_for_every_machine(tmp_path, monkeypatch, kind, options, reaches):
    place = os.path.realpath(tmp_path)
    told = [("/", "ext4" if not reaches else "9p", "rw"), (place, kind, options)]
    monkeypatch.setattr(owners, "mounts", lambda: told)
    assert owners._reaches_all(tmp_path / "it") is reaches


def test_unfinished_work_of_who_may_live_elsewhere_is_neither_taken_nor_removed(
    tmp_path, monkeypatch
):
    out, hidden = tmp_path / "it", tmp_path / ".it.partial"
    with pytest.raises(RuntimeError), resume_folder(out, {"seed": 1}) as (_, done):
        (done / "0").write_text("hours")
        raise RuntimeError
    with_token(hidden, boot="another", host="far")
    left = tmp_path / ".it.12345678.partial"
    left.mkdir()
    places.sign(left, out)
    (left / "new").write_text("of another host")
    with_token(left, boot="another", host="far")
    monkeypatch.setattr(owners, "_reaches_all", lambda folder: False)
    for replace in (False, True):
        with (
            pytest.raises(BadInput, match="on far"),
            resume_folder(out, {"seed": 2}, replace, EMBEDDINGS),
        ):
            pass
    assert (hidden / "done" / "0").read_text() == "hours"
    assert (left / "new").read_text() == "of another host"


def test_where_the_system_has_no_locks_the_token_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(owners, "_flock", lambda file: False)
    it = tmp_path / "it"
    said = pytest.raises(BadInput, match=rf"process {os.getpid()}\) is writing")
    with locked(it), said, locked(it):
        pass
    with locked(it):  # let go of in good order
        pass
    alone = it / "lock.alone"
    alone.write_text(json.dumps(owners.token() | {"pid": 2**22 + 1}))
    with locked(it):  # its process is no more
        assert json.loads(alone.read_text()) == owners.token()
    alone.write_text(json.dumps(owners.token() | {"start": 1}))
    with locked(it):  # its number was given to another process since
        pass
    for changed in ({"boot": "another"}, {"space": 1}):
        alone.write_text(json.dumps(owners.token() | changed))
        with pytest.raises(BadInput, match="nobody here can tell"), locked(it):
            pass
    inside = []

    def work(place):
        with locked(tmp_path / "many", wait=True):
            inside.append(place)
            assert len(inside) == 1
            time.sleep(0.01)
            inside.remove(place)

    assert all_at_once(work, 6) == [None] * 6


IN_ANOTHER = """
import sys, time
from facelab.keeping import resume_folder
with resume_folder(sys.argv[1], {"seed": 1}) as (new, done):
    (done / "0").write_text("a")
    print("there", flush=True)
    time.sleep(600)
"""


def test_unfinished_work_of_another_pid_namespace_is_not_taken_by_its_number(tmp_path):
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("no leave to make a pid namespace here")
    out = tmp_path / "it"
    container = subprocess.Popen(
        [*unshare, sys.executable, "-c", IN_ANOTHER, str(out)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert container.stdout.readline() == "there\n"
        lock = tmp_path / ".it.partial" / "lock"
        told = json.loads(lock.read_text())
        assert told["pid"] < 20 and told["space"] != owners.token()["space"]
        assert owners.held(lock.parent)
        for replace in (False, True):
            said = pytest.raises(BadInput, match=r"process \d+ on .*is writing")
            with said, resume_folder(out, {"seed": 1}, replace):
                pass
        with files.write_folder(tmp_path / "it", False):
            assert (tmp_path / ".it.partial" / "done" / "0").exists()
        shutil.rmtree(out)
    finally:
        container.kill()
        container.wait()
    end = time.monotonic() + PATIENCE
    while owners.held(lock.parent) and time.monotonic() < end:
        time.sleep(0.05)
    with resume_folder(out, {"seed": 1}) as (_, done):
        assert (done / "0").exists(), "and is gone on with when its owner has ended"
