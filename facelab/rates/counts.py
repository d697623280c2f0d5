"""Error rates at one threshold, by group and across groups, with intervals that respect subjects.

In: the errors of every pair of subjects at a threshold. Out: frames of FMR and FNMR, and the sums
from which contrasts and paired differences get their intervals.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from facelab.errors import BadInput, check_option
from facelab.rates.cautions import COLUMNS, note_of, notes_of
from facelab.rates.intervals import SelectedSums, Sums, interval
from facelab.rates.kernels import add_up
from facelab.rates.products import (
    NonMated,
    effective,
    evened,
    every_pair,
    in_whole,
    lifted,
    merged,
    one_subject_pairs,
    ratio,
    weighed,
)
from facelab.rates.selected import by_group, by_pair_of_groups, by_strata, of_these_people


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
        of one subject the errors are false non-matches, otherwise false matches. Of comparisons
        selected by chance both are sums of weights; for more columns see `rates.selected`.
    complete
        All pairs of images were compared, so that the numbers of comparisons follow from the
        numbers of images and `pairs` lists only pairs with errors.
    """

    threshold: float
    groups: tuple[str, ...]
    units: pd.DataFrame
    pairs: pd.DataFrame
    complete: bool

    @property
    def weighted(self) -> bool:
        """Whether comparisons stand for others that were not made."""
        return "compared" in self.pairs.columns

    @property
    def _kind(self) -> type[Sums]:
        return SelectedSums if self.weighted else Sums

    @cached_property
    def subjects(self) -> np.ndarray:
        """The subjects in sorted order."""
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

    @property
    def _apart(self) -> pd.DataFrame:
        """The listed pairs of two subjects."""
        return self.pairs[~self._mated]

    @property
    def _groups_apart(self) -> list[np.ndarray]:
        """Groups of both ends of those."""
        return [self._group[end[~self._mated]] for end in self._ends]

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

    def _non_mated_of_units(self, weights: str = "comparisons") -> Sums:
        """Non-mated sums for every pair of groups, as (groups, groups) arrays."""
        images = self._images if self.complete else None
        images, pairs = weighed(images, (*self._ends, *self._counted()), weights)
        sums = non_mated_sums(images, self._group, len(self.groups), pairs, owner=self._subject)
        return by_strata(sums, self._apart, *self._groups_apart)

    def _counted(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Errors of the listed pairs, and their comparisons unless those follow from images."""
        comparisons = None if self.complete else self.pairs["comparisons"].to_numpy()
        return self.pairs["errors"].to_numpy(), comparisons

    def _non_mated_of_subjects(self, weights: str = "comparisons") -> Sums:
        """Non-mated sums over everything, as (1, 1) arrays."""
        size = len(self.subjects)
        images = np.bincount(self._subject, self._images) if self.complete else None
        a, b = (self._subject[end] for end in self._ends)
        errors, comparisons = self._counted()
        if len(self.units) > size:  # a subject is several units: their pairs are one
            apart = ~self._mated
            given = errors[apart] if comparisons is None else comparisons[apart]
            a, b, (errors, given) = merged(a[apart], b[apart], np.stack([errors[apart], given]))
            comparisons = None if comparisons is None else given
        everyone = np.zeros(size, dtype=np.int64)
        images, pairs = weighed(images, (a, b, errors, comparisons), weights)
        all_of_them = np.zeros(len(self._apart), dtype=np.int64)
        sums = non_mated_sums(images, everyone, 1, pairs)
        return by_strata(sums, self._apart, all_of_them, all_of_them)

    def sums(self, error: str, weights: str = "comparisons") -> Sums:
        """Comparisons, errors and variance of "fmr" or "fnmr" within each group.

        With weights "subjects" every subject (every pair of them, for FMR) counts once, with the
        share of its comparisons that are errors; people with many photos dominate otherwise.
        """
        self._check_weights(weights)
        if error == "fmr":
            return self._kind(*(np.diagonal(part) for part in self._non_mated_of_units(weights)))
        inside = self._group >= 0
        own = evened(*(part[inside] for part in self._unit_mated()), weights)
        return self._kind(*mated_sums(*own, self._group[inside], len(self.groups)))

    def sums_of_all(self, error: str, weights: str = "comparisons") -> Sums:
        """The same over everything, as arrays of one."""
        self._check_weights(weights)
        if error == "fmr":
            return self._kind(*(part.ravel() for part in self._non_mated_of_subjects(weights)))
        everyone = np.zeros(len(self.subjects), dtype=np.int64)
        return self._kind(*mated_sums(*evened(*self._subject_mated(), weights), everyone, 1))

    def _check_weights(self, weights: str) -> None:
        if self.weighted and weights == "subjects":
            raise BadInput('rates of comparisons selected by chance take weights="comparisons"')

    def seen(self, error: str) -> tuple[np.ndarray, np.ndarray]:
        """Comparisons and errors that were seen, of everybody and then of each group."""
        if not self.weighted:
            sums, _ = self.of_everybody_and_groups(error)
            return sums.comparisons, sums.errors
        made = self._made(error)
        return by_group(*made, "compared"), by_group(*made, "wrong")

    def _made(self, error: str) -> tuple[pd.DataFrame, np.ndarray, int]:
        """The pairs of units that an error is of, the group of both, and how many there are."""
        a, b = self._ends
        which = self._mated if error == "fnmr" else ~self._mated
        group = np.where(self._group[a] == self._group[b], self._group[a], -1)[which]
        return self.pairs[which], group, len(self.groups)

    def rates(
        self, confidence: float = 0.95, small_samples: bool = False, people: str = "sampled"
    ) -> pd.DataFrame:
        """FMR and FNMR of everybody and of each group.

        Intervals are Wilson's with the effective sample size p(1-p)/Var, where Var allows for
        comparisons that share a subject (arXiv 2306.01198, plug-in estimator); with no error, or
        nothing but errors, the comparisons are taken as independent. With few subjects they are
        too narrow, as `experiments/coverage.yaml` shows; with `small_samples` they also allow for
        that: see `small_sample_wilson`. Weighted comparisons always have those: the squares of
        weighted errors hold the variance of the selection too. With `people` "fixed" theirs hold
        that alone, and are of what all pairs of these very people would have shown.

        Returns
        -------
        pandas.DataFrame
            `group subjects images mated non_mated fmr fmr_low fmr_high fnmr fnmr_low fnmr_high
            note false_matches false_non_matches effective_non_mated effective_mated
            fmr_by_subject fmr_by_subject_low fmr_by_subject_high fnmr_by_subject
            fnmr_by_subject_low fnmr_by_subject_high`; the first row, `all`, holds every comparison,
            across groups too; a group's row holds the comparisons within it. Rates by subject are
            means over subjects (FMR: over pairs of them), so that people with many photos weigh
            no more than others; all other rates count comparisons. `effective` numbers say how
            many independent comparisons would tell as much. Of weighted comparisons, numbers are
            those that they stand for; `compared_non_mated compared_mated seen_false_matches
            seen_false_non_matches` are those that were made, and rates by subject are not known.
        """
        size, inside = len(self.groups), self._group >= 0
        counted = {error: self.of_everybody_and_groups(error) for error in ("fmr", "fnmr")}
        check_option("people", people, ("sampled", "fixed"))
        if people == "fixed":
            counted = {e: self._of_these_people(e, told) for e, (told, _) in counted.items()}
        subjects = np.bincount(self._group[inside], minlength=size)
        images = np.bincount(self._group[inside], self._images[inside], minlength=size)
        frame = pd.DataFrame({"group": ["all", *self.groups]})
        frame["subjects"] = [len(self.subjects), *subjects]
        frame["images"] = pd.array(np.append(self._images.sum(), images), dtype="Int64")
        if not self._images.any():
            frame["images"] = pd.NA  # a score file that does not name its images
        seen = {error: self.seen(error) for error in counted}
        frame["mated"] = in_whole(counted["fnmr"][0].comparisons)
        frame["non_mated"] = in_whole(counted["fmr"][0].comparisons)
        for error, (sums, _) in counted.items():
            frame[error] = sums.rate
            frame[f"{error}_low"], frame[f"{error}_high"] = interval(
                sums, confidence, small_samples, self.weighted
            )
        notes = [
            notes_of(counted[e][0], frame[f"{e}_high"], e, frame["subjects"], seen[e][1])
            for e in ("fmr", "fnmr")
        ]
        frame["note"] = [
            note_of(people, *told) for people, *told in zip(frame["subjects"], *notes, strict=True)
        ]
        for error, (name, _) in COLUMNS.items():
            frame[name] = in_whole(counted[error][0].errors)
        for error, (_, tries) in COLUMNS.items():
            frame[f"effective_{tries}"] = counted[error][1]
        if self.weighted:
            return self._with_seen(frame, seen)
        for error in COLUMNS:
            sums, _ = self.of_everybody_and_groups(error, "subjects")
            frame[f"{error}_by_subject"] = sums.rate
            ends = interval(sums, confidence, small_samples)
            frame[f"{error}_by_subject_low"], frame[f"{error}_by_subject_high"] = ends
        return frame

    def _of_these_people(self, error: str, sums: Sums) -> tuple[Sums, np.ndarray]:
        if not self.weighted:
            raise BadInput(
                'with people="fixed" rates have no interval where all comparisons were made: take '
                'people="sampled"'
            )
        fixed = of_these_people(*self._made(error)[:2], sums)
        return fixed, fixed.number

    def _with_seen(
        self, frame: pd.DataFrame, seen: dict[str, tuple[np.ndarray, np.ndarray]]
    ) -> pd.DataFrame:
        for error, (name, tries) in COLUMNS.items():
            frame[[f"{error}_by_subject{end}" for end in ("", "_low", "_high")]] = np.nan
            frame[f"compared_{tries}"], frame[f"seen_{name}"] = map(in_whole, seen[error])
        return frame

    def of_everybody_and_groups(
        self, error: str, weights: str = "comparisons"
    ) -> tuple[Sums, np.ndarray]:
        """Sums of everybody and then of each group, and the effective numbers of comparisons."""
        parts = self.sums_of_all(error, weights), self.sums(error, weights)
        numbers = np.concatenate([part.number for part in parts])
        return self._kind(*map(np.concatenate, zip(*parts, strict=True))), numbers

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
        sums = self._kind(*(matrix[first, second] for matrix in sums))
        low, high = interval(sums, confidence, small_samples, self.weighted)
        seen = sums.errors
        if self.weighted:
            seen = by_pair_of_groups(self._apart, *self._groups_apart, len(self.groups), "wrong")
            seen = seen[first, second]
        names = np.array(self.groups, dtype=object)
        return pd.DataFrame(
            {
                "group_a": names[first],
                "group_b": names[second],
                "non_mated": in_whole(sums.comparisons),
                "false_matches": in_whole(sums.errors),
                "fmr": sums.rate,
                "fmr_low": low,
                "fmr_high": high,
                "note": ["; ".join(told) for told in notes_of(sums, high, "fmr", 0 * high, seen)],
            }
        )

    def non_mated_within(self, group: int | None = None) -> NonMated:
        """The non-mated comparisons within a group, or of everybody, by pair of nodes.

        Nodes are units, or for everybody subjects.
        """
        a, b, errors, comparisons = self._listed(~self._mated)
        if group is None:
            images = np.bincount(self._subject, self._images, minlength=len(self.subjects))
            a, b = self._subject[a], self._subject[b]
        else:
            images = np.where(self._group == group, self._images, 0.0)
            inside = (self._group[a] == group) & (self._group[b] == group)
            a, b, errors, comparisons = (x[inside] for x in (a, b, errors, comparisons))
        return NonMated(a, b, errors, comparisons, images if self.complete else None, len(images))

    def mated_within(self, group: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mated comparisons and false non-matches by unit of a group, or by subject."""
        if group is None:
            return self._subject_mated()
        inside = self._group == group
        return tuple(np.where(inside, part, 0.0) for part in self._unit_mated())


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
    sum R^2 - 2 sum y^2; leverage-corrected, R is `lifted`. `images` is None for a list of
    comparisons; otherwise everybody met everybody, and comparisons may be None. Pairs of one
    `owner` (a subject under two labels) and of a node of group -1 do not count.
    """
    a, b, errors, comparisons = pairs
    if owner is None:
        owner = np.arange(len(group))
    told = np.zeros(0) if comparisons is None else comparisons
    each = np.zeros(0) if images is None else np.asarray(images, np.float64)
    sums, rows = add_up(a, b, errors, told, each, owner, group, size)
    wrong, wrong_squares, crossed, e4, e3c, e2c2, ec3, total, squares, c4 = sums
    row_wrong, row_total = rows
    if images is not None:
        known = group >= 0
        powers = {
            k: np.bincount(group[known], images[known] ** k, minlength=size) for k in (1, 2, 4, 8)
        }
        n = powers[1]
        total, squares, c4 = (every_pair(powers[k], powers[2 * k]) for k in (1, 2, 4))
        row_total = np.outer(images, n)
        row_total[known, group[known]] -= images[known] ** 2
        for x, y in one_subject_pairs(owner, group):
            both, place = images[x] * images[y], tuple(sorted((group[x], group[y])))
            total[place] -= both
            squares[place] -= both**2
            c4[place] -= both**4
            row_total[x, group[y]] -= both
            row_total[y, group[x]] -= both

    p = np.nan_to_num(ratio(wrong, total))
    single = wrong_squares - 2 * p * crossed + p**2 * squares
    known = np.flatnonzero(group >= 0)
    either, whole = (x + np.triu(x, 1).T for x in (p, total))
    shares = row_total[known] / np.where(whole > 0, whole, 1)[group[known]]
    residual = row_wrong[known] - either[group[known]] * row_total[known]
    rest = lifted(residual, shares) ** 2
    by_group = np.zeros((4, size, size))
    for place, terms in enumerate((residual**2, rest, rest**2, shares**2)):
        np.add.at(by_group[place], group[known], terms)
    largest = np.zeros((size, size))
    np.maximum.at(largest, group[known], shares)
    plain, spread, spread4, shares2 = (np.triu(x) + np.tril(x, -1).T for x in by_group)
    largest = np.maximum(np.triu(largest), np.tril(largest, -1).T)
    plain, variance = (
        (single + np.maximum(rows - 2 * single, 0)) / np.where(total > 0, total, 1) ** 2
        for rows in (plain, spread)
    )
    # (e - p c)^4, multiplied out: only the last term is of pairs without errors too.
    fourths = e4 - 4 * p * e3c + 6 * p**2 * e2c2 - 4 * p**3 * ec3 + p**4 * c4
    # A pair's term stands in two rows: its fourth power is taken off once.
    terms = effective(variance * total**2, np.maximum(spread4 - fourths, fourths))
    people = np.where(shares2 > 0, 4 / np.where(shares2 > 0, shares2, 1), 0)
    pairs = effective(total, squares)
    return Sums(total, wrong, variance, people, pairs, terms, largest, plain)


def mated_sums(comparisons: np.ndarray, errors: np.ndarray, group: np.ndarray, size: int) -> Sums:
    """Comparisons, false non-matches and variance of FNMR for each group.

    Errors may be sums of anything that comparisons have, as in `non_mated_sums`.
    """
    total = np.bincount(group, comparisons, minlength=size)
    wrong = np.bincount(group, errors, minlength=size)
    p = np.nan_to_num(ratio(wrong, total))
    shares = comparisons / np.where(total > 0, total, 1)[group]
    residual = errors - p[group] * comparisons
    terms = lifted(residual, shares) ** 2
    plain, squares, fourths = (
        np.bincount(group, x, minlength=size) for x in (residual**2, terms, terms**2)
    )
    people = effective(total, np.bincount(group, comparisons**2, minlength=size))
    people = np.where(total > 0, people, 0)
    largest = np.zeros(size)
    np.maximum.at(largest, group, shares)
    plain, variance = (x / np.where(total > 0, total, 1) ** 2 for x in (plain, squares))
    together = effective(squares, fourths)
    return Sums(total, wrong, variance, people, people, together, largest, plain)
