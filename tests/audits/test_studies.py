"""Studies: figures of many arms, their paired changes, and what is said about them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from training_sets import TINY, patterns

import facelab as fl
from facelab.audits import arms as studies
from facelab.errors import BadInput
from facelab.figures import plots
from facelab.rates.counts import ErrorCounts
from facelab.training.mitigations import rare_margins
from facelab.training.timing import cpu_cost


def people(noise, seed, crowd=1.6, prefix="s"):
    """Forty subjects of two races; vectors of race b crowd around one direction."""
    rng = np.random.default_rng(99)
    subject = np.repeat(np.arange(40), 5)
    race = np.array(["a", "b"])[np.arange(40) % 2]
    centre = rng.normal(size=(40, 16))
    centre[race == "b", :4] += crowd
    noisy = np.random.default_rng(seed).normal(size=(200, 16))
    table = pd.DataFrame({"subject": [f"{prefix}{k:03d}" for k in subject]})
    table["image"] = [f"{prefix}{k}.jpg" for k in range(200)]
    table["race"] = race[subject]
    return fl.Embeddings.from_arrays(centre[subject] + noise * noisy, table, embedder="noise")


def audits(noise, seeds, crowd=1.6):
    return [fl.audit(people(noise, s, crowd), "race", 0.02, replicates=10) for s in seeds]


@pytest.fixture(scope="module")
def arms():
    seeds = (1, 2, 3)
    return {
        "baseline": audits(0.8, seeds),
        "even": audits(0.8, seeds, crowd=0.0),
        "noisy": audits(1.1, seeds),
    }


@pytest.fixture(scope="module")
def table(arms):
    return studies.compare_arms(arms, "baseline").set_index(["arm", "figure"])


def test_two_arms_are_told_of_as_compare_audits_tells_of_them(arms):
    mine = studies.compare_arms(arms, "baseline").set_index(["arm", "figure"])
    pair = {arm: arms[arm] for arm in ("baseline", "noisy")}
    theirs = fl.compare_audits(pair).table.set_index("quantity")
    for figure, quantity, columns in (
        ("garbe", "garbe:both", ["difference", "low", "high"]),
        ("fmr_ratio", "max_min_ratio:fmr", ["ratio", "ratio_low", "ratio_high"]),
        ("fnmr", "fnmr:all", ["difference", "low", "high"]),
    ):
        row, other = mine.loc[("noisy", figure)], theirs.loc[quantity]
        assert row["value"] == pytest.approx(other["b"])
        found = row[["change", "change_low", "change_high"]].tolist()
        assert found == pytest.approx(other[columns].tolist(), rel=1e-6, abs=1e-9)


def test_figures_are_means_over_seeds_and_of_the_worst_group(arms, table):
    rates = [one.rates.set_index("group") for one in arms["noisy"]]
    mean = {e: np.mean([one[e] for one in rates], axis=0) for e in ("fmr", "fnmr")}
    assert table.loc[("noisy", "fnmr"), "value"] == pytest.approx(mean["fnmr"][0])
    assert table.loc[("noisy", "worst_fnmr"), "value"] == pytest.approx(mean["fnmr"][1:].max())
    ratio = mean["fmr"][1:].max() / mean["fmr"][1:].min()
    assert table.loc[("noisy", "fmr_ratio"), "value"] == pytest.approx(ratio)
    single = studies.arms_by_seed(arms, "baseline").query(
        "arm == 'noisy' and figure == 'fmr_ratio'"
    )
    each = [max(x) / min(x) for x in (one["fmr"].to_numpy()[1:] for one in rates)]
    np.testing.assert_allclose(single["value"], each)


def test_the_highest_of_equal_rates_has_an_interval_that_reaches_below_it(table):
    """Noise pushes the highest of several rates up, and the interval knows."""
    row = table.loc[("baseline", "worst_fnmr")]
    assert row["low"] <= row["value"] <= row["high"]
    assert row["value"] - row["low"] > 0


def test_all_changes_at_once_have_wider_intervals(arms, table):
    wide, narrow = (table[f"{name}_high"] - table[f"{name}_low"] for name in ("family", "change"))
    others = table.index.get_level_values("arm") != "baseline"
    without_end = np.isposinf(narrow[others])
    assert ((wide[others] > narrow[others]) | without_end).all() and not without_end.all()
    single = studies.compare_arms(
        {name: arms[name] for name in ("baseline", "even")}, "baseline", ["fnmr"]
    ).iloc[1]
    ends = ["change_low", "change_high"]
    assert single[ends].tolist() == single[["family_low", "family_high"]].tolist()


def test_where_only_seeds_vary_the_interval_is_students():
    """The same test for every model, so often photographed that only the training's luck varies."""
    rng, rates = np.random.default_rng(0), [0.30, 0.10, 0.26]
    units = pd.DataFrame({"subject": [f"s{k:04d}" for k in range(4000)], "images": 2})
    units["group"] = np.arange(4000) % 2

    def one(rate):
        missed = rng.permutation(4000)[: round(4000 * rate)]
        pairs = pd.DataFrame({"unit_a": missed, "unit_b": missed, "errors": 1})
        return ErrorCounts(0.5, ("a", "b"), units, pairs, True)

    base = fl.audit(people(0.8, 1), "race", 0.02, replicates=10)
    audits = {}
    for arm, several in (("first", [0.2, 0.2, 0.2]), ("second", rates)):
        told = [one(rate) for rate in several]
        audits[arm] = [
            dataclasses.replace(
                base,
                counts=c,
                calibration_counts=c,
                rates=c.rates(small_samples=True),
                card={"calibration": {}},
            )
            for c in told
        ]
    row = studies.compare_arms(audits, "first", ["fnmr"]).set_index("arm").loc["second"]
    change = np.subtract(rates, 0.2)
    logs = np.array(rates) / np.mean(rates)  # of the ratio's logarithm, linearised
    reach = stats.t.ppf(0.975, 2) * stats.sem(logs)
    assert row["change"] == pytest.approx(change.mean())
    unit = row["change"] / np.log(np.mean(rates) / 0.2)
    assert row["change_high"] - row["change"] == pytest.approx(unit * reach, rel=0.12)


def test_an_arm_that_helps_is_told_from_one_that_costs(arms):
    table = studies.compare_arms(arms, "baseline", ["fmr:b", "fnmr"])
    words = {(row["arm"], row["figure"]): studies.verdict(row) for row in table.to_dict("records")}
    assert words["even", "fmr:b"] == "helps"
    assert words["noisy", "fnmr"] == "costs"
    said = studies.arms_finding(table, "baseline").splitlines()
    assert said[0].startswith("**baseline**, which the others are compared with: FMR of b")
    even, noisy = (next(line for line in said if f"**{arm}**" in line) for arm in ("even", "noisy"))
    assert "helps: FMR of b ×" in even
    assert "costs: overall FNMR +" in noisy


@pytest.mark.parametrize(
    "figure, low, high, word",
    [
        ("fnmr", -0.02, -0.01, "helps"),
        ("fnmr", 0.01, 0.02, "costs"),
        ("fnmr", -0.01, 0.01, ""),
        ("fmr_ratio", 0.2, 0.9, "helps"),
        ("fmr_ratio", 0.2, 1.1, ""),
        ("fmr_ratio", 1.1, 2.0, "costs"),
        ("fnmr", float("nan"), float("nan"), ""),
    ],
)
def test_a_verdict_needs_the_whole_interval(figure, low, high, word):
    assert studies.verdict({"figure": figure, "family_low": low, "family_high": high}) == word


def test_tables_are_read_in_percent_points_and_times(table):
    shown = studies.readable_arms(table.reset_index())
    assert shown.columns.tolist() == [
        "FMR, worst / best group",
        "GARBE",
        "overall FNMR, %",
        "worst group's FNMR, %",
    ]
    row = table.loc["noisy", "fnmr"]
    assert shown.loc["noisy", "overall FNMR, %"] == (
        f"{100 * row['value']:.3g} [{100 * row['low']:.3g}, {100 * row['high']:.3g}]"
    )
    changes = studies.readable_arms(table.reset_index(), changes=True)
    assert "overall FNMR, points" in changes and "FMR, worst / best group, times" in changes
    assert changes.index.tolist() == ["baseline", "even", "noisy"]
    rounded = table.reset_index().assign(change=1.85e-15, change_low=-0.01, change_high=0.02)
    shown = studies.readable_arms(rounded, changes=True)
    assert shown.loc["noisy", "overall FNMR, points"] == "+0 [-1, +2]"


def test_groups_rates_are_figures_too(arms):
    table = studies.compare_arms(arms, "baseline", ["fmr:a", "fnmr:b"]).set_index(["arm", "figure"])
    rates = [one.rates.set_index("group") for one in arms["even"]]
    for figure, error, group in (("fmr:a", "fmr", "a"), ("fnmr:b", "fnmr", "b")):
        mean = np.mean([one.loc[group, error] for one in rates])
        row = table.loc[("even", figure)]
        assert row["value"] == pytest.approx(mean)
        assert row["low"] < mean < row["high"]
    start = np.mean([one.rates["fmr"].iloc[1] for one in arms["baseline"]])
    even = np.mean([one.loc["a", "fmr"] for one in rates])
    assert table.loc[("even", "fmr:a"), "change"] == pytest.approx(even / start)


def test_what_cannot_be_compared_is_refused_naming_the_arm(arms):
    with pytest.raises(BadInput, match="there is no arm 'nobody'"):
        studies.compare_arms(arms, "nobody")
    with pytest.raises(BadInput, match="'even' has 1 audit and 'baseline' 3: give"):
        studies.compare_arms({**arms, "even": arms["even"][:1]}, "baseline")
    others = [fl.audit(people(0.8, 1, prefix="t"), "race", 0.02, replicates=10)] * 3
    with pytest.raises(BadInput, match=r"audits of 'even' and '.*' differ in the"):
        studies.compare_arms({**arms, "even": others}, "baseline")
    with pytest.raises(BadInput, match="there is no figure 'fairness'"):
        studies.compare_arms(arms, "baseline", ["fairness"])
    with pytest.raises(BadInput, match="'fmr:c'; the groups are: a, b"):
        studies.arms_by_seed(arms, "baseline", ["fmr:c"])


def test_cpu_cost_is_the_median_ratio_of_turns_to_the_baselines(monkeypatch):
    told = {"plain": iter([1.0, 2.0, 4.0]), "dear": iter([1.5, 4.0, 10.0])}
    monkeypatch.setattr(
        "facelab.training.timing._seconds_a_step", lambda faces, *rest: next(told[faces])
    )
    recipes = dict.fromkeys(told, TINY)
    cost = cpu_cost({arm: arm for arm in told}, recipes, "plain").set_index("arm")
    assert cost.index.tolist() == ["plain", "dear"]
    assert cost.loc["dear"].to_dict() == {"seconds": 4.0, "ratio": 2.0, "low": 1.5, "high": 2.5}


def test_a_wider_network_costs_more_cpu_time_and_threads_stay_as_they_were():
    threads = torch.get_num_threads()
    faces = patterns()
    wide = {"layers": [1, 1, 1, 1], "channels": [64, 64, 128, 128]}
    recipes = {"thin": TINY, "wide": dataclasses.replace(TINY, backbone_options=wide)}
    cost = cpu_cost(dict.fromkeys(recipes, faces), recipes, "thin", steps=4)
    assert cost.set_index("arm").loc["wide", "low"] > 1
    assert torch.get_num_threads() == threads


def test_rare_groups_get_larger_margins_by_the_fourth_root(faces):
    some = faces[(faces.table["gender"] == "male") | (faces.table.index < 20)]
    images = some.table["gender"].value_counts()
    margins = rare_margins(some, ["gender"], 0.2)
    assert margins["male"] == pytest.approx(0.2)
    assert margins["female"] == pytest.approx(0.2 * (images["male"] / images["female"]) ** 0.25)
    mitigate = {"by": ["gender"], "margins": margins}
    assert fl.Recipe.from_dict({"mitigate": mitigate}).mitigate.margins == margins


def test_the_pictures_tell_their_numbers(arms, table):
    single = studies.arms_by_seed(arms, "baseline")
    picture = plots.arm_changes(table.reset_index(), single, "baseline")
    assert len(picture.axes) == 4
    assert [label.get_text() for label in picture.axes[0].get_yticklabels()] == ["even", "noisy"]
    assert "noisy overall FNMR +" in picture.alt
    figures = ["fmr_ratio", "fmr:a", "fmr:b"]
    shares = {"baseline": 0.2, "even": 0.5, "noisy": 1.0}
    picture = plots.arm_shares(
        studies.compare_arms(arms, "baseline", figures),
        studies.arms_by_seed(arms, "baseline", figures),
        shares,
        0.02,
        "a",
    )
    drawn = picture.axes[0].get_lines()[0]
    assert drawn.get_xdata().tolist() == [20, 50, 100]
    value = table.loc[("noisy", "fmr_ratio"), "value"]
    assert f"100% {value:.3g}" in picture.alt


def test_a_study_is_its_trainings_audited_and_compared(tmp_path):
    people = {name: patterns(seed=n, prefix=name) for n, name in enumerate("abtc")}
    arms, by = {"plain": people["a"], "other": people["b"]}, "gender"
    names = {"baseline": "plain", "fmr": 0.1, "seeds": (0, 1), "figures": ("fnmr", "garbe")}
    kept = tmp_path / "kept"
    study = fl.study(arms, TINY, people["t"], people["c"], by, kept=kept, jobs=1, **names)
    embedders = fl.train_arms(arms, TINY, (0, 1), 1, kept=kept)
    audits = fl.audit_arms(embedders, people["t"], people["c"], by, 0.1, 1)
    expected = fl.compare_arms(audits, "plain", names["figures"])
    pd.testing.assert_frame_equal(study.table, expected)
    tables = study.tables()
    assert tables["thresholds"][["arm", "seed"]].to_numpy().tolist() == [
        [arm, seed] for arm in arms for seed in (0, 1)
    ]
    assert len(tables["error-rates"]) == 4 * 3, "all and two groups of every training"
    numbers = study.metrics({"test": people["t"]})
    assert numbers["counts"] == {"test": {"subjects": 12, "images": 72}}
    assert numbers["figures"]["other:fnmr"]["value"] == expected["value"].iloc[2]
    assert "overall FNMR" in study.finding(["fnmr"]) and "GARBE" not in study.finding(["fnmr"])
    assert study.plot().alt.startswith("Changes against plain")


def test_a_study_without_its_baseline_is_refused_before_anything_is_trained():
    with pytest.raises(fl.BadInput, match=r"no arm 'plane' .*; there are: plain"):
        fl.study({"plain": patterns()}, TINY, None, None, "gender", baseline="plane")
