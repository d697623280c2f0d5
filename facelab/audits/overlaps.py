"""Faces that stand in the data twice, and labels that may be wrong: by what an embedder says.

In: embeddings and a score threshold. Out: tables of candidates, surest first, for somebody to look
at. Nothing is removed: an embedder errs, and more for some groups than for others.

All pairs are scored in tiles, and only those that reach the threshold are kept: N x N scores are
never held.
"""

from collections.abc import Iterator
from statistics import NormalDist

import joblib
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facelab.arguments import as_annotated
from facelab.comparisons import kernels
from facelab.comparisons.all_pairs import TILE
from facelab.comparisons.counted import compare_all
from facelab.comparisons.given import as_cosine, as_share, check_embeddings
from facelab.comparisons.tiles import Crowd, Hits, joined
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.progress import bar
from facelab.workers import as_jobs, pool

MOST_PAIRS = 20_000_000  # kept: 240 MB
_FAN_OUT = 30_000  # faces from which on processes pay
_NO_SCORE = 4.0  # above every score
_BULK = 0.05


@as_annotated
def robust_threshold(embeddings: Embeddings, fmr: float) -> float:
    """The threshold for a false match rate that wrong labels cannot move.

    In a set with wrong labels the highest non-mated scores are of one person, and a threshold set
    by them finds nothing. This one extrapolates from the bulk: with m the median of the non-mated
    scores and q the score that one in twenty reaches, m + (q - m) z(fmr) / z(1/20), z the normal
    quantile; 1 at most. Tails of scores are heavier than normal ones, so the true rate is somewhat
    higher: for candidates, not for audits.

    Parameters
    ----------
    embeddings
        One set; most labels right.
    fmr
        Between 0 and 1/2.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> round(fl.robust_threshold(people, fmr=1e-5), 2)
    0.23
    """
    check_embeddings(embeddings, "fl.robust_threshold")
    fmr = as_share(fmr, "the false match rate", "fmr")
    if not 0 < fmr < 0.5:
        raise BadInput(f"the false match rate must lie between 0 and 1/2, not {fmr}")
    comparisons = compare_all(embeddings)
    middle, upper = comparisons._threshold(0.5), comparisons._threshold(_BULK)
    normal = NormalDist()
    reach = normal.inv_cdf(1 - fmr) / normal.inv_cdf(1 - _BULK)
    return min(middle + (upper - middle) * reach, 1.0)


@as_annotated
def near_duplicates(
    embeddings: Embeddings, threshold: float, jobs: int | None = None
) -> pd.DataFrame:
    """Pairs of images so alike that they may be one photo: crops, copies, neighbours in a video.

    Parameters
    ----------
    embeddings
        One set.
    threshold
        Lowest score of a pair; it depends on the embedder. Two photos of one person rarely score as
        high as 0.9 with embedders of today; the highest mated scores show where copies begin.
    jobs
        Processes; by default as many as pay off.

    Returns
    -------
    DataFrame
        One row a pair, highest score first: `score`, `image_a`, `image_b`, `subject_a`,
        `subject_b`, `mated` (one subject; if not, one of both labels is wrong, or they are twins).

    Raises
    ------
    BadInput
        More than 20 million pairs reach the threshold.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> pairs = fl.near_duplicates(people, threshold=0.8)
    >>> pairs[["image_a", "image_b", "mated"]].head(2).values.tolist()
    [['image-5', 'image-7', True], ['image-64', 'image-65', True]]
    """
    check_embeddings(embeddings, "fl.near_duplicates")
    a, b, scores = alike_pairs(embeddings.vectors, threshold, jobs)
    order = np.lexsort((b, a, -scores))
    a, b = a[order], b[order]
    table = embeddings.table
    subject = table["subject"].to_numpy(object)
    return pd.DataFrame(
        {
            "score": scores[order],
            "image_a": table["image"].to_numpy(object)[a],
            "image_b": table["image"].to_numpy(object)[b],
            "subject_a": subject[a],
            "subject_b": subject[b],
            "mated": subject[a] == subject[b],
        }
    )


@as_annotated
def overlapping_subjects(
    a: Embeddings,
    b: Embeddings,
    threshold: float,
    share: float = 0.5,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Subjects of two sets who may be one person, whatever they are called.

    A test set that shares people with the training set tells nothing about new people; sets that
    were collected from one source share many.

    Parameters
    ----------
    a, b
        Two sets, by one embedder.
    threshold
        A comparison with this score or more is a match. Take a strict one
        (``robust_threshold(a, 1e-6)``): chance matches grow with the product of both numbers of
        subjects.
    share
        Least share of the comparisons of two subjects that match.
    jobs
        Processes; by default as many as pay off.

    Returns
    -------
    DataFrame
        One row a pair of subjects, surest first: `subject_a`, `subject_b`, `comparisons`,
        `matches`, `share`, `score` (the highest) and of which images, `image_a`, `image_b`.

    Raises
    ------
    BadInput
        The vectors differ in length, or more than 20 million pairs reach the threshold.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> early, late = people[::2], people[1::2]  # two photos of each in either
    >>> pairs = fl.overlapping_subjects(early, late, fl.robust_threshold(early, fmr=1e-6))
    >>> len(pairs), int((pairs["subject_a"] == pairs["subject_b"]).sum())
    (103, 100)
    """
    for one in (a, b):
        check_embeddings(one, "fl.overlapping_subjects")
    _check_least(share)
    if a.vectors.shape[1] != b.vectors.shape[1]:
        raise BadInput(
            f"vectors of {a.vectors.shape[1]} and of {b.vectors.shape[1]} numbers cannot be "
            "compared: embed both sets with one embedder"
        )
    hits = alike_pairs(np.concatenate([a.vectors, b.vectors]), threshold, jobs, split=len(a))
    left, right, scores = hits
    return _pairs_of_subjects(a.table, b.table, (left, right - len(a), scores), share)


@as_annotated
def coinciding_subjects(
    embeddings: Embeddings, threshold: float, share: float = 0.5, jobs: int | None = None
) -> pd.DataFrame:
    """Pairs of subjects in one set who may be one person under two names.

    Parameters, what is returned and what is raised are as for `overlapping_subjects`; each pair
    stands there once.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> people.table.loc[2:3, "subject"] = "somebody new"  # who is p00000000
    >>> pairs = fl.coinciding_subjects(people, fl.robust_threshold(people, fmr=1e-6))
    >>> pairs[["subject_a", "subject_b", "comparisons", "matches"]].values.tolist()
    [['p00000000', 'somebody new', 4, 4], ['p00000016', 'p00000022', 16, 9]]
    """
    check_embeddings(embeddings, "fl.coinciding_subjects")
    _check_least(share)
    a, b, scores = alike_pairs(embeddings.vectors, threshold, jobs)
    code, _ = pd.factorize(embeddings.table["subject"])
    other = code[a] != code[b]
    a, b, scores = a[other], b[other], scores[other]
    turned = code[a] > code[b]  # a pair of subjects in one order, whichever image comes first
    a, b = np.where(turned, b, a), np.where(turned, a, b)
    return _pairs_of_subjects(embeddings.table, embeddings.table, (a, b, scores), share)


@as_annotated
def split_subjects(
    embeddings: Embeddings, threshold: float, jobs: int | None = None
) -> pd.DataFrame:
    """Images that match nothing of the rest of their subject: wrong labels, or hard photos.

    A subject's images fall into parts: two images are in one part when a chain of matches joins
    them. Every image outside the largest part (of the parts that are as large, outside the first)
    is listed.

    Parameters
    ----------
    embeddings
        One set.
    threshold
        A comparison with this score or more is a match; here a lenient one
        (``robust_threshold(embeddings, 1e-3)``) leaves fewer hard photos in the list.
    jobs
        Processes; by default as many as pay off.

    Returns
    -------
    DataFrame
        One row an image: `subject`, `image`, `subject_images`, `largest_part`, `part` (2 for the
        second largest ...), `part_images`, `own_score` (its highest with the subject's other
        parts); of the other subject whom most of its comparisons match `other_subject`,
        `other_share` and `other_score`, missing where it matches nobody. First come those that are
        more like somebody else than like their own subject.

    Raises
    ------
    BadInput
        More than 20 million pairs reach the threshold.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> people.table.loc[5, "subject"] = "p00000007"  # a photo of p00000001
    >>> images = fl.split_subjects(people, fl.robust_threshold(people, fmr=1e-3))
    >>> images[["image", "subject", "other_subject"]].head(1).values.tolist()
    [['image-5', 'p00000007', 'p00000001']]
    """
    check_embeddings(embeddings, "fl.split_subjects")
    table, count = embeddings.table, len(embeddings)
    a, b, scores = alike_pairs(embeddings.vectors, threshold, jobs)
    code, names = pd.factorize(table["subject"])
    own = code[a] == code[b]
    graph = coo_array((np.ones(own.sum(), bool), (a[own], b[own])), shape=(count, count))
    _, part = connected_components(graph, directed=False)
    parts = pd.DataFrame({"subject": code, "part": part, "row": np.arange(count)})
    parts = parts.groupby("part").agg(
        subject=("subject", "first"), images=("row", "size"), first=("row", "first")
    )
    parts = parts.sort_values(["subject", "images", "first"], ascending=[True, False, True])
    parts["place"] = parts.groupby("subject").cumcount() + 1
    parts["largest"] = parts.groupby("subject")["images"].transform("first")
    parts = parts.sort_index()
    rows = np.flatnonzero(parts["place"].to_numpy()[part] > 1)
    found = pd.DataFrame(
        {
            "subject": names[code[rows]],
            "image": table["image"].to_numpy(object)[rows],
            "subject_images": np.bincount(code, minlength=len(names))[code[rows]],
            "largest_part": parts["largest"].to_numpy()[part[rows]],
            "part": parts["place"].to_numpy()[part[rows]],
            "part_images": parts["images"].to_numpy()[part[rows]],
            "own_score": _highest_elsewhere(embeddings.vectors, code, part, rows),
        }
    )
    strangers = _joined_both_ways(a[~own], b[~own], scores[~own], rows)
    found = found.join(_most_like(strangers, code, names).reindex(rows).reset_index(drop=True))
    doubt = (found["other_score"] - found["own_score"]).fillna(-np.inf)
    order = np.lexsort((-found["own_score"].to_numpy(), -doubt.to_numpy()))
    return found.iloc[order].reset_index(drop=True)


def _check_least(share: float) -> None:
    if not 0 <= share <= 1:
        raise BadInput(f"the least share of comparisons that match lies in 0..1, not {share}")


def _highest_elsewhere(
    vectors: np.ndarray, code: np.ndarray, part: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Of each of some rows the highest score with its subject's rows in other parts."""
    order = np.argsort(code, kind="stable")
    first, last = (np.searchsorted(code[order], code[rows], side) for side in ("left", "right"))
    many = last - first
    a = np.repeat(np.arange(len(rows)), many)
    place = np.arange(len(a)) - np.repeat(np.cumsum(many) - many, many)
    b = order[first[a] + place]
    other = part[b] != part[rows[a]]
    a, b = a[other], b[other]
    highest = np.full(len(rows), -np.inf, np.float32)
    np.maximum.at(highest, a, kernels.score_pairs(np.asarray(vectors), rows[a], b))
    return highest


def _joined_both_ways(
    a: np.ndarray, b: np.ndarray, scores: np.ndarray, rows: np.ndarray
) -> pd.DataFrame:
    """The pairs that some rows take part in: `row`, `other`, `score`."""
    both = {"row": np.r_[a, b], "other": np.r_[b, a], "score": np.r_[scores, scores]}
    wanted = np.isin(both["row"], rows)
    return pd.DataFrame({name: values[wanted] for name, values in both.items()})


def _most_like(pairs: pd.DataFrame, code: np.ndarray, names: pd.Index) -> pd.DataFrame:
    """Of each row the subject whom most of its comparisons match."""
    images = np.bincount(code, minlength=len(names))
    pairs = pairs.assign(subject=code[pairs["other"]])
    tally = pairs.groupby(["row", "subject"])["score"].agg(["size", "max"]).reset_index()
    tally["share"] = tally["size"] / images[tally["subject"]]
    tally = tally.sort_values(["row", "share", "max"], ascending=[True, False, False])
    best = tally.drop_duplicates("row").set_index("row")
    return pd.DataFrame(
        {
            "other_subject": names[best["subject"]],
            "other_share": best["share"],
            "other_score": best["max"],
        },
        index=best.index,
    )


def _pairs_of_subjects(
    table_a: pd.DataFrame, table_b: pd.DataFrame, hits: Hits, share: float
) -> pd.DataFrame:
    """Pairs of subjects of whose comparisons at least a share are among the hits."""
    a, b, scores = hits
    code_a, names_a = pd.factorize(table_a["subject"])
    code_b, names_b = pd.factorize(table_b["subject"])
    order = np.argsort(-scores, kind="stable")
    pairs = pd.DataFrame({"a": code_a[a], "b": code_b[b], "row_a": a, "row_b": b, "score": scores})
    tally = pairs.iloc[order].groupby(["a", "b"], sort=False).agg(
        matches=("score", "size"),
        score=("score", "first"),
        row_a=("row_a", "first"),
        row_b=("row_b", "first"),
    )  # fmt: skip
    first, second = (tally.index.get_level_values(level).to_numpy() for level in ("a", "b"))
    comparisons = np.bincount(code_a)[first] * np.bincount(code_b)[second] if len(tally) else first
    result = pd.DataFrame(
        {
            "subject_a": names_a[first],
            "subject_b": names_b[second],
            "comparisons": comparisons,
            "matches": tally["matches"].to_numpy(),
            "share": tally["matches"].to_numpy() / np.maximum(comparisons, 1),
            "score": tally["score"].to_numpy(),
            "image_a": table_a["image"].to_numpy(object)[tally["row_a"]],
            "image_b": table_b["image"].to_numpy(object)[tally["row_b"]],
        }
    )
    result = result[result["share"] >= share]
    order = np.lexsort((-result["score"], -result["share"]))
    return result.iloc[order].reset_index(drop=True)


# ---- all pairs, in tiles


def alike_pairs(
    vectors: np.ndarray, threshold: float, jobs: int | None, split: int | None = None
) -> Hits:
    """Rows a < b and exact scores of the pairs that reach a threshold.

    With `split`, only pairs of a row before it with a row from it on.
    """
    threshold = as_cosine(threshold)
    count = len(vectors)
    border = count if split is None else split
    cuts = np.array([*range(0, border, TILE), *range(border, count, TILE), count])
    everybody, nobody = np.arange(count), np.full(count, -1)
    side = kernels.Side(
        np.asarray(vectors), everybody, everybody, nobody, everybody, everybody, everybody
    )
    crowd = Crowd(side, cuts)
    first = 0 if split is None else int(np.searchsorted(cuts, split))
    bands = range(len(cuts) - 1 if split is None else first)
    jobs = as_jobs(jobs, None if count >= _FAN_OUT else 1)
    parts, found = [], 0
    for hits in _bands(crowd, bands, first, threshold, min(jobs, max(len(bands), 1))):
        parts.append(hits)
        found += len(hits[0])
        if found > MOST_PAIRS:
            raise BadInput(
                f"more than {MOST_PAIRS:,} pairs score {threshold:g} or more: raise the threshold"
            )
    return joined(parts)


def _bands(crowd: Crowd, bands: range, first: int, threshold: float, jobs: int) -> Iterator[Hits]:
    # Memory-mapped arrays that may be written to are of the type that the kernels know.
    run = pool(jobs, return_as="generator", mmap_mode="c")
    work = run(joblib.delayed(alike_band)(crowd, number, first, threshold) for number in bands)
    yield from bar(work, total=len(bands), desc="comparing", unit="band", show=len(bands) > 8)


def alike_band(crowd: Crowd, number: int, first: int, threshold: float) -> Hits:
    """The pairs of a band of tiles, from the diagonal (or the `first` tile) to the right."""
    cuts, left = crowd.cuts, crowd.rows(number)
    size = len(left) * int(np.diff(cuts).max())
    room = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32)
    above, parts = np.zeros(1, np.int64), []
    for other in range(max(first, number), len(cuts) - 1):
        tile = kernels.Tile(left @ crowd.rows(other).T, int(cuts[number]), int(cuts[other]))
        found = kernels.collect(tile, crowd.side, crowd.error, threshold, _NO_SCORE, above, room)
        parts.append(tuple(part[:found].copy() for part in room))
    return joined(parts)
