"""A training's numbers for those who watch: TensorBoard, MLflow, Weights & Biases, or a function.

In: the kind and where to. Out: a callback for `fl.train`, which sends the same scalars to each.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facelab.arguments import as_annotated
from facelab.errors import BadInput, FacelabError, check_option, need

Send = Callable[[dict[str, float], int], Any]

_KINDS = ("tensorboard", "mlflow", "wandb")
_REFUSED = re.compile(r"[^\w/. :-]")  # what MLflow takes in no name
_FOLDERS = "give a server's address, or set MLFLOW_ALLOW_FILE_STORE=true to have folders"


class Tracker:
    """Sends each row of a training's history and each look on.

    Attributes
    ----------
    run
        What the numbers go to, as its own library has it: a SummaryWriter, an MLflow run, a W&B
        run; None for a function.
    """

    # No __dict__: the card of a training describes what callbacks hold, not a service's insides.
    __slots__ = ("_close", "_send", "run")

    def __init__(self, send: Send, close: Callable[[], Any], run: Any = None) -> None:
        self._send, self._close, self.run = send, close, run

    def at_log(self, training: Any) -> None:
        """Send the newest row of the history, as `train/loss` and so on."""
        if training.processes.leads:
            row = training.history[-1]
            step = int(row["step"])
            self.log({f"train/{name}": row[name] for name in row if name != "step"}, step)

    def at_look(self, training: Any) -> None:
        """Send the error rates of the held-out subjects, as `held_out/african/fmr` and so on."""
        if training.processes.leads:
            rates = training.looks[-1]
            self.log(numbers_of(rates), int(rates["step"].iloc[0]))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Send numbers of one's own; those that are unknown or infinite are left out."""
        sent = {
            _REFUSED.sub("_", name): float(number)
            for name, number in numbers.items()
            if math.isfinite(number)
        }
        if sent:
            self._send(sent, step)

    def close(self) -> None:
        """Say that nothing more comes; files are whole then."""
        self._close()

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


@as_annotated
def tracker(
    to: str | Callable[[dict[str, float], int], Any],
    folder: str | Path | None = None,
    *,
    experiment: str = "facelab",
    name: str | None = None,
) -> Tracker:
    """A callback that sends a training's numbers to TensorBoard, MLflow, W&B or a function.

    Parameters
    ----------
    to
        "tensorboard", "mlflow", "wandb" (the extras of these names), or a function of
        (numbers by name, step).
    folder
        Where they are kept. TensorBoard: needed. MLflow: a server's address, or a folder, which
        today's MLflow takes where MLFLOW_ALLOW_FILE_STORE=true is set; by default what
        MLFLOW_TRACKING_URI says. W&B: by default `wandb` here; WANDB_MODE=offline sends nothing.
    experiment, name
        What the run belongs to (of W&B its project), and what it is called.

    Returns
    -------
    Tracker
        For `callbacks` of `fl.train`, to be closed after it, or by `with`. Names are `train/loss`,
        `train/lr`, `train/epoch`, `train/seconds`, `held_out/threshold` and, for each group,
        `held_out/<group>/fmr` and `fnmr`; in all three the same. Of several processes the first
        sends.

    Raises
    ------
    MissingExtra
        The library is not installed.
    BadInput
        There is no such kind, or TensorBoard is given no folder.
    FacelabError
        MLflow takes no run there.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 4, size=32)
    >>> seen = []
    >>> with fl.tracker(lambda numbers, step: seen.append((step, sorted(numbers)))) as watching:
    ...     _ = fl.train(faces, fl.Recipe(steps=1, size=32, dim=64), callbacks=[watching])
    >>> seen
    [(1, ['train/epoch', 'train/loss', 'train/lr', 'train/seconds'])]
    """
    if callable(to):
        return Tracker(to, lambda: None)
    check_option("to", to, _KINDS)
    if to == "tensorboard":
        return _tensorboard(folder, name)
    return _mlflow(folder, experiment, name) if to == "mlflow" else _wandb(folder, experiment, name)


def numbers_of(rates: Any) -> dict[str, float]:
    """The scalars of a look: the threshold, and FMR and FNMR of every group."""
    found = {"held_out/threshold": float(rates["threshold"].iloc[0])}
    for row in rates.to_dict("records"):
        found |= {f"held_out/{row['group']}/{error}": row[error] for error in ("fmr", "fnmr")}
    return found


def _tensorboard(folder: str | Path | None, name: str | None) -> Tracker:
    need("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    if folder is None:
        raise BadInput('TensorBoard reads a folder: fl.tracker("tensorboard", "logs/first")')
    writer = SummaryWriter(str(Path(folder) / name if name else folder))

    def send(numbers: dict[str, float], step: int) -> None:
        for one, number in numbers.items():
            writer.add_scalar(one, number, step)

    return Tracker(send, writer.close, writer)


def _mlflow(folder: str | Path | None, experiment: str, name: str | None) -> Tracker:
    need("mlflow", "mlflow")
    from mlflow import MlflowClient, get_tracking_uri
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    where = None if folder is None else str(folder)
    if where is not None and "://" not in where:
        where = Path(where).resolve().as_uri()
    try:
        client = MlflowClient(tracking_uri=where)
        known = client.get_experiment_by_name(experiment)
        home = known.experiment_id if known else client.create_experiment(experiment)
        run = client.create_run(home, run_name=name)
    except MlflowException as error:
        told = _FOLDERS if "MLFLOW_ALLOW_FILE_STORE" in str(error) else error
        raise FacelabError(
            f"MLflow takes no run at {where or get_tracking_uri()}: {told}"
        ) from error

    def send(numbers: dict[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [Metric(one, number, now, step) for one, number in numbers.items()]
        for start in range(0, len(metrics), 500):  # a server takes at most 1,000 at once
            client.log_batch(run.info.run_id, metrics=metrics[start : start + 500])

    return Tracker(send, lambda: client.set_terminated(run.info.run_id), run)


def _wandb(folder: str | Path | None, experiment: str, name: str | None) -> Tracker:
    wandb = need("wandb", "wandb")
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)  # or wandb writes to a temporary one
    quiet = wandb.Settings(console="off", save_code=False, silent=True)
    place = None if folder is None else str(folder)
    run = wandb.init(project=experiment, name=name, dir=place, settings=quiet, reinit="create_new")
    return Tracker(lambda numbers, step: run.log(numbers, step=step), run.finish, run)
