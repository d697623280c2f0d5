"""Studies of several arms against a baseline: what helps, and what it costs.

In: audits of every arm on the same test subjects, one a training seed. Out: one table of figures
and paired changes with intervals, a picture of it, and sentences.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from scipy import stats

from facelab.audit import Audit, audit
from facelab.disparity import indices, zero_floor
from facelab.error_rates import Rates, double_or_nothing
from facelab.errors import BadInput
from facelab.groups import group_labels
from facelab.keeping import embed
from facelab.plot_style import FAINT, INK, Picture, colours, drawn, group_rows, panels
from facelab.progress import bar
from facelab.training import Recipe, train

if TYPE_CHECKING:
    from facelab.faces import FaceSet

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


def _kind(figure: str) -> _Kind:
    if figure in _KINDS:
        return _KINDS[figure]
    error, _, group = figure.partition(":")
    if error not in ("fmr", "fnmr") or not group:
        raise BadInput(
            f"there is no figure {figure!r}; there are {', '.join(_KINDS)}, fmr:<group> and "
            "fnmr:<group>"
        )
    return _Kind(f"{error.upper()} of {group}", error == "fmr", "%", 0, 1)


def rare_margins(
    faces: "FaceSet", by: str | list[str], margin: float, power: float = 0.25
) -> dict[str, float]:
    """Margins by group, (largest group's images / its images) ** power times `margin`.

    Cao et al. 2019 (LDAM, arXiv 1906.07413, equation 10) derive the power 1/4 for classes.

    Parameters
    ----------
    faces
        The training set.
    by
        Columns that make the groups.
    margin
        Of the group with most images.

    Returns
    -------
    dict of float
        By group, as `Mitigation.margins` takes them.
    """
    images = group_labels(faces.table, by).value_counts(sort=False)
    return {str(group): margin * (images.max() / n) ** power for group, n in images.items() if n}


def audit_arms(
    embedders: Mapping[tuple[str, int], Any],
    test: "FaceSet",
    calibration: "FaceSet",
    by: str | list[str],
    fmr: float,
    jobs: int | None = None,
    kept: str | Path | None = None,
) -> dict[str, list[Audit]]:
    """Audit every embedder on the same test subjects, each at its own one threshold.

    Parameters
    ----------
    embedders
        By (arm, seed), as `train_arms` returns them.
    test, calibration
        Faces of subjects that neither the training nor the other has; the threshold gives the
        target `fmr` on the second.
    by
        Columns that make the groups.
    jobs
        Processes; None is one a core.
    kept
        Folder in which the embeddings stay: see `facelab.keeping.embed`.

    Returns
    -------
    dict of list of Audit
        By arm, in the order of seeds.
    """
    audits: dict[str, list[Audit]] = {arm: [] for arm, _ in embedders}
    for (arm, _), one in bar(embedders.items(), total=len(embedders), desc="audit", unit="arm"):
        tested, calibrated = (
            embed(one, faces, kept=kept, jobs=jobs, progress=False) for faces in (test, calibration)
        )
        audits[arm].append(audit(tested, by, fmr, calibrated, jobs=jobs))
    return audits


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
            kind = _kind(figure)
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


def by_seed(
    audits: Mapping[str, Sequence[Audit]], baseline: str, figures: Sequence[str] = FIGURES
) -> pd.DataFrame:
    """The same of every training: `arm figure seed value change`, seed counting the audits."""
    names = list(figures)
    checked = _checked(audits, baseline, names)
    points = {arm: [_figures(a, names) for a in several] for arm, several in checked.items()}
    rows = []
    for arm, several in points.items():
        for place, (point, start) in enumerate(zip(several, points[baseline], strict=True)):
            for figure, value, change in zip(names, point, point - start, strict=True):
                log = _kind(figure).log
                both = (np.exp(value), np.exp(change)) if log else (value, change)
                rows.append((arm, figure, place, *both))
    return pd.DataFrame(rows, columns=["arm", "figure", "seed", "value", "change"])


def _checked(
    audits: Mapping[str, Sequence[Audit]], baseline: str, figures: list[str]
) -> dict[str, list[Audit]]:
    checked = {str(arm): list(several) for arm, several in audits.items()}
    if baseline not in checked:
        raise BadInput(f"there is no arm {baseline!r}; there are: {', '.join(checked)}")
    reference = checked[baseline]
    for arm, several in checked.items():
        if not several or len(several) != len(reference):
            raise BadInput(
                f"arms are paired seed by seed; {arm!r} has {len(several)} audits and "
                f"{baseline!r} {len(reference)}"
            )
        for one in several:
            same = one.counts.units.equals(reference[0].counts.units)
            if not same or one.counts.groups != reference[0].counts.groups:
                raise BadInput(
                    f"an audit of {arm!r} is of other test subjects, images or groups than those "
                    f"of {baseline!r}: audit all arms on the same test set"
                )
    for figure in figures:
        _kind(figure)
        group = figure.partition(":")[2]
        if group and group not in reference[0].counts.groups:
            raise BadInput(f"{figure!r}: the groups are {', '.join(reference[0].counts.groups)}")
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
            value = np.nanmax(rates["fnmr"][..., 1:], axis=-1)
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


# ---- how it is read


def cpu_cost(
    arms: "Mapping[str, FaceSet]",
    recipes: Mapping[str, Recipe],
    baseline: str,
    meta: "FaceSet | None" = None,
    steps: int = 30,
    repeats: int = 3,
) -> pd.DataFrame:
    """CPU time of a training step: `arm seconds ratio low high`.

    A few steps of every arm in turn, and all of it again: trainings that ran at different times
    cannot be compared, for their time depends on what else the machine did.

    Parameters
    ----------
    arms, recipes, meta
        As `train_arms` takes them.
    baseline
        The arm whose time `ratio` is over.
    steps, repeats
        Of every arm, each time on one thread; how often.

    Returns
    -------
    pandas.DataFrame
        `seconds` a step and `ratio` are medians, `low` and `high` the least and the most of the
        ratios.
    """
    taken = {arm: [] for arm in arms}
    for _ in range(repeats):
        for arm, faces in arms.items():
            taken[arm].append(_seconds_a_step(faces, recipes[arm], meta, steps))
    ratios = pd.DataFrame(taken).T
    ratios = ratios / ratios.loc[baseline]
    told = {"seconds": pd.DataFrame(taken).median(), "ratio": ratios.median(axis=1)}
    told |= {"low": ratios.min(axis=1), "high": ratios.max(axis=1)}
    return pd.DataFrame(told).loc[list(arms)].rename_axis("arm").reset_index()


def _seconds_a_step(faces: "FaceSet", recipe: Recipe, meta: "FaceSet | None", steps: int) -> float:
    import torch

    ticks: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(
            faces,
            dataclasses.replace(recipe, steps=steps + 1),
            device="cpu",
            meta=meta if recipe.mitigate.meta_margins else None,
            progress=False,
            on_step=lambda _: ticks.append(time.process_time()),
        )
    finally:
        torch.set_num_threads(threads)
    # The first step warms up.
    return (ticks[-1] - ticks[0]) / steps


def readable(table: pd.DataFrame, changes: bool = False) -> pd.DataFrame:
    """`compare_arms` as people read it: a row an arm, a column a figure, text with intervals."""
    part = "change" if changes else "value"
    ends = ("change_low", "change_high") if changes else ("low", "high")
    text = table.assign(
        text=[
            f"{_told(row, part, changes)} [{_told(row, ends[0], changes)}, "
            f"{_told(row, ends[1], changes)}]"
            for row in table.to_dict("records")
        ]
    )
    wide = text.pivot(index="arm", columns="figure", values="text")
    wide = wide.loc[list(dict.fromkeys(table["arm"])), list(dict.fromkeys(table["figure"]))]
    heads = []
    for figure in wide.columns:
        kind = _kind(figure)
        unit = ("times" if kind.log else "points" if kind.unit else "") if changes else kind.unit
        heads.append(f"{kind.words}, {unit}" if unit else kind.words)
    return wide.set_axis(heads, axis=1)


def _told(row: dict[str, Any], column: str, signed: bool) -> str:
    kind, value = _kind(row["figure"]), row[column]
    sign = "+" if signed and not kind.log else ""
    shown = 100 * value if kind.unit and not (signed and kind.log) else value
    # What is left of rounding is no change.
    return f"{round(shown, 9):{sign}.3g}"


def verdict(row: Mapping[str, Any]) -> str:
    """What a change does, all figures being errors: "helps", "costs", or "" where it is unclear."""
    none = 1 if _kind(row["figure"]).log else 0
    if row["change_high"] < none:
        return "helps"
    return "costs" if row["change_low"] > none else ""


def finding(table: pd.DataFrame, baseline: str) -> str:
    """What each arm changed, in sentences: what the interval leaves no doubt about comes first."""
    told = {}
    for figure, row in table[table["arm"] == baseline].set_index("figure", drop=False).iterrows():
        unit = _kind(figure).unit
        ends = f"{_told(row, 'low', False)} to {_told(row, 'high', False)}"
        told[figure] = f"{_kind(figure).words} {_told(row, 'value', False)}{unit} ({ends})"
    lines = [f"**{baseline}**, which the others are compared with: {', '.join(told.values())}.\n"]
    for arm, part in table[table["arm"] != baseline].groupby("arm", sort=False):
        said: dict[str, list[str]] = {"helps": [], "costs": [], "": []}
        for row in part.to_dict("records"):
            word = verdict(row)
            said[word].append(_changed(row) if word else _kind(row["figure"]).words)
        words = [f"{verb}: {', '.join(said[verb])}" for verb in ("helps", "costs") if said[verb]]
        words += [f"no clear change: {', '.join(said[''])}"] if said[""] else []
        lines.append(f"- **{arm}** {'; '.join(words)}")
    return "\n".join(lines)


def _changed(row: dict[str, Any]) -> str:
    kind = _kind(row["figure"])
    value, low, high = (
        _told(row, column, True) for column in ("change", "change_low", "change_high")
    )
    if kind.log:
        return f"{kind.words} ×{value} ({low} to {high})"
    points = " points" if kind.unit else ""
    return f"{kind.words} {value}{points} ({low} to {high})"


_LOOKS = {"helps": ("#0072B2", "#0072B2"), "costs": ("#D55E00", "#D55E00"), "": (FAINT, "white")}


@drawn
def changes_figure(table: pd.DataFrame, seeds: pd.DataFrame, baseline: str) -> Picture:
    """What does each arm change against the baseline? A row an arm, a panel a figure.

    Left of the line is better; a filled dot's interval leaves out "no change", ticks are single
    trainings. `table` and `seeds` are what `compare_arms` and `by_seed` return.
    """
    arms = [arm for arm in dict.fromkeys(table["arm"]) if arm != baseline]
    names = list(dict.fromkeys(table["figure"]))
    picture, columns = panels(len(names), 1.5 + 0.36 * len(arms))
    for axes, figure in zip(columns, names, strict=True):
        kind, none = _kind(figure), 1 if _kind(figure).log else 0
        scale = 100 if kind.unit and not kind.log else 1
        if kind.log:
            axes.set_xscale("log")
        part = table[table["figure"] == figure].set_index("arm", drop=False)
        for place, arm in enumerate(arms):
            row = part.loc[arm]
            colour, face = _LOOKS[verdict(row)]
            each = seeds.query("arm == @arm and figure == @figure")["change"] * scale
            axes.plot(each, [place] * len(each), "|", ms=7, color=colour, alpha=0.8)
            ends = [row["change_low"] * scale, row["change_high"] * scale]
            axes.plot(ends, [place, place], color=colour, lw=2, solid_capstyle="butt")
            axes.plot(row["change"] * scale, place, "o", ms=7, color=colour, mfc=face, mew=1.6)
        axes.axvline(none, color=INK, lw=1)
        start = _told(part.loc[baseline].to_dict(), "value", False) + kind.unit
        axes.set_title(f"{_two_lines(kind.words)}\n{baseline}: {start}", size=10.5)
        axes.set_xlabel("times (log)" if kind.log else "points" if kind.unit else "difference")
        if kind.log:
            _factor_ticks(axes)
        axes.margins(x=0.12)
        axes.grid(axis="y", color="#EEEEEE", lw=0.8)
        group_rows(axes, arms, labelled=axes is columns[0], divide=False)
    picture.suptitle(
        "Change from the baseline, 95% intervals: blue is better, orange worse, hollow unclear",
        size=11, x=0.01, ha="left",
    )  # fmt: skip
    rows = table[table["arm"] != baseline].to_dict("records")
    picture.alt = f"Changes against {baseline}: " + "; ".join(
        f"{row['arm']} {_changed(row)}" for row in rows
    )
    return picture


@drawn
def shares_figure(
    table: pd.DataFrame, seeds: pd.DataFrame, shares: Mapping[str, float], fmr: float, favoured: str
) -> Picture:
    """How do errors move with the share of one group in the training data?

    Left, every group's FMR at the one threshold (the favoured group bold, the target dashed);
    right, the ratio of the highest to the lowest, a tick for every training. `shares` gives each
    arm's share.
    """
    picture, (left, right) = panels(2, 4.6)
    names = [f for f in dict.fromkeys(table["figure"]) if f.startswith("fmr:")]
    palette = colours([name.partition(":")[2] for name in names])
    x = table["arm"].map(shares) * 100
    for name in names:
        group, part = name.partition(":")[2], table["figure"] == name
        bold = group == favoured
        values = table[part].assign(x=x[part]).sort_values("x")
        colour, width = palette[group], 3 if bold else 1.4
        left.plot(values["x"], values["value"], "-o", color=colour, lw=width, ms=4, label=group)
        left.vlines(values["x"], values["low"], values["high"], color=colour, lw=width, alpha=0.35)
    left.axhline(fmr, color=INK, ls="--", lw=1)
    left.set_title("FMR of each group at the one threshold")
    left.set_ylabel("FMR (log)")
    left.set_yscale("log")
    left.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    left.legend(fontsize=9)
    part = table["figure"] == "fmr_ratio"
    values = table[part].assign(x=x[part]).sort_values("x")
    bars = [values["value"] - values["low"], values["high"] - values["value"]]
    right.errorbar(values["x"], values["value"], bars, fmt="-o", color=INK, lw=2, ms=7)
    each = seeds[seeds["figure"] == "fmr_ratio"]
    right.plot(each["arm"].map(shares) * 100, each["value"], "_", color=INK, ms=9, alpha=0.6)
    right.set_yscale("log")
    right.set_title("Worst group's FMR / best group's")
    _factor_ticks(right, "y")
    right.axhline(1, color=FAINT, lw=1)
    for axes in (left, right):
        axes.set_xlabel(f"{favoured} among the training subjects, %")
        axes.grid(axis="y", which="major", color="#E6E6E6", lw=0.8)
        sns.despine(ax=axes)
    picture.alt = "Ratio of the highest to the lowest group FMR, by share: " + "; ".join(
        f"{row['x']:.0f}% {row['value']:.3g}" for _, row in values.iterrows()
    )
    return picture


def _two_lines(words: str) -> str:
    """Panels are narrow: break at the comma or the last space."""
    head, comma, tail = words.partition(", ")
    if not comma:
        head, _, tail = words.rpartition(" ")
    return f"{head}\n{tail}" if head else f"\n{tail}"


def _factor_ticks(axes: Any, axis: str = "x") -> None:
    """A log axis marked with factors that people read."""
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    every = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    ticks = [tick for tick in every if low <= tick <= high]
    ticks = [tick for tick in ticks if f"{tick:e}".startswith("1.0")] if len(ticks) > 5 else ticks
    getattr(axes, f"set_{axis}ticks")(ticks, [f"×{tick:g}" for tick in ticks])
    axes.minorticks_off()
