"""Folders of files, as tests lay them out."""

from pathlib import Path

import numpy as np
from PIL import Image


def tree(root: Path, *names: str) -> Path:
    """Empty files and, with a slash at their end, folders."""
    for name in names:
        place = root / name
        (place if name.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            place.touch()
    return root


def photos(root: Path, *names: str, size: int = 32) -> Path:
    """Lossless pictures under any name, each another."""
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(root / name, "png")
    return root
