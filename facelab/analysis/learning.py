"""Training an analyser of one's own: from labelled faces and a recipe to what predicts the label.

In: a FaceSet, the column to learn, a recipe. Out: a `TrainedAnalyser`. The loop, its samplers,
mitigations and starts are those of `facelab.training`.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis import years
from facelab.analysis.labelled import Words, as_labels, listed
from facelab.analysis.trained import Learnt, TrainedAnalyser
from facelab.analysis.watching import LabelWatch
from facelab.arguments import as_annotated
from facelab.embedders.kinds import check_faces
from facelab.errors import BadInput, check_option, how_many, in_brief, there_are
from facelab.faces.faceset import FaceSet
from facelab.training.callbacks import Callbacks
from facelab.training.loop import Saving, checked_recipe, learn
from facelab.training.parts import Parts
from facelab.training.recipe import Recipe
from facelab.training.targets import KINDS, Target

_FEW_VALUES = 30
_MOST_STEPS = 150  # between the lowest and the highest number
_NAMES = ("subject", "image")


@as_annotated
def train_analyser(
    faces: FaceSet,
    column: str,
    recipe: Recipe | None = None,
    *,
    kind: str | None = None,
    labels: Sequence[str] | None = None,
    seed: int | None = None,
    device: str = "auto",
    held_out: FaceSet | None = None,
    checkpoints: str | Path | None = None,
    checkpoint_every: int = 500,
    keep: int = 2,
    resume: bool = False,
    progress: bool = True,
    backbone: Any = None,
    augment: Callable[[Any], Any] | None = None,
    sampler: Any = None,
    terms: Sequence[Any] = (),
    callbacks: Sequence[Any] = (),
    on_step: Callable[[int], Any] | None = None,
    on_log: Callable[[dict[str, float]], None] | None = None,
    on_look: Callable[[pd.DataFrame], None] | None = None,
) -> TrainedAnalyser:
    """Train an analyser to say a label, or a number such as years of age, of a face.

    Parameters
    ----------
    faces
        At least two subjects of every label; every image is used and needs a label.
    column
        What is learnt, of the faces' table. Spellings of one label (F, Woman, female) are one.
    recipe
        How; None is `Recipe()`. What it says of the network, its start, the optimiser, augmentation
        and mitigations holds as in `train`. `head`, `scale` and margins are of telling people
        apart: a linear layer for the labels stands in their place, which `freeze` and `lr_factors`
        know as "head", too.
    kind
        "softmax" for labels without an order, "ordinal" for labels in order, "expected" for numbers
        (chances of numbers in equal steps, of which the mean is said); None is "expected" for many
        different numbers, "softmax" for labels.
    labels
        The labels in their order; None is by name, or for "ordinal" that of numbers and bands of
        age (20-29).
    seed, device, checkpoints, checkpoint_every, keep, resume, progress
        As of `train`.
    held_out
        Other people with that column, whose errors by group are watched as the recipe's `validate`
        says: its `keep` is "last", "error" or "worst_error" (of numbers their mean errors).
    backbone, augment, sampler, terms, callbacks, on_step, on_log, on_look
        As of `train`; `fl.analyser(folder, backbone=...)` opens one with a backbone of your own. A
        term's `batch.labels` are the labels' places in `labels`, or the numbers.

    Returns
    -------
    TrainedAnalyser
        Its `predict` gives `predicted_<column>` and, of labels, `score_<label>`; `.history` and
        `.card` are as an embedder's, `.validation` holds `AnalysisAudit.rates` at each look.

    Raises
    ------
    BadInput
        There is no such column, it holds names, a face lacks its label, there is one label alone or
        one that one subject alone has, the recipe asks for what is only there in trainings that
        tell people apart, or as of `train`.
    FacelabError, Stopped
        As of `train`.

    Notes
    -----
    What is learnt is what the labels say: a *perceived* gender presentation, age or expression.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 2, size=32)
    >>> recipe = fl.Recipe(steps=2, size=32, dim=64)
    >>> analyser = fl.train_analyser(faces, "gender", recipe, progress=False)
    >>> list(analyser.predict(faces).columns[-4:])
    ['predicted_gender', 'score_female', 'score_male', 'status']
    """
    verb = "fl.train_analyser"
    check_faces(faces, verb)
    target = _target(faces, column, kind, labels)
    recipe = checked_recipe(recipe, seed, verb)
    target.check(recipe)
    # No people are told apart, so that what is stored says nothing of a head that does. And the
    # embedding has a scale and shift: centred in every batch, a rare label would lie far from the
    # boundary and the usual one upon it.
    told = {"head": "softmax", "head_options": {}, "keep_centres": False, "lengths": "free"}
    recipe = dataclasses.replace(recipe, **told)
    own = Parts(None, backbone, augment, sampler, terms, target)
    saving = Saving(checkpoints, checkpoint_every, keep, resume)
    lookers = Callbacks(callbacks, on_step, on_log, on_look)
    learnt = Learnt(column, target.kind, list(target.labels))
    sets = {"faces": faces, "held_out": held_out}
    watching = partial(LabelWatch, learnt=learnt)
    embedder, head = learn(sets, recipe, device, saving, progress, own, lookers, watching)
    embedder.name = f"{column}-{embedder.name}"
    return TrainedAnalyser(embedder, head, learnt)


def _target(faces: FaceSet, column: str, kind: str | None, order: Sequence[str] | None) -> Target:
    """What is learnt, once it has been looked through."""
    table = faces.table
    if column not in table:
        raise BadInput(f"the faces have no column {column!r}{there_are(column, table.columns)}")
    if column in _NAMES:
        raise BadInput(
            f"{column!r} names faces, and an analyser says what many have in common: fl.train "
            "tells people apart"
        )
    if kind is not None:
        check_option("kind", kind, tuple(KINDS))
    values = table[column]
    kind = kind or _kind(values, order)
    return (_of_numbers if kind == "expected" else _of_labels)(table, column, kind, order)


def _kind(values: pd.Series, order: Sequence[str] | None) -> str:
    """Numbers are what most readers would take for numbers."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if order is not None or not numeric:
        return "softmax"
    known = values.dropna().to_numpy(np.float64)
    distinct = len(np.unique(known))
    if distinct > _FEW_VALUES or (known % 1 != 0).any():
        return "expected"
    raise BadInput(
        f'{values.name!r} holds {how_many(distinct, "whole number")}: say kind="softmax" or '
        '"ordinal" where they stand for labels, kind="expected" where they count (years)'
    )


def _of_numbers(table: pd.DataFrame, column: str, kind: str, order: Sequence[str] | None) -> Target:
    if order is not None:
        raise BadInput("labels are of softmax and ordinal: numbers have their own order")
    values, strange = years.as_numbers(table[column])
    if strange.any():
        first = table[column][strange].iloc[0]
        raise BadInput(f"{column!r} holds {str(first)[:60]!r}, which is no number")
    _check_known(table, column, np.isfinite(values))
    low, high = math.floor(values.min()), math.ceil(values.max())
    if values.min() == values.max():
        raise BadInput(f"every face has {values[0]:g} as its {column}: there is nothing to learn")
    steps = min(max(high - low, 1), _MOST_STEPS)
    if high - low < _FEW_VALUES:  # a share or a few years: steps of one would be coarse
        steps = _FEW_VALUES
    numbers = np.linspace(low, high, steps + 1)
    return Target(column, kind, tuple(f"{n:.6g}" for n in numbers), values.astype(np.float32))


def _of_labels(table: pd.DataFrame, column: str, kind: str, order: Sequence[str] | None) -> Target:
    found, _ = as_labels(table[column], column, {})
    _check_known(table, column, found.notna().to_numpy())
    words = Words(found, found)
    found = words.spelt(found)
    names = sorted(found.unique())
    if len(names) < 2:
        raise BadInput(f"every face is {names[0]!r} in {column!r}: there is nothing to tell apart")
    people = table["subject"].groupby(found.to_numpy()).nunique()
    alone = [name for name in names if people[name] < 2]
    if alone:
        raise BadInput(
            f"{column!r} has {how_many(len(alone), 'label')} that one subject alone has "
            f"({listed(alone)}), and a label is learnt from several people: fl.train tells people "
            "apart"
        )
    names = _ordered(names, column, words, order, kind)
    codes = found.map({name: place for place, name in enumerate(names)}).to_numpy(np.int64)
    return Target(column, kind, tuple(names), codes)


def _ordered(
    names: list[str], column: str, words: Words, order: Sequence[str] | None, kind: str
) -> list[str]:
    """The labels in the order asked for, that of their names, or that of ages."""
    if order is not None:
        given = [words.spelling(str(label)) for label in order]
        if sorted(name or "" for name in given) != names:
            raise BadInput(
                f"labels={in_brief(list(order))} are not those of {column!r}: name each of "
                f"{listed(names)} once"
            )
        return [str(name) for name in given]
    if kind != "ordinal":
        return names
    try:
        low, _ = years.as_bands(pd.Series(names, dtype=object))
    except BadInput:
        raise BadInput(
            f"the order of {listed(names)} is not known: give labels=[...], from the first to the "
            "last"
        ) from None
    return [names[place] for place in np.argsort(low, kind="stable")]


def _check_known(table: pd.DataFrame, column: str, known: np.ndarray) -> None:
    if not known.all():
        first = table["image"][~known].iloc[0]
        raise BadInput(
            f"{how_many(int((~known).sum()), 'face has', 'faces have')} no {column} (first: image "
            f"{first!r}): drop or label them before training"
        )
