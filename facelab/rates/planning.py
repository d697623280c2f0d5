"""How much data is enough: subjects and images that a group needs for an error rate to be told.

In: a target FMR or FNMR, a ratio between two groups, images a subject, and how far comparisons
depend on each other. Out: the number of subjects, or what a given number of them can tell.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from math import log, sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from facelab.errors import BadInput, check_columns, check_option, counted
from facelab.rates.dependence import Dependence

FEWEST_ERRORS = 10  # expected in the better group: with fewer, a log-ratio is far from normal
_MOST_SUBJECTS = 10**9


@counted
def required_subjects(
    fmr: float | Iterable[float] | None = None,
    ratio: float | Iterable[float] = 2.0,
    images: float | Iterable[float] = 5,
    *,
    fnmr: float | Iterable[float] | None = None,
    confidence: float = 0.95,
    power: float = 0.8,
    dependence: Dependence | None = None,
) -> pd.DataFrame:
    """How many subjects each of two groups needs for a ratio of their error rates to be detected.

    Detected means that the interval of the ratio that `contrasts.group_contrasts` gives (on the log
    scale, with a variance that allows for shared subjects) leaves out 1. Everybody in a group is
    compared with everybody. Several rates, ratios or numbers of images give a row for every
    combination.

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
    confidence
        Of the interval.
    power
        The probability that the ratio is detected.
    dependence
        How far comparisons go together; `Dependence.from_counts` estimates it from an audit.

    Returns
    -------
    pandas.DataFrame
        `error rate ratio images subjects comparisons expected_errors`, the last three for each
        group (errors: in the better one). The better group expects 10 errors or more: below, no
        ratio can be told, however large.

    Raises
    ------
    BadInput
        Not exactly one of `fmr` and `fnmr`, or a value out of its range.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.required_subjects(fmr=[1e-3, 1e-4], ratio=2, images=5)
    >>> table[["rate", "subjects"]].values.tolist()
    [[0.001, 118.0], [0.0001, 273.0]]
    """
    error, rates = _error(fmr, fnmr)
    test = _Test(error, confidence, power, dependence or Dependence())
    rows = []
    for rate, times, each in product(rates, _listed(ratio), _listed(images)):
        test.check(rate, times, each)
        subjects = _smallest(lambda n, case=(rate, times, each): test.detects(n, *case))
        comparisons = test.comparisons(subjects, each)
        rows.append((error, rate, times, each, subjects, round(comparisons), comparisons * rate))
    names = ["error", "rate", "ratio", "images", "subjects", "comparisons", "expected_errors"]
    return pd.DataFrame(rows, columns=names)


@counted
def detectable_ratio(
    subjects: float,
    images: float = 5,
    *,
    fmr: float | None = None,
    fnmr: float | None = None,
    confidence: float = 0.95,
    power: float = 0.8,
    dependence: Dependence | None = None,
) -> float:
    """The smallest ratio of two groups' rates that so many subjects a group detect.

    Parameters are those of `required_subjects`. Infinite where the better group expects fewer than
    10 errors, or where the ratio would put the worse one's rate above 1.

    Examples
    --------
    >>> import facelab as fl
    >>> round(fl.detectable_ratio(subjects=500, images=5, fmr=1e-3), 2)
    1.29
    """
    error, (rate,) = _error(fmr, fnmr)
    test = _Test(error, confidence, power, dependence or Dependence())
    test.check(rate, 1.5 if rate < 0.5 else 1 / sqrt(rate), images)
    _check_subjects(subjects)
    most = log(1 / rate) - 1e-9

    def spare(log_ratio: float) -> float:
        return test.spare(subjects, rate, np.exp(log_ratio), images)

    if test.comparisons(subjects, images) * rate < FEWEST_ERRORS or spare(most) < 0:
        return np.inf
    return float(np.exp(brentq(spare, 1e-9, most)))


@counted
def detectable_rate(
    subjects: float,
    images: float = 5,
    ratio: float = 2.0,
    *,
    error: str = "fmr",
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
    '2.1e-05'
    """
    check_option("error", error, ("fmr", "fnmr"))
    test = _Test(error, confidence, power, dependence or Dependence())
    test.check(0.5 / ratio if ratio > 0 else 0.5, ratio, images)
    _check_subjects(subjects)
    fewest = FEWEST_ERRORS / test.comparisons(subjects, images)
    highest = (1 - 1e-9) / ratio

    def spare(log_rate: float) -> float:
        return test.spare(subjects, np.exp(log_rate), ratio, images)

    if fewest > highest or spare(log(highest)) < 0:
        return np.nan
    if spare(log(fewest)) >= 0:
        return fewest
    return float(np.exp(brentq(spare, log(fewest), log(highest))))


@counted
def too_small(
    rates: pd.DataFrame,
    fmr: float,
    ratio: float = 2.0,
    *,
    confidence: float = 0.95,
    power: float = 0.8,
    dependence: Dependence | None = None,
) -> list[str]:
    """Which groups are too small for the FMR asked, one sentence each with what they would need.

    A group is too small if two groups of its size, one with FMR `fmr` and one with `ratio` times
    that, would not be told apart.

    Parameters
    ----------
    rates
        `group`, `subjects` and `non_mated`, as `error_rates` gives them; the row `all` is passed
        over.
    fmr, ratio, confidence, power, dependence
        As for `required_subjects`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> print(fl.too_small(audit.rates, fmr=0.01)[0])
    a: 28 subjects with about 4 images each are too few to tell FMR 0.01 from 2 times that; 53 would
    do so with probability 80%
    """
    check_columns("the rates", rates.columns, ("group", "subjects", "non_mated"))
    options = {"confidence": confidence, "power": power, "dependence": dependence}
    groups, needed = rates[rates["group"] != "all"], {}
    sentences = []
    for row in groups.itertuples():
        have, pairs = int(row.subjects), int(row.subjects) * (int(row.subjects) - 1) / 2
        # What counts is how often two subjects met, whoever had more or fewer images.
        images = round(sqrt(row.non_mated / pairs), 2) if pairs and row.non_mated else 1.0
        if images not in needed:
            table = required_subjects(fmr, ratio, images, **options)
            needed[images] = int(table.loc[0, "subjects"])
        if have < needed[images]:
            sentences.append(
                f"{row.group}: {have:,} subject{'s' * (have != 1)} with about {images:.2g} "
                f"image{'s' * (images > 1)} each {'are' if have != 1 else 'is'} too few to tell "
                f"FMR {fmr:g} from {ratio:g} times that; {_two_digits(needed[images]):,} would do "
                f"so with probability {power:.0%}"
            )
    return sentences


@dataclass(frozen=True)
class _Test:
    """The test of two groups' rates: a Wald interval of the log-ratio that leaves out zero."""

    error: str
    confidence: float
    power: float
    dependence: Dependence

    def __post_init__(self) -> None:
        for name in ("confidence", "power"):
            if not 0.5 <= getattr(self, name) < 1:
                raise BadInput(f"the {name} must lie in [0.5, 1), not be {getattr(self, name)}")

    def check(self, rate: float, ratio: float, images: float) -> None:
        """Refuse what no group can have."""
        if not 0 < rate < 1:
            raise BadInput(f"the {self.error} must lie between 0 and 1, not be {rate}")
        if not ratio > 1:
            raise BadInput(
                f"the ratio must be above 1, not {ratio}: it is the worse group's rate divided by "
                "the better one's"
            )
        if not ratio * rate < 1:
            raise BadInput(f"{ratio:g} times an {self.error} of {rate:g} is no rate: ask for less")
        least = 0 if self.error == "fmr" else 1
        if not (images > least and np.isfinite(images)):
            raise BadInput(
                f"the number of images must be {'positive' if least == 0 else '2 or more'}, "
                f"not {images}"
            )

    def comparisons(self, subjects: float, images: float) -> float:
        if self.error == "fmr":
            return subjects * (subjects - 1) / 2 * images**2
        return subjects * images * (images - 1) / 2

    def spare(self, subjects: float, rate: float, ratio: float, images: float) -> float:
        """Standard errors by which the log-ratio passes what the power asked for needs."""
        variance = getattr(self.dependence, f"variance_of_{self.error}")
        squares = [variance(p, subjects, images) / p**2 for p in (rate, rate * ratio)]
        normal = NormalDist()
        needed = normal.inv_cdf((1 + self.confidence) / 2) + normal.inv_cdf(self.power)
        return log(ratio) / sqrt(sum(squares)) - needed

    def detects(self, subjects: int, rate: float, ratio: float, images: float) -> bool:
        enough = self.comparisons(subjects, images) * rate >= FEWEST_ERRORS
        return enough and self.spare(subjects, rate, ratio, images) >= 0


def _smallest(holds: Callable[[int], bool]) -> int:
    """The smallest number of subjects from 2 on for which something holds that holds beyond too."""
    high = 2
    while not holds(high):
        if high > _MOST_SUBJECTS:
            raise BadInput(
                f"more than {_MOST_SUBJECTS:,} subjects would be needed: ask for a higher rate or "
                "a larger ratio"
            )
        high *= 2
    low = high // 2  # does not hold, or is below 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


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
