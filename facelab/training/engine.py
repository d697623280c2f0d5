"""One training: all that changes while an embedder learns, and how one step changes it.

In: a FaceSet and a recipe. Out: step by step, weights; in the end an embedder.
"""

import math
import time
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import facelab
from facelab.embedders.tensors import as_floats, computes_bf16, kernels_on
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, FacelabError
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.training.adapters import adapt, merged
from facelab.training.augment import Chance, augment, generator_of
from facelab.training.centres import SampledCentres
from facelab.training.checkpoints import packed, unpacked
from facelab.training.distributed import Team
from facelab.training.examples import Examples
from facelab.training.feed import Feed, Loaded
from facelab.training.optimise import Average, learning_rate, optimiser_of, ramp
from facelab.training.parts import (
    Parts,
    augment_of,
    head_of,
    network_again,
    network_for,
    sampler_of,
    terms_of,
)
from facelab.training.recipe import Recipe
from facelab.training.shards import clip
from facelab.training.starts import (
    about,
    centres_of,
    keeps_centres,
    start_of,
    take_centres,
    take_head,
)
from facelab.training.still import factors, hold
from facelab.training.terms import Batch, trained_by
from facelab.training.validation import Watch
from facelab.training.wccn import check_within, normalise_within

_ROWS_OF_HISTORY = 100
_LOSS = "the loss"
# Steps between two looks at the losses where a look makes the device or the others wait.
_PATIENCE = 20


class Training:
    """All that changes while an embedder is trained, and how one step changes it.

    Parameters
    ----------
    faces, recipe, meta
        As `train` takes them.
    processes
        Who trains together.
    own
        Parts that stand in for the recipe's.

    Attributes
    ----------
    step
        Steps done.
    stale
        Whether looks have stopped getting better for as long as the recipe has patience.
    waits
        Whether the step just done waited for the device and the other processes anyway.
    """

    def __init__(
        self, faces: FaceSet, recipe: Recipe, processes: Team, meta: FaceSet | None, own: Parts
    ) -> None:
        self.recipe, self.processes, self.own = recipe, processes, own
        where = processes.device
        self.part = processes.part(recipe.batch // recipe.accumulate)
        self.examples = Examples(faces, recipe, where, own.target)
        if recipe.wccn:
            check_within(faces, recipe.wccn_by)
        self.sampler = sampler_of(recipe, self.examples, own)
        self.augment = augment_of(own)
        beside = self._beside if recipe.augment.cover and not self.augment else None
        # Somebody's own sampler may draw from torch's chance, or be asked by a term: at its step.
        ahead = {} if own.sampler is None else {"ahead": 0}
        rows = self.sampler.batch
        self.feed = Feed(self.examples, rows, self._here, beside, recipe.steps, **ahead)

        start = start_of(recipe)
        torch.manual_seed(recipe.seed)
        network = network_for(recipe, start, own)
        if recipe.lora.rank:
            adapt(network, recipe.lora, recipe.backbone)
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.precision = precision_on(where, recipe.precision)
        self.kind = torch.float64 if self.precision == torch.float64 else torch.float32
        self.network = network.to(where, self.kind).train()
        subjects = len(self.examples.subjects)
        head, self.rows = head_of(recipe, subjects, processes, own)
        self.head = head.to(where, self.kind)
        # Made by every process for itself, with random numbers that none of them shares.
        if own.backbone is not None:
            processes.as_the_first(self.network)
        if own.head is not None:
            processes.as_the_first(self.head)
        if own.target:
            begun = take_head(self.head, start)
        else:
            begun = take_centres(self.head, self.network, self.examples, start, self.rows)
        self.start = start and about(start, self.network, begun)
        hold(self.network, self.head, recipe)
        slower = factors(self.network, self.head, recipe)
        self.terms = terms_of(self, meta, own)

        self.shared = processes.spread(self.network)
        if recipe.compile:
            self.shared = torch.compile(self.shared)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.parameters += trained_by(self.terms)
        centres = [p for p in self.head.parameters() if p.requires_grad and recipe.centres == 1]
        self.optimiser = optimiser_of([*self.parameters, *centres], recipe, slower)
        if recipe.centres < 1:
            self.terms["centres"] = SampledCentres(
                self.head.weight,
                self.optimiser,
                recipe.centres,
                recipe.seed,
                subjects,
                self.rows.start,
                weight_decay=recipe.weight_decay,
                factor=slower.get(self.head.weight, 1.0),
            )
        self.scaler = processes.scaler(self.precision == torch.float16)
        self.average = Average(self.network, recipe.ema) if recipe.ema else None

        self.step = 0
        self.spent = 0.0
        self.started = time.perf_counter()
        self.unchecked: list[tuple[np.ndarray, dict[str, Tensor]]] = []
        self.unlogged: list[float] = []
        self.history: list[dict[str, float]] = []
        self.looks: list[pd.DataFrame] = []
        self.best: dict[str, Any] = {}
        self.looks_since_best = 0
        self.stale = False

    @property
    def seconds(self) -> float:
        """Time spent, over all runs of a resumed training."""
        return self.spent + time.perf_counter() - self.started

    @property
    def waits(self) -> bool:
        alone = self.processes.device.type == "cpu" and self.processes.size == 1
        return alone or self.step % _PATIENCE == 0 or self.step == self.recipe.steps

    def one_step(self) -> None:
        """One step of the optimiser, over a whole batch."""
        recipe, step = self.recipe, self.step
        rate = learning_rate(step, recipe)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        loaded = self.feed.take(step)
        batch = self._batch(loaded)
        for term in self.terms.values():
            term.before_step(batch)
        # In its place: after what the images weigh, before what is added to it.
        batch.watched[_LOSS] = batch.weights.sum()
        self.optimiser.zero_grad()
        done = []
        for number, part in enumerate(batch.parts(recipe.accumulate), 1):
            self._learn(part, self._images(loaded, number - 1), number == recipe.accumulate)
            done.append((part.embeddings.detach(), part.losses.detach()))
        self._move(batch)
        batch.embeddings, batch.losses = (torch.cat(found) for found in zip(*done, strict=True))
        for term in self.terms.values():
            term.after_step(batch)

        self.step += 1
        batch.watched[_LOSS] = (batch.losses * batch.weights).sum()
        self.unchecked.append((batch.rows, batch.watched))
        if self.waits:
            self.check()
        if self.step % max(1, recipe.steps // _ROWS_OF_HISTORY) == 0 or self.step == recipe.steps:
            self.log(rate)

    def _batch(self, loaded: Loaded) -> Batch:
        """The batch of the step, as it is before the terms have seen it."""
        recipe, step = self.recipe, self.step
        rows, labels, groups = loaded.rows, loaded.labels, loaded.groups
        weights = torch.ones(len(rows), dtype=self.kind, device=labels.device) / len(rows)
        grown = ramp(step, recipe.margin_warm_up, recipe.steps)
        here = {"labels": labels, "groups": groups, "targets": labels}
        return Batch(step, recipe.steps, grown, rows, loaded.subjects, weights=weights, **here)

    def _learn(self, part: Batch, images: Tensor, last: bool) -> None:
        """Forward and backward through a part of the batch, with this process's share of it."""
        part.embeddings = self._embed(images, last)
        part.losses = self.head.losses(
            part.embeddings,
            part.targets,
            ramp=part.ramp,
            margins=part.margins,
            weight=part.centres,
            smoothing=self.recipe.label_smoothing,
        )
        loss = (part.losses * part.weights).sum()
        for term in self.terms.values():
            if (more := term.loss(part)) is not None:
                loss = loss + more / self.recipe.accumulate
        self.scaler.scale(loss).backward()

    def _move(self, batch: Batch) -> None:
        """Let the optimiser step, and the average follow."""
        self.scaler.unscale_(self.optimiser)
        clip(self.parameters, self.head, batch.centres, self.recipe.clip, self.processes)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average:
            self.average.update(self.network, self.step)

    def _embed(self, images: Tensor, last: bool) -> Tensor:
        """The embeddings of a part of the batch; this process works on its share of it."""
        recipe, where = self.recipe, self.processes.device
        alone = self.step < recipe.head_first * recipe.steps
        if recipe.head_first:
            self.network.train(not alone)
        # Gradients are exchanged once a step.
        quiet = self.shared is not self.network and self.processes.size > 1 and not last
        half = self.precision if self.precision.itemsize == 2 else None
        with (
            self.shared.no_sync() if quiet else nullcontext(),
            torch.autocast(where.type, half) if half else nullcontext(),
            torch.set_grad_enabled(not alone),
        ):
            embeddings = self.shared(images)
        return self.processes.gather(embeddings)

    def _images(self, loaded: Loaded, number: int) -> Tensor:
        """This process's share of the images of a part of the batch, augmented."""
        recipe = self.recipe
        seeds = generator_of(recipe.seed, self.step * recipe.accumulate + number)
        # What is random in the network, such as dropout, and in an augmentation of one's own.
        _seed(seeds.initial_seed() + self.processes.rank, self.processes.device)
        length = len(loaded.images) // recipe.accumulate
        here = slice(number * length, (number + 1) * length)
        images, weight = as_floats(loaded.images[here]), self.network.embed[0].weight
        if self.augment:
            return self.augment(images).to(weight)
        others = None if loaded.others is None else as_floats(loaded.others[here])
        total = recipe.batch // recipe.accumulate
        chance = Chance(seeds, total, self.part, self.processes.device)
        return augment(images, recipe.augment, chance, others).to(weight)

    def _here(self, rows: np.ndarray) -> np.ndarray:
        """Of the rows of a whole batch, those that this process works on: a share of each part."""
        return rows.reshape(self.recipe.accumulate, -1)[:, self.part].ravel()

    def _beside(self, rows: np.ndarray) -> np.ndarray:
        """The rows of the images that may be shown in front of them: half a part away."""
        parts = rows.reshape(self.recipe.accumulate, -1)
        return self._here(np.roll(parts, parts.shape[1] // 2, axis=1))

    def close(self) -> None:
        """End what reads ahead."""
        self.feed.close()
        for term in self.terms.values():
            term.close()

    def check(self) -> None:
        """See whether the losses since the last check are numbers, and what else is watched."""
        if not self.unchecked:
            return
        values = [value for _, told in self.unchecked for value in told.values()]
        found = iter(torch.stack(values).tolist())
        for step, (rows, told) in enumerate(self.unchecked, self.step - len(self.unchecked)):
            for what in told:
                if not math.isfinite(value := next(found)):
                    subjects = self.examples.subjects[self.examples.labels[rows]]
                    raise _diverged(step, what, subjects, self.recipe)
                if what == _LOSS:
                    self.unlogged.append(value)
        self.unchecked.clear()

    def log(self, rate: float) -> None:
        """Write a row of history."""
        self.check()
        self.history.append(
            {
                "step": self.step,
                "epoch": self.step * self.recipe.batch / len(self.examples),
                "loss": float(np.mean(self.unlogged)),
                "lr": rate,
                "seconds": self.seconds,
            }
        )
        self.unlogged.clear()

    def look(self, watch: Watch) -> None:
        """Look at the held-out subjects; keep these weights if they are the best so far."""
        network = self.average.network if self.average else self.network
        threads = torch.get_num_threads()
        rates, figure = self.processes.told(lambda: watch.look(network, self.step, threads))
        self.looks.append(rates)
        self.looks_since_best += 1
        if figure < self.best.get("figure", math.inf):
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            self.best = {"figure": figure, "step": self.step, "weights": weights}
            if self.own.target:  # its head says the labels, and is kept with the network
                head = self.head.state_dict()
                self.best["head"] = {name: value.clone() for name, value in head.items()}
            self.looks_since_best = 0
        patience = self.recipe.validate.patience
        self.stale = bool(patience) and self.looks_since_best >= patience

    def state(self) -> dict[str, Any]:
        """Everything that a resumed training needs, as tensors and plain values."""
        self.check()
        state = {name: part.state_dict() for name, part in self._parts().items()}
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {**state, **plain, "spent": self.seconds, "looks": packed(self.looks)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.spent, self.started = state["spent"], time.perf_counter()
        self.looks = unpacked(state["looks"])

    @property
    def place_of_centres(self) -> tuple[slice, int | None]:
        """The subjects whose centres are here; which of the optimiser's parameters they are."""
        groups = self.optimiser.param_groups
        found = [p is getattr(self.head, "weight", None) for g in groups for p in g["params"]]
        return self.rows, found.index(True) if any(found) else None

    @property
    def cuts(self) -> tuple[list[int] | None, int | None]:
        """Where the subjects are cut into those of the processes, if they are; and the same."""
        if getattr(self.head, "across", None) is None:
            return None, None
        return self.head.across.cuts, self.place_of_centres[1]

    def _parts(self) -> dict[str, Any]:
        """What has a state_dict."""
        parts = {
            "network": self.network,
            "head": self.head,
            "optimiser": self.optimiser,
            "scaler": self.scaler,
            "average": self.average and self.average.network,
        }
        return {name: part for name, part in parts.items() if part is not None} | self.terms

    def embedder(self, faces: FaceSet, progress: bool) -> TrainedEmbedder:
        """What has been learnt: the best look's weights, the averaged ones, or the last."""
        recipe = self.recipe
        network = network_again(recipe, self.network, self.own)
        source = self.average.network if self.average else self.network
        weights = self.best.get("weights") or source.state_dict()
        network.load_state_dict(merged(weights, recipe.lora))
        if "head" in self.best:
            self.head.load_state_dict(self.best["head"])
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)
        card = {
            "made_by": f"facelab {facelab.__version__}",
            "faces": faces.card,
            "subjects": len(self.examples.subjects),
            "images": len(self.examples),
            "composition": _composition(faces),
            "device": self.processes.device.type,
            "processes": self.processes.size,
            "precision": _NAMES[self.precision],
            **({"kernels": kernels} if (kernels := kernels_on(self.processes.device)) else {}),
            "steps": self.step,
            "seconds": self.seconds,
        }
        if self.own.about:
            card["parts"] = self.own.about
        if self.start:
            card["start"] = self.start
        if self.best:
            card["kept"] = {key: self.best[key] for key in ("step", "figure")}
        for term in self.terms.values():
            card |= term.card()
        backbone = self.own.backbone_name or recipe.backbone
        made = TrainedEmbedder(
            network.to(self.processes.device),
            recipe.to_dict(),
            card,
            pd.DataFrame(self.history),
            f"{backbone}-{faces.card.get('name', 'unnamed')}-{recipe.seed}",
            pd.concat(self.looks, ignore_index=True) if self.looks else None,
            centres_of(self.head, self.examples.subjects) if keeps_centres(recipe, faces) else None,
        )
        if recipe.wccn:
            given = recipe.wccn, recipe.seed, progress, recipe.wccn_by
            self.processes.told(lambda: normalise_within(made, faces, *given))
        # What one alone has measured or worked out, such as times, all have from the first.
        made.card, made.history = self.processes.told(lambda: (made.card, made.history))
        self.processes.as_the_first(made.network)
        return made


_PLAIN = ("step", "history", "unlogged", "best", "looks_since_best", "stale")
_NAMES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


def _seed(seed: int, device: torch.device) -> None:
    """As torch.manual_seed, for the CPU and one device: for all there might be takes far longer."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        torch.get_device_module(device).manual_seed(seed)


def precision_on(device: torch.device, asked: str) -> torch.dtype:
    """What to compute in: on "auto", bf16 where the machine has instructions for it."""
    if asked == "fp16" and device.type != "cuda":
        raise BadInput(f"precision fp16 needs CUDA, and this is {device.type}: take bf16 or fp32")
    if asked != "auto":
        return next(kind for kind, name in _NAMES.items() if name == asked)
    return torch.bfloat16 if computes_bf16(device) else torch.float32


def _diverged(step: int, what: str, subjects: np.ndarray, recipe: Recipe) -> FacelabError:
    named = ", ".join(map(str, dict.fromkeys(subjects.tolist())))
    if what != _LOSS:
        return FacelabError(f"{what} is not a number at step {step + 1}; the subjects: {named}")
    return FacelabError(
        f"the loss is not a number at step {step + 1}: lower lr ({recipe.lr:g}), lengthen warm_up "
        f"({recipe.warm_up:g}) or use precision fp32; the batch's subjects: {named}"
    )


def _composition(faces: FaceSet) -> dict[str, dict[str, int]]:
    """Subjects of each group, for every group column that is constant within subjects."""
    subjects = faces.subjects
    constant = [column for column in faces.groups if column in subjects]
    # Groups of a categorical that nobody is in are told, too.
    labels = {
        column: subjects[column] if subjects[column].dtype == "category"
        else group_labels(subjects, column)
        for column in constant
    }  # fmt: skip
    return {
        column: {str(group): int(count) for group, count in groups.value_counts().items()}
        for column, groups in labels.items()
    }
