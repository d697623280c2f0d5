"""What an analyser says beside how raters differ: no label is surer than those who gave it.

In: `raters_<label>` columns, votes or shares of them; labels and scores that were said. Out: a
table by group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from facelab.analysis.labelled import Words
from facelab.analysis.scores import Scores
from facelab.analysis.tallies import Places, means
from facelab.errors import BadInput

PREFIX = "raters_"
_FIGURES = ("agreement", "among_raters", "behind_raters", "majority", "distance")


@dataclass(frozen=True, eq=False)
class Votes:
    """Raters' labels, and float (n, k): votes, or shares; a row without any is NaN."""

    labels: list[str]
    values: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        return self.values / self.values.sum(axis=1, keepdims=True)

    @property
    def among(self) -> np.ndarray:
        """The chance that two raters of a face agree: of votes two others, of shares any two."""
        total = self.values.sum(axis=1)
        pairs = (self.values * (self.values - 1)).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_votes = np.where(total > 1, pairs / (total * (total - 1)), np.nan)
        counted = np.nanmax(total) > 1.5 and not (np.nan_to_num(self.values) % 1).any()
        return of_votes if counted else (self.shares**2).sum(axis=1)


def votes_of(frame: pd.DataFrame) -> Votes | None:
    """The raters' votes that a frame holds, None where it holds none.

    Raises
    ------
    BadInput
        A vote is no number of 0 or more, or there is one label alone.
    """
    columns = [name for name in frame.columns if str(name).startswith(PREFIX)]
    if not columns:
        return None
    labels = [str(name).removeprefix(PREFIX) for name in columns]
    if len(columns) < 2:
        raise BadInput(f"{columns[0]!r} is the only column of votes: give one for every label")
    values = np.empty((len(frame), len(columns)))
    for place, name in enumerate(columns):
        found = pd.to_numeric(frame[name].astype(object), errors="coerce").to_numpy(np.float64)
        wrong = frame[name].notna().to_numpy() & ~(found >= 0)
        if wrong.any() or np.isinf(found).any():
            bad = frame[name][wrong | np.isinf(found)].iloc[0]
            raise BadInput(f"{name!r} holds {str(bad)[:60]!r}: votes are counts or shares, from 0")
        values[:, place] = found
    values[~(np.nansum(values, axis=1) > 0)] = np.nan
    # A label without a vote is often left empty.
    known = np.isfinite(values).any(axis=1)
    values[known] = np.nan_to_num(values[known])
    return Votes(labels, values) if known.any() else None


def beside_raters(
    subject: np.ndarray,
    places: Places,
    said: Sequence[str],
    votes: Votes,
    scores: Scores | None,
    words: Words,
    confidence: float,
) -> pd.DataFrame:
    """How an analyser agrees with raters, by group; all over the faces that have votes.

    Returns
    -------
    pandas.DataFrame
        `group images` and, each with its interval: `agreement`, the mean share of a face's raters
        who say what the analyser says; `among_raters`, the chance that two of them agree;
        `behind_raters`, how much lower the first is than the second: 0 of an analyser that is as
        good as one rater more; `majority`, how often it says what most raters say; `distance`,
        half the sum of differences between its scores and the raters' shares (0 to 1), where there
        are scores.
    """
    keys = [words.key(label) for label in votes.labels]
    shares = votes.shares
    place = {key: number for number, key in enumerate(keys)}
    own = np.array([place.get(words.key(label), -1) for label in said])
    rows = np.arange(len(own))
    agreement = np.where(own >= 0, shares[rows, own], 0.0)
    known = np.isfinite(shares).all(axis=1)
    agreement[~known] = np.nan
    figures = {
        "agreement": agreement,
        "among_raters": votes.among,
        "behind_raters": votes.among - agreement,
        "majority": np.where(known, agreement >= np.nan_to_num(shares).max(axis=1), np.nan),
        "distance": _distance(shares, keys, scores, words),
    }
    row, column, names = places
    table = {"group": names, "images": np.bincount(column, known[row], len(names)).astype(int)}
    for name in _FIGURES:
        value = figures[name][row]
        kept = np.isfinite(value)
        found = means(subject[row][kept], column[kept], value[kept], len(names), confidence)
        least = -1.0 if name == "behind_raters" else 0.0
        table[name] = found.mean
        table[f"{name}_low"] = np.maximum(found.low, least)
        table[f"{name}_high"] = np.minimum(found.high, 1.0)
    return pd.DataFrame(table)


def _distance(
    shares: np.ndarray, keys: list[str], scores: Scores | None, words: Words
) -> np.ndarray:
    """Total variation between scores and shares; a label that one of them lacks has nothing."""
    if scores is None:
        return np.full(len(shares), np.nan)
    of_scores = {words.key(label): place for place, label in enumerate(scores.labels)}
    if not set(of_scores) & set(keys):
        return np.full(len(shares), np.nan)
    lacking = np.zeros(len(shares))
    off = np.zeros(len(shares))
    for key in dict.fromkeys([*keys, *of_scores]):
        one = scores.values[:, of_scores[key]] if key in of_scores else lacking
        other = shares[:, keys.index(key)] if key in keys else lacking
        off += np.abs(one - other)
    return off / 2
