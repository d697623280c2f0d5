"""How weights move: the learning rate by step, what decays, the averaged weights."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.network import network_of
from facelab.errors import BadInput
from facelab.training.heads import CosFace
from facelab.training.optimise import Average, learning_rate, optimiser_of, ramp
from facelab.training.recipe import OPTIMISERS, Recipe


def rates(steps: int = 20, **recipe) -> list[float]:
    recipe = Recipe(steps=steps, lr=2.0, **recipe)
    return [learning_rate(step, recipe) for step in range(steps)]


# ---- the learning rate


@pytest.mark.parametrize(
    "schedule, expected",
    [
        ({"schedule": "constant"}, {0: 2, 10: 2, 19: 2}),
        # 1 + cos(pi t / 20)
        ({"schedule": "cosine"}, {0: 2, 5: 1 + math.sqrt(0.5), 10: 1, 15: 1 - math.sqrt(0.5)}),
        # 2 (1 - t / 20)^2
        ({"schedule": "poly"}, {0: 2, 5: 1.125, 10: 0.5, 15: 0.125, 19: 0.005}),
        (
            {"schedule": "steps", "milestones": [0.5, 0.75]},
            {0: 2, 9: 2, 10: 0.2, 14: 0.2, 15: 0.02, 19: 0.02},
        ),
    ],
)
def test_rates_without_a_warm_up_are_those_of_the_table(schedule, expected):
    found = rates(warm_up=0.0, **schedule)
    assert {step: found[step] for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    "schedule, expected",
    [
        ({"schedule": "constant"}, {4: 2, 19: 2}),
        # The rest is 16 steps: 1 + cos(pi (t - 4) / 16), 2 (1 - (t - 4) / 16)^2.
        ({"schedule": "cosine"}, {4: 2, 8: 1 + math.sqrt(0.5), 12: 1}),
        ({"schedule": "poly"}, {4: 2, 8: 1.125, 12: 0.5, 16: 0.125}),
        ({"schedule": "steps", "milestones": [0.5]}, {4: 2, 9: 2, 10: 0.2}),
    ],
)
def test_a_warm_up_comes_before_any_schedule_and_meets_it_at_the_peak(schedule, expected):
    found = rates(warm_up=0.2, **schedule)
    assert found[:4] == pytest.approx([0.4, 0.8, 1.2, 1.6])
    assert {step: found[step] for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "poly"])
@pytest.mark.parametrize("warm_up", [0.0, 0.013, 0.1, 0.5, 0.99])
def test_rates_rise_evenly_to_the_peak_and_never_again(schedule, warm_up):
    found = np.array(rates(1000, schedule=schedule, warm_up=warm_up))
    assert (found > 0).all() and found.max() <= 2
    peak = int(found.argmax())
    assert peak == math.ceil(warm_up * 1000)
    assert np.diff(found[: peak + 1]) == pytest.approx(found[0], rel=1e-6) or peak == 0
    assert (np.diff(found[peak:]) <= 0).all()
    # No jump where they meet: no step down is larger than a step up, or the steepest of 1000.
    assert np.abs(np.diff(found)).max() <= max(found[0], 4 / (1000 * (1 - warm_up))) + 1e-9


def test_one_step_is_taken_at_close_to_the_peak():
    assert rates(1) == pytest.approx([2 / 1.1])


def test_milestones_are_rising_shares_and_belong_to_steps():
    for wrong in ([0.5, 0.5], [0.7, 0.3], [0.0], [1.0], [2]):
        with pytest.raises(BadInput, match="milestones must be rising shares of the steps"):
            Recipe(schedule="steps", milestones=wrong)
    with pytest.raises(BadInput, match="milestones must be shares of the steps"):
        Recipe(schedule="steps")


def test_the_ramp_grows_from_0_to_1_over_its_share_of_the_steps():
    assert [ramp(step, 0.2, 20) for step in (0, 1, 2, 4, 19)] == [0, 0.25, 0.5, 1, 1]
    assert ramp(0, 0.0, 20) == 1


# ---- what decays


@pytest.mark.parametrize("backbone", ["resnet18", "iresnet18"])
@pytest.mark.parametrize("name, kind", [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_biases_norms_and_prelus_do_not_decay(backbone, name, kind):
    options = TINY.backbone_options if backbone == "resnet18" else {}
    recipe = dataclasses.replace(
        TINY, backbone=backbone, backbone_options=options, optimiser=name, stem_stride=None
    )
    layers = nn.ModuleList([network_of(recipe.to_dict()), CosFace(32, 5, 16.0, 0.2)])
    optimiser = optimiser_of(list(layers.parameters()), recipe)
    assert isinstance(optimiser, kind)
    decays = {
        id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]
    }
    seen = set()
    for layer in layers.modules():
        for parameter_name, parameter in layer.named_parameters(recurse=False):
            plain = isinstance(layer, nn.BatchNorm2d | nn.PReLU) or parameter_name == "bias"
            assert decays.pop(id(parameter)) == (0 if plain else recipe.weight_decay)
            seen.add(type(layer).__name__)
    assert not decays
    assert {"Conv2d", "Linear", "CosFace"} < seen
    assert "PReLU" in seen or backbone == "resnet18"


def test_sgd_and_adamw_step_as_the_papers_say():
    """Two steps by hand: Nesterov's momentum; Adam's moments with decoupled decay."""
    gradients = [0.3, -0.1]
    recipe = dataclasses.replace(TINY, lr=0.1, weight_decay=0.01, momentum=0.9)

    def moved(name: str) -> float:
        weight = nn.Parameter(torch.full((1, 1), 2.0))
        optimiser = optimiser_of([weight], dataclasses.replace(recipe, optimiser=name))
        for gradient in gradients:
            weight.grad = torch.full((1, 1), gradient)
            optimiser.step()
        return weight.item()

    w, velocity = 2.0, 0.0
    for gradient in gradients:
        slope = gradient + 0.01 * w
        velocity = 0.9 * velocity + slope
        w -= 0.1 * (slope + 0.9 * velocity)
    assert moved("sgd") == pytest.approx(w, rel=1e-6)

    w, first, second = 2.0, 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        w -= 0.1 * 0.01 * w
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w -= 0.1 * first / (1 - 0.9**t) / (math.sqrt(second / (1 - 0.999**t)) + 1e-8)
    assert moved("adamw") == pytest.approx(w, rel=1e-6)


# ---- the averaged weights


def test_the_average_is_an_exponential_one_that_starts_quickly_and_norms_are_the_latest():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = Average(network, keep=0.8)
    assert not average.network.training
    assert not any(p.requires_grad for p in average.network.parameters())
    expected = {name: p.detach().clone() for name, p in network.named_parameters()}
    kept = []
    for step in range(60):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += torch.randn_like(parameter)
        network(torch.randn(8, 3))
        average.update(network, step)
        keep = min(0.8, (1 + step) / (10 + step))
        kept.append(keep)
        for name, parameter in network.named_parameters():
            expected[name] = keep * expected[name] + (1 - keep) * parameter.detach()
    assert kept[0] == 0.1 and kept[-1] == 0.8
    found = dict(average.network.named_parameters())
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-5), name
        assert not torch.allclose(found[name], network.get_parameter(name).detach(), atol=1e-2)
    for name, value in network.named_buffers():
        assert torch.equal(average.network.get_buffer(name), value), name
    assert network[1].num_batches_tracked == 60


# ---- what an optimiser starts from


def test_every_optimiser_has_its_own_rate_and_decay_and_the_recipe_shows_them(tmp_path):
    told = {name: Recipe.from_dict({"optimiser": name}) for name in ("adamw", "sgd")}
    for name, recipe in told.items():
        assert (recipe.lr, recipe.weight_decay) == tuple(OPTIMISERS[name].values())
        written = recipe.to_yaml(tmp_path / f"{name}.yaml").read_text()
        assert f"lr: {recipe.lr}" in written and f"weight_decay: {recipe.weight_decay}" in written
        assert Recipe.from_yaml(tmp_path / f"{name}.yaml") == recipe
    assert told["sgd"].lr > 10 * told["adamw"].lr
    assert told["sgd"].weight_decay < told["adamw"].weight_decay / 10
    given = Recipe(optimiser="sgd", lr=0.3, weight_decay=0.0)
    assert (given.lr, given.weight_decay) == (0.3, 0.0), "0 was said, and is no gap to fill"
    assert dataclasses.replace(told["adamw"], optimiser="sgd").lr == told["adamw"].lr


def test_sgd_learns_from_its_own_defaults_what_it_does_not_from_adamws():
    plain = {**TINY.to_dict(), "optimiser": "sgd", "steps": 40}
    losses = {}
    for whose, (lr, decay) in {"sgd": (None, None), "adamw": OPTIMISERS["adamw"].values()}.items():
        recipe = Recipe.from_dict({**plain, "lr": lr, "weight_decay": decay})
        made = fl.train(patterns(), recipe, device="cpu", progress=False)
        losses[whose] = made.history["loss"].iloc[-5:].mean()
    assert losses["sgd"] < 0.8 * losses["adamw"]
