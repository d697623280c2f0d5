"""Which columns of a frame hold the vectors: asked where there is more than one reading.

In: a frame, and perhaps the columns or what their numbered names begin with. Out: the columns in
the order of the vectors' numbers.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from facelab.errors import BadInput, shortened, there_are

_DIGITS = 9  # of a column's number; with more it is a name
_MANY = 8  # rows from which on whole numbers in a row are no accident
_UNLIKE = 10  # times the size of the others: no dimension of one embedding


def vector_columns(
    frame: pd.DataFrame, given: str | list[str] | None, where: str, taken: tuple[str, ...] = ()
) -> list[Any]:
    """The columns that hold the vectors, in order.

    Parameters
    ----------
    frame
        What holds them.
    given
        A list of columns, or what their numbered names begin with. None where there is one
        reading: one run of numbered columns, or nothing but numbers of one kind.
    where
        Where they stand, for messages.
    taken
        Columns that hold something else.

    Raises
    ------
    BadInput
        No columns, a gap in their numbers, one that holds no numbers, or more than one reading.
    """
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise BadInput(f"{where} has two columns called {str(twice)!r}: keep one")
    if isinstance(given, list | tuple):
        chosen = list(given)
        if not chosen:
            raise BadInput(f"vectors= names no column of {where}: give one or more")
        for name in chosen:
            if name not in frame.columns:
                known = there_are(name, frame.columns, "it has")
                raise BadInput(f"{where} has no column {name!r}{known}")
    else:
        chosen = _run_or_all(frame, given, where, taken)
    for column in chosen:
        if not is_numeric(frame[column]):
            raise BadInput(
                f"{where}, column {column}: not every row is a number{_why(frame[column])}"
            )
    return chosen


def _run_or_all(
    frame: pd.DataFrame, prefix: str | None, where: str, taken: tuple[str, ...]
) -> list[Any]:
    others = [column for column in frame.columns if column not in taken]
    numbered: dict[str, dict[int, Any]] = {}
    for column in others:
        name = str(column)
        start = name.rstrip("0123456789")
        if 0 < len(digits := name[len(start) :]) <= _DIGITS:
            run = numbered.setdefault(start, {})
            if int(digits) in run:
                twice = f"{str(run[int(digits)])!r} and {name!r}"
                raise BadInput(f"{where} has the columns {twice}, one number twice: rename one")
            run[int(digits)] = column
    several = [name for name, columns in numbered.items() if len(columns) > 1]
    if prefix is None and not several and all(is_numeric(frame[column]) for column in others):
        _refuse_unlike(frame[others], where)
        return others
    for column in others if prefix is None and not several else ():
        if why := _why(frame[column]):
            raise BadInput(f"{where}, column {column}: not every row is a number{why}")
    run = the_one(where, prefix, several, "run of numbered columns (v0, v1 ...)", others)
    by_number = numbered[run]
    numbers = sorted(by_number)
    start = numbers[0]
    absent = next((start + at for at, one in enumerate(numbers) if one != start + at), None)
    if absent is not None or start > 1:
        lacking = 0 if absent is None else absent
        raise BadInput(f"{where} has no column {run}{lacking} among {run}{start} ...")
    return [by_number[number] for number in numbers]


def _refuse_unlike(frame: pd.DataFrame, where: str) -> None:
    """Columns without numbered names are one vector where they are all alike."""
    values = frame.to_numpy(np.float64)
    if len(values) < 2 or values.shape[1] < 2:
        return
    with np.errstate(invalid="ignore"):
        size = np.sqrt(np.nanmean(values**2, axis=0))
        whole = (values == np.rint(values)).all(axis=0)
    odd = (size > _UNLIKE * np.median(size)) | (whole & ~whole.all())
    odd |= [is_running(column) for column in values.T]
    if odd.any():
        raise BadInput(
            f"{where} has no run of numbered columns (v0, v1 ...), and "
            f"{listed(frame.columns[odd])} may be labels rather than dimensions: give vectors=, "
            "the list of the columns that make a vector"
        )


def _why(column: pd.Series) -> str:
    text = next((str(value).strip() for value in column if isinstance(value, str)), "")
    if re.fullmatch(r"-?\d+,\d+(e-?\d+)?", text):
        return f" ({text!r} has a decimal comma: write points)"
    if text.startswith("["):
        return " (it holds lists as text: give each number a column, or store parquet)"
    return ""


def the_one(
    where: Any, given: str | None, candidates: list[str], what: str, there: Iterable[Any]
) -> str:
    """The one candidate, or the given one; a sentence where there is a choice or none."""
    if given is not None and given not in candidates:
        raise BadInput(f"{where} has no {what} {given!r}{there_are(given, there, 'it has')}")
    if given is None and len(candidates) != 1:
        count = "no" if not candidates else f"{len(candidates)} times a"
        raise BadInput(
            f"{where} has {count} {what}: give vectors=, one of {listed(candidates or there)}"
        )
    return given if given is not None else candidates[0]


def is_numeric(values: Any) -> bool:
    kind = values.dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def listed(names: Iterable[Any], most: int = 8) -> str:
    names = [shortened(name) for name in names]
    return (", ".join(names[:most]) or "nothing") + (", ..." if len(names) > most else "")


def is_running(column: np.ndarray) -> bool:
    """Whether a column counts its rows, from 0 or 1."""
    count = len(column)
    return (
        count >= _MANY
        and column[0] in (0, 1)
        and column[-1] == column[0] + count - 1
        and bool((np.diff(column) == 1).all())
    )
