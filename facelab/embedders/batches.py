"""What every embedder that works on crops does alike: batches, mirror images, unit rows.

In: a FaceSet and a function from uint8 crops to vectors. Out: `Embeddings`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import joblib
import numpy as np

from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_faces
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.faces.origin import facts
from facelab.progress import bar
from facelab.workers import as_jobs, pool

Workers = Literal["threads", "processes"]


def embed_batches(
    run: Callable[[np.ndarray], np.ndarray],
    faces: FaceSet,
    dim: int,
    *,
    name: str,
    size: int | None = None,
    flip: bool,
    batch: int,
    jobs: int | None,
    workers: Workers | None,
    progress: bool,
    alone: bool = False,
    **card: Any,
) -> Embeddings:
    """One unit vector a face.

    Parameters
    ----------
    run
        uint8 crops (n, S, S, 3) to n rows of `dim` numbers.
    faces
        Whom to embed.
    dim
        Length of a row.
    size
        Side of the crops that `run` takes; None for any.
    flip
        Add the row of the mirror image before normalising.
    batch
        Crops handed to `run` at a time.
    jobs, workers
        How many batches are worked on side by side, by default one a core; None as `workers` is
        one after the other.
    alone
        Hand `run` one crop at a time: its rows depend on what stands beside them.
    card
        What else is to be known of the embedder.

    Raises
    ------
    BadInput
        The crops have another size, or a row is zero or not finite; the message names the image.
    """
    check_faces(faces, f"the embedder {name}")
    if size and faces.size != size:
        raise BadInput(
            f"{name} takes faces of {size} px and these are of {faces.size} px: prepare them with "
            f"size={size}"
        )
    if alone:
        run, card = partial(_one_at_a_time, run), {**card, "one_at_a_time": True}
    jobs = as_jobs(jobs) if workers else 1
    starts = range(0, len(faces), batch)
    # Crops are read as they are needed, and handed over: not a whole set to every process.
    parts = pool(jobs, prefer=workers, return_as="generator")(
        joblib.delayed(_embed)(run, faces.gather(slice(start, start + batch)), flip)
        for start in starts
    )
    vectors = np.empty((len(faces), dim), np.float32)
    with bar(total=len(faces), desc=f"embed with {name}", unit="face", show=progress) as shown:
        for start, part in zip(starts, parts, strict=True):
            vectors[start : start + len(part)] = part
            shown.update(len(part))
    return Embeddings.from_arrays(
        vectors, faces.table, embedder=name, flip=flip, faces=facts(faces.card), **card
    )


def _one_at_a_time(run: Callable[[np.ndarray], np.ndarray], crops: np.ndarray) -> np.ndarray:
    return np.concatenate([run(crops[place : place + 1]) for place in range(len(crops))])


def _embed(run: Callable[[np.ndarray], np.ndarray], crops: np.ndarray, flip: bool) -> np.ndarray:
    # Torch takes no array with its axes turned round, and a FaceSet may hold one.
    vectors = run(np.ascontiguousarray(crops))
    return vectors + run(np.ascontiguousarray(crops[:, :, ::-1])) if flip else vectors
