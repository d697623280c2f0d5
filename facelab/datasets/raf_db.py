"""RAF-DB, the basic set (Li, Deng and Du 2017): perceived expressions with gender, race and age.

In: `EmoLabel/list_patition_label.txt` (`train_00001.jpg 5`), `Image/aligned` or `Image/original`,
and `Annotation/manual/train_00001_manu_attri.txt`. Out: a `Reader`.
"""

import os
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import attach_labels, coded, label_file, read_text, stem_key
from facelab.datasets.walking import place_of, walk
from facelab.errors import BadInput, check_option, how_many

EXPRESSIONS = {
    **{"1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "angry"},
    "7": "neutral",
}
GENDERS = {"0": "male", "1": "female", "2": "unsure"}
RACES = {"0": "caucasian", "1": "african-american", "2": "asian"}
AGES = {"0": "0-3", "1": "4-19", "2": "20-39", "3": "40-69", "4": "70+"}
_LABELS = ("list_patition_label.txt", "list_partition_label.txt")  # the makers' spelling first
_LANDMARKS = 5  # lines of them, before gender, race and age


@as_annotated
def raf_db(
    root: str | os.PathLike, images: str = "aligned", *, partial: bool = False
) -> reader.Reader:
    """Read the basic set of RAF-DB.

    Parameters
    ----------
    root
        The folder `basic`, or one above it.
    images
        "aligned" (100x100, as its makers have aligned them) or "original".
    partial
        Let the label file name images that are not there.

    Returns
    -------
    Reader
        `expression` (seven, as about 40 people perceived it), `split` (train, test), and, where
        `Annotation/manual` is there, `gender` (female, male, unsure), `race` and `age_group` (in
        its own five bands), as annotators perceived them; `image` is `train_00001.jpg`. RAF-DB does
        not say who is shown: each image is a subject of its own.

    Raises
    ------
    BadInput
        A label is none of RAF-DB's (the sentence names its line or file), or labels and images
        disagree.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("Image/aligned", "EmoLabel", "Annotation/manual"):
    ...     (root / name).mkdir(parents=True)
    >>> (root / "Image" / "aligned" / "test_0001_aligned.jpg").touch()
    >>> _ = (root / "EmoLabel" / "list_patition_label.txt").write_text("test_0001.jpg 4")
    >>> manual = root / "Annotation" / "manual" / "test_0001_manu_attri.txt"
    >>> _ = manual.write_text("1 2\\n3 4\\n5 6\\n7 8\\n9 10\\n1\\n2\\n2\\n")
    >>> read = fl.datasets.raf_db(root)
    >>> read.table[["expression", "gender", "race", "age_group"]].values.tolist()
    [['happy', 'female', 'asian', '20-39']]
    """
    check_option("images", images, ("aligned", "original"))
    root = reader.existing_folder(root)
    place = place_of(root, lambda folder: (folder / "EmoLabel").is_dir(), "RAF-DB")
    if place is None:
        raise BadInput(f"{root} holds no EmoLabel: give RAF-DB's folder `basic`")
    source = label_file(None, _LABELS, place / "EmoLabel", place)
    if source is None:
        raise BadInput(f"{place / 'EmoLabel'} holds no {_LABELS[0]}")
    folder = place / "Image" / images
    if not folder.is_dir():
        raise BadInput(f"{place} has no folder Image/{images}: unpack it there")
    names = [(path, _plain(path.name)) for path, _ in walk(folder).photos]
    if not names:
        raise BadInput(f"{folder} holds no images")
    table = reader.image_table([(path, name, name) for path, name in names])
    matched, notes = attach_labels(table, _labels(source), source, stem_key, partial)
    table["expression"] = reader.as_categorical(matched["expression"])
    table["split"] = reader.as_categorical(table["image"].str.partition("_")[0])
    manual = place / "Annotation" / "manual"
    if manual.is_dir():
        notes += _attributes(table, manual)
    else:
        notes.append("Annotation/manual is not there: the faces have no gender, race and age.")
    notes.append(reader.of_their_own(table, "RAF-DB"))
    card = reader.card(
        "RAF-DB, basic (Li, Deng and Du 2017)",
        "non-commercial research use, by agreement",
        "none: photographs from the web; expressions, gender, race and age as seen by others",
    )
    by = ("expression", "gender", "race", "age_group", "split")
    groups = tuple(name for name in by if name in table)
    return reader.Reader("raf_db", folder, table, card, tuple(notes), by=groups)


def _plain(name: str) -> str:
    """The name that the labels have: without `_aligned`."""
    stem, dot, suffix = name.rpartition(".")
    return stem.removesuffix("_aligned") + dot + suffix


def _labels(source: Path) -> pd.DataFrame:
    rows, lines = [], []
    for number, line in enumerate(read_text(source).splitlines(), 1):
        words = line.split()
        if len(words) not in (0, 2):
            raise BadInput(
                f"{source} line {number} has {len(words)} words, where an image and a number stand"
            )
        if words:
            rows.append(words)
            lines.append(number)
    if not rows:
        raise BadInput(f"{source} holds no labels")
    found = pd.DataFrame(rows, columns=["file", "expression"])
    strange = ~found["expression"].isin(set(EXPRESSIONS))
    if strange.any():
        row = int(strange.to_numpy().argmax())
        raise BadInput(
            f"{source} line {lines[row]} has expression {rows[row][1]!r}: RAF-DB's are 1 to 7"
        )
    return found.assign(expression=found["expression"].map(EXPRESSIONS))


def _attributes(table: pd.DataFrame, manual: Path) -> list[str]:
    """Add gender, race and age, each image's from its own file; a sentence where some lack one."""
    found = [_attributes_of(manual / f"{stem_key(name)}_manu_attri.txt") for name in table["image"]]
    columns = pd.DataFrame(found, columns=["gender", "race", "age_group"])
    for column, words in (("gender", GENDERS), ("race", RACES), ("age_group", AGES)):
        table[column] = coded(columns[column], words, column, manual)
    table["age_group"] = table["age_group"].cat.set_categories(list(AGES.values()))
    lacking = int((columns == "").all(axis=1).sum())
    if not lacking:
        return []
    return [f"{how_many(lacking, 'image has', 'images have')} no file in Annotation/manual."]


def _attributes_of(path: Path) -> list[str]:
    if not path.is_file():
        return ["", "", ""]
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if len(lines) != _LANDMARKS + 3:
        raise BadInput(
            f"{path} has {len(lines)} lines: RAF-DB's have five of landmarks, then gender, race "
            "and age"
        )
    return lines[_LANDMARKS:]
