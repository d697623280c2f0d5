"""What changes from one arm to another on the same test: one way for every rate and index.

In: audits of several arms on the same people, one a training seed. Out: every arm's rates and
indices, and paired changes, whose intervals allow for the people of the test, for those that the
thresholds were set on, and for the trainings' seeds.

An arm's rates are means over its seeds and its indices those of the mean rates. The variance of a
difference has three parts: of the test, linearised and paired (`Together`); of the thresholds,
which models calibrated on the same people share (`Shift`), through the slope of each rate; and
between seeds, paired too, over their number. The interval reaches as far as that of the first two
(Student's, with Satterthwaite's degrees of freedom) and that of the seeds, squared and added: with
three seeds, all three under one Student's t held 92 % where seeds matter most. The change of an
index is told from both arms' own intervals, which know its noise.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtridf, stdtrit

from facelab.audits.by_group import Audit
from facelab.audits.thresholds import Shift, added, slopes
from facelab.rates.contrasts import Pairs
from facelab.rates.indices import index_table, is_ratio
from facelab.rates.paired import Together

_ERRORS = {"fmr": "non_mated", "fnmr": "mated"}
_ROUNDING = 1e-8  # of a rate: what sums of models that err alike leave of their difference


class Change(NamedTuple):
    """From a to b: the difference and the ratio, each with its interval."""

    a: float
    b: float
    difference: float
    low: float
    high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    note: str = ""


class Arms:
    """Arms of an experiment, audited on the same people.

    Parameters
    ----------
    audits
        By arm, one a seed, as many of each and in the same order.
    replicates, seed
        Simulated tests behind the intervals of indices.
    """

    def __init__(self, audits: Mapping[str, Sequence[Audit]], replicates: int, seed: int) -> None:
        self.names = list(audits)
        self.audits = [audit for several in audits.values() for audit in several]
        self.seeds = len(self.audits) // len(self.names)
        first = self.audits[0]
        self.groups = first.rates["group"].tolist()
        self.confidence = first.confidence
        self._replicates, self._seed = replicates, seed
        self._tables: dict[float, list[pd.DataFrame]] = {}
        self._shift = Shift(self.audits)
        self._slopes = [slopes(audit) for audit in self.audits]
        self._together: dict[tuple[str, str], Together] = {}
        # Whose mean each model is part of: float64 (arms, models).
        self._mean = np.kron(np.eye(len(self.names)), np.full(self.seeds, 1 / self.seeds))

    @property
    def caution(self) -> str:
        """What the intervals do not allow for."""
        notes = [] if self.seeds > 1 else ["one seed: training noise unseen"]
        notes += [] if self._shift.known else ["the thresholds are taken as given"]
        return "; ".join(notes)

    def _models(self, error: str, group: str) -> Together:
        key = (error, group)
        if key not in self._together:
            place = None if group == "all" else self.audits[0].counts.groups.index(group)
            models = [audit.counts for audit in self.audits]
            self._together[key] = Together(models, error, place)
        return self._together[key]

    def _slope(self, error: str, group: str) -> np.ndarray:
        return np.array([slope.loc[group, error] for slope in self._slopes])

    def fixed(self, error: str, group: str) -> bool:
        """Whether a rate is what the thresholds were set for, on these very comparisons."""
        return (error, group) == ("fmr", "all") and all(
            audit.set_on_itself and audit.pairs == "all" for audit in self.audits
        )

    def rate(self, error: str, group: str) -> np.ndarray:
        """Of each arm."""
        return self._mean @ self._models(error, group).rate

    def variance(
        self, error: str, group: str, weights: np.ndarray, confidence: float | None = None
    ) -> tuple[float, float]:
        """Variance of sum_arm weights_arm rate_arm, and its degrees of freedom: those with which
        Student's t reaches, at this confidence, as far as the interval does."""
        models = self._models(error, group)
        each = weights @ self._mean
        parts = [models.variance(each), self._shift.variance(each * self._slope(error, group))]
        total, freedom = added(parts)
        if self.seeds > 1:
            by_seed = weights @ models.rate.reshape(len(self.names), self.seeds)
            between = float(np.var(by_seed, ddof=1)) / self.seeds
            own, few = self._z(confidence, freedom), self._z(confidence, self.seeds - 1)
            reach = np.sqrt(own**2 * total + few**2 * between)
            total += between
            if total > 0:
                tail = (1 + (confidence or self.confidence)) / 2
                freedom = float(stdtridf(tail, reach / np.sqrt(total)))
        least = _ROUNDING * float(np.abs(weights) @ np.nan_to_num(self.rate(error, group)))
        return (0.0 if total < least**2 else total), freedom

    def rate_change(
        self, error: str, group: str, a: int, b: int, confidence: float | None = None
    ) -> Change:
        """The change of a rate from one arm to another.

        The interval is that of the ratio's logarithm; the difference's is the same one in its own
        unit, so that both leave out no change together.
        """
        rate = self.rate(error, group)
        before, after = float(rate[a]), float(rate[b])
        ratio = after / before if before > 0 else np.nan
        nothing = Change(before, after, after - before, *[np.nan] * 2, ratio, *[np.nan] * 2)
        if not np.isfinite(after - before):
            return nothing._replace(note="undefined in an audit: see its disparity or rates")
        if self.fixed(error, group):
            return nothing._replace(note="FMR is what the thresholds were set for")
        if a == b:
            return Change(before, after, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
        if before == 0 or after == 0:
            return self._from_nothing(error, group, a, b, before, after, confidence)
        weights = np.zeros(len(rate))
        weights[[a, b]] = -1 / before, 1 / after
        spread = self.variance(error, group, weights, confidence)
        low, high = np.log(ratio) + self._reach(spread, confidence)
        # The logarithmic mean turns log ratios into differences.
        unit = (after - before) / np.log(ratio) if after != before else before
        apart = max(unit * low, -1.0), min(unit * high, 1.0)
        return Change(before, after, after - before, *apart, ratio, *factors(low, high))

    def _from_nothing(
        self,
        error: str,
        group: str,
        a: int,
        b: int,
        before: float,
        after: float,
        confidence: float | None,
    ) -> Change:
        """The change where an arm has no errors: as if the two were of different people."""
        numbers = self._numbers(error).loc[group].to_numpy()[[b, a], None]
        one, other = np.array([after]), np.array([before])
        pairs = Pairs(one, other, numbers, np.array([np.inf]))
        limits = [float(end[0]) for end in pairs.limits(self._z(confidence))]
        without = "both arms" if before == after else self.names[b if before > 0 else a]
        note = f"no errors in {without}"
        ratio = after / before if before > 0 else np.nan
        return Change(before, after, after - before, *limits[2:], ratio, *limits[:2], note)

    def _z(self, confidence: float | None = None, freedom: float = np.inf) -> float:
        """Standard errors to either end of an interval."""
        return float(stdtrit(min(freedom, 1e9), (1 + (confidence or self.confidence)) / 2))

    def _reach(self, variance: tuple[float, float], confidence: float | None = None) -> np.ndarray:
        """How far an interval reaches down and up."""
        half = self._z(confidence, variance[1]) * np.sqrt(variance[0])
        return np.array([-half, half])

    def rate_interval(self, error: str, group: str, arm: int, log: bool) -> tuple[float, float]:
        """The interval of one arm's rate, on the scale of logarithms or of the rate."""
        rate = self.rate(error, group)[arm]
        if not rate > 0 or self.fixed(error, group):
            number = self._numbers(error).loc[group].iloc[arm]
            none = np.isnan(rate) or self.fixed(error, group)
            return (np.nan, np.nan) if none else (0.0, self._z() ** 2 / (number + self._z() ** 2))
        weights = np.zeros(len(self.names))
        weights[arm] = 1 / rate if log else 1
        low, high = self._reach(self.variance(error, group, weights))
        if log:
            below, above = factors(low, high)
            return rate * below, rate * above
        return max(rate + low, 0.0), min(rate + high, 1.0)

    def _numbers(self, error: str) -> pd.DataFrame:
        """Effective numbers of comparisons: by group, a column an arm; means over seeds."""
        column = f"effective_{_ERRORS[error]}"
        each = np.stack([audit.rates[column].to_numpy(float) for audit in self.audits], axis=1)
        return pd.DataFrame(each @ self._mean.T, index=self.groups)

    def mean_rates(self, weights: np.ndarray) -> pd.DataFrame:
        """Weighted means over arms by group and what they are worth, as `fl.disparity` has them."""
        frame = self.audits[0].rates[["group", *_ERRORS.values()]].iloc[1:].copy()
        for error, tries in _ERRORS.items():
            frame[error] = [self.rate(error, group) @ weights for group in self.groups[1:]]
            fallback = self._numbers(error).iloc[1:] @ weights
            number = []
            for group, rate, own in zip(frame["group"], frame[error], fallback, strict=True):
                variance = self.variance(error, group, weights)[0] if rate > 0 else 0.0
                number.append(rate * (1 - rate) / variance if variance > 0 else own)
            frame[f"effective_{tries}"] = number
        return frame

    @cached_property
    def rates(self) -> list[pd.DataFrame]:
        """Every arm's rates by group and what they are worth, as `fl.disparity` takes them."""
        return [self.mean_rates(arm) for arm in np.eye(len(self.names))]

    @property
    def disparity(self) -> list[pd.DataFrame]:
        """Every arm's indices, as `fl.disparity` gives them."""
        return self._indices(self.confidence)

    def _indices(self, confidence: float) -> list[pd.DataFrame]:
        if confidence not in self._tables:
            self._tables[confidence] = [
                index_table(
                    frame, confidence=confidence, draws=self._replicates, seed=self._seed
                ).set_index(["metric", "error"])
                for frame in self.rates
            ]
        return self._tables[confidence]

    def index_change(
        self, metric: str, error: str, a: int, b: int, confidence: float | None = None
    ) -> Change:
        """The change of an index.

        Estimates of indices are biased by noise, and in two arms not alike. The interval is
        therefore made of both arms' own, which allow for that, as a sum of estimates reaches as far
        as their own limits, squared and added (MOVER); that the people are the same does not
        narrow it.
        """
        key, log = (metric, error), is_ratio(metric)
        tables = self._indices(confidence or self.confidence)
        one, other = tables[a].loc[key], tables[b].loc[key]
        before, after = float(one["value"]), float(other["value"])
        ratio = after / before if before > 0 else np.nan
        nothing = Change(before, after, after - before, *[np.nan] * 2, ratio, *[np.nan] * 2)
        if not np.isfinite(after - before):
            return nothing._replace(note="undefined in an audit: see its disparity or rates")
        if a == b:
            return Change(before, after, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
        if not np.isfinite(one["low"] + other["low"]):
            return nothing._replace(note="an arm's index has no interval")
        scale = np.log if log else float
        (x, x_low, x_high), (y, y_low, y_high) = (
            [float(scale(row[name])) for name in ("corrected", "low", "high")]
            for row in (one, other)
        )
        seen = float(scale(after) - scale(before))
        low = min(y - x - np.hypot(y - y_low, x_high - x), seen)
        high = max(y - x + np.hypot(y_high - y, x - x_low), seen)
        note = self._at_parity(key, a, b)
        if log:
            ends = factors(low, high)
            # The logarithmic mean turns log ratios into differences.
            unit = (after - before) / np.log(ratio) if after != before else before
            return Change(
                before, after, after - before, unit * low, unit * high, ratio, *ends, note
            )
        ends = (max(1 + low / before, 0), 1 + high / before) if before > 0 else (np.nan, np.nan)
        return Change(before, after, after - before, low, high, ratio, *ends, note)

    def contrast(
        self, metric: str, of: str, weights: np.ndarray, confidence: float | None = None
    ) -> tuple[float, float, float]:
        """A change of changes: the product of arms' rates or indices, each to the power of its
        weight, with its interval; missing where one of them is zero or unknown.

        Of rates it is paired, as `rate_change`; of indices it is made of the arms' own intervals,
        as `index_change`.
        """
        weights = np.asarray(weights, float)
        if metric in _ERRORS:
            values = self.rate(metric, of)
        else:
            told = pd.DataFrame(
                [one.loc[(metric, of)] for one in self._indices(confidence or self.confidence)]
            )
            values = told["value"].to_numpy(float)
        if not (np.isfinite(values) & (values > 0)).all() or self.fixed(metric, of):
            return np.nan, np.nan, np.nan
        seen = float(weights @ np.log(values))
        if metric in _ERRORS:
            spread = self.variance(metric, of, weights / values, confidence)
            low, high = seen + self._reach(spread, confidence)
        else:
            logs = np.log(told[["corrected", "low", "high"]].to_numpy(float))
            middle, down, up = logs[:, 0], logs[:, 0] - logs[:, 1], logs[:, 2] - logs[:, 0]
            below, above = np.where(weights < 0, [up, down], [down, up])
            used = weights != 0  # the ends of the others may be infinite
            reach = [float(np.linalg.norm(weights[used] * ends[used])) for ends in (below, above)]
            low = min(float(weights @ middle) - reach[0], seen)
            high = max(float(weights @ middle) + reach[1], seen)
        return factors(seen, low, high)

    def _at_parity(self, key: tuple[str, str], a: int, b: int) -> str:
        """Which of the arms cannot be told from parity by an index."""
        equal = [self.disparity[arm].loc[key, "p_parity"] >= 1 - self.confidence for arm in (a, b)]
        if all(equal):
            return "neither arm can be told from parity"
        one = self.names[(a, b)[equal.index(True)]] if any(equal) else None
        return f"{one} cannot be told from parity" if one else ""


def in_family(confidence: float, rows: int) -> float:
    """The confidence of one interval among so many that are all to hold (Sidak)."""
    return confidence ** (1 / max(rows, 1))


def factors(*logs: float) -> tuple[float, ...]:
    """What logarithms stand for; an end beyond all numbers is no end."""
    with np.errstate(over="ignore"):
        return tuple(float(np.exp(log)) for log in logs)
