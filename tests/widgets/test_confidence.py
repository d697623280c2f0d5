"""The confidence explorer: what it shows is what an audit of the answers that are taken says."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

import facelab as fl

SPOILT = '<img src=x onerror=alert(1)>"'


def answered(n=900, seed=0, dark="dark"):
    """Answers that are as sure as they are right, but for dark skin surer than that."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"subject": np.arange(n) // 2})
    frame["tone"] = np.where(frame["subject"] % 3, "light", dark)
    frame["gender"] = rng.choice(["female", "male"], n)
    sure = rng.uniform(0.5, 1, n)
    right = rng.random(n) < np.where(frame["tone"] == dark, sure - 0.25, sure)
    female = (frame["gender"] == "female") == right
    frame["score_female"] = np.where(female, sure, 1 - sure)
    frame["score_male"] = 1 - frame["score_female"]
    frame["predicted_gender"] = np.where(female, "female", "male")
    return frame


@pytest.fixture(scope="module")
def frame():
    return answered()


@pytest.fixture(scope="module")
def audit(frame):
    return fl.analysis_audit(frame, truth="gender", by="tone", replicates=10)


def test_each_stop_is_counted_among_the_answers_that_are_taken(frame, audit):
    dial = fl.widgets.confidence_explorer(audit, advised=0.8)
    sure = frame[["score_female", "score_male"]].max(axis=1)
    for level in (0.8, 0.9, 0.99):
        dial.threshold.value = dial._levels.index(level)
        told = dial.value
        assert told["threshold"] == level
        rates = told["rates"].set_index("group")
        for group in ("all", "dark", "light"):
            own = frame if group == "all" else frame[frame["tone"] == group]
            taken = own[sure[own.index] >= level]
            row = rates.loc[group]
            assert row["taken"] == len(taken)
            assert row["coverage"] == pytest.approx(len(taken) / len(own))
            wrong = 1 - accuracy_score(taken["gender"], taken["predicted_gender"])
            assert row["error"] == pytest.approx(wrong)
            for name in ("coverage", "error"):
                assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    within = fl.analysis_audit(frame[sure >= 0.9], "gender", "tone", replicates=10)
    dial.threshold.value = dial._levels.index(0.9)
    ends = ["error_low", "error_high"]
    mine = dial.value["rates"].set_index("group")[ends]
    pd.testing.assert_frame_equal(mine, within.rates.set_index("group")[ends])


def test_figure_and_table_follow_the_slider(audit):
    dial = fl.widgets.confidence_explorer(audit)
    before = dial.figure.value, dial.table.value
    dial.threshold.value = dial._levels.index(0.7)
    assert (dial.figure.value, dial.table.value) != before
    row = dial.value["rates"].iloc[1]
    assert f"{row['taken']:,}" in dial.table.value and "70% or more" in dial.table.value
    assert "no claim about who they are" in dial.table.value
    assert dial.seconds < 1 and "dark" in dial.figure.value
    assert dial.figure.value.count("<circle") >= 2 * 3, "what is taken, and everything"


def test_the_still_picture_marks_where_the_slider_stands(audit):
    bundle = fl.widgets.confidence_explorer(audit, 0.9)._repr_mimebundle_()
    html = bundle["text/html"]
    assert "Answers of a confidence of 0.9 or more" in html and "data:image/png" in html
    assert "threshold=0.9" in bundle["text/plain"]


def test_labels_that_are_markup_stay_text():
    table = answered(dark=SPOILT)
    dial = fl.widgets.confidence_explorer(fl.analysis_audit(table, "gender", "tone"))
    assert not re.search(r"<img(?! alt)", dial.figure.value + dial.table.value)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (lambda a: (pd.DataFrame(),), "give an audit of face analysis"),
        (lambda a: (a, 99), "advised is a confidence from 0 to 1"),
    ],
)
def test_what_cannot_be_explored_is_said(audit, given, match):
    with pytest.raises(fl.BadInput, match=match):
        fl.widgets.confidence_explorer(*given(audit))


def test_predictions_without_scores_have_nothing_to_explore(frame):
    bare = frame.drop(columns=["score_female", "score_male"])
    with pytest.raises(fl.BadInput, match="had no scores"):
        fl.widgets.confidence_explorer(fl.analysis_audit(bare, "gender", "tone", replicates=10))
