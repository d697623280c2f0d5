"""Files written whole or not at all.

Everything stored goes through here: written in a hidden folder beside its place, which says whose
it is and is locked while its writer lives, then renamed. A killed run or a full disk never leaves a
half-written file that could be read as a whole one, and nobody removes what another is writing.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from facelab import words
from facelab.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

ASIDE = ".partial"
OWNER = "owner.json"  # says for which output a hidden folder was made
NEW, OLD = "new", "old"  # in such a folder: the output to be, and what it takes the place of


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def contents(path: str | Path) -> str:
    """The SHA-256 of everything in a file or folder: every name and every byte, links followed.

    Hidden files are no content; a link that leads nowhere counts as its name.
    """
    path = Path(path)
    if path.is_file():
        return sha256(path)
    told, seen = hashlib.sha256(), set()

    def refuse(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(path, followlinks=True, onerror=refuse):
        seen.add(os.path.realpath(folder))
        # A link back up would be walked for ever.
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith((".", "__pycache__"))
            and os.path.realpath(os.path.join(folder, name)) not in seen
        )
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(folder, name)
            content = sha256(file) if file.is_file() else ""
            told.update(f"{file.relative_to(path).as_posix()} {content}\n".encode())
    return told.hexdigest()


# ---- written aside, then renamed


@contextlib.contextmanager
def write_folder(out: str | Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder; it becomes `out` when the block succeeds.

    When the block fails, nothing stays behind. What an earlier, killed process left of this very
    `out` is removed. With `replace` the old folder at `out` stays until the new one is whole.

    Raises
    ------
    BadInput
        `out` exists already and `replace` is False, or it exists and is not a folder.
    """
    out = Path(out)
    check_place(out, replace)
    with _beside(out) as place:
        (place / NEW).mkdir()
        yield place / NEW
        put_in_place(place, out)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file aside, then rename it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file aside, then rename it into place."""
    with write_file(path) as aside:
        aside.write_bytes(data)


@contextlib.contextmanager
def write_file(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to write; it becomes `path` when the block succeeds."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} in")
    settle(path)
    with _beside(path) as place:
        yield place / NEW
        os.replace(place / NEW, path)


def check_place(out: Path, replace: bool) -> None:
    """Refuse a place that is taken; make the folder above it."""
    settle(out)
    if out.is_symlink():
        raise BadInput(f"{out} is a link: give the folder that it points to, or another place")
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} exists and is not a folder: choose another place")
    if out.exists() and not replace and any(out.iterdir()):
        raise BadInput(
            f"{out} exists already: choose another folder, or replace it (replace=True, --force)"
        )
    make_folder(out.parent, out)


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out`: signed, locked for as long as this process lives, then gone."""
    place = out.parent / f".{out.name}.{secrets.token_hex(4)}{ASIDE}"
    make_folder(place, out)
    # Locked before it is signed: to others it is nobody's until it is somebody's who lives.
    lock = hold(place)
    try:
        sign(place, out)
        yield place
    finally:
        clear(place, lock)


def make_folder(place: Path, out: Path) -> None:
    """Make a folder that `out` needs; what hinders it is told of `out`, which is what was asked."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno), str(out)) from error


def hold(folder: Path) -> FileLock:
    """Lock a folder; the lock goes with the process, however that ends.

    Raises
    ------
    filelock.Timeout
        Another process, or another part of this one, holds it.
    """
    lock = FileLock(folder / "lock", timeout=0)
    lock.acquire()
    return lock


def sign(place: Path, out: Path, goes_on: bool = False) -> None:
    """Write into a hidden folder that it belongs to `out`, and whether its work is gone on with."""
    (place / OWNER).write_text(json.dumps({"output": out.name, "goes_on": goes_on}))


def signature(place: Path, out: Path) -> dict[str, Any] | None:
    """What a hidden folder says of itself, if it says that it belongs to `out`."""
    try:
        told = json.loads((place / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("output") == out.name else None


def put_in_place(place: Path, out: Path) -> None:
    """Rename the new folder in a hidden one to `out`; what was there waits in it to be removed."""
    if out.exists():
        out.rename(place / OLD)
    (place / NEW).rename(out)


def settle(out: str | Path) -> Path:
    """End what killed writers of `out` began, and give `out` back as a path.

    One that was killed between the two renames of `put_in_place` had its result ready: that is put
    there. What others left is removed, unless it is to be gone on with. Folders that do not say
    that they belong to this very output, or whose writer lives, are left as they are.
    """
    out = Path(out)
    for place in _places_of(out):
        told = signature(place, out)
        if told is None:
            continue
        try:
            lock = hold(place)
        except (Timeout, OSError):  # its writer lives, has just finished, or is not of our group
            continue
        finished, changing = not (place / NEW).exists(), (place / OLD).exists()
        if changing and not finished and not out.exists():
            (place / NEW).rename(out)
            finished = True
        if finished or not (changing or told.get("goes_on")):
            clear(place, lock)
        lock.release()
    return out


def stored(folder: str | Path) -> Path:
    """A folder to be read, put in place first where a kill came between the two renames."""
    folder = Path(folder)
    return folder if folder.exists() else settle(folder)


def check_stored(folder: Path, names: Iterable[str], what: str) -> None:
    """Refuse a folder that is not there, or that lacks a file of what it should hold."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {what}: {name} is missing")


@contextlib.contextmanager
def reading(folder: Path, what: str) -> Iterator[None]:
    """What a damaged file raises, be it json, parquet or npy, as one sentence on the folder."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, EOFError, OSError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{folder} cannot be read as {what}: {words}") from error


def _places_of(out: Path) -> list[Path]:
    """The hidden folders that may be of `out`: their signatures say whether they are."""
    start = f".{out.name}."
    try:
        with os.scandir(out.parent) as entries:
            names = [e.name for e in entries if e.name.startswith(start) and e.name.endswith(ASIDE)]
    except OSError:
        return []
    return [out.parent / name for name in names]


def clear(place: Path, lock: FileLock) -> None:
    """Remove a hidden folder that we hold."""
    if os.name == "nt":
        lock.release()  # Windows removes no open file
    try:
        shutil.rmtree(place)
    except FileNotFoundError:
        pass  # another process found it unlocked, as Windows has it, and was faster
    except OSError as error:
        warnings.warn(f"{place} is left over and cannot be removed: {error}", stacklevel=3)
    lock.release()


# ---- what is in them


def difference(was: Any, now: Any, name: str = "") -> str:
    """Where two JSON values differ first, in words; empty where they do not."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            inner = f"{name}.{key}" if name else key
            if words := difference(was.get(key), now.get(key), inner):
                return words
        return ""
    return "" if was == now else f"{name} (it was {was}, now {now})"


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


def read_values(path: str | Path) -> Any:
    """What a yaml or json file holds, in plain values.

    Raises
    ------
    FileNotFoundError, BadInput
        It is not there, or is neither yaml nor, with the suffix .json, json.
    """
    return words.values(read_written(path))


def read_written(path: str | Path) -> Any:
    """The same with the scalars of yaml as words, for whoever knows what is wanted."""
    path = Path(path)
    return words.read(path.read_bytes(), path, "json" if path.suffix == ".json" else "yaml")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON aside, then rename; NumPy numbers are written as numbers, NaN as null."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def as_json(value: Any) -> str:
    """JSON that is the same for the same value, whatever the order of its keys."""
    return json.dumps(plain(value), sort_keys=True)


def plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise BadInput(f"{value} cannot be stored as JSON: leave it out")
    if isinstance(value, Path):
        return str(value)
    return value
