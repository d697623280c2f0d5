"""What the tests of detectors share: how like the ready crops of LFW theirs are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facelab.photos.alignment import align
from facelab.photos.decode import decode
from facelab.photos.detection import Detector, main_face


@pytest.fixture
def likeness(real: Path) -> Callable[[Detector, int], float]:
    """The mean cosine of a detector's crops of so many photos with the ready ones."""
    from facelab.embedders.onnx import OnnxEmbedder

    embedder = OnnxEmbedder(real / "models" / "mobilefacenet.onnx", preset="mobilefacenet")

    def of(detector: Detector, count: int) -> float:
        ours, ready = [], []
        for path in sorted(real.glob("lfw/photos250/*.jpg")):
            other = real / "lfw" / "aligned112" / path.stem[:-5] / path.name
            if other.is_file() and len(ours) < count:
                photo = decode(path.read_bytes())
                face = main_face(detector.detect(photo), *photo.shape[:2])
                ours.append(align(photo, detector.refine(photo, face).landmarks))
                ready.append(decode(other.read_bytes()))
        assert len(ours) == count
        vectors = [embedder._run(np.stack(crops)) for crops in (ours, ready)]
        a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in vectors)
        return float((a * b).sum(axis=1).mean())

    return of
