"""Error rates and their intervals: against cimat, fairlearn and brute-force resampling."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import confusion_matrix

import facelab as fl
from facelab.rates.counts import ErrorCounts
from facelab.rates.intervals import wilson
from facelab.rates.paired import Together

COLUMNS = ["group", "subjects", "images", "mated", "non_mated"]
COLUMNS += ["fmr", "fmr_low", "fmr_high", "fnmr", "fnmr_low", "fnmr_high", "note"]


def people(sizes, groups, noise=0.8, seed=1, dim=12, rng=None):
    rng = rng or np.random.default_rng(seed)
    subject = np.repeat(np.arange(len(sizes)), sizes)
    vectors = rng.normal(size=(len(sizes), dim))[subject]
    vectors = vectors + noise * rng.normal(size=vectors.shape)
    table = pd.DataFrame({"subject": [f"s{k:03d}" for k in subject]})
    table["race"] = np.asarray(groups, dtype=object)[subject]
    return fl.Embeddings.from_arrays(vectors, table)


def pair_frame(embeddings):
    """Every pair with its score, subjects and labels."""
    i, j = np.triu_indices(len(embeddings), 1)
    v = embeddings.vectors.astype(np.float64)
    frame = pd.DataFrame({"score": (v @ v.T)[i, j].astype(np.float32)})
    for side, rows in (("a", i), ("b", j)):
        frame[f"subject_{side}"] = embeddings.table["subject"].to_numpy()[rows]
        frame[f"group_{side}"] = embeddings.table["race"].astype(object).to_numpy()[rows]
    return frame.assign(mated=frame["subject_a"] == frame["subject_b"])


@pytest.mark.parametrize("t", [0.15, 0.3, 0.45, 0.6])
@pytest.mark.parametrize("confidence", [0.95, 0.9])
def test_intervals_equal_cimat(t, confidence):
    cimat = pytest.importorskip("cimat.uncertainty_estimator")
    rng = np.random.default_rng(0)
    embeddings = people(rng.integers(2, 7, 24), ["a", "b", "c"] * 8)
    frame = pair_frame(embeddings)
    found = fl.compare_all(embeddings, by="race").error_rates(t, confidence).set_index("group")
    for group in ("all", "a", "b", "c"):
        here = frame if group == "all" else frame.query("group_a == @group and group_b == @group")
        # cimat's own data class stores every pair of subjects in both directions.
        scores = {subject: {} for subject in np.unique(here["subject_a"])}
        for (a, b), rows in here.groupby(["subject_a", "subject_b"]):
            scores.setdefault(a, {})[b] = rows["score"].tolist()
            scores.setdefault(b, {})[a] = rows["score"].tolist()
        estimator = cimat.UncertaintyEstimator(scores)
        fnmr, fmr = estimator.get_binerror_ci(t, alpha=1 - confidence)
        row = found.loc[group]
        assert row["false_matches"] > 1, "cimat counts pairs twice, so its rule for one differs"
        np.testing.assert_allclose([row["fmr_low"], row["fmr_high"]], fmr, rtol=0, atol=1e-9)
        np.testing.assert_allclose([row["fnmr_low"], row["fnmr_high"]], fnmr, rtol=0, atol=1e-9)


def test_variance_of_fmr_equals_a_sum_over_all_pairs_of_pairs():
    embeddings = people([3, 1, 4, 2, 2, 5], ["a"] * 3 + ["b"] * 3)
    counts, frame = fl.compare_all(embeddings, by="race").counts(0.0), pair_frame(embeddings)
    z = norm.ppf(0.975)
    for row in counts.cross_group().itertuples():
        groups = {row.group_a, row.group_b}
        inside = [set(x) == groups for x in zip(frame["group_a"], frame["group_b"], strict=True)]
        here = frame[np.array(inside) & ~frame["mated"]]
        assert 1 < row.false_matches < row.non_mated - 1, "the rules for one error would apply"
        y = (here["score"] >= 0.0) - row.fmr
        cells = y.groupby([here["subject_a"], here["subject_b"]]).sum()
        own = (cells**2).sum()
        shared = sum(
            one * two
            for pair, one in cells.items()
            for other, two in cells.items()
            if len(set(pair) & set(other)) == 1
        )
        variance = (own + max(shared, 0)) / len(here) ** 2
        n = row.fmr * (1 - row.fmr) / variance
        centre, half = (
            row.fmr + z**2 / 2 / n,
            z * np.sqrt(row.fmr * (1 - row.fmr) / n + (z / n / 2) ** 2),
        )
        expected = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
        assert (row.fmr_low, row.fmr_high) == pytest.approx(expected, abs=1e-12)


def test_columns_rates_and_groups_equal_fairlearn():
    from fairlearn.metrics import MetricFrame

    embeddings = people([4] * 12, ["a", "b", "c"] * 4)
    frame, t = pair_frame(embeddings), 0.3
    rates = fl.compare_all(embeddings, by="race").error_rates(t)
    assert rates.columns[:12].tolist() == COLUMNS
    within = frame[frame["group_a"] == frame["group_b"]]

    def rate(truth, answer, row):
        table = confusion_matrix(truth, answer, labels=[False, True])[row]
        return table[1 - row] / table.sum()

    expected = MetricFrame(
        metrics={"fmr": lambda y, p: rate(y, p, 0), "fnmr": lambda y, p: rate(y, p, 1)},
        y_true=within["mated"],
        y_pred=within["score"] >= t,
        sensitive_features=within["group_a"],
    )
    by_group = rates.set_index("group").loc[["a", "b", "c"], ["fmr", "fnmr"]]
    np.testing.assert_allclose(by_group, expected.by_group, rtol=1e-12)
    difference = by_group.max() - by_group.min()
    np.testing.assert_allclose(difference, expected.difference(), rtol=1e-12)
    np.testing.assert_allclose(by_group.min() / by_group.max(), expected.ratio(), rtol=1e-12)


def test_wilson_without_dependence_is_the_textbook_interval():
    # The ACLU's test of 2018 as rates: 11 of 107 and 17 of 428 members of Congress.
    n, errors = np.array([107.0, 428.0]), np.array([11.0, 17.0])
    p = errors / n
    low, high = wilson(n, errors, p * (1 - p) / n)
    np.testing.assert_allclose(low, [0.058, 0.025], atol=5e-4)
    np.testing.assert_allclose(high, [0.175, 0.063], atol=5e-4)


def test_a_group_with_no_errors_still_gets_an_upper_bound():
    low, high = wilson(np.array([1000.0, 1000.0]), np.array([0.0, 1000.0]), np.zeros(2))
    z2 = norm.ppf(0.975) ** 2
    assert (low[0], high[1]) == (0, 1)
    assert high[0] == pytest.approx(z2 / (1000 + z2))
    assert low[1] == pytest.approx(1 - z2 / (1000 + z2))
    rates = fl.compare_all(people([4] * 8, ["a", "b"] * 4), by="race").error_rates(0.99)
    assert rates["fmr"].tolist() == [0, 0, 0]
    assert (rates["fmr_high"] > 0).all()
    assert (
        rates["note"].str.contains(r"no false matches: a rate up to [\d.]+% would show none").all()
    )


def test_errors_spread_evenly_over_subjects_do_not_make_the_interval_vanish():
    frame = pd.DataFrame({"score": [0, 1] * 5, "mated": True})
    frame["subject_a"] = frame["subject_b"] = np.repeat(list("abcde"), 2)
    row = fl.Comparisons.from_scores(frame).error_rates(0.5).loc[0]
    assert row["fnmr"] == 0.5
    assert 0.2 < row["fnmr_low"] < 0.3 < 0.7 < row["fnmr_high"] < 0.8


def test_small_groups_stand_there_with_a_note():
    embeddings = people([3, 3, 1, 1, 4], ["a", "a", "b", "b", "alone"])
    rates = fl.compare_all(embeddings, by="race").error_rates(0.2).set_index("group")
    assert rates.index.tolist() == ["all", "a", "alone", "b"]
    alone = rates.loc["alone"]
    assert (alone["subjects"], alone["images"], alone["non_mated"]) == (1, 4, 0)
    assert np.isnan([alone["fmr"], alone["fmr_low"], alone["fmr_high"]]).all()
    assert alone["note"].startswith("one subject: no non-mated comparisons")
    assert np.isnan(rates.loc["b", "fnmr"])
    assert "no mated comparisons" in rates.loc["b", "note"]
    assert "few subjects (2)" in rates.loc["a", "note"]


def mixed():
    """A test with unequal images, an unlabelled subject and one under two labels."""
    rng = np.random.default_rng(5)
    embeddings = people(rng.integers(1, 6, 14), ["a", "b"] * 6 + [None, "a"])
    embeddings.table["race"] = embeddings.table["race"].astype(object)
    embeddings.table.loc[embeddings.table.index[-1], "race"] = "b"
    return embeddings


def by_subject_pairs(embeddings, t, group=None):
    """Residuals of every pair of subjects, as a dense matrix, and mated ones by subject."""
    frame = pair_frame(embeddings)
    if group is not None:
        frame = frame[(frame["group_a"] == group) & (frame["group_b"] == group)]
    frame = frame.assign(wrong=(frame["score"] >= t) != frame["mated"])
    names = np.unique(frame[["subject_a", "subject_b"]])
    result = []
    for mated in (False, True):
        part = frame[frame["mated"] == mated]
        p = part["wrong"].mean()
        y = np.zeros((len(names), len(names)))
        c = np.zeros_like(y)
        a, b = (np.searchsorted(names, part[f"subject_{side}"]) for side in "ab")
        np.add.at(y, (a, b), part["wrong"] - p)
        np.add.at(c, (a, b), 1)
        result.append((y, c))
    return result


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("group", [None, "a"])
def test_paired_variances_equal_sums_over_all_pairs_of_subjects(listed, group):
    first = mixed()
    noise = np.random.default_rng(8).normal(size=first.vectors.shape)
    second = fl.Embeddings.from_arrays(first.vectors + 0.4 * noise, first.table)
    counts = []
    for one in (first, second):
        found = fl.compare_all(one, by="race")
        found = fl.Comparisons.from_scores(pair_frame(one)) if listed else found
        counts.append(found.counts(0.25))
    weights = np.array([-1.0, 2.0])
    place = None if group is None else 0
    told = [by_subject_pairs(one, 0.25, group) for one in (first, second)]
    for error, which in (("fmr", 0), ("fnmr", 1)):
        models = Together(counts, error, place)
        row = [one.rates().set_index("group").loc[group or "all", error] for one in counts]
        np.testing.assert_allclose(models.rate, row)
        c = told[0][which][1]
        n = c.sum()
        y = sum(w * one[which][0] for w, one in zip(weights, told, strict=True)) / n
        each, share = y.sum(0) + y.sum(1), (c.sum(0) + c.sum(1)) / n
        single = (np.triu(y + y.T, 1) ** 2).sum()
        if error == "fnmr":
            each, share, single = np.diag(y), np.diag(c) / n, 0.0
        rows = ((each / (1 - share)) ** 2).sum()
        expected = single + max(rows - 2 * single, 0)
        variance, freedom = models.variance(weights)
        assert variance == pytest.approx(expected, rel=1e-9)
        assert 1 <= freedom <= len(each)
        alone = [models.variance(np.eye(2)[k])[0] for k in range(2)]
        sums = [one.sums_of_all(error) if group is None else one.sums(error) for one in counts]
        np.testing.assert_allclose(alone, [one.variance[0] for one in sums], rtol=1e-9)


def test_what_people_do_to_both_models_falls_out_of_the_difference():
    """Two models with half of their noise in common; the change varies as the formula says."""
    rng, found, told = np.random.default_rng(3), [], []
    for _ in range(150):
        images = np.full(40, 4)
        shared = people(images, ["a"] * 40, noise=0.5, rng=rng)
        models = [
            fl.Embeddings.from_arrays(
                shared.vectors + 0.12 * rng.normal(size=shared.vectors.shape), shared.table
            )
            for _ in range(2)
        ]
        counts = [fl.compare_all(one, by="race").counts(0.3) for one in models]
        together = Together(counts, "fmr", 0)
        found.append(together.rate[1] - together.rate[0])
        told.append(together.variance(np.array([-1.0, 1.0]))[0])
    alone = np.mean([counts[0].sums("fmr").variance[0] for _ in range(1)])
    assert np.sqrt(np.mean(told)) == pytest.approx(np.std(found), rel=0.15)
    assert np.mean(told) < alone, "the people are the same: less than one rate's own variance"


def test_rates_by_subject_give_everybody_one_voice():
    """One person of many photos dominates the comparisons; by subject, nobody does."""
    embeddings = people([12, 2, 2, 2, 2, 2, 2, 2], ["a"] * 8, noise=0.5)
    counts, t = fl.compare_all(embeddings, by="race").counts(0.3), 0.3
    frame = pair_frame(embeddings)
    frame["wrong"] = (frame["score"] >= t) != frame["mated"]
    row = counts.rates(small_samples=True).set_index("group").loc["a"]
    for error, mated in (("fmr", False), ("fnmr", True)):
        part = frame[frame["mated"] == mated]
        shares = part.groupby(["subject_a", "subject_b"])["wrong"].mean()
        assert row[f"{error}_by_subject"] == pytest.approx(shares.mean())
        assert row[error] == pytest.approx(part["wrong"].mean())
        low, high = row[f"{error}_by_subject_low"], row[f"{error}_by_subject_high"]
        assert low <= shares.mean() <= high
    assert "one person makes up 90% of the mated comparisons" in row["note"]
    sums = counts.sums("fnmr")
    assert sums.subjects[0] == pytest.approx(73**2 / (66**2 + 7)), "worth hardly more than one"


def test_the_dominant_person_is_not_forgotten():
    """210 of 211 mated comparisons are one person's: such intervals held the rate in 1 of 5."""
    rng, images, truth = np.random.default_rng(4), np.array([21, 2, 1, 1, 1, 1, 1, 1]), 0.08
    own = images * (images - 1) // 2
    units = pd.DataFrame({"subject": [f"s{k}" for k in range(8)], "group": 0, "images": images})
    hits = 0
    for _ in range(400):
        p = norm.cdf(norm.ppf(truth) * np.sqrt(2) + rng.normal(size=8))
        pairs = pd.DataFrame({"unit_a": range(8), "unit_b": range(8)})
        pairs["errors"] = rng.binomial(own, p)
        row = ErrorCounts(0.5, ("a",), units, pairs, True).rates(small_samples=True).loc[1]
        hits += row["fnmr_low"] <= truth <= row["fnmr_high"]
    assert hits / 400 >= 0.93


@pytest.mark.parametrize("error", ["fmr", "fnmr"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(error):
    # Subjects differ in how easily they are confused, so that pairs of one subject go together.
    rng, subjects, images, hits, trials = np.random.default_rng(2), 40, 4, 0, 200
    easy = norm.ppf(0.1) if error == "fnmr" else norm.ppf(0.01)
    truth = norm.cdf(easy / np.sqrt(1 + 0.35 if error == "fnmr" else 1 + 2 * 0.35))
    names = np.array([f"s{k:02d}" for k in range(subjects)], dtype=object)
    units = pd.DataFrame({"subject": names, "group": 0, "images": images})
    for _ in range(trials):
        own = np.sqrt(0.35) * rng.normal(size=subjects)
        if error == "fmr":
            a, b = np.triu_indices(subjects, 1)
            n, p = images**2, norm.cdf(easy + own[a] + own[b])
        else:
            a = b = np.arange(subjects)
            n, p = images * (images - 1) // 2, norm.cdf(easy + own)
        pairs = pd.DataFrame({"unit_a": a, "unit_b": b, "errors": rng.binomial(n, p)})
        row = ErrorCounts(0.5, ("a",), units, pairs, complete=True).rates().loc[1]
        hits += row[f"{error}_low"] <= truth <= row[f"{error}_high"]
    assert 0.89 <= hits / trials <= 0.99


def test_a_bound_on_a_rate_is_never_above_one():
    table = pd.DataFrame({"subject": ["a", "a", "b"], "group": ["x", "x", "x"]})
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    rates = fl.compare_all(fl.Embeddings.from_arrays(vectors, table), "group").error_rates(0.5)
    note = rates.set_index("group").loc["x", "note"]
    assert "no false non-matches: a rate up to 79% would show none as well" in note
