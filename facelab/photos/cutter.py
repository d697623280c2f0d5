"""One image file's way to a crop, in whatever process.

In: where the image is. Out: its crop, its bytes' digest and what was measured of the face, or the
reason why there is no crop.
"""

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facelab.datasets.walking import unread
from facelab.errors import BadInput, Unusable, need
from facelab.faces.template import LANDMARK_COLUMNS
from facelab.limits import PHOTO, read_bytes, spelt
from facelab.photos.alignment import align
from facelab.photos.decode import decode, decode_reduced
from facelab.photos.detection import Detector, check_face, main_face

# Huge JPEGs are read at a part of their size, as long as detection and crop are no worse for it:
# detectors see 640 px, and a crop's second look is made of at least as many pixels as it has.
_LEAST_SIDE, _LEAST_FACE = 1280, 250
# What a detector's crops come with.
MEASURED = ("face_size", "faces_found", *LANDMARK_COLUMNS)


class Place(NamedTuple):
    """Where one image is, and the labelled face in it."""

    path: str
    offset: int
    box: tuple[float, ...] | None


class Outcome(NamedTuple):
    """What became of one image file: a crop, or the reason why not."""

    crop: np.ndarray | None
    digest: str  # of the bytes; empty where they could not be read
    stamp: list[int] | None  # size and time of the file when it was read
    measured: list[float]  # as MEASURED names them; empty where no face was detected
    problem: Unusable | None
    remark: str = ""  # what is not as it should be in a photo that was taken


@dataclass(frozen=True)
class Cutter:
    """Makes crops of image files; travels to the worker processes."""

    root: Path
    size: int
    detector: Detector | None
    aligned: bool
    face: str
    min_face: float
    rivals: float | None
    read: Callable[[Path, int], bytes] | None

    def batch(self, parent: int, places: list[Place]) -> list[Outcome]:
        if os.getpid() != parent and self.detector is not None:
            need("cv2", "onnx").setNumThreads(1)  # every processor has its own worker
        return [self.one(place) for place in places]

    def one(self, place: Place) -> Outcome:
        digest, read = "", stamp(place.path)
        remarks: list[str] = []
        try:
            data = self._read(Path(place.path), place.offset)
            digest = hashlib.sha256(data).hexdigest()
            crop, measured = self._cut(data, place.box, remarks)
            return Outcome(crop, digest, read, measured, None, " ".join(dict.fromkeys(remarks)))
        except Unusable as problem:
            return Outcome(None, digest, read, [], problem)

    def _read(self, path: Path, offset: int) -> bytes:
        try:
            if "\0" in str(path):
                raise Unusable("its path holds NUL")
            inside = path.resolve().is_relative_to(self.root)
            there = path.is_file()
        except (OSError, RuntimeError) as error:  # what Python 3.11 says of a circle of links
            if getattr(error, "errno", None) == errno.ENAMETOOLONG:
                raise Unusable("its name is longer than any") from None
            raise Unusable("it is a link that leads nowhere") from None
        if not inside:
            raise Unusable("it is a link that leaves the folder")
        if not there:
            raise Unusable("it is not a file" if path.exists() else "it is not there")
        kind = unread(path.name) if self.read is None else None
        if kind is not None:  # and may be gigabytes
            raise Unusable(f"it is a {kind}, which is not read", "export photos as JPEG or PNG")
        if self.read is None and (size := path.stat().st_size) > PHOTO.bytes:
            raise Unusable(f"it has {spelt(size)}, and {PHOTO.what} at most {spelt(PHOTO.bytes)}")
        try:
            return read_bytes(path, PHOTO) if self.read is None else self.read(path, offset)
        except OSError as error:
            raise Unusable(f"it cannot be read ({error.strerror})") from None
        except BadInput as error:
            raise Unusable(str(error)) from None

    def _cut(
        self, data: bytes, box: tuple[float, ...] | None, remarks: list[str]
    ) -> tuple[np.ndarray, list[float]]:
        """The crop, and what was measured of the face."""
        if self.detector is None:
            return self._taken_as_it_is(decode(data, remarks)), []
        photo, factor = decode_reduced(data, _LEAST_SIDE, remarks)
        height, width = (side * factor for side in photo.shape[:2])
        faces = [face.scaled(factor) for face in self.detector.detect(photo)]
        where = None if box is None else np.array(box)
        face = main_face(faces, height, width, self.face, where)
        check_face(face, faces, self.min_face, self.rivals)
        if factor > 1 and face.size < factor * _LEAST_FACE * max(1, self.size / 112):
            photo, factor = decode(data), 1
        refined = self.detector.refine(photo, face.scaled(1 / factor))
        places = refined.scaled(factor).landmarks.round(1).ravel().tolist()
        crop = align(photo, refined.landmarks, self.size)
        return crop, [round(face.size, 1), len(faces), *places]

    def _taken_as_it_is(self, photo: np.ndarray) -> np.ndarray:
        height, width = photo.shape[:2]
        if height == width == self.size:
            return photo
        if not self.aligned:
            raise Unusable(
                f"it is {width}x{height} px, not {self.size}x{self.size}",
                "give a detector to find and align the faces (--detector yunet --detector-model "
                "PATH), or say aligned=True (--aligned) if they are aligned crops of another size",
            )
        if height != width:
            raise Unusable(f"it is {width}x{height} px, and an aligned crop is square")
        from PIL import Image

        how = Image.Resampling.BOX if width > self.size else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(photo).resize((self.size, self.size), how))


def stamp(path: str) -> list[int] | None:
    """A file's size and time of change: another stamp is another file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):  # a path with NUL
        return None
    return [facts.st_size, facts.st_mtime_ns]
