"""The coverage study: its tests have the rates they claim, its sums are the library's own."""

import json
from pathlib import Path
from statistics import NormalDist

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import stdtrit

import facelab as fl
from facelab.bench.printed import settings_of
from facelab.bench.trials import CLAIM
from facelab.figures import plots
from facelab.rates import simulation as study
from facelab.rates.dependence import Dependence
from facelab.rates.intervals import Sums, small_sample_wilson, wilson
from facelab.rates.simulation import (
    METHODS,
    coverage,
    readable_coverage,
    simulate_groups,
    simulate_test,
)

STRONG = Dependence(0.1, 0.5, 0.5)


def simulated(trials, subjects=20, rates=(0.1, 0.01), seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        yield simulate_test(rng.integers(2, 8, subjects), rates, STRONG, rng=rng)


def test_simulated_rates_are_what_they_claim():
    told = np.array(
        [
            [[counts.sums(error).rate[0] for error in ("fmr", "fnmr")] for counts in tests]
            for tests in simulated(200)
        ]
    )
    error = told.std(axis=0) / np.sqrt(len(told))
    assert (np.abs(told.mean(axis=0) - [[0.1], [0.01]]) < 4 * error).all()
    assert (error < 0.12 * np.array([[0.1], [0.01]])).all(), "too few tests to tell"


def test_every_group_has_rates_of_its_own_and_nobody_is_taken_for_another_groups():
    rng, images = np.random.default_rng(2), [np.full(40, 4), np.full(20, 6), np.full(30, 3)]
    fmr, fnmr = [0.01, 0.04, 0.02], [0.2, 0.05, 0.1]
    tests = [simulate_groups(images, fmr, fnmr, STRONG, rng=rng) for _ in range(60)]
    for error, true in (("fmr", fmr), ("fnmr", fnmr)):
        told = np.array([counts.sums(error).rate for counts in tests])
        assert (np.abs(told.mean(axis=0) - true) < 4 * told.std(axis=0) / np.sqrt(60)).all()
        assert np.abs(np.corrcoef(told.T)[np.triu_indices(3, 1)]).max() < 0.45
    counts = tests[0]
    assert counts.groups == ("a", "b", "c")
    assert np.bincount(counts.units["group"]).tolist() == [40, 20, 30]
    assert counts.units["subject"].is_unique
    group = counts.units["group"].to_numpy()
    a, b = (group[counts.pairs[end]] for end in ("unit_a", "unit_b"))
    assert (a == b).all() and set(a) == {0, 1, 2}
    across = counts.cross_group()
    apart = across["group_a"] != across["group_b"]
    assert across.loc[apart, "false_matches"].sum() == 0
    with pytest.raises(fl.BadInput, match="as many of each, not 3, 2 and 3"):
        simulate_groups(images, fmr[:2], fnmr)


def test_subjects_pairs_and_images_make_errors_go_together():
    # With every effect left out, the variance of a rate is that of independent comparisons.
    alone, together = (
        [
            simulate_test(np.full(20, 5), [0.1], dependence, share, rng)[0]
            for rng in map(np.random.default_rng, range(60))
        ]
        for dependence, share in ((Dependence(0, 0, 0), 0.0), (STRONG, 0.05))
    )
    for error, n in (("fmr", 190 * 25), ("fnmr", 200)):
        rates = np.array([one.sums(error).errors[0] / n for one in alone])
        assert rates.var() == pytest.approx(0.09 / n, rel=0.6)
        rates = np.array([one.sums(error).errors[0] / n for one in together])
        assert rates.var() > 1.7 * 0.09 / n


def test_sums_equal_those_over_a_dense_matrix():
    for counts, *_ in simulated(3):
        images = counts.units["images"].to_numpy()
        wrong = np.zeros((20, 20))
        wrong[counts.pairs["unit_a"], counts.pairs["unit_b"]] = counts.pairs["errors"]
        missed = np.diag(wrong).copy()
        wrong = np.triu(wrong, 1) + np.triu(wrong, 1).T
        tries = np.outer(images, images) * (1 - np.eye(20))
        y = wrong - wrong.sum() / tries.sum() * tries
        n, cells = tries.sum() / 2, y[np.triu_indices(20, 1)]
        share = tries.sum(axis=1) / n
        plain, rows = y.sum(axis=1), y.sum(axis=1) / (1 - share)
        single = (cells**2).sum()
        squares = (rows**2).sum() - single
        assert squares > single, "or pairs that share a subject would go against it"
        sums = counts.sums("fmr")
        assert (sums.comparisons[0], sums.errors[0]) == (n, wrong.sum() / 2)
        assert sums.plain[0] == pytest.approx(((plain**2).sum() - single) / n**2)
        assert sums.variance[0] == pytest.approx(squares / n**2)
        assert sums.effective[0] == pytest.approx(squares**2 / ((rows**4).sum() - (cells**4).sum()))
        assert sums.subjects[0] == pytest.approx(4 / (share**2).sum())
        pairs = tries[np.triu_indices(20, 1)]
        assert sums.independent[0] == pytest.approx(n**2 / (pairs**2).sum())
        assert sums.largest[0] == pytest.approx(share.max())
        own = images * (images - 1) / 2
        u = (missed - missed.sum() / own.sum() * own) / (1 - own / own.sum())
        sums = counts.sums("fnmr")
        assert sums.effective[0] == pytest.approx((u**2).sum() ** 2 / (u**4).sum())
        assert sums.variance[0] == pytest.approx((u**2).sum() / own.sum() ** 2)
        assert sums.subjects[0] == pytest.approx(own.sum() ** 2 / (own**2).sum())


def by_hand(sums, confidence=0.95):
    """`small_sample_wilson` for one rate, in plain numbers."""
    one = Sums(*(float(part[0]) for part in sums))
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = one.errors / one.comparisons
    if not 0 < p < 1 or one.variance <= 0:
        n_eff = one.independent
    else:
        n_eff = p * (1 - p) / one.variance
        gap = 1 / max(one.effective, 1.0) - 1 / one.subjects
        most = max(one.subjects - 1, 1.0)
        freedom = float(np.clip(1 / gap, 1, most)) if gap > 0 else most
        z = float(stdtrit(freedom, (1 + confidence) / 2))
    centre = p + z**2 / (2 * n_eff)
    half = z * np.sqrt((p * (1 - p) + z**2 / (4 * n_eff)) / n_eff)
    scale = 1 + z**2 / n_eff
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)


def test_the_corrected_interval_by_hand():
    rng = np.random.default_rng(4)
    for size in (20, 60):
        for counts in simulate_test(rng.integers(2, 9, size), (0.3, 0.02, 1e-4), STRONG, rng=rng):
            told = counts.rates(small_samples=True).iloc[1]
            for error in ("fmr", "fnmr"):
                found = told[f"{error}_low"], told[f"{error}_high"]
                expected = by_hand(counts.sums(error))
                assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_many_equal_terms_bring_the_corrected_interval_back_to_the_plug_in():
    numbers = (1e6, 1e4, 1e-8, 10**6, 1e6, 3e5, 0.0, 1e-8)
    one = Sums(*(np.array([number]) for number in numbers))
    plain = np.concatenate(study.plug_in(one, 0.95))
    np.testing.assert_allclose(np.concatenate(small_sample_wilson(one)), plain, rtol=1e-5)
    few = one._replace(effective=np.array([3.0]), subjects=np.array([20.0]))
    low, high = np.concatenate(small_sample_wilson(few))
    assert low < plain[0] and plain[1] < high


def test_without_errors_only_subjects_count_as_independent():
    counts = next(
        iter(simulate_test(np.full(20, 3), (1e-9,), STRONG, rng=np.random.default_rng(0)))
    )
    told, paper = (counts.rates(small_samples=small).iloc[1] for small in (True, False))
    expected = wilson(np.array([190.0]), np.zeros(1), np.zeros(1))
    assert (told["fmr_low"], told["fmr_high"]) == pytest.approx((0, expected[1][0]))
    assert told["fmr_high"] > paper["fmr_high"]
    assert "no false matches: a rate up to 2% would show none as well" in told["note"]
    assert "no false matches: a rate up to 0.22% would show none as well" in paper["note"]


@pytest.fixture(scope="module")
def table():
    return coverage([20, 40], (0.1, 1e-4), trials=50, dependence=STRONG, seed=3, jobs=1)


def test_a_small_study_tells_the_methods_apart(table):
    assert len(table) == 2 * 2 * 2 * (1 + len(METHODS))
    at = table.set_index(["error", "rate", "subjects", "method"]).sort_index()
    for error in ("fmr", "fnmr"):
        for n in (20, 40):
            held = at.loc[(error, 0.1, n), "coverage"]
            assert held["independent"] + 0.1 < held["plug-in"] <= held["facelab"]
            assert held["independent"] < 0.75 and held["facelab"] >= 0.85
    assert (table["coverage_low"] <= table["coverage"]).all()
    assert (table["coverage"] <= table["coverage_high"]).all()


def test_too_few_errors_are_said(table):
    few = table.query("error == 'fnmr' and rate == 1e-4")
    assert (few["expected_errors"] < 0.2).all() and (few["no_errors"] > 0.5).all()
    assert few["note"].str.match(r"few errors: none in \d+% of tests").all()
    many = table.query("rate == 0.1")
    assert (many["note"] == "").all()
    wide = readable_coverage(table)
    assert len(wide) == 8
    assert wide.columns.tolist()[6:] == ["facelab", *METHODS, "width", "note"]


def test_the_finding_counts_settings(table):
    words = study.coverage_finding(table)
    assert "In 4 settings" in words
    inside = (
        table.query("rate == 0.1 and method == 'facelab'")["coverage"].between(0.93, 0.97).sum()
    )
    assert f"- `facelab` in {inside} of 4" in words
    assert "Where errors are rarer" in words


def test_the_study_does_not_depend_on_workers():
    one = coverage([5, 8], (0.1,), trials=30, seed=3, jobs=1)
    with joblib.parallel_config(backend="threading"):  # quicker to start, and as unordered
        two = coverage([5, 8], (0.1,), trials=30, seed=3, jobs=2)
    pd.testing.assert_frame_equal(one, two)


def test_the_figure_shows_every_error_and_rate(table):
    picture = plots.coverage(table)
    assert [axes.get_title(loc="left") for axes in picture.axes] == [
        "FMR 10%", "FMR 0.01%", "FNMR 10%", "FNMR 0.01%",
    ]  # fmt: skip
    held = table.query("error == 'fmr' and rate == 0.1 and method == 'independent'")
    drawn = [line.get_ydata() for line in picture.axes[0].lines]
    assert any(np.array_equal(y, held["coverage"].clip(0.025, 0.998)) for y in drawn if len(y) == 2)
    assert "independent comparisons" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: coverage(trials=0), "a study needs a trial"),
        (lambda: coverage([1]), "groups of two subjects"),
        (lambda: coverage([5], images=(4, 2)), "images"),
        (lambda: simulate_test(np.full(5, 2), [0.0]), "between 0 and 1"),
        (lambda: simulate_test(np.full(5, 2), [0.1], Dependence(), 0.2), "take smaller shares"),
    ],
)
def test_what_cannot_be_simulated_is_said(call, words):
    with pytest.raises(fl.BadInput, match=words):
        call()


@pytest.mark.slow
def test_the_notebook_runs_and_keeps_what_it_shows(tmp_path):
    experiment = Path(__file__).parents[2] / "experiments" / "coverage.yaml"
    small = {"single_subjects": [10, 20], "rates": [0.1, 0.001], "trials": 20, "jobs": 1}
    small |= {"subjects": [10], "runs": 2, "slow_runs": 1}
    run = fl.run(experiment, small, out=tmp_path)
    table = pd.read_csv(run / "tables" / "coverage.csv")
    expected = coverage([10, 20], [0.1, 0.001], trials=20, seed=1, jobs=1)
    pd.testing.assert_frame_equal(table.fillna({"note": ""}), expected)
    for name in ("coverage", "everything"):
        assert (run / "figures" / f"{name}.png").stat().st_size > 10_000
    kept = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    row = expected.query("method == 'facelab' and error == 'fmr' and rate == 0.1").iloc[0]
    assert kept["coverage"]["facelab fmr 0.1 10"] == row["coverage"]
    everything = pd.read_csv(run / "tables" / "everything.csv")
    assert set(everything["part"]) == {"groups", "models", "searches", "years"}
    assert everything.groupby("part")["runs"].max().to_dict() == {
        **{"groups": 2, "searches": 2},
        **{"models": 1, "years": 1},
    }
    rows = everything.query("part == 'groups' and quantity == 'rate' and error == 'fmr'")
    assert kept["lowest"]["groups rate fmr"] == rows["coverage"].min()
    assert len(pd.read_csv(run / "tables" / "by-quantity.csv")) == len(kept["lowest"])


def test_the_gallery_holds_the_study_that_the_experiment_runs():
    home = Path(__file__).parents[2] / "experiments"
    told = yaml.safe_load((home / "coverage.yaml").read_text(encoding="utf-8"))["parameters"]
    kept = pd.read_csv(home / "gallery" / "coverage.csv")
    many = {"groups": "runs", "searches": "runs", "models": "slow_runs", "years": "slow_runs"}
    assert (kept["runs"] == kept["part"].map(many).map(told)).all()
    settings = settings_of(told["subjects"])
    for part, rows in kept.groupby("part"):
        some = [one for one in settings if one.part == part]
        assert rows["cells"].max() == len(some)
        assert rows["where"].map(lambda words: int(words.split()[0])).isin(told["subjects"]).all()
    at = kept.set_index(["part", "printed", "error"])
    for error in ("fmr", "fnmr"):
        for what in ("rate", "rate by subject", "ratio of a named pair"):
            assert at.loc[("groups", what, error), "lowest"] > 0.925
        for what in ("ratios of all pairs", CLAIM):
            assert at.loc[("groups", what, error), "lowest"] > 0.935
        for what in ("change of a rate: difference", "rate at the target"):
            assert at.loc[("models", what, error), "lowest"] > 0.925
