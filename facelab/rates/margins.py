"""Equivalence: whether rates were shown to lie within a margin of each other.

In: ratios with intervals, of groups or of changes, and a margin. Out: which of them were shown to
be as good as equal, and a sentence. "No difference found" is not that.
"""

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_columns
from facelab.rates.contrasts import as_ratio

MARGIN = 1.25  # rates within 5:4 of each other


@as_annotated
def equivalence(table: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Which ratios were shown to lie between 1 / margin and margin.

    Two one-sided tests (Schuirmann 1987): a ratio is shown to be as good as 1 where its whole
    interval lies within the margin; with 95 % intervals each of the two tests is one at 2.5 %.
    That several ratios are all within it needs no correction for their number, for each must pass
    (an intersection-union test).

    Parameters
    ----------
    table
        With `ratio`, `ratio_low` and `ratio_high`: `audit.contrasts(correct="none")`, or the table
        of `compare_audits` (or some of its rows).
    margin
        How many times as high a rate may be and still count as equal: above 1, and named before the
        rates were seen.

    Returns
    -------
    pandas.DataFrame
        The rows with `equivalent`: True where it was shown, False where it was not (which is not to
        say that there is a difference).

    Raises
    ------
    BadInput
        A column is missing, or the margin is 1 or below.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(400, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> table = fl.equivalence(audit.contrasts(correct="none"), margin=2)
    >>> table[["group", "reference", "equivalent"]].head(2).values.tolist()
    [['c', 'a', True], ['d', 'a', True]]
    >>> print(fl.equivalence_finding(table, margin=2))
    Shown: all 6 ratios lie within 2 times (d had 1.3 [1, 1.7] times the rate of a).
    """
    check_columns("the table of ratios", table.columns, ("ratio", "ratio_low", "ratio_high"))
    if not (margin > 1 and np.isfinite(margin)):
        raise BadInput(
            f"the margin must be above 1, not {margin}: it is how many times as high a rate may be "
            "and still count as equal"
        )
    low, high = (table[name].to_numpy(float) for name in ("ratio_low", "ratio_high"))
    return table.assign(equivalent=(low >= 1 / margin) & (high <= margin))


@as_annotated
def equivalence_finding(table: pd.DataFrame, margin: float = MARGIN) -> str:
    """Whether all of the ratios were shown to lie within the margin, in a sentence.

    Parameters
    ----------
    table
        What `equivalence` returns.
    margin
        As it was given there.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(400, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"whole": fl.audit(people, "group"), "half": fl.audit(half, "group")}
    >>> changes = fl.compare_audits(arms).table
    >>> rows = fl.equivalence(changes[changes["quantity"] == "fnmr:all"])
    >>> print(fl.equivalence_finding(rows))
    Not shown: fnmr:all was 4.8 [3.9, 5.9] times as high, which is outside 1.25 times.
    """
    if table.empty:
        return "There is nothing to compare."
    within = f"within {margin:g} times"
    if table["equivalent"].all():
        several = f"all {len(table)} ratios lie" if len(table) > 1 else "the ratio lies"
        return f"Shown: {several} {within} ({_widest(table)})."
    rest = table[~table["equivalent"]]
    known = rest[rest["ratio_low"].notna() & rest["ratio_high"].notna()]
    if known.empty:
        return "Not shown: the ratio is unknown."
    outside = known[(known["ratio_low"] > margin) | (known["ratio_high"] < 1 / margin)]
    if len(outside):
        return f"Not shown: {_widest(outside)}, which is outside {margin:g} times."
    return f"Not shown: {_widest(known)}, which may be {within} or not."


def _widest(table: pd.DataFrame) -> str:
    """The ratio that reaches furthest."""
    with np.errstate(divide="ignore"):
        reach = np.maximum(table["ratio_high"], 1 / table["ratio_low"])
    row = table.loc[reach.idxmax()]
    if "quantity" in table:
        return f"{row['quantity']} was {as_ratio(row)} times as high"
    return f"{row['group']} had {as_ratio(row)} times the rate of {row['reference']}"
