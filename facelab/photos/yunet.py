"""YuNet, the fast detector: its model fetched once or given by path.

In: an RGB photo. Out: faces with landmarks in pixels of the photo.
"""

import hashlib
import os
import urllib.request
from functools import cache
from pathlib import Path

import numpy as np

from facelab import files
from facelab.caches import cache_folder, cache_place
from facelab.errors import BadInput, need
from facelab.faces.template import TEMPLATE
from facelab.photos.alignment import cut_out, mirror, similarity, template_of
from facelab.photos.anchors import Network, faces_of
from facelab.photos.detection import Face

_YUNET_URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
    "26cc381e4d2594bb9f47a26eb8fd96c94a13660d/models/face_detection_yunet/"
    "face_detection_yunet_2026may.onnx"
)
_YUNET_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
# Where YuNet's mean landmarks lie in ready ArcFace crops, less the template: it marks the eyes and
# the nose lower and the mouth's corners higher than the landmarks of which the template is the
# mean. Measured on 176 LFW photos whose ready crops are known, with the looks below: other looks
# have another.
_YUNET_OFFSET = np.array([[-0.6, 1.0], [0.1, 1.9], [-0.6, 2.7], [-1.4, -2.6], [-0.6, -2.0]])
# Sides of the crops in which YuNet looks again, and whether they are mirrored. It places landmarks
# best where the eyes lie about 30 or 90 px apart, and worse between. On those photos, the mean
# cosine of our crop with the ready one, and its 5th percentile, are 0.972 and 0.939; with 320 px
# for the large look 0.973 and 0.943, without it 0.969 and 0.931 (half-profiles suffer), and with
# the first look alone 0.956 and 0.906.
_LOOKS = ((288, False), (96, False), (96, True))
# Of 700 FairFace photos, in which faces fill the picture, 56 have none at 640 px and all at 256.
_SMALLER = 0.4


def yunet_model() -> Path:
    """The model file of YuNet, fetched once and kept in the user's cache.

    The cache is the folder that `FACELAB_CACHE` names, or `facelab` in the user's cache folder.

    Raises
    ------
    BadInput
        It cannot be fetched, or what came is another file; the sentence says how to go on without
        a network.
    """
    model = yunet_place()
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
        model = cache_folder() / model.name
        files.write_bytes(model, data)
    if files.sha256(model) != _YUNET_SHA256:
        raise BadInput(f"{model} is damaged or another file: delete it, or {advice}")
    return model


def yunet_place() -> Path:
    """Where YuNet's model is kept, or would be."""
    return cache_place() / _YUNET_URL.rsplit("/", 1)[-1]


class YuNet:
    """The YuNet detector (Wu et al. 2023) through ONNX Runtime.

    Parameters
    ----------
    model
        Path of `face_detection_yunet_*.onnx` of the OpenCV model zoo. One that takes pictures of
        one size only does as well, but every look costs as much as at that size.
    min_score
        Faces with less confidence are left out.
    longest_side
        Larger photos are scaled down to this many pixels for detection, and smaller ones up to it
        where no face is found in them as they are. Landmarks come back in the photo's own pixels.

    Raises
    ------
    MissingExtra
        ONNX Runtime or OpenCV is not installed.
    FileNotFoundError, BadInput
        The model is not there, is not a YuNet model, or takes smaller pictures only.
    """

    name = "yunet"

    def __init__(
        self, model: str | os.PathLike, min_score: float = 0.6, longest_side: int = 640
    ) -> None:
        self.model, self.min_score, self.longest_side = Path(model), min_score, longest_side
        if not self.model.is_file():
            raise FileNotFoundError(f"there is no detector model {self.model}")
        self.model_sha256 = files.sha256(self.model)
        largest, needed = (
            _network(self.model, self.model_sha256).largest,
            max(longest_side, _LOOKS[0][0]),
        )
        if largest < needed:
            raise BadInput(
                f"{self.model} takes pictures of {largest:g} px only, and {needed} are needed: "
                f"give {_YUNET_URL.rsplit('/', 1)[-1]}, which takes any size"
            )

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
        """The face with the mean landmarks of three looks at its crop, one large and two small.

        One look's landmarks move by 2 % of the crop's side when the photo is scaled, which costs an
        embedder more than anything else in the alignment; the mean moves by 0.5 %, and by 1 % when
        the photo is turned by 20 degrees. Each look is at the crop that those before it give: in a
        tilted face YuNet draws the landmarks towards an upright one's, in a large picture less than
        in a small one. They come back as the template means them: YuNet's constant offsets from it
        are taken off.
        """
        known, found = face.landmarks, []
        for side, mirrored in _LOOKS:
            found.append(self._again(photo, known, side, mirrored))
            known = np.mean(found, axis=0)
        matrix = similarity(known, TEMPLATE + _YUNET_OFFSET)
        offset = np.linalg.solve(matrix[:, :2], _YUNET_OFFSET.T).T
        return Face(face.box, known - offset, face.score)

    def _again(self, photo: np.ndarray, known: np.ndarray, side: int, mirrored: bool) -> np.ndarray:
        """The landmarks seen in the crop that these give; these where no face is seen there."""
        target = template_of(side)
        crop = cut_out(photo, known, target, side)
        seen = self._detect(crop[:, ::-1] if mirrored else crop, side)
        looks = [mirror(face.landmarks, side) if mirrored else face.landmarks for face in seen]
        here = [look for look in looks if _same_face(look, target)]
        if not here:
            return known
        matrix = similarity(known, target)
        return np.linalg.solve(matrix[:, :2], (here[0] - matrix[:, 2]).T).T

    def _detect(self, photo: np.ndarray, longest_side: int) -> list[Face]:
        cv2 = need("cv2", "onnx")
        height, width = photo.shape[:2]
        scale = longest_side / max(height, width)
        scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            photo = cv2.resize(photo, scaled, interpolation=how)
        anchors = _network(self.model, self.model_sha256).anchors(photo, self.min_score)
        # YuNet names eyes and mouth corners by the subject's side, right first: the order of
        # the image from left to right is the same.
        grow = np.array([width / scaled[0], height / scaled[1]])
        return [
            Face(face.box * np.tile(grow, 2), (face.landmarks + 0.5) * grow - 0.5, face.score)
            for face in faces_of(anchors)
        ]


@cache
def _network(model: Path, sha256: str) -> Network:
    """Opened once a process, and again where the file is another: it cannot be pickled."""
    return Network(model)


def _same_face(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether landmarks lie within half the distance of the eyes from where a face is known."""
    off = np.linalg.norm(found.mean(axis=0) - expected.mean(axis=0))
    return bool(off < np.linalg.norm(expected[1] - expected[0]) / 2)
