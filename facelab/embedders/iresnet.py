"""IResNet-18, 50 and 100: the residual networks of the ArcFace paper, as timm models.

In: images (B, 3, S, S). Out: a map (B, 512, S/16, S/16), 7 by 7 places at 112 px. What follows in
the paper (the linear layer and its batch norm) is the neck `flatten` and the embedding of
`facelab.embedders.network.Network`.
"""

from abc import ABC, abstractmethod
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

# What timm notes about a model: our crops, no pretrained weights.
FACE = {
    "input_size": (3, 112, 112),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "num_classes": 0,
    "first_conv": "stem.0",
    "classifier": None,
}

default_cfgs = generate_default_cfgs({"iresnet18": FACE, "iresnet50": FACE, "iresnet100": FACE})


class FaceTrunk(nn.Module, ABC):
    """What timm asks of a model, for trunks that end in a map and have no classes.

    Parameters
    ----------
    num_features
        Channels of the map.
    num_classes
        0: the classes' centres are the training head's.
    drop_rate
        Share of the map that dropout sets to 0 in training.
    """

    def __init__(self, num_features: int, num_classes: int, drop_rate: float) -> None:
        super().__init__()
        if num_classes:
            raise ValueError(f"{type(self).__name__} has no classifier: leave num_classes at 0")
        self.num_classes = 0
        self.num_features = self.head_hidden_size = num_features
        self.drop = nn.Dropout(drop_rate)

    @abstractmethod
    def forward_features(self, x: Tensor) -> Tensor:
        """The map, (B, num_features, S/16, S/16)."""

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The mean of the map's places, (B, num_features)."""
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class ResidualUnit(nn.Module):
    """BN, convolution, BN, PReLU, convolution, BN, and the input added (ArcFace, section 3.1).

    The stride is the second convolution's; where the shape changes, the input goes through a
    1 x 1 convolution and BN. With `plain`, an input that keeps its channels only loses places to
    the stride.
    """

    def __init__(self, before: int, after: int, stride: int, plain: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.Conv2d(before, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.PReLU(after),
            nn.Conv2d(after, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Identity()
        if plain and before == after:
            self.shortcut = nn.MaxPool2d(1, stride)
        elif stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.shortcut(x)


class IResNet(FaceTrunk):
    """Deng et al. 2019, "ArcFace" (arXiv 1801.07698), as in insightface's arcface_torch.

    The stem keeps the image's size, each of the four stages halves it.

    Parameters
    ----------
    layers
        Units of the four stages.
    channels
        Of the stem, then of the four stages.
    num_classes, in_chans, drop_rate
        See `FaceTrunk`; colours of the image.
    plain_shortcuts
        Whether units that keep their channels have no convolution beside them even where they
        halve the map: the first stage's in CVLFace and AdaFace.
    """

    def __init__(
        self,
        layers: tuple[int, ...] = (2, 2, 2, 2),
        channels: tuple[int, ...] = (64, 64, 128, 256, 512),
        num_classes: int = 0,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        plain_shortcuts: bool = False,
    ) -> None:
        super().__init__(channels[-1], num_classes, drop_rate)
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, channels[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.PReLU(channels[0]),
        )
        stages = []
        for units, before, after in zip(layers, channels[:-1], channels[1:], strict=True):
            rest = [ResidualUnit(after, after, 1) for _ in range(units - 1)]
            first = ResidualUnit(before, after, 2, plain_shortcuts)
            stages.append(nn.Sequential(first, *rest))
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(channels[-1])

    def forward_features(self, x: Tensor) -> Tensor:
        return self.drop(self.norm(self.stages(self.stem(x))))


def _iresnet(name: str, layers: tuple[int, ...], pretrained: bool, kwargs: Any) -> IResNet:
    return build_model_with_cfg(IResNet, name, pretrained, **{"layers": layers, **kwargs})


@register_model
def iresnet18(pretrained: bool = False, **kwargs: Any) -> IResNet:
    """IResNet-18 for timm.create_model."""
    return _iresnet("iresnet18", (2, 2, 2, 2), pretrained, kwargs)


@register_model
def iresnet50(pretrained: bool = False, **kwargs: Any) -> IResNet:
    """IResNet-50 for timm.create_model."""
    return _iresnet("iresnet50", (3, 4, 14, 3), pretrained, kwargs)


@register_model
def iresnet100(pretrained: bool = False, **kwargs: Any) -> IResNet:
    """IResNet-100 for timm.create_model."""
    return _iresnet("iresnet100", (3, 13, 30, 3), pretrained, kwargs)
