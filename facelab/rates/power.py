"""How often two groups whose true rates are known are told apart by the contrast that is printed.

In: rates, subjects and images of two groups, and how far comparisons depend on each other. Out: the
power of `contrasts.group_contrasts`, simulated with its own interval, or roughly foreseen.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, sqrt

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from facelab.rates.contrasts import ERRORS, Pairs
from facelab.rates.dependence import Dependence
from facelab.rates.intervals import Sums

_TRIALS = 300  # simulated tests of each group
_FEWEST_TRIALS = 100
_WORK = 500_000  # subjects, and bunches of errors, in all simulated tests of a group
_SKEW = {"fmr": 2.5, "fnmr": 1.75}  # see `Contrast.foreseen`
_AT_ONCE = 2_000_000  # subjects
_PARTNERS = 20  # tests of the other group that each one is held against
_SCALE = np.linspace(-8, 8, 401)  # standard deviations


@dataclass(frozen=True)
class Contrast:
    """Of two groups of an audit: the worse one's rate over the better one's.

    Attributes
    ----------
    error
        "fmr" or "fnmr".
    groups
        In the audit: contrasts of all pairs of them are one family.
    confidence
        Of the intervals, all at once.
    dependence
        How far comparisons go together.
    """

    error: str
    groups: int
    confidence: float
    dependence: Dependence

    def reach(self, errors: int) -> float:
        """Standard errors within which the contrasts of equal groups, of 1 or 2 errors, all lie."""
        return _reach(self.groups, self.confidence ** (1 / errors))

    def tries(self, images: np.ndarray | float) -> np.ndarray | float:
        """Comparisons of two subjects (FMR) or of one (FNMR) with so many images each."""
        return images**2 if self.error == "fmr" else images * (images - 1) / 2

    def comparisons(self, subjects: np.ndarray | float, images: np.ndarray | float) -> float:
        """Within a group."""
        each = subjects * (subjects - 1) / 2 if self.error == "fmr" else subjects
        return each * self.tries(images)

    def foreseen(
        self,
        rate: np.ndarray | float,
        ratio: float,
        subjects: tuple[np.ndarray | float, np.ndarray | float],
        images: np.ndarray | float,
    ) -> Pairs:
        """What a test is expected to show: arrays of pairs of the worse and the better group.

        The variance of a rate that is worth E independent errors of n subjects has some
        1 / (k / E + 2 / n) degrees of freedom, three at least, where k is 2.5 for FMR and 1.75 for
        FNMR: so read off simulated tests, a little on the safe side.
        """
        variance = getattr(self.dependence, f"variance_of_{self.error}")
        rates, numbers, squares, freedom = [], [], [], []
        for p, people in zip((rate * ratio, rate), reversed(subjects), strict=True):
            spread = variance(p, people, images)
            number = p * (1 - p) / spread
            worth = number * np.minimum(p, 1 - p)
            rates.append(p + 0 * number)
            numbers.append(number)
            squares.append(spread / p**2)
            terms = 1 / (_SKEW[self.error] / worth + 2 / people)
            freedom.append(np.clip(terms, 3, np.maximum(people - 1, 3)))
        both = sum(squares) ** 2 / sum(s**2 / f for s, f in zip(squares, freedom, strict=True))
        one, other, both = (np.atleast_1d(x) for x in (*rates, both))
        return Pairs(one, other, np.stack([np.atleast_1d(x) for x in numbers]), both)

    def rough(
        self,
        rate: float,
        ratio: float,
        subjects: tuple[float, float],
        images: float,
    ) -> float:
        """The normal deviate of the power, as foreseen."""
        return float(self.foreseen(rate, ratio, subjects, images).z()[0]) - self.reach(
            _errors(images)
        )

    def simulated(
        self,
        rate: float,
        ratio: float,
        subjects: tuple[float, float],
        images: float,
        seed: int = 0,
    ) -> float | None:
        """The power by simulated tests; None where they would be too large to simulate.

        Non-mated scores are the sum of an effect of each subject, of the two together, and noise,
        mated ones of an effect of the subject and noise, all Gaussian. Only subjects, or pairs of
        them, with errors are drawn, so that a test costs what its errors are.
        """
        draw = _false_matches if self.error == "fmr" else _false_non_matches
        sizes = [max(round(people), 2) for people in subjects]
        cases = list(zip((rate, rate * ratio), sizes, strict=True))
        most = max(self._work(p, people, images) for p, people in cases)
        trials = int(min(_TRIALS, _WORK / most))
        if trials < _FEWEST_TRIALS:
            return None
        rng = np.random.default_rng(seed)
        tries = self.tries(images)
        found = [draw(p, people, tries, self.dependence, trials, rng) for p, people in cases]
        sums = Sums(*map(np.concatenate, zip(*found, strict=True)))
        one = np.arange(trials)
        other = np.concatenate([(one + k) % trials for k in range(_PARTNERS)])
        pairs = Pairs.of(sums, trials + np.tile(one, _PARTNERS), other)
        return float((pairs.limits(self.reach(_errors(images))).low > 0).mean())

    def _work(self, rate: float, subjects: int, images: float) -> float:
        """Subjects, and bunches of errors that a test is expected to have."""
        bunch = _Bunch(rate, self.tries(images), self._together, np.zeros(1))
        units = subjects * (subjects - 1) / 2 if self.error == "fmr" else subjects
        return subjects + units * float(bunch.intensity[0])

    @property
    def _together(self) -> float:
        return self.dependence.pair if self.error == "fmr" else self.dependence.mated


def _errors(images: float) -> int:
    """How many errors the family has: people with one image each have no mated comparisons."""
    return len(ERRORS) if images > 1 else 1


@lru_cache
def _reach(groups: int, confidence: float) -> float:
    """The largest of all pairs' |difference| / sqrt(2) among so many standard normals."""
    from scipy.stats import studentized_range  # half a second, which no audit needs

    return float(studentized_range.ppf(confidence, groups, np.inf)) / sqrt(2)


class _Bunch:
    """Errors among comparisons of two subjects, or of one, that share an effect.

    Parameters
    ----------
    rate
        Of errors, over everybody.
    tries
        Comparisons in a bunch; a fraction where they are a mean.
    shared
        Correlation of their scores, what is `known` included.
    known
        Values of the part that is known beforehand, evenly spaced.
    known_variance
        Of that part.
    """

    def __init__(
        self,
        rate: float,
        tries: float,
        shared: float,
        known: np.ndarray,
        known_variance: float = 0.0,
    ) -> None:
        self._tries, self._known = tries, known
        own = _SCALE * sqrt(max(shared - known_variance, 0))
        weight = np.exp(-(_SCALE**2) / 2)
        self._deviate = (ndtri(rate) + known[:, None] + own) / sqrt(1 - shared)
        some = -np.expm1(tries * log_ndtr(-self._deviate)) * (weight / weight.sum())
        self.some = some.sum(axis=1)  # probability of any error
        self.intensity = -np.log1p(-np.minimum(self.some, 1 - 1e-4))
        below = np.cumsum(some, axis=1)
        self._below = (below / below[:, -1:] + np.arange(len(known))[:, None]).ravel()

    def place(self, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Which of the known values stands for each of these: one of its two neighbours."""
        if len(self._known) == 1:
            return np.zeros(len(value), dtype=np.int64)
        at = (value - self._known[0]) / (self._known[1] - self._known[0])
        at = np.floor(at + rng.random(len(value))).astype(np.int64)
        return np.clip(at, 0, len(self._known) - 1)

    def sizes(self, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Errors in bunches that have any: where the first one is, and how many come after it."""
        pick = np.searchsorted(self._below, place + rng.random(len(place)))
        deviate = self._deviate.ravel()[np.minimum(pick, self._deviate.size - 1)]
        none = log_ndtr(-deviate)
        first = np.ceil(np.log1p(rng.random(len(place)) * np.expm1(self._tries * none)) / none)
        rest = np.floor(np.maximum(self._tries - first, 0) + rng.random(len(place)))
        return 1.0 + rng.binomial(rest.astype(np.int64), ndtr(deviate))


def _false_non_matches(
    rate: float,
    subjects: int,
    tries: float,
    dependence: Dependence,
    trials: int,
    rng: np.random.Generator,
) -> Sums:
    """What `counts.mated_sums` gives for simulated tests of one group, an entry each."""
    bunch = _Bunch(rate, tries, dependence.mated, np.zeros(1))
    trial = np.repeat(np.arange(trials), rng.binomial(subjects, bunch.some[0], trials))
    errors = bunch.sizes(np.zeros(len(trial), dtype=np.int64), rng)
    return _sums_of_subjects(trial, errors, (trials, subjects), tries)


def _false_matches(
    rate: float,
    subjects: int,
    tries: float,
    dependence: Dependence,
    trials: int,
    rng: np.random.Generator,
) -> Sums:
    """What `counts.non_mated_sums` gives for simulated tests of one group, an entry each."""
    known = np.linspace(-7, 7, 57) * sqrt(2 * dependence.subject)
    if not dependence.subject:
        known = np.zeros(1)
    bunch = _Bunch(rate, tries, dependence.pair, known, 2 * dependence.subject)
    most = max(1, _AT_ONCE // subjects)
    parts = []
    for done in range(0, trials, most):
        size = min(most, trials - done)
        effect = rng.standard_normal((size, subjects)) * sqrt(dependence.subject)
        a, b = _pairs_that_err(effect, bunch, known, rng)
        errors = bunch.sizes(bunch.place(effect.ravel()[a] + effect.ravel()[b], rng), rng)
        parts.append(_sums_of_pairs(a, b, errors, effect.shape, tries))
    return Sums(*map(np.concatenate, zip(*parts, strict=True)))


def _pairs_that_err(
    effect: np.ndarray, bunch: _Bunch, known: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of subjects with errors, as places in the flattened effects (tests, subjects).

    Pairs come as points of a Poisson process: proposed by weights exp(slope x effect) of both
    subjects, which lie above the true intensity everywhere, and thinned to that.
    """
    size, subjects = effect.shape
    intensity = np.log(bunch.intensity)
    slope = 0.0
    if len(known) > 1:
        rises = np.gradient(intensity, known)
        # Where most errors come from: the effects of those who err, Esscher's shift of the mean.
        shift = rises[len(known) // 2] * 2 * effect.var()
        slope = float(np.interp(shift, known, rises))
    top = float((intensity - slope * known).max())
    flat = effect.ravel()
    ends = np.cumsum(np.exp(slope * flat))
    last = ends[subjects - 1 :: subjects]
    start = np.append(0, last[:-1])
    proposed = rng.poisson(exp(top) * (last - start) ** 2 / 2)
    trial = np.repeat(np.arange(size), proposed)
    highest = trial * subjects + subjects - 1
    a, b = (
        np.minimum(
            np.searchsorted(ends, start[trial] + rng.random(len(trial)) * (last - start)[trial]),
            highest,
        )
        for _ in range(2)
    )
    both = flat[a] + flat[b]
    true = np.interp(both, known, intensity)
    kept = (a != b) & (np.log(rng.random(len(a))) < true - slope * both - top)
    low, high = np.minimum(a, b)[kept], np.maximum(a, b)[kept]
    pairs = np.sort(low * subjects + high % subjects)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # a pair hit twice has errors all the same
    low = pairs // subjects
    return low, low - low % subjects + pairs % subjects


def _sums_of_subjects(
    trial: np.ndarray, errors: np.ndarray, shape: tuple[int, int], tries: float
) -> Sums:
    """From the subjects with errors: the test that each is in, and how many."""
    size, subjects = shape
    wrong, plain, fourths = _powers(trial, errors, size, subjects)
    lift = 1 / (1 - 1 / subjects)
    total, people = np.full(size, subjects * tries), np.full(size, float(subjects))
    return _summed(total, wrong, people, people, (plain, plain * lift**2), fourths * lift**4)


def _sums_of_pairs(
    a: np.ndarray, b: np.ndarray, errors: np.ndarray, shape: tuple[int, int], tries: float
) -> Sums:
    """From the pairs of subjects with errors: places in the flattened tests, and how many."""
    size, subjects = shape
    pairs = subjects * (subjects - 1) / 2
    wrong, single, fourths = _powers(a // subjects, errors, size, pairs)
    mean = wrong / pairs
    rows = sum(np.bincount(end, errors, size * subjects) for end in (a, b)).reshape(shape)
    squares = (rows - (mean * (subjects - 1))[:, None]) ** 2
    lift = 1 / (1 - 2 / subjects) if subjects > 2 else 0.0
    plain, lifted = (
        single + np.maximum(rows - 2 * single, 0)
        for rows in (squares.sum(axis=1), squares.sum(axis=1) * lift**2)
    )
    fourths = np.maximum((squares**2).sum(axis=1) * lift**4 - fourths, fourths)
    total, people = np.full(size, pairs * tries), np.full(size, float(subjects))
    return _summed(total, wrong, people, np.full(size, pairs), (plain, lifted), fourths)


def _powers(
    trial: np.ndarray, errors: np.ndarray, size: int, bunches: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By test: errors, and sums over all bunches of squares and fourth powers of residuals."""
    wrong = np.bincount(trial, errors, size)
    mean, none = wrong / bunches, bunches - np.bincount(trial, minlength=size)
    squares, fourths = (
        np.bincount(trial, (errors - mean[trial]) ** power, size) + none * mean**power
        for power in (2, 4)
    )
    return wrong, squares, fourths


def _summed(
    total: np.ndarray,
    wrong: np.ndarray,
    people: np.ndarray,
    independent: np.ndarray,
    squares: tuple[np.ndarray, np.ndarray],
    fourths: np.ndarray,
) -> Sums:
    plain, lifted = squares
    effective = np.where(fourths > 0, lifted**2 / np.where(fourths > 0, fourths, 1), 1.0)
    variance = lifted / total**2
    largest = (1 if independent is people else 2) / people
    return Sums(total, wrong, variance, people, independent, effective, largest, plain / total**2)
