"""The analysers of an experiment, trained side by side: one for every arm and seed.

In: a FaceSet an arm (or an arm and seed), the column to learn, recipes, seeds. Out: analysers by
arm and seed, each made once. On a CPU each is trained in a process of its own with one thread.
"""

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import torch

from facelab.analysis.learning import train_analyser
from facelab.analysis.trained import TrainedAnalyser
from facelab.arguments import as_annotated
from facelab.embedders.tensors import pick_device
from facelab.errors import BadInput, FacelabError
from facelab.faces.faceset import FaceSet
from facelab.keeping import code_of, once
from facelab.progress import bar
from facelab.training.arms import Names, warn_of_unequal
from facelab.training.draws import Drawn, of_seed
from facelab.training.recipe import Recipe
from facelab.workers import as_jobs, pool


@as_annotated
def train_analysers(
    arms: Mapping[str, Drawn],
    column: str,
    recipe: Recipe | Mapping[str, Recipe] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    jobs: int | None = None,
    *,
    kind: str | None = None,
    labels: Sequence[str] | None = None,
    held_out: FaceSet | None = None,
    kept: str | Path | None = None,
    device: str = "auto",
) -> dict[tuple[str, int], TrainedAnalyser]:
    """Train one analyser for every arm and seed, as `train_arms` trains embedders.

    Parameters
    ----------
    arms
        Name to FaceSet, or to one FaceSet a seed, as `draw_arms` gives them.
    column, kind, labels
        What is learnt, as of `train_analyser`.
    held_out
        Other people, at whom each training looks as its recipe's `validate` says.
    recipe
        One for all arms, or one an arm, such as with other mitigations; None is `Recipe()`.
    seeds
        Every arm is trained once with each.
    jobs
        Processes side by side on a CPU; None is one a core. On a GPU the arms take turns.
    kept
        Folder in which every training stays once it is finished; the same one (recipe, seed, faces,
        facelab's own code, versions of what computes) is loaded from there. None keeps nothing.
    device
        As of `train`.

    Returns
    -------
    dict of TrainedAnalyser
        By (arm, seed), arms and seeds in the order given.

    Raises
    ------
    BadInput
        There is no arm or no seed, a seed is named twice, an arm has no faces for a seed or no
        recipe, or there is no such device.
    FacelabError
        A training failed; the message names its arm and seed.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 2, size=32)
    >>> recipe = fl.Recipe(steps=2, size=32, dim=64)
    >>> list(fl.train_analysers({"plain": faces}, "gender", recipe, seeds=[0, 1], jobs=1))
    [('plain', 0), ('plain', 1)]
    """
    where = pick_device(device)
    recipes = recipe if isinstance(recipe, Mapping) else dict.fromkeys(arms, recipe or Recipe())
    if not arms or not len(seeds) or len(set(seeds)) != len(seeds):
        raise BadInput("give at least one arm and at least one seed, each seed once")
    if set(recipes) != set(arms):
        name = sorted(set(recipes) ^ set(arms))[0]
        raise BadInput(f"there is no {'recipe' if name in arms else 'arm'} {name!r}: give both")
    sets = {(arm, seed): of_seed(arms[arm], arm, seed) for arm in arms for seed in seeds}
    warn_of_unequal(sets, recipes)
    names = Names(where)
    calls = []
    for (arm, seed), faces in sets.items():
        one = dataclasses.replace(recipes[arm], seed=seed)
        learnt = {"column": column, "kind": kind, "labels": labels and list(labels)}
        order = kept and {
            "training": names.of(one, faces, held_out, own=learnt),
            "code": code_of("analysis.learning"),
        }
        told = learnt | {"held_out": held_out}
        calls.append(joblib.delayed(_one)(arm, faces, one, str(where), told, kept, order))
    jobs = as_jobs(jobs) if where.type == "cpu" else 1
    with (
        joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1),
        warnings.catch_warnings(),
    ):
        # A worker that has grown in one training gives way to a fresh one for the next.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        done = pool(None, batch_size=1, return_as="generator")(calls)
        made = list(bar(done, total=len(calls), desc="train the analysers", unit="training"))
    for (arm, seed), analyser in zip(sets, made, strict=True):
        analyser.name = analyser.embedder.name = f"{arm}-{seed}"
    return dict(zip(sets, made, strict=True))


def _one(
    arm: str,
    faces: FaceSet,
    recipe: Recipe,
    device: str,
    learnt: dict[str, Any],
    kept: str | Path | None,
    order: dict[str, Any] | None,
) -> TrainedAnalyser:
    """One training, in its own process; with one job in the caller's, which keeps its threads."""
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    make = partial(_made, faces, recipe, device, learnt)
    try:
        if kept is None or order is None:
            return make()
        load = partial(TrainedAnalyser.load, device=device)
        return once(kept, "analyser", order, lambda out: make().save(out), load)
    except Exception as error:
        raise FacelabError(
            f"training arm {arm!r} with seed {recipe.seed} failed: {error}"
        ) from error
    finally:
        torch.set_num_threads(threads)


def _made(faces: FaceSet, recipe: Recipe, device: str, learnt: dict[str, Any]) -> TrainedAnalyser:
    start = time.process_time()
    made = train_analyser(faces, recipe=recipe, device=device, progress=False, **learnt)
    made.card["cpu_seconds"] = time.process_time() - start
    return made
