"""Errors of trained analysers by group, and published ones clearly apart from them.

In: an `AnalyserStudy`; a table such as `fl.gender_shades()`. Out: a Picture.
"""

import pandas as pd
from matplotlib.axes import Axes

from facelab.analysis.arms import AnalyserStudy
from facelab.arguments import as_annotated
from facelab.figures.lettering import entry
from facelab.figures.style import FAINT, INK, Picture, arm_look, colours, drawn, group_rows, panels


@as_annotated
@drawn
def analyser_errors(study: AnalyserStudy, published: pd.DataFrame | None = None) -> Picture:
    """Whom does each arm's analyser err about? A row a group, a mark an arm, a tick a training.

    The last arm is filled. What is published stands in a panel of its own, in grey: other faces,
    other analysers.

    Parameters
    ----------
    study
        What `fl.compare_analysers` returns.
    published
        `group vendor error low high`, such as `fl.gender_shades()`; None draws none.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> people = pd.DataFrame({"subject": range(40), "gender": ["male", "female"] * 20})
    >>> people["tone"] = ["dark"] * 20 + ["light"] * 20
    >>> one = people.assign(predicted_gender="male")
    >>> other = people.assign(predicted_gender=people["gender"])
    >>> study = fl.compare_analysers({"a": [one], "b": [other]}, "a", "gender", "tone")
    >>> print(fl.plots.analyser_errors(study).alt)
    Error by group: a dark 50%, light 50%; b dark 0%, light 0%
    """
    table = study.table[study.table["group"] != "all"]
    groups = list(dict.fromkeys(table["group"]))
    names = list(dict.fromkeys(table["arm"]))
    picture, axes = panels(1 if published is None else 2, 2.2 + 0.17 * len(groups) * len(names))
    hues, scale = colours(groups), 100 if study.unit else 1
    for place, arm in enumerate(names):
        look, shift = arm_look(place, len(names)), _shift(place, len(names))
        for row, group in enumerate(groups):
            at = row + shift
            one = table[(table["arm"] == arm) & (table["group"] == group)].iloc[0]
            seeds = study.by_seed.query("arm == @arm and group == @group")["error"]
            colour = hues[group]
            axes[0].plot([one["low"] * scale, one["high"] * scale], [at, at], color=colour, lw=2)
            axes[0].plot(seeds * scale, [at] * len(seeds), "|", ms=8, color=colour, alpha=0.7)
            face = colour if place == len(names) - 1 else "white"
            axes[0].plot(
                one["error"] * scale,
                at,
                look["marker"],
                ms=7,
                color=colour,
                mfc=face,
                mew=1.6,
                clip_on=False,
            )
        axes[0].plot([], [], look["marker"], ms=7, color=INK, mfc=look["face"], label=entry(arm))
    unit = "error, %" if study.unit else "mean absolute error"
    _finish(axes[0], groups, f"Here: {study.what}", unit)
    if published is not None:
        _published(axes[1], groups, published)
    percent = "%" if study.unit else ""
    picture.alt = "Error by group: " + "; ".join(
        f"{arm} " + ", ".join(
            f"{row['group']} {row['error'] * scale:.3g}{percent}" for _, row in part.iterrows()
        )
        for arm, part in table.groupby("arm", sort=False)
    )  # fmt: skip
    if published is not None:
        picture.alt += "; published for other faces and analysers: " + ", ".join(
            f"{row['vendor']} {row['group']} {100 * row['error']:.3g}%"
            for _, row in published[published["group"].isin(groups)].iterrows()
        )
    return picture


def _published(axes: Axes, groups: list[str], published: pd.DataFrame) -> None:
    vendors = list(dict.fromkeys(published["vendor"]))
    for place, vendor in enumerate(vendors):
        part = published[published["vendor"] == vendor].set_index("group")
        for row, group in enumerate(groups):
            if group not in part.index:
                continue
            at, one = row + _shift(place, len(vendors)), part.loc[group]
            axes.plot([100 * one["low"], 100 * one["high"]], [at, at], color=FAINT, lw=1.4)
            axes.plot(
                100 * one["error"],
                at,
                "sD^v"[place % 4],
                ms=6,
                color=FAINT,
                mfc="white",
                clip_on=False,
            )
        axes.plot([], [], "sD^v"[place % 4], ms=6, color=FAINT, mfc="white", label=entry(vendor))
    _finish(axes, groups, "Published, of other faces and analysers", "error, %")
    axes.set_facecolor("#F7F7F7")


def _finish(axes: Axes, groups: list[str], title: str, unit: str) -> None:
    axes.set_title(title, size=10.5)
    axes.set_xlabel(unit)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color="#EEEEEE", lw=0.8)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, fontsize=9)
    group_rows(axes, groups, divide=False)


def _shift(place: int, count: int) -> float:
    """Where of a row the mark of an arm stands."""
    return (place - (count - 1) / 2) * 0.7 / max(count, 2)
