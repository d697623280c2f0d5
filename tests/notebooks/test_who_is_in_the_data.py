"""The notebook on who is in the data: whole when run small, true to the set that it is given."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import pictures

import facelab as fl

ROOM = Path(__file__).parents[2] / "notebooks" / "02_who_is_in_the_data.ipynb"
SEEN = ["apparent-tones", "composition", "images-per-subject", "measures"]


@pytest.fixture(scope="module")
def looked(quick_run) -> Path:
    return quick_run("02_who_is_in_the_data")


def test_counts_measures_and_candidates_are_kept(looked):
    numbers = json.loads((looked / "metrics.json").read_text())
    counts = pd.read_csv(looked / "tables" / "composition.csv", index_col="group")
    assert numbers["counts"]["images"] == counts["images"].sum()
    assert numbers["counts"]["subjects"] == 25, "one of 24 has two names"
    shares = counts["subjects"] / counts["subjects"].sum()
    entropy = -(shares * np.log(shares)).sum()
    assert numbers["effective_groups"]["exp_entropy"] == pytest.approx(np.exp(entropy))
    measures = pd.read_csv(looked / "tables" / "measures.csv")
    for row in measures.itertuples():
        kept = numbers["measures"][f"{row.measure}:{row.group}"]
        assert kept["mean"] == pytest.approx(row.mean) and row.low <= row.mean <= row.high
    for name, many in numbers["candidates"].items():
        assert many == len(pd.read_csv(looked / "tables" / f"{name}.csv"))
    assert {row["planted"] for row in numbers["planted"].values()} == {4, 2, 1}
    assert numbers["apparent_tone"]["photo"] > 0.5


def test_what_was_made_uneven_is_found(looked):
    spread = pd.read_csv(looked / "tables" / "images-per-subject.csv", index_col="group")
    assert spread.loc["african/male", "median"] <= 4 < spread.loc["caucasian/male", "median"]
    measures = pd.read_csv(looked / "tables" / "measures.csv").set_index(["measure", "group"])
    dim, bright = (
        measures.loc[[("brightness", f"{who}/{g}") for g in ("female", "male")], "mean"]
        for who in ("asian", "caucasian")
    )
    assert dim.max() < bright.min()


def test_the_report_shows_and_says_everything(looked):
    page = (looked / "report.html").read_text()
    figures = sorted(path.stem for path in (looked / "figures").iterdir())
    assert set(figures) - {"doubts"} == {*SEEN, "copies"}
    assert pictures(page) == len(figures)
    assert "it follows the light" in page
    assert "output_stderr output_text" not in page
    assert not re.search(r"""(src)\s*=\s*["']?\s*(https?:)?//""", page)
    sheet = (looked / "datasheet.md").read_text(encoding="utf-8")
    assert "## Collection process" in sheet and "brightness" in sheet


def test_any_faces_are_looked_at_and_nobody_real_is_shown(faces, tmp_path):
    faces.card |= {"synthetic": False, "name": "rfw", "licence": "research use"}
    folder = faces.save(tmp_path / "set")
    out = fl.run(ROOM, {"faces": str(folder), "jobs": 1}, out=tmp_path / "runs")
    assert sorted(path.stem for path in (out / "figures").iterdir()) == SEEN
    numbers = json.loads((out / "metrics.json").read_text())
    assert numbers["candidates"] == {} and numbers["planted"] is None
    page = (out / "report.html").read_text()
    assert "WITHDRAWN: MS-Celeb-1M" in page and "no embedder was given" in page
