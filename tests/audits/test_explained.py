"""What an explanation of errors says: every sentence that can be printed, with its numbers."""

import numpy as np
import pandas as pd
import pytest
from turned_heads import photos

import facelab as fl
from facelab.audits.explained import effect_sentences, group_sentences, readable


def effect(covariate="yaw", rule="mean", change="+10", size=(0.021, 0.01, 0.032), p=0.0001):
    value, low, high = size
    names = ("difference", "ratio", "joint_low", "joint_high", "p", "p_corrected")
    told = dict(zip(names, (value, value, low, high, p, p), strict=True))
    return {"covariate": covariate, "rule": rule, "change": change} | told


def group(name, before, after, p=(0.0001, 0.0001), remains=(0.8, 0.6, 0.95), note=""):
    row = {"group": name, "comparisons": 1000, "subjects": 50, "errors": 30, "rate": 0.03}
    row["adjusted"] = np.nan if note else 0.03
    for when, size, chance in (("before", before, p[0]), ("after", after, p[1])):
        names = (when, f"{when}_joint_low", f"{when}_joint_high", f"{when}_p")
        row |= dict(zip(names, (*size, chance), strict=True))
    names = ("remains", "remains_low", "remains_high")
    return row | dict(zip(names, remains, strict=True)) | {"note": note}


NONE = (np.nan,) * 3


EFFECTS = [
    ("fnmr", effect(), "FNMR was 2.1 points [1, 3.2] higher for +10 in the mean of yaw "
     "(p < 0.001)."),
    ("fnmr", effect(size=(-0.021, -0.032, -0.01), p=0.012),
     "FNMR was 2.1 points [1, 3.2] lower for +10 in the mean of yaw (p = 0.012)."),
    ("fnmr", effect("glasses", "levels", "sun, not none"),
     "FNMR was 2.1 points [1, 3.2] higher for glasses sun, not none (p < 0.001)."),
    ("fnmr", effect("glasses", "different", "different, not the same"),
     "FNMR was 2.1 points [1, 3.2] higher where glasses differs (p < 0.001)."),
    ("fmr", effect("age", "difference", size=(0.8, 0.7, 0.92)),
     "FMR was 0.8 times [0.7, 0.92] as high for +10 in the difference of age (p < 0.001)."),
    ("fnmr", effect(size=(0.021, -0.01, 0.052), p=0.2),
     "Effects on FNMR cannot be told from none: for +10 in the mean of yaw (+2.1 points "
     "[-1, 5.2])."),
    ("fmr", effect("quality", "lower", size=(1.1, 0.9, 1.3), p=0.05),
     "Effects on FMR cannot be told from none: for +10 in the lower of quality (1.1 times "
     "[0.9, 1.3])."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "row", "said"), EFFECTS)
def test_the_sentence_of_each_effect(error, row, said):
    assert effect_sentences(pd.DataFrame([row]), error, 0.05) == [said]


def test_effects_that_are_told_come_before_those_that_are_not():
    rows = [effect("age", size=(0.0, -0.1, 0.1), p=1.0), effect()]
    assert effect_sentences(pd.DataFrame(rows), "fnmr", 0.05) == [
        "FNMR was 2.1 points [1, 3.2] higher for +10 in the mean of yaw (p < 0.001).",
        "Other effects on FNMR cannot be told from none: for +10 in the mean of age (+0 points "
        "[-10, 10]).",
    ]


def test_an_end_beyond_all_numbers_is_no_end():
    said = effect_sentences(pd.DataFrame([effect(size=(2.0, 0.0, np.inf), p=0.9)]), "fmr", 0.05)
    assert said == [
        "Effects on FMR cannot be told from none: for +10 in the mean of yaw (2 times [0, no end])."
    ]


GROUPS = [
    ("fnmr", group("a", (0.03, 0.01, 0.05), (0.024, 0.005, 0.043)),
     "FNMR for a was 3 points [1, 5] above the other groups (p < 0.001); with yaw and light taken "
     "into account 2.4 points [0.5, 4.3] above (p < 0.001): 80 % [60, 95] of the difference "
     "remains."),
    ("fnmr", group("a", (0.03, 0.01, 0.05), (0.027, 0.005, 0.05), remains=(0.9, 0.6, 1.2)),
     "FNMR for a was 3 points [1, 5] above the other groups (p < 0.001); with yaw and light taken "
     "into account 2.7 points [0.5, 5] above (p < 0.001): 90 % [60, 120] of the difference "
     "remains, which cannot be told from all of it."),
    ("fnmr", group("a", (-0.03, -0.05, -0.01), (0.02, 0.01, 0.03), remains=(-0.7, -2, -0.3)),
     "FNMR for a was 3 points [1, 5] below the other groups (p < 0.001); with yaw and light taken "
     "into account 2 points [1, 3] above (p < 0.001): the difference turns round."),
    ("fnmr", group("a", (0.03, 0.01, 0.05), (0.004, -0.01, 0.02), (0.002, 0.7), (0.13, -0.3, 0.6)),
     "FNMR for a was 3 points [1, 5] above the other groups (p = 0.002); with yaw and light taken "
     "into account (+0.4 points [-1, 2]), which cannot be told from none: 13 % [-30, 60] of the "
     "difference remains."),
    ("fmr", group("a", (3.0, 2.0, 4.5), (1.5, 1.1, 2.0)),
     "FMR for a was 3 times [2, 4.5] that of the other groups (p < 0.001); with yaw and light "
     "taken into account 1.5 times [1.1, 2] (p < 0.001): 80 % [60, 95] of the logarithm of the "
     "ratio remains."),
    ("fmr", group("a", (3.0, 2.0, 4.5), (1.2, 0.8, 1.8), (0.001, 0.4), (0.17, -0.2, 0.6)),
     "FMR for a was 3 times [2, 4.5] that of the other groups (p = 0.001); with yaw and light "
     "taken into account (1.2 times [0.8, 1.8]), which cannot be told from none: 17 % [-20, 60] "
     "of the logarithm of the ratio remains."),
    ("fnmr", group("a", (0.01, -0.01, 0.03), (0.024, 0.005, 0.043), (0.4, 0.004), NONE),
     "FNMR for a could not be told from that of the other groups (+1 points [-1, 3]); with yaw "
     "and light taken into account it was 2.4 points [0.5, 4.3] above the other groups "
     "(p = 0.004)."),
    ("fmr", group("a", (1.2, 0.8, 1.8), (1.5, 1.1, 2.0), (0.4, 0.004), NONE),
     "FMR for a could not be told from that of the other groups (1.2 times [0.8, 1.8]); with yaw "
     "and light taken into account it was 1.5 times [1.1, 2] that of the other groups "
     "(p = 0.004)."),
    ("fnmr", group("a", (0.01, -0.01, 0.03), (0.005, -0.02, 0.03), (0.4, 0.8), NONE),
     "FNMR cannot be told from that of the other groups, neither as it is nor with yaw and light "
     "taken into account, for a (+1 [-1, 3] and +0.5 [-2, 3] points)."),
    ("fmr", group("a", (1.2, 0.8, 1.8), (1.1, 0.7, 1.6), (0.4, 0.8), NONE),
     "FMR cannot be told from that of the other groups, neither as it is nor with yaw and light "
     "taken into account, for a (1.2 [0.8, 1.8] and 1.1 [0.7, 1.6] times)."),
    ("fnmr",
     group("a", NONE, NONE, (np.nan,) * 2, NONE, "no false non-matches: no model, left out"),
     "a, of 1,000 comparisons of 50 subjects: no false non-matches: no model, left out."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "row", "said"), GROUPS)
def test_the_sentence_of_each_group(error, row, said):
    names = ["yaw", "light"]
    assert group_sentences(pd.DataFrame([row]), error, 0.05, names, "the other groups") == [said]


def test_two_groups_differ_by_one_figure_which_is_told_once():
    rows = [
        group("b", (-0.03, -0.05, -0.01), (-0.024, -0.043, -0.005)),
        group("a", (0.03, 0.01, 0.05), (0.024, 0.005, 0.043)),
    ]
    (said,) = group_sentences(pd.DataFrame(rows), "fnmr", 0.05, ["yaw"], "the other groups")
    assert said.startswith("FNMR for a was 3 points [1, 5] above b (p < 0.001); with yaw taken")


def test_tables_show_what_the_sentences_say():
    rows = [effect(), effect("glasses", "levels", "sun, not none", p=0.2)]
    groups = [group("a", (0.03, 0.01, 0.05), (0.024, 0.005, 0.043)), GROUPS[-1][1]]
    effects, shown = readable(pd.DataFrame(rows), pd.DataFrame(groups), "fnmr")
    assert effects.to_numpy().tolist() == [
        ["mean +10", "+2.1 [1, 3.2]", "< 0.001"],
        ["sun, not none", "+2.1 [1, 3.2]", "0.2"],
    ]
    assert shown.iloc[0].tolist() == [
        *("30", "3", "3", "+3 [1, 5]", "< 0.001", "+2.4 [0.5, 4.3]", "< 0.001"),
        *("80 % [60, 95]", ""),
    ]
    assert shown.iloc[1].tolist()[2:] == [
        *("–", "–", "–", "–", "–", "–", "no false non-matches: no model, left out"),
    ]


@pytest.fixture(scope="module")
def people():
    return photos(120)


def test_the_summary_says_what_it_rests_on_and_what_it_does_not_say(people):
    found = fl.explain_errors(people, 0.45, "race", ["yaw"], "fnmr")
    said = found.summary()
    facts = found.facts
    assert said.startswith(
        f"At threshold 0.4500, {facts['errors']} of 1,200 mated comparisons within the groups "
        "compared were false non-matches; they tell as much as "
        f"{facts['effective_errors']:.0f} independent ones, from 120 subjects. FNMR was "
    )
    assert said.endswith(
        " What a covariate goes along with need not be its doing, and one that is not named here "
        "may be behind it."
    )
    assert "<caption>Groups, before and after</caption>" in found._repr_html_()


def test_sentences_intervals_and_p_values_agree(people):
    for error, threshold in (("fnmr", 0.45), ("fmr", 0.25)):
        found = fl.explain_errors(people, threshold, "race", ["yaw", "light"], error)
        none = 1 if error == "fmr" else 0
        outside = (found.effects["joint_low"] > none) | (found.effects["joint_high"] < none)
        assert (outside == (found.effects["p_corrected"] < 0.05)).all()
        assert (found.effects["p_corrected"] >= found.effects["p"]).all()
        for when in ("before", "after"):
            low, high = (found.groups[f"{when}_joint_{end}"] for end in ("low", "high"))
            apart = (low > none) | (high < none)
            assert (apart == (found.groups[f"{when}_p"] < 0.05)).all()
