"""Sweeps: the cases of an experiment, side by side, each done once.

In: an experiment yaml with cases. Out: a run folder a case, one table of all, and the summary
notebook rendered over them. What a kill left undone is done by the same command again.
"""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, FacelabError, need, printable, warn
from facelab.owners import held
from facelab.progress import each_minute, tell
from facelab.runs.definitions import check_name, kept_as, read_experiment
from facelab.runs.experiments import Case, asked_for, one_at_a_time, plan
from facelab.runs.inputs import same_folders
from facelab.runs.listing import read_record, runs
from facelab.workers import as_jobs, pool


class SweepFailed(FacelabError):
    """Some cases of a sweep failed; `table` is what `sweep` would have returned.

    Examples
    --------
    >>> import facelab as fl
    >>> issubclass(fl.SweepFailed, fl.FacelabError)
    True
    """

    def __init__(self, message: str, table: pd.DataFrame) -> None:
        super().__init__(message)
        self.table = table


@as_annotated
def sweep(
    experiment: str | Path,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path = "experiments/runs",
    name: str | None = None,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    again: bool = False,
    quick: bool = False,
    show_real_faces: bool = False,
    show_names: bool = False,
) -> pd.DataFrame:
    """Run every case of an experiment that has not been run yet.

    A case is done when a finished run has the same notebook, parameters, code of facelab, and the
    same files, FaceSets, embeddings and embedders behind the paths that parameters name. One that
    fails does not keep the others from running.

    Parameters
    ----------
    experiment
        An experiment yaml with `cases`, `grid` or `seeds`.
    parameters
        Values that stand in for the yaml's fixed ones, in every case.
    out, name
        As `run` takes them.
    jobs
        Cases side by side, each in a process of its own with its share of the cores.
    cluster
        Address of a Dask scheduler whose workers run the cases instead, "local" for one that is
        started here. They must see the same files.
    again
        Run what is done already, too.
    quick
        Run every case in seconds, to see that it runs, as `run` does; the parameters in which
        cases differ stay. The summary, too, is marked as quick.
    show_real_faces, show_names
        What the report keeps, as `share` does, which decides it anew. It is recorded.

    Returns
    -------
    DataFrame
        One row a case, in the yaml's order: the parameters in which cases differ, then `status`
        (finished, or done before), `run_id`, `seconds`, `folder`.

    Raises
    ------
    BadInput
        The yaml has no cases, a parameter is wrong (nothing has started then), or another process
        is running this experiment.
    SweepFailed
        Cases failed, or the summary did. The message names the first; the rest is done.

    Examples
    --------
    >>> import facelab as fl
    >>> from nbformat import v4 as nb
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> place = Path(mkdtemp())
    >>> cell = nb.new_code_cell("n = 1", metadata={"tags": ["parameters"]})
    >>> _ = (place / "sum.ipynb").write_text(nb.writes(nb.new_notebook(cells=[cell])))
    >>> _ = (place / "sums.yaml").write_text("{notebook: sum.ipynb, grid: {n: [1, 2]}}")
    >>> table = fl.sweep(place / "sums.yaml", out=place / "runs")
    >>> table[["n", "status"]].values.tolist()
    [[1, 'finished'], [2, 'finished']]
    """
    jobs = as_jobs(jobs)
    found = read_experiment(experiment)
    if found.cases is None:
        raise BadInput(f"{experiment} has no cases: run it with fl.run")
    if name:
        check_name(name)
    fixed = {**found.fixed(quick), **(parameters or {})}
    for case in found.written_cases:
        for parameter in set(case) & set(parameters or {}):
            raise BadInput(
                f"{parameter} differs between the cases of {experiment}: change it there"
            )
    home = Path(out) / kept_as(name or found.name, quick)
    cores = max(1, joblib.cpu_count() // jobs) if jobs > 1 else None
    shows = asked_for(show_real_faces, show_names)
    cases = [
        plan(found.notebook, {**fixed, **case}, home, cores, shows, quick)
        for case in found.written_cases
    ]
    differ = tuple(
        {name: case.given[name] for name in written}
        for case, written in zip(cases, found.written_cases, strict=True)
    )
    for own in ("status", "run_id", "seconds", "folder"):
        if any(own in case for case in differ):
            raise BadInput(
                f"the cases of {experiment} differ in {own}, which a sweep's table says of each "
                "run: call the parameter something else"
            )
    if len({case.key for case in cases}) < len(cases):
        raise BadInput(f"{experiment} has two cases that are the same for {found.notebook.name}")
    with one_at_a_time(home):
        _end_abandoned(home)
        board = _Board(differ, cases, home, {} if again else _done(home, cases))
        left = [case for case in cases if board.status[case.key] == "waiting"]
        with board.shown():
            for ending in _carried_out(left, jobs, cluster):
                board.take(*ending)
    table = board.table()
    failed = table[table["status"] == "failed"]
    if found.summary is not None and len(failed) < len(table):
        folders = table["folder"][table["status"] != "failed"].tolist()
        of_all = home.with_name(kept_as(f"{name or found.name}-summary", quick))
        with one_at_a_time(of_all):
            plan(found.summary, {"runs": folders}, of_all, quick=quick).carry_out()
    if len(failed):
        raise SweepFailed(
            f"{len(failed)} of {len(table)} cases failed, first {board.words[failed.index[0]]}: "
            f"{board.error[cases[failed.index[0]].key]}; the others are done, and the same command "
            "runs only those that failed",
            table,
        )
    return table


def _done(home: Path, cases: list[Case]) -> dict[str, dict[str, Any]]:
    """The finished runs by their keys; of several the newest that found the same in its folders."""
    wanted = {case.key: case.folders for case in cases}
    rows = runs(home.parent, name=home.name, status="finished").to_dict("records")
    return {
        row["key"]: row
        for row in rows
        if row["key"] in wanted
        and same_folders(read_record(Path(row["folder"]))["folders"], wanted[row["key"]])
    }


def _end_abandoned(home: Path) -> None:
    """What a kill left half done is done again; nobody else works here while we hold the lock.

    A run that was killed when it had finished gets its name. What is not noted as a run of this
    very name is not ours.
    """
    for partial in sorted(home.glob(".*.partial")):
        try:
            record = read_record(partial)
        except (BadInput, OSError):
            continue
        if (record["name"], f".{record['run_id']}.partial") != (home.name, partial.name):
            continue
        # A worker whose sweep was killed notices within a second.
        for _ in range(50):
            if not held(partial):
                break
            time.sleep(0.1)
        else:
            raise BadInput(f"another process is still running {partial}: wait for it")
        if record["status"] == "finished":
            (partial / "lock").unlink(missing_ok=True)
            partial.rename(home / record["run_id"])
            continue
        try:
            shutil.rmtree(partial)
        except OSError as error:  # a colleague's, which is in nobody's way
            warn(f"{partial} is left over and cannot be removed: {error}")


def _carried_out(
    cases: list[Case], jobs: int, cluster: str | None
) -> Iterator[tuple[str, str, str]]:
    """Key, folder and error of each case as it ends."""
    if not cases:
        return
    with contextlib.ExitStack() as stack:
        if cluster is not None:
            distributed = need("distributed", "dask")
            address = {} if cluster == "local" else {"address": cluster}
            if cluster == "local":
                address = {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
            stack.enter_context(distributed.Client(**address))
            stack.enter_context(joblib.parallel_config("dask", n_jobs=-1))
        else:
            stack.enter_context(joblib.parallel_config("loky", n_jobs=jobs))
        work = pool(None, batch_size=1, pre_dispatch="all", return_as="generator_unordered")
        yield from work(joblib.delayed(_one)(case) for case in cases)


def _one(case: Case) -> tuple[str, str, str]:
    """One case in its process."""
    try:
        return case.key, str(case.carry_out(log=True)), ""
    except FacelabError as failure:
        return case.key, str(getattr(failure, "folder", None) or ""), str(failure)


class _Board:
    """Where every case stands: a table that moves on a terminal, a line an ending elsewhere."""

    def __init__(
        self,
        differ: tuple[dict[str, Any], ...],
        cases: list[Case],
        home: Path,
        done: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.differ, self.cases, self.home = differ, cases, home
        self.words = [
            ", ".join(f"{name}={value}" for name, value in case.items()) for case in differ
        ]
        self.status = {case.key: "done before" if case.key in done else "waiting" for case in cases}
        self.folder = {key: row["folder"] for key, row in done.items()}
        self.error: dict[str, str] = {}

    def take(self, key: str, folder: str, error: str) -> None:
        """Note how a case ended."""
        self.status[key] = "failed" if error else "finished"
        self.folder[key], self.error[key] = folder, error
        if not self._live():
            number = [case.key for case in self.cases].index(key)
            tell(f"{self._ended()} {self.words[number]}: {error or 'finished'}", sys.stderr)

    def _ended(self) -> str:
        counts = pd.Series(self.status).value_counts()
        ended = counts.get("finished", 0) + counts.get("failed", 0)
        return f"[{ended}/{len(self.cases) - counts.get('done before', 0)}]"

    def _tell_standing(self) -> None:
        """For a log: what is at work, while no case ends."""
        at_work = [words for words, status, _ in self._rows() if status == "running"]
        tell(f"{self._ended()} at work: {'; '.join(at_work) or 'no case yet'}", sys.stderr)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while cases run."""
        before = sum(status == "done before" for status in self.status.values())
        if before:
            tell(f"{before} of {len(self.cases)} cases were done before", sys.stderr)
        if not self._live():
            with each_minute(self._tell_standing):
                yield
            return
        from rich.console import Console
        from rich.live import Live

        with Live(get_renderable=self._drawn, console=Console(stderr=True), refresh_per_second=2):
            yield

    def table(self) -> pd.DataFrame:
        """One row a case."""
        rows = []
        for words, case in zip(self.differ, self.cases, strict=True):
            folder = self.folder.get(case.key, "")
            record = read_record(Path(folder)) if folder else {}
            rows.append(
                {
                    **words,
                    "status": self.status[case.key],
                    "run_id": record.get("run_id", ""),
                    "seconds": record.get("seconds"),
                    "folder": folder,
                }
            )
        return pd.DataFrame(rows)

    def _live(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()

    def _drawn(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None)
        for column in ("case", "status", "seconds"):
            drawn.add_column(column)
        for words, status, took in self._rows():
            drawn.add_row(Text(printable(words)), status, took)  # brackets are no colours
        return drawn

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        """Each case in words, its status now, and for how many seconds it has been at work."""
        running = runs(self.home.parent, name=self.home.name, status="running")
        started = pd.to_datetime(running["started"], errors="coerce", utc=True)
        since = dict(zip(running["key"], started, strict=True))
        for words, case in zip(self.words, self.cases, strict=True):
            status, took = self.status[case.key], ""
            if status == "waiting" and case.key in since:
                status = "running"
                took = f"{(pd.Timestamp.now('UTC') - since[case.key]).total_seconds():.0f}"
            yield words, status, took
