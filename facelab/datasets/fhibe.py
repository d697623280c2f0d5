"""FHIBE, the Fair Human-Centric Image Benchmark (Sony AI, Nature 2025): paid, consenting people.

In: a release as it unpacks (`fhibe.20250716..._downsampled_public/data/raw`, `data/processed`), its
faces cropped and aligned, with what the people have said of themselves. Out: a `Reader` that keeps
the day of the release: people withdraw, and older releases still hold them.
"""

import ast
import os
import re
from datetime import date
from pathlib import Path, PurePosixPath

import pandas as pd

from facelab import limits
from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import label_file
from facelab.datasets.walking import place_of
from facelab.errors import BadInput, how_many, there_are

CSV = "fhibe_face_crop_align.csv"
_PROCESSED = "data/processed/fhibe_face_crop_align"
_NEEDED = ("filepath", "subject_id", "age", "pronoun", "ancestry", "apparent_skin_color")
_PLAIN = (
    *("natural_skin_color", "nationality", "location_country", "lighting", "camera_distance"),
    *("camera_position", "head_pose", "hairstyle", "facial_hairstyle", "facial_marks"),
)
_CONTINENTS = ("africa", "americas", "asia", "europe", "oceania")
_GROUPS = ("age_group", "pronoun", "ancestry", "ancestry_region", "apparent_skin_color")
_OLD = 45  # days; a new release comes every month
_NUMBERED = re.compile(r"^\d+\.\s*")
_RELEASE = re.compile(r"fhibe\.(\d{4})(\d{2})(\d{2})")


@as_annotated
def fhibe(
    root: str | os.PathLike,
    labels: str | os.PathLike | None = None,
    *,
    released: date | str | None = None,
    partial: bool = False,
) -> reader.Reader:
    """Read the faces of FHIBE, cropped and aligned.

    Parameters
    ----------
    root
        The folder of a release, or one above it.
    labels
        The csv; by default `fhibe_face_crop_align.csv` where a release has it.
    released
        The day of the release; by default that in the name of its folder (`fhibe.20250716...`).
    partial
        Let the csv name images that are not there.

    Returns
    -------
    Reader
        `subject`; `age` (years), `age_group`, `pronoun` (she, he, they), `ancestry` (continent) and
        `ancestry_region`, nationality, natural skin colour and hair as people say of themselves;
        apparent skin colour (six shades, 0 the darkest), light, camera and pose as annotators see
        them. Where somebody gave several values they stand in one label, joined by " + ". The
        card's `release` is its day.

    Raises
    ------
    BadInput
        A column is missing, a cell holds no such value, an image lies outside `root`, or images are
        missing.

    Notes
    -----
    FHIBE is for evaluation. Its people may withdraw at any time and are taken out in the next
    monthly release: a note says when a release is older than 45 days.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp()) / "fhibe.20250716.u_downsampled_public"
    >>> place = root / "data/processed/fhibe_face_crop_align"
    >>> place.mkdir(parents=True)
    >>> (root / "ada.png").touch()
    >>> told = {"filepath": ["ada.png"], "subject_id": "ada", "age": 31}
    >>> told |= {"pronoun": "['0. She/her/hers', '2. They/them/their']"}
    >>> told |= {"ancestry": "['0. Africa', '2. Eastern Africa']"}
    >>> told |= {"apparent_skin_color": "1. [136, 105, 81]"}
    >>> pd.DataFrame(told).to_csv(place / "fhibe_face_crop_align.csv", index=False)
    >>> read = fl.datasets.fhibe(root)
    >>> read.card["release"], read.table[["pronoun", "ancestry_region"]].values.tolist()
    ('2025-07-16', [['she + they', 'eastern africa']])
    """
    root = reader.existing_folder(root)
    place = place_of(root, lambda folder: (folder / _PROCESSED).is_dir(), "FHIBE") or root
    source = label_file(labels, [CSV], place / _PROCESSED, place)
    if source is None:
        raise BadInput(f"{root} holds no {_PROCESSED}/{CSV}: give the folder of a release")
    frame = _read(source)
    paths = [_inside(name, place, source, row) for row, name in enumerate(frame["filepath"], 2)]
    there = pd.Series([path.is_file() for path in paths])
    if not there.all() and not (partial and there.any()):
        absent = frame["filepath"][~there].iloc[0]
        raise BadInput(
            f"{source} names {absent!r}, which is not there ({(~there).sum()} of its {len(frame)} "
            "rows): complete the images, or say partial=True (--partial) if only a part is here"
        )
    notes = [f"{how_many(int((~there).sum()), 'row')} of {source.name} have no image here."]
    notes *= not there.all()
    kept, frame = [path for path in paths if path.is_file()], frame[there].reset_index(drop=True)
    names = [path.relative_to(place).as_posix() for path in kept]
    table = reader.image_table(list(zip(kept, frame["subject_id"], names, strict=True)))
    notes += _labels(table, frame, source)
    released = _released(place, released)
    notes += _of_release(released)
    card = reader.card(
        "FHIBE (Xiang et al. 2025, Sony AI)",
        "FHIBE terms of use: evaluation, no training but to reduce bias",
        "paid participants who agreed and may withdraw; most labels are their own",
    )
    card["release"] = released.isoformat() if released else "not stated"
    return reader.Reader("fhibe", place, table, card, tuple(notes), by=_GROUPS)


def _read(source: Path) -> pd.DataFrame:
    """The columns that are used: the others, keypoints and masks, are most of the file."""
    if not source.is_file():
        raise FileNotFoundError(f"there is no label file {source}")
    limits.check_text(source, limits.TABLE)
    try:
        with limits.opened(source, limits.TABLE) as file:
            frame = pd.read_csv(
                file, usecols=lambda name: name in (*_NEEDED, *_PLAIN), dtype="str",
                keep_default_na=False, index_col=False,
            )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{source} cannot be read as a csv file: {reader.one_line(error)}"
        ) from error
    for column in _NEEDED:
        if column not in frame:
            raise BadInput(f"{source} has no column {column!r}{there_are(column, frame, 'it has')}")
    if frame.empty:
        raise BadInput(f"{source} has no rows")
    return frame


def _inside(name: str, place: Path, source: Path, row: int) -> Path:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise BadInput(f"{source} line {row} has the path {name!r}, which lies outside {place}")
    return place / path


def _labels(table: pd.DataFrame, frame: pd.DataFrame, source: Path) -> list[str]:
    """Add the labels; sentences on those of several values."""
    ages = pd.to_numeric(frame["age"], errors="coerce")
    strange = ages.isna() & (frame["age"] != "")
    if strange.any():
        row = int(strange.to_numpy().argmax())
        raise BadInput(f"{source} line {row + 2} has age {frame['age'][row]!r}: write whole years")
    years = [str(int(age)) for age in sorted(ages.dropna().unique())]
    table["age"] = pd.Categorical(ages.map(lambda x: str(int(x)), na_action="ignore"), years)
    table["age_group"] = reader.age_groups(ages)
    values = {
        name: [
            _values(cell, f"{source} line {row} has {name}") for row, cell in enumerate(cells, 2)
        ]
        for name, cells in frame.items()
        if name not in ("filepath", "subject_id", "age")
    }
    values["pronoun"] = [[one.partition("/")[0] for one in cell] for cell in values["pronoun"]]
    told = values.pop("ancestry")
    values["ancestry"] = [[one for one in cell if one in _CONTINENTS] for cell in told]
    values["ancestry_region"] = [[one for one in cell if one not in _CONTINENTS] for cell in told]
    notes = []
    for name, cells in values.items():
        table[name] = reader.as_categorical(pd.Series([" + ".join(cell) for cell in cells]))
        several = sum(len(cell) > 1 for cell in cells)
        if several and name in _GROUPS:
            notes.append(
                f"{how_many(several, 'image has', 'images have')} several values of {name}, "
                'which stand in one label, joined by " + ".'
            )
    return notes


def _values(cell: str, where: str) -> list[str]:
    """What a cell says: "['11. Asia', '12. ...']", "2. [164, 131, 103]", "Kenya"."""
    text = cell.strip()
    if not text.startswith("["):
        plain = _NUMBERED.sub("", text)
        # Of a colour the number is kept: it says which of six shades, from the darkest.
        words = text.replace(".", "", 1) if plain.startswith("[") else plain
        words = words.replace("[", "(").replace("]", ")").casefold()
        return [words] if words else []
    try:
        told = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        told = None
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise BadInput(f"{where} {text[:60]!r}, which is no list of values")
    return [_NUMBERED.sub("", one.strip()).casefold() for one in told if one.strip()]


def _released(place: Path, given: date | str | None) -> date | None:
    if isinstance(given, str):
        try:
            return date.fromisoformat(given)
        except ValueError:
            raise BadInput(f"released is a day such as 2025-07-16, not {given!r}") from None
    if given is not None:
        return given
    for name in (place.name, place.parent.name):
        found = _RELEASE.match(name)
        if found:
            year, month, day = map(int, found.groups())
            try:
                return date(year, month, day)
            except ValueError:
                return None
    return None


def _of_release(released: date | None) -> list[str]:
    advice = (
        "people withdraw, and are taken out every month: get the newest from "
        "fairnessbenchmark.ai.sony before you go on."
    )
    if released is None:
        return [f"Nothing says of which release these files are (released=, --released): {advice}"]
    age = (date.today() - released).days
    return [f"This release of FHIBE is {age} days old ({released}): {advice}"] * (age > _OLD)
