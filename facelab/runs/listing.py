"""The runs that lie in a folder, as a table.

In: the folder. Out: a DataFrame, a row a run.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from facelab.runs.definitions import meant


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

    Examples
    --------
    >>> import facelab as fl
    >>> from tempfile import mkdtemp
    >>> kept = fl.runs(mkdtemp(), status="finished")  # nothing was run there
    >>> len(kept), list(kept.columns[:4])
    (0, ['name', 'run_id', 'status', 'started'])
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
        given = record.get("parameters", {})
        fits = all(meant(value, given.get(name)) for name, value in (parameters or {}).items())
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
