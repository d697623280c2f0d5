"""The training loop: batch, forward, backward, step, log; look, save.

In: a FaceSet and a recipe. Out: an embedder with its history. Everything random about a step
follows from the recipe's seed and the step's number, so a training that is resumed, or shared among
processes, goes the same way.
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import nn

from facelab.arguments import as_annotated
from facelab.embedders.kinds import called, check_faces
from facelab.embedders.tensors import fastest_kernels
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, Stopped, check_count, warn
from facelab.faces.faceset import FaceSet, content
from facelab.files import difference
from facelab.keeping import locked
from facelab.progress import bar
from facelab.training.callbacks import Callbacks
from facelab.training.checkpoints import Checkpoints, fingerprint, stoppable
from facelab.training.distributed import Team, team
from facelab.training.engine import Training
from facelab.training.parts import Parts
from facelab.training.recipe import Recipe
from facelab.training.starts import decided
from facelab.training.targets import KEPT_BY
from facelab.training.validation import Watch


@as_annotated
def train(
    faces: FaceSet,
    recipe: Recipe | None = None,
    *,
    seed: int | None = None,
    device: str = "auto",
    held_out: FaceSet | None = None,
    meta: FaceSet | None = None,
    checkpoints: str | Path | None = None,
    checkpoint_every: int = 500,
    keep: int = 2,
    resume: bool = False,
    progress: bool = True,
    head: Any = None,
    backbone: Any = None,
    augment: Callable[[Any], Any] | None = None,
    sampler: Any = None,
    terms: Sequence[Any] = (),
    callbacks: Sequence[Any] = (),
    on_step: Callable[[int], Any] | None = None,
    on_log: Callable[[dict[str, float]], None] | None = None,
    on_look: Callable[[pd.DataFrame], None] | None = None,
) -> TrainedEmbedder:
    """Train an embedder to tell the subjects of a FaceSet apart.

    Under `torchrun` all processes train one embedder together, on gloo or nccl; all get the same
    one. The centres of the subjects are shared out among them, and each writes its own into the
    checkpoints, which another number of processes can go on from. If one is lost, the others stop.

    Parameters
    ----------
    faces
        At least two subjects; every image is used. Each subject needs as many images as the
        recipe's `together`.
    recipe
        How; None is `Recipe()`.
    seed
        Stands in for the recipe's seed.
    device
        "auto" (CUDA, MPS, else CPU) or a torch device.
    held_out
        Other subjects, whose error rates by group are watched as the recipe's `validate` says.
    meta
        Other subjects, two images or more of each, on which `mitigate.meta_margins` learns.
    checkpoints
        Folder to save everything to, every `checkpoint_every` steps and when SIGINT or SIGTERM
        ask to stop; the newest `keep` stay. They are left there when training ends. A thread
        writes them while the training goes on; one that cannot be written is warned of, and the
        one before it stays.
    resume
        Go on from the newest checkpoint, if there is one; on the same device and number of threads
        the result is that of a training that was never stopped, bit for bit.
    progress
        Show a bar.
    head, backbone, augment, sampler, terms
        Parts of your own in the place of the recipe's, see docs/training.md. A head is a module
        whose `losses` or call gives a loss an image from (embeddings, labels), or a function of
        (dim, subjects) that makes one; a backbone a module that gives a map or a vector of each
        image, or a function that makes one; an augmentation a function on float images
        (B, 3, S, S) from 0 to 1; a sampler an object whose `batch(step)` gives rows; a term an
        object with one or more of `before_step(batch)`, `loss(part)` and `after_step(batch)`
        (`facelab.training.terms`), beside what the recipe asks for. Modules are copied: yours stay
        as they are. The card names them with a hash of their source; another is not resumed with.
    callbacks
        Functions of the training (`step`, `network`, `history`, `looks`), called after each step,
        or objects with `after_step`, `at_log` or `at_look`; what is true after a step asks to stop.
        They look on, and the card names them.
    on_step
        Called after each step with its number from 1; what it returns, if true, asks to stop as
        SIGINT does.
    on_log
        Called with each row of `.history` as it is written.
    on_look
        Called after each look at the held-out subjects with its rates by group.

    Returns
    -------
    TrainedEmbedder
        With `.history` (step, epoch, loss, lr, seconds; each row the mean since the row before),
        `.validation` (error rates by group at each look, if there is a held-out set) and `.card`
        (who was trained on, how long it took).

    Raises
    ------
    BadInput
        There are too few subjects, faces without a subject or group, checkpoints of another
        training, or unfinished ones without `resume`; or no such device.
    FacelabError
        The loss stopped being a number; the message names the step and its subjects. Or another
        process was lost.
    Stopped
        SIGINT or SIGTERM came, and a checkpoint was saved; or `on_step` asked to stop, and one was
        if there are `checkpoints`.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 4, size=32)
    >>> embedder = fl.train(faces, fl.Recipe(steps=2, size=32, dim=64))
    >>> embedder.embed(faces).vectors.shape
    (24, 64)
    >>> list(embedder.history.columns)
    ['step', 'epoch', 'loss', 'lr', 'seconds']
    """
    check_faces(faces, "fl.train")
    recipe = checked_recipe(recipe, seed, "fl.train")
    if recipe.validate.keep in KEPT_BY:
        raise BadInput(
            f"validate.keep {recipe.validate.keep} is of analysers (fl.train_analyser): take fnmr, "
            "worst_fnmr, fmr_ratio or garbe"
        )
    saving = Saving(checkpoints, checkpoint_every, keep, resume)
    own = Parts(head, backbone, augment, sampler, terms)
    lookers = Callbacks(callbacks, on_step, on_log, on_look)
    sets = {"faces": faces, "held_out": held_out, "meta": meta}
    return learn(sets, recipe, device, saving, progress, own, lookers, _comparing)[0]


def _comparing(held_out: FaceSet, recipe: Recipe, training: Training) -> Watch:
    return Watch(held_out, recipe, training.examples)


class Saving(NamedTuple):
    """Where a training is saved, as `train` takes it."""

    folder: str | Path | None
    every: int
    keep: int
    resume: bool


def checked_recipe(recipe: Recipe | None, seed: int | None, verb: str) -> Recipe:
    """The recipe with the seed, whose caution is warned of."""
    if recipe is not None and not isinstance(recipe, Recipe):
        advice = "fl.Recipe(...) or fl.Recipe.from_yaml(file) makes one"
        raise BadInput(f"{verb} takes a recipe, not {called(recipe)}: {advice}")
    recipe = dataclasses.replace(recipe or Recipe(), **({} if seed is None else {"seed": seed}))
    if recipe.mitigate.caution:
        warn(recipe.mitigate.caution)
    return recipe


def learn(
    sets: dict[str, FaceSet | None],
    recipe: Recipe,
    device: str,
    saving: Saving,
    progress: bool,
    own: Parts,
    lookers: Callbacks,
    watching: Callable[[FaceSet, Recipe, Training], Watch],
) -> tuple[TrainedEmbedder, nn.Module]:
    """Train as `train` says; the embedder, and the head that it was trained with.

    Parameters
    ----------
    sets
        "faces", "held_out" and "meta".
    watching
        Makes what looks at the held-out subjects.
    """
    faces, held_out, meta = (sets.get(name) for name in ("faces", "held_out", "meta"))
    sets = {"faces": faces, "held_out": held_out, "meta": meta}
    check_count("checkpoint_every", saving.every)
    check_count("keep", saving.keep)
    _check_sets(recipe, held_out, meta)
    # Whoever calls keeps their own random state.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with (
        team(device) as processes,
        torch.random.fork_rng(devices=devices),
        fastest_kernels(processes.device),
    ):
        _check_alike(recipe, own, sets, processes)
        training = Training(faces, recipe, processes, meta, own)
        watch = None if held_out is None else watching(held_out, recipe, training)
        saved = None
        if saving.folder is not None:
            order = processes.told(lambda: _order(decided(recipe, training.start), own, sets))
            saved = Checkpoints(saving.folder, saving.keep, order, processes)
        with ExitStack() as stack:
            stack.callback(training.close)
            if saved:
                processes.told(lambda: stack.enter_context(locked(saving.folder)))
                stack.callback(saved.finish)
            asked = stack.enter_context(stoppable(saved is not None))
            if saved and processes.told(saved.found):
                if not saving.resume:
                    raise BadInput(
                        f"{saving.folder} holds an unfinished training: resume it, delete it, or "
                        "choose another folder"
                    )
                state = saved.latest(processes.device, *training.place_of_centres)
                training.restore(state)
            # A training that had no patience left when it was saved has nothing left to do.
            steps = bar(
                range(training.step, training.step if training.stale else recipe.steps),
                total=recipe.steps,
                initial=training.step,
                desc="train",
                unit="step",
                show=progress and processes.leads,
            )
            wish = False
            for step in steps:
                training.one_step()
                if training.history and training.history[-1]["step"] == step + 1:
                    lookers.tell("at_log", training)
                if watch and ((step + 1) % watch.every == 0 or step + 1 == recipe.steps):
                    training.look(watch)
                    if processes.leads:
                        lookers.tell("at_look", training)
                wish |= lookers.tell("after_step", training)
                done = step + 1 == recipe.steps or training.stale
                now = training.waits and processes.any(wish or bool(asked()))
                if saved and (done or now or (step + 1) % saving.every == 0):
                    saved.save(step + 1, training.state(), *training.cuts)
                elif saved:
                    saved.tell()
                if now and not done:
                    raise Stopped(
                        f"training stopped at step {step + 1} of {recipe.steps} and "
                        + _where_to_go_on(step + 1, saved, saving.folder, processes),
                        asked(),
                    )
                if done:
                    break
        made = training.embedder(faces, progress and processes.leads)
        if lookers.about:
            made.card.setdefault("parts", {})["callbacks"] = lookers.about
        return made, training.head


def _check_alike(
    recipe: Recipe, own: Parts, sets: dict[str, FaceSet | None], processes: Team
) -> None:
    """All processes were given the same."""
    if processes.size == 1:
        return
    ours = {name: None if part is None else fingerprint(part) for name, part in sets.items()}
    first, *others = processes.heard({"recipe": recipe.to_dict(), "parts": own.about} | ours)
    for rank, other in enumerate(others, 1):
        if different := difference(first, other):
            raise BadInput(
                f"process {rank} was given another training than the first, which differs in "
                f"{different}: give all the same"
            )


def _order(recipe: dict[str, Any], own: Parts, sets: dict[str, FaceSet | None]) -> dict[str, Any]:
    """Everything that decides a training's result."""
    return {
        "recipe": recipe,
        "parts": own.about,
        **{name: None if part is None else fingerprint(part) for name, part in sets.items()},
        # The names above tell quickly what differs; these tell whether anything does.
        "pixels": {name: None if part is None else content(part) for name, part in sets.items()},
    }


def _where_to_go_on(
    step: int, saved: Checkpoints | None, folder: str | Path | None, processes: Team
) -> str:
    if saved is None:
        return "not saved: with `checkpoints` it could go on"
    newest = processes.told(saved.finish)
    if newest == step:
        return f"saved in {folder}: resume it to go on"
    if not newest:
        return f"could not be saved in {folder}, where nothing is yet"
    return f"could not be saved: resume it to go on from step {newest}, the newest in {folder}"


def _check_sets(recipe: Recipe, held_out: FaceSet | None, meta: FaceSet | None) -> None:
    """Every set that the recipe needs is there, and none that it would not look at."""
    if recipe.mitigate.meta_margins and meta is None:
        raise BadInput("mitigate.meta_margins learns on other subjects: give them as `meta`")
    if meta is not None and not recipe.mitigate.meta_margins:
        raise BadInput("nothing is learnt on `meta`: set mitigate.meta_margins, or leave it out")
    if recipe.validate.keep != "last" and held_out is None:
        raise BadInput(
            f"validate.keep asks for the best {recipe.validate.keep}: give the subjects to see it "
            "on as `held_out`"
        )
