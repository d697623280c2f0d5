"""Calling a service: no answer lost, none paid twice, none beyond the budget, no key written."""

import json
import os
import threading
import time

import numpy as np
import pandas as pd
import pytest
from killed import killed_at

import facelab as fl
from facelab.services import calling
from facelab.services.journal import Journal

PLAN = pd.DataFrame({"row_a": np.arange(12), "row_b": np.arange(12) + 1})
PLAN["subject_a"], PLAN["subject_b"] = PLAN["row_a"].astype(str), PLAN["row_b"].astype(str)


@pytest.fixture
def no_wait(monkeypatch):
    """Waits are noted and not waited for."""
    waits = []
    monkeypatch.setattr(calling._Caller, "_sleep", lambda self, seconds: waits.append(seconds))
    return waits


def score(pair):
    return pair["row_a"] / 100


def test_every_pair_is_called_once_and_once_only(tmp_path):
    asked = []

    def service(pair):
        asked.append(pair["row_a"])
        return score(pair)

    first = fl.call_pairs(service, PLAN, tmp_path / "a", budget=5)
    assert first.attrs["stopped"] == "the budget of 5 calls is spent"
    assert first.attrs["to_go"] == 7 and len(first) == 5
    rest = fl.call_pairs(service, PLAN, tmp_path / "a", budget=100, price=0.002)
    assert asked == list(range(12))
    assert rest["score"].tolist() == [k / 100 for k in range(12)]
    assert rest.attrs["calls"] == 12 and rest.attrs["to_go"] == 0 and not rest.attrs["stopped"]
    assert rest.attrs["spent"] == pytest.approx(0.024)
    again = fl.call_pairs(service, PLAN, tmp_path / "a")
    assert len(asked) == 12
    pd.testing.assert_frame_equal(again, rest)
    read = fl.read_answers(tmp_path / "a", service="plain")
    assert read["score"].tolist() == rest["score"].tolist()
    assert read["mated"].tolist() == [False] * 12


def test_a_kill_anywhere_loses_no_answer_and_pays_none_twice(tmp_path):
    """Killed before each of its steps in turn: a pair is asked again only if no answer had come."""
    plan = pd.DataFrame({"row_a": np.arange(24), "row_b": np.arange(24) + 1})
    kills = 0
    while True:
        folder, ledger = tmp_path / f"answers{kills}", tmp_path / f"ledger{kills}"

        def service(pair, ledger=ledger):
            with open(ledger, "ab", buffering=0) as file:
                file.write(f"{pair['row_a']}\n".encode())
            return score(pair)

        killed = killed_at(kills, lambda: fl.call_pairs(service, plan, folder))  # noqa: B023
        before = Journal(folder).read() if folder.is_dir() else []
        kept = [entry["pair"] for entry in before if entry["kind"] == "answer"]
        answers = fl.call_pairs(service, plan, folder)
        assert answers["score"].tolist() == [k / 100 for k in range(24)]
        asked = pd.Series(ledger.read_text().split()).value_counts()
        again = asked.index[asked > 1]
        assert len(again) <= 1 and asked.max() <= 2  # the one that was on its way
        assert not {json.dumps([name, str(int(name) + 1)]) for name in again} & set(kept)
        entries = Journal(folder).read()
        told = [entry["pair"] for entry in entries if entry["kind"] == "answer"]
        assert len(told) == len(set(told)) == 24
        assert answers.attrs["calls"] >= asked.sum()
        if not killed:
            break
        kills += 1
    assert kills >= 50


def test_half_a_line_is_cut_off_and_a_damaged_one_refused(tmp_path):
    fl.call_pairs(score, PLAN, tmp_path)
    file = tmp_path / "answers.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert len(fl.call_pairs(score, PLAN, tmp_path)) == 12
    assert file.read_bytes().count(b"\n") == 25  # its question was noted once more
    file.write_bytes(whole.replace(b"0.05", b"0.95"))
    with pytest.raises(fl.BadInput, match=r"line 12 of .* is not as it was written"):
        fl.call_pairs(score, PLAN, tmp_path)


def test_throttled_calls_wait_as_they_are_told_and_are_made_again(tmp_path, no_wait):
    seen = {}

    def service(pair):
        seen[pair["row_a"]] = seen.get(pair["row_a"], 0) + 1
        if pair["row_a"] == 3 and seen[3] == 1:
            text = "Rate limit is exceeded. Try again in 26 seconds."
            return {"error": {"statusCode": 429, "message": text}}
        if pair["row_a"] == 4 and seen[4] < 4:
            return {"error": {"statusCode": 429, "message": "Too many"}}
        return {"isIdentical": False, "confidence": 0.1}

    found = fl.call_pairs(service, PLAN, tmp_path, service="azure")
    assert found["status"].eq("ok").all() and seen[3] == 2 and seen[4] == 4
    assert [wait for wait in no_wait if wait] == [26.0, 1.0, 2.0, 4.0]
    assert found.attrs["calls"] == 16


def test_what_stays_without_an_answer_is_said_and_called_again_next_time(tmp_path, no_wait):
    down = [True]

    def service(pair):
        if pair["row_a"] == 7 and down[0]:
            raise TimeoutError("no answer within 30 s")
        return score(pair)

    first = fl.call_pairs(service, PLAN, tmp_path, tries=2)
    assert first.loc[7, "status"] == "error" and first.loc[7, "reason"] == "TimeoutError"
    assert first.attrs["to_go"] == 1
    down[0] = False
    second = fl.call_pairs(service, PLAN, tmp_path)
    assert second["status"].eq("ok").all() and second.attrs["calls"] == 14


def test_what_is_no_answer_is_kept_with_its_reason(tmp_path, no_wait):
    answers = {
        0: object(),
        1: float("nan"),
        2: {"score": "high"},
        3: None,
        4: {"score": float("inf")},
    }
    found = fl.call_pairs(lambda pair: answers.get(pair["row_a"], 0.5), PLAN, tmp_path, tries=1)
    assert found["status"].tolist() == ["error"] * 5 + ["ok"] * 7
    assert "which is no JSON" in found.loc[0, "reason"]


def test_a_client_that_raises_as_boto3_does_is_understood(tmp_path, no_wait):
    def service(pair):
        error = RuntimeError("an error occurred")
        error.response = {"Error": {"Code": "InvalidParameterException", "Message": "no face"}}
        raise error

    found = fl.call_pairs(service, PLAN.head(2), tmp_path, service="rekognition")
    assert found["status"].tolist() == ["no_face_probe"] * 2


def test_keys_of_the_environment_reach_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("VENDOR_API_KEY", 'sEcr3t"with\\signs')

    def service(pair):
        return {"score": 0.1, "echo": f"you sent {os.environ['VENDOR_API_KEY']}"}

    fl.call_pairs(service, PLAN, tmp_path)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sEcr3t" not in written and b"(a key)" in written


def test_no_more_calls_at_a_time_and_a_second_than_allowed(tmp_path):
    lock, now, most, begun = threading.Lock(), [0], [0], []

    def service(pair):
        with lock:
            begun.append(time.monotonic())
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return 0.5

    fl.call_pairs(service, PLAN, tmp_path, jobs=3, rate=50)
    assert most[0] <= 3 and len(begun) == 12
    assert max(begun) - min(begun) >= 11 / 50 - 0.05


def test_a_larger_plan_pays_only_for_what_is_new_and_chances_are_of_what_was_called(tmp_path):
    people, _ = fl.crowd(60, images=2, dim=64)

    def service(pair):
        return float(people.vectors[pair["row_a"]] @ people.vectors[pair["row_b"]])

    small = fl.plan_pairs(people, "group", fmr=0.02, budget=200)
    answers = fl.call_pairs(service, small, tmp_path, budget=200)
    plan = fl.plan_pairs(people, "group", fmr=0.02, budget=500, answers=answers)
    whole = fl.call_pairs(service, plan, tmp_path, budget=500)
    assert whole.attrs["calls"] == len(whole) == 500
    non_mated = ~whole["mated"].astype(bool)
    assert (1 / whole.loc[non_mated, "probability"]).sum() == pytest.approx(120 * 119 / 2 - 60)
    with pytest.warns(UserWarning, match="strata of .* have no answer yet"):
        few = fl.call_pairs(service, plan, tmp_path / "few", budget=10)
    assert len(few) == 10
    part = fl.call_pairs(service, plan.head(400), tmp_path, budget=500)
    rates = fl.Comparisons.from_answers(whole).error_rates(0.4)
    assert rates["non_mated"].iloc[0] == 120 * 119 // 2 - 60
    assert len(part) == 400


def test_a_service_that_changes_its_version_in_the_middle_is_said(tmp_path):
    def service(pair):
        return {"score": 0.5, "model_version": "7.0" if pair["row_a"] > 6 else "6.0"}

    found = fl.call_pairs(service, PLAN, tmp_path)
    with pytest.raises(fl.BadInput, match=r"6\.0 \(7\), 7\.0 \(5\)"):
        fl.Comparisons.from_answers(found)


def test_a_folder_of_another_service_and_a_plan_without_pairs_are_refused(tmp_path):
    fl.call_pairs(score, PLAN, tmp_path)
    with pytest.raises(fl.BadInput, match="keeps answers of 'plain', not 'azure'"):
        fl.call_pairs(score, PLAN, tmp_path, service="azure")
    with pytest.raises(fl.BadInput, match="row_a, row_b or image_a, image_b"):
        fl.call_pairs(score, PLAN[["row_a"]], tmp_path)
    with pytest.raises(fl.BadInput, match="in the plan twice"):
        fl.call_pairs(score, pd.concat([PLAN, PLAN]), tmp_path)
    with pytest.raises(fl.BadInput, match="budget"):
        fl.call_pairs(score, PLAN, tmp_path, budget=-1)


def test_a_folder_that_is_in_use_is_refused(tmp_path):
    def service(pair):
        with pytest.raises(fl.BadInput, match="wait for it"):
            fl.call_pairs(score, PLAN, tmp_path)
        return 0.5

    assert len(fl.call_pairs(service, PLAN.head(1), tmp_path)) == 1


def test_answers_are_json_that_anybody_can_read(tmp_path):
    fl.call_pairs(score, PLAN.head(1), tmp_path)
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    entries = [json.loads(line.partition(" ")[2]) for line in lines]
    assert [entry["kind"] for entry in entries] == ["call", "answer"]
    assert entries[1]["response"] == 0.0
