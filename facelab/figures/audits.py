"""Whom a recogniser fails, how far apart the groups lie, and what changed, in pictures.

In: tables of error rates, of disparity, of differences. Out: one Picture a call.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.lines import Line2D

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.audits.differences import AuditDifferences
from facelab.errors import BadInput
from facelab.figures.lettering import entry
from facelab.figures.style import (
    BAND,
    FAINT,
    INK,
    WIDTH,
    Picture,
    arm_look,
    colours,
    drawn,
    group_rows,
    mark,
    panels,
    percent_ticks,
    wrapped,
)
from facelab.rates.tables import percent, quantity_words, times, with_interval

Rates = pd.DataFrame


# ---- what the errors are


@as_annotated
@drawn
def error_rates(
    rates: Rates | Mapping[str, Rates | Sequence[Rates]], fmr: float | None = None
) -> Picture:
    """Whom does the recogniser fail, at one threshold for everybody?

    Parameters
    ----------
    rates
        A table of error rates; or one an arm, for arms side by side; or several an arm (seeds).
    fmr
        The false match rate that the threshold was set for, drawn as a line.

    Notes
    -----
    A rate of zero on a log axis: an open triangle at the upper end of its interval, and a line that
    goes off the left edge. No comparisons at all is said in words.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.error_rates(audit.rates, fmr=0.01)
    >>> print(figure.alt)
    Error rates by group with 95% intervals. All: all ...
    """
    arms = _per_arm(rates)
    groups = list(dict.fromkeys(g for tables in arms.values() for t in tables for g in t["group"]))
    palette = colours(groups)
    lanes = sum(len(tables) for tables in arms.values())
    figure, columns = panels(2, 1.6 + len(groups) * (0.26 + 0.13 * lanes))
    for axes, error in zip(columns, ("fmr", "fnmr"), strict=True):
        limits = log_limits([t for tables in arms.values() for t in tables], error, fmr)
        axes.set_xscale("log")
        axes.set_xlim(*limits)
        percent_ticks(axes)
        for lane, (look, table) in enumerate(
            (arm_look(place, len(arms)), table)
            for place, tables in enumerate(arms.values())
            for table in tables
        ):
            offset = (lane - (lanes - 1) / 2) * 0.72 / max(lanes, 2)
            for _, row in table.iterrows():
                y = groups.index(row["group"]) + offset
                rate_panel(axes, row, error, y, look, palette[row["group"]], limits[0])
        noted = {g for ts in arms.values() for t in ts for g in t.loc[has_note(t), "group"]}
        names = [f"{group} *" if group in noted else group for group in groups]
        group_rows(axes, groups, names, labelled=error == "fmr")
        axes.grid(axis="x", which="major", color="#E6E6E6", lw=0.8)
        axes.set_axisbelow(True)
    share = _share_across(next(iter(arms.values()))[0])
    across = f"\nall: {share:.0%} of its comparisons are across groups" if share else ""
    columns[0].set(title="False matches", xlabel=f"FMR, % of non-mated comparisons (log){across}")
    columns[1].set(title="False non-matches", xlabel="FNMR, % of mated comparisons (log)")
    if fmr:
        mark(columns[0], fmr, f"target {100 * fmr:g}%")
        columns[1].set_title("False non-matches", pad=16)
    every = [table for tables in arms.values() for table in tables]
    unseen = any((table[["fmr", "fnmr"]] == 0).any(axis=None) for table in every)
    noted = any(has_note(table).any() for table in every)
    arm_legend(figure, list(arms), unseen, noted)
    figure.alt = "Error rates by group with 95% intervals. " + " ".join(
        f"{name or 'All'}: " + ", ".join(_rate_words(row) for _, row in tables[0].iterrows()) + "."
        for name, tables in arms.items()
    )
    return figure


def _per_arm(rates: Any) -> dict[str, list[pd.DataFrame]]:
    arms = rates if isinstance(rates, Mapping) else {"": rates}
    return {
        str(name): [tables] if isinstance(tables, pd.DataFrame) else list(tables)
        for name, tables in arms.items()
    }


def has_note(table: pd.DataFrame) -> pd.Series:
    return table["note"].fillna("").astype(str).str.len() > 0


def _share_across(table: pd.DataFrame) -> float:
    """Which share of all non-mated comparisons is between groups, and so in no group's rate: a
    target that they meet together may be missed by every group."""
    told = "non_mated" in table and len(table) and table["group"].iloc[0] == "all"
    every = table["non_mated"].iloc[0] if told else 0
    return float(1 - table["non_mated"].iloc[1:].sum() / every) if every else 0.0


def _rate_words(row: pd.Series) -> str:
    fmr, fnmr = (
        "unknown" if np.isnan(rate) else percent(rate) for rate in (row["fmr"], row["fnmr"])
    )
    return f"{row['group']} FMR {fmr} FNMR {fnmr}"


def log_limits(tables: list[pd.DataFrame], error: str, target: float | None) -> tuple[float, float]:
    """Whole decades around everything that must be seen; zeros need room for their bound."""
    shown = np.concatenate(
        [t[[error, f"{error}_low", f"{error}_high"]].to_numpy(float).ravel() for t in tables]
    )
    shown = shown[np.isfinite(shown) & (shown > 0)]
    shown = np.append(shown, target) if target and error == "fmr" else shown
    if not len(shown):
        return 1e-3, 1.0
    points = np.concatenate([t[error].to_numpy(float) for t in tables])
    points = points[np.isfinite(points) & (points > 0)]
    # An interval may reach down to almost nothing: two decades below the least rate is enough.
    floor = max(shown.min(), points.min() / 100) if len(points) else shown.min() / 10
    low, high = np.floor(np.log10(floor) + 1e-9), np.ceil(np.log10(shown.max()) - 1e-9)
    return 10.0**low, 10.0 ** max(high, low + 1)


def rate_panel(
    axes: Axes,
    row: pd.Series,
    error: str,
    y: float,
    look: dict[str, Any],
    colour: str,
    left: float,
) -> None:
    """One rate with its interval."""
    value, low, high = (float(row[f"{error}{end}"]) for end in ("", "_low", "_high"))
    style = {"color": colour, "ms": 6, "mew": 1.4}
    if np.isnan(value):
        words = {"color": FAINT, "size": 9, "va": "center", "style": "italic"}
        none = "no comparisons" if error in ("fmr", "fnmr") else "no searches"
        axes.text(left * 1.15, y, none, **words)
    elif value == 0:
        if np.isfinite(high) and high > left:
            axes.plot([left, high], [y, y], color=colour, lw=1.1, ls=(0, (1, 1.5)))
            axes.plot(high, y, marker="<", mfc="white", **style)
    else:
        face = colour if look["face"] == INK else "white"
        ends = [max(low, left), high]
        axes.plot(ends, [y, y], color=colour, lw=1.7, solid_capstyle="butt", alpha=0.75)
        axes.plot(max(value, left), y, marker=look["marker"], mfc=face, **style)


def arm_legend(
    figure: Picture,
    arms: list[str],
    unseen: bool = False,
    noted: bool = False,
) -> None:
    handles = [
        Line2D([], [], color=INK, marker=look["marker"], mfc=look["face"], lw=1.6, label=entry(arm))
        for look, arm in ((arm_look(place, len(arms)), arm) for place, arm in enumerate(arms))
        if arm
    ]
    if unseen:
        words = "no error seen: upper bound"
        handles.append(Line2D([], [], color=INK, marker="<", mfc="white", ls=":", label=words))
    if noted:
        handles.append(Line2D([], [], ls="", label="* see the note in the table"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=2.2)


@as_annotated
@drawn
def cross_group(
    rates: pd.DataFrame | Mapping[str, pd.DataFrame], fmr: float | None = None
) -> Picture:
    """Who is mistaken for whom? The false match rate for every pair of groups, in percent.

    `rates` is what `Audit.cross_group` holds (`group_a group_b fmr`, in long form), or one an arm.
    White is the target rate (or the middle of what is shown), red above it, blue below.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.cross_group(audit.cross_group, fmr=0.01)
    >>> print(figure.alt)
    False match rate of every pair of groups, in percent. ...
    """
    if fmr is not None and not 0 < fmr < 1:
        raise BadInput(f"fmr must lie between 0 and 1, such as 0.001, not {fmr}")
    given = dict(rates) if isinstance(rates, Mapping) else {"": rates}
    arms = {name: _matrix(frame) for name, frame in given.items()}
    groups = list(next(iter(arms.values())).index)
    values = np.concatenate([m.to_numpy(float).ravel() for m in arms.values()])
    logs = np.log10(values[np.isfinite(values) & (values > 0)])
    logs = logs if len(logs) else np.array([-3.0])
    middle = np.log10(fmr) if fmr else float(np.median(logs))
    reach = max(np.abs(logs - middle).max(), 1.0)
    norm = TwoSlopeNorm(middle, middle - reach, middle + reach)
    side = min((WIDTH - 2.8) / len(arms), 1.6 + 0.7 * len(groups), 5.6)
    longest = max(len(line) for label in wrapped(groups) for line in label.split("\n"))
    upright = len(groups) > 3
    figure, columns = panels(
        len(arms), side + (0.09 * longest if upright else 0.3) + 0.5, "compressed"
    )
    size = float(np.clip(side / len(groups) * 17, 5.5, 11))
    for axes, (name, matrix) in zip(columns, arms.items(), strict=True):
        values = matrix.to_numpy(float)
        with np.errstate(divide="ignore"):
            shown = np.log10(values)
        words = np.vectorize(_cell_words, otypes=[object])(values)
        sns.heatmap(
            np.where(np.isfinite(shown), shown, np.nan), ax=axes, cmap="RdBu_r", norm=norm,
            vmin=norm.vmin, vmax=norm.vmax,  # else it looks for them, where there may be none
            square=True, cbar=False, linewidths=1, linecolor="white", mask=~np.isfinite(shown),
        )  # fmt: skip
        axes.set_facecolor("#EDEDED")
        for (row, column), word in np.ndenumerate(words):
            strong = (
                np.isfinite(shown[row, column]) and abs(shown[row, column] - middle) > 0.6 * reach
            )
            colour = "white" if strong else INK
            axes.text(
                column + 0.5, row + 0.5, word, ha="center", va="center", size=size, color=colour
            )
        axes.set_title(name)
        ticks = np.arange(len(groups)) + 0.5
        axes.set_xticks(ticks, wrapped(groups), rotation=90 if upright else 0)
        axes.set_yticks(ticks, wrapped(groups) if axes is columns[0] else [], rotation=0)
        axes.tick_params(length=0, labelsize=10.5 if len(groups) <= 12 else 7)
    figure.faces = "none"
    scale = figure.colorbar(mpl.cm.ScalarMappable(norm, "RdBu_r"), ax=columns, aspect=30, pad=0.02)
    low, high = np.ceil(middle - reach), np.floor(middle + reach)
    decades = np.arange(low, high + 1)
    scale.set_ticks(decades, labels=[f"{100 * 10**decade:.6g}%" for decade in decades])
    scale.minorticks_off()
    scale.set_label("FMR (log)" + (f", white: target {100 * fmr:g}%" if fmr else ""))
    scale.outline.set_visible(False)
    figure.alt = "False match rate of every pair of groups, in percent. " + " ".join(
        f"{name}: highest {percent(m.max().max())} between {' and '.join(m.stack().idxmax())}."
        for name, m in arms.items()
        if m.notna().any(axis=None)
    )
    return figure


def _cell_words(rate: float) -> str:
    """A rate in percent, short enough for a cell."""
    if np.isnan(rate):
        return ""
    if rate == 0:
        return "none"
    if rate < 1e-6:
        return "<0.0001"
    short = float(f"{100 * rate:.{2 if rate >= 1e-4 else 1}g}")
    return np.format_float_positional(short, trim="-")


def _matrix(frame: pd.DataFrame) -> pd.DataFrame:
    """Both halves of the table of group pairs, whichever of them is given."""
    groups = list(dict.fromkeys([*frame["group_a"], *frame["group_b"]]))
    wide = frame.pivot(index="group_a", columns="group_b", values="fmr")
    wide = wide.reindex(index=groups, columns=groups).astype(float)
    return wide.combine_first(wide.T).loc[groups, groups]


# ---- what the disparity is, and what changed


@as_annotated
@drawn
def disparity(rows: pd.DataFrame | Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]]) -> Picture:
    """How many times worse off is the worst group than the best? Ratios with intervals, log axis.

    `rows` is what `fl.disparity` returns; or one an arm, or several an arm (seeds). The grey band
    ends where groups with equal rates seldom come (95th percentile), its white line is their
    median. An interval without an upper end (the best group made no error) is drawn as an arrow.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.disparity(audit.disparity)
    >>> print(figure.alt)
    Ratio of the worst group's error rate to the best group's, and what equal groups would show ...
    """
    arms = _per_arm(rows)
    lanes = [(place, t) for place, tables in enumerate(arms.values()) for t in tables]
    figure, (axes,) = panels(1, 1.7 + 2 * (0.3 + 0.2 * len(lanes)))
    axes.set_xscale("log")
    highest, told = 2.0, []
    for group_row, error in enumerate(("fmr", "fnmr")):
        for lane, (place, table) in enumerate(lanes):
            found = table[(table["metric"] == "max_min_ratio") & (table["error"] == error)]
            if found.empty:
                continue
            row, look = found.iloc[0], arm_look(place, len(arms))
            y = group_row + (lane - (len(lanes) - 1) / 2) * 0.75 / max(len(lanes), 2)
            height = 0.6 / max(len(lanes), 2)
            highest = max(highest, _floor(axes, row, y, height), _ratio(axes, row, y, look))
            told.append(_ratio_words(error, list(arms)[place], row))
    mark(axes, 1, "parity", colour=INK, dash="-")
    axes.set_xlim(0.9, highest * 1.6)
    ratio_ticks(axes, 0.9, highest * 1.6)
    axes.set_yticks([0, 1], ["FMR", "FNMR"])
    axes.set_ylim(1.6, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", which="major", color="#E6E6E6", lw=0.8)
    axes.set_xlabel(
        "worst group's error rate / best group's (log)\n"
        "grey: up to where 95% of audits of equal groups would lie, white line: the median"
    )
    sns.despine(ax=axes, left=True)
    arm_legend(figure, list(arms))
    figure.alt = (
        "Ratio of the worst group's error rate to the best group's, and what equal groups would "
        f"show (median, 95th percentile): {'; '.join(told)}."
    )
    return figure


def _ratio_words(error: str, arm: str, row: pd.Series) -> str:
    floor = ""
    if np.isfinite(row.get("parity", np.nan)):
        floor = f" (equal groups {row['parity']:.3g}, {row['parity_high']:.3g})"
    value = f"{row['value']:.3g}" if np.isfinite(row["value"]) else "unknown"
    return f"{error.upper()}{f' {arm}' if arm else ''} {value}{floor}"


def _floor(axes: Axes, row: pd.Series, y: float, height: float) -> float:
    """What equal groups would show; returns how far right it reached."""
    end = float(row.get("parity_high", np.nan))
    if not np.isfinite(end):
        return 1.0
    end = min(end, 100 * max(float(row["value"]), 1.0))
    axes.barh(y, end - 1, height, 1, color=BAND, zorder=0)
    axes.plot([row["parity"]] * 2, [y - height / 2, y + height / 2], color="white", lw=2, zorder=1)
    return end


def _ratio(axes: Axes, row: pd.Series, y: float, look: dict[str, Any]) -> float:
    """One ratio with its interval; returns how far right it reached."""
    value, low, high = float(row["value"]), float(row["low"]), float(row["high"])
    reach = max(v for v in (value, high, low, 1.0) if np.isfinite(v))
    if np.isfinite(low):
        end = high if np.isfinite(high) else reach * 2
        axes.plot([max(low, 0.9), end], [y, y], color=look["line"], lw=1.8, solid_capstyle="butt")
        if not np.isfinite(high):
            axes.plot(end, y, marker=">", ms=6, color=look["line"], mfc="white")
            reach = end
    if np.isfinite(value):
        axes.plot(value, y, marker=look["marker"], ms=7, color=INK, mfc=look["face"], mew=1.4)
    return reach


def ratio_ticks(axes: Axes, low: float, high: float) -> None:
    every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1e4, 1e5]
    every = sorted([1 / tick for tick in every[1:]] + every)
    ticks = [tick for tick in every if low <= tick <= high]
    if len(ticks) > 7:  # whole decades do
        ticks = [tick for tick in ticks if f"{tick:e}".startswith("1.0")]
    axes.set_xticks(ticks, [f"{tick:,.0f}×" if tick >= 1 else f"{tick:.2g}×" for tick in ticks])
    axes.minorticks_off()


@as_annotated
@drawn
def changes(differences: AuditDifferences) -> Picture:
    """What did the second arm change, and could it be chance? Ratios of rates with intervals.

    One row a group; below them the disparity, max/min. Left of 1 is better than the baseline; a
    hollow dot cannot be told from no change. Thin lines are the intervals that allow for all groups
    and both errors; by them dots of groups are filled.

    Parameters
    ----------
    differences
        What `facelab.compare_audits` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"whole": fl.audit(people, "group"), "half": fl.audit(half, "group")}
    >>> figure = fl.plots.changes(fl.compare_audits(arms))
    >>> print(figure.alt)
    Ratio of error rates, half over whole, with 95% intervals: FMR of all ...
    """
    first, second = differences.arms
    table = differences.table.set_index("quantity")
    groups = [q.partition(":")[2] for q in table.index if q.startswith("fmr:")]
    names = [*groups, "worst / best group"]
    figure, columns = panels(2, 1.2 + 0.36 * len(names))
    palette = colours(groups)
    for axes, error in zip(columns, ("fmr", "fnmr"), strict=True):
        rows = [table.loc[f"{error}:{group}"] for group in groups]
        rows.append(table.loc[f"max_min_ratio:{error}"])
        names_of = ("ratio", "ratio_low", "ratio_high", "family_low", "family_high")
        shown = np.array([[row[c] for c in names_of] for row in rows], float)
        seen = shown[np.isfinite(shown) & (shown > 0)]
        limits = (min(seen.min(initial=1) / 1.4, 0.45), max(seen.max(initial=1) * 1.4, 2.2))
        axes.set_xscale("log")
        axes.set_xlim(*limits)
        for place, (name, (ratio, *ends)) in enumerate(zip(names, shown, strict=True)):
            if not np.isfinite(ratio) or ratio <= 0:
                words = {"color": FAINT, "size": 9, "va": "center", "style": "italic"}
                axes.text(limits[0] * 1.1, place, "no errors to compare", **words)
                continue
            colour = palette.get(name, INK)
            low, high, *wide = np.clip(np.nan_to_num(ends, nan=1.0), *limits)
            certain = ends[2] > 1 or ends[3] < 1
            axes.plot(wide, [place, place], color=colour, lw=0.9)
            axes.plot([low, high], [place] * 2, color=colour, lw=2.4, solid_capstyle="butt")
            axes.plot(ratio, place, "o", ms=7, color=colour, mfc=colour if certain else "white")
        axes.axhline(len(groups) - 0.5, color="#BBBBBB", lw=0.8)
        axes.set_title("False matches" if error == "fmr" else "False non-matches")
        mark(axes, 1, "no change", colour=INK, dash="-")
        ratio_ticks(axes, *limits)
        group_rows(axes, names, labelled=error == "fmr")
        axes.set_xlabel(f"{error.upper()}, {second} / {first} (log)")
    figure.alt = f"Ratio of error rates, {second} over {first}, with 95% intervals: " + "; ".join(
        f"{quantity_words(name)} {with_interval(row, 'ratio', times)}"
        for name, row in table[table.index.str.startswith(("fmr:", "max_min_ratio:"))].iterrows()
    )
    return figure


@as_annotated
@drawn
def audit_figure(audit: Audit) -> Picture:
    """An audit in one picture: error rates by group at the threshold, with intervals.

    Parameters
    ----------
    audit
        What `facelab.audit` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.audit_figure(audit)
    >>> print(figure.alt)
    Error rates by group with 95% intervals. All: all ...
    """
    return error_rates(audit.rates, fmr=audit.fmr)
