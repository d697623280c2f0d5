"""Which pairs to buy: right chances of selection, budgets that are met, plans that go on."""

import time

import numpy as np
import pandas as pd
import pytest
from worlds import World

import facelab as fl


@pytest.fixture(scope="module")
def faces():
    people, _ = fl.crowd(100, images=2, dim=64)
    return people


def test_a_plan_spends_the_budget_and_its_weights_stand_for_all_pairs(faces):
    plan = fl.plan_pairs(faces, "group", fmr=0.01, budget=800, seed=3)
    assert len(plan) == 800 and plan["probability"].between(0, 1, inclusive="right").all()
    assert not plan.duplicated(["row_a", "row_b"]).any() and (plan["row_a"] < plan["row_b"]).all()
    subject, group = (faces.table[name].astype(str).to_numpy() for name in ("subject", "group"))
    a, b = np.triu_indices(len(faces), 1)
    apart = subject[a] != subject[b]
    inside = np.where(group[a] == group[b], group[a], "across groups")
    weight = (1 / plan["probability"]).groupby([plan["group"], plan["mated"]]).sum()
    for name in set(inside):
        for mated in (False, True):
            count = ((inside == name) & (apart != mated)).sum()
            assert weight.get((name, mated), 0) == pytest.approx(count)
    assert (plan["mated"] == (plan["subject_a"] == plan["subject_b"])).all()
    assert plan["mated"].sum() <= 80


def test_the_same_seed_is_the_same_plan_and_a_larger_budget_holds_the_smaller(faces):
    one, again = (fl.plan_pairs(faces, "group", 0.01, 600, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(one, again)
    other = fl.plan_pairs(faces, "group", 0.01, 600, seed=5)
    assert len(one.merge(other, on=["row_a", "row_b"])) < 400
    scores = (faces.vectors @ faces.vectors.T)[one["row_a"], one["row_b"]]
    more = fl.plan_pairs(faces, "group", 0.01, 1500, seed=4, answers=one.assign(score=scores))
    assert len(one.merge(more, on=["row_a", "row_b"])) == 600 and len(more) == 1500
    small = fl.plan_pairs(faces, "group", 0.01, 60, seed=4)
    scores = (faces.vectors @ faces.vectors.T)[small["row_a"], small["row_b"]]
    finer = fl.plan_pairs(faces, "group", 0.01, 600, seed=4, answers=small.assign(score=scores))
    assert len(small.merge(finer, on=["row_a", "row_b"])) == 60


def test_chances_are_the_shares_of_draws():
    people, _ = fl.crowd(24, images=1, dim=16)
    drawn, chance = np.zeros((24, 24)), np.zeros((24, 24))
    for seed in range(150):
        plan = fl.plan_pairs(people, "group", fmr=0.05, budget=90, seed=seed)
        drawn[plan["row_a"], plan["row_b"]] += 1
        chance[plan["row_a"], plan["row_b"]] = plan["probability"]
    met = drawn > 0
    z = (drawn - 150 * chance)[met] / np.sqrt(150 * (chance * (1 - chance) + 1e-9))[met]
    partial = z[chance[met] < 1]
    assert np.abs(partial).max() < 5 and 0.7 < partial.std() < 1.3
    assert (drawn[chance == 1] == 150).all()


def test_a_small_budget_is_refused_and_says_how_much_is_needed(faces):
    with pytest.raises(fl.BadInput, match="a budget of 10 calls is less than 2 for each of"):
        fl.plan_pairs(faces, "group", budget=10)
    plan = fl.plan_pairs(faces, "group", budget=300)
    with pytest.raises(fl.BadInput, match="300 answers were bought already"):
        fl.plan_pairs(faces, "group", budget=200, answers=plan.assign(score=0.1))
    with pytest.raises(fl.BadInput, match="not those of a plan of these faces with this seed"):
        fl.plan_pairs(faces, "group", budget=400, seed=1, answers=plan.assign(score=0.1))
    with pytest.raises(fl.BadInput, match="above 0"):
        fl.plan_pairs(faces, "group", fmr=0.0)


def test_what_a_plan_promises_is_about_what_it_keeps():
    world = World(150, 0.6, np.random.default_rng(3))
    threshold = float(np.quantile(world.score, 0.98))
    before = fl.plan_pairs(world.faces, "group", fmr=0.02, budget=300, threshold=threshold)
    answers = before.assign(score=world.score[_rows(before, 150)])
    plan = fl.plan_pairs(
        world.faces, "group", 0.02, 900, answers=answers, threshold=threshold, mated=0.0
    )
    promised = fl.planned_intervals(plan).set_index("group")
    assert promised["calls"].sum() == 2 * len(plan) == 1800
    assert promised.loc["all", "pairs"] == 150 * 149 // 2
    assert promised.loc["all", "times"] > 1.3
    truth = world.rates(threshold)
    row = promised.loc["all"]
    assert row["fmr"] / 2 < truth[0] < row["fmr"] * 2 and row["low"] < row["fmr"] < row["high"]


def _rows(plan, size):
    a, b = plan["row_a"].to_numpy(), plan["row_b"].to_numpy()
    return a * (2 * size - a - 1) // 2 + b - a - 1


def test_answers_that_a_service_kept_back_teach_as_matches_and_no_matches():
    world = World(120, 0.6, np.random.default_rng(2))
    plan = fl.plan_pairs(world.faces, "group", 0.02, 400)
    scores = world.score[_rows(plan, 120)]
    limit = float(np.quantile(world.score, 0.98))
    answers = plan.assign(score=np.where(scores >= limit, scores, np.nan), threshold_used=limit)
    answers["status"] = np.where(scores >= limit, "ok", "below_threshold")
    learnt = fl.plan_pairs(world.faces, "group", 0.02, 900, answers=answers, threshold=limit)
    whole = fl.plan_pairs(
        world.faces, "group", 0.02, 900, answers=plan.assign(score=scores), threshold=limit
    )
    learnt, whole = (one.groupby("stratum")["expected"].first() for one in (learnt, whole))
    apart = learnt < 1  # of mated pairs nothing is learnt
    assert learnt[apart].corr(whole[apart]) > 0.9


def test_a_thousand_photos_and_some_thousands_of_calls_are_planned_in_seconds():
    people, _ = fl.crowd(500, images=2, dim=128)
    began = time.process_time()
    plan = fl.plan_pairs(people, "group", fmr=1e-3, budget=1000)
    scores = (people.vectors @ people.vectors.T)[plan["row_a"], plan["row_b"]]
    plan = fl.plan_pairs(people, "group", 1e-3, 5000, answers=plan.assign(score=scores))
    assert len(plan) == 5000 and time.process_time() - began < 20  # 2 on an idle core
