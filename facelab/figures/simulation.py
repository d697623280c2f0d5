"""How often intervals hold the truth, in a picture.

In: what `coverage` counted. Out: a Picture.
"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from facelab.figures.style import FAINT, INK, WIDTH, Picture, drawn
from facelab.rates.planning import FEWEST_ERRORS
from facelab.rates.simulation import BAND


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
