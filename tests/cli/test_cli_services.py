"""`facelab plan` and `facelab answers`: thin skins over a plan and an audit of a service."""

import json

import pandas as pd
import pytest

import facelab as fl
from facelab.cli import app as cli


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Embeddings, and answers of a fake service to a plan of them."""
    folder = tmp_path_factory.mktemp("service")
    people, _ = fl.crowd(80, images=2, dim=64)
    own, _ = fl.crowd(80, images=2, dim=64, seed=1)
    people.save(folder / "faces")
    assert cli.command(
        ["plan", str(folder / "faces"), "--by", "group", "--fmr", "0.02", "--budget", "400",
         "--out", str(folder / "plan.csv")]
    ) == 0  # fmt: skip
    service = fl.FakeService(people, own, stated=[0.02], throttled=0)
    plan = pd.read_csv(folder / "plan.csv")
    fl.call_pairs(service, plan, folder / "answers", service="facepp")
    return folder


def test_a_plan_says_what_it_buys_and_is_the_functions_own(place, say):
    code, out, _ = say("plan", place / "faces", "--by", "group", "--fmr", 0.02, "--budget", 400)
    assert code == 0 and "across groups" in out and "random pairs" in out
    own = fl.plan_pairs(fl.Embeddings.load(place / "faces"), "group", fmr=0.02, budget=400)
    kept = pd.read_csv(place / "plan.csv")
    assert kept[["row_a", "row_b"]].values.tolist() == own[["row_a", "row_b"]].values.tolist()
    assert kept["probability"].tolist() == pytest.approx(own["probability"].tolist())


def test_a_plan_goes_on_with_what_was_answered(place, say):
    words = ("plan", place / "faces", "--by", "group", "--fmr", 0.02, "--budget", 600)
    code, out, _ = say(*words, "--answers", place / "answers", "--service", "facepp")
    assert code == 0 and "all" in out
    code, _, err = say(*words[:-1], 300, "--answers", place / "answers", "--service", "facepp")
    assert code == 1 and "400 answers were bought already" in err


def test_answers_are_counted_and_audited_with_the_plans_chances(place, say, tmp_path):
    code, out, _ = say("answers", place / "answers", "--service", "facepp")
    assert code == 0 and "failure_rate" in out and "FMR" not in out
    words = ("answers", place / "answers", "--service", "facepp", "--plan", place / "plan.csv")
    code, out, _ = say(*words, "--fmr", 0.02, "--price", 0.01, "--out", tmp_path / "audits")
    assert code == 0 and "400 calls for $4.00." in out and "verdict" in out
    audit = fl.Audit.load(tmp_path / "audits" / "group")
    people = len(fl.Embeddings.load(place / "faces"))
    assert audit.rates.loc[0, "non_mated"] > 0.9 * (people * (people - 1) // 2 - 80)
    assert (tmp_path / "audits" / "group" / "audit.html").is_file()


def test_a_promise_may_be_typed_and_a_file_of_calls_be_read(say, tmp_path):
    lines = [
        {"subject_a": f"a{k}", "subject_b": f"b{k}", "group_a": "x", "group_b": "x",
         "response": {"confidence": 60.0 + k % 20, "faces1": [{}], "faces2": [{}]}}
        for k in range(60)
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ("answers", tmp_path / "a.jsonl", "--service", "facepp")
    code, out, _ = say(*words, "--fmr", 0.5, "--promise", "0.5=75")
    assert code == 0 and "the vendor states FMR 50%" in out
    code, out, _ = say(*words, "--threshold", 70)
    assert code == 0 and "60 calls." in out


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (("--service", "facep"), "'facep' is not one of", 2),
        (("--fmr", 0.5, "--promise", "much"), "give FMR=THRESHOLD", 2),
        (("--out", "x"), "give --fmr or --threshold", 2),
        (("--plan", "plan.csv"), "goes with the folder", 2),
    ],
)
def test_what_is_no_command_is_one_sentence(say, tmp_path, words, sentence, code):
    (tmp_path / "a.jsonl").write_text(json.dumps({"response": 0.5}))
    found, _, err = say("answers", tmp_path / "a.jsonl", "--service", "plain", *words)
    assert found == code and sentence in err and err.count("facelab: ") == 1


def test_a_rule_for_several_faces_does_not_go_with_a_plan(place, say):
    words = ("answers", place / "answers", "--service", "facepp", "--plan", place / "plan.csv")
    code, _, err = say(*words, "--several", "drop")
    assert code == 2 and "without --plan" in err


def test_two_groupings_for_one_plan_are_refused(place, say):
    code, _, err = say("plan", place / "faces", "--by", "group", "--by", "subject")
    assert code == 2 and "one grouping" in err
