"""The datasheet of a FaceSet says what the card and the table say, and no more."""

import re

import numpy as np
import pytest

import facelab as fl
from facelab.faces.datasheets import datasheet
from facelab.faces.measured import measures_by_group
from facelab.faces.measures import measure

HEADINGS = [
    *("Motivation", "Composition", "Collection process"),
    *("Preprocessing, cleaning and labelling", "Uses", "Distribution", "Maintenance"),
]


def rows_under(sheet, start):
    """The rows of the table that follows a piece of text."""
    lines = sheet[sheet.index(start) :].splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table[0], table[2:]


def test_it_asks_the_questions_of_gebru_and_says_what_is_unknown(faces):
    sheet = datasheet(faces)
    assert re.findall(r"^## (.+)$", sheet, flags=re.MULTILINE) == HEADINGS
    assert sheet.startswith("# Datasheet of noise\n")
    for question in ("who paid?", "Who maintains it", "Where do the faces come from?"):
        answer = sheet[sheet.index(question) :].split("** ", 1)[1]
        assert answer.startswith("Unknown")
    assert "300 crops of 60 subjects, 32 x 32 px" in sheet


def test_its_counts_are_those_of_the_table(faces):
    sheet = datasheet(faces)
    head, rows = rows_under(sheet, "By race and gender")
    assert head == ["group", "subjects", "images", "subject share", "image share"]
    counts = faces.composition(["race", "gender"])
    assert {row[0]: [int(row[1]), int(row[2])] for row in rows} == {
        group: row[["subjects", "images"]].tolist() for group, row in counts.iterrows()
    }
    _, rows = rows_under(sheet, "How many images has a subject?")
    assert rows[0][:4] == ["all", "60", "300", "0"]
    mated, pairs = 60 * 10, 300 * 299 // 2
    assert f"{mated:,} mated and {pairs - mated:,} non-mated comparisons" in sheet


def test_missing_labels_and_what_was_lost_are_told(faces):
    faces.table.loc[:4, "race"] = None
    lost = {"images": 320, "rejected": 20, "rate": 0.0625, "low": 0.04, "high": 0.09}
    faces.card |= {
        "failure_to_acquire": lost | {"by_group": {"race": {"asian": lost, "(no label)": lost}}},
        **{"duplicates": 3, "notes": ["Ages were repaired."], "consent": "written"},
        "crops": {"made": "detected and aligned", "detector": "yunet"},
    }
    sheet = datasheet(faces[:200])
    assert "Yes, of 200 faces: race of 5." in sheet
    assert "(no label)" in sheet and "- Ages were repaired." in sheet
    assert "20 of 320 images could not be used: failure to acquire 6.25% [4.00%, 9.00%]" in sheet
    assert "Besides, 3 had the bytes of another image." in sheet
    assert rows_under(sheet, "Besides")[1][0][:4] == ["race", "asian", "320", "20"]
    assert "detected and aligned by yunet." in sheet and "consent?** written." in sheet


def test_measures_stand_in_it_with_their_intervals(faces):
    measured = measure(faces)
    sheet = datasheet(measured)
    head, rows = rows_under(sheet, "How were the photos taken?")
    expected = measures_by_group(measured, "race").set_index(["measure", "group"])
    assert len(rows) == len(expected)
    for row in rows:
        there = dict(zip(head, row, strict=True))
        here = expected.loc[(there["measure"], there["group"])]
        for name in ("mean", "low", "high", "sd"):
            assert float(there[name].replace(",", "")) == pytest.approx(here[name], rel=1e-3)
    assert "never take it for a person's skin tone" in sheet
    alone = measured[:]
    alone.table = alone.table[["subject", "image", "brightness"]]
    assert "Unknown: no column says to which group" in datasheet(alone)
    assert "brightness" in datasheet(alone)


def test_it_is_written_beside_the_set_and_is_the_same_again(faces, tmp_path):
    folder = faces.save(tmp_path / "set")
    text = (folder / "datasheet.md").read_text(encoding="utf-8")
    again = fl.load(folder).save(tmp_path / "again")
    assert (again / "datasheet.md").read_text(encoding="utf-8") == text
    assert str(tmp_path) not in text


def test_names_cannot_pass_for_markup(faces):
    faces.card["name"] = "<script>\n# evil | set"
    faces.table["race"] = faces.table["race"].cat.rename_categories({"asian": "a|b"})
    sheet = datasheet(faces)
    assert sheet.startswith("# Datasheet of &#60;script&#62; &#35; evil &#124; set\n")
    assert "<script>" not in sheet and "| a&#124;b |" in sheet


def test_an_empty_selection_has_a_datasheet_too(faces):
    sheet = datasheet(faces[np.zeros(len(faces), bool)])
    assert "0 crops of 0 subjects" in sheet
