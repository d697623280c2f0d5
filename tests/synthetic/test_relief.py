"""Folds of age and the skin's grain on the skin map."""

import dataclasses

import numpy as np
import pytest

from facelab.synthetic.head import load_head
from facelab.synthetic.paint import ACROSS, UP, features, fold_weights, paint_skin, stencil
from facelab.synthetic.parameters import GROUPS
from facelab.synthetic.relief import FAMILIES, beside, pore_slopes
from tests.drawn_people import draw_subject


@pytest.fixture(scope="module")
def head():
    return load_head()


def slopes(subject, head, size=112):
    painted = paint_skin(subject, head, size)[..., [ACROSS, UP]].astype(float) - 128
    return painted[stencil(size).features[..., 0] == 0]  # lips have creases of their own


def test_young_skin_is_smooth_and_folds_deepen_with_age(head):
    for number, group in enumerate(GROUPS):
        subject = draw_subject(3, number, group, head)
        deep = [
            slopes(dataclasses.replace(subject, wrinkles=wrinkles), head).std()
            for wrinkles in (0.0, 0.3, 0.6, 1.0)
        ]
        assert deep[0] < 1
        assert np.all(np.diff(deep) > 0.5)


def test_folds_begin_at_an_age_of_their_own(head):
    young, old = (
        np.array(
            [
                fold_weights(
                    dataclasses.replace(draw_subject(3, n, GROUPS[n % 6], head), wrinkles=wrinkles)
                )
                for n in range(60)
            ]
        )
        for wrinkles in (0.15, 0.8)
    )
    assert young.shape == (60, len(FAMILIES))
    assert 0.2 < (young > 0).mean() < 0.8
    assert (old > 0).all()


def test_folds_are_as_deep_on_both_sides(head):
    folds = stencil(112).folds.astype(float)
    assert np.abs(folds[..., 1] - folds[:, ::-1, :, 1]).max() <= 2
    assert np.abs(folds[..., 0] + folds[:, ::-1, :, 0]).max() <= 2


def test_pores_show_in_large_pictures_alone():
    sizes = [
        pore_slopes((90, 100), size, np.random.default_rng(0)).std() for size in (112, 224, 448)
    ]
    assert sizes[0] == 0
    assert 0 < sizes[1] < sizes[2] < 0.1


def test_a_place_beside_a_line_has_its_distance_and_side():
    course = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    side, along = beside(course, np.array([0.5, 0.5, 1.5]), np.array([0.2, -0.3, 0.5]))
    assert side == pytest.approx([0.2, -0.3, -0.5])
    assert along == pytest.approx([0.25, 0.25, 0.75])


def test_lips_lie_around_the_seam_and_lids_over_the_eyes(head):
    found = features(head.template[:, None])[:, 0]
    lips, lid = head.template[found[:, 0] > 0.5], head.template[found[:, 4] > 0.5]
    assert np.abs(lips[:, 0]).max() < 0.25
    assert 6.45 < lips[:, 1].min() < 6.615 < lips[:, 1].max() < 6.76
    assert np.all(np.abs(np.abs(lid[:, 0]) - 0.31) < 0.2)
    assert lid[:, 1].min() > 7.26
