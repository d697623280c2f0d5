"""Model hair along curves: ribbons of strands that fall, and tubes for braids and locks.

In: the mean head and the head region; our own work. Out: meshes with texture coordinates, which
`hair` binds to the head as it does MakeHuman's.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree

from facelab.synthetic.baking.hair_patterns import braid, finished, strand_noise
from facelab.synthetic.baking.head import Region, halve
from facelab.synthetic.baking.pictures import ramp
from facelab.synthetic.head import PARTS
from facelab.synthetic.mesh import vertex_normals
from facelab.synthetic.scalp import ground, hair_height

STEP = 0.06  # decimetres of a curve at a time
SIDE, STRIPS = 256, 4  # of a texture of ribbons: its size, and how many ribbons lie side by side


@dataclass(frozen=True)
class Cut:
    """How a hair is cut and combed.

    Attributes
    ----------
    curves : int
        How many ribbons or tubes.
    length : (float, float)
        The shortest and the longest, dm.
    width : float
        Of a ribbon; of a tube its radius.
    volume : float
        How far off the skin the outermost lie.
    look : str
        "straight", "wavy", "curly", or of tubes "braid", "lock".
    part : float
        Where the parting is, dm to the left; beyond 1 there is none, and hair is combed over.
    fringe : float
        Down to which height of the template hair falls over the forehead; 9 is none.
    back : float
        How much the front is combed back, 0..1.
    wave : (float, float)
        How far curves sway, and over which length, dm.
    top : float
        Lowest height of the template that is not cut short.
    lift : float
        How long hair stands up before it falls, dm.
    rings : int
        Points along a curve.
    """

    curves: int
    length: tuple[float, float]
    width: float
    volume: float
    look: str
    part: float = 0.0
    fringe: float = 9.0
    back: float = 0.0
    wave: tuple[float, float] = (0.0, 1.0)
    top: float = 0.0
    lift: float = 0.0
    rings: int = 10


CUTS = {
    "long_straight": Cut(180, (2.4, 2.7), 0.20, 0.12, "straight"),
    "long_fringe": Cut(205, (2.3, 2.6), 0.20, 0.12, "straight", fringe=7.66),
    "long_wavy": Cut(185, (2.2, 2.6), 0.22, 0.20, "wavy", part=0.2, wave=(0.05, 0.8), rings=11),
    "bob_fringe": Cut(195, (1.25, 1.40), 0.19, 0.13, "straight", fringe=7.67),
    "bob_wavy": Cut(190, (1.3, 1.6), 0.21, 0.22, "wavy", part=0.25, wave=(0.05, 0.6)),
    "curly_medium": Cut(215, (1.3, 1.8), 0.25, 0.36, "curly", part=0.15, wave=(0.06, 0.45)),
    "pixie": Cut(320, (0.45, 0.70), 0.13, 0.07, "straight", part=0.35, fringe=7.80, rings=6),
    "undercut": Cut(170, (0.5, 0.8), 0.18, 0.16, "straight", part=2.0, top=7.75, lift=0.1, rings=7),
    "quiff": Cut(300, (0.4, 0.7), 0.14, 0.10, "straight", part=2.0, back=0.9, lift=0.05, rings=6),
    "box_braids": Cut(96, (2.1, 2.3), 0.036, 0.10, "braid", part=0.0, rings=10),
    "locks": Cut(80, (1.5, 2.0), 0.046, 0.14, "lock", part=0.2, wave=(0.03, 0.7), rings=10),
    "locks_short": Cut(110, (0.5, 0.75), 0.042, 0.10, "lock", lift=0.02, rings=6),
}


def model_hair(
    name: str, head: np.ndarray, region: Region
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points (V, 3), texture coordinates (V, 2), triangles (T, 3) and texture of one cut."""
    cut = CUTS[name]
    random = np.random.default_rng([17, list(CUTS).index(name)])
    skull = Skull(head, region)
    curves = [grow(cut, root, skull, random) for root in roots(cut, skull, random)]
    # The outermost first: what they hide need not be drawn.
    curves.sort(key=lambda curve: -np.mean([skull.near(point)[0] for point in curve]))
    points, uv, triangles = [], [], []
    count = 0
    for curve in curves:
        make = tube if cut.look in ("braid", "lock") else ribbon
        mesh = make(cut, curve, skull, random)
        points.append(mesh[0])
        uv.append(mesh[1])
        triangles.append(mesh[2] + count)
        count += len(mesh[0])
    below = cap(cut, skull)
    points.append(below[0])
    uv.append(below[1])
    triangles.append(below[2] + count)
    texture = tube_texture(cut.look, random) if cut.look in ("braid", "lock") else (
        ribbon_texture(cut.look, random)
    )  # fmt: skip
    return np.concatenate(points), np.concatenate(uv), np.concatenate(triangles), texture


def cap(cut: Cut, skull: "Skull") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What closes the hair below, the scalp lifted: strands of strip 0, or rows of braids."""
    under = ground("coils")
    here = np.searchsorted(skull.used, under.body)
    place = skull.place[here]
    margin = place[:, 1] - np.maximum(hair_height(place[:, 2]), cut.top)
    ropes = cut.look in ("braid", "lock")
    high = 0.012 + (0.0 if ropes else 0.5) * cut.volume * ramp(margin, 0.0, 0.4)
    points = skull.points[here] + high[:, None] * skull.normals[here]
    turn = np.arctan2(place[:, 0], place[:, 2] - 0.2)
    if ropes:  # side by side from front to back, each from the parting down
        uv = np.stack([(place[:, 2] + 1.5) * 3.0, 1.5 * np.abs(place[:, 0] - cut.part) + 1], 1)
    else:  # strands run up from the hairline, where they are thin
        up = np.clip((margin + 0.06) * 0.5, 0.01, 0.95)
        uv = np.stack([(0.5 + 0.4 * np.sin(2.5 * turn)) / STRIPS, up], 1)
    kept = (margin > (0.05 if ropes else -0.08))[under.triangles].all(1)
    used, numbered = np.unique(under.triangles[kept], return_inverse=True)
    return points[used], uv[used], numbered.reshape(-1, 3)


class Skull:
    """The skin that hair lies on: how far off it a point is, and in which direction."""

    def __init__(self, head: np.ndarray, region: Region) -> None:
        skin = halve(np.searchsorted(region.used, region.quads[region.part == PARTS["skin"]]))
        self.used = np.unique(skin)
        self.place = region.vertices[region.used][self.used]
        self.points = head[self.used]
        self.normals = vertex_normals(head.astype(np.float32), skin.astype(np.int32))[self.used]
        self.tree = cKDTree(self.points)
        self.raised = head[:, 1].max() - region.vertices[region.used][:, 1].max()

    def near(self, point: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Distance off the skin, its normal, and the template's place, each of the mean nearby."""
        distance, found = self.tree.query(point, k=6)
        share = 1 / (distance + 0.02) ** 2
        share /= share.sum()
        normal = share @ self.normals[found]
        normal /= np.linalg.norm(normal)
        return (
            float((point - share @ self.points[found]) @ normal),
            normal,
            share @ self.place[found],
        )


def roots(cut: Cut, skull: Skull, random: np.random.Generator) -> np.ndarray:
    """Vertex numbers of the skull where curves begin, evenly spread."""
    x, y, z = np.abs(skull.place[:, 0]), skull.place[:, 1], skull.place[:, 2]
    ear = (x > 0.70) & (y < 7.5) & (z > 0.15)
    grows = (y > hair_height(z) + 0.03) & (y > max(cut.top, 6.65)) & ~ear
    left = np.flatnonzero(grows)
    # The one farthest from those chosen, again and again.
    chosen = [left[np.argmax(skull.place[left, 1])]]
    away = np.full(len(left), np.inf)
    while len(chosen) < min(cut.curves, len(left)):
        away = np.minimum(
            away, np.linalg.norm(skull.points[left] - skull.points[chosen[-1]], axis=1)
        )
        chosen.append(left[np.argmax(away * random.uniform(0.85, 1.0, len(left)))])
    return np.array(chosen)


def grow(cut: Cut, root: int, skull: Skull, random: np.random.Generator) -> np.ndarray:
    """One curve (N, 3) from its root to its tip."""
    place, point = skull.place[root], skull.points[root].copy()
    volume = cut.volume * random.uniform(0.25, 1.0)
    length = random.uniform(*cut.length)
    x, _, z = place
    falls_before = cut.fringe < 9 and z > 0.62 and abs(x - 0.5 * cut.part) < 0.6
    if cut.part > 1:  # combed over or back
        comb = np.array([0.8 * (1 - cut.back), 0.1, -0.3 - 0.7 * cut.back])
    else:
        side = np.sign(x - cut.part) if abs(x - cut.part) > 0.01 else random.choice([-1.0, 1.0])
        ahead = ramp(z, -0.2, 0.7)
        comb = np.array([side * (0.25 + 0.75 * ahead), -0.5 * (1 - ahead), -0.45])
    if falls_before:
        comb = np.array([0.35 * x + 0.5 * min(cut.part, 0.5), 0.0, 1.0])
        volume = 0.09 * random.uniform(0.4, 1.0)
    comb = comb / np.linalg.norm(comb) + random.normal(0, 0.08, 3)
    phase = random.uniform(0, 2 * np.pi, 2)
    found = [point.copy()]
    run = 0.0
    while run < length:
        off, normal, _ = skull.near(point)
        late = ramp(run, 0.1 + cut.lift, 0.55 + 2 * cut.lift)
        way = (1 - late) * comb + late * np.array([0.0, -1.0, 0.0])
        way = way + normal * min(0.6, 5 * cut.volume) * (1 - ramp(run, 0, 0.15 + 1.5 * cut.lift))
        height = point[1] - skull.raised
        # The face stays free: in front hair goes to the side.
        if not falls_before:
            bound = 0.62 * ramp(8.35 - height, 0.0, 0.45)
            if point[2] > 0.55 and abs(point[0]) < bound and height < 8.3 and cut.part <= 1:
                way = way + np.array([np.sign(point[0] - 0.5 * cut.part) * 1.3, 0, -0.15])
        elif height < cut.fringe + random.normal(0, 0.015):
            break
        clear = 0.02 + volume * ramp(run, 0.0, 0.5)
        inwards = way @ normal
        if off > clear + 0.05:
            way = way - 0.12 * normal
        if off < clear + 0.02 and inwards < 0:
            way = way - inwards * normal
        way = way / max(1e-6, np.linalg.norm(way))
        point = point + STEP * way
        off, normal, _ = skull.near(point)
        if off < clear:
            point = point + normal * min(clear - off, 0.05)
        elif height > 6.9:  # down to the ears hair lies on hair
            point = point - normal * min(0.6 * max(0.0, off - clear - 0.03), 0.04)
        run += STEP
        found.append(point.copy())
    curve = gaussian_filter1d(np.array(found), 1.5, axis=0, mode="nearest")
    curve[0] = found[0]
    # The first part, over the skull, bends most.
    at = np.linspace(0, 1, cut.rings) ** 1.5 * (len(curve) - 1)
    curve = np.stack([np.interp(at, np.arange(len(curve)), curve[:, k]) for k in range(3)], 1)
    if cut.wave[0]:
        along = at * STEP * 2 * np.pi / cut.wave[1]
        sway = cut.wave[0] * ramp(at * STEP, 0.2, 0.8)
        curve[:, 0] += sway * np.sin(along + phase[0])
        curve[:, 2] += sway * np.cos(along + phase[1])
    return curve


def frames(curve: np.ndarray, skull: Skull) -> tuple[np.ndarray, np.ndarray]:
    """Across and out of the mass of hair at each point of a curve."""
    along = np.gradient(curve, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    axis = np.array([0.0, 0.0, 0.15])
    out = np.array([skull.near(point)[1] for point in curve])
    # Hair that hangs free looks away from the neck.
    hangs = ramp(6.9 - (curve[:, 1] - skull.raised), 0.0, 0.5)[:, None]
    away = (curve - axis) * [1, 0, 1]
    away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
    out = gaussian_filter1d((1 - hangs) * out + hangs * away, 1.0, axis=0)
    across = np.cross(along, out)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    return across, np.cross(across, along)


def ribbon(cut: Cut, curve: np.ndarray, skull: Skull, random: np.random.Generator) -> tuple:
    """A flat strip of strands: points, texture coordinates, triangles."""
    across, out = frames(curve, skull)
    tilt = random.normal(0, 0.25)
    across = np.cos(tilt) * across + np.sin(tilt) * out
    run = np.linspace(0, 1, len(curve)) ** 1.5
    wide = cut.width * random.uniform(0.75, 1.2) * (0.55 + 0.6 * ramp(run, 0, 0.3)) / 1.15
    wide = (wide * (1 - 0.2 * ramp(run, 0.6, 1.0)))[:, None] / 2
    points = np.stack([curve - across * wide, curve + across * wide], 1).reshape(-1, 3)
    strip = random.integers(1, STRIPS)
    margin = 1.5 / SIDE
    low, high = strip / STRIPS + margin, (strip + 1) / STRIPS - margin
    if random.random() < 0.5:
        low, high = high, low
    down = margin + run * (1 - 2 * margin)
    uv = np.stack([np.tile([low, high], len(curve)), np.repeat(down, 2)], 1)
    first = 2 * np.arange(len(curve) - 1)[:, None]
    triangles = np.concatenate([first + np.array(corner) for corner in ((0, 1, 2), (2, 1, 3))])
    return points, uv, triangles


def tube(cut: Cut, curve: np.ndarray, skull: Skull, random: np.random.Generator) -> tuple:
    """A rope with four sides: points, texture coordinates (beyond 1 they repeat), triangles."""
    across, out = frames(curve, skull)
    run = np.linspace(0, 1, len(curve)) ** 1.5
    size = cut.width * random.uniform(0.85, 1.15) * (1 - 0.45 * ramp(run, 0.5, 1.0))
    if cut.look == "lock":
        size = size * random.uniform(0.85, 1.15, len(curve))
    size[-1] *= 0.35
    turn = np.arange(5) * np.pi / 2 + np.pi / 4
    ring = np.cos(turn)[:, None, None] * across + np.sin(turn)[:, None, None] * out
    points = (curve + ring * size[:, None]).transpose(1, 0, 2).reshape(-1, 3)
    length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
    down = run * length / (0.62 if cut.look == "braid" else 1.0) + random.random()
    uv = np.stack([np.tile(np.arange(5) / 4, len(curve)), np.repeat(down, 5)], 1)
    first = (5 * np.arange(len(curve) - 1)[:, None] + np.arange(4)).reshape(-1, 1)
    triangles = np.concatenate([first + np.array(corner) for corner in ((0, 1, 5), (5, 1, 6))])
    return points, uv, triangles


def ribbon_texture(look: str, random: np.random.Generator) -> np.ndarray:
    """Four ribbons side by side, from the roots above to the tips: brightness and opacity."""
    row, column = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    strip = np.floor(column * STRIPS)
    across = (column * STRIPS % 1) * 2 - 1
    tone, solid = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    sway = {"straight": 0.05, "wavy": 0.22, "curly": 0.30}[look]
    turns = {"straight": 0.5, "wavy": 2.5, "curly": 7.0}[look]
    for number in range(STRIPS):
        mine = strip == number
        for _ in range({"straight": 60, "wavy": 55, "curly": 60}[look] * (3 if number == 0 else 1)):
            spread = random.uniform(-0.92, 0.92)
            phase = random.normal(0, 0.5) + spread * (3 if look == "curly" else 1)
            swing = sway * random.uniform(0.6, 1.2) * ramp(row, 0.0, 0.25)
            middle = spread * (0.75 + 0.1 * np.sin(3 * row)) + swing * np.sin(
                2 * np.pi * turns * row * random.uniform(0.93, 1.07) + phase
            )
            thick = random.uniform(0.035, 0.075)
            end = random.uniform(0.8, 1.0) - 0.15 * abs(spread) ** 3
            on = mine & (np.abs(across - middle) < thick) & (row < end)
            shine = random.normal(0, 1) + 0.5 * np.cos(2 * np.pi * turns * row + phase)
            tone[on] = shine[on] - 0.9 * np.abs(across - middle)[on] / thick
            solid[on] = 1.0
    solid = gaussian_filter(solid, (1.5, 0.6))
    tone = gaussian_filter(np.where(solid > 0.1, tone, tone[solid > 0.5].mean()), (1.0, 0.5))
    ragged = ramp(row + 0.03 * strand_noise(random, 0.8, 12, SIDE), 0.0, 0.12)
    solid = np.where(strip == 0, ragged, solid)
    edge = np.where(strip == 0, 1, ramp(1 - np.abs(across), 0.0, 0.12) * ramp(1 - row, 0.0, 0.03))
    picture = finished(tone - 0.9 * (1 - ramp(row, 0.0, 0.3)), tone, 0.32)  # darker roots
    picture[..., 1] = np.round(np.clip(solid * edge, 0, 1) * 31) * 8
    return weighted(picture)


def tube_texture(look: str, random: np.random.Generator) -> np.ndarray:
    """What goes around a braid or a lock, repeated along it: brightness, opaque."""
    row, column = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    if look == "braid":
        # A braid is seen from the front and from behind.
        light, _ = braid((column * 2 % 1) * 2 - 1, row * 7)
        tone = 1.6 * light + 0.25 * strand_noise(random, 1.0, 2.5, SIDE)
    else:
        tone = strand_noise(random, 2.0, 5.0, SIDE) + 0.8 * strand_noise(random, 7.0, 9.0, SIDE)
        tone = tone + 0.9 * np.sin(2 * np.pi * (3 * row + column))
    picture = finished(tone, tone, 0.45 if look == "braid" else 0.3)
    picture[..., 1] = 248
    return weighted(picture)


def weighted(picture: np.ndarray) -> np.ndarray:
    """The picture with the mean brightness 128 where it is opaque."""
    tone = picture[..., 0].astype(float)
    tone *= 128 / np.average(tone, weights=picture[..., 1].astype(float))
    picture[..., 0] = np.clip(np.round(tone / 4) * 4, 0, 252)
    return picture
