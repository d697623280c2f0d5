"""A face cut out so that its landmarks lie on the template.

In: an RGB photo and five landmarks. Out: a square crop.
"""

import numpy as np

from facelab.errors import Unusable, need
from facelab.faces.template import TEMPLATE

_MIRRORED = [1, 0, 2, 4, 3]  # the landmarks' places in a mirror image


def mirror(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Landmarks found in a mirror image, as they lie in the image."""
    return np.column_stack([width - 1 - landmarks[:, 0], landmarks[:, 1]])[_MIRRORED]


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity transform (2, 3) that takes points to points with least squared error.

    Umeyama 1991 without reflection, which in the plane has a closed form: with points as complex
    numbers, target = a source + b is a linear regression.
    """
    z, w = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    centred = z - z.mean()
    spread = (np.abs(centred) ** 2).sum()
    if not spread > 0:
        raise Unusable("its face landmarks all lie on one point")
    a = (centred.conj() * (w - w.mean())).sum() / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align(photo: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """Cut out a face so that its landmarks come to lie on the template.

    Parameters
    ----------
    photo
        uint8 (H, W, 3) RGB.
    landmarks
        (5, 2) in the module's order.
    size
        Side of the crop; the template is scaled with it.

    Returns
    -------
    numpy.ndarray
        uint8 (size, size, 3) RGB; black where the crop reaches over the photo's border.
    """
    return cut_out(photo, landmarks, template_of(size), size)


def template_of(size: int) -> np.ndarray:
    """The template (5, 2) in a crop of another size."""
    # Pixel centres are at whole numbers: scaling is about the corner at -0.5.
    return (TEMPLATE + 0.5) * (size / 112) - 0.5


def cut_out(photo: np.ndarray, landmarks: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    """A square picture of a photo in which the landmarks come to lie on `target`."""
    cv2 = need("cv2", "onnx")
    matrix = similarity(landmarks, target)
    shrink = float(np.hypot(*matrix[:, 0]))
    photo, corner = _around(photo, matrix, shrink, size)
    matrix[:, 2] += matrix[:, :2] @ corner
    if shrink < 0.5:
        # Bilinear sampling sees four pixels: below half size it would skip some, so area first.
        height, width = photo.shape[:2]
        small = (max(1, round(width * 2 * shrink)), max(1, round(height * 2 * shrink)))
        photo = cv2.resize(photo, small, interpolation=cv2.INTER_AREA)
        less = (landmarks - corner + 0.5) * [small[0] / width, small[1] / height] - 0.5
        matrix = similarity(less, target)
    return cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_LINEAR)


def _around(
    photo: np.ndarray, matrix: np.ndarray, shrink: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a photo that a crop can touch, and its upper left corner.

    OpenCV warps no photo with a side over 32,767, and only this part needs to be shrunk.
    """
    centre = np.linalg.solve(matrix[:, :2], (size - 1) / 2 - matrix[:, 2])
    radius = size / shrink * np.sqrt(0.5) + 2 / min(shrink, 1)
    limits = np.array(photo.shape[1::-1])
    low, high = (np.clip(np.round(centre + side * radius), 0, limits) for side in (-1, 1))
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    if left >= right or top >= bottom:
        raise Unusable("its face lies outside it")
    return photo[top:bottom, left:right], np.array([left, top])
