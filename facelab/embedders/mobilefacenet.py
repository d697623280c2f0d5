"""MobileFaceNet: the small face network of phones, as a timm model.

In: images (B, 3, S, S). Out: a map (B, 512, S/16, S/16), 7 by 7 places at 112 px. The paper's last
two layers are the neck `depthwise` and the embedding of `facelab.embedders.network.Network`.
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from facelab.embedders.iresnet import FACE, FaceTrunk

default_cfgs = generate_default_cfgs({"mobilefacenet": FACE})


def _convolution(
    before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False
) -> nn.Sequential:
    """Convolution, batch norm and, unless it is linear, PReLU."""
    layers = [
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
    ]
    return nn.Sequential(*layers, *([] if linear else [nn.PReLU(after)]))


class Bottleneck(nn.Module):
    """Widen, convolve every channel by itself, narrow; add the input where the shape stayed."""

    def __init__(self, before: int, after: int, inner: int, stride: int) -> None:
        super().__init__()
        self.residual = stride == 1 and before == after
        self.layers = nn.Sequential(
            _convolution(before, inner, 1),
            _convolution(inner, inner, 3, stride, groups=inner),
            _convolution(inner, after, 1, linear=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileFaceNet(FaceTrunk):
    """Table 1 of Chen et al. 2018 (arXiv 1804.07573), up to its last 1 x 1 convolution.

    With the neck `depthwise` and 128 values it has 0.99 million parameters at 112 px (norms folded
    into biases; 1.00 million while it is trained).

    Parameters
    ----------
    num_classes, in_chans, drop_rate
        See `FaceTrunk`; colours of the image.
    widen
        Factor of the channels between bottlenecks, which stay as wide within: arcface_torch's
        "mbf" has 2.
    """

    # Table 1: channels within (t times those before), channels c, repeats n, stride s of the first.
    BOTTLENECKS = (
        *((128, 64, 5, 2), (256, 128, 1, 2), (256, 128, 6, 1), (512, 128, 1, 2)),
        (256, 128, 2, 1),
    )

    def __init__(
        self, num_classes: int = 0, in_chans: int = 3, drop_rate: float = 0.0, widen: int = 1
    ) -> None:
        super().__init__(512, num_classes, drop_rate)
        channels = 64 * widen
        self.stem = _convolution(in_chans, channels, 3, stride=2)
        layers = [_convolution(channels, channels, 3, groups=64)]
        for inner, after, repeats, stride in self.BOTTLENECKS:
            for number in range(repeats):
                step = stride if number == 0 else 1
                layers.append(Bottleneck(channels, after * widen, inner, step))
                channels = after * widen
        self.layers = nn.Sequential(*layers, _convolution(channels, 512, 1))

    def forward_features(self, x: Tensor) -> Tensor:
        return self.drop(self.layers(self.stem(x)))


@register_model
def mobilefacenet(pretrained: bool = False, **kwargs: Any) -> MobileFaceNet:
    """MobileFaceNet for timm.create_model."""
    return build_model_with_cfg(MobileFaceNet, "mobilefacenet", pretrained, **kwargs)
