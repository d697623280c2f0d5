"""Readers of face data sets as they lie on disk: one small file a layout.

Read `reader.py` first, then `folder.py`, the smallest.

In: a folder that the user holds. Out: a `Reader`, a table of image files with subjects and group
labels plus the card's facts, which `facelab.prepare` turns into a FaceSet; pair lists and score
tables as frames that `facelab.pair_accuracy` and `facelab.Comparisons.from_scores` take.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
