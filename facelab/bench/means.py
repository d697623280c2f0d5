"""Mean photos, rendered and real: what all rendered faces share that real ones do not.

In: aligned crops with their gender. Out: how far apart the mean photos of each gender are, and a
picture of both and of their difference. Where brows are too faint, lids too wide or mouths too
narrow in everybody, every other judge may pass and this one shows it.
"""

import numpy as np
import pandas as pd
from PIL import Image

from facelab.errors import BadInput
from facelab.synthetic.parameters import GENDERS

# The face in an aligned crop, as shares of its side: rows, columns.
_FACE = (0.18, 0.96), (0.14, 0.86)
_GAIN = 3  # of the difference in the picture


def difference(rendered: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Real mean photo less rendered one (S, S, 3), without what differs in brightness and tint.

    Parameters
    ----------
    rendered, real
        Mean photos (S, S, 3), 0..255.
    """
    apart = real - rendered
    return apart - _face(apart).mean((0, 1))


def mean_rows(
    rendered: tuple[pd.DataFrame, np.ndarray], real: tuple[pd.DataFrame, np.ndarray]
) -> list[dict]:
    """Root mean square of `difference` within the face by gender, in steps of 255.

    Parameters
    ----------
    rendered, real
        Table with `gender`, and crops (N, S, S, 3).
    """
    rows = []
    for gender in GENDERS:
        (count, ours), (_, theirs) = mean_of(*rendered, gender), mean_of(*real, gender)
        apart = np.sqrt((_face(difference(ours, theirs)) ** 2).mean())
        told = {"figure": "mean photo off LFW's, of 255", "judge": "pixels", "faces": "rendered"}
        rows.append(told | {"who": gender, "photos": count, "value": float(apart)})
    return rows


def mean_of(table: pd.DataFrame, crops: np.ndarray, gender: str) -> tuple[int, np.ndarray]:
    """How many photos of a gender there are, and their mean (S, S, 3)."""
    chosen = np.flatnonzero((table["gender"] == gender).to_numpy())
    if not len(chosen):
        raise BadInput(f"no photo of the gender {gender}: there is no mean photo of none")
    return len(chosen), crops[chosen].mean(0, dtype=float)


def means_sheet(
    rendered: tuple[pd.DataFrame, np.ndarray],
    real: tuple[pd.DataFrame, np.ndarray],
    side: int = 336,
) -> Image.Image:
    """A row a gender: the real mean photo, the rendered one, and their difference around grey."""
    rows = []
    for gender in GENDERS:
        ours, theirs = mean_of(*rendered, gender)[1], mean_of(*real, gender)[1]
        apart = np.clip(128 + _GAIN * difference(ours, theirs), 0, 255)
        rows.append(np.concatenate([theirs, ours, apart], axis=1))
    sheet = Image.fromarray(np.concatenate(rows).round().astype(np.uint8))
    return sheet.resize((3 * side, len(GENDERS) * side), Image.Resampling.BICUBIC)


def _face(picture: np.ndarray) -> np.ndarray:
    (top, bottom), (left, right) = (
        (round(low * len(picture)), round(high * len(picture))) for low, high in _FACE
    )
    return picture[top:bottom, left:right]
