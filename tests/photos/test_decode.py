"""Decoding: every kind of image becomes upright RGB, and damage is one sentence."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from facelab.errors import Unusable
from facelab.photos.decode import decode, decode_reduced


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1)


def test_sixteen_bit_gray_keeps_its_full_range():
    for kind in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), kind)
        np.testing.assert_array_equal(decode(data), np.repeat(RAMP[..., None], 3, 2))


def test_gray_and_one_bit_become_three_equal_channels():
    np.testing.assert_array_equal(
        decode(encoded(Image.fromarray(RAMP))), np.repeat(RAMP[..., None], 3, 2)
    )
    one_bit = decode(encoded(Image.fromarray(RAMP > 127)))
    assert set(np.unique(one_bit)) == {0, 255}


def test_transparent_pixels_are_laid_on_white():
    alpha = np.where(RAMP < 128, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.dstack([COLOURS, alpha]))
    expected = np.where(RAMP[..., None] < 128, 255, COLOURS)
    np.testing.assert_array_equal(decode(encoded(image)), expected)


def test_palettes_with_and_without_transparency_are_looked_up():
    image = Image.fromarray(RAMP // 64, mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    assert decode(encoded(image))[0, 0].tolist() == [255, 0, 0]
    assert decode(encoded(image, transparency=0))[0, 0].tolist() == [255, 255, 255]
    assert decode(encoded(image, transparency=0))[-1, -1].tolist() == [9, 9, 9]


def test_cmyk_jpegs_come_out_in_their_colours():
    flat = Image.new("RGB", (32, 32), (200, 40, 90)).convert("CMYK")
    assert np.abs(decode(encoded(flat, "JPEG", quality=95))[0, 0] - [200.0, 40, 90]).max() <= 4


# How the picture that was stored must be turned to be seen upright (Exif 2.32, table 6).
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_turns_the_picture_upright(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = COLOURS[:12]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(stored), kind, exif=exif, **options)
    np.testing.assert_array_equal(decode(data), UPRIGHT[orientation](stored))


def test_sixteen_bit_colour_as_opencv_writes_it_keeps_its_full_range():
    import cv2

    deep = COLOURS.astype(np.uint16) * 257
    data = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode(data), COLOURS)


def test_transparent_gray_is_laid_on_white():
    alpha = np.where(RAMP % 2 == 0, 0, 255).astype(np.uint8)
    expected = np.where(RAMP % 2 == 0, 255, RAMP)
    data = encoded(Image.fromarray(np.dstack([RAMP, alpha]), mode="LA"))
    np.testing.assert_array_equal(decode(data), np.repeat(expected[..., None], 3, 2))


def smooth(height, width):
    y, x = np.mgrid[:height, :width] / 90
    return (127 + 100 * np.stack([np.sin(x), np.sin(y), np.cos(x + y)], axis=-1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("least", "factor"), [(None, 1), (400, 1), (200, 2), (150, 2), (60, 4), (50, 8)]
)
def test_a_reduced_jpeg_is_its_blocks_averages(least, factor):
    picture = smooth(400, 640)
    data = encoded(Image.fromarray(picture), "JPEG", quality=98, subsampling=0)
    small, found = decode_reduced(data, least)
    assert found == factor
    shape = (400 // factor, factor, 640 // factor, factor, 3)
    assert np.abs(small - picture.reshape(shape).mean(axis=(1, 3))).max() < 6


def test_a_reduced_jpeg_is_upright_and_whole():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = smooth(400, 640)
    data = encoded(Image.fromarray(picture), "JPEG", quality=98, subsampling=0, exif=exif)
    small, factor = decode_reduced(data, 200)
    expected = np.rot90(picture.reshape(200, 2, 320, 2, 3).mean(axis=(1, 3)), -1)
    assert (small.shape, factor) == ((320, 200, 3), 2)
    assert np.abs(small - expected).max() < 6
    for end in (-1, -5, -1000):
        with pytest.raises(Unusable):
            decode_reduced(data[:end], 200)
    assert decode_reduced(encoded(Image.fromarray(picture)), 50)[1] == 1


def test_a_reduced_cmyk_jpeg_keeps_its_colours():
    flat = Image.new("RGB", (640, 640), (200, 40, 90)).convert("CMYK")
    small, factor = decode_reduced(encoded(flat, "JPEG", quality=95), 300)
    assert factor == 2
    assert np.abs(small[0, 0] - [200.0, 40, 90]).max() <= 4


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_picture_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


def test_every_truncation_of_a_jpeg_is_noticed(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as some libraries set it
    noise = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", quality=90)
    for length in range(len(data)):
        with pytest.raises(Unusable):
            decode(data[:length])
    assert decode(data).shape == (32, 32, 3)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_decompression_bombs_are_refused_before_they_are_unpacked():
    import struct
    import zlib

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    for side in (10_001, 100_000):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        data = (
            b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        )
        with pytest.raises(Unusable, match="more than 100,000,000 pixels"):
            decode(data)


def test_damaged_bytes_never_raise_anything_else():
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 3
    originals = [
        encoded(Image.fromarray(COLOURS), kind, **more)
        for kind, more in [
            ("JPEG", {"exif": exif}),
            ("PNG", {"exif": exif}),
            ("GIF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("WEBP", {"exif": exif}),
            ("BMP", {}),
        ]
    ]
    refused = 0
    for _ in range(300):
        data = bytearray(originals[rng.integers(len(originals))])
        for place in rng.integers(0, min(len(data), 200), 4):
            data[place] = rng.integers(256)
        try:
            assert decode(bytes(data)).dtype == np.uint8
        except Unusable:
            refused += 1
    assert refused > 50
