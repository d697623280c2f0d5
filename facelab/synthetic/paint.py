"""What is painted on the skin: pigment, brows, lips, marks, and what a look grows on it.

In: a `Subject`. Out: a cylindrical picture of its skin, uint8 (H, W, 5): the square roots of the
linear RGB albedo, gloss (over 0.5), and how far a place belongs to the lips. All of it is a
function of canonical place, a point of the template mesh, so that it follows the face through every
change of shape. The bare skin is painted once a subject (`paint_skin`), the hair that a look grows
on it once a look (`grow_on_skin`); both are looked up in all of its photos.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

from collections import namedtuple
from functools import cache

import numpy as np

from facelab.synthetic.hair import hair_margin
from facelab.synthetic.head import PARTS, Head, load_head
from facelab.synthetic.kernel import rasterise
from facelab.synthetic.mesh import jit
from facelab.synthetic.noise import bell, noise3, step, strands
from facelab.synthetic.styles import MAP_COLUMNS, MAP_ROWS, load_styles, map_coordinates
from facelab.synthetic.subjects import BLOOD, Subject, melanin_slope

# Columns of the vertex fields that are spread over the map.
FIELDS = ("lips", "scalp", "beard", "melanin", "blood")
LIPS, SCALP, BEARD, MELANIN, BLOODY = range(len(FIELDS))
# Channels of bare skin: sqrt of the albedo, gloss, lips, and how dense single hairs would stand.
GLOSS, MOUTH, STRANDS, BRISTLES, CHANNELS = 3, 4, 5, 6, 7
Brush = namedtuple(
    "Brush",
    "skin melanin blood brow_colour brow marks noise curl lip_red lip_dark freckles wrinkles "
    "gloss blotches",
)


@cache
def lattice() -> np.ndarray:
    """The noise lattice (32, 32, 32), 0..1, the same for everybody."""
    return np.random.Generator(np.random.Philox(20240229)).random((32, 32, 32), np.float32)


@cache
def chart(size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each texel of the map for crops of `size` px: corners (H, W, 3), weights (H, W, 2)."""
    head = load_head()
    scale = 0.7 * max(1.0, size / 112)
    height, width = (round(side * scale) for side in (MAP_ROWS, MAP_COLUMNS))
    across, down = map_coordinates(head.template)
    radius = np.hypot(head.template[:, 0], head.template[:, 2] - 0.3)
    screen = np.stack([across * width, down * height, -radius], 1).astype(np.float32)
    skin = head.triangles[head.part == PARTS["skin"]]
    skin = np.ascontiguousarray(skin[np.ptp(across[skin], axis=1) < 0.5])  # not across the seam
    _, nearest = rasterise(screen, skin, max(height, width), 0, *solid(screen), lattice(), 0.0)
    nearest = nearest[:height, :width]
    # Rays that meet no skin, above the crown or below the shoulders, take the next texel that does.
    for row in [*range(height // 2, -1, -1), *range(height // 2, height)]:
        inner = row + 1 if row < height // 2 else row - 1
        nearest[row] = np.where(nearest[row] < 0, nearest[inner], nearest[row])
    corners = skin[nearest]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    a, b, c = (screen[corners[..., k]] for k in range(3))
    area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1])
    area -= (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    u = (b[..., 0] - x) * (c[..., 1] - y) - (b[..., 1] - y) * (c[..., 0] - x)
    v = (c[..., 0] - x) * (a[..., 1] - y) - (c[..., 1] - y) * (a[..., 0] - x)
    weights = np.clip(np.stack([u / area, v / area], -1), 0, 1)
    return corners, weights.astype(np.float32)


def solid(screen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What `rasterise` wants to know of gaps, for a surface that has none."""
    cover = np.full(len(screen), 9, np.float32)
    nowhere = np.full((len(screen), 2), -1, np.float32)
    return cover, screen, nowhere, np.zeros((1, 1, 2), np.uint8)


def paint_skin(subject: Subject, head: Head, size: int) -> np.ndarray:
    """The subject's bare skin for crops of `size` px, uint8 (H, W, CHANNELS)."""
    styles = load_styles()
    corners, weights = chart(size)
    pigment = (
        styles.pigment_mean
        + max(0.0, subject.wrinkles) * styles.pigment_age
        + np.tensordot(subject.skin_modes.astype(np.float32), styles.pigment_modes, 1)
    )
    melanin, blood = spread_pigment(subject, head)
    bristles = np.maximum.reduce([area for area in beard_areas()])
    fields = np.stack([head.lips, scalp_field(subject, head), bristles, melanin, blood], 1)
    brush = Brush(
        skin=subject.skin,
        melanin=melanin_slope(subject.melanin),
        blood=BLOOD,
        brow_colour=subject.brow_colour,
        brow=subject.brow,
        marks=subject.marks[subject.marks[:, 3] > 0].astype(np.float64),
        noise=subject.noise,
        curl=subject.hair_curl,
        lip_red=subject.lip_red,
        lip_dark=subject.lip_dark,
        # Freckles are local pigment: the darker the skin, the less they stand out.
        freckles=subject.freckles * np.exp(-3 * subject.melanin),
        wrinkles=subject.wrinkles,
        gloss=subject.gloss,
        blotches=subject.blotches,
    )
    return apply_brush(
        brush,
        corners,
        weights,
        head.template,
        fields.astype(np.float32),
        np.ascontiguousarray(pigment, np.float32),
        styles.brows[subject.brow_style],
        lattice(),
    )


def grow_on_skin(bare: np.ndarray, subject: Subject, head: Head, size: int) -> np.ndarray:
    """The bare skin with the beard and the hair's roots of the subject's look, uint8 (H, W, 5)."""
    corners, weights = chart(size)
    density = 0.45 if subject.hair_style == "bald" else 0.85
    fields = np.stack([density * scalp_field(subject, head), beard_field(subject, head)], 1)
    return apply_hair(
        bare,
        corners,
        weights,
        fields.astype(np.float32),
        np.array([subject.hair_colour, 0.7 * subject.brow_colour]),
    )


def scalp_field(subject: Subject, head: Head) -> np.ndarray:
    """How far each vertex of the head belongs to the scalp that hair may grow on, 0..1."""
    x, y, z = np.abs(head.template[:, 0]), head.template[:, 1], head.template[:, 2]
    ear = (x > 0.72) & (y < 7.4) & (z > 0.2)
    return np.where(ear, 0, np.clip(0.45 + hair_margin(subject, head.template) / 0.16, 0, 1))


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@cache
def blood_sites() -> tuple[np.ndarray, np.ndarray]:
    """The thin skin under the eyes, and the blood of cheeks, nose and ears: a value a vertex."""
    template = load_head().template
    x, y, z = np.abs(template[:, 0]), template[:, 1], template[:, 2]

    def spot(x0: float, y0: float, width: float, height: float) -> np.ndarray:
        return np.exp(-(((x - x0) / width) ** 2) - ((y - y0) / height) ** 2)

    under = spot(0.30, 7.14, 0.17, 0.06) * ramp(z, 1.1, 1.3)
    blood = 0.20 * spot(0.42, 6.95, 0.17, 0.17) * ramp(z, 0.9, 1.1)
    blood += 0.20 * spot(0.0, 6.90, 0.12, 0.11) * ramp(z, 1.4, 1.5)
    blood += 0.30 * ramp(x, 0.78, 0.86) * ramp(y, 6.7, 6.8) * ramp(-y, -7.5, -7.3)
    return under, blood


def spread_pigment(subject: Subject, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """More or less melanin and blood than the subject's mean, at each vertex of the head."""
    under, blood = blood_sites()
    broad = noise_at(lattice(), head.template * 3.5 + subject.noise) - 0.5
    melanin = 1.2 * subject.blotches * broad + (0.02 + 0.05 * subject.wrinkles) * under
    return melanin, 0.20 * broad + 0.15 * under + blood


@cache
def beard_areas() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where beards grow, a value a vertex: the jaw, its sides, its chin, and the upper lip."""
    template = load_head().template
    x, y, z = np.abs(template[:, 0]), template[:, 1], template[:, 2]
    jaw = ramp(y, 5.98, 6.18) * ramp(z, 0.35, 0.6)
    chin = (1 - ramp(x, 0.2, 0.32)) * ramp(6.58 - y, 0.0, 0.06)
    lip = ramp(y, 6.64, 6.69) * ramp(6.86 - y, 0, 0.05) * (1 - ramp(x, 0.22, 0.34))
    return jaw, ramp(x, 0.16, 0.30), chin, lip * ramp(z, 1.2, 1.3)


def beard_field(subject: Subject, head: Head) -> np.ndarray:
    """How dense the beard is at each vertex of the head, 0..1."""
    cheeks, lip, point, stubble, tone = subject.beard
    if not (cheeks or lip or point or stubble):
        return np.zeros(len(head.template))
    x, y = np.abs(head.template[:, 0]), head.template[:, 1]
    upper = 6.60 + 0.75 * np.clip(x - 0.28, 0, 1) + 0.04 * (tone - 0.5)
    jaw, sides, chin, moustache = beard_areas()
    jaw = jaw * ramp(upper - y, -0.06, 0.10)
    sides, chin = jaw * sides, jaw * chin
    area = np.maximum(np.maximum(sides, chin), moustache)
    field = np.maximum(np.maximum(cheeks * sides, point * chin), lip * moustache)
    field = np.maximum(field, 0.5 * stubble * area)
    return field * (1 - np.clip(head.lips * 2.5 - 0.3, 0, 1))


@jit
def noise_at(lattice, places):
    """Value noise at places (N, 3)."""
    values = np.empty(len(places), np.float32)
    for n in range(len(places)):
        values[n] = noise3(lattice, places[n, 0], places[n, 1], places[n, 2])
    return values


@jit
def fading(value):
    """exp(-value) near 0, cheaper; never negative."""
    t = 1 - 0.25 * value
    return max(0.0, t) ** 4 if value > 0 else 1 - value * (1 - 0.5 * value)


@jit
def apply_brush(brush, corners, weights, template, fields, pigment, brows, lattice):
    """Paint every texel; see the module's docstring for what comes out."""
    height, width = corners.shape[0], corners.shape[1]
    skin = np.zeros((height, width, CHANNELS), np.uint8)
    colour = np.empty(3)
    here = np.empty(fields.shape[1])
    ox, oy, oz = brush.noise[0], brush.noise[1], brush.noise[2]
    inner, outer = brush.brow[3], brush.brow[4]
    for row in range(height):
        for column in range(width):
            ia, ib, ic = corners[row, column, 0], corners[row, column, 1], corners[row, column, 2]
            u, v = weights[row, column, 0], weights[row, column, 1]
            w = 1 - u - v
            px = u * template[ia, 0] + v * template[ib, 0] + w * template[ic, 0]
            py = u * template[ia, 1] + v * template[ib, 1] + w * template[ic, 1]
            pz = u * template[ia, 2] + v * template[ib, 2] + w * template[ic, 2]
            for k in range(len(here)):
                here[k] = u * fields[ia, k] + v * fields[ib, k] + w * fields[ic, k]
            ax = abs(px)
            face = pz > 0.3 and py > 5.6
            # The map of pigment may be coarser than this one: bilinear.
            y = (row + 0.5) / height * pigment.shape[0] - 0.5
            x = (column + 0.5) / width * pigment.shape[1] - 0.5
            y, x = (
                min(pigment.shape[0] - 1.001, max(0.0, y)),
                min(pigment.shape[1] - 1.001, max(0.0, x)),
            )
            i, j = int(y), int(x)
            fy, fx = y - i, x - j
            p00, p01 = (1 - fy) * (1 - fx), (1 - fy) * fx
            p10, p11 = fy * (1 - fx), fy * fx
            melanin = here[MELANIN] + (
                p00 * pigment[i, j, 0] + p01 * pigment[i, j + 1, 0]
                + p10 * pigment[i + 1, j, 0] + p11 * pigment[i + 1, j + 1, 0]
            )  # fmt: skip
            blood = here[BLOODY] + (
                p00 * pigment[i, j, 1] + p01 * pigment[i, j + 1, 1]
                + p10 * pigment[i + 1, j, 1] + p11 * pigment[i + 1, j + 1, 1]
            )  # fmt: skip
            lined = 1.0
            mouth = 0.0
            if face:
                mid = noise3(lattice, px * 14 + oy, py * 14 + oz, pz * 14 + ox) - 0.5
                fine = noise3(lattice, px * 46 + oz, py * 46 + ox, pz * 46 + oy) - 0.5
                melanin += brush.blotches * (mid * 0.7 + fine * 0.6)
                blood += 0.12 * mid
                if brush.freckles > 0:
                    spots = noise3(lattice, px * 55 + ox, py * 55 + oz, pz * 55 + oy)
                    patch = step(6.4, 6.8, py) * step(8.0, 7.3, py) * step(0.9, 1.2, pz)
                    melanin += brush.freckles * patch * 0.16 * step(0.60, 0.90, spots)
                if pz > 0.6:
                    for n in range(len(brush.marks)):
                        dx, dy = px - brush.marks[n, 0], py - brush.marks[n, 1]
                        gap = (dx * dx + dy * dy) / (brush.marks[n, 2] * brush.marks[n, 2])
                        if gap < 4:
                            amount = brush.marks[n, 3] * bell(np.sqrt(gap) * 1.2)
                            melanin += amount * (1 - brush.marks[n, 4])
                            blood += 2 * amount * brush.marks[n, 4]
                if brush.wrinkles > 0.15 and pz > 1.1:
                    if py > 7.56:
                        lines = np.sin(py * 42 + 20 * here[BLOODY] + 5 * mid + 2 * px) ** 6
                        lines *= step(7.56, 7.66, py) * step(8.0, 7.9, py)
                        lined -= 0.2 * brush.wrinkles * (0.5 + mid) * lines
                    elif ax > 0.46:
                        crow = np.sin((py - 7.26) / (0.05 + abs(ax - 0.42)) * 9) ** 6
                        crow *= bell((ax - 0.58) / 0.06) * bell((py - 7.26) / 0.1)
                        lined -= 0.3 * brush.wrinkles * crow
                mouth = step(0.22, 0.42, here[LIPS]) * step(1.1, 1.25, pz)
                blood += mouth * brush.lip_red
                melanin += mouth * brush.lip_dark
            for c in range(3):
                loss = brush.melanin[c] * melanin + brush.blood[c] * blood
                colour[c] = brush.skin[c] * lined * fading(loss)
            gloss = brush.gloss * (1 + 0.8 * mouth + 0.5 * bell(px / 0.2))
            # Brows: hairs looked up along a tapering arch between an inner and an outer end.
            if face and pz > 1.0 and 7.2 < py < 7.8 and inner - 0.08 < ax < outer + 0.08:
                t = (ax - inner) / (outer - inner)
                middle = brush.brow[1] + brush.brow[2] * (1 - (t - 0.62) ** 2 / 0.38)
                middle += brush.brow[6] * t
                s = (middle - py) / (1.2 * brush.brow[0])
                if 0 <= t < 1 and -1 < s < 1:
                    ry = (0.5 + 0.5 * s) * brows.shape[0] - 0.5
                    rx = t * brows.shape[1] - 0.5
                    ry = min(brows.shape[0] - 1.001, max(0.0, ry))
                    rx = min(brows.shape[1] - 1.001, max(0.0, rx))
                    m, n = int(ry), int(rx)
                    gy, gx = ry - m, rx - n
                    hairs = (brows[m, n] * (1 - gx) + brows[m, n + 1] * gx) * (1 - gy)
                    hairs += (brows[m + 1, n] * (1 - gx) + brows[m + 1, n + 1] * gx) * gy
                    amount = min(0.92, hairs / 255 * 2.2 * brush.brow[5])
                    for c in range(3):
                        colour[c] += (brush.brow_colour[c] - colour[c]) * amount
                    gloss *= 1 - amount
            if here[BEARD] > 0.01:
                hairs = noise3(lattice, px * 100 + ox, py * 40 + oy, pz * 100 + oz)
                skin[row, column, BRISTLES] = np.uint8(255 * hairs)
            if here[SCALP] > 0.01:
                hairs = strands(lattice, px, py, pz, brush.curl)
                skin[row, column, STRANDS] = np.uint8(255 * hairs)
            for c in range(3):
                skin[row, column, c] = np.uint8(255 * np.sqrt(min(1.0, max(0.0, colour[c]))) + 0.5)
            skin[row, column, GLOSS] = np.uint8(255 * min(1.0, 2 * max(0.0, gloss)))
            skin[row, column, MOUTH] = np.uint8(255 * mouth)
    return skin


@jit
def apply_hair(bare, corners, weights, fields, colours):
    """Lay what grows over bare skin: `fields` (V, 2) and `colours` (2, 3) of scalp and beard."""
    height, width = corners.shape[0], corners.shape[1]
    skin = np.empty((height, width, 5), np.uint8)
    for row in range(height):
        for column in range(width):
            for k in range(5):
                skin[row, column, k] = bare[row, column, k]
            ia, ib, ic = corners[row, column, 0], corners[row, column, 1], corners[row, column, 2]
            u, v = weights[row, column, 0], weights[row, column, 1]
            w = 1 - u - v
            beard = u * fields[ia, 1] + v * fields[ib, 1] + w * fields[ic, 1]
            scalp = u * fields[ia, 0] + v * fields[ib, 0] + w * fields[ic, 0]
            if max(beard, scalp) <= 0.01:
                continue
            gloss = np.float32(bare[row, column, GLOSS])
            grown = np.float32(0)
            if beard > 0.01:
                grown = min(0.88, beard * (0.2 + 1.3 / 255 * bare[row, column, BRISTLES]))
                gloss *= 1 - 0.8 * grown
            roots = np.float32(0)
            if scalp > 0.01:
                roots = min(0.95, scalp * (0.6 + 0.8 / 255 * bare[row, column, STRANDS]))
                gloss *= 1 - roots
            for c in range(3):
                colour = (bare[row, column, c] / 255) ** 2
                colour += (colours[1, c] - colour) * grown
                colour += (colours[0, c] - colour) * roots
                skin[row, column, c] = np.uint8(255 * np.sqrt(min(1.0, max(0.0, colour))) + 0.5)
            skin[row, column, GLOSS] = np.uint8(gloss)
    return skin
