"""Balanced Faces in the Wild (Robinson et al. 2020): its images, and its pairs with their scores.

In: `asian_females/n000009/0010_01.jpg`, and the csv
`fold,p1,p2,label,id1,id2,att1,att2,vgg16,...,sphereface`. Out: a `Reader` with `race` and `gender`,
and the scores of one column as `facelab.Comparisons.from_scores` takes them.
"""

import os
import re
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import parting_of
from facelab.datasets.walking import people_in, place_of
from facelab.errors import BadInput, first_of, how_many, there_are
from facelab.faces.names import as_names
from facelab.limits import TABLE, check_file, check_text, opened
from facelab.words import encoding

SCORES = ("vgg16", "resnet50", "senet50", "sphereface")
RACES = {"a": "asian", "b": "black", "i": "indian", "w": "white"}
GENDERS = {"f": "female", "m": "male"}
_LABELS = {
    spelling: {"race": race, "gender": gender}
    for r, race in RACES.items()
    for g, gender in GENDERS.items()
    for spelling in (r + g, f"{race}_{gender}s")  # AF, or asian_females, as the table was published
}


@as_annotated
def bfw(root: str | os.PathLike, *, partial: bool = False) -> reader.Reader:
    """Read BFW's images.

    Parameters
    ----------
    root
        The folder that holds the eight folders `asian_females` to `white_males`, or the one above.
    partial
        Go without groups whose folder is not there.

    Returns
    -------
    Reader
        `race` (asian, black, indian, white) and `gender`; `subject` is `n000009`, `image` is
        `asian_females/n000009/0010_01.jpg`, as in the columns p1 and p2 of the pair table.

    Raises
    ------
    BadInput
        A group's folder is not there, no images are found, or a subject stands in two groups.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("asian_females/n000009/0010_01.jpg", "white_males/n000010/0001_01.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.bfw(root, partial=True)  # two of the eight groups
    >>> read.table[["race", "gender", "subject"]].values.tolist()
    [['asian', 'female', 'n000009'], ['white', 'male', 'n000010']]
    """
    root = reader.existing_folder(root)
    folders = {name: label for name, label in _LABELS.items() if "_" in name}
    place = place_of(root, lambda p: any((p / name).is_dir() for name in folders), "BFW") or root
    absent = [name for name in folders if not (place / name).is_dir()]
    if len(absent) == len(folders) or (absent and not partial):
        raise BadInput(
            f"{place} has no folder {absent[0]}: give the folder of BFW's eight groups, or go "
            "without that group with partial=True (--partial)"
        )
    people = people_in([place / name for name in folders if name not in absent], place)
    if not people.photos:
        raise BadInput(f"{place} holds no images such as asian_females/n000009/0010_01.jpg")
    table = reader.image_table(people.photos)
    labels = pd.DataFrame([folders[name.partition("/")[0]] for _, _, name in people.photos])
    group = labels["race"] + " " + labels["gender"]
    mixed = group.groupby(table["subject"]).nunique() > 1
    if mixed.any():
        raise BadInput(
            f"{place} has subject {mixed.idxmax()} in two groups "
            f"({how_many(mixed.sum(), 'such subject')}): BFW has each in one, so find out which is "
            "right"
        )
    for column in ("race", "gender"):
        table[column] = reader.as_categorical(labels[column])
    overlap = "BFW is drawn from VGGFace2: a model trained on that has seen these subjects."
    card = reader.card(
        "Balanced Faces in the Wild (Robinson et al. 2020), from VGGFace2 (withdrawn)",
        "research use",
        "none: photographs of celebrities from a web search; groups as seen by others",
    )
    notes, by = (*people.notes(), overlap), ("race", "gender")
    return reader.Reader("bfw", place, table, card, notes, by=by, without=people.without)


@as_annotated
def bfw_scores(
    path: str | os.PathLike,
    score: str = "sphereface",
    by: str | list[str] = ("race", "gender"),
    *,
    distance: bool = False,
) -> pd.DataFrame:
    """Read BFW's pairs with the scores of one column.

    Parameters
    ----------
    path
        The csv file; 921,379 pairs in the published one.
    score
        The column to take: `vgg16`, `resnet50`, `senet50` or `sphereface` (cosine similarities),
        or a column of your own.
    by
        "race", "gender" or both: what the group labels are made of ("asian/female").
    distance
        The column is a distance, lower = more alike: its negative becomes the score.

    Returns
    -------
    pandas.DataFrame
        `fold score mated subject_a subject_b group_a group_b image_a image_b`, a row a pair. The
        groups are BFW's labels of the photographed, by others.

    Raises
    ------
    BadInput
        A column is not there, a group is unknown, the score column is not numbers, or runs the
        wrong way: mated pairs do not score higher on average than non-mated ones.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "bfw.csv"
    >>> rows = [[1, "1.jpg", "2.jpg", 1, 9, 9, 0.7], [1, "1.jpg", "3.jpg", 0, 9, 8, 0.1]]
    >>> table = pd.DataFrame(rows, columns="fold p1 p2 label id1 id2 sphereface".split())
    >>> table.assign(att1="asian_females", att2="asian_females").to_csv(path, index=False)
    >>> scores = fl.datasets.bfw_scores(path)
    >>> scores[["score", "mated", "group_a"]].values.tolist()
    [[0.7, True, 'asian/female'], [0.1, False, 'asian/female']]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no pair table {path}")
    by = [by] if isinstance(by, str) else list(by)
    if not by or not set(by) <= {"race", "gender"}:
        raise BadInput(f"BFW groups by race, gender or both, not by {first_of(by) or 'nothing'}")
    frame = _columns(path, score)
    group = {spelling: "/".join(label[key] for key in by) for spelling, label in _LABELS.items()}
    result = pd.DataFrame({"fold": frame["fold"], "score": frame[score] * (-1 if distance else 1)})
    result["mated"] = _truth(frame["label"], path)
    for side, number in (("a", "1"), ("b", "2")):
        result[f"subject_{side}"] = as_names(frame[f"id{number}"], f"id{number}")
        label = frame[f"att{number}"].str.strip().str.lower()
        result[f"group_{side}"] = label.map(group)
        unknown = label.notna() & ~label.isin(group)
        if unknown.any():
            raise BadInput(
                f"{path} has att{number} {frame[f'att{number}'][unknown.idxmax()]!r} in row "
                f"{unknown.idxmax()} ({how_many(unknown.sum(), 'such row')}): use AF, AM, BF, BM, "
                "IF, IM, WF, WM or names such as asian_females"
            )
        result[f"image_{side}"] = as_names(frame[f"p{number}"], f"p{number}")
    mated, non_mated = (result["score"][result["mated"] == kind].mean() for kind in (True, False))
    if mated < non_mated:
        what, advice = (
            ("distance", "say distance=True")
            if not distance
            else (
                "similarity",
                "leave distance=True out",
            )
        )
        raise BadInput(
            f"column {score!r} of {path} looks like a {what}: it makes mated pairs less alike "
            f"(mean score {mated:.3g}) than non-mated ones ({non_mated:.3g}); {advice} if it is one"
        )
    return result


def _columns(path: Path, score: str) -> pd.DataFrame:
    """The columns needed, the score as numbers and the others as text."""
    wanted = ["fold", "p1", "p2", "label", "id1", "id2", "att1", "att2", score]
    kinds = dict.fromkeys(wanted, str) | {"fold": "int64", "label": "float64", score: "float64"}
    with opened(path, TABLE) as file:
        kind = encoding(file.read(4))
    if kind.startswith("utf-8"):
        check_text(path, TABLE)
    else:
        check_file(path, TABLE)
    try:
        # Names and spaces in the header are settled first: the big table is then read once.
        with path.open(encoding=kind) as file:
            parting = parting_of(file.readline(), wanted)
        header = pd.read_csv(path, nrows=0, encoding=kind, sep=parting, compression=None).columns
        given = {name.strip(): name for name in header}
        absent = [name for name in wanted if name not in given]
        if absent:
            known = there_are(absent[0], given, "its first line names")
            raise BadInput(f"{path} has no column {absent[0]!r}{known}")
        frame = pd.read_csv(
            path,
            usecols=[given[name] for name in wanted],
            dtype={given[name]: kind for name, kind in kinds.items()},
            encoding=kind,
            sep=parting,
            index_col=False,  # else rows of one cell more than the header come out shifted
            compression=None,
        )
    except BadInput:
        raise
    except (ValueError, pd.errors.ParserError) as error:
        commas = re.search(r"\d,\d", str(error)) and parting != ","
        why = "it has decimal commas: write points" if commas else reader.one_line(error)
        raise BadInput(f"{path} cannot be read as BFW's pair table: {why}") from error
    if not len(frame):
        raise BadInput(f"{path} holds no pairs")
    return frame.rename(columns=str.strip)


def _truth(label: pd.Series, path: Path) -> pd.Series:
    strange = ~label.isin([0, 1])
    if strange.any():
        row = strange.idxmax()
        raise BadInput(f"{path} has label {label[row]:g} in row {row}: give 1 for mated, 0 for not")
    return label == 1
