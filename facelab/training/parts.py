"""What a training is made of: by the recipe's names, or somebody's own parts in their place.

In: a recipe and one's own parts. Out: a sampler, a network, a head, an augmentation and terms; what
one's own are known by.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from facelab.embedders.network import Network, network_of
from facelab.embedders.sources import described, weights_of
from facelab.errors import BadInput, a_kind
from facelab.faces.faceset import FaceSet
from facelab.training.distributed import Team
from facelab.training.examples import Examples
from facelab.training.heads import HEADS, ClassHead
from facelab.training.margins import GroupMargins, MarginTerm, MetaSet
from facelab.training.mitigations import Adversary, LossWeights
from facelab.training.own import OwnAugment, OwnHead, OwnSampler, OwnTerm
from facelab.training.recipe import Recipe
from facelab.training.sampler import Sampler
from facelab.training.shards import Across
from facelab.training.starts import Start, network_from
from facelab.training.targets import Target
from facelab.training.terms import Term


@dataclass(frozen=True)
class Parts:
    """One's own parts of a training, as `train` takes them; None and () are the recipe's.

    Attributes
    ----------
    target
        What is learnt in the place of who somebody is.
    about
        What each is known by, as `described`: worked out where the parts were given, for another
        process has no source of a notebook's classes.
    """

    head: Any = None
    backbone: Any = None
    augment: Callable[[Tensor], Tensor] | None = None
    sampler: Any = None
    terms: Sequence[Any] = ()
    target: Target | None = None
    about: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.terms, (list, tuple)):
            raise BadInput(
                f"terms are a list of terms, not {a_kind(self.terms)}: write terms=[...]"
            )
        alone = {name: getattr(self, name) for name in ("head", "backbone", "augment", "sampler")}
        about = {name: described(part) for name, part in alone.items() if part is not None}
        if self.terms:
            about["terms"] = [described(term) for term in self.terms]
        if self.target:
            about["target"] = self.target.about
        object.__setattr__(self, "about", about)

    @property
    def backbone_name(self) -> str:
        """What an embedder is called by; empty where the backbone is the recipe's."""
        return self.about["backbone"]["name"].rpartition(".")[2] if "backbone" in self.about else ""

    def given(self) -> dict[str, Any]:
        """As `train` takes them."""
        names = ("head", "backbone", "augment", "sampler", "terms")
        return {name: getattr(self, name) for name in names}

    def key(self) -> dict[str, Any]:
        """Everything of them that decides a result, weights to begin with included.

        Raises
        ------
        BadInput
            The source of one cannot be read, so that nobody could tell it from another.
        """
        for one in [*self.about.values(), *self.about.get("terms", [])]:
            if isinstance(one, dict) and one["source"] is None:
                raise BadInput(
                    f"kept trainings know {one['name']} by its source, and {one['note']}: define "
                    "it in a notebook's cell or a file, or leave `kept` out"
                )
        begun = [weights_of(part) for part in (self.head, self.backbone, *self.terms)]
        return {**self.about, "weights": begun}


def sampler_of(recipe: Recipe, examples: Examples, own: Parts) -> Sampler | OwnSampler:
    """Who is in which batch."""
    if own.sampler is not None:
        return OwnSampler(own.sampler, examples, recipe)
    powers = (recipe.mitigate.group_power, recipe.mitigate.subject_power)
    return examples.sampler(recipe.batch, recipe.together, powers, recipe.seed)


def network_for(recipe: Recipe, start: Start | None, own: Parts) -> Network:
    """The network that is trained, with the weights that it begins with."""
    if own.backbone is None:
        return network_from(recipe, start)
    if start is not None:
        raise BadInput(
            "start is for backbones by name: load the weights into the backbone of your own before "
            "you give it, and leave start out"
        )
    return network_of(recipe.to_dict(), backbone=own.backbone)


def network_again(recipe: Recipe, network: Network, own: Parts) -> Network:
    """A network of the same layers, without the weights."""
    return network_of({**recipe.to_dict(), **network.built}, False, own.backbone)


def head_of(recipe: Recipe, subjects: int, processes: Team, own: Parts) -> tuple[nn.Module, slice]:
    """What shapes the embedding; and the subjects whose centres this process holds."""
    every = slice(0, subjects)
    if own.target is not None:
        return own.target.head(recipe.dim), every
    if own.head is not None:
        return OwnHead(own.head, recipe, subjects), every
    options = {"scale": recipe.scale, "margin": recipe.margin, **recipe.head_options}
    kind = HEADS[recipe.head]
    if processes.size > 1 and issubclass(kind, ClassHead):
        options["across"] = Across(processes, subjects)
    head = kind(recipe.dim, subjects, **options)
    return head, options["across"].rows if "across" in options else every


def augment_of(own: Parts) -> OwnAugment | None:
    """One's own augmentation, in the place of the recipe's."""
    return None if own.augment is None else OwnAugment(own.augment)


def terms_of(training: Any, meta: FaceSet | None, own: Parts) -> dict[str, Term]:
    """The terms of a recipe's `mitigate` and one's own, by the names that checkpoints know."""
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
    for number, part in enumerate(own.terms, 1):
        terms[f"own {number}"] = OwnTerm(part, training)
    return terms
