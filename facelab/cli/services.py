"""`facelab plan`, `answers`: which pairs to ask a service about, and what its answers show.

In: embeddings of photos, or saved answers. Out: a plan as csv; tables on the screen, kept where
asked.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

import facelab as fl
from facelab import files
from facelab.artefacts import AUDITS, table_like
from facelab.cli import values
from facelab.cli.options import By, Force, Seed, UsageError
from facelab.cli.shared import (
    check_free,
    check_free_file,
    done,
    print_notes,
    print_rates,
    say,
)
from facelab.services.journal import NAME
from facelab.services.names import Service, Several
from facelab.words import number

app = typer.Typer()
ServiceName = StrEnum("ServiceName", {name: name for name in get_args(Service)})
SeveralFaces = StrEnum("SeveralFaces", {name: name for name in get_args(Several)})
_WHOSE = f"Whose answers they are: {', '.join(get_args(Service))}."
ServiceOf = Annotated[ServiceName, typer.Option("--service", metavar="NAME", help=_WHOSE)]


@app.command()
def plan(
    source: Annotated[Path, typer.Argument(help="Folder of embeddings by any open embedder.")],
    by: By,
    fmr: Annotated[float, typer.Option(help="The FMR that the service is thought to have.")] = 1e-3,
    budget: Annotated[int, typer.Option(min=1, help="Calls, earlier answers included.")] = 1000,
    seed: Seed = 0,
    answers: Annotated[
        Path | None, typer.Option(help="Answers so far: folder of fl.call_pairs, or a file.")
    ] = None,
    service: ServiceOf = ServiceName["plain"],
    threshold: Annotated[
        float | None, typer.Option(help="The service's own, in its scores; else learnt.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the plan as csv.")] = None,
    force: Force = False,
) -> None:
    """Which pairs a budget should buy, and the interval that it buys for each group."""
    if out:
        check_free_file(out, force)
    keys = values.keys(by)
    if len(keys) > 1:
        raise UsageError("a plan is made for one grouping: --by a,b for an intersection")
    faces = fl.Embeddings.load(source)
    before = fl.read_answers(answers, service.value) if answers else None
    found = fl.plan_pairs(faces, keys[0], fmr, budget, seed, before, threshold)
    if out:
        from facelab.faces.cells import as_csv

        text = as_csv(found)
        files.write_asked(out, text, force, table_like(text))
    shown = fl.planned_intervals(found).set_index("group")
    for name in ("fmr", "low", "high"):
        shown[name] = shown[name].map("{:.3%}".format)
    shown["times"] = shown["times"].map("{:.1f}".format)
    say(shown.to_string())
    say("times: as many times as many calls would random pairs need for as narrow an interval")
    if out:
        done(f"plan of {len(found):,} pairs", out)


@app.command()
def answers(
    path: Annotated[Path, typer.Argument(help="Folder, .json, .jsonl or .csv of saved answers.")],
    service: ServiceOf = ServiceName["rekognition"],
    several: Annotated[
        SeveralFaces,
        typer.Option(metavar="RULE", help="Of several faces in a photo: best, largest or drop."),
    ] = SeveralFaces["best"],
    threshold: Annotated[
        float | None, typer.Option(help="To audit at, in the service's scores.")
    ] = None,
    fmr: Annotated[
        float | None, typer.Option(help="The promise to audit; without one, a target FMR.")
    ] = None,
    promise: Annotated[
        list[str] | None,
        typer.Option(metavar="FMR=THRESHOLD", help="Stated, such as 0.001=62.3; repeatable."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="The plan's csv, for its chances of selection.")
    ] = None,
    price: Annotated[float, typer.Option(min=0, help="Of a call.")] = 0.0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep the audit and its page here.")
    ] = None,
    force: Force = False,
) -> None:
    """What became of a service's calls; with --fmr or --threshold, whom it fails."""
    audits = fmr is not None or threshold is not None
    if out:
        if not audits:
            raise UsageError("--out keeps an audit: give --fmr or --threshold")
        check_free(out, force, AUDITS)
    found = _read(path, service.value, several.value, plan)
    shown = fl.answers_by_group(found).set_index("group")
    shown["failure_rate"] = shown["failure_rate"].map("{:.1%}".format)
    say(shown.to_string())
    if not audits:
        return
    told = {} if fmr is None else {"fmr": fmr}
    result = fl.audit_service(found, _promises(promise), threshold=threshold, price=price, **told)
    if out:
        with files.write_folder(out, force, AUDITS) as aside:
            result.audit.save(aside / "group")
            result.audit.to_html(aside / "group" / "audit.html")
    print_rates(f"{result.bill()} {result.promise()}", fl.readable_rates(result.audit.rates))
    if not result.promises.empty:
        columns = ["promised", "threshold", "group", "fmr", "low", "high", "times", "verdict"]
        say(result.promises[columns].to_string(index=False, float_format="{:.3g}".format))
    print_notes(result.audit.warnings)
    if out:
        done("audit", out)


def _read(path: Path, service: str, several: str, plan: Path | None) -> Any:
    """The answers; of a plan's pairs with their chances of selection."""
    if plan is None:
        return fl.read_answers(path, service, several)
    from facelab.faces.cells import from_csv

    if not (path / NAME).is_file():
        raise UsageError("--plan goes with the folder that fl.call_pairs filled")
    if several != "best":
        raise UsageError("--several is for saved answers without --plan: calls take the best")
    told = from_csv(plan, encoding="utf-8")

    def nobody(pair: dict[str, Any]) -> None:
        raise AssertionError(f"no call is made: {pair}")

    return fl.call_pairs(nobody, told, path, budget=0, service=service)


def _promises(words: list[str] | None) -> dict[float, float] | None:
    """Stated FMR to threshold, as typed."""
    if not words:
        return None
    found = {}
    for word in words:
        rate, sign, at = word.partition("=")
        ends = number(rate), number(at)
        if not sign or None in ends:
            raise UsageError(f"--promise {word}: give FMR=THRESHOLD, such as 0.001=62.3")
        found[ends[0]] = ends[1]
    return found
