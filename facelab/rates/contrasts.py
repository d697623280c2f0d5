"""Group against group at one threshold: how many times the error rate, and is that chance?

In: the errors of an audit. Out: ratios and differences of two groups' rates with intervals, and
p-values corrected for how many pairs of groups were looked at.
"""

from itertools import combinations
from statistics import NormalDist

import numpy as np
import pandas as pd

from facelab.errors import BadInput, check_option, counted, there_are
from facelab.rates.counts import FEW_ERRORS, ErrorCounts

ERRORS = {"fmr": "false matches", "fnmr": "false non-matches"}
CORRECTIONS = ("holm", "none")


@counted
def group_contrasts(
    counts: ErrorCounts,
    error: str = "fmr",
    reference: str | None = None,
    correct: str = "holm",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare the error rates of groups, two at a time.

    Groups have no subject in common, so that their rates vary independently; each rate's variance
    allows for comparisons that share a subject, as `ErrorCounts.rates` does. The ratio's interval
    and p-value are those of its logarithm (delta method), the difference's of the rates
    themselves.

    Parameters
    ----------
    counts
        Of an audit: ``audit.counts``.
    error
        "fmr" or "fnmr".
    reference
        A group to compare all others with, named before the rates were seen; None compares every
        pair, the higher rate over the lower.
    correct
        "holm" corrects the p-values for the number of rows (Holm 1979); "none" leaves them.
    confidence
        Of each interval by itself: intervals are not corrected.

    Returns
    -------
    pandas.DataFrame
        `group reference rate reference_rate ratio ratio_low ratio_high difference difference_low
        difference_high p p_corrected note`, the largest ratio first. A rate of zero gives no ratio
        and no p-value, and the note says so.

    Raises
    ------
    BadInput
        An unknown error, correction or group, or fewer than two groups with comparisons.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> table = fl.group_contrasts(audit.counts, "fmr", reference="a")
    >>> table[["group", "ratio", "p_corrected"]].round(2).values.tolist()
    [['b', 1.64, 0.22], ['d', 1.49, 0.42], ['c', 1.49, 0.42]]
    """
    check_option("error", error, ERRORS)
    check_option("correct", correct, CORRECTIONS)
    groups = counts.groups
    if reference is not None and reference not in groups:
        known = there_are(reference, groups, "the groups are")
        raise BadInput(f"there is no group {reference!r}{known}")
    sums = counts.sums(error)
    known = [place for place in range(len(groups)) if sums.comparisons[place] > 0]
    if len(known) < 2:
        raise BadInput(f"a contrast needs two groups with {error.upper()}, not {len(known)}")
    rates = sums.errors / np.where(sums.comparisons > 0, sums.comparisons, np.nan)
    if reference is None:
        ordered = sorted(known, key=lambda place: -rates[place])
        pairs = list(combinations(ordered, 2))
    else:
        base = groups.index(reference)
        pairs = [(place, base) for place in known if place != base]
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rows = []
    for one, other in pairs:
        a, b = rates[one], rates[other]
        spread = float(np.sqrt(sums.variance[one] + sums.variance[other]))
        ratio = low = high = p = np.nan
        if a > 0 and b > 0:
            ratio = a / b
            log_spread = float(np.sqrt(sums.variance[one] / a**2 + sums.variance[other] / b**2))
            low, high = ratio * np.exp(-z * log_spread), ratio * np.exp(z * log_spread)
            p = _two_sided(abs(np.log(ratio)) / log_spread) if log_spread > 0 else np.nan
        rows.append(
            {
                "group": groups[one],
                "reference": groups[other],
                "rate": a,
                "reference_rate": b,
                "ratio": ratio,
                "ratio_low": low,
                "ratio_high": high,
                "difference": a - b,
                "difference_low": a - b - z * spread,
                "difference_high": a - b + z * spread,
                "p": p,
                "note": _note(error, [(groups[k], sums.errors[k]) for k in (one, other)]),
            }
        )
    frame = pd.DataFrame(rows)
    corrected = holm(frame["p"].to_numpy()) if correct == "holm" else frame["p"]
    frame.insert(frame.columns.get_loc("note"), "p_corrected", corrected)
    return frame.sort_values("ratio", ascending=False, kind="stable", ignore_index=True)


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected for their number by Holm's step-down method; NaN stay, but count."""
    p = np.asarray(p, float)
    order = np.argsort(np.nan_to_num(p, nan=2.0), kind="stable")
    scaled = (len(p) - np.arange(len(p))) * p[order]
    corrected = np.full(len(p), np.nan)
    known = ~np.isnan(scaled)
    corrected[order[known]] = np.minimum(1, np.maximum.accumulate(scaled[known]))
    return corrected


def as_ratio(row: pd.Series) -> str:
    """A row's ratio with its interval."""
    ratio, low, high = (_times(row[key]) for key in ("ratio", "ratio_low", "ratio_high"))
    return f"{ratio} [{low}, {high}]"


def as_chance(table: pd.DataFrame) -> str:
    """What may be said of chance in the first of all contrasts, in brackets or after a comma."""
    row = table.iloc[0]
    if not np.isfinite(row["ratio"]):
        return ""
    if row["ratio_low"] <= 1 <= row["ratio_high"]:
        return ", which is compatible with no difference"
    if len(table) == 1:
        return ""
    p = "p < 0.001" if row["p_corrected"] < 1e-3 else f"p = {row['p_corrected']:.2g}"
    return f" ({p} after Holm's correction for {len(table)} pairs of groups)"


def as_sentence(table: pd.DataFrame, error: str, fmr: float) -> str:
    """The first of all contrasts in a sentence, with its interval and no more than it bears."""
    row, where = table.iloc[0], f"at the threshold set for {fmr:g} overall"
    text = f"{error.upper()} for {row['group']} was "
    if np.isfinite(row["ratio"]):
        text += f"{as_ratio(row)} times that for {row['reference']} {where}{as_chance(table)}"
    else:
        text += f"{row['rate']:.2g} and for {row['reference']} {row['reference_rate']:.2g} {where}"
    return text + (f"; {row['note']}" if row["note"] else "") + "."


def _times(value: float) -> str:
    """A ratio in two digits, and never with an exponent."""
    if not 0 < value < np.inf:
        return f"{value:g}"
    return f"{round(value, 1 - int(np.floor(np.log10(value)))):,.10g}"


def _two_sided(z: float) -> float:
    return 2 * NormalDist().cdf(-z)


def _note(error: str, found: list[tuple[str, float]]) -> str:
    name = ERRORS[error]
    zero = [group for group, errors in found if errors == 0]
    if zero:
        return f"no {name} in {', '.join(zero)}: no ratio"
    few = [f"{group} ({int(errors)})" for group, errors in found if errors < FEW_ERRORS]
    return f"few {name}: {', '.join(few)}" if few else ""
