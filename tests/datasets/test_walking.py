"""Folders as they lie on disk: who is there, who has no photo, and what is nobody's."""

import os

import pytest
from folders import tree

import facelab as fl
from facelab.datasets.walking import is_left_behind, is_photo, people_in, place_of, walk

LEFT_BEHIND = [
    "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
    "ada/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
    "ada/Thumbs.db",
    "ada/thumbs.DB",
    "ada/desktop.ini",
    "ada/._1.jpg",
    "ada/.DS_Store",
    "ada/.ipynb_checkpoints/1-checkpoint.jpg",
    ".ipynb_checkpoints/1.jpg",
    "__MACOSX/ada/._1.jpg",
    "__MACOSX/ada/1.jpg",
    "lost+found/",
    "$RECYCLE.BIN/1.jpg",
    "System Volume Information/1.jpg",
    "#recycle/1.jpg",
    ".Trash-1000/files/1.jpg",
    "ada/1.jpg:Zone.Identifier",
    "ada/~$notes.docx",
]


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_systems_leave_behind_is_neither_a_photo_nor_a_person(tmp_path, name):
    people = people_in([tree(tmp_path, "ada/1.jpg", name)], tmp_path)
    assert [(who, image) for _, who, image in people.photos] == [("ada", "ada/1.jpg")]
    assert (people.without, people.notes()) == ({}, [])
    assert [image for _, image in walk(tmp_path).photos] == ["ada/1.jpg"]


@pytest.mark.parametrize(
    "layout", ["lfw", "utkface", "morph", "vggface2", "celeba", "fairface", "fer2013", "bupt"]
)
def test_no_reader_takes_them(tmp_path, layout):
    photo = {
        "lfw": "Ada_King/Ada_King_0001.jpg",
        "utkface": "part1/26_1_2_20170116184028385.jpg",
        "morph": "Album2/009055_1M54.JPG",
        "vggface2": "train/n000002/0001_01.jpg",
        "celeba": "img_align_celeba/000001.jpg",
        "fairface": "val/1.jpg",
        "fer2013": "train/happy/1.jpg",
        "bupt": "African/m.1/m.1_0001.jpg",
    }[layout]
    tree(tmp_path, photo, *["Asian/", "Caucasian/", "Indian/"] * (layout == "bupt"))
    folder = os.path.dirname(photo)
    tree(tmp_path, f"{folder}/@eaDir/9.jpg/SYNO.jpg", f"{folder}/._1.jpg", f"__MACOSX/{photo}")
    tree(tmp_path, f"{folder}/Thumbs.db", "@eaDir/1.jpg", f"{folder}/.ipynb_checkpoints/7.jpg")
    (tmp_path / "fairface_label_val.csv").write_text("file,age,gender,race\nval/1.jpg,,,\n")
    read = getattr(fl.datasets, layout)(tmp_path)
    assert len(read) == 1
    assert read.without == {}


def test_names_alone_say_what_looks_like_a_photo():
    photos = ["1.jpg", "1.JPG", "1.pgm", "1.Jp2", "1.avif", "1.heic", "1.CR2", "1.mp4", "a.b.png"]
    assert [is_photo(name) for name in photos] == [True] * len(photos)
    others = ["1.txt", "jpg", "1.jpg~", "._1.jpg", "1.csv", "1.eps", "1"]
    assert [is_photo(name) for name in others] == [False] * len(others)
    assert not is_left_behind("ada") and is_left_behind("Thumbs.db")


def test_people_without_a_photo_are_named_with_the_reason(tmp_path):
    tree(tmp_path, "ada/1.jpg", "bea/", "cy/notes.txt", "cy/list.csv", "dee/album/", "9.jpg")
    (tmp_path / "eve").symlink_to("/usr")
    (tmp_path / "fay").mkdir()
    (tmp_path / "fay" / "album").symlink_to("/usr")
    people = people_in([tmp_path], tmp_path)
    assert people.without == {
        "bea": "the folder is empty",
        "cy": "the folder holds no photo, only other files (.csv, .txt)",
        "dee": "the folder is empty",
        "eve": "the folder is a link that leaves the data set's",
        "fay": "the folder holds only links that leave the data set's",
    }
    assert people.notes() == [
        "3 files were passed over: 1 photo in no person's folder and 2 in 1 person's folder, no "
        "photos by name (.csv 1, .txt 1)."
    ]


def test_one_name_in_two_places_is_one_person_who_is_not_lost(tmp_path):
    tree(tmp_path, "train/ada/", "test/ada/1.jpg", "test/bea /", "train/bea/2.jpg")
    people = people_in([tmp_path / "train", tmp_path / "test"], tmp_path)
    assert people.without == {}
    assert [(who, name) for _, who, name in people.photos] == [
        ("bea", "train/bea/2.jpg"),
        ("ada", "test/ada/1.jpg"),
    ]


def test_links_are_followed_inside_the_set_once_and_never_in_a_circle(tmp_path):
    tree(tmp_path, "ada/1.jpg", "bea/2.jpg", "more/3.jpg")
    (tmp_path / "ada" / "up").symlink_to(tmp_path)
    (tmp_path / "ada" / "self").symlink_to(tmp_path / "ada" / "self")
    (tmp_path / "ada" / "more").symlink_to(tmp_path / "more")
    (tmp_path / "bea" / "again").symlink_to(tmp_path / "bea")
    (tmp_path / "cy").symlink_to(tmp_path / "more")
    people = people_in([tmp_path], tmp_path)
    assert sorted((who, name) for _, who, name in people.photos) == [
        ("ada", "ada/1.jpg"),
        ("ada", "ada/more/3.jpg"),
        ("bea", "bea/2.jpg"),
        ("cy", "cy/3.jpg"),
        ("more", "more/3.jpg"),
    ]
    # Of the whole set, what a link leads to is read where it lies.
    assert [name for _, name in walk(tmp_path).photos] == ["ada/1.jpg", "bea/2.jpg", "more/3.jpg"]


def test_a_folder_with_the_name_of_a_photo_is_a_folder_if_photos_are_in_it(tmp_path):
    tree(tmp_path, "ada/take.MP4/0001.jpg", "bea/8.jpg/")
    people = people_in([tmp_path], tmp_path)
    assert [name for _, _, name in people.photos] == ["ada/take.MP4/0001.jpg", "bea/8.jpg"]


def test_a_set_is_found_within_the_folders_around_it_and_asked_for_if_there_twice(tmp_path):
    def holds(place):
        return (place / "mark").exists()

    tree(tmp_path, "a/b/c/mark", "a/other/")
    assert place_of(tmp_path, holds, "it") == tmp_path / "a" / "b" / "c"
    assert place_of(tmp_path / "a" / "other", holds, "it") is None
    tree(tmp_path, "a/d/c/mark")
    with pytest.raises(fl.BadInput, match=r"holds it more than once \(a/b/c, a/d/c\)"):
        place_of(tmp_path, holds, "it")
    tree(tmp_path, "mark")
    assert place_of(tmp_path, holds, "it") == tmp_path


def test_a_folder_whose_name_is_nothing_is_refused(tmp_path):
    tree(tmp_path, "ada/1.jpg", " /1.jpg")
    with pytest.raises(fl.BadInput, match="nothing but spaces"):
        people_in([tmp_path], tmp_path)
