"""Names for what is ready: given at once, and never taken from what somebody else has there.

In: what was written aside, and the place it is for. Out: it stands there, or an error says that
the place was taken meanwhile.
"""

import ctypes
import errno
import os
import stat
from functools import cache
from pathlib import Path
from typing import Any

_NOREPLACE, _EXCHANGE = 1, 2  # of renameat2(2)
_UNABLE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY}
TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}


def is_taken(error: OSError) -> bool:
    """Whether a move failed for something that stands at its end."""
    return error.errno in TAKEN or isinstance(error, FileExistsError)


def put_new(source: Path, target: Path) -> None:
    """Give a folder or file its name, where nothing but an empty folder may be in its way.

    Raises
    ------
    OSError
        Something is there (`is_taken`), or the move cannot be made.
    """
    if source.is_dir():
        if os.name == "nt" and target.is_dir():
            target.rmdir()  # which fails where it is not empty; a rename there replaces nothing
        os.rename(source, target)  # onto an empty folder or nothing, as POSIX has it
    elif not _renamed(source, target, _NOREPLACE):
        try:
            os.link(source, target)
        except OSError as error:
            if is_taken(error):
                raise
            # A disk without second names: the name is taken first, then what it is for is put there
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.replace(source, target)
        else:
            os.unlink(source)


def exchange(one: Path, other: Path) -> bool:
    """Let two change places at once; False where the system cannot do that."""
    return _renamed(one, other, _EXCHANGE)


def _renamed(one: Path, other: Path, flag: int) -> bool:
    call = _renameat2()
    if call is None:
        return False
    here = -100  # AT_FDCWD
    if call(here, os.fsencode(one), here, os.fsencode(other), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


@cache
def _renameat2() -> Any:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another system, or an old library
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file or folder from another that has its name later; None where none is."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def is_plain_file(path: Path) -> bool:
    """Whether a file is one that can be replaced: no link, device, pipe or folder."""
    return stat.S_ISREG(os.lstat(path).st_mode)
