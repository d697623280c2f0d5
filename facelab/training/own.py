"""Parts of one's own in a training: what holds them to their word.

In: a head, an augmentation, a sampler, a term as somebody wrote it. Out: the same with the methods
that the training calls; what they give wrongly is answered in a sentence that names them.
"""

import functools
import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facelab.embedders.own import made
from facelab.embedders.sources import name_of
from facelab.errors import BadInput, a_kind
from facelab.training.examples import Examples
from facelab.training.heads import Head
from facelab.training.recipe import Recipe
from facelab.training.terms import Batch, Term

_HOOKS = ("before_step", "loss", "after_step")
_STORED = (type(None), bool, int, float, str, Tensor)


class OwnHead(nn.Module):
    """A module whose `losses`, or else whose call, gives a loss for every image.

    Parameters
    ----------
    part
        The module, or a class or function of the length of an embedding and the number of subjects
        that makes it; `scale` and `margin` are given to whoever names them.
    recipe, subjects
        What it is made for; the recipe asks for nothing that the head does not take.

    Raises
    ------
    BadInput
        It is no such thing.
    """

    def __init__(self, part: Any, recipe: Recipe, subjects: int) -> None:
        super().__init__()
        self.name = name_of(part)
        self.own = made(_maker_of_head(part, recipe), "head", recipe.dim, subjects)
        if not isinstance(self.own, nn.Module):
            raise BadInput(
                "a head is a module of torch, or a function of (dim, subjects) that makes one, not "
                f"{a_kind(self.own)}"
            )
        call = getattr(self.own, "losses", self.own.forward)
        taken = inspect.signature(call).parameters
        anything = any(one.kind is one.VAR_KEYWORD for one in taken.values())
        self._takes = {
            name for name in ("ramp", "margins", "weight", "smoothing") if anything or name in taken
        }
        self._subjects = subjects
        found = [p is getattr(self, "weight", None) for p in self.parameters()]
        if recipe.centres < 1 and found != [True]:
            raise BadInput(
                "centres below 1 need a head with a `weight` (subjects, dim) and no parameters "
                f"beside it, and {self.name} is none: set centres to 1"
            )

    @property
    def weight(self) -> nn.Parameter:
        """Its centres, where it has one a subject."""
        found = getattr(self.own, "weight", None)
        if isinstance(found, nn.Parameter) and found.ndim > 1 and len(found) == self._subjects:
            return found
        raise AttributeError(f"the head {self.name} has no centres")

    def losses(self, embeddings: Tensor, labels: Tensor, **asked: Any) -> Tensor:
        """As every head's; what the head does not take must not be asked for."""
        for name in ("margins", "weight", "smoothing"):
            given = asked.get(name)
            if name not in self._takes and given is not None and not _is_zero(given):
                raise BadInput(
                    f"the head {self.name} takes no {name}, and the recipe asks for "
                    f"{_ASKED_BY[name]}: let its `losses` take {name}, or leave that out"
                )
        taken = {name: value for name, value in asked.items() if name in self._takes}
        # Cosines of 16 bits would tell nothing apart.
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            found = getattr(self.own, "losses", self.own)(embeddings, labels, **taken)
        if not isinstance(found, Tensor) or found.shape != labels.shape:
            told = tuple(found.shape) if isinstance(found, Tensor) else a_kind(found)
            if told == ():
                told = "one number"
            raise BadInput(
                f"the head {self.name} gives {told} for {len(labels)} images, not a loss for each: "
                f"return a tensor ({len(labels)},), as cross_entropy does with reduction='none'"
            )
        return found


def _is_zero(value: Any) -> bool:
    return not isinstance(value, Tensor) and value == 0


_ASKED_BY = {
    "margins": "margins by group (or a term sets them)",
    "weight": "centres below 1",
    "smoothing": "label_smoothing",
}


def _maker_of_head(part: Any, recipe: Recipe) -> Any:
    """A head of the usual signature gets what the recipe says of scale and margin."""
    if isinstance(part, nn.Module):
        return part
    if not callable(part):
        raise BadInput(
            "a head is a module of torch, or a function of (dim, subjects) that makes one, not "
            f"{a_kind(part)}"
        )
    options = dict(recipe.head_options) if isinstance(part, type) and issubclass(part, Head) else {}
    taken = inspect.signature(part).parameters
    options |= {name: getattr(recipe, name) for name in ("scale", "margin") if name in taken}
    return functools.partial(part, **options) if options else part


class OwnAugment:
    """A function that changes the images of a batch and nothing about their shape.

    Parameters
    ----------
    function
        Takes float (B, 3, S, S) from 0 to 1, or uint8 where it has an attribute `takes` that is
        "uint8", and gives the same. What it draws from torch follows from the step.
    """

    def __init__(self, function: Any) -> None:
        self.name = name_of(function)
        if not callable(function):
            raise BadInput(f"augment is a function on a batch of images, not {a_kind(function)}")
        self.function = function() if isinstance(function, type) else function
        self.bytes = getattr(function, "takes", "float") == "uint8"

    def __call__(self, images: Tensor) -> Tensor:
        given = images.mul(255).round_().to(torch.uint8) if self.bytes else images
        found = self.function(given)
        wanted = f"give {tuple(given.shape)} of {given.dtype}, as it gets"
        if not isinstance(found, Tensor):
            raise BadInput(f"augment {self.name} gives {a_kind(found)}, not a tensor: {wanted}")
        if found.shape != given.shape:
            raise BadInput(f"augment {self.name} gives images {tuple(found.shape)}: {wanted}")
        if found.dtype != given.dtype:
            raise BadInput(f"augment {self.name} gives {found.dtype}: {wanted}")
        return found.to(images.dtype).div_(255) if self.bytes else found


class OwnSampler:
    """An object that gives the rows of any step, and the groups' shares of its batches.

    Parameters
    ----------
    sampler
        Its `batch(step)` gives the rows of a step from 0, int (batch,), and follows from the step
        alone, so that a resumed training sees the same; its `shares`, float (groups,), are the
        images' own where it has none.
    """

    def __init__(self, sampler: Any, examples: Examples, recipe: Recipe) -> None:
        self.name = name_of(sampler)
        if not callable(getattr(sampler, "batch", None)) or isinstance(sampler, type):
            raise BadInput(
                f"a sampler is an object whose batch(step) gives the rows of a step; {self.name} "
                "is none"
            )
        if recipe.mitigate.group_power != 1 or recipe.mitigate.subject_power != 1:
            raise BadInput(
                f"the sampler {self.name} decides who comes: leave mitigate.group_power and "
                "subject_power at 1"
            )
        self.sampler, self.size, self.images = sampler, recipe.batch, len(examples)
        counts = np.bincount(examples.groups, minlength=len(examples.names))
        self.shares = np.asarray(getattr(sampler, "shares", counts / counts.sum()), float)
        if self.shares.shape != counts.shape:
            raise BadInput(
                f"the sampler {self.name} has shares of shape {self.shares.shape}: there are "
                f"{len(counts)} groups ({', '.join(examples.names)})"
            )

    def batch(self, step: int) -> np.ndarray:
        """The rows of a step."""
        found = self.sampler.batch(step)
        rows = found.cpu().numpy() if isinstance(found, Tensor) else np.asarray(found)
        if rows.dtype.kind not in "iu" or rows.shape != (self.size,):
            raise BadInput(
                f"the sampler {self.name} gives {rows.dtype} {rows.shape} at step {step}: give the "
                f"numbers of {self.size} rows, as many as the recipe's batch"
            )
        if rows.min() < 0 or rows.max() >= self.images:
            wrong = rows[(rows < 0) | (rows >= self.images)][0]
            raise BadInput(
                f"the sampler {self.name} gives row {wrong} at step {step}: there are "
                f"{self.images} images, 0 to {self.images - 1}"
            )
        return rows.astype(np.int64)


class OwnTerm(Term):
    """An object with one or more of `before_step`, `loss` and `after_step` (see `Term`).

    It may have `begin(training)`, called once before the first step, `state_dict` with
    `load_state_dict`, and `card`.
    """

    def __init__(self, part: Any, training: Any) -> None:
        self.name = name_of(part)
        self.own = made(part, "term")
        if not any(callable(getattr(self.own, name, None)) for name in _HOOKS):
            raise BadInput(
                f"the term {self.name} has none of {', '.join(_HOOKS)}: a term does something in "
                "one of them"
            )
        if hasattr(self.own, "state_dict") != hasattr(self.own, "load_state_dict"):
            raise BadInput(
                f"the term {self.name} needs both state_dict and load_state_dict, or neither"
            )
        self._call("begin", training)
        if isinstance(self.own, nn.Module):
            self.own.to(training.processes.device, training.kind)
            training.processes.as_the_first(self.own)

    def before_step(self, batch: Batch) -> None:
        self._call("before_step", batch)
        for what in ("weights", "margins"):
            found = getattr(batch, what)
            if found is None and what == "margins":
                continue
            if not isinstance(found, Tensor) or found.shape != batch.labels.shape:
                told = tuple(found.shape) if isinstance(found, Tensor) else a_kind(found)
                raise BadInput(
                    f"the term {self.name} sets {what} to {told}: give a tensor "
                    f"({len(batch.labels)},), a number for each image"
                )
            batch.watched[f"what the term {self.name} sets as {what}"] = found.detach().sum()

    def loss(self, part: Batch) -> Tensor | None:
        found = self._call("loss", part)
        if found is None:
            return None
        if not isinstance(found, Tensor) or found.ndim:
            told = tuple(found.shape) if isinstance(found, Tensor) else a_kind(found)
            raise BadInput(
                f"the term {self.name} gives {told} as its loss: give a tensor without axes, such "
                "as the mean over the images"
            )
        what = f"the loss of the term {self.name}"
        part.watched[what] = part.watched.get(what, 0) + found.detach()
        return found

    def after_step(self, batch: Batch) -> None:
        self._call("after_step", batch)

    def card(self) -> dict[str, Any]:
        return self._call("card") or {}

    def state_dict(self) -> dict[str, Any]:
        state = self._call("state_dict") or {}
        if wrong := _not_stored(state):
            raise BadInput(
                f"the state_dict of the term {self.name} holds {wrong}: give tensors, numbers, "
                "text, and lists and dicts of them"
            )
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._call("load_state_dict", state)

    def _call(self, name: str, *given: Any) -> Any:
        method = getattr(self.own, name, None)
        return method(*given) if callable(method) else None


def _not_stored(value: Any) -> str:
    """What in a state a checkpoint cannot hold; empty where it can."""
    if isinstance(value, dict):
        held = [*value, *value.values()]
    elif isinstance(value, (list, tuple)):
        held = list(value)
    else:
        return "" if isinstance(value, _STORED) else a_kind(value)
    return next((wrong for one in held if (wrong := _not_stored(one))), "")
