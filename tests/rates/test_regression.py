"""The regression of errors: against independent fits, sums over pairs, and a known truth.

Estimates are held against a general optimiser, variances against loops over all pairs of subjects
and against leaving subjects out one by one, intervals against simulations without an effect.
"""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtr

from facelab.rates.regression import (
    Change,
    Compared,
    Figure,
    Model,
    Unfitted,
    effective_errors,
    family,
)

PER_UNIT = Change((0,), (-0.5,), (0.5,), True)


def drawn(
    rng, mated, subjects, slope=0.0, rates=(0.1, 0.1), shift=(0.0, 0.0), images=5, dependence=None
):
    """Comparisons of a logistic model that holds exactly, whose errors go together by subject."""
    group = np.arange(subjects) % len(rates)
    owner = np.repeat(np.arange(subjects), images)
    z = np.asarray(shift)[group[owner]] + 0.6 * rng.standard_normal(subjects)[owner]
    z = z + 0.8 * rng.standard_normal(len(owner))
    a, b = np.triu_indices(len(owner), 1)
    same = owner[a] == owner[b]
    keep = same if mated else ~same & (group[owner[a]] == group[owner[b]])
    a, b = a[keep], b[keep]
    first, second = owner[a], owner[b]
    people = rng.standard_normal(subjects)
    if mated:
        latent = np.sqrt(0.45) * people[first] + np.sqrt(0.55) * rng.standard_normal(len(a))
    else:
        one, both = dependence or (0.03, 0.65)
        pairs = rng.standard_normal((subjects, subjects))[first, second]
        latent = np.sqrt(one) * (people[first] + people[second]) + np.sqrt(both - 2 * one) * pairs
        latent = latent + np.sqrt(1 - both) * rng.standard_normal(len(a))
    terms = ((z[a] + z[b]) / 2)[:, None]
    chance = expit(logit(np.asarray(rates))[group[first]] + slope * terms[:, 0])
    errors = ndtr(latent) < chance
    ends = (first, first) if mated else (first, second)
    return Compared(errors, group[first], terms, np.ones(len(a)), *ends)


def rates_by_hand(compared, change=PER_UNIT):
    """Coefficients and rates by a general optimiser and plain sums."""
    size = compared.group.max() + 1
    design = np.column_stack([np.eye(size)[compared.group], compared.terms])

    def loss(theta):
        at = design @ theta
        return compared.weights @ (np.logaddexp(0, at) - compared.errors * at)

    theta = minimize(loss, np.r_[[-2.0] * size, 0 * compared.terms[0]], tol=1e-12).x

    def mean(rate):
        return np.mean(
            [
                np.average(rate[own], weights=compared.weights[own])
                for own in (compared.group == group for group in range(size))
            ]
        )

    own = [
        np.average(compared.errors[rows], weights=compared.weights[rows])
        for rows in (compared.group == group for group in range(size))
    ]
    alike = [mean(expit(theta[group] + compared.terms @ theta[size:])) for group in range(size)]
    moved = [
        mean(expit(design @ theta + ends[0] * theta[size])) for ends in (change.low, change.high)
    ]
    return theta, np.array([*own, *alike, *moved])


def without(compared, subject):
    keep = (compared.a != subject) & (compared.b != subject)
    parts = [getattr(compared, name)[keep] for name in ("errors", "group", "terms", "weights", "a")]
    return Compared(*parts, parts[-1] if compared.mated else compared.b[keep])


@pytest.mark.parametrize("mated", [True, False])
def test_coefficients_and_rates_are_those_of_a_general_optimiser(mated):
    compared = drawn(np.random.default_rng(1), mated, 30, 0.5, (0.2, 0.3))
    model = Model(compared, [PER_UNIT])
    theta, rates = rates_by_hand(compared)
    assert model.coefficients == pytest.approx(theta, abs=1e-4)
    assert model.rates == pytest.approx(rates, abs=1e-5)


def test_weights_count_like_rows():
    compared = drawn(np.random.default_rng(2), True, 30, 0.5, (0.2, 0.3))
    twice = Compared(
        compared.errors, compared.group, compared.terms, 2 * compared.weights,
        compared.a, compared.a,
    )  # fmt: skip
    first, second = Model(compared, [PER_UNIT]), Model(twice, [PER_UNIT])
    assert first.rates == pytest.approx(second.rates)
    contrast = np.r_[1, -1, np.zeros(4)]
    assert first.figure(0.1, contrast)[1:] == pytest.approx(second.figure(0.1, contrast)[1:])


@pytest.mark.parametrize("mated", [True, False])
def test_a_subjects_influence_is_what_leaving_it_out_changes(mated):
    """One Newton step and straight slopes against a fit to all others: nearly the same."""
    compared = drawn(np.random.default_rng(3), mated, 24, 0.5, (0.25, 0.35), images=4)
    model = Model(compared, [PER_UNIT])
    told = model.influence(np.eye(6))
    redone = [model.rates - Model(without(compared, one), [PER_UNIT]).rates for one in range(24)]
    assert np.corrcoef(told.ravel(), np.ravel(redone))[0, 1] > 0.995
    assert np.linalg.norm(told, axis=0) == pytest.approx(np.linalg.norm(redone, axis=0), rel=0.12)


def test_sums_over_pairs_of_subjects_are_those_of_a_loop():
    compared = drawn(np.random.default_rng(4), False, 12, 0.5, (0.2, 0.3), images=3)
    model = Model(compared, [])
    design = np.column_stack([np.eye(2)[compared.group], compared.terms])
    p = expit(design @ model.coefficients)
    bread = design.T @ ((p * (1 - p))[:, None] * design)
    total = np.zeros((2, 2))
    for a, b in product(range(12), repeat=2):
        own = (compared.a == a) & (compared.b == b)
        if not own.any():
            continue
        score = design[own].T @ (compared.errors[own] - p[own])
        moved = []
        for group in range(2):
            at = np.column_stack([np.eye(2)[np.full(len(p), group)], compared.terms])
            rate = expit(at @ model.coefficients)
            weights = 1 / np.bincount(compared.group)[compared.group] / 2
            means = np.bincount(compared.group, rate) / np.bincount(compared.group)
            slope = (weights * rate * (1 - rate)) @ at
            direct = (weights * (rate - means[compared.group]))[own].sum()
            moved.append(slope @ np.linalg.solve(bread, score) + direct)
        total += np.outer(moved, moved)
    assert model._of_pairs[2:, 2:] == pytest.approx(total)


def held(mated, runs, subjects, **options):
    """Shares of runs whose intervals hold the truth of no effect, and that of rows as they are."""
    told, family_holds, naive = [], [], []
    for run in range(runs):
        compared = drawn(np.random.default_rng(run), mated, subjects, **options)
        model = Model(compared, [PER_UNIT])
        contrasts = np.array([[0, 0, 0, 0, -1, 1], [1, -1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0.0]])
        figures = [model.figure(float(one @ model.rates), one) for one in contrasts]
        p, _ = family(figures, model.influence(contrasts.T), 0.95)
        told.append([figure.p > 0.05 for figure in figures])
        family_holds.append((p > 0.05).all())
        rate, n = model.rates[:2], np.bincount(compared.group)
        naive.append(abs(rate[0] - rate[1]) < 1.96 * np.sqrt((rate * (1 - rate) / n).sum()))
    return np.mean(told, axis=0), np.mean(family_holds), np.mean(naive)


@pytest.mark.parametrize(("mated", "subjects", "rate"), [(True, 60, 0.1), (False, 40, 0.03)])
def test_without_an_effect_intervals_hold_none_and_rows_as_if_independent_do_not(
    mated, subjects, rate
):
    each, together, naive = held(mated, 150, subjects, rates=(rate, rate))
    assert each.min() >= 0.90  # 2.8 standard errors below 95 %
    assert together >= 0.90
    assert naive < 0.85


def test_a_difference_that_is_wholly_the_covariates_does_not_remain():
    options = {"rates": (0.06, 0.06), "slope": 0.8, "shift": (0.0, 1.0)}
    after, before = [], []
    for run in range(100):
        compared = drawn(np.random.default_rng(run), True, 150, **options)
        model = Model(compared, [])
        for place, found in ((0, before), (2, after)):
            contrast = np.zeros(4)
            contrast[[place, place + 1]] = -1, 1
            found.append(model.figure(float(contrast @ model.rates), contrast))
    assert np.mean([figure.p < 0.05 for figure in before]) > 0.6
    assert np.mean([figure.p < 0.05 for figure in after]) <= 0.11
    assert abs(np.mean([figure.value for figure in after])) < 0.01


def test_a_term_that_tells_errors_from_all_else_has_no_end():
    compared = drawn(np.random.default_rng(6), True, 30)
    terms = (compared.errors + 0.1 * np.sin(np.arange(len(compared.errors))))[:, None]
    parts = (compared.errors, compared.group, terms, compared.weights, compared.a, compared.a)
    with pytest.raises(Unfitted) as found:
        Model(Compared(*parts), [])
    assert (found.value.column, found.value.subject) == (2, -1)


def test_errors_of_one_person_count_as_one():
    a = np.repeat(np.arange(30), 10)
    spread, one = np.zeros((2, 300), bool)
    spread[::10], one[:10] = True, True
    one[155] = spread[155] = True
    group = np.repeat([0, 1], 150)
    worth = [
        effective_errors(Compared(errors, group, np.zeros((300, 0)), np.ones(300), a, a))
        for errors in (spread, one)
    ]
    assert worth[0] > 25 and worth[1] < 2.5


def test_what_does_not_vary_is_not_told_from_anything():
    still = Figure(0.5, 0.0, 3.0)
    assert (still.p, still.interval(0.05)) == (1.0, (-np.inf, np.inf))


def test_a_figure_that_is_there_twice_costs_nothing():
    compared = drawn(np.random.default_rng(5), True, 60, 0.3, (0.2, 0.25))
    model = Model(compared, [PER_UNIT])
    one, other = np.array([[1, -1, 0, 0, 0, 0], [0, 0, 0, 0, -1, 1.0]])
    figures = [model.figure(float(step @ model.rates), step) for step in (one, other)]
    alone, level = family([figures[0], figures[0]], model.influence(np.stack([one, one], 1)), 0.95)
    assert alone[0] == pytest.approx(figures[0].p, abs=0.01) and level == pytest.approx(0.05, 0.1)
    both, level = family(figures, model.influence(np.stack([one, other], 1)), 0.95)
    assert 0.025 <= level < 0.04
    assert (both >= [figure.p for figure in figures]).all()
