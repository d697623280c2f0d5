"""Comparisons within groups: every error, and all others or as many of them as are needed.

In: embeddings, groups, a threshold. Out: a row a comparison, with how many it stands for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facelab.audits.overlaps import alike_pairs
from facelab.comparisons import kernels
from facelab.comparisons.all_pairs import pairs_within

MOST = 500_000  # comparisons that are looked at one by one


@dataclass(frozen=True, eq=False)
class Sampled:
    """Comparisons, a row each: both images, their group, an error or not, how many it stands for.

    `number` says how many comparisons there are in each group.
    """

    a: np.ndarray
    b: np.ndarray
    group: np.ndarray
    errors: np.ndarray
    weights: np.ndarray
    number: np.ndarray


def sampled(
    vectors: np.ndarray,
    subject: np.ndarray,
    group: np.ndarray,
    mated: bool,
    threshold: float,
    seed: int,
    jobs: int | None,
    most: int = MOST,
) -> Sampled:
    """The comparisons within each group; images of group -1 take no part.

    Up to `most` all of them, exactly. Of more, a random sample of those without an error (of those
    with one too, if they are as many), the same number in each group; each weighs as many as it
    stands for, as in a case-control study whose sampling shares are known.
    """
    rng, size = np.random.default_rng(seed), int(group.max()) + 1
    quota = max(most // max(2 * size, 1), 1)
    parts, number = [], np.zeros(size, np.int64)
    for place in range(size):
        rows = np.flatnonzero(group == place)
        own, people = vectors[rows], subject[rows]
        images = np.bincount(people).astype(np.int64)
        within = int((images * (images - 1) // 2).sum())
        if mated:
            number[place], found = within, _mated(own, people, within, threshold, quota, rng)
        else:
            number[place] = len(rows) * (len(rows) - 1) // 2 - within
            found = _non_mated(own, people, int(number[place]), threshold, quota, rng, jobs)
        for a, b, wrong, weight in found:
            shared = np.full(len(a), place), np.full(len(a), wrong), np.full(len(a), weight)
            parts.append((rows[a], rows[b], *shared))
    return Sampled(*(np.concatenate(columns) for columns in zip(*parts, strict=True)), number)


Part = tuple[np.ndarray, np.ndarray, bool, float]


def _mated(
    vectors: np.ndarray,
    subject: np.ndarray,
    number: int,
    threshold: float,
    quota: int,
    rng: np.random.Generator,
) -> Iterator[Part]:
    kept: dict[bool, list[np.ndarray]] = {True: [], False: []}
    right = 0
    for a, b in pairs_within(subject):
        # float64 against a float32 score compares the numbers themselves, as everywhere else.
        missed = kernels.score_pairs(vectors, a, b).astype(np.float64) < threshold
        kept[True].append(np.stack([a[missed], b[missed]]))
        others = np.stack([a[~missed], b[~missed]])
        right += others.shape[1]
        if number > 2 * quota:  # each with the same chance, whatever part it lies in
            others = others[:, rng.random(others.shape[1]) < quota / number]
        kept[False].append(others)
    for wrong, pairs in kept.items():
        a, b = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
        if wrong:
            yield _some(a, b, number, quota, rng)
        else:
            yield a, b, False, right / max(len(a), 1)


def _some(a: np.ndarray, b: np.ndarray, number: int, quota: int, rng: np.random.Generator) -> Part:
    """All errors of a group, or a sample where they are more than is needed."""
    some = slice(None)
    if len(a) > quota and number > 2 * quota:
        some = np.sort(rng.choice(len(a), quota, replace=False))
    return a[some], b[some], True, len(a) / max(len(a[some]), 1)


def _non_mated(
    vectors: np.ndarray,
    subject: np.ndarray,
    number: int,
    threshold: float,
    quota: int,
    rng: np.random.Generator,
    jobs: int | None,
) -> Iterator[Part]:
    count = len(vectors)
    a, b, _ = alike_pairs(vectors, threshold, jobs) if number else (np.zeros(0, int),) * 3
    other = subject[a] != subject[b]
    a, b = a[other].astype(np.int64), b[other].astype(np.int64)
    matched, right = np.minimum(a, b) * count + np.maximum(a, b), number - len(a)
    yield _some(a, b, number, quota, rng)
    if number <= 2 * quota:
        a, b = np.triu_indices(count, 1)
    else:
        a, b = rng.integers(0, count, (2, quota))
        a, b = np.divmod(np.unique(np.minimum(a, b) * count + np.maximum(a, b)), count)
    keep = (subject[a] != subject[b]) & ~np.isin(a * count + b, matched)
    yield a[keep], b[keep], False, right / max(int(keep.sum()), 1)
