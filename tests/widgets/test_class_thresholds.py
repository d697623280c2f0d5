"""The class threshold explorer: what it shows is what scikit-learn counts at that threshold."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_score

import facelab as fl
from facelab import sums

SPOILT = '<img src=x onerror=alert(1)>"'
FACES = ["neutral", "happy", "angry"]


def scored(n=900, seed=0, dark="dark"):
    """Three expressions, two photos a person; of dark skin anger scores higher."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"subject": np.arange(n) // 2})
    frame["tone"] = np.where(frame["subject"] % 3, "light", dark)
    frame["expression"] = rng.choice(FACES, n, p=[0.5, 0.3, 0.2])
    pull = rng.normal(0, 1, (n, 3)) + 1.5 * (frame["expression"].to_numpy()[:, None] == FACES)
    pull[:, 2] += np.where(frame["tone"] == dark, 0.7, 0)
    scores = np.exp(pull) / np.exp(pull).sum(axis=1, keepdims=True)
    frame[[f"score_{name}" for name in FACES]] = scores
    frame["predicted_expression"] = np.array(FACES)[scores.argmax(axis=1)]
    return frame


@pytest.fixture(scope="module")
def frame():
    return scored()


@pytest.fixture(scope="module")
def audit(frame):
    return fl.analysis_audit(frame, truth="expression", by="tone", replicates=10)


def held_against_scikit_learn(row, is_so, called):
    fine, false, missed, hit = confusion_matrix(is_so, called, labels=[False, True]).ravel()
    counts = [hit + missed, missed, fine + false, false, hit + false]
    assert row[["images", "missed", "others", "falsely_called", "called"]].tolist() == counts
    assert row["fnr"] == pytest.approx(missed / (hit + missed))
    assert row["fpr"] == pytest.approx(false / (fine + false))
    if hit + false:
        assert row["precision"] == pytest.approx(precision_score(is_so, called))
    else:
        assert np.isnan(row["precision"])
    for name in ("fnr", "fpr", "precision"):
        assert np.isnan(row[name]) or row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


@pytest.mark.parametrize("label", FACES)
def test_each_stop_is_what_scikit_learn_counts_there(frame, audit, label):
    dial = fl.widgets.class_threshold_explorer(audit, label)
    for place, level in enumerate(dial._levels):
        dial.threshold.value = place
        told = dial.value
        assert (told["label"], told["threshold"]) == (label, level)
        called = frame[f"score_{label}"] >= level
        rates = told["rates"].set_index("group")
        for group in ("all", "dark", "light"):
            own = frame["tone"].eq(group) | (group == "all")
            is_so = frame["expression"][own].eq(label)
            held_against_scikit_learn(rates.loc[group], is_so, called[own])
    said = told["said"].set_index("group")
    mine = audit.per_class[audit.per_class["class"] == label].set_index("group")
    pd.testing.assert_frame_equal(said[mine.columns[1:-1]], mine[mine.columns[1:-1]])


def test_intervals_are_those_of_an_audit_of_such_answers(frame, audit):
    dial = fl.widgets.class_threshold_explorer(audit, "angry", 0.4)
    so = {True: "angry", False: "other"}
    answers = frame[["subject", "tone"]].assign(
        shown=frame["expression"].eq("angry").map(so),
        predicted_shown=frame["score_angry"].ge(0.4).map(so),
    )
    theirs = fl.analysis_audit(answers, truth="shown", by="tone", replicates=10).per_class
    theirs = theirs[theirs["class"] == "angry"].set_index("group").drop(columns=["class", "note"])
    mine = dial.value["rates"].set_index("group")[theirs.columns]
    pd.testing.assert_frame_equal(mine, theirs)


def test_it_begins_where_the_analyser_itself_calls_as_many_so(frame, audit):
    said = frame["predicted_expression"].eq("angry").sum()
    dial = fl.widgets.class_threshold_explorer(audit, "angry")
    called = [(frame["score_angry"] >= level).sum() for level in dial._levels]
    assert abs(called[dial.threshold.value] - said) == min(abs(np.array(called) - said))
    dial.label.value = "happy"
    told = dial.value
    assert told["label"] == "happy" and set(told["rates"]["class"]) == {"happy"}
    said = frame["predicted_expression"].eq("happy").sum()
    called = [(frame["score_happy"] >= level).sum() for level in dial._levels]
    assert abs(called[dial.threshold.value] - said) == min(abs(np.array(called) - said))


def test_of_two_labels_it_begins_at_a_half():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"gender": rng.choice(["F", "M"], 400), "tone": "a"})
    table["score_woman"] = rng.random(400)
    table["score_man"] = 1 - table["score_woman"]
    audit = fl.analysis_audit(table, "gender", "tone", replicates=10)
    dial = fl.widgets.class_threshold_explorer(audit)
    told = dial.value
    assert (told["label"], told["threshold"]) == ("F", 0.5)
    columns = ["fnr", "fnr_low", "fnr_high", "fpr", "precision", "called"]
    pd.testing.assert_frame_equal(told["rates"][columns], told["said"][columns])


def test_figure_and_table_follow_both_controls(audit):
    dial = fl.widgets.class_threshold_explorer(audit, "angry", 0.3)
    before = dial.figure.value, dial.table.value
    dial.threshold.value = dial._levels.tolist().index(0.6)
    after = dial.figure.value, dial.table.value
    assert after[0] != before[0] and after[1] != before[1]
    row = dial.value["rates"].iloc[1]
    assert f"{row['missed']:,} of {row['images']:,}" in dial.table.value
    assert "called angry from a score of 60% on" in dial.table.value
    assert "precision depends on the mix" in dial.table.value.lower()
    assert dial.figure.value.count("<circle") >= 2 * 3, "this threshold, and its own answers"
    dial.label.value = "neutral"
    assert "called neutral from" in dial.table.value and "Called neutral" in dial.figure.value
    assert dial.seconds < 1


def test_the_still_picture_marks_where_the_slider_stands(audit):
    bundle = fl.widgets.class_threshold_explorer(audit, "angry", 0.4)._repr_mimebundle_()
    html = bundle["text/html"]
    assert "Called angry from a score of 0.4 on: all" in html and "data:image/png" in html
    assert "threshold=0.4" in bundle["text/plain"]


def test_a_gate_with_one_score_has_one_dial(tmp_path):
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"grown": rng.choice(["adult", "minor"], 300), "tone": "a"})
    high = rng.beta(4, 2, 300)
    table["score_adult"] = 100 * np.where(table["grown"] == "adult", high, 1 - high)
    table["predicted_grown"] = np.where(table["score_adult"] >= 50, "adult", "minor")
    table.loc[:9, "score_adult"] = np.nan
    audit = fl.analysis_audit(table, "grown", "tone", replicates=10)
    again = fl.AnalysisAudit.load(audit.save(tmp_path / "gate"))
    for one in (audit, again):
        dial = fl.widgets.class_threshold_explorer(one, threshold=0.7)
        assert list(dial.label.options) == ["adult"]
        row = dial.value["rates"].iloc[0]
        known = table[10:]
        called = known["score_adult"] >= 70
        held_against_scikit_learn(row, known["grown"].eq("adult"), called)
        assert "10 faces have no score of adult" in dial.table.value


def test_a_label_that_nobody_has_can_still_be_called(frame):
    table = frame[frame["expression"] != "angry"]
    audit = fl.analysis_audit(
        table.assign(predicted_expression="neutral"), "expression", "tone", replicates=10
    )
    dial = fl.widgets.class_threshold_explorer(audit, "angry", 0.5)
    row = dial.value["rates"].iloc[0]
    assert row["falsely_called"] == (table["score_angry"] >= 0.5).sum() > 0
    assert row["images"] == 0 and np.isnan(row["fnr"]) and row["precision"] == 0
    assert "nothing to compare" in dial.figure.value


def test_scores_of_renamed_labels_are_those_of_their_new_names(frame):
    table = frame.rename(columns={"score_angry": "score_cross"})
    table["predicted_expression"] = table["predicted_expression"].replace("angry", "cross")
    renamed = fl.analysis_audit(
        table, "expression", "tone", labels={"cross": "angry"}, replicates=10
    )
    plain = fl.analysis_audit(frame, "expression", "tone", replicates=10)
    for name in ("class_sweep", "sweep", "confidences"):
        pd.testing.assert_frame_equal(getattr(renamed, name), getattr(plain, name))


def test_labels_that_are_markup_stay_text():
    table = scored(dark=SPOILT).replace("happy", SPOILT)
    table = table.rename(columns={"score_happy": f"score_{SPOILT}"})
    audit = fl.analysis_audit(table, "expression", "tone", replicates=10)
    dial = fl.widgets.class_threshold_explorer(audit, SPOILT)
    assert not re.search(r"<img(?! alt)", dial.figure.value + dial.table.value)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (lambda a: (pd.DataFrame(),), "give an audit of face analysis"),
        (lambda a: (a, "angri"), "no scores of 'angri' .did you mean 'angry'"),
        (lambda a: (a, "angry", 50), "threshold is a score from 0 to 1"),
    ],
)
def test_what_cannot_be_explored_is_said(audit, given, match):
    with pytest.raises(fl.BadInput, match=match):
        fl.widgets.class_threshold_explorer(*given(audit))


def test_without_scores_and_from_an_older_audit_there_is_nothing_to_drag(frame, audit, tmp_path):
    bare = frame.drop(columns=[f"score_{name}" for name in FACES])
    with pytest.raises(fl.BadInput, match="holds no scores of labels"):
        fl.widgets.class_threshold_explorer(
            fl.analysis_audit(bare, "expression", "tone", replicates=10)
        )
    folder = audit.save(tmp_path / "audit")
    told = json.loads((folder / "analysis.json").read_text())
    told["tables"].remove("class_sweep")
    (folder / "class_sweep.csv").unlink()
    sums.write_card(folder, "analysis.json", told)
    older = fl.AnalysisAudit.load(folder)
    pd.testing.assert_frame_equal(older.sweep, audit.sweep)
    with pytest.raises(fl.BadInput, match="an earlier facelab saved holds none"):
        fl.widgets.class_threshold_explorer(older)
