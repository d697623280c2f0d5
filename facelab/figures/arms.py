"""Arms against a baseline, in pictures.

In: what `compare_arms` and `arms_by_seed` return. Out: Pictures.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns

from facelab.arguments import as_annotated
from facelab.audits.arms import change_text, figure_text, kind_of, verdict
from facelab.errors import check_option
from facelab.figures.lettering import entry
from facelab.figures.style import (
    FAINT,
    INK,
    Picture,
    colours,
    drawn,
    factor_interval,
    factor_limits,
    factor_ticks,
    group_rows,
    panels,
)

_LOOKS = {"helps": ("#0072B2", "#0072B2"), "costs": ("#D55E00", "#D55E00"), "": (FAINT, "white")}


@as_annotated
@drawn
def arm_changes(table: pd.DataFrame, seeds: pd.DataFrame, baseline: str) -> Picture:
    """What does each arm change against the baseline? A row an arm, a panel a figure.

    Left of the line is better; a filled dot's interval leaves out "no change" although all arms and
    figures were looked at (the thin line), ticks are single trainings. `table` and `seeds` are what
    `compare_arms` and `arms_by_seed` return.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> audits = {"whole": [fl.audit(people, "group")], "half": [fl.audit(half, "group")]}
    >>> table, by_seed = fl.compare_arms(audits, "whole"), fl.arms_by_seed(audits, "whole")
    >>> figure = fl.plots.arm_changes(table, by_seed, baseline="whole")
    >>> print(figure.alt)
    Changes against whole: half FMR, worst / best group ×0.483 ...
    """
    check_option("baseline", baseline, dict.fromkeys(table["arm"]))
    arms = [arm for arm in dict.fromkeys(table["arm"]) if arm != baseline]
    names = list(dict.fromkeys(table["figure"]))
    picture, columns = panels(len(names), 1.5 + 0.36 * len(arms))
    for axes, figure in zip(columns, names, strict=True):
        kind, none = kind_of(figure), 1 if kind_of(figure).log else 0
        scale = 100 if kind.unit and not kind.log else 1
        part = table[table["figure"] == figure].set_index("arm", drop=False)
        if kind.log:
            axes.set_xscale("log")
            ends = part.loc[arms, ["family_low", "family_high"]]
            axes.set_xlim(*factor_limits(part.loc[arms, "change"], ends.to_numpy().ravel()))
        for place, arm in enumerate(arms):
            row = part.loc[arm]
            colour, face = _LOOKS[verdict(row)]
            each = seeds.query("arm == @arm and figure == @figure")["change"] * scale
            axes.plot(each, [place] * len(each), "|", ms=7, color=colour, alpha=0.8)
            look = {"color": colour, "solid_capstyle": "butt"}
            for part_of, width in (("family", 0.9), ("change", 2.4)):
                ends = [row[f"{part_of}_{end}"] * scale for end in ("low", "high")]
                if kind.log:
                    factor_interval(axes, place, *ends, lw=width, **look)
                else:
                    axes.plot(ends, [place, place], lw=width, **look)
            axes.plot(row["change"] * scale, place, "o", ms=7, color=colour, mfc=face, mew=1.6)
            if np.isnan(row["change"]):
                words = {"color": FAINT, "size": 9, "va": "center", "style": "italic"}
                axes.text(none, place, " unknown", **words)
        axes.axvline(none, color=INK, lw=1)
        start = figure_text(part.loc[baseline].to_dict(), "value", False)
        start += kind.unit if start != "unknown" else ""
        axes.set_title(f"{_two_lines(kind.words)}\n{baseline}: {start}", size=10.5)
        axes.set_xlabel("times (log)" if kind.log else "points" if kind.unit else "difference")
        if kind.log:
            factor_ticks(axes)
        else:
            axes.margins(x=0.12)
        axes.grid(axis="y", color="#EEEEEE", lw=0.8)
        group_rows(axes, arms, labelled=axes is columns[0], divide=False)
    picture.suptitle(
        "Change from the baseline, 95% intervals (thin: all of them at once, by which blue is "
        "better,\norange worse, hollow unclear)",
        size=11, x=0.01, ha="left",
    )  # fmt: skip
    rows = table[table["arm"] != baseline].to_dict("records")
    told = [f"{row['arm']} {change_text(row)}" for row in rows]
    picture.alt = f"Changes against {baseline}: {'; '.join(told) or 'there is no other arm'}"
    return picture


@as_annotated
@drawn
def arm_shares(
    table: pd.DataFrame, seeds: pd.DataFrame, shares: Mapping[str, float], fmr: float, favoured: str
) -> Picture:
    """How do errors move with the share of one group in the training data?

    Left, every group's FMR at the one threshold (the favoured group bold, the target dashed);
    right, the ratio of the highest to the lowest, a tick for every training. `shares` gives each
    arm's share.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> audits = {"whole": [fl.audit(people, "group")], "half": [fl.audit(half, "group")]}
    >>> figures = ["fmr_ratio", *(f"fmr:{group}" for group in "abcd")]
    >>> table = fl.compare_arms(audits, "whole", figures)
    >>> by_seed = fl.arms_by_seed(audits, "whole", figures)
    >>> figure = fl.plots.arm_shares(table, by_seed, {"whole": 0.25, "half": 0.8}, 1e-3, "a")
    >>> print(figure.alt)
    Ratio of the highest to the lowest group FMR, by share: 25% 3.87; 80% 1.87
    """
    picture, (left, right) = panels(2, 4.6)
    names = [f for f in dict.fromkeys(table["figure"]) if f.startswith("fmr:")]
    palette = colours([name.partition(":")[2] for name in names])
    x = table["arm"].map(shares) * 100
    for name in names:
        group, part = name.partition(":")[2], table["figure"] == name
        bold = group == favoured
        values = table[part].assign(x=x[part]).sort_values("x")
        colour, width = palette[group], 3 if bold else 1.4
        left.plot(
            values["x"], values["value"], "-o", color=colour, lw=width, ms=4, label=entry(group)
        )
        left.vlines(values["x"], values["low"], values["high"], color=colour, lw=width, alpha=0.35)
    left.axhline(fmr, color=INK, ls="--", lw=1)
    left.set_title("FMR of each group at the one threshold")
    left.set_ylabel("FMR (log)")
    left.set_yscale("log")
    left.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    left.legend(fontsize=9)
    part = table["figure"] == "fmr_ratio"
    values = table[part].assign(x=x[part]).sort_values("x")
    right.set_yscale("log")
    right.set_ylim(*factor_limits(values["value"], values[["low", "high"]].to_numpy().ravel()))
    right.plot(values["x"], values["value"], "-o", color=INK, lw=2, ms=7)
    for row in values.to_dict("records"):
        factor_interval(right, row["x"], row["low"], row["high"], upright=True, color=INK, lw=2)
    each = seeds[seeds["figure"] == "fmr_ratio"]
    right.plot(each["arm"].map(shares) * 100, each["value"], "_", color=INK, ms=9, alpha=0.6)
    right.set_title("Worst group's FMR / best group's")
    factor_ticks(right, "y")
    right.axhline(1, color=FAINT, lw=1)
    for axes in (left, right):
        axes.set_xlabel(f"{favoured} among the training subjects, %")
        axes.grid(axis="y", which="major", color="#E6E6E6", lw=0.8)
        sns.despine(ax=axes)
    picture.alt = "Ratio of the highest to the lowest group FMR, by share: " + "; ".join(
        f"{row['x']:.0f}% {row['value']:.3g}" for _, row in values.iterrows()
    )
    return picture


def _two_lines(words: str) -> str:
    """Panels are narrow: break at the comma or the last space."""
    head, comma, tail = words.partition(", ")
    if not comma:
        head, _, tail = words.rpartition(" ")
    return f"{head}\n{tail}" if head else f"\n{tail}"
