"""What a sweep found: its runs' numbers beside the parameters in which they differ.

In: run folders. Out: one table, a row a run; one a case, over its seeds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facelab import sums
from facelab.arguments import as_annotated
from facelab.errors import BadInput, how_many, there_are, warn
from facelab.runs.records import flatten
from facelab.words import values as plain_values


@as_annotated
def collect_runs(folders: Sequence[str | Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parameters and numbers of finished runs.

    Parameters
    ----------
    folders
        Run folders of one notebook.

    Returns
    -------
    cases, numbers
        One row a run each: the parameters in which the runs differ; every number of `metrics.json`
        by its path, such as `arms.skewed.0.threshold`. A run that lacks a number has NaN there.

    Raises
    ------
    BadInput
        There is no run, or no folder holds one. Where some do not, or theirs is damaged, those are
        left out and named in a warning; another one says how many runs were quick.

    Examples
    --------
    >>> import facelab as fl
    >>> from nbformat import v4 as nb
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> place = Path(mkdtemp())
    >>> first = "skew = 0.4" + chr(10) + "run_folder = None"
    >>> cell = nb.new_code_cell(first, metadata={"tags": ["parameters"]})
    >>> last = nb.new_code_cell(
    ...     "import facelab as fl; fl.Record(run_folder).metrics({'fnmr': skew / 4})"
    ... )
    >>> _ = (place / "skew.ipynb").write_text(nb.writes(nb.new_notebook(cells=[cell, last])))
    >>> _ = (place / "skew.yaml").write_text("{notebook: skew.ipynb, grid: {skew: [0.4, 0.8]}}")
    >>> kept = fl.sweep(place / "skew.yaml", out=place / "runs")
    >>> cases, numbers = fl.collect_runs(kept["folder"].tolist())
    >>> cases["skew"].tolist(), numbers["fnmr"].tolist()
    ([0.4, 0.8], [0.1, 0.2])
    """
    if not len(folders):
        raise BadInput("there are no runs to summarise: give their folders")
    parameters, numbers, left_out, quick = [], [], [], 0
    for folder in map(Path, folders):
        try:
            stored = sums.open_stored(folder, "run.json", "run")
            stored.check()
            one, metrics = (_kept(stored, name) for name in ("params.yaml", "metrics.json"))
        except (BadInput, OSError) as error:
            left_out.append(f"{folder} is no finished run that kept metrics: {error}")
            continue
        quick += stored.card.get("quick") is True
        parameters.append(one)
        numbers.append(flatten(metrics))
    if not parameters:
        raise BadInput(left_out[0])
    for words in left_out:
        warn(f"{words}; it is left out of the summary")
    if quick:
        warn(
            f"{quick} of {how_many(len(numbers), 'run')} {'was' if quick == 1 else 'were'} quick, "
            "to see that the notebook runs: what was found there means nothing"
        )
    told = pd.DataFrame([{n: str(v) for n, v in one.items()} for one in parameters])
    differ = [name for name in told if told[name].nunique(dropna=False) > 1]
    cases = pd.DataFrame([{name: one.get(name) for name in differ} for one in parameters])
    return cases, pd.DataFrame(numbers)


def _kept(stored: sums.Stored, name: str) -> dict[str, Any]:
    """The named values in a file of a run."""
    if not stored.holds(name):
        raise BadInput(f"it has no {name}")
    values = plain_values(stored.written(name))
    if not isinstance(values, dict):
        raise BadInput(f"its {name} holds no names with values")
    return values


@as_annotated
def made_up_runs(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parameters and numbers as `collect_runs` returns them, of six runs that nobody made.

    They stand in where there is no sweep yet: two made-up cases of three seeds.

    Parameters
    ----------
    seed
        Of the draws.

    Returns
    -------
    cases, numbers
        As `collect_runs` returns them.

    Examples
    --------
    >>> import facelab as fl
    >>> cases, numbers = fl.made_up_runs()
    >>> fl.case_labels(cases).unique().tolist(), len(numbers)
    (['made-up skew=0.4', 'made-up skew=0.8'], 6)
    """
    rng = np.random.default_rng(seed)
    cases = pd.DataFrame({"made-up skew": np.repeat([0.4, 0.8], 3), "seed": [0, 1, 2] * 2})
    fnmr, garbe = 0.3 + rng.normal(0, 0.01, 6), cases["made-up skew"] / 3 + rng.normal(0, 0.02, 6)
    return cases, pd.DataFrame({"fnmr": fnmr, "garbe": garbe})


@as_annotated
def numbers_that_differ(numbers: pd.DataFrame, most: int = 4) -> list[str]:
    """The first numbers in which runs differ, times left out.

    Parameters
    ----------
    numbers
        What `collect_runs` returns second.
    most
        How many names at most.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> numbers = pd.DataFrame({"fnmr": [0.1, 0.2], "subjects": 100, "seconds.train": [3.1, 3.2]})
    >>> fl.numbers_that_differ(numbers)
    ['fnmr']
    """
    found = [
        name
        for name in numbers
        if not name.startswith("seconds.") and numbers[name].nunique(dropna=False) > 1
    ]
    return found[:most]


@as_annotated
def over_seeds(
    cases: pd.DataFrame, numbers: pd.DataFrame, figures: Sequence[str], seed: str = "seed"
) -> pd.DataFrame:
    """Each figure of each case: the mean over its runs and its 95 % interval.

    Parameters
    ----------
    cases, numbers
        What `collect_runs` returns.
    figures
        Columns of `numbers`.
    seed
        The parameter in which the runs of one case differ, if there is one.

    Returns
    -------
    DataFrame
        Columns case, figure, runs, mean, low, high. The interval is Student's t over the runs: what
        training or sampling anew changes, and not the choice of test people. NaN for one run.

    Raises
    ------
    BadInput
        No run has a figure of that name.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> cases = pd.DataFrame({"skew": [0.4, 0.4, 0.8, 0.8], "seed": [0, 1, 0, 1]})
    >>> numbers = pd.DataFrame({"fnmr": [0.10, 0.12, 0.20, 0.26]})
    >>> fl.over_seeds(cases, numbers, ["fnmr"]).round(2).values.tolist()
    [['skew=0.4', 'fnmr', 2, 0.11, -0.02, 0.24], ['skew=0.8', 'fnmr', 2, 0.23, -0.15, 0.61]]
    """
    for name in figures:
        if name not in numbers:
            raise BadInput(f"no run kept a number {name!r}{there_are(name, numbers)}")
    labels = case_labels(cases, seed)
    rows = []
    for case in dict.fromkeys(labels):
        for name in figures:
            values = numbers.loc[(labels == case).to_numpy(), name].dropna()
            mean, count = values.mean(), len(values)
            half = np.nan
            if count > 1:
                half = stdtrit(count - 1, 0.975) * values.std(ddof=1) / np.sqrt(count)
            rows.append((case, name, count, mean, mean - half, mean + half))
    return pd.DataFrame(rows, columns=["case", "figure", "runs", "mean", "low", "high"])


@as_annotated
def case_labels(cases: pd.DataFrame, seed: str = "seed") -> pd.Series:
    """Each run's case in words: ``n=1, fmr=0.001``.

    Parameters
    ----------
    cases
        What `collect_runs` returns first.
    seed
        The parameter in which the runs of one case differ, which is left out.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> cases = pd.DataFrame({"skew": [0.4, 0.8], "fmr": 0.001, "seed": 0})
    >>> fl.case_labels(cases).tolist()
    ['skew=0.4, fmr=0.001', 'skew=0.8, fmr=0.001']
    """
    names = [name for name in cases if name != seed]
    if not names:
        return pd.Series(["all runs"] * len(cases))
    return cases[names].apply(lambda row: ", ".join(f"{n}={v}" for n, v in row.items()), axis=1)
