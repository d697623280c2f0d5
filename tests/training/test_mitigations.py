"""What groups weigh in the loss, and the adversary that reads the group."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput
from facelab.training.mitigations import Adversary, LossWeights
from facelab.training.recipe import Mitigation, Recipe
from facelab.training.sampler import Sampler

NAMES = ["a", "b", "c"]
IMAGES = np.array([80, 15, 5])
SHARES = IMAGES / 100


def weights_of(shares: np.ndarray = SHARES, **mitigation) -> LossWeights:
    names = [chr(ord("a") + number) for number in range(len(shares))]
    return LossWeights(Mitigation(by=["race"], **mitigation), names, shares)


# ---- fixed weights


@pytest.mark.parametrize(
    "weights, by_group",
    [
        ("none", [1, 1, 1]),
        ("inverse", [1.25, 6.666667, 20]),  # 1 / 0.8, 1 / 0.15, 1 / 0.05
        ("odds", [0.25, 5.666667, 19]),  # 0.2 / 0.8, 0.85 / 0.15, 0.95 / 0.05
        ({"c": 3, "a": 1, "b": 0.5}, [1, 0.5, 3]),
    ],
)
def test_an_images_weight_is_its_groups_over_the_mean_of_all_whoever_is_in_the_batch(
    weights, by_group
):
    mean = sum(share * weight for share, weight in zip(SHARES, by_group, strict=True))
    for groups in ([0, 0, 0, 0, 1, 2, 2, 0], [0, 1], [2, 2, 2]):
        expected = [by_group[group] / mean / len(groups) for group in groups]
        found = weights_of(weights=weights)(torch.tensor(groups)).numpy()
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch", [4, 32])
def test_over_many_batches_inverse_weights_make_groups_count_alike(batch):
    """Divided by the batch's own sum, the rare group would count for less: 0.27 in batches of 4."""
    rng = np.random.default_rng(0)
    weights = weights_of(weights="inverse")
    total = torch.zeros(3)
    for _ in range(4000):
        groups = torch.from_numpy(rng.choice(3, batch, p=SHARES))
        total += torch.bincount(groups, weights(groups), minlength=3) / 4000
    assert total.numpy() == pytest.approx([1 / 3] * 3, abs=0.03)


def test_with_inverse_weights_every_group_counts_alike_in_a_batch_like_the_data():
    groups = torch.from_numpy(np.repeat([0, 1, 2], IMAGES))
    found = weights_of(weights="inverse")(groups)
    assert torch.bincount(groups, found).numpy() == pytest.approx([1 / 3] * 3, rel=1e-5)


def test_a_group_of_weight_0_does_not_count_and_a_batch_of_it_alone_teaches_nothing():
    weights = weights_of(weights={"a": 0, "b": 1, "c": 1})
    found = weights(torch.tensor([0, 1, 2, 0])).numpy()
    assert found == pytest.approx([0, 1.25, 1.25, 0])  # 1 / 0.2 / 4: a fifth of the images counts
    assert weights(torch.tensor([0, 0])).tolist() == [0, 0]


def test_weights_of_unknown_missing_or_no_groups_are_refused():
    with pytest.raises(
        BadInput, match=r"mitigate.weights: there is no group 'd'; the groups are: a"
    ):
        weights_of(weights={"a": 1, "b": 1, "c": 1, "d": 1})
    with pytest.raises(BadInput, match="no number for the group 'c'"):
        weights_of(weights={"a": 1, "b": 1})
    with pytest.raises(BadInput, match="every group's weight is 0"):
        weights_of(weights={"a": 0, "b": 0, "c": 0})


# ---- group DRO


def test_group_dro_is_the_papers_algorithm_1_when_a_batch_is_of_one_group():
    """Sagawa et al. 2020, algorithm 1: draw a group g; q_g grows by exp(eta loss); normalise."""
    rng = np.random.default_rng(0)
    eta = 0.3
    weights = weights_of(dro=eta)
    q = [1 / 3] * 3
    for _ in range(200):
        g = int(rng.integers(3))
        losses = rng.gamma(2, 1 + g, 4)
        assert weights(torch.full((4,), g)).numpy() == pytest.approx([q[g] / 4] * 4, rel=1e-3)
        weights.learn(torch.full((4,), g), torch.from_numpy(losses))
        q[g] *= np.exp(eta * np.mean(losses))
        q = [value / sum(q) for value in q]
        assert weights.q.numpy() == pytest.approx(q, rel=1e-3, abs=1e-30)
    assert weights.q.sum().item() == pytest.approx(1, rel=1e-5)


def test_group_dro_is_the_authors_for_batches_of_several_groups_some_of_them_lacking():
    """`LossComputer.compute_robust_loss` of the authors' code: a group that is lacking has loss 0.

    It differs in one way, on purpose: the weights of a step are those after the step before, for a
    part of an accumulated batch does not know the others' losses.
    """
    rng = np.random.default_rng(1)
    eta = 0.2
    weights = weights_of(dro=eta)
    q = np.full(3, 1 / 3)
    lacking = 0
    for _ in range(200):
        groups = rng.choice(3, 8, p=[0.75, 0.15, 0.1])
        losses = rng.gamma(2, 1, 8) * np.array([1.0, 1.2, 1.1])[groups]
        means = np.zeros(3)
        for g in range(3):
            if (groups == g).any():
                means[g] = losses[groups == g].mean()
        present = np.unique(groups)
        lacking += len(present) < 3

        found = weights(torch.from_numpy(groups)).double().numpy()
        robust = sum(q[g] * means[g] for g in present)
        assert (found * losses).sum() == pytest.approx(robust, rel=1e-3)
        weights.learn(torch.from_numpy(groups), torch.from_numpy(losses))
        q = q * np.exp(eta * means)
        q = q / q.sum()
        assert weights.q.numpy() == pytest.approx(q, rel=1e-3, abs=1e-30)
    assert lacking > 50


def test_a_group_that_was_easy_for_long_can_come_back():
    """Its q is exp(-400), which no float32 holds; equal losses the other way bring it back."""
    weights = weights_of(np.array([0.5, 0.5]), dro=1.0)
    both = torch.tensor([0, 1])
    for _ in range(40):
        weights.learn(both, torch.tensor([10.0, 0.0]))
    assert weights(both).tolist() == [1, 0]
    for _ in range(41):
        weights.learn(both, torch.tensor([0.0, 10.0]))
    assert weights(both).numpy() == pytest.approx([np.exp(-10), 1], rel=0.01, abs=1e-5)


# ---- focal weights


def test_focal_weights_follow_the_running_probability_group_by_group():
    rng = np.random.default_rng(2)
    gamma = 2.0
    weights = weights_of(focal=gamma)
    probability = [0.0] * 3
    for _ in range(200):
        groups = rng.choice(3, 8, p=[0.75, 0.15, 0.1])
        losses = rng.gamma(1, 0.5, 8) * np.array([0.3, 1.0, 2.0])[groups]
        by_group = [(1 - told) ** gamma for told in probability]
        mean = sum(share * weight for share, weight in zip(SHARES, by_group, strict=True))
        found = weights(torch.from_numpy(groups)).numpy()
        assert found == pytest.approx([by_group[g] / mean / 8 for g in groups], rel=1e-3)
        weights.learn(torch.from_numpy(groups), torch.from_numpy(losses))
        for g in range(3):
            told = [np.exp(-loss) for loss, h in zip(losses, groups, strict=True) if h == g]
            if told:
                probability[g] = 0.95 * probability[g] + 0.05 * np.mean(told)
        assert weights.probability.numpy() == pytest.approx(probability, rel=1e-4)
    assert probability[0] > probability[1] > probability[2]


# ---- together


def test_what_is_set_together_multiplies():
    groups = torch.tensor([0, 0, 0, 1, 1, 2])
    losses = torch.tensor([0.1, 0.3, 0.2, 1.0, 2.0, 3.0])
    weights = weights_of(weights="odds", dro=0.5, focal=1.5)
    weights.learn(groups, losses)
    q = np.exp(0.5 * np.array([0.2, 1.5, 3.0]))
    q /= q.sum()
    told = 0.05 * np.array([np.exp([-0.1, -0.3, -0.2]).mean(), np.exp([-1, -2]).mean(), np.exp(-3)])
    by_group = np.array([0.25, 0.85 / 0.15, 19]) * (1 - told) ** 1.5
    by_group *= q / (SHARES * by_group).sum() / [3, 2, 1]
    assert weights(groups).numpy() == pytest.approx(by_group[groups.numpy()], rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    images=st.lists(st.integers(1, 10**7), min_size=1, max_size=6),
    weights=st.sampled_from(["none", "inverse"]),
    dro=st.sampled_from([0.0, 0.01, 1.0, 100.0]),
    focal=st.sampled_from([0.0, 0.5, 5.0]),
    losses=st.lists(
        st.one_of(st.floats(1e-3, 1e4), st.sampled_from([1e-3, 1e4])), min_size=4, max_size=4
    ),
    data=st.data(),
)
def test_weights_are_numbers_whatever_the_losses(images, weights, dro, focal, losses, data):
    shares = np.array(images) / sum(images)
    made = weights_of(shares, weights=weights, dro=dro, focal=focal)
    for _ in range(20):
        groups = data.draw(
            st.lists(st.integers(0, len(images) - 1), min_size=4, max_size=4).map(torch.tensor)
        )
        found = made(groups)
        assert (found >= 0).all() and torch.isfinite(found).all()
        made.learn(groups, torch.tensor(losses))


# ---- the adversary


def by_hand(adversary: Adversary, embeddings: np.ndarray, groups: np.ndarray) -> float:
    """Its loss in numpy, image by image, each divided by its group's images."""
    first, _, second = adversary.classify
    a, b, c, d = (
        t.detach().double().numpy() for t in (first.weight, first.bias, second.weight, second.bias)
    )
    total = norm = 0.0
    for row, group in zip(embeddings, groups, strict=True):
        unit = row / np.sqrt((row**2).sum())
        logits = c @ np.maximum(a @ unit + b, 0) + d
        total += (np.log(np.exp(logits).sum()) - logits[group]) / IMAGES[group]
        norm += 1 / IMAGES[group]
    return total / norm


def test_the_gradient_that_reaches_the_embedding_is_reversed_and_the_classifiers_is_not():
    torch.manual_seed(0)
    adversary = Adversary(6, 3, weight=0.7, shares=SHARES)
    rng = np.random.default_rng(0)
    values, groups = rng.normal(0, 2, (9, 6)), rng.integers(0, 3, 9)
    embeddings = torch.tensor(values, dtype=torch.float32, requires_grad=True)
    loss = adversary(embeddings, torch.from_numpy(groups), ramp=0.5)
    loss.backward()
    assert loss.item() == pytest.approx(by_hand(adversary, values, groups), rel=1e-5)

    slope = np.zeros_like(values)
    for place in np.ndindex(values.shape):
        moved = [values.copy(), values.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        up, down = (by_hand(adversary, one, groups) for one in moved)
        slope[place] = (up - down) / 2e-6
    assert embeddings.grad.numpy() == pytest.approx(-0.7 * 0.5 * slope, rel=1e-3, abs=1e-6)

    own = [p.grad.clone() for p in adversary.parameters()]
    unit = F.normalize(embeddings.detach())
    balance = torch.tensor(1 / IMAGES, dtype=torch.float32)
    plain = F.cross_entropy(adversary.classify(unit), torch.from_numpy(groups), weight=balance)
    for mine, other in zip(own, torch.autograd.grad(plain, adversary.parameters()), strict=True):
        assert torch.allclose(mine, other, atol=1e-7)


def test_naming_the_largest_group_does_not_pay_for_the_adversary():
    """Whichever group it is sure of, its loss over all images is the same."""
    adversary = Adversary(4, 3, 1.0, SHARES)
    groups = torch.from_numpy(np.repeat([0, 1, 2], IMAGES))
    losses = []
    for named in range(3):
        for parameter in adversary.parameters():
            nn.init.zeros_(parameter)
        adversary.classify[2].bias.data[named] = 5.0
        losses.append(adversary(torch.randn(100, 4), groups, 1.0).item())
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_steps_against_an_adversary_that_knows_make_the_group_harder_to_tell():
    """The group is one of five numbers, and they come mixed. Only the embedding steps here.

    That both step at once, as in training, is a game that need not settle: here it does not.
    """
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 2000)
    values = np.column_stack([rng.normal(0, 1, (2000, 4)), group - 0.5])
    values[:, 4] += rng.normal(0, 0.3, 2000)
    mixed = torch.from_numpy(values @ np.linalg.qr(rng.normal(size=(5, 5)))[0]).float()
    labels = torch.from_numpy(group)
    torch.manual_seed(3)
    embed = nn.Linear(5, 5, bias=False)
    nn.init.eye_(embed.weight)

    def told() -> float:
        with torch.no_grad():
            unit = F.normalize(embed(mixed)).numpy()
        fresh = LogisticRegression().fit(unit[:1000], group[:1000])
        return fresh.score(unit[1000:], group[1000:])

    before = told()
    assert before > 0.85
    for _ in range(12):
        adversary = Adversary(5, 2, 1.0, np.bincount(group) / len(group))
        learns = torch.optim.Adam(adversary.parameters(), lr=0.03)
        for _ in range(25):
            learns.zero_grad()
            adversary(embed(mixed).detach(), labels, 1.0).backward()
            learns.step()
        (slope,) = torch.autograd.grad(adversary(embed(mixed), labels, 1.0), embed.weight)
        with torch.no_grad():
            embed.weight -= 0.2 * slope / slope.norm()
    assert told() < 0.6


# ---- group DRO draws every group alike


def test_group_dro_draws_groups_alike_unless_told_otherwise():
    """Sagawa et al. 2020, algorithm 1, draw the group first, uniformly."""
    assert Mitigation(by=["race"], dro=0.01).group_power == 0
    assert Mitigation(by=["race"], dro=0.01).caution == ""
    assert Mitigation(by=["race"], focal=1).group_power == 1
    told = Mitigation(by=["race"], dro=0.01, group_power=1)
    assert told.group_power == 1 and "group_power 1 leaves rare groups out" in told.caution
    assert Mitigation(by=["race"], group_power=0.5).caution == ""
    written = Recipe.from_dict({"mitigate": {"by": ["race"], "dro": 0.01}}).to_dict()["mitigate"]
    assert (written["group_power"], written["subject_power"]) == (0.0, 1.0)


@pytest.mark.parametrize("power, lacking", [(None, 0.0), (1.0, 0.6)])
def test_a_rare_group_is_in_every_small_batch_of_group_dro_and_in_few_of_the_datas(power, lacking):
    """One subject of twenty: at batches of 16, 0.95^16 = 44 % of all would lack it, 0.5^16 none.

    Images of a subject come close together in a pass, which makes it more.
    """
    labels = np.repeat(np.arange(200), 2)
    groups = np.repeat(np.arange(200) < 10, 2).astype(int)
    drawn = Mitigation(by=["race"], dro=0.01, group_power=power).group_power
    sampler = Sampler(labels, groups, batch=16, group_power=drawn, seed=0)
    found = np.mean([not groups[sampler.batch(step)].any() for step in range(500)])
    assert found == pytest.approx(lacking, abs=0.2)


def test_training_says_that_group_dro_on_the_datas_shares_is_not_the_papers():
    settings_ = Mitigation(by=["gender"], dro=0.01, group_power=1)
    recipe = dataclasses.replace(TINY, steps=1, mitigate=settings_)
    with pytest.warns(UserWarning, match="group DRO draws every group alike .* give 0"):
        fl.train(patterns(), recipe, device="cpu", progress=False)
