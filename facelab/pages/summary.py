"""One page for whoever decides: what balanced training changed, and how much skew it takes.

In: a finished run of the main experiment, and one of the mix ratio. Out: an HTML page that prints
on one sheet of A4, every number on it taken from the `metrics.json` of the two.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from facelab import files
from facelab.artefacts import PAGE
from facelab.errors import BadInput
from facelab.figures.summary import ARMS, summary_figure
from facelab.pages.allowed import Allowed
from facelab.pages.documents import render
from facelab.pages.records import record_of, values_of
from facelab.shown import digest

__all__ = ["summary_page"]
_WAYS = ("fell", "rose", "shows no clear change")


@dataclass
class _Run:
    """A finished run: its numbers, parameters and record; `label` names it on the page."""

    folder: Path
    label: str
    metrics: dict[str, Any] = field(init=False)
    parameters: dict[str, Any] = field(init=False)
    record: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.record = record_of(self.folder, "summarise")
        self.metrics = values_of(self.folder, "metrics.json")
        self.parameters = values_of(self.folder, "params.yaml")

    def at(self, *path: str) -> Any:
        value: Any = self.metrics
        for name in path:
            value = value[name]
        return value

    def told(self, *path: str, scale: float = 1, form: str = ".3g") -> Markup:
        """A number as HTML that says where in `metrics.json` it stands."""
        value = self.at(*path)
        if value is None:
            return Markup("unknown")
        where = "/".join((self.label, *path)).replace(" ", "_")
        return Markup('<data value="{!r}" data-from="{}">{}</data>').format(
            value, where, f"{scale * value:{form}}"
        )

    def estimate(self, *path: str, columns: tuple[str, str, str], **shown: Any) -> Markup:
        """A number and the two ends of its interval, by the columns that hold them.

        JSON has no infinity: where one end is missing, there is none.
        """
        value, low, high = (self.told(*path, one, **shown) for one in columns)
        without = [self.at(*path, one) is None for one in columns[1:]]
        if all(without):
            return Markup("{} [no interval]").format(value)
        low, high = "no lower end" if without[0] else low, "no upper end" if without[1] else high
        return Markup("{} [{}, {}]").format(value, low, high)

    def way(self, quantity: str) -> str:
        """What became of a quantity: it fell or rose where its interval holds no 1.

        Of groups it is the interval that allows for all of them; older runs have none.
        """
        row = self.at("differences", quantity)
        low, high = (row.get(f"family_{end}", row[f"ratio_{end}"]) for end in ("low", "high"))
        if low is not None and low > 1:
            return "rose"
        return "fell" if high is not None and high < 1 else "shows no clear change"

    @property
    def made(self) -> str:
        """What made the run, in a line."""
        record = self.record
        commit = (record["commit"] or "unknown")[:10] + (" with changes" if record["dirty"] else "")
        told = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        return (
            f"{record['name']} {record['run_id']}: {record['notebook']}, "
            f"facelab {record['facelab']} {commit}, {record['started'][:10]}. {told}."
        )


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
        A finished run of `03_balanced_retraining`, such as
        `experiments/runs/balanced-retraining/latest`.
    mix
        One of `07_mix_ratio`; None leaves its panel and its sentence out.
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

    Examples
    --------
    >>> import facelab as fl
    >>> run = fl.run("experiments/balanced-retraining.yaml")  # minutes  # doctest: +SKIP
    >>> page = fl.summary_page(run)  # doctest: +SKIP
    """
    main, sweep = _Run(Path(run), "main"), _Run(Path(mix), "mix") if mix else None
    if not {"arms", "differences", "counts"} <= set(main.metrics):
        raise BadInput(f"{run} is no run of 03_balanced_retraining: its metrics hold no arms")
    if sweep and not {"figures", "baseline"} <= set(sweep.metrics):
        raise BadInput(f"{mix} is no run of 07_mix_ratio: its metrics hold no figures by share")
    if sweep and not {"favoured", "shares"} <= set(sweep.parameters):
        raise BadInput(f"{mix} is no run of 07_mix_ratio: it has no parameter `favoured`")
    out = main.folder / "summary.html" if out is None else Path(out)
    files.check_file(out, replace, PAGE)
    groups = list(next(iter(main.at("arms", ARMS[0]).values()))["groups"])
    figure = summary_figure(main.metrics, sweep.metrics if sweep else None)
    picture = figure.png()
    page = render(
        "summary.html",
        Allowed(pictures={digest(picture)}),
        any(one.record["quick"] for one in (main, sweep) if one),
        main=main,
        mix=sweep,
        picture=picture,
        alt=figure.alt,
        moved={way: [one for one in groups if main.way(f"fmr:{one}") == way] for way in _WAYS},
        extremes=_worst_and_best_off(main, groups),
        seeds=len(main.at("arms", ARMS[0])),
        **(_shares(sweep) if sweep else {}),
    )
    files.write_asked(out, page, replace, PAGE)
    return out


def _worst_and_best_off(run: _Run, groups: list[str]) -> list[str]:
    """The groups with the highest and the lowest false match rate under skewed training."""
    rates = {group: run.at("differences", f"fmr:{group}", "a") for group in groups}
    known = {group: rate for group, rate in rates.items() if rate is not None}
    ends = sorted(known, key=known.__getitem__, reverse=True)
    return list(dict.fromkeys([*ends[:1], *ends[-1:]]))


def _shares(mix: _Run) -> dict[str, list[str]]:
    """The arms of a mix run by rising share, and those of them that are clearly worse."""
    names = [key.partition(":")[0] for key in mix.at("figures") if key.endswith(":fmr_ratio")]
    shares = sorted(names, key=lambda name: float(name.rstrip("%")))
    lowest = {arm: mix.at("figures", f"{arm}:fmr_ratio", "change_low") for arm in shares}
    worse = [arm for arm, low in lowest.items() if low is not None and low > 1]
    return {"shares": shares, "worse": worse}
