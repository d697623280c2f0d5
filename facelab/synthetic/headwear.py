"""Headwear: beanie, cap, scarf, hijab, turban and headwrap, laid over a subject's head.

In: a subject's neutral head. Out: a `Piece` of cloth. Each is a grid of points around the skull:
it takes the head's own width at every point, smoothed as cloth smooths, and stands off it by its
thickness and its folds.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from facelab.synthetic.accessories import Piece, strip
from facelab.synthetic.head import PARTS, Head, load_head
from facelab.synthetic.mesh import jit

MIDDLE = np.array([0.0, 7.40, 0.12])  # of the skull, on the template
_ROWS, _COLUMNS = 22, 48
# Of what is drawn around the face: the height of the opening's middle, how far it reaches above and
# below, and half its width.
OPENING = {"hijab": (7.00, 0.88, 0.94, 0.66), "scarf": (7.02, 0.94, 1.0, 0.72)}
DRAPED = tuple(OPENING)


@dataclass(frozen=True)
class Grid:
    """Where a piece lies on the template.

    Attributes
    ----------
    place : float64 (R, C, 3)
        On the skin, or where cloth hangs free.
    out : float64 (R, C, 3)
        Unit directions out of the head.
    refs : int (R, C, 4), shares : float64 (R, C, 4)
        The head's vertices that carry each point.
    inside : float64 (R, C)
        Distance from the edge, dm.
    """

    place: np.ndarray
    out: np.ndarray
    refs: np.ndarray
    shares: np.ndarray
    inside: np.ndarray


def lower_edge(kind: str, turn: np.ndarray) -> np.ndarray:
    """Height of a hat's edge on the template, at angles around the head (0 is the front)."""
    front = 0.5 + 0.5 * np.cos(turn)
    back = {"beanie": 7.12, "cap": 7.45, "turban": 7.20, "headwrap": 7.22}[kind]
    brow = {"beanie": 7.80, "cap": 7.80, "turban": 7.76, "headwrap": 7.80}[kind]
    over_ears = {"beanie": 7.33, "cap": 7.55, "turban": 7.46, "headwrap": 7.48}[kind]
    side = np.abs(np.sin(turn)) ** 3
    height = back + (brow - back) * front**1.3
    height = height + (over_ears - height) * side
    if kind == "turban":  # it rises to a point over the forehead
        height = height + 0.10 * np.exp(-((np.angle(np.exp(1j * turn)) / 0.35) ** 2))
    return height


def opening(kind: str, height: np.ndarray) -> np.ndarray:
    """Half the width of the opening for the face at heights of the template, dm; 0 is closed."""
    middle, high, low, wide = OPENING[kind]
    tall = np.where(height > middle, high, low)
    return wide * np.clip(1 - ((height - middle) / tall) ** 2, 0, 1) ** 0.42


@cache
def grids(kind: str) -> tuple[Grid, ...]:
    """A dome over the skull, and of a cloth drawn around the face what falls from it."""
    along = np.linspace(0, 1, _ROWS)[:, None]
    turn = np.linspace(-np.pi, np.pi, _COLUMNS) * np.ones_like(along)
    away = np.zeros_like(turn)
    if kind in DRAPED:
        # In front the dome ends at the upper edge of the opening, elsewhere below what falls.
        middle, high, wide = OPENING[kind][0], *OPENING[kind][1::2]
        across = np.clip(0.80 * np.tan(np.clip(np.abs(turn), 0, 1.2)) / wide, 0, 1)
        edge = middle + high * np.sqrt(1 - across ** (1 / 0.42))
        away = 0.85 * np.clip(np.abs(turn) - np.arctan2(wide, 0.80), 0, 9)
    else:
        edge = lower_edge(kind, turn)
    wide = np.hypot(np.where(np.cos(turn) > 0, 1.20, 0.95) * np.cos(turn), 0.80 * np.sin(turn))
    last = np.arctan2(wide, edge - MIDDLE[1])  # from the zenith
    polar = 0.001 + along**0.9 * (last - 0.001)
    out = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)], -1)
    place = np.broadcast_to(MIDDLE, out.shape)
    dome = carried(place, out, np.hypot((last - polar) * 0.95, away), kind in DRAPED)
    if kind not in DRAPED:
        return (dome,)
    height = OPENING[kind][0] + 0.3 - along * (OPENING[kind][0] + 0.3 - 5.35)
    half = np.arctan2(opening(kind, height), 0.80)
    half = half + 0.15 * np.clip(1 - along / 0.15, 0, 1)  # its upper corners lie under the dome
    turn = half + np.linspace(0, 1, _COLUMNS) * (2 * np.pi - 2 * half)
    out = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], -1)
    place = np.stack([0 * turn, height + 0 * turn, MIDDLE[2] + 0 * turn], -1)
    across = np.minimum(turn - half, 2 * np.pi - half - turn)
    return dome, carried(place, out, np.where(half > 0, 0.85 * across, 0.5), True)


def carried(place: np.ndarray, out: np.ndarray, inside: np.ndarray, ears: bool) -> Grid:
    """The grid with the skin that carries it: of the vertices around each ray the nearest."""
    head = load_head()
    skin = np.unique(head.triangles[head.part == PARTS["skin"]])
    points = head.template[skin].astype(float)
    if not ears:  # a hat ends above them
        x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
        ear = (x > 0.70) & (y < 7.50) & (z > 0.1) & (z < 0.7)
        skin, points = skin[~ear], points[~ear]
    rays, starts = out.reshape(-1, 3), np.ascontiguousarray(place).reshape(-1, 3)
    nearest, off = nearest_to(rays, starts, points)
    shares = 1 / (off + 0.01) ** 2
    shares = (shares / shares.sum(1, keepdims=True)).reshape(*out.shape[:2], 4)
    refs = skin[nearest].reshape(*out.shape[:2], 4)
    return Grid(place, out, refs, shares, inside)


@jit
def nearest_to(rays: np.ndarray, starts: np.ndarray, points: np.ndarray) -> tuple:
    """The four points before each ray that are nearest to it, the farther out the sooner."""
    found, best = np.zeros((len(rays), 4), np.int64), np.full((len(rays), 4), 99.0)
    for n in range(len(rays)):
        for p in range(len(points)):
            x, y = points[p, 0] - starts[n, 0], points[p, 1] - starts[n, 1]
            z = points[p, 2] - starts[n, 2]
            ahead = x * rays[n, 0] + y * rays[n, 1] + z * rays[n, 2]
            if ahead <= 0.05:
                continue
            off = np.sqrt(max(0.0, x * x + y * y + z * z - ahead * ahead))
            off += 0.08 * (1.3 - min(ahead, 1.3))
            last = 3
            if off >= best[n, last]:
                continue
            while last > 0 and off < best[n, last - 1]:
                best[n, last], found[n, last] = best[n, last - 1], found[n, last - 1]
                last -= 1
            best[n, last], found[n, last] = off, p
    return found, best


def smoothed(values: np.ndarray, times: int, around: bool) -> np.ndarray:
    """Values (R, C) with each the mean of its neighbours, again and again."""
    for _ in range(times):
        values = np.concatenate([values[:1], values, values[-1:]])
        values = 0.25 * values[:-2] + 0.5 * values[1:-1] + 0.25 * values[2:]
        ends = (values[:, -2:-1], values[:, 1:2]) if around else (values[:, :1], values[:, -1:])
        values = np.concatenate([ends[0], values, ends[1]], 1)
        values = 0.25 * values[:, :-2] + 0.5 * values[:, 1:-1] + 0.25 * values[:, 2:]
    return values


def make_headwear(kind: str, neutral: np.ndarray, head: Head) -> Piece:
    """Headwear of a kind, fitted to the head."""
    sheets = [sheet(kind, laid, neutral, head) for laid in grids(kind)]
    vertices, pattern, dim = (np.concatenate(parts) for parts in zip(*sheets, strict=True))
    corners = strip(_ROWS, _COLUMNS)
    triangles = np.concatenate([corners + n * _ROWS * _COLUMNS for n in range(len(sheets))])
    if kind == "cap":
        visor = make_visor(vertices.reshape(_ROWS, _COLUMNS, 3)[-1])
        triangles = np.concatenate([triangles, strip(3, 15) + len(vertices)])
        vertices = np.concatenate([vertices, visor])
        pattern = np.concatenate([pattern, visor * 0.2 + [0, 6, 0]])
    if kind == "headwrap":
        knot, corners = make_knot(vertices.reshape(_ROWS, _COLUMNS, 3))
        triangles = np.concatenate([triangles, corners + len(vertices)])
        vertices = np.concatenate([vertices, knot])
        pattern = np.concatenate([pattern, knot * [0.6, 0.2, 0.2] + [0, 6, 0]])
    dim = np.concatenate([dim, np.full(len(vertices) - len(dim), 0.8)])
    return Piece(
        part="cloth",
        vertices=vertices.astype(np.float32),
        place=pattern.astype(np.float32),
        triangles=triangles.astype(np.int32),
        lenses=np.zeros((0, 3), np.int32),
        cover=np.full(len(vertices), 9, np.float32),
        openness=dim.astype(np.float32),
        brim=7.55 if kind == "cap" else np.inf,
    )


def sheet(
    kind: str, laid: Grid, neutral: np.ndarray, head: Head
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One grid on a head: points, where the grain of its weave is taken from, ambient light."""
    moved = (neutral[laid.refs] * laid.shares[..., None]).sum(2)
    rest = (head.template[laid.refs] * laid.shares[..., None]).sum(2)
    start = laid.place + (neutral[head.nose_tip] - head.template[head.nose_tip]) * [0, 1, 0]
    start = start + (moved - rest).reshape(-1, 3).mean(0) * [1, 0, 1]
    away = neutral[laid.refs] - start[..., None, :]
    reach = (away * laid.out[..., None, :]).sum(-1).max(-1)
    # Cloth lies on what stands out, and does not follow hollows.
    wide = np.maximum(np.roll(reach, -1, 1), np.roll(reach, 1, 1))
    wide = np.maximum(reach, wide - 0.02)
    falls = not laid.out[..., 1].any()
    reach = smoothed(wide, 3, not falls)
    turn = np.arctan2(laid.out[..., 0], laid.out[..., 2])
    thick, pattern = folds(kind, laid, turn)
    dim = np.full(reach.shape, 0.8)
    if falls:
        reach = draped(reach, laid, turn)
        # Under the chin.
        height = laid.place[..., 1]
        dim -= 0.35 * np.clip((6.25 - height) / 0.15, 0, 1) * (np.cos(turn) > 0.3) * (height > 5.7)
    elif kind in DRAPED:
        thick += 0.01 * np.clip((7.45 - laid.place[..., 1] - laid.out[..., 1]) / 0.1, 0, 1)
    if kind not in DRAPED:  # the edge is tight
        tight = ((moved - start) * laid.out).sum(-1) + 0.025
        near = np.clip(1.2 - laid.inside / 0.2, 0, 1)
        reach, wide = reach + near * (tight - reach), wide + near * (tight - wide)
    if not falls:  # where smoothing took off too much
        over = smoothed(np.maximum(wide + 0.03 - reach - thick, 0), 1, True)
        thick = thick + np.maximum(over, wide + 0.02 - reach - thick)
    vertices = start + laid.out * (reach + thick)[..., None]
    if kind == "headwrap":  # wound higher at the back of the crown
        up = np.clip((laid.place[..., 1] + laid.out[..., 1] - 7.9) / 0.5, 0, 1)
        vertices += up[..., None] * [0, 0.10, -0.16]
    return vertices.reshape(-1, 3), pattern.reshape(-1, 3), dim.ravel()


def folds(kind: str, laid: Grid, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far cloth stands off at each point, and where the grain of its weave is taken from."""
    inside, out = laid.inside, laid.out
    hem = np.clip(inside / 0.03, 0, 1)
    height = laid.place[..., 1] + out[..., 1]
    weave = (laid.place + out) * 2.0 + [0, 4, 0]
    if kind == "beanie":
        rolled = np.clip((0.30 - inside) / 0.05, 0, 1)  # the turned-up rim
        ribs = 0.010 * np.cos(30 * turn) * (0.4 + 0.6 * rolled)
        loose = 0.10 * np.clip((out[..., 1] - 0.75) / 0.25, 0, 1)
        thick = 0.075 + 0.055 * rolled + ribs + loose
        return thick * (0.55 + 0.45 * hem), np.stack([0.5 * turn, 0.1 * height, 0 * turn], -1)
    if kind == "cap":
        seams = -0.012 * np.exp(-((np.sin(3 * turn) / 0.06) ** 2))
        round_top = 0.10 * np.clip((out[..., 1] - 0.3) / 0.6, 0, 1)
        return (0.06 + seams + round_top) * (0.6 + 0.4 * hem), weave
    if kind == "turban":
        # Layers that cross over the forehead, each a little over the one below.
        fan = inside - 0.30 * np.abs(turn) * np.exp(-((turn / 1.4) ** 2))
        layer = (fan * 7.0) % 1.0
        thick = 0.15 + 0.12 * np.clip(inside / 0.5, 0, 1) + 0.055 * layer**0.6
        thick *= 0.15 + 0.85 * np.clip(inside / 0.20, 0, 1) ** 0.6
        return thick, np.stack([fan * 2.0, 0.3 * turn, 0 * turn], -1)
    if kind == "headwrap":
        band = inside + 0.16 * np.sin(turn + 0.6) + 0.05 * np.sin(3 * turn)
        ridge = np.abs(np.sin(band * 9.0)) ** 0.7
        thick = 0.10 + 0.14 * np.clip(inside / 0.45, 0, 1) + 0.045 * ridge
        thick *= 0.2 + 0.8 * np.clip(inside / 0.18, 0, 1) ** 0.6
        return thick, np.stack([band * 2.0, 0.3 * turn, 0 * turn], -1)
    # A cloth drawn around the face: folds run along its edge, and down from the chin.
    low = np.clip((6.5 - height) / 0.6, 0, 1)
    run = inside * 9 + 1.3 * np.sin(1.7 * height) + 0.6 * np.sin(3 * turn + height)
    around = 0.020 * np.sin(run) * np.clip(inside / 0.25, 0, 1)
    hang = 0.045 * np.sin(7 * turn + 2.0 * height) + 0.02 * np.sin(13 * turn - 3 * height)
    hem = 0.020 * np.exp(-(((inside - 0.035) / 0.03) ** 2)) * (1 - low)
    loose = 0.045 if kind == "hijab" else 0.075
    thick = 0.04 + loose * np.clip(inside / 0.3, 0, 1) + (1 - low) * around + low * hang + hem
    thick += 0.05 * np.clip((out[..., 1] - 0.75) / 0.25, 0, 1)
    ears = np.exp(-(((np.abs(turn) - 1.5) / 0.35) ** 2) - ((height - 7.15) / 0.3) ** 2)
    thick += 0.09 * ears * np.clip(inside / 0.2, 0, 1)
    return thick, np.stack([0.12 * run, 0.2 * height + 4, 0.4 * turn * low], -1)


def draped(reach: np.ndarray, laid: Grid, turn: np.ndarray) -> np.ndarray:
    """The reach of cloth that hangs from the jaw over neck and shoulders instead of lying there."""
    height = laid.place[..., 1]
    low = np.clip((6.75 - height) / 0.7, 0, 1)
    low = low * low * (3 - 2 * low)
    wide = 0.80 + 0.42 * np.clip((6.6 - height) / 1.2, 0, 1) ** 1.3
    deep = np.where(np.cos(turn) > 0, 0.93, 0.85) + 0.05 * np.clip((6.2 - height) / 0.8, 0, 1)
    hang = 1 / np.sqrt((np.sin(turn) / wide) ** 2 + (np.cos(turn) / deep) ** 2)
    return np.maximum(reach, hang) * low + reach * (1 - low)


def make_visor(edge: np.ndarray) -> np.ndarray:
    """The visor of a cap, three rows of 15 points, from its edge (C, 3)."""
    front = edge[_COLUMNS // 2 - 9 : _COLUMNS // 2 + 9]
    front = front[np.argsort(front[:, 0], kind="stable")]
    x = np.linspace(front[0, 0], front[-1, 0], 15)
    near = np.stack([np.interp(x, front[:, 0], front[:, k]) for k in range(3)], 1)
    share = (x / np.abs(x).max())[:, None]
    far = near + [0, -0.05, 0] + (1 - share**2) ** 0.6 * [0, -0.10, 0.62]
    far[:, 1] -= 0.06 * share[:, 0] ** 2
    return np.concatenate([near - [0, 0.0, 0.02], (near + far) / 2 + [0, 0.035, 0], far])


def make_knot(wrap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tied ends of a headwrap, a wound ball on the crown: points and triangles."""
    middle = wrap[_ROWS // 6 : _ROWS // 3].reshape(-1, 3).mean(0) + np.array([0.08, 0.06, 0.16])
    down, around = np.meshgrid(
        np.linspace(0, np.pi, 12), np.linspace(0, 2 * np.pi, 25), indexing="ij"
    )
    size = 0.30 * (1 + 0.14 * np.abs(np.sin(3 * around + 2.2 * down)) ** 0.7)
    unit = np.stack(
        [np.sin(down) * np.sin(around), np.cos(down), np.sin(down) * np.cos(around)], -1
    )
    return (middle + size[..., None] * unit * [1.15, 0.72, 0.9]).reshape(-1, 3), strip(12, 25)


def under(kind: str, place: np.ndarray) -> np.ndarray:
    """Which of the hair's canonical places (N, 3) lie under headwear."""
    if kind in DRAPED:
        return np.ones(len(place), bool)
    turn = np.arctan2(place[:, 0], place[:, 2] - MIDDLE[2])
    fringe = (np.abs(turn) < 0.95) & (place[:, 1] > 7.25)
    # Somewhat above the edge: below, `pressed` brings it under the cloth.
    return fringe | (place[:, 1] > lower_edge(kind, turn) + 0.12)


def pressed(kind: str, worn: Piece, hair: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Hair (V, 3), with canonical places, that comes out under a hat's edge, not around it."""
    if kind in DRAPED:
        return hair
    edge = worn.vertices[(_ROWS - 1) * _COLUMNS : _ROWS * _COLUMNS].astype(float)
    middle = edge[:-1].mean(0)
    wide = np.hypot(edge[:, 0] - middle[0], edge[:, 2] - middle[2])
    around = np.arctan2(edge[:, 0] - middle[0], edge[:, 2] - middle[2])
    order = np.argsort(around)
    x, z = hair[:, 0] - middle[0], hair[:, 2] - middle[2]
    turn, far = np.arctan2(x, z), np.hypot(x, z)
    below = np.clip(lower_edge(kind, turn) - place[:, 1], 0, 9)
    bound = np.interp(turn, around[order], wide[order], period=2 * np.pi) - 0.03 + 0.9 * below
    share = np.minimum(1, bound / np.maximum(far, 1e-6))
    out = hair.copy()
    out[:, 0], out[:, 2] = middle[0] + x * share, middle[2] + z * share
    return out
