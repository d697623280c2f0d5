"""Readers: what lies on disk becomes a table, and every disagreement is one sentence."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab import datasets

NAMES = {"Ada_Lovelace": 3, "Grace_Hopper": 2, "Alan_Turing": 1}


def write_image(path, seed, size=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """A miniature LFW: aligned/Name/Name_0001.jpg, labels.csv and a flat folder of photos."""
    labels = ["file,identity,gender,race"]
    for seed, (name, count) in enumerate(NAMES.items()):
        for number in range(1, count + 1):
            file = f"{name}_{number:04d}.jpg"
            write_image(tmp_path / "aligned" / name / file, seed * 10 + number)
            race = {"Ada_Lovelace": "caucasian", "Grace_Hopper": '"african,caucasian"'}.get(name)
            labels.append(f"{file},{name},{'M' if name == 'Alan_Turing' else 'F'},{race or ''}")
    # CR LF line ends, as the file comes from a spreadsheet.
    (tmp_path / "labels.csv").write_text("\r\n".join(labels) + "\r\n", newline="")
    write_image(tmp_path / "photos" / "Ada_Lovelace_0001.jpg", 1)
    return tmp_path


def edit_labels(root, edit):
    lines = (root / "labels.csv").read_text().splitlines()
    (root / "labels.csv").write_text("\n".join(edit(lines)) + "\n")


def test_lfw_is_read_from_the_folder_above_its_names(root):
    reader = datasets.lfw(root)
    assert len(reader) == 6
    assert reader.root == root / "aligned"
    assert reader.table["subject"].value_counts().to_dict() == NAMES
    assert "Ada_Lovelace_0002.jpg" in set(reader.table["image"])
    assert reader.groups == ["gender", "race"]
    assert reader.card["synthetic"] is False
    assert reader.card["licence"] == "research use"
    pd.testing.assert_frame_equal(reader.table, datasets.lfw(root / "aligned").table)


def test_several_races_are_no_single_group_and_empty_is_missing(root):
    table = datasets.lfw(root).table.set_index("image")
    assert table["race"].cat.categories.tolist() == ["caucasian", "multiple"]
    assert table["race"]["Grace_Hopper_0001.jpg"] == "multiple"
    assert pd.isna(table["race"]["Alan_Turing_0001.jpg"])
    assert table["gender"]["Alan_Turing_0001.jpg"] == "male"
    notes = " ".join(datasets.lfw(root).notes)
    assert "2 images whose source names more than one race" in notes
    assert "1 of 6 images have no race" in notes


def test_a_flat_folder_takes_its_subjects_from_the_file_names(root):
    reader = datasets.lfw(root / "photos", partial=True)
    assert reader.table[["subject", "image"]].to_numpy().tolist() == [
        ["Ada_Lovelace", "Ada_Lovelace_0001.jpg"]
    ]
    assert reader.table["gender"].tolist() == ["female"]
    assert not any("passed over" in note for note in reader.notes)


def test_labels_of_absent_images_are_refused_unless_the_set_is_partial(root):
    (root / "aligned/Ada_Lovelace/Ada_Lovelace_0003.jpg").unlink()
    with pytest.raises(fl.BadInput, match=r"'Ada_Lovelace_0003.jpg'.*1 of its 6 rows.*--partial"):
        datasets.lfw(root)
    assert len(datasets.lfw(root, partial=True)) == 5


def test_images_without_a_label_row_stay_unlabelled_and_are_counted(root):
    edit_labels(root, lambda lines: lines[:-1])
    reader = datasets.lfw(root)
    assert "1 of 6 images have no row in the label file" in reader.notes[0]
    assert reader.table["gender"].isna().sum() == 1


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda ls: [*ls, ls[1]], r"lists 'Ada_Lovelace_0001.jpg' 2 times \(1 image is"),
        (lambda ls: [*ls, ls[1].replace("F", "M")], r"2 times with different labels"),
        (
            lambda ls: [ls[0], ls[1].replace(",Ada_Lovelace", ",Ada_King"), *ls[2:]],
            r"'Ada_Lovelace_0001.jpg' shows 'Ada_King'.*1 such image",
        ),
        (lambda ls: [ls[0].replace("gender", "sex"), *ls[1:]], r"no column 'gender'.*file, iden"),
        (lambda ls: [line.replace(",F,", ",X,") for line in ls], r"gender 'X' \(5 such rows\)"),
        (lambda ls: [*ls, "a,b,c,d,e,f"], r"cannot be read as a csv file"),
        (lambda ls: [], r"cannot be read as a csv file"),
    ],
)
def test_a_wrong_label_file_is_one_sentence(root, edit, sentence):
    lines = edit((root / "labels.csv").read_text().splitlines())
    (root / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        datasets.lfw(root)
    assert "\n" not in str(caught.value).strip()


def test_a_folder_that_is_not_lfw_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        datasets.lfw(tmp_path / "nowhere")
    with pytest.raises(fl.BadInput, match="does not hold LFW"):
        datasets.lfw(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(fl.BadInput, match="is not a folder"):
        datasets.lfw(tmp_path / "file")


def test_lfw_held_twice_asks_which(root):
    write_image(root / "funneled" / "Ada_Lovelace" / "Ada_Lovelace_0001.jpg", 1)
    with pytest.raises(fl.BadInput, match=r"more than once \(aligned, funneled\)"):
        datasets.lfw(root)
    assert len(datasets.lfw(root / "aligned")) == 6


def test_an_image_in_the_wrong_folder_is_named(root):
    write_image(root / "aligned/Ada_Lovelace/Alan_Turing_0002.jpg", 5)
    with pytest.raises(fl.BadInput, match=r"Alan_Turing_0002\.jpg is not named as LFW"):
        datasets.lfw(root)


def test_a_missing_label_file_is_said(root):
    (root / "labels.csv").unlink()
    reader = datasets.lfw(root)
    assert reader.groups == []
    assert "No label file" in reader.notes[0]
    with pytest.raises(FileNotFoundError, match="there is no label file"):
        datasets.lfw(root, labels=root / "labels.csv")


def test_a_folder_a_subject_with_its_labels(tmp_path):
    for subject in ("a", "b"):
        for number in range(2):
            write_image(tmp_path / "faces" / subject / f"{number}.png", number)
    (tmp_path / "faces" / "a" / "notes.txt").write_text("no image")
    (tmp_path / "faces" / "loose.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("file,age_group\na/0.png,young\nb/1.png,NA\n")
    reader = datasets.folder(tmp_path / "faces", labels=tmp_path / "labels.csv")
    assert reader.table["image"].tolist() == ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    assert reader.table["age_group"].astype(object).tolist()[0] == "young"
    assert reader.table["age_group"].tolist()[3] == "NA"
    assert reader.table["age_group"].isna().sum() == 2
    assert "2 files were passed over" in reader.notes[0]
    assert "2 of 4 images have no row" in reader.notes[1]
    (tmp_path / "labels.csv").write_text("file,subject\na/0.png,a\n")
    with pytest.raises(fl.BadInput, match="column 'subject'"):
        datasets.folder(tmp_path / "faces", labels=tmp_path / "labels.csv")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(fl.BadInput, match="holds no images: expected one sub-folder a subject"):
        datasets.folder(tmp_path)


def test_a_file_name_outside_utf8_becomes_printable(tmp_path):
    folder = os.fsencode(tmp_path / "a")
    os.mkdir(folder)
    with open(folder + b"/\xff\n.png", "wb") as file:
        file.write(b"x")
    reader = datasets.folder(tmp_path)
    assert reader.table["image"].tolist() == ["a/\\xff\n.png"]
    assert os.path.exists(reader.table["path"][0])


PAIRS = """2\t2
Ada_Lovelace\t1\t2
Ada_Lovelace 1   3
Ada_Lovelace\t1\tGrace_Hopper\t1
Ada_Lovelace\t2\tAlan_Turing\t1

Grace_Hopper\t1\t2
Ada_Lovelace\t3\t2
Alan_Turing\t1\tGrace_Hopper\t2
Ada_Lovelace\t3\tAlan_Turing\t1
"""


def test_pairs_are_read_with_tabs_spaces_and_blank_lines(root):
    (root / "pairs.txt").write_text(PAIRS)
    pairs = datasets.lfw_pairs(root / "pairs.txt", datasets.lfw(root).table)
    assert pairs["fold"].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    assert pairs["mated"].tolist() == [True, True, False, False] * 2
    assert pairs.iloc[1].tolist() == [1, "Ada_Lovelace_0001.jpg", "Ada_Lovelace_0003.jpg", True]
    assert pairs.iloc[6].tolist() == [2, "Alan_Turing_0001.jpg", "Grace_Hopper_0002.jpg", False]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("2\t2\n", "hello\n", "line 1 must say `folds pairs`"),
        ("2\t2\n", "10\t300\n", "promises 6000 pairs .* and has 8"),
        ("Ada_Lovelace\t1\t2", "Ada_Lovelace\t1", "line 2 has 2 words where a mated pair"),
        ("1\tGrace_Hopper\t1", "1\t2", "line 4 has 3 words where a non-mated pair"),
        ("Ada_Lovelace\t1\t2", "Ada_Lovelace\tx\t2", "line 2 has 'Ada_Lovelace x 2' where"),
        ("Ada_Lovelace\t1\t2", "Ada_Lovelace\t1\t1", "line 2 compares .* with itself"),
        ("1\tGrace_Hopper\t1", "1\tAda_Lovelace\t2", "line 4 calls two images of Ada_Lovelace"),
        (
            "Ada_Lovelace\t1\t2",
            "Ada_Lovelace\t1\t9",
            r"'Ada_Lovelace_0009.jpg'.*\(1 such image, in 1 pair\)",
        ),
    ],
)
def test_a_wrong_pair_line_is_named(root, old, new, sentence):
    (root / "pairs.txt").write_text(PAIRS.replace(old, new, 1))
    with pytest.raises(fl.BadInput, match=sentence):
        datasets.lfw_pairs(root / "pairs.txt", datasets.lfw(root).table)


def test_a_single_fold_has_one_number_in_its_first_line(root):
    text = PAIRS.split("\n\n")[0].replace("2\t2", "2")
    (root / "pairs.txt").write_text(text)
    assert datasets.lfw_pairs(root / "pairs.txt")["fold"].tolist() == [1] * 4
    (root / "pairs.txt").write_text("")
    with pytest.raises(fl.BadInput, match="line 1 must say"):
        datasets.lfw_pairs(root / "pairs.txt")
    with pytest.raises(FileNotFoundError, match="there is no pair list"):
        datasets.lfw_pairs(root / "none.txt")


@pytest.mark.real
def test_the_real_labels_keep_mixed_people_out_of_single_groups(real):
    reader = datasets.lfw(real / "lfw")
    counts = reader.table["race"].value_counts()
    assert len(reader) == 7701
    assert (counts["caucasian"], counts["african"], counts["multiple"]) == (1474, 103, 207)
    assert reader.table["gender"].value_counts().to_dict() == {"male": 5763, "female": 1932}
    pairs = datasets.lfw_pairs(real / "lfw" / "pairs.txt", reader.table)
    assert pairs.groupby(["fold", "mated"]).size().tolist() == [300] * 20
