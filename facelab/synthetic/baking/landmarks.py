"""Measure the landmarks of real faces: their mean, how they vary together, and how women's differ.

In: FairFace (Kärkkäinen and Joo 2021, CC BY 4.0) as docs/data.md lays it out,
dlib's 68-point predictor, and face-api's expression net. Out: `landmarks.npz`, aggregated numbers.

Run: python -m facelab.synthetic.baking.landmarks --real FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

LANDMARKS_FILE = Path(__file__).with_name("landmarks.npz")
CHILDREN = ("0-2", "03-Sep", "3-9", "Oct-19", "10-19")  # as a spreadsheet has mangled them
MIRRORED = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65),
    ]
)
# Frontal: how far the tip of the nose is off the middle between the eyes' outer corners, and
# between the sides of the jaw, as a share of their distance. About 100 adults of 700 photos.
_OFF_EYES, _OFF_JAW = 0.09, 0.13
_CLOSED = 0.10  # gap of the lips, as a share of the distance between the eyes
# Who is frontal and at rest is a choice, and the eigenvalues go with it: off the eyes' middle, off
# the jaw's, gap of the lips. What is kept is the geometric mean over these.
SELECTIONS = ((0.05, 0.08, 1), (0.05, 0.08, 0.10), (0.03, 0.05, 1), (0.08, 0.12, 0.10))
_SYMMETRIC, _ONE_SIDED = 24, 6  # modes that are kept


def aligned(points: np.ndarray, mean: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Faces (N, 68, 2) without place, size and roll, and their mean (Procrustes; Gower 1975).

    Size is the root of the summed squared distances from the middle. With a mean given, faces are
    turned towards that, otherwise towards their own, whose eyes are level.
    """
    own = mean is None
    z = points[..., 0] + 1j * points[..., 1]
    z = z - z.mean(1, keepdims=True)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    middle = z[0] if own else mean[:, 0] + 1j * mean[:, 1]
    for _ in range(10 if own else 1):
        turn = (z.conj() * middle).sum(1, keepdims=True)
        z = z * turn / np.abs(turn)
        if own:
            middle = z.mean(0) / np.linalg.norm(z.mean(0))
    if own:
        level = (middle[42:48] - middle[36:42]).mean()
        z, middle = z * level.conj() / abs(level), middle * level.conj() / abs(level)
    return np.stack([z.real, z.imag], -1), np.stack([middle.real, middle.imag], -1)


def with_mirror_images(points: np.ndarray) -> np.ndarray:
    """The faces (N, 68, 2), and then each of them as a mirror shows it."""
    return np.concatenate([points, points[:, MIRRORED] * [-1, 1]])


def off_middle(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the tip of the nose is off the middle of the eyes, and off that of the jaw."""
    x = aligned(points)[0][..., 0]
    right, left = x[:, [1, 2, 3]].mean(1), x[:, [13, 14, 15]].mean(1)
    of_eyes = (x[:, 30] - x[:, 36]) / (x[:, 45] - x[:, 36]) - 0.5
    return of_eyes, (x[:, 30] - right) / (left - right) - 0.5


def gap_of_lips(points: np.ndarray) -> np.ndarray:
    """How far the lips are apart, as a share of the distance between the eyes."""
    eyes = np.linalg.norm(points[:, 42:48].mean(1) - points[:, 36:42].mean(1), axis=1)
    return np.linalg.norm(points[:, 61:64] - points[:, [67, 66, 65]], axis=2).mean(1) / eyes


def measure(real: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Labels of the adults that dlib finds, with `smile`, and their landmarks (N, 68, 2)."""
    import cv2
    import dlib
    import onnxruntime

    from facelab.faces.template import TEMPLATE
    from facelab.photos.dlib import model_file

    find = dlib.get_frontal_face_detector()
    predict = dlib.shape_predictor(model_file("shape_predictor_68_face_landmarks.dat"))
    network = onnxruntime.InferenceSession(str(real / "models" / "faceapi_expression.onnx"))
    table = pd.read_csv(real / "fairface" / "fairface_label_val.csv")
    rows, points = [], []
    for row in table.itertuples():
        path = real / "fairface" / row.file
        if row.age in CHILDREN or not path.is_file():
            continue
        picture = np.asarray(Image.open(path).convert("RGB").resize((448, 448), Image.BICUBIC))
        boxes, scores, _ = find.run(picture, 0, -0.2)
        if not len(boxes):
            continue
        found = predict(picture, boxes[int(np.argmax(scores))])
        at = np.array([(point.x, point.y) for point in found.parts()], float)
        five = np.stack([at[36:42].mean(0), at[42:48].mean(0), at[30], at[48], at[54]])
        similar, _ = cv2.estimateAffinePartial2D(five, TEMPLATE, method=cv2.LMEDS)
        crop = cv2.warpAffine(picture, similar, (112, 112), flags=cv2.INTER_AREA)
        (shares,) = network.run(None, {"image": crop.transpose(2, 0, 1)[None].astype(np.float32)})
        neutral, happy = shares[0, :2] + 0.02
        rows.append((row.gender == "Female", np.log(happy / neutral)))
        points.append(at)
    return pd.DataFrame(rows, columns=["woman", "smile"]), np.array(points)


def chosen(points: np.ndarray, off_eyes: float, off_jaw: float, gap: float = 1.0) -> np.ndarray:
    """Which faces (N, 68, 2) look at the camera, with lips not farther apart than `gap`."""
    of_eyes, of_jaw = off_middle(points)
    straight = (np.abs(of_eyes) < off_eyes) & (np.abs(of_jaw) < off_jaw)
    return straight & (gap_of_lips(points) < gap)


def frontal(points: np.ndarray) -> np.ndarray:
    """Which faces (N, 68, 2) look at the camera."""
    return chosen(points, _OFF_EYES, _OFF_JAW)


def at_rest(points: np.ndarray, smile: np.ndarray) -> np.ndarray:
    """Frontal faces with their mirror images, aligned, as they would be straight and at rest.

    What turning the head, smiling and opening the mouth move, by a linear fit, is taken out.
    """
    of_eyes, of_jaw = off_middle(points)
    turned, gap = of_eyes / _OFF_EYES + of_jaw / _OFF_JAW, gap_of_lips(points)
    faces = aligned(with_mirror_images(aligned(points)[0]))[0]
    factors = np.stack([np.ones(2 * len(gap)), [*turned, *-turned], [*smile] * 2, [*gap] * 2], 1)
    calm = [1, 0, np.percentile(smile, 25), np.percentile(gap, 25)]
    flat = faces.reshape(len(faces), -1)
    effects = np.linalg.lstsq(factors, flat, rcond=None)[0]
    return (flat - (factors - calm) @ effects).reshape(faces.shape)


def bake(real: Path, out: Path = LANDMARKS_FILE) -> Path:
    """Write the aggregated numbers."""
    table, points = measure(real)
    spectra = [_spectrum(aligned(points[chosen(points, *most)])[0]) for most in SELECTIONS]
    straight = frontal(points)
    table, points = table[straight], points[straight]
    closed = gap_of_lips(points) < _CLOSED
    # The mean: half way between faces with closed lips as they are, and faces made to rest.
    seen, mean = aligned(with_mirror_images(aligned(points[closed])[0]))
    rest = aligned(at_rest(points, table["smile"].to_numpy()), mean)[0]
    middle = (mean + rest.mean(0)) / 2
    middle /= np.linalg.norm(middle)
    rest = aligned(rest, middle)[0]
    count = len(points)
    woman = np.tile(table["woman"].to_numpy(), 2)
    around = rest - rest.mean(0)
    mirror = np.concatenate([around[count:], around[:count]])
    modes, variances = [], []
    for part, kept in ((around + mirror, _SYMMETRIC), (around - mirror, _ONE_SIDED)):
        flat = part.reshape(len(part), -1) / 2
        variance, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
        modes.append(vectors[:, ::-1][:, :kept].T.reshape(kept, 68, 2))
        variances.append(variance[::-1][:kept])
    np.savez_compressed(
        out,
        count=np.int32(count),
        women=np.int32(table["woman"].sum()),
        mean=middle.astype(np.float32),
        sd=seen.std(0).astype(np.float32),
        spectrum=np.exp(np.log(spectra).mean(0)).astype(np.float32),
        modes=np.concatenate(modes).astype(np.float32),
        variances=np.concatenate(variances).astype(np.float32),
        women_differ=(rest[woman].mean(0) - rest[~woman].mean(0)).astype(np.float32),
    )
    return out


def _spectrum(faces: np.ndarray) -> np.ndarray:
    """The first twelve eigenvalues of the covariance of aligned faces."""
    flat = faces.reshape(len(faces), -1)
    return np.linalg.eigvalsh(np.cov(flat.T))[::-1][:12]


def main() -> None:
    """Command line: python -m facelab.synthetic.baking.landmarks --real FOLDER [--out FILE]."""
    parser = argparse.ArgumentParser(description=bake.__doc__)
    parser.add_argument("--real", type=Path, required=True, help="the folder of real faces")
    parser.add_argument("--out", type=Path, default=LANDMARKS_FILE)
    given = parser.parse_args()
    print(f"{bake(given.real, given.out)}")


if __name__ == "__main__":
    main()
