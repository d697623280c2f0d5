"""Group against group: formulas by hand, one family of all pairs, zeros, and every sentence."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import norm

import facelab as fl
from facelab.rates.contrasts import Family, as_sentence, group_contrasts, holm, told_apart
from facelab.rates.counts import ErrorCounts
from facelab.rates.intervals import Sums


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


def wilson_by_hand(p, n, t):
    """Both ends at which a score test of rate p on n comparisons just fails."""
    a, b, c = 1 + t**2 / n, 2 * p + t**2 / n, p**2
    root = np.sqrt(b**2 - 4 * a * c)
    return (b - root) / (2 * a), (b + root) / (2 * a)


def test_ratio_and_difference_by_hand():
    """MOVER: a sum of estimates reaches as far as both estimates' own limits, squared and added."""
    found = counts((0.9, 0.5, 0.3))
    rates = found.rates(small_samples=True).set_index("group")
    sums = found.sums("fmr")
    table = group_contrasts(found, correct="none")
    assert table["ratio_low"].is_monotonic_decreasing
    assert len(table) == 3
    for row in table.itertuples():
        a, b = rates.loc[row.group, "fmr"], rates.loc[row.reference, "fmr"]
        assert (row.rate, row.reference_rate) == (a, b)
        assert row.ratio == pytest.approx(a / b)
        places = [found.groups.index(name) for name in (row.group, row.reference)]
        squares = [sums.variance[k] / sums.rate[k] ** 2 for k in places]
        welch = sum(squares) ** 2 / sum(
            square**2 / sums.freedom[k] for square, k in zip(squares, places, strict=True)
        )
        t = stats.t.ppf(0.975, welch)
        n = [p * (1 - p) / sums.variance[k] for p, k in zip((a, b), places, strict=True)]
        (a_low, a_high), (b_low, b_high) = wilson_by_hand(a, n[0], t), wilson_by_hand(b, n[1], t)
        low = a - b - np.hypot(a - a_low, b_high - b)
        high = a - b + np.hypot(a_high - a, b - b_low)
        assert (row.difference_low, row.difference_high) == pytest.approx((low, high), rel=1e-5)
        # At either end of the ratio r, the interval of a - r b just ends at nothing.
        for r, ends in ((row.ratio_low, (a_low, b_high)), (row.ratio_high, (a_high, b_low))):
            reach = np.hypot(a - ends[0], r * (ends[1] - b))
            assert abs(a - r * b) == pytest.approx(reach, rel=1e-5)
        assert (row.p < 0.05) == (row.ratio_low > 1) == (row.difference_low > 0)
        # The variance is the one that the rates' own intervals come from.
        own = wilson_by_hand(a, n[0], stats.t.ppf(0.975, sums.freedom[places[0]]))
        assert own[0] == pytest.approx(rates.loc[row.group, "fmr_low"])


def test_a_family_of_contrasts_is_tukeys_and_both_errors_are_in_it():
    """Six groups with many errors: the largest of 2 x 15 is two studentized ranges' larger."""
    number = np.full(6, 1e6)
    sums = Sums(number, number / 10, np.full(6, 9e-8), number, number, number, 0 * number, number)
    ends = np.array(list(combinations(range(6), 2))).T
    family = Family({"fmr": (sums, ends), "fnmr": (sums, ends)})
    one = stats.studentized_range.ppf(np.sqrt(0.95), 6, 1e5) / np.sqrt(2)
    assert family.reach(0.95) == pytest.approx(one, rel=0.015)
    alone = Family({"fmr": (sums, ends)})
    tukey = stats.studentized_range.ppf(0.95, 6, 1e5) / np.sqrt(2)
    assert alone.reach(0.95) == pytest.approx(tukey, rel=0.015)
    p = alone.p(np.array([tukey, 0.0, np.nan]))
    assert p[0] == pytest.approx(0.05, abs=0.012) and p[1] == 1 and np.isnan(p[2])


def test_intervals_and_p_values_say_the_same_whatever_is_corrected():
    for seed in range(12):
        found = counts((0.7, 0.5, 0.45), subjects=40, seed=seed)
        for error in ("fmr", "fnmr"):
            for correct in ("family", "none"):
                table = group_contrasts(found, error, correct=correct)
                for row in table.to_dict("records"):
                    assert told_apart(row) == (row["p_corrected"] < 0.05), row
                    apart = not row["difference_low"] <= 0 <= row["difference_high"]
                    assert told_apart(row) == apart
                assert (table["p"] <= table["p_corrected"] + 1e-3).all()


def test_a_reference_named_beforehand():
    table = group_contrasts(counts((0.9, 0.5, 0.3)), reference="c")
    assert set(table["reference"]) == {"c"}
    assert list(table["group"]) == ["a", "b"]
    every = group_contrasts(counts((0.9, 0.5, 0.3)))
    both = every.merge(table, on=["group", "reference"], suffixes=("", "_alone"))
    assert (both["p_corrected_alone"] <= both["p_corrected"]).all(), "fewer rows, less to pay for"


def test_holm_by_hand():
    # Holm 1979: multiply the sorted p by m, m - 1, ..., and let none fall below the one before.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.2, np.nan, 0.01]), [0.4, np.nan, 0.03])
    assert holm([0.9, 0.8]).max() == 1


def listed(errors, subjects=80, images=5, together=3, seed=0):
    """Groups with so many false matches, which come several at once in pairs of subjects."""
    rng = np.random.default_rng(seed)
    names = [f"{group}{k:03d}" for group in "abcdef"[: len(errors)] for k in range(subjects)]
    units = pd.DataFrame({"subject": names, "images": images})
    units["group"] = np.repeat(np.arange(len(errors)), subjects)
    rows = []
    for group, left in enumerate(errors):
        while left:
            a, b = np.sort(rng.choice(subjects, 2, replace=False)) + group * subjects
            here = min(left, 1 + rng.binomial(2 * together, 0.5))
            rows.append((a, b, here))
            left -= here
    pairs = pd.DataFrame(rows, columns=["unit_a", "unit_b", "errors"])
    pairs = pairs.groupby(["unit_a", "unit_b"], as_index=False).sum()
    return ErrorCounts(0.5, tuple("abcdef"[: len(errors)]), units, pairs, True)


def test_a_group_without_errors_is_the_least_failed_and_not_missing():
    """The case of the field: 0, 100 and 120 false matches among 80 people of 5 photos each."""
    table = group_contrasts(listed((0, 100, 120)))
    first, second, last = table.to_dict("records")
    assert (first["group"], first["reference"]) == ("c", "a")
    assert (second["group"], second["reference"]) == ("b", "a")
    for row in (first, second):
        assert row["ratio"] == row["ratio_high"] == np.inf
        assert 1 < row["ratio_low"] < 10, "a bound of people, and not of 79,000 comparisons"
        assert row["p_corrected"] < 0.05 and row["difference_low"] > 0
        assert row["note"].endswith("no false matches in a")
    assert (last["group"], last["reference"]) == ("c", "b")
    assert last["p_corrected"] > 0.5
    times = f"{first['ratio_low']:.2g}"
    p = f"{first['p_corrected']:.2g}"
    assert as_sentence(table, "fmr", 1e-3).startswith(
        f"FMR for c was at least {times} times that for a at the threshold set for 0.1% overall "
        f"(p = {p}, allowing for all pairs of groups); few errors: 120 false matches in c, which "
        "tell as much as "
    )


def test_a_group_without_errors_that_could_not_have_had_any_claims_nothing():
    table = group_contrasts(listed((0, 6, 4)))
    assert (table["ratio_low"] < 1).all() and (table["p_corrected"] > 0.05).all()
    assert as_sentence(table, "fmr", 1e-3).startswith("No two groups can be told apart by FMR")
    nobody = group_contrasts(listed((0, 0, 5)))
    none = nobody[(nobody["rate"] == 0) & (nobody["reference_rate"] == 0)].iloc[0]
    assert np.isnan(none["ratio"]) and none["p_corrected"] == 1
    assert (none["ratio_low"], none["ratio_high"]) == (0, np.inf)


def test_bounds_over_zero_hold_the_true_ratio():
    """Rates 1 and 8 in 20,000 of bunched errors: many of the tests see none in one group."""
    rng, units, hits, zeros = np.random.default_rng(1), None, [], 0
    a, b = np.triu_indices(40, 1)
    units = pd.DataFrame({"subject": [f"s{k:03d}" for k in range(80)], "images": 5})
    units["group"] = np.repeat([0, 1], 40)
    for _ in range(150):
        rows = []
        for group, rate in enumerate((5e-5, 4e-4)):
            p = norm.cdf(norm.ppf(rate) * np.sqrt(1.6) + np.sqrt(0.6) * rng.normal(size=len(a)))
            rows.append(pd.DataFrame({"unit_a": a + 40 * group, "unit_b": b + 40 * group}))
            rows[-1]["errors"] = rng.binomial(25, p)
        pairs = pd.concat(rows).query("errors > 0")
        table = group_contrasts(ErrorCounts(0.5, ("x", "y"), units, pairs, True), correct="none")
        row = table.iloc[0]
        high = row["group"] == "y"
        ends = (row["ratio_low"], row["ratio_high"]) if high else (1 / row["ratio_high"], np.inf)
        zeros += (row["reference_rate"] == 0) or (row["rate"] == 0)
        hits.append(ends[0] <= 8 <= ends[1])
    assert zeros > 40
    assert np.mean(hits) >= 0.9


SENTENCES = [
    (
        {},
        15,
        "FMR for x was 4.1 [2.9, 5.8] times that for y at the threshold set for 0.1% overall "
        "(p = 0.002, allowing for all pairs of groups).",
    ),
    (
        {"p_corrected": 2e-4},
        1,
        "FMR for x was 4.1 [2.9, 5.8] times that for y at the threshold set for 0.1% overall "
        "(p < 0.001).",
    ),
    (
        {"ratio_low": 0.8, "p_corrected": 0.3},
        15,
        "No two groups can be told apart by FMR at the threshold set for 0.1% overall: that for x "
        "was 4.1 [0.8, 5.8] times that for y, which cannot be told from parity.",
    ),
    (
        {"ratio_low": 0.8, "p_corrected": 0.3},
        1,
        "FMR for x was 4.1 [0.8, 5.8] times that for y at the threshold set for 0.1% overall, "
        "which cannot be told from parity.",
    ),
    (
        {"ratio": np.inf, "ratio_high": np.inf, "note": "no false matches in y"},
        15,
        "FMR for x was at least 2.9 times that for y at the threshold set for 0.1% overall "
        "(p = 0.002, allowing for all pairs of groups); no false matches in y.",
    ),
    (
        {"ratio": np.inf, "ratio_low": 0.25, "ratio_high": np.inf, "p_corrected": 0.4},
        15,
        "No two groups can be told apart by FMR at the threshold set for 0.1% overall: that for x "
        "was 0.25 or more times that for y, which cannot be told from parity.",
    ),
    (
        {"ratio": 1234.5, "ratio_low": 88.0, "ratio_high": np.inf},
        15,
        "FMR for x was 1,200 [88, no upper end] times that for y at the threshold set for 0.1% "
        "overall (p = 0.002, allowing for all pairs of groups).",
    ),
    (
        {"rate": 0.0, "reference_rate": 0.0, "ratio": np.nan},
        15,
        "No group showed false matches at the threshold set for 0.1% overall: nothing can be said "
        "of differences.",
    ),
]


@pytest.mark.parametrize(("change", "rows", "sentence"), SENTENCES)
def test_sentences_claim_no_more_than_the_interval_bears(change, rows, sentence):
    row = {"group": "x", "reference": "y", "ratio": 4.13, "ratio_low": 2.9, "ratio_high": 5.84}
    row |= {"rate": 0.004, "reference_rate": 0.001, "p_corrected": 0.002, "note": ""}
    assert as_sentence(pd.DataFrame([row | change] * rows), "fmr", 1e-3) == sentence


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"error": "far"}, "error must be 'fmr' or 'fnmr', not 'far'"),
        ({"reference": "z"}, "no group 'z'"),
        ({"correct": "bonferroni"}, "correct must be 'family' or 'none', not"),
        ({"weights": "photos"}, "weights must be 'comparisons' or 'subjects', not 'photos'"),
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
    assert "set for 2% overall" in fmr
    assert len(audit.contrasts("fnmr")) == 1
    figures = audit.figures()
    assert len(figures) == 6
    for name in ("FNMR against FMR by group", "Other thresholds"):
        assert "FNMR" in figures[name].alt
        assert figures[name].png()[:4] == b"\x89PNG"
