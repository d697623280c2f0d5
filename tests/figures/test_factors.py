"""Factors on log axes: an axis ends where values do, and an interval without an end is an arrow."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from facelab.figures.style import factor_interval, factor_limits, factor_ticks


@pytest.mark.parametrize(
    ("values", "ends", "low", "high"),
    [
        ([2, 4], [1.5, 8], 1, 8),  # no change is always on the axis
        ([2], [0, np.inf], 1, 2),
        ([0.1], [1e-8, 0.8], 0.001, 1),  # a hundredth of the least value
        ([5], [2, 1e6], 1, 500),
        ([np.nan], [np.nan, np.nan], 1, 1),
    ],
)
def test_an_axis_ends_with_its_intervals_or_a_hundredfold_beyond_its_values(
    values, ends, low, high
):
    assert factor_limits(values, ends) == pytest.approx((low / 1.3, high * 1.3))


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(
    ("low", "high", "arrows"),
    [(2, 5, ""), (2, np.inf, "^>"), (0, 5, "v<"), (0, np.inf, "v<^>"), (np.nan, np.nan, "")],
)
def test_an_interval_without_an_end_goes_to_the_edge_with_an_arrow(low, high, arrows, upright):
    axes = Figure().subplots()
    (axes.set_yscale if upright else axes.set_xscale)("log")
    (axes.set_ylim if upright else axes.set_xlim)(1, 10)
    factor_interval(axes, 3, low, high, upright=upright, color="black")
    line, *marks = axes.lines
    along = line.get_ydata() if upright else line.get_xdata()
    np.testing.assert_array_equal(along, [max(low, 1), min(high, 10)])
    kinds = "v^" if upright else "<>"
    assert [mark.get_marker() for mark in marks] == [kind for kind in kinds if kind in arrows]


@pytest.mark.parametrize("limits", [(0.9, 1.2), (0.3, 6), (1e-5, 1e5), (0.02, 300)])
def test_ticks_are_few_and_on_the_axis(limits):
    axes = Figure().subplots()
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    factor_ticks(axes)
    ticks = axes.get_xticks()
    assert 1 <= len(ticks) <= 5
    assert all(limits[0] <= tick <= limits[1] for tick in ticks)
