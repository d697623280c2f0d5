"""Known faults of LFW's labels, found by a real embedder among people who are labelled rightly."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.audits.overlaps import (
    coinciding_subjects,
    near_duplicates,
    robust_threshold,
    split_subjects,
)
from facelab.embedders.onnx import OnnxEmbedder

pytestmark = pytest.mark.real

# One person under two names, by the spelling of the names themselves.
TWO_NAMES = [
    ("Hasan_Wirayuda", "Hassan_Wirajuda"),
    ("Chyung_Dai-chul", "Dai_Chul_Chyung"),
    ("Felipe_De_Borbon", "Prince_Felipe"),
    ("Odai_Hussein", "Uday_Hussein"),
    ("Joseph_Blatter", "Sepp_Blatter"),
]


@pytest.fixture(scope="module")
def embeddings(real):
    """These people, Martha Bowen's two photos (one is a copy of Gabrielle Rose's), 80 others."""
    place = real / "lfw" / "aligned112"
    names = [name for pair in TWO_NAMES for name in pair] + ["Martha_Bowen", "Gabrielle_Rose"]
    names += sorted(path.name for path in place.iterdir() if path.name not in names)[::50][:80]
    paths = [path for name in names for path in sorted((place / name).glob("*.jpg"))[:5]]
    table = pd.DataFrame(
        {"subject": [path.parent.name for path in paths], "image": [path.name for path in paths]}
    )
    crops = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    model = real / "models" / "mobilefacenet.onnx"
    embedder = OnnxEmbedder(model, channels="rgb", mean=127.5, std=128)
    return embedder.embed(fl.FaceSet.from_arrays(table, crops), flip=False, jobs=1)


def test_people_with_two_names_are_found(embeddings):
    found = coinciding_subjects(embeddings, robust_threshold(embeddings, 1e-5))
    pairs = set(zip(found["subject_a"], found["subject_b"], strict=True))
    pairs |= {(b, a) for a, b in pairs}
    assert set(TWO_NAMES) <= pairs
    assert len(found) <= len(TWO_NAMES) + 3


def test_a_photo_under_a_strangers_name_is_found_twice(embeddings):
    copies = near_duplicates(embeddings, 0.95)
    across = copies[~copies["mated"]]
    assert set(across[["image_a", "image_b"]].iloc[0]) == {
        "Gabrielle_Rose_0001.jpg",
        "Martha_Bowen_0002.jpg",
    }
    apart = split_subjects(embeddings, robust_threshold(embeddings, 1e-3))
    row = apart[apart["subject"] == "Martha_Bowen"].iloc[0]
    assert row["image"] == "Martha_Bowen_0002.jpg" and row["other_subject"] == "Gabrielle_Rose"
