"""Shapes of people: which features go together, how much they vary, and what the groups' bases are.

In: `shapes.npz`, written by `facelab.synthetic.baking.shapes`, and normal scores. Out: joint scores
of the head's local changes, and the weights of base shapes and local changes that make a head.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facelab.caches import compiled
from facelab.synthetic.head import Head
from facelab.synthetic.parameters import GENDERS, PHENOTYPES

SHAPES_FILE = Path(__file__).with_name("shapes.npz")
# What the base shapes of the head model differ by, times this: enough to be read in a small photo.
GENDER_STRENGTH, PHENOTYPE_STRENGTH = 1.25, 0.95
# How far women and men stand from the mean head, apart from their base shapes.
OF_GENDER = {"female": 3.8, "male": -1.4}
# What age does to features beside the base shapes: standard deviations that somebody of 80 has more
# than anybody up to the mean head's age. Lips become thin, noses droop, bags and ears grow.
OF_AGE = {
    "mouth-upperlip-height-decr-incr": -0.9,
    "mouth-lowerlip-height-decr-incr": -0.8,
    "mouth-scale-horiz-decr-incr": 0.5,
    "mouth-laugh-lines-in-out": 1.0,
    "cheek-inner-decr-incr": 0.7,
    "nose-point-down-up": -0.2,
    "eye-scale-decr-incr": -0.4,
    "eye-bag-decr-incr": 1.2,
    "ear-scale-decr-incr": 1.0,
    "ear-lobe-decr-incr": 1.0,
}
MEAN_AGE = 42
# Whoever is farther from the mean than 97.5 % of a normal population comes back towards it.
_RIM = 1.96


@dataclass(frozen=True)
class Shapes:
    """How the local changes of the head are distributed, the same for every group.

    Attributes
    ----------
    mean : float64 (n_changes,)
        Coefficients that bring the mean head's landmarks to those of real people.
    women : float64 (n_changes,)
        What women have more of each coefficient, and men less, each times `OF_GENDER`.
    sd : float64 (n_changes,)
        Standard deviation of each coefficient.
    modes : float64 (n_plain, n_plain)
        Of the changes without those of the right side: the scores (mean 0, sd 1) are the sum of
        these columns, each times a normal score of its own.
    seen : int
        How many of the modes, the first ones, move the 68 landmarks as real people's differ. The
        rest hardly moves them.
    """

    mean: np.ndarray
    women: np.ndarray
    sd: np.ndarray
    modes: np.ndarray
    seen: int


@cache
def load_shapes() -> Shapes:
    """The distribution that facelab ships."""
    with np.load(SHAPES_FILE) as file:
        stored = {name: file[name] for name in file.files}
    modes = stored["modes"].astype(np.float64)
    modes /= np.sqrt((modes**2).sum(axis=1, keepdims=True))
    return Shapes(
        mean=stored["mean"].astype(np.float64),
        women=stored["women"].astype(np.float64),
        sd=stored["sd"].astype(np.float64),
        modes=modes,
        seen=int(stored["seen"]),
    )


def joint_scores(scores: np.ndarray, shapes: Shapes) -> np.ndarray:
    """Scores (n_plain,) of the local changes that go together, from independent normal scores.

    Extremes are cut by their joint distance from the mean, in the modes that are seen and in the
    others: a face may have one rare feature or several uncommon ones, but not all of them at once.
    """
    found = np.empty(len(shapes.modes))
    drawn_in = np.concatenate([cut(scores[: shapes.seen]), cut(scores[shapes.seen :])])
    _mix(shapes.modes, drawn_in, found)
    return found


def cut(scores: np.ndarray) -> np.ndarray:
    """The scores, drawn in towards 0 where they are farther off than nearly all.

    The distance of n normal scores is nearly normal with mean sqrt(n - 1/2) and variance 1/2. What
    is beyond `_RIM` of its standard deviations is divided by 4.
    """
    distance = float(np.sqrt((scores * scores).sum()))
    rim = np.sqrt(len(scores) - 0.5) + _RIM * np.sqrt(0.5)
    return scores if distance <= rim else scores * ((rim + (distance - rim) / 4) / distance)


@compiled(nogil=True)
def _mix(modes: np.ndarray, scores: np.ndarray, found: np.ndarray) -> None:
    # Sums in this order: a BLAS would group them as its machine likes, and give other bytes.
    for change in range(len(modes)):
        total = 0.0
        for mode in range(len(scores)):
            total += modes[change, mode] * scores[mode]
        found[change] = total


def base_weights(
    phenotype: str, gender: str, age: float, muscle: float, weight: float
) -> dict[str, float]:
    """The weight of each base shape of the head model, by name.

    How a phenotype differs from the mean of all, and women from men, is made stronger.
    """
    weights: dict[str, float] = {}
    old = float(np.clip((age - 25) / 65, 0, 1))
    for stage, share in (("young", 1 - old), ("old", old)):
        if share == 0:
            continue
        for other in GENDERS:
            of_gender = 0.5 + GENDER_STRENGTH * ((other == gender) - 0.5)
            for name in PHENOTYPES:
                of_phenotype = 1 / 3 + PHENOTYPE_STRENGTH * ((name == phenotype) - 1 / 3)
                weights[f"{name}/{other}/{stage}"] = share * of_gender * of_phenotype
            for muscles, of_muscle in thirds("muscle", muscle):
                for fat, of_weight in thirds("weight", weight):
                    build = of_gender * of_muscle * of_weight
                    weights[f"{other}/{stage}/{muscles}/{fat}"] = share * build
    return weights


def thirds(label: str, value: float) -> list[tuple[str, float]]:
    """MakeHuman's interpolation between min, average and max, as names with weights above 0."""
    low, high = max(0.0, 1 - 2 * value), max(0.0, 2 * value - 1)
    weights = {f"min{label}": low, f"average{label}": 1 - low - high, f"max{label}": high}
    return [(name, weight) for name, weight in weights.items() if weight > 0]


def change_weights(shape: np.ndarray, gender: str, age: float, head: Head) -> dict[int, float]:
    """The weight of each target of a subject's local changes, by its number."""
    shapes = load_shapes()
    more = shapes.mean + shapes.women * OF_GENDER[gender]
    more = more + shapes.sd * max(0.0, (age - MEAN_AGE) / (80 - MEAN_AGE)) * _of_age(head)
    return target_weights(shape + more, head)


@cache
def _of_age(head: Head) -> np.ndarray:
    """`OF_AGE` as an array, one value a local change."""
    names = (name.removeprefix("l-").removeprefix("r-") for name, _, _ in head.changes)
    return np.array([OF_AGE.get(name, 0.0) for name in names])


def target_weights(coefficients: np.ndarray, head: Head) -> dict[int, float]:
    """The weight of each target of the head's local changes, by its number."""
    weights: dict[int, float] = {}
    for value, (_, negative, positive) in zip(coefficients, head.changes, strict=True):
        if positive >= 0 or value > 0:  # some changes go one way only
            weights[negative if value < 0 or positive < 0 else positive] = abs(value)
    return weights
