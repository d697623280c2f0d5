"""What is done about groups in training: loss weights, group DRO, focal weights, and an adversary
that reads the group.

In: a `Mitigation` and the groups of the training images. Out: terms: what each image's loss weighs,
and the adversary's loss. Balanced sampling is the `Sampler`'s, margins by group are in `margins`.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facelab.arguments import as_annotated
from facelab.errors import BadInput, there_are
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.training.optimise import ramp
from facelab.training.recipe import Mitigation
from facelab.training.terms import Batch, Term

_PACE = 0.95  # of the running means: the last 20 steps or so


class LossWeights(nn.Module, Term):
    """What each image's loss weighs, so that the weighted sum over a batch is its loss.

    A group's weight is the same in every batch, whoever else is in it: divided by the mean weight
    of all images, not by that of the batch, which a rare group would raise when it comes. Weights
    sum to 1 over many batches; with group DRO, which weighs a group's mean loss by q however many
    of its images there are, over a batch that has every group.

    Parameters
    ----------
    mitigation
        Its `weights`, `dro` and `focal`; what is set multiplies.
    names
        The groups.
    shares
        float (groups,): each group's share of the batches, sum 1.

    Attributes
    ----------
    q
        float (groups,): group DRO's weights, sum 1, with which a group's mean loss counts in the
        next step.
    probability
        float (groups,): running mean of the probability that images give their own subject.
    """

    def __init__(self, mitigation: Mitigation, names: list[str], shares: np.ndarray) -> None:
        super().__init__()
        share = torch.as_tensor(shares, dtype=torch.float32)
        if isinstance(mitigation.weights, dict):
            fixed = torch.tensor(by_name(mitigation.weights, names, "weights", None))
        else:
            fixed = {
                "none": torch.ones(len(names)),
                "inverse": 1 / share,
                "odds": (1 - share) / share,
            }[mitigation.weights]
        if not fixed.sum() > 0:
            raise BadInput("every group's weight is 0: give one group or more a weight above 0")
        self.dro, self.focal = mitigation.dro, mitigation.focal
        self.register_buffer("share", share)
        self.register_buffer("fixed", fixed)
        # Logarithms: a group that was easy for long has a q too small for a float, and must be able
        # to come back.
        self.register_buffer("log_q", torch.full((len(names),), -math.log(len(names))))
        self.register_buffer("probability", torch.zeros(len(names)))

    @property
    def q(self) -> Tensor:
        return self.log_q.exp()

    def before_step(self, batch: Batch) -> None:
        batch.weights = self(batch.groups)

    def after_step(self, batch: Batch) -> None:
        self.learn(batch.groups, batch.losses)

    def forward(self, groups: Tensor) -> Tensor:
        """Weights of the images of a batch by their groups (B,): float (B,)."""
        of_groups = self.fixed * (1 - self.probability) ** self.focal
        of_groups = of_groups / (self.share * of_groups).sum().clamp(min=1e-12)
        if self.dro:
            return (of_groups * self.q)[groups] / self._images(groups)[groups]
        return of_groups[groups] / len(groups)

    @torch.no_grad()
    def learn(self, groups: Tensor, losses: Tensor) -> None:
        """Take note of a batch's losses (B,): hard groups weigh more from the next step on."""
        if self.dro:
            risen = self.log_q + self.dro * self._means(losses, groups)
            self.log_q.copy_(risen.log_softmax(0))
        if self.focal:
            moved = torch.lerp(self._means(torch.exp(-losses), groups), self.probability, _PACE)
            seen = self._images(groups) > 0
            self.probability.copy_(torch.where(seen, moved, self.probability))

    def _images(self, groups: Tensor) -> Tensor:
        # bincount would wait for the device to hear how many groups there are.
        return torch.zeros_like(self.fixed).index_add_(0, groups, self.fixed.new_ones(len(groups)))

    def _means(self, values: Tensor, groups: Tensor) -> Tensor:
        """By group (groups,); 0 for a group that the batch lacks."""
        sums = torch.zeros_like(self.fixed).index_add_(0, groups, values.to(self.fixed))
        return sums / self._images(groups).clamp(min=1)


class Adversary(nn.Module, Term):
    """A classifier of the group that learns from the embedding, and whose gradient is reversed.

    Domain-adversarial training (Ganin et al. 2016, arXiv 1505.07818), as AGENDA and PASS apply it
    to faces. How much the embedding forgets must be measured with a classifier that has not been
    its opponent: it may learn to hide from this one alone. Groups count equally in its loss, lest
    it be content to name the largest.

    Parameters
    ----------
    dim, groups
        Length of an embedding; number of groups.
    weight
        What the reversed gradient is multiplied with.
    shares
        float (groups,): each group's share of the batches, sum 1.
    """

    def __init__(self, dim: int, groups: int, weight: float, shares: np.ndarray) -> None:
        super().__init__()
        self.weight = weight
        self.classify = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, groups))
        inverse = torch.as_tensor(1 / (groups * shares), dtype=torch.float32)
        self.register_buffer("balance", inverse)

    def loss(self, part: Batch) -> Tensor:
        # It grows: what a classifier that knows nothing yet says is not worth reversing.
        return self(part.embeddings, part.groups, ramp(part.step, 0.5, part.steps))

    def forward(self, embeddings: Tensor, groups: Tensor, ramp: float) -> Tensor:
        """Its mean loss over the batch; what flows back to the embedding is reversed."""
        unit = F.normalize(embeddings.to(torch.promote_types(embeddings.dtype, torch.float32)))
        reversed_ = _Reverse.apply(unit, self.weight * ramp)
        return F.cross_entropy(self.classify(reversed_), groups, weight=self.balance)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, weight: float) -> Tensor:
        context.weight = weight
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.weight * gradient, None


def by_name(
    values: dict[str, float], names: list[str], what: str, default: float | None
) -> list[float]:
    """Numbers in the groups' order; a name that is no group, or a group left out, is an error."""
    unknown = [name for name in values if name not in names]
    if unknown:
        known = there_are(unknown[0], names, "the groups are")
        raise BadInput(f"mitigate.{what}: there is no group {unknown[0]!r}{known}")
    left_out = [name for name in names if name not in values and default is None]
    if left_out:
        raise BadInput(f"mitigate.{what}: there is no number for the group {left_out[0]!r}")
    return [float(values.get(name, default)) for name in names]


@as_annotated
def rare_margins(
    faces: FaceSet, by: str | list[str], margin: float, power: float = 0.25
) -> dict[str, float]:
    """Margins by group, (largest group's images / its images) ** power times `margin`.

    Cao et al. 2019 (LDAM, arXiv 1906.07413, equation 10) derive the power 1/4 for classes.

    Parameters
    ----------
    faces
        The training set.
    by
        Columns that make the groups.
    margin
        Of the group with most images.

    Returns
    -------
    dict of float
        By group, as `Mitigation.margins` takes them.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(20, 2, size=32, shares={"caucasian/male": 0.5})
    >>> margins = fl.rare_margins(faces, "gender", margin=0.2)
    >>> {group: round(float(margin), 2) for group, margin in margins.items()}
    {'female': 0.25, 'male': 0.2}
    """
    images = group_labels(faces.table, by).value_counts(sort=False)
    return {str(group): margin * (images.max() / n) ** power for group, n in images.items() if n}
