"""One progress bar for notebooks and terminals.

Silent where nobody watches: in CI, in a log file, and where FACELAB_PROGRESS=0 is set (rendered
notebooks). Where FACELAB_PROGRESS is the path of a terminal, bars are drawn there: a kernel has
none of its own.
"""

import os
import sys
import warnings
from collections.abc import Iterable

from tqdm import TqdmWarning, std

with warnings.catch_warnings():
    # Without ipywidgets tqdm draws plain bars, which is fine, and says so in every notebook.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


def bar(
    iterable: Iterable | None = None,
    total: int | None = None,
    desc: str = "",
    unit: str = "it",
    show: bool = True,
    initial: int = 0,
) -> tqdm:
    """A tqdm bar with rate and remaining time; use as an iterable or call `.update(n)`.

    `initial` is what was done before: it counts as done, not for the rate.
    """
    where = os.environ.get("FACELAB_PROGRESS", "1")
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules or os.path.isabs(where)
    silent = not show or not watched or where == "0" or bool(os.environ.get("CI"))
    options = {"total": total, "desc": desc, "unit": unit, "disable": silent, "smoothing": 0.1}
    options["initial"] = initial
    if os.path.isabs(where) and not silent:
        return std.tqdm(iterable, file=open(where, "w"), leave=False, **options)
    return tqdm(iterable, **options)
