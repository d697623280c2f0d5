"""A csv or parquet table of paths and labels, and images that lie many to a file."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.datasets import reader
from facelab.datasets.tabular import table

ROWS = pd.DataFrame(
    {
        "path": ["b/1.png", "a/0.png", "./a/2.png"],
        "subject": ["7", "NA", "7"],
        "gender": ["f", "", "f"],
        "age": pd.array([30, None, 41], "Int64"),
    }
)


def picture(seed, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


@pytest.fixture
def root(tmp_path):
    for seed, name in enumerate(["b/1.png", "a/0.png", "a/2.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture(seed)).save(tmp_path / name)
    return tmp_path


def write(root, frame, kind="csv"):
    path = root / f"labels.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_image_and_label_of_a_table_comes_through(root, kind):
    read = table(write(root, ROWS, kind))
    assert read.table["image"].tolist() == ["b/1.png", "a/0.png", "a/2.png"]
    assert read.table["subject"].tolist() == ["7", "NA", "7"]
    assert read.groups == ["gender", "age"]
    assert read.table["age"].tolist()[::2] == ["30", "41"]
    assert read.table[["gender", "age"]].isna().sum().tolist() == [1, 1]
    faces = fl.prepare(read, root / "out", size=32, jobs=1)
    for seed in range(3):
        np.testing.assert_array_equal(faces.crops[seed], picture(seed))
    assert faces.table["subject"].tolist() == ["7", "NA", "7"]


def test_columns_can_be_named_and_left_out(root):
    path = write(root, ROWS.rename(columns={"path": "file"}))
    read = table(path, image="file", subject=None, by=["gender"])
    assert read.groups == ["gender"]
    assert read.table["subject"].tolist() == read.table["image"].tolist()
    assert "does not say who is shown" in read.notes[0]


def test_absolute_paths_within_the_root_are_taken(root):
    read = table(write(root, ROWS.assign(path=[str(root / p) for p in ROWS["path"]])))
    assert read.table["image"].tolist() == ["b/1.png", "a/0.png", "a/2.png"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"path": ["a/0.png", "a/0.png", "x"]}, r"row \d lists 'a/0.png' again \(1 such row\)"),
        ({"path": ["a/0.png", "../x.png", "x"]}, r"row \d has the path '../x.png' outside"),
        ({"path": ["a/0.png", "/etc/x.png", "x"]}, r"row \d has the path '/etc/x.png' outside"),
        ({"path": ["a/0.png", "", "x"]}, r"row \d has no path"),
        ({"subject": ["1", "", "2"]}, r"row \d has no subject: say who"),
        ({"offset": ["1", "2", "3"]}, r"label column 'offset', a name that facelab needs"),
    ],
)
def test_a_wrong_row_is_named(root, kind, change, sentence):
    path = write(root, ROWS.assign(**change), kind)
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        table(path)
    assert "\n" not in str(caught.value)
    if "row" in sentence:  # as a spreadsheet numbers it, or from 0
        assert f"row {3 if kind == 'csv' else 1} " in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_that_is_none_is_refused(root, kind):
    with pytest.raises(FileNotFoundError, match="there is no"):
        table(root / f"absent.{kind}")
    with pytest.raises(fl.BadInput, match="no column 'path'"):
        table(write(root, ROWS.drop(columns="path"), kind))
    with pytest.raises(fl.BadInput, match="has no rows"):
        table(write(root, ROWS[:0], kind))
    (root / "labels.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(fl.BadInput, match="cannot be read as a parquet file"):
        table(root / "labels.parquet")


def slice_of(path, offset):
    if offset < 0:
        raise fl.BadInput("it lies before the start")
    return path.read_bytes()[offset:]


def test_prepare_takes_images_out_of_a_file_that_holds_many(root):
    """Offsets go to the reader's own `read`, in worker processes too; a refusal is a reason."""
    packed, offsets = b"", []
    for seed in range(3):
        file = io.BytesIO()
        Image.fromarray(picture(seed)).save(file, "png")
        offsets.append(len(packed))
        packed += file.getvalue()
    (root / "packed").write_bytes(packed)
    frame = reader.image_table([(root / "packed", str(n), str(n)) for n in range(4)])
    frame.insert(1, "offset", [*offsets, -1])
    read = replace(table(write(root, ROWS)), table=frame, read=slice_of)
    assert read.groups == []
    faces = fl.prepare(read, root / "out", size=32, set_aside=True, jobs=2)
    for seed in range(3):
        np.testing.assert_array_equal(faces.crops[seed], picture(seed))
    rejects = pd.read_parquet(root / "out" / "rejects.parquet")
    assert rejects["reason"].tolist() == ["it lies before the start"]
    assert "offset" not in faces.table and "offset" not in rejects


def test_ages_fall_into_the_groups_that_name_them():
    ages = pd.Series([0, 2, 3, 9, 10, 69, 70, 116, None])
    groups = reader.age_groups(ages).astype(object).tolist()
    assert groups[:-1] == ["0-2", "0-2", "3-9", "3-9", "10-19", "60-69", "70+", "70+"]
    assert pd.isna(groups[-1])


def test_a_subject_with_two_labels_takes_the_commoner_and_none_on_a_tie():
    subjects = pd.Series(list("aaabbcc"))
    labels = pd.Series(["x", "x", "y", "x", "y", None, "y"])
    settled, notes = reader.settled(labels, subjects, "race")
    result = [None if pd.isna(value) else value for value in settled]
    assert result == ["x", "x", "x", None, None, None, "y"]
    assert "2 subjects have more than one race: each" in notes[0]
    assert "3 labels changed" in notes[0]
    assert reader.settled(labels[5:], subjects[5:], "race")[1] == []
