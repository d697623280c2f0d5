"""An image file's bytes as pixels.

In: bytes from anywhere. Out: upright RGB, or the reason why there is none: whatever a decoder makes
of damaged or hostile bytes, it is one sentence.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from facelab.errors import Unusable

MAX_PIXELS = 100_000_000


def decode(data: bytes) -> np.ndarray:
    """An image file's bytes as uint8 (H, W, 3) RGB, upright as its EXIF orientation says.

    Grayscale, palette, CMYK and 16-bit images are converted; transparent ones are laid on white;
    of an animation the first picture is taken.

    Raises
    ------
    Unusable
        The bytes are not a whole image of at most 100 million pixels.
    """
    return decode_reduced(data)[0]


def decode_reduced(data: bytes, least: int | None = None) -> tuple[np.ndarray, int]:
    """An image as `decode` gives it, or a JPEG at a half, a quarter or an eighth of its size.

    A JPEG's blocks hold their own averages: of a phone's photo of 12 million pixels the half takes
    a fifth of the time.

    Parameters
    ----------
    data
        The file's bytes; all of them are read, and damage anywhere is noticed.
    least
        The shorter side of what is wanted, in pixels; None: the whole image.

    Returns
    -------
    image, factor
        uint8 (H, W, 3), its shorter side at least `least` or the image's own; and by how much the
        image is larger: 1, 2, 4 or 8.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise Unusable("it is empty (zero bytes)")
    with warnings.catch_warnings(), _whole_images_only():
        # Pillow tells of odd metadata by the thousand; what cannot be used is said in one sentence.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data))
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            width = image.width
            if least is not None:
                image.draft(None, (least, least))
            image.load()
            return _rgb(ImageOps.exif_transpose(image)), round(width / image.width)
        except UnidentifiedImageError:
            raise Unusable("it is not an image") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise Unusable(f"it has more than {MAX_PIXELS:,} pixels") from None
        except Unusable:
            raise
        except Exception as error:
            # Decoders raise anything from struct.error to SyntaxError on damaged bytes.
            raise Unusable(f"it is truncated or damaged ({error})") from None


@contextlib.contextmanager
def _whole_images_only() -> Iterator[None]:
    """Pillow's strictness whatever the rest of the process has asked for."""
    from PIL import Image, ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, MAX_PIXELS
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before


def _rgb(image: Any) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Unusable("its pixels have more than 16 bits")
        gray = ((values + 128) // 257).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode == "F":
        raise Unusable("its pixels are floating-point numbers of no stated range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))
