"""Twins: the same subject, pose, light, expression and background with one thing changed.

In: which values to change, and a population. Out: a FaceSet of photos and their twins, for paired
comparisons: what differs between a photo and its twin is the one value and nothing else.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facelab.arguments import as_annotated
from facelab.errors import BadInput, there_are
from facelab.synthetic.labels import level_name
from facelab.synthetic.parameters import (
    GENDERS,
    GLASSES,
    OWN_GLASSES,
    PARAMETERS,
    PHENOTYPES,
    Parameter,
)
from facelab.synthetic.population import Population, nearest
from facelab.synthetic.produce import as_population, checked_order, make

if TYPE_CHECKING:
    from facelab.faces.faceset import FaceSet

# What can be changed alone: every parameter that is one value, and the base shape. `own_side` says
# how others are drawn; `balding` and `age` are changed as they came out.
FACTORS: dict[str, Parameter] = {
    "phenotype": Parameter(labels=PHENOTYPES),
    "gender": Parameter(labels=GENDERS),
    **{
        name: parameter
        for name, parameter in PARAMETERS.items()
        if parameter.count == 1 and name not in ("glasses", *OWN_GLASSES)
    },
    "glasses": Parameter(labels=GLASSES),
}
_WHOLE = ("jpeg_quality", "random_actions")


@as_annotated
def synthesize_twins(
    change: Mapping[str, Any],
    subjects: int = 60,
    images_per_subject: int = 4,
    seed: int = 0,
    size: int = 112,
    out: str | Path | None = None,
    jobs: int | None = None,
    *,
    population: "Population | str | os.PathLike | dict | None" = None,
    frame: str = "aligned",
    replace: bool = False,
) -> "FaceSet":
    """Render photos, and of each its twins with exactly one value changed.

    Parameters
    ----------
    change
        For each factor its levels: ``{"melanin": [0.1, 0.8], "phenotype": ["african", "asian"],
        "exposure": [-1.5], "expression": ["happiness"], "glasses": ["sun"]}``. A factor is
        phenotype, gender, or any parameter of `population.yaml` that is one value.
        ``phenotype`` and ``gender`` change the base shape of the head alone: skin, hair and eyes
        stay the subject's own. ``age`` changes the head's age, and wrinkles and grey hair as the
        subject's own `wrinkle_habit` and `grey_onset` have it, beards too; hair is not lost.
        ``melanin`` changes the skin alone.
    subjects, images_per_subject, seed, size, out, jobs, population, frame, replace
        As for `synthesize`.

    Returns
    -------
    FaceSet
        For every photo of ``synthesize`` with the same arguments (the same bytes; `factor` "base",
        `level` "as drawn") and every factor and level one twin, with `factor`, `level` (text) and
        `twin` (the `image` of its photo). A twin whose value is the photo's own is left out. All
        columns hold the twin's own values; `subject` stays the person's name.

    Raises
    ------
    BadInput
        A factor or level that there is not, or anything that `synthesize` refuses.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"melanin": [0.1, 0.8], "glasses": ["sun"]}, 6, 1, size=32)
    >>> twins.table["factor"].value_counts().to_dict()
    {'melanin': 12, 'base': 6, 'glasses': 6}
    """
    changes = read_changes(change)
    population = as_population(population, subjects, images_per_subject, None)
    return make(checked_order(population, seed, size, frame, changes), out, jobs, replace)


def read_changes(change: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """(factor, level) of every twin, checked."""
    if not isinstance(change, Mapping) or not change:
        raise BadInput('`change` must name factors with their levels, such as {"melanin": [0.8]}')
    changes = []
    for factor, levels in change.items():
        if factor not in FACTORS:
            raise BadInput(f"{factor!r} cannot be changed alone{nearest(str(factor), FACTORS)}")
        if isinstance(levels, str) or not hasattr(levels, "__iter__"):
            levels = [levels]
        changes += [(factor, _level(factor, level, FACTORS[factor])) for level in levels]
    names = [(factor, level_name(level)) for factor, level in changes]
    for factor, level in names:
        if names.count((factor, level)) > 1:
            raise BadInput(f"{factor} {level} stands in `change` twice: keep one")
    if not changes:
        raise BadInput(f"`change` gives {next(iter(change))} no levels: give one or more")
    return tuple(changes)


def _level(factor: str, level: Any, wanted: Parameter) -> Any:
    """The level as the renderer takes it."""
    level = level.item() if hasattr(level, "item") else level
    if wanted.labels:
        if level not in wanted.labels:
            raise BadInput(f"{factor} has no level {level!r}{there_are(level, wanted.labels)}")
        return level
    if wanted.chance:
        if not isinstance(level, bool):
            raise BadInput(f"{factor} is true or false, not {level!r}")
        return level
    low, high = (0.0, 1.0) if factor == "balding" else (wanted.low, wanted.high)
    number = isinstance(level, int | float) and not isinstance(level, bool)
    if not number or not low <= level <= high:
        raise BadInput(f"{factor} goes from {low:g} to {high:g}, and not to {level!r}")
    return int(level) if factor in _WHOLE else float(level)
