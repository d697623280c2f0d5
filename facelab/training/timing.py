"""What a step of training costs, arm beside arm.

In: training sets and recipes by arm. Out: CPU seconds a step and their ratios.
"""

import dataclasses
import time
from collections.abc import Mapping

import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_option, there_are
from facelab.faces.faceset import FaceSet
from facelab.training.loop import train
from facelab.training.recipe import Recipe


@as_annotated
def cpu_cost(
    arms: Mapping[str, FaceSet],
    recipes: Mapping[str, Recipe],
    baseline: str,
    meta: FaceSet | None = None,
    steps: int = 30,
    repeats: int = 3,
) -> pd.DataFrame:
    """CPU time of a training step: `arm seconds ratio low high`.

    A few steps of every arm in turn, and all of it again: trainings that ran at different times
    cannot be compared, for their time depends on what else the machine did.

    Parameters
    ----------
    arms, recipes, meta
        As `train_arms` takes them.
    baseline
        The arm whose time `ratio` is over.
    steps, repeats
        Of every arm, each time on one thread; how often.

    Returns
    -------
    pandas.DataFrame
        `seconds` a step and `ratio` are medians, `low` and `high` the least and the most of the
        ratios.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 4, size=32)
    >>> recipes = {"small": fl.Recipe(size=32), "wider": fl.Recipe(size=32, dim=512)}
    >>> costs = fl.cpu_cost({"small": faces, "wider": faces}, recipes, "small", steps=2, repeats=1)
    >>> list(costs.columns), costs["arm"].tolist()
    (['arm', 'seconds', 'ratio', 'low', 'high'], ['small', 'wider'])
    """
    check_option("baseline", baseline, arms)
    for arm in arms:
        if arm not in recipes:
            raise BadInput(f"arm {arm!r} has no recipe{there_are(arm, recipes)}")
    taken = {arm: [] for arm in arms}
    for _ in range(repeats):
        for arm, faces in arms.items():
            taken[arm].append(_seconds_a_step(faces, recipes[arm], meta, steps))
    ratios = pd.DataFrame(taken).T
    ratios = ratios / ratios.loc[baseline]
    told = {"seconds": pd.DataFrame(taken).median(), "ratio": ratios.median(axis=1)}
    told |= {"low": ratios.min(axis=1), "high": ratios.max(axis=1)}
    return pd.DataFrame(told).loc[list(arms)].rename_axis("arm").reset_index()


def _seconds_a_step(faces: FaceSet, recipe: Recipe, meta: FaceSet | None, steps: int) -> float:
    import torch

    ticks: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(
            faces,
            dataclasses.replace(recipe, steps=steps + 1),
            device="cpu",
            meta=meta if recipe.mitigate.meta_margins else None,
            progress=False,
            on_step=lambda _: ticks.append(time.process_time()),
        )
    finally:
        torch.set_num_threads(threads)
    # The first step warms up.
    return (ticks[-1] - ticks[0]) / steps
