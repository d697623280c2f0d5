"""ExpW, Expression in-the-Wild (Zhang, Luo, Loy and Tang 2018): seven perceived expressions.

In: `label/label.lst` (`name face_id top left right bottom confidence expression`) and
`image/origin/*.jpg`. Out: a `Reader` with a row a face.
"""

import os
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import label_file, path_key, read_text
from facelab.datasets.walking import place_of, walk
from facelab.errors import BadInput, how_many

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_COLUMNS = ("file", "face", "top", "left", "right", "bottom", "confidence", "expression")
_FOLDERS = ("image/origin", "origin", "image")


@as_annotated
def expw(
    root: str | os.PathLike, labels: str | os.PathLike | None = None, *, partial: bool = False
) -> reader.Reader:
    """Read ExpW.

    Parameters
    ----------
    root
        The folder that holds `image/origin` (or `origin`), or one above it.
    labels
        The label file; by default `label/label.lst`, or `label.lst`, in that folder.
    partial
        Let the label file name images that are not there: their rows are left out, and a note says
        how many.

    Returns
    -------
    Reader
        `expression`, as crowd workers perceived it, and the face's box; one row a face, of which a
        photo may show several (``face="labelled"`` in `prepare` takes them all). `image` is the
        photo's name; of several faces of a photo, with their number behind it. ExpW does not say
        who is shown: each face is a subject of its own.

    Raises
    ------
    BadInput
        A line is not of that kind (the sentence names it), or labels and images disagree.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("image/origin", "label"):
    ...     (root / name).mkdir(parents=True)
    >>> (root / "image" / "origin" / "joy_1.jpg").touch()
    >>> lines = "joy_1.jpg 0 28 113 226 141 22.9 3\\njoy_1.jpg 1 30 300 400 130 10.1 6\\n"
    >>> _ = (root / "label" / "label.lst").write_text(lines)
    >>> fl.datasets.expw(root).table[["image", "expression", "box_left"]].values.tolist()
    [['joy_1.jpg face 0', 'happy', 113.0], ['joy_1.jpg face 1', 'neutral', 300.0]]
    """
    root = reader.existing_folder(root)
    place = place_of(root, lambda folder: any(map(os.path.isdir, _inside(folder))), "ExpW")
    if place is None:
        raise BadInput(f"{root} has no folder image/origin or origin: give the folder above it")
    folder = next(path for path in _inside(place) if path.is_dir())
    source = label_file(labels, ["label.lst"], place / "label", place, folder)
    if source is None:
        raise BadInput(f"{place} holds no label/label.lst: name it with labels=")
    found = {path_key(name): path for path, name in walk(folder).photos}
    if not found:
        raise BadInput(f"{folder} holds no images")
    rows = _rows(source)
    there = rows["file"].isin(set(found))
    if not there.all() and not (partial and there.any()):
        raise BadInput(
            f"{source} names {rows['file'][~there].iloc[0]!r}, which is not among the images "
            f"({(~there).sum()} of its {len(rows)} rows): complete the images, or say partial=True "
            "(--partial) if only a part of the set is here"
        )
    notes = [f"{how_many(int((~there).sum()), 'row')} of {source.name} have no image here."]
    notes *= not there.all()
    rows = rows[there].reset_index(drop=True)
    several = rows["file"].duplicated(keep=False)
    names = rows["file"].where(~several, rows["file"] + " face " + rows["face"])
    paths = [found[name] for name in rows["file"]]
    table = reader.image_table(list(zip(paths, names, names, strict=True)))
    for column, values in zip(reader.BOX_COLUMNS, _boxes(rows), strict=True):
        table[column] = values
    table["expression"] = reader.as_categorical(rows["expression"])
    if several.any():
        count = int(rows["file"][several].nunique())
        notes.append(
            f"{how_many(count, 'photo shows', 'photos show')} several labelled faces: prepare with "
            'face="labelled" (--face labelled), which takes each by its box.'
        )
    unlabelled = len(set(found) - set(rows["file"]))
    if unlabelled:
        notes.append(f"{how_many(unlabelled, 'image is', 'images are')} in no row, and left out.")
    notes.append(reader.of_their_own(table, "ExpW"))
    card = reader.card(
        "ExpW (Zhang, Luo, Loy and Tang 2018)",
        "research use",
        "none: photographs found by a web search; expressions as seen by others",
    )
    return reader.Reader("expw", folder, table, card, tuple(notes), by=("expression",))


def _inside(folder: Path) -> list[Path]:
    return [folder / name for name in _FOLDERS]


def _rows(source: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(read_text(source).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != len(_COLUMNS):
            raise BadInput(
                f"{source} line {number} has {len(words)} words where {len(_COLUMNS)} should stand"
            )
        if words[-1] not in set("0123456"):
            raise BadInput(f"{source} line {number} has expression {words[-1]!r}: use 0 to 6")
        if not all(_is_number(word) for word in words[2:6]):
            raise BadInput(f"{source} line {number} has a box of {' '.join(words[2:6])}")
        rows.append([path_key(words[0]), *words[1:-1], EXPRESSIONS[int(words[-1])]])
    if not rows:
        raise BadInput(f"{source} holds no rows")
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    twice = table.duplicated(["file", "face"])
    if twice.any():
        one = table[twice].iloc[0]
        raise BadInput(f"{source} lists face {one['face']} of {one['file']!r} twice: keep one row")
    return table


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdecimal()


def _boxes(rows: pd.DataFrame) -> list[pd.Series]:
    left, top, right, bottom = (
        rows[name].astype(float) for name in ("left", "top", "right", "bottom")
    )
    return [left, top, right - left, bottom - top]
