"""Face analysis by group, in pictures: who is judged wrongly, how surely, at which age, as what.

In: an `AnalysisAudit`. Out: one Picture a call.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from facelab.analysis.by_group import AnalysisAudit
from facelab.arguments import as_annotated
from facelab.datasets.reader import AGE_GROUPS
from facelab.errors import BadInput
from facelab.figures.audits import arm_legend, has_note
from facelab.figures.lettering import entry
from facelab.figures.style import (
    FAINT,
    INK,
    WIDTH,
    Picture,
    colours,
    drawn,
    group_rows,
    mark,
    panels,
    wrapped,
)
from facelab.rates.tables import percent

_COLUMNS = 4
_COUNTED = 3  # classes up to which the cells of a confusion hold counts, too


class _Panel(NamedTuple):
    """What one panel of `analysis_errors` shows: a row a group, the value and both ends."""

    title: str
    axis: str
    values: pd.DataFrame
    scale: float
    shared: bool  # whether its axis is that of the errors


def every_figure(audit: AnalysisAudit) -> dict[str, Picture]:
    """Every figure that an audit has numbers for, by title; the main one first."""
    found = {"Errors by group": analysis_errors(audit)}
    if audit.kind == "class":
        found["What each class is taken for"] = confusions(audit)
    if len(audit.reliability):
        found["How far its confidence holds"] = reliability_curves(audit)
        found["If only sure answers were taken"] = confidence_sweep(audit)
    if len(audit.by_age):
        found["Errors by true age"] = age_errors(audit)
    return found


@as_annotated
@drawn
def analysis_errors(audit: AnalysisAudit) -> Picture:
    """Whom does the analyser not process, and whom does it judge wrongly?

    A row a group. Of classes: the error, and a panel a class with the share that is called
    something else (left out where the groups are the classes). Of numbers: how far it is off, and
    whether too high or too low.

    Parameters
    ----------
    audit
        What `fl.analysis_audit` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> said = ["male"] * 40 + ["female"] * 20 + ["male"] * 20 + [None] * 20
    >>> frame = pd.DataFrame({"gender": ["male"] * 50 + ["female"] * 50, "predicted_gender": said})
    >>> audit = fl.analysis_audit(frame.assign(tone=["dark", "light"] * 50), "gender", by="tone")
    >>> print(fl.plots.analysis_errors(audit).alt)
    Perceived gender presentation by tone, with 95% intervals. Not processed: all 20%, dark 20%,
    light 20%. Wrong: all 37.5%, dark 37.5%, light 37.5%. female called another: all 66.7%, dark
    66.7%, light 66.7%. male called another: all 20%, dark 20%, light 20%.
    """
    groups, told = audit.rates["group"].tolist(), _panels_of(audit)
    palette = colours(groups)
    figure, grid = _grid(len(told), 1.0 + 0.3 * len(groups), 0.5)
    most = max(
        (np.nanmax(one.values[["value", "high"]], initial=0.01) for one in told if one.shared),
        default=1.0,
    )
    noted = set(audit.rates.loc[has_note(audit.rates), "group"])
    names = [f"{group} *" if group in noted else group for group in groups]
    for place, (axes, one) in enumerate(zip(grid, told, strict=True)):
        for y, row in enumerate(one.values.itertuples()):
            _interval(axes, y, row, palette[row.group], one.scale)
        group_rows(axes, groups, names, labelled=place % _COLUMNS == 0)
        if one.shared:
            axes.set_xlim(-2 * most, 104 * most)
        elif one.title != "Bias":
            axes.set_xlim(left=min(0, axes.get_xlim()[0]))
        else:
            axes.axvline(0, color=FAINT, lw=1, zorder=0)
        axes.set_title(wrapped([one.title], 16)[0] if len(told) > 2 else one.title)
        axes.set_xlabel(one.axis)
        axes.grid(axis="x", color="#E6E6E6", lw=0.8)
        axes.set_axisbelow(True)
    arm_legend(figure, [], noted=bool(noted))
    figure.alt = f"{_of(audit)}, with {100 * audit.confidence:g}% intervals. " + " ".join(
        f"{one.title}: {_spoken(one)}." for one in told
    )
    return figure


def _panels_of(audit: AnalysisAudit) -> list[_Panel]:
    rates, found = audit.rates, []
    if rates["unprocessed"].any():
        found.append(
            _Panel("Not processed", "% of images", _values(rates, "unprocessed_rate"), 100, False)
        )
    if audit.kind == "number":
        unit = "years" if audit.what == "estimated age" else audit.what
        found.append(_Panel("Mean error", unit, _values(rates, "mae"), 1, False))
        found.append(_Panel("Bias", f"{unit}, + is too high", _values(rates, "bias"), 1, False))
        return found
    found.append(_Panel("Wrong", "% of processed", _values(rates, "error"), 100, True))
    inside = audit.per_class[(audit.per_class["group"] != "all") & (audit.per_class["images"] > 0)]
    if inside.groupby("group")["class"].nunique().max() > 1:
        for name in dict.fromkeys(inside["class"]):
            part = audit.per_class[audit.per_class["class"] == name].set_index("group")
            part = part.reindex(rates["group"]).reset_index()
            title = f"{name} called another"
            found.append(_Panel(title, f"% of {name}", _values(part, "fnr"), 100, True))
    return found


def _values(table: pd.DataFrame, name: str) -> pd.DataFrame:
    ends = {name: "value", f"{name}_low": "low", f"{name}_high": "high"}
    return table[["group", *ends]].rename(columns=ends)


def _interval(axes: Axes, y: float, row: tuple, colour: str, scale: float) -> None:
    """One value with its interval, hollow where no error was seen."""
    if not np.isfinite(row.value):
        words = {"color": FAINT, "size": 9, "va": "center", "style": "italic"}
        axes.text(0, y, " none", **words)
        return
    if np.isfinite(row.low):
        ends = [scale * row.low, scale * row.high]
        axes.plot(ends, [y, y], color=colour, lw=1.7, solid_capstyle="butt", alpha=0.75)
    face = colour if row.value else "white"
    axes.plot(scale * row.value, y, "o", ms=6, color=colour, mfc=face, mew=1.4, clip_on=False)


def _spoken(one: _Panel) -> str:
    words = percent if one.scale == 100 else "{:.3g}".format
    return ", ".join(
        f"{row.group} {words(row.value) if np.isfinite(row.value) else 'unknown'}"
        for row in one.values.itertuples()
    )


def _of(audit: AnalysisAudit) -> str:
    return f"{audit.what[:1].upper()}{audit.what[1:]} by {', '.join(audit.by)}"


def _grid(
    count: int, height: float, foot: float, columns: int = _COLUMNS
) -> tuple[Picture, list[Axes]]:
    """So many panels, in rows of some; the rest of the last row stays empty."""
    lines = -(-count // columns)
    figure = Picture(figsize=(WIDTH, max(lines * height + foot, 2.4)), layout="constrained")
    grid = figure.subplots(lines, min(columns, count), squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid[:count]


@as_annotated
@drawn
def reliability_curves(audit: AnalysisAudit) -> Picture:
    """How often is it right where it is so sure, and for whom does its confidence not hold?

    A panel a group: the share that is right, by bin of confidence, with intervals; below the dashed
    line it is surer than it is right. Grey is everybody's curve. ECE stands above, and what
    confidences that hold would seldom exceed.

    Raises
    ------
    BadInput
        The predictions had no scores.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gender": ["female", "male"] * 60, "tone": ["dark"] * 120})
    >>> frame["score_female"] = [0.9, 0.2, 0.7, 0.6] * 30
    >>> frame["score_male"] = 1 - frame["score_female"]
    >>> audit = fl.analysis_audit(frame, truth="gender", by="tone")
    >>> print(fl.plots.reliability_curves(audit).alt)
    How often it is right where it is so sure. ECE: all 0.3, dark 0.3
    """
    if audit.reliability.empty:
        raise BadInput("the predictions had no scores: there is no confidence to draw")
    groups = list(dict.fromkeys(audit.reliability["group"]))
    palette, ece = colours(groups), audit.confidences.set_index("group")
    figure, grid = _grid(len(groups), 2.5, 0.0)
    every = audit.reliability[audit.reliability["group"] == "all"]
    least = 100 * audit.reliability["bin_low"].min()
    for axes, group in zip(grid, groups, strict=True):
        own = audit.reliability[audit.reliability["group"] == group]
        x = 100 * own["mean_confidence"]
        axes.plot([least, 100], [least, 100], color=INK, lw=0.9, ls="--")
        axes.plot(100 * every["mean_confidence"], 100 * every["accuracy"], color="#CFCFCF", lw=2.4)
        ends = 100 * own["accuracy_low"], 100 * own["accuracy_high"]
        axes.vlines(x, *ends, color=palette[group], lw=1.4, alpha=0.7)
        axes.plot(x, 100 * own["accuracy"], "o", ms=4.5, color=palette[group], clip_on=False)
        axes.set(xlim=(least - 1, 101), ylim=(-2, 102))
        told = ece.loc[group]
        axes.set_title(wrapped([group], 22)[0], size=10.5, pad=17)
        chance = f"ECE {told['ece']:.2g}, chance ≤ {told['ece_calibrated_high']:.2g}"
        axes.text(0, 1.03, chance, transform=axes.transAxes, size=9)
        axes.grid(color="#EEEEEE", lw=0.8)
        sns.despine(ax=axes)
    figure.supxlabel("confidence, %", size=11)
    figure.supylabel("right, % of those with this confidence", size=11)
    figure.alt = "How often it is right where it is so sure. ECE: " + ", ".join(
        f"{group} {ece.loc[group, 'ece']:.2g}" for group in groups
    )
    return figure


@as_annotated
@drawn
def age_errors(audit: AnalysisAudit) -> Picture:
    """By how many years is it off, at which age, and whom does it make older?

    Above the mean error, below its sign; groups stand side by side at each true age, with
    intervals. Fewer than two people have none.

    Raises
    ------
    BadInput
        It is no audit of ages.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [4, 20, 33, 61] * 10, "predicted_age": [6, 22, 30, 50] * 10})
    >>> frame["gender"] = ["female"] * 20 + ["male"] * 20
    >>> audit = fl.analysis_audit(frame, truth="age", by="gender", kind="number")
    >>> print(fl.plots.age_errors(audit).alt)
    Mean error in years by true age. all: 3-9 2, 20-29 2, 30-39 3, 60-69 11. female: ...
    """
    if audit.by_age.empty:
        raise BadInput("this is no audit of ages: call the true column age, or age_group")
    table = audit.by_age
    groups = list(dict.fromkeys(table["group"]))
    ages = [age for age in AGE_GROUPS if (table["true_age"] == age).any()]
    palette = colours(groups)
    figure = Picture(figsize=(WIDTH, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    step = 0.8 / len(groups)
    for axes, name in ((upper, "mae"), (lower, "bias")):
        for place, group in enumerate(groups):
            own = table[table["group"] == group]
            x = own["true_age"].map(ages.index).astype(float) + (place + 0.5) * step - 0.4
            look = {"color": palette[group], "lw": 1.5, "alpha": 0.8}
            axes.vlines(x, own[f"{name}_low"], own[f"{name}_high"], **look)
            axes.plot(
                x, own[name], "s" if group == "all" else "o", ms=4.5, color=palette[group],
                label=entry(group),
            )  # fmt: skip
        for edge in range(1, len(ages)):
            axes.axvline(edge - 0.5, color="#E3E3E3", lw=0.8, zorder=0)
        axes.axhline(0, color=FAINT, lw=1, zorder=0)
        axes.grid(axis="y", color="#EEEEEE", lw=0.8)
        low, high = table[name].min(), table[name].max()  # few people's intervals may go on
        room = max(high - low, 4.0)
        axes.set_ylim(0 if name == "mae" else low - room / 2, high + room / 2)
        sns.despine(ax=axes)
    upper.set(title="Mean error", ylabel="years")
    lower.set(title="Bias", ylabel="years, + is too old", xlabel="true age")
    lower.set_xticks(range(len(ages)), ages)
    lower.set_xlim(-0.5, len(ages) - 0.5)
    handles, names = upper.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))
    figure.alt = "Mean error in years by true age. " + " ".join(
        f"{group}: " + ", ".join(f"{row.true_age} {row.mae:.3g}" for row in part.itertuples()) + "."
        for group, part in table.groupby("group", sort=False)
    )
    return figure


@as_annotated
@drawn
def confusions(audit: AnalysisAudit) -> Picture:
    """What is each class taken for, in each group?

    A panel a group, a row a true class, in percent of the class; of few classes with the number of
    images. Classes that were said and are never true have a column and no row.

    Raises
    ------
    BadInput
        It is an audit of numbers.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> said = ["male"] * 40 + ["female"] * 10 + ["male"] * 20 + ["female"] * 30
    >>> frame = pd.DataFrame({"gender": ["male"] * 50 + ["female"] * 50, "predicted_gender": said})
    >>> audit = fl.analysis_audit(frame.assign(tone=["dark", "light"] * 50), "gender", by="tone")
    >>> print(fl.plots.confusions(audit).alt)
    What each class is taken for, most often wrongly: all female called male 40%, dark female ...
    """
    if audit.kind != "class":
        raise BadInput("numbers have no confusion: see fl.plots.age_errors")
    groups = list(dict.fromkeys(audit.confusion["group"]))
    names = list(dict.fromkeys(audit.confusion["predicted"]))
    few = len(names) <= _COUNTED
    columns = _COLUMNS if few else 3 if len(names) <= 5 else 2
    figure, grid = _grid(len(groups), WIDTH / columns * 0.92, 0.2, columns)
    for place, (axes, group) in enumerate(zip(grid, groups, strict=True)):
        counts = audit.confusion_of(group)
        total = counts.sum(axis=1)
        shares = counts.div(total.where(total > 0), axis=0).astype(float)
        words = shares.map(lambda share: f"{100 * share:.0f}").to_numpy(object)
        if few:
            words = words + "%\n" + counts.map("{:,}".format).to_numpy(object)
        sns.heatmap(
            shares, ax=axes, cmap="Blues", vmin=0, vmax=1, square=True, cbar=False, linewidths=1,
            linecolor="white", annot=words, fmt="", annot_kws={"size": 9 if few else 8.5},
        )  # fmt: skip
        axes.set_title(wrapped([group], 22)[0], size=11)
        axes.tick_params(length=0, labelsize=9.5)
        axes.set_xticklabels(wrapped(counts.columns, 12), rotation=0 if few else 90)
        axes.set_yticklabels(wrapped(counts.index, 12), rotation=0)
        axes.set_xlabel("called")
        axes.set_ylabel("is" if place % columns == 0 else "")
    figure.faces = "none"
    worst = audit.confusion[audit.confusion["truth"] != audit.confusion["predicted"]]
    worst = worst.loc[worst.groupby("group", sort=False)["share"].idxmax()].set_index("group")
    figure.alt = "What each class is taken for, most often wrongly: " + ", ".join(
        f"{row.Index} {row.truth} called {row.predicted} {percent(row.share)}"
        for row in worst.itertuples()
    )
    return figure


@as_annotated
@drawn
def confidence_sweep(audit: AnalysisAudit, threshold: float | None = None) -> Picture:
    """If only answers of a confidence were taken: how many would be, and how many of them wrong?

    Left, errors among the answers that are taken, with intervals; right, whose answers are not.

    Parameters
    ----------
    audit
        What `fl.analysis_audit` returns of predictions with scores.
    threshold
        A confidence to mark.

    Raises
    ------
    BadInput
        The predictions had no scores.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gender": ["female", "male"] * 60, "tone": ["dark"] * 120})
    >>> frame["score_female"] = [0.9, 0.2, 0.7, 0.6] * 30
    >>> frame["score_male"] = 1 - frame["score_female"]
    >>> audit = fl.analysis_audit(frame, truth="gender", by="tone")
    >>> print(fl.plots.confidence_sweep(audit, 0.8).alt)
    Answers of a confidence of 0.8 or more: all 50% taken, 0% of them wrong; dark 50% taken, 0% of
    them wrong.
    """
    if audit.sweep.empty:
        raise BadInput("the predictions had no scores: there is no confidence to draw")
    table = audit.sweep
    groups = list(dict.fromkeys(table["group"]))
    palette = {**colours(groups), "all": FAINT}
    figure, (left, right) = panels(2, 3.9)
    over_thresholds(left, table[table["taken"] > 0], "error", palette)
    for group in groups:
        own = table[table["group"] == group]
        look = {"color": palette[group], "lw": 2.6 if group == "all" else 1.6}
        right.plot(100 * own["threshold"], 100 * (1 - own["coverage"]), **look)
    least = 100 * table.loc[table["coverage"] < 1, "threshold"].min()
    for axes in (left, right):
        axes.set_xlim(least - 2 if np.isfinite(least) else 0, 100)
        axes.set_xlabel("answers taken from this confidence on, %")
        axes.grid(color="#EEEEEE", lw=0.8)
        sns.despine(ax=axes)
    left.set_ylim(0, 125 * max(table["error"].max(), 0.01))
    left.set(title="Wrong, of those taken", ylabel="% of answers taken")
    right.set(title="Whose answers are not taken", ylabel="% of answers", ylim=(-2, 102))
    figure.alt = f"Errors and answers taken over confidence, of {', '.join(groups)}."
    if threshold is not None:
        for axes, title in ((left, "Wrong, of those taken"), (right, "Not taken")):
            mark(axes, 100 * threshold, f"{100 * threshold:g}%")
            axes.set_title(title, pad=16)
        at = table.iloc[(table["threshold"] - threshold).abs().to_numpy().argsort(kind="stable")]
        at = at.drop_duplicates("group").set_index("group").loc[groups]
        figure.alt = f"Answers of a confidence of {threshold:g} or more: " + "; ".join(
            f"{row.Index} {percent(row.coverage)} taken, "
            + (f"{percent(row.error)} of them wrong" if row.taken else "none to be wrong")
            for row in at.itertuples()
        )
        figure.alt += "."
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))
    return figure


def over_thresholds(axes: Axes, table: pd.DataFrame, rate: str, palette: Mapping[str, str]) -> None:
    """A rate with its interval over thresholds, a line a group; both in percent."""
    for group, own in table.groupby("group", sort=False):
        x, colour = 100 * own["threshold"], palette[group]
        ends = 100 * own[f"{rate}_low"], 100 * own[f"{rate}_high"]
        axes.fill_between(x, *ends, color=colour, alpha=0.1, lw=0)
        width = 2.6 if group == "all" else 1.6
        axes.plot(x, 100 * own[rate], label=entry(group), color=colour, lw=width)
