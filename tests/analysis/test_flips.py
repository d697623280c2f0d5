"""Twins before an analyser: flips by hand, McNemar's exact test, and people as what is drawn."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

import facelab as fl
from facelab.analysis.flips import swapped


def twins(people=60, images=1, seed=0, towards=0.3, person=0.0):
    """Photos called happy or angry; their darker twins, of which some happy ones become angry.

    With `person` above 0 it is people whose twins are seen otherwise, in all of their photos.
    """
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), images)
    names = [f"p{one}/{place}" for place, one in enumerate(who)]
    before = np.where(rng.random(len(who)) < 0.7, "happy", "angry")
    moved = rng.random(len(who)) < towards
    if person:
        moved = (rng.random(people) < person)[who]
    after = np.where(moved & (before == "happy"), "angry", before)
    base = pd.DataFrame({"subject": who, "image": names, "twin": names})
    base = base.assign(factor="base", level="as drawn", predicted_expression=before)
    base["gender"] = np.where(who % 2, "female", "male")
    dark = base.assign(
        image=[f"{name}/dark" for name in names], factor="melanin", level="0.8",
        predicted_expression=after,
    )  # fmt: skip
    return pd.concat([base, dark], ignore_index=True)


def test_flips_and_changes_are_counted_by_hand():
    table = twins()
    found = fl.prediction_flips(table)
    before, after = np.split(table["predicted_expression"].to_numpy(), 2)
    flip = found.flips.iloc[0]
    assert flip["flipped"] == (before != after).sum() and flip["pairs"] == flip["subjects"] == 60
    row = found.labels.set_index("label").loc["angry"]
    assert row["base"] == (before == "angry").mean() and row["twin"] == (after == "angry").mean()
    assert row["difference"] == pytest.approx(row["twin"] - row["base"])
    assert (row["gained"], row["lost"]) == ((before != after).sum(), 0)
    assert row["low"] < row["difference"] < row["high"]
    happy = found.labels.set_index("label").loc["happy"]
    assert happy["difference"] == pytest.approx(-row["difference"])


@pytest.mark.parametrize(("gained", "lost"), [(10, 0), (12, 5), (3, 3), (1, 0), (0, 0), (30, 41)])
def test_with_one_pair_a_person_it_is_mcnemars_exact_test(gained, lost):
    change = np.array([1] * gained + [-1] * lost + [0] * 20)
    exact = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert swapped(change) == pytest.approx(exact)


def test_with_several_pairs_it_is_every_way_to_swap_people():
    change = np.array([3, -1, 2, 2, 0, -1, 1])
    every = np.array(np.meshgrid(*[[-1, 1]] * len(change))).reshape(len(change), -1)
    sums = np.abs((every * change[:, None]).sum(axis=0))
    assert swapped(change) == pytest.approx((sums >= abs(change.sum())).mean())


def test_many_photos_of_few_people_are_no_many_people():
    """Forty photos of four people each of whom is seen otherwise: no more than four tell."""
    table = twins(people=4, images=10, person=1.0)
    row = fl.prediction_flips(table).labels.set_index("label").loc["angry"]
    assert row["p"] == pytest.approx(2 / 2**4)
    naive = binomtest(row["gained"], row["gained"] + row["lost"]).pvalue
    assert naive < 1e-4


def test_what_was_not_processed_makes_no_pair_and_is_counted():
    table = twins(20)
    table["status"] = "ok"
    table.loc[[0, 1, 25], "status"] = "no face"
    flip = fl.prediction_flips(table).flips.iloc[0]
    assert (flip["pairs"], flip["unprocessed"]) == (17, 3)


def test_groups_are_those_of_the_unchanged_photo():
    found = fl.prediction_flips(twins(), by="gender")
    assert found.flips["group"].tolist() == ["all", "female", "male"]
    assert found.flips["pairs"].tolist() == [60, 30, 30]
    each = found.labels[found.labels["label"] == "angry"].set_index("group")
    assert each.loc[["female", "male"], "gained"].sum() == each.loc["all", "gained"]


def test_where_nothing_changed_the_bound_is_that_of_people_not_seen():
    found = fl.prediction_flips(twins(towards=0.0))
    row = found.labels.iloc[0]
    assert (row["difference"], row["p"]) == (0, 1) and 0.02 < row["high"] < 0.12
    assert row["low"] == -row["high"]
    assert "cannot be told from chance" in found.summary()


def test_the_summary_claims_what_its_p_value_bears():
    found = fl.prediction_flips(twins())
    told = found.summary("angry")
    assert told.startswith("- **melanin 0.8**: ") and "angry is said more often" in told
    few = fl.prediction_flips(twins(people=6, towards=0.4))
    assert "cannot be told from chance" in few.summary("angry")
    assert "nobody is called sad" in found.summary("sad")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop(columns="twin"), "no column 'twin'"),
        (lambda t: t[t["factor"] != "base"], "these are no twins"),
        (lambda t: t[t["factor"] == "base"], "these are no twins"),
        (lambda t: t.drop(index=3), "unchanged photo 'p3/3' of a twin is not in the table"),
        (lambda t: t.assign(status="no face"), "no photo was processed together with its twin"),
    ],
)
def test_what_are_no_twins_is_said(change, match):
    with pytest.raises(fl.BadInput, match=match):
        fl.prediction_flips(change(twins()))


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 5])
def test_at_equality_p_is_small_as_seldom_as_it_says_and_intervals_hold(images):
    rng = np.random.default_rng(3)
    small, held, runs = 0, 0, 400
    for _ in range(runs):
        who = np.repeat(np.arange(60), images)
        own = rng.beta(0.6, 2.4, 60)[who]  # how often each person's photos flip at all
        said = np.where(rng.random((2, len(who))) < own, "angry", "happy")
        names = [f"p{place}" for place in range(len(who))]
        base = pd.DataFrame({"subject": who, "image": names, "twin": names})
        base = base.assign(factor="base", level="as drawn", predicted_expression=said[0])
        dark = base.assign(
            image=[f"{name}/d" for name in names], factor="melanin", level="1",
            predicted_expression=said[1],
        )  # fmt: skip
        row = fl.prediction_flips(pd.concat([base, dark])).labels.set_index("label").loc["angry"]
        small += row["p"] < 0.05
        held += row["low"] <= 0 <= row["high"]
    assert small / runs < 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert 0.92 < held / runs < 0.985


def test_the_figure_fills_what_chance_does_not_explain():
    found = {"net": fl.prediction_flips(twins()), "other": fl.prediction_flips(twins(towards=0.02))}
    figure = fl.plots.flipped_answers(found, ["angry", "happy"])
    left, angry, _ = figure.axes
    shapes = [line for line in left.lines if line.get_marker() in ("o", "s")]
    rates = [one.flips["flip_rate"].iloc[0] for one in found.values()]
    assert [line.get_xdata()[0] for line in shapes] == pytest.approx([100 * r for r in rates])
    marks = [line for line in angry.lines if line.get_marker() in ("o", "s")]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True]
    with pytest.raises(fl.BadInput, match="no analyser says 'sad'"):
        fl.plots.flipped_answers(found, ["sad"])
    with pytest.raises(fl.BadInput, match="there is no group 'x'"):
        fl.plots.flipped_answers(found, group="x")
