"""Heads whose centres lie with several processes, beside whole ones, step by step.

Started by `torchrun` through train_together.py. Every process trains both ways and tells by how
much the two ended up apart.
"""

import torch
from torch import nn

from facelab.training.centres import SampledCentres
from facelab.training.distributed import Team
from facelab.training.heads import HEADS
from facelab.training.shards import Across, clip

SUBJECTS, STEPS = 41, 50  # that two and four do not divide


def apart(processes: Team) -> dict[str, float]:
    """The largest difference of weights after 50 steps, by way of training."""
    cases = {
        f"{head}, fp64": (head, torch.float64, 1.0, 0.0) for head in HEADS if head != "contrast"
    }
    cases |= {
        "cosface, fp32": ("cosface", torch.float32, 1.0, 0.0),
        "arcface, smoothed": ("arcface", torch.float64, 1.0, 0.1),
        "curricular, some centres": ("curricular", torch.float64, 0.3, 0.0),
        # One or two centres a step: some processes have none of them.
        "cosface, few centres": ("cosface", torch.float64, 0.01, 0.1),
    }
    return {name: _apart(processes, *case) for name, case in cases.items()}


def _apart(processes: Team, head: str, kind: torch.dtype, share: float, smoothing: float) -> float:
    whole = _trained(Team(processes.device), head, kind, share, smoothing)
    ours = _trained(processes, head, kind, share, smoothing)
    rows = processes.rows(SUBJECTS)
    return max(
        (whole[0] - ours[0]).abs().max().item(),
        (whole[1][rows] - ours[1]).abs().max().item(),
    )


def _trained(
    processes: Team, head: str, kind: torch.dtype, share: float, smoothing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights of a layer and of the centres here."""
    torch.manual_seed(5)
    layer = nn.Linear(6, 8)
    across = Across(processes, SUBJECTS) if processes.size > 1 else None
    head = HEADS[head](8, SUBJECTS, 16.0, 0.3, across=across)
    layer, head = layer.to(kind), head.to(kind)
    groups = [{"params": list(layer.parameters()), "weight_decay": 0.02}]
    if share == 1:
        groups.append({"params": list(head.parameters()), "weight_decay": 0.05})
    optimiser = torch.optim.AdamW(groups, lr=0.01, fused=True)
    centres = None
    if share < 1:
        first = processes.rows(SUBJECTS).start
        centres = SampledCentres(
            head.weight, optimiser, share, 7, SUBJECTS, first, weight_decay=0.05
        )
    for step in range(STEPS):
        chance = torch.Generator().manual_seed(step)
        images = 3 * torch.randn(16, 6, generator=chance).to(kind)
        few = 2 if share == 0.01 else SUBJECTS
        labels = torch.randint(few, (16,), generator=chance)
        margins = 0.3 * torch.rand(16, generator=chance) if head.margin and step % 2 else None
        margins = None if type(head) is HEADS["softmax"] else margins
        weight, rows = None, labels
        if centres:
            weight, rows = centres.begin(step, labels.numpy())
        optimiser.zero_grad()
        part = layer(images[processes.part(16)])
        given = {"ramp": step / STEPS, "margins": margins, "weight": weight}
        losses = head.losses(processes.gather(part), rows, smoothing=smoothing, **given)
        losses.mean().backward()
        if processes.size > 1:  # as DDP does
            for parameter in layer.parameters():
                torch.distributed.all_reduce(parameter.grad)
        clip(list(layer.parameters()), head, weight, 0.1, processes)
        optimiser.step()
        if centres:
            centres.end()
    return layer.weight.detach(), head.weight.detach()
