"""How much a JPEG of a quality rounds away.

In: a quality. Out: the quantisation steps. Source: ITU-T T.81, Annex K, and what libjpeg makes of
it for a quality.
"""

from functools import cache

import numpy as np

# fmt: off
BRIGHTNESS = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
])
# fmt: on
COLOUR = np.full((8, 8), 99)
COLOUR[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


@cache
def steps(quality: int) -> np.ndarray:
    """Quantisation steps of brightness and colour, float32 (2, 8, 8), for a quality of 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = np.stack([BRIGHTNESS, COLOUR])
    return np.clip((tables * scale + 50) // 100, 1, 255).astype(np.float32)
