"""Crops from a disk into training, beside the same crops from memory.

In: nothing. Out: rows of the table of `core`. The page cache forgets the file before each reading
(posix_fadvise), as it would by itself where a set is larger than memory.
"""

import dataclasses
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import facelab as fl
from facelab.bench.timed import side_by_side

_BATCH = 256


def cold_storage(crops: int = 6_000) -> list[dict]:
    """The training loop and the reading of batches: from a disk, from memory, through a map."""
    import torch

    torch.set_num_threads(1)
    recipe = fl.Recipe(precision="fp32")
    recipe = dataclasses.replace(recipe, steps=crops // recipe.batch)
    with tempfile.TemporaryDirectory(prefix="facelab-bench-") as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        loop, reading = _stored(small, crops, recipe.size), _stored(large, crops, 112)
        # A sixth of the rows: of a set larger than memory, what was read beside them is gone again
        # when it is wanted.
        order = np.random.default_rng(0).permutation(crops)
        batches = order[: crops // 6 // _BATCH * _BATCH].reshape(-1, _BATCH)
        out = np.empty((_BATCH, 112, 112, 3), np.uint8)

        def train() -> None:
            fl.train(loop, recipe, device="cpu", progress=False)

        def by_threads() -> None:
            reader = reading.rows
            for batch in batches:
                reader.into(out, batch)

        def through_a_map() -> None:
            mapped = np.load(large / "crops.npy", mmap_mode="r")
            for batch in batches:
                np.take(mapped, batch, axis=0, out=out, mode="clip")

        job = "read {} crops of 112 px in batches, from a disk"
        count = len(batches) * _BATCH
        return [
            side_by_side(
                f"train {recipe.steps} steps of {recipe.batch} images, from a disk",
                train,
                "the same from memory",
                train,
                rounds=1,
                before=lambda: forget(small),
            ),
            side_by_side(
                job,
                by_threads,
                "the same from memory",
                by_threads,
                images=count,
                before=lambda: forget(large),
            ),
            side_by_side(
                job,
                by_threads,
                "through a memory map, from a disk",
                through_a_map,
                images=count,
                before=lambda: forget(large),
                before_theirs=lambda: forget(large),
            ),
        ]


def _stored(folder: Path, crops: int, size: int) -> fl.FaceSet:
    """Noise, eight images a subject."""
    noise = np.random.default_rng(0).integers(0, 256, (crops, size, size, 3), np.uint8)
    table = pd.DataFrame({"subject": [str(row // 8) for row in range(crops)]})
    table["image"] = [str(row) for row in range(crops)]
    fl.FaceSet.from_arrays(table, noise, name="noise", synthetic=True).save(folder)
    return fl.load(folder)


def forget(folder: Path) -> None:
    """Let the page cache forget the crops of a set; what is mapped into memory stays there."""
    with open(folder / "crops.npy", "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
