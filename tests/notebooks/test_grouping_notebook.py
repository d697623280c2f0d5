"""The notebook on grouping: whole when run small, true to its tables, on any embeddings."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import pictures

import facelab as fl

BOOK = Path(__file__).parents[2] / "notebooks" / "13_grouping.ipynb"


@pytest.fixture(scope="module")
def rendered(quick_run) -> Path:
    return quick_run("13_grouping")


def test_the_numbers_are_those_of_the_tables(rendered):
    numbers = json.loads((rendered / "metrics.json").read_text())
    accuracy = pd.read_csv(rendered / "tables" / "accuracy.csv").set_index("group")
    assert numbers["threshold"] == 0.98
    assert set(numbers["groups"]) == set(accuracy.index)
    assert len(numbers["groups"]) == 7
    for group, row in numbers["groups"].items():
        for measure in ("bcubed_f", "with_strangers", "split_off"):
            assert row[measure] == pytest.approx(accuracy.loc[group, measure])
            assert row[f"{measure}_low"] <= row[measure] <= row[f"{measure}_high"]
    merged = pd.read_csv(rendered / "tables" / "merged.csv")
    assert len(merged) == 21
    assert merged["non_mated"].sum() == 90 * 89 // 2 - 30 * 3


def test_the_report_shows_every_figure_and_the_clusters(rendered):
    page = (rendered / "report.html").read_text()
    assert {path.stem for path in (rendered / "figures").iterdir()} == {
        *("by-group", "merged", "thresholds"),
    }
    assert pictures(page) == 4, "the figures, and the browser's still"
    assert "Grouped with strangers most often" in page
    assert "output_stderr output_text" not in page, "no warning in what people read"
    assert not re.search(r"""src\s*=\s*["']?\s*(https?:)?//""", page)


def test_given_embeddings_are_grouped_without_their_faces(tmp_path):
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(60), 3)
    vectors = rng.standard_normal((60, 64))[subject] + 0.5 * rng.standard_normal((180, 64))
    table = pd.DataFrame({"subject": subject.astype(str)})
    table["race"] = np.array(["one", "two"])[subject % 2]
    fl.Embeddings.from_arrays(vectors, table).save(tmp_path / "seen")
    given = {"embeddings": str(tmp_path / "seen"), "by": ["race"]}
    folder = fl.run(BOOK, given, out=tmp_path / "runs")
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["clusters"] == numbers["subjects"] == 60
    assert numbers["groups"]["all"]["bcubed_f"] == 1
    assert numbers["estimated_people"]["people"] == pytest.approx(60, abs=1)
