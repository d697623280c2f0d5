"""What is painted on the skin: pigment, brows, lips, marks, and what a look grows on it.

In: a `Subject`. Out: a cylindrical picture of its skin, uint8 (H, W, 7): the square roots of the
linear RGB albedo, gloss (over 0.5), what make-up may cover (above 128 the lips, below it the upper
lids), and the slopes of its relief to the map's right and upwards (128 for 0, 127 for 1). All of it
is a function of canonical place, a point of the template mesh, so that it follows the face through
every change of shape. The bare skin is painted once a subject (`paint_skin`), the hair that a look
grows on it once a look (`grow_on_skin`); both are looked up in all of its photos.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

from collections import namedtuple
from functools import cache

import numpy as np

from facelab.synthetic.head import PARTS, Head, load_head
from facelab.synthetic.mesh import jit
from facelab.synthetic.noise import bell, noise3, ramp, spot, step, strands
from facelab.synthetic.relief import FAMILIES, fold_maps, pore_slopes
from facelab.synthetic.scalp import hair_margin, shadow_of_hair
from facelab.synthetic.styles import MAP_COLUMNS, MAP_ROWS, load_styles, map_coordinates
from facelab.synthetic.subjects import Subject, blood_slope, melanin_slope
from facelab.synthetic.visibility import pyramid, rasterise

# Columns of the vertex fields that are spread over the map.
FIELDS = ("scalp", "beard", "melanin", "blood")
SCALP, BEARD, MELANIN, BLOODY = range(len(FIELDS))
# Channels of bare skin: sqrt of the albedo, gloss, made-up parts, slopes, and how dense single
# hairs would stand. What is looked up in photos are the first SHOWN.
GLOSS, MADE_UP, ACROSS, UP, STRANDS, BRISTLES, CHANNELS, SHOWN = 3, 4, 5, 6, 7, 8, 9, 7
# Columns of a stencil's features and grain.
LIPS, LOWER, LASHES, WET, LID, FACE = range(6)
MID, FINE, SPOTS, DOTS, PORES_ACROSS, PORES_UP = range(6)
Brush = namedtuple(
    "Brush",
    "skin melanin blood brow_colour brow marks noise curl lip_red lip_dark freckles wrinkles "
    "spots gloss blotches lashes dark",
)
Stencil = namedtuple("Stencil", "places features grain folds folded")


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
    _, nearest, _ = rasterise(screen, skin, max(height, width), *solid(screen, skin), lattice())
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


def solid(screen: np.ndarray, triangles: np.ndarray, closed: int = 0) -> tuple:
    """What `rasterise` wants to know of a surface that has no gaps."""
    cover = np.full(len(screen), 9, np.float32)
    nowhere = np.full((len(screen), 2), -1, np.float32)
    return closed, len(triangles), cover, screen, nowhere, pyramid(np.zeros((1, 1, 2), np.uint8))


@cache
def stencil(size: int) -> Stencil:
    """What is alike on all skin maps for crops of `size` px: places, features, grain and folds."""
    corners, weights = chart(size)
    u, v = weights[..., :1], weights[..., 1:]
    a, b, c = (load_head().template[corners[..., k]] for k in range(3))
    places = np.ascontiguousarray(u * a + v * b + (1 - u - v) * c, np.float32)
    folds = fold_maps(places)
    shape = places.shape[:2]
    across, down = np.meshgrid(np.arange(shape[1]) / shape[1], np.arange(shape[0]) / shape[0])
    # The lattice repeats, and so does the grain: everybody may take it from another place.
    noises = []
    for number, (columns, rows) in enumerate(((3, 2), (7, 5), (9, 6), (4, 3))):
        spots = np.stack([32 * columns * across, 32 * rows * down, 0 * down + 5.3 * number], -1)
        noises.append(noise_at(lattice(), spots.reshape(-1, 3)).reshape(shape))
    pores = pore_slopes(shape, size, np.random.Generator(np.random.Philox(20240301)))
    grain = np.stack([*noises, pores[..., 0], pores[..., 1]], -1).astype(np.float32)
    return Stencil(places, features(places), grain, folds, folds.any((2, 3)))


def features(places: np.ndarray) -> np.ndarray:
    """Where a texel lies on the face: float32 (H, W, 6), 0..1, by the constants above."""
    x, y, z = np.abs(places[..., 0]), places[..., 1], places[..., 2]
    # The red of the lips, between the bow above and the bow below the seam.
    share = np.clip(1 - (x / 0.243) ** 2, 0, 1)
    bow = 0.108 * share**0.75 + 0.014 * np.exp(-(((x - 0.055) / 0.04) ** 2)) * share
    above = ramp(6.615 + bow - y, -0.004, 0.016) * ramp(y, 6.600, 6.612)
    below = ramp(y - (6.612 - 0.130 * share**0.62), -0.006, 0.022) * ramp(6.618 - y, 0, 0.012)
    mouth = (x < 0.243) & (z > 1.15)
    # The opening of the eye, between its corners.
    t = np.clip((x - 0.163) / 0.280, 0, 1)
    upper = 7.268 + 0.03 * t + 0.052 * (4 * t * (1 - t)) ** 0.8
    lower = 7.268 + 0.03 * t - 0.042 * (4 * t * (1 - t)) ** 0.9
    beyond = np.exp(-((np.clip(np.maximum(0.163 - x, x - 0.443), 0, 1) / 0.015) ** 2))
    beyond = beyond * (z > 1.0)
    # Lashes are longer towards the temple, and their shade goes a little beyond the corner.
    outwards = np.exp(-((np.clip(np.maximum(0.163 - x, x - 0.465), 0, 1) / 0.020) ** 2)) * (z > 1.0)
    lashes = np.exp(-(((y - upper - 0.004) / (0.011 + 0.008 * t)) ** 2)) * outwards
    under = 0.35 * np.exp(-(((y - lower + 0.016) / 0.012) ** 2)) * beyond * ramp(t, 0.3, 0.6)
    wet = np.exp(-(((y - lower + 0.004) / 0.010) ** 2)) * beyond
    lid = ramp(y - upper, -0.004, 0.006) * ramp(upper + 0.085 - y, 0, 0.06)
    lid = lid * ramp(x, 0.13, 0.22) * ramp(0.52 - x, 0, 0.10) * (z > 1.0)
    face = (z > 0.3) & (y > 5.6)
    lips = np.maximum(above, below) * mouth
    return np.stack(
        [lips, below * mouth, np.maximum(lashes, under), wet, lid, face], -1, dtype=np.float32
    )


def paint_skin(subject: Subject, head: Head, size: int) -> np.ndarray:
    """The subject's bare skin for crops of `size` px, uint8 (H, W, CHANNELS)."""
    styles = load_styles()
    corners, weights = chart(size)
    pigment = (
        styles.pigment_mean
        + 0.7 * max(0.0, subject.wrinkles) * styles.pigment_age
        + np.tensordot(subject.skin_modes.astype(np.float32), styles.pigment_modes, 1)
    )
    melanin, blood = spread_pigment(subject, head)
    bristles = np.maximum.reduce([area for area in beard_areas()])
    fields = np.stack([scalp_field(subject, head), bristles, melanin, blood], 1)
    brush = Brush(
        skin=subject.skin,
        melanin=melanin_slope(subject.melanin),
        blood=blood_slope(subject.melanin),
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
        spots=0.12 * max(0.0, subject.wrinkles - 0.3) * np.exp(-3 * subject.melanin),
        gloss=subject.gloss,
        blotches=subject.blotches * (1 + 1.4 * max(0.0, subject.wrinkles)),
        lashes=subject.lashes,
        dark=subject.melanin,
    )
    return apply_brush(
        brush,
        corners,
        weights,
        *stencil(size),
        fold_weights(subject),
        fields.astype(np.float32),
        np.ascontiguousarray(pigment, np.float32),
        styles.brows[subject.brow_style],
        lattice(),
    )


def grow_on_skin(bare: np.ndarray, subject: Subject, beard: np.ndarray, size: int) -> np.ndarray:
    """The bare skin with a look's `beard_field` and the roots of its hair, uint8 (H, W, SHOWN)."""
    corners, weights = chart(size)
    fields = np.stack([shadow_of_hair(subject), beard], 1)
    return apply_hair(
        bare,
        corners,
        weights,
        fields.astype(np.float32),
        np.array(
            [
                subject.hair_colour,
                subject.beard_colour,
                # Shaven hair is under the skin, and can but darken it.
                np.minimum(subject.beard_colour, 0.6 * subject.skin),
            ]
        ),
    )


def scalp_field(subject: Subject, head: Head) -> np.ndarray:
    """How far each vertex of the head belongs to the scalp that hair may grow on, 0..1."""
    x, y, z = np.abs(head.template[:, 0]), head.template[:, 1], head.template[:, 2]
    ear = (x > 0.72) & (y < 7.4) & (z > 0.2)
    return np.where(ear, 0, np.clip(0.45 + hair_margin(subject) / 0.16, 0, 1))


def fold_weights(subject: Subject) -> np.ndarray:
    """How deep each family of folds is, float32: some crease here first, some there."""
    early = np.modf(np.outer(subject.noise, [1.0, 3.7, 7.3]).ravel())[0]
    onset = 0.02 + 0.22 * early[: len(FAMILIES)]
    depth = np.clip((subject.wrinkles - onset) / 0.75, 0, 1)
    depth *= _DEPTHS
    return (1.4 * depth / 127).astype(np.float32)


# A habit of frowning is rarer than age.
_DEPTHS = np.array(
    [
        {"cheek": 1.3, "mouth": 1.3, "brow": 1.3, "eye": 1.2, "frown": 0.5}.get(name, 1.0)
        for name in FAMILIES
    ]
)


@cache
def blood_sites() -> tuple[np.ndarray, np.ndarray]:
    """The thin skin under the eyes, and the blood of cheeks, nose and ears: a value a vertex."""
    template = load_head().template
    x, y, z = np.abs(template[:, 0]), template[:, 1], template[:, 2]

    under = spot(x, y, (0.30, 7.14), (0.17, 0.06)) * ramp(z, 1.1, 1.3)
    blood = 0.20 * spot(x, y, (0.42, 6.95), (0.17, 0.17)) * ramp(z, 0.9, 1.1)
    blood += 0.12 * spot(x, y, (0.0, 6.90), (0.12, 0.11)) * ramp(z, 1.4, 1.5)
    blood += 0.30 * ramp(x, 0.78, 0.86) * ramp(y, 6.7, 6.8) * ramp(-y, -7.5, -7.3)
    return under, blood


def spread_pigment(subject: Subject, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """More or less melanin and blood than the subject's mean, at each vertex of the head."""
    under, blood = blood_sites()
    broad = noise_at(lattice(), head.template * 3.5 + subject.noise) - 0.5
    melanin = 1.2 * subject.blotches * broad + (0.02 + 0.05 * subject.wrinkles) * under
    return melanin, 0.20 * broad + 0.05 * under + blood


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
    jaw = jaw * ramp(upper - y, -0.09, 0.16)
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
def apply_brush(
    brush, corners, weights, places, features, grain, folds, folded, creased, fields, pigment,
    brows, lattice,
):  # fmt: skip
    """Paint every texel; see the module's docstring for what comes out."""
    height, width = corners.shape[0], corners.shape[1]
    skin = np.zeros((height, width, CHANNELS), np.uint8)
    colour = np.empty(3)
    here = np.empty(fields.shape[1])
    ox, oy, oz = brush.noise[0], brush.noise[1], brush.noise[2]
    inner, outer = brush.brow[3], brush.brow[4]
    lower, right = int(oy / 32 * height), int(ox / 32 * width)
    old = max(0.0, brush.wrinkles)
    # Fine hairs that are lighter than the skin are hardly seen.
    lightness = 0.4 if brush.brow_colour[1] > 0.7 * brush.skin[1] else 1.0
    for row in range(height):
        for column in range(width):
            ia, ib, ic = corners[row, column, 0], corners[row, column, 1], corners[row, column, 2]
            u, v = weights[row, column, 0], weights[row, column, 1]
            w = 1 - u - v
            for k in range(len(here)):
                here[k] = u * fields[ia, k] + v * fields[ib, k] + w * fields[ic, k]
            px, py, pz = places[row, column, 0], places[row, column, 1], places[row, column, 2]
            ax = abs(px)
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
            mouth = shade = across = up = lid = dark = red = 0.0
            gloss = brush.gloss * (1 + 0.5 * bell(px / 0.2))
            face = features[row, column, FACE] > 0
            if face:
                m, n = (row + lower) % height, (column + right) % width
                mid, fine = grain[m, n, MID] - 0.5, grain[m, n, FINE] - 0.5
                melanin += brush.blotches * (mid * 0.7 + fine * 0.6)
                blood += 0.10 * mid + 0.06 * fine
                if brush.freckles > 0:
                    patch = step(6.4, 6.8, py) * step(8.0, 7.3, py) * step(0.9, 1.2, pz)
                    spots = step(0.60, 0.90, grain[m, n, SPOTS])
                    melanin += brush.freckles * patch * 0.16 * spots
                if brush.spots > 0:
                    melanin += brush.spots * step(0.74, 0.88, grain[m, n, DOTS])
                if pz > 0.6:
                    for k in range(len(brush.marks)):
                        dx, dy = px - brush.marks[k, 0], py - brush.marks[k, 1]
                        gap = (dx * dx + dy * dy) / (brush.marks[k, 2] * brush.marks[k, 2])
                        if gap < 4:
                            amount = brush.marks[k, 3] * bell(np.sqrt(gap) * 1.2)
                            melanin += amount * (1 - brush.marks[k, 4])
                            blood += 2 * amount * brush.marks[k, 4]
                mouth = features[row, column, LIPS]
                grown = 1 + 0.4 * old
                across = grown * grain[m, n, PORES_ACROSS] * (1 - 0.6 * mouth)
                up = grown * grain[m, n, PORES_UP] * (1 - 0.6 * mouth)
                if old > 0 and folded[row, column]:
                    # No fold is as deep all along, nor on both sides.
                    deep = 0.55 + 0.9 * noise3(lattice, px * 7 + ox, py * 9 + oy, pz * 7 + oz)
                    for k in range(len(creased)):
                        across += deep * creased[k] * folds[row, column, k, 0]
                        up += deep * creased[k] * folds[row, column, k, 1]
                        shade += deep * creased[k] * folds[row, column, k, 2]
                if mouth > 0:
                    # Fine upright creases; old lips are paler.
                    crease = noise3(lattice, px * 70 + ox, py * 7 + oy, oz) - 0.5
                    across += 0.5 * mouth * crease
                    under = features[row, column, LOWER]
                    red = mouth * brush.lip_red * (1 - 0.35 * old) * (1 + 0.25 * crease)
                    blood += red
                    # Where skin is dark the upper lip is as dark, the lower one lets blood through.
                    melanin += mouth * (brush.lip_dark + 0.06 * brush.dark * (0.5 - 1.5 * under))
                    gloss = gloss * (1 - mouth) + mouth * (0.055 + 0.05 * under)
                lid = features[row, column, LID]
                wet = features[row, column, WET]
                if wet > 0.02:
                    blood += 0.35 * wet
                    melanin -= 0.10 * brush.dark * wet
                    gloss += 0.25 * wet
                dark = features[row, column, LASHES] * min(0.7, 0.1 + 0.6 * brush.lashes)
            for c in range(3):
                loss = brush.melanin[c] * melanin + brush.blood[c] * blood
                # Blood shows bluer through the lips' thin skin.
                loss += red * (0.10, 0.0, -0.10)[c]
                # Light that falls into a fold comes out redder.
                colour[c] = brush.skin[c] * fading(loss) * (1 - (0.13 + 0.05 * c) * min(1.5, shade))
                colour[c] *= 1 - dark
            gloss *= 1 - 0.6 * min(1.0, shade)
            # Brows: hairs looked up along a tapering arch between an inner and an outer end, over
            # the soft shade that hairs too fine for the picture make together.
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
                    soft = bell(s / (0.46 - 0.24 * t)) * step(1.0, 0.75, t)
                    # Fine hairs lean outwards and up at the inner end, down at the outer one.
                    lean = ax * (60 + 60 * t) - py * (50 - 80 * t)
                    strokes = noise3(lattice, lean + ox, (py + ax) * 14 + oy, oz)
                    soft *= (0.35 + 0.9 * strokes) * lightness
                    amount = brush.brow[5] * (1.05 * soft + 1.3 * hairs / 255)
                    amount = min(0.93, amount) * (0.25 + 0.75 * step(0, 0.30, t)) * step(0, 0.10, t)
                    for c in range(3):
                        colour[c] += (brush.brow_colour[c] - colour[c]) * amount
                    gloss *= 1 - amount
            if here[BEARD] > 0.01:
                hairs = noise3(lattice, px * 120 + ox, py * 36 + oy, pz * 120 + oz)
                hairs = 0.6 * hairs + 0.4 * noise3(lattice, px * 22 + oz, py * 14 + ox, pz * 22)
                # Where a texel holds several hairs, it has their mean.
                hairs = 0.5 + (hairs - 0.5) * min(1.0, height / 420)
                skin[row, column, BRISTLES] = np.uint8(255 * min(1.0, max(0.01, hairs)))
            if here[SCALP] > 0.01:
                hairs = strands(lattice, px, py, pz, brush.curl)
                skin[row, column, STRANDS] = np.uint8(255 * hairs)
            for c in range(3):
                skin[row, column, c] = np.uint8(255 * np.sqrt(min(1.0, max(0.0, colour[c]))) + 0.5)
            skin[row, column, GLOSS] = np.uint8(255 * min(1.0, 2 * max(0.0, gloss)))
            skin[row, column, MADE_UP] = np.uint8(128 + 127 * mouth - 128 * lid)
            skin[row, column, ACROSS] = np.uint8(128.5 + 127 * min(1.0, max(-1.0, across)))
            skin[row, column, UP] = np.uint8(128.5 + 127 * min(1.0, max(-1.0, up)))
    return skin


@jit
def apply_hair(bare, corners, weights, fields, colours):
    """Lay what grows over bare skin: `fields` (V, 2) and `colours` (3, 3) of
    scalp, beard and shaven beard."""
    height, width = corners.shape[0], corners.shape[1]
    skin = np.empty((height, width, SHOWN), np.uint8)
    for row in range(height):
        for column in range(width):
            for k in range(SHOWN):
                skin[row, column, k] = bare[row, column, k]
            if bare[row, column, STRANDS] == 0 and bare[row, column, BRISTLES] == 0:
                continue
            ia, ib, ic = corners[row, column, 0], corners[row, column, 1], corners[row, column, 2]
            u, v = weights[row, column, 0], weights[row, column, 1]
            w = 1 - u - v
            beard = u * fields[ia, 1] + v * fields[ib, 1] + w * fields[ic, 1]
            scalp = u * fields[ia, 0] + v * fields[ib, 0] + w * fields[ic, 0]
            if max(beard, scalp) <= 0.01:
                continue
            gloss = np.float32(bare[row, column, GLOSS])
            grown, bristle = np.float32(0), np.float32(0)
            if beard > 0.01:
                # Single hairs where it is thin, over the shadow of roots; closed where it is full.
                bristle = bare[row, column, BRISTLES] / 255
                hairs = 2.2 * (0.95 * beard + 1.1 * bristle - 1.05)
                grown = 0.5 * beard
                grown += (0.88 - grown) * min(1.0, max(0.0, hairs))
                gloss *= 1 - 0.8 * grown
            roots = np.float32(0)
            if scalp > 0.01:
                roots = min(0.95, scalp * (0.6 + 0.8 / 255 * bare[row, column, STRANDS]))
                gloss *= 1 - roots
            for c in range(3):
                colour = (bare[row, column, c] / 255) ** 2
                tone = colours[1 if beard > 0.4 else 2, c] * (0.3 + 1.4 * bristle)
                colour += (tone - colour) * grown
                colour += (colours[0, c] - colour) * roots
                skin[row, column, c] = np.uint8(255 * np.sqrt(min(1.0, max(0.0, colour))) + 0.5)
            skin[row, column, GLOSS] = np.uint8(gloss)
    return skin
