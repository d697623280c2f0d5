"""Margins by group: fixed ones, and ones that are learnt on other subjects."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput
from facelab.training.heads import Contrast, CosFace
from facelab.training.margins import GroupMargins, _with_mean
from facelab.training.recipe import Mitigation, Recipe

NAMES = ["a", "b", "c"]


def margins_of(margin: float = 0.3, names: list[str] = NAMES, **mitigation) -> GroupMargins:
    recipe = dataclasses.replace(
        TINY, margin=margin, mitigate=Mitigation(by=["race"], **mitigation)
    )
    return GroupMargins(recipe, names)


def test_margins_are_given_by_name_and_the_recipes_where_there_is_none():
    margins = margins_of(margins={"c": 0.5, "a": 0.1})
    found = margins(torch.tensor([2, 0, 1, 1, 2]))
    assert found.tolist() == pytest.approx([0.5, 0.1, 0.3, 0.3, 0.5])
    assert not found.requires_grad
    with pytest.raises(
        BadInput, match=r"mitigate.margins: there is no group 'd'; the groups are: a"
    ):
        margins_of(margins={"d": 0.5})


class Trial:
    """A layer with the batches to teach margins on, all in float64."""

    def __init__(self, groups: int, seed: int = 0, subjects: int = 12, noise: list | None = None):
        rng = np.random.default_rng(seed)
        self.names = [chr(ord("a") + g) for g in range(groups)]
        group_of = np.arange(subjects) % groups
        torch.manual_seed(seed)
        self.layer = nn.Linear(10, 6, bias=False).double()
        self.head = CosFace(6, subjects, 8.0, 0.3).double()
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(rng.normal(size=(subjects, 6))))
        noise = np.array(noise or [1.0] * groups)

        def images(of_each: int, centres: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
            labels = np.repeat(np.arange(subjects), of_each)
            groups = group_of[labels]
            spread = noise[groups][:, None] * rng.normal(size=(len(labels), 10))
            features = centres[labels] + spread
            return tuple(map(torch.from_numpy, (features, labels, groups)))

        self.features, self.labels, self.groups = images(3, rng.normal(0, 2, (subjects, 10)))
        self.meta_features, self.meta_labels, self.meta_groups = images(
            2, rng.normal(0, 2, (subjects, 10))
        )
        self.contrast = Contrast(6, 0, 16.0, 0.0)

    def train_loss(self, embeddings: Tensor, margins: Tensor) -> Tensor:
        return self.head.losses(embeddings, self.labels, margins=margins[self.groups]).mean()

    def meta_loss(self, embeddings: Tensor) -> Tensor:
        losses = self.contrast.losses(embeddings, self.meta_labels)
        means = [losses[self.meta_groups == g].mean() for g in self.meta_groups.unique()]
        return torch.stack(means).mean()

    def slope(self, values: Tensor) -> Tensor:
        """Of the training loss by the layer's weights."""
        weight = self.layer.weight.detach().clone().requires_grad_()
        product = self.features @ weight.T
        mean, var = product.mean(0), product.var(0, unbiased=False)
        loss = self.train_loss((product - mean) / (var + 1e-5).sqrt(), values)
        return torch.autograd.grad(loss, weight)[0]

    def step(self, values: Tensor) -> float:
        """How far to go along the slope: a hundredth of the weights' norm."""
        return float(0.01 * self.layer.weight.detach().norm() / self.slope(values).norm())

    def after(self, values: Tensor, step: float) -> float:
        """The meta loss after the trial step."""
        weight = self.layer.weight.detach() - step * self.slope(values)
        product = self.meta_features @ weight.T
        mean, var = product.mean(0), product.var(0, unbiased=False)
        return float(self.meta_loss((product - mean) / (var + 1e-5).sqrt()))

    def gradient(self, values: Tensor) -> np.ndarray:
        """Central differences through the whole trial step, of a length that is kept."""
        step = self.step(values)
        found = []
        for number in range(len(values)):
            nudge = torch.zeros_like(values)
            nudge[number] = 1e-5
            found.append(
                (self.after(values + nudge, step) - self.after(values - nudge, step)) / 2e-5
            )
        return np.array(found)

    def learn(self, margins: GroupMargins, times: int = 1) -> None:
        for _ in range(times):
            margins.learn(
                self.layer, self.train_loss, self.features, self.meta_loss, self.meta_features
            )


@pytest.mark.parametrize("seed", range(3))
def test_the_margins_gradient_is_a_finite_difference_through_the_trial_step(seed):
    trial = Trial(3, seed)
    margins = margins_of(names=trial.names, meta_margins=0.01).double()
    slope = trial.gradient(margins.values.detach())
    trial.learn(margins)
    # Less what the groups have in common, along which the mean does not let them go.
    assert margins.values.grad.numpy() == pytest.approx(slope - slope.mean(), rel=1e-4, abs=1e-9)
    assert np.abs(slope - slope.mean()).max() > 1e-6


def test_the_network_and_its_gradients_are_left_alone():
    trial = Trial(2)
    margins = margins_of(names=trial.names, meta_margins=0.01).double()
    before = trial.layer.weight.detach().clone()
    trial.learn(margins)
    assert torch.equal(trial.layer.weight, before)
    assert trial.layer.weight.grad is None and trial.head.weight.grad is None


@pytest.mark.parametrize("seed", range(4))
def test_learnt_margins_lower_the_meta_loss_and_keep_their_mean(seed):
    """The second group's images are noisier."""
    trial = Trial(2, seed, noise=[0.5, 2.0])
    margins = margins_of(names=trial.names, meta_margins=0.01).double()
    start = margins.values.detach().clone()
    step = trial.step(start)
    trial.learn(margins, 5)
    moved = margins.values.detach()
    assert moved.mean().item() == pytest.approx(0.3, abs=1e-6)
    assert (moved - start).abs().max() > 0.01
    assert trial.after(moved, step) < trial.after(start, step)


def test_a_wish_that_all_groups_share_does_not_drown_their_differences():
    """Both margins would go up, one of them more: with the mean held, that one goes up alone."""
    margins = margins_of(names=["a", "b"], meta_margins=0.01).double()
    layer = nn.Linear(2, 2, bias=False).double()
    features = torch.randn(6, 2, dtype=torch.float64)
    # d(after)/d(values) has the sign of minus the wishes' product with the meta loss's gradient.
    wishes = torch.tensor([1.0, 0.8], dtype=torch.float64)

    def toy(embeddings: Tensor, values: Tensor | None = None) -> Tensor:
        loss = (embeddings * torch.arange(12.0).reshape(6, 2).to(embeddings)).sum()
        return loss if values is None else loss * (1 + (wishes * values).sum())

    margins.learn(layer, toy, features, toy, features)
    assert margins.values.tolist() == pytest.approx([0.31, 0.29], abs=1e-4)


@pytest.mark.parametrize(
    "values, mean, expected",
    [
        ([0.1, 0.2, 0.6], 0.3, [0.1, 0.2, 0.6]),
        ([0.2, 0.3, 0.7], 0.3, [0.1, 0.2, 0.6]),
        ([-0.1, 0.2, 0.6], 0.3, [0.0, 0.25, 0.65]),  # two stay above 0 and share the rest
        ([-0.3, -0.2, 2.0], 0.3, [0.0, 0.0, 0.9]),
        ([0.4, -0.4], 0.0, [0.0, 0.0]),
        ([0.7], 0.2, [0.2]),
    ],
)
def test_margins_stay_at_0_or_more_with_the_mean_held(values, mean, expected):
    found = _with_mean(torch.tensor(values), mean)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_margin_that_would_go_below_0_stops_there_and_the_mean_is_still_held():
    trial = Trial(3, noise=[0.5, 1.0, 2.0])
    margins = margins_of(margin=0.05, names=trial.names, meta_margins=0.05).double()
    trial.learn(margins, 30)
    assert margins.values.min() == 0
    assert margins.values.mean().item() == pytest.approx(0.05, abs=1e-6)


# ---- in training


def test_training_learns_margins_on_other_subjects_and_says_which():
    mitigate = Mitigation(by=["gender"], meta_margins=0.01)
    recipe = dataclasses.replace(TINY, mitigate=mitigate)
    meta = patterns(seed=1, prefix="m")
    learnt = fl.train(patterns(), recipe, meta=meta, progress=False).card["margins"]
    assert list(learnt) == ["female", "male"]
    assert np.mean(list(learnt.values())) == pytest.approx(recipe.margin, abs=1e-6)
    assert learnt["female"] != pytest.approx(learnt["male"], abs=1e-3)


def test_training_takes_margins_by_name_and_they_change_what_is_learnt():
    def trained(margins: dict[str, float]) -> TrainedEmbedder:
        mitigate = Mitigation(by=["gender"], margins=margins)
        recipe = dataclasses.replace(TINY, steps=4, margin_warm_up=0.0, mitigate=mitigate)
        return fl.train(patterns(), recipe, progress=False)

    plain = fl.train(
        patterns(), dataclasses.replace(TINY, steps=4, margin_warm_up=0.0), progress=False
    )
    same, own = trained({"male": TINY.margin}), trained({"male": 0.6})
    assert own.card["margins"] == pytest.approx({"female": TINY.margin, "male": 0.6})
    assert same.history["loss"].tolist() == pytest.approx(plain.history["loss"].tolist())
    assert own.history["loss"].iloc[0] > plain.history["loss"].iloc[0] + 1


def test_margins_by_group_need_a_head_with_a_margin_and_other_subjects_to_learn_on():
    recipe = dataclasses.replace(
        TINY, head="softmax", mitigate=Mitigation(by=["gender"], margins={"male": 0.3})
    )
    with pytest.raises(BadInput, match="softmax has no margin: groups cannot have their own"):
        fl.train(patterns(), recipe, progress=False)
    recipe = dataclasses.replace(TINY, mitigate=Mitigation(by=["gender"], meta_margins=0.01))
    with pytest.raises(BadInput, match="learns on other subjects: give them as `meta`"):
        fl.train(patterns(), recipe, progress=False)
    for wrong, message in (
        ({"margins": {"male": -0.1}}, "mitigate.margins must be numbers from 0"),
        ({"margins": {"male": 0.3}, "meta_margins": 0.1}, "mitigate.margins must be empty where"),
    ):
        with pytest.raises(BadInput, match=message):
            Mitigation(by=["gender"], **wrong)
    with pytest.raises(BadInput, match=r"mitigate\.by must be the columns that make the groups"):
        Mitigation(meta_margins=0.1)
    with pytest.raises(BadInput, match="centres must be 1 where margins by group are learnt"):
        Recipe(centres=0.5, mitigate=Mitigation(by=["gender"], meta_margins=0.1))
