"""Mesh work: add shape targets, vertex normals, draw triangles into a z-buffer; compiled.

In: screen-space vertices (x right, y down, z away from the camera) and triangles. Out: depth and
the index of the nearest triangle at each sample.
"""

import numpy as np

from facelab.synthetic.paint import jit, strands


@jit
def add_targets(
    vertices: np.ndarray,
    numbers: np.ndarray,
    weights: np.ndarray,
    starts: np.ndarray,
    indices: np.ndarray,
    offsets: np.ndarray,
) -> None:
    """Add weighted shape targets (compressed rows, see `Head`) to the vertices, in place."""
    for n in range(len(numbers)):
        for row in range(starts[numbers[n]], starts[numbers[n] + 1]):
            for axis in range(3):
                vertices[indices[row], axis] += weights[n] * offsets[row, axis]


@jit
def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32, triangles weighted by area."""
    normals = np.zeros((vertices.shape[0], 3), np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx = uy * vz - uz * vy
        ny = uz * vx - ux * vz
        nz = ux * vy - uy * vx
        for k in (a, b, c):
            normals[k, 0] += nx
            normals[k, 1] += ny
            normals[k, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            normals[v, 0] /= length
            normals[v, 1] /= length
            normals[v, 2] /= length
    return normals


@jit
def rasterise(
    screen: np.ndarray,
    triangles: np.ndarray,
    size: int,
    closed: int,
    cover: np.ndarray,
    place: np.ndarray,
    lattice: np.ndarray,
    curl: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Depth (size, size) float32 and nearest triangle (size, size) int32, -1 where there is none.

    A sample lies at the middle of its cell. The first `closed` triangles belong to closed surfaces:
    of these only the sides that face the camera are drawn. Of the others, where `cover` (V,) falls
    below 1, strand noise at the canonical `place` (V, 3) decides which samples are gaps.
    """
    depth = np.full((size, size), np.inf, np.float32)
    nearest = np.full((size, size), -1, np.int32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = float(screen[a, 0]), float(screen[a, 1]), float(screen[a, 2])
        bx, by, bz = float(screen[b, 0]), float(screen[b, 1]), float(screen[b, 2])
        cx, cy, cz = float(screen[c, 0]), float(screen[c, 1]), float(screen[c, 2])
        # Rows run down, so what turns counter-clockwise towards the camera has a negative area.
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (area > 0 and t < closed):
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
                if z >= depth[row, column]:
                    continue
                if t >= closed:
                    dense = u * cover[a] + v * cover[b] + w * cover[c]
                    if dense <= 0:
                        continue
                    if dense < 1:
                        px = u * place[a, 0] + v * place[b, 0] + w * place[c, 0]
                        py = u * place[a, 1] + v * place[b, 1] + w * place[c, 1]
                        pz = u * place[a, 2] + v * place[b, 2] + w * place[c, 2]
                        if dense < 1.3 * strands(lattice, px, py, pz, curl) - 0.15:
                            continue
                depth[row, column] = z
                nearest[row, column] = t
    return depth, nearest
