"""Recipe: everything that decides how an embedder is trained, but for the faces.

In: a YAML file or keyword arguments. Out: a frozen dataclass that is stored with every embedder.
"""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from facelab import files
from facelab.errors import BadInput


@dataclass(frozen=True)
class Augmentation:
    """How much each training image is changed; 0 switches a change off.

    Attributes
    ----------
    flip
        Probability of mirroring.
    shift, scale, rotate, stretch
        Largest shift (share of the side), change of size (share), turn (degrees) and change of
        width alone (share), uniform.
    brightness, contrast, colour
        Largest relative change of exposure, of contrast, and of each colour channel, uniform.
    tone
        Largest change of the tone curve: values from 0 to 1 are raised to the power of 2 to the
        number drawn, uniform.
    shade
        Largest fall-off of the light, in stops from the middle to the middle of a side, in any
        direction, uniform.
    grey
        Probability that an image loses its colour.
    blur
        Probability that detail is lost, as in a smaller photo: pixels averaged in twos.
    soften
        Largest standard deviation (share of the side) of the blur that half of the images get,
        uniform.
    shrink
        Largest share of the side that half of the images lose to down-scaling, uniform; they are
        then brought back to their size.
    jpeg
        Probability that an image is compressed as JPEG, with a quality from 20 to 90, uniform.
    noise
        Largest standard deviation of sensor noise, on a scale where white is 1.
    erase, cover
        Probability that a rectangle of up to half the side is covered with a random grey; with
        what another image of the batch shows there.
    """

    flip: float = 0.5
    shift: float = 0.03
    scale: float = 0.03
    rotate: float = 3.0
    brightness: float = 0.2
    contrast: float = 0.2
    colour: float = 0.05
    blur: float = 0.0
    noise: float = 0.01
    erase: float = 0.0
    stretch: float = 0.0
    tone: float = 0.0
    shade: float = 0.0
    grey: float = 0.0
    soften: float = 0.0
    cover: float = 0.0
    shrink: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        _check_types(self, "augment.")
        for name in ("flip", "grey", "blur", "erase", "cover", "jpeg"):
            _require(0 <= getattr(self, name) <= 1, f"augment.{name}", self, "between 0 and 1")
        for name in ("shift", "scale", "stretch", "brightness", "contrast", "colour", "shrink"):
            _require(0 <= getattr(self, name) < 1, f"augment.{name}", self, "from 0 to below 1")
        for name in ("rotate", "tone", "shade", "soften", "noise"):
            _require(getattr(self, name) >= 0, f"augment.{name}", self, "0 or more")


@dataclass(frozen=True)
class Recipe:
    """How to train an embedder. The defaults are `experiments/recipes/small.yaml`.

    Attributes
    ----------
    backbone, backbone_options
        Name of a timm model and keyword arguments for `timm.create_model`.
    stem_stride
        How far the backbone's stem shrinks the image: timm's models expect 224 px and shrink it by
        4 (ResNets) or 2; face crops are small. None leaves the model as it is.
    neck
        What becomes of the backbone's last map: "flatten" keeps where things are, which aligned
        faces want (one linear layer over all places); "pool" averages the places.
    size
        Side of the network's input in pixels; crops of another size are area-averaged once.
    dim
        Length of the embedding.
    head, scale, margin, margin_warm_up
        What the loss is made of ("arcface", "cosface": classes; "contrast": the pairs of a batch,
        which needs `together`), the scale of its cosines, its margin (radians for ArcFace, else
        cosine), and the share of the steps over which the margin grows from 0.
    optimiser, lr, momentum, weight_decay
        "sgd" (Nesterov, `momentum`) or "adamw"; peak learning rate; decay of matrices only, never
        of biases and norms.
    batch, steps, warm_up
        Images a step; optimiser steps; share of the steps with a linearly growing learning rate,
        which then falls to 0 along a cosine. Steps, not epochs: so that two sets get equal work.
    together
        Images of a subject that come into a batch together, so that it holds mated pairs; `batch`
        is a multiple. 1 is chance.
    clip
        Largest gradient norm.
    label_smoothing
        Share of the target spread over the other subjects; not for "contrast".
    augment
        An `Augmentation`.
    seed
        Of weights, order and augmentation.
    precision
        "fp32", "bf16" (autocast), or "auto": bf16 where the machine computes in it natively. It
        speeds dense convolutions 1.7-fold on such a CPU and slows depthwise ones 2-fold.
    channels_last
        Memory layout; faster for convolutions.
    """

    backbone: str = "resnet18"
    backbone_options: dict[str, Any] = field(
        default_factory=lambda: {"layers": [1, 2, 2, 1], "channels": [16, 48, 96, 192]}
    )
    stem_stride: int | None = 2
    neck: Literal["flatten", "pool"] = "flatten"
    size: int = 48
    dim: int = 256
    head: Literal["arcface", "cosface", "contrast"] = "cosface"
    scale: float = 24.0
    margin: float = 0.2
    margin_warm_up: float = 0.2
    optimiser: Literal["sgd", "adamw"] = "adamw"
    lr: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 0.05
    batch: int = 32
    steps: int = 2000
    warm_up: float = 0.1
    together: int = 1
    clip: float = 5.0
    label_smoothing: float = 0.0
    augment: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: bool = True

    def __post_init__(self) -> None:
        _check_types(self)
        for name in ("scale", "lr", "clip"):
            _require(getattr(self, name) > 0, name, self, "above 0")
        for name in ("size", "dim", "steps", "together"):
            _require(getattr(self, name) >= 1, name, self, "at least 1")
        _require(self.batch >= 2, "batch", self, "at least 2 (batch norm)")
        _require(
            self.batch % self.together == 0, "together", self, f"a divisor of batch ({self.batch})"
        )
        if self.head == "contrast":
            _require(self.together > 1, "together", self, "at least 2 for the head contrast")
            _require(self.label_smoothing == 0, "label_smoothing", self, "0 for the head contrast")
        _require(self.stem_stride in (None, 1, 2, 4), "stem_stride", self, "1, 2, 4 or null")
        for name in ("margin_warm_up", "warm_up", "momentum", "label_smoothing"):
            _require(0 <= getattr(self, name) < 1, name, self, "from 0 to below 1")
        for name in ("margin", "weight_decay", "seed"):
            _require(getattr(self, name) >= 0, name, self, "0 or more")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """The recipe of some plain values; what is not named keeps its default.

        Raises
        ------
        BadInput
            A name is not one of a recipe's, or a value is of the wrong type or out of range.
        """
        values = _known(cls, values, "recipe")
        if "augment" in values:
            values["augment"] = Augmentation(**_known(Augmentation, values["augment"], "augment"))
        return cls(**values)

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Recipe":
        """Read a recipe; errors name the file."""
        try:
            return cls.from_dict(yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
        except (BadInput, yaml.YAMLError, UnicodeDecodeError) as error:
            raise BadInput(f"{path}: {error}") from error

    def to_yaml(self, path: str | Path) -> Path:
        """Write the recipe with every value."""
        files.write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))
        return Path(path)


def _known(cls: type, values: Any, what: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise BadInput(f"the {what} must be names with values, not {values!r}")
    names = [f.name for f in dataclasses.fields(cls)]
    for name in values:
        if name not in names:
            raise BadInput(f"{name!r} is not part of a {what}; its parts are: {', '.join(names)}")
    return dict(values)


def _require(holds: bool, name: str, owner: Any, wanted: str) -> None:
    if not holds:
        value = getattr(owner, name.rsplit(".", 1)[-1])
        raise BadInput(f"{name} must be {wanted}, not {value!r}")


def _check_types(owner: Any, prefix: str = "") -> None:
    """Hold every field against its annotation; a whole number passes for a float."""
    for name, kind in typing.get_type_hints(type(owner)).items():
        value = getattr(owner, name)
        if kind is float and type(value) is int:
            object.__setattr__(owner, name, float(value))
            continue
        if typing.get_origin(kind) is Literal:
            choices = typing.get_args(kind)
            if value not in choices:
                raise BadInput(f"{prefix}{name} must be one of {', '.join(choices)}, not {value!r}")
            continue
        allowed = typing.get_args(kind) if typing.get_origin(kind) is types.UnionType else (kind,)
        allowed = tuple(typing.get_origin(k) or k for k in allowed)
        # bool is an int to Python, not to a recipe.
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            wanted = " or ".join("null" if k is types.NoneType else k.__name__ for k in allowed)
            raise BadInput(f"{prefix}{name} must be of type {wanted}, not {value!r}")
