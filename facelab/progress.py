"""One progress bar for notebooks and terminals.

Silent where nobody watches: in CI, and where FACELAB_PROGRESS=0 is set (rendered notebooks).
"""

import os
from collections.abc import Iterable

from tqdm.auto import tqdm


def bar(
    iterable: Iterable | None = None,
    total: int | None = None,
    desc: str = "",
    unit: str = "it",
    show: bool = True,
) -> tqdm:
    """A tqdm bar with rate and remaining time; use as an iterable or call `.update(n)`."""
    silent = not show or os.environ.get("FACELAB_PROGRESS") == "0" or bool(os.environ.get("CI"))
    return tqdm(iterable, total=total, desc=desc, unit=unit, disable=silent, smoothing=0.1)
