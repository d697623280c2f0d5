"""Changes to a batch of training images, each drawn anew for every image.

In: float images (B, 3, S, S) from 0 to 1 and a seeded generator. Out: the same, changed. Whole
batches at a time, in a few passes: on one CPU core this costs a few percent of a training step.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from facelab.training.recipe import Augmentation


def augment(images: Tensor, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """Move, relight, degrade and cover the images of a batch.

    Parameters
    ----------
    images
        float (B, 3, S, S), 0 to 1.
    recipe
        How much of each change.
    generator
        Source of all randomness, on the images' device.

    Returns
    -------
    Tensor
        As `images`, within 0 to 1.
    """
    images = _moved(images, recipe, generator)
    if recipe.shade:
        images = _shaded(images, recipe.shade, generator)
    images = _relit(images, recipe, generator)
    if recipe.tone:
        power = torch.exp2(_uniform(images, generator, -recipe.tone, recipe.tone))
        images = images.clamp(0, 1) ** power
    if recipe.grey:
        images = _greyed(images, recipe.grey, generator)
    if recipe.blur:
        images = _blurred(images, recipe.blur, generator)
    if recipe.soften:
        images = _softened(images, recipe.soften, generator)
    if recipe.noise:
        amount = _uniform(images, generator, 0, recipe.noise)
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        images = torch.addcmul(images, noise, amount)
    if recipe.erase:
        covered = _rectangles(images, recipe.erase, generator)
        images = torch.where(covered, _uniform(images, generator, 0, 1), images)
    if recipe.cover:
        # From half a batch away: neighbours may be of the same subject.
        others = images.roll(len(images) // 2, 0)
        images = torch.where(_rectangles(images, recipe.cover, generator), others, images)
    return images.clamp(0, 1)


def _uniform(images: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """One number an image, (B, 1, 1, 1)."""
    draw = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
    return low + (high - low) * draw


def _moved(images: Tensor, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """Mirror, shift, scale, stretch and turn in one interpolation."""

    def draw(low: float, high: float) -> Tensor:
        return _uniform(images, generator, low, high).flatten()

    mirror = torch.where(draw(0, 1) < recipe.flip, -1.0, 1.0)
    if not (recipe.shift or recipe.scale or recipe.rotate or recipe.stretch):
        return torch.where(mirror.view(-1, 1, 1, 1) < 0, images.flip(3), images)
    turn = draw(-1, 1) * math.radians(recipe.rotate)
    zoom = 1 + draw(-recipe.scale, recipe.scale)
    cosine, sine = zoom * turn.cos(), zoom * turn.sin()
    wide = mirror
    if recipe.stretch:
        wide = mirror * (1 + draw(-recipe.stretch, recipe.stretch))
    # affine_grid's coordinates run from -1 to 1: a share of the side is twice as long there.
    across, down = 2 * draw(-recipe.shift, recipe.shift), 2 * draw(-recipe.shift, recipe.shift)
    matrix = torch.stack(
        [
            torch.stack([wide * cosine, -sine * wide, across], 1),
            torch.stack([sine, cosine, down], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _relit(images: Tensor, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """Contrast about the image's mean, exposure, and a cast of colour, as one gain and offset."""
    contrast = 1 + _uniform(images, generator, -recipe.contrast, recipe.contrast)
    exposure = 1 + _uniform(images, generator, -recipe.brightness, recipe.brightness)
    draw = torch.rand(len(images), 3, 1, 1, generator=generator, device=images.device)
    gain = exposure * (1 + recipe.colour * (2 * draw - 1))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.addcmul((1 - contrast) * mean * gain, images, contrast * gain)


def _blurred(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Replace some images by what is left of them after halving their resolution."""
    chosen = _uniform(images, generator, 0, 1).flatten() < probability
    some = images[chosen]
    if not len(some):
        return images
    side = images.shape[-1]
    small = F.interpolate(some, size=-(-side // 2), mode="area")
    large = F.interpolate(small, size=side, mode="bilinear", align_corners=False)
    return images.index_put((chosen,), large)


def _shaded(images: Tensor, stops: float, generator: torch.Generator) -> Tensor:
    """Let the light fall off along some direction, from brighter to darker than it was."""
    place = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    direction = _uniform(images, generator, 0, 2 * math.pi)
    slope = _uniform(images, generator, 0, stops)
    across, down = slope * direction.cos(), slope * direction.sin()
    return images * torch.exp2(across * place) * torch.exp2(down * place.view(-1, 1))


def _greyed(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Take the colour out of some images."""
    chosen = _uniform(images, generator, 0, 1) < probability
    luma = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return torch.where(chosen, (images * luma).sum(1, keepdim=True), images)


def _softened(images: Tensor, width: float, generator: torch.Generator) -> Tensor:
    """Blur half of the images, each by a Gaussian of its own that is not quite round."""
    side = images.shape[-1]
    softness = _uniform(images, generator, -1, 1).flatten()
    chosen = softness > 0
    some = images[chosen]
    if not len(some):
        return images
    place = torch.arange(side, device=images.device, dtype=images.dtype)
    apart = (place.view(-1, 1) - place) ** 2

    def spread(sd: Tensor) -> Tensor:
        weights = torch.exp(-0.5 * apart / sd.clamp(min=0.01).view(-1, 1, 1, 1) ** 2)
        return weights / weights.sum(-1, keepdim=True)

    sd = width * side * softness[chosen]
    down = spread(sd)
    across = spread(sd * _uniform(some, generator, 0.5, 1).flatten())
    return images.index_put((chosen,), down @ some @ across.transpose(2, 3))


def _rectangles(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Where a rectangle of up to half the side lies, in some images: bool (B, 1, S, S)."""
    side = images.shape[-1]
    place = torch.arange(side, device=images.device, dtype=images.dtype)

    def band() -> Tensor:
        length = side * _uniform(images, generator, 0.1, 0.5).view(-1, 1)
        start = (side - length) * _uniform(images, generator, 0, 1).view(-1, 1)
        return (place >= start) & (place < start + length)

    chosen = _uniform(images, generator, 0, 1) < probability
    return band().view(-1, 1, side, 1) & band().view(-1, 1, 1, side) & chosen
