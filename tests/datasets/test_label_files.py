"""Files of labels in the dresses that spreadsheets give them: read right, or named as such."""

import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from folders import tree
from hypothesis import given
from hypothesis import strategies as st

import facelab as fl
from facelab.datasets.label_files import attach_labels, path_key, read_csv, stem_key

PLAIN = "file,gender,mood\nada/1.jpg,female,calm\nRené/1.jpg,male,\n"
DRESSES = {
    "plain": PLAIN.encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "bars": PLAIN.replace(",", "|").encode(),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 with semicolons": PLAIN.replace(",", ";").encode("utf-16"),
    "UTF-32": PLAIN.encode("utf-32"),
    "Windows' ends of lines": PLAIN.replace("\n", "\r\n").encode(),
    "an old Mac's": PLAIN.replace("\n", "\r").encode(),
    "Excel's line on its separator": b"sep=;\r\n" + PLAIN.replace(",", ";").encode(),
    "spaces around": PLAIN.replace(",", " , ").encode(),
    "quotes": PLAIN.replace("calm", '"calm"').replace("file", '"file"').encode(),
    "blank lines": PLAIN.replace("\n", "\n\n").encode(),
    "an empty column at the end": PLAIN.replace("\n", ",\n").encode(),
    "pandas' index": "".join(
        f"{'' if number == 0 else number},{line}"
        for number, line in enumerate(PLAIN.splitlines(keepends=True))
    ).encode(),
    "decomposed accents": unicodedata.normalize("NFD", PLAIN).encode(),
    "backslashes": PLAIN.replace("/", "\\").encode(),
    "a dot before paths": PLAIN.replace("ada/", "./ada/").encode(),
    "capitals in suffixes": PLAIN.replace(".jpg", ".JPG").encode(),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_labels_meet_their_images_whatever_the_dress(tmp_path, dress):
    tree(tmp_path / "set", "ada/1.jpg", f"{unicodedata.normalize('NFD', 'René')}/1.jpg")
    (tmp_path / "labels.csv").write_bytes(DRESSES[dress])
    read = fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv")
    table = read.table.set_index("subject").sort_index()
    assert table.index.tolist() == ["René", "ada"]
    assert table["gender"].tolist() == ["male", "female"]
    assert table["mood"].tolist()[1] == "calm" and pd.isna(table["mood"].iloc[0])
    assert read.notes == ()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (PLAIN.encode("cp1252"), r"not in UTF-8: line 3 has the byte 0xE9, .*cp1252. calls 'é'"),
        (PLAIN.encode("utf-16-le"), "it holds NUL; if it is UTF-16, save it as UTF-8"),
        (PLAIN.replace("calm", "0,5").encode(), r"line 2 .* 4 cells where 3 .*commas"),
        (PLAIN.replace("mood", "gender").encode(), r"has two columns 'gender': rename one"),
        (PLAIN.replace("file", "image").encode(), r"no column 'file'; .* image, gender, mood"),
        (b"", r"cannot be read as a csv file: it has no first line of names"),
        (b"\n\n", r"cannot be read as a csv file: it has no first line of names"),
        (PLAIN.replace("ada/", "set/ada/").encode(), r"'set/ada/1.jpg', which is not among the im"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_right_is_named_in_one_sentence(tmp_path, data, sentence):
    tree(tmp_path / "set", "ada/1.jpg", "René/1.jpg")
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv")
    assert "\n" not in str(caught.value)


def test_words_for_missing_are_labels_and_said_to_be(tmp_path):
    tree(tmp_path / "set", "ada/1.jpg", "bea/1.jpg", "cy/1.jpg")
    (tmp_path / "labels.csv").write_text("file,region\nada/1.jpg,NA\nbea/1.jpg,None\ncy/1.jpg,\n")
    read = fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv")
    assert read.table["region"].tolist()[:2] == ["NA", "None"]
    assert read.table["region"].isna().tolist() == [False, False, True]
    assert [note for note in read.notes if "'NA' 1, 'None' 1" in note] == list(read.notes)


def test_a_file_of_labels_that_meets_nothing_is_refused_though_the_set_is_partial(tmp_path):
    tree(tmp_path / "set", "ada/1.jpg")
    (tmp_path / "labels.csv").write_text("file,gender\n1.jpg,female\n")
    with pytest.raises(fl.BadInput, match="none of its 1 rows is among the 1 images, such as 'ada"):
        fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv", partial=True)


def test_capitals_of_suffixes_keep_two_photos_apart_where_there_are_two(tmp_path):
    tree(tmp_path / "set", "ada/1.jpg", "ada/1.JPG")
    (tmp_path / "labels.csv").write_text("file,mood\nada/1.jpg,calm\nada/1.JPG,gay\n")
    read = fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv")
    assert dict(zip(read.table["image"], read.table["mood"], strict=True)) == {
        "ada/1.JPG": "gay",
        "ada/1.jpg": "calm",
    }


def test_unlabelled_images_are_counted_with_their_people():
    images = pd.DataFrame({"subject": list("aab"), "image": ["1", "2", "3"]})
    labels = pd.DataFrame({"file": ["1"], "mood": ["calm"]})
    _, notes = attach_labels(images, labels, Path("x.csv"), str, False)
    assert notes == [
        "2 of 3 images have no row in the label file and stay without labels (of 2 people, 1 of "
        "them with no labelled image)."
    ]


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00/\\\r\n"), min_size=1)


@given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from(["NFC", "NFD"]), WORDS)
def test_a_path_has_one_key_however_it_is_spelt(parts, form, around):
    plain = "/".join(parts)
    spelt = "\\".join(f" {unicodedata.normalize(form, part)} " for part in parts)
    assert path_key(f"./{spelt}") == path_key(plain)
    assert stem_key(spelt) == stem_key(plain)


def test_a_column_without_a_name_is_left_out_and_short_rows_miss_what_they_lack(tmp_path):
    (tmp_path / "x.csv").write_text(",file,gender\n0,1.jpg,female\n1,2.jpg\n")
    assert read_csv(tmp_path / "x.csv", ["file"]).to_dict("list") == {
        "file": ["1.jpg", "2.jpg"],
        "gender": ["female", ""],
    }
