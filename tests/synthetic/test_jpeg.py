"""The compiled JPEG against libjpeg's: the same picture comes back, to rounding."""

import io

import numpy as np
import pytest
from PIL import Image

from facelab.synthetic.jpeg import through_jpeg


def picture(size, seed=0):
    """Smooth shapes with an edge and some noise, in colour."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    light = np.stack([np.sin(5 * x + 3 * y), np.cos(4 * y), x * y], -1) * 90 + 120
    light[(x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06] += [40, -30, 20]
    return np.clip(light + random.normal(0, 6, light.shape), 0, 255).astype(np.uint8)


def through_a_file(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("size", [32, 49, 112, 200])
@pytest.mark.parametrize("quality", [1, 8, 30, 50, 75, 92, 97, 100])
def test_as_libjpeg(size, quality):
    image = picture(size)
    ours, theirs = through_jpeg(image, quality).astype(int), through_a_file(image, quality)
    away = np.abs(ours - theirs)
    # Where a number lies half way between two steps, libjpeg's whole-number transform may round it
    # the other way: a pattern over one block, as faint as the step is.
    assert away.mean() < 0.7
    assert (away > 1).mean() < 0.13
    assert abs((ours - theirs).mean()) < 0.3
    lost = np.abs(theirs - image.astype(int)).mean()
    assert np.abs(ours - image.astype(int)).mean() == pytest.approx(lost, rel=0.02, abs=0.02)


def test_the_picture_itself_is_left_alone():
    image = picture(64)
    before = image.copy()
    through_jpeg(image, 10)
    np.testing.assert_array_equal(image, before)


def test_edges_are_clamped():
    image = np.zeros((48, 48, 3), np.uint8)
    image[::2] = 255
    ours = through_jpeg(image, 40)
    assert np.abs(ours.astype(int) - through_a_file(image, 40)).max() <= 3
