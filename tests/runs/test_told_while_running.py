"""A log in which nobody sees a bar says now and then where a run is."""

import re

import nbformat
import pytest
from nbformat import v4

import facelab as fl
from facelab import progress
from facelab.runs.sweeps import _Board


def notebook(place):
    cells = [
        v4.new_code_cell("seconds = 0.0", metadata={"tags": ["parameters"]}),
        v4.new_markdown_cell("## A long training"),
        v4.new_code_cell("import time\ntime.sleep(seconds)"),
    ]
    (place / "long.ipynb").write_text(nbformat.writes(v4.new_notebook(cells=cells)))
    return place / "long.ipynb"


@pytest.mark.slow  # a kernel of its own
def test_a_piped_run_says_each_minute_in_which_section_it_is(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(progress, "EVERY", 0.25)
    fl.run(notebook(tmp_path), {"seconds": 1.0}, out=tmp_path / "runs")
    lines = capfd.readouterr().err.splitlines()
    still = [line for line in lines if re.fullmatch(r"\[00:0\d\] still at 'A long training'", line)]
    assert len(still) >= 2


def test_a_piped_sweep_says_each_minute_how_many_cases_ended(tmp_path, capfd):
    board = _Board(({"seed": 0}, {"seed": 1}), [], tmp_path / "x", {})
    board.cases, board.status = [object()] * 2, {"a": "finished", "b": "waiting"}
    board._rows = lambda: iter([("seed=0", "finished", ""), ("seed=1", "running", "61")])
    board._tell_standing()
    assert capfd.readouterr().err == "[1/2] at work: seed=1\n"
