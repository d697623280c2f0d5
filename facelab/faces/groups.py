"""Groups: the labels that error rates are read by.

In: a table with group columns. Out: one label a row, intersections joined by "/". A row with a
missing key belongs to no group and is never guessed.
"""

from typing import Protocol

import numpy as np
import pandas as pd

from facelab.errors import BadInput

SEPARATOR = "/"


class Labelled(Protocol):
    """What has a table with a row a face: a FaceSet, embeddings."""

    table: pd.DataFrame


def group_keys(by: str | list[str]) -> list[str]:
    """The columns of `by`, given as one name or a list of names."""
    keys = [by] if isinstance(by, str) else list(by)
    if not keys:
        raise BadInput("`by` names no column: give one or more group columns")
    if len(set(keys)) < len(keys):
        raise BadInput(f"`by` names a column twice: {', '.join(keys)}")
    return keys


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
        the labels that occur, in the order of the keys' own categories, sorted otherwise.

    Raises
    ------
    BadInput
        A column is not in the table; the message lists the columns there are.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> table = pd.DataFrame({"race": ["asian", "african"], "gender": ["female", "male"]})
    >>> fl.group_labels(table, ["race", "gender"]).tolist()
    ['asian/female', 'african/male']
    """
    import pandas as pd

    keys = group_keys(by)
    for key in keys:
        if key not in table.columns:
            known = ", ".join(c for c in table.columns if c not in ("subject", "image"))
            raise BadInput(f"there is no column {key!r} to group by; the table has: {known}")
    parts = [_categorical(table[key]) for key in keys]
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
    final = np.where(known, np.searchsorted(present, codes), -1)
    labels = pd.Categorical.from_codes(final, categories=pd.Index(names, dtype="str"))
    return pd.Series(labels, index=table.index, name=SEPARATOR.join(keys))


def _categorical(column: pd.Series) -> pd.Categorical:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.array
    return pd.Categorical(column)


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
