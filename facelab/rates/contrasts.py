"""Group against group at one threshold: how many times the error rate, and is that chance?

In: the errors of an audit. Out: ratios and differences of two groups' rates, whose intervals and
p-values allow for how many pairs of groups, and which errors, were looked at.
"""

from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_option, there_are
from facelab.rates.cautions import few_errors
from facelab.rates.counts import ErrorCounts
from facelab.rates.intervals import Sums, wilson_limits

ERRORS = {"fmr": "false matches", "fnmr": "false non-matches"}
CORRECTIONS = ("family", "none")
_DRAWS = 4000  # of the largest of all contrasts, under parity
_FAR = 9.0  # standard errors beyond which nobody asks
_PARITY = "which cannot be told from parity"


class Limits(NamedTuple):
    """The interval of a ratio and of the difference."""

    ratio_low: np.ndarray
    ratio_high: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Pairs(NamedTuple):
    """Two independent rates, `one` over `other`, pair by pair.

    Attributes
    ----------
    one, other
        Rates.
    numbers
        Effective numbers of comparisons behind them: (2, pairs).
    freedom
        Welch and Satterthwaite's degrees of freedom of the logarithm of their ratio.
    """

    one: np.ndarray
    other: np.ndarray
    numbers: np.ndarray
    freedom: np.ndarray

    @classmethod
    def of(cls, sums: Sums, one: np.ndarray, other: np.ndarray) -> "Pairs":
        """Pairs of groups, by their places in `sums`."""
        rate, number = sums.rate, sums.number
        square = np.where(sums.usable, sums.variance / np.where(rate > 0, rate, 1) ** 2, 0)
        both = square[one] + square[other]
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = both**2 / (
                square[one] ** 2 / sums.freedom[one] + square[other] ** 2 / sums.freedom[other]
            )
        freedom = np.where(np.isfinite(freedom), freedom, np.inf)
        return cls(rate[one], rate[other], np.stack([number[one], number[other]]), freedom)

    def limits(self, z: float | np.ndarray) -> Limits:
        """Intervals `z` normal standard errors wide, Student's for the degrees of freedom.

        Donner and Zou's MOVER (2012) of the two rates' Wilson limits. The interval of the ratio and
        that of the difference leave out parity together, and a rate of zero has a ratio too.
        """
        tail = ndtr(-np.asarray(z, float))
        t = np.where(np.isinf(self.freedom), z, -stdtrit(np.minimum(self.freedom, 1e9), tail))
        p, q = self.one, self.other
        (p_low, p_high), (q_low, q_high) = (
            wilson_limits(rate, number, t)
            for rate, number in zip((p, q), self.numbers, strict=True)
        )
        with np.errstate(divide="ignore"):
            high = 1 / lower_ratio(q, q_low, p, p_high)
        return Limits(
            lower_ratio(p, p_low, q, q_high),
            high,
            p - q - np.hypot(p - p_low, q_high - q),
            p - q + np.hypot(p_high - p, q - q_low),
        )

    def z(self) -> np.ndarray:
        """How many normal standard errors wide the interval is that just holds parity."""
        inside, outside = np.zeros(len(self.one)), np.full(len(self.one), _FAR)
        for _ in range(40):
            middle = (inside + outside) / 2
            low, high = self.limits(middle)[2:]
            apart = (low > 0) | (high < 0)
            inside, outside = np.where(apart, middle, inside), np.where(apart, outside, middle)
        return np.where(np.isfinite(self.one - self.other), inside, np.nan)


def lower_ratio(p: np.ndarray, p_low: np.ndarray, q: np.ndarray, q_high: np.ndarray) -> np.ndarray:
    """The lower end of p / q, from the lower end of one and the upper end of the other."""
    pull, push = p_low * (2 * p - p_low), q_high * (2 * q - q_high)
    root = np.sqrt(np.maximum((p * q) ** 2 - pull * push, 0))
    bottom = p * q + root
    return np.where(pull > 0, pull / np.where(bottom > 0, bottom, 1), 0.0)


class Family:
    """All pairs of groups that are looked at, of both errors: what the largest shows by chance.

    Two contrasts with a group in common go together. How the largest of all is distributed when
    all groups are equal is simulated, from the standard errors of the groups' own rates.
    """

    def __init__(self, pairs: Mapping[str, tuple[Sums, np.ndarray]], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.largest = np.zeros(_DRAWS)
        for sums, ends in pairs.values():
            deviation = _log_deviation(sums)
            noise = rng.standard_normal((_DRAWS, len(deviation))) * deviation
            for one, other in ends.T:
                both = np.hypot(deviation[one], deviation[other])
                found = np.abs(noise[:, one] - noise[:, other]) / both
                np.maximum(self.largest, found, out=self.largest)

    def reach(self, confidence: float) -> float:
        """Standard errors within which all contrasts of equal groups lie so often."""
        return float(np.quantile(self.largest, confidence, method="higher"))

    def p(self, z: np.ndarray) -> np.ndarray:
        """How often the largest of all contrasts lies as far out as each of these."""
        beyond = len(self.largest) - np.searchsorted(np.sort(self.largest), z)
        return np.where(np.isnan(z), np.nan, (1 + beyond) / (1 + len(self.largest)))


def _log_deviation(sums: Sums) -> np.ndarray:
    """Standard errors of the rates' logarithms; a group without errors has what all have."""
    number = sums.number
    with np.errstate(invalid="ignore", divide="ignore"):  # as where no group has comparisons
        together = np.nansum(sums.rate * number) / np.nansum(number)
        rate = np.where(sums.usable, sums.rate, together)
        square = (1 - rate) / (rate * number)
    return np.sqrt(np.where(np.isfinite(square) & (square > 0), square, 1.0))


@as_annotated
def group_contrasts(
    counts: ErrorCounts,
    error: str = "fmr",
    reference: str | None = None,
    correct: str = "family",
    confidence: float = 0.95,
    weights: str = "comparisons",
) -> pd.DataFrame:
    """Compare the error rates of groups, two at a time.

    Groups have no subject in common, so that their rates vary independently; each rate's variance
    allows for comparisons that share a subject, as `ErrorCounts.rates` does with `small_samples`.
    Intervals of ratios and of differences are MOVER's (Donner and Zou 2012), made of both rates'
    Wilson limits with Welch and Satterthwaite's degrees of freedom; they hold parity exactly when
    the p-value is 1 - `confidence` or more.

    Parameters
    ----------
    counts
        Of an audit: ``audit.counts``.
    error
        "fmr" or "fnmr".
    reference
        A group to compare all others with, named before the rates were seen; None compares every
        pair, the higher rate over the lower.
    correct
        "family": intervals and `p_corrected` allow for all rows, of both errors, so that among
        equal groups nothing is claimed in 95 % of audits, whichever row is picked. "none": each
        row stands by itself, for one pair that was named before the rates were seen.
    confidence
        Of the intervals.
    weights
        "comparisons" or "subjects": see `ErrorCounts.sums`.

    Returns
    -------
    pandas.DataFrame
        `group reference rate reference_rate ratio ratio_low ratio_high difference difference_low
        difference_high p p_corrected note`, the largest lower end of a ratio first: what can be
        said of the groups that stand apart most surely. Over a rate of zero the ratio is infinite
        and has a lower end.

    Raises
    ------
    BadInput
        An unknown error, correction or group, or fewer than two groups with comparisons.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> table = fl.group_contrasts(audit.counts, "fmr", reference="a")
    >>> table[["group", "ratio", "p_corrected"]].round(2).values.tolist()
    [['b', 1.64, 0.49], ['d', 1.49, 0.75], ['c', 1.49, 0.96]]
    """
    check_option("error", error, ERRORS)
    check_option("correct", correct, CORRECTIONS)
    check_option("weights", weights, ("comparisons", "subjects"))
    groups = counts.groups
    if reference is not None and reference not in groups:
        known = there_are(reference, groups, "the groups are")
        raise BadInput(f"there is no group {reference!r}{known}")
    looked_at = {}
    for name in ERRORS:
        sums = counts.sums(name, weights)
        known = np.flatnonzero(sums.comparisons > 0)
        if name == error and len(known) < 2:
            raise BadInput(f"a contrast needs two groups with {error.upper()}, not {len(known)}")
        base = None if reference is None else groups.index(reference)
        if base is None:
            ordered = known[np.argsort(-sums.rate[known], kind="stable")]
            ends = np.array(list(combinations(ordered, 2)))
        else:
            ends = np.array([(k, base) for k in known if k != base and base in known])
        looked_at[name] = sums, ends.reshape(-1, 2).T
    sums, (one, other) = looked_at[error]
    pairs = Pairs.of(sums, one, other)
    z = pairs.z()
    p = 2 * ndtr(-z)
    if correct == "family":
        family = Family(looked_at)
        corrected, reach = family.p(z), family.reach(confidence)
    else:
        corrected, reach = p, NormalDist().inv_cdf((1 + confidence) / 2)
    limits = pairs.limits(reach)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = pairs.one / pairs.other
    names = np.array(groups, dtype=object)
    frame = pd.DataFrame(
        {
            "group": names[one],
            "reference": names[other],
            "rate": pairs.one,
            "reference_rate": pairs.other,
            "ratio": ratio,
            "ratio_low": limits.ratio_low,
            "ratio_high": limits.ratio_high,
            "difference": pairs.one - pairs.other,
            "difference_low": limits.low,
            "difference_high": limits.high,
            "p": p,
            "p_corrected": corrected,
            "note": [
                _note(error, sums, counts.seen(error)[1][1:], ends, names)
                for ends in zip(one, other, strict=True)
            ],
        }
    )
    order = ["ratio_low", "ratio"]
    return frame.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected for their number by Holm's step-down method; NaN stay, but count."""
    p = np.asarray(p, float)
    order = np.argsort(np.nan_to_num(p, nan=2.0), kind="stable")
    scaled = (len(p) - np.arange(len(p))) * p[order]
    corrected = np.full(len(p), np.nan)
    known = ~np.isnan(scaled)
    corrected[order[known]] = np.minimum(1, np.maximum.accumulate(scaled[known]))
    return corrected


def told_apart(row: Mapping[str, float]) -> bool:
    """Whether a contrast shows a difference: its interval and its p-value say the same."""
    return not row["ratio_low"] <= 1 <= row["ratio_high"]


def as_ratio(row: Mapping[str, float]) -> str:
    """A row's ratio with its interval."""
    low, high = _times(row["ratio_low"]), _times(row["ratio_high"])
    if not np.isfinite(row["ratio_high"]):
        high = "no upper end"
    if not np.isfinite(row["ratio"]):
        return f"at least {low}" if row["ratio_low"] > 1 else f"{low} or more"
    return f"{_times(row['ratio'])} [{low}, {high}]"


def as_chance(row: Mapping[str, float], pairs: int) -> str:
    """What may be said of chance in one of so many contrasts, after a comma or in brackets."""
    if not told_apart(row):
        return f", {_PARITY}"
    p = "p < 0.001" if row["p_corrected"] < 1e-3 else f"p = {row['p_corrected']:.2g}"
    return f" ({p}{', allowing for all pairs of groups' if pairs > 1 else ''})"


def as_sentence(table: pd.DataFrame, error: str, fmr: float) -> str:
    """The first of all contrasts in a sentence, with its interval and no more than it bears."""
    row, where = table.iloc[0], f"at the threshold set for {100 * fmr:g}% overall"
    name = error.upper()
    if not row["rate"]:
        return f"No group showed {ERRORS[error]} {where}: nothing can be said of differences."
    times = f"{as_ratio(row)} times that for {row['reference']}"
    if told_apart(row):
        text = f"{name} for {row['group']} was {times} {where}{as_chance(row, len(table))}"
    elif len(table) == 1:
        text = f"{name} for {row['group']} was {times} {where}, {_PARITY}"
    else:
        text = (
            f"No two groups can be told apart by {name} {where}: that for {row['group']} was "
            f"{times}, {_PARITY}"
        )
    return text + (f"; {row['note']}" if row["note"] else "") + "."


def _times(value: float) -> str:
    """A ratio in two digits, and never with an exponent."""
    if not 0 < value < np.inf:
        return f"{value:g}"
    return f"{round(value, 1 - int(np.floor(np.log10(value)))):,.10g}"


def _note(
    error: str, sums: Sums, seen: np.ndarray, ends: tuple[int, int], names: np.ndarray
) -> str:
    """Groups without errors, and those with few that are independent of each other."""
    notes = []
    for place in ends:
        wrong, worth = seen[place], sums.rate[place] * sums.number[place]
        if wrong:
            notes.append(few_errors(wrong, worth, ERRORS[error], f" in {names[place]}"))
        else:
            notes.append(f"no {ERRORS[error]} in {names[place]}")
    return "; ".join(note for note in notes if note)
