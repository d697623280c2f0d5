"""Disparity: one number for how unequally a recogniser errs over groups.

In: error rates by group, and, for intervals, their bootstrap. Out: one row an index, with the
worst and best group and what limits the number. No index is a verdict: read it beside the rates.
"""

import warnings
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.errors import BadInput, a_kind, counted
from facelab.rates.counts import RULE_OF_THREE, Rates

DDOF = 0  # the groups are all there are, not a sample of groups
HALF_AN_ERROR = 0.5


class _Error(NamedTuple):
    """What an error rate counts: in words, the column of tries and the column of errors."""

    words: str
    tries: str
    errors: str


_ERRORS = {
    "fmr": _Error("false matches", "non_mated", "false_matches"),
    "fnmr": _Error("false non-matches", "mated", "false_non_matches"),
    "fte": _Error("failures to enrol", "attempts", "failures_to_enrol"),
    "fpir": _Error("false positives", "searches_non_mated", "false_positives"),
    "fnir": _Error("false negatives", "searches_mated", "false_negatives"),
}
_TRIES = {"fte": "attempts", "fpir": "searches", "fnir": "searches"}
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


def mad(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Mean absolute deviation from the groups' mean; 0 is parity.

    Salvador et al. 2022 (FairCal) call this AAD, and the next one MAD.
    """
    return np.nanmean(_deviations(x), axis=-1)


def max_abs_deviation(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Largest absolute deviation from the groups' mean; 0 is parity."""
    return np.nanmax(_deviations(x), axis=-1)


def _deviations(x: np.ndarray) -> np.ndarray:
    return np.abs(x - np.nanmean(x, axis=-1, keepdims=True))


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
    "mad": _Index(mad, 0, 0, 1),
    "max_abs_deviation": _Index(max_abs_deviation, 0, 0, 1),
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
# The skewed error ratio: Wang and Deng 2020. Theirs is of errors on pair lists with a threshold for
# each group; here the error is a FMR + (1 - a) FNMR at the one threshold, which for a = 0.5 is that
# on a list of as many mated as non-mated pairs.
_OF_WEIGHTED = {"ser": _Index(max_min_ratio, 1, 1, np.inf, ratio=True)}
_METRICS = {**_OF_ONE, **_OF_BOTH, **_OF_WEIGHTED}


def is_ratio(metric: str) -> bool:
    """Whether an index is a ratio, to be averaged and compared on the log scale."""
    return _METRICS[metric].ratio


@counted
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
        `group` and any of `fmr`, `fnmr`, `fte` (failure to enrol), `fpir` and `fnir` (of search),
        as `error_rates` gives them or as published; the row `all` is passed over. A group without a
        rate is left out of the index and named. The counts behind the rates bound a rate of zero:
        `non_mated`, `mated`, `attempts` (to enrol), `searches_non_mated`, `searches_mated`; those
        of errors (`false_matches`, `false_non_matches`, `failures_to_enrol`, `false_positives`,
        `false_negatives`) tell which ratios hang on one or two.
    a
        Weight of FMR against FNMR in `garbe`, `fdr`, `inequity` and `ser`, in [0, 1].
    replicates
        Bootstrapped rates of the same groups, float64 (replicates, 1 + groups) by error; `audit`
        passes them. Errors that they lack have no interval, and the note says so.
    confidence
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `metric error value low high worst best note`. `error` is fmr, fnmr, fte or, for indices of
        FMR and FNMR together, both. Ratios whose denominator is a group without errors take the
        rule-of-three bound 3/n for it: they are lower bounds, marked so, without an upper end;
        without a count n they are NaN, and marked so.

    Notes
    -----
    Noise alone pushes the highest and the lowest rate apart: equal groups of 30 subjects show a
    max/min ratio well above 1, and percentile intervals of it never hold 1. The intervals are
    therefore the estimate -+ z bootstrap standard errors (ratios: of the logarithm), cut at parity.
    In a replicate, a group that lost its errors counts as having half an error.

    Raises
    ------
    BadInput
        No `group` or no rate column, a rate that is no number or outside [0, 1], a group twice, `a`
        outside [0, 1].

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"group": ["a", "b", "c"], "fmr": [0.001, 0.002, 0.008]})
    >>> table = fl.disparity(rates)
    >>> table.set_index("metric")["value"].round(3).head(3).to_dict()
    {'max_min_ratio': 8.0, 'max_min_difference': 0.007, 'max_geomean_ratio': 3.175}
    >>> table["worst"].iloc[0], table["best"].iloc[0]
    ('c', 'a')
    """
    groups = _checked(rates, a)
    observed = _observed(groups, None, a)
    point = indices(groups, a=a)
    draws = {} if replicates is None else indices(groups, replicates, a)
    rows = []
    for (metric, error), value in point.items():
        ratio = _METRICS[metric].ratio
        parts = ["fmr", "fnmr"] if metric in _OF_BOTH else [error]
        notes = [note for part in parts for note in _limits(groups, part, *observed[part], ratio)]
        if metric == "std":
            notes.append(f"ddof={DDOF}")
        low = high = np.nan
        if (metric, error) not in draws:
            notes.append("no interval: it needs the comparisons, as audit has them")
        elif np.isfinite(value):
            bounded = ratio and any(_zero_among(observed[part][0]) for part in parts)
            low, high = index_interval(metric, float(value), draws[metric, error], confidence)
            high = np.nan if bounded else high
        ends = [_ends(groups["group"], observed[part][0]) for part in parts]
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
    observed = _observed(rates[rates["group"] != "all"], replicates, a)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # Where no group has a rate numpy says that there is nothing to average; NaN says it too.
        warnings.simplefilter("ignore", RuntimeWarning)
        result = {
            (metric, error): _where_two(index.of(x, floor), x)
            for error, (x, floor) in observed.items()
            for metric, index in (_OF_WEIGHTED if error == "both" else _OF_ONE).items()
        }
        if "both" in observed:
            (fmr, fmr_floor), (fnmr, fnmr_floor) = observed["fmr"], observed["fnmr"]
            for metric, index in _OF_BOTH.items():
                value = index.of(fmr, fnmr, fmr_floor, fnmr_floor, a)
                result[metric, "both"] = _where_two(_where_two(value, fmr), fnmr)
    return result


def _observed(
    groups: pd.DataFrame, replicates: Rates | None, a: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every error's rates, (groups,) or (replicates, groups), and what stands for a zero in them.

    `both` is FMR and FNMR in one: their mean with the weights a and 1 - a.
    """
    found = {}
    for error, (_, tries, _) in _ERRORS.items():
        drawn = getattr(replicates, error, None)
        if error not in groups.columns or (replicates is not None and drawn is None):
            continue
        x = groups[error].to_numpy(dtype=np.float64) if drawn is None else drawn[:, 1:]
        found[error] = x, zero_floor(groups, error, tries, in_replicates=drawn is not None)
    if {"fmr", "fnmr"} <= set(found):
        pairs = zip(found["fmr"], found["fnmr"], strict=True)
        found["both"] = tuple(a * of_fmr + (1 - a) * of_fnmr for of_fmr, of_fnmr in pairs)
    return found


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
    if not isinstance(rates, pd.DataFrame):
        raise BadInput(f"give a table of rates, such as audit.rates, not {a_kind(rates)}")
    if not 0 <= a <= 1:
        raise BadInput(f"the weight a must lie in [0, 1], not be {a}")
    given = [error for error in _ERRORS if error in rates.columns]
    if "group" not in rates.columns or not given:
        raise BadInput(f"rates need a column `group` and one or more of {', '.join(_ERRORS)}")
    groups = rates[rates["group"] != "all"].reset_index(drop=True)
    groups["group"] = groups["group"].astype(str)
    if groups.empty:
        raise BadInput("the rates are of nobody but all together: make them by group")
    if groups["group"].duplicated().any():
        name = groups.loc[groups["group"].duplicated(), "group"].iloc[0]
        raise BadInput(f"group {name!r} stands in the rates twice: give one row a group")
    for error in given:
        number = pd.to_numeric(groups[error], errors="coerce").astype(np.float64)
        wrong = (number < 0) | (number > 1) | (number.isna() & groups[error].notna())
        if wrong.any():
            row = groups[wrong].iloc[0]
            raise BadInput(
                f"the {error} of group {row['group']!r} is {row[error]}: rates are shares from 0 "
                "to 1, not percent"
            )
        groups[error] = number
    return groups


def _lifted(x: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Zeros replaced by their floor, which may not pass the highest rate; 0 where none is known."""
    highest = np.nanmax(x, axis=-1, keepdims=True)
    return np.where(x == 0, np.nan_to_num(np.minimum(floor, highest)), x)


def _over_zero(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), np.nan)


def _where_two(value: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.where(np.sum(~np.isnan(x), axis=-1) >= 2, value, np.nan)


def _zero_among(x: np.ndarray) -> bool:
    return bool((x == 0).any() and (x > 0).any())


def _ends(names: pd.Series, x: np.ndarray) -> tuple[str, str]:
    """The groups with the highest and the lowest rate; none where no group has a rate."""
    if np.isnan(x).all():
        return "", ""
    return names.iloc[np.nanargmax(x)], names.iloc[np.nanargmin(x)]


def _limits(
    groups: pd.DataFrame, error: str, x: np.ndarray, floor: np.ndarray, ratio: bool
) -> list[str]:
    """What limits an index of one error."""
    notes, names = [], groups["group"]
    words, _, count = _ERRORS.get(error, _Error("errors", "", ""))
    unknown = np.isnan(x)
    if unknown.any():
        lacking = "fmr or fnmr" if error == "both" else error
        notes.append(f"without {', '.join(names[unknown])}: no {lacking}")
    if (~unknown).sum() < 2:
        return [*notes, f"needs two groups with {'fmr and fnmr' if error == 'both' else error}"]
    if (x[~unknown] == 0).all():
        return [*notes, f"no group has {words}" + (": ratio undefined" if ratio else "")]
    zero = x == 0
    if ratio and zero.any():
        bounded = np.isfinite(floor[zero]).all()
        tries = _TRIES.get(error, "comparisons")
        notes.append(
            f"{'lower bound' if bounded else 'undefined'}: {', '.join(names[zero])} "
            f"{'has' if zero.sum() == 1 else 'have'} no {words}"
            + ("" if bounded else f" and no count of {tries} to bound the rate with")
        )
    if ratio and count in groups.columns:
        scarce = groups[count].between(1, 2) & ~unknown
        if scarce.any():
            notes.append(f"rough: only one or two {words} in {', '.join(names[scarce])}")
    return notes
