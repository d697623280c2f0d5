"""200 hostile files: none crashes or hangs the work or leaves the folder; each has its reason."""

import io
import os
import struct
import zlib

import numpy as np
import pandas as pd
from PIL import Image

import facelab as fl

SIZE = 32


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def encoded(seed, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed)).save(buffer, kind)
    return buffer.getvalue()


def chunk(kind, body):
    whole = kind + body
    return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))


def png_bomb(side):
    """A few bytes that say they are a picture of side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def bmp_bomb(side):
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def text_bomb():
    """A PNG whose comment unpacks to 100 MB."""
    comment = chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(100_000_000)))
    whole = encoded(7, "PNG")
    return whole[:33] + comment + whole[33:]


def hostile_files(folder, outside):
    """Writes 200 files that must not be used; their number."""
    rng = np.random.default_rng(0)
    kinds = ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"]
    names = [f"{number}.{kinds[number % 6].lower()}" for number in range(140)]
    for number, name in enumerate(names):
        data = bytearray(encoded(number, kinds[number % 6]))
        if number < 60:  # a header of noise
            data[: 12 + number] = rng.bytes(12 + number)
        else:  # cut off
            data = data[: rng.integers(1, len(data) // 2)]
        (folder / name).write_bytes(data)
    for number in range(14):
        (folder / f"empty{number}.png").write_bytes(b"")
    for number in range(8):
        (folder / f"bomb{number}.png").write_bytes(png_bomb(10_001 + 20_000 * number))
        (folder / f"bomb{number}.bmp").write_bytes(bmp_bomb(10_001 + 2_000 * number))
    (folder / "comment.png").write_bytes(text_bomb())
    for number in range(8):
        (folder / f"link{number}.png").symlink_to(outside)
        (folder / f"folder{number}.png").mkdir()
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    odd = [b"two\nlines", b"\xff\xfe", b"tab\t", b"\xe2\x80\xae right to left", b"quote\"'", b" "]
    for name in [*odd, b"\x1b[31m red", b"..", b"%s%n", b"$(reboot)"]:
        with open(os.path.join(os.fsencode(folder), b"x" + name + b".png"), "wb") as file:
            file.write(b"no image " + name)
    return len(os.listdir(folder))


def test_two_hundred_hostile_files_are_set_aside_each_with_its_reason(tmp_path):
    good, bad = tmp_path / "photos" / "good", tmp_path / "photos" / "bad"
    good.mkdir(parents=True)
    bad.mkdir()
    outside = tmp_path / "secret.png"
    Image.fromarray(pixels(1000)).save(outside)
    for number in range(3):
        Image.fromarray(pixels(2000 + number)).save(good / f"{number}.png")
    count = hostile_files(bad, outside)
    assert count == 200
    before = sorted(os.listdir(os.fsencode(bad)))
    faces = fl.prepare(tmp_path / "photos", tmp_path / "out", size=SIZE, jobs=1, set_aside=True)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects.parquet")
    assert faces.table["image"].tolist() == [f"good/{number}.png" for number in range(3)]
    assert len(rejects) == count
    assert rejects["image"].is_unique
    assert rejects["reason"].str.startswith("it ").all()
    assert not rejects["reason"].str.contains(str(tmp_path), regex=False).any()
    reason = rejects.set_index("image")["reason"]
    assert reason["bad/link0.png"] == "it is a link that leaves the folder"
    assert reason["bad/device.png"] == "it is a link that leaves the folder"
    assert reason["bad/pipe.png"] == "it is not a file"
    assert (
        reason["bad/bomb0.png"] == reason["bad/bomb7.bmp"] == "it has more than 100,000,000 pixels"
    )
    assert "bad/x\\xff\\xfe.png" in reason.index
    assert "bad/xtwo\nlines.png" in reason.index
    assert sorted(os.listdir(os.fsencode(bad))) == before
    assert sorted(os.listdir(tmp_path)) == ["out", "photos", "secret.png"]
