"""One progress bar for notebooks and terminals, and what is told while the work goes on.

In a log file, a pipe and CI, where nobody watches but somebody may read, a bar is a line a minute.
Where FACELAB_PROGRESS=0 is set (rendered notebooks) it is silent. Where FACELAB_PROGRESS is the
path of a terminal, bars are drawn there: a kernel has none of its own.
"""

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from tqdm import TqdmWarning, std

from facelab.errors import printable

with warnings.catch_warnings():
    # Without ipywidgets tqdm draws plain bars, which is fine, and says so in every notebook.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

EVERY = 60.0  # seconds between two lines of what nobody watches


class Ending:
    """How a bar ends: full and green where the work is over, and never red.

    tqdm takes for a failure a loop that is left by `break`, were it in the last round, and work
    that was over sooner than foreseen, as a training that ran out of patience. Where an error ends
    the work, the bar stands as it stood, and the error speaks for itself.
    """

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self.iterable:
                try:
                    yield item
                except GeneratorExit:
                    if self.n + 1 == self.total:
                        self.update()
                    raise
                self.update()

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None and self.total and not self.disable:
            self.total = self.n = self.n or self.total
            if hasattr(self, "container"):
                self.container.children[1].max = self.total
            self.refresh()
        self.close()

    def display(self, *args: Any, **options: Any) -> Any:
        if options.get("bar_style") == "danger":
            del options["bar_style"]
        return super().display(*args, **options)


class Bar(Ending, tqdm):
    """tqdm's bar with our end."""


class Lines(Ending, std.tqdm):
    """A bar for logs: how far it is, a line a minute; nothing of work that is over sooner."""

    def __init__(self, iterable: Iterable | None = None, **options: Any) -> None:
        self._told, self._said = time.monotonic(), -1
        steady = {"mininterval": EVERY, "miniters": 1, "delay": EVERY, "ncols": 0, "position": 0}
        super().__init__(iterable, file=_WholeLines(), **steady, **options)

    def refresh(self, *args: Any, **options: Any) -> None:
        if time.monotonic() - self._told >= EVERY:  # whatever asks for it, a line a minute
            self._told = time.monotonic()
            super().refresh(*args, **options)

    def display(self, *args: Any, **options: Any) -> Any:
        if self.n != self._said:  # its end may have been told
            self._said = self.n
            return super().display(*args, **options)


class _WholeLines:
    """Standard error for tqdm, without what moves a terminal's cursor."""

    def write(self, text: str) -> int:
        if words := text.strip():
            tell(words, sys.stderr)
        return len(text)

    def flush(self) -> None:
        """Every line is flushed as it is written."""


def bar(
    iterable: Iterable | None = None,
    total: int | None = None,
    desc: str = "",
    unit: str = "it",
    show: bool = True,
    initial: int = 0,
) -> std.tqdm:
    """A tqdm bar with rate and remaining time; use as an iterable or call `.update(n)`.

    Where standard error is no terminal, it is a line a minute. `initial` is what was done before:
    it counts as done, not for the rate.
    """
    where = os.environ.get("FACELAB_PROGRESS", "1")
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    in_notebook, in_ci = "ipykernel" in sys.modules, bool(os.environ.get("CI"))
    watched = on_terminal or in_notebook or os.path.isabs(where)
    silent = not show or where == "0" or (in_notebook and in_ci)
    options = {"total": total, "desc": desc, "unit": unit, "disable": silent, "smoothing": 0.1}
    options["initial"] = initial
    if in_ci or not watched:
        return Lines(iterable, **options)
    if os.path.isabs(where) and not silent:
        try:
            terminal = open(where, "w", errors="backslashreplace")  # noqa: SIM115 - as its bar
        except OSError:  # gone, or another user's since `su`: work goes on without a bar
            return Bar(iterable, **{**options, "disable": True})
        return std.tqdm(iterable, file=terminal, leave=False, **options)
    return Bar(iterable, **options)


class Told:
    """A stream for what is said beside the work: what it cannot take is let go.

    A console may lack letters, its reader may have left, the disk behind it may be full: none of
    that is a reason to lose what is being worked at.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        with contextlib.suppress(OSError):
            if self.stream is not None:
                words = printable(text).encode(encoding, "backslashreplace").decode(encoding)
                self.stream.write(words)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            if self.stream is not None:
                self.stream.flush()


@contextlib.contextmanager
def each_minute(say: Callable[[], None]) -> Iterator[None]:
    """Call a function once a minute while the work goes on, from a thread of its own."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(EVERY):
            say()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def tell(words: str, stream: Any = None) -> None:
    """Say something beside the work, on standard output unless another stream is given."""
    print(words, file=Told(stream or sys.stdout), flush=True)
