"""`facelab run`, `runs`, `share`, `summary`: notebooks executed, listed and made fit to send.

In: a notebook or an experiment yaml; run folders. Out: run folders, tables and pages.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import facelab as fl
from facelab.cli import values
from facelab.cli.listed import lines_of, screen_width
from facelab.cli.options import Force, UsageError
from facelab.cli.shared import done, say
from facelab.errors import printable

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()
ShowRealFaces = Annotated[
    bool, typer.Option("--show-real-faces", help="Keep pictures of real people, and say so.")
]
ShowNames = Annotated[
    bool, typer.Option("--show-names", help="Keep names of people and paths, and say so.")
]


@app.command()
def run(
    source: Annotated[Path, typer.Argument(help="Notebook or experiment yaml.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--parameter",
            metavar="NAME VALUE",
            help="Repeatable. Text as it is typed where the default is text; a,b for a list.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where runs are kept.")] = Path(
        "experiments/runs"
    ),
    name: Annotated[str | None, typer.Option(help="Keep the run under this name.")] = None,
    jobs: Annotated[
        int, typer.Option(metavar="N", min=1, max=4096, help="Cases of a sweep side by side.")
    ] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Dask scheduler to run a sweep on; local starts one.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run a sweep's finished cases, too.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds, to see that it runs; no finding.")
    ] = False,
    show_real_faces: ShowRealFaces = False,
    show_names: ShowNames = False,
) -> None:
    """Run a notebook, or every case of a sweep, and keep reports, numbers and origin.

    Cases of a sweep that are done are left, so that the same command goes on after a kill.
    """
    from facelab.runs.definitions import kept_as

    given = values.parameters(parameter or [])
    if fl.read_experiment(source).cases is None:
        if jobs > 1 or cluster or again:
            raise UsageError(f"{source} is one run: --jobs, --cluster and --again are for sweeps")
        folder = fl.run(
            source,
            given,
            out,
            name,
            quick=quick,
            show_real_faces=show_real_faces,
            show_names=show_names,
        )
        done("run finished", folder / "report.html")
        return
    try:
        table = fl.sweep(
            source,
            given,
            out,
            name,
            jobs=jobs,
            cluster=cluster,
            again=again,
            quick=quick,
            show_real_faces=show_real_faces,
            show_names=show_names,
        )
    except fl.SweepFailed as failure:
        _print_cases(failure.table)
        raise
    _print_cases(table)
    done("sweep finished", out / kept_as(name or fl.read_experiment(source).name, quick))


def _print_cases(table: "pd.DataFrame") -> None:
    shown = table.drop(columns="folder")
    shown["seconds"] = shown["seconds"].map("{:.1f}".format)
    say(shown.to_string(index=False))


@app.command()
def runs(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where runs are kept.")] = Path(
        "experiments/runs"
    ),
    name: Annotated[str | None, typer.Option(help="Only runs of this name.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only finished, failed, running or abandoned ones.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME VALUE", help="Only with this value."),
    ] = None,
) -> None:
    """List the runs that were kept."""
    table = fl.runs(out, name, status, values.parameters(parameter or []))
    if table.empty:
        say(f"no runs in {out}")
        return
    quick = table["quick"].map({True: " quick", False: ""})
    status = table["status"] + quick
    seconds = table["seconds"].map("{:.1f}".format, na_action="ignore").fillna("").astype(str)
    words = zip(table["name"], table["run_id"], status, seconds, strict=True)
    rows = [[printable(str(word)) for word in row] for row in words]
    notes = [printable(words) for words in table["error"].fillna("").astype(str)]
    head = ("name", "run_id", "status", "seconds")
    say("\n".join(lines_of(head, rows, notes, screen_width())))


@app.command()
def share(
    run: Annotated[Path, typer.Argument(help="Run folder, such as experiments/runs/nist/latest.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; default: in the run folder.")
    ] = None,
    code: Annotated[bool, typer.Option("--code/--no-code", help="Keep the code, folded.")] = True,
    show_real_faces: ShowRealFaces = False,
    show_names: ShowNames = False,
    force: Force = False,
) -> None:
    """Make one self-contained HTML file of a run, without real faces and names unless asked."""
    file = fl.share(
        run,
        out,
        code=code,
        show_real_faces=show_real_faces,
        show_names=show_names,
        replace=force,
    )
    done(f"one file, {file.stat().st_size / 1e6:.1f} MB", file)


@app.command()
def summary(
    run: Annotated[
        Path, typer.Argument(help="Such as experiments/runs/balanced-retraining/latest.")
    ],
    mix: Annotated[
        Path | None, typer.Option(help="A run of mix-ratio, to say how much skew it takes.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; default: in the run folder.")
    ] = None,
    force: Force = False,
) -> None:
    """One page for whoever decides: on the main experiment, or on a service that was audited."""
    from facelab.pages.decision import tells_of_a_service
    from facelab.pages.finished import FinishedRun

    if mix is None and tells_of_a_service(FinishedRun(run, "main")):
        done("one page", fl.service_page(run, out, replace=force))
    else:
        done("one page", fl.summary_page(run, mix, out, replace=force))
