"""Every kind of picture: what Pillow opens is read, what nothing reads is named and counted."""

import io
import struct

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.datasets import walking
from facelab.errors import Unusable
from facelab.photos.decode import decode

SIZE = 32
# What Pillow lists and cannot decode itself, or not as a picture of somebody.
NOT_PICTURES = {
    *(".eps", ".ps", ".wmf", ".emf"),  # drawings, handed to other programs
    *(".bufr", ".grib", ".h5", ".hdf"),  # data, which it only names
    *(".mpg", ".mpeg"),  # videos, which it only names
}


def pixels(seed, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_all_that_pillow_opens_is_taken_for_a_photo():
    Image.init()
    opened = {
        suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN
    }
    opened -= {".heic", ".heics", ".heif", ".heifs", ".hif"}  # where the extra was used before
    assert opened - NOT_PICTURES == walking.PICTURES & opened
    assert {".pgm", ".ppm", ".pbm", ".pnm", ".jp2", ".j2k", ".webp", ".tif", ".bmp"} <= opened


LOSSLESS = {
    "ppm": ("PPM", "RGB", {}),
    "pgm": ("PPM", "L", {}),
    "pbm": ("PPM", "1", {}),
    "pnm": ("PPM", "RGB", {}),
    "jp2": ("JPEG2000", "RGB", {}),
    "j2k": ("JPEG2000", "RGB", {"no_jp2": True}),
    "webp": ("WEBP", "RGB", {"lossless": True}),
    "tif": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "TIFF": ("TIFF", "L", {}),
    "bmp": ("BMP", "RGB", {}),
    "tga": ("TGA", "RGB", {}),
    "pcx": ("PCX", "RGB", {}),
    "sgi": ("SGI", "RGB", {}),
    "gif": ("GIF", "L", {}),
    "apng": ("PNG", "RGB", {}),
    "PNG": ("PNG", "RGB", {}),
}


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_a_picture_of_any_kind_comes_through_whole(tmp_path, suffix):
    kind, mode, options = LOSSLESS[suffix]
    image = Image.fromarray(pixels(1)).convert(mode)
    (tmp_path / "set" / "ada").mkdir(parents=True)
    (tmp_path / "set" / "ada" / f"1.{suffix}").write_bytes(encoded(image, kind, **options))
    faces = fl.prepare(tmp_path / "set", tmp_path / "out", size=SIZE, jobs=1)
    np.testing.assert_array_equal(faces.crops[0], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("most", [255, 1023, 4095, 65535])
def test_a_pgm_of_any_depth_keeps_its_shades(most):
    shades = np.arange(256).reshape(16, 16)
    deep = np.round(shades / 255 * most).astype(">u2" if most > 255 else "u1")
    data = b"P5 16 16 %d\n" % most + deep.tobytes()
    assert np.abs(decode(data)[..., 0].astype(int) - shades).max() <= (0 if most != 1023 else 1)
    plain = b"P2 16 16 %d\n" % most + b" ".join(b"%d" % value for value in deep.ravel())
    np.testing.assert_array_equal(decode(plain), decode(data))


def test_a_ppm_of_sixteen_bits_keeps_its_colours():
    data = b"P6 32 32 65535\n" + (pixels(2).astype(">u2") * 257).tobytes()
    np.testing.assert_array_equal(decode(data), pixels(2))


def test_a_layered_file_is_seen_as_its_maker_saw_it():
    """A PSD holds the picture of all layers together, raw, after four empty sections."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, SIZE, SIZE, 8, 3)
    data = head + bytes(12) + bytes(2) + pixels(3).transpose(2, 0, 1).tobytes()
    np.testing.assert_array_equal(decode(data), pixels(3))


def test_avif_is_read_where_pillow_was_built_with_it():
    data = encoded(Image.new("RGB", (64, 64), (200, 120, 90)), "AVIF", quality=95)
    assert np.abs(decode(data)[30, 30] - [200.0, 120, 90]).max() <= 4


@pytest.fixture
def heic():
    from pillow_heif import from_pillow

    buffer = io.BytesIO()
    from_pillow(Image.new("RGB", (64, 64), (200, 120, 90))).save(buffer, quality=90)
    return buffer.getvalue()


def test_heic_is_read_with_its_extra(heic):
    assert np.abs(decode(heic)[30, 30] - [200.0, 120, 90]).max() <= 4
    with pytest.raises(Unusable, match="damaged"):
        decode(heic[:300])


def test_without_its_extra_heic_is_named_and_its_people_counted(heic, tmp_path, monkeypatch):
    from PIL import Image as pillow

    monkeypatch.setattr(walking, "heif_is_read", lambda: False)
    monkeypatch.setattr("facelab.datasets.reader.heif_is_read", lambda: False)
    monkeypatch.setattr("facelab.photos.decode.heif_is_read", lambda: False)
    monkeypatch.setattr(pillow, "ID", [kind for kind in pillow.ID if kind != "HEIF"])
    for who in ("ada", "bea"):
        (tmp_path / "set" / who).mkdir(parents=True)
        (tmp_path / "set" / who / "1.HEIC").write_bytes(heic + who.encode())
    Image.fromarray(pixels(0)).save(tmp_path / "set" / "bea" / "2.png")
    read = fl.datasets.folder(tmp_path / "set")
    assert read.notes[0].startswith("1 of 2 people have no usable photo")
    assert "2 of 3 photos, of 2 people, cannot be read" in read.notes[1]
    assert "pip install 'facelab[heic]'" in read.notes[1]
    with pytest.raises(fl.BadInput, match=r"1 of 2 people .* needs the `heic` extra: pip install"):
        fl.prepare(read, tmp_path / "out", size=SIZE)
    faces = fl.prepare(read, tmp_path / "out", size=SIZE, set_aside=True)
    assert faces.card["failure_to_acquire"]["subjects_lost"] == 1
    assert faces.card["notes"][0].startswith("1 of 2 people have no usable photo")


@pytest.mark.parametrize("suffix", ["cr2", "NEF", "dng", "arw", "mp4", "MOV", "jxl", "xcf"])
def test_a_photo_that_nothing_reads_is_counted_with_its_person(tmp_path, suffix):
    (tmp_path / "set" / "ada").mkdir(parents=True)
    (tmp_path / "set" / "bea").mkdir()
    Image.fromarray(pixels(0)).save(tmp_path / "set" / "bea" / "1.png")
    # As cameras write it: what Pillow would read is a small preview.
    Image.fromarray(pixels(1)).save(tmp_path / "set" / "ada" / f"1.{suffix}", "TIFF")
    read = fl.datasets.folder(tmp_path / "set")
    assert read.notes[0].startswith("1 of 2 people have no usable photo (all are of kinds that")
    assert f"(.{suffix.lower()}) 1" in read.notes[1]
    faces = fl.prepare(read, tmp_path / "out", size=SIZE, set_aside=True)
    assert faces.table["subject"].tolist() == ["bea"]
    assert faces.card["failure_to_acquire"]["subjects_lost"] == 1
    reason = pd.read_parquet(tmp_path / "out" / "rejects.parquet")["reason"][0]
    assert reason.endswith("which is not read")


def test_a_video_of_gigabytes_is_not_read_to_be_refused(tmp_path):
    (tmp_path / "set" / "ada").mkdir(parents=True)
    Image.fromarray(pixels(0)).save(tmp_path / "set" / "ada" / "1.png")
    with (tmp_path / "set" / "ada" / "2.mp4").open("wb") as file:
        file.truncate(200_000_000_000)
    faces = fl.prepare(tmp_path / "set", tmp_path / "out", size=SIZE, set_aside=True)
    assert len(faces) == 1


def raw_preview(**tags):
    """A TIFF as raw files begin: its first picture is a preview."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2()
    for number, value in tags.items():
        directory[int(number[1:])] = value
    return encoded(Image.fromarray(pixels(4)), "TIFF", tiffinfo=directory)


BEGINNINGS = {
    "a preview of a raw file": raw_preview(_254=1),
    "Adobe's raw format": raw_preview(_50706=b"\1\4\0\0"),
    "Canon's third raw format": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(50),
    "a video": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(50),
    "JPEG XL": b"\xff\x0a" + bytes(50),
    "a PDF": b"%PDF-1.7" + bytes(50),
    "a Fujifilm raw file": b"FUJIFILMCCD-RAW 0201" + bytes(50),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_bytes_of_another_kind_are_named_whatever_the_suffix(kind):
    with pytest.raises(Unusable, match=r"it is an? .*, which is not read"):
        decode(BEGINNINGS[kind])


def test_a_drawing_is_never_handed_to_another_program():
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(Unusable, match="a PostScript drawing"):
        decode(data)


def test_a_picture_with_several_sizes_or_pages_gives_the_first():
    pages = [Image.fromarray(pixels(seed)) for seed in (5, 6)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(decode(data), pixels(5))
