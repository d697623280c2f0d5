"""Searching: the subjects most similar to each probe, by all comparisons or with an index.

In: unit vectors in which each subject's stand one after the other, how many each has, and probes.
Out: exact scores and rows of subjects; how hard an index must look, and how often it is right.
"""

import numpy as np
import pandas as pd

from facelab.errors import BadInput
from facelab.faces.groups import group_labels
from facelab.rates.persons import interval_of_people
from facelab.search.indexes import Effort, Index, cosines, nearest

_BATCH = 1024  # probes that are looked at together
_ROOM = 2**22  # comparisons whose scores are held together
_NEIGHBOURS = 10  # of each sampled vector, by whom the first look is judged
_AT_FIRST = 0.995  # share of them that it must find from a score on, to settle a search
Found = tuple[np.ndarray, np.ndarray]


def search_all(vectors: np.ndarray, images: np.ndarray, probes: np.ndarray, k: int) -> Found:
    """The k best subjects of each probe by all comparisons.

    Where subjects have several vectors: the best n vectors hold the best one of each of the k best
    subjects as soon as they are of k different subjects. Where they are not, n becomes what the
    k - 1 subjects with most images can fill, and one.

    Parameters
    ----------
    vectors, images, probes
        float32 (N, D); int64 (S,), whose sum is N; float32 (P, D).
    k
        At most S.

    Returns
    -------
    float32 and int64 (P, k)
        Scores, the highest first, and rows of subjects.
    """
    owner = np.repeat(np.arange(len(images)), images)
    most = int(np.sort(images)[::-1][: k - 1].sum()) + 1
    scores, rows = _nobody(len(probes), k)
    todo = np.arange(len(probes))
    for n in sorted({min(2 * k, most), most}):
        if len(todo):
            wanted = probes[todo]
            found = nearest(vectors, wanted, n)
            scores[todo], rows[todo] = distinct(cosines(vectors, wanted, found), found, owner, k)
            todo = todo[(rows[todo] < 0).any(axis=1)]
    if len(todo):  # among numbers there are always k subjects
        raise BadInput("a vector of the gallery or a probe holds NaN: enrol its people anew")
    return scores, rows


def search_index(
    index: Index,
    vectors: np.ndarray,
    images: np.ndarray,
    probes: np.ndarray,
    k: int,
    threshold: float | None = None,
) -> Found:
    """The k best subjects of each probe among those that an index proposes, with exact scores.

    A quick look first. It settles a search whose k-th score reaches `index.settled`, and one with a
    threshold that does, for what is above that score it finds; the others are looked for as hard as
    `index.effort` says. A probe for which k subjects are still not found is compared with all.
    """
    scores, rows = look(index, vectors, images, probes, k, index.efforts[0])
    settled = np.inf if index.settled is None else index.settled
    if index.effort != index.efforts[0] and (threshold is None or threshold < settled):
        hard = np.flatnonzero(scores[:, -1] < settled)
        scores[hard], rows[hard] = look(index, vectors, images, probes[hard], k, index.effort)
    few = np.flatnonzero(rows[:, -1] < 0)
    if len(few):
        scores[few], rows[few] = search_all(vectors, images, probes[few], k)
    return scores, rows


def look(
    index: Index,
    vectors: np.ndarray,
    images: np.ndarray,
    probes: np.ndarray,
    k: int,
    effort: Effort,
) -> Found:
    """The k best of the subjects proposed at an effort, -1 where there are fewer.

    A proposed image brings in its subject's others: a score is always that of the best image.
    """
    owner, starts = np.repeat(np.arange(len(images)), images), np.cumsum(images) - images
    scores, rows = _nobody(len(probes), k)
    most = int(images.max())
    nominated = 2 * k + 4 if most > 1 else k
    for start in range(0, len(probes), _BATCH):
        part = slice(start, start + _BATCH)
        proposed = index.propose(probes[part], effort, more=8 * (k - 1))
        first = cosines(vectors, probes[part], proposed)
        # Sorting a whole shortlist would cost more than finding it.
        first, proposed = _best_first(first, proposed, nominated * min(most, 8))
        first, who = distinct(first, proposed, owner, nominated)
        if most > 1:
            first = _best_images(vectors, images, starts, probes[part], who)
        scores[part], rows[part] = _best_first(first, who, k)
    return scores, rows


def _best_images(
    vectors: np.ndarray, images: np.ndarray, starts: np.ndarray, probes: np.ndarray, who: np.ndarray
) -> np.ndarray:
    """The best score of each named subject's images, float32 (P, n); -inf where -1 is named."""
    count = np.where(who >= 0, images[who], 0)
    widest = int(count.max(initial=1))
    scores, step = np.empty(who.shape, np.float32), max(1, _ROOM // (who.shape[1] * widest))
    offsets = np.arange(widest)
    for at in range(0, len(who), step):
        part = slice(at, at + step)
        there = offsets < count[part, :, None]
        every = np.where(there, starts[who[part], None] + offsets, -1)
        each = cosines(vectors, probes[part], every.reshape(len(every), -1))
        scores[part] = each.reshape(every.shape).max(axis=2)
    return scores


def distinct(scores: np.ndarray, rows: np.ndarray, owner: np.ndarray, k: int) -> Found:
    """Each subject once, with the best score among its vectors here: (P, n) of vectors to (P, k).

    -inf and -1 where there are fewer than k.
    """
    n = rows.shape[1]
    owners = np.where(rows >= 0, owner[rows], -1)
    if len(owner) == 0 or owner[-1] + 1 == len(owner):  # one vector a subject
        return _best_first(scores, owners, k)
    scores, owners = _best_first(scores, owners, n)
    by_owner = np.argsort(owners, axis=1, kind="stable")
    grouped = np.take_along_axis(owners, by_owner, 1)
    again = np.zeros(rows.shape, bool)
    np.put_along_axis(again, by_owner[:, 1:], grouped[:, 1:] == grouped[:, :-1], 1)
    again |= owners < 0
    return _best_first(np.where(again, -np.inf, scores), np.where(again, -1, owners), k)


def _best_first(scores: np.ndarray, rows: np.ndarray, k: int) -> Found:
    """The k highest scores of each row and what they belong to; equal scores by row number."""
    count, n = scores.shape
    if k < n:
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
    order = np.lexsort((rows, -scores))
    out = _nobody(count, k)
    for room, values in zip(out, (scores, rows), strict=True):
        room[:, : order.shape[1]] = np.take_along_axis(values, order, 1)
    return out


def _nobody(probes: int, k: int) -> Found:
    return np.full((probes, k), -np.inf, np.float32), np.full((probes, k), -1, np.int64)


# ---- how hard an index must look, and how often it is right


def calibrate(
    index: Index,
    vectors: np.ndarray,
    images: np.ndarray,
    target: float,
    size: int = 1000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose an index's effort so that strangers' best candidates are found, and check it.

    Enrolled vectors stand for non-mated probes: each is searched among the other subjects. These
    searches are the hard ones, since the best stranger is barely better than the next, while a mate
    is far above everybody. On one sample the least effort is taken with which the best candidate is
    that of all comparisons in a share `target` of searches, and the lowest score from which the
    first look finds 99.5 % of the ten best. Another sample tells how often the search is right.

    Returns
    -------
    int64 and bool (size,)
        The second sample: rows of subjects, and whether the best candidate was that of all
        comparisons.
    """
    owner = np.repeat(np.arange(len(images)), images)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(vectors))[: min(2 * size, len(vectors))]
    trial, check = (np.sort(half) for half in np.array_split(chosen, 2))
    k = min(_NEIGHBOURS + 1, len(images))
    best, near = _others(search_all(vectors, images, vectors[trial], k), owner[trial])

    seen = look(index, vectors, images, vectors[trial], k, index.efforts[0])[1]
    hit = (near[:, :, None] == seen[:, None, :]).any(axis=2).ravel()
    order = np.argsort(-best.ravel(), kind="stable")
    share = np.cumsum(hit[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= _AT_FIRST)
    index.settled = float(best.ravel()[order[enough[-1]]]) if len(enough) else None
    for effort in index.efforts:
        index.effort = effort
        found = search_index(index, vectors, images, vectors[trial], 2)
        if (_others(found, owner[trial])[0][:, 0] >= best[:, 0]).mean() >= target:
            break
    truth = _others(search_all(vectors, images, vectors[check], 2), owner[check])[0]
    found = _others(search_index(index, vectors, images, vectors[check], 2), owner[check])[0]
    return owner[check], found[:, 0] >= truth[:, 0]


def _others(found: Found, own: np.ndarray) -> Found:
    """Candidates without the probe's own subject, one fewer."""
    scores, rows = found
    stays = rows != own[:, None]
    stays[stays.all(axis=1), -1] = False
    shape = len(rows), rows.shape[1] - 1
    return scores[stays].reshape(shape), rows[stays].reshape(shape)


def recall_table(
    found: np.ndarray,
    wanted: int,
    searched: pd.DataFrame,
    mated: np.ndarray,
    by: str | list[str] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """How much of what all comparisons find is found, by group of the probe.

    Parameters
    ----------
    found
        (P,) how many of the `wanted` best candidates of each probe.
    searched
        One row a probe: `subject`, group columns.
    mated
        bool (P,)
    by
        A group column, or several for their intersection.

    Returns
    -------
    DataFrame
        `searches` ("all", "mated", "non_mated"), `group` ("all" first), `subjects`, `probes`,
        `recall`, `recall_low`, `recall_high`: Wilson's interval over subjects, few or many.
    """
    labels = {"all": np.ones(len(searched), bool)}
    if by is not None:
        of = group_labels(searched, by)
        labels |= {name: (of == name).to_numpy() for name in of.cat.categories}
    codes = pd.factorize(searched["subject"])[0]
    rows = []
    for searches, which in (("all", mated | ~mated), ("mated", mated), ("non_mated", ~mated)):
        for name, inside in labels.items():
            subject = codes[which & inside]
            if not len(subject):
                continue
            tries = wanted * np.bincount(subject).astype(float)[:, None]
            hits = np.bincount(subject, found[which & inside])[:, None]
            low, high = interval_of_people(tries, hits, confidence)
            ends = {"recall_low": float(low[0]), "recall_high": float(high[0])}
            recall = float(hits.sum() / tries.sum())
            counts = {"subjects": len(np.unique(subject)), "probes": len(subject)}
            rows.append({"searches": searches, "group": name, **counts, "recall": recall, **ends})
    return pd.DataFrame(rows)
