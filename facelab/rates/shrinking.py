"""Rates of groups drawn towards their mean, by how little each of them is worth.

In: rates by group and how many independent comparisons they are worth. Out: the rates again, each
between its own estimate and the mean of all.
"""

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_columns
from facelab.rates.indices import EFFECTIVE, TRIES


@as_annotated
def shrunken_rates(rates: pd.DataFrame) -> pd.DataFrame:
    """Every group's rate as what its own estimate and all groups together make likely.

    The highest of many estimates is mostly too high and the lowest too low. An estimate is drawn
    towards the mean of the groups by its share of noise, se^2 / (se^2 + spread^2), where `spread`
    is what standard errors do not explain of the standard deviation between groups (as in
    `fl.disparity`): empirical Bayes (Efron and Morris 1975). Where nothing is left of it, all
    groups get the mean. For a ranking or a map of many small groups; what a single group suffers
    is said by its own rate and interval.

    Parameters
    ----------
    rates
        As `fl.disparity` takes them, with effective numbers of comparisons.

    Returns
    -------
    pandas.DataFrame
        `group`, and for every error the rate, `<error>_shrunken` and `<error>_weight`, the share of
        its own estimate in it. The row `all` is passed over.

    Raises
    ------
    BadInput
        There is no rate of which is known how many independent comparisons it is worth.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(400, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> table = fl.shrunken_rates(audit.rates).set_index("group")
    >>> table.loc["d", ["fmr", "fmr_shrunken", "fmr_weight"]].round(3).tolist()
    [0.015, 0.014, 0.5]
    """
    check_columns("the rates", rates.columns, ("group",))
    groups = rates[rates["group"] != "all"].reset_index(drop=True)
    found = groups[["group"]].copy()
    for error, tries in TRIES.items():
        if {error, EFFECTIVE + tries} <= set(groups.columns):
            rate, number = (groups[name].to_numpy(float) for name in (error, EFFECTIVE + tries))
            weight, mean = _weights(rate, number)
            found[error] = rate
            found[f"{error}_shrunken"] = weight * rate + (1 - weight) * mean
            found[f"{error}_weight"] = weight
    if len(found.columns) == 1:
        raise BadInput(
            "rates are shrunk by how many independent comparisons they are worth: give the rates "
            "of an audit"
        )
    return found


def _weights(rate: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, float]:
    """The share of its own estimate in each group's rate, and the mean of all."""
    known = np.isfinite(rate) & (number > 0)
    if known.sum() < 2:
        return np.where(known, 1.0, np.nan), 0.0
    mean = float((rate[known] * number[known]).sum() / number[known].sum())
    # The noise of a group is told at the mean rate: a group that shows no error is not sure of it.
    noise = np.where(known, mean * (1 - mean) / np.where(known, number, 1), np.nan)
    spread = max(float(np.var(rate[known], ddof=1) - noise[known].mean()), 0.0)
    total = spread + noise
    weight = np.where(total > 0, spread / np.where(total > 0, total, 1), 1.0)
    weight = np.where(known, weight, np.nan)
    if spread > 0:
        mean = float((rate[known] / total[known]).sum() / (1 / total[known]).sum())
    return weight, mean
