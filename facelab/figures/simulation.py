"""How often intervals hold the truth, in a picture.

In: what `coverage` counted. Out: a Picture.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from facelab.arguments import as_annotated
from facelab.errors import check_option
from facelab.figures.style import ALERT, FAINT, INK, WIDTH, Picture, drawn
from facelab.rates.simulation import BAND, FEWEST_ERRORS, GOOD


@as_annotated
@drawn
def coverage(
    table: pd.DataFrame, methods: Sequence[str] = ("facelab", "plug-in", "independent")
) -> Picture:
    """Do intervals hold the true rate as often as they say? A panel an error and rate.

    The band is 93 to 97%; bars are Monte Carlo intervals; hollow marks stand where a test expects
    fewer than 10 errors. `table` is what `coverage` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage(subjects=[20, 50], rates=[0.01], trials=20, jobs=1)
    >>> figure = fl.plots.coverage(table)
    >>> print(figure.alt)
    Coverage of 95% intervals where 10 errors or more are expected: ...
    """
    looks = {
        "facelab": (INK, "o", "facelab"),
        "plug-in": ("#888888", "v", "plug-in (arXiv 2306.01198)"),
        "independent": ("#EE7733", "D", "independent comparisons"),
    }
    rates = sorted(table["rate"].unique(), reverse=True)
    sizes = sorted(table["subjects"].unique())
    picture = Picture(figsize=(WIDTH, 5.6), layout="constrained")
    grid = picture.subplots(2, len(rates), sharex=True, sharey=True, squeeze=False)
    ticks = [0.1, 0.5, 0.8, 0.9, 0.95, 0.99]
    for row, error in zip(grid, ("fmr", "fnmr"), strict=True):
        for axes, rate in zip(row, rates, strict=True):
            axes.axhspan(*BAND, color="#DDDDDD", lw=0)
            axes.axhline(0.95, color=FAINT, lw=0.8)
            for place, method in enumerate(methods):
                check_option("methods", method, looks)
                colour, marker, _ = looks[method]
                part = table.query("error == @error and rate == @rate and method == @method")
                part = part.sort_values("subjects")
                x = [
                    sizes.index(n) + 0.16 * (place - (len(methods) - 1) / 2) for n in part.subjects
                ]
                middle, low, high = (
                    part[name].clip(0.025, 0.998).to_numpy()
                    for name in ("coverage", "coverage_low", "coverage_high")
                )
                axes.vlines(x, low, high, color=colour, lw=1.4)
                axes.plot(x, middle, color=colour, lw=0.8, alpha=0.5)
                for one, (at, value) in zip(
                    part.itertuples(), zip(x, middle, strict=True), strict=True
                ):
                    face = colour if one.expected_errors >= FEWEST_ERRORS else "white"
                    axes.plot(at, value, marker, ms=5.5, color=colour, mfc=face, clip_on=False)
            axes.set_title(f"{error.upper()} {100 * rate:g}%")
    first = grid[0, 0]
    first.set_yscale("logit")
    first.set_ylim(0.02, 0.998)
    for axes in grid[:, 0]:
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_major_formatter(FixedFormatter([f"{100 * tick:g}%" for tick in ticks]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    for axes in grid[1]:
        axes.set_xticks(range(len(sizes)), [str(n) for n in sizes])
        axes.set_xlim(-0.5, len(sizes) - 0.5)
    picture.supxlabel(
        f"subjects in the group (hollow: fewer than {FEWEST_ERRORS} errors expected)", fontsize=11
    )
    picture.supylabel("intervals that hold the true rate", fontsize=11)
    handles = [
        Line2D([], [], color=looks[name][0], marker=looks[name][1], ms=5.5, label=looks[name][2])
        for name in methods
    ]
    picture.legend(handles=handles, loc="outside upper center", ncols=len(methods))
    told = table[table["expected_errors"] >= FEWEST_ERRORS].groupby("method")["coverage"]
    picture.alt = "Coverage of 95% intervals where 10 errors or more are expected: " + "; ".join(
        f"{looks[name][2]} {told.get_group(name).min():.0%} to {told.get_group(name).max():.0%}"
        for name in methods
        if name in told.groups
    )
    return picture


_LEAST = 0.8  # coverage below is drawn at the edge
_ERRORS = {"fmr": ("o", "FMR"), "fnmr": ("s", "FNMR"), "both": ("D", "both")}
_ERRORS |= {"fpir": ("^", "FPIR"), "fnir": ("v", "FNIR")}
_TRUTH = {True: ("#0072B2", "nothing to find"), False: ("#E69F00", "a difference is there")}


@as_annotated
@drawn
def coverage_by_quantity(table: pd.DataFrame) -> Picture:
    """How often is what is printed true? A row a quantity, a mark a setting and error.

    The band is 93 to 98%; red marks lie below it by more than chance, with their Monte Carlo
    intervals. `table` is what `coverage_by_quantity` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage_by_quantity([10], runs=2, parts=["groups"], jobs=1)
    >>> figure = fl.plots.coverage_by_quantity(table)
    >>> print(figure.alt)
    How often what is printed is true, by quantity. Rate ... to 100%; Rate by subject ...
    """
    rows = table[["part", "quantity"]].drop_duplicates()
    sides = [rows[rows["part"] == "groups"], rows[rows["part"] != "groups"]]
    sides = [side for side in sides if len(side)]
    height = 1.9 + 0.23 * max(map(len, sides))
    picture = Picture(figsize=(WIDTH * 1.25, height), layout="constrained")
    grid = picture.subplots(1, len(sides), squeeze=False)[0]
    told = []
    for axes, side in zip(grid, sides, strict=True):
        axes.axvspan(*GOOD, color="#DDDDDD", lw=0)
        axes.axvline(0.95, color=FAINT, lw=0.8)
        for place, (part, quantity) in enumerate(side.itertuples(index=False)):
            cells = table[(table["part"] == part) & (table["quantity"] == quantity)]
            _marks(axes, place, cells)
            low, high = cells["coverage"].min(), cells["coverage"].max()
            told.append(f"{quantity[0].upper()}{quantity[1:]} {low:.0%} to {high:.0%}")
        axes.set_yticks(range(len(side)), side["quantity"], fontsize=9)
        axes.set_ylim(len(side) - 0.4, -0.6)
        axes.set_xlim(_LEAST - 0.005, 1.005)
        axes.xaxis.set_major_locator(FixedLocator([0.8, 0.85, 0.9, 0.95, 1]))
        axes.xaxis.set_major_formatter(FixedFormatter(["80% or less", "85%", "90%", "95%", "100%"]))
        axes.tick_params(axis="y", length=0)
        for edge in ("top", "right", "left"):
            axes.spines[edge].set_visible(False)
    picture.supxlabel("simulated tests in which what is printed is true", fontsize=11)
    there = [error for error in _ERRORS if (table["error"] == error).any()]
    handles = [
        Line2D([], [], ls="", marker=_ERRORS[error][0], color=INK, ms=5, label=_ERRORS[error][1])
        for error in there
    ]
    handles += [
        Line2D([], [], ls="", marker="o", color=colour, ms=6, label=words)
        for equal, (colour, words) in _TRUTH.items()
        if ((table["truth"] == "equal") == equal).any()
    ]
    handles.append(Line2D([], [], color=ALERT, marker="o", ms=6, label="below, beyond chance"))
    picture.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 8))
    picture.alt = "How often what is printed is true, by quantity. " + "; ".join(told) + "."
    return picture


def _marks(axes: Axes, place: int, cells: pd.DataFrame) -> None:
    """One quantity's settings, side by side within their row."""
    shifts = np.linspace(-0.3, 0.3, len(cells)) if len(cells) > 1 else [0.0]
    for shift, cell in zip(shifts, cells.itertuples(), strict=True):
        at, share = place + shift, max(cell.coverage, _LEAST)
        colour, _ = _TRUTH[cell.truth == "equal"]
        if cell.coverage_high < GOOD[0]:
            colour = ALERT
            ends = max(cell.coverage_low, _LEAST), max(cell.coverage_high, _LEAST)
            axes.hlines(at, *ends, color=colour, lw=1.2)
        marker, _ = _ERRORS[cell.error]
        axes.plot(share, at, marker, ms=3.6, color=colour, mew=0, clip_on=False)
