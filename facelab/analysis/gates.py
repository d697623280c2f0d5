"""Whom a gate of quality refuses, and what refusing does to errors, by group.

In: a table of faces with scores of quality, missing where nothing could be assessed. Out: tables.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.analysis.by_group import analysis_audit
from facelab.analysis.labelled import check_frame, labelled
from facelab.analysis.pairs import contrasts_of_shares
from facelab.analysis.tallies import Places, shares, with_columns
from facelab.arguments import as_annotated
from facelab.errors import BadInput
from facelab.faces.groups import group_keys
from facelab.rates.contrasts import holm

_PLAIN = ("face", "faces", "offset", "box_left", "box_top", "box_width", "box_height", "age")
_BEGINNINGS = ("predicted_", "score_", "raters_")


class QualityGates(NamedTuple):
    """Who is refused by which component.

    Attributes
    ----------
    rates
        `component group subjects images unassessed unassessed_rate cut refused refused_rate` and
        intervals; `all` first in every component.
    contrasts
        Every two groups' shares refused, the higher over the lower, a component at a time;
        `p_holm` allows for all pairs of all components.
    """

    rates: pd.DataFrame
    contrasts: pd.DataFrame


@as_annotated
def quality_gates(
    faces: pd.DataFrame,
    by: str | list[str],
    components: list[str] | str | None = None,
    share: float = 0.1,
    cut: float | None = None,
    subject: str = "subject",
    confidence: float = 0.95,
) -> QualityGates:
    """Which component of quality refuses whom?

    Parameters
    ----------
    faces
        One row a face, with groups and scores: what `fl.datasets.ofiq_quality` gives, put beside
        the faces by `fl.match_images`. A missing score is a failure to assess: it is counted by
        itself, and never as a low score.
    by
        A group column, or several for their intersection.
    components
        Columns of scores, higher is better; by default every column of numbers that is not about
        predictions, boxes or age.
    share
        Of all faces assessed: at most so many are refused by each component.
    cut
        The score below which a face is refused, for every component; instead of `share`.
    subject
        The column that says whose face it is. Intervals are over people.
    confidence
        Of all intervals.

    Raises
    ------
    BadInput
        A column is not there or holds no numbers, or `share` is not between 0 and 1.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> faces = pd.DataFrame({"tone": ["dark", "light"] * 50, "Sharpness": range(100)})
    >>> faces["UnderExposurePrevention"] = [10, 90] * 50
    >>> gates = fl.quality_gates(faces, by="tone", cut=50)
    >>> gates.rates[["component", "group", "refused_rate"]].values.tolist()
    [['Sharpness', 'all', 0.5], ['Sharpness', 'dark', 0.5], ['Sharpness', 'light', 0.5],
    ['UnderExposurePrevention', 'all', 0.5], ['UnderExposurePrevention', 'dark', 1.0],
    ['UnderExposurePrevention', 'light', 0.0]]
    """
    by = group_keys(by)
    if not 0 < share < 1:
        raise BadInput(f"share is a part of all faces, such as 0.1, not {share}")
    named = [components] if isinstance(components, str) else components
    faces = check_frame(faces, [*by, *(named or [])])
    names = named or _components(faces, [*by, subject])
    everybody = np.ones(len(faces), bool)
    why = pd.Series("", index=faces.index)
    bare = faces.drop(columns="status", errors="ignore")  # which is about what was predicted
    found = labelled(bare, by, everybody, everybody, why, "image", subject)
    row, column, groups = Places.of(found.codes, found.groups)
    who, size = found.subject[row], len(groups)
    rates, pairs = [], []
    for name in names:
        score = _scores(faces, name)
        known = np.isfinite(score)
        if not known.any():
            raise BadInput(f"{name!r} holds no score: nothing could be assessed")
        limit = _cut(score[known], share) if cut is None else float(cut)
        lost = shares(who, column, ~known[row], size, confidence)
        inside = known[row]
        out = shares(who[inside], column[inside], score[row][inside] < limit, size, confidence)
        part = with_columns(
            groups,
            subjects=lost.subjects,
            images=lost.sums.comparisons.astype(np.int64),
            unassessed=lost.sums.errors.astype(np.int64),
            **lost.columns("unassessed_rate"),
            cut=np.full(size, limit),
            refused=out.sums.errors.astype(np.int64),
            **out.columns("refused_rate"),
        )
        part.insert(0, "component", name)
        rates.append(part)
        pairs.append(contrasts_of_shares(out, groups, confidence))
        pairs[-1].insert(0, "component", name)
    contrasts = pd.concat(pairs, ignore_index=True)
    contrasts["p_holm"] = holm(contrasts["p"].to_numpy())
    order = ["p_holm", "p", "difference"]
    contrasts = contrasts.sort_values(order, ascending=[True, True, False], ignore_index=True)
    return QualityGates(pd.concat(rates, ignore_index=True), contrasts)


@as_annotated
def error_against_discard(
    predictions: pd.DataFrame,
    truth: str,
    by: str | list[str],
    quality: str = "quality",
    discarded: Sequence[float] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5),
    predicted: str | None = None,
    *,
    kind: str | None = None,
    subject: str = "subject",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """What refusing the poorest photos does to errors of face analysis, by group.

    One cut for everybody (Grother and Tabassi 2007), so that groups lose different shares.

    Parameters
    ----------
    predictions
        As for `fl.analysis_audit`, with a column of quality.
    truth, by, predicted, kind, subject, confidence
        As for `fl.analysis_audit`, of which every part of the table is.
    quality
        A column of scores, higher is better. Faces without a score are in no part: they are counted
        in `unassessed`.
    discarded
        Shares of the assessed faces to refuse, at most: of equal scores all or none are refused.

    Returns
    -------
    pandas.DataFrame
        `discarded` (the share asked for) `cut group unassessed refused_rate` (share of the group's
        assessed faces that is refused) and the columns of `AnalysisAudit.rates` of those kept.

    Raises
    ------
    BadInput
        A share outside [0, 1), no score, or what `fl.analysis_audit` refuses.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gender": ["female", "male"] * 50, "quality": range(100)})
    >>> frame["predicted_gender"] = ["female", "female"] * 10 + ["female", "male"] * 40
    >>> curve = fl.error_against_discard(frame, "gender", "gender", discarded=[0, 0.2])
    >>> curve[["discarded", "group", "refused_rate", "error"]].values.tolist()
    [[0.0, 'all', 0.0, 0.1], [0.0, 'female', 0.0, 0.0], [0.0, 'male', 0.0, 0.2],
    [0.2, 'all', 0.2, 0.0], [0.2, 'female', 0.2, 0.0], [0.2, 'male', 0.2, 0.0]]
    """
    by = group_keys(by)
    frame = check_frame(predictions, [truth, *by, quality])
    score = _scores(frame, quality)
    known = np.isfinite(score)
    if not known.any():
        raise BadInput(f"{quality!r} holds no score: nothing could be assessed")

    def rates_of(rows: np.ndarray) -> pd.DataFrame:
        audit = analysis_audit(
            frame[rows], truth, by, predicted,
            kind=kind, subject=subject, confidence=confidence, replicates=2,
        )  # fmt: skip
        return audit.rates.set_index("group")

    whole = rates_of(np.ones(len(frame), bool))["images"]
    assessed = rates_of(known)["images"].reindex(whole.index).fillna(0)
    parts = []
    for share in discarded:
        if not 0 <= share < 1:
            raise BadInput(f"a share discarded must be at least 0 and below 1, not {share}")
        limit = _cut(score[known], share)
        rates = rates_of(known & (score >= limit)).reindex(whole.index)
        rates["images"] = rates["images"].fillna(0).astype(np.int64)
        rates["note"] = rates["note"].where(rates["images"] > 0, "all are refused")
        lost = (assessed - rates["images"]) / assessed.where(assessed > 0)
        rates.insert(0, "refused_rate", lost)
        rates.insert(0, "unassessed", (whole - assessed).astype(np.int64))
        part = rates.reset_index()
        part.insert(0, "cut", limit)
        part.insert(0, "discarded", float(share))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _components(faces: pd.DataFrame, others: list[str]) -> list[str]:
    numbers = [
        name
        for name in faces.select_dtypes("number")
        if name not in (*_PLAIN, *others) and not str(name).startswith(_BEGINNINGS)
    ]
    if not numbers:
        raise BadInput(
            "the table has no scores of quality: put them beside the faces with "
            "fl.match_images(faces, fl.datasets.ofiq_quality(path))"
        )
    return numbers


def _scores(faces: pd.DataFrame, name: str) -> np.ndarray:
    score = pd.to_numeric(faces[name], errors="coerce")
    if (score.isna() & faces[name].notna()).any() or pd.api.types.is_bool_dtype(faces[name]):
        raise BadInput(f"{name!r} holds something that is no score: give numbers, higher is better")
    if (score < 0).any():
        raise BadInput(
            f"{name!r} holds scores below 0: a failure to assess (OFIQ's -1) is no score, read the "
            "table with fl.datasets.ofiq_quality"
        )
    return score.to_numpy(np.float64, na_value=np.nan)


def _cut(score: np.ndarray, share: float) -> float:
    """The highest score below which at most this share lies."""
    return float(np.sort(score)[int(np.floor(share * len(score) + 1e-9))])
