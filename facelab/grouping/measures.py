"""How right a grouping of faces is, by group: who is taken for whom, and who is split.

In: a `Grouping` whose table says who is who. Out: B-cubed and pairwise precision, recall and F with
intervals, errors of pairs as error rates, and tables of the clusters and the people they concern.

Everything follows from the counts n of faces of one subject in one cluster: with a faces in the
cluster and b of the subject, time and memory go with the number of faces.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.overlaps import MOST_PAIRS
from facelab.errors import BadInput, a_kind
from facelab.faces.groups import group_labels
from facelab.grouping.clusters import Grouping
from facelab.rates.cautions import FEW_SUBJECTS
from facelab.rates.counts import ErrorCounts
from facelab.rates.intervals import Sums, interval

MEASURES = (
    *("bcubed_precision", "bcubed_recall", "bcubed_f"),
    *("pairwise_precision", "pairwise_recall", "pairwise_f"),
    *("with_strangers", "split_off"),
)


class _Cells(NamedTuple):
    """The counts of faces by cluster and subject, one entry a pair that occurs."""

    cluster: np.ndarray
    subject: np.ndarray
    n: np.ndarray
    a: np.ndarray  # faces in the cell's cluster
    b: np.ndarray  # faces of the cell's subject
    alone: np.ndarray  # nobody else in the cluster
    couple: np.ndarray  # exactly one other subject in the cluster
    main: np.ndarray  # the subject's largest cell, of equal ones the first
    of_face: np.ndarray  # the cell of each face


class _Ratio(NamedTuple):
    """A measure `top` / `bottom`, and what each subject's presence adds to it."""

    top: float
    bottom: float
    influence: np.ndarray


@as_annotated
def grouping_accuracy(
    grouping: Grouping, by: str | list[str] | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Precision, recall and F of a grouping, of everybody and of each group.

    Parameters
    ----------
    grouping
        Its table says who is who.
    by
        Group column, or several for their intersection; None for everybody only.
    confidence
        Of the intervals.

    Returns
    -------
    DataFrame
        `group subjects images`, each measure with `_low` and `_high`, and `note`; `all` first.
        Every measure is read from the faces of the group, whoever shares a cluster with them:

        - `bcubed_precision`: of the faces in a face's cluster, itself among them, the share that
          is of its subject, on average over faces; `bcubed_recall`: of its subject's faces the
          share that is in its cluster; `bcubed_f`: the harmonic mean of both averages (Amigó,
          Gonzalo, Artiles & Verdejo 2009, section 4).
        - `pairwise_precision`: of pairs in one cluster the share that is of one subject;
          `pairwise_recall`: of pairs of one subject the share that is in one cluster; a pair across
          groups counts half in each.
        - `with_strangers`: share of faces whose cluster holds another subject's face (false
          grouping); `split_off`: share of faces outside the cluster that holds most of their
          subject.

    Notes
    -----
    Intervals are Wilson's with the effective sample size of a variance over subjects, and allow for
    few of them (`facelab.rates.intervals.small_sample_wilson`, with all of Satterthwaite's degrees
    of freedom: in a simulation 95% intervals held 93 to 99% of true values with 40 people and 97 to
    99% with 120). The variance is that of the infinitesimal
    jackknife (Efron 1982, chapter 6): a subject counts by its own faces and as a stranger in the
    clusters of others. They speak of other people photographed alike, grouped in a set of this size
    and make-up; in a larger set there are more strangers to be grouped with.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> accuracy = fl.grouping_accuracy(fl.group_faces(people, threshold=0.3), by="group")
    >>> accuracy.set_index("group")["bcubed_f"].round(2).to_dict()
    {'all': 0.95, 'a': 0.95, 'b': 0.95, 'c': 0.97, 'd': 0.92}
    """
    _check(grouping, "fl.grouping_accuracy")
    table = grouping.table
    cells = _cells(grouping)
    everybody = pd.Series(pd.Categorical(["all"] * len(table)), index=table.index)
    parts = [everybody] if by is None else [everybody, group_labels(table, by)]
    rows = []
    for labels in parts:
        codes = labels.cat.codes.to_numpy()
        for code, name in enumerate(labels.cat.categories):
            m = np.bincount(cells.of_face[codes == code], minlength=len(cells.n))
            rows.append({"group": name, **_row(cells, m, confidence)})
    return pd.DataFrame(rows)


def _check(grouping: Any, verb: str) -> None:
    if not isinstance(grouping, Grouping):
        raise BadInput(
            f"{verb} takes a grouping, not {a_kind(grouping)}: fl.group_faces(embeddings) makes one"
        )
    if not len(grouping):
        raise BadInput("there are no faces in the grouping: give one face or more")


def _cells(grouping: Grouping) -> _Cells:
    subject, names = pd.factorize(grouping.table["subject"])
    key = grouping.labels * len(names) + subject
    keys, of_face, n = np.unique(key, return_inverse=True, return_counts=True)
    cluster, who = keys // len(names), keys % len(names)
    people = np.bincount(cluster)[cluster]
    order = np.lexsort((cluster, -n, who))
    main = np.zeros(len(n), bool)
    main[order[np.unique(who[order], return_index=True)[1]]] = True
    a, b = grouping.sizes[cluster], np.bincount(subject)[who]
    return _Cells(cluster, who, n, a, b, people == 1, people == 2, main, of_face)


def _row(cells: _Cells, m: np.ndarray, confidence: float) -> dict[str, object]:
    """All measures of the faces that stand in the cells m times."""
    ratios = _ratios(cells, m)
    for kind in ("bcubed", "pairwise"):
        ratios[f"{kind}_f"] = _f(ratios[f"{kind}_precision"], ratios[f"{kind}_recall"])
    people = len(np.unique(cells.subject[m > 0]))
    row: dict[str, object] = {"subjects": people, "images": int(m.sum())}
    for name in MEASURES:
        top, bottom, influence = ratios[name]
        row[name] = top / bottom if bottom else np.nan
        squares, fourths = (influence**2).sum(), (influence**4).sum()
        # Doubled, for `interval` halves it: the halves are for the skewness of pairs of subjects.
        effective = 2 * squares**2 / fourths if fourths else 1.0
        sums = Sums(*map(np.array, (bottom, top, squares, people, people, effective, 0.0, squares)))
        ends = interval(sums, confidence, small_samples=True)
        row[f"{name}_low"], row[f"{name}_high"] = map(float, ends)
    notes = []
    if not ratios["pairwise_recall"].bottom:
        notes.append("no subject with two faces: recall says nothing")
    if people < FEW_SUBJECTS:
        notes.append(f"few subjects ({people}): intervals are rough")
    return {**row, "note": "; ".join(notes)}


def _ratios(cells: _Cells, m: np.ndarray) -> dict[str, _Ratio]:
    n, a, b = cells.n, cells.a, cells.b
    people = int(cells.subject.max()) + 1

    def by_subject(values: np.ndarray) -> np.ndarray:
        return np.bincount(cells.subject, values, minlength=people)

    def of_others(values: np.ndarray) -> np.ndarray:
        """Of each cell the sum of the values of its cluster's other cells."""
        return np.bincount(cells.cluster, values)[cells.cluster] - values

    def ratio(
        top: np.ndarray, bottom: np.ndarray, to_top: np.ndarray = 0, to_bottom: np.ndarray = 0
    ) -> _Ratio:
        """Sums over cells; the last two are what a cell's subject adds to others' values."""
        over, under = float(top.sum()), float(bottom.sum())
        if not under:
            return _Ratio(0.0, 0.0, np.zeros(people))
        added = by_subject(top + to_top) - over / under * by_subject(bottom + to_bottom)
        return _Ratio(over, under, added / under)

    strange = ~cells.alone
    return {
        "bcubed_precision": ratio(m * n / a, m, to_top=-n * of_others(m * n / a**2)),
        "bcubed_recall": ratio(m * n / b, m),
        "pairwise_precision": ratio(m * (n - 1), m * (a - 1), to_bottom=n * of_others(m)),
        "pairwise_recall": ratio(m * (n - 1), m * (b - 1)),
        # With one other subject in the cluster, it is that one's presence which makes a stranger.
        "with_strangers": ratio(m * strange, m, to_top=cells.couple * of_others(m)),
        "split_off": ratio(m * ~cells.main, m),
    }


def _f(precision: _Ratio, recall: _Ratio) -> _Ratio:
    """The harmonic mean; none where one of both is not known."""
    if not precision.bottom or not recall.bottom:
        return _Ratio(0.0, 0.0, np.zeros_like(recall.influence))
    p, r = precision.top / precision.bottom, recall.top / recall.bottom
    if not p + r:
        return _Ratio(0.0, 1.0, np.zeros_like(recall.influence))
    influence = 2 * (r**2 * precision.influence + p**2 * recall.influence) / (p + r) ** 2
    return _Ratio(2 * p * r / (p + r), 1.0, influence)


@as_annotated
def grouping_errors(grouping: Grouping, by: str | list[str] | None = None) -> ErrorCounts:
    """The grouping read as a matcher: two faces match when they are in one cluster.

    A false match is a pair of strangers in one cluster, a false non-match a pair of one subject in
    two. So ``.rates(small_samples=True)`` gives their shares by group, ``.cross_group()`` which
    groups are merged with which, both with intervals that respect subjects.

    Parameters
    ----------
    grouping, by
        As `grouping_accuracy` takes them.

    Raises
    ------
    BadInput
        More than 20 million pairs of subjects share a cluster.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> errors = fl.grouping_errors(fl.group_faces(people, threshold=0.3), by="group")
    >>> errors.rates(small_samples=True).set_index("group")["false_matches"].to_dict()
    {'all': 160, 'a': 16, 'b': 0, 'c': 0, 'd': 16}
    """
    _check(grouping, "fl.grouping_errors")
    table = grouping.table
    if by is None:
        labels = pd.Series(pd.Categorical(["all"] * len(table)))
    else:
        labels = group_labels(table, by)
    subject, names = pd.factorize(table["subject"].astype(str), sort=True)
    group = labels.cat.codes.to_numpy().astype(np.int64)
    groups = tuple(labels.cat.categories)
    keys, unit, images = np.unique(
        (group + 1) * len(names) + subject, return_inverse=True, return_counts=True
    )
    units = pd.DataFrame(
        {"subject": names[keys % len(names)], "group": keys // len(names) - 1, "images": images}
    )
    owner = keys % len(names)
    a, b, together = _pairs_together(grouping.labels, unit, len(keys))
    mated = owner[a] == owner[b]
    # Of one subject, what is not together is an error: first all pairs of its units, then less.
    first, second = _own_pairs(owner)
    every = np.where(
        first == second, images[first] * (images[first] - 1) // 2, images[first] * images[second]
    )
    pairs = pd.DataFrame(
        {
            "unit_a": np.concatenate([first, a]),
            "unit_b": np.concatenate([second, b]),
            "errors": np.concatenate([every, np.where(mated, -together, together)]),
        }
    )
    pairs = pairs.groupby(["unit_a", "unit_b"], as_index=False)["errors"].sum()
    pairs = pairs[pairs["errors"] > 0].reset_index(drop=True)
    threshold = np.nan if grouping.threshold is None else grouping.threshold
    return ErrorCounts(threshold, groups, units, pairs, complete=True)


def _pairs_together(
    labels: np.ndarray, unit: np.ndarray, units: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units a <= b that share clusters, and how many pairs of their faces do."""
    keys, n = np.unique(labels * units + unit, return_counts=True)
    cluster, who = keys // units, keys % units
    ends = np.searchsorted(cluster, cluster, side="right")
    many = ends - np.arange(len(keys))
    if many.sum() > MOST_PAIRS:
        raise BadInput(
            f"more than {MOST_PAIRS:,} pairs of subjects share a cluster: group at a higher "
            "threshold"
        )
    a = np.repeat(np.arange(len(keys)), many)
    b = a + np.arange(len(a)) - np.repeat(np.cumsum(many) - many, many)
    pairs = np.where(a == b, n[a] * (n[a] - 1) // 2, n[a] * n[b])
    key, place = np.unique(who[a] * units + who[b], return_inverse=True)
    return key // units, key % units, np.bincount(place, pairs).astype(np.int64)


def _own_pairs(owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of units a <= b of one subject, each unit with itself among them."""
    frame = pd.DataFrame({"owner": owner, "unit": np.arange(len(owner))})
    both = frame.merge(frame, on="owner")
    both = both[both["unit_x"] <= both["unit_y"]]
    return both["unit_x"].to_numpy(), both["unit_y"].to_numpy()


def clusters_of(grouping: Grouping) -> pd.DataFrame:
    """The clusters, those that hold the most people first.

    Returns
    -------
    DataFrame
        `cluster images subjects main_subject main_share false_pairs`: the subject with the most
        faces, its share of the cluster, and how many pairs of faces are of two subjects.
    """
    cells = _cells(grouping)
    frame = pd.DataFrame({"cluster": cells.cluster, "subject": cells.subject, "n": cells.n})
    frame = frame.sort_values(["cluster", "n"], ascending=[True, False], kind="stable")
    frame["pairs"] = frame["n"] * (frame["n"] - 1) // 2
    found = frame.groupby("cluster").agg(
        images=("n", "sum"),
        subjects=("n", "size"),
        main_subject=("subject", "first"),
        most=("n", "first"),
        pairs=("pairs", "sum"),
    )
    found["main_share"] = found["most"] / found["images"]
    found["false_pairs"] = found["images"] * (found["images"] - 1) // 2 - found["pairs"]
    _, names = pd.factorize(grouping.table["subject"])
    found["main_subject"] = names[found["main_subject"]]
    found = found.drop(columns=["most", "pairs"]).reset_index()
    order = np.lexsort((found["cluster"], -found["false_pairs"], -found["subjects"]))
    return found.iloc[order].reset_index(drop=True)


@as_annotated
def split_people(grouping: Grouping) -> pd.DataFrame:
    """The subjects whose faces are in more than one cluster, those in the most first.

    Parameters
    ----------
    grouping
        Its table says who is who.

    Returns
    -------
    DataFrame
        `subject images clusters largest_part`: the last is the share of their faces in the cluster
        that holds most of them.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> split = fl.split_people(fl.group_faces(people, threshold=0.5))
    >>> split.head(1).values.tolist()
    [['p00000028', 4, 2, 0.5]]
    """
    _check(grouping, "fl.split_people")
    cells = _cells(grouping)
    frame = pd.DataFrame({"subject": cells.subject, "n": cells.n})
    found = frame.groupby("subject")["n"].agg(images="sum", clusters="size", most="max")
    found = found[found["clusters"] > 1].reset_index()
    _, names = pd.factorize(grouping.table["subject"])
    found["largest_part"] = found["most"] / found["images"]
    order = np.lexsort((found["subject"], found["largest_part"], -found["clusters"]))
    found["subject"] = names[found["subject"]]
    return found.drop(columns="most").iloc[order].reset_index(drop=True)
