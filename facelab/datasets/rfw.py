"""Racial Faces in the Wild (Wang et al. 2019): images of four races, and a pair list for each.

In: `data/R/m.xxx/m.xxx_0001.jpg` and `txts/R/R_pairs.txt` for R in African, Asian, Caucasian,
Indian. Out: a `Reader` with `race`, and one table of pairs with the race of each.
"""

import os
from pathlib import Path

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import read_text
from facelab.datasets.lfw import MULTIPLE, pair_of
from facelab.datasets.pair_lists import listed_in
from facelab.datasets.walking import people_in, place_of
from facelab.errors import BadInput, how_many, warn
from facelab.faces.names import as_name

RACES = ("African", "Asian", "Caucasian", "Indian")
FOLDS = 10


@as_annotated
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
    place = place_of(root, _has_races, "RFW's images") or root
    absent = [race for race in RACES if not (place / race).is_dir()]
    if len(absent) == len(RACES) or (absent and not partial):
        raise BadInput(
            f"{place} has no folder {absent[0]}: give RFW's folder `test`, or go without that race "
            "with partial=True (--partial)"
        )
    table, notes, without = images_by_race(place)
    overlap = "RFW's subjects are also in MS-Celeb-1M: a model trained on it may have seen them."
    card = reader.card(
        "Racial Faces in the Wild (Wang et al. 2019), from MS-Celeb-1M",
        "non-commercial research use",
        "none: photographs of celebrities from the web, collected by name (MS-Celeb-1M)",
    )
    notes = (*notes, overlap)
    return reader.Reader("rfw", place, table, card, notes, by=("race",), without=without)


def _has_races(place: Path) -> bool:
    """Whether it holds a race's folder that holds folders; the lists' folders hold files."""
    return any(any(inside.is_dir() for inside in (place / race).glob("*")) for race in RACES)


def images_by_race(place: Path) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """The table of `R/subject/image` with `race`, notes, and who has no photo; of the races that
    are there."""
    people = people_in([place / race for race in RACES if (place / race).is_dir()], place)
    if not people.photos:
        raise BadInput(f"{place} holds no images R/subject/image.jpg for R in {', '.join(RACES)}")
    table = reader.image_table(people.photos)
    race = pd.Series([name.partition("/")[0].lower() for _, _, name in people.photos])
    race, notes = one_race_each(race, table["subject"])
    table["race"] = reader.as_categorical(race)
    return table, people.notes() + notes, people.without


def one_race_each(race: pd.Series, subjects: pd.Series) -> tuple[pd.Series, list[str]]:
    """Races with "multiple" for subjects that stand in several, and a sentence if there are any."""
    several = race.groupby(subjects.to_numpy()).transform("nunique") > 1
    if not several.any():
        return race, []
    note = (
        f"{how_many(subjects[several].nunique(), 'subject stands', 'subjects stand')} in more than "
        f'one race: their {several.sum()} images are labelled "{MULTIPLE}", in none of the single '
        "groups."
    )
    return race.mask(several, MULTIPLE), [note]


@as_annotated
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

    def lists_in(place: Path) -> dict[str, Path]:
        paths = {race: place / race / f"{race}_pairs.txt" for race in RACES}
        return {race: path for race, path in paths.items() if path.is_file()}

    lists = lists_in(place_of(root, lambda place: bool(lists_in(place)), "RFW's pairs") or root)
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
        stand = how_many(twice["subject"].nunique(), "subject stands", "subjects stand")
        races = " and ".join(sorted(set(twice["group"])))
        warn(
            f"{stand} in the pairs of more than one race ({races}): these races are not "
            "independent of each other"
        )
    return pairs if table is None else listed_in(table, pairs, root, partial)


def _read(path: Path, race: str) -> pd.DataFrame:
    text = read_text(path)
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
        subjects = as_name(words[0]), as_name(words[0] if mated else words[2])
        names = [f"{race}/{who}/{image}" for who, image in zip(subjects, images, strict=True)]
        pairs.append((fold + 1, mated, *subjects, *names, race.lower()))
    columns = ["fold", "mated", "subject_a", "subject_b", "image_a", "image_b", "group"]
    return pd.DataFrame(pairs, columns=columns)
