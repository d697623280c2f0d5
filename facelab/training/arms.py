"""The arms of an experiment, trained side by side.

In: a FaceSet an arm (or an arm and seed), one recipe or one an arm, some seeds. Out: one embedder
for every arm and seed. On a CPU each is trained in a process of its own with one thread, which on a
busy machine is faster than threads that share, and gives the same result whatever else runs; on a
GPU they take turns.
"""

import dataclasses
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from facelab import files, places
from facelab.arguments import as_annotated
from facelab.errors import BadInput, FacelabError, warn
from facelab.faces.faceset import FaceSet, content
from facelab.keeping import code_of, digest, locked, made_with
from facelab.progress import bar, tell
from facelab.training.draws import Drawn, of_seed
from facelab.training.recipe import Recipe
from facelab.workers import as_jobs, pool

if TYPE_CHECKING:
    from facelab.embedders.trained import TrainedEmbedder
    from facelab.training.parts import Parts


_NONE = {"terms": ()}  # of a part that an arm lacks


@dataclass(frozen=True)
class _Task:
    """One training: the recipe has its seed, faces are named by the folder they are handed in."""

    arm: str
    recipe: Recipe
    faces: Path
    held_out: Path | None
    meta: Path | None
    own: "Parts"
    out: Path
    device: str


@as_annotated
def train_arms(
    arms: Mapping[str, Drawn],
    recipe: Recipe | Mapping[str, Recipe] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    jobs: int | None = None,
    *,
    held_out: FaceSet | None = None,
    meta: FaceSet | None = None,
    kept: str | Path | None = None,
    device: str = "auto",
    head: Any = None,
    backbone: Any = None,
    augment: Any = None,
    sampler: Any = None,
    terms: Sequence[Any] | Mapping[str, Sequence[Any]] = (),
) -> "dict[tuple[str, int], TrainedEmbedder]":
    """Train one embedder for every arm and seed.

    Parameters
    ----------
    arms
        Name to FaceSet; several may name the same one and differ in their recipe. Or name to one
        FaceSet a seed, as `draw_arms` gives them, so that who was drawn differs between seeds. A
        comparison is fair between arms of equal numbers of subjects, images and steps; others are
        warned about.
    recipe
        One for all arms, or one an arm; None is `Recipe()`.
    seeds
        Every arm is trained once with each.
    jobs
        Processes side by side on a CPU; None is one a core. On a GPU the arms take turns in this
        process: side by side they would share it, and none would be done earlier.
    held_out, meta
        Other subjects, as `train` takes them; arms whose recipe learns no margins do without
        `meta`.
    kept
        Folder in which every training stays once it is finished. The same training (recipe, seed,
        weights to begin with, faces, held-out and meta faces, facelab's own code, precision and
        versions of what computes) is loaded from there, whoever asked for it first; what a kill
        left unfinished is trained anew. None keeps nothing.
    head, backbone, augment, sampler, terms
        Parts of your own, as `train` takes them: one for all arms, or a dict by arm, in which an
        arm that is not named has the recipe's. What is kept knows them by their sources, their
        settings and, of modules, their weights.

    Returns
    -------
    dict of TrainedEmbedder
        By (arm, seed), arms and seeds in the order given. Each card holds `arm`, `seconds` and
        `cpu_seconds`.

    Raises
    ------
    BadInput
        There is no arm or no seed, a seed is named twice, an arm has no faces for a seed, recipes
        or parts and arms differ in names, or there is no such device.
    FacelabError
        A training failed; the message names its arm and seed.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 4, size=32)
    >>> size = {"subjects": 6, "images_per_subject": 4}
    >>> arms = {
    ...     "skewed": fl.compose(faces, "gender", {"male": 0.9}, **size),
    ...     "balanced": fl.compose(faces, "gender", **size),
    ... }
    >>> embedders = fl.train_arms(arms, fl.Recipe(steps=2, size=32), seeds=[0], jobs=1)
    >>> list(embedders)
    [('skewed', 0), ('balanced', 0)]
    """
    from facelab.embedders.tensors import pick_device
    from facelab.embedders.trained import TrainedEmbedder

    where = pick_device(device)
    recipes = recipe if isinstance(recipe, Mapping) else dict.fromkeys(arms, recipe or Recipe())
    if not arms or not len(seeds) or len(set(seeds)) != len(seeds):
        raise BadInput("give at least one arm and at least one seed, each seed once")
    if set(recipes) != set(arms):
        name = sorted(set(recipes) ^ set(arms))[0]
        raise BadInput(f"there is no {'recipe' if name in arms else 'arm'} {name!r}: give both")
    given = {"head": head, "backbone": backbone, "augment": augment, "sampler": sampler}
    owns = _by_arm({**given, "terms": terms}, arms)
    jobs = as_jobs(jobs)
    sets = {(arm, seed): of_seed(arms[arm], arm, seed) for seed in seeds for arm in arms}
    warn_of_unequal(sets, recipes)
    with tempfile.TemporaryDirectory(prefix="facelab-arms-") as folder:
        work = Path(folder)
        handed = _Handed(work)
        names = Names(where)
        place = Path(kept) if kept else work
        place.mkdir(parents=True, exist_ok=True)
        outs, tasks, found = {}, {}, set()
        for (arm, seed), faces in sets.items():
            one = dataclasses.replace(recipes[arm], seed=seed)
            its_meta = meta if one.mitigate.meta_margins else None
            own = owns[arm].about and (owns[arm].key() if kept else arm)
            out = place / names.of(one, faces, held_out, its_meta, own=own)
            outs[arm, seed] = out
            if out in tasks or out in found:
                continue
            if kept and _is_whole(out, owns[arm].backbone):
                found.add(out)
                continue
            if kept and out.exists():
                warn(f"{out} holds no whole training: it is trained again")
            handed_over = (handed.over(part, one.size) for part in (faces, held_out, its_meta))
            tasks[out] = _Task(arm, one, *handed_over, owns[arm], out, str(where))
        if found:
            tell(f"{len(found)} of {len(found) + len(tasks)} trainings were kept in {kept}")
        _run(list(tasks.values()), work, None if _takes_turns(where) else jobs)
        result = {}
        for arm in arms:
            for seed in seeds:
                out = outs[arm, seed]
                backbone = owns[arm].backbone
                embedder = TrainedEmbedder.load(out, str(where), backbone)
                embedder.name, embedder.card["arm"] = f"{arm}-{seed}", arm
                result[arm, seed] = embedder
        return result


def _by_arm(given: dict[str, Any], arms: Mapping[str, Any]) -> "dict[str, Parts]":
    """One's own parts of each arm."""
    from facelab.training.parts import Parts

    for what, part in given.items():
        if isinstance(part, Mapping) and (unknown := sorted(set(part) - set(arms))):
            raise BadInput(f"{what} names an arm that there is not: {unknown[0]!r}")

    def of(arm: str) -> Parts:
        own = {
            what: part.get(arm, _NONE.get(what)) if isinstance(part, Mapping) else part
            for what, part in given.items()
        }
        return Parts(**own)

    return {arm: of(arm) for arm in arms}


def warn_of_unequal(sets: Mapping[tuple[str, int], FaceSet], recipes: Mapping[str, Recipe]) -> None:
    """Say where arms differ in more than who is in them."""
    sizes = {
        (name, faces.table["subject"].nunique(), len(faces)): None
        for (name, _), faces in sets.items()
    }
    if len({(people, images) for _, people, images in sizes}) > 1:
        told = ", ".join(f"{name}: {s} subjects, {i} images" for name, s, i in sizes)
        warn(
            f"the arms differ in size ({told}), so a difference between them may come from the "
            "amount of data and not from who is in it: compose them with equal numbers"
        )
    work = {name: (recipes[name].steps, recipes[name].batch) for name, *_ in sizes}
    if len(set(work.values())) > 1:
        told = ", ".join(
            f"{name}: {steps} steps of {batch}" for name, (steps, batch) in work.items()
        )
        warn(
            f"the arms differ in training ({told}), so a difference between them may come from the "
            "amount of training: give their recipes equal steps and batches"
        )


class Names:
    """Names of trainings, made of everything that decides their result."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._prints: dict[int, str] = {}
        self._begun: dict[str, str | None] = {}

    def of(self, recipe: Recipe, *parts: FaceSet | None, own: Any = None) -> str:
        """The name of one."""
        from facelab.embedders.backbones import given_weights
        from facelab.embedders.tensors import computes_on
        from facelab.training.engine import precision_on
        from facelab.training.starts import decided, start_of

        with_what = [
            code_of("training.arms"),
            made_with("numpy", "torch", "torchvision", "timm", "pillow"),
            computes_on(self._device),
            str(precision_on(self._device, recipe.precision)),
        ]
        options = {"name": recipe.backbone, "options": recipe.backbone_options, "size": recipe.size}
        begun = digest(options)
        if begun not in self._begun:
            self._begun[begun] = given_weights(**options)
        start = digest({**recipe.to_dict(), "seed": 0})
        if recipe.start is not None and start not in self._begun:
            self._begun[start] = start_of(recipe).digest()
        told = decided(recipe, recipe.start and {"sha256": self._begun[start]})
        what = [told, self._begun[begun], *(self._print(part) for part in parts)]
        if own:
            what.append(own)
        return digest([*with_what, *what])

    def _print(self, faces: FaceSet | None) -> str | None:
        if faces is None:
            return None
        if id(faces) not in self._prints:
            self._prints[id(faces)] = content(faces)
        return self._prints[id(faces)]


class _Handed:
    """FaceSets in files, each once a size: every process maps the same, nothing is pickled."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._places: dict[tuple[int, int], Path] = {}

    def over(self, faces: FaceSet | None, size: int) -> Path | None:
        from facelab.embedders.tensors import write_resized

        if faces is None:
            return None
        key = (id(faces), size)
        if key not in self._places:
            folder = self._places[key] = self._work / f"faces{len(self._places)}"
            folder.mkdir()
            crops = files.reserve_array(folder / "crops.npy", (len(faces), size, size, 3))
            write_resized(faces, crops)
            crops.flush()
            faces.table.to_pickle(folder / "table.pkl")
            joblib.dump(faces.card, folder / "card.pkl")
        return self._places[key]


def _taken(folder: Path | None) -> FaceSet | None:
    """What was handed over."""
    if folder is None:
        return None
    return FaceSet(
        pd.read_pickle(folder / "table.pkl"),
        np.load(folder / "crops.npy", mmap_mode="r"),
        joblib.load(folder / "card.pkl"),
    )


def _is_whole(folder: Path, backbone: Any) -> bool:
    """Whether a kept training is there and can be loaded."""
    from facelab.embedders.trained import TrainedEmbedder

    try:
        TrainedEmbedder.load(folder, backbone=backbone)
    except (FacelabError, OSError):
        return False
    return True


def _takes_turns(device: Any) -> bool:
    """Whether trainings on a device share it, so that one after another is as fast."""
    return device.type != "cpu"


def _run(tasks: list[_Task], work: Path, jobs: int | None) -> None:
    """Train side by side or, where `jobs` is None, in turn, under one bar."""
    if not tasks:
        return
    # One counter a training, in a file that all processes map.
    done = files.reserve_array(work / "steps.npy", (len(tasks),), np.int64)
    steps = sum(task.recipe.steps for task in tasks)
    finished = threading.Event()
    watcher = threading.Thread(target=_show, args=(done, steps, finished), daemon=True)
    watcher.start()
    try:
        if jobs is None:
            for number, task in enumerate(tasks):
                _train_one(task, work / "steps.npy", number)
            return
        # One thread each, for OpenMP, MKL and numba alike.
        with (
            joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1),
            warnings.catch_warnings(),
        ):
            # A worker that has grown in one training gives way to a fresh one for the next.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs")
            calls = [
                joblib.delayed(_train_one)(task, work / "steps.npy", number)
                for number, task in enumerate(tasks)
            ]
            pool(None, batch_size=1, pre_dispatch="all")(calls)
    finally:
        finished.set()
        watcher.join()


def _train_one(task: _Task, counters: Path, number: int) -> None:
    """One training, in its own process; the result is left where the task says, unless another
    experiment that wants the same has just put it there."""
    with locked(task.out.parent / ".locks" / task.out.name, task.out, wait=True):
        if _is_whole(task.out, task.own.backbone):
            return
        if task.out.exists():  # of what is kept, anything may be made again
            places.discard(task.out)
        _train_now(task, counters, number)


def _train_now(task: _Task, counters: Path, number: int) -> None:
    import torch

    from facelab.training.loop import train

    # With one job this is the caller's own process, which keeps its threads.
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if task.device == "cpu" else threads)
    done = np.load(counters, mmap_mode="r+")

    def count(step: int) -> None:
        done[number] = step

    start = time.process_time()
    try:
        embedder = train(
            _taken(task.faces),
            task.recipe,
            device=task.device,
            held_out=_taken(task.held_out),
            meta=_taken(task.meta),
            progress=False,
            on_step=count,
            **task.own.given(),
        )
    except Exception as error:
        seed = task.recipe.seed
        raise FacelabError(f"training arm {task.arm!r} with seed {seed} failed: {error}") from error
    finally:
        torch.set_num_threads(threads)
    if task.own.about:  # as told where a notebook's sources are
        embedder.card["parts"] = task.own.about
    embedder.card["cpu_seconds"] = time.process_time() - start
    embedder.save(task.out)


def _show(done: np.ndarray, total: int, finished: threading.Event) -> None:
    """Move one bar by the steps of all processes until they have finished."""
    with bar(total=total, desc="train the arms", unit="step") as progress:
        while not finished.wait(0.5):
            progress.update(int(done.sum()) - progress.n)
        progress.update(int(done.sum()) - progress.n)
