"""What every data set reader gives, and the steps that readers share.

In: folders of images and files of labels. Out: `Reader`, and one clear sentence for each way in
which labels and images can disagree.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab.errors import BadInput

IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"]
)
# Reserved columns of a reader's table; every other column is a group column.
PLAIN_COLUMNS = ("path", "offset", "subject", "image")
# Where a label says that the face is, in pixels of the upright photo; no group columns either.
BOX_COLUMNS = ("box_left", "box_top", "box_width", "box_height")
AGE_GROUPS = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
_FIRST_AGES = (0, 3, 10, 20, 30, 40, 50, 60, 70)


@dataclass(frozen=True, eq=False)
class Reader:
    """A data set as found on disk, before any image is opened.

    Attributes
    ----------
    name
        Short name of the set.
    root
        The folder that holds the images; no image may lie outside it.
    table
        One row an image: `path` (str, absolute), `subject`, `image` (unique name), then group
        columns as categoricals, missing where unknown. Where many images lie in one file, `path`
        is that file and `offset` (int) says where in it.
    card
        Facts for the FaceSet's card: source, licence, consent, synthetic.
    notes
        One sentence on each thing found that a user should know.
    read
        Takes the encoded bytes of one image out of a file that holds many: called with the row's
        `path` and `offset`, in any process. None: a file is an image.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp()) / "holidays"
    >>> for name in ("ada/1.jpg", "ada/2.jpg", "bea/1.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.folder(root)
    >>> read.name, read.groups, list(read.table.columns)
    ('holidays', [], ['path', 'subject', 'image'])
    >>> read.table["image"].tolist()
    ['ada/1.jpg', 'ada/2.jpg', 'bea/1.jpg']
    """

    name: str
    root: Path
    table: pd.DataFrame
    card: dict[str, Any]
    notes: tuple[str, ...] = field(default=())
    read: Callable[[Path, int], bytes] | None = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def groups(self) -> list[str]:
        """The group columns."""
        return [c for c in self.table.columns if c not in (*PLAIN_COLUMNS, *BOX_COLUMNS)]


def printable(name: str) -> str:
    """A file name as text that any file format can hold (bytes outside UTF-8 are escaped)."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def one_line(error: Exception) -> str:
    """What an error of another library says, as a part of one sentence."""
    return " ".join(str(error).split())


def existing_folder(path: str | os.PathLike) -> Path:
    """The folder's real path, or one sentence that says it is not there."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no folder {path}")
    if not path.is_dir():
        raise BadInput(f"{path} is not a folder: give the folder that holds the images")
    return path.resolve()


def is_image(path: Path) -> bool:
    """By its name alone; whether it can be decoded is found out when it is prepared."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def sub_folders(root: Path) -> list[Path]:
    """The folders in `root`, by name; hidden ones and folders named like an image are left out."""
    return sorted(
        path
        for path in root.iterdir()
        if not path.name.startswith(".") and not is_image(path) and path.is_dir()
    )


def images_by_subject(root: Path) -> tuple[list[tuple[Path, str]], int]:
    """(path, subject) of every image in a folder a subject, in order of names; and the number of
    files passed over: in no subject's folder, or not images by their names."""
    found = []
    passed_over = sum(is_image(path) for path in root.iterdir())
    for subject in sub_folders(root):
        for path in sorted(subject.iterdir()):
            if is_image(path):
                found.append((path, subject.name))
            elif not path.name.startswith("."):
                passed_over += 1
    return found, passed_over


def image_files(root: Path) -> list[tuple[Path, str]]:
    """(path, name relative to `root` with slashes) of every image below it, in order of names;
    hidden folders and links to folders are passed over."""
    found = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [path for path in map(Path(place).joinpath, sorted(names)) if is_image(path)]
    return [(path, path.relative_to(root).as_posix()) for path in found]


def label_file(given: str | os.PathLike | None, names: Iterable[str], *places: Path) -> Path | None:
    """The label file: the one given, or the first of `names` that lies in one of `places`."""
    if given is not None:
        if not Path(given).is_file():
            raise FileNotFoundError(f"there is no label file {given}")
        return Path(given)
    beside = (place / name for name in names for place in places)
    return next((path for path in beside if path.is_file()), None)


def image_table(rows: list[tuple[Path, str, str]]) -> pd.DataFrame:
    """The table of (path, subject, image) rows, names made printable."""
    paths, subjects, images = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            # As objects: pandas' own text type cannot hold a file name outside UTF-8.
            "path": pd.Series([str(path) for path in paths], dtype=object),
            "subject": [printable(subject) for subject in subjects],
            "image": [printable(image) for image in images],
        }
    )


def passed_over_note(count: int) -> list[str]:
    """A sentence on files that were passed over, if any were."""
    return [
        f"{count} files were passed over: not images by their names, or in no subject's folder."
    ] * (count > 0)


def read_csv(path: str | os.PathLike, columns: Iterable[str]) -> pd.DataFrame:
    """A csv file of strings, every cell stripped, with the named columns at least."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no label file {path}")
    try:
        # A subject may be called NA or null: only pandas' own reading of them is switched off.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as a csv file: {one_line(error)}") from error
    table.columns = table.columns.str.strip()
    for column in columns:
        if column not in table.columns:
            raise BadInput(
                f"{path} has no column {column!r}; its first line names: {', '.join(table.columns)}"
            )
    return table.fillna("").apply(lambda column: column.str.strip())


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
    keys = labels["file"].map(key)
    twice = keys.duplicated(keep=False)
    if twice.any():
        first = keys[twice].iloc[0]
        rows = labels[keys == first]
        differ = " with different labels" if len(rows.drop_duplicates()) > 1 else ""
        raise BadInput(
            f"{source} lists {rows['file'].iloc[0]!r} {len(rows)} times{differ} "
            f"({keys[twice].nunique()} images are listed more than once): keep one row an image"
        )
    image_keys = images["image"].map(key)
    absent = ~keys.isin(set(image_keys))
    if absent.any() and not partial:
        raise BadInput(
            f"{source} names {labels['file'][absent].iloc[0]!r}, which is not among the images "
            f"({absent.sum()} of its {len(labels)} rows): complete the images, remove the rows, or "
            "say partial=True (--partial) if only a part of the set is here"
        )
    matched = labels.set_index(keys).reindex(image_keys).set_index(images.index)
    unlabelled = ~image_keys.isin(set(keys))
    notes = []
    if unlabelled.any():
        notes.append(
            f"{unlabelled.sum()} of {len(images)} images have no row in {source.name} and stay "
            f"without labels, first {images['image'][unlabelled].iloc[0]}."
        )
    return matched, notes


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
    lower = values.fillna("").str.lower()
    strange = ~lower.isin(set(known))
    if strange.any():
        line = "" if first_line is None else f" in line {first_line + strange.to_numpy().argmax()}"
        raise BadInput(
            f"{source} has {column} {values[strange].iloc[0]!r}{line} "
            f"({strange.sum()} rows with such values): use {', '.join(sorted(vocabulary))} or empty"
        )
    return as_categorical(lower.map(known))


def as_categorical(values: pd.Series) -> pd.Categorical:
    """Text labels as a categorical with sorted categories; empty is missing."""
    values = values.astype(object)
    values = values.where(values.notna() & (values != ""))
    return pd.Categorical(values, categories=sorted(values.dropna().unique()))


def age_groups(ages: pd.Series) -> pd.Categorical:
    """Whole years (missing allowed) in the age groups of FairFace, in order of age."""
    years = pd.to_numeric(ages, errors="coerce")
    return pd.cut(years, [*_FIRST_AGES, np.inf], right=False, labels=list(AGE_GROUPS)).array


def of_their_own(table: pd.DataFrame, name: str) -> str:
    """A sentence on a set that does not say who is shown."""
    return (
        f"{name} does not say who is shown: each of its {len(table)} images is a subject of its "
        "own, which gives no mated comparison, and some non-mated ones may be of one person."
    )


def settled(
    labels: pd.Series, subjects: pd.Series, column: str
) -> tuple[pd.Categorical, list[str]]:
    """One label a subject: the one most of its labelled images have, missing on a tie.

    Returns
    -------
    labels, notes
        The labels (an unlabelled image stays so), and a sentence if any changed.
    """
    text = labels.astype(object)
    counts = pd.crosstab(subjects, text)
    most = counts.eq(counts.max(axis=1), axis=0)
    winner = counts.idxmax(axis=1).where(most.sum(axis=1) == 1)
    unsure = (counts > 0).sum(axis=1) > 1
    if not unsure.any():
        return as_categorical(text), []
    repaired = text.mask(text.notna() & subjects.map(unsure).eq(True), subjects.map(winner))
    changed = text.notna() & (repaired.isna() | (repaired != text))
    note = (
        f"{unsure.sum()} subjects have more than one {column} (first {unsure.idxmax()}): each "
        f"takes the one most of its images have, none on a tie ({changed.sum()} labels changed)."
    )
    return as_categorical(repaired), [note]


def card(source: str, licence: str, consent: str, synthetic: bool = False) -> dict[str, Any]:
    """The facts of a set for the FaceSet's card."""
    return {"source": source, "licence": licence, "consent": consent, "synthetic": synthetic}
