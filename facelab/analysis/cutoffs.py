"""Who is called something from which score on, by group: FNR, FPR and precision over thresholds.

In: labels, what was said, and the score of each label. Out: a table of every label, threshold and
group, with what the analyser's own answers are on the same faces.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.analysis.classes import rates_of_class
from facelab.analysis.tallies import People, Places, with_columns

# Finer at both ends, where sure analysers score and where rare errors are decided.
_ENDS = np.array([0.001, 0.002, 0.005, 0.01])
LEVELS = np.unique(np.concatenate([np.linspace(0, 1, 51), _ENDS, 1 - _ENDS]).round(3))


def class_sweep(
    subject: np.ndarray,
    places: Places,
    truth: np.ndarray,
    predicted: np.ndarray,
    scores: Mapping[str, np.ndarray],
    classes: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """Errors of every class that has scores, where a face is called so from a score on.

    Parameters
    ----------
    truth, predicted
        Int (n,) places in `classes`, of processed faces only.
    scores
        By label, float (n,) from 0 to 1. A face without one (NaN) is in no row of this label.

    Returns
    -------
    pandas.DataFrame
        `class threshold group` and the rates and counts of `per_class`. Rows without a threshold
        (NaN) come first: who was called so by the analyser itself.
    """
    parts = []
    for label, score in scores.items():
        place = classes.index(label) if label in classes else -1
        kept = np.isfinite(score)[places.row]
        row, column = places.row[kept], places.column[kept]
        one = _OneClass.of(subject[row], column, truth[row] == place, len(places.names))
        told = [(np.nan, one.rates(predicted[row] == place, confidence))]
        level, before = score[row], -1
        for threshold in LEVELS:
            called = level >= threshold
            number = int(called.sum())
            # As many as before are the same ones.
            rates = told[-1][1] if number == before else one.rates(called, confidence)
            told.append((threshold, rates))
            before = number
        for threshold, rates in told:
            part = with_columns(places.names, **rates)
            part.insert(0, "threshold", threshold)
            part.insert(0, "class", label)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


class _OneClass(NamedTuple):
    """The faces of a class, those of others and both, by person and column."""

    is_so: np.ndarray
    mine: People
    others: People
    both: People

    @classmethod
    def of(cls, who: np.ndarray, column: np.ndarray, is_so: np.ndarray, size: int) -> "_OneClass":
        every = (is_so, ~is_so, slice(None))
        return cls(is_so, *(People.of(who[rows], column[rows], size) for rows in every))

    def rates(self, called: np.ndarray, confidence: float) -> dict[str, np.ndarray]:
        is_so, mine, others, both = self
        return rates_of_class(
            mine.shares(mine.faces, mine.count(~called[is_so]), confidence),
            others.shares(others.faces, others.count(called[~is_so]), confidence),
            both.shares(both.count(called), both.count(called & is_so), confidence),
        )
