"""The few errors of our own: each one sentence that says what was wrong and what to do next.

`BadInput` is also a ValueError, so that a notebook's `except ValueError` holds; the command line
turns every `FacelabError` and `OSError` into one line on stderr and exit code 1.
"""

import contextlib
import difflib
import errno
import math
import os
import re
import reprlib
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib import import_module
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a share of it, a file
_MOST_NAMED, _MOST_LETTERS = 30, 800
_SHARES = ("fmr", "fpir", "confidence")
_PERCENT = re.compile(r"\s*([0-9.]{1,9})\s*%\s*")
# Control characters but for line end and tab, and what turns the direction of letters.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# What the system says by numbers, and what to do about it.
_SAID = {
    errno.EACCES: "may not be read or written by this user: ask its owner, or choose another place",
    errno.EPERM: "may not be changed by this user: ask its owner, or choose another place",
    errno.EEXIST: "is there already: choose another place",
    errno.EISDIR: "is a folder, where a file is meant",
    errno.ELOOP: "is a link that leads back to itself",
    errno.EMFILE: "is one file more than this process may have open: raise `ulimit -n`",
    errno.ENAMETOOLONG: "has too long a name",
    errno.ENOENT: "is not there",
    errno.ENOSPC: "does not fit on the disk: free some space and run again",
    errno.ENOTDIR: "is no folder, or lies in what is none",
    errno.EROFS: "lies on a disk that cannot be written: choose another place",
}
_LONGEST = 200  # letters of a name that is given, or may be meant, in a message
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxtuple, _BRIEF.maxdict, _BRIEF.maxset = 2, 4, 4, 3, 4
_BRIEF.maxstring = 80


def printable(text: str) -> str:
    """Text for a terminal: what would move its cursor, colour it or turn its letters is spelt out.

    Names come from others. Line ends and tabs stay.

    Examples
    --------
    >>> from facelab.errors import printable
    >>> printable("ada" + chr(27) + "[2J")
    'ada\\\\x1b[2J'
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


class FacelabError(Exception):
    """The work cannot go on; the message says why and what to do.

    Examples
    --------
    >>> import facelab as fl
    >>> try:
    ...     fl.crowd(subjects=0)
    ... except fl.FacelabError as error:
    ...     print(type(error).__name__)
    BadInput
    """

    def __init__(self, *told: Any) -> None:
        super().__init__(*(printable(one) if isinstance(one, str) else one for one in told))


class BadInput(FacelabError, ValueError):
    """What was given cannot be used; the message names the item.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.crowd(subjects=0)
    Traceback (most recent call last):
        ...
    facelab.errors.BadInput: a crowd needs at least one subject, image and dimension, and no more
    mated probes than subjects, not subjects=0, images=1, dim=512 and 0 mated probes
    """


class Damaged(BadInput):
    """What was stored is not as it was written, or cannot show that it is."""


class Stopped(FacelabError):
    """Somebody asked the work to stop; what was done is saved, and the message says where.

    `signal` is the name of what came, empty where it was asked for in another way.
    """

    def __init__(self, message: str, signal: str = "") -> None:
        super().__init__(message)
        self.signal = signal


class NotWritten(FacelabError, OSError):
    """A file or folder cannot be written; the message says which, why, and what was kept."""


def not_written(error: OSError, out: Path, kept: str = "nothing of it was kept") -> NotWritten:
    """The same error as a sentence on the output."""
    why = error.strerror or str(error)
    advice = "choose another place"
    if error.errno in FULL:
        advice = f"{kept}: free some space and run again"
    said = NotWritten(f"{out} cannot be written: {why}; {advice}")
    said.errno = error.errno
    return said


@contextlib.contextmanager
def saying_of_full(out: Path, kept: str = "nothing of it was kept") -> Iterator[None]:
    """Say of which output it was, and what was kept, when the disk is full, whoever notices."""
    try:
        yield
    except Exception as error:
        # What was written inside says it of a name that will be gone.
        number = None if isinstance(error, BadInput) else _full(error)
        if number is None:
            raise
        why = getattr(error, "strerror", None) or os.strerror(number)
        raise not_written(OSError(number, why), out, kept) from error


def _full(error: Exception) -> int | None:
    """The number of a full disk, also where a library tells it in words alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in FULL else None
    words = str(error)
    if re.search(r"\d+ requested and \d+ written", words):  # NumPy's, which keeps the reason
        return errno.ENOSPC
    told = (n for n in FULL if os.strerror(n) in words or f"os error {n})" in words)
    return next(told, None)


class Unusable(Exception):
    """This image gives no crop; the message completes the sentence "the image ..."."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason, self.advice = reason, advice


class MissingExtra(FacelabError, ImportError):
    """An optional package is not installed; the message gives the command that installs it.

    Examples
    --------
    >>> import facelab as fl
    >>> issubclass(fl.MissingExtra, ImportError)
    True
    """


def need(module: str, extra: str) -> ModuleType:
    """Import an optional module, or raise MissingExtra naming the extra that brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingExtra(
            f"{module} is not installed: this needs the `{extra}` extra: "
            f"pip install 'facelab[{extra}]'"
        ) from error


def in_words(error: OSError) -> str:
    """What the system refused, as a sentence: which file, why, what to do; its numbers say less."""
    if error.errno is None or not error.strerror:
        return str(error)
    why = _SAID.get(error.errno)
    if error.filename is None:
        return error.strerror
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "it"
    named = f"{name[:200]}..." if len(name) > 200 else name
    return f"{named} {why}" if why else f"{named}: {error.strerror}"


def a_kind(value: Any) -> str:
    """What kind of thing a value is, for messages: "a FaceSet", "an ndarray", "nothing (None)"."""
    if value is None:
        return "nothing (None)"
    name = {"ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def in_brief(value: Any) -> str:
    """A value for a message: itself in one line where it is short, else how it begins or its kind.

    Examples
    --------
    >>> from facelab.errors import in_brief
    >>> in_brief(list(range(1000))), in_brief(dict)
    ('[0, 1, 2, 3, ...]', "<class 'dict'>")
    """
    if isinstance(value, str | bytes | list | tuple | dict | set):
        return _BRIEF.repr(value)
    if isinstance(value, os.PathLike):
        return shortened(repr(os.fspath(value)))
    whole = repr(value)
    return whole if len(whole) <= 40 and "\n" not in whole else a_kind(value)


def shorten_what_was_given(error: FacelabError, given: Iterable[Any]) -> None:
    """Of a message that repeats at length what was given, leave how that begins."""
    told = error.args[0] if error.args else ""
    if not isinstance(told, str) or len(told) <= _LONGEST:
        return
    for value in given:
        parts = list(value)[:1000] if isinstance(value, list | tuple | dict) else []
        for one in (value, *parts):
            most = _LONGEST if isinstance(one, str | os.PathLike) else 80
            for whole, brief in ((repr(one), in_brief(one)), (str(one), shortened(one))):
                if len(whole) > most:
                    told = told.replace(whole, brief)
    error.args = (told, *error.args[1:])


def did_you_mean(given: Any, known: Iterable[Any]) -> str:
    """A question in brackets where something known is spelt nearly so, else ""."""
    names = [str(given), *map(str, known)]
    if len(names[0]) > _LONGEST:
        return ""
    lower = {name.lower(): name for name in names[1:] if len(name) <= _LONGEST}
    close = difflib.get_close_matches(str(given).strip().lower(), lower, 1)
    return f" (did you mean {lower[close[0]]!r}?)" if close else ""


def shortened(name: Any) -> str:
    """A name for a message: of a very long one its beginning."""
    name = str(name)
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."


def there_are(wanted: Any, known: Iterable[Any], start: str = "there are") -> str:
    """How to end a sentence on what is not there: what may be meant, and what there is."""
    names = [shortened(name) for name in known]
    return f"{did_you_mean(wanted, names)}; {start}: {first_of(names) or 'none'}"


def first_of(known: Iterable[Any]) -> str:
    """Names for a message: the first ones, and whether there are more."""
    names = [shortened(name) for name in known]
    told = ", ".join(names[:_MOST_NAMED])
    if len(told) > _MOST_LETTERS:
        return f"{told[:_MOST_LETTERS].rpartition(', ')[0]}, ..."
    return told + (", ..." if len(names) > _MOST_NAMED else "")


def how_many(number: int, one: str, several: str = "") -> str:
    """A number and what is counted, for messages: "1 image", "2,000 images"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def warn(words: str) -> None:
    """Warn of what was asked for: the line that is named is the one that called the house."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("facelab."):
        level, frame = level + 1, frame.f_back
    warnings.warn(words, stacklevel=level)


def check_columns(what: str, columns: Iterable[Any], needed: Iterable[str]) -> None:
    """Refuse a table that lacks a column, and list those it has; `what` begins the sentence."""
    known = [str(column) for column in columns]
    lacking = [column for column in needed if column not in known]
    if lacking:
        those = f"column{'s' * (len(lacking) > 1)} {', '.join(lacking)}"
        raise BadInput(f"{what} lack the {those}{there_are(lacking[0], known, 'they have')}")


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number within bounds: of people, images, tries, processes, or a seed.

    Raises
    ------
    BadInput
        It is none, or is out of bounds; the message names it.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        bounds = f"from {least} to {most:,}" if most is not None else f"of {least} or more"
        raise BadInput(f"{name} must be a whole number {bounds}, not {in_brief(value)}")
    return int(value)


def check_number(name: str, value: Any) -> None:
    """Refuse what is no number: nothing, a word, true or false, several at once, NaN."""
    single = not isinstance(value, str | bytes | bool) and getattr(value, "ndim", 0) == 0
    try:
        known = single and not math.isnan(value)
    except (TypeError, ValueError, OverflowError):
        known = isinstance(value, int)
    if not known:
        percent = _PERCENT.fullmatch(value) if name in _SHARES and isinstance(value, str) else None
        hint = f", which is {name}={float(percent[1]) / 100:.6g}" if percent else ""
        raise BadInput(f"{name} must be a number, not {in_brief(value)}{hint}")
    if name == "confidence" and not 0 < value < 1:
        hint = f": {value:g} % is confidence={value / 100:g}" if 1 <= value < 100 else ""
        raise BadInput(f"confidence must lie between 0 and 1, such as 0.95, not {value!r}{hint}")


def check_option(name: str, value: Any, options: Iterable[str]) -> None:
    """Refuse the value of an option that is none of those there are, and list them."""
    options = list(options)
    if not isinstance(value, str) or value not in options:
        *most, last = (repr(option) for option in options)
        listed = f"{first_of(most)} or {last}" if most else last
        given = in_brief(value)
        raise BadInput(f"{name} must be {listed}, not {given}{did_you_mean(value, options)}")
