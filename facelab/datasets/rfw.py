"""The pair lists of Racial Faces in the Wild (Wang et al. 2019): one a race, ten folds each.

In: `txts/R/R_pairs.txt` for R in African, Asian, Caucasian, Indian. Out: one table of pairs with
the race of each.
"""

import os
import warnings
from pathlib import Path

import pandas as pd

from facelab.datasets.lfw import pair_of
from facelab.datasets.pair_lists import listed_in
from facelab.datasets.reader import existing_folder
from facelab.errors import BadInput

RACES = ("African", "Asian", "Caucasian", "Indian")
FOLDS = 10


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
    """
    root = existing_folder(root)
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
