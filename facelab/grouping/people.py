"""How many people are on these photos, when nobody says who is on them?

In: embeddings. Out: an estimate that corrects for matches that are missed, and what it rests on.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array

from facelab.arguments import as_annotated
from facelab.audits.overlaps import alike_pairs
from facelab.comparisons.given import check_embeddings
from facelab.embedders.embeddings import Embeddings
from facelab.grouping.clusters import grouping_threshold

STRANGERS = 0.01  # false neighbours of a face, on average
_STEP = 10.0  # how much laxer and stricter the threshold is tried
_FEWEST = 30  # faces with two neighbours, to tell from how many matches are missed
_TRUSTED = 0.85  # least share of matches that are found, to correct for the others


@dataclass(frozen=True)
class PeopleCount:
    """An estimate of the number of people.

    Attributes
    ----------
    people
        The estimate.
    lax, strict
        The estimates with ten times as many and ten times fewer false neighbours: wrong matches
        make the first too low, missed ones the second too high. They are no confidence interval.
    found
        Estimated share of a person's pairs of photos that match at the threshold.
    threshold
        Score from which on two photos match.
    note
        What a reader must know before quoting the estimate; "" for nothing.
    """

    people: float
    lax: float
    strict: float
    found: float
    threshold: float
    note: str

    def __repr__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return (
            f"about {self.people:,.0f} people ({self.lax:,.0f} to {self.strict:,.0f} at laxer and "
            f"stricter thresholds){note}"
        )


@as_annotated
def number_of_people(
    embeddings: Embeddings, threshold: float | None = None, jobs: int | None = None
) -> PeopleCount:
    """Estimate how many people are on the photos, without labels.

    With m photos of a face's person, the number of people is the sum of 1 / m over all faces. Of
    the m - 1 others only a share p match the face. Were misses independent, then with d matches

        p [1 - ((p - 1) / p)^(d + 1)] / (d + 1)

    is an unbiased estimate of 1 / m: it is the integral of ((x - 1 + p) / p)^d from 0 to 1, whose
    mean over d ~ Binomial(m - 1, p) is that of x^(m - 1). For two photos it is the estimator of
    Chen, Shrivastava & Steorts 2018 (Annals of Applied Statistics 12; arXiv 1710.02690, section
    4), here for any number. The share p is the graph's transitivity: of two matches of one face,
    how often do they match each other?

    How wrong it is, measured with the ONNX embedder: 0.3 to 7% on LFW and parts of it, 31% too many
    on rendered faces with six photos a person, of which it misses one match in five. Misses are not
    independent (a bad photo matches none of its person), which p does not see: the estimate is too
    high where an embedder misses much, and of no use where it misses most.

    Parameters
    ----------
    embeddings
        One set; its subjects are not looked at.
    threshold
        Score from which on two photos match: a strict one, by default that at which one face in a
        hundred has a false neighbour (`fl.grouping_threshold`); `lax` and `strict` are then
        missing.
    jobs
        Processes; by default as many as pay off.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(300, images=4)
    >>> count = fl.number_of_people(people, threshold=0.4)
    >>> round(count.people), round(count.found, 2)
    (300, 1.0)
    """
    check_embeddings(embeddings, "fl.number_of_people")
    if threshold is not None:
        people, found, note = _estimate(embeddings, threshold, jobs)
        return PeopleCount(people, np.nan, np.nan, found, threshold, note)
    thresholds = [
        grouping_threshold(embeddings, strangers=STRANGERS * factor)
        for factor in (1, _STEP, 1 / _STEP)
    ]
    (people, found, note), lax, strict = (_estimate(embeddings, t, jobs) for t in thresholds)
    return PeopleCount(people, lax[0], strict[0], found, thresholds[0], note)


def _estimate(
    embeddings: Embeddings, threshold: float, jobs: int | None
) -> tuple[float, float, str]:
    """People, the share of matches that are found, and a note."""
    count = len(embeddings)
    a, b, _ = alike_pairs(embeddings.vectors, threshold, jobs)
    ends = np.concatenate([a, b]), np.concatenate([b, a])
    graph = coo_array((np.ones(len(ends[0]), np.int64), ends), shape=(count, count)).tocsr()
    d = graph.sum(axis=1)
    wedges = int((d * (d - 1)).sum())
    note = ""
    if (d > 1).sum() < _FEWEST:
        found = 1.0
        note = "hardly anybody matches two photos: missed matches are not corrected for"
    else:
        found = float((graph @ graph).multiply(graph).sum() / wedges)
        if found < _TRUSTED:
            note = "many matches are missed: far too high"
    share = max(found, 0.5)  # below, the correction would grow without bound
    return float(one_of(d, share).sum()), found, note


def one_of(d: np.ndarray, p: float) -> np.ndarray:
    """1 / m estimated from d of m - 1 matches, each found with probability p."""
    return p * (1 - ((p - 1) / p) ** (d + 1.0)) / (d + 1)
