"""Margins by group: the recipe's, fixed ones, or ones that are learnt on other subjects.

In: a recipe, the groups, a meta set. Out: a term that gives a margin an image.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facelab.embedders.tensors import as_floats
from facelab.faces.faceset import FaceSet
from facelab.training.examples import Examples
from facelab.training.feed import Feed
from facelab.training.heads import Contrast
from facelab.training.mitigations import by_name
from facelab.training.recipe import Recipe
from facelab.training.terms import Batch, Term

_META_SCALE = 16.0  # of the contrast loss on the meta set


class GroupMargins(nn.Module):
    """A margin a group: the recipe's, fixed ones, or learnt ones.

    Learnt margins follow the idea of Meta Balanced Network (Wang et al. 2021, arXiv 2205.06548):
    step the embedding's linear layer as the training loss with these margins would; see what that
    does to the loss of a balanced batch of other subjects, the mean of the groups' contrast losses;
    and move the margins against the gradient that runs back through the step. Only the last layer
    is stepped, so it costs one forward pass of the meta batch. The margins' mean is held at the
    recipe's margin: what is learnt is who gets more of it.

    Parameters
    ----------
    recipe
        Its `margin`, `mitigate` and, for the contrast of the meta batch, `scale`.
    names
        The groups.
    """

    STEP = 0.01  # of the layer's own norm: how far the trial step goes

    def __init__(self, recipe: Recipe, names: list[str]) -> None:
        super().__init__()
        start = by_name(recipe.mitigate.margins, names, "margins", recipe.margin)
        self.values = nn.Parameter(torch.tensor(start))
        self.mean = recipe.margin
        self.rate = recipe.mitigate.meta_margins
        self.optimiser = torch.optim.Adam([self.values], lr=self.rate) if self.rate else None

    def forward(self, groups: Tensor) -> Tensor:
        """The margins of a batch's images, (B,)."""
        return self.values.detach()[groups]

    def learn(
        self,
        layer: nn.Linear,
        train_loss: Callable[[Tensor, Tensor], Tensor],
        features: Tensor,
        meta_loss: Callable[[Tensor], Tensor],
        meta_features: Tensor,
    ) -> None:
        """One step of the learnt margins.

        Parameters
        ----------
        layer
            The linear layer between the features and the embedding.
        train_loss, meta_loss
            Functions of the embeddings (and, the first, of the margins by group) that give a loss.
        features, meta_features
            float (B, F), without gradients.
        """
        weight = layer.weight.detach().requires_grad_()
        loss = train_loss(_embedded(features, weight), self.values)
        (slope,) = torch.autograd.grad(loss, weight, create_graph=True)
        step = self.STEP * weight.detach().norm() / slope.detach().norm().clamp(min=1e-12)
        after = meta_loss(_embedded(meta_features, weight - step * slope))
        (gradient,) = torch.autograd.grad(after, self.values)
        # What all groups have in common goes before the step, which would make it as large as the
        # differences.
        self.values.grad = gradient - gradient.mean()
        self.optimiser.step()
        with torch.no_grad():
            self.values.copy_(_with_mean(self.values, self.mean))

    def get_extra_state(self) -> dict:
        return self.optimiser.state_dict() if self.optimiser else {}

    def set_extra_state(self, state: dict) -> None:
        if self.optimiser:
            self.optimiser.load_state_dict(state)


def _embedded(features: Tensor, weight: Tensor) -> Tensor:
    """The end of `Network`: the linear layer and a batch norm without scale and shift."""
    return F.batch_norm(features.to(weight) @ weight.T, None, None, training=True)


def _with_mean(values: Tensor, mean: float) -> Tensor:
    """The numbers from 0 with this mean that are nearest: all shifted, and cut at 0."""
    ranked = values.sort(descending=True).values
    # By how much to shift where only the 1, 2, ... largest stay above 0.
    numbers = torch.arange(len(values), device=values.device)
    shifts = (mean * len(values) - ranked.cumsum(0)) / (numbers + 1)
    last = torch.where(ranked + shifts >= 0, numbers, 0).amax()
    return (values + shifts.gather(0, last[None])).clamp(min=0)


class MetaSet:
    """Batches of other subjects, on which `GroupMargins` learns.

    Parameters
    ----------
    faces
        At least two images of each subject; groups come equally often.
    training
        Whose network, head and subjects these are.
    margins
        What is taught.
    """

    def __init__(self, faces: FaceSet, training: Any, margins: GroupMargins) -> None:
        recipe, self.processes = training.recipe, training.processes
        self.network, self.head, self.margins = training.network, training.head, margins
        self.examples = Examples(faces, recipe, self.processes.device)
        training.examples.refuse_shared(self.examples.subjects, "the meta set")
        sampler = self.examples.sampler(recipe.batch, 2, (0.0, 1.0), recipe.seed)
        self.feed = Feed(self.examples, sampler.batch, lambda rows: rows, None, recipe.steps)
        self.contrast = Contrast(recipe.dim, 0, _META_SCALE, 0.0)
        self.features: list[Tensor] = []

        # A function of its own, so that a copy of the network does not copy the training with it.
        def note(layers: nn.Module, inputs: tuple[Tensor], kept: list = self.features) -> None:
            kept[:] = [inputs[0].detach()]

        self.network.embed.register_forward_pre_hook(note)

    def teach(self, batch: Batch) -> None:
        """One step of the margins, after one of the network on a batch."""
        features = self.processes.gather(self.features[0])
        # Those of the last part of the batch.
        labels, groups = batch.labels[-len(features) :], batch.groups[-len(features) :]
        loaded = self.feed.take(batch.step)
        meta_labels, meta_groups = loaded.labels, loaded.groups
        groups_there = torch.arange(len(self.examples.names), device=meta_groups.device)
        self.network.eval()
        with torch.no_grad():
            self.network(as_floats(loaded.images).to(self.margins.values))
        self.network.train()

        def train_loss(embeddings: Tensor, margins: Tensor) -> Tensor:
            own = margins[groups]
            losses = self.head.losses(embeddings, labels, ramp=batch.ramp, margins=own)
            return losses.mean()

        def meta_loss(embeddings: Tensor) -> Tensor:
            losses = self.contrast.losses(embeddings, meta_labels)
            # Which groups are in the batch is not asked of the device: it would have to be waited
            # for.
            member = (meta_groups == groups_there[:, None]).to(losses)
            images = member.sum(1)
            means = member @ losses / images.clamp(min=1)
            return means.sum() / (images > 0).sum()

        # Heads with a memory of the batches have noted this one already.
        self.head.eval()
        layer = self.network.embed[0]
        self.margins.learn(layer, train_loss, features, meta_loss, self.features[0])
        self.head.train()


class MarginTerm(Term):
    """Gives every image of a batch its group's margin and, with a meta set, teaches the margins.

    Not a module: the margins are none of the parameters that the network's optimiser moves.
    """

    def __init__(self, margins: GroupMargins, names: list[str], meta: MetaSet | None) -> None:
        self.margins, self.names, self.meta = margins, names, meta

    def before_step(self, batch: Batch) -> None:
        batch.margins = self.margins(batch.groups)

    def after_step(self, batch: Batch) -> None:
        if self.meta:
            self.meta.teach(batch)

    def close(self) -> None:
        if self.meta:
            self.meta.feed.close()

    def card(self) -> dict[str, Any]:
        return {"margins": dict(zip(self.names, self.margins.values.tolist(), strict=True))}

    def state_dict(self) -> dict[str, Any]:
        return self.margins.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.margins.load_state_dict(state)
