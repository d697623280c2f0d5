"""Hugging Face's imagefolder and parquet, as `datasets` writes them."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import facelab as fl
from facelab import datasets


def picture(seed, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def png(seed):
    file = io.BytesIO()
    Image.fromarray(picture(seed)).save(file, "png")
    return file.getvalue()


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(seed))


def write_parquet(path, seeds, gender, who, rows=2):
    """Image as struct<bytes, path>, ClassLabel as int64 with its names in the metadata."""
    images = [{"bytes": None if n is None else png(n), "path": f"{n}.png"} for n in seeds]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "image": pa.array(images, kind),
            "gender": pa.array(gender, pa.int64()),
            "who": pa.array(who),
            "score": pa.array([0.5] * len(who)),
        }
    )
    features = {
        "image": {"_type": "Image"},
        "gender": {"names": ["Male", "Female"], "_type": "ClassLabel"},
        "who": {"dtype": "string", "_type": "Value"},
    }
    info = json.dumps({"info": {"features": features}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), path, row_group_size=rows)


@pytest.fixture
def parquet(tmp_path):
    write_parquet(tmp_path / "data/train-00000-of-00002.parquet", range(5), [0, 1, -1, None, 1],
                  list("abcab"))  # fmt: skip
    write_parquet(tmp_path / "data/train-00001-of-00002.parquet", [5, 6], [1, 0], list("cd"))
    return tmp_path


def test_every_image_and_label_of_parquet_comes_through(parquet):
    read = datasets.huggingface(parquet, subject="who")
    assert read.groups == ["gender"]
    gender = ["Male", "Female", None, None, "Female", "Female", "Male"]
    assert [None if pd.isna(g) else g for g in read.table["gender"]] == gender
    assert "".join(read.table["subject"]) == "abcabcd"
    assert read.table["image"][5] == "data/train-00001-of-00002/00000"
    faces = fl.prepare(read, parquet / "out", size=32, jobs=2)
    for row in range(7):
        np.testing.assert_array_equal(faces.crops[row], picture(row))


def test_one_file_of_plain_bytes_without_names(tmp_path):
    table = pa.table({"jpg": pa.array([png(0), png(1)], pa.binary()), "age": [30, 41]})
    pq.write_table(table, tmp_path / "x.parquet")
    read = datasets.huggingface(tmp_path / "x.parquet", image="jpg")
    assert read.table["age"].tolist() == ["30", "41"]
    assert "does not say who is shown" in read.notes[0]
    assert read.table["subject"].is_unique
    faces = fl.prepare(read, tmp_path / "out", size=32, jobs=1)
    np.testing.assert_array_equal(faces.crops[1], picture(1))


def test_a_file_that_was_rewritten_is_read_anew(tmp_path):
    for seed in (0, 1):
        table = pa.table({"image": pa.array([png(seed)], pa.binary())})
        pq.write_table(table, tmp_path / "x.parquet")
        read = datasets.huggingface(tmp_path / "x.parquet")
        assert read.read(tmp_path / "x.parquet", 0) == png(seed)


def test_a_row_without_image_bytes_is_set_aside(tmp_path):
    write_parquet(tmp_path / "x.parquet", [0, None, 2], [0, 0, 0], list("abc"))
    read = datasets.huggingface(tmp_path, subject="who")
    faces = fl.prepare(read, tmp_path / "out", size=32, set_aside=True, jobs=1)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects.parquet")
    assert rejects["reason"].tolist() == [
        "row 1 of x.parquet holds no image, only a path or nothing"
    ]
    assert faces.table["image"].tolist() == ["x/00000", "x/00002"]


def test_what_is_wrong_with_parquet_is_named(parquet):
    with pytest.raises(fl.BadInput, match=r"no column 'picture'; it has: image, gender, who"):
        datasets.huggingface(parquet, image="picture")
    with pytest.raises(fl.BadInput, match=r"has images as string in 'who'"):
        datasets.huggingface(parquet, image="who")
    with pytest.raises(fl.BadInput, match=r"has no column 'name'"):
        datasets.huggingface(parquet, subject="name")
    first = parquet / "data/train-00000-of-00002.parquet"
    write_parquet(first, [0, 1], [0, 7], list("ab"))
    with pytest.raises(fl.BadInput, match=r"00000-of-00002.parquet row 1 has gender 7.*2 names"):
        datasets.huggingface(parquet)
    pq.write_table(pa.table({"image": pa.array([png(0)], pa.binary())}), first)
    with pytest.raises(fl.BadInput, match=r"00001-of-00002.parquet has other columns"):
        datasets.huggingface(parquet)
    first.write_bytes(first.read_bytes()[:-20])
    with pytest.raises(fl.BadInput, match=r"00000-of-00002.parquet cannot be read as a parquet"):
        datasets.huggingface(parquet)


def test_random_damage_to_parquet_is_read_or_refused_in_one_sentence(parquet):
    rng = np.random.default_rng(0)
    path = parquet / "data/train-00000-of-00002.parquet"
    data = path.read_bytes()
    refused = 0
    for _ in range(100):
        place = int(rng.integers(len(data)))
        path.write_bytes(data[:place] + rng.bytes(3) + data[place + int(rng.integers(9)) :])
        try:
            read = datasets.huggingface(parquet, subject="who")
            for file, offset in read.table[["path", "offset"]].itertuples(index=False):
                read.read(Path(file), offset)
        except fl.BadInput as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 10


ROWS = [("0.png", "a", 30), ("sub/1.png", "a", None), ("2.png", "b", 41)]


@pytest.fixture
def imagefolder(tmp_path):
    for seed, (name, _, _) in enumerate(ROWS):
        save(tmp_path / "train" / name, seed)
    lines = [
        json.dumps({"file_name": name, "who": who, "age": age}, ensure_ascii=False)
        for name, who, age in ROWS
    ]
    (tmp_path / "train" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_an_imagefolder_with_metadata(imagefolder, kind):
    if kind == "csv":
        (imagefolder / "train/metadata.jsonl").unlink()
        frame = pd.DataFrame(ROWS, columns=["file_name", "who", "age"]).astype({"age": "Int64"})
        frame.to_csv(imagefolder / "train/metadata.csv", index=False)
    read = datasets.huggingface(imagefolder, subject="who")
    table = read.table.set_index("image")
    assert read.groups == ["age"]
    assert table["subject"]["train/sub/1.png"] == "a"
    assert table["age"]["train/2.png"] == "41"
    assert pd.isna(table["age"]["train/sub/1.png"])
    faces = fl.prepare(read, imagefolder / "out", size=32, jobs=1)
    crops = dict(zip(faces.table["image"], faces.crops, strict=True))
    for seed, (name, _, _) in enumerate(ROWS):
        np.testing.assert_array_equal(crops[f"train/{name}"], picture(seed))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("2.png", "3.png", r"names 'train/3.png', which is not among the images"),
        ('"2.png"', "7", r"metadata.jsonl line 3 has no file_name"),
        ("{", "", r"metadata.jsonl line 1 cannot be read: it is not valid json"),
        ('"who": "b"', '"who": ""', r"has no who for 'train/2.png'"),
    ],
)
def test_a_wrong_line_of_metadata_is_named(imagefolder, old, new, sentence):
    path = imagefolder / "train" / "metadata.jsonl"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(fl.BadInput, match=sentence):
        datasets.huggingface(imagefolder, subject="who")


def test_an_imagefolder_of_classes(tmp_path):
    save(tmp_path / "train" / "happy" / "0.png", 0)
    save(tmp_path / "train" / "sad" / "0.png", 1)
    read = datasets.huggingface(tmp_path)
    assert read.table["label"].tolist() == ["happy", "sad"]
    assert read.table["subject"].tolist() == ["train/happy/0.png", "train/sad/0.png"]
    save(tmp_path / "loose.png", 2)
    with pytest.raises(fl.BadInput, match=r"holds 'loose.png' in no class's folder"):
        datasets.huggingface(tmp_path)
    with pytest.raises(fl.BadInput, match="holds no parquet files and no images"):
        (tmp_path / "empty").mkdir()
        datasets.huggingface(tmp_path / "empty")
