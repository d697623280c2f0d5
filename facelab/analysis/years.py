"""Estimated ages held against known ages or bands of age, by group.

In: years that were said, and years or bands that are true. Out: tables of errors, by group and true
age, and of who would pass a check of age.
"""

import re

import numpy as np
import pandas as pd

from facelab.analysis.labelled import coded
from facelab.analysis.tallies import Places, means, shares, with_columns
from facelab.datasets.fairface import unmangled
from facelab.datasets.reader import AGE_GROUPS
from facelab.errors import BadInput
from facelab.faces.names import as_name
from facelab.rates.cautions import FEW_SUBJECTS

_FIRST = np.array([int(re.match(r"\d+", band)[0]) for band in AGE_GROUPS])
_OLDEST = 130.0
_NUMBER = re.compile(r"(-?\d+(?:[.,]\d+)?)\s*(?:y|yr|yrs|years?|years? old)?\.?", re.IGNORECASE)
_BAND = re.compile(r"[\[(]?\s*(\d{1,3})\s*(?:-|–|,|to|\.\.)\s*(\d{1,3})\s*[\])]?")
_OPEN = re.compile(r"(?:more than\s*|over\s*|>=?\s*)(\d{1,3})|(\d{1,3})\s*(?:\+|and over|or more)")
CHECKS = (18, 21, 25, 30)  # estimates from which on a person passes
ADULT = 18


def is_age(name: str) -> bool:
    """Whether a column is called an age: `age`, `true_age`, `trueAge`, `AGE`, but not `image`."""
    return re.search(r"(?<![A-Za-z])age|Age|(?<![A-Z])AGE", name) is not None


def as_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of a column of any kind, and where it holds something that is none."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan), np.isinf(values)
    codes, distinct = coded(column.astype(object))
    values, strange = np.full(len(distinct) + 1, np.nan), np.zeros(len(distinct) + 1, bool)
    for place, value in enumerate(distinct):
        text = str(as_name(value) or "").strip()
        found = _NUMBER.fullmatch(text)
        if found:
            values[place] = float(found[1].replace(",", "."))
        else:
            strange[place] = bool(text)
    return values[codes], strange[codes]


def as_bands(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of known ages: years, or bands such as 20-29, (25, 32), 70+, more than 70.

    Ages in whole years: who is 29 is less than 30, so that the upper end of 20-29 is 30. A known
    year is both ends of itself. Bands that a spreadsheet took for dates (Oct-19) are turned back.

    Returns
    -------
    tuple
        Float (n,): lower and upper ends, NaN where nothing is known.

    Raises
    ------
    BadInput
        A value is no age, or no value lies within a life.
    """
    values, strange = as_numbers(column)
    low, high = values.copy(), values.copy()
    if not strange.any():
        return _within_a_life(low, high, column)
    codes, distinct = coded(column.astype(object).where(strange))
    lows, highs = np.full((2, len(distinct) + 1), np.nan)
    for place, value in enumerate(distinct):
        text = unmangled(str(as_name(value))).strip().casefold()
        band, over = _BAND.fullmatch(text), _OPEN.fullmatch(text)
        if band and int(band[1]) <= int(band[2]):
            lows[place], highs[place] = int(band[1]), int(band[2]) + 1
        elif over:
            lows[place], highs[place] = int(over[1] or over[2]), _OLDEST
        else:
            raise BadInput(
                f"{str(value)[:60]!r} is no age: write years, or bands such as 20-29 or 70+"
            )
    low, high = np.where(strange, lows[codes], low), np.where(strange, highs[codes], high)
    return _within_a_life(low, high, column)


def _within_a_life(
    low: np.ndarray, high: np.ndarray, column: pd.Series
) -> tuple[np.ndarray, np.ndarray]:
    """Of what is called an age: unknown where nobody lives to be that old, such as -1 and 1987."""
    if not is_age(str(column.name)):
        return low, high
    lives = (low >= 0) & (low <= _OLDEST)
    known = np.isfinite(low)
    if known.any() and not lives.any():
        raise BadInput(
            f"{column.name!r} holds {low[known][0]:g} and no number from 0 to {_OLDEST:g}: give "
            "ages in years"
        )
    return np.where(lives, low, np.nan), np.where(lives, high, np.nan)


def distance(said: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Years by which an estimate lies above (or, negative, below) what is true; 0 within a band."""
    return np.where(said < low, said - low, np.where(said > high, said - high, 0.0))


def age_rates(
    subject: np.ndarray,
    places: Places,
    processed: np.ndarray,
    off: np.ndarray,
    inside: np.ndarray | None,
    confidence: float,
) -> pd.DataFrame:
    """Errors of estimates by group: MAE, bias, RMSE, CS@5 and CS@10, and who is not processed.

    Parameters
    ----------
    off
        Float (n,): estimate less truth (of a band: less its nearer end, 0 inside).
    inside
        Bool (n,): whether the estimate lies in the true band; None where years are known.
    """
    row, column, names = places
    size = len(names)
    failed = shares(subject[row], column, ~processed[row], size, confidence)
    kept = processed[row]
    who, place, years = subject[row][kept], column[kept], off[row][kept]
    size_of = means(who, place, np.abs(years), size, confidence)
    square = means(who, place, years**2, size, confidence)
    root = {name: np.sqrt(np.maximum(value, 0)) for name, value in square.columns("rmse").items()}
    table = with_columns(
        names,
        subjects=failed.subjects,
        images=failed.sums.comparisons.astype(np.int64),
        processed=size_of.count,
        unprocessed=failed.sums.errors.astype(np.int64),
        **failed.columns("unprocessed_rate"),
        **size_of.columns("mae"),
        **means(who, place, years, size, confidence).columns("bias"),
        **root,
        **shares(who, place, np.abs(years) <= 5, size, confidence).columns("cs5"),
        **shares(who, place, np.abs(years) <= 10, size, confidence).columns("cs10"),
    )
    if inside is not None:
        within = shares(who, place, inside[row][kept], size, confidence)
        for name, value in within.columns("in_band").items():
            table[name] = value
    table["note"] = [
        f"few subjects ({n}): intervals are rough" if n < FEW_SUBJECTS else ""
        for n in table["subjects"]
    ]
    table["effective_images"] = failed.effective
    return table


def by_true_age(
    subject: np.ndarray,
    places: Places,
    off: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    confidence: float,
) -> pd.DataFrame:
    """MAE and bias by group and true age; a band of ages counts where its middle lies."""
    row, column, names = places
    middle = np.where(high >= _OLDEST, low, (low + high) / 2)
    band = np.clip(np.searchsorted(_FIRST, middle, "right") - 1, 0, len(AGE_GROUPS) - 1)
    key, size = column * len(AGE_GROUPS) + band[row], len(names) * len(AGE_GROUPS)
    who = subject[row]
    found = means(who, key, np.abs(off[row]), size, confidence)
    where = np.indices((len(names), len(AGE_GROUPS))).reshape(2, -1)
    table = pd.DataFrame(
        {
            "group": np.array(names, object)[where[0]],
            "true_age": np.array(AGE_GROUPS, object)[where[1]],
            "subjects": found.subjects,
            "images": found.count,
            **found.columns("mae"),
            **means(who, key, off[row], size, confidence).columns("bias"),
        }
    )
    return table[table["images"] > 0].reset_index(drop=True)


def challenges(
    subject: np.ndarray,
    places: Places,
    said: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    confidence: float,
) -> pd.DataFrame:
    """Checks of age (NIST's Challenge-25): who passes under age, and who is stopped of age.

    Everybody estimated at `check` years or more passes. `passed` is the share of those under 18 who
    do, `stopped` that of those of 18 or over who do not. Bands that hold both are left out.
    """
    row, column, names = places
    # Of a known year both ends are that year, which a person has from its birthday on.
    young = np.where(low == high, high < ADULT, high <= ADULT)
    adult = low >= ADULT
    parts = []
    for check in CHECKS:
        passes = said >= check
        kept, old = young[row], adult[row]
        through = shares(
            subject[row][kept], column[kept], passes[row][kept], len(names), confidence
        )
        stopped = shares(subject[row][old], column[old], ~passes[row][old], len(names), confidence)
        parts.append(
            with_columns(
                names,
                check=np.full(len(names), check),
                under_18=through.sums.comparisons.astype(np.int64),
                **through.columns("passed"),
                of_age=stopped.sums.comparisons.astype(np.int64),
                **stopped.columns("stopped"),
            )
        )
    return pd.concat(parts, ignore_index=True)
