"""What a detector is, and which of the faces that it finds a photo is about.

In: the faces of a photo. Out: the one it is about, or the reason why there is none.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from facelab.errors import Unusable

CHOICES = ("prominent", "largest", "central", "labelled")


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
        merit = np.where(inside, overlaps(box, boxes), -1)
    else:
        merit = {"prominent": areas - 2 * off, "largest": areas, "central": -off}[choice]
    return faces[int(np.argmax(merit))]


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with each of others (N, 4)."""
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return shared / (boxes[:, 2:].prod(axis=1) + box[2:].prod() - shared)


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
