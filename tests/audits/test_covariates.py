"""Explained errors: what a covariate becomes, what is refused, what is left out and told."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from turned_heads import photos, with_column

import facelab as fl
from facelab.audits import explanations
from facelab.audits import sampled as sampling
from facelab.audits.covariates import check_apart, covariates_of, round_step, terms_of
from facelab.rates.regression import Change


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


def test_a_difference_of_its_own_remains_and_one_of_the_pose_does_not():
    pose = fl.explain_errors(photos(200), 0.45, "race", ["yaw"], "fnmr")
    row = pose.groups.set_index("group").loc["asian"]
    assert row["before_p"] < 0.001 and row["after_p"] > 0.05
    assert row["remains_low"] < 0 < row["remains_high"] < 0.5
    own = fl.explain_errors(photos(200, yaws=(20, 20), own=0.1), 0.45, "race", ["yaw"], "fnmr")
    row = own.groups.set_index("group").loc["asian"]
    assert row["after_p"] < 0.001
    assert 0.5 < row["remains_low"] < 1 < row["remains_high"]


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
        ([["yaw"]], "covariates must be text or a list of text or names with values"),
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


def test_errors_of_too_few_people_are_refused():
    said = refused(photos(40), 0.44, covariates=["yaw", "light"])
    assert said == (
        "80 false non-matches of 21 subjects are too few for 7 coefficients, which need 35 "
        "subjects who err: name fewer covariates, or join groups"
    )


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
