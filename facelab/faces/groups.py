"""Groups: the labels that error rates are read by.

In: a table with group columns. Out: one label a row, intersections joined by "/". A row with a
missing key belongs to no group and is never guessed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, first_of, there_are, warn
from facelab.faces.colour import age_group
from facelab.faces.names import as_label_column, as_names
from facelab.faces.spelling import folded

SEPARATOR = "/"
ALL, NO_LABEL = "all", "(no label)"
OWN_NAMES = (ALL, NO_LABEL)  # rows of our tables that are no group
MOST_LABELS = 30  # of a column of numbers, or of one that is shown as groups unasked
# Columns that are known as groups by the names that data sets give them.
GROUP_COLUMNS = frozenset(
    [
        *("phenotype", "race", "ethnicity", "ethnic_group", "race_ethnicity"),
        *("gender", "sex", "age_group", "age_range", "age_bin"),
        *("skin_tone", "skin_type", "fitzpatrick", "monk", "monk_skin_tone", "disability"),
        *("region", "country", "nationality", "continent", "ancestry"),
    ]
)
_AGES = ("age", "ages", "age_years", "age_in_years", "years")


class Labelled(Protocol):
    """What has a table with a row a face: a FaceSet, embeddings."""

    table: pd.DataFrame


def group_keys(by: str | list[str]) -> list[str]:
    """The columns of `by`, given as one name or a list of names."""
    keys = [by] if isinstance(by, str) else list(by)
    if not keys:
        raise BadInput("`by` names no column: give one or more group columns")
    if len(set(keys)) < len(keys):
        raise BadInput(f"`by` names a column twice: {first_of(keys)}")
    return keys


@as_annotated
def group_labels(table: pd.DataFrame, by: str | list[str]) -> pd.Series:
    """One group label a row.

    Parameters
    ----------
    table
        One row a face.
    by
        A column, or several for their intersection: ``["phenotype", "gender"]`` gives labels
        such as ``african/female``.

    Returns
    -------
    pandas.Series
        Categorical labels on the table's index; missing where any key is missing. Categories are
        the labels that occur, in the order of the keys' own categories, sorted otherwise. Years of
        age are put into the groups 0-17, 18-29, 30-44, 45-59 and 60+.

    Raises
    ------
    BadInput
        A column is not in the table (the message lists those that are), holds more different
        numbers than groups can have, or gives a group the name of one of our own rows.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> table = pd.DataFrame({"race": ["asian", "african"], "gender": ["female", "male"]})
    >>> fl.group_labels(table, ["race", "gender"]).tolist()
    ['asian/female', 'african/male']
    """
    keys = group_keys(by)
    for key in keys:
        if key not in table.columns:
            raise BadInput(f"there is no column {key!r} to group by{there(table, key)}")
    parts = [_labels(table[key], key) for key in keys]
    codes = np.zeros(len(table), dtype=np.int64)
    known = np.ones(len(table), dtype=bool)
    for part in parts:
        part_codes = part.codes.astype(np.int64)
        known &= part_codes >= 0
        codes = codes * max(len(part.categories), 1) + part_codes
    present = np.unique(codes[known])
    names = []
    for code in present:
        words = []
        for part in reversed(parts):
            code, here = divmod(int(code), len(part.categories))
            words.append(str(part.categories[here]))
        names.append(SEPARATOR.join(reversed(words)))
    _check_names(names, keys)
    final = np.where(known, np.searchsorted(present, codes), -1)
    labels = pd.Categorical.from_codes(final, categories=pd.Index(names, dtype="str"))
    return pd.Series(labels, index=table.index, name=SEPARATOR.join(keys))


def there(table: pd.DataFrame, wanted: str, but: tuple[str, ...] = ("subject", "image")) -> str:
    """How to end a sentence on a column that is not there: what may be meant, and what there is."""
    columns = [str(name) for name in table.columns if name not in but]
    return there_are(wanted, columns, "the table has")


def _labels(column: pd.Series, key: str) -> pd.Categorical:
    """The labels of one column; years of age in age groups."""
    column = as_label_column(column, key)
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels = column.array
        years = pd.to_numeric(pd.Series(labels.categories, dtype=object), errors="coerce")
        if not _is_age(key) or years.isna().any():
            return labels
        return age_group(years.to_numpy(float)).take(labels.codes, allow_fill=True)
    if _is_age(key):
        return age_group(column.to_numpy(float))
    if column.nunique() <= MOST_LABELS or column.dtype.kind not in "iuf":
        codes, distinct = pd.factorize(column, sort=True)
        return pd.Categorical.from_codes(codes, as_names(distinct, key))
    raise BadInput(
        f"column {key!r} holds {column.nunique():,} different numbers, which are no groups: put "
        f"them into a few first, such as table[{key + '_group'!r}] = pd.cut(table[{key!r}], 4)"
    )


def _is_age(key: str) -> bool:
    return key.lower() in _AGES


def _check_names(names: list[str], keys: list[str]) -> None:
    """Refuse names taken for another group's or our own, and warn of those spelt alike."""
    for name in names:
        if name in OWN_NAMES:
            raise BadInput(
                f"a group of {SEPARATOR.join(keys)} is called {name!r}, which is what tables call "
                "everybody together or those without a label: give it another name"
            )
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise BadInput(
            f"two groups of {' and '.join(keys)} are both called {twice!r}, for labels hold "
            f"{SEPARATOR!r}: write them without"
        )
    alike: dict[str, str] = {}
    for name in names:
        other = alike.setdefault(folded(name), name)
        if other != name:
            warn(f"groups {other!r} and {name!r} are spelt alike: write them alike if they are one")


def known_groups(table: pd.DataFrame, declared: Sequence[str] | None = None) -> list[str]:
    """The columns of a table that are groups because somebody said so.

    A name, a note or a file is no group, however few rows there are: no other column is taken for
    one unless it is asked for by name.

    Parameters
    ----------
    table
        One row a face.
    declared
        The columns that whoever made the table has declared to be groups. None: those that have one
        of the well-known names (`GROUP_COLUMNS`) and at most 30 labels.

    Returns
    -------
    list of str
        In the order of the table; years of age count as a column of age groups where there is none.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"name": ["Ada", "Bea"], "gender": "female", "note": ["x", "y"]})
    >>> known_groups(table)
    ['gender']
    """
    if declared is not None:
        return [name for name in table.columns if name in set(declared)]
    found = [name for name in table.columns if str(name).lower() in GROUP_COLUMNS]
    ages = [name for name in table.columns if _is_age(str(name))]
    if not any(str(name).lower() in ("age_group", "age_range") for name in found):
        found = [name for name in table.columns if name in (*found, *ages[:1])]
    return [name for name in found if _makes_groups(table[name], str(name))]


def groups_of(table: pd.DataFrame, card: Mapping[str, Any]) -> list[str]:
    """The columns of a FaceSet that are groups: as its card says, or by their well-known names."""
    declared = card.get("groups")
    if declared is None and "population_version" in card:  # rendered before cards named groups
        declared = [name for name in table.select_dtypes("category") if name != "twin"]
    return known_groups(table, declared)


def _makes_groups(column: pd.Series, key: str) -> bool:
    try:
        codes = _labels(column, key).codes
        return 1 <= len(np.unique(codes[codes >= 0])) <= MOST_LABELS
    except BadInput:
        return False


@as_annotated
def effective_number(counts: np.ndarray, order: int = 1) -> float:
    """How many equally large groups would be as diverse as groups of these sizes.

    Hill's diversity number (Hill 1973, Ecology 54, equation 3): (sum p^q)^(1/(1-q)) of the shares
    p. Order q = 0 counts the groups, 1 is the exponential of Shannon's entropy (the limit), 2 is
    the inverse of Simpson's index. It is the number of groups when all are of one size, and 1 when
    one group is everybody.

    Parameters
    ----------
    counts
        Size of each group, at least 0; empty groups change nothing.
    order
        q, at least 0: the higher, the less the small groups weigh.

    Raises
    ------
    BadInput
        A size is negative or not a number.

    Examples
    --------
    >>> import facelab as fl
    >>> round(fl.effective_number([50, 50]), 2), round(fl.effective_number([90, 10]), 2)
    (2.0, 1.38)
    """
    counts = np.asarray(counts, dtype=np.float64)
    if not (counts >= 0).all() or order < 0:
        raise BadInput("sizes of groups and the order must be at least 0")
    if not counts.sum():
        return 0.0
    shares = counts[counts > 0] / counts.sum()
    if order == 1:
        return float(np.exp(-(shares * np.log(shares)).sum()))
    return float((shares**order).sum() ** (1 / (1 - order)))
