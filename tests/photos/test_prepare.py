"""Preparing: every kind of image becomes RGB, every bad one is named, nothing is half-written."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.rates.acquisition import enrolment

SIZE = 32


def pixels(seed, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path):
    """Three subjects a, b, c with 3, 2 and 1 images."""
    for number, name in enumerate(["a/0", "a/1", "a/2", "b/0", "b/1", "c/0"]):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(number)).save(path)
    return tmp_path / "photos"


def jpeg(seed):
    return encoded(Image.fromarray(pixels(seed)), "JPEG", quality=90)


def test_importing_the_module_does_not_hide_the_function():
    code = "import facelab.photos, facelab as fl; assert callable(fl.prepare) and callable(fl.runs)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_crops_are_the_images_in_the_order_of_the_table(photos, tmp_path, jobs):
    faces = fl.prepare(photos, tmp_path / "out", size=SIZE, jobs=jobs, set_aside=True)
    assert faces.table["image"].tolist() == [
        "a/0.png",
        "a/1.png",
        "a/2.png",
        "b/0.png",
        "b/1.png",
        "c/0.png",
    ]
    for number in range(6):
        np.testing.assert_array_equal(faces.crops[number], pixels(number))
    assert "path" not in faces.table
    loaded = fl.load(tmp_path / "out", verify=True)
    np.testing.assert_array_equal(loaded.crops, faces.crops)
    assert pd.read_parquet(tmp_path / "out" / "rejects.parquet").empty


def test_a_subject_with_one_image_is_kept_and_counted(photos, tmp_path):
    card = fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=True).card
    assert card["single_image_subjects"] == 1
    assert "1 subject has one image and gives no mated comparisons" in card["notes"][-1]
    assert card["subjects"] == 3
    assert card["synthetic"] is False


BAD = {
    "zero bytes": (b"", r"it is empty \(zero bytes\)"),
    "text": (b"dear diary", "it is not an image"),
    "truncated": (jpeg(50)[:-200], "it is truncated or damaged"),
    "cut by one byte": (jpeg(50)[:-1], "it is truncated or damaged"),
    "twice": (
        encoded(Image.fromarray(pixels(0))),
        "it has the same bytes as a/0.png, another subject",
    ),
    "wrong size": (
        encoded(Image.fromarray(pixels(9, 40))),
        r"it is 40x40 px, not 32x32; give a detector .*--detector-model PATH.*aligned=True",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_stops_the_work_and_leaves_nothing(photos, tmp_path, kind):
    data, reason = BAD[kind]
    (photos / "b" / "9.jpg").write_bytes(data)
    with pytest.raises(fl.BadInput, match=f"1 of 7 images cannot be used, first b/9.jpg: {reason}"):
        fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=False)
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_set_aside_with_its_reason(photos, tmp_path, kind):
    data, reason = BAD[kind]
    (photos / "b" / "9.jpg").write_bytes(data)
    faces = fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=True)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects.parquet")
    assert len(faces) == 6
    assert rejects["image"].tolist() == ["b/9.jpg"]
    assert rejects["subject"].tolist() == ["b"]
    assert rejects["reason"].str.match(reason.split(";")[0]).all()
    assert "1 of 7 images (14.29%)" in faces.card["notes"][0]


def test_failures_to_acquire_are_counted_by_group(photos, tmp_path):
    (photos / "b" / "9.jpg").write_bytes(b"")
    (photos / "c" / "9.jpg").write_bytes(b"x")
    images = sorted(str(p.relative_to(photos)) for p in photos.rglob("*.*"))
    labels = pd.DataFrame({"file": images})
    labels["gender"] = [{"a": "female", "b": "male", "c": ""}[name[0]] for name in images]
    labels.to_csv(tmp_path / "labels.csv", index=False)
    reader = fl.datasets.folder(photos, labels=tmp_path / "labels.csv")
    faces = fl.prepare(reader, tmp_path / "out", size=SIZE, set_aside=True)
    failures = faces.card["failure_to_acquire"]
    counts = {
        group: (found["images"], found["rejected"])
        for group, found in failures["by_group"]["gender"].items()
    }
    assert (failures["images"], failures["rejected"]) == (8, 2)
    assert counts == {"(no label)": (2, 1), "female": (3, 0), "male": (3, 1)}
    assert faces.card["duplicates"] == 0
    assert list(pd.read_parquet(tmp_path / "out" / "rejects.parquet")) == [
        "subject",
        "image",
        "reason",
        "gender",
    ]


def test_failures_to_acquire_have_the_intervals_of_enrolment_and_duplicates_are_none(
    photos, tmp_path
):
    for name in ("a/8", "b/8", "b/9"):
        (photos / f"{name}.png").write_bytes(b"")
    for name in ("a/9", "c/9"):
        (photos / f"{name}.png").write_bytes((photos / "a" / "0.png").read_bytes())
    card = fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=True).card
    failures = card["failure_to_acquire"]
    presented = pd.DataFrame({"subject": list("aaaabbbbc"), "failed": [False] * 9, "group": "g"})
    presented.loc[[3, 6, 7], "failed"] = True
    row = enrolment(presented, "group", replicates=10).rates.iloc[0]
    assert (failures["images"], failures["rejected"]) == (9, 3)
    assert (failures["rate"], failures["low"], failures["high"]) == pytest.approx(
        (row["fte"], row["fte_low"], row["fte_high"]), abs=1e-12
    )
    assert 0 < failures["low"] < 1 / 3 < failures["high"] < 1
    assert card["duplicates"] == 2
    assert len(pd.read_parquet(tmp_path / "out" / "rejects.parquet")) == 5


def test_all_bad_images_are_counted_and_none_left_is_an_error(photos, tmp_path):
    for path in photos.rglob("*.png"):
        path.write_bytes(b"x")
    for set_aside in (False, True):
        with pytest.raises(fl.BadInput, match=r"none of the 6 images can be used, first a/0\.png"):
            fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=set_aside)
    assert os.listdir(tmp_path) == ["photos"]


def test_folders_named_like_images_and_links_out_of_the_root_are_rejected(photos, tmp_path):
    (photos / "a" / "8.jpg").mkdir()
    secret = tmp_path / "secret.png"
    Image.fromarray(pixels(77)).save(secret)
    (photos / "a" / "9.png").symlink_to(secret)
    (photos / "b" / "7.png").symlink_to(photos / "nowhere.png")
    fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=True)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects.parquet").set_index("image")["reason"]
    assert rejects.to_dict() == {
        "a/8.jpg": "it is not a file",
        "a/9.png": "it is a link that leaves the folder",
        "b/7.png": "it is not there",
    }


def test_an_empty_folder_and_a_taken_place_are_refused(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(fl.BadInput, match="holds no images"):
        fl.prepare(tmp_path / "empty", tmp_path / "out")
    fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=True)
    with pytest.raises(fl.BadInput, match="exists already"):
        fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=True)
    before = (tmp_path / "out" / "card.json").read_text()
    (photos / "a" / "0.png").write_bytes(b"")
    with pytest.raises(fl.BadInput, match="cannot be used"):
        fl.prepare(photos, tmp_path / "out", size=SIZE, replace=True, set_aside=False)
    assert (tmp_path / "out" / "card.json").read_text() == before


def test_aligned_crops_of_another_size_are_averaged_by_area(photos, tmp_path):
    faces = fl.prepare(photos, tmp_path / "out", size=16, aligned=True, set_aside=True)
    expected = pixels(0).reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(faces.crops[0] - expected).max() <= 1
    Image.new("RGB", (30, 20)).save(photos / "a" / "0.png")
    with pytest.raises(fl.BadInput, match="30x20 px, and an aligned crop is square"):
        fl.prepare(photos, tmp_path / "other", size=16, aligned=True, set_aside=False)


def test_the_card_names_no_path_of_the_machine(photos, tmp_path):
    fl.prepare(photos, tmp_path / "out", size=SIZE, set_aside=True)
    assert str(tmp_path) not in json.dumps(json.loads((tmp_path / "out/card.json").read_text()))
