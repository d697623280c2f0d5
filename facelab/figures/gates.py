"""Whom a gate of quality refuses, and what that does to errors of face analysis, in pictures.

In: what `fl.quality_gates` and `fl.error_against_discard` return. Out: one Picture a call.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from facelab.analysis.gates import QualityGates
from facelab.arguments import as_annotated
from facelab.figures.lettering import entry
from facelab.figures.style import FAINT, Picture, colours, drawn, group_rows, panels
from facelab.rates.tables import percent


@as_annotated
@drawn
def refused_by_component(gates: QualityGates) -> Picture:
    """Which component of quality refuses whom?

    A row a component, the one with the widest gap between groups on top; a dot a group, with its
    interval; the tick is everybody. Right, faces that could not be assessed at all.

    Parameters
    ----------
    gates
        What `fl.quality_gates` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> faces = pd.DataFrame({"tone": ["dark", "light"] * 50, "Sharpness": range(100)})
    >>> faces["UnderExposurePrevention"] = [10, 90] * 50
    >>> print(fl.plots.refused_by_component(fl.quality_gates(faces, "tone", cut=50)).alt)
    Share refused by each component. UnderExposurePrevention: all 50%, dark 100%, light 0%.
    Sharpness: all 50%, dark 50%, light 50%.
    """
    rates = gates.rates
    groups = [group for group in dict.fromkeys(rates["group"]) if group != "all"]
    palette = colours(groups)
    inside = rates[rates["group"] != "all"].groupby("component", sort=False)["refused_rate"]
    order = (inside.max() - inside.min()).sort_values(ascending=False, kind="stable").index
    figure, columns = panels(2, 1.2 + len(order) * (0.26 + 0.1 * len(groups)))
    names = (("refused_rate", "Refused"), ("unassessed_rate", "Not assessed"))
    step = 0.7 / max(len(groups), 2)
    for axes, (name, title) in zip(columns, names, strict=True):
        for place, component in enumerate(order):
            part = rates[rates["component"] == component].set_index("group")
            every = 100 * part.loc["all", name]
            axes.plot([every, every], [place - 0.4, place + 0.4], color=FAINT, lw=1.4)
            for lane, group in enumerate(groups):
                row = part.loc[group]
                y = place + (lane - (len(groups) - 1) / 2) * step
                ends = [100 * row[f"{name}_low"], 100 * row[f"{name}_high"]]
                axes.plot(ends, [y, y], color=palette[group], lw=1.5, alpha=0.75)
                face = palette[group] if row[name] else "white"
                axes.plot(100 * row[name], y, "o", ms=4.5, color=palette[group], mfc=face)
        group_rows(axes, list(order), labelled=axes is columns[0], divide=False)
        axes.set_xlim(left=-1)
        axes.set(title=title, xlabel="% of faces assessed" if name[0] == "r" else "% of faces")
        axes.grid(axis="x", color="#E6E6E6", lw=0.8)
        axes.set_axisbelow(True)
    handles = [
        Line2D([], [], color=palette[group], marker="o", ms=4.5, label=entry(group))
        for group in groups
    ]
    handles.append(Line2D([], [], color=FAINT, ls="", marker="|", ms=12, label="everybody"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))
    figure.alt = "Share refused by each component. " + " ".join(
        f"{component}: "
        + ", ".join(
            f"{row.group} {percent(row.refused_rate)}"
            for row in rates[rates["component"] == component].itertuples()
            if np.isfinite(row.refused_rate)
        )
        + "."
        for component in order
    )
    return figure


@as_annotated
@drawn
def discard_curves(table: pd.DataFrame) -> Picture:
    """What does refusing the poorest photos do to errors, and who is refused?

    Parameters
    ----------
    table
        What `fl.error_against_discard` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gender": ["female", "male"] * 50, "quality": range(100)})
    >>> frame["predicted_gender"] = ["female", "female"] * 10 + ["female", "male"] * 40
    >>> curve = fl.error_against_discard(frame, "gender", "gender", discarded=[0, 0.2])
    >>> print(fl.plots.discard_curves(curve).alt)
    With 20% of all faces refused: all error 10% to 0%, 20% refused; female error 0% to 0%, 20%
    refused; male error 20% to 0%, 20% refused.
    """
    name, scale, unit = ("error", 100, "%") if "error" in table else ("mae", 1, "")
    groups = list(dict.fromkeys(table["group"]))
    palette = {**colours(groups), "all": FAINT}
    figure, (left, right) = panels(2, 3.8)
    for group in groups:
        own = table[table["group"] == group]
        x = 100 * own["discarded"]
        look = {"color": palette[group], "lw": 2.6 if group == "all" else 1.6, "marker": "."}
        left.fill_between(
            x, scale * own[f"{name}_low"], scale * own[f"{name}_high"], color=palette[group],
            alpha=0.13, lw=0,
        )  # fmt: skip
        left.plot(x, scale * own[name], label=entry(group), **look)
        right.plot(x, 100 * own["refused_rate"], **look)
    left.set_ylim(bottom=0, top=1.25 * scale * max(table[name].max(), 0.01))
    left.set_title("Error of those kept" if unit else "Mean error of those kept")
    left.set_ylabel("% of processed" if unit else "years")
    right.set_title("Who is refused")
    right.set_ylabel("% of the group")
    for axes in (left, right):
        axes.set_xlabel("refused of all faces, %")
        axes.grid(color="#EEEEEE", lw=0.8)
        sns.despine(ax=axes)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))
    most = table["discarded"].max()
    ends = {
        at: table[table["discarded"] == at].set_index("group")
        for at in (table["discarded"].min(), most)
    }
    first, last = ends.values() if len(ends) == 2 else [*ends.values()] * 2
    words = percent if unit else "{:.3g} years".format
    told = []
    for group in groups:
        before, after = (_known(one.loc[group, name], words) for one in (first, last))
        lost = _known(last.loc[group, "refused_rate"], percent)
        told.append(f"{group} error {before} to {after}, {lost} refused")
    figure.alt = f"With {percent(most)} of all faces refused: {'; '.join(told)}."
    return figure


def _known(value: float, words: Callable[[float], str]) -> str:
    return words(value) if np.isfinite(value) else "unknown"
