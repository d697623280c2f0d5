"""Hair meshes, brow pictures and skin pigment maps as arrays, and the map they are painted on.

In: `styles.npz`, written by `facelab.synthetic.baking.styles`. Out: `load_styles()`, read once a
process, and `map_coordinates`, which says where on the skin map a canonical place lies.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from facelab.synthetic.head import load_head
from facelab.synthetic.visibility import pyramid

STYLES_FILE = Path(__file__).with_name("styles.npz")
MAKEHUMAN = (
    *("short01", "short02", "short03", "short04", "afro01"),
    *("bob01", "bob02", "long01", "ponytail01", "braid01"),
)
MODELLED = (
    *("long_straight", "long_fringe", "long_wavy", "bob_fringe", "bob_wavy", "curly_medium"),
    *("pixie", "undercut", "quiff", "box_braids", "locks", "locks_short"),
)
HAIR = MAKEHUMAN + MODELLED
PATTERNS = ("straight", "wavy", "coils", "twists", "rows", "twisted_rows")
# The skin map: a cylinder around the axis x = 0, z = MAP_AXIS; radians to either side.
MAP_ROWS, MAP_COLUMNS = 256, 320
MAP_TOP, MAP_BOTTOM, MAP_REACH, MAP_AXIS = 8.6, 5.2, 2.1, 0.3
# The brow pictures reach this far above and below the brow's middle line on the template, in dm.
BROW_REACH = 0.1
OFFSET_STEP = 5e-4  # decimetres
SHADOW_STEP = 4 / 127
# Which spherical harmonics (see `mesh.spherical_harmonics`) change sign with x.
ODD = np.array([3, 4, 7, 10, 13, 15])


@dataclass(frozen=True)
class HairStyle:
    """One hair mesh, bound to the head: a vertex lies at sum(weights * head[refs]) + offsets.

    Attributes
    ----------
    refs : int32 (V, 3), weights : float32 (V, 3)
        Vertices of the head (`load_head().template` rows) that carry each vertex, and their shares.
    offsets : float32 (V, 3)
        From there to the vertex, decimetres, sized for the mean head.
    fringe : float32 (V, 3)
        What to add to the offsets for hair that falls over one eye; 0 in most styles.
    uv : float32 (V, 2)
        Texture coordinates: column, then row counted from the top; beyond 1 the texture repeats.
        Vertices are split at seams, so that each has one pair.
    triangles : int32 (T, 3)
        Meant to be seen from both sides.
    texture : uint8 (2 S, S, 2)
        Brightness detail (128 is the hair's mean; linear light) and opacity, over its smaller
        copies (see `visibility.pyramid`).
    openness, shadow : float32 (V,), (V, 16)
        Ambient light that arrives past the head and the other hair, 0..1, and spherical harmonics
        of the visible sky, as those of `Head`.
    head_openness : float32 (H,)
        What this hair leaves of the ambient light at each vertex of the head, 0..1.
    head_shadow : float32 (H, 16)
        In place of `Head.shadow` under this hair.
    """

    refs: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    fringe: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    texture: np.ndarray
    openness: np.ndarray
    shadow: np.ndarray
    head_openness: np.ndarray
    head_shadow: np.ndarray

    def on(self, vertices: np.ndarray, fringe: float = 0.0) -> np.ndarray:
        """The hair's vertices on a head of any shape (H, 3): float32 (V, 3).

        With `fringe` 1 some styles fall over one eye; with 0 both eyes are free.
        """
        carried = (vertices[self.refs] * self.weights[..., None]).sum(1)
        return (carried + self.offsets + fringe * self.fringe).astype(np.float32)

    def mirrored(self, mirror: np.ndarray) -> "HairStyle":
        """The style with left and right exchanged, by `Styles.mirror`."""
        flip = np.array([-1, 1, 1], np.float32)
        odd = np.ones(16, np.float32)
        odd[ODD] = -1
        return replace(
            self,
            refs=mirror[self.refs],
            offsets=self.offsets * flip,
            fringe=self.fringe * flip,
            triangles=np.ascontiguousarray(self.triangles[:, ::-1]),
            shadow=self.shadow * odd,
            head_openness=self.head_openness[mirror],
            head_shadow=self.head_shadow[mirror] * odd,
        )


@dataclass(frozen=True)
class Styles:
    """What the package paints and dresses heads with.

    Attributes
    ----------
    hair : dict of str to HairStyle
        By the names in `HAIR`.
    patterns : dict of str to uint8 (512, 256, 2)
        Of hair that grows off the scalp, by the names in `PATTERNS`: brightness and height, each a
        `pyramid` that repeats.
    mirror : int32 (H,)
        For each vertex of the head, the one on the other side of the face.
    brows : uint8 (12, 48, 128)
        Opacity of left brows, straightened: columns run from the inner to the outer end along the
        brow's middle line, rows from `BROW_REACH` above it to as far below.
    pigment_mean, pigment_age : float32 (256, 320, 2)
        At each texel of the skin map, more or less melanin and blood than the face's median: of
        young skin on average, and what old age adds. 0 under the hair, on the lips and in the
        eyes, which are painted otherwise.
    pigment_modes : float32 (8, 256, 320, 2)
        Directions in which skins differ; a person's weights are standard normal.
    """

    hair: dict[str, HairStyle]
    patterns: dict[str, np.ndarray]
    mirror: np.ndarray
    brows: np.ndarray
    pigment_mean: np.ndarray
    pigment_age: np.ndarray
    pigment_modes: np.ndarray


def map_coordinates(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where canonical places (N, 3) lie on the skin map: (across, down), 0..1, clipped."""
    angle = np.arctan2(place[..., 0], place[..., 2] - MAP_AXIS)
    across = (angle / MAP_REACH + 1) / 2
    down = (MAP_TOP - place[..., 1]) / (MAP_TOP - MAP_BOTTOM)
    return np.clip(across, 0, 1), np.clip(down, 0, 1)


@cache
def load_styles() -> Styles:
    """The hair, brows and skin that facelab ships."""
    with np.load(STYLES_FILE) as file:
        stored = {name: file[name] for name in file.files}
    hair, head = {}, load_head()
    for name in HAIR:
        part = {
            key: stored[f"{name}/{key}"] for key in ("refs", "weights", "offsets", "fringe", "uv")
        }
        weights = part["weights"].astype(np.float32) * np.float32(1 / 16384)
        hair[name] = HairStyle(
            refs=part["refs"].astype(np.int32),
            weights=np.concatenate([weights, 1 - weights.sum(1, keepdims=True)], 1),
            offsets=part["offsets"].astype(np.float32) * np.float32(OFFSET_STEP),
            fringe=part["fringe"].astype(np.float32) * np.float32(OFFSET_STEP),
            uv=part["uv"].astype(np.float32) * (stored[f"{name}/uv_span"] / np.float32(65535)),
            triangles=stored[f"{name}/triangles"].astype(np.int32),
            texture=pyramid(stored[f"{name}/texture"]),
            openness=stored[f"{name}/openness"].astype(np.float32) / np.float32(255),
            shadow=stored[f"{name}/shadow"].astype(np.float32) * np.float32(SHADOW_STEP),
            head_openness=stored[f"{name}/head_openness"].astype(np.float32) / np.float32(255),
            head_shadow=head.shadow
            + stored[f"{name}/head_shadow"].astype(np.float32) * np.float32(SHADOW_STEP),
        )
    pigment = {
        name: stored[name].astype(np.float32) * stored[f"{name}_step"]
        for name in ("pigment_mean", "pigment_age", "pigment_modes")
    }
    mirror = stored["mirror"].astype(np.int32)
    patterns = {name: pyramid(stored[f"pattern/{name}"]) for name in PATTERNS}
    return Styles(hair=hair, patterns=patterns, mirror=mirror, brows=stored["brows"], **pigment)
