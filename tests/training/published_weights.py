"""Recognisers of others as their projects publish them: key lists with shapes, made anew, and what
their networks compute, written straight from the modules of those projects.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BN = ("weight", "bias", "running_mean", "running_var")
DEPTHS = {"18": (2, 2, 2, 2), "50": (3, 4, 14, 3), "100": (3, 13, 30, 3)}
WIDTHS = (64, 64, 128, 256, 512)


def _norm(name: str, channels: int, affine: bool = True) -> dict[str, tuple]:
    leaves = BN if affine else BN[2:]
    return {f"{name}.{leaf}": (channels,) for leaf in leaves} | {f"{name}.num_batches_tracked": ()}


def arcface_iresnet(depths: tuple[int, ...], dim: int = 512) -> dict[str, tuple]:
    """insightface, recognition/arcface_torch/backbones/iresnet.py."""
    keys = {"conv1.weight": (64, 3, 3, 3), **_norm("bn1", 64), "prelu.weight": (64,)}
    for stage, units in enumerate(depths):
        before, after = WIDTHS[stage : stage + 2]
        for unit in range(units):
            one, first = f"layer{stage + 1}.{unit}", before if unit == 0 else after
            keys |= {**_norm(f"{one}.bn1", first), f"{one}.conv1.weight": (after, first, 3, 3)}
            keys |= {**_norm(f"{one}.bn2", after), f"{one}.prelu.weight": (after,)}
            keys |= {f"{one}.conv2.weight": (after, after, 3, 3), **_norm(f"{one}.bn3", after)}
            if unit == 0:
                keys |= {f"{one}.downsample.0.weight": (after, before, 1, 1)}
                keys |= _norm(f"{one}.downsample.1", after)
    keys |= {**_norm("bn2", 512), "fc.weight": (dim, 512 * 49), "fc.bias": (dim,)}
    return keys | _norm("features", dim)


def cvlface_iresnet(depths: tuple[int, ...], dim: int = 512) -> dict[str, tuple]:
    """CVLFace, models/iresnet/model.py; AdaFace, net.py."""
    keys = {"input_layer.0.weight": (64, 3, 3, 3), **_norm("input_layer.1", 64)}
    keys |= {"input_layer.2.weight": (64,), **_norm("output_layer.0", 512)}
    keys |= {"output_layer.3.weight": (dim, 512 * 49), "output_layer.3.bias": (dim,)}
    keys |= _norm("output_layer.4", dim, affine=False)
    place = 0
    for stage, units in enumerate(depths):
        before, after = WIDTHS[stage : stage + 2]
        for unit in range(units):
            one, first = f"body.{place}", before if unit == 0 else after
            if first != after:
                keys |= {f"{one}.shortcut_layer.0.weight": (after, first, 1, 1)}
                keys |= _norm(f"{one}.shortcut_layer.1", after)
            keys |= _norm(f"{one}.res_layer.0", first)
            keys |= {f"{one}.res_layer.1.weight": (after, first, 3, 3)}
            keys |= {**_norm(f"{one}.res_layer.2", after), f"{one}.res_layer.3.weight": (after,)}
            keys |= {f"{one}.res_layer.4.weight": (after, after, 3, 3)}
            keys |= _norm(f"{one}.res_layer.5", after)
            place += 1
    return keys


# Their modules in order: name, channels within or out, channels out, how many; 0 is no list.
_ARCFACE_ROWS = [
    *(("layers.2", 128, 64, 0), ("layers.3", 128, 64, 4), ("layers.4", 256, 128, 0)),
    *(("layers.5", 256, 128, 6), ("layers.6", 512, 128, 0), ("layers.7", 256, 128, 2)),
]
_OTHER_ROWS = [
    (f"conv_{name}", *row[1:])
    for name, row in zip(("23", "3", "34", "4", "45", "5"), _ARCFACE_ROWS, strict=True)
]


def arcface_mobile(scale: int = 2, dim: int = 512) -> dict[str, tuple]:
    """insightface, recognition/arcface_torch/backbones/mobilefacenet.py; get_mbf has scale 2."""

    def block(name: str, shape: tuple, linear: bool = False) -> dict[str, tuple]:
        keys = {f"{name}.layers.0.weight": shape, **_norm(f"{name}.layers.1", shape[0])}
        return keys | ({} if linear else {f"{name}.layers.2.weight": (shape[0],)})

    channels = 64 * scale
    keys = block("layers.0", (channels, 3, 3, 3))
    keys |= block("layers.1", (channels, scale, 3, 3))
    for row, inner, after, repeats in _ARCFACE_ROWS:
        for place in range(max(1, repeats)):
            one = f"{row}.layers.{place}" if repeats else row
            keys |= block(f"{one}.layers.0", (inner, channels, 1, 1))
            keys |= block(f"{one}.layers.1", (inner, 1, 3, 3))
            keys |= block(f"{one}.layers.2", (after * scale, inner, 1, 1), linear=True)
            channels = after * scale
    keys |= block("conv_sep", (512, channels, 1, 1))
    keys |= block("features.layers.0", (512, 1, 7, 7), linear=True)
    return keys | {"features.layers.2.weight": (dim, 512), **_norm("features.layers.3", dim)}


def other_mobile(dim: int = 512) -> dict[str, tuple]:
    """InsightFace_Pytorch, model.py."""

    def block(name: str, shape: tuple, linear: bool = False) -> dict[str, tuple]:
        keys = {f"{name}.conv.weight": shape, **_norm(f"{name}.bn", shape[0])}
        return keys | ({} if linear else {f"{name}.prelu.weight": (shape[0],)})

    keys, channels = block("conv1", (64, 3, 3, 3)) | block("conv2_dw", (64, 1, 3, 3)), 64
    for row, inner, after, repeats in _OTHER_ROWS:
        for place in range(max(1, repeats)):
            one = f"{row}.model.{place}" if repeats else row
            keys |= block(f"{one}.conv", (inner, channels, 1, 1))
            keys |= block(f"{one}.conv_dw", (inner, 1, 3, 3))
            keys |= block(f"{one}.project", (after, inner, 1, 1), linear=True)
            channels = after
    keys |= block("conv_6_sep", (512, 128, 1, 1)) | block("conv_6_dw", (512, 1, 7, 7), linear=True)
    return keys | {"linear.weight": (dim, 512), **_norm("bn", dim)}


def filled(keys: dict[str, tuple], seed: int = 0) -> dict[str, Tensor]:
    """Weights of these shapes that keep a network's signal at about its size."""
    draw, state = torch.Generator().manual_seed(seed), {}
    for name, shape in keys.items():
        if not shape:
            state[name] = torch.tensor(1000)
        elif len(shape) > 1:
            fan = max(1, torch.Size(shape[1:]).numel())
            state[name] = torch.randn(shape, generator=draw) / fan**0.5
        elif name.endswith(("var", "weight")):
            state[name] = 0.5 + torch.rand(shape, generator=draw)
        else:
            state[name] = torch.randn(shape, generator=draw) * 0.1
    return state


class Theirs:
    """What their networks compute, of a state dictionary."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias, mean, var = (self.state.get(f"{name}.{leaf}") for leaf in BN)
        return F.batch_norm(x, mean, var, weight, bias)

    def prelu(self, name: str, x: Tensor) -> Tensor:
        return F.prelu(x, self.state[f"{name}.weight"])

    def conv(self, name: str, x: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        return F.conv2d(x, weight, None, stride, padding if weight.shape[-1] == 3 else 0, 1, groups)

    def arcface_iresnet(self, x: Tensor) -> Tensor:
        x = self.prelu("prelu", self.norm("bn1", self.conv("conv1", x)))
        for stage in range(1, 5):
            unit = 0
            while f"layer{stage}.{unit}.conv1.weight" in self.state:
                one, stride = f"layer{stage}.{unit}", 2 if unit == 0 else 1
                y = self.norm(f"{one}.bn2", self.conv(f"{one}.conv1", self.norm(f"{one}.bn1", x)))
                y = self.conv(f"{one}.conv2", self.prelu(f"{one}.prelu", y), stride)
                if unit == 0:
                    x = self.norm(
                        f"{one}.downsample.1", self.conv(f"{one}.downsample.0", x, stride)
                    )
                x = self.norm(f"{one}.bn3", y) + x
                unit += 1
        x = self.norm("bn2", x).flatten(1)
        x = F.linear(x, self.state["fc.weight"], self.state["fc.bias"])
        return self.norm("features", x)

    def cvlface_iresnet(self, x: Tensor, depths: tuple[int, ...] = DEPTHS["18"]) -> Tensor:
        x = self.prelu("input_layer.2", self.norm("input_layer.1", self.conv("input_layer.0", x)))
        firsts = {sum(depths[:stage]) for stage in range(4)}
        for place in range(sum(depths)):
            one, stride = f"body.{place}", 2 if place in firsts else 1
            y = self.conv(f"{one}.res_layer.1", self.norm(f"{one}.res_layer.0", x))
            y = self.prelu(f"{one}.res_layer.3", self.norm(f"{one}.res_layer.2", y))
            y = self.norm(f"{one}.res_layer.5", self.conv(f"{one}.res_layer.4", y, stride))
            if f"{one}.shortcut_layer.0.weight" in self.state:
                x = self.conv(f"{one}.shortcut_layer.0", x, stride)
                x = self.norm(f"{one}.shortcut_layer.1", x)
            else:
                x = F.max_pool2d(x, 1, stride)
            x = x + y
        x = self.norm("output_layer.0", x).flatten(1)
        x = F.linear(x, self.state["output_layer.3.weight"], self.state["output_layer.3.bias"])
        return self.norm("output_layer.4", x)

    def _block(self, name: str, x: Tensor, leaves: tuple[str, ...], stride: int = 1) -> Tensor:
        x = self.norm(f"{name}.{leaves[1]}", self.conv(f"{name}.{leaves[0]}", x, stride))
        has = f"{name}.{leaves[2]}.weight" in self.state
        return self.prelu(f"{name}.{leaves[2]}", x) if has else x

    def mobile(self, x: Tensor, arcface: bool) -> Tensor:
        leaves = ("layers.0", "layers.1", "layers.2") if arcface else ("conv", "bn", "prelu")
        parts = ("layers.0", "layers.1", "layers.2") if arcface else ("conv", "conv_dw", "project")
        ends = ("layers.0", "layers.1", "conv_sep", "features.layers.0")
        ends = ends if arcface else ("conv1", "conv2_dw", "conv_6_sep", "conv_6_dw")
        x = self._block(ends[1], self._block(ends[0], x, leaves, 2), leaves)
        for row, _, _, repeats in _ARCFACE_ROWS if arcface else _OTHER_ROWS:
            for place in range(max(1, repeats)):
                listed = "layers" if arcface else "model"
                one, y = f"{row}.{listed}.{place}" if repeats else row, x
                for part in parts:
                    stride = 1 if repeats or part != parts[1] else 2
                    y = self._block(f"{one}.{part}", y, leaves, stride)
                x = x + y if repeats else y
        x = self._block(ends[3], self._block(ends[2], x, leaves), leaves).flatten(1)
        linear, last = ("features.layers.2", "features.layers.3") if arcface else ("linear", "bn")
        return self.norm(last, F.linear(x, self.state[f"{linear}.weight"]))
