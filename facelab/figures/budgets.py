"""What calls to a service buy, in a picture.

In: what `plan_study` found. Out: a Picture.
"""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from facelab.arguments import as_annotated
from facelab.figures.style import FAINT, INK, WIDTH, Picture, drawn

_LOOKS = {
    "random": ("#888888", "o", "-", "random pairs"),
    "planned": ("#0072B2", "s", "-", "planned pairs"),
    "best": ("#D55E00", "", ":", "the limit"),
    "all pairs": (INK, "", "--", "all pairs"),
}
_ACROSS = 3  # panels in a row


@as_annotated
@drawn
def plan_study(table: pd.DataFrame) -> Picture:
    """How narrow does a number of calls make a group's interval? A panel a group.

    Widths are multiples of the FMR. What all pairs would leave open is due to the people of the
    test, and no call takes it away. `table` is what `plan_study` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=2, dim=64)
    >>> table = fl.plan_study(people, people, "group", 0.01, budgets=[500, 1000], audits=1)
    >>> figure = fl.plots.plan_study(table)
    >>> print(figure.alt)
    Calls that random pairs need for one planned call: ...
    """
    groups = list(dict.fromkeys(table["group"]))
    columns = min(_ACROSS, len(groups))
    rows = -(-len(groups) // columns)
    picture = Picture(figsize=(WIDTH, 0.9 + 2.7 * rows), layout="constrained")
    grid = picture.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    relative = table.assign(width=table["width"] / table["fmr"])
    for axes, group in zip(grid.flat, groups, strict=False):
        part = relative[relative["group"] == group]
        for way, (colour, marker, dash, _) in _LOOKS.items():
            one = part[part["way"] == way]
            if way == "all pairs":
                axes.axhline(one["width"].iloc[0], color=colour, ls=dash, lw=1)
            else:
                axes.plot(one["calls"], one["width"], color=colour, ls=dash, marker=marker, ms=5)
        axes.set_title(f"{group}: FMR {100 * part['fmr'].iloc[0]:.2g}%", size=10.5)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(color=FAINT, lw=0.4, alpha=0.4)
    for axes in grid.flat[len(groups) :]:
        axes.set_axis_off()
    widths = relative["width"]
    calls = table.loc[table["way"] == "planned", "calls"]
    steps = [one * 10**power for power in range(7) for one in (1, 3)]
    grid[0, 0].set_xticks([t for t in steps if calls.min() <= t <= calls.max()])
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if 0.7 * widths.min() < t]
    grid[0, 0].set_yticks([t for t in ticks if t < 1.4 * widths.max()])
    picture.supxlabel("calls for pairs of the group", fontsize=11)
    picture.supylabel("width of the 95% interval / FMR", fontsize=11)
    handles = [
        Line2D([], [], color=colour, marker=marker, ls=dash, ms=5, label=label)
        for colour, marker, dash, label in _LOOKS.values()
    ]
    picture.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    times = table[table["way"] == "planned"].groupby("group", sort=False)["times"]
    told = (f"{group} {np.min(one):.2g} to {np.max(one):.2g}" for group, one in times if len(one))
    picture.alt = "Calls that random pairs need for one planned call: " + "; ".join(told)
    return picture
