"""What is learnt in the place of who somebody is: a label or a number of every image.

In: every image's label and how labels are to be told. Out: a `Target`, which makes the head that
says them; unlike the heads that tell people apart, it is kept with the network.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facelab.errors import BadInput
from facelab.training.recipe import Recipe, Validation

# What `Validation.keep` may name of labels and numbers.
KEPT_BY = ("error", "worst_error")
_WIDTH = 2.0  # steps between numbers: the standard deviation of what is taught for one


class LabelHead(nn.Module, ABC):
    """What every such head has: from embeddings to chances of the labels, in float32 at least.

    Parameters
    ----------
    dim
        Length of an embedding.
    labels
        What it tells apart: text, or numbers in rising order.
    """

    def __init__(self, dim: int, labels: Sequence[Any]) -> None:
        super().__init__()
        self.labels = tuple(map(str, labels))
        self.linear = nn.Linear(dim, self.outputs(len(labels)))

    def outputs(self, labels: int) -> int:
        """Numbers that the linear layer gives."""
        return labels

    def expect(self, shares: Tensor) -> None:
        """Begin with what the shares of the labels (labels,) say of a face before it is seen.

        An optimiser that moves a bias by its rate a step would take a training's length to learn
        that one label is rare.
        """
        with torch.no_grad():
            self.linear.bias.copy_(shares.log())

    def forward(self, embeddings: Tensor) -> Tensor:
        """Chances of the labels: float (B, labels), each row of sum 1."""
        return self.logits(embeddings).softmax(1)

    def logits(self, embeddings: Tensor) -> Tensor:
        # float32 also under autocast: chances of 16 bits do not sum to 1.
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.linear(embeddings.to(self.linear.weight.dtype))

    @abstractmethod
    def losses(
        self, embeddings: Tensor, labels: Tensor, *, smoothing: float = 0.0, **given: Any
    ) -> Tensor:
        """The loss of every image (B,); what else heads are given is of margins and centres."""


class SoftmaxLabels(LabelHead):
    """Cross entropy of a linear layer: labels without an order."""

    def losses(
        self, embeddings: Tensor, labels: Tensor, *, smoothing: float = 0.0, **given: Any
    ) -> Tensor:
        logits = self.logits(embeddings)
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


class OrderedLabels(LabelHead):
    """One number a face, and rising thresholds between labels that have an order.

    The proportional odds model (McCullagh 1980, Regression models for ordinal data, JRSS B 42):
    P(label > k) = sigmoid(number - threshold k). The loss is -log P(label).
    """

    def __init__(self, dim: int, labels: Sequence[Any]) -> None:
        super().__init__(dim, labels)
        # Rising whatever they learn: the first, and the logarithms of the steps to the next.
        self.first = nn.Parameter(torch.tensor(1 - len(labels) / 2))
        self.steps = nn.Parameter(torch.zeros(len(labels) - 2))

    def outputs(self, labels: int) -> int:
        return 1

    def expect(self, shares: Tensor) -> None:
        with torch.no_grad():
            edges = shares.cumsum(0)[:-1].logit()
            self.linear.bias.zero_()
            self.first.copy_(edges[0])
            self.steps.copy_(edges.diff().log())

    def _edges(self, embeddings: Tensor) -> Tensor:
        """How far every threshold, and no threshold at both ends, lies above the face's number."""
        number = self.logits(embeddings)
        steps = torch.cat([self.first[None], self.steps.exp()]).cumsum(0)
        end = torch.full_like(number, math.inf)
        return torch.cat([-end, steps - number, end], 1)

    def forward(self, embeddings: Tensor) -> Tensor:
        return self._edges(embeddings).sigmoid().diff(dim=1)

    def losses(
        self, embeddings: Tensor, labels: Tensor, *, smoothing: float = 0.0, **given: Any
    ) -> Tensor:
        edges = self._edges(embeddings)
        low, high = (edges.gather(1, labels[:, None] + end)[:, 0] for end in (0, 1))
        # log(sigmoid(high) - sigmoid(low)), which keeps its digits where both are near 0 or 1.
        inside = torch.log1p(-torch.exp(low - high))
        return -(F.logsigmoid(high) + F.logsigmoid(-low) + inside)


class ExpectedNumber(LabelHead):
    """Chances of numbers in equal steps, whose mean is what is said: years of age.

    The mean as in DEX (Rothe, Timofte and Van Gool 2015, ICCV workshops), taught as in DLDL-v2 (Gao
    et al. 2018, IJCAI): the loss is the cross entropy with a bell around the true number, and the
    distance between the mean and the number in steps.
    """

    def __init__(self, dim: int, labels: Sequence[Any]) -> None:
        super().__init__(dim, labels)
        self.register_buffer("numbers", torch.tensor([float(label) for label in labels]))

    def taught(self, values: Tensor) -> Tensor:
        """The bells around some numbers: float (B, labels)."""
        step = self.numbers[1] - self.numbers[0]
        apart = (self.numbers - values.to(self.numbers)[:, None]) / step
        return (-0.5 * (apart / _WIDTH) ** 2).softmax(1)

    def losses(
        self, embeddings: Tensor, labels: Tensor, *, smoothing: float = 0.0, **given: Any
    ) -> Tensor:
        logits = self.logits(embeddings)
        step = self.numbers[1] - self.numbers[0]
        taught = self.taught(labels)
        mean = (logits.softmax(1) * self.numbers).sum(1)
        return F.cross_entropy(logits, taught, reduction="none") + (mean - labels).abs() / step


KINDS: dict[str, type[LabelHead]] = {
    "softmax": SoftmaxLabels,
    "ordinal": OrderedLabels,
    "expected": ExpectedNumber,
}


@dataclass(frozen=True)
class Target:
    """What a training learns of every image.

    Attributes
    ----------
    column
        Of the faces' table.
    kind
        A key of `KINDS`.
    labels
        What is told apart, in order; text that is a number where `kind` is "expected".
    values
        int64 (N,): each image's label as a number; float32 (N,) where `kind` is "expected".
    """

    column: str
    kind: str
    labels: tuple[str, ...]
    values: np.ndarray = field(repr=False)

    @property
    def about(self) -> str:
        """What it is known by, beside the faces."""
        return f"{self.column}: {self.kind} of {', '.join(self.labels)}"

    def head(self, dim: int) -> LabelHead:
        """A new head, which expects the labels as often as they come."""
        head = KINDS[self.kind](dim, self.labels)
        values = torch.tensor(self.values)
        if isinstance(head, ExpectedNumber):
            shares = head.taught(values).mean(0).clamp(min=1e-6)
        else:
            shares = torch.bincount(values, minlength=len(self.labels)) / len(values)
        head.expect(shares)
        return head

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe that asks for what is only there where people are told apart.

        Raises
        ------
        BadInput
            The sentence names the field.
        """
        mitigate = recipe.mitigate
        asked = {
            "mitigate.margins": bool(mitigate.margins),
            "mitigate.meta_margins": bool(mitigate.meta_margins),
            "centres": recipe.centres < 1,
            "wccn": bool(recipe.wccn),
            "validate.fmr": recipe.validate.fmr != Validation().fmr,
            "ema": bool(recipe.ema),
            "together": recipe.together > 1,
        }
        keep = recipe.validate.keep
        if keep not in ("last", *KEPT_BY):
            raise BadInput(
                f"validate.keep {keep} is of trainings that tell people apart: take "
                f"{' or '.join(KEPT_BY)}"
            )
        if wrong := next((name for name, there in asked.items() if there), ""):
            raise BadInput(f"{wrong} is of trainings that tell people apart: leave it out here")
        if self.kind != "softmax" and recipe.label_smoothing:
            raise BadInput(f"label_smoothing is of softmax, and {self.column} is {self.kind}")
        if self.kind == "expected" and mitigate.focal:
            raise BadInput("mitigate.focal needs chances of labels, not a number: leave it out")
