"""How every figure looks: type, colours of groups, marks of arms, rows of labels.

In: labels. Out: matplotlib figures made without pyplot's global state, so that drawing a figure
changes nobody's style and works without a display.
"""

import io
import textwrap
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import _ImageBase
from matplotlib.patches import Patch

from facelab.errors import check_option
from facelab.faces.groups import SEPARATOR
from facelab.figures.lettering import letter
from facelab.shown import note_picture

# Okabe & Ito 2008 and Tol 2021, both made for colour-blind readers. No colour here stands for a
# colour of skin, and none of the two genders is pink.
_KNOWN = {
    "african": "#0072B2",
    "black": "#0072B2",
    "asian": "#009E73",
    "eastasian": "#009E73",
    "east asian": "#009E73",
    "caucasian": "#AA4499",
    "white": "#AA4499",
    "indian": "#D55E00",
    "asianindian": "#D55E00",
    "south asian": "#D55E00",
    "female": "#DDAA33",
    "male": "#44AA99",
    "darker": "#117733",
    "lighter": "#882255",
    "all": "#333333",
}
_OTHERS = ["#56B4E9", "#E69F00", "#332288", "#999933", "#CC6677", "#117733", "#661100", "#882255"]
_OTHERS += ["#6699CC", "#DDCC77", "#888888"]
_LIGHTNESS = {"": 0.0, "female": -0.42, "male": 0.12}
BAND = "#DDDDDD"  # what chance, or a margin, allows
INK, FAINT, ALERT = "#222222", "#9A9A9A", "#B2182B"
WIDTH = 9.0  # inches; 11-point text stays readable when the picture is shown at half its size
_STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.edgecolor": "#666666",
    "axes.grid": False,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "savefig.bbox": None,
}
_MANY = 1000  # marks of which a face could be made


class Picture(Figure):
    """A figure that shows itself in a notebook, once, whatever the backend; `alt` describes it.

    `faces` says whose faces are in it: "none", "synthetic", "real" or "unknown". Whoever draws
    images says it, after they are drawn; else they may be anybody's, as may be what comes later.
    """

    alt: str = ""
    _said: tuple[str, frozenset[int]] = ("none", frozenset())

    @property
    def faces(self) -> str:
        """Whose faces are in it."""
        faces, seen = self._said
        return faces if _images_in(self) <= seen else "unknown"

    @faces.setter
    def faces(self, faces: str) -> None:
        check_option("faces", faces, ("none", "synthetic", "real", "unknown"))
        self._said = (faces, _images_in(self))

    def png(self) -> bytes:
        """The figure as PNG, at twice the resolution that it is shown at."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=160)
        note_picture(file.getvalue(), self.faces)
        return file.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = {"width": int(self.get_figwidth() * 100), "alt": self.alt}
        return {"image/png": self.png()}, {"image/png": shown}


def _images_in(figure: Figure) -> frozenset[int]:
    """What in a figure could be a picture of somebody: images, and a thousand coloured marks."""
    found = set()
    for image in figure.findobj(_ImageBase):
        found.add(hash((id(image), np.asarray(image.get_array()).tobytes())))
    for marks in figure.findobj(Collection):
        shades = [np.asarray(marks.get_facecolor()), np.ravel(marks.get_array())]
        if max(map(len, shades)) > _MANY:
            found.add(hash((id(marks), *(one.tobytes() for one in shades))))
    patches = [patch.get_facecolor() for patch in figure.findobj(Patch)]
    if len(patches) > _MANY:
        found.add(hash(tuple(patches)))
    return frozenset(found)


def drawn(make: Callable[..., Picture]) -> Callable[..., Picture]:
    """Draw under our style and leave the caller's settings as they were."""

    @wraps(make)
    def wrapped(*args: Any, **options: Any) -> Picture:
        with mpl.rc_context({**sns.axes_style("ticks"), **_STYLE}):
            figure = make(*args, **options)
            letter(figure)
            if figure.faces == "unknown" and not figure.findobj(_ImageBase):
                figure.faces = "none"  # our own charts may have any number of marks
            return figure

    return wrapped


def colours(groups: Sequence[str]) -> dict[str, str]:
    """One colour a group, the same wherever the group appears.

    The first key of an intersection gives the hue, the rest its lightness: `african/female` and
    `african/male` are two blues. Labels that we do not know get a colour from their spelling, so
    that neither their order nor their company changes it (two that would collide are told apart).
    """
    groups = [str(group) for group in groups]
    heads = sorted({group.split(SEPARATOR)[0] for group in groups})
    hues, taken = {}, set()
    for head in heads:
        if head.lower() in _KNOWN:
            hues[head] = _KNOWN[head.lower()]
            continue
        place = zlib.crc32(head.encode()) % len(_OTHERS)
        while place in taken and len(taken) < len(_OTHERS):
            place = (place + 1) % len(_OTHERS)
        taken.add(place)
        hues[head] = _OTHERS[place]
    return {
        group: _shade(hues[head], _lightness(tail))
        for group in groups
        for head, _, tail in [group.partition(SEPARATOR)]
    }


def _lightness(tail: str) -> float:
    return _LIGHTNESS.get(tail.lower(), (zlib.crc32(tail.encode()) % 8) / 10 - 0.45)


def _shade(colour: str, amount: float) -> str:
    """Towards white for negative amounts, towards black for positive ones."""
    rgb = np.array(to_rgb(colour))
    return to_hex(rgb + (1 - rgb) * -amount if amount < 0 else rgb * (1 - amount))


def arm_look(place: int, count: int) -> dict[str, Any]:
    """Arms differ by fill and dash, because colour is taken by the groups."""
    filled = place == count - 1
    return {
        "line": INK if filled else "#8A8A8A",
        "dash": "-" if filled else ["--", ":", "-."][place % 3],
        "marker": "o" if filled else ["o", "s", "D", "^", "v"][place % 5],
        "face": INK if filled else "white",
    }


def panels(count: int, height: float, layout: str = "constrained") -> tuple[Picture, list[Axes]]:
    figure = Picture(figsize=(WIDTH, max(height, 2.0)), layout=layout)
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def group_rows(
    axes: Axes,
    groups: list[str],
    names: list[str] | None = None,
    labelled: bool = True,
    divide: bool = True,
) -> None:
    """Groups down the left side, the first on top; `all` is set apart by a line."""
    axes.set_yticks(range(len(groups)), wrapped(names or groups) if labelled else [])
    axes.set_ylim(max(len(groups), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    if divide and groups[0] == "all" and len(groups) > 1:
        axes.axhline(0.5, color="#BBBBBB", lw=0.8)
    sns.despine(ax=axes, left=True)


def percent_ticks(axes: Axes) -> None:
    """A log axis of shares, in percent; a short one is marked between the decades too."""
    low, high = np.log10(axes.get_xlim())
    steps = (1, 2, 5) if high - low < 1.5 else (1,)
    ticks = [s * 10.0**d for d in range(int(low) - 1, int(high) + 2) for s in steps]
    ticks = [tick for tick in ticks if 10 ** (low - 1e-9) <= tick <= 10 ** (high + 1e-9)]
    ticks = ticks[:: -(-len(ticks) // 5) if high - low > 5 else 1]  # labels need room
    axes.set_xticks(ticks, [f"{100 * tick:.6g}%" for tick in ticks])
    axes.minorticks_off()


def factor_limits(values: Iterable[float], ends: Iterable[float]) -> tuple[float, float]:
    """Where a log axis of factors ends: with the intervals, or a hundredfold beyond the values."""
    told = [value for value in values if 0 < value < np.inf] + [1.0]
    known = told + [end for end in ends if 0 < end < np.inf]
    low, high = max(min(known), min(told) / 100), min(max(known), max(told) * 100)
    return low / 1.3, high * 1.3


def factor_interval(
    axes: Axes, at: float, low: float, high: float, upright: bool = False, **look: Any
) -> None:
    """An interval on a log axis that has its limits; an arrow where it goes on beyond them."""
    left, right = axes.get_ylim() if upright else axes.get_xlim()
    ends = [max(low, left), min(high, right)]
    axes.plot(*([at, at], ends)[:: 1 if upright else -1], **look)
    arrows = {"v" if upright else "<": (ends[0], low < left)}
    arrows |= {"^" if upright else ">": (ends[1], high > right)}
    for marker, (end, beyond) in arrows.items():
        if beyond:
            point = (at, end)[:: 1 if upright else -1]
            axes.plot(*point, marker, ms=5, color=look["color"], mfc="white", clip_on=False)


def factor_ticks(axes: Axes, axis: str = "x") -> None:
    """A log axis marked with factors that people read."""
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    every = [step * 10.0**power for power in range(-9, 10) for step in (1, 2, 5)]
    ticks = [tick for tick in every if low <= tick <= high]
    if len(ticks) > 5:
        ticks = [tick for tick in ticks if f"{tick:e}".startswith("1.0")]
    ticks = ticks[:: -(-len(ticks) // 5)] if ticks else ticks
    getattr(axes, f"set_{axis}ticks")(ticks, [f"×{tick:g}" for tick in ticks])
    axes.minorticks_off()


def wrapped(labels: Sequence[str], width: int = 24) -> list[str]:
    """Long labels on two lines, and no longer than that."""
    return [
        "\n".join(textwrap.wrap(str(label), width, max_lines=2, placeholder=" …"))
        for label in labels
    ]


def mark(axes: Axes, x: float, words: str, colour: str = ALERT, dash: str = "--") -> None:
    """A vertical line that says above the panel what it is."""
    axes.axvline(x, color=colour, ls=dash, lw=1.2, zorder=1)
    far_right = axes.transAxes.inverted().transform(axes.transData.transform((x, 0)))[0] > 0.7
    axes.annotate(
        words, (x, 1), (-3 if far_right else 3, 2), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="right" if far_right else "left", color=colour, size=9.5,
    )  # fmt: skip
    axes.set_title(axes.get_title(loc="left"), pad=16)


def advised(
    axes: Axes, lines: Mapping[str, float] | None, within: tuple[float, float] | None = None
) -> str:
    """Thresholds that somebody advises, as thin lines; what they are, in words.

    Those `within` some thresholds are drawn, by default within the axis.
    """
    low, high = within or axes.get_xlim()
    told = []
    for words, x in (lines or {}).items():
        told.append(f"{words} at {x:g}")
        if not low <= x <= high:
            continue
        axes.axvline(x, color=INK, ls=":", lw=1, zorder=1)
        axes.annotate(
            words, (x, 0.98), (2, 0), xycoords=("data", "axes fraction"),
            textcoords="offset points", rotation=90, ha="left", va="top", color=INK, size=8.5,
        )  # fmt: skip
    return f" Advised thresholds: {'; '.join(told)}." if told else ""
