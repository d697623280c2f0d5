"""Embedded colour profiles: every photo is measured in sRGB's colours."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from facelab.photos import profiles
from facelab.photos.decode import decode, decode_reduced

# Primaries in XYZ, adapted to D50, by column: as the profiles of the field hold them.
SRGB = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
P3 = [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
ADOBE = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
ADOBE_CURVE = (563 / 256, 1.0, 0.0, 0.0, 0.0)
WHITE = (0.9642, 1.0, 0.8249)


def fixed(values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def tags_as_profile(space, connection, tags, kind=b"mntr"):
    """An ICC profile (ICC.1:2010, section 7) of its tags' bytes."""
    start, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", 0, b"lcms", 0x02400000, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(WHITE)
    whole = head.ljust(128, b"\0") + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def text(value):
    return b"desc" + bytes(4) + struct.pack(">I", len(value) + 1) + value + bytes(79)


def curve(numbers):
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + fixed(numbers)


def common(name):
    return {
        b"desc": text(name),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(WHITE),
    }


def of_primaries(primaries, numbers, name=b"made here"):
    columns = np.array(primaries).T
    tags = common(name)
    tags |= {
        mark + b"XYZ": b"XYZ " + bytes(4) + fixed(column)
        for mark, column in zip((b"r", b"g", b"b"), columns, strict=True)
    }
    tags |= {mark + b"TRC": curve(numbers) for mark in (b"r", b"g", b"b")}
    return tags_as_profile(b"RGB ", b"XYZ ", tags)


def of_gray(numbers):
    return tags_as_profile(b"GRAY", b"XYZ ", common(b"gray") | {b"kTRC": curve(numbers)})


def of_inks():
    """A CMYK profile whose lightness falls with the ink, without any hue: 16 corners in Lab."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4)
    light = 255 * np.clip(1 - corners @ [0.3, 0.3, 0.3, 0.9], 0, 1)
    lab = np.column_stack([light, np.full((16, 2), 128)]).round().astype(np.uint8).tobytes()
    straight = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(np.eye(3).ravel())
    table += straight * 4 + lab + straight * 3
    tags = common(b"inks") | {b"A2B0": table, b"A2B1": table}
    return tags_as_profile(b"CMYK", b"Lab ", tags, b"prtr")


def linear(values, numbers):
    gamma, a, b, c, least = numbers
    return np.where(values >= least, (a * values + b) ** gamma, c * values)


def expected(pixels, primaries, numbers):
    """sRGB's numbers of a profile's colours, by the definition."""
    light = linear(pixels / 255, numbers) @ np.array(primaries).T @ np.linalg.inv(SRGB).T
    light = np.clip(light, 0, 1)
    return 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Colours of skin and others that sRGB has too.
COLOURS = np.random.default_rng(0).integers(60, 200, (16, 16, 3)).astype(np.uint8)
COLOURS[..., 1] = COLOURS[..., 0] // 2 + COLOURS[..., 1] // 2
SPACES = {
    "Display P3": (P3, SRGB_CURVE),
    "Adobe RGB": (ADOBE, ADOBE_CURVE),
    "sRGB's primaries and gamma 1.8": (SRGB, (1.8, 1.0, 0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "AVIF"])
def test_colours_of_a_profile_become_those_of_srgb(space, kind):
    profile = of_primaries(*SPACES[space])
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    data = encoded(Image.fromarray(COLOURS), kind, icc_profile=profile, **options.get(kind, {}))
    difference = np.abs(decode(data) - expected(COLOURS, *SPACES[space]))
    assert difference.max() <= (12 if kind == "AVIF" else 1.5)
    assert np.abs(COLOURS - expected(COLOURS, *SPACES[space])).max() > 12


def test_a_skin_in_display_p3_has_the_tone_that_it_has_in_srgb():
    """Taken for sRGB's, P3's numbers make a face paler than it is."""
    skin = np.array([[[198, 134, 106]]], np.uint8)
    there = np.linalg.inv(P3) @ np.array(SRGB) @ linear(skin.ravel() / 255, SRGB_CURVE)
    stored = np.round(255 * (1.055 * there ** (1 / 2.4) - 0.055)).astype(np.uint8)
    picture = Image.fromarray(np.broadcast_to(stored, (64, 64, 3)).copy())
    profile = of_primaries(P3, SRGB_CURVE)
    for data in (
        encoded(picture, icc_profile=profile),
        encoded(picture, "JPEG", quality=100, subsampling=0, icc_profile=profile),
    ):
        assert np.abs(decode(data)[5, 5].astype(int) - skin.ravel()).max() <= 2


def test_a_reduced_jpeg_is_converted_too():
    flat = Image.new("RGB", (640, 640), (200, 120, 90))
    data = encoded(flat, "JPEG", quality=98, icc_profile=of_primaries(P3, SRGB_CURVE))
    small, factor = decode_reduced(data, 200)
    assert factor == 2
    wanted = expected(np.array([200, 120, 90]), P3, SRGB_CURVE)
    assert np.abs(small[100, 100] - wanted).max() <= 3


@pytest.mark.parametrize(
    "profile",
    [
        of_primaries(SRGB, SRGB_CURVE),
        of_primaries(SRGB, SRGB_CURVE, b"sRGB by another maker"),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=["plain", "another maker", "Pillow"],  # the last holds the second that it was made in
)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_srgb_under_any_name_changes_no_byte(profile, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    np.testing.assert_array_equal(
        decode(encoded(image, icc_profile=profile)), decode(encoded(image))
    )


def test_a_gray_profile_converts_the_shades_and_leaves_them_gray():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    wanted = expected(np.repeat(ramp[..., None], 3, 2), SRGB, (1.8, 1.0, 0.0, 0.0, 0.0))
    for image in (Image.fromarray(ramp), Image.fromarray(ramp.astype(np.uint16) * 257)):
        got = decode(encoded(image, icc_profile=of_gray((1.8, 1.0, 0.0, 0.0, 0.0))))
        assert (got == got[..., :1]).all()
        assert np.abs(got - wanted).max() <= 1.5
    same = decode(encoded(Image.fromarray(ramp), icc_profile=of_gray(SRGB_CURVE)))
    np.testing.assert_array_equal(same[..., 0], ramp)


def test_a_gray_photo_with_a_colour_profile_stays_gray():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    got = decode(encoded(Image.fromarray(ramp), icc_profile=of_primaries(ADOBE, ADOBE_CURVE)))
    assert (got == got[..., :1]).all()
    wanted = expected(np.repeat(ramp[..., None], 3, 2), SRGB, ADOBE_CURVE)
    assert np.abs(got - wanted).max() <= 1.5


def test_transparent_pixels_are_white_and_the_others_converted():
    alpha = np.where(COLOURS[..., 0] < 120, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.dstack([COLOURS, alpha]))
    got = decode(encoded(image, icc_profile=of_primaries(P3, SRGB_CURVE)))
    assert (got[alpha == 0] == 255).all()
    wanted = expected(COLOURS, P3, SRGB_CURVE)
    assert np.abs(got[alpha == 255] - wanted[alpha == 255]).max() <= 1.5


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_converted_by_their_profile(kind):
    """Of this printer's profile the lightness alone falls with the ink: gray, not cyan."""
    options = {"quality": 100} if kind == "JPEG" else {}
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    got = decode(encoded(cyan, kind, icc_profile=of_inks(), **options))[16, 16].astype(int)
    assert np.ptp(got) <= 3 and 160 <= got[0] <= 185  # L* of 70
    without = decode(encoded(cyan, kind, **options))[16, 16].astype(int)
    assert np.ptp(without) > 200


def test_colours_stored_as_lab_are_seen():
    lab = ImageCms.applyTransform(
        Image.fromarray(COLOURS),
        ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        ),
    )
    assert np.abs(decode(encoded(lab, "TIFF")).astype(int) - COLOURS).max() <= 5  # Lab of 8 bits


NOISE, SHORT = bytes(range(256)) * 4, of_primaries(P3, SRGB_CURVE)[:200]
UNFIT = [
    *((mode, profile) for mode in ("RGB", "L", "LA", "RGBA", "CMYK") for profile in (NOISE, SHORT)),
    *((mode, of_inks()) for mode in ("RGB", "L", "RGBA")),
    *((mode, of_gray(SRGB_CURVE)) for mode in ("RGB", "RGBA", "CMYK")),
    ("RGB", b""),
]


@pytest.mark.parametrize(("mode", "profile"), UNFIT)
def test_a_damaged_or_unfit_profile_loses_no_photo(mode, profile):
    image, kind = Image.fromarray(COLOURS).convert(mode), "TIFF" if mode == "CMYK" else "PNG"
    found = decode(encoded(image, kind, icc_profile=profile))
    np.testing.assert_array_equal(found, decode(encoded(image, kind)))


def test_damage_anywhere_in_a_profile_loses_no_photo():
    rng, image = np.random.default_rng(0), Image.fromarray(COLOURS[:4, :4])
    for profile in (of_primaries(P3, SRGB_CURVE), of_gray(SRGB_CURVE)):
        for _ in range(200):
            damaged = bytearray(profile)
            for place in rng.integers(0, len(damaged), 4):
                damaged[place] = rng.integers(256)
            for mode in ("RGB", "L"):
                data = encoded(image.convert(mode), icc_profile=bytes(damaged))
                assert decode(data).shape == (4, 4, 3)


def test_a_profile_is_read_once_for_all_photos_that_have_it(monkeypatch):
    profile = of_primaries(P3, SRGB_CURVE, b"once")
    data = encoded(Image.fromarray(COLOURS), icc_profile=profile)
    decode(data)
    monkeypatch.setattr(profiles, "_read", lambda profile: pytest.fail("read again"))
    decode(data)
