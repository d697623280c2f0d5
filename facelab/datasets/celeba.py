"""CelebA (Liu et al. 2015): celebrities with 40 attributes, identities and a split.

In: `img_align_celeba/000001.jpg` (or `img_celeba`), `list_attr_celeba.txt`, `identity_CelebA.txt`,
`list_eval_partition.txt`; the csv files of the Kaggle copy too. Out: a `Reader`.
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
from facelab.datasets.walking import place_of, walk
from facelab.errors import BadInput, there_are

_FOLDERS = ("img_align_celeba", "img_align_celeba_png", "img_celeba")
_PLACES = ("", "Anno", "Eval")  # as in the published archive
_IDENTITIES = ("identity_CelebA.txt", "identity_CelebA.csv")
_ATTRIBUTES = ("list_attr_celeba.txt", "list_attr_celeba.csv")
_PARTITION = ("list_eval_partition.txt", "list_eval_partition.csv")
_BOXES = ("list_bbox_celeba.txt", "list_bbox_celeba.csv")
_SPLITS = {"0": "train", "1": "validation", "2": "test"}


@as_annotated
def celeba(
    root: str | os.PathLike, *, by: list[str] | None = None, partial: bool = False
) -> reader.Reader:
    """Read CelebA.

    Parameters
    ----------
    root
        The folder that holds `img_align_celeba` or `img_celeba`, with the label files there or in
        `Anno` and `Eval`.
    by
        Attributes to keep besides gender and age, such as `["Smiling", "Eyeglasses"]`, as yes/no
        columns under their own names; by default none.
    partial
        Let the label files name images that are not there.

    Returns
    -------
    Reader
        `gender` (Male), `age_group` (Young: young, not young), `split` (train, validation, test)
        and the attributes asked for; `image` is `000001.jpg`. With `img_celeba`, whose photos show
        more than one face, also the box of the labelled one (`box_left` ... `box_height`).

    Raises
    ------
    BadInput
        A label file is cut short or holds another value than its kind has (the sentence names the
        line), an attribute is not there, or labels and images disagree.

    Notes
    -----
    Without `identity_CelebA.txt` (the Kaggle copy lacks it) each image is a subject of its own. The
    attributes are other people's judgements of photographs, some of them harsh ones: only what is
    asked for comes through.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("img_align_celeba/000001.jpg", "img_align_celeba/000002.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> attributes = {"image_id": ["000001.jpg", "000002.jpg"], "Male": [-1, 1], "Smiling": [1, -1]}
    >>> pd.DataFrame(attributes | {"Young": 1}).to_csv(root / "list_attr_celeba.csv", index=False)
    >>> read = fl.datasets.celeba(root, by=["Smiling"])
    >>> read.table[["gender", "age_group", "Smiling"]].values.tolist()
    [['female', 'young', 'yes'], ['male', 'young', 'no']]
    """
    root = reader.existing_folder(root)
    folder = _images_folder(root)
    found = walk(folder).photos
    if not found:
        raise BadInput(f"{folder} holds no images: give the folder above CelebA's images")
    table = reader.image_table([(path, path.name, path.name) for path, _ in found])
    above = upwards(folder.parent, root)
    places = [place / name for place in above for name in _PLACES if place != root.parent]
    notes = []

    def label(names: tuple[str, ...], wanted: dict[str, tuple[str, dict[str, str] | None]]) -> bool:
        """Add columns to the table, each from a column of a label file, if that is there."""
        path = label_file(None, names, *places)
        if path is None:
            notes.append(f"No {names[0]} was found: its labels are missing.")
            return False
        frame, first = _read(path)
        rows = pd.DataFrame({"file": frame["file"]})
        for column, (name, words) in wanted.items():
            if name not in frame.columns:
                raise BadInput(f"{path} has no column {name!r}{there_are(name, frame, 'it has')}")
            values = frame[name]
            rows[column] = coded(values, words, name, path, first) if words else values
        matched, more = attach_labels(table, rows, path, stem_key, partial)
        notes.extend(more)
        for column in wanted:
            table[column] = matched[column]
        return True

    if label(_IDENTITIES, {"subject": ("1", None)}):
        who = as_text(table["subject"], "subject")
        table["subject"] = who.where(who != "", table["image"])
    else:
        notes.append(reader.of_their_own(table, "This copy of CelebA"))
    wanted = {
        "gender": ("Male", {"1": "male", "-1": "female"}),
        "age_group": ("Young", {"1": "young", "-1": "not young"}),
        **{name: (name, {"1": "yes", "-1": "no"}) for name in by or []},
    }
    if not label(_ATTRIBUTES, wanted) and by:
        raise BadInput(f"{root} holds no {_ATTRIBUTES[0]} to take {by[0]!r} from")
    label(_PARTITION, {"split": ("1", _SPLITS)})
    if folder.name == "img_celeba":
        sides = ("x_1", "y_1", "width", "height")
        label(_BOXES, {c: (side, None) for c, side in zip(reader.BOX_COLUMNS, sides, strict=True)})
    card = reader.card(
        "CelebFaces Attributes (Liu et al. 2015)",
        "non-commercial research use",
        "none: photographs of celebrities from the web",
    )
    groups = ("gender", "age_group", *(by or []), "split")
    return reader.Reader("celeba", folder, table, card, tuple(notes), by=groups)


def _images_folder(root: Path) -> Path:
    """The folder of the images; the Kaggle copy has one of the same name within it."""

    def inside(place: Path) -> list[Path]:
        return [place / name for name in _FOLDERS if (place / name).is_dir()]

    place = place_of(root, lambda folder: bool(inside(folder)), "CelebA")
    if place is None:
        raise BadInput(f"{root} has no folder {' or '.join(_FOLDERS)}: give the folder above it")
    if len(inside(place)) > 1:
        raise BadInput(f"{place} holds CelebA twice ({', '.join(_FOLDERS)}): leave one of them")
    return inside(place)[0]


def _read(path: Path) -> tuple[pd.DataFrame, int]:
    """A label file as text, and its first line of labels: `file`, then columns by the file's own
    names, or by number from 1 where it has none."""
    if path.suffix == ".csv":
        frame = read_csv(path, [])
        names = list(frame.columns)
        plain = [str(n) for n in range(1, len(names))] if len(names) == 2 else names[1:]
        return frame.set_axis(["file", *plain], axis=1), 2
    lines = read_text(path).splitlines()
    first, names = 0, []
    if lines and re.fullmatch(
        "[0-9]{1,9}", lines[0].strip()
    ):  # list_attr_celeba.txt: the number, then the names
        promised, names, first = int(lines[0]), lines[1].split() if len(lines) > 1 else [], 2
    rows = [(number, line.split()) for number, line in enumerate(lines[first:], first + 1)]
    rows = [(number, words) for number, words in rows if words]
    if not rows:
        raise BadInput(f"{path} holds no labels")
    names = [name for name in names if name != "image_id"]  # list_bbox_celeba.txt names it too
    names = names or [str(number) for number in range(1, len(rows[0][1]))]
    for number, words in rows:
        if len(words) != len(names) + 1:
            raise BadInput(
                f"{path} line {number} has {len(words)} words where {len(names) + 1} should stand"
            )
    if first and promised != len(rows):
        raise BadInput(f"{path} promises {promised} images in its first line and has {len(rows)}")
    return pd.DataFrame([words for _, words in rows], columns=["file", *names]), first + 1
