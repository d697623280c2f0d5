"""Embeddings that are made once and taken from where they were kept.

In: an embedder, faces, a folder. Out: `Embeddings`, whoever asked for them first.
"""

from pathlib import Path
from typing import Any

from facelab.arguments import as_annotated
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_embedder
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet, content
from facelab.keeping import code_of, made_with, once


@as_annotated
def embed(
    embedder: Any,
    faces: FaceSet,
    flip: bool = True,
    *,
    kept: str | Path | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> Embeddings:
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
        Folder in which the embeddings stay. The same ones (weights, faces, facelab's own code,
        versions of what computes, kind of device) are taken from there, whoever asked for them
        first; runs side by side wait for one another. None keeps nothing.
    jobs, progress
        As the embedder takes them.

    Raises
    ------
    BadInput
        They are to be kept and what makes them cannot be told from its weights.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 2, size=32)
    >>> embedder = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, "pixels", size=32)
    >>> fl.embed(embedder, faces).vectors.shape
    (12, 3072)
    """
    check_embedder(embedder, "fl.embed")
    if kept is None:
        return embedder.embed(faces, flip, jobs=jobs, progress=progress)
    kind = type(embedder)
    # A class that inherits it may do more than what its parent can tell of itself.
    if "identity" not in vars(kind):
        raise BadInput(
            f"embeddings by {embedder.name} cannot be kept, for a change of it could not be seen: "
            "leave `kept` out, or save them with .save(folder)"
        )
    ours = kind.__module__.removeprefix("facelab.")
    order = {
        "embedder": embedder.identity(),
        "computed": embedder.computed() if hasattr(embedder, "computed") else None,
        "faces": content(faces),
        "flip": flip,
        "code": code_of("embedders.kept", ours if ours != kind.__module__ else "embedders"),
        "made_with": made_with("numpy", "torch", "timm", "onnxruntime"),
    }
    whole = once(
        kept,
        "embeddings",
        order,
        lambda out: embedder.embed(faces, flip, jobs=jobs, progress=progress).save(out),
        Embeddings.load,
    )
    return Embeddings(whole.vectors, whole.table, whole.card | {"embedder": embedder.name})
