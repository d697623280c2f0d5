"""Figures of many systems side by side: their error rates, and how indices rank them.

In: tidy rates of many systems, tables of `facelab.audits.nist`. Out: matplotlib figures.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from facelab.arguments import as_annotated
from facelab.audits.nist import INDEX_NAMES
from facelab.errors import BadInput, check_columns
from facelab.figures.lettering import entry
from facelab.figures.style import (
    FAINT,
    INK,
    Picture,
    colours,
    drawn,
    group_rows,
    panels,
    percent_ticks,
)

_MARKERS = "osD^vP*X"


@as_annotated
@drawn
def rates_of_systems(rates: pd.DataFrame, error: str = "fmr") -> Picture:
    """How far apart are the groups, over all systems? A dot a system, a row a group.

    `rates` is tidy, with `group` and `error`; the median of each group is marked and said.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x"] * 3 + ["y"] * 3, "group": ["a", "b", "c"] * 2})
    >>> rates["fmr"] = [0.001, 0.001, 0.02, 0.004, 0.03, 0.03]
    >>> figure = fl.plots.rates_of_systems(rates)
    >>> print(figure.alt)
    FMR of each system by group. Medians: a 0.0025; b 0.015; c 0.025.
    """
    groups = list(dict.fromkeys(rates["group"]))
    shown = rates[rates[error] > 0]
    figure, (axes,) = panels(1, 1.2 + 0.75 * len(groups))
    axes.set_xscale("log")
    low, high = shown[error].min(), shown[error].max()
    axes.set_xlim(10 ** np.floor(np.log10(low) + 1e-9), 10 ** np.ceil(np.log10(high) - 1e-9))
    sns.stripplot(
        shown, x=error, y="group", hue="group", order=groups, palette=colours(groups), ax=axes,
        size=3.6, alpha=0.45, jitter=0.27, legend=False,
    )  # fmt: skip
    medians = rates.groupby("group")[error].median()
    for row, group in enumerate(groups):
        axes.plot([medians[group]] * 2, [row - 0.38, row + 0.38], color=INK, lw=2)
        axes.annotate(
            f"median {100 * medians[group]:.3g}%", (medians[group], row - 0.38), (0, 2),
            textcoords="offset points", ha="center", size=9.5, color=INK,
        )  # fmt: skip
    percent_ticks(axes)
    group_rows(axes, groups)
    axes.set_ylim(len(groups) - 0.45, -0.7)
    axes.set(xlabel=f"{error.upper()} (log), a dot an algorithm", ylabel="")
    _across(axes)
    told = "; ".join(f"{group} {medians[group]:.2g}" for group in groups)
    figure.alt = f"{error.upper()} of each system by group. Medians: {told}."
    return figure


@as_annotated
@drawn
def rank_agreement(values: pd.DataFrame) -> Picture:
    """Which indices rank the systems alike? Kendall's tau of every two; 1 is the same order.

    `values` is what `facelab.audits.nist.disparity_indices` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x"] * 3 + ["y"] * 3, "group": ["a", "b", "c"] * 2})
    >>> rates["fmr"] = [0.001, 0.001, 0.02, 0.004, 0.03, 0.03]
    >>> figure = fl.plots.rank_agreement(fl.disparity_indices(rates))
    >>> print(figure.alt)
    Kendall's tau between the rankings: max − min and max / min -1.00; ...
    """
    tau = values.corr("kendall")
    names = [_plain(name) for name in tau]
    lower = np.tril(np.ones(tau.shape, dtype=bool), -1)
    figure, (axes,) = panels(1, 1.3 + 0.52 * len(tau))
    sns.heatmap(
        tau.iloc[1:, :-1], mask=~lower[1:, :-1], ax=axes, cmap="cividis", vmin=0, vmax=1,
        annot=True, fmt=".2f", linewidths=2, linecolor="white", cbar_kws={"label": "Kendall's tau"},
        xticklabels=names[:-1], yticklabels=names[1:],
    )  # fmt: skip
    figure.faces = "none"
    axes.tick_params(length=0)
    axes.tick_params(axis="x", rotation=30)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    figure.alt = "Kendall's tau between the rankings: " + "; ".join(
        f"{names[a]} and {names[b]} {tau.iloc[a, b]:.2f}" for a, b in np.argwhere(lower)
    )
    return figure


@as_annotated
@drawn
def rank_changes(
    places: pd.DataFrame, pairs: Sequence[tuple[str, str]], named: Mapping[int, Sequence[str]]
) -> Picture:
    """Who stands where by one index and by another? A dot a system; on the line both agree.

    Parameters
    ----------
    places
        What `facelab.audits.nist.index_ranks` returns.
    pairs
        Two indices a panel.
    named
        The systems to name, by the number of the panel.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x"] * 3 + ["y"] * 3, "group": ["a", "b", "c"] * 2})
    >>> rates["fmr"] = [0.001, 0.001, 0.02, 0.004, 0.03, 0.03]
    >>> places = fl.index_ranks(fl.disparity_indices(rates))
    >>> pairs = [("max_min_ratio", "max_min_difference")]
    >>> figure = fl.plots.rank_changes(places, pairs, {0: ["x"]})
    >>> print(figure.alt)
    Places of the systems by two indices. x: 2 by max / min, 1 by max − min.
    """
    figure, columns = panels(len(pairs), 4.6)
    for panel, (axes, (first, second)) in enumerate(zip(columns, pairs, strict=True)):
        chosen = list(named.get(panel, ()))
        axes.plot([0, len(places)], [0, len(places)], color=FAINT, lw=1, zorder=0)
        sns.scatterplot(places, x=first, y=second, ax=axes, s=16, color="#8A8A8A", lw=0, alpha=0.7)
        sns.scatterplot(places.loc[chosen], x=first, y=second, ax=axes, s=34, color="#332288", lw=0)
        for name in chosen:
            x, y = places.loc[name, first], places.loc[name, second]
            right = y < x < 0.6 * len(places)
            axes.annotate(
                name, (x, y), (5 if right else -5, -13 if y < x else -3), size=9, color=INK,
                textcoords="offset points", ha="left" if right else "right",
            )  # fmt: skip
        axes.set_xlabel(f"place by {_plain(first)} (1 = least unequal)")
        axes.set_ylabel(f"place by {_plain(second)}")
        axes.set_aspect("equal")
        sns.despine(ax=axes)
    figure.alt = "Places of the systems by two indices. " + " ".join(
        f"{name}: {places.loc[name, first]:g} by {_plain(first)}, "
        f"{places.loc[name, second]:g} by {_plain(second)}."
        for panel, (first, second) in enumerate(pairs)
        for name in named.get(panel, ())
    )
    return figure


@as_annotated
@drawn
def rate_profiles(
    rates: pd.DataFrame,
    table: pd.DataFrame,
    first: str,
    second: str,
    by: str = "algorithm",
    error: str = "fmr",
) -> Picture:
    """What in their rates moves these systems? A row a system, a dot a group.

    `table` is what `facelab.audits.nist.index_disagreements` returns; those above the line
    stand worse by the first index, those below by the second.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x"] * 3 + ["y"] * 3, "group": ["a", "b", "c"] * 2})
    >>> rates["fmr"] = [0.001, 0.001, 0.02, 0.004, 0.03, 0.03]
    >>> indices = ("max_min_ratio", "max_min_difference")
    >>> moved = fl.index_disagreements(rates, *indices, count=1)
    >>> figure = fl.plots.rate_profiles(rates, moved, *indices)
    >>> print(figure.alt)
    FMR by group of the systems whose places differ most: x a 0.001, b 0.001, c 0.02; y a ...
    """
    check_columns("the rates", rates.columns, [by, "group", error])
    if table.empty:
        raise BadInput("the two indices rank every system alike: there is nothing to draw")
    check_columns("the changes", table.columns, [first, second])
    groups = list(dict.fromkeys(rates["group"]))
    wide = rates.pivot(index=by, columns="group", values=error).loc[table.index]
    figure, (axes,) = panels(1, 1.7 + 0.33 * len(table))
    axes.set_xscale("log")
    axes.hlines(
        range(len(wide)), wide.min(axis=1), wide.max(axis=1), color="#CFCFCF", lw=3, zorder=0
    )
    for lane, ((group, colour), marker) in enumerate(
        zip(colours(groups).items(), cycle(_MARKERS), strict=False)
    ):
        # A little apart, so that groups with one rate are both seen.
        rows = np.arange(len(wide)) + 0.12 * (lane - (len(groups) - 1) / 2)
        axes.plot(wide[group], rows, ls="", marker=marker, ms=7, mec="white", mew=0.7,
                  color=colour, label=entry(group))  # fmt: skip
    names = [f"{name}   {row[first]:g} → {row[second]:g}" for name, row in table.iterrows()]
    axes.set_yticks(range(len(table)), names)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    ends = int((table["moved"] > 0).sum())
    if 0 < ends < len(table):
        axes.axhline(ends - 0.5, color="#888888", lw=0.8)
    percent_ticks(axes)
    axes.set_xlabel(f"{error.upper()} (log)")
    axes.set_title(f"Places by {_plain(first)} → by {_plain(second)}")
    _across(axes)
    sns.despine(ax=axes, left=True)
    figure.legend(loc="outside lower center", ncols=4)
    figure.alt = f"{error.upper()} by group of the systems whose places differ most: " + "; ".join(
        f"{name} " + ", ".join(f"{group} {wide.loc[name, group]:.2g}" for group in groups)
        for name in table.index
    )
    return figure


def _plain(metric: str) -> str:
    return INDEX_NAMES.get(metric, metric.replace("_", " "))


def _across(axes: Axes) -> None:
    axes.grid(axis="x", which="major", color="#E6E6E6", lw=0.8)
    axes.set_axisbelow(True)
