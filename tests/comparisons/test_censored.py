"""A service that keeps low scores to itself: exact where it may be, and refused elsewhere."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl


def answers(limit=80.0, sign=1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers with every score, and the same with those below the limit kept back."""
    rng = np.random.default_rng(4)
    a, b = (rng.integers(0, 40, 3000).astype(str) for _ in range(2))
    b = np.where(rng.random(3000) < 0.3, a, b)
    frame = pd.DataFrame({"subject_a": a, "subject_b": b, "mated": a == b})
    frame["group_a"], frame["group_b"] = (np.where(x.astype(int) < 20, "x", "y") for x in (a, b))
    score = np.where(frame["mated"], rng.normal(88, 6, 3000), rng.normal(70, 9, 3000))
    frame["score"], frame["threshold_used"] = sign * score.clip(0, 100).round(2), sign * limit
    frame["status"], frame["model_version"] = "ok", "6.0"
    frame["higher"] = "similar" if sign > 0 else "different"
    kept_back = frame["score"] * sign < limit
    kept = frame.assign(
        status=np.where(kept_back, "below_threshold", "ok"),
        score=frame["score"].where(~kept_back),
    )
    return frame, kept


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("t", [80.0, 80.01, 85.0, 99.0])
def test_rates_at_the_services_threshold_and_above_are_those_of_all_scores(t, sign):
    whole, kept = (fl.Comparisons.from_answers(one) for one in answers(sign=sign))
    pd.testing.assert_frame_equal(kept.error_rates(sign * t), whole.error_rates(sign * t))
    pd.testing.assert_frame_equal(kept.cross_group(sign * t), whole.cross_group(sign * t))


def test_below_it_one_sentence_refuses():
    _, kept = answers()
    comparisons = fl.Comparisons.from_answers(kept)
    for ask in (comparisons.error_rates, comparisons.cross_group, comparisons.counts):
        with pytest.raises(fl.BadInput, match=r"the threshold 79\.99 is below 80"):
            ask(79.99)
    with pytest.raises(fl.BadInput, match="FMR 90% would need a threshold below 80"):
        comparisons.threshold(0.9)
    with pytest.raises(fl.BadInput, match="kept back"):
        comparisons.area_under_roc()


def test_a_threshold_above_it_is_that_of_all_scores_and_curves_end_there():
    whole, kept = (fl.Comparisons.from_answers(one) for one in answers())
    assert kept.threshold(0.02) == whole.threshold(0.02) > 80
    curve = kept.det()
    assert curve["threshold"].min() >= 80
    row = curve[curve["group"] == "all"].iloc[40]
    exact = whole.error_rates(row["threshold"]).iloc[0]
    assert row["fmr"] == exact["fmr"] and row["fnmr"] == exact["fnmr"]
    assert any("kept back" in told for told in kept.warnings)


def test_an_equal_error_rate_below_it_is_refused():
    frame, _ = answers()
    high = frame.assign(
        status=np.where(frame["score"] < 90, "below_threshold", "ok"),
        score=frame["score"].where(frame["score"] >= 90),
        threshold_used=90.0,
    )
    with pytest.raises(fl.BadInput, match="equal error rate is not known"):
        fl.Comparisons.from_answers(high).eer()


def test_failures_and_throttled_calls_are_in_no_rate_and_said():
    _, kept = answers()
    lost = kept.head(30).assign(score=np.nan)
    lost["status"] = ["throttled"] * 10 + ["no_face_probe"] * 10 + ["error"] * 10
    both = fl.Comparisons.from_answers(pd.concat([kept, lost], ignore_index=True))
    assert len(both) == len(kept)
    said = " ".join(both.warnings)
    assert "10 of 3,030 calls failed" in said and "20 of 3,030 calls are to be called again" in said


def test_scores_at_the_threshold_are_counted_and_match():
    frame = pd.DataFrame(
        {"score": [80.0, 80.0, 90.0, 99.0], "status": "ok", "threshold_used": 80.0}
    )
    frame["subject_a"], frame["subject_b"] = list("abca"), list("bcda")
    frame["mated"] = [False, False, False, True]
    comparisons = fl.Comparisons.from_answers(frame)
    assert comparisons.error_rates(80.0)["false_matches"].tolist() == [3]
    assert any("2 scores lie exactly at" in told for told in comparisons.warnings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": "fine"}, "status"),
        ({"status": "throttled"}, "no answer compares two faces"),
        ({"mated": None}, "does not say whose faces"),
        ({"threshold_used": np.nan}, "below a threshold that it does not tell"),
        ({"model_version": ["1", "2"] * 1500}, "versions, which are different systems"),
    ],
)
def test_what_is_no_answer_is_refused(change, sentence):
    _, kept = answers()
    with pytest.raises(fl.BadInput, match=sentence):
        fl.Comparisons.from_answers(kept.assign(**change))
