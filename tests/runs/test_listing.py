"""The runs in a folder: one bad record does not stop the rest, and is named."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import facelab as fl
from facelab import sums
from facelab.cli.app import command
from facelab.runs import experiments

GOOD = {"name": "x", "run_id": "20260101T000000Z-0000", "status": "finished", "seconds": 1.5}


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "runs" / "x" / GOOD["run_id"]
    folder.mkdir(parents=True)
    sums.write_card(folder, "run.json", {**GOOD, "parameters": {"n": 1}})
    return folder.parent


def bad(home, text, name="20260102T000000Z-bad0"):
    (home / name).mkdir()
    data = text if isinstance(text, bytes) else text.encode()
    (home / name / "run.json").write_bytes(data)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "[]", "3", '"finished"', "{}", '{"name": "x"}', b"\xff\xfe\x00"),
        *('{"status": 3}', '{"status": null}', '{"status": "finished", "parameters": []}'),
        *('{"status": "finished", "seconds": "long"}', '{"status": "finished", "run_id": 5}'),
        *('{"status": "finished", "folders": [1]}', "[" * 100_000, b"\0" * 40),
    ],
    ids=lambda text: str(text)[:30],
)  # fmt: skip
def test_a_bad_record_is_named_and_the_others_are_listed(home, text, capsys):
    bad(home, text)
    table = fl.runs(home.parent)
    assert table["status"].tolist() == ["finished", "unreadable"]
    assert table["name"].tolist() == ["x", "x"]
    assert "20260102T000000Z-bad0" in table["folder"][1]
    assert "run.json" in table["error"][1]
    assert fl.runs(home.parent, status="finished")["run_id"].tolist() == [GOOD["run_id"]]
    assert len(fl.runs(home.parent, parameters={"n": 1})) == 1
    assert command(["runs", "--out", str(home.parent)]) == 0
    told = capsys.readouterr().out
    assert GOOD["run_id"] in told and "unreadable" in told and "20260102T000000Z-bad0" in told


def test_an_older_record_lists_what_it_noted(home):
    bad(home, '{"status": "finished"}', "20250101T000000Z-old0")
    fl.seal(home / "20250101T000000Z-old0")
    table = fl.runs(home.parent)
    assert table["run_id"].tolist() == ["20250101T000000Z-old0", GOOD["run_id"]]
    assert table["name"].tolist() == ["x", "x"]
    assert table["parameters"].tolist() == [{}, {"n": 1}]
    assert len(fl.runs(home.parent, parameters={"n": 1})) == 1


def test_what_is_no_run_is_passed_over(home):
    (home / "notes").mkdir()
    (home / "notes.txt").write_text("x")
    (home.parent / "README.md").write_text("x")
    (home.parent / ".locks" / "x").mkdir(parents=True)
    (home / "latest").symlink_to("20990101T000000Z-gone")
    (home / "copy").symlink_to(home / GOOD["run_id"])
    (home / "loop").symlink_to(home)
    (home / "a folder").mkdir()
    (home / "a folder" / "run.json").mkdir()
    table = fl.runs(home.parent)
    assert table["status"].tolist()[0] == "finished"
    assert table["run_id"].tolist() == [GOOD["run_id"], "a folder"]


def test_a_copy_of_a_run_is_listed_once(home):
    """As `latest` is one where links became folders, on a stick or in an archive."""
    shutil.copytree(home / GOOD["run_id"], home / "latest")
    assert fl.runs(home.parent)["folder"].tolist() == [str(home / GOOD["run_id"])]
    shutil.copytree(home / GOOD["run_id"], home.parent / "y" / "latest")
    assert len(fl.runs(home.parent)) == 2


def test_a_name_is_no_pattern(home):
    shutil.copytree(home, home.parent / "y")
    assert fl.runs(home.parent, name="x")["run_id"].tolist() == [GOOD["run_id"]]
    assert fl.runs(home.parent, name="[xy]").empty
    assert fl.runs(home.parent, name="*").empty


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root becomes another")
def test_a_colleagues_private_run_is_named_and_the_others_are_listed(home, request):
    place = Path(tempfile.mkdtemp(prefix="facelab-runs-"))  # pytest's own is root's alone
    request.addfinalizer(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    bad(home, "{}", "20260103T000000Z-priv")
    shutil.copytree(home.parent, place / "runs")
    shutil.copytree(home, place / "runs" / "closed")
    (place / "runs" / "closed").chmod(0o700)
    (place / "runs" / "x" / "20260103T000000Z-priv").chmod(0o700)
    where = str(place / "runs")
    code = (
        f"import os, facelab as fl; fl.runs({where!r})  # all is imported: Python may be root's\n"
        f"os.setgid(12345); os.setuid(12345); print(*fl.runs({where!r})['status'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["finished", "unreadable", "unreadable"]


def test_a_run_lives_as_long_as_its_process_and_a_number_is_no_proof(home):
    """Numbers of processes are given again, and mean nothing in another container."""
    script = (
        "import json, os, sys, time; from pathlib import Path; from facelab import places, sums\n"
        f"aside = Path({str(home / '.r.partial')!r}); aside.mkdir(); lock = places.hold(aside)\n"
        "record = {'status': 'running', 'run_id': 'r', 'pid': 1, 'host': 'elsewhere'}\n"
        "sums.write_card(aside, 'run.json', record); print('there', flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "there\n"
    assert fl.runs(home.parent)["status"].tolist() == ["finished", "running"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert fl.runs(home.parent)["status"].tolist() == ["finished", "abandoned"]
    record = {"status": "running", "run_id": "s", "pid": os.getpid(), "host": "elsewhere"}
    (home / ".s.partial").mkdir()
    sums.write_card(home / ".s.partial", "run.json", record)
    assert fl.runs(home.parent)["status"].tolist() == ["finished", "abandoned", "abandoned"]


@pytest.mark.parametrize("kind", ["a folder", "no links on this disk"])
def test_where_latest_cannot_point_at_a_run_the_run_is_kept_all_the_same(home, kind, monkeypatch):
    if kind == "a folder":
        (home / "latest").mkdir()
        (home / "latest" / "mine").write_text("keep")
    else:
        monkeypatch.setattr(
            type(home), "symlink_to", lambda *_, **__: (_ for _ in ()).throw(OSError(1, "no links"))
        )
    with pytest.warns(UserWarning, match="the run is kept in .*latest does not point at it"):
        experiments._point_latest(home, GOOD["run_id"])
    assert not list(home.glob(".latest.*"))
