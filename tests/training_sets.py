"""Small sets and recipes that train in a second, shared by the tests of training."""

import numpy as np
import pandas as pd

import facelab as fl
from facelab.training.recipe import Recipe

TINY = Recipe(
    backbone="resnet18",
    backbone_options={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]},
    size=32,
    dim=32,
    batch=32,
    steps=12,
    scale=16.0,
    precision="fp32",
)


def patterns(
    subjects: int = 12, images: int = 6, size: int = 32, seed: int = 0, prefix: str = "s"
) -> fl.FaceSet:
    """Subjects that differ in a coarse pattern of colours, images that differ in noise."""
    rng = np.random.default_rng(seed)
    pattern = rng.integers(0, 256, (subjects, 4, 4, 3)).repeat(size // 4, 1).repeat(size // 4, 2)
    crops = pattern.repeat(images, 0) + rng.normal(0, 20, (subjects * images, size, size, 3))
    subject = np.repeat([f"{prefix}{number:03d}" for number in range(subjects)], images)
    table = pd.DataFrame(
        {
            "subject": subject,
            "image": [f"{name}/{number % images}" for number, name in enumerate(subject)],
            "gender": np.repeat(["female", "male"] * (subjects // 2), images),
        }
    )
    crops = crops.clip(0, 255).astype(np.uint8)
    return fl.FaceSet.from_arrays(table, crops, name="patterns", synthetic=True)
