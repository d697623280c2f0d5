"""How right a grouping is for whom, and at which threshold, in pictures.

In: what `grouping_accuracy` gives. Out: Pictures.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.figures.lettering import entry
from facelab.figures.style import (
    ALERT,
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


@as_annotated
@drawn
def grouping_by_group(accuracy: pd.DataFrame) -> Picture:
    """Who is grouped with strangers, and who is split? Shares of faces with 95% intervals.

    Parameters
    ----------
    accuracy
        What `facelab.grouping_accuracy` returns with `by`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> accuracy = fl.grouping_accuracy(fl.group_faces(people, threshold=0.3), by="group")
    >>> figure = fl.plots.grouping_by_group(accuracy)
    >>> print(figure.alt)
    Shares of faces with 95% intervals. all: with ...
    """
    groups = accuracy["group"].tolist()
    palette = colours(groups)
    figure, columns = panels(2, 1.3 + 0.4 * len(groups))
    titles = {
        "with_strangers": ("Grouped with strangers", "% of the group's faces"),
        "split_off": ("Split off from their person", "% of the group's faces"),
    }
    for axes, (measure, (title, label)) in zip(columns, titles.items(), strict=True):
        for y, row in enumerate(accuracy.to_dict("records")):
            value, low, high = (100 * row[f"{measure}{end}"] for end in ("", "_low", "_high"))
            colour = palette[row["group"]]
            axes.plot([low, high], [y, y], color=colour, lw=1.7, alpha=0.75)
            axes.plot(value, y, marker="o", ms=6.5, color=colour)
        axes.set_xlim(0, None)
        group_rows(axes, groups, labelled=measure == "with_strangers")
        axes.set(title=title, xlabel=label)
        axes.grid(axis="x", color="#E6E6E6", lw=0.8)
        axes.set_axisbelow(True)
    figure.alt = "Shares of faces with 95% intervals. " + " ".join(
        f"{row['group']}: with strangers {100 * row['with_strangers']:.1f}% "
        f"[{100 * row['with_strangers_low']:.1f}, {100 * row['with_strangers_high']:.1f}], "
        f"split off {100 * row['split_off']:.1f}%."
        for row in accuracy.to_dict("records")
    )
    return figure


@as_annotated
@drawn
def grouping_over_thresholds(ladder: Mapping[float, pd.DataFrame], chosen: float) -> Picture:
    """What does the threshold do to the grouping? B-cubed of everybody, and strangers by group.

    `ladder` holds `grouping_accuracy` by threshold; `chosen` is marked.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> ladder = {
    ...     threshold: fl.grouping_accuracy(fl.group_faces(people, threshold), by="group")
    ...     for threshold in (0.2, 0.3, 0.4)
    ... }
    >>> figure = fl.plots.grouping_over_thresholds(ladder, chosen=0.3)
    >>> print(figure.alt)
    B-cubed precision, recall and F over thresholds from 0.20 to 0.40; F ...
    """
    thresholds = np.array(sorted(ladder))
    tables = [ladder[t] for t in thresholds]
    groups = tables[0]["group"].tolist()
    figure, (left, right) = panels(2, 3.6)
    names = {"precision": "bcubed_precision", "recall": "bcubed_recall", "F": "bcubed_f"}
    for place, (name, measure) in enumerate(names.items()):
        values = [table[measure][0] for table in tables]
        look = arm_look(place, 3)
        colour = INK if name == "F" else look["line"]
        left.plot(thresholds, values, color=colour, ls=look["dash"], lw=1.8, label=entry(name))
    left.set(title="B-cubed, everybody", xlabel="threshold (score)", ylim=(0, 1.02))
    left.legend(loc="lower center")
    palette = colours(groups)
    for place, group in enumerate(groups):
        values = [100 * table["with_strangers"][place] for table in tables]
        colour = palette[group] if group != "all" else FAINT
        right.plot(thresholds, values, color=colour, lw=1.8, label=entry(group))
    right.set(title="Grouped with strangers", xlabel="threshold (score)")
    right.set_ylabel("% of the group's faces")
    right.set_ylim(0, None)
    right.legend(ncols=1 + (len(groups) > 6), fontsize=9)
    for axes in (left, right):
        mark(axes, chosen, f"{chosen:.2f}", ALERT)
    best = max(range(len(tables)), key=lambda place: tables[place]["bcubed_f"][0])
    figure.alt = (
        f"B-cubed precision, recall and F over thresholds from {thresholds[0]:.2f} to "
        f"{thresholds[-1]:.2f}; F is highest, {tables[best]['bcubed_f'][0]:.3f}, at "
        f"{thresholds[best]:.2f}; {chosen:.2f} was taken."
    )
    return figure
