"""Broken records beside a real run: each is listed as what it is, and none stops the rest."""

import json
import os

import pytest

import facelab as fl
from facelab import sums
from facelab.cli.app import command

pytestmark = pytest.mark.security(area="processes")
GOOD = {"name": "real", "run_id": "20260101T000000Z-0000", "status": "finished", "seconds": 1.5}


def text(words):
    return lambda file: file.write_bytes(words if isinstance(words, bytes) else words.encode())


def card(**more):
    """A record with its sums, of which something else is wrong."""

    def write(file):
        sums.write_card(file.parent, file.name, {**GOOD, "run_id": file.parent.name, **more})

    return write


def as_link(to):
    return lambda file: file.symlink_to(to)


BROKEN = {
    "nothing": text(""),
    "bytes": text(bytes(range(128, 256)) * 20),
    "zeros": text(b"\0" * 5000),
    "a list": text("[1, 2]"),
    "a number": text("3"),
    "null": text("null"),
    "half": text('{"status": "finished", "na'),
    "deep brackets": text("[" * 100_000),
    "deep objects": text('{"a":' * 5000),
    "NaN": text('{"status": "finished", "seconds": NaN}'),
    "huge number": text('{"status": "finished", "seconds": 1e999}'),
    "many digits": text('{"status": "finished", "seconds": ' + "9" * 9999 + "}"),
    "a name twice": text('{"status": "finished", "status": "failed"}'),
    "without sums": text(json.dumps(GOOD)),
    "wrong sum": text(json.dumps({**GOOD, "sha256": {"run.json": "0" * 64}})),
    "sums a list": text(json.dumps({**GOOD, "sha256": [1]})),
    "a status that is a number": card(status=3),
    "parameters a list": card(parameters=[1]),
    "seconds a word": card(seconds="long"),
    "folders a list": card(folders=["x"]),
    "a folder": lambda file: file.mkdir(),
    "a loop": as_link("run.json"),
    "a dangling link": as_link("nowhere"),
    "a link through a file": as_link("../real.txt/run.json"),
    "a link to a device": as_link("/dev/zero"),
    "a link to the folder": as_link("."),
    "a link of too long a name": as_link("x" * 255 + "/" + "y" * 255),
    "a pipe": lambda file: os.mkfifo(file),
}
NAMES = [
    "ß☃",
    "a b",
    "-x",
    "$HOME",
    "x\ny",
    "\x1b[2J",
    "%s",
    "{}",
    "'",
    "x" * 200,
    "latest.partial",
]


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "runs" / "real" / GOOD["run_id"]
    folder.mkdir(parents=True)
    sums.write_card(folder, "run.json", {**GOOD, "parameters": {"n": 1}})
    (folder.parent / "real.txt").touch()
    return folder.parent


def lists(home, capsys, broken):
    """Every door to the list; `broken` is how many records beside the real one are."""
    table = fl.runs(home.parent)
    told = table.set_index("run_id")["status"].to_dict()
    assert told.pop(GOOD["run_id"]) == "finished"
    assert list(told.values()) == ["unreadable"] * broken
    assert all(table.loc[table["status"] == "unreadable", "error"].str.contains("run.json"))
    assert len(fl.runs(home.parent, status="unreadable")) == broken
    assert fl.runs(home.parent, status="finished")["run_id"].tolist() == [GOOD["run_id"]]
    assert len(fl.runs(home.parent, parameters={"n": 1})) == 1
    assert command(["runs", "--out", str(home.parent)]) == 0
    out, err = capsys.readouterr()
    assert GOOD["run_id"] in out and "\x1b" not in out and not err
    assert "Errno" not in "".join(table["error"].fillna(""))


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_record_beside_a_real_run_is_listed_and_stops_nothing(home, capsys, kind, tried):
    (home / "20260102T000000Z-bad0").mkdir()
    BROKEN[kind](home / "20260102T000000Z-bad0" / "run.json")
    lists(home, capsys, 1)
    tried()


def test_all_of_them_at_once_and_under_strange_names(home, capsys, tried):
    for number, broken in enumerate(BROKEN.values()):
        folder = home / (NAMES[number] if number < len(NAMES) else f"bad{number}")
        folder.mkdir()
        broken(folder / "run.json")
    (home / "notes").mkdir()  # no run, and so not in the list
    (home / "gone").symlink_to("nowhere")
    (home.parent / "file").touch()
    (home.parent / "loop").symlink_to("loop")
    lists(home, capsys, len(BROKEN))
    tried(len(BROKEN) + 4)
