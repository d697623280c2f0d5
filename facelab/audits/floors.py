"""An accuracy floor beside every disparity: what fails everybody alike looks fair.

In: error rates by group. Out: balanced accuracy with its interval, and a sentence where a group's
cannot be told from guessing.
"""

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import check_columns
from facelab.rates.tables import rate_words

_GUESSING = 0.5
_NEEDED = [
    "group",
    *(f"{error}{end}" for error in ("fmr", "fnmr") for end in ("", "_low", "_high")),
]


@as_annotated
def accuracy_floor(rates: pd.DataFrame) -> pd.DataFrame:
    """How much better than guessing a verifier is, for each group.

    Parameters
    ----------
    rates
        Error rates by group, such as `Audit.rates`.

    Returns
    -------
    pandas.DataFrame
        `group accuracy low high better_than_guessing`: balanced accuracy, 1 - (FMR + FNMR) / 2,
        which is 1/2 for whoever guesses, however often he says "match". Its interval is made of
        those of both rates, which are of different comparisons (Donner and Zou 2012, MOVER); a
        rate that has none, since the threshold was set for it, is taken as given.

    Raises
    ------
    BadInput
        The table has no such rates.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> floor = fl.accuracy_floor(fl.audit(people, "group", fmr=0.01).rates)
    >>> floor.round(2)[["group", "accuracy", "better_than_guessing"]].head(1).values.tolist()
    [['all', 0.99, True]]
    """
    check_columns("the rates", rates.columns, _NEEDED)
    fmr, fnmr = (rates[error].to_numpy(np.float64) for error in ("fmr", "fnmr"))
    # FMR is given where the threshold was set for it on this very test.
    ends = {
        f"{error}{end}": rates[f"{error}{end}"].fillna(rates[error]).to_numpy(np.float64)
        for error in ("fmr", "fnmr")
        for end in ("_low", "_high")
    }
    down = np.hypot(ends["fmr_high"] - fmr, ends["fnmr_high"] - fnmr) / 2
    up = np.hypot(fmr - ends["fmr_low"], fnmr - ends["fnmr_low"]) / 2
    accuracy = 1 - (fmr + fnmr) / 2
    low, high = np.maximum(accuracy - down, 0), np.minimum(accuracy + up, 1)
    return pd.DataFrame(
        {
            "group": rates["group"].to_numpy(object),
            "accuracy": accuracy,
            "low": low,
            "high": high,
            "better_than_guessing": low > _GUESSING,
        }
    )


def floor_sentence(rates: pd.DataFrame) -> str:
    """The lowest balanced accuracy, and what follows where it may be guessing; "" if none is known.

    Of groups where there are any, else of everybody.
    """
    floor = accuracy_floor(rates)
    floor = (floor.iloc[1:] if len(floor) > 1 else floor).dropna(subset="accuracy")
    if floor.empty:
        return ""
    row = floor.loc[floor["accuracy"].idxmin()]
    text = (
        f"Balanced accuracy (guessing has 50%) was lowest for {row['group']}: "
        f"{rate_words(row['accuracy'], row['low'], row['high'])}"
    )
    guessed = floor.loc[~floor["better_than_guessing"], "group"].tolist()
    if not guessed:
        return f"{text}."
    return (
        f"{text}; for {', '.join(guessed)} it cannot be told from guessing, and whoever guesses "
        "for everybody looks fair"
    ) + "."
