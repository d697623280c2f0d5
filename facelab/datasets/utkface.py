"""UTKFace (Zhang et al. 2017): age, gender and race in the file name.

In: `26_1_3_20170117153857363.jpg.chip.jpg` (age, gender, race, date and time). Out: a `Reader`.
"""

import os
import re

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.walking import walk
from facelab.errors import BadInput
from facelab.faces.names import as_name

GENDERS = {"0": "male", "1": "female"}
RACES = {"0": "white", "1": "black", "2": "asian", "3": "indian", "4": "other"}
# The published names have slips in their ends ("...150272.pg.chip.jpg", "...725357jpg.chip.jpg",
# "...224657 .jpg"), which matter to nobody: the time stamp ends where its digits end.
_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<labels>(?:\d?_){1,2})(?P<time>\d{8,17})(?!\d).*")


@as_annotated
def utkface(root: str | os.PathLike) -> reader.Reader:
    """Read UTKFace, in the wild (`part1`, `part2`, `part3`) or aligned and cropped.

    Parameters
    ----------
    root
        A folder of the images, directly or in folders below it.

    Returns
    -------
    Reader
        `age` (years), `age_group`, `gender` and `race`; `image` is the path below `root`. UTKFace
        does not say who is shown: each image is a subject of its own.

    Raises
    ------
    BadInput
        A name is not UTKFace's, or its age, gender or race is not in the vocabulary.

    Notes
    -----
    A few published names have a field less (`61_1_20170109142408075.jpg.chip.jpg`) or an empty one
    (`53__0_20170116184028385.jpg`). The one field that is there is the gender if it is 0 or 1, else
    the race; what is absent stays missing, and a note says how many.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("part1/26_1_2_20170116184028385.jpg", "part2/61_0_0_20170109142408075.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.utkface(root)
    >>> read.table[["age", "gender", "race"]].values.tolist()
    [['26', 'female', 'asian'], ['61', 'male', 'white']]
    """
    root = reader.existing_folder(root)
    found = walk(root).photos
    if not found:
        raise BadInput(f"{root} holds no images: give the folder of UTKFace's files")
    table = reader.image_table([(path, name, name) for path, name in found])
    labels = [_labels(path.name, name) for path, name in found]
    labels = pd.DataFrame(labels, columns=["age", "gender", "race"])
    ages = labels["age"]
    table["age"] = pd.Categorical(ages.astype(str), [str(age) for age in sorted(ages.unique())])
    table["age_group"] = reader.age_groups(ages)
    table["gender"] = reader.as_categorical(labels["gender"].map(GENDERS))
    table["race"] = reader.as_categorical(labels["race"].map(RACES))
    notes = []
    for column in ("gender", "race"):
        absent = table[column].isna()
        if absent.any():
            notes.append(
                f"{absent.sum()} of {len(table)} names lack the {column}: it stays missing."
            )
    notes.append(reader.of_their_own(table, "UTKFace"))
    card = reader.card(
        "UTKFace (Zhang, Song and Qi 2017)",
        "non-commercial research use",
        "none: photographs from the web; labels estimated by a program and checked by people",
    )
    by = ("age_group", "gender", "race")
    return reader.Reader("utkface", root, table, card, tuple(notes), by=by)


def _labels(file_name: str, name: str) -> tuple[int, str, str]:
    """Age, gender and race codes of a file name; empty where it does not say."""
    parts = _NAME.fullmatch(file_name)
    if parts is None:
        raise BadInput(
            f"{as_name(name)!r} is not named as UTKFace names images "
            "(age_gender_race_time.jpg): move it away"
        )
    fields = parts["labels"].split("_")[:-1]
    if len(fields) == 1:
        fields = [*fields, ""] if fields[0] in ("", *GENDERS) else ["", *fields]
    gender, race = fields
    age = int(parts["age"])
    for what, value, known in (("gender", gender, GENDERS), ("race", race, RACES)):
        if value and value not in known:
            raise BadInput(
                f"{as_name(name)!r} has {what} {value!r}: UTKFace's are "
                f"{', '.join(f'{code} {word}' for code, word in known.items())}"
            )
    if age > 120:
        raise BadInput(f"{as_name(name)!r} has age {age}: UTKFace's are 0 to 116 years")
    return age, gender, race
