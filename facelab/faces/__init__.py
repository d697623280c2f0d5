"""Faces: aligned crops, a table of who is in them, a card of where they come from.

Read `faceset.py` first: `FaceSet` is what every other room is handed. `composition.py` chooses who
is in a training set, `groups.py` makes groups of labels, `measures.py` reads photos.
"""
