"""The figures of who is in the data say in words what they show, and show no real person."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.faces.measured import measures_by_group
from facelab.faces.measures import measure
from facelab.figures import people as plot_people
from facelab.figures.people import composition


@pytest.fixture
def measured(faces):
    return measure(faces)


def drawn(figure):
    assert figure.png().startswith(b"\x89PNG")
    return figure


def test_every_subject_is_a_dot_and_every_group_has_its_median(faces):
    uneven = faces[np.r_[0:3, 5:300]]
    figure = drawn(plot_people.images_per_subject(uneven, ["race", "gender"]))
    (dots,) = figure.axes[0].collections
    assert len(dots.get_offsets()) == 60
    assert "african/female 5" in figure.alt and figure.alt.count(";") == 5
    lines = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert lines == [5] * 6


def test_a_long_tail_of_images_gets_a_log_axis():
    table = pd.DataFrame({"subject": ["a"] * 200 + list("bcdefg"), "group": "x"})
    table["image"] = [str(n) for n in range(206)]
    faces = fl.FaceSet.from_arrays(table, np.zeros((206, 16, 16, 3), np.uint8))
    assert drawn(plot_people.images_per_subject(faces, "group")).axes[0].get_xscale() == "log"
    faces.table["group"] = pd.Categorical([None] * 206, categories=["x"])
    with pytest.raises(fl.BadInput, match="no face has a group label"):
        plot_people.images_per_subject(faces, "group")


def test_means_and_intervals_are_drawn_where_they_are(measured):
    rows = measures_by_group(measured, "race")
    figure = drawn(plot_people.measures_by_group(rows, ["brightness", "sharpness"]))
    first = figure.axes[0]
    points = [line.get_xdata()[0] for line in first.lines if line.get_marker() == "o"]
    here = rows[(rows["measure"] == "brightness") & (rows["group"] != "all")]
    np.testing.assert_allclose(points, here["mean"])
    assert first.get_xlabel() == "brightness, luma 0-255"
    assert f"brightness asian {here['mean'].iloc[1]:.3g} [" in figure.alt
    assert len(drawn(plot_people.measures_by_group(rows)).axes) == 6  # five measures, one is empty


def test_the_tones_of_a_group_add_up_to_it(measured):
    figure = drawn(plot_people.apparent_tones(measured, "gender"))
    widths = np.array([bar.get_width() for bar in figure.axes[0].patches]).reshape(10, 2)
    np.testing.assert_allclose(widths.sum(axis=0), 1)
    tones = measured.table["apparent_monk"].astype(int)
    women = (measured.table["gender"] == "female").to_numpy()
    np.testing.assert_allclose(
        widths[:, 0], np.bincount(tones[women], minlength=11)[1:] / women.sum()
    )
    with pytest.raises(fl.BadInput, match=r"make them with fl\.measure"):
        plot_people.apparent_tones(fl.FaceSet.from_arrays(
            measured.table[["subject", "image", "gender"]], measured.crops), "gender")  # fmt: skip


def test_the_curve_of_copies_counts_them(measured):
    pairs = pd.DataFrame({"score": [0.99, 0.97, 0.9], "mated": [True, False, True]})
    figure = drawn(plot_people.highest_scores(pairs, 0.95))
    assert (
        figure.alt == "Pairs by their score. 2 score 0.950 or more, of which 1 are of two subjects."
    )
    drawn(plot_people.highest_scores(pairs.iloc[:0], 0.95))


def test_images_are_shown_side_by_side_but_not_of_real_people(faces):
    names = list(faces.table["image"][:4])
    rows = {"first": names[:3], "second": names[3:]}
    figure = drawn(plot_people.rows_of_images(faces, rows, ["photo", "label", "like"]))
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown[:32, :32], faces.crops[0])
    np.testing.assert_array_equal(shown[35:67, :32], faces.crops[3])
    faces.card["synthetic"] = False
    with pytest.raises(fl.BadInput, match="photos of real people"):
        plot_people.rows_of_images(faces, rows)
    drawn(plot_people.rows_of_images(faces, rows, show_real_faces=True))
    drawn(composition(faces, "race"))
