"""Figures of many systems: each system and group drawn where its numbers are, told in words."""

import warnings

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits import nist
from facelab.figures import plots

GROUPS = ["white/male", "black/female", "other/male"]


@pytest.fixture
def rates():
    """Three systems; one group has the same rate everywhere."""
    values = {
        "one": [0.001, 0.02, 0.01],
        "two": [0.001, 0.03, 0.0012],
        "three": [0.001, 0.004, 0.004],
    }
    frame = pd.DataFrame(values, index=GROUPS).rename_axis("group").reset_index()
    return frame.melt("group", var_name="algorithm", value_name="fmr")


def test_every_system_is_a_dot_and_every_median_a_line(rates):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.rates_of_systems(rates)
    (axes,) = figure.axes
    dots = np.concatenate([np.asarray(c.get_offsets())[:, 0] for c in axes.collections])
    np.testing.assert_allclose(np.sort(dots), np.sort(rates["fmr"]))
    assert [line.get_xdata()[0] for line in axes.lines[:3]] == [0.001, 0.02, 0.004]
    assert [text.get_text() for text in axes.get_yticklabels()] == GROUPS
    assert "black/female 0.02" in figure.alt
    low, high = axes.get_xlim()
    assert low <= 0.001
    assert high >= 0.03
    assert figure.png().startswith(b"\x89PNG")


def test_the_agreement_of_every_two_rankings_is_written_once(rates):
    values = nist.disparity_indices(rates)
    figure = plots.rank_agreement(values)
    shown = [text.get_text() for text in figure.axes[0].texts]
    tau = values.corr("kendall").to_numpy()
    assert shown == [f"{tau[a, b]:.2f}" for a in range(1, 7) for b in range(a)]
    assert figure.alt.count(";") == 7 * 6 / 2 - 1


def test_places_by_two_indices_and_names(rates):
    places = nist.index_ranks(nist.disparity_indices(rates))
    figure = plots.rank_changes(places, [("max_min_ratio", "gini")] * 2, {1: ["two"]})
    first, second = figure.axes
    np.testing.assert_array_equal(
        np.asarray(first.collections[0].get_offsets()), places[["max_min_ratio", "gini"]]
    )
    assert [text.get_text() for text in first.texts] == []
    assert [text.get_text() for text in second.texts] == ["two"]
    assert "two: 3 by max / min, 3 by Gini" in figure.alt


def test_a_profile_shows_each_group_at_its_rate_and_both_places(rates):
    moves = {"max_min_ratio": [1, 2.5], "max_abs_deviation": [2, 1], "moved": [-1, 1.5]}
    table = pd.DataFrame(moves, index=["three", "one"])
    figure = plots.rate_profiles(rates, table, "max_min_ratio", "max_abs_deviation")
    (axes,) = figure.axes
    wide = rates.pivot(index="algorithm", columns="group", values="fmr")
    for line, group in zip([x for x in axes.lines if x.get_ls() == "None"], GROUPS, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), wide.loc[table.index, group])
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["three   1 → 2", "one   2.5 → 1"]
    assert "black/female 0.02" in figure.alt
    with pytest.raises(fl.BadInput, match="rank every system alike"):
        plots.rate_profiles(rates, table.iloc[:0], "max_min_ratio", "gini")
