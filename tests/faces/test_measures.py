"""Measures against independent computations, and against what is true of synthetic photos."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats

import facelab as fl
from facelab.faces.colour import srgb_to_lab
from facelab.faces.measured import measures_by_group
from facelab.faces.measures import (
    HEAD,
    LIGHT_NOTE,
    face_mask,
    head_pose,
    measure,
    skin_mask,
)
from facelab.faces.template import LANDMARKS
from facelab.synthetic.capture import build_capture
from facelab.synthetic.head import load_head
from facelab.synthetic.mesh import landmarks, project
from facelab.synthetic.plan import faces_of, plan_blocks
from facelab.synthetic.produce import as_population, checked_order
from facelab.synthetic.render import build_model, posed
from facelab.synthetic.subjects import build_subject, subject_name

STUDIO = {
    **{"exposure": 0, "metering": 0, "yaw": 0, "pitch": 0, "glasses": "none", "headwear": "none"},
    **{"light_azimuth": 0, "light_elevation": 20, "light_strength": 1, "light_warmth": 0},
    **{"fill_strength": 0.5, "fill_warmth": 0, "ambient": 0.8, "ambient_warmth": 0},
}


@pytest.fixture(scope="module")
def any_light():
    return measure(fl.synthesize(60, 4, seed=3, size=48, jobs=1))


@pytest.mark.parametrize("size", [32, 112])
def test_the_pixels_are_measured_as_numpy_and_scipy_would(size):
    crops = np.random.default_rng(1).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    table = pd.DataFrame({"subject": ["a", "a", "b"], "image": ["1", "2", "3"]})
    found = measure(fl.FaceSet.from_arrays(table, crops)).table
    for row, crop in enumerate(crops):
        luma = crop.astype(float) @ [0.299, 0.587, 0.114]
        face = face_mask(size)
        assert found["brightness"][row] == pytest.approx(luma[face].mean(), rel=1e-5)
        assert found["contrast"][row] == pytest.approx(luma[face].std(), rel=1e-5)
        edges = ndimage.laplace(luma)[face]
        assert found["sharpness"][row] == pytest.approx(edges.var(), rel=1e-4)
        lab = srgb_to_lab(np.median(crop[skin_mask(size)], axis=0) / 255)
        assert found["skin_lightness"][row] == pytest.approx(lab[0], rel=1e-5)
        angle = np.degrees(np.arctan2(lab[0] - 50, lab[2]))
        assert found["apparent_ita"][row] == pytest.approx(angle, rel=1e-4)


def test_a_crop_of_one_colour_has_the_tones_of_that_colour():
    # Swatch 5 of the Monk scale, #d7bd96: OpenCV in floats gives L* 77.814, b* 23.063.
    crops = np.full((1, 112, 112, 3), [0xD7, 0xBD, 0x96], np.uint8)
    table = pd.DataFrame({"subject": ["a"], "image": ["1"]})
    measured = measure(fl.FaceSet.from_arrays(table, crops, notes=["Before."]))
    row = measured.table.iloc[0]
    assert row["apparent_monk"] == "5"
    assert row["apparent_ita"] == pytest.approx(50.335, abs=0.02)
    assert row["apparent_skin_tone"] == "light" and row["apparent_fitzpatrick"] == "II"
    assert row["contrast"] == pytest.approx(0, abs=0.1) and row["sharpness"] < 1e-6
    assert measured.card["notes"] == ["Before.", LIGHT_NOTE]
    assert measure(measured).card["notes"] == ["Before.", LIGHT_NOTE], "once is enough"


def test_skin_is_where_the_template_has_skin_and_nothing_leaves_the_face():
    skin, face = skin_mask(112), face_mask(112)
    assert (skin & face).sum() > 0.97 * skin.sum()
    for x, y in ((38, 52), (74, 52), (42, 92), (70, 92)):  # eyes and mouth corners
        assert not skin[y - 4 : y + 4, x - 3 : x + 3].any()
    assert skin_mask(16).any() and face_mask(16).any()


def test_in_one_light_the_apparent_tone_follows_the_skin():
    faces = measure(fl.synthesize(60, 1, seed=3, size=48, jobs=1, population=STUDIO)).table
    # measured: 0.98
    assert stats.spearmanr(faces["ita"], faces["apparent_ita"])[0] > 0.95
    steps = faces["monk"].astype(int) - faces["apparent_monk"].astype(int)
    assert steps.abs().mean() < 1.2


def test_in_any_light_it_follows_less_and_better_over_several_photos(any_light):
    table = any_light.table
    once = stats.spearmanr(table["ita"], table["apparent_ita"])[0]
    people = table.groupby("subject")[["ita", "apparent_ita"]].median()
    often = stats.spearmanr(people["ita"], people["apparent_ita"])[0]
    # measured on 900 photos of 112 px: 0.75 for a photo, 0.91 for the median of six
    assert 0.6 < once < 0.9
    assert often > once + 0.05


def test_the_light_alone_moves_the_apparent_tone(any_light):
    dim = fl.synthesize(30, 2, seed=3, size=48, jobs=1, population={"exposure": -1.5})
    bright = fl.synthesize(30, 2, seed=3, size=48, jobs=1, population={"exposure": 1.0})
    dim, bright = measure(dim).table, measure(bright).table
    pd.testing.assert_series_equal(dim["ita"], bright["ita"])
    for name in ("apparent_ita", "skin_lightness", "brightness"):
        assert (dim[name] < bright[name]).mean() > 0.97
    assert (bright["apparent_monk"].astype(int) <= dim["apparent_monk"].astype(int)).all()


def test_blur_takes_sharpness():
    sharp, soft = (
        measure(fl.synthesize(12, 2, seed=5, size=64, jobs=1, population={"focus_blur": blur}))
        for blur in (0, 3)
    )
    assert (soft.table["sharpness"] < sharp.table["sharpness"]).all()


def test_the_processes_do_not_matter_nor_whether_it_is_a_selection(any_light, tmp_path):
    folder = any_light.save(tmp_path / "set")
    loaded = fl.load(folder)
    rows = np.arange(len(loaded))[::-2]
    again = measure(loaded[rows], jobs=2).table
    expected = any_light.table.iloc[rows].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, expected[again.columns], check_categorical=False)


def test_crops_that_are_not_aligned_are_refused():
    whole = fl.synthesize(6, 1, size=48, jobs=1, frame="full")
    with pytest.raises(fl.BadInput, match="not aligned to the template"):
        measure(whole)


# ---- pose


def as_columns(points):
    return {
        f"{name}_{axis}": points[:, place, k]
        for place, name in enumerate(LANDMARKS)
        for k, axis in enumerate("xy")
    }


@pytest.fixture(scope="module")
def heads():
    """Projected landmarks of synthetic heads, their true yaw, pitch and roll; neutral landmarks."""
    head, found, true, neutral = load_head(), [], [], []
    points = np.array([head.nose_tip, head.mouth_right, head.mouth_left])
    eyes = np.stack([head.eye_right, head.eye_left])
    order = checked_order(as_population(None, 48, 4, None), 5, 112, "aligned")
    for person in (person for block in plan_blocks(order) for person in block.photos):
        faces = [face for several in faces_of(order, person) for face in several]
        first = faces[0]
        name = subject_name(order.seed, first.number)
        subject = build_subject(name, first.phenotype, first.gender, first.values)
        dressed = build_model(subject, head).dressed("none", "none")
        still = [dressed.neutral[list(eye)].mean(axis=0) for eye in eyes]
        neutral.append([*still, *dressed.neutral[points]])
        for face in faces:
            capture = build_capture(face.capture, head)
            screen = project(posed(dressed, capture, head), capture.distance)
            found.append(landmarks(screen, eyes, points))
            true.append((capture.yaw, capture.pitch, capture.roll))
    return np.array(found), np.array(true), np.array(neutral)


def test_yaw_and_roll_follow_the_truth_and_pitch_roughly(heads):
    found, true, _ = heads
    angles = head_pose(found * 40 + 200)  # anywhere in the photo, at any scale
    np.testing.assert_allclose(angles, head_pose(found))
    follows = [np.corrcoef(angles[:, k], true[:, k])[0, 1] for k in range(3)]
    off = np.abs(angles - true).mean(axis=0)
    # Pitch is lost in how long noses are.
    assert follows[0] > 0.9 and follows[1] > 0.25 and follows[2] > 0.88
    assert off[0] < 6 and off[1] < 17 and off[2] < 2.5


def test_the_mean_head_is_that_of_the_population(heads):
    middle = heads[2].mean(axis=0) * 100
    np.testing.assert_allclose(middle - middle.mean(axis=0), HEAD - HEAD.mean(axis=0), atol=2)


def test_the_mean_head_turned_by_hand_gives_its_angles_back():
    yaw, roll = np.radians(20), np.radians(10)
    # The nose goes to the picture's right.
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    seen = (HEAD @ turn.T)[:, :2] * [1, -1]
    np.testing.assert_allclose(head_pose(seen[None]), [[-20, 0, 0]], atol=1e-6)
    lean = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    frontal = HEAD[:, :2] * [1, -1] @ lean.T  # y is down: clockwise as seen
    np.testing.assert_allclose(head_pose(frontal[None]), [[0, 0, 10]], atol=1e-6)


def test_pose_is_measured_where_there_are_landmarks_and_else_left_out(faces):
    assert "apparent_yaw" not in measure(faces).table
    points = np.tile(HEAD[:, :2] * [1, -1] + 300, (len(faces), 1, 1))
    points[7] = np.nan
    faces.table = faces.table.assign(**as_columns(points))
    table = measure(faces).table
    assert table["eye_distance"].drop(7).to_numpy() == pytest.approx(63.8)
    assert table["apparent_yaw"].drop(7).abs().max() < 1e-3
    assert table.loc[7, ["apparent_yaw", "apparent_roll", "eye_distance"]].isna().all()
    faces.table = faces.table.drop(columns="nose_y")
    with pytest.raises(fl.BadInput, match="landmarks but no column 'nose_y'"):
        measure(faces)


# ---- by group


def test_with_one_photo_a_subject_the_interval_is_students(faces):
    one = measure(faces[::5])
    rows = measures_by_group(one, "gender").set_index(["measure", "group"])
    for group in ("female", "male"):
        values = one.table.loc[one.table["gender"] == group, "brightness"].astype(float)
        row = rows.loc[("brightness", group)]
        expected = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        assert (row["low"], row["high"]) == pytest.approx(expected)
        assert row["sd"] == pytest.approx(values.std())
        assert row["median"] == pytest.approx(values.median())
        assert (row["subjects"], row["images"]) == (30, 30)


def test_alike_photos_of_one_subject_are_not_taken_for_independent(faces):
    table = faces.table.assign(image=faces.table["image"] + "b")
    twice = fl.FaceSet.from_arrays(
        pd.concat([faces.table, table]), np.tile(faces.crops, (2, 1, 1, 1))
    )
    one, two = (measures_by_group(measure(these), "gender") for these in (faces, twice))
    columns = ["mean", "low", "high"]
    np.testing.assert_allclose(one[columns], two[columns], rtol=1e-6)
    assert (two["images"] == 2 * one["images"]).all()


def test_one_subject_has_a_mean_and_no_interval(faces):
    row = measures_by_group(measure(faces[:5]), "gender").iloc[0]
    assert row["mean"] == row["mean"] and np.isnan(row["low"])
    with pytest.raises(fl.BadInput, match=r"no measures: make them with fl\.measure"):
        measures_by_group(faces, "gender")
