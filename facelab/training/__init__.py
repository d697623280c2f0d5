"""Training: from a FaceSet and a recipe to an embedder of our own.

`train` makes one embedder; `train_arms` makes those of an experiment side by side, with all that
must be equal between its arms held equal.
"""

from facelab.training.arms import train_arms
from facelab.training.loop import train
from facelab.training.recipe import Augmentation, Mitigation, Recipe, Validation

__all__ = ["Augmentation", "Mitigation", "Recipe", "Validation", "train", "train_arms"]
