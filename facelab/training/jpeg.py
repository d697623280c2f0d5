"""JPEG compression of a batch of images, each at a quality of its own.

In: float images (B, 3, S, S) from 0 to 1. Out: what is left of them, on the same device.
Source: ITU-T T.81 (the cosine transform), JFIF 1.02 (the colours), and what libjpeg does with
quality, with colours at half the resolution and with edges. `facelab.synthetic.jpeg` does the same,
compiled, to one picture of the renderer's.
"""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from facelab.photos.jpeg import steps

LUMA = (0.299, 0.587, 0.114)


def through_jpeg(images: Tensor, quality: Tensor, halved: bool) -> Tensor:
    """What is left of images after JPEG compression.

    Parameters
    ----------
    images
        float (B, 3, S, S), 0 to 1.
    quality
        int64 (B,), 1 to 100, on libjpeg's scale.
    halved
        Keep the colours at half the resolution (4:2:0) and not at the full one (4:4:4).

    Returns
    -------
    Tensor
        As `images`.
    """
    side = images.shape[-1]
    beyond = -side % (16 if halved else 8)
    levels = (images * 255).round_().clamp_(0, 255)
    red, green, blue = F.pad(levels, (0, beyond, 0, beyond), mode="replicate").unbind(1)
    bright = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    colours = torch.stack([(blue - bright) / 1.772, (red - bright) / 1.402], 1).round_()
    bright.round_()
    if halved:
        # To the right the picture's edge is repeated; below it, that of the halved colours.
        colours = F.avg_pool2d(colours[:, :, : side + side % 2], 2)
        rounding = _up_or_down(images.device).repeat(colours.shape[-1] // 2)
        colours = colours.add_(rounding).floor_()
        colours = F.pad(colours, (0, 0, 0, beyond // 2), mode="replicate")

    steps = _steps(images.device)[quality - 1]
    bright = _quantised(bright.unsqueeze(1) - 128, steps[:, :1])[:, 0, :side, :side] + 128
    colours = _quantised(colours, steps[:, 1:])
    if halved:
        # The padding never reaches the picture, not even through its neighbours.
        half = -(-side // 2)
        colours = F.interpolate(colours[..., :half, :half], scale_factor=2, mode="bilinear")
        colours.round_()
    blue, red = colours[..., :side, :side].unbind(1)
    blue, red = bright + 1.772 * blue, bright + 1.402 * red
    green = (bright - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], 1).round_().clamp_(0, 255).div_(255)


def _quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Round the cosine transform of each 8 x 8 block of planes (B, C, H, W) to steps (B, 1, 64)."""
    batch, channels, high, wide = planes.shape
    turn = _cosines(planes.device)
    blocks = planes.view(batch, channels, high // 8, 8, wide // 8, 8).transpose(3, 4)
    parts = blocks.reshape(batch, channels * high * wide // 64, 64) @ turn.T
    parts = parts.div_(steps).round_().mul_(steps) @ turn
    blocks = (
        parts.round_()
        .clamp_(-128, 127)
        .view(batch, channels, high // 8, wide // 8, 8, 8)
        .transpose(3, 4)
    )
    return blocks.reshape(planes.shape)


@cache
def _up_or_down(device: torch.device) -> Tensor:
    """Means of four whole numbers that end in a half are rounded up and down in turn."""
    return torch.tensor([0.25, 0.5], device=device)


@cache
def _cosines(device: torch.device) -> Tensor:
    """The cosine transform of an 8 x 8 block, row by row, as one matrix (64, 64)."""
    place = torch.arange(8, dtype=torch.float64)
    waves = torch.cos(math.pi / 8 * place.view(-1, 1) * (place + 0.5)) / 2
    waves[0] /= math.sqrt(2)
    return torch.kron(waves, waves).to(device, torch.float32)


@cache
def _steps(device: torch.device) -> Tensor:
    """Quantisation steps of brightness and colours for qualities 1 to 100, (100, 2, 64)."""
    tables = [torch.from_numpy(steps(quality)).flatten(1) for quality in range(1, 101)]
    return torch.stack(tables).to(device)
