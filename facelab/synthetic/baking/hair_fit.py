"""Fit a hair to the baked head: bound to its vertices, off the eyes, clear of everybody's skin.

In: a `Proxy`, the mean head and the head region. Out: refs, weights and offsets as in `HairStyle`.
"""

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from facelab.synthetic.baking.head import (
    AGES,
    GENDERS,
    MEAN_HEAD,
    MUSCLES,
    PHENOTYPES,
    WEIGHTS,
    Region,
    halve,
)
from facelab.synthetic.baking.pictures import look_up, ramp
from facelab.synthetic.baking.proxies import Proxy
from facelab.synthetic.baking.skin_map import skin_map
from facelab.synthetic.head import PARTS, load_head
from facelab.synthetic.mesh import add_targets, vertex_normals
from facelab.synthetic.styles import MAP_AXIS, map_coordinates

CLEARANCE = 0.012  # decimetres between the skin and hair that lies on it


def nearest_on(
    points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The triangle nearest to each point (N, 3), as its vertices, and the shares of these."""
    corner = vertices[triangles]
    # Sampling each triangle densely is exact enough: only the shares' smoothness matters here.
    grid = np.array([[i, j, 6 - i - j] for i in range(7) for j in range(7 - i)]) / 6
    samples = np.einsum("gk,tkc->tgc", grid, corner).reshape(-1, 3)
    _, found = cKDTree(samples).query(points)
    return triangles[found // len(grid)], grid[found % len(grid)]


def bind(
    proxy: Proxy, mean: np.ndarray, points: np.ndarray, region: Region
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The hair's binding to the baked head: refs, weights, offsets, exact on the mean head.

    What MakeHuman binds to skin that the baked head has stays so bound. The rest hangs on a helper
    surface in MakeHuman: here it is carried by the scalp nearest to it, and, the lower it hangs,
    the more by the neck and shoulders.
    """
    number = np.full(len(mean), -1)
    number[region.used] = np.arange(len(region.used))
    skin = np.unique(region.quads[region.part == PARTS["skin"]])
    kept = np.isin(proxy.refs, skin).all(1) & (np.abs(proxy.weights) < 1.5).all(1)
    refs, weights = number[proxy.refs], proxy.weights.copy()
    loose = np.flatnonzero(~kept)
    if len(loose):
        refs[loose], weights[loose] = hang(points[loose], mean[region.used], region)
    weights[:, 2] = 1 - weights[:, 0] - weights[:, 1]
    return refs, weights, points - (mean[region.used][refs] * weights[..., None]).sum(1)


def hang(points: np.ndarray, head: np.ndarray, region: Region) -> tuple[np.ndarray, np.ndarray]:
    """Which vertices of the head carry each point (N, 3), and their shares."""
    place = region.vertices[region.used]
    triangles = halve(np.searchsorted(region.used, region.quads[region.part == PARTS["skin"]]))
    middle = place[triangles].mean(1)
    ear = (np.abs(middle[:, 0]) > 0.72) & (middle[:, 1] < 7.42) & (middle[:, 2] > 0.2)
    face = (middle[:, 2] > 0.55) & (middle[:, 1] < 7.85)
    scalp = triangles[(middle[:, 1] > 6.6) & ~ear & ~face]
    below = triangles[(middle[:, 1] < 5.9)]
    above, share = nearest_on(points, head, scalp)
    under, under_share = nearest_on(points, head, below)
    height = points[:, 1] - (head[:, 1].max() - place[:, 1].max())
    down = np.clip((6.7 - height) / 1.0, 0, 1)
    down = (down * down * (3 - 2 * down))[:, None]
    order = np.argsort(-share, 1)[:, :2]
    two = np.take_along_axis(share, order, 1)
    two = two / two.sum(1, keepdims=True) * (1 - down)
    strongest = np.take_along_axis(under, np.argmax(under_share, 1)[:, None], 1)
    mixed = np.concatenate([np.take_along_axis(above, order, 1), strongest], 1)
    refs = np.where(down > 0, mixed, above)
    return refs, np.where(down > 0, np.concatenate([two, down], 1), share)


def sweep_aside(points: np.ndarray, head: np.ndarray, region: Region) -> np.ndarray:
    """The hair (V, 3) with what falls over an eye swept to that side, around the head."""
    radius = gaussian_filter(skin_map(region, head)[0], 10.0)  # without eye sockets and ears
    eyes = head[np.unique(np.searchsorted(region.used, region.quads[region.part == PARTS["eye"]]))]
    eye_height = eyes[:, 1].mean()
    angle = np.arctan2(points[:, 0], points[:, 2] - MAP_AXIS)
    height = points[:, 1] - eye_height
    before = (np.abs(height) < 0.15) & (np.abs(angle) < 0.45)
    if before.sum() < 4:
        return points
    side = np.sign(angle[before].mean())
    turn = angle * side
    # The edge of what falls over the face, by height.
    steps = np.linspace(-2.0, 0.8, 29)
    near = (turn > -0.45) & (turn < 1.3)
    edge = [np.append(turn[near & (np.abs(height - step) < 0.1)], 1.3).min() for step in steps]
    edge = np.interp(height, steps, gaussian_filter(np.array(edge), 1.0))
    # Open beside the eye from its height down, as it was at the hairline.
    wanted = 0.74 - 1.15 * ramp(height, 0.05, 0.62)
    goal = np.maximum(edge, wanted)
    swept = 1.3 - (1.3 - turn) * (1.3 - goal) / np.maximum(1.3 - edge, 1e-3)
    swept = np.where(near & (turn > edge - 0.15), swept, turn) * side

    def skin_radius(at: np.ndarray) -> np.ndarray:
        place = np.stack([np.sin(at), points[:, 1], np.cos(at) + MAP_AXIS], 1)
        return look_up(radius, np.stack(map_coordinates(place), 1))

    out = np.hypot(points[:, 0], points[:, 2] - MAP_AXIS)
    # What stands off stays off, but hair that swings from the nose to the temple comes closer.
    out = np.where(swept == angle, out, out - skin_radius(angle) + skin_radius(swept))
    return np.stack([out * np.sin(swept), points[:, 1], out * np.cos(swept) + MAP_AXIS], 1)


@cache
def many_heads() -> list[np.ndarray]:
    """Heads at the ends of what a population holds: every macro shape and every local change."""
    head = load_head()

    def shaped(weights: dict[str, float]) -> np.ndarray:
        vertices = head.template.copy()
        numbers = np.array([head.names.index(name) for name in weights])
        amounts = np.array(list(weights.values()), np.float32)
        add_targets(vertices, numbers, amounts, head.starts, head.indices, head.offsets)
        return vertices.astype(float)

    mean = {name: weight for weight, name in MEAN_HEAD}
    heads = [
        shaped({f"{phenotype}/{gender}/{age}": 1, f"{gender}/{age}/{muscle}/{weight}": 1})
        for phenotype in PHENOTYPES
        for gender in GENDERS
        for age in AGES
        for muscle in MUSCLES
        for weight in WEIGHTS
    ]
    heads += [
        shaped(mean | {head.names[number]: 0.8})
        for _, low, high in head.changes
        for number in (low, high)
        if number >= 0
    ]
    return heads


def clear_of_skin(
    head: np.ndarray,
    skin: np.ndarray,
    heads: list[np.ndarray],
    refs: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """The offsets, longer where the skin of some head would come through the hair that lies on it.

    Strands that begin under the skin stay there.
    """
    points = (head[refs] * weights[..., None]).sum(1) + offsets
    normals = vertex_normals(head.astype(np.float32), skin)
    on = np.unique(skin)
    distance, nearest = cKDTree(head[on]).query(points)
    nearest = on[nearest]
    depth = ((points - head[nearest]) * normals[nearest]).sum(1)
    close = np.flatnonzero((distance < 0.35) & (depth > -0.04) & (points[:, 1] > 6.7))
    worst = depth[close]
    for other in heads:
        normal = vertex_normals(other.astype(np.float32), skin)[nearest[close]]
        carried = (other[refs[close]] * weights[close, :, None]).sum(1) + offsets[close]
        worst = np.minimum(worst, ((carried - other[nearest[close]]) * normal).sum(1))
    push = np.zeros(len(points))
    push[close] = np.clip(CLEARANCE - worst, 0, 0.08)
    return offsets + push[:, None] * normals[nearest]
