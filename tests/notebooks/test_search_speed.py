"""The notebook on search speed: whole when run small, true to its tables; and its arithmetic."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facelab.bench.search import bytes_a_vector, search_estimate, search_growth
from facelab.search.crowds import crowd
from facelab.search.gallery import Gallery

ROOM = Path(__file__).parents[2] / "notebooks" / "15_search_speed.ipynb"


@pytest.fixture(scope="module")
def run(quick_run) -> Path:
    return quick_run("15_search_speed")


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
    assert page.count('src="data:image/png') == 2
    assert "75,000,000 people" in page and "times the speed of all comparisons" in page
    assert "output_stderr output_text" not in page


def test_an_exponent_is_the_slope_in_logarithms():
    sizes = np.array([1e4, 1e5, 1e6])
    told = pd.DataFrame({"vectors": sizes, "kind": "fastscan", "enrol s": 3e-6 * sizes})
    told["save s"], told["load s"], told["build s"] = sizes**0.5, 2.0, sizes**1.5
    told["exact ms"], told["approximate ms"], told["peak GB"] = sizes, sizes**0.25, sizes
    exponents = search_growth(told).set_index("what")["exponent"].to_dict()
    expected = {"enrol s": 1, "save s": 0.5, "load s": 0, "build s": 1.5, "exact ms": 1}
    assert exponents == pytest.approx(expected | {"approximate ms": 0.25, "peak GB": 1})


def test_bytes_a_vector_are_the_codes_and_their_row_number():
    """4 bits for every 4 numbers, or 8 bits a number; 8 bytes say which vector it is."""
    each = bytes_a_vector(dim=64, vectors=4096).set_index("kind")["bytes"]
    assert each["exact"] == 256 and each["ivf"] == 64 + 8
    assert 64 / 8 + 8 <= each["fastscan"] < 64 / 8 + 8 + 4, "blocks of 32 are not always full"
    assert each["hnsw"] > 64 + 32 * 2 * 4, "a code and at least 64 neighbours of 4 bytes"


def test_the_estimate_is_proportion():
    told = pd.DataFrame({"vectors": [10, 1000], "kind": "fastscan", "approximate ms": [9.0, 0.5]})
    told["exact ms"] = [9.0, 8.0]
    sizes = pd.DataFrame({"kind": ["exact", "fastscan"], "bytes": [400.0, 20.0]})
    paper = search_estimate(told, sizes, people=100_000, machines=(1, 4), cores=8, dim=100)
    rows = paper.set_index(["kind", "machines"])
    one = rows.loc[("fastscan", 1)]
    assert one["index GB a machine"] == pytest.approx(100_000 * 20 / 1e9)
    assert one["vectors GB a machine"] == pytest.approx(100_000 * 400 / 1e9)
    assert one["probes/s"] == pytest.approx(8 / (0.5e-3 * 100)), "100 times the vectors"
    assert rows.loc[("fastscan", 4), "probes/s"] == pytest.approx(4 * one["probes/s"])
    assert rows.loc[("exact", 1), "probes/s"] == pytest.approx(8 / (8e-3 * 100))
    assert rows.loc[("exact", 4), "index GB a machine"] == 0
