"""Tables as csv in which a spreadsheet finds text where text is, and nothing that it would run.

In: a table. Out: csv, and the same table again. A cell that a spreadsheet would take for a formula
begins with an apostrophe in the file, as people type it there; numbers are numbers.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# Numbers to the last digit, which pandas before 3 gives only where it is asked to.
_EXACT = {} if int(pd.__version__.partition(".")[0]) > 2 else {"float_precision": "round_trip"}
# What begins a formula, also in the wide letters that some spreadsheets take for it. Apostrophes
# before it are kept apart from ours by one more.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def as_csv(frame: pd.DataFrame, index: bool = False) -> str:
    """A table as csv, its text harmless in a spreadsheet.

    Parameters
    ----------
    frame
        The table; names of columns and of its index are text, too.
    index
        Whether its index is written.

    Examples
    --------
    >>> import pandas as pd
    >>> print(as_csv(pd.DataFrame({"group": ["=1+1", "-", "ada"], "low": [-1.5, 0, 2]})).strip())
    group,low
    '=1+1,-1.5
    '-,0.0
    ada,2.0
    """
    flat = frame.reset_index(allow_duplicates=True) if index else frame
    columns = [flat.iloc[:, number] for number in range(flat.shape[1])]  # names may be there twice
    columns = [one.astype(object).map(_harmless) if _may_hold_text(one) else one for one in columns]
    table = pd.concat(columns, axis=1) if columns else flat
    table.columns = flat.columns
    texts = [one[one.map(_parts_cells)] for one in columns if _may_hold_text(one)]
    parted = any(map(len, texts)) or any(_parts_cells(name) for name in flat.columns)
    quoting = csv.QUOTE_NONNUMERIC if parted else csv.QUOTE_MINIMAL
    return table.rename(columns=_harmless).to_csv(index=False, quoting=quoting)


def from_csv(source: bytes | Path, **options: Any) -> pd.DataFrame:
    """The table of a csv that `as_csv` made: every cell as text, the apostrophes taken off.

    Parameters
    ----------
    source
        What stands in the file, or the file.
    options
        For `pandas.read_csv`, where not all cells are text.

    Examples
    --------
    >>> from_csv(b"group,low\\n'=1+1,-1.5\\n").iloc[0].tolist()
    ['=1+1', '-1.5']
    """
    data = io.BytesIO(source) if isinstance(source, bytes) else source
    options = options or {"dtype": "str", "keep_default_na": False}
    frame = pd.read_csv(data, compression=None, **_EXACT, **options)
    for number, name in enumerate(frame.columns):
        if _may_hold_text(frame.iloc[:, number]):
            frame[name] = frame[name].map(_as_it_was)
    return frame.rename(columns=_as_it_was)


def as_numbers(text: pd.Series) -> pd.Series:
    """Numbers out of cells of text, to the last digit; whole ones where all are whole."""
    if text.str.fullmatch(r"-?\d+").all():
        return text.map(int).astype("int64")
    return text.map(lambda cell: float(cell) if cell else np.nan).astype("float64")


def _may_hold_text(column: pd.Series) -> bool:
    kind = column.dtype
    labels = isinstance(kind, pd.CategoricalDtype)
    return labels or pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)


def _parts_cells(value: Any) -> bool:
    """Whether a text would begin a new cell for some reader, unless it stands in quotes."""
    return isinstance(value, str) and any(mark in value for mark in ";\t\r")


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _as_it_was(value: Any) -> Any:
    ours = isinstance(value, str) and value.startswith("'") and _FORMULA.match(value)
    return value[1:] if ours else value
