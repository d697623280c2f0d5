"""The picture of the one page: before and after, group by group.

In: what `facelab.pages.summary` reads of a run. Out: a Picture.
"""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, there_are
from facelab.figures.audits import error_rates
from facelab.figures.style import (
    ALERT,
    FAINT,
    INK,
    WIDTH,
    Picture,
    arm_look,
    colours,
    drawn,
    factor_interval,
    factor_limits,
    factor_ticks,
    group_rows,
    mark,
    percent_ticks,
)

ARMS = ("skewed", "balanced")


@as_annotated
@drawn
def summary_figure(metrics: Mapping[str, Any], mix: Mapping[str, Any] | None = None) -> Picture:
    """False match rates by group in both arms, their paired change, and the ratio by share.

    Parameters
    ----------
    metrics, mix
        `metrics.json` of a run of `03_balanced_retraining` and of one of `07_mix_ratio`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"skewed": fl.audit(half, "group"), "balanced": fl.audit(people, "group")}
    >>> metrics = {"arms": {arm: {"0": fl.audit_metrics(one)} for arm, one in arms.items()}}
    >>> differences = fl.compare_audits(arms).table
    >>> metrics |= {"differences": fl.metric_rows(differences, "quantity"), "fmr_target": 1e-3}
    >>> figure = fl.plots.summary_figure(metrics)
    >>> print(figure.alt)
    False match rate by group: a 0.165% skewed; ...
    """
    _check(metrics, "03_balanced_retraining", "differences", "arms", "fmr_target")
    changes, arms = metrics["differences"], metrics["arms"]
    groups = [name[4:] for name in changes if name.startswith("fmr:") and name != "fmr:all"]
    palette = colours(groups)
    picture = Picture(figsize=(WIDTH, 3.1), layout="constrained")
    axes = picture.subplots(1, 3 if mix else 2, width_ratios=[1.15, 1, 1.05][: 3 if mix else 2])
    _rates(axes[0], metrics["fmr_target"], arms, changes, groups, palette)
    _changes(axes[1], changes, groups, palette)
    if mix:
        _ratios(axes[2], mix)
    each = [
        f"{group} {_percent(changes[f'fmr:{group}'][side])} {arm}"
        for group in groups
        for arm, side in zip(ARMS, "ab", strict=True)
    ]
    picture.alt = f"False match rate by group: {'; '.join(each)}."
    return picture


def _percent(rate: float | None) -> str:
    return "unknown" if rate is None else f"{100 * rate:.3g}%"


def _rates(
    axes: Any, target: float, arms: Any, changes: Any, groups: list[str], palette: dict[str, str]
) -> None:
    axes.set_xscale("log")
    seen = []
    for row, group in enumerate(groups):
        for place, (arm, side) in enumerate(zip(ARMS, "ab", strict=True)):
            y, look = row + (place - 0.5) * 0.36, arm_look(place, 2)
            every = [one["groups"][group] for one in arms[arm].values()]
            for one in every:
                if one["fmr_high"] is None or math.isnan(one["fmr_high"]):
                    continue
                ends = [max(one["fmr_low"], 1e-9), one["fmr_high"]]
                axes.plot(ends, [y, y], color=palette[group], lw=2.2, alpha=0.3)
            mean = changes[f"fmr:{group}"][side]
            face = palette[group] if look["face"] != "white" else "white"
            if mean:
                axes.plot(mean, y, "o", ms=6.5, color=palette[group], mfc=face, mew=1.5)
                seen.append(mean)
            else:  # no error at all: somewhere below the triangle
                top = max(one["fmr_high"] for one in every)
                axes.plot(top, y, "<", ms=6.5, color=palette[group], mfc="white")
                seen.append(top)
    axes.set_xlim(min([*seen, target]) / 3, max([*seen, target]) * 2.5)
    axes.axvline(target, color=ALERT, ls="--", lw=1)
    axes.set_title("False match rate\n○ skewed, ● balanced")
    axes.set_xlabel("FMR (log), dashed: target")
    percent_ticks(axes)
    group_rows(axes, groups)


def _changes(axes: Any, changes: Any, groups: list[str], palette: dict[str, str]) -> None:
    of_groups = {group: changes[f"fmr:{group}"] for group in groups}
    ends = {}
    for group, one in of_groups.items():
        # Those of the sentence beside it, which allow for all groups; older runs have none.
        kind = "family" if "family_low" in one else "ratio"
        ends[group] = _ends(one, f"{kind}_low", f"{kind}_high")
    axes.set_xscale("log")
    values = [one["ratio"] or 1 for one in of_groups.values()]
    axes.set_xlim(*factor_limits(values, itertools.chain(*ends.values())))
    for row, (group, one) in enumerate(of_groups.items()):
        if one["ratio"] is None or not one["ratio"]:
            axes.text(1, row, " unknown", va="center", size=9.5, color=INK)
            continue
        low, high = ends[group]
        factor_interval(axes, row, low, high, color=palette[group], lw=2)
        face = palette[group] if low > 1 or high < 1 else "white"
        axes.plot(one["ratio"], row, "o", ms=6.5, color=palette[group], mfc=face, mew=1.5)
    axes.axvline(1, color=INK, lw=1)
    axes.set_title("Balanced / skewed\nhollow: unclear")
    axes.set_xlabel("times (log)")
    axes.grid(axis="y", color="#EEEEEE", lw=0.8)
    factor_ticks(axes, "x")
    group_rows(axes, groups, labelled=False)


def _ratios(axes: Any, mix: Mapping[str, Any]) -> None:
    rows = {
        float(key.partition("%")[0]): one
        for key, one in mix["figures"].items()
        if key.endswith(":fmr_ratio")
    }
    shares = sorted(rows)
    values = [rows[share]["value"] for share in shares]
    ends = {share: _ends(rows[share], "low", "high") for share in shares}
    axes.set_yscale("log")
    axes.set_ylim(*factor_limits(values, itertools.chain(*ends.values())))
    axes.plot(shares, values, "-o", color=INK, lw=1.6, ms=6)
    for share, (low, high) in ends.items():
        factor_interval(axes, share, low, high, upright=True, color=INK, lw=2, alpha=0.4)
    axes.axhline(1, color=FAINT, lw=1)
    axes.set_title("Worst group's FMR /\nbest group's, by mix")
    axes.set_xlabel("share of one group, %")
    axes.grid(axis="y", color="#EEEEEE", lw=0.8)
    factor_ticks(axes, "y")
    axes.spines[["top", "right"]].set_visible(False)


def _ends(row: Mapping[str, Any], low: str, high: str) -> tuple[float, float]:
    """An interval's ends; JSON has no infinity, so that a missing one is none."""
    return row[low] or 0.0, math.inf if row[high] is None else row[high]


@as_annotated
@drawn
def service_figure(metrics: Mapping[str, Any]) -> Picture:
    """Error rates of a service by group, against what its vendor promises.

    Parameters
    ----------
    metrics
        `metrics.json` of a run of `21_audit_a_service`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> figure = fl.plots.service_figure({"audit": fl.audit_metrics(audit), "promised": 0.01})
    >>> print(figure.alt)
    Error rates by group with 95% intervals. All: all ...
    """
    _check(metrics, "21_audit_a_service", "audit", "promised")
    told = metrics["audit"]
    groups = {"all": told["overall"], **told["groups"]}
    rates = pd.DataFrame([{"group": name, **row} for name, row in groups.items()])
    ends = [name for name in rates if re.fullmatch("f(n?)mr(_low|_high)?", name)]
    rates[ends] = rates[ends].astype(float)  # JSON has no NaN: what is unknown is None there
    figure = error_rates(rates.assign(note=""))
    if metrics["promised"]:
        mark(figure.axes[0], metrics["promised"], f"promised {100 * metrics['promised']:g}%")
        figure.axes[1].set_title(figure.axes[1].get_title(loc="left"), pad=16)
    return figure


def _check(metrics: Mapping[str, Any], run: str, *needed: str) -> None:
    for key in needed:
        if key not in metrics:
            known = there_are(key, metrics, "it has")
            raise BadInput(f"metrics is not of a run of {run}: it has no {key!r}{known}")
