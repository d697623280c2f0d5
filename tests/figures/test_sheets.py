"""The gallery's sheets: every condition once, every twin in its column, none too large."""

import numpy as np
import pytest

import facelab as fl
from facelab.figures.sheets import CONDITIONS, PLAIN, capture_sheet, gallery, twins_sheet

FEW = {"pose": {"yaw": [-30, 30]}, "glasses": {"glasses": ["round"]}}


def pictures(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def words(figure):
    return [text.get_text() for text in figure.texts]


def test_a_capture_sheet_shows_one_subject_under_each_condition():
    figure = capture_sheet(conditions=FEW, size=48, jobs=1)
    shown = pictures(figure)
    assert len(shown) == (1 + 2) + (1 + 1)
    assert words(figure) == ["plain", "yaw\n-30", "yaw\n30", "pose", "plain", "round", "glasses"]
    assert (shown[0] == shown[3]).all(), "each row begins with the same plain photo"
    assert len({picture.tobytes() for picture in shown}) == 4
    assert "Rows: pose, glasses." in figure.alt


def test_a_condition_that_the_plain_photo_has_is_refused():
    with pytest.raises(fl.BadInput, match="glasses: a level is the plain photo's own"):
        capture_sheet(conditions={"a": {"glasses": ["none"]}}, size=32, jobs=1)


def test_the_conditions_of_the_gallery_differ_from_the_plain_photo():
    for row in CONDITIONS.values():
        for factor, levels in row.items():
            assert PLAIN.get(factor) not in levels


@pytest.fixture(scope="module")
def twins():
    change = {"melanin": [0.1, 0.7], "gender": ["female", "male"]}
    return fl.synthesize_twins(change, 6, 2, seed=1, size=32, jobs=1)


def test_a_twins_sheet_has_a_row_a_subject_and_a_column_a_change(twins):
    figure = twins_sheet(twins, 3)
    shown = pictures(figure)
    assert len(shown) == 3 * 5
    captions = [text for text in words(figure) if "melanin" in text or "gender" in text]
    assert captions == ["melanin\n0.1", "melanin\n0.7", "gender\nfemale", "gender\nmale"]
    table = twins.table
    for row, subject in enumerate(table["subject"].unique()[:3]):
        own = table[(table["subject"] == subject) & (table["image"].str.contains("/000"))]
        photo = own.index[own["factor"] == "base"][0]
        dark = own.index[(own["factor"] == "melanin") & (own["level"] == "0.7")][0]
        other = own.index[own["factor"] == "gender"]
        female, male = shown[5 * row + 3 : 5 * row + 5]
        assert (shown[5 * row] == twins.crops[photo]).all()
        assert (shown[5 * row + 2] == twins.crops[dark]).all()
        # Of the two genders one is the subject's own: there the photo itself stands.
        own_gender = table.loc[photo, "gender"]
        same, changed = (female, male) if own_gender == "female" else (male, female)
        assert (same == twins.crops[photo]).all()
        assert (changed == twins.crops[other[0]]).all()


def test_a_twins_sheet_of_some_factors(twins):
    assert len(pictures(twins_sheet(twins, 2, ["melanin"]))) == 2 * 3


def test_what_are_no_twins_is_refused(faces):
    with pytest.raises(fl.BadInput, match="these are no twins"):
        twins_sheet(faces)


@pytest.mark.slow
def test_the_gallery_can_be_kept_in_the_repository(tmp_path):
    for path in gallery(tmp_path, jobs=1):
        assert 20_000 < path.stat().st_size < (900_000 if path.stem == "portraits" else 500_000)
        assert path.read_bytes().startswith(b"\xff\xd8")
