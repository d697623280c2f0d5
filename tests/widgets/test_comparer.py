"""The audit comparer shows what `compare_audits` says, and fills no dot that was picked."""

import re

import pytest
from pandas.testing import assert_frame_equal

import facelab as fl
from facelab import widgets
from facelab.widgets.comparer import AuditComparer


@pytest.fixture(scope="module")
def arms():
    people, _ = fl.crowd(60, images=3, dim=64)
    half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)
    return {"whole": fl.audit(people, "group", 0.01), "half": fl.audit(half, "group", 0.01)}


def test_the_comparer_fills_a_dot_only_where_all_groups_are_allowed_for(arms):
    """A group whose own interval leaves out 1 was picked among others: that is not enough."""
    found = fl.compare_audits({"one": arms["whole"], "other": arms["whole"]})
    ends = ["ratio", "ratio_low", "ratio_high", "family_low", "family_high"]
    groups = found.table["quantity"].str.startswith("fmr:")
    found.table.loc[groups, ends] = [2.0, 1.2, 3.4, 0.9, 4.5]
    dial = AuditComparer(found)
    dots = re.findall(r'<circle[^>]*fill="([^"]*)"', dial.figure.value)
    count = groups.sum()
    assert dots[-count:] == ["none"] * count
    assert "2 times [0.9, 4.5], which cannot be told from no change" in dial.value["sentence"]
    found.table.loc[groups, "family_low"] = 1.1
    dots = re.findall(r'<circle[^>]*fill="([^"]*)"', AuditComparer(found).figure.value)
    assert "none" not in dots[-count:]


def test_the_comparer_shows_what_compare_audits_says(arms):
    dial = widgets.audit_comparer(arms, replicates=100)
    expected = fl.compare_audits(arms, replicates=100)
    assert_frame_equal(dial.differences.table, expected.table)
    seen = []
    for question in ("fmr", "fnmr", "disparity"):
        dial.question.value = question
        value = dial.value
        seen += value["table"]["quantity"].tolist()
        for quantity in value["table"]["quantity"]:
            dial.quantity.value = quantity
            assert dial.value["sentence"] == expected.summary(quantity)
            assert expected.summary(quantity)[:40] in dial.figure.value
            assert not re.search(r"\b(nan|inf)\b", dial.figure.value + dial.table.value)
    assert sorted(seen) == sorted(expected.table["quantity"])
    with pytest.raises(fl.BadInput, match="two arms"):
        widgets.audit_comparer({"one": arms["whole"]})
