"""Protocols: how a published pair list is scored, so that numbers can stand beside published ones.

In: scores of listed pairs and their folds. Out: accuracy with its spread over folds. This is not an
error rate at a global threshold: report both, and say which is which.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from facelab.comparison import check_embeddings, pair_rows, pair_scores, truth_of
from facelab.embeddings import Embeddings
from facelab.errors import BadInput


@dataclass(frozen=True, eq=False)
class PairAccuracy:
    """Accuracy over the folds of a pair list.

    Attributes
    ----------
    mean
        Mean accuracy over the folds, 0 to 1.
    std
        Standard deviation over the folds, with `ddof`.
    ddof
        Delta degrees of freedom of `std`: 0, as the published figures use.
    folds
        One row a fold: `fold pairs threshold accuracy`.
    """

    mean: float
    std: float
    ddof: int
    folds: pd.DataFrame

    def __str__(self) -> str:
        return f"{self.mean:.2%} +- {self.std:.2%} (std over {len(self.folds)} folds, ddof 0)"


def pair_accuracy(scores: Embeddings | np.ndarray, pairs: pd.DataFrame) -> PairAccuracy:
    """The unshuffled k-fold protocol of LFW, CFP-FP, AgeDB and RFW.

    The threshold of a fold is the one with the highest accuracy on the other folds, among their
    scores and "above all of them"; of equally good ones the lowest.

    Parameters
    ----------
    scores
        Embeddings, or one score a pair, higher = more alike.
    pairs
        `fold` and `mated`, and with embeddings `image_a`, `image_b` or `row_a`, `row_b`.

    Raises
    ------
    BadInput
        A column is missing, there are fewer than two folds, the lengths differ, a score is not a
        number, an image is not among the embeddings.
    """
    lacking = [name for name in ("fold", "mated") if name not in pairs.columns]
    if lacking:
        raise BadInput(f"the pairs lack the columns {', '.join(lacking)}")
    if isinstance(scores, Embeddings):
        check_embeddings(scores)
        scores = pair_scores(scores.vectors, *pair_rows(scores.table, pairs))
    scores = np.asarray(scores)
    if scores.shape != (len(pairs),):
        raise BadInput(f"{len(pairs)} pairs need as many scores, not an array {scores.shape}")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise BadInput(f"the score of pair {row} is not a finite number")
    mated, fold = truth_of(pairs["mated"]), pairs["fold"].to_numpy()
    names = pd.unique(fold)
    if len(names) < 2:
        raise BadInput(f"the protocol needs two folds or more; there is {len(names)}")
    rows = []
    for name in names:
        here = fold == name
        threshold = _best_threshold(scores[~here], mated[~here])
        accuracy = float(np.mean((scores[here] >= threshold) == mated[here]))
        rows.append((name, int(here.sum()), threshold, accuracy))
    folds = pd.DataFrame(rows, columns=["fold", "pairs", "threshold", "accuracy"])
    return PairAccuracy(
        float(folds["accuracy"].mean()), float(folds["accuracy"].std(ddof=0)), 0, folds
    )


def _best_threshold(scores: np.ndarray, mated: np.ndarray) -> float:
    """The lowest of the most accurate thresholds; infinite when rejecting everything is best."""
    values, place = np.unique(scores, return_inverse=True)
    gain = np.bincount(place, np.where(mated, 1, -1), minlength=len(values))
    # Accepting from a value upwards gains the mated scores there and loses the non-mated ones.
    accepted = np.append(np.cumsum(gain[::-1])[::-1], 0)
    best = int(np.argmax(accepted))
    return float(values[best]) if best < len(values) else float("inf")
