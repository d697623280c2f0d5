"""How far comparisons depend on each other, and what that does to the variance of an error rate.

In: correlations of scores, or the errors of a test. Out: `Dependence`, which planning builds on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, owens_t

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_number
from facelab.rates.counts import ErrorCounts
from facelab.rates.selected import refuse_selected


@as_annotated
@dataclass(frozen=True)
class Dependence:
    """How far the scores of comparisons go together, as correlations of Gaussian scores.

    They hold at every threshold: how far *errors* go together, which falls with their rate,
    follows from them.

    Attributes
    ----------
    subject
        Of non-mated comparisons that share one of their two subjects: some people resemble many.
    pair
        Of non-mated comparisons of the same two subjects: some two people resemble each other.
    mated
        Of mated comparisons of one subject: some people are hard to recognise.

    Notes
    -----
    The defaults are what `from_counts` finds for a MobileFaceNet on 7,701 photos of 4,281 people
    from LFW, whether at FMR 1e-2, 1e-3 or 1e-4 (subject 0.024 to 0.032, pair 0.56 to 0.71, mated
    0.41 to 0.50, over everybody or within race and gender). The synthetic population gives, for the
    same model and for a ResNet-18 trained on it, where there are 50 errors or more: subject 0.00 to
    0.06, pair 0.59 to 0.78, mated 0.32 to 0.56. Your recogniser and your photos are others.

    Raises
    ------
    BadInput
        A correlation outside [0, 1), or `pair` below twice `subject`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> round(fl.Dependence.from_counts(audit.counts).pair, 1)
    0.5
    >>> hard = fl.Dependence(mated=0.6)  # some people are much harder to recognise than others
    >>> fl.required_subjects(fnmr=0.01)["subjects"].item()
    613
    >>> fl.required_subjects(fnmr=0.01, dependence=hard)["subjects"].item()
    846
    """

    subject: float = 0.03
    pair: float = 0.65
    mated: float = 0.45

    def __post_init__(self) -> None:
        for name in ("subject", "pair", "mated"):
            value = getattr(self, name)
            check_number(f"the correlation {name!r}", value)
            if not 0 <= value < 1:
                raise BadInput(f"the correlation {name!r} must lie in [0, 1), not be {value}")
        if self.pair < 2 * self.subject:
            raise BadInput(
                f"the correlation 'pair' ({self.pair:g}) must be at least twice 'subject' "
                f"({self.subject:g}): comparisons of the same two subjects share both of them"
            )

    @classmethod
    def from_counts(cls, counts: ErrorCounts) -> "Dependence":
        """Estimate the correlations from an audit's errors (`audit.counts`), within groups.

        Products of errors less their group's rate, averaged over pairs of comparisons that share a
        subject, two subjects, or a mated subject; then the correlation of Gaussian scores that
        gives this average (tetrachoric). Rough below some hundred errors; a negative estimate is 0.

        Raises
        ------
        BadInput
            No errors, nothing but errors, or no two comparisons that share subjects; comparisons
            with weights.
        """
        refuse_selected(counts.pairs, "how errors go together")
        non_mated, mated = zip(
            *(_products(counts, group) for group in range(len(counts.groups))), strict=True
        )
        subject, pair = _correlations(non_mated, "false matches")
        (mated,) = _correlations(mated, "false non-matches")
        return cls(min(subject, pair / 2), pair, mated)

    def variance_of_fmr(
        self, fmr: float, subjects: float | np.ndarray, images: float | np.ndarray
    ) -> float | np.ndarray:
        """Variance of the FMR of a group in which everybody meets everybody.

        Var = {p(1-p) + (m^2 - 1) C_pair} / (N m^2) + 4 (n - 2) / (n (n - 1)) C_subject for n
        subjects with m images each, N = n (n - 1) / 2 and C the covariance of two errors: the
        expectation of the plug-in variance that `ErrorCounts.rates` is made from.
        """
        pairs = subjects * (subjects - 1) / 2
        single = fmr * (1 - fmr) + (images**2 - 1) * _covariance(fmr, self.pair)
        shared = 4 * (subjects - 2) / (subjects * (subjects - 1)) * _covariance(fmr, self.subject)
        return single / (pairs * images**2) + np.maximum(shared, 0)

    def variance_of_fnmr(
        self, fnmr: float, subjects: float | np.ndarray, images: float | np.ndarray
    ) -> float | np.ndarray:
        """Variance of a group's FNMR: {p(1-p) + (k - 1) C_mated} / (n k), k = m (m - 1) / 2."""
        each = images * (images - 1) / 2
        return (fnmr * (1 - fnmr) + (each - 1) * _covariance(fnmr, self.mated)) / (subjects * each)


def _covariance(p: float, correlation: float) -> float:
    """Covariance of two errors of rate p whose Gaussian scores have a correlation.

    P(both) = p - 2 T(t, sqrt((1 - r) / (1 + r))), T being Owen's function and t the threshold.
    """
    return p - 2 * float(owens_t(ndtri(p), sqrt((1 - correlation) / (1 + correlation)))) - p**2


class _Products(NamedTuple):
    """Products of two errors less their rate, over pairs of comparisons that share something."""

    rate: float
    total: float
    number: float


def _products(counts: ErrorCounts, group: int) -> tuple[list[_Products], list[_Products]]:
    """Within a group: products that share one subject and two, and those that share a mated one."""
    units, pairs = counts.units, counts.pairs
    nodes = np.flatnonzero(units["group"].to_numpy() == group)
    place = np.full(len(units), -1)
    place[nodes] = np.arange(len(nodes))
    a, b = (place[pairs[side].to_numpy()] for side in ("unit_a", "unit_b"))
    inside = (a >= 0) & (b >= 0)
    a, b, pairs = a[inside], b[inside], pairs[inside]
    errors = pairs["errors"].to_numpy(dtype=np.float64)
    images = units["images"].to_numpy(dtype=np.float64)[nodes]
    if counts.complete:
        tries = np.where(a == b, images[a] * (images[a] - 1) / 2, images[a] * images[b])
    else:
        tries = pairs["comparisons"].to_numpy(dtype=np.float64)

    other = a != b
    wrong_of, tries_of = (
        np.bincount(np.concatenate([a[other], b[other]]), np.tile(x[other], 2), len(nodes))
        for x in (errors, tries)
    )
    squares = (tries[other] ** 2).sum()
    own, missed = tries[~other], errors[~other]
    if counts.complete:  # pairs without errors are not listed
        tries_of = images * (images.sum() - images)
        squares = ((images**2).sum() ** 2 - (images**4).sum()) / 2
        own = images * (images - 1) / 2
        missed = np.bincount(a[~other], missed, len(nodes))
    return (
        _non_mated(errors[other], tries[other], squares, wrong_of, tries_of),
        _mated(missed, own),
    )


def _non_mated(
    errors: np.ndarray,
    tries: np.ndarray,
    squares: float,
    wrong_of: np.ndarray,
    tries_of: np.ndarray,
) -> list[_Products]:
    """From errors and tries of pairs of subjects, and their sums over each subject's pairs."""
    n, wrong = tries_of.sum() / 2, errors.sum()
    p = wrong / n if n else 0.0
    within = (errors**2).sum() - 2 * p * (errors * tries).sum() + p**2 * squares
    shared = ((wrong_of - p * tries_of) ** 2).sum() - 2 * within
    # The rate is the group's own, which makes the products too small by the rate's variance.
    lost = (within + max(shared, 0)) / n**2 if n else 0.0
    of_one, of_two = (tries_of**2).sum() - 2 * squares, squares - n
    return [
        _Products(p, shared + of_one * lost, of_one),
        _Products(p, within - n * p * (1 - p) + of_two * lost, of_two),
    ]


def _mated(missed: np.ndarray, tries: np.ndarray) -> list[_Products]:
    n = tries.sum()
    p = missed.sum() / n if n else 0.0
    within = ((missed - p * tries) ** 2).sum()
    number = (tries**2).sum() - n
    lost = within / n**2 if n else 0.0
    return [_Products(p, within - n * p * (1 - p) + number * lost, number)]


def _correlations(groups: Sequence[list[_Products]], name: str) -> list[float]:
    """The correlations whose covariances add up to the sums of products that were seen."""
    found = []
    for parts in zip(*groups, strict=True):
        parts = [part for part in parts if part.number > 0 and 0 < part.rate < 1]
        if not parts:
            raise BadInput(
                f"there are no {name} of subjects with several comparisons, or nothing else: count "
                "at another threshold, or use the default Dependence()"
            )
        seen = sum(part.total for part in parts)

        def lack(correlation: float, parts: list[_Products] = parts, seen: float = seen) -> float:
            return seen - sum(part.number * _covariance(part.rate, correlation) for part in parts)

        highest = 0.99
        if lack(0.0) <= 0:
            found.append(0.0)
        elif lack(highest) >= 0:
            found.append(highest)
        else:
            found.append(float(brentq(lack, 0.0, highest)))
    return found
