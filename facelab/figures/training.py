"""A training as it went, in pictures.

In: histories. Out: a Picture.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from facelab.figures.lettering import entry
from facelab.figures.style import Picture, arm_look, drawn, panels


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


def _arm_name(key: Any) -> str:
    return str(key[0]) if isinstance(key, tuple) else str(key)


def _key_name(key: Any) -> str:
    return f"{key[0]}, seed {key[1]}" if isinstance(key, tuple) else str(key)
