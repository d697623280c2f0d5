"""Crops from a disk into training, beside the same crops from memory.

In: nothing. Out: rows of the table of `core`. The page cache forgets the file before each reading
(posix_fadvise), as it would by itself where a set is larger than memory.
"""

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import facelab as fl

ROUNDS = 3
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
        order = np.random.default_rng(0).permutation(crops)
        batches = np.split(order[: crops // _BATCH * _BATCH], crops // _BATCH)
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
        return [
            _row(
                f"train {recipe.steps} steps of {recipe.batch} images, from a disk",
                _timed(train, small, "the same from memory", train, None, rounds=1),
            ),
            _row(
                job,
                _timed(by_threads, large, "the same from memory", by_threads, None),
                images=len(batches) * _BATCH,
            ),
            _row(
                job,
                _timed(
                    by_threads, large, "through a memory map, from a disk", through_a_map, large
                ),
                images=len(batches) * _BATCH,
            ),
        ]


def _timed(
    ours: Callable[[], object],
    ours_forgets: Path | None,
    other: str,
    theirs: Callable[[], object],
    theirs_forgets: Path | None,
    rounds: int = ROUNDS,
) -> tuple[str, float, float]:
    """Median seconds of both in turn, after a turn that is not counted."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(1 + rounds):
        for taken, work, folder in zip(
            seconds, (ours, theirs), (ours_forgets, theirs_forgets), strict=True
        ):
            if folder:
                forget(folder)
            start = time.perf_counter()
            work()
            if number:
                taken.append(time.perf_counter() - start)
    return other, *(statistics.median(taken) for taken in seconds)


def _row(job: str, timed: tuple[str, float, float], images: int | None = None) -> dict:
    other, ours, theirs = timed
    row = {"job": job, "facelab s": ours, "beside": other, "s": theirs, "ratio": theirs / ours}
    if images is None:
        return row
    a_second = {"facelab images/s": images / ours, "images/s": images / theirs}
    return row | {"job": job.format(images)} | a_second


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
