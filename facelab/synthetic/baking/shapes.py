"""Fit the joint distribution of the head's local changes to the landmarks of real people.

In: `head.npz`, `landmarks.npz` (measured on real faces) and `offsets.npz`. Out: `shapes.npz`, and
the means of the brows for `population.yaml`.

The artist's changes, each drawn by itself, are the prior. It is conditioned on landmarks being
distributed as real people's: what landmarks show follows real faces, what they do not show stays
with the artist (Jeffrey's rule, for normal distributions).

Run: python -m facelab.synthetic.baking.shapes
"""

import argparse
from pathlib import Path

import numpy as np

from facelab.synthetic.baking.landmarks import LANDMARKS_FILE, aligned
from facelab.synthetic.baking.points import points_of, seen_from_front
from facelab.synthetic.baking.rendered import OFFSETS_FILE
from facelab.synthetic.head import load_head
from facelab.synthetic.mesh import add_targets
from facelab.synthetic.parameters import GENDERS, PHENOTYPES
from facelab.synthetic.shapes import (
    MEAN_AGE,
    OF_GENDER,
    SHAPES_FILE,
    base_weights,
    target_weights,
)
from facelab.synthetic.subjects import shape_layout

# The artist's prior: standard deviations by region, and of changes that would make grimaces.
SPREADS = {
    "shape_asymmetry": 0.12,
    "shape_cheeks": 0.36,
    "shape_chin": 0.38,
    "shape_ears": 0.2,
    "shape_brows": 0.4,
    "shape_eyes": 0.45,
    "shape_lids": 0.25,
    "shape_forehead": 0.34,
    "shape_head": 0.3,
    "shape_mouth": 0.34,
    "shape_neck": 0.2,
    "shape_nose": 0.28,
}
OWN_SPREADS = {
    **dict.fromkeys(("head-trans-in-out", "mouth-trans-in-out"), 0.12),
    **dict.fromkeys(("neck-trans-in-out", "nose-trans-in-out", "eyebrows-angle"), 0.12),
    **dict.fromkeys(("mouth-angles",), 0.1),
    **dict.fromkeys(("head-age", "head-fat", "eye-scale"), 0.25),
    **dict.fromkeys(("eye-height", "eye-eyefold", "eye-bag", "mouth-laugh-lines"), 0.2),
    **dict.fromkeys(("neck-double", "head-triangular", "head-invertedtriangular"), 0.2),
    **dict.fromkeys(("head-diamond", "head-oval", "head-rectangular", "chin-triangle"), 0.2),
    **dict.fromkeys(("mouth-upperlip-volume", "mouth-lowerlip-volume"), 0.3),
    **dict.fromkeys(("mouth-dimples", "mouth-philtrum", "forehead-temple"), 0.3),
    **dict.fromkeys(("mouth-scale-depth", "head-scale-depth", "head-back"), 0.22),
}
BROWS = {  # mean before the fit, and how far the fit may move it
    "brow_height": (7.467, 0.021),
    "brow_arch": (0.05, 0.014),
    "brow_inner": (0.124, 0.014),
    "brow_outer": (0.54, 0.010),
    "brow_slope": (0.0, 0.009),
}
_BROW_PLACES, _BROW = [1, 2, 3, 4, 6], np.array([0.085, 7.455, 0.05, 0.13, 0.52, 0.75, 0.0])
# Of what the painted brows vary, as much as dlib's predictor sees.
_BROWS_SEEN = np.array([0.021, 0.022, 0.018, 0.018, 0.014])
# What women have more and men less, where the head model's own difference is too weak: by hand,
# after what anatomy says of brow ridge, nose, lips, cheeks and jaw.
WOMEN = {
    "head-invertedtriangular": 0.25,
    "head-diamond": 0.06,
    "head-angle-in-out": 0.11,
    "eyebrows-trans-backward-forward": -0.58,
    "forehead-temple-decr-incr": -0.28,
    "l-eye-height2-decr-incr": 0.05,
    "l-eye-height3-decr-incr": 0.045,
    "l-eye-scale-decr-incr": 0.15,
    "l-cheek-volume-decr-incr": -0.25,
    "l-cheek-bones-decr-incr": 0.15,
    "head-fat-decr-incr": -0.15,
    "nose-scale-vert-decr-incr": -0.06,
    "nose-scale-depth-decr-incr": -0.28,
    "nose-scale-horiz-decr-incr": -0.05,
    "nose-hump-decr-incr": -0.16,
    "nose-flaring-decr-incr": -0.06,
    "nose-septumangle-decr-incr": 0.21,
    "mouth-upperlip-height-decr-incr": 0.06,
    "mouth-lowerlip-height-decr-incr": 0.05,
    "mouth-upperlip-volume-decr-incr": 0.05,
    "mouth-lowerlip-volume-decr-incr": 0.05,
    "mouth-upperlip-width-decr-incr": 0.14,
    "chin-width-decr-incr": -0.34,
    "chin-bones-decr-incr": -0.26,
    "chin-prominent-decr-incr": -0.14,
    "neck-scale-horiz-decr-incr": -0.42,
}
# How the mean head holds what landmarks hardly show: by hand, after photos, and after the mean of
# many. Its nose would hang, and so would the corners of its mouth.
POISE = {
    "mouth-angles-down-up": 0.4,
    "mouth-scale-horiz-decr-incr": 1.0,
    "chin-prominent-decr-incr": 0.1,
    "nose-point-down-up": 0.4,
    "nose-base-down-up": 0.3,
    "nose-septumangle-decr-incr": -0.2,
}
# How far landmarks of women and men, thus changed, are brought back to 1.5 times the difference
# that was measured.
_BACK = 0.6
# Variances of the landmarks' modes, of 1e-5: symmetric ones and one-sided ones. Chosen so that
# dlib's predictor, which smooths what it sees, finds the first ten eigenvalues of real faces; what
# it hardly sees tells faces apart.
SYMMETRIC = [700, 280, 420, 8, 16, 10, 88, 28, 24, 30] + 14 * [37]
ONE_SIDED = [36, 10, 5, 3, 2, 1.5]
# How far the predictor's offsets are believed. On rendered heads it follows about half of what the
# landmarks differ by from the mean face that it has learnt; were it believed wholly, the mean head
# would be driven as far again, to a broad and low one that it takes for the real mean.
_BELIEVED = 0.6
# Likewise it sees less spread than there is. With this share of the fit landmarks vary as real
# people's by the predictor still, and by their points a quarter more.
_SPREAD = 0.94
# What the predictor does not see of a landmark, as a share of the face's size: in fits of the mean,
# and of the covariance.
_UNSEEN_OF_MEAN, _UNSEEN = 0.0018, 0.004
# What landmarks do not show spreads this much wider than the prior: it tells faces apart.
_REST = 1.25
# Brow bones, heads and mouths vary less than landmarks alone ask for: wide spreads of these frown.
CALM = {"shape_brows": 0.42, "shape_head": 0.75, "shape_mouth": 0.9}
_AGE, _MUSCLE, _WEIGHT = MEAN_AGE, 0.45, 0.47  # of the mean head
_STEP = 0.3


class Fit:
    """Landmarks, aligned to real people's mean, as a function of coefficients."""

    def __init__(self) -> None:
        self.head = load_head()
        names = [name for name, _, _ in self.head.changes]
        self.regions, self.left, self.right = shape_layout(self.head)
        self.plain = np.setdiff1d(np.arange(len(names)), self.right)
        self.names = [names[place] for place in self.plain]
        with np.load(LANDMARKS_FILE) as file:
            self.real = {name: file[name].astype(float) for name in file.files}
        with np.load(OFFSETS_FILE) as file:
            self.offsets = _BELIEVED * file["offsets"].astype(float)
        self.prior = np.array([self._spread(place) for place in self.plain])

    def _spread(self, place: int) -> float:
        name, _, positive = self.head.changes[place]
        name = name.removeprefix("l-")
        own = [start for start in OWN_SPREADS if name.startswith(start)]
        found = OWN_SPREADS[max(own, key=len)] if own else SPREADS[self.regions[place]]
        return 0.6 * found if positive < 0 else found

    def one_sided(self) -> np.ndarray:
        """Which changes are not the same on both sides."""
        sideways = [f"{part}-trans-in-out" for part in ("head", "mouth", "neck", "nose")]
        return np.array([n.startswith("asym-") or n in sideways for n in self.names])

    def may(self) -> np.ndarray:
        """How far the fit of a mean may move each coefficient; what is one-sided stays."""
        return 0.5 * self.prior * ~self.one_sided()

    def spread_out(self, plain: np.ndarray) -> np.ndarray:
        """Coefficients of all changes, the right side like the left."""
        every = np.zeros(len(self.regions))
        every[self.plain] = plain
        every[self.right] = every[self.left]
        return every

    def landmarks(
        self, base: dict[str, float], plain: np.ndarray, brow: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Aligned landmarks (136,) of a head with these weights, coefficients and brows."""
        weights = {self.head.numbers[name]: weight for name, weight in base.items()}
        weights |= target_weights(self.spread_out(plain), self.head)
        vertices = self.head.template.copy()
        numbers, amounts = np.array(list(weights)), np.array(list(weights.values()), np.float32)
        head = self.head
        add_targets(vertices, numbers, amounts, head.starts, head.indices, head.offsets)
        whole = _BROW.copy()
        whole[_BROW_PLACES] += brow
        points = points_of(seen_from_front(vertices, head), whole) + self.offsets
        return aligned(points[None], self.real["mean"])[0].ravel()

    def slopes(self, base: dict[str, float], plain: np.ndarray, brow: np.ndarray) -> np.ndarray:
        """How the landmarks move with each coefficient, and with each of the brows'."""
        columns = []
        for place in range(len(plain)):
            step = np.zeros(len(plain))
            step[place] = _STEP
            there, back = (self.landmarks(base, plain + s * step, brow) for s in (1, -1))
            columns.append((there - back) / (2 * _STEP))
        for place in range(len(brow)):
            step = np.zeros(len(brow))
            step[place] = 0.02
            there, back = (self.landmarks(base, plain, brow + s * step) for s in (1, -1))
            columns.append((there - back) / 0.04)
        return np.stack(columns, 1)


def mean_base(genders: tuple[str, ...] = GENDERS) -> dict[str, float]:
    """Weights of the base shapes for the mean of all groups of these genders."""
    total: dict[str, float] = {}
    for gender in genders:
        for phenotype in PHENOTYPES:
            for name, weight in base_weights(phenotype, gender, _AGE, _MUSCLE, _WEIGHT).items():
                total[name] = total.get(name, 0.0) + weight / len(genders) / len(PHENOTYPES)
    return total


def toward(slopes: np.ndarray, spread: np.ndarray, wanted: np.ndarray, unseen: float) -> np.ndarray:
    """The most likely coefficients (of independent normal ones) that give the wanted landmarks."""
    weighed = slopes * spread**2
    return weighed.T @ np.linalg.solve(weighed @ slopes.T + np.eye(136) * unseen**2, wanted)


def fit_mean(fit: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients and brows that bring the mean head to real people's mean, and slopes there."""
    may = fit.may()
    may[[name.startswith(("head-fat", "head-age")) for name in fit.names]] *= 0.4
    may = np.concatenate([may, [reach for _, reach in BROWS.values()]])
    poise = np.array([POISE.get(name, 0.0) for name in fit.names] + len(BROWS) * [0.0])
    found, base, count = poise, mean_base(), len(fit.names)
    for _ in range(3):
        plain, brow = found[:count], found[count:]
        slopes = fit.slopes(base, plain, brow)
        left = fit.real["mean"].ravel() - fit.landmarks(base, plain, brow)
        left = left + slopes @ (found - poise)
        found = poise + toward(slopes, may, left, _UNSEEN_OF_MEAN)
    plain, brow = found[:count], found[count:]
    return plain, brow, fit.slopes(base, plain, brow)


def brought_back(fit: Fit, plain: np.ndarray, slopes: np.ndarray, women: np.ndarray) -> np.ndarray:
    """The mean head's coefficients, so that women and men together have real people's landmarks."""
    of_both = np.mean([OF_GENDER[gender] for gender in GENDERS]) * women
    of_shape = slopes[:, : len(women)]
    return plain - toward(of_shape, fit.may(), of_shape @ of_both, _UNSEEN_OF_MEAN)


def fit_women(fit: Fit, plain: np.ndarray, brow: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """What women have more, and men less, of each coefficient."""
    women = np.array([WOMEN.get(name, 0.0) for name in fit.names])
    female, male = (
        fit.landmarks(mean_base((gender,)), plain + sign * women, brow)
        for gender, sign in zip(GENDERS, (1, -1), strict=True)
    )
    wanted = 1.5 * fit.real["women_differ"].ravel() - (female - male)
    back = toward(slopes[:, : len(women)], fit.may(), wanted, 0.002)
    return women + _BACK * back / 2


def of_groups(fit: Fit, plain: np.ndarray, brow: np.ndarray, women: np.ndarray) -> np.ndarray:
    """How landmarks vary over groups, ages and builds: their covariance (136, 136)."""
    random = np.random.Generator(np.random.Philox(24))
    found = []
    for number in range(400):
        phenotype, gender = PHENOTYPES[number % 3], GENDERS[number // 3 % 2]
        age = 18 + 62 * random.random() ** 1.35
        muscle, weight = np.clip([0.45, 0.47] + [0.2, 0.24] * random.standard_normal(2), 0, 1)
        own = plain + OF_GENDER[gender] * women
        found.append(fit.landmarks(base_weights(phenotype, gender, age, muscle, weight), own, brow))
    return np.cov(np.array(found).T)


def joint(fit: Fit, slopes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, int]:
    """What a normal score of each mode changes (n, n), and how many of the modes are seen."""
    count = len(fit.names)
    of_shape, of_brows = slopes[:, :count], slopes[:, count:]
    others = others + (of_brows * _BROWS_SEEN**2) @ of_brows.T
    axes = fit.real["modes"].reshape(-1, 136).T
    variances = np.array(SYMMETRIC + ONE_SIDED) * 1e-5
    own = np.diag(variances) - axes.T @ others @ axes
    variance, turn = np.linalg.eigh(own)
    order = np.flatnonzero(variance > 1e-9)[::-1]
    spread = fit.prior
    seen = (of_shape * spread**2) @ of_shape.T + np.eye(136) * _UNSEEN**2
    gain = np.linalg.solve(seen, of_shape * spread**2).T
    first = gain @ (axes @ turn[:, order]) * np.sqrt(variance[order])
    rest = np.diag(spread**2) - gain @ seen @ gain.T
    variance, vectors = np.linalg.eigh(rest / np.outer(spread, spread))
    rest = spread[:, None] * vectors[:, ::-1] * np.sqrt(np.clip(variance[::-1], 0, None))
    modes = np.concatenate([first, _REST * rest[:, : count - len(order)]], 1)
    modes *= np.sign(modes[np.abs(modes).argmax(0), np.arange(count)])  # the same on any machine
    calm = [CALM.get(fit.regions[place], 1.0) for place in fit.plain]
    return _SPREAD * modes * np.array(calm)[:, None], len(order)


def bake(out: Path = SHAPES_FILE) -> tuple[Path, dict[str, float]]:
    """Write the distribution; return where, and the brows' means for `population.yaml`."""
    fit = Fit()
    plain, brow, slopes = fit_mean(fit)
    women = fit_women(fit, plain, brow, slopes)
    plain = brought_back(fit, plain, slopes, women)
    modes, seen = joint(fit, slopes, of_groups(fit, plain, brow, women))
    sd = np.sqrt((modes**2).sum(1))
    np.savez_compressed(
        out,
        mean=fit.spread_out(plain).astype(np.float32),
        women=fit.spread_out(women).astype(np.float32),
        sd=fit.spread_out(sd).astype(np.float32),
        modes=(modes / sd[:, None]).astype(np.float32),
        seen=np.int32(seen),
    )
    means = [mean for mean, _ in BROWS.values()] + brow
    return out, dict(zip(BROWS, np.round(means, 3).tolist(), strict=True))


def main() -> None:
    """Command line: python -m facelab.synthetic.baking.shapes [--out FILE]."""
    parser = argparse.ArgumentParser(description=bake.__doc__)
    parser.add_argument("--out", type=Path, default=SHAPES_FILE)
    path, brows = bake(parser.parse_args().out)
    print(f"{path}; means of the brows: {brows}")


if __name__ == "__main__":
    main()
