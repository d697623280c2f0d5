"""One person, one name: ids and labels as text by one rule, whatever type or spelling they come in.

In: values and columns of any pandas kind. Out: text, or columns that are the same before and after
they are stored. Whatever matches ids, labels or image names takes both sides through here.
"""

import datetime
import decimal
import enum
import numbers
import re
import unicodedata
import uuid
from collections.abc import Hashable, Iterable
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind

# What stands around a name unseen: white space, byte order marks, zero-width characters, NULs.
_AROUND = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff\u200b\u2060\x00"
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,15}))\.0")  # how floats spell whole numbers
_UNCLEAN = r"^\s|\s$|^-?\d+\.0$|[^\x20-\x7e]|^$"  # what of a text may have another name than itself
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_EXACT = 2**53  # from here on neighbouring whole numbers are one float
_SPELT = (
    datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64, pd.Interval,
    pd.Period, PurePath, uuid.UUID,
)  # fmt: skip


class Unfit(ValueError):
    """This value is no name; the message completes the sentence "the column holds ..."."""


def as_name(value: Any) -> str | None:
    """A value as the name of a person, an image or a group.

    Parameters
    ----------
    value
        Text, a number, a truth value, a date, an interval, a path, or something missing.

    Returns
    -------
    str or None
        Text stripped and in Unicode's form NFC; whole numbers without ".0", whatever type they have
        or whoever spelt them; dates as ISO 8601. None where it is missing or empty.

    Raises
    ------
    Unfit
        It is a container or another object, infinite, or a float too large to tell whole numbers
        apart.

    Examples
    --------
    >>> import numpy as np
    >>> [as_name(value) for value in (3, 3.0, np.int8(3), "3", "3.0", " 3 ", "007", b"ada", None)]
    ['3', '3', '3', '3', '3', '3', '007', 'ada', None]
    """
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bytes):
        return _of_text(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, numbers.Real | decimal.Decimal):
        return _of_number(value)
    if isinstance(value, enum.Enum):
        return as_name(value.value)
    if isinstance(value, _SPELT):
        return None if pd.isna(value) else _of_text(str(value).removesuffix(" 00:00:00"))
    raise Unfit(f"{a_kind(value)}, which is no label ({str(value)[:60]}): write it as text")


def _of_number(value: Any) -> str | None:
    if value != value:
        return None
    if value in (float("inf"), float("-inf")):
        raise Unfit(f"{value}, which is no label: leave it empty")
    if value % 1:
        return str(value)
    if abs(value) >= _EXACT and not isinstance(value, decimal.Decimal):
        raise Unfit(f"{value!r}, too large for a float to tell ids apart: read ids as text")
    return str(int(value))


def _of_text(text: str) -> str | None:
    text = text.strip(_AROUND)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        try:
            text.encode()
        except UnicodeEncodeError:  # a file name outside UTF-8, or half a character
            text = escaped(text)
    whole = _WHOLE.fullmatch(text)
    return (whole[1] if whole else text) or None


def escaped(text: str) -> str:
    """Text that any file format can hold: what is no character is escaped."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


# What makes markup of a text, in Markdown, in the HTML in it, and in formulas; last what makes a
# list of one that begins with it.
_MARKUP = re.compile(
    r"[\\`*\[\]<>&|~$#!@]|:(?=//)|(?<=www)\.|^[-+]|(?:(?<=^\d)|(?<=^\d\d))[.)](?=\s|$)",
    re.IGNORECASE,
)


@as_annotated
def in_markdown(text: Any) -> str:
    """A label, a name or a note as Markdown that shows it as it is: on one line, without markup.

    Examples
    --------
    >>> import facelab as fl
    >>> print(fl.in_markdown("african/female, ![x](/etc/passwd) <b>"))
    african/female, &#33;&#91;x&#93;(/etc/passwd) &#60;b&#62;
    """
    words = " ".join(str(text).split())
    return _MARKUP.sub(lambda one: f"&#{ord(one[0])};", words)


def as_names(column: Iterable[Any], what: str) -> pd.Series:
    """A column of ids as text, by `as_name`.

    Parameters
    ----------
    column
        A Series of any kind, or values.
    what
        What it is called, for the message: "subject".

    Returns
    -------
    pandas.Series
        Text on the column's own index; missing stays missing.

    Raises
    ------
    BadInput
        A value is no name.

    Examples
    --------
    >>> import pandas as pd
    >>> as_names(pd.Series([1, None, 3]), "subject").tolist()
    ['1', nan, '3']
    """
    column = column if isinstance(column, pd.Series) else pd.Series(list(column), dtype=object)
    if _is_clean(column):
        return column
    if isinstance(column.dtype, pd.CategoricalDtype) or _repeats(column):
        codes, distinct = _coded(column)
        names = np.array([*_each(distinct, what), None], dtype=object)[codes]
    else:
        names = _each(column, what)
    return _text(names, column.index, column.name)


def as_label_column(column: pd.Series, what: str) -> pd.Series:
    """A column of a face table as it is the same before and after storing.

    Parameters
    ----------
    column
        Any kind of pandas: text, objects, categoricals of anything, numbers, nullable and Arrow
        types, truth values, dates, periods, intervals.
    what
        What it is called, for the message.

    Returns
    -------
    pandas.Series
        Numbers as NumPy's numbers, truth values without gaps as bool, time stamps and durations as
        they are; everything else as categorical text by `as_name`. Categories that are such text
        already stay as they are, ordered ones (`pandas.cut`) keep their order, and others stand in
        order of their spelling, whole numbers by size.

    Raises
    ------
    BadInput
        The values are neither labels nor numbers: lists, sets, dicts, complex numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> column = as_label_column(pd.cut(pd.Series([3, 40, 70]), [0, 18, 65, 120]), "age_group")
    >>> column.cat.categories.tolist(), column.cat.ordered
    (['(0, 18]', '(18, 65]', '(65, 120]'], True)
    """
    column = _in_plain_pandas(column)
    kind = column.dtype
    if isinstance(kind, np.dtype) and kind.kind in "biufmM":
        # Parquet knows floats of 4 and 8 bytes only.
        stored = {2: np.float32, 16: np.float64}.get(kind.itemsize) if kind.kind == "f" else None
        return column.astype(stored) if stored else column
    if isinstance(kind, pd.DatetimeTZDtype):
        return column
    if isinstance(kind, np.dtype) and kind.kind == "c":
        raise BadInput(f"column {what!r} holds complex numbers, which are no labels: leave it out")
    codes, distinct = _coded(column)
    names = _each(distinct, what)
    if isinstance(kind, pd.CategoricalDtype) and names and names == list(column.cat.categories):
        return column
    ordered = isinstance(kind, pd.IntervalDtype) or getattr(kind, "ordered", False)
    kept = list(dict.fromkeys(name for name in names if name is not None))
    categories = kept if ordered else _in_order(kept)
    place = {name: number for number, name in enumerate(categories)}
    new = np.array([*(place.get(name, -1) for name in names), -1])[codes]
    labels = pd.Categorical.from_codes(new, pd.Index(categories, dtype="str"), ordered=ordered)
    return pd.Series(labels, index=column.index, name=column.name)


def _in_order(names: list[str]) -> list[str]:
    """Names in order of their spelling; whole numbers by size."""
    if all(_INTEGER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _in_plain_pandas(column: pd.Series) -> pd.Series:
    """The column without the wrappings in which the same numbers and truth values can come."""
    kind = column.dtype
    if isinstance(kind, pd.SparseDtype):
        return _in_plain_pandas(column.sparse.to_dense())
    if isinstance(kind, pd.ArrowDtype):
        plain = pa.chunked_array(column.array.__arrow_array__()).to_pandas()
        return _in_plain_pandas(plain.set_axis(column.index).rename(column.name))
    if pd.api.types.is_extension_array_dtype(kind) and pd.api.types.is_numeric_dtype(kind):
        if kind == "boolean":
            return column.astype(object) if column.isna().any() else column.astype(bool)
        return column.astype(np.float64 if column.isna().any() else kind.numpy_dtype)
    if pd.api.types.is_object_dtype(kind):
        found = pd.api.types.infer_dtype(column, skipna=True)
        if found in ("integer", "floating", "mixed-integer-float", "decimal"):
            return pd.to_numeric(column.astype(object).where(column.notna(), np.nan).map(_number))
        if found == "boolean" and not column.isna().any():
            return column.astype(bool)
    return column


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, decimal.Decimal) else value


def _is_clean(column: pd.Series) -> bool:
    """Whether every value is a text that is its own name; of a million it takes a tenth of a
    second."""
    if isinstance(column.dtype, np.dtype) or not pd.api.types.is_string_dtype(column.dtype):
        return False
    if isinstance(column.dtype, pd.CategoricalDtype | pd.ArrowDtype) or column.dtype != "str":
        return False
    texts = pa.array(column, from_pandas=True)
    return not pc.any(pc.match_substring_regex(texts, _UNCLEAN)).as_py()


def _repeats(column: pd.Series) -> bool:
    """Whether a value's type follows from the column's: then equal values have one name."""
    return column.dtype != object


def _coded(column: pd.Series) -> tuple[np.ndarray, Iterable[Any]]:
    """Each row's place among the distinct values (-1 where it is missing), and these."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), column.cat.categories
    if _repeats(column):
        return pd.factorize(column, sort=isinstance(column.dtype, pd.IntervalDtype))
    # True is 1 and 1.0 for a hash, and no label for any of them: types are told apart.
    found: dict[tuple[type, Hashable], int] = {}
    try:
        codes = [found.setdefault((type(value), value), len(found)) for value in column]
    except TypeError:  # what cannot be hashed is no label: `_each` says which
        return np.arange(len(column)), list(column)
    return np.array(codes, dtype=np.int64), [value for _, value in found]


def _each(values: Iterable[Any], what: str) -> list[str | None]:
    try:
        return [as_name(value) for value in values]
    except Unfit as error:
        raise BadInput(f"column {what!r} holds {error}") from None


def _text(names: Iterable[str | None], index: pd.Index, name: Hashable) -> pd.Series:
    """Texts as pandas keeps them by default; missing is missing, and no text of that spelling."""
    values = np.asarray(names, dtype=object)
    values[pd.isna(values)] = np.nan
    return pd.Series(values, index=index, name=name, dtype=object).infer_objects()
