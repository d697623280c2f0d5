"""Hair with volume: a shell lifted off the scalp, and a curtain of long hair behind the face.

In: a subject and its neutral head. Out: extra vertices and triangles of part "hair", with a cover
value a vertex: where cover plus strand noise falls below 0.5 the renderer leaves a gap.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facelab.synthetic.head import PARTS, Head, load_head
from facelab.synthetic.mesh import vertex_normals
from facelab.synthetic.population import Subject

CURTAIN_ROWS, CURTAIN_COLUMNS = 9, 33
CURTAIN_ANGLE = 1.85  # radians from straight back to the front edge
# Where hair begins, as height over depth on the template: forehead, temple, sideburn, nape.
LINE_DEPTH = np.array([-0.5, 0.05, 0.2, 0.30, 0.62, 0.70, 0.82, 1.0, 1.2, 1.4])
LINE_HEIGHT = np.array([6.40, 6.45, 6.75, 7.40, 7.40, 7.02, 7.42, 7.72, 7.93, 7.99])


@dataclass(frozen=True)
class Scalp:
    """Where the shell is: its body vertices and its triangles, numbered from 0."""

    body: np.ndarray
    triangles: np.ndarray


@cache
def scalp() -> Scalp:
    """The part of the head's skin that hair may grow on, on the baked head."""
    head = load_head()
    skin = head.triangles[head.part == PARTS["skin"]]
    place = head.template[skin].mean(1)
    ear = (np.abs(place[:, 0]) > 0.72) & (place[:, 1] < 7.42) & (place[:, 2] > 0.22)
    grows = (place[:, 1] > hair_height(place[:, 2]) - 0.35) & (place[:, 1] > 6.35) & ~ear
    body, numbered = np.unique(skin[grows], return_inverse=True)
    return Scalp(body, numbered.reshape(-1, 3).astype(np.int32))


def hair_height(depth: np.ndarray) -> np.ndarray:
    """Height of the mean hairline at a depth of the template."""
    return np.interp(depth, LINE_DEPTH, LINE_HEIGHT)


def hair_margin(subject: Subject, place: np.ndarray) -> np.ndarray:
    """How far inside the hair a template point lies, in dm; below 0 is bare skin."""
    x, y, z = np.abs(place[:, 0]), place[:, 1], place[:, 2]
    line = hair_height(z) + subject.hairline * (z > 0.8)
    front = np.clip((z - 0.85) / 0.3, 0, 1)
    line = line + subject.temples * front * np.exp(-(((x - 0.42) / 0.17) ** 2))
    margin = y - line
    # A bald crown: a disc around the top of the back of the head.
    bare = subject.crown * 0.75 - np.hypot(place[:, 0], (z - 0.25) * 0.9)
    bare = np.where(y > 7.9, bare, -1.0)
    return np.minimum(margin, np.where(subject.crown > 0.25, -bare, 9.0))


def grow_hair(
    subject: Subject, neutral: np.ndarray, head: Head
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Extra vertices, their canonical places, triangles, cover, and the body vertex each is over.

    Triangles are numbered from 0; cover is about 1 where hair is closed and below 0 where bare.
    """
    ground = scalp()
    normals = vertex_normals(neutral, head.triangles)[ground.body]
    place = head.template[ground.body]
    margin = hair_margin(subject, place)
    top = np.clip((place[:, 1] - 7.4) / 0.7, 0, 1)
    thick = subject.hair_sides + (subject.hair_volume - subject.hair_sides) * top
    lump = np.sin(place @ [5.1, 2.3, 3.7] + subject.noise[0]) * np.sin(
        place @ [-2.9, 4.3, 5.3] + subject.noise[1]
    )
    part = np.exp(-(((place[:, 0] - subject.hair_part) / 0.07) ** 2)) * top
    part = part * (1 - subject.hair_curl)
    thick = thick * (1 + 0.25 * lump * (0.4 + subject.hair_curl)) * (1 - 0.5 * part)
    thick = np.where(subject.hair_volume > 0, thick * np.clip(margin / 0.2 + 0.1, 0, 1), 0)
    out = normals * np.array([1.0, 1.0, 1.0]) * (0.008 + thick)[:, None]
    shell = neutral[ground.body] + out
    # A fringe falls from the hairline over the forehead.
    front = np.clip((place[:, 2] - 1.0) / 0.2, 0, 1)
    if subject.fringe > 0:
        fall = front * np.clip(1 - np.abs(margin) / 0.45, 0, 1)
        margin = margin + subject.fringe * front * (1 - 0.4 * np.abs(place[:, 0] / 0.7))
        shell = shell + fall[:, None] * np.array([0, 0.0, 0.05])
    cover = 0.5 + margin / 0.16
    if subject.hair_volume == 0:
        cover = np.full_like(cover, -9)
    if subject.hair_length == 0:
        return shell.astype(np.float32), place, ground.triangles, cover, ground.body

    # Long hair: rings that follow the shell's outline downwards from the height of the brow.
    angle = np.linspace(-CURTAIN_ANGLE, CURTAIN_ANGLE, CURTAIN_COLUMNS)  # 0 is straight back
    side, back = np.sin(angle), -np.cos(angle)
    centre = np.array([0.0, -0.85])
    band = shell[(place[:, 1] > 7.3) & (place[:, 1] < 7.9)][:, [0, 2]] - centre
    reach = np.array([(band @ [s, b]).max() for s, b in zip(side, back, strict=True)])
    heights = np.linspace(0.45, -0.35 - 1.6 * subject.hair_length, CURTAIN_ROWS)
    down = np.linspace(0, 1, CURTAIN_ROWS)
    puff = 0.02 + subject.hair_sides * 0.6 + 0.10 * subject.hair_curl * np.sin(down * np.pi)
    flare = (1 + 0.06 * np.sin(down * 3.0))[:, None]
    radius = (reach[None] + puff[:, None]) * flare
    wave = 0.025 * (0.3 + subject.hair_curl)
    radius = radius + wave * np.sin(
        9 * angle[None] * (1 + subject.hair_curl) + 7 * down[:, None] + subject.noise[2]
    )
    # The back follows the neck inwards so that it does not stand off like a bell.
    radius = radius - 0.3 * down[:, None] * np.clip(np.cos(angle), 0, 1)[None]
    curtain = np.stack(
        [
            radius * side + centre[0],
            np.broadcast_to(heights[:, None], radius.shape),
            radius * back + centre[1],
        ],
        -1,
    ).reshape(-1, 3)
    row, column = np.mgrid[: CURTAIN_ROWS - 1, : CURTAIN_COLUMNS - 1]
    corner = (row * CURTAIN_COLUMNS + column).ravel()
    quads = np.stack(
        [corner, corner + CURTAIN_COLUMNS, corner + CURTAIN_COLUMNS + 1, corner + 1], 1
    )
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]) + len(shell)
    edge = np.minimum(1, (CURTAIN_ANGLE - np.abs(angle)) / 0.25)[None]
    end = np.minimum(1, (1 - down) / 0.15)[:, None]
    curtain_cover = 0.1 + 1.2 * np.minimum(edge, end).ravel()
    # Canonical places: strands run down, so noise must be fine around and coarse along.
    curtain_place = np.stack(
        [
            np.broadcast_to(side * 0.9, radius.shape),
            np.broadcast_to(7.6 + heights[:, None], radius.shape),
            np.broadcast_to(0.3 + back * 0.9, radius.shape),
        ],
        -1,
    ).reshape(-1, 3)
    over = np.repeat(ground.body[np.argmin(np.abs(place[:, 1] - 7.5))], len(curtain))
    return (
        np.concatenate([shell, curtain]).astype(np.float32),
        np.concatenate([place, curtain_place]),
        np.concatenate([ground.triangles, faces]).astype(np.int32),
        np.concatenate([cover, curtain_cover]),
        np.concatenate([ground.body, over]),
    )
