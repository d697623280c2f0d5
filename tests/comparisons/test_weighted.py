"""Comparisons that were selected by chance: what they say of those that were not made."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.rates.paired import Together


def frame_of(scores, subjects_a, subjects_b, weights=None, groups=None):
    frame = pd.DataFrame({"score": scores, "subject_a": subjects_a, "subject_b": subjects_b})
    frame["mated"] = frame["subject_a"] == frame["subject_b"]
    if groups is not None:
        for side in "ab":
            frame[f"group_{side}"] = frame[f"subject_{side}"].map(groups)
    return frame if weights is None else frame.assign(weight=weights)


def test_rates_are_sums_of_weights_by_hand():
    frame = frame_of([0.9, 0.1, 0.8, 0.2, 0.3], list("abcad"), list("bcdad"), [1, 10, 2, 1, 3])
    with pytest.warns(UserWarning, match="no better than chance"):
        row = fl.Comparisons.from_scores(frame).error_rates(0.5).iloc[0]
    assert row["fmr"] == pytest.approx((1 + 2) / 13)
    assert row["fnmr"] == pytest.approx(4 / 4)
    assert row[["non_mated", "false_matches", "mated"]].tolist() == [13, 3, 4]
    told = ["compared_non_mated", "seen_false_matches", "compared_mated", "seen_false_non_matches"]
    assert row[told].tolist() == [3, 2, 2, 2]


@pytest.fixture(scope="module")
def crowd():
    people, _ = fl.crowd(60, images=2, dim=16)
    a, b = np.triu_indices(len(people), 1)
    scores = (people.vectors @ people.vectors.T)[a, b].astype(float)
    subject, group = (people.table[name].astype(str).to_numpy() for name in ("subject", "group"))
    return frame_of(scores, subject[a], subject[b], groups=dict(zip(subject, group, strict=True)))


def test_weights_of_one_change_no_rate_and_no_threshold(crowd):
    plain, weighted = (
        fl.Comparisons.from_scores(frame) for frame in (crowd, crowd.assign(weight=1.0))
    )
    t = plain.threshold(0.02)
    assert weighted.threshold(0.02) == t
    shared = ["group", "mated", "non_mated", "fmr", "fnmr", "false_matches", "false_non_matches"]
    pd.testing.assert_frame_equal(
        weighted.error_rates(t)[shared], plain.error_rates(t)[shared], check_exact=False
    )
    assert weighted.eer() == pytest.approx(plain.eer())
    assert len(weighted) == len(plain) and repr(weighted) == repr(plain)
    pd.testing.assert_frame_equal(weighted.det(), plain.det())


def test_a_threshold_is_the_laxest_that_weights_allow(crowd):
    rng = np.random.default_rng(1)
    part = crowd.sample(900, random_state=2).reset_index(drop=True)
    part["weight"] = rng.uniform(1, 20, len(part))
    found = fl.Comparisons.from_scores(part).threshold(0.03)
    apart = part[~part["mated"]]

    def fmr(t):
        return apart["weight"][apart["score"] >= t].sum() / apart["weight"].sum()

    assert fmr(found) <= 0.03 < fmr(np.nextafter(found, -np.inf))


def test_draws_are_right_on_average_and_their_intervals_hold_all_pairs(crowd):
    whole = fl.Comparisons.from_scores(crowd)
    t = whole.threshold(0.05)
    truth = whole.error_rates(t).set_index("group")["fmr"]
    chance = np.clip(0.02 + 0.6 * (crowd["score"] - crowd["score"].min()) ** 4, 0.02, 1)
    rng, found, held = np.random.default_rng(0), [], 0
    for _ in range(30):
        drawn = rng.random(len(crowd)) < chance
        part = crowd[drawn].assign(weight=1 / chance[drawn])
        rates = fl.Comparisons.from_scores(part).error_rates(t).set_index("group")
        found.append(rates["fmr"])
        held += ((rates["fmr_low"] <= truth) & (truth <= rates["fmr_high"])).mean() / 30
    found = pd.DataFrame(found)
    assert (np.abs(found.mean() - truth) < 4 * found.std() / np.sqrt(30)).all()
    assert held > 0.92


def test_disparity_contrasts_and_two_services_read_weights(crowd):
    part = crowd.sample(1500, random_state=3).reset_index(drop=True)
    part["weight"] = np.where(part["score"] > part["score"].median(), 1.0, 30.0)
    comparisons = fl.Comparisons.from_scores(part)
    t = float(part["score"].quantile(0.85))
    rates = comparisons.error_rates(t)
    groups = rates.set_index("group")["fmr"].drop("all")
    table = fl.disparity(rates).set_index(["metric", "error"])
    assert table.loc[("max_min_ratio", "fmr"), "value"] == pytest.approx(
        groups.max() / groups.min()
    )
    contrast = fl.group_contrasts(comparisons.counts(t)).iloc[0]
    assert contrast["rate"] == pytest.approx(groups[contrast["group"]])
    noisy = part.assign(score=part["score"] + np.random.default_rng(0).normal(0, 0.05, len(part)))
    other = fl.Comparisons.from_scores(noisy)
    both = Together([comparisons.counts(t), other.counts(t)], "fmr")
    assert both.rate.tolist() == pytest.approx(
        [one.error_rates(t)["fmr"].iloc[0] for one in (comparisons, other)]
    )
    paired, _ = both.variance(np.array([1.0, -1.0]))
    alone = sum(both.variance(np.eye(2)[k])[0] for k in range(2))
    assert 0 < paired < alone / 2
    with pytest.raises(fl.BadInput, match="comparisons selected by chance take"):
        fl.group_contrasts(comparisons.counts(t), weights="subjects")


@pytest.mark.parametrize("weight", [0.5, 0, -2, np.nan, np.inf, "many"])
def test_what_is_no_weight_is_refused(weight):
    frame = frame_of([0.9, 0.1, 0.2], list("aab"), list("abb"), [1, weight, 2])
    with pytest.raises(fl.BadInput, match=r"weight .* in row 1 is not 1 or more"):
        fl.Comparisons.from_scores(frame)


def test_few_weighted_errors_are_told_as_they_were_seen():
    frame = frame_of(
        np.r_[[0.9, 0.8], np.zeros(60)], [f"s{k}" for k in range(62)],
        [f"s{k + 1}" for k in range(62)], np.r_[40, 40, np.full(60, 100.0)],
    )  # fmt: skip
    note = fl.Comparisons.from_scores(frame).error_rates(0.5)["note"].iloc[0]
    assert "few errors: 2 false matches" in note


def test_two_services_that_answered_the_same_pairs_are_compared_as_audits(crowd, tmp_path):
    part = crowd.sample(2500, random_state=5).reset_index(drop=True)
    part["weight"] = np.where(part["score"] > part["score"].median(), 1.0, 30.0)
    t = float(part["score"].quantile(0.9))
    strict = fl.audit_scores(fl.Comparisons.from_scores(part), threshold=t, replicates=200)
    laxer = part.assign(score=part["score"] + 0.05)
    lax = fl.audit_scores(fl.Comparisons.from_scores(laxer), threshold=t, replicates=200)
    expected = fl.Comparisons.from_scores(part).error_rates(t)
    assert strict.rates["fmr"].tolist() == expected["fmr"].tolist()
    changed = fl.compare_audits({"strict": strict, "lax": lax}, replicates=200)
    row = changed.row("fmr:all")
    assert row["ratio"] == pytest.approx(lax.rates["fmr"][0] / strict.rates["fmr"][0])
    assert 1 < row["ratio_low"] < row["ratio"] < row["ratio_high"]
    strict.save(tmp_path / "audit")
    again = fl.Audit.load(tmp_path / "audit")
    of_both = [one.rates.drop(columns="images") for one in (again, strict)]
    pd.testing.assert_frame_equal(*of_both, check_dtype=False)
    assert again.counts.weighted and again.summary() == strict.summary()
    with pytest.raises(fl.BadInput, match="nothing to group by"):
        fl.audit_scores(fl.Comparisons.from_scores(part.drop(columns=["group_a", "group_b"])))


def test_of_these_very_people_intervals_hold_the_selection_alone(crowd):
    part = crowd.sample(2500, random_state=6).reset_index(drop=True)
    part["weight"] = np.where(part["score"] > part["score"].median(), 2.0, 4.0)
    comparisons = fl.Comparisons.from_scores(part)
    t = float(part["score"].quantile(0.9))
    sampled, fixed = (comparisons.error_rates(t, people=people) for people in ("sampled", "fixed"))
    assert sampled["fmr"].tolist() == fixed["fmr"].tolist()
    widths = [one["fmr_high"] - one["fmr_low"] for one in (fixed, sampled)]
    assert (widths[0] < widths[1]).all()
    # By hand, for everybody: the root of the sum of w (w - 1) (e - p)^2, over the sum of w.
    apart = part[~part["mated"]]
    p, w = fixed["fmr"][0], apart["weight"]
    spread = (w * (w - 1) * ((apart["score"] >= t) - p) ** 2).sum() / w.sum() ** 2
    assert fixed["effective_non_mated"][0] == pytest.approx(p * (1 - p) / spread)
    every = crowd.assign(weight=1.0)
    exact = fl.Comparisons.from_scores(every).error_rates(t, people="fixed")
    assert exact["effective_non_mated"][0] >= len(every[~every["mated"]]) * 0.99
    with pytest.raises(fl.BadInput, match="all comparisons were made"):
        fl.Comparisons.from_scores(crowd).error_rates(t, people="fixed")


def test_a_large_group_without_errors_is_worth_no_more_than_what_was_made():
    """However many comparisons two hundred stand for, they tell as much as two hundred at most."""
    rng, frames = np.random.default_rng(0), []
    for group, weight, share in (("small", 5.0, 0.1), ("large", 500.0, 0.0)):
        people = [f"{group}{k}" for k in range(400)]
        frame = frame_of(
            np.where(np.arange(200) < 200 * share, 0.9, 0.1) + rng.uniform(0, 0.05, 200),
            people[::2], people[1::2], np.full(200, weight), dict.fromkeys(people, group),
        )  # fmt: skip
        frames.append(frame)
    rates = fl.Comparisons.from_scores(pd.concat(frames)).error_rates(0.5).set_index("group")
    assert rates.loc["large", "non_mated"] == 100_000
    assert rates.loc["large", "effective_non_mated"] <= 200
    assert rates.loc["large", "fmr_high"] > 0.01


# ---- brute force: a weight of three is a comparison that is there three times


@pytest.fixture(scope="module")
def twice(crowd):
    """The same comparisons with whole weights, and each listed as often as its weight says."""
    part = crowd.sample(700, random_state=8).reset_index(drop=True)
    part["weight"] = np.random.default_rng(2).integers(1, 6, len(part)).astype(float)
    listed = part.loc[part.index.repeat(part["weight"].astype(int))].drop(columns="weight")
    with pytest.warns(UserWarning, match="count each time"):
        return fl.Comparisons.from_scores(part), fl.Comparisons.from_scores(listed)


def test_every_curve_and_rate_is_that_of_a_list_with_repeats(twice):
    weighted, listed = twice
    for fmr, group in ((0.03, None), (0.1, "a"), (0.1, "same-group")):
        assert weighted.threshold(fmr, group) == listed.threshold(fmr, group)
    t = weighted.threshold(0.05)
    shared = ["group", "mated", "non_mated", "fmr", "fnmr", "false_matches", "false_non_matches"]
    pd.testing.assert_frame_equal(weighted.error_rates(t)[shared], listed.error_rates(t)[shared])
    # Comparisons of the same two people go together, so that repeats tell no more than weights.
    numbers = [one.counts(t).sums("fmr").number for one in twice]
    assert numbers[0] == pytest.approx(numbers[1])
    shared = ["group_a", "group_b", "non_mated", "false_matches", "fmr"]
    pd.testing.assert_frame_equal(weighted.cross_group(t)[shared], listed.cross_group(t)[shared])
    pd.testing.assert_frame_equal(weighted.det(), listed.det())
    pd.testing.assert_frame_equal(fl.roc(weighted), fl.roc(listed))
    assert weighted.eer() == pytest.approx(listed.eer())
    assert weighted.area_under_roc() == pytest.approx(listed.area_under_roc())
    one, other = (fl.tar_at_far(each, 0.05) for each in twice)
    assert (one.tar, one.threshold, one.mated) == (other.tar, other.threshold, other.mated)
    for group, (edges, mated, non_mated) in weighted.histograms().items():
        theirs = listed.histograms()[group]
        for mine, its in zip((edges, mated, non_mated), theirs, strict=True):
            np.testing.assert_allclose(mine, its)


def test_indices_contrasts_and_promises_are_those_of_the_weighted_rates(twice):
    t = twice[0].threshold(0.05)
    values = [
        fl.disparity(each.error_rates(t), draws=200).set_index(["metric", "error"])["value"]
        for each in twice
    ]
    pd.testing.assert_series_equal(*values)
    one, other = (fl.group_contrasts(each.counts(t), reference="a") for each in twice)
    both = one.merge(other, on="group", suffixes=("", "_listed"))
    assert both["ratio"].tolist() == pytest.approx(both["ratio_listed"].tolist())
    one, other = (fl.promised_rates(each, {0.05: t}) for each in twice)
    assert one["times"].tolist() == pytest.approx(other["times"].tolist(), nan_ok=True)


def test_what_cannot_read_weights_says_so(twice):
    t, weighted = twice[0].threshold(0.05), twice[0]
    audit = fl.audit_scores(weighted, fmr=0.05, replicates=100)
    with pytest.raises(fl.BadInput, match="needs comparisons that stand for themselves"):
        fl.Dependence.from_counts(weighted.counts(t))
    with pytest.raises(fl.BadInput, match="give the rates alone, such as audit"):
        fl.expected_false_matches(audit, searches=1000, gallery=200)
    assert fl.expected_false_matches(audit.cross_group, searches=1000, gallery=200).bounds


def test_answers_to_different_pairs_are_not_compared_as_if_they_were_the_same(crowd):
    part = crowd.sample(1200, random_state=9).reset_index(drop=True).assign(weight=2.0)
    heavier = part.assign(weight=np.where(part.index < 600, 2.0, 3.0))
    fewer = part.drop(index=part.index[~part["mated"]][::9])
    whole, heavier, fewer = (
        fl.audit_scores(fl.Comparisons.from_scores(one), fmr=0.05, replicates=100)
        for one in (part, heavier, fewer)
    )
    with pytest.raises(fl.BadInput, match="in which faces were compared, or with which weights"):
        fl.compare_audits({"whole": whole, "heavier": heavier})
    with pytest.raises(fl.BadInput, match="differ in"):
        fl.compare_audits({"whole": whole, "fewer": fewer})


# ---- strata


def test_strata_leave_only_what_scatters_within_them(crowd):
    """By hand: the sum over strata of N^2 (1 / n - 1 / N) s^2, over the squared number of pairs."""
    apart = crowd[~crowd["mated"]].reset_index(drop=True)
    apart["stratum"] = pd.qcut(apart["score"].rank(), [0, 0.5, 0.8, 0.95, 1], labels=False)
    parts = []
    for _, part in apart.groupby("stratum"):
        drawn = part.sample(150, random_state=1)
        parts.append(drawn.assign(weight=len(part) / 150))
    drawn = pd.concat(parts)
    t = float(apart["score"].quantile(0.97))
    fixed = fl.Comparisons.from_scores(drawn).error_rates(t, people="fixed").iloc[0]
    variance = sum(
        len(part) ** 2 * (1 / 150 - 1 / len(part)) * (own["score"] >= t).var(ddof=1)
        for (_, part), own in zip(apart.groupby("stratum"), parts, strict=True)
    ) / len(apart) ** 2  # fmt: skip
    p = fixed["fmr"]
    assert fixed["effective_non_mated"] == pytest.approx(p * (1 - p) / variance)
    alone = drawn.drop(columns="stratum")
    without = fl.Comparisons.from_scores(alone).error_rates(t, people="fixed").iloc[0]
    assert without["effective_non_mated"] < fixed["effective_non_mated"]
    for people in ("sampled", "fixed"):
        with_strata, bare = (
            fl.Comparisons.from_scores(one).error_rates(t, people=people) for one in (drawn, alone)
        )
        assert with_strata["fmr"].tolist() == bare["fmr"].tolist()
        widths = [one["fmr_high"] - one["fmr_low"] for one in (with_strata, bare)]
        assert (widths[0] <= widths[1] + 1e-12).all()
    half = drawn.assign(stratum=drawn["stratum"].where(drawn["score"] < t))
    with pytest.raises(fl.BadInput, match="has no stratum: name those of all comparisons"):
        fl.Comparisons.from_scores(half)
