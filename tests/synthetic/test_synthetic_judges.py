"""What models that have only ever seen real people make of the rendered ones.

A detector, an embedder, and dlib's embedder judge the default population, drawn evenly over groups.
`pytest -m "real and not slow" -s tests/test_synthetic_judges.py` prints their figures for 120
subjects, `-m "real and slow"` those for 600, which takes about ten minutes.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.embedders.onnx import OnnxEmbedder
from facelab.photos.detectors import load_detector

pytestmark = pytest.mark.real

BY = ["phenotype", "gender"]
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
SMALL = Limits(120, 2, 36, 0.98, 0.04, 0.065, 0.33, 0.08, 0.12)
WHOLE = Limits(600, IMAGES, 300, 0.99, 0.03, 0.05, 0.30, 0.06, 0.10)


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


def is_found(faces, side):
    """Whether a box lies where the head is: in the middle half, and of about its size."""
    low, high = side / 4, side * 3 / 4
    for face in faces:
        left, top, width, height = face.box
        x, y = left + width / 2, top + height / 2
        across = min(high, left + width) - max(low, left)
        down = min(high, top + height) - max(low, top)
        shared = max(across, 0) * max(down, 0)
        overlap = shared / (width * height + (high - low) ** 2 - shared)
        if overlap >= 0.2 and low < x < high and low < y < high:
            return True
    return False


def all_found(model, frames):
    detector = load_detector("yunet", model)
    return [is_found(detector.detect(frame), frame.shape[0]) for frame in frames]


def in_processes(work, first, pictures, count=2):
    """work(first, pictures) in a few processes, each taking every count-th picture."""
    jobs = (joblib.delayed(work)(first, pictures[k::count]) for k in range(count))
    parts = joblib.Parallel(count)(jobs)
    result = np.empty((len(pictures), *np.shape(parts[0])[1:]), dtype=np.asarray(parts[0]).dtype)
    for place, part in enumerate(parts):
        result[place::count] = part
    return result


def test_a_detector_of_real_faces_finds_them(limits, frames, real):
    model = real / "models" / "face_detection_yunet.onnx"
    found = in_processes(all_found, model, np.asarray(frames.crops))
    by_group = pd.Series(found).groupby(fl.group_labels(frames.table, BY).to_numpy()).mean()
    print(f"\nYuNet finds {found.mean():.2%} of {len(found)} full-frame renders; by group:")
    print(by_group.map("{:.1%}".format).to_string())
    assert found.mean() >= limits.found
    assert by_group.min() >= limits.found - 0.03


def equal_error_rate(mated, non_mated):
    """Mean of the two error rates where they are nearest to equal (higher scores: more alike)."""
    thresholds = np.unique(np.concatenate([mated, non_mated]))
    missed = np.searchsorted(np.sort(mated), thresholds) / len(mated)
    matched = 1 - np.searchsorted(np.sort(non_mated), thresholds) / len(non_mated)
    turn = np.argmax(matched <= missed)
    return (matched[turn] + missed[turn]) / 2


def separability(scores, table):
    """EER and mean scores over all pairs, within groups (pooled), and for each group."""
    subject = pd.factorize(table["subject"])[0]
    labels = fl.group_labels(table, BY)
    group = labels.cat.codes.to_numpy()
    a, b = np.triu_indices(len(table), 1)
    scores, same, within = scores[a, b], subject[a] == subject[b], group[a] == group[b]
    chosen = {"all pairs": slice(None), "within groups": within}
    for place, name in enumerate(labels.cat.categories):
        chosen[name] = within & (group[a] == place)
    rows = {}
    for name, keep in chosen.items():
        mated, non_mated = scores[keep][same[keep]], scores[keep][~same[keep]]
        rows[name] = (equal_error_rate(mated, non_mated), mated.mean(), non_mated.mean())
    return pd.DataFrame.from_dict(rows, "index", columns=["eer", "mated", "non_mated"])


def test_an_embedder_of_real_faces_tells_them_apart(limits, faces, real):
    path = real / "models" / "mobilefacenet.onnx"
    embedder = OnnxEmbedder(path, channels="rgb", mean=127.5, std=128)
    vectors = embedder.embed(faces, flip=False).vectors
    seen = separability(vectors @ vectors.T, faces.table)
    print(f"\nONNX embedder, {len(faces)} images:\n{seen.round(4).to_string()}")
    assert seen.loc["all pairs", "eer"] <= limits.eer
    assert seen.loc["within groups", "eer"] <= limits.eer_within
    assert seen["non_mated"].max() <= limits.non_mated


def dlib_vectors(folder, crops):
    """dlib's face recognition ResNet on chips laid out by its own 68 landmarks."""
    import dlib

    landmarks = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(
        str(folder / "dlib_face_recognition_resnet_model_v1.dat")
    )
    vectors = np.empty((len(crops), 128))
    for place, crop in enumerate(crops):
        # Where dlib's own detector puts the box of a face aligned to the template; its chip
        # reaches a little beyond the crop.
        margin = len(crop) // 2
        picture = np.pad(crop, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        left, top, right, bottom = (int(margin + at * len(crop) / 112) for at in (14, 24, 98, 108))
        shape = landmarks(picture, dlib.rectangle(left, top, right, bottom))
        chip = dlib.get_face_chip(picture, shape, 150, 0.25)
        vectors[place] = network.compute_face_descriptor(chip)
    return vectors


def distances(vectors):
    squares = (vectors**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))


def weights_of_dlib():
    """Found without importing their package, which needs an old setuptools."""
    return Path(find_spec("face_recognition_models").submodule_search_locations[0]) / "models"


def test_dlib_tells_them_apart(limits, faces):
    rows = slice(0, limits.judged_by_dlib * IMAGES)
    vectors = in_processes(dlib_vectors, weights_of_dlib(), faces.gather(rows))
    apart = distances(vectors)
    seen = separability(-apart, faces.table[rows])
    subject = faces.table["subject"][rows].to_numpy()
    same = subject[:, None] == subject
    pair = np.triu(np.ones_like(same), 1)
    errors = [(apart <= 0.6)[pair & ~same].mean(), (apart > 0.6)[pair & same].mean()]
    print(f"\ndlib (minus distance), {len(vectors)} images:\n{seen.round(4).to_string()}")
    print("at its own threshold of 0.6: FMR {:.2%}, FNMR {:.2%}".format(*errors))
    assert seen.loc["all pairs", "eer"] <= limits.dlib_eer
    assert seen.loc["within groups", "eer"] <= limits.dlib_eer_within


@pytest.mark.slow
def test_dlib_can_judge_because_it_is_right_about_real_faces(real):
    """On photos aligned to the same template it is nearly as good as published (99.4 %)."""
    pairs = fl.datasets.lfw_pairs(real / "lfw" / "pairs.txt")[::75]
    names = pd.unique(pd.concat([pairs["image_a"], pairs["image_b"]]))
    photos = real / "lfw" / "aligned112"
    crops = [np.asarray(Image.open(photos / name[:-9] / name)) for name in names]
    apart = distances(in_processes(dlib_vectors, weights_of_dlib(), np.array(crops)))
    a, b = (pd.Index(names).get_indexer(pairs[side]) for side in ("image_a", "image_b"))
    right = (apart[a, b] <= 0.6) == pairs["mated"].to_numpy()
    assert len(right) == 80
    assert right.mean() >= 0.95
