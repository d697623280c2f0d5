"""Figures of twin effects: every change in its row, every interval seen, clear ones filled."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits.findings import twin_finding
from facelab.figures import plots
from facelab.figures.style import colours
from facelab.rates.tables import readable_effects

CHANGES = [("melanin", "0.2"), ("melanin", "0.8"), ("age", "70"), ("glasses", "sun")]
QUANTITIES = {"mated_score": 0.05, "fnmr": 0.1, "non_mated_score": 0.02, "fmr": 1e-3}


def effects(sign=1.0, changes=CHANGES, groups=("all",)):
    """The first change has no clear effect, the others have."""
    rows = []
    for place, (factor, level) in enumerate(changes):
        for group in groups:
            for quantity, size in QUANTITIES.items():
                value = sign * size * place * (2 if group == "women" else 1)
                row = {"factor": factor, "level": level, "group": group, "quantity": quantity}
                row |= {"difference": value, "low": value - size / 2, "high": value + size / 2}
                row |= {"a": value, "a_low": value - size, "a_high": value + size}
                row |= {"b": 0.0, "b_low": -size, "b_high": size, "note": ""}
                rows.append(row)
    return pd.DataFrame(rows)


def words(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def dots(axes):
    return [line for line in axes.lines if line.get_marker() in tuple("osD^v")]


def test_every_change_has_a_dot_and_clear_ones_are_filled():
    figure = plots.twin_effects(effects())
    assert len(figure.axes) == 3
    for axes, times in zip(figure.axes, (1, 100, 100), strict=True):
        seen = dots(axes)
        quantity = {1: "mated_score"}.get(times, "fnmr" if axes is figure.axes[1] else "fmr")
        shown = [times * QUANTITIES[quantity] * place for place in range(4)]
        assert [float(dot.get_xdata()[0]) for dot in seen] == pytest.approx(shown)
        assert [dot.get_markerfacecolor() == "white" for dot in seen] == [True] + [False] * 3
    assert {"melanin   0.2", "0.8", "age   70", "glasses   sun"} <= set(words(figure))
    assert "glasses sun +0.3" in figure.alt


def test_every_interval_lies_within_its_axis():
    for sign in (1, -1):
        figure = plots.twin_effects(effects(sign), tuple(QUANTITIES))
        for axes in figure.axes:
            low, high = axes.get_xlim()
            drawn = [line for line in axes.lines if line.get_linewidth() == 1.5]
            ends = np.concatenate([line.get_xdata() for line in drawn if line not in dots(axes)])
            assert len(ends) == 2 * 4
            assert low <= ends.min() and ends.max() <= high


def test_embedders_and_seeds_have_lanes_of_their_own():
    arms = {("skewed", 0): effects(), ("skewed", 1): effects(), ("balanced", 0): effects(-1)}
    figure = plots.twin_effects(arms)
    seen = dots(figure.axes[0])
    assert len(seen) == 3 * 4
    assert len({float(dot.get_ydata()[0]) for dot in seen}) == 3 * 4
    assert len({dot.get_color() for dot in seen}) == 2
    assert {"skewed", "balanced"} <= set(words(figure))


def test_an_embedder_that_lacks_a_change_leaves_its_place_empty():
    figure = plots.twin_effects({"a": effects(), "b": effects(changes=CHANGES[:2])})
    assert len(dots(figure.axes[0])) == 6


def test_the_effects_of_one_group_are_shown_alone():
    both = effects(groups=("all", "women"))
    axes = plots.twin_effects(both, ["mated_score"], group="women").axes[0]
    assert float(dots(axes)[-1].get_xdata()[0]) == pytest.approx(0.3)
    with pytest.raises(fl.BadInput, match="no effects of that group"):
        plots.twin_effects(both, group="men")
    with pytest.raises(fl.BadInput, match="no quantity 'eer'"):
        plots.twin_effects(both, ["eer"])


def test_groups_have_their_own_colours():
    both = effects(groups=("all", "african", "asian"))
    figure = plots.twin_effects_by_group(both, factors=["melanin", "age"])
    seen = dots(figure.axes[0])
    assert len(seen) == 2 * 3
    palette = colours(["african", "asian"])
    assert {dot.get_color() for dot in seen} == set(palette.values())
    assert {"african", "asian"} <= set(words(figure))


def test_no_effect_at_all_can_still_be_drawn():
    still = effects().assign(difference=0.0, low=0.0, high=0.0)
    assert len(dots(plots.twin_effects(still).axes[2])) == 4


def test_contrasts_say_whose_effect_is_taken_from_whose():
    figure = plots.twin_contrasts(effects(), ("skewed", "balanced"))
    assert "effect with balanced less effect with skewed" in words(figure)


def test_effects_are_read_in_points_with_their_intervals():
    shown = readable_effects(effects(), ["mated_score", "fnmr", "fmr"])
    assert list(shown.columns) == ["mated score", "FNMR, points", "FMR, points"]
    assert shown.loc["glasses sun", "FNMR, points"] == "+30.0 [+25.0, +35.0]"
    assert shown.loc["melanin 0.8", "FMR, points"] == "+0.10 [+0.05, +0.15]"
    assert shown.loc["melanin 0.2", "mated score"] == "+0.000 [-0.025, +0.025]"
    both = readable_effects(effects(groups=("all", "women")))
    assert both.loc["age 70, women", "FNMR, points"] == "+40.0 [+35.0, +45.0]"


def test_the_finding_takes_each_factor_at_its_largest_effect():
    text = twin_finding(effects(), ("skewed", "balanced"), "fnmr", ["melanin"])
    assert text.splitlines() == [
        "- **melanin 0.8**: FNMR +10.0 [+0.00, +20.0] with skewed and +0.00 [-10.0, +10.0] with "
        "balanced; a difference of +10.0 [+5.0, +15.0] points."
    ]
    still = effects(changes=CHANGES[:1])
    assert "compatible with none" in twin_finding(still, ("skewed", "balanced"))
