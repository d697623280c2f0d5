"""What people put on, as small meshes fitted to a subject's head; glasses here, hats in `headwear`.

In: a subject's neutral head. Out: a `Piece`: vertices, triangles and, for glasses, lenses.
"""

from dataclasses import dataclass

import numpy as np

from facelab.synthetic.head import Head

_RIM = 28  # corners of a rim
# Width, height, squareness (2 ellipse, more boxy), and thickness in dm of each frame.
_SHAPES = {
    "round": (0.235, 0.215, 2.0, 0.006),
    "square": (0.27, 0.185, 4.5, 0.011),
    "aviator": (0.28, 0.235, 2.6, 0.005),
    "sun": (0.30, 0.235, 3.2, 0.017),
}


@dataclass(frozen=True)
class Piece:
    """Something worn, vertices numbered from 0 and fixed to the head.

    Attributes
    ----------
    part : str
        "frame" or "cloth".
    vertices, place : float32 (V, 3)
        On the neutral head, and for noise.
    triangles : int32 (T, 3)
        Seen from both sides.
    lenses : int32 (L, 3)
        Triangles that light passes through.
    cover : float32 (V,)
        1 and more where it is closed.
    openness : float32 (V,)
        Ambient light that arrives, 0..1.
    brim : float
        Canonical height above which it shades the skin, dm.
    """

    part: str
    vertices: np.ndarray
    place: np.ndarray
    triangles: np.ndarray
    lenses: np.ndarray
    cover: np.ndarray
    openness: np.ndarray
    brim: float


def strip(rows: int, columns: int, closed: bool = False) -> np.ndarray:
    """Triangles of a grid of vertices; `closed` joins the last column to the first."""
    row, column = np.mgrid[: rows - 1, : columns if closed else columns - 1]
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    c, d = a + columns, b + columns
    return np.stack([a, c, b, b, c, d], -1).reshape(-1, 3).astype(np.int32)


def make_glasses(kind: str, neutral: np.ndarray, head: Head) -> Piece:
    """Spectacles on the bridge of the nose, their arms to the ears."""
    wide, high, square, thick = _SHAPES[kind]
    eyes = [neutral[head.eye_right].mean(0), neutral[head.eye_left].mean(0)]
    apart = np.linalg.norm(eyes[1] - eyes[0])
    size = apart / 0.62  # the template's eyes are 0.62 dm apart
    front = (head.template[:, 2] > 1.2) & (np.abs(head.template[:, 1] - 7.25) < 0.3)
    front &= np.abs(head.template[:, 0]) < 0.5
    bridge = neutral[front & (np.abs(head.template[:, 0]) < 0.08), 2].max()
    cheeks = neutral[front & (np.abs(head.template[:, 0]) > 0.2), 2].max()
    depth = max(bridge - 0.06, cheeks + 0.03)
    turn = np.linspace(0, 2 * np.pi, _RIM, endpoint=False)
    cos, sin = np.cos(turn), np.sin(turn)
    x = np.sign(cos) * np.abs(cos) ** (2 / square) * wide * size
    y = np.sign(sin) * np.abs(sin) ** (2 / square) * high * size
    if kind in ("aviator", "sun"):
        y = np.where(y < 0, y * 1.15, y * 0.85)
        x = x * (1 + 0.12 * y / (high * size))
    vertices, triangles, lenses = [], [], []
    count = 0
    centre = (eyes[0] + eyes[1]) / 2
    for sign in (-1, 1):
        middle = np.array([centre[0] + sign * max(apart / 2, wide * size + 0.05), centre[1] - 0.02])
        around = np.stack([middle[0] + sign * x, middle[1] + y], 1)
        # The front bends around the face.
        back = 0.10 * (np.abs(around[:, 0] - centre[0]) / 0.6) ** 2
        inner = np.column_stack([around, depth - back])
        grow = 1 + thick * 2 / np.hypot(x, y)[:, None]
        outer = np.column_stack([middle + (around - middle) * grow, depth - back])
        rings = np.concatenate([inner, outer, outer - [0, 0, 0.03]])
        vertices.append(rings)
        triangles.append(strip(3, _RIM, closed=True) + count)
        hub = np.append(middle, depth - 0.02)
        vertices.append(hub[None])
        rim = np.arange(_RIM)
        fan = np.stack([np.full(_RIM, 3 * _RIM), rim, (rim + 1) % _RIM], 1)
        lenses.append(fan + count)
        count += 3 * _RIM + 1
        # The arm, from the outer end of the rim to the top of the ear.
        hinge = outer[0] + [0, 0.25 * high * size, 0]
        ear = (head.template[:, 0] * sign > 0.74) & (np.abs(head.template[:, 1] - 7.3) < 0.12)
        ear &= (head.template[:, 2] > 0.1) & (head.template[:, 2] < 0.6)
        end = neutral[ear].mean(0) + np.array([0.02 * sign, 0.08, 0])
        tall = np.array([0, max(0.02, thick), 0])
        out = np.array([0.03 * sign, 0, -0.05])
        arm = np.stack([hinge + tall, hinge + out + tall, end + tall, hinge - tall,
                        hinge + out - tall, end - tall])  # fmt: skip
        vertices.append(arm)
        triangles.append(strip(2, 3) + count)
        count += 6
    # The bridge between the rims.
    tall = np.array([0, thick, 0])
    left = vertices[0][:_RIM][np.argmax(vertices[0][:_RIM, 0])]
    right = vertices[3][:_RIM][np.argmin(vertices[3][:_RIM, 0])]
    t = np.linspace(-0.08, 1.08, 6)[:, None]
    span = left + (right - left) * t + np.array([0, 0.05 * size, 0]) + 0.03 * np.sin(np.pi * t)
    vertices.append(np.concatenate([span + tall, span - tall]))
    triangles.append(strip(2, 6) + count)
    vertices = np.concatenate(vertices).astype(np.float32)
    return Piece(
        part="frame",
        vertices=vertices,
        place=vertices + np.float32([0, 7.28, 1.2]),
        triangles=np.concatenate(triangles),
        lenses=np.concatenate(lenses).astype(np.int32),
        cover=np.full(len(vertices), 9, np.float32),
        openness=np.full(len(vertices), 0.8, np.float32),
        brim=np.inf,
    )
