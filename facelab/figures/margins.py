"""Ratios beside a margin: which of them were shown to be as good as equal.

In: tables of contrasts or of changes. Out: a Picture.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.figures.style import BAND, FAINT, INK, WIDTH, Picture, drawn, group_rows
from facelab.rates.margins import MARGIN
from facelab.rates.margins import equivalence as within_margin


@as_annotated
@drawn
def equivalence(table: pd.DataFrame, margin: float = MARGIN) -> Picture:
    """Which ratios were shown to be as good as 1? Those whose whole interval lies in the band.

    Parameters
    ----------
    table
        Contrasts or changes, as `fl.equivalence` takes them.
    margin
        How many times as high a rate may be and still count as equal.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(400, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> print(fl.plots.equivalence(audit.contrasts(correct="none"), margin=2).alt)
    Ratios beside a margin of 2 times: ...
    """
    table = within_margin(table, margin)
    rows = table[np.isfinite(table["ratio"].astype(float))].to_dict("records")
    names = [_pair(row) for row in rows]
    picture = Picture(figsize=(WIDTH, 1.3 + 0.34 * max(len(rows), 1)), layout="constrained")
    axes = picture.subplots()
    axes.set_xscale("log")
    ends = np.array([[row["ratio_low"], row["ratio_high"]] for row in rows] or [[1, 1]], float)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    least, most = ends.min(initial=1) / 1.1, ends.max(initial=1) * 1.1
    limits = (min(least, 0.6 / margin), max(most, 1.7 * margin))
    axes.set_xlim(*limits)
    axes.axvspan(1 / margin, margin, color=BAND, lw=0)
    axes.axvline(1, color=FAINT, lw=1)
    for place, row in enumerate(rows):
        low, high = max(row["ratio_low"], limits[0]), min(row["ratio_high"], limits[1])
        axes.plot([low, high], [place] * 2, color=INK, lw=2)
        face = INK if row["equivalent"] else "white"
        axes.plot(row["ratio"], place, "o", ms=7, color=INK, mfc=face)
    ticks = [x for x in (0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10) if limits[0] <= x <= limits[1]]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_title(f"Filled: shown to lie within {margin:g} times, the band")
    group_rows(axes, names, divide=False)
    picture.alt = f"Ratios beside a margin of {margin:g} times: " + "; ".join(
        f"{name} {row['ratio']:.2g}, {'shown' if row['equivalent'] else 'not shown'}"
        for name, row in zip(names, rows, strict=True)
    )
    return picture


def _pair(row: dict[str, Any]) -> str:
    return row["quantity"] if "quantity" in row else f"{row['group']} / {row['reference']}"
