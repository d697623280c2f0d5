"""The training monitor: how a training goes, while it goes, and a button to stop it.

In: the steps and looks that `fl.train` reports. Out: error rates of the held-out groups over the
steps, the loss, and when it will be done.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

import ipywidgets as ipw
import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.figures.stills import watched_training
from facelab.figures.style import Picture, colours
from facelab.widgets import drawing
from facelab.widgets.dial import Dial

_OFTEN = 0.25  # seconds between two drawings of steps
_LEFT, _WIDTH, _GAP = 60, 220, 64


@as_annotated
def training_monitor(steps: int | None = None) -> "TrainingMonitor":
    """Watch a training: show the monitor, then give its `hooks` to `fl.train`.

    Parameters
    ----------
    steps
        How many there will be, for the axis and the time left.

    Returns
    -------
    TrainingMonitor

    Examples
    --------
    >>> import facelab as fl
    >>> faces, recipe = fl.synthesize(6, 4, size=32), fl.Recipe(steps=3, size=32, dim=64)
    >>> monitor = fl.widgets.training_monitor(recipe.steps)
    >>> embedder = fl.train(faces, recipe, **monitor.hooks)
    >>> monitor.value["step"], monitor.value["stopped"]
    (3, False)
    """
    return TrainingMonitor(steps)


class TrainingMonitor(Dial):
    """See `training_monitor`. A drawing takes about 3 ms here, and at most four are made a second.

    The button works while a cell trains where the front end sends its messages to a subshell of
    the kernel (JupyterLab from 4.4 with ipykernel from 7), and for a training in a thread
    everywhere; elsewhere interrupt the kernel.

    Attributes
    ----------
    button
        Stops the training at the next step, saved in its `checkpoints` if it has some; gone when
        the training is over.
    """

    def __init__(self, steps: int | None = None) -> None:
        super().__init__()
        self.button = ipw.Button(
            description="Stop training", icon="stop", tooltip="Stop at the next step"
        )
        self.button.on_click(lambda _: self.stop())
        self._asked = threading.Event()
        self.reset(steps)
        self.show(self.button)

    def reset(self, steps: int | None = None) -> None:
        """Ready for another training."""
        self.steps, self.step = steps, 0
        self._looks: list[pd.DataFrame] = []
        self._history = pd.DataFrame({"step": [], "loss": []})
        self._asked.clear()
        self._began, self._drawn = time.perf_counter(), 0.0
        self._end = ""
        self.button.layout.display = ""

    @property
    def hooks(self) -> dict[str, Any]:
        """What to give to `fl.train`."""
        names = ("on_step", "on_log", "on_look")
        return {name: getattr(self, name) for name in names} | {"progress": False}

    @property
    def value(self) -> dict[str, Any]:
        """`step`, `steps`, `stopped`, `history` (step, loss) and `looks` (rates by group)."""
        looks = pd.concat(self._looks, ignore_index=True) if self._looks else pd.DataFrame()
        return {
            "step": self.step,
            "steps": self.steps,
            "stopped": self._asked.is_set(),
            "history": self._history,
            "looks": looks,
        }

    def stop(self) -> None:
        """Ask the training to stop at its next step."""
        self._asked.set()
        self.say("Stopping at the next step.")

    def over(self) -> None:
        """There is nothing left to stop."""
        self.button.layout.display = "none"

    def on_step(self, step: int) -> bool:
        """For `fl.train`: whether the button was pressed."""
        if step == 1:
            self._began = time.perf_counter()
        self.step = step
        if self._asked.is_set():
            self._end = f"stopped at step {step}"
        if self._asked.is_set() or step == self.steps:
            self.over()
        if self._asked.is_set() or time.perf_counter() - self._drawn > _OFTEN:
            self.move()
        return self._asked.is_set()

    def on_log(self, row: Mapping[str, float]) -> None:
        """For `fl.train`."""
        self._history.loc[len(self._history)] = [row["step"], row["loss"]]

    def on_look(self, rates: pd.DataFrame) -> None:
        """For `fl.train`."""
        self._looks.append(rates)
        self.move()

    def done(self, embedder: Any) -> None:
        """Show the loss over the whole training, from the embedder's history."""
        self._history = embedder.history[["step", "loss"]]
        self._end = "done"
        self.over()
        self.say("")
        self.move()

    def move(self, _: Any = None) -> None:
        super().move()
        self._drawn = time.perf_counter()

    def draw(self) -> tuple[str, str]:
        last = float(max(self.steps or 0, self.step, 1))
        looks = self.value["looks"]
        groups = list(looks["group"].unique()) if len(looks) else []
        palette = drawing.palette(groups)
        loss = self._history
        series = {"training loss": (loss["step"].tolist(), loss["loss"].tolist(), "#777777")}
        parts = [
            drawing.lines(
                (_LEFT, _WIDTH),
                series,
                ((0.0, last), (0.0, float(loss["loss"].max()) if len(loss) else 1.0)),
                "Training loss",
            )
        ]
        for place, error in enumerate(("fmr", "fnmr"), start=1):
            rates = looks[error].to_numpy(float) if len(looks) else np.zeros(0)
            top = float(np.nanmax(rates)) if np.isfinite(rates).any() else 1.0
            parts.append(
                drawing.lines(
                    (_LEFT + place * (_WIDTH + _GAP), _WIDTH),
                    _over_steps(looks, error, palette) if len(looks) else {},
                    ((0.0, last), (0.0, top or 1.0)),
                    f"{error.upper()} of held-out groups",
                    tick=drawing.percent,
                )
            )
        parts.append(drawing.legend(_LEFT + 3 * (_WIDTH + _GAP) - 36, palette))
        height = max(drawing.TOP + 190 + 30, drawing.TOP + 20 * len(groups))
        picture = drawing.svg(_LEFT + 3 * (_WIDTH + _GAP) + 150, height, self._alt(), *parts)
        return picture, self._table()

    def _alt(self) -> str:
        if not self._looks:
            return f"Training, {self._where()}; no look at held-out subjects yet."
        each = "; ".join(
            f"{row['group']} FMR {drawing.percent(row['fmr'])}, FNMR {drawing.percent(row['fnmr'])}"
            for row in self._looks[-1].to_dict("records")
        )
        return f"Training, {self._where()}. Last look: {each}."

    def _where(self) -> str:
        """How far it is, in words."""
        told = f"step {self.step:,}" + (f" of {self.steps:,}" if self.steps else "")
        if self._end:
            return f"{told}, {self._end}"
        if self.step and self.steps and self.step < self.steps:
            spent = time.perf_counter() - self._began
            left = spent / self.step * (self.steps - self.step)
            told += f", about {left:.0f} s left" if left < 120 else f", about {left / 60:.0f} min"
        return told

    def _table(self) -> str:
        if not self._looks:
            return f'<p style="line-height:1.4">{drawing.safe(self._where().capitalize())}.</p>'
        rates = self._looks[-1]
        frame = pd.DataFrame(
            {error.upper(): [drawing.percent(x) for x in rates[error]] for error in ("fmr", "fnmr")}
        ).set_index(pd.Index(rates["group"], name="group"))
        step, threshold = int(rates["step"].iloc[0]), float(rates["threshold"].iloc[0])
        caption = f"{self._where().capitalize()}. At step {step:,}, threshold {threshold:.3f}"
        return drawing.table_html(frame, caption)

    def still(self) -> tuple[list[Picture], str]:
        if not self.step:
            return [], self._table()
        state = self.value
        palette = colours(list(state["looks"]["group"].unique())) if self._looks else {}
        lines = {
            error: _over_steps(state["looks"], error, palette) if self._looks else {}
            for error in ("fmr", "fnmr")
        }
        return [watched_training(state["history"], lines, self.step)], self._table()


def _over_steps(
    looks: pd.DataFrame, error: str, palette: Mapping[str, str]
) -> dict[str, tuple[list[float], list[float], str]]:
    """Each group's rates over the steps, the worst in the last look on top."""
    lines = {
        group: (rows["step"].tolist(), rows[error].tolist(), palette[group])
        for group, rows in looks.groupby("group", sort=False, observed=True)
    }
    return dict(sorted(lines.items(), key=lambda item: np.nan_to_num(item[1][1][-1])))
