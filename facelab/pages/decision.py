"""One page for whoever decides on a service: what the calls cost, and whether its promise holds.

In: a finished run of `21_audit_a_service`. Out: an HTML page that prints on one sheet of A4, every
number on it taken from the run's `metrics.json`.
"""

from pathlib import Path
from typing import Any

from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import PAGE
from facelab.errors import BadInput
from facelab.figures.summary import service_figure
from facelab.pages.allowed import Allowed
from facelab.pages.documents import render
from facelab.pages.finished import FinishedRun
from facelab.shown import digest

__all__ = ["service_page"]
_NEEDED = {"calls", "spent", "worst", "failures", "audit", "promised", "floor"}


@as_annotated
def service_page(run: str | Path, out: str | Path | None = None, *, replace: bool = False) -> Path:
    """Write one page on a service that was audited: calls, cost, the promise, whom it fails.

    Parameters
    ----------
    run
        A finished run of `21_audit_a_service`, such as `experiments/runs/audit-a-service/latest`.
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
        The folder holds no finished run, or one of another notebook; the file is there already.

    Examples
    --------
    >>> import facelab as fl
    >>> run = fl.run("experiments/audit-a-service.yaml")  # minutes  # doctest: +SKIP
    >>> page = fl.service_page(run)  # doctest: +SKIP
    """
    main = FinishedRun(Path(run), "main")
    if not tells_of_a_service(main):
        raise BadInput(f"{run} is no run of 21_audit_a_service: its metrics hold no calls")
    out = main.folder / "summary.html" if out is None else Path(out)
    files.check_file(out, replace, PAGE)
    figure = service_figure(main.metrics)
    picture = figure.png()
    groups = main.at("audit", "groups")
    page = render(
        "decision.html",
        Allowed(pictures={digest(picture)}),
        main.record["quick"],
        main=main,
        picture=picture,
        alt=figure.alt,
        groups=sorted(groups, key=lambda name: -(groups[name]["fmr"] or 0)),
        floor=_floor(main.at("floor")),
        fake=main.metrics.get("fake", False),
    )
    files.write_asked(out, page, replace, PAGE)
    return out


def _floor(rows: dict[str, Any]) -> dict[str, Any]:
    """The group with the lowest balanced accuracy, and those of whom it may be guessing."""
    known = {name: row for name, row in rows.items() if row["accuracy"] is not None}
    groups = {name: row for name, row in known.items() if name != "all"} or known
    guessed = [name for name, row in groups.items() if not row["better_than_guessing"]]
    lowest = min(groups, key=lambda name: groups[name]["accuracy"], default=None)
    return {"lowest": lowest, "guessed": guessed}


def tells_of_a_service(run: FinishedRun) -> bool:
    """Whether a run audited a service."""
    return set(run.metrics) >= _NEEDED
