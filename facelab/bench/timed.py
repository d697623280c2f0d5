"""Two jobs timed in turn, in one process, so that a busy machine slows both alike.

In: two functions. Out: one row with both times and their ratio.
"""

import statistics
import time
from collections.abc import Callable

ROUNDS = 3


def side_by_side(
    job: str,
    ours: Callable[[], object],
    other: str,
    theirs: Callable,
    rounds: int = ROUNDS,
    images: int | None = None,
    before: Callable[[], object] | None = None,
    before_theirs: Callable[[], object] | None = None,
) -> dict:
    """Median seconds of both over alternating rounds, after one round that is not counted; where
    `images` says how many the job has, `{}` in its name, how many a second too. What is done before
    each turn is not counted either."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for counted in [False] + [True] * rounds:
        for name, work, first in (("ours", ours, before), ("theirs", theirs, before_theirs)):
            if first:
                first()
            start = time.perf_counter()
            work()
            if counted:
                seconds[name].append(time.perf_counter() - start)
    mine, peer = (statistics.median(taken) for taken in seconds.values())
    row = {"job": job, "facelab s": mine, "beside": other, "s": peer, "ratio": peer / mine}
    if images is None:
        return row
    a_second = {"facelab images/s": images / mine, "images/s": images / peer}
    return row | {"job": job.format(images)} | a_second
