"""Comparisons: the scores of all pairs, of a pair list, or of somebody else's score file.

In: embeddings, or a frame of scores. Out: exact thresholds, error rates by group, curves. The
score of a pair is the dot product of its two float32 unit rows, accumulated in float64 and rounded
to float32; a match is score >= threshold.
"""

import warnings

import numpy as np
import pandas as pd

from facelab.comparisons import kernels
from facelab.comparisons.all_pairs import TILE, AllPairs
from facelab.comparisons.scores import EVERY_PAIR, SAME_GROUP, Histogram, ScoreList, tails
from facelab.comparisons.tiles import LONGEST
from facelab.embedders.embeddings import Embeddings, row_lengths
from facelab.errors import BadInput
from facelab.faces.groups import group_labels
from facelab.rates.counts import FEW_ERRORS, ErrorCounts


class Comparisons:
    """Scored comparisons of faces, whatever they came from.

    Made by `compare_all`, `compare_pairs` or `Comparisons.from_scores`.

    Attributes
    ----------
    groups
        The group labels, in the order of every table.
    warnings
        What a reader of the numbers must know, one sentence each.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> comparisons = fl.compare_all(people, by="group")
    >>> comparisons
    Comparisons(600 mated, 79,200 non-mated, ('a', 'b', 'c', 'd'))
    >>> rates = comparisons.error_rates(comparisons.threshold(fmr=1e-3))
    >>> rates.set_index("group")["fnmr"].round(3).to_dict()
    {'all': 0.043, 'a': 0.054, 'b': 0.017, 'c': 0.053, 'd': 0.056}
    >>> round(float(comparisons.eer()), 3)
    0.008
    """

    def __init__(self, scores: AllPairs | ScoreList, warnings: list[str]) -> None:
        self._scores = scores
        self._counts: dict[float, ErrorCounts] = {}
        self._thresholds: dict[tuple[float, str | None], float] = {}
        self.groups = scores.groups
        self.warnings = warnings

    @classmethod
    def from_scores(cls, frame: pd.DataFrame) -> "Comparisons":
        """Comparisons from a score file, such as a vendor's.

        Parameters
        ----------
        frame
            One row a comparison: `score` (any scale, higher = more alike), `mated` (true/false or
            1/0), `subject_a`, `subject_b`, and, to read rates by group, `group_a`, `group_b`.

        Raises
        ------
        BadInput
            A column is missing, a score is not a finite number, `mated` is not true or false or
            contradicts the subjects; the message names the row.
        """
        frame, groups, cautions = _checked_scores(frame)
        return cls(ScoreList(frame, groups), cautions)

    def __len__(self) -> int:
        return int(self._histogram.counts.sum())

    def __repr__(self) -> str:
        mated = int(self._histogram.scope(EVERY_PAIR)[1].sum())
        return f"Comparisons({mated:,} mated, {len(self) - mated:,} non-mated, {self.groups})"

    @property
    def _histogram(self) -> Histogram:
        return self._scores.histogram

    def _place(self, group: str | None) -> int:
        if group is None or group == "all":
            return EVERY_PAIR
        if group == "same-group" and self.groups:
            return SAME_GROUP
        if group not in self.groups:
            known = ", ".join(self.groups) or "none: compare with `by`"
            raise BadInput(f"there is no group {group!r}; the groups are: {known}")
        return self.groups.index(group)

    def threshold(self, fmr: float = 1e-3, group: str | None = None) -> float:
        """The smallest threshold at which FMR is no more than `fmr`.

        Exact: it lies one representable number above the (k + 1)-th highest non-mated score, where
        k false matches are allowed. Ties at that score are rejected together.

        Parameters
        ----------
        fmr
            Target in [0, 1), over all non-mated comparisons, across groups too, or over `group`.
        group
            Only comparisons within this group, or, with "same-group", within any: two people of one
            group are harder to tell apart than two of different ones.

        Warns
        -----
        UserWarning
            The comparisons allow fewer than 30 false matches, so that they cannot resolve `fmr`.
        """
        caution = self.resolution(fmr, group)
        if caution:
            warnings.warn(caution, stacklevel=2)
        return self._threshold(fmr, group)

    def _threshold(self, fmr: float, group: str | None = None) -> float:
        """`threshold` for callers that have asked `resolution` and pass its words on."""
        key = (fmr, group)
        if key not in self._thresholds:
            place = self._place(group)
            allowed = allowed_errors(fmr, int(self._histogram.scope(place)[0].sum()))
            self._thresholds[key] = self._scores.smallest(
                place, lambda false_matches, _: false_matches <= allowed
            )[0]
        return self._thresholds[key]

    def resolution(self, fmr: float, group: str | None = None) -> str:
        """A sentence when there are too few non-mated comparisons for a target FMR, else ""."""
        if not 0 <= fmr < 1:
            raise BadInput(f"the target FMR must be at least 0 and below 1, not {fmr}")
        n = int(self._histogram.scope(self._place(group))[0].sum())
        if n == 0:
            raise BadInput("there are no non-mated comparisons: a threshold needs two subjects")
        allowed = allowed_errors(fmr, n)
        if allowed >= FEW_ERRORS:
            return ""
        return (
            f"{n:,} non-mated comparisons allow {allowed} false matches at FMR {fmr:g}: fewer than "
            f"{FEW_ERRORS}, so the threshold is uncertain"
        )

    def counts(self, t: float) -> ErrorCounts:
        """Errors at threshold `t` for every pair of subjects: what the rates are made from."""
        if not np.isfinite(t):
            raise BadInput(f"the threshold must be a finite number, not {t}")
        t = float(t)
        if t not in self._counts:
            self._counts[t] = self._scores.errors(t)
        return self._counts[t]

    def error_rates(
        self, t: float, confidence: float = 0.95, small_samples: bool = False
    ) -> pd.DataFrame:
        """FMR and FNMR at threshold `t`, with intervals: see `ErrorCounts.rates`."""
        return self.counts(t).rates(confidence, small_samples)

    def cross_group(
        self, t: float, confidence: float = 0.95, small_samples: bool = False
    ) -> pd.DataFrame:
        """FMR at threshold `t` for every pair of groups: see `ErrorCounts.cross_group`."""
        return self.counts(t).cross_group(confidence, small_samples)

    def det(self, points: int = 200) -> pd.DataFrame:
        """Error rates over the thresholds, for DET and ROC curves.

        Returns
        -------
        pandas.DataFrame
            `group threshold fmr fnmr`, `all` first; exact at the thresholds listed; NaN where a
            group has no such comparisons.
        """
        edges = self._histogram.edges
        filled = np.flatnonzero(self._histogram.scope(EVERY_PAIR).sum(axis=0))
        chosen = np.unique(np.linspace(filled[0], filled[-1] + 1, points).round().astype(int))
        frames = []
        for place in range(-1, len(self.groups)):
            false_matches, false_non_matches = tails(self._histogram.scope(place))
            with np.errstate(invalid="ignore"):
                frame = pd.DataFrame(
                    {
                        "group": "all" if place < 0 else self.groups[place],
                        "threshold": edges[chosen],
                        "fmr": false_matches[chosen] / false_matches[0],
                        "fnmr": false_non_matches[chosen] / false_non_matches[-1],
                    }
                )
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def eer(self, group: str | None = None) -> float:
        """The equal error rate: mean of FMR and FNMR at the smallest threshold with FMR <= FNMR."""
        place = self._place(group)
        non_mated, mated = self._histogram.scope(place).sum(axis=1)
        if not non_mated or not mated:
            raise BadInput("an equal error rate needs mated and non-mated comparisons")

        def enough(false_matches: np.ndarray, false_non_matches: np.ndarray) -> np.ndarray:
            return false_matches * int(mated) <= false_non_matches * int(non_mated)

        _, false_matches, false_non_matches = self._scores.smallest(place, enough)
        return (false_matches / non_mated + false_non_matches / mated) / 2

    def histograms(self, bins: int = 200) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Score distributions: group -> (edges, mated counts, non-mated counts), `all` first.

        A bin holds the scores in [edge, next edge).
        """
        edges = self._histogram.edges
        filled = np.flatnonzero(self._histogram.scope(EVERY_PAIR).sum(axis=0))
        step = max(1, -(-(filled[-1] + 1 - filled[0]) // bins))
        starts = np.arange(filled[0], filled[-1] + 1, step)
        ends = np.append(edges[starts], edges[min(starts[-1] + step, len(edges) - 1)])
        result = {}
        for place in range(-1, len(self.groups)):
            counts = np.add.reduceat(self._histogram.scope(place), starts, axis=1)
            result["all" if place < 0 else self.groups[place]] = (ends, counts[1], counts[0])
        return result


def compare_all(
    embeddings: Embeddings,
    by: str | list[str] | None = None,
    tile: int = TILE,
    jobs: int | None = None,
    screened: bool | None = None,
    device: str = "cpu",
) -> Comparisons:
    """Compare every face with every other: N (N - 1) / 2 scores, counted exactly.

    Memory is one tile of scores and the counts, whatever N; the 10 million highest scores are
    kept, so that most thresholds need no second multiplication.

    Parameters
    ----------
    embeddings
        Unit rows and their table.
    by
        Group column, or several for their intersection. Faces without a label count in `all` only.
    tile
        Faces along a tile's side.
    jobs
        Processes, through joblib and the backend that is configured there; None takes all
        processors from 30,000 faces on.
    screened
        Look for the errors at a threshold with int8 products, which are faster, and score again
        what they cannot decide; None does so where it pays and memory stays below 1.5 GB.
    device
        Where products are made: "cpu", or a torch device such as "cuda", on which one process
        works.

    The results depend on none of the last four.

    Raises
    ------
    BadInput
        Fewer than two faces, an unknown column, a row that is not of length 1, an image twice.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> comparisons = fl.compare_all(people, by="group")
    >>> rates = comparisons.error_rates(comparisons.threshold(fmr=1e-3))
    >>> rates[["group", "mated", "non_mated", "false_matches"]].head(3).values.tolist()
    [['all', 600, 79200, 79], ['a', 168, 6048, 4], ['b', 174, 6496, 12]]
    """
    check_embeddings(embeddings)
    subject, labels, cautions = _people(embeddings.table, by)
    scores = AllPairs(embeddings.vectors, subject, labels, tile, jobs, screened, device)
    return Comparisons(scores, cautions)


def compare_pairs(
    embeddings: Embeddings, pairs: pd.DataFrame, by: str | list[str] | None = None
) -> Comparisons:
    """Compare the listed pairs of faces.

    Parameters
    ----------
    embeddings
        Unit rows and their table.
    pairs
        One row a comparison: `row_a`, `row_b` (positions), or `image_a`, `image_b`. With a column
        `mated`, it must agree with the subjects.
    by
        Group column, or several for their intersection.

    Raises
    ------
    BadInput
        The columns are missing, an image is not among the embeddings, a face meets itself, `mated`
        contradicts the subjects.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> people, _ = fl.crowd(100, images=2, dim=64)
    >>> pairs = pd.DataFrame({"row_a": range(0, 198), "row_b": range(1, 199)})
    >>> comparisons = fl.compare_pairs(people, pairs)
    >>> comparisons.error_rates(0.5)[["mated", "non_mated", "false_matches"]].values.tolist()
    [[99, 99, 1]]
    """
    check_embeddings(embeddings)
    a, b = pair_rows(embeddings.table, pairs)
    subject, labels, cautions = _people(embeddings.table, by)
    names = np.asarray(labels.cat.categories, dtype=object)
    group = np.append(names, None)[labels.cat.codes]
    frame = pd.DataFrame({"score": pair_scores(embeddings.vectors, a, b)})
    for side, rows in (("a", a), ("b", b)):
        frame[f"subject_{side}"] = subject[rows]
        frame[f"image_{side}"] = rows
        frame[f"group_{side}"] = group[rows]
    truth = subject[a] == subject[b]
    mated = truth_of(pairs["mated"]) if "mated" in pairs.columns else truth
    if (mated != truth).any():
        row = int(np.flatnonzero(mated != truth)[0])
        raise BadInput(f"pair {row} says mated = {mated[row]}, but its subjects say otherwise")
    frame["mated"] = truth
    twice = pd.DataFrame({"a": np.minimum(a, b), "b": np.maximum(a, b)}).duplicated().sum()
    if twice:
        cautions.append(f"{twice} pairs are listed more than once and count each time")
    return Comparisons(ScoreList(frame, tuple(names)), cautions)


def check_embeddings(embeddings: Embeddings) -> None:
    """Refuse what cannot be compared: fewer than two faces, an image twice, rows not of length 1.

    Raises
    ------
    BadInput
        Names the first bad image.
    """
    table, vectors = embeddings.table, embeddings.vectors
    if len(table) < 2:
        raise BadInput(f"a comparison needs two faces; there is {len(table)}")
    if table["subject"].isna().any():
        row = int(np.flatnonzero(table["subject"].isna())[0])
        raise BadInput(f"row {row} has no subject: name who it is or leave the row out")
    images = image_names(table)
    twice = images.duplicated()
    if twice.any():
        name = images[twice].iloc[0]
        raise BadInput(f"image {name!r} is there twice: keep one row an image")
    lengths = row_lengths(vectors)
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= LONGEST - 1))
    if len(bad):
        length = lengths[bad[0]]
        why = f"has length {length:.4g}" if np.isfinite(length) else "is not finite"
        raise BadInput(
            f"the vector of image {images.iloc[bad[0]]!r} (row {bad[0]}) {why}: unit rows are "
            "needed, as Embeddings.from_arrays makes them"
        )


def image_names(table: pd.DataFrame) -> pd.Series:
    """The images' names by row; row numbers where the table does not name them."""
    names = table["image"] if "image" in table.columns else pd.Series(range(len(table)))
    return names.astype(str).reset_index(drop=True)


def pair_rows(table: pd.DataFrame, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The two row numbers of each listed pair, given by `row_a, row_b` or `image_a, image_b`."""
    if {"row_a", "row_b"} <= set(pairs.columns):
        a, b = (pairs[side].to_numpy(dtype=np.int64) for side in ("row_a", "row_b"))
        outside = (np.minimum(a, b) < 0) | (np.maximum(a, b) >= len(table))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise BadInput(f"pair {row} names a row outside 0..{len(table) - 1}")
    elif {"image_a", "image_b"} <= set(pairs.columns):
        index = pd.Index(image_names(table))
        a, b = (index.get_indexer(pairs[side].astype(str)) for side in ("image_a", "image_b"))
        unknown = (a < 0) | (b < 0)
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            name = pairs["image_a" if a[row] < 0 else "image_b"].iloc[row]
            raise BadInput(
                f"image {name!r} of pair {row} is not among the embeddings "
                f"({int(unknown.sum())} such pairs): embed it or leave the pair out"
            )
    else:
        raise BadInput("pairs need the columns row_a, row_b or image_a, image_b")
    if not len(a):
        raise BadInput("the list holds no pairs")
    if (a == b).any():
        raise BadInput(f"pair {int(np.flatnonzero(a == b)[0])} compares a face with itself")
    return a, b


def pair_scores(vectors: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The scores of listed pairs of rows, float32."""
    return kernels.score_pairs(np.asarray(vectors), a, b)


def _people(
    table: pd.DataFrame, by: str | list[str] | None
) -> tuple[np.ndarray, pd.Series, list[str]]:
    """Subjects, group labels, and what is to be said about them."""
    subject = table["subject"].astype(str).to_numpy(dtype=object)
    if by is None:
        labels = pd.Series(pd.Categorical([None] * len(table), categories=[]), index=table.index)
        return subject, labels, []
    labels, cautions = group_labels(table, by), []
    missing = int(labels.isna().sum())
    if missing:
        cautions.append(
            f"{missing:,} of {len(table):,} images have no {labels.name} label: they count in "
            "`all` and in no group"
        )
    known = labels.notna().to_numpy()
    kinds = pd.Series(labels.cat.codes.to_numpy()[known]).groupby(subject[known]).nunique()
    mixed = kinds.index[kinds > 1]
    if len(mixed):
        cautions.append(
            f"{len(mixed)} subjects bear more than one {labels.name} label (first: {mixed[0]}): "
            "their mated comparisons across labels count in `all` only"
        )
    return subject, labels, cautions


def _checked_scores(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    """A score file in our columns and types, its groups, and what is to be said about it."""
    wanted = ["score", "mated", "subject_a", "subject_b"]
    lacking = [name for name in wanted if name not in frame.columns]
    if lacking:
        raise BadInput(f"the scores lack the columns {', '.join(lacking)}; needed: {wanted}")
    if not len(frame):
        raise BadInput("the score file holds no comparisons")
    has_groups = [side for side in ("group_a", "group_b") if side in frame.columns]
    if len(has_groups) == 1:
        raise BadInput(f"the scores have {has_groups[0]} but not its counterpart: give both")

    scores = pd.to_numeric(frame["score"], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        value = frame["score"].iloc[bad[0]]
        raise BadInput(
            f"score {value} in row {bad[0]} is not a finite number ({len(bad)} such rows): "
            "leave failed comparisons out and report them as failures to acquire"
        )
    checked = pd.DataFrame({"score": scores, "mated": truth_of(frame["mated"])})
    for side in ("subject_a", "subject_b"):
        missing = np.flatnonzero(frame[side].isna())
        if len(missing):
            raise BadInput(f"row {missing[0]} has no {side}: intervals need to know who it is")
        checked[side] = frame[side].astype(str).to_numpy(dtype=object)
    same = (checked["subject_a"] == checked["subject_b"]).to_numpy()
    wrong = np.flatnonzero(checked["mated"].to_numpy() != same)
    if len(wrong):
        row = checked.iloc[wrong[0]]
        raise BadInput(
            f"row {wrong[0]} says mated = {row['mated']}, but its subjects are "
            f"{row['subject_a']!r} and {row['subject_b']!r} ({len(wrong)} such rows)"
        )
    for side in ("a", "b"):
        if f"image_{side}" in frame.columns:
            checked[f"image_{side}"] = frame[f"image_{side}"].to_numpy()
    if not has_groups:
        return checked, (), []
    cautions = []
    for side in has_groups:
        labels = frame[side].astype(object)
        checked[side] = labels.where(labels.isna(), labels.astype(str)).to_numpy(dtype=object)
    unlabelled = int(checked[has_groups].isna().any(axis=1).sum())
    if unlabelled:
        cautions.append(f"{unlabelled:,} of {len(checked):,} comparisons lack a group label")
    groups = pd.unique(pd.concat([checked[side] for side in has_groups]).dropna())
    return checked, tuple(sorted(groups)), cautions


def truth_of(column: pd.Series) -> np.ndarray:
    """The column `mated` as booleans, from booleans, 1/0, or the words true/false."""
    words = column.astype(str).str.strip().str.lower()
    truth = words.map(
        {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
    )
    if truth.isna().any():
        row = int(np.flatnonzero(truth.isna())[0])
        raise BadInput(f"mated is {column.iloc[row]!r} in row {row}: give true or false, or 1 or 0")
    return truth.to_numpy(dtype=bool)


def allowed_errors(fmr: float, comparisons: int) -> int:
    """The most false matches k for which k / comparisons <= fmr holds as written."""
    allowed = int(fmr * comparisons)
    while (allowed + 1) / comparisons <= fmr:
        allowed += 1
    while allowed / comparisons > fmr:
        allowed -= 1
    return allowed
