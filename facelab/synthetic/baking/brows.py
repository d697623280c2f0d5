"""Bake the brows: pictures of MakeHuman's twelve brows, each straightened along its middle line.

In: MakeHuman's proxies and the head region. Out: `brows` of `styles.npz`.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from facelab.synthetic.baking.head import Region
from facelab.synthetic.baking.pictures import draw, look_up
from facelab.synthetic.baking.proxies import read_proxy
from facelab.synthetic.styles import BROW_REACH

BROWS = tuple(f"eyebrow{number:03d}" for number in range(1, 13))
BROW_ROWS, BROW_COLUMNS = 48, 128


def bake_brows(folder: Path, region: Region) -> np.ndarray:
    """Opacity of each left brow along its own middle line, uint8 (12, 48, 128)."""
    wide, left, top, reach = 512, 0.0, 7.75, 0.9  # pixels; the window on the template, dm
    pictures = []
    for name in BROWS:
        proxy = read_proxy(folder, "eyebrows", name)
        # The brows were made on the base mesh itself: their offsets need no scale.
        points = proxy.place(region.vertices, np.ones(3))
        screen = np.stack([points[:, 0] - left, top - points[:, 1], -points[:, 2]], 1)
        nearest, share = draw(screen * (wide / reach), proxy.triangles, wide)
        uv = (proxy.uv[proxy.corners[nearest]] * share[..., None]).sum(-2)
        opacity = np.where(nearest >= 0, look_up(proxy.texture[..., 3], uv), 0)
        pictures.append(straighten(opacity, BROW_REACH / reach * wide))
    return np.round(np.clip(pictures, 0, 1) * 255).astype(np.uint8)


def straighten(opacity: np.ndarray, reach: float) -> np.ndarray:
    """A brow (rows, columns) around its middle line, `reach` pixels to either side of it."""
    wide = opacity.shape[1]
    weight = gaussian_filter(opacity, 3.0)
    along = np.flatnonzero(weight.max(0) > 0.12)
    first, last = along[0], along[-1] + 1
    columns = np.arange(first, last)
    mass = weight[:, columns] ** 2
    middle = (mass * np.arange(len(mass))[:, None]).sum(0) / mass.sum(0)
    # A low polynomial: the line must not follow single hairs, but reach into the thin tail.
    line = np.polynomial.Polynomial.fit(columns, middle, 6, w=mass.sum(0) ** 0.15)
    column = first + (np.arange(BROW_COLUMNS) + 0.5) / BROW_COLUMNS * (last - first)
    row = ((np.arange(BROW_ROWS) + 0.5) / BROW_ROWS * 2 - 1) * reach
    uv = np.stack(
        np.broadcast_arrays(column[None] / wide, (line(column)[None] + row[:, None] + 0.5) / wide),
        -1,
    )
    blurred = gaussian_filter(opacity, 0.6)  # one texel of the result is about two pixels wide
    return look_up(blurred, uv)
