"""Figures that move: SVG and tables as text, made in about a millisecond.

In: rates, limits, colours. Out: HTML with a text for those who cannot see it. Axes are fixed by
their limits, so that only dots, cells and lines move from one drawing to the next.
"""

import base64
import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from facelab.figures.style import ALERT, colours
from facelab.rates.tables import footnotes, noted
from facelab.shown import note_picture

LABELS = 170  # px left of the first panel, for the names of groups
ROW, TOP = 24, 46
_READABLE = 46  # px; narrower cells hold no words
_LETTER = 6.5  # px, of the small type at most
_GRID, _FAINT = "#8888884d", "#767676"


@dataclass(frozen=True)
class Dot:
    """One value with its interval, in the row of its group; `hollow` is the baseline's."""

    row: float
    value: float
    low: float
    high: float
    colour: str
    hollow: bool = False


@dataclass(frozen=True)
class Panel:
    """A logarithmic axis of given limits, somewhere in the figure."""

    left: float
    width: float
    limits: tuple[float, float]
    title: str
    tick: Callable[[float], str]

    def x(self, value: float) -> float:
        """Where a value stands; what is off the axis stands at its end."""
        low, high = (math.log10(end) for end in self.limits)
        share = (math.log10(value) - low) / (high - low) if value > 0 else 0.0
        return self.left + self.width * min(max(share, 0.0), 1.0)

    def frame(self, rows: int) -> str:
        """Title, grid and the labels of the axis."""
        low, high = (math.log10(end) for end in self.limits)
        steps = (1,) if high - low > 1.5 else (1, 2, 5)
        ticks = [
            step * 10.0**power
            for power in range(math.floor(low), math.ceil(high) + 1)
            for step in steps
        ]
        ticks = [t for t in ticks if low - 1e-9 <= math.log10(t) <= high + 1e-9]
        bottom = TOP + rows * ROW
        lines = [f'<text x="{self.left:.1f}" y="18" font-weight="bold">{safe(self.title)}</text>']
        apart, free = _LETTER * (max(len(self.tick(t)) for t in ticks) + 1), -math.inf
        for t in ticks:
            x = self.x(t)
            if x < free:
                continue
            free = x + apart
            lines.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom}" stroke="{_GRID}"/>'
                f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" font-size="11">'
                f"{self.tick(t)}</text>"
            )
        return "".join(lines)

    def mark(self, value: float, rows: int) -> str:
        """A dashed line down the panel."""
        x = self.x(value)
        return (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 12}" y2="{TOP + rows * ROW}" '
            f'stroke="{ALERT}" stroke-width="1.2" stroke-dasharray="4 3"/>'
        )

    def draw(self, dots: Sequence[Dot]) -> str:
        """Dots with their intervals; a triangle at the bound where no error was seen."""
        parts = []
        for dot in dots:
            y = TOP + (dot.row + 0.5) * ROW
            if not math.isfinite(dot.value):
                parts.append(
                    f'<text x="{self.left + 4:.1f}" y="{y + 4:.1f}" font-size="11" '
                    f'font-style="italic" fill="{_FAINT}">nothing to compare</text>'
                )
                continue
            if not math.isnan(dot.high):
                high = min(dot.high, self.limits[1])  # without an end: to that of the axis
                ends = self.x(dot.low if dot.value > 0 else 0.0), self.x(high)
                dash = "" if dot.value > 0 else ' stroke-dasharray="2 3"'
                parts.append(
                    f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                    f'stroke="{dot.colour}" stroke-width="2"{dash}/>'
                )
            fill = "none" if dot.hollow or not dot.value else dot.colour
            style = f'fill="{fill}" stroke="{dot.colour}" stroke-width="2"'
            if dot.value > 0:
                parts.append(f'<circle cx="{self.x(dot.value):.1f}" cy="{y:.1f}" r="5" {style}/>')
            else:
                x = self.x(dot.high) if math.isfinite(dot.high) else self.left
                parts.append(f'<path d="M{x - 5:.1f} {y:.1f}l9 -5v10z" {style}/>')
        return "".join(parts)


def dots(
    rates: pd.DataFrame,
    name: str,
    colours: Mapping[str, str],
    shift: float = 0.0,
    hollow: bool = False,
) -> list[Dot]:
    """The column of a rate and its ends, a dot a row of the table, in the colour of its group."""
    columns = (rates[column] for column in ("group", name, f"{name}_low", f"{name}_high"))
    return [
        Dot(row + shift, *told, colours[str(group)], hollow)
        for row, (group, *told) in enumerate(zip(*columns, strict=True))
    ]


def palette(groups: Sequence[str]) -> dict[str, str]:
    """The colours of groups in reports; all of them together in that of the text, light or dark."""
    return colours(groups) | {group: "currentColor" for group in groups if group == "all"}


def rate_limits(values: np.ndarray) -> tuple[float, float]:
    """Whole decades around all positive rates."""
    seen = values[np.isfinite(values) & (values > 0)]
    if not len(seen):
        return 1e-3, 1.0
    low = math.floor(math.log10(seen.min()) + 1e-9)
    high = math.ceil(math.log10(seen.max()) - 1e-9)
    return 10.0**low, 10.0 ** max(high, low + 1)


def percent(rate: float) -> str:
    """A rate for a tick or a cell, two digits of it: 0.12%."""
    if not math.isfinite(rate):
        return "–"
    return np.format_float_positional(100 * rate, 2, fractional=False, trim="-") + "%"


def chance(share: float) -> str:
    """A probability in words that never say certain of what is not."""
    if 0.9995 <= share < 1:
        return "> 99.9%"
    return f"{100 * share:.3g}%" if math.isfinite(share) else "–"


def names(groups: Sequence[str]) -> str:
    """The groups' names down the left side."""
    return "".join(
        f'<text x="{LABELS - 12}" y="{TOP + (row + 0.5) * ROW + 4:.1f}" text-anchor="end">'
        f"{safe(_clipped(group))}</text>"
        for row, group in enumerate(groups)
    )


def svg(width: float, height: float, alt: str, *parts: str) -> str:
    """One picture of its parts, as wide as there is room for."""
    return (
        f'<svg role="img" aria-label="{safe(alt)}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'style="width:100%;max-width:{width:.0f}px;height:auto;font:13px sans-serif" '
        f'fill="currentColor" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def side_by_side(
    groups: Sequence[str],
    panels: Sequence[tuple[str, tuple[float, float], Sequence[Dot]]],
    alt: str,
    width: float,
    gap: float,
) -> str:
    """Rates of groups, a row each: panels of a title, limits and dots, beside one another."""
    parts = [names(groups)]
    for place, (title, limits, told) in enumerate(panels):
        panel = Panel(LABELS + place * (width + gap), width, limits, title, percent)
        parts += [panel.frame(len(groups)), panel.draw(told)]
    right = LABELS + len(panels) * (width + gap) - gap + 20
    return svg(right, TOP + len(groups) * ROW + 24, alt, *parts)


def heat_map(
    left: float,
    groups: Sequence[str],
    rates: Mapping[tuple[str, str], float],
    limits: tuple[float, float],
    title: str,
    first_row: int = 0,
    target: float = 0.0,
    bounds: Mapping[tuple[str, str], float] | None = None,
) -> str:
    """Rates of pairs of groups, in the order of the rows beside it; coloured as in reports: white
    at the target, red above it, blue below. Where none was seen, the upper bound stands."""
    ends = [math.log10(end) for end in limits]
    middle = math.log10(target) if target else sum(ends) / 2
    reach = max(*(abs(end - middle) for end in ends), 1.0)
    cell = cell_width(len(groups))
    parts = [f'<text x="{left:.1f}" y="18" font-weight="bold">{safe(title)}</text>']
    place = {group: number for number, group in enumerate(groups)}
    for (first, second), rate in rates.items():
        column, row = sorted((place[first], place[second]))
        x, y = left + column * cell, TOP + (first_row + row) * ROW
        share = 0.5 + (math.log10(rate) - middle) / (2 * reach) if rate > 0 else 0.0
        colour, ink = shade(round(min(max(share, 0.0), 1.0), 2)) if rate > 0 else ("none", "")
        bound = (bounds or {}).get((first, second), math.nan)
        none = f"< {percent(bound)}" if math.isfinite(bound) else "0"
        words = "–" if math.isnan(rate) else percent(rate) if rate > 0 else none
        ink = f' fill="{ink}"' if ink else ""
        shown = words if cell >= _READABLE else ""
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{cell - 1}" height="{ROW - 1}" fill="{colour}" '
            f'stroke="{_GRID}"><title>{safe(first)} and {safe(second)}: {words}</title></rect>'
            f'<text x="{x + cell / 2:.1f}" y="{y + ROW / 2 + 4}" text-anchor="middle" '
            f'font-size="11"{ink}>{shown}</text>'
        )
    bottom = TOP + (first_row + len(groups)) * ROW
    for column in range(len(groups)):
        parts.append(
            f'<text x="{left + (column + 0.5) * cell:.1f}" y="{bottom + 16}" font-size="11" '
            f'text-anchor="middle">{safe(_initials(groups[column]))}</text>'
            if cell >= _READABLE
            else ""
        )
    return "".join(parts)


def cell_width(groups: int) -> float:
    """Of a heat map's cell, in px: many groups have narrow ones."""
    return min(56.0, max(340 / groups, 14.0)) if groups else 56.0


@cache
def shade(share: float) -> tuple[str, str]:
    """A colour from blue over white to red, and one to write on it with."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    red, green, blue, _ = mpl.colormaps["RdBu_r"](share)
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
    return to_hex((red, green, blue)), "#111111" if bright else "#ffffff"


def lines(
    panel: tuple[float, float],
    series: Mapping[str, tuple[Sequence[float], Sequence[float], str]],
    limits: tuple[tuple[float, float], tuple[float, float]],
    title: str,
    height: float = 190,
    tick: Callable[[float], str] = "{:.3g}".format,
) -> str:
    """Lines over steps: `series` gives x, y and a colour by name; `panel` its left and width."""
    (left, width), ((first, last), (low, high)) = panel, limits
    last, high = max(last, first + 1), high if high > low else low + 1
    parts = [f'<text x="{left:.1f}" y="18" font-weight="bold">{safe(title)}</text>']
    for share in (0, 0.5, 1):
        y = TOP + height * (1 - share)
        parts.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" font-size="11">'
            f"{tick(low + share * (high - low))}</text>"
        )
    for x, words in ((left, f"{first:.0f}"), (left + width, f"{last:.0f}")):
        parts.append(
            f'<text x="{x:.1f}" y="{TOP + height + 18}" text-anchor="middle" font-size="11">'
            f"{words}</text>"
        )
    for name, (xs, ys, colour) in series.items():
        points = [
            (
                left + width * (x - first) / (last - first),
                TOP + height * (1 - (min(max(y, low), high) - low) / (high - low)),
            )
            for x, y in zip(xs, ys, strict=True)
            if math.isfinite(y)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2">'
            f"<title>{safe(name)}</title></polyline>"
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points[-1:]
        ]
    return "".join(parts)


def legend(left: float, entries: Mapping[str, str], top: float = TOP) -> str:
    """Names beside their colours, below one another."""
    return "".join(
        f'<circle cx="{left}" cy="{top + 20 * place - 4}" r="5" fill="{colour}"/>'
        f'<text x="{left + 12}" y="{top + 20 * place}" font-size="12">'
        f"{safe(_clipped(name))}</text>"
        for place, (name, colour) in enumerate(entries.items())
    )


def table_html(frame: pd.DataFrame, caption: str) -> str:
    """A small table of texts, its index first, with a caption for screen readers.

    What is noted stands below it, each note once.
    """
    named = frame.rename_axis(frame.index.name or "").reset_index()
    shown, notes = noted(named)
    frame = shown.set_index(shown.columns[0])
    cell = "padding:.15rem .8rem .15rem 0;text-align:{};border-bottom:1px solid #8884"
    left, right = cell.format("left"), cell.format("right")
    heads = [frame.index.name or "", *frame.columns]
    head = "".join(
        f'<th scope="col" style="{left if place == 0 else right}">{safe(str(name))}</th>'
        for place, name in enumerate(heads)
    )
    rows = "".join(
        f'<tr><th scope="row" style="{left};font-weight:500">{safe(str(name))}</th>'
        + "".join(f'<td style="{right}">{safe(str(value))}</td>' for value in row)
        + "</tr>"
        for name, *row in frame.itertuples(name=None)
    )
    style = "border-collapse:collapse;line-height:1.5;font-variant-numeric:tabular-nums"
    foot = footnotes(notes, frame.shape[1] + 1)
    bold = "text-align:left;font-weight:600"
    caption = f'<caption style="{bold}">{safe(caption)}</caption>'
    return (
        f'<table style="{style}">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>'
        f"{foot}</table>"
    )


def image(png: bytes, alt: str, faces: str, width: int | str | None = None) -> str:
    """A PNG as HTML; `faces` says whose are in it, as `Picture.faces`."""
    size = f' width="{width}"' if width else ' style="max-width:100%"'
    note_picture(png, faces)
    data = base64.b64encode(png).decode()
    return f'<img alt="{safe(alt)}"{size} src="data:image/png;base64,{data}">'


def png(picture: np.ndarray) -> bytes:
    """uint8 (H, W, 3) as PNG."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def safe(words: str) -> str:
    return html.escape(str(words), quote=True)


def _clipped(words: str, longest: int = 24) -> str:
    words = str(words)
    return words if len(words) <= longest else words[: longest - 1] + "…"


def _initials(group: str) -> str:
    """A label short enough for a column: af/fe of african/female."""
    return "/".join(part[:3] for part in str(group).split("/"))[:8]
