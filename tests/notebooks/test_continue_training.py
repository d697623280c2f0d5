"""Going on from a skewed recogniser: ways against a new network, and what is forgotten."""

import json
from pathlib import Path

import pandas as pd
import pytest

WAYS = ["start", "new", "all weights", "slow trunk", "frozen trunk", "head only"]


@pytest.fixture(scope="module")
def continued(quick_run) -> Path:
    return quick_run("16_continue_training")


def test_every_way_is_compared_with_a_new_network_and_with_the_start(continued):
    figures = pd.read_csv(continued / "tables" / "figures.csv")
    assert figures["arm"].unique().tolist() == WAYS
    assert set(figures["seeds"]) == {2}
    for row in figures.itertuples():
        assert row.low <= row.value + 1e-9 and row.value <= row.high + 1e-9
    against = pd.read_csv(continued / "tables" / "against-start.csv").set_index(["arm", "figure"])
    new = figures.set_index(["arm", "figure"])
    gained = new.loc[("new", "fnmr"), "value"] - new.loc[("start", "fnmr"), "value"]
    assert against.loc[("new", "fnmr"), "change"] == pytest.approx(gained)


def test_with_a_new_head_alone_it_stays_the_recogniser_that_it_was(continued):
    for name in ("figures", "forgotten"):
        table = pd.read_csv(continued / "tables" / f"{name}.csv").set_index(["arm", "figure"])
        for figure in table.loc["start"].index:
            values = [table.loc[(arm, figure), "value"] for arm in ("start", "head only")]
            assert values[0] == pytest.approx(values[1], nan_ok=True), (name, figure)


def test_the_cost_says_that_everything_was_taken_but_by_the_new_network(continued):
    cost = pd.read_csv(continued / "tables" / "cost.csv")
    assert len(cost) == 2 * (len(WAYS) - 1)
    taken = cost.groupby("arm")["weights taken"].unique()
    assert taken["new"].tolist() == [0]
    [whole] = taken["all weights"]
    assert whole > 50 and taken["frozen trunk"].tolist() == [whole]
    assert (cost["cpu seconds"] > 0).all()


def test_the_page_says_what_is_gained_and_what_is_forgotten(continued):
    page = (continued / "report.html").read_text()
    assert "which the others are compared with" in page
    assert "On the people of the first training set" in page
    numbers = json.loads((continued / "metrics.json").read_text())
    assert numbers["counts"]["old"] == {"subjects": 24, "images": 48}
    assert numbers["counts"]["skewed"] == numbers["counts"]["balanced"]
    assert "all weights:fnmr" in numbers["forgotten"]
    assert {path.stem for path in (continued / "figures").iterdir()} == {"changes", "forgotten"}
