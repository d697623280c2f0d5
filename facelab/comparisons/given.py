"""What is handed to comparisons, audits and searches: embeddings, target rates, thresholds.

In: whatever was given. Out: the same, checked; or one sentence that names it and says what to do.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from facelab.comparisons.tiles import LONGEST
from facelab.embedders.embeddings import Embeddings, row_lengths
from facelab.embedders.kinds import called, check_kind, told
from facelab.errors import BadInput, check_columns, how_many
from facelab.faces.groups import group_labels

_ABOVE_ALL = 1.01  # a threshold may lie just above the highest cosine, which rounding raises


def check_embeddings(embeddings: Embeddings, verb: str = "a comparison") -> None:
    """Refuse what cannot be compared: fewer than two faces, an image twice, rows not of length 1.

    Raises
    ------
    BadInput
        Names the first bad image.
    """
    check_kind(embeddings, verb)
    table, vectors = embeddings.table, embeddings.vectors
    if len(table) < 2:
        raise BadInput(
            f"a comparison needs two faces; there is {len(table)} in {told(embeddings)}"
            if len(table)
            else f"there are no faces in {told(embeddings)}: a comparison needs two faces"
        )
    if table["subject"].isna().any():
        row = int(np.flatnonzero(table["subject"].isna())[0])
        raise BadInput(f"row {row} has no subject: name who it is or leave the row out")
    images = image_names(table)
    twice = images.duplicated()
    if twice.any():
        name = images[twice].iloc[0]
        raise BadInput(f"image {name!r} is there twice: keep one row an image")
    lengths = row_lengths(vectors)
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= LONGEST - 1))
    if len(bad):
        length = lengths[bad[0]]
        why = f"has length {length:.4g}" if np.isfinite(length) else "is not finite"
        raise BadInput(
            f"the vector of image {images.iloc[bad[0]]!r} (row {bad[0]}) {why}: unit rows are "
            "needed, as Embeddings.from_arrays makes them"
        )


def image_names(table: pd.DataFrame) -> pd.Series:
    """The images' names by row; row numbers where the table does not name them."""
    names = table["image"] if "image" in table.columns else pd.Series(range(len(table)))
    return names.astype(str).reset_index(drop=True)


def check_frame(value: Any, what: str, columns: Sequence[str] = ()) -> None:
    """Refuse what is no table, lacks a column or has one twice; `what` begins the sentence."""
    if not isinstance(value, pd.DataFrame):
        advice = "read it first, pd.read_csv(...)" if isinstance(value, str | os.PathLike) else ""
        advice = advice or "pd.DataFrame(...) makes one"
        raise BadInput(f"{what} must be a DataFrame, not {called(value)}: {advice}")
    check_columns(what, value.columns, columns)
    known = list(map(str, value.columns))
    twice = [name for name in columns if known.count(name) > 1]
    if twice:
        raise BadInput(f"{what} have two columns called {twice[0]!r}: keep one")


def as_share(value: Any, what: str, argument: str) -> float:
    """A target rate, as a share of at least 0 and below 1.

    Parameters
    ----------
    value
        What was given.
    what
        What it is: "the target FMR".
    argument
        The name under which it is given: "fmr".

    Raises
    ------
    BadInput
        It is no number or outside that range; percents are named as such.

    Examples
    --------
    >>> as_share("0.1 %", "the target FMR", "fmr")
    Traceback (most recent call last):
        ...
    facelab.errors.BadInput: the target FMR must be at least 0 and below 1, not '0.1 %', which is
    fmr=0.001
    """
    if is_number(value) and 0 <= value < 1:
        return float(value)
    hint = ": give a share, such as 0.001"
    percent = _percent(value)
    if percent is not None and 0 <= percent < 100:
        hint = f", which is {argument}={percent / 100:.6g}"
        if is_number(value):
            hint = f": {percent:g} % is {argument}={percent / 100:.6g}"
    raise BadInput(f"{what} must be at least 0 and below 1, not {_shown(value)}{hint}")


def is_number(value: Any) -> bool:
    """Whether it is a finite number, of Python's or NumPy's types."""
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool) and bool(np.isfinite(value))


def _shown(value: Any) -> str:
    """Numbers as people write them, whatever type they have; other things as they are."""
    number = isinstance(value, float | np.floating | np.integer)
    return f"{value:.6g}" if number else repr(value)


def _percent(value: Any) -> float | None:
    """What a value says in percent, if it can be read so."""
    if isinstance(value, str):
        sign = 1 if "%" in value else 100
        try:
            return sign * float(value.replace("%", "").replace(",", ".").strip())
        except ValueError:
            return None
    return float(value) if is_number(value) and value >= 1 else None


def as_cosine(value: Any, what: str = "the threshold") -> float:
    """A threshold of embeddings' scores, which are cosines.

    Raises
    ------
    BadInput
        It is no number from -1 to 1; percents are named as such.
    """
    if is_number(value) and -1 <= value <= _ABOVE_ALL:
        return float(value)
    percent = _percent(value)
    hint = ""
    if percent is not None and _ABOVE_ALL < percent <= 100:
        hint = " (is it in percent? fl.SimilarityMap turns that into a score)"
    raise BadInput(f"{what} must be a score from -1 to 1, not {_shown(value)}{hint}")


def people_of(
    table: pd.DataFrame, by: str | list[str] | None
) -> tuple[np.ndarray, pd.Series, list[str]]:
    """Subjects, group labels, and what is to be said about them."""
    subject = table["subject"].astype(str).to_numpy(dtype=object)
    if by is None:
        labels = pd.Series(pd.Categorical([None] * len(table), categories=[]), index=table.index)
        return subject, labels, []
    labels, cautions = group_labels(table, by), []
    missing = int(labels.isna().sum())
    if missing:
        cautions.append(
            f"{missing:,} of {len(table):,} images have no {labels.name} label: they count in "
            "`all` and in no group"
        )
    known = labels.notna().to_numpy()
    kinds = pd.Series(labels.cat.codes.to_numpy()[known]).groupby(subject[known]).nunique()
    mixed = kinds.index[kinds > 1]
    if len(mixed):
        cautions.append(
            f"{how_many(len(mixed), 'subject bears', 'subjects bear')} more than one {labels.name} "
            "label: mated comparisons across labels count in `all` only"
        )
    return subject, labels, cautions
