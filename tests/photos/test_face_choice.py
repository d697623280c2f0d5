"""Which of several faces a photo is about, and when none is: chosen, set aside and counted."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.datasets.reader import BOX_COLUMNS
from facelab.errors import Unusable
from facelab.faces.template import TEMPLATE
from facelab.photos.alignment import align
from facelab.photos.detection import Face, main_face

# Left, top, width, height in a photo of 200 x 100: in the corner, in the middle, and a large one.
CORNER, MIDDLE, LARGE = (0, 0, 40, 50), (95, 45, 20, 24), (130, 20, 60, 70)
COLOURS = {(255, 0, 0): CORNER, (0, 255, 0): MIDDLE, (0, 0, 255): LARGE}


class Coloured:
    """Finds the rectangles of pure red, green and blue."""

    name = "coloured"

    def detect(self, photo):
        faces = []
        for colour in COLOURS:
            y, x = np.nonzero((photo == colour).all(axis=2))
            if len(y):
                box = np.array([x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1], float)
                faces.append(Face(box, box[:2] + box[2:] * (TEMPLATE / 112), 0.9))
        return faces

    def refine(self, photo, face):
        return face


def photo_of(*colours):
    photo = np.full((100, 200, 3), 100, np.uint8)
    for colour in colours:
        left, top, width, height = COLOURS[colour]
        photo[top : top + height, left : left + width] = colour
    return photo


RED, GREEN, BLUE = COLOURS


@pytest.fixture
def photos(tmp_path):
    """Photos of all three faces, of the two small ones, of the small one alone, and of none."""
    shown = {
        "a/all": (RED, GREEN, BLUE),
        "a/two": (RED, GREEN),
        "b/small": (GREEN,),
        "b/none": (),
    }
    for name, colours in shown.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo_of(*colours)).save(path)
    return tmp_path / "photos"


def prepared(photos, tmp_path, **options):
    """The colour in the middle of each crop, the reasons of the rejects, and the card."""
    faces = fl.prepare(
        photos, tmp_path / "out", detector=Coloured(), jobs=1, replace=True, **options
    )
    rejects = pd.read_parquet(tmp_path / "out" / "rejects.parquet")
    names = faces.table["image"].str.removesuffix(".png")
    colours = {
        name: tuple(crop[48:64, 48:64].reshape(-1, 3).mean(axis=0).round())
        for name, crop in zip(names, faces.crops, strict=True)
    }
    return colours, dict(zip(rejects["image"], rejects["reason"], strict=True)), faces


@pytest.mark.parametrize(
    ("face", "expected"),
    [
        # Area less twice the squared distance of the centre from (100, 50): red 2000 - 2 (80² +
        # 25²), green 480 - 2 (5² + 7²), blue 4200 - 2 (60² + 5²).
        ("prominent", {"a/all": GREEN, "a/two": GREEN, "b/small": GREEN}),
        ("largest", {"a/all": BLUE, "a/two": RED, "b/small": GREEN}),
        ("central", {"a/all": GREEN, "a/two": GREEN, "b/small": GREEN}),
    ],
)
def test_the_chosen_face_is_in_the_crop(photos, tmp_path, face, expected):
    colours, rejects, faces = prepared(photos, tmp_path, face=face)
    assert colours == expected
    assert rejects == {"b/none.png": "no face was found in it"}
    assert faces.table["faces_found"].tolist() == [3, 2, 1]
    sizes = {RED: 40, GREEN: 20, BLUE: 60}
    assert faces.table["face_size"].tolist() == [sizes[expected[name]] for name in expected]


def labelled(photos, tmp_path, rows):
    table = pd.DataFrame(rows, columns=["path", "subject", "gender", *BOX_COLUMNS])
    table.to_csv(tmp_path / "labels.csv", index=False)
    return fl.datasets.table(tmp_path / "labels.csv", photos)


def test_the_labelled_face_is_the_one_in_the_labels_box(photos, tmp_path):
    reader = labelled(
        photos,
        tmp_path,
        [
            ("a/all.png", "a", "female", 5, -10, 45, 70),  # loose, around the red one
            ("a/two.png", "a", "female", 130, 20, 60, 70),  # where the blue one is not
            ("b/small.png", "b", "male", "", "", "", ""),
            ("b/none.png", "b", "male", 1, 2, 3, 4),
        ],
    )
    colours, rejects, faces = prepared(reader, tmp_path, face="labelled")
    assert colours == {"a/all": RED}
    assert rejects == {
        "a/two.png": "no face was found where its label says (2 elsewhere)",
        "b/small.png": "its label has no box",
        "b/none.png": "no face was found in it",
    }
    assert list(faces.card["failure_to_acquire"]["by_group"]) == ["gender"]


def test_of_faces_in_the_labels_box_the_one_that_fills_it_most_is_taken():
    def face(*box):
        return Face(np.array(box, float), TEMPLATE, 0.9)

    box = np.array([10, 10, 100, 100])
    small, tight, beside = face(50, 50, 20, 20), face(15, 12, 90, 95), face(60, 10, 110, 100)
    assert main_face([small, tight, beside], 500, 500, "labelled", box) is tight
    assert main_face([small, beside], 500, 500, "labelled", box) is small
    for nothing in (None, np.array([10, 10, 0, 5]), np.array([10, 10, np.nan, 5])):
        with pytest.raises(Unusable, match="its label has no box"):
            main_face([tight], 500, 500, "labelled", nothing)


def test_faces_that_are_too_small_are_set_aside_with_their_size(photos, tmp_path):
    colours, rejects, faces = prepared(photos, tmp_path, face="largest", min_face=41)
    assert colours == {"a/all": BLUE}
    assert rejects == {
        "a/two.png": "its face is too small: 40 px, less than 41",
        "b/none.png": "no face was found in it",
        "b/small.png": "its face is too small: 20 px, less than 41",
    }
    assert faces.card["failure_to_acquire"]["rejected"] == 3


def test_photos_of_several_similar_faces_are_set_aside_where_that_is_asked_for(photos, tmp_path):
    colours, rejects, _ = prepared(photos, tmp_path, face="largest", rivals=0.4)
    # Red has 2000 of blue's 4200 px and green has 480 of red's 2000.
    assert colours == {"a/two": RED, "b/small": GREEN}
    assert rejects["a/all.png"] == (
        "its face is not the only one: 1 more with at least 40% of its area"
    )
    assert "a/all" in prepared(photos, tmp_path, face="largest", rivals=0.5)[0]


class Placed:
    """Finds a face that takes a given share of the photo's height, and keeps what it was shown."""

    name = "placed"

    def __init__(self, share):
        self.share, self.shown = share, []

    def detect(self, photo):
        side = self.share * photo.shape[0]
        middle = np.array(photo.shape[1::-1]) / 2
        box = np.array([*(middle - side / 2), side, side])
        return [Face(box, middle + (TEMPLATE - 56) / 112 * side * 1.25, 0.9)]

    def refine(self, photo, face):
        self.shown.append(photo.shape)
        return face


@pytest.mark.parametrize(("share", "shown"), [(0.3, (1300, 1600, 3)), (0.1, (2600, 3200, 3))])
def test_a_huge_jpeg_is_read_at_half_its_size_where_the_crop_is_none_the_worse(
    tmp_path, share, shown
):
    y, x = np.mgrid[:2600, :3200] / 40
    photo = np.stack([np.sin(x), np.sin(y), np.cos(x + y)], axis=-1)
    photo = (127 + 100 * photo).astype(np.uint8)
    place = tmp_path / "photos" / "a"
    place.mkdir(parents=True)
    Image.fromarray(photo).save(place / "0.jpg", quality=95)
    detector = Placed(share)
    faces = fl.prepare(tmp_path / "photos", tmp_path / "out", detector=detector, jobs=1)
    assert detector.shown == [shown]
    assert faces.table["face_size"].tolist() == [2600 * share]
    whole = align(photo, detector.detect(photo)[0].landmarks)
    off = np.abs(faces.crops[0].astype(int) - whole)
    assert off.mean() < 1.5
    assert off.max() < 12


def test_options_that_cannot_be_are_one_sentence(photos, tmp_path):
    with pytest.raises(fl.BadInput, match="face must be 'prominent', 'largest', 'central' or 'lab"):
        prepared(photos, tmp_path, face="best")
    with pytest.raises(fl.BadInput, match=r"needs the columns box_left, .* has no box_left"):
        prepared(photos, tmp_path, face="labelled")
    with pytest.raises(fl.BadInput, match="`rivals` must be a share from 0 to 1"):
        prepared(photos, tmp_path, rivals=50)
    with pytest.raises(fl.BadInput, match="`min_face` must be 0 or more pixels, not -1"):
        prepared(photos, tmp_path, min_face=-1)
    with pytest.raises(fl.BadInput, match="choose among detected faces: give a detector"):
        fl.prepare(photos, tmp_path / "out", face="largest")
    reader = labelled(photos, tmp_path, [("a/all.png", "a", "female", "left", 0, 5, 5)])
    with pytest.raises(fl.BadInput, match="the boxes of labels are not all numbers"):
        prepared(reader, tmp_path, face="labelled")


def test_two_labelled_faces_of_one_photo_are_no_copies_of_each_other(photos, tmp_path):
    path = str(photos / "a" / "all.png")
    boxes = [(5, -10, 45, 70), (130, 20, 60, 70), (130, 20, 60, 70)]
    table = pd.DataFrame(boxes, columns=list(BOX_COLUMNS))
    table["path"] = path
    table["subject"] = table["image"] = ["face 0", "face 1", "face 1 again"]
    reader = fl.datasets.Reader("faces", photos, table, {"synthetic": True})
    colours, rejects, _ = prepared(reader, tmp_path, face="labelled")
    assert colours == {"face 0": RED, "face 1": BLUE}
    assert rejects == {"face 1 again": "it has the same bytes as face 1, another subject"}
