"""Audits for other tools: a tidy frame, LaTeX for papers, fairlearn's MetricFrame.

In: an audit. Out: what those take.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.errors import need
from facelab.rates.tables import readable_rates

_ERRORS = {"fmr": "non_mated", "fnmr": "mated"}  # and the comparisons that each is a share of
_ENDS = {"": "rate", "_low": "low", "_high": "high"}


def tidy(audit: Any) -> pd.DataFrame:
    """A row a group and error."""
    parts = []
    for error, trials in _ERRORS.items():
        rates = audit.rates
        part = rates[["group"]].assign(error=error)
        for end, name in _ENDS.items():
            part[name] = rates[error + end]
        for end, name in _ENDS.items():
            place = "by_subject" if name == "rate" else f"by_subject_{name}"
            part[place] = rates.get(f"{error}_by_subject{end}", np.nan)
        part["errors"] = (rates[error].fillna(0) * rates[trials]).round().astype(np.int64)
        part["comparisons"] = rates[trials].astype(np.int64)
        parts.append(part.assign(subjects=rates["subjects"], images=rates["images"]))
    table = pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
    return table.assign(
        threshold=audit.threshold, target_fmr=audit.fmr, confidence=audit.confidence
    )


def latex(audit: Any, caption: str | None, label: str | None) -> str:
    """The rates as people read them, for `\\usepackage{booktabs}`."""
    shown = readable_rates(audit.rates).drop(columns="note")
    shown.index.name, shown.columns.name = None, None
    shown = shown.reset_index(names="group")
    said = caption or (
        f"Error rates by {' and '.join(audit.by)} at one threshold ({audit.threshold:.4g}), set "
        f"for a false match rate of {100 * audit.fmr:.3g} %; {100 * audit.confidence:g} % "
        "intervals in brackets."
    )
    kinds = "l" + "r" * (shown.shape[1] - 1)
    return shown.to_latex(
        index=False,
        escape=True,
        column_format=kinds,
        caption=said if caption is not None else _escaped(said),
        label=label or f"tab:rates-{'-'.join(audit.by)}",
        position="t",
    )


def _escaped(words: str) -> str:
    """Our own words in LaTeX; columns of users may hold what it takes for its own."""
    spelt = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    spelt |= {letter: f"\\{letter}" for letter in "&%$#_{}"}
    return words.translate(str.maketrans(spelt))


def metric_frame(audit: Any) -> Any:
    """fairlearn's frame of the comparisons within groups, each kind of them once, by its number."""
    metrics = need("fairlearn.metrics", "fairlearn")
    groups, mated, matched, often = [], [], [], []
    for error, trials in _ERRORS.items():
        sums = audit.counts.sums(error)
        of_mated = trials == "mated"
        for group, comparisons, errors in zip(
            audit.counts.groups, sums.comparisons, sums.errors, strict=True
        ):
            # A false match is a match of two people, a false non-match none of one.
            for wrong, number in ((True, errors), (False, comparisons - errors)):
                groups.append(group)
                mated.append(int(of_mated))
                matched.append(int(wrong != of_mated))
                often.append(int(number))
    weights = {"sample_weight": np.array(often)}
    measures = {"fmr": _fmr, "fnmr": _fnmr, "mated": _mated, "non_mated": _non_mated}
    return metrics.MetricFrame(
        metrics=measures,
        y_true=np.array(mated),
        y_pred=np.array(matched),
        sensitive_features=pd.Series(groups, name="/".join(audit.by)),
        sample_params={name: weights for name in measures},
    )


def _fmr(mated: Any, matched: Any, sample_weight: Any) -> float:
    return _share(np.asarray(matched) == 1, np.asarray(mated) == 0, sample_weight)


def _fnmr(mated: Any, matched: Any, sample_weight: Any) -> float:
    return _share(np.asarray(matched) == 0, np.asarray(mated) == 1, sample_weight)


def _share(wrong: np.ndarray, among: np.ndarray, weights: Any) -> float:
    weights = np.asarray(weights, dtype=np.float64)
    whole = weights[among].sum()
    return float(weights[among & wrong].sum() / whole) if whole else np.nan


def _mated(mated: Any, _: Any, sample_weight: Any) -> int:
    return int(np.asarray(sample_weight)[np.asarray(mated) == 1].sum())


def _non_mated(mated: Any, _: Any, sample_weight: Any) -> int:
    return int(np.asarray(sample_weight)[np.asarray(mated) == 0].sum())
