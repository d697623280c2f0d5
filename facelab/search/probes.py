"""Unsuitable probes: what police searches have used in place of a good photo.

In: aligned faces. Out: the same people as a sketch, as a photo of few pixels, blurred, masked,
behind sunglasses or heavily compressed, from hardly to hopelessly; or a look-alike's photo.

Georgetown's "Garbage In, Garbage Out" (Garvie 2019) documents such searches: composite sketches,
edited photos, and a look-alike celebrity's photo in place of the person's. A turned head cannot be
made of a photo: render it, with ``fl.synthesize_twins({"yaw": [30, 60]})``.
"""

import io
import zlib
from collections.abc import Callable

import numpy as np
from scipy import ndimage, signal

from facelab.arguments import as_annotated
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_faces, check_kind
from facelab.errors import BadInput, check_option
from facelab.faces.colour import LUMA
from facelab.faces.faceset import FaceSet

_FEWEST_PIXELS = 6  # a side, of the poorest resolution
_CLOTHS = np.array([[205, 222, 235], [240, 240, 240], [35, 38, 42], [110, 140, 120]], np.float32)
_LENS = np.array([18, 18, 20], np.float32)
_PART = 512  # crops changed at a time


# Everything below takes float32 crops (n, S, S, 3) from 0 to 255, a strength above 0 and up to 1,
# and of each crop four numbers from 0 to 1 that chance gave it.


def _sketch(crops: np.ndarray, strength: float, _: np.ndarray) -> np.ndarray:
    """Pencil on paper, by colour dodge: dark only where it is darker than around it."""
    grey = crops @ LUMA
    width = 0.03 * crops.shape[1]
    around = ndimage.gaussian_filter(grey, (0, width, width), mode="nearest")
    drawn = np.minimum(255 * (grey + 1) / (around + 1), 255)
    drawn = 255 * (drawn / 255) ** 2  # a firmer hand
    return crops + strength * (drawn[..., None] - crops)


def _low_resolution(crops: np.ndarray, strength: float, _: np.ndarray) -> np.ndarray:
    from PIL import Image

    size = crops.shape[1]
    side = max(round(size * (_FEWEST_PIXELS / size) ** strength), 1)
    few = [
        Image.fromarray(_whole(crop)).resize((side, side), Image.Resampling.BOX) for crop in crops
    ]
    back = [one.resize((size, size), Image.Resampling.BICUBIC) for one in few]
    return np.stack([np.asarray(one, np.float32) for one in back])


def _motion_blur(crops: np.ndarray, strength: float, chance: np.ndarray) -> np.ndarray:
    """A straight move in any direction, over up to a third of the crop."""
    reach = strength * crops.shape[1] / 6
    steps = np.linspace(-reach, reach, int(8 * reach) + 3)
    result = np.empty_like(crops)
    for place, turn in enumerate(np.pi * chance[:, 0]):
        # A line of points, each shared out to the pixels around it.
        side = int(np.ceil(reach)) + 1
        y, x = (side + steps * np.sin(turn), side + steps * np.cos(turn))
        line = np.zeros((2 * side + 1, 2 * side + 1))
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            row, column = np.floor(y).astype(int) + down, np.floor(x).astype(int) + right
            share = (1 - np.abs(y - row)) * (1 - np.abs(x - column))
            inside = (row <= 2 * side) & (column <= 2 * side)
            np.add.at(line, (row[inside], column[inside]), share[inside])
        result[place] = _spread(crops[place : place + 1], line)[0]
    return result


def _defocus(crops: np.ndarray, strength: float, _: np.ndarray) -> np.ndarray:
    """Every point a disc, as a lens out of focus draws it; its radius up to a tenth of the crop."""
    radius = strength * crops.shape[1] / 10
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _spread(crops, np.clip(radius + 0.5 - np.hypot(x, y), 0, 1))


def _spread(crops: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Every point spread as the kernel (2r + 1, 2r + 1) has it; edges go on outwards."""
    reach = len(kernel) // 2
    wide = np.pad(crops, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    kernel = (kernel / kernel.sum()).astype(np.float32)[None, :, :, None]
    return signal.fftconvolve(wide, kernel, mode="valid", axes=(1, 2))


def _mask(crops: np.ndarray, strength: float, chance: np.ndarray) -> np.ndarray:
    """Cloth from the chin up, over the mouth at a half, over the nose at the full strength."""
    x, y = _template_grid(crops.shape[1])
    top = 112 - strength * (112 - 60) - 6 * np.cos((x - 56) / 40 * np.pi / 2)
    outline = np.abs(x - 56) <= 40 - np.maximum(y - 85, 0) * 0.55
    cover = np.clip(y - top + 0.5, 0, 1) * outline
    colour = _CLOTHS[(chance[:, 1] * len(_CLOTHS)).astype(int)]
    # Folds, and shade towards the sides.
    light = 1 - 0.25 * ((x - 56) / 40) ** 2 - 0.06 * (np.sin(y / 2.2) > 0.6)
    cloth = np.clip(colour[:, None, None, :] * light[None, :, :, None], 0, 255)
    return crops + cover[None, :, :, None] * (cloth - crops)


def _sunglasses(crops: np.ndarray, strength: float, chance: np.ndarray) -> np.ndarray:
    """Two dark lenses and a bridge, from slits to half of the face."""
    x, y = _template_grid(crops.shape[1])
    wide, high = 6 + 13 * strength, 15 * strength
    lens = np.zeros_like(x)
    for middle in (38.3, 73.5):
        apart = (np.abs(x - middle) / wide) ** 3 + (np.abs(y - 52) / high) ** 3
        lens = np.maximum(lens, np.clip((1 - apart) * min(wide, high) / 3 + 0.5, 0, 1))
    bridge = (np.abs(x - 56) < 18) & (np.abs(y - 49) < 2 * strength)
    cover = np.maximum(lens, bridge)[None, :, :, None]
    gleam = np.clip(1 - np.abs(x - y * 0.6 - 20 - 40 * chance[:, 2, None, None]) / 3, 0, 1)
    glass = _LENS + 50 * gleam[..., None]
    return crops + cover * (glass - crops)


def _jpeg(crops: np.ndarray, strength: float, _: np.ndarray) -> np.ndarray:
    from PIL import Image

    result = np.empty_like(crops)
    for place, crop in enumerate(crops):
        file = io.BytesIO()
        Image.fromarray(_whole(crop)).save(file, "JPEG", quality=round(95 * 0.02**strength))
        result[place] = np.asarray(Image.open(file, formats=("JPEG",)), np.float32)
    return result


DEGRADATIONS: dict[str, Callable[[np.ndarray, float, np.ndarray], np.ndarray]] = {
    "sketch": _sketch,
    "low resolution": _low_resolution,
    "motion blur": _motion_blur,
    "defocus": _defocus,
    "mask": _mask,
    "sunglasses": _sunglasses,
    "jpeg": _jpeg,
}
_ON_TEMPLATE = ("mask", "sunglasses")


@as_annotated
def degrade(faces: FaceSet, kind: str, strength: float = 0.5, seed: int = 0) -> FaceSet:
    """The same faces as unsuitable probes.

    What is done to a face depends on its image's name, its pixels, `kind`, `strength` and `seed`
    alone, whatever other faces are in the set. Everything is done to the aligned crop: a face that
    a detector would no longer find counts as found here, so that real systems fail more often.

    Parameters
    ----------
    faces
        Aligned crops.
    kind
        - ``"sketch"``: pencil on paper, by colour dodge; `strength` mixes it with the photo.
        - ``"low resolution"``: fewer pixels, averaged, then enlarged: at 112 px a side of 26 at a
          half and of 6 at the full strength.
        - ``"motion blur"``: a straight move by up to a third of the crop, in a direction by chance.
        - ``"defocus"``: discs of a radius of up to a tenth of the crop.
        - ``"mask"``: cloth from the chin up, over the mouth at a half, over the nose at the full
          strength; in one of four colours.
        - ``"sunglasses"``: from slits to lenses over a third of the face's height.
        - ``"jpeg"``: quality 95 to 2 on libjpeg's scale, 13 at a half.
    strength
        From 0, which changes nothing, to 1.
    seed
        Of what is left to chance: directions, colours, reflections.

    Returns
    -------
    FaceSet
        In memory, with the columns `degradation` and `strength`; the card says what was done.

    Raises
    ------
    BadInput
        A kind that is not known, a strength outside 0 to 1, or crops that are not aligned, so that
        nobody knows where mouth and eyes are.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 2)
    >>> masked = fl.degrade(faces, "mask", strength=0.7)
    >>> masked.table[["degradation", "strength"]].iloc[0].to_dict()
    {'degradation': 'mask', 'strength': 0.7}
    """
    check_faces(faces, "fl.degrade")
    check_option("kind", kind, DEGRADATIONS)
    if not 0 <= strength <= 1:
        raise BadInput(f"strength must lie between 0 and 1, not be {strength}")
    if kind in _ON_TEMPLATE and faces.card.get("aligned") is False:
        raise BadInput(
            f"the crops of {faces.card.get('name', 'the set')!r} are not aligned to the template: "
            f"a {kind} needs aligned crops (fl.prepare, or fl.synthesize with frame='aligned')"
        )
    done_before = any("degraded" in step for step in faces.card.get("derived", []))
    for column in ("degradation", "strength"):
        if column in faces.table and not done_before:
            raise BadInput(
                f"the faces have a label column {column!r}, which is to say how they are spoilt: "
                "rename it"
            )
    crops = np.array(faces.crops)
    names = faces.table["image"].astype(str)
    for start in range(0, len(crops) if strength else 0, _PART):
        part = slice(start, start + _PART)
        chance = np.stack([_chance(name, seed) for name in names[part]])
        changed = DEGRADATIONS[kind](crops[part].astype(np.float32), strength, chance)
        crops[part] = _whole(changed)
    card = dict(faces.card)
    done = {"degraded": kind, "strength": strength, "seed": seed}
    card["derived"] = [*card.get("derived", []), done]
    return FaceSet(faces.table.assign(degradation=kind, strength=float(strength)), crops, card)


@as_annotated
def look_alikes(wanted: Embeddings, pool: Embeddings) -> Embeddings:
    """In place of each person's photo that of the person in a pool who looks most like them.

    Parameters
    ----------
    wanted
        The probes that there should have been.
    pool
        Other people's photos, by the same embedder.

    Returns
    -------
    Embeddings
        For each row of `wanted` the photo in the pool with the highest score among photos of other
        subjects; `subject` is still who is looked for, `shown` who is on the photo, `likeness` the
        score. The group columns are those of who is looked for.

    Raises
    ------
    BadInput
        The embedders or dimensions differ, or the pool holds nobody but one of the wanted.

    Examples
    --------
    >>> import facelab as fl
    >>> pool, wanted = fl.crowd(500, probes=6, dim=64)
    >>> instead = fl.look_alikes(wanted, pool)
    >>> instead.table[["subject", "shown"]].tail(1).values.tolist()
    [['p00000502', 'p00000082']]
    >>> round(float(instead.table["likeness"].tail(3).min()), 2)
    0.37
    """
    check_kind(wanted, "fl.look_alikes")
    check_kind(pool, "fl.look_alikes")
    if not len(pool):
        raise BadInput("the pool is empty: give other people's photos")
    if wanted.vectors.shape[1] != pool.vectors.shape[1]:
        raise BadInput(
            f"vectors of {wanted.vectors.shape[1]} and of {pool.vectors.shape[1]} numbers cannot "
            "be compared: embed both sets with one embedder"
        )
    theirs, ours = pool.card.get("embedder"), wanted.card.get("embedder")
    if theirs != ours:
        raise BadInput(f"the pool is of embedder {theirs!r}, the wanted of {ours!r}: take one")
    whose = pool.table["subject"].astype(str).to_numpy(object)
    sought = wanted.table["subject"].astype(str).to_numpy(object)
    best, likeness = np.empty(len(wanted), np.int64), np.empty(len(wanted), np.float32)
    for start in range(0, len(wanted), _PART):
        part = slice(start, start + _PART)
        scores = wanted.vectors[part] @ pool.vectors.T
        scores[sought[part, None] == whose] = -np.inf
        best[part] = scores.argmax(axis=1)
        likeness[part] = scores.max(axis=1)
    alone = np.flatnonzero(likeness == -np.inf)
    if len(alone):
        raise BadInput(
            f"the pool holds nobody but {sought[alone[0]]!r}: give other people's photos"
        )
    table = wanted.table.assign(shown=whose[best], likeness=likeness)
    table["image"] = [
        f"{image} shown as {other}"
        for image, other in zip(table["image"], pool.table["image"].to_numpy()[best], strict=True)
    ]
    step = {"look_alikes": "photos of others in place of the people's own"}
    card = {**wanted.card, "derived": [*wanted.card.get("derived", []), step]}
    return Embeddings(np.asarray(pool.vectors)[best], table, card)


def _chance(name: str, seed: int) -> np.ndarray:
    """Four numbers from 0 to 1 of an image."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())]).random(4, np.float32)


def _whole(crops: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(crops), 0, 255).astype(np.uint8)


def _template_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel its place on the template of 112 px, x and y float32 (S, S)."""
    grid = ((np.arange(size) + 0.5) * 112 / size - 0.5).astype(np.float32)
    x, y = np.meshgrid(grid, grid)
    return x, y
