"""The renderer: deform, project, rasterise, shade, develop; compiled, one call a photo.

In: the arrays that `facelab.synthetic.render` prepares. Out: uint8 (size, size, 3).
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.head import PARTS
from facelab.synthetic.paint import (
    background_colour,
    eye_colour,
    inlined,
    jit,
    skin_colour,
    step,
    strands,
)
from facelab.synthetic.raster import add_targets, rasterise, vertex_normals

SKIN, MOUTH, EYE, TEETH, LASH, HAIR = (
    PARTS[name] for name in ("skin", "mouth", "eye", "teeth", "lash", "hair")
)
# Columns of `Mesh.fields`: what varies slowly over the skin is held a vertex.
FIELDS = ("openness", "lips", "scalp", "beard", "melanin", "blood")
OPENNESS, LIPS, SCALP, BEARD, MELANIN, BLOOD = range(len(FIELDS))


@jit
def pose(mesh, shot, numbers, weights, starts, indices, offsets):
    """Vertices in the camera's frame: expression, then the head's turn on the neck."""
    vertices = mesh.neutral.copy()
    add_targets(vertices, numbers, weights, starts, indices, offsets)
    r = shot.rotation
    pivot_y, pivot_z = -0.9, -1.0
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0], vertices[v, 1] - pivot_y, vertices[v, 2] - pivot_z
        s = mesh.sway[v]
        vertices[v, 0] = x + s * (r[0, 0] * x + r[0, 1] * y + r[0, 2] * z - x)
        vertices[v, 1] = y + s * (r[1, 0] * x + r[1, 1] * y + r[1, 2] * z - y) + pivot_y
        vertices[v, 2] = z + s * (r[2, 0] * x + r[2, 1] * y + r[2, 2] * z - z) + pivot_z
    return vertices


@jit
def project(mesh, shot, vertices, template):
    """Screen vertices in crop pixels: perspective, then the five landmarks onto the template."""
    count = len(vertices)
    screen = np.empty((count, 3), np.float32)
    for v in range(count):
        near = shot.distance / max(0.5, shot.distance - vertices[v, 2])
        screen[v, 0] = vertices[v, 0] * near
        screen[v, 1] = -vertices[v, 1] * near
        screen[v, 2] = -vertices[v, 2]
    found = np.zeros((5, 2))
    for side in range(2):
        for n in range(mesh.eyes.shape[1]):
            found[side, 0] += screen[mesh.eyes[side, n], 0] / mesh.eyes.shape[1]
            found[side, 1] += screen[mesh.eyes[side, n], 1] / mesh.eyes.shape[1]
    for n in range(3):
        found[2 + n, 0] = screen[mesh.landmarks[n], 0]
        found[2 + n, 1] = screen[mesh.landmarks[n], 1]
    # Least-squares similarity (Umeyama 1991, in the plane).
    fx, fy = found[:, 0].mean(), found[:, 1].mean()
    tx, ty = template[:, 0].mean(), template[:, 1].mean()
    a = b = square = 0.0
    for n in range(5):
        px, py = found[n, 0] - fx, found[n, 1] - fy
        qx, qy = template[n, 0] - tx, template[n, 1] - ty
        a += px * qx + py * qy
        b += px * qy - py * qx
        square += px * px + py * py
    a, b = a / square, b / square
    scale = (tx * 2) / 112.0
    c, s = np.cos(shot.tilt) * shot.zoom, np.sin(shot.tilt) * shot.zoom
    a, b = a * c - b * s, a * s + b * c
    tx, ty = tx + shot.shift[0] * scale, ty + shot.shift[1] * scale
    for v in range(count):
        px, py = screen[v, 0] - fx, screen[v, 1] - fy
        screen[v, 0] = a * px - b * py + tx
        screen[v, 1] = b * px + a * py + ty
    # Teeth do not follow every change of the lips: set back, they cannot come through them.
    for v in range(count):
        screen[v, 2] += mesh.setback[v]
    return screen


@jit
def light_reaching(mesh, shot):
    """Share of the key light that each vertex sees past the rest of the head."""
    r, light = shot.rotation, shot.light
    x = r[0, 0] * light[0] + r[1, 0] * light[1] + r[2, 0] * light[2]
    y = r[0, 1] * light[0] + r[1, 1] * light[1] + r[2, 1] * light[2]
    z = r[0, 2] * light[0] + r[1, 2] * light[1] + r[2, 2] * light[2]
    basis = np.array(
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
    reach = np.empty(len(mesh.shadow), np.float32)
    for v in range(len(reach)):
        total = 0.0
        for k in range(16):
            total += basis[k] * mesh.shadow[v, k]
        reach[v] = step(0.15, 0.75, total)
    return reach


@inlined
def shade(mesh, look, shot, lattice, vertices, normals, reach, tri, u, v, w, out):
    """Light leaving one point of the surface towards the camera, linear RGB, into `out`."""
    ia, ib, ic = mesh.triangles[tri, 0], mesh.triangles[tri, 1], mesh.triangles[tri, 2]
    part = mesh.part[tri]
    fields = mesh.fields
    px = u * mesh.place[ia, 0] + v * mesh.place[ib, 0] + w * mesh.place[ic, 0]
    py = u * mesh.place[ia, 1] + v * mesh.place[ib, 1] + w * mesh.place[ic, 1]
    pz = u * mesh.place[ia, 2] + v * mesh.place[ib, 2] + w * mesh.place[ic, 2]
    nx = u * normals[ia, 0] + v * normals[ib, 0] + w * normals[ic, 0]
    ny = u * normals[ia, 1] + v * normals[ib, 1] + w * normals[ic, 1]
    nz = u * normals[ia, 2] + v * normals[ib, 2] + w * normals[ic, 2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    nx, ny, nz = nx / length, ny / length, nz / length
    lit = u * reach[ia] + v * reach[ib] + w * reach[ic]
    openness = u * fields[ia, OPENNESS] + v * fields[ib, OPENNESS] + w * fields[ic, OPENNESS]
    gloss, power, wrap = 0.0, 16.0, 0.2
    if part == SKIN:
        lip = u * fields[ia, LIPS] + v * fields[ib, LIPS] + w * fields[ic, LIPS]
        paint = u * fields[ia, SCALP] + v * fields[ib, SCALP] + w * fields[ic, SCALP]
        beard = u * fields[ia, BEARD] + v * fields[ib, BEARD] + w * fields[ic, BEARD]
        melanin = u * fields[ia, MELANIN] + v * fields[ib, MELANIN] + w * fields[ic, MELANIN]
        blood = u * fields[ia, BLOOD] + v * fields[ib, BLOOD] + w * fields[ic, BLOOD]
        gloss = skin_colour(look, shot, lattice, px, py, pz, lip, paint, beard, melanin, blood, out)
    elif part == EYE:
        dim = eye_colour(look, shot, px, py, pz, out)
        openness, lit = dim * 0.9, lit * dim
        gloss, power = 0.5, 120.0
    elif part == TEETH:
        out[0], out[1], out[2] = 0.60, 0.54, 0.45
        openness = max(openness, 0.35)
        gloss = 0.1
    elif part == LASH:
        for c in range(3):
            out[c] = 0.012
    elif part == HAIR:
        if nz < 0:
            nx, ny, nz = -nx, -ny, -nz
        pattern = strands(lattice, px, py, pz, look.curl)
        for c in range(3):
            out[c] = look.hair[c] * (0.35 + 1.3 * pattern)
        openness = 0.35 + 0.65 * openness
        lit = 0.3 + 0.7 * lit
        gloss, power, wrap = 0.10 * pattern * (1 - 0.6 * look.curl), 10.0, 0.35
    else:
        out[0], out[1], out[2] = 0.20, 0.045, 0.04
        openness *= 0.6
        gloss = 0.05
    facing = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
    hx, hy, hz = shot.light[0], shot.light[1], shot.light[2] + 1
    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
    sheen = gloss * max(0.0, half) ** power * lit if facing > 0 else 0.0
    rim = 0.25 * gloss * (1 - max(0.0, nz)) ** 4 * openness
    up = 0.5 + 0.5 * ny
    for c in range(3):
        # Light scatters under skin, red furthest: the edge of shade is warm.
        soft = wrap * (1.3 - 0.4 * c) if part == SKIN else wrap
        direct = max(0.0, (facing + soft) / (1 + soft)) * lit
        around = (shot.ground[c] + (shot.sky[c] - shot.ground[c]) * up) * openness
        front = 0.35 * shot.sky[c] * max(0.0, nz) * openness
        out[c] = out[c] * (shot.key[c] * direct + around + front) + (
            shot.key[c] * sheen + shot.sky[c] * rim
        )


@jit
def develop(light, shot, curve, grain):
    """Lens blur, sensor noise, tone curve and 8 bits."""
    size = light.shape[0]
    sd = shot.blur * size / 112
    if sd > 0.15:
        radius = int(np.ceil(2.5 * sd))
        kernel = np.empty(2 * radius + 1, np.float32)
        for n in range(-radius, radius + 1):
            kernel[n + radius] = np.exp(-0.5 * (n / sd) ** 2)
        kernel /= kernel.sum()
        for axis in range(2):
            source = light.copy()
            for row in range(size):
                for column in range(size):
                    r = g = b = np.float32(0)
                    for n in range(-radius, radius + 1):
                        if axis == 0:
                            i, j = min(size - 1, max(0, row + n)), column
                        else:
                            i, j = row, min(size - 1, max(0, column + n))
                        k = kernel[n + radius]
                        r += k * source[i, j, 0]
                        g += k * source[i, j, 1]
                        b += k * source[i, j, 2]
                    light[row, column, 0] = r
                    light[row, column, 1] = g
                    light[row, column, 2] = b
    picture = np.empty((size, size, 3), np.uint8)
    for row in range(size):
        for column in range(size):
            for c in range(3):
                x = light[row, column, c] * shot.gain
                # Shot noise grows with the root of the signal, read noise does not.
                x += grain[row, column, c] * shot.noise * (0.25 + np.sqrt(max(0.0, x)))
                x = max(0.0, x)
                x = x * (1 + x / 5.0) / (1 + 0.8 * x)
                place = min(1.0, x) * 4096
                low = min(4095, int(place))
                value = curve[low] + (curve[low + 1] - curve[low]) * (place - low)
                picture[row, column, c] = np.uint8(value + 0.5)
    return picture


@jit
def photograph(
    mesh, look, shot, numbers, weights, starts, indices, offsets, template, lattice, curve, grain
):
    """The whole picture: uint8 (size, size, 3).

    Visibility is tested at 2 x 2 samples a pixel; samples of a pixel that show the same surface are
    shaded once, at their middle.
    """
    size = grain.shape[0]
    vertices = pose(mesh, shot, numbers, weights, starts, indices, offsets)
    screen = project(mesh, shot, vertices, template)
    normals = vertex_normals(vertices, mesh.triangles)
    reach = light_reaching(mesh, shot)
    fine = screen * np.float32(2)
    fine[:, 2] = screen[:, 2]
    depth, nearest = rasterise(
        fine, mesh.triangles, 2 * size, mesh.closed, mesh.cover, mesh.place, lattice, look.curl
    )
    light = np.zeros((size, size, 3), np.float32)
    colour = np.zeros(3)
    tris, parts, depths, taken = (
        np.empty(4, np.int64),
        np.empty(4, np.int64),
        np.empty(4),
        np.empty(4, np.bool_),
    )
    for row in range(size):
        for column in range(size):
            for s in range(4):
                i, j = 2 * row + s // 2, 2 * column + s % 2
                tris[s] = nearest[i, j]
                parts[s] = mesh.part[tris[s]] if tris[s] >= 0 else -1
                depths[s] = depth[i, j]
                taken[s] = False
            for s in range(4):
                if taken[s]:
                    continue
                x = y = 0.0
                count = 0
                for q in range(s, 4):
                    near = parts[s] < 0 or abs(depths[q] - depths[s]) < 0.06
                    if not taken[q] and parts[q] == parts[s] and near:
                        taken[q] = True
                        x += 2 * column + q % 2 + 0.5
                        y += 2 * row + q // 2 + 0.5
                        count += 1
                x, y = x / count, y / count
                if tris[s] < 0:
                    background_colour(shot, lattice, x / (2 * size), y / (2 * size), colour)
                else:
                    t = tris[s]
                    ia, ib, ic = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
                    ax, ay = fine[ia, 0], fine[ia, 1]
                    bx, by = fine[ib, 0], fine[ib, 1]
                    cx, cy = fine[ic, 0], fine[ic, 1]
                    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
                    u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                    v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                    # The middle of the samples may lie just outside the first one's triangle.
                    u, v = min(1.2, max(-0.2, u)), min(1.2, max(-0.2, v))
                    shade(
                        mesh, look, shot, lattice, vertices, normals, reach,
                        t, u, v, 1 - u - v, colour,
                    )  # fmt: skip
                for c in range(3):
                    light[row, column, c] += colour[c] * count / 4
    return develop(light, shot, curve, grain)
