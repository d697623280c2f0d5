"""A control: two arms under two conditions, and whether the condition changes what parts them."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.errors import BadInput

IMAGES, DIM = 4, 24
GROUPS = np.array(["a", "b", "c"])


def sets(rng, subjects=45):
    """Test and calibration people: their tables, whose each image is, and centres."""
    made = []
    for prefix in "sc":
        subject = np.repeat(np.arange(subjects), IMAGES)
        table = pd.DataFrame({"subject": [f"{prefix}{k:03d}" for k in subject]})
        table["image"] = [f"{prefix}{k}.jpg" for k in range(len(subject))]
        table["group"] = GROUPS[subject % 3]
        made.append((table, subject, rng.normal(size=(subjects, DIM))))
    return made


def model(rng, people, noises, own=0.4):
    """A recogniser: the noise of the photos, which all share, and some of its own."""
    embedded = [
        fl.Embeddings.from_arrays(
            centre[subject] + noise + own * rng.normal(size=noise.shape), table
        )
        for (table, subject, centre), noise in zip(people, noises, strict=True)
    ]
    return fl.audit(embedded[0], "group", 0.02, embedded[1], jobs=1)


def trial(seed, harsh=(1.0, 1.0), seeds=2):
    """Audits of two arms, alike but for how much the dark adds to what each errs by day."""
    rng = np.random.default_rng([3, seed])
    people = sets(rng)
    noise = {
        time: [0.75 * rng.normal(size=(len(table), DIM)) for table, *_ in people]
        for time in ("day", "night")
    }
    strength = {"day": (1.0, 1.0), "night": harsh}
    return {
        arm: {
            time: [
                model(rng, people, [strength[time][place] * one for one in noise[time]])
                for _ in range(seeds)
            ]
            for time in noise
        }
        for place, arm in enumerate(("old", "new"))
    }


@pytest.fixture(scope="module")
def audits():
    return trial(0, harsh=(1.0, 1.6), seeds=3)


@pytest.fixture(scope="module")
def found(audits):
    return fl.compare_conditions(audits)


def test_each_arm_is_compared_as_two_audits_are(audits, found):
    for arm, both in audits.items():
        rows, theirs = found.part(arm), fl.compare_audits(both).table.set_index("quantity")
        for quantity in ("fmr:a", "fnmr:all", "fnmr:c", "max_min_ratio:fmr"):
            for column in ("a", "b", "ratio"):
                assert rows.loc[quantity, column] == pytest.approx(theirs.loc[quantity, column])
        ends = ["ratio_low", "ratio_high"]
        assert rows.loc["fnmr:all", ends].tolist() == pytest.approx(
            theirs.loc["fnmr:all", ends].tolist()
        )


def test_the_change_of_the_change_is_what_it_says(found):
    old, new = found.part("old"), found.part("new")
    rows = found.part("new / old")
    assert rows["a"].to_numpy() == pytest.approx((new["a"] / old["a"]).to_numpy())
    assert rows["b"].to_numpy() == pytest.approx((new["b"] / old["b"]).to_numpy())
    assert rows["ratio"].to_numpy() == pytest.approx((rows["b"] / rows["a"]).to_numpy())


def test_intervals_of_groups_allow_for_all_that_were_looked_at(found):
    groups = found.table[found.table["quantity"].str.fullmatch(r"fn?mr:[abc]")]
    wide = groups["family_low"] < groups["ratio_low"]
    assert wide.all() and (groups["family_high"] > groups["ratio_high"]).all()
    rest = found.table.drop(groups.index)
    assert (rest["family_low"] == rest["ratio_low"]).all()


def test_a_condition_that_changes_nothing_changes_nothing():
    audits = {arm: {"day": both["day"], "again": both["day"]} for arm, both in trial(1).items()}
    table = fl.compare_conditions(audits).table
    assert table["ratio"].to_numpy() == pytest.approx(np.ones(len(table)))
    rates = table[table["quantity"].str.startswith("f")]
    assert rates["ratio_low"].to_numpy() == pytest.approx(1)
    assert rates["ratio_high"].to_numpy() == pytest.approx(1)


@pytest.mark.parametrize("trials", [4, pytest.param(10, marks=pytest.mark.slow)])
def test_where_both_arms_suffer_alike_no_change_of_the_change_is_claimed(trials):
    """Both err more at night, by as much: of so many such tests one claims it at most."""
    wrong, wrong_groups = [], []
    for seed in range(trials):
        rows = fl.compare_conditions(trial(seed, (1.3, 1.3)), replicates=100).part("new / old")
        row = rows.loc["fnmr:all"]
        wrong.append(not row["ratio_low"] <= 1 <= row["ratio_high"])
        groups = rows[rows["quantity"].str.fullmatch(r"fn?mr:[abc]")]
        wrong_groups.append(((groups["family_low"] > 1) | (groups["family_high"] < 1)).any())
    assert sum(wrong) <= 1 and sum(wrong_groups) <= 1


def test_an_arm_that_suffers_more_is_told(found):
    row = found.part("new / old").loc["fnmr:all"]
    assert row["ratio_low"] > 1
    text = found.finding()
    assert "**What new training changes.** From old to new training it changes overall FMR" in text
    assert f"overall FNMR by a factor of {row['a']:.2g} with day and of {row['b']:.2g}" in text
    assert "the ratio of worst to best FMR by a factor of" in text
    assert "(4 of the four cannot be told from parity)" in text
    assert "nan" not in text and "1 times [1, 1]" not in text


def test_without_errors_the_ratio_is_unknown_and_so_it_is_said():
    rng = np.random.default_rng(0)
    people = sets(rng)
    still = [0.05 * rng.normal(size=(len(table), DIM)) for table, *_ in people]
    one = model(rng, people, still, own=0.01)
    noisy = model(rng, people, [12 * noise for noise in still])
    found = fl.compare_conditions(
        {"old": {"day": one, "night": noisy}, "new": {"day": one, "night": noisy}}
    )
    row = found.part("new / old").loc["fnmr:all"]
    assert np.isnan(row["ratio"]) and "no errors in one of the four" in row["note"]
    text = found.finding()
    assert "overall FNMR by an unknown factor" in text
    assert "Overall FNMR was 0% with day" in text and "nan" not in text
    assert found.readable("new / old").loc["fnmr:all", "times"] == "unknown"


def test_a_control_without_its_two_arms_and_conditions_is_refused(audits):
    day = audits["old"]["day"]
    for given, told in [
        (day, "audits must be names with values"),
        ({"old": day, "new": day}, "audits of 'old' must be names with values"),
        ({"old": audits["old"]}, "two arms, each with the same two conditions"),
        ({"old": {"day": day}, "new": {"day": day}}, "old: day; new: day"),
        ({}, "not none"),
        (
            {"old": audits["old"], "new": {"night": day, "day": day}},
            "in the same order, not old: day, night; new: night, day",
        ),
        ({"old": audits["old"], "new": {"day": day, "night": day[:1]}}, "paired seed by seed"),
        ({"old": audits["old"], "new": {"day": day, "night": ["x"]}}, "and no audit"),
    ]:
        with pytest.raises(BadInput, match=told):
            fl.compare_conditions(given)


def test_the_picture_tells_both_arms(found):
    picture = fl.plots.condition_changes(found)
    labels = [label.get_text() for label in picture.axes[0].get_yticklabels()]
    assert labels == ["all", "a", "b", "c", "worst / best group"]
    assert picture.faces == "none"
    for arm in ("old", "new"):
        assert f"{arm}: FMR of all {found.part(arm).loc['fmr:all', 'ratio']:.2g} [" in picture.alt
