"""Who is drawn to be trained on: the same people for every seed of the training, or others each.

In: a function that makes the arms' training sets from a population seed. Out: a FaceSet for every
arm and training seed, as `train_arms` and `study` take them.
"""

from collections.abc import Callable, Mapping, Sequence

from facelab.arguments import as_annotated
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet

# Population seeds from one draw to the next: what lies between is for test people and the like.
_APART = 100

# An arm's training set: one for all seeds, or one a seed.
Drawn = FaceSet | Mapping[int, FaceSet]


@as_annotated
def draw_arms(
    draw: Callable[[int], Mapping[str, FaceSet]],
    population_seed: int,
    seeds: Sequence[int] = (0, 1, 2),
    redraw: bool = True,
) -> dict[str, dict[int, FaceSet]]:
    """Training sets for every arm and seed of an experiment.

    A single draw of people may favour an arm by chance, and every training on it then agrees with
    every other: the interval over seeds says how sure the result is for *these* people. Drawn anew
    with the seed, who was drawn is part of what differs between seeds, and so of the interval.

    Parameters
    ----------
    draw
        From a population seed, every arm's training set. Arms of one seed are compared with each
        other: let them share the people that their mixes allow, as `synthesize` with equal seeds
        and `compose` from one pool do.
    population_seed
        Seed 0 of the trainings draws with it, seed k with `population_seed + 100 k`; what lies
        between is free for test people and others.
    seeds
        Of the trainings.
    redraw
        Draw people for every seed; else once, with `population_seed`, for all of them.

    Returns
    -------
    dict of dict of FaceSet
        By arm, then by training seed.

    Raises
    ------
    BadInput
        The draws name different arms.

    Examples
    --------
    >>> import facelab as fl
    >>> def draw(seed):
    ...     shares = {"skewed": {"caucasian/male": 0.8}, "balanced": None}
    ...     return {a: fl.synthesize(6, 2, seed, shares=s, size=32) for a, s in shares.items()}
    >>> arms = fl.draw_arms(draw, population_seed=0, seeds=[0, 1])
    >>> {arm: list(by_seed) for arm, by_seed in arms.items()}
    {'skewed': [0, 1], 'balanced': [0, 1]}
    >>> print(fl.who_was_drawn(arms))
    Every seed drew people of its own to train on: who was drawn is in the intervals.
    """
    drawn = {seed: draw(population_seed + _APART * seed) for seed in (seeds if redraw else [0])}
    names = [list(arms) for arms in drawn.values()]
    if any(sorted(others) != sorted(names[0]) for others in names):
        raise BadInput(
            "the draws name different arms: let `draw` give the same arms for every seed"
        )
    return {arm: {seed: drawn[seed if redraw else 0][arm] for seed in seeds} for arm in names[0]}


def of_seed(faces: Drawn, arm: str, seed: int) -> FaceSet:
    """What an arm trains on with a seed."""
    if isinstance(faces, Mapping):
        if seed not in faces:
            raise BadInput(f"arm {arm!r} has no training set for the seed {seed}: draw one")
        return faces[seed]
    return faces


@as_annotated
def who_was_drawn(arms: Mapping[str, Drawn]) -> str:
    """Whether intervals over seeds allow for who was drawn to be trained on, in a sentence.

    Parameters
    ----------
    arms
        Training sets by arm, or by arm and seed.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 2, size=32)
    >>> print(fl.who_was_drawn({"plain": faces}))
    All seeds trained on the same people: who was drawn is not in the intervals.
    """
    by_seed = [list(one.values()) if isinstance(one, Mapping) else [] for one in arms.values()]
    if any(len(sets) == 1 for sets in by_seed):
        return "There is one seed: neither it nor who was drawn is in the intervals."
    if all(sets and len({id(faces) for faces in sets}) == len(sets) for sets in by_seed):
        return "Every seed drew people of its own to train on: who was drawn is in the intervals."
    return "All seeds trained on the same people: who was drawn is not in the intervals."
