"""The first notebook: whole when run small, true to its tables, and what it leaves can be sent."""

import json
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup

import facelab as fl
from facelab.pages.summary import summary_page


@pytest.fixture(scope="module")
def started(quick_run):
    return quick_run("00_start_here")


def test_the_finding_is_that_of_the_tables(started):
    numbers = json.loads((started / "metrics.json").read_text())
    rates = pd.read_csv(started / "tables" / "error-rates.csv").set_index("group")
    for group, row in numbers["audit"]["groups"].items():
        for error in ("fmr", "fnmr"):
            assert row[error] == pytest.approx(rates.loc[group, error])
            assert 0 <= row[f"{error}_low"] <= row[error] <= row[f"{error}_high"] <= 1
    page = BeautifulSoup((started / "report.html").read_text(), "html.parser").get_text()
    said = re.search(
        r"overall FMR was ([\d.]+)% \[.+ Of the people whom it was trained on, 80%", page
    )
    assert float(said[1]) == pytest.approx(100 * numbers["audit"]["overall"]["fmr"], rel=0.05)
    assert numbers["counts"]["train"] == {"subjects": 24, "images": 96}
    counts = pd.read_csv(started / "tables" / "composition.csv", index_col="group")["subjects"]
    assert numbers["composition"] == counts.to_dict()
    assert counts["caucasian/male"] == 19  # of 24, 80%


def test_it_shows_its_figures_and_a_still_dial(started):
    page = (started / "report.html").read_text()
    figures = sorted(path.stem for path in (started / "figures").iterdir())
    assert figures == ["composition", "error-rates", "faces", "training-curve"]
    assert "false matches in a search" in page, "the explorer's table"
    assert not re.search(r"""(src)\s*=\s*["']?\s*(https?:)?//""", page)


def test_its_pages_can_be_sent(started, tmp_path):
    audit = (started / "audit.html").read_text()
    assert "Audit by phenotype/gender" in audit and "://" not in audit.partition("<pre>")[0]
    shared = fl.share(started, tmp_path / "shared.html").read_text()
    assert "Whom does a face recogniser fail" in shared


def test_the_one_page_takes_runs_as_small_as_these(quick_run, tmp_path):
    """With few comparisons some rates are zero and some ratios unknown."""
    main, mix = quick_run("03_balanced_retraining"), quick_run("07_mix_ratio")
    page = summary_page(main, mix, tmp_path / "page.html").read_text()
    found = BeautifulSoup(page, "html.parser").find_all("data")
    kept = json.loads((main / "metrics.json").read_text())["differences"]["fnmr:all"]
    told = {one["data-from"]: float(one["value"]) for one in found}
    for side in ("a", "b", "difference", "low", "high"):
        assert told[f"main/differences/fnmr:all/{side}"] == kept[side]
