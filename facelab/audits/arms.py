"""Several arms against a baseline: what helps, and what it costs.

In: audits of every arm on the same test subjects, one a training seed. Out: one table of figures
and paired changes with intervals; sentences.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from facelab.audits.by_group import Audit
from facelab.audits.differences import audits_of, difference
from facelab.errors import BadInput, counted, how_many, there_are
from facelab.faces.names import in_markdown
from facelab.rates.counts import Rates, double_or_nothing
from facelab.rates.indices import indices, zero_floor

FIGURES = ("fmr_ratio", "garbe", "fnmr", "worst_fnmr")


class _Kind(NamedTuple):
    """How a figure is called, whether it is a ratio, its unit in words, its range."""

    words: str
    log: bool
    unit: str
    least: float
    most: float


_KINDS = {
    "fmr_ratio": _Kind("FMR, worst / best group", True, "", 1, np.inf),
    "garbe": _Kind("GARBE", False, "", 0, 1),
    "fnmr": _Kind("overall FNMR", False, "%", 0, 1),
    "worst_fnmr": _Kind("worst group's FNMR", False, "%", 0, 1),
}


def kind_of(figure: str) -> _Kind:
    if figure in _KINDS:
        return _KINDS[figure]
    error, _, group = figure.partition(":")
    if error not in ("fmr", "fnmr") or not group:
        known = [*_KINDS, "fmr:<group>", "fnmr:<group>"]
        raise BadInput(f"there is no figure {figure!r}{there_are(figure, known)}")
    return _Kind(f"{error.upper()} of {group}", error == "fmr", "%", 0, 1)


@counted
def compare_arms(
    audits: Mapping[str, Sequence[Audit]],
    baseline: str,
    figures: Sequence[str] = FIGURES,
    replicates: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every arm's figures, and how they differ from the baseline's.

    Parameters
    ----------
    audits
        An arm's audits, one a training seed, in the same order of seeds for every arm; all of the
        same test subjects.
    baseline
        The arm that the others are compared with.
    figures
        "fnmr" (overall), "worst_fnmr" (highest of a group), "fmr_ratio" (highest of a group over
        lowest), "garbe", "fmr:<group>", "fnmr:<group>".
    replicates, seed
        Of the subject bootstrap; the same weights for all audits, so that changes are paired.

    Returns
    -------
    pandas.DataFrame
        `arm figure value low high change change_low change_high seeds`, all figures of an arm
        together. Values are means over seeds; `change` is arm less baseline. FMRs and their ratio
        have geometric means, and their change is a factor: 1 is no change.

    Notes
    -----
    The variance of a mean over n seeds is that of its subject bootstrap (double or nothing) and
    that of the seeds, their sample variance over n; with the few seeds there are, the interval
    takes Student's t with Satterthwaite's degrees of freedom. Thresholds are taken as given, and
    nothing is corrected for the number of arms. With one seed, training noise is not in the
    interval.

    Raises
    ------
    BadInput
        No such baseline, arms of different numbers of seeds or on different tests, an unknown
        figure.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> audits = {"whole": [fl.audit(people, "group")], "half": [fl.audit(half, "group")]}
    >>> table = fl.compare_arms(audits, baseline="whole", figures=["fnmr", "worst_fnmr"])
    >>> table[["arm", "figure", "value", "change"]].round(2).values.tolist()
    [['whole', 'fnmr', 0.04, 0.0], ['whole', 'worst_fnmr', 0.06, 0.0], ['half', 'fnmr', 0.26, 0.21],
    ['half', 'worst_fnmr', 0.32, 0.27]]
    """
    names = list(figures)
    checked = _checked(audits, baseline, names)
    subjects = len(checked[baseline][0].counts.subjects)
    weights = double_or_nothing(subjects, replicates, np.random.default_rng(seed))
    points = {arm: [_figures(a, names) for a in several] for arm, several in checked.items()}
    draws = {
        arm: sum(_figures(a, names, a.counts.resample(weights)) for a in several) / len(several)
        for arm, several in checked.items()
    }
    confidence = checked[baseline][0].confidence
    rows = []
    for arm in checked:
        point, start = np.array(points[arm]), np.array(points[baseline])
        for place, figure in enumerate(names):
            kind = kind_of(figure)
            own = _interval(point[:, place], draws[arm][:, place], confidence)
            paired = _interval(
                (point - start)[:, place], (draws[arm] - draws[baseline])[:, place], confidence
            )
            value, low, high = np.exp(own) if kind.log else own
            ends = np.clip([low, high], kind.least, kind.most)
            change = np.exp(paired) if kind.log else paired
            rows.append((arm, figure, value, *ends, *change, len(point)))
    parts = ["value", "low", "high", "change", "change_low", "change_high"]
    return pd.DataFrame(rows, columns=["arm", "figure", *parts, "seeds"])


@counted
def arms_by_seed(
    audits: Mapping[str, Sequence[Audit]], baseline: str, figures: Sequence[str] = FIGURES
) -> pd.DataFrame:
    """The same of every training: `arm figure seed value change`, seed counting the audits.

    Parameters
    ----------
    audits, baseline, figures
        As `compare_arms` takes them.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> audits = {"whole": [fl.audit(people, "group")], "half": [fl.audit(half, "group")]}
    >>> fl.arms_by_seed(audits, baseline="whole", figures=["fnmr"]).round(2).values.tolist()
    [['whole', 'fnmr', 0, 0.04, 0.0], ['half', 'fnmr', 0, 0.26, 0.21]]
    """
    names = list(figures)
    checked = _checked(audits, baseline, names)
    points = {arm: [_figures(a, names) for a in several] for arm, several in checked.items()}
    rows = []
    for arm, several in points.items():
        for place, (point, start) in enumerate(zip(several, points[baseline], strict=True)):
            for figure, value, change in zip(names, point, point - start, strict=True):
                log = kind_of(figure).log
                both = (np.exp(value), np.exp(change)) if log else (value, change)
                rows.append((arm, figure, place, *both))
    return pd.DataFrame(rows, columns=["arm", "figure", "seed", "value", "change"])


def _checked(
    audits: Mapping[str, Sequence[Audit]], baseline: str, figures: list[str]
) -> dict[str, list[Audit]]:
    checked = audits_of(audits, "fl.compare_arms")
    if baseline not in checked:
        raise BadInput(f"there is no arm {baseline!r}{there_are(baseline, checked)}")
    reference = checked[baseline]
    for arm, several in checked.items():
        if not several or len(several) != len(reference):
            raise BadInput(
                f"arms are paired seed by seed; {arm!r} has {how_many(len(several), 'audit')} and "
                f"{baseline!r} {len(reference)}: give as many of each"
            )
        for one in several:
            same = one.counts.units.equals(reference[0].counts.units)
            if not same or one.counts.groups != reference[0].counts.groups:
                what = difference(one, reference[0])
                raise BadInput(
                    f"audits of {arm!r} and {baseline!r} differ in {what}: audit all arms on the "
                    "same test set"
                )
    for figure in figures:
        kind_of(figure)
        group = figure.partition(":")[2]
        if group and group not in reference[0].counts.groups:
            known = there_are(group, reference[0].counts.groups, "the groups are")
            raise BadInput(f"there is no group for the figure {figure!r}{known}")
    return checked


def _figures(one: Audit, names: list[str], replicates: Rates | None = None) -> np.ndarray:
    """One audit's figures, ratios and FMRs as logarithms: (figures,), or (replicates, figures)."""
    found = indices(one.rates, replicates)
    rates = {
        error: one.rates[error].to_numpy() if replicates is None else getattr(replicates, error)
        for error in ("fmr", "fnmr")
    }
    values = []
    for name in names:
        error, _, group = name.partition(":")
        if name == "fmr_ratio":
            value = np.log(found["max_min_ratio", "fmr"])
        elif name == "garbe":
            value = found["garbe", "both"]
        elif name == "worst_fnmr":
            known = np.nan_to_num(rates["fnmr"][..., 1:], nan=-1.0).max(axis=-1)
            value = np.where(known < 0, np.nan, known)
        else:
            row = one.rates.index[one.rates["group"] == (group or "all")][0]
            value = rates[error][..., row]
            if error == "fmr":
                # On the log scale no errors count as half of one.
                floor = zero_floor(one.rates.loc[[row]], "fmr", "non_mated", in_replicates=True)
                value = np.log(np.maximum(value, floor[0]))
        values.append(value)
    return np.stack(np.broadcast_arrays(*values), axis=-1)


def _interval(
    by_seed: np.ndarray, draws: np.ndarray, confidence: float
) -> tuple[float, float, float]:
    """The mean over seeds with its interval, from the seeds' values and the mean's replicates."""
    mean, seeds = float(by_seed.mean()), len(by_seed)
    of_subjects = float(np.var(draws[np.isfinite(draws)])) if np.isfinite(draws).any() else np.nan
    of_seeds = float(np.var(by_seed, ddof=1)) / seeds if seeds > 1 else 0.0
    variance = of_subjects + of_seeds
    freedom = (seeds - 1) * (variance / of_seeds) ** 2 if of_seeds > 0 else np.inf
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * np.sqrt(variance)
    return mean, mean - reach, mean + reach


def readable_arms(table: pd.DataFrame, changes: bool = False) -> pd.DataFrame:
    """`compare_arms` as people read it: a row an arm, a column a figure, text with intervals.

    Parameters
    ----------
    table
        What `compare_arms` returns.
    changes
        The changes from the baseline rather than the values.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> audits = {"whole": [fl.audit(people, "group")], "half": [fl.audit(half, "group")]}
    >>> fl.readable_arms(fl.compare_arms(audits, "whole", ["fnmr"]), changes=True).to_dict()
    {'overall FNMR, points': {'whole': '+0 [+0, +0]', 'half': '+21.3 [+16.2, +26.4]'}}
    """
    part = "change" if changes else "value"
    ends = ("change_low", "change_high") if changes else ("low", "high")
    text = table.assign(
        text=[
            "unknown"
            if np.isnan(row[part])
            else f"{figure_text(row, part, changes)} [{figure_text(row, ends[0], changes)}, "
            f"{figure_text(row, ends[1], changes)}]"
            for row in table.to_dict("records")
        ]
    )
    wide = text.pivot(index="arm", columns="figure", values="text")
    wide = wide.loc[list(dict.fromkeys(table["arm"])), list(dict.fromkeys(table["figure"]))]
    heads = []
    for figure in wide.columns:
        kind = kind_of(figure)
        unit = ("times" if kind.log else "points" if kind.unit else "") if changes else kind.unit
        heads.append(f"{kind.words}, {unit}" if unit else kind.words)
    return wide.set_axis(heads, axis=1)


def figure_text(row: dict[str, Any], column: str, signed: bool) -> str:
    kind, value = kind_of(row["figure"]), row[column]
    if np.isnan(value):
        return "unknown"
    sign = "+" if signed and not kind.log else ""
    shown = 100 * value if kind.unit and not (signed and kind.log) else value
    # What is left of rounding is no change.
    return f"{round(shown, 9):{sign}.3g}"


def verdict(row: Mapping[str, Any]) -> str:
    """What a change does, all figures being errors: "helps", "costs", or "" where it is unclear."""
    none = 1 if kind_of(row["figure"]).log else 0
    if row["change_high"] < none:
        return "helps"
    return "costs" if row["change_low"] > none else ""


def arms_finding(table: pd.DataFrame, baseline: str) -> str:
    """What each arm changed, in sentences: what the interval leaves no doubt about comes first.

    Parameters
    ----------
    table
        What `compare_arms` returns.
    baseline
        The arm that the others were compared with.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> audits = {"whole": [fl.audit(people, "group")], "half": [fl.audit(half, "group")]}
    >>> print(fl.arms_finding(fl.compare_arms(audits, "whole", ["fnmr"]), baseline="whole"))
    **whole**, which the others are compared with: overall FNMR 4.33% (2.33 to 6.34).
    <BLANKLINE>
    - **half** costs: overall FNMR +21.3 points (+16.2 to +26.4)
    """
    told = {}
    for figure, row in table[table["arm"] == baseline].set_index("figure", drop=False).iterrows():
        unit = kind_of(figure).unit
        value, low, high = (figure_text(row, name, False) for name in ("value", "low", "high"))
        told[figure] = f"{kind_of(figure).words} {value}{unit} ({low} to {high})"
        if np.isnan(row["value"]):
            told[figure] = f"{kind_of(figure).words} unknown"
    values = in_markdown(", ".join(told.values()))
    lines = [f"**{in_markdown(baseline)}**, which the others are compared with: {values}.\n"]
    for arm, part in table[table["arm"] != baseline].groupby("arm", sort=False):
        said: dict[str, list[str]] = {"helps": [], "costs": [], "": [], "unknown": []}
        for row in part.to_dict("records"):
            word = "unknown" if np.isnan(row["change"]) else verdict(row)
            clear = word in ("helps", "costs")
            said[word].append(change_text(row) if clear else kind_of(row["figure"]).words)
        words = [f"{verb}: {', '.join(said[verb])}" for verb in ("helps", "costs") if said[verb]]
        words += [f"no clear change: {', '.join(said[''])}"] if said[""] else []
        words += [f"unknown: {', '.join(said['unknown'])}"] if said["unknown"] else []
        lines.append(f"- **{in_markdown(arm)}** {in_markdown('; '.join(words))}")
    return "\n".join(lines)


def change_text(row: dict[str, Any]) -> str:
    kind = kind_of(row["figure"])
    if np.isnan(row["change"]):
        return f"{kind.words} unknown"
    value, low, high = (
        figure_text(row, column, True) for column in ("change", "change_low", "change_high")
    )
    if kind.log:
        return f"{kind.words} ×{value} ({low} to {high})"
    points = " points" if kind.unit else ""
    return f"{kind.words} {value}{points} ({low} to {high})"
