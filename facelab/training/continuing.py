"""What a recipe says of going on from a network that exists: its start, and what may still move.

In: values as people write them. Out: frozen parts of a recipe.
"""

# Annotations stay text, as in `recipe.py`.
from __future__ import annotations

import os
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, StrictBool, StrictStr

from facelab.errors import BadInput
from facelab.training.ranges import AboveZero, CountFromZero, Number, part_of_a_recipe


def _as_text(place: Any) -> Any:
    return os.fspath(place) if isinstance(place, os.PathLike) else place


def _named(place: str) -> str:
    if not place.strip():
        raise ValueError("must name a folder, a file or a model, not ''")
    return place


Place = Annotated[StrictStr, BeforeValidator(_as_text), AfterValidator(_named)]
Factors = dict[StrictStr, AboveZero]


def _three(value: Any) -> Any:
    """One number stands for all three colours."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return [value] * 3 if number else value


def _of_three(values: list[float]) -> list[float]:
    if len(values) != 3:
        raise ValueError(f"must be one number or three, not {values!r}")
    return values


def _above_zero(values: list[float]) -> list[float]:
    if min(values) <= 0:
        raise ValueError(f"must be above 0, not {values!r}")
    return values


Three = Annotated[list[Number], BeforeValidator(_three), AfterValidator(_of_three)]


@part_of_a_recipe("start_options")
class StartOptions:
    """How a start is taken; None is what the start itself says, or the usual.

    Attributes
    ----------
    mean, std
        What its network takes from colours from 0 to 1, and what that is divided by: one number or
        three, in the order red, green, blue. A folder of ours and timm's models say it themselves;
        0.5 and 0.5 is usual.
    colour
        Order of the colours that its first layer was trained for: "RGB", or "BGR" as in AdaFace's
        files; the layer is then turned about.
    centres
        Whether the training head begins with the start's centres where all subjects are the same.
    """

    mean: Three | None = None
    std: Annotated[Three, AfterValidator(_above_zero)] | None = None
    colour: Literal["RGB", "BGR"] = "RGB"
    centres: StrictBool = True


@part_of_a_recipe("lora")
class Adapters:
    """Adapters of low rank beside a vision transformer's layers, which themselves stay as they are.

    A layer W becomes W + (alpha / rank) B A, A and B of `rank` rows and columns (Hu et al. 2021,
    "LoRA", arXiv 2106.09685), as PEFT has them; the embedder that training gives has them merged in
    and is a plain one.

    Attributes
    ----------
    rank
        0 is none.
    alpha
        What the adapters' part is multiplied with, times their rank.
    layers
        Endings of the names of the layers that get one.
    """

    rank: CountFromZero = 0
    alpha: AboveZero = 16.0
    layers: list[StrictStr] = field(default_factory=lambda: ["attn.qkv", "attn.proj"])

    def __post_init__(self) -> None:
        if self.rank and not self.layers:
            raise BadInput("lora.layers must name the layers that get an adapter, not none")


def check_continued(recipe: Any) -> None:
    """Refuse a recipe that contradicts itself in what it goes on from and what may move.

    Raises
    ------
    BadInput
        The sentence says what to leave out.
    """
    options = recipe.backbone_options
    if recipe.start is None:
        if recipe.start_options != StartOptions():
            raise BadInput(
                "start_options say how a start is taken, and there is no start: give one"
            )
    elif ":" in recipe.backbone or options.get("pretrained") or options.get("checkpoint_path"):
        raise BadInput(
            f"both start and the backbone give weights ({recipe.backbone} with {options}): name "
            "the backbone alone, without pretrained and checkpoint_path"
        )
    if "head" in recipe.freeze:
        if recipe.head_first:
            raise BadInput("head_first lets the head learn alone, and freeze keeps it still")
        if recipe.centres < 1:
            raise BadInput(f"freeze keeps the head still: centres must be 1, not {recipe.centres}")
    held = [name for name in recipe.freeze if name.split(".")[0] == "backbone"]
    if recipe.lora.rank and held:
        raise BadInput(
            f"lora keeps the backbone still but for its adapters: leave {held[0]} out of freeze"
        )
