"""People who may stand in two sets under different names, suspected by score.

In: two sets of vectors with names. Out: pairs of names, surest first; sentences. Nobody is taken
out: an embedder errs, and relatives look alike.

Each subject is one vector, the mean of its images. What is looked at is the score less how near
both are to everybody (the mean of the second to eleventh best scores; Conneau et al. 2018 call it
CSLS), for some people resemble many and some groups are alike. A pair is suspected where each is
the other's best and the value is higher than the best values within either set, of people who do
have different names, let expect: their quantiles give the tail of a Gumbel law, and 2 in 100 pairs
of sets without a person in common are to have a suspect by chance.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from facelab.embedders.embeddings import Embeddings
from facelab.errors import how_many, warn

CHANCE = 0.02  # that two sets without a person in common have a suspect
FEWEST = 30  # people of a set whose best values tell anything
_NEIGHBOURS = 10
_SAMPLE = 500  # people that nearness and best values are read from ...
_LEAST = 50  # ... and fewer of large sets, but so many
_PAIRS = 10_000_000  # of people that are looked at: then the larger set costs no more than its scan
_BLOCK = 2048
_QUANTILES = np.array([0.5, 0.9, 0.98])
_REDUCED = -np.log(-np.log(_QUANTILES))  # where a standard Gumbel law has them
_MOSTLY = 0.8  # images nearest to their own subject, from which on scores suspect anybody
_NAMED = 3


class People(NamedTuple):
    """Names and unit vectors, one row a subject."""

    names: np.ndarray
    vectors: np.ndarray


def people_of(embeddings: Embeddings) -> People:
    """Each subject's mean vector, of unit length; zeros where its images cancel out."""
    codes, names = pd.factorize(embeddings.table["subject"])
    names = np.asarray(names, object)
    if len(names) == len(codes):
        return People(names, embeddings.vectors)
    every = (np.ones(len(codes), np.float32), (codes, np.arange(len(codes))))
    sums = sparse.csr_array(every, shape=(len(names), len(codes))) @ embeddings.vectors
    lengths = np.sqrt(np.einsum("nd,nd->n", sums, sums))[:, None]
    return People(names, sums / np.where(lengths > 1e-6, lengths, 1))


def suspects(a: People, b: People) -> tuple[pd.DataFrame, int]:
    """Pairs who may be one person under two names, and how many of `a` were looked at.

    Returns
    -------
    tuple of DataFrame and int
        `subject_a subject_b score`, surest first. Of large sets some of `a` are looked at, drawn at
        random; nobody where neither set has 30 people, since then it cannot be told.
    """
    sizes = len(a.names), len(b.names)
    if max(sizes) < FEWEST or min(sizes) < 1:
        return pd.DataFrame(columns=["subject_a", "subject_b", "score"]), 0
    rng = np.random.default_rng(0)
    near = _nearness(a, b, rng)
    level = max(
        _level(_best_within(one, near[place], rng), sizes[1 - place], sizes[place])
        for place, one in enumerate((a, b))
        if sizes[place] >= FEWEST
    )
    looked = np.sort(rng.permutation(sizes[0])[: max(_PAIRS // sizes[1], _LEAST)])
    namesake = pd.Index(b.names).get_indexer(a.names)  # who is in both under one name is known
    best, partner = np.empty(len(looked), np.float32), np.empty(len(looked), np.int64)
    for start in range(0, len(looked), _BLOCK):
        rows = looked[start : start + _BLOCK]
        values = a.vectors[rows] @ b.vectors.T
        values -= near[1] / 2
        known = np.flatnonzero(namesake[rows] >= 0)
        values[known, namesake[rows[known]]] = -np.inf
        part = slice(start, start + len(rows))
        partner[part] = values.argmax(axis=1)
        best[part] = values[np.arange(len(rows)), partner[part]] - near[0][rows] / 2
    pairs = [
        (row, other, value)
        for row, other, value in zip(looked, partner, best, strict=True)
        if value >= level and _is_best(a, near[0], namesake, row, b.vectors[other], other)
    ]
    pairs.sort(key=lambda pair: -pair[2])
    rows, others = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    found = {
        "subject_a": a.names[rows],
        "subject_b": b.names[others],
        "score": (a.vectors[rows] * b.vectors[others]).sum(axis=1),
    }
    return pd.DataFrame(found), len(looked)


def _is_best(
    a: People, near: np.ndarray, namesake: np.ndarray, row: int, vector: np.ndarray, other: int
) -> bool:
    """Whether of all of `a` it is this one that somebody is most like."""
    values = a.vectors @ vector - near / 2
    values[namesake == other] = -np.inf
    return int(values.argmax()) == row


def _nearness(a: People, b: People, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How near everybody is to those nearest of a sample of both sets, but for the very nearest."""
    size = len(a.names) + len(b.names)
    drawn = np.sort(rng.permutation(size)[: _drawn(size)])
    chosen = drawn[drawn < len(a.names)], drawn[drawn >= len(a.names)] - len(a.names)
    sample = np.concatenate([a.vectors[chosen[0]], b.vectors[chosen[1]]]).T
    many = min(_NEIGHBOURS + 1, len(drawn) - 1)
    firsts = 0, len(chosen[0])
    return tuple(
        _near(one.vectors, sample, own, first, many)
        for one, own, first in zip((a, b), chosen, firsts, strict=True)
    )


def _near(
    vectors: np.ndarray, sample: np.ndarray, own: np.ndarray, first: int, many: int
) -> np.ndarray:
    """The mean of the best scores with a sample but the very best; `own` rows stand in it."""
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        scores = vectors[start : start + _BLOCK] @ sample
        here = np.flatnonzero((own >= start) & (own < start + len(scores)))
        scores[own[here] - start, first + here] = -np.inf
        top = np.partition(scores, -many, axis=1)[:, -many:]
        found[start : start + len(scores)] = (top.sum(axis=1) - top.max(axis=1)) / (many - 1)
    return found


def _drawn(size: int) -> int:
    return int(np.clip(_PAIRS // size, _LEAST, _SAMPLE))


def _best_within(one: People, near: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The best values that some people of a set have with its others."""
    rows = np.sort(rng.permutation(len(one.names))[: _drawn(len(one.names))])
    values = one.vectors[rows] @ one.vectors.T
    values -= near / 2
    values[np.arange(len(rows)), rows] = -np.inf
    return values.max(axis=1) - near[rows] / 2


def _level(best: np.ndarray, others: int, own: int) -> float:
    """What a value must reach not to be chance, at the larger of two scales of the tail."""
    quantiles = np.quantile(best, _QUANTILES)
    scales = np.diff(quantiles) / np.diff(_REDUCED)
    reach = -np.log(CHANCE / max(others, own)) + max(np.log(others / max(own - 1, 1)), 0)
    # The upper scale needs people to be read from; it sees groups that are few and alike.
    ends = [0, 2] if len(best) >= 100 else [0]
    return max(
        quantiles[end] + scale * (reach - _REDUCED[end])
        for end, scale in zip(ends, scales, strict=False)
    )


def tells_people_apart(embeddings: Embeddings) -> bool:
    """Whether most images are nearer to their own subject's others than to anybody else.

    Of vectors that are not, as after a few steps of training, a high score suspects nobody. Where
    nobody has two images it is taken for granted.
    """
    people = people_of(embeddings)
    codes, _ = pd.factorize(embeddings.table["subject"])
    several = np.flatnonzero(np.bincount(codes)[codes] > 1)
    if not len(several):
        return True
    rows = np.random.default_rng(0).permutation(several)[:_SAMPLE]
    own = np.empty(len(rows))
    for place, row in enumerate(rows):
        others = embeddings.vectors[codes == codes[row]].sum(axis=0) - embeddings.vectors[row]
        length = float(np.linalg.norm(others))
        own[place] = embeddings.vectors[row] @ others / length if length > 1e-6 else 0.0
    scores = embeddings.vectors[rows] @ people.vectors.T
    scores[np.arange(len(rows)), codes[rows]] = -np.inf
    return bool((own > scores.max(axis=1)).mean() >= _MOSTLY)


def told_of_suspects(
    a: Embeddings | People, b: Embeddings | People, who: str, where: str
) -> list[str]:
    """What to keep of subjects of one set who may be in another under another name.

    The sentence has no names, since reports quote it; a warning, for whoever is at work, has.

    Parameters
    ----------
    a, b
        The sets.
    who, where
        What they are, in words: "test subject", "the calibration".

    Warns
    -----
    UserWarning
        There are suspects; the first are named.
    """
    if not all(isinstance(side, People) or tells_people_apart(side) for side in (a, b)):
        return []
    one, other = (side if isinstance(side, People) else people_of(side) for side in (a, b))
    found, looked = suspects(one, other)
    if found.empty:
        return []
    may = how_many(len(found), f"{who} may be a person", f"{who}s may be people")
    may = f"{may} of {where} under another name, to go by their scores"
    if looked < len(one.names):
        may = f"of {looked:,} {who}s that were looked at, {may}"
    pairs = [
        f"{row.subject_a!r} and {row.subject_b!r} ({row.score:.3f})"
        for row in found.head(_NAMED).itertuples()
    ]
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    warn(f"{may}: {', '.join(pairs)}{more}")
    advice = "look at them (fl.overlapping_subjects lists such pairs)"
    return [f"{may} (the highest {found['score'].iloc[0]:.3f}): {advice}"]
