"""How well embedders and a detector of real people take the rendered ones: found, told apart.

In: rendered faces, and models that have only ever seen photos of real people. Out: equal error
rates and mean scores over all pairs, within groups and in each group; how many are found.
"""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

import facelab as fl
from facelab.bench.perceived import BY, share_of
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.onnx import OnnxEmbedder
from facelab.errors import need
from facelab.photos.detection import Face
from facelab.photos.detectors import load_detector
from facelab.photos.dlib import model_file
from facelab.workers import pool

DLIB = "dlib's ResNet"
# How often looks change: photos a look, 0 for never, None for as often as the population says.
LOOKS = {"looks as they come": None, "one look": 0, "a look a photo": 1}
DLIB_THRESHOLD = 0.6  # the distance that dlib's own example takes
# Where dlib's own detector puts the box of a face aligned to the template, in pixels of 112.
DLIB_BOX = (14, 24, 98, 108)


def mobilefacenet(folder: str | Path) -> OnnxEmbedder:
    """The pretrained embedder in a folder of models, as it takes its pixels."""
    return OnnxEmbedder(
        Path(folder) / "mobilefacenet.onnx", channels="rgb", mean=127.5, std=128, name="ONNX"
    )


def equal_error_threshold(comparisons: fl.Comparisons, group: str = "all") -> float:
    """The laxest of 4,000 thresholds at which FMR is no more than FNMR."""
    det = comparisons.det(4000)
    det = det[(det["group"] == group) & (det["fmr"] <= det["fnmr"])]
    return float(det["threshold"].iloc[0])


def separability(
    comparisons: fl.Comparisons, scores: np.ndarray, table: pd.DataFrame, by: list[str] = BY
) -> pd.DataFrame:
    """EER and mean scores over all pairs, within groups (pooled), and in each group.

    Parameters
    ----------
    comparisons
        Of all pairs of the faces, by group.
    scores
        (N, N), higher: more alike.
    table
        One row a face, with `subject` and the columns of `by`.

    Returns
    -------
    DataFrame
        Index `all pairs`, `within groups` and the groups; `eer`, `mated`, `non_mated`.
    """
    subject = pd.factorize(table["subject"])[0]
    labels = fl.group_labels(table, by)
    group = labels.cat.codes.to_numpy()
    a, b = np.triu_indices(len(table), 1)
    scores, same, within = scores[a, b], subject[a] == subject[b], group[a] == group[b]
    chosen = {"all pairs": (None, slice(None)), "within groups": ("same-group", within)}
    for place, name in enumerate(labels.cat.categories):
        chosen[name] = (name, within & (group[a] == place))
    rows = {}
    for name, (asked, keep) in chosen.items():
        mated, non_mated = scores[keep][same[keep]], scores[keep][~same[keep]]
        rows[name] = (comparisons.eer(asked), mated.mean(), non_mated.mean())
    return pd.DataFrame.from_dict(rows, "index", columns=["eer", "mated", "non_mated"])


def told_apart(embeddings: Embeddings, by: list[str] = BY) -> pd.DataFrame:
    """`separability` of unit vectors by their cosines."""
    comparisons = fl.compare_all(embeddings, by=by, jobs=1)
    return separability(
        comparisons, embeddings.vectors @ embeddings.vectors.T, embeddings.table, by
    )


def told_apart_by_distance(
    vectors: np.ndarray, table: pd.DataFrame, by: list[str] = BY
) -> tuple[pd.DataFrame, fl.Comparisons]:
    """`separability` by minus the distance, and the comparisons, whose scores are distances."""
    apart = distances(vectors)
    labels = fl.group_labels(table, by).astype(str).to_numpy()
    subject, image = (table[name].astype(str).to_numpy() for name in ("subject", "image"))
    a, b = np.triu_indices(len(table), 1)
    frame = pd.DataFrame({"score": apart[a, b], "mated": subject[a] == subject[b]})
    for name, values in (("subject", subject), ("group", labels), ("image", image)):
        frame[f"{name}_a"], frame[f"{name}_b"] = values[a], values[b]
    comparisons = fl.Comparisons.from_scores(frame, higher="different")
    return separability(comparisons, -apart, table, by), comparisons


def rows_of(seen: pd.DataFrame, judge: str, faces: str, table: pd.DataFrame) -> list[dict]:
    """`separability` as rows of the report."""
    what = {"eer": "EER", "mated": "mean mated score", "non_mated": "mean non-mated score"}
    labels = fl.group_labels(table, BY)
    rows = []
    for who, row in seen.iterrows():
        mine = table[labels == who] if who in labels.cat.categories else table
        size = {"photos": len(mine), "people": int(mine["subject"].nunique())}
        for name, figure in what.items():
            told = {"figure": figure, "judge": judge, "faces": faces, "who": who}
            rows.append(told | size | {"value": float(row[name])})
    return rows


# ---- dlib's embedder


def dlib_vectors(crops: np.ndarray, jobs: int = 1) -> np.ndarray:
    """dlib's face recognition ResNet (N, 128) on chips laid out by its own 68 landmarks."""
    with pool(jobs) as run:
        parts = run(joblib.delayed(_dlib_vectors)(crops[k::jobs]) for k in range(jobs))
    vectors = np.empty((len(crops), 128))
    for place, part in enumerate(parts):
        vectors[place::jobs] = part
    return vectors


def _dlib_vectors(crops: np.ndarray) -> np.ndarray:
    dlib = need("dlib", "dlib")
    landmarks = dlib.shape_predictor(model_file("shape_predictor_68_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(
        model_file("dlib_face_recognition_resnet_model_v1.dat")
    )
    vectors = np.empty((len(crops), 128))
    for place, crop in enumerate(crops):
        picture, box = with_margin(crop)  # the chip reaches a little beyond the crop
        chip = dlib.get_face_chip(picture, landmarks(picture, dlib.rectangle(*box)), 150, 0.25)
        vectors[place] = network.compute_face_descriptor(chip)
    return vectors


def with_margin(crop: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """An aligned crop with half its side around it, and dlib's box of the face there."""
    margin = len(crop) // 2
    picture = np.pad(crop, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    left, top, right, bottom = (int(margin + at * len(crop) / 112) for at in DLIB_BOX)
    return picture, (left, top, right, bottom)


def distances(vectors: np.ndarray) -> np.ndarray:
    """Euclidean distances of all rows (N, N)."""
    squares = (vectors**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))


# ---- found by a detector


def is_found(faces: list[Face], side: int) -> bool:
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


def found_by_yunet(frames: np.ndarray, model: str | Path, jobs: int = 1) -> np.ndarray:
    """Whether YuNet finds the head in each full frame."""
    with pool(jobs) as run:
        parts = run(joblib.delayed(_all_found)(frames[k::jobs], model) for k in range(jobs))
    found = np.empty(len(frames), bool)
    for place, part in enumerate(parts):
        found[place::jobs] = part
    return found


def _all_found(frames: np.ndarray, model: str | Path) -> list[bool]:
    detector = load_detector("yunet", model)
    return [is_found(detector.detect(frame), frame.shape[0]) for frame in frames]


def found_rows(table: pd.DataFrame, found: np.ndarray) -> list[dict[str, Any]]:
    """Shares of heads found, altogether and by group."""
    labels = fl.group_labels(table, BY)
    parts = {"all": np.ones(len(table), bool)}
    parts |= {name: (labels == name).to_numpy(bool) for name in labels.cat.categories}
    told = {"figure": "found in a full frame", "judge": "YuNet", "faces": "rendered"}
    return [told | {"who": who} | share_of(table, found, among) for who, among in parts.items()]
