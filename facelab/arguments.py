"""What public functions are given, held against their annotations: numbers, flags, paths, objects.

Of a function or a public class in; the same out, refusing what is of another kind in one sentence.
"""

import functools
import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar, overload

from facelab.errors import (
    BadInput,
    FacelabError,
    a_kind,
    check_count,
    check_number,
    in_brief,
    shorten_what_was_given,
    there_are,
)

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)

MOST = 10**10  # of whatever is counted: more people than there are
MOST_SEED = 2**63 - 1  # what torch takes, and a column of a table holds
_MOST_OF = {
    **{"seed": MOST_SEED, "seeds": MOST_SEED},
    **{"replicates": 10**6, "trials": 10**9, "per_group": 1000},
}
_LEAST_OF = {"jobs": 1, "replicates": 2, "draws": 2}  # one simulated test has no spread
_LISTS = ("Sequence", "Iterable", "list", "tuple")
_NAMES = ("Mapping", "dict")
_PATHS = ("Path", "PathLike")
# Of these, what does not fit is refused before any work; of others, where the work fails over it:
# an object of another class that does what is asked of it is welcome.
_FIRST = {"int", "float", "bool", "Callable", "ndarray", *_LISTS, *_NAMES}
_ANYTHING = ("Any", "object", "_empty", "Self", "Iterator", "Hashable", "Collection")
_BY_ROW = {"pandas.core.indexing", "pandas.core.series"}
_MEMBERS: dict[str, set[str]] = {}  # of protocols, by name
_RAW = (
    *(TypeError, AttributeError, LookupError, ValueError, ArithmeticError),
    *(NotImplementedError, StopIteration),
)
_SAID = {
    **{"str": "text", "Literal": "text", "bool": "True or False", "int": "a whole number"},
    **{"float": "a number", "Path": "a path", "PathLike": "a path", "Callable": "a function"},
    **{"DataFrame": "a table (DataFrame)", "ndarray": "an array"},
    **dict.fromkeys(_LISTS, "a list"),
}


@overload
def as_annotated(thing: C) -> C: ...
@overload
def as_annotated(thing: Callable[P, T]) -> Callable[P, T]: ...
def as_annotated(thing: Any) -> Any:
    """Let a function, or every public method of a class, refuse what is not as it is annotated.

    It gets whole numbers, flags and lists of other packages as Python's own. Refused before it
    works: of `int`, whatever is no whole number of 0 or more, or more than anything is counted to;
    of `float`, whatever is no number; of `bool`, whatever is neither true nor false; of `str`, what
    is neither text nor a number; for lists, paths, names with values and for functions, what is
    none. Where its work ends in an error of Python's, an argument of another class than its own is
    told instead, or what is empty, or a table that lacks the column. What else a function asks of
    its arguments it says itself, but for confidence, which lies between 0 and 1 wherever it stands.
    """
    if isinstance(thing, type):
        for name, held in list(vars(thing).items()):
            if name.startswith("_"):
                continue
            if isinstance(held, types.FunctionType):
                setattr(thing, name, as_annotated(held))
            elif isinstance(held, classmethod | staticmethod):
                setattr(thing, name, type(held)(as_annotated(held.__func__)))
        return thing
    takes = inspect.signature(thing)
    wanted = {
        name: ["Any"]
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        else _kinds(one.annotation)
        for name, one in takes.parameters.items()
    }

    @functools.wraps(thing)
    def held_to(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # IPython and pytest show the frames around it
        try:
            call = takes.bind(*args, **kwargs)
        except TypeError:  # Python says best what a call lacks
            return thing(*args, **kwargs)
        given = call.arguments
        for name, value in given.items():
            given[name] = _taken(name, value, wanted[name])
        try:
            return thing(*call.args, **call.kwargs)
        except FacelabError as error:
            shorten_what_was_given(error, given.values())
            raise
        except _RAW as error:
            told = _why(given, wanted, error)
            if told is None:
                raise
            refused = BadInput(told)
            shorten_what_was_given(refused, given.values())
            raise refused from error

    return held_to


def _kinds(annotation: Any) -> list[str]:
    """What an annotation allows, without the modules: `dict[str, float]`, `None`.

    A protocol, which classes of any name may follow, is `Protocol[its name]`.
    """
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [kind for one in typing.get_args(annotation) for kind in _kinds(one)]
    text = str(annotation).removeprefix("<class '").removesuffix("'>")
    text = re.sub(r"\w+\.(?=\w)", "", text).replace("NoneType", "None")
    if getattr(annotation, "_is_protocol", False):
        members = {*dir(annotation), *annotation.__annotations__}
        _MEMBERS[text] = {name for name in members if not name.startswith("_")}
        return [f"Protocol[{text}]"]
    return _parts(text, "|")


def _parts(text: str, mark: str) -> list[str]:
    """What a mark parts, but for those within brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == mark and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _taken(name: str, value: Any, kinds: list[str]) -> Any:
    """A value as the function gets it: numbers and lists of other packages as Python's own.

    What is none of its kinds is refused; what is of a class of its own is not judged.
    """
    inside = {kind.partition("[")[0]: kind.partition("[")[2][:-1] for kind in kinds}
    if inside.pop("None", None) is not None and value is None:
        return None
    if inside.keys() & set(_PATHS):
        _refuse_path(name, value, inside.keys())
    several = next((kind for kind in _LISTS if kind in inside), None)
    if several and "ndarray" not in inside and _is_list(value) and hasattr(value, "tolist"):
        value = value.tolist()
    if inside.keys() == {"str"} and not isinstance(value, str | int | float):
        raise BadInput(f"{name} must be text, not {in_brief(value)}")
    of_text = several is not None and {*_parts(inside[several], ",")} <= {"str", "..."}
    of_text = of_text and inside.keys() <= {"str", *_LISTS, *_NAMES}
    if of_text and not _is_one(value) and not (_is_list(value) and all(map(_is_one, value))):
        said = " or ".join(dict.fromkeys(_in_words(kinds)))
        raise BadInput(f"{name} must be {said}, not {in_brief(value)}")
    if not inside.keys() <= _FIRST:
        return value
    if "int" in inside:
        return _whole(name, value)
    if inside.keys() == {"bool"}:
        if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
            raise BadInput(f"{name} must be True or False, not {in_brief(value)}")
        return bool(value)
    if "Callable" in inside:
        if not callable(value):
            raise BadInput(f"{name} must be a function, not {in_brief(value)}")
    elif (named := inside.get("Mapping") or inside.get("dict")) and (
        "float" not in inside or hasattr(value, "items")
    ):
        if not hasattr(value, "items"):
            raise BadInput(f"{name} must be {_by_name(named)}, not {in_brief(value)}")
        for one, held in value.items():
            _taken(f"{name} of {one!r}", held, _values(named))
    elif several and ("float" not in inside or _is_list(value)):
        if not _is_list(value):
            raise BadInput(f"{name} must be a list, not {in_brief(value)}")
        kind = _parts(inside[several], ",")[0]
        if kind in ("int", "float") and "ndarray" not in inside and hasattr(value, "__len__"):
            if "float" in inside and not len(value):
                raise BadInput(f"{name} must hold at least one number: it is empty")
            taken = [_taken(name, held, [kind]) for held in value]
            return tuple(taken) if isinstance(value, tuple) else taken
    elif "float" in inside and not ("ndarray" in inside and _is_list(value)):
        check_number(name, value)
    return value


def _refuse_path(name: str, value: Any, kinds: Any) -> None:
    """Refuse what is neither a path nor, where a path is all that is taken, anything else."""
    if isinstance(value, str | os.PathLike):
        if "\0" in os.fspath(value):
            raise BadInput(f"{name} must be a path: {value!r} holds a character that none may hold")
    elif kinds <= {"str", *_PATHS}:
        raise BadInput(f"{name} must be a path, not {in_brief(value)}")


def _is_one(value: Any) -> bool:
    return isinstance(value, str) or not hasattr(value, "__len__")


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and getattr(value, "ndim", 1) > 0


def _whole(name: str, value: Any) -> int:
    whole = check_count(name, value, _LEAST_OF.get(name, 0))
    most = _MOST_OF.get(name, MOST)
    if whole > most:
        raise BadInput(f"{name} must be at most {most:,}, not {in_brief(value)}")
    return whole


def _why(given: dict[str, Any], wanted: dict[str, list[str]], error: Exception) -> str | None:
    """Which argument ended the work in an error of Python's, if one is not as it is annotated."""
    for name, value in given.items():
        if not _fits(value, wanted[name]):
            kinds = " or ".join(dict.fromkeys(_in_words(wanted[name])))
            return f"{name} must be {kinds}, not {_shown(value)}"
    for name, value in given.items():
        several = any(kind.startswith((*_LISTS, *_NAMES)) for kind in wanted[name])
        if several and hasattr(value, "__len__") and not len(value):
            return f"{name} is empty: give one or more"
    wants = _columns_that(error)
    for name, value in given.items():
        known = list(getattr(value, "columns", wants))
        if lacking := [column for column in wants if column not in known]:
            return f"{name} has no column {lacking[0]!r}{there_are(lacking[0], known, 'it has')}"
    return None


def _fits(value: Any, kinds: list[str]) -> bool:
    return any(_is(value, *kind.removesuffix("]").partition("[")[::2]) for kind in kinds)


def _is(value: Any, kind: str, held: str) -> bool:
    """Whether a value is of a kind, as far as its name tells; of what cannot be told, it is."""
    if kind in _ANYTHING or not kind.isidentifier():
        return True
    if kind == "Protocol":
        return all(hasattr(value, name) for name in _MEMBERS[held])
    if kind == "None":
        return value is None
    if kind in _LISTS:
        inner = _parts(_parts(held, ",")[0], "|")
        several = _is_list(value) and not isinstance(value, str | bytes)
        return several and (not held or all(_fits(one, inner) for one in value))
    if kind in _NAMES:
        named = hasattr(value, "items")
        return named and all(_fits(one, _values(held)) for _, one in value.items())
    if kind in ("Callable", "type"):
        return callable(value)
    if kind in _PATHS:
        return isinstance(value, os.PathLike)
    if kind in ("Literal", "str"):
        return isinstance(value, str)
    if kind in ("int", "float"):
        number = Integral if kind == "int" else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return kind in {base.__name__ for base in type(value).__mro__}


def _in_words(kinds: list[str]) -> Iterator[str]:
    for kind in kinds:
        name, _, held = kind.removesuffix("]").partition("[")
        if name in _LISTS and held:
            [inner, *_] = _in_words([_parts(held, ",")[0]])
            yield "a list of " + re.sub(r"^an? (whole )?(\w+)", r"\1\2s", inner)
        elif name in _NAMES:
            yield _by_name(held)
        elif name != "None":
            name = held if name == "Protocol" else name
            yield _SAID.get(name) or f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _values(held: str) -> list[str]:
    """The kinds of a mapping's values, of what its annotation holds within the brackets."""
    return _parts(_parts(held, ",")[-1], "|") if held else ["Any"]


def _by_name(held: str) -> str:
    [kind, *_] = _values(held)
    example = {"float": "0.5", "int": "1", "str": '"text"'}.get(kind, kind.partition("[")[0])
    return "names with values" + (f', such as {{"name": {example}}}' if kind != "Any" else "")


def _shown(value: Any) -> str:
    simple = isinstance(value, str | bytes | bool | int | float | list | tuple | dict | os.PathLike)
    return in_brief(value) if simple else a_kind(value)


def _columns_that(error: Exception) -> list[str]:
    """The columns that pandas did not find in a table; rows and values of series are no columns."""
    modules, trace = [""], error.__traceback__
    while trace is not None:
        modules.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    by_pandas = modules[-1].startswith("pandas") and not set(modules) & _BY_ROW
    if not isinstance(error, KeyError) or not by_pandas or not isinstance(error.args[0], str):
        return []
    before, mark, listed = error.args[0].partition("[")
    return re.findall(r"'([^']*)'", listed) if mark else [before]
