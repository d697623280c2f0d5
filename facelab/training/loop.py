"""The training loop: batch, forward, backward, step, log; look, save.

In: a FaceSet and a recipe. Out: an embedder with its history. Everything random about a step
follows from the recipe's seed and the step's number, so a training that is resumed, or shared among
processes, goes the same way.
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from facelab.embedders.kinds import called, check_faces
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, Stopped, check_count, counted
from facelab.faces.faceset import FaceSet, content
from facelab.keeping import locked
from facelab.progress import bar
from facelab.training.callbacks import Callbacks
from facelab.training.checkpoints import Checkpoints, fingerprint, stoppable
from facelab.training.distributed import team
from facelab.training.engine import Training
from facelab.training.parts import Parts
from facelab.training.recipe import Recipe
from facelab.training.validation import Watch


@counted
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

    Under `torchrun` all processes train one embedder together, on gloo or nccl; each of them gets
    it, and the first writes checkpoints.

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
        ask to stop; the newest `keep` stay. They are left there when training ends.
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
        The loss stopped being a number; the message names the step and its subjects.
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
    check_count("checkpoint_every", checkpoint_every)
    check_count("keep", keep)
    if recipe is not None and not isinstance(recipe, Recipe):
        advice = "fl.Recipe(...) or fl.Recipe.from_yaml(file) makes one"
        raise BadInput(f"fl.train takes a recipe, not {called(recipe)}: {advice}")
    recipe = dataclasses.replace(recipe or Recipe(), **({} if seed is None else {"seed": seed}))
    _check_sets(recipe, held_out, meta)
    own = Parts(head, backbone, augment, sampler, terms)
    lookers = Callbacks(callbacks, on_step, on_log, on_look)
    # Whoever calls keeps their own random state.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with team(device) as processes, torch.random.fork_rng(devices=devices):
        training = Training(faces, recipe, processes, meta, own)
        watch = None if held_out is None else Watch(held_out, recipe, training.examples)
        saved = None
        if checkpoints is not None:
            order = {
                "recipe": recipe.to_dict(),
                "parts": own.about,
                "faces": fingerprint(faces),
                "held_out": None if held_out is None else fingerprint(held_out),
                "meta": None if meta is None else fingerprint(meta),
                # The names above tell quickly what differs; these tell whether anything does.
                "pixels": {
                    name: None if part is None else content(part)
                    for name, part in (("faces", faces), ("held_out", held_out), ("meta", meta))
                },
            }
            saved = Checkpoints(checkpoints, keep, order)
        lock = locked(checkpoints) if saved and processes.leads else nullcontext()
        with lock, stoppable(saved is not None) as asked:
            if saved and saved.found():
                if not resume:
                    raise BadInput(
                        f"{checkpoints} holds an unfinished training: resume it, delete it, or "
                        "choose another folder"
                    )
                training.restore(saved.latest(processes.device))
            # A training that had no patience left when it was saved has nothing left to do.
            steps = bar(
                range(training.step, training.step if training.stale else recipe.steps),
                total=recipe.steps,
                initial=training.step,
                desc="train",
                unit="step",
                show=progress and processes.leads,
            )
            for step in steps:
                training.one_step()
                if training.history and training.history[-1]["step"] == step + 1:
                    lookers.tell("at_log", training)
                if watch and ((step + 1) % watch.every == 0 or step + 1 == recipe.steps):
                    training.look(watch)
                    if processes.leads:
                        lookers.tell("at_look", training)
                wish = lookers.tell("after_step", training)
                done = step + 1 == recipe.steps or training.stale
                now = training.waits and processes.any(wish or bool(asked()))
                if saved and (done or now or (step + 1) % checkpoint_every == 0):
                    state = training.state()
                    if processes.leads:
                        saved.save(step + 1, state)
                if now and not done:
                    kept = (
                        f"saved in {checkpoints}: resume it to go on"
                        if saved
                        else "not saved: with `checkpoints` it could go on"
                    )
                    raise Stopped(
                        f"training stopped at step {step + 1} of {recipe.steps} and {kept}",
                        asked(),
                    )
                if done:
                    break
        made = training.embedder(faces, progress and processes.leads)
        if lookers.about:
            made.card.setdefault("parts", {})["callbacks"] = lookers.about
        return made


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
