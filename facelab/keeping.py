"""Long work: done once, by one at a time, and gone on with after a kill.

In: a folder, everything that decides a result, a way to make it. Out: where the result lies. Those
who want the same thing at the same time wait for the first of them or are refused; a killed one
leaves nothing that could be taken for whole.
"""

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import facelab
from facelab import files
from facelab.errors import BadInput
from facelab.files import (
    ASIDE,
    check_place,
    difference,
    plain,
    put_in_place,
    remove_dead,
    write_json,
)

_PAUSE = 0.1  # seconds between two looks at a lock


@contextlib.contextmanager
def resume_folder(
    out: str | Path, order: dict[str, Any], replace: bool = False
) -> Iterator[tuple[Path, Path]]:
    """Yield a folder beside `out` that outlives a kill, and in it a folder for what is finished.

    The same `order` finds both again as they were left; when the block succeeds, the first becomes
    `out`, without the second. A block that fails leaves them for the next try, or nothing at all
    where nothing was finished yet.

    Parameters
    ----------
    out
        Where the whole result goes.
    order
        Everything that decides the result, as JSON can hold it: work that was done for another
        order is not gone on with.
    replace
        Whether what is at `out`, or is unfinished for another order, may be replaced.

    Raises
    ------
    BadInput
        `out` is taken, another process is writing it, or unfinished work of another order is there.
    """
    out, order = Path(out), json.loads(json.dumps(plain(order)))
    check_place(out, replace)
    remove_dead(out)
    aside = out.parent / f".{out.name}{ASIDE}"
    done, order_file = aside / "done", aside / "order.json"
    lock = _lock(aside, out)
    try:
        check_place(out, replace)  # the run that held the lock may have just finished
        different = ""
        if _holds_anything(done) and order_file.exists():
            different = difference(json.loads(order_file.read_text(encoding="utf-8")), order)
        if different and not replace:
            raise BadInput(
                f"an unfinished run for {out} differs in {different}: finish it by running it as "
                f"it was, choose another folder, or delete {aside}"
            )
        if different or not order_file.exists():
            shutil.rmtree(done, ignore_errors=True)
            write_json(order_file, order)
        done.mkdir(exist_ok=True)
        yield aside, done
        # A rename costs no time in which a kill could part the result from what it was made of.
        spent = done.rename(out.parent / f".{out.name}.{os.getpid()}{ASIDE}")
        order_file.unlink()
        (aside / "lock").unlink()
        put_in_place(aside, out)
        shutil.rmtree(spent, ignore_errors=True)
    except BaseException:
        if not _holds_anything(done):
            shutil.rmtree(aside, ignore_errors=True)
        raise
    finally:
        lock.release()


@contextlib.contextmanager
def locked(
    folder: str | Path, work: str | Path | None = None, wait: bool = False
) -> Iterator[None]:
    """Make a folder and keep other processes from working in it.

    Parameters
    ----------
    folder
        Holds the lock.
    work
        What is named to those who are refused; by default the folder.
    wait
        Wait for the process that holds the lock, until it has finished or was killed.

    Raises
    ------
    BadInput
        Another process works in it, and `wait` is False.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder, Path(work or folder), wait)
    try:
        yield
    finally:
        lock.release()


def _lock(folder: Path, work: Path, wait: bool = False) -> FileLock:
    """Lock a folder for this process; the lock goes with the process, however it ends."""
    while True:
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / "lock", timeout=-1 if wait else 0, poll_interval=_PAUSE)
        # A folder that has just been put in place, or a lock that went with it: look again.
        with contextlib.suppress(FileNotFoundError):
            try:
                lock.acquire()
            except Timeout:
                raise BadInput(
                    f"another run{_holder(lock)} is writing {work}: wait for it, or choose another "
                    "folder"
                ) from None
            with contextlib.suppress(PermissionError):  # Windows lets nobody at a locked file
                Path(lock.lock_file).write_text(str(os.getpid()))
            return lock


def _holder(lock: FileLock) -> str:
    try:
        return f" (process {Path(lock.lock_file).read_text()})"
    except PermissionError:
        return ""


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def once(
    folder: str | Path, kind: str, order: dict[str, Any], make: Callable[[Path], object]
) -> Path:
    """The folder of a result, made now unless it was made before.

    Parameters
    ----------
    folder
        Where results are kept; anything in it may be deleted when nobody is at work.
    kind
        What the result is: the first word of its folder's name.
    order
        Everything that decides the result, as JSON can hold it.
    make
        Writes the result to a path that it is given, whole or not at all.
    """
    out = Path(folder) / f"{kind}-{digest(order)}"
    if not out.exists():
        with locked(Path(folder) / ".locks" / out.name, out, wait=True):
            if not out.exists():
                make(out)
    return out


def digest(order: Any) -> str:
    """A short name for a value that JSON can hold."""
    return hashlib.sha256(files.as_json(order).encode()).hexdigest()[:24]


@cache
def code_of(*rooms: str) -> str:
    """The SHA-256 of facelab's own files, in some rooms or in all: other code, other results."""
    home = Path(facelab.__file__).parent
    told = hashlib.sha256(facelab.__version__.encode())
    for path in sorted(path for room in rooms or (".",) for path in (home / room).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            told.update(f"{path.relative_to(home)} {files.sha256(path)}\n".encode())
    return told.hexdigest()


@cache
def end_with(parent: int) -> None:
    """End this worker soon after the process that started it, also where that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
