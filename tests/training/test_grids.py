"""A search of equal size for every method: what it tries, what it takes, what it says."""

import dataclasses

import pytest
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput
from facelab.training.grids import RecipeSearch
from facelab.training.recipe import Mitigation
from facelab.training.validation import figure_of

RECIPES = {
    "plain": TINY,
    "group DRO": dataclasses.replace(TINY, mitigate=Mitigation(by=["gender"], dro=0.01)),
}
GRIDS = {
    "plain": [{}, {"lr": 1e-9}],  # the second learns nothing
    "group DRO": [{"mitigate": {"dro": 0.1}, "lr": 1e-9}, {"mitigate": {"dro": 0.1}}],
}
ARMS = {"plain": patterns(), "group DRO": {0: patterns(), 1: patterns(seed=1)}}
HELD_OUT = patterns(seed=9, prefix="h")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> RecipeSearch:
    kept = tmp_path_factory.mktemp("kept")
    options = {"fmr": 0.1, "jobs": 1, "kept": kept, "figure": "fnmr"}
    return fl.search_recipes(ARMS, RECIPES, GRIDS, HELD_OUT, "gender", **options)


def test_the_candidate_that_errs_least_on_the_held_out_subjects_is_taken(found):
    value = found.table.set_index(["method", "candidate"])["value"]
    assert value["plain", 0] < value["plain", 1]
    assert value["group DRO", 1] < value["group DRO", 0]
    assert found.table.loc[found.table["chosen"], "candidate"].tolist() == [0, 1]
    assert found.recipes["plain"] == TINY, "held-out subjects choose, and are not looked at again"
    chosen = found.recipes["group DRO"]
    assert (chosen.mitigate.dro, chosen.mitigate.by, chosen.lr) == (0.1, ["gender"], TINY.lr)


def test_values_are_those_of_the_last_look_and_late_changes_since_four_fifths(found):
    one = fl.train(
        ARMS["plain"], dataclasses.replace(TINY, validate=found_validation()), seed=0,
        device="cpu", held_out=HELD_OUT, progress=False,
    )  # fmt: skip
    by_step = {step: figure_of(rates, "fnmr") for step, rates in one.validation.groupby("step")}
    row = found.table.iloc[0]
    assert row["value"] == pytest.approx(by_step[12])
    assert row["late_change"] == pytest.approx(by_step[12] - by_step[9])
    own = found.looks.query("method == 'plain' and candidate == 0")
    assert dict(zip(own["step"], own["value"], strict=True)) == pytest.approx(by_step)


def found_validation():
    return dataclasses.replace(TINY.validate, every=1, by=["gender"], fmr=0.1)


def test_it_says_who_chose_who_judges_and_what_had_not_settled(found):
    said = found.finding()
    assert "Of 2 methods each was tried in 2 recipes" in said
    assert "lowest overall FNMR was taken, at an FMR of 0.1 on 12 held-out subjects" in said
    assert "These subjects chose; the test subjects judge" in said
    table = found.table.assign(late_change=[0.0, 0.0, 0.0, -0.2], value=1.0)
    assert dataclasses.replace(found, table=table).finding().endswith("the steps: group DRO.")
    settled = dataclasses.replace(found, table=table.assign(late_change=0.01))
    assert "Still moving" not in settled.finding()
    assert found.table["change"].tolist()[:3] == ["as it is", "lr: 1e-09", "dro: 0.1, lr: 1e-09"]


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            {"grids": {**GRIDS, "plain": [{}]}},
            "as many candidates, one or more; there are plain: 1",
        ),
        ({"grids": {key: [] for key in GRIDS}}, "plain: 0, group DRO: 0"),
        ({"grids": {"plain": [{}]}}, "there is no 'group DRO' in grids"),
        ({"recipes": {"plain": TINY}}, "there is no 'group DRO' in recipes"),
        ({"grids": {key: [{"lrate": 1}] for key in GRIDS}}, "'lrate' is not part of a recipe"),
        ({"figure": "loss"}, "figure must be 'fnmr', 'worst_fnmr', 'fmr_ratio' or 'garbe'"),
        ({"held_out": ARMS["plain"]}, "both trained on and in the held-out set"),
    ],
)
def test_unequal_searches_and_other_mistakes_are_refused_in_a_sentence(wrong, message):
    given = {"arms": ARMS, "recipes": RECIPES, "grids": GRIDS, "held_out": HELD_OUT} | wrong
    with pytest.raises(fl.FacelabError if "held_out" in wrong else BadInput, match=message):
        fl.search_recipes(**given, by="gender", fmr=0.1, jobs=1)


def test_the_picture_shows_every_method_as_it_went(found):
    picture = fl.plots.convergence(found)
    assert picture.alt.startswith("Overall FNMR on held-out subjects over optimiser steps")
    values = found.table[found.table["chosen"]].set_index("method")["value"]
    assert f"plain {values['plain']:.3g}" in picture.alt
    lines = picture.axes[0].get_lines()
    assert len(lines) == 4 and sum(line.get_linewidth() > 1 for line in lines) == 2
