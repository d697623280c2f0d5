"""The runs that lie in a folder, as a table.

In: the folder. Out: a DataFrame, a row a run.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic.dataclasses import dataclass

from facelab import sums
from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_option
from facelab.owners import held
from facelab.runs.definitions import meant
from facelab.words import checked

_ENDED = ("finished", "failed")
_STATUSES = (*_ENDED, "running", "abandoned", "damaged", "unreadable")
_COLUMNS = [
    *("name", "run_id", "status", "quick", "started", "seconds", "commit", "parameters", "key"),
    *("error", "folder"),
]


@dataclass
class _Run:
    """What of `run.json` is listed or decides something; earlier versions noted less."""

    status: str
    quick: bool = False
    name: str | None = None
    run_id: str | None = None
    started: str | None = None
    seconds: float | None = None
    commit: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    error: str | None = None
    folders: dict[str, str | None] = field(default_factory=dict)


@as_annotated
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
        `name run_id status quick started seconds commit parameters key error folder`; status is
        finished, failed, running, abandoned (its process is gone), damaged (a file of it is gone or
        not as it was written), or unreadable: its record is damaged or no run's. `error` says how.
        `quick` is one that only shows that its notebook runs: what it found means nothing.

    Examples
    --------
    >>> import facelab as fl
    >>> from tempfile import mkdtemp
    >>> kept = fl.runs(mkdtemp(), status="finished")  # nothing was run there
    >>> len(kept), list(kept.columns[:4])
    (0, ['name', 'run_id', 'status', 'quick'])
    """
    if status is not None:
        check_option("status", status, _STATUSES)
    found = []
    for folder in _run_folders(Path(out), name):
        try:
            record = read_record(folder)
        except FileNotFoundError:  # not a run, or one that has just been finished and so renamed
            continue
        except (BadInput, OSError) as error:
            record = _unreadable(folder, error)
        if record["status"] in _ENDED and status in (None, record["status"], "damaged"):
            record |= _damage(folder)
        if not _stands_for_another(folder, record):
            found.append({**record, "folder": str(folder)})
    wanted = [
        record
        for record in found
        if status in (None, record["status"])
        and all(meant(v, record["parameters"].get(n)) for n, v in (parameters or {}).items())
    ]
    return pd.DataFrame(wanted, columns=_COLUMNS).sort_values("run_id", ignore_index=True)


def read_record(folder: Path) -> dict[str, Any]:
    """What a run noted of itself; of a running one whose process is gone, that it is abandoned.

    Raises
    ------
    FileNotFoundError
        The folder is no run's.
    BadInput
        Its record is damaged, or another program's.
    """
    file = folder / "run.json"
    if os.path.lexists(file) and not file.is_file():
        raise BadInput(f"{file} is no file, or a link to none, and so no run's record")
    stored = sums.open_stored(folder, file.name, "run")
    known = checked(_Run, stored.card, "a run's record", file)
    record = dataclasses.asdict(known)
    record["name"] = known.name or folder.parent.name
    record["run_id"] = known.run_id or folder.name
    if known.status == "running" and not held(folder):
        record["status"] = "abandoned"
    return record


def _run_folders(out: Path, name: str | None) -> Iterator[Path]:
    """What may be a run: the folders within those that have the names of runs; links are not."""
    if not out.is_dir():
        return
    homes = [out / name] if name else sorted(out.iterdir())
    for home in homes:
        if not home.is_dir() or home.name.startswith("."):
            continue
        try:
            inside = sorted(home.iterdir())
        except OSError:  # named as a run that cannot be read
            inside = [home]
        yield from (folder for folder in inside if folder.is_dir() and not folder.is_symlink())


def _damage(folder: Path) -> dict[str, Any]:
    """What a run's record says instead, where a file that was kept is not there as it was."""
    try:
        sums.open_stored(folder, "run.json", "run").check()
    except (BadInput, OSError) as error:
        return {"status": "damaged", "error": str(error)}
    return {}


def _unreadable(folder: Path, error: Exception) -> dict[str, Any]:
    unknown = dataclasses.asdict(_Run(status="unreadable", error=str(error)))
    return {**unknown, "name": folder.parent.name, "run_id": folder.name}


def _stands_for_another(folder: Path, record: dict[str, Any]) -> bool:
    """Whether this is a copy, such as `latest` where links became folders, of one beside it."""
    run_id = record["run_id"]
    own = (run_id, f"{run_id}.failed", f".{run_id}.partial")
    return folder.name not in own and (folder.parent / run_id).is_dir()
