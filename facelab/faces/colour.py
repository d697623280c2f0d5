"""Skin tone and age as groups, and the colours they are read from.

In: sRGB or CIELAB colours, ages. Out: ITA in degrees, ordered categoricals.
"""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facelab.arguments import as_annotated
from facelab.errors import BadInput

if TYPE_CHECKING:  # workers that render need the colours and not a second's import
    import pandas as pd

# Chardon 1991 / Del Bino & Bernerd 2013: individual typology angle in degrees, lower bounds.
SKIN_TONES = ["very light", "light", "intermediate", "tan", "brown", "dark"]
_ITA_BOUNDS = [55.0, 41.0, 28.0, 10.0, -30.0]
# Monk 2019, the ten swatches of the Monk Skin Tone scale, sRGB.
_MONK = (
    *("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96"),
    *("a07e56", "825c43", "604134", "3a312a", "292420"),
)
MONK_TONES = [str(tone) for tone in range(1, 11)]
MONK_COLOURS = [f"#{swatch}" for swatch in _MONK]
FITZPATRICK_TYPES = ["I", "II", "III", "IV", "V", "VI"]
AGE_GROUPS = ["0-17", "18-29", "30-44", "45-59", "60+"]
_NO_CHROMA = 1.0  # half of what people can tell from grey
_AGE_BOUNDS = [18, 30, 45, 60]


@as_annotated
def ita(lab: np.ndarray) -> np.ndarray:
    """Individual typology angle in degrees from true CIELAB colours.

    Parameters
    ----------
    lab
        (..., 3) L*, a*, b* (L* in 0..100; not OpenCV's 8-bit Lab).

    Notes
    -----
    ITA = arctan((L* - 50) / b*) (Chardon et al. 1991). Estimates from photos depend on the light:
    call them apparent. NaN where there is no chroma (a* and b* below 1 together): a grey has no
    angle, and would otherwise be 90 degrees light or dark.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.ita([[70, 10, 15], [30, 12, 18]]).round(1).tolist()
    [53.1, -48.0]
    """
    lab = np.asarray(lab, dtype=np.float64)
    if lab.shape[-1:] != (3,):
        raise BadInput(f"lab must hold three numbers a colour, (..., 3), not {lab.shape}")
    angle = np.degrees(np.arctan2(lab[..., 0] - 50.0, lab[..., 2]))
    return np.where(np.hypot(lab[..., 1], lab[..., 2]) < _NO_CHROMA, np.nan, angle)


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (D65, 2 degrees) of sRGB colours in 0..1, shape (..., 3) (IEC 61966-2-1)."""
    rgb = np.asarray(rgb, dtype=np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    white = np.array([0.95047, 1.0, 1.08883])
    xyz = linear @ to_xyz.T / white
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def skin_tone(angle: np.ndarray) -> "pd.Categorical":
    """Skin-tone bins of ITA degrees: >55 very light, >41 light, >28 intermediate, >10 tan,
    >-30 brown, else dark; missing where the angle is not a number."""
    angle = np.asarray(angle, dtype=np.float64)
    codes = (angle[:, None] <= np.array(_ITA_BOUNDS)).sum(axis=1)
    codes = np.where(np.isnan(angle), -1, codes)
    return _ordered(codes, SKIN_TONES)


def age_group(age: np.ndarray) -> "pd.Categorical":
    """Age bins of ages in years: 0-17, 18-29, 30-44, 45-59, 60+; missing where not a number."""
    age = np.asarray(age, dtype=np.float64)
    codes = np.where(np.isnan(age), -1, np.searchsorted(_AGE_BOUNDS, age, side="right"))
    return _ordered(codes, AGE_GROUPS)


@as_annotated
def monk(lab: np.ndarray) -> "pd.Categorical":
    """The nearest swatch of the Monk Skin Tone scale to CIELAB colours (N, 3).

    Ordered labels "1" (lightest) to "10", as text, because parquet keeps no other categories.
    Nearest by CIE76 distance; missing where a colour is not a number. Of an albedo it is a property
    of the skin; of a photo's pixels it also depends on the light: call it apparent.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.monk([[94, 1, 7], [65, 14, 26], [20, 3, 4]]).tolist()
    ['1', '6', '9']
    """
    lab = np.asarray(lab, dtype=np.float64).reshape(-1, 3)
    return _ordered(np.where(np.isnan(lab).any(1), -1, nearest_monk(lab) - 1), MONK_TONES)


def nearest_monk(lab: np.ndarray) -> np.ndarray:
    """The number of the nearest Monk swatch, 1 to 10, to CIELAB colours (..., 3)."""
    return ((np.asarray(lab)[..., None, :] - _monk_swatches()) ** 2).sum(-1).argmin(-1) + 1


@cache
def _monk_swatches() -> np.ndarray:
    """CIELAB (10, 3) of the Monk scale."""
    rgb = [[int(word[place : place + 2], 16) for place in (0, 2, 4)] for word in _MONK]
    return srgb_to_lab(np.array(rgb) / 255)


@as_annotated
def fitzpatrick(angle: np.ndarray) -> "pd.Categorical":
    """Fitzpatrick-like types I to VI of ITA degrees, missing where the angle is not a number.

    The six ITA classes of Del Bino & Bernerd 2013 (bounds as in `skin_tone`), numbered I (very
    light, ITA > 55) to VI (dark, ITA <= -30), as much of the literature does. Fitzpatrick's types
    are about how skin burns and tans, which a colour cannot tell, and the two agree poorly (Osto et
    al. 2022): say "Fitzpatrick-like".

    Parameters
    ----------
    angle
        (N,) degrees, as `ita` gives them.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.fitzpatrick([60, 20, -50]).tolist()
    ['I', 'IV', 'VI']
    """
    codes = skin_tone(angle).codes
    return _ordered(codes, FITZPATRICK_TYPES)


def _ordered(codes: np.ndarray, names: list) -> "pd.Categorical":
    import pandas as pd

    return pd.Categorical.from_codes(codes, categories=names, ordered=True)


LUMA = np.array([0.299, 0.587, 0.114], np.float32)
