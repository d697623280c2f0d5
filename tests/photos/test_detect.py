"""Detection and alignment: landmarks land on the template, whatever the photo."""

import hashlib
import io
import urllib.error
import urllib.request

import numpy as np
import pytest

import facelab as fl
from facelab.errors import Unusable
from facelab.faces.template import TEMPLATE
from facelab.photos import yunet
from facelab.photos.alignment import align, similarity
from facelab.photos.detection import Face, main_face
from facelab.photos.detectors import load_detector
from facelab.photos.yunet import YuNet, yunet_model


def umeyama(source, target):
    """The general solution by singular values (Umeyama 1991, equations 40 to 42)."""
    x, y = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    s = np.diag([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ s @ vt
    scale = (d * np.diag(s)).sum() / (x**2).sum(1).mean()
    shift = target.mean(0) - scale * rotation @ source.mean(0)
    return np.column_stack([scale * rotation, shift])


def turned(points, degrees, scale, shift):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ (scale * np.array([[c, -s], [s, c]])).T + shift


def test_the_similarity_is_umeyamas():
    rng = np.random.default_rng(0)
    for _ in range(50):
        source = turned(TEMPLATE, rng.uniform(-90, 90), rng.uniform(0.2, 9), rng.uniform(0, 999, 2))
        source += rng.normal(0, 2, (5, 2))
        np.testing.assert_allclose(
            similarity(source, TEMPLATE), umeyama(source, TEMPLATE), rtol=1e-9, atol=1e-9
        )


def photo_with_marks(landmarks, height, width, radius):
    """Black, with a smooth white dot on every landmark."""
    y, x = np.mgrid[:height, :width]
    photo = np.zeros((height, width))
    for mark_x, mark_y in landmarks:
        photo += np.exp(-((x - mark_x) ** 2 + (y - mark_y) ** 2) / (2 * radius**2))
    return np.repeat((255 * np.clip(photo, 0, 1)).round().astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize("size", [64, 112])
@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (25, 0.8), (-40, 2), (10, 5)])
def test_landmarks_come_to_lie_on_the_template(size, degrees, scale):
    landmarks = turned(TEMPLATE - 56, degrees, scale, (330, 310))
    crop = align(photo_with_marks(landmarks, 640, 660, 2.5 * scale), landmarks, size)
    assert crop.shape == (size, size, 3)
    weights = crop[..., 0].astype(float)
    y, x = np.mgrid[:size, :size]
    for expected in (TEMPLATE + 0.5) * size / 112 - 0.5:
        near = weights * (np.hypot(x - expected[0], y - expected[1]) < 8 * size / 112)
        found = np.array([(near * x).sum(), (near * y).sum()]) / near.sum()
        assert np.abs(found - expected).max() < 0.25


def test_a_photo_of_the_template_itself_is_left_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    np.testing.assert_array_equal(align(photo, TEMPLATE), photo)


def test_a_large_face_is_averaged_and_not_sampled():
    # A chessboard of single pixels is gray from afar; sampling every eighth pixel sees stripes.
    board = (np.indices((896, 896)).sum(0) % 2 * 255).astype(np.uint8)
    crop = align(np.repeat(board[..., None], 3, 2), (TEMPLATE + 0.5) * 8 - 0.5)
    assert np.abs(crop[4:-4, 4:-4].astype(int) - 127).max() <= 2


def test_a_photo_too_wide_for_opencv_is_cut_out_all_the_same():
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    panorama = np.zeros((300, 40_000, 3), np.uint8)
    panorama[:, 39_000:39_400] = noise
    landmarks = turned(TEMPLATE - 56, 12, 1.3, (200, 150))
    np.testing.assert_allclose(
        align(panorama, landmarks + np.array([39_000, 0])).astype(int),
        align(noise, landmarks),
        atol=1,
    )


def test_what_lies_outside_the_photo_is_black():
    white = np.full((100, 100, 3), 255, np.uint8)
    crop = align(white, TEMPLATE - [56, 0])  # half of the face beyond the left border
    assert (crop[:99, :55] == 0).all()
    assert (crop[:99, 57:] == 255).all()
    with pytest.raises(Unusable, match="its face lies outside it"):
        align(white, TEMPLATE + 1000)


def face(left, top, width, height):
    return Face(np.array([left, top, width, height], float), TEMPLATE, 0.9)


def test_the_main_face_is_large_and_in_the_middle():
    middle, corner = face(100, 100, 50, 50), face(190, 190, 60, 60)
    assert main_face([corner, middle], 250, 250) is middle
    large = face(60, 60, 130, 130)
    assert main_face([middle, large], 250, 250) is large
    with pytest.raises(Unusable, match="no face"):
        main_face([], 250, 250)


def test_landmarks_on_one_point_are_unusable():
    with pytest.raises(Unusable, match="landmarks all lie on one point"):
        similarity(np.ones((5, 2)), TEMPLATE)


def test_detectors_that_cannot_be_opened_are_one_sentence(tmp_path):
    with pytest.raises(fl.BadInput, match="no detector 'haar'; there are: yunet, dlib"):
        load_detector("haar")
    with pytest.raises(FileNotFoundError, match="there is no detector model"):
        load_detector("yunet", tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(fl.BadInput, match="is not a YuNet model"):
        YuNet(tmp_path / "text.onnx")


def test_the_model_is_fetched_once_checked_and_kept(tmp_path, monkeypatch):
    asked = []

    def serve(url, timeout):
        asked.append(url)
        return io.BytesIO(b"the model")

    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", serve)
    with pytest.raises(fl.BadInput, match=r"not the YuNet model.*--detector-model PATH"):
        yunet_model()
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(yunet, "_YUNET_SHA256", hashlib.sha256(b"the model").hexdigest())
    for _ in range(2):
        assert yunet_model().read_bytes() == b"the model"
    assert len(asked) == 2
    yunet_model().write_bytes(b"the mode")
    with pytest.raises(fl.BadInput, match="is damaged or another file: delete it"):
        yunet_model()


def test_without_a_network_one_sentence_says_what_to_put_where(tmp_path, monkeypatch):
    def fail(url, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", fail)
    expected = rf"fetched \(no route to host\): fetch https://.* put it at {tmp_path}/face_.*PATH"
    with pytest.raises(fl.BadInput, match=expected):
        load_detector("yunet")
