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
from facelab.rates.counts import double_or_nothing
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


def test_a_single_seed_gives_the_paired_intervals_of_compare_audits(arms):
    one = {arm: several[:1] for arm, several in arms.items()}
    mine = studies.compare_arms(one, "baseline").set_index(["arm", "figure"])
    pair = {arm: one[arm] for arm in ("baseline", "noisy")}
    theirs = fl.compare_audits(pair).table.set_index("quantity")
    row, other = mine.loc["noisy", "garbe"], theirs.loc["garbe:both"]
    assert row["change"] == pytest.approx(other["difference"])
    assert [row["change_low"], row["change_high"]] == pytest.approx([other["low"], other["high"]])
    row, other = mine.loc["noisy", "fmr_ratio"], theirs.loc["max_min_ratio:fmr"]
    found = row[["value", "change", "change_low", "change_high"]].tolist()
    assert found == pytest.approx(other[["b", "ratio", "ratio_low", "ratio_high"]].tolist())
    row, other = mine.loc["noisy", "fnmr"], theirs.loc["fnmr:all"]
    assert row["value"] == pytest.approx(other["b"])
    # Percentiles there, a normal interval here.
    width = other["high"] - other["low"]
    assert [row["change_low"], row["change_high"]] == pytest.approx(
        [other["low"], other["high"]], abs=0.1 * width
    )


def test_figures_are_means_over_seeds_and_of_the_worst_group(arms, table):
    rates = [one.rates.set_index("group") for one in arms["noisy"]]
    assert table.loc[("noisy", "fnmr"), "value"] == pytest.approx(
        np.mean([one.loc["all", "fnmr"] for one in rates])
    )
    worst = np.mean([max(one.loc["a", "fnmr"], one.loc["b", "fnmr"]) for one in rates])
    assert table.loc[("noisy", "worst_fnmr"), "value"] == pytest.approx(worst)
    both = [(one.loc["a", "fmr"], one.loc["b", "fmr"]) for one in rates]
    ratio = stats.gmean([max(pair) / min(pair) for pair in both])
    assert table.loc[("noisy", "fmr_ratio"), "value"] == pytest.approx(ratio)
    single = studies.arms_by_seed(arms, "baseline").query(
        "arm == 'noisy' and figure == 'fmr_ratio'"
    )
    assert stats.gmean(single["value"]) == pytest.approx(ratio)
    assert stats.gmean(single["change"]) == pytest.approx(
        table.loc[("noisy", "fmr_ratio"), "change"]
    )


def test_the_variance_is_that_of_the_subjects_and_that_of_the_seeds(arms):
    """Written out with another bootstrap loop, for one figure."""
    base, noisy = (
        [float(one.rates["fnmr"].iloc[0]) for one in arms[arm]] for arm in ("baseline", "noisy")
    )
    change = np.subtract(noisy, base)
    weights = double_or_nothing(40, 200, np.random.default_rng(0))
    draws = []
    for w in weights:
        rates = [
            np.mean([one.counts.resample(w[None]).fnmr[0, 0] for one in arms[arm]])
            for arm in ("baseline", "noisy")
        ]
        draws.append(rates[1] - rates[0])
    of_subjects, of_seeds = np.var(draws), np.var(change, ddof=1) / 3
    freedom = (of_subjects + of_seeds) ** 2 / (of_seeds**2 / 2)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(of_subjects + of_seeds)
    table = studies.compare_arms(arms, "baseline", ["fnmr"], replicates=200).set_index("arm")
    row = table.loc["noisy"]
    assert row["change"] == pytest.approx(change.mean())
    assert row["change_high"] - row["change"] == pytest.approx(reach)
    assert row["change"] - row["change_low"] == pytest.approx(reach)


def test_where_only_seeds_vary_the_interval_is_students():
    seeds = np.array([0.3, 0.1, 0.26])
    mean, low, high = studies._interval(seeds, np.full(100, 7.0), 0.95)
    expected = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
    assert (mean, low, high) == pytest.approx((seeds.mean(), *expected))


def test_intervals_of_a_mean_over_three_seeds_hold_the_truth_95_times_in_100():
    rng, held, trials = np.random.default_rng(5), 0, 4000
    for _ in range(trials):
        people_drawn = rng.normal(0, 1)
        seeds = people_drawn + rng.normal(0, 1.5, 3)
        draws = rng.normal(0, 1, 400)
        _, low, high = studies._interval(seeds, draws, 0.95)
        held += low <= 0 <= high
    assert 0.935 < held / trials < 0.975


def test_an_arm_that_helps_is_told_from_one_that_costs(table):
    assert studies.verdict(
        table.loc[("even", "fmr_ratio")].to_dict() | {"figure": "fmr_ratio"}
    ) == ("helps")
    assert studies.verdict(table.loc[("noisy", "fnmr")].to_dict() | {"figure": "fnmr"}) == "costs"
    said = studies.arms_finding(table.reset_index(), "baseline").splitlines()
    assert said[0].startswith("**baseline**, which the others are compared with: FMR, worst")
    even, noisy = (next(line for line in said if f"**{arm}**" in line) for arm in ("even", "noisy"))
    assert "helps: FMR, worst / best group ×" in even
    assert "costs:" in noisy and "overall FNMR +" in noisy.split("costs:")[1]


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
    assert studies.verdict({"figure": figure, "change_low": low, "change_high": high}) == word


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


def test_groups_rates_are_figures_too_and_zero_counts_as_half_an_error(arms):
    table = studies.compare_arms(arms, "baseline", ["fmr:a", "fnmr:b"]).set_index(["arm", "figure"])
    rates = [one.rates.set_index("group") for one in arms["even"]]
    # FMRs below the group's resolution are lifted to half an error.
    lifted = [max(one.loc["a", "fmr"], 0.5 / one.loc["a", "non_mated"]) for one in rates]
    assert table.loc[("even", "fmr:a"), "value"] == pytest.approx(stats.gmean(lifted))
    mean = np.mean([one.loc["b", "fnmr"] for one in rates])
    assert table.loc[("even", "fnmr:b"), "value"] == pytest.approx(mean)


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
