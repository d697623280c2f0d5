"""Where dlib's 68 landmarks lie on the rendered head, chosen once by hand.

In: the head, its vertices as they are seen from the front, and the brows. Out: 68 points. The sides
of the jaw are its outline, and brows are where they are painted; all others are vertices.
"""

from functools import lru_cache

import numpy as np

from facelab.synthetic.head import PARTS, Head, load_head

VERTICES = (
    *(718, 1882, 1900, 1938, 739, 1994, 917, 918, 732),  # the jaw to the chin, and its other side
    *(3331, 3330, 4366, 3170, 4314, 4278, 4261, 3152),
    *[-1] * 10,  # brows
    *(132, 131, 164, 1830, 334, 313, 312, 2787, 2807),  # the nose
    *(1088, 1055, 1073, 1130, 1096, 1094, 3533, 3476, 3458, 3491, 3497, 3499),  # the eyes
    *(527, 2047, 460, 467, 2930, 4416, 2983, 2950, 2952, 492, 486, 484),  # the lips
    *(430, 522, 520, 2979, 2901, 2972, 520, 514),
)
_SIDES = ((0, 1, 2, 3, 4), (12, 13, 14, 15, 16))  # of the jaw, whose outline moves over the skin
_ALONG = np.array([0.04, 0.27, 0.5, 0.74, 0.97])  # of a brow, from its inner end
_SHARP, _BAND = 60.0, 0.05  # of the outline: 1/dm, and dm up and down


@lru_cache(maxsize=1)
def cheeks() -> tuple[np.ndarray, np.ndarray]:
    """Vertices among which the outline of the face lies: the subject's right side, and the left."""
    head = load_head()
    skin = np.unique(head.triangles[head.part == PARTS["skin"]])
    x, y, z = np.abs(head.template[skin, 0]), head.template[skin, 1], head.template[skin, 2]
    above_neck = y > 6.15 + 0.36 * np.clip(1.38 - z, 0, None)
    ear = (x > 0.735) | ((x > 0.70) & (z < 0.35))
    face = skin[(x > 0.15) & (y < 7.4) & (z > -0.05) & (z < 1.45) & above_neck & ~ear]
    return face[head.template[face, 0] < 0], face[head.template[face, 0] > 0]


def outline(across: np.ndarray, up: np.ndarray, height: np.ndarray) -> np.ndarray:
    """How far points at `across` and `up` reach to the right at each height, smoothly."""
    reach = _SHARP * across - ((up - height[:, None]) / _BAND) ** 2
    most = reach.max(1)
    return (most + np.log(np.exp(reach - most[:, None]).sum(1))) / _SHARP


@lru_cache(maxsize=1)
def _forehead() -> tuple[np.ndarray, np.ndarray]:
    head = load_head()
    skin = head.triangles[head.part == PARTS["skin"]]
    x, y, z = np.moveaxis(head.template[skin].mean(1), -1, 0)
    near = skin[(z > 1) & (y > 7.15) & (y < 7.85) & (np.abs(x) < 0.75)]
    a, b, c = np.moveaxis(head.template[near][..., :2].astype(float), 1, 0)
    # Barycentric weights of a place (x, y, 1) are this times the place.
    corners = np.stack([a, b, c], 1).transpose(0, 2, 1)
    whole = np.concatenate([corners, np.ones((len(near), 1, 3))], 1)
    flat = np.abs(np.linalg.det(whole)) < 1e-9
    return near[~flat], np.linalg.inv(whole[~flat])


@lru_cache(maxsize=100_000)
def _on_skin(x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """The triangle's corners and weights at a place of the template's front."""
    triangles, inverse = _forehead()
    weights = inverse @ np.array([x, y, 1.0])
    depth = (weights * load_head().template[triangles, 2]).sum(1)
    inside = weights.min(1)
    hit = inside > -1e-6
    best = np.argmax(np.where(hit, depth, -np.inf)) if hit.any() else np.argmax(inside)
    return triangles[best], weights[best]


def brow_points(vertices: np.ndarray, brow: np.ndarray) -> np.ndarray:
    """The ten points of the brows (10, D), from the picture's left to its right."""
    _, height, arch, inner, outer, _, slope = brow
    x = inner + _ALONG * (outer - inner)
    y = height + arch * (1 - (_ALONG - 0.62) ** 2 / 0.38) + slope * _ALONG
    places = [*zip(-x[::-1], y[::-1], strict=True), *zip(x, y, strict=True)]
    found = [_on_skin(round(float(p), 3), round(float(q), 3)) for p, q in places]
    return np.array([weights @ vertices[corners] for corners, weights in found])


def points_of(vertices: np.ndarray, brow: np.ndarray) -> np.ndarray:
    """The landmarks (68, 2) of a head seen from the front.

    Parameters
    ----------
    vertices
        (V, 2), dm in the picture: to its right, and down.
    brow
        As `Subject` has it.
    """
    points = vertices[list(VERTICES)].astype(float)
    for side, places, sign in zip(cheeks(), _SIDES, (-1, 1), strict=True):
        places = list(places)
        x, y = vertices[side].astype(float).T
        points[places, 0] = sign * outline(sign * x, y, points[places, 1])
    points[17:27] = brow_points(vertices, brow)
    return points


def seen_from_front(vertices: np.ndarray, head: Head, distance: float = 11.0) -> np.ndarray:
    """Vertices (V, 3) of a head as a camera at this distance sees them, (V, 2): right and down."""
    eyes = (vertices[head.eye_left].mean(0) + vertices[head.eye_right].mean(0)) / 2
    x, y, z = (vertices - eyes).astype(float).T
    return np.stack([x, -y], 1) * (distance / (distance - z))[:, None]
