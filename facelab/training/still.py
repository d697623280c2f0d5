"""What stays still in a training, and what moves slower than the rest.

In: a network, its head and a recipe that names parts of them. Out: the network with those parts
held; the factor of every weight's learning rate.
"""

from torch import nn

from facelab.embedders.network import Network
from facelab.errors import BadInput, there_are
from facelab.training.recipe import Recipe


def hold(network: Network, head: nn.Module, recipe: Recipe) -> None:
    """Keep still what the recipe freezes: weights, and what norms know of the batches.

    Raises
    ------
    BadInput
        There is no such part, or nothing is left to learn.
    """
    modules = dict(network.named_modules())
    for name in recipe.freeze:
        for parameter in _part(name, network, head, "freeze").values():
            parameter.requires_grad_(False)
        if name in modules:
            network.still.append(name)
        elif name == "head":
            head.eval()
    network.train()
    if not any(p.requires_grad for p in [*network.parameters(), *head.parameters()]):
        parts = [*dict(network.named_children()), "head"]
        raise BadInput(
            f"freeze keeps all of the network still ({', '.join(recipe.freeze)}) and the head "
            f"{recipe.head} {'too' if list(head.parameters()) else 'has nothing to learn'}: leave "
            f"out one of {', '.join(parts)}"
        )


def factors(network: Network, head: nn.Module, recipe: Recipe) -> dict[nn.Parameter, float]:
    """What the learning rate of every weight is multiplied with, where it is not 1.

    Raises
    ------
    BadInput
        There is no such part, or it does not learn.
    """
    found: dict[nn.Parameter, float] = {}
    for name in sorted(recipe.lr_factors, key=len):  # the longest last
        part = _part(name, network, head, "lr_factors")
        if not any(parameter.requires_grad for parameter in part.values()):
            held = ", ".join(recipe.freeze) or "none"
            raise BadInput(
                f"lr_factors: {name} does not learn (freeze: {held}): leave it out of one of them"
            )
        found |= dict.fromkeys(part.values(), recipe.lr_factors[name])
    return found


def _part(name: str, network: Network, head: nn.Module, asked: str) -> dict[str, nn.Parameter]:
    """The weights of a part by its name."""
    if name == "head":
        return dict(head.named_parameters())
    part = {
        one: parameter
        for one, parameter in network.named_parameters()
        if one == name or one.startswith(f"{name}.")
    }
    if not part and name not in dict(network.named_modules()):
        known = there_are(name, _known(network), "its parts are")
        raise BadInput(f"{asked}: the network has no part {name!r}{known}")
    if not part:
        raise BadInput(f"{asked}: {name} has no weights of its own: leave it out")
    return part


def _known(network: Network) -> list[str]:
    """Names of the large parts that have weights."""
    deep = [name.split(".")[:2] for name, _ in network.named_parameters()]
    return list(dict.fromkeys([*(one[0] for one in deep), "head", *map(".".join, deep)]))
