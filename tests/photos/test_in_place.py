"""Crops that stay where they lie: the pixels that `prepare` would make, and every loss told."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image
from training_sets import TINY

import facelab as fl
from facelab.errors import BadInput

SIZE = 32


def crop(seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    return np.clip(coarse + rng.normal(0, 9, coarse.shape), 0, 255).astype(np.uint8)


def image(seed, kind="jpeg", **how):
    file = io.BytesIO()
    Image.fromarray(crop(seed)).save(file, kind, **how)
    return file.getvalue()


def turned(seed):
    """A photo that lies on its side and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return image(seed, exif=exif)


def other_modes(seed):
    """Grey, with a palette, transparent: what a plain decoder would read wrongly or not at all."""
    grey = Image.fromarray(crop(seed)).convert(["L", "P", "RGBA"][seed % 3])
    if grey.mode == "RGBA":
        grey.putalpha(128)
    grey.save(file := io.BytesIO(), "png")
    return file.getvalue()


def shard(path, samples):
    """A tar file of (name, data) members."""
    with tarfile.open(path, "w") as tar:
        for name, data in samples:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def shards(tmp_path):
    """Two shards of six images of three people: plain, turned and odd ones."""
    made = [image(0), image(1, "png"), turned(2), other_modes(3), other_modes(4), other_modes(5)]
    for part in range(2):
        members = []
        for number in range(3 * part, 3 * part + 3):
            members += [
                (f"{number:04d}.jpg", made[number]),
                (f"{number:04d}.cls", b"%d" % (number // 2)),
            ]
        shard(tmp_path / f"train-{part}.tar", members)
    return tmp_path


def test_they_are_what_prepare_makes_of_them(shards, tmp_path):
    reader = fl.datasets.webdataset(shards)
    made = fl.prepare(reader, tmp_path / "made", size=SIZE)
    lying = fl.open_crops(reader, size=SIZE)
    assert (lying.crops == made.crops).all()
    assert lying.table.equals(made.table)
    same = ("failure_to_acquire", "duplicates", "single_image_subjects", "source", "notes")
    assert {key: lying.card[key] for key in same} == {key: made.card[key] for key in same}
    stored = fl.load(lying.save(tmp_path / "stored"))
    assert (stored.crops == made.crops).all()
    assert stored._store.source.encoded(0) == image(0)  # the very bytes


def test_a_folder_of_people_is_opened_where_it_is(tmp_path):
    for who in "ab":
        (tmp_path / who).mkdir()
        (tmp_path / who / "1.jpg").write_bytes(image(ord(who)))
    faces = fl.open_crops(tmp_path, size=SIZE)
    assert faces.table["subject"].tolist() == ["a", "b"]
    assert (faces.gather([1])[0] == np.asarray(Image.open(tmp_path / "b" / "1.jpg"))).all()


def test_damaged_images_stop_it_or_are_set_aside_with_their_reason(tmp_path):
    whole = image(1)
    members = [
        ("a.jpg", image(0)),
        ("a.cls", b"0"),
        ("b.jpg", whole[: len(whole) // 2]),
        ("b.cls", b"1"),
    ]
    members += [("c.jpg", image(0)), ("c.cls", b"1"), ("d.png", image(3, "png")), ("d.cls", b"1")]
    wide = io.BytesIO()
    Image.new("RGB", (40, 32)).save(wide, "png")
    members += [("e.png", wide.getvalue()), ("e.cls", b"0")]
    reader = fl.datasets.webdataset(shard(tmp_path / "train.tar", members))
    with pytest.raises(BadInput, match=r"3 of 5 images cannot be used, first train/b: it is trunc"):
        fl.open_crops(reader, size=SIZE)
    faces = fl.open_crops(reader, size=SIZE, set_aside=True)
    assert faces.table["image"].tolist() == ["train/a", "train/d"]
    told = {one["image"]: one["reason"] for one in faces.card["set_aside"]}
    assert list(told) == ["train/b", "train/c", "train/e"]
    assert "truncated" in told["train/b"] and "same bytes as train/a" in told["train/c"]
    assert told["train/e"] == "it is 40x32 px, not 32x32"
    assert any("set aside in the card" in note for note in faces.card["notes"])


def test_an_image_that_has_changed_since_is_refused(shards):
    faces = fl.open_crops(fl.datasets.webdataset(shards), size=SIZE)
    path = shards / "train-0.tar"
    data = bytearray(path.read_bytes())
    data[512 + 200] ^= 255  # in the first image
    path.write_bytes(data)
    assert faces.gather([1]).shape == (1, SIZE, SIZE, 3)
    with pytest.raises(
        BadInput, match=r"train-0\.tar at byte 512 has changed since the set was op"
    ):
        faces.gather([0])
    path.unlink()
    with pytest.raises(BadInput, match=r"train-0\.tar at byte \d+ cannot be read any more"):
        faces.gather([1])


def test_an_embedder_is_trained_straight_from_shards(tmp_path):
    members = []
    for number in range(32):
        rng = np.random.default_rng(number // 4).integers(0, 256, (4, 4, 3), np.uint8)
        noisy = rng.repeat(8, 0).repeat(8, 1) // 2 + crop(number) // 4
        Image.fromarray(noisy).save(file := io.BytesIO(), "jpeg", quality=95)
        members += [(f"{number}.jpg", file.getvalue()), (f"{number}.cls", b"%d" % (number // 4))]
    reader = fl.datasets.webdataset(shard(tmp_path / "train.tar", members))
    lying, made = fl.open_crops(reader, size=SIZE), fl.prepare(reader, tmp_path / "made", size=SIZE)
    one, other = (fl.train(faces, TINY, device="cpu", progress=False) for faces in (lying, made))
    assert one.history["loss"].tolist() == other.history["loss"].tolist()


def test_what_is_no_size_is_one_sentence(shards):
    with pytest.raises(BadInput, match="the size must be from 16 to 1024 pixels, not 8"):
        fl.open_crops(fl.datasets.webdataset(shards), size=8)
    with pytest.raises(BadInput, match="none of the 6 images can be used"):
        fl.open_crops(fl.datasets.webdataset(shards), size=64, set_aside=True)
