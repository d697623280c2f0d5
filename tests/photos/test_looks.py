"""Looking again: what several looks at a face agree on, and what its anchors agree on."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import facelab as fl
from facelab.faces.template import TEMPLATE
from facelab.photos.alignment import mirror, similarity, template_of
from facelab.photos.anchors import Anchors, faces_of
from facelab.photos.decode import decode
from facelab.photos.detection import Face, main_face, overlaps
from facelab.photos.yunet import _YUNET_OFFSET, YuNet

PHOTO = np.zeros((400, 500, 3), np.uint8)


def turned(points, degrees, scale, shift):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ (scale * np.array([[c, -s], [s, c]])).T + shift


class Looking(YuNet):
    """A YuNet that finds a face where `finds(side, mirrored)` says, or nothing."""

    def __init__(self, finds):
        self.finds, self.looks = finds, []

    def _detect(self, photo, longest_side):
        assert photo.shape == (longest_side, longest_side, 3)
        mirrored = photo.strides[1] < 0
        self.looks.append((longest_side, mirrored))
        found = self.finds(longest_side, mirrored)
        return [Face(np.zeros(4), landmarks, 0.9) for landmarks in found]


def refined(finds, seen):
    detector = Looking(finds)
    return detector.refine(PHOTO, Face(np.zeros(4), seen, 0.9)).landmarks, detector.looks


def nothing(side, mirrored):
    return []


def test_the_constant_offset_of_yunet_is_taken_off():
    seen, meant = (
        turned(points - 56, 30, 2, (250, 200)) for points in (TEMPLATE + _YUNET_OFFSET, TEMPLATE)
    )
    np.testing.assert_allclose(refined(nothing, seen)[0], meant, atol=1e-9)


def test_a_face_is_looked_at_once_large_and_twice_small_one_of_them_mirrored():
    assert refined(nothing, TEMPLATE + 100)[1] == [(288, False), (96, False), (96, True)]


@given(st.floats(-30, 30), st.floats(0.5, 3), st.integers(0, 2**32 - 1))
def test_what_every_look_agrees_on_is_where_the_face_is(degrees, scale, seed):
    """However wrong the first look was: it only says where to look again."""
    actual = turned(TEMPLATE - 56, degrees, scale, (250, 200))
    first = actual + np.random.default_rng(seed).normal(0, scale, (5, 2))
    detector, views = Looking(nothing), []

    def again(photo, known, side, mirrored):
        views.append(known)
        return actual

    detector._again = again
    found = detector.refine(PHOTO, Face(np.zeros(4), first, 0.9)).landmarks
    np.testing.assert_array_equal(views[0], first)
    np.testing.assert_allclose(views[1:], [actual, actual])
    at_once = refined(nothing, actual)[0]
    np.testing.assert_allclose(found, at_once, atol=1e-9)


def test_errors_to_one_side_cancel_between_the_small_looks():
    def to_the_right(side, mirrored):
        # The template is not quite its own mirror image: the same face is found in both.
        plain = mirror(template_of(side), side) if mirrored else template_of(side)
        return [] if side != 96 else [plain + np.array([side / 40, 0])]

    def unmoved(side, mirrored):
        return (
            []
            if side != 96
            else [mirror(template_of(side), side) if mirrored else template_of(side)]
        )

    seen = turned(TEMPLATE - 56, -20, 1.7, (250, 200))
    moved = refined(to_the_right, seen)[0] - refined(unmoved, seen)[0]
    step = 1.7 * 112 / 40
    # The mirrored look is at the crop that half of the step to the right has moved.
    assert np.linalg.norm(moved, axis=1).max() < step / 2 / 3 + 0.05


def test_another_face_in_a_second_look_is_passed_over():
    seen = turned(TEMPLATE - 56, 0, 1, (250, 200))

    def beside(side, mirrored):
        return [template_of(side) + np.array([side / 3, 0])]

    np.testing.assert_array_equal(refined(beside, seen)[0], refined(nothing, seen)[0])


def anchors_around(centre, size, count, rng, spread):
    """`count` anchors of one face, their boxes nearly the same, their landmarks scattered."""
    left_top = np.array(centre) - size / 2
    boxes = np.hstack([np.tile(left_top, (count, 1)), np.full((count, 2), size)])
    landmarks = left_top + TEMPLATE * size / 112 + rng.normal(0, spread, (count, 5, 2))
    return Anchors(rng.uniform(0.6, 0.95, count), boxes + rng.normal(0, 0.5, (count, 4)), landmarks)


def test_a_faces_landmarks_are_the_mean_of_its_anchors_and_its_box_the_surest_ones():
    rng = np.random.default_rng(0)
    one, other = (anchors_around(centre, 60, 12, rng, 3) for centre in ((80, 90), (200, 90)))
    both = Anchors(*map(np.concatenate, zip(one, other, strict=True)))
    faces = faces_of(both)
    assert len(faces) == 2
    assert faces[0].score > faces[1].score
    for heap in (one, other):
        surest = int(np.argmax(heap.scores))
        found = next(face for face in faces if face.score == heap.scores[surest])
        np.testing.assert_array_equal(found.box, heap.boxes[surest])
        np.testing.assert_allclose(found.landmarks, heap.landmarks.mean(axis=0))


@given(st.permutations(range(24)))
def test_faces_do_not_depend_on_the_order_of_the_anchors(order):
    rng = np.random.default_rng(1)
    one, other = (anchors_around(centre, 60, 12, rng, 3) for centre in ((80, 90), (115, 90)))
    both = Anchors(*map(np.concatenate, zip(one, other, strict=True)))
    shuffled = Anchors(*(values[list(order)] for values in both))
    for expected, face in zip(faces_of(both), faces_of(shuffled), strict=True):
        np.testing.assert_array_equal(face.box, expected.box)
        np.testing.assert_allclose(face.landmarks, expected.landmarks)


def test_where_no_anchor_sees_a_face_there_is_none():
    assert faces_of(Anchors(np.zeros(0), np.zeros((0, 4)), np.zeros((0, 5, 2)))) == []


def test_overlap_is_intersection_over_union():
    box = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [0, 0, 5, 5]])
    np.testing.assert_allclose(overlaps(box, others), [1, 1 / 3, 0, 1 / 4])


# ---- real faces


def yunet(real):
    return YuNet(real / "models" / "face_detection_yunet.onnx")


def lfw(real, step=1):
    return [decode(path.read_bytes()) for path in sorted(real.glob("lfw/photos250/*.jpg"))[::step]]


def misplaced(landmarks, expected):
    """Root mean square distance of two alignments, in pixels of a crop of 112."""
    one, other = (similarity(points, TEMPLATE) for points in (landmarks, expected))
    back = np.linalg.solve(one[:, :2], (TEMPLATE - one[:, 2]).T).T
    off = back @ other[:, :2].T + other[:, 2] - TEMPLATE
    return float(np.sqrt((off**2).sum(axis=1).mean()))


@pytest.mark.real
def test_yunet_gives_the_same_landmarks_at_every_size_of_photo(real):
    detector = yunet(real)
    photo = decode((real / "lfw" / "photos250" / "Angela_Bassett_0001.jpg").read_bytes())
    (found,) = detector.detect(photo)
    first = detector.refine(photo, found)
    eyes, mouth = first.landmarks[:2], first.landmarks[3:]
    assert eyes[0, 0] < eyes[1, 0]
    assert mouth[0, 0] < mouth[1, 0]
    assert eyes[:, 1].max() < first.landmarks[2, 1] < mouth[:, 1].min()
    huge = np.kron(photo, np.ones((6, 6, 1), np.uint8))  # 1500 px
    sent = pickle.loads(pickle.dumps(detector))
    again = sent.refine(huge, main_face(sent.detect(huge), *huge.shape[:2]))
    assert np.abs((again.landmarks + 0.5) / 6 - 0.5 - first.landmarks).max() < 2
    assert detector.detect(np.zeros((1, 3000, 3), np.uint8)) == []
    with pytest.raises(fl.BadInput, match="is not a YuNet model"):
        YuNet(real / "models" / "mobilefacenet.onnx")


@pytest.mark.real
def test_the_faces_found_are_those_that_opencv_finds(real):
    import cv2

    model = real / "models" / "face_detection_yunet.onnx"
    theirs, ours = cv2.FaceDetectorYN.create(str(model), "", (250, 250), 0.6), yunet(real)
    for photo in lfw(real, 30):
        _, rows = theirs.detect(photo[..., ::-1].copy())
        faces = ours.detect(photo)
        assert len(faces) == len(rows)
        for face, row in zip(faces, rows, strict=True):
            np.testing.assert_allclose(face.box, row[:4], atol=1e-3)
            assert face.score == pytest.approx(row[14], abs=1e-5)


@pytest.mark.real
def test_alignment_moves_little_when_a_photo_is_scaled_or_turned(real):
    """In pixels of the crop; with two looks at 416 px and no mean of anchors it was 1.0 and 1.7."""
    import cv2

    detector = yunet(real)

    def marks(photo):
        return detector.refine(photo, main_face(detector.detect(photo), *photo.shape[:2])).landmarks

    halved, tilted = [], []
    turn = cv2.getRotationMatrix2D((124.5, 124.5), 20, 1)
    for photo in lfw(real, 10):
        first = marks(photo)
        half = marks(cv2.resize(photo, (125, 125), interpolation=cv2.INTER_AREA))
        halved.append(misplaced((half + 0.5) * 2 - 0.5, first))
        there = marks(cv2.warpAffine(photo, turn, (250, 250), borderMode=cv2.BORDER_REFLECT))
        tilted.append(misplaced((there - turn[:, 2]) @ turn[:, :2], first))
    assert np.mean(halved) < 0.8
    assert np.mean(tilted) < 1.4


@pytest.mark.real
def test_yunets_crops_are_as_the_ready_ones(real, likeness):
    """Of 30 photos, by an embedder of another kind; 0.972 is the mean of all 176."""
    assert likeness(yunet(real), 30) > 0.96


@pytest.mark.real
def test_a_model_of_one_size_only_finds_the_same_faces_or_says_what_it_lacks(real, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(real / "models" / "face_detection_yunet.onnx")
    for side in (640, 320):
        for place in (2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = side
        onnx.save(model, tmp_path / f"{side}.onnx")
    with pytest.raises(fl.BadInput, match=r"320\.onnx takes pictures of 320 px only, and 640 are"):
        YuNet(tmp_path / "320.onnx")
    detectors = YuNet(tmp_path / "640.onnx"), yunet(real)
    for photo in lfw(real, 100):
        faces = [main_face(detector.detect(photo), 250, 250) for detector in detectors]
        np.testing.assert_allclose(faces[0].box, faces[1].box, atol=2)
        looks = zip(detectors, faces, strict=True)
        assert misplaced(*(detector.refine(photo, face).landmarks for detector, face in looks)) < 2
