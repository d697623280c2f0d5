"""Error rates at one threshold, by group and across groups, with intervals that respect subjects.

In: the errors of every pair of subjects at a threshold. Out: frames of FMR and FNMR, and the
weighted rates of a subject bootstrap, from which disparity and paired differences get intervals.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from facelab.rates.intervals import Sums, interval
from facelab.rates.kernels import add_up

FEW_ERRORS = 30  # Doddington's rule of 30: below, the rate is known to no better than +-30%
FEW_SUBJECTS = 10
RULE_OF_THREE = 3.0
_CHUNK = 4_000_000  # weights held at once by the bootstrap


class Rates(NamedTuple):
    """Weighted rates of a subject bootstrap: float64 (replicates, 1 + groups), `all` first."""

    fmr: np.ndarray
    fnmr: np.ndarray


@dataclass(frozen=True, eq=False)
class ErrorCounts:
    """Every error at one threshold, counted per pair of units.

    A unit is a subject within a group: its images that bear one label. In sound data a subject is
    one unit; images without a label form a unit of group -1, which counts only in `all`.

    Attributes
    ----------
    threshold
        A match is a score >= this.
    groups
        The labels; a unit's group is an index into them.
    units
        DataFrame `subject` (str), `group` (int), `images` (int).
    pairs
        DataFrame `unit_a` <= `unit_b`, `errors`, and `comparisons` unless `complete`. Between units
        of one subject the errors are false non-matches, otherwise false matches.
    complete
        All pairs of images were compared, so that the numbers of comparisons follow from the
        numbers of images and `pairs` lists only pairs with errors.
    """

    threshold: float
    groups: tuple[str, ...]
    units: pd.DataFrame
    pairs: pd.DataFrame
    complete: bool

    @cached_property
    def subjects(self) -> np.ndarray:
        """The subjects in sorted order: what the columns of bootstrap weights stand for."""
        return np.unique(self.units["subject"].to_numpy(dtype=object))

    @cached_property
    def _subject(self) -> np.ndarray:
        names = self.units["subject"].to_numpy(dtype=object)
        return np.searchsorted(self.subjects, names).astype(np.int32)

    @cached_property
    def _group(self) -> np.ndarray:
        return self.units["group"].to_numpy(dtype=np.int64)

    @cached_property
    def _images(self) -> np.ndarray:
        return self.units["images"].to_numpy(dtype=np.float64)

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Units a and b of each listed pair."""
        return self.pairs["unit_a"].to_numpy(), self.pairs["unit_b"].to_numpy()

    @cached_property
    def _mated(self) -> np.ndarray:
        """Which of the listed pairs are of one subject."""
        a, b = self._ends
        return self._subject[a] == self._subject[b]

    def _listed(self, which: np.ndarray) -> tuple[np.ndarray, ...]:
        """Units a and b, errors and comparisons of some of the listed pairs."""
        a, b = (end[which].astype(np.int64) for end in self._ends)
        errors = self.pairs["errors"].to_numpy()[which].astype(np.float64)
        if self.complete:
            within = self._images[a] * (self._images[a] - 1) / 2
            comparisons = np.where(a == b, within, self._images[a] * self._images[b])
        else:
            comparisons = self.pairs["comparisons"].to_numpy()[which].astype(np.float64)
        return a, b, errors, comparisons

    def _unit_mated(self) -> tuple[np.ndarray, np.ndarray]:
        """Mated comparisons and false non-matches within each unit."""
        a, b, errors, comparisons = self._listed(self._mated)
        own, size = a == b, len(self.units)
        missed = np.bincount(a[own], errors[own], minlength=size)
        if self.complete:
            return self._images * (self._images - 1) / 2, missed
        return np.bincount(a[own], comparisons[own], minlength=size), missed

    def _subject_mated(self) -> tuple[np.ndarray, np.ndarray]:
        """Mated comparisons and false non-matches of each subject, across its labels."""
        a, _, errors, comparisons = self._listed(self._mated)
        subject, size = self._subject[a], len(self.subjects)
        missed = np.bincount(subject, errors, minlength=size)
        if self.complete:
            images = np.bincount(self._subject, self._images)
            return images * (images - 1) / 2, missed
        return np.bincount(subject, comparisons, minlength=size), missed

    def _non_mated_of_units(self) -> Sums:
        """Non-mated sums for every pair of groups, as (groups, groups) arrays."""
        return non_mated_sums(
            self._images if self.complete else None,
            self._group,
            len(self.groups),
            (*self._ends, *self._counted()),
            owner=self._subject,
        )

    def _counted(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Errors of the listed pairs, and their comparisons unless those follow from images."""
        comparisons = None if self.complete else self.pairs["comparisons"].to_numpy()
        return self.pairs["errors"].to_numpy(), comparisons

    def _non_mated_of_subjects(self) -> Sums:
        """Non-mated sums over everything, as (1, 1) arrays."""
        size = len(self.subjects)
        images = np.bincount(self._subject, self._images) if self.complete else None
        a, b = (self._subject[end] for end in self._ends)
        errors, comparisons = self._counted()
        if len(self.units) > size:  # a subject is several units: their pairs are one
            apart = ~self._mated
            given = errors[apart] if comparisons is None else comparisons[apart]
            a, b, (errors, given) = _merge(a[apart], b[apart], np.stack([errors[apart], given]))
            comparisons = None if comparisons is None else given
        everyone = np.zeros(size, dtype=np.int64)
        return non_mated_sums(images, everyone, 1, (a, b, errors, comparisons))

    def sums(self, error: str) -> Sums:
        """Comparisons, errors and variance of "fmr" or "fnmr" within each group."""
        if error == "fmr":
            return Sums(*(np.diagonal(part) for part in self._non_mated_of_units()))
        inside = self._group >= 0
        own = (part[inside] for part in self._unit_mated())
        return mated_sums(*own, self._group[inside], len(self.groups))

    def rates(self, confidence: float = 0.95, small_samples: bool = False) -> pd.DataFrame:
        """FMR and FNMR of everybody and of each group.

        Intervals are Wilson's with the effective sample size p(1-p)/Var, where Var allows for
        comparisons that share a subject (arXiv 2306.01198, plug-in estimator); with no error, or
        nothing but errors, the comparisons are taken as independent. With few subjects they are
        too narrow, as `experiments/coverage.yaml` shows; with `small_samples` they also allow for
        that: see `small_sample_wilson`.

        Returns
        -------
        pandas.DataFrame
            `group subjects images mated non_mated fmr fmr_low fmr_high fnmr fnmr_low fnmr_high
            note false_matches false_non_matches`; the first row, `all`, holds every comparison,
            across groups too; a group's row holds the comparisons within it.
        """
        size, inside = len(self.groups), self._group >= 0
        everybody = Sums(*(part.ravel() for part in self._non_mated_of_subjects()))
        non_mated = _one_after_another(everybody, self.sums("fmr"))
        everyone = np.zeros(len(self.subjects), dtype=np.int64)
        mated = _one_after_another(
            mated_sums(*self._subject_mated(), everyone, 1), self.sums("fnmr")
        )
        subjects = np.bincount(self._group[inside], minlength=size)
        images = np.bincount(self._group[inside], self._images[inside], minlength=size)
        frame = pd.DataFrame({"group": ["all", *self.groups]})
        frame["subjects"] = [len(self.subjects), *subjects]
        frame["images"] = pd.array(np.append(self._images.sum(), images), dtype="Int64")
        if not self._images.any():
            frame["images"] = pd.NA  # a score file that does not name its images
        frame["mated"] = mated.comparisons.astype(np.int64)
        frame["non_mated"] = non_mated.comparisons.astype(np.int64)
        for error, sums in (("fmr", non_mated), ("fnmr", mated)):
            frame[error] = _ratio(sums.errors, sums.comparisons)
            low, high = interval(sums, confidence, small_samples)
            frame[f"{error}_low"], frame[f"{error}_high"] = low, high
        told = [
            np.stack([sums.comparisons, sums.errors, sums.independent], 1).tolist()
            for sums in (non_mated, mated)
        ]
        frame["note"] = [
            _note(people, *both, small_samples)
            for people, *both in zip(frame["subjects"], *told, strict=True)
        ]
        frame["false_matches"] = non_mated.errors.astype(np.int64)
        frame["false_non_matches"] = mated.errors.astype(np.int64)
        return frame

    def cross_group(self, confidence: float = 0.95, small_samples: bool = False) -> pd.DataFrame:
        """FMR for every pair of groups, one row each: the cross-group matrix in long form.

        Returns
        -------
        pandas.DataFrame
            `group_a group_b non_mated false_matches fmr fmr_low fmr_high note`, where group_a does
            not come after group_b; rows with group_a = group_b repeat the rates within a group.
        """
        sums = self._non_mated_of_units()
        first, second = np.triu_indices(len(self.groups))
        sums = Sums(*(matrix[first, second] for matrix in sums))
        low, high = interval(sums, confidence, small_samples)
        names = np.array(self.groups, dtype=object)
        return pd.DataFrame(
            {
                "group_a": names[first],
                "group_b": names[second],
                "non_mated": sums.comparisons.astype(np.int64),
                "false_matches": sums.errors.astype(np.int64),
                "fmr": _ratio(sums.errors, sums.comparisons),
                "fmr_low": low,
                "fmr_high": high,
                "note": [
                    "; ".join(
                        _note_of(*told, "non-mated comparisons", "false matches", small_samples)
                    )
                    for told in zip(sums.comparisons, sums.errors, sums.independent, strict=True)
                ],
            }
        )

    def resample(self, weights: np.ndarray) -> Rates:
        """Rates when each subject counts with a weight and a comparison with the product of two.

        A mated comparison has one subject, whose weight it takes.

        Parameters
        ----------
        weights
            (replicates, subjects) in the order of `subjects`; `double_or_nothing` draws them.

        Returns
        -------
        Rates
            NaN where a replicate leaves a group without comparisons.
        """
        step = max(1, _CHUNK // max(len(self.units), 1))
        parts = [self._resample(weights[k : k + step]) for k in range(0, len(weights), step)]
        return Rates(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _resample(self, weights: np.ndarray) -> Rates:
        weights = weights.astype(np.float64)
        by_unit = weights[:, self._subject]
        inside = np.flatnonzero(self._group >= 0)
        member = sparse.csr_array(
            (np.ones(len(inside)), (inside, self._group[inside])),
            shape=(len(self.units), len(self.groups)),
        )
        a, b, errors, comparisons = self._listed(~self._mated)
        own_group = (self._group[a] >= 0) & (self._group[a] == self._group[b])
        within = (a[own_group], b[own_group])
        across = (self._subject[a], self._subject[b])
        false_matches = np.column_stack(
            [
                _quadratic(weights, *across, errors).sum(axis=1),
                _quadratic(by_unit, *within, errors[own_group]) @ member,
            ]
        )
        if self.complete:
            images = np.bincount(self._subject, self._images)
            every = np.ones((len(images), 1))
            non_mated = np.column_stack(
                [_all_pairs(weights * images, every), _all_pairs(by_unit * self._images, member)]
            )
        else:
            non_mated = np.column_stack(
                [
                    _quadratic(weights, *across, comparisons).sum(axis=1),
                    _quadratic(by_unit, *within, comparisons[own_group]) @ member,
                ]
            )
        (total, missed), (own_total, own_missed) = self._subject_mated(), self._unit_mated()
        false_non_matches = np.column_stack([weights @ missed, (by_unit * own_missed) @ member])
        mated_total = np.column_stack([weights @ total, (by_unit * own_total) @ member])
        return Rates(_ratio(false_matches, non_mated), _ratio(false_non_matches, mated_total))


def _one_after_another(first: Sums, second: Sums) -> Sums:
    return Sums(*(np.append(*parts) for parts in zip(first, second, strict=True)))


def double_or_nothing(subjects: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap weights: each subject counts twice or not at all, each with probability 1/2.

    Comparisons then vary together when they share a subject. Where single comparisons rather than
    shared subjects make the noise, this bootstrap is wider than need be: up to sqrt(3) times.
    """
    return 2 * rng.integers(0, 2, size=(replicates, subjects), dtype=np.int8)


def non_mated_sums(
    images: np.ndarray | None,
    group: np.ndarray,
    size: int,
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None],
    owner: np.ndarray | None = None,
) -> Sums:
    """Comparisons, false matches and variance of FMR for every pair of groups.

    `pairs` lists nodes a and b, errors and comparisons, one entry an unordered pair of nodes. The
    errors may be sums of anything that comparisons have, such as scores or their differences.

    Var = [sum over pairs of subjects y^2 + max(sum over pairs that share one subject y y', 0)] /
    n^2 with y = errors - p comparisons. The second sum needs only row sums R of y: it is
    sum R^2 - 2 sum y^2. `images` is None for a list of comparisons; otherwise everybody met
    everybody, and comparisons may be None. Pairs of one `owner` (a subject under two labels) and
    of a node of group -1 do not count.
    """
    a, b, errors, comparisons = pairs
    if owner is None:
        owner = np.arange(len(group))
    told = np.zeros(0) if comparisons is None else comparisons
    met = np.zeros(0) if images is None else np.asarray(images, np.float64)
    sums, rows = add_up(a, b, errors, told, met, owner, group, size)
    wrong, wrong_squares, crossed, e4, e3c, e2c2, ec3, total, squares, c4, met = sums
    row_wrong, row_total = rows
    if images is not None:
        known = group >= 0
        powers = {
            k: np.bincount(group[known], images[known] ** k, minlength=size)
            for k in (0, 1, 2, 4, 8)
        }
        n = powers[1]
        met, total, squares, c4 = (_every_pair(powers[k], powers[2 * k]) for k in (0, 1, 2, 4))
        row_total = np.outer(images, n)
        row_total[known, group[known]] -= images[known] ** 2
        for x, y in _one_subject_pairs(owner, group):
            both, place = images[x] * images[y], tuple(sorted((group[x], group[y])))
            met[place] -= 1
            total[place] -= both
            squares[place] -= both**2
            c4[place] -= both**4
            row_total[x, group[y]] -= both
            row_total[y, group[x]] -= both

    p = np.nan_to_num(_ratio(wrong, total))
    single = wrong_squares - 2 * p * crossed + p**2 * squares
    known = np.flatnonzero(group >= 0)
    either = p + np.triu(p, 1).T
    rest = (row_wrong[known] - either[group[known]] * row_total[known]) ** 2
    spread = np.zeros((size, size))
    np.add.at(spread, group[known], rest)
    shared = np.triu(spread) + np.tril(spread, -1).T - 2 * single
    whole = single + np.maximum(shared, 0)
    variance = whole / np.where(total > 0, total, 1) ** 2
    # (e - p c)^4, multiplied out: only the last term is of pairs without errors too.
    fourths = e4 - 4 * p * e3c + 6 * p**2 * e2c2 - 4 * p**3 * ec3 + p**4 * c4
    spread4, people = np.zeros((2, size, size))
    np.add.at(spread4, group[known], rest**2)
    np.add.at(people, group[known], row_total[known] > 0)
    spread4, people = (np.triu(x) + np.tril(x, -1).T for x in (spread4, people))
    # A pair's term stands in two rows: its fourth power is taken off once.
    effective = _effective(whole, np.maximum(spread4 - fourths, fourths))
    return Sums(total, wrong, variance, people, met, effective)


def mated_sums(comparisons: np.ndarray, errors: np.ndarray, group: np.ndarray, size: int) -> Sums:
    """Comparisons, false non-matches and variance of FNMR for each group.

    Errors may be sums of anything that comparisons have, as in `non_mated_sums`.
    """
    total = np.bincount(group, comparisons, minlength=size)
    wrong = np.bincount(group, errors, minlength=size)
    p = np.nan_to_num(_ratio(wrong, total))
    terms = (errors - p[group] * comparisons) ** 2
    squares, fourths = (np.bincount(group, terms**power, minlength=size) for power in (1, 2))
    people = np.bincount(group, comparisons > 0, minlength=size)
    variance = squares / np.where(total > 0, total, 1) ** 2
    return Sums(total, wrong, variance, people, people, _effective(squares, fourths))


def _every_pair(one: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Sums of products over all pairs of nodes, from sums and sums of squares, by groups."""
    result = np.triu(np.outer(one, one)).astype(np.float64)
    np.fill_diagonal(result, (one**2 - squared) / 2)
    return result


def _effective(squares: np.ndarray, fourths: np.ndarray) -> np.ndarray:
    """(sum u^2)^2 / sum u^4: 1 where there is nothing to see."""
    return np.where(fourths > 0, squares**2 / np.where(fourths > 0, fourths, 1), 1.0)


def _one_subject_pairs(subject: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Pairs of labelled units that are one subject under two labels: int64 (n, 2), mostly empty."""
    known = np.flatnonzero(group >= 0)
    order = known[np.argsort(subject[known], kind="stable")]
    runs = np.split(order, np.flatnonzero(np.diff(subject[order])) + 1)
    found = [(x, y) for run in runs for i, x in enumerate(run) for y in run[i + 1 :]]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _merge(
    a: np.ndarray, b: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the columns of `values` that belong to the same unordered pair."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    base = int(high.max(initial=0)) + 1
    keys, place = np.unique(low * base + high, return_inverse=True)
    merged = np.stack([np.bincount(place, row, minlength=len(keys)) for row in values])
    return keys // base, keys % base, merged


def _quadratic(weights: np.ndarray, a: np.ndarray, b: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Terms of w' V w, by column: (replicates, nodes), with V sparse and one-sided."""
    size = weights.shape[1]
    matrix = sparse.csr_array((values, (a, b)), shape=(size, size))
    return (weights @ matrix) * weights


def _all_pairs(weighted: np.ndarray, member: np.ndarray | sparse.csr_array) -> np.ndarray:
    """Sum over pairs of different nodes of the product of their weights, by group."""
    return ((weighted @ member) ** 2 - weighted**2 @ member) / 2


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Errors over comparisons; NaN where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _note(people: int, non_mated: list[float], mated: list[float], small_samples: bool) -> str:
    """What a reader must know before quoting a row; each error as (comparisons, errors, pairs of
    subjects or subjects)."""
    if people == 1:
        notes = ["one subject: no non-mated comparisons"]
    else:
        notes = _note_of(*non_mated, "non-mated comparisons", "false matches", small_samples)
    notes += _note_of(*mated, "mated comparisons", "false non-matches", small_samples)
    if 1 < people < FEW_SUBJECTS:
        notes.append(f"few subjects ({people}): intervals are rough")
    return "; ".join(notes)


def _note_of(
    comparisons: float, errors: float, people: float, kind: str, name: str, small_samples: bool
) -> list[str]:
    if comparisons == 0:
        return [f"no {kind}"]
    if errors == 0:
        what = "subjects" if kind.startswith("mated") else "pairs of subjects"
        what, tries = (what, people) if small_samples else ("comparisons", comparisons)
        bound = min(RULE_OF_THREE / tries, 1.0)
        return [f"no {name}: upper bound takes {what} as independent (rule of three {bound:.2g})"]
    if errors < FEW_ERRORS:
        return [f"few errors: {int(errors)} {name if errors > 1 else name.removesuffix('es')}"]
    return []
