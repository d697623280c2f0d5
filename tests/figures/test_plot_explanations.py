"""The figure of explained errors: every effect and group with its interval, clear ones filled."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.figures import plots


@pytest.fixture(scope="module", params=["fnmr", "fmr"])
def explanation(request):
    people, _ = fl.crowd(100, images=4, dim=64)
    people.table["blur"] = np.arange(400) % 4
    people.table["light"] = pd.Series(np.arange(400) % 3).map({0: "day", 1: "lamp", 2: "flash"})
    threshold = 0.55 if request.param == "fnmr" else 0.25
    return fl.explain_errors(people, threshold, "group", ["blur", "light"], request.param)


def dots(axes):
    return [line for line in axes.lines if line.get_marker() in ("o", "D")]


def test_every_figure_is_drawn_where_it_is_and_filled_where_it_is_told(explanation):
    figure = plots.explained_errors(explanation)
    effects, groups = explanation.effects, explanation.groups
    ratio = explanation.error == "fmr"
    times, none = (1, 1) if ratio else (100, 0)
    left, right = figure.axes
    quoted = effects["ratio" if ratio else "difference"]
    assert [dot.get_xdata()[0] for dot in dots(left)] == pytest.approx((times * quoted).tolist())
    both = groups[["before", "after"]].to_numpy().ravel()
    assert [dot.get_xdata()[0] for dot in dots(right)] == pytest.approx((times * both).tolist())
    intervals = [line for line in right.lines if line.get_linewidth() == 1.5]
    intervals = [line for line in intervals if line not in dots(right)]
    for dot, line in zip(dots(right), intervals, strict=True):
        low, high = line.get_xdata()
        assert (dot.get_markerfacecolor() == "white") == (low <= none <= high)
    assert right.get_xscale() == ("log" if ratio else "linear")
    for axes in figure.axes:
        assert all(np.isfinite(line.get_xdata()).all() for line in axes.lines)


def test_its_words_are_the_findings(explanation):
    figure = plots.explained_errors(explanation)
    assert figure.alt.endswith(" ".join(explanation.findings()))
    shown = {text.get_text() for text in figure.findobj(mpl.text.Text)}
    assert {"blur: difference +1", "light: differs", "as they are", "photos made alike"} <= shown
    assert figure.faces == "none"


def test_it_draws_explanations_alone():
    with pytest.raises(fl.BadInput, match="explain_errors returns, not a DataFrame"):
        plots.explained_errors(pd.DataFrame())
