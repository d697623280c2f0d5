"""The threshold is an estimate: what its own uncertainty does to the rates at a target FMR.

In: audits, whose thresholds were set for a target FMR on comparisons of some people. Out: the FMR
that a threshold may realise, rates at the target with intervals that allow for it, and how far the
thresholds of several models on the same people go together.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facelab.rates.counts import ErrorCounts
from facelab.rates.intervals import small_sample_wilson, wilson_limits
from facelab.rates.paired import Together, sums_over

_REACH = np.log(2)  # FNMR's slope is taken over so much of log FMR to either side
_FEWEST = 3  # false matches at the stricter end of that
BY_CONSTRUCTION = "FMR is what the threshold was set for"


class Thresholded(Protocol):
    """What an audit tells of its threshold."""

    fmr: float
    threshold: float
    pairs: str
    confidence: float
    calibration: str
    calibration_counts: ErrorCounts | None
    counts: ErrorCounts
    rates: pd.DataFrame
    det: pd.DataFrame

    @property
    def set_on_itself(self) -> bool: ...


def rates_at(counts: ErrorCounts, confidence: float, fixed: bool) -> pd.DataFrame:
    """`ErrorCounts.rates` for few subjects; a `fixed` FMR of everybody has no interval.

    It is fixed where the threshold was set by these comparisons, all of them.
    """
    rates = counts.rates(confidence, small_samples=True)
    if fixed:
        ends = [f"fmr{weights}_{end}" for weights in ("", "_by_subject") for end in ("low", "high")]
        rates.loc[0, ends] = np.nan
        rates.loc[0, "note"] = "; ".join(filter(None, [BY_CONSTRUCTION, rates.loc[0, "note"]]))
    return rates


def source(audit: Thresholded) -> ErrorCounts | None:
    """The errors that the threshold was set by; None where they are not stored."""
    return audit.counts if audit.set_on_itself else audit.calibration_counts


def realised(audit: Thresholded) -> tuple[float, float]:
    """Both ends of the FMR that the threshold realises among people like those it was set on."""
    counts = source(audit)
    if counts is None:
        return np.nan, np.nan
    ends = small_sample_wilson(sums_over(counts, audit.pairs), audit.confidence)
    return float(ends[0][0]), float(ends[1][0])


class Shift:
    """How log FMR at the thresholds of several models, taken as set for it, may be off.

    Models whose thresholds were set on the same people are off together.
    """

    def __init__(self, audits: Sequence[Thresholded]) -> None:
        counts = [source(audit) for audit in audits]
        self.known = all(one is not None for one in counts)
        self._parts: list[tuple[np.ndarray, Together, np.ndarray]] = []
        if not self.known:
            return
        alike: list[list[int]] = []
        for place, one in enumerate(counts):
            for others in alike:
                first = others[0]
                if audits[first].pairs == audits[place].pairs and counts[first].units.equals(
                    one.units
                ):
                    others.append(place)
                    break
            else:
                alike.append([place])
        for places in alike:
            models = [counts[place] for place in places]
            if audits[places[0]].pairs == "all":
                together = [(Together(models, "fmr"), np.ones(len(places)))]
            else:
                n = models[0].sums("fmr").comparisons
                within = [Together(models, "fmr", g) for g in np.flatnonzero(n > 0)]
                together = [
                    (one, np.full(len(places), x))
                    for one, x in zip(within, n[n > 0] / n.sum(), strict=True)
                ]
            rate = sum(share * np.nan_to_num(one.rate) for one, share in together)
            for one, share in together:
                # Without a false match there is no logarithm: as if there had been one.
                least = 1 / models[0].sums_of_all("fmr").comparisons[0]
                self._parts.append((np.array(places), one, share / np.maximum(rate, least)))

    def variance(self, weights: np.ndarray) -> tuple[float, float]:
        """Variance of sum_m weights_m log FMR_m, and its degrees of freedom."""
        found = [one.variance(weights[places] * scale) for places, one, scale in self._parts]
        return added(found)


def added(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The sum of independent variances, with Satterthwaite's degrees of freedom."""
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return total, (total**2 / below if below > 0 else np.inf)


def slopes(audit: Thresholded) -> pd.DataFrame:
    """What each rate does as log FMR of everybody rises: by group, `all` first.

    Returns
    -------
    pandas.DataFrame
        Index `group`; `fmr` and `fnmr`, the slopes d rate / d log FMR, taken between half and twice
        the FMR at the threshold.
    """
    whole = audit.det[audit.det["group"] == "all"]
    t, fmr = whole["threshold"].to_numpy(), whole["fmr"].to_numpy()
    rate, n = audit.rates.loc[0, ["fmr", "non_mated"]].astype(float)
    least = _FEWEST / n if n else np.nan
    rate = max(rate, least) if n else np.nan
    groups = audit.rates["group"].tolist()
    if not rate > 0:
        return pd.DataFrame({"fmr": 0.0, "fnmr": 0.0}, index=groups)
    ends = np.log([max(rate * np.exp(-_REACH), least), min(rate * np.exp(_REACH), 1.0)])
    some = fmr > 0
    strict, lax = np.interp(ends, np.log(fmr[some])[::-1], t[some][::-1])
    told = {}
    for group, part in audit.det.groupby("group", sort=False):
        at = part["threshold"].to_numpy()
        rates = {
            error: [float(np.interp(x, at, part[error].to_numpy())) for x in (strict, lax)]
            for error in ("fmr", "fnmr")
        }
        step = ends[1] - ends[0]
        own = audit.rates.loc[audit.rates["group"] == group, "fmr"].iloc[0]
        low, high = rates["fmr"]
        steep = np.log(high / low) / step if low > 0 and high > low else 1.0
        told[group] = {
            "fmr": steep * own,
            "fnmr": (rates["fnmr"][1] - rates["fnmr"][0]) / step if step > 0 else 0.0,
        }
    return pd.DataFrame(told).T.reindex(groups).fillna(0.0)


def at_target(audit: Thresholded) -> pd.DataFrame:
    """Rates at the target FMR: with intervals that allow for the threshold, too.

    `Audit.rates` is about this one threshold. Whoever sets a threshold for the target FMR on other
    people, as many, gets another threshold and other rates.

    Returns
    -------
    pandas.DataFrame
        `group fmr fmr_low fmr_high fnmr fnmr_low fnmr_high`, `all` first. The FMR that the
        threshold was set by is what it is by construction and has no interval.
    """
    shift, slope = Shift([audit]), slopes(audit)
    noise, freedom = shift.variance(np.ones(1)) if shift.known else (np.nan, np.inf)
    frame = audit.rates[["group"]].copy()
    for error in ("fmr", "fnmr"):
        sums, worth = audit.counts.of_everybody_and_groups(error)
        own = np.where(sums.usable, sums.variance, 0)
        moved = slope[error].to_numpy() ** 2 * noise
        with np.errstate(invalid="ignore", divide="ignore"):
            total = own + moved
            welch = total**2 / (own**2 / sums.freedom + moved**2 / freedom)
            number = np.where(sums.usable, sums.rate * (1 - sums.rate) / total, worth)
        t = stdtrit(np.where(np.isfinite(welch), welch, 1e9), (1 + audit.confidence) / 2)
        low, high = wilson_limits(sums.rate, number, t)
        fixed = error == "fmr" and audit.set_on_itself and audit.pairs == "all"
        if fixed:
            low[0] = high[0] = np.nan
        frame[error], frame[f"{error}_low"], frame[f"{error}_high"] = sums.rate, low, high
    return frame
