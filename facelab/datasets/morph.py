"""MORPH Album 2 (Ricanek and Tesafaye 2006): booking photographs with age, race and gender.

In: `00001_0M54.JPG` (id, number of the photograph, gender, age) and a csv with the columns `photo`
and `race`. Out: a `Reader`, its contradictory labels settled.
"""

import os
import re
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import attach_labels, coded, read_csv, stem_key
from facelab.datasets.walking import walk
from facelab.errors import BadInput, how_many
from facelab.faces.names import as_name

GENDERS = {"m": "male", "f": "female"}
RACES = {"b": "black", "w": "white", "a": "asian", "h": "hispanic", "i": "indian", "o": "other"}
_NAME = re.compile(r"(?P<who>\d+)_(?P<number>\d+)(?P<gender>[MF])(?P<age>\d{1,3})", re.IGNORECASE)


@as_annotated
def morph(
    root: str | os.PathLike, labels: str | os.PathLike | None = None, *, partial: bool = False
) -> reader.Reader:
    """Read MORPH Album 2.

    Parameters
    ----------
    root
        Folder of the photographs, directly or in folders below it.
    labels
        The csv that came with them: its columns `photo` and `race` are used. None: there is no
        race.
    partial
        Let the csv name photographs that are not there.

    Returns
    -------
    Reader
        `age` (years), `age_group`, `gender`, and `race` from the csv; `subject` is the id, `image`
        the file's name without the folder.

    Raises
    ------
    BadInput
        A name is not MORPH's, two photographs have one name, a race is unknown (the sentence names
        the line), or labels and photographs disagree.

    Notes
    -----
    Some subjects have different genders or races in different photographs. Each takes the label
    that most of its photographs have, and none on a tie; a note says how many. The labels are the
    police's; the photographed had no say in being in the set.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("009055_1M54.JPG", "009056_0F22.JPG"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.morph(root)
    >>> read.table[["subject", "age", "gender"]].values.tolist()
    [['009055', '54', 'male'], ['009056', '22', 'female']]
    """
    root = reader.existing_folder(root)
    found = walk(root).photos
    if not found:
        raise BadInput(f"{root} holds no images: give the folder of MORPH's photographs")
    names = [_parsed(path.name, name) for path, name in found]
    table = reader.image_table(
        [(path, name["who"], path.name) for (path, _), name in zip(found, names, strict=True)]
    )
    twice = table["image"].duplicated()
    if twice.any():
        raise BadInput(
            f"{root} holds the photograph {table['image'][twice].iloc[0]} more than once "
            f"({how_many(twice.sum(), 'such photograph')}): keep one of each"
        )
    ages = pd.Series([int(name["age"]) for name in names])
    table["age"] = pd.Categorical(ages.astype(str), [str(age) for age in sorted(ages.unique())])
    table["age_group"] = reader.age_groups(ages)
    gender = pd.Series([GENDERS[name["gender"].lower()] for name in names])
    table["gender"], notes = reader.settled(gender, table["subject"], "gender")
    if labels is None:
        notes.append("No label file was given: the faces have no race.")
    else:
        source = Path(labels)
        rows = read_csv(source, ["photo", "race"])
        race = coded(rows["race"], RACES, "race", source, 2)
        rows = pd.DataFrame({"file": rows["photo"], "race": race})
        matched, more = attach_labels(table, rows, source, _key, partial)
        table["race"], settled = reader.settled(matched["race"], table["subject"], "race")
        notes += more + settled
    card = reader.card(
        "MORPH Album 2 (Ricanek and Tesafaye 2006)",
        "by agreement with the University of North Carolina Wilmington",
        "none: booking photographs of arrested people",
    )
    by = ("age_group", "gender", "race")
    return reader.Reader("morph", root, table, card, tuple(notes), by=by)


def _parsed(file_name: str, name: str) -> re.Match:
    parts = _NAME.fullmatch(Path(file_name).stem)
    if parts is None:
        raise BadInput(
            f"{as_name(name)!r} is not named as MORPH names photographs "
            "(id_numberM54.JPG): move it away"
        )
    return parts


def _key(name: str) -> str:
    """The csv writes `Album2/00001_0M54.JPG`; the part that counts is the name."""
    return stem_key(name).upper()
