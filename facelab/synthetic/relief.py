"""The relief of skin: folds of age as slopes on the skin map, and its grain.

In: canonical places of the map's texels. Out: slopes and shade of each family of folds, and noise,
at the scale of the picture. The same for everybody; `paint` says who has how much of each.
"""

from dataclasses import dataclass

import numpy as np

from facelab.synthetic.styles import MAP_BOTTOM, MAP_TOP

FAMILIES = ("cheek", "mouth", "eye", "brow", "frown", "bag", "lip", "neck", "jowl")


@dataclass(frozen=True)
class Stroke:
    """One fold, drawn on the left half of the face and mirrored.

    Attributes
    ----------
    points : ((x, y), ...)
        Its course on the template, dm.
    width, slope : float
        Half width, dm, and the steepest slope of its sides.
    swell : float
        How far the skin to the left of its course (towards the ear when it runs down) swells beside
        it, as a share of its depth.
    """

    points: tuple[tuple[float, float], ...]
    width: float
    slope: float
    swell: float = 0.0


STROKES: dict[str, tuple[Stroke, ...]] = {
    "cheek": (  # from the wing of the nose past the corner of the mouth
        Stroke(
            ((0.172, 6.95), (0.205, 6.88), (0.26, 6.79), (0.31, 6.69), (0.335, 6.60)),
            *(0.070, 0.56, 1.0),
        ),
    ),
    "mouth": (
        Stroke(((0.275, 6.60), (0.302, 6.53), (0.318, 6.45), (0.312, 6.35)), 0.050, 0.42, 0.7),
    ),
    "eye": (
        Stroke(((0.470, 7.318), (0.53, 7.352), (0.590, 7.395)), 0.016, 0.26, 0.3),
        Stroke(((0.478, 7.294), (0.545, 7.302), (0.618, 7.318)), 0.017, 0.30, 0.3),
        Stroke(((0.474, 7.268), (0.530, 7.246), (0.598, 7.215)), 0.017, 0.30, 0.3),
        Stroke(((0.458, 7.238), (0.505, 7.196), (0.556, 7.140)), 0.016, 0.26, 0.3),
    ),
    "brow": tuple(
        Stroke(
            (
                (-0.12, y),
                (0.05, y),
                (0.14, y + d),
                (0.24, y + 0.5 * d),
                (0.34, y + 0.012),
                (0.42, y - e),
            ),
            *(0.024, slope, 0.25),
        )
        for y, slope, d, e in (
            *((7.588, 0.16, 0.014, 0.030), (7.660, 0.25, 0.012, 0.014)),
            *((7.744, 0.26, 0.006, 0.004), (7.846, 0.16, 0.012, -0.006)),
        )
    ),
    "frown": (
        Stroke(((0.058, 7.535), (0.060, 7.47), (0.050, 7.405)), 0.018, 0.30, 0.2),
        Stroke(((-0.01, 7.352), (0.03, 7.354), (0.065, 7.368)), 0.018, 0.26),
    ),
    "bag": (
        # The lower edge of the bag, the lid's own crease, and the trough towards the cheek.
        Stroke(
            ((0.43, 7.20), (0.385, 7.150), (0.31, 7.122), (0.235, 7.140), (0.18, 7.205)),
            *(0.036, 0.36, -0.8),
        ),
        Stroke(((0.43, 7.232), (0.35, 7.196), (0.26, 7.194), (0.19, 7.220)), 0.016, 0.22),
        Stroke(((0.20, 7.165), (0.265, 7.085), (0.345, 7.020), (0.42, 6.99)), 0.060, 0.22),
    ),
    "lip": tuple(
        Stroke(((x, 6.805 - 0.1 * x), (0.97 * x, 6.735 - 0.12 * x)), 0.012, 0.16)
        for x in (0.035, 0.075, 0.115, 0.155, 0.195)
    ),
    "neck": (
        Stroke(((-0.05, 5.98), (0.2, 6.00), (0.42, 6.06), (0.6, 6.15)), 0.045, 0.36, 0.3),
        Stroke(((-0.05, 5.80), (0.2, 5.82), (0.42, 5.88), (0.6, 5.96)), 0.045, 0.32, 0.3),
    ),
    "jowl": (
        Stroke(((0.435, 7.02), (0.470, 6.88), (0.468, 6.74)), 0.030, 0.22, 0.4),
        Stroke(((0.520, 6.95), (0.548, 6.82), (0.540, 6.68)), 0.028, 0.20, 0.4),
        Stroke(((0.330, 6.42), (0.380, 6.34), (0.440, 6.31)), 0.055, 0.32, 0.6),
    ),
}


def fold_maps(places: np.ndarray) -> np.ndarray:
    """What each family of folds does to each texel: int8 (H, W, families, 3), 127 for 1.

    The slope of the surface to the map's right, the slope upwards, and the shade in the fold.
    """
    x, y = np.abs(places[..., 0]), places[..., 1]
    # How far apart neighbours lie on the skin; never less than on a smooth wall.
    high = (MAP_TOP - MAP_BOTTOM) / len(places)
    down, wide = (
        np.maximum(np.linalg.norm(np.gradient(places, axis=axis), axis=-1), 0.7 * high)
        for axis in (0, 1)
    )
    maps = np.zeros((*x.shape, len(FAMILIES), 3), np.int8)
    for family, name in enumerate(FAMILIES):
        height, shade = np.zeros(x.shape), np.zeros(x.shape)
        for stroke in STROKES[name]:
            # No narrower than what the map can hold; what is widened is made flatter.
            broad = float(np.hypot(stroke.width, 0.75 * high))
            depth = stroke.slope * stroke.width / 0.86 * (stroke.width / broad) ** 0.5
            course = rounded(np.array(stroke.points))
            low, top = course.min(0) - 7 * broad, course.max(0) + 7 * broad
            near = (x > low[0]) & (x < top[0]) & (y > low[1]) & (y < top[1])
            near &= places[..., 2] > 0.5
            side, along = beside(course, x[near], y[near])
            taper = np.clip(along / 0.3, 0, 1) * np.clip((1 - along) / 0.45, 0, 1)
            taper = taper * taper * (3 - 2 * taper)
            groove = np.exp(-((side / broad) ** 2))
            bulge = np.exp(-(((side * np.sign(stroke.swell) - 1.7 * broad) / (1.4 * broad)) ** 2))
            height[near] += depth * taper * (abs(stroke.swell) * bulge - groove)
            shade[near] = np.maximum(shade[near], taper * groove**2 * min(1.0, depth / 0.018))
        across = np.gradient(height, axis=1) / wide
        up = -np.gradient(height, axis=0) / down
        values = np.stack([across, up, shade], -1)
        maps[:, :, family] = np.round(127 * np.clip(values, -1, 1))
    return maps


def rounded(points: np.ndarray, steps: int = 6) -> np.ndarray:
    """A polyline (N, 2) without corners: a Catmull-Rom spline through its points."""
    ends = 2 * points[[0, -1]] - points[[1, -2]]
    a, b, c, d = (
        np.concatenate([ends[:1], points, ends[1:]])[k : len(points) - 1 + k] for k in range(4)
    )
    t = np.arange(steps)[:, None, None] / steps
    curve = (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2) / 2, points[-1:]])


def beside(course: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance from a polyline, above 0 on its left, and the share of its length passed there."""
    lengths = np.linalg.norm(np.diff(course, axis=0), axis=1)
    best = np.full(x.shape, np.inf)
    side, along = np.zeros(x.shape), np.zeros(x.shape)
    for n, length in enumerate(lengths):
        (ax, ay), (dx, dy) = course[n], (course[n + 1] - course[n]) / length
        t = np.clip((x - ax) * dx + (y - ay) * dy, 0, length)
        gap = np.hypot(x - ax - t * dx, y - ay - t * dy)
        nearer = gap < best
        best = np.where(nearer, gap, best)
        left = np.where(dx * (y - ay) - dy * (x - ax) > 0, gap, -gap)
        side = np.where(nearer, left, side)
        along = np.where(nearer, (lengths[:n].sum() + t) / lengths.sum(), along)
    return side, along


def pore_slopes(shape: tuple[int, int], size: int, random: np.random.Generator) -> np.ndarray:
    """Slopes of the skin's fine grain, (H, W, 2): none at 112 px, where it could not be seen."""
    noise = random.standard_normal(shape)
    for axis in (0, 1):
        noise = noise + 0.35 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    slopes = np.stack([np.gradient(noise, axis=1), -np.gradient(noise, axis=0)], -1)
    strength = np.clip((size - 112) / 336, 0, 1)
    return (0.06 * strength * slopes / slopes.std()).astype(np.float32)
