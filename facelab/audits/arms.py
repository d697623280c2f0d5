"""Several arms against a baseline: what helps, and what it costs.

In: audits of every arm on the same test subjects, one a training seed. Out: one table of figures
and paired changes with intervals; sentences.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.audits.changes import Arms, Change, in_family
from facelab.audits.differences import audits_of, difference
from facelab.errors import BadInput, how_many, there_are
from facelab.faces.names import in_markdown
from facelab.rates.indices import indices
from facelab.rates.tables import interval, number

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

_INDICES = {
    "fmr_ratio": ("max_min_ratio", "fmr"),
    "garbe": ("garbe", "both"),
    "worst_fnmr": ("highest", "fnmr"),
}


def kind_of(figure: str) -> _Kind:
    if figure in _KINDS:
        return _KINDS[figure]
    error, _, group = figure.partition(":")
    if error not in ("fmr", "fnmr") or not group:
        known = [*_KINDS, "fmr:<group>", "fnmr:<group>"]
        raise BadInput(f"there is no figure {figure!r}{there_are(figure, known)}")
    return _Kind(f"{error.upper()} of {group}", error == "fmr", "%", 0, 1)


@as_annotated
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
        Of the simulated tests behind changes of indices.

    Returns
    -------
    pandas.DataFrame
        `arm figure value low high change change_low change_high family_low family_high seeds`, all
        figures of an arm together. Rates are means over seeds, indices those of the mean rates;
        `change` is arm less baseline, for FMRs and their ratio a factor, where 1 is no change.
        Between `family_low` and `family_high` all changes of all arms lie at once: who says which
        arm helps has looked at all of them.

    Notes
    -----
    Intervals allow for the people of the test, those that the thresholds were set on and the seeds
    (`facelab.audits.changes`); those of indices are tests inverted, as `fl.disparity` has them.
    With one seed, training noise is not in the interval.

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
    checked = paired_by_seed(audits, baseline, list(figures))
    arms = Arms(checked, replicates, seed)
    start = arms.names.index(baseline)
    family = in_family(arms.confidence, (len(arms.names) - 1) * len(figures))
    rows = []
    for place, arm in enumerate(arms.names):
        for figure in figures:
            kind = kind_of(figure)
            value, low, high = _value(arms, figure, place)
            ends = np.clip([low, high], kind.least, kind.most)
            told = [_unit(_change(arms, figure, start, place, c), kind) for c in (None, family)]
            rows.append((arm, figure, value, *ends, *told[0], *told[1][1:], arms.seeds))
    parts = ["value", "low", "high", "change", "change_low", "change_high"]
    parts += ["family_low", "family_high", "seeds"]
    return pd.DataFrame(rows, columns=["arm", "figure", *parts])


def _unit(change: Change, kind: _Kind) -> tuple[float, float, float]:
    """A change as a factor or as a difference, with its interval."""
    if kind.log:
        return change.ratio, change.ratio_low, change.ratio_high
    return change.difference, change.low, change.high


def _value(arms: Arms, figure: str, arm: int) -> tuple[float, float, float]:
    """A figure of one arm with its interval."""
    if figure in _INDICES:
        row = arms.disparity[arm].loc[_INDICES[figure]]
        return row["value"], row["low"], row["high"]
    error, group = _rate_of(figure)
    ends = arms.rate_interval(error, group, arm, kind_of(figure).log)
    return float(arms.rate(error, group)[arm]), *ends


def _change(arms: Arms, figure: str, start: int, arm: int, confidence: float | None) -> Change:
    if figure in _INDICES:
        return arms.index_change(*_INDICES[figure], start, arm, confidence)
    return arms.rate_change(*_rate_of(figure), start, arm, confidence)


def _rate_of(figure: str) -> tuple[str, str]:
    """Error and group of a figure that is a rate."""
    error, _, group = figure.partition(":")
    return error, group or "all"


@as_annotated
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
    checked = paired_by_seed(audits, baseline, list(figures))
    points = {
        arm: [[_figure(one, name) for name in figures] for one in several]
        for arm, several in checked.items()
    }
    rows = []
    for arm, several in points.items():
        for place, (values, starts) in enumerate(zip(several, points[baseline], strict=True)):
            for figure, value, start in zip(figures, values, starts, strict=True):
                change = value - start
                if kind_of(figure).log:
                    change = value / start if start > 0 else np.nan
                rows.append((arm, figure, place, value, change))
    return pd.DataFrame(rows, columns=["arm", "figure", "seed", "value", "change"])


def _figure(one: Audit, figure: str) -> float:
    """A figure of one audit."""
    if figure in _INDICES:
        return float(indices(one.rates)[_INDICES[figure]])
    error, group = _rate_of(figure)
    return float(one.rates.loc[one.rates["group"] == group, error].iloc[0])


def paired_by_seed(
    audits: Mapping[str, Sequence[Audit]],
    baseline: str,
    figures: Sequence[str] = (),
    verb: str = "fl.compare_arms",
) -> dict[str, list[Audit]]:
    """Arms as they can be compared with their baseline: as many audits each, of one test."""
    checked = audits_of(audits, verb)
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


@as_annotated
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
    {'overall FNMR, points': {'whole': '+0 [+0, +0]', 'half': '+21.3 [+15.8, +26.9]'}}
    """
    part = "change" if changes else "value"
    ends = ("change_low", "change_high") if changes else ("low", "high")
    text = table.assign(
        text=[
            "unknown"
            if np.isnan(row[part])
            else f"{figure_text(row, part, changes)} {_ends(row, ends, changes)}"
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
    return _text(kind_of(row["figure"]), row[column], signed)


def _ends(row: dict[str, Any], ends: Sequence[str], signed: bool) -> str:
    kind = kind_of(row["figure"])
    return interval(*(row[end] for end in ends), lambda value: _text(kind, value, signed))


def _text(kind: _Kind, value: float, signed: bool) -> str:
    sign = "+" if signed and not kind.log else ""
    shown = 100 * value if kind.unit and not (signed and kind.log) else value
    # What is left of rounding is no change.
    return number(round(shown, 9), f"{sign}.3g")


def verdict(row: Mapping[str, Any]) -> str:
    """What a change does, all figures being errors: "helps", "costs", or "" where it is unclear.

    Told by the interval that allows for all arms and figures.
    """
    none = 1 if kind_of(row["figure"]).log else 0
    if row["family_high"] < none:
        return "helps"
    return "costs" if row["family_low"] > none else ""


@as_annotated
def arms_finding(table: pd.DataFrame, baseline: str) -> str:
    """What each arm changed, in sentences: what the interval leaves no doubt about comes first.

    The intervals allow for all arms and figures.

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
    **whole**, which the others are compared with: overall FNMR 4.33% [2.15, 6.52].
    <BLANKLINE>
    - **half** costs: overall FNMR +21.3 points [+15.8, +26.9]
    """
    told = {}
    for figure, row in table[table["arm"] == baseline].set_index("figure", drop=False).iterrows():
        unit = kind_of(figure).unit
        value = figure_text(row, "value", False)
        words = in_markdown(kind_of(figure).words)
        told[figure] = f"{words} {value}{unit} {_ends(row, ('low', 'high'), False)}"
        if np.isnan(row["value"]):
            told[figure] = f"{words} unknown"
    values = ", ".join(told.values())
    lines = [f"**{in_markdown(baseline)}**, which the others are compared with: {values}.\n"]
    unclear = []
    for arm, part in table[table["arm"] != baseline].groupby("arm", sort=False):
        said: dict[str, list[str]] = {"helps": [], "costs": [], "": [], "unknown": []}
        for row in part.to_dict("records"):
            word = "unknown" if np.isnan(row["change"]) else verdict(row)
            clear = word in ("helps", "costs")
            figure = in_markdown(kind_of(row["figure"]).words)
            said[word].append(f"{figure} {_change_words(row)}" if clear else figure)
        if len(said[""]) == len(part):
            unclear.append(f"**{in_markdown(arm)}**")
            continue
        words = [f"{verb}: {', '.join(said[verb])}" for verb in ("helps", "costs") if said[verb]]
        words += [f"no clear change: {', '.join(said[''])}"] if said[""] else []
        words += [f"unknown: {', '.join(said['unknown'])}"] if said["unknown"] else []
        lines.append(f"- **{in_markdown(arm)}** {'; '.join(words)}")
    if unclear:
        lines.append(f"- no clear change of any of these: {', '.join(unclear)}")
    return "\n".join(lines)


def change_text(row: dict[str, Any]) -> str:
    return f"{kind_of(row['figure']).words} {_change_words(row)}"


def _change_words(row: dict[str, Any]) -> str:
    kind = kind_of(row["figure"])
    if np.isnan(row["change"]):
        return "unknown"
    value, ends = figure_text(row, "change", True), _ends(row, ("family_low", "family_high"), True)
    if kind.log:
        return f"×{value} {ends}"
    return f"{value}{' points' if kind.unit else ''} {ends}"
