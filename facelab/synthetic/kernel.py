"""What is seen and how it looks, compiled: visibility, painting, shading.

In: posed vertices on the screen. Out: linear light (size, size, 3). What is painted (brows, lips,
marks, strands) is a function of canonical place, a point of the template mesh: it follows the face
through every change of shape, and needs no texture file.

One file, because numba's cache notices a change only in the file of the function that it cached.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.head import PARTS
from facelab.synthetic.mesh import inlined, jit

SKIN, MOUTH, EYE, TEETH, LASH, HAIR = (
    PARTS[name] for name in ("skin", "mouth", "eye", "teeth", "lash", "hair")
)
# Columns of `Mesh.fields`: what varies slowly over the skin is held a vertex.
FIELDS = ("openness", "lips", "scalp", "beard", "melanin", "blood")
OPENNESS, LIPS, SCALP, BEARD, MELANIN, BLOOD = range(len(FIELDS))


@jit
def noise3(lattice, x, y, z):
    """Value noise, 0..1: smooth interpolation between random lattice values (period 32)."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = int(fx) & 31, int(fy) & 31, int(fz) & 31
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    i1, j1, k1 = (i + 1) & 31, (j + 1) & 31, (k + 1) & 31
    a = lattice[i, j, k] * (1 - w) + lattice[i, j, k1] * w
    b = lattice[i, j1, k] * (1 - w) + lattice[i, j1, k1] * w
    c = lattice[i1, j, k] * (1 - w) + lattice[i1, j, k1] * w
    d = lattice[i1, j1, k] * (1 - w) + lattice[i1, j1, k1] * w
    return (a * (1 - v) + b * v) * (1 - u) + (c * (1 - v) + d * v) * u


@jit
def step(low, high, value):
    """0 below low, 1 above high, smooth between."""
    t = (value - low) / (high - low)
    t = min(1.0, max(0.0, t))
    return t * t * (3 - 2 * t)


@jit
def bell(value):
    """exp(-value^2), cheaper, and 0 from 2 on."""
    t = max(0.0, 1 - 0.25 * value * value)
    return t * t * t * t


@jit
def fading(value):
    """exp(-value) near 0, cheaper; never negative."""
    t = 1 - 0.25 * value
    return max(0.0, t) ** 4 if value > 0 else 1 - value * (1 - 0.5 * value)


@jit
def strands(lattice, px, py, pz, curl):
    """Hair strand pattern, 0..1: fine across the fall of the hair, coarse along it."""
    side = min(1.0, px * px * 2.2)
    along = 2.5 + 22 * curl
    top = noise3(lattice, px * 30, py * along, pz * along * 0.8)
    flank = noise3(lattice, px * 12 + 7, py * along, pz * 30)
    fine = noise3(lattice, px * 55 + 3, py * along * 1.7, pz * 55)
    return (top * (1 - side) + flank * side) * 0.65 + fine * 0.35


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
                        # Finer than the shading's strands, so that a hairline frays softly.
                        gap = noise3(lattice, px * 70, py * (18 + 52 * curl), pz * 70)
                        if dense < 1.3 * gap - 0.15:
                            continue
                depth[row, column] = z
                nearest[row, column] = t
    return depth, nearest


@inlined
def skin_colour(look, shot, lattice, px, py, pz, lip, paint, beard, melanin, blood, colour):
    """Albedo of skin at a canonical place, into `colour`; returns its gloss."""
    ax = abs(px)
    ox, oy, oz = look.noise[0], look.noise[1], look.noise[2]
    mid = noise3(lattice, px * 14 + oy, py * 14 + oz, pz * 14 + ox) - 0.5
    fine = noise3(lattice, px * 46 + oz, py * 46 + ox, pz * 46 + oy) - 0.5
    more_melanin = melanin + look.blotches * (mid * 0.7 + fine * 0.6)
    more_blood = blood + 0.12 * mid
    if look.freckles > 0:
        spots = noise3(lattice, px * 38 + ox, py * 38 + oz, pz * 38 + oy)
        patch = step(6.4, 6.8, py) * step(8.0, 7.3, py) * step(0.9, 1.2, pz)
        more_melanin += look.freckles * patch * 0.25 * step(0.60, 0.95, spots)
    for n in range(len(look.marks)):
        if look.marks[n, 3] > 0:
            dx, dy = (px - look.marks[n, 0]), (py - look.marks[n, 1])
            gap = (dx * dx + dy * dy) / (look.marks[n, 2] * look.marks[n, 2])
            if gap < 4 and pz > 0.6:
                more_melanin += look.marks[n, 3] * bell(np.sqrt(gap) * 1.2)
    lined = 1.0
    if look.wrinkles > 0.15 and pz > 1.1:
        brow_lines = np.sin(py * 42 + 20 * blood + 5 * mid + 2 * px) ** 6
        lined -= (
            0.2
            * look.wrinkles
            * (0.5 + mid)
            * brow_lines
            * step(7.56, 7.66, py)
            * step(8.0, 7.9, py)
        )
        crow = np.sin((py - 7.26) / (0.05 + abs(ax - 0.42)) * 9) ** 6
        lined -= 0.3 * look.wrinkles * crow * bell((ax - 0.58) / 0.06) * bell((py - 7.26) / 0.1)
    mouth = step(0.22, 0.42, lip) * step(1.1, 1.25, pz)
    more_blood += mouth * look.lip_red
    more_melanin += mouth * look.lip_dark
    for c in range(3):
        colour[c] = (
            look.skin[c]
            * lined
            * fading(look.melanin[c] * more_melanin + look.blood[c] * more_blood)
        )
    gloss = look.gloss * (1 + 0.8 * mouth + 0.5 * bell(px / 0.2))
    if mouth > 0 and shot.lipstick_amount > 0:
        for c in range(3):
            colour[c] += (shot.lipstick[c] - colour[c]) * mouth * shot.lipstick_amount
        gloss += 0.1 * mouth
    # Brows: a tapering arch between an inner and an outer end, broken into hairs.
    inner, outer = look.brow[3], look.brow[4]
    if pz > 1.0 and 7.2 < py < 7.75 and inner - 0.08 < ax < outer + 0.08:
        t = (ax - inner) / (outer - inner)
        middle = look.brow[1] + look.brow[2] * (1 - (t - 0.62) ** 2 / 0.38) + look.brow[6] * t
        half = look.brow[0] * (1 - 0.55 * step(0.45, 1.05, t))
        hairs = noise3(lattice, ax * 60 + py * 25 + ox, py * 22 - ax * 12, 3.0 + oy)
        amount = (1 - step(0.55, 1.15, abs(py - middle) / half)) * step(-0.10, 0.12, t)
        amount *= (1 - step(0.92, 1.08, t)) * look.brow[5] * (0.45 + 0.75 * hairs)
        amount = min(0.92, amount)
        for c in range(3):
            colour[c] += (look.brow_colour[c] - colour[c]) * amount
        gloss *= 1 - amount
    if beard > 0.01:
        hairs = noise3(lattice, px * 50 + ox, py * 24 + oy, pz * 50 + oz)
        amount = min(0.94, beard * (0.55 + 0.9 * hairs))
        for c in range(3):
            colour[c] += (look.brow_colour[c] * 1.1 - colour[c]) * amount
        gloss *= 1 - 0.8 * amount
    if paint > 0.01:
        hairs = strands(lattice, px, py, pz, look.curl)
        amount = min(0.95, paint * (0.6 + 0.8 * hairs))
        for c in range(3):
            colour[c] += (look.hair[c] - colour[c]) * amount
        gloss *= 1 - amount
    # A shirt, with a collar that dips in front.
    collar = 5.45 + 0.28 * ax - 0.25 * step(0.3, 0.9, pz)
    cloth = step(collar + 0.02, collar - 0.02, py)
    if cloth > 0:
        weave = 0.85 + 0.3 * noise3(lattice, px * 20, py * 20, pz * 20)
        for c in range(3):
            colour[c] += (shot.shirt[c] * weave - colour[c]) * cloth
        gloss *= 1 - cloth
    return gloss


@inlined
def eye_colour(look, shot, px, py, pz, colour):
    """Albedo of an eyeball at a canonical place, into `colour`; returns its shade, 0..1."""
    side = 1.0 if px > 0 else -1.0
    dx, dy = (px - side * 0.3078) / 0.145, (py - 7.284) / 0.145
    # Gaze is given in the picture's frame; the face looks at the camera with x to its left.
    ex, ey = dx - shot.gaze[0], dy - shot.gaze[1]
    radius = np.sqrt(ex * ex + ey * ey)
    iris = 1 - step(0.43, 0.49, radius)
    pupil = 1 - step(0.16, 0.20, radius)
    ring = 0.45 + 0.55 * (1 - step(0.30, 0.46, radius))
    corner = step(0.5, 1.0, abs(dx))
    white = (0.62, 0.585 - 0.10 * corner, 0.56 - 0.12 * corner)
    for c in range(3):
        tone = white[c] + (look.iris[c] * (0.6 + 0.8 * ring) * ring - white[c]) * iris
        colour[c] = tone * (1 - 0.96 * pupil)
    return 0.35 + 0.65 * step(0.62, -0.1, dy)


@inlined
def background_colour(shot, lattice, x, y, colour):
    """What lies behind, at a place 0..1 of the picture, into `colour`: two tones, out of focus."""
    b = shot.background
    f = 1.0 + 3.0 * b[9]
    n = noise3(lattice, x * f + b[6], y * f + b[7], b[8])
    bars = noise3(lattice, (x + 0.3 * n * b[11]) * (2 + 6 * b[10]) + b[8], y * 0.7, b[6])
    t = step(0.3, 0.7, 0.55 * n + 0.45 * bars)
    glow = 0.75 + 0.5 * noise3(lattice, x * 1.3 + b[7], y * 1.3, b[6] + 9)
    for c in range(3):
        colour[c] = (b[c] + (b[3 + c] - b[c]) * t) * glow


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
    gloss, doublings, wrap = 0.0, 4, 0.2
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
        gloss, doublings = 0.5, 7
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
        gloss, doublings, wrap = 0.12 * pattern * (1 - 0.6 * look.curl), 3, 0.35
    else:
        out[0], out[1], out[2] = 0.20, 0.045, 0.04
        openness *= 0.6
        gloss = 0.05
    facing = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
    hx, hy, hz = shot.light[0], shot.light[1], shot.light[2] + 1
    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
    sheen = 0.0
    if facing > 0 and half > 0:
        for _ in range(doublings):  # half to the power of 2^doublings
            half *= half
        sheen = gloss * half * lit
    edge = (1 - max(0.0, nz)) * (1 - max(0.0, nz))
    rim = 0.25 * gloss * edge * edge * openness
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
def noise_at(lattice, places):
    """Value noise at places (N, 3)."""
    values = np.empty(len(places), np.float32)
    for n in range(len(places)):
        values[n] = noise3(lattice, places[n, 0], places[n, 1], places[n, 2])
    return values


@jit
def photograph(mesh, look, shot, vertices, normals, screen, reach, lattice, size):
    """Light that reaches the sensor, linear RGB (size, size, 3) float32.

    Visibility is tested at 2 x 2 samples a pixel; samples of a pixel that show the same surface are
    shaded once, at their middle.
    """
    fine = screen * np.float32(2)
    fine[:, 2] = screen[:, 2]
    depth, nearest = rasterise(
        fine,
        mesh.triangles,
        2 * size,
        mesh.closed,
        mesh.cover,
        mesh.place,
        lattice,
        look.curl,
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
    return light
