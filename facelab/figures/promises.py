"""What vendors promise against what is measured, and what changed between versions, in pictures.

In: tables of `fl.promised_rates` and `fl.control_chart`. Out: one Picture a call.
"""

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from facelab.arguments import as_annotated
from facelab.errors import check_columns
from facelab.figures.style import (
    ALERT,
    BAND,
    FAINT,
    INK,
    WIDTH,
    Picture,
    colours,
    drawn,
    factor_interval,
    factor_limits,
    factor_ticks,
    group_rows,
    panels,
    wrapped,
)
from facelab.rates.tables import interval, percent, times

_COLUMNS = ("promised", "threshold", "group", "fmr", "low", "high", "times", "verdict")


@as_annotated
@drawn
def promises(table: pd.DataFrame) -> Picture:
    """How many times its promise is the false match rate, for whom?

    Parameters
    ----------
    table
        Of `fl.promised_rates`: one panel a promise.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> comparisons = fl.compare_all(people, by="group")
    >>> figure = fl.plots.promises(fl.promised_rates(comparisons, {0.01: 0.3}))
    >>> print(figure.alt)
    False match rate over what is promised. 1% promised at 0.3: all 2.2 [2, 2.5] times, ...
    """
    check_columns("the promises", table.columns, _COLUMNS)
    groups, every = list(dict.fromkeys(table["group"])), list(dict.fromkeys(table["promised"]))
    palette = colours(groups)
    figure, columns = panels(len(every), 1.5 + 0.34 * len(groups))
    told = []
    for axes, stated in zip(columns, every, strict=True):
        part = table[table["promised"] == stated].set_index("group").reindex(groups)
        low, high, value = (part[name] / stated for name in ("low", "high", "fmr"))
        axes.set_xscale("log")
        axes.set_xlim(*factor_limits(value.dropna(), pd.concat([low, high]).dropna()))
        for row, group in enumerate(groups):
            if np.isnan(value[group]):
                axes.text(1, row, " unknown", va="center", size=9.5, color=INK)
                continue
            factor_interval(axes, row, low[group], high[group], color=palette[group], lw=2)
            sure = low[group] > 1 or high[group] <= 1
            look = {"ms": 6.5, "color": palette[group], "mew": 1.5}
            face = palette[group] if sure else "white"
            if value[group] > 0:
                axes.plot(value[group], row, "o", mfc=face, **look)
            else:  # no error at all: somewhere below the triangle
                axes.plot(high[group], row, "<", mfc=face, **look)
        axes.axvline(1, color=ALERT, ls="--", lw=1.2, zorder=1)
        at = part["threshold"].iloc[0]
        axes.set_title(f"FMR {percent(stated)}\nstated at {at:g}")
        axes.set_xlabel("times the promise (log)")
        axes.grid(axis="x", color="#EEEEEE", lw=0.8)
        factor_ticks(axes, "x")
        group_rows(axes, groups, labelled=axes is columns[0])
        each = [
            f"{group} {times(value[group])} {interval(low[group], high[group], times)} times"
            for group in groups
        ]
        told.append(f"{percent(stated)} promised at {at:g}: {', '.join(each)}.")
    figure.alt = f"False match rate over what is promised. {' '.join(told)}"
    return figure


@as_annotated
@drawn
def control_chart(table: pd.DataFrame) -> Picture:
    """Has the service changed since the first test, for whom?

    Parameters
    ----------
    table
        Of `fl.control_chart`: a row of panels a group, tests from left to right.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(60, images=2, dim=64)
    >>> plan = fl.plan_pairs(people, "group", fmr=0.01, budget=400, mated=0.2)
    >>> a, b = (people.vectors[plan[row]] for row in ("row_a", "row_b"))
    >>> early = plan.assign(score=(a * b).sum(axis=1), status="ok")
    >>> late = early.assign(score=early["score"] + 0.2)
    >>> chart = fl.control_chart({"2024": early, "2025": late}, threshold=0.25)
    >>> print(fl.plots.control_chart(chart).alt)
    Error rates by test, 2024 to 2025. Outside of the control limits: 2025 FMR of all, ...
    """
    check_columns("the chart", table.columns, ("test", "error", "group", "rate", "signal"))
    groups, tests = list(dict.fromkeys(table["group"])), list(dict.fromkeys(table["test"]))
    palette = colours(groups)
    figure = Picture(figsize=(WIDTH, 1.0 + 1.15 * len(groups)), layout="constrained")
    cells = figure.subplots(len(groups), 2, sharex=True, squeeze=False)
    for (error, column), (row, group) in itertools.product(
        zip(("fmr", "fnmr"), (0, 1), strict=True), enumerate(groups)
    ):
        axes = cells[row, column]
        part = table[(table["group"] == group) & (table["error"] == error)].set_index("test")
        part = part.reindex(tests)
        _limits(axes, part)
        rate, signal = 100 * part["rate"].to_numpy(), part["signal"].to_numpy(bool)
        places = np.arange(len(tests))
        axes.plot(places, rate, "-", color=palette[group], lw=1.4, zorder=2)
        for which, face in ((~signal, "white"), (signal, ALERT)):
            edge = ALERT if face == ALERT else palette[group]
            axes.plot(places[which], rate[which], "o", ms=6, mfc=face, mec=edge, mew=1.5)
        axes.set_xlim(-0.5, len(tests) - 0.5)
        axes.set_ylim(bottom=0)
        axes.set_xticks(places, wrapped(tests, 14))
        axes.spines[["top", "right"]].set_visible(False)
        if not row:
            axes.set_title(f"{error.upper()}, %")
        if not column:
            axes.set_ylabel(wrapped([group], 14)[0], rotation=0, ha="right", va="center")
    figure.supxlabel("grey: where the rate lies if nothing changed; red: outside of it", size=10)
    outside = [
        f"{row['test']} {row['error'].upper()} of {row['group']}"
        for _, row in table[table["signal"]].iterrows()
    ]
    figure.alt = (
        f"Error rates by test, {tests[0]} to {tests[-1]}. Outside of the control limits: "
        f"{', '.join(outside) or 'none'}."
    )
    return figure


def _limits(axes: Axes, part: pd.DataFrame) -> None:
    """The baseline's rate and the limits around it, test by test."""
    for place, (_, row) in enumerate(part.iterrows()):
        if place and np.isfinite(row["low"]):
            left = place - 0.35
            ends = 100 * row["low"], 100 * (row["high"] - row["low"])
            axes.add_patch(Rectangle((left, ends[0]), 0.7, ends[1], fc=BAND, ec="none", zorder=0))
    axes.axhline(100 * part["rate"].iloc[0], color=FAINT, lw=1, ls="--", zorder=1)
    highest = np.nanmax([0, *part["high"], *part["rate"]])
    axes.set_ylim(0, 115 * highest if highest else 1)
