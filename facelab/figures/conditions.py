"""Two arms under two conditions, in a picture.

In: what `fl.compare_conditions` returns. Out: a Picture.
"""

import numpy as np

from facelab.arguments import as_annotated
from facelab.audits.conditions import Conditions
from facelab.figures.audits import arm_legend, ratio_ticks
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
)
from facelab.rates.tables import quantity_words, times, with_interval

_WIDEST = (0.02, 50)  # beyond which few errors draw intervals that hide all others


@as_annotated
@drawn
def condition_changes(found: Conditions) -> Picture:
    """What does the condition do to each group's errors, in either arm?

    A row a group, and below them the worst group over the best; a panel an error. Rates under the
    second condition over those under the first: 1 is no change. The thick line is the interval of a
    row alone; the thin one, by which groups are judged, allows for all of them.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audits = {}
    >>> for name, numbers in (("whole", 64), ("half", 32)):  # of every vector
    ...     told = fl.Embeddings.from_arrays(people.vectors[:, :numbers], people.table)
    ...     dim = fl.Embeddings.from_arrays(people.vectors[:, : numbers - 8], people.table)
    ...     audits[name] = {"bright": fl.audit(told, "group"), "dim": fl.audit(dim, "group")}
    >>> figure = fl.plots.condition_changes(fl.compare_conditions(audits))
    >>> print(figure.alt)
    Error rates, dim over bright, with 95% intervals. whole: FMR of all ...
    """
    parts = {arm: found.part(arm) for arm in found.arms}
    quantities = {
        error: [q for q in parts[found.arms[0]].index if q.startswith(f"{error}:")]
        + [f"max_min_ratio:{error}"]
        for error in ("fmr", "fnmr")
    }
    names = [q.partition(":")[2] for q in quantities["fmr"][:-1]] + ["worst / best group"]
    palette = colours(names[:-1])
    first, second = found.conditions
    figure, columns = panels(2, 1.6 + 0.46 * len(names))
    for axes, (error, rows) in zip(columns, quantities.items(), strict=True):
        ends = ["ratio", "ratio_low", "ratio_high", "family_low", "family_high"]
        shown = {arm: part.loc[rows, ends].to_numpy(float) for arm, part in parts.items()}
        seen = np.concatenate(list(shown.values()))
        seen = seen[np.isfinite(seen) & (seen > 0)]
        limits = (min(seen.min(initial=1) / 1.2, 0.45), max(seen.max(initial=1) * 1.2, 2.2))
        limits = (max(limits[0], _WIDEST[0]), min(limits[1], _WIDEST[1]))
        axes.set_xscale("log")
        axes.set_xlim(*limits)
        for place, arm in enumerate(found.arms):
            look = arm_look(place, 2)
            for row, (name, (ratio, *reach)) in enumerate(zip(names, shown[arm], strict=True)):
                y, colour = row + (place - 0.5) * 0.36, palette.get(name, INK)
                if not np.isfinite(ratio) or ratio <= 0:  # the table has its bounds
                    words = {"color": FAINT, "size": 9, "va": "center", "style": "italic"}
                    axes.text(limits[0] * 1.05, y, "no ratio", **words)
                    continue
                own, wide = reach[:2], reach[2:]
                for line, width in ((wide, 0.9), (own, 2.4)):
                    if not np.isnan(line).any():  # an end that there is not lies off the axis
                        axes.plot(np.clip(line, *limits), [y, y], color=colour, lw=width)
                face = colour if look["face"] == INK else "white"
                axes.plot(ratio, y, look["marker"], ms=6.5, color=colour, mfc=face, mew=1.4)
        axes.axhline(len(names) - 1.5, color="#BBBBBB", lw=0.8)
        axes.set_title("False matches" if error == "fmr" else "False non-matches")
        mark(axes, 1, "no change", colour=INK, dash="-")
        ratio_ticks(axes, *limits)
        group_rows(axes, names, labelled=error == "fmr")
        axes.set_xlabel(f"{error.upper()}, {second} / {first} (log)")
    arm_legend(figure, list(found.arms))
    figure.alt = f"Error rates, {second} over {first}, with 95% intervals. " + " ".join(
        f"{arm}: "
        + "; ".join(
            f"{quantity_words(row['quantity'])} {with_interval(row, 'ratio', times)}"
            for row in part.to_dict("records")
        )
        + "."
        for arm, part in parts.items()
    )
    return figure
