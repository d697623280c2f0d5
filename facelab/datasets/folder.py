"""Any folder of faces: a folder a person, and optionally a csv of labels.

In: `root/<subject>/<image>`, photos in folders inside a person's too, and `labels.csv` with a
column `file`. Out: a `Reader`.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import attach_labels, path_key, read_csv, words_for_missing
from facelab.datasets.walking import People, people_in
from facelab.errors import BadInput, how_many

# Folders that part a set, and hold no person of that name.
_PARTS = frozenset(
    [
        *("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"),
        *("evaluation", "query", "gallery", "probe", "probes"),
    ]
)
# Folders that part one person's photos.
_SESSION = re.compile(
    r"(session|sess|visit|day|take|shoot|camera|cam|video|clip|sequence|seq)[-_ ]?\d*"
    r"|(19|20)\d\d([-_.]?\d\d){0,2}",
    re.IGNORECASE,
)


@as_annotated
def folder(
    root: str | os.PathLike,
    labels: str | os.PathLike | None = None,
    *,
    partial: bool = False,
    by: list[str] | None = None,
    depth: int | None = None,
) -> reader.Reader:
    """Read a folder a subject.

    Parameters
    ----------
    root
        Folder whose sub-folders are the subjects, each holding that subject's images, directly or
        in folders inside it. One folder around all of them is no matter, nor are `train` and
        `test`: these become the column `split`.
    labels
        csv with a column `file` (`<subject>/<image>`); every other column becomes a label column.
    partial
        Let the label file name images that are not there.
    by
        Label columns that are groups of people; by default those with well-known names.
    depth
        Where the subjects' folders lie: 1 for `root/<subject>`, 2 for `root/<group>/<subject>`, and
        so on. By default as the names of the folders tell, where they do.

    Returns
    -------
    Reader
        `image` is `<subject>/<image>`.

    Raises
    ------
    BadInput
        No image found, labels and images disagree, or nothing tells whether folders inside folders
        are people or one person's sessions.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("ada/1.jpg", "ada/2.jpg", "bea/1.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> labels = pd.DataFrame({"file": ["ada/1.jpg", "ada/2.jpg", "bea/1.jpg"], "gender": "female"})
    >>> labels.to_csv(root / "labels.csv", index=False)
    >>> read = fl.datasets.folder(root, root / "labels.csv")
    >>> read.groups, read.table["subject"].tolist()
    (['gender'], ['ada', 'ada', 'bea'])
    """
    root = reader.existing_folder(root)
    people, above, split = _people(root, depth)
    around = _around(people, above) if above and split is None else ""
    table = reader.image_table(
        [(path, who, name.removeprefix(around)) for path, who, name in people.photos]
    )
    notes = people.notes()
    if around:
        deep = how_many(around.count("/"), "folder")
        notes.append(f"The people's folders lie {deep} below the one given: names begin there.")
    if split is not None:
        parts = [name.split("/")[split] for _, _, name in people.photos]
        table["split"] = reader.as_categorical(pd.Series(parts))
    if labels is not None:
        rows = read_csv(labels, ["file"])
        reader.check_labels(rows.columns, labels)
        matched, more = attach_labels(table, rows, Path(labels), path_key, partial)
        notes += more + words_for_missing(rows.drop(columns="file"), Path(labels))
        for column in rows.columns.drop("file"):
            table[column] = reader.as_categorical(matched[column])
    return reader.Reader(
        root.name,
        root,
        table,
        reader.card(root.name, "not stated", "not stated"),
        tuple(notes),
        by=reader.declared(by, table, root),
        without=people.without,
    )


def _people(root: Path, depth: int | None) -> tuple[People, int, int | None]:
    """The people, how many folders stand above theirs, and which of these is train or test."""
    if depth is not None and depth < 1:
        raise BadInput(f"depth must be 1 or more folders, not {depth}")
    people = people_in([root], root)
    folders = [tuple(name.split("/")[:-1]) for _, _, name in people.photos]
    above, split = (0, None) if depth is None else (depth - 1, None)
    if depth is None and folders:
        above, split = _above(folders, root)
    if above:
        places = dict.fromkeys(root.joinpath(*parts[:above]) for parts in folders)
        loose = people.loose + sum(len(parts) <= above for parts in folders)
        people = people_in([place for place in places if _is_at(place, root, above)], root)
        people = replace(people, loose=loose)
    if not people.photos:
        raise BadInput(_nobody(root, people))
    return people, above, split


def _is_at(place: Path, root: Path, depth: int) -> bool:
    return len(place.relative_to(root).parts) == depth


def _above(folders: list[tuple[str, ...]], root: Path) -> tuple[int, int | None]:
    """How many folders stand above the people's, as their names tell; and which of them is train
    or test."""
    deep = [parts for parts in folders if len(parts) > 1]
    tops, inner = {parts[0] for parts in folders}, {parts[1] for parts in deep}
    holding = {parts[0] for parts in folders if len(parts) == 1}
    if not deep:
        return 0, None
    if {top.lower() for top in tops} <= _PARTS:
        return 1 + _above([parts[1:] for parts in deep], root)[0], 0
    if all(_SESSION.fullmatch(name) for name in inner):
        return 0, None
    if len(tops) == 1 and not holding:
        above, split = _above([parts[1:] for parts in folders], root)
        if len({parts[1 + above] for parts in folders if len(parts) > 1 + above}) > 1:
            return 1 + above, None if split is None else 1 + split
    elif len(tops) > 1:
        flat = tops - {parts[0] for parts in deep}
        if len(inner) == 1 or tops == holding or len(flat) > len(tops - holding):
            # Each has one folder of the same name; or all, or most, hold photos themselves.
            return 0, None
    top, below = deep[0][:2]
    raise BadInput(
        f"{root} has folders in folders ({top}/{below}), which can be a person's or people's: tell "
        f"facelab.datasets.folder depth=1 (--depth 1) if {top!r} is a person, depth=2 if {below!r} "
        "is one"
    )


def _around(people: People, above: int) -> str:
    """The folders around all people, where it is the same for all of them."""
    around = {"/".join(name.split("/")[:above]) + "/" for _, _, name in people.photos}
    return around.pop() if len(around) == 1 else ""


def _nobody(root: Path, people: People) -> str:
    if people.loose:
        return (
            f"{root} holds {how_many(people.loose, 'photo')} in no person's folder: put each "
            "person's into a folder of their name, or say who is shown in a table "
            "(facelab.datasets.table)"
        )
    why = f" ({next(iter(people.without.values()))})" if people.without else ""
    return (
        f"{root} holds no images: expected one sub-folder a subject with images in it"
        + f", and found {len(people.without)} without{why}" * bool(people.without)
    )
