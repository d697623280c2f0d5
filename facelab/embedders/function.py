"""Any function on crops as an embedder.

In: a callable from uint8 crops to vectors, yours or another library's. Out: an embedder like our
own, once the callable has shown that it gives one vector a face.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from facelab.arguments import as_annotated
from facelab.datasets.reader import one_line
from facelab.embedders.batches import Workers, embed_batches
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import NEXT
from facelab.embedders.outputs import Trial, chosen_output, tried
from facelab.embedders.vectors import as_vectors
from facelab.errors import BadInput, FacelabError, a_kind
from facelab.faces.faceset import FaceSet
from facelab.faces.presenting import presented

_SIDE = 112  # of the crops that a function for any side is tried on
_FOR_MODULES = (
    "; a module of torch takes float tensors (n, 3, S, S): give a function that makes them, such "
    "as lambda crops: module(torch.tensor(crops).permute(0, 3, 1, 2) / 255)"
)


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
        output: str | int | None = None,
        **card: Any,
    ) -> None:
        self.function, self.name, self.size = function, name, size
        self._workers, self._output, self._card = workers, output, card
        self.dim, self._alone = self._try()

    def __repr__(self) -> str:
        size = f"{self.size} px" if self.size else "crops"
        return f"FunctionEmbedder {self.name!r}: {size} to {self.dim} dimensions"

    def _repr_html_(self) -> str:
        takes = f"{self.size} px" if self.size else "crops of any size"
        facts = {"takes": takes, "gives": f"{self.dim} numbers a face"}
        return presented(f"Embedder of a function, {self.name}", facts, NEXT)

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
            alone=self._alone,
            **self._card,
        )

    def _try(self) -> Trial:
        """Length of a vector and whether it depends on other faces, found out on noise."""
        try:
            return tried(self._rows, self.size or _SIDE, self.name)
        except FacelabError:
            raise
        except Exception as error:
            # Anything may go wrong in somebody else's function; its own traceback stays below.
            side = self.size or _SIDE
            advice = _FOR_MODULES if hasattr(self.function, "state_dict") else ""
            raise BadInput(
                f"{self.name} fails on uint8 crops (3, {side}, {side}, 3), with "
                f"{type(error).__name__}: {one_line(error)}{advice}"
            ) from error

    def _run(self, crops: np.ndarray) -> np.ndarray:
        rows = self._rows(crops)
        if rows.shape[1] != self.dim:
            raise BadInput(
                f"{self.name} gives vectors of {rows.shape[1]} numbers, and of {self.dim} before"
            )
        return rows

    def _rows(self, crops: np.ndarray) -> np.ndarray:
        """The function's vectors, float64 (n, D)."""
        result = chosen_output(self.function(crops), self._output, self.name)

        def said(shape: tuple[int, ...]) -> str:
            return f"{self.name} gives {shape} for {len(crops)} crops"

        return as_vectors(result, len(crops), f"{self.name} gives", said).astype(np.float64)


@as_annotated
def embedder_of(
    function: Callable[[np.ndarray], Any],
    name: str | None = None,
    size: int | None = None,
    workers: Workers | None = None,
    output: str | int | None = None,
) -> FunctionEmbedder:
    """Make an embedder of a function, to be used wherever an embedder is.

    Parameters
    ----------
    function
        Takes crops, uint8 (n, S, S, 3) RGB aligned to the ArcFace template, and gives an array or
        tensor (n, D), one row a crop; axes of length one, as in (n, D, 1, 1), are taken out. Rows
        are normalised here; the mirror image is averaged here too.
    name
        What to call it in tables and figures; by default the function's own name.
    size
        Side of the crops it takes; None for any.
    workers
        "threads" or "processes" where it may work on several batches side by side (processes need
        a function that can be pickled); None calls it on one batch after the other.
    output
        Where it gives several arrays: the name (of a dict's) or the place (of a tuple's) of the one
        that holds the vectors.

    Raises
    ------
    BadInput
        Tried on noise, it fails, or does not give one vector a face, or one that depends on the
        faces beside it; or it has several outputs.

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
        raise BadInput(f"an embedder is made of a function on crops, not {a_kind(function)}")
    name = name or getattr(function, "__name__", type(function).__name__)
    return FunctionEmbedder(function, name, size, workers, output)
