"""Readers of face data sets as they lie on disk: one small file a layout.

Read `reader.py` first, then `folder.py`, the smallest.

In: a folder that the user holds. Out: a `Reader`, a table of image files with subjects and group
labels plus the card's facts, which `facelab.prepare` turns into a FaceSet; pair lists and score
tables as frames that `facelab.pair_accuracy` and `facelab.Comparisons.from_scores` take.
"""

from facelab.datasets.bfw import bfw, bfw_scores
from facelab.datasets.bupt import bupt
from facelab.datasets.casual_conversations import casual_conversations
from facelab.datasets.celeba import celeba
from facelab.datasets.fairface import fairface
from facelab.datasets.fer2013 import fer2013
from facelab.datasets.folder import folder
from facelab.datasets.huggingface import huggingface
from facelab.datasets.insightface_bin import insightface_bin, insightface_bin_pairs
from facelab.datasets.insightface_rec import insightface_rec
from facelab.datasets.lfw import lfw, lfw_pairs
from facelab.datasets.morph import morph
from facelab.datasets.reader import Reader
from facelab.datasets.rfw import rfw, rfw_pairs
from facelab.datasets.tabular import table
from facelab.datasets.utkface import utkface
from facelab.datasets.vggface2 import vggface2

__all__ = [
    "Reader",
    "bfw",
    "bfw_scores",
    "bupt",
    "casual_conversations",
    "celeba",
    "fairface",
    "fer2013",
    "folder",
    "huggingface",
    "insightface_bin",
    "insightface_bin_pairs",
    "insightface_rec",
    "lfw",
    "lfw_pairs",
    "morph",
    "rfw",
    "rfw_pairs",
    "table",
    "utkface",
    "vggface2",
]
