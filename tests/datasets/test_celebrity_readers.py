"""CelebA, VGGFace2, BFW, MORPH and Casual Conversations, each in its published layout."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab import datasets


def picture(seed, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def save(root, names):
    """Lossless images under the set's names, image n from seed n."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(path, "png")
    return root


def comes_through(read, root, names):
    """Every image reaches the FaceSet under its name, with its own pixels."""
    faces = fl.prepare(read, root / "out", size=32, jobs=1)
    crops = dict(zip(faces.table["image"], faces.crops, strict=True))
    assert sorted(crops) == sorted(names)
    for seed, name in enumerate(names):
        np.testing.assert_array_equal(crops[name], picture(seed))


def values(read, column):
    return [None if pd.isna(value) else value for value in read.table[column]]


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


CELEBA = ["000001.jpg", "000002.jpg", "000003.jpg"]
ATTRIBUTES = "5_o_Clock_Shadow Male Smiling Young"
ROWS = [(-1, -1, 1, 1), (1, 1, -1, -1), (-1, 1, 1, 1)]


@pytest.fixture
def celeba(tmp_path):
    """The txt files, with their trailing and doubled spaces."""
    save(tmp_path / "img_align_celeba", CELEBA)
    numbers = [" ".join(f"{value:2d}" for value in row) for row in ROWS]
    lines = map(" ".join, zip(CELEBA, numbers, strict=True))
    text = "\n".join(["3", ATTRIBUTES + " ", *lines]) + "\n"
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno" / "list_attr_celeba.txt").write_text(text)
    (tmp_path / "Anno" / "identity_CelebA.txt").write_text(
        "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n"
    )
    (tmp_path / "Eval").mkdir()
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text(
        "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n"
    )
    return tmp_path


def test_celebas_boxes_go_with_the_photos_that_they_are_of(celeba):
    lines = ["3", "image_id x_1 y_1 width height "]
    lines += [f"{name}    {10 + n}  71 226 313" for n, name in enumerate(CELEBA)]
    (celeba / "Anno" / "list_bbox_celeba.txt").write_text("\n".join(lines) + "\n")
    assert "box_left" not in datasets.celeba(celeba).table  # of the whole photos, not of the crops
    (celeba / "img_align_celeba").rename(celeba / "img_celeba")
    read = datasets.celeba(celeba)
    assert values(read, "box_left") == ["10", "11", "12"]
    assert values(read, "box_height") == ["313"] * 3
    assert not {"box_left", "box_height"} & set(read.groups)


def test_celeba_is_read_with_identities_attributes_and_split(celeba):
    read = datasets.celeba(celeba, by=["Smiling"])
    assert read.groups == ["gender", "age_group", "Smiling", "split"]
    assert values(read, "subject") == ["2880", "2937", "2880"]
    assert values(read, "gender") == ["female", "male", "male"]
    assert values(read, "age_group") == ["young", "not young", "young"]
    assert values(read, "Smiling") == ["yes", "no", "yes"]
    assert values(read, "split") == ["train", "validation", "test"]
    assert read.notes == ()
    comes_through(read, celeba, CELEBA)


def test_celeba_as_kaggle_has_it(tmp_path):
    """csv files, no identities, and the folder of images within one of its own name."""
    save(tmp_path / "img_align_celeba" / "img_align_celeba", CELEBA)
    names = ["image_id", *ATTRIBUTES.split()]
    rows = [[name, *row] for name, row in zip(CELEBA, ROWS, strict=True)]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "list_attr_celeba.csv", index=False)
    (tmp_path / "list_eval_partition.csv").write_text(
        "image_id,partition\n000001.jpg,0\n000002.jpg,1\n000003.jpg,2\n"
    )
    read = datasets.celeba(tmp_path)
    assert values(read, "gender") == ["female", "male", "male"]
    assert values(read, "split") == ["train", "validation", "test"]
    assert "No identity_CelebA.txt was found" in read.notes[0]
    assert "does not say who is shown" in read.notes[1]
    comes_through(read, tmp_path, CELEBA)


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("Anno/list_attr_celeba.txt", "3\n", "4\n", "promises 4 images .* and has 3"),
        ("Anno/list_attr_celeba.txt", "000002.jpg  1", "000002.jpg", "line 4 has 4 words where 5"),
        ("Anno/list_attr_celeba.txt", "000002.jpg  1  1", "000002.jpg  1  7", "Male '7' in line 4"),
        ("Anno/list_attr_celeba.txt", "Young", "Old", "no column 'Young'"),
        ("Eval/list_eval_partition.txt", "2.jpg 1", "2.jpg 5", "partition.txt has 1 '5' in line 2"),
        ("Anno/identity_CelebA.txt", "000002.jpg", "000009.jpg", "names '000009.jpg', which is"),
    ],
)
def test_a_wrong_celeba_label_is_named(celeba, file, old, new, sentence):
    replace(celeba / file, old, new)
    with pytest.raises(fl.BadInput, match=sentence):
        datasets.celeba(celeba)


def test_celeba_partly_there(celeba):
    (celeba / "img_align_celeba" / "000002.jpg").unlink()
    with pytest.raises(fl.BadInput, match="which is not among the images"):
        datasets.celeba(celeba)
    assert values(datasets.celeba(celeba, partial=True), "subject") == ["2880", "2880"]
    with pytest.raises(fl.BadInput, match="no column 'Hat'"):
        datasets.celeba(celeba, by=["Hat"], partial=True)


VGG = ["test/n000001/0001_01.jpg", "train/n000002/0001_01.jpg", "train/n000002/0002_01.jpg"]
META = """Class_ID, Name, Sample_Num, Flag, Gender
n000001, "14th_Dalai_Lama", 424, 0, m
n000002, "A_Fine_Frenzy, the band", 315, 1, f
"""


@pytest.fixture
def vggface2(tmp_path):
    save(tmp_path, VGG)
    (tmp_path / "identity_meta.csv").write_text(META)
    return tmp_path


def test_vggface2_is_read_with_the_spaces_of_its_table(vggface2):
    read = datasets.vggface2(vggface2)
    assert values(read, "image") == [VGG[1], VGG[2], VGG[0]]
    assert values(read, "subject") == ["n000002", "n000002", "n000001"]
    assert values(read, "gender") == ["female", "female", "male"]
    assert values(read, "split") == ["train", "train", "test"]
    assert "withdrawn" in read.card["source"]
    comes_through(read, vggface2, VGG)
    half = datasets.vggface2(vggface2 / "train")
    assert half.groups == ["gender"] and values(half, "image")[0] == "n000002/0001_01.jpg"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (", f\n", ", x\n", "line 3 has gender 'x'"),
        ("n000002", "n000001", "line 3 lists n000001 again"),
        (" 315,", "", "line 3 has 4 cells where 5"),
        ("Gender", "Sex", "no column 'Gender'"),
    ],
)
def test_a_wrong_line_of_identity_meta_is_named(vggface2, old, new, sentence):
    replace(vggface2 / "identity_meta.csv", old, new)
    with pytest.raises(fl.BadInput, match=sentence):
        datasets.vggface2(vggface2)


def test_a_subject_without_a_line_has_no_gender_and_is_counted(vggface2):
    (vggface2 / "identity_meta.csv").write_text("\n".join(META.splitlines()[:2]))
    read = datasets.vggface2(vggface2)
    assert values(read, "gender") == [None, None, "male"]
    assert "1 subject has no line in the list, and no gender" in read.notes[0]


BFW = [
    f"{race}_{gender}s/n{number:06d}/0010_01.jpg"
    for number, (race, gender) in enumerate(
        (race, gender) for race in ("asian", "black", "indian", "white") for gender in
        ("female", "male")
    )
]  # fmt: skip


@pytest.mark.parametrize("above", ["", "bfw-cropped-aligned"])
def test_bfw_images_are_named_as_the_pair_table_names_them(tmp_path, above):
    save(tmp_path / above, BFW)
    read = datasets.bfw(tmp_path)
    by_name = read.table.set_index("image")
    for name in BFW:
        label = f"{by_name['race'][name]}_{by_name['gender'][name]}s"
        assert label == name.split("/")[0]
    assert "VGGFace2" in read.notes[-1]
    comes_through(read, tmp_path, BFW)


def test_a_bfw_group_that_is_absent_or_a_subject_in_two_is_named(tmp_path):
    save(tmp_path, BFW[1:])
    with pytest.raises(fl.BadInput, match="no folder asian_females"):
        datasets.bfw(tmp_path)
    assert len(datasets.bfw(tmp_path, partial=True)) == 7
    save(tmp_path, ["white_males/n000001/0011_01.jpg"])
    with pytest.raises(fl.BadInput, match="subject n000001 in two groups"):
        datasets.bfw(tmp_path, partial=True)


MORPH = ["00001_0M54.JPG", "00001_1M55.JPG", "00001_2F55.JPG", "00002_0F16.JPG", "00002_1M17.JPG"]
MORPH_CSV = "\n".join(
    [
        "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo",
        "1,0,05/01/1950,05/02/2004,B,M,,54,0,,Album2/00001_0M54.JPG",
        "1,1,05/01/1950,05/02/2005,W,M,,55,1,,Album2/00001_1M55.JPG",
        "1,2,05/01/1950,05/02/2005,B,F,,55,1,,Album2/00001_2F55.JPG",
        "2,0,05/01/1990,05/02/2006,H,F,,16,0,,Album2/00002_0F16.JPG",
        "2,1,05/01/1990,05/02/2007,,M,,17,1,,Album2/00002_1M17.JPG",
    ]
)


@pytest.fixture
def morph(tmp_path):
    save(tmp_path / "Album2", MORPH)
    (tmp_path / "morph.csv").write_text(MORPH_CSV)
    return tmp_path


def test_morph_subjects_get_one_label_each_and_the_repair_is_reported(morph):
    read = datasets.morph(morph / "Album2", morph / "morph.csv")
    assert values(read, "subject") == ["00001"] * 3 + ["00002"] * 2
    assert values(read, "age") == ["54", "55", "55", "16", "17"]
    assert values(read, "age_group") == ["50-59"] * 3 + ["10-19"] * 2
    assert values(read, "gender") == ["male"] * 3 + [None] * 2
    assert values(read, "race") == ["black"] * 3 + ["hispanic", None]
    assert "2 subjects have more than one gender: each" in read.notes[0]
    assert "3 labels changed" in read.notes[0]
    assert "1 subject has more than one race" in read.notes[1]
    comes_through(read, morph, MORPH)
    assert datasets.morph(morph / "Album2").groups == ["age_group", "gender"]


def test_a_wrong_morph_name_or_label_is_named(morph):
    replace(morph / "morph.csv", ",W,", ",X,")
    with pytest.raises(fl.BadInput, match="race 'X' in line 3"):
        datasets.morph(morph / "Album2", morph / "morph.csv")
    save(morph / "more", ["00001_0M54.JPG"])
    with pytest.raises(fl.BadInput, match=r"00001_0M54\.JPG more than once"):
        datasets.morph(morph)
    save(morph / "Album2", ["portrait.jpg"])
    with pytest.raises(fl.BadInput, match=r"'portrait.jpg' is not named as MORPH"):
        datasets.morph(morph / "Album2")


FRAMES = ["0001/0001_00/0001.png", "0001/0001_01_0007.png", "1140/1140_00/12.png"]


def conversations():
    files = [f"CasualConversations/0001/0001_0{n}.MP4" for n in range(2)]
    label = {"age": "25", "gender": "Female", "skin-type": "3"}
    other = {"age": "N/A", "gender": "N/A", "skin-type": "6"}
    return {
        "0001": {"label": label, "files": files, "dark_files": files[1:]},
        "1140": {"label": other, "files": ["CasualConversations/1140/1140_00.MP4"]},
    }


@pytest.fixture
def casual(tmp_path):
    save(tmp_path, FRAMES)
    (tmp_path / "CasualConversations.json").write_text(json.dumps(conversations()))
    return tmp_path


def test_casual_conversations_frames_get_what_their_subjects_said(casual):
    read = datasets.casual_conversations(casual)
    order = [values(read, "image").index(name) for name in FRAMES]
    facts = read.table.iloc[order][["subject", "age", "gender", "skin_type", "lighting"]]
    facts = facts.astype(object).where(facts.notna(), None).to_numpy().tolist()
    assert facts == [
        ["0001", "25", "female", "III", "bright"],
        ["0001", "25", "female", "III", "dark"],
        ["1140", None, None, "VI", "bright"],
    ]
    assert read.notes == (
        "1 subject has no age: it stays missing.",
        "1 subject has no gender: it stays missing.",
    )
    comes_through(read, casual, FRAMES)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"25"', '"old"', "subject 0001 has age 'old'"),
        ('"Female"', '"F"', "subject 0001 has gender 'F'"),
        ('"6"', '"7"', "subject 1140 has skin-type '7'"),
        ("1140_00.MP4", "0001_00.MP4", "the video 0001_00 for two subjects: 1140 too"),
        ("1140_00.MP4", "1140_05.MP4", r"'1140/1140_00/12.png' belongs to no video"),
        ('"label"', '"labels"', "is not a json of subjects"),
        ("{", "[", "it is not valid json"),
    ],
)
def test_a_wrong_casual_conversations_label_is_named(casual, old, new, sentence):
    replace(casual / "CasualConversations.json", old, new)
    with pytest.raises(fl.BadInput, match=sentence):
        datasets.casual_conversations(casual)
