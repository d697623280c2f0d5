"""Mesh work, compiled: shape targets, pose, normals, projection, and light past the head.

In: the arrays of `Head` and `Mesh`. Out: vertices, normals and screen positions, a vertex each.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numba
import numpy as np

from facelab.caches import compiled

# Sums may be regrouped (the same way on the same machine kind), but NaN and inf keep their rules.
jit = compiled(
    nogil=True,
    error_model="numpy",
    fastmath={"nsz", "arcp", "contract", "reassoc"},
)
# For functions that take the big tuples: as calls, passing those would cost more than the work.
inlined = numba.njit(
    inline="always",
    nogil=True,
    error_model="numpy",
    fastmath={"nsz", "arcp", "contract", "reassoc"},
)


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
        weight = weights[n]
        for row in range(starts[numbers[n]], starts[numbers[n] + 1]):
            v = np.uintp(indices[row])  # unsigned, for the sign of every other index is looked at
            vertices[v, 0] += weight * offsets[row, 0]
            vertices[v, 1] += weight * offsets[row, 1]
            vertices[v, 2] += weight * offsets[row, 2]


@jit
def write_normals(vertices: np.ndarray, triangles: np.ndarray, out: np.ndarray) -> None:
    """Unit normals, triangles weighted by area, into the first three columns of `out` (V, 3+)."""
    out[:, :3] = 0
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
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz
    for v in range(out.shape[0]):
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2)
        if length > 0:
            out[v, 0] /= length
            out[v, 1] /= length
            out[v, 2] /= length


@jit
def hollows(vertices, triangles, normals):
    """How hollow the surface is at each vertex, 1/dm, (V,): 0 where it is flat, below 0 on bulges.

    The mean curvature over the vertex's edges: how far their other ends stand above its plane.
    """
    found = np.zeros(len(vertices), np.float32)
    edges = np.zeros(len(vertices), np.float32)
    for t in range(len(triangles)):
        i, j, k = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        for a, b in ((i, j), (j, k), (k, i)):
            x = vertices[b, 0] - vertices[a, 0]
            y = vertices[b, 1] - vertices[a, 1]
            z = vertices[b, 2] - vertices[a, 2]
            square = x * x + y * y + z * z + np.float32(1e-8)
            found[a] += 2 * (normals[a, 0] * x + normals[a, 1] * y + normals[a, 2] * z) / square
            found[b] -= 2 * (normals[b, 0] * x + normals[b, 1] * y + normals[b, 2] * z) / square
            edges[a] += 2
    for v in range(len(found)):
        found[v] /= max(np.float32(1), edges[v])
    return found


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32."""
    normals = np.empty((len(vertices), 3), np.float32)
    write_normals(np.asarray(vertices, np.float32), triangles, normals)
    return normals


@jit
def pose(vertices, sway, r):
    """Turn the head on the neck by the rotation `r`, in place, each vertex by its `sway`."""
    pivot_y, pivot_z = -0.9, -1.0
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0], vertices[v, 1] - pivot_y, vertices[v, 2] - pivot_z
        s = sway[v]
        vertices[v, 0] = x + s * (r[0, 0] * x + r[0, 1] * y + r[0, 2] * z - x)
        vertices[v, 1] = y + s * (r[1, 0] * x + r[1, 1] * y + r[1, 2] * z - y) + pivot_y
        vertices[v, 2] = z + s * (r[2, 0] * x + r[2, 1] * y + r[2, 2] * z - z) + pivot_z


@jit
def project(vertices, distance):
    """Perspective: (V, 3) float32, x to the right and y down in dm at the eyes, z away."""
    screen = np.empty((len(vertices), 3), np.float32)
    for v in range(len(vertices)):
        near = distance / max(0.5, distance - vertices[v, 2])
        screen[v, 0] = vertices[v, 0] * near
        screen[v, 1] = -vertices[v, 1] * near
        screen[v, 2] = -vertices[v, 2]
    return screen


@jit
def landmarks(screen, eyes, points):
    """The five landmarks (5, 2): the middles of both eyes' vertices, then single vertices."""
    found = np.zeros((5, 2))
    for side in range(2):
        for n in range(eyes.shape[1]):
            found[side, 0] += screen[eyes[side, n], 0] / eyes.shape[1]
            found[side, 1] += screen[eyes[side, n], 1] / eyes.shape[1]
    for n in range(3):
        found[2 + n, 0] = screen[points[n], 0]
        found[2 + n, 1] = screen[points[n], 1]
    return found


@jit
def fit(found, target):
    """The least-squares similarity from `found` to `target` (N, 2), as a, b, x, y.

    A point (p, q) goes to (a p - b q + x, b p + a q + y). Source: Umeyama 1991, in the plane.
    """
    fx, fy = found[:, 0].mean(), found[:, 1].mean()
    tx, ty = target[:, 0].mean(), target[:, 1].mean()
    a = b = square = 0.0
    for n in range(len(found)):
        px, py = found[n, 0] - fx, found[n, 1] - fy
        qx, qy = target[n, 0] - tx, target[n, 1] - ty
        a += px * qx + py * qy
        b += px * qy - py * qx
        square += px * px + py * py
    a, b = a / square, b / square
    return a, b, tx - a * fx + b * fy, ty - b * fx - a * fy


@jit
def place_on_screen(screen, a, b, x, y, setback):
    """Apply a similarity to x and y, in place; `setback` moves some vertices away in depth."""
    for v in range(len(screen)):
        px, py = screen[v, 0], screen[v, 1]
        screen[v, 0] = a * px - b * py + x
        screen[v, 1] = b * px + a * py + y
        # Teeth do not follow every change of the lips: set back, they do not come through them.
        screen[v, 2] += setback[v]


@jit
def spherical_harmonics(x, y, z):
    """Real spherical harmonics up to degree 3 at a unit direction: (16,)."""
    return np.array(
        [
            0.282095,
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
            0.590044 * y * (3 * x * x - y * y),
            2.890611 * x * y * z,
            0.457046 * y * (5 * z * z - 1),
            0.373176 * z * (5 * z * z - 3),
            0.457046 * x * (5 * z * z - 1),
            1.445306 * z * (x * x - y * y),
            0.590044 * x * (x * x - 3 * y * y),
        ]
    )


@jit
def light_reaching(shadow, r, light, size, out):
    """Share of the key light that each vertex sees past the rest of the head, into `out` (V,).

    `r` holds the nine numbers of the head's turn, a row of the matrix after the other.
    The larger the light (`size`, 0 a point .. 1 a whole wall), the wider the edge of its shadows.
    """
    width = 0.35 + 0.65 * size
    low = 0.45 - width / 2
    x = r[0] * light[0] + r[3] * light[1] + r[6] * light[2]
    y = r[1] * light[0] + r[4] * light[1] + r[7] * light[2]
    z = r[2] * light[0] + r[5] * light[1] + r[8] * light[2]
    basis = spherical_harmonics(x, y, z)
    for v in range(len(shadow)):
        total = 0.0
        for k in range(16):
            total += basis[k] * shadow[v, k]
        shade = min(1.0, max(0.0, (total - low) / width))
        out[v] = shade * shade * (3 - 2 * shade)
