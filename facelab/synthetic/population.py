"""Who the subjects are: group, age, head shape, skin, hair, brows, beard, eyes, marks.

In: a seed, a subject number and its group. Out: a `Subject`. What makes a subject tellable apart
is drawn from the same stream and distribution for every group; only the phenotype's base shape
and the palettes of skin, hair and iris (the tables below) depend on the group.
"""

from dataclasses import dataclass

import numpy as np

from facelab.groups import ita, srgb_to_lab
from facelab.synthetic.head import Head
from facelab.synthetic.mesh import add_targets

PHENOTYPES = ("african", "asian", "caucasian")
GENDERS = ("female", "male")
GROUPS = tuple(f"{phenotype}/{gender}" for phenotype in PHENOTYPES for gender in GENDERS)

SHAPE_SD = 0.36  # of each local change, clipped at 1
OWN_SIDE = 0.3  # how much of a left or right change is that side's own
AGES = (20.0, 78.0)

# Melanin: mean, sd of a normal clipped to 0.01..1; the tails overlap. Not anthropometry: rendering
# parameters chosen so that the ITA ranges of published skin measurements are covered.
MELANIN = {"african": (0.66, 0.17), "asian": (0.23, 0.075), "caucasian": (0.115, 0.065)}
# Natural hair: shares of black, dark brown, brown, dark blond, blond, red.
HAIR_SHARES = {
    "african": (0.80, 0.16, 0.03, 0.005, 0.003, 0.002),
    "asian": (0.72, 0.21, 0.05, 0.01, 0.005, 0.005),
    "caucasian": (0.12, 0.27, 0.27, 0.17, 0.11, 0.06),
}
HAIR_COLOURS = np.array(
    [
        [0.010, 0.008, 0.007],
        [0.035, 0.020, 0.012],
        [0.095, 0.050, 0.026],
        [0.22, 0.135, 0.070],
        [0.42, 0.29, 0.15],
        [0.24, 0.070, 0.022],
    ]
)
GREY_HAIR = np.array([0.33, 0.32, 0.31])
# Hair texture, 0 straight .. 1 coily: mean, sd.
HAIR_CURL = {"african": (0.85, 0.2), "asian": (0.12, 0.15), "caucasian": (0.3, 0.22)}
# Iris: shares of dark brown, brown, hazel, green, blue, grey.
IRIS_SHARES = {
    "african": (0.80, 0.17, 0.02, 0.004, 0.003, 0.003),
    "asian": (0.72, 0.24, 0.03, 0.004, 0.003, 0.003),
    "caucasian": (0.12, 0.25, 0.16, 0.12, 0.25, 0.10),
}
IRIS_COLOURS = np.array(
    [
        [0.025, 0.012, 0.007],
        [0.085, 0.040, 0.018],
        [0.14, 0.090, 0.035],
        [0.11, 0.14, 0.065],
        [0.085, 0.16, 0.27],
        [0.19, 0.22, 0.24],
    ]
)


@dataclass(frozen=True)
class Subject:
    """One synthetic person: every number that stays the same from photo to photo."""

    name: str
    phenotype: str
    gender: str
    age: float
    muscle: float
    weight: float
    shape: np.ndarray
    melanin: float
    hemoglobin: float
    hair_colour: np.ndarray
    hair_curl: float
    hair_volume: float
    hair_sides: float
    hair_length: float
    hair_part: float
    hairline: float
    temples: float
    crown: float
    fringe: float
    brow: np.ndarray
    brow_colour: np.ndarray
    beard: np.ndarray
    iris: np.ndarray
    lip_red: float
    lip_dark: float
    lashes: float
    freckles: float
    wrinkles: float
    gloss: float
    blotches: float
    marks: np.ndarray
    lipstick: np.ndarray
    noise: np.ndarray

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
        return float(ita(srgb_to_lab(to_srgb(self.skin))))


def skin_albedo(melanin: float, hemoglobin: float) -> np.ndarray:
    """Linear RGB albedo: Beer-Lambert absorption by melanin (0 none .. 1 most) and blood (0 mean).

    The exponents were fitted to sRGB colours of very light, intermediate, brown and dark skin:
    blue is absorbed first, red last.
    """
    melanin_loss = np.array([2.5 * melanin**1.4, 2.95 * melanin**1.1, 3.2 * melanin**0.95])
    return np.array([0.87, 0.63, 0.53]) * np.exp(-melanin_loss - hemoglobin * BLOOD)


BLOOD = np.array([0.15, 0.75, 0.65])


def melanin_slope(melanin: float) -> np.ndarray:
    """How fast each channel darkens with more melanin: the derivative of the loss above."""
    melanin = max(melanin, 0.05)
    return np.array([3.5 * melanin**0.4, 3.245 * melanin**0.1, 3.04 * melanin**-0.05])


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB in 0..1 of linear light (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def subject_stream(seed: int, number: int, *more: int) -> np.random.Generator:
    """The random stream of one subject (or of one of its images): independent of all others."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number, *more])))


def interleave(counts: dict[str, int]) -> list[str]:
    """A group label a subject: each group as often as `counts` says, evenly mixed."""
    turns = [
        ((turn + 0.5) / count, place)
        for place, count in enumerate(counts.values())
        for turn in range(count)
    ]
    names = list(counts)
    return [names[place] for _, place in sorted(turns)]


def draw_subject(seed: int, number: int, group: str, head: Head) -> Subject:
    """Subject `number` of the population `seed`, as a member of `group`.

    The draws are the same whatever the group: the same number in another group is the same
    person with another phenotype base and palette (a twin).
    """
    random = subject_stream(seed, number, 0)
    phenotype, gender = group.split("/")
    male = gender == "male"

    # All draws first and in one order, so that no branch on the group can shift the stream.
    own = np.clip(random.normal(0, 1, len(head.changes)), -2.5, 2.5)
    uniform = random.uniform(0, 1, 40)
    normal = np.clip(random.normal(0, 1, 20), -2.5, 2.5)
    mark_places = random.uniform(0, 1, (10, 4))
    noise = random.uniform(0, 32, 3)

    shape = np.empty(len(head.changes))
    left = {name: place for place, (name, _, _) in enumerate(head.changes) if name[:2] == "l-"}
    for place, (name, _, positive) in enumerate(head.changes):
        value = own[place]
        if name[:2] == "r-":
            shared = own[left["l-" + name[2:]]]
            value = shared * np.sqrt(1 - OWN_SIDE**2) + value * OWN_SIDE
        # Whole-head changes, ears and asymmetries reach beyond what looks human at full width.
        wild = name.startswith(("asym", "head-", "l-ear", "r-ear"))
        sd = 0.6 * SHAPE_SD if wild else SHAPE_SD
        shape[place] = np.clip(value * sd, 0 if positive < 0 else -1, 1)

    age = AGES[0] + (AGES[1] - AGES[0]) * uniform[0] ** 1.35
    old = np.clip((age - 25) / 60, 0, 1)
    melanin = np.clip(MELANIN[phenotype][0] + MELANIN[phenotype][1] * normal[0], 0.01, 1.0)
    hemoglobin = 0.05 + 0.16 * normal[1]

    natural = HAIR_COLOURS[np.searchsorted(np.cumsum(HAIR_SHARES[phenotype])[:-1], uniform[1])]
    natural = natural * np.exp(0.25 * normal[2])
    grey = np.clip((age - 38 - 9 * normal[3]) / 30, 0, 1)
    dyed = uniform[2] < (0.06 if male else 0.3)
    tint = HAIR_COLOURS[int(uniform[3] * 6)]
    brows = natural + (GREY_HAIR - natural) * grey * (0.2 if dyed else 0.7)
    colour = tint if dyed else natural + (GREY_HAIR - natural) * grey

    curl = np.clip(HAIR_CURL[phenotype][0] + HAIR_CURL[phenotype][1] * normal[4], 0, 1)
    balding = np.clip((age - 25) / 45 + 0.35 * normal[5], 0, 1) if male else 0.0
    shaved = uniform[4] < (0.12 if male else 0.015)
    volume = 0.03 + 0.22 * uniform[5] ** 2 + (0.12 * curl * uniform[6] ** 2)
    volume *= 1 - 0.5 * balding
    sides = volume * (0.25 + 0.75 * uniform[7])
    # Length below the eyes in dm; 0 ends at the nape. Curtains of long hair from 0.3 up.
    lengths = uniform[8] if not male else max(0.0, uniform[8] - 0.88) * 5
    long = lengths > 0.3
    beard_kind = uniform[9] if male else 0.0
    beard = np.array(
        [
            # cheeks and jaw, moustache, chin: density 0..1
            np.clip((beard_kind - 0.55) * 4, 0, 1) * (uniform[10] > 0.35),
            np.clip((beard_kind - 0.45) * 4, 0, 1) * (uniform[11] > 0.25),
            np.clip((beard_kind - 0.42) * 4, 0, 1) * (uniform[12] > 0.2),
            # stubble
            (0.1 + 0.45 * uniform[13]) * male * (uniform[14] > 0.25),
            uniform[15],
        ]
    )
    brow = np.array(
        [
            0.045 * np.exp(0.3 * normal[6]) * (1.2 if male else 0.85),  # half height
            7.455 + 0.02 * normal[7],  # height
            0.05 + 0.025 * normal[8],  # arch
            0.13 + 0.025 * normal[9],  # inner end
            0.52 + 0.03 * normal[10],  # outer end
            np.clip(0.75 + 0.2 * normal[11], 0.25, 1),  # density
            0.02 * normal[12],  # slope
        ]
    )
    iris = IRIS_COLOURS[np.searchsorted(np.cumsum(IRIS_SHARES[phenotype])[:-1], uniform[16])]
    mark_count = int(11 * uniform[17] ** 1.6)
    marks = np.zeros((10, 5), np.float32)
    marks[:, 0] = (mark_places[:, 0] - 0.5) * 1.3
    marks[:, 1] = 6.3 + 1.6 * mark_places[:, 1]
    marks[:, 2] = 0.009 + 0.018 * mark_places[:, 2] ** 2
    marks[:, 3] = 0.25 + 0.5 * mark_places[:, 3]
    marks[mark_count:, 3] = 0
    return Subject(
        name=f"s{seed}-{number + 1:05d}",
        phenotype=phenotype,
        gender=gender,
        age=float(age),
        muscle=float(uniform[18]),
        weight=float(np.clip(0.5 + 0.24 * normal[13], 0, 1)),
        shape=shape,
        melanin=float(melanin),
        hemoglobin=float(hemoglobin),
        hair_colour=colour,
        hair_curl=float(curl),
        hair_volume=0.0 if shaved else float(volume),
        hair_sides=0.0 if shaved else float(sides),
        hair_length=float(lengths) if long and not shaved else 0.0,
        hair_part=float((uniform[19] - 0.5) * 0.9),
        hairline=float(0.05 * normal[14] + 0.05 * balding),
        temples=float(0.02 + 0.05 * uniform[20] + 0.28 * balding * uniform[21]),
        crown=float(balding * uniform[22] * 1.1),
        fringe=float(uniform[23] < (0.1 if male else 0.28)) * float(0.12 + 0.3 * uniform[24]),
        brow=brow,
        brow_colour=brows,
        beard=beard,
        iris=iris * np.exp(0.25 * normal[15]),
        lip_red=float(0.35 + 0.2 * normal[16]),
        lip_dark=float(0.03 + 0.05 * uniform[25]),
        lashes=float((0.35 if male else 0.6) + 0.3 * uniform[26]),
        freckles=float(max(0.0, uniform[27] - 0.7) * 3.3 * np.exp(-3 * melanin)),
        wrinkles=float(old),
        gloss=float(0.02 + 0.08 * uniform[28]),
        blotches=float(0.02 + 0.05 * uniform[29]),
        marks=marks,
        lipstick=np.array([uniform[30], uniform[31], 0.0 if male else uniform[32]]),
        noise=noise,
    )


def neutral_shape(subject: Subject, head: Head) -> np.ndarray:
    """The subject's neutral head, float32 (V, 3), relative to the point between its eyes."""
    weights: dict[int, float] = {}

    def add(name: str, weight: float) -> None:
        weights[head.names.index(name)] = weight

    old = np.clip((subject.age - 25) / 65, 0, 1)
    for age, age_weight in (("young", 1 - old), ("old", old)):
        if age_weight == 0:
            continue
        add(f"{subject.phenotype}/{subject.gender}/{age}", age_weight)
        for muscle, muscle_weight in thirds("muscle", subject.muscle):
            for weight, weight_weight in thirds("weight", subject.weight):
                name = f"{subject.gender}/{age}/{muscle}/{weight}"
                add(name, age_weight * muscle_weight * weight_weight)
    for value, (_, negative, positive) in zip(subject.shape, head.changes, strict=True):
        weights[negative if value < 0 or positive < 0 else positive] = abs(value)
    vertices = head.template.copy()
    numbers, amounts = np.array(list(weights)), np.array(list(weights.values()), np.float32)
    add_targets(vertices, numbers, amounts, head.starts, head.indices, head.offsets)
    middle = (vertices[head.eye_left].mean(0) + vertices[head.eye_right].mean(0)) / 2
    return vertices - middle


def thirds(label: str, value: float) -> list[tuple[str, float]]:
    """MakeHuman's interpolation between min, average and max, as names with weights above 0."""
    low, high = max(0.0, 1 - 2 * value), max(0.0, 2 * value - 1)
    weights = {f"min{label}": low, f"average{label}": 1 - low - high, f"max{label}": high}
    return [(name, weight) for name, weight in weights.items() if weight > 0]
