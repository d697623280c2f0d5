"""How much data is enough: subjects and images that a group needs for an error rate to be told.

In: a target FMR or FNMR, a ratio between two groups, images a subject, how many groups there are,
and how far comparisons depend on each other. Out: the number of subjects, or what a given number of
them can tell, by the contrast that audits print (`power.py` knows how often it tells).
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import product
from math import ceil, exp, log, sqrt

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_columns, check_option
from facelab.rates.dependence import Dependence
from facelab.rates.power import Contrast

_MOST_SUBJECTS = 10**9
_TOO_MANY = (
    f"more than {_MOST_SUBJECTS:,} subjects would be needed: ask for a higher rate or a larger "
    "ratio"
)
_LEAST_RATE = 1e-12
_TRIES = 6  # simulated powers from which an answer is read
_NEAR = 0.7  # normal deviates within which powers lie on a line
_SLOPE, _SPREAD = 2.0, 0.01  # a usual slope, and what it weighs: as points so far apart would
_STEP = 0.5  # of a logarithm: no try lies farther from the one before


@as_annotated
def required_subjects(
    fmr: float | Iterable[float] | None = None,
    ratio: float | Iterable[float] = 2.0,
    images: float | Iterable[float] = 5,
    *,
    fnmr: float | Iterable[float] | None = None,
    groups: int = 2,
    confidence: float = 0.95,
    power: float = 0.8,
    dependence: Dependence | None = None,
) -> pd.DataFrame:
    """How many subjects each of two groups needs for a ratio of their error rates to be detected.

    Detected means that the ratio's interval in `group_contrasts`, which `Audit.contrasts` and
    findings print, lies above 1: it allows for shared subjects, for variances estimated from few
    of them, and for all pairs of `groups`, of both errors (of FMR alone with one image each).
    Everybody in a group is compared with everybody. Rates are those at the threshold of the test,
    the same for all groups, so that how few people it was set on does not matter here; it does to
    rates at a target FMR (`Audit.at_target`). Several rates, ratios or numbers of images give a row
    for every combination.

    Parameters
    ----------
    fmr
        The FMR of the better group, in (0, 1).
    ratio
        The worse group's rate divided by the better one's, above 1.
    images
        Images of each subject. Where numbers differ between subjects a few more are needed.
    fnmr
        Instead of `fmr`: the FNMR of the better group.
    groups
        Of the audit, these two included: the more pairs are looked at, the more one must show.
    confidence
        Of the intervals.
    power
        The probability that this pair's ratio is detected.
    dependence
        How far comparisons go together; `Dependence.from_counts` estimates it from an audit.

    Returns
    -------
    pandas.DataFrame
        `error rate ratio images subjects comparisons expected_errors`, the last three for each
        group (errors: in the better one). Subjects are found by simulated tests: their power is
        the one asked for within 2 points, if scores depend on each other as told. Groups too large
        to simulate are foreseen by formula.

    Raises
    ------
    BadInput
        Not exactly one of `fmr` and `fnmr`, or a value out of its range.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.required_subjects(fmr=[1e-3, 1e-4], ratio=2, images=5)
    >>> table[["rate", "subjects"]].values.tolist()
    [[0.001, 145.0], [0.0001, 334.0]]
    >>> fl.required_subjects(fmr=1e-3, ratio=2, images=5, groups=6)["subjects"].item()
    207
    """
    error, rates = _error(fmr, fnmr)
    test = _contrast(error, groups, confidence, power, dependence)
    rows = []
    for rate, times, each in product(rates, _listed(ratio), _listed(images)):
        _check(error, rate, times, each)
        subjects = _needed(test, power, rate, times, each)
        comparisons = test.comparisons(subjects, each)
        rows.append((error, rate, times, each, subjects, round(comparisons), comparisons * rate))
    names = ["error", "rate", "ratio", "images", "subjects", "comparisons", "expected_errors"]
    return pd.DataFrame(rows, columns=names)


@as_annotated
def detectable_ratio(
    subjects: float,
    images: float = 5,
    *,
    fmr: float | None = None,
    fnmr: float | None = None,
    groups: int = 2,
    confidence: float = 0.95,
    power: float = 0.8,
    dependence: Dependence | None = None,
) -> float:
    """The smallest ratio of two groups' rates that so many subjects a group detect.

    Parameters are those of `required_subjects`. Infinite where the ratio would put the worse
    group's rate above 1.

    Examples
    --------
    >>> import facelab as fl
    >>> round(fl.detectable_ratio(subjects=500, images=5, fmr=1e-3), 2)
    1.34
    """
    error, (rate,) = _error(fmr, fnmr)
    test = _contrast(error, groups, confidence, power, dependence)
    _check(error, rate, 1.5 if rate < 0.5 else 1 / sqrt(rate), images)
    _check_subjects(subjects)

    def case(x: float) -> _Case:
        return rate, exp(x), (subjects, subjects), images

    found = _solved(test, power, case, 1e-3, log(1 / rate) - 1e-9)
    return np.inf if found is None else exp(found)


@as_annotated
def detectable_rate(
    subjects: float,
    images: float = 5,
    ratio: float = 2.0,
    *,
    error: str = "fmr",
    groups: int = 2,
    confidence: float = 0.95,
    power: float = 0.8,
    dependence: Dependence | None = None,
) -> float:
    """The smallest rate of the better group at which so many subjects a group detect a ratio.

    `error` is fmr or fnmr; the other parameters are those of `required_subjects`. NaN where the
    ratio is not detected at any rate.

    Examples
    --------
    >>> import facelab as fl
    >>> f"{fl.detectable_rate(subjects=500, images=5, ratio=2):.1e}"
    '3.5e-05'
    """
    check_option("error", error, ("fmr", "fnmr"))
    test = _contrast(error, groups, confidence, power, dependence)
    _check(error, 0.5 / ratio if ratio > 0 else 0.5, ratio, images)
    _check_subjects(subjects)

    def case(x: float) -> _Case:
        return exp(x), ratio, (subjects, subjects), images

    most = log((1 - 1e-9) / ratio)
    found = _solved(test, power, case, log(_LEAST_RATE), most)
    return np.nan if found is None else exp(found)


@as_annotated
def detection_power(
    subjects: float | Iterable[float],
    images: float = 5,
    ratio: float = 2.0,
    *,
    fmr: float | None = None,
    fnmr: float | None = None,
    groups: int = 2,
    confidence: float = 0.95,
    dependence: Dependence | None = None,
) -> float:
    """The probability that so many subjects detect a ratio of two groups' rates.

    `subjects` is a number for both groups, or two: of the better and of the worse one. The other
    parameters are those of `required_subjects`.

    Examples
    --------
    >>> import facelab as fl
    >>> round(fl.detection_power(200, images=5, ratio=2, fmr=1e-3), 2)
    0.95
    >>> round(fl.detection_power([400, 100], images=5, ratio=2, fmr=1e-3), 2)
    0.76
    """
    error, (rate,) = _error(fmr, fnmr)
    contrast = _contrast(error, groups, confidence, 0.5, dependence)
    _check(error, rate, ratio, images)
    people = _listed(subjects)
    if len(people) not in (1, 2):
        raise BadInput(f"subjects must be one number or two, not {len(people)}")
    for one in people:
        _check_subjects(one)
    both = (people[0], people[-1])
    found = contrast.simulated(rate, ratio, both, images)
    return float(ndtr(contrast.rough(rate, ratio, both, images))) if found is None else found


@as_annotated
def too_small(
    rates: pd.DataFrame,
    fmr: float | None = None,
    ratio: float = 2.0,
    *,
    fnmr: float | None = None,
    confidence: float = 0.95,
    power: float = 0.8,
    dependence: Dependence | None = None,
) -> list[str]:
    """Which groups are too small for the rates asked, one sentence each with what they would need.

    A group is too small if two groups of its size in an audit of as many groups, one with FMR `fmr`
    (or FNMR `fnmr`) and one with `ratio` times that, would not be told apart. What they would need
    is foreseen by formula, in two digits; `required_subjects` simulates it.

    Parameters
    ----------
    rates
        `group`, `subjects`, `non_mated` and, for FNMR, `mated`, as `error_rates` gives them; the
        row `all` is passed over.
    fmr, ratio, fnmr, confidence, power, dependence
        As for `required_subjects`; both errors may be asked at once.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> print(fl.too_small(audit.rates, fmr=0.01)[0])
    a: 28 subjects with about 4 images each are too few to tell FMR 1% from 2 times that; about 90
    would do so with probability 80%
    """
    check_columns("the rates", rates.columns, ("group", "subjects", "non_mated"))
    asked = {"fmr": fmr, "fnmr": fnmr}
    if fnmr is not None:
        check_columns("the rates", rates.columns, ("mated",))
    rows = rates[rates["group"] != "all"]
    # Contrasts are of groups with comparisons, and of one error where nobody has two images.
    groups = max(int((rows["non_mated"] > 0).sum()), 2)
    errors = 2 if "mated" not in rows or (rows["mated"] > 0).any() else 1
    have = rows["subjects"].to_numpy(np.float64)
    needed, each = {}, {}
    for error, rate in asked.items():
        if rate is None or not len(rows):
            continue
        contrast = _contrast(error, groups, confidence, power, dependence)
        _check(error, rate, ratio, 2)
        each[error], known = _images(error, rows, have)
        found = _foreseen(contrast, errors, power, rate, ratio, each[error])
        needed[error] = np.where(known & (have < found), found, 0)
    sentences = []
    for place, group in enumerate(rows["group"]):
        lacks = [error for error in needed if needed[error][place]]
        if not lacks:
            continue
        images, people = float(each[lacks[0]][place]), int(have[place])
        told = " or ".join(f"{error.upper()} {100 * asked[error]:.2g}%" for error in lacks)
        enough = " and ".join(f"{_two_digits(int(needed[error][place])):,}" for error in lacks)
        sentences.append(
            f"{group}: {people:,} subject{'s' * (people != 1)} with about {images:.2g} "
            f"image{'s' * (images > 1)} each {'are' if people != 1 else 'is'} too few to tell "
            f"{told} from {ratio:g} times that; about {enough} would do so with probability "
            f"{power:.0%}"
        )
    return sentences


def _images(error: str, rows: pd.DataFrame, have: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images a subject that give as many comparisons, and which groups may have such at all."""
    if error == "fmr":
        # What counts is how often two subjects met, whoever had more or fewer images.
        pairs = np.maximum(have * (have - 1) / 2, 1)
        met = rows["non_mated"].to_numpy(np.float64)
        return np.sqrt(np.where(met > 0, met / pairs, 1)), have > 0
    own = rows["mated"].to_numpy(np.float64)
    each = np.where(own > 0, own / np.maximum(have, 1), 1)
    return (1 + np.sqrt(1 + 8 * each)) / 2, own > 0


def _contrast(
    error: str, groups: int, confidence: float, power: float, dependence: Dependence | None
) -> Contrast:
    if not 0.5 <= power < 1:
        raise BadInput(f"the power must lie in [0.5, 1), not be {power}")
    if groups < 2:
        raise BadInput(f"a contrast needs two groups or more, not {groups}")
    return Contrast(error, groups, confidence, dependence or Dependence())


def _check(error: str, rate: float, ratio: float, images: float) -> None:
    """Refuse what no group can have."""
    if not 0 < rate < 1:
        raise BadInput(f"the {error} must lie between 0 and 1, not be {rate}")
    if not ratio > 1:
        raise BadInput(
            f"the ratio must be above 1, not {ratio}: it is the worse group's rate divided by the "
            "better one's"
        )
    if not ratio * rate < 1:
        raise BadInput(f"{ratio:g} times an {error} of {rate:g} is no rate: ask for less")
    least = 0 if error == "fmr" else 1
    if not (images > least and np.isfinite(images)):
        raise BadInput(
            f"the number of images must be {'positive' if least == 0 else '2 or more'}, not "
            f"{images}"
        )


@lru_cache
def _needed(contrast: Contrast, power: float, rate: float, ratio: float, images: float) -> int:
    """Subjects of each group."""

    def case(x: float) -> _Case:
        return rate, ratio, (exp(x), exp(x)), images

    def whole(x: float) -> float:
        return log(max(round(exp(x)), 2))

    found = _solved(contrast, power, case, log(2), log(_MOST_SUBJECTS), whole)
    if found is None:
        raise BadInput(_TOO_MANY)
    return ceil(exp(found) - 1e-6)


def _foreseen(
    contrast: Contrast, errors: int, power: float, rate: float, ratio: float, images: np.ndarray
) -> np.ndarray:
    """The same by formula, for many numbers of images at once."""
    reach = contrast.reach(errors) + ndtri(power)
    low, high = np.full(len(images), log(2)), np.full(len(images), log(_MOST_SUBJECTS))
    for _ in range(30):
        middle = (low + high) / 2
        people = np.exp(middle)
        enough = contrast.foreseen(rate, ratio, (people, people), images).limits(reach).low > 0
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.ceil(np.exp(high) - 1e-6)


_Case = tuple[float, float, tuple[float, float], float]  # what `Contrast.simulated` takes


def _solved(
    contrast: Contrast,
    power: float,
    case: Callable[[float], _Case],
    low: float,
    high: float,
    snap: Callable[[float], float] = float,
) -> float | None:
    """Between low and high, the least logarithm of something whose case has the power asked for.

    None where none has. Begins with what is foreseen, then draws a line through the normal deviates
    of simulated powers that lie near to the one asked for.
    """
    target = float(ndtri(power))

    def lack(x: float) -> float:
        return target - contrast.rough(*case(x))

    x = high if lack(high) > 0 else low if lack(low) < 0 else float(brentq(lack, low, high))
    tried: list[tuple[float, float]] = []
    for seed in range(4 * _TRIES):
        x = snap(min(max(x, low), high))
        found = contrast.simulated(*case(x), seed)
        if found is None and tried:
            break
        if found is None:  # too large to simulate: what is foreseen
            return x if lack(x) < 1e-3 else None
        lacks = target - float(ndtri(np.clip(found, 1e-3, 1 - 1e-3)))
        if x >= snap(high) and lacks > _NEAR:
            return None
        if x <= snap(low) and lacks < -_NEAR:
            return x
        tried.append((x, lacks))
        if sum(abs(one[1]) < _NEAR for one in tried) == _TRIES:
            break
        sides = ([one for one in tried if sign * one[1] > 0] for sign in (1, -1))
        ends = [min(side, key=lambda one: abs(one[1])) for side in sides if side]
        near = {one for one in tried if abs(one[1]) < _NEAR}
        x += min(max(_root(sorted({*near, *ends})) - x, -_STEP), _STEP)
    best = _root([one for one in tried if abs(one[1]) < _NEAR] or tried[-1:])
    return best if best <= high else None


def _root(points: list[tuple[float, float]]) -> float:
    """Where a falling line through points reaches zero; by few of them its slope is not told."""
    x, y = np.transpose(points)
    apart = x - x.mean()
    slope = ((apart * y).sum() - _SLOPE * _SPREAD) / ((apart**2).sum() + _SPREAD)
    return float(x.mean() - y.mean() / min(slope, -_SLOPE / 4))


def _listed(values: float | Iterable[float]) -> list[float]:
    return list(values) if isinstance(values, Iterable) else [values]


def _error(
    fmr: float | Iterable[float] | None, fnmr: float | Iterable[float] | None
) -> tuple[str, list[float]]:
    if (fmr is None) == (fnmr is None):
        raise BadInput("give either fmr or fnmr: the error rate of the better group")
    return ("fmr", _listed(fmr)) if fnmr is None else ("fnmr", _listed(fnmr))


def _check_subjects(subjects: float) -> None:
    if not subjects >= 2:
        raise BadInput(f"a group needs 2 subjects or more, not {subjects}")


def _two_digits(number: int) -> int:
    """Rounded up to two digits: the third would claim more than the model knows."""
    step = 10 ** max(len(str(number)) - 2, 0)
    return -(-number // step) * step
