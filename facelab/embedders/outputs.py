"""What an embedder gives: one of several outputs, and whether it is one vector a face.

In: the result of a function or a model on crops. Out: what holds the vectors, and their length; or
one sentence, the same whoever made the embedder.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from facelab.embedders.vectors import at_hand
from facelab.errors import BadInput, there_are, warn

_SAME = 1e-5  # by which a vector may change and be the same; quantised, it changes by 1e-3


def chosen_output(result: Any, output: str | int | None, name: str) -> Any:
    """What of a function's result holds the vectors.

    Parameters
    ----------
    result
        An array, or several by name (a dict) or in a row (a tuple, a list of arrays).
    output
        Which one: a name or a place. None: the only one.
    name
        Of the embedder.
    """
    outputs = _outputs(result)
    if not outputs:
        if output is not None:
            raise BadInput(f"{name} gives one array and no output {output!r}: leave output out")
        return result
    if output is None and len(outputs) > 1:
        raise BadInput(several_outputs(name, outputs))
    if output is not None and output not in outputs:
        raise BadInput(no_output(name, output, outputs))
    return next(iter(outputs.values())) if output is None else outputs[output]


def _outputs(result: Any) -> dict[str | int, Any]:
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, list | tuple) and all(np.ndim(at_hand(part)) > 1 for part in result):
        return dict(enumerate(result))
    return {}


def several_outputs(name: str, outputs: Iterable[str | int]) -> str:
    """What to say where the vectors may be in one of several outputs."""
    listed = ", ".join(map(str, outputs))
    return (
        f"{name} has several outputs ({listed}): give output, the name of the one that holds the "
        "vectors"
    )


def no_output(name: str, output: Any, outputs: Iterable[str | int]) -> str:
    """What to say of an output that there is not."""
    return f"{name} has no output {output!r}{there_are(output, outputs, 'it has')}"


class Trial(NamedTuple):
    """How long an embedder's vectors are, and whether it must be given one face at a time."""

    dim: int
    alone: bool


def tried(
    run: Callable[[np.ndarray], np.ndarray], side: int, name: str, quantised: bool = False
) -> Trial:
    """What an embedder is like, found out on noise.

    A network that is quantised dynamically (`quantised` where its file says so) rounds by the
    largest number in the batch: a face's vector depends, a little, on the faces beside it. It is
    given one face at a time, and a warning says so.

    Raises
    ------
    BadInput
        It gives a face quite another vector when other faces are beside it.
    """
    noise = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    three, two = (run(part).astype(np.float64) for part in (noise, noise[:2].copy()))
    lengths = np.linalg.norm(three[:2], axis=1) * np.linalg.norm(two, axis=1)
    cosine = (three[:2] * two).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    if (lengths > 0).all() and (cosine < 0.999).any() and not quantised:
        raise BadInput(
            f"{name} gives a face another vector when other faces are beside it: put the network "
            "into evaluation mode (network.eval()), before it is exported where it is a file"
        )
    alone = quantised or _depends_on_others(run, noise[0])
    if alone:
        warn(
            f"{name} gives a face a slightly different vector when other faces are beside it, as "
            "models that are quantised dynamically do: faces are embedded one at a time"
        )
    return Trial(three.shape[1], alone)


def _depends_on_others(run: Callable[[np.ndarray], np.ndarray], noise: np.ndarray) -> bool:
    """Whether a face's vector changes with the face beside it, in batches of the same size.

    The same size, because libraries choose their kernels by it, which changes the last digits.
    """
    face, quiet = noise // 2 + 64, noise // 32 + 124
    loud = np.where(noise > 127, 255, 0).astype(np.uint8)
    one, other = (run(np.stack([face, beside])).astype(np.float64)[0] for beside in (quiet, loud))
    return bool(np.linalg.norm(one - other) > _SAME * np.linalg.norm(one))
