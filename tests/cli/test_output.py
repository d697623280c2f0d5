"""What is printed can be read on any console, and cannot lose a result."""

import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab import sums
from facelab.cli import app
from facelab.progress import Told, tell

NAMES = ["Łukasz", "王秀英", "Zoë", "أحمد", "🙂"]


class Refusing(io.StringIO):
    """A stream that takes nothing, for a reason."""

    def __init__(self, reason: OSError) -> None:
        super().__init__()
        self.reason = reason
        self.nowhere = os.open(os.devnull, os.O_WRONLY)

    def write(self, _):
        raise self.reason

    def fileno(self):
        return self.nowhere


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder of runs with names of people in it."""
    place = tmp_path_factory.mktemp("runs")
    for number in range(200):
        name = NAMES[number % len(NAMES)]
        folder = place / "by-name" / f"{number:03d}"
        folder.mkdir(parents=True)
        record = {"name": name, "run_id": folder.name, "status": "failed", "error": f"no {name}"}
        sums.write_card(folder, "run.json", record)
    return place


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 3)
    table = pd.DataFrame({"subject": subjects, "gender": np.array(NAMES[:2])[subjects % 2]})
    table["a/b"] = table["a_b"] = np.array(["x", "y"])[subjects % 2]
    vectors = rng.normal(size=(40, 16))[subjects] + 0.3 * rng.normal(size=(120, 16))
    return fl.Embeddings.from_arrays(vectors, table).save(tmp_path_factory.mktemp("people") / "x")


def shell(command: str, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            "bash",
            "-o",
            "pipefail",
            "-c",
            command.replace("facelab", f"{sys.executable} -m facelab"),
        ],
        capture_output=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("encoding", "seen"),
    [
        ("ascii", rb"\u0141ukasz"), ("cp1252", rb"\u0141ukasz"), ("latin-1", b"Zo\xeb"),
        ("utf-8", "王秀英".encode()), ("ascii:strict", rb"\u738b"),
    ],
)  # fmt: skip
def test_names_are_printed_on_consoles_of_any_encoding(kept, encoding, seen):
    done = shell(f"facelab runs --out {kept}", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert seen in done.stdout
    assert done.stdout.count(b"\n") == 201


def test_names_are_printed_where_there_is_no_locale(kept):
    bare = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = shell(f"facelab runs --out {kept}", **bare)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u0141ukasz" in done.stdout


def test_a_reader_that_has_read_enough_is_no_failure(kept):
    done = shell(f"facelab runs --out {kept} | head -1; facelab runs --out {kept} | true")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"run_id" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_full_disk_behind_standard_output_is_one_sentence(kept):
    done = shell(f"facelab runs --out {kept} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"cannot be printed (No space left on device)" in done.stderr


def test_a_command_without_any_output_works(kept):
    done = shell(f"facelab runs --out {kept} >&- 2>&-")
    assert done.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ["audit", "{people}", "--by", "gender", "--out", "{out}"],
        [
            "identify",
            "{people}",
            "{people}",
            "--by",
            "gender",
            "--threshold",
            "0.5",
            "--out",
            "{out}",
        ],
    ],
)
def test_results_are_kept_before_anything_is_printed(people, tmp_path, monkeypatch, command):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "stdout", Refusing(BrokenPipeError()))
    words = [word.format(people=people, out=out) for word in command]
    assert app.command(words) == 0
    assert [path.name for path in out.iterdir()] == ["gender"]


def test_a_comparison_of_audits_is_kept_before_it_is_printed(people, tmp_path, monkeypatch):
    embeddings = fl.Embeddings.load(people)
    for name in ("a", "b"):
        fl.audit(embeddings, ["gender"], fmr=0.01).save(tmp_path / name)

    monkeypatch.setattr(sys, "stdout", Refusing(OSError(28, "No space left on device")))
    words = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c.csv")]
    assert app.command(words) == 1
    assert "quantity" in (tmp_path / "c.csv").read_text()


def test_two_columns_of_like_names_have_a_place_each(people, tmp_path):
    words = ["--by", "a/b", "--by", "a_b", "--by", "gender", "--out", str(tmp_path / "out")]
    assert app.command(["audit", str(people), *words]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_b", "a_b-2", "gender"]


# ---- what is told beside the work


@pytest.mark.parametrize("stream", [Refusing(OSError(28, "full")), None])
def test_what_nobody_can_be_told_stops_no_work(stream):
    told = Told(stream)
    print("Łukasz", file=told, flush=True)


def test_a_note_fits_its_console():
    console = io.TextIOWrapper(io.BytesIO(), "ascii")
    tell("Łukasz: 王", console)
    assert console.buffer.getvalue() == b"\\u0141ukasz: \\u738b\n"


def test_a_record_of_a_run_is_kept_on_any_console(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    record = fl.Record(tmp_path)
    with record.stage("Łukasz"):
        pass
    assert record.metrics({})["seconds"]["Łukasz"] >= 0
