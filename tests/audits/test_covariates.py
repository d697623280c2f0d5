"""Explained errors: what a covariate does, what is left of a group, and what cannot be told.

Estimates are held against an independent fit, variances against sums over all pairs of comparisons
and against leaving subjects out one by one, intervals against simulations with a known truth.
"""

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtr

import facelab as fl
from facelab.audits import explanations
from facelab.audits import sampled as sampling
from facelab.audits.covariates import check_apart, covariates_of, round_step, terms_of
from facelab.audits.explained import effect_sentences, group_sentences, readable
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


def photos(subjects=80, images=5, yaws=(10, 25), own=0.0, alike=0.0, seed=0):
    """Embeddings whose photos are the less clear the further the head is turned.

    Groups differ in how far heads are turned, and the second by `own` besides.
    """
    rng = np.random.default_rng(seed)
    group = np.arange(subjects) % len(yaws)
    centres = rng.standard_normal((subjects, 64))
    centres += alike * rng.standard_normal((len(yaws), 64))[group]
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    owner = np.repeat(np.arange(subjects), images)
    yaw = np.abs(rng.normal(0, np.asarray(yaws)[group[owner]]))
    clear = 0.85 - 0.008 * yaw - own * (group[owner] == 1) + 0.03 * rng.standard_normal(len(owner))
    clear = np.clip(clear, 0.1, 0.99)[:, None]
    noise = rng.standard_normal((len(owner), 64))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "subject": [f"s{one}" for one in owner],
            "image": [f"i{row}" for row in range(len(owner))],
            "race": np.array(["african", "asian", "white"])[group[owner]],
            "yaw": yaw,
            "light": rng.choice(["day", "flash", "lamp"], len(owner), p=[0.5, 0.3, 0.2]),
        }
    )
    return fl.Embeddings.from_arrays(clear * centres[owner] + np.sqrt(1 - clear**2) * noise, table)


def with_column(people, **columns):
    made = fl.Embeddings.from_arrays(people.vectors, people.table.copy())
    for name, values in columns.items():
        made.table[name] = values
    return made


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


# ---- against independent computations


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


@pytest.mark.parametrize("error", ["fmr", "fnmr"])
def test_a_groups_own_rate_varies_as_audits_say(error):
    """The audit's plug-in variance, and the same with what a subject leaves when it is left out."""
    people = photos(200)
    threshold = {"fmr": 0.25, "fnmr": 0.45}[error]
    counts = fl.compare_all(people, "race").counts(threshold)
    audited = counts.sums(error)
    found = fl.explain_errors(people, threshold, "race", ["yaw"], error)
    assert found.groups["errors"].tolist() == audited.errors.tolist()
    assert found.groups["comparisons"].tolist() == audited.comparisons.tolist()
    told = fl.explain_errors(people, threshold, "race", ["yaw"], error, reference="african")
    row = told.groups.set_index("group").loc["asian"]
    rates, variance = audited.errors / audited.comparisons, audited.variance
    ends = np.array([row["before"], row["before_low"], row["before_high"]])
    if error == "fmr":
        ends, rates, variance = np.log(ends), np.log(rates), variance / rates**2
    assert ends[0] == pytest.approx(rates[1] - rates[0])
    width = 2 * 1.96 * np.sqrt(variance.sum())
    assert 1.0 < (ends[2] - ends[1]) / width < 1.1


def test_a_sample_of_many_comparisons_tells_what_all_of_them_do(monkeypatch):
    people = photos(160, alike=0.5)
    whole = fl.explain_errors(people, 0.33, "race", ["yaw", "light"])
    monkeypatch.setattr(explanations, "sampled", partial(sampling.sampled, most=40_000))
    assert whole.facts["seen"] == whole.facts["comparisons"] == 158_000
    part = fl.explain_errors(people, 0.33, "race", ["yaw", "light"])
    assert part.facts["seen"] < 30_000
    assert part.groups["errors"].tolist() == whole.groups["errors"].tolist()
    assert part.groups["before"].to_numpy() == pytest.approx(whole.groups["before"].to_numpy())
    spread = np.log(whole.effects["ratio_high"] / whole.effects["ratio_low"]) / 3.9
    apart = np.log(part.effects["ratio"] / whole.effects["ratio"]) / spread
    assert apart.abs().max() < 1


def test_all_errors_stand_in_a_sample_and_the_rest_weigh_what_they_stand_for():
    people = photos(60, alike=0.5)
    subject = pd.factorize(people.table["subject"])[0]
    group = subject % 2
    for mated, threshold in ((True, 0.5), (False, 0.33)):
        every = sampling.sampled(people.vectors, subject, group, mated, threshold, 0, 1)
        some = sampling.sampled(people.vectors, subject, group, mated, threshold, 0, 1, most=400)
        assert every.weights.tolist() == [1] * every.number.sum()
        for part in (every, some):
            for one in range(2):
                own = part.group == one
                assert part.weights[own].sum() == pytest.approx(part.number[one])
                wrong = (part.weights * part.errors)[own].sum()
                assert wrong == pytest.approx((every.errors & (every.group == one)).sum())
            assert ((subject[part.a] == subject[part.b]) == mated).all()


# ---- against a known truth


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


def test_a_difference_of_its_own_remains_and_one_of_the_pose_does_not():
    pose = fl.explain_errors(photos(200), 0.45, "race", ["yaw"], "fnmr")
    row = pose.groups.set_index("group").loc["asian"]
    assert row["before_p"] < 0.001 and row["after_p"] > 0.05
    assert row["remains_low"] < 0 < row["remains_high"] < 0.5
    own = fl.explain_errors(photos(200, yaws=(20, 20), own=0.1), 0.45, "race", ["yaw"], "fnmr")
    row = own.groups.set_index("group").loc["asian"]
    assert row["after_p"] < 0.001
    assert 0.5 < row["remains_low"] < 1 < row["remains_high"]


# ---- terms


def rows_of(**columns):
    table = pd.DataFrame({"subject": ["a"] * 4, "image": list("wxyz"), **columns})
    return table, np.array([0, 0, 1]), np.array([1, 2, 3])


def test_numbers_become_difference_and_mean_or_what_is_asked_for():
    table, a, b = rows_of(age=[20.0, 30.0, 60.0, 30.0])
    made = {}
    for rules in (None, ["lower", "higher"]):
        wanted = ["age"] if rules is None else {"age": rules}
        terms, changes, _ = terms_of(covariates_of(table, wanted, []), a, b)
        made |= {term.rule: term.values.tolist() for term in terms}
        assert all(change.moved for change in changes)
    assert made["mean"] == [25, 40, 30]
    assert made["lower"] == [20, 20, 30]
    assert made["higher"] == [30, 60, 30]
    assert made["difference"] == [10, 40, 0]


def test_the_quality_of_a_comparison_is_that_of_its_worse_photo():
    table, a, b = rows_of(quality=[20.0, 30.0, 60.0, 10.0])
    (term,), _, _ = terms_of(covariates_of(table, ["quality"], []), a, b)
    assert (term.rule, term.values.tolist()) == ("lower", [20, 20, 10])


def test_labels_become_levels_against_the_most_frequent_and_whether_they_differ():
    table, a, b = rows_of(light=["day", "day", "flash", "flash"])
    terms, changes, _ = terms_of(covariates_of(table, ["light"], []), a, b)
    assert [(term.rule, term.change, term.values.tolist()) for term in terms] == [
        ("levels", "flash, not day", [0, 0.5, 0.5]),
        ("different", "different, not the same", [0, 1, 1]),
    ]
    # Both images at the flash against both by day: neither pair differs.
    assert changes[0] == Change((0, 1), (0, 0), (1, 0), False)
    assert changes[1] == Change((1,), (0,), (1,), False)


@pytest.mark.parametrize(
    ("spread", "step"), [(0.13, 0.1), (17, 20), (40, 50), (80, 100), (1, 1), (0, 1), (7e-4, 5e-4)]
)
def test_a_step_is_round_and_near_a_standard_deviation(spread, step):
    assert round_step(spread) == pytest.approx(step)


# ---- what is refused


def refused(people=None, threshold=0.45, by="race", covariates=("yaw",), error="fnmr", **options):
    with pytest.raises(fl.BadInput) as found:
        fl.explain_errors(people or photos(120), threshold, by, covariates, error, **options)
    return str(found.value)


@pytest.fixture(scope="module")
def people():
    return photos(120)


@pytest.mark.parametrize(
    ("covariates", "said"),
    [
        ((), "covariates must be a list of columns or columns with rules, not none"),
        (None, "covariates must be a list of columns or columns with rules, not none"),
        (5, "covariates must be a list of columns or columns with rules, not an int"),
        (["yawn"], "there is no column 'yawn' to explain by (did you mean 'yaw'?)"),
        ([["yaw"]], "there is no column ['yaw'] to explain by"),
        (["subject"], "there is no column 'subject' to explain by"),
        (["race"], "column 'race' makes the groups: it cannot explain them, leave it out"),
        (["yaw", "yaw"], "covariates name the column 'yaw' twice: leave one out"),
        ({"yaw": "least"}, "the rule of column 'yaw', which holds numbers, must be 'difference'"),
        ({"light": "mean"}, "the rule of column 'light', which holds labels, must be 'different'"),
        ({"yaw": 5}, "the rule of column 'yaw', which holds numbers, must be"),
        ({"yaw": ["lower", "higher", "mean"]}, "mean of yaw follows from the terms before it"),
    ],
)
def test_covariates_that_say_nothing_are_named(people, covariates, said):
    assert said in refused(people, covariates=covariates)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (lambda t: 1.0, "column 'c' is the same in all 1,200 comparisons"),
        (lambda t: 1.0 * (t["race"] == "asian"), "mean of c is the same for everybody of a group"),
        (lambda t: t["race"].str[1], "c s, not f is the same for everybody of a group"),
        (lambda t: 3 * t["yaw"] + 1, "difference of c follows from the terms before it"),
        (lambda t: t["yaw"].where(t.index != 3, np.inf), "column 'c' is infinite in row 3"),
        (lambda t: np.nan, "no image has a label of race and all of yaw, c: nothing is left"),
        (lambda t: pd.Series([None] * len(t)), "column 'c' is empty: leave it out"),
        (lambda t: pd.Timestamp("2026-01-01"), "column 'c' holds dates: give years, as numbers"),
        (lambda t: t["image"], "column 'c' has 600 different labels: join them to 30 or fewer"),
        (lambda t: t["image"].str[1:], "they are numbers written as text, make them pd.to_num"),
    ],
)
def test_columns_that_cannot_be_told_from_others_are_named(people, values, said):
    made = with_column(people, c=values(people.table))
    assert said in refused(made, covariates=["yaw", "c"])


def test_a_label_without_errors_has_an_effect_without_bound(people):
    table = people.table
    audit = fl.compare_all(people, "race").counts(0.45)
    wrong = audit.units["subject"][np.unique(audit.pairs.query("unit_a == unit_b")["unit_a"])]
    fine = table["subject"].unique()[~np.isin(table["subject"].unique(), wrong)][:6]
    made = with_column(people, c=np.where(table["subject"].isin(fine), "odd", "usual"))
    said = refused(made, covariates={"c": "levels"})
    assert said == (
        "0 of 60 comparisons with c odd, not usual are false non-matches, so that its effect has "
        "no bound: leave the column out, or join its labels"
    )


def test_what_one_person_alone_shows_is_refused(people):
    table = people.table
    audit = fl.compare_all(people, "race").counts(0.45)
    missed = audit.pairs.query("unit_a == unit_b").sort_values("errors")
    one = audit.units["subject"][missed["unit_a"].iloc[len(missed) // 2]]
    made = with_column(people, c=np.where(table["subject"] == one, "odd", "usual"))
    said = refused(made, covariates={"c": "levels"})
    assert said == (
        "all that is known of c odd, not usual comes from one subject, who says nothing of others: "
        "leave it out"
    )


def test_a_number_that_tells_errors_from_all_else_is_refused():
    people = photos(120)
    subject = pd.factorize(people.table["subject"])[0]
    group = subject % 2
    every = sampling.sampled(people.vectors, subject, group, True, 0.45, 0, 1)
    terms = np.column_stack([every.errors + 0.1 * np.sin(np.arange(len(every.a)))])
    ends = subject[every.a]
    with pytest.raises(Unfitted) as found:
        Model(Compared(every.errors, group[every.a], terms, every.weights, ends, ends), [])
    assert (found.value.column, found.value.subject) == (2, -1)


def test_errors_of_too_few_people_are_refused():
    said = refused(photos(40), 0.44, covariates=["yaw", "light"])
    assert said == (
        "80 false non-matches of 21 subjects are too few for 7 coefficients, which need 35 "
        "subjects who err: name fewer covariates, or join groups"
    )


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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": None}, "fl.explain_errors needs `by`: name the columns that make the groups"),
        ({"by": "rac"}, "there is no column 'rac' to group by (did you mean 'race'?)"),
        ({"reference": "africa"}, "there is no group 'africa' (did you mean 'african'?)"),
        ({"error": "far"}, "error must be 'fmr' or 'fnmr', not 'far'"),
        ({"confidence": 95}, "confidence must lie between 0 and 1"),
        ({"threshold": 2}, "the threshold must be a score from -1 to 1, not 2"),
        (
            {"threshold": -1.0},
            "explaining the difference of groups needs two with false non-matches; there is 0 "
            "(african: no false non-matches: no model, left out; asian: no false non-matches: no "
            "model, left out)",
        ),
    ],
)
def test_what_else_is_wrong_is_said_in_a_sentence(people, options, said):
    assert said in refused(people, **options)


def test_a_group_that_has_no_errors_cannot_be_the_reference():
    people = photos(150, yaws=(2, 25, 25))
    found = fl.explain_errors(people, 0.4, "race", ["yaw"], "fnmr")
    assert found.groups.set_index("group").loc["african", "errors"] == 0
    assert found.findings()[-1] == (
        "african, of 500 comparisons of 50 subjects: no false non-matches: no model, left out."
    )
    said = refused(people, 0.4, reference="african")
    assert said == (
        "group 'african' cannot be the reference: no false non-matches: no model, left out"
    )


def test_a_group_of_few_who_err_is_left_out_and_named():
    people = photos(150, yaws=(12, 25, 25))
    found = fl.explain_errors(people, 0.25, "race", ["yaw"], "fnmr")
    assert found.findings()[-1] == (
        "african, of 500 comparisons of 50 subjects: false non-matches of 3 subjects: too few for "
        "a model, left out."
    )


def test_it_takes_embeddings_alone():
    with pytest.raises(fl.BadInput, match=r"fl\.explain_errors takes embeddings, not a Data"):
        fl.explain_errors(photos(20).table, 0.4, "race", ["yaw"])


# ---- what is left out is said


def test_what_is_missing_is_counted_by_group():
    people = photos(120)
    rows = np.arange(len(people))
    made = with_column(people, yaw=people.table["yaw"].where(rows % 50 != 3))
    made.table["race"] = made.table["race"].where(rows % 100 != 4)
    found = fl.explain_errors(made, 0.45, "race", ["yaw"], "fnmr")
    assert found.notes == [
        "6 images without race left out",
        "12 images without yaw left out (african 12 of 294)",
    ]
    assert found.facts["comparisons"] == 1200 - 6 * 4 - 6 * 7  # one or two of five photos gone
    assert " 12 images without yaw left out (african 12 of 294). " in found.summary()


def test_a_subject_of_two_groups_is_counted():
    people = photos(120)
    race = people.table["race"].where(np.arange(len(people)) != 0, "asian")
    found = fl.explain_errors(with_column(people, race=race), 0.45, "race", ["yaw"], "fnmr")
    assert found.notes == ["4 mated comparisons of one subject's two groups left out"]
    assert found.facts["comparisons"] == 1196


def test_terms_that_stand_still_and_those_that_mostly_tell_groups_are_named():
    people = photos(160)
    number = people.table["subject"].str[1:].astype(int)
    made = with_column(people, height=160 + number % 9 + 30.0 * (number % 2))
    found = fl.explain_errors(made, 0.45, "race", ["height"], "fnmr")
    assert found.notes == [
        "difference of height is the same in all comparisons and left out",
        "mean of height hardly varies within groups: what is said of them at equal height extends "
        "beyond what was seen",
    ]


def test_an_audit_gives_the_threshold_and_the_groups():
    people = photos(120, alike=0.5)
    audit = fl.audit(people, "race", fmr=0.02)
    found = fl.explain_errors(people, audit, covariates=["yaw"])
    assert (found.threshold, found.by) == (audit.threshold, ["race"])
    assert found.groups["errors"].tolist() == audit.rates["false_matches"][1:].tolist()


def test_one_photo_a_person_explains_false_matches():
    people = photos(300, images=1, alike=0.5)
    found = fl.explain_errors(people, 0.3, "race", ["yaw"])
    assert found.facts["comparisons"] == 2 * 150 * 149 // 2


def test_terms_of_all_groups_alike_pass():
    values = np.array([0.0, 1, 2, 0, 1, 2])
    table, *_ = rows_of(c=[0.0, 1.0, 2.0, 3.0])
    (covariate,) = covariates_of(table, {"c": "mean"}, [])
    terms, _, _ = terms_of([covariate], np.array([0, 1, 2]), np.array([0, 1, 2]))
    check_apart([terms[0]._replace(values=values)], np.repeat([0, 1], 3))


# ---- every sentence that can be printed


def effect(covariate="yaw", rule="mean", change="+10", size=(0.021, 0.01, 0.032), p=0.0001):
    value, low, high = size
    names = ("difference", "ratio", "joint_low", "joint_high", "p", "p_corrected")
    told = dict(zip(names, (value, value, low, high, p, p), strict=True))
    return {"covariate": covariate, "rule": rule, "change": change} | told


def group(name, before, after, p=(0.0001, 0.0001), remains=(0.8, 0.6, 0.95), note=""):
    row = {"group": name, "comparisons": 1000, "subjects": 50, "errors": 30, "rate": 0.03}
    row["adjusted"] = np.nan if note else 0.03
    for when, size, chance in (("before", before, p[0]), ("after", after, p[1])):
        names = (when, f"{when}_joint_low", f"{when}_joint_high", f"{when}_p")
        row |= dict(zip(names, (*size, chance), strict=True))
    names = ("remains", "remains_low", "remains_high")
    return row | dict(zip(names, remains, strict=True)) | {"note": note}


NONE = (np.nan,) * 3
EFFECTS = [
    ("fnmr", effect(), "FNMR was 2.1 points [1, 3.2] higher for +10 in the mean of yaw "
     "(p < 0.001)."),
    ("fnmr", effect(size=(-0.021, -0.032, -0.01), p=0.012),
     "FNMR was 2.1 points [1, 3.2] lower for +10 in the mean of yaw (p = 0.012)."),
    ("fnmr", effect("glasses", "levels", "sun, not none"),
     "FNMR was 2.1 points [1, 3.2] higher for glasses sun, not none (p < 0.001)."),
    ("fnmr", effect("glasses", "different", "different, not the same"),
     "FNMR was 2.1 points [1, 3.2] higher where glasses differs (p < 0.001)."),
    ("fmr", effect("age", "difference", size=(0.8, 0.7, 0.92)),
     "FMR was 0.8 times [0.7, 0.92] as high for +10 in the difference of age (p < 0.001)."),
    ("fnmr", effect(size=(0.021, -0.01, 0.052), p=0.2),
     "Effects on FNMR cannot be told from none: for +10 in the mean of yaw (+2.1 points "
     "[-1, 5.2])."),
    ("fmr", effect("quality", "lower", size=(1.1, 0.9, 1.3), p=0.05),
     "Effects on FMR cannot be told from none: for +10 in the lower of quality (1.1 times "
     "[0.9, 1.3])."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "row", "said"), EFFECTS)
def test_the_sentence_of_each_effect(error, row, said):
    assert effect_sentences(pd.DataFrame([row]), error, 0.05) == [said]


def test_effects_that_are_told_come_before_those_that_are_not():
    rows = [effect("age", size=(0.0, -0.1, 0.1), p=1.0), effect()]
    assert effect_sentences(pd.DataFrame(rows), "fnmr", 0.05) == [
        "FNMR was 2.1 points [1, 3.2] higher for +10 in the mean of yaw (p < 0.001).",
        "Other effects on FNMR cannot be told from none: for +10 in the mean of age (+0 points "
        "[-10, 10]).",
    ]


GROUPS = [
    ("fnmr", group("a", (0.03, 0.01, 0.05), (0.024, 0.005, 0.043)),
     "FNMR for a was 3 points [1, 5] above the other groups (p < 0.001); with yaw and light taken "
     "into account 2.4 points [0.5, 4.3] above (p < 0.001): 80 % [60, 95] of the difference "
     "remains."),
    ("fnmr", group("a", (0.03, 0.01, 0.05), (0.027, 0.005, 0.05), remains=(0.9, 0.6, 1.2)),
     "FNMR for a was 3 points [1, 5] above the other groups (p < 0.001); with yaw and light taken "
     "into account 2.7 points [0.5, 5] above (p < 0.001): 90 % [60, 120] of the difference "
     "remains, which cannot be told from all of it."),
    ("fnmr", group("a", (-0.03, -0.05, -0.01), (0.02, 0.01, 0.03), remains=(-0.7, -2, -0.3)),
     "FNMR for a was 3 points [1, 5] below the other groups (p < 0.001); with yaw and light taken "
     "into account 2 points [1, 3] above (p < 0.001): the difference turns round."),
    ("fnmr", group("a", (0.03, 0.01, 0.05), (0.004, -0.01, 0.02), (0.002, 0.7), (0.13, -0.3, 0.6)),
     "FNMR for a was 3 points [1, 5] above the other groups (p = 0.002); with yaw and light taken "
     "into account (+0.4 points [-1, 2]), which cannot be told from none: 13 % [-30, 60] of the "
     "difference remains."),
    ("fmr", group("a", (3.0, 2.0, 4.5), (1.5, 1.1, 2.0)),
     "FMR for a was 3 times [2, 4.5] that of the other groups (p < 0.001); with yaw and light "
     "taken into account 1.5 times [1.1, 2] (p < 0.001): 80 % [60, 95] of the logarithm of the "
     "ratio remains."),
    ("fmr", group("a", (3.0, 2.0, 4.5), (1.2, 0.8, 1.8), (0.001, 0.4), (0.17, -0.2, 0.6)),
     "FMR for a was 3 times [2, 4.5] that of the other groups (p = 0.001); with yaw and light "
     "taken into account (1.2 times [0.8, 1.8]), which cannot be told from none: 17 % [-20, 60] "
     "of the logarithm of the ratio remains."),
    ("fnmr", group("a", (0.01, -0.01, 0.03), (0.024, 0.005, 0.043), (0.4, 0.004), NONE),
     "FNMR for a could not be told from that of the other groups (+1 points [-1, 3]); with yaw "
     "and light taken into account it was 2.4 points [0.5, 4.3] above the other groups "
     "(p = 0.004)."),
    ("fmr", group("a", (1.2, 0.8, 1.8), (1.5, 1.1, 2.0), (0.4, 0.004), NONE),
     "FMR for a could not be told from that of the other groups (1.2 times [0.8, 1.8]); with yaw "
     "and light taken into account it was 1.5 times [1.1, 2] that of the other groups "
     "(p = 0.004)."),
    ("fnmr", group("a", (0.01, -0.01, 0.03), (0.005, -0.02, 0.03), (0.4, 0.8), NONE),
     "FNMR cannot be told from that of the other groups, neither as it is nor with yaw and light "
     "taken into account, for a (+1 [-1, 3] and +0.5 [-2, 3] points)."),
    ("fmr", group("a", (1.2, 0.8, 1.8), (1.1, 0.7, 1.6), (0.4, 0.8), NONE),
     "FMR cannot be told from that of the other groups, neither as it is nor with yaw and light "
     "taken into account, for a (1.2 [0.8, 1.8] and 1.1 [0.7, 1.6] times)."),
    ("fnmr",
     group("a", NONE, NONE, (np.nan,) * 2, NONE, "no false non-matches: no model, left out"),
     "a, of 1,000 comparisons of 50 subjects: no false non-matches: no model, left out."),
]  # fmt: skip


@pytest.mark.parametrize(("error", "row", "said"), GROUPS)
def test_the_sentence_of_each_group(error, row, said):
    names = ["yaw", "light"]
    assert group_sentences(pd.DataFrame([row]), error, 0.05, names, "the other groups") == [said]


def test_two_groups_differ_by_one_figure_which_is_told_once():
    rows = [
        group("b", (-0.03, -0.05, -0.01), (-0.024, -0.043, -0.005)),
        group("a", (0.03, 0.01, 0.05), (0.024, 0.005, 0.043)),
    ]
    (said,) = group_sentences(pd.DataFrame(rows), "fnmr", 0.05, ["yaw"], "the other groups")
    assert said.startswith("FNMR for a was 3 points [1, 5] above b (p < 0.001); with yaw taken")


def test_tables_show_what_the_sentences_say():
    rows = [effect(), effect("glasses", "levels", "sun, not none", p=0.2)]
    groups = [group("a", (0.03, 0.01, 0.05), (0.024, 0.005, 0.043)), GROUPS[-1][1]]
    effects, shown = readable(pd.DataFrame(rows), pd.DataFrame(groups), "fnmr")
    assert effects.to_numpy().tolist() == [
        ["mean +10", "+2.1 [1, 3.2]", "< 0.001"],
        ["sun, not none", "+2.1 [1, 3.2]", "0.2"],
    ]
    assert shown.iloc[0].tolist() == [
        *("30", "3", "3", "+3 [1, 5]", "< 0.001", "+2.4 [0.5, 4.3]", "< 0.001"),
        *("80 % [60, 95]", ""),
    ]
    assert shown.iloc[1].tolist()[2:] == [
        *("–", "–", "–", "–", "–", "–", "no false non-matches: no model, left out"),
    ]


def test_the_summary_says_what_it_rests_on_and_what_it_does_not_say(people):
    found = fl.explain_errors(people, 0.45, "race", ["yaw"], "fnmr")
    said = found.summary()
    facts = found.facts
    assert said.startswith(
        f"At threshold 0.4500, {facts['errors']} of 1,200 mated comparisons within the groups "
        "compared were false non-matches; they tell as much as "
        f"{facts['effective_errors']:.0f} independent ones, from 120 subjects. FNMR was "
    )
    assert said.endswith(
        " What a covariate goes along with need not be its doing, and one that is not named here "
        "may be behind it."
    )
    assert "<caption>Groups, before and after</caption>" in found._repr_html_()


# ---- the family


def test_sentences_intervals_and_p_values_agree(people):
    for error, threshold in (("fnmr", 0.45), ("fmr", 0.25)):
        found = fl.explain_errors(people, threshold, "race", ["yaw", "light"], error)
        none = 1 if error == "fmr" else 0
        outside = (found.effects["joint_low"] > none) | (found.effects["joint_high"] < none)
        assert (outside == (found.effects["p_corrected"] < 0.05)).all()
        assert (found.effects["p_corrected"] >= found.effects["p"]).all()
        for when in ("before", "after"):
            low, high = (found.groups[f"{when}_joint_{end}"] for end in ("low", "high"))
            apart = (low > none) | (high < none)
            assert (apart == (found.groups[f"{when}_p"] < 0.05)).all()


def test_what_does_not_vary_is_not_told_from_anything():
    still = Figure(0.5, 0.0, 3.0)
    assert (still.p, still.interval(0.05)) == (1.0, (-np.inf, np.inf))


def test_an_end_beyond_all_numbers_is_no_end():
    said = effect_sentences(pd.DataFrame([effect(size=(2.0, 0.0, np.inf), p=0.9)]), "fmr", 0.05)
    assert said == [
        "Effects on FMR cannot be told from none: for +10 in the mean of yaw (2 times [0, no end])."
    ]


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
