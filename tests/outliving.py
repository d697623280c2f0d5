"""Whether anything outlives a process: each attack marks its family, and counts who is left."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "FACELAB_FAMILY"


def command_of(process: int) -> str:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def worked(process: int) -> float:
    """Seconds of processor that a process has used."""
    try:
        told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


class Family:
    """A Python and all that it starts, wherever they are put: the environment is inherited."""

    def __init__(self, code: str, *words: object, **environment: str) -> None:
        self.mark = secrets.token_hex(8)
        self.head = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def members(self) -> list[int]:
        """All that live but the head; joblib's trackers of what leaks are the last to end."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                told = (folder / "environ").read_bytes()
                if f"{MARK}={self.mark}".encode() in told.split(b"\0"):
                    found.append(int(folder.name))
        return [process for process in found if process != self.head.pid]

    def until(self, what: Callable[["Family"], bool], seconds: float = 120) -> None:
        """Wait for something to come true."""
        deadline = time.monotonic() + seconds
        while not what(self):
            assert self.head.poll() is None, self.head.communicate()
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.01)

    def survivors(self, seconds: float = 10, only: str = "") -> list[str]:
        """Who still lives so long after the head's end; only those with a word in their command."""
        deadline = time.monotonic() + seconds
        while left := [told for told in map(command_of, self.members()) if told and only in told]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return left

    def kill(self) -> None:
        self.head.send_signal(signal.SIGKILL)
        self.head.wait()


@contextlib.contextmanager
def family(code: str, *words: object, **environment: str) -> Iterator[Family]:
    """A family, of which nothing is left whatever the test finds."""
    one = Family(code, *words, **environment)
    try:
        yield one
    finally:
        one.head.kill()
        for process in one.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        one.head.communicate()
