"""The differential as it forms: error rates by group on held-out subjects, during training.

In: a network and a FaceSet of subjects that it does not train on. Out: a table a look, and the
figure by which the best look is chosen.
"""

import copy
from typing import Any

import pandas as pd

from facelab.comparisons.counted import compare_all
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import warn
from facelab.faces.faceset import FaceSet
from facelab.rates.indices import indices
from facelab.training.examples import Examples, resized_faces
from facelab.training.recipe import Recipe

# What `Validation.keep` names -> the index of it.
_INDICES = {"fmr_ratio": ("max_min_ratio", "fmr"), "garbe": ("garbe", "both")}


class Watch:
    """Looks at held-out subjects.

    Parameters
    ----------
    held_out
        Faces of subjects that are not trained on.
    recipe
        Its `validate` and `size`.
    trained
        What is trained on.

    Raises
    ------
    BadInput
        A subject is in both, or the held-out faces cannot be compared.
    """

    def __init__(self, held_out: FaceSet, recipe: Recipe, trained: Examples) -> None:
        trained.refuse_shared(held_out.table["subject"].unique().astype(str), "the held-out set")
        self.settings = recipe.validate
        self.every = self.settings.every or max(1, recipe.steps // 10)
        self.recipe = recipe.to_dict()
        self.faces = resized_faces(held_out, recipe.size)
        self.told = False

    def look(self, network: Any, step: int, jobs: int) -> tuple[pd.DataFrame, float]:
        """Rates by group at the threshold that gives the target FMR now, and the figure to lower.

        Returns
        -------
        tuple of DataFrame and float
            `error_rates` with `step` and `threshold` before them; the figure that the recipe
            keeps by, NaN where it keeps the last.
        """
        embedder = TrainedEmbedder(
            copy.deepcopy(network).float(), self.recipe, {}, pd.DataFrame(), "watched"
        )
        embeddings = embedder.embed(self.faces, jobs=jobs, progress=False)
        comparisons = compare_all(embeddings, by=self.settings.by or None, jobs=1)
        # The held-out set is the same at every look: what there is to say of it is said once.
        caution = "" if self.told else comparisons.resolution(self.settings.fmr, people=False)
        if caution:
            warn(caution)
            self.told = True
        threshold = comparisons._threshold(self.settings.fmr)
        rates = comparisons.error_rates(threshold)
        figure = figure_of(rates, self.settings.keep)
        rates.insert(0, "step", step)
        rates.insert(1, "threshold", threshold)
        return rates, figure


def figure_of(rates: pd.DataFrame, figure: str) -> float:
    """What `Validation.keep` names, of a table of error rates by group; NaN for "last"."""
    groups = rates["group"] != "all"
    if figure == "last":
        return float("nan")
    if figure == "fnmr":
        return float(rates["fnmr"][~groups].iloc[0])
    if figure == "worst_fnmr":
        return float(rates["fnmr"][groups].max())
    metric, error = _INDICES[figure]
    return float(indices(rates)[metric, error])
