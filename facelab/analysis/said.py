"""What an audit of face analysis says: in sentences, in tables that people read, and with caution.

In: an `AnalysisAudit`. Out: text, and frames of text.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.labelled import listed
from facelab.analysis.years import is_age
from facelab.errors import how_many
from facelab.rates.tables import column_in_words, interval, rate_words

_WHAT = {
    "gender": "perceived gender presentation",
    "expression": "perceived expression",
}
_CAUTIONS = {
    "perceived gender presentation": (
        "Perceived gender presentation: how somebody looks to an analyser and to who labelled the "
        "photo; no claim about who they are. Microsoft withdrew such functions in 2022."
    ),
    "perceived expression": (
        "Perceived expression: what a face shows, which tells nothing certain of what somebody "
        "feels (AWS: no determination of an internal emotional state). Microsoft withdrew such "
        "functions in 2022; the EU's AI Act, Art. 5(1)(f), bans inferring emotions at work and in "
        "education."
    ),
}


def what_of(truth: str, family: str) -> str:
    """What is audited, in words that claim no more than it is."""
    if family:
        return _WHAT[family]
    for word in _WHAT:
        if word in truth.casefold():
            return _WHAT[word]
    if "emotion" in truth.casefold():
        return _WHAT["expression"]
    if is_age(truth):
        return "estimated age"
    return f"perceived {truth.replace('_', ' ')}"


def caution(what: str) -> str:
    """What the field says against the use of what is audited."""
    return _CAUTIONS.get(
        what,
        f"{what[:1].upper()}{what[1:]}: what an analyser reads off a photo, and no fact about "
        "whom it shows.",
    )


def of_labels(
    names: list[str],
    of_truth: np.ndarray,
    of_told: np.ndarray,
    ready: np.ndarray,
    error_low: float,
) -> list[str]:
    """That labels stand on one side alone, or that those of the two sides may be mixed up."""
    told, wrong = [], of_truth != of_told
    never = [place for place in range(len(names)) if not (of_told[ready] == place).any()]
    if never and ready.any():
        here = np.isin(of_truth, never)
        rest = ready & ~here
        without = (
            f"; without them its error is {100 * wrong[rest].mean():.3g} %" if rest.any() else ""
        )
        lost = how_many(int(here.sum()), "image")
        told.append(
            f"The analyser never said {listed([names[place] for place in never])} ({lost}): all of "
            f"them count as wrong{without}."
        )
    true = np.unique(of_truth)
    if strange := [place for place in range(len(names)) if place not in true]:
        times = how_many(int(np.isin(of_told[ready], strange).sum()), "prediction")
        told.append(
            f"The analyser said {listed([names[place] for place in strange])} ({times}), which no "
            "image has as its label: these count as wrong."
        )
    if len(true) > 1 and error_low > 1 - 1 / len(true):
        told.append(
            f"It errs more often than blind guessing among {len(true)} labels: do labels and "
            "predictions name the same things?"
        )
    return told


def of_unprocessed(reasons: Mapping[str, int], set_aside: Mapping[str, int]) -> list[str]:
    """Sentences on what was not processed, and on what was set aside."""
    told = []
    if reasons:
        why = ", ".join(f"{reason} ({count:,})" for reason, count in list(reasons.items())[:5])
        told.append(f"{how_many(sum(reasons.values()), 'image was', 'images were')} not processed: "
                    f"{why}.")  # fmt: skip
    for reason, count in set_aside.items():
        told.append(f"{how_many(count, 'row')} set aside: {reason}.")
    return told


def summary(audit: Any) -> str:
    """The finding in a few sentences."""
    first = audit.rates.iloc[0]
    lost = rate_words(*(first[f"unprocessed_rate{end}"] for end in ("", "_low", "_high")))
    told = [
        f"{first['unprocessed']:,} of {first['images']:,} images of {first['subjects']:,} people "
        f"were not processed: {lost}."
    ]
    groups = audit.rates.iloc[1:]
    if audit.kind == "class":
        name, words = "error", rate_words
        told.append(
            f"{audit.what[:1].upper()}{audit.what[1:]} was wrong for "
            f"{_ends(first, 'error', rate_words)} of the processed; wrong or not processed: "
            f"{_ends(first, 'overall_error', rate_words)}."
        )
    else:
        name, words = "mae", _years
        told.append(
            f"{audit.what[:1].upper()}{audit.what[1:]} was off by {_ends(first, 'mae', _years)} on "
            f"average, {_ends(first, 'bias', _signed)} with its sign; within five years for "
            f"{_ends(first, 'cs5', rate_words)}."
        )
    known = groups[groups[name].notna()]
    if len(known) < 2:
        return " ".join([*told, "There are no two groups to compare."])
    worst, best = known.loc[known[name].idxmax()], known.loc[known[name].idxmin()]
    told.append(
        f"Highest for {worst['group']}: {_ends(worst, name, words)}; lowest for {best['group']}: "
        f"{_ends(best, name, words)}."
    )
    return " ".join([*told, _surest(audit)])


def _surest(audit: Any) -> str:
    """The two groups that stand apart most surely, and no more than is shown."""
    pairs = audit.contrasts
    shown = pairs[pairs["p_holm"] < 1 - audit.confidence] if len(pairs) else pairs
    unit = (lambda x: f"{100 * x:.3g} points") if audit.kind == "class" else _years
    if not len(shown):
        least = pairs["detectable"].median() if len(pairs) else np.nan
        size = (
            f" Groups of this size would show a difference of {unit(least)}." if least > 0 else ""
        )
        return f"No two groups can be told apart, allowing for all {len(pairs)} pairs.{size}"
    row = shown.iloc[0]
    p = "p < 0.001" if row["p_holm"] < 1e-3 else f"p = {row['p_holm']:.2g}"
    pair = f"{row['group']} and {row['reference']} differ by {unit(row['difference'])}"
    ends = interval(row["difference_low"], row["difference_high"], unit)
    return (
        f"{len(shown)} of {how_many(len(pairs), 'pair')} of groups can be told apart; most surely "
        f"{pair} {ends} ({p}, by Holm over all pairs)."
    )


def _ends(row: pd.Series, name: str, words: object) -> str:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if words is rate_words:
        return rate_words(value, low, high)
    return "unknown" if pd.isna(value) else f"{words(value)} {interval(low, high, words)}"


def _years(value: float) -> str:
    return f"{value:.3g} years"


def _signed(value: float) -> str:
    return f"{value:+.2g}"


def _plain(value: float) -> str:
    return f"{value:.3g}"


def readable(rates: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Rates as people read them: who was not processed first, percent with intervals; all text."""
    shown = pd.DataFrame({"group": rates["group"]})
    for column in ("subjects", "images", "processed"):
        shown[column] = rates[column].map("{:,}".format)
    columns = {"not processed": ("unprocessed_rate", rate_words)}
    if kind == "class":
        columns |= {
            "error of processed": ("error", rate_words),
            "wrong or not processed": ("overall_error", rate_words),
        }
    else:
        columns |= {
            "mean error, years": ("mae", _plain),
            "bias, years": ("bias", _signed),
            "within 5 years": ("cs5", rate_words),
        }
    for title, (name, words) in columns.items():
        shown[title] = [_ends(row, name, words) for _, row in rates.iterrows()]
    shown["note"] = rates["note"].fillna("")
    return shown.set_index("group")


def details(audit: Any) -> dict[str, pd.DataFrame]:
    """More tables as people read them, by title."""
    found: dict[str, pd.DataFrame] = {}
    if len(audit.per_class):
        rows = audit.per_class
        found["By class"] = pd.DataFrame(
            {
                "group": rows["group"],
                "class": rows["class"],
                "images": rows["images"].map("{:,}".format),
                "called another (FNR)": column_in_words(rows, "fnr"),
                "others called so (FPR)": column_in_words(rows, "fpr"),
                "precision (depends on the mix)": column_in_words(rows, "precision"),
            }
        )
    if len(audit.confusion):
        rows = audit.confusion[audit.confusion["count"] > 0]
        found["What each class is taken for"] = pd.DataFrame(
            {
                "group": rows["group"],
                "is": rows["truth"],
                "called": rows["predicted"],
                "images": rows["count"].map("{:,}".format),
                "share of the class": column_in_words(rows, "share"),
            }
        )
    if len(audit.directions):
        rows = audit.directions
        found["Errors of expression that matter most"] = pd.DataFrame(
            {
                "group": rows["group"],
                "error": rows["quantity"],
                "images": rows["images"].map("{:,}".format),
                "share": column_in_words(rows, "share"),
            }
        )
    if len(audit.confidences):
        rows = audit.confidences
        found["How far its confidence holds"] = pd.DataFrame(
            {
                "group": rows["group"],
                "mean confidence": rows["mean_confidence"].map(_plain),
                "when wrong": [
                    _ends(r, "confidence_when_wrong", _plain) for _, r in rows.iterrows()
                ],
                "ECE": rows["ece"].map(_plain),
                "ECE if calibrated": rows["ece_calibrated_high"].map("up to {:.3g}".format),
                "Brier": rows["brier"].map(_plain),
                "KS": rows["ks"].map(_plain),
                "error at the advised confidence": column_in_words(rows, "error_at_advised"),
            }
        )
    if len(audit.raters):
        rows = audit.raters
        found["Beside raters, who differ among themselves"] = pd.DataFrame(
            {
                "group": rows["group"],
                "images": rows["images"].map("{:,}".format),
                "raters who say the same": column_in_words(rows, "agreement"),
                "two raters agree": column_in_words(rows, "among_raters"),
                "what most raters say": column_in_words(rows, "majority"),
            }
        )
    if len(audit.by_age):
        rows = audit.by_age
        found["By true age"] = pd.DataFrame(
            {
                "group": rows["group"],
                "age": rows["true_age"],
                "images": rows["images"].map("{:,}".format),
                "mean error, years": [_ends(r, "mae", _plain) for _, r in rows.iterrows()],
                "bias, years": [_ends(r, "bias", _signed) for _, r in rows.iterrows()],
            }
        )
    if len(audit.challenges):
        rows = audit.challenges
        found["Checks of age"] = pd.DataFrame(
            {
                "group": rows["group"],
                "passes from": rows["check"].map("{} years".format),
                "under 18 let through": column_in_words(rows, "passed"),
                "of age stopped": column_in_words(rows, "stopped"),
            }
        )
    return found
