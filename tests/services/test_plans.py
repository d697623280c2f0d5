"""Which pairs to buy: right chances, intervals that hold, fewer calls than random pairs need."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.rates.counts import non_mated_sums
from facelab.rates.intervals import Sums, interval
from facelab.services import learning, plans
from facelab.services.strata import Pairs

GROUPS, DIM = 3, 32


class World:
    """People, an open embedder of their faces and a service with a hidden bias.

    The service shares `share` of its squared length with the embedder; the rest is its own, in
    which some groups lie closer together.
    """

    def __init__(self, people: int, share: float, rng: np.random.Generator) -> None:
        centres = np.random.default_rng(1).standard_normal((2, GROUPS, DIM))
        group = np.arange(people) % GROUPS
        parts = []
        for centre, bunching in zip(centres, ([0.4, 0.4, 0.4], [0.3, 0.5, 0.6]), strict=True):
            rows = rng.standard_normal((people, DIM)) * np.sqrt(1.25)
            rows += np.array(bunching)[group][:, None] * centre[group]
            parts.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        proxy, own = parts
        service = np.hstack([np.sqrt(share) * proxy, np.sqrt(1 - share) * own])
        table = pd.DataFrame({"subject": [f"s{k:04d}" for k in range(people)]})
        table["image"], table["group"] = table["subject"] + ".jpg", [f"g{k}" for k in group]
        self.faces = fl.Embeddings.from_arrays(proxy.astype(np.float32), table)
        a, b = np.triu_indices(people, 1)
        self.score = (service @ service.T)[a, b]
        self.place = np.where(group[a] == group[b], group[a], GROUPS)

    def rates(self, threshold: float) -> np.ndarray:
        """The FMR of everybody, of each group and across groups, over all pairs."""
        wrong = self.score >= threshold
        return np.array([wrong.mean(), *(wrong[self.place == k].mean() for k in range(GROUPS + 1))])


def bought(world, pairs, fmr, budget, threshold, batches=(0.3, 1.0)):
    """Rows of all pairs and their weights, bought in batches."""
    have = plans.Bought(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    size = len(world.faces)
    for part in batches:
        calls = int(part * budget)
        strata = pairs.strata(fmr, calls // 4)
        plan = plans.planned(strata, fmr, calls, have, threshold, 0.0)
        a, b = plan["row_a"].to_numpy(), plan["row_b"].to_numpy()
        rows = a * (2 * size - a - 1) // 2 + b - a - 1
        have = plans.Bought(rows, world.score[rows], np.ones(len(rows), bool))
    return rows, 1 / plan["probability"].to_numpy()


def sums(world, pairs, rows, weight, threshold):
    """Weighted sums of everybody and of each group."""
    wrong = (world.score[rows] >= threshold) * weight
    a, b = (side[rows].astype(np.int64) for side in (pairs.a, pairs.b))
    one = np.zeros(len(world.faces), np.int64)
    whole = non_mated_sums(None, one, 1, (a, b, wrong, weight))
    within = non_mated_sums(None, pairs.group.astype(np.int64), GROUPS, (a, b, wrong, weight))
    both = zip((x.ravel() for x in whole), (np.diagonal(x) for x in within), strict=True)
    return Sums(*(np.concatenate(parts) for parts in both))


def limit(z, wrong):
    """E[q] / (E[sqrt q])^2: how many times as many calls random pairs need, at best."""
    found = learning._slope(z, np.where(wrong, 1.0, 0.0), 1.0)
    level = learning._level(z[:, None], np.ones(len(z)), found, wrong.mean())
    q = learning._chances(z[:, None], level, found)
    return q.mean() / np.sqrt(q).mean() ** 2


def gains(world, fmr, budget, audits, useless=False, batches=(0.3, 1.0)):
    """By set: bias in standard errors, gain over random pairs, and the limit of the gain."""
    threshold = float(np.quantile(world.score, 1 - fmr))
    truth, wrong, found = world.rates(threshold), world.score >= threshold, []
    shuffled = np.random.default_rng(5).permutation(len(wrong))
    for seed in range(audits):
        pairs = Pairs.of(world.faces, "group", seed)
        if useless:
            pairs = Pairs(**{**vars(pairs), "z": pairs.z[shuffled]})
        rows, weight = bought(world, pairs, fmr, budget, threshold, batches)
        sets = [np.ones(len(rows), bool), *(pairs.place[rows] == k for k in range(GROUPS + 1))]
        error = wrong[rows] * weight
        found.append([(error[one].sum() / weight[one].sum(), one.sum()) for one in sets])
    rates, calls = np.array(found)[..., 0], np.array(found)[..., 1].mean(axis=0)
    bias = (rates.mean(axis=0) - truth) / (rates.std(axis=0) / np.sqrt(audits))
    size = np.array([len(wrong), *np.bincount(world.place)])
    gain = truth * (1 - truth) * (1 / calls - 1 / size) / rates.var(axis=0)
    limits = [limit(pairs.z[world.place == k], wrong[world.place == k]) for k in range(GROUPS + 1)]
    return bias, gain, np.array([np.nan, *limits])


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


def test_planned_calls_tell_more_than_random_ones_and_the_truth_on_average():
    world = World(150, 0.6, np.random.default_rng(1))
    bias, gain, limits = gains(world, 0.01, 700, audits=60)
    assert (np.abs(bias[np.isfinite(bias)]) < 4).all()
    assert gain[0] > 2.5
    whole = (gain[1:] / limits[1:])[np.isfinite(gain[1:])]
    assert np.mean(whole) > 0.6  # 60 audits tell the gain to a fifth


def test_a_useless_proxy_costs_little():
    world = World(150, 0.6, np.random.default_rng(1))
    bias, gain, _ = gains(world, 0.02, 700, audits=60, useless=True)
    assert (np.abs(bias[np.isfinite(bias)]) < 4).all()
    assert np.mean(gain[1:4]) > 0.7


@pytest.mark.slow
def test_four_hundred_audits_reach_seven_tenths_of_the_limit_in_every_group():
    world = World(400, 0.37, np.random.default_rng(1))
    bias, gain, limits = gains(world, 0.01, 2000, audits=400)
    assert (np.abs(bias) < 4).all()
    assert (gain[1:4] > 0.7 * limits[1:4]).all()
    _, useless, _ = gains(world, 0.01, 2000, audits=400, useless=True)
    assert (useless[1:4] > 0.85).all()  # a tenth of the standard deviation is 400 audits' noise


@pytest.mark.slow
@pytest.mark.parametrize(("people", "share"), [(200, 0.37), (300, 0.6)])
def test_intervals_hold_the_rate_of_people_like_those_in_four_hundred_audits(people, share):
    fmr, budget, rng = 0.01, 900, np.random.default_rng(99)
    others = [World(people, share, rng) for _ in range(200)]
    threshold = float(np.quantile(np.concatenate([one.score for one in others]), 1 - fmr))
    truth = np.mean([one.rates(threshold) for one in others], axis=0)[:-1]
    held = np.zeros(GROUPS + 1)
    for seed in range(400):
        world = World(people, share, rng)
        pairs = Pairs.of(world.faces, "group", seed)
        found = sums(world, pairs, *bought(world, pairs, fmr, budget, threshold), threshold)
        low, high = interval(found, weighted=True)
        held += (low <= truth) & (truth <= high)
    assert ((held / 400 >= 0.93) & (held / 400 <= 0.98)).all(), held / 400
