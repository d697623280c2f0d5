"""RAF-DB, AffectNet, ExpW and FHIBE as they lie on disk, and beside each a damaged one."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.cli import app as cli
from facelab.datasets.affectnet import affectnet
from facelab.datasets.expw import expw
from facelab.datasets.fhibe import fhibe
from facelab.datasets.ofiq import ofiq_quality
from facelab.datasets.raf_db import raf_db


def save(path, seed=0, size=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(path, "png")


# ---- RAF-DB

LANDMARKS = "37.1\t40.2\n61.0\t40.1\n49\t60\n39\t75\n60\t75\n"


@pytest.fixture
def raf(tmp_path):
    basic = tmp_path / "RAF" / "basic"
    names = ["train_00001", "train_00002", "test_0001"]
    for seed, name in enumerate(names):
        save(basic / "Image" / "aligned" / f"{name}_aligned.jpg", seed)
        save(basic / "Image" / "original" / f"{name}.jpg", seed + 9)
    (basic / "EmoLabel").mkdir()
    labels = "train_00001.jpg 6\r\ntrain_00002.jpg 7\r\ntest_0001.jpg 1\r\n"
    (basic / "EmoLabel" / "list_patition_label.txt").write_bytes(labels.encode())
    manual = basic / "Annotation" / "manual"
    manual.mkdir(parents=True)
    for name, told in zip(names, ("0\n1\n2", "2\n0\n4", "1\n2\n0"), strict=True):
        (manual / f"{name}_manu_attri.txt").write_text(LANDMARKS + told + "\n")
    return tmp_path / "RAF"


def test_raf_db_has_expressions_and_who_shows_them(raf):
    read = raf_db(raf)
    table = read.table.set_index("image")
    assert table.index.tolist() == ["test_0001.jpg", "train_00001.jpg", "train_00002.jpg"]
    assert table["expression"].tolist() == ["surprise", "angry", "neutral"]
    assert table["gender"].tolist() == ["female", "male", "unsure"]
    assert table["race"].tolist() == ["asian", "african-american", "caucasian"]
    assert table["age_group"].tolist() == ["0-3", "20-39", "70+"]
    assert table["age_group"].cat.categories.tolist()[0] == "0-3"
    assert table["split"].tolist() == ["test", "train", "train"]
    assert set(read.groups) == {"expression", "gender", "race", "age_group", "split"}
    other = raf_db(raf / "basic", images="original")
    assert other.table["expression"].tolist() == table["expression"].tolist()
    faces = fl.prepare(read, raf / "out", size=32, jobs=1)
    assert len(faces) == 3 and not faces.card["synthetic"]


def test_raf_db_without_attributes_has_expressions_alone(raf):
    for path in (raf / "basic" / "Annotation" / "manual").iterdir():
        path.unlink()
    (raf / "basic" / "Annotation" / "manual").rmdir()
    read = raf_db(raf)
    assert read.groups == ["expression", "split"]
    assert any("no gender, race and age" in note for note in read.notes)


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        ("EmoLabel/list_patition_label.txt", " 7", " 8", "line 2 has expression '8'"),
        ("EmoLabel/list_patition_label.txt", " 7", "", "line 2 has 1 words"),
        ("EmoLabel/list_patition_label.txt", "test_0001", "test_0009", "not among the images"),
        ("Annotation/manual/test_0001_manu_attri.txt", "39\t75\n", "", "has 7 lines"),
        ("Annotation/manual/test_0001_manu_attri.txt", "\n1\n2\n0", "\n5\n2\n0", "gender '5'"),
    ],
)
def test_what_is_wrong_in_raf_db_is_named(raf, file, old, new, match):
    path = raf / "basic" / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(fl.BadInput, match=match) as error:
        raf_db(raf)
    assert "\n" not in str(error.value)


# ---- AffectNet


def annotated(root, name, **values):
    save(root / "images" / f"{name}.jpg", int(name))
    (root / "annotations").mkdir(exist_ok=True)
    for kind, value in values.items():
        np.save(root / "annotations" / f"{name}_{kind}.npy", np.array(value))


@pytest.fixture
def affect(tmp_path):
    annotated(tmp_path / "AffectNet" / "train_set", "12", exp="7", val="-0.5", aro="0.25")
    annotated(tmp_path / "AffectNet" / "val_set", "3", exp=1, val=0.75, aro=-2.0)
    return tmp_path / "AffectNet"


def test_affectnet_is_read_from_one_file_an_annotation_text_or_number(affect):
    table = affectnet(affect).table
    assert table["image"].tolist() == ["train_set/images/12.jpg", "val_set/images/3.jpg"]
    assert table["expression"].tolist() == ["contempt", "happy"]
    assert table["split"].tolist() == ["train", "val"]
    assert table["valence"].tolist() == [-0.5, 0.75]
    assert table["arousal"].tolist()[0] == 0.25 and np.isnan(table["arousal"].tolist()[1])
    assert affectnet(affect / "val_set").table["image"].tolist() == ["images/3.jpg"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda f: f.unlink(), "no annotation .*12_exp.npy"),
        (lambda f: np.save(f, np.array("8")), "holds 8: AffectNet's expressions are 0 to 7"),
        (lambda f: np.save(f, np.array([1, 2])), "holds no number"),
        (lambda f: f.write_bytes(b"no npy"), "holds no number"),
        (lambda f: np.save(f, np.array({"a": 1}), allow_pickle=True), "holds no number"),
    ],
)
def test_a_bad_annotation_of_affectnet_is_named(affect, change, match):
    change(affect / "train_set" / "annotations" / "12_exp.npy")
    with pytest.raises(fl.BadInput, match=match):
        affectnet(affect)


TABLE = """subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,\
expression,valence,arousal
689/a.jpg,134,134,899,899,181.6;530.9,1,0.78,-0.05
392/b.jpg,20,21,40,41,1;2,10,-2,-2
"""


def test_the_older_tables_of_affectnet_keep_those_without_an_expression(tmp_path):
    images = tmp_path / "Manually_Annotated_Images"
    save(images / "689" / "a.jpg", 1)
    (tmp_path / "training.csv").write_text(TABLE)
    with pytest.raises(fl.BadInput, match=r"lacks 1 image of its tables, first '392/b.jpg'"):
        affectnet(tmp_path)
    assert "1 row of the tables have no image" in " ".join(affectnet(tmp_path, partial=True).notes)
    save(images / "392" / "b.jpg", 2)
    table = affectnet(tmp_path).table
    assert table["expression"].tolist() == ["happy", "no face"]
    assert table[["box_left", "box_width"]].values.tolist() == [[134, 899], [20, 40]]
    assert table["valence"].tolist()[0] == 0.78 and np.isnan(table["valence"].tolist()[1])


# ---- ExpW

LINES = """angry_actor_104.jpg 0 28 113 226 141 22.9362 0
gasp_woman_8.jpg 0 93 44 102 151 8.10 6
gasp_woman_8.jpg 2 30 300 400 130 29.1 3
"""


@pytest.fixture
def wild(tmp_path):
    for seed, name in enumerate(("angry_actor_104", "gasp_woman_8")):
        save(tmp_path / "ExpW" / "image" / "origin" / f"{name}.jpg", seed)
    (tmp_path / "ExpW" / "label").mkdir()
    (tmp_path / "ExpW" / "label" / "label.lst").write_text(LINES)
    return tmp_path / "ExpW"


def test_expw_has_a_row_a_face_with_its_box(wild):
    read = expw(wild)
    assert read.table["image"].tolist() == [
        "angry_actor_104.jpg", "gasp_woman_8.jpg face 0", "gasp_woman_8.jpg face 2",
    ]  # fmt: skip
    assert read.table["expression"].tolist() == ["angry", "neutral", "happy"]
    boxes = read.table[["box_left", "box_top", "box_width", "box_height"]]
    assert boxes.iloc[0].tolist() == [113, 28, 226 - 113, 141 - 28]
    assert any("1 photo shows several labelled faces" in note for note in read.notes)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (" 22.9362 0", " 22.9362 7", "line 1 has expression '7'"),
        (" 22.9362 0", " 0", "line 1 has 7 words where 8"),
        ("28 113 226", "28 x 226", "line 1 has a box of 28 x 226 141"),
        ("8.jpg 2 30", "8.jpg 0 30", "lists face 0 of 'gasp_woman_8.jpg' twice"),
        ("actor_104", "actor_105", "not among the images"),
    ],
)
def test_what_is_wrong_in_expw_is_named(wild, old, new, match):
    (wild / "label" / "label.lst").write_text(LINES.replace(old, new))
    with pytest.raises(fl.BadInput, match=match) as error:
        expw(wild)
    assert "\n" not in str(error.value)


# ---- FHIBE


@pytest.fixture
def release(tmp_path, real):
    """The layout of a release around the rows that its makers ship for tests, with grey faces."""
    root = tmp_path / f"fhibe.{date.today() - timedelta(days=3):%Y%m%d}.u_downsampled_public"
    rows = pd.read_csv(real / "fhibe" / "fhibe_face_crop_align.csv", dtype=str)
    for seed, name in enumerate(rows["filepath"]):
        save(root / name, seed)
    place = root / "data" / "processed" / "fhibe_face_crop_align"
    place.mkdir(parents=True)
    (place / "fhibe_face_crop_align.csv").write_bytes(
        (real / "fhibe" / "fhibe_face_crop_align.csv").read_bytes()
    )
    return root


@pytest.mark.real
def test_fhibe_keeps_several_values_and_the_day_of_its_release(release):
    read = fhibe(release.parent)
    table = read.table
    assert len(table) == 50 and table["subject"].nunique() == 49
    assert table["pronoun"].value_counts().to_dict() == {"he": 29, "she": 20, "she + they": 1}
    shades = table["apparent_skin_color"].value_counts()
    assert shades["0 (102, 78, 65)"] == 14 and shades["5 (198, 180, 157)"] == 2
    ancestry = table["ancestry"].value_counts()
    assert ancestry["africa"] + ancestry["asia"] > 40 and ancestry["asia + europe"] >= 1
    assert (table["ancestry_region"] == "southern africa").sum() == 10
    assert table["location_country"].isin(["kenya", "pakistan"]).sum() == 10
    assert (table["age_group"].cat.categories[3], table["age"].dtype.name) == ("20-29", "category")
    assert read.card["release"] == f"{date.today() - timedelta(days=3)}"
    assert not any("days old" in note for note in read.notes)
    assert any("1 image has several values of pronoun" in note for note in read.notes)
    faces = fl.prepare(read, release.parent / "out", size=32, jobs=1, aligned=True)
    assert faces.card["release"] == read.card["release"]


@pytest.mark.real
def test_an_old_release_of_fhibe_is_warned_of_and_an_unknown_one(release):
    old = fhibe(release, released="2025-07-16")
    assert any("days old (2025-07-16): people withdraw" in note for note in old.notes)
    assert old.card["release"] == "2025-07-16"
    plain = release.rename(release.with_name("faces"))
    assert any("Nothing says of which release" in note for note in fhibe(plain).notes)
    with pytest.raises(fl.BadInput, match="released is a day"):
        fhibe(plain, released="July")


CELLS = {
    "filepath": "a.png", "subject_id": "ada", "age": "31", "pronoun": "['0. She/her/hers']",
    "ancestry": "['0. Africa', '2. Eastern Africa']", "apparent_skin_color": "1. [136, 105, 81]",
}  # fmt: skip


def small(tmp_path, **changes):
    place = tmp_path / "data" / "processed" / "fhibe_face_crop_align"
    place.mkdir(parents=True)
    save(tmp_path / "a.png")
    rows = pd.DataFrame([{k: v for k, v in (CELLS | changes).items() if v is not None}])
    rows.to_csv(place / "fhibe_face_crop_align.csv", index=False)
    return tmp_path


def test_a_release_of_fhibe_as_small_as_can_be(tmp_path):
    table = fhibe(small(tmp_path, lighting="['0. From above', '5. From the right']")).table
    told = table[["pronoun", "ancestry", "ancestry_region", "lighting"]].iloc[0].tolist()
    assert told == ["she", "africa", "eastern africa", "from above + from the right"]
    [file] = tmp_path.rglob("*.csv")
    first, row = file.read_text().splitlines()
    file.write_text(f"{first}\n{row},\n")  # as a spreadsheet leaves an empty column behind
    pd.testing.assert_frame_equal(fhibe(tmp_path).table, table)


def test_the_day_of_a_release_is_given_on_the_command_line(tmp_path, capsys):
    words = ["prepare", "fhibe", str(small(tmp_path / "set")), "--aligned", "--jobs", "1"]
    assert cli.command([*words, "--out", str(tmp_path / "unsaid")]) == 0
    assert "Nothing says of which release these files are (released=, --released)" in (
        " ".join(capsys.readouterr().err.split())
    )
    said = ["--released", "2025-07-16", "--out", str(tmp_path / "said")]
    assert cli.command([*words, *said]) == 0
    assert fl.load(tmp_path / "said").card["release"] == "2025-07-16"
    assert "days old (2025-07-16)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"pronoun": None}, "no column 'pronoun'"),
        ({"pronoun": "['0. She"}, "line 2 has pronoun .* no list of values"),
        ({"pronoun": "[1, 2]"}, "no list of values"),
        ({"age": "about 30"}, "line 2 has age 'about 30'"),
        ({"filepath": "../a.png"}, "lies outside"),
        ({"filepath": "b.png"}, "names 'b.png', which is not there"),
    ],
)
def test_what_is_wrong_in_fhibe_is_named(tmp_path, changes, match):
    with pytest.raises(fl.BadInput, match=match) as error:
        fhibe(small(tmp_path, **changes))
    assert "\n" not in str(error.value)


# ---- OFIQ


@pytest.mark.real
def test_the_scores_of_ofiq_are_its_scalars(real):
    table = ofiq_quality(real / "ofiq" / "expected_results.csv")
    assert len(table) == 3 and table["quality"].tolist()[2] == 15
    assert table.shape[1] == 2 + 27
    assert table.loc[2, "MouthOcclusionPrevention"] == 0
    assert table["image"].str.endswith("c-09-mask.png").tolist() == [False, False, True]


def test_a_failure_to_assess_is_never_a_score(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text(
        "Sharpness.scalar;Filename;Sharpness;UnifiedQualityScore.scalar;\n"
        "-1;x/a.png;0;50\n30;b.png;12;-1;\n\n"
    )
    table = ofiq_quality(path)
    assert table.columns.tolist() == ["image", "quality", "Sharpness"]
    assert np.isnan(table.loc[0, "Sharpness"]) and np.isnan(table.loc[1, "quality"])
    assert table["Sharpness"].mean() == 30 and table["image"].tolist() == ["x/a.png", "b.png"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Filename;Sharpness\na;1\n", "is no table of OFIQ"),
        ("", "is no table of OFIQ"),
        ("Filename;Sharpness.scalar\n", "has no rows"),
        ("Filename;Sharpness.scalar\na.png;101\n", "line 2 has Sharpness.scalar '101'"),
        ("Filename;Sharpness.scalar\na.png;-2\n", "line 2 has"),
        ("Filename;Sharpness.scalar\na.png;good\n", "line 2 has Sharpness.scalar 'good'"),
        ("Filename;Sharpness.scalar\na.png;1;2\n", "line 2 has 3 cells where 2"),
    ],
)
def test_what_is_wrong_in_a_table_of_ofiq_is_named(tmp_path, text, match):
    (tmp_path / "q.csv").write_text(text)
    with pytest.raises(fl.BadInput, match=match):
        ofiq_quality(tmp_path / "q.csv")
