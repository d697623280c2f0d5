"""Measures of each photo: apparent skin tone, brightness, contrast, sharpness, pose, size.

In: a FaceSet of aligned crops. Out: the same FaceSet with the measures as columns. Wu & Bowyer 2023
(What should be balanced in a "balanced" face recognition dataset?): such things move error rates
more than the numbers of subjects do.
"""

import joblib
import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind, how_many, warn
from facelab.faces.chroma import CELLS, has_colour
from facelab.faces.colour import fitzpatrick, ita, monk, skin_tone, srgb_to_lab
from facelab.faces.faceset import FaceSet
from facelab.faces.measured import PIXELS, POSE
from facelab.faces.template import LANDMARK_COLUMNS
from facelab.workers import as_jobs, pool

LIGHT_NOTE = (
    "Apparent skin tone is read from pixels: it follows the light, the exposure and the white "
    "balance as well as the skin. Compare groups by it only where all were photographed alike, and "
    "never take it for a person's skin tone."
)
_WITHOUT_COLOUR = "no colour, being black and white or toned, and no apparent skin tone"
# Where skin is on the template of 112 px, as (left, right, top, bottom): both cheeks, the bridge of
# the nose, and the forehead above the brows but below most hair.
SKIN = ((27, 42, 66, 82), (70, 85, 66, 82), (51, 61, 52, 66), (44, 68, 30, 38))
# The face itself on the template, without most of the background: (x, y) and half axes.
FACE = (56.0, 64.0, 36.0, 47.0)
# What a face is taken to be when its pose is read from five landmarks: their mean over facelab's
# synthetic heads, in mm, x to the right as seen, y up, z towards the camera.
HEAD = np.array(
    [
        [-31.9, 31.9, -17.3],
        [31.9, 31.9, -17.3],
        [0, 1.9, 24.5],
        [-25.5, -32.9, 5.1],
        [25.5, -32.9, 5.1],
    ]
)
_PART = 1024  # crops a call: 40 MB at 112 px
_CROPS_PER_WORKER = 20_000  # fewer are done before another process has started


@as_annotated
def measure(faces: FaceSet, jobs: int | None = None) -> FaceSet:
    """The same faces with what can be measured of each photo as columns.

    Parameters
    ----------
    faces
        Aligned crops. Where the table has the landmarks in the photo (`left_eye_x`, `left_eye_y`,
        `right_eye_x` ... `mouth_right_y`, in pixels, left and right as seen), pose and size are
        measured as well; where it has not, they are left out and not guessed.
    jobs
        Worker processes; by default as many as pay off.

    Returns
    -------
    FaceSet
        With these columns more (numbers float32, in place of older ones of the same name):

        - `has_colour`: False where the photo is black and white or toned (`facelab.faces.chroma`),
          which tells no skin tone: of such photos the next but lightness is missing, and a warning
          and the card say how many there are.
        - `skin_lightness` (L*, 0 to 100), `apparent_ita` (degrees) and the ordered categoricals
          `apparent_skin_tone`, `apparent_monk` and `apparent_fitzpatrick` (`fl.monk`): of the
          median colour of the pixels where the template has cheeks, nose bridge and low forehead,
          channel by channel, as sRGB in CIELAB (D65). **They depend on the light**: its strength
          and colour, shadows, exposure and white balance. The median bears glasses, a fringe or a
          highlight on up to half of the pixels. The card gets a note that says so.
        - `brightness`, `contrast`: mean and standard deviation of luma (BT.601, 0 to 255) over
          the face, an ellipse on the template without most of the background.
        - `sharpness`: variance of the Laplacian (4 neighbours) of luma over the face (Pech-Pacheco
          et al. 2000), at the crop's own scale: compare it only between crops of one size. Noise
          counts as sharpness.
        - with landmarks `apparent_yaw`, `apparent_pitch`, `apparent_roll` (degrees, see
          `head_pose`) and `eye_distance` (between the eyes, in pixels of the photo).

    Raises
    ------
    BadInput
        The crops are not aligned, so that nobody knows where the skin is, or some of the landmark
        columns are missing.

    Warns
    -----
    UserWarning
        Photos have no colour.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 2, size=64)
    >>> measured = fl.measure(faces)
    >>> [column for column in measured.table if column not in faces.table]
    ['has_colour', 'skin_lightness', 'apparent_ita', 'apparent_skin_tone', 'apparent_monk',
    'apparent_fitzpatrick', 'brightness', 'contrast', 'sharpness']
    """
    if not isinstance(faces, FaceSet):
        raise BadInput(
            f"fl.measure takes faces (a FaceSet), not {a_kind(faces)}: fl.load opens one"
        )
    if faces.card.get("aligned") is False:
        raise BadInput(
            f"the crops of {faces.card.get('name', 'the set')!r} are not aligned to the template: "
            "measure aligned crops (fl.prepare, or fl.synthesize with frame='aligned')"
        )
    found, coloured = _pixel_measures(faces, jobs)
    columns = _pixel_columns(found, coloured) | _pose_columns(faces.table)
    measured = faces[:]
    measured.table = measured.table.drop(columns=list(columns), errors="ignore").assign(**columns)
    notes = [note for note in measured.card.get("notes", []) if not _is_ours(note)]
    measured.card["notes"] = [*notes, LIGHT_NOTE]
    grey = len(coloured) - int(coloured.sum())
    if grey:
        have = how_many(grey, "photo has", "photos have")
        told = f"{have} {_WITHOUT_COLOUR} ({grey / len(coloured):.1%} of {len(coloured):,})."
        measured.card["notes"].append(told)
        warn(told)
    return measured


def _is_ours(note: str) -> bool:
    return note == LIGHT_NOTE or _WITHOUT_COLOUR in note


# ---- of the pixels


def _pixel_columns(found: np.ndarray, coloured: np.ndarray) -> dict[str, object]:
    lab = srgb_to_lab(found[:, :3] / 255)
    lightness = lab[:, 0].astype(np.float32)
    lab[~coloured] = np.nan
    angle = ita(lab)
    columns = {
        "has_colour": coloured,
        "skin_lightness": lightness,
        "apparent_ita": angle.astype(np.float32),
        "apparent_skin_tone": skin_tone(angle),
        "apparent_monk": monk(lab),
        "apparent_fitzpatrick": fitzpatrick(angle),
    }
    return columns | {name: found[:, 3 + place] for place, name in enumerate(PIXELS[3:])}


def _pixel_measures(faces: FaceSet, jobs: int | None) -> tuple[np.ndarray, np.ndarray]:
    """float32 (N, 6), in the order of `PIXELS`, and which photos have colour."""
    jobs = as_jobs(jobs, min(joblib.cpu_count(), max(1, len(faces) // _CROPS_PER_WORKER)))
    skin, face = skin_mask(faces.size), face_mask(faces.size)
    starts = range(0, len(faces), _PART)
    # Each process reads its crops from the memory map by itself; only row numbers travel.
    parts = pool(jobs)(joblib.delayed(_measure_part)(faces, start, skin, face) for start in starts)
    found, coloured = zip(*parts, strict=True) if parts else ((), ())
    return (
        np.concatenate([np.zeros((0, len(PIXELS)), np.float32), *found]),
        np.concatenate([np.zeros(0, bool), *coloured]),
    )


def _measure_part(
    faces: FaceSet, start: int, skin: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from facelab.faces.pixels import cell_means, measure_crops

    crops = faces.gather(slice(start, start + _PART))
    return measure_crops(crops, skin, face), has_colour(cell_means(crops, CELLS))


def skin_mask(size: int) -> np.ndarray:
    """Where a crop of `size` px is taken to show skin: bool (size, size)."""
    mask = np.zeros((size, size), bool)
    for left, right, top, bottom in np.round(np.array(SKIN) * size / 112).astype(int):
        mask[top:bottom, left:right] = True
    return mask


def face_mask(size: int) -> np.ndarray:
    """Where a crop of `size` px is taken to show the face: bool (size, size)."""
    x, y, half_width, half_height = FACE
    grid = (np.arange(size) + 0.5) * 112 / size - 0.5
    across, down = ((grid - x) / half_width) ** 2, ((grid - y) / half_height) ** 2
    mask = across[None, :] + down[:, None] <= 1
    mask[[0, -1]] = mask[:, [0, -1]] = False  # the Laplacian needs neighbours
    return mask


# ---- of the landmarks


def _pose_columns(table: pd.DataFrame) -> dict[str, object]:
    names = list(LANDMARK_COLUMNS)
    missing = [name for name in names if name not in table.columns]
    if len(missing) == len(names):
        return {}
    if missing:
        raise BadInput(
            f"the table has landmarks but no column {missing[0]!r}: give all of {', '.join(names)}"
        )
    points = table[names].to_numpy(np.float64).reshape(-1, 5, 2)
    angles = head_pose(points).astype(np.float32)
    distance = np.linalg.norm(points[:, 1] - points[:, 0], axis=1).astype(np.float32)
    return dict(zip(POSE, (*angles.T, distance), strict=True))


def head_pose(landmarks: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll in degrees, float64 (N, 3), of heads by five landmarks.

    Yaw above 0 looks to the picture's left (the subject's right), pitch above 0 up, and roll above
    0 leans clockwise as seen: the signs of the synthetic population.
    Roll is that of the line between the eyes. Yaw and pitch are of the rotation that, with a scale,
    lays the landmarks of a mean head on the ones given, seen from afar: least squares for two rows
    of the scaled rotation (POS, DeMenthon & Davis 1995), then the nearest rotation.

    They are proxies: five points do not tell a turned head from one of another shape, nor a nod
    from an open mouth. On synthetic heads with known poses yaw follows the truth (r = 0.95, mean
    error 5 degrees) and roll as well (0.93, 2 degrees), pitch only roughly (0.5, 11 degrees).

    Parameters
    ----------
    landmarks
        (N, 5, 2), x to the right and y down, in the order of
        `facelab.faces.template.LANDMARKS`; rows with a missing value
        give missing angles.
    """
    points = np.asarray(landmarks, np.float64)
    eyes = points[:, 1] - points[:, 0]
    roll = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))
    known = np.isfinite(points).all(axis=(1, 2))
    angles = np.full((len(points), 3), np.nan)
    points = points[known] * [1, -1]
    points -= points.mean(axis=1, keepdims=True)
    rows = np.einsum("ij,njk->nki", np.linalg.pinv(HEAD - HEAD.mean(axis=0)), points)  # (n, 2, 3)
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    across, up = np.moveaxis(left @ right, 1, 0)
    towards = np.cross(across, up)
    yaw = np.degrees(np.arctan2(towards[:, 0], towards[:, 2]))
    pitch = -np.degrees(np.arcsin(np.clip(towards[:, 1], -1, 1)))
    angles[known] = np.stack([yaw, pitch, roll[known]], axis=1)
    return angles
