"""Figures of one-to-many search: who is wrongly matched, at which threshold, in which gallery.

In: the tables of `identify`, `search_experiment`, `gallery_sizes` and `gallery_mixes`. Out: one
figure a call, as in `plots`.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from facelab.arguments import as_annotated
from facelab.figures.audits import arm_legend, has_note, log_limits, rate_panel
from facelab.figures.lettering import entry
from facelab.figures.style import (
    FAINT,
    INK,
    Picture,
    arm_look,
    colours,
    drawn,
    group_rows,
    mark,
    panels,
    percent_ticks,
)

_SMALLEST = 10  # false matches that shares must rest on to be drawn
_WORDS = {
    "fpir": ("False positives", "FPIR, % of non-mated searches (log)"),
    "fnir": ("False negatives", "FNIR, % of mated searches (log)"),
    "rate": ("Rate of false matches", "% of the searches of the group (log)"),
}


@as_annotated
@drawn
def search_rates(rates: pd.DataFrame, fpir: float | None = None) -> Picture:
    """Whom does a search fail, at one threshold for everybody?

    Parameters
    ----------
    rates
        As `Identification.rates`.
    fpir
        The FPIR that the threshold was set for, drawn as a line.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> result = fl.identify(fl.Gallery().enrol(enrolled), probes, by="group", fpir=0.1)
    >>> figure = fl.plots.search_rates(result.rates, fpir=0.1)
    >>> print(figure.alt)
    Error rates of search by group with 95% intervals: ...
    """
    figure, columns = panels(2, 1.6 + 0.39 * len(rates))
    for axes, error in zip(columns, ("fpir", "fnir"), strict=True):
        _rates(axes, rates, error, labelled=error == "fpir", target=fpir)
    if fpir:
        mark(columns[0], fpir, f"target {100 * fpir:g}%")
        columns[1].set_title(_WORDS["fnir"][0], pad=16)
    unseen = bool((rates[["fpir", "fnir"]] == 0).any(axis=None))
    arm_legend(figure, [], unseen, has_note(rates).any())
    figure.alt = "Error rates of search by group with 95% intervals: " + ", ".join(
        f"{row.group} FPIR {_known(row.fpir, '.1e')} FNIR {_known(row.fnir, '.3f')}"
        for row in rates.itertuples()
    )
    return figure


def _known(rate: float, how: str) -> str:
    return format(rate, how) if np.isfinite(rate) else "unknown"


def _rates(
    axes: Axes, rates: pd.DataFrame, error: str, labelled: bool = True, target: float | None = None
) -> None:
    """One error of every group with its interval, on a log axis."""
    groups = rates["group"].tolist()
    seen = rates[[error, f"{error}_low", f"{error}_high"]].to_numpy(float)
    limits = log_limits([rates], error, None)
    if target and error == "fpir" and np.isfinite(seen).any():
        limits = min(limits[0], target / 2), max(limits[1], target * 2)
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    percent_ticks(axes)
    palette, look = colours(groups), arm_look(0, 1)
    for y, (_, row) in enumerate(rates.iterrows()):
        rate_panel(axes, row, error, y, look, palette[row["group"]], limits[0])
    noted = has_note(rates)
    names = [f"{group} *" if noted.iloc[k] else group for k, group in enumerate(groups)]
    group_rows(axes, groups, names, labelled=labelled)
    axes.grid(axis="x", which="major", color="#E6E6E6", lw=0.8)
    axes.set_axisbelow(True)
    axes.set(title=_WORDS[error][0], xlabel=_WORDS[error][1])


@as_annotated
@drawn
def shares_and_rates(table: pd.DataFrame) -> Picture:
    """Is a group searched often, or is it wrongly matched often?

    Left the shares, which depend on who is searched; right the rates, which do not.

    Parameters
    ----------
    table
        As `SearchExperiment.table`.

    Examples
    --------
    >>> import facelab as fl
    >>> strangers, probes = fl.crowd(500, probes=200, dim=64)
    >>> result = fl.search_experiment(probes, strangers, "group", fpir=0.1, overlap="drop")
    >>> figure = fl.plots.shares_and_rates(result.table)
    >>> print(figure.alt)
    Shares and rates of false matches by group: a 20% of the searches, ...
    """
    figure, (left, right) = panels(2, 1.7 + 0.46 * len(table))
    groups, palette = table["group"].tolist(), colours(table["group"].tolist())
    for y, row in enumerate(table.to_dict("records")):
        if row["group"] == "all":
            continue
        left.barh(y - 0.19, row["share_of_searches"], height=0.34, color="#C9C9C9")
        share = np.nan_to_num(row["share_of_false_matches"])
        left.barh(y + 0.19, share, height=0.34, color=palette[row["group"]])
        for offset, name in ((-0.19, "searches"), (0.19, "false_matches")):
            value, count = np.nan_to_num(row[f"share_of_{name}"]), row[name]
            left.text(value + 0.012, y + offset, f"{value:.0%} ({count:,})", va="center", size=9.5)
    whole = table.iloc[0]
    left.text(
        0.0, 0, f"{whole['searches']:,} searches, {whole['false_matches']:,} false matches",
        va="center", size=9.5, color=FAINT,
    )  # fmt: skip
    left.set(title="Shares", xlabel="share of the total")
    most = table.iloc[1:][["share_of_searches", "share_of_false_matches"]].max(axis=None)
    left.set_xlim(0, min(float(np.nan_to_num(most)) * 1.35 + 0.05, 1.3))
    ticks = [tick for tick in left.get_xticks() if tick <= 1]
    left.set_xticks(ticks, [f"{100 * tick:.0f}%" for tick in ticks])
    group_rows(left, groups)
    _rates(right, table, "rate", labelled=False)
    handles = [
        Patch(color="#C9C9C9", label="of the searches"),
        Patch(color=INK, label="of the false matches (in the group's colour)"),
    ]
    if (table["rate"] == 0).any():
        words = "none seen: upper bound"
        handles.append(Line2D([], [], color=INK, marker="<", mfc="white", ls=":", label=words))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.alt = "Shares and rates of false matches by group: " + ", ".join(
        f"{row['group']} {row['share_of_searches']:.0%} of the searches, "
        f"{_known(row['share_of_false_matches'], '.0%')} of the false matches, rate "
        f"{_known(row['rate'], '.3f')}"
        for row in table.iloc[1:].to_dict("records")
    )
    return figure


@as_annotated
@drawn
def sweep_by_group(sweep: pd.DataFrame, threshold: float | None = None) -> Picture:
    """What would another threshold have done, from lax to strict?

    Left the rate of false matches, right each group's share of them (dotted: of the searches), as
    far as there are ten in all.

    Parameters
    ----------
    sweep
        As `SearchExperiment.sweep`.
    threshold
        The one that was used, which is marked.

    Examples
    --------
    >>> import facelab as fl
    >>> strangers, probes = fl.crowd(500, probes=200, dim=64)
    >>> result = fl.search_experiment(probes, strangers, "group", fpir=0.1, overlap="drop")
    >>> figure = fl.plots.sweep_by_group(result.sweep, result.threshold)
    >>> print(figure.alt)
    Rates and shares of false matches of all, a, b, c, d over the threshold, from lax to strict.
    """
    figure, (left, right) = panels(2, 4.6)
    groups = list(dict.fromkeys(sweep["group"]))
    palette = colours(groups)
    whole = sweep[sweep["group"] == "all"]
    enough = whole.loc[whole["false_matches"] >= _SMALLEST, "threshold"]
    for group in groups:
        rows = sweep[(sweep["group"] == group) & (sweep["searches"] > 0)]
        if rows.empty:
            continue
        seen = rows[rows["false_matches"] > 0]
        wide = {"color": FAINT, "lw": 2.6, "zorder": 1}
        look = wide if group == "all" else {"color": palette[group], "lw": 1.6}
        left.plot(seen["threshold"], seen["rate"], label=entry(group), **look)
        if group != "all":
            band = {"color": palette[group], "alpha": 0.13, "lw": 0}
            left.fill_between(seen["threshold"], seen["rate_low"], seen["rate_high"], **band)
            shown = rows[rows["threshold"].isin(enough)]
            right.plot(shown["threshold"], shown["share_of_false_matches"], **look)
            right.axhline(rows["share_of_searches"].iloc[0], color=palette[group], ls=":", lw=1.2)
    left.set(yscale="log", xlabel="threshold", ylabel="% of the group's searches (log)")
    low = sweep.loc[sweep["false_matches"] > 0, "rate"].min()
    left.set_ylim(low / 2, 1.4)
    ticks = [10.0**k for k in range(int(np.floor(np.log10(low))), 1) if 10.0**k >= low / 2]
    left.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    left.set_title("Rate of false matches")
    right.set(xlabel="threshold", ylabel="share of the false matches", ylim=(0, 1))
    right.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    right.set_title("Shares (dotted: of the searches)")
    for axes in (left, right):
        sns.despine(ax=axes)
        if threshold is not None:
            mark(axes, threshold, f"threshold {threshold:.2f}")
    figure.legend(loc="outside lower center", ncols=4)
    figure.alt = (
        f"Rates and shares of false matches of {', '.join(groups)} over the threshold, "
        "from lax to strict."
    )
    return figure


@as_annotated
@drawn
def gallery_growth(sizes: pd.DataFrame) -> Picture:
    """What does a larger gallery do, at one threshold?

    Left FPIR, dots observed and lines predicted from single comparisons; right FNIR, and, dashed,
    what it becomes where the threshold is raised to keep FPIR.

    Parameters
    ----------
    sizes
        As `gallery_sizes` gives it.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(1000, probes=200, dim=64)
    >>> table = fl.gallery_sizes(probes, enrolled, "group", sizes=[100, 300, 1000], fpir=0.1)
    >>> figure = fl.plots.gallery_growth(table)
    >>> print(figure.alt)
    FPIR and FNIR of all, a, b, c, d against the number of people enrolled.
    """
    figure, (left, right) = panels(2, 4.6)
    groups = list(dict.fromkeys(sizes["group"]))
    palette = colours(groups)
    wide = float(sizes["gallery"].max() / sizes["gallery"].min())
    for place, group in enumerate(groups):
        rows = sizes[sizes["group"] == group]
        # Side by side, so that intervals of two groups do not lie on each other.
        x = rows["gallery"].to_numpy(float) * wide ** (0.02 * (place - (len(groups) - 1) / 2))
        colour = FAINT if group == "all" else palette[group]
        for axes, error in ((left, "fpir"), (right, "fnir")):
            value, low, high = (rows[f"{error}{end}"].to_numpy() for end in ("", "_low", "_high"))
            seen = value > 0
            axes.vlines(x[seen], low[seen], high[seen], color=colour, lw=1.4, alpha=0.8)
            axes.plot(x[seen], value[seen], "o", color=colour, ms=5.5)
            axes.vlines(x[~seen], 1e-9, high[~seen], color=colour, lw=1.1, ls=(0, (1, 1.5)))
            axes.plot(x[~seen], high[~seen], "v", mfc="white", color=colour, ms=5.5)
        predicted = rows["predicted"].where(rows["predicted"] > 0)
        left.plot(rows["gallery"], predicted, color=colour, lw=1.5, label=entry(group))
        at_target = rows["fnir_at_target"].where(rows["fnir_at_target"] > 0)
        right.plot(rows["gallery"], at_target, color=colour, lw=1.3, ls="--")
    for axes, error, words in (
        (left, "fpir", "FPIR: dots observed, lines predicted"),
        (right, "fnir", "FNIR (dashed: FPIR kept at its target)"),
    ):
        axes.set(xscale="log", yscale="log", xlabel="people enrolled (log)", title=words)
        shown = sizes[[error, f"{error}_high", "predicted" if error == "fpir" else error]]
        least = shown.where(shown > 0).min(axis=None)
        low = 10.0 ** np.floor(np.log10(least)) if np.isfinite(least) else 1e-3
        axes.set_ylim(low, 1.3)
        ticks = [10.0**k for k in range(round(np.log10(low)), 1)]
        axes.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
        steps = sizes["gallery"].unique()
        axes.set_xticks(steps, [f"{n:,}" for n in steps], rotation=30 if len(steps) > 3 else 0)
        axes.minorticks_off()
        sns.despine(ax=axes)
    figure.legend(loc="outside lower center", ncols=4)
    figure.alt = f"FPIR and FNIR of {', '.join(groups)} against the number of people enrolled."
    return figure


@as_annotated
@drawn
def mixes(table: pd.DataFrame) -> Picture:
    """Whose false positives rise when one group fills the gallery?

    Parameters
    ----------
    table
        As `gallery_mixes` gives it: a row of dots a group, a mark a mix, a cross its prediction.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(1000, probes=400, dim=64)
    >>> even_or_not = {"even": None, "mostly a": {"a": 0.8}}
    >>> table = fl.gallery_mixes(probes, enrolled, "group", even_or_not, fpir=0.1)
    >>> figure = fl.plots.mixes(table)
    >>> print(figure.alt)
    FPIR by group for galleries of different mixes: even, all 0.100; ...
    """
    names = list(dict.fromkeys(table["mix"]))
    groups = list(dict.fromkeys(table["group"]))
    palette = colours(groups)
    figure, (axes,) = panels(1, 1.7 + len(groups) * (0.25 + 0.16 * len(names)))
    axes.set_xscale("log")
    limits = log_limits([table], "fpir", None)
    axes.set_xlim(*limits)
    percent_ticks(axes)
    for place, name in enumerate(names):
        look = arm_look(place, len(names))
        offset = (place - (len(names) - 1) / 2) * 0.72 / max(len(names), 2)
        for _, row in table[table["mix"] == name].iterrows():
            y = groups.index(row["group"]) + offset
            rate_panel(axes, row, "fpir", y, look, palette[row["group"]], limits[0])
            if limits[0] < row["predicted"] < limits[1]:
                axes.plot(row["predicted"], y, "x", color=INK, ms=5, mew=1.1, zorder=4)
    group_rows(axes, groups)
    axes.set(title="False positives by who is enrolled", xlabel=_WORDS["fpir"][1])
    handles = [
        Line2D([], [], color=INK, marker=look["marker"], mfc=look["face"], label=entry(name))
        for name, look in ((name, arm_look(k, len(names))) for k, name in enumerate(names))
    ]
    handles.append(Line2D([], [], ls="", marker="x", color=INK, label="predicted"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    figure.alt = "FPIR by group for galleries of different mixes: " + "; ".join(
        f"{row.mix}, {row.group} {_known(row.fpir, '.3f')}" for row in table.itertuples()
    )
    return figure


@as_annotated
@drawn
def search_curves(det: pd.DataFrame, rates: pd.DataFrame | None = None) -> Picture:
    """What does each group pay in people not found for fewer false positives? (Both logarithmic.)

    Parameters
    ----------
    det
        As `Identification.det`.
    rates
        As `Identification.rates`: where each group stands at the one threshold, and on how many
        searches its curve rests; fewer than three errors are not drawn.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> result = fl.identify(fl.Gallery().enrol(enrolled), probes, by="group", fpir=0.1)
    >>> figure = fl.plots.search_curves(result.det, result.rates)
    >>> print(figure.alt)
    FNIR against FPIR of all, a, b, c, d, both logarithmic.
    """
    figure, (axes,) = panels(1, 5.2)
    groups = list(dict.fromkeys(det["group"]))
    palette = colours(groups)
    for group in groups:
        curve = det[(det["group"] == group) & (det["fpir"] > 0) & (det["fnir"] > 0)]
        look = {"color": FAINT, "lw": 2.6, "zorder": 1}
        look = look if group == "all" else {"color": palette[group], "lw": 1.6}
        if rates is not None:
            here = rates[rates["group"] == group].iloc[0]
            for error, tries in (("fpir", "searches_non_mated"), ("fnir", "searches_mated")):
                curve = curve[curve[error] * here[tries] >= 3 - 1e-9]
            axes.plot(here["fpir"], here["fnir"], "o", ms=7, mec="white", color=look["color"])
        axes.plot(curve["fpir"], curve["fnir"], label=entry(group), **look)
    axes.set(xlabel="FPIR", ylabel="FNIR")
    figure.alt = f"FNIR against FPIR of {', '.join(groups)}, both logarithmic."
    if not any((line.get_xydata() > 0).all(axis=1).any() for line in axes.lines):
        unknown = [error.upper() for error in ("fpir", "fnir") if det[error].isna().all()]
        why = f"{' and '.join(unknown)} unknown" if unknown else "too few errors for a curve"
        axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", color=FAINT)
        axes.set(xticks=[], yticks=[])
        figure.alt += f" Nothing is drawn: {why}."
        return figure
    axes.set(xscale="log", yscale="log")
    for side, (low, high) in (("x", axes.get_xlim()), ("y", axes.get_ylim())):
        ticks = [s * 10.0**k for k in range(-7, 1) for s in (1, 3)]
        ticks = [tick for tick in ticks if low <= tick <= min(high, 1)]
        getattr(axes, f"set_{side}ticks")(ticks, [f"{100 * tick:g}%" for tick in ticks])
    axes.minorticks_off()
    axes.set_title(
        "At every threshold" + ("; dots: at the one threshold" if rates is not None else "")
    )
    sns.despine(ax=axes)
    figure.legend(loc="outside lower center", ncols=4)
    return figure
