"""Vectors as people have them: arrays, tensors, lists or frames, with axes of length one.

In: whatever holds a row of numbers a face. Out: an array (N, D) of plain numbers, or one sentence
on what it is instead.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from facelab.embedders.columns import is_running, vector_columns
from facelab.errors import BadInput, a_kind
from facelab.faces.names import as_names
from facelab.faces.spelling import nearly


def as_array(value: Any, what: str) -> np.ndarray:
    """Plain numbers, whatever holds them: arrays, tensors on any device, nested lists.

    Raises
    ------
    BadInput
        They are no numbers: text, truth values, complex numbers, rows of several lengths.
    """
    if isinstance(value, list | tuple):
        value = [at_hand(part) for part in value]
    try:
        array = np.asarray(at_hand(value))
        if array.dtype == object or array.dtype.kind == "V":  # such as bfloat16
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        several = "inhomogeneous" in str(error)
        found = "rows of several lengths" if several else a_kind(value)
        raise BadInput(f"{what} {found}: one row of numbers a face is needed, (N, D)") from error
    if array.dtype.kind not in "fiu":
        kind = {"c": "complex numbers", "b": "true and false"}.get(array.dtype.kind, "text")
        raise BadInput(
            f"{what} {kind} ({a_kind(value)}): one row of numbers a face is needed, (N, D)"
        )
    return array


def at_hand(value: Any) -> Any:
    """A tensor, perhaps with a gradient or on a device, as an array; other things as they are."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        return (value.float() if value.is_floating_point() else value).numpy()
    if isinstance(value, np.ma.MaskedArray):
        return value.astype(np.float64).filled(np.nan)
    return value.toarray() if hasattr(value, "toarray") else value


def as_vectors(
    value: Any, count: int, what: str, said: Callable[[tuple[int, ...]], str]
) -> np.ndarray:
    """One row of numbers for each of `count` faces, axes of length one taken out.

    Parameters
    ----------
    value
        Numbers (N, D), (N, D, 1, 1), (N, 1, D) ...
    count
        N.
    what, said
        For messages: the beginning of "... no numbers but text", and a sentence on a shape that
        does not fit.
    """
    array = as_array(value, what)
    if array.ndim > 2 and array.shape[:2] == (1, count) != (1, 1):
        array = array[0]
    wide = [length for length in array.shape[1:] if length != 1]
    if array.ndim > 1 and len(array) == count and len(wide) <= 1:
        rows = array.reshape(count, wide[0] if wide else 1)
        if rows.shape[1]:
            return rows
    raise BadInput(
        f"{said(array.shape)}: one row of numbers each is needed, ({count}, D)"
        f"{_advice(array, count)}"
    )


def _advice(array: np.ndarray, count: int) -> str:
    shape = array.shape
    if array.ndim == 2 and shape[1] == count:
        return "; these stand in columns: turn them round (.T)"
    if array.ndim > 2 and len(array) == count:
        return "; take one vector of each, as after the network's pooling"
    if array.ndim == 1 and len(array) == count:
        return "; these are one number each"
    if array.ndim == 1 and len(array):
        return "; this is one vector: make one of each face, and stack them (np.stack)"
    return ""


# ---- vectors beside a table


def vectors_of(vectors: Any, table: pd.DataFrame, index: pd.Index | None = None) -> np.ndarray:
    """The vectors of a table's faces, in its order.

    Parameters
    ----------
    vectors
        (N, D) numbers, or a DataFrame (or a Series of rows) of them, whose rows are joined by name
        where the index (or a column `image`) holds the images' names, or the labels of the table's
        own `index`; otherwise they must be numbered from 0, in the table's order.
    table
        As `as_face_table` makes it.
    index
        Of the table, as it was given.

    Raises
    ------
    BadInput
        They do not fit the table, or are no vectors: scores, labels, running numbers.
    """
    if isinstance(vectors, pd.Series):
        vectors = pd.DataFrame(as_array(list(vectors), "the vectors hold"), index=vectors.index)
    if isinstance(vectors, pd.DataFrame):
        vectors = _of_frame(vectors, table["image"], index)
    count, people = len(table), table["subject"].nunique()

    def said(shape: tuple[int, ...]) -> str:
        means = shape and shape[0] == people != count
        each = f", whose {people} subjects have one vector each here" if means else ""
        return f"vectors of shape {shape} do not fit a table of {count} rows{each}"

    rows = as_vectors(vectors, count, "the vectors hold", said)
    _refuse_matrix(rows)
    _refuse_running(rows)
    return rows


def _of_frame(frame: pd.DataFrame, images: pd.Series, index: pd.Index | None) -> np.ndarray:
    if "image" in frame.columns:
        frame = frame.set_index("image")
    numbers = frame[vector_columns(frame, None, "the frame of vectors")]
    if index is not None and len(frame) == len(index) and set(frame.index) == set(index):
        if frame.index.is_unique and not frame.index.equals(index):
            numbers = numbers.loc[index]
        return numbers.to_numpy()
    if frame.index.equals(pd.RangeIndex(len(frame))):
        return numbers.to_numpy()
    names = as_names(frame.index, "index of the vectors")
    place = pd.Index(names).get_indexer(images) if names.is_unique else np.array([-1])
    if len(names) != len(images) or (place < 0).any():
        lacking = [name for name in names if name not in set(images)]
        hint = nearly(str(lacking[0]), images) if lacking else ""
        first = f", such as {lacking[0]!r}{f' ({hint})' if hint else ''}" if lacking else ""
        raise BadInput(
            f"the index of the vectors does not name the {len(images)} images of the table, each "
            f"once{first}: set it to the images' names, or give .to_numpy() in the table's order"
        )
    return numbers.to_numpy()[place]


def _refuse_matrix(rows: np.ndarray) -> None:
    """Scores of all pairs are square and symmetric, with one value along the diagonal."""
    count = len(rows)
    if rows.shape != (count, count) or count < 3:
        return
    along, others = np.diagonal(rows), rows[~np.eye(count, dtype=bool)]
    near = 1e-3 * float(np.abs(rows).max())
    lowest, highest = along.max() <= others.min() + near, along.min() >= others.max() - near
    alike = np.ptp(along) <= near < np.ptp(others)
    if alike and (lowest or highest) and np.allclose(rows, rows.T, rtol=0, atol=near):
        kind = "distances" if lowest else "similarities"
        raise BadInput(
            f"the vectors are a symmetric matrix of {count} by {count} with {along[0]:g} along its "
            f"diagonal, {kind} of all pairs: give the vectors, or list the pairs with their scores "
            "for fl.Comparisons.from_scores"
        )


def _refuse_running(rows: np.ndarray) -> None:
    for place in (0, rows.shape[1] - 1):
        if rows.shape[1] > 1 and is_running(rows[:, place]):
            raise BadInput(
                f"column {place} of the vectors counts the rows ({rows[0, place]:g}, "
                f"{rows[1, place]:g}, {rows[2, place]:g} ...): an index is no dimension, leave it "
                "out"
            )
