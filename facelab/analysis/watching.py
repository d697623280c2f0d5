"""An analyser's errors as they form: by group on held-out people, during training.

In: a network, its head, and a FaceSet of people that it does not train on. Out: a table a look, and
the figure by which the best look is chosen.
"""

import copy
from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.by_group import analysis_audit
from facelab.analysis.labelled import check_frame
from facelab.analysis.trained import Learnt, TrainedAnalyser
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.training.engine import Training
from facelab.training.recipe import Recipe
from facelab.training.validation import Watch

_EVERYBODY = "everybody"


class LabelWatch(Watch):
    """Looks at what an analyser says of held-out people.

    Parameters
    ----------
    held_out
        Faces of people that are not trained on, with the column that is learnt.
    recipe
        Its `validate` and `size`.
    training
        Whose examples and head it looks at.
    learnt
        What is learnt.

    Raises
    ------
    BadInput
        A subject is in both, a column is not there, or no face has a label.
    """

    def __init__(
        self, held_out: FaceSet, recipe: Recipe, training: Training, learnt: Learnt
    ) -> None:
        check_frame(held_out.table, [learnt.column, *recipe.validate.by])
        if held_out.table[learnt.column].isna().all():
            raise BadInput(f"no held-out face has a {learnt.column}: there is nothing to look at")
        super().__init__(held_out, recipe, training.examples)
        self.head, self.learnt = training.head, learnt

    def look(self, network: Any, step: int, jobs: int) -> tuple[pd.DataFrame, float]:
        """Errors by group now, and the figure to lower.

        Returns
        -------
        tuple of DataFrame and float
            `AnalysisAudit.rates` with `step` before them; the figure that the recipe keeps by, NaN
            where it keeps the last.
        """
        embedder = TrainedEmbedder(
            copy.deepcopy(network).float(), self.recipe, {}, pd.DataFrame(), "watched"
        )
        said = TrainedAnalyser(embedder, self.head, self.learnt).predict(self.faces)
        number = self.learnt.kind == "expected"
        by = self.settings.by or _EVERYBODY
        rates = analysis_audit(
            said if self.settings.by else said.assign(**{_EVERYBODY: _EVERYBODY}),
            *(self.learnt.column, by),
            kind="number" if number else "class",
            replicates=2,
        ).rates
        rates = rates if self.settings.by else rates[:1]
        figure = figure_of(rates, "mae" if number else "error", self.settings.keep)
        return rates.assign(step=step)[["step", *rates]], figure


def figure_of(rates: pd.DataFrame, error: str, figure: str) -> float:
    """What `Validation.keep` names, of a table of errors by group; NaN for "last"."""
    groups = rates["group"] != "all"
    if figure == "last":
        return np.nan
    return float(rates[error][groups].max() if figure == "worst_error" else rates[error].iloc[0])
