"""Vectors that others computed, read from npz, parquet or csv and laid beside a table of faces.

In: a file of vectors with the names of their images. Out: the vectors in the table's order, and
one sentence on what did not fit. Nothing pickled is opened.
"""

import math
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from numpy.lib.format import read_array_header_1_0 as array_header_1_0
from numpy.lib.format import read_array_header_2_0 as array_header_2_0
from numpy.lib.format import read_magic as magic

from facelab.datasets.reader import one_line
from facelab.embedders.columns import is_numeric, the_one, vector_columns
from facelab.embedders.vectors import as_vectors
from facelab.errors import BadInput, how_many, there_are
from facelab.faces.names import as_names
from facelab.faces.spelling import nearly
from facelab.limits import (
    TABLE,
    Limit,
    check_file,
    check_inflated,
    check_parquet,
    check_text,
)

_VECTORS = Limit("a file of vectors", 2**62)  # what is in it is held against the memory
_MANY_IMAGES = 10**7  # one vector under each image's name
_NO_NUMBER = ["", "nan", "NaN", "NA"]


def read_vectors(
    path: str | Path, image: str = "image", vectors: str | list[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Names of images and their vectors, as a file has them.

    Parameters
    ----------
    path
        `.npz`: an array (N, D) and one of N names, or one vector under each image's name.
        `.parquet`: a column of names and a column of lists, or columns v0 .. vN.
        `.csv`: a column of names and columns v0 .. vN, or no other columns than numbers that are
        alike.
    image
        The column or key of the names.
    vectors
        The key, the list column, what the numbered columns' names begin with, or a list of columns,
        where there is a choice.

    Returns
    -------
    names, vectors
        Text (N,) by `facelab.faces.names`, float64 (N, D).

    Raises
    ------
    FileNotFoundError, BadInput
        There is no such file, it is damaged, or no names or vectors are in it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file of vectors {path}")
    check_file(path, _VECTORS)
    readers = {".npz": _from_npz, ".parquet": _from_parquet, ".csv": _from_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        beside = ""
        if path.suffix.lower() in (".npy", ".pt", ".pth"):
            beside = ", or read it and lay the table beside it: fl.Embeddings.from_arrays"
        raise BadInput(f"{path} is no file of vectors: give {', '.join(readers)}{beside}")
    try:
        names, rows = reader(path, image, vectors)
    except BadInput:
        raise
    except Exception as error:
        # Readers of damaged archives, headers and tables raise anything: TokenError, zlib.error ...
        raise BadInput(f"{path} cannot be read as vectors: {one_line(error)}") from error
    if not len(rows) or not rows.shape[1]:
        raise BadInput(f"{path} holds no vectors")
    named = as_names(names, image)
    nameless = named.isna().to_numpy()
    if nameless.any():
        row = int(nameless.argmax())
        raise BadInput(f"{path}: {image!r} of row {row} is empty, and every vector needs a name")
    return named.to_numpy(object), rows


def join(
    names: np.ndarray, vectors: np.ndarray, images: pd.Series, source: Path, partial: bool
) -> tuple[np.ndarray, np.ndarray, str]:
    """The table's rows that have a vector, these vectors, and a sentence on what did not fit.

    Parameters
    ----------
    names, vectors
        As `read_vectors` gives them.
    images
        The table's images, each once.
    source
        The file, to be named.
    partial
        Go on with what fits. An image with several vectors that are the same has one; with
        several that differ it has none.

    Raises
    ------
    BadInput
        Something does not fit and `partial` is False, or nothing fits.
    """
    place = pd.Series(np.arange(len(images)), index=images.to_numpy()).reindex(names).to_numpy()
    known = ~np.isnan(place)
    unknown = pd.unique(names[~known])
    order = np.flatnonzero(known)
    _, first, which = np.unique(names[order], return_index=True, return_inverse=True)
    differs = (vectors[order] != vectors[order[first]][which]).any(axis=1)
    differs[first] = False  # but for NaN, which differs from itself
    again = np.setdiff1d(np.arange(len(order)), first)
    twice = pd.unique(names[order[again]])
    unclear = pd.unique(names[order[differs]])
    row = np.full(len(images), -1)
    row[place[order[first]].astype(int)] = order[first]
    missing = images[row < 0].to_numpy()
    row[images.isin(unclear).to_numpy()] = -1
    parts = [
        _counted(missing, "of the table without a vector", not partial),
        _counted(twice, "with more than one vector", not partial, len(unclear)),
        _counted(unknown, "of the file not in the table", not partial),
    ]
    told = ", ".join(part for part in parts if part)
    # What is kept as a note names no photo.
    what = "The file of vectors" if partial else source.name
    sentence = f"{what} does not fit the table: {told}" if told else ""
    if not len(order):
        first = str(names[0])
        hint = nearly(first, images)
        raise BadInput(
            f"no image of the table has a vector in {source}: the table's first is "
            f"{images.iloc[0]!r}, the file's {first!r}{f' ({hint})' if hint else ''}"
        )
    if told and not partial:
        raise BadInput(f"{sentence}: mend it, or go on with what fits with partial=True")
    rows = np.flatnonzero(row >= 0)
    return rows, vectors[row[rows]], sentence


def _counted(images: np.ndarray, what: str, named: bool, unclear: int = 0) -> str:
    if not len(images):
        return ""
    told = [f"first {str(images[0])!r}"] if named else []
    if unclear:
        told.append(f"of {unclear} the vectors differ{'' if named else ', left out'}")
    more = f" ({'; '.join(told)})" if told else ""
    return f"{how_many(len(images), 'image')} {what}{more}"


def _from_npz(path: Path, image: str, vectors: str | None) -> tuple[np.ndarray, np.ndarray]:
    _check_members(path)
    with np.load(path, allow_pickle=False) as file:
        try:
            arrays = {key: file[key] for key in file.files}
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            raise BadInput(
                f"{path} holds pickled objects, which are not opened: store names as text, "
                "np.array(names, dtype=str)"
            ) from error
    wide = [key for key, value in arrays.items() if value.ndim > 1 and is_numeric(value)]
    flat = {key for key, value in arrays.items() if value.ndim == 1 and is_numeric(value)}
    if arrays and not vectors and image not in arrays and flat == set(arrays):
        if len({len(value) for value in arrays.values()}) > 1:
            raise BadInput(f"{path} holds vectors of several lengths")
        return np.array(list(arrays)), np.stack(list(arrays.values())).astype(np.float64)
    key = the_one(path, _one_name(vectors), wide, "array of vectors (N, D)", list(arrays))
    names = arrays.get(image)
    if names is None or names.ndim != 1 or names.dtype.kind not in "USiuf":
        raise BadInput(
            f"{path} has no array {image!r} of names{there_are(image, arrays, 'it has')} (give "
            "image=, the key of the names)"
        )

    def said(shape: tuple[int, ...]) -> str:
        return f"{path} has {len(names)} names ({image}) for {shape[0]} vectors ({key})"

    rows = as_vectors(arrays[key], len(names), f"{path}, {key}: the vectors hold", said)
    return names, rows.astype(np.float64)


def _check_members(path: Path) -> None:
    """Refuse what would unpack to more than is there, or than it says itself."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MANY_IMAGES:
            raise BadInput(
                f"{path} holds {len(members):,} arrays: give one of (N, D) and one of N names"
            )
        check_inflated(sum(one.file_size for one in members), path.stat().st_size, path)
        for member in members:
            with archive.open(member) as file:
                _check_header(file, member.file_size, f"{path}, {member.filename}")


def _check_header(file: IO[bytes], size: int, what: str) -> None:
    """NumPy takes memory for what a header promises before it reads what there is."""
    readers = {(1, 0): array_header_1_0, (2, 0): array_header_2_0}
    reader = readers.get(magic(file))
    if reader is None:
        raise BadInput(f"{what} has an array's header of another version")
    shape, _, kind = reader(file)
    if not kind.hasobject and file.tell() + math.prod(shape) * kind.itemsize != size:
        raise BadInput(f"{what} promises an array of {shape}, and its size is another's")


def _from_parquet(path: Path, image: str, vectors: str | None) -> tuple[np.ndarray, np.ndarray]:
    check_parquet(path)
    table = pyarrow.parquet.read_table(path)
    # An index that pandas stored is a column here, and may hold the names.
    names = _names(path, image, table.column_names, lambda: table.column(image).to_pandas())
    lists = [
        field.name
        for field in table.schema
        if pyarrow.types.is_list(field.type)
        or pyarrow.types.is_large_list(field.type)
        or pyarrow.types.is_fixed_size_list(field.type)
    ]
    if (vectors is None and lists) or (isinstance(vectors, str) and vectors in lists):
        key = the_one(path, vectors, lists, "column of lists", table.column_names)
        values = table.column(key).to_pylist()
        lengths = {len(value) if value is not None else 0 for value in values}
        if len(lengths) > 1:
            raise BadInput(f"{path}, column {key}: vectors of several lengths, {sorted(lengths)}")
        return names, np.array(values, dtype=np.float64).reshape(len(values), -1)
    return names, _numbers(path, table.to_pandas(ignore_metadata=True), image, vectors)


def _from_csv(path: Path, image: str, vectors: str | None) -> tuple[np.ndarray, np.ndarray]:
    check_text(path, TABLE)
    columns = pd.read_csv(path, nrows=0).columns
    if len(columns) == 1 and any(mark in columns[0] for mark in (";", "\t")):
        raise BadInput(
            f"{path} is not separated by commas: read it with pandas (sep=';' or '\\t', and "
            "decimal=',' where it has decimal commas) and write it as csv or parquet"
        )
    # An image may be called NA; a number may not.
    missing = {column: _NO_NUMBER for column in columns if column != image}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                dtype={image: str},
                na_values=missing,
                keep_default_na=False,
                index_col=False,
            )
        except pd.errors.ParserWarning:
            raise BadInput(f"{path}: its rows have more cells than its first line names") from None
    names = _names(path, image, list(columns), lambda: table[image])
    return names, _numbers(path, table, image, vectors)


def _names(path: Path, image: str, columns: list[str], read: Callable[[], pd.Series]) -> pd.Series:
    if image not in columns:
        raise BadInput(
            f"{path} has no column {image!r}{there_are(image, columns, 'it has')} (give image=, "
            "the column of the names)"
        )
    return read()


def _numbers(
    path: Path, table: pd.DataFrame, image: str, vectors: str | list[str] | None
) -> np.ndarray:
    return table[vector_columns(table, vectors, str(path), (image,))].to_numpy(dtype=np.float64)


def _one_name(vectors: str | list[str] | None) -> str | None:
    """The key of an array, which is one name."""
    if isinstance(vectors, str) or vectors is None:
        return vectors
    if len(vectors) == 1:
        return vectors[0]
    raise BadInput("an npz file holds the vectors in one array: vectors= is its key, not a list")
