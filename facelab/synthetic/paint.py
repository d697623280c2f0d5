"""What is painted on a head, as functions of canonical place: skin, lips, brows, beard, hair, eyes.

In: a subject's colours and a point of the template mesh. Out: linear RGB albedo. Painting follows
the face through every change of shape, and needs no texture file. Compiled.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numba
import numpy as np

# Sums may be regrouped (the same way on the same machine kind), but NaN and inf keep their rules.
jit = numba.njit(
    cache=True,
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
def strands(lattice, px, py, pz, curl):
    """Hair strand pattern, 0..1: fine across the fall of the hair, coarse along it."""
    side = min(1.0, px * px * 2.2)
    along = 2.5 + 22 * curl
    top = noise3(lattice, px * 30, py * along, pz * along * 0.8)
    flank = noise3(lattice, px * 12 + 7, py * along, pz * 30)
    fine = noise3(lattice, px * 55 + 3, py * along * 1.7, pz * 55)
    return (top * (1 - side) + flank * side) * 0.65 + fine * 0.35


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
            * np.exp(-look.melanin[c] * more_melanin - look.blood[c] * more_blood)
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
