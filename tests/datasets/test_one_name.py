"""One person, one name: every reader matches text from disk with text from files by one rule."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folders import photos, tree
from hypothesis import given, settings
from hypothesis import strategies as st

import facelab as fl
from facelab.datasets.pair_lists import listed_in

NFC, NFD = (unicodedata.normalize(form, "Zoé_Müller") for form in ("NFC", "NFD"))
SPELT = pytest.mark.parametrize(("disk", "text"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])


def test_two_folders_of_one_name_are_one_person_and_no_photo_is_lost(tmp_path):
    photos(
        tmp_path / "set", f"{NFC}/1.jpg", f"{NFD}/1.jpg", f"{NFD}/2.jpg", "bea /1.jpg", "bea/2.jpg"
    )
    read = fl.datasets.folder(tmp_path / "set")
    assert read.table.groupby("subject").size().to_dict() == {NFC: 3, "bea": 2}
    assert sorted(read.table["image"]) == sorted(
        [f"{NFC}/1.jpg", f"{NFC}/1.jpg (2)", f"{NFC}/2.jpg", "bea /1.jpg", "bea/2.jpg"]
    )
    faces = fl.prepare(read, tmp_path / "out", size=32, jobs=1)
    assert len(faces) == 5 and len(faces.subjects) == 2


@SPELT
@pytest.mark.parametrize("suffix", ["jpg", "JPG", "png", "pgm", "ppm"])
@pytest.mark.parametrize("above", ["", "lfw/", "lfw/lfw/", "lfw/lfw-deepfunneled/"])
def test_lfw(tmp_path, disk, text, suffix, above):
    names = [f"{disk}_0001.{suffix}", f"{disk}_0002.{suffix}"]
    tree(tmp_path, *(f"{above}{disk}/{name}" for name in names), f"{above}Ada/Ada_0001.{suffix}")
    tree(tmp_path, f"__MACOSX/{above}{disk}/._{names[0]}")
    rows = [f"{text}_0001.jpg,{text},F,", f"x\\{text}_0002.png, {text} ,F,", "Ada_0001.jpg,Ada,M,"]
    (tmp_path / "labels.csv").write_text("\n".join(["file,identity,gender,race", *rows]))
    (tmp_path / "pairs.txt").write_text(f"1\n{text}\t1\t2\n{text}\t1\tAda\t1\n")
    read = fl.datasets.lfw(tmp_path)
    assert read.table["subject"].tolist().count(NFC) == 2
    assert sorted(read.table["gender"]) == ["female", "female", "male"]
    pairs = fl.datasets.lfw_pairs(tmp_path / "pairs.txt", read.table)
    assert set(pairs["image_a"]) | set(pairs["image_b"]) == set(read.table["image"])


@pytest.mark.parametrize("above", ["", "lfw/", "lfw/flat/"])
def test_lfw_without_folders_of_names(tmp_path, above):
    tree(tmp_path, f"{above}{NFD}_0001.pgm", f"{above}Ada_0001.pgm")
    assert fl.datasets.lfw(tmp_path).table["subject"].tolist() == ["Ada", NFC]


@SPELT
def test_vggface2_and_its_table_of_people(tmp_path, disk, text):
    tree(tmp_path, f"VGG-Face2/data/train/{disk}/1.jpg")
    (tmp_path / "identity_meta.csv").write_text(f"Class_ID, Gender\n{text}, f\n")
    read = fl.datasets.vggface2(tmp_path)
    assert read.table["subject"].tolist() == [NFC]
    assert read.table["gender"].tolist() == ["female"]


@SPELT
def test_rfw_and_its_pairs(tmp_path, disk, text):
    races = ("African", "Asian", "Caucasian", "Indian")
    for race in races:
        who = f"{disk}_{race}"
        tree(tmp_path / "test/data" / race, f"{who}/{who}_0001.jpg", f"{who}/{who}_0002.jpg")
        tree(tmp_path / "test/data" / race, f"b{who}/b{who}_0001.jpg")
        lines = [f"{text}_{race} 1 2\n", f"{text}_{race} 1 b{text}_{race} 1\n"] * 10
        tree(tmp_path / "test/txts" / race, f"{race}_pairs.txt")
        (tmp_path / "test/txts" / race / f"{race}_pairs.txt").write_text("".join(lines))
    for root in (tmp_path, tmp_path / "test"):
        read = fl.datasets.rfw(root)
        pairs = fl.datasets.rfw_pairs(root, read.table)
        assert len(pairs) == 80
        assert set(pairs["image_a"]) | set(pairs["image_b"]) == set(read.table["image"])
        assert set(pairs["subject_a"]) < set(read.table["subject"])


@SPELT
def test_a_table_of_paths_meets_the_disk(tmp_path, disk, text):
    photos(tmp_path, f"{disk}/1.JPG", "Ada/2.png")
    frame = pd.DataFrame({"path": [f"{text}\\1.jpg", "Ada/2.PNG"], "subject": [f" {text}", "Ada "]})
    frame.to_csv(tmp_path / "faces.csv", index=False)
    faces = fl.prepare(fl.datasets.table(tmp_path / "faces.csv"), tmp_path / "out", size=32, jobs=1)
    assert faces.table["subject"].tolist() == [NFC, "Ada"]


@SPELT
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_imagefolder_meets_its_metadata(tmp_path, disk, text, kind):
    tree(tmp_path, f"train/{disk}/1.jpg", "train/.ipynb_checkpoints/metadata.csv")
    row = {"file_name": f"{text}\\1.JPG", "who": f"{text} ", "age": 41.0}
    path = tmp_path / "train" / f"metadata.{kind}"
    if kind == "csv":
        pd.DataFrame([row]).to_csv(path, index=False)
    else:
        path.write_text(json.dumps(row))
    read = fl.datasets.huggingface(tmp_path, subject="who")
    assert read.table[["subject", "age"]].to_numpy().tolist() == [[NFC, "41"]]


@SPELT
def test_casual_conversations(tmp_path, disk, text):
    tree(tmp_path, f"{disk}/{disk}.MP4/0001.jpg", f"{disk}_00_0007.jpg", f"{disk}/{disk}_00.MP4")
    label = {"age": "25", "gender": "Female", "skin-type": "3"}
    videos = [f"C:\\videos\\{text}.MP4", f"x/{text}_00.MP4"]
    people = {f" {text}": {"label": label, "files": videos}}
    (tmp_path / "CasualConversations.json").write_text(json.dumps(people), encoding="utf-8-sig")
    read = fl.datasets.casual_conversations(tmp_path)
    assert read.table["subject"].tolist() == [NFC, NFC]


@SPELT
def test_pairs_are_held_against_the_images_by_name(disk, text):
    table = pd.DataFrame({"image": [f"{disk}/1.jpg", "ada/1.jpg "]})
    pairs = pd.DataFrame(
        {"image_a": [f" {text}/1.jpg"], "image_b": ["ada/1.jpg"], "mated": [False]}
    )
    assert listed_in(table, pairs, "pairs", False).to_numpy().tolist() == [
        [f"{NFC}/1.jpg", "ada/1.jpg", False]
    ]


SUBJECTS = {
    "Int64": pd.array([1, 2, 3], "Int64"),
    "float": np.array([1.0, 2.0, 3.0]),
    "text": ["1", " 2", "3.0"],
    "category of numbers": pd.Categorical([1, 2, 3]),
    "category of text": pd.Categorical(["1", "2", "3"]),
    "objects": np.array([1, 2.0, "3"], object),
}


@pytest.mark.parametrize("kind", SUBJECTS)
@pytest.mark.parametrize("store", ["csv", "parquet"])
def test_people_have_one_name_in_tables_of_every_kind(tmp_path, kind, store):
    frame = pd.DataFrame({"path": ["1.jpg", "2.jpg", "3.jpg"], "subject": SUBJECTS[kind]})
    frame["age"] = pd.array([30, None, 41], "Int64").astype("Float64" if store == "csv" else float)
    if kind == "objects" and store == "parquet":
        frame["subject"] = frame["subject"].astype(str)
    path = tmp_path / f"faces.{store}"
    frame.to_csv(path, index=False) if store == "csv" else frame.to_parquet(path)
    read = fl.datasets.table(path)
    assert read.table["subject"].tolist() == ["1", "2", "3"]
    assert read.table["age"].tolist()[::2] == ["30", "41"] and pd.isna(read.table["age"][1])


def test_a_reader_of_your_own_comes_through_the_same_door(tmp_path):
    photos(tmp_path, "1.png", "2.png")
    table = pd.DataFrame(
        {"path": [tmp_path / "1.png", tmp_path / "2.png"], "subject": [3.0, 3], "image": [1, 2.0]}
    )
    read = fl.datasets.Reader("mine", tmp_path, table, {"synthetic": False})
    assert read.table[["subject", "image"]].to_numpy().tolist() == [["3", "1"], ["3", "2"]]
    assert len(fl.prepare(read, tmp_path / "out", size=32, jobs=1)) == 2
    for change, sentence in [
        ({"subject": [None, 1]}, "row 0 of the table of mine has no subject"),
        ({"image": [1, 1]}, "mine has the image '1' more than once"),
        ({"subject": [[1], [2]]}, "column 'subject' holds"),
    ]:
        with pytest.raises(fl.BadInput, match=sentence):
            fl.datasets.Reader("mine", tmp_path, table.assign(**change), {"synthetic": False})
    with pytest.raises(fl.BadInput, match="no column 'image'"):
        fl.datasets.Reader("mine", tmp_path, table.drop(columns="image"), {"synthetic": False})


NUMBERS = st.integers(0, 10**6)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=8), st.data())
def test_the_same_people_under_any_mixture_of_types_are_the_same_reader(numbers, data):
    spellings = [str, float, int, lambda n: f" {n} ", lambda n: f"{n}.0", np.int64, np.float64]
    spelt = [data.draw(st.sampled_from(spellings))(number) for number in numbers]
    images = [f"{place}.jpg" for place in range(len(numbers))]

    def read(subjects):
        table = pd.DataFrame({"path": images, "image": images})
        table["subject"] = pd.Series(subjects, dtype=object)
        return fl.datasets.Reader("x", Path(), table, {}).table["subject"]

    assert read(spelt).tolist() == [str(number) for number in numbers]
