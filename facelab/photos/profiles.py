"""Colours in sRGB, whatever profile a photo was stored with.

In: a decoded image and its embedded ICC profile. Out: the same picture in sRGB's numbers, in which
skin tone is measured and every embedder was trained. What is in sRGB already stays as it is.
"""

import io
from functools import lru_cache
from typing import Any

import numpy as np

from facelab.errors import BadInput

_LARGEST = 8_000_000  # bytes; a printer's, the largest in use, has three millions
_SAME = 2  # levels by which profiles of one space differ by rounding


def in_srgb(image: Any, profile: bytes | None) -> Any:
    """An image converted from its profile's colours to sRGB, gray images by their shades.

    Modes L, LA, RGB, RGBA, CMYK and LAB; relative colorimetric with black point compensation, as
    browsers and Adobe's programs do.

    Raises
    ------
    BadInput
        The profile is damaged, or is not one for such an image.
    """
    from PIL import Image

    if image.mode == "LAB":
        return _converted(image, None)
    if not profile:
        return image
    if len(profile) > _LARGEST:
        raise BadInput(f"its colour profile has {len(profile):,} bytes")
    if image.mode in ("L", "LA"):
        shades = _shades(profile)
        if shades is None:
            return image
        gray, *alpha = image.split()
        gray = gray.point(shades)
        return Image.merge("LA", (gray, *alpha)) if alpha else gray
    if image.mode != "CMYK" and _is_srgb(profile):
        return image
    return _converted(image, profile)


def _converted(image: Any, profile: bytes | None) -> Any:
    from PIL import ImageCms

    wanted = "RGBA" if image.mode == "RGBA" else "RGB"
    return ImageCms.applyTransform(image, _transform(profile, image.mode, wanted))


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str, wanted: str) -> Any:
    """The way from a profile (None: Lab itself) to sRGB."""
    from PIL import ImageCms

    try:
        return ImageCms.buildTransform(
            ImageCms.createProfile("LAB") if profile is None else _read(profile),
            ImageCms.createProfile("sRGB"),
            mode,
            wanted,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError as error:
        raise BadInput(f"its colour profile is none for such a photo: {error}") from None


def _read(profile: bytes) -> Any:
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except OSError as error:
        raise BadInput(f"its colour profile is damaged: {error}") from None


@lru_cache(maxsize=16)
def _is_srgb(profile: bytes) -> bool:
    """Whether colours of a profile are sRGB's, tried on colours all over the cube."""
    from PIL import Image

    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3)
    there = np.asarray(_converted(Image.fromarray(cube), profile))
    return int(np.abs(there.astype(int) - cube).max()) <= _SAME


@lru_cache(maxsize=16)
def _shades(profile: bytes) -> list[int] | None:
    """What each shade of gray becomes; None where they are sRGB's."""
    from PIL import Image

    ramp = np.arange(256, dtype=np.uint8)[None]
    gray = Image.fromarray(ramp)
    mode = "L" if profile[16:20] == b"GRAY" else "RGB"  # ICC.1:2010, table 17
    there = np.asarray(_converted(gray.convert(mode), profile))[0, :, 1]
    if np.abs(there.astype(int) - ramp[0]).max() <= _SAME:
        return None
    return there.tolist()
