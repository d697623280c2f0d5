"""Who is called something from which score on, by group, in a picture.

In: an `AnalysisAudit`. Out: a Picture.
"""

import numpy as np
import seaborn as sns

from facelab.analysis.by_group import AnalysisAudit
from facelab.arguments import as_annotated
from facelab.errors import BadInput, there_are
from facelab.figures.analyses import over_thresholds
from facelab.figures.style import FAINT, Picture, colours, drawn, mark, panels
from facelab.rates.tables import percent

_PANELS = {
    "fnr": ("Missed (FNR)", "% of those who are"),
    "fpr": ("Others called so (FPR)", "% of the others"),
    "precision": ("Precision, by the mix", "% of those called"),
}


@as_annotated
@drawn
def class_sweep(audit: AnalysisAudit, label: str, threshold: float | None = None) -> Picture:
    """From which score on a label is said: who is missed, who is called so wrongly?

    FNR, FPR and precision by group over the threshold, with intervals. Precision depends on the
    mix of classes: between groups of another mix it cannot be compared.

    Parameters
    ----------
    audit
        What `fl.analysis_audit` returns of predictions with `score_<label>` columns.
    label
        Whose score the threshold is of.
    threshold
        One to mark, from 0 to 1.

    Raises
    ------
    BadInput
        The audit holds no scores of this label.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gender": ["female", "male"] * 60, "tone": ["dark"] * 120})
    >>> frame["score_female"] = [0.9, 0.2, 0.7, 0.6] * 30
    >>> frame["score_male"] = 1 - frame["score_female"]
    >>> audit = fl.analysis_audit(frame, truth="gender", by="tone")
    >>> print(fl.plots.class_sweep(audit, "female", 0.8).alt)
    Called female from a score of 0.8 on: all 50% missed, 0% of others called so; dark 50% missed,
    0% of others called so.
    """
    every = audit.class_sweep
    table = every[every["class"] == label] if len(every) else every
    if table.empty:
        known = there_are(label, set(every["class"]) if len(every) else (), "they are of")
        raise BadInput(f"the audit holds no scores of {label!r}{known}")
    table = table[table["threshold"].notna()]
    groups = list(dict.fromkeys(table["group"]))
    palette = {**colours(groups), "all": FAINT}
    figure, grid = panels(len(_PANELS), 3.9)
    for axes, (rate, (title, unit)) in zip(grid, _PANELS.items(), strict=True):
        over_thresholds(axes, table[table[rate].notna()], rate, palette)
        axes.set(title=title, ylabel=unit, ylim=(-2, 102), xlim=(-1, 101))
        axes.grid(color="#EEEEEE", lw=0.8)
        sns.despine(ax=axes)
    grid[1].set_xlabel(f"called {label} from this score on, %")
    figure.alt = f"FNR, FPR and precision over the score of {label}, of {', '.join(groups)}."
    if threshold is not None:
        levels = np.unique(table["threshold"])
        at = table[table["threshold"] == levels[np.abs(levels - threshold).argmin()]]
        for axes, (title, _) in zip(grid, _PANELS.values(), strict=True):
            mark(axes, 100 * threshold, f"{100 * threshold:g}%")
            axes.set_title(title, pad=16)
        figure.alt = f"Called {label} from a score of {threshold:g} on: " + "; ".join(
            f"{row.group} {_spoken(row.fnr)} missed, {_spoken(row.fpr)} of others called so"
            for row in at.itertuples()
        )
        figure.alt += "."
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))
    return figure


def _spoken(rate: float) -> str:
    return percent(rate) if np.isfinite(rate) else "nobody"
