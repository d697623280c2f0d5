"""The same pair twice, and the same test on two dates."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.rates.intervals import small_sample_wilson
from facelab.services.stability import pair_sums


@pytest.fixture(scope="module")
def people():
    return fl.crowd(80, images=2, dim=64)[0]


@pytest.fixture(scope="module")
def plan(people):
    return fl.plan_pairs(people, "group", fmr=0.02, budget=900, mated=0.2)


def asked(people, plan, jitter=0.0, seed=0, shift=0.0):
    a, b = (people.vectors[plan[row]] for row in ("row_a", "row_b"))
    rng = np.random.default_rng(seed)
    score = (a * b).sum(axis=1) + shift + jitter * rng.standard_normal(len(plan))
    return plan.assign(score=score, status="ok")


# ---- (a, b) and (b, a)


def test_turned_pairs_are_the_same_pairs_of_every_set(people, plan):
    turned = fl.turned_pairs(plan, 100, seed=2)
    assert len(turned) == 100 and "probability" not in turned
    known = set(zip(plan["row_a"], plan["row_b"], strict=True))
    assert {(b, a) for a, b in zip(turned["row_a"], turned["row_b"], strict=True)} <= known
    assert (turned["image_a"] == people.table["image"].to_numpy()[turned["row_a"]]).all()
    counts = turned["group"].value_counts()
    assert counts.max() - counts.min() <= 1, "as evenly as there are sets"
    assert len(fl.turned_pairs(plan, 10_000)) == len(plan)
    with pytest.raises(fl.BadInput, match="row_a, row_b or image_a"):
        fl.turned_pairs(plan[["group"]])


def test_a_service_that_compares_templates_says_the_same_both_ways(people, plan):
    turned = fl.turned_pairs(plan, 200)
    table = fl.instability(asked(people, plan), asked(people, turned), threshold=0.4)
    assert table["differ"].eq(0).all() and table.loc[0, "pairs"] == 200
    assert table["largest_change"].max() < 1e-6 and table.loc[0, "low"] == 0
    assert 0 < table.loc[0, "high"] < 0.03


def test_what_differs_is_counted_by_hand(people, plan):
    first, second = asked(people, plan), asked(people, plan, jitter=0.1)
    table = fl.instability(first, second, threshold=0.4).set_index("group")
    differ = (first["score"] >= 0.4) != (second["score"] >= 0.4)
    assert table.loc["all", "differ"] == differ.sum() > 5
    change = (first["score"] - second["score"]).abs()
    assert table.loc["all", "mean_change"] == pytest.approx(change.mean())
    inside = first["group_a"].where(first["group_a"] == first["group_b"])
    for name in "abcd":
        assert table.loc[name, "differ"] == differ[inside == name].sum()
        assert table.loc[name, "pairs"] == (inside == name).sum()


def test_failures_of_one_call_alone_are_counted_and_censored_scores_are_no_match():
    first = pd.DataFrame({"image_a": list("abcd"), "image_b": list("efgh")})
    first["score"], first["threshold_used"] = [90.0, np.nan, np.nan, 85.0], 80.0
    first["status"] = ["ok", "below_threshold", "no_face_probe", "ok"]
    second = first.assign(score=[79.0, 88.0, 91.0, 99.0], status="ok")
    table = fl.instability(first, second).iloc[0]
    assert table[["pairs", "differ", "failed_once"]].tolist() == [3, 2, 1]
    with pytest.raises(fl.BadInput, match="below the service's own"):
        fl.instability(first, second, threshold=70)
    with pytest.raises(fl.BadInput, match="no pair is in both"):
        fl.instability(first, second.assign(image_a="z"), threshold=80)
    with pytest.raises(fl.BadInput, match="do not tell the threshold"):
        fl.instability(first, second.assign(threshold_used=np.nan))


def test_the_variance_over_pairs_of_people_is_that_of_the_slow_sum():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 30, (2, 150))
    wrong = rng.random(150) < np.where(a < 8, 0.8, 0.1)
    sums = pair_sums(wrong, pd.Series(a), pd.Series(b))
    y, slow = wrong - wrong.mean(), 0.0
    for i in range(150):
        for j in range(150):
            slow += bool({a[i], b[i]} & {a[j], b[j]}) * y[i] * y[j]
    assert sums.plain[0] == pytest.approx(slow / 150**2)
    assert sums.errors[0] == wrong.sum() and sums.comparisons[0] == 150


def test_the_interval_of_instability_holds_what_it_says():
    """300 tests of 60 people of whom each has his own chance to be told differently."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        odd = rng.beta(1, 9, 60)
        a, b = rng.integers(0, 60, (2, 400))
        b = np.where(a == b, (b + 1) % 60, b)
        wrong = rng.random(400) < (odd[a] + odd[b]) / 2
        low, high = small_sample_wilson(pair_sums(wrong, pd.Series(a), pd.Series(b)))
        held += low[0] <= 0.1 <= high[0]
    assert held >= 0.95 * 300 - 2 * np.sqrt(0.05 * 0.95 * 300)


# ---- the same test on two dates


def test_a_changed_service_signals_and_an_unchanged_one_does_not(people, plan):
    tests = {
        "2023": asked(people, plan),
        "2024": asked(people, plan),
        "2025": asked(people, plan, shift=0.25),
    }
    chart = fl.control_chart(tests, threshold=0.35)
    rows = chart.set_index(["test", "error", "group"])
    rates = fl.Comparisons.from_answers(tests["2025"]).error_rates(0.35)
    assert rows.loc[("2025", "fmr", "all"), "rate"] == pytest.approx(rates.loc[0, "fmr"])
    assert not chart[chart["test"] != "2025"]["signal"].any()
    assert rows.loc[("2024", "fmr", "all"), "ratio"] == 1
    late = rows.loc[("2025", "fmr", "all")]
    assert late["signal"] and late["ratio_low"] > 1 and late["rate"] > late["high"]
    assert chart[chart["test"] == "2023"][["low", "high"]].isna().all(axis=None)
    later = chart[(chart["test"] == "2025") & chart["ratio"].notna()]
    outside = (later["rate"] > later["high"] * (1 + 1e-9)) | (later["rate"] < later["low"])
    assert (outside == later["signal"]).all(), "a signal is a rate beyond its limits"
    figure = fl.plots.control_chart(chart)
    assert "2025 FMR of all" in figure.alt and "2024 FMR" not in figure.alt


def test_pairs_that_a_test_lost_are_left_out_of_all(people, plan):
    late = asked(people, plan)
    late.loc[:99, "status"], late.loc[:99, "score"] = "no_face_probe", np.nan
    chart = fl.control_chart({"a": asked(people, plan), "b": late}, threshold=0.35)
    assert set(chart["pairs"]) == {len(plan) - 100} and not chart["signal"].any()


def test_versions_are_said_and_thresholds_may_move(people, plan):
    tests = {
        "a": asked(people, plan).assign(model_version="6.0"),
        "b": asked(people, plan, shift=0.1).assign(model_version="7.0"),
    }
    chart = fl.control_chart(tests, threshold={"a": 0.35, "b": 0.45})
    assert chart.groupby("test")["version"].unique().explode().to_dict() == {"a": "6.0", "b": "7.0"}
    assert not chart["signal"].any() and chart["ratio"].dropna().round(9).eq(1).all()


@pytest.mark.parametrize("dates", [4, pytest.param(80, marks=pytest.mark.slow)])
def test_a_service_with_the_same_noise_on_every_date_seldom_signals(people, plan, dates):
    """Pairs of dates that differ by chance alone, each with ten control limits of 99.73 %."""
    signals = [
        fl.control_chart(
            {"a": asked(people, plan, 0.1, 2 * k), "b": asked(people, plan, 0.1, 2 * k + 1)},
            threshold=0.35,
        )["signal"].sum()
        for k in range(dates)
    ]
    assert sum(signals) <= 1 + 6 * dates / 80, "where 0.0027 of the limits are expected"


def test_what_is_no_chart_is_one_sentence(people, plan):
    one = asked(people, plan)
    with pytest.raises(fl.BadInput, match="two tests or more"):
        fl.control_chart({"a": one}, threshold=0.3)
    with pytest.raises(fl.BadInput, match="threshold of 'b'"):
        fl.control_chart({"a": one, "b": one}, threshold={"a": 0.3})
    with pytest.raises(fl.BadInput, match="no pair was scored in every test"):
        fl.control_chart({"a": one, "b": one.assign(image_a="x", row_a=-1)}, threshold=0.3)
