"""A training as it went, in pictures.

In: histories. Out: a Picture.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from facelab.arguments import as_annotated
from facelab.figures.lettering import entry
from facelab.figures.style import Picture, arm_look, drawn, panels

if TYPE_CHECKING:
    from facelab.training.grids import RecipeSearch


@as_annotated
@drawn
def training_curves(histories: Mapping[Any, pd.DataFrame]) -> Picture:
    """Did training converge, alike in every arm? Loss over steps; a line a seed.

    `histories` maps an arm, or (arm, seed), to a table with the columns `step` and `loss`.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> history = pd.DataFrame({"step": [1, 2, 3], "loss": [9.0, 5.0, 4.0]})
    >>> figure = fl.plots.training_curves({"skewed": history, "balanced": history})
    >>> print(figure.alt)
    Training loss over optimiser steps; last values: skewed 4.00, balanced 4.00.
    """
    figure, (axes,) = panels(1, 3.4)
    arms = list(dict.fromkeys(_arm_name(key) for key in histories))
    for key, history in histories.items():
        look = arm_look(arms.index(_arm_name(key)), len(arms))
        smooth = history["loss"].rolling(max(len(history) // 50, 1), min_periods=1).mean()
        axes.plot(history["step"], smooth, color=look["line"], ls=look["dash"], lw=1.4, alpha=0.85)
    handles = [
        Line2D([], [], color=look["line"], ls=look["dash"], lw=2, label=entry(arm))
        for look, arm in ((arm_look(i, len(arms)), arm) for i, arm in enumerate(arms))
    ]
    axes.legend(handles=handles, loc="upper right")
    axes.set(xlabel="optimiser step", ylabel="training loss (running mean)")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    sns.despine(ax=axes)
    last = ", ".join(f"{_key_name(k)} {h['loss'].iloc[-1]:.2f}" for k, h in histories.items())
    figure.alt = f"Training loss over optimiser steps; last values: {last}."
    return figure


@as_annotated
@drawn
def convergence(search: "RecipeSearch") -> Picture:
    """Had every method settled? The figure that chose, on held-out subjects, over steps.

    `search` is what `fl.search_recipes` gives: a thick line is a method's chosen candidate, thin
    ones those that were not.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> table = pd.DataFrame({"method": ["plain"], "candidate": 0, "value": 0.2, "chosen": True})
    >>> looks = pd.DataFrame({"method": "plain", "candidate": 0, "step": [5, 10]})
    >>> looks = looks.assign(chosen=True, value=[0.3, 0.2])
    >>> recipes = {"plain": fl.Recipe()}
    >>> found = fl.RecipeSearch(recipes, table, looks, "worst_fnmr", fmr=0.001, subjects=60)
    >>> print(fl.plots.convergence(found).alt)
    FNMR of the worst group on held-out subjects over optimiser steps; chosen, ...
    """
    figure, (axes,) = panels(1, 3.8)
    methods = list(search.recipes)
    for (method, _), own in search.looks.groupby(["method", "candidate"], sort=False):
        look = arm_look(methods.index(method), len(methods))
        width, alpha = (2.0, 1.0) if own["chosen"].all() else (0.8, 0.4)
        drawn_as = {"color": look["line"], "ls": look["dash"], "lw": width, "alpha": alpha}
        axes.plot(own["step"], own["value"], **drawn_as)
    handles = [
        Line2D([], [], color=look["line"], ls=look["dash"], lw=2, label=entry(method))
        for look, method in ((arm_look(i, len(methods)), m) for i, m in enumerate(methods))
    ]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    axes.set(xlabel="optimiser step", ylabel=search.words)
    axes.margins(x=0.01)
    sns.despine(ax=axes)
    chosen = search.table[search.table["chosen"]]
    last = ", ".join(f"{m} {v:.3g}" for m, v in zip(chosen["method"], chosen["value"], strict=True))
    told = f"{search.words[0].upper()}{search.words[1:]} on held-out subjects over optimiser steps"
    figure.alt = f"{told}; chosen, at the end: {last}."
    return figure


def _arm_name(key: Any) -> str:
    return str(key[0]) if isinstance(key, tuple) else str(key)


def _key_name(key: Any) -> str:
    return f"{key[0]}, seed {key[1]}" if isinstance(key, tuple) else str(key)
