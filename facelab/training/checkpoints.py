"""Checkpoints: a training that was stopped goes on as if it had not been.

In: everything that changes during a training, as plain values and tensors. Out: files
`step-<n>.pt`, each written aside and renamed; only the newest few are kept.
"""

import contextlib
import hashlib
import io
import json
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from facelab import files, places, sums
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.keeping import locked, made_with

_NAME = re.compile(r"step-\d{9}\.pt")  # other files in the folder are not ours
_BEGUN = re.compile(rf"\.({_NAME.pattern})\.[0-9a-f]{{8}}\.partial")  # what a kill may have left


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
        self.keep = keep
        self.order = json.loads(json.dumps(order))

    def found(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return sorted(p for p in self.folder.glob("step-*.pt") if _NAME.fullmatch(p.name))

    def latest(self, device: torch.device) -> dict[str, Any] | None:
        """What the newest checkpoint holds, or None; of one that is damaged, the one before.

        Raises
        ------
        BadInput
            All are damaged, or the newest is of another training.
        """
        damaged = []
        for path in reversed(self.found()):
            try:
                sums.check_signed(path)
                order, state, made = _read(path, device)
            except BadInput as error:
                damaged.append(str(error))
                continue
            except Exception as error:
                # torch has no class of its own for what is wrong with a file.
                line = (str(error) or type(error).__name__).splitlines()[0]
                damaged.append(f"{path} cannot be read as a checkpoint ({line})")
                continue
            self._check(order)
            for words in damaged:
                warnings.warn(f"{words}: {path.name}, before it, is gone on with", stacklevel=2)
            if made and (change := files.difference(made, _made())):
                warnings.warn(
                    f"{path} was written with another {change}: the training may end with other "
                    "last digits than one that was never stopped",
                    stacklevel=2,
                )
            return state
        if damaged:
            raise BadInput(
                f"{damaged[0]}; no checkpoint before it is whole either: delete them to begin again"
            )
        return None

    def _check(self, order: dict[str, Any]) -> None:
        # Earlier versions noted less.
        noted = {name: value for name, value in self.order.items() if name in order}
        if different := files.difference(order, noted):
            raise BadInput(
                f"{self.folder} holds the checkpoints of another training, which differs in "
                f"{different}: resume it as it was, or choose another folder"
            )

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint; if that fails, warn and keep the one before."""
        path = self.folder / f"step-{step:09d}.pt"
        told = {
            name: json.dumps(value) for name, value in (("order", self.order), ("made", _made()))
        }
        try:
            with files.write_file(path) as aside:
                with open(aside, "wb") as file:
                    torch.save({**told, "state": state}, file)
                sums.sign_file(aside)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError.
            words = f"the checkpoint of step {step} could not be written, the one before is kept"
            warnings.warn(f"{words}: {error}", stacklevel=2)
            return
        for old in self.found()[: -self.keep]:
            old.unlink(missing_ok=True)


def remove_checkpoints(folder: str | Path) -> None:
    """Remove the checkpoints in a folder, and the folder where it held nothing else.

    Raises
    ------
    BadInput
        A training is still writing there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return
    with locked(folder):
        for entry in list(folder.iterdir()):
            if begun := _BEGUN.fullmatch(entry.name):
                places.settle(folder / begun[1])
        for path in Checkpoints(folder, 1, {}).found():
            path.unlink(missing_ok=True)
    if all(path.name == "lock" for path in folder.iterdir()):
        (folder / "lock").unlink()
        folder.rmdir()


def _made() -> dict[str, str | None]:
    return made_with("numpy", "torch", "timm")


def _read(path: Path, device: torch.device) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """The order, the state and what wrote a checkpoint."""
    held = torch.load(path, map_location=device, weights_only=True)
    order, state = json.loads(held["order"]), held["state"]
    if not isinstance(order, dict) or not isinstance(state, dict):
        raise TypeError("it holds other things")
    return order, state, json.loads(held.get("made", "null"))


def fingerprint(faces: FaceSet) -> str:
    """A short name for a FaceSet's content: its whole table, and 64 crops spread over it."""
    table = faces.table.astype("str")
    told = hashlib.sha256(",".join(table.columns).encode())
    told.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    rows = np.unique(np.linspace(0, len(faces) - 1, 64).astype(int))
    told.update(np.ascontiguousarray(faces.gather(rows)).tobytes())
    return told.hexdigest()[:16]


def packed(frames: list[pd.DataFrame]) -> list[Tensor]:
    """Tables as a checkpoint can hold them, to the last bit: parquet files in tensors."""
    files_ = [np.frombuffer(frame.to_parquet(), np.uint8) for frame in frames]
    return [torch.tensor(data) for data in files_]


def unpacked(tensors: list[Tensor]) -> list[pd.DataFrame]:
    """The tables again."""
    return [pd.read_parquet(io.BytesIO(data.cpu().numpy().tobytes())) for data in tensors]


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
