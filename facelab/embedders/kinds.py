"""What is taken for faces or for embeddings, and how it becomes them.

In: whatever was given. Out: nothing, or one sentence that says what it is and what to do first.
"""

import os
from collections.abc import Mapping
from typing import Any

from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, a_kind, first_of
from facelab.faces.faceset import FaceSet

NEXT = "`embedder.embed(faces)` turns faces into vectors, and `fl.audit` compares these"


def check_kind(value: Any, verb: str, what: str = "embeddings") -> None:
    """Refuse what was taken for embeddings, and say how it becomes them.

    Parameters
    ----------
    value
        What was given.
    verb
        Who wants them: "fl.audit".
    what
        What it calls them.

    Raises
    ------
    BadInput
        It is something else.
    """
    if not isinstance(value, Embeddings):
        raise BadInput(f"{verb} takes {what}, not {called(value)}: {_remedy(value)}")


def check_faces(value: Any, verb: str) -> None:
    """Refuse what was taken for a FaceSet, and say where one comes from."""
    if not isinstance(value, FaceSet):
        advice = "it takes the pixels themselves" if isinstance(value, Embeddings) else ""
        advice = _remedy(value) if isinstance(value, Mapping) else advice
        advice = advice or "fl.load(folder) opens one, fl.prepare(photos, out) makes one"
        raise BadInput(f"{verb} takes faces (a FaceSet), not {called(value)}: {advice}")


def check_embedder(value: Any, verb: str) -> None:
    """Refuse what cannot embed, and say where an embedder comes from."""
    if not hasattr(value, "embed"):
        raise BadInput(
            f"{verb} takes an embedder, not {called(value)}: fl.load_embedder(...) opens one, "
            "fl.embedder_of(function) makes one of a function on crops"
        )


def called(value: Any) -> str:
    """What a thing is called in a message: by its name where it has one."""
    if isinstance(value, FaceSet):
        return f"faces (the FaceSet {value.card.get('name', 'unnamed')!r})"
    return (
        f"the path {os.fspath(value)!r}" if isinstance(value, str | os.PathLike) else a_kind(value)
    )


def _remedy(value: Any) -> str:
    if isinstance(value, FaceSet):
        return "embed them first, fl.load_embedder(...).embed(faces)"
    if isinstance(value, str | os.PathLike):
        return (
            "open it first, fl.Embeddings.load(folder), or fl.Embeddings.from_file(file, table) "
            "for vectors that others computed"
        )
    if hasattr(value, "embed"):
        return "embed faces with it first, embedder.embed(faces)"
    if isinstance(value, Mapping):
        return f"give one of its parts ({first_of(value)})"
    return (
        "fl.Embeddings.from_arrays(vectors, table) makes them of vectors and a table, and an "
        "embedder's embed(faces) of faces"
    )


def told(embeddings: Embeddings) -> str:
    """What embeddings are called in a message: of which set, by which embedder."""
    faces, embedder = embeddings.card.get("faces"), embeddings.card.get("embedder")
    name = faces.get("name") if isinstance(faces, Mapping) else None
    of = f" of {name!r}" if name else ""
    return f"the embeddings{of}{f' by {embedder!r}' if embedder else ''}"
