"""The images that are trained on: their crops, subjects and groups, by row.

In: a FaceSet and a recipe. Out: batches of tensors on the training's device.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from facelab import files
from facelab.embedders.tensors import as_floats, sent, write_resized
from facelab.errors import BadInput, how_many
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.faces.reading import Rows
from facelab.training.recipe import Recipe
from facelab.training.sampler import Sampler
from facelab.training.targets import Target

# Bytes of resized crops that are held in memory; more of them go to a temporary file.
_IN_MEMORY = 2**30


class Examples:
    """Images with subject and group.

    Parameters
    ----------
    faces
        Every one has a subject and, where the recipe needs groups, a group.
    recipe
        Its `size` and `mitigate.by`.
    device
        Where the tensors go.
    target
        What is learnt of every image; None is who it is.

    Attributes
    ----------
    labels, subjects
        int64 (N,), every image's subject as a number; the subjects by number.
    groups, names
        int64 (N,), every image's group as a number; the groups by number, ["all"] without `by`.

    Raises
    ------
    BadInput
        There are fewer than two subjects, or an image lacks its subject or group.
    """

    def __init__(
        self,
        faces: FaceSet,
        recipe: Recipe,
        device: torch.device,
        target: Target | None = None,
    ) -> None:
        self.device = device
        self.labels, self.subjects = _subjects(faces)
        self.groups, self.names = _groups(faces, recipe.mitigate.by)
        self.target = target
        self._learnt = target.values if target else self.labels
        self._crops = _crops(faces, recipe.size)
        self.size = recipe.size

    def __len__(self) -> int:
        return len(self.labels)

    def crops(self, rows: np.ndarray) -> Tensor:
        """The crops of some rows on the device, uint8 (B, size, size, 3)."""
        shape = (len(rows), self.size, self.size, 3)
        # What a GPU is to read by itself must not be moved about in the host's memory.
        pinned = self.device.type == "cuda"
        crops = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        self._crops.into(crops.numpy(), rows)
        return crops.to(self.device, non_blocking=pinned)

    def images(self, rows: np.ndarray) -> Tensor:
        """The crops of some rows, float (B, 3, size, size) from 0 to 1."""
        return as_floats(self.crops(rows))

    def labels_of(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """What is learnt of some rows, their subjects or the target's values, and their groups."""
        return (
            sent(torch.from_numpy(self._learnt[rows]), self.device),
            sent(torch.from_numpy(self.groups[rows]), self.device),
        )

    def refuse_shared(self, others: np.ndarray, where: str) -> None:
        """Raise BadInput if any of some other subjects is trained on."""
        both = np.intersect1d(self.subjects.astype(str), others.astype(str))
        if len(both):
            raise BadInput(
                f"{how_many(len(both), 'subject is', 'subjects are')} both trained on and in "
                f"{where} (first: {str(both[0])!r}): split the faces by subject"
            )

    def sampler(self, batch: int, together: int, powers: tuple[float, float], seed: int) -> Sampler:
        """Batches of these images; `powers` are the group's and the subject's."""
        units = self.labels
        if self.target:  # who is labelled image by image may stand in several groups
            units = pd.factorize(self.labels * len(self.names) + self.groups, sort=True)[0]
        return Sampler(units, self.groups, batch, together, *powers, seed)


def resized_faces(faces: FaceSet, size: int) -> FaceSet:
    """The same faces with crops of another size, worked out once."""
    if faces.size == size:
        return faces
    return FaceSet(faces.table, _resized_once(faces, size), faces.card)


def _crops(faces: FaceSet, size: int) -> Rows:
    """What gives crops at the network's size by rows: straight from their file if it has it."""
    return faces.rows if faces.size == size else _resized_rows(faces, size)


def _resized_once(faces: FaceSet, size: int) -> np.ndarray:
    """All crops at the network's size: done once, not in every epoch."""
    return _resized_rows(faces, size).store


def _resized_rows(faces: FaceSet, size: int) -> Rows:
    shape = (len(faces), size, size, 3)
    if np.prod(shape) <= _IN_MEMORY:
        crops = np.empty(shape, np.uint8)
        write_resized(faces, crops)
        return Rows(crops)
    # Its name goes with the block, its bytes with the array and the open file.
    with tempfile.TemporaryDirectory(prefix="facelab-crops-") as folder:
        path = Path(folder) / "crops.npy"
        crops = files.reserve_array(path, shape)
        file = os.open(path, os.O_RDONLY)
    write_resized(faces, crops)
    crops.flush()
    return Rows(crops, None, file, crops.offset)


def _subjects(faces: FaceSet) -> tuple[np.ndarray, np.ndarray]:
    missing = faces.table["subject"].isna().to_numpy()
    if missing.any():
        raise BadInput(
            f"{how_many(int(missing.sum()), 'face has', 'faces have')} no subject (first: image "
            f"{faces.table['image'][missing].iloc[0]!r}): drop or label them before training"
        )
    codes, subjects = pd.factorize(faces.table["subject"], sort=True)
    if len(subjects) < 2:
        raise BadInput(
            f"training needs at least 2 subjects; {faces.card.get('name', 'the FaceSet')!r} has "
            f"{len(subjects)}"
        )
    return codes.astype(np.int64), np.asarray(subjects)


def _groups(faces: FaceSet, by: list[str]) -> tuple[np.ndarray, list[str]]:
    if not by:
        return np.zeros(len(faces), np.int64), ["all"]
    labels = group_labels(faces.table, by)
    missing = labels.isna().to_numpy()
    if missing.any():
        raise BadInput(
            f"{how_many(int(missing.sum()), 'face has', 'faces have')} no {labels.name} (first: "
            f"image {faces.table['image'][missing].iloc[0]!r}): drop or label them, or train "
            "without mitigate.by"
        )
    return labels.cat.codes.to_numpy(np.int64), list(labels.cat.categories)
