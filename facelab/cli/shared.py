"""What several commands do: open what was given, refuse a taken place, say what is done.

In: paths and words. Out: embeddings; one line on the screen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import facelab as fl
from facelab.errors import BadInput

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


def check_free(out: Path, force: bool) -> None:
    """Refuse a taken place before the work rather than after it."""
    if out.exists() and not force and not (out.is_dir() and not any(out.iterdir())):
        raise BadInput(f"{out} exists already: choose another --out, or replace it with --force")


def done(what: str, where: Path) -> None:
    typer.echo(f"{what}: {where}")


def print_rates(summary: str, shown: "pd.DataFrame") -> None:
    """A finding and its table, the notes of groups below it."""
    notes = shown.pop("note")
    shown.index = [f"{group} *" if notes[group] else group for group in shown.index]
    typer.echo(f"\n{summary}\n\n{shown.to_string()}\n")
    for group in notes.index[notes != ""]:
        typer.echo(f"* {group}: {notes[group]}")


def print_notes(warnings: list[str]) -> None:
    for warning in warnings:
        typer.echo(f"note: {warning}")
