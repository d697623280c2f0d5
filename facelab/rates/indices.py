"""Disparity: one number for how unequally a recogniser errs over groups.

In: error rates by group and how many independent comparisons each is worth. Out: one row an index,
with its interval, what equal groups would show, the worst and best group and what limits the
number. No index is a verdict: read it beside the rates.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind
from facelab.rates.cautions import RULE_OF_THREE
from facelab.rates.parity import DRAWS, Found, Groups, Parity, homogeneous

DDOF = 0  # the groups are all there are, not a sample of groups
EFFECTIVE = "effective_"  # comparisons, as so many independent ones: `effective_mated`


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
    "error": _Error("wrong predictions", "processed", "wrong"),
    "overall_error": _Error("wrong or missing predictions", "images", "wrong_or_unprocessed"),
    "unprocessed_rate": _Error("unprocessed images", "images", "unprocessed"),
}
TRIES = {error: told.tries for error, told in _ERRORS.items()}
_TRIES = {"fte": "attempts", "fpir": "searches", "fnir": "searches"}
_NUMBERS = ["value", "low", "high", "corrected", "parity", "parity_high", "p_parity"]
_COLUMNS = ["metric", "error", *_NUMBERS, "worst", "best", "note"]


class _Seen(NamedTuple):
    """Rates of one error, (groups,) or (draws, groups), and by group what stands for a zero in a
    denominator and how many independent comparisons there are, NaN where that is not known."""

    x: np.ndarray
    floor: np.ndarray
    number: np.ndarray


def max_min_ratio(seen: _Seen) -> np.ndarray:
    """max x / min x; 1 is parity (NIST)."""
    return _over_zero(np.max(seen.x, axis=-1), np.min(_lifted(seen), axis=-1))


def max_min_difference(seen: _Seen) -> np.ndarray:
    """max x - min x; 0 is parity."""
    return np.max(seen.x, axis=-1) - np.min(seen.x, axis=-1)


def max_geomean_ratio(seen: _Seen) -> np.ndarray:
    """max x / geometric mean of x; 1 is parity (NISTIR 8429 draft)."""
    with np.errstate(divide="ignore"):
        mean = np.exp(np.mean(np.log(_lifted(seen)), axis=-1))
    return _over_zero(np.max(seen.x, axis=-1), mean)


def gini(seen: _Seen) -> np.ndarray:
    """Gini coefficient with the n/(n-1) correction: 0 is parity, 1 is one group has all errors.

    n/(n-1) * sum_ij |x_i - x_j| / (2 n^2 mean x), which GARBE is made of (Howard et al. 2022).
    """
    n = seen.x.shape[-1]
    spread = np.sort(seen.x, axis=-1) @ (2.0 * np.arange(1, n + 1) - n - 1)
    total = np.sum(seen.x, axis=-1)
    return np.where(total > 0, spread / np.where(total > 0, (n - 1) * total, 1), 0.0)


def std(seen: _Seen) -> np.ndarray:
    """Standard deviation over groups (ddof 0); 0 is parity."""
    return np.std(seen.x, axis=-1, ddof=DDOF)


def spread(seen: _Seen) -> np.ndarray:
    """Standard deviation between groups (ddof 1) less what their standard errors explain of it.

    Root of the variance minus the mean squared standard error (Lum, Zhang and Bower 2022), zero
    where that is negative; 0 is parity. NaN where the standard errors are not known.
    """
    errors = np.mean(seen.x * (1 - seen.x) / seen.number, axis=-1)
    return np.sqrt(np.maximum(np.var(seen.x, axis=-1, ddof=1) - errors, 0))


def mad(seen: _Seen) -> np.ndarray:
    """Mean absolute deviation from the groups' mean; 0 is parity.

    Salvador et al. 2022 (FairCal) call this AAD, and the next one MAD.
    """
    return np.mean(_deviations(seen.x), axis=-1)


def max_abs_deviation(seen: _Seen) -> np.ndarray:
    """Largest absolute deviation from the groups' mean; 0 is parity."""
    return np.max(_deviations(seen.x), axis=-1)


def highest(seen: _Seen) -> np.ndarray:
    """The highest rate, which noise pushes up: at parity it is what all groups have."""
    return np.max(seen.x, axis=-1)


def _deviations(x: np.ndarray) -> np.ndarray:
    return np.abs(x - np.mean(x, axis=-1, keepdims=True))


class _Index(NamedTuple):
    """How an index is computed and read, and whether it stands in the table of them."""

    of: Callable[..., np.ndarray]
    parity: float | None
    ratio: bool = False
    shown: bool = True


_OF_ONE = {
    "max_min_ratio": _Index(max_min_ratio, 1, ratio=True),
    "max_min_difference": _Index(max_min_difference, 0),
    "max_geomean_ratio": _Index(max_geomean_ratio, 1, ratio=True),
    "gini": _Index(gini, 0),
    "std": _Index(std, 0),
    "spread": _Index(spread, 0),
    "mad": _Index(mad, 0),
    "max_abs_deviation": _Index(max_abs_deviation, 0),
    "highest": _Index(highest, None, shown=False),
}
_OF_BOTH = {
    # GARBE: Howard et al. 2022. FDR and IR: de Freitas Pereira and Marcel 2021 and Grother 2021.
    "garbe": _Index(lambda f, n, a: a * gini(f) + (1 - a) * gini(n), 0),
    "fdr": _Index(
        lambda f, n, a: 1 - a * max_min_difference(f) - (1 - a) * max_min_difference(n), 1
    ),
    "inequity": _Index(
        lambda f, n, a: max_min_ratio(f) ** a * max_min_ratio(n) ** (1 - a), 1, ratio=True
    ),
}
# The skewed error ratio: Wang and Deng 2020. Theirs is of errors on pair lists with a threshold for
# each group; here the error is a FMR + (1 - a) FNMR at the one threshold, which for a = 0.5 is that
# on a list of as many mated as non-mated pairs.
_OF_WEIGHTED = {"ser": _Index(max_min_ratio, 1, ratio=True)}
_METRICS = {**_OF_ONE, **_OF_BOTH, **_OF_WEIGHTED}


def is_ratio(metric: str) -> bool:
    """Whether an index is a ratio, to be averaged and compared on the log scale."""
    return _METRICS[metric].ratio


def is_shown(metric: str) -> bool:
    """Whether an index is one of disparity, and not only a part that studies are made of."""
    return _METRICS[metric].shown


@as_annotated
def disparity(
    rates: pd.DataFrame,
    a: float = 0.5,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Indices of how far apart the groups' error rates lie at one threshold.

    Parameters
    ----------
    rates
        `group` and any of `fmr`, `fnmr`, `fte` (failure to enrol), `fpir` and `fnir` (of search),
        `error`, `overall_error` and `unprocessed_rate` (of face analysis), as `error_rates` gives
        them or as published; the row `all` is passed over. A group without a rate is left out of
        the index and named. The counts behind the rates bound a rate of zero: `non_mated`, `mated`,
        `attempts` (to enrol), `searches_non_mated`, `searches_mated`, `processed`, `images`; those
        of errors (`false_matches`, `false_non_matches`, `failures_to_enrol`, `false_positives`,
        `false_negatives`, `wrong`, `wrong_or_unprocessed`, `unprocessed`) tell which ratios hang on
        one or two. The same counts with `effective_` before their name say how many independent
        ones would tell as much; they give the intervals and what equal groups would show.
    a
        Weight of FMR against FNMR in `garbe`, `fdr`, `inequity` and `ser`, in [0, 1].
    confidence
        Of the intervals.
    draws, seed
        Of simulated tests.

    Returns
    -------
    pandas.DataFrame
        `metric error value low high corrected parity parity_high p_parity worst best note`.
        `error` is fmr, fnmr, fte or, for indices of FMR and FNMR together, both. `parity` and
        `parity_high` are the median and the 95th percentile of what groups with equal rates and
        these numbers of comparisons would show, `p_parity` how often they show as much as was seen;
        `corrected` is the index whose median estimate is the one that was seen. Ratios whose
        denominator is a group without errors take the rule-of-three bound 3/n for it: they are
        lower bounds, marked so; without a count n they are NaN, and marked so.

    Notes
    -----
    Noise alone pushes the highest and the lowest rate apart: equal groups of 30 subjects show a
    max/min ratio well above 1. An index is therefore to be read beside `parity`, and its interval
    is that of a test inverted: it holds the indices of all groups, from equal ones to some that
    differ by more than what was seen, that might have shown it. It holds parity exactly when
    `p_parity` is 1 - `confidence` or more. `spread` is the standard deviation between groups with
    the mean squared standard error taken off (Lum, Zhang and Bower 2022), zero where nothing is
    left. Nothing is corrected for reading several indices.

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
    >>> rates["non_mated"] = rates["effective_non_mated"] = 4000
    >>> fl.disparity(rates)[["value", "low", "parity", "parity_high"]].round(1).loc[0].to_dict()
    {'value': 8.0, 'low': 3.2, 'parity': 1.5, 'parity_high': 2.5}
    """
    table = index_table(rates, a, confidence, draws, seed)
    return table[table["metric"].map(is_shown)].reset_index(drop=True)


def index_table(
    rates: pd.DataFrame,
    a: float = 0.5,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """`disparity`, and the indices that are not shown."""
    groups = _checked(rates, a)
    observed = _observed(groups, None, a)
    chance = Parity(_behind(groups), partial(indices, groups, a=a), draws, seed)
    rows = [
        _row(groups, observed, chance, key, float(value), confidence)
        for key, value in indices(groups, a=a).items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _row(
    groups: pd.DataFrame,
    observed: dict[str, _Seen],
    chance: Parity,
    key: tuple[str, str],
    value: float,
    confidence: float,
) -> tuple[Any, ...]:
    """An index with its interval, what chance makes of it, and what limits it."""
    (metric, error), kind = key, _METRICS[key[0]]
    parts = ["fmr", "fnmr"] if metric in _OF_BOTH else [error]
    notes = [note for part in parts for note in _limits(groups, part, observed[part], kind.ratio)]
    if metric == "std":
        notes.append(f"ddof={DDOF}")
    found = Found(*[np.nan] * 6)
    if key not in chance.keys:
        notes.append("no interval: it needs the comparisons, as audit has them")
    elif np.isfinite(value):
        most = np.inf if kind.ratio else float(metric != "fdr")
        found = chance.found(key, value, confidence, kind.parity, most)
    ends = [_ends(groups["group"], observed[part].x) for part in parts]
    worst, best = (
        "; ".join(
            end if len(parts) == 1 else f"{part}: {end}"
            for part, end in zip(parts, side, strict=True)
        )
        for side in zip(*ends, strict=True)
    )
    return (metric, error, value, *found, worst, best, "; ".join(notes))


@as_annotated
def homogeneity(rates: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Whether the groups' error rates can be told from one rate for all: one joint test an error.

    The statistic is Pearson's, in independent comparisons; its distribution is simulated from
    groups with one rate whose errors bunch by subjects as these do.

    Parameters
    ----------
    rates
        As `disparity` takes them, with effective numbers of comparisons.
    draws, seed
        Of simulated tests.

    Returns
    -------
    pandas.DataFrame
        `error groups statistic p`; NaN where nobody erred or fewer than two groups have a rate.

    Raises
    ------
    BadInput
        As `disparity`, or there are no effective numbers.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> fl.homogeneity(audit.rates)[["error", "groups"]].values.tolist()
    [['fmr', 4], ['fnmr', 4]]
    """
    groups = _checked(rates, 0.5)
    behind = _behind(groups)
    if not behind:
        raise BadInput(
            "a test needs to know how many independent comparisons the rates are worth: give the "
            "rates of an audit"
        )
    rng = np.random.default_rng(seed)
    rows = [
        (error, int(one.known.sum()), *homogeneous(one, draws, rng))
        for error, one in behind.items()
    ]
    return pd.DataFrame(rows, columns=["error", "groups", "statistic", "p"])


def indices(
    rates: pd.DataFrame,
    replicates: Mapping[str, np.ndarray] | None = None,
    a: float = 0.5,
    exact: bool = False,
) -> dict[tuple[str, str], np.ndarray]:
    """Every index of the groups' rates, or of each replicate: (metric, error) -> value.

    NaN where fewer than two groups have a rate, or where a ratio has errors nowhere or a zero
    denominator that nothing bounds. Replicates are float64 (replicates, groups) by error; `exact`
    ones are true rates, without noise to be taken off.
    """
    observed = _observed(rates[rates["group"] != "all"], replicates, a, exact)
    told = {error: _told(seen) for error, seen in observed.items()}
    result = {}
    with np.errstate(all="ignore"):
        for error, seen in told.items():
            for metric, index in (_OF_WEIGHTED if error == "both" else _OF_ONE).items():
                if metric != "spread" or (observed[error].number > 0).any():
                    result[metric, error] = index.of(seen) if _two(seen) else _unknown(seen)
        if "both" in told:
            fmr, fnmr = told["fmr"], told["fnmr"]
            for metric, index in _OF_BOTH.items():
                both = _two(fmr) and _two(fnmr)
                result[metric, "both"] = index.of(fmr, fnmr, a) if both else _unknown(fmr)
    return result


def _told(seen: _Seen) -> _Seen:
    """Of the groups that have a rate."""
    known = ~np.isnan(seen.x if seen.x.ndim == 1 else seen.x[0])
    return _Seen(seen.x[..., known], seen.floor[known], seen.number[known])


def _two(seen: _Seen) -> bool:
    return seen.x.shape[-1] > 1


def _unknown(seen: _Seen) -> np.ndarray:
    return np.full(seen.x.shape[:-1], np.nan)


def _observed(
    groups: pd.DataFrame, replicates: Mapping[str, np.ndarray] | None, a: float, exact: bool = False
) -> dict[str, _Seen]:
    """Every error's rates; `both` is FMR and FNMR in one, with the weights a and 1 - a."""
    found = {}
    for error, (_, tries, _) in _ERRORS.items():
        if error not in groups.columns or (replicates is not None and error not in replicates):
            continue
        x = groups[error].to_numpy(np.float64) if replicates is None else replicates[error]
        number = _numbers(groups, EFFECTIVE + tries)
        found[error] = _Seen(x, zero_floor(groups, tries), number if not exact else np.inf * number)
    if {"fmr", "fnmr"} <= set(found):
        pairs = zip(found["fmr"], found["fnmr"], strict=True)
        found["both"] = _Seen(*(a * of_fmr + (1 - a) * of_fnmr for of_fmr, of_fnmr in pairs))
    return found


def _behind(groups: pd.DataFrame) -> dict[str, Groups]:
    """The rates that chance can be told of, by error."""
    return {
        error: Groups(
            groups[error].to_numpy(np.float64),
            _numbers(groups, EFFECTIVE + tries),
            _numbers(groups, tries),
        )
        for error, (_, tries, _) in _ERRORS.items()
        if {error, tries, EFFECTIVE + tries} <= set(groups.columns)
    }


def _numbers(groups: pd.DataFrame, column: str) -> np.ndarray:
    """A column of numbers above zero; NaN where there is none."""
    if column not in groups.columns:
        return np.full(len(groups), np.nan)
    n = groups[column].to_numpy(dtype=np.float64)
    return np.where(n > 0, n, np.nan)


def zero_floor(groups: pd.DataFrame, tries: str) -> np.ndarray:
    """What stands for a rate of zero in a denominator, by group; NaN where nothing is known.

    The rule-of-three bound 3/n, at most 1; of n independent comparisons where that is known.
    """
    n = _numbers(groups, EFFECTIVE + tries)
    return np.minimum(RULE_OF_THREE / np.where(np.isnan(n), _numbers(groups, tries), n), 1.0)


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


def _lifted(seen: _Seen) -> np.ndarray:
    """Zeros replaced by their floor, which may not pass the highest rate; 0 where none is known."""
    highest = np.max(seen.x, axis=-1, keepdims=True)
    return np.where(seen.x == 0, np.nan_to_num(np.minimum(seen.floor, highest)), seen.x)


def _over_zero(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), np.nan)


def _ends(names: pd.Series, x: np.ndarray) -> tuple[str, str]:
    """The groups with the highest and the lowest rate; none where no group has a rate."""
    if np.isnan(x).all():
        return "", ""
    return names.iloc[np.nanargmax(x)], names.iloc[np.nanargmin(x)]


def _limits(groups: pd.DataFrame, error: str, seen: _Seen, ratio: bool) -> list[str]:
    """What limits an index of one error."""
    notes, names, (x, floor, _) = [], groups["group"], seen
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
