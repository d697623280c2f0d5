"""The notebook on search speed: whole when run small, and true to its tables."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import pictures

from facelab.search.crowds import crowd
from facelab.search.gallery import Gallery

ROOM = Path(__file__).parents[2] / "notebooks" / "A3_search_speed.ipynb"


@pytest.fixture(scope="module")
def run(quick_run) -> Path:
    return quick_run("A3_search_speed")


def test_the_tables_hold_what_was_measured(run):
    told = pd.read_csv(run / "tables" / "search-speed.csv")
    assert told["vectors"].tolist() == [1200, 2400]
    np.testing.assert_allclose(
        told["recall"], (told["recall mated"] + told["recall non_mated"]) / 2
    )
    np.testing.assert_allclose(told["speed-up"], told["exact ms"] / told["approximate ms"])
    np.testing.assert_allclose(told["vectors GB"], told["vectors"] * 64 * 4 / 1e9)
    assert (told.drop(columns="kind") > 0).all(axis=None)
    numbers = json.loads((run / "metrics.json").read_text())
    assert numbers["search_speed"] == told.to_dict("records")
    enrolled, searched = crowd(1200, 2, 80, 64, seed=1)
    expected = Gallery("max", "fastscan").enrol(enrolled).recall(searched, by="group")
    kept = pd.read_csv(run / "tables" / "recall.csv")
    pd.testing.assert_frame_equal(kept, expected, check_dtype=False)


def test_the_report_shows_everything(run):
    page = (run / "report.html").read_text()
    assert sorted(path.stem for path in (run / "figures").iterdir()) == ["recall", "search-speed"]
    assert pictures(page) == 2
    assert "75,000,000 people" in page and "times the speed of all comparisons" in page
    assert "output_stderr output_text" not in page
