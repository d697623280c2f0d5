"""Faces as torch and torchvision take them.

In: a FaceSet and the column to be told apart. Out: a `torch.utils.data.Dataset`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import Dataset

from facelab.errors import BadInput, there_are


class TorchFaces(Dataset):
    """(image, number of its label) by row, in the way of `torchvision.datasets.ImageFolder`.

    Attributes
    ----------
    faces
        The FaceSet.
    classes, class_to_idx, targets
        The labels in sorted order; their numbers; the number of each row.

    Raises
    ------
    BadInput
        There is no such column, it holds numbers, or a face has no label.
    """

    def __init__(
        self,
        faces: Any,
        label: str,
        transform: Callable[[Any], Any] | None,
        target_transform: Callable[[int], Any] | None,
    ) -> None:
        if label not in faces.table.columns:
            known = there_are(label, faces.table.columns, "it has")
            raise BadInput(f"the FaceSet has no column {label!r}{known}")
        column = faces.table[label]
        if pd.api.types.is_numeric_dtype(column.dtype):
            raise BadInput(
                f"{label!r} holds numbers, not labels: give it as target_transform from the row, "
                "or cut it into groups first"
            )
        if column.isna().any():
            image = faces.table["image"][column.isna().to_numpy()].iloc[0]
            raise BadInput(
                f"image {image!r} has no {label}: leave such faces out, with "
                f"faces[faces.table[{label!r}].notna()]"
            )
        numbers, labels = pd.factorize(column.astype(str), sort=True)
        self.faces, self.label = faces, label
        self.transform, self.target_transform = transform, target_transform
        self.classes = [str(one) for one in labels]
        self.class_to_idx = {one: number for number, one in enumerate(self.classes)}
        self.targets = [int(number) for number in numbers]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: list[int]) -> list[tuple[Any, Any]]:
        """Several at once, which a DataLoader asks for: one read of the crops."""
        crops = self.faces.gather(np.asarray(rows))
        return [self._one(crop, row) for crop, row in zip(crops, rows, strict=True)]

    def _one(self, crop: np.ndarray, row: int) -> tuple[Any, Any]:
        number = self.targets[row]
        if self.transform is None:
            image = torch.tensor(crop).permute(2, 0, 1).to(torch.float32).div_(255)
        else:
            image = self.transform(Image.fromarray(crop))
        return image, number if self.target_transform is None else self.target_transform(number)
