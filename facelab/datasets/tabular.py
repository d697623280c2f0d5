"""Any table of image files and labels: csv or parquet.

In: a table with one row an image: its path, who is shown where known, and labels. Out: a `Reader`.
"""

import os
from pathlib import Path, PurePosixPath

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import as_text, path_key, read_csv, words_for_missing
from facelab.datasets.walking import walk
from facelab.errors import BadInput, how_many, there_are
from facelab.limits import read_parquet


@as_annotated
def table(
    path: str | os.PathLike,
    root: str | os.PathLike | None = None,
    *,
    image: str = "path",
    subject: str | None = "subject",
    by: list[str] | None = None,
) -> reader.Reader:
    """Read a csv or parquet table of image files.

    Parameters
    ----------
    path
        The table; parquet if its name ends in `.parquet` or `.pq`, else csv with a line of names.
        Paths may have either slash; a folder's accents and a suffix's capitals may be spelt
        otherwise than on disk.
    root
        Folder that the image paths start from and must stay in; by default the table's own.
    image
        Column of the image paths, relative to `root` or absolute within it.
    subject
        Column that says who is shown. None: each image is a subject of its own.
    by
        Label columns to keep, which are the groups of people; by default all are kept, and those
        with well-known names are groups. Values are kept as text, empty is missing.

    Returns
    -------
    Reader
        `image` is the path relative to `root`, in the order of the table.

    Raises
    ------
    BadInput
        A column is not there or has a name that facelab needs itself, a path or a subject is
        empty, a path leaves `root`, or an image stands in two rows: the sentence names the row.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "faces.csv"
    >>> rows = {"photo": ["1.jpg", "2.jpg"], "who": ["ada", "bea"], "hair": ["dark", "grey"]}
    >>> pd.DataFrame(rows).to_csv(path, index=False)
    >>> read = fl.datasets.table(path, image="photo", subject="who", by=["hair"])
    >>> read.groups, read.table["subject"].tolist()
    (['hair'], ['ada', 'bea'])
    """
    path = Path(path)
    root = reader.existing_folder(path.parent if root is None else root)
    needed = [image, *([subject] if subject else []), *(by or [])]
    frame, first = _read(path, needed)
    if not len(frame):
        raise BadInput(f"{path} has no rows")
    names = [_inside(name, root, path, row) for row, name in enumerate(frame[image], first)]
    places = _on_disk(names, root)
    twice = pd.Series(names).duplicated()
    if twice.any():
        row = int(twice.to_numpy().argmax())
        raise BadInput(
            f"{path} row {row + first} lists {names[row]!r} again "
            f"({how_many(twice.sum(), 'such row')}): keep one row an image"
        )
    if subject and (frame[subject] == "").any():
        row = int((frame[subject] == "").to_numpy().argmax())
        raise BadInput(
            f"{path} row {row + first} has no {subject}: say who is shown, or read the table with "
            "subject=None if it is not known"
        )
    who = frame[subject] if subject else names
    result = reader.image_table(list(zip(places, who, names, strict=True)))
    kept = list(frame.columns.drop(needed[: 1 + bool(subject)])) if by is None else by
    reader.check_labels(kept, path)
    for column in kept:
        result[column] = reader.as_categorical(frame[column])
    notes = words_for_missing(frame[[*needed[1 : 1 + bool(subject)], *kept]], path)
    if not subject:
        notes.append(reader.of_their_own(result, "The table"))
    facts, groups = reader.card(path.name, "not stated", "not stated"), None
    if by is not None:
        groups = reader.declared(by, result, path)
    return reader.Reader(path.stem, root, result, facts, tuple(notes), by=groups)


def _read(path: Path, needed: list[str]) -> tuple[pd.DataFrame, int]:
    """The table as text, and the number that people give its first row."""
    if path.suffix.lower() not in (".parquet", ".pq"):
        return read_csv(path, needed), 2
    if not path.is_file():
        raise FileNotFoundError(f"there is no table {path}")
    frame = read_parquet(path)
    for column in needed:
        if column not in frame.columns:
            known = there_are(column, frame.columns, "it has")
            raise BadInput(f"{path} has no column {column!r}{known}")
    frame = frame.reset_index(drop=True)
    text = {str(name): as_text(frame[name], str(name)) for name in frame.columns}
    return pd.DataFrame(text), 0


def _on_disk(names: list[str], root: Path) -> list[Path]:
    """Where the images are: names that are not there may be spelt otherwise on disk."""
    places = [root / name for name in names]
    absent = [row for row, place in enumerate(places) if not os.path.exists(place)]
    if not absent:
        return places
    found: dict[str, list[Path]] = {}
    for path, name in walk(root).photos:
        found.setdefault(_spelling(name), []).append(path)
    for row in absent:
        close = found.get(_spelling(names[row]), [])
        if len(close) == 1:
            places[row] = close[0]
    return places


def _spelling(name: str) -> str:
    start, dot, suffix = path_key(name).rpartition(".")
    return start + dot + suffix.lower()


def _inside(name: str, root: Path, source: Path, row: int) -> str:
    """A path of the table as a name relative to `root`."""
    plain = PurePosixPath(os.path.normpath(root / name.replace("\\", "/")))
    if not name or plain == root or not plain.is_relative_to(root):
        what = f"the path {name!r} outside {root}" if name else "no path"
        raise BadInput(
            f"{source} row {row} has {what}: give paths below that folder, or name the folder they "
            "start from with root="
        )
    return plain.relative_to(root).as_posix()
