"""Hugging Face's layouts of image sets: `imagefolder`, and parquet files with the images inside.

In: a folder with `metadata.csv` or `metadata.jsonl` beside the images, or a folder a class; or
`data/train-00000-of-00002.parquet`. Out: a `Reader`.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab import words
from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import (
    as_text,
    attach_labels,
    path_key,
    read_csv,
    read_text,
    words_for_missing,
)
from facelab.datasets.walking import is_left_behind, walk
from facelab.errors import BadInput, there_are
from facelab.limits import check_parquet

_METADATA = ("metadata.csv", "metadata.jsonl")


@as_annotated
def huggingface(
    root: str | os.PathLike,
    *,
    image: str = "image",
    subject: str | None = None,
    by: list[str] | None = None,
) -> reader.Reader:
    """Read an `imagefolder` or a folder of parquet files.

    Parameters
    ----------
    root
        A parquet file, or a folder. With parquet files below it these are read, in order of their
        names; else its images, with the metadata files beside them.
    image
        Parquet: the column of images (a struct of `bytes` and `path`, or plain bytes).
    subject
        The column that says who is shown. None: each image is a subject of its own.
    by
        Label columns that are groups of people; by default those with well-known names.

    Returns
    -------
    Reader
        One column a label: of parquet files those of text, truth or whole numbers, in the
        words of the file's own `ClassLabel` names; of metadata all; of folders without metadata
        `label`, the folder's name. `image` is the path below `root`, or the parquet file's name
        and the row in it (`train-00000-of-00002/00012`, from 0).

    Raises
    ------
    BadInput
        A file cannot be read, lacks a column, or differs from the first in its columns; a label is
        outside its names; metadata and images disagree. The sentence names file and row.

    Notes
    -----
    Images stay in the parquet files until `prepare` reads them, a row group at a time; a row
    without image bytes is unusable then, as a file that is not there is.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("young/1.jpg", "young/2.jpg", "old/1.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.huggingface(root)
    >>> read.table[["label", "image"]].values.tolist()
    [['old', 'old/1.jpg'], ['young', 'young/1.jpg'], ['young', 'young/2.jpg']]
    """
    root = Path(root)
    if root.is_file():
        return _from_parquet(root.parent.resolve(), [root.resolve()], image, subject, by)
    root = reader.existing_folder(root)
    files = sorted(path for path in root.rglob("*.parquet") if _is_of_the_set(path, root))
    if files:
        return _from_parquet(root, files, image, subject, by)
    return _from_images(root, subject, by)


def _is_of_the_set(path: Path, root: Path) -> bool:
    return not any(is_left_behind(part) for part in path.relative_to(root).parts)


def _from_images(root: Path, subject: str | None, by: list[str] | None) -> reader.Reader:
    found = walk(root).photos
    if not found:
        raise BadInput(f"{root} holds no parquet files and no images")
    table = reader.image_table([(path, name, name) for path, name in found])
    sources = [path for name in _METADATA for path in sorted(root.rglob(name))]
    sources = [path for path in sources if _is_of_the_set(path, root)]
    notes: list[str] = []
    if sources:
        rows = pd.concat([_metadata(path, root) for path in sources], ignore_index=True)
        labels, notes = attach_labels(table, rows, sources[0], path_key, False)
        labels = labels.drop(columns="file")
        notes += words_for_missing(labels, sources[0])
    else:
        folders = [name.split("/")[:-1] for _, name in found]
        flat = next((name for (_, name), f in zip(found, folders, strict=True) if not f), None)
        if flat is not None:
            raise BadInput(
                f"{root} holds {flat!r} in no class's folder, and no {' or '.join(_METADATA)}"
            )
        labels = pd.DataFrame({"label": [folder[-1] for folder in folders]})
    return _reader(root, table, labels, subject, by, notes, None)


def _metadata(path: Path, root: Path) -> pd.DataFrame:
    """A metadata file as text, with `file` relative to `root`."""
    if path.suffix == ".csv":
        rows = read_csv(path, ["file_name"])
    else:
        records = []
        for number, line in enumerate(read_text(path).split("\n"), start=1):
            if not line.strip():
                continue
            record = words.read(line.encode(), f"{path} line {number}", "json")
            if not (isinstance(record, dict) and isinstance(record.get("file_name"), str)):
                raise BadInput(f"{path} line {number} has no file_name")
            records.append(record)
        rows = pd.DataFrame(records, columns=None if records else ["file_name"])
        rows = pd.DataFrame({name: as_text(rows[name], name) for name in rows.columns})
    start = path.parent.relative_to(root).as_posix()
    names = rows.pop("file_name").str.replace("\\", "/")
    names = names.map(lambda name: os.path.normpath(f"{start}/{name}"))
    rows.insert(0, "file", names)
    return rows


def _from_parquet(
    root: Path, files: list[Path], image: str, subject: str | None, by: list[str] | None
) -> reader.Reader:
    tables, labels = [], []
    for path in files:
        rows, offsets = _labels(path, image, {subject, *(by or [])})
        if labels and list(rows.columns) != list(labels[0].columns):
            raise BadInput(f"{path} has other columns than {files[0].name}: read them apart")
        place = path.relative_to(root).with_suffix("").as_posix()
        names = [f"{place}/{row:05d}" for row in offsets]
        tables.append(
            pd.DataFrame({"path": str(path), "offset": offsets, "subject": names, "image": names})
        )
        labels.append(rows)
    table = pd.concat(tables, ignore_index=True)
    if not len(table):
        raise BadInput(f"{files[0]} holds no rows")
    labels = pd.concat(labels, ignore_index=True)
    read = functools.partial(image_in, image=image)
    return _reader(root, table, labels, subject, by, [], read)


def _labels(path: Path, image: str, named: set[str | None]) -> tuple[pd.DataFrame, range]:
    """The labels of a file, as text, and its row numbers; the images are not read. Columns of other
    kinds than labels have are read where they are named."""
    import pyarrow as pa

    file = _opened(path)
    schema = file.schema_arrow
    if image not in schema.names:
        raise BadInput(
            f"{path} has no column {image!r}{there_are(image, schema.names, 'it has')} (give "
            "image=, the column of the images)"
        )
    at = schema.field(image).type
    inside = [field.name for field in at] if pa.types.is_struct(at) else []
    if not (pa.types.is_binary(at) or pa.types.is_large_binary(at) or "bytes" in inside):
        raise BadInput(f"{path} has images as {at} in {image!r}: expected their encoded bytes")
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
    kinds += (pa.types.is_boolean, pa.types.is_dictionary)
    kept = [
        field.name
        for field in schema
        if field.name != image and (field.name in named or any(kind(field.type) for kind in kinds))
    ]
    try:
        check_parquet(path, kept)
        frame = file.read(columns=kept).to_pandas()
    except (OSError, ValueError) as error:
        why = reader.one_line(error)
        raise BadInput(f"{path} is damaged: {why}") from error
    names = _class_names(schema.metadata, path)
    rows = pd.DataFrame(index=range(file.metadata.num_rows))
    for column in kept:
        rows[column] = as_text(frame[column], column)
        if column in names:
            told = {str(code): word for code, word in enumerate(names[column])} | {"-1": ""}
            strange = ~rows[column].isin([*told, ""])
            if strange.any():
                raise BadInput(
                    f"{path} row {strange.idxmax()} has {column} {rows[column][strange.idxmax()]}, "
                    f"and there are {len(told) - 1} names for it"
                )
            rows[column] = as_text(rows[column].map(told), column)
    return rows, range(len(rows))


def _class_names(metadata: dict[bytes, bytes] | None, path: Path) -> dict[str, list[str]]:
    """The words of coded columns, which `datasets` keeps in the file's own metadata."""
    text = (metadata or {}).get(b"huggingface")
    if text is None:
        return {}
    try:
        features: dict[str, Any] = words.read(text, path, "json")["info"]["features"]
        return {
            column: list(map(str, feature["names"]))
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} has metadata that `datasets` does not write ({error!r})") from error


def _reader(
    root: Path,
    table: pd.DataFrame,
    labels: pd.DataFrame,
    subject: str | None,
    by: list[str] | None,
    notes: list[str],
    read: Callable[[Path, int], bytes] | None,
) -> reader.Reader:
    if subject is None:
        notes = [*notes, reader.of_their_own(table, root.name)]
    else:
        if subject not in labels.columns:
            known = there_are(subject, labels.columns, "it has")
            raise BadInput(f"{root} has no column {subject!r}{known}")
        who = as_text(labels.pop(subject), subject)
        if (who == "").any():
            first = table["image"][(who == "").idxmax()]
            raise BadInput(
                f"{root} has no {subject} for {first!r}: say who is shown, or read it with "
                "subject=None if that is not known"
            )
        table["subject"] = who
    reader.check_labels(labels.columns, root)
    for column in labels.columns:
        table[column] = reader.as_categorical(labels[column])
    card = reader.card(root.name, "not stated", "not stated")
    groups = reader.declared(by, table, root)
    return reader.Reader(root.name, root, table, card, tuple(notes), read, groups)


def image_in(path: Path, offset: int, image: str = "image") -> bytes:
    """The encoded image in a row of a parquet file."""
    written = path.stat().st_mtime_ns  # what was kept of a file that has changed is not used
    ends = _row_ends(path, written)
    group = int(np.searchsorted(ends, offset, side="right"))
    if group == len(ends):
        raise BadInput(f"{path} has no row {offset}")
    start = int(ends[group - 1]) if group else 0
    cell = _column(path, written, group, image)[offset - start].as_py()
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None:
        raise BadInput(f"row {offset} of {path.name} holds no image, only a path or nothing")
    return data


def _opened(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        why = reader.one_line(error)
        raise BadInput(f"{path} cannot be read as a parquet file: {why}") from error


@functools.lru_cache(maxsize=8)
def _row_ends(path: Path, written: int) -> np.ndarray:
    metadata = _opened(path).metadata
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return np.cumsum(sizes)


@functools.lru_cache(maxsize=1)
def _column(path: Path, written: int, group: int, image: str) -> Any:
    """The images of a row group: `prepare` goes through them in order, so that one is enough."""
    try:
        check_parquet(path, [image], group)
        return _opened(path).read_row_group(group, columns=[image]).column(image)
    except (OSError, ValueError) as error:
        why = reader.one_line(error)
        raise BadInput(f"row group {group} of {path.name} is damaged: {why}") from error
