"""Tables of predictions as others write them: FairFace's, Actionable Auditing's, any csv.

In: a csv file. Out: a row a face (or a face and vendor), in the words of `analyser.predict`; of
DeepFace's, which have answers in their cells, the answers.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.labelled import says_nothing
from facelab.datasets.fairface import AGES, RACES, unmangled
from facelab.datasets.label_files import read_csv
from facelab.errors import BadInput, how_many, warn

_FACE = re.compile(r"(.+)_face(\d+)(\.\w+)?")
_ORDER = {
    "race": [
        *("white", "black", "latino hispanic", "east asian", "southeast asian", "indian"),
        "middle eastern",
    ],
    "gender": ["male", "female"],
    "age_group": [*("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")],
}
_THEIRS = {"race": "race", "gender": "gender", "age_group": "age"}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
_TYPED = re.compile(r"np\.\w+\(([^()]*)\)")  # as NumPy 2 writes its numbers
_GENDERS = {"male": "male", "female": "female"}
_MARKS = {"true": True, "false": False}


def _table(path: Path, needed: list[str]) -> pd.DataFrame:
    """A csv of text, whose cells may hold line breaks."""
    frame = read_csv(path, needed)
    if frame.empty:
        raise BadInput(f"{path} has no rows")
    return frame.drop(columns=[name for name in frame if name.startswith("Unnamed: ")])


def any_csv(path: Path, columns: Mapping[str, str], faces: str) -> pd.DataFrame:
    """Any csv with some columns renamed; columns of numbers are numbers, empty cells missing."""
    frame = _table(path, list(columns)).rename(columns=dict(columns))
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise BadInput(f"{path} would have two columns {twice[0]!r}: rename another")
    for name in frame:
        text = frame[name].where(frame[name] != "")
        number = pd.to_numeric(text, errors="coerce")
        # Ids with zeros before them are no numbers.
        spelt = text.dropna().str.fullmatch(r"-?0\d+").any()
        frame[name] = text if (number.isna() & text.notna()).any() or spelt else number
    return frame


def deepface_csv(path: Path, names: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """DeepFace's results as pandas saves them: a row a face, by photo where a column names it."""
    frame = _table(path, [])
    if not {"dominant_gender", "dominant_race", "dominant_emotion", "age"} & set(frame):
        raise BadInput(f"{path} has no column that DeepFace writes, such as 'dominant_gender'")
    name = next((name for name in names if name in frame), None)
    image = frame.index.astype(str) if name is None else frame[name]
    answers: dict[str, list[dict[str, Any]]] = {}
    for photo, row in zip(image, frame.to_dict("records"), strict=True):
        said = {key: _opened(cell) for key, cell in row.items() if cell and key != name}
        answers.setdefault(photo, []).append(said)
    return answers


def _opened(cell: str) -> Any:
    """A dict, list or number out of its text; any other text stays as it is."""
    try:
        return ast.literal_eval(_TYPED.sub(r"\1", cell))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell


def fairface_csv(path: Path, columns: Mapping[str, str], faces: str) -> pd.DataFrame:
    """FairFace's predict.py: score vectors in one cell, `name_face0.jpg` a face."""
    frame = _table(path, ["face_name_align"])
    if not set(_THEIRS.values()) & set(frame):
        raise BadInput(f"{path} has none of race, gender and age, as FairFace's predict.py writes")
    parts = frame["face_name_align"].str.extract(_FACE)
    plain = parts[0].isna()
    image = parts[0].fillna("") + parts[2].fillna("")
    table = pd.DataFrame({"image": image.where(~plain, frame["face_name_align"])})
    table["face"] = pd.to_numeric(parts[1]).fillna(0).astype(np.int64)
    table["faces"] = table.groupby("image")["face"].transform("size")
    strange = np.zeros(len(frame), bool)
    for what, theirs in _THEIRS.items():
        if theirs not in frame:
            continue
        known = {"race": RACES, "gender": _GENDERS, "age_group": AGES}[what]
        said = frame[theirs].map(unmangled).str.casefold().map(known)
        strange |= (said.isna() & (frame[theirs] != "")).to_numpy()
        table[f"predicted_{what}"] = said
        if f"{theirs}_scores_fair" in frame:
            scores, damaged = _vectors(frame[f"{theirs}_scores_fair"], len(_ORDER[what]))
            strange |= damaged
            for place, label in enumerate(_ORDER[what]):
                table[f"score_{label}"] = scores[:, place]
    said = [name for name in table if name.startswith("predicted_")]
    nothing = table[said].isna().all(axis=1)
    table["status"] = np.where(strange, "error: damaged row", np.where(nothing, "no face", "ok"))
    if strange.any():
        warn(
            f"{how_many(int(strange.sum()), 'row')} of {path.name} set aside as damaged, first row "
            f"{int(strange.argmax()) + 2}"
        )
    if faces == "all":
        return table
    several = int((table.groupby("image")["face"].size() > 1).sum())
    if several:
        warn(
            f"{how_many(several, 'photo')} of {path.name} showed several faces, whose sizes the "
            'table does not tell: the first is taken; faces="all" gives all'
        )
    return (
        table.sort_values("face", kind="stable")
        .drop_duplicates("image")
        .sort_index(ignore_index=True)
    )


def _vectors(cells: pd.Series, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Score vectors out of text such as "[0.1 0.2\\n 0.7]", and which cells hold none."""
    values, damaged = np.full((len(cells), count), np.nan), np.zeros(len(cells), bool)
    for row, cell in enumerate(cells):
        found = _NUMBER.findall(cell)
        if len(found) == count:
            values[row] = [float(one) for one in found]
        elif cell:
            damaged[row] = True
    return values, damaged


def actionable_auditing(path: Path, columns: Mapping[str, str], faces: str) -> pd.DataFrame:
    """`Gender`, `Binary Fitzpatrick`, and `Classifier <Vendor>` TRUE, FALSE or NA.

    Whether a binary answer was right says what it was. One row a face and vendor.
    """
    frame = _table(path, ["Gender"])
    vendors = [name.removeprefix("Classifier ") for name in frame if name.startswith("Classifier ")]
    if not vendors:
        raise BadInput(f"{path} has no column 'Classifier <Vendor>': as Actionable Auditing has it")
    gender = frame["Gender"].str.casefold().map({**_GENDERS, "f": "female", "m": "male"})
    other = gender.map({"female": "male", "male": "female"})
    tones = {"Binary Fitzpatrick": "skin_tone", "Fitzpatrick Skin Type": "fitzpatrick"}
    told = {mine: frame[theirs].str.casefold() for theirs, mine in tones.items() if theirs in frame}
    parts = []
    for vendor in vendors:
        words = frame[f"Classifier {vendor}"].str.casefold()
        mark = words.map(_MARKS)
        strange = mark.isna() & (words != "") & ~words.map(says_nothing)
        if strange.any():
            raise BadInput(
                f"{path}, 'Classifier {vendor}', holds {words[strange].iloc[0]!r}: it says TRUE "
                "where the answer was right, FALSE where it was wrong and NA where there was none"
            )
        part = pd.DataFrame({"image": np.arange(len(frame)), "vendor": vendor, "gender": gender})
        part = part.assign(**told)
        right = mark.eq(True)
        part["predicted_gender"] = gender.where(right, other).where(mark.notna())
        if f"{vendor} Confidence" in frame:
            part["confidence"] = pd.to_numeric(frame[f"{vendor} Confidence"], errors="coerce")
        part["status"] = np.where(mark.notna(), "ok", "not processed")
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
