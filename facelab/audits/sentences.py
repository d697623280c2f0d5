"""What an audit shows, in sentences that say no more than their numbers bear.

In: an audit. Out: its summary and its findings.
"""

from typing import Protocol

import numpy as np
import pandas as pd

from facelab.audits.thresholds import Thresholded, at_target, realised
from facelab.faces.groups import SEPARATOR
from facelab.rates.contrasts import as_chance, as_ratio, as_sentence
from facelab.rates.tables import percent, rate_words

NAMES = {"fmr": "FMR", "fnmr": "FNMR"}


class Told(Thresholded, Protocol):
    """What an audit tells of its groups."""

    by: list[str]
    disparity: pd.DataFrame

    def contrasts(self, error: str = "fmr") -> pd.DataFrame: ...


def summary(audit: Told) -> str:
    """The finding in a few sentences."""
    whole = audit.rates.iloc[0]
    fixed = audit.set_on_itself and audit.pairs == "all"
    fmr = f"{percent(whole['fmr'])} by construction" if fixed else rate_text(whole, "fmr")
    text = [
        f"At threshold {audit.threshold:.4f}, set for FMR {percent(audit.fmr)} on "
        f"{audit.calibration}, overall FMR was {fmr} and FNMR {rate_text(whole, 'fnmr')}."
    ]
    low, high = realised(audit)
    if np.isfinite(low):
        told = (
            "Among people like those that it was set on, this threshold realises an FMR between "
            f"{percent(low)} and {percent(high)}"
        )
        at = at_target(audit).iloc[0]
        if np.isfinite(at["fnmr"]):
            told += (
                f"; set anew for FMR {percent(audit.fmr)} on as many others, it would give an FNMR "
                f"between {percent(at['fnmr_low'])} and {percent(at['fnmr_high'])}"
            )
        text.append(f"{told}.")
    groups = audit.rates.iloc[1:]
    for error in NAMES:
        known = groups.dropna(subset=error)
        if len(known) < 2 or not known[error].any():
            continue
        worst, best = known.loc[known[error].idxmax()], known.loc[known[error].idxmin()]
        if worst[error] == best[error]:
            text.append(f"{NAMES[error]} was {percent(worst[error])} for every group.")
            continue
        text.append(
            f"{NAMES[error]} by {SEPARATOR.join(audit.by)} ran from {rate_text(best, error)} for "
            f"{best['group']} to {rate_text(worst, error)} for {worst['group']}"
            f"{_times(audit, error, worst['group'], best['group'])}."
        )
    return " ".join(text)


def _times(audit: Told, error: str, worst: str, best: str) -> str:
    """How many times, of these two groups and no others, and what equal groups would show."""
    table = audit.contrasts(error)
    rows = table[(table["group"] == worst) & (table["reference"] == best)]
    if rows.empty:  # all rates are equal, and the order of two of them is nobody's
        return ""
    row = rows.iloc[0]
    text = f": {as_ratio(row)} times{as_chance(row, len(table))}"
    index = audit.disparity
    index = index[(index["metric"] == "max_min_ratio") & (index["error"] == error)].iloc[0]
    if np.isfinite(index["parity_high"]):
        text += (
            f"; groups with equal rates would show {_times_text(index['parity'])} times, seldom "
            f"more than {_times_text(index['parity_high'])}"
        )
    return text


def _times_text(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.2g}"


def findings(audit: Told) -> list[str]:
    """Of each error the two groups that stand apart most surely, in a sentence."""
    return [
        as_sentence(audit.contrasts(error), error, audit.fmr)
        for error in NAMES
        if (audit.counts.sums(error).comparisons > 0).sum() > 1
    ]


def rate_text(row: pd.Series, error: str) -> str:
    """A rate with its interval."""
    return rate_words(*(row[f"{error}{end}"] for end in ("", "_low", "_high")))
