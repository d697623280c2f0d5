"""Centres: a head for hundreds of thousands of subjects, of whom a part takes part in each step.

In: a head's weight, an optimiser, the labels of each batch. Out: the centres of the step, as a
tensor of their own for the loss and the optimiser. Partial FC (An et al. 2021, arXiv 2010.05222;
An et al. 2022, arXiv 2203.15565).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facelab.embedders.tensors import sent
from facelab.errors import BadInput
from facelab.training.terms import Batch, Term


class SampledCentres(Term):
    """The centres that take part in a step: all subjects of the batch, and others at random.

    The full weight stays in the head, in no optimiser, and never gets a gradient. A step:

    >>> leaf, rows = centres.begin(step, labels)
    >>> head.losses(embeddings, rows, weight=leaf).mean().backward()
    >>> nn.utils.clip_grad_norm_([*network.parameters(), leaf], clip)
    >>> optimiser.step()
    >>> centres.end()

    Only the centres that take part are moved and decay. The optimiser's state (momentum, moments)
    is kept for every centre; Adam's number of steps, which its bias correction needs, is the mean
    number over the centres that take part. With `share` = 1 each step is that of the whole head.
    Nothing here waits for the device: who takes part is worked out on the host.

    Parameters
    ----------
    weight
        The head's, (subjects, ...), or the rows of it that this process holds; changed in place.
    optimiser
        Gets a group of its own for the centres. Its state must be able to start at zeros, as that
        of SGD (without dampening) and Adam does.
    share
        Centres in a step as a share of all, above 0 up to 1; more where the batch has more.
    seed
        Who takes part follows from it, the step and the labels: the same on every process.
    subjects, first
        How many there are, and the first whose centre is here; by default all are.
    group
        Settings of the optimiser's group, such as weight_decay.

    Raises
    ------
    BadInput
        `share` is out of range.
    """

    def __init__(
        self,
        weight: nn.Parameter,
        optimiser: torch.optim.Optimizer,
        share: float,
        seed: int,
        subjects: int | None = None,
        first: int = 0,
        **group: Any,
    ) -> None:
        if not 0 < share <= 1:
            raise BadInput(f"centres must be above 0 and at most 1, not {share!r}")
        self.weight = weight.requires_grad_(False)
        self.optimiser = optimiser
        self.share = share
        self.seed = seed
        self.subjects, self.first = subjects or len(weight), first
        # Empty but for the time of a step, so that the optimiser's own state_dict stays small.
        # Known by its place: loading a state_dict makes new groups.
        optimiser.add_param_group({"params": [], **group})
        self._place = len(optimiser.param_groups) - 1
        self._states: dict[str, Tensor] = {}
        # Of all centres on every process: who takes part shares one number of steps.
        self._steps = torch.zeros(self.subjects, dtype=torch.int64, device=weight.device)
        self._counts_steps = False

    def before_step(self, batch: Batch) -> None:
        batch.centres, batch.targets = self.begin(batch.step, batch.subjects)

    def after_step(self, batch: Batch) -> None:
        self.end()

    def begin(self, step: int, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        """Choose the centres of a step.

        Parameters
        ----------
        step
            Its number.
        labels
            int (B,): the subjects of the batch, on the host; of the whole batch where processes
            share it.

        Returns
        -------
        leaf : float (rows, ...)
            Their centres in the order of the subjects, as far as they are here, to be given to the
            loss.
        rows : int (B,)
            The labels as rows of it; below 0 or beyond it where another process has the centre.
        """
        chosen = sampled(labels, self.subjects, self.share, self.seed, step)
        start, stop = np.searchsorted(chosen, [self.first, self.first + len(self.weight)])
        where = self.weight.device
        self._all = sent(torch.from_numpy(chosen), where)
        self._chosen = self._all[start:stop] - self.first
        self._leaf = self.weight[self._chosen].requires_grad_()
        group = self.optimiser.param_groups[self._place]
        group["params"] = [self._leaf]
        state = {name: values[self._chosen] for name, values in self._states.items()}
        if self._counts_steps:
            on_device = group.get("fused") or group.get("capturable")
            self._step = self._steps[self._all].double().mean().round()
            state["step"] = self._step.to(where if on_device else "cpu", torch.float32)
        if state:
            self.optimiser.state[self._leaf] = state
        rows = torch.from_numpy(np.searchsorted(chosen, labels) - start)
        return self._leaf, sent(rows, where)

    def end(self) -> None:
        """Put the centres and their state back, after the optimiser's step."""
        self.weight.index_copy_(0, self._chosen, self._leaf.detach())
        for name, values in self.optimiser.state.pop(self._leaf, {}).items():
            if name == "step":
                before = self._step if self._counts_steps else 0
                # A process that has no centre in the step makes none.
                done = (values.to(self._steps.device) - before).long() if len(self._leaf) else 1
                self._steps[self._all] += done
                self._counts_steps = True
            elif isinstance(values, Tensor):
                if name not in self._states:
                    self._states[name] = values.new_zeros(self.weight.shape)
                self._states[name].index_copy_(0, self._chosen, values)
        self.optimiser.param_groups[self._place]["params"] = []
        del self._leaf, self._chosen, self._all

    def state_dict(self) -> dict[str, Any]:
        """What the head's weight and the optimiser's state_dict lack, between two steps."""
        steps = {"step": self._steps} if self._counts_steps else {}
        return steps | self._states

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state_dict, on any device."""
        self._counts_steps = "step" in state
        if self._counts_steps:
            self._steps = state["step"].to(self.weight.device, copy=True)
        self._states = {
            name: values.to(self.weight.device, copy=True)
            for name, values in state.items()
            if name != "step"
        }


def sampled(labels: np.ndarray, subjects: int, share: float, seed: int, step: int) -> np.ndarray:
    """All subjects of a batch and others at random, up to a share of all.

    Parameters
    ----------
    labels
        int (B,): the subjects of the batch.
    subjects
        How many there are.
    share
        Of the subjects, rounded to a whole number; the batch's are never left out.
    seed, step
        What chance depends on.

    Returns
    -------
    int64 (rows,)
        Subjects, sorted.
    """
    present = np.unique(labels)
    missing = max(0, round(share * subjects) - len(present))
    rng = np.random.default_rng([seed, step])
    absent = np.sort(rng.choice(subjects - len(present), missing, replace=False, shuffle=False))
    # The n-th absent subject is n places on for each present one before it.
    before = np.searchsorted(present - np.arange(len(present)), absent, side="right")
    return np.sort(np.concatenate([present, absent + before]))
