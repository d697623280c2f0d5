"""Audits: one call, what it says of its limits, storing and showing it, comparing two of them."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.rates.counts import double_or_nothing


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
    pd.testing.assert_frame_equal(found.rates, rates)
    matrix = comparisons.cross_group(t, small_samples=True)
    pd.testing.assert_frame_equal(found.cross_group, matrix)
    assert found.rates.loc[0, "fmr"] <= 0.01
    weights = double_or_nothing(40, 200, np.random.default_rng(0))
    replicates = found.counts.resample(weights)
    expected = fl.disparity(found.rates, replicates=replicates)
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
    assert found.summary().startswith(f"At threshold {found.threshold:.4f}, set for FMR 0.02 on ")
    pair = found.contrasts().iloc[0]
    assert pair["ratio"] == pytest.approx(row["value"])
    ratio = rf"a ratio of {pair['ratio']:.2g} \[{pair['ratio_low']:.2g}, {pair['ratio_high']:.2g}\]"
    assert re.search(rf"FMR by race ran from .* for a to .* for b, {ratio}", found.summary())


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
    assert not any("calibration" in text for text in disjoint.warnings)
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
    assert "allow 11 false matches at FMR 0.001: fewer than 30" in warnings
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
    ratios = [
        [
            a.disparity.query("metric == 'max_min_ratio' and error == 'fmr'")["value"].item()
            for a in arm
        ]
        for arm in arms.values()
    ]
    assert [row["a"], row["b"]] == pytest.approx([np.exp(np.log(r).mean()) for r in ratios])
    seeds = changes.per_seed.query("quantity == 'max_min_ratio:fmr'")
    np.testing.assert_allclose([seeds["a"], seeds["b"]], ratios)
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert "max_min_ratio:fmr was" in changes.summary()


def test_interval_equals_one_made_replicate_by_replicate(arms):
    changes = fl.compare_audits(arms, replicates=200, seed=7)
    rng = np.random.default_rng(7)
    weights = double_or_nothing(40, 200, rng)
    drawn = rng.integers(0, 3, size=(3, 200))
    differences = []
    for k in range(200):
        means = []
        for arm in arms.values():
            one = [audit.counts.resample(weights[[k]]).fnmr[0, 2] for audit in arm]
            means.append(np.mean([one[place] for place in drawn[:, k]]))
        differences.append(means[1] - means[0])
    row = changes.row("fnmr:b")
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(differences, [0.025, 0.975]))


def test_pairing_cancels_what_the_arms_share(arms):
    a = arms["skewed"][0]
    changes = fl.compare_audits({"one": a, "same": a}, replicates=100)
    defined = changes.table.dropna(subset="difference")
    assert len(defined) > 10
    assert (defined[["difference", "low", "high"]] == 0).all(axis=None)
    assert (defined[["ratio", "ratio_low", "ratio_high"]] == 1).all(axis=None)
    assert changes.table["note"].str.contains("one seed").all()


def test_swapping_the_arms_turns_the_signs(arms):
    there = fl.compare_audits(arms, replicates=200).table.set_index("quantity")
    back = fl.compare_audits(dict(reversed(arms.items())), replicates=200).table.set_index(
        "quantity"
    )
    np.testing.assert_allclose(there["difference"], -back["difference"])
    np.testing.assert_allclose(there["low"], -back["high"], rtol=1e-6, atol=1e-12)
    rates = there.index.str.match("f(n)?mr:")
    np.testing.assert_allclose(there["ratio_low"][rates], 1 / back["ratio_high"][rates], rtol=1e-2)


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
    assert row["b"] == 0
    assert row["high"] < 0
    assert np.isnan([row["ratio"], row["ratio_low"], row["ratio_high"]]).all()
    assert row["note"].startswith("no errors in b")


def test_a_ratio_without_an_upper_end_is_told_so():
    found = fl.audit(people(), by="race", fmr=0.001, replicates=50)
    assert found.rates.set_index("group").loc["a", "false_matches"] == 0
    told = r"FMR by race ran from 0 \[0, .* a ratio of [\d.]+ or more \[[\d.]+, no upper end\]"
    assert re.search(told, found.summary())


def test_groups_of_one_subject_are_told_of_without_a_false_match_rate():
    table = pd.DataFrame({"subject": list("aabbcc"), "gender": list("xxyyzz")})
    vectors = np.random.default_rng(0).normal(size=(6, 8))
    audit = fl.audit(fl.Embeddings.from_arrays(vectors, table), "gender", fmr=0.3)
    differences = fl.compare_audits({"one": audit, "other": audit})
    told = fl.experiment_finding({"one": [audit], "other": [audit]}, differences)
    assert "Disparity in false match rates cannot be compared" in told
    assert len(audit.figures()) == 5
