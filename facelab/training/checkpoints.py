"""Checkpoints: a training that was stopped goes on as if it had not been.

In: everything that changes during a training, as plain values and tensors. Out: files
`step-<n>.pt`, each written aside and renamed; only the newest few are kept.
"""

import contextlib
import hashlib
import json
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from facelab import files
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    Parameters
    ----------
    folder
        Made if it is not there.
    keep
        How many to keep, the newest.
    order
        Everything that decides the training's result, as JSON can hold it; a checkpoint of another
        order is not gone on with.
    """

    def __init__(self, folder: str | Path, keep: int, order: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.keep = max(1, keep)
        self.order = json.loads(json.dumps(order))

    def found(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return sorted(self.folder.glob("step-*.pt"))

    def latest(self, device: torch.device) -> dict[str, Any] | None:
        """What the newest checkpoint holds, or None.

        Raises
        ------
        BadInput
            It is damaged, or of another training.
        """
        found = self.found()
        if not found:
            return None
        path = found[-1]
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            order, state = json.loads(state["order"]), state["state"]
        except Exception as error:
            raise BadInput(
                f"{path} cannot be read as a checkpoint ({error}): delete it to resume from the one"
                " before"
            ) from error
        different = files.difference(order, self.order)
        if different:
            raise BadInput(
                f"{self.folder} holds the checkpoints of another training, which differs in "
                f"{different}: resume it as it was, or choose another folder"
            )
        return state

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint; if that fails, warn and keep the one before."""
        path = self.folder / f"step-{step:09d}.pt"
        aside = path.with_suffix(".aside")
        try:
            with open(aside, "wb") as file:
                torch.save({"order": json.dumps(self.order), "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError.
            aside.unlink(missing_ok=True)
            warnings.warn(f"no checkpoint at step {step}: {error}", stacklevel=2)
            return
        for old in self.found()[: -self.keep]:
            old.unlink(missing_ok=True)


def fingerprint(faces: FaceSet) -> str:
    """A short name for a FaceSet's content: its whole table, and 64 crops spread over it."""
    table = faces.table.astype("str")
    told = hashlib.sha256(",".join(table.columns).encode())
    told.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    rows = np.unique(np.linspace(0, len(faces) - 1, 64).astype(int))
    told.update(np.ascontiguousarray(faces.gather(rows)).tobytes())
    return told.hexdigest()[:16]


@contextlib.contextmanager
def stoppable(active: bool) -> Iterator[Callable[[], str]]:
    """Let SIGINT and SIGTERM be asked for instead of striking; gives the name of the one that came.

    A second one strikes. Only the main thread can listen; elsewhere nothing is caught.
    """
    came: list[str] = []
    if not active or threading.current_thread() is not threading.main_thread():
        yield lambda: ""
        return

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        came.append(signal.Signals(number).name)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: came[0] if came else ""
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
