"""Group against group: formulas by hand, Holm's correction, and what an interval covers."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.rates.contrasts import as_sentence, group_contrasts, holm
from facelab.rates.intervals import wilson


def counts(pull=(0.0, 0.0, 0.0), subjects=60, images=4, t=0.55, seed=0, dim=32):
    """Errors of three groups; the more a group is pulled together, the more false matches."""
    rng = np.random.default_rng(seed)
    number = np.arange(3 * subjects)
    centre = rng.normal(size=(len(number), dim))
    centre += np.array(pull)[number % 3, None] * rng.normal(size=dim)
    subject = np.repeat(number, images)
    vectors = centre[subject] + 0.7 * rng.normal(size=(len(subject), dim))
    group = np.array(["a", "b", "c"])[subject % 3]
    table = pd.DataFrame({"subject": subject.astype(str), "group": group})
    return fl.compare_all(fl.Embeddings.from_arrays(vectors, table), by="group").counts(t)


def test_ratio_and_difference_by_hand():
    found = counts((0.9, 0.5, 0.3))
    rates = found.rates().set_index("group")
    sums = found.sums("fmr")
    table = group_contrasts(found)
    assert table["ratio"].is_monotonic_decreasing
    assert len(table) == 3
    for row in table.itertuples():
        a, b = rates.loc[row.group, "fmr"], rates.loc[row.reference, "fmr"]
        assert (row.rate, row.reference_rate) == (a, b)
        assert row.ratio == pytest.approx(a / b)
        one, other = (found.groups.index(name) for name in (row.group, row.reference))
        spread = np.sqrt(sums.variance[one] + sums.variance[other])
        assert row.difference_high - row.difference == pytest.approx(1.959964 * spread, rel=1e-6)
        log_spread = np.sqrt(sums.variance[one] / a**2 + sums.variance[other] / b**2)
        assert np.log(row.ratio_high / row.ratio) == pytest.approx(1.959964 * log_spread, rel=1e-6)
        # The variance is the one that the rates' own intervals come from.
        low, _ = wilson(sums.comparisons, sums.errors, sums.variance)
        assert rates.loc[row.group, "fmr_low"] == pytest.approx(low[one])


def test_a_reference_named_beforehand():
    table = group_contrasts(counts((0.9, 0.5, 0.3)), reference="c")
    assert set(table["reference"]) == {"c"}
    assert list(table["group"]) == ["a", "b"]


def test_holm_by_hand():
    # Holm 1979: multiply the sorted p by m, m - 1, ..., and let none fall below the one before.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.2, np.nan, 0.01]), [0.4, np.nan, 0.03])
    assert holm([0.9, 0.8]).max() == 1


def test_no_errors_give_no_ratio_and_say_so():
    table = group_contrasts(counts((0.9, 0.0, 0.0), subjects=8, images=2, t=0.8))
    zero = table[table["ratio"].isna()]
    assert "no false matches in" in zero.iloc[0]["note"]
    assert np.isnan(zero.iloc[0]["p_corrected"])
    assert "times" not in as_sentence(zero, "fmr", 1e-3)


def test_sentences_claim_no_more_than_the_interval_bears():
    row = {"group": "x", "reference": "y", "ratio": 4.13, "ratio_low": 2.9, "ratio_high": 5.84}
    row |= {"rate": 0.004, "reference_rate": 0.001, "p_corrected": 0.002, "note": ""}
    assert as_sentence(pd.DataFrame([row] * 15), "fmr", 1e-3) == (
        "FMR for x was 4.1 [2.9, 5.8] times that for y at the threshold set for 0.001 overall "
        "(p = 0.002 after Holm's correction for 15 pairs of groups)."
    )
    row["ratio_low"] = 0.8
    assert "compatible with no difference" in as_sentence(pd.DataFrame([row]), "fmr", 1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"error": "far"}, "error must be 'fmr' or 'fnmr', not 'far'"),
        ({"reference": "z"}, "no group 'z'"),
        ({"correct": "bonferroni"}, "correct must be 'holm' or 'none', not"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(fl.BadInput, match=message):
        group_contrasts(counts(), **options)


def test_equal_groups_are_seldom_told_apart():
    """Three groups without a difference: corrected p below 0.05 in about 5 % of the sets."""
    tables = (group_contrasts(counts((0.5,) * 3, t=0.45, seed=seed)) for seed in range(120))
    hits = [(table["p_corrected"] < 0.05).any() for table in tables]
    assert np.mean(hits) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_an_audit_states_its_findings():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(80), 4)
    vectors = rng.normal(size=(80, 32))[subject] + 0.7 * rng.normal(size=(320, 32))
    table = pd.DataFrame(
        {"subject": subject.astype(str), "group": np.array(["a", "b"])[subject % 2]}
    )
    audit = fl.audit(fl.Embeddings.from_arrays(vectors, table), by="group", fmr=0.02)
    fmr, fnmr = audit.findings()
    assert fmr.startswith("FMR for ")
    assert fnmr.startswith("FNMR for ")
    assert "set for 0.02 overall" in fmr
    assert len(audit.contrasts("fnmr")) == 1
    figures = audit.figures()
    assert len(figures) == 5
    for name in ("FNMR against FMR by group", "Other thresholds"):
        assert "FNMR" in figures[name].alt
        assert figures[name].png()[:4] == b"\x89PNG"
