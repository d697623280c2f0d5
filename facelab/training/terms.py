"""Terms: what takes part in a step beside the network and the head.

In: the batch of a step, before and after it is worked through. Out: what its images weigh, their
margins, something added to the loss, whatever the term itself learns.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn


@dataclass
class Batch:
    """The images of one step, or a part of them, as the terms see them.

    Attributes
    ----------
    step, steps
        The step's number from 0; how many there are.
    ramp
        What margins are multiplied with in this step, 0 to 1.
    rows, subjects
        int (B,), on the host: which images of the training set these are, and of whom.
    labels, groups
        int (B,): their subjects, or what a `Target` says of them, and groups, as numbers.
    weights
        float (B,): what each image's loss weighs; the weighted sum over the whole batch is its
        loss. 1 / B unless a term sets others.
    margins
        float (B,): each image's own margin; None is the head's.
    centres, targets
        The centres in use, (rows, D), and the labels as rows of them; None is all of the head's.
    embeddings, losses
        float (B, D) and (B,): what the network and the head give, once they have; without a
        gradient after the step.
    watched
        What must be a number, by what makes it: whatever is not stops the training.
    """

    step: int
    steps: int
    ramp: float
    rows: np.ndarray
    subjects: np.ndarray
    labels: Tensor
    groups: Tensor
    weights: Tensor
    targets: Tensor
    margins: Tensor | None = None
    centres: Tensor | None = None
    embeddings: Tensor | None = None
    losses: Tensor | None = None
    watched: dict[str, Tensor] = field(default_factory=dict)

    def parts(self, number: int) -> Iterator["Batch"]:
        """The batch in equal parts, one after the other."""
        length = len(self.rows) // number
        cut = ("rows", "subjects", "labels", "groups", "weights", "targets", "margins")
        whole = {name: getattr(self, name) for name in cut}
        for start in range(0, len(self.rows), length):
            here = slice(start, start + length)
            told = {name: None if all_ is None else all_[here] for name, all_ in whole.items()}
            yield dataclasses.replace(self, **told)


class Term:
    """What every term has; each does something in one or more of these places.

    Parameters of a term that is a module are trained with the network's.
    """

    def before_step(self, batch: Batch) -> None:
        """Set what the images of a whole batch weigh, or their margins."""

    def loss(self, part: Batch) -> Tensor | None:
        """What is added to the loss, a tensor without axes: called for each part of the batch."""

    def after_step(self, batch: Batch) -> None:
        """Learn from a whole batch, once the weights have moved."""

    def close(self) -> None:
        """End what the term began, when the training is over."""

    def card(self) -> dict[str, Any]:
        """What the embedder's card tells of it in the end."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


def trained_by(terms: dict[str, Term]) -> list[nn.Parameter]:
    """The parameters of terms that are modules."""
    parts = [getattr(term, "own", term) for term in terms.values()]
    modules = [part for part in parts if isinstance(part, nn.Module)]
    return [p for module in modules for p in module.parameters() if p.requires_grad]
