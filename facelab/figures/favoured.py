"""Each group favoured in turn, in a picture.

In: what `fl.mirrored_skew` returns. Out: a Picture.
"""

import matplotlib as mpl
import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.patches import Rectangle

from facelab.arguments import as_annotated
from facelab.audits.favoured import MirroredSkew
from facelab.faces.groups import SEPARATOR
from facelab.figures.style import INK, Picture, drawn, panels, wrapped


@as_annotated
@drawn
def favoured_groups(found: MirroredSkew) -> Picture:
    """Whom does it help and whom does it harm that a group is favoured in the training data?

    A row a favoured group, a column a tested one: its rate over that of balanced training. White is
    no change, red more errors, blue fewer; a framed cell can be told from no change although all of
    them were looked at.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audits = {}
    >>> for arm, first in (("balanced", 0), ("more a", 8), ("more b", 16)):  # parts of vectors
    ...     part = fl.Embeddings.from_arrays(people.vectors[:, first : first + 48], people.table)
    ...     audits[arm] = [fl.audit(part, "group", fmr=0.01)]
    >>> skew = fl.mirrored_skew(audits, {"more a": "a", "more b": "b"}, "balanced")
    >>> figure = fl.plots.favoured_groups(skew)
    >>> print(figure.alt)
    FMR over that of balanced training, by favoured group. a: ...
    """
    name, groups = found.error.upper(), list(found.rates.columns)
    rows = list(dict.fromkeys(found.changes["favoured"]))
    cells = found.changes.set_index(["favoured", "group"])
    values = np.array([[cells.loc[(row, group), "ratio"] for group in groups] for row in rows])
    with np.errstate(divide="ignore"):
        shown = np.log2(values)
    reach = max(np.abs(shown[np.isfinite(shown)]).max(initial=0), 1.0)
    norm = TwoSlopeNorm(0, -reach, reach)
    figure, (axes,) = panels(1, 2.4 + 0.5 * len(rows), "compressed")
    colour = mpl.colormaps["RdBu_r"]
    for (row, column), value in np.ndenumerate(values):
        told = cells.loc[(rows[row], groups[column]), "told"]
        known = np.isfinite(shown[row, column])
        face = colour(norm(shown[row, column])) if known else "#EDEDED"
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor="white", lw=1))
        if told in ("fell", "rose"):
            frame = {"fill": False, "edgecolor": INK, "lw": 2}
            axes.add_patch(Rectangle((column + 0.05, row + 0.05), 0.9, 0.9, **frame))
        strong = known and abs(shown[row, column]) > 0.6 * reach
        words = _times(value)
        ink = "white" if strong else INK
        axes.text(column + 0.5, row + 0.5, words, ha="center", va="center", color=ink, size=11)
    axes.set_xlim(0, len(groups))
    axes.set_ylim(len(rows), 0)
    start, shown_as = found.rates.loc[found.baseline], zip(groups, _broken(groups), strict=True)
    heads = [f"{head}\n{100 * start[group]:.2g}%" for group, head in shown_as]
    axes.set_xticks(np.arange(len(groups)) + 0.5, heads)
    axes.set_yticks(np.arange(len(rows)) + 0.5, wrapped(rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"tested group, with its {name} in {found.baseline} training")
    axes.set_ylabel("favoured group")
    axes.set_title(f"{name} over {found.baseline} training's (framed: told from no change)")
    scale = figure.colorbar(mpl.cm.ScalarMappable(norm, "RdBu_r"), ax=axes, aspect=30, pad=0.02)
    ticks = np.arange(-int(reach), int(reach) + 1)
    ticks = ticks[:: max(1, len(ticks) // 7)] if len(ticks) > 9 else ticks
    scale.set_ticks(ticks, labels=[_times(2.0**tick) for tick in ticks])
    scale.outline.set_visible(False)
    figure.faces = "none"
    told = [
        f"{row}: {', '.join(f'{g} {v:.3g}' for g, v in zip(groups, one, strict=True))}."
        for row, one in zip(rows, values, strict=True)
    ]
    figure.alt = f"{name} over that of {found.baseline} training, by favoured group. " + " ".join(
        told
    )
    return figure


def _broken(groups: list[str]) -> list[str]:
    """Labels narrow enough for columns: a line for each part of an intersection."""
    return [label.replace(SEPARATOR, f"{SEPARATOR}\n") for label in wrapped(groups)]


def _times(value: float) -> str:
    if np.isnan(value):
        return "unknown"
    return "none" if value == 0 else f"×{value:.2g}"
