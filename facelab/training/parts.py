"""What a training is made of beside its network: the terms that a recipe asks for.

In: a training whose network and head are there. Out: terms by name.
"""

from typing import Any

from facelab.faces.faceset import FaceSet
from facelab.training.margins import GroupMargins, MarginTerm, MetaSet
from facelab.training.mitigations import Adversary, LossWeights
from facelab.training.terms import Term


def terms_of(training: Any, meta: FaceSet | None) -> dict[str, Term]:
    """The terms that a recipe's `mitigate` asks for, by the names that checkpoints know."""
    recipe, names, shares = training.recipe, training.examples.names, training.sampler.shares
    mitigate, where = recipe.mitigate, (training.processes.device, training.kind)
    terms: dict[str, Term] = {}
    if mitigate.by:
        terms["weights"] = LossWeights(mitigate, names, shares).to(*where)
    if mitigate.margins or mitigate.meta_margins:
        margins = GroupMargins(recipe, names).to(*where)
        taught = MetaSet(meta, training, margins) if mitigate.meta_margins else None
        terms["margins"] = MarginTerm(margins, names, taught)
    if mitigate.adversary:
        adversary = Adversary(recipe.dim, len(names), mitigate.adversary, shares)
        terms["adversary"] = adversary.to(*where)
    return terms
