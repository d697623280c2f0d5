"""One training: all that changes while an embedder learns, and how one step changes it.

In: a FaceSet and a recipe. Out: step by step, weights; in the end an embedder.
"""

import io
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import facelab
from facelab.embedders.network import network_of
from facelab.embedders.tensors import as_floats, computes_bf16, kernels_on
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, FacelabError
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.training.augment import Chance, augment, generator_of
from facelab.training.centres import SampledCentres
from facelab.training.distributed import Team
from facelab.training.examples import Examples
from facelab.training.feed import Feed, Loaded
from facelab.training.heads import HEADS, ClassHead
from facelab.training.margins import GroupMargins, MetaSet
from facelab.training.mitigations import Adversary, LossWeights
from facelab.training.optimise import Average, learning_rate, optimiser_of, ramp
from facelab.training.recipe import Recipe
from facelab.training.shards import Across, clip
from facelab.training.validation import Watch
from facelab.training.wccn import normalise_within

_ROWS_OF_HISTORY = 100
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

    Attributes
    ----------
    step
        Steps done.
    stale
        Whether looks have stopped getting better for as long as the recipe has patience.
    waits
        Whether the step just done waited for the device and the other processes anyway.
    """

    def __init__(self, faces: FaceSet, recipe: Recipe, processes: Team, meta: FaceSet | None):
        self.recipe, self.processes = recipe, processes
        where = processes.device
        mitigate = recipe.mitigate
        self.part = processes.part(recipe.batch // recipe.accumulate)
        self.examples = Examples(faces, recipe, where)
        powers = (mitigate.group_power, mitigate.subject_power)
        if recipe.wccn and np.bincount(self.examples.labels).max() < 2:
            raise BadInput("wccn needs subjects with two images or more, and there are none")
        self.sampler = self.examples.sampler(recipe.batch, recipe.together, powers, recipe.seed)
        beside = self._beside if recipe.augment.cover else None
        self.feed = Feed(self.examples, self.sampler.batch, self._here, beside, recipe.steps)
        names, shares = self.examples.names, self.sampler.shares

        torch.manual_seed(recipe.seed)
        network = network_of(recipe.to_dict())
        if recipe.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.precision = precision_on(where, recipe.precision)
        kind = torch.float64 if self.precision == torch.float64 else torch.float32
        self.network = network.to(where, kind).train()
        options = {"scale": recipe.scale, "margin": recipe.margin, **recipe.head_options}
        kind_of_head, subjects = HEADS[recipe.head], len(self.examples.subjects)
        self.rows = slice(0, subjects)
        if processes.size > 1 and issubclass(kind_of_head, ClassHead):
            options["across"] = Across(processes, subjects)
            self.rows = options["across"].rows
        head = kind_of_head(recipe.dim, subjects, **options)
        self.head = head.to(where, kind)
        self.weights = LossWeights(mitigate, names, shares).to(where, kind)
        self.margins = GroupMargins(recipe, names).to(where, kind)
        self.adversary = None
        if mitigate.adversary:
            adversary = Adversary(recipe.dim, len(names), mitigate.adversary, shares)
            self.adversary = adversary.to(where, kind)

        self.shared = processes.spread(self.network)
        if recipe.compile:
            self.shared = torch.compile(self.shared)
        modules = [self.network, self.adversary or nn.Identity()]
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self.centres = None
        own = list(self.head.parameters()) if recipe.centres == 1 else []
        self.optimiser = optimiser_of([*self.parameters, *own], recipe)
        if recipe.centres < 1:
            self.centres = SampledCentres(
                self.head.weight,
                self.optimiser,
                recipe.centres,
                recipe.seed,
                subjects,
                self.rows.start,
                weight_decay=recipe.weight_decay,
            )
        self.scaler = processes.scaler(self.precision == torch.float16)
        self.average = Average(self.network, recipe.ema) if recipe.ema else None
        self.own_margins = bool(mitigate.margins or mitigate.meta_margins)
        self.meta = None
        if mitigate.meta_margins:
            self.meta = MetaSet(
                meta, self.examples, recipe, processes, self.network, self.head, self.margins
            )

        self.step = 0
        self.spent = 0.0
        self.started = time.perf_counter()
        self.losses: list[Tensor] = []
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
            group["lr"] = rate
        batch = self.feed.take(step)
        labels, groups = batch.labels, batch.groups
        weight, targets = None, labels
        if self.centres:
            weight, targets = self.centres.begin(step, batch.subjects)
        weights = self.weights(groups)
        grown = ramp(step, recipe.margin_warm_up, recipe.steps)

        self.optimiser.zero_grad()
        losses = []
        length = recipe.batch // recipe.accumulate
        for number in range(recipe.accumulate):
            here = slice(number * length, (number + 1) * length)
            last = number + 1 == recipe.accumulate
            embeddings = self._embed(batch, number, last)
            found = self.head.losses(
                embeddings,
                targets[here],
                ramp=grown,
                margins=self.margins(groups[here]) if self.own_margins else None,
                weight=weight,
                smoothing=recipe.label_smoothing,
            )
            loss = (found * weights[here]).sum()
            if self.adversary:
                told = self.adversary(embeddings, groups[here], ramp(step, 0.5, recipe.steps))
                loss = loss + told / recipe.accumulate
            self.scaler.scale(loss).backward()
            losses.append(found.detach())

        self.scaler.unscale_(self.optimiser)
        clip(self.parameters, self.head, weight, recipe.clip, self.processes)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.centres:
            self.centres.end()
        if self.average:
            self.average.update(self.network, step)
        found = torch.cat(losses)
        self.weights.learn(groups, found)
        if self.meta:
            self.meta.teach(step, labels[here], groups[here], grown)

        self.step += 1
        self.losses.append((found * weights).sum())
        if self.waits:
            self.check()
        if self.step % max(1, recipe.steps // _ROWS_OF_HISTORY) == 0 or self.step == recipe.steps:
            self.log(rate)

    def _here(self, rows: np.ndarray) -> np.ndarray:
        """Of the rows of a whole batch, those that this process works on: a share of each part."""
        return rows.reshape(self.recipe.accumulate, -1)[:, self.part].ravel()

    def _beside(self, rows: np.ndarray) -> np.ndarray:
        """The rows of the images that may be shown in front of them: half a part away."""
        parts = rows.reshape(self.recipe.accumulate, -1)
        return self._here(np.roll(parts, parts.shape[1] // 2, axis=1))

    def _embed(self, batch: Loaded, number: int, last: bool) -> Tensor:
        """The embeddings of a part of the batch; this process works on its share of it."""
        recipe, where = self.recipe, self.processes.device
        seeds = generator_of(recipe.seed, self.step * recipe.accumulate + number)
        # What is random in the network, such as dropout.
        torch.manual_seed(seeds.initial_seed() + self.processes.rank)
        length = len(batch.images) // recipe.accumulate
        here = slice(number * length, (number + 1) * length)
        others = None if batch.others is None else as_floats(batch.others[here])
        chance = Chance(seeds, recipe.batch // recipe.accumulate, self.part, where)
        images = augment(as_floats(batch.images[here]), recipe.augment, chance, others)
        images = images.to(self.network.embed[0].weight)
        # Gradients are exchanged once a step.
        quiet = self.processes.size > 1 and not last
        half = self.precision if self.precision.itemsize == 2 else None
        with (
            self.shared.no_sync() if quiet else nullcontext(),
            torch.autocast(where.type, half) if half else nullcontext(),
        ):
            embeddings = self.shared(images)
        return self.processes.gather(embeddings)

    def close(self) -> None:
        """End what reads ahead."""
        self.feed.close()
        if self.meta:
            self.meta.feed.close()

    def check(self) -> None:
        """See whether the losses since the last check are numbers."""
        found = torch.stack(self.losses).tolist() if self.losses else []
        for number, loss in enumerate(found):
            if not math.isfinite(loss):
                step = self.step - len(found) + number
                rows = self.sampler.batch(step)
                raise _diverged(
                    step, self.examples.subjects[self.examples.labels[rows]], self.recipe
                )
        self.unlogged += found
        self.losses.clear()

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

    def look(self, watch: Watch, tell: Callable[[pd.DataFrame], None] | None) -> None:
        """Look at the held-out subjects; keep these weights if they are the best so far."""
        network = self.average.network if self.average else self.network
        threads = torch.get_num_threads()
        rates, figure = self.processes.told(lambda: watch.look(network, self.step, threads))
        self.looks.append(rates)
        if tell and self.processes.leads:
            tell(rates)
        self.looks_since_best += 1
        if figure < self.best.get("figure", math.inf):
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            self.best = {"figure": figure, "step": self.step, "weights": weights}
            self.looks_since_best = 0
        patience = self.recipe.validate.patience
        self.stale = bool(patience) and self.looks_since_best >= patience

    def state(self) -> dict[str, Any]:
        """Everything that a resumed training needs, as tensors and plain values."""
        self.check()
        state = {name: part.state_dict() for name, part in self._parts().items()}
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {**state, **plain, "spent": self.seconds, "looks": _packed(self.looks)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.spent, self.started = state["spent"], time.perf_counter()
        self.looks = _unpacked(state["looks"])

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
            "weights": self.weights,
            "margins": self.margins,
            "centres": self.centres,
            "adversary": self.adversary,
            "average": self.average and self.average.network,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def embedder(self, faces: FaceSet, progress: bool) -> TrainedEmbedder:
        """What has been learnt: the best look's weights, the averaged ones, or the last."""
        recipe = self.recipe
        network = network_of({**recipe.to_dict(), **self.network.built}, pretrained=False)
        source = self.average.network if self.average else self.network
        network.load_state_dict(self.best.get("weights") or source.state_dict())
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
        if self.best:
            card["kept"] = {key: self.best[key] for key in ("step", "figure")}
        if self.own_margins:
            margins = self.margins(torch.arange(len(self.examples.names)).to(self.processes.device))
            card["margins"] = dict(zip(self.examples.names, margins.tolist(), strict=True))
        # Times differ by process: all give the first one's.
        card, history = self.processes.told(lambda: (card, self.history))
        made = TrainedEmbedder(
            network.to(self.processes.device),
            recipe.to_dict(),
            card,
            pd.DataFrame(history),
            f"{recipe.backbone}-{faces.card.get('name', 'unnamed')}-{recipe.seed}",
            pd.concat(self.looks, ignore_index=True) if self.looks else None,
        )
        if recipe.wccn:
            given = recipe.wccn, recipe.seed, progress
            self.processes.told(lambda: normalise_within(made, faces, *given))
        self.processes.as_the_first(made.network)
        return made


_PLAIN = ("step", "history", "unlogged", "best", "looks_since_best", "stale")
_NAMES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


def precision_on(device: torch.device, asked: str) -> torch.dtype:
    """What to compute in: on "auto", bf16 where the machine has instructions for it."""
    if asked == "fp16" and device.type != "cuda":
        raise BadInput(f"precision fp16 needs CUDA, and this is {device.type}: take bf16 or fp32")
    if asked != "auto":
        return next(kind for kind, name in _NAMES.items() if name == asked)
    return torch.bfloat16 if computes_bf16(device) else torch.float32


def _packed(frames: list[pd.DataFrame]) -> list[Tensor]:
    """Tables as a checkpoint can hold them, to the last bit: parquet files in tensors."""
    packed = [np.frombuffer(frame.to_parquet(), np.uint8) for frame in frames]
    return [torch.tensor(data) for data in packed]


def _unpacked(packed: list[Tensor]) -> list[pd.DataFrame]:
    return [pd.read_parquet(io.BytesIO(data.cpu().numpy().tobytes())) for data in packed]


def _diverged(step: int, subjects: np.ndarray, recipe: Recipe) -> FacelabError:
    named = ", ".join(map(str, dict.fromkeys(subjects.tolist())))
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
