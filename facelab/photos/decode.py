"""An image file's bytes as pixels.

In: bytes from anywhere. Out: upright sRGB, or the reason why there is none: whatever a decoder
makes of damaged or hostile bytes, it is one sentence.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from facelab.datasets.walking import HEIF_EXTRA, heif_is_read
from facelab.errors import BadInput, Unusable
from facelab.photos.profiles import in_srgb

MAX_PIXELS = 100_000_000
UNUSED_PROFILE = "a colour profile that cannot be used: their colours were taken for sRGB's"
# How files of other kinds begin (ISO base media files say their brand from byte 8 on).
_BEGINNINGS = {
    b"FUJIFILMCCD-RAW": "a camera's raw file",
    b"FOVb": "a camera's raw file",
    b"IIRO": "a camera's raw file",
    b"IIRS": "a camera's raw file",
    b"MMOR": "a camera's raw file",
    b"IIU\x00": "a camera's raw file",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL picture",
    b"II\xbc\x01": "a JPEG XR picture",
    b"v/1\x01": "an OpenEXR picture",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript drawing",
    b"\xc5\xd0\xd3\xc6": "a PostScript drawing",
    b"\xd7\xcd\xc6\x9a": "a Windows drawing",
    b"\x1aE\xdf\xa3": "a video",
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif")
_AVIF_BRANDS = (b"avif", b"avis")
# All that is opened. Others are left out: EPS and WMF would start another program, IPTC opens what
# it holds as whatever that is, and of some Pillow knows only the beginning.
FORMATS = (
    *("AVIF", "BLP", "BMP", "CUR", "DCX", "DDS", "DIB", "FITS", "FLI", "FTEX", "GBR", "GIF"),
    *("HEIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MPO", "MSP", "PCD", "PCX", "PIXAR", "PNG"),
    *("PPM", "PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
_DNG_VERSION, _SUBFILE_TYPE = 50706, 254  # tags of TIFF


def decode(data: bytes, remarks: list[str] | None = None) -> np.ndarray:
    """An image file's bytes as uint8 (H, W, 3) sRGB, upright as its EXIF orientation says.

    Grayscale, palette, CMYK and 16-bit images are converted, and so are the colours of an embedded
    profile; transparent ones are laid on white; of an animation the first picture is taken. HEIC
    needs the `heic` extra. A profile that is damaged is passed over, as browsers do, and a sentence
    on it goes into `remarks`.

    Raises
    ------
    Unusable
        The bytes are not a whole image of at most 100 million pixels.
    """
    return decode_reduced(data, remarks=remarks)[0]


def decode_reduced(
    data: bytes, least: int | None = None, remarks: list[str] | None = None
) -> tuple[np.ndarray, int]:
    """An image as `decode` gives it, or a JPEG at a half, a quarter or an eighth of its size.

    A JPEG's blocks hold their own averages: of a phone's photo of 12 million pixels the half takes
    a fifth of the time.

    Parameters
    ----------
    data
        The file's bytes; all of them are read, and damage anywhere is noticed.
    least
        The shorter side of what is wanted, in pixels; None: the whole image.
    remarks
        Where sentences go on what is not as it should be and yet no reason to lose the image.

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
            image = _opened(data)
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            width = image.width
            if least is not None:
                image.draft(None, (least, least))
            image.load()
            factor, profile = round(width / image.width), image.info.get("icc_profile")
            told = [] if remarks is None else remarks
            return _rgb(ImageOps.exif_transpose(image), profile, told), factor
        except UnidentifiedImageError:
            raise _another_kind(data) from None
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


def _opened(data: bytes) -> Any:
    """The image, not yet loaded; refused where all that could be read is a small preview."""
    from PIL import Image

    if data[4:8] == b"ftyp" and _brands(data) & set(_HEIF_BRANDS) and heif_is_read():
        from pillow_heif import register_heif_opener

        register_heif_opener()
    Image.init()  # all of Pillow's kinds are known then; which there are differs by its build
    known = [kind for kind in FORMATS if kind in Image.OPEN]
    known = [kind for kind in known if kind != "HEIF" or heif_is_read()]
    image = Image.open(io.BytesIO(data), formats=known)
    if image.format == "TIFF":
        tags = image.tag_v2
        if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1 or data[8:10] == b"CR":
            raise _not_read("a camera's raw file")
    return image


def _brands(data: bytes) -> set[bytes]:
    """The brands that an ISO base media file says it is of."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12], *(data[start : start + 4] for start in range(16, end, 4))}


def _another_kind(data: bytes) -> Unusable:
    """What bytes are that no decoder knows."""
    if data[4:8] == b"ftyp":
        brands = _brands(data)
        if brands & set(_HEIF_BRANDS) and not brands & set(_AVIF_BRANDS):
            if heif_is_read():
                return Unusable("it is a HEIC photo that is damaged")
            return Unusable(f"it is a HEIC photo, which needs {HEIF_EXTRA}")
        if brands & set(_AVIF_BRANDS):
            return Unusable(
                "it is an AVIF photo, which this Pillow was built without", "install Pillow's wheel"
            )
        return _not_read("a camera's raw file" if b"crx " in brands else "a video")
    kind = next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), None)
    return _not_read(kind) if kind else Unusable("it is not an image")


def _not_read(kind: str) -> Unusable:
    return Unusable(f"it is {kind}, which is not read", "export it as JPEG or PNG")


def _rgb(image: Any, profile: bytes | None, remarks: list[str]) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Unusable("its pixels have more than 16 bits")
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise Unusable("its pixels are floating-point numbers of no stated range")
    if image.has_transparency_data:
        gray = image.mode in ("1", "L", "LA", "La")
        image = image.convert("LA" if gray else "RGBA")
    elif image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    try:
        image = in_srgb(image, profile)
    except BadInput:
        remarks.append(UNUSED_PROFILE)
    if image.mode in ("LA", "RGBA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))
