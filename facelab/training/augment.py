"""Changes to a batch of training images, each drawn anew for every image.

In: float images (B, 3, S, S) from 0 to 1 and a `Chance`. Out: the same, changed. Whole batches at a
time, in a few passes: on one CPU core this costs two to five percent of a training step.
"""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facelab.embedders.tensors import sent
from facelab.errors import BadInput
from facelab.training.jpeg import LUMA, through_jpeg
from facelab.training.recipe import Augmentation


class Chance:
    """Random numbers for the images of a batch, or for a part of it as one process holds it.

    Everything is drawn for the whole batch and then cut, so that an image meets the same chance
    however many processes share the batch; and on the host, so that it meets the same on every
    device, and nobody waits for the device to hear whom something happens to.

    Parameters
    ----------
    generator
        Source of all randomness, on the host.
    total
        Images in the whole batch.
    part
        Those of them that are here.
    device
        Where the images are.
    """

    def __init__(
        self,
        generator: torch.Generator,
        total: int,
        part: slice = slice(None),
        device: torch.device | None = None,
    ) -> None:
        self.generator = generator
        self.total = total
        self.part = part
        self.device = device or generator.device

    def drawn(self, low: float, high: float, channels: int = 1) -> Tensor:
        """Numbers between two bounds, (B, channels, 1, 1), on the host."""
        draw = torch.rand(self.total, channels, 1, 1, generator=self.generator)
        return low + (high - low) * draw[self.part]

    def uniform(self, low: float, high: float, channels: int = 1) -> Tensor:
        """The same on the device."""
        return sent(self.drawn(low, high, channels), self.device)

    def happens(self, probability: float) -> Tensor:
        """Which images something happens to, bool (B,), on the host."""
        return self.drawn(0, 1).flatten() < probability

    def where(self, chosen: Tensor) -> Tensor:
        """The numbers of chosen images, int64, on the device; `chosen` as `happens` gives it."""
        return sent(chosen.nonzero().flatten(), self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, (B, *shape)."""
        # Drawing for the whole batch would cost every process as much as all of them together. So
        # the images look at one field of numbers, each from a place of its own.
        size = math.prod(shape)
        field = sent(torch.randn(4 * size, generator=self.generator), self.device)
        start = self.uniform(0, 3 * size).flatten().long()
        return field.unfold(0, size, 1)[start].view(-1, *shape)


def generator_of(seed: int, step: int) -> torch.Generator:
    """The generator of one training step: it follows from the seed and the step alone."""
    state = np.random.SeedSequence(seed, spawn_key=(step,)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def augment(
    images: Tensor, recipe: Augmentation, chance: Chance, others: Tensor | None = None
) -> Tensor:
    """Move, relight, degrade and cover the images of a batch.

    Parameters
    ----------
    images
        float (B, 3, S, S), 0 to 1; left as they are.
    recipe
        How much of each change.
    chance
        Source of all randomness.
    others
        As `images`: what `recipe.cover` shows in front of each. They should be of other subjects,
        as those half a (whole) batch away mostly are.

    Returns
    -------
    Tensor
        As `images`, within 0 to 1.

    Raises
    ------
    BadInput
        `recipe.cover` is above 0 and there are no `others`.
    """
    # What is moved is new, and changed in place from there on.
    images = _moved(images, recipe, chance)
    if recipe.shade:
        _shade(images, recipe.shade, chance)
    _relight(images, recipe, chance)
    if recipe.tone:
        power = torch.exp2(chance.uniform(-recipe.tone, recipe.tone))
        images.clamp_(0, 1).pow_(power)
    if recipe.grey:
        chosen = chance.where(chance.happens(recipe.grey))
        images[chosen] = _luma(images[chosen])
    if recipe.blur:
        _blur(images, recipe.blur, chance)
    if recipe.soften:
        _soften(images, recipe.soften, chance)
    if recipe.noise:
        noise = chance.normal(*images.shape[1:])
        images.addcmul_(noise, chance.uniform(0, recipe.noise))
    if recipe.shrink:
        _shrink(images, recipe.shrink, chance)
    if recipe.jpeg:
        _compress(images, recipe.jpeg, chance)
    if recipe.erase:
        covered = _rectangles(images, recipe.erase, chance)
        images = torch.where(covered, chance.uniform(0, 1), images)
    if recipe.cover:
        if others is None:
            raise BadInput("augment.cover needs `others`: give images of other subjects")
        images = torch.where(_rectangles(images, recipe.cover, chance), others, images)
    return images.clamp_(0, 1)


def _moved(images: Tensor, recipe: Augmentation, chance: Chance) -> Tensor:
    """Mirror, shift, scale, stretch and turn in one interpolation."""

    def draw(most: float) -> Tensor:
        return chance.uniform(-most, most).view(-1, 1)

    # Channel by channel in memory: what follows is several times as fast then.
    images = images.contiguous()
    mirrored = sent(chance.happens(recipe.flip), images.device).view(-1, 1)
    if not (recipe.shift or recipe.scale or recipe.rotate or recipe.stretch):
        return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    turn = draw(math.radians(recipe.rotate))
    zoom = 1 + draw(recipe.scale)
    cosine, sine = zoom * turn.cos(), zoom * turn.sin()
    wide = torch.where(mirrored, -1.0, 1.0) * (1 + draw(recipe.stretch))
    # Places run from -1 to 1: a share of the side is twice as long there.
    side = images.shape[-1]
    place = (2 * torch.arange(side, device=images.device) + 1) / side - 1
    right, lower = 2 * draw(recipe.shift), 2 * draw(recipe.shift)
    along = torch.stack([wide * cosine * place, sine * place], 1)
    down = torch.stack([right - wide * sine * place, lower + cosine * place], 1)
    # As affine_grid's, whose many small matrix products take twice the time of the interpolation.
    grid = (along.unsqueeze(2) + down.unsqueeze(3)).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _shade(images: Tensor, stops: float, chance: Chance) -> None:
    """Let the light fall off along some direction, from brighter to darker than it was."""
    place = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    direction = chance.uniform(0, 2 * math.pi)
    slope = chance.uniform(0, stops)
    across, down = slope * direction.cos(), slope * direction.sin()
    images.mul_(torch.exp2(across * place) * torch.exp2(down * place.view(-1, 1)))


def _relight(images: Tensor, recipe: Augmentation, chance: Chance) -> None:
    """Contrast about the image's mean, exposure, and a cast of colour, as one gain and offset."""
    contrast = 1 + chance.uniform(-recipe.contrast, recipe.contrast)
    exposure = 1 + chance.uniform(-recipe.brightness, recipe.brightness)
    gain = exposure * (1 + chance.uniform(-recipe.colour, recipe.colour, channels=3))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images.mul_(contrast * gain).add_((1 - contrast) * mean * gain)


def _luma(images: Tensor) -> Tensor:
    """Brightness (B, 1, S, S)."""
    return (images * _luma_weights(images.device)).sum(1, keepdim=True)


@cache
def _luma_weights(device: torch.device) -> Tensor:
    return torch.tensor(LUMA, device=device).view(3, 1, 1)


def _blur(images: Tensor, probability: float, chance: Chance) -> None:
    """Replace some images by what is left of them after halving their resolution."""
    chosen = chance.where(chance.happens(probability))
    side = images.shape[-1]
    small = F.interpolate(images[chosen], size=-(-side // 2), mode="area")
    images[chosen] = F.interpolate(small, size=side, mode="bilinear", align_corners=False)


def _soften(images: Tensor, width: float, chance: Chance) -> None:
    """Blur half of the images, each by a Gaussian of its own that is not quite round."""
    side = images.shape[-1]
    softness = chance.drawn(-1, 1).flatten()
    narrower = chance.uniform(0.5, 1).flatten()
    chosen = chance.where(softness > 0)
    softness = sent(softness, images.device)
    place = torch.arange(side, device=images.device)
    apart = (place.view(-1, 1) - place).abs()

    def spread(sd: Tensor) -> Tensor:
        weights = torch.exp(-0.5 * (place / sd.clamp(min=0.01).view(-1, 1)) ** 2)[:, apart]
        return weights / weights.sum(-1, keepdim=True)

    sd = width * side * softness[chosen]
    images[chosen] = _mixed(images[chosen], spread(sd), spread(sd * narrower[chosen]))


def _shrink(images: Tensor, most: float, chance: Chance) -> None:
    """Make half of the images smaller and bring them back to their size."""
    side = images.shape[-1]
    lost = chance.drawn(-most, most).flatten()
    chosen = chance.where(lost > 0)
    lost = sent(lost, images.device)
    there_and_back = resampling(((1 - lost[chosen]) * side).round().clamp(min=1), side)
    images[chosen] = _mixed(images[chosen], there_and_back, there_and_back)


def resampling(small: Tensor, side: int) -> Tensor:
    """What going from `side` pixels to fewer and back makes of them, as matrices.

    Each pixel on the way is the mean of what it covers; the way back interpolates linearly.

    Parameters
    ----------
    small
        float (B,): whole numbers from 1 to `side`.

    Returns
    -------
    Tensor
        (B, side, side): a new pixel's weights lie in a row and sum to 1.
    """
    place = torch.arange(side, device=small.device)
    row = place.view(-1, 1)
    small = small.view(-1, 1, 1)
    # Rows for `side` small pixels, of which only `small` are seen again. In units of which `small`
    # make a pixel and `side` a small one, so that borders are whole numbers.
    overlap = torch.minimum((row + 1) * side, (place + 1) * small)
    overlap -= torch.maximum(row * side, place * small)
    down = overlap.clamp(min=0) / side
    seen = torch.minimum(((row + 0.5) * small / side - 0.5).clamp(min=0), small - 1)
    up = (1 - (seen - place).abs()).clamp(min=0)
    return up @ down


def _mixed(images: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Mix the rows of each image by a matrix (S, S) of its own, and its columns by another."""
    rows = images.flatten(1, 2) @ across.mT
    return down.unsqueeze(1) @ rows.view_as(images)


def _compress(images: Tensor, probability: float, chance: Chance) -> None:
    """Compress some images as JPEG, half of them with colours at half the resolution."""
    chosen = chance.happens(probability)
    quality = chance.uniform(20, 91).flatten().long()
    halved = chance.happens(0.5)
    for those, half in ((chosen & halved, True), (chosen & ~halved, False)):
        these = chance.where(those)
        images[these] = through_jpeg(images[these], quality[these], half)


def _rectangles(images: Tensor, probability: float, chance: Chance) -> Tensor:
    """Where a rectangle of up to half the side lies, in some images: bool (B, 1, S, S)."""
    side = images.shape[-1]
    place = torch.arange(side, device=images.device)

    def band() -> Tensor:
        length = side * chance.uniform(0.1, 0.5).view(-1, 1)
        start = (side - length) * chance.uniform(0, 1).view(-1, 1)
        return (place >= start) & (place < start + length)

    chosen = sent(chance.happens(probability), images.device).view(-1, 1, 1, 1)
    return band().view(-1, 1, side, 1) & band().view(-1, 1, 1, side) & chosen
