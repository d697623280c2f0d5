"""The few errors of our own: each one sentence that says what was wrong and what to do next.

`BadInput` is also a ValueError, so that a notebook's `except ValueError` holds; the command line
turns every `FacelabError` and `OSError` into one line on stderr and exit code 1.
"""

import dataclasses
import difflib
import reprlib
import typing
from importlib import import_module
from types import ModuleType
from typing import Any

if typing.TYPE_CHECKING:
    from pydantic import ValidationError

# The first word of pydantic's name for what is wrong -> what would be right, in yaml's words.
_WANTED = {
    "bool": "true or false",
    "dataclass": "names with values",
    "dict": "names with values",
    "float": "a number",
    "int": "a whole number",
    "list": "a list such as [a, b]",
    "string": "text",
    "too": "a list of at least one value",
}


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


def checked(kind: Any, values: Any, what: str, file: Any = None) -> Any:
    """The values of a file as the kind that they must be, all of their types checked by pydantic.

    Parameters
    ----------
    kind
        A dataclass of pydantic's, or a type such as ``dict[str, float]``.
    values
        What yaml or json gave.
    what
        What they are, for messages: "a recipe".
    file
        Where they stand, for messages.

    Raises
    ------
    BadInput
        One sentence: which file, which name (dotted where it stands deeper), what it must be.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        sentence = in_one_sentence(error, what, kind)
        raise BadInput(f"{file}: {sentence}" if file else sentence) from None


def in_one_sentence(error: "ValidationError", what: str, kind: Any, above: str = "") -> str:
    """The first thing that pydantic refuses, in the words of whoever wrote it.

    `kind` is what the values were to be, and `above` the name under which they stand.
    """
    fault = error.errors(include_url=False)[0]
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, BadInput):
        return str(cause)
    path = [*above.split(), *(str(name) for name in fault["loc"] if name != "[key]")]
    name, owner = ".".join(path) or what, ".".join(path[:-1]) or what
    given = reprlib.repr(fault["input"])
    if fault["type"] == "invalid_key" or "[key]" in fault["loc"]:
        return f"the name {given} in {owner} must be text: put it in quotes"
    match fault["type"].split("_"):
        case ["unexpected", "keyword", _]:
            close, known = _names_beside(fault["loc"], kind)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            return f"{name!r} is not part of {what}{hint}; {owner} has {', '.join(known)}"
        case ["missing", *_]:
            return f"{name} is missing"
        case ["value", "error"]:
            return f"{name} {cause}"
        case ["literal", *_]:
            wanted = "one of " + fault["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        case [first, *_]:
            wanted = _WANTED.get(first) or fault["msg"].removeprefix("Input should be ")
    return f"{name} must be {wanted}, not {given}"


def _names_beside(place: tuple[str, ...], kind: Any) -> tuple[list[str], list[str]]:
    """For a name that there is not: what is close, and all that there is."""
    *inside, name = place
    for part in inside:
        kind = typing.get_type_hints(kind)[part]
    known = [field.name for field in dataclasses.fields(kind)]
    return difflib.get_close_matches(name, known, 1), known
