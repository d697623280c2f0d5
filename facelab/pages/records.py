"""What a finished run noted of itself, for the pages that are made of it.

In: its folder. Out: the record, the notebook and the numbers, or one sentence on what is damaged.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from facelab import sums, words
from facelab.errors import BadInput
from facelab.shown import FILE, Shown, read_notes
from facelab.words import checked

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass
class _Noted:
    """What of `run.json` stands on pages."""

    status: str
    name: str
    run_id: str
    notebook: str
    started: str
    facelab: str
    commit: str | None = None
    dirty: bool | None = None
    quick: bool = False
    inputs: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def record_of(run: Path, wish: str) -> dict[str, Any]:
    """The record of a finished run; `wish` is what is to be done with it, for messages.

    Raises
    ------
    BadInput
        It is no run, its record is damaged, it has not finished, or a file of it is gone or not as
        it was written.
    """
    if not (run / "run.json").is_file():
        raise BadInput(f"{run} is no run folder: give one that `facelab run` made")
    stored = sums.open_stored(run, "run.json", "run")
    noted = checked(_Noted, stored.card, "a run's record", run / "run.json")
    if noted.status != "finished":
        raise BadInput(f"the run in {run} is {noted.status}: {wish} a finished one")
    stored.check()
    return dataclasses.asdict(noted)


def values_of(run: Path, name: str) -> dict[str, Any]:
    """The named values in a file of a run, such as its `metrics.json`."""
    stored = sums.open_stored(run, "run.json", "run")
    if not stored.holds(name):
        raise BadInput(f"{run} is no finished run that kept metrics: it has no {name}")
    return checked(dict[str, Any], words.values(stored.written(name)), name, run / name)


def shown_of(run: Path) -> Shown:
    """What was noted of what a run shows; nothing, where it was not noted while it ran."""
    stored = sums.open_stored(run, "run.json", "run")
    return read_notes(stored.read(FILE), run / FILE) if stored.holds(FILE) else Shown()


def notebook_of(run: Path) -> "NotebookNode":
    """The executed notebook of a run."""
    file, stored = run / "notebook.ipynb", sums.open_stored(run, "run.json", "run")
    if not stored.holds(file.name):
        raise BadInput(f"{run} is no run folder: it has no notebook.ipynb")
    return as_notebook(stored.read(file.name), file, "is damaged, or no notebook: run it again")


def as_notebook(data: bytes, file: Path, complaint: str) -> "NotebookNode":
    """The notebook that a file holds, with cells that are cells.

    Raises
    ------
    BadInput
        It holds none: the file, and the complaint.
    """
    import nbformat

    try:
        book = nbformat.reads(data.decode(), as_version=4)
        whole = all(
            isinstance(cell.cell_type, str)
            and isinstance(cell.source, str)
            and isinstance(cell.metadata, dict)
            for cell in book.cells
        )
    except Exception as error:
        # Whatever its upgraders and validators raise, it says that this is no notebook.
        raise BadInput(f"{file} {complaint}") from error
    if not whole:
        raise BadInput(f"{file} {complaint}")
    return book
