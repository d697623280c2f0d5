"""Executing a notebook in a fresh kernel of this very Python.

In: a notebook and parameters. Out: the executed copy; what it prints goes to the terminal as it
comes, or to a file; why it stopped, in one sentence.
"""

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from facelab import shown
from facelab.progress import Told, each_minute
from facelab.workers import apart


def execute(
    notebook: Path,
    folder: Path,
    parameters: dict[str, Any],
    cores: int | None,
    log: bool,
    quick: bool = False,
) -> None:
    """Run a copy of the notebook; what its cells print goes to the terminal as it comes, or to
    `log.txt`. Pages that a quick one makes say that it is."""
    import logging

    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):
        """papermill's own, which also says which section it is in."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            sections = _Sections(nb_man.cell_start, told)
            nb_man.cell_start = sections.announce
            started: list[Any] = []
            noted = str((folder / shown.FILE).resolve())
            options["kernel_manager_class"] = _this_python(started, cores, noted, quick)
            try:
                with nullcontext() if log or _terminal() else each_minute(sections.still):
                    return super().execute_managed_notebook(nb_man, kernel_name, **options)
            except KeyboardInterrupt:
                # What the kernel says of its own interruption is nobody's news any more.
                logging.getLogger("asyncio").setLevel(logging.CRITICAL)
                raise
            finally:
                for kernel in started:
                    _end_workers(kernel)

    papermill_engines.register("facelab", Engine)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    place = folder / "log.txt"
    with place.open("w", encoding="utf-8") if log else nullcontext(Told(sys.stderr)) as told:
        papermill.execute_notebook(
            _unformatted(notebook),
            _unformatted(folder / "notebook.ipynb"),
            parameters,
            engine_name="facelab",
            kernel_name="python3",
            language="python",
            progress_bar=False,
            stdout_file=told,
            stderr_file=told,
        )


def _unformatted(path: Path) -> str:
    """A path that papermill, which fills parameters into braces, leaves as it is."""
    return str(path).replace("{", "{{").replace("}", "}}")


class _Sections:
    """Tells where a notebook is: each heading as it comes, and while it takes minutes, where."""

    def __init__(self, cell_start: Callable[..., None], told: Any) -> None:
        self.cell_start, self.told = cell_start, told
        self.start, self.heading = time.perf_counter(), ""

    def announce(self, cell: Any, index: int | None = None, **options: Any) -> None:
        headings = re.findall(r"^#+ +(.+)", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and headings:
            self.heading = headings[-1]
            self._tell(self.heading)
        self.cell_start(cell, index, **options)

    def still(self) -> None:
        """For a log, in which no bar of a long cell can be seen."""
        self._tell(f"still at {self.heading!r}" if self.heading else "still at the first cells")

    def _tell(self, words: str) -> None:
        minutes, seconds = divmod(int(time.perf_counter() - self.start), 60)
        print(f"[{minutes:02}:{seconds:02}] {words}", file=self.told, flush=True)


def _this_python(started: list[Any], cores: int | None, noted: str, quick: bool) -> type:
    """A kernel manager that starts this interpreter, whatever kernels the machine has installed.

    It puts itself into `started`.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    env = {"FACELAB_PROGRESS": _terminal() or "0"}
    if cores:  # several kernels side by side
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        env = dict.fromkeys((*names, "LOKY_MAX_CPU_COUNT"), str(cores)) | {"FACELAB_PROGRESS": "0"}
    # Both are set, for whoever starts this may be a notebook, and a quick one.
    env |= {shown.PLACE: noted, shown.QUICK: "1" if quick else "", "JPY_SESSION_NAME": ""}
    quiet = "--log-level=ERROR"  # or it warns about TCP, which here never leaves the machine
    # Its own look at its parent misses one that was killed while it started.
    tied = apart("run_module('ipykernel_launcher')", "-f", "{connection_file}", quiet)
    argv = tied.pop("args")

    class ThisPython(AsyncKernelManager):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(argv=argv, env=env, display_name="facelab", language="python")

        async def start_kernel(self, **options: Any) -> None:
            await super().start_kernel(**tied, **options)

    return ThisPython


def _end_workers(kernel: Any) -> None:
    """End the kernel's worker processes, which outlive it when it is interrupted."""
    group = getattr(kernel.provisioner, "pgid", None)
    if group and group != os.getpgrp():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _terminal() -> str | None:
    """The terminal that somebody watches: bars go there, and never into the kept notebook."""
    if sys.stderr is not None and sys.stderr.isatty() and hasattr(os, "ttyname"):
        return os.ttyname(sys.stderr.fileno())
    return None


def reason(error: BaseException, notebook: Path) -> str:
    """The failure in one sentence."""
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        words = " ".join(str(error.evalue).split())
        return f"cell {error.exec_count} of {notebook.name} failed: {error.ename}: {words}"
    if isinstance(error, DeadKernelError):
        return f"the kernel of {notebook.name} died: perhaps it ran out of memory"
    if isinstance(error, KeyboardInterrupt):
        return f"{notebook.name} was interrupted"
    return f"{notebook.name} failed: {type(error).__name__}: {' '.join(str(error).split())}"
