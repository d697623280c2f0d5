"""Stills: what dials show on a page, where no kernel runs.

In: what a dial shows just now. Out: Pictures.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from facelab.figures.lettering import entry
from facelab.figures.style import INK, WIDTH, Picture, drawn, panels


@drawn
def pairs_sheet(pairs: list[list[np.ndarray]], words: list[str]) -> Picture:
    """Pairs of faces, four a row, each with its words."""
    columns = 4
    rows = -(-len(pairs) // columns)
    figure = Picture(figsize=(WIDTH, 1.45 * rows), layout="constrained")
    for place, axes in enumerate(np.ravel(figure.subplots(rows, columns))):
        axes.set_axis_off()
        if place < len(pairs):
            axes.imshow(np.concatenate(pairs[place], axis=1), interpolation="nearest")
            axes.set_title(words[place], size=8, weight="normal", pad=3)
    return figure


@drawn
def people_sheet(rows: list[tuple[str, list[np.ndarray], list[str]]], per_row: int) -> Picture:
    """A row of faces a cluster or person, each face with its tag."""
    margin = 1.9
    side = (WIDTH - margin) / per_row
    figure = Picture(figsize=(WIDTH, len(rows) * (side + 0.22) + 0.05))
    height = figure.get_figheight()
    for place, (words, crops, tags) in enumerate(rows):
        bottom = 1 - ((place + 1) * (side + 0.22)) / height
        figure.text(
            0.005, bottom + side / 2 / height, words.replace(", ", ",\n"), size=9.5, va="center"
        )
        for column, (crop, tag) in enumerate(zip(crops, tags, strict=False)):
            left = (margin + column * side) / WIDTH
            axes = figure.add_axes((left, bottom, 0.96 * side / WIDTH, 0.96 * side / height))
            axes.set_axis_off()
            axes.imshow(crop, interpolation="nearest")
            axes.set_title(tag, size=9, weight="normal", pad=2, loc="center")
    return figure


@drawn
def photo_and_twin(pictures: list[np.ndarray], words: list[str], group: str) -> Picture:
    """A synthetic subject as drawn, and its twin."""
    figure = Picture(figsize=(6.2, 3.5), layout="constrained")
    for axes, picture, text in zip(figure.subplots(1, 2), pictures, words, strict=True):
        axes.imshow(picture, interpolation="lanczos")
        axes.set_axis_off()
        axes.set_title(text, size=9, weight="normal", wrap=True)
    figure.faces = "synthetic"
    figure.alt = f"A synthetic subject ({group}) as drawn, and its twin: {words[1]}."
    return figure


@drawn
def watched_training(
    history: pd.DataFrame,
    lines: Mapping[str, Mapping[str, tuple[list[float], list[float], str]]],
    step: int,
) -> Picture:
    """The loss, and each error of the held-out groups over the steps.

    `lines` has for fmr and fnmr, by group: steps, rates, colour.
    """
    figure, columns = panels(3, 3.2)
    columns[0].plot(history["step"], history["loss"], color=INK)
    columns[0].set(title="Training loss", xlabel="step")
    for axes, (error, groups) in zip(columns[1:], lines.items(), strict=True):
        for name, (steps, rates, colour) in groups.items():
            axes.plot(steps, 100 * np.array(rates), color=colour, label=entry(name))
        axes.set(title=f"{error.upper()} by group, %", xlabel="step")
        axes.set_ylim(bottom=0)
    if lines["fmr"]:
        handles, labels = columns[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.alt = f"Training loss and error rates of held-out groups up to step {step}."
    return figure
