"""Figures of explained errors: what each covariate does, and what is left of the groups.

In: an `fl.Explanation`. Out: matplotlib figures, reached as `plots.explained_errors`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind
from facelab.figures.style import FAINT, INK, Picture, colours, drawn, group_rows, mark, wrapped

_TIMES = {"before": ("as they are", "o", -0.17), "after": ("photos made alike", "D", 0.17)}

_REACH = (1e-3, 1e3)  # of ratios


@as_annotated
@drawn
def explained_errors(explanation: Any) -> Picture:
    """What goes along with errors, and how much of the groups' differences is left?

    Parameters
    ----------
    explanation
        What `fl.explain_errors` returns.

    Notes
    -----
    Intervals hold together for the whole figure. A filled mark's interval leaves out no difference.
    Ratios of FMR are drawn on a logarithmic axis, differences of FNMR in percentage points.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> people.table["blur"] = [row % 4 for row in range(400)]
    >>> found = fl.explain_errors(people, 0.55, "group", ["blur"], error="fnmr")
    >>> print(fl.plots.explained_errors(found).alt)
    What goes along with FNMR, with intervals that hold together: ...
    """
    for name in ("effects", "groups", "error"):
        if not hasattr(explanation, name):
            raise BadInput(
                f"plots.explained_errors draws what fl.explain_errors returns, not "
                f"{a_kind(explanation)}"
            )
    ratio = explanation.error == "fmr"
    effects, groups = explanation.effects, explanation.groups
    groups = groups[groups["before"].notna()]
    rows = max(len(effects), 1.6 * len(groups))
    figure = Picture(figsize=(9.0, 2.0 + 0.34 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    _effects(left, effects, ratio)
    _groups(right, groups, ratio)
    name = explanation.error.upper()
    unit = f"{name}, times (log)" if ratio else f"{name}, points"
    against = explanation.reference or "the other groups"
    for axes, title, label in (
        (left, "What goes along with errors", unit),
        (right, "What is left between groups", f"{unit}, against {against}"),
    ):
        axes.set_title(title)
        axes.set_xlabel(wrapped([label], 44)[0], size=10)
        axes.tick_params(axis="x", labelsize=9.5)
        _scale(axes, ratio)
        mark(axes, 1 if ratio else 0, "no difference", colour=FAINT, dash="-")
    handles = [
        Line2D([], [], color=INK, marker=marker, ls="-", lw=1.4, ms=5, label=words)
        for words, marker, _ in _TIMES.values()
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=2)
    figure.alt = _words(explanation)
    return figure


def _effects(axes: Axes, effects: pd.DataFrame, ratio: bool) -> None:
    quoted = "ratio" if ratio else "difference"
    times = 1 if ratio else 100
    for place, row in enumerate(effects.to_dict("records")):
        ends = (times * row["joint_low"], times * row["joint_high"])
        _dot(axes, place, times * row[quoted], ends, INK, "o", ratio)
    group_rows(axes, _names(effects), divide=False)
    axes.tick_params(axis="y", labelsize=9.5)


def _names(effects: pd.DataFrame) -> list[str]:
    numbers = effects["change"].str.startswith("+")
    words = effects["covariate"].str.replace("_", " ") + ": "
    words += np.where(numbers, effects["rule"] + " " + effects["change"], effects["change"])
    return words.str.replace("different, not the same", "differs").tolist()


def _groups(axes: Axes, groups: pd.DataFrame, ratio: bool) -> None:
    times = 1 if ratio else 100
    names = groups["group"].tolist()
    shades = colours(names)
    for place, row in enumerate(groups.to_dict("records")):
        for when, (_, marker, offset) in _TIMES.items():
            ends = tuple(times * row[f"{when}_joint_{end}"] for end in ("low", "high"))
            _dot(axes, place + offset, times * row[when], ends, shades[row["group"]], marker, ratio)
    group_rows(axes, names, divide=False)


def _dot(
    axes: Axes, y: float, value: float, ends: Sequence[float], colour: str, marker: str, ratio: bool
) -> None:
    """A mark and its interval; filled where the interval leaves out no difference."""
    none = 1 if ratio else 0
    sure = ends[0] > none or ends[1] < none
    if ratio:  # what reaches further is drawn to there
        ends = np.clip(ends, *_REACH)
    axes.plot(ends, [y, y], color=colour, lw=1.5, solid_capstyle="butt", alpha=0.85)
    face = colour if sure else "white"
    axes.plot(value, y, marker=marker, ms=5.5, mew=1.2, color=colour, mfc=face)


def _scale(axes: Axes, ratio: bool) -> None:
    if not ratio:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+.4g}" if x else "0"))
    else:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        steps = (1, 2, 5) if high / low < 300 else (1,)
        wide = high / low > 5
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=9) if wide else MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.4g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    sns.despine(ax=axes, left=True)


def _words(explanation: Any) -> str:
    """The findings, for those who cannot see the figure."""
    name = explanation.error.upper()
    found = " ".join(explanation.findings())
    return f"What goes along with {name}, with intervals that hold together: {found}"
