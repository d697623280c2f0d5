"""What analysers of others have said, as it was saved: answers in json, tables in csv.

In: a file or a folder, and of which make it is. Out: one row a photo (or a face), as
`analyser.predict` gives it; what failed has a row, too, and says why.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab import limits, words
from facelab.analysis.answers import MAKES, Face, Failed, NotOne, faces_of
from facelab.analysis.others import actionable_auditing, any_csv, deepface_csv, fairface_csv
from facelab.arguments import as_annotated
from facelab.datasets.label_files import path_key
from facelab.datasets.reader import BOX_COLUMNS
from facelab.errors import BadInput, check_columns, check_option, how_many, warn

_TABLES = {
    "fairface": fairface_csv, "csv": any_csv, "actionable-auditing": actionable_auditing,
}  # fmt: skip
FORMATS = (*MAKES, *_TABLES)
_NAMES = (
    "image", "photo", "file", "filename", "path", "img_path", "image_path", "img", "name",
)  # fmt: skip
_ANSWERS = ("response", "answer", "result", "results", "output", "prediction")
_FEW_FIT = 0.1  # overlap (intersection over union) below which two boxes are of two faces
_LINES = (".jsonl", ".ndjson")


@as_annotated
def read_predictions(
    path: str | os.PathLike,
    format: str,
    *,
    faces: str = "largest",
    boxes: pd.DataFrame | None = None,
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read what an analyser has said of photos.

    Parameters
    ----------
    path
        For "deepface", "rekognition", "azure" and "facepp": a folder with a json file an answer
        (`ada/1.jpg.json` answers `ada/1.jpg`); one json file, of answers by photo, a list of
        records (`{"image": ..., "response": ...}`) or of answers in a row; or json lines of
        records. For the others, and for "deepface" as pandas saves its results: a csv file.
    format
        "deepface" (DeepFace.analyze), "fairface" (predict.py's csv), "rekognition" (DetectFaces,
        IndexFaces), "azure" (Face - Detect, old and new), "facepp" (detect),
        "actionable-auditing" (a `Classifier <Vendor>` column a vendor: one row a face and vendor),
        or "csv" (any table).
    faces
        Which face of a photo that shows several: "largest", or "all" (a row a face).
    boxes
        A table with `image`, `box_left`, `box_top`, `box_width` and `box_height` in pixels: the
        face that is labelled; the answer's face with the best overlap is taken, and a photo whose
        faces all lie elsewhere has failed. Photos without a row go by `faces`. Rekognition tells
        boxes in shares of the photo: give shares.
    columns
        Of "csv": names to be changed, ``{"pred": "predicted_gender", "file": "image"}``.

    Returns
    -------
    pandas.DataFrame
        `image`, `face` (its number in the answer), `faces` (how many there were),
        `predicted_<what>` (gender, age, expression, race), `score_<label>` from 0 to 1, the face's
        box, and `status`: "ok", "no face", "error: ..." ... Photos that failed have a row.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    BadInput
        An unknown format, or no answer is of that make.

    Examples
    --------
    >>> import facelab as fl
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> face = {"region": {"x": 0, "y": 0, "w": 9, "h": 9}, "age": 31, "dominant_gender": "Woman"}
    >>> file = Path(mkdtemp()) / "answers.json"
    >>> _ = file.write_text(json.dumps({"ada.jpg": [face], "bea.jpg": []}))
    >>> table = fl.read_predictions(file, format="deepface")
    >>> table[["image", "predicted_age", "status"]].values.tolist()
    [['ada.jpg', 31.0, 'ok'], ['bea.jpg', nan, 'no face']]
    """
    check_option("format", format, FORMATS)
    check_option("faces", faces, ("largest", "all"))
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if format in _TABLES:
        if boxes is not None:
            raise BadInput(f"boxes= is for answers in json: a table of {format} holds no boxes")
        if columns is not None and format != "csv":
            raise BadInput('columns= is for format="csv"')
        return _TABLES[format](path, columns or {}, faces)
    if columns is not None:
        raise BadInput('columns= is for format="csv"')
    wanted = _wanted(boxes)
    rows, foreign, first = [], 0, ""
    for image, answer in _answers(path, format):
        try:
            if isinstance(answer, Failed):
                raise answer
            rows += _rows(image, faces_of(answer, format), faces, wanted.get(path_key(image)))
        except Failed as error:
            rows.append({"image": image, "faces": 0, "status": str(error)})
        except NotOne as error:
            foreign += 1
            first = first or f"{image}, which {error}"
            rows.append({"image": image, "faces": 0, "status": f"error: no answer of {format}"})
    if not rows:
        raise BadInput(f"{path} holds no answer: give a folder of json files, or one json file")
    if foreign and not any(row["faces"] for row in rows):
        raise BadInput(f"{path} holds no answer of {format}: the first is that to {first}")
    if foreign:
        warn(
            f"{how_many(foreign, 'answer')} of {path.name} set aside as no answer of {format}: the "
            f"first is that to {first}"
        )
    return _framed(rows)


def _framed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    first = [name for name in ("image", "face", "faces") if name in table]
    said = [name for name in table if name.startswith("predicted_")]
    rest = [name for name in table if name not in (*first, *said, "status")]
    return table[[*first, *said, *rest, "status"]]


def _wanted(boxes: pd.DataFrame | None) -> dict[str, tuple[float, ...]]:
    """Where the labelled face of each photo is."""
    if boxes is None:
        return {}
    check_columns("the boxes", boxes.columns, ("image", *BOX_COLUMNS))
    values = boxes[list(BOX_COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    names = [path_key(str(name)) for name in boxes["image"]]
    return {
        name: tuple(box) for name, box in zip(names, values, strict=True) if np.isfinite(box).all()
    }


def _rows(
    image: str, found: list[Face], faces: str, wanted: tuple[float, ...] | None
) -> list[dict[str, Any]]:
    """The rows of one photo: of all its faces, the largest, or the one that is labelled."""
    chosen = list(range(len(found)))
    if wanted is not None:
        fit = [_overlap(face.box, wanted) for face in found]
        best = int(np.argmax(fit))
        if fit[best] < _FEW_FIT:
            raise Failed("error: no face where the label says")
        chosen = [best]
    elif faces == "largest":
        size = [face.box[2] * face.box[3] if face.box else 0.0 for face in found]
        chosen = [int(np.argmax(size))]
    return [_row(image, place, found[place], len(found)) for place in chosen]


def _row(image: str, place: int, face: Face, count: int) -> dict[str, Any]:
    said = any(value is not None and value == value for value in face.said.values())
    row = {"image": image, "face": place, "faces": count, **face.said}
    if face.box is not None:
        row |= dict(zip(BOX_COLUMNS, face.box, strict=True))
    return row | face.more | {"status": "ok" if said else "no attribute in the answer"}


def _overlap(box: tuple[float, ...] | None, wanted: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    if box is None:
        return 0.0
    width = min(box[0] + box[2], wanted[0] + wanted[2]) - max(box[0], wanted[0])
    height = min(box[1] + box[3], wanted[1] + wanted[3]) - max(box[1], wanted[1])
    both = max(width, 0) * max(height, 0)
    every = box[2] * box[3] + wanted[2] * wanted[3] - both
    return both / every if every > 0 else 0.0


# ---- where answers lie


def _answers(path: Path, make: str) -> Iterator[tuple[str, Any]]:
    """Each photo and what was answered; what cannot be read is a `Failed`."""
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            inside = file.relative_to(path)
            if any(part.startswith(".") for part in inside.parts):  # an editor's or a system's own
                continue
            name = inside.as_posix().removesuffix(".json")
            try:
                yield name, _json(limits.read_bytes(file, limits.JSON), file)
            except BadInput:
                yield name, Failed("error: the answer cannot be read")
        return
    if make == "deepface" and path.suffix.lower() == ".csv":
        yield from deepface_csv(path, _NAMES).items()
        return
    data = limits.read_bytes(path, limits.JSON)
    if path.suffix.lower() in _LINES:
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                try:
                    record = _json(line, f"{path.name} line {number}")
                except BadInput:
                    yield f"line {number}", Failed("error: the answer cannot be read")
                    continue
                yield _record(record, f"line {number}")
        return
    yield from _inside(_json(data, path), path, make)


def _json(data: bytes, what: Any) -> Any:
    """A json document; NaN and Infinity, which Python's own writer makes, are read."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return words.read(data, what, "json")  # which says what is wrong, in a sentence


def _record(record: Any, otherwise: str) -> tuple[str, Any]:
    """A photo's name and its answer out of a record that holds both."""
    if isinstance(record, Mapping):
        name = next((record[key] for key in _NAMES if isinstance(record.get(key), str)), None)
        for key in _ANSWERS:
            if key in record:
                return name or otherwise, record[key]
        if name is not None:
            return name, {key: value for key, value in record.items() if value != name}
    return otherwise, record


def _inside(told: Any, path: Path, make: str) -> Iterator[tuple[str, Any]]:
    """The answers of one document."""
    if _is_answer(told, make):
        yield path.stem, told
    elif isinstance(told, Mapping) and set(_ANSWERS) & set(told) and set(_NAMES) & set(told):
        yield _record(told, path.stem)
    elif isinstance(told, Mapping):
        yield from ((str(name), answer) for name, answer in told.items())
    elif isinstance(told, list):
        for number, one in enumerate(told):
            yield _record(one, str(number))
    else:
        yield path.stem, told


def _is_answer(told: Any, make: str) -> bool:
    """Whether a document is one answer; records with names and lists of answers are none."""
    if isinstance(told, list) and any(
        not isinstance(one, Mapping) or set(_NAMES) & set(one) for one in told
    ):
        return False
    try:
        faces_of(told, make)
    except Failed:
        return isinstance(told, list) or not isinstance(told, Mapping) or "error" in str(told)[:40]
    except NotOne:
        return False
    return True
