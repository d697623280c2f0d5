"""The notebooks that compare many trainings: whole when run small, and true to their tables."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from pictures import pictures

import facelab as fl

ROOM = Path(__file__).parents[2] / "notebooks"

TIMED = ("06_mitigations", "09_backbone_size")
ARMS = {
    "06_mitigations": 11,
    "07_mix_ratio": 2,
    "08_subjects_and_images": 2,
    "09_backbone_size": 2,
}


@pytest.fixture(scope="module", params=list(ARMS))
def study(request, quick_run) -> tuple[str, Path]:
    return request.param, quick_run(request.param)


def test_every_arm_and_figure_is_kept_with_its_interval(study):
    name, folder = study
    numbers = json.loads((folder / "metrics.json").read_text())
    table = pd.read_csv(folder / "tables" / "figures.csv")
    single = pd.read_csv(folder / "tables" / "figures-by-seed.csv")
    assert table["arm"].nunique() == ARMS[name]
    assert set(numbers["figures"]) == set(table["arm"] + ":" + table["figure"])
    assert len(single) == 2 * len(table), "one row a training seed"
    means = single[single["figure"] == "fnmr"].groupby("arm")["value"].mean()
    for row in table.itertuples():
        assert row.low <= row.value + 1e-9 and row.value <= row.high + 1e-9
        if row.figure == "fnmr":
            assert row.value == pytest.approx(means[row.arm])
            assert row.change == pytest.approx(means[row.arm] - means[numbers["baseline"]])
    if name in TIMED:
        assert list(numbers["cpu_seconds_a_step"]) == table["arm"].unique().tolist()
        for row in numbers["cpu_seconds_a_step"].values():
            assert 0 < row["low"] <= row["ratio"] <= row["high"]


def test_the_report_shows_and_says_everything(study):
    name, folder = study
    page = (folder / "report.html").read_text()
    figures = {figure.stem for figure in (folder / "figures").iterdir()}
    more = {"search"} if name == "06_mitigations" else set()
    assert figures == {"shares" if name == "07_mix_ratio" else "changes", *more}
    dials = 1 if name == "06_mitigations" else 0  # the comparer stands still
    assert pictures(page) == len(figures) + dials
    assert "which the others are compared with" in page
    assert "Every seed drew people of its own to train on" in page
    assert "output_stderr output_text" not in page, (
        "no warning and no progress bar in what people read"
    )
    assert not re.search(r"""(src)\s*=\s*["']?\s*(https?:)?//""", page)


def test_every_method_was_searched_alike_and_the_page_says_on_whom(quick_run):
    folder = quick_run("06_mitigations")
    table = pd.read_csv(folder / "tables" / "search.csv")
    assert table.groupby("method").size().eq(2).all() and len(table) == 2 * ARMS["06_mitigations"]
    assert table.groupby("method")["chosen"].sum().eq(1).all()
    said = "Of 11 methods each was tried in 2 recipes"
    page = (folder / "report.html").read_text()
    assert said in page and "on 18 held-out subjects. These subjects chose" in page
    chosen = json.loads((folder / "metrics.json").read_text())["search"]
    assert chosen["group DRO"]["change"] in ("dro: 0.01", "dro: 0.03")


def test_a_repeated_run_trains_nothing_and_comes_to_the_same(quick, tmp_path):
    name = "09_backbone_size"
    given = {**quick[name], "kept": str(tmp_path / "kept")}
    first, again = (
        fl.run(ROOM / f"{name}.ipynb", given, out=tmp_path / part) for part in ("first", "again")
    )
    assert "4 of 4 trainings were kept in" in (again / "report.html").read_text()
    texts = [(folder / "tables" / "figures.csv").read_text() for folder in (first, again)]
    assert texts[0] == texts[1]


def test_the_studies_share_their_baseline(quick, tmp_path):
    """As their yamls do: the mitigations' skewed arm is the reference of the others."""
    kept = tmp_path / "kept"

    def run(name, **given):
        given = {**quick[name], "seeds": [0], "kept": str(kept), **given}
        fl.run(ROOM / f"{name}.ipynb", given, out=tmp_path / "runs")
        return {path.name for path in kept.iterdir() if path.name != ".locks"}

    there = run("06_mitigations", methods={"focal": {"focal": 2}}, search=False)
    assert run("07_mix_ratio", shares=[0.8], reference=0.8) == there
    assert run("09_backbone_size", backbones={"one": {}}) == there
