"""Changes to training images: each does what it says, to whom it says, by as much as it says."""

import dataclasses
import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.errors import BadInput
from facelab.training.augment import Chance, augment, generator_of, resampling
from facelab.training.jpeg import through_jpeg
from facelab.training.recipe import Augmentation, Recipe

OFF = Augmentation(**{field.name: 0.0 for field in dataclasses.fields(Augmentation)})


def some_images(count: int = 64, side: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    images = 0.2 + 0.6 * torch.rand(count, 3, side, side, generator=generator)
    return images.contiguous(memory_format=torch.channels_last)


def augmented(
    images: torch.Tensor, recipe: Augmentation, seed: int = 0, part: slice = slice(None)
) -> torch.Tensor:
    chance = Chance(generator_of(seed, 0), len(images), part)
    others = images.roll(len(images) // 2, 0)
    return augment(images[part], recipe, chance, others[part])


def test_augmentation_switched_off_changes_nothing():
    images = some_images()
    assert torch.equal(augmented(images, OFF), images)


@pytest.mark.parametrize("moving", [0.0, 1e-7])
def test_flip_mirrors_the_asked_share_of_the_images_and_nothing_else(moving):
    images = some_images(400)
    recipe = dataclasses.replace(OFF, flip=0.5, rotate=moving)
    changed = augmented(images, recipe)
    same = (changed - images).abs().amax(dim=(1, 2, 3)) < 1e-4
    mirrored = (changed - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.float().mean() < 0.6


def test_shift_moves_by_at_most_the_given_share_of_the_side():
    side = 40
    images = torch.zeros(200, 3, side, side)
    images[:, :, 20, 20] = 1
    recipe = dataclasses.replace(OFF, shift=0.1)
    changed = augmented(images, recipe).sum(1)
    place = torch.arange(side).float()
    across = (changed.sum(1) * place).sum(1) / changed.sum((1, 2))
    moved = across - 20
    assert moved.abs().max() <= 0.1 * side + 0.01
    assert moved.abs().max() > 0.08 * side
    assert abs(moved.mean()) < 0.6


def test_brightness_multiplies_and_contrast_keeps_the_mean():
    images = some_images()
    brighter = augmented(images, dataclasses.replace(OFF, brightness=0.2))
    ratio = brighter / images
    assert (ratio.amax((1, 2, 3)) - ratio.amin((1, 2, 3))).max() < 1e-4
    assert 0.8 <= ratio.min() < 0.85 < 1.15 < ratio.max() <= 1.2
    flatter = augmented(images, dataclasses.replace(OFF, contrast=0.2))
    torch.testing.assert_close(flatter.mean((1, 2, 3)), images.mean((1, 2, 3)))
    assert (flatter.std((1, 2, 3)) / images.std((1, 2, 3)) - 1).abs().max() <= 0.2 + 1e-5


def test_stretch_changes_the_width_and_not_the_height():
    side = 40
    images = torch.zeros(200, 3, side, side)
    images[:, :, 10:30, 10:30] = 1
    recipe = dataclasses.replace(OFF, stretch=0.2)
    changed = augmented(images, recipe)[:, 0]
    wide, high = changed.sum(2)[:, 20], changed.sum(1)[:, 20]
    torch.testing.assert_close(high, torch.full((200,), 20.0))
    assert 20 / 1.2 - 0.1 <= wide.min() < 17.2 and 24.2 < wide.max() <= 20 / 0.8 + 0.1


def test_tone_keeps_black_white_and_the_order_between():
    ramp = torch.linspace(0, 1, 32).expand(300, 3, 32, 32)
    changed = augmented(ramp, dataclasses.replace(OFF, tone=1.0))
    assert (changed[..., 0] == 0).all() and (changed[..., -1] == 1).all()
    assert (changed.diff(dim=3) > 0).all()
    power = changed[:, 0, 0, 16].log() / ramp[:, 0, 0, 16].log()
    assert 0.5 - 1e-4 <= power.min() < 0.52 and 1.95 < power.max() <= 2 + 1e-4


def test_shade_lets_the_light_fall_off_evenly_in_every_direction():
    images = torch.full((400, 3, 33, 33), 0.25)
    changed = augmented(images, dataclasses.replace(OFF, shade=1.0))
    assert torch.allclose(changed[:, :, 16, 16], images[:, :, 16, 16])
    across = (changed[:, 0, 16, -1] / changed[:, 0, 16, 0]).log2() / 2
    down = (changed[:, 0, -1, 16] / changed[:, 0, 0, 16]).log2() / 2
    stops = torch.hypot(across, down)
    assert stops.max() <= 1 + 1e-4 and stops.max() > 0.95 and stops.min() < 0.05
    quarters = (across > 0).int() * 2 + (down > 0).int()
    assert torch.bincount(quarters).min() > 60


def test_grey_takes_the_colour_of_the_asked_share_and_leaves_the_others():
    images = some_images(400)
    changed = augmented(images, dataclasses.replace(OFF, grey=0.3))
    colourless = (changed == changed[:, :1]).all(dim=(1, 2, 3))
    assert 0.2 < colourless.float().mean() < 0.4
    assert torch.equal(changed[~colourless], images[~colourless])
    luma = (images * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    torch.testing.assert_close(changed[colourless][:, 0], luma[colourless])


def test_soften_spreads_a_point_of_half_of_the_images_by_at_most_the_given_share():
    side = 48
    images = torch.zeros(300, 3, side, side)
    images[:, :, 24, 24] = 1
    recipe = dataclasses.replace(OFF, soften=0.05)
    changed = augmented(images, recipe)[:, 1]
    sharp = changed[:, 24, 24] == 1
    assert 0.4 < sharp.float().mean() < 0.6
    torch.testing.assert_close(changed.sum((1, 2)), torch.ones(300))
    square = (torch.arange(side) - 24.0) ** 2
    down = (changed.sum(2) @ square).sqrt()
    across = (changed.sum(1) @ square).sqrt()
    assert 0.9 * 0.05 * side < down.max() <= 0.05 * side + 1e-3
    assert (across <= down + 1e-3).all()


def test_covering_shows_a_rectangle_of_another_image_of_the_batch():
    images = some_images(300)
    changed = augmented(images, dataclasses.replace(OFF, cover=0.5))
    covered = (changed != images).all(dim=1)
    assert covered.any(2).sum(1).max() <= 13 and covered.any(1).sum(1).max() <= 13
    assert 0.4 < covered.any(dim=(1, 2)).float().mean() < 0.6
    shown = torch.where(covered.unsqueeze(1), images.roll(150, 0), images)
    assert torch.equal(changed, shown)


def test_blur_touches_the_asked_share_and_keeps_the_mean():
    images = some_images(400)
    changed = augmented(images, dataclasses.replace(OFF, blur=0.3))
    touched = (changed - images).abs().amax(dim=(1, 2, 3)) > 0
    assert 0.2 < touched.float().mean() < 0.4
    torch.testing.assert_close(changed.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.01, rtol=0)
    assert changed[touched].std() < 0.6 * images[touched].std()


def test_erasing_covers_one_grey_rectangle_of_at_most_half_the_side():
    images = some_images(300)
    changed = augmented(images, dataclasses.replace(OFF, erase=1.0))
    covered = (changed != images).all(dim=1)
    assert covered.any(2).sum(1).max() <= 13
    assert covered.any(1).sum(1).max() <= 13
    assert covered.any(dim=(1, 2)).float().mean() > 0.99
    for image, where in zip(changed[:20], covered[:20], strict=True):
        assert image[:, where].unique().numel() == 1


STRONG = Augmentation(
    **{
        "flip": 0.5,
        "shift": 0.2,
        "scale": 0.3,
        "rotate": 40,
        "stretch": 0.3,
        "brightness": 0.9,
        "contrast": 0.9,
        "colour": 0.5,
        "tone": 2,
        "shade": 2,
        "grey": 0.5,
        "blur": 0.5,
        "soften": 0.1,
        "noise": 0.5,
        "shrink": 0.9,
        "jpeg": 0.9,
        "erase": 0.5,
        "cover": 0.5,
    }
)


def test_strongly_augmented_images_stay_between_0_and_1_and_follow_the_seed():
    images = some_images()
    before = images.clone()
    first, again = augmented(images, STRONG, seed=5), augmented(images, STRONG, seed=5)
    assert torch.equal(images, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, augmented(images, STRONG, seed=6))
    assert first.min() >= 0 and first.max() <= 1


# ---- the same chance for any number of processes


def test_the_strong_recipe_makes_every_change():
    assert all(getattr(STRONG, field.name) for field in dataclasses.fields(Augmentation))


@pytest.mark.parametrize("name", [*dataclasses.asdict(STRONG), "all"])
def test_a_batch_in_parts_is_changed_as_the_whole_batch(name):
    images = some_images(12, 25)
    recipe = STRONG
    if name != "all":
        recipe = dataclasses.replace(OFF, **{name: getattr(STRONG, name)})
    whole = augmented(images, recipe)
    assert not torch.equal(whole, images)
    for cuts in ([0, 5, 12], range(13)):
        parts = [slice(a, b) for a, b in pairwise(cuts)]
        inside = torch.cat([augmented(images, recipe, part=part) for part in parts])
        torch.testing.assert_close(inside, whole, atol=1e-6, rtol=0)


def test_which_images_a_change_chooses_leaves_later_changes_alone():
    images = some_images(200)
    for name in ("grey", "blur", "jpeg"):
        few, many = (
            augmented(images, dataclasses.replace(OFF, erase=0.5, **{name: share}))
            for share in (1e-9, 1.0)
        )
        covered = (few != images).all(dim=1, keepdim=True).expand_as(few)
        assert covered.any()
        assert torch.equal(many[covered], few[covered]), name


def test_chance_is_uniform_or_normal_and_differs_between_images():
    chance = Chance(generator_of(1, 2), 300)
    uniform = chance.uniform(2, 5, channels=3)
    assert uniform.shape == (300, 3, 1, 1)
    assert 2 <= uniform.min() < 2.02 and 4.98 < uniform.max() <= 5
    assert abs(uniform.mean() - 3.5) < 0.1
    assert 0.1 < chance.happens(0.2).float().mean() < 0.3
    normal = chance.normal(3, 20, 20)
    assert normal.shape == (300, 3, 20, 20)
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    assert abs((normal**4).mean() - 3) < 0.3
    between = torch.corrcoef(normal.flatten(1)).fill_diagonal_(0)
    assert between.abs().mean() < 0.05


def test_each_step_and_seed_has_a_generator_of_its_own():
    seeds = {
        generator_of(seed, step).initial_seed()
        for seed in (0, 1, 2**32, 2**32 + 1)
        for step in range(500)
    }
    assert len(seeds) == 2000
    assert max(seeds) < 2**63 and max(seeds) > 2**62
    first, again = (torch.rand(4, generator=generator_of(7, 9)) for _ in range(2))
    assert torch.equal(first, again)


def test_cover_without_other_images_is_refused():
    chance = Chance(generator_of(0, 0), 64)
    with pytest.raises(BadInput, match=r"augment\.cover needs `others`"):
        augment(some_images(), dataclasses.replace(OFF, cover=0.1), chance)


# ---- down-scaling


@pytest.mark.parametrize("small", [1, 7, 16, 23, 39, 40])
def test_resampling_takes_means_of_areas_and_interpolates_as_pillow(small):
    image = np.random.default_rng(small).random((40, 40), np.float32)
    weights = resampling(torch.tensor([float(small)]), 40)[0]
    ours = (weights @ torch.from_numpy(image) @ weights.T).numpy()
    fine = image.repeat(small, 0).repeat(small, 1)
    down = fine.reshape(small, 40, small, 40).mean(axis=(1, 3))
    theirs = np.asarray(Image.fromarray(down).resize((40, 40), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_shrinking_makes_half_of_the_images_smaller_by_up_to_the_given_share():
    images = some_images(400, 40)
    changed = augmented(images, dataclasses.replace(OFF, shrink=0.5))
    touched = (changed != images).any(dim=(1, 2, 3))
    # Less than half a pixel lost is nothing lost.
    assert 0.4 < touched.float().mean() < 0.6
    known = torch.arange(20.0, 40)
    weights = resampling(known, 40)
    tried = torch.stack([(w @ images @ w.T - changed).abs().amax((1, 2, 3)) for w in weights])
    away, which = tried[:, touched].min(0)
    assert away.max() < 1e-5
    assert set(known[which].tolist()) >= set(range(22, 40))


# ---- JPEG


def face(size: int, seed: int) -> np.ndarray:
    """Smooth shapes with an edge and some noise, in colour: uint8 (size, size, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    light = np.stack([np.sin(5 * x + 3 * y), np.cos(4 * y), x * y], -1) * 90 + 120
    light[(x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06] += [40, -30, 20]
    return np.clip(light + random.normal(0, 6, light.shape), 0, 255).astype(np.uint8)


def through_a_file(image: np.ndarray, quality: int, halved: bool) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=2 if halved else 0)
    return np.asarray(Image.open(file)).astype(float)


def as_batch(pictures: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("size", [8, 17, 24, 32, 49, 56, 112])
def test_jpeg_leaves_what_libjpeg_leaves(size, halved):
    qualities = [5, 20, 30, 49, 50, 51, 75, 90, 100]
    pictures = [face(size, quality) for quality in qualities]
    ours = through_jpeg(as_batch(pictures), torch.tensor(qualities), halved)
    ours = ours.permute(0, 2, 3, 1).numpy() * 255
    for mine, picture, quality in zip(ours, pictures, qualities, strict=True):
        theirs = through_a_file(picture, quality, halved)
        # A number half way between two steps may be rounded the other way, which shows as a
        # pattern over one block, as faint as the step is.
        assert np.abs(mine - theirs).mean() < 1, quality
        assert abs((mine - theirs).mean()) < 0.3, quality
        lost = np.abs(theirs - picture).mean()
        assert np.abs(mine - picture).mean() == pytest.approx(lost, rel=0.05, abs=0.1)


def test_jpeg_touches_the_asked_share_at_qualities_from_20_to_90_in_both_ways():
    pictures = [face(16, number) for number in range(200)]
    images = as_batch(pictures)
    changed = augmented(images, dataclasses.replace(OFF, jpeg=0.6))
    touched = (changed != images).any(dim=(1, 2, 3))
    assert 0.5 < touched.float().mean() < 0.7
    images, changed = images[touched], changed[touched]
    # Each is what some quality and way leave of it; qualities near each other can leave the same.
    found = []
    for halved in (False, True):
        for quality in range(20, 91):
            tried = through_jpeg(images, torch.full((len(images),), quality), halved)
            same = (tried - changed).abs().amax((1, 2, 3)) < 1e-5
            found.append(torch.where(same, quality + 100 * halved, 0))
    found = torch.stack(found).amax(0)
    assert (found > 0).all()
    assert 0.3 < (found > 100).float().mean() < 0.7
    quality = found % 100
    assert quality.min() < 25 and quality.max() > 85
    assert 50 < quality.float().mean() < 60


@pytest.mark.parametrize("name, value", [("jpeg", 1.1), ("shrink", 1.0), ("shrink", -0.1)])
def test_a_share_out_of_range_is_refused(name, value):
    with pytest.raises(BadInput, match=f"augment.{name} must be"):
        Recipe.from_dict({"augment": {name: value}})
