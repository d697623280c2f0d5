"""Names in any script: in fonts of this machine that have their letters, and never as maths.

In: a finished figure. Out: the same; letters that no font has stand as their codes, as they do on
a console that lacks them, and one warning says which.
"""

import functools
import unicodedata

from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from facelab.errors import warn

_OURS = "DejaVu Sans"  # comes with matplotlib
_BOXES = "Last Resort"  # has the same box for all letters of a script


def letter(figure: Figure) -> None:
    """Let every text of a figure be drawn as it is written."""
    lost: set[str] = set()
    numbers: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if _is_named(axis):
                lost |= _spell_ticks(axis)
            else:  # what matplotlib writes itself: powers of ten are its maths
                axis.get_ticklabels(which="both")  # ticks are made when they are asked for
                for tick in (*axis.majorTicks, *axis.minorTicks):
                    numbers |= {tick.label1, tick.label2}
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)
            lost |= _spell(text)
    if lost:
        letters = ", ".join(sorted(lost)[:20]) + (", ..." if len(lost) > 20 else "")
        warn(
            f"no font of this machine has the letters {letters}: they are drawn as their codes; "
            "install a font that has them, such as Noto Sans of their script"
        )


def entry(name: str) -> str:
    """A name for a legend, which would leave out one that begins with an underscore."""
    return f"\u200b{name}" if str(name).startswith("_") else str(name)


def _is_named(axis: Axis) -> bool:
    """Whether its ticks bear words that were given."""
    fixed = isinstance(axis.get_major_locator(), FixedLocator)
    return fixed and isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)


def _spell_ticks(axis: Axis) -> set[str]:
    words = [text.get_text() for text in axis.get_ticklabels()]
    drawable = [_drawable(one) for one in words]
    if any(lost for _, _, lost in drawable):
        axis.set_ticklabels([one for one, _, _ in drawable])
    return {letter for _, _, lost in drawable for letter in lost}


def _spell(text: Text) -> set[str]:
    words, fonts, lost = _drawable(text.get_text())
    if words != text.get_text():
        text.set_text(words)
    if not words.isascii():  # the style's first font may be one of the machine that has few letters
        text.set_fontfamily(["sans-serif", _OURS, *fonts])
    return set(lost)


@functools.cache
def _drawable(words: str) -> tuple[str, tuple[str, ...], str]:
    """The words with codes for letters that no font has, the fonts needed, and those letters."""
    if words.isascii():
        return words, (), ""
    found = {one: font_of(one) for one in dict.fromkeys(words) if one.isprintable()}
    fonts = tuple(dict.fromkeys(font for font in found.values() if font not in (None, _OURS)))
    lost = "".join(one for one, font in found.items() if font is None)
    codes = {ord(one): one.encode("ascii", "backslashreplace").decode() for one in lost}
    # What joins or varies other letters has no shape of its own.
    silent = [one for one in lost if unicodedata.category(one) in ("Mn", "Cf")]
    words = words.translate(codes | dict.fromkeys(map(ord, silent), ""))
    return words, fonts, "".join(one for one in lost if one not in silent)


@functools.cache
def font_of(one: str) -> str | None:
    """The first font that has a letter, ours before those of the machine."""
    ours = font_manager.findfont(_OURS)
    if _has(ours, one):
        return _OURS
    return next((name for name, path in _fonts_of_machine() if _has(path, one)), None)


def _has(path: str, one: str) -> bool:
    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):  # FreeType cannot open it
        return False
    return bool(font.scalable and font.get_char_index(ord(one)))


@functools.cache
def _fonts_of_machine() -> list[tuple[str, str]]:
    """Name and file of every family, upright and without serifs first.

    Matplotlib's own list may be older than a font that somebody has just installed.
    """
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                manager.addfont(path)
            except (OSError, RuntimeError):  # FreeType cannot open it
                continue
    plain = sorted(
        (entry for entry in manager.ttflist if not entry.name.startswith(_BOXES)),
        key=lambda entry: (entry.style != "normal", "sans" not in entry.name.lower(), entry.name),
    )
    return list({entry.name: entry.fname for entry in reversed(plain)}.items())[::-1]
