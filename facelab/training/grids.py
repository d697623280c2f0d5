"""The same search for every method: tuned and untuned ones cannot be compared.

In: methods with as many candidate recipes each, held-out subjects. Out: of each method the
candidate that erred least on them, and how all of them went.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.embedders.kinds import check_faces
from facelab.errors import BadInput, check_option, how_many, there_are
from facelab.faces.faceset import FaceSet
from facelab.training.arms import train_arms
from facelab.training.draws import Drawn
from facelab.training.recipe import Recipe, Validation
from facelab.training.validation import figure_of

_LOOKS = 10  # at the held-out subjects, over a training
_LATE = 0.8  # of the steps: what has changed since then had not settled
_WORDS = {
    "fnmr": "overall FNMR",
    "worst_fnmr": "FNMR of the worst group",
    "fmr_ratio": "FMR of the worst over the best group",
    "garbe": "GARBE",
}


@dataclass(frozen=True)
class RecipeSearch:
    """What a search of equal size for every method came to.

    Attributes
    ----------
    recipes
        Of each method the one that was chosen.
    table
        A row a candidate: `method candidate change value late_change chosen`. `change` is what it
        changes of the method's recipe, `value` the figure at the end of training on the held-out
        subjects, `late_change` by how much it still moved over the last fifth of the steps; both
        are means over seeds.
    looks
        `method candidate chosen step value`: the figure as training went.
    figure, fmr, subjects
        What was lowered, at which target FMR, on how many held-out subjects.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> table = pd.DataFrame({"method": "plain", "candidate": [0, 1], "value": [0.3, 0.2]})
    >>> table = table.assign(change=["lr: 0.001", "lr: 0.002"], late_change=-0.01)
    >>> table["chosen"] = [False, True]
    >>> looks = pd.DataFrame({"method": "plain", "candidate": [0, 0, 1, 1], "step": [5, 10] * 2})
    >>> looks = looks.assign(chosen=looks["candidate"] == 1, value=[0.4, 0.3, 0.3, 0.2])
    >>> recipes = {"plain": fl.Recipe(lr=0.002)}
    >>> found = fl.RecipeSearch(recipes, table, looks, "worst_fnmr", fmr=0.001, subjects=60)
    >>> print(found.finding())
    Of 1 method each was tried in 2 recipes, and the one with the lowest FNMR of the worst group ...
    """

    recipes: dict[str, Recipe] = field(repr=False)
    table: pd.DataFrame
    looks: pd.DataFrame = field(repr=False)
    figure: str
    fmr: float
    subjects: int

    @property
    def words(self) -> str:
        """What was lowered, as people call it."""
        return _WORDS[self.figure]

    def finding(self) -> str:
        """How the recipes were chosen, and which had not settled, in sentences."""
        chosen = self.table[self.table["chosen"]]
        size = len(self.table) // max(len(chosen), 1)
        told = (
            f"Of {how_many(len(chosen), 'method')} each was tried in {how_many(size, 'recipe')}, "
            f"and the one with the lowest {self.words} was taken, at an FMR of "
            f"{self.fmr:g} on {how_many(self.subjects, 'held-out subject')}. These subjects chose; "
            "the test subjects judge, and the intervals are of them."
        )
        moving = chosen[chosen["late_change"].abs() > 0.1 * chosen["value"].abs()]
        if len(moving):
            named = ", ".join(moving["method"])
            told += f" Still moving by more than a tenth in the last fifth of the steps: {named}."
        return told


@as_annotated
def search_recipes(
    arms: Mapping[str, Drawn],
    recipes: Mapping[str, Recipe],
    grids: Mapping[str, Sequence[dict[str, Any]]],
    held_out: FaceSet,
    by: str | list[str],
    *,
    figure: Literal["fnmr", "worst_fnmr", "fmr_ratio", "garbe"] = "worst_fnmr",
    fmr: float = 1e-3,
    seeds: Sequence[int] = (0,),
    meta: FaceSet | None = None,
    kept: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
) -> RecipeSearch:
    """Try as many recipes of every method, and take the one that errs least on held-out subjects.

    A method that was tuned beats one that was not, whatever the two are worth: a comparison gives
    each a search of the same size and judges what it chose on people that the search has not seen
    (Gulrajani and Lopez-Paz 2021, "In search of lost domain generalization", arXiv 2007.01434).

    Parameters
    ----------
    arms
        Training set of each method, or one a seed, as `train_arms` takes them.
    recipes
        Each method's own.
    grids
        For each method its candidates: changes to its recipe, such as `{"lr": 0.001}` or
        `{"mitigate": {"dro": 0.03}}`; `{}` is the recipe as it is. As many for every method.
    held_out
        Other subjects than are trained on, and than will be tested on.
    by
        Columns that make the groups.
    figure
        What is lowered, at the weights of the last step: see `Validation.keep`.
    fmr
        Target FMR of the threshold, which is set on the held-out subjects themselves.
    seeds
        Every candidate is trained once with each; the mean decides.
    meta, kept, jobs, device
        As `train_arms` takes them.

    Returns
    -------
    RecipeSearch
        Its `recipes` are what `study` takes.

    Raises
    ------
    BadInput
        Methods of arms, recipes and grids differ, searches are not of equal size, a change makes
        no recipe, or no candidate of a method has a value.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.synthesize(24, 3, size=32).split({"train": 0.5, "held_out": 0.5})
    >>> methods = {"plain": {}, "group DRO": {"dro": 0.01, "by": "gender"}}
    >>> recipes = {
    ...     name: fl.Recipe.from_dict({"steps": 4, "size": 32, "mitigate": given})
    ...     for name, given in methods.items()
    ... }
    >>> grids = {
    ...     "plain": [{"lr": 0.001}, {"lr": 0.002}],
    ...     "group DRO": [{"mitigate": {"dro": 0.003}}, {"mitigate": {"dro": 0.03}}],
    ... }
    >>> arms = dict.fromkeys(recipes, parts["train"])
    >>> options = {"by": "gender", "fmr": 0.1, "jobs": 1}
    >>> found = fl.search_recipes(arms, recipes, grids, parts["held_out"], **options)
    >>> list(found.recipes), int(found.table["chosen"].sum())
    (['plain', 'group DRO'], 2)
    """
    check_faces(held_out, "fl.search_recipes")
    check_option("figure", figure, _WORDS)
    _check_equal(arms, recipes, grids)
    looking = {"by": [by] if isinstance(by, str) else list(by), "fmr": fmr}
    tried: dict[tuple[str, int], Recipe] = {}
    for method, grid in grids.items():
        for candidate, change in enumerate(grid):
            one = Recipe.from_dict(_merged(recipes[method].to_dict(), change))
            every = max(1, one.steps // _LOOKS)
            tried[method, candidate] = dataclasses.replace(
                one, validate=Validation(every=every, **looking)
            )
    named = {key: f"{key[0]}, candidate {key[1]}" for key in tried}
    embedders = train_arms(
        {named[key]: arms[key[0]] for key in tried},
        {named[key]: one for key, one in tried.items()},
        seeds,
        jobs,
        held_out=held_out,
        meta=meta,
        kept=kept,
        device=device,
    )
    looks = pd.DataFrame(
        [
            (method, candidate, seed, step, figure_of(rates, figure))
            for (method, candidate), name in named.items()
            for seed in seeds
            for step, rates in embedders[name, seed].validation.groupby("step")
        ],
        columns=["method", "candidate", "seed", "step", "value"],
    )
    looks = looks.groupby(["method", "candidate", "step"], sort=False)["value"].mean().reset_index()
    rows = [
        (*key, _told(grids[key[0]][key[1]]), *_end(looks, key, one.steps))
        for key, one in tried.items()
    ]
    columns = ["method", "candidate", "change", "value", "late_change"]
    table = pd.DataFrame(rows, columns=columns)
    best = {method: _best(table[table["method"] == method], method) for method in grids}
    table["chosen"] = table["candidate"] == table["method"].map(best)
    looks.insert(2, "chosen", looks["candidate"] == looks["method"].map(best))
    chosen = {
        method: dataclasses.replace(tried[method, best[method]], validate=recipes[method].validate)
        for method in grids
    }
    return RecipeSearch(chosen, table, looks, figure, fmr, len(held_out.subjects))


def _check_equal(*methods: Mapping[str, Any]) -> None:
    """The same methods everywhere, and as many candidates of each."""
    arms, recipes, grids = methods
    for what, named in (("arms", arms), ("recipes", recipes)):
        for method in named.keys() ^ grids.keys():
            where = "grids" if method in named else what
            raise BadInput(f"there is no {method!r} in {where}{there_are(method, methods[2])}")
    sizes = {method: len(grid) for method, grid in grids.items()}
    if len(set(sizes.values())) != 1 or not all(sizes.values()):
        told = ", ".join(f"{method}: {size}" for method, size in sizes.items()) or "none"
        raise BadInput(f"every method needs as many candidates, one or more; there are {told}")


def _merged(values: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Values with a change, which may name parts of parts."""
    merged = dict(values)
    for name, new in change.items():
        parts = name in ("augment", "mitigate", "validate") and isinstance(new, Mapping)
        merged[name] = {**merged[name], **new} if parts else new
    return merged


def _told(change: Mapping[str, Any]) -> str:
    """A change in words."""
    flat = {}
    for name, value in change.items():
        flat |= value if isinstance(value, Mapping) else {name: value}
    return ", ".join(f"{name}: {value}" for name, value in flat.items()) or "as it is"


def _end(looks: pd.DataFrame, key: tuple[str, int], steps: int) -> tuple[float, float]:
    """The figure at the end, and what it has changed by since the last fifth began."""
    own = looks[(looks["method"] == key[0]) & (looks["candidate"] == key[1])]
    last = float(own["value"].iloc[-1])
    before = own.loc[own["step"] <= _LATE * steps, "value"]
    return last, last - float(before.iloc[-1]) if len(before) else np.nan


def _best(own: pd.DataFrame, method: str) -> int:
    if own["value"].isna().all():
        raise BadInput(f"no candidate of {method!r} has a value: hold out more subjects")
    return int(own.loc[own["value"].idxmin(), "candidate"])
