"""How weights move: the optimiser, its learning rate by step, the average of the weights.

In: parameters and a recipe. Out: what the training loop steps.
"""

import copy
import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import nn

from facelab.training.recipe import Recipe


def optimiser_of(
    parameters: list[nn.Parameter],
    recipe: Recipe,
    factors: Mapping[nn.Parameter, float] = MappingProxyType({}),
) -> torch.optim.Optimizer:
    """Matrices and kernels decay; biases and norms do not.

    Each group has the `factor` that its learning rate is multiplied with: 1 where `factors` says
    nothing of a parameter.
    """
    groups = []
    for factor in sorted({1.0, *factors.values()}):
        part = [p for p in parameters if factors.get(p, 1.0) == factor]
        groups += [
            {
                "params": [p for p in part if (p.ndim > 1) == decays],
                "weight_decay": recipe.weight_decay if decays else 0.0,
                "factor": factor,
            }
            for decays in (True, False)
        ]
    # Fused: one pass over the weights, twice as fast on a CPU.
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
    return torch.optim.SGD(
        groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
    )


def learning_rate(step: int, recipe: Recipe) -> float:
    """The rate of a step from 0: linear up to the peak over the warm-up, then as scheduled."""
    warm = recipe.warm_up * recipe.steps
    if step < warm:
        return recipe.lr * (step + 1) / (warm + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "steps":
        passed = sum(step >= share * recipe.steps for share in recipe.milestones)
        return recipe.lr * 0.1**passed
    left = 1 - (step - warm) / (recipe.steps - warm)
    if recipe.schedule == "poly":
        return recipe.lr * left**2
    return recipe.lr * 0.5 * (1 - math.cos(math.pi * left))


def ramp(step: int, share: float, steps: int) -> float:
    """What grows linearly from 0 to 1 over a share of the steps."""
    return min(1.0, step / (share * steps)) if share else 1.0


class Average:
    """A running average of a network's weights, and the latest of its other state.

    Attributes
    ----------
    network
        The averaged network.
    """

    def __init__(self, network: nn.Module, keep: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.keep = keep

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network after a step from 0; early on it counts for more."""
        # Else the random weights of the beginning would stay in the average for long.
        weight = 1 - min(self.keep, (step + 1) / (step + 10))
        mine, theirs = list(self.network.parameters()), list(network.parameters())
        torch._foreach_lerp_(mine, theirs, weight)
        for own, new in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(new)
