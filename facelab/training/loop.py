"""The training loop: batch, forward, backward, step, log.

In: a FaceSet and a recipe. Out: an embedder with its history.
"""

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

import facelab
from facelab.embedders.backbone import TimmEmbedder, as_images, network_of, pick_device, resized
from facelab.errors import BadInput, FacelabError
from facelab.faces import FaceSet
from facelab.progress import bar
from facelab.training.augment import Chance, augment
from facelab.training.batches import batches
from facelab.training.heads import HEADS
from facelab.training.recipe import Recipe

_ROWS_OF_HISTORY = 100


def train(
    faces: FaceSet,
    recipe: Recipe | None = None,
    *,
    seed: int | None = None,
    device: str = "auto",
    progress: bool = True,
    on_step: Callable[[int], None] | None = None,
) -> TimmEmbedder:
    """Train an embedder to tell the subjects of a FaceSet apart.

    Parameters
    ----------
    faces
        At least two subjects; every image is used. Each subject needs as many images as the
        recipe's `together`.
    recipe
        How; None is `Recipe()`.
    seed
        Stands in for the recipe's seed.
    device
        "auto" (CUDA, MPS, else CPU) or a torch device.
    progress
        Show a bar.
    on_step
        Called after each step with its number from 1.

    Returns
    -------
    TimmEmbedder
        With `.history` (step, epoch, loss, lr, seconds; each row the mean since the row before)
        and `.card` (who was trained on, how long it took).

    Raises
    ------
    BadInput
        There are too few subjects, or faces without a subject.
    FacelabError
        The loss stopped being a number; the message names the step and its subjects.
    """
    recipe = recipe or Recipe()
    if seed is not None:
        recipe = dataclasses.replace(recipe, seed=seed)
    labels, subjects = _labels(faces)
    where = pick_device(device)
    started = time.perf_counter()

    crops = None if faces.size == recipe.size else _resized_once(faces, recipe.size)
    gather = faces.gather if crops is None else crops.__getitem__
    labels_there = torch.from_numpy(labels).to(where)

    # Whoever calls keeps their own random state.
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        network = network_of(recipe.to_dict())
        head = HEADS[recipe.head](recipe.dim, len(subjects), recipe.scale, recipe.margin)
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)
        network, head = network.to(where).train(), head.to(where)
        parameters = [*network.parameters(), *head.parameters()]
        optimiser = _optimiser(parameters, recipe)
        generator = torch.Generator(where).manual_seed(recipe.seed)
        bf16 = _bf16(recipe.precision, where)

        rows_of_history = []
        every = max(1, recipe.steps // _ROWS_OF_HISTORY)
        losses: list[float] = []
        steps = bar(
            zip(range(recipe.steps), batches(labels, recipe), strict=False),
            total=recipe.steps,
            desc="train",
            unit="step",
            show=progress,
        )
        for step, rows in steps:
            rate = learning_rate(step, recipe)
            for group in optimiser.param_groups:
                group["lr"] = rate
            head.margin = recipe.margin * _ramp(step, recipe.margin_warm_up * recipe.steps)

            images = as_images(gather(rows), where)
            # From half a batch away: neighbours may be of the same subject.
            others = images.roll(len(images) // 2, 0)
            images = augment(images, recipe.augment, Chance(generator, len(images)), others)
            target = labels_there[torch.from_numpy(rows).to(where)]
            with torch.autocast(where.type, torch.bfloat16, enabled=bf16):
                embeddings = network(images)
            loss = head.loss(embeddings, target, recipe.label_smoothing)

            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise _diverged(step, subjects[labels[rows]], recipe)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, recipe.clip)
            optimiser.step()

            if (step + 1) % every == 0 or step + 1 == recipe.steps:
                rows_of_history.append(
                    {
                        "step": step + 1,
                        "epoch": (step + 1) * recipe.batch / len(faces),
                        "loss": float(np.mean(losses)),
                        "lr": rate,
                        "seconds": time.perf_counter() - started,
                    }
                )
                losses.clear()
            if on_step:
                on_step(step + 1)

    card = {
        "made_by": f"facelab {facelab.__version__}",
        "faces": faces.card,
        "subjects": len(subjects),
        "images": len(faces),
        "composition": _composition(faces),
        "device": where.type,
        "precision": "bf16" if bf16 else "fp32",
        "seconds": time.perf_counter() - started,
    }
    name = f"{recipe.backbone}-{faces.card.get('name', 'unnamed')}-{recipe.seed}"
    return TimmEmbedder(network, recipe.to_dict(), card, pd.DataFrame(rows_of_history), name)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear up to the peak over the warm-up, then down to 0 along half a cosine."""
    warm = recipe.warm_up * recipe.steps
    if step < warm:
        return recipe.lr * (step + 1) / (warm + 1)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (recipe.steps - warm)))


def _ramp(step: int, length: float) -> float:
    return min(1.0, step / length) if length else 1.0


def _labels(faces: FaceSet) -> tuple[np.ndarray, np.ndarray]:
    """Every face's subject as a number, and the subjects by number."""
    missing = faces.table["subject"].isna().to_numpy()
    if missing.any():
        raise BadInput(
            f"{int(missing.sum())} faces have no subject (the first is image "
            f"{faces.table['image'][missing].iloc[0]!r}): drop or label them before training"
        )
    codes, subjects = pd.factorize(faces.table["subject"], sort=True)
    if len(subjects) < 2:
        raise BadInput(
            f"training needs at least 2 subjects; {faces.card.get('name', 'the FaceSet')!r} has "
            f"{len(subjects)}"
        )
    return codes.astype(np.int64), np.asarray(subjects)


def _resized_once(faces: FaceSet, size: int) -> np.ndarray:
    """All crops at the network's size, in memory: done once, not in every epoch."""
    crops = np.empty((len(faces), size, size, 3), np.uint8)
    for start in range(0, len(faces), 1024):
        crops[start : start + 1024] = resized(faces.gather(slice(start, start + 1024)), size)
    return crops


def _optimiser(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Matrices and kernels decay; biases and norms do not."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # Fused: one pass over the weights, twice as fast on a CPU.
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
    return torch.optim.SGD(
        groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True, fused=True
    )


def _bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16: on "auto", where the machine has instructions for it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def _diverged(step: int, subjects: np.ndarray, recipe: Recipe) -> FacelabError:
    named = ", ".join(map(str, dict.fromkeys(subjects.tolist())))
    return FacelabError(
        f"the loss is not a number at step {step + 1}: lower lr ({recipe.lr:g}), lengthen warm_up "
        f"({recipe.warm_up:g}) or use precision fp32; the batch's subjects: {named}"
    )


def _composition(faces: FaceSet) -> dict[str, dict[str, int]]:
    """Subjects of each group, for every column that is constant within subjects."""
    columns = faces.subjects.select_dtypes("category").columns
    return {
        column: {str(k): int(v) for k, v in faces.subjects[column].value_counts().items()}
        for column in columns
    }
