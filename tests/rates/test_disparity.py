"""Disparity indices: published vectors, parity, zeros, missing groups, intervals."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import norm

import facelab as fl
from facelab.rates.counts import ErrorCounts
from facelab.rates.indices import indices, is_ratio
from facelab.rates.parity import Groups, drawn, shrunk


def rates(fmr, fnmr=None, n=None, worth=None):
    frame = pd.DataFrame({"group": [f"g{k}" for k in range(len(fmr))], "fmr": fmr})
    if fnmr is not None:
        frame["fnmr"] = fnmr
    if n is not None:
        frame["non_mated"] = frame["mated"] = n
        frame["false_matches"] = np.round(frame["fmr"] * n)
    if worth is not None:
        frame["effective_non_mated"] = frame["effective_mated"] = worth
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
    numbers = ["value", "low", "high", "corrected", "parity", "parity_high", "p_parity"]
    for error in ("fmr", "fnmr", "fte"):
        assert found.loc[found["error"] == error, "metric"].tolist() == of_one
    both = set(found.loc[found["error"] == "both", "metric"])
    assert both == {"garbe", "fdr", "inequity", "ser"}
    assert list(found.columns) == ["metric", "error", *numbers, "worst", "best", "note"]
    worth = fl.disparity(rates([0.01, 0.04], n=1000, worth=100))
    assert "spread" in set(worth["metric"]), "which needs to know how sure the rates are"


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


def test_rates_that_nobody_knows_the_worth_of_have_no_interval():
    frame = rates([0.1, 0.2], [0.1, 0.2], n=1000, worth=300).assign(fte=[0.1, 0.2])
    found = fl.disparity(frame)
    unknown = found[found["error"] == "fte"]
    assert unknown[["low", "high", "parity", "p_parity"]].isna().all(axis=None)
    assert unknown["note"].str.contains("no interval").all()
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


def test_replicates_equal_one_by_one():
    rng = np.random.default_rng(0)
    draws = {error: rng.random((8, 3)) for error in ("fmr", "fnmr")}
    found = indices(rates([0.2, 0.3, 0.4], [0.1, 0.2, 0.5], n=1000), draws, a=0.3)
    for k in range(8):
        one = fl.disparity(rates(draws["fmr"][k], draws["fnmr"][k]), a=0.3)
        for (metric, error), replicates in found.items():
            if metric != "highest":
                expected = value(one, metric, error)["value"]
                assert replicates[k] == pytest.approx(expected), (metric, error)


def test_groups_without_a_rate_do_not_weigh():
    known = rates([0.2, 0.4], [0.1, 0.5], n=1000, worth=200)
    more = pd.concat([known, rates([np.nan], [np.nan]).assign(group="g9")], ignore_index=True)
    columns = ["value", "low", "high", "parity", "p_parity"]
    for one, other in zip(fl.disparity(known).iloc, fl.disparity(more).iloc, strict=True):
        assert one["value"] == pytest.approx(other["value"])
        np.testing.assert_allclose(one[columns].astype(float), other[columns].astype(float), 0.2)


def test_an_interval_holds_parity_exactly_when_the_p_value_says_so():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = rates(rng.gamma(9, 0.002, 5), rng.gamma(9, 0.01, 5), n=5000, worth=400)
        found = fl.disparity(frame)
        for row in found[found["metric"] != "spread"].to_dict("records"):
            parity = 1 if is_ratio(row["metric"]) or row["metric"] == "fdr" else 0
            holds = row["low"] <= parity <= row["high"]
            if abs(row["p_parity"] - 0.05) > 0.003:
                assert holds == (row["p_parity"] >= 0.05), row
            assert row["low"] <= row["corrected"] <= row["high"]


def test_far_from_parity_the_interval_is_the_textbooks():
    """Two groups: the logarithm of the ratio has variance 1/200 + 1/50."""
    frame = rates([0.002, 0.0005], n=10**6, worth=10**5)
    row = value(fl.disparity(frame, draws=20_000), "max_min_ratio")
    half = 1.96 * np.sqrt(1 / 200 + 1 / 50)
    assert row["low"] == pytest.approx(4 * np.exp(-half), rel=0.06)
    assert row["high"] == pytest.approx(4 * np.exp(half), rel=0.08)
    assert row["parity"] < row["parity_high"] < 2
    assert row["p_parity"] < 0.01


def test_equal_groups_show_what_the_range_of_normal_numbers_says():
    """Six rates of 1,000 effective errors: the range of six normals, Tukey's, is the floor."""
    frame = rates([0.01] * 5 + [0.0104], n=10**7, worth=10**5)
    row = value(fl.disparity(frame, draws=20_000), "max_min_ratio")
    deviation = np.sqrt(1 / 1000)
    for share, name in ((0.5, "parity"), (0.95, "parity_high")):
        expected = np.exp(deviation * stats.studentized_range.ppf(share, 6, 1e5))
        assert row[name] == pytest.approx(expected, rel=0.01)


def test_spread_is_what_standard_errors_leave_of_the_variance():
    x = np.array([0.01, 0.02, 0.03])
    row = value(fl.disparity(rates(x, n=9999, worth=5000)), "spread")
    left = np.var(x, ddof=1) - (x * (1 - x) / 5000).mean()
    assert row["value"] == pytest.approx(np.sqrt(left))
    row = value(fl.disparity(rates(x, n=9999, worth=100)), "spread")
    assert row["value"] == row["low"] == 0, "noise explains all of it"
    assert row["high"] > 0, "which is not to say that there is nothing"


def test_drawn_rates_have_the_mean_the_variance_and_the_zeros_of_bunched_errors():
    rng = np.random.default_rng(0)
    rate, number = np.array([0.001, 0.02, 0.4, 0.97]), np.array([3000.0, 500, 40, 90])
    found = drawn(rate, number, 200_000, rng)
    np.testing.assert_allclose(found.mean(axis=0), rate, rtol=0.02)
    np.testing.assert_allclose(found.var(axis=0), rate * (1 - rate) / number, rtol=0.05)
    assert (found[:, 0] == 0).mean() == pytest.approx(np.exp(-2 * 3 / 0.999), rel=0.1)


def test_groups_learn_from_each_other_how_errors_bunch():
    groups = Groups(np.array([0.1, 0.1, 0.1]), np.array([100.0, 100, 1000]), np.full(3, 1000.0))
    own = shrunk(groups)
    assert 100 < own[0] == own[1] < own[2] < 1000
    nobody = Groups(np.zeros(2), np.array([50.0, 70]), np.full(2, 1000.0))
    np.testing.assert_array_equal(shrunk(nobody), [50, 70])


def test_one_test_of_all_groups_together():
    found = fl.homogeneity(rates([0.01, 0.011, 0.009], [0.1, 0.1, 0.4], n=10**4, worth=2000))
    p = found.set_index("error")["p"]
    assert p["fmr"] > 0.5 and p["fnmr"] < 0.001
    # Of independent comparisons it is the chi-squared test.
    table = [[20, 1980], [22, 1978], [40, 1960]]
    frame = rates([0.01, 0.011, 0.02], n=2000, worth=2000)
    expected = stats.chi2_contingency(table, correction=False)
    row = fl.homogeneity(frame, draws=40_000).iloc[0]
    assert row["statistic"] == pytest.approx(expected.statistic, rel=0.03)
    assert row["p"] == pytest.approx(expected.pvalue, abs=0.012)
    assert np.isnan(fl.homogeneity(rates([0.0, 0.0], n=9, worth=9))["p"].iloc[0])
    with pytest.raises(fl.BadInput, match="how many independent comparisons the rates are worth"):
        fl.homogeneity(rates([0.1, 0.2]))


def test_rates_are_drawn_to_their_mean_by_their_share_of_noise():
    x, worth = np.array([0.01, 0.02, 0.06]), 2000
    found = fl.shrunken_rates(rates(x, n=9999, worth=worth))
    noise = x.mean() * (1 - x.mean()) / worth
    between = np.var(x, ddof=1) - noise
    share = between / (between + noise)
    np.testing.assert_allclose(found["fmr_weight"], share)
    np.testing.assert_allclose(found["fmr_shrunken"], share * x + (1 - share) * x.mean())
    nothing = fl.shrunken_rates(rates([0.010, 0.011, 0.012], n=999, worth=200))
    np.testing.assert_allclose(nothing["fmr_shrunken"], 0.011)
    with pytest.raises(fl.BadInput, match="give the rates of an audit"):
        fl.shrunken_rates(rates(x))


def test_shrunken_rates_lie_nearer_to_the_truth():
    rng, own, drawn_to = np.random.default_rng(0), 0.0, 0.0
    for _ in range(60):
        truth = rng.gamma(16, 0.01 / 16, 20)
        seen = rng.binomial(1500, truth) / 1500
        found = fl.shrunken_rates(rates(seen, n=1500, worth=1500))
        own += ((seen - truth) ** 2).sum()
        drawn_to += ((found["fmr_shrunken"] - truth) ** 2).sum()
    assert drawn_to < 0.75 * own


def bunched(rng, rate, subjects=30, groups=6):
    """Groups whose look-alike pairs bring several false matches at once: rates and counts."""
    units = pd.DataFrame({"subject": [f"s{k:03d}" for k in range(subjects * groups)]})
    units["group"], units["images"] = np.repeat(np.arange(groups), subjects), 10
    a, b = np.triu_indices(len(units), 1)
    within = a // subjects == b // subjects
    a, b = a[within], b[within]
    p = norm.cdf(
        norm.ppf(rate[a // subjects]) * np.sqrt(1.9) + np.sqrt(0.9) * rng.normal(size=len(a))
    )
    pairs = pd.DataFrame({"unit_a": a, "unit_b": b, "errors": rng.binomial(100, p)})
    return ErrorCounts(0.5, tuple("abcdef"[:groups]), units, pairs.query("errors > 0"), True)


def test_equal_groups_are_seldom_called_unequal_and_unequal_ones_held():
    rng, held, told = np.random.default_rng(3), [], []
    factors = np.array([1, 1, 1.5, 1.5, 2, 3])
    for _ in range(60):
        for rate, into in ((np.full(6, 0.004), held), (0.004 * factors, told)):
            found = fl.disparity(bunched(rng, rate).rates(small_samples=True), draws=600)
            for metric, of_factors in (("max_min_ratio", 3.0), ("gini", None)):
                row = value(found, metric)
                parity = 1.0 if metric == "max_min_ratio" else 0.0
                exact = value(fl.disparity(rates(factors / 10)), "gini")["value"]
                true = parity if into is held else of_factors or exact
                into.append(row["low"] <= true <= row["high"])
    assert np.mean(held) >= 0.89 and np.mean(told) >= 0.89


@pytest.mark.real
def test_nist_medians_and_ratios(real):
    table = pd.read_csv(real / "nist" / "frvt_11_gender_race.csv", index_col=0)
    same = table[["MW_MW", "FW_FW", "MB_MB", "FB_FB"]]
    np.testing.assert_allclose(same.median(), [0.001, 0.0029, 0.0023, 0.0117], atol=6e-5)
    frame = same.iloc[0].rename("fmr").rename_axis("group").reset_index()
    row = value(fl.disparity(frame), "max_min_ratio")
    assert row["value"] == pytest.approx(0.0044 / 0.0005)
    assert (row["worst"], row["best"]) == ("FW_FW", "MB_MB")
