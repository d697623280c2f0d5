"""Racial Faces in the Wild (Wang et al. 2019): images of four races, and a pair list for each.

In: `data/R/m.xxx/m.xxx_0001.jpg` and `txts/R/R_pairs.txt` for R in African, Asian, Caucasian,
Indian. Out: a `Reader` with `race`, and one table of pairs with the race of each.
"""

import os
import warnings
from pathlib import Path

import pandas as pd

from facelab.datasets import reader
from facelab.datasets.lfw import MULTIPLE, pair_of
from facelab.datasets.pair_lists import listed_in
from facelab.errors import BadInput

RACES = ("African", "Asian", "Caucasian", "Indian")
FOLDS = 10


def rfw(root: str | os.PathLike, *, partial: bool = False) -> reader.Reader:
    """Read RFW's images.

    Parameters
    ----------
    root
        The folder `data`, or `test` that contains it, or the one above.
    partial
        Go without races whose folder is not there.

    Returns
    -------
    Reader
        `race`: african, asian, caucasian, indian; `image` is `African/m.xxx/m.xxx_0001.jpg`, as
        `rfw_pairs` names it.

    Raises
    ------
    BadInput
        A race's folder is not there, or holds no images.

    Notes
    -----
    A subject that stands in the folders of two races (13 do) is one subject, in none of the single
    groups: its race becomes "multiple", and a note says how many. `rfw_pairs` keeps the race of
    each list.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("data/African/m.01/m.01_0001.jpg", "data/Asian/m.02/m.02_0001.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.rfw(root, partial=True)  # two of the four races
    >>> read.table[["race", "subject"]].values.tolist()
    [['african', 'm.01'], ['asian', 'm.02']]
    """
    root = reader.existing_folder(root)
    places = [root, root / "data", root / "test" / "data"]
    place = next((p for p in places if any((p / race).is_dir() for race in RACES)), root)
    absent = [race for race in RACES if not (place / race).is_dir()]
    if len(absent) == len(RACES) or (absent and not partial):
        raise BadInput(
            f"{place} has no folder {absent[0]}: give RFW's folder `test`, or go without that race "
            "with partial=True"
        )
    table, notes = images_by_race(place)
    overlap = "RFW's subjects are also in MS-Celeb-1M: a model trained on it may have seen them."
    card = reader.card(
        "Racial Faces in the Wild (Wang et al. 2019), from MS-Celeb-1M",
        "non-commercial research use",
        "none: photographs of celebrities from the web, collected by name (MS-Celeb-1M)",
    )
    return reader.Reader("rfw", place, table, card, (*notes, overlap))


def images_by_race(place: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table of `R/subject/image` with `race`, and notes; of the races that are there."""
    rows, races, passed_over = [], [], 0
    for race in RACES:
        found, others = (
            reader.images_by_subject(place / race) if (place / race).is_dir() else ([], 0)
        )
        passed_over += others
        rows += [(path, who, f"{race}/{who}/{path.name}") for path, who in found]
        races += [race.lower()] * len(found)
    if not rows:
        raise BadInput(f"{place} holds no images R/subject/image.jpg for R in {', '.join(RACES)}")
    table = reader.image_table(rows)
    race, notes = one_race_each(pd.Series(races), table["subject"])
    table["race"] = reader.as_categorical(race)
    return table, reader.passed_over_note(passed_over) + notes


def one_race_each(race: pd.Series, subjects: pd.Series) -> tuple[pd.Series, list[str]]:
    """Races with "multiple" for subjects that stand in several, and a sentence if there are any."""
    several = race.groupby(subjects.to_numpy()).transform("nunique") > 1
    if not several.any():
        return race, []
    who = subjects[several]
    note = (
        f"{who.nunique()} subjects stand in more than one race (first {who.iloc[0]}): their "
        f'{several.sum()} images are labelled "{MULTIPLE}", in none of the single groups.'
    )
    return race.mask(several, MULTIPLE), [note]


def rfw_pairs(
    root: str | os.PathLike, table: pd.DataFrame | None = None, *, partial: bool = False
) -> pd.DataFrame:
    """Read RFW's four pair lists.

    Parameters
    ----------
    root
        The folder `txts`, or `test` that contains it, or the one above.
    table
        A table with `image`: every image of the pairs must be in it.
    partial
        Go without races whose list is not there, and leave out pairs with an image that is not in
        `table`, with a warning that counts them.

    Returns
    -------
    pandas.DataFrame
        `fold` (1 to 10, within each race), `mated`, `subject_a`, `subject_b`, `image_a`, `image_b`
        (`African/m.xxx/m.xxx_0001.jpg`, as under `test/data`), `group` ("african", ...), in the
        order of the files. Feed it to `facelab.accuracy_by_group`.

    Raises
    ------
    BadInput
        A list is not there, or a line does not fit: each tenth of a list is n mated lines
        `id n1 n2`, then n non-mated lines `id1 n1 id2 n2` (300 and 300 in RFW).

    Warns
    -----
    UserWarning
        Subjects stand in the lists of two races (13 in RFW's image folders): their comparisons
        count in both, and the two are not independent.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> (root / "African").mkdir()
    >>> with (root / "African" / "African_pairs.txt").open("w") as file:
    ...     for fold in range(10):  # a mated pair and a non-mated one
    ...         print(f"m.0{fold}", 1, 2, file=file)
    ...         print(f"m.0{fold}", 1, f"m.1{fold}", 1, file=file)
    >>> pairs = fl.datasets.rfw_pairs(root, partial=True)  # one of the four races
    >>> len(pairs), pairs["group"].unique().tolist(), pairs["image_b"].iloc[0]
    (20, ['african'], 'African/m.00/m.00_0002.jpg')
    """
    root = reader.existing_folder(root)
    places = [place for place in (root, root / "txts", root / "test" / "txts") if place.is_dir()]
    lists = {
        race: place / race / f"{race}_pairs.txt"
        for place in places
        for race in RACES
        if (place / race / f"{race}_pairs.txt").is_file()
    }
    absent = [race for race in RACES if race not in lists]
    if not lists or (absent and not partial):
        raise BadInput(
            f"{root} holds no {absent[0]}/{absent[0]}_pairs.txt, nor in its txts: give RFW's "
            "folder `test`, or go without that race with partial=True"
        )
    pairs = pd.concat([_read(lists[race], race) for race in sorted(lists)], ignore_index=True)
    sides = [
        pairs[["group", side]].set_axis(["group", "subject"], axis=1)
        for side in ("subject_a", "subject_b")
    ]
    races = pd.concat(sides).drop_duplicates().sort_values(["subject", "group"])
    twice = races[races["subject"].duplicated(keep=False)]
    if len(twice):
        first = twice[twice["subject"] == twice["subject"].iloc[0]]
        warnings.warn(
            f"{twice['subject'].nunique()} subjects stand in the pairs of more than one race "
            f"(first: {first['subject'].iloc[0]} in {' and '.join(first['group'])}): these "
            "races are not independent of each other",
            stacklevel=2,
        )
    return pairs if table is None else listed_in(table, pairs, root, partial)


def _read(path: Path, race: str) -> pd.DataFrame:
    text = path.read_text(encoding="utf-8-sig", errors="backslashreplace")
    lines = [(n, line.split()) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines or len(lines) % (2 * FOLDS):
        raise BadInput(
            f"{path} has {len(lines)} pairs, which do not make {FOLDS} folds of as many mated as "
            "non-mated ones: the file is cut short, or is another list"
        )
    each = len(lines) // (2 * FOLDS)
    pairs = []
    for position, (number, words) in enumerate(lines):
        fold, place = divmod(position, 2 * each)
        mated = place < each
        images = pair_of(words, mated, f"{path} line {number}")
        subjects = words[0], words[0] if mated else words[2]
        names = [f"{race}/{who}/{image}" for who, image in zip(subjects, images, strict=True)]
        pairs.append((fold + 1, mated, *subjects, *names, race.lower()))
    columns = ["fold", "mated", "subject_a", "subject_b", "image_a", "image_b", "group"]
    return pd.DataFrame(pairs, columns=columns)
