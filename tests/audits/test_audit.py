"""Audits: one call, what it says of its limits, storing and showing it, comparing two of them."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import facelab as fl
from facelab.audits.changes import in_family
from facelab.audits.thresholds import Shift, slopes
from facelab.rates.paired import Together


def people(noise=0.9, seed=0, sizes=None, prefix="s", harder="b", who=99):
    """Two races by two genders; vectors of group `harder` crowd around one direction."""
    rng = np.random.default_rng(who)
    sizes = np.full(40, 5) if sizes is None else np.asarray(sizes)
    subject = np.repeat(np.arange(len(sizes)), sizes)
    race = np.array(["a", "b"])[subject % 2]
    centre = rng.normal(size=(len(sizes), 16))
    centre[np.array(["a", "b"])[np.arange(len(sizes)) % 2] == harder, :4] += 1.6
    noisy = np.random.default_rng(seed).normal(size=(len(subject), 16))
    table = pd.DataFrame({"subject": [f"{prefix}{k:03d}" for k in subject]})
    table["image"] = [f"{prefix}{k}.jpg" for k in range(len(table))]
    table["race"], table["gender"] = race, np.array(["f", "m"])[subject // 2 % 2]
    return fl.Embeddings.from_arrays(centre[subject] + noise * noisy, table, embedder="noise")


@pytest.fixture(scope="module")
def found():
    return fl.audit(people(), by="race", fmr=0.01, replicates=200)


def test_an_audit_is_its_comparisons(found):
    comparisons = fl.compare_all(people(), by="race")
    assert found.threshold == comparisons.threshold(0.01)
    t = found.threshold
    rates = comparisons.error_rates(t, small_samples=True)
    # The threshold makes the overall FMR what it is: it has no interval, and the note says so.
    assert np.isnan(found.rates.loc[0, ["fmr_low", "fmr_high"]].astype(float)).all()
    assert found.rates.loc[0, "note"].startswith("FMR is what the threshold was set for; few")
    ends = ["fmr_by_subject_low", "fmr_by_subject_high"]
    fixed = ["fmr_low", "fmr_high", *ends, "note"]
    pd.testing.assert_frame_equal(found.rates.drop(columns=fixed), rates.drop(columns=fixed))
    pd.testing.assert_frame_equal(found.rates.iloc[1:], rates.iloc[1:])
    matrix = comparisons.cross_group(t, small_samples=True)
    pd.testing.assert_frame_equal(found.cross_group, matrix)
    assert found.rates.loc[0, "fmr"] <= 0.01
    expected = fl.disparity(found.rates, draws=200, seed=0)
    pd.testing.assert_frame_equal(found.disparity, expected)
    assert found.by == ["race"]
    assert found.card["embeddings"] == {"embedder": "noise"}
    assert (found.card["images"], found.card["subjects"]) == (200, 40)


def test_the_harder_group_is_found():
    found = fl.audit(people(sizes=[5] * 80), by="race", fmr=0.02)
    rates = found.rates.set_index("group")
    assert rates.loc["b", "fmr_low"] > rates.loc["a", "fmr_high"]
    row = found.disparity.query("metric == 'max_min_ratio' and error == 'fmr'").iloc[0]
    assert (row["worst"], row["best"]) == ("b", "a")
    assert row["low"] > 1
    assert found.summary().startswith(f"At threshold {found.threshold:.4f}, set for FMR 2% on ")
    pair = found.contrasts().iloc[0]
    assert pair["ratio"] == pytest.approx(row["value"])
    ratio = rf"{pair['ratio']:.2g} \[{pair['ratio_low']:.2g}, {pair['ratio_high']:.2g}\] times"
    told = rf"FMR by race ran from .* for a to .* for b: {ratio} \(p .*; groups with equal rates"
    assert re.search(told, found.summary())
    floor = f"would show {row['parity']:.1f} times, seldom more than {row['parity_high']:.1f}."
    assert floor in found.summary()


def test_the_target_may_be_meant_over_pairs_of_the_same_group(found):
    same = fl.audit(people(), by="race", fmr=0.01, pairs="same-group", replicates=10)
    assert same.threshold == fl.compare_all(people(), by="race").threshold(0.01, "same-group")
    assert same.calibration.endswith(", over pairs of the same group")
    with pytest.raises(fl.BadInput, match="pairs must be"):
        fl.audit(people(), by="race", pairs="some")


def test_intersections_join_their_labels():
    rates = fl.audit(people(), by=["race", "gender"], fmr=0.05, replicates=10).rates
    assert rates["group"].tolist() == ["all", "a/f", "a/m", "b/f", "b/m"]


def test_calibration_on_other_subjects_or_not_is_said(found):
    assert "the test itself" in found.calibration
    other = people(prefix="other", seed=1, who=98)
    disjoint = fl.audit(people(), by="race", fmr=0.01, calibration=other, replicates=10)
    assert disjoint.calibration == "40 calibration subjects disjoint from the test"
    assert disjoint.threshold == fl.compare_all(other).threshold(0.01)
    assert disjoint.card["calibration"]["subjects"] == 40
    few = [text for text in disjoint.warnings if text.startswith("calibration: the ")]
    assert len(few) == 1 and "tell as much as" in few[0] and "may realise an FMR between" in few[0]
    assert not any("are in the test too" in text for text in disjoint.warnings)
    overlap = people(prefix="other", seed=1, who=98)
    overlap.table.loc[overlap.table["subject"] == "other007", "subject"] = "s007"
    shared = fl.audit(people(), by="race", fmr=0.01, calibration=overlap, replicates=10)
    assert "40 calibration subjects, 1 of them in the test too" in shared.calibration
    assert any("1 of 40 calibration subjects are in the test too:" in w for w in shared.warnings)
    assert not any("s007" in w for w in shared.warnings), "reports quote them: no names"


def test_the_limits_of_an_audit_are_warned_of():
    embeddings = people(sizes=[5] * 30 + [1, 1, 1])
    embeddings.table["race"] = embeddings.table["race"].astype(object)
    embeddings.table.loc[0:4, "race"] = None
    embeddings.vectors[7] = embeddings.vectors[11]
    warnings = "\n".join(fl.audit(embeddings, by="race", fmr=1e-3, replicates=10).warnings)
    assert "5 of 153 images have no race label" in warnings
    assert "3 subjects have one image and give no mated comparisons" in warnings
    assert "allow 11 false matches at FMR 0.1%: fewer than 30" in warnings
    assert re.search(r"a: \d+ subjects with about [\d.]+ images each are too few to tell", warnings)
    assert "2 images share their vector with another image: is it one photo under" in warnings
    assert ".jpg" not in warnings, "reports quote them: no names"


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(fl.BadInput, match="no non-mated comparisons"):
        fl.audit(people(sizes=[9]), by="race")
    with pytest.raises(fl.BadInput, match="no column 'rase'"):
        fl.audit(people(), by="rase")
    unlabelled = people()
    unlabelled.table["race"] = None
    with pytest.raises(fl.BadInput, match="has a race label: there is nothing"):
        fl.audit(unlabelled, by="race")
    narrow = fl.Embeddings.from_arrays(np.eye(4), pd.DataFrame({"subject": list("wxyz")}))
    with pytest.raises(fl.BadInput, match="calibration vectors have 4 numbers"):
        fl.audit(people(), by="race", calibration=narrow)


def test_an_audit_is_stored_and_loaded_whole(tmp_path):
    embeddings = people(sizes=[5] * 20 + [4])
    race = embeddings.table["race"].astype(object)
    # A group named like a missing value, and one too small to have rates.
    embeddings.table["race"] = race.replace("a", "NA").where(
        embeddings.table["subject"] != "s020", "x"
    )
    stored = fl.audit(embeddings, by="race", fmr=0.01, replicates=50)
    stored.save(tmp_path / "audit")
    loaded = fl.Audit.load(tmp_path / "audit")
    for name in ("rates", "cross_group", "disparity", "det"):
        pd.testing.assert_frame_equal(
            getattr(loaded, name), getattr(stored, name), check_exact=True
        )
    for name in ("by", "fmr", "threshold", "warnings", "calibration", "confidence", "card"):
        assert getattr(loaded, name) == getattr(stored, name)
    for group, arrays in stored.histograms.items():
        for one, other in zip(arrays, loaded.histograms[group], strict=True):
            np.testing.assert_array_equal(one, other)
    same = fl.compare_audits({"before": stored, "after": loaded}, replicates=20).table
    assert (same["difference"].dropna() == 0).all()
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["threshold"]
    with pytest.raises(fl.BadInput, match="exists already"):
        stored.save(tmp_path / "audit")
    with pytest.raises(FileNotFoundError, match=r"audit\.json is missing"):
        fl.Audit.load(tmp_path)


def test_a_page_is_self_contained_and_escapes_what_it_shows(tmp_path):
    embeddings = people()
    embeddings.table["race"] = embeddings.table["race"].astype(object).replace("b", "<script>&")
    found = fl.audit(embeddings, by="race", fmr=0.01, replicates=20)
    page = found.to_html(tmp_path / "audit.html").read_text(encoding="utf-8")
    for text in (page, found._repr_html_()):
        assert "<script" not in text
        assert "&lt;script&gt;&amp;" in text
    assert 'src="data:image/png;base64,' in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)


# ---- comparing audits


@pytest.fixture(scope="module")
def arms():
    def one(harder, seed):
        return fl.audit(people(seed=seed, harder=harder), by="race", fmr=0.02, replicates=10)

    return {"skewed": [one("b", k) for k in (1, 2, 3)], "mild": [one("", k) for k in (1, 2, 3)]}


def test_the_estimate_is_the_mean_over_seeds(arms):
    changes = fl.compare_audits(arms, replicates=300)
    assert changes.arms == ("skewed", "mild")
    row = changes.row("fmr:b")
    means = [
        np.mean([a.rates.set_index("group").loc["b", "fmr"] for a in arm]) for arm in arms.values()
    ]
    assert [row["a"], row["b"]] == pytest.approx(means)
    assert row["difference"] == pytest.approx(means[1] - means[0])
    assert row["ratio"] == pytest.approx(means[1] / means[0])
    assert row["high"] < 0, "the milder arm makes fewer false matches in b"
    row = changes.row("max_min_ratio:fmr")
    mean = [np.mean([a.rates["fmr"].to_numpy()[1:] for a in arm], axis=0) for arm in arms.values()]
    assert [row["a"], row["b"]] == pytest.approx([max(x) / min(x) for x in mean])
    seeds = changes.per_seed.query("quantity == 'max_min_ratio:fmr'")
    ratios = [
        [
            a.disparity.query("metric == 'max_min_ratio' and error == 'fmr'")["value"].item()
            for a in arm
        ]
        for arm in arms.values()
    ]
    np.testing.assert_allclose([seeds["a"], seeds["b"]], ratios)
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert "FMR, worst group / best group was" in changes.summary()
    told = changes.indices["skewed"].loc["max_min_ratio:fmr"]
    assert told["value"] == row["a"] and told["parity"] < told["parity_high"]


def test_a_change_has_the_variance_of_test_thresholds_and_seeds(arms):
    """FNMR of b: written out from its three parts."""
    changes, (first, second) = fl.compare_audits(arms), arms.values()
    audits = [*first, *second]
    row = changes.row("fnmr:b")
    weights = np.repeat([-1 / row["a"], 1 / row["b"]], 3) / 3
    models = Together([one.counts for one in audits], "fnmr", 1)
    of_test, freedom = models.variance(weights)
    slope = np.array([slopes(one).loc["b", "fnmr"] for one in audits])
    assert (slope < 0).all(), "the stricter the threshold, the more are missed"
    of_threshold, loose = Shift(audits).variance(weights * slope)
    by_seed = (models.rate * weights * 3).reshape(2, 3).sum(axis=0)
    of_seeds = np.var(by_seed, ddof=1) / 3
    of_people = of_test + of_threshold
    below = of_test**2 / freedom + of_threshold**2 / loose

    def reach(confidence: float) -> float:
        tail = (1 + confidence) / 2
        own = stats.t.ppf(tail, of_people**2 / below) * np.sqrt(of_people)
        return np.hypot(own, stats.t.ppf(tail, 2) * np.sqrt(of_seeds))

    half, wide = reach(0.95), reach(in_family(0.95, 4))
    assert min(of_test, of_threshold, of_seeds) > 0
    log = np.log(row["ratio"])
    assert [row["ratio_low"], row["ratio_high"]] == pytest.approx(
        [np.exp(log - half), np.exp(log + half)], rel=1e-4
    )
    # The difference's interval is the same one in its own unit.
    unit = row["difference"] / log
    assert [row["low"], row["high"]] == pytest.approx(
        [unit * (log - half), unit * (log + half)], rel=1e-4
    )
    assert row["family_high"] == pytest.approx(np.exp(log + wide), rel=1e-4)


def test_slopes_are_what_other_thresholds_show(found):
    """FNMR at half and at twice the FMR, from the scores themselves."""
    comparisons, rate = fl.compare_all(people(), by="race"), found.rates.loc[0, "fmr"]
    strict, lax = (comparisons.threshold(rate * factor) for factor in (0.5, 2))
    ends = [comparisons.error_rates(t, small_samples=True).iloc[1:] for t in (strict, lax)]
    told = slopes(found)
    for place, group in enumerate(["a", "b"]):
        expected = (ends[1]["fnmr"].iloc[place] - ends[0]["fnmr"].iloc[place]) / np.log(4)
        assert told.loc[group, "fnmr"] == pytest.approx(expected, rel=0.25)


def test_rates_at_the_target_allow_for_the_threshold(found):
    at, rates = found.at_target().set_index("group"), found.rates.set_index("group")
    assert at["fnmr"].equals(rates["fnmr"])
    for group in ("all", "a", "b"):
        assert at.loc[group, "fnmr_low"] < rates.loc[group, "fnmr_low"]
        assert at.loc[group, "fnmr_high"] > rates.loc[group, "fnmr_high"]
    assert np.isnan(at.loc["all", "fmr_low"]), "what is set so has no interval"
    assert at.loc["b", "fmr_high"] > rates.loc["b", "fmr_high"]
    low, high = found.realised_fmr()
    assert low < found.fmr < high
    many = fl.audit(people(sizes=[5] * 200), by="race", fmr=0.01, replicates=10)
    assert low < many.realised_fmr()[0] < found.fmr < many.realised_fmr()[1] < high


def test_calibration_counts_are_stored_and_make_the_same_comparison(tmp_path):
    other = people(prefix="other", seed=1, who=98)
    pair = {
        name: fl.audit(people(seed=seed), "race", 0.02, calibration=other, replicates=50)
        for name, seed in (("one", 1), ("two", 2))
    }
    told = fl.compare_audits(pair).table
    assert not told["note"].str.contains("thresholds are taken as given").any()
    for name, one in pair.items():
        one.save(tmp_path / name)
    again = {name: fl.Audit.load(tmp_path / name) for name in pair}
    pd.testing.assert_frame_equal(fl.compare_audits(again).table, told)
    assert again["one"].realised_fmr() == pair["one"].realised_fmr()
    unknown = {
        name: dataclasses.replace(one, calibration_counts=None) for name, one in pair.items()
    }
    without = fl.compare_audits(unknown).table.set_index("quantity")
    assert without["note"].str.contains("the thresholds are taken as given").all()
    told = told.set_index("quantity")
    width, narrow = (t.loc["fnmr:all", "high"] - t.loc["fnmr:all", "low"] for t in (told, without))
    assert narrow < width
    assert np.isnan(unknown["one"].realised_fmr()).all()


@pytest.mark.parametrize("trials", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_two_equal_models_at_one_target_seldom_differ(trials):
    """Thresholds set on forty others; each model errs in its own way. `fnmr:all` holds 0."""
    held = []
    for seed in range(trials):
        audits = []
        for model in (0, 1):
            test, other = (
                people(0.8, 1000 * seed + 10 * model + part, harder="", who=seed + 500 * part)
                for part in (0, 1)
            )
            audits.append(fl.audit(test, "race", 0.02, calibration=other, replicates=10))
        row = fl.compare_audits(dict(zip("xy", audits, strict=True)), 50).row("fnmr:all")
        held.append(row["low"] <= 0 <= row["high"])
        assert (row["low"] <= 0 <= row["high"]) == (row["ratio_low"] <= 1 <= row["ratio_high"])
    assert np.mean(held) >= 0.85


def test_pairing_cancels_what_the_arms_share(arms):
    a = arms["skewed"][0]
    changes = fl.compare_audits({"one": a, "same": a}, replicates=100)
    rates = changes.table[changes.table["quantity"].str.match("f(n)?mr:[ab]$")]
    assert len(rates) == 4
    np.testing.assert_allclose(rates[["difference", "low", "high"]], 0, atol=1e-12)
    np.testing.assert_allclose(rates[["ratio", "ratio_low", "ratio_high"]], 1, atol=1e-12)
    assert changes.table["note"].str.contains("one seed").all()
    fixed = changes.row("fmr:all")
    assert fixed["difference"] == 0 and np.isnan([fixed["low"], fixed["high"]]).all()
    assert fixed["note"].startswith("FMR is what the thresholds were set for")


def test_swapping_the_arms_turns_the_signs(arms):
    there = fl.compare_audits(arms, replicates=200).table.set_index("quantity")
    back = fl.compare_audits(dict(reversed(arms.items())), replicates=200).table.set_index(
        "quantity"
    )
    np.testing.assert_allclose(there["difference"], -back["difference"])
    np.testing.assert_allclose(there["low"], -back["high"], rtol=1e-6, atol=1e-12)
    rates = there.index.str.match("f(n)?mr:")
    np.testing.assert_allclose(there["ratio_low"][rates], 1 / back["ratio_high"][rates], rtol=1e-6)


def test_audits_that_cannot_be_paired_are_refused(arms):
    a = arms["skewed"][0]
    other = fl.audit(people(prefix="t"), by="race", fmr=0.02, replicates=10)
    with pytest.raises(fl.BadInput, match="'b' and 'a' differ in the"):
        fl.compare_audits({"a": a, "b": other})
    with pytest.raises(fl.BadInput, match="differ in `fmr`"):
        fl.compare_audits({"a": a, "b": fl.audit(people(), "race", 0.05, replicates=10)})
    with pytest.raises(fl.BadInput, match="have 1 and 3 audits"):
        fl.compare_audits({"a": a, "b": arms["mild"]})
    with pytest.raises(fl.BadInput, match="two arms can be compared, not 1"):
        fl.compare_audits({"a": a})
    with pytest.raises(fl.BadInput, match="no quantity 'fmr:z'"):
        fl.compare_audits({"a": a, "b": a}, replicates=10).row("fmr:z")


def test_a_group_without_errors_has_a_difference_but_no_ratio():
    easy = fl.audit(people(noise=0.2), by="race", fmr=0.05, replicates=10)
    hard = fl.audit(people(noise=1.2), by="race", fmr=0.05, replicates=10)
    row = fl.compare_audits({"hard": hard, "easy": easy}, replicates=50).row("fnmr:a")
    assert row["b"] == row["ratio"] == row["ratio_low"] == 0
    assert row["high"] < 0 and 0 < row["ratio_high"] < 1, "no error is not no rate: it has a bound"
    assert row["note"].startswith("no errors in easy")


def test_a_group_without_errors_is_told_of_with_what_its_people_bear():
    found = fl.audit(people(), by="race", fmr=0.001, replicates=50)
    assert found.rates.set_index("group").loc["a", "false_matches"] == 0
    told = r"FMR by race ran from 0% \[0, .*\] for a to .* for b: ([\d.]+ or|at least [\d.]+) "
    assert re.search(told, found.summary())


def test_groups_of_one_subject_are_told_of_without_a_false_match_rate():
    table = pd.DataFrame({"subject": list("aabbcc"), "gender": list("xxyyzz")})
    vectors = np.random.default_rng(0).normal(size=(6, 8))
    audit = fl.audit(fl.Embeddings.from_arrays(vectors, table), "gender", fmr=0.3)
    differences = fl.compare_audits({"one": audit, "other": audit})
    told = fl.experiment_finding({"one": [audit], "other": [audit]}, differences)
    assert "Disparity in false match rates cannot be compared" in told
    assert len(audit.figures()) == 6
