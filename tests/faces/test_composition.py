"""Who is in a set: counts against a plain groupby, effective groups against values by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

import facelab as fl
from facelab.faces.groups import effective_number


def test_effective_numbers_by_hand():
    assert effective_number([5, 5, 5, 5]) == pytest.approx(4)
    assert effective_number([9, 0, 0]) == 1 and effective_number([9], order=2) == 1
    # Shares 1/2, 1/4, 1/4: entropy 1.5 ln 2, so 2^1.5; Simpson 3/8, so 8/3.
    assert effective_number([2, 1, 1]) == pytest.approx(2**1.5)
    assert effective_number([2, 1, 1], order=2) == pytest.approx(8 / 3)
    assert effective_number([2, 1, 1, 0], order=0) == 3
    assert effective_number([]) == 0
    with pytest.raises(fl.BadInput, match="at least 0"):
        effective_number([1, -1])
    with pytest.raises(fl.BadInput, match="at least 0"):
        effective_number([1, np.nan])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_effective_numbers_fall_with_the_order_and_agree_with_scipy(counts):
    numbers = [effective_number(counts, order) for order in (0, 1, 2, 5)]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(numbers))
    assert numbers[-1] >= 1 - 1e-9 and numbers[0] == np.count_nonzero(counts)
    assert numbers[1] == pytest.approx(np.exp(entropy(counts)))
    assert effective_number(np.array(counts) * 3, 2) == pytest.approx(numbers[2])


@pytest.fixture
def uneven():
    """Random labels, some missing, that are not constant within subjects."""
    rng = np.random.default_rng(7)
    subject = [f"s{number}" for number in rng.integers(0, 40, 300)]
    table = pd.DataFrame({"subject": subject, "image": [str(n) for n in range(300)]})
    table["race"] = rng.choice(["a", "b", "c", None], 300, p=[0.6, 0.2, 0.1, 0.1])
    table["gender"] = rng.choice(["f", "m"], 300)
    table["age"] = rng.normal(size=300)
    table["born"] = table["subject"].map(
        {f"s{n}": float(n) if n % 3 else np.nan for n in range(40)}
    )
    table["place"] = table["subject"].map(
        {f"s{n}": "xyz"[n % 3] if n % 4 else None for n in range(40)}
    )
    return fl.FaceSet.from_arrays(table, np.zeros((300, 16, 16, 3), np.uint8))


@pytest.mark.parametrize("by", ["race", ["race", "gender"]])
def test_composition_is_that_of_a_plain_groupby(uneven, by):
    labels = fl.group_labels(uneven.table, by).astype(object).fillna("(no label)")
    plain = uneven.table.groupby(labels)["subject"].agg(["nunique", "size"])
    counts = uneven.composition(by)
    assert counts["subjects"].to_dict() == plain["nunique"].to_dict()
    assert counts["images"].to_dict() == plain["size"].to_dict()
    assert counts["image_share"].sum() == pytest.approx(1)
    assert counts["subject_share"].to_dict() == (plain["nunique"] / 40).to_dict()


def test_effective_groups_leave_out_and_count_the_unlabelled(uneven):
    found = uneven.effective_groups("race")
    counts = uneven.composition("race").drop(index="(no label)")
    assert found.loc["images", "groups"] == 3
    assert found.loc["images", "exp_entropy"] == pytest.approx(np.exp(entropy(counts["images"])))
    shares = counts["subjects"] / counts["subjects"].sum()
    assert found.loc["subjects", "inverse_simpson"] == pytest.approx(1 / (shares**2).sum())
    assert found.loc["images", "unlabelled"] == uneven.table["race"].isna().sum()


def test_images_per_subject_are_those_of_a_plain_count(uneven):
    spread = uneven.images_per_subject("race")
    counts = uneven.table["subject"].value_counts()
    assert spread.loc["all", ["subjects", "images", "most"]].tolist() == [40, 300, counts.max()]
    here = uneven.table[uneven.table["race"] == "c"]["subject"].value_counts()
    row = spread.loc["c"]
    assert row["subjects"] == len(here) and row["single"] == (here == 1).sum()
    assert row["mean"] == pytest.approx(here.mean()) and row["median"] == here.median()
    assert row["quarter"] == pytest.approx(here.quantile(0.25))
    assert list(spread.index) == ["all", "a", "b", "c", "(no label)"]
    assert list(uneven.images_per_subject().index) == ["all"]


def test_subjects_hold_what_is_constant_within_them_missing_or_not(uneven):
    subjects = uneven.subjects
    assert set(subjects.columns) == {"images", "born", "place"}
    for name in ("born", "place"):
        plain = uneven.table.groupby("subject")[name].first()
        pd.testing.assert_series_equal(
            subjects[name].astype(object), plain.astype(object), check_names=False
        )
    assert subjects["images"].to_dict() == uneven.table["subject"].value_counts().to_dict()
    assert list(subjects.index) == sorted(subjects.index)


def test_a_row_asked_for_twice_is_named(uneven):
    with pytest.raises(fl.BadInput, match="image '7' is asked for 2 times"):
        uneven[[3, 7, 7]]
    assert list(uneven[[-1, 0]].table["image"]) == ["299", "0"]


def test_text_that_is_added_later_is_a_label_in_every_selection(uneven):
    uneven.table["shade"] = ["dark", "light"] * 150
    assert isinstance(uneven[:10].table["shade"].dtype, pd.CategoricalDtype)
    assert "shade" not in uneven.subjects
