"""FairFace, UTKFace and FER2013: sets that say what is seen in a face, and not whose it is."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.datasets.fairface import fairface, unmangled
from facelab.datasets.fer2013 import fer2013
from facelab.datasets.utkface import utkface


def picture(seed, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def save(path, seed, size=32):
    """A lossless image under any name: what is in the file, not its suffix, says how to read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, size)).save(path, "png")


FAIRFACE = """file,age,gender,race,service_test
val/1.jpg,03-Sep,Male,East Asian,TRUE
val/2.jpg,9-Mar,Female,Latino_Hispanic,FALSE
val/3.jpg,Oct-19,Female,Middle Eastern,FALSE
val/4.jpg,19-Oct,Male,Southeast Asian,TRUE
val/5.jpg,more than 70,Male,White,FALSE
val/6.jpg,20-29,Female,Black,TRUE
"""


@pytest.fixture
def fairface_root(tmp_path):
    (tmp_path / "fairface_label_val.csv").write_text(FAIRFACE)
    for number in range(1, 7):
        save(tmp_path / "val" / f"{number}.jpg", number)
    return tmp_path


def test_fairface_ages_come_back_from_dates_and_the_repair_is_reported(fairface_root):
    read = fairface(fairface_root)
    table = read.table.set_index("image")
    assert table["age_group"].tolist() == ["3-9", "3-9", "10-19", "10-19", "70+", "20-29"]
    assert table["age_group"].cat.categories[:3].tolist() == ["0-2", "3-9", "10-19"]
    assert table["race"].tolist() == [
        "east asian",
        "latino hispanic",
        "middle eastern",
        "southeast asian",
        "white",
        "black",
    ]
    assert table["gender"].tolist() == ["male", "female", "female", "male", "male", "female"]
    assert table["service_test"].tolist() == ["yes", "no", "no", "yes", "no", "yes"]
    assert table["split"].unique().tolist() == ["val"]
    assert table["subject"].is_unique
    assert read.card["licence"] == "CC BY 4.0"
    assert read.notes[0].startswith("4 of 6 ages in fairface_label_val.csv")
    assert "03-Sep to 3-9 (1), 19-Oct to 10-19 (1), 9-Mar to 3-9 (1)" in read.notes[0]
    faces = fl.prepare(read, fairface_root / "out", size=32, jobs=1)
    for row in range(6):
        np.testing.assert_array_equal(faces.crops[row], picture(row + 1))


@pytest.mark.parametrize(
    ("mangled", "age"),
    [
        ("3-Sep", "3-9"),
        ("03-Sep", "3-9"),
        ("Sep-03", "3-9"),
        ("Mar-09", "3-9"),
        ("9-Mar", "3-9"),
        ("Oct-19", "10-19"),
        ("19-Oct", "10-19"),
        ("20-29", "20-29"),
        ("more than 70", "more than 70"),
        ("4-Sep", "4-Sep"),
        ("3-Foo", "3-Foo"),
    ],
)
def test_only_dates_that_were_age_groups_are_turned_back(mangled, age):
    assert unmangled(mangled) == age


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("9-Mar", "4-Sep", r"age '4-Sep' in line 3 \(1 such row\)"),
        ("White", "Purple", r"race 'Purple' in line 6"),
        ("val/6.jpg", "val/7.jpg", r"names 'val/7.jpg', which is not among the images"),
        ("val/6.jpg", "val/1.jpg", r"lists 'val/1.jpg' 2 times"),
        (",race,", ",ethnicity,", r"has no column 'race'"),
    ],
)
def test_a_wrong_fairface_label_is_named(fairface_root, old, new, sentence):
    (fairface_root / "fairface_label_val.csv").write_text(FAIRFACE.replace(old, new))
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        fairface(fairface_root)
    assert "\n" not in str(caught.value)


def test_fairface_without_its_labels_or_images_is_refused(fairface_root):
    with pytest.raises(fl.BadInput, match="holds no images in train or val"):
        fairface(fairface_root / "val", labels=fairface_root / "fairface_label_val.csv")
    (fairface_root / "fairface_label_val.csv").unlink()
    with pytest.raises(fl.BadInput, match=r"holds no fairface_label_train.csv or"):
        fairface(fairface_root)


@pytest.mark.real
def test_the_real_fairface_sample_is_read_whole(real):
    read = fairface(real / "fairface")
    assert len(read) == 700
    counts = read.table["age_group"].value_counts()
    # Counted in the csv: 85 of 03-Sep, 72 of Oct-19, 8 of "more than 70".
    assert (counts["3-9"], counts["10-19"], counts["70+"]) == (85, 72, 8)
    assert read.table.groupby(["race", "gender"], observed=True).size().tolist() == [50] * 14
    assert "157 of 700 ages" in read.notes[0]
    assert "03-Sep to 3-9 (85), Oct-19 to 10-19 (72)" in read.notes[0]


UTKFACE = {
    "100_1_0_20170117195420803.jpg.chip.jpg": (100, "female", "white"),
    "1_0_4_20161219140623097.jpg": (1, "male", "other"),
    "24_0_1_20170116220224657 .jpg": (24, "male", "black"),
    "26_1_3_20170117153857363.jpg.chip.jpg": (26, "female", "indian"),
    "44_1_2_20170116235150272.pg.chip.jpg": (44, "female", "asian"),
    "53__0_20170116184028385.jpg": (53, None, "white"),
    "55_0_0_20170116232725357jpg.chip.jpg": (55, "male", "white"),
    "61_1_20170109142408075.jpg.chip.jpg": (61, "female", None),
    "61_3_20170109150557335.jpg.chip.jpg": (61, None, "indian"),
}


def test_utkface_names_are_read_with_their_published_slips(tmp_path):
    for seed, name in enumerate(UTKFACE):
        save(tmp_path / "part1" / name, seed)
    read = utkface(tmp_path)
    table = read.table.set_index(read.table["image"].str.removeprefix("part1/"))
    for name, (age, gender, race) in UTKFACE.items():
        got = [table[column][name] for column in ("age", "gender", "race")]
        assert [None if pd.isna(value) else value for value in got] == [str(age), gender, race]
    assert table["age_group"][next(iter(UTKFACE))] == "70+"
    assert table["age"].cat.categories.tolist()[:3] == ["1", "24", "26"]
    assert "2 of 9 names lack the gender" in read.notes[0]
    assert "1 of 9 names lack the race" in read.notes[1]
    faces = fl.prepare(read, tmp_path / "out", size=32, jobs=1)
    order = dict(zip(faces.table["image"], faces.crops, strict=True))
    for seed, name in enumerate(UTKFACE):
        np.testing.assert_array_equal(order[f"part1/{name}"], picture(seed))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("face.jpg", "'face.jpg' is not named as UTKFace"),
        ("20_7_1_20170117195420803.jpg", "has gender '7'"),
        ("20_1_9_20170117195420803.jpg", "has race '9'.*4 other"),
        ("200_1_1_20170117195420803.jpg", "has age 200"),
    ],
)
def test_a_wrong_utkface_name_is_named(tmp_path, name, sentence):
    save(tmp_path / name, 0)
    with pytest.raises(fl.BadInput, match=sentence):
        utkface(tmp_path)


def gray(seed):
    return np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)


def fer_csv(path, header="emotion,pixels,Usage", ends="\n"):
    """As the contest wrote it; icml_face_data.csv has `emotion, Usage, pixels`."""
    usage = ["Training", "Training", "PublicTest", "PrivateTest"] * 2
    names = [name.strip() for name in header.split(",")]
    lines = [header]
    for row in range(8):
        image = np.zeros((48, 48), int) if row == 7 else gray(row)
        cells = {"emotion": str(row % 7), "pixels": " ".join(map(str, image.flat))}
        lines.append(",".join({**cells, "Usage": usage[row]}[name] for name in names))
    path.write_text(ends.join(lines) + ends, newline="")
    return path


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion, Usage, pixels"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_pixel_of_the_fer2013_csv_comes_through(tmp_path, header, ends):
    read = fer2013(fer_csv(tmp_path / "fer2013.csv", header, ends))
    expected = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "angry"]
    assert read.table["expression"].tolist() == expected
    assert read.table["split"].tolist()[:4] == ["train", "train", "public test", "private test"]
    assert read.notes[0] == "1 image is of one single gray, without a face."
    faces = fl.prepare(read, tmp_path / "out", size=48, jobs=1)
    assert faces.table["image"].tolist() == [f"row0000{row}" for row in range(8)]
    for row in range(7):
        np.testing.assert_array_equal(faces.crops[row], np.repeat(gray(row)[..., None], 3, 2))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("\n2,", "\n9,", "line 4 has emotion '9'"),
        ("PublicTest", "Testing", "line 4 has Usage 'Testing'"),
        ("\n3,", "\n3,256 ", "line 5 has pixels that are no whole numbers"),
        ("\n3,", "\n3,7 ", "line 5 has 2305 pixels where 48 x 48"),
        ("\n3,", "\n3,,", "line 5 has 4 cells where 3"),
        ("emotion", "feeling", "no column 'emotion'"),
    ],
)
def test_a_wrong_line_of_the_fer2013_csv_is_named(tmp_path, old, new, sentence):
    path = fer_csv(tmp_path / "fer2013.csv")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        fer2013(path)
    assert len(str(caught.value)) < 400


def test_fer2013_as_folders(tmp_path):
    save(tmp_path / "train" / "happy" / "Training_1.jpg", 0, 48)
    save(tmp_path / "test" / "sad" / "PrivateTest_2.jpg", 1, 48)
    read = fer2013(tmp_path)
    assert read.table[["image", "expression", "split"]].to_numpy().tolist() == [
        ["test/sad/PrivateTest_2.jpg", "sad", "test"],
        ["train/happy/Training_1.jpg", "happy", "train"],
    ]
    assert fer2013(tmp_path / "test").table["split"].tolist() == ["private test"]
    save(tmp_path / "train" / "bored" / "1.jpg", 2, 48)
    with pytest.raises(fl.BadInput, match=r"'train/bored/1.jpg'.*not in a folder named"):
        fer2013(tmp_path)


@pytest.mark.real
def test_the_real_fer2013_sample_is_read_whole(real):
    read = fer2013(real / "fer2013")
    assert len(read) == 350
    assert read.table["expression"].value_counts().tolist() == [50] * 7
