"""Files written whole or not at all.

Everything stored goes through here: written in a hidden folder beside its place, which says whose
it is and is locked while its writer lives, then renamed. A killed run or a full disk never leaves a
half-written file that could be read as a whole one, and nobody removes what another is writing.
"""

import contextlib
import functools
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from facelab import limits, words
from facelab.artefacts import FileKind, Kind
from facelab.errors import BadInput, Damaged, saying_of_full
from facelab.moving import identity
from facelab.owners import Lock
from facelab.places import (
    NEW,
    beside,
    check_file,
    check_ours,
    check_place,
    put_in_place,
    settle,
    stored,
)

if TYPE_CHECKING:
    import numpy as np

P = ParamSpec("P")
T = TypeVar("T")
_LOOKS = 100  # at a folder that is replaced again and again while it is read


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
def write_folder(
    out: str | Path, replace: bool = False, kind: Kind | None = None
) -> Iterator[Path]:
    """Yield an empty folder; it becomes `out` when the block succeeds.

    When the block fails, nothing stays behind. What an earlier, killed process left of this very
    `out` is removed. With `replace` the old folder at `out` stays until the new one is whole, and
    where the system can let two folders change places (Linux), there is always one of them.

    Raises
    ------
    BadInput
        `out` exists already and `replace` is False; it exists and is not a folder of this `kind`;
        it cannot be written or replaced; or something appeared there meanwhile, which is left as
        it is: the sentence says where the finished work lies.
    """
    out = Path(out)
    check_place(out, replace, kind)
    with beside(out, kind) as (place, lock):
        (place / NEW).mkdir()
        with saying_of_full(out):
            yield place / NEW
            put_in_place(place, out, lock, replace, kind)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file aside, then rename it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file aside, then rename it into place."""
    with write_file(path) as aside:
        aside.write_bytes(data)


def write_asked(path: str | Path, text: str, replace: bool, kind: FileKind) -> None:
    """Write a file that somebody named: over nothing, or with `replace` over one of its kind.

    Raises
    ------
    BadInput
        As of `check_file`; or a file appeared there meanwhile, which is left as it is: the
        sentence says where this one lies.
    """
    path = Path(path)
    check_file(path, replace, kind)
    with _written(path) as (place, lock):
        (place / NEW).write_bytes(text.encode())
        put_in_place(place, path, lock, replace, kind)


@contextlib.contextmanager
def write_file(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to write; it becomes `path` when the block succeeds.

    For files in folders of facelab's own: what has their name is replaced.
    """
    path = Path(path)
    settle(path)
    with _written(path) as (place, lock):
        yield place / NEW
        check_ours(lock, path)
        os.replace(place / NEW, path)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[tuple[Path, Lock]]:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} in")
    with beside(path, None) as aside, saying_of_full(path):
        yield aside


def of_one_version(load: Callable[P, T]) -> Callable[P, T]:
    """Let a function that reads its `folder` read it all of one version.

    Where another version took the folder's place meanwhile, it is read again. Maps of an old
    version's files stay as they were.
    """
    takes = inspect.signature(load)

    @functools.wraps(load)
    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = Path(takes.bind(*args, **kwargs).arguments["folder"])
        for _ in range(_LOOKS):
            seen = identity(_real(stored(folder)))
            with _kept_open(folder):
                try:
                    result = load(*args, **kwargs)
                except Exception:
                    # One version's table beside another's crops is nothing that can be read.
                    if identity(_real(folder)) == seen:
                        raise
                    continue
                if identity(_real(folder)) == seen:
                    return result
        raise BadInput(f"{folder} is replaced faster than it can be read: wait for the end of that")

    return again


def _real(path: Path) -> Path:
    """Where a path leads; one that leads in a circle is left as it is, and refused when read."""
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def _kept_open(folder: Path) -> Iterator[None]:
    """Keep a folder's identity from being given to another one; Windows opens no folder."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.close(file)


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
    except (FileNotFoundError, Damaged):
        raise
    except (ValueError, LookupError, TypeError, AttributeError, EOFError, OSError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{folder} cannot be read as {what}: {words}") from error


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
        It is not there, is empty, or is neither yaml nor, with the suffix .json, json.
    """
    return words.values(read_written(path))


def read_written(path: str | Path) -> Any:
    """The same with the scalars of yaml as words, for whoever knows what is wanted."""
    path = Path(path)
    kind, limit = ("json", limits.JSON) if path.suffix == ".json" else ("yaml", limits.YAML)
    data = limits.read_bytes(path, limit)
    if not data.strip():  # what a full disk leaves, and not what somebody means
        raise BadInput(f"{path} is empty: write in it what is meant, or {{}} where nothing is")
    return words.read(data, path, kind)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON aside, then rename; NumPy numbers are written as numbers, NaN as null."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """JSON as it is stored, for people to read."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"


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
