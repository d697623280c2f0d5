"""Predicted classes held against labels: errors, confusion, what each class is taken for, by group.

In: labels and predictions in one spelling. Out: tables.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.labelled import Words, listed
from facelab.analysis.tallies import Means, Places, Shares, means, shares, with_columns
from facelab.errors import BadInput
from facelab.rates.cautions import FEW_ERRORS, FEW_SUBJECTS

MIX = "precision depends on the mix of classes: compare it between groups of one mix only"
_POSITIVE = ("happy",)  # surprise may be either
_NEGATIVE = ("angry", "contempt", "disgust", "fear", "sad")
_ACCUSED = ("angry", "contempt", "fear")


def names_of_classes(
    true: pd.Series, told: pd.Series, processed: np.ndarray, words: Words, truth: str, column: str
) -> list[str]:
    """The classes in the truth's order, then those that were only said.

    Raises
    ------
    BadInput
        Truth and predictions have no label in common, and these are no labels of one kind, such as
        perceived expressions, of which an analyser may get every one wrong.
    """
    have, got = (sorted(part.dropna().unique()) for part in (true, told.where(processed)))
    of_a_kind = words.family and {words.key(name) for name in got} <= words.known
    if got and not set(have) & set(got) and not of_a_kind:
        raise BadInput(
            f"{truth!r} has {listed(have)} and {column!r} has {listed(got)}, no label in common: "
            f"say which is which with labels={{{got[0]!r}: {have[0]!r}, ...}}"
        )
    return have + [name for name in got if name not in have]


def places_of(labels: pd.Series, names: Sequence[str]) -> np.ndarray:
    """The place of each label among the classes, -1 where there is none."""
    place: dict[Any, int] = {name: number for number, name in enumerate(names)}
    return labels.map(place).fillna(-1).to_numpy(np.int64)


def class_rates(
    subject: np.ndarray, places: Places, processed: np.ndarray, wrong: np.ndarray, confidence: float
) -> tuple[pd.DataFrame, Shares]:
    """Who is not processed, accuracy on the processed and overall error, by group.

    Both definitions of error are those of Actionable Auditing (Raji and Buolamwini 2019): wrong of
    the processed, and wrong or not processed of all.
    """
    row, column, names = places
    size, who = len(names), subject[row]
    failed = shares(who, column, ~processed[row], size, confidence)
    overall = shares(who, column, (~processed | wrong)[row], size, confidence)
    inside = processed[row]
    of_processed = shares(who[inside], column[inside], wrong[row][inside], size, confidence)
    table = with_columns(
        names,
        subjects=failed.subjects,
        images=failed.sums.comparisons.astype(np.int64),
        processed=of_processed.sums.comparisons.astype(np.int64),
        unprocessed=failed.sums.errors.astype(np.int64),
        **failed.columns("unprocessed_rate"),
        wrong=of_processed.sums.errors.astype(np.int64),
        accuracy=1 - of_processed.rate,
        accuracy_low=1 - of_processed.high,
        accuracy_high=1 - of_processed.low,
        **of_processed.columns("error"),
        wrong_or_unprocessed=overall.sums.errors.astype(np.int64),
        **overall.columns("overall_error"),
    )
    table["note"] = [_note(one) for one in table.to_dict("records")]
    table["effective_processed"] = of_processed.effective
    table["effective_images"] = overall.effective
    return table, of_processed


def _note(row: dict) -> str:
    notes = []
    if row["subjects"] < FEW_SUBJECTS:
        notes.append(f"few subjects ({row['subjects']}): intervals are rough")
    if not row["processed"]:
        notes.append("nothing was processed")
    elif not row["wrong"]:
        most = float(f"{100 * row['error_high']:.2g}")
        notes.append(f"no errors: a rate up to {most:g}% would show none as well")
    elif row["wrong"] < FEW_ERRORS:
        notes.append(f"few errors: {row['wrong']}")
    return "; ".join(notes)


def confusion(
    subject: np.ndarray,
    places: Places,
    truth: np.ndarray,
    predicted: np.ndarray,
    classes: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """What each class is taken for, by group: counts, and shares of the class with intervals.

    Parameters
    ----------
    truth, predicted
        Int (n,) places in `classes`, of processed faces only.
    """
    row, column, names = places
    k, size = len(classes), len(names)
    # A face is tried for every class that it may be called: hits are one of these.
    of_truth = column * k + truth[row]
    key = (of_truth[:, None] * k + np.arange(k)).ravel()
    hit = (predicted[row][:, None] == np.arange(k)).ravel()
    found = shares(np.repeat(subject[row], k), key, hit, size * k * k, confidence)
    where = np.indices((size, k, k)).reshape(3, -1)
    table = pd.DataFrame(
        {
            "group": np.array(names, object)[where[0]],
            "truth": np.array(classes, object)[where[1]],
            "predicted": np.array(classes, object)[where[2]],
            "images": found.sums.comparisons.astype(np.int64),
            "count": found.sums.errors.astype(np.int64),
            **found.columns("share"),
        }
    )
    return table[table["images"] > 0].reset_index(drop=True)


def per_class(
    subject: np.ndarray,
    places: Places,
    truth: np.ndarray,
    predicted: np.ndarray,
    classes: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """Of each class by group: FNR (called another), FPR (others called so) and precision."""
    row, column, names = places
    k, size, who = len(classes), len(names), subject[row]
    true, said = truth[row], predicted[row]
    missed = shares(who, column * k + true, said != true, size * k, confidence)
    precise = shares(who, column * k + said, said == true, size * k, confidence)
    others = (np.arange(k) != true[:, None]).ravel()
    key = (column[:, None] * k + np.arange(k)).ravel()[others]
    called = (said[:, None] == np.arange(k)).ravel()[others]
    false = shares(np.repeat(who, k)[others], key, called, size * k, confidence)
    where = np.indices((size, k)).reshape(2, -1)
    table = pd.DataFrame(
        {
            "group": np.array(names, object)[where[0]],
            "class": np.array(classes, object)[where[1]],
            **rates_of_class(missed, false, precise),
            "note": MIX,
        }
    )
    seen = (table["images"] > 0) | (table["called"] > 0)
    return table[seen].reset_index(drop=True)


def rates_of_class(missed: Shares, false: Shares, precise: Shares) -> dict[str, np.ndarray]:
    """Counts and rates of a class, as columns of a table: missed, called so falsely, precision."""
    return {
        "images": missed.sums.comparisons.astype(np.int64),
        "missed": missed.sums.errors.astype(np.int64),
        **missed.columns("fnr"),
        "others": false.sums.comparisons.astype(np.int64),
        "falsely_called": false.sums.errors.astype(np.int64),
        **false.columns("fpr"),
        "called": precise.sums.comparisons.astype(np.int64),
        **precise.columns("precision"),
    }


# ---- figures of a whole confusion


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """The mean of the classes' F1, of classes that occur or are called: counts (..., k, k)."""
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanmean(np.where(both > 0, 2 * hit / both, np.nan), axis=-1)


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """The mean of the classes' recall, of classes that occur."""
    hit, true = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanmean(np.where(true > 0, hit / true, np.nan), axis=-1)


def kappa(counts: np.ndarray) -> np.ndarray:
    """Cohen's kappa: agreement beyond what both would have by their mixes alone."""
    n = counts.sum(axis=(-2, -1))
    agreed = np.diagonal(counts, axis1=-2, axis2=-1).sum(axis=-1) / n
    chance = (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance < 1, (agreed - chance) / np.where(chance < 1, 1 - chance, 1), np.nan)


_FIGURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "macro_f1": macro_f1,
    "balanced_accuracy": balanced_accuracy,
    "kappa": kappa,
}


def agreement(
    subject: np.ndarray,
    places: Places,
    truth: np.ndarray,
    predicted: np.ndarray,
    k: int,
    confidence: float,
) -> pd.DataFrame:
    """Macro-F1, balanced accuracy and Cohen's kappa by group, with intervals over people.

    Intervals by the delta method: a figure moves by its gradient in the shares of the confusion,
    of which each person has some (infinitesimal jackknife).
    """
    row, column, names = places
    cell, size = truth * k + predicted, len(names)
    counts = np.bincount(column * k * k + cell[row], minlength=size * k * k).reshape(size, k, k)
    table = with_columns(names, images=counts.sum(axis=(1, 2)))
    for name, figure in _FIGURES.items():
        value = np.full(size, np.nan)
        pull = np.zeros((size, k * k))
        for place in range(size):
            if counts[place].any():
                value[place], pull[place] = _gradient(figure, counts[place].astype(np.float64))
        moved: Means = means(subject[row], column, pull[column, cell[row]], size, confidence)
        half = (moved.high - moved.low) / 2
        table[name] = value
        least = -1.0 if name == "kappa" else 0.0
        table[f"{name}_low"] = np.maximum(value - half, least)
        table[f"{name}_high"] = np.minimum(value + half, 1.0)
    return table


def _gradient(
    figure: Callable[[np.ndarray], np.ndarray], counts: np.ndarray
) -> tuple[float, np.ndarray]:
    """A figure of a confusion, and how much more of each cell moves it; of empty cells nothing."""
    total, k = counts.sum(), len(counts)
    seen = np.flatnonzero(counts.ravel())
    step = 1e-4 * total
    more = np.zeros((len(seen), k * k))
    more[np.arange(len(seen)), seen] = step
    up, down = (figure(counts + sign * more.reshape(-1, k, k)) for sign in (1, -1))
    pull = np.zeros(k * k)
    pull[seen] = (up - down) / (2 * step) * total
    return float(figure(counts)), pull


# ---- perceived expression


def directions(
    subject: np.ndarray,
    places: Places,
    truth: np.ndarray,
    predicted: np.ndarray,
    keys: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """Errors of expression that matter most, by group.

    Who looks neutral or happy and is called angry, contemptuous or afraid; negative called positive
    and the other way round (positive: happy; negative: angry, contempt, disgust, fear, sad).
    """
    row, column, names = places
    kinds = np.array(keys, object)
    true, said = kinds[truth], kinds[predicted]
    asked = {
        f"neutral or happy called {key}": (np.isin(true, ("neutral", "happy")), said == key)
        for key in _ACCUSED
        if key in keys
    }
    negative, positive = np.isin(true, _NEGATIVE), np.isin(true, _POSITIVE)
    asked["negative called positive"] = (negative, np.isin(said, _POSITIVE))
    asked["positive called negative"] = (positive, np.isin(said, _NEGATIVE))
    parts = []
    for quantity, (among, hit) in asked.items():
        kept = among[row]
        found = shares(subject[row][kept], column[kept], hit[row][kept], len(names), confidence)
        part = with_columns(
            names,
            quantity=np.full(len(names), quantity, object),
            images=found.sums.comparisons.astype(np.int64),
            count=found.sums.errors.astype(np.int64),
            **found.columns("share"),
        )
        parts.append(part[part["images"] > 0])
    return pd.concat(parts, ignore_index=True)
