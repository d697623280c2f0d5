"""One page for whoever decides: what balanced training changed, and how much skew it takes.

In: a finished run of the main experiment, and one of the mix ratio. Out: an HTML page that prints
on one sheet of A4, every number on it taken from the `metrics.json` of the two.
"""

import base64
import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from facelab import files
from facelab.errors import BadInput
from facelab.plot_style import (
    ALERT,
    FAINT,
    INK,
    WIDTH,
    Picture,
    arm_look,
    colours,
    drawn,
    group_rows,
    percent_ticks,
)

__all__ = ["summary_page"]

_ARMS = ("skewed", "balanced")

_CSS = """
:root { color-scheme: light dark; }
@page { size: A4; margin: 10mm 15mm; }
body { margin: 0; background: #fff; color: #222; font: 10.5pt/1.42 system-ui, "Segoe UI", Roboto,
  "DejaVu Sans", sans-serif; }
main, footer { max-width: 182mm; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 17pt; line-height: 1.22; margin: .4em 0 .35em; color: #111; }
h2 { font-size: 10.5pt; margin: .8em 0 .15em; color: #111; }
p { margin: 0 0 .45em; }
.kind { margin-top: 1rem; font-size: 9pt; color: #5a5a5a; }
img { width: 100%; height: auto; display: block; margin: .3em 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 9.5pt;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3em 0; }
th, td { text-align: right; padding: .2em .7em .2em 0; border-bottom: 1px solid #e0e0e0; }
th:first-child { text-align: left; font-weight: 500; }
thead th { border-bottom: 1.5px solid #999; font-weight: 600; }
td:last-child, th:last-child { padding-right: 0; white-space: nowrap; }
footer { margin-top: .7em; padding-top: .4em; padding-bottom: 1rem; border-top: 1px solid #ccc;
  font-size: 7.8pt; line-height: 1.35; color: #5a5a5a; overflow-wrap: anywhere; }
@media screen and (prefers-color-scheme: dark) {
  body { background: #16181b; color: #dcdcdc; }
  h1, h2 { color: #f2f2f2; }
  .kind, footer { color: #b4b4b4; }
  th, td, footer { border-color: #3a3d42; }
  img { background: #fff; padding: .4rem; border-radius: 6px; box-sizing: border-box; }
}
@media print { body { font-size: 9.1pt; } h1 { font-size: 15pt; }
  main, footer { padding: 0; max-width: none; }
  .kind { margin-top: 0; } footer { padding-bottom: 0; } table { font-size: 9pt; } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{body}
</main>
<footer>
{footer}
</footer>
</body>
</html>
"""


@dataclass
class _Run:
    """A finished run: its numbers, parameters and record; `label` names it on the page."""

    folder: Path
    label: str
    metrics: dict[str, Any] = field(init=False)
    parameters: dict[str, Any] = field(init=False)
    record: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if not (self.folder / "run.json").is_file() or not (self.folder / "metrics.json").is_file():
            raise BadInput(
                f"{self.folder} is no finished run that kept metrics: give a folder that "
                "`facelab run` made"
            )
        read = (self.folder / "params.yaml").read_text(encoding="utf-8")
        self.parameters = yaml.safe_load(read) or {}
        self.metrics = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
        self.record = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))

    def at(self, *path: str) -> Any:
        value: Any = self.metrics
        for name in path:
            value = value[name]
        return value

    def told(self, *path: str, scale: float = 1, form: str = ".3g") -> str:
        """A number as HTML that says where in `metrics.json` it stands."""
        value = self.at(*path)
        if value is None:
            return "unknown"
        where = html.escape("/".join((self.label, *path)).replace(" ", "_"))
        return f'<data value="{value!r}" data-from="{where}">{scale * value:{form}}</data>'

    def interval(self, *path: str, low: str, high: str, **shown: Any) -> str:
        ends = [self.told(*path, end, **shown) for end in (low, high)]
        return f"[{ends[0]}, {ends[1]}]"


def summary_page(
    run: str | Path,
    mix: str | Path | None = None,
    out: str | Path | None = None,
    *,
    replace: bool = False,
) -> Path:
    """Write the one-page summary of the main experiment.

    Parameters
    ----------
    run
        A finished run of `01_balanced_retraining`, such as
        `experiments/runs/balanced-retraining/latest`.
    mix
        One of `11_mix_ratio`; None leaves its panel and its sentence out.
    out
        The file to write; by default `summary.html` in the folder of `run`.
    replace
        Write over a file that is there.

    Returns
    -------
    Path
        The file: one page of A4 when printed; no script, no network, no photo.

    Raises
    ------
    BadInput
        A folder holds no finished run, or one of another notebook; the file is there already.
    """
    main, sweep = _Run(Path(run), "main"), _Run(Path(mix), "mix") if mix else None
    if not {"arms", "differences", "counts"} <= set(main.metrics):
        raise BadInput(f"{run} is no run of 01_balanced_retraining: its metrics hold no arms")
    if sweep and not {"figures", "baseline"} <= set(sweep.metrics):
        raise BadInput(f"{mix} is no run of 11_mix_ratio: its metrics hold no figures by share")
    if sweep and not {"favoured", "shares"} <= set(sweep.parameters):
        raise BadInput(f"{mix} is no run of 11_mix_ratio: it has no parameter `favoured`")
    out = main.folder / "summary.html" if out is None else Path(out)
    if out.exists() and not replace:
        raise BadInput(f"{out} exists already: choose another file, or replace it")
    picture = summary_figure(main.metrics, sweep.metrics if sweep else None)
    shown = base64.b64encode(picture.png()).decode()
    body = "\n".join(
        [
            '<p class="kind">facelab · one-page summary · no real person took part</p>',
            f"<h1>{_headline(main)}</h1>",
            f"<p>{_who(main)}</p>",
            f'<img alt="{html.escape(picture.alt)}" src="data:image/png;base64,{shown}">',
            _table(main),
            f"<h2>How much skew does it take?</h2>\n<p>{_skew(sweep)}</p>" if sweep else "",
            f"<h2>What was done</h2>\n<p>{_done(main)}</p>",
            f"<h2>What this does not say</h2>\n<p>{_limits(main)}</p>",
        ]
    )
    footer = "\n".join(f"<div>{_made(one)}</div>" for one in (main, sweep) if one)
    title = "Does balanced training data make a face recogniser fairer?"
    files.write_text(out, _PAGE.format(title=title, css=_CSS, body=body, footer=footer))
    return out


# ---- what it says


def _way(run: _Run, quantity: str) -> str:
    """What became of a quantity: fell, rose, or "" where its interval holds no change."""
    low, high = (run.at("differences", quantity, f"ratio_{end}") for end in ("low", "high"))
    if low is None or high is None or low <= 1 <= high:
        return ""
    return "fell" if high < 1 else "rose"


def _factor(run: _Run, quantity: str) -> str:
    """What a quantity is multiplied by from skewed to balanced, with its interval."""
    where = ("differences", quantity)
    ends = run.interval(*where, low="ratio_low", high="ratio_high", form=".2g")
    return f"{run.told(*where, 'ratio', form='.2g')} {ends}"


def _headline(run: _Run) -> str:
    quantity = "max_min_ratio:fmr"
    a, b = (run.told("differences", quantity, side) for side in ("a", "b"))
    if run.at("differences", quantity, "ratio") is None:
        return "The groups' false match rates cannot be compared: too few errors were seen"
    said = {
        "fell": "Balanced training data made false matches more even",
        "rose": "Balanced training data made false matches less even",
        "": "Whether balanced training data make false matches more even stays open",
    }[_way(run, quantity)]
    return (
        f"{said}: the worst-off group's rate went from {a} to {b} times that of the best-off, a "
        f"factor of {_factor(run, quantity)}"
    )


def _groups(run: _Run) -> list[str]:
    return list(run.at("arms", _ARMS[0], next(iter(run.at("arms", _ARMS[0]))), "groups"))


def _who(run: _Run) -> str:
    """Whose false match rate moved which way: a ratio also falls where the best-off lose."""
    moved: dict[str, list[str]] = {"fell": [], "rose": [], "": []}
    for group in _groups(run):
        way = _way(run, f"fmr:{group}")
        change = f" (×{_factor(run, f'fmr:{group}')})" if way else ""
        moved[way].append(html.escape(group) + change)
    parts = [
        f"{verb} for {', '.join(moved[way])}"
        for way, verb in (("fell", "fell"), ("rose", "rose"), ("", "shows no clear change"))
        if moved[way]
    ]
    cost = _ends_of_difference(run, "fnmr:all")
    return (
        f"At one threshold for everybody, the false match rate (two people taken for one) "
        f"{'; '.join(parts)}. The false non-match rate (one person not recognised) changed by "
        f"{cost} points overall. In brackets: 95% intervals."
    )


def _ends_of_difference(run: _Run, quantity: str) -> str:
    where, shown = ("differences", quantity), {"scale": 100, "form": "+.2g"}
    return f"{run.told(*where, 'difference', **shown)} " + run.interval(
        *where, low="low", high="high", **shown
    )


def _table(run: _Run) -> str:
    rows = [
        ("FMR, worst / best group", "max_min_ratio:fmr", 1, False),
        ("FNMR, worst / best group", "max_min_ratio:fnmr", 1, False),
        *((f"FMR of {group}, %", f"fmr:{group}", 100, False) for group in _worst_and_best_off(run)),
        ("FNMR of everybody, %", "fnmr:all", 100, True),
    ]
    cells = []
    for name, quantity, scale, difference in rows:
        sides = "".join(
            f"<td>{run.told('differences', quantity, side, scale=scale)}</td>" for side in "ab"
        )
        known = run.at("differences", quantity, "difference" if difference else "ratio") is not None
        change = (
            f"{_ends_of_difference(run, quantity)} points"
            if difference
            else f"×{_factor(run, quantity)}"
        )
        cells.append(
            f'<tr><th scope="row">{html.escape(name)}</th>{sides}'
            f"<td>{change if known else 'unknown'}</td></tr>"
        )
    heads = ("", "skewed data", "balanced data", "change, 95% interval")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Numbers"><table>'
        "<caption>FMR: false match rate. FNMR: false non-match rate (not recognised)</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody></table></div>"
    )


def _worst_and_best_off(run: _Run) -> list[str]:
    """The groups with the highest and the lowest false match rate under skewed training."""
    rates = {group: run.at("differences", f"fmr:{group}", "a") for group in _groups(run)}
    known = {group: rate for group, rate in rates.items() if rate is not None}
    ends = sorted(known, key=known.__getitem__, reverse=True)
    return list(dict.fromkeys([*ends[:1], *ends[-1:]]))


def _shares(run: _Run) -> list[str]:
    """The arms of a mix run, by rising share."""
    names = [key.partition(":")[0] for key in run.at("figures") if key.endswith(":fmr_ratio")]
    return sorted(names, key=lambda name: float(name.rstrip("%")))


def _skew(run: _Run) -> str:
    """The ratio at the reference, from where it is clearly higher, and at the largest share."""
    start, arms = run.at("baseline"), _shares(run)
    lowest = {arm: run.at("figures", f"{arm}:fmr_ratio", "change_low") for arm in arms}
    worse = [arm for arm, low in lowest.items() if low is not None and low > 1]

    def ratio(arm: str) -> str:
        where = ("figures", f"{arm}:fmr_ratio")
        return f"{run.told(*where, 'value')} {run.interval(*where, low='low', high='high')}"

    clear = (
        f"it is clearly higher from {worse[0]}, {ratio(worse[0])} times"
        if worse
        else "at no other share is it clearly higher"
    )
    last = f", and {ratio(arms[-1])} times at {arms[-1]}" if arms[-1] not in worse[:1] else ""
    return (
        f"In a study of its own, where {html.escape(str(run.parameters['favoured']))} make up "
        f"{arms[0]} to {arms[-1]} of the training people, the worst-off group is falsely matched "
        f"{ratio(start)} times as often as the best-off at {start}; {clear}{last}."
    )


def _done(run: _Run) -> str:
    sets, seeds = run.at("counts"), list(run.at("arms", _ARMS[0]))
    given = run.parameters
    people, photos = (run.told("counts", "skewed", n, form=",") for n in ("subjects", "images"))
    tested = run.told("counts", "test", "subjects", form=",")
    others = run.told("counts", "calibration", "subjects", form=",")
    pairs = [run.told("comparisons", kind, form=",") for kind in ("mated", "non_mated")]
    same = sets["skewed"] == sets["balanced"]
    return (
        f"Two sets of rendered faces, {'each of' if same else 'the first of'} {people} people and "
        f"{photos} photos: in one {given['skew']:.0%} are {html.escape(given['skewed_group'])}, in "
        f"the other all groups are equally large. The same small network was trained on each, once "
        f"with each of {len(seeds)} seeds. For each training one threshold was set for a false "
        f"match rate of {run.told('fmr_target', scale=100)}% on {others} people; then "
        f"{tested} others, whom no training had seen, were compared: {pairs[0]} comparisons of one "
        f"person's photos, {pairs[1]} of two people's. Changes are paired on the test people; 95% "
        "intervals allow for the choice of test people and of seeds."
    )


def _limits(run: _Run) -> str:
    levelled = any(_way(run, f"fmr:{group}") == "rose" for group in _groups(run))
    return (
        "That balancing helps real data by as much: the faces are rendered, group names are "
        "rendering parameters and claim nothing about people, the network is small and the seeds "
        "are few. Thresholds are taken as given; nothing is corrected for the number of "
        "comparisons between groups."
        + " Part of what changed is levelling: some groups fare worse than before."
        * levelled
    )


def _made(run: _Run) -> str:
    record = run.record
    commit = (record["commit"] or "unknown")[:10] + (" with changes" if record["dirty"] else "")
    told = ", ".join(f"{name} = {value}" for name, value in run.parameters.items())
    return html.escape(
        f"{record['name']} {record['run_id']}: {record['notebook']}, facelab {record['facelab']} "
        f"{commit}, {record['started'][:10]}. {told}."
    )


# ---- what it shows


@drawn
def summary_figure(metrics: Mapping[str, Any], mix: Mapping[str, Any] | None = None) -> Picture:
    """False match rates by group in both arms, their paired change, and the ratio by share.

    Parameters
    ----------
    metrics, mix
        `metrics.json` of a run of `01_balanced_retraining` and of one of `11_mix_ratio`.
    """
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
        for arm, side in zip(_ARMS, "ab", strict=True)
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
        for place, (arm, side) in enumerate(zip(_ARMS, "ab", strict=True)):
            y, look = row + (place - 0.5) * 0.36, arm_look(place, 2)
            every = [one["groups"][group] for one in arms[arm].values()]
            for one in every:
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
    axes.set_xscale("log")
    for row, group in enumerate(groups):
        one = changes[f"fmr:{group}"]
        if one["ratio"] is None or not one["ratio"]:
            axes.text(1, row, " unknown", va="center", size=9.5, color=INK)
            continue
        ends = [one["ratio_low"] or one["ratio"], one["ratio_high"] or one["ratio"]]
        clear = ends[0] > 1 or ends[1] < 1
        axes.plot(ends, [row, row], color=palette[group], lw=2)
        face = palette[group] if clear else "white"
        axes.plot(one["ratio"], row, "o", ms=6.5, color=palette[group], mfc=face, mew=1.5)
    axes.axvline(1, color=INK, lw=1)
    axes.set_title("Balanced / skewed\nhollow: unclear")
    axes.set_xlabel("times (log)")
    axes.grid(axis="y", color="#EEEEEE", lw=0.8)
    _times_ticks(axes, "x")
    group_rows(axes, groups, labelled=False)


def _ratios(axes: Any, mix: Mapping[str, Any]) -> None:
    rows = {
        float(key.partition("%")[0]): one
        for key, one in mix["figures"].items()
        if key.endswith(":fmr_ratio")
    }
    shares = sorted(rows)
    values = [rows[share]["value"] for share in shares]
    axes.set_yscale("log")
    axes.plot(shares, values, "-o", color=INK, lw=1.6, ms=6)
    for share in shares:
        axes.plot(
            [share] * 2, [rows[share]["low"], rows[share]["high"]], color=INK, lw=2, alpha=0.4
        )
    axes.axhline(1, color=FAINT, lw=1)
    axes.set_title("Worst group's FMR /\nbest group's, by mix")
    axes.set_xlabel("share of one group, %")
    axes.grid(axis="y", color="#EEEEEE", lw=0.8)
    _times_ticks(axes, "y")
    axes.spines[["top", "right"]].set_visible(False)


def _times_ticks(axes: Any, axis: str) -> None:
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    every = [step * 10.0**power for power in range(-4, 5) for step in (1, 2, 5)]
    ticks = [tick for tick in every if low <= tick <= high]
    if len(ticks) > 6:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    getattr(axes, f"set_{axis}ticks")(ticks, [f"×{tick:g}" for tick in ticks])
    axes.minorticks_off()
