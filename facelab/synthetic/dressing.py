"""One mesh of a head, its hair and what is put on it.

In: a neutral head, `Hair`, kinds of glasses and headwear. Out: `Dressed`, ready to be posed.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facelab.synthetic.accessories import Piece, make_glasses
from facelab.synthetic.hair import Hair
from facelab.synthetic.head import PARTS, Head, load_head
from facelab.synthetic.headwear import make_headwear, pressed, under
from facelab.synthetic.kernel import COLUMNS, OPENNESS, PLACE, UV
from facelab.synthetic.styles import map_coordinates


@dataclass(frozen=True)
class Dressed:
    """A subject's mesh with what it wears.

    Attributes
    ----------
    triangles : int32 (T, 3), part : uint8 (T,)
        And what each is, by ``PARTS``.
    closed, solid : int
        How many of the triangles, the first ones, belong to closed surfaces, and how many before
        lashes and hair, which are not solid.
    neutral : float32 (V, 3)
        Vertices before expression and pose; those of the head come first.
    table : float32 (V, COLUMNS)
        What shading reads of a vertex; normals and the light that reaches it change by photo.
    place : float32 (V, 3), card : float32 (V, 2), cover : float32 (V,)
        Where hair and lashes have gaps, as `rasterise` takes it.
    shadow : tuple of float32 (., 16)
        As `light_reaching` takes it: of the head, of the hair, of what is worn; together (V, 16).
    sway : float32 (V,), setback : float32 (V,)
        As `pose` and `place_on_screen` take them.
    lenses : int32 (L, 3)
        Spectacle lenses.
    brim : float
        Canonical height above which skin is in a hat's shade, dm.
    """

    triangles: np.ndarray
    part: np.ndarray
    closed: int
    solid: int
    neutral: np.ndarray
    table: np.ndarray
    place: np.ndarray
    card: np.ndarray
    cover: np.ndarray
    shadow: tuple[np.ndarray, ...]
    sway: np.ndarray
    setback: np.ndarray
    lenses: np.ndarray
    brim: float


@cache
def bald() -> Dressed:
    """The bare head that everything is put on."""
    head = load_head()
    closed = int(np.searchsorted(head.part, PARTS["lash"]))
    setback = np.zeros(len(head.template), np.float32)
    for part, amount in (("teeth", 0.10), ("mouth", 0.03), ("eye", 0.004)):
        setback[np.unique(head.triangles[head.part == PARTS[part]])] += np.float32(amount)
    lower = np.setdiff1d(head.triangles[head.part == PARTS["teeth"]], head.upper_teeth)
    setback[lower] += np.float32(0.08)  # behind the upper ones, and clear of a narrow chin
    # Lashes part across: their gaps are narrow in x and long in the other directions.
    place = head.template.copy()
    place[lashes()[0]] *= np.float32([3.4, 0.2, 0.2])
    table = np.zeros((len(place), COLUMNS), np.float32)
    table[:, PLACE : PLACE + 3] = place
    table[:, OPENNESS] = head.openness
    table[:, UV : UV + 2] = np.stack(map_coordinates(head.template), 1)
    return Dressed(
        triangles=head.triangles,
        part=head.part,
        closed=closed,
        solid=closed,
        neutral=head.template,
        table=table,
        place=place,
        card=np.full((len(place), 2), -1, np.float32),
        cover=np.full(len(place), 9, np.float32),
        shadow=(head.shadow,),
        sway=sway(head.template),
        setback=setback,
        lenses=np.zeros((0, 3), np.int32),
        brim=np.inf,
    )


@cache
def lashes() -> tuple[np.ndarray, np.ndarray]:
    """The head's lash vertices and how dense each is."""
    head = load_head()
    places = np.unique(head.triangles[head.part == PARTS["lash"]])
    skin = head.template[np.unique(head.triangles[head.part == PARTS["skin"]])]
    length = [np.linalg.norm(skin - place, axis=1).min() for place in head.template[places]]
    taper = np.clip(1.15 - np.array(length) / 0.036, -0.2, 1.15)  # thin out from root to tip
    return places, taper.astype(np.float32)


def sway(place: np.ndarray) -> np.ndarray:
    """How far canonical places (V, 3) turn with the head on the neck: shoulders stay."""
    share = np.clip((place[:, 1] - 5.6) / 0.75, 0, 1)
    return share * share * (3 - 2 * share)


def dress(
    neutral: np.ndarray, hair: Hair, dense: float, glasses: str, headwear: str, head: Head
) -> Dressed:
    """Put a neutral head (V, 3), its hair, lashes so dense, and what is worn into one mesh."""
    bare = bald()
    worn: list[Piece] = []
    if glasses != "none":
        worn.append(make_glasses(glasses, neutral, head))
    grown = hair.vertices
    hair_cover, openness, shadow = hair.cover, hair.head_openness, hair.head_shadow
    if headwear != "none":
        worn.append(make_headwear(headwear, neutral, head))
        grown = pressed(headwear, worn[-1], grown, hair.place)
        # Hair under the cloth is not seen, however far it would stand off, nor does it shade.
        hair_cover = np.where(under(headwear, hair.place), np.float32(-9), hair_cover)
        openness, shadow = head.openness, head.shadow
    sizes = [len(piece.vertices) for piece in worn]
    first, extra = len(bare.neutral), sum(sizes)
    starts = np.cumsum([first + len(hair.vertices), *sizes])
    last = int(starts[0])
    place = np.concatenate([bare.place, hair.place, *(piece.place for piece in worn)])
    card = np.concatenate([bare.card, hair.card, np.full((extra, 2), -1, np.float32)])
    cover = np.concatenate([bare.cover, hair_cover, *(piece.cover for piece in worn)])
    at, taper = lashes()
    cover[at] = dense * taper
    table = np.zeros((len(place), COLUMNS), np.float32)
    table[:first] = bare.table
    table[:first, OPENNESS] = openness
    table[first:, PLACE : PLACE + 3] = place[first:]
    table[first:last, OPENNESS] = hair.openness
    table[first:, UV : UV + 2] = card[first:]
    for piece, start in zip(worn, starts, strict=False):
        table[start : start + len(piece.openness), OPENNESS] = piece.openness
    lenses = [piece.lenses + start for piece, start in zip(worn, starts, strict=False)]
    return Dressed(
        triangles=np.concatenate(
            [
                bare.triangles[: bare.closed],
                *(piece.triangles + start for piece, start in zip(worn, starts, strict=False)),
                bare.triangles[bare.closed :],
                hair.triangles + np.int32(first),
            ],
            dtype=np.int32,
        ),
        part=np.concatenate(
            [
                bare.part[: bare.closed],
                *(np.full(len(p.triangles), PARTS[p.part], np.uint8) for p in worn),
                bare.part[bare.closed :],
                np.full(len(hair.triangles), PARTS["hair"], np.uint8),
            ]
        ),
        closed=bare.closed,
        solid=bare.closed + sum(len(piece.triangles) for piece in worn),
        neutral=np.concatenate(
            [neutral, grown, *(piece.vertices for piece in worn)], dtype=np.float32
        ),
        table=table,
        place=place,
        card=card,
        cover=cover,
        # What is worn is lit as the tip of the nose is, which nothing shades.
        shadow=(shadow, hair.shadow, np.repeat(head.shadow[[head.nose_tip]], extra, 0)),
        sway=np.concatenate([bare.sway, sway(hair.place), np.ones(extra, np.float32)]),
        setback=np.concatenate([bare.setback, np.zeros(len(place) - first, np.float32)]),
        lenses=np.concatenate([bare.lenses, *lenses], dtype=np.int32),
        brim=min((piece.brim for piece in worn), default=np.inf),
    )
