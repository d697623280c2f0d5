"""The shapes of rendered heads beside those of real people, by dlib's 68 landmarks.

In: pictures of one face each, looking at the camera. Out: landmarks after Procrustes, and how far
the mean of the rendered and the spectrum of their covariance are from the real ones.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from facelab.errors import BadInput, need
from facelab.photos.dlib import model_file

# Which landmark of iBUG's 68 is which in a mirror.
MIRRORED = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *(27, 28, 29, 30, 35, 34, 33, 32, 31),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
        *(64, 63, 62, 61, 60, 67, 66, 65),
    ]
)
# A head looks at the camera if its nose is no further off the middle of the eyes' outer corners,
# and of the sides of the jaw, as shares of their distance.
FRONTAL = (0.09, 0.13)
CLOSED = 0.1  # of the eyes' distance: lips that are no further apart are closed
AT_REST, LIPS_CLOSED = "FairFace, at rest", "FairFace, lips closed"
ADULTS = ("20-29", "30-39", "40-49", "50-59", "60-69", "70+")
EIGENVALUES = 10
_SIDE = 448
_SURE = -0.2  # the least margin of dlib's HOG detector
_ROUNDS = 10
_FEWEST = 70  # real faces of which a spectrum tells something


def marks(pictures: np.ndarray) -> np.ndarray:
    """dlib's 68 landmarks (N, 68, 2) of the surest face in each RGB picture; NaN without one."""
    dlib = need("dlib", "dlib")
    cv2 = need("cv2", "onnx")
    finder = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(model_file("shape_predictor_68_face_landmarks.dat"))
    found = np.full((len(pictures), 68, 2), np.nan)
    for place, picture in enumerate(pictures):
        if len(picture) != _SIDE:
            picture = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        picture = np.ascontiguousarray(picture)
        boxes, margins, _ = finder.run(picture, 0, _SURE)
        if len(boxes):
            shape = predictor(picture, boxes[int(np.argmax(margins))])
            found[place] = [(part.x, part.y) for part in shape.parts()]
    return found


def procrustes(
    shapes: np.ndarray, towards: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Shapes (N, P, 2) without place, size and turn, and their mean (P, 2).

    Generalised Procrustes analysis (Gower 1975) with centroid size 1; or each is only turned
    towards a given shape.
    """
    points = shapes[..., 0] + 1j * shapes[..., 1]
    points = points - points.mean(axis=1, keepdims=True)
    points /= np.sqrt((np.abs(points) ** 2).sum(axis=1, keepdims=True))
    if towards is None:
        mean = points[0]
        for _ in range(_ROUNDS):
            points, mean = _turned(points, mean)
    else:
        target = towards[:, 0] + 1j * towards[:, 1]
        points, mean = _turned(points, target - target.mean())
    return tuple(np.stack([found.real, found.imag], -1) for found in (points, mean))


def _turned(points: np.ndarray, towards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    turn = (points.conj() * towards).sum(axis=1)
    points = points * (turn / np.abs(turn))[:, None]
    mean = points.mean(axis=0)
    return points, mean / np.sqrt((np.abs(mean) ** 2).sum())


def turned_away(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the nose is off the middle of the eyes and of the jaw, as shares of their width."""
    x = procrustes(shapes)[0][..., 0]
    near, far = x[:, 1:4].mean(axis=1), x[:, 13:16].mean(axis=1)
    return (
        (x[:, 30] - x[:, 36]) / (x[:, 45] - x[:, 36]) - 0.5,
        (x[:, 30] - near) / (far - near) - 0.5,
    )


def mouth_opening(shapes: np.ndarray) -> np.ndarray:
    """Mean distance of the inner lips, as a share of the eyes' distance."""
    eyes = shapes[:, 42:48].mean(axis=1) - shapes[:, 36:42].mean(axis=1)
    lips = np.linalg.norm(shapes[:, [61, 62, 63]] - shapes[:, [67, 66, 65]], axis=2).mean(axis=1)
    return lips / np.linalg.norm(eyes, axis=1)


def real_shapes(shapes: np.ndarray, table: pd.DataFrame, perceived: pd.DataFrame) -> np.ndarray:
    """Aligned shapes of real adults who look at the camera, each with its mirror image, calm.

    What turned heads, smiles and open mouths change is taken out by linear regression: everybody
    looks straight ahead, and smiles as little as the least smiling quarter.

    Parameters
    ----------
    shapes
        Landmarks (N, 68, 2), NaN where there are none.
    table
        `age_group` of each.
    perceived
        `happy` and `neutral` of each, see `perceived.FaceApi`.

    Raises
    ------
    BadInput
        Fewer than 70 faces look at the camera.
    """
    chosen = np.isfinite(shapes[:, 0, 0]) & table["age_group"].isin(ADULTS).to_numpy()
    if chosen.any():
        eyes, jaw = (np.full(len(shapes), np.inf) for _ in range(2))
        eyes[chosen], jaw[chosen] = turned_away(shapes[chosen])
        chosen = (np.abs(eyes) < FRONTAL[0]) & (np.abs(jaw) < FRONTAL[1])
    if chosen.sum() < _FEWEST:
        raise BadInput(
            f"only {chosen.sum()} real faces look at the camera: {_FEWEST} or more are needed"
        )
    shapes, perceived = shapes[chosen], perceived[chosen]
    away = (eyes / FRONTAL[0] + jaw / FRONTAL[1])[chosen]
    smile = np.log((perceived["happy"] + 0.02) / (perceived["neutral"] + 0.02)).to_numpy()
    gap = mouth_opening(shapes)
    both = with_mirrored(shapes)
    aligned = procrustes(both)[0].reshape(len(both), -1)
    calm = np.array([1, 0, np.percentile(smile, 25), np.percentile(gap, 25)])
    known = np.column_stack(
        [np.ones(len(both)), np.r_[away, -away], np.tile(smile, 2), np.tile(gap, 2)]
    )
    effects = np.linalg.lstsq(known, aligned, rcond=None)[0]
    return {
        AT_REST: (aligned - (known - calm) @ effects).reshape(both.shape),
        LIPS_CLOSED: with_mirrored(shapes[gap < CLOSED]),
    }


def with_mirrored(shapes: np.ndarray) -> np.ndarray:
    """The shapes and their mirror images (2 N, 68, 2)."""
    other = shapes[:, MIRRORED] * [-1, 1]
    return np.concatenate([shapes, other])


def spectrum(aligned: np.ndarray) -> np.ndarray:
    """Eigenvalues of the covariance of aligned shapes, the largest first."""
    flat = aligned.reshape(len(aligned), -1)
    flat = flat - flat.mean(axis=0)
    return np.linalg.svd(flat, compute_uv=False) ** 2 / (len(flat) - 1)


def shapes_compared(rendered: np.ndarray, real: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """How far the mean rendered shape is from the real one, and the eigenvalues of both.

    Parameters
    ----------
    rendered
        Landmarks (N, 68, 2) of rendered neutral heads that look at the camera; NaN where the
        detector found none.
    real
        Sets of real shapes by name, with their mirror images.
    """
    there = rendered[np.isfinite(rendered[:, 0, 0])]
    ours = procrustes(with_mirrored(there))[0]
    judge = {"judge": "dlib's landmarks"}
    told = judge | {"faces": "rendered", "photos": len(there)}
    rows = [told | {"figure": "found by dlib", "who": "all", "value": len(there) / len(rendered)}]
    values = spectrum(ours)[:EIGENVALUES]
    rows += _numbered(told | {"figure": "eigenvalue, 1e-5"}, 1e5 * values)
    for name, others in real.items():
        theirs, mean = procrustes(others)
        off = procrustes(ours.mean(axis=0)[None], mean)[0][0] - mean
        apart = np.abs(off / theirs.std(axis=0))
        told = judge | {"faces": name, "photos": len(theirs) // 2}
        rows += [
            told | {"figure": "mean landmark off the real one, sd", "who": who, "value": value}
            for who, value in {
                "furthest coordinate": float(apart.max()),
                "root mean square": float(np.sqrt((apart**2).mean())),
            }.items()
        ]
        wanted = spectrum(theirs)[:EIGENVALUES]
        rows += _numbered(told | {"figure": "eigenvalue, 1e-5"}, 1e5 * wanted)
        rows += _numbered(told | {"figure": "rendered eigenvalue over the real"}, values / wanted)
    return rows


def _numbered(told: dict[str, Any], values: np.ndarray) -> list[dict[str, Any]]:
    return [
        told | {"who": f"{number:2d}", "value": float(value)}
        for number, value in enumerate(values, start=1)
    ]
