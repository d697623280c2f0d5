"""The few errors of our own: each one sentence that says what was wrong and what to do next.

`BadInput` is also a ValueError, so that a notebook's `except ValueError` holds; the command line
turns every `FacelabError` and `OSError` into one line on stderr and exit code 1.
"""

from importlib import import_module
from types import ModuleType


class FacelabError(Exception):
    """The work cannot go on; the message says why and what to do."""


class BadInput(FacelabError, ValueError):
    """What was given cannot be used; the message names the item."""


class Stopped(FacelabError):
    """Somebody asked the work to stop; what was done is saved, and the message says where."""


class MissingExtra(FacelabError, ImportError):
    """An optional package is not installed; the message gives the command that installs it."""


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
