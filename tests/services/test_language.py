"""Multimodal models as verifiers: what texts mean, how often they agree, a floor of accuracy."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.services.language import VERDICTS, verdict_of

TEXTS = {
    "match": [
        "Yes.", "YES", "**Yes**, these are the same person.", "Match", "These photos match.",
        "Both images show the same individual.", "They are likely the same person.",
        "Based on the facial features, this appears to be the same woman in both photos.",
        '{"same_person": true, "confidence": 0.93}', '```json\n{"verdict": "match"}\n```',
        "I can't be certain, but they are probably the same.", "It's a match.",
        "Whether the lighting differs or not, I believe they are the same person.", "True",
    ],
    "no match": [
        "No.", "no", "No match", "Not a match.", "These are two different people.",
        "They do not match.", "They don’t match", "No, these are not the same person.",
        "The images show different individuals.", "I don't think these are the same person.",
        "It is unlikely that this is the same man.", '{"match": false}',
        '{"answer": "different people"}', "The two faces are clearly different.", "Different",
        "I'm sorry, but these are different people.", "They do not appear to be the same person.",
        "While the hair matches, this is not the same person.",
    ],
    "refused": [
        "I'm sorry, I can't help with that.", "I cannot identify people in images.",
        "I'm not able to compare faces.", "As an AI, I do not compare facial features.",
        "I can't determine whether these two photos show the same person; it is against my policy.",
        "No, I can't help with identifying people.", "I won't do that.",
        "Sorry, but I can't assist with determining if they are the same person.",
    ],
    "unclear": [
        "", "Hmm.", "Both photos show a person outdoors.", "I cannot tell whether they match.",
        "It is hard to say if these are the same person.", "Maybe.", "87%",
        "They could be the same person, but they could also be different people.",
        '{"match": true, "answer": "no"}', "Yes and no: they match, and they do not match.",
    ],
}  # fmt: skip


@pytest.mark.parametrize("verdict", VERDICTS)
def test_what_models_say_is_understood_or_said_to_be_unclear(verdict):
    told = {text: verdict_of(text) for text in TEXTS[verdict]}
    assert {text: said for text, said in told.items() if said != verdict} == {}


def test_a_long_text_that_wants_to_be_slow_is_read_in_a_moment():
    for text in (
        "cannot " * 20_000,
        "n't same " * 20_000,
        "whether " * 20_000,
        '{"match": ' * 9_000,
    ):
        assert verdict_of(text) in VERDICTS


@pytest.fixture
def faces():
    table = pd.DataFrame({"subject": np.repeat([f"s{k:02d}" for k in range(40)], 2)})
    table["image"] = [f"i{k:02d}" for k in range(80)]
    table["group"] = np.where(np.arange(80) < 40, "x", "y")
    crops = np.broadcast_to(np.arange(80, dtype=np.uint8)[:, None, None, None], (80, 16, 16, 3))
    return fl.FaceSet.from_arrays(table, crops.copy(), name="numbers")


def plan_of(faces, seed=0, count=120):
    rng, table = np.random.default_rng(seed), faces.table
    rows = [(2 * k, 2 * k + 1) for k in range(40)]
    while len(rows) < count:
        a, b = rng.integers(0, 80, 2)
        if a < b and a // 2 != b // 2 and (a, b) not in rows:
            rows.append((int(a), int(b)))
    plan = pd.DataFrame(rows, columns=["row_a", "row_b"])
    for side in ("a", "b"):
        for name in ("image", "subject", "group"):
            plan[f"{name}_{side}"] = table[name].to_numpy(object)[plan[f"row_{side}"]]
    return plan


def model(right, seed=0):
    """A model that reads the images (their number is in every pixel) and is right so often."""
    rng = np.random.default_rng(seed)

    def function(one, other):
        assert one.dtype == np.uint8 and one.shape[2] == 3
        same = int(one[0, 0, 0]) // 2 == int(other[0, 0, 0]) // 2
        told = same if rng.random() < right else not same
        return "Yes, the same person." if told else "No, different people."

    return function


def test_texts_become_scores_and_every_text_is_kept(faces, tmp_path):
    ask = fl.text_verifier(model(0.9), faces, repeats=3)
    found = fl.call_pairs(ask, plan_of(faces), tmp_path / "out", service="text")
    assert set(found["score"].round(3)) <= {0.0, 0.333, 0.667, 1.0}
    assert set(found["threshold_used"]) == {0.5}
    votes = [json.loads(one) for one in found["votes"]]
    assert all(sum(one.values()) == 3 for one in votes)
    assert [one["match"] / 3 for one in votes] == pytest.approx(found["score"].tolist())
    text = (tmp_path / "out" / "answers.jsonl").read_text()
    assert text.count("the same person.") + text.count("different people.") == 360
    read = fl.read_answers(tmp_path / "out", service="text")
    assert read["score"].tolist() == found["score"].tolist()
    audit = fl.audit_service(found, threshold=0.5)
    assert audit.audit.rates.loc[0, "fmr"] == pytest.approx(0.028, abs=0.03)  # 3 (0.1)^2, or 2 of 3


def test_agreement_is_that_of_the_models_own_chance(faces, tmp_path):
    sure, unsure = (
        fl.agreement(
            fl.call_pairs(
                fl.text_verifier(model(right), faces, 4), plan_of(faces), tmp_path / str(right),
                service="text",
            )
        ).set_index("group")
        for right in (1.0, 0.8)
    )  # fmt: skip
    assert sure.loc["all", ["unanimous", "agree", "kappa"]].tolist() == [1, 1, 1]
    assert sure.loc["all", "low"] > 0.9 and sure.index.tolist() == ["all", "x", "y"]
    expected = 0.8**2 + 0.2**2
    assert unsure.loc["all", "agree"] == pytest.approx(expected, abs=0.06)
    assert unsure.loc["all", "unanimous"] == pytest.approx(0.8**4 + 0.2**4, abs=0.1)
    assert unsure.loc["all", "low"] < 0.8**4 + 0.2**4 < unsure.loc["all", "high"]


def test_kappa_is_fleiss(tmp_path):
    """Three pairs, four texts each, counted by hand."""
    said = [["yes"] * 4, ["yes"] * 3 + ["no"], ["no"] * 2 + ["yes"] + ["I can't help with that."]]
    lines = [
        {"image_a": f"a{k}", "image_b": f"b{k}", "response": one} for k, one in enumerate(said)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    table = fl.agreement(fl.read_answers(tmp_path, service="text")).iloc[0]
    agree = np.mean([1, 6 / 12, 2 / 12])  # ordered pairs of equal texts, of 4 x 3
    chance = (8 / 12) ** 2 + (3 / 12) ** 2 + (1 / 12) ** 2
    assert table["agree"] == pytest.approx(agree)
    assert table["kappa"] == pytest.approx((agree - chance) / (1 - chance))
    assert table["unanimous"] == pytest.approx(1 / 3) and table["refused"] == 1 / 12


def test_refusals_and_unclear_texts_are_refused_pairs_counted_by_group(faces, tmp_path):
    def function(one, other):
        return "I can't help with that." if int(one[0, 0, 0]) < 40 else "Who knows."

    ask = fl.text_verifier(function, faces, repeats=2)
    found = fl.call_pairs(ask, plan_of(faces), tmp_path, service="text")
    assert found["status"].eq("refused").all() and found["score"].isna().all()
    assert set(found["reason"]) == {"refused", "unclear"}
    assert fl.answers_by_group(found)["failure_rate"].eq(1).all()
    table = fl.agreement(found).set_index("group")
    assert table.loc["x", ["refused", "unclear"]].tolist() == [1, 0]
    assert table.loc["y", ["refused", "unclear"]].tolist() == [0, 1]


def test_photos_of_a_folder_and_ones_own_reading_of_texts_are_taken(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, shade in (("a.png", 10), ("b.png", 200)):
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(tmp_path / "photos" / name)
    ask = fl.text_verifier(
        lambda one, other: f"{int(one[0, 0, 0])} {int(other[0, 0, 0])}",
        tmp_path / "photos", 1, lambda text: "match" if text == "10 200" else "unclear",
    )  # fmt: skip
    assert ask({"image_a": "a.png", "image_b": "b.png"})["verdicts"] == ["match"]
    with pytest.raises(fl.BadInput, match="not in the folder"):
        ask({"image_a": "../x.png", "image_b": "b.png"})
    with pytest.raises(fl.BadInput, match="no folder"):
        fl.text_verifier(lambda one, other: "", tmp_path / "none")
    with pytest.raises(fl.BadInput, match="gave int and no text"):
        fl.text_verifier(lambda one, other: 7, tmp_path / "photos")(
            {"image_a": "a.png", "image_b": "b.png"}
        )
    with pytest.raises(fl.BadInput, match="verdict"):
        fl.text_verifier(lambda one, other: "", tmp_path / "photos", 1, lambda text: "perhaps")(
            {"image_a": "a.png", "image_b": "b.png"}
        )


@pytest.mark.parametrize(
    ("answer", "status"),
    [("No.", "ok"), (["Yes", "No", "Yes"], "ok"), ({"texts": ["x"], "verdicts": ["match"]}, "ok"),
     ({"verdicts": ["perhaps"]}, "error"), ({"texts": 7}, "error"), ([1], "error"), (None, "error"),
     ({"texts": []}, "error"), ([], "error"), ("", "refused")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*must be made again")
def test_saved_texts_are_read_or_set_aside(tmp_path, answer, status):
    (tmp_path / "a.jsonl").write_text(json.dumps({"response": answer}))
    assert fl.read_answers(tmp_path, service="text")["status"].tolist() == [status]


REFUSAL = "I can't help with identifying people."
PROMPT = {"promptFeedback": {"blockReason": "SAFETY"}}


@pytest.mark.parametrize(
    ("answer", "status", "score"),
    [
        ({"choices": [{"message": {"role": "assistant", "content": "No match."}}]}, "ok", 0),
        ({"choices": [{"message": {"content": "Yes"}}, {"message": {"content": "No"}}]}, "ok", 0.5),
        ({"choices": [{"message": {"content": None, "refusal": REFUSAL}}]}, "refused", None),
        ({"output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": [
            {"type": "output_text", "text": "different people"}]}]}, "ok", 0),
        ({"content": [{"type": "text", "text": "The same person"}]}, "ok", 1),
        ({"content": [], "stop_reason": "refusal"}, "refused", None),
        ({"candidates": [{"content": {"parts": [{"text": "yes"}]}}]}, "ok", 1),
        ({"candidates": [{"finishReason": "SAFETY"}]}, "refused", None),
        (PROMPT, "refused", None),
        ({"model": "llava", "message": {"content": "They are not the same person."}}, "ok", 0),
        ({"error": {"type": "rate_limit_error", "message": "slow down"}}, "throttled", None),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, "throttled", None),
        ({"error": {"type": "authentication_error"}}, "error", None),
        ({"choices": []}, "error", None),
        ({"choices": [{"message": {"content": 7}}]}, "error", None),
        ({"candidates": 7}, "error", None),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*must be made again")
def test_what_makers_of_models_answer_is_read_as_it_comes(tmp_path, answer, status, score):
    (tmp_path / "a.json").write_text(json.dumps(answer))
    found = fl.read_answers(tmp_path, service="text").iloc[0]
    assert found["status"] == status and (score is None or found["score"] == score)


# ---- the floor


def test_balanced_accuracy_is_that_of_both_rates_and_guessing_has_a_half(faces):
    rng = np.random.default_rng(1)
    a, b = np.triu_indices(80, 1)
    table = faces.table
    frame = pd.DataFrame({"score": rng.random(len(a))})
    for side, rows in (("a", a), ("b", b)):
        frame[f"subject_{side}"] = table["subject"].to_numpy(object)[rows]
        frame[f"group_{side}"] = table["group"].to_numpy(object)[rows]
    frame["mated"] = frame["subject_a"] == frame["subject_b"]
    with pytest.warns(UserWarning, match="no better than chance"):
        guessing = fl.Comparisons.from_scores(frame)
    audit = fl.audit_scores(guessing, threshold=0.7, replicates=100)
    floor = fl.accuracy_floor(audit.rates)
    assert not floor["better_than_guessing"].any()
    expected = 1 - (audit.rates["fmr"] + audit.rates["fnmr"]) / 2
    assert floor["accuracy"].tolist() == expected.tolist()
    assert ((floor["low"] <= 0.5) & (floor["high"] >= 0.5)).all()
    assert any("cannot be told from guessing" in warning for warning in audit.warnings)
    frame.loc[frame["mated"], "score"] += 1
    good = fl.audit_scores(fl.Comparisons.from_scores(frame), threshold=0.99, replicates=100)
    assert fl.accuracy_floor(good.rates)["better_than_guessing"].all()
    assert not any("guessing" in warning for warning in good.warnings)


def test_guessing_is_seldom_called_better_than_guessing():
    """Of 150 groups for whom a verifier guesses, at most 5 % have an interval without a half."""
    rng, groups = np.random.default_rng(2), 150
    person, step = np.arange(120) % 40, np.where(np.arange(120) < 40, 0, 1)
    home = np.repeat(np.arange(groups), 120)
    other = (np.tile(person, groups) + np.tile(step, groups) * rng.integers(1, 40, len(home))) % 40
    frame = pd.DataFrame({"score": (rng.random(len(home)) < 0.3).astype(float)})
    for side, who in (("a", np.tile(person, groups)), ("b", other)):
        frame[f"subject_{side}"] = [f"{g}-{k}" for g, k in zip(home, who, strict=True)]
        frame[f"group_{side}"] = home.astype(str)
    frame["mated"] = frame["subject_a"] == frame["subject_b"]
    with pytest.warns(UserWarning):
        guessing = fl.Comparisons.from_scores(frame)
    floor = fl.accuracy_floor(guessing.error_rates(0.5, small_samples=True)).iloc[1:]
    outside = (~floor["low"].le(0.5) | ~floor["high"].ge(0.5)).sum()
    assert len(floor) == groups and outside <= 0.05 * groups + 2 * np.sqrt(0.05 * 0.95 * groups)
