"""Callbacks: who looks on while an embedder is trained.

In: functions and objects of somebody's own. Out: one object that calls them all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from facelab.embedders.sources import described, name_of
from facelab.errors import BadInput

_PLACES = ("after_step", "at_log", "at_look")


class Callbacks:
    """All that look on, in the order given.

    Parameters
    ----------
    given
        Each a function of the training, called after every step, or an object with one or more of
        `after_step(training)`, `at_log(training)` and `at_look(training)`. What `after_step` gives,
        if true, asks to stop.
    on_step, on_log, on_look
        As `train` takes them.

    Raises
    ------
    BadInput
        One of them is neither.
    """

    def __init__(
        self,
        given: Sequence[Any],
        on_step: Callable[[int], Any] | None,
        on_log: Callable[[dict[str, float]], None] | None,
        on_look: Callable[[pd.DataFrame], None] | None,
    ) -> None:
        self.about = [described(one) for one in given]
        self._calls: dict[str, list[tuple[str, Callable[[Any], Any]]]] = {}
        for one in given:
            found = {name: getattr(one, name) for name in _PLACES if hasattr(one, name)}
            if not found and callable(one):
                found = {"after_step": one}
            if not found or isinstance(one, type):
                raise BadInput(
                    f"{name_of(one)} is no callback: give a function of the training, or an object "
                    f"with one or more of {', '.join(_PLACES)}"
                )
            for place, call in found.items():
                self._add(place, call, name_of(one))
        if on_step:
            self._add("after_step", lambda training: on_step(training.step), "on_step")
        if on_log:
            self._add("at_log", lambda training: on_log(training.history[-1]), "on_log")
        if on_look:
            self._add("at_look", lambda training: on_look(training.looks[-1]), "on_look")

    def _add(self, place: str, call: Callable[[Any], Any], name: str) -> None:
        self._calls.setdefault(place, []).append((name, call))

    def tell(self, place: str, training: Any) -> bool:
        """Call those of a place; whether one of them asks to stop."""
        stop = False
        for name, call in self._calls.get(place, ()):
            learning = training.network.training  # not so while the head learns alone
            stop |= bool(call(training))
            if learning and not training.network.training:
                raise BadInput(
                    f"the callback {name} left the network in evaluation mode: end it with "
                    "training.network.train()"
                )
        return stop
