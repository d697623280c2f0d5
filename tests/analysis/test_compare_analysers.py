"""Arms of analysers: changes by hand, intervals by simulation, sentences and the picture."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.analysis.arms import Compared
from facelab.analysis.tallies import Places
from facelab.errors import BadInput

CELLS = ["tone", "gender"]


def people(number=80, images=2):
    table = pd.DataFrame({"subject": np.repeat(np.arange(number), images).astype(str)})
    table["image"] = table.index.astype(str)
    person = table["subject"].astype(int)
    table["gender"] = np.where(person % 2, "male", "female")
    table["tone"] = np.where(person // 2 % 2, "lighter", "darker")
    return table


def said(table, wrong):
    """Predictions that are wrong where they are told to be."""
    other = table["gender"].map({"male": "female", "female": "male"})
    return table.assign(predicted_gender=other.where(wrong, table["gender"]), status="ok")


@pytest.fixture(scope="module")
def study():
    table, rng = people(), np.random.default_rng(2)
    worse = np.where((table["tone"] == "darker") & (table["gender"] == "female"), 0.5, 0.05)
    arms = {
        "skewed": [said(table, rng.random(len(table)) < worse) for _ in range(3)],
        "balanced": [said(table, rng.random(len(table)) < 0.05) for _ in range(3)],
    }
    found = fl.compare_analysers(
        arms, "skewed", "gender", CELLS, gap=("darker/female", "lighter/male")
    )
    return arms, found


def test_errors_and_changes_are_means_over_seeds(study):
    arms, found = study
    table = found.table.set_index(["arm", "group"])
    for arm, several in arms.items():
        for group, cut in {"all": None, "darker/female": ("darker", "female")}.items():
            each = []
            for one in several:
                part = (
                    one if cut is None else one[(one["tone"] == cut[0]) & (one["gender"] == cut[1])]
                )
                each.append((part["gender"] != part["predicted_gender"]).mean())
            assert table.loc[(arm, group), "error"] == pytest.approx(np.mean(each))
            seeds = found.by_seed.query("arm == @arm and group == @group")["error"]
            assert seeds.to_numpy() == pytest.approx(each)
    both = table.loc["balanced", "error"] - table.loc["skewed", "error"]
    assert table.loc["balanced", "change"].to_numpy() == pytest.approx(both.to_numpy())
    assert (table.loc["skewed", "change_high"] == 0).all()
    assert (table["subjects"].unique().tolist(), set(table["images"])) == ([80, 20], {160, 40})
    gap = found.gaps.set_index("arm")["error"]
    cells = table.loc["balanced", "error"]
    assert gap["balanced"] == pytest.approx(cells["darker/female"] - cells["lighter/male"])
    wide = found.table[found.table["arm"] == "balanced"]
    assert (wide["family_low"] <= wide["change_low"]).all()


def test_the_interval_of_a_change_by_hand():
    """Four people of two photos, two seeds: the jackknife over people and Student's over seeds."""
    errors = np.zeros((2, 2, 8))
    errors[0, 0, [0, 1, 2]] = 1
    errors[0, 1, [0, 4, 5]] = 1
    errors[1, 1, [5]] = 1
    errors[1, 1, [6]] = 1
    errors[1, 1, [7]] = 1
    errors[1, 0, [0]] = 1
    subject = np.repeat(np.arange(4), 2)
    compared = Compared(errors, subject, Places.of(np.zeros(8, int), ["g"]), False, None, 0.95)
    change, low, high = (end[0] for end in compared.change(1, 0, 0.95))
    apart = (errors[1] - errors[0]).mean(axis=0)
    person = apart.reshape(4, 2).sum(axis=1)
    left_out = (apart.sum() - person) / 6
    error = np.sqrt(np.sum((left_out - apart.mean()) ** 2))
    by_seed = (errors[1] - errors[0]).mean(axis=1)
    reach = np.hypot(3.182446 * error, 12.706205 * np.std(by_seed, ddof=1) / np.sqrt(2))
    assert change == pytest.approx(apart.mean())
    assert by_seed.std() > 0
    assert (low, high) == pytest.approx((change - reach, change + reach), rel=1e-6)


def test_where_no_face_is_judged_otherwise_others_might_be():
    table = people(20)
    same = said(table, np.zeros(len(table), bool))
    found = fl.compare_analysers({"a": [same] * 2, "b": [same] * 2}, "a", "gender", "tone").table
    row = found[(found["arm"] == "b") & (found["group"] == "all")].iloc[0]
    # Clopper and Pearson's upper end of none of twenty people.
    assert row["change_high"] == pytest.approx(1 - 0.025 ** (1 / 20), rel=1e-3)
    assert row["change_low"] == -row["change_high"]


def simulated(runs, seeds, shift, rng):
    """Two arms whose true errors differ by `shift`; people and seeds both vary."""
    images, number = 4, 60
    subject = np.repeat(np.arange(number), images)
    places = Places.of(subject % 2, ["a", "b"])
    held = []
    for _ in range(runs):
        hard = rng.normal(0, 0.08, number)[subject]
        errors = np.empty((2, seeds, len(subject)))
        for arm in (0, 1):
            own = rng.normal(0, 0.04, number)[subject]
            for seed in range(seeds):
                chance = 0.3 + arm * shift + hard + own + rng.normal(0, 0.03)
                errors[arm, seed] = rng.random(len(subject)) < chance.clip(0, 1)
        one = Compared(errors, subject, places, True, (1, 2), 0.95)
        _, low, high = one.change(1, 0, 0.95)
        _, gap_low, gap_high = one.gap(errors[1] - errors[0], 2)
        _, level_low, level_high = one.level(0)
        held.append(
            [
                low[0] <= shift <= high[0],
                low[1] <= shift <= high[1],
                gap_low <= 0 <= gap_high,
                level_low[0] <= 0.3 <= level_high[0],
            ]
        )
    return np.mean(held, axis=0)


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_intervals_hold_the_truth_where_people_repeat_and_seeds_differ(shift):
    held = simulated(400, 3, shift, np.random.default_rng(5))
    # 95 % within three standard errors of 400 trials below; seeds' few degrees make some wider.
    assert (held >= 0.915).all() and (held <= 0.999).all(), held


def test_numbers_are_compared_by_their_mean_absolute_error():
    table = people(20).assign(age=30.0)
    arms = {
        "a": [table.assign(predicted_age=35.0), table.assign(predicted_age=27.0)],
        "b": [table.assign(predicted_age=31.0), table.assign(predicted_age=31.0)],
    }
    found = fl.compare_analysers(arms, "a", "age", "tone")
    rows = found.table.set_index(["arm", "group"])
    assert rows.loc[("a", "darker"), "error"] == pytest.approx(4)
    assert rows.loc[("b", "all"), "change"] == pytest.approx(-3)
    assert (found.unit, found.what) == ("", "estimated age")
    assert (
        "erred alike on all groups, 1.00" in found.finding()
        and "%" not in found.readable().iat[0, 0]
    )


def test_the_finding_claims_what_its_intervals_bear(study):
    _, found = study
    text = found.finding()
    assert (
        "**skewed** training erred on 15.4 [" in text and "; it erred most on darker/female" in text
    )
    assert "Means over 3 training seeds" in text and "over people and seeds" in text
    table = found.table.copy()
    moved = (table["arm"] == "balanced") & (table["group"] == "darker/female")
    for low, high, words in (
        (-0.5, -0.1, "the error fell for darker/female ("),
        (0.1, 0.5, "the error rose for darker/female ("),
        (-0.5, 0.1, "no error can be told from its baseline's"),
    ):
        table.loc[table["arm"] == "balanced", ["family_low", "family_high"]] = (-1, 1)
        table.loc[moved, ["family_low", "family_high"]] = (low, high)
        told = fl.AnalyserStudy(table, found.gaps, found.by_seed, "skewed", found.what, "%")
        assert words in told.finding()
    gaps = found.gaps.assign(change_low=-0.2, change_high=0.1)
    told = fl.AnalyserStudy(table, gaps, found.by_seed, "skewed", found.what, "%")
    assert "which cannot be told from none" in told.finding()
    single = found.table.assign(seeds=1)
    told = fl.AnalyserStudy(single, gaps, found.by_seed, "skewed", found.what, "%")
    assert "There is one seed: training noise is not in the intervals" in told.finding()


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({"baseline": "sked"}, {}, "no arm 'sked'.*'skewed'"),
        ({"truth": "sex"}, {}, "have no column 'sex'"),
        ({"gap": ("darker/female", "lighter")}, {}, "no group 'lighter'"),
        ({}, {"balanced": 1}, "different numbers of seeds"),
        ({}, {"balanced": lambda t: t.iloc[::-1]}, "'balanced' are not of the same faces"),
        ({}, {"balanced": lambda t: t.drop(columns="predicted_gender")}, "no column 'predicted_"),
        ({}, {"all": lambda t: t.assign(gender=t["gender"].where(t.index > 2))}, "3 faces have no"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(study, change, more, words):
    arms = {arm: list(several) for arm, several in study[0].items()}
    for arm, how in more.items():
        for name in arms if arm == "all" else [arm]:
            arms[name] = arms[name][:how] if how == 1 else [how(one) for one in arms[name]]
    given = {"baseline": "skewed", "truth": "gender", "by": CELLS} | change
    with pytest.raises(BadInput, match=words):
        fl.compare_analysers(arms, **given)


def test_who_is_not_processed_counts_as_an_error():
    table = people(20)
    whole = said(table, np.zeros(len(table), bool))
    refused = whole.assign(predicted_gender=whole["predicted_gender"].where(whole.index >= 4))
    found = fl.compare_analysers({"a": [whole], "b": [refused]}, "a", "gender", "tone").table
    row = found[(found["arm"] == "b") & (found["group"] == "all")].iloc[0]
    assert row["change"] == pytest.approx(0.1)


def test_the_published_cells_add_up_to_the_published_errors():
    published = fl.gender_shades()
    whole = {
        vendor: 100 * np.average(rows["error"], weights=rows["people"])
        for vendor, rows in published.groupby("vendor")
    }
    assert whole["Microsoft"] == pytest.approx(6.33, abs=0.05)
    assert whole["Face++"] == pytest.approx(9.17, abs=0.05)
    assert whole["IBM"] == pytest.approx(12.15, abs=0.05)
    assert published.groupby("vendor")["people"].sum().unique().tolist() == [1270]
    assert (published["low"] <= published["error"]).all()
    assert (published["high"] > published["error"]).all()


def test_the_picture_keeps_what_is_published_apart(study):
    picture = fl.plots.analyser_errors(study[1], fl.gender_shades())
    ours, theirs = picture.axes
    assert "Here: perceived gender" in ours.get_title(loc="left")
    assert "Published, of other faces" in theirs.get_title(loc="left")
    assert picture.faces == "none" and "published for other faces" in picture.alt
    marks = {line.get_label() for line in ours.lines} & {"skewed", "balanced"}
    assert marks == {"skewed", "balanced"}
    assert len(fl.plots.analyser_errors(study[1]).axes) == 1
