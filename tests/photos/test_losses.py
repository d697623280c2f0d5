"""Who is lost on the way to crops: people are counted before photos, and never named in public."""

import json

import numpy as np
import pandas as pd
import pytest
from folders import photos, tree
from PIL import Image
from typer.testing import CliRunner

import facelab as fl
from facelab.cli.app import app
from facelab.photos.cutter import Cutter

SIZE = 32
NAMES = ["Ada Lovelace", "Bea Miles", "Cy Twombly", "Dee Dee", "Eve Arden"]


@pytest.fixture
def five(tmp_path):
    """Five people, three of whom are lost: damaged photos, an empty folder, text alone."""
    root = photos(tmp_path / "set", "Ada Lovelace/1.png", "Ada Lovelace/2.png", "Bea Miles/1.png")
    tree(root, "Cy Twombly/1.png", "Cy Twombly/2.png", "Dee Dee/", "Eve Arden/notes.txt")
    return root


def test_the_exception_says_first_how_many_people_are_lost(five, tmp_path):
    with pytest.raises(fl.BadInput) as caught:
        fl.prepare(five, tmp_path / "out", size=SIZE)
    assert str(caught.value).startswith("3 of 5 people have no usable photo (")
    assert "it is empty: 1" in str(caught.value)
    assert "2 of 5 images cannot be used, first Cy Twombly/1.png" in str(caught.value)


def test_notes_card_and_datasheet_say_first_how_many_people_are_lost(five, tmp_path):
    read = fl.datasets.folder(five)
    assert read.notes[0].startswith("2 of 5 people have no usable photo (")
    faces = fl.prepare(five, tmp_path / "out", size=SIZE, set_aside=True)
    first, second = faces.card["notes"][:2]
    assert first.startswith("3 of 5 people have no usable photo (")
    assert second.startswith("2 of 5 images (40.00%)")
    assert not any("2 of 5 people" in note for note in faces.card["notes"])
    failures = faces.card["failure_to_acquire"]
    assert (failures["subjects"], failures["subjects_lost"]) == (5, 3)
    assert (failures["images"], failures["rejected"]) == (5, 2)
    sheet = (tmp_path / "out" / "datasheet.md").read_text()
    assert "lost on the way?** 3 of 5 people have no photo that could be used. 2 of 5 im" in sheet
    row = fl.failure_to_acquire(faces).iloc[0]
    assert (row["subjects"], row["subjects_lost"]) == (5, 3)


def test_names_stand_in_the_list_of_rejects_and_nowhere_that_is_shown(five, tmp_path):
    faces = fl.prepare(five, tmp_path / "out", size=SIZE, set_aside=True)
    shown = json.dumps(faces.card) + (tmp_path / "out" / "datasheet.md").read_text()
    assert [name for name in NAMES if name in shown] == []
    rejects = pd.read_parquet(tmp_path / "out" / "rejects.parquet")
    assert rejects["subject"].tolist() == ["Cy Twombly", "Cy Twombly", "Dee Dee", "Eve Arden"]
    assert rejects["image"].isna().tolist() == [False, False, True, True]
    assert rejects["reason"].tolist()[2] == "the folder is empty"


def test_the_command_says_it_too(five, tmp_path):
    done = CliRunner().invoke(
        app,
        [
            "prepare",
            "folder",
            str(five),
            "--size",
            "32",
            "--set-aside",
            "-o",
            str(tmp_path / "out"),
        ],
    )
    assert done.exit_code == 0, done.output
    first = next(line for line in done.output.splitlines() if line.startswith("note:"))
    assert first.startswith("note: 3 of 5 people have no usable photo")
    assert "2 faces" not in first
    assert "3 faces of 2 subjects; 3 more people are lost" in done.output


def test_a_person_all_of_whose_photos_are_another_s_is_lost(tmp_path):
    root = photos(tmp_path / "set", "ada/1.png")
    tree(root, "bea/")
    (root / "bea" / "2.png").write_bytes((root / "ada" / "1.png").read_bytes())
    faces = fl.prepare(root, tmp_path / "out", size=SIZE, set_aside=True)
    assert faces.card["notes"][0].startswith(
        "1 of 2 people have no usable photo (it has the same bytes as another photo: 1)"
    )
    failures = faces.card["failure_to_acquire"]
    assert (failures["subjects_lost"], failures["images"], failures["rejected"]) == (1, 1, 0)


def labelled(tmp_path, people=30):
    """Each with two photos, the second of every third person damaged, and those of the last."""
    names = [f"person{number:02d}" for number in range(people)]
    root = photos(tmp_path / "set", *(f"{name}/{k}.png" for name in names for k in (1, 2)))
    for name in names[::3]:
        (root / name / "2.png").write_bytes(b"")
    for k in (1, 2):
        (root / names[-1] / f"{k}.png").write_bytes(b"x")
    rows = [
        {
            "file": f"{name}/{k}.png",
            "full_name": name.title(),
            "taken": f"2020-01-{number + 1:02d}",
            "gender": ["female", "male"][number % 2],
            "age": 20 + number,
            "hair": ["dark", "grey", ""][number % 3],
        }
        for number, name in enumerate(names)
        for k in (1, 2)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    return fl.datasets.folder(root, tmp_path / "labels.csv")


def test_losses_are_counted_by_known_groups_and_by_nothing_that_names_people(tmp_path):
    faces = fl.prepare(labelled(tmp_path), tmp_path / "out", size=SIZE, set_aside=True)
    groups = faces.card["failure_to_acquire"]["by_group"]
    assert list(groups) == ["gender", "age"]
    assert list(groups["age"]) == ["18-29", "30-44", "45-59"]
    assert groups["gender"]["male"] == pytest.approx(
        {"subjects": 15, "subjects_lost": 1, "images": 30, "rejected": 7, "rate": 7 / 30}
        | {end: groups["gender"]["male"][end] for end in ("low", "high")}
    )
    for column in ("subjects", "subjects_lost", "images", "rejected"):
        total = faces.card["failure_to_acquire"][column]
        assert sum(group[column] for group in groups["gender"].values()) == total
    assert "Person" not in json.dumps(faces.card)


def test_columns_to_count_by_can_be_named_but_for_names(tmp_path):
    read = labelled(tmp_path)
    faces = fl.prepare(read, tmp_path / "out", size=SIZE, set_aside=True, by="hair")
    groups = faces.card["failure_to_acquire"]["by_group"]
    assert {key: list(group) for key, group in groups.items()} == {
        "hair": ["dark", "grey", "(no label)"]
    }
    for column in ("full_name", "taken"):
        with pytest.raises(fl.BadInput, match=f"'{column}' has 30 labels for 30 people"):
            fl.prepare(read, tmp_path / "more", size=SIZE, set_aside=True, by=["gender", column])
    with pytest.raises(fl.BadInput, match=r"no column 'gendre'.*did you mean 'gender'"):
        fl.prepare(read, tmp_path / "more", size=SIZE, set_aside=True, by="gendre")
    assert not (tmp_path / "more").exists()


def test_a_group_that_cannot_be_shown_is_refused_before_the_work(tmp_path, monkeypatch):
    root = photos(tmp_path / "set", "ada/1.png", "bea/1.png")
    (tmp_path / "labels.csv").write_text("file,gender\nada/1.png,all\nbea/1.png,female\n")
    read = fl.datasets.folder(root, tmp_path / "labels.csv")
    monkeypatch.setattr("facelab.photos.preparing._stream", lambda *args: pytest.fail("begun"))
    with pytest.raises(fl.BadInput, match="'all'"):
        fl.prepare(read, tmp_path / "out", size=SIZE, by="gender")


def test_cards_of_earlier_versions_count_photos_alone(tmp_path):
    faces = fl.FaceSet.from_arrays(
        pd.DataFrame({"subject": ["ada"], "image": ["1"]}),
        np.zeros((1, SIZE, SIZE, 3), np.uint8),
        failure_to_acquire={
            **{"images": 2, "rejected": 1, "rate": 0.5, "low": 0.1, "high": 0.9},
            "by_group": {},
        },
    )
    assert fl.failure_to_acquire(faces)["images"].tolist() == [2]
    assert "subjects" not in fl.failure_to_acquire(faces)
    assert "1 of 2 images could not be used" in fl.datasheet(faces)


def test_boxes_with_decimal_commas_are_named_as_such(tmp_path):
    root = photos(tmp_path / "set", "ada/1.png")
    boxes = "path;subject;box_left;box_top;box_width;box_height\nada/1.png;ada;1,5;2;3;4\n"
    (root / "boxes.csv").write_text(boxes)
    read = fl.datasets.table(root / "boxes.csv")

    class Anything:
        name = "anything"

    with pytest.raises(fl.BadInput, match="decimal commas: write points"):
        fl.prepare(read, tmp_path / "out", detector=Anything(), face="labelled")


def test_colour_profiles_that_cannot_be_used_are_counted_and_survive_a_kill(tmp_path, monkeypatch):
    root = photos(tmp_path / "set", *(f"ada/{number}.png" for number in range(6)))
    for number in (1, 4):
        image = Image.open(root / "ada" / f"{number}.png")
        image.save(root / "ada" / f"{number}.png", icc_profile=b"no profile" * 20)
    monkeypatch.setattr("facelab.photos.preparing._SAVE_EVERY", 0.0)
    one = Cutter.one

    def killed(self, place):
        if place.path.endswith("3.png"):
            raise KeyboardInterrupt
        return one(self, place)

    monkeypatch.setattr("facelab.photos.preparing._BATCH", 1)
    monkeypatch.setattr(Cutter, "one", killed)
    with pytest.raises(KeyboardInterrupt):
        fl.prepare(root, tmp_path / "out", size=SIZE, jobs=1)
    monkeypatch.setattr(Cutter, "one", one)
    faces = fl.prepare(root, tmp_path / "out", size=SIZE, jobs=1)
    assert len(faces) == 6
    assert faces.card["notes"][0].startswith("2 images have a colour profile that cannot be used")
