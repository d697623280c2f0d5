"""Labeled Faces in the Wild (Huang et al. 2007): its folders, label file and pair list.

In: `Name/Name_0001.jpg`, `labels.csv` (`file,identity,gender,race`) and `pairs.txt`. Out: a
`Reader` with `gender` and `race`, and the pairs of the 10-fold protocol as a table.
"""

import os
import re
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import (
    as_text,
    attach_labels,
    coded,
    label_file,
    read_csv,
    read_text,
    stem_key,
    upwards,
)
from facelab.datasets.walking import is_photo, people_in, place_of, sub_folders, walk
from facelab.errors import BadInput, how_many
from facelab.faces.names import as_name, as_names

GENDERS = {"m": "male", "f": "female", "male": "male", "female": "female"}
MULTIPLE = "multiple"
_NAME = re.compile(r"(?P<subject>.+)_(?P<number>\d{4})")


@as_annotated
def lfw(
    root: str | os.PathLike, labels: str | os.PathLike | None = None, *, partial: bool = False
) -> reader.Reader:
    """Read LFW, aligned or not.

    Parameters
    ----------
    root
        The folder of the `Name/Name_0001.jpg` folders, or one that contains it (`aligned112`,
        `lfw/lfw-deepfunneled`); or a flat folder of `Name_0001.jpg`. Any kind of image will do.
    labels
        csv `file,identity,gender,race`; by default `labels.csv` in the folder of the names or in
        one above it, if there is one.
    partial
        Let the label file name images that are not there (only a part of LFW is at hand).

    Returns
    -------
    Reader
        `image` is the file's own name, which is unique in LFW, as in the label and pair files.

    Raises
    ------
    BadInput
        The layout is not LFW's, or labels and images disagree: an image listed twice, a row for
        an image that is not there, an identity that is not the folder's.

    Notes
    -----
    `gender` M/F becomes male/female. `race` keeps a single value as it is; an image for which the
    source names several ("african,caucasian") is in none of the single groups: it gets the label
    "multiple", and a note says how many. Empty stays missing. The labels are other people's
    judgement of photographs, not what the subjects say of themselves.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("Ada_Lovelace/Ada_Lovelace_0001.jpg", "Bea_Miles/Bea_Miles_0001.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.lfw(root)
    >>> read.table[["subject", "image"]].values.tolist()
    [['Ada_Lovelace', 'Ada_Lovelace_0001.jpg'], ['Bea_Miles', 'Bea_Miles_0001.jpg']]
    """
    root = reader.existing_folder(root)
    folder = place_of(root, _has_names, "LFW") or place_of(root, _is_flat, "LFW") or root
    table, notes, without = _images(folder)
    source = label_file(labels, ["labels.csv"], *upwards(folder, root))
    if source is None:
        notes.append("No label file was found: the faces have no group columns.")
    else:
        notes += _label(table, source, partial)
    card = reader.card(
        "Labeled Faces in the Wild (Huang et al. 2007)",
        "research use",
        "none: news photographs of public figures, collected from the web",
    )
    by = ("gender", "race")
    return reader.Reader("lfw", folder, table, card, tuple(notes), by=by, without=without)


@as_annotated
def lfw_pairs(path: str | os.PathLike, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read `pairs.txt`, the pair protocol of LFW.

    Parameters
    ----------
    path
        First line `folds n` (or `n` for a single fold), then for each fold n mated lines
        `name number number` and n non-mated lines `name number name number`; any white space.
    table
        A table with `image`: every image of the pairs must be in it, and is named as it is there.

    Returns
    -------
    pandas.DataFrame
        `fold` (from 1), `image_a`, `image_b` (`Name_0001.jpg`), `mated` (bool), in file order.

    Raises
    ------
    BadInput
        A line does not fit (the message names it), or an image is not in `table`.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "pairs.txt"
    >>> with path.open("w") as file:
    ...     for line in ("1", "Ada_Lovelace 1 2", "Ada_Lovelace 1 Bea_Miles 1"):
    ...         print(line, file=file)  # one pair of each sort
    >>> pairs = fl.datasets.lfw_pairs(path)
    >>> pairs[["image_a", "image_b", "mated"]].values.tolist()
    [['Ada_Lovelace_0001.jpg', 'Ada_Lovelace_0002.jpg', True], ['Ada_Lovelace_0001.jpg',
    'Bea_Miles_0001.jpg', False]]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no pair list {path}")
    lines = [
        (number, line.split())
        for number, line in enumerate(read_text(path).splitlines(), start=1)
        if line.strip()
    ]
    folds, each = _header(lines, path)
    expected = folds * 2 * each
    if len(lines) - 1 != expected:
        raise BadInput(
            f"{path} promises {expected} pairs in its first line ({folds} folds of {each} mated "
            f"and {each} non-mated) and has {len(lines) - 1}"
        )
    pairs = []
    for position, (number, words) in enumerate(lines[1:]):
        fold, place = divmod(position, 2 * each)
        mated = place < each
        pairs.append((fold + 1, *pair_of(words, mated, f"{path} line {number}"), mated))
    result = pd.DataFrame(pairs, columns=["fold", "image_a", "image_b", "mated"])
    return result if table is None else _named_as_in(table, result, path)


def _has_names(folder: Path) -> bool:
    """Whether some sub-folder `Name` holds an image `Name_0001`."""
    for subject in sub_folders(folder):
        who = as_name(subject.name)
        for path in subject.iterdir():
            name = _parse(path.name) if is_photo(path.name) else None
            if name and as_name(name["subject"]) == who:
                return True
    return False


def _is_flat(folder: Path) -> bool:
    return any(is_photo(path.name) and _parse(path.name) for path in folder.iterdir())


def _parse(file_name: str) -> re.Match | None:
    return _NAME.fullmatch(Path(file_name).stem)


def _images(folder: Path) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """The table of images in a folder of names or a flat folder, notes, and who has no photo."""
    people = people_in([folder], folder)
    found, notes = people.photos, people.notes()
    flat = not found
    if flat:
        found, notes = [(path, "", name) for path, name in walk(folder).photos], []
    if not any(_parse(path.name) for path, _, _ in found):
        raise BadInput(f"{folder} does not hold LFW: no image Name/Name_0001.jpg was found in it")
    rows = []
    for path, subject, _ in found:
        name = _parse(path.name)
        if name is None or not (flat or as_name(name["subject"]) == subject):
            raise BadInput(
                f"{as_name(str(path))} is not named as LFW names images "
                f"({'' if flat else subject + '/'}{subject or 'Name'}_0001.jpg): move it away, or "
                "read the folder with facelab.datasets.folder"
            )
        rows.append((path, as_name(name["subject"]), path.name))
    return reader.image_table(rows), notes, people.without


def _label(table: pd.DataFrame, source: Path, partial: bool) -> list[str]:
    """Add `gender` and `race` to the table, from a label file; sentences on what was found."""
    labels = read_csv(source, ["file", "identity", "gender", "race"])
    rows, notes = attach_labels(table, labels, source, stem_key, partial)
    wrong = rows["identity"].notna() & (as_names(rows["identity"], "identity") != table["subject"])
    if wrong.any():
        first = wrong.idxmax()
        raise BadInput(
            f"{source} says that {table['image'][first]!r} shows {rows['identity'][first]!r}, its "
            f"name says {table['subject'][first]!r} ({how_many(wrong.sum(), 'such image')}): "
            "correct the label file"
        )
    table["gender"] = coded(rows["gender"], GENDERS, "gender", source)
    race = as_text(rows["race"], "race").str.lower()
    several = race.str.contains(",")
    table["race"] = reader.as_categorical(race.mask(several, MULTIPLE))
    if several.any():
        notes.append(
            f"{several.sum()} images whose source names more than one race are labelled "
            f'"{MULTIPLE}", in none of the single groups.'
        )
    for column in ("gender", "race"):
        missing = table[column].isna().sum()
        if missing:
            notes.append(f"{missing} of {len(table)} images have no {column}.")
    return notes


def _header(lines: list[tuple[int, list[str]]], path: Path) -> tuple[int, int]:
    words = lines[0][1] if lines else []
    if not (1 <= len(words) <= 2 and all(re.fullmatch(r"[0-9]{1,9}", word) for word in words)):
        raise BadInput(f"{path} line 1 must say `folds pairs`, such as `10 300`: is it pairs.txt?")
    folds, each = (1, int(words[0])) if len(words) == 1 else map(int, words)
    if folds < 1 or each < 1:
        raise BadInput(f"{path} line 1 promises no pairs")
    return folds, each


def pair_of(words: list[str], mated: bool, where: str) -> tuple[str, str]:
    expected = "name number number" if mated else "name number name number"
    if len(words) != (3 if mated else 4):
        raise BadInput(
            f"{where} has {len(words)} words where a {'mated' if mated else 'non-mated'} pair "
            f"`{expected}` should stand"
        )
    name_a, name_b = words[0], words[0] if mated else words[2]
    numbers = words[1], words[2] if mated else words[3]
    if not all(re.fullmatch(r"[0-9]{1,4}", number) for number in numbers):
        raise BadInput(f"{where} has {' '.join(words)!r} where `{expected}` should stand")
    name_a, name_b = as_name(name_a), as_name(name_b)
    image_a, image_b = (
        f"{name}_{int(number):04d}.jpg"
        for name, number in zip((name_a, name_b), numbers, strict=True)
    )
    if image_a == image_b:
        raise BadInput(f"{where} compares {image_a!r} with itself")
    if not mated and name_a == name_b:
        raise BadInput(f"{where} calls two images of {name_a} a non-mated pair")
    return image_a, image_b


def _named_as_in(table: pd.DataFrame, pairs: pd.DataFrame, path: Path) -> pd.DataFrame:
    images = as_names(table["image"], "image")
    names = dict(zip(images.map(stem_key), images, strict=True))
    named = pairs.assign(
        **{side: pairs[side].map(stem_key).map(names) for side in ("image_a", "image_b")}
    )
    lost = named[["image_a", "image_b"]].isna()
    if lost.any(axis=None):
        absent = pd.concat([pairs[column][lost[column]] for column in lost])
        raise BadInput(
            f"{path} compares {absent.iloc[0]!r}, which is not in the table "
            f"({how_many(absent.nunique(), 'such image')}, in "
            f"{how_many(lost.any(axis=1).sum(), 'pair')}): add the images, or leave the pairs out"
        )
    return named
