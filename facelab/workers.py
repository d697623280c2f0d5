"""Processes that work for another one: all of them start through this door and end with it.

In: calls to be made side by side, or Python code to be run apart. Out: results; and no process that
goes on when the one that started it was killed, however it was killed and whatever it was at.
"""

import contextlib
import os
import signal
import sys
import threading
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import joblib
from joblib.parallel import LokyBackend, get_active_backend

from facelab.errors import check_count

MOST = 4096  # processes side by side: more than any machine has processors
_HELD: list[tuple[Connection, Connection]] = []  # an end that goes out of use is closed


def as_jobs(jobs: int | None, default: int | None = None) -> int:
    """How many work side by side: as many as asked for, or a default, or one a processor.

    Raises
    ------
    BadInput
        `jobs` is not a whole number from 1 to 4,096.
    """
    if jobs is None:
        return default or joblib.cpu_count()
    return check_count("jobs", jobs, most=MOST)


def pool(jobs: int | None, **options: Any) -> joblib.Parallel:
    """joblib's `Parallel`, whose processes end when this one does.

    Threads, the backends that are configured around it (such as dask), and pools within pools are
    what joblib makes of them.

    Parameters
    ----------
    jobs
        How many at a time; None is what is configured around it, or one.
    options
        What else `joblib.Parallel` takes, but for the backend.
    """
    active, _ = get_active_backend(prefer=options.get("prefer"))
    if type(active) is not LokyBackend:
        return joblib.Parallel(jobs, **options)
    tied = _Tied(
        nesting_level=active.nesting_level,
        inner_max_num_threads=active.inner_max_num_threads,
        **getattr(active, "backend_kwargs", {}),  # older joblib keeps none
    )
    return joblib.Parallel(jobs, backend=tied, **options)


class _Tied(LokyBackend):
    """Processes that are tied to their parent before they take anything in hand.

    They would wait for five minutes for the next task, also from a parent that was killed.
    """

    def configure(self, *given: Any, **options: Any) -> int:
        tie = (os.getpid(), _pipe(os.getpid())[0])
        return super().configure(*given, initializer=end_with, initargs=tie, **options)


def apart(code: str, *words: str) -> dict[str, Any]:
    """What `subprocess` takes to run code in a Python that ends when this process does.

    Parameters
    ----------
    code
        Python; a module is ``run_module("name")``.
    words
        Its `sys.argv[1:]`.
    """
    options: dict[str, Any] = {}
    tie = str(os.getpid())
    if os.name == "posix":
        number = _pipe(os.getpid())[0].fileno()
        tie, options = f"{tie}, {number}", {"pass_fds": (number,)}
    # What lies in the current folder is not meant, whatever it is called.
    start = (
        "import sys; sys.path[:] = filter(None, sys.path)\n"
        f"from facelab.workers import end_with, run_module; end_with({tie})\n"
    )
    return {"args": [sys.executable, "-c", start + code, *words], **options}


def run_module(name: str) -> None:
    """Run a module as `python -m` does."""
    import runpy

    runpy.run_module(name, run_name="__main__", alter_sys=True)


@cache
def _pipe(process: int) -> tuple[Connection, Connection]:
    """A pipe of this process, whose other end its workers see close when it has ended."""
    _HELD.append(Pipe(duplex=False))
    return _HELD[-1]


@cache
def end_with(parent: int, pipe: Connection | int | None = None) -> None:
    """End this process when another has ended, from now on or already.

    Parameters
    ----------
    parent
        The process that started this one.
    pipe
        The end for reading of one that the parent alone writes to, and never does.
    """
    if isinstance(pipe, int):
        pipe = Connection(pipe, writable=False)
    if pipe is not None and sys.platform == "linux":
        import fcntl

        # The kernel itself kills: no thread gets a turn beside native code that holds Python. What
        # is set belongs to an opening of the pipe, and all workers inherit the same one.
        with contextlib.suppress(OSError):  # some sandboxes have none
            own = os.open(f"/proc/self/fd/{pipe.fileno()}", os.O_RDONLY | os.O_NONBLOCK)
            fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def ended(seconds: float) -> bool:
        # A forked child of the parent's may hold the pipe open.
        return os.getppid() != parent or (pipe is not None and pipe.poll(seconds))

    def watch() -> None:
        while not ended(1):
            if pipe is None:
                threading.Event().wait(1)
        os._exit(1)

    if ended(0):
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
