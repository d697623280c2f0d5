"""Hair: a modelled mesh of one of the baked styles, or shells of a pattern lifted off the scalp.

In: a subject and its neutral head. Out: extra vertices and triangles of part "hair". Both have
their gaps in the alpha of a texture; shells also have a cover value a vertex, the less of it the
more of the pattern is left out: towards the tips and at the hairline.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from facelab.caches import compiled
from facelab.synthetic.head import Head, load_head
from facelab.synthetic.scalp import CENTRE, Ground, fullness, ground, hair_margin
from facelab.synthetic.styles import HairStyle, load_styles
from facelab.synthetic.subjects import Subject


@dataclass(frozen=True)
class Growth:
    """How hair that is not modelled stands off the scalp.

    Attributes
    ----------
    length : float
        Times `hair_volume`, dm.
    layers : tuple of float
        Where its shells lie, as shares of the length.
    pattern, flow : str
        Of `PATTERNS` ("": by the subject's curl), and how it lies (see `scalp.ground`).
    round : float
        0 stands off the skin, 1 off the middle of the skull.
    lumps : float
        How uneven the outline is.
    rise : float
        Over how many dm from the hairline it gains its length.
    knot : (float, float, float), knot_size : float
        Where on the template hair is tied to a ball, and its radius; 0 is none.
    solid : float
        Of the cover at the skin; above 1 there are no gaps.
    """

    length: float
    layers: tuple[float, ...]
    pattern: str = ""
    flow: str = "whorl"
    round: float = 0.0
    lumps: float = 0.1
    rise: float = 0.2
    knot: tuple[float, float, float] = (0.0, 0.0, 0.0)
    knot_size: float = 0.0
    solid: float = 1.25


_FUR = (0.1, 0.55, 1.0)
_CLOUD = (0.35, 0.64, 0.84, 1.0)
GROWN = {
    "cropped": Growth(1.0, _FUR),
    "fade_low": Growth(1.1, _FUR, rise=0.3),
    "fade_high": Growth(1.5, _FUR, rise=0.3),
    "afro_short": Growth(0.22, _CLOUD, "coils", "coils", 0.3, 0.12, 0.25),
    "afro_round": Growth(0.55, _CLOUD, "coils", "coils", 0.8, 0.10, 0.35),
    "afro_large": Growth(0.95, _CLOUD, "coils", "coils", 0.95, 0.10, 0.45),
    "twist_out": Growth(0.45, _CLOUD, "twists", "coils", 0.7, 0.3, 0.3),
    "bun_high": Growth(
        0.045, (0.5, 1.0), "straight", "knot", knot=(0, 8.62, -0.05), knot_size=0.36, solid=1.6
    ),
    "bun_low": Growth(
        0.05, (0.5, 1.0), "straight", "rows", knot=(0, 7.2, -1.0), knot_size=0.34, solid=1.6
    ),
    "puff": Growth(
        0.04, (0.5, 1.0), "coils", "knot", knot=(0, 8.75, -0.25), knot_size=0.62, solid=1.6
    ),
    "cornrows": Growth(0.028, (1.0,), "rows", "rows", 0.0, 0.0, 0.1),
    "flat_twists": Growth(0.034, (1.0,), "twisted_rows", "rows", 0.0, 0.0, 0.1),
}


@dataclass(frozen=True)
class Hair:
    """A subject's hair, vertices numbered from 0.

    Attributes
    ----------
    vertices : float32 (V, 3)
        On the neutral head.
    place : float32 (V, 3)
        Canonical places, for noise.
    triangles : int32 (T, 3)
    cover : float32 (V,)
        1 and more where closed, below 0 where bare.
    card : float32 (V, 2)
        Texture coordinates, -1 where there is no texture.
    texture : uint8 (2 S, S, 2)
        Brightness detail and opacity, a `pyramid`.
    openness, shadow : float32 (V,), (V, 16)
        Ambient light that arrives and harmonics of the visible sky, as those of `Head`.
    head_openness, head_shadow : float32 (H,), (H, 16)
        The same for the head's vertices under this hair.
    """

    vertices: np.ndarray
    place: np.ndarray
    triangles: np.ndarray
    cover: np.ndarray
    card: np.ndarray
    texture: np.ndarray
    openness: np.ndarray
    shadow: np.ndarray
    head_openness: np.ndarray
    head_shadow: np.ndarray


def grow_hair(subject: Subject, neutral: np.ndarray, normals: np.ndarray, head: Head) -> Hair:
    """The subject's hair on its neutral head (V, 3) with these normals."""
    name, flip = subject.hair_style, bool(subject.hair_flip)
    style = fitted_style(name, flip)
    if style is None:
        return _grown(subject, neutral, normals, head)
    vertices = np.empty_like(style.offsets)
    volume = np.float32(subject.hair_volume)
    _carry(neutral, style.refs, style.weights, style.offsets, volume, vertices)
    return replace(at_rest(name, flip), vertices=vertices)


@cache
def fitted_style(name: str, flip: bool) -> HairStyle | None:
    """A modelled style, on its own side or mirrored; None for what is not modelled."""
    styles = load_styles()
    style = styles.hair.get(name)
    return style.mirrored(styles.mirror) if style and flip else style


@cache
def at_rest(name: str, flip: bool) -> Hair:
    """A modelled style on the template: on all heads the same but for its vertices."""
    head, style = load_head(), fitted_style(name, flip)
    place = style.on(head.template)
    return Hair(
        vertices=place,
        place=place,
        triangles=style.triangles,
        cover=np.full(len(place), 9, np.float32),
        card=style.uv,
        texture=style.texture,
        openness=style.openness,
        shadow=style.shadow,
        head_openness=head.openness * style.head_openness,
        head_shadow=style.head_shadow,
    )


@compiled(nogil=True)
def _carry(
    neutral: np.ndarray,
    refs: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    volume: np.float32,
    out: np.ndarray,
) -> None:
    for v in range(len(refs)):
        for axis in range(3):
            total = neutral[refs[v, 0], axis] * weights[v, 0]
            total += neutral[refs[v, 1], axis] * weights[v, 1]
            total += neutral[refs[v, 2], axis] * weights[v, 2]
            out[v, axis] = total + offsets[v, axis] * volume


def _grown(subject: Subject, neutral: np.ndarray, normals: np.ndarray, head: Head) -> Hair:
    """Shells off the scalp, the outer ones the thinner; none for a bald subject."""
    growth = GROWN.get(subject.hair_style)
    if growth is None:
        return bare_head()
    curl = subject.hair_curl
    by_curl = "straight" if curl < 0.4 else "wavy" if curl < 0.62 else "coils"
    pattern = growth.pattern or by_curl
    flow = "coils" if growth.flow == "whorl" and pattern == "coils" else growth.flow
    under, place, ray = rays(flow)
    # The outermost first: what it hides need not be drawn.
    count, layers = len(place), np.array(growth.layers[::-1], np.float32)
    away = normals[under.body]
    away += np.float32(growth.round) * (ray - away)
    away /= np.sqrt((away * away).sum(1, keepdims=True))
    margin = hair_margin(subject)[under.body]
    full = fullness(subject.hair_style)[under.body]
    length = np.float32(growth.length * subject.hair_volume)
    lump = np.sin(place @ np.float32([5.1, 2.3, 3.7]) + np.float32(subject.noise[0]))
    lump *= np.sin(place @ np.float32([-2.9, 4.3, 5.3]) + np.float32(subject.noise[1]))
    thick = length * (1 + np.float32(growth.lumps) * lump) * full
    thick *= np.clip(margin / np.float32(growth.rise) + np.float32(0.1), 0, 1)
    # What stands off roundly is shorter at the nape and beside the ears.
    lower = np.clip((np.float32(7.9) - place[:, 1]) / np.float32(1.5), 0, 0.8)
    thick *= 1 - np.float32(growth.round) * lower
    height = np.float32(0.006) + layers[:, None] * thick
    edge = np.clip(1 - (margin + np.float32(0.04)) / np.float32(0.15), 0, 9)
    edge += np.float32(0.9) * (1 - full)
    several = len(layers) > 1
    dense = np.float32(growth.solid) - np.float32(0.64) * layers if several else np.float32([0.95])
    open_to = np.float32(0.4) + np.float32(0.6) * layers if several else np.float32([1])
    # Far off the skin the head no longer shades: half of the sky is seen, outwards.
    free = np.clip(height * 4, 0, 1)
    outwards = np.zeros((count, 16), np.float32)
    outwards[:, 0], outwards[:, 1:4] = 1.7725, np.float32(1.535) * away[:, [1, 2, 0]]
    shadow, openness = head.shadow[under.body], head.openness[under.body]
    # Patterns of neighbouring layers would line up to streaks, and widen with the distance.
    evenly = np.float32(flow == "coils")
    shift = layers[:, None, None] * np.float32([3.3, 2.7]) * evenly
    wider = 1 + layers[:, None, None] * length * evenly
    starts = count * np.arange(len(layers), dtype=np.int32)[:, None, None]
    hair = Hair(
        vertices=(neutral[under.body] + away * height[..., None]).reshape(-1, 3),
        place=np.tile(place, (len(layers), 1)),
        triangles=(under.triangles + starts).reshape(-1, 3),
        cover=(dense[: len(layers), None] - edge).ravel(),
        card=(under.uv * wider + shift).reshape(-1, 2),
        texture=load_styles().patterns[pattern],
        openness=(
            (openness + free * (np.float32(0.9) - openness)) * open_to[: len(layers), None]
        ).ravel(),
        shadow=(shadow + free[..., None] * (outwards - shadow)).reshape(-1, 16),
        head_openness=head.openness,
        head_shadow=head.shadow,
    )
    return tied(hair, growth, neutral, head) if growth.knot_size else hair


@cache
def bare_head() -> Hair:
    """No hair at all."""
    head = load_head()
    three, none = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    card, shadow = np.zeros((0, 2), np.float32), np.zeros((0, 16), np.float32)
    texture = load_styles().patterns["straight"]
    light = head.openness, head.shadow
    return Hair(three, three, np.zeros((0, 3), np.int32), none, card, texture, none, shadow, *light)


def tied(hair: Hair, growth: Growth, neutral: np.ndarray, head: Head) -> Hair:
    """The hair with a ball where it is tied: of coils a cloud, else of wound strands."""
    cloud = growth.pattern == "coils"
    near = int(np.argmin(((head.template - growth.knot) ** 2).sum(1)))
    middle = np.array(growth.knot) + neutral[near] - head.template[near]
    out, uv, triangles = ball()
    vertices, cards, covers, corners = [hair.vertices], [hair.card], [hair.cover], [hair.triangles]
    wound = growth.knot_size * np.array([2.4, 4.8]) if cloud else np.array([2.0, 1.0])
    layers = (1.0, 0.85, 0.7) if cloud else (1.0, 0.93)
    for number, layer in enumerate(layers):
        size = growth.knot_size * layer * (1 + 0.06 * np.sin(9 * out[:, :1] + 7 * out[:, 1:2]))
        vertices.append(middle + size * out * [1.0, 0.85 if cloud else 0.72, 0.95])
        # Wound hair goes around; coils lie anyhow.
        cards.append(uv * wound + 0.37 * number)
        dense = (0.62, 0.85, 1.3) if cloud else (0.7, 1.3)
        covers.append(np.full(len(out), dense[number]))
        corners.append(triangles + sum(len(part) for part in vertices[:-1]))
    extra = len(out) * len(layers)
    outwards = np.zeros((len(out), 16))
    outwards[:, 0], outwards[:, 1:4] = 1.7725, 1.535 * out[:, [1, 2, 0]]
    bright = np.repeat((1.0, 0.75, 0.5) if cloud else (1.0, 0.7), len(out))
    return replace(
        hair,
        vertices=np.concatenate(vertices, dtype=np.float32),
        place=np.concatenate(
            [hair.place, np.tile(np.array(growth.knot), (extra, 1))], dtype=np.float32
        ),
        triangles=np.concatenate(corners, dtype=np.int32),
        cover=np.concatenate(covers, dtype=np.float32),
        card=np.concatenate(cards, dtype=np.float32),
        openness=np.concatenate([hair.openness, 0.9 * bright], dtype=np.float32),
        shadow=np.concatenate([hair.shadow, np.tile(outwards, (len(layers), 1))], dtype=np.float32),
    )


@cache
def ball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A unit sphere: points (V, 3), places on a pattern that goes around it, triangles."""
    down, around = np.meshgrid(
        np.linspace(0, np.pi, 11), np.linspace(0, 2 * np.pi, 19), indexing="ij"
    )
    points = np.stack(
        [np.sin(down) * np.sin(around), np.cos(down), np.sin(down) * np.cos(around)], -1
    )
    uv = np.stack([down / np.pi, around / (2 * np.pi)], -1)
    first = (19 * np.arange(10)[:, None] + np.arange(18)).reshape(-1, 1)
    triangles = np.concatenate([first + np.array(corner) for corner in ((0, 1, 19), (19, 1, 20))])
    return points.reshape(-1, 3), uv.reshape(-1, 2), triangles


@cache
def rays(flow: str) -> tuple[Ground, np.ndarray, np.ndarray]:
    """A ground with its canonical places, and the directions there from the middle of the skull."""
    under = ground(flow)
    place = load_head().template[under.body].astype(np.float32)
    ray = (place - CENTRE).astype(np.float32)
    return under, place, ray / np.linalg.norm(ray, axis=1, keepdims=True)
