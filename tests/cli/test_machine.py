"""The command by itself: its helps, its completion, its list of runs, its look at the machine."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numba
import pytest
from rich.cells import cell_len

import facelab as fl
from facelab import caches, sums
from facelab.cli import app as cli
from facelab.cli import listed, machine

COMMANDS = sorted(
    one.name or one.callback.__name__
    for part in cli.app.registered_groups
    for one in part.typer_instance.registered_commands
)


@pytest.fixture
def say(capsys, monkeypatch):
    """Run a command line on a screen of 80 columns: its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        capsys.readouterr()
        code = cli.command([str(word) for word in words])
        return code, capsys.readouterr().out

    return run


# ---- helps


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_help_is_asked_for_by_h_and_is_cut_nowhere(say, command):
    words = [command] if command else []
    code, told = say(*words, "-h")
    assert (code, told) == (0, say(*words, "--help")[1])
    assert max(map(len, told.splitlines())) <= 80
    assert not re.search(r"\w\.\.\.$", told, re.MULTILINE)


def test_the_list_of_commands_has_the_first_sentence_of_each_whole(say):
    listing = " ".join(say("-h")[1].split())
    for part in cli.app.registered_groups:
        for one in part.typer_instance.registered_commands:
            first = " ".join(one.callback.__doc__.split("\n\n")[0].split())
            assert first in listing


# ---- completion


def completed(words: str, place: Path) -> list[str]:
    """What bash offers after these words, by the script that we print for it."""
    command = place / "facelab"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m facelab "$@"\n')
    command.chmod(0o755)
    script = """
    source <(_FACELAB_COMPLETE=source_bash facelab)
    COMP_WORDS=($WORDS "$LAST"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    $(complete -p facelab | sed -E 's/.*-F ([^ ]+).*/\\1/') facelab
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    *before, last = words.split(" ")
    setting = {"PATH": f"{place}:{os.environ['PATH']}", "WORDS": " ".join(before), "LAST": last}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env={**os.environ, **setting}
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_layouts(tmp_path):
    assert completed("facelab sy", tmp_path) == ["synthesize"]
    assert completed("facelab prepare ins", tmp_path) == ["insightface_rec"]
    assert completed("facelab audit --cal", tmp_path) == ["--calibration"]


# ---- runs


def test_runs_fit_a_screen_of_80_columns_and_lose_nothing(say, tmp_path):
    error = "cell 7 of 03_balanced_retraining.ipynb failed: BadInput: " + "too few subjects " * 9
    for number, why in enumerate(["", error, "no 王秀英"]):
        folder = tmp_path / "balanced-retraining" / f"20260101T00000{number}Z-abcd"
        folder.mkdir(parents=True)
        record = {"name": "balanced-retraining", "run_id": folder.name, "seconds": 612.34}
        status = "failed" if why else "finished"
        sums.write_card(folder, "run.json", {**record, "status": status, "error": why or None})
    code, told = say("runs", "--out", tmp_path)
    assert code == 0
    assert max(map(cell_len, told.splitlines())) <= 80
    assert " ".join(error.split()) in " ".join(told.split())
    assert "no 王秀英" in told and "612.3" in told


def test_a_note_stands_beside_its_row_where_it_fits_and_below_it_else():
    rows = [["a", "1"], ["b", "22"]]
    notes = ["short", "of more words than fit beside it on one line"]
    assert list(listed.lines_of(["name", "n"], rows, notes, 44)) == [
        "name  n",
        "a     1   short",
        "b     22",
        "    of more words than fit beside it on one",
        "    line",
    ]


# ---- doctor


def test_doctor_says_what_is_here_on_80_columns(say):
    code, told = say("doctor")
    assert code == 0
    assert max(map(len, told.splitlines())) <= 80
    assert fl.__version__ in told and metadata.version("torch") in told
    for word in ("python", "cores", "needed", "YuNet", "dlib", "fonts", "caches"):
        assert re.search(rf"^{word} ", told, re.MULTILINE)
    for extra in metadata.metadata("facelab").get_all("Provides-Extra"):
        assert f"[{extra}]" in told


def test_doctor_names_what_is_old_or_missing_and_fails(capsys, monkeypatch):
    versions = {"numpy": "1.26.4"}
    real = metadata.version

    def version(name):
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(machine, "_is_here", lambda module: False)
    assert cli.command(["doctor"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "numpy is 1.26.4 and must be >=2" in told
    assert "torch is not installed" in told


# ---- the first use


def compiled_anew():
    """A function of ours that no cache has."""

    def one_more(n):
        return n + 1

    one_more.__module__ = "facelab.synthetic.made_up"
    return numba.njit(one_more)


def test_whoever_waits_for_the_compiler_is_told_once(capsys, monkeypatch):
    caches._tell_of_compiling()
    monkeypatch.setattr(caches, "_PATIENCE", 0)
    monkeypatch.setattr(caches._Compiling, "said", False)
    monkeypatch.setenv("FACELAB_PROGRESS", "0")
    assert compiled_anew()(1) == 2
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("FACELAB_PROGRESS")
    assert (compiled_anew()(1), compiled_anew()(2)) == (2, 3)
    assert capsys.readouterr().err.count("compiles its loops, once after an installation") == 1
