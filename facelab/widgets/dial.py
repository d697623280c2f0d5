"""What all dials share: controls, a figure and a table that follow them, and a still picture.

In: ipywidgets controls. Out: a `Dial`, live where a kernel runs, a figure and a table elsewhere.
"""

import html
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as ipw
import pandas as pd

from facelab.errors import FacelabError
from facelab.figures.style import Picture
from facelab.widgets.drawing import image

# ipywidgets gives the handles of sliders no names, and makes them anew when a slider changes.
_NAMES = """
const begin = tries => {
  const box = element.closest(".facelab-dial");
  if (!box) return tries && setTimeout(begin, 100, tries - 1);  // not in the page yet
  const name = () => {
    for (const row of box.querySelectorAll(".widget-slider"))
      for (const handle of row.querySelectorAll("[role=slider]:not([aria-label])"))
        handle.setAttribute("aria-label", row.querySelector("label").textContent);
  };
  new MutationObserver(name).observe(box, {childList: true, subtree: true});
  name();
};
begin(100);
"""
_WIDE = ipw.Layout(width="32rem", max_width="100%")
_LABEL = {"description_width": "11rem"}


class Dial(ABC):
    """Controls, and what they show.

    A subclass makes its controls, calls `show` with them, and says in `draw` what figure and table
    belong to their positions, in `still` what stands there where nothing can be moved, and in
    `value` what the positions mean.

    Attributes
    ----------
    view
        The ipywidgets box, to be put beside others.
    figure, table, status
        HTML that follows the controls; `status` says in a sentence what cannot be.
    refused
        What `status` says, or "".
    seconds
        How long the last move took here, without the way to the browser.
    """

    def __init__(self) -> None:
        self.figure, self.table, self.status = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.view = ipw.VBox()
        self.view.add_class("facelab-dial")
        self.seconds, self.refused = 0.0, ""

    @property
    @abstractmethod
    def value(self) -> dict[str, Any]:
        """The state as plain values: numbers, texts, DataFrames."""

    @abstractmethod
    def draw(self) -> tuple[str, str]:
        """The figure and the table of the controls' positions, as HTML."""

    @abstractmethod
    def still(self) -> tuple[Sequence[Picture], str]:
        """Pictures and a table (HTML) for a page without a kernel."""

    def show(self, *controls: ipw.Widget, beside: bool = False) -> None:
        """Put controls, figure and table below one another, and follow the controls.

        With `beside`, the figure stands to the right of the controls where there is room, and
        above them where there is none: what they change is in sight while they are turned.
        """
        if beside:
            for control in controls:
                control.style.description_width = "6rem"
            narrow = ipw.Layout(flex="1 1 14rem", max_width="32rem", min_width="0")
            left = ipw.VBox(controls, layout=narrow)
            self.figure.layout = ipw.Layout(flex="1 1 10rem", min_width="0", padding="0 0 0 1rem")
            wrapping = ipw.Layout(flex_flow="row wrap-reverse", align_items="flex-end")
            parts = (ipw.Box((left, self.figure), layout=wrapping), self.status)
        else:
            parts = (*controls, self.status, self.figure)
        self.view.children = (*parts, self.table, _script(_NAMES))
        self.move()

    def follow(self, *controls: ipw.Widget) -> None:
        """Move whenever one of the controls does."""
        for control in controls:
            control.observe(self.move, "value")

    def move(self, _: Any = None) -> None:
        """Bring figure and table up to date; what cannot be is said, and they stay as they are."""
        start = time.perf_counter()
        self.refused = ""
        try:
            self.figure.value, self.table.value = self.draw()
        except FacelabError as error:
            self.refused = str(error)
        self.say(self.refused)
        self.seconds = time.perf_counter() - start

    def say(self, words: str, alarm: bool = True) -> None:
        """A sentence below the controls, which screen readers read out."""
        style = "margin:.2rem 0;line-height:1.4;padding-left:.6rem;border-left:4px solid "
        style += "#B2182B" if alarm else "#888888"
        said = f'<p role="status" style="{style}">{html.escape(words)}</p>'
        self.status.value = said if words else '<p role="status" style="margin:0"></p>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        pictures, table = self.still()
        shown = "".join(image(one.png(), one.alt, one.faces) for one in pictures)
        bundle = self.view._repr_mimebundle_()
        return {**bundle, "text/plain": repr(self), "text/html": shown + table}

    def __repr__(self) -> str:
        told = {name: _short(value) for name, value in self.value.items()}
        inside = ", ".join(f"{name}={text}" for name, text in told.items())
        return f"{type(self).__name__}({inside})"


def _script(code: str) -> ipw.Output:
    """Code that runs where the dial is shown, and only there: no page keeps it."""
    data = {"application/javascript": code}
    shown = {"output_type": "display_data", "data": data, "metadata": {}}
    return ipw.Output(outputs=(shown,), layout=ipw.Layout(height="0", overflow="hidden"))


def _short(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return f"<{len(value)} rows>"
    if hasattr(value, "shape"):
        return f"<{' x '.join(map(str, value.shape))}>"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def slider(options: Sequence[tuple[str, Any]], label: str, start: Any) -> ipw.SelectionSlider:
    """A slider with named stops."""
    return ipw.SelectionSlider(
        options=list(options), value=start, description=label, style=_LABEL, layout=_WIDE
    )


def numbers(
    low: float, high: float, start: float, label: str, step: float = 1
) -> ipw.IntSlider | ipw.FloatSlider:
    """A slider of numbers; whole ones where `step` is."""
    kind = ipw.IntSlider if isinstance(step, int) else ipw.FloatSlider
    return kind(start, min=low, max=high, step=step, description=label, style=_LABEL, layout=_WIDE)


def choice(options: Sequence[Any] | Mapping[str, Any], label: str, start: Any) -> ipw.Dropdown:
    """One of several."""
    pairs = list(options.items()) if isinstance(options, Mapping) else list(options)
    return ipw.Dropdown(options=pairs, value=start, description=label, style=_LABEL, layout=_WIDE)
