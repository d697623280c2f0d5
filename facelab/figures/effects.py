"""Figures of twin effects: what each change does to scores and errors, a dot and its interval each.

In: tables of `fl.twin_effects` and `fl.compare_twin_effects`. Out: matplotlib figures, reached as
`plots.twin_effects` and `plots.twin_contrasts`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_columns, check_option, there_are
from facelab.figures.lettering import entry
from facelab.figures.style import FAINT, INK, Picture, colours, drawn, mark, panels

# No group's colours: here a colour is an embedder. Tol 2021, readable for the colour-blind.
_COLOURS = ("#EE7733", "#332288", "#117733", "#CC3377", "#888888")
_MARKERS = "osD^v"
# Title, axis label, factor; rates are shown in percentage points.
_PANELS = {
    "mated_score": ("One person", "change of the mean mated score", 1),
    "non_mated_score": ("Strangers", "change of the mean non-mated score", 1),
    "fnmr": ("False non-matches", "change of FNMR, points", 100),
    "fmr": ("False matches", "change of FMR, points (log)", 100),
}


@as_annotated
@drawn
def twin_effects(
    effects: pd.DataFrame | Mapping[Any, pd.DataFrame],
    quantities: Sequence[str] = ("mated_score", "fnmr", "fmr"),
    group: str = "all",
) -> Picture:
    """What does each change do? Paired differences with intervals, a row a factor and level.

    Parameters
    ----------
    effects
        What `fl.twin_effects` returns; or one for every embedder, or (embedder, seed).
    quantities
        One panel each: mated_score, non_mated_score, fnmr, fmr.
    group
        Whose effects.

    Notes
    -----
    A filled dot's interval leaves out zero. Changes of FMR are drawn on an axis that is linear near
    zero and logarithmic beyond, so that large and small ones are seen together.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> effects = fl.twin_effects(whole.embed(twins), threshold=0.7)
    >>> figure = fl.plots.twin_effects(effects)
    >>> print(figure.alt)
    Paired effects of single changes with 95% intervals; the largest: ...
    """
    arms: dict[str, list[pd.DataFrame]] = {}
    for key, one in (effects if isinstance(effects, Mapping) else {"": effects}).items():
        name = str(key[0] if isinstance(key, tuple) else key)
        check_columns("the effects", one.columns, ("group", "factor", "level", "quantity"))
        arms.setdefault(name, []).append(one[one["group"] == group])
    return _dots(arms, quantities, "no effect")


@as_annotated
@drawn
def twin_effects_by_group(
    effects: pd.DataFrame,
    quantities: Sequence[str] = ("mated_score", "fnmr"),
    factors: Sequence[str] | None = None,
) -> Picture:
    """Whom does each change harm most? The effects on each group, in the groups' colours.

    `effects` is what `fl.twin_effects` returns with `by`; `factors` picks some of its factors.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> effects = fl.twin_effects(whole.embed(twins), threshold=0.7, by="gender")
    >>> figure = fl.plots.twin_effects_by_group(effects, ["mated_score"])
    >>> print(figure.alt)
    Paired effects of single changes with 95% intervals; the largest: female ...
    """
    shown = effects[effects["group"] != "all"]
    if factors is not None:
        for factor in factors:
            check_option("factors", factor, dict.fromkeys(effects["factor"]))
        shown = shown[shown["factor"].isin(factors)]
    groups = list(dict.fromkeys(shown["group"]))
    arms = {group: [shown[shown["group"] == group]] for group in groups}
    return _dots(arms, quantities, "no effect", list(colours(groups).values()))


@as_annotated
@drawn
def twin_contrasts(
    contrasts: pd.DataFrame,
    arms: tuple[str, str],
    quantities: Sequence[str] = ("mated_score", "fnmr", "fmr"),
    group: str = "all",
) -> Picture:
    """Where do the effects of two embedders differ? The second's effect less the first's.

    `contrasts` is what `fl.compare_twin_effects` returns, `arms` are the names it was given.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> lower = fl.embedder_of(lambda x: x[:, 14:].reshape(len(x), -1) - 127.5, size=32)
    >>> arms = {"whole": [(whole.embed(twins), 0.7)], "lower": [(lower.embed(twins), 0.7)]}
    >>> figure = fl.plots.twin_contrasts(fl.compare_twin_effects(arms), list(arms), ["mated_score"])
    >>> print(figure.alt)
    Paired effects of single changes with 95% intervals; the largest: ...
    """
    shown = contrasts[contrasts["group"] == group]
    figure = _dots({"": [shown]}, quantities, "no difference")
    figure.supxlabel(f"effect with {arms[1]} less effect with {arms[0]}", size=10.5)
    return figure


def _dots(
    arms: dict[str, list[pd.DataFrame]],
    quantities: Sequence[str],
    nothing: str,
    palette: Sequence[str] = _COLOURS,
) -> Picture:
    rows = _rows(arms)
    lanes = sum(len(tables) for tables in arms.values())
    height = 1.3 + len(rows) * (0.17 + 0.09 * lanes)
    figure, columns = panels(len(quantities), height)
    for axes, quantity in zip(columns, quantities, strict=True):
        if quantity not in _PANELS:
            raise BadInput(f"there is no quantity {quantity!r}{there_are(quantity, _PANELS)}")
        title, label, times = _PANELS[quantity]
        points = np.full((lanes, len(rows), 3), np.nan)
        for lane, table in enumerate(table for tables in arms.values() for table in tables):
            here = table[table["quantity"] == quantity]
            places = [rows.index(key) for key in zip(here["factor"], here["level"], strict=True)]
            points[lane, places] = times * here[["difference", "low", "high"]].to_numpy(float)
        if quantity == "fmr":
            _both_ways(axes, points)
        _intervals(axes, points, [len(tables) for tables in arms.values()], palette)
        axes.set_title(title)
        axes.set_xlabel(label, size=10)
        mark(axes, 0, nothing, colour=FAINT, dash="-")
        _row_names(axes, rows, labelled=axes is columns[0])
    names = [name for name in arms if name]
    if names:
        handles = []
        for place, name in enumerate(names):
            look = {"color": palette[place % len(palette)], "marker": _MARKERS[place % 5]}
            handles.append(Line2D([], [], lw=1.6, label=entry(name), **look))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(names), 4))
    figure.alt = _words(arms, quantities)
    return figure


def _rows(arms: dict[str, list[pd.DataFrame]]) -> list[tuple[str, str]]:
    every = pd.concat([table for tables in arms.values() for table in tables])
    if every.empty:
        raise BadInput("there are no effects of that group to draw: choose another")
    return list(dict.fromkeys(zip(every["factor"], every["level"], strict=True)))


def _intervals(axes: Axes, points: np.ndarray, seeds: list[int], palette: Sequence[str]) -> None:
    """One lane an embedder and seed within each row; the colour is the embedder's."""
    lanes, count, _ = points.shape
    owner = np.repeat(np.arange(len(seeds)), seeds)
    for lane in range(lanes):
        colour, marker = palette[owner[lane] % len(palette)], _MARKERS[owner[lane] % 5]
        offset = (lane - (lanes - 1) / 2) * 0.7 / max(lanes, 2)
        for row in range(count):
            value, low, high = points[lane, row]
            if not np.isfinite(value):
                continue
            y = row + offset
            axes.plot([low, high], [y, y], color=colour, lw=1.5, solid_capstyle="butt", alpha=0.8)
            sure = low > 0 or high < 0
            face = colour if sure else "white"
            axes.plot(value, y, marker=marker, ms=4.5, mew=1.1, color=colour, mfc=face)


def _both_ways(axes: Axes, points: np.ndarray) -> None:
    """An axis of both signs: linear up to a tenth of the largest change, then logarithmic."""
    largest = np.nanmax(np.abs(points), initial=0)
    if not largest > 0:
        return
    knee = 10.0 ** np.floor(np.log10(largest / 8))
    axes.set_xscale("symlog", linthresh=knee, linscale=0.8)
    ends = [min(np.nanmin(points), -knee), max(np.nanmax(points), knee)]
    axes.set_xlim(ends[0] * 1.2, ends[1] * 1.2)
    steps = [knee * step for step in (1, 10, 100) if knee * step <= max(-ends[0], ends[1]) * 1.2]
    ticks = [-step for step in reversed(steps)] + [0] + steps
    axes.set_xticks([tick for tick in ticks if ends[0] * 1.2 <= tick <= ends[1] * 1.2])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+.4g}" if x else "0"))
    axes.minorticks_off()


def _row_names(axes: Axes, rows: list[tuple[str, str]], labelled: bool) -> None:
    """Levels down the left side, the factor before the first of its levels, a line between."""
    names, last = [], None
    for place, (factor, level) in enumerate(rows):
        names.append(f"{factor.replace('_', ' ')}   {level}" if factor != last else level)
        if place and factor != last:
            axes.axhline(place - 0.5, color="#DDDDDD", lw=0.8, zorder=0)
        last = factor
    axes.set_yticks(range(len(rows)), names if labelled else [])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=9.5)
    axes.tick_params(axis="x", labelsize=9.5)
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.label.set_color(INK)
    sns.despine(ax=axes, left=True)


def _words(arms: dict[str, list[pd.DataFrame]], quantities: Sequence[str]) -> str:
    """The largest change that each embedder shows, for those who cannot see the figure."""
    told: list[Any] = []
    for name, tables in arms.items():
        for quantity in quantities:
            here = tables[0][tables[0]["quantity"] == quantity].dropna(subset="difference")
            if here.empty:
                continue
            row = here.loc[here["difference"].abs().idxmax()]
            told.append(
                f"{name or 'largest'} {quantity}: {row['factor']} {row['level']} "
                f"{row['difference']:+.3g} [{row['low']:.2g}, {row['high']:.2g}]"
            )
    return "Paired effects of single changes with 95% intervals; the largest: " + "; ".join(told)
