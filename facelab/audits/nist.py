"""NIST's published false match rates by sex and race, and systems ranked by each disparity index.

In: the table of FRVT 1:1, an algorithm a row; or any tidy rates of many systems. Out: tidy rates,
indices, ranks, where the rankings disagree and what in the rates makes them.
"""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_columns, there_are
from facelab.limits import TABLE, check_text
from facelab.rates.indices import indices, is_shown

_SEX = {"M": "male", "F": "female"}
_RACE = {"W": "white", "B": "black"}
_CELL = re.compile(f"([{''.join(_SEX)}])([{''.join(_RACE)}])")
# As people read them.
INDEX_NAMES = {
    "max_min_ratio": "max / min",
    "max_min_difference": "max − min",
    "max_geomean_ratio": "max / geometric mean",
    "gini": "Gini",
    "std": "standard deviation",
    "mad": "mean abs. deviation",
    "max_abs_deviation": "max abs. deviation",
}
_DRAWS = 200  # of the digits that rounding took


@as_annotated
def nist_demographics(path: str | os.PathLike, across: bool = False) -> pd.DataFrame:
    """Read the table of false match rates of NIST's FRVT 1:1 by sex and race.

    The file has an algorithm a row and a pair of groups a column, `MW_MB` for men white against
    men black. Each algorithm's rates are read at its own threshold, the one that gives white men
    FMR 0.001. The numbers of comparisons behind the rates are not in the table: nothing can say how
    uncertain a rate is, but for its rounding (to 0.0001).

    Parameters
    ----------
    path
        The csv file.
    across
        Every pair of groups in the file rather than the comparisons within a group.

    Returns
    -------
    pandas.DataFrame
        `algorithm group fmr`, as `disparity_indices` and, for one algorithm, `fl.disparity` read
        it; groups are race/sex, such as `black/female`. With `across`: `algorithm group_a group_b
        fmr`, as `plots.cross_group` reads one algorithm's. In the file's order.

    Raises
    ------
    FileNotFoundError
        The file is not there.
    BadInput
        It is not such a table: an unknown column, no group with itself, an algorithm without a name
        or twice, or a rate that is missing, no number or outside [0, 1].

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from tempfile import mkdtemp
    >>> path = f"{mkdtemp()}/rates.csv"
    >>> rates = {"MW_MB": [0.0001], "MW_MW": [0.001], "MB_MB": [0.0052], "FB_FB": [0.017]}
    >>> pd.DataFrame(rates, index=["algorithm-001"]).to_csv(path)
    >>> fl.nist_demographics(path)[["group", "fmr"]].values.tolist()
    [['white/male', 0.001], ['black/male', 0.0052], ['black/female', 0.017]]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give NIST's table as csv")
    check_text(path, TABLE)
    try:
        table = pd.read_csv(path, index_col=0, dtype=str, keep_default_na=False, compression=None)
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} is not a table in csv: {' '.join(str(error).split())}; give NIST's table"
        ) from None
    cells = {column: _groups(path, column) for column in table.columns}
    if not any(a == b for a, b in cells.values()) or table.empty:
        raise BadInput(
            f"{path} has no rates within a group: it needs algorithms as rows and columns such as "
            "MW_MW and FB_FB"
        )
    names = pd.Index(table.index.astype(str), name="algorithm")
    for wrong, what in ((names == "", "without a name"), (names.duplicated(), "twice")):
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise BadInput(f"{path}, line {place + 2}: algorithm {names[place]!r} stands {what}")
    rates = table.apply(pd.to_numeric, errors="coerce")
    wrong = ~((rates >= 0) & (rates <= 1))
    if wrong.to_numpy().any():
        row, column = np.argwhere(wrong.to_numpy())[0]
        raise BadInput(
            f"{path}: the rate {table.iloc[row, column]!r} of {names[row]} in "
            f"{table.columns[column]} is not a share from 0 to 1; mend it or drop the algorithm"
        )
    tidy = rates.set_index(names).stack().rename("fmr").rename_axis(["algorithm", "cell"])
    tidy = tidy.reset_index()
    tidy["group_a"], tidy["group_b"] = zip(*tidy["cell"].map(cells), strict=True)
    if across:
        return tidy[["algorithm", "group_a", "group_b", "fmr"]]
    within = tidy[tidy["group_a"] == tidy["group_b"]].rename(columns={"group_a": "group"})
    return within[["algorithm", "group", "fmr"]].reset_index(drop=True)


def _groups(path: Path, column: str) -> tuple[str, str]:
    """`MW_FB` -> white/male, black/female."""
    found = [_CELL.fullmatch(part) for part in column.split("_")]
    if len(found) != 2 or not all(found):
        raise BadInput(
            f"{path} has a column {column!r}: columns are pairs of groups such as MW_MB, of sex "
            f"({', '.join(_SEX)}) and race ({', '.join(_RACE)})"
        )
    a, b = (f"{_RACE[part[2]]}/{_SEX[part[1]]}" for part in found if part)
    return a, b


# ---- many systems, ranked


@as_annotated
def made_up_rates(algorithms: int = 30, seed: int = 0) -> pd.DataFrame:
    """Rates as `nist_demographics` reads them, of algorithms that nobody has.

    They stand in for NIST's table where it is not at hand: black women's and men's rates lie about
    as far above white men's as in it, drawn for each algorithm, and say nothing about any product.

    Parameters
    ----------
    algorithms
        How many.
    seed
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        `algorithm group fmr`; the algorithms are called `made-up-001` and so on.

    Examples
    --------
    >>> import facelab as fl
    >>> rates = fl.made_up_rates(2)
    >>> rates["algorithm"].unique().tolist(), len(rates)
    (['made-up-001', 'made-up-002'], 8)
    >>> rates.loc[rates["group"] == "white/male", "fmr"].tolist()
    [0.001, 0.001]
    """
    rng = np.random.default_rng(seed)
    typical = {"black/male": 0.002, "white/female": 0.003, "black/female": 0.01}
    names = pd.Index([f"made-up-{n + 1:03d}" for n in range(algorithms)], name="algorithm")
    rates = pd.DataFrame({"white/male": 0.001}, index=names)
    for group, middle in typical.items():
        rates[group] = np.round(middle * np.exp(rng.normal(0, 0.7, algorithms)), 4)
    tidy = rates.rename_axis("group", axis=1).stack().rename("fmr")
    return tidy.reset_index()


@as_annotated
def disparity_indices(
    rates: pd.DataFrame, by: str = "algorithm", error: str = "fmr"
) -> pd.DataFrame:
    """The indices of `fl.disparity` of one error rate, for many systems.

    Parameters
    ----------
    rates
        Tidy: the columns `by`, `group` and `error`.
    by
        The column that names the system.
    error
        fmr, fnmr or fte.

    Returns
    -------
    pandas.DataFrame
        A row a system, in their order; a column an index. The larger the more unequal.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x", "x", "y", "y"], "group": ["a", "b"] * 2})
    >>> rates["fmr"] = [0.001, 0.004, 0.001, 0.002]
    >>> fl.disparity_indices(rates)["max_min_ratio"].to_dict()
    {'x': 4.0, 'y': 2.0}
    """
    wide = _wide(rates, by, error)
    found = [_of(row, error) for _, row in wide.iterrows()]
    return pd.DataFrame(found, index=wide.index).astype(np.float64)


@as_annotated
def index_ranks(values: pd.DataFrame) -> pd.DataFrame:
    """Places by each index: 1 is the least unequal system, equals share the mean of their places.

    `values` is what `disparity_indices` returns; the result has its shape.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x"] * 3 + ["y"] * 3, "group": ["a", "b", "c"] * 2})
    >>> rates["fmr"] = [0.001, 0.001, 0.02, 0.004, 0.03, 0.03]
    >>> places = fl.index_ranks(fl.disparity_indices(rates))
    >>> places[["max_min_ratio", "max_min_difference"]].to_dict("index")
    {'x': {'max_min_ratio': 2.0, 'max_min_difference': 1.0}, 'y': {'max_min_ratio': 1.0,
    'max_min_difference': 2.0}}
    """
    return values.round(12).rank()


@as_annotated
def index_disagreements(
    rates: pd.DataFrame,
    first: str,
    second: str,
    count: int = 5,
    by: str = "algorithm",
    error: str = "fmr",
) -> pd.DataFrame:
    """The systems whose places by two indices differ most, and what in their rates explains it.

    Parameters
    ----------
    rates, by, error
        As for `disparity_indices`.
    first, second
        Names of the indices.
    count
        So many systems that stand worse by the first, and as many that stand worse by the second.

    Returns
    -------
    pandas.DataFrame
        Index `by`; `<first>` and `<second>` (places), `moved` (first less second), `lowest` and
        `highest` (rates), and `middle`: where the other groups stand between those two on a
        log scale, 0 with the best group (one group stands out) to 1 with the worst (one is spared).

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x"] * 3 + ["y"] * 3, "group": ["a", "b", "c"] * 2})
    >>> rates["fmr"] = [0.001, 0.001, 0.02, 0.004, 0.03, 0.03]
    >>> moved = fl.index_disagreements(rates, "max_min_ratio", "max_min_difference", count=1)
    >>> moved[["moved", "middle"]].round(3).to_dict("index")
    {'x': {'moved': 1.0, 'middle': 0.0}, 'y': {'moved': -1.0, 'middle': 1.0}}
    """
    shape, places = rate_shapes(rates, by, error), index_ranks(disparity_indices(rates, by, error))
    for name in (first, second):
        if name not in places:
            raise BadInput(f"there is no index {name!r}{there_are(name, places)}")
    table = places[[first, second]].assign(moved=places[first] - places[second]).join(shape)
    order = table["moved"].sort_values(ascending=False, kind="stable")
    worse, better = order.index[:count], order.index[::-1][:count][::-1]
    picked = dict.fromkeys([*worse[order[worse] > 0], *better[order[better] < 0]])
    return table.loc[list(picked)]


@as_annotated
def rate_shapes(rates: pd.DataFrame, by: str = "algorithm", error: str = "fmr") -> pd.DataFrame:
    """What tells the indices apart: `lowest highest middle`, as `index_disagreements` has them.

    `middle` is NaN with fewer than three groups, a rate of zero, or all rates equal.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x"] * 3 + ["y"] * 3, "group": ["a", "b", "c"] * 2})
    >>> rates["fmr"] = [0.001, 0.001, 0.02, 0.004, 0.03, 0.03]
    >>> fl.rate_shapes(rates)["middle"].round(3).to_dict()
    {'x': 0.0, 'y': 1.0}
    """
    wide = _wide(rates, by, error)
    low, high = wide.min(axis=1), wide.max(axis=1)
    between = (low > 0) & (high > low) & (wide.shape[1] > 2)
    logs = np.log(wide[between])
    bottom, top = logs.min(axis=1), logs.max(axis=1)
    others = (logs.sum(axis=1) - bottom - top) / (wide.shape[1] - 2)
    return pd.DataFrame(
        {"lowest": low, "highest": high, "middle": (others - bottom) / (top - bottom)}
    )


@as_annotated
def rank_ranges(
    rates: pd.DataFrame,
    unit: float = 1e-4,
    exact: tuple[str, ...] = (),
    by: str = "algorithm",
    error: str = "fmr",
    share: float = 0.9,
    seed: int = 0,
) -> pd.DataFrame:
    """Between which places does each system stand, for all that its rounded rates can say?

    Every rate is drawn evenly from the values that would be rounded to it, 200 times. This is
    no confidence interval: it knows nothing of the subjects and comparisons behind a rate.

    Parameters
    ----------
    rates, by, error
        As for `disparity_indices`.
    unit
        What the rates are rounded to.
    exact
        Groups whose rate was set and not measured.
    share
        Of the draws that the range holds.

    Returns
    -------
    pandas.DataFrame
        Index `by`; columns (index, `low` and `high`): places.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"algorithm": ["x", "x", "y", "y"], "group": ["a", "b"] * 2})
    >>> rates["fmr"] = [0.0001, 0.0004, 0.001, 0.004]
    >>> fl.rank_ranges(rates)["max_min_ratio"].to_dict("index")
    {'x': {'low': 1.0, 'high': 2.0}, 'y': {'low': 1.0, 'high': 2.0}}
    """
    wide = _wide(rates, by, error)
    if not 0 < share < 1:
        raise BadInput(f"share must lie between 0 and 1, such as 0.9, not {share}")
    rounded = ~wide.columns.isin(list(exact))
    rng = np.random.default_rng(seed)
    off = unit * (rng.random((_DRAWS, *wide.shape)) - 0.5) * rounded
    drawn = np.clip(wide.to_numpy() + off, 0, 1)
    found = [_of(wide.iloc[place], error, drawn[:, place]) for place in range(len(wide))]
    result = {}
    for metric in found[0]:
        places = pd.DataFrame({place: one[metric] for place, one in enumerate(found)}).rank(axis=1)
        for end, tail in (("low", (1 - share) / 2), ("high", (1 + share) / 2)):
            result[metric, end] = places.quantile(tail).to_numpy()
    return pd.DataFrame(result, index=wide.index)


def _wide(rates: pd.DataFrame, by: str, error: str) -> pd.DataFrame:
    """A row a system, a column a group, both in their order; every system has every group."""
    check_columns("the rates of many systems", rates.columns, (by, "group", error))
    twice = rates.duplicated([by, "group"])
    if twice.any():
        row = rates[twice].iloc[0]
        raise BadInput(f"{by} {row[by]!r} has two rates for group {row['group']!r}: keep one")
    wide = rates.pivot(index=by, columns="group", values=error)
    wide = wide.loc[rates[by].drop_duplicates(), rates["group"].drop_duplicates()]
    if wide.isna().any(axis=None):
        system, group = wide.isna().stack().idxmax()
        raise BadInput(
            f"{by} {system!r} has no {error} for group {group!r}: rank systems on the same groups"
        )
    wide = wide.astype(np.float64)
    wrong = ~((wide >= 0) & (wide <= 1))
    if wrong.any(axis=None):
        system, group = wrong.stack().idxmax()
        raise BadInput(f"the {error} of {by} {system!r} for {group!r} is not a share from 0 to 1")
    return wide


def _of(row: pd.Series, error: str, drawn: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Every index of one system's rates, or of other draws of them."""
    groups = pd.DataFrame({"group": row.index, error: row.to_numpy()})
    found = indices(groups, None if drawn is None else {error: drawn})
    return {metric: value for (metric, _), value in found.items() if is_shown(metric)}
