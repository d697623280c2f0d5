"""The few errors of our own: each one sentence that says what was wrong and what to do next.

`BadInput` is also a ValueError, so that a notebook's `except ValueError` holds; the command line
turns every `FacelabError` and `OSError` into one line on stderr and exit code 1.
"""

import difflib
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any


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


class BadInput(FacelabError, ValueError):
    """What was given cannot be used; the message names the item.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.crowd(subjects=0)
    Traceback (most recent call last):
        ...
    facelab.errors.BadInput: 0 subjects with 1 images in 512 dimensions and 0 mated probes: give at
    least 1 of each, and no more mated probes than subjects
    """


class Stopped(FacelabError):
    """Somebody asked the work to stop; what was done is saved, and the message says where."""


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
        if error.name != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"{module} is not installed: this needs the `{extra}` extra: "
            f"pip install 'facelab[{extra}]'"
        ) from error


def a_kind(value: Any) -> str:
    """What kind of thing a value is, for messages: "a FaceSet", "an ndarray", "nothing (None)"."""
    if value is None:
        return "nothing (None)"
    name = {"ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def did_you_mean(given: Any, known: Iterable[Any]) -> str:
    """A question in brackets where something known is spelt nearly so, else ""."""
    lower = {str(name).lower(): name for name in known}
    close = difflib.get_close_matches(str(given).strip().lower(), lower, 1)
    return f" (did you mean {lower[close[0]]!r}?)" if close else ""


def check_option(name: str, value: Any, options: Iterable[str]) -> None:
    """Refuse the value of an option that is none of those there are, and list them."""
    options = list(options)
    if not isinstance(value, str) or value not in options:
        *most, last = (repr(option) for option in options)
        listed = f"{', '.join(most)} or {last}" if most else last
        raise BadInput(f"{name} must be {listed}, not {value!r}{did_you_mean(value, options)}")
