"""Disparity indices: published vectors, parity, zeros, missing groups, intervals."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import facelab as fl
from facelab.rates.counts import ErrorCounts, Rates, double_or_nothing
from facelab.rates.indices import indices, is_ratio, normal_interval


def rates(fmr, fnmr=None, n=None):
    frame = pd.DataFrame({"group": [f"g{k}" for k in range(len(fmr))], "fmr": fmr})
    if fnmr is not None:
        frame["fnmr"] = fnmr
    if n is not None:
        frame["non_mated"] = frame["mated"] = n
        frame["false_matches"] = np.round(frame["fmr"] * n)
    return frame


def value(found, metric, error="fmr"):
    return found[(found["metric"] == metric) & (found["error"] == error)].iloc[0]


def test_the_published_vector():
    found = fl.disparity(rates(np.array([1, 3, 1, 5]) * 1e-4))
    assert value(found, "gini")["value"] == pytest.approx(0.4667, abs=5e-5)
    assert value(found, "max_geomean_ratio")["value"] == pytest.approx(2.5407, abs=5e-5)
    assert value(found, "max_min_ratio")["value"] == pytest.approx(5)
    assert value(found, "max_min_difference")["value"] == pytest.approx(4e-4)
    assert value(found, "std")["value"] == pytest.approx(np.std([1e-4, 3e-4, 1e-4, 5e-4]))
    assert value(found, "std")["note"].startswith("ddof=0")
    assert (value(found, "gini")["worst"], value(found, "gini")["best"]) == ("g3", "g0")
    assert value(fl.disparity(rates([0, 0, 0, 1])), "gini")["value"] == 1


def test_indices_of_both_errors_by_hand():
    found = fl.disparity(rates([0.01, 0.04], [0.1, 0.2]), a=0.25)
    assert value(found, "fdr", "both")["value"] == pytest.approx(1 - 0.25 * 0.03 - 0.75 * 0.1)
    assert value(found, "inequity", "both")["value"] == pytest.approx(4**0.25 * 2**0.75)
    # Two groups: the corrected Gini is |x - y| / (x + y).
    assert value(found, "garbe", "both")["value"] == pytest.approx(0.25 * 0.6 + 0.75 / 3)
    assert value(found, "fdr", "both")["worst"] == "fmr: g1; fnmr: g1"


def test_every_index_of_the_field_is_there():
    found = fl.disparity(rates([0.01, 0.04], [0.1, 0.2]).assign(fte=[0.0, 0.3]))
    of_one = ["max_min_ratio", "max_min_difference", "max_geomean_ratio", "gini"]
    of_one += ["std", "mad", "max_abs_deviation"]
    for error in ("fmr", "fnmr", "fte"):
        assert found.loc[found["error"] == error, "metric"].tolist() == of_one
    both = set(found.loc[found["error"] == "both", "metric"])
    assert both == {"garbe", "fdr", "inequity", "ser"}
    assert list(found.columns) == [
        "metric",
        "error",
        "value",
        "low",
        "high",
        "worst",
        "best",
        "note",
    ]


def test_deviations_from_the_mean_by_hand():
    # The mean of 1, 3, 1, 5 is 2.5: deviations 1.5, 0.5, 1.5, 2.5.
    found = fl.disparity(rates(np.array([1, 3, 1, 5]) * 1e-4))
    assert value(found, "mad")["value"] == pytest.approx(1.5e-4)
    assert value(found, "max_abs_deviation")["value"] == pytest.approx(2.5e-4)
    frame = rates([0.1, 0.2, np.nan, 0.6])
    assert value(fl.disparity(frame), "mad")["value"] == pytest.approx(0.2)
    assert value(fl.disparity(frame), "max_abs_deviation")["value"] == pytest.approx(0.3)


def test_the_skewed_error_ratio_is_that_of_a_balanced_pair_list():
    # 100 mated and 100 non-mated pairs a group: 4 + 10 errors of 200, and 1 + 27.
    frame = rates([0.04, 0.01], [0.10, 0.27])
    row = value(fl.disparity(frame), "ser", "both")
    assert row["value"] == pytest.approx((28 / 200) / (14 / 200))
    assert (row["worst"], row["best"]) == ("g1", "g0")
    assert value(fl.disparity(frame, a=1), "ser", "both")["value"] == pytest.approx(4)
    # A group without errors of either kind is bounded; one kind alone needs no bound.
    row = value(fl.disparity(rates([0.0, 0.04], [0.0, 0.16], n=100)), "ser", "both")
    assert row["value"] == pytest.approx(0.10 / 0.03)
    assert row["note"].startswith("lower bound: g0 has no errors")
    row = value(fl.disparity(rates([0.0, 0.04], [0.1, 0.16])), "ser", "both")
    assert row["value"] == pytest.approx(0.10 / 0.05)
    assert "bound" not in row["note"]


@settings(max_examples=10, deadline=None)
@given(errors=st.lists(st.integers(1, 50), min_size=2, max_size=6))
def test_difference_and_ratio_equal_fairlearn(errors):
    # One row a comparison, as fairlearn wants them; its ratio is the inverse of ours.
    group = np.repeat([f"g{k}" for k in range(len(errors))], 50)
    missed = np.concatenate([np.arange(50) < count for count in errors])
    frame = MetricFrame(
        metrics=lambda truth, said: float(np.mean(said)),
        y_true=np.zeros(len(group)),
        y_pred=missed.astype(float),
        sensitive_features=group,
    )
    found = fl.disparity(rates(np.array(errors) / 50))
    assert value(found, "max_min_difference")["value"] == pytest.approx(frame.difference())
    assert value(found, "max_min_ratio")["value"] == pytest.approx(1 / frame.ratio())


def test_failures_to_enrol_are_summarised_too():
    counts = {"attempts": [1000, 1000, 500], "failures_to_enrol": [2, 30, 0]}
    frame = pd.DataFrame({"group": ["a", "b", "c"], "fte": [0.002, 0.03, 0.0], **counts})
    row = value(fl.disparity(frame), "max_min_ratio", "fte")
    assert row["value"] == pytest.approx(0.03 / 0.002), "3/500 bounds c, and a is lower"
    assert row["note"].startswith("lower bound: c has no failures to enrol; rough: only one or two")
    assert (row["worst"], row["best"]) == ("b", "c")
    assert value(fl.disparity(frame), "max_min_difference", "fte")["value"] == pytest.approx(0.03)
    assert set(fl.disparity(frame)["error"]) == {"fte"}
    row = value(fl.disparity(frame.drop(columns="attempts")), "max_min_ratio", "fte")
    assert np.isnan(row["value"])
    assert "no count of attempts to bound the rate with" in row["note"]


def test_errors_that_the_replicates_lack_have_no_interval():
    frame = rates([0.1, 0.2], [0.1, 0.2], n=1000).assign(fte=[0.1, 0.2])
    draws = Rates(np.full((9, 3), 0.1), np.full((9, 3), 0.1))
    found = fl.disparity(frame, replicates=draws)
    assert found.loc[found["error"] == "fte", ["low", "high"]].isna().all(axis=None)
    assert found.loc[found["error"] == "fte", "note"].str.contains("no interval").all()
    assert found.loc[found["error"] != "fte", "low"].notna().all()


def test_groups_may_be_numbers():
    frame = pd.DataFrame({"group": [1, 2, 3], "fmr": [0.1, 0.3, None]})
    row = value(fl.disparity(frame), "max_min_ratio")
    assert (row["worst"], row["best"]) == ("2", "1")
    assert row["note"].startswith("without 3: no fmr")


def test_gini_equals_the_double_sum():
    x = np.random.default_rng(0).random(7)
    n = len(x)
    expected = n / (n - 1) * np.abs(x[:, None] - x).sum() / (2 * n**2 * x.mean())
    assert value(fl.disparity(rates(x)), "gini")["value"] == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(x=st.floats(1e-6, 1), n=st.integers(2, 9))
def test_equal_rates_are_parity(x, n):
    found = fl.disparity(rates([x] * n, [x] * n))
    parity = found["metric"].map(lambda m: 1 if is_ratio(m) or m == "fdr" else 0)
    np.testing.assert_allclose(found["value"], parity, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(x=st.lists(st.floats(1e-6, 1), min_size=2, max_size=8), seed=st.integers(0, 99))
def test_order_of_groups_and_scale_of_rates_do_not_matter(x, seed):
    order = np.random.default_rng(seed).permutation(len(x))
    one, other = (fl.disparity(rates(np.array(y))) for y in (x, np.array(x)[order] * 0.5))
    relative = one["metric"].map(is_ratio) | (one["metric"] == "gini")
    np.testing.assert_allclose(
        one["value"][relative], other["value"][relative], rtol=1e-9, atol=1e-9
    )


def test_a_group_without_errors_gives_a_lower_bound_not_infinity():
    found = fl.disparity(rates([0.0, 0.01, 0.02], n=3000))
    row = value(found, "max_min_ratio")
    assert row["value"] == pytest.approx(0.02 / (3 / 3000))
    assert row["note"].startswith("lower bound: g0 has no false matches")
    geometric = (0.001 * 0.01 * 0.02) ** (1 / 3)
    assert value(found, "max_geomean_ratio")["value"] == pytest.approx(0.02 / geometric)
    # A tiny group's bound may not turn the ratio round.
    frame = rates([0.0, 0.01, 0.02], n=3000)
    frame.loc[0, "non_mated"] = 10
    assert value(fl.disparity(frame), "max_min_ratio")["value"] == 2


def test_a_ratio_that_hangs_on_one_error_says_so():
    row = value(fl.disparity(rates([0.001, 0.01, 0.05], n=1000)), "max_min_ratio")
    assert row["note"].startswith("rough: only one or two false matches in g0")


def test_zero_without_counts_is_undefined_and_says_so():
    row = value(fl.disparity(rates([0.0, 0.01])), "max_min_ratio")
    assert np.isnan(row["value"])
    assert "undefined: g0 has no false matches and no count" in row["note"]


def test_no_errors_anywhere():
    found = fl.disparity(rates([0.0, 0.0], n=100))
    assert np.isnan(value(found, "max_min_ratio")["value"])
    assert "no group has false matches: ratio undefined" in value(found, "max_min_ratio")["note"]
    assert value(found, "gini")["value"] == 0
    assert "no group has false matches" in value(found, "gini")["note"]


def test_a_group_without_a_rate_is_named_and_all_is_passed_over():
    frame = pd.DataFrame({"group": ["all", "a", "b", "c"], "fmr": [0.9, 0.1, 0.2, np.nan]})
    row = value(fl.disparity(frame), "max_min_ratio")
    assert row["value"] == pytest.approx(2)
    assert row["note"].startswith("without c: no fmr")
    row = value(fl.disparity(frame.iloc[:2]), "gini")
    assert np.isnan(row["value"])
    assert "needs two groups with fmr" in row["note"]


@pytest.mark.parametrize(
    ("frame", "a", "message"),
    [
        (rates([0.1, 2.0]), 0.5, "the fmr of group 'g1' is 2.0: rates are shares"),
        (rates([0.1, 0.2]).assign(group="x"), 0.5, "group 'x' stands in the rates twice"),
        (rates([0.1]).assign(group="all"), 0.5, "of nobody but all together: make them by group"),
        (rates([0.1, 0.2])[["group"]], 0.5, "rates need a column `group`"),
        (rates([0.1, 0.2]), 2, "weight a must lie in"),
        (rates([0.1, "few"]), 0.5, "the fmr of group 'g1' is few: rates are shares"),
        (rates([0.1, np.inf]), 0.5, "the fmr of group 'g1' is inf: rates are shares"),
    ],
)
def test_bad_rates_are_named(frame, a, message):
    with pytest.raises(fl.BadInput, match=message):
        fl.disparity(frame, a)


def test_replicates_equal_one_by_one_and_skip_empty_groups():
    rng = np.random.default_rng(0)
    draws = Rates(rng.random((8, 4)), rng.random((8, 4)))
    draws.fmr[3, 2] = np.nan
    frame = rates([0.2, 0.3, 0.4], [0.1, 0.2, 0.5], n=1000)
    found = indices(frame, draws, a=0.3)
    for k in range(8):
        one = fl.disparity(rates(draws.fmr[k, 1:], draws.fnmr[k, 1:]), a=0.3)
        for (metric, error), replicates in found.items():
            expected = value(one, metric, error)["value"]
            assert replicates[k] == pytest.approx(expected), (metric, error)


def test_intervals_hold_the_estimate_and_stop_at_parity():
    rng = np.random.default_rng(1)
    x = np.array([0.01, 0.02, 0.03])
    noisy = x * np.exp(0.2 * rng.normal(size=(2000, 3)))
    draws = Rates(np.column_stack([x.mean() + 0 * noisy[:, 0], noisy]), np.full((2000, 4), 0.1))
    found = fl.disparity(rates(x, [0.1] * 3, n=10**6), replicates=draws)
    row = value(found, "max_min_ratio")
    assert row["low"] < 3 < row["high"]
    # ln(max/min) of two lognormal rates with sd 0.2 has sd 0.28.
    assert np.log(row["high"] / row["low"]) == pytest.approx(2 * 1.96 * 0.2 * np.sqrt(2), rel=0.15)
    assert (found["low"] <= found["value"] + 1e-12).all()
    assert (found["high"] >= found["value"] - 1e-12).all()
    assert value(found, "max_min_ratio", "fnmr")[["low", "high"]].tolist() == [1, 1]


def test_a_lower_bound_has_no_upper_end():
    draws = Rates(np.tile([0.01, 0.0, 0.02], (100, 1)), np.full((100, 3), 0.1))
    found = fl.disparity(rates([0.0, 0.02], [0.1, 0.1], n=3000), replicates=draws)
    row = value(found, "max_min_ratio")
    assert [row["value"], row["low"]] == pytest.approx([20, 20])
    assert np.isnan(row["high"])


def test_the_interval_of_an_index_stands_about_its_estimate():
    draws = 3 + np.random.default_rng(0).normal(size=10_000)
    low, high = normal_interval(2, draws, 0.95, log=False)
    assert [low, high] == pytest.approx([2 - 1.96, 2 + 1.96], abs=0.06)
    low, high = normal_interval(2, np.exp(draws), 0.95, log=True)
    assert [low, high] == pytest.approx([2 * np.exp(-1.96), 2 * np.exp(1.96)], rel=0.03)
    assert np.isnan(normal_interval(2, np.array([np.nan]), 0.95, log=False)).all()


def test_equal_groups_are_seldom_called_unequal():
    # Six groups with one rate; look-alike pairs bring several false matches at once.
    rng, subjects, groups, hits = np.random.default_rng(3), 30, 6, 0
    units = pd.DataFrame({"subject": [f"s{k:03d}" for k in range(subjects * groups)]})
    units["group"], units["images"] = np.repeat(np.arange(groups), subjects), 10
    a, b = np.triu_indices(len(units), 1)
    within = a // subjects == b // subjects
    a, b = a[within], b[within]
    for _ in range(40):
        p = norm.cdf(-4.2 + np.sqrt(0.9) * rng.normal(size=len(a)))
        pairs = pd.DataFrame({"unit_a": a, "unit_b": b, "errors": rng.binomial(100, p)})
        counts = ErrorCounts(0.5, tuple("abcdef"), units, pairs.query("errors > 0"), True)
        weights = double_or_nothing(len(units), 200, rng)
        found = fl.disparity(counts.rates(), replicates=counts.resample(weights))
        hits += value(found, "max_min_ratio")["low"] == 1
    assert hits >= 34


@pytest.mark.real
def test_nist_medians_and_ratios(real):
    table = pd.read_csv(real / "nist" / "frvt_11_gender_race.csv", index_col=0)
    same = table[["MW_MW", "FW_FW", "MB_MB", "FB_FB"]]
    np.testing.assert_allclose(same.median(), [0.001, 0.0029, 0.0023, 0.0117], atol=6e-5)
    frame = same.iloc[0].rename("fmr").rename_axis("group").reset_index()
    row = value(fl.disparity(frame), "max_min_ratio")
    assert row["value"] == pytest.approx(0.0044 / 0.0005)
    assert (row["worst"], row["best"]) == ("FW_FW", "MB_MB")
