"""Experiments: run a notebook with parameters, and keep everything that it showed.

In: a notebook (or a yaml that names one) and parameters. Out: a run folder that is whole or not
there, with the executed notebook, its report, its numbers and what made them.
"""

import ast
import datetime
import difflib
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from facelab import files
from facelab.errors import BadInput, FacelabError
from facelab.executing import execute, reason
from facelab.provenance import facts, provenance
from facelab.records import Record, code_digest, code_version, environment, mirror, mirror_wanted

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Experiment", "Record", "RunFailed", "read_experiment", "run", "runs"]

_KEYS = ("notebook", "name", "parameters", "cases", "grid", "seeds", "summary")
_UNKNOWN = object()  # a default that is not a literal: any value may take its place


class RunFailed(FacelabError):
    """A notebook stopped with an error; the message names the cell, the error and the folder."""

    def __init__(self, message: str, folder: Path | None) -> None:
        super().__init__(message)
        self.folder = folder


@dataclass(frozen=True)
class Experiment:
    """A notebook, the name that its runs are kept under, fixed parameters, and the cases.

    `cases` are the parameters in which the runs differ, None for a single run; `summary` is the
    notebook that looks at all of them.
    """

    notebook: Path
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    cases: tuple[dict[str, Any], ...] | None = None
    summary: Path | None = None


def read_experiment(source: str | Path) -> Experiment:
    """A notebook as it is, or the experiment that a yaml file describes.

    A yaml has the keys `notebook` (a path beside the yaml), `name` and `parameters`. For a sweep
    also `cases` (a list of parameters) or `grid` (lists of values, all combinations of which are
    cases) or both (each of the list with each of the grid), `seeds` (every case once with each, as
    the parameter `seed`) and `summary` (a notebook, run over the finished sweep).

    Raises
    ------
    FileNotFoundError, BadInput
        The file is not there, or is neither a notebook nor such a yaml.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}: give a notebook or an experiment yaml")
    if source.suffix == ".ipynb":
        return Experiment(source, _run_name(source.stem))
    if source.suffix not in (".yaml", ".yml"):
        raise BadInput(f"{source} is neither a notebook (.ipynb) nor an experiment (.yaml)")
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInput(f"{source} is not valid yaml: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or "notebook" not in content:
        raise BadInput(f"{source} names no notebook: it needs a line `notebook: <path>`")
    unknown = set(content) - set(_KEYS)
    if unknown:
        raise BadInput(
            f"{source} has unknown keys: {', '.join(sorted(map(str, unknown)))}; "
            f"an experiment has {', '.join(_KEYS)}"
        )
    name = str(content.get("name") or _run_name(source.stem))
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise BadInput(f"{source}: the name {name!r} must be letters, digits, '-', '_' and '.'")
    summary = content.get("summary")
    return Experiment(
        _beside(source, content["notebook"]),
        name,
        dict(content.get("parameters") or {}),
        _cases(content, source),
        _beside(source, summary) if summary else None,
    )


def _beside(source: Path, name: str) -> Path:
    notebook = source.parent / name
    if not notebook.is_file():
        raise FileNotFoundError(f"{source} names the notebook {notebook}, which is not there")
    return notebook


def _cases(content: dict[str, Any], source: Path) -> tuple[dict[str, Any], ...] | None:
    """The parameters of every run of a sweep, or None for a single run."""
    if not any(key in content for key in ("cases", "grid", "seeds")):
        return None
    listed = content.get("cases", [{}])
    grid = content.get("grid", {})
    if not isinstance(listed, list) or not all(isinstance(case, dict) for case in listed):
        raise BadInput(f"{source}: cases must be a list of parameters, as `- {{steps: 200}}`")
    if not isinstance(grid, dict):
        raise BadInput(f"{source}: grid must give a list of values a parameter")
    grid = {**grid, "seed": content["seeds"]} if "seeds" in content else grid
    for parameter, values in grid.items():
        if not isinstance(values, list) or not values:
            raise BadInput(f"{source}: the grid needs a list of values for {parameter}")
    combinations = [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    for place, names in (("cases", {name for case in listed for name in case}), ("grid", grid)):
        other = dict(content.get("parameters") or {}) | (grid if place == "cases" else {})
        twice = sorted(set(names) & set(other))
        if twice:
            raise BadInput(f"{source}: {twice[0]} is set in {place} and elsewhere: set it once")
    cases = [{**case, **combination} for case in listed for combination in combinations]
    for number, case in enumerate(cases):
        if case in cases[:number]:
            raise BadInput(f"{source} has the same case twice: {case}")
    if not cases:
        raise BadInput(f"{source} has no cases")
    return tuple(cases)


def quick_parameters(notebook: str | Path) -> dict[str, Any]:
    """A notebook's quick setting: what `quick.yaml` beside it holds under its name.

    Raises
    ------
    BadInput
        There is none.
    """
    notebook = Path(notebook)
    file = notebook.with_name("quick.yaml")
    settings = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if notebook.stem not in settings:
        raise BadInput(f"{notebook} has no quick setting: {file} says nothing of {notebook.stem}")
    return settings[notebook.stem]


def _run_name(stem: str) -> str:
    """`01_balanced_retraining` is kept as `balanced-retraining`."""
    return re.sub(r"^\d+[_-]", "", stem).replace("_", "-").strip(".-") or "run"


def run(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path = "experiments/runs",
    name: str | None = None,
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

    Returns
    -------
    Path
        The finished run folder `<out>/<name>/<run-id>`: `notebook.ipynb`, `report.html`,
        `params.yaml`, `environment.txt`, `run.json`, and what the notebook kept: `metrics.json`,
        `tables/`, `figures/`. `<out>/<name>/latest` points at it.

    Raises
    ------
    BadInput
        A parameter is unknown or of the wrong type.
    RunFailed
        A cell raised; what was executed is kept in `<run-id>.failed`.
    """
    experiment = read_experiment(notebook)
    if experiment.cases is not None:
        raise BadInput(f"{notebook} has {len(experiment.cases)} cases: run it with fl.sweep")
    home = Path(out) / (name or experiment.name)
    case = plan(experiment.notebook, {**experiment.parameters, **(parameters or {})}, home)
    with one_at_a_time(home):
        return case.carry_out()


def one_at_a_time(home: Path) -> AbstractContextManager[None]:
    """Keep a second run of one name out, in whatever process."""
    return files.locked(home.parent / ".locks" / home.name, home)


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
        What decides the result: the same key is the same run.
    cores
        How many its kernel may use; None is all.
    """

    notebook: Path
    home: Path
    given: dict[str, Any]
    shown: dict[str, Any]
    key: str
    keeps: bool
    mirrored: bool
    cores: int | None = None

    def carry_out(self, log: bool = False) -> Path:
        """Run it; with `log`, what its cells print goes to `log.txt` and not to the terminal."""
        started = datetime.datetime.now(datetime.UTC)
        run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        aside = self.home / f".{run_id}.partial"
        record = {
            "name": self.home.name,
            "run_id": run_id,
            "status": "running",
            "notebook": self.notebook.name,
            "notebook_sha256": files.sha256(self.notebook),
            "parameters": self.given,
            "inputs": _cards(self.shown),
            "key": self.key,
            "started": started.isoformat(timespec="seconds"),
            **code_version(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        clock = time.perf_counter()
        try:
            aside.mkdir(parents=True)
            files.write_json(aside / "run.json", record)
            files.write_text(aside / "params.yaml", yaml.safe_dump(self.shown, sort_keys=False))
            given = {**self.given, "run_folder": str(aside)} if self.keeps else self.given
            execute(self.notebook, aside, given, self.cores, log)
            seconds = time.perf_counter() - clock
            final = self.home / run_id
            _say_where(aside / "notebook.ipynb", str(aside), str(final))
            files.write_text(aside / "environment.txt", environment(seconds))
            _report(aside, record, seconds)
            _close(aside, record, seconds, status="finished")
            aside.rename(final)
        except BaseException as error:
            words = reason(error, self.notebook)
            failed = self._keep_failed(aside, record, time.perf_counter() - clock, words)
            if isinstance(error, Exception):
                where = f"what was executed is kept in {failed}" if failed else "nothing was kept"
                raise RunFailed(f"{words}; {where}", failed) from error
            raise
        _point_latest(self.home, run_id)
        if self.mirrored:
            mirror(final, self.home.name)
        return final

    def _keep_failed(
        self, aside: Path, record: Mapping[str, Any], seconds: float, words: str
    ) -> Path | None:
        """What was executed, whole or not at all: None where the disk does not take it."""
        failed = self.home / f"{record['run_id']}.failed"
        try:
            _close(aside, record, seconds, status="failed", error=words)
            aside.rename(failed)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            return None
        return failed


def plan(
    notebook: Path, parameters: Mapping[str, Any], home: Path, cores: int | None = None
) -> Case:
    """A run, checked before anything starts.

    Raises
    ------
    BadInput
        The notebook cannot be read, or a parameter is unknown or of the wrong type.
    """
    import nbformat

    try:
        book = nbformat.read(notebook, as_version=4)
    except nbformat.reader.NotJSONError as error:
        raise BadInput(f"{notebook} is not a notebook: it holds no valid JSON") from error
    known = notebook_parameters(book, notebook)
    given = check_parameters(known, parameters)
    shown = {n: v for n, v in known.items() if n != "run_folder" and v is not _UNKNOWN} | given
    decides = [files.sha256(notebook), code_digest(), shown, _inputs(shown)]
    key = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()
    return Case(notebook, home, given, shown, key, "run_folder" in known, mirror_wanted(), cores)


def _paths(value: Any) -> list[Path]:
    """The files and folders that parameters name."""
    if isinstance(value, Mapping):
        return [path for item in value.values() for path in _paths(item)]
    if isinstance(value, list | tuple):
        return [path for item in value for path in _paths(item)]
    named = isinstance(value, str) and 0 < len(value) < 1000 and "\0" not in value
    return [Path(value)] if named and Path(value).exists() else []


def _inputs(value: Any) -> list[str]:
    """What is in the files, FaceSets, embeddings and embedders that parameters name."""
    # A folder of ours says in its json what it holds; any other may be one that the run writes to.
    parts = [
        part
        for path in _paths(value)
        for part in (sorted(path.glob("*.json")) if path.is_dir() else [path])
    ]
    return [files.sha256(part) for part in parts if part.is_file()]


def _cards(value: Any) -> list[dict[str, Any]]:
    """Where the FaceSets and embeddings that parameters name come from, and under which terms."""
    cards = [path / "card.json" for path in _paths(value)]
    found = [json.loads(card.read_text(encoding="utf-8")) for card in cards if card.is_file()]
    # Embeddings hold the facts of their faces; a FaceSet's card is those facts.
    return [facts(card.get("faces", card)) for card in found]


# ---- parameters


def notebook_parameters(book: "NotebookNode", path: str | Path) -> dict[str, Any]:
    """The parameters of a notebook with their defaults, from the cell tagged `parameters`."""
    for cell in book.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            break
    else:
        return {}
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        raise BadInput(f"the parameters cell of {path} is not plain Python: {error}") from error
    found = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and getattr(node, "value", None) is not None:
                found[target.id] = _literal(node.value)
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _UNKNOWN


def check_parameters(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values as the notebook's own kinds of values.

    A whole number may stand for a decimal one, and text such as `1e-3` (which yaml reads as text)
    for a number; a default of None takes anything.

    Raises
    ------
    BadInput
        A name is unknown (the message lists the known and the closest), or a value has the wrong
        type.
    """
    known = {name: value for name, value in known.items() if name != "run_folder"}
    checked = {}
    for name, value in given.items():
        if name not in known:
            names = ", ".join(known) or "none (no cell is tagged `parameters`)"
            close = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise BadInput(f"the notebook has no parameter {name!r}{hint}; it has: {names}")
        checked[name] = _like(value, known[name], name)
    return checked


def _like(value: Any, default: Any, name: str) -> Any:
    if default is None or default is _UNKNOWN:
        return value
    if isinstance(default, list | tuple) and isinstance(value, list | tuple):
        kinds = {type(item) for item in default}
        example = default[0] if len(kinds) == 1 else None
        return [_like(item, example, f"{name} (each item)") for item in value]
    if isinstance(default, float):
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                pass  # falls through to the error below
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool):
        return value
    raise BadInput(f"parameter {name} must be {_kind(default)}, such as {default!r}, not {value!r}")


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false", int: "a whole number", float: "a number", str: "text",
        list: "a list", tuple: "a list", dict: "a mapping",
    }  # fmt: skip
    return kinds.get(type(value), type(value).__name__)


# ---- what is kept


def _say_where(notebook: Path, aside: str, final: str) -> None:
    """The kept notebook names the folder it ends up in, not the one it was made in."""
    text = notebook.read_text(encoding="utf-8")
    files.write_text(notebook, text.replace(json.dumps(aside)[1:-1], json.dumps(final)[1:-1]))


def _report(aside: Path, record: Mapping[str, Any], seconds: float) -> None:
    from facelab.report import save_report

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
    save_report(aside / "notebook.ipynb", aside / "report.html", facts, footer)


def _close(folder: Path, record: Mapping[str, Any], seconds: float, **more: Any) -> None:
    files.write_json(folder / "run.json", {**record, "seconds": round(seconds, 1), **more})


def _point_latest(home: Path, run_id: str) -> None:
    aside = home / f".latest.{run_id}"
    aside.symlink_to(run_id, target_is_directory=True)
    os.replace(aside, home / "latest")


# ---- records


def runs(
    out: str | Path = "experiments/runs",
    name: str | None = None,
    status: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """The runs that were kept, the newest last.

    Parameters
    ----------
    out
        Where they are kept.
    name, status, parameters
        Only runs of this name, of this status, with these values among their parameters.

    Returns
    -------
    DataFrame
        `name run_id status started seconds commit parameters key error folder`; status is finished,
        failed, running, or abandoned (its process is gone).
    """
    found = []
    for file in Path(out).glob(f"{name or '*'}/*/run.json"):
        if file.parent.is_symlink():
            continue
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:  # it has just been finished, and so renamed
            continue
        if record["status"] == "running" and not alive(record):
            record["status"] = "abandoned"
        fits = all(record.get("parameters", {}).get(n) == v for n, v in (parameters or {}).items())
        if fits and status in (None, record["status"]):
            found.append({**record, "folder": str(file.parent)})
    columns = ["name", "run_id", "status", "started", "seconds", "commit", "parameters", "key"]
    columns += ["error", "folder"]
    return pd.DataFrame(found, columns=columns).sort_values("run_id", ignore_index=True)


def alive(record: Mapping[str, Any]) -> bool:
    """Whether the process of a record may still be there; of another machine nobody knows."""
    if record["host"] != socket.gethostname():
        return True
    try:
        os.kill(record["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
