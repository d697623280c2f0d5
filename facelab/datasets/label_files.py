"""Files of labels as spreadsheets and scripts write them, and their rows matched to images.

In: csv files in any of the usual dresses. Out: tables of text, the row of each image, and one clear
sentence for each way in which labels and images can disagree.
"""

import csv
import io
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from facelab.datasets.reader import as_categorical, one_line
from facelab.errors import BadInput, how_many, there_are
from facelab.faces.names import as_name, as_names
from facelab.limits import LABELS, LONGEST_LINE, check_columns, check_room, read_bytes, spelt
from facelab.words import decoded

_PARTINGS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_UNFOLDED = 10  # bytes of memory that a byte of labels comes to take
# Words that other programs take for a missing value.
_MISSING_WORDS = frozenset(["na", "n/a", "<na>", "#n/a", "nan", "none", "null", "nil"])


def label_file(given: str | os.PathLike | None, names: Iterable[str], *places: Path) -> Path | None:
    """The label file: the one given, or the first of `names` that lies in one of `places`."""
    if given is not None:
        if not Path(given).is_file():
            raise FileNotFoundError(f"there is no label file {given}")
        return Path(given)
    beside = (place / name for name in names for place in places)
    return next((path for path in beside if path.is_file()), None)


def upwards(place: Path, root: Path) -> list[Path]:
    """Where the files of a set may lie whose images are in `place`: there, and up to the folder
    above `root`."""
    return [place, *(up for up in place.parents if up.is_relative_to(root.parent))]


def read_text(path: Path) -> str:
    """A file's text: UTF-8, or what its byte order mark says.

    Raises
    ------
    BadInput
        It is another encoding, which only its maker knows.
    """
    data = read_bytes(path, LABELS)
    check_room(_UNFOLDED * len(data), f"the labels in {path}")
    return decoded(data, path)


def read_csv(path: str | os.PathLike, columns: Iterable[str]) -> pd.DataFrame:
    """A csv file of strings, every cell stripped, with the named columns at least.

    Columns may be parted by commas, semicolons, tabs or bars. A column without a name is the index
    that pandas has written, and is left out.
    """
    path, columns = Path(path), list(columns)
    if not path.is_file():
        raise FileNotFoundError(f"there is no label file {path}")
    lines = list(io.StringIO(read_text(path), newline=""))
    if lines and re.fullmatch(r'"?sep=."?\s*', lines[0]):
        lines[0] = "\n"  # which Excel writes above the names
    if any(len(line) > LONGEST_LINE for line in lines):
        raise BadInput(f"{path} has a line of more than {spelt(LONGEST_LINE)}, and is no table")
    parting = parting_of(next((line for line in lines if line.strip()), ""), columns)
    rows = csv.reader(lines, delimiter=parting, skipinitialspace=True)
    try:
        names = [name.strip() for name in next((row for row in rows if row), [])]
        check_columns(path, len(names))
        _check_header(names, columns, path)
        cells = [_cells(row, names, parting, f"{path} line {rows.line_num}") for row in rows if row]
    except csv.Error as error:
        raise BadInput(f"{path} cannot be read as a csv file: {one_line(error)}") from error
    table = pd.DataFrame(cells, columns=names, dtype=str)
    return table.drop(columns="", errors="ignore")


def parting_of(first: str, columns: list[str]) -> str:
    """What parts the columns: what gives the named ones, or most of them."""

    def fit(parting: str) -> tuple[int, int]:
        names = {name.strip() for name in next(csv.reader([first], delimiter=parting), [])}
        return len(names & set(columns)), len(names)

    return max(_PARTINGS, key=fit)


def _check_header(names: list[str], columns: list[str], path: Path) -> None:
    if not any(names):
        raise BadInput(f"{path} cannot be read as a csv file: it has no first line of names")
    for column in columns:
        if column not in names:
            known = there_are(column, names, "its first line names")
            raise BadInput(f"{path} has no column {column!r}{known}")
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{path} has two columns {twice!r}: rename one")


def _cells(row: list[str], names: list[str], parting: str, where: str) -> list[str]:
    cells = [cell.strip() for cell in row]
    if len(cells) > len(names) and not any(cells[len(names) :]):
        cells = cells[: len(names)]  # a spreadsheet's empty columns
    if len(cells) > len(names):
        raise BadInput(
            f"{where} cannot be read as a csv file: it has {len(cells)} cells where {len(names)} "
            f"should stand, parted by {_PARTINGS[parting]}: put cells with {parting!r} in quotes, "
            "and write decimal points"
        )
    return cells + [""] * (len(names) - len(cells))


def as_text(values: pd.Series, what: str) -> pd.Series:
    """Values of any kind as text by `facelab.faces.names`; missing is empty."""
    names = as_names(values, what).astype(object)
    return names.where(names.notna(), "").astype("str")


def words_for_missing(labels: pd.DataFrame, source: Path) -> list[str]:
    """A sentence on cells that other programs would take for missing, if there are any."""
    cells = pd.concat([labels[column].astype(object) for column in labels], ignore_index=True)
    found = cells[cells.map(lambda cell: str(cell).lower() in _MISSING_WORDS)].value_counts()
    if not len(found):
        return []
    words = ", ".join(f"{word!r} {count}" for word, count in found.items())
    return [
        f"{source.name} has cells that some programs take for missing ({words}): here they are "
        "labels like others, and only an empty cell is missing."
    ]


def path_key(name: str) -> str:
    """What of an image's path is compared: its parts, each by `as_name`."""
    parts = [as_name(part) for part in name.replace("\\", "/").split("/")]
    return "/".join(part for part in parts if part not in (None, "."))


def stem_key(name: str) -> str:
    """What of an image's path is compared where names are unique: the name without its suffix."""
    last = name.replace("\\", "/").rpartition("/")[2].strip()
    return as_name(last.rpartition(".")[0] or last) or ""


def attach_labels(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    source: Path,
    key: Callable[[str], str],
    partial: bool,
) -> tuple[pd.DataFrame, list[str]]:
    """The label row of each image, matched by `key` of the image's and of the row's name.

    Parameters
    ----------
    images
        Table with `image`; labels come back in its order.
    labels
        Table with `file`, as `read_csv` gives it.
    source
        The label file's path, for the sentences.
    key
        What of a name is compared.
    partial
        Let label rows name images that are not there.

    Returns
    -------
    labels, notes
        The label columns on the images' index, missing where an image has no row; and a sentence
        if there are such images.
    """
    image_keys = images["image"].map(key)
    keys = _in_their_capitals(labels["file"].map(key), image_keys)
    twice = keys.duplicated(keep=False)
    if twice.any():
        first = keys[twice].iloc[0]
        rows = labels[keys == first]
        differ = " with different labels" if len(rows.drop_duplicates()) > 1 else ""
        raise BadInput(
            f"{source} lists {rows['file'].iloc[0]!r} {len(rows)} times{differ} "
            f"({how_many(keys[twice].nunique(), 'image is', 'images are')} listed more than once): "
            "keep one row an image"
        )
    absent = ~keys.isin(set(image_keys))
    if absent.any() and not partial:
        raise BadInput(
            f"{source} names {labels['file'][absent].iloc[0]!r}, which is not among the images "
            f"({absent.sum()} of its {len(labels)} rows): complete the images, remove the rows, or "
            "say partial=True (--partial) if only a part of the set is here"
        )
    if len(labels) and absent.all():
        raise BadInput(
            f"{source} names {labels['file'].iloc[0]!r}, and none of its {len(labels)} rows is "
            f"among the {len(images)} images, such as {images['image'].iloc[0]!r}: name them alike"
        )
    matched = labels.set_index(keys).reindex(image_keys).set_index(images.index)
    unlabelled = ~image_keys.isin(set(keys))
    notes = []
    if unlabelled.any():
        notes.append(
            f"{unlabelled.sum()} of {len(images)} images have no row in the label file and stay "
            f"without labels ({_people(images, unlabelled)})."
        )
    return matched, notes


def _in_their_capitals(keys: pd.Series, image_keys: pd.Series) -> pd.Series:
    """Keys of rows as the images', where capitals of the suffix alone keep them apart."""
    known, listed = set(image_keys), set(keys)
    free: dict[str, list[str]] = {}
    for key in known - listed:
        free.setdefault(_small_suffix(key), []).append(key)

    def met(key: str) -> str:
        close = [] if key in known else free.get(_small_suffix(key), [])
        return close[0] if len(close) == 1 else key

    return keys.map(met)


def _small_suffix(key: str) -> str:
    start, dot, suffix = key.rpartition(".")
    return start + dot + suffix.lower()


def _people(images: pd.DataFrame, where: pd.Series) -> str:
    """How many people's images they are, and how many of those have no others."""
    whose, others = set(images["subject"][where]), set(images["subject"][~where])
    return f"of {len(whose)} people, {len(whose - others)} of them with no labelled image"


def coded(
    values: pd.Series,
    vocabulary: dict[str, str],
    column: str,
    source: Path,
    first_line: int | None = None,
) -> pd.Categorical:
    """Labels in the words of `vocabulary` (keys lower case); empty or absent is missing.

    `first_line` is the line of the file that row 0 of `values` was read from, to name a bad one.
    """
    known = {"": None, **vocabulary}
    lower = as_text(values, column).str.lower()
    strange = ~lower.isin(set(known))
    if strange.any():
        line = "" if first_line is None else f" in line {first_line + strange.to_numpy().argmax()}"
        raise BadInput(
            f"{source} has {column} {values[strange].iloc[0]!r}{line} "
            f"({how_many(strange.sum(), 'such row')}): use {', '.join(sorted(vocabulary))} or empty"
        )
    return as_categorical(lower.map(known))
