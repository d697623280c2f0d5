"""dlib: the detector keeps facelab's landmarks, the embedder dlib's own geometry, all offline."""

import pickle
import socket
import sys

import numpy as np
import pytest

import facelab as fl
from facelab.embedders.dlib import CHIP, chip_geometry, descriptors
from facelab.faces.template import TEMPLATE
from facelab.photos import dlib as detect_dlib
from facelab.photos.alignment import similarity
from facelab.photos.decode import decode
from facelab.photos.detection import main_face
from facelab.photos.detectors import load_detector


def installed():
    try:
        detect_dlib.dlib_module()
        detect_dlib.model_file("shape_predictor_68_face_landmarks.dat")
    except fl.MissingExtra:
        return False
    return True


needs_dlib = pytest.mark.skipif(
    not installed(), reason="the extra dlib is not installed: pip install 'facelab[dlib]'"
)


# ---- without the packages


def test_without_the_packages_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    for attempt in (detect_dlib._finder, detect_dlib._predictor):
        attempt.cache_clear()
    with pytest.raises(fl.MissingExtra, match=r"pip install 'facelab\[dlib\]'"):
        load_detector("dlib")
    with pytest.raises(fl.MissingExtra, match=r"pip install 'facelab\[dlib\]'"):
        from facelab.embedders.dlib import _network

        _network.cache_clear()
        fl.load_embedder("dlib")


def test_without_the_models_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(detect_dlib, "find_spec", lambda name: None)
    with pytest.raises(fl.MissingExtra, match=r"face-recognition-models .*facelab\[dlib\]"):
        detect_dlib.model_file("shape_predictor_68_face_landmarks.dat")


def test_dlib_takes_no_model_file(tmp_path):
    with pytest.raises(fl.BadInput, match="brings its own models"):
        load_detector("dlib", tmp_path / "model.dat")


# ---- geometry


def test_the_chip_keeps_its_place_in_crops_of_every_size():
    # Both corners of the chip, outer edges of their pixels, as shares of the crop's side.
    corners = np.array([[-0.5, -0.5], [CHIP - 0.5, CHIP - 0.5]])
    shares = []
    for size in (64, 112, 250):
        matrix = chip_geometry(size)
        assert matrix[0, 1] == matrix[1, 0] == 0
        inside = (corners - matrix[:, 2]) / matrix[0, 0]
        shares.append((inside + 0.5) / size)
    np.testing.assert_allclose(shares[0], shares[1], atol=1e-12)
    np.testing.assert_allclose(shares[2], shares[1], atol=1e-12)
    # Left, right and above the crop holds the whole chip; below, 9 % of it are missing.
    (left, top), (right, bottom) = shares[1]
    assert left > 0 and top > 0 and right < 1
    assert (bottom - 1) / (bottom - top) == pytest.approx(8.35 / 97.3, abs=1e-3)


@needs_dlib
def test_vectors_are_dlibs_own_of_the_chip(faces):
    import cv2
    import dlib

    crops = faces.crops[:2]
    path = detect_dlib.model_file("dlib_face_recognition_resnet_model_v1.dat")
    model = dlib.face_recognition_model_v1(path)
    expected = []
    for crop in crops:
        chip = cv2.warpAffine(crop, chip_geometry(32), (CHIP, CHIP))
        mirror = cv2.warpAffine(np.ascontiguousarray(crop[:, ::-1]), chip_geometry(32), (150, 150))
        rows = [np.array(model.compute_face_descriptor(picture)) for picture in (chip, mirror)]
        expected.append(sum(rows) / np.linalg.norm(sum(rows)))
    embedder = fl.load_embedder("dlib")
    assert (embedder.name, embedder.dim, embedder.size) == ("dlib", 128, None)
    found = embedder.embed(faces[:2], jobs=1)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert "7,485 people" in found.card["model"]["training_data"]


@needs_dlib
def test_pictures_without_a_face_have_none():
    detector = load_detector("dlib")
    for shape in ((1, 3000, 3), (3000, 1, 3), (200, 200, 3), (1, 1, 3)):
        assert detector.detect(np.zeros(shape, np.uint8)) == []


# ---- real faces


@needs_dlib
@pytest.mark.real
def test_landmarks_stand_in_order_and_do_not_depend_on_the_photos_size(real):
    detector = pickle.loads(pickle.dumps(load_detector("dlib")))
    photo = decode((real / "lfw" / "photos250" / "Angela_Bassett_0001.jpg").read_bytes())

    def refined(picture):
        face = main_face(detector.detect(picture), *picture.shape[:2])
        assert 0 < face.score < 1
        return detector.refine(picture, face)

    first = refined(photo).landmarks
    eyes, mouth = first[:2], first[3:]
    assert eyes[0, 0] < eyes[1, 0]
    assert mouth[0, 0] < mouth[1, 0]
    assert eyes[:, 1].max() < first[2, 1] < mouth[:, 1].min()
    # She smiles: the corners of her mouth lie 5 px of the crop off the template.
    matrix = similarity(first, TEMPLATE)
    assert np.abs(first @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE).max() < 6
    huge = np.kron(photo, np.ones((6, 6, 1), np.uint8))  # 1500 px
    again = refined(huge).landmarks
    assert np.abs((again + 0.5) / 6 - 0.5 - first).max() < 0.5


@needs_dlib
@pytest.mark.real
def test_the_chip_is_the_one_that_dlib_would_cut_out(real):
    """dlib's own five landmarks on ready crops, enlarged: where it would cut, on average."""
    import cv2
    import dlib

    predictor = dlib.shape_predictor(detect_dlib.model_file("shape_predictor_5_face_landmarks.dat"))
    finder = dlib.get_frontal_face_detector()
    places = []
    for path in sorted((real / "lfw" / "aligned112").glob("*/*.jpg"))[::385]:
        large = cv2.resize(decode(path.read_bytes()), (336, 336))
        large = cv2.copyMakeBorder(large, 84, 84, 84, 84, cv2.BORDER_REPLICATE)
        boxes = finder(large, 0)
        if len(boxes) == 1:
            chip = dlib.get_face_chip_details(predictor(large, boxes[0]), CHIP, 0.25)
            middle = (np.array([chip.rect.dcenter().x, chip.rect.dcenter().y]) - 84 + 0.5) / 3 - 0.5
            places.append([*middle, chip.rect.width() / 3, np.degrees(chip.angle)])
    assert len(places) >= 15
    x, y, side, angle = np.mean(places, axis=0)
    matrix = chip_geometry(112)
    ours = ((CHIP - 1) / 2 - matrix[:, 2]) / matrix[0, 0]
    assert np.abs([x, y] - ours).max() < 2
    assert side == pytest.approx(CHIP / matrix[0, 0], rel=0.05)
    assert abs(angle) < 3


@needs_dlib
@pytest.mark.real
def test_from_photo_to_audit_without_a_network(real, tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("there is no network here")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    photos = fl.datasets.lfw(real / "lfw" / "photos250", partial=True)
    several = photos.table["subject"].duplicated(keep=False)
    some = photos.table[several].sort_values("subject")[:12].reset_index(drop=True)
    photos = fl.datasets.Reader(photos.name, photos.root, some, photos.card)
    faces = fl.prepare(photos, tmp_path / "faces", detector=load_detector("dlib"), jobs=1)
    assert len(faces) == 12
    assert faces.card["crops"] == {"made": "detected and aligned", "detector": "dlib"}
    embeddings = fl.load_embedder("dlib").embed(faces, flip=False, jobs=1)
    assert np.linalg.norm(embeddings.vectors, axis=1) == pytest.approx(1, abs=1e-6)
    scores = embeddings.vectors @ embeddings.vectors.T
    subject = faces.table["subject"].to_numpy()
    same = (subject[:, None] == subject) & ~np.eye(12, dtype=bool)
    assert np.median(scores[same]) > np.median(scores[subject[:, None] != subject])
    audit = fl.audit(embeddings, by="gender", fmr=0.1, replicates=10)
    assert "all" in set(audit.rates["group"])


@needs_dlib
@pytest.mark.real
def test_crops_are_as_the_ready_ones(likeness):
    """The detector's crops and the ready ones of 20 photos, by an embedder of another kind."""
    assert likeness(load_detector("dlib"), 20) > 0.96


@needs_dlib
@pytest.mark.real
@pytest.mark.slow
def test_the_lfw_protocol_from_ready_crops(real, tmp_path):
    """All 6,000 pairs; dlib states 99.38 % from its own alignment."""
    faces = fl.prepare(fl.datasets.lfw(real / "lfw"), tmp_path / "faces")
    embeddings = fl.load_embedder("dlib").embed(faces, flip=False)
    pairs = fl.datasets.lfw_pairs(real / "lfw" / "pairs.txt", faces.table)
    assert fl.pair_accuracy(embeddings, pairs).mean > 0.985


@needs_dlib
@pytest.mark.real
def test_dlibs_vectors_are_longer_than_one(real):
    """Its threshold of 0.6 on Euclidean distances is a cosine of about 0.91, not of 0.82."""
    paths = sorted((real / "lfw" / "aligned112").glob("*/*.jpg"))[:6]
    lengths = np.linalg.norm(descriptors(np.stack([decode(p.read_bytes()) for p in paths])), axis=1)
    assert ((lengths > 1.2) & (lengths < 1.7)).all()
    assert 1 - 0.6**2 / (2 * lengths.mean() ** 2) == pytest.approx(0.91, abs=0.01)
