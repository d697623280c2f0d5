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
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facelab.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

ASIDE = ".partial"


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
    check_place(out, replace)
    remove_dead(out)
    aside = out.parent / f".{out.name}.{os.getpid()}{ASIDE}"
    aside.mkdir()
    try:
        yield aside
        put_in_place(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def difference(was: Any, now: Any, name: str = "") -> str:
    """Where two JSON values differ first, in words; empty where they do not."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            inner = f"{name}.{key}" if name else key
            if words := difference(was.get(key), now.get(key), inner):
                return words
        return ""
    return "" if was == now else f"{name} (it was {was}, now {now})"


def check_place(out: Path, replace: bool) -> None:
    """Refuse a place that is taken; make the folder above it."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadInput(f"{out} exists and is not a folder: choose another place")
    if out.exists() and not replace and any(out.iterdir()):
        raise BadInput(f"{out} exists already: choose another folder or ask to replace it")
    out.parent.mkdir(parents=True, exist_ok=True)


def put_in_place(aside: Path, out: Path) -> None:
    """Rename a finished folder to `out`; what was there goes when it is done."""
    old = None
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent)) / "old"
        out.rename(old)
    aside.rename(out)
    if old:
        shutil.rmtree(old.parent)


def remove_dead(out: Path) -> None:
    """Remove what killed writers of `out` left aside; a living writer's folder stays."""
    for aside in out.parent.glob(f".{out.name}.*{ASIDE}"):
        pid = aside.name.removesuffix(ASIDE).rsplit(".", 1)[-1]
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


def read_values(path: str | Path) -> Any:
    """What a yaml or json file holds, in plain values.

    Raises
    ------
    FileNotFoundError, BadInput
        It is not there, or is neither yaml nor, with the suffix .json, json.
    """
    import yaml

    path = Path(path)
    kind = "json" if path.suffix == ".json" else "yaml"
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if kind == "json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        words = " ".join(str(error).split())
        raise BadInput(f"{path} cannot be read: it is not valid {kind}: {words}") from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file aside, then rename it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file aside, then rename it into place."""
    path = Path(path)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=ASIDE, dir=path.parent)
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
        raise BadInput(f"{value} cannot be stored as JSON")
    if isinstance(value, Path):
        return str(value)
    return value
