"""Score files as people have them: in our columns, with direction and unit of the scores checked.

In: a frame of scored comparisons, and which way its scores point. Out: the frame for `ScoreList`,
higher = more alike, its groups, and what a reader of the numbers must know.
"""

import re
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from facelab.comparisons.given import check_frame
from facelab.comparisons.pairs import check_truth, truth_of
from facelab.errors import BadInput, check_option, how_many
from facelab.faces.groups import group_labels
from facelab.faces.names import as_names

Higher = Literal["similar", "different"]
_SURE = 3.0  # standard errors from chance that leave no doubt
_CLEAR = 2.0
_LITTLE = 0.6  # area under the ROC curve from which on a few pairs are given the benefit of doubt
_REPEATS = 10.0  # times as many repeats as chance has are no chance
_ROUNDING = 1e-6  # of a chance of 1
_TWO_UNITS = 0.1  # least share of mated scores in either unit


def checked_scores(
    frame: pd.DataFrame, higher: Higher = "similar"
) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    """A score file in our columns and types, its groups, and what is to be said about it."""
    check_frame(frame, "the scores", ["score", "mated", "subject_a", "subject_b"])
    check_option("higher", higher, get_args(Higher))
    if not len(frame):
        raise BadInput("the scores hold no comparison: give one row a comparison")
    scores, mated = as_scores(frame["score"]), truth_of(frame["mated"])
    checked = pd.DataFrame({"score": towards_alike(scores, higher), "mated": mated})
    for side in ("subject_a", "subject_b"):
        checked[side] = _names(frame[side], side)
        missing = np.flatnonzero(checked[side].isna())
        if len(missing):
            raise BadInput(f"row {missing[0]} has no {side}: intervals need to know who it is")
    same = (checked["subject_a"] == checked["subject_b"]).to_numpy()
    check_truth(mated, same, checked[["subject_a", "subject_b"]])
    _refuse_two_units(scores, mated)
    for side in ("image_a", "image_b"):
        if side in frame.columns:
            checked[side] = _names(frame[side], side)
    if "weight" in frame.columns:
        checked["weight"] = _weights(frame["weight"])
        if "stratum" in frame.columns and frame["stratum"].notna().any():
            checked["stratum"] = _strata(frame["stratum"])
    return _with_groups(checked, frame)


def _weights(column: pd.Series) -> np.ndarray:
    """Weights, 1 / the chance of selection, as float64."""
    weights = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~((weights >= 1 - _ROUNDING) & (weights < np.inf)))
    if len(bad):
        raise BadInput(
            f"weight {column.iloc[bad[0]]} in row {bad[0]} is not 1 or more "
            f"({how_many(len(bad), 'such row')}): a weight is 1 / the chance of selection"
        )
    return weights


def _strata(column: pd.Series) -> np.ndarray:
    """Strata as numbers."""
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise BadInput(f"row {missing[0]} has no stratum: name those of all comparisons or of none")
    return pd.factorize(column)[0]


def towards_alike(scores: np.ndarray, higher: Higher) -> np.ndarray:
    """The scores, or their negatives, so that a higher one is more alike."""
    return scores if higher == "similar" else 0 - scores


def _names(column: pd.Series, what: str) -> np.ndarray:
    """Names as objects, None where there is none."""
    names = as_names(column, what).astype(object)
    return names.where(names.notna(), None).to_numpy(object)


def _with_groups(
    checked: pd.DataFrame, frame: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    sides = [side for side in ("group_a", "group_b") if side in frame.columns]
    if not sides:
        return checked, (), []
    if len(sides) == 1:
        lacking = {"group_a": "group_b", "group_b": "group_a"}[sides[0]]
        raise BadInput(f"the scores have {sides[0]} and no {lacking}: give both")
    one, other = (frame[side] for side in sides)
    if one.dtype != other.dtype:
        one, other = one.astype(object), other.astype(object)
    # As one column, so that both sides have the same groups in the same order.
    both = pd.DataFrame({"group_a": pd.concat([one, other], ignore_index=True)})
    labels = group_labels(both, "group_a")
    groups = tuple(labels.cat.categories)
    if "same-group" in groups:
        raise BadInput("a group is called 'same-group', which thresholds mean otherwise: rename it")
    for side, part in zip(sides, np.split(_names(labels, "group"), 2), strict=True):
        checked[side] = part
    unlabelled = int(checked[sides].isna().any(axis=1).sum())
    told = f"{unlabelled:,} of {len(checked):,} comparisons lack a group label"
    return checked, groups, [told] if unlabelled else []


def as_scores(column: pd.Series) -> np.ndarray:
    """The scores as float64; refuses what is no finite number, or written in percent."""
    if pd.api.types.is_complex_dtype(column.dtype):
        raise BadInput("the scores are complex numbers: give real ones")
    plain = isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiu"
    values = column if plain else pd.to_numeric(column.astype(object), errors="coerce")
    numbers = values.to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        value = column.iloc[bad[0]]
        fault = f"score {value} in row {bad[0]} is not a finite number"
        if pd.isna(value):
            fault = f"row {bad[0]} has no score"
        raise BadInput(f"{fault} ({how_many(len(bad), 'such row')}): {_advice(value)}")
    return numbers


def _advice(value: Any) -> str:
    text = str(value).strip()
    if "%" in text:
        return "it is text in percent, give numbers, such as .str.rstrip(' %').astype(float)"
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return "it has a decimal comma, read the file with decimal=','"
    return "leave failed comparisons out and report them as failures to acquire"


# ---- the same comparison twice


def repeated(checked: pd.DataFrame) -> list[str]:
    """What is to be said where comparisons are listed more than once, or of an image with itself.

    Where images are named, a comparison is known by its two images. Where they are not, by its two
    subjects and its score: exact repeats are told of where they are ten times as many as equal
    scores of the file let expect, for rounded scores are equal by chance.
    """
    named = {"image_a", "image_b"} <= set(checked.columns)
    known = checked[["image_a", "image_b"]].notna().all(axis=1) if named else False
    known = np.broadcast_to(known, len(checked))
    said = []
    pairs = _unordered(checked[known], "image") if named else pd.DataFrame()
    if twice := int(pairs.duplicated().sum()):
        said.append(
            f"{_rows(twice, len(checked))} two images that are compared in another row already and "
            "count each time: list every pair once"
        )
    if own := int((pairs["low"] == pairs["high"]).sum()) if named else 0:
        said.append(f"{_rows(own, len(checked))} an image and itself, which tells nothing")
    rest = checked[~known]
    keys = _unordered(rest, "subject").assign(score=rest["score"], mated=rest["mated"])
    twice = int(keys.duplicated().sum())
    if twice > _REPEATS * _by_chance(keys):
        said.append(
            f"{_rows(twice, len(checked))} two subjects who have the very same score in another "
            "row and count each time: is every comparison listed once? (image_a and image_b would "
            "tell)"
        )
    return said


def _rows(count: int, of: int) -> str:
    return f"{count:,} of {of:,} rows {'is' if count == 1 else 'are'} of"


def _unordered(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The two names of each row, as numbers, the lower first."""
    codes = pd.factorize(pd.concat([frame[f"{kind}_a"], frame[f"{kind}_b"]]))[0]
    one, other = codes[: len(frame)], codes[len(frame) :]
    low, high = np.minimum(one, other), np.maximum(one, other)
    return pd.DataFrame({"low": low, "high": high}, index=frame.index)


def _by_chance(keys: pd.DataFrame) -> float:
    """How many repeats are to be expected of scores that are equal by chance."""
    expected = 0.0
    for _, part in keys.groupby("mated"):
        # Repeats themselves say nothing of how often scores are equal by chance.
        once = part.drop_duplicates()
        values = once["score"].value_counts().to_numpy(np.float64)
        met = part.groupby(["low", "high"]).size().to_numpy(np.float64)
        every = len(once) * (len(once) - 1)
        if every:
            equal = (values * (values - 1)).sum() / every
            expected += (met * (met - 1) / 2).sum() * equal
    return expected


# ---- which way the scores point, and in which unit


def separation(scores: np.ndarray, mated: np.ndarray, higher: Higher) -> list[str]:
    """What is to be said where scores tell mated comparisons from others no better than chance.

    Parameters
    ----------
    scores, mated
        Higher = more alike, whichever way they were given.
    higher
        Which way they were given.

    Raises
    ------
    BadInput
        They point the other way, beyond doubt.
    """
    if mated.all() or not mated.any():
        return []
    area, deviations = area_under_roc(scores, mated)
    other, way = ("different", "lower") if higher == "similar" else ("similar", "higher")
    share = f"{100 * (1 - area):.3g}%"
    if deviations < -_SURE:
        raise BadInput(
            f"of a mated and a non-mated comparison the mated one has the {way} score in {share} "
            f'of cases, read with higher="{higher}": pass higher="{other}", or turn the column '
            "mated round if 1 means two people in it"
        )
    if deviations < _CLEAR and area < _LITTLE:
        return [
            "the scores tell mated comparisons from non-mated ones no better than chance (of two "
            f'the mated one has the {way} score in {share} of cases): is higher="{higher}" right, '
            "and does every score stand beside its own pair?"
        ]
    return []


def area_under_roc(scores: np.ndarray, mated: np.ndarray) -> tuple[float, float]:
    """The chance that a mated score is above a non-mated one, and its distance from 1/2.

    Ties count half; the distance is in standard errors of chance (Mann and Whitney 1947).
    """
    ones, others = int(mated.sum()), int((~mated).sum())
    above = pd.Series(scores).rank()[mated].sum() - ones * (ones + 1) / 2
    area = above / (ones * others)
    return float(area), float((area - 0.5) / np.sqrt((ones + others + 1) / (12.0 * ones * others)))


def _refuse_two_units(scores: np.ndarray, mated: np.ndarray) -> None:
    """Refuse shares beside percents: mated scores are never on both sides of 1 in such numbers."""
    positive = scores > 0
    if scores.min() < 0 or not 10 < scores.max() <= 100:
        return
    low = (scores <= 1) & positive
    share = low[mated & positive].mean() if (mated & positive).any() else 0.0
    if not _TWO_UNITS <= share <= 1 - _TWO_UNITS:
        return
    inside = mated[low]
    if inside.all() or area_under_roc(scores[low], inside)[0] > 0.6:
        raise BadInput(
            f"{int(low.sum()):,} of {len(scores):,} scores lie between 0 and 1 and the others "
            f"reach {scores.max():.4g}: shares and percents in one column, bring them to one unit"
        )
