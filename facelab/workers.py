"""Worker processes that do not outlive what started them.

In: the number of the parent process. Out: nothing; the worker ends soon after its parent.
"""

import os
import threading
import time
from functools import cache


@cache
def end_with(parent: int) -> None:
    """End this worker soon after the process that started it, also where that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
