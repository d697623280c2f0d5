"""Centres that lie with several processes: each holds a run of the subjects, and their moments.

In: a head with its own rows of the centres, the embeddings of the whole batch. Out: the losses that
one process with all centres would work out, so that as many subjects fit as all processes hold
together (Partial FC, An et al. 2021, arXiv 2010.05222; An et al. 2022, arXiv 2203.15565). What the
images have in common is exchanged, a few numbers an image; centres and logits stay where they are.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from facelab.training.distributed import Team

# The logit of what is not there. Not -inf: where a process has nothing else, the gradient of its
# sum would be no number.
_NOTHING = -1e30


class Across:
    """What a head needs to know of the processes that hold the other centres.

    Parameters
    ----------
    processes
        All of them.
    subjects
        How many there are.
    """

    def __init__(self, processes: Team, subjects: int) -> None:
        self.processes = processes
        self.rows = processes.rows(subjects)
        self.cuts = [processes.rows(subjects, rank).start for rank in range(processes.size)]
        self.cuts.append(subjects)

    def losses(
        self,
        head: Any,
        embeddings: Tensor,
        labels: Tensor,
        *,
        ramp: float = 1.0,
        margins: Tensor | None = None,
        weight: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """As `Head.losses` of a `ClassHead`, of the whole batch, the same on all processes.

        `labels` are the subjects' numbers; with a `weight`, rows of it, which are below 0 or beyond
        it where another process has the centre.
        """
        team = self.processes
        if weight is None:
            weight, labels = head.weight, labels - self.rows.start
        count = len(weight)
        if not count:  # among few centres, some processes may have none
            weight = weight.new_zeros(1, *weight.shape[1:])
        mine = (labels >= 0) & (labels < count)
        rows = labels.clamp(0, len(weight) - 1)[:, None]
        # float32 also under autocast: bf16 has 8 bits, two cosines 0.004 apart would be equal.
        with torch.autocast(embeddings.device.type, enabled=False):
            unit, lengths = head.unit(embeddings)
            cosines = head.cosines(team.handed_out(unit), weight.to(unit.dtype))
            cosine = team.added(torch.where(mine, cosines.gather(1, rows)[:, 0], 0.0))
            target = head.lowered(cosine, head._margins(margins, ramp, cosine), ramp, lengths)
            logits = head.scale * head.others(
                cosines, team.handed_out(cosine), team.handed_out(target)
            )
            target = head.scale * target
            here = logits.gather(1, rows)
            # The true subject is left out, and stands once beside what the processes found.
            alone = logits.scatter(1, rows, torch.where(mine[:, None], _NOTHING, here))
            if not count:
                alone = alone * 0 + _NOTHING
            found = torch.cat([self._of_each(alone.logsumexp(1)), target[None]]).logsumexp(0)
            told = target
            if smoothing:
                sums = logits.sum(1) - torch.where(mine, here[:, 0], 0.0)
                sums = team.added(torch.cat([sums, sums.new_full((1,), count)]))
                told = (1 - smoothing) * target + smoothing * (sums[:-1] + target) / sums[-1]
            return found - told + head.penalty(embeddings)

    def _of_each(self, values: Tensor) -> Tensor:
        """What every process found, (processes, B)."""
        ours = torch.arange(self.processes.size, device=values.device) == self.processes.rank
        return self.processes.added(torch.where(ours[:, None], values, 0.0))


def clip(
    parameters: Sequence[nn.Parameter],
    head: nn.Module,
    centres: Tensor | None,
    most: float,
    processes: Team,
) -> None:
    """Scale gradients so that their length over all parameters is at most a number.

    Parameters
    ----------
    parameters
        All but the head's; the same on all processes.
    head, centres
        The head, and its centres in this step; None is all of its parameters.
    most
        Length.
    """
    own = list(head.parameters()) if centres is None else [centres]
    gradients = [[p.grad for p in some if p.grad is not None] for some in (parameters, own)]
    if getattr(head, "across", None) is None:
        length = _length([*gradients[0], *gradients[1]])
    else:
        same, ours = (_length(some).to(head.weight) for some in gradients)
        length = (same.square() + processes.added(ours.square())).sqrt()
    factor = torch.clamp(most / (length + 1e-6), max=1.0)
    all_ = [*gradients[0], *gradients[1]]
    # On the CPU it costs nothing to see that they may stay as they are.
    if all_ and (length.device.type != "cpu" or factor != 1):
        torch._foreach_mul_(all_, factor)


def _length(gradients: list[Tensor]) -> Tensor:
    """As `nn.utils.get_total_norm`, which goes through them one by one on a CPU."""
    if not gradients:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


# ---- of a state, what lies with several processes


def taken_apart(state: dict[str, Any], number: int | None) -> dict[str, Tensor]:
    """Take the centres and what belongs to them out of a training's state, by where they stood.

    Parameters
    ----------
    state
        As `Training.state` gives it; changed.
    number
        The centres' number among the optimiser's parameters; None where they have none.
    """
    moments = state["optimiser"]["state"]
    if number in moments:  # the optimiser's own
        moments[number] = dict(moments[number])
    places = {
        "head": state["head"],
        "optimiser": moments.get(number, {}),
        "centres": state.get("centres", {}),
    }
    # Adam's number of steps is the same on all processes, and so is what heads remember.
    return {
        f"{part}.{name}": place.pop(name)
        for part, place in places.items()
        for name in list(place)
        if name != "step" and (part != "head" or name == "weight")
    }


def put_together(state: dict[str, Any], rows: dict[str, Tensor], number: int | None) -> None:
    """Put back what `taken_apart` took, or other rows of it."""
    for path, values in rows.items():
        part, name = path.split(".", 1)
        if part == "optimiser":
            state["optimiser"]["state"].setdefault(number, {})[name] = values
        else:
            state.setdefault(part, {})[name] = values
