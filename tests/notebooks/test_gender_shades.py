"""Gender Shades in the laboratory: two analysers, four cells, published ones apart."""

import json
from pathlib import Path

import pandas as pd
import pytest

CELLS = ["darker/female", "darker/male", "lighter/female", "lighter/male"]


@pytest.fixture(scope="module")
def shades(quick_run) -> Path:
    return quick_run("18_gender_shades_laboratory")


def test_every_cell_has_its_error_by_arm_and_what_balance_changed(shades):
    errors = pd.read_csv(shades / "tables" / "errors.csv")
    assert errors["arm"].unique().tolist() == ["skewed", "balanced"]
    assert errors.groupby("arm")["group"].apply(list).tolist() == [["all", *CELLS]] * 2
    assert ((errors["low"] <= errors["error"]) & (errors["error"] <= errors["high"])).all()
    seeds = pd.read_csv(shades / "tables" / "errors-by-seed.csv")
    assert seeds["seed"].unique().tolist() == [0, 1]
    told = json.loads((shades / "metrics.json").read_text())
    row = errors.set_index(["arm", "group"]).loc[("balanced", "darker/female")]
    assert told["errors"]["balanced:darker/female"]["change"] == pytest.approx(row["change"])
    assert "Every seed drew people of its own" in told["drawn"]


def test_the_answer_shows_the_published_cells_apart(shades):
    published = pd.read_csv(shades / "tables" / "published.csv")
    assert sorted(published["group"].unique()) == CELLS and len(published) == 12
    page = (shades / "report.html").read_text()
    assert "Published, of other faces and analysers" not in page  # it is in the picture
    assert "are not to be compared" in page and "published for other faces" in page
