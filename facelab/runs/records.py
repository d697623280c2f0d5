"""Records: what a notebook leaves behind, and what it ran on.

In: tables, figures and numbers of a running notebook. Out: plain files in its run folder, a
description of the machine and the code, and, where wanted, a mirror in MLflow.
"""

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import pandas as pd

import facelab
from facelab import files
from facelab.arguments import as_annotated
from facelab.errors import FacelabError, check_columns, need
from facelab.faces.cells import as_csv
from facelab.places import check_plain
from facelab.progress import tell

if TYPE_CHECKING:
    from facelab.audits.by_group import Audit
    from facelab.figures.style import Picture


@as_annotated
class Record:
    """What a notebook keeps: ``record = Record(run_folder)``.

    Parameters
    ----------
    folder
        The run folder that `fl.run` gives to the notebook's parameter `run_folder`. None, as when
        the notebook is open in JupyterLab: everything is shown and nothing is kept.

    Attributes
    ----------
    seconds
        Wall-clock seconds by stage.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from tempfile import mkdtemp
    >>> record = fl.Record(mkdtemp())  # in a notebook: fl.Record(run_folder)
    >>> rates = record.table("rates", pd.DataFrame({"group": ["a"], "fmr": [0.01]}))
    >>> record.metrics({"fmr": 0.01})
    {'fmr': 0.01, 'seconds': {}}
    >>> sorted(path.name for path in record.folder.iterdir())
    ['metrics.json', 'tables']
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = Path(folder) if folder else None
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a piece of work, and say when it is done."""
        start = time.perf_counter()
        yield
        took = time.perf_counter() - start
        self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 3)
        tell(f"{name}: {took:.1f} s")

    def table(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Keep a table as `tables/<name>.csv` and hand it back to be shown."""
        check_plain(name, "a table: ")
        if self.folder:
            (self.folder / "tables").mkdir(exist_ok=True)
            named = frame.index.name is not None or isinstance(frame.index, pd.MultiIndex)
            files.write_text(self.folder / "tables" / f"{name}.csv", as_csv(frame, index=named))
        return frame

    def tables(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Keep several tables, each under its name."""
        for name, frame in frames.items():
            self.table(name, frame)

    def stages(self) -> pd.DataFrame:
        """The seconds of each stage, to be shown."""
        return pd.Series(self.seconds, name="seconds").rename_axis("stage").to_frame()

    def figure(self, name: str, figure: "Picture") -> "Picture":
        """Keep a figure as `figures/<name>.png` and hand it back to be shown."""
        check_plain(name, "a figure: ")
        if self.folder:
            (self.folder / "figures").mkdir(exist_ok=True)
            files.write_bytes(self.folder / "figures" / f"{name}.png", figure.png())
        return figure

    def metrics(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Write `metrics.json`: the values and the seconds of each stage.

        A number that JSON cannot hold (not a number, infinite) is written as null.
        """
        result = _finite({**values, "seconds": self.seconds})
        if self.folder:
            files.write_json(self.folder / "metrics.json", result)
        return result


@as_annotated
def audit_metrics(audit: "Audit") -> dict[str, Any]:
    """An audit as metrics.json holds it.

    Returns
    -------
    dict
        `threshold`, `calibration`, `overall` and `groups` (rates with intervals and counts),
        `max_min_ratio` (by error) and `garbe` (value, low, high, worst, best, note), `warnings`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> metrics = fl.audit_metrics(fl.audit(people, "group", fmr=0.01))
    >>> sorted(metrics)
    ['calibration', 'garbe', 'groups', 'max_min_ratio', 'overall', 'threshold', 'warnings']
    >>> round(metrics["groups"]["a"]["fmr"], 3)
    0.009
    """
    groups = metric_rows(audit.rates)
    indices = audit.disparity.set_index(["metric", "error"])
    return {
        "threshold": audit.threshold,
        "calibration": audit.calibration,
        "overall": groups.pop("all"),
        "groups": groups,
        "max_min_ratio": {
            error: indices.loc[("max_min_ratio", error)].to_dict() for error in ("fmr", "fnmr")
        },
        "garbe": indices.loc[("garbe", "both")].to_dict(),
        "warnings": audit.warnings,
    }


@as_annotated
def metric_rows(frame: pd.DataFrame, key: str = "group") -> dict[str, dict[str, Any]]:
    """A table as nested plain values, by the column `key`: the way metrics.json holds it.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"group": ["a", "b"], "fmr": [0.001, 0.004], "note": ["", "few"]})
    >>> fl.metric_rows(rates)
    {'a': {'fmr': 0.001, 'note': ''}, 'b': {'fmr': 0.004, 'note': 'few'}}
    """
    check_columns("the rows", frame.columns, [key])
    return {
        str(row[key]): {name: value for name, value in row.items() if name != key}
        for row in frame.to_dict("records")
    }


@as_annotated
def effect_metrics(effects: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Twin effects or contrasts of everybody as metrics.json holds them.

    Parameters
    ----------
    effects
        What `twin_effects` or `compare_twin_effects` returns.

    Returns
    -------
    dict
        ``"melanin=0.8:fnmr"`` to the row's numbers and note, in the table's order.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> effects = fl.twin_effects(whole.embed(twins), threshold=0.7)
    >>> list(fl.effect_metrics(effects))
    ['glasses=sun:mated_score', 'glasses=sun:fnmr', 'glasses=sun:non_mated_score',
    'glasses=sun:fmr']
    """
    everybody = effects[effects["group"] == "all"].drop(columns="group")
    change = everybody["factor"] + "=" + everybody["level"] + ":" + everybody["quantity"]
    return metric_rows(
        everybody.drop(columns=["factor", "level", "quantity"]).assign(change=change), "change"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    absent = value is pd.NA or (isinstance(value, float) and not math.isfinite(value))
    return None if absent else value


# ---- what it ran on


def code_version() -> dict[str, Any]:
    """facelab's version, and the git commit it was run from where there is one.

    Returns
    -------
    dict
        `facelab`, `commit` (None outside a git checkout), `dirty` (uncommitted changes).
    """
    here = Path(facelab.__file__).parent
    found: dict[str, Any] = {"facelab": facelab.__version__, "commit": None, "dirty": None}
    # An installed copy may lie inside somebody else's repository: it must be tracked to count.
    if _git(here, "ls-files", "--error-unmatch", "__init__.py") is not None:
        found["commit"] = _git(here, "rev-parse", "HEAD")
        found["dirty"] = bool(_git(here, "status", "--porcelain"))
    return found


def _git(folder: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", folder, *command], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def environment(seconds: float) -> str:
    """The text of `environment.txt`: code, machine, time taken, every package's version."""
    code = code_version()
    commit = code["commit"] or "not a git checkout"
    lines = [
        f"facelab {code['facelab']}, commit {commit}"
        + (" with uncommitted changes" if code["dirty"] else ""),
        f"python {platform.python_version()} ({platform.python_implementation()})",
        f"platform {platform.platform()}",
        f"cpu {_cpu()}, {joblib.cpu_count()} cores usable",
        f"seconds {seconds:.1f}",
        "",
    ]
    packages = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
    lines += [f"{name}=={packages[name]}" for name in sorted(packages, key=str.lower)]
    return "\n".join(lines) + "\n"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # no such file on macOS and Windows
    return platform.processor() or platform.machine()


# ---- MLflow


def mirror_wanted() -> bool:
    """Whether MLFLOW_TRACKING_URI asks for a mirror; raises MissingExtra where it cannot be."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return False
    need("mlflow", "mlflow")
    return True


def mirror(folder: Path, name: str) -> None:
    """Log a finished run's parameters, numbers and what may be shown of it to MLflow.

    That is its shared page, and its tables, numbers and figures by the same rules: no real faces,
    no names, no paths of this machine.

    Raises
    ------
    FacelabError
        MLflow refused; the run itself is kept.
    """
    mlflow = need("mlflow", "mlflow")
    from facelab.pages.sharing import sharable, write_sharable

    parameters = files.read_values(folder / "params.yaml") or {}
    parameters = {name: sharable(str(value), folder) for name, value in parameters.items()}
    metrics = folder / "metrics.json"
    numbers = flatten(json.loads(metrics.read_text(encoding="utf-8"))) if metrics.exists() else {}
    numbers = {sharable(path, folder): number for path, number in numbers.items()}
    try:
        mlflow.set_experiment(name)
        with mlflow.start_run(run_name=folder.name):
            mlflow.log_params(parameters)
            items = list(numbers.items())
            for start in range(0, len(items), 500):  # a server takes at most 1,000 at once
                mlflow.log_metrics(dict(items[start : start + 500]))
            with tempfile.TemporaryDirectory() as place:
                write_sharable(folder, Path(place))
                mlflow.log_artifacts(place)
    except Exception as error:
        raise FacelabError(
            f"the run is finished and kept in {folder}, but could not be mirrored to MLflow at "
            f"{os.environ['MLFLOW_TRACKING_URI']}: {error}"
        ) from error


def flatten(values: Any, prefix: str = "") -> dict[str, float]:
    """The numbers in nested values, named by their path: ``arms.skewed.0.threshold``."""
    if isinstance(values, bool) or values is None or isinstance(values, str):
        return {}
    if isinstance(values, int | float):
        return {prefix: float(values)}
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    return {
        path: number
        for name, item in pairs
        for path, number in flatten(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }
