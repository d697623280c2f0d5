"""Who is at work in a folder: a lock that ends with its owner, and a token that says who that is.

In: a folder. Out: a lock on its file `lock`, or who holds it. The system's lock decides wherever it
reaches every machine that could be at work there; elsewhere the token does, and where that tells
nothing either, the folder counts as taken: nobody's work is removed on a guess.
"""

import contextlib
import errno
import json
import os
import socket
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

NAME = "lock"
_ALONE = "lock.alone"  # made by one alone, where the system has no locks
_PAUSE = 0.1  # seconds between two looks at a lock
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}

# File systems that one machine has to itself, and those whose locks hold for all that share them.
_OF_ONE = {
    *("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs", "reiserfs"),
    *("tmpfs", "ramfs", "overlay", "vfat", "exfat", "ntfs3"),
}
_FOR_ALL = {"ceph", "gfs2", "ocfs2", "gpfs"}

_held: "set[Lock]" = set()
_changing = threading.RLock()  # no fork between the opening of a lock's file and its being noted


class Taken(Exception):
    """Somebody is at work, or may be: `owner` is the token, `sure` whether that one lives."""

    def __init__(self, file: Path, owner: dict[str, Any], sure: bool) -> None:
        super().__init__(str(file))
        self.file, self.owner, self.sure = file, owner, sure

    def who(self) -> str:
        """The owner in brackets, as far as known: " (process 12 on host)"."""
        if "pid" not in self.owner:
            return ""
        away = self.owner.get("boot") != _boot() or self.owner.get("space") != _space()
        where = f" on {self.owner.get('host')}" if away else ""
        return f" (process {self.owner['pid']}{where})"


class Lock:
    """A lock that this process holds. A forked child has nothing of it."""

    def __init__(self, file: int, alone: Path | None = None) -> None:
        self._file: int | None = file
        self._alone = alone

    @property
    def ours(self) -> bool:
        """Whether it is held, and by this very process."""
        return self._file is not None

    def release(self) -> None:
        """Let go; nothing happens where it is not held."""
        with _changing:
            file, self._file = self._file, None
            _held.discard(self)
            if file is None:
                return
            with contextlib.suppress(OSError):  # a token that stays is one of a dead process
                os.ftruncate(file, 0)
            os.close(file)
        if self._alone is not None:
            self._alone.unlink(missing_ok=True)

    def _forget(self) -> None:
        """Close, in a forked child, what would keep the lock when the parent has ended."""
        file, self._file, self._alone = self._file, None, None
        if file is not None:
            os.close(file)


def _forget_all() -> None:
    for lock in list(_held):
        lock._forget()
    _held.clear()
    _changing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_changing.acquire, after_in_parent=_changing.release, after_in_child=_forget_all
    )


def acquire(folder: Path, wait: bool = False) -> Lock:
    """Lock a folder for this process.

    Raises
    ------
    Taken
        Another process, or another part of this one, holds it; with `wait` only where nobody can
        tell whether that one still lives.
    FileNotFoundError
        The folder is not there (any more).
    """
    while True:
        try:
            with _changing:
                return _at_once(folder)
        except Taken as taken:
            if not wait or not taken.sure:
                raise
            time.sleep(_PAUSE)


def _at_once(folder: Path) -> Lock:
    path = folder / NAME
    while True:
        try:
            file = os.open(path, _FLAGS)
        except FileNotFoundError:
            try:
                file = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                continue
        try:
            works = _flock(file)
            if works is None:
                raise Taken(path, _read(file), True)
            # Whoever held it may have removed the file, or moved the folder, meanwhile.
            if not _is(file, path):
                os.close(file)
                continue
            owner = _read(file)
            if works and _elsewhere(owner) and not _reaches_all(folder):
                raise Taken(path, owner, False)
            alone = None if works else _alone(folder)
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, json.dumps(token()).encode())
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(file)
            raise
        lock = Lock(file, alone)
        _held.add(lock)
        return lock


def _flock(file: int) -> bool | None:
    """Lock an open file: whether that was done; False where the system cannot, None if taken."""
    if os.name == "nt":
        import msvcrt

        try:
            os.lseek(file, 2**30, os.SEEK_SET)  # beyond the token, which stays readable
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return None
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    return True


def _alone(folder: Path) -> Path:
    """Where there are no locks: a file that only one can make, taken from nobody who may live."""
    path = folder / _ALONE
    while True:
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(json.dumps(token()))
            return path
        except FileExistsError:
            pass
        try:
            owner = _parsed(path.read_bytes())
        except FileNotFoundError:
            continue
        if (lives := _lives(owner)) is not False:
            raise Taken(path, owner, bool(lives))
        aside = path.with_name(f"{_ALONE}.{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):  # another one was faster
            os.rename(path, aside)
            taken = _parsed(aside.read_bytes())
            if taken != owner:  # and made it anew: it is given back
                os.link(aside, path)
            aside.unlink()


def held(folder: Path) -> bool:
    """Whether somebody is at work in a folder, or may be; asking takes no leave to write there."""
    try:
        file = os.open(folder / NAME, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return False
    except OSError:  # not for us to open, so that nobody here can tell
        return True
    try:
        if os.name == "nt":
            return _flock(file) is None
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in _NO_LOCKS or _lives(_read(file)) is not False
        return _elsewhere(_read(file)) and not _reaches_all(folder)
    finally:
        os.close(file)


# ---- who that is


def token() -> dict[str, Any]:
    """What tells this process from all others: machine, start of the machine, process, its start.

    `space` is the process numbering that `pid` belongs to: each container has its own.
    """
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "space": _space(),
        "pid": pid,
        "start": _start(pid),
    }


def _lives(owner: dict[str, Any]) -> bool | None:
    """Whether a token's process lives; None where that cannot be told from here."""
    if _elsewhere(owner) or owner.get("space") != _space() or "pid" not in owner:
        return None
    if owner.get("start") is None:
        return None
    return _start(owner["pid"]) == owner["start"]


def _elsewhere(owner: dict[str, Any]) -> bool:
    """Whether a token is of another machine, or of this one before it was started anew."""
    return bool(owner) and owner.get("boot") != _boot()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"machine {uuid.getnode():012x}"


def _space() -> int | None:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


def _start(pid: Any) -> int | None:
    """When a process began, in ticks since the machine did; None where there is none."""
    try:
        told = Path(f"/proc/{int(pid)}/stat").read_text()
    except (OSError, ValueError, TypeError):
        return None
    return int(told.rpartition(")")[2].split()[19])


def _read(file: int) -> dict[str, Any]:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        return _parsed(os.read(file, 4096))
    except OSError:
        return {}


def _parsed(written: bytes) -> dict[str, Any]:
    """A token; that of earlier versions is a process's number alone, and may be cut off."""
    try:
        told = json.loads(written)
    except ValueError:
        return {}
    if isinstance(told, int):
        return {"pid": told, "boot": _boot(), "space": _space()}
    return told if isinstance(told, dict) else {}


def _is(file: int, path: Path) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


# ---- where it lies


def mounts() -> list[tuple[str, str, str]]:
    """Where file systems are mounted, of what kind and with which options; later ones lie on top.

    Empty where the system does not say.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        place, _, kind = line.partition(" - ")
        parts, more = place.split(), kind.split()
        name = parts[4]
        for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            name = name.replace(code, sign)
        found.append((name, more[0], f"{parts[5]},{more[-1]}"))
    return found


def _reaches_all(folder: Path) -> bool:
    """Whether a lock on a file here holds for every machine that could write it."""
    place = os.path.realpath(folder)
    over = [one for one in mounts() if one[0] == "/" or f"{place}/".startswith(f"{one[0]}/")]
    if not over:
        return False
    longest = max(len(one[0]) for one in over)
    _, kind, options = [one for one in over if len(one[0]) == longest][-1]
    told = set(options.split(","))
    if kind in ("nfs", "nfs4"):
        return told.isdisjoint({"nolock", "local_lock=all", "local_lock=flock"})
    return kind in _OF_ONE or kind in _FOR_ALL or (kind == "lustre" and "flock" in told)
