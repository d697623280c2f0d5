"""The arms of an experiment, trained side by side.

In: a FaceSet an arm, one recipe, some seeds. Out: one embedder for every arm and seed. Each is
trained in a process of its own with one thread, which on a busy CPU is faster than threads that
share, and gives the same result whatever else runs.
"""

import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from facelab import files
from facelab.errors import BadInput, FacelabError
from facelab.faces import FaceSet
from facelab.progress import bar
from facelab.training.recipe import Recipe


def train_arms(
    arms: dict[str, FaceSet],
    recipe: Recipe | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    jobs: int | None = None,
) -> dict[tuple[str, int], Any]:
    """Train one embedder for every arm and seed, all with the same recipe and number of steps.

    Parameters
    ----------
    arms
        Name to FaceSet. A comparison is fair between arms of equal numbers of subjects and images;
        others are warned about.
    recipe
        None is `Recipe()`.
    seeds
        Every arm is trained once with each.
    jobs
        Processes side by side; None is one a core.

    Returns
    -------
    dict of TimmEmbedder
        By (arm, seed), arms and seeds in the order given. Each card holds `arm` and `seconds`.

    Raises
    ------
    BadInput
        There is no arm or no seed, or a seed is named twice.
    FacelabError
        A training failed; the message names its arm and seed.
    """
    from facelab.embedders.backbone import TimmEmbedder

    recipe = recipe or Recipe()
    if not arms or not len(seeds) or len(set(seeds)) != len(seeds):
        raise BadInput("give at least one arm and at least one seed, each seed once")
    _warn_of_unequal(arms)
    tasks = [(arm, seed) for seed in seeds for arm in arms]
    with tempfile.TemporaryDirectory(prefix="facelab-arms-") as folder:
        work = Path(folder)
        for number, faces in enumerate(arms.values()):
            _hand_over(faces, recipe.size, work / f"arm{number}")
        # One counter a training, in a file that all processes map.
        done = files.reserve_array(work / "steps.npy", (len(tasks),), np.int64)
        places = {arm: number for number, arm in enumerate(arms)}
        calls = [
            joblib.delayed(_train_one)(work, arm, places[arm], number, recipe, seed)
            for number, (arm, seed) in enumerate(tasks)
        ]
        finished = threading.Event()
        watcher = threading.Thread(
            target=_show, args=(done, len(tasks) * recipe.steps, finished), daemon=True
        )
        watcher.start()
        try:
            # One thread each, for OpenMP, MKL and numba alike.
            with (
                joblib.parallel_config("loky", n_jobs=jobs or -1, inner_max_num_threads=1),
                warnings.catch_warnings(),
            ):
                # A worker that has grown in one training gives way to a fresh one for the next.
                warnings.filterwarnings("ignore", "A worker stopped while some jobs")
                joblib.Parallel(batch_size=1, pre_dispatch="all")(calls)
        finally:
            finished.set()
            watcher.join()
        return {
            (arm, seed): TimmEmbedder.load(work / f"embedder{tasks.index((arm, seed))}")
            for arm in arms
            for seed in seeds
        }


def _warn_of_unequal(arms: dict[str, FaceSet]) -> None:
    sizes = {name: (f.table["subject"].nunique(), len(f)) for name, f in arms.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name}: {s} subjects, {i} images" for name, (s, i) in sizes.items())
        warnings.warn(
            f"the arms differ in size ({told}), so a difference between them may come from the "
            "amount of data and not from who is in it: compose them with equal numbers",
            stacklevel=3,
        )


def _hand_over(faces: FaceSet, size: int, folder: Path) -> None:
    """Store an arm at the recipe's size: every process maps the same file, nothing is pickled."""
    from facelab.embedders.backbone import resized

    folder.mkdir()
    shape = (len(faces), size, size, 3)
    crops = files.reserve_array(folder / "crops.npy", shape)
    for start in range(0, len(faces), 1024):
        crops[start : start + 1024] = resized(faces.gather(slice(start, start + 1024)), size)
    crops.flush()
    faces.table.to_pickle(folder / "table.pkl")
    joblib.dump(faces.card, folder / "card.pkl")


def _train_one(work: Path, arm: str, place: int, number: int, recipe: Recipe, seed: int) -> None:
    """One training, in its own process; the result is left in the work folder."""
    import torch

    from facelab.training.loop import train

    torch.set_num_threads(1)
    folder = work / f"arm{place}"
    done = np.load(work / "steps.npy", mmap_mode="r+")

    def count(step: int) -> None:
        done[number] = step

    try:
        faces = FaceSet(
            pd.read_pickle(folder / "table.pkl"),
            np.load(folder / "crops.npy", mmap_mode="r"),
            joblib.load(folder / "card.pkl"),
        )
        embedder = train(faces, recipe, seed=seed, device="cpu", progress=False, on_step=count)
    except Exception as error:
        raise FacelabError(f"training arm {arm!r} with seed {seed} failed: {error}") from error
    embedder.name = f"{arm}-{seed}"
    embedder.card["arm"] = arm
    embedder.save(work / f"embedder{number}")


def _show(done: np.ndarray, total: int, finished: threading.Event) -> None:
    """Move one bar by the steps of all processes until they have finished."""
    with bar(total=total, desc="train the arms", unit="step") as progress:
        while not finished.wait(0.5):
            progress.update(int(done.sum()) - progress.n)
        progress.update(int(done.sum()) - progress.n)
