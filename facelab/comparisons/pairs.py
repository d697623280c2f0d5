"""Lists of pairs: whose rows they name, and which of them are mated.

In: a table of pairs as people have them. Out: row numbers, truth values; or one sentence that names
the pair.
"""

import numpy as np
import pandas as pd

from facelab.comparisons import kernels
from facelab.comparisons.given import check_frame, image_names
from facelab.errors import BadInput, how_many, there_are
from facelab.faces.names import as_names
from facelab.faces.spelling import nearly

_MATED = ("true", "1", "yes", "y", "t", "same", "mated", "genuine", "match", "positive")
_NON_MATED = (
    *("false", "0", "-1", "no", "n", "f", "different", "non-mated", "non_mated", "nonmated"),
    *("impostor", "imposter", "mismatch", "non-match", "non_match", "nonmatch", "negative"),
)
TRUTH = dict.fromkeys(_MATED, True) | dict.fromkeys(_NON_MATED, False)


def pair_rows(table: pd.DataFrame, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The two row numbers of each listed pair, given by `row_a, row_b` or `image_a, image_b`."""
    check_frame(pairs, "the pairs")
    if {"row_a", "row_b"} <= set(pairs.columns):
        a, b = (_row_numbers(pairs[side], len(table)) for side in ("row_a", "row_b"))
    elif {"image_a", "image_b"} <= set(pairs.columns):
        a, b = _rows_of_images(image_names(table), pairs)
    else:
        raise BadInput(
            "pairs need the columns row_a, row_b or image_a, image_b"
            f"{there_are('image_a', pairs.columns, 'they have')}"
        )
    if not len(a):
        raise BadInput("the list holds no pairs: give one or more")
    if (a == b).any():
        pair = int(np.flatnonzero(a == b)[0])
        raise BadInput(f"pair {pair} compares a face with itself: leave it out")
    return a, b


def _row_numbers(column: pd.Series, count: int) -> np.ndarray:
    numbers = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(np.float64)
    wrong = ~(np.rint(numbers) == numbers)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BadInput(f"{column.name} of pair {row} is {column.iloc[row]}, which is no row number")
    outside = (numbers < 0) | (numbers >= count)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise BadInput(
            f"{column.name} of pair {row} is {numbers[row]:g}, and rows go from 0 to {count - 1}"
        )
    return numbers.astype(np.int64)


def _rows_of_images(images: pd.Series, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    index = pd.Index(as_names(images, "image"))
    sides = {side: as_names(pairs[side], side) for side in ("image_a", "image_b")}
    for side, names in sides.items():
        if names.isna().any():
            raise BadInput(f"pair {int(np.flatnonzero(names.isna())[0])} has no {side}")
    a, b = (index.get_indexer(names) for names in sides.values())
    unknown = (a < 0) | (b < 0)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        name = sides["image_a" if a[row] < 0 else "image_b"].iloc[row]
        hint = nearly(name, index)
        raise BadInput(
            f"image {name!r} of pair {row} is not among the embeddings "
            f"({how_many(int(unknown.sum()), 'such pair')}): "
            f"{hint + ': spell both alike' if hint else 'embed it or leave the pair out'}"
        )
    return a, b


def pair_scores(vectors: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The scores of listed pairs of rows, float32."""
    return kernels.score_pairs(np.asarray(vectors), a, b)


def truth_of(column: pd.Series) -> np.ndarray:
    """The column `mated` as booleans.

    True and false may be truth values, 1 and 0 (or -1), or the words true/false, yes/no,
    same/different, genuine/impostor, mated/non-mated, match/mismatch.
    """
    if column.dtype == bool:
        return column.to_numpy()
    words = as_names(column, "mated").str.lower()
    truth = words.map(TRUTH)
    if truth.isna().any():
        row = int(np.flatnonzero(truth.isna())[0])
        given = "missing" if pd.isna(words.iloc[row]) else repr(str(column.iloc[row]))
        raise BadInput(
            f"mated is {given} in row {row}: give true or false, 1 or 0, or words such as same and "
            "different, genuine and impostor"
        )
    if {"0", "-1"} <= set(words):
        raise BadInput("mated holds both 0 and -1: say which of them is false")
    return truth.to_numpy(dtype=bool)


def check_truth(
    mated: np.ndarray, same: np.ndarray, subjects: pd.DataFrame, what: str = "row"
) -> None:
    """Refuse what `mated` says where the subjects say otherwise; `subjects` has both by row."""
    wrong = np.flatnonzero(mated != same)
    if not len(wrong):
        return
    if len(wrong) == len(mated) and len(mated) > 1:
        raise BadInput(
            f"in each of the {len(mated):,} {what}s mated says the opposite of the subjects: true "
            "is for one subject twice, turn the column round"
        )
    row = int(wrong[0])
    a, b = subjects.iloc[row]
    raise BadInput(
        f"{what} {row} says mated = {mated[row]}, but its subjects are {a!r} and {b!r} "
        f"({how_many(len(wrong), f'such {what}')}): mend the one or the other"
    )
