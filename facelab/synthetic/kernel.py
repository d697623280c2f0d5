"""How what is seen looks, compiled: surfaces and shading.

In: what `visibility` found, and a subject's painted skin. Out: linear light (size, size, 3).

Numba's cache notices a change only in the file of the function that it cached: after an edit of
`mesh.py`, `eyes.py` or `noise.py`, touch this file, `visibility.py`, `paint.py` and `backdrop.py`.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.eyes import eye_colour
from facelab.synthetic.head import PARTS
from facelab.synthetic.mesh import jit
from facelab.synthetic.noise import noise3, step
from facelab.synthetic.styles import MAP_AXIS

SKIN, MOUTH, EYE, TEETH, LASH, HAIR, FRAME, CLOTH = (
    PARTS[name] for name in ("skin", "mouth", "eye", "teeth", "lash", "hair", "frame", "cloth")
)
# Columns of the vertex table that shading reads, after the normal: a vertex is one place in memory.
REACH, PLACE, OPENNESS, UV = 3, 4, 7, 8
COLUMNS = 10
TARGETS = (3, 4, 5, 6, 13, 14, 15, 7, 16, 17)  # the rows of `photograph` that they go to


@jit
def surfaces(kinds, count, skin, look, shot, lattice, rows):
    """What is at points of the surface, in the first `count` columns of `rows`.

    Rows 3 to 5 hold the normal, 6 the light that arrives, 7 the openness, 13 to 15 the canonical
    place, 16 and 17 the place on a map, 18 a strand's brightness. Rows 0 to 2 become the colour, 8
    to 12 gloss, sharpness of the highlight, wrap, scatter, and whether it is a strand.
    """
    height, width = skin.shape[0], skin.shape[1]
    colour, texel, cornea = np.zeros(3), np.zeros(7), np.zeros(4)
    turn = shot.turn
    one = np.uintp(1)
    for n in range(count):
        kind = kinds[n]
        nx, ny, nz, lit, openness = rows[3, n], rows[4, n], rows[5, n], rows[6, n], rows[7, n]
        px, py, pz, across, down = rows[13, n], rows[14, n], rows[15, n], rows[16, n], rows[17, n]
        gloss, sharpness, wrap, scatter, strand = 0.0, 16.0, 0.2, 0.0, 0.0
        if kind == SKIN:
            # Four texels of the skin's map.
            x = min(width - 1.001, max(0.0, across * width - 0.5))
            y = min(height - 1.001, max(0.0, down * height - 0.5))
            i, j = np.uintp(y), np.uintp(x)
            fy, fx = y - i, x - j
            fx, gx, gy = fx / 255, (1 - fx) / 255, 1 - fy
            t00, t01, t10, t11 = gy * gx, gy * fx, fy * gx, fy * fx
            for k in range(7):
                top = t00 * skin[i, j, k] + t01 * skin[i, j + one, k]
                low = t10 * skin[i + one, j, k] + t11 * skin[i + one, j + one, k]
                texel[k] = top + low
            for c in range(3):
                colour[c] = texel[c] * texel[c]
            gloss = 0.5 * texel[3]
            made_up = 2 * texel[4] - 1.004
            if made_up > 0.02 and shot.lipstick_amount > 0:
                # A thin layer: what is light under it stays lighter.
                lips = made_up * shot.lipstick_amount
                for c in range(3):
                    colour[c] *= 1 + (shot.lipstick[c] - 1) * lips
                gloss += 0.06 * lips
            elif made_up < -0.02 and shot.eye_shadow > 0:
                for c in range(3):
                    colour[c] *= 1 + made_up * shot.eye_shadow * (0.55 + 0.10 * c)
            # The relief tilts the surface along the map's two directions, turned as the head is.
            right, up = 2 * texel[5] - 1.004, 2 * texel[6] - 1.004
            ahead = pz - np.float32(MAP_AXIS)
            share = right / np.sqrt(px * px + ahead * ahead + 1e-6)
            fore, aside = ahead * share, px * share
            nx -= fore * turn[0] - aside * turn[2] + up * turn[1]
            ny -= fore * turn[3] - aside * turn[5] + up * turn[4]
            nz -= fore * turn[6] - aside * turn[8] + up * turn[7]
            scatter = 1.0
            if py < 5.9:
                # A shirt, with a collar that dips in front.
                collar = 5.45 + 0.28 * abs(px) - 0.25 * step(0.3, 0.9, pz)
                cloth = step(collar + 0.02, collar - 0.02, py)
                weave = 0.85 + 0.3 * noise3(lattice, px * 20, py * 20, pz * 20)
                for c in range(3):
                    colour[c] += (shot.shirt[c] * weave - colour[c]) * cloth
                gloss *= 1 - cloth
            elif py > shot.brim:
                # Under a cap's visor.
                shade_of = 1 - 0.45 * step(shot.brim, shot.brim + 0.25, py)
                openness *= shade_of
                lit *= shade_of
        else:
            if kind >= HAIR and nz < 0:  # open surfaces are seen from both sides
                nx, ny, nz = -nx, -ny, -nz
            if kind == HAIR:
                pattern = rows[18, n]
                # Less light comes back from between the strands, and the deeper the less.
                pattern *= 0.45 + 0.55 * openness
                for c in range(3):
                    colour[c] = look.hair[c] * (0.15 + 1.9 * pattern)
                openness = 0.25 + 0.75 * openness
                lit = 0.2 + 0.8 * lit
                gloss, sharpness, wrap = 0.14 * pattern * (1 - 0.8 * look.curl), 128.0, 0.35
                strand = 1.0
            elif kind == EYE:
                dim = eye_colour(look, shot, px, py, colour, cornea)
                openness, lit = dim * 0.8, (0.35 + 0.6 * lit) * dim
                share = cornea[3]
                ex, ey, ez = cornea[0], cornea[1], cornea[2]
                nx += share * (ex * turn[0] + ey * turn[1] + ez * turn[2] - nx)
                ny += share * (ex * turn[3] + ey * turn[4] + ez * turn[5] - ny)
                nz += share * (ex * turn[6] + ey * turn[7] + ez * turn[8] - nz)
                gloss, sharpness = 0.15 + 2.2 * share, 256.0
            elif kind == TEETH:
                colour[0], colour[1], colour[2] = 0.76, 0.70, 0.60
                # Baked behind closed lips: the further these part, the more light gets in.
                openness = lit = shot.parted * (0.85 - 0.7 * step(0.10, 0.23, abs(px)))
                gloss = 0.1
            elif kind == LASH:
                colour[0], colour[1], colour[2] = 0.022, 0.016, 0.014
            elif kind == FRAME:
                for c in range(3):
                    colour[c] = shot.glasses_colour[c]
                gloss, sharpness = 0.35, 32.0
            elif kind == CLOTH:
                knit = 0.8 + 0.4 * noise3(lattice, px * 40, py * 14, pz * 40)
                for c in range(3):
                    colour[c] = shot.headwear_colour[c] * knit
                openness = 0.4 + 0.6 * openness
                lit = 0.3 + 0.7 * lit
                wrap = 0.3
            else:
                colour[0], colour[1], colour[2] = 0.20, 0.045, 0.04
                openness *= 0.6
                gloss = 0.05
        rows[0, n], rows[1, n], rows[2, n] = colour[0], colour[1], colour[2]
        rows[3, n], rows[4, n], rows[5, n] = nx, ny, nz
        rows[6, n], rows[7, n], rows[8, n], rows[9, n] = lit, openness, gloss, sharpness
        rows[10, n], rows[11, n], rows[12, n] = wrap, scatter, strand


@jit
def shade(shot, rows, count):
    """Turn the surfaces in the first `count` columns of `rows` into the light that leaves them.

    Branches are written as choices between values, so that several columns are done at once.
    """
    lx, ly, lz = shot.light[0], shot.light[1], shot.light[2]
    hx, hy, hz = shot.half[0], shot.half[1], shot.half[2]
    fx, fy, fz = shot.fill_from[0], shot.fill_from[1], shot.fill_from[2]
    kr, kg, kb = shot.key[0], shot.key[1], shot.key[2]
    fr, fg, fb = shot.fill[0], shot.fill[1], shot.fill[2]
    sr, sg, sb = shot.sky[0], shot.sky[1], shot.sky[2]
    gr, gg, gb = shot.ground[0], shot.ground[1], shot.ground[2]
    broad = shot.light_size * 0.25
    for n in range(count):
        nx, ny, nz = rows[3, n], rows[4, n], rows[5, n]
        length = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
        nx, ny, nz = nx * length, ny * length, nz * length
        lit, openness, gloss = rows[6, n], rows[7, n], rows[8, n]
        sharpness, scatter, strand = rows[9, n], rows[11, n], rows[12, n]
        facing = nx * lx + ny * ly + nz * lz
        half = nx * hx + ny * hy + nz * hz
        # Strands fall: their highlight is a band across them (Kajiya & Kay 1989), frayed where
        # they lie at other angles.
        tilt = 0.5 * rows[18, n] - 0.15
        tx, ty, tz = tilt * nx - ny * nx, 1 + tilt * ny - ny * ny, tilt * nz - ny * nz
        along = tx * hx + ty * hy + tz * hz
        band = 1 - along * along / (tx * tx + ty * ty + tz * tz + 0.05)
        band = band if band > 0 else 0.0
        half = np.sqrt(band) * strand + half * (1 - strand)
        half = half if half > 0 else 0.0
        half = half if facing > 0 else 0.0
        p8 = half * half
        p8 *= p8
        p8 *= p8
        p16 = p8 * p8
        p32 = p16 * p16
        p128 = p32 * p32
        p128 *= p128
        power = p8 if sharpness < 12 else p16
        power = p32 if sharpness > 24 else power
        power = p128 if sharpness > 64 else power
        power = p128 * p128 * p128 if sharpness > 200 else power
        # Skin shines in two lobes: a wide one of its relief, a narrow one of its oil.
        power += scatter * (0.15 * p8 + 0.52 * p32 - power)
        sheen = gloss * power * lit
        # What goes through a strand and comes back has its colour.
        glow = 0.9 * strand * p32 * lit
        front = nz if nz > 0 else 0.0
        edge = (1 - front) * (1 - front)
        rim = 0.25 * gloss * edge * (1 - strand) + scatter * 0.06 * edge
        rim *= edge * openness
        up = 0.5 + 0.5 * ny
        side = nx * fx + ny * fy + nz * fz
        side = side if side > 0 else 0.0
        side = (0.35 + 0.65 * side) * side * openness
        spread = rows[10, n] + broad
        # Light scatters under skin, red furthest: the edge of shade is soft and warm, and what
        # comes back out of hollows is red.
        wr, wg, wb = spread * (1 + 0.9 * scatter), spread * (1 + 0.35 * scatter), spread
        dr, dg, db = (facing + wr) / (1 + wr), (facing + wg) / (1 + wg), (facing + wb) / (1 + wb)
        dr = dr if dr > 0 else 0.0
        dg = dg if dg > 0 else 0.0
        db = db if db > 0 else 0.0
        dr *= 1 + scatter * (np.sqrt(dr) - 1)
        dg *= 1 + scatter * (np.sqrt(dg) - 1)
        db *= 1 + scatter * (np.sqrt(db) - 1)
        shadow, hollow = scatter * (1 - lit), scatter * (1 - openness)
        dr, dg, db = dr * (1 + 0.45 * shadow), dg * (1 + 0.05 * shadow), db * (1 - 0.15 * shadow)
        red, green = openness * (1 + 0.30 * hollow), openness * (1 + 0.08 * hollow)
        ahead = 0.35 * front
        rows[0, n] = rows[0, n] * (
            kr * (dr * lit + glow) + fr * side + (gr + (sr - gr) * up + sr * ahead) * red
        ) + (kr * sheen + sr * rim)
        rows[1, n] = rows[1, n] * (
            kg * (dg * lit + glow) + fg * side + (gg + (sg - gg) * up + sg * ahead) * green
        ) + (kg * sheen + sg * rim)
        rows[2, n] = rows[2, n] * (
            kb * (db * lit + glow) + fb * side + (gb + (sb - gb) * up + sb * ahead) * openness
        ) + (kb * sheen + sb * rim)


@jit
def inside(fine, triangles, t, x, y):
    """Two barycentric weights of a place in a triangle.

    The middle of several samples may lie just outside the first one's triangle.
    """
    a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
    ax, ay = fine[a, 0], fine[a, 1]
    bx, by = fine[b, 0], fine[b, 1]
    cx, cy = fine[c, 0], fine[c, 1]
    inverse = 1 / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
    v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
    return np.float32(min(1.2, max(-0.2, u))), np.float32(min(1.2, max(-0.2, v)))


@jit
def photograph(
    triangles, part, skin, look, shot, vertices, fine, depth, nearest, veil, backdrop, lattice
):  # fmt: skip
    """Light that reaches the sensor, linear RGB (size, size, 3) float32.

    `depth`, `nearest` and `veil` hold 2 x 2 samples a pixel, `fine` the vertices on that grid,
    `vertices` what shading reads of them. Samples of a pixel that show the same surface are shaded
    once, at their middle, and hair once, where it hides most; a row of the picture is gathered
    first and then shaded as a whole.
    """
    size = depth.shape[0] // 2
    light = np.zeros((size, size, 3), np.float32)
    rows = np.zeros((19, 5 * size), np.float32)
    corners = np.empty((3, 5 * size), np.uint64)
    weights = np.empty((2, 5 * size), np.float32)
    kinds = np.empty(5 * size, np.int64)
    columns = np.empty(5 * size, np.int64)
    shares = np.empty(5 * size, np.float32)
    side = backdrop.shape[0]
    zoom = side / (2 * size)
    parts = np.empty(4, np.int64)
    passing = np.empty(4, np.float32)
    for row in range(size):
        found = 0
        for column in range(size):
            alike, clear, hidden = True, np.float32(0), 0
            for s in range(4):
                i, j = 2 * row + s // 2, 2 * column + s % 2
                t = nearest[i, j]
                parts[s] = part[t] if t >= 0 else -1
                gap = depth[i, j] - depth[2 * row, 2 * column]
                alike &= parts[s] == parts[0] and (parts[s] < 0 or abs(gap) < 0.06)
                passing[s] = veil.passing[i, j]
                hidden = s if passing[s] < passing[hidden] else hidden
                clear += passing[s]
            if clear < 3.98:  # the hair
                i, j = 2 * row + hidden // 2, 2 * column + hidden % 2
                t = np.uintp(veil.nearest[i, j])
                u, v = inside(fine, triangles, t, j + 0.5, i + 0.5)
                tone, share = np.float32(0), np.float32(0)
                for s in range(4):
                    mine = 1 - passing[s]
                    tone += mine * veil.tone[2 * row + s // 2, 2 * column + s % 2]
                    share += mine
                for k in range(3):
                    corners[k, found] = np.uintp(triangles[t, k])
                weights[0, found], weights[1, found] = u, v
                rows[18, found] = tone / share
                columns[found], shares[found], kinds[found] = column, share / 4, part[t]
                found += 1
            for s in range(1 if alike else 4):
                if passing[s] < 0:
                    continue
                mine = depth[2 * row + s // 2, 2 * column + s % 2]
                x, y, share = 2.0 * column + 1, 2.0 * row + 1, clear
                if not alike:
                    x, y, share, count = 0.0, 0.0, np.float32(0), 0
                    for q in range(s, 4):
                        gap = depth[2 * row + q // 2, 2 * column + q % 2] - mine
                        near = parts[s] < 0 or abs(gap) < 0.06
                        if passing[q] >= 0 and parts[q] == parts[s] and near:
                            share += passing[q]
                            passing[q] = -1
                            x += 2 * column + q % 2 + 0.5
                            y += 2 * row + q // 2 + 0.5
                            count += 1
                    x, y = x / count, y / count
                share *= np.float32(0.25)
                if share < 0.004:
                    continue
                if parts[s] < 0:
                    x = min(side - 1.001, max(0.0, x * zoom - 0.5))
                    y = min(side - 1.001, max(0.0, y * zoom - 0.5))
                    i, j = int(y), int(x)
                    fy, fx = y - i, x - j
                    for c in range(3):
                        top = backdrop[i, j, c] * (1 - fx) + backdrop[i, j + 1, c] * fx
                        low = backdrop[i + 1, j, c] * (1 - fx) + backdrop[i + 1, j + 1, c] * fx
                        light[row, column, c] += (top * (1 - fy) + low * fy) * share
                    continue
                t = np.uintp(nearest[2 * row + s // 2, 2 * column + s % 2])
                u, v = inside(fine, triangles, t, x, y)
                for k in range(3):
                    corners[k, found] = np.uintp(triangles[t, k])
                weights[0, found], weights[1, found] = u, v
                rows[18, found] = 0
                columns[found], shares[found], kinds[found] = column, share, parts[s]
                found += 1
        for k in range(COLUMNS):
            to = TARGETS[k]
            for n in range(found):
                u, v = weights[0, n], weights[1, n]
                a, b, c = corners[0, n], corners[1, n], corners[2, n]
                w = np.float32(1) - u - v
                rows[to, n] = u * vertices[a, k] + v * vertices[b, k] + w * vertices[c, k]
        surfaces(kinds, found, skin, look, shot, lattice, rows)
        shade(shot, rows, found)
        for n in range(found):
            for c in range(3):
                light[row, columns[n], c] += rows[c, n] * shares[n]
    return light


@jit
def through_lenses(light, fine, lenses, depth, tint, mirror):
    """Lay spectacle lenses over the picture, in place: what passes (RGB) and what they reflect."""
    size = light.shape[0]
    samples = np.zeros((size, size), np.uint8)
    for t in range(len(lenses)):
        a, b, c = lenses[t, 0], lenses[t, 1], lenses[t, 2]
        ax, ay, bx, by = fine[a, 0], fine[a, 1], fine[b, 0], fine[b, 1]
        cx, cy = fine[c, 0], fine[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        for i in range(max(0, int(min(ay, by, cy))), min(2 * size, int(max(ay, by, cy)) + 1)):
            for j in range(max(0, int(min(ax, bx, cx))), min(2 * size, int(max(ax, bx, cx)) + 1)):
                x, y = j + 0.5, i + 0.5
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                w = 1 - u - v
                if u >= 0 and v >= 0 and w > 0:
                    z = u * fine[a, 2] + v * fine[b, 2] + w * fine[c, 2]
                    samples[i // 2, j // 2] += z < depth[i, j]
    for row in range(size):
        for column in range(size):
            if samples[row, column] > 0:
                share = min(1.0, samples[row, column] / 4)
                for k in range(3):
                    passed = light[row, column, k] * tint[k] + mirror[k]
                    light[row, column, k] += (passed - light[row, column, k]) * share
