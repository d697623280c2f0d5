"""Similarity maps: what a vendor's "80 %" means on the scale of the scores.

In: two numbers of a stated curve, or a table of similarities and scores. Out: a map between the two
that can be read either way. "80 %" means nothing by itself: state the map beside every finding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facelab.arguments import as_annotated
from facelab.errors import BadInput


@as_annotated
@dataclass(frozen=True, eq=False)
class SimilarityMap:
    """A strictly rising map between similarity in percent and score.

    Made by `linear`, `logistic` or `table`; straight lines between the knots of a table.

    Attributes
    ----------
    stated
        The map in words, for captions and cards.
    similarities, scores
        float64 (n,): the knots of a table or the two ends of a line, rising; none for a logistic.
    midpoint, slope
        Of a logistic.

    Examples
    --------
    >>> import facelab as fl
    >>> vendor = fl.SimilarityMap.logistic(midpoint=0.4, slope=10)
    >>> round(float(vendor.score(80)), 3), round(float(vendor.similarity(0.4)), 1)
    (0.539, 50.0)
    >>> vendor.stated
    '100 % / (1 + exp(-10 (score - 0.4)))'
    >>> fl.SimilarityMap.table({0: -0.2, 80: 0.3, 99: 0.6}).score(80)
    0.3
    """

    stated: str
    similarities: np.ndarray
    scores: np.ndarray
    midpoint: float = np.nan
    slope: float = np.nan

    @classmethod
    def linear(cls, zero: float = 0.0, hundred: float = 1.0) -> "SimilarityMap":
        """A straight line from the score that is called 0 % to the one that is called 100 %."""
        return cls._of_knots([0, 100], [zero, hundred], f"0 % is {zero:g}, 100 % is {hundred:g}")

    @classmethod
    def logistic(cls, midpoint: float, slope: float) -> "SimilarityMap":
        """similarity = 100 / (1 + exp(-slope (score - midpoint))): the midpoint is called 50 %.

        Raises
        ------
        BadInput
            A slope that is not above 0, or a number that is not finite.
        """
        if not (np.isfinite([midpoint, slope]).all() and slope > 0):
            raise BadInput(
                f"a logistic map needs a finite midpoint and a slope above 0, not {midpoint:g} and "
                f"{slope:g}"
            )
        words = f"100 % / (1 + exp(-{slope:g} (score - {midpoint:g})))"
        return cls(words, np.zeros(0), np.zeros(0), float(midpoint), float(slope))

    @classmethod
    def table(cls, knots: Mapping[float, float]) -> "SimilarityMap":
        """Straight lines between measured points: similarity in percent -> score.

        Raises
        ------
        BadInput
            Fewer than two points, a similarity outside 0..100, a number that is not finite, or
            scores that do not rise with the similarity; the message names the point.
        """
        rising = sorted((float(a), float(b)) for a, b in knots.items())
        words = ", ".join(f"{a:g} % is {b:g}" for a, b in rising)
        return cls._of_knots(*zip(*rising, strict=True) if rising else ([], []), words)

    @classmethod
    def _of_knots(
        cls, similarities: Sequence[float], scores: Sequence[float], words: str
    ) -> "SimilarityMap":
        similarities, scores = (np.array(side, dtype=np.float64) for side in (similarities, scores))
        if len(scores) < 2:
            raise BadInput(f"a similarity table needs two points or more; there is {len(scores)}")
        for a, b in zip(similarities, scores, strict=True):
            if not (0 <= a <= 100 and np.isfinite(b)):
                raise BadInput(
                    f"the point {a:g} % -> {b:g} cannot stand in a similarity table: give "
                    "percent from 0 to 100 and finite scores"
                )
        flat = np.flatnonzero(np.diff(scores) <= 0)
        if len(flat):
            k = int(flat[0])
            raise BadInput(
                f"the similarity table does not rise: {similarities[k]:g} % is {scores[k]:g} but "
                f"{similarities[k + 1]:g} % is {scores[k + 1]:g}"
            )
        return cls(words, similarities, scores)

    def score(self, similarity: float | np.ndarray) -> float | np.ndarray:
        """The score of a similarity in percent: ``map.score(80)`` is the threshold "80 %".

        Raises
        ------
        BadInput
            A similarity that the map does not reach.
        """
        asked = np.asarray(similarity, dtype=np.float64)
        if len(self.scores):
            self._within(asked, self.similarities, "similarity", "%")
            found = np.interp(asked, self.similarities, self.scores)
        else:
            if not ((asked > 0) & (asked < 100)).all():
                raise BadInput("a logistic map reaches no similarity outside 0 % to 100 %")
            found = self.midpoint + np.log(asked / (100 - asked)) / self.slope
        return float(found) if found.ndim == 0 else found

    def similarity(self, score: float | np.ndarray) -> float | np.ndarray:
        """The similarity in percent that a score is sold as.

        Raises
        ------
        BadInput
            A score outside a table.
        """
        asked = np.asarray(score, dtype=np.float64)
        if len(self.scores):
            self._within(asked, self.scores, "score", "")
            found = np.interp(asked, self.scores, self.similarities)
        else:
            found = 100 / (1 + np.exp(-self.slope * (asked - self.midpoint)))
        return float(found) if found.ndim == 0 else found

    def _within(self, asked: np.ndarray, knots: np.ndarray, what: str, unit: str) -> None:
        outside = np.atleast_1d(asked)[~np.atleast_1d((asked >= knots[0]) & (asked <= knots[-1]))]
        if len(outside):
            raise BadInput(
                f"{what} {outside[0]:g}{unit} lies outside the map, which goes from {knots[0]:g} "
                f"to {knots[-1]:g}: extend the map rather than guess"
            )
