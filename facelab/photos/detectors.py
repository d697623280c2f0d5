"""A detector by its name.

In: what the command line was given. Out: a `Detector`.
"""

import os

from facelab.errors import BadInput, there_are
from facelab.photos.detection import Detector
from facelab.photos.dlib import Dlib
from facelab.photos.yunet import YuNet, yunet_model


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
        raise BadInput(f"there is no detector {name!r}{there_are(name, ('yunet', 'dlib'))}")
    if model is not None:
        raise BadInput("dlib's detector brings its own models: leave the detector's model out")
    return Dlib()
