"""FairFace's sample: all is read, ages come back, and who is not found is counted by group."""

import dataclasses
from pathlib import Path

import pytest

import facelab as fl
from facelab.photos.decode import decode
from facelab.photos.detectors import load_detector

pytestmark = pytest.mark.real


def test_all_are_read_and_the_ages_are_whole_again(real):
    read = fl.datasets.fairface(real / "fairface")
    assert len(read) == 700
    assert (read.table["race"].value_counts() == 100).all()
    assert read.table["age_group"].notna().all()
    assert any("157 of 700 ages" in note for note in read.notes)


def test_faces_that_fill_their_photo_are_found(real, tmp_path):
    detector = load_detector("yunet", real / "models" / "face_detection_yunet.onnx")
    read = fl.datasets.fairface(real / "fairface")
    some = dataclasses.replace(read, table=read.table.iloc[::10].reset_index(drop=True))
    photos = [decode(Path(path).read_bytes()) for path in some.table["path"]]
    lost_at_640 = sum(not detector._detect(photo, 640) for photo in photos)
    faces = fl.prepare(some, tmp_path / "faces", detector=detector, set_aside=True)
    table = fl.failure_to_acquire(faces).set_index(["by", "group"])
    assert table.loc[("", "all"), ["images", "rejected"]].tolist() == [70, 0]
    # Nobody is lost of 7 to 14 a race, which leaves up to a third open.
    assert table.loc["race", "high"].between(0.2, 0.42).all()
    assert lost_at_640 >= 3
