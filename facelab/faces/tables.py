"""The door for tables of faces: one row an image, the same before and after it is stored.

In: a DataFrame as people have them. Out: text `subject` and `image`, label columns as categoricals
of text, numbers as numbers; or one sentence that names the column and the row.
"""

import ast
import re
from typing import Any

import numpy as np
import pandas as pd

from facelab.errors import BadInput, a_kind, how_many, in_brief, there_are, warn
from facelab.faces.groups import there
from facelab.faces.names import Unfit, as_label_column, as_name, as_names
from facelab.faces.spelling import folded


def as_face_table(table: pd.DataFrame, numbered: bool = False) -> pd.DataFrame:
    """The table as a FaceSet holds it.

    Parameters
    ----------
    table
        One row a face, with `subject` and `image` as columns or as its index. Ids and labels become
        text by `facelab.faces.names`.
    numbered
        Number the images where they have no names, instead of refusing the table.

    Raises
    ------
    BadInput
        It is no table, `subject` or `image` is absent or empty in some row, an image stands in it
        twice, two columns have one name, or a column's values are neither labels nor numbers.
    """
    if not isinstance(table, pd.DataFrame):
        raise BadInput(f"the table must be a DataFrame with a row a face, not {a_kind(table)}")
    table = _named_columns(table)
    if numbered and "image" not in table.columns:
        table = table.assign(image=np.arange(len(table)))
    found = {}
    for column in ("subject", "image"):
        if column not in table.columns:
            raise BadInput(f"the table has no column {column!r}{there(table, column, ())}")
        names = as_names(table[column], column)
        if names.isna().any():
            row = int(np.flatnonzero(names.isna())[0])
            raise BadInput(f"row {row} of the table has no {column}: name it, or leave the row out")
        found[column] = names
    twice = found["image"].duplicated()
    if twice.any():
        raise BadInput(
            f"image {found['image'][twice].iloc[0]!r} stands in the table twice "
            f"({how_many(int(twice.sum()), 'repeated row')}): keep one row an image"
        )
    if "images" in table.columns:
        raise BadInput(
            "the table has a label column 'images', which is what tables of subjects call the "
            "number of somebody's images: rename it"
        )
    for column in table.columns.difference(["subject", "image"], sort=False):
        found[column] = as_label_column(table[column], column)
    return pd.DataFrame({column: found[column] for column in table.columns})


def tell_alike(subjects: pd.Series) -> None:
    """Warn of subjects that only capitals or spaces tell apart, by row: warnings name nobody."""
    distinct = subjects.drop_duplicates()
    spelt = distinct[~distinct.str.fullmatch(r"-?\d+")].map(folded)  # -1 and 1 are two numbers
    again = spelt.duplicated()
    if not again.any():
        return
    row = again.idxmax()
    first = spelt.eq(spelt[row]).idxmax()
    more = int(again.sum()) - 1
    others = f", and {how_many(more, 'more subject')} like one before" if more else ""
    warn(
        f"the subjects of rows {first} and {row} are spelt alike but for capitals, spaces, hyphens "
        f"or forms of letters{others}: they count as different people; write them alike if they "
        "are one"
    )


def _named_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns named by text, and with an index that is `subject` or `image`."""
    levels = [name for name in ("subject", "image") if name in table.index.names]
    kept = [name for name in levels if name not in table.columns]
    table = table.reset_index(kept).reset_index(drop=True)
    if isinstance(table.columns, pd.MultiIndex):
        raise BadInput("the table's columns have several levels: give each column one name")
    names = as_names(table.columns, "names of the columns")
    if names.isna().any():
        raise BadInput(f"column {int(names.isna().argmax())} of the table has no name: give it one")
    if names.duplicated().any():
        twice = names[names.duplicated()].iloc[0]
        raise BadInput(f"the table has two columns called {twice!r}: keep one")
    return table.set_axis(names.tolist(), axis=1)


def settled(table: pd.DataFrame) -> pd.DataFrame:
    """Some rows of a face table, to which columns of any kind may have been added since."""
    columns = {name: table[name] for name in ("subject", "image")}
    columns |= {
        name: as_label_column(table[name], name) for name in table.columns if name not in columns
    }
    return pd.DataFrame(columns)[list(table.columns)].reset_index(drop=True)


def is_named(table: pd.DataFrame, name: object) -> bool:
    """Whether an image or a subject of a face table has this name, whatever its type."""
    try:
        name = as_name(name)
    except Unfit:
        return False
    return bool(((table["image"] == name) | (table["subject"] == name)).any())


def as_rows(rows: Any, count: int, what: str) -> np.ndarray:
    """Row numbers of what stands in brackets: a mask, numbers, a slice, or one number.

    Raises
    ------
    BadInput
        It is none of these; a mask is of another length or has gaps.
    IndexError
        There is no such row.
    """
    if isinstance(rows, slice):
        return np.arange(count)[rows]
    values = np.asarray(rows)
    if values.dtype == object and pd.api.types.is_bool_dtype(rows):
        raise BadInput("the mask has gaps: say what a missing value means, with fillna(False)")
    if values.size == 0:
        return np.arange(0)
    if values.dtype == bool:
        if values.shape != (count,):
            raise BadInput(
                f"a mask of {len(np.atleast_1d(values))} does not fit a {what} of {count}"
            )
        return np.flatnonzero(values)
    if values.dtype.kind not in "iu" or values.ndim > 1:
        raise BadInput(
            f"a {what} takes a mask, row numbers or a slice in brackets, not {in_brief(rows)}: its "
            "columns are those of `.table`, and `.query` chooses by labels"
        )
    return np.arange(count)[np.atleast_1d(values)]


def rows_where(table: pd.DataFrame, expression: str) -> np.ndarray:
    """The numbers of the rows for which a pandas expression holds.

    Raises
    ------
    BadInput
        It cannot be evaluated, compares labels with a number, or is no condition.
    """
    _refuse_numbers(table, expression)
    try:
        found = table.query(expression)
    except _NO_CONDITION as error:
        unknown = re.search(r"name '(.+)' is not defined", str(error))
        known = there_are(unknown[1] if unknown else "", table.columns, "the table has")
        raise BadInput(f"query {expression!r}: {error}{known}") from error
    return found.index.to_numpy()


_NO_CONDITION = (SyntaxError, TypeError, ValueError, KeyError, pd.errors.UndefinedVariableError)


def _refuse_numbers(table: pd.DataFrame, expression: str) -> None:
    """Refuse `monk == 5`, which no label of text can fulfil."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except SyntaxError:  # pandas knows more than Python, such as names in backticks
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        columns = [side.id for side in sides if isinstance(side, ast.Name)]
        numbers = [side.value for side in sides if isinstance(side, ast.Constant)]
        for column in columns:
            labels = column in table.columns and not (
                pd.api.types.is_numeric_dtype(table[column])
                or pd.api.types.is_datetime64_any_dtype(table[column])
            )
            if labels and any(type(number) in (int, float) for number in numbers):
                raise BadInput(
                    f"query {expression!r} compares {column!r}, whose labels are text, with a "
                    f"number: write {column} == {str(numbers[0])!r}"
                )


def is_constant(column: pd.Series, first: np.ndarray) -> bool:
    """Whether each row has the value of the row that `first` names for it; missing is a value."""
    values = column
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = column.cat.codes
    elif not pd.api.types.is_numeric_dtype(column.dtype):
        values = pd.Series(pd.factorize(column)[0])
    values = values.to_numpy()
    there = values[first]
    return bool(((values == there) | ((values != values) & (there != there))).all())


def most_often(numbers: np.ndarray) -> tuple[int, int]:
    """The row that stands in a list most often, and how often."""
    often = np.bincount(numbers.ravel())
    return int(often.argmax()), int(often.max())
