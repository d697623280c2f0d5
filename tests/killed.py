"""Work that is killed at one of its steps: each change of a file or folder is one."""

import os
import signal
import sys
import traceback

from facelab import moving

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _watch(act, exchanges):
    """Have `act` called before every step of this process, from now on."""
    inside = [False]

    def hook(event, given):
        if event in _CHANGES or event == "open":
            # Inside what is made aside, one file is written as another.
            inside[0] = "/new/." in str(given[0])
        opened = event == "open" and isinstance(given[2], int) and given[2] & _WRITES
        if (opened or event in _CHANGES) and not inside[0]:
            act()

    def told(function):
        def step(*given):
            if not inside[0]:
                act()
            return function(*given)

        return step

    sys.addaudithook(hook)
    for name in ("fsync", "ftruncate", "write"):
        setattr(os, name, told(getattr(os, name)))
    if exchanges:
        moving._renamed = told(moving._renamed)
    else:
        moving._renameat2 = lambda: None


def killed_at(step, work, exchanges=True):
    """Do `work` in a child that is killed before its step of this number.

    Returns whether it was: False where the work had fewer steps, and ended well.
    """
    child = os.fork()
    if not child:
        try:
            left = [step]

            def act():
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            _watch(act, exchanges)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), f"the child failed at step {step}"
    return status != 0


def every_kill(work, exchanges=True):
    """Kill `work` before each of its steps in turn; yields the steps' numbers after each kill."""
    step = 0
    while killed_at(step, work, exchanges):
        yield step
        step += 1
