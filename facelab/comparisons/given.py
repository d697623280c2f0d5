"""What is handed to comparisons, audits and searches: embeddings, target rates, thresholds.

In: whatever was given. Out: the same, checked; or one sentence that names it and says what to do.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from facelab.comparisons.tiles import LONGEST
from facelab.embedders.embeddings import Embeddings, row_lengths
from facelab.errors import BadInput, a_kind
from facelab.faces.faceset import FaceSet

_ABOVE_ALL = 1.01  # a threshold may lie just above the highest cosine, which rounding raises


def check_kind(value: Any, verb: str, what: str = "embeddings") -> None:
    """Refuse what was taken for embeddings, and say how it becomes them.

    Parameters
    ----------
    value
        What was given.
    verb
        Who wants them: "fl.audit".
    what
        What it calls them.

    Raises
    ------
    BadInput
        It is something else.
    """
    if not isinstance(value, Embeddings):
        raise BadInput(f"{verb} takes {what}, not {_called(value)}: {_remedy(value)}")


def check_faces(value: Any, verb: str) -> None:
    """Refuse what was taken for a FaceSet, and say where one comes from."""
    if not isinstance(value, FaceSet):
        advice = "it takes the pixels themselves" if isinstance(value, Embeddings) else ""
        advice = advice or "fl.load(folder) opens one, fl.prepare(photos, out) makes one"
        raise BadInput(f"{verb} takes faces (a FaceSet), not {_called(value)}: {advice}")


def _called(value: Any) -> str:
    if isinstance(value, FaceSet):
        return f"faces (the FaceSet {value.card.get('name', 'unnamed')!r})"
    return (
        f"the path {os.fspath(value)!r}" if isinstance(value, str | os.PathLike) else a_kind(value)
    )


def _remedy(value: Any) -> str:
    if isinstance(value, FaceSet):
        return "embed them first, fl.load_embedder(...).embed(faces)"
    if isinstance(value, str | os.PathLike):
        return (
            "open it first, fl.Embeddings.load(folder), or fl.Embeddings.from_file(file, table) "
            "for vectors that others computed"
        )
    if hasattr(value, "embed"):
        return "embed faces with it first, embedder.embed(faces)"
    if isinstance(value, Mapping):
        return f"give one of its parts ({', '.join(map(str, value))})"
    return (
        "fl.Embeddings.from_arrays(vectors, table) makes them of vectors and a table, and an "
        "embedder's embed(faces) of faces"
    )


def told(embeddings: Embeddings) -> str:
    """What embeddings are called in a message: of which set, by which embedder."""
    faces, embedder = embeddings.card.get("faces"), embeddings.card.get("embedder")
    name = faces.get("name") if isinstance(faces, Mapping) else None
    of = f" of {name!r}" if name else ""
    return f"the embeddings{of}{f' by {embedder!r}' if embedder else ''}"


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
        raise BadInput(f"{what} must be a DataFrame, not {_called(value)}: {advice}")
    known = list(map(str, value.columns))
    lacking = [name for name in columns if name not in known]
    if lacking:
        raise BadInput(
            f"{what} lack the columns {', '.join(lacking)}; they have: {', '.join(known) or 'none'}"
        )
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
    if _is_number(value) and 0 <= value < 1:
        return float(value)
    hint = ": give a share, such as 0.001"
    percent = _percent(value)
    if percent is not None and 0 <= percent < 100:
        hint = f", which is {argument}={percent / 100:.6g}"
        if _is_number(value):
            hint = f": {percent:g} % is {argument}={percent / 100:.6g}"
    raise BadInput(f"{what} must be at least 0 and below 1, not {value!r}{hint}")


def _is_number(value: Any) -> bool:
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool) and bool(np.isfinite(value))


def _percent(value: Any) -> float | None:
    """What a value says in percent, if it can be read so."""
    if isinstance(value, str):
        sign = 1 if "%" in value else 100
        try:
            return sign * float(value.replace("%", "").replace(",", ".").strip())
        except ValueError:
            return None
    return float(value) if _is_number(value) and value >= 1 else None


def as_cosine(value: Any, what: str = "the threshold") -> float:
    """A threshold of embeddings' scores, which are cosines.

    Raises
    ------
    BadInput
        It is no number from -1 to 1; percents are named as such.
    """
    if _is_number(value) and -1 <= value <= _ABOVE_ALL:
        return float(value)
    percent = _percent(value)
    hint = ""
    if percent is not None and _ABOVE_ALL < percent <= 100:
        hint = " (is it in percent? fl.SimilarityMap turns that into a score)"
    raise BadInput(f"{what} must be a score from -1 to 1, not {value!r}{hint}")
