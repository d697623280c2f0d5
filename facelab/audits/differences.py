"""What changed between two audits of the same test subjects: paired differences with intervals.

In: audits of two arms, one or several seeds each. Out: for every rate and index the difference and
the ratio of the arms, with the uncertainty of test subjects and of training seeds.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from facelab.audits.by_group import Audit
from facelab.errors import BadInput, a_kind, counted, there_are
from facelab.rates.counts import Rates, double_or_nothing
from facelab.rates.indices import indices, is_ratio, normal_interval, zero_floor
from facelab.rates.tables import number


@dataclass(frozen=True, eq=False)
class AuditDifferences:
    """Two arms side by side.

    Attributes
    ----------
    arms
        Their names: the columns a and b of the tables. A difference is b - a, a ratio b / a.
    table
        `quantity a b difference low high ratio ratio_low ratio_high note`, one row for each
        `fmr:<group>`, `fnmr:<group>` and `<metric>:<error>`. Indices that are ratios are averaged
        over seeds and compared by geometric means, everything else by arithmetic means.
    per_seed
        `quantity seed a b difference ratio`, where seed counts the pairs of audits.
    confidence
        Of the intervals.
    """

    arms: tuple[str, str]
    table: pd.DataFrame
    per_seed: pd.DataFrame
    confidence: float

    def row(self, quantity: str) -> pd.Series:
        """One quantity's row, such as ``row("max_min_ratio:fmr")``."""
        found = self.table[self.table["quantity"] == quantity]
        if found.empty:
            known = self.table["quantity"]
            raise BadInput(f"there is no quantity {quantity!r}{there_are(quantity, known)}")
        return found.iloc[0]

    def summary(self, quantity: str = "max_min_ratio:fmr") -> str:
        """One quantity's change in a sentence, with its interval."""
        row, (first, second) = self.row(quantity), self.arms
        a, b = number(row["a"]), number(row["b"])
        text = f"{quantity} was {a} for {first} and {b} for {second}"
        if np.isfinite(row["ratio"]):
            text += f": {row['ratio']:.3g} times [{row['ratio_low']:.2g}, {row['ratio_high']:.2g}]"
            straddles = row["ratio_low"] <= 1 <= row["ratio_high"]
            text += ", which is compatible with no change" if straddles else ""
        return text + (f" ({row['note']})" if row["note"] else "") + "."

    def _repr_html_(self) -> str:
        first, second = (escape(name) for name in self.arms)
        table = self.table.to_html(
            index=False, border=0, escape=True, float_format=lambda value: f"{value:.3g}"
        )
        return f"<p>a = {first}, b = {second}; difference b - a, ratio b / a</p>{table}"


@counted
def compare_audits(
    arms: Mapping[str, Audit | Sequence[Audit]], replicates: int = 2000, seed: int = 0
) -> AuditDifferences:
    """Paired differences between two arms, audited on the same test subjects.

    Parameters
    ----------
    arms
        Two named arms, the baseline first; each an audit or a list of audits, one a training seed,
        in the same order of seeds.
    replicates
        Of the bootstrap. Every replicate weights the test subjects double or nothing, the same for
        all audits, and draws the seeds with replacement, the same for both arms.
    seed
        Of the bootstrap.

    Returns
    -------
    AuditDifferences

    Notes
    -----
    Rates take percentile intervals; indices, which noise biases, take the estimate -+ z bootstrap
    standard errors, for ratios on the log scale (`disparity`).
    Thresholds are taken as given. With few seeds their part of the interval is crude: n seeds drawn
    with replacement vary by (n - 1) / n of what they should, and one seed not at all; look at
    `per_seed`. Nothing is corrected for looking at many quantities.

    Raises
    ------
    BadInput
        Not two arms, unequal numbers of seeds, or audits that differ in test subjects, groups,
        target FMR or confidence; the message names the audit.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"whole": fl.audit(people, "group"), "half": fl.audit(half, "group")}
    >>> differences = fl.compare_audits(arms)
    >>> differences.table["quantity"].head(3).tolist()
    ['fmr:all', 'fmr:a', 'fmr:b']
    >>> print(differences.summary("fnmr:all"))
    fnmr:all was 0.0433 for whole and 0.257 for half: 5.92 times [4.1, 10] (one seed: training noise
    unseen).
    """
    names, audits = _paired(arms)
    reference = audits[0][0]
    rng = np.random.default_rng(seed)
    weights = double_or_nothing(len(reference.counts.subjects), replicates, rng)
    seeds = len(audits[0])
    drawn = rng.integers(0, seeds, size=(seeds, replicates))

    points, draws = [], []
    for arm in audits:
        sides = [_quantities(audit, audit.counts.resample(weights)) for audit in arm]
        points.append({key: np.array([one[key][0] for one, _ in sides]) for key in sides[0][0]})
        draws.append({key: np.stack([side[key] for _, side in sides]) for key in sides[0][1]})
    rows, singles = [], []
    for quantity in points[0]:
        values = [point[quantity] for point in points]
        resampled = [draw[quantity][drawn, np.arange(replicates)] for draw in draws]
        floors = [np.array([_floor(audit, quantity) for audit in arm]) for arm in audits]
        rows.append(
            {
                "quantity": quantity,
                **_compare(quantity, values, resampled, floors, drawn, reference.confidence),
            }
        )
        for place, (a, b) in enumerate(zip(*values, strict=True)):
            ratio = b / a if a > 0 else np.nan
            singles.append((quantity, place, a, b, b - a, ratio))
    table = pd.DataFrame(rows)
    if seeds == 1:
        table["note"] = [_joined(note, "one seed: training noise unseen") for note in table["note"]]
    per_seed = pd.DataFrame(singles, columns=["quantity", "seed", "a", "b", "difference", "ratio"])
    return AuditDifferences(names, table, per_seed, reference.confidence)


def audits_of(arms: Any, verb: str) -> dict[str, list[Audit]]:
    """Each arm's audits, given as one or as several; refuses what is none."""
    if not isinstance(arms, Mapping):
        raise BadInput(
            f'{verb} takes arms by name, such as {{"before": audit, "after": audit}}, not '
            f"{a_kind(arms)}"
        )
    found: dict[str, list[Audit]] = {}
    for name, arm in arms.items():
        several = isinstance(arm, Sequence) and not isinstance(arm, str)
        found[str(name)] = list(arm) if several else [arm]
        for one in found[str(name)]:
            if not isinstance(one, Audit):
                path = isinstance(one, str | os.PathLike)
                remedy = "fl.Audit.load(folder)" if path else "fl.audit(embeddings, by)"
                raise BadInput(f"arm {name!r} holds {a_kind(one)} and no audit: {remedy} gives one")
    return found


def _paired(
    arms: Mapping[str, Audit | Sequence[Audit]],
) -> tuple[tuple[str, str], "list[list[Audit]]"]:
    audits = list(audits_of(arms, "fl.compare_audits").values())
    if len(arms) != 2:
        named = f" ({', '.join(map(str, arms))})" if arms else ""
        raise BadInput(f"two arms can be compared, not {len(arms)}{named}: give a baseline and one")
    if not audits[0] or len(audits[0]) != len(audits[1]):
        raise BadInput(
            f"arms are paired seed by seed, but have {len(audits[0])} and {len(audits[1])} audits: "
            "give as many of each"
        )
    reference = audits[0][0]
    for name, arm in zip(arms, audits, strict=True):
        for place, audit in enumerate(arm):
            number = f"audit {place} of " if len(arm) > 1 else ""
            what = f"{number}{str(name)!r} and {str(next(iter(arms)))!r} differ in"
            for field in ("by", "fmr", "confidence"):
                mine, its = getattr(audit, field), getattr(reference, field)
                if mine != its:
                    mine, its = (", ".join(x) if field == "by" else x for x in (mine, its))
                    raise BadInput(f"{what} `{field}` ({mine}; {its}): audit both arms alike")
            if audit.counts.groups != reference.counts.groups or not audit.counts.units.equals(
                reference.counts.units
            ):
                raise BadInput(
                    f"{what} {difference(audit, reference)}: audit both arms on the same test set"
                )
    return tuple(map(str, arms)), audits


def difference(audit: Audit, reference: Audit) -> str:
    """In which of groups, subjects and images two audits differ."""
    mine, its = audit.counts, reference.counts
    if mine.groups != its.groups:
        return f"their groups ({', '.join(mine.groups)}; {', '.join(its.groups)})"
    alone = np.setxor1d(mine.subjects, its.subjects)
    if len(alone):
        return (
            f"their test subjects ({len(mine.subjects):,} and {len(its.subjects):,}; "
            f"{str(alone[0])!r} is in one of them only)"
        )
    return "the images of their subjects, or who is in which group"


def _quantities(
    audit: Audit, replicates: Rates
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every rate and index of one audit: the estimate (1,) and its replicates."""
    point, draws = {}, {}
    for error in ("fmr", "fnmr"):
        for column, group in enumerate(audit.rates["group"]):
            point[f"{error}:{group}"] = audit.rates[error].to_numpy()[[column]]
            draws[f"{error}:{group}"] = getattr(replicates, error)[:, column]
    for (metric, error), value in indices(audit.rates).items():
        point[f"{metric}:{error}"] = np.atleast_1d(value)
    for (metric, error), values in indices(audit.rates, replicates).items():
        draws[f"{metric}:{error}"] = values
    return point, draws


def _floor(audit: Audit, quantity: str) -> float:
    """What stands for a rate of zero in a ratio of rates; NaN for indices."""
    error, group = quantity.split(":", 1)
    if error not in ("fmr", "fnmr"):
        return np.nan
    kind = "non_mated" if error == "fmr" else "mated"
    row = audit.rates[audit.rates["group"] == group]
    return float(zero_floor(row, error, kind, in_replicates=True)[0])


def _compare(
    quantity: str,
    values: list[np.ndarray],
    draws: list[np.ndarray],
    floors: list[np.ndarray],
    drawn: np.ndarray,
    confidence: float,
) -> dict[str, float | str]:
    """Difference and ratio of two arms for one quantity, with intervals and a note."""
    name = quantity.split(":", 1)[0]
    is_rate = name in ("fmr", "fnmr")
    log = not is_rate and is_ratio(name)
    (a, b), notes = (_mean(value, log) for value in values), []
    with np.errstate(all="ignore"):
        a_draws, b_draws = (_mean(draw, log) for draw in draws)
        difference, ratio = b - a, (b / a if a > 0 else np.nan)
        if is_rate:
            low, high = _percentiles(b_draws - a_draws, confidence)
            top, bottom = (
                _mean(np.where(draw > 0, draw, floor[drawn]), False)
                for draw, floor in ((draws[1], floors[1]), (draws[0], floors[0]))
            )
            ratio_low, ratio_high = _percentiles(top / bottom, confidence)
            if a == 0 or b == 0:
                notes.append("no errors in " + ("both arms" if a == b else "ab"[int(a > 0)]))
                ratio = ratio_low = ratio_high = np.nan
        else:
            # A ratio's difference is linearised on the log scale, where a lost group stays bounded.
            spread = b * np.log(b_draws) - a * np.log(a_draws) if log else b_draws - a_draws
            low, high = normal_interval(0.0, spread, confidence, log=False)
            low, high = difference + low, difference + high
            ratio_low, ratio_high = normal_interval(ratio, b_draws / a_draws, confidence, log=True)
    if not np.isfinite(difference):
        notes.append("undefined in an audit: see its disparity or rates")
    undefined = float(np.mean(~np.isfinite(b_draws - a_draws)))
    if np.isfinite(difference) and undefined > 0.01:
        notes.append(f"{undefined:.0%} of replicates undefined and left out")
    return {
        "a": a,
        "b": b,
        "difference": difference,
        "low": low,
        "high": high,
        "ratio": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "note": "; ".join(notes),
    }


def _mean(values: np.ndarray, log: bool) -> np.ndarray:
    """Mean over seeds, geometric for ratios."""
    return np.exp(np.log(values).mean(axis=0)) if log else values.mean(axis=0)


def _percentiles(draws: np.ndarray, confidence: float) -> tuple[float, float]:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    return tuple(float(value) for value in np.quantile(draws, [tail, 1 - tail]))


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
