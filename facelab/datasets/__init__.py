"""Readers of face data sets as they lie on disk: one small file a layout.

In: a folder that the user holds. Out: a `Reader`, a table of image files with subjects and group
labels plus the card's facts, which `facelab.prepare` turns into a FaceSet.
"""

from facelab.datasets.folder import folder
from facelab.datasets.lfw import lfw, lfw_pairs
from facelab.datasets.reader import Reader

__all__ = ["Reader", "folder", "lfw", "lfw_pairs"]
