"""What is seen at each sample of the picture, compiled: solid surfaces, and hair before them.

In: posed vertices on the grid of samples. Out: depth and nearest triangle of what is solid, and of
hair and lashes, whose edges are finer than a sample, how much they let through.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

from collections import namedtuple

import numpy as np

from facelab.synthetic.mesh import jit
from facelab.synthetic.noise import noise3

# Of hair: the share of light that passes (1 where there is none), the nearest triangle and its
# depth, and the brightness of its strands (below 0 where there is no texture). Each (size, size).
Veil = namedtuple("Veil", "passing nearest depth tone")
LEVELS = 5  # of a texture's pyramid


def pyramid(texture: np.ndarray) -> np.ndarray:
    """A texture (S, S, 2) over its halves, quarters, ...: uint8 (2 S, S, 2).

    Level k begins at row 2 S - 2 S / 2^k. Brightness is averaged by opacity.
    """
    side = len(texture)
    stacked = np.zeros((2 * side, side, 2), np.uint8)
    level = texture.astype(np.float32)
    top = 0
    for _ in range(LEVELS):
        stacked[top : top + side, :side] = np.round(level)
        top += side
        if side % 2:
            break
        side //= 2
        cells = level.reshape(side, 2, side, 2, 2)
        weight = cells[..., 1] + 0.01
        tone = (cells[..., 0] * weight).sum((1, 3)) / weight.sum((1, 3))
        level = np.stack([tone, cells[..., 1].mean((1, 3))], -1)
    return stacked


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
    solid: int,
    cover: np.ndarray,
    place: np.ndarray,
    card: np.ndarray,
    textures: np.ndarray,
    lattice: np.ndarray,
) -> tuple:
    """Depth (size, size) float32 and nearest triangle (size, size) int32 of what is solid; `Veil`.

    A sample lies at the middle of its cell; where nothing is, the triangle is -1. The first
    `closed` triangles belong to closed surfaces: of these only the sides that face the camera are
    drawn. Those up to `solid` are open, the rest are hair and lashes. Their opacity is the alpha of
    `textures` (a `pyramid`) where a vertex has a place on a card (`card` (V, 2), repeated beyond 1,
    below 0 for none); where `cover` (V,) falls below 5, as much as it and the alpha together exceed
    1 by, or without a texture what it leaves of a noise at the canonical `place` (V, 3).
    """
    depth = np.full((size, size), np.inf, np.float32)
    nearest = np.full((size, size), -1, np.int32)
    passing = np.ones((size, size), np.float32)
    first_hair = np.full((size, size), -1, np.int32)
    before = np.full((size, size), np.inf, np.float32)
    tones = np.full((size, size), -1, np.float32)
    last = size - 1
    whole = textures.shape[1]
    far = np.empty((last // 16 + 1, last // 16 + 1), np.float32)
    for t in range(triangles.shape[0]):
        if t in (closed, solid):
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
        plain = t < solid
        # What decides on opacity varies linearly over the triangle, too: planes of the cover and of
        # the place on the texture.
        frayed = carded = mixed = False
        e0, ex, ey = 9.0, 0.0, 0.0
        p0 = px = py = q0 = qx = qy = 0.0
        top, side = 0, whole
        if not plain:
            if max(cover[a], cover[b], cover[c]) <= 0:
                continue
            frayed = min(cover[a], cover[b], cover[c]) < 5
            if frayed:
                cu, cv = float(cover[a] - cover[c]), float(cover[b] - cover[c])
                e0, ex, ey = cover[c] + cu * u0 + cv * v0, cu * ux + cv * vx, cu * uy + cv * vy
            carded = card[a, 0] >= 0
            if carded:
                pu, pv = float(card[a, 0] - card[c, 0]), float(card[b, 0] - card[c, 0])
                qu, qv = float(card[a, 1] - card[c, 1]), float(card[b, 1] - card[c, 1])
                # The level whose texels are about as large as samples.
                texels = abs(pu * qv - pv * qu) * whole * whole / abs(area)
                for _ in range(LEVELS - 1):
                    if texels <= 2 or side & 1:
                        break
                    top += side
                    side >>= 1
                    texels *= 0.25
                # In texels of the first copy of the repeated texture. Larger ones than samples are
                # mixed: half a texel is added, so that all places stay above 0.
                mixed = texels < 0.5
                p0 = card[c, 0] - int(min(card[a, 0], card[b, 0], card[c, 0])) + pu * u0 + pv * v0
                q0 = card[c, 1] - int(min(card[a, 1], card[b, 1], card[c, 1])) + qu * u0 + qv * v0
                p0, q0 = p0 * side + 0.5 * mixed, q0 * side + 0.5 * mixed
                px, py = (pu * ux + pv * vx) * side, (pu * uy + pv * vy) * side
                qx, qy = (qu * ux + qv * vx) * side, (qu * uy + qv * vy) * side
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
            if plain:
                for column in range(np.uintp(first), np.uintp(final + 1)):
                    z = z0 + zx * (column + 0.5)
                    if z < depth[row, column]:
                        depth[row, column] = z
                        nearest[row, column] = t
                continue
            cr, pr, qr = e0 + ey * y, p0 + py * y, q0 + qy * y
            for column in range(np.uintp(first), np.uintp(final + 1)):
                x = column + 0.5
                z = z0 + zx * x
                if z >= depth[row, column]:
                    continue
                if z > before[row, column] and passing[row, column] == 0:
                    continue
                dense = cr + ex * x
                if dense <= 0:
                    continue
                alpha, tone = 1.0, -1.0
                if carded:
                    tx, ty = pr + px * x, qr + qx * x
                    n, m = int(tx), int(ty)
                    fx, fy = tx - n, ty - m
                    if n >= side:
                        n %= side
                    if m >= side:
                        m %= side
                    j1, i1 = np.uintp(max(0, n)), np.uintp(max(0, m) + top)
                    if mixed:  # four texels of the repeated texture
                        j = np.uintp(n - 1 if n > 0 else side - 1)
                        i = np.uintp((m - 1 if m > 0 else side - 1) + top)
                        for k in range(2):
                            above = textures[i, j, k] * (1 - fx) + textures[i, j1, k] * fx
                            below = textures[i1, j, k] * (1 - fx) + textures[i1, j1, k] * fx
                            tone, alpha = alpha, above * (1 - fy) + below * fy
                    else:
                        tone, alpha = float(textures[i1, j1, 0]), float(textures[i1, j1, 1])
                    alpha, tone = alpha * (1 / 255), tone * (1 / 256)
                    if frayed:
                        alpha = min(1.0, 2.5 * (dense + alpha - 1))
                    if alpha < 0.02:
                        continue
                elif dense < 1:
                    wu, wv = u + ux * x, v + vx * x
                    ww = 1 - wu - wv
                    gap = noise3(
                        lattice,
                        90 * (wu * place[a, 0] + wv * place[b, 0] + ww * place[c, 0]),
                        40 * (wu * place[a, 1] + wv * place[b, 1] + ww * place[c, 1]),
                        90 * (wu * place[a, 2] + wv * place[b, 2] + ww * place[c, 2]),
                    )
                    alpha = min(1.0, 3 * (dense - 1.3 * gap + 0.15) + 0.5)
                    if alpha < 0.02:
                        continue
                left_over = passing[row, column] * (1 - alpha)
                passing[row, column] = left_over if left_over > 0.05 else 0.0
                # A wisp is coloured as what it lies on.
                z = z if alpha > 0.2 else z + 100
                if z < before[row, column]:
                    before[row, column] = z
                    first_hair[row, column] = t
                    tones[row, column] = tone
    return depth, nearest, Veil(passing, first_hair, before, tones)
