"""Face analysis held against labels: every figure against another computation."""

import time

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fair
from sklearn import metrics

import facelab as fl
from facelab.analysis import classes, confidences, years
from facelab.analysis.pairs import contrasts_of_shares
from facelab.analysis.said import of_labels
from facelab.analysis.tallies import Places, means, shares


def drawn(n=2000, people=600, seed=0):
    """Faces of people of three groups; the analyser errs more about some of them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"subject": rng.integers(0, people, n)})
    frame["tone"] = frame["subject"].mod(3).map({0: "dark", 1: "light", 2: "medium"})
    frame["gender"] = np.where(frame["subject"].mod(2), "female", "male")
    sure = rng.beta(4, 1.5, n) / 2 + 0.5
    right = rng.random(n) < sure
    female = (frame["gender"] == "female") == right
    frame["predicted_gender"] = np.where(female, "female", "male")
    frame["score_female"] = np.where(female, sure, 1 - sure)
    frame["score_male"] = 1 - frame["score_female"]
    frame.loc[rng.random(n) < 0.1, ["predicted_gender", "score_female", "score_male"]] = None
    return frame


@pytest.fixture(scope="module")
def frame():
    return drawn()


@pytest.fixture(scope="module")
def audit(frame):
    return fl.analysis_audit(frame, truth="gender", by="tone", replicates=50)


# ---- classes


def test_rates_are_fairlearns_on_the_processed(frame, audit):
    done = frame.dropna(subset="predicted_gender")
    theirs = fair.MetricFrame(
        metrics=metrics.accuracy_score,
        y_true=done["gender"],
        y_pred=done["predicted_gender"],
        sensitive_features=done["tone"],
    )
    rates = audit.rates.set_index("group")
    assert rates.loc["all", "accuracy"] == pytest.approx(theirs.overall)
    for group, accuracy in theirs.by_group.items():
        assert rates.loc[group, "accuracy"] == pytest.approx(accuracy)
        assert rates.loc[group, "error"] == pytest.approx(1 - accuracy)
    difference = audit.disparity.set_index(["metric", "error"])["value"]
    assert difference["max_min_difference", "error"] == pytest.approx(theirs.difference())


def test_each_class_is_scikit_learns(frame, audit):
    done = frame.dropna(subset="predicted_gender")
    for group, part in done.groupby("tone"):
        theirs = metrics.classification_report(
            part["gender"], part["predicted_gender"], output_dict=True
        )
        rows = audit.per_class[audit.per_class["group"] == group].set_index("class")
        for name in ("female", "male"):
            assert 1 - rows.loc[name, "fnr"] == pytest.approx(theirs[name]["recall"])
            assert rows.loc[name, "precision"] == pytest.approx(theirs[name]["precision"])
        other = metrics.confusion_matrix(part["gender"], part["predicted_gender"])
        assert rows.loc["female", "fpr"] == pytest.approx(other[1, 0] / other[1].sum())
        np.testing.assert_array_equal(audit.confusion_of(group).to_numpy(), other)
        figures = audit.agreement.set_index("group").loc[group]
        true, said = part["gender"], part["predicted_gender"]
        assert figures["macro_f1"] == pytest.approx(metrics.f1_score(true, said, average="macro"))
        assert figures["kappa"] == pytest.approx(metrics.cohen_kappa_score(true, said))
        balanced = metrics.balanced_accuracy_score(true, said)
        assert figures["balanced_accuracy"] == pytest.approx(balanced)


def test_gender_shades_cells_add_up_to_the_published_overall_errors():
    """PPB: 1,270 people; Microsoft's cells, of which the whole is 6.3 %."""
    shares_of = {"lighter/male": 0.303, "lighter/female": 0.233, "darker/male": 0.250}
    shares_of["darker/female"] = 1 - sum(shares_of.values())
    errors = {"lighter/male": 0.0, "lighter/female": 0.017, "darker/male": 0.060}
    errors["darker/female"] = 0.208
    rows = []
    for cell, share in shares_of.items():
        tone, gender = cell.split("/")
        count = round(1270 * share)
        wrong = round(count * errors[cell])
        other = "female" if gender == "male" else "male"
        said = [other] * wrong + [gender] * (count - wrong)
        rows.append(pd.DataFrame({"tone": tone, "gender": gender, "predicted_gender": said}))
    table = pd.concat(rows)
    found = fl.analysis_audit(table, truth="gender", by=["tone", "gender"], replicates=50)
    rates = found.rates.set_index("group")
    assert 100 * rates.loc["all", "error"] == pytest.approx(6.3, abs=0.1)
    assert 100 * rates.loc["darker/female", "error"] == pytest.approx(20.8, abs=0.2)
    assert rates.loc["lighter/male", "error"] == 0 < rates.loc["lighter/male", "error_high"]
    first = found.contrasts.iloc[0]
    assert (first["group"], first["reference"]) == ("darker/female", "lighter/male")
    assert first["p_holm"] < 1e-6 and np.isfinite(first["ratio_low"])
    assert "darker/female: 21%" in found.summary()
    assert "nothing" not in found.summary() and "perceived gender" in found.what


def test_both_errors_of_actionable_auditing(tmp_path):
    """Error on the processed is 1 - TRUE / (N - NA), overall error (NA + FALSE) / N."""
    file = tmp_path / "audit.csv"
    marks = ["TRUE"] * 60 + ["FALSE"] * 20 + ["NA"] * 20
    table = pd.DataFrame({"Gender": ["Female", "Male"] * 50, "Classifier Amazon": marks})
    table["Binary Fitzpatrick"] = ["lighter"] * 50 + ["darker"] * 50
    table["Amazon Confidence"] = [99.0] * 80 + [""] * 20
    table["Classifier IBM"] = "TRUE"
    table.to_csv(file, index=False)
    read = fl.read_predictions(file, format="actionable-auditing")
    of_vendor = read[read["vendor"] == "Amazon"]
    found = fl.analysis_audit(of_vendor, truth="gender", by="skin_tone", replicates=50)
    row = found.rates.iloc[0]
    assert (row["images"], row["processed"], row["wrong"]) == (100, 80, 20)
    assert row["error"] == pytest.approx(1 - 60 / 80)
    assert row["overall_error"] == pytest.approx((20 + 20) / 100)
    assert row["unprocessed_rate"] == pytest.approx(0.2)
    darker = found.rates.set_index("group").loc["darker"]
    assert (darker["processed"], darker["wrong"], darker["overall_error"]) == (30, 20, 0.8)
    assert found.confidences.loc[0, "confidence_when_wrong"] == pytest.approx(0.99)


def test_labels_of_one_meaning_meet_and_the_truths_spelling_is_shown():
    table = pd.DataFrame({"sex": ["F", "F ", "M", "M"] * 10, "by": "x"})
    table["predicted_sex"] = [" Woman", "Man", "MALE", "male"] * 10
    found = fl.analysis_audit(table, truth="sex", by="by", replicates=10)
    assert found.rates.loc[0, "error"] == 0.25
    assert found.confusion_of().index.tolist() == ["F", "M"]
    assert found.what == "perceived gender presentation"


def test_what_no_reader_sees_in_a_label_makes_no_other_label_of_it(frame):
    hidden = {"female": "fe\u200bmale\ufeff", "male": "ｍａｌｅ\u00ad"}
    mangled = frame.assign(predicted_gender=frame["predicted_gender"].map(hidden))
    found, clean = (
        fl.analysis_audit(one, truth="gender", by="tone", replicates=10) for one in (mangled, frame)
    )
    pd.testing.assert_frame_equal(found.rates, clean.rates)
    pd.testing.assert_frame_equal(found.reliability, clean.reliability)


def test_labels_that_no_image_has_and_sides_that_are_swapped_are_said(frame):
    def warned(table):
        found = fl.analysis_audit(table, truth="gender", by="tone", replicates=10)
        return " ".join(found.warnings)

    told = frame["predicted_gender"].copy()
    told[told.first_valid_index()] = "femal"
    assert "said 'femal' (1 prediction), which no image has as its label" in warned(
        frame.assign(predicted_gender=told)
    )
    swapped = frame["predicted_gender"].map({"female": "male", "male": "female"})
    assert "more often than blind guessing among 2 labels" in warned(
        frame.assign(predicted_gender=swapped)
    )
    quiet = warned(frame)
    assert "no image has" not in quiet and "blind guessing" not in quiet


def test_an_analyser_that_guesses_blindly_is_seldom_said_to_do_worse():
    rng, told = np.random.default_rng(0), 0
    names, people = ["a", "b", "c"], np.arange(150)
    everybody = Places.of(np.zeros(150, np.int64), ["x"])
    ready = np.ones(150, bool)
    for _ in range(400):
        true, said = rng.integers(0, 3, (2, 150))
        rates, _ = classes.class_rates(people, everybody, ready, true != said, 0.95)
        warned = of_labels(names, true, said, ready, rates["error_low"].iloc[0])
        told += any("blind guessing" in text for text in warned)
    assert 0 < told / 400 < 0.045  # 2.5 % is what a side of a 95 % interval leaves


def test_rows_of_one_image_and_answers_below_the_highest_score_are_counted_and_said(frame):
    names = [f"{number // 2}.jpg" for number in range(len(frame))]

    def warned(table):
        found = fl.analysis_audit(table, truth="gender", by="tone", replicates=10)
        assert found.rates.loc[0, "images"] == len(frame)
        return " ".join(found.warnings)

    assert "1,000 rows repeat an image of an earlier row" in warned(frame.assign(image=names))
    faces = frame.assign(image=names, face=np.arange(len(frame)) % 2)
    assert "repeat an image" not in warned(faces)
    assert "another label has a higher score" not in warned(faces)
    other = frame.copy()
    rows = np.flatnonzero(frame["score_female"].notna())[:7]
    other.loc[rows, ["score_male", "score_female"]] = frame.loc[
        rows, ["score_female", "score_male"]
    ].to_numpy(copy=True)
    ready = frame["score_female"].notna().sum()
    assert f"In 7 of {ready:,} predictions another label has a higher score" in warned(other)


def test_an_analyser_may_be_wrong_about_everybody():
    table = pd.DataFrame({"expression": ["neutral", "happiness"] * 20, "by": "a"})
    found = fl.analysis_audit(table.assign(predicted_expression="anger"), "expression", "by")
    assert found.rates.loc[0, "error"] == 1
    with pytest.raises(fl.BadInput, match="no label in common"):
        fl.analysis_audit(table.assign(predicted_expression="furious"), "expression", "by")


def test_unsure_and_non_binary_labels_are_shown_and_never_dropped():
    true = ["female"] * 10 + ["male"] * 10 + ["non-binary"] * 5 + ["unsure"] * 5
    table = pd.DataFrame({"gender": true, "predicted_gender": ["female"] * 15 + ["male"] * 15})
    found = fl.analysis_audit(table.assign(by="x"), truth="gender", by="by", replicates=10)
    assert found.rates.loc[0, ["images", "processed", "wrong"]].tolist() == [30, 30, 15]
    assert {"non-binary", "unsure"} <= set(found.confusion["truth"])
    told = " ".join(found.warnings)
    assert "never said 'non-binary', 'unsure' (10 images)" in told and "25 %" in told


def test_what_cannot_be_judged_is_set_aside_and_what_failed_has_its_reason():
    table = pd.DataFrame({"gender": ["F", "F", "M", "M", None, "F"], "by": list("aabbab")})
    table["predicted_gender"] = ["F", "no face", "M", None, "F", "M"]
    table["status"] = ["ok", "", "ok", "timeout", "ok", "ok"]
    found = fl.analysis_audit(table, truth="gender", by="by", replicates=10)
    assert found.set_aside == {"no label in 'gender'": 1}
    assert found.unprocessed == {"no face": 1, "timeout": 1}
    assert found.rates.loc[0, ["images", "processed", "wrong"]].tolist() == [5, 3, 1]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"truth": "gendre"}, "no column 'gendre' .did you mean 'gender'"),
        ({"by": "race"}, "no column 'race'"),
        ({"predicted": "said"}, "no column 'said'"),
        ({"kind": "ordinal"}, "kind must be 'class' or 'number'"),
        ({"advised": 99}, "advised is a confidence from 0 to 1"),
        ({"subject": "person"}, "no column 'person'"),
        ({"labels": {"female": "x", "male": "y"}, "predicted": "other"}, "no label in common"),
    ],
)
def test_a_wrong_question_gets_one_sentence(frame, change, match):
    asked = {"truth": "gender", "by": "tone", "replicates": 10} | change
    table = frame.assign(other="zebra")
    with pytest.raises(fl.BadInput, match=match) as error:
        fl.analysis_audit(table, **asked)
    assert "\n" not in str(error.value)


def test_whole_numbers_that_may_be_labels_are_asked_about():
    table = pd.DataFrame({"x": [0, 1] * 10, "predicted_x": [0, 1] * 10, "by": "a"})
    with pytest.raises(fl.BadInput, match='say kind="class"'):
        fl.analysis_audit(table, truth="x", by="by")
    found = fl.analysis_audit(table, truth="x", by="by", kind="class", replicates=10)
    assert found.rates.loc[0, "error"] == 0


def test_a_mangled_table_of_thirty_thousand_rows_is_audited_or_refused_in_a_sentence():
    rng, n = np.random.default_rng(0), 30_000
    spelt = ["Female", "Male", " female", "M", "unsure", None, "non-binary"]
    table = pd.DataFrame({"gender": rng.choice(spelt, n), "race": rng.choice(["a", "b", None], n)})
    said = ["Woman", "Man", "no face", "NA", "", np.nan, "error"]
    table["predicted_gender"] = rng.choice(said, n)
    table["score_Woman"] = rng.random(n).round(3).astype(str)
    found = fl.analysis_audit(table, truth="gender", by="race", replicates=10)
    first = found.rates.iloc[0]
    assert first["images"] + found.set_aside["no label in 'gender'"] == n
    assert first["processed"] == sum(found.confusion_of().sum())
    assert {"no face", "error", "no prediction"} == set(found.unprocessed)
    assert found.confidences.loc[0, "images"] == (found.confusion_of().sum()["Female"])
    with pytest.raises(fl.BadInput, match=r"holds a list .* where one label or number"):
        fl.analysis_audit(table.assign(predicted_gender=[["a"]] * n), truth="gender", by="race")


# ---- scores


def test_calibration_is_a_brute_force(frame, audit):
    done = frame.dropna(subset="predicted_gender")
    sure = done[["score_female", "score_male"]].max(axis=1).to_numpy()
    right = (done["gender"] == done["predicted_gender"]).to_numpy()
    for group, row in audit.confidences.set_index("group").iterrows():
        among = np.ones(len(done), bool) if group == "all" else (done["tone"] == group).to_numpy()
        p, y = sure[among], right[among]
        ece = 0.0
        for low in np.arange(15) / 15:
            inside = (p > low) & (p <= low + 1 / 15)
            if inside.any():
                ece += inside.mean() * abs(p[inside].mean() - y[inside].mean())
        assert row["ece"] == pytest.approx(ece)
        order = np.argsort(p)
        gaps = np.abs(np.cumsum(p[order] - y[order])) / len(p)
        assert row["ks"] == pytest.approx(gaps.max())
        female = done["score_female"][among]
        theirs = metrics.brier_score_loss(done["gender"][among] == "female", female)
        assert row["brier"] == pytest.approx(theirs)
        assert row["confidence_when_wrong"] == pytest.approx(p[~y].mean())
        assert row["advised_share"] == pytest.approx((p >= 0.99).mean())
    assert audit.reliability.groupby("group")["images"].sum()["all"] == len(done)


def test_a_calibrated_analyser_shows_the_error_that_is_told_of_it():
    rng = np.random.default_rng(0)
    sure = rng.beta(3, 1, 400)
    places = Places.of(np.zeros(400, np.int64), ["a"])
    seen = []
    for _ in range(100):
        right = rng.random(400) < sure
        seen.append(confidences.expected_error(sure, right[None].astype(float), 15)[0])
    told = confidences.calibration(np.arange(400), places, sure, right, 0.99, 0.95).iloc[0]
    assert told["ece_calibrated"] == pytest.approx(np.median(seen), rel=0.1)
    assert told["ece_calibrated_high"] == pytest.approx(np.quantile(seen, 0.95), rel=0.12)


def test_scores_in_percent_and_in_text_are_read_and_others_refused(frame):
    told = frame[["score_female", "score_male"]].map(
        lambda x: "" if pd.isna(x) else f"{100 * x:.6f} %"
    )
    table = frame.assign(**told)
    found = fl.analysis_audit(table, truth="gender", by="tone", replicates=10)
    theirs = fl.analysis_audit(frame, truth="gender", by="tone", replicates=10)
    np.testing.assert_allclose(found.confidences["brier"], theirs.confidences["brier"], atol=1e-6)
    assert any("divided by 100" in text for text in found.warnings)
    with pytest.raises(fl.BadInput, match="'score_male' holds 'high' in row 3"):
        table.loc[3, "score_male"] = "high"
        fl.analysis_audit(table, truth="gender", by="tone")


def test_shares_beside_percents_are_refused(frame):
    unit = np.where(np.arange(len(frame)) < 50, 1, 100)
    scores = frame[["score_female", "score_male"]]
    mixed = frame.assign(**scores.mul(unit, axis=0))
    with pytest.raises(fl.BadInput, match=r"add up to 1 in row 0 and 100 in row \d+: give all"):
        fl.analysis_audit(mixed, truth="gender", by="tone")
    one = frame.drop(columns=scores.columns).assign(confidence=scores.max(axis=1) * unit)
    with pytest.raises(fl.BadInput, match=r"'confidence' is .* in row 0 and .*: give all"):
        fl.analysis_audit(one, truth="gender", by="tone")


def test_the_likeliest_score_stands_for_a_prediction_that_is_not_there(frame):
    bare = frame.drop(columns="predicted_gender")
    found = fl.analysis_audit(bare, truth="gender", by="tone", replicates=10)
    theirs = fl.analysis_audit(frame, truth="gender", by="tone", replicates=10)
    assert found.rates["wrong"].tolist() == theirs.rates["wrong"].tolist()
    assert found.rates["processed"].tolist() == theirs.rates["processed"].tolist()


# ---- expression


def test_errors_of_expression_are_counted_by_hand():
    true = ["neutral"] * 10 + ["happy"] * 10 + ["sad"] * 10
    said = ["Anger"] * 3 + ["neutral"] * 7 + ["happiness"] * 8 + ["fearful"] * 2
    said += ["sad"] * 6 + ["happy"] * 4
    table = pd.DataFrame({"expression": true, "predicted_expression": said, "by": "x"})
    found = fl.analysis_audit(table, truth="expression", by="by", replicates=10)
    share = found.directions.query("group == 'all'").set_index("quantity")["share"]
    assert share["neutral or happy called angry"] == pytest.approx(3 / 20)
    assert share["neutral or happy called fear"] == pytest.approx(2 / 20)
    assert share["negative called positive"] == pytest.approx(4 / 10)
    assert share["positive called negative"] == pytest.approx(2 / 10)
    assert found.what == "perceived expression" and "emotion" not in found.summary()


# ---- ages


def test_ages_are_scikit_learns_and_bands_are_counted_to_their_ends():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"age": rng.integers(5, 80, 300), "by": rng.choice(["a", "b"], 300)})
    table["predicted_age"] = table["age"] + rng.normal(2, 6, 300)
    found = fl.analysis_audit(table, truth="age", by="by")
    for group, row in found.rates.set_index("group").iterrows():
        part = table if group == "all" else table[table["by"] == group]
        off = part["predicted_age"] - part["age"]
        theirs = metrics.mean_absolute_error(part["age"], part["predicted_age"])
        assert row["mae"] == pytest.approx(theirs)
        assert row["rmse"] == pytest.approx(np.sqrt((off**2).mean()))
        assert row["bias"] == pytest.approx(off.mean())
        assert row["cs5"] == pytest.approx((off.abs() <= 5).mean())
    young = table["age"] < 18
    check = found.challenges.query("group == 'all' and check == 25").iloc[0]
    assert check["passed"] == pytest.approx((table["predicted_age"] >= 25)[young].mean())
    assert check["stopped"] == pytest.approx((table["predicted_age"] < 25)[~young].mean())
    low, high = years.as_bands(pd.Series(["20-29", "Oct-19", "3-Sep", "70+", "(25, 32)", "41"]))
    assert low.tolist() == [20, 10, 3, 70, 25, 41] and high.tolist() == [30, 20, 10, 130, 33, 41]
    assert years.distance(np.array([18.0, 25, 33]), low[:1], high[:1]).tolist() == [-2, 0, 3]


def test_ages_that_are_none_are_refused_or_not_processed():
    table = pd.DataFrame({"age": [20, 30, 40] * 12, "by": "a"})
    table["predicted_age"] = ["21.5", "no face", "-7"] * 12
    found = fl.analysis_audit(table, truth="age", by="by")
    assert found.unprocessed == {"no face": 12, "no age: below 0 or above 200": 12}
    unknown = table.assign(age=[20, -1, 40] * 12)  # as IMDB-WIKI writes ages that it does not know
    found = fl.analysis_audit(unknown, truth="age", by="by")
    assert found.set_aside == {"no label in 'age'": 12}
    with pytest.raises(fl.BadInput, match="'age' holds 1990 and no number from 0 to 130"):
        fl.analysis_audit(table.assign(age=1990), truth="age", by="by", kind="number")
    for name in ("trueAge", "AGE", "age_years"):
        named = table.rename(columns={"age": name}).assign(**{name: 1990})
        with pytest.raises(fl.BadInput, match="give ages in years"):
            fl.analysis_audit(named, truth=name, predicted="predicted_age", by="by")
    other = table.assign(usage=1990, predicted_usage=1990.5).drop(columns="age")
    assert fl.analysis_audit(other, truth="usage", by="by").rates.loc[0, "mae"] == 0.5
    with pytest.raises(fl.BadInput, match="'adult' is no age"):
        fl.analysis_audit(table.assign(age="adult"), truth="age", by="by", kind="number")


# ---- intervals


def covered(trials, people, seed, kind):
    """How often an interval holds the truth where a person's faces go together."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(trials):
        count = rng.integers(1, 9, people)
        subject = np.repeat(np.arange(people), count)
        own = rng.beta(1.2, 4.8, people)  # mean 0.2
        column = np.zeros(len(subject), np.int64)
        if kind == "share":
            found = shares(subject, column, rng.random(len(subject)) < own[subject], 1, 0.95)
            low, high, truth = found.low[0], found.high[0], 0.2
        else:
            off = np.abs(rng.normal(0, 5, people)[subject] + rng.normal(0, 4, len(subject)))
            found = means(subject, column, off, 1, 0.95)
            low, high, truth = found.low[0], found.high[0], np.sqrt(2 / np.pi * 41)
        hits += low <= truth <= high
    return hits / trials


@pytest.mark.parametrize("kind", ["share", "mean"])
def test_intervals_hold_what_they_say_where_people_repeat(kind):
    assert 0.92 <= covered(600, 80, 0, kind) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["share", "mean"])
@pytest.mark.parametrize("people", [60, 200])
def test_intervals_hold_95_in_100(kind, people):
    assert 0.93 <= covered(6000, people, 1, kind) <= 0.97


def test_the_interval_of_a_macro_f1_is_that_of_a_bootstrap_over_people(frame, audit):
    done = frame.dropna(subset="predicted_gender").reset_index(drop=True)
    true, said = (done[c].eq("female").to_numpy(int) for c in ("gender", "predicted_gender"))
    who, names = pd.factorize(done["subject"])
    per = np.zeros((len(names), 2, 2))
    np.add.at(per, (who, true, said), 1)
    rng = np.random.default_rng(0)
    drawn_counts = [per[rng.integers(0, len(names), len(names))].sum(axis=0) for _ in range(1000)]
    spread = np.std(classes.macro_f1(np.array(drawn_counts)))
    row = audit.agreement.iloc[0]
    assert (row["macro_f1_high"] - row["macro_f1_low"]) / 2 == pytest.approx(1.96 * spread, rel=0.1)


def test_equal_groups_are_told_apart_no_more_often_than_said():
    """Holm over all pairs, four equal groups of people with several photos each."""
    rng = np.random.default_rng(2)
    claims = 0
    for _ in range(60):
        subject = np.repeat(np.arange(240), 3)
        wrong = rng.random(720) < rng.beta(1, 5, 240)[subject]
        found = shares(subject, subject % 4 + 1, wrong, 5, 0.95)
        pairs = contrasts_of_shares(found, ["all", *"0123"], 0.95)
        claims += bool((pairs["p_holm"] < 0.05).any())
    assert claims <= 8  # 3 of 60 are expected


def test_a_p_value_and_its_interval_say_the_same(audit):
    for row in audit.contrasts.to_dict("records"):
        apart = row["difference_low"] > 0
        assert apart == (row["p"] < 0.05)
        assert apart == (row["ratio_low"] > 1)


# ---- kept, shown


def test_what_is_saved_is_what_is_loaded(audit, tmp_path):
    folder = audit.save(tmp_path / "audit")
    again = fl.AnalysisAudit.load(folder)
    assert again.summary() == audit.summary()
    names = ("rates", "confusion", "contrasts", "disparity", "confidences", "sweep", "class_sweep")
    for name in names:
        pd.testing.assert_frame_equal(
            getattr(again, name), getattr(audit, name), check_dtype=False, check_exact=True
        )
    audit.save(folder, replace=True)
    with pytest.raises(fl.BadInput, match="exists already"):
        audit.save(folder)
    (folder / "rates.csv").write_text("group\n")
    with pytest.raises(fl.BadInput, match=r"was changed|not as"):
        fl.AnalysisAudit.load(folder)


def test_the_page_says_what_is_meant_and_what_is_said_against_it(audit, tmp_path):
    page = audit.to_html(tmp_path / "page.html").read_text()
    assert "no claim about who they are" in page and "Microsoft withdrew" in page
    assert "not processed" in page and "dark" in page and "<script" not in page


def test_labels_that_are_markup_stay_text(tmp_path):
    table = pd.DataFrame({"x": ["a", "b"] * 20, "predicted_x": ["a", "a"] * 20})
    table["by"] = "<script>alert(1)</script>"
    found = fl.analysis_audit(table, truth="x", by="by", replicates=10)
    assert "<script>" not in found._repr_html_()
    again = fl.AnalysisAudit.load(found.save(tmp_path / "a"))
    assert again.rates["group"].tolist() == found.rates["group"].tolist()


def test_twenty_four_thousand_rows_take_less_than_two_seconds():
    table = drawn(24_000, 8_000)
    start = time.process_time()
    fl.analysis_audit(table, truth="gender", by=["tone", "gender"])
    assert time.process_time() - start < 2
