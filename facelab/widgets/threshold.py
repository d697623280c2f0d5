"""The threshold explorer: what one threshold for everybody means for each group.

In: comparisons, or an audit. Out: error rates by group, the cross-group matrix and the false
matches to expect of a search, for every stop of a ladder of thresholds.

The ladder is read off once, when the explorer is made; a move then looks up a stop and draws it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ipywidgets as ipw
import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.comparisons.counted import Comparisons
from facelab.errors import BadInput, a_kind
from facelab.figures.style import Picture
from facelab.progress import bar
from facelab.search.year import chance_of_any
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, slider

GALLERIES = tuple(step * 10**power for power in range(1, 7) for step in (1, 2, 5))
_HIGHEST = 0.1  # FMR at the lowest threshold of a ladder
_A_DECADE = 10
_WIDTH, _GAP = 190, 26


@dataclass(frozen=True, eq=False)
class Stop:
    """One threshold of the ladder and what is known there.

    Attributes
    ----------
    target
        The FMR it was set for.
    threshold
        A match is a score >= this.
    rates, cross_group
        As `Comparisons.error_rates` and `.cross_group` give them; `cross_group` is None where an
        audit does not hold it.
    """

    target: float
    threshold: float
    rates: pd.DataFrame
    cross_group: pd.DataFrame | None

    @cached_property
    def pairs(self) -> dict[tuple[str, str], float]:
        """FMR by pair of groups."""
        if self.cross_group is None:
            return {}
        columns = (self.cross_group[name] for name in ("group_a", "group_b", "fmr"))
        return {(a, b): rate for a, b, rate in zip(*columns, strict=True)}

    @cached_property
    def bounds(self) -> dict[tuple[str, str], float]:
        """The upper end of the FMR by pair of groups."""
        if self.cross_group is None:
            return {}
        columns = (self.cross_group[name] for name in ("group_a", "group_b", "fmr_high"))
        return {(a, b): high for a, b, high in zip(*columns, strict=True)}

    def search(self, people: int) -> pd.DataFrame:
        """False matches to expect when somebody is searched among that many others.

        The gallery has one image of each person, all of the searched one's group (for `all`, of
        everybody's): N FMR false matches, and at least one with a probability of at most
        1 - (1 - FMR)^N, which takes comparisons as independent: the more false matches bunch upon
        few people, the lower it is. `fl.expected_false_matches` knows how they bunch, and takes any
        mix of groups.

        Returns
        -------
        pandas.DataFrame
            `group gallery false_matches false_matches_low false_matches_high chance chance_low
            chance_high`.
        """
        result = pd.DataFrame({"group": self.rates["group"], "gallery": people})
        for end in ("", "_low", "_high"):
            rate = self.rates[f"fmr{end}"].to_numpy(dtype=float)
            result[f"false_matches{end}"] = people * rate
            result[f"chance{end}"] = chance_of_any(rate[:, None], people)
        return result


@as_annotated
def threshold_explorer(
    source: Comparisons | Audit,
    gallery: int = 10_000,
    fmr: float | None = None,
    calibration: Comparisons | None = None,
    confidence: float = 0.95,
) -> "ThresholdExplorer":
    """Drag the threshold, or the target FMR, and see whom it fails.

    Parameters
    ----------
    source
        Comparisons made with `by`: every stop is counted exactly, with intervals for few subjects
        as in `fl.audit`. Or an audit: its own threshold is as exact; of other thresholds it holds
        the rates by group at 200 scores, without intervals, and no rates across groups.
    gallery
        People in the gallery of the imagined search.
    fmr
        Where the slider starts; None is 0.001, or the audit's own target.
    calibration
        Comparisons of other subjects by the same embedder, on which thresholds are set; None sets
        them on `source` itself.
    confidence
        Of the intervals.

    Returns
    -------
    ThresholdExplorer
        `.value` holds the threshold, its target FMR, and the tables.

    Raises
    ------
    BadInput
        The source is neither, has no groups, no non-mated comparisons, or `gallery` is below 1.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> explorer = fl.widgets.threshold_explorer(fl.compare_all(people, by="group"), gallery=1000)
    >>> sorted(explorer.value)
    ['cross_group', 'gallery', 'rates', 'search', 'target_fmr', 'threshold']
    >>> explorer.value["search"].set_index("group")["false_matches"].round(1).to_dict()
    {'all': 1.0, 'a': 0.7, 'b': 1.8, 'c': 2.6, 'd': 1.4}
    """
    if int(gallery) != gallery or gallery < 1:
        raise BadInput(f"`gallery` must be a whole number of at least 1, not {gallery}")
    if isinstance(source, Audit):
        if calibration is not None:
            raise BadInput("an audit has its thresholds already: give comparisons to calibrate")
        stops, told = _of_audit(source), _AUDITED
        start = source.fmr if fmr is None else fmr
    elif isinstance(source, Comparisons):
        if not source.groups:
            raise BadInput("these comparisons have no groups: make them with `by`")
        start = 1e-3 if fmr is None else fmr
        stops, told = _of_comparisons(source, calibration, start, confidence), _COUNTED
    else:
        raise BadInput(f"give comparisons or an audit, not {a_kind(source)}")
    return ThresholdExplorer(stops, told, int(gallery), start)


_COUNTED = "Every threshold is counted exactly."
_AUDITED = (
    "Read off an audit: exact at its own threshold; elsewhere the nearest of 200 scores that it "
    "holds, without intervals and without rates across groups. Give comparisons to see those."
)


def ladder(pairs: int) -> list[float]:
    """Target FMRs from the lowest that so many comparisons can show to 10%, and 0."""
    lowest = max(-np.log10(max(pairs, 1)), -7.0)
    steps = np.arange(np.ceil(lowest * _A_DECADE), np.log10(_HIGHEST) * _A_DECADE + 0.5)
    return [0.0, *(float(f"{10 ** (step / _A_DECADE):.3g}") for step in steps)]


def _of_comparisons(
    comparisons: Comparisons, calibration: Comparisons | None, start: float, confidence: float
) -> list[Stop]:
    source = calibration or comparisons
    source.resolution(start)  # refuses what no threshold can be set for
    pairs = int(source._histogram.scope(-1)[0].sum())
    targets = sorted({*ladder(pairs), start})
    stops = []
    for target in bar(targets, desc="thresholds", unit="stop"):
        threshold = source._threshold(target)
        counts = comparisons.counted_once(threshold)
        rates = counts.rates(confidence, small_samples=True)
        stops.append(
            Stop(target, threshold, rates, counts.cross_group(confidence, small_samples=True))
        )
    return stops


def _of_audit(audit: Audit) -> list[Stop]:
    """The audit's own threshold, and others at which it holds the rates by group."""
    curves = {group: rows.set_index("threshold") for group, rows in audit.det.groupby("group")}
    everybody = curves["all"]["fmr"]
    own = Stop(audit.fmr, audit.threshold, audit.rates, audit.cross_group)
    stops, taken = [own], {audit.threshold}
    for target in ladder(int(audit.rates.loc[0, "non_mated"])):
        found = everybody.index[(everybody <= target).to_numpy()]
        if target == audit.fmr or not len(found) or found[0] in taken:
            continue
        taken.add(found[0])
        rates = audit.rates.copy()
        for error, kind, errors in (
            ("fmr", "non_mated", "false_matches"),
            ("fnmr", "mated", "false_non_matches"),
        ):
            rates[error] = [curves[group].loc[found[0], error] for group in rates["group"]]
            rates[[f"{error}_low", f"{error}_high"]] = np.nan
            rates[errors] = (rates[error] * rates[kind]).round().fillna(0).astype(np.int64)
        rates["note"] = "no interval: read off an audit"
        stops.append(Stop(target, float(found[0]), rates, None))
    return stops


class ThresholdExplorer(Dial):
    """See `threshold_explorer`.

    A move takes about 3 ms here, for six groups: everything else was read off beforehand.

    Attributes
    ----------
    stops
        The ladder, by rising threshold.
    fmr, threshold, gallery
        The sliders; the first two move together.
    """

    def __init__(self, stops: Sequence[Stop], told: str, people: int, start: float) -> None:
        super().__init__()
        self.stops = sorted(stops, key=lambda stop: (stop.threshold, -stop.target))
        self._told = told
        targets = [(_target(stop.target), place) for place, stop in enumerate(self.stops)]
        scores = [(f"{stop.threshold:.4f}", place) for place, stop in enumerate(self.stops)]
        nearest = min(range(len(self.stops)), key=lambda k: abs(self.stops[k].target - start))
        self.fmr = slider(_distinct(targets), "Target FMR", nearest)
        self.threshold = slider(_distinct(scores), "Threshold", nearest)
        self.gallery = slider(
            [(f"{n:,}", n) for n in sorted({*GALLERIES, people})], "People in the gallery", people
        )
        ipw.link((self.fmr, "index"), (self.threshold, "index"))
        self._groups = [str(group) for group in self.stops[0].rates["group"]]
        self._palette = drawing.palette(self._groups)
        self._limits = {
            error: drawing.rate_limits(
                np.concatenate([stop.rates[error].to_numpy(float) for stop in self.stops])
            )
            for error in ("fmr", "fnmr")
        }
        self.follow(self.threshold, self.gallery)
        self.show(self.fmr, self.threshold, self.gallery)

    @property
    def stop(self) -> Stop:
        """Where the slider stands."""
        return self.stops[self.threshold.value]

    @property
    def value(self) -> dict[str, Any]:
        """`threshold`, `target_fmr`, `gallery`, and the tables `rates`, `cross_group`, `search`."""
        stop = self.stop
        return {
            "threshold": stop.threshold,
            "target_fmr": stop.target,
            "gallery": self.gallery.value,
            "rates": stop.rates,
            "cross_group": stop.cross_group,
            "search": stop.search(self.gallery.value),
        }

    def draw(self) -> tuple[str, str]:
        stop, rows = self.stop, len(self._groups)
        second = drawing.LABELS + _WIDTH + _GAP
        panels = {
            "fmr": self._panel("fmr", drawing.LABELS, "FMR: false matches"),
            "fnmr": self._panel("fnmr", second, "FNMR: false non-matches"),
        }
        parts = [drawing.names(self._groups)]
        for error, panel in panels.items():
            parts += [panel.frame(rows), panel.draw(drawing.dots(stop.rates, error, self._palette))]
        if stop.target:
            parts.append(panels["fmr"].mark(stop.target, rows))
        left = second + _WIDTH + _GAP + 10
        heat = self._heat_map(stop, left)
        width = left + drawing.cell_width(rows - 1) * (rows - 1) + 6
        height = drawing.TOP + rows * drawing.ROW + 24
        return drawing.svg(width, height, self._alt(stop), *parts, heat), self._table(stop)

    def _panel(self, error: str, left: float, title: str) -> drawing.Panel:
        return drawing.Panel(left, _WIDTH, self._limits[error], title, drawing.percent)

    def _heat_map(self, stop: Stop, left: float) -> str:
        title = "FMR by pair of groups"
        if stop.cross_group is None:
            title += ": not in the audit"
        return drawing.heat_map(
            left,
            self._groups[1:],
            stop.pairs,
            self._limits["fmr"],
            title,
            first_row=1,
            target=stop.target,
            bounds=stop.bounds,
        )

    def _alt(self, stop: Stop) -> str:
        each = "; ".join(
            f"{group} FMR {drawing.percent(fmr)}, FNMR {drawing.percent(fnmr)}"
            for group, fmr, fnmr in zip(
                self._groups, stop.rates["fmr"], stop.rates["fnmr"], strict=True
            )
        )
        return f"Error rates by group at threshold {stop.threshold:.4f}. {each}."

    def _table(self, stop: Stop) -> str:
        people = self.gallery.value
        search = stop.search(people)
        frame = pd.DataFrame(
            {
                "FMR %": _with_ends(stop.rates, "fmr", 100),
                "FNMR %": _with_ends(stop.rates, "fnmr", 100),
                "false matches in a search": _with_ends(search, "false_matches", 1),
                "chance of any": _chances(search),
            },
            index=pd.Index(self._groups, name="group"),
        )
        caption = (
            f"Threshold {stop.threshold:.4f}, set for FMR {_target(stop.target)}; a search among "
            f"{people:,} people of the same group (all: of anybody)"
        )
        words = '<p style="margin:.3rem 0;font-size:.9em;line-height:1.4">'
        said = self._told if stop.rates["fmr_high"].isna().all() else _COUNTED
        return (
            drawing.table_html(frame, caption)
            + f"{words}{said} A search is imagined: one image a person, comparisons taken as "
            "independent: where false matches bunch upon few people, the chance is lower.</p>"
        )

    def still(self) -> tuple[list[Picture], str]:
        from facelab.figures import plots

        stop = self.stop
        pictures = [plots.error_rates(stop.rates, fmr=stop.target or None)]
        if stop.cross_group is not None:
            pictures.append(plots.cross_group(stop.cross_group, stop.target or None))
        return pictures, self._table(stop)


def _target(fmr: float) -> str:
    return "0" if fmr == 0 else f"{100 * fmr:.3g}%"


def _with_ends(frame: pd.DataFrame, name: str, scale: float) -> list[str]:
    columns = (frame[f"{name}{end}"].tolist() for end in ("", "_low", "_high"))
    texts = []
    for value, low, high in zip(*columns, strict=True):
        if not np.isfinite(value):
            texts.append("–")
        elif np.isfinite(high):
            texts.append(f"{_short(scale * value)} [{_short(scale * low)}, {_short(scale * high)}]")
        else:
            texts.append(_short(scale * value))
    return texts


def _chances(search: pd.DataFrame) -> list[str]:
    columns = (search[f"chance{end}"].tolist() for end in ("", "_low", "_high"))
    return [
        drawing.chance(value)
        + (f" [{drawing.chance(low)}, {drawing.chance(high)}]" if np.isfinite(high) else "")
        for value, low, high in zip(*columns, strict=True)
    ]


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _distinct(options: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Labels that differ: two stops may be one score."""
    seen = itertools.count(2)
    found: set[str] = set()
    result = []
    for label, place in options:
        label = f"{label} ({next(seen)})" if label in found else label
        found.add(label)
        result.append((label, place))
    return result
