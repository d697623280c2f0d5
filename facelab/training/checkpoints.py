"""Checkpoints: a training that was stopped goes on as if it had not been.

In: everything that changes during a training, as plain values and tensors. Out: files
`step-<n>.pt`, each written aside and renamed, by a thread while the training goes on; only the
newest few are kept. Where the centres lie with several processes, each writes its own beside it,
`step-<n>.part-<rank>.pt`, and the file itself comes last: where it is, all parts are.
"""

import contextlib
import hashlib
import io
import itertools
import json
import re
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from facelab import files, places, sums
from facelab.errors import BadInput, warn
from facelab.faces.faceset import FaceSet
from facelab.keeping import locked, made_with
from facelab.training.distributed import Team
from facelab.training.recipe import Recipe
from facelab.training.shards import put_together, taken_apart

_NAME = re.compile(r"step-\d{9}\.pt")  # other files in the folder are not ours
_PART = re.compile(r"(step-\d{9})\.part-(\d+)\.pt")
# What a kill may have left.
_BEGUN = re.compile(r"\.(step-\d{9}(?:\.part-\d+)?\.pt)\.[0-9a-f]{8}\.partial")


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    Parameters
    ----------
    folder
        Made if it is not there; the same one for all processes.
    keep
        How many to keep, the newest.
    order
        Everything that decides the training's result, as JSON can hold it; a checkpoint of another
        order is not gone on with.
    processes
        Who trains together; by default this one alone.

    Attributes
    ----------
    written
        The step of the newest checkpoint that this training has written whole; 0 before.
    """

    def __init__(
        self,
        folder: str | Path,
        keep: int,
        order: dict[str, Any],
        processes: Team | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.keep = keep
        self.order = json.loads(json.dumps(order))
        self.processes = processes or Team(torch.device("cpu"))
        self.written = 0
        # Parts of one checkpoint know each other by it, should those of two ever lie side by side.
        self._run = self.processes.told(lambda: secrets.token_hex(8))
        self._writer: threading.Thread | None = None
        self._failed = ""
        self._broken: Exception | None = None

    def found(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return sorted(p for p in self.folder.glob("step-*.pt") if _NAME.fullmatch(p.name))

    def latest(
        self, device: torch.device, cut: slice | None = None, number: int | None = None
    ) -> dict[str, Any] | None:
        """What the newest checkpoint holds, or None; of one that is damaged, the one before.

        All processes go on from the same one: what one of them cannot read, nobody takes.

        Parameters
        ----------
        device
            Where its tensors go.
        cut
            The subjects whose centres this process is to have, whoever wrote them; None leaves
            everything as it was saved.
        number
            The centres' number among the optimiser's parameters.

        Raises
        ------
        BadInput
            All are damaged, or the newest is of another training.
        """
        damaged = []
        for path in self.processes.told(lambda: self.found()[::-1]):
            found, words = None, ""
            try:
                found = self._read(path, device, cut, number)
            except BadInput as error:
                words = str(error)
            except Exception as error:
                # torch has no class of its own for what is wrong with a file.
                line = (str(error) or type(error).__name__).splitlines()[0]
                words = f"{path} cannot be read as a checkpoint ({line})"
            if words := next((one for one in self.processes.heard(words) if one), ""):
                damaged.append(words)
                continue
            order, state, made = found
            self._check(order)
            if self.processes.leads:
                _tell_of(path, damaged, made)
            return state
        if damaged:
            raise BadInput(
                f"{damaged[0]}; no checkpoint before it is whole either: delete them to begin again"
            )
        return None

    def _check(self, order: dict[str, Any]) -> None:
        if "recipe" in order:
            order = order | {"recipe": _of_today(order["recipe"])}
        # Earlier versions noted less.
        noted = {name: value for name, value in self.order.items() if name in order}
        if different := files.difference(order, noted):
            raise BadInput(
                f"{self.folder} holds the checkpoints of another training, which differs in "
                f"{different}: resume it as it was, or choose another folder"
            )

    def _read(
        self, path: Path, device: torch.device, cut: slice | None, number: int | None
    ) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """The order, the state and what wrote a checkpoint."""
        sums.check_signed(path)
        held = torch.load(path, map_location=device, weights_only=True)
        order, state = json.loads(held["order"]), held["state"]
        if not isinstance(order, dict) or not isinstance(state, dict):
            raise TypeError("it holds other things")
        if cut is not None:
            if "parts" in held:
                rows = _of_parts(path, held["parts"], cut)
            else:
                rows = {name: v[cut].clone() for name, v in taken_apart(state, number).items()}
            put_together(state, {name: v.to(device) for name, v in rows.items()}, number)
        return order, state, json.loads(held.get("made", "null"))

    def save(
        self, step: int, state: dict[str, Any], cuts: list[int] | None = None, number: Any = None
    ) -> None:
        """Copy a state to the host, and write it while the training goes on.

        If that fails, the one before is kept, and `tell` says so.

        Parameters
        ----------
        step
            Its number.
        state
            Everything; it may change as soon as this returns.
        cuts
            Where the centres' rows are cut into those of the processes, first 0 and last the number
            of subjects; None where all processes hold the same.
        number
            The centres' number among the optimiser's parameters.
        """
        self.finish()
        told = {
            name: json.dumps(value) for name, value in (("order", self.order), ("made", _made()))
        }
        part = None
        if cuts is not None:
            about = {"run": self._run, "step": step, "cuts": cuts}
            part = about | {"rows": on_host(taken_apart(state, number))}
            told["parts"] = about
        whole = told | {"state": on_host(state)} if self.processes.leads else None
        # A training that is interrupted for good still waits for its end.
        self._writer = threading.Thread(target=self._write, args=(step, whole, part))
        self._writer.start()

    def finish(self) -> int:
        """Wait until what is being written is written; gives the step of the newest whole one."""
        if self._writer:
            self._writer.join()
            self._writer = None
        self.tell()
        return self.written

    def tell(self) -> None:
        """Warn of a checkpoint that could not be written, once."""
        words, self._failed = self._failed, ""
        broken, self._broken = self._broken, None
        if broken:
            raise broken
        if words and self.processes.leads:
            warn(words)

    def _write(self, step: int, whole: dict[str, Any] | None, part: dict[str, Any] | None) -> None:
        path = self.folder / f"step-{step:09d}.pt"
        try:
            words = ""
            if part:
                words = _put(_part_of(path, self.processes.rank), part)
                heard = self.processes.heard(words, self.processes.writing)
                words = next((one for one in heard if one), "")
            if whole and not words:
                words = _put(path, whole)
            if words:
                self._failed = (
                    f"the checkpoint of step {step} could not be written, the one before is kept: "
                    f"{words}"
                )
            else:
                self.written = step
            if whole:
                self._tidy(path.stem, len(part["cuts"]) - 1 if part else 0)
        except Exception as error:  # for the thread that trains, which hears of it next
            self._broken = error

    def _tidy(self, newest: str, parts: int) -> None:
        """Remove what is older than is kept, and parts of what has others or did not get whole."""
        for old in self.found()[: -self.keep]:
            old.unlink(missing_ok=True)
        whole = {path.stem for path in self.found()}
        for path in list(self.folder.glob("step-*.pt")):
            if not (found := _PART.fullmatch(path.name)):
                continue
            step, rank = found[1], int(found[2])
            # Others may write the next one's by now.
            if (step not in whole and step <= newest) or (step == newest and rank >= parts):
                path.unlink(missing_ok=True)


def _put(path: Path, held: dict[str, Any]) -> str:
    """Write a file aside and rename it; gives what went wrong."""
    try:
        with files.write_file(path) as aside:
            with open(aside, "wb") as file:
                torch.save(held, file)
            sums.sign_file(aside)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError.
        return str(error)
    return ""


def _part_of(path: Path, rank: int) -> Path:
    return path.with_name(f"{path.stem}.part-{rank}.pt")


def _of_parts(path: Path, about: dict[str, Any], cut: slice) -> dict[str, Tensor]:
    """The rows of some subjects, from the parts of a checkpoint that have any of them."""
    found: dict[str, list[Tensor]] = {}
    cuts = about["cuts"]
    for rank, (start, stop) in enumerate(itertools.pairwise(cuts)):
        first, last = max(start, cut.start), min(stop, cut.stop)
        if first >= last:
            continue
        place = _part_of(path, rank)
        if not place.is_file():
            raise BadInput(f"{path} is not whole: {place.name} is missing")
        sums.check_signed(place)
        held = torch.load(place, map_location="cpu", weights_only=True, mmap=True)
        if {name: held[name] for name in about} != about:
            raise BadInput(f"{place} belongs to another checkpoint than {path.name}")
        for name, values in held["rows"].items():
            found.setdefault(name, []).append(values[first - start : last - start])
    return {name: torch.cat(parts) for name, parts in found.items()}


def on_host(value: Any) -> Any:
    """A copy of plain values and tensors in the host's memory, which no step changes."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return type(value)((name, on_host(one)) for name, one in value.items())
    if isinstance(value, list | tuple):
        return type(value)(on_host(one) for one in value)
    return value


def _tell_of(path: Path, damaged: list[str], made: Any) -> None:
    """Say which checkpoints were passed over, and what the one that is gone on with is not."""
    for words in damaged:
        warn(f"{words}: {path.name}, before it, is gone on with")
    if made and (change := files.difference(made, _made())):
        warn(
            f"{path} was written with another {change}: the training may end with other last "
            "digits than one that was never stopped"
        )


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
        for path in list(folder.glob("step-*.pt")):
            if _NAME.fullmatch(path.name) or _PART.fullmatch(path.name):
                path.unlink(missing_ok=True)
    if all(path.name == "lock" for path in folder.iterdir()):
        (folder / "lock").unlink()
        folder.rmdir()


def _made() -> dict[str, str | None]:
    return made_with("numpy", "torch", "timm")


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


def _of_today(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe that an earlier version noted, with what recipes have learnt to say since."""
    try:
        return Recipe.from_dict(recipe).to_dict()
    except BadInput:  # of what it asked for, today's version does otherwise
        return recipe
