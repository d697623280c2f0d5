"""Weights as others name them: whole recognisers of arcface_torch, CVLFace and their like.

In: a state dictionary with somebody's names. Out: the same weights by the names that `Network` has
for them, neck and embedding included, or one sentence on what does not fit.

Each layout is data: which of their modules each of ours is. The names are those of insightface's
`recognition/arcface_torch/backbones` (iresnet.py, mobilefacenet.py), of CVLFace's and AdaFace's
`iresnet/model.py`, and of TreB1eN's InsightFace_Pytorch (`model.py`, MobileFaceNet).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from facelab.errors import BadInput

Names = dict[str, str]  # our module -> theirs


class Layout(NamedTuple):
    """How somebody names the weights of a whole recogniser.

    Attributes
    ----------
    name
        What to call it.
    hallmark
        A weight that tells it; what stands before it stands before all of them.
    family
        "iresnet", "mobilefacenet", or "facelab" for any network of ours.
    names
        From the units of each stage to all modules.
    """

    name: str
    hallmark: str
    family: str
    names: Callable[[Sequence[int]], Names]


# ---- IResNet: ours are stem, stages.<stage>.<unit>.layers.<0 to 5>, shortcut.<0, 1>, norm

_ARCFACE_UNIT = ("bn1", "conv1", "bn2", "prelu", "conv2", "bn3")
_ARCFACE_ENDS = {
    **{"backbone.stem.0": "conv1", "backbone.stem.1": "bn1", "backbone.stem.2": "prelu"},
    **{"backbone.norm": "bn2", "embed.0": "fc", "embed.1": "features"},
}
_CVLFACE_ENDS = {
    **{f"backbone.stem.{layer}": f"input_layer.{layer}" for layer in range(3)},
    **{"backbone.norm": "output_layer.0", "embed.0": "output_layer.3", "embed.1": "output_layer.4"},
}


def _arcface_iresnet(layers: Sequence[int]) -> Names:
    names = dict(_ARCFACE_ENDS)
    for stage, unit in _units(layers):
        ours, theirs = f"backbone.stages.{stage}.{unit}", f"layer{stage + 1}.{unit}"
        names |= {f"{ours}.layers.{n}": f"{theirs}.{its}" for n, its in enumerate(_ARCFACE_UNIT)}
        names |= {f"{ours}.shortcut.{n}": f"{theirs}.downsample.{n}" for n in range(2)}
    return names


def _cvlface_iresnet(layers: Sequence[int]) -> Names:
    names = dict(_CVLFACE_ENDS)
    for place, (stage, unit) in enumerate(_units(layers)):  # they count through all stages
        ours, theirs = f"backbone.stages.{stage}.{unit}", f"body.{place}"
        names |= {f"{ours}.layers.{n}": f"{theirs}.res_layer.{n}" for n in range(6)}
        names |= {f"{ours}.shortcut.{n}": f"{theirs}.shortcut_layer.{n}" for n in range(2)}
    return names


def _units(layers: Sequence[int]) -> Iterable[tuple[int, int]]:
    return ((stage, unit) for stage, units in enumerate(layers) for unit in range(units))


# ---- MobileFaceNet: ours are stem, layers.0, fifteen bottlenecks layers.<1 to 15>, layers.16

# Theirs alternate: one bottleneck that changes the map, then a list of those that keep it.
_REPEATS = (("23", 1), ("3", 4), ("34", 1), ("4", 6), ("45", 1), ("5", 2))
_ARCFACE_MOBILE = {
    **{"backbone.stem": "layers.0.layers", "backbone.layers.0": "layers.1.layers"},
    **{"backbone.layers.16": "conv_sep.layers", "depthwise": "features.layers.0.layers"},
}
_TREB1EN_MOBILE = {
    **{"backbone.stem": "conv1", "backbone.layers.0": "conv2_dw"},
    **{"backbone.layers.16": "conv_6_sep", "depthwise": "conv_6_dw"},
}
_TREB1EN_PARTS, _TREB1EN_LAYERS = ("conv", "conv_dw", "project"), ("conv", "bn", "prelu")


def _arcface_mobile(_: Sequence[int]) -> Names:
    names = {"embed.0": "features.layers.2", "embed.1": "features.layers.3"}
    for ours, theirs in _ARCFACE_MOBILE.items():
        names |= {f"{ours}.{layer}": f"{theirs}.{layer}" for layer in range(3)}
    for place, (row, repeat) in enumerate(_bottlenecks(), 1):
        ours = f"backbone.layers.{place}.layers"
        theirs = f"layers.{row + 2}" + ("" if repeat is None else f".layers.{repeat}")
        names |= {
            f"{ours}.{part}.{layer}": f"{theirs}.layers.{part}.layers.{layer}"
            for part in range(3) for layer in range(3)
        }  # fmt: skip
    return names


def _treb1en_mobile(_: Sequence[int]) -> Names:
    names = {"embed.0": "linear", "embed.1": "bn"}
    for ours, theirs in _TREB1EN_MOBILE.items():
        names |= {f"{ours}.{n}": f"{theirs}.{layer}" for n, layer in enumerate(_TREB1EN_LAYERS)}
    for ours, (row, repeat) in enumerate(_bottlenecks(), 1):
        theirs = f"conv_{_REPEATS[row][0]}" + ("" if repeat is None else f".model.{repeat}")
        names |= {
            f"backbone.layers.{ours}.layers.{n}.{m}": f"{theirs}.{part}.{layer}"
            for n, part in enumerate(_TREB1EN_PARTS) for m, layer in enumerate(_TREB1EN_LAYERS)
        }  # fmt: skip
    return names


def _bottlenecks() -> Iterable[tuple[int, int | None]]:
    """The row and the place in its list of each bottleneck in order; None without a list."""
    for row, (_, repeats) in enumerate(_REPEATS):
        yield from ((row, None if repeats == 1 else number) for number in range(repeats))


LAYOUTS = (
    Layout("facelab", "embed.0.weight", "facelab", lambda layers: {}),
    Layout("arcface_torch", "layer1.0.prelu.weight", "iresnet", _arcface_iresnet),
    Layout("CVLFace", "body.0.res_layer.0.weight", "iresnet", _cvlface_iresnet),
    Layout("arcface_torch", "conv_sep.layers.0.weight", "mobilefacenet", _arcface_mobile),
    Layout("InsightFace_Pytorch", "conv_6_sep.conv.weight", "mobilefacenet", _treb1en_mobile),
)
_DEPTHS = {(2, 2, 2, 2): "iresnet18", (3, 4, 14, 3): "iresnet50", (3, 13, 30, 3): "iresnet100"}


class Told(NamedTuple):
    """What a state dictionary with somebody's names says of itself.

    Attributes
    ----------
    layout
        Whose names they are.
    state
        The recogniser's part of it, by their names.
    left
        What else there is: a head's weights and the like.
    network
        What a recipe says of such a network: backbone, its options, neck, size, dim.
    affine
        Whether the last norm has scale and shift.
    """

    layout: Layout
    state: dict[str, Tensor]
    left: list[str]
    network: dict[str, Any]
    affine: bool

    def named(self) -> Names:
        """Our modules and theirs."""
        return self.layout.names(_depths(self.layout, self.state))


def told_by(state: dict[str, Tensor]) -> Told | None:
    """Whose names these are; None where no layout here has them.

    Parameters
    ----------
    state
        The weights of a file by their names, with or without a prefix such as "module." or "net.".
    """
    for layout in LAYOUTS:
        marks = [name for name in state if f".{name}".endswith(f".{layout.hallmark}")]
        if not marks:
            continue
        prefix = marks[0].removesuffix(layout.hallmark)
        own = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
        left = [name for name in state if not name.startswith(prefix)]
        linear, last = (layout.names(()).get(name, name) for name in ("embed.0", "embed.1"))
        network = _network(layout, own, f"{linear}.weight")
        return Told(layout, own, left, network, f"{last}.weight" in own)
    return None


def _network(layout: Layout, state: dict[str, Tensor], linear: str) -> dict[str, Any]:
    """What a recipe says of the network whose weights these are, as far as they tell."""
    if layout.family == "facelab":
        return {}
    told: dict[str, Any] = {"stem_stride": None, "backbone_options": {}}
    weight = state.get(linear)
    if weight is not None and weight.ndim == 2:
        told["dim"] = len(weight)
    if layout.family == "mobilefacenet":
        told |= {"backbone": "mobilefacenet", "neck": "depthwise"}
        widen = state[layout.hallmark].shape[1:2].numel() // 128
        told["backbone_options"] = {} if widen == 1 else {"widen": widen}
        square = state.get(f"{layout.names(())['depthwise.0']}.weight")
        side = None if square is None else square.shape[-1]
    else:
        depths = _depths(layout, state)
        known = _DEPTHS.get(depths)
        told |= {"backbone": known or "iresnet18", "neck": "flatten"}
        told["backbone_options"] = {} if known else {"layers": list(depths)}
        if layout.name == "CVLFace":
            told["backbone_options"]["plain_shortcuts"] = True
        side = None if "dim" not in told else round((weight.shape[1] / 512) ** 0.5)
    if side is not None:
        told["size"] = 16 * side
    return told


def _depths(layout: Layout, state: dict[str, Tensor]) -> tuple[int, ...]:
    """Units of each stage, as far as the names and shapes tell."""
    if layout.family != "iresnet":
        return ()
    if layout.name == "CVLFace":
        # A stage is the units of one number of channels.
        widths = [
            len(state[name])
            for place in range(200)
            if (name := f"body.{place}.res_layer.5.weight") in state
        ]
        return tuple(widths.count(width) for width in sorted(set(widths)))
    stages = [
        [int(name.split(".")[1]) for name in state if name.startswith(f"layer{stage}.")]
        for stage in range(1, 5)
    ]
    return tuple(max(units, default=-1) + 1 for units in stages)


def converted(told: Told, wanted: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Their weights by our names, all that a network needs.

    Parameters
    ----------
    told
        What `told_by` made of a file.
    wanted
        The network's own state dictionary: names, shapes, kinds.
    source
        What to call the file.

    Raises
    ------
    BadInput
        Weights are missing, of another shape, or there are some that the network has no use for.
    """
    names, taken, missing = told.named(), {}, []
    used = set()
    for name, ours in wanted.items():
        module, _, leaf = name.rpartition(".")
        theirs = f"{names.get(module, module)}.{leaf}"
        found = told.state.get(theirs)
        if found is None and leaf == "num_batches_tracked":
            found = torch.zeros_like(ours)  # files of old versions of torch have none
        elif found is None or found.shape != ours.shape:
            missing.append(theirs)
            continue
        used.add(theirs)
        taken[name] = found.to(ours.dtype)
    # What the batch norm behind it takes away again is a part of what it takes away.
    bias = f"{names.get('embed.0')}.bias"
    if bias in told.state and "embed.1.running_mean" in taken:
        taken["embed.1.running_mean"] = taken["embed.1.running_mean"] - told.state[bias].float()
        used.add(bias)
    rest = [name for name in told.state if name not in used]
    if missing or rest:
        counted = [name for name in wanted if not name.endswith("num_batches_tracked")]
        count = len(counted) - len(missing)
        raise BadInput(not_whole(source, told.layout.name, count, len(counted), missing, rest))
    return taken


def not_whole(
    source: str, whose: str, taken: int, wanted: int, missing: list[str], rest: list[str]
) -> str:
    """The sentence on a start of which only a part fits."""
    said = []
    if missing:
        said.append(f"{_some(missing)} {_are(missing)} missing or of another shape")
    if rest:
        said.append(f"the network has no {_some(rest)}")
    return (
        f"start: {source} (named as {whose}'s) has {taken} of the {wanted} weights that the "
        f"recipe's network needs: {'; '.join(said)}: give the file that this backbone was saved "
        "to, or the backbone and options that it was made with"
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _are(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"
