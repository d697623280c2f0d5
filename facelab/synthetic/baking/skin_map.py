"""The skin map as places: where the outermost skin of a head lies at each texel.

In: the head region of the base mesh. Out: radii around the map's axis (256, 320), the texture
coordinates there, and the places (256, 320, 3) that radii stand for.
"""

import numpy as np

from facelab.synthetic.baking.head import Region, halve
from facelab.synthetic.baking.pictures import draw, fill
from facelab.synthetic.head import PARTS
from facelab.synthetic.styles import (
    MAP_AXIS,
    MAP_BOTTOM,
    MAP_COLUMNS,
    MAP_REACH,
    MAP_ROWS,
    MAP_TOP,
    map_coordinates,
)


def skin_map(region: Region, head: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The outermost skin at each texel: its distance from the axis, and its texture coordinates.

    Of the template, or of a head of another shape.
    """
    quads = region.part == PARTS["skin"]
    triangles = halve(np.searchsorted(region.used, region.quads[quads]))
    corners = halve(region.quad_textures[quads])
    place = (region.vertices[region.used] if head is None else head)[triangles]
    across, down = map_coordinates(place)
    angle = np.arctan2(place[..., 0], place[..., 2] - MAP_AXIS)
    radius = np.hypot(place[..., 0], place[..., 2] - MAP_AXIS)
    # Triangles around the axis or at the back of the head have no one place on the map.
    fine = np.ptp(angle, 1) < 1.0
    points = np.stack([across * MAP_COLUMNS, down * MAP_ROWS, -radius], -1)[fine].reshape(-1, 3)
    nearest, share = draw(points, np.arange(len(points)).reshape(-1, 3), MAP_COLUMNS)
    nearest, share = nearest[:MAP_ROWS], share[:MAP_ROWS]
    known = nearest >= 0
    own = (radius[fine][nearest] * share).sum(-1)
    uv = (region.textures[corners[fine][nearest]] * share[..., None]).sum(-2)
    uv[..., 1] = 1 - uv[..., 1]
    return fill(own, known), fill(uv, known)


def map_rays() -> tuple[np.ndarray, np.ndarray]:
    """Height of each row of the skin map and angle of each column, at the middle of texels."""
    down = (np.arange(MAP_ROWS) + 0.5) / MAP_ROWS
    across = (np.arange(MAP_COLUMNS) + 0.5) / MAP_COLUMNS
    return MAP_TOP - down * (MAP_TOP - MAP_BOTTOM), (across * 2 - 1) * MAP_REACH


def map_points(radius: np.ndarray) -> np.ndarray:
    """The places (256, 320, 3) that lie `radius` (256, 320) from the axis of the skin map."""
    height, angle = map_rays()
    return np.stack(
        [
            radius * np.sin(angle),
            np.broadcast_to(height[:, None], radius.shape),
            radius * np.cos(angle) + MAP_AXIS,
        ],
        -1,
    ).astype(np.float32)
