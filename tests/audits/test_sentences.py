"""Every sentence about rates that can be printed, with the numbers that trigger it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits import sentences
from facelab.audits.differences import AuditDifferences
from facelab.audits.findings import experiment_finding
from facelab.rates.cautions import few_errors, notes_of
from facelab.rates.intervals import Sums

NAN, INF = float("nan"), float("inf")


# ---- the summary of an audit


def an_audit(fmr=((0.001, 0.004), (0.0005, 0.002)), contrast=None, floor=(1.7, 2.4), **changes):
    """What an audit of groups x and y tells, as plain numbers: rates, and their lower ends."""
    frame = pd.DataFrame({"group": ["all", "x", "y"], "fmr": [0.001, *fmr[0]], "fnmr": NAN})
    frame["fmr_low"], frame["fmr_high"] = [0.0008, *fmr[1]], [0.002, *(2 * r for r in fmr[0])]
    frame["fnmr_low"] = frame["fnmr_high"] = NAN
    row = {"group": "y", "reference": "x", "rate": fmr[0][1], "reference_rate": fmr[0][0]}
    row |= {"ratio": 4.0, "ratio_low": 2.5, "ratio_high": 6.4, "p_corrected": 0.002, "note": ""}
    table = pd.DataFrame([row | (contrast or {})])
    told = {
        "rates": frame,
        "by": ["race"],
        "fmr": 1e-3,
        "threshold": 0.5,
        "pairs": "all",
        "calibration": "40 calibration subjects disjoint from the test",
        "set_on_itself": False,
        "contrasts": lambda error="fmr": table,
        "disparity": pd.DataFrame(
            {"metric": ["max_min_ratio"], "error": ["fmr"], "parity": [floor[0]]}
        ).assign(parity_high=floor[1]),
    }
    return SimpleNamespace(**(told | changes))


START = "At threshold 0.5000, set for FMR 0.1% on 40 calibration subjects disjoint from the test, "
WHOLE = START + "overall FMR was 0.1% [0.08, 0.2] and FNMR unknown."
RANGE = "FMR by race ran from 0.1% [0.05, 0.2] for x to 0.4% [0.2, 0.8] for y"
FLOOR = "; groups with equal rates would show 1.7 times, seldom more than 2.4."

SUMMARIES = [
    ({}, f"{WHOLE} {RANGE}: 4 [2.5, 6.4] times (p = 0.002){FLOOR}"),
    (
        {"contrast": {"p_corrected": 2e-5}},
        f"{WHOLE} {RANGE}: 4 [2.5, 6.4] times (p < 0.001){FLOOR}",
    ),
    (
        {"contrast": {"ratio_low": 0.7, "p_corrected": 0.3}},
        f"{WHOLE} {RANGE}: 4 [0.7, 6.4] times, which cannot be told from parity{FLOOR}",
    ),
    ({"floor": (NAN, NAN)}, f"{WHOLE} {RANGE}: 4 [2.5, 6.4] times (p = 0.002)."),
    (
        {"fmr": ((0.0, 0.004), (0.0, 0.002)), "contrast": {"ratio": INF, "ratio_high": INF}},
        f"{WHOLE} FMR by race ran from 0% [0, 0] for x to 0.4% [0.2, 0.8] for y: at least 2.5 "
        f"times (p = 0.002){FLOOR}",
    ),
    ({"fmr": ((0.002, 0.002), (0.001, 0.001))}, f"{WHOLE} FMR was 0.2% for every group."),
    ({"fmr": ((NAN, 0.004), (NAN, 0.002))}, WHOLE),
    ({"fmr": ((0.0, 0.0), (0.0, 0.0))}, WHOLE),
    (
        {"set_on_itself": True, "fmr": ((NAN, NAN), (NAN, NAN))},
        START + "overall FMR was 0.1% by construction and FNMR unknown.",
    ),
]


@pytest.mark.parametrize(("numbers", "sentence"), SUMMARIES)
def test_summaries(monkeypatch, numbers, sentence):
    monkeypatch.setattr(sentences, "realised", lambda audit: (NAN, NAN))
    assert sentences.summary(an_audit(**numbers)) == sentence


def test_what_a_threshold_realises(monkeypatch):
    monkeypatch.setattr(sentences, "realised", lambda audit: (0.0004, 0.003))
    at = pd.DataFrame({"fnmr": [0.05], "fnmr_low": [0.02], "fnmr_high": [0.11]})
    monkeypatch.setattr(sentences, "at_target", lambda audit: at)
    told = sentences.summary(an_audit(fmr=((NAN, NAN), (NAN, NAN))))
    assert told == (
        f"{WHOLE} Among people like those that it was set on, this threshold realises an FMR "
        "between 0.04% and 0.3%; set anew for FMR 0.1% on as many others, it would give an FNMR "
        "between 2% and 11%."
    )
    monkeypatch.setattr(sentences, "at_target", lambda audit: at.assign(fnmr=NAN))
    told = sentences.summary(an_audit(fmr=((NAN, NAN), (NAN, NAN))))
    assert told.endswith("realises an FMR between 0.04% and 0.3%.")


# ---- from one arm to another


def changes(ratio=(0.2, 0.1, 0.4), groups=((0.5, 0.3, 0.8), (1.1, 0.8, 1.5)), note="", low=2.0):
    """Two arms: the disparity's change, and those of the rates of groups x and y."""
    rows = []
    for error in ("fmr", "fnmr"):
        for name, (value, least, most) in zip(("x", "y"), groups, strict=True):
            rows.append((f"{error}:{name}", 0.01, 0.01 * value, value, least, most))
        rows.append((f"max_min_ratio:{error}", 10.0, 10 * ratio[0], *ratio))
    rows.append(("fnmr:all", 0.2, 0.15, 0.75, 0.7, 0.8))
    table = pd.DataFrame(rows, columns=["quantity", "a", "b", "ratio", "ratio_low", "ratio_high"])
    table["family_low"], table["family_high"] = table["ratio_low"], table["ratio_high"]
    table["difference"] = table["b"] - table["a"]
    table["low"], table["high"] = table["difference"] - 0.01, table["difference"] + 0.01
    table["note"] = note
    index = pd.DataFrame({"low": low, "high": 30.0, "parity": 1.7, "parity_high": 2.4}, ["q"])
    told = {
        arm: pd.concat([index.set_axis([f"max_min_ratio:{e}"]) for e in ("fmr", "fnmr")])
        for arm in ("before", "after")
    }
    return AuditDifferences(("before", "after"), table, pd.DataFrame(), 0.95, told)


def finding(differences):
    one = SimpleNamespace(fmr=1e-3, calibration="40 others")
    return experiment_finding({"before": [one], "after": [one]}, differences).splitlines()


def test_findings_of_an_experiment():
    said = finding(changes())
    assert (
        said[0]
        == "At one threshold for everybody, set for FMR 0.1% on 40 others, one training seed:"
    )
    floor = "; equal groups would show 1.7, seldom more than 2.4."
    assert said[2] == (
        "- **Disparity in false match rates fell.** With before training the worst group (x) erred "
        f"10 times [2, 30] as often as the best (x){floor} With after training the worst group (y) "
        f"erred 2 times [2, 30] as often as the best (x){floor} From before to after the ratio "
        "changed by a factor of 0.2 [0.1, 0.4]."
    )
    assert said[3] == (
        "- **Who gained, who lost:** the false match rate fell for x (0.5 times [0.3, 0.8]); shows "
        "no clear change for y (1.1 times [0.8, 1.5])."
    )
    assert said[-1] == (
        "- **Overall FNMR** was 20% with before and 15% with after training: a difference of -5 "
        "points [-6, -4]."
    )


@pytest.mark.parametrize(
    ("numbers", "place", "words"),
    [
        ({"ratio": (2.0, 1.5, 3.0)}, 2, "- **Disparity in false match rates rose.**"),
        (
            {"ratio": (1.2, 0.5, 3.0)},
            2,
            "- **Disparity in false match rates shows no clear change.**",
        ),
        (
            {"ratio": (1.2, 0.5, 3.0)},
            2,
            "changed by a factor of 1.2 [0.5, 3], which cannot be told from no change.",
        ),
        (
            {"low": 1.0},
            2,
            "as often as the best (x), which cannot be told from parity: equal groups would show "
            "1.7, seldom more than 2.4.",
        ),
        ({"note": "one seed: training noise unseen"}, 2, "Note: one seed: training noise unseen."),
        ({"ratio": (NAN, NAN, NAN)}, 2, "- **Disparity in false match rates cannot be compared.**"),
        ({"groups": ((2.0, 1.5, 3.0), (1.1, 0.8, 1.5))}, 3, "rose for x (2 times [1.5, 3])"),
        ({"groups": ((NAN, NAN, NAN), (1.1, 0.8, 1.5))}, 3, "is unknown for x."),
    ],
)
def test_findings_say_no_more_than_intervals_bear(numbers, place, words):
    assert words in finding(changes(**numbers))[place]


@pytest.mark.parametrize(
    ("ratio", "sentence"),
    [
        ((0.2, 0.1, 0.4), "was 10 for before and 2 for after: 0.2 times [0.1, 0.4]."),
        (
            (1.2, 0.5, 3.0),
            "was 10 for before and 12 for after: 1.2 times [0.5, 3], which cannot be told from no "
            "change.",
        ),
    ],
)
def test_one_change_in_a_sentence(ratio, sentence):
    assert changes(ratio).summary() == f"FMR, worst group / best group {sentence}"


# ---- as good as equal


def ratios(*ends):
    rows = [("x", "y", (low + high) / 2 if high < INF else low, low, high) for low, high in ends]
    return pd.DataFrame(rows, columns=["group", "reference", "ratio", "ratio_low", "ratio_high"])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            ratios((0.9, 1.1), (0.95, 1.2)),
            "Shown: all 2 ratios lie within 1.25 times (x had 1.1 [0.95, 1.2] times the rate of "
            "y).",
        ),
        (
            ratios((0.9, 1.1)),
            "Shown: the ratio lies within 1.25 times (x had 1 [0.9, 1.1] times the rate of y).",
        ),
        (
            ratios((0.9, 1.1), (0.7, 1.5)),
            "Not shown: x had 1.1 [0.7, 1.5] times the rate of y, which may be within 1.25 times "
            "or not.",
        ),
        (
            ratios((0.9, 1.1), (1.3, 1.9)),
            "Not shown: x had 1.6 [1.3, 1.9] times the rate of y, which is outside 1.25 times.",
        ),
        (ratios((NAN, NAN)), "Not shown: the ratio is unknown."),
        (ratios(), "There is nothing to compare."),
        (
            ratios((0.9, 1.1)).assign(quantity="fnmr:all"),
            "Shown: the ratio lies within 1.25 times (fnmr:all was 1 [0.9, 1.1] times as high).",
        ),
    ],
)
def test_equivalence_is_shown_or_not(table, sentence):
    assert fl.equivalence_finding(fl.equivalence(table)) == sentence


def test_a_margin_that_is_none_is_refused():
    for margin in (1.0, 0.8, INF):
        with pytest.raises(fl.BadInput, match="the margin must be above 1"):
            fl.equivalence(ratios((0.9, 1.1)), margin)
    with pytest.raises(fl.BadInput, match="ratio_low"):
        fl.equivalence(pd.DataFrame({"ratio": [1.0]}))


# ---- cautions


@pytest.mark.parametrize(
    ("errors", "worth", "sentence"),
    [
        (500, 40, ""),
        (29, 29, "few errors: 29 false matches"),
        (244, 3, "few errors: 244 false matches, which tell as much as 3"),
        (12, 0.2, "few errors: 12 false matches, which tell as much as 1"),
        (1, 1, "few errors: 1 false match"),
    ],
)
def test_errors_are_counted_by_what_they_are_worth(errors, worth, sentence):
    assert few_errors(errors, worth, "false matches") == sentence


def test_notes_of_rates():
    def of(n, wrong, variance, largest, people):
        parts = (n, wrong, variance, people, people, people, largest, variance)
        sums = Sums(*(np.array([float(part)]) for part in parts))
        return notes_of(sums, np.array([0.0123]), "fnmr", np.array([people]))[0]

    assert of(0, 0, 0, 0, 20) == ["no mated comparisons"]
    assert of(900, 0, 0, 0.05, 20) == [
        "no false non-matches: a rate up to 1.2% would show none as well"
    ]
    assert of(900, 90, 1e-5, 0.05, 20) == []
    assert of(900, 90, 1e-3, 0.6, 20) == [
        "few errors: 90 false non-matches, which tell as much as 9",
        "one person makes up 60% of the mated comparisons",
    ]
    assert of(900, 90, 1e-5, 0.6, 4) == [], "of four people one may well have most"
