"""Adapters of low rank (LoRA): a vision transformer learns through a few weights beside its own.

In: a network and what a recipe says of adapters. Out: the network with adapters in its backbone,
by PEFT; a state dictionary with them merged in, as that of a network without.
"""

from torch import Tensor

from facelab.embedders.network import Network
from facelab.embedders.weights import brief
from facelab.errors import BadInput, need
from facelab.training.continuing import Adapters

_BASE, _DOWN, _UP = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


def adapt(network: Network, adapters: Adapters, name: str) -> None:
    """Put adapters beside layers of the backbone, all else in which then stays still.

    Parameters
    ----------
    network
        Changed in place.
    adapters
        Of rank 1 or more.
    name
        What to call the backbone.

    Raises
    ------
    BadInput
        The backbone has no such linear layers.
    MissingExtra
        PEFT is not installed.
    """
    peft = need("peft", "lora")
    backbone = network.backbone
    endings = tuple(f".{layer}" for layer in adapters.layers)
    found = [one for one, _ in backbone.named_modules() if f".{one}".endswith(endings)]
    if not found:
        raise BadInput(
            f"lora: {name} has no layer {' or '.join(adapters.layers)}: take a vision transformer "
            "(vit_..., deit_...), or name its linear layers in lora.layers"
        )
    plan = peft.LoraConfig(r=adapters.rank, lora_alpha=adapters.alpha, target_modules=found)
    try:
        peft.inject_adapter_in_model(plan, backbone)
    except ValueError as error:
        raise BadInput(f"lora: {name} takes no adapters there ({brief(error)})") from error
    wrong = [one for one in found if backbone.get_submodule(one).base_layer.weight.ndim != 2]
    if wrong:
        raise BadInput(
            f"lora: {wrong[0]} of {name} is no linear layer: leave it out of lora.layers"
        )
    network.still.append("backbone")


def merged(state: dict[str, Tensor], adapters: Adapters) -> dict[str, Tensor]:
    """The weights of the same network without adapters: W + (alpha / rank) B A for W."""
    if not adapters.rank:
        return state
    plain = {}
    for name, value in state.items():
        if name.endswith((_DOWN, _UP)):
            continue
        layer, base, leaf = name.partition(_BASE)
        if base and leaf == "weight":
            change = state[layer + _UP].double() @ state[layer + _DOWN].double()
            value = (value.double() + change * (adapters.alpha / adapters.rank)).to(value)
        plain[f"{layer}.{leaf}" if base else name] = value
    return plain
