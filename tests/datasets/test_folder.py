"""A folder a person, in all the ways in which people lay them out: read whole, or asked about."""

import pytest
from folders import tree

import facelab as fl


def people(root, **options):
    read = fl.datasets.folder(root, **options)
    return {who: sorted(images) for who, images in read.table.groupby("subject")["image"]}


READ = {
    "a folder a person": (["ada/1.jpg", "bea/1.jpg"], {"ada": ["ada/1.jpg"], "bea": ["bea/1.jpg"]}),
    "one photo of one person": (["ada/1.jpg"], {"ada": ["ada/1.jpg"]}),
    "sessions": (
        ["ada/session1/1.jpg", "ada/session2/1.jpg", "bea/session1/1.jpg"],
        {"ada": ["ada/session1/1.jpg", "ada/session2/1.jpg"], "bea": ["bea/session1/1.jpg"]},
    ),
    "days": (
        ["ada/2019-03-01/1.jpg", "bea/20200229/1.jpg"],
        {"ada": ["ada/2019-03-01/1.jpg"], "bea": ["bea/20200229/1.jpg"]},
    ),
    "sessions and days": (
        ["ada/visit 1/2020/1.jpg", "bea/1.jpg"],
        {"ada": ["ada/visit 1/2020/1.jpg"], "bea": ["bea/1.jpg"]},
    ),
    "one folder of the same name in each": (
        ["ada/raw/1.jpg", "bea/raw/1.jpg"],
        {"ada": ["ada/raw/1.jpg"], "bea": ["bea/raw/1.jpg"]},
    ),
    "photos and more of them in folders": (
        ["ada/1.jpg", "ada/more/2.jpg", "bea/3.jpg", "bea/else/4.jpg", "cy/5.jpg"],
        {
            "ada": ["ada/1.jpg", "ada/more/2.jpg"],
            "bea": ["bea/3.jpg", "bea/else/4.jpg"],
            "cy": ["cy/5.jpg"],
        },
    ),
    "one folder around all": (
        ["faces/ada/1.jpg", "faces/bea/1.jpg"],
        {"ada": ["ada/1.jpg"], "bea": ["bea/1.jpg"]},
    ),
    "two folders around all": (
        ["faces/faces/ada/1.jpg", "faces/faces/bea/1.jpg", "readme.txt"],
        {"ada": ["ada/1.jpg"], "bea": ["bea/1.jpg"]},
    ),
    "train and test": (
        ["train/ada/1.jpg", "test/ada/2.jpg", "test/bea/1.jpg"],
        {"ada": ["test/ada/2.jpg", "train/ada/1.jpg"], "bea": ["test/bea/1.jpg"]},
    ),
    "train and test with sessions": (
        ["Train/ada/session1/1.jpg", "Test/bea/session1/1.jpg"],
        {"ada": ["Train/ada/session1/1.jpg"], "bea": ["Test/bea/session1/1.jpg"]},
    ),
    "ORL": (
        ["s1/1.pgm", "s1/2.pgm", "s2/1.pgm"],
        {"s1": ["s1/1.pgm", "s1/2.pgm"], "s2": ["s2/1.pgm"]},
    ),
    "Extended Yale": (
        ["ExtendedYaleB/yaleB11/yaleB11_P00A+000E+00.pgm", "ExtendedYaleB/yaleB11/yaleB11_P00.info",
         "ExtendedYaleB/yaleB12/yaleB12_P00A+000E+00.pgm"],
        {"yaleB11": ["yaleB11/yaleB11_P00A+000E+00.pgm"],
         "yaleB12": ["yaleB12/yaleB12_P00A+000E+00.pgm"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", READ)
def test_a_layout_is_read_whole(tmp_path, layout):
    files, expected = READ[layout]
    assert people(tree(tmp_path, *files)) == expected


ASKED = {
    "people in groups": ["African/m.1/1.jpg", "African/m.2/1.jpg", "Asian/m.3/1.jpg"],
    "numbers in numbers": ["1/1/1.jpg", "1/2/1.jpg", "2/3/1.jpg"],
    "as many with folders as without": ["ada/1.jpg", "bea/x/1.jpg", "bea/y/1.jpg"],
    "one person, one album": ["ada/summer/1.jpg"],
    "one folder around all, and photos in it": ["all/1.jpg", "all/ada/1.jpg", "all/bea/1.jpg"],
}  # fmt: skip


@pytest.mark.parametrize("layout", ASKED)
def test_where_names_do_not_tell_it_is_asked(tmp_path, layout):
    tree(tmp_path, *ASKED[layout])
    with pytest.raises(fl.BadInput, match=r"depth=1 .*if '.*' is a person, depth=2 if '.*' is one"):
        fl.datasets.folder(tmp_path)
    tops = {name.split("/")[0] for name in ASKED[layout]}
    assert set(people(tmp_path, depth=1)) == tops


def test_depth_says_where_the_people_are_and_what_lies_above_them_is_counted(tmp_path):
    tree(tmp_path, *ASKED["people in groups"], "African/9.jpg", "Asian/m.4/")
    assert set(people(tmp_path, depth=2)) == {"m.1", "m.2", "m.3"}
    notes = fl.datasets.folder(tmp_path, depth=2).notes
    assert notes[0] == "1 of 4 people have no usable photo (the folder is empty: 1)."
    assert "1 photo in no person's folder" in notes[1]
    with pytest.raises(fl.BadInput, match="depth must be 1 or more"):
        fl.datasets.folder(tmp_path, depth=0)


def test_train_and_test_become_a_column_and_no_group(tmp_path):
    tree(tmp_path, "train/ada/1.jpg", "test/ada/2.jpg", "train/loose.jpg")
    read = fl.datasets.folder(tmp_path)
    assert read.table["split"].tolist() == ["test", "train"]
    assert read.groups == []
    assert "1 photo in no person's folder" in read.notes[0]


def test_photos_of_nobody_are_refused(tmp_path):
    tree(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(fl.BadInput, match="holds 2 photos in no person's folder: put each"):
        fl.datasets.folder(tmp_path)
    (tmp_path / "ada").mkdir()
    with pytest.raises(fl.BadInput, match="holds 2 photos in no person's folder"):
        fl.datasets.folder(tmp_path)


def test_people_without_photos_alone_are_refused(tmp_path):
    tree(tmp_path, "ada/", "bea/notes.txt")
    with pytest.raises(fl.BadInput, match=r"holds no images: .* found 2 without \(the folder is"):
        fl.datasets.folder(tmp_path)


def test_half_a_set_in_a_format_that_was_not_read_is_no_longer_half_a_set(tmp_path):
    tree(tmp_path, "ada/1.pgm", "bea/1.jpg", "cy/1.webp", "dee/1.jp2", "eve/1.PPM")
    assert len(people(tmp_path)) == 5


def test_columns_that_are_groups_can_be_named_and_names_are_none(tmp_path):
    names = [f"person {number:02d}" for number in range(20)]
    tree(tmp_path / "set", *(f"{name}/1.jpg" for name in names))
    rows = [
        f"{name}/1.jpg,{name},{'ab'[n % 2]},{'fm'[n % 2]},{20 + n}" for n, name in enumerate(names)
    ]
    lines = "\n".join(["file,name,team,gender,age", *rows])
    (tmp_path / "labels.csv").write_text(lines)
    read = fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv")
    assert read.groups == ["gender", "age"]
    named = ["team", "name"]
    assert fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv", by=named).groups == [
        "team"
    ]
    with pytest.raises(fl.BadInput, match=r"no column 'gendre' to group by .did you mean 'gender'"):
        fl.datasets.folder(tmp_path / "set", tmp_path / "labels.csv", by=["gendre"])
