"""Scores by group, in a picture.

In: histograms. Out: a Picture.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from facelab.arguments import as_annotated
from facelab.figures.style import Picture, advised, colours, drawn, group_rows, mark, panels


@as_annotated
@drawn
def score_distributions(
    scores: Mapping[str, Any],
    threshold: float | Mapping[str, float],
    lines: Mapping[str, float] | None = None,
) -> Picture:
    """Where do the scores of each group lie, against the one threshold?

    Parameters
    ----------
    scores
        Per arm (or alone) a mapping of group to `(edges, mated, non_mated)`: the edges of score
        bins and the counts in them, as `Audit.histograms` has it.
    threshold
        One a arm, or one.
    lines
        Further thresholds by name, such as `fl.vendor_thresholds("rekognition")`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.score_distributions(audit.histograms, audit.threshold)
    >>> print(figure.alt)
    Distributions of mated and non-mated scores by group: all, a, b, c, d.
    """
    arms = scores if isinstance(next(iter(scores.values())), Mapping) else {"": scores}
    groups = list(dict.fromkeys(group for one in arms.values() for group in one))
    limits, palette, told = _score_limits(arms), colours(groups), ""
    figure, columns = panels(len(arms), 1.4 + 0.55 * len(groups))
    for axes, (name, by_group) in zip(columns, arms.items(), strict=True):
        at = threshold[name] if isinstance(threshold, Mapping) else threshold
        for row, group in enumerate(groups):
            if group not in by_group:
                continue
            edges, mated, non_mated = by_group[group]
            colour = palette[group]
            _ridge(axes, edges, non_mated, row, fill="#C4C4C4", line="#7A7A7A", limits=limits)
            _ridge(axes, edges, mated, row, fill=colour, line=colour, limits=limits)
        axes.set_xlim(*limits)
        axes.set_title(name)
        mark(axes, at, f"threshold {at:.2f}")
        axes.set_xlabel("score")
        group_rows(axes, groups, labelled=axes is columns[0], divide=False)
        axes.set_ylim(len(groups) - 0.5, -0.95)
        told = advised(axes, lines)
    handles = [
        mpl.patches.Patch(fc="#C4C4C4", ec="#7A7A7A", label="non-mated comparisons"),
        mpl.patches.Patch(fc="#8FB8D0", ec="#0072B2", label="mated comparisons (group's colour)"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    figure.alt = f"Distributions of mated and non-mated scores by group: {', '.join(groups)}.{told}"
    return figure


def _score_limits(arms: Mapping[str, Any]) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for by_group in arms.values():
        for edges, mated, non_mated in by_group.values():
            filled = np.flatnonzero(np.asarray(mated) + np.asarray(non_mated))
            if len(filled):
                low, high = min(low, edges[filled[0]]), max(high, edges[filled[-1] + 1])
    return (float(low), float(high)) if low < high else (-1.0, 1.0)


def _ridge(
    axes: Axes,
    edges: np.ndarray,
    counts: np.ndarray,
    row: int,
    fill: str,
    line: str,
    limits: tuple[float, float],
) -> None:
    """A histogram that stands on its row's line, scaled to its own peak."""
    counts = np.asarray(counts, dtype=float)
    if not counts.sum():
        return
    edges = np.asarray(edges, dtype=float)
    grid = np.linspace(*limits, 81)
    cumulative = np.concatenate([[0.0], np.cumsum(counts)])
    density = np.diff(np.interp(grid, edges, cumulative))
    height = row - 0.88 * density / density.max()
    axes.stairs(height, grid, baseline=row, fill=True, color=fill, alpha=0.45, lw=0)
    axes.stairs(height, grid, baseline=row, color=line, lw=1.1)
