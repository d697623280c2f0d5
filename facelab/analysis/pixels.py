"""Faces as an analyser's net takes them: its own cut, its size, its colours, its numbers.

In: uint8 crops and what is stated of the input. Out: float32 tensors. Resized as Pillow does, for
that is what the makers' own programs do: a net errs otherwise on other pixels; by area where
`resample` says so, as what is trained here is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from facelab.embedders.onnx import as_side, three_numbers
from facelab.embedders.tensors import resized
from facelab.errors import BadInput, check_option

_TEMPLATE = 112  # pixels of the aligned crop in which a box is told
_BILINEAR = Image.Resampling.BILINEAR


@dataclass(frozen=True)
class Input:
    """How a net takes faces; see `facelab.analysis.nets.analyser`."""

    size: int
    channels: str
    mean: np.ndarray
    std: np.ndarray
    box: tuple[float, ...] | None
    cut: int
    area: bool  # whether it is resized by area and not as Pillow does
    first: bool  # whether colours come before rows and columns
    fixed: int | None  # faces at a time, where the model says so

    def tensor(self, crops: np.ndarray) -> np.ndarray:
        """Crops (n, S, S, 3) as float32 (n, channels, size, size), or with channels last."""
        pixels = np.stack([self._picture(crop) for crop in crops]).astype(np.float32)
        pixels = (pixels - self.mean) / self.std
        if self.first:
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels, np.float32)

    def _picture(self, crop: np.ndarray) -> np.ndarray:
        """One face: cut, grey where wanted, resized; (size, size, 1 or 3)."""
        if self.box is not None:
            crop = _cut(crop, self.box, self.cut)
        if self.area:
            crop = resized(crop[None], self.size)[0]
        picture = Image.fromarray(np.ascontiguousarray(crop))
        if self.channels == "grey":
            picture = picture.convert("L")
        if picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), _BILINEAR)
        values = np.asarray(picture)
        if self.channels == "grey":
            return values[..., None]
        return values[..., ::-1] if self.channels == "bgr" else values


def _cut(crop: np.ndarray, box: Sequence[float], side: int) -> np.ndarray:
    """A box of an aligned crop, in pixels of one of 112, at a side; black beyond the edge."""
    scale = len(crop) / _TEMPLATE
    ends = [end * scale for end in box]
    margin = int(np.ceil(max(0, -min(ends), max(ends) - len(crop)))) + 1
    wide = np.pad(crop, ((margin, margin), (margin, margin), (0, 0)))
    data = tuple(end + margin for end in ends)
    picture = Image.fromarray(wide)
    return np.asarray(picture.transform((side, side), Image.Transform.EXTENT, data, _BILINEAR))


def as_input(shape: Sequence[Any], told: Mapping[str, Any], name: str) -> Input:
    """How a net takes faces, from the shape of its input and what is stated of it."""
    absent = [key for key in ("channels", "mean", "std", "outputs") if key not in told]
    if absent:
        raise BadInput(
            f"how {name} wants its pixels and what it gives is not stated ({', '.join(absent)}): "
            'give such as channels="rgb", mean=0, std=1, what="gender", kind="softmax", '
            'labels=["male", "female"], or a preset; the input is (pixel - mean) / std'
        )
    check_option("channels", told["channels"], ("rgb", "bgr", "grey"))
    wanted = 1 if told["channels"] == "grey" else 3
    axes = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] == wanted]
    if not axes:
        raise BadInput(
            f"{name} takes {list(shape)}: with channels={told['channels']!r} an analyser takes "
            f"(N, {wanted}, S, S) or (N, S, S, {wanted})"
        )
    sides = {side for axis, side in enumerate(shape) if axis not in (0, axes[0])}
    fixed = {side for side in sides if isinstance(side, int) and side > 0}
    size = as_side(told.get("size"))
    if len(fixed) > 1:
        raise BadInput(f"{name} takes images of {list(shape)}: only square ones are known")
    if not fixed and size is None:
        raise BadInput(f"{name} leaves its image size open: give size, such as 112")
    if fixed and size not in (None, *fixed):
        raise BadInput(f"{name} takes images of {fixed.pop()} px, not of size={size}")
    size = fixed.pop() if fixed else size
    mean, std = (three_numbers(told[key], key)[:wanted] for key in ("mean", "std"))
    if not (std > 0).all():
        raise BadInput(f"std must be greater than 0, not {told['std']}")
    several = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
    return Input(
        **{"size": size, "channels": told["channels"], "mean": mean, "std": std},
        **{
            "box": _box(told.get("box")),
            "cut": told.get("cut", size),
            "area": told.get("resample") == "area",
        },
        **{"first": axes[0] == 1, "fixed": several},
    )


def _box(box: Any) -> tuple[float, ...] | None:
    if box is None:
        return None
    ends = np.asarray(box, object)
    try:
        ends = ends.astype(np.float64)
    except (TypeError, ValueError):
        ends = np.empty(0)
    if ends.shape != (4,) or not np.isfinite(ends).all() or not (ends[:2] < ends[2:]).all():
        raise BadInput(f"box must be left, top, right and bottom in pixels, not {box!r}")
    if np.abs(ends).max() > 10 * _TEMPLATE:
        raise BadInput(f"box is told in pixels of a crop of {_TEMPLATE} px, not {box!r}")
    return tuple(ends.tolist())
