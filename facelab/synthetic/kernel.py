"""What is seen and how it looks, compiled: visibility and shading.

In: posed vertices on the screen and a subject's painted skin. Out: linear light (size, size, 3).

Numba's cache notices a change only in the file of the function that it cached: after an edit of
`mesh.py`, `eyes.py` or `noise.py`, touch this file, `paint.py` and `backdrop.py`.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.eyes import eye_colour
from facelab.synthetic.head import PARTS
from facelab.synthetic.mesh import jit
from facelab.synthetic.noise import noise3, step, strands
from facelab.synthetic.styles import MAP_AXIS

SKIN, MOUTH, EYE, TEETH, LASH, HAIR, FRAME, CLOTH = (
    PARTS[name] for name in ("skin", "mouth", "eye", "teeth", "lash", "hair", "frame", "cloth")
)
# Columns of the vertex table that shading reads, after the normal: a vertex is one place in memory.
REACH, PLACE, OPENNESS, UV = 3, 4, 7, 8
COLUMNS = 10
TARGETS = (3, 4, 5, 6, 13, 14, 15, 7, 16, 17)  # the rows of `photograph` that they go to


@jit
def farthest(depth, far):
    """The largest depth of each tile of 16 x 16 samples, into `far`."""
    size = depth.shape[0]
    line = np.empty(size, np.float32)
    far[:] = -np.inf
    for top in range(0, size, 16):
        line[:] = depth[top]
        for row in range(top + 1, min(top + 16, size)):
            for column in range(size):
                line[column] = max(line[column], depth[row, column])
        for column in range(size):
            far[top // 16, column // 16] = max(far[top // 16, column // 16], line[column])


@jit
def rasterise(
    screen: np.ndarray,
    triangles: np.ndarray,
    size: int,
    closed: int,
    cover: np.ndarray,
    place: np.ndarray,
    card: np.ndarray,
    texture: np.ndarray,
    lattice: np.ndarray,
    curl: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Depth (size, size) float32 and nearest triangle (size, size) int32, -1 where there is none.

    A sample lies at the middle of its cell. The first `closed` triangles belong to closed surfaces:
    of these only the sides that face the camera are drawn. The others may have gaps: where `cover`
    (V,) falls below 1, strand noise at the canonical `place` (V, 3) decides; where a vertex has a
    place on a hair card (`card` (V, 2), 0..1, below 0 for none), the alpha of `texture` (S, S, 2)
    is held against a threshold that differs among the four samples of a pixel.
    """
    depth = np.full((size, size), np.inf, np.float32)
    nearest = np.full((size, size), -1, np.int32)
    last = size - 1
    side = texture.shape[0]
    far = np.empty((last // 16 + 1, last // 16 + 1), np.float32)
    for t in range(triangles.shape[0]):
        if t == closed:
            farthest(depth, far)
        # Unsigned, for the sign of every other index is looked at.
        a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        ax, ay, az = float(screen[a, 0]), float(screen[a, 1]), float(screen[a, 2])
        bx, by, bz = float(screen[b, 0]), float(screen[b, 1]), float(screen[b, 2])
        cx, cy, cz = float(screen[c, 0]), float(screen[c, 1]), float(screen[c, 2])
        # Rows run down, so what turns counter-clockwise towards the camera has a negative area.
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (area > 0 and t < closed):
            continue
        first_row = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        last_row = min(last, int(np.floor(max(ay, by, cy) - 0.5)))
        if first_row > last_row or max(ax, bx, cx) < 0.5 or min(ax, bx, cx) > size - 0.5:
            continue
        if t >= closed:  # most of the hair is behind the head
            left, right = max(0.0, min(ax, bx, cx)), min(float(last), max(ax, bx, cx))
            hidden = True
            for i in range(first_row // 16, last_row // 16 + 1):
                for j in range(int(left) // 16, int(right) // 16 + 1):
                    hidden &= min(az, bz, cz) >= far[i, j]
            if hidden:
                continue
        inverse = 1 / area
        # Barycentric weights as planes over the screen: u = u0 + ux x + uy y.
        ux, uy = (by - cy) * inverse, (cx - bx) * inverse
        vx, vy = (cy - ay) * inverse, (ax - cx) * inverse
        u0 = (bx * cy - by * cx) * inverse
        v0 = (cx * ay - cy * ax) * inverse
        wx = -ux - vx
        # Along a row a weight is positive from where its line meets the row, or up to there. The
        # three slopes add up to 0, so there are at most two lines of either kind.
        s1, t1, s2, t2 = 0.5, 0.0, 0.5, 0.0  # from s + t y
        e1, f1, e2, f2 = size - 0.5, 0.0, size - 0.5, 0.0  # up to e + f y
        if ux > 0:
            s1, t1 = -u0 / ux, -uy / ux
        elif ux < 0:
            e1, f1 = -u0 / ux, -uy / ux
        if vx > 0:
            s2, t2 = -v0 / vx, -vy / vx
        elif vx < 0:
            e2, f2 = -v0 / vx, -vy / vx
        if wx > 0:
            if ux > 0:
                s2, t2 = (u0 + v0 - 1) / wx, (uy + vy) / wx
            else:
                s1, t1 = (u0 + v0 - 1) / wx, (uy + vy) / wx
        elif wx < 0:
            if ux < 0:
                e2, f2 = (u0 + v0 - 1) / wx, (uy + vy) / wx
            else:
                e1, f1 = (u0 + v0 - 1) / wx, (uy + vy) / wx
        zx = ux * az + vx * bz + wx * cz
        plain = t < closed
        # What decides on gaps varies linearly over a triangle, too: its value at the first corner
        # and its slopes along the other two weights.
        frayed = carded = False
        ca = cu = cv = sa = su = sv = qa = qu = qv = 0.0
        if not plain:
            if max(cover[a], cover[b], cover[c]) <= 0:
                continue
            frayed = min(cover[a], cover[b], cover[c]) < 1
            ca, cu, cv = cover[c], cover[a] - cover[c], cover[b] - cover[c]
            carded = card[a, 0] >= 0
            sa, su, sv = card[c, 0], card[a, 0] - card[c, 0], card[b, 0] - card[c, 0]
            qa, qu, qv = card[c, 1], card[a, 1] - card[c, 1], card[b, 1] - card[c, 1]
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            u, v = u0 + uy * y, v0 + vy * y
            w = 1 - u - v
            low = max(0.5, max(s1 + t1 * y, s2 + t2 * y))
            high = min(size - 0.5, min(e1 + f1 * y, e2 + f2 * y))
            first = int(np.ceil(low - 0.5))
            final = int(np.floor(high - 0.5))
            if final < first:
                continue
            z0 = u * az + v * bz + w * cz
            for column in range(np.uintp(first), np.uintp(final + 1)):
                x = column + 0.5
                z = z0 + zx * x
                if z >= depth[row, column]:
                    continue
                if frayed or carded:
                    pu, pv = u + ux * x, v + vx * x
                    if frayed:
                        dense = ca + cu * pu + cv * pv
                        if dense <= 0:
                            continue
                        if dense < 1:
                            pw = 1 - pu - pv
                            px = pu * place[a, 0] + pv * place[b, 0] + pw * place[c, 0]
                            py = pu * place[a, 1] + pv * place[b, 1] + pw * place[c, 1]
                            pz = pu * place[a, 2] + pv * place[b, 2] + pw * place[c, 2]
                            # Finer than the shading's strands, so that a hairline frays softly.
                            gap = noise3(lattice, px * 90, py * (30 + 60 * curl), pz * 90)
                            if dense < 1.3 * gap - 0.15:
                                continue
                    if carded:
                        i = min(side - 1, max(0, int((qa + qu * pu + qv * pv) * side)))
                        j = min(side - 1, max(0, int((sa + su * pu + sv * pv) * side)))
                        alpha = texture[i, j, 1]
                        if alpha < 40 + 110 * ((row ^ np.intp(column)) & 1) + 55 * (row & 1):
                            continue
                depth[row, column] = z
                nearest[row, column] = t
    return depth, nearest


@jit
def surfaces(kinds, count, skin, texture, look, shot, lattice, rows):
    """What is at points of the surface, in the first `count` columns of `rows`.

    Rows 3 to 5 hold the normal, 6 the light that arrives, 7 the openness, 13 to 15 the canonical
    place, 16 and 17 the place on a map or card. Rows 0 to 2 become the colour, 8 to 12 gloss,
    sharpness of the highlight, wrap, scatter, and whether it is a strand.
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
            t00, t01, t10, t11 = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
            for k in range(7):
                top = t00 * skin[i, j, k] + t01 * skin[i, j + one, k]
                low = t10 * skin[i + one, j, k] + t11 * skin[i + one, j + one, k]
                texel[k] = (top + low) / 255
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
                if across >= 0:
                    side = texture.shape[0]
                    i, j = (
                        min(side - 1, max(0, int(down * side))),
                        min(side - 1, int(across * side)),
                    )
                    pattern = texture[i, j, 0] / 256
                else:
                    pattern = strands(lattice, px, py, pz, look.curl)
                for c in range(3):
                    colour[c] = look.hair[c] * (0.30 + 1.4 * pattern)
                openness = 0.30 + 0.70 * openness
                lit = 0.3 + 0.7 * lit
                gloss, sharpness, wrap = 0.14 * pattern * (1 - 0.6 * look.curl), 8.0, 0.35
                strand = 1.0
            elif kind == EYE:
                dim = eye_colour(look, shot, px, py, colour, cornea)
                openness, lit = dim * 0.9, (0.4 + 0.6 * lit) * dim
                share = cornea[3]
                ex, ey, ez = cornea[0], cornea[1], cornea[2]
                nx += share * (ex * turn[0] + ey * turn[1] + ez * turn[2] - nx)
                ny += share * (ex * turn[3] + ey * turn[4] + ez * turn[5] - ny)
                nz += share * (ex * turn[6] + ey * turn[7] + ez * turn[8] - nz)
                gloss, sharpness = 0.15 + 1.6 * share, 128.0
            elif kind == TEETH:
                colour[0], colour[1], colour[2] = 0.76, 0.70, 0.60
                # Baked behind closed lips: where they are seen the lips are apart.
                openness = lit = 0.85 - 0.7 * step(0.10, 0.23, abs(px))  # the cheeks' shade
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
        # Strands fall: their highlight is a band across them (Kajiya & Kay 1989).
        along = hy - ny * hy * ny
        band = 1 - along * along
        half = band * strand + half * (1 - strand)
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
        # Skin shines in two lobes: a wide one of its relief, a narrow one of its oil.
        power += scatter * (0.30 * p8 + 0.65 * p32 - power)
        sheen = gloss * power * lit
        front = nz if nz > 0 else 0.0
        edge = (1 - front) * (1 - front)
        rim = (0.25 * gloss * edge + scatter * (0.10 * edge + 0.012)) * edge * openness
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
            kr * dr * lit + fr * side + (gr + (sr - gr) * up + sr * ahead) * red
        ) + (kr * sheen + sr * rim)
        rows[1, n] = rows[1, n] * (
            kg * dg * lit + fg * side + (gg + (sg - gg) * up + sg * ahead) * green
        ) + (kg * sheen + sg * rim)
        rows[2, n] = rows[2, n] * (
            kb * db * lit + fb * side + (gb + (sb - gb) * up + sb * ahead) * openness
        ) + (kb * sheen + sb * rim)


@jit
def photograph(
    triangles, part, skin, texture, look, shot, vertices, fine, depth, nearest, backdrop, lattice
):  # fmt: skip
    """Light that reaches the sensor, linear RGB (size, size, 3) float32.

    `depth` and `nearest` hold 2 x 2 samples a pixel, `fine` the vertices on that grid, `vertices`
    what shading reads of them. Samples of a pixel that show the same surface are shaded once, at
    their middle; a row of the picture is gathered first and then shaded as a whole.
    """
    size = depth.shape[0] // 2
    light = np.zeros((size, size, 3), np.float32)
    rows = np.zeros((18, 4 * size), np.float32)
    corners = np.empty((3, 4 * size), np.uint64)
    weights = np.empty((2, 4 * size), np.float32)
    kinds = np.empty(4 * size, np.int64)
    columns = np.empty(4 * size, np.int64)
    shares = np.empty(4 * size, np.float32)
    side = backdrop.shape[0]
    zoom = side / (2 * size)
    parts = np.empty(4, np.int64)
    left = np.empty(4, np.bool_)
    for row in range(size):
        found = 0
        for column in range(size):
            alike = True
            for s in range(4):
                t = nearest[2 * row + s // 2, 2 * column + s % 2]
                parts[s] = part[t] if t >= 0 else -1
                gap = depth[2 * row + s // 2, 2 * column + s % 2] - depth[2 * row, 2 * column]
                alike &= parts[s] == parts[0] and (parts[s] < 0 or abs(gap) < 0.06)
                left[s] = True
            for s in range(1 if alike else 4):
                if not left[s]:
                    continue
                mine = depth[2 * row + s // 2, 2 * column + s % 2]
                x, y, count = 2.0 * column + 1, 2.0 * row + 1, 4
                if not alike:
                    x, y, count = 0.0, 0.0, 0
                    for q in range(s, 4):
                        gap = depth[2 * row + q // 2, 2 * column + q % 2] - mine
                        if left[q] and parts[q] == parts[s] and (parts[s] < 0 or abs(gap) < 0.06):
                            left[q] = False
                            x += 2 * column + q % 2 + 0.5
                            y += 2 * row + q // 2 + 0.5
                            count += 1
                    x, y = x / count, y / count
                if parts[s] < 0:
                    x = min(side - 1.001, max(0.0, x * zoom - 0.5))
                    y = min(side - 1.001, max(0.0, y * zoom - 0.5))
                    i, j = int(y), int(x)
                    fy, fx = y - i, x - j
                    for c in range(3):
                        top = backdrop[i, j, c] * (1 - fx) + backdrop[i, j + 1, c] * fx
                        low = backdrop[i + 1, j, c] * (1 - fx) + backdrop[i + 1, j + 1, c] * fx
                        light[row, column, c] += (top * (1 - fy) + low * fy) * count / 4
                    continue
                t = np.uintp(nearest[2 * row + s // 2, 2 * column + s % 2])
                ia, ib, ic = (
                    np.uintp(triangles[t, 0]),
                    np.uintp(triangles[t, 1]),
                    np.uintp(triangles[t, 2]),
                )
                ax, ay = fine[ia, 0], fine[ia, 1]
                bx, by = fine[ib, 0], fine[ib, 1]
                cx, cy = fine[ic, 0], fine[ic, 1]
                inverse = 1 / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
                # The middle of the samples may lie just outside the first one's triangle.
                u, v = np.float32(min(1.2, max(-0.2, u))), np.float32(min(1.2, max(-0.2, v)))
                corners[0, found], corners[1, found], corners[2, found] = ia, ib, ic
                weights[0, found], weights[1, found] = u, v
                columns[found], shares[found], kinds[found] = column, count / 4, parts[s]
                found += 1
        for k in range(COLUMNS):
            to = TARGETS[k]
            for n in range(found):
                u, v = weights[0, n], weights[1, n]
                a, b, c = corners[0, n], corners[1, n], corners[2, n]
                w = np.float32(1) - u - v
                rows[to, n] = u * vertices[a, k] + v * vertices[b, k] + w * vertices[c, k]
        surfaces(kinds, found, skin, texture, look, shot, lattice, rows)
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
