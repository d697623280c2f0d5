"""AffectNet (Mollahosseini, Hasani and Mahoor 2017): eight perceived expressions, with valence.

In: `train_set`, `val_set` with `images/N.jpg` and `annotations/N_exp.npy`, `N_val.npy`,
`N_aro.npy`; or the older `training.csv`, `validation.csv`. Out: a `Reader`.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from facelab import limits
from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import path_key, read_csv
from facelab.datasets.walking import place_of, walk
from facelab.errors import BadInput, how_many

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
# What the older tables have besides: no expression of the seven, nobody agreed, and no face.
_OTHERS = ("none", "uncertain", "no face")
_SETS = {"train_set": "train", "val_set": "val"}
_TABLES = {"training.csv": "train", "validation.csv": "val", "automatically_annotated.csv": "auto"}
_FILE = "subDirectory_filePath"
_IMAGES = ("", "Manually_Annotated_Images", "Manually_Annotated", "Automatically_Annotated_Images")
_NO_NUMBER = -2.0  # where the tables have no valence


@as_annotated
def affectnet(root: str | os.PathLike, *, partial: bool = False) -> reader.Reader:
    """Read AffectNet.

    Parameters
    ----------
    root
        The folder that holds `train_set` and `val_set`, or one of them; or the older `training.csv`
        and `validation.csv` with `Manually_Annotated_Images`.
    partial
        Let tables name images that are not there: a note says how many.

    Returns
    -------
    Reader
        `expression` (eight; in the older tables also none, uncertain and no face, which stay as
        they are), `valence` and `arousal` (-1 to 1, missing where there is none) and `split`; of
        the older tables the face's box. AffectNet does not say who is shown: each image is a
        subject of its own.

    Raises
    ------
    BadInput
        An annotation is missing, no number or none of AffectNet's; the sentence names it.

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("images", "annotations"):
    ...     (root / "val_set" / name).mkdir(parents=True)
    >>> (root / "val_set" / "images" / "7.jpg").touch()
    >>> for kind, value in {"exp": 6, "val": -0.4, "aro": 0.6}.items():
    ...     np.save(root / "val_set" / "annotations" / f"7_{kind}.npy", np.array(value))
    >>> fl.datasets.affectnet(root).table[["image", "expression", "valence"]].values.tolist()
    [['val_set/images/7.jpg', 'angry', -0.4]]
    """
    root = reader.existing_folder(root)
    place = place_of(root, lambda folder: bool(_sets_in(folder)), "AffectNet")
    if place is not None:
        table, notes = _from_sets(place, _sets_in(place))
    else:
        place = place_of(root, lambda folder: bool(_tables_in(folder)), "AffectNet")
        if place is None:
            raise BadInput(
                f"{root} holds no train_set or val_set with annotations, and no training.csv: give "
                "AffectNet's folder"
            )
        table, notes = _from_tables(place, _tables_in(place), partial)
    notes.append(reader.of_their_own(table, "AffectNet"))
    card = reader.card(
        "AffectNet (Mollahosseini, Hasani and Mahoor 2017)",
        "research use, by agreement",
        "none: photographs found by a web search; expressions as seen by one annotator each",
    )
    by = ("expression", "split")
    return reader.Reader("affectnet", place, table, card, tuple(notes), by=by)


def _sets_in(folder: Path) -> list[Path]:
    """The folders of images with annotations: `folder` itself may be one."""
    sets = [folder / name for name in _SETS if (folder / name / "annotations").is_dir()]
    alone = folder.name in _SETS and (folder / "annotations").is_dir()
    return sets or [folder] * alone


def _tables_in(folder: Path) -> list[Path]:
    return [folder / name for name in _TABLES if (folder / name).is_file()]


# ---- one file an annotation


def _from_sets(place: Path, sets: list[Path]) -> tuple[pd.DataFrame, list[str]]:
    found, told = [], []
    for one in sets:
        for path, _ in walk(one / "images").photos:
            found.append((path, path.relative_to(place).as_posix()))
            stem = one / "annotations" / path.stem
            code = _number(stem.with_name(f"{stem.name}_exp.npy"))
            if code not in range(len(EXPRESSIONS)):
                raise BadInput(f"{stem}_exp.npy holds {code:g}: AffectNet's expressions are 0 to 7")
            numbers = [
                _number(stem.with_name(f"{stem.name}_{kind}.npy")) for kind in ("val", "aro")
            ]
            told.append((EXPRESSIONS[int(code)], *numbers, _SETS[one.name]))
    if not found:
        raise BadInput(f"{place} holds no images beside its annotations")
    table = reader.image_table([(path, name, name) for path, name in found])
    return _labelled(table, told), []


def _number(path: Path) -> float:
    """The number in a small npy file, which may be written as text."""
    if not path.is_file():
        raise BadInput(f"there is no annotation {path}")
    try:
        value = np.load(io.BytesIO(limits.read_bytes(path, limits.ANNOTATION)), allow_pickle=False)
        return float(np.asarray(value).reshape(()).item())
    except (ValueError, TypeError, EOFError) as error:
        raise BadInput(f"{path} holds no number, as AffectNet's annotations do") from error


def _labelled(table: pd.DataFrame, told: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(told, columns=["expression", "valence", "arousal", "split"])
    for column in ("expression", "split"):
        table[column] = reader.as_categorical(frame[column])
    for column in ("valence", "arousal"):
        values = frame[column].astype(float)
        table[column] = values.where(values != _NO_NUMBER)
    return table


# ---- the older tables


def _from_tables(place: Path, tables: list[Path], partial: bool) -> tuple[pd.DataFrame, list[str]]:
    on_disk = {path_key(name): path for path, name in walk(place).photos}
    rows, boxes, told, absent, first = [], [], [], 0, ""
    for source in tables:
        frame = read_csv(source, [_FILE, "expression", "valence", "arousal"])
        for line, row in enumerate(frame.to_dict("records"), 2):
            where = f"{source} line {line}"
            keys = [path_key(f"{folder}/{row[_FILE]}".lstrip("/")) for folder in _IMAGES]
            name = next((key for key in keys if key in on_disk), None)
            if name is None:
                absent, first = absent + 1, first or f"{row[_FILE]!r} ({where})"
                continue
            rows.append((on_disk[name], name, name))
            code = _read(int, row["expression"], f"{where} has expression")
            if code not in range(len(EXPRESSIONS) + len(_OTHERS)):
                raise BadInput(f"{where} has expression {code}: AffectNet's are 0 to 10")
            boxes.append([_read(float, row.get(side) or "nan", where) for side in _SIDES])
            numbers = (_read(float, row[kind], f"{where} has {kind}") for kind in _KINDS)
            told.append(((*EXPRESSIONS, *_OTHERS)[code], *numbers, _TABLES[source.name]))
    if absent and not (partial and rows):
        raise BadInput(
            f"{place} lacks {how_many(absent, 'image')} of its tables, first {first}: complete "
            "them, or say partial=True (--partial) if only a part of the set is here"
        )
    table = _labelled(reader.image_table(rows), told)
    table[list(reader.BOX_COLUMNS)] = np.array(boxes)
    return table, [f"{how_many(absent, 'row')} of the tables have no image here."] * bool(absent)


_SIDES = ("face_x", "face_y", "face_width", "face_height")
_KINDS = ("valence", "arousal")


def _read(kind: Callable[[str], float], word: str, where: str) -> float:
    try:
        return kind(word)
    except ValueError:
        raise BadInput(f"{where} {word[:30]!r}, which is no number") from None
