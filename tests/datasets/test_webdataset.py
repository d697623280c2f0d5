"""WebDataset's shards: samples by the names of their members, nothing guessed, nothing lost."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest

import facelab as fl
from facelab.datasets.webdataset import image_at
from facelab.errors import BadInput


def shard(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            data = data if isinstance(data, bytes) else json.dumps(data).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_samples_are_members_of_one_name(tmp_path):
    shard(tmp_path / "b.tar", ("x/9.jpg", b"nine"), ("x/9.cls", b" 3\n"))
    shard(
        tmp_path / "a.tar",
        *[("1.jpg", b"one" * 700), ("1.cls", b"7"), ("2.cls", b"8"), ("2.PNG", b"two")],
        ("3.cls", b"9"),  # of no image
    )
    read = fl.datasets.webdataset(tmp_path)
    assert read.table[["subject", "image"]].to_numpy().tolist() == [
        *(["7", "a/1"], ["8", "a/2"], ["3", "b/x/9"])
    ]
    assert read.notes == ("1 sample has no image.",)
    found = [
        read.read(tmp_path / path, at) for path, at in read.table[["path", "offset"]].to_numpy()
    ]
    assert found == [b"one" * 700, b"two", b"nine"]
    assert fl.datasets.webdataset([tmp_path / "b.tar"]).table["subject"].tolist() == ["3"]


def test_names_and_labels_come_from_json_where_it_is_asked(tmp_path):
    path = shard(
        tmp_path / "a.tar",
        *[("1.jpg", b"one"), ("1.json", {"who": "ada", "gender": "female", "n": 3})],
        *[("2.jpg", b"two"), ("2.json", {"who": "bob", "gender": None, "n": 3})],
    )
    read = fl.datasets.webdataset(path, subject="who", label=["gender", "n"])
    assert read.table["subject"].tolist() == ["ada", "bob"]
    assert read.table["gender"].isna().tolist() == [False, True]
    assert read.groups == ["gender"]
    with pytest.raises(
        BadInput, match=r"a\.tar: 1 has no 'cls' that says .* it has json, who, gen"
    ):
        fl.datasets.webdataset(path)
    with pytest.raises(BadInput, match=r"no label 'race' in its json, which has who, gender, n"):
        fl.datasets.webdataset(path, subject="who", label="race")
    with pytest.raises(BadInput, match="a label column 'image', a name that facelab needs itself"):
        fl.datasets.webdataset(path, subject="who", label="image")


def test_of_several_pictures_it_is_asked_which_is_the_face(tmp_path):
    members = [("1.face.jpg", b"face"), ("1.mask.png", b"mask"), ("1.cls", b"0")]
    path = shard(tmp_path / "a.tar", *members)
    with pytest.raises(BadInput, match=r"several pictures \(face\.jpg, mask\.png\): give image="):
        fl.datasets.webdataset(path)
    read = fl.datasets.webdataset(path, image="face.jpg")
    assert read.read(path, int(read.table["offset"][0])) == b"face"


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_shard_that_is_cut_short_is_refused_or_read_whole(tmp_path, cut):
    """Never fewer samples in silence: images of 3,000 bytes, cut anywhere."""
    members = [(f"{n}.{kind}", data) for n in range(3) for kind, data in
               (("jpg", bytes([n]) * 3000), ("cls", b"1"))]  # fmt: skip
    path = shard(tmp_path / "a.tar", *members)
    data = path.read_bytes()
    end = 3 * (512 + 3072 + 1024)  # of the members; two blocks of zeros and more follow
    path.write_bytes(data[: end * cut // 12 + 100])
    with pytest.raises(BadInput, match=r"is damaged|cut short|has no 'cls'"):
        fl.datasets.webdataset(path)
    path.write_bytes(data[:end])
    assert len(fl.datasets.webdataset(path)) == 3


def test_a_damaged_header_is_not_the_end(tmp_path):
    members = [(f"{n}.{kind}", data) for n in range(3) for kind, data in
               (("jpg", bytes([n + 1]) * 3000), ("cls", b"1"))]  # fmt: skip
    path = shard(tmp_path / "a.tar", *members)
    data = bytearray(path.read_bytes())
    data[2 * (512 + 3072 + 1024) + 20] ^= 255
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"a\.tar is damaged"):
        fl.datasets.webdataset(path)
    with pytest.raises(BadInput, match="has no member at byte"):
        image_at(path, 2 * (512 + 3072 + 1024) + 512)


def test_what_is_no_shard_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"holds no \.tar file"):
        fl.datasets.webdataset(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        fl.datasets.webdataset(tmp_path / "none.tar")
    with pytest.raises(BadInput, match="there are no shards"):
        fl.datasets.webdataset([])
    path = shard(tmp_path / "a.tar", ("1.jpg", b"x"), ("1.cls", b"0"), ("1.cls", b"1"))
    with pytest.raises(BadInput, match=r"1 has two members \.cls"):
        fl.datasets.webdataset(path)
    packed = tmp_path / "b.tar"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(BadInput, match=r"b\.tar is compressed: unpack it"):
        fl.datasets.webdataset(packed)
    packed.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(BadInput, match=r"b\.tar is damaged or cut short"):
        fl.datasets.webdataset(packed)
    (tmp_path / "more").mkdir()
    other = shard(tmp_path / "more" / "a.tar", ("1.jpg", b"x"), ("1.cls", b"0"))
    with pytest.raises(BadInput, match="two shards are called a: rename one"):
        fl.datasets.webdataset([path, other])
    with pytest.raises(BadInput, match="there are no images in 1 shard"):
        fl.datasets.webdataset(shard(tmp_path / "c.tar"))
