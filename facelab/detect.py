"""Faces in photos: finding them, and laying them on the 112-pixel template.

In: an RGB photo of any size. Out: one aligned crop of the face that the photo is about, or the
reason why there is none. The five landmarks always stand in one order: left eye, right eye, nose,
left and right mouth corner, left and right as seen in the image.
"""

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facelab import files
from facelab.errors import BadInput, need

# The landmarks in their order, and the columns in which a table holds them in pixels of the photo.
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
LANDMARK_COLUMNS = tuple(f"{landmark}_{axis}" for landmark in LANDMARKS for axis in "xy")
# Where ArcFace (Deng et al. 2019) puts left eye, right eye, nose tip and mouth corners (left and
# right as seen) in a crop of 112 x 112, as (x, y): what "aligned" means here.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


_YUNET_URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
    "26cc381e4d2594bb9f47a26eb8fd96c94a13660d/models/face_detection_yunet/"
    "face_detection_yunet_2026may.onnx"
)
_YUNET_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
# Where YuNet's mean landmarks lie in ready ArcFace crops, less the template: it marks the mouth's
# corners higher than the landmarks of which the template is the mean, and without this the crops
# are 3 % too narrow. Measured on 176 LFW photos whose ready crops are known.
_YUNET_OFFSET = np.array([[-0.5, 0.2], [-0.6, 0.3], [-0.3, 1.0], [-1.0, -2.4], [-0.1, -2.4]])
# Side of the upright picture in which YuNet looks again, and once more mirrored, and how much more
# than the crop it shows. On 176 LFW photos with ready crops the cosine of our crop with the ready
# one is 0.964 with it, 0.950 with 320 px at the same distance, 0.927 with the first look alone; two
# more looks gain nothing and take twice the time.
_SECOND_LOOK = 416
_SECOND_VIEW = 1.3
# Of 700 FairFace photos, in which faces fill the picture, 56 have none at 640 px and all at 256.
_SMALLER = 0.4
_MIRRORED = [1, 0, 2, 4, 3]  # the landmarks' places in a mirror image
CHOICES = ("prominent", "largest", "central", "labelled")


class Unusable(Exception):
    """This image gives no crop; the message completes the sentence "the image ..."."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason, self.advice = reason, advice


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the photo.

    Attributes
    ----------
    box
        float (4,): left, top, width, height.
    landmarks
        float (5, 2): x, y in the module's order.
    score
        The detector's confidence, 0..1.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float

    @property
    def size(self) -> float:
        """The shorter side of the box."""
        return float(self.box[2:].min())

    def scaled(self, factor: float) -> "Face":
        """The face as it lies in the photo `factor` times as large."""
        return Face(self.box * factor, (self.landmarks + 0.5) * factor - 0.5, self.score)


class Detector(Protocol):
    """What `facelab.prepare` needs of a detector; it must survive pickling."""

    name: str

    def detect(self, photo: np.ndarray) -> list[Face]:
        """All faces in an RGB uint8 photo."""
        ...

    def refine(self, photo: np.ndarray, face: Face) -> Face:
        """One of these faces again, its landmarks placed as well as the detector can."""
        ...


def load_detector(name: str, model: str | os.PathLike | None = None) -> Detector:
    """The detector of a name, as the command line gives it.

    Parameters
    ----------
    name
        "yunet", or "dlib" (extra `dlib`, offline).
    model
        Path of YuNet's model file; by default `yunet_model()`. dlib brings its own.
    """
    if name == "yunet":
        return YuNet(yunet_model() if model is None else model)
    if name != "dlib":
        raise BadInput(f"there is no detector {name!r}; there are: yunet, dlib")
    if model is not None:
        raise BadInput("dlib's detector brings its own models: leave the detector's model out")
    from facelab.detect_dlib import Dlib

    return Dlib()


def yunet_model() -> Path:
    """The model file of YuNet, fetched once and kept in the user's cache.

    The cache is the folder that `FACELAB_CACHE` names, or `facelab` in the user's cache folder.

    Raises
    ------
    BadInput
        It cannot be fetched, or what came is another file; the sentence says how to go on without
        a network.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("FACELAB_CACHE") or Path(home) / "facelab")
    model = cache / _YUNET_URL.rsplit("/", 1)[-1]
    advice = (
        f"fetch {_YUNET_URL} on a machine with a network and put it at {model}, or give the path "
        "of a YuNet model (--detector-model PATH)"
    )
    if not model.is_file():
        try:
            with urllib.request.urlopen(_YUNET_URL, timeout=20) as answer:
                data = answer.read(10_000_000)
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise BadInput(f"YuNet's model could not be fetched ({reason}): {advice}") from error
        if hashlib.sha256(data).hexdigest() != _YUNET_SHA256:
            raise BadInput(f"what was fetched is not the YuNet model that was expected: {advice}")
        cache.mkdir(parents=True, exist_ok=True)
        files.write_bytes(model, data)
    if files.sha256(model) != _YUNET_SHA256:
        raise BadInput(f"{model} is damaged or another file: delete it, or {advice}")
    return model


class YuNet:
    """The YuNet detector (Wu et al. 2023) through OpenCV.

    Parameters
    ----------
    model
        Path of `face_detection_yunet_*.onnx` of the OpenCV model zoo.
    min_score
        Faces with less confidence are left out.
    longest_side
        Larger photos are scaled down to this many pixels for detection, and smaller ones up to it
        where no face is found in them as they are. Landmarks come back in the photo's own pixels.

    Raises
    ------
    MissingExtra
        OpenCV is not installed.
    FileNotFoundError, BadInput
        The model is not there, or is not a YuNet model.
    """

    name = "yunet"

    def __init__(
        self, model: str | os.PathLike, min_score: float = 0.6, longest_side: int = 640
    ) -> None:
        self.model, self.min_score, self.longest_side = Path(model), min_score, longest_side
        if not self.model.is_file():
            raise FileNotFoundError(f"there is no detector model {self.model}")
        self.model_sha256 = files.sha256(self.model)
        _open_yunet(self.model, min_score)

    def detect(self, photo: np.ndarray) -> list[Face]:
        """All faces in an RGB uint8 photo.

        A photo without any is looked at again: larger, if it was small, and then smaller, for a
        face that fills a photo is larger than those that YuNet has learnt.
        """
        sides = (
            min(max(photo.shape[:2]), self.longest_side),
            self.longest_side,
            round(self.longest_side * _SMALLER),
        )
        looks = (self._detect(photo, side) for side in dict.fromkeys(sides))
        return next((found for found in looks if found), [])

    def refine(self, photo: np.ndarray, face: Face) -> Face:
        """The face with the mean landmarks of two looks at it, upright and large, one mirrored.

        YuNet's landmarks move by 2 % of the crop's side when the photo is scaled or mirrored, which
        costs an embedder more than anything else in the alignment; the mean moves less. They come
        back in the template's convention: YuNet's constant offsets from it are taken off.
        """
        cv2 = need("cv2", "onnx")
        side = _SECOND_LOOK
        target = ((TEMPLATE + 0.5 - 56) / (112 * _SECOND_VIEW) + 0.5) * side - 0.5
        back = cv2.invertAffineTransform(similarity(face.landmarks, target))
        view = _cut_out(photo, face.landmarks, target, side)
        found = []
        for mirrored in (False, True):
            again = self._detect(cv2.flip(view, 1) if mirrored else view, side)
            looks = [_mirror(one.landmarks, side) if mirrored else one.landmarks for one in again]
            here = [look for look in looks if _same_face(look, target)]
            found += [look @ back[:, :2].T + back[:, 2] for look in here[:1]]
        landmarks = np.mean(found, axis=0) if found else face.landmarks
        matrix = similarity(landmarks, TEMPLATE + _YUNET_OFFSET)
        offset = np.linalg.solve(matrix[:, :2], _YUNET_OFFSET.T).T
        return Face(face.box, landmarks - offset, face.score)

    def _detect(self, photo: np.ndarray, longest_side: int) -> list[Face]:
        cv2 = need("cv2", "onnx")
        network = _open_yunet(self.model, self.min_score)
        height, width = photo.shape[:2]
        scale = longest_side / max(height, width)
        scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        photo = cv2.resize(photo, scaled, interpolation=how)
        network.setInputSize(scaled)
        _, rows = network.detect(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        # YuNet names eyes and mouth corners by the subject's side, right first: the order of
        # the image from left to right is the same.
        grow = np.array([width / scaled[0], height / scaled[1]])
        return [
            Face(
                row[:4].astype(float) * np.tile(grow, 2),
                (row[4:14].reshape(5, 2).astype(float) + 0.5) * grow - 0.5,
                float(row[14]),
            )
            for row in rows
        ]


@cache
def _open_yunet(model: Path, min_score: float) -> Any:
    """OpenCV's network, opened once a process: it cannot be pickled."""
    cv2 = need("cv2", "onnx")
    # OpenCV 5 warns at every start that its new engine knows no targets; we ask for none.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        network = cv2.FaceDetectorYN.create(str(model), "", (64, 64), min_score)
        # Another kind of model opens as well: only a run shows that it is no detector.
        network.detect(np.zeros((64, 64, 3), np.uint8))
        return network
    except cv2.error as error:
        raise BadInput(f"{model} is not a YuNet model that OpenCV can read") from error
    finally:
        cv2.utils.logging.setLogLevel(level)


def _mirror(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Landmarks found in a mirror image, as they lie in the image."""
    return np.column_stack([width - 1 - landmarks[:, 0], landmarks[:, 1]])[_MIRRORED]


def _same_face(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether landmarks lie within half the distance of the eyes from where a face is known."""
    off = np.linalg.norm(found.mean(axis=0) - expected.mean(axis=0))
    return bool(off < np.linalg.norm(expected[1] - expected[0]) / 2)


def main_face(
    faces: list[Face],
    height: int,
    width: int,
    choice: str = "prominent",
    box: np.ndarray | None = None,
) -> Face:
    """The face that a photo is about; ties go to the first.

    Parameters
    ----------
    faces
        What a detector found in the photo.
    height, width
        The photo's, in pixels.
    choice
        ``"prominent"``: large and near the middle (area minus twice the squared distance of the
        box's centre from the photo's centre, as InsightFace chooses); ``"largest"`` by area;
        ``"central"``: nearest the middle; ``"labelled"``: overlaps `box` most (intersection over
        union) of those whose centre lies in it.
    box
        float (4,): left, top, width, height of the labelled face in pixels of the photo.

    Raises
    ------
    Unusable
        There is no such face.
    """
    if not faces:
        raise Unusable("no face was found in it")
    boxes = np.array([face.box for face in faces])
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    areas = boxes[:, 2] * boxes[:, 3]
    off = ((centres - np.array([width, height]) / 2) ** 2).sum(axis=1)
    if choice == "labelled":
        if box is None or not (np.isfinite(box).all() and (box[2:] > 0).all()):
            raise Unusable("its label has no box")
        inside = ((centres >= box[:2]) & (centres <= box[:2] + box[2:])).all(axis=1)
        if not inside.any():
            raise Unusable(f"no face was found where its label says ({len(faces)} elsewhere)")
        low = np.maximum(boxes[:, :2], box[:2])
        high = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        merit = np.where(inside, shared / (areas + box[2] * box[3] - shared), -1)
    else:
        merit = {"prominent": areas - 2 * off, "largest": areas, "central": -off}[choice]
    return faces[int(np.argmax(merit))]


def check_face(face: Face, faces: list[Face], min_face: float, rivals: float | None) -> None:
    """Refuse a face that is too small, or not the only one of its size.

    Parameters
    ----------
    face, faces
        The one that was chosen, and all that were found.
    min_face
        Its least size (the shorter side of its box) in pixels of the photo.
    rivals
        Refuse it where another face has at least this share of its area; None: never.

    Raises
    ------
    Unusable
        The message says its size, or how many others there are.
    """
    if face.size < min_face:
        raise Unusable(f"its face is too small: {face.size:.0f} px, less than {min_face:g}")
    if rivals is None:
        return
    area = face.box[2] * face.box[3]
    others = sum(
        other is not face and other.box[2] * other.box[3] >= rivals * area for other in faces
    )
    if others:
        raise Unusable(
            f"its face is not the only one: {others} more with at least {rivals:.0%} of its area"
        )


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity transform (2, 3) that takes points to points with least squared error.

    Umeyama 1991 without reflection, which in the plane has a closed form: with points as complex
    numbers, target = a source + b is a linear regression.
    """
    z, w = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    centred = z - z.mean()
    spread = (np.abs(centred) ** 2).sum()
    if not spread > 0:
        raise Unusable("its face landmarks all lie on one point")
    a = (centred.conj() * (w - w.mean())).sum() / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align(photo: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """Cut out a face so that its landmarks come to lie on the template.

    Parameters
    ----------
    photo
        uint8 (H, W, 3) RGB.
    landmarks
        (5, 2) in the module's order.
    size
        Side of the crop; the template is scaled with it.

    Returns
    -------
    numpy.ndarray
        uint8 (size, size, 3) RGB; black where the crop reaches over the photo's border.
    """
    # Pixel centres are at whole numbers: scaling is about the corner at -0.5.
    return _cut_out(photo, landmarks, (TEMPLATE + 0.5) * (size / 112) - 0.5, size)


def _cut_out(photo: np.ndarray, landmarks: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    """A square picture of a photo in which the landmarks come to lie on `target`."""
    cv2 = need("cv2", "onnx")
    matrix = similarity(landmarks, target)
    shrink = float(np.hypot(*matrix[:, 0]))
    photo, corner = _around(photo, matrix, shrink, size)
    landmarks = landmarks - corner
    if shrink < 0.5:
        # Bilinear sampling sees four pixels: below half size it would skip some, so area first.
        height, width = photo.shape[:2]
        small = (max(1, round(width * 2 * shrink)), max(1, round(height * 2 * shrink)))
        photo = cv2.resize(photo, small, interpolation=cv2.INTER_AREA)
        landmarks = (landmarks + 0.5) * [small[0] / width, small[1] / height] - 0.5
    matrix = similarity(landmarks, target)
    return cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_LINEAR)


def _around(
    photo: np.ndarray, matrix: np.ndarray, shrink: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a photo that a crop can touch, and its upper left corner.

    OpenCV warps no photo with a side over 32,767, and only this part needs to be shrunk.
    """
    centre = np.linalg.solve(matrix[:, :2], (size - 1) / 2 - matrix[:, 2])
    radius = size / shrink * np.sqrt(0.5) + 2 / min(shrink, 1)
    limits = np.array(photo.shape[1::-1])
    low, high = (np.clip(np.round(centre + side * radius), 0, limits) for side in (-1, 1))
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    if left >= right or top >= bottom:
        raise Unusable("its face lies outside it")
    return photo[top:bottom, left:right], np.array([left, top])
