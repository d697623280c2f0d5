"""Work done in a forked child that may take little memory and little time, and may crash.

What comes back is what it said; a crash, or a limit that it met, is said too and fails no test run.
"""

import os
import pickle
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SECONDS, ROOM = 60, 10**9


class Outcome(NamedTuple):
    """`kind` is "value", or the error's type; "killed by ..." where the process ended."""

    kind: str
    words: str

    @property
    def is_told(self) -> bool:
        """Whether it was refused in one sentence of ours."""
        ours = ("BadInput", "Damaged", "FacelabError", "FileNotFoundError", "Unusable", "Stopped")
        return self.kind in ours and 0 < len(self.words) < 2000 and "\n" not in self.words


def confined(work: Callable[[], Any], room: int = ROOM, seconds: int = SECONDS) -> Outcome:
    """What a function says where it may take so many bytes more than there are, and so long."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        told = ("no answer", "")
        try:
            taken = int(Path("/proc/self/statm").read_text().split()[0])
            most = taken * resource.getpagesize() + room
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            told = ("value", repr(work())[:200])
        except BaseException as error:
            told = (type(error).__name__, str(error)[:5000])
        finally:
            with os.fdopen(writes, "wb") as pipe:
                pickle.dump(told, pipe)
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return Outcome(f"killed by {signal.Signals(os.WTERMSIG(status)).name}", "")
    return Outcome(*pickle.loads(said))
