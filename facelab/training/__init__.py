"""Training: from a FaceSet and a recipe to an embedder of our own.

Read `loop.py` first: `train` makes one embedder; `arms.py` makes those of an experiment side by
side, with all that must be equal between its arms held equal.
"""
