"""FER2013 (Goodfellow et al. 2013): 48x48 gray faces with one of seven perceived expressions.

In: `fer2013.csv` (`emotion,pixels,Usage`; `icml_face_data.csv` too), or a folder a class
(`angry/*.jpg`, also under `train` and `test`). Out: a `Reader`.
"""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.walking import walk
from facelab.errors import BadInput, how_many
from facelab.faces.names import as_name
from facelab.limits import LONGEST_LINE, TABLE, check_text, opened

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
_CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_USAGES = {"Training": "train", "PublicTest": "public test", "PrivateTest": "private test"}
SIDE = 48


@as_annotated
def fer2013(root: str | os.PathLike) -> reader.Reader:
    """Read FER2013.

    Parameters
    ----------
    root
        The csv file, or a folder that holds a folder a class, directly or under `train`, `test`.

    Returns
    -------
    Reader
        `expression`, as crowd workers saw it, and `split` where it is known; `image` is
        `row00012` of the csv (from 0), or the path below `root`. FER2013 does not say who is
        shown: each image is a subject of its own.

    Raises
    ------
    BadInput
        A row has another number of pixels than 48 x 48, or a code that is none of the seven (the
        sentence names its line); a folder is not named after a class.

    Notes
    -----
    The csv is read a line at a time and stays where it is; `prepare` takes each image from its
    place in it. Known defects are blank images (counted in a note) and the same picture in several
    rows (`prepare` sets the copies aside).

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("train/happy/Training_1.jpg", "test/sad/PrivateTest_2.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.fer2013(root)
    >>> read.table[["split", "expression"]].values.tolist()
    [['test', 'sad'], ['train', 'happy']]
    """
    if Path(root).is_file():
        return _from_csv(Path(root).resolve())
    root = reader.existing_folder(root)
    rows, expressions, splits = [], [], []
    for path, name in walk(root).photos:
        folders = name.lower().split("/")[:-1]
        if not folders or folders[-1] not in EXPRESSIONS:
            raise BadInput(
                f"{as_name(name)!r} in {root} is not in a folder named after a class: "
                f"FER2013's are {', '.join(EXPRESSIONS)}"
            )
        rows.append((path, name, name))
        expressions.append(folders[-1])
        usage = path.name.partition("_")[0]
        splits.append(folders[-2] if len(folders) > 1 else _USAGES.get(usage, ""))
    if not rows:
        raise BadInput(f"{root} holds no images: give fer2013.csv, or the folder above the classes")
    table = reader.image_table(rows)
    return _reader(root, table, expressions, splits, [], None)


def pixels_of(path: Path, offset: int) -> bytes:
    """The image of the csv row at a byte offset, as a PGM file."""
    with opened(path, TABLE) as file:
        header = _header(file.readline(LONGEST_LINE), path)
        file.seek(offset)
        values = _row(file.readline(LONGEST_LINE), header, f"{path} at byte {offset}")
    return b"P5 %d %d 255\n" % (SIDE, SIDE) + _pixels(values["pixels"], f"{path} at byte {offset}")


def _from_csv(path: Path) -> reader.Reader:
    offsets, expressions, splits, blank = [], [], [], 0
    check_text(path, TABLE)
    with opened(path, TABLE) as file:
        header = _header(file.readline(), path)
        offset = file.tell()
        for line, text in enumerate(file, start=2):
            if text.strip():
                where = f"{path} line {line}"
                values = _row(text, header, where)
                if values["emotion"] not in tuple("0123456"):
                    raise BadInput(
                        f"{where} has emotion {values['emotion'][:20]!r}: FER2013's are 0 to 6"
                    )
                usage = values.get("Usage", "")
                if usage and usage not in _USAGES:
                    raise BadInput(
                        f"{where} has Usage {usage[:20]!r}: FER2013's are {', '.join(_USAGES)}"
                    )
                offsets.append(offset)
                expressions.append(_CODES[int(values["emotion"])])
                splits.append(_USAGES.get(usage, ""))
                blank += len(set(_pixels(values["pixels"], where))) == 1
            offset += len(text)
    if not offsets:
        raise BadInput(f"{path} holds no rows")
    names = [f"row{number:05d}" for number in range(len(offsets))]
    table = pd.DataFrame({"path": str(path), "offset": offsets, "subject": names, "image": names})
    notes = [f"{how_many(blank, 'image is', 'images are')} of one single gray, without a face."] * (
        blank > 0
    )
    return _reader(path.parent, table, expressions, splits, notes, pixels_of)


def _reader(
    root: Path,
    table: pd.DataFrame,
    expressions: list[str],
    splits: list[str],
    notes: list[str],
    read: Callable[[Path, int], bytes] | None,
) -> reader.Reader:
    table["expression"] = reader.as_categorical(pd.Series(expressions))
    if any(splits):
        table["split"] = reader.as_categorical(pd.Series(splits))
    card = reader.card(
        "FER2013 (Goodfellow et al. 2013)",
        "research use",
        "none: photographs found by a web search; expressions as seen by others",
    )
    notes = [*notes, reader.of_their_own(table, "FER2013")]
    return reader.Reader(
        "fer2013", root, table, card, tuple(notes), read, by=("expression", "split")
    )


def _header(line: bytes, path: Path) -> list[str]:
    names = [name.strip() for name in line.decode("utf-8-sig", "replace").strip().split(",")]
    for name in ("emotion", "pixels"):
        if name not in names:
            raise BadInput(f"{path} has no column {name!r} in its first line: is it fer2013.csv?")
    return names


def _row(line: bytes, header: list[str], where: str) -> dict[str, str]:
    cells = next(csv.reader([line.decode("ascii", "replace").strip()]), [])
    if len(cells) != len(header):
        raise BadInput(f"{where} has {len(cells)} cells where {len(header)} should stand")
    return dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _pixels(text: str, where: str) -> bytes:
    try:
        pixels = bytes(map(int, text.split()))
    except ValueError:
        raise BadInput(f"{where} has pixels that are no whole numbers from 0 to 255") from None
    if len(pixels) != SIDE * SIDE:
        raise BadInput(f"{where} has {len(pixels)} pixels where {SIDE} x {SIDE} should stand")
    return pixels
