"""Protocols: how published numbers are made, so that ours can stand beside them.

In: scores of listed pairs and their folds, or comparisons. Out: accuracy with its spread over
folds, overall and by group beside the rates at one global threshold; TAR at a FAR; ROC curves.
"""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.counted import Comparisons
from facelab.comparisons.given import check_embeddings, check_frame
from facelab.comparisons.pairs import check_truth, pair_rows, pair_scores, truth_of
from facelab.comparisons.score_files import Higher, as_scores, separation, towards_alike
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_kind
from facelab.errors import BadInput, a_kind, check_option, there_are, warn
from facelab.faces.names import as_names


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


@as_annotated
def pair_accuracy(
    scores: Embeddings | np.ndarray, pairs: pd.DataFrame, higher: Higher = "similar"
) -> PairAccuracy:
    """The unshuffled k-fold protocol of LFW, CFP-FP, AgeDB and RFW.

    Accuracy is not an error rate at a global threshold: report both, and say which is which.

    The threshold of a fold is the one with the highest accuracy on the other folds, among their
    scores and "above all of them"; of equally good ones the lowest.

    Parameters
    ----------
    scores
        Embeddings, or one score a pair.
    pairs
        `fold` and `mated`, and with embeddings `image_a`, `image_b` or `row_a`, `row_b`.
    higher
        What a higher score means, as in `Comparisons.from_scores`: thresholds of distances are
        distances, and a pair is accepted at the threshold and below.

    Raises
    ------
    BadInput
        A column is missing, there are fewer than two folds, the lengths differ, a score is not a
        number, an image is not among the embeddings, scores point the other way, `mated`
        contradicts the embeddings' subjects.

    Warns
    -----
    UserWarning
        The scores tell mated pairs from others no better than chance.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"fold": [1] * 4 + [2] * 4, "mated": [True, True, False, False] * 2})
    >>> accuracy = fl.pair_accuracy([0.8, 0.7, 0.3, 0.1, 0.9, 0.4, 0.5, 0.2], pairs)
    >>> accuracy.mean, accuracy.folds["accuracy"].tolist()
    (0.875, [1.0, 0.75])
    """
    check_frame(pairs, "the pairs", ["fold", "mated"])
    check_option("higher", higher, get_args(Higher))
    mated, fold = truth_of(pairs["mated"]), as_names(pairs["fold"], "fold")
    if isinstance(scores, Embeddings):
        scores = _scores_of(scores, pairs, mated)
    scores = towards_alike(_one_a_pair(scores, pairs), higher)
    for doubt in separation(scores, mated, higher):
        warn(doubt)
    return _over_folds(scores, mated, fold, pairs["fold"], higher)


def _scores_of(embeddings: Embeddings, pairs: pd.DataFrame, mated: np.ndarray) -> np.ndarray:
    check_embeddings(embeddings, "pair_accuracy")
    a, b = pair_rows(embeddings.table, pairs)
    subject = embeddings.table["subject"].to_numpy(object)
    both = pd.DataFrame({"a": subject[a], "b": subject[b]})
    check_truth(mated, (both["a"] == both["b"]).to_numpy(), both, "pair")
    return pair_scores(embeddings.vectors, a, b)


def _one_a_pair(scores: Any, pairs: pd.DataFrame) -> np.ndarray:
    if not np.ndim(scores) or isinstance(scores, pd.DataFrame):
        check_kind(scores, "a protocol", "embeddings or one score a pair")
    column = pd.Series(np.asarray(scores).ravel())
    if np.shape(scores) != (len(pairs),):
        shape = np.shape(scores)
        raise BadInput(f"{len(pairs)} pairs need as many scores, not an array {shape}")
    values = as_scores(column)
    return values.astype(column.dtype) if column.dtype.kind == "f" else values


def _over_folds(
    scores: np.ndarray, mated: np.ndarray, fold: pd.Series, told: pd.Series, higher: Higher
) -> PairAccuracy:
    if fold.isna().any():
        raise BadInput(f"pair {int(np.flatnonzero(fold.isna())[0])} is in no fold: name its fold")
    names = fold.drop_duplicates()
    if len(names) < 2:
        raise BadInput(f"the protocol needs two folds or more, not {len(names)}")
    rows = []
    for row, name in zip(np.flatnonzero(~fold.duplicated()), names, strict=True):
        here = (fold == name).to_numpy()
        threshold = _best_threshold(scores[~here], mated[~here])
        accuracy = float(np.mean((scores[here] >= threshold) == mated[here]))
        shown = threshold if higher == "similar" else 0.0 - threshold
        rows.append((told.iloc[row], int(here.sum()), shown, accuracy))
    folds = pd.DataFrame(rows, columns=["fold", "pairs", "threshold", "accuracy"])
    return PairAccuracy(
        float(folds["accuracy"].mean()), float(folds["accuracy"].std(ddof=0)), 0, folds
    )


@as_annotated
def accuracy_by_group(
    scores: Embeddings | np.ndarray,
    pairs: pd.DataFrame,
    by: str = "group",
    fmr: float = 1e-2,
    higher: Higher = "similar",
) -> pd.DataFrame:
    """Two answers to "whom does it fail?", side by side, for a pair list with groups such as RFW's.

    `accuracy` is the usual table of RFW: `pair_accuracy` on the pairs of each group alone, so that
    each group is judged at thresholds of **its own**. It says how well the group's pairs can be
    told apart, by somebody who knows the group and tunes for it. It is no differential: a group
    whose scores all lie higher has the same accuracy and far more false matches.

    `fmr` and `fnmr` are read at **one global threshold**, the same for everybody, which all
    non-mated pairs of the list set together. They say what happens to each group in use. A
    demographic differential is read here.

    Parameters
    ----------
    scores
        Embeddings, or one score a pair.
    pairs
        `fold`, `mated` and the column `by`; with embeddings `image_a`, `image_b` or `row_a`,
        `row_b`; with scores `subject_a`, `subject_b`, and, to count images, `image_a`, `image_b`.
    by
        The column of `pairs` that names the group of both sides. Pairs without a label count in
        `all` only.
    fmr
        The FMR that the global threshold allows over all pairs. 3,000 non-mated pairs a group
        cannot resolve much less than 0.01.
    higher
        What a higher score means, as in `Comparisons.from_scores`.

    Returns
    -------
    pandas.DataFrame
        First `all`, then each group: `group pairs accuracy accuracy_std ddof`, the lowest and
        highest threshold of its folds `own_threshold_low own_threshold_high`, the global
        `threshold`, and as in `Comparisons.error_rates` at it `subjects images mated non_mated fmr
        fmr_low fmr_high fnmr fnmr_low fnmr_high note`. In the row `all` the folds of the groups
        are joined by name, so that a fold's threshold is common to all groups. A group in fewer
        than two folds has no accuracy, and a note that says so.

    Raises
    ------
    BadInput
        As `pair_accuracy` and `Comparisons.from_scores`; the column `by` is not there.

    Warns
    -----
    UserWarning
        The list allows fewer than 30 false matches at `fmr`.

    Notes
    -----
    Accuracy at thresholds of each group's own: Wang et al. 2019 (RFW). That it cannot be read as a
    differential: Vangara et al. 2019, who call such a comparison not relevant for fixed thresholds.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"fold": [1, 1, 2, 2] * 2, "mated": [True, False] * 4})
    >>> pairs["group"] = ["a"] * 4 + ["b"] * 4
    >>> pairs["subject_a"], pairs["subject_b"] = "p", pairs["mated"].map({True: "p", False: "q"})
    >>> scores = [0.8, 0.1, 0.9, 0.2, 0.8, 0.6, 0.9, 0.7]  # b's strangers score higher
    >>> table = fl.accuracy_by_group(scores, pairs, fmr=0.25)
    >>> table.set_index("group")[["accuracy", "fmr"]].to_dict("index")
    {'all': {'accuracy': 0.75, 'fmr': 0.25}, 'a': {'accuracy': 0.75, 'fmr': 0.0}, 'b': {'accuracy':
    0.75, 'fmr': 0.5}}
    """
    check_frame(pairs, "the pairs", ["fold", "mated"])
    if by not in pairs.columns:
        raise BadInput(
            f"the pairs have no column {by!r}{there_are(by, pairs.columns, 'they have')}"
        )
    pairs = pairs.reset_index(drop=True)
    frame = pd.DataFrame({"mated": pairs["mated"], "group_a": pairs[by], "group_b": pairs[by]})
    if isinstance(scores, Embeddings):
        check_embeddings(scores, "accuracy_by_group")
        rows = pair_rows(scores.table, pairs)
        people = scores.table["subject"].to_numpy()
        for side, place in zip("ab", rows, strict=True):
            frame[f"subject_{side}"], frame[f"image_{side}"] = people[place], place
        scores = pair_scores(scores.vectors, *rows)
    else:
        columns = [f"{what}_{side}" for what in ("subject", "image") for side in "ab"]
        frame = frame.join(pairs[[column for column in columns if column in pairs.columns]])
    accuracies = {"all": pair_accuracy(scores, pairs, higher)}
    frame["score"] = scores = np.asarray(scores)
    comparisons = Comparisons.from_scores(frame, higher)
    threshold = comparisons.threshold(fmr=fmr)
    rates = comparisons.error_rates(threshold, small_samples=True)
    names = as_names(frame["group_a"], by)
    for group in comparisons.groups:
        inside = (names == group).to_numpy()
        if pairs["fold"][inside].nunique() > 1:
            accuracies[group] = pair_accuracy(scores[inside], pairs[inside], higher)
        else:
            note = rates["note"].where(rates["note"] == "", rates["note"] + "; ")
            lone = rates["group"] == group
            rates.loc[lone, "note"] = note[lone] + "fewer than two folds: no protocol accuracy"
    own = pd.DataFrame(
        [
            (
                group,
                result.folds["pairs"].sum(),
                result.mean,
                result.std,
                result.ddof,
                result.folds["threshold"].min(),
                result.folds["threshold"].max(),
            )
            for group, result in accuracies.items()
        ],
        columns=[
            *("group", "pairs", "accuracy", "accuracy_std", "ddof"),
            *("own_threshold_low", "own_threshold_high"),
        ],
    )
    rates.insert(1, "threshold", threshold)
    table = own.merge(rates, on="group", how="right")
    table["pairs"] = table["mated"] + table["non_mated"]
    return table.astype({"ddof": "Int64"})


@dataclass(frozen=True)
class TarAtFar:
    """The share of mated comparisons accepted at the threshold of a FAR.

    Attributes
    ----------
    far
        The FAR asked for.
    group
        The group whose comparisons set the threshold and were counted; "all" for everybody's.
    threshold
        The smallest one with FMR <= `far`.
    tar, tar_low, tar_high
        1 - FNMR with its interval, in which the threshold counts as given.
    mated, non_mated
        The comparisons counted.
    reached
        The FMR at the threshold.
    note
        What a reader must know before quoting it.
    """

    far: float
    group: str
    threshold: float
    tar: float
    tar_low: float
    tar_high: float
    mated: int
    non_mated: int
    reached: float
    note: str

    def __str__(self) -> str:
        return (
            f"TAR {self.tar:.2%} [{self.tar_low:.2%}, {self.tar_high:.2%}] at FAR {self.far:g} "
            f"({self.group}, threshold {self.threshold:.4g})"
        )


@as_annotated
def tar_at_far(
    comparisons: Comparisons, far: float, group: str | None = None, confidence: float = 0.95
) -> TarAtFar:
    """TAR@FAR: 1 - FNMR at the threshold that allows a false match rate (FAR is FMR here).

    With a `group` the threshold is the group's own, as in the model zoos' tables by race. That is
    no differential at a global threshold: for one, read FNMR and FMR of all the groups from
    ``comparisons.error_rates(comparisons.threshold(far))``.

    Parameters
    ----------
    comparisons
        From `compare_all`, `compare_pairs` or `Comparisons.from_scores`.
    far
        The false match rate allowed, in [0, 1).
    group
        Only comparisons within this group; None takes all, across groups too.
    confidence
        Of the interval, which is that of `Comparisons.error_rates` with `small_samples`.

    Raises
    ------
    BadInput
        There is no such group, or it lacks mated or non-mated comparisons.

    Warns
    -----
    UserWarning
        There are too few non-mated comparisons for this FAR.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> at = fl.tar_at_far(fl.compare_all(people), far=1e-3)
    >>> round(at.tar, 2), round(at.tar_low, 2), round(at.tar_high, 2), at.mated
    (0.96, 0.93, 0.97, 600)
    """
    _check_comparisons(comparisons, "fl.tar_at_far")
    threshold = comparisons.threshold(fmr=far, group=group)
    rates = comparisons.error_rates(threshold, confidence, small_samples=True)
    row = rates[rates["group"] == (group or "all")].iloc[0]
    if not row["mated"]:
        raise BadInput("TAR needs mated comparisons: a subject with two images")
    return TarAtFar(
        far=far,
        group=row["group"],
        threshold=threshold,
        tar=float(1 - row["fnmr"]),
        tar_low=float(1 - row["fnmr_high"]),
        tar_high=float(1 - row["fnmr_low"]),
        mated=int(row["mated"]),
        non_mated=int(row["non_mated"]),
        reached=float(row["fmr"]),
        note=row["note"],
    )


@as_annotated
def roc(comparisons: Comparisons, points: int = 200) -> pd.DataFrame:
    """The ROC curve of everybody and of each group, from `Comparisons.det`.

    Parameters
    ----------
    comparisons
        From `compare_all`, `compare_pairs` or `Comparisons.from_scores`.
    points
        Thresholds, at most.

    Returns
    -------
    pandas.DataFrame
        `group threshold far tar`, `all` first; far = FMR and tar = 1 - FNMR, exact at the
        thresholds listed, which are the same for all groups; NaN where a group has no such
        comparisons.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> curve = fl.roc(fl.compare_all(people, by="group"), points=50)
    >>> list(curve.columns), curve["group"].unique().tolist()
    (['group', 'threshold', 'far', 'tar'], ['all', 'a', 'b', 'c', 'd'])
    """
    _check_comparisons(comparisons, "fl.roc")
    curve = comparisons.det(points)
    curve["tar"] = 1 - curve.pop("fnmr")
    return curve.rename(columns={"fmr": "far"})[["group", "threshold", "far", "tar"]]


def _check_comparisons(value: Any, verb: str) -> None:
    if not isinstance(value, Comparisons):
        raise BadInput(
            f"{verb} takes comparisons, not {a_kind(value)}: fl.compare_all(embeddings) makes them"
        )


def _best_threshold(scores: np.ndarray, mated: np.ndarray) -> float:
    """The lowest of the most accurate thresholds; infinite when rejecting everything is best."""
    values, place = np.unique(scores, return_inverse=True)
    gain = np.bincount(place, np.where(mated, 1, -1), minlength=len(values))
    # Accepting from a value upwards gains the mated scores there and loses the non-mated ones.
    accepted = np.append(np.cumsum(gain[::-1])[::-1], 0)
    best = int(np.argmax(accepted))
    return float(values[best]) if best < len(values) else float("inf")
