"""Experiments: run a notebook with parameters, and keep everything that it showed.

In: a notebook (or a yaml that names one) and parameters. Out: a run folder that is whole or not
there, with the executed notebook, its report, its numbers and what made them.
"""

import contextlib
import datetime
import os
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facelab import files, places, sums
from facelab.arguments import as_annotated
from facelab.errors import BadInput, FacelabError, warn
from facelab.faces.origin import provenance
from facelab.keeping import locked
from facelab.limits import JSON, read_bytes
from facelab.owners import Lock
from facelab.pages.records import as_notebook
from facelab.runs.definitions import (
    UNKNOWN,
    Experiment,
    check_name,
    check_parameters,
    kept_as,
    notebook_parameters,
    read_experiment,
)
from facelab.runs.executing import execute, reason
from facelab.runs.inputs import cards_of, folders_of, key_of, written_to
from facelab.runs.listing import runs
from facelab.runs.records import (
    Record,
    code_version,
    environment,
    mirror,
    mirror_wanted,
)
from facelab.shown import shown_in
from facelab.words import as_yaml

__all__ = ["Experiment", "Record", "RunFailed", "read_experiment", "run", "runs"]


class RunFailed(FacelabError):
    """A notebook stopped with an error; the message names the cell, the error and the folder."""

    def __init__(self, message: str, folder: Path | None) -> None:
        super().__init__(message)
        self.folder = folder


@as_annotated
def run(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path = "experiments/runs",
    name: str | None = None,
    *,
    quick: bool = False,
    show_real_faces: bool = False,
    show_names: bool = False,
) -> Path:
    """Execute a notebook with parameters and keep the result.

    The notebook runs in a fresh kernel of this very Python, in the current folder: relative paths
    in parameters mean what they mean to the caller.

    Parameters
    ----------
    notebook
        A notebook whose parameters stand in a cell tagged `parameters`, or an experiment yaml.
    parameters
        Values for those parameters; they are checked against the notebook before anything starts.
    out
        Where runs are kept, a folder a name.
    name
        Name to keep the run under; by default the notebook's, without number and with hyphens.
    quick
        Run it in seconds, with the notebook's setting in the `quick.yaml` beside it, to see that it
        runs. What it finds means nothing, and never passes for a result: the run is kept under
        `<name>-quick`, is marked in `run.json` and on every page made of it, and is never `latest`.
    show_real_faces, show_names
        What the report keeps, as `share` does, which decides it anew. It is recorded.

    Returns
    -------
    Path
        The finished run folder `<out>/<name>/<run-id>`: `notebook.ipynb`, `report.html`,
        `params.yaml`, `environment.txt`, `run.json`, and what the notebook kept: `metrics.json`,
        `tables/`, `figures/`. `<out>/<name>/latest` points at it, unless it is quick.

    Raises
    ------
    BadInput
        A parameter is unknown or of the wrong type, or a notebook has no quick setting.
    RunFailed
        A cell raised; what was executed is kept in `<run-id>.failed`.

    Examples
    --------
    >>> import facelab as fl
    >>> from nbformat import v4 as nb
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> notebook = Path(mkdtemp()) / "sum.ipynb"
    >>> cell = nb.new_code_cell("n = 1", metadata={"tags": ["parameters"]})
    >>> _ = notebook.write_text(nb.writes(nb.new_notebook(cells=[cell])))
    >>> folder = fl.run(notebook, {"n": 2}, out=notebook.parent / "runs")
    >>> sorted(path.name for path in folder.iterdir())
    ['environment.txt', 'notebook.ipynb', 'params.yaml', 'report.html', 'run.json']
    """
    experiment = read_experiment(notebook)
    if experiment.cases is not None:
        raise BadInput(f"{notebook} has {len(experiment.cases)} cases: run it with fl.sweep")
    if name:
        check_name(name)
    home = Path(out) / kept_as(name or experiment.name, quick)
    case = plan(
        experiment.notebook,
        {**experiment.fixed(quick), **(parameters or {})},
        home,
        shows=asked_for(show_real_faces, show_names),
        quick=quick,
    )
    with one_at_a_time(home):
        return case.carry_out()


def asked_for(show_real_faces: bool, show_names: bool) -> tuple[str, ...]:
    """What the report of a run shows because somebody asked for it."""
    from facelab.pages.allowed import Allowed

    Allowed(faces=show_real_faces, names=show_names)  # refuses what is neither true nor false
    wishes = {"real faces": show_real_faces, "names": show_names}
    return tuple(what for what, wished in wishes.items() if wished)


def one_at_a_time(home: Path) -> AbstractContextManager[None]:
    """Keep a second run of one name out, in whatever process."""
    return locked(home.parent / ".locks" / home.name, home)


@dataclass(frozen=True)
class Case:
    """One run to be: a notebook and its checked parameters; it travels to other processes.

    Attributes
    ----------
    notebook, home
        What is run; the folder of all runs of its name.
    given, shown
        The parameters that differ from the notebook's own, and all.
    key
        What decides the result, with what is in `folders`: the same is the same run.
    cores
        How many its kernel may use; None is all.
    shows
        What its report shows for it was asked for: "real faces", "names".
    quick
        Whether it only shows that the notebook runs.
    """

    notebook: Path
    home: Path
    given: dict[str, Any]
    shown: dict[str, Any]
    key: str
    folders: dict[str, str]
    keeps: bool
    mirrored: bool
    cores: int | None = None
    shows: tuple[str, ...] = ()
    quick: bool = False

    def carry_out(self, log: bool = False) -> Path:
        """Run it; with `log`, what its cells print goes to `log.txt` and not to the terminal."""
        started = datetime.datetime.now(datetime.UTC)
        run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        aside = self.home / f".{run_id}.partial"
        record = {
            "name": self.home.name,
            "run_id": run_id,
            "status": "running",
            "quick": self.quick,
            "notebook": self.notebook.name,
            "notebook_sha256": files.sha256(self.notebook),
            "parameters": self.given,
            "inputs": cards_of(self.shown),
            "key": self.key,
            "report_shows": list(self.shows),
            "started": started.isoformat(timespec="seconds"),
            **code_version(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        clock, lock = time.perf_counter(), None
        try:
            places.make_folder(aside, aside)
            # Held while this process lives: whoever finds the folder later knows whether it does.
            lock = places.hold(aside)
            sums.write_card(aside, "run.json", record)
            files.write_text(aside / "params.yaml", as_yaml(self.shown))
            given = {**self.given, "run_folder": str(aside)} if self.keeps else self.given
            execute(self.notebook, aside, given, self.cores, log, self.quick)
            seconds = time.perf_counter() - clock
            final = self.home / run_id
            _say_where(aside / "notebook.ipynb", aside.name, run_id)
            files.write_text(aside / "environment.txt", environment(seconds))
            _report(aside, record, seconds)
            folders = written_to(self.folders, self.home)
            _close(aside, record, seconds, status="finished", folders=folders)
            _move(aside, final, lock)
        except BaseException as error:
            words = reason(error, self.notebook)
            seconds = time.perf_counter() - clock
            failed = self._keep_failed(aside, lock, record, seconds, words)
            if isinstance(error, Exception):
                where = f"what was executed is kept in {failed}" if failed else "nothing was kept"
                raise RunFailed(f"{words}; {where}", failed) from error
            raise
        if not self.quick:
            _point_latest(self.home, run_id)
        if self.mirrored:
            mirror(final, self.home.name)
        return final

    def _keep_failed(
        self,
        aside: Path,
        lock: Lock | None,
        record: Mapping[str, Any],
        seconds: float,
        words: str,
    ) -> Path | None:
        """What was executed, whole or not at all: None where the disk does not take it."""
        failed = self.home / f"{record['run_id']}.failed"
        try:
            _close(aside, record, seconds, status="failed", error=words)
            _move(aside, failed, lock)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            if lock is not None:
                lock.release()
            return None
        return failed


def plan(
    notebook: Path,
    parameters: Mapping[str, Any],
    home: Path,
    cores: int | None = None,
    shows: tuple[str, ...] = (),
    quick: bool = False,
) -> Case:
    """A run, checked before anything starts.

    Raises
    ------
    BadInput
        The notebook cannot be read, or a parameter is unknown or of the wrong type.
    """
    data = read_bytes(notebook, JSON)
    book = as_notebook(data, notebook, "is not a notebook: it holds no valid JSON with cells")
    known = notebook_parameters(book, notebook)
    given = check_parameters(known, parameters)
    shown = {n: v for n, v in known.items() if n != "run_folder" and v is not UNKNOWN} | given
    return Case(
        notebook,
        home,
        given,
        shown,
        key_of(notebook, shown),
        folders_of(shown, home),
        "run_folder" in known,
        mirror_wanted(),
        cores,
        shows,
        quick,
    )


# ---- what is kept


def _say_where(notebook: Path, aside: str, final: str) -> None:
    """The kept notebook names the folder it ends up in, not the one it was made in."""
    text = notebook.read_text(encoding="utf-8")
    files.write_text(notebook, text.replace(aside, final))


def _report(aside: Path, record: Mapping[str, Any], seconds: float) -> None:
    from facelab.pages.allowed import Allowed
    from facelab.pages.notebooks import save_report

    shows = record["report_shows"]
    allowed = Allowed(shown_in(aside), faces="real faces" in shows, names="names" in shows)
    commit = (record["commit"] or "")[:10] + (" + changes" if record["dirty"] else "")
    facts = {
        "run": record["run_id"],
        "facelab": f"{record['facelab']} {commit}".strip(),
        "took": f"{seconds // 60:.0f} min {seconds % 60:.0f} s",
    }
    footer = (
        f"Made by facelab from {record['notebook']}; parameters in params.yaml, numbers in "
        "metrics.json, versions in environment.txt of the same run."
    )
    footer = "\n".join([footer, *(line for card in record["inputs"] for line in provenance(card))])
    save_report(
        aside / "notebook.ipynb", aside / "report.html", allowed, facts, footer, record["quick"]
    )


def _close(folder: Path, record: Mapping[str, Any], seconds: float, **more: Any) -> None:
    sums.write_card(folder, "run.json", {**record, "seconds": round(seconds, 1), **more})


def _move(aside: Path, to: Path, lock: Lock | None) -> None:
    """Give a run that has ended its name; the lock goes with what is unfinished of it."""
    if lock is not None and os.name == "nt":
        lock.release()  # Windows moves no open file
    (aside / "lock").unlink(missing_ok=True)
    aside.rename(to)
    if lock is not None:
        lock.release()


def _point_latest(home: Path, run_id: str) -> None:
    """Let `latest` point at a run; a run is no worse where that cannot be."""
    aside = home / f".latest.{run_id}"
    try:
        aside.symlink_to(run_id, target_is_directory=True)
        os.replace(aside, home / "latest")
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        warn(
            f"the run is kept in {home / run_id}, but {home / 'latest'} does not point at it: "
            f"{error.strerror or error}"
        )
