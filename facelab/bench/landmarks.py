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
from facelab.synthetic.baking.landmarks import (
    aligned,
    at_rest,
    frontal,
    gap_of_lips,
    with_mirror_images,
)

CLOSED = 0.1  # of the eyes' distance: lips that are no further apart are closed
AT_REST, LIPS_CLOSED = "FairFace, at rest", "FairFace, lips closed"
ADULTS = ("20-29", "30-39", "40-49", "50-59", "60-69", "70+")
EIGENVALUES = 10
_SIDE = 448
_SURE = -0.2  # the least margin of dlib's HOG detector
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
        chosen[chosen] = frontal(shapes[chosen])
    if chosen.sum() < _FEWEST:
        raise BadInput(
            f"only {chosen.sum()} real faces look at the camera: {_FEWEST} or more are needed"
        )
    shapes, perceived = shapes[chosen], perceived[chosen]
    smile = np.log((perceived["happy"] + 0.02) / (perceived["neutral"] + 0.02)).to_numpy()
    return {
        AT_REST: at_rest(shapes, smile),
        LIPS_CLOSED: with_mirror_images(shapes[gap_of_lips(shapes) < CLOSED]),
    }


def spectrum(shapes: np.ndarray) -> np.ndarray:
    """Eigenvalues of the covariance of aligned shapes, the largest first."""
    flat = shapes.reshape(len(shapes), -1)
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
    ours = aligned(with_mirror_images(there))[0]
    judge = {"judge": "dlib's landmarks"}
    told = judge | {"faces": "rendered", "photos": len(there)}
    rows = [told | {"figure": "found by dlib", "who": "all", "value": len(there) / len(rendered)}]
    values = spectrum(ours)[:EIGENVALUES]
    rows += _numbered(told | {"figure": "eigenvalue, 1e-5"}, 1e5 * values)
    for name, others in real.items():
        theirs, mean = aligned(others)
        off = aligned(ours.mean(axis=0)[None], mean)[0][0] - mean
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
