"""One page for whoever decides: what balanced training changed, and how much skew it takes.

In: a finished run of the main experiment, and one of the mix ratio. Out: an HTML page that prints
on one sheet of A4, every number on it taken from the `metrics.json` of the two.
"""

from pathlib import Path

from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import PAGE
from facelab.errors import BadInput
from facelab.figures.summary import ARMS, summary_figure
from facelab.pages.allowed import Allowed
from facelab.pages.documents import render
from facelab.pages.finished import FinishedRun
from facelab.shown import digest

__all__ = ["summary_page"]
_WAYS = ("fell", "rose", "shows no clear change")


@as_annotated
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
    main, sweep = FinishedRun(Path(run), "main"), FinishedRun(Path(mix), "mix") if mix else None
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


def _worst_and_best_off(run: FinishedRun, groups: list[str]) -> list[str]:
    """The groups with the highest and the lowest false match rate under skewed training."""
    rates = {group: run.at("differences", f"fmr:{group}", "a") for group in groups}
    known = {group: rate for group, rate in rates.items() if rate is not None}
    ends = sorted(known, key=known.__getitem__, reverse=True)
    return list(dict.fromkeys([*ends[:1], *ends[-1:]]))


def _shares(mix: FinishedRun) -> dict[str, list[str]]:
    """The arms of a mix run by rising share, and those of them that are clearly worse."""
    names = [key.partition(":")[0] for key in mix.at("figures") if key.endswith(":fmr_ratio")]
    shares = sorted(names, key=lambda name: float(name.rstrip("%")))
    lowest = {arm: mix.at("figures", f"{arm}:fmr_ratio", "change_low") for arm in shares}
    worse = [arm for arm, low in lowest.items() if low is not None and low > 1]
    return {"shares": shares, "worse": worse}
