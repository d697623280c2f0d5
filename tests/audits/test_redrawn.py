"""Who was drawn to be trained on: equal arms, and how often an interval over seeds says so.

Two arms are drawn from one population by the same rule, so that neither is better: over many draws
they err alike. What each draw makes of an arm is luck, and so is what each training makes of it.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits import changes
from facelab.rates.counts import ErrorCounts

SUBJECTS, RUNS, SEEDS, RATE = 300, 200, 3, 0.2
UNITS = pd.DataFrame({"subject": [f"s{k:04d}" for k in range(SUBJECTS)], "images": 2})


@pytest.fixture
def audit(monkeypatch):
    """Any audit, in which counts are put that are made up below; its slopes are those of all."""
    people, _ = fl.crowd(60, images=2, dim=16)
    made = fl.audit(people, "group", 0.1, replicates=10)
    slopes = changes.slopes(made)
    monkeypatch.setattr(changes, "slopes", lambda audit: slopes)
    return made


def shares_that_hold(audit, redraw: bool, of_draw: float, of_training: float = 0.1) -> float:
    """How often the interval of an arm's change from its equal holds none.

    `of_draw` and `of_training` are standard deviations of the logarithm of FNMR; whom a model
    misses is drawn person by person on the same test people, hard ones being missed by both.
    """
    rng = np.random.default_rng(5)
    holds = []
    for _ in range(RUNS):
        hardness = rng.normal(size=SUBJECTS)
        audits = {}
        for arm in ("one", "other"):
            drawn = rng.normal(0, of_draw, SEEDS if redraw else 1)
            luck = drawn + rng.normal(0, of_training, SEEDS)
            audits[arm] = [missing(audit, RATE * np.exp(each), hardness, rng) for each in luck]
        row = fl.compare_arms(audits, "one", ["fnmr"]).iloc[1]
        holds.append(row["change_low"] <= 0 <= row["change_high"])
    return float(np.mean(holds))


def missing(audit, rate: float, hardness: np.ndarray, rng: np.random.Generator):
    """An audit of a model that misses this share of the test people's mated comparisons."""
    score = 0.7 * hardness + 0.7 * rng.normal(size=SUBJECTS)
    missed = np.flatnonzero(score > np.quantile(score, 1 - min(rate, 1)))
    pairs = pd.DataFrame({"unit_a": missed, "unit_b": missed, "errors": 1})
    groups = audit.counts.groups
    units = UNITS.assign(group=np.arange(SUBJECTS) % len(groups))
    counts = ErrorCounts(0.5, groups, units, pairs, True)
    own = {"counts": counts, "calibration_counts": counts, "card": {"calibration": {}}}
    return dataclasses.replace(audit, **own)


def test_intervals_over_redrawn_people_hold_at_equality(audit):
    assert 0.93 <= shares_that_hold(audit, redraw=True, of_draw=0.3) <= 0.99


def test_intervals_over_seeds_of_one_draw_do_not_where_it_matters_who_was_drawn(audit):
    assert shares_that_hold(audit, redraw=False, of_draw=0.3) < 0.75


def test_where_it_does_not_matter_who_was_drawn_one_draw_does(audit):
    assert shares_that_hold(audit, redraw=False, of_draw=0.0) >= 0.93


@pytest.mark.filterwarnings("error")
def test_two_seeds_that_differ_beyond_measure_leave_a_change_open(audit):
    rng = np.random.default_rng(7)
    hardness = rng.normal(size=SUBJECTS)
    rates = {"one": (0.004, 0.9), "other": (0.9, 0.004)}
    audits = {
        arm: [missing(audit, rate, hardness, rng) for rate in each] for arm, each in rates.items()
    }
    between = changes.Arms(audits, 10, 0)
    far = between.rate_change("fnmr", "all", 0, 1, confidence=1 - 1e-7)
    assert far.ratio_low == 0 and far.ratio_high == np.inf
    assert -1 <= far.low < 0 < far.high <= 1
