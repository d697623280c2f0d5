"""Figures over all thresholds: what another threshold would have meant for each group.

In: the `det` table of comparisons or an audit. Out: one figure a call, as in `plots`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from facelab.arguments import as_annotated
from facelab.errors import check_columns
from facelab.figures.lettering import entry
from facelab.figures.style import FAINT, INK, Picture, advised, colours, drawn, mark, panels

_SMALLEST = 3  # errors that a rate must rest on to be drawn


@as_annotated
@drawn
def det_curves(
    det: pd.DataFrame,
    rates: pd.DataFrame | None = None,
    lines: Mapping[str, float] | None = None,
) -> Picture:
    """What does each group pay in FNMR for a lower FMR? (DET: both axes logarithmic.)

    Parameters
    ----------
    det
        `group threshold fmr fnmr`, as `Comparisons.det` and `Audit.det` give it.
    rates
        Error rates at one threshold, as `Audit.rates`: where each group stands at it, and how many
        comparisons its curve rests on; fewer than three errors are not drawn.
    lines
        Further thresholds by name, such as `fl.vendor_thresholds("rekognition")`: where each group
        stands at them. Those of one threshold are joined.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.det_curves(audit.det, audit.rates)
    >>> print(figure.alt)
    DET curves of all, a, b, c, d: FNMR against FMR, both logarithmic.
    """
    groups = _groups(det)
    figure, (axes,) = panels(1, 5.2)
    palette = colours(groups)
    for group in groups:
        curve = _supported(det[det["group"] == group], rates, group)
        look = _look(group, palette)
        axes.plot(curve["fmr"], curve["fnmr"], label=entry(group), **look)
        if rates is not None:
            here = rates[rates["group"] == group]
            axes.plot(here["fmr"], here["fnmr"], "o", ms=7, mec="white", color=look["color"])
    axes.set(xlabel="FMR", ylabel="FNMR")
    told = _joined(axes, det, rates, lines)
    why = _logarithmic(axes, det, ["fmr", "fnmr"], "xy")
    sns.despine(ax=axes)
    figure.legend(loc="outside lower center", ncols=4)
    dots = "; dots: at the one threshold" if rates is not None else ""
    axes.set_title(f"Within each group{dots}")
    figure.alt = (
        f"DET curves of {', '.join(groups)}: FNMR against FMR, both logarithmic.{told}{why}"
    )
    return figure


def _joined(
    axes: Axes, det: pd.DataFrame, rates: pd.DataFrame | None, lines: Mapping[str, float] | None
) -> str:
    """Where the groups stand at each advised threshold, joined and named."""
    told = []
    for words, at in (lines or {}).items():
        points = []
        for group in _groups(det):
            curve = det[det["group"] == group]
            near = curve.iloc[[np.abs(curve["threshold"].to_numpy() - at).argmin()]]
            points.append(_supported(near, rates, group)[["fmr", "fnmr"]])
        found = pd.concat(points).sort_values("fmr")
        told.append(f"{words} at {at:g}")
        if not found.empty:
            axes.plot(found["fmr"], found["fnmr"], ":", marker=".", ms=4, lw=1, color=INK, zorder=3)
            axes.annotate(
                words, found.iloc[-1], (4, 4), textcoords="offset points", color=INK, size=8.5
            )
    return f" Dotted: advised thresholds, {'; '.join(told)}." if told else ""


@as_annotated
@drawn
def threshold_sweep(
    det: pd.DataFrame,
    threshold: float,
    rates: pd.DataFrame | None = None,
    lines: Mapping[str, float] | None = None,
) -> Picture:
    """What would the groups' error rates be at another threshold?

    Parameters
    ----------
    det, rates, lines
        As in `det_curves`.
    threshold
        The one threshold, which is marked.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.threshold_sweep(audit.det, audit.threshold)
    >>> print(figure.alt)
    FMR and FNMR of all, a, b, c, d over the ...
    """
    groups = _groups(det)
    figure, columns = panels(2, 4.6)
    palette, why, told = colours(groups), "", ""
    for axes, error in zip(columns, ("fmr", "fnmr"), strict=True):
        for group in groups:
            curve = _supported(det[det["group"] == group], rates, group, [error])
            label = entry(group) if error == "fmr" else None
            axes.plot(curve["threshold"], curve[error], label=label, **_look(group, palette))
        axes.set(xlabel="threshold", title=error.upper())
        why += _logarithmic(axes, det, [error], "y")
        told = advised(axes, lines, (det["threshold"].min(), det["threshold"].max()))
        mark(axes, threshold, f"threshold {threshold:.2f}")
        sns.despine(ax=axes)
    figure.legend(loc="outside lower center", ncols=4)
    curves = f"FMR and FNMR of {', '.join(groups)} over the threshold"
    figure.alt = f"{curves}; {threshold:.3f} marked.{told}{why}"
    return figure


def _groups(det: pd.DataFrame) -> list[str]:
    check_columns("the points of the curves", det.columns, ("group", "threshold", "fmr", "fnmr"))
    return list(dict.fromkeys(det["group"]))


def _supported(
    curve: pd.DataFrame,
    rates: pd.DataFrame | None,
    group: str,
    errors: list[str] | None = None,
) -> pd.DataFrame:
    """The part of a curve that rests on a few errors at least."""
    for error in errors or ["fmr", "fnmr"]:
        least = 0.0
        if rates is not None:
            kind = {"fmr": "non_mated", "fnmr": "mated"}[error]
            count = float(rates.loc[rates["group"] == group, kind].iloc[0])
            least = _SMALLEST / count if count else np.inf
        curve = curve[(curve[error] > 0) & (curve[error] >= least)]
    return curve


def _look(group: str, palette: dict[str, str]) -> dict[str, Any]:
    if group == "all":
        return {"color": FAINT, "lw": 2.6, "zorder": 1}
    return {"color": palette[group], "lw": 1.6}


def _logarithmic(axes: Axes, det: pd.DataFrame, errors: list[str], sides: str) -> str:
    """Logarithmic axes of shares, in percent; where nothing is drawn, why not, in words."""
    places = [line.get_xydata() for line in axes.lines]
    if not any((xy > 0).all(axis=1).any() for xy in places):
        unknown = [error.upper() for error in errors if det[error].isna().all()]
        why = f"{' and '.join(unknown)} unknown" if unknown else "too few errors for a curve"
        axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", color=FAINT)
        for side in sides:
            getattr(axes, f"set_{side}ticks")([])
        return f" Nothing is drawn: {why}."
    for side in sides:
        getattr(axes, f"set_{side}scale")("log")
        low, high = getattr(axes, f"get_{side}lim")()
        decades = [10.0**k for k in range(int(np.floor(np.log10(low))), 1)]
        ticks = [tick for tick in decades if low <= tick <= high]
        if len(ticks) < 2:  # within a decade, marks between them
            ticks = [step * tick for tick in decades for step in (1, 2, 3, 4, 5, 7)]
            ticks = [tick for tick in ticks if low <= tick <= high]
        getattr(axes, f"{side}axis").set_minor_formatter(NullFormatter())
        getattr(axes, f"set_{side}ticks")(ticks, [f"{100 * tick:.6g}%" for tick in ticks])
    return ""
