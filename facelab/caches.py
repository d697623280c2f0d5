"""Where things may be kept that can be made again: compiled code, models that were fetched.

In: what the machine allows, which may be nothing: a read-only installation, no home, a full disk.
Out: a folder that can be written, and numba functions whose compiled code is kept in one.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

_PATIENCE = 0.5  # seconds of compiling before it is said
_COMPILING = (
    "facelab compiles its loops, once after an installation; for the renderer of synthetic faces "
    "that takes about 20 seconds"
)
# What libraries ask for where they may write, when that cannot be below the home; and what they
# would find there, which may be all that is needed.
_THEIRS = {
    "MPLCONFIGDIR": ".config/matplotlib",
    "IPYTHONDIR": ".ipython/profile_default",
    "JUPYTER_RUNTIME_DIR": None,
    "HF_HOME": ".cache/huggingface",
    "TORCH_HOME": ".cache/torch",
}


def home() -> Path | None:
    """The user's home, or None where the system knows of none, as for a number without a name."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def cache_place() -> Path:
    """Where what can be made again belongs: FACELAB_CACHE, or `facelab` in the user's caches."""
    if named := os.environ.get("FACELAB_CACHE"):
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or (home() or _temporary()) / ".cache"
    return Path(caches) / "facelab"


def cache_folder(name: str = "") -> Path:
    """A folder in `cache_place()`, or in a temporary one, which goes with the process.

    It is there, and can be written.
    """
    place = cache_place() / name
    if not can_write(place):
        place = _temporary() / name
        place.mkdir(parents=True, exist_ok=True)
    return place


def can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made where it is not there."""
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@cache
def _temporary() -> Path:
    import atexit
    import tempfile

    # In the environment, so that worker processes share it. No name that could be known before:
    # compiled code is run, and in a shared /tmp such a folder could be somebody else's.
    if not (named := os.environ.get("FACELAB_TEMPORARY_CACHE")):
        named = os.environ["FACELAB_TEMPORARY_CACHE"] = tempfile.mkdtemp(prefix="facelab-cache-")
        atexit.register(_remove, named, os.getpid())
    return Path(named)


def _remove(folder: str, owner: int) -> None:
    import shutil

    if os.getpid() == owner:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """`numba.njit` with these options, its compiled code kept wherever it may be.

    numba keeps it beside the source or refuses to import; an installation may be read-only.
    """
    import numba

    _tell_of_compiling()

    def compile_kept(function: Callable) -> Any:
        with _numba_keeps(Path(function.__code__.co_filename).parent):
            return numba.njit(cache=True, **options)(function)

    return compile_kept


@cache
def _tell_of_compiling() -> None:
    """Have whoever waits for the compiler be told so, once a process; the cache makes it rare.

    Without this, the first synthesis after an installation seems to hang.
    """
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            if _is_ours(event):
                _Compiling.begin()

        def on_end(self, event: Any) -> None:
            if _is_ours(event):
                _Compiling.end()

    event.register("numba:compile", Listener())


def _is_ours(event: Any) -> bool:
    return event.data["dispatcher"].py_func.__module__.startswith("facelab.")


class _Compiling:
    """How many functions are being compiled, one within another, and whether that was said."""

    depth, said = 0, False
    timer: threading.Timer | None = None

    @classmethod
    def begin(cls) -> None:
        cls.depth += 1
        if cls.depth == 1 and not cls.said and os.environ.get("FACELAB_PROGRESS") != "0":
            cls.timer = threading.Timer(_PATIENCE, cls.say)
            cls.timer.daemon = True
            cls.timer.start()

    @classmethod
    def end(cls) -> None:
        cls.depth -= 1
        if cls.depth == 0 and cls.timer is not None:
            cls.timer.cancel()

    @classmethod
    def say(cls) -> None:
        cls.said = True
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                print(_COMPILING, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _numba_keeps(folder: Path) -> Iterator[None]:
    """Have numba keep what it compiles now where that can be written."""
    from numba import config

    before = config.CACHE_DIR  # NUMBA_CACHE_DIR, where the user has chosen
    if not _numba_can_use(before or folder / "__pycache__"):
        config.CACHE_DIR = str(cache_folder("numba"))
    try:
        yield
    finally:
        config.CACHE_DIR = before


@cache
def _numba_can_use(folder: str | Path) -> bool:
    return can_write(Path(folder))


def find_places() -> None:
    """Give libraries that write below the home another place where that cannot be done.

    To be called before they are imported; what the user has set stays.
    """
    known = home()
    if known is None:
        # Whoever has no name has no home by any library's rule: one for all of them, and for the
        # kernels and workers that are started.
        os.environ["HOME"] = str(_temporary())
    elif not os.access(known, os.W_OK):
        for variable, there in _THEIRS.items():
            if variable not in os.environ and not (there and (known / there).is_dir()):
                os.environ[variable] = str(cache_folder(variable.split("_")[0].lower()))
