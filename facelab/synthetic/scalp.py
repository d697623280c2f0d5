"""The scalp: where hair grows on it, how dense, and how patterns are laid over it.

In: places on the template. Out: margins and densities, and `Ground`, the mesh that grown hair is
lifted off.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facelab.synthetic.head import PARTS, load_head
from facelab.synthetic.subjects import Subject

# Where hair begins, as height over depth on the template: forehead, temple, sideburn, nape.
LINE_DEPTH = np.array([-0.5, 0.05, 0.2, 0.30, 0.62, 0.70, 0.82, 1.0, 1.2, 1.4])
LINE_HEIGHT = np.array([6.40, 6.45, 6.75, 7.40, 7.40, 7.02, 7.42, 7.72, 7.93, 7.99])
# Between which heights a fade goes from skin to full hair.
FADES = {"fade_low": (6.75, 7.45), "fade_high": (7.25, 7.95), "undercut": (7.70, 7.95)}
# How dark the roots make the skin: between rows, or under locks.
_DENSE = {"bald": 0.32, "cornrows": 0.5, "flat_twists": 0.5}
_DENSE |= {"box_braids": 1.2, "locks": 1.2, "locks_short": 1.2}
_DENSE |= {"bun_high": 1.15, "bun_low": 1.15, "puff": 1.15}
# Patterns spread from a pole, as seen from the middle of the skull: the whorl, or the back.
CENTRE = np.array([0.0, 7.40, 0.20])
WHORL, BACK = np.array([0.05, 0.85, -0.52]), np.array([0.0, 0.10, -1.0])
KNOT = np.array([0.0, 0.80, -0.60])


@dataclass(frozen=True)
class Ground:
    """The scalp as a mesh of its own.

    Attributes
    ----------
    body : int (N,)
        Which vertices of the head it has; some twice, where a pattern closes around.
    triangles : int32 (T, 3)
        Numbered from 0.
    uv : float32 (N, 2)
        Where each lies on a pattern that repeats; above 0.
    """

    body: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray


@cache
def ground(flow: str) -> Ground:
    """The part of the head's skin that hair may grow on.

    `flow` says how the pattern lies: "coils" evenly, "whorl", "knot" and "rows" along lines that
    run from the whorl, to a knot or to the back.
    """
    head = load_head()
    skin = head.triangles[head.part == PARTS["skin"]]
    place = head.template[skin].mean(1)
    ear = (np.abs(place[:, 0]) > 0.72) & (place[:, 1] < 7.42) & (place[:, 2] > 0.22)
    grows = (place[:, 1] > hair_height(place[:, 2]) - 0.35) & (place[:, 1] > 6.35) & ~ear
    corners = skin[grows]
    pole = {"coils": WHORL, "whorl": WHORL, "knot": KNOT, "rows": BACK}[flow]
    pole = pole / np.linalg.norm(pole)
    across = np.cross([1.0, 0, 0], pole)
    across /= np.linalg.norm(across)
    ray = head.template[corners] - CENTRE
    distance = np.linalg.norm(ray, axis=-1)
    away = np.arccos(np.clip(ray @ pole / distance, -1, 1))
    turn = np.arctan2(ray[..., 0], ray @ across)
    if flow == "coils":
        reach = away * 0.95 / 1.2
        uv = np.stack([4 + reach * np.sin(turn), 4 + reach * np.cos(turn)], -1)
    else:
        count = {"whorl": 5, "knot": 6, "rows": 8}[flow]
        # A triangle across the seam takes the places of the next turn.
        turn = np.where(
            (np.ptp(turn, axis=1) > np.pi)[:, None] & (turn < 0), turn + 2 * np.pi, turn
        )
        # Where triangles surround the pole their corners have no one turn.
        uv = np.stack([count * (turn / (2 * np.pi) + 1), away * 0.95 / 1.2], -1)
    later = (uv[..., 0] > 1.5 * (1 if flow == "coils" else count)) & (flow != "coils")
    key = corners * 2 + later
    unique, first, numbered = np.unique(key, return_index=True, return_inverse=True)
    return Ground(
        unique // 2,
        numbered.reshape(-1, 3).astype(np.int32),
        uv.reshape(-1, 2)[first].astype(np.float32),
    )


def hair_height(depth: np.ndarray) -> np.ndarray:
    """Height of the mean hairline at a depth of the template."""
    return np.interp(depth, LINE_DEPTH, LINE_HEIGHT)


@cache
def _lie_of_the_hair() -> tuple[np.ndarray, ...]:
    """Of each vertex of the head: height over the hairline, where that recedes, what balds."""
    place = load_head().template
    x, y, z = np.abs(place[:, 0]), place[:, 1], place[:, 2]
    front = np.clip((z - 0.85) / 0.3, 0, 1) * np.exp(-(((x - 0.42) / 0.17) ** 2))
    # A bald crown: a disc around the top of the back of the head.
    crown = np.where(y > 7.9, np.hypot(x, (z - 0.25) * 0.9), 9.0)
    ear = (x > 0.72) & (y < 7.4) & (z > 0.2)
    fields = y - hair_height(z), (z > 0.8) * 1.0, front, crown
    return (*(field.astype(np.float32) for field in fields), ear)


def hair_margin(subject: Subject) -> np.ndarray:
    """How far inside the hair each vertex of the head lies, in dm; below 0 is bare skin."""
    margin, ahead, front, crown, _ = _lie_of_the_hair()
    margin = margin - np.float32(subject.hairline) * ahead - np.float32(subject.temples) * front
    if subject.crown > 0.25:
        margin = np.minimum(margin, crown - np.float32(0.75 * subject.crown))
    return margin


@cache
def fullness(style: str) -> np.ndarray:
    """What a style's fade leaves of the hair at each vertex of the head, 0 skin .. 1 all."""
    place = load_head().template
    if style not in FADES:
        return np.ones(len(place), np.float32)
    low, high = FADES[style]
    x, y, z = np.abs(place[:, 0]), place[:, 1], place[:, 2]
    # The line of a fade rises to the front of the temples, and leaves the forehead alone.
    level = y - 0.12 * np.clip(z, 0, 1) + 0.6 * np.clip((z - 0.85) / 0.3, 0, 1) * (x < 0.6)
    share = np.clip((level - low) / (high - low), 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)


@cache
def roots(style: str) -> np.ndarray:
    """How dark the roots of a style make the skin where they are all there, by what it fades to."""
    dense = _DENSE.get(style, 0.85)
    return np.float32(0.1 * dense) + np.float32(0.9 * dense) * np.sqrt(fullness(style))


def shadow_of_hair(subject: Subject) -> np.ndarray:
    """How dark roots make the scalp at each vertex of the head, 0..1."""
    margin = np.clip(np.float32(0.4) + hair_margin(subject) / np.float32(0.22), 0, 1)
    share = margin * margin * (3 - 2 * margin)
    share *= roots(subject.hair_style)
    return np.where(_lie_of_the_hair()[-1], np.float32(0), share)
