"""Figures of face analysis: they show what the tables hold."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl


def drawn(people=300, seed=0):
    """Two faces each; the analyser fails to process some of the dark, and errs about women."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"subject": np.repeat(np.arange(people), 2)})
    frame["tone"] = np.where(frame["subject"] % 3, "light", "dark")
    frame["gender"] = np.where(frame["subject"] % 2, "female", "male")
    frame["age"] = 5 + frame["subject"] % 70
    frame["predicted_age"] = frame["age"] + np.where(frame["tone"] == "dark", 6.0, -1.5)
    sure = rng.uniform(0.5, 1, len(frame))
    wrong = rng.random(len(frame)) < np.where(frame["gender"] == "female", 0.3, 0.05)
    female = (frame["gender"] == "female") ^ wrong
    frame["predicted_gender"] = np.where(female, "female", "male")
    frame["score_female"] = np.where(female, sure, 1 - sure)
    frame["score_male"] = 1 - frame["score_female"]
    lost = (frame["tone"] == "dark") & (rng.random(len(frame)) < 0.2)
    frame["status"] = np.where(lost, "no face", "ok")
    return frame


@pytest.fixture(scope="module")
def frame():
    return drawn()


@pytest.fixture(scope="module")
def audit(frame):
    return fl.analysis_audit(frame, truth="gender", by="tone", replicates=10)


@pytest.fixture(scope="module")
def ages(frame):
    return fl.analysis_audit(frame, truth="age", by="tone", kind="number")


def dots(axes):
    return [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]


def test_who_is_not_processed_comes_first_then_errors_then_each_class(audit):
    figure = audit.plot()
    titles = [axes.get_title("left").replace("\n", " ") for axes in figure.axes]
    assert titles == ["Not processed", "Wrong", "female called another", "male called another"]
    rates = audit.rates.set_index("group").loc[["all", "dark", "light"]]
    assert dots(figure.axes[0]) == pytest.approx(100 * rates["unprocessed_rate"])
    assert dots(figure.axes[1]) == pytest.approx(100 * rates["error"])
    women = audit.per_class.query("`class` == 'female'").set_index("group")["fnr"]
    assert dots(figure.axes[2]) == pytest.approx(100 * women.loc[rates.index])
    arms = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 2]
    assert list(arms[0].get_xdata()) == pytest.approx(
        100 * rates.loc["all", ["error_low", "error_high"]].astype(float)
    )
    limits = {axes.get_xlim() for axes in figure.axes[1:]}
    assert len(limits) == 1, "errors share one axis"
    assert "Not processed: all" in figure.alt and "with 95% intervals" in figure.alt


def test_where_the_groups_are_the_classes_each_has_one_error(frame):
    audit = fl.analysis_audit(frame, truth="gender", by=["tone", "gender"], replicates=10)
    assert [axes.get_title("left") for axes in audit.plot().axes] == ["Not processed", "Wrong"]


def test_a_group_of_which_nothing_was_processed_is_said_to_have_none(frame):
    lost = frame.assign(status=np.where(frame["tone"] == "dark", "no face", "ok"))
    figure = fl.analysis_audit(lost, truth="gender", by="tone", replicates=10).plot()
    words = [text.get_text() for text in figure.axes[1].texts]
    assert words == [" none"] and "Wrong: all" in figure.alt and "dark unknown" in figure.alt


def test_confidence_is_drawn_against_what_is_right(audit):
    figure = fl.plots.reliability_curves(audit)
    assert len(figure.axes) == 3
    own = audit.reliability.query("group == 'dark'")
    [points] = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert points.get_xdata() == pytest.approx(100 * own["mean_confidence"])
    assert points.get_ydata() == pytest.approx(100 * own["accuracy"])
    bare = fl.analysis_audit(
        drawn().drop(columns=["score_female", "score_male"]), "gender", by="tone", replicates=10
    )
    with pytest.raises(fl.BadInput, match="had no scores"):
        fl.plots.reliability_curves(bare)


def test_over_confidence_stand_the_error_of_what_is_taken_and_who_is_left_out(audit):
    left, right = fl.plots.confidence_sweep(audit, 0.8).axes
    own = audit.sweep[(audit.sweep["group"] == "dark") & (audit.sweep["taken"] > 0)]
    lines = {line.get_label(): line for line in left.lines}
    assert lines["dark"].get_ydata() == pytest.approx(100 * own["error"])
    places = ["all", "dark", "light"].index("dark")
    whole = audit.sweep[audit.sweep["group"] == "dark"]
    assert right.lines[places].get_ydata() == pytest.approx(100 * (1 - whole["coverage"]))


def test_over_the_score_of_a_class_stand_its_errors_and_precision(audit):
    grid = fl.plots.class_sweep(audit, "female", 0.6).axes
    own = audit.class_sweep.query("`class` == 'female' and group == 'dark' and threshold >= 0")
    for axes, rate in zip(grid, ("fnr", "fpr", "precision"), strict=True):
        line = next(line for line in axes.lines if line.get_label() == "dark")
        known = own[own[rate].notna()]
        assert line.get_xdata() == pytest.approx(100 * known["threshold"])
        assert line.get_ydata() == pytest.approx(100 * known[rate])
    with pytest.raises(fl.BadInput, match=r"no scores of 'femal' .did you mean 'female'"):
        fl.plots.class_sweep(audit, "femal")


def test_confusions_hold_the_counts_and_add_up_to_the_class(audit):
    figure = fl.plots.confusions(audit)
    texts = [text.get_text() for text in figure.axes[0].texts if "%" in text.get_text()]
    counts = [int(text.split("\n")[1].replace(",", "")) for text in texts]
    assert counts == audit.confusion_of("all").to_numpy().ravel().tolist()
    assert figure.faces == "none" and "all female called male" in figure.alt


def test_ages_are_drawn_with_their_sign_at_each_true_age(ages):
    figure = fl.plots.age_errors(ages)
    upper, lower = figure.axes
    assert [text.get_text() for text in lower.get_xticklabels()] == ages.by_age[
        "true_age"
    ].drop_duplicates().tolist()
    points = {line.get_label(): line for line in lower.lines if line.get_marker() in ("o", "s")}
    assert set(points["dark"].get_ydata()) == {6.0} and set(points["light"].get_ydata()) == {-1.5}
    assert {line.get_label() for line in upper.lines if line.get_marker() in ("o", "s")} == {
        "all", "dark", "light",
    }  # fmt: skip
    plot = ages.plot()
    assert [axes.get_title("left") for axes in plot.axes] == ["Not processed", "Mean error", "Bias"]
    with pytest.raises(fl.BadInput, match="numbers have no confusion"):
        fl.plots.confusions(ages)
    with pytest.raises(fl.BadInput, match="no audit of ages"):
        fl.plots.age_errors(fl.analysis_audit(drawn(), "gender", by="tone", replicates=10))


def test_the_page_of_an_audit_shows_its_figures_and_where_its_faces_are_from(ages, frame, tmp_path):
    frame = frame.copy()
    faces = {"name": "drawn", "synthetic": True, "source": "numbers", "licence": "none"}
    frame.attrs["card"] = {"analyser": "a coin", "faces": faces}
    audit = fl.analysis_audit(frame, truth="gender", by="tone", replicates=10)
    assert set(audit.figures()) == {
        "Errors by group", "What each class is taken for", "How far its confidence holds",
        "If only sure answers were taken",
    }  # fmt: skip
    page = audit.to_html(tmp_path / "page.html").read_text()
    assert page.count("data:image/png") == 4 and "a coin" in page
    assert "the synthetic faces" in page and "drawn" in page
    assert fl.AnalysisAudit.load(audit.save(tmp_path / "kept")).card == audit.card
    assert ages.card == {}
