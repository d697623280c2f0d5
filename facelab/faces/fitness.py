"""Is this photo fit to be searched with? A score from 0 to 100, and why, in words.

In: aligned faces. Out: one score a photo, that of its weakest part, with the parts.

The parts are measured as ISO/IEC 29794-5 and its reference implementation do in kind (sharpness,
exposure, contrast, natural colour, uncovered eyes and mouth, compression, symmetry), each mapped to
0..100. The standard's text was not read, its neural networks are not used, and nothing here
conforms to it. The score does not know the recogniser: it warns of photos, it predicts no error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput
from facelab.faces.colour import LUMA, srgb_to_lab
from facelab.faces.faceset import FaceSet
from facelab.faces.measures import face_mask

POOR = 50.0  # a part below it is a reason
_PART = 512  # photos measured at a time
# On the template of 112 px: left, right, top, bottom.
_EYES = ((29, 48, 46, 57), (64, 83, 46, 57))
_CHEEKS = ((27, 42, 66, 82), (70, 85, 66, 82))
_MOUTH = ((40, 72, 84, 100),)
_BRIDGE = ((51, 61, 46, 54),)


class Part(NamedTuple):
    """How a measure becomes 0 to 100: straight lines between these points, flat beyond."""

    values: tuple[float, ...]
    marks: tuple[float, ...]
    reason: str

    def __call__(self, measured: np.ndarray) -> np.ndarray:
        return np.interp(measured, self.values, self.marks)


# Marks fall to 50 near what 1 to 3 in 100 photos of LFW have, 100 is where nothing is amiss.
PARTS = {
    "detail": Part((0.015, 0.06), (0, 100), "blurred, or of few pixels"),
    "brightness": Part((30, 70, 190, 230), (0, 100, 100, 0), "too dark, or too bright"),
    "contrast": Part((8, 22), (0, 100), "hardly any contrast"),
    "colour": Part((2, 10), (0, 100), "without colour: grey, or drawn"),
    "eyes": Part((0.12, 0.32), (0, 100), "eyes much darker than the cheeks: covered, or in shadow"),
    "mouth": Part((12, 24), (100, 0), "mouth of another colour than the nose: covered"),
    "compression": Part((1.4, 3.0), (100, 0), "square blocks: heavily compressed"),
    "symmetry": Part((-0.6, 0.1), (0, 100), "halves that differ: turned away, or lit from a side"),
}


@as_annotated
def quality(faces: FaceSet) -> pd.DataFrame:
    """How fit each photo is to be searched with, and why not.

    Parameters
    ----------
    faces
        Aligned crops.

    Returns
    -------
    DataFrame
        One row a face: `quality`, 0 to 100, the lowest of its parts, for the best light does not
        make up for a covered mouth; the parts `detail brightness contrast colour eyes mouth
        compression symmetry`; and `reasons`, the parts below 50 in words, "" where there is none.

        What is measured (`native_measures` gives the numbers), over an ellipse around the face:

        - detail: standard deviation of a pixel's difference from its two neighbours, 1/112 of the
          crop away, in the direction where it is least, over that of luma; brightness, contrast:
          mean and standard deviation of luma; colour: mean CIELAB chroma;
        - eyes: median lightness around the eyes over that of the cheeks; mouth: CIELAB distance in
          a* and b* of the medians around the mouth and between the eyes. They see dark glasses and
          masks, and also deep shadow and full beards;
        - compression: mean step of luma at every eighth row and column of the crop over that
          elsewhere: it sees blocks only where they lie on the crop's own grid;
        - symmetry: correlation of luma with its mirror image.

    Raises
    ------
    BadInput
        The crops are not aligned, so that nobody knows where the face is.

    Notes
    -----
    **Not the same for everybody.** Brightness and contrast follow the skin as well as the light,
    the mouth's colour follows lips and beards, the eyes' deep sockets. Of 7,701 photos of LFW 6%
    fall below 50; of the 103 that are labelled African 13%, eight of them for the mouth's colour.
    Ask who is refused before refusing anybody: `refusal`. A turned head is mostly missed: of
    rendered heads at 60 degrees one in four falls below 50.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.degrade(fl.synthesize(6, 2), "low resolution", 0.8)
    >>> found = fl.quality(faces)
    >>> list(found.columns)
    ['quality', 'detail', 'brightness', 'contrast', 'colour', 'eyes', 'mouth', 'compression',
    'symmetry', 'reasons']
    >>> found["reasons"].iloc[0]
    'blurred, or of few pixels'
    """
    measured = native_measures(faces)
    told = pd.DataFrame({name: part(measured[name].to_numpy()) for name, part in PARTS.items()})
    poor = told.to_numpy() < POOR
    words = np.array([part.reason for part in PARTS.values()], dtype=object)
    reasons = ["; ".join(words[row]) for row in poor]
    told.insert(0, "quality", told.min(axis=1))
    return told.assign(reasons=reasons).set_index(faces.table.index)


def native_measures(faces: FaceSet) -> pd.DataFrame:
    """The numbers behind `quality`, in its order, float64."""
    if faces.card.get("aligned") is False:
        raise BadInput(
            f"the crops of {faces.card.get('name', 'the set')!r} are not aligned to the template: "
            "measure aligned crops (fl.prepare, or fl.synthesize with frame='aligned')"
        )
    starts = range(0, len(faces), _PART)
    parts = [_measured(faces.gather(slice(start, start + _PART))) for start in starts]
    empty = pd.DataFrame({name: np.zeros(0) for name in PARTS})
    return pd.concat([empty, *parts], ignore_index=True) if len(parts) != 1 else parts[0]


def _measured(crops: np.ndarray) -> pd.DataFrame:
    size = crops.shape[1]
    luma = crops.astype(np.float32) @ LUMA
    face = face_mask(size)
    contrast = luma[:, face].std(axis=1)
    few = srgb_to_lab(crops[:, ::2, ::2][:, face[::2, ::2]] / 255.0)  # a quarter of the pixels do
    cheeks, eyes, mouth, bridge = (
        _median(crops, boxes) for boxes in (_CHEEKS, _EYES, _MOUTH, _BRIDGE)
    )
    both = face & face[:, ::-1]
    return pd.DataFrame(
        {
            "detail": _detail(luma, face) / np.maximum(contrast, 1),
            "brightness": luma[:, face].mean(axis=1),
            "contrast": contrast,
            "colour": np.hypot(few[..., 1], few[..., 2]).mean(axis=1),
            "eyes": eyes[:, 0] / np.maximum(cheeks[:, 0], 1),
            "mouth": np.linalg.norm((mouth - bridge)[:, 1:], axis=1),
            "compression": _blocks(luma),
            "symmetry": _correlation(luma[:, both], luma[:, :, ::-1][:, both]),
        }
    ).astype(np.float64)


def _detail(luma: np.ndarray, face: np.ndarray) -> np.ndarray:
    """By how much a pixel differs from the mean of its two neighbours (standard deviation), in the
    direction of four in which that is least: a move blurs in one direction alone."""
    step = max(round(luma.shape[1] / 112), 1)
    inner = slice(step, -step)
    face, middle = face[inner, inner], luma[:, inner, inner]
    found = []
    for down, right in ((0, step), (step, 0), (step, step), (step, -step)):
        both = np.roll(luma, (down, right), (1, 2)) + np.roll(luma, (-down, -right), (1, 2))
        found.append((middle - both[:, inner, inner] / 2)[:, face].std(axis=1))
    return np.min(found, axis=0)


def _median(crops: np.ndarray, boxes: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """Median CIELAB colour (n, 3), channel by channel, of boxes on the template."""
    pixels = []
    for box in boxes:
        left, right, top, bottom = np.round(np.array(box) * crops.shape[1] / 112).astype(int)
        pixels.append(crops[:, top:bottom, left:right].reshape(len(crops), -1, 3))
    return np.median(srgb_to_lab(np.concatenate(pixels, axis=1) / 255.0), axis=1)


def _blocks(luma: np.ndarray) -> np.ndarray:
    """Mean step across the borders of 8 x 8 blocks over that within them, (n,)."""
    border = np.arange(luma.shape[1] - 1) % 8 == 7
    across, down = (np.abs(np.diff(luma, axis=axis)) for axis in (2, 1))
    at = across[:, :, border].mean(axis=(1, 2)) + down[:, border].mean(axis=(1, 2))
    within = across[:, :, ~border].mean(axis=(1, 2)) + down[:, ~border].mean(axis=(1, 2))
    return at / np.maximum(within, 0.1)


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = (part - part.mean(axis=1, keepdims=True) for part in (one, other))
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return (one * other).sum(axis=1) / np.maximum(size, 1e-6)
