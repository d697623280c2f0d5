"""What models that have only ever seen real people make of the rendered ones.

A detector, an embedder, and dlib's embedder judge the default population, drawn evenly over groups:
the judges of `python -m facelab.bench.population`, held to limits here.
`pytest -m "real and not slow" -s tests/synthetic/test_synthetic_judges.py` prints their figures for
120 subjects, `-m "real and slow"` those for 600, which takes about ten minutes.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.bench import embedded
from facelab.bench.perceived import BY

pytestmark = pytest.mark.real

IMAGES = 5
SEED = 900


@dataclass(frozen=True)
class Limits:
    """How many subjects are judged, and what the judges must say of them at worst."""

    subjects: int
    images_in_full: int
    judged_by_dlib: int
    found: float
    eer: float
    eer_within: float
    non_mated: float
    dlib_eer: float
    dlib_eer_within: float


# The small version leaves room for chance: its 120 subjects are 20 a group.
SMALL = Limits(120, 2, 36, 0.98, 0.04, 0.065, 0.40, 0.08, 0.12)
WHOLE = Limits(600, IMAGES, 300, 0.99, 0.025, 0.045, 0.40, 0.06, 0.10)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(SMALL, id="120 subjects"),
        pytest.param(WHOLE, id="600 subjects", marks=pytest.mark.slow),
    ],
)
def limits(request):
    return request.param


@pytest.fixture(scope="module")
def faces(limits):
    return fl.synthesize(limits.subjects, IMAGES, seed=SEED)


@pytest.fixture(scope="module")
def frames(limits, tmp_path_factory):
    out = tmp_path_factory.mktemp("frames") / "full"
    images = limits.images_in_full
    return fl.synthesize(limits.subjects, images, seed=SEED, size=224, frame="full", out=out)


def test_a_detector_of_real_faces_finds_them(limits, frames, real):
    model = real / "models" / "face_detection_yunet.onnx"
    found = embedded.found_by_yunet(np.asarray(frames.crops), model, jobs=2)
    by_group = pd.Series(found).groupby(fl.group_labels(frames.table, BY).to_numpy()).mean()
    print(f"\nYuNet finds {found.mean():.2%} of {len(found)} full-frame renders; by group:")
    print(by_group.map("{:.1%}".format).to_string())
    assert found.mean() >= limits.found
    assert by_group.min() >= limits.found - 0.03


def test_an_embedder_of_real_faces_tells_them_apart(limits, faces, real):
    embedder = embedded.mobilefacenet(real / "models")
    seen = embedded.told_apart(embedder.embed(faces, flip=False))
    print(f"\nONNX embedder, {len(faces)} images:\n{seen.round(4).to_string()}")
    assert seen.loc["all pairs", "eer"] <= limits.eer
    assert seen.loc["within groups", "eer"] <= limits.eer_within
    assert seen["non_mated"].max() <= limits.non_mated


def test_dlib_tells_them_apart(limits, faces):
    rows = slice(0, limits.judged_by_dlib * IMAGES)
    vectors = embedded.dlib_vectors(faces.gather(rows), jobs=2)
    seen, comparisons = embedded.told_apart_by_distance(vectors, faces.table[rows])
    rates = comparisons.error_rates(embedded.DLIB_THRESHOLD).iloc[0]
    print(f"\ndlib (minus distance), {len(vectors)} images:\n{seen.round(4).to_string()}")
    print("at its own threshold of 0.6: FMR {fmr:.2%}, FNMR {fnmr:.2%}".format(**rates))
    assert seen.loc["all pairs", "eer"] <= limits.dlib_eer
    assert seen.loc["within groups", "eer"] <= limits.dlib_eer_within


@pytest.mark.slow
def test_dlib_can_judge_because_it_is_right_about_real_faces(real):
    """On photos aligned to the same template it is nearly as good as published (99.4 %)."""
    pairs = fl.datasets.lfw_pairs(real / "lfw" / "pairs.txt")[::75]
    names = pd.unique(pd.concat([pairs["image_a"], pairs["image_b"]]))
    photos = real / "lfw" / "aligned112"
    crops = [np.asarray(Image.open(photos / name[:-9] / name)) for name in names]
    apart = embedded.distances(embedded.dlib_vectors(np.array(crops), jobs=2))
    a, b = (pd.Index(names).get_indexer(pairs[side]) for side in ("image_a", "image_b"))
    right = (apart[a, b] <= embedded.DLIB_THRESHOLD) == pairs["mated"].to_numpy()
    assert len(right) == 80
    assert right.mean() >= 0.95
