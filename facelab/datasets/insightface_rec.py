"""InsightFace's training files (`train.rec`, `train.idx`, `property`), and BUPT's as such files.

In: a RecordIO file of aligned crops with a class number each. Out: a `Reader` whose images stay in
the file until `prepare` reads them, one at a time.
"""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.record_io import image_at, labels_at, read_index, record, unpacked
from facelab.errors import BadInput, how_many
from facelab.limits import YAML, read_bytes

_MOST = 2**53  # from which on floating-point numbers are no longer whole ones


@as_annotated
def insightface_rec(path: str | os.PathLike) -> reader.Reader:
    """Read a `.rec` of InsightFace.

    Parameters
    ----------
    path
        The `.rec` file, or a folder that holds `train.rec`. The `.idx` lies beside it, and
        `property` (`classes,height,width`), where there is one, is compared with what is found.

    Returns
    -------
    Reader
        `subject` is the class number (`000012`), `image` the record's key (`00000345`).

    Raises
    ------
    BadInput
        The files disagree, a record is damaged or cut short, or a label is no class number.

    Notes
    -----
    Record 0 holds (A, B): images are the keys 1 to A - 1, and the keys A to B - 1 describe classes
    and hold no image. Without such a record every key is an image. Of a vector of labels the first
    is the class.

    Examples
    --------
    >>> import facelab as fl
    >>> import struct
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "train.rec"
    >>> with path.open("wb") as rec, path.with_suffix(".idx").open("w") as idx:
    ...     for key, label in enumerate([0, 1, 1], start=1):
    ...         image = struct.pack("<IfQQ", 0, label, key, 0) + b"jpeg"
    ...         print(key, rec.tell(), sep=chr(9), file=idx)
    ...         _ = rec.write(struct.pack("<II", 0xCED7230A, len(image)) + image)
    >>> fl.datasets.insightface_rec(path).table[["subject", "image"]].values.tolist()
    [['000000', '00000001'], ['000001', '00000002'], ['000001', '00000003']]
    """
    path = _rec_file(path)
    table, labels = images_in(path, 1)
    table["subject"] = classes_of(labels[:, 0], table, path)
    notes = _compared_with_property(path, table)
    card = reader.card(path.name, "not stated", "not stated")
    name = path.parent.name if path.stem == "train" else path.stem
    return reader.Reader(name, path.parent, table, card, tuple(notes), image_at)


def _rec_file(path: str | os.PathLike) -> Path:
    path = Path(path)
    path = path / "train.rec" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return path.resolve()


def images_in(path: Path, count: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of a file's images in order of their keys, `count` labels each."""
    index = read_index(path.with_suffix(".idx"))
    keys = np.array(sorted(index), np.int64)
    if 0 in index:
        head, image = unpacked(record(path, index[0]), f"{path} record 0")
        if len(head) >= 2 and not image:
            end = int(head[0]) if 0 <= head[0] < _MOST else 0
            lost = end - 1 - int(((keys > 0) & (keys < end)).sum())
            if end < 1 or lost:
                raise BadInput(
                    f"{path} record 0 promises the images 1 to {end - 1}, and the index lacks "
                    f"{lost} of them: get the index again"
                )
            keys = keys[(keys > 0) & (keys < end)]
        # Else MXNet's own im2rec wrote it: record 0 is an image like the others.
    if not len(keys):
        raise BadInput(f"{path} holds no images")
    offsets = np.array([index[key] for key in keys.tolist()], np.int64)
    labels = labels_at(path, offsets, count)
    names = [f"{key:08d}" for key in keys.tolist()]
    table = pd.DataFrame({"path": str(path), "offset": offsets, "subject": "", "image": names})
    return table, labels


def classes_of(values: np.ndarray, table: pd.DataFrame, path: Path) -> list[str]:
    """Class numbers as subjects."""
    wrong = ~((values >= 0) & (values < _MOST) & (values % 1 == 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise BadInput(
            f"{path} gives the record {table['image'][row]} the class {values[row]:g} "
            f"({how_many(wrong.sum(), 'such record')}): expected whole numbers from 0"
        )
    return [f"{number:06d}" for number in values.astype(np.int64).tolist()]


def _compared_with_property(path: Path, table: pd.DataFrame) -> list[str]:
    source = path.parent / "property"
    if not source.is_file():
        return []
    text = read_bytes(source, YAML).decode(errors="backslashreplace").strip()
    if not re.fullmatch(r"\d{1,9},\d{1,9},\d{1,9}", text):
        raise BadInput(f"{source} says {text[:40]!r} where `classes,height,width` should stand")
    classes, found = int(text.split(",")[0]), table["subject"].nunique()
    if classes == found:
        return []
    return [f"{source.name} promises {classes} classes, and the images show {found}."]
