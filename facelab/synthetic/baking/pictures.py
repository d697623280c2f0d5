"""What every step of the bake does with pictures: read, look up, draw a mesh, fill, blur.

In: picture files, and arrays (rows, columns, ...). Out: float arrays, rows counted from the top.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from facelab.synthetic.baking.head import nearest_surface


def read_picture(path: Path) -> np.ndarray:
    """A picture as float (rows, columns, 4), 0..1."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGBA")) / 255.0


def linear_light(srgb: np.ndarray) -> np.ndarray:
    """Linear light of sRGB, 0..1 (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def look_up(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """A picture (rows, columns, ...) at texture coordinates (..., 2), bilinear."""
    rows, columns = picture.shape[:2]
    x = np.clip(uv[..., 0] * columns - 0.5, 0, columns - 1.001)
    y = np.clip(uv[..., 1] * rows - 0.5, 0, rows - 1.001)
    i, j = y.astype(int), x.astype(int)
    y, x = y - i, x - j
    if picture.ndim > 2:
        y, x = y[..., None], x[..., None]
    above = picture[i, j] * (1 - x) + picture[i, j + 1] * x
    below = picture[i + 1, j] * (1 - x) + picture[i + 1, j + 1] * x
    return above * (1 - y) + below * y


def draw(points: np.ndarray, triangles: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What lies nearest at each pixel: triangle (size, size), -1 for none, and the shares (.., 3).

    Points are (column, row, depth), pixels.
    """
    _, nearest = nearest_surface(
        np.ascontiguousarray(points, np.float32), np.ascontiguousarray(triangles, np.int32), size
    )
    row, column = np.mgrid[:size, :size] + 0.5
    a, b, c = (points[triangles[nearest, corner], :2] for corner in range(3))
    area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1])
    area = area - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    area = np.where(nearest < 0, 1.0, area)
    u = (b[..., 0] - column) * (c[..., 1] - row) - (b[..., 1] - row) * (c[..., 0] - column)
    v = (c[..., 0] - column) * (a[..., 1] - row) - (c[..., 1] - row) * (a[..., 0] - column)
    u, v = u / area, v / area
    return nearest, np.stack([u, v, 1 - u - v], -1)


def fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A picture with each unknown pixel taken from the nearest known one."""
    row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[row, column]


def smooth(values: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur that counts only pixels by their weight (rows, columns)."""
    share = gaussian_filter(weight.astype(float), sigma)
    planes = values if values.ndim == 3 else values[..., None]
    blurred = np.stack(
        [gaussian_filter(planes[..., k] * weight, sigma) for k in range(planes.shape[-1])], -1
    )
    return (blurred / np.maximum(share, 1e-6)[..., None]).reshape(values.shape)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture (rows, columns) at another size, each pixel the mean of what it covers."""
    from PIL import Image

    return np.asarray(
        Image.fromarray(picture.astype(np.float32)).resize((size, size), Image.Resampling.BOX),
        float,
    )
