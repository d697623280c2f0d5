"""Parts of one's own in a notebook: known by their cells, compared with the built-in ones."""

import json
from pathlib import Path

import pandas as pd
import pytest

PARTS = ["head", "backbone", "augment", "terms"]


@pytest.fixture(scope="module")
def own(quick_run) -> Path:
    return quick_run("17_your_own_parts")


def test_every_part_is_named_with_the_source_of_its_cell(own):
    told = pd.read_csv(own / "tables" / "parts.csv", index_col=0)
    assert told.index.tolist() == [*PARTS, "callbacks"]
    names = ["LearntScale", "Narrow", "barred", "Even", "note_scale"]
    assert told["name"].tolist() == [f"__main__.{name}" for name in names]
    assert told["source"].str.len().eq(24).all(), "a cell has a source that can be read"
    assert told["source"].is_unique


def test_the_callback_saw_every_step_and_the_head_its_scale_move(own):
    scales = pd.read_csv(own / "tables" / "scales.csv")
    assert scales["step"].tolist() == [1, 2, 3, 4]
    assert scales["scale"].is_unique


def test_each_part_is_compared_with_the_built_in_one(own):
    figures = pd.read_csv(own / "tables" / "figures.csv")
    assert figures["arm"].unique().tolist() == ["built-in", *(f"own {part}" for part in PARTS)]
    thresholds = pd.read_csv(own / "tables" / "thresholds.csv").set_index("arm")["threshold"]
    assert len(thresholds) == 5 and thresholds.is_unique, "every part does something"
    numbers = json.loads((own / "metrics.json").read_text())
    assert numbers["baseline"] == "built-in" and len(numbers["parts"]) == 5
