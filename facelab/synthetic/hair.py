"""Hair: a modelled mesh of one of the baked styles, or a cropped shell lifted off the scalp.

In: a subject and its neutral head. Out: extra vertices and triangles of part "hair". A cropped
shell has a cover value a vertex: where cover plus strand noise falls below 0.5 the renderer leaves
a gap; the modelled styles have their gaps in the alpha of their texture.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facelab.synthetic.head import PARTS, Head, load_head
from facelab.synthetic.mesh import vertex_normals
from facelab.synthetic.styles import HairStyle, load_styles
from facelab.synthetic.subjects import Subject

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
    texture : uint8 (S, S, 2)
        Brightness detail and opacity.
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


NO_TEXTURE = np.full((1, 1, 2), 255, np.uint8)


def grow_hair(subject: Subject, neutral: np.ndarray, head: Head) -> Hair:
    """The subject's hair on its neutral head (V, 3)."""
    style = fitted_style(subject.hair_style, bool(subject.hair_flip))
    if style is None:
        return _cropped(subject, neutral, head)
    return _styled(subject, style, neutral, head)


@cache
def fitted_style(name: str, flip: bool) -> HairStyle | None:
    """A modelled style, on its own side or mirrored; None for what is not modelled."""
    styles = load_styles()
    style = styles.hair.get(name)
    return style.mirrored(styles.mirror) if style and flip else style


@cache
def style_at_rest(name: str, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Canonical places of a style's vertices, and ambient light on the head under it."""
    head, style = load_head(), fitted_style(name, flip)
    return style.on(head.template), head.openness * style.head_openness


def _styled(subject: Subject, style: HairStyle, neutral: np.ndarray, head: Head) -> Hair:
    """One of the modelled styles, fitted to the head, its volume the subject's own."""
    weights = style.weights[..., None]
    ground = (neutral[style.refs] * weights).sum(1)
    place, head_openness = style_at_rest(subject.hair_style, bool(subject.hair_flip))
    return Hair(
        vertices=ground + style.offsets * np.float32(subject.hair_volume),
        place=place,
        triangles=style.triangles,
        cover=np.full(len(ground), 9, np.float32),
        card=style.uv,
        texture=style.texture,
        openness=style.openness,
        shadow=style.shadow,
        head_openness=head_openness,
        head_shadow=style.head_shadow,
    )


def _cropped(subject: Subject, neutral: np.ndarray, head: Head) -> Hair:
    """A shell off the scalp, as thick as the hair is long; nothing for a bald subject."""
    ground = scalp()
    normals = vertex_normals(neutral, head.triangles)[ground.body]
    place = head.template[ground.body]
    margin = hair_margin(subject, place)
    lump = np.sin(place @ [5.1, 2.3, 3.7] + subject.noise[0]) * np.sin(
        place @ [-2.9, 4.3, 5.3] + subject.noise[1]
    )
    thick = subject.hair_volume * (1 + 0.25 * lump * (0.4 + subject.hair_curl))
    thick = thick * np.clip(margin / 0.2 + 0.1, 0, 1)
    bald = subject.hair_style == "bald"
    cover = np.full(len(place), -9.0) if bald else 0.5 + margin / 0.11
    count = len(place)
    return Hair(
        vertices=(neutral[ground.body] + normals * (0.008 + thick)[:, None]).astype(np.float32),
        place=place,
        triangles=ground.triangles[:0] if bald else ground.triangles,
        cover=cover.astype(np.float32),
        card=np.full((count, 2), -1, np.float32),
        texture=NO_TEXTURE,
        openness=head.openness[ground.body],
        shadow=head.shadow[ground.body],
        head_openness=head.openness,
        head_shadow=head.shadow,
    )
