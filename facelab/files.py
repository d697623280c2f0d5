"""Files written whole or not at all.

Everything stored goes through here: written aside under a recognisable name, then renamed, so that
a killed run or a full disk never leaves a half-written file that could be read as a whole one.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facelab.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

_ASIDE = ".partial"
_PAUSE = 0.1  # seconds between two looks at a lock


class _Busy(BadInput):
    """Another process holds the lock."""


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def write_folder(out: str | Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `out`; rename it to `out` when the block succeeds.

    When the block fails, nothing stays behind. What an earlier, killed process left aside is
    removed. With `replace` the old folder at `out` stays until the new one is whole.

    Raises
    ------
    BadInput
        `out` exists already and `replace` is False, or it exists and is not a folder.
    """
    out = Path(out)
    _check_place(out, replace)
    _remove_dead(out)
    aside = out.parent / f".{out.name}.{os.getpid()}{_ASIDE}"
    aside.mkdir()
    try:
        yield aside
        _put_in_place(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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
    out, order = Path(out), json.loads(json.dumps(_plain(order)))
    _check_place(out, replace)
    _remove_dead(out)
    aside = out.parent / f".{out.name}{_ASIDE}"
    done, order_file = aside / "done", aside / "order.json"
    lock = _lock(aside, out)
    try:
        _check_place(out, replace)  # the run that held the lock may have just finished
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
        spent = done.rename(out.parent / f".{out.name}.{os.getpid()}{_ASIDE}")
        order_file.unlink()
        (aside / "lock").unlink()
        _put_in_place(aside, out)
        shutil.rmtree(spent, ignore_errors=True)
    except BaseException:
        if not _holds_anything(done):
            shutil.rmtree(aside, ignore_errors=True)
        raise
    finally:
        os.close(lock)


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
    while True:
        try:
            handle = _lock(folder, Path(work or folder))
            break
        except _Busy:
            if not wait:
                raise
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        os.close(handle)


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _lock(aside: Path, out: Path) -> int:
    """Lock a folder for this process; the lock goes with the process, however it ends."""
    while True:
        aside.mkdir(exist_ok=True)
        try:
            handle = os.open(aside / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the folder has just been put in place
            continue
        if not _taken(handle):
            process = os.read(handle, 20).decode()
            os.close(handle)
            raise _Busy(
                f"another run (process {process}) is writing {out}: wait for it, or choose another "
                "folder"
            )
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(aside / "lock"), os.fstat(handle)):
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return handle
        os.close(handle)


def _taken(handle: int) -> bool:
    """Whether an open file could be locked."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        try:
            os.lseek(handle, 1000, os.SEEK_SET)  # beyond the number, which stays readable
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            return True
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def difference(was: Any, now: Any, name: str = "") -> str:
    """Where two JSON values differ first, in words; empty where they do not."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            inner = f"{name}.{key}" if name else key
            if words := difference(was.get(key), now.get(key), inner):
                return words
        return ""
    return "" if was == now else f"{name} (it was {was}, now {now})"


def _check_place(out: Path, replace: bool) -> None:
    """Refuse a place that is taken; make the folder above it."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadInput(f"{out} exists and is not a folder: choose another place")
    if out.exists() and not replace and any(out.iterdir()):
        raise BadInput(f"{out} exists already: choose another folder or ask to replace it")
    out.parent.mkdir(parents=True, exist_ok=True)


def _put_in_place(aside: Path, out: Path) -> None:
    """Rename a finished folder to `out`; what was there goes when it is done."""
    old = None
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent)) / "old"
        out.rename(old)
    aside.rename(out)
    if old:
        shutil.rmtree(old.parent)


def _remove_dead(out: Path) -> None:
    """Remove what killed writers of `out` left aside; a living writer's folder stays."""
    for aside in out.parent.glob(f".{out.name}.*{_ASIDE}"):
        pid = aside.name.removesuffix(_ASIDE).rsplit(".", 1)[-1]
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                os.kill(int(pid), 0)
                continue
            except ProcessLookupError:
                pass
            except PermissionError:
                continue
        shutil.rmtree(aside, ignore_errors=True)


def reserve_array(path: str | Path, shape: tuple[int, ...], dtype: Any = "uint8") -> "np.memmap":
    """A new .npy file as a writable memory map, its disk space taken at once.

    Writing into a map whose file has no space on the disk would kill the process.

    Raises
    ------
    OSError
        There is not enough space; the message says how much is needed.
    """
    import numpy as np

    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):  # macOS and Windows have none
        try:
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
        except OSError as error:
            needed = f"{os.strerror(error.errno)}: {array.nbytes / 1e6:,.0f} MB are needed"
            raise OSError(error.errno, needed, str(path)) from error
    return array


def write_text(path: str | Path, text: str) -> None:
    """Write a text file aside, then rename it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file aside, then rename it into place."""
    path = Path(path)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_ASIDE, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON aside, then rename; NumPy numbers are written as numbers, NaN as null."""
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def as_json(value: Any) -> str:
    """JSON that is the same for the same value, whatever the order of its keys."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise BadInput(f"{value} cannot be stored as JSON")
    if isinstance(value, Path):
        return str(value)
    return value
