"""Hidden folders beside an output: where it is made, and how it takes its place.

In: the output's path. Out: a folder beside it that says whose it is and is locked while its writer
lives; then the output, at once, where nothing else appeared. What killed writers left is ended by
whoever comes next, reader or writer.
"""

import contextlib
import errno
import itertools
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facelab import moving, owners
from facelab.artefacts import KINDS, FileKind, Kind, foreign, foreign_file
from facelab.errors import FULL, BadInput, FacelabError, not_written, warn
from facelab.owners import Lock, Taken

ASIDE = ".partial"
OWNER = "owner.json"  # says for which output a hidden folder was made
NEW, READY, OLD = "new", "ready", "old"  # the output to be; when it takes a place; what had that
SWAP = "swap.json"  # which one `ready` is, before two change places
_RESERVED = {"con", "prn", "aux", "nul", *(f"{a}{n}" for a in ("com", "lpt") for n in range(1, 10))}
_LONGEST_PLAIN = 100
_LONGEST = 255 - len("..12345678") - len(ASIDE)  # bytes of a name, so that a hidden one fits


# ---- before the work


def check_place(out: Path, replace: bool, kind: Kind | None = None) -> None:
    """Refuse a place that is taken or cannot be written; make the folder above it.

    Raises
    ------
    BadInput
        Why `out` cannot be made there, or not be replaced.
    """
    _check_name(out)
    with _said_of(out):
        _check_place(out, replace, kind)


def _check_place(out: Path, replace: bool, kind: Kind | None) -> None:
    settle(out)
    if out.is_symlink():
        raise BadInput(f"{out} is a link: give the folder that it points to, or another place")
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} exists and is not a folder: choose another place")
    if out.exists() and any(out.iterdir()):
        if not replace:
            raise BadInput(
                f"{out} exists already: choose another folder, or replace it (replace=True, "
                "--force)"
            )
        if why := foreign(out, kind):
            raise BadInput(f"{out} is not replaced: {why}; choose another folder, or move it away")
    if os.path.realpath(out) in {place for place, _, _ in owners.mounts()}:
        raise BadInput(
            f"a disk is mounted at {out}, which cannot be replaced: give a folder in it, such as "
            f"{out / 'result'}"
        )
    make_folder(out.parent, out)
    _check_writable(out)


def check_file(path: Path, replace: bool, kind: FileKind | None = None) -> None:
    """Refuse a file that is there, is not to be replaced, or cannot be written.

    Raises
    ------
    FileNotFoundError, BadInput
        There is no folder for it; or why it cannot be written.
    """
    _check_name(path)
    with _said_of(path):
        _check_file(path, replace, kind)


def _check_file(path: Path, replace: bool, kind: FileKind | None) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} in")
    settle(path)
    if path.is_symlink():
        raise BadInput(f"{path} is a link: give the file that it points to, or another one")
    if path.is_dir():
        raise BadInput(f"{path} is a folder: give a file in it")
    if path.exists():
        if not replace:
            raise BadInput(
                f"{path} exists already: choose another file, or replace it (replace=True, --force)"
            )
        why = "" if moving.is_plain_file(path) else "it is no file"
        if why := why or foreign_file(path, kind):
            raise BadInput(f"{path} is not replaced: {why}; choose another file, or move it away")
    _check_writable(path)


def _check_name(out: Path) -> None:
    if "\0" in str(out):
        raise BadInput(f"{str(out)!r} cannot be written: no name holds a NUL character")
    if out.name in ("", ".."):
        raise BadInput(f"{out} has no name of its own: give one, such as {out / 'result'}")
    try:
        length = len(os.fsencode(out.name))
    except UnicodeEncodeError:
        raise BadInput(f"{str(out)!r} cannot be written: it is not all letters") from None
    if length > _LONGEST:
        raise BadInput(f"the name {out.name[:20]}... is too long: give one of {_LONGEST} bytes")


@contextlib.contextmanager
def _said_of(out: Path) -> Iterator[None]:
    """Say what the system says of a place as a sentence on it."""
    try:
        yield
    except (FacelabError, FileNotFoundError):
        raise
    except OSError as error:
        raise not_written(error, out) from error


def _check_writable(out: Path) -> None:
    """Refuse a place beside which nothing can be made; only trying tells all the reasons."""
    try:
        tried = _hidden(out)
        tried.mkdir()
        _remove_empty(tried)
    except OSError as error:
        raise not_written(error, out) from error


def make_folder(place: Path, out: Path) -> None:
    """Make a folder that `out` needs; what hinders it is told of `out`, which is what was asked."""
    while True:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            if os.path.lexists(place):
                raise not_written(error, out) from error
            continue  # it went while it was looked at
        except OSError as error:
            raise not_written(error, out) from error
        return


def check_plain(name: Any, where: str = "") -> None:
    """Refuse a name that not every disk takes for a file, or that climbs out of its place."""
    plain = isinstance(name, str) and re.fullmatch(r"\w[\w .+-]*", name) and name[-1] not in ". "
    if plain and len(os.fsencode(name)) > _LONGEST_PLAIN:
        raise BadInput(
            f"{where}the name {name[:20]}... is too long: at most {_LONGEST_PLAIN} bytes"
        )
    if not plain or name.partition(".")[0].lower() in _RESERVED:
        raise BadInput(f"{where}the name {name!r} must be letters, digits, '-', '_' and '.'")


# ---- made aside


@contextlib.contextmanager
def beside(out: Path, kind: Kind | None) -> Iterator[tuple[Path, Lock]]:
    """A hidden folder beside `out`: signed, locked for as long as this process lives, then gone."""
    while True:
        place = _hidden(out)
        try:
            place.mkdir()
            # Locked before it is signed: to others it is nobody's until it is somebody's who lives.
            try:
                lock = hold(place)
            except OSError:
                _remove(place)  # which is new, and nobody else's
                raise
        except (FileExistsError, FileNotFoundError, Taken):
            # One of that name, or somebody took it for left over in its first moment.
            if not out.parent.is_dir():
                raise
            continue
        except OSError as error:
            raise not_written(error, out) from error
        break
    try:
        with _said_of(out):
            sign(place, out, kind)
        yield place, lock
    finally:
        if lock.ours:  # and not a forked child's, which has nothing to clear here
            clear(place, lock)


def _hidden(out: Path) -> Path:
    """A name for a hidden folder, which no other writer makes up, be it a thread beside it."""
    return out.parent / f".{out.name}.{secrets.token_hex(4)}{ASIDE}"


def hold(folder: Path) -> Lock:
    """Lock a folder; the lock goes with the process, however that ends.

    Raises
    ------
    Taken
        Another process, or another part of this one, holds it, or may.
    """
    return owners.acquire(folder)


def sign(place: Path, out: Path, kind: Kind | None = None, goes_on: bool = False) -> None:
    """Write into a hidden folder that it belongs to `out`, and whether its work is gone on with."""
    told = {"output": out.name, "goes_on": goes_on, "kind": kind.what if kind else None}
    _note(place / OWNER, told)


def signature(place: Path, out: Path) -> dict[str, Any] | None:
    """What a hidden folder says of itself, if it says that it belongs to `out`."""
    told = _told(place / OWNER)
    return told if told.get("output") == out.name else None


def _told(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _note(path: Path, told: dict[str, Any], now: bool = False) -> None:
    """Write what others go by, whole; `now` is on the disk before anything else is done."""
    aside = path.with_suffix(".new")
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(told, file)
        if now:
            file.flush()
            os.fsync(file.fileno())
    os.replace(aside, path)


# ---- put in place


def put_in_place(
    place: Path, out: Path, lock: Lock, replace: bool, kind: Kind | FileKind | None
) -> None:
    """Give what is new in a hidden folder the name `out`; what was there waits in it to be removed.

    Raises
    ------
    BadInput
        Something is at `out` that may not be replaced; what is new then lies beside it.
    """
    check_ours(lock, out)
    while True:
        try:
            if not (replace and os.path.lexists(out)):
                moving.put_new(place / NEW, out)
                return
            if why := _swap(place, out, kind):
                raise _kept_beside(place, out, f"{out} was not replaced: {why}")
            return
        except FileNotFoundError:  # removed, or between two names, meanwhile
            if not os.path.lexists(place / NEW):
                raise
        except OSError as error:
            if error.errno in FULL:
                raise
            if not moving.is_taken(error):
                raise not_written(error, out) from error
            if not replace:
                said = f"{out} appeared while this was made, and was left as it is"
                raise _kept_beside(place, out, said) from error


def _swap(place: Path, out: Path, kind: Kind | FileKind | None) -> str:
    """Let new and old change places; why not, where the old is not to be replaced."""
    if why := _not_ours(out, kind):
        return why
    ready, old = place / READY, place / OLD
    # Whoever finds this after a kill knows from it which of the two lies here.
    _note(place / SWAP, {"ready": moving.identity(place / NEW)}, now=True)
    os.rename(place / NEW, ready)
    try:
        if moving.exchange(ready, out):
            if why := _not_ours(ready, kind):  # it came between the look and the exchange
                moving.exchange(ready, out)
                os.rename(ready, place / NEW)
            return why
        os.rename(out, old)
    except OSError:
        os.rename(ready, place / NEW)
        raise
    if why := _not_ours(old, kind):
        moving.put_new(old, out)
        os.rename(ready, place / NEW)
        return why
    try:
        moving.put_new(ready, out)
    except OSError:  # another one was faster; what this took away was to be replaced
        os.rename(old, place / f"{OLD}.removed.{secrets.token_hex(4)}")
        os.rename(ready, place / NEW)
        raise
    return ""


def _not_ours(path: Path, kind: Kind | FileKind | None) -> str:
    """Why what is there is not to be replaced; "" where it may be."""
    if path.is_symlink():
        return "it is a link"
    if isinstance(kind, FileKind):
        return foreign_file(path, kind) if moving.is_plain_file(path) else "it is no file"
    return foreign(path, kind) if path.is_dir() else "it is no folder"


def _kept_beside(place: Path, out: Path, said: str) -> BadInput:
    """Put what is finished under the next free name, and say so."""
    for number in itertools.count(2):
        other = out.with_name(f"{out.stem}-{number}{out.suffix}")
        try:
            moving.put_new(place / NEW, other)
        except OSError as error:
            if moving.is_taken(error) and number < 1000:
                continue
            raise
        break
    return BadInput(f"{said}; what was made is kept in {other}")


def check_ours(lock: Lock, out: Path) -> None:
    if not lock.ours:
        raise BadInput(f"{out} is being written by the process that this one was forked from")


def settle(out: str | Path) -> Path:
    """End what killed writers of `out` began, and give `out` back as a path.

    One that was killed while new and old changed places is finished or undone. What others left is
    removed, unless it is to be gone on with. Folders that do not say that they belong to this very
    output, or whose writer lives or may live, are left as they are.
    """
    out = Path(out)
    for place in _places_of(out):
        told = signature(place, out)
        if told is None and not (_is_own(place, out) and _is_begun(place)):
            continue
        try:
            lock = hold(place)
        except (Taken, OSError):  # its writer lives, has just finished, or is not of our group
            continue
        try:
            if told is None and not _is_begun(place):
                continue
            _recover(place, out, told or {}, lock)
        except OSError as error:
            warn(f"{place} is left as a killed writer left it: {error}")
        finally:
            lock.release()
    return out


def _is_own(place: Path, out: Path) -> bool:
    """Whether a hidden folder's name is one that a writer of `out` makes up."""
    made_up = re.escape(f".{out.name}.") + "[0-9a-f]{8}" + re.escape(ASIDE)
    return re.fullmatch(made_up, place.name) is not None


def _is_begun(place: Path) -> bool:
    """Whether a hidden folder of a writer holds nothing, not even a signature, yet or any more."""
    try:
        return {entry.name for entry in os.scandir(place)} <= {owners.NAME, "owner.new"}
    except OSError:
        return False


def _recover(place: Path, out: Path, told: dict[str, Any], lock: Lock) -> None:
    """End what one killed writer began; its folder is held."""
    ready, old = place / READY, place / OLD
    kind = KINDS.get(told.get("kind") or "")
    taken = old
    if os.path.lexists(ready):
        mine = moving.identity(ready)
        if not os.path.lexists(old) and list(mine or ()) == _told(place / SWAP).get("ready"):
            os.rename(ready, place / NEW)  # nothing had changed places yet
        elif not os.path.lexists(old):
            taken = ready
        elif not os.path.lexists(out):
            moving.put_new(ready, out)
    if os.path.lexists(taken):
        # What was taken away is removed only when it was to be, and something is in its place.
        why = _not_ours(taken, kind) if taken.is_dir() else ""
        if os.path.lexists(old) and os.path.lexists(ready):
            why = f"{out} is there again"
        if why:
            words = f"{taken} was at {out} when a writer was killed: it is left there, for {why}"
            warn(words)
            return
        clear(place, lock)
        return
    goes_on = told.get("goes_on") and place.name == f".{out.name}{ASIDE}"
    if not (goes_on and os.path.lexists(place / NEW)):
        clear(place, lock)


def stored(folder: str | Path) -> Path:
    """A folder to be read, put in place first where a kill came between the two renames."""
    folder = Path(folder)
    for _ in range(50):
        if folder.exists() or settle(folder).exists():
            break
        # A living writer, where two folders cannot change places at once, is between two names.
        if not any((place / OLD).exists() for place in _places_of(folder)):
            break
        time.sleep(0.1)
    return folder


def _places_of(out: Path) -> list[Path]:
    """The hidden folders that may be of `out`: their signatures say whether they are."""
    start = f".{out.name}."
    try:
        with os.scandir(out.parent) as entries:
            folders = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [
        out.parent / name for name in folders if name.startswith(start) and name.endswith(ASIDE)
    ]


def clear(place: Path, lock: Lock) -> None:
    """Remove a hidden folder that we hold."""
    if os.name == "nt":
        lock.release()  # Windows removes no open file
    try:
        if place.is_symlink():  # somebody put it there; what it points to is not ours
            place.unlink()
            return
        for name in (READY, OLD):  # what was taken away is not asked about again after a kill
            with contextlib.suppress(FileNotFoundError):
                os.rename(place / name, place / f"{name}.removed")
        others = [entry.name for entry in os.scandir(place)]
        last = [OWNER, owners.NAME]  # whose it is, and that it is held
        for name in sorted(others, key=lambda name: last.index(name) if name in last else -1):
            _remove(place / name)
        _remove_empty(place)
    except FileNotFoundError:
        pass  # another process found it unlocked, as Windows has it, and was faster
    except OSError as error:
        warn(f"{place} is left over and cannot be removed: {error}")
    lock.release()


def _remove_empty(place: Path) -> None:
    """Remove a hidden folder that holds nothing, unless somebody else is about to do so."""
    try:
        place.rmdir()
    except OSError as error:
        if os.path.lexists(place) and not (error.errno == errno.ENOTEMPTY and _is_begun(place)):
            raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def discard(path: Path) -> None:
    """Remove a folder that can be made again: gone at once, and cleared after a kill."""
    with beside(path, None) as (place, _), contextlib.suppress(FileNotFoundError):
        os.rename(path, place / "discarded")
