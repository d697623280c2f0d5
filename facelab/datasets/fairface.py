"""FairFace (Karkkainen and Joo 2021): faces balanced over seven races, with age and gender.

In: `train/1.jpg`, `val/1.jpg` and `fairface_label_train.csv`, `fairface_label_val.csv`
(`file,age,gender,race,service_test`). Out: a `Reader`, its ages repaired where a spreadsheet has
taken them for dates.
"""

import os
import re
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import (
    attach_labels,
    coded,
    label_file,
    path_key,
    read_csv,
    upwards,
)
from facelab.datasets.walking import place_of, walk
from facelab.errors import BadInput

LABEL_FILES = ("fairface_label_train.csv", "fairface_label_val.csv")
_PARTS = ("train", "val")
GENDERS = {"male": "male", "female": "female"}
RACES = {
    "black": "black",
    "east asian": "east asian",
    "indian": "indian",
    "latino_hispanic": "latino hispanic",
    "middle eastern": "middle eastern",
    "southeast asian": "southeast asian",
    "white": "white",
}
AGES = {**{age: age for age in reader.AGE_GROUPS}, "more than 70": "70+"}
_BOUNDS = [age.split("-") for age in reader.AGE_GROUPS if "-" in age]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@as_annotated
def fairface(
    root: str | os.PathLike, labels: str | os.PathLike | None = None, *, partial: bool = False
) -> reader.Reader:
    """Read FairFace.

    Parameters
    ----------
    root
        The folder that holds `train`, `val` or both.
    labels
        A label file; by default `fairface_label_train.csv` and `fairface_label_val.csv` in `root`
        or the folder above, those of them that are there.
    partial
        Let the label files name images that are not there.

    Returns
    -------
    Reader
        `age_group`, `gender`, `race`, `service_test` and `split` (train, val); `image` is
        `val/190.jpg` as in the label file. FairFace does not say who is shown: each image is a
        subject of its own.

    Raises
    ------
    BadInput
        A label is not in FairFace's vocabulary (the sentence names its line), or labels and
        images disagree.

    Notes
    -----
    Copies of the label file that went through a spreadsheet have dates for ages: 3-9 has become
    `3-Sep`, `03-Sep`, `9-Mar`, and 10-19 `Oct-19`, `19-Oct`. They are turned back, and a note says
    how many: no other age group of FairFace's can be read as these days.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("val/1.jpg", "val/2.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> labels = {"file": ["val/1.jpg", "val/2.jpg"], "age": ["3-Sep", "20-29"], "gender": "Male"}
    >>> labels = pd.DataFrame(labels).assign(race="East Asian", service_test=True)
    >>> labels.to_csv(root / "fairface_label_val.csv", index=False)
    >>> read = fl.datasets.fairface(root)
    >>> read.table[["age_group", "race"]].values.tolist()
    [['3-9', 'east asian'], ['20-29', 'east asian']]
    """
    root = reader.existing_folder(root)
    place = place_of(root, lambda p: any((p / part).is_dir() for part in _PARTS), "FairFace")
    place = place or root
    files = [label_file(None, [name], *upwards(place, root)) for name in LABEL_FILES]
    files = [path for path in files if path] if labels is None else [Path(labels)]
    if not files:
        raise BadInput(
            f"{root} holds no {' or '.join(LABEL_FILES)}: give the folder above train and val, or "
            "the label file with labels="
        )
    found = [item for item in walk(place).photos if item[1].partition("/")[0] in _PARTS]
    if not found:
        raise BadInput(f"{root} holds no images in train or val: give the folder above them")
    table = reader.image_table([(path, name, name) for path, name in found])
    parts, notes = zip(*(_labels(path) for path in files), strict=True)
    rows = pd.concat(parts, ignore_index=True)
    notes = [note for part in notes for note in part]
    matched, more = attach_labels(table, rows, files[0], path_key, partial)
    for column in ("age_group", "gender", "race", "service_test"):
        table[column] = reader.as_categorical(matched[column])
    table["age_group"] = table["age_group"].cat.set_categories(list(reader.AGE_GROUPS))
    table["split"] = reader.as_categorical(table["image"].str.partition("/")[0])
    notes += [*more, reader.of_their_own(table, "FairFace")]
    card = reader.card(
        "FairFace (Karkkainen and Joo 2021)",
        "CC BY 4.0",
        "none: photographs from the web (YFCC-100M and others), labelled by crowd workers",
    )
    by = ("age_group", "gender", "race", "service_test", "split")
    return reader.Reader("fairface", place, table, card, tuple(notes), by=by)


def unmangled(age: str) -> str:
    """The age group that a spreadsheet has turned into a date; anything else as it is."""
    date = re.fullmatch(r"0?(\d{1,2})-([a-z]{3})|([a-z]{3})-0?(\d{1,2})", age.lower())
    if date is None:
        return age
    day, month = date[1] or date[4], date[2] or date[3]
    if month not in _MONTHS:
        return age
    bounds = {int(day), _MONTHS.index(month) + 1}
    return next(("-".join(b) for b in _BOUNDS if {int(b[0]), int(b[1])} == bounds), age)


def _labels(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """One label file in facelab's words, and what was repaired."""
    rows = read_csv(path, ["file", "age", "gender", "race"])
    ages = rows["age"].map(unmangled)
    labels = pd.DataFrame({"file": rows["file"]})
    labels["age_group"] = coded(ages, AGES, "age", path, 2)
    labels["gender"] = coded(rows["gender"], GENDERS, "gender", path, 2)
    labels["race"] = coded(rows["race"], RACES, "race", path, 2)
    service = rows["service_test"] if "service_test" in rows else pd.Series("", rows.index)
    yes_no = {"true": "yes", "false": "no"}
    labels["service_test"] = coded(service, yes_no, "service_test", path, 2)
    mended = rows["age"] != ages
    changes = (rows["age"] + " to " + ages)[mended].value_counts().sort_index()
    note = (
        f"{mended.sum()} of {len(rows)} ages in {path.name} had been turned into dates by a "
        f"spreadsheet and were repaired: "
        f"{', '.join(f'{what} ({count})' for what, count in changes.items())}."
    )
    return labels, [note] * bool(mended.any())
