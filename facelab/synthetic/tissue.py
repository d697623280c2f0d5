"""Soft tissue between nose, cheeks and mouth: what local changes shift there, the skin spreads.

In: a head's vertices. Out: the same without the ledges that arise where one change ends beside
another one, around the upper lip above all.
"""

from functools import cache

import numpy as np

from facelab.synthetic.head import PARTS, Head, load_head
from facelab.synthetic.noise import ramp

_ROUNDS, _SHARE = 6, 0.6


def spread(vertices: np.ndarray, head: Head) -> None:
    """Even out, in place, how far vertices (V, 3) of soft tissue are from the template."""
    soft, beside, share = soft_tissue()
    moved = vertices - head.template
    for _ in range(_ROUNDS):
        around = moved[beside[:, 0]]
        for column in range(1, beside.shape[1]):
            around += moved[beside[:, column]]
        moved[soft] += share * (around / beside.shape[1] - moved[soft])
    vertices[soft] = head.template[soft] + moved[soft]


@cache
def soft_tissue() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vertices (N,), neighbours of each (N, most), and how far each follows them (N, 1).

    Whoever has fewer neighbours is its own for the rest.
    """
    head = load_head()
    x, y, z = np.abs(head.template[:, 0]), head.template[:, 1], head.template[:, 2]
    nose = ramp(0.20 - x, 0, 0.05) * ramp(y - 6.86, 0, 0.07)
    area = ramp(y - 6.60, 0, 0.12) * ramp(7.06 - y, 0, 0.10) * ramp(0.50 - x, 0, 0.12)
    area *= ramp(z - 1.05, 0, 0.15) * (1 - nose) * (1 - np.clip(2 * head.lips, 0, 1))
    soft = np.flatnonzero(area > 0.01)
    skin = head.triangles[head.part == PARTS["skin"]]
    edges = np.unique(skin[:, [0, 1, 1, 2, 2, 0, 1, 0, 2, 1, 0, 2]].reshape(-1, 2), axis=0)
    own = [edges[edges[:, 0] == one, 1].tolist() for one in soft]
    most = max(map(len, own))
    beside = [ends + [one] * (most - len(ends)) for one, ends in zip(soft, own, strict=True)]
    return soft, np.array(beside), (_SHARE * area[soft, None]).astype(np.float32)
