"""Long work: done once, by one at a time, and gone on with after a kill.

In: a folder, everything that decides a result, a way to make it. Out: where the result lies. Those
who want the same thing at the same time wait for the first of them or are refused; a killed one
leaves nothing that could be taken for whole.
"""

import ast
import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import facelab
from facelab import files, owners, places
from facelab.artefacts import Kind
from facelab.errors import FULL, BadInput, not_written, saying_of_full, warn
from facelab.files import difference, plain, write_json
from facelab.owners import Lock, Taken
from facelab.places import ASIDE, NEW, check_place, put_in_place

T = TypeVar("T")


@contextlib.contextmanager
def resume_folder(
    out: str | Path,
    order: dict[str, Any],
    replace: bool = False,
    kind: Kind | None = None,
) -> Iterator[tuple[Path, Path]]:
    """Yield a folder that becomes `out`, and one for what is finished; both outlive a kill.

    They lie in a hidden folder beside `out`. The same `order` finds both again as they were left;
    when the block succeeds, the first becomes `out`, and the second goes. A block that fails leaves
    them for the next try, or nothing at all where nothing was finished yet.

    Parameters
    ----------
    out
        Where the whole result goes.
    order
        Everything that decides the result, as JSON can hold it: work that was done for another
        order is not gone on with.
    replace
        Whether what is at `out`, or is unfinished for another order, may be replaced.
    kind
        What the result is: nothing of another kind is replaced.

    Raises
    ------
    BadInput
        `out` is taken, another process is writing it, unfinished work of another order is there, or
        a hidden folder of somebody else's lies where it would be.
    """
    out, order = Path(out), json.loads(json.dumps(plain(order)))
    check_place(out, replace, kind)
    place = out.parent / f".{out.name}{ASIDE}"
    _refuse_foreign(place, out)
    lock = _lock(place, out)
    new, done, order_file = place / NEW, place / "done", place / "order.json"
    try:
        check_place(out, replace, kind)  # the run that held the lock may have just finished
        _refuse_foreign(place, out)
        different = ""
        if _holds_anything(done) and order_file.exists():
            different = _differs(order_file, order)
        if different and not replace:
            raise BadInput(
                f"an unfinished run for {out} differs in {different}: finish it by running it as "
                f"it was, choose another folder, or delete {place}"
            )
        kept = f"what is finished is kept in {place}, and the same call goes on with it"
        with saying_of_full(out, kept):
            places.sign(place, out, kind, goes_on=True)
            if different or not order_file.exists():
                shutil.rmtree(done, ignore_errors=True)
                shutil.rmtree(new, ignore_errors=True)
                write_json(order_file, order)
            new.mkdir(exist_ok=True)
            done.mkdir(exist_ok=True)
            yield new, done
            put_in_place(place, out, lock, replace, kind)
    finally:
        if lock.ours:  # and not a forked child's, which has nothing to end here
            if new.exists() and _holds_anything(done):
                lock.release()
            else:
                _clear(place, lock)


def _differs(file: Path, order: dict[str, Any]) -> str:
    try:
        return difference(files.read_values(file), order)
    except BadInput:
        return f"{file.name}, which is damaged"


def _refuse_foreign(place: Path, out: Path) -> None:
    """Refuse a hidden folder of our name that does not say that it is ours."""
    others = set()
    if place.is_dir() and not place.is_symlink():
        others = {path.name for path in place.iterdir()} - {owners.NAME, "owner.new"}
    if (others and places.signature(place, out) is None) or (
        os.path.lexists(place) and (place.is_symlink() or not place.is_dir())
    ):
        raise BadInput(
            f"{place} is where unfinished work for {out} would lie, and does not say that it is "
            "that: move it away, or choose another folder"
        )


def _clear(place: Path, lock: Lock) -> None:
    """Remove a place whose name all writers share: whoever waits for it finds it gone at once."""
    aside = place.with_name(f"{place.name.removesuffix(ASIDE)}.{secrets.token_hex(4)}{ASIDE}")
    if os.name == "nt":
        lock.release()  # Windows moves no open file
    place.rename(aside)
    places.clear(aside, lock)


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
        Another process works in it, and `wait` is False; or it may, and nobody here can tell.
    """
    folder = Path(folder)
    lock = _lock(folder, Path(work or folder), wait)
    try:
        yield
    finally:
        lock.release()


def _lock(folder: Path, work: Path, wait: bool = False) -> Lock:
    """Lock a folder for this process; the lock goes with the process, however it ends."""
    while True:
        places.make_folder(folder, work)
        # A folder that has just been put in place, or a lock that went with it: look again.
        with contextlib.suppress(FileNotFoundError):
            try:
                return owners.acquire(folder, wait)
            except Taken as taken:
                if not taken.sure:
                    raise BadInput(
                        f"another run{taken.who()} was writing {work}, and nobody here can tell "
                        f"whether it still does: wait for it; when it has ended, delete "
                        f"{taken.file} to go on; or choose another folder"
                    ) from None
                raise BadInput(
                    f"another run{taken.who()} is writing {work}: wait for it, or choose another "
                    "folder"
                ) from None
            except FileNotFoundError:
                raise
            except OSError as error:
                if error.errno in (*FULL, errno.EROFS):
                    raise not_written(error, work) from error
                raise BadInput(
                    f"{folder / owners.NAME} keeps two runs from writing {work} at once, and "
                    "cannot be opened: ask whoever made it to delete it or to let your group write "
                    "it, or choose another folder"
                ) from error


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def once(
    folder: str | Path,
    kind: str,
    order: dict[str, Any],
    make: Callable[[Path], object],
    load: Callable[[Path], T],
) -> T:
    """A result, made now unless it was made before.

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
    load
        Opens what `make` wrote. A result that somebody damaged, so that it cannot be opened, is
        made anew.
    """
    out = Path(folder) / f"{kind}-{digest(order)}"
    if (found := _opened(out, load)) is not None:
        return found
    with locked(Path(folder) / ".locks" / out.name, out, wait=True):
        if (found := _opened(out, load)) is not None:
            return found
        if out.exists():
            warn(f"{out} is damaged: it is made anew")
            places.discard(out)
        make(out)
    return load(out)


def _opened(out: Path, load: Callable[[Path], T]) -> T | None:
    if not out.exists():
        return None
    try:
        return load(out)
    except (BadInput, FileNotFoundError):
        return None


# ---- what decides a result


def digest(order: Any) -> str:
    """A short name for a value that JSON can hold."""
    return hashlib.sha256(files.as_json(order).encode()).hexdigest()[:24]


def made_with(*packages: str) -> dict[str, str | None]:
    """What decides a result's last digits: Python, the kind of machine, versions of packages."""
    found: dict[str, str | None] = dict.fromkeys(packages)
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "machine": platform.machine(), **found}


@cache
def code_of(*starts: str) -> str:
    """The SHA-256 of facelab's own files: other code, other results.

    Parameters
    ----------
    starts
        Rooms ("synthetic") and modules ("training.arms"), with all that they import and the data
        beside it; none is all of facelab.
    """
    home = Path(facelab.__file__).parent
    told = hashlib.sha256(facelab.__version__.encode())
    for path in sorted(_reached(home, starts) if starts else _files_in(home)):
        told.update(f"{path.relative_to(home)} {files.sha256(path)}\n".encode())
    return told.hexdigest()


def _files_in(folder: Path) -> set[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts}


def _reached(home: Path, starts: tuple[str, ...]) -> set[Path]:
    """All modules that some modules or rooms import, at once or when they are used, and data."""
    waiting = [path for start in starts for path in _named(home, f"facelab.{start}")]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [one for name in _imported(path) for one in _named(home, name, room=False)]
    rooms = {path.parent for path in found} - {home}
    beside = {path for room in rooms for path in _files_in(room)}
    return found | {path for path in beside if path.suffix not in (".py", ".pyi", ".md")}


def _named(home: Path, name: str, room: bool = True) -> list[Path]:
    """The file of a module; of a room all of its files, or its first alone."""
    path = home.joinpath(*name.split(".")[1:])
    if path.is_dir():
        return sorted(path.rglob("*.py")) if room else [path / "__init__.py"]
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


def _imported(path: Path) -> set[str]:
    """The names of facelab's modules in a module's import statements, wherever they stand."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == "facelab"}
