"""Disparity: one number for how unequally a recogniser errs over groups.

In: error rates by group, and, for intervals, their bootstrap. Out: one row an index, with the
worst and best group and what limits the number. No index is a verdict: read it beside the rates.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.error_rates import RULE_OF_THREE, Rates
from facelab.errors import BadInput

DDOF = 0  # the groups are all there are, not a sample of groups
HALF_AN_ERROR = 0.5
_COLUMNS = ["metric", "error", "value", "low", "high", "worst", "best", "note"]


def max_min_ratio(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """max x / min x; 1 is parity (NIST)."""
    return _over_zero(np.nanmax(x, axis=-1), np.nanmin(_lifted(x, floor), axis=-1))


def max_min_difference(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """max x - min x; 0 is parity."""
    return np.nanmax(x, axis=-1) - np.nanmin(x, axis=-1)


def max_geomean_ratio(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """max x / geometric mean of x; 1 is parity (NISTIR 8429 draft)."""
    lifted = _lifted(x, floor)
    with np.errstate(divide="ignore"):
        mean = np.exp(np.nanmean(np.log(lifted), axis=-1))
    return _over_zero(np.nanmax(x, axis=-1), mean)


def gini(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Gini coefficient with the n/(n-1) correction: 0 is parity, 1 is one group has all errors.

    n/(n-1) * sum_ij |x_i - x_j| / (2 n^2 mean x), which GARBE is made of (Howard et al. 2022).
    """
    n = np.sum(~np.isnan(x), axis=-1)
    ranked = np.sort(x, axis=-1)  # NaN goes last and weighs nothing
    rank = np.arange(1, x.shape[-1] + 1)
    spread = np.nansum((2 * rank - n[..., None] - 1) * ranked, axis=-1)
    total = np.nansum(x, axis=-1)
    return np.where(total > 0, spread / np.where(total > 0, (n - 1) * total, 1), 0.0)


def std(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Standard deviation over groups (ddof 0); 0 is parity."""
    return np.nanstd(x, axis=-1, ddof=DDOF)


class _Index(NamedTuple):
    """How an index is computed and read."""

    of: Callable[..., np.ndarray]
    parity: float
    least: float
    most: float
    ratio: bool = False


_OF_ONE = {
    "max_min_ratio": _Index(max_min_ratio, 1, 1, np.inf, ratio=True),
    "max_min_difference": _Index(max_min_difference, 0, 0, 1),
    "max_geomean_ratio": _Index(max_geomean_ratio, 1, 1, np.inf, ratio=True),
    "gini": _Index(gini, 0, 0, 1),
    "std": _Index(std, 0, 0, 1),
}
_OF_BOTH = {
    # GARBE: Howard et al. 2022. FDR and IR: de Freitas Pereira and Marcel 2021 and Grother 2021.
    "garbe": _Index(
        lambda f, n, ff, nf, a: a * gini(f, ff) + (1 - a) * gini(n, nf), parity=0, least=0, most=1
    ),
    "fdr": _Index(
        lambda f, n, ff, nf, a: (
            1 - a * max_min_difference(f, ff) - (1 - a) * max_min_difference(n, nf)
        ),
        parity=1,
        least=0,
        most=1,
    ),
    "inequity": _Index(
        lambda f, n, ff, nf, a: max_min_ratio(f, ff) ** a * max_min_ratio(n, nf) ** (1 - a),
        parity=1,
        least=1,
        most=np.inf,
        ratio=True,
    ),
}
_METRICS = {**_OF_ONE, **_OF_BOTH}


def is_ratio(metric: str) -> bool:
    """Whether an index is a ratio, to be averaged and compared on the log scale."""
    return _METRICS[metric].ratio


def disparity(
    rates: pd.DataFrame,
    a: float = 0.5,
    replicates: Rates | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Indices of how far apart the groups' error rates lie at one threshold.

    Parameters
    ----------
    rates
        `group` and `fmr`, `fnmr` or both, as `error_rates` gives them or as published; the row
        `all` is passed over. A group without a rate is left out of the index and named.
    a
        Weight of FMR against FNMR in `garbe`, `fdr` and `inequity`, in [0, 1].
    replicates
        Bootstrapped rates of the same groups; `audit` passes them. Without them the intervals
        are missing and the note says so.
    confidence
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `metric error value low high worst best note`. `error` is fmr, fnmr or both. Ratios whose
        denominator is a group without errors take the rule-of-three bound 3/n for it: they are
        lower bounds, marked so, without an upper end.

    Notes
    -----
    Noise alone pushes the highest and the lowest rate apart: equal groups of 30 subjects show a
    max/min ratio well above 1, and percentile intervals of it never hold 1. The intervals are
    therefore the estimate -+ z bootstrap standard errors (ratios: of the logarithm), cut at parity.
    In a replicate, a group that lost its errors counts as having half an error.

    Raises
    ------
    BadInput
        No `group` or no rate column, a rate outside [0, 1], a group twice, `a` outside [0, 1].
    """
    groups = _checked(rates, a)
    given = [error for error in ("fmr", "fnmr") if error in groups.columns]
    point = indices(groups, a=a)
    draws = None if replicates is None else indices(groups, replicates, a)
    rows = []
    for (metric, error), value in point.items():
        parts = given if error == "both" else [error]
        notes = [note for part in parts for note in _limits(groups, part, _METRICS[metric].ratio)]
        bounded = _METRICS[metric].ratio and any(_zero_among(groups[part]) for part in parts)
        if metric == "std":
            notes.append(f"ddof={DDOF}")
        low = high = np.nan
        if draws is None:
            notes.append("no interval: it needs the comparisons, as audit has them")
        elif np.isfinite(value):
            low, high = index_interval(metric, float(value), draws[metric, error], confidence)
            high = np.nan if bounded else high
        ends = [_ends(groups, part) for part in parts]
        worst, best = (
            "; ".join(
                end if len(parts) == 1 else f"{part}: {end}"
                for part, end in zip(parts, side, strict=True)
            )
            for side in zip(*ends, strict=True)
        )
        rows.append((metric, error, float(value), low, high, worst, best, "; ".join(notes)))
    return pd.DataFrame(rows, columns=_COLUMNS)


def indices(
    rates: pd.DataFrame, replicates: Rates | None = None, a: float = 0.5
) -> dict[tuple[str, str], np.ndarray]:
    """Every index of the groups' rates, or of each bootstrap replicate: (metric, error) -> value.

    NaN where fewer than two groups have a rate, or where a ratio has errors nowhere or a zero
    denominator that nothing bounds.
    """
    groups = rates[rates["group"] != "all"]
    x, floor = {}, {}
    for error, kind in (("fmr", "non_mated"), ("fnmr", "mated")):
        if error not in groups.columns:
            continue
        observed = groups[error].to_numpy(dtype=np.float64)
        x[error] = observed if replicates is None else getattr(replicates, error)[:, 1:]
        floor[error] = zero_floor(groups, error, kind, in_replicates=replicates is not None)
    with np.errstate(all="ignore"):
        result = {
            (metric, error): _where_two(index.of(x[error], floor[error]), x[error])
            for error in x
            for metric, index in _OF_ONE.items()
        }
        if len(x) == 2:
            for metric, index in _OF_BOTH.items():
                value = index.of(x["fmr"], x["fnmr"], floor["fmr"], floor["fnmr"], a)
                result[metric, "both"] = _where_two(_where_two(value, x["fmr"]), x["fnmr"])
    return result


def zero_floor(
    groups: pd.DataFrame, error: str, kind: str, in_replicates: bool = False
) -> np.ndarray:
    """What stands for a rate of zero in a denominator, by group; NaN where nothing is known.

    A group without observed errors: the rule-of-three bound 3/n, at most 1. A group that lost its
    errors in a bootstrap replicate: half an error.
    """
    if kind not in groups.columns:
        return np.full(len(groups), np.nan)
    n = groups[kind].to_numpy(dtype=np.float64)
    n = np.where(n > 0, n, np.nan)
    if not in_replicates:
        return np.minimum(RULE_OF_THREE / n, 1.0)
    return np.where(groups[error] == 0, RULE_OF_THREE, HALF_AN_ERROR) / n


def index_interval(
    metric: str, value: float, draws: np.ndarray, confidence: float
) -> tuple[float, float]:
    """The interval of an index, cut at parity and at the index's other end."""
    index = _METRICS[metric]
    ends = normal_interval(value, draws, confidence, log=index.ratio)
    low, high = (float(np.clip(end, index.least, index.most)) for end in ends)
    return low, high


def normal_interval(
    value: float, draws: np.ndarray, confidence: float, log: bool
) -> tuple[float, float]:
    """The value -+ z standard errors of its bootstrap, on the log scale for ratios.

    Quantiles of the replicates will not do for a statistic that noise biases: they carry the bias
    twice. NaN without replicates, or without a logarithm.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws) or (log and (value <= 0 or (draws <= 0).any())):
        return np.nan, np.nan
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * float(
        np.std(np.log(draws) if log else draws)
    )
    if log:
        return value * np.exp(-reach), value * np.exp(reach)
    return value - reach, value + reach


def _checked(rates: pd.DataFrame, a: float) -> pd.DataFrame:
    if not 0 <= a <= 1:
        raise BadInput(f"the weight a must lie in [0, 1], not be {a}")
    if "group" not in rates.columns or not {"fmr", "fnmr"} & set(rates.columns):
        raise BadInput("rates need a column `group` and `fmr`, `fnmr` or both")
    groups = rates[rates["group"] != "all"].reset_index(drop=True)
    if groups["group"].duplicated().any():
        name = groups.loc[groups["group"].duplicated(), "group"].iloc[0]
        raise BadInput(f"group {name!r} stands there twice: give one row a group")
    for error in {"fmr", "fnmr"} & set(groups.columns):
        outside = (groups[error] < 0) | (groups[error] > 1)
        if outside.any():
            row = groups[outside].iloc[0]
            raise BadInput(
                f"the {error} of group {row['group']!r} is {row[error]}: rates are shares from 0 "
                "to 1, not percent"
            )
    return groups


def _lifted(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Zeros replaced by their floor, which may not pass the highest rate; 0 where none is known."""
    highest = np.nanmax(x, axis=-1, keepdims=True)
    return np.where(x == 0, np.nan_to_num(np.minimum(floor, highest)), x)


def _over_zero(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), np.nan)


def _where_two(value: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.where(np.sum(~np.isnan(x), axis=-1) >= 2, value, np.nan)


def _zero_among(x: pd.Series) -> bool:
    return bool((x == 0).any() and (x > 0).any())


def _ends(groups: pd.DataFrame, error: str) -> tuple[str, str]:
    """The groups with the highest and the lowest rate; none where no group has a rate."""
    known = groups.dropna(subset=error)
    if known.empty:
        return "", ""
    return known.loc[known[error].idxmax(), "group"], known.loc[known[error].idxmin(), "group"]


def _limits(groups: pd.DataFrame, error: str, ratio: bool) -> list[str]:
    """What limits an index of one error."""
    notes = []
    unknown = groups.loc[groups[error].isna(), "group"]
    known = groups.dropna(subset=error)
    if len(unknown):
        notes.append(f"without {', '.join(unknown)}: no {error}")
    if len(known) < 2:
        return [*notes, f"needs two groups with {error}"]
    name, count = {"fmr": ("false matches", "false_matches")}.get(
        error, ("false non-matches", "false_non_matches")
    )
    if (known[error] == 0).all():
        return [*notes, f"no group has {name}" + (": ratio undefined" if ratio else "")]
    zeros = known.loc[known[error] == 0, "group"]
    if ratio and len(zeros):
        kind = "non_mated" if error == "fmr" else "mated"
        bounded = kind in known.columns
        notes.append(
            f"{'lower bound' if bounded else 'undefined'}: {', '.join(zeros)} "
            f"{'has' if len(zeros) == 1 else 'have'} no {name}"
            + ("" if bounded else " and no count of comparisons to bound the rate with")
        )
    if ratio and count in known.columns:
        scarce = known[known[count].between(1, 2)]
        if len(scarce):
            notes.append(f"rough: only one or two {name} in {', '.join(scarce['group'])}")
    return notes
