"""Which images make a batch.

In: every image's subject as a number, a recipe. Out: row numbers, batch after batch without end.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np

from facelab.errors import BadInput
from facelab.training.recipe import Recipe


def batches(labels: np.ndarray, recipe: Recipe) -> Iterator[np.ndarray]:
    """One shuffled pass after another, cut into batches of equal size.

    Parameters
    ----------
    labels
        int (N,): the subject of every image, 0 upwards.
    recipe
        Its `batch`, `together` and `seed` decide.

    Returns
    -------
    iterator of int (batch,)
        Row numbers. With `together` = 1 a pass shows every image once; else it shows as many
        images of a subject as make whole sets of `together`, others in every pass.

    Raises
    ------
    BadInput
        A subject has fewer than `together` images.
    """
    rng = np.random.default_rng(recipe.seed)
    if recipe.together == 1:
        return _cut((rng.permutation(len(labels)) for _ in count()), recipe.batch)
    subjects = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    fewest = min(map(len, subjects))
    if fewest < recipe.together:
        raise BadInput(
            f"a subject has only {fewest} of the {recipe.together} images that come together: "
            "lower `together` or leave out who has fewer"
        )
    return _cut((_in_sets(subjects, recipe.together, rng) for _ in count()), recipe.batch)


def _in_sets(subjects: list[np.ndarray], together: int, rng: np.random.Generator) -> np.ndarray:
    """A pass over the subjects: sets of a subject's images, the sets shuffled."""
    sets = [
        rng.permutation(rows)[: len(rows) // together * together].reshape(-1, together)
        for rows in subjects
    ]
    return rng.permutation(np.concatenate(sets)).ravel()


def _cut(passes: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    waiting = next(passes)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, next(passes)])
        yield waiting[:size]
        waiting = waiting[size:]
