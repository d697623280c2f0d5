"""What several commands do: open what was given, refuse a taken place, say what is done.

In: paths and words. Out: embeddings; one line on the screen.
"""

import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import facelab as fl
from facelab.artefacts import Kind
from facelab.errors import BadInput, FacelabError, printable
from facelab.places import check_file, check_place

if TYPE_CHECKING:
    import pandas as pd

    from facelab.embedders.embeddings import Embeddings


def embeddings_in(
    folder: Path, model: Any, flip: bool, jobs: int | None, keys: Sequence[list[str]] = ()
) -> "Embeddings":
    """Embeddings as stored, or made of a FaceSet; what is made here is not kept."""
    stored = (folder / "vectors.npy").is_file()
    items = fl.Embeddings.load(folder) if stored else fl.load(folder)
    for key in keys:  # a misspelt column should not cost minutes of embedding
        fl.group_labels(items.table, key)
    if not stored and model is None:
        raise BadInput(
            f"{folder} holds faces, not embeddings: say what embeds them with --embedder PATH"
        )
    return items if stored else model.embed(items, flip=flip, jobs=jobs)


def check_free(out: Path, force: bool, kind: Kind) -> None:
    """Refuse a place that is taken or cannot be written before the work rather than after it."""
    check_place(out, force, kind)


def check_free_file(out: Path, force: bool) -> None:
    """The same for a file; whether one that is there is of its kind is seen when it is made."""
    check_file(out, force, None)


class ReaderLeft(Exception):
    """Whoever read what is printed has read enough: `facelab runs | head -1`."""


def say(words: str, err: bool = False) -> None:
    """Print for whoever called; by then everything is stored that is to be.

    Raises
    ------
    ReaderLeft
        Nobody reads it any more.
    FacelabError
        It cannot be written, such as into a file on a full disk.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        print(printable(words), file=stream, flush=True)
    except OSError as error:
        # Or Python would complain once more, of what is left to be written, when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise ReaderLeft from None
        raise FacelabError(
            f"what was found cannot be printed ({os.strerror(error.errno)}); what was to be kept "
            "is kept"
        ) from error


def done(what: str, where: Path) -> None:
    say(f"{what}: {where}")


def place_of(folder: Path, by: Sequence[str]) -> Path:
    """Where the results for some columns are kept: a new place in the folder, named after them."""
    name = re.sub(r"[^\w.-]", "_", "-".join(by))[:100].strip(".") or "by"
    taken = [path.name for path in folder.iterdir()]
    others = (f"{name}-{number}" for number in itertools.count(2))
    return folder / next(one for one in itertools.chain([name], others) if one not in taken)


def print_rates(summary: str, shown: "pd.DataFrame") -> None:
    """A finding and its table, the notes of groups below it."""
    notes = shown.pop("note")
    shown.index = [f"{group} *" if notes[group] else group for group in shown.index]
    say(f"\n{summary}\n\n{shown.to_string()}\n")
    for group in notes.index[notes != ""]:
        say(f"* {group}: {notes[group]}")


def print_notes(warnings: list[str]) -> None:
    for warning in warnings:
        say(f"note: {warning}")
