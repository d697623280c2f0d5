"""Failures to enrol: counted by group, with intervals over subjects, files' faults left out."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

import facelab as fl
from facelab.rates.acquisition import enrolment, presented_images


def images(shares=(0.02, 0.1), subjects=60, each=5, seed=0):
    """Groups a, b, ...: subjects differ in how often they fail."""
    rng, rows = np.random.default_rng(seed), []
    for group, share in zip("abc", shares, strict=False):
        for number in range(subjects):
            own = rng.beta(share * 4, (1 - share) * 4) if share else 0
            rows += [(f"{group}{number}", group, bool(rng.random() < own)) for _ in range(each)]
    return pd.DataFrame(rows, columns=["subject", "group", "failed"])


def row(found, metric):
    return found.disparity.set_index("metric").loc[metric]


def test_failures_are_counted_by_group():
    table = images()
    found = enrolment(table, "group")
    counted = table.groupby("group")["failed"].agg(["size", "sum", "mean"])
    rates = found.rates.set_index("group")
    assert rates.index.tolist() == ["all", "a", "b"]
    assert rates.loc["all", "attempts"] == len(table) == rates["attempts"].iloc[1:].sum()
    for group, own in counted.iterrows():
        assert rates.loc[group, "attempts"] == own["size"]
        assert rates.loc[group, "failures_to_enrol"] == own["sum"]
        assert rates.loc[group, "fte"] == pytest.approx(own["mean"])
        assert rates.loc[group, "fte_low"] < own["mean"] < rates.loc[group, "fte_high"]
    assert row(found, "max_min_ratio")["value"] == pytest.approx(
        counted["mean"].max() / counted["mean"].min()
    )
    assert (found.disparity["error"] == "fte").all()


def test_intervals_are_wilsons_over_subjects_few_or_many():
    table = images()
    rates = enrolment(table, "group").rates.set_index("group")
    own = table[table["group"] == "b"].groupby("subject")["failed"].agg(["size", "sum"])
    n, p = own["size"].sum(), own["sum"].sum() / own["size"].sum()
    shares = own["size"] / n
    squares = (((own["sum"] - p * own["size"]) / (1 - shares)) ** 2).to_numpy()
    people = 1 / (shares**2).sum()
    size = p * (1 - p) / (squares.sum() / n**2)
    assert size < n, "failures of one subject go together"
    freedom = 1 / ((squares**2).sum() / squares.sum() ** 2 - 1 / people)
    z = student.ppf(0.975, min(freedom, people - 1))
    centre = (p + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(p * (1 - p) / size + z**2 / (4 * size**2))
    assert rates.loc["b", "fte_low"] == pytest.approx(centre - half, rel=1e-5)
    assert rates.loc["b", "fte_high"] == pytest.approx(centre + half, rel=1e-5)


def test_the_difference_has_the_interval_that_fresh_subjects_would_give():
    found = enrolment(images(subjects=200), "group", replicates=2000)
    difference = row(found, "max_min_difference")
    assert difference["low"] < difference["value"] < difference["high"]
    again = []
    for seed in range(200):
        means = images(subjects=200, seed=seed).groupby("group")["failed"].mean()
        again.append(means["b"] - means["a"])
    width = 2 * 1.96 * np.std(again)
    assert difference["high"] - difference["low"] == pytest.approx(width, rel=0.2)


def test_a_group_without_failures_is_bounded_and_one_without_label_counts_in_all():
    table = images((0.0, 0.2))
    table.loc[:4, "group"] = None
    found = enrolment(table, "group")
    rates = found.rates.set_index("group")
    assert rates.loc["all", "attempts"] == rates.loc[["a", "b"], "attempts"].sum() + 5
    assert rates.loc["a", "fte"] == 0 < rates.loc["a", "fte_high"]
    assert rates.loc["a", "note"].endswith("independent (rule of three 0.051)")
    ratio = row(found, "max_min_ratio")
    worth = rates.loc["a", "effective_attempts"]
    assert 59 < worth < 295, "people who fail do so more than once, as those of b show"
    assert ratio["value"] == pytest.approx(rates.loc["b", "fte"] / (3 / worth))
    assert ratio["note"].startswith("lower bound: a has no failures to enrol")
    assert ratio["high"] == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="failed"), "lack the column failed; they have: "),
        (lambda t: t.iloc[:0], "there is no image"),
        (lambda t: t.assign(failed="no"), "the column 'failed' is .*: it must be true or false"),
        (lambda t: t.assign(subject=[None, *t["subject"][1:]]), "row 0 names no subject"),
        (lambda t: t.rename(columns={"group": "race"}), "there is no column 'group' to group by"),
    ],
)
def test_bad_tables_are_named(change, message):
    with pytest.raises(fl.BadInput, match=message):
        enrolment(change(images()), "group")


def test_a_prepared_set_tells_failures_from_broken_files(tmp_path, faces):
    faces.save(tmp_path / "set")
    with pytest.raises(FileNotFoundError, match=r"has no rejects\.parquet: prepare the photos"):
        presented_images(tmp_path / "set")
    with pytest.raises(FileNotFoundError, match=r"has no faces\.parquet"):
        presented_images(tmp_path)
    reasons = ["no face was found in it", "it is empty (zero bytes)", "its face lies outside it"]
    reasons.append("it has the same bytes as no face/1")
    rejects = faces.table.iloc[:4].assign(image=list("wxyz"))
    rejects.insert(2, "reason", reasons)
    rejects.to_parquet(tmp_path / "set" / "rejects.parquet")
    fl.seal(tmp_path / "set")
    found = presented_images(tmp_path / "set")
    assert found["failed"].sum() == 2
    assert found.loc[found["failed"], "image"].tolist() == ["w", "y"]
    assert len(found) == len(faces) + 2
    rates = enrolment(found, ["race", "gender"]).rates
    assert rates["failures_to_enrol"].tolist()[0] == 2
    assert len(rates) == 7


def test_a_prepared_set_of_which_nothing_was_rejected_has_no_failures(tmp_path, faces):
    faces.save(tmp_path / "set")
    nothing = faces.table.iloc[:0].assign(reason=[])
    nothing.to_parquet(tmp_path / "set" / "rejects.parquet")
    fl.seal(tmp_path / "set")
    rates = enrolment(presented_images(tmp_path / "set"), "gender").rates
    assert rates["failures_to_enrol"].tolist() == [0, 0, 0] and rates["fte_high"].gt(0).all()


def test_a_person_counts_once_whatever_their_ids_type():
    presented = pd.DataFrame({"subject": [1, 1.0, "1", " 2"], "failed": [True, False, False, True]})
    presented["group"] = "a"
    assert enrolment(presented, "group").rates["subjects"].tolist() == [2, 2]
    nullable = presented.astype({"failed": "boolean"})
    assert enrolment(nullable, "group").rates["failures_to_enrol"].tolist() == [2, 2]
