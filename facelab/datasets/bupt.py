"""BUPT-Balancedface and BUPT-Globalface (Wang and Deng 2020): training faces of four races.

In: `race_per_7000/African/m.xxx/m.xxx_0001.jpg` (any folder of the four races), or a RecordIO file
with its `.lst`. Out: a `Reader` with `race`.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.insightface_rec import classes_of, images_in
from facelab.datasets.label_files import label_file, read_text
from facelab.datasets.record_io import image_at
from facelab.datasets.rfw import RACES, images_by_race, one_race_each
from facelab.datasets.walking import place_of
from facelab.errors import BadInput, how_many

# In the order of BUPT's RecordIO labels.
CODES = ("caucasian", "indian", "asian", "african")
_CONSENT = "none: photographs of celebrities from the web, collected by name (MS-Celeb-1M)"


@as_annotated
def bupt(root: str | os.PathLike, labels: str | os.PathLike | None = None) -> reader.Reader:
    """Read BUPT-Balancedface or BUPT-Globalface.

    Parameters
    ----------
    root
        The folder that holds the four races' folders, or one above it; or a `.rec` file.
    labels
        For a `.rec`: its list. By default the `.lst` file of the same name beside it, if any.

    Returns
    -------
    Reader
        `race`: african, asian, caucasian, indian. From folders `image` is
        `African/m.xxx/m.xxx_0001.jpg` and `subject` is `m.xxx`; from a `.rec` they are the
        record's key and class number.

    Raises
    ------
    BadInput
        A race's folder is not there, or the list does not fit the records: the sentence names
        the line.

    Notes
    -----
    The race of a record is the second of its labels, or of the numbers in its line of the list:
    0 Caucasian, 1 Indian, 2 Asian, 3 African (3 is inferred: it is the one left). A subject that
    stands in several races is in none of them. The crops differ in size by race, and Indian has
    fewer images (275 thousand against 324 to 326 in Balancedface): resolution and number of images
    are not balanced. Three subjects are also in RFW: leave them out of training if you test on it.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for number, race in enumerate(("African", "Asian", "Caucasian", "Indian")):
    ...     folder = root / race / f"m.0{number}"
    ...     folder.mkdir(parents=True)
    ...     (folder / f"m.0{number}_0001.jpg").touch()
    >>> read = fl.datasets.bupt(root)
    >>> read.table["race"].tolist()
    ['african', 'asian', 'caucasian', 'indian']
    """
    if Path(root).is_file():
        return _from_rec(Path(root).resolve(), labels)
    if labels is not None:
        raise BadInput(f"{root} is a folder, whose races are its folders: leave labels out")
    root = reader.existing_folder(root)
    place = place_of(root, lambda f: all((f / race).is_dir() for race in RACES), "BUPT")
    if place is None:
        raise BadInput(
            f"{root} does not hold the four folders {', '.join(RACES)}: give the folder "
            "race_per_7000 or the one above"
        )
    table, notes, without = images_by_race(place)
    notes = (*notes, _uneven(table))
    return reader.Reader("bupt", place, table, _card(), notes, by=("race",), without=without)


def _from_rec(path: Path, given: str | os.PathLike | None) -> reader.Reader:
    table, labels = images_in(path, 2)
    table["subject"] = classes_of(labels[:, 0], table, path)
    codes, source = labels[:, 1], path
    found = label_file(given, [path.with_suffix(".lst").name], path.parent)
    if found is not None:
        codes, source = _codes(found, table, labels[:, 0]), found
    if np.isnan(codes).any():
        row = int(np.isnan(codes).argmax())
        raise BadInput(
            f"{path} record {table['image'][row]} has no race "
            f"({how_many(np.isnan(codes).sum(), 'such record')}): give the list that came with the "
            "file with labels="
        )
    wrong = ~np.isin(codes, range(4))
    if wrong.any():
        raise BadInput(
            f"{source} gives the record {table['image'][int(wrong.argmax())]} the race "
            f"{codes[wrong.argmax()]:g}: expected 0 Caucasian, 1 Indian, 2 Asian or 3 African"
        )
    race = pd.Series([CODES[code] for code in codes.astype(int).tolist()])
    race, more = one_race_each(race, table["subject"])
    table["race"] = reader.as_categorical(race)
    inferred = "Race 3 of the records is taken for African, the one that is left."
    notes = [*more, inferred, _uneven(table)]
    return reader.Reader("bupt", path.parent, table, _card(), tuple(notes), image_at, ("race",))


def _codes(source: Path, table: pd.DataFrame, classes: np.ndarray) -> np.ndarray:
    """The race code of each record, by its key, from lines `key class race path`."""
    rows = {}
    text = read_text(source)
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("\t")
        if not line.strip():
            continue
        try:
            key, who, code = int(words[0]), float(words[1]), float(words[2])
        except (ValueError, IndexError):
            raise BadInput(
                f"{source} line {number} is not `key<tab>class<tab>race<tab>path`"
            ) from None
        rows[f"{key:08d}"] = (who, code, number)
    absent = ~table["image"].isin(rows)
    if absent.any():
        raise BadInput(
            f"{source} has no line for the record {table['image'][absent].iloc[0]} "
            f"({how_many(absent.sum(), 'such record')}): it is another file's list"
        )
    for name, who in zip(table["image"], classes.tolist(), strict=True):
        if rows[name][0] != who:
            raise BadInput(
                f"{source} line {rows[name][2]} gives the record {name} the class "
                f"{rows[name][0]:g}, the record itself says {who:g}: it is another file's list"
            )
    return np.array([rows[name][1] for name in table["image"]])


def _uneven(table: pd.DataFrame) -> str:
    counts = table["race"].value_counts().sort_index()
    return (
        "BUPT has as many subjects of each race and not as many images "
        f"({', '.join(f'{race} {count}' for race, count in counts.items())}), its crops differ in "
        "size by race, and 3 of its subjects are also in RFW."
    )


def _card() -> dict:
    return reader.card(
        "BUPT-Balancedface or BUPT-Globalface (Wang and Deng 2020), from MS-Celeb-1M",
        "non-commercial research use",
        _CONSENT,
    )
