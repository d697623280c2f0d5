"""The notebook on NIST's table: whole on a small table, true on the real one."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from pictures import pictures

import facelab as fl
from facelab.runs.experiments import RunFailed

ROOM = Path(__file__).parents[2] / "notebooks" / "15_nist_demographics.ipynb"
MADE_UP = 12  # sentences and captions with numbers of algorithms that nobody has, and the code
FIGURES = ["extremes-or-all", "kendall-tau", "places", "rates", "ratio-or-difference"]


@pytest.fixture(scope="module")
def ranked(quick_run) -> Path:
    """Thirty made-up algorithms."""
    return quick_run("15_nist_demographics")


def test_medians_ranks_and_agreement_are_kept(ranked):
    numbers = json.loads((ranked / "metrics.json").read_text())
    assert numbers["algorithms"] == 30
    rates = pd.read_csv(ranked / "tables" / "rates.csv")
    medians = rates.groupby("group")["fmr"].median().to_dict()
    assert numbers["medians"] == pytest.approx(medians)
    assert sum(numbers["highest_for"].values()) == 30
    indices = pd.read_csv(ranked / "tables" / "indices.csv", index_col="algorithm")
    for name, row in indices.corr("kendall").iterrows():
        assert numbers["kendall_tau"][name] == pytest.approx(row.to_dict())
    places = pd.read_csv(ranked / "tables" / "places.csv", index_col="algorithm")
    assert numbers["moved"]["most"] == (places.max(axis=1) - places.min(axis=1)).max()
    assert places.loc[numbers["first"]["gini"][0], "gini"] == 1


def test_the_report_shows_and_says_everything(ranked):
    page = (ranked / "report.html").read_text()
    numbers = page.split("The rates</h2>")[1]
    assert "made-up-0" in numbers and numbers.lower().count("made-up algorithms") == MADE_UP
    assert "of 30 algorithms" not in numbers
    assert sorted(path.stem for path in (ranked / "figures").iterdir()) == FIGURES
    assert pictures(page) == len(FIGURES)
    assert "can have a confidence interval" in page
    assert "move by more than a tenth of the field" in page
    assert "output_stderr output_text" not in page
    assert not re.search(r"""(src)\s*=\s*["']?\s*(https?:)?//""", page)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RunFailed, match=r"there is no file .*none.csv: give NIST's table"):
        fl.run(ROOM, {"rates_file": str(tmp_path / "none.csv")}, out=tmp_path)


@pytest.mark.real
def test_the_published_medians_come_out(real, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELAB_REAL", str(real))
    folder = fl.run(ROOM, out=tmp_path)
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["algorithms"] == 240
    published = {"white/female": 0.0029, "black/male": 0.0023, "black/female": 0.0117}
    for group, median in published.items():
        assert numbers["medians"][group] == pytest.approx(median, abs=6e-5)
    assert numbers["highest_for"]["black/female"] == 228
