"""Everything that is printed, put to the test: a quick study that can fail, and how it is told."""

import joblib
import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.bench import people as made_up
from facelab.bench import printed, trials
from facelab.bench.people import CLEAR, GROUPS, as_embeddings, known, people
from facelab.bench.trials import CLAIM, Setting
from facelab.figures import plots
from facelab.figures.style import ALERT
from facelab.rates.contrasts import Family


def studied(setting, tests, seed=1):
    """A few tests of one setting, as the study counts them."""
    told = printed._tests(setting, tests, np.random.SeedSequence(seed))
    return printed._summary(told).set_index(["quantity", "error"])


# ---- the truth is known


def test_made_up_people_have_the_rates_that_are_called_known():
    model = known(CLEAR, 0.05)
    threshold = model.threshold_for(0.01, 40)
    true = model.rates(threshold, 40).set_index("group")
    assert true.loc["all", "fmr"] == pytest.approx(0.01, rel=1e-3)
    told = []
    for seed in range(12):
        (vectors,) = people(40, 3, [CLEAR], 0.05, np.random.default_rng(seed))
        rates = fl.compare_all(as_embeddings(vectors), "group", jobs=1).error_rates(threshold)
        told.append(rates[["fmr", "fnmr"]].to_numpy(float))
    off = np.mean(told, axis=0) - true.to_numpy()
    assert (np.abs(off) < 4 * np.std(told, axis=0) / np.sqrt(12)).all()
    assert (np.std(told, axis=0)[0] < 0.15 * true.iloc[0]).all(), "or nothing is shown"


def test_groups_that_are_seen_less_clearly_are_missed_more_often():
    model = known((0.8, 0.8, 0.8, 0.75, 0.75, 0.7), 0.0)
    fnmr = model.rates(model.threshold_for(0.003, 30), 30)["fnmr"].to_numpy()[1:]
    assert fnmr[0] == fnmr[1] == fnmr[2] < fnmr[3] == fnmr[4] < fnmr[5]


def test_models_see_the_same_people_each_in_its_own_way():
    one, other = people(200, 1, [CLEAR, CLEAR], 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(one, axis=-1), 1, rtol=1e-5)
    scores = [part[0, :, 0] @ part[0, :, 0].T for part in (one, other)]
    above = np.triu_indices(200, 1)
    alike = np.corrcoef(scores[0][above], scores[1][above])[0, 1]
    assert 0.2 < alike < 0.8


# ---- a quick study


def test_of_equal_groups_nothing_is_claimed_and_everything_holds():
    table = studied(Setting("groups", 40), 40)
    for error in ("fmr", "fnmr"):
        at = table.xs(error, level="error")["coverage"]
        assert 0.91 < at["rate"] < 0.995 and 0.91 < at["rate by subject"] < 0.995
        assert 0.9 < at["ratio of a named pair"] < 0.995
        for what in ("ratios of all pairs", "ratio of the pair that is picked", CLAIM):
            assert at[what] >= 0.92
        for metric in ("max_min_ratio", "gini", "std", "spread"):
            assert at[f"index {metric}"] >= 0.84
        assert at["95th percentile of equal groups' max/min"] >= 0.84
        assert at["test that all groups have one rate"] >= 0.84
    assert table.loc[("index garbe", "both"), "coverage"] >= 0.84
    power = table.loc[(CLAIM, "fmr"), ["power", "coverage"]]
    assert power.sum() == 1, "where there is nothing to tell, to tell it is a mistake"


def test_of_unequal_groups_the_true_ratios_hold_and_differences_are_told():
    table = studied(Setting("groups", 40, truth="10-fold"), 20)
    for error in ("fmr", "fnmr"):
        at = table.xs(error, level="error")
        assert at.loc["rate", "coverage"] > 0.88 and np.isnan(at.loc["rate", "power"])
        assert at.loc["ratio of a named pair", "coverage"] > 0.88
        assert at.loc[CLAIM, "power"] > 0.8 and at.loc[CLAIM, "coverage"] >= 0.95
        assert at.loc["test that all groups have one rate", "power"] > 0.9


def test_equal_models_have_not_changed_and_thresholds_are_allowed_for():
    table = studied(Setting("models", 15, design="1 seed"), 12)
    for error in ("fmr", "fnmr"):
        at = table.xs(error, level="error")["coverage"]
        for what in ("rate", "rate at the target", "change of a rate: difference"):
            assert at[what] > 0.87
        assert at["change of a rate, of all: ratio"] > 0.75
    assert table.loc[("realised FMR", "fmr"), "coverage"] > 0.7


def test_searches_and_a_year_of_them_are_as_they_are_said_to_be():
    table = studied(Setting("searches", 30, "strong"), 20)
    for error in ("fpir", "fnir"):
        assert table.loc[("rate of searches", error), "coverage"] > 0.9
        assert table.loc[("rate of searches, of all", error), "coverage"] >= 0.85
    year = studied(Setting("years", 40, "strong"), 6)
    assert (year["coverage"] >= 0.8).all() and len(year) == 3


@pytest.mark.parametrize("broken", ["family", "subjects"])
def test_figures_that_do_not_hold_are_caught(monkeypatch, broken):
    if broken == "family":  # the largest of thirty, taken for one
        monkeypatch.setattr(Family, "reach", lambda self, confidence: 1.96)
        table, what = studied(Setting("groups", 30), 20), "ratios of all pairs"
    else:  # comparisons taken as independent
        rates = trials.ErrorCounts.rates

        def plain(self, confidence=0.95, small_samples=False):
            frame = rates(self, confidence, small_samples)
            p, n = frame["fmr"], frame["non_mated"]
            reach = 1.96 * np.sqrt(p * (1 - p) / n)
            return frame.assign(fmr_low=p - reach, fmr_high=p + reach)

        monkeypatch.setattr(trials.ErrorCounts, "rates", plain)
        table, what = studied(Setting("groups", 30, "strong"), 15), "rate"
    row = table.loc[(what, "fmr")]
    assert row["coverage"] < 0.85 and row["coverage_high"] < 0.93
    assert f"Less often than chance explains: {what} (FMR), " in fl.quantities_finding(
        table.reset_index()
    )


def test_the_study_does_not_depend_on_workers():
    one = fl.coverage_by_quantity([10], runs=12, parts=["searches"], seed=3, jobs=1)
    with joblib.parallel_config(backend="threading"):
        two = fl.coverage_by_quantity([10], runs=12, parts=["searches"], seed=3, jobs=2)
    pd.testing.assert_frame_equal(one, two)
    assert (one["runs"] == 12).all()


# ---- how it is told


def cell(quantity, error, runs, held, truth="equal", power=np.nan, **setting):
    low, high = printed.wilson(np.array([runs]), np.array([held]), np.zeros(1))
    return {
        **{"part": "groups", "subjects": 30, "hubs": "mild", "truth": truth, "design": "even"},
        **setting,
        **{"quantity": quantity, "error": error, "runs": runs, "coverage": held / runs},
        **{"coverage_low": low[0], "coverage_high": high[0], "power": power, "width": np.nan},
    }


@pytest.fixture
def table():
    return pd.DataFrame(
        [
            cell("rate", "fmr", 400, 380),
            cell("rate", "fmr", 400, 340, subjects=80, hubs="strong", design="photos"),
            cell("rate", "fnmr", 400, 369, truth="2-fold"),
            cell("index gini", "both", 400, 400, truth="2-fold", power=0.7),
            cell(CLAIM, "fmr", 400, 392, power=0.02),
            cell(CLAIM, "fmr", 400, 400, truth="2-fold", power=0.31),
        ]
    )


def test_the_finding_names_every_cell_that_holds_too_seldom(table):
    lines = fl.quantities_finding(table).splitlines()
    assert lines == [
        "3 printed quantities were tested in 6 cells of 400 simulated tests. What is printed is "
        "true in 93% to 98% of tests in 2 cells, more often in 2 and less often in 2.",
        f"- More often than chance explains, so that it could say more: index gini, {CLAIM}.",
        "- Less often than chance explains: rate (FMR), 85.0% [81.2%, 88.2%], with 80 subjects a "
        "group, strong hubs, 2 to 20 photos each.",
        "- Where groups are equal, findings claim a difference in at most 2.0% of tests (FMR, 30 "
        "subjects a group, mild hubs).",
        "- Findings tell groups apart in 31% of tests by FMR, with 30 subjects a group, mild hubs, "
        "2-fold rates.",
    ]
    good = fl.quantities_finding(table.drop(index=1))
    assert "- Nowhere less often than chance explains." in good


def test_a_row_tells_the_worst_cell_of_a_quantity(table):
    told = fl.readable_quantities(table).set_index(["printed", "error"])
    row = told.loc[("rate", "fmr")]
    assert (row["cells"], row["lowest"], row["highest"]) == (2, 0.85, 0.95)
    assert (row["below"], row["above"]) == (1, 0) and row["power"] == ""
    assert row["where"] == "80 subjects a group, strong hubs, 2 to 20 photos each"
    assert told.loc[("index gini", "both"), ["above", "power"]].tolist() == [1, "70% to 70%"]
    assert told.loc[("rate", "fnmr"), "below"] == 0, "92.3% of 400 may be chance"


def test_the_figure_marks_what_holds_too_seldom(table):
    picture = plots.coverage_by_quantity(table)
    (axes,) = picture.axes
    shown = [text.get_text() for text in axes.get_yticklabels()]
    assert shown == ["rate", "index gini", CLAIM]
    red = [line for line in axes.lines if line.get_color() == ALERT]
    assert [line.get_xdata()[0] for line in red] == [0.85]
    assert "Rate 85% to 95%" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"runs": 0}, "runs must be a whole number"),
        ({"slow_runs": 10**7}, "slow_runs must be a whole number from 1 to 1,000,000"),
        ({"subjects": []}, "groups of 10 subjects or more"),
        ({"subjects": [30, 5]}, "groups of 10 subjects or more"),
        ({"parts": []}, "and a part"),
        ({"parts": ["groups", "group"]}, "part"),
    ],
)
def test_what_cannot_be_studied_is_said(wrong, words):
    with pytest.raises(fl.BadInput, match=words):
        fl.coverage_by_quantity(**{"subjects": [30], "runs": 1, "slow_runs": 1, **wrong})


def test_every_part_has_equal_groups_and_all_parts_are_simulated():
    for subjects in ([30, 80, 200], [20]):
        settings = printed.settings_of(subjects)
        assert {one.part for one in settings} == set(trials.TRIALS)
        assert len(set(settings)) == len(settings)
        for part in trials.TRIALS:
            assert any(one.part == part and one.truth == "equal" for one in settings)
    assert made_up.HUBS.keys() == trials.DEPENDENCE.keys() and len(GROUPS) == len(CLEAR)
