"""Where less light comes back than the mesh of the head says: nostrils, orbits, under the nose."""

import numpy as np
import pytest

from facelab.synthetic.head import HEAD_FILE, PARTS, deep_set, load_head, nostrils


@pytest.fixture(scope="module")
def head():
    return load_head()


def baked():
    with np.load(HEAD_FILE) as file:
        return file["openness"] / 255


def nearest(head, x, y):
    """The vertex of the face's skin that is nearest to a place on the template, seen from ahead."""
    front = np.unique(head.triangles[head.part == PARTS["skin"]])
    front = front[head.template[front, 2] > 1.0]
    return front[np.argmin(((head.template[front, :2] - [x, y]) ** 2).sum(1))]


def test_nostrils_are_dark(head):
    deep, around = (nostrils(head.template) > edge for edge in (0.9, 0))
    assert deep.sum() > 10 and (head.openness[deep] < 0.1).all()
    assert head.openness[~around & (np.abs(head.template[:, 0]) < 0.1)].max() == 1


def test_eyes_lie_in_orbits_and_the_nose_has_an_underside(head):
    share = head.openness / np.maximum(baked(), 1e-9)
    inner_corner, under_nose = nearest(head, 0.16, 7.37), nearest(head, 0.0, 6.865)
    assert share[inner_corner] < 0.6 and share[under_nose] < 0.6
    # Forehead, cheek, bridge of the nose and chin are as they were baked.
    for x, y in ((0.2, 7.75), (0.45, 6.9), (0.0, 7.2), (0.0, 6.35)):
        assert share[nearest(head, x, y)] == pytest.approx(1, abs=0.03)


def test_both_sides_are_as_dark(head):
    dark = deep_set(head.template)
    left, right = (dark[side * head.template[:, 0] > 0.01].sum() for side in (1, -1))
    assert left == pytest.approx(right, rel=1e-3) and dark.min() >= 0 and dark.max() <= 1
