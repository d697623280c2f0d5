"""Logistic regression of errors on what is known of each comparison, with intervals by subject.

In: comparisons with their errors, groups, terms, and the one or two subjects of each. Out: rates as
they would be with other terms, and how far any function of them would vary with other subjects.

The variance is that of Aronow, Samii and Assenova (2015, Political Analysis 23, equation 2), in
which comparisons go together when they share a subject, with each subject's part as it would be if
the model were fitted without that subject (one Newton step of the jackknife: CR3).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit, ndtr, ndtri, stdtr, stdtrit

_STEPS = 40
_PART = 50_000  # comparisons held with all their rates at once
_DRAWS = 20_000  # of the largest of all figures, for the family
_FEW = 50  # of them, which tell no p-value: Bonferroni's does
_SPENT = 1e-8  # of a term, left without one subject: that subject is all there is


class Unfitted(Exception):
    """The model has no end, or stands on one subject: the column of the design it is about."""

    def __init__(self, column: int, subject: int = -1) -> None:
        super().__init__(column, subject)
        self.column, self.subject = column, subject


@dataclass(frozen=True, eq=False)
class Compared:
    """Comparisons, a row each.

    Attributes
    ----------
    errors : bool (n,)
    group : int (n,)
        From 0 to one less than there are groups, each with errors.
    terms : float64 (n, terms)
        What is known of the comparison.
    weights : float64 (n,)
        How many comparisons a row stands for.
    a, b : int (n,)
        Subjects from 0; the same two arrays where comparisons are mated.
    """

    errors: np.ndarray
    group: np.ndarray
    terms: np.ndarray
    weights: np.ndarray
    a: np.ndarray
    b: np.ndarray

    @property
    def mated(self) -> bool:
        return self.a is self.b


class Change(NamedTuple):
    """Two states of some terms that are compared: set to values, or moved by them."""

    columns: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    moved: bool


class Figure(NamedTuple):
    """An estimate with what its interval and its p-value are made of."""

    value: float
    error: float  # standard
    freedom: float  # degrees of

    @property
    def p(self) -> float:
        if not self.error > 0:  # nothing is known of what would vary
            return 1.0
        return float(2 * stdtr(self.freedom, -abs(self.value) / self.error))

    def interval(self, level: float) -> tuple[float, float]:
        """Both ends; outside them lies the truth with probability `level`."""
        if not self.error > 0:
            return -np.inf, np.inf
        half = stdtrit(self.freedom, 1 - level / 2) * self.error
        return self.value - half, self.value + half


class Model:
    """Errors explained by groups and terms: logit P(error) = group + terms' coefficients.

    Its rates, in this order: of each group as it is; of each group if it had the terms of all
    groups, which count alike; and for each change the rate with its low and its high state.

    Raises
    ------
    Unfitted
        Some terms leave no error (or nothing else), or stand on one subject alone.
    """

    def __init__(self, compared: Compared, changes: Sequence[Change]) -> None:
        self.compared, self._changes = compared, changes
        self._size = int(compared.group.max()) + 1
        self._spread = np.maximum(compared.terms.std(axis=0), 1e-300)
        self._terms = compared.terms / self._spread
        self._of_group = np.bincount(compared.group, compared.weights)
        self.theta = self._fit()
        self._means = np.zeros((self._size, 2 * (self._size + len(changes))))
        self._slopes = np.zeros((self._means.shape[1], len(self.theta)))
        self._add_up()
        own = np.arange(self._size)
        self.rates = self._means.mean(axis=0)
        self.rates[own] = self._means[own, own]

    @property
    def coefficients(self) -> np.ndarray:
        """Of the groups, then of the terms in their own units."""
        return np.concatenate([self.theta[: self._size], self.theta[self._size :] / self._spread])

    # ---- the fit

    def _design(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.hstack([np.eye(self._size)[self.compared.group[rows]], self._terms[rows]])

    def _fit(self) -> np.ndarray:
        """Newton's method on the weighted likelihood, from the groups' own rates."""
        c = self.compared
        wrong = np.bincount(c.group, c.weights * c.errors)
        start = np.log(wrong / np.maximum(self._of_group - wrong, 0.5))
        theta = np.concatenate([start, np.zeros(c.terms.shape[1])])
        design, before = self._design(slice(None)), np.inf
        step = np.zeros(len(theta))
        for _ in range(_STEPS):
            at = design @ (theta + step)
            # log(1 + e^x) - y x, without overflow
            loss = float(c.weights @ (np.logaddexp(0, at) - c.errors * at))
            if loss > before + 1e-9 * abs(before):
                step /= 2
                continue
            theta, before = theta + step, loss
            p = expit(at)
            bread = design.T @ ((c.weights * p * (1 - p))[:, None] * design)
            try:
                step = cho_solve(cho_factor(bread), design.T @ (c.weights * (c.errors - p)))
            except LinAlgError:
                break
            if np.abs(design @ step).max() < 1e-8:
                self._p, self._bread = p, bread
                return theta
        # Each group has errors and others: what has no end is a term.
        raise Unfitted(self._size + int(np.argmax(np.abs(theta[self._size :]))))

    # ---- rates and their slopes

    def _states(
        self, rows: slice | np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Of each rate but the groups' own: its number, what it would be by comparison, and the
        groups and terms that make it."""
        group, terms, place = self.compared.group[rows], self._terms[rows], self._size
        slopes = self.theta[self._size :]
        at = terms @ slopes
        for one in range(self._size):
            yield place, expit(self.theta[one] + at), np.full(len(group), one), terms
            place += 1
        for change in self._changes:
            for values in (change.low, change.high):
                moved = terms.copy()
                for column, value in zip(change.columns, values, strict=True):
                    step = value / self._spread[column]
                    moved[:, column] = moved[:, column] + step if change.moved else step
                yield place, expit(self.theta[group] + moved @ slopes), group, moved
                place += 1

    def _parts(self) -> Iterator[slice]:
        for start in range(0, len(self.compared.errors), _PART):
            yield slice(start, start + _PART)

    def _add_up(self) -> None:
        c = self.compared
        for rows in self._parts():
            group, share = c.group[rows], c.weights[rows] / self._of_group[c.group[rows]]
            wrong = np.bincount(group, share * c.errors[rows], minlength=self._size)
            self._means[np.arange(self._size), np.arange(self._size)] += wrong
            for place, rate, groups, terms in self._states(rows):
                self._means[:, place] += np.bincount(group, share * rate, minlength=self._size)
                steep = share * rate * (1 - rate) / self._size
                of_groups = np.bincount(groups, steep, minlength=self._size)
                self._slopes[place] += np.append(of_groups, steep @ terms)

    def _deviations(self, rows: np.ndarray | slice) -> np.ndarray:
        """What each comparison adds to each rate's deviation, the model being fixed."""
        c = self.compared
        group, share = c.group[rows], c.weights[rows] / self._of_group[c.group[rows]]
        result = np.zeros((len(group), len(self.rates)))
        own = np.arange(len(group))
        result[own, group] = share * (c.errors[rows] - self._means[group, group])
        for place, rate, _, _ in self._states(rows):
            result[:, place] = share / self._size * (rate - self._means[group, place])
        return result

    # ---- who moves them

    @cached_property
    def _of_subjects(self) -> np.ndarray:
        """By how much each rate would move without each subject: (subjects, rates)."""
        c = self.compared
        ends = c.a if c.mated else np.concatenate([c.a, c.b])
        order = np.argsort(ends, kind="stable")
        cuts = np.flatnonzero(np.diff(ends[order], prepend=-1))
        result = np.zeros((len(cuts), len(self.rates)))
        hard = c.weights * self._p * (1 - self._p)
        surprise = c.weights * (c.errors - self._p)
        for number, rows in enumerate(np.split(order % len(c.errors), cuts[1:])):
            design = self._design(rows)
            left = self._bread - design.T @ (hard[rows, None] * design)
            spent = np.bincount(c.group[rows], c.weights[rows], minlength=self._size)
            lost = 1 / np.maximum(1 - spent / self._of_group, _SPENT)
            step = self._without(left, design.T @ surprise[rows], number)
            direct = (self._deviations(rows) * lost[c.group[rows], None]).sum(axis=0)
            result[number] = self._slopes @ step + direct
        return result

    def _without(self, left: np.ndarray, score: np.ndarray, subject: int) -> np.ndarray:
        """The step of the coefficients when one subject is left out."""
        try:
            factor = cho_factor(left)
            thin = np.diagonal(factor[0]) ** 2 / np.diagonal(self._bread)
        except LinAlgError:
            thin = np.diagonal(left) / np.diagonal(self._bread)
            raise Unfitted(int(np.argmin(thin)), subject) from None
        if thin.min() < _SPENT:
            raise Unfitted(int(np.argmin(thin)), subject)
        return cho_solve(factor, score)

    @cached_property
    def _of_pairs(self) -> np.ndarray:
        """Sums of products over pairs of subjects: (rates, rates)."""
        c, size = self.compared, len(self.rates)
        if c.mated:
            return np.zeros((size, size))
        low, high = np.minimum(c.a, c.b), np.maximum(c.a, c.b)
        keys = low.astype(np.int64) * (int(high.max()) + 1) + high
        order = np.argsort(keys, kind="stable")
        first = np.flatnonzero(np.diff(keys[order], prepend=-1))
        moves = np.linalg.solve(self._bread, self._slopes.T)
        surprise = c.weights * (c.errors - self._p)
        result, begin = np.zeros((size, size)), 0
        while begin < len(first):
            # Whole pairs, of about so many comparisons.
            stop = int(np.searchsorted(first, first[begin] + _PART))
            end = first[stop] if stop < len(first) else len(order)
            rows = order[first[begin] : end]
            terms = self._deviations(rows)
            terms += surprise[rows, None] * (self._design(rows) @ moves)
            sums = np.add.reduceat(terms, first[begin:stop] - first[begin], axis=0)
            result += sums.T @ sums
            begin = stop
        return result

    def influence(self, contrast: np.ndarray) -> np.ndarray:
        """By how much a contrast of rates, (rates,) or (rates, m), moves without each subject."""
        return self._of_subjects @ contrast

    def figure(self, value: float, contrast: np.ndarray) -> Figure:
        """An estimate whose slopes over the rates are `contrast`.

        Student's degrees of freedom are Satterthwaite's, and half of them for non-mated
        comparisons: false matches bunch around the few people who resemble many, and a test that
        misses them has a low rate and a low variance at once, as in `small_sample_wilson`.
        """
        moves = self.influence(contrast)
        squares, alone = float(moves @ moves), float(contrast @ self._of_pairs @ contrast)
        # Each pair stands in the sums of both its subjects.
        variance = alone + max(squares - 2 * alone, 0) if alone > 0 else squares
        people = int(np.count_nonzero(moves))
        fourths = float((moves**4).sum())
        freedom = max(people - 1, 1)
        if fourths > 0:
            gap = fourths / squares**2 - 1 / people
            share = 2 if self.compared.mated else 1
            freedom = float(np.clip(share / max(gap, share / freedom), 1, freedom))
        return Figure(value, float(np.sqrt(variance)), freedom)


def effective_errors(compared: Compared) -> float:
    """How many independent errors tell as much about the groups' rates as these: at most all.

    Errors times the variance that independent comparisons would give over the variance by subject.
    """
    c = compared
    total, wrong = (np.bincount(c.group, c.weights * one) for one in (1, c.errors))
    rate = wrong / total
    off = c.weights * (c.errors - rate[c.group])
    size = int(max(c.a.max(), c.b.max())) + 1
    if c.mated:
        variance = float((np.bincount(c.a, off, minlength=size) ** 2).sum())
    else:
        of_subjects = sum(np.bincount(end, off, minlength=size) for end in (c.a, c.b))
        keys = np.minimum(c.a, c.b).astype(np.int64) * size + np.maximum(c.a, c.b)
        alone = float((np.bincount(np.unique(keys, return_inverse=True)[1], off) ** 2).sum())
        variance = alone + max(float((of_subjects**2).sum()) - 2 * alone, 0)
    independent = float((total * rate * (1 - rate)).sum())
    return float(wrong.sum()) * min(independent / max(variance, 1e-300), 1)


def family(
    figures: Sequence[Figure], influences: np.ndarray, confidence: float
) -> tuple[np.ndarray, float]:
    """P-values of all figures together, and the level at which all intervals hold together.

    The largest of |t| over the family under equality everywhere (max-t; Westfall and Young 1993):
    normal draws with the correlations of the influences, (subjects, figures), each figure's t
    turned into the normal deviate of its own p-value. Never laxer than each alone nor stricter than
    Bonferroni.
    """
    p, number = np.array([figure.p for figure in figures]), len(figures)
    if number == 1:
        return p, 1 - confidence
    scaled = influences / np.maximum(np.linalg.norm(influences, axis=0), 1e-300)
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    root = vectors * np.sqrt(np.maximum(values, 0))
    draws = np.random.default_rng(0).standard_normal((_DRAWS, number)) @ root.T
    largest = np.sort(np.abs(draws).max(axis=1))
    seen = -ndtri(np.maximum(p, 1e-300) / 2)
    beyond = _DRAWS - np.searchsorted(largest, seen)
    together = np.where(beyond < _FEW, number * p, beyond / _DRAWS)
    level = 2 * ndtr(-np.quantile(largest, confidence))
    corrected = np.clip(together, p, np.minimum(number * p, 1))
    return corrected, float(max(level, (1 - confidence) / number))
