"""The main experiment's two controls, very small: redrawn looks, each group favoured."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from pictures import pictures

import facelab as fl

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def redrawn(quick_run) -> Path:
    return quick_run("10_redrawn_looks")


@pytest.fixture(scope="module")
def mirrored(quick_run) -> Path:
    return quick_run("11_mirrored_skew")


def test_both_arms_are_tested_on_the_same_people_with_both_looks(redrawn):
    numbers = json.loads((redrawn / "metrics.json").read_text())
    assert numbers["arms"] == ["skewed", "balanced"]
    assert numbers["conditions"] == ["one look", "redrawn looks"]
    assert numbers["counts"]["one look"] == numbers["counts"]["redrawn looks"]
    assert set(numbers["changes"]) == {"skewed", "balanced", "balanced / skewed"}
    rates = pd.read_csv(redrawn / "tables" / "error-rates.csv")
    assert len(rates) == 2 * 2 * 2 * 7, "a row an arm, look, seed and group"
    whole = rates[rates["group"] == "all"].groupby(["arm", "looks"])["fnmr"].mean()
    for arm in numbers["arms"]:
        row = numbers["changes"][arm]["fnmr:all"]
        assert row["a"] == pytest.approx(whole[arm, "one look"])
        assert row["b"] == pytest.approx(whole[arm, "redrawn looks"])


def test_the_control_shows_and_says_everything(redrawn):
    shown = sorted(path.stem for path in (redrawn / "figures").iterdir())
    assert shown == ["balanced", "changes", "one-look", "redrawn-looks", "skewed"]
    page = (redrawn / "report.html").read_text()
    assert pictures(page) == len(shown)
    assert "With skewed training, false matches." in page
    assert "What balanced training changes." in page


def test_every_group_is_favoured_once_and_compared_with_balanced_training(mirrored):
    cells = pd.read_csv(mirrored / "tables" / "favoured.csv")
    assert len(cells) == 36 and set(cells["favoured"]) == set(fl.GROUPS) == set(cells["group"])
    people = pd.read_csv(mirrored / "tables" / "people.csv").set_index("group")
    for group in fl.GROUPS:
        assert people.loc[group, f"80% {group}"] == 19  # of 24
    assert set(people["balanced"]) == {4}
    numbers = json.loads((mirrored / "metrics.json").read_text())
    assert list(numbers["ends"]) == [
        "balanced",
        *(f"80% {g}" for g in fl.GROUPS),
        "mean of the arms",
    ]
    figures = pd.read_csv(mirrored / "tables" / "figures.csv").set_index(["arm", "figure"])
    for row in cells.itertuples():
        assert row.rate == pytest.approx(figures.loc[(row.arm, f"fmr:{row.group}"), "value"])


def test_the_mirror_shows_and_says_everything(mirrored):
    assert [path.stem for path in (mirrored / "figures").iterdir()] == ["favoured"]
    page = (mirrored / "report.html").read_text()
    assert pictures(page) == 1
    assert "What stays, whoever is favoured." in page and "The favoured group" in page


def test_the_hair_control_is_of_the_main_experiment():
    """Its trainings are found in data/kept because nothing that decides them differs."""
    control, main = (
        yaml.safe_load((ROOT / "experiments" / f"{name}.yaml").read_text())["parameters"]
        for name in ("redrawn-looks", "balanced-retraining")
    )
    assert control == main
