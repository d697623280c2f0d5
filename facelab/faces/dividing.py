"""Subjects divided into parts that are even over the groups, and how even they came out.

In: a table of subjects, the parts' shares, group columns. Out: each subject's part, and a frame of
what became of each group.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

import numpy as np
import pandas as pd

from facelab.errors import BadInput, how_many, warn
from facelab.faces.groups import SEPARATOR, group_labels, there

Part = TypeVar("Part")
_MOST_NAMED = 3


class Parts(dict[str, Part], Generic[Part]):
    """Parts by name, in the order in which they were asked for.

    Attributes
    ----------
    balance
        DataFrame with a row for every group and part: `column` (or several, joined by "/"),
        `group`, `part`, `subjects`, and `due`, the number that the share comes to.
    """

    balance: pd.DataFrame


def divided(
    subjects: pd.DataFrame, shares: Mapping[str, float], seed: int, by: list[str], leading: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """The number of each subject's part, and the balance of `Parts`.

    Parameters
    ----------
    subjects
        One row a subject.
    shares
        Of the parts, to add up to 1.
    seed
        Of the draw.
    by
        Columns to be even over, the most important first.
    leading
        How many of them, from the first, are the ones that matter: their intersection is told, and
        groups of one subject are warned of.

    Raises
    ------
    BadInput
        The shares are no shares, there are too few subjects, or no such column.
    """
    wanted = np.array(list(shares.values()), dtype=float)
    if not len(wanted) or not (wanted > 0).all() or abs(wanted.sum() - 1) > 1e-9:
        raise BadInput(f"the shares must be positive and add up to 1, not {wanted.sum():g}")
    if len(subjects) < len(wanted):
        people = how_many(len(subjects), "subject")
        raise BadInput(f"{people} cannot be split into {len(wanted)} parts")
    strata = np.zeros(len(subjects), dtype=np.int64)
    labels = {column: group_labels(subjects, column) for column in by}
    for column in labels.values():
        strata = strata * 1000 + column.cat.codes.to_numpy()
        strata = np.unique(strata, return_inverse=True)[1]
    shuffled = np.random.default_rng(seed).permutation(len(subjects))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    # Along the order each subject goes to the part furthest below its due: every run of
    # neighbours (a stratum is one) is shared out within a subject or two of exactly.
    part = np.empty(len(subjects), dtype=np.int64)
    part[order] = _shared_out(wanted.tolist(), len(subjects))
    first = by[:leading]
    if len(first) > 1:
        labels[SEPARATOR.join(first)] = group_labels(subjects, first)
    balance = pd.concat(
        [_balance(name, column, part, shares) for name, column in labels.items()]
        or [pd.DataFrame(columns=["column", "group", "part", "subjects", "due"])],
        ignore_index=True,
    )
    matter = [*first, SEPARATOR.join(first)]
    _warn_of_single(balance[balance["column"].isin(matter)])
    return part, balance


def _balance(
    name: str, labels: pd.Series, part: np.ndarray, shares: Mapping[str, float]
) -> pd.DataFrame:
    groups = labels.cat.categories
    inside = labels.notna().to_numpy()
    counts = np.zeros((len(groups), len(shares)), dtype=np.int64)
    np.add.at(counts, (labels.cat.codes.to_numpy()[inside].astype(int), part[inside]), 1)
    due = counts.sum(axis=1, keepdims=True) * np.array(list(shares.values()))
    return pd.DataFrame(
        {
            "column": name,
            "group": np.repeat(groups.to_numpy(dtype=object), len(shares)),
            "part": list(shares) * len(groups),
            "subjects": counts.ravel(),
            "due": due.ravel(),
        }
    )


def _warn_of_single(balance: pd.DataFrame) -> None:
    there = balance.groupby(["column", "group"], sort=False)["subjects"].sum()
    single = [f"{group} ({column})" for column, group in there.index[there == 1]]
    if single:
        named = ", ".join(single[:_MOST_NAMED]) + (", ..." if len(single) > _MOST_NAMED else "")
        warn(
            f"in {len(single)} of {how_many(len(there), 'group')} there is one subject, whom only "
            f"one part can have: {named}"
        )


def constant_by_subject(subjects: pd.DataFrame, table: pd.DataFrame, by: list[str]) -> None:
    """Refuse columns that are not there, or differ within a subject.

    Parameters
    ----------
    subjects
        The columns that are constant, a row a subject.
    table
        All columns, a row a face.

    Raises
    ------
    BadInput
        One sentence on the first such column.
    """
    for column in by:
        if column not in table.columns:
            raise BadInput(f"there is no column {column!r} to split by{there(table, column)}")
        if column not in subjects.columns:
            several = table.groupby("subject")[column].nunique(dropna=False)
            raise BadInput(
                f"cannot split evenly by {column!r}: it is not constant by subject "
                f"({(several > 1).sum():,} have several, first {several.idxmax()!r})"
            )


def _shared_out(shares: list[float], count: int) -> list[int]:
    """To which part each of `count` goes: always to the one furthest below its due.

    Plain numbers: arrays of two or three would take thirty times as long.
    """
    have, parts = [0] * len(shares), []
    for many in range(1, count + 1):
        missing = [share * many - had for share, had in zip(shares, have, strict=True)]
        part = missing.index(max(missing))
        have[part] += 1
        parts.append(part)
    return parts
