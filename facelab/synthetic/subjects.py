"""Who the subjects are: head shape, skin, marks, hair, brows, beard, eyes, age.

In: a seed, a subject number, its group and the population. Out: a `Subject`. Every subject has one
quantile a parameter, drawn alike for all groups; the population's distribution for the group turns
it into a value. `build_subject` makes the subject of the values without any randomness: a twin is
built of the same values but one.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from facelab.faces.colour import fitzpatrick, ita, nearest_monk, srgb_to_lab
from facelab.synthetic.head import Head, load_head
from facelab.synthetic.mesh import add_targets
from facelab.synthetic.normal import normal_score, normal_share
from facelab.synthetic.parameters import (
    BROW_STYLES,
    GROUPS,
    HAIR_TONES,
    IRIS_TONES,
    LOOK,
    SHAPE_REGIONS,
    SUBJECT,
)
from facelab.synthetic.population import Population, default_population, look_plan, subject_plan
from facelab.synthetic.shapes import base_weights, change_weights, joint_scores, load_shapes
from facelab.synthetic.tissue import spread

HAIR_COLOURS = np.array(  # in the order of HAIR_TONES
    [
        [0.0050, 0.0042, 0.0040],
        [0.019, 0.0112, 0.0070],
        [0.054, 0.029, 0.0155],
        [0.140, 0.088, 0.046],
        [0.30, 0.21, 0.112],
        [0.140, 0.042, 0.0135],
    ]
)
GREY_HAIR = np.array([0.345, 0.325, 0.295])
IRIS_COLOURS = np.array(  # in the order of IRIS_TONES
    [
        [0.025, 0.012, 0.007],
        [0.060, 0.028, 0.014],
        [0.10, 0.066, 0.028],
        [0.085, 0.100, 0.050],
        [0.085, 0.125, 0.175],
        [0.14, 0.16, 0.17],
    ]
)
BLOOD = np.array([0.15, 0.75, 0.65])
SHORT_HAIR = ("bald", "cropped", "fade_low", "fade_high")


@dataclass(frozen=True)
class Subject:
    """One synthetic person: every number that stays the same from photo to photo.

    Numbers mean what `population.yaml` says of the parameters they come from. Attributes that are
    made of several:

    Attributes
    ----------
    shape : float64 (n_changes,)
        Coefficients of the head's local changes, -1..1.
    marks : float32 (10, 5)
        Moles and blemishes: x and y on the template, radius, strength (0: none), redness.
    hair_colour, brow_colour, beard_colour : float64 (3,)
        Linear RGB, grey and dye included.
    hair_volume : float
        Scale of the hair style; of cropped hair, its thickness in dm.
    hairline, temples, crown : float
        How much higher the hairline stands in dm, and how bald temples and crown are.
    brow : float64 (7,)
        Half height, height, arch, inner end, outer end (dm), density, slope.
    beard : float64 (5,)
        Density of cheeks, moustache, chin and stubble; tone.
    wrinkles : float
        0..1, of age and habit.
    lipstick : float64 (3,)
        Hue, depth, habit.
    noise : float64 (3,)
        Where in the noise the skin's grain is taken from.
    """

    name: str
    phenotype: str
    gender: str
    age: float
    muscle: float
    weight: float
    shape: np.ndarray
    melanin: float
    hemoglobin: float
    skin_modes: np.ndarray
    blotches: float
    freckles: float
    marks: np.ndarray
    gloss: float
    wrinkles: float
    noise: np.ndarray
    hair_style: str
    hair_flip: bool
    hair_colour: np.ndarray
    hair_curl: float
    hair_volume: float
    hairline: float
    temples: float
    crown: float
    brow_style: int
    brow: np.ndarray
    brow_colour: np.ndarray
    beard_colour: np.ndarray
    beard: np.ndarray
    iris: np.ndarray
    lip_red: float
    lip_dark: float
    lashes: float
    lipstick: np.ndarray
    eye_makeup: float

    @property
    def group(self) -> str:
        """phenotype/gender."""
        return f"{self.phenotype}/{self.gender}"

    @property
    def skin(self) -> np.ndarray:
        """Linear RGB albedo of plain skin."""
        return skin_albedo(self.melanin, self.hemoglobin)

    @property
    def ita(self) -> float:
        """Individual typology angle of the albedo, in degrees."""
        return skin_labels(self.melanin, self.hemoglobin)[0]

    @property
    def monk(self) -> int:
        """The nearest of the ten Monk skin tones to the albedo."""
        return skin_labels(self.melanin, self.hemoglobin)[1]

    @property
    def fitzpatrick(self) -> str:
        """Fitzpatrick-like type, I..VI, by ITA."""
        return str(fitzpatrick(np.array([self.ita]))[0])


def skin_albedo(melanin: float, hemoglobin: float) -> np.ndarray:
    """Linear RGB albedo: Beer-Lambert absorption by melanin (0 none .. 1 most) and blood (0 mean).

    The exponents were fitted to sRGB colours of very light, intermediate, brown and dark skin:
    blue is absorbed first, red last.
    """
    melanin_loss = np.array([2.5 * melanin**1.4, 2.95 * melanin**1.1, 3.2 * melanin**0.95])
    return np.array([0.87, 0.63, 0.53]) * np.exp(-melanin_loss - hemoglobin * blood_slope(melanin))


@lru_cache(maxsize=4)
def skin_labels(melanin: float, hemoglobin: float) -> tuple[float, int]:
    """The albedo's individual typology angle, in degrees, and its Monk skin tone."""
    lab = srgb_to_lab(to_srgb(skin_albedo(melanin, hemoglobin)))
    return float(ita(lab)), int(nearest_monk(lab))


def melanin_slope(melanin: float) -> np.ndarray:
    """How fast each channel darkens with more melanin: the derivative of the loss above."""
    melanin = max(melanin, 0.05)
    return np.array([3.5 * melanin**0.4, 3.245 * melanin**0.1, 3.04 * melanin**-0.05])


def blood_slope(melanin: float) -> np.ndarray:
    """How fast each channel darkens with more blood: less, where melanin lets little light in."""
    return BLOOD * (1 - 0.5 * melanin)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB in 0..1 of linear light (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# ---- drawing


def subject_stream(seed: int, number: int, *more: int) -> np.random.Generator:
    """The random stream of one subject (or of one of its images): independent of all others."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number, *more])))


def quantiles(random: np.random.Generator, count: int) -> np.ndarray:
    """Uniform draws above 0 and below 1."""
    return np.maximum(random.random(count), 2.0**-54)


def interleave(counts: dict[str, int]) -> list[str]:
    """A group label a subject: each group as often as `counts` says, evenly mixed."""
    turns = [
        ((turn + 0.5) / count, place)
        for place, count in enumerate(counts.values())
        for turn in range(count)
    ]
    names = list(counts)
    return [names[place] for _, place in sorted(turns)]


def subject_name(seed: int, number: int) -> str:
    """What a subject is called."""
    return f"s{seed}-{number + 1:05d}"


def subject_values(
    seed: int,
    number: int,
    group: str,
    head: Head,
    population: Population | None = None,
    family: int = 0,
    look: int = 0,
) -> dict[str, Any]:
    """The value of every parameter of `parameters.SUBJECT`, and `shape`, for one subject."""
    population = population or default_population()
    values = first_look(seed, number, group, head, population, family).copy()
    if look > 0:
        own = quantiles(subject_stream(seed, number, 4, look), len(LOOK))
        drawn = look_plan(population, group).values(np.minimum(own, 1 - 2.0**-53))
        values.update(zip(LOOK, drawn, strict=True))
    return values


@lru_cache(maxsize=4)
def first_look(
    seed: int, number: int, group: str, head: Head, population: Population, family: int
) -> dict[str, Any]:
    """The values of one subject with its first look."""
    regions, _, _ = shape_layout(head)
    u = subject_quantiles(seed, number, group, population, family)
    drawn = subject_plan(population, group, regions).values(u)
    values: dict[str, Any] = {"shape": np.clip(load_shapes().sd * drawn[: len(regions)], -1, 1)}
    place = len(regions)
    for name, parameter in SUBJECT.items():
        if parameter.count == 1:
            values[name] = drawn[place]
        elif parameter.count:
            values[name] = np.array(drawn[place : place + parameter.count])
        place += parameter.count
    # What depends on another value is settled here, so that a twin changes one thing alone.
    values["age"] = round(values["age"], 1)
    values["balding"] = float(np.clip(values["balding"] + (values["age"] - 25) / 45, 0, 1))
    if values["age"] < values["glasses_onset"]:
        values["own_glasses"] = "none"
    return values


def subject_quantiles(
    seed: int, number: int, group: str, population: Population, family: int
) -> np.ndarray:
    """A quantile for each local change of the head and each parameter, with the first look."""
    regions, left, right = shape_layout(load_head())
    shapes = len(regions)
    count = shapes + sum(parameter.count for parameter in SUBJECT.values())
    u = quantiles(subject_stream(seed, number, 0), count)
    alike = population.setting("look_alikes", group)
    if alike > 0:
        shared = quantiles(subject_stream(seed, GROUPS.index(group), 2, family), count)
        u = normal_share(
            np.sqrt(alike) * normal_score(shared) + np.sqrt(1 - alike) * normal_score(u)
        )
    own_side = population.setting("own_side", group)
    plain, own = np.ones(shapes, bool), normal_score(u[right])
    plain[right] = False
    scores = np.empty(shapes)
    scores[plain] = joint_scores(normal_score(u[:shapes][plain]), load_shapes())
    scores[right] = np.sqrt(1 - own_side**2) * scores[left] + own_side * own
    u[:shapes] = normal_share(scores)
    return np.clip(u, 2.0**-54, 1 - 2.0**-53)


@lru_cache(maxsize=4)
def shape_layout(head: Head) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """The region of each local change, and which changes are left and right of one another."""
    names = [name for name, _, _ in head.changes]
    plain = [name.removeprefix("l-").removeprefix("r-") for name in names]
    starts = {start: region for region, all_of in SHAPE_REGIONS.items() for start in all_of}
    regions = tuple(
        starts[max((start for start in starts if name.startswith(start)), key=len)]
        for name in plain
    )
    right = np.array([place for place, name in enumerate(names) if name.startswith("r-")])
    left = np.array([names.index("l-" + plain[place]) for place in right])
    return regions, left, right


# ---- from values to a subject


def build_subject(name: str, phenotype: str, gender: str, values: dict[str, Any]) -> Subject:
    """The subject with these values. The phenotype and gender given decide the base shape alone."""
    v = values
    natural = HAIR_COLOURS[HAIR_TONES.index(v["hair_tone"])] * v["hair_shade"]
    grey = np.clip((v["age"] - v["grey_onset"]) / 30, 0, 1)
    dye = HAIR_COLOURS[HAIR_TONES.index(v["dye_tone"])]
    marks = np.zeros((10, 5), np.float32)
    columns = ("mark_x", "mark_y", "mark_size", "mark_strength", "mark_redness")
    for column, part in enumerate(columns):
        marks[:, column] = v[part]
    marks[int(v["mark_count"]) :, 3] = 0
    beard = v["beard"]
    return Subject(
        name=name,
        phenotype=phenotype,
        gender=gender,
        age=v["age"],
        muscle=v["muscle"],
        weight=v["weight"],
        shape=v["shape"],
        melanin=v["melanin"],
        hemoglobin=v["hemoglobin"],
        skin_modes=v["skin_modes"],
        blotches=v["blotches"],
        freckles=v["freckles"],
        marks=marks,
        gloss=v["gloss"],
        wrinkles=float(np.clip(v["wrinkle_habit"] * (v["age"] - 25) / 60, 0, 1)),
        noise=v["skin_place"],
        hair_style=v["hair_style"],
        hair_flip=v["hair_flip"],
        hair_colour=dye if v["dyed"] else natural + (GREY_HAIR - natural) * grey,
        hair_curl=v["hair_curl"],
        hair_volume=v["cropped_thickness"] if v["hair_style"] in SHORT_HAIR else v["hair_volume"],
        hairline=v["hairline"] + 0.05 * v["balding"],
        temples=0.045 + 0.28 * v["balding"] * v["balding_temples"],
        crown=1.1 * v["balding"] * v["balding_crown"],
        brow_style=BROW_STYLES.index(v["brow_style"]),
        brow=np.array(
            [
                v["brow_thickness"],
                v["brow_height"],
                v["brow_arch"],
                v["brow_inner"],
                v["brow_outer"],
                v["brow_density"],
                v["brow_slope"],
            ]
        ),
        # Brows are darker than hair and grey later; neither they nor beards are often dyed.
        brow_colour=0.6 * natural + (GREY_HAIR - natural) * grey * 0.3,
        beard_colour=0.7 * natural + (0.85 * GREY_HAIR - 0.7 * natural) * grey,
        beard=np.array(
            [
                min(1.0, max(0.0, 4 * (beard - 0.55))) * v["beard_cheeks"],
                min(1.0, max(0.0, 4 * (beard - 0.45))) * v["beard_moustache"],
                min(1.0, max(0.0, 4 * (beard - 0.42))) * v["beard_chin"],
                v["stubble"],
                v["beard_tone"],
            ]
        ),
        iris=IRIS_COLOURS[IRIS_TONES.index(v["iris_tone"])] * v["iris_shade"],
        lip_red=v["lip_red"],
        lip_dark=v["lip_dark"],
        lashes=v["lashes"],
        lipstick=np.array([v["lipstick_hue"], v["lipstick_depth"], v["lipstick_habit"]]),
        eye_makeup=v["eye_makeup"],
    )


def neutral_shape(subject: Subject, head: Head) -> np.ndarray:
    """The subject's neutral head, float32 (V, 3), relative to the point between its eyes."""
    base = base_weights(
        subject.phenotype, subject.gender, subject.age, subject.muscle, subject.weight
    )
    weights = {head.numbers[name]: weight for name, weight in base.items()}
    weights |= change_weights(subject.shape, subject.gender, subject.age, head)
    vertices = head.template.copy()
    numbers, amounts = np.array(list(weights)), np.array(list(weights.values()), np.float32)
    add_targets(vertices, numbers, amounts, head.starts, head.indices, head.offsets)
    spread(vertices, head)
    # The upper teeth hang behind the seam of the lips, whatever has moved that.
    up = vertices[:, 1] - head.template[:, 1]
    vertices[head.upper_teeth, 1] += up[head.lip_seam].mean() - up[head.biting_edge].mean()
    middle = (vertices[head.eye_left].mean(0) + vertices[head.eye_right].mean(0)) / 2
    return vertices - middle
