"""Audits of what there is: one photo a person, groups of one person, and what is then unknown."""

import re
import warnings
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import facelab as fl

PEOPLE, _ = fl.crowd(160, images=3, dim=32)
HALF = fl.Embeddings.from_arrays(PEOPLE.vectors[:, :24], PEOPLE.table)
FIRST = ~PEOPLE.table["subject"].duplicated().to_numpy()
GROUP = PEOPLE.table["group"].to_numpy(str)
SUBJECT = PEOPLE.table["subject"].to_numpy(str)
LONE = {group: SUBJECT[group == GROUP][0] for group in "abcd"}

# What is audited, and of which groups which error is then unknown.
CASES = {
    "one photo each": (FIRST, {"fnmr": "all a b c d", "fmr": ""}),
    "one photo each of a": (FIRST | (GROUP != "a"), {"fnmr": "a", "fmr": ""}),
    "one person of b": ((GROUP != "b") | (LONE["b"] == SUBJECT), {"fnmr": "", "fmr": "b"}),
    "a person a group": (np.isin(SUBJECT, [*LONE.values()]), {"fnmr": "", "fmr": "a b c d"}),
    "a photo a group": (
        np.isin(SUBJECT, [*LONE.values()]) & FIRST,
        {"fnmr": "all a b c d", "fmr": "a b c d"},
    ),
}


def by_hand(vectors, subject, group, fmr):
    """Threshold and errors of every group, over pairs one by one."""
    pairs = list(combinations(range(len(vectors)), 2))
    scores = np.array([np.float32(vectors[a].astype(float) @ vectors[b]) for a, b in pairs])
    apart = np.array([subject[a] != subject[b] for a, b in pairs])
    allowed = int(fmr * apart.sum())
    wrong = scores > np.sort(scores[apart])[::-1][allowed]
    inside = {name: [group[a] == name == group[b] for a, b in pairs] for name in np.unique(group)}
    return {
        name: (int((apart & here).sum()), int((apart & here & wrong).sum()))
        for name, here in inside.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_what_no_comparison_tells_is_unknown_everywhere_and_the_rest_is_counted(case, tmp_path):
    rows, unknown = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no average of nothing, no figure without a scale
        arms = {
            "whole": fl.audit(PEOPLE[rows], "group", 0.02, replicates=50),
            "half": fl.audit(HALF[rows], "group", 0.02, replicates=50),
        }
        audit = arms["whole"]
        for error, groups in unknown.items():
            missing = audit.rates[audit.rates[error].isna()]
            assert " ".join(missing["group"]) == groups
            assert missing[[f"{error}_low", f"{error}_high"]].isna().all(axis=None)
            readable = fl.readable_rates(audit.rates)[f"{error.upper()} %"]
            assert [*readable[readable == "unknown"].index] == [*missing["group"]]
        differences = fl.compare_audits(arms, replicates=50)
        listed = {arm: [one] for arm, one in arms.items()}
        table = fl.compare_arms(listed, "whole", replicates=50)
        by_seed = fl.arms_by_seed(listed, "whole")
        said = [
            audit.summary(),
            *audit.findings(),
            audit._repr_html_(),
            *(figure.alt for figure in audit.figures().values()),
            *(differences.summary(quantity) for quantity in differences.table["quantity"]),
            fl.readable_changes(differences.table).drop(columns="note").to_string(),
            fl.plots.changes(differences).alt,
            fl.experiment_finding(listed, differences),
            fl.arms_finding(table, "whole"),
            fl.readable_arms(table).to_string(),
            fl.readable_arms(table, changes=True).to_string(),
            fl.plots.arm_changes(table, by_seed, "whole").alt,
            fl.plots.error_rates({arm: one.rates for arm, one in arms.items()}, 0.02).alt,
            fl.plots.disparity({arm: one.disparity for arm, one in arms.items()}).alt,
        ]
        said.append(audit.to_html(tmp_path / "audit.html").read_text())
        for part in said:
            words = re.sub(r"base64,[A-Za-z0-9+/=]*", "", part)
            assert not re.search(r"\bnan\b", words, re.IGNORECASE), words
        again = fl.Audit.load(audit.save(tmp_path / "audit"))
    pd.testing.assert_frame_equal(again.rates, audit.rates)
    assert again.summary() == audit.summary()
    part = PEOPLE[rows]
    for name, (pairs, errors) in by_hand(
        part.vectors, part.table["subject"].to_numpy(str), GROUP[rows], 0.02
    ).items():
        row = audit.rates.set_index("group").loc[name]
        assert (row["non_mated"], row["false_matches"]) == (pairs, errors)


def test_fnmr_unknown_is_said_in_words_and_only_once():
    audit = fl.audit(PEOPLE[FIRST], "group", 0.02)
    assert "FNMR unknown" in audit.summary()
    told = [text for text in audit.warnings if "mated" in text and "non-mated" not in text]
    assert told == [
        "no subject has two images, so that there are no mated comparisons: FNMR is unknown"
    ]
    assert audit.findings() and not any("FNMR" in sentence for sentence in audit.findings())
    assert {"fnmr"}.isdisjoint(audit.disparity.dropna(subset="value")["error"])


def test_a_calibration_of_one_photo_each_sets_the_same_threshold_as_its_comparisons_do():
    early = PEOPLE.table["subject"] < "p00000080"
    calibration, test = PEOPLE[early.to_numpy() & FIRST], PEOPLE[~early.to_numpy()]
    audit = fl.audit(test, "group", 0.02, calibration)
    assert audit.threshold == fl.compare_all(calibration).threshold(0.02)
    assert audit.rates["fnmr"].notna().all()


def test_one_person_is_audited_at_the_threshold_of_others_and_only_at_that():
    one, others = PEOPLE[LONE["b"] == SUBJECT], PEOPLE[LONE["b"] != SUBJECT]
    audit = fl.audit(one, "group", 0.02, others)
    assert audit.rates["fmr"].isna().all()
    assert audit.rates["fnmr"].notna().all()
    assert "overall FMR was unknown" in audit.summary()
    assert "there is one subject, so that no comparison is non-mated: FMR is unknown" in (
        audit.warnings
    )
    with pytest.raises(fl.BadInput, match="a threshold needs two, or a calibration"):
        fl.audit(one, "group", 0.02)


@pytest.mark.parametrize("make", [fl.plots.det_curves, fl.plots.threshold_sweep])
def test_a_curve_that_there_is_not_is_said_in_the_figure(make):
    audit = fl.audit(PEOPLE[FIRST], "group", 0.02)
    figure = make(audit.det, audit.rates if make is fl.plots.det_curves else audit.threshold)
    assert "Nothing is drawn: FNMR unknown." in figure.alt
    shown = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "FNMR unknown" in shown


@pytest.mark.real
@pytest.mark.parametrize("by", ["gender", "race", ["race", "gender"]])
def test_one_photo_of_every_real_person_gives_the_fmr_that_a_plain_count_gives(lfw_embedded, by):
    """4,281 people with a photo each, as sets of parliamentarians are: 9.2 million comparisons."""
    first = ~lfw_embedded.table["subject"].duplicated().to_numpy()
    people = lfw_embedded[first]
    audit = fl.audit(people, by, 1e-3)
    keys = [by] if isinstance(by, str) else by
    labels = people.table[keys].astype(object)
    known = labels.notna().all(axis=1).to_numpy()
    group = labels.fillna("").agg("/".join, axis=1).to_numpy()
    scores = (people.vectors.astype(np.float64) @ people.vectors.T.astype(np.float64)).astype("f4")
    upper = np.triu_indices(len(people), 1)
    allowed = int(1e-3 * len(upper[0]))
    matched = scores > np.partition(scores[upper], -allowed - 1)[-allowed - 1]
    assert audit.rates.loc[0, "false_matches"] == matched[upper].sum() == allowed
    rates = audit.rates.set_index("group")
    assert [*rates.index[1:]] == sorted(set(group[known]), key=[*rates.index].index)
    for name in rates.index[1:]:
        here = known & (group == name)
        n = int(here.sum())
        errors = int(np.triu(matched[np.ix_(here, here)], 1).sum())
        assert (rates.loc[name, "subjects"], rates.loc[name, "non_mated"]) == (n, n * (n - 1) // 2)
        assert rates.loc[name, "false_matches"] == errors
        rate = errors / (n * (n - 1) / 2) if n > 1 else np.nan
        assert rates.loc[name, "fmr"] == pytest.approx(rate, nan_ok=True)
    assert rates["fnmr"].isna().all()
    assert "FNMR unknown" in audit.summary()
