"""Faces for torch, for Hugging Face and as files: the same table, the same pixels, and back."""

import csv

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import facelab as fl
from facelab.errors import BadInput, Damaged
from facelab.faces.encoded import Encoded

NAMES = ["ada", "Łukasz", "a/b", "王秀英", 'quo"te, x', "007"]


@pytest.fixture(scope="module")
def faces():
    """Crops of noise with every kind of column, and some labels missing."""
    rng = np.random.default_rng(0)
    subject = np.repeat(NAMES, 4)
    table = pd.DataFrame(
        {
            "gender": pd.Categorical(np.repeat(["m", "f", None], 8), categories=["m", "f", "x"]),
            "subject": subject,
            "image": [f"{name}.{n}" for n, name in enumerate(subject)],
            "age": np.arange(24) % 5,
            "old": pd.Categorical(["b", "a"] * 12, categories=["c", "b", "a"], ordered=True),
            "seen": np.arange(24) % 2 == 0,
            "when": pd.Timestamp("2026-01-02 03:04") + pd.to_timedelta(np.arange(24), "h"),
            "where": pd.date_range("2026-01-01", periods=24, tz="Asia/Tokyo"),
            "took": pd.to_timedelta(np.arange(24), "s"),
            "yaw": rng.normal(size=24),
            "sharp": np.where(np.arange(24) % 7, rng.random(24).astype(np.float32), np.nan),
        }
    )
    crops = rng.integers(0, 256, (24, 16, 16, 3), np.uint8)
    return fl.FaceSet.from_arrays(table, crops, name="noise", synthetic=True, groups=["gender"])


def assert_same(one, other):
    pd.testing.assert_frame_equal(one.table, other.table)
    np.testing.assert_array_equal(one.crops, other.crops)
    assert one.card == other.card


# ---- torch


@pytest.fixture(scope="module")
def stored(faces, tmp_path_factory):
    """The same as it lies on disk: raw, compressed, and a selection."""
    place = tmp_path_factory.mktemp("stored")
    raw = fl.load(faces.save(place / "raw"))
    compressed = fl.load(faces.save(place / "png", stored="png"))
    assert isinstance(compressed._store, Encoded)
    return {"raw": raw, "compressed": compressed, "selected": raw[::2]}


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("raw", "fork"),
        ("compressed", "fork"),
        ("selected", "fork"),
        pytest.param("raw", "spawn", marks=pytest.mark.slow),  # new Pythons take seconds
        pytest.param("compressed", "spawn", marks=pytest.mark.slow),
    ],
)
def test_two_workers_of_a_loader_read_every_face_with_its_label(stored, kind, start):
    faces = stored[kind]
    rows = faces.to_torch()
    loader = DataLoader(rows, batch_size=5, num_workers=2, multiprocessing_context=start)
    images, numbers = (torch.cat(part) for part in zip(*loader, strict=True))
    assert images.dtype == torch.float32
    expected = torch.tensor(faces.crops).permute(0, 3, 1, 2) / 255
    assert torch.equal(images, expected)
    assert [rows.classes[number] for number in numbers] == faces.table["subject"].tolist()


def test_it_looks_as_torchvisions_data_sets_do(faces):
    from torchvision.transforms import v2

    labelled = faces[faces.table["gender"].notna()]
    seen = []
    rows = labelled.to_torch(
        "gender",
        transform=v2.Compose([lambda image: seen.append(image) or image, v2.ToImage()]),
        target_transform=lambda number: -number,
    )
    assert (rows.classes, rows.class_to_idx) == (["f", "m"], {"f": 0, "m": 1})
    assert rows.targets == [1] * 8 + [0] * 8
    assert len(rows) == 16 and rows[3][1] == -1 and rows[12][1] == 0
    assert isinstance(seen[0], Image.Image)
    np.testing.assert_array_equal(rows[3][0].permute(1, 2, 0), labelled.crops[3])
    assert isinstance(rows, torch.utils.data.Dataset)


@pytest.mark.parametrize(
    ("label", "words"),
    [("gendr", "no column 'gendr'"), ("age", "holds numbers"), ("gender", "has no gender")],
)
def test_a_label_that_cannot_be_learnt_is_one_sentence(faces, label, words):
    with pytest.raises(BadInput, match=words):
        faces.to_torch(label)


# ---- Hugging Face


def test_a_face_set_goes_through_hugging_face_and_back(faces, tmp_path):
    datasets = pytest.importorskip("datasets")
    made = faces.to_huggingface()
    assert isinstance(made, datasets.Dataset)
    assert made.features["gender"] == datasets.ClassLabel(names=["m", "f", "x"])
    assert made[5]["image"].size == (16, 16) and made[5]["subject"] == "Łukasz"
    assert_same(fl.from_huggingface(made), faces)
    made.save_to_disk(tmp_path / "kept")
    assert_same(fl.from_huggingface(datasets.load_from_disk(str(tmp_path / "kept"))), faces)


def test_a_selection_of_a_data_set_is_that_selection(faces):
    pytest.importorskip("datasets")
    made = faces.to_huggingface().select([7, 3, 20])
    back = fl.from_huggingface(made)
    assert back.table["image"].tolist() == faces.table["image"].iloc[[7, 3, 20]].tolist()
    np.testing.assert_array_equal(back.crops, faces.crops[[7, 3, 20]])


def test_a_data_set_of_somebody_else_is_real_and_has_its_own_columns(faces):
    datasets = pytest.importorskip("datasets")
    pictures = [Image.fromarray(crop) for crop in faces.crops[:3]]
    columns = {
        "photo": pictures,
        "who": [5, 5, 6],
        "race": ["a", "b", None],
        "box": [[1], [2], [3]],
    }
    made = datasets.Dataset.from_dict(columns).cast_column("photo", datasets.Image())
    back = fl.from_huggingface(made, image="photo", subject="who", by=["race"], name="mine")
    assert back.table[["subject", "image"]].values.tolist() == [
        ["5", "000000"], ["5", "000001"], ["6", "000002"],
    ]  # fmt: skip
    assert (back.groups, back.card["name"], back.card["synthetic"]) == (["race"], "mine", False)
    assert "box" not in back.table
    np.testing.assert_array_equal(back.crops, faces.crops[:3])


def test_what_is_no_set_of_aligned_faces_is_one_sentence(faces):
    datasets = pytest.importorskip("datasets")
    made = faces.to_huggingface()
    with pytest.raises(BadInput, match=r"dataset\['train'\]"):
        fl.from_huggingface(datasets.DatasetDict({"train": made}))
    with pytest.raises(BadInput, match="no column 'person'"):
        fl.from_huggingface(made, subject="person")
    sizes = [Image.new("RGB", (8, 8)), Image.new("RGB", (8, 9))]
    odd = datasets.Dataset.from_dict({"image": sizes})
    with pytest.raises(BadInput, match=r"row 1 of the Dataset is 8 x 9 px"):
        fl.from_huggingface(odd.cast_column("image", datasets.Image()), subject=None)
    with pytest.raises(BadInput, match="another column 'subject'"):
        fl.from_huggingface(made.rename_column("gender", "who"), subject="who")


# ---- files


def test_a_face_set_goes_through_png_files_and_back(faces, tmp_path):
    folder = faces.to_folder(tmp_path / "png")
    assert_same(fl.load(folder), faces)
    assert Image.open(folder / "000003.png").size == (16, 16)
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[4]["file_name"] == "000004.png" and rows[4]["subject"] == "Łukasz"
    with pytest.raises(BadInput, match="exists already"):
        faces.to_folder(folder)
    assert_same(fl.load(faces[:5].to_folder(folder, replace=True)), fl.load(folder))
    assert len(list(folder.glob("*.png"))) == 5


def test_such_a_folder_is_an_imagefolder_of_hugging_face(faces, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = faces.to_folder(tmp_path / "png")
    read = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"), split="train"
    )
    back = fl.from_huggingface(read)
    rows = [int(row) for row in back.table["image"].map(faces.table["image"].tolist().index)]
    np.testing.assert_array_equal(back.crops, faces.crops[rows])
    assert back.table["subject"].tolist() == faces.table["subject"].iloc[rows].tolist()


def test_a_file_that_was_changed_or_is_gone_is_said(faces, tmp_path):
    folder = faces.to_folder(tmp_path / "png")
    Image.new("RGB", (16, 16)).save(folder / "000002.png")
    with pytest.raises(Damaged, match=r"000002\.png is damaged or was changed"):
        fl.load(folder)
    (folder / "000002.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"000002\.png is missing"):
        fl.load(folder)
