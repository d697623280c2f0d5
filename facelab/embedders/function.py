"""Any function on crops as an embedder.

In: a callable from uint8 crops to vectors, yours or another library's. Out: an embedder like our
own, once the callable has shown that it gives one vector a face.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from facelab.embedders.batches import Workers, embed_batches
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet


class FunctionEmbedder:
    """A function as an embedder; see `embedder_of`.

    Attributes
    ----------
    name, dim, size
        What it is called; length of an embedding; side of its crops in pixels, None for any.
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], Any],
        name: str,
        size: int | None,
        workers: Workers | None = None,
        **card: Any,
    ) -> None:
        self.function, self.name, self.size = function, name, size
        self._workers, self._card = workers, card
        self.dim = self._try()

    def __repr__(self) -> str:
        size = f"{self.size} px" if self.size else "crops"
        return f"FunctionEmbedder {self.name!r}: {size} to {self.dim} dimensions"

    def embed(
        self,
        faces: FaceSet,
        flip: bool = True,
        batch: int = 64,
        jobs: int | None = None,
        progress: bool = True,
    ) -> Embeddings:
        """One unit vector a face.

        Parameters
        ----------
        faces
            Crops of the function's own size, where it has one.
        flip
            Add the vector of the mirror image before normalising.
        batch
            Faces handed to the function at a time.
        jobs
            Batches side by side, where the function bears it (`workers` of `embedder_of`).
        progress
            Show a bar.

        Raises
        ------
        BadInput
            The crops have another size, or what the function gives is no vector a face, zero or
            not finite.
        """
        return embed_batches(
            self._run,
            faces,
            self.dim,
            name=self.name,
            size=self.size,
            flip=flip,
            batch=batch,
            jobs=jobs,
            workers=self._workers,
            progress=progress,
            **self._card,
        )

    def _try(self) -> int:
        """Length of a vector, found out on noise."""
        side = self.size or 112
        noise = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
        three, two = self._rows(noise), self._rows(noise[:2])
        lengths = np.linalg.norm(three[:2], axis=1) * np.linalg.norm(two, axis=1)
        cosine = (three[:2] * two).sum(axis=1) / np.where(lengths > 0, lengths, 1)
        if (lengths > 0).all() and (cosine < 0.999).any():
            raise BadInput(
                f"{self.name} gives a face another vector when other faces are beside it: put the "
                "network into evaluation mode (network.eval())"
            )
        return three.shape[1]

    def _run(self, crops: np.ndarray) -> np.ndarray:
        rows = self._rows(crops)
        if rows.shape[1] != self.dim:
            raise BadInput(
                f"{self.name} gives vectors of {rows.shape[1]} numbers, and of {self.dim} before"
            )
        return rows

    def _rows(self, crops: np.ndarray) -> np.ndarray:
        """The function's vectors, float64 (n, D)."""
        result = self.function(crops)
        if hasattr(result, "detach"):  # a tensor, perhaps with a gradient or on a device
            result = result.detach().cpu()
        try:
            rows = np.asarray(result, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise BadInput(f"{self.name} gives no numbers but {type(result).__name__}") from error
        if rows.ndim != 2 or len(rows) != len(crops) or not rows.shape[1]:
            raise BadInput(
                f"{self.name} gives {rows.shape} for {len(crops)} crops: one row of numbers each "
                f"is needed, ({len(crops)}, D)"
            )
        return rows


def embedder_of(
    function: Callable[[np.ndarray], Any],
    name: str | None = None,
    size: int | None = None,
    workers: Workers | None = None,
) -> FunctionEmbedder:
    """Make an embedder of a function, to be used wherever an embedder is.

    Parameters
    ----------
    function
        Takes crops, uint8 (n, S, S, 3) RGB aligned to the ArcFace template, and gives an array or
        tensor (n, D), one row a crop. Rows are normalised here; the mirror image is averaged here
        too.
    name
        What to call it in tables and figures; by default the function's own name.
    size
        Side of the crops it takes; None for any.
    workers
        "threads" or "processes" where it may work on several batches side by side (processes need
        a function that can be pickled); None calls it on one batch after the other.

    Raises
    ------
    BadInput
        Tried on noise, it does not give one vector a face, or one that depends on the faces beside
        it.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 2, size=32)
    >>> embedder = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, "pixels", size=32)
    >>> embeddings = embedder.embed(faces)
    >>> embedder.name, embeddings.vectors.shape
    ('pixels', (12, 3072))
    """
    if not callable(function):
        raise BadInput(f"an embedder is made of a function on crops, not {type(function).__name__}")
    name = name or getattr(function, "__name__", type(function).__name__)
    return FunctionEmbedder(function, name, size, workers)
