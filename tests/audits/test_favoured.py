"""Each group favoured in turn: what follows the favour, and what is hard whoever is favoured."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

import facelab as fl
from facelab.errors import BadInput

GROUPS = ("a", "b", "c")
IMAGES, DIM = 4, 24


def embedded(seed, prefix, crowding, subjects=120):
    """People of three groups; the people of a group crowd around a direction of its own."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), IMAGES)
    centre = np.random.default_rng([5, ord(prefix)]).normal(size=(subjects, DIM))
    group = np.arange(subjects) % 3
    for place, name in enumerate(GROUPS):
        centre[group == place, 4 * place : 4 * place + 4] += crowding[name]
    vectors = centre[subject] + 0.6 * rng.normal(size=(len(subject), DIM))
    table = pd.DataFrame({"subject": [f"{prefix}{k:03d}" for k in subject]})
    table["image"] = [f"{prefix}{k}.jpg" for k in range(len(subject))]
    table["group"] = np.array(GROUPS)[group[subject]]
    return fl.Embeddings.from_arrays(vectors, table)


def mirrored(crowds, seeds=(0, 1), base=None):
    """Audits of a balanced arm and of one arm a group, by who crowds how much in it."""
    arms = {"balanced": base or dict.fromkeys(GROUPS, 0.6), **crowds}
    return {
        arm: [
            fl.audit(
                embedded([place, seed], "s", crowding),
                "group",
                0.02,
                embedded([place, seed, 9], "c", crowding),
                jobs=1,
            )
            for seed in seeds
        ]
        for place, (arm, crowding) in enumerate(arms.items())
    }


FAVOURED = {f"80% {group}": group for group in GROUPS}


def crowds(favoured, others, extra=None):
    return {
        arm: {g: (favoured if g == group else others) + (extra or {}).get(g, 0.0) for g in GROUPS}
        for arm, group in FAVOURED.items()
    }


@pytest.fixture(scope="module")
def followed():
    """Whoever is favoured is told apart best, and nobody is harder than others."""
    audits = mirrored(crowds(0.0, 1.3), seeds=range(4))
    return fl.mirrored_skew(audits, FAVOURED, "balanced", replicates=200)


@pytest.fixture(scope="module")
def hard():
    """Group c crowds whatever the training data are."""
    audits = mirrored(crowds(0.2, 0.6, {"c": 0.9}), base={"a": 0.4, "b": 0.4, "c": 1.3})
    return fl.mirrored_skew(audits, FAVOURED, "balanced", replicates=200)


def test_errors_that_follow_the_favour_are_told_so(followed):
    ends = followed.ends.set_index("arm")
    assert ends.loc[list(FAVOURED), "best"].tolist() == list(GROUPS)
    assert ends.loc[list(FAVOURED), "best_alone"].all()
    own = followed.changes.query("group == favoured")
    assert own["told"].tolist() == ["fell"] * 3 and (own["high"] < 1).all()
    text = followed.finding()
    assert "in 3 of 3 arms, and could be told from every other group in 3" in text
    assert "its rate fell in 3" in text and "and was the favoured one in 0" in text


def test_what_is_left_when_each_was_favoured_once_is_parity(followed):
    row = followed.ends.set_index("arm").loc["mean of the arms"]
    assert row["low"] == 1 and row["p_parity"] > 0.05 and not row["worst_alone"]
    last = followed.finding().splitlines()[-1]
    assert last.startswith("- **What stays, whoever is favoured.** Averaged over the 3 arms")
    assert "cannot be told from parity" in last


def test_a_group_that_is_hard_for_other_reasons_is_found(hard):
    ends = hard.ends.set_index("arm")
    assert set(ends["worst"]) == {"c"}
    row = ends.loc["mean of the arms"]
    assert row["worst_alone"] and row["low"] > 1
    text = hard.finding()
    assert "**The group with the highest rate** was c in all 3 arms" in text
    assert text.endswith("c can be told from every other group.")
    assert "and was the favoured one in 1." in text


def test_rates_and_ratios_are_those_of_the_audits(followed):
    audits = mirrored(crowds(0.0, 1.3), seeds=range(4))
    for row in followed.changes.itertuples():
        means = {
            arm: np.mean(
                [one.rates.set_index("group").loc[row.group, "fmr"] for one in audits[arm]]
            )
            for arm in (row.arm, "balanced")
        }
        assert row.rate == pytest.approx(means[row.arm])
        assert row.ratio == pytest.approx(means[row.arm] / means["balanced"])
        assert followed.rates.loc[row.arm, row.group] == pytest.approx(row.rate)


@pytest.mark.parametrize("trials", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_arms_that_are_alike_claim_nothing(trials):
    """Of experiments in which nothing follows the favour, one claims something at most."""
    claims = []
    for trial in range(trials):
        alike = crowds(0.6, 0.6)
        seeds = (10 * trial, 10 * trial + 1)
        found = fl.mirrored_skew(mirrored(alike, seeds), FAVOURED, "balanced", replicates=100)
        claims.append(found.changes["told"].isin(["fell", "rose"]).any())
    assert sum(claims) <= 1


def test_false_non_matches_can_be_asked_for():
    audits = mirrored(crowds(0.0, 1.3), seeds=(0,))
    found = fl.mirrored_skew(audits, FAVOURED, "balanced", error="fnmr", replicates=100)
    one = audits["80% a"][0].rates.set_index("group")["fnmr"]
    assert found.rates.loc["80% a", "b"] == pytest.approx(one["b"])
    assert "false non-match rate" in found.finding()


def test_what_does_not_name_a_group_for_every_arm_is_refused(followed):
    audits = mirrored(crowds(0.0, 1.3), seeds=(0,))
    for given, told in [
        ({"80% a": "a"}, "a group for every arm but the baseline: the arms are 80% a, 80% b"),
        ({**FAVOURED, "balanced": "a"}, "for every arm but the baseline"),
        ({**FAVOURED, "80% c": "d"}, "there is no group 'd'"),
        ({**FAVOURED, "80% c": "a"}, "two arms favour the same group"),
        ({}, "and not none"),
    ]:
        with pytest.raises(BadInput, match=told):
            fl.mirrored_skew(audits, given, "balanced")
    with pytest.raises(BadInput, match="there is no arm 'even'"):
        fl.mirrored_skew(audits, FAVOURED, "even")
    with pytest.raises(BadInput, match="error"):
        fl.mirrored_skew(audits, FAVOURED, "balanced", error="eer")


def test_the_picture_frames_what_can_be_told(followed):
    picture = fl.plots.favoured_groups(followed)
    framed = [p for p in picture.axes[0].findobj(Rectangle) if p.get_linewidth() == 2]
    assert len(framed) == followed.changes["told"].isin(["fell", "rose"]).sum() > 0
    own = followed.changes.query("favoured == 'a'").set_index("group")["ratio"]
    assert f"a: a {own['a']:.3g}, b {own['b']:.3g}, c {own['c']:.3g}." in picture.alt
    assert picture.faces == "none"
