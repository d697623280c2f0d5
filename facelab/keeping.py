"""Work that is done once: what was made of the same things before is taken from where it was kept.

In: a folder, everything that decides a result, a way to make it. Out: where the result lies. Those
who want the same thing at the same time wait for the first of them; a killed one leaves nothing
that could be taken for whole.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import facelab
from facelab import files
from facelab.errors import BadInput

if TYPE_CHECKING:
    from facelab.embeddings import Embeddings
    from facelab.faces import FaceSet

_PART = 4096  # crops that are hashed at a time


def once(
    folder: str | Path, kind: str, order: dict[str, Any], make: Callable[[Path], object]
) -> Path:
    """The folder of a result, made now unless it was made before.

    Parameters
    ----------
    folder
        Where results are kept; anything in it may be deleted when nobody is at work.
    kind
        What the result is: the first word of its folder's name.
    order
        Everything that decides the result, as JSON can hold it.
    make
        Writes the result to a path that it is given, whole or not at all.
    """
    out = Path(folder) / f"{kind}-{digest(order)}"
    if not out.exists():
        with files.locked(Path(folder) / ".locks" / out.name, out, wait=True):
            if not out.exists():
                make(out)
    return out


def digest(order: Any) -> str:
    """A short name for a value that JSON can hold."""
    return hashlib.sha256(files.as_json(order).encode()).hexdigest()[:24]


@cache
def code_of(*rooms: str) -> list[str]:
    """The version, and the SHA-256 of every module of some rooms: other code, other results."""
    home = Path(facelab.__file__).parent
    paths = (path for room in rooms for path in sorted(home.glob(f"{room}/*.py")))
    return [facelab.__version__, *(files.sha256(path) for path in paths)]


def embed(
    embedder: Any,
    faces: "FaceSet",
    flip: bool = True,
    *,
    kept: str | Path | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> "Embeddings":
    """`embedder.embed(faces)`, done once.

    Parameters
    ----------
    embedder
        With `kept`, one that training saved or an ONNX file: their weights tell them apart.
    faces
        The faces; pixels, table and card all count as their content.
    flip
        Add the mirror image's embedding before normalising.
    kept
        Folder in which the embeddings stay. The same ones (weights, faces, facelab's own code) are
        taken from there, whoever asked for them first; runs side by side wait for one another.
        None keeps nothing.
    jobs, progress
        As the embedder takes them.

    Raises
    ------
    BadInput
        They are to be kept and what makes them cannot be told from its weights.
    """
    from facelab.embeddings import Embeddings

    if kept is None:
        return embedder.embed(faces, flip, jobs=jobs, progress=progress)
    if not hasattr(embedder, "identity"):
        raise BadInput(
            f"embeddings by {embedder.name} cannot be kept, for a change of it could not be seen: "
            "leave `kept` out, or save them with .save(folder)"
        )
    order = {
        "embedder": embedder.identity(),
        "faces": content(faces),
        "flip": flip,
        "code": code_of("embedders"),
    }
    found = once(
        kept,
        "embeddings",
        order,
        lambda out: embedder.embed(faces, flip, jobs=jobs, progress=progress).save(out),
    )
    whole = Embeddings.load(found)
    return Embeddings(whole.vectors, whole.table, whole.card | {"embedder": embedder.name})


def content(faces: "FaceSet") -> str:
    """The SHA-256 of a FaceSet: every crop, its table, and its card but for the files' own sums."""
    import pandas as pd

    table = faces.table.astype("str")
    told = hashlib.sha256(
        repr([(name, kind) for name, kind in faces.table.dtypes.items()]).encode()
    )
    told.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    card = {name: value for name, value in faces.card.items() if name != "sha256"}
    told.update(files.as_json(card).encode())
    for start in range(0, len(faces), _PART):
        told.update(faces.gather(slice(start, start + _PART)).tobytes())
    return told.hexdigest()
