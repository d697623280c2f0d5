"""Coverage of everything: how often each figure that facelab prints is true, told by simulation.

In: how many people, how many simulated tests. Out: for every quantity and setting the share of
tests in which what is printed holds the truth, and how often it tells a difference.

Read `trials.py` for what one test is, and `people.py` for whose rates are known.
"""

import warnings
from collections.abc import Sequence

import joblib
import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.bench.trials import CLAIM, TRIALS, Setting, Told
from facelab.errors import BadInput, check_count, check_option, how_many
from facelab.progress import bar
from facelab.rates.intervals import wilson
from facelab.rates.simulation import GOOD
from facelab.workers import as_jobs, pool

_DESIGNS = {"even": "", "sizes": "sizes 10-fold apart", "photos": "2 to 20 photos each"}
_SLOW = ("models", "years")
_FEWEST = 10  # subjects of a group
_MOST = 10**6  # tests of a setting
_BATCH = 10  # tests in one piece of work
_SETTING = ["part", "subjects", "hubs", "truth", "design"]
_KEYS = [*_SETTING, "quantity", "error"]


def settings_of(subjects: Sequence[int], parts: Sequence[str] = tuple(TRIALS)) -> list[Setting]:
    """What is simulated: every part for small and larger groups, equal and not."""
    sizes = sorted(subjects)
    small, middle = sizes[0], sizes[len(sizes) // 2]
    several = list(dict.fromkeys([small, middle]))
    found = [Setting("groups", n) for n in sizes]
    found += [Setting("groups", n, "strong") for n in several]
    found += [Setting("groups", n, truth="2-fold") for n in dict.fromkeys([middle, sizes[-1]])]
    found += [
        Setting("groups", small, truth="10-fold"),
        Setting("groups", middle, truth="2-fold", design="sizes"),
        Setting("groups", middle, design="photos"),
    ]
    found += [Setting("models", n, design="1 seed") for n in several]
    found += [
        Setting("models", small, "strong", design="1 seed"),
        Setting("models", small, truth="unequal", design="1 seed"),
        Setting("models", small, design="3 seeds"),
    ]
    found += [Setting("searches", n, hubs) for n in several for hubs in ("mild", "strong")]
    found += [Setting("years", middle, hubs) for hubs in ("mild", "strong")]
    return [one for one in found if one.part in parts]


@as_annotated
def coverage_by_quantity(
    subjects: Sequence[int] = (30, 80, 200),
    runs: int = 400,
    slow_runs: int = 100,
    parts: Sequence[str] = tuple(TRIALS),
    seed: int = 0,
    jobs: int | None = None,
) -> pd.DataFrame:
    """How often each figure that is printed is true: rates, ratios, indices, changes, searches.

    `coverage` asks this of single rates, by method; here it is asked of what people quote.
    All are made for a confidence of 95 %.

    Parameters
    ----------
    subjects
        Of each of six groups: the smallest and the middle one are those of parts that take long.
    runs, slow_runs
        Simulated tests of each setting; of "models" and "years", which take longer.
    parts
        "groups": six groups at one threshold, their true rates equal or not; "models": two models
        on the same people, each at a threshold set for one target FMR on others; "searches" of one
        gallery; "years": expected false matches beside brute force.
    seed
        Of chance; the result does not depend on `jobs`.
    jobs
        Processes, through joblib; None takes all processors.

    Returns
    -------
    pandas.DataFrame
        `part subjects hubs truth design quantity error runs coverage coverage_low coverage_high
        power width`. `coverage` is the share of tests in which the figure is true: an interval
        holds the true value, a claim is right or is not made. Where a test has several of a kind,
        such as the rates of six groups, it is the share of these. `coverage_low` and
        `coverage_high` are the Monte Carlo interval. `power` is how often a difference is told:
        where there is none this is an error, and counted as one; NaN where none can be told.
        `width` is the median of the interval's upper end over its lower.

    Raises
    ------
    BadInput
        No run, groups of fewer than ten subjects, an unknown part.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage_by_quantity([10], runs=2, parts=["groups"], jobs=1)
    >>> columns = ["truth", "quantity", "error", "coverage"]
    >>> table[columns].head(2).values.tolist()
    [['equal', 'rate', 'fmr', 1.0], ['equal', 'rate by subject', 'fmr', 1.0]]
    """
    for name, many in (("runs", runs), ("slow_runs", slow_runs)):
        check_count(name, many, most=_MOST)
    if min(subjects, default=0) < _FEWEST or not len(parts):
        raise BadInput(
            f"a study needs groups of {_FEWEST} subjects or more, and a part (subjects "
            f"{list(subjects)}, parts {list(parts)})"
        )
    for part in parts:
        check_option("part", part, TRIALS)
    work = [
        (one, min(_BATCH, many - done))
        for one in settings_of(subjects, parts)
        for many in [slow_runs if one.part in _SLOW else runs]
        for done in range(0, many, _BATCH)
    ]
    seeds = np.random.SeedSequence(seed).spawn(len(work))
    tests = pool(as_jobs(jobs), return_as="generator")(
        joblib.delayed(_tests)(one, size, at) for (one, size), at in zip(work, seeds, strict=True)
    )
    told = list(bar(tests, total=len(work), desc="coverage", unit="batch"))
    return _summary(pd.concat(told, ignore_index=True))


def _tests(setting: Setting, size: int, seed: np.random.SeedSequence) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        # Such as that two people look like one: here everybody is known.
        warnings.simplefilter("ignore", UserWarning)
        rows = [told for _ in range(size) for told in TRIALS[setting.part](setting, rng)]
    frame = pd.DataFrame(rows, columns=Told._fields)
    return frame.assign(**{name: getattr(setting, name) for name in _SETTING})


def _summary(tests: pd.DataFrame) -> pd.DataFrame:
    found = tests.groupby(_KEYS, sort=False)
    table = found.agg(
        runs=("held", "size"),
        coverage=("held", "mean"),
        spread=("held", "var"),
        power=("shows", "mean"),
        width=("width", "median"),
    ).reset_index()
    runs, share = (table[name].to_numpy(float) for name in ("runs", "coverage"))
    # Several of a kind in one test go together: the spread between tests says how far.
    variance = np.nan_to_num(table["spread"].to_numpy(float)) / runs
    low, high = wilson(runs, runs * share, variance)
    table.insert(table.columns.get_loc("power"), "coverage_low", low)
    table.insert(table.columns.get_loc("power"), "coverage_high", high)
    return table.drop(columns="spread")


def _side(table: pd.DataFrame) -> pd.Series:
    """Of each cell: "below" or "above" the band by more than chance, or neither."""
    side = np.select(
        [table["coverage_high"] < GOOD[0], table["coverage_low"] > GOOD[1]], ["below", "above"], ""
    )
    return pd.Series(side, index=table.index)


@as_annotated
def readable_quantities(table: pd.DataFrame) -> pd.DataFrame:
    """The study as it is read: a row a quantity, with the cells that hold least and most often.

    Parameters
    ----------
    table
        What `coverage_by_quantity` returns.

    Returns
    -------
    pandas.DataFrame
        `part printed error cells runs lowest lowest_low lowest_high where highest below above
        power`. `below` and `above` count the cells that lie outside 93 to 98 % by more than
        chance; `power` is the least and the most often that a difference is told where there is
        one.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage_by_quantity([10], runs=2, parts=["groups"], jobs=1)
    >>> fl.readable_quantities(table)[["printed", "cells", "runs"]].head(1).values.tolist()
    [['rate', 6, 2]]
    """
    side, rows = _side(table), []
    for (part, quantity, error), cells in table.groupby(["part", "quantity", "error"], sort=False):
        worst = cells.loc[cells["coverage"].idxmin()]
        power = cells.loc[cells["truth"] != "equal", "power"].dropna()
        rows.append(
            {
                "part": part,
                "printed": quantity,
                "error": error,
                "cells": len(cells),
                "runs": cells["runs"].min(),
                "lowest": worst["coverage"],
                "lowest_low": worst["coverage_low"],
                "lowest_high": worst["coverage_high"],
                "where": _where(worst),
                "highest": cells["coverage"].max(),
                "below": int((side[cells.index] == "below").sum()),
                "above": int((side[cells.index] == "above").sum()),
                "power": f"{power.min():.0%} to {power.max():.0%}" if len(power) else "",
            }
        )
    return pd.DataFrame(rows)


@as_annotated
def quantities_finding(table: pd.DataFrame) -> str:
    """What the study shows, in sentences: every cell that holds too seldom is named.

    Parameters
    ----------
    table
        What `coverage_by_quantity` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage_by_quantity([10], runs=2, parts=["groups"], jobs=1)
    >>> print(fl.quantities_finding(table).splitlines()[0])
    22 printed quantities were tested in ... cells of 2 simulated tests. ...
    """
    share, side = table["coverage"], _side(table)
    many = how_many(table["quantity"].nunique(), "printed quantity was", "printed quantities were")
    runs = table["runs"].unique()
    lines = [
        f"{many} tested in {len(table)} cells of {' or '.join(map(str, sorted(runs)))} simulated "
        f"tests. What is printed is true in {GOOD[0]:.0%} to {GOOD[1]:.0%} of tests in "
        f"{int(share.between(*GOOD).sum())} cells, more often in {int((share > GOOD[1]).sum())} "
        f"and less often in {int((share < GOOD[0]).sum())}."
    ]
    above, below = table[side == "above"], table[side == "below"]
    if len(above):
        names = ", ".join(dict.fromkeys(above["quantity"]))
        lines.append(f"- More often than chance explains, so that it could say more: {names}.")
    if below.empty:
        lines.append("- Nowhere less often than chance explains.")
    for _, row in below.sort_values("coverage", kind="stable").iterrows():
        lines.append(
            f"- Less often than chance explains: {row['quantity']} ({row['error'].upper()}), "
            f"{row['coverage']:.1%} [{row['coverage_low']:.1%}, {row['coverage_high']:.1%}], "
            f"with {_where(row)}."
        )
    claims = table[table["quantity"] == CLAIM]
    equal = claims[claims["truth"] == "equal"]
    if len(equal):
        worst = equal.loc[equal["coverage"].idxmin()]
        lines.append(
            "- Where groups are equal, findings claim a difference in at most "
            f"{1 - worst['coverage']:.1%} of tests ({worst['error'].upper()}, {_where(worst)})."
        )
    for _, row in claims[claims["truth"] != "equal"].iterrows():
        lines.append(
            f"- Findings tell groups apart in {row['power']:.0%} of tests by "
            f"{row['error'].upper()}, with {_where(row)}."
        )
    return "\n".join(lines)


def _where(row: pd.Series) -> str:
    """A setting in words."""
    words = [f"{row['subjects']} subjects a group", f"{row['hubs']} hubs"]
    words += [f"{row['truth']} rates"] if row["truth"] != "equal" else []
    words.append(_DESIGNS.get(row["design"], row["design"]))
    return ", ".join(filter(None, words))
