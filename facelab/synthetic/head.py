"""The baked head as arrays: template, triangles by part, shape targets, lips and light masks.

In: `head.npz`, written by `facelab.synthetic.baking.head`. Out: `load_head()`, read once a process.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facelab.synthetic.noise import spot

HEAD_FILE = Path(__file__).with_name("head.npz")
PARTS = {
    "skin": 0,
    "mouth": 1,
    "eye": 2,
    "teeth": 3,
    "lash": 4,
    "hair": 5,
    "frame": 6,
    "cloth": 7,
}


@dataclass(frozen=True, eq=False)
class Head:
    """The baked mesh. Lengths are decimetres; x to the subject's left, y up, z forward.

    Attributes
    ----------
    template : float32 (V, 3)
        The mesh before any change: also the canonical coordinates that everything is painted in.
    triangles : int32 (T, 3), part : uint8 (T,)
        Triangles (counter-clockwise from outside) and what each is, by ``PARTS``.
    names : list of str
        Target names: macros, then local changes, then facial actions.
    numbers : dict of str to int
        The number of each target.
    starts, indices, offsets
        Targets as compressed rows; offsets in decimetres.
    changes : list of (name, negative target, positive target or -1)
        Local changes; a coefficient below 0 applies the first target, above 0 the second.
    actions : dict of str to int
        ARKit facial action names and their target numbers.
    shadow : float32 (V, 16)
        Spherical harmonics of the visible sky, in the head's frame.
    openness, lips : float32 (V,)
        Ambient light that arrives, 0..1; lip mask, 0..1.
    eye_left, eye_right : int32 arrays; nose_tip, mouth_left, mouth_right : int
        Vertices that the five landmarks are taken from.
    lip_seam, upper_teeth, biting_edge : int32 arrays
        Where the lips meet in the middle; what hangs behind it, and its lower end in front.
    """

    template: np.ndarray
    triangles: np.ndarray
    part: np.ndarray
    names: list[str]
    numbers: dict[str, int]
    starts: np.ndarray
    indices: np.ndarray
    offsets: np.ndarray
    changes: list[tuple[str, int, int]]
    actions: dict[str, int]
    shadow: np.ndarray
    openness: np.ndarray
    lips: np.ndarray
    eye_left: np.ndarray
    eye_right: np.ndarray
    nose_tip: int
    mouth_left: int
    mouth_right: int
    lip_seam: np.ndarray
    upper_teeth: np.ndarray
    biting_edge: np.ndarray


@cache
def load_head() -> Head:
    """The baked head that facelab ships."""
    with np.load(HEAD_FILE) as file:
        stored = {name: file[name] for name in file.files}
    template, part = stored["template"], stored["triangle_part"]
    triangles = stored["triangles"].astype(np.int32)
    names = [str(name) for name in stored["names"]]
    macros, local_end = int(stored["macros"]), int(stored["local_end"])
    changes = []
    for number in range(macros, local_end):
        name, end = names[number].split(":")
        if end == "-":
            both = names[number + 1] == f"{name}:+"
            changes.append((name, number, number + 1 if both else -1))

    teeth = np.unique(triangles[part == PARTS["teeth"]])
    jaw = names.index("jawOpen")
    with_jaw = stored["indices"][stored["starts"][jaw] : stored["starts"][jaw + 1]]
    upper = np.setdiff1d(teeth, with_jaw)
    eyes = np.unique(triangles[part == PARTS["eye"]])
    skin = np.unique(triangles[part == PARTS["skin"]])

    def nearest(x: float, y: float) -> int:
        front = skin[template[skin, 2] > 1.0]
        gap = (template[front, 0] - x) ** 2 + (template[front, 1] - y) ** 2
        return int(front[np.argmin(gap - 1e-4 * template[front, 2])])

    # Where they would open, the mesh has a dent: hardly any light comes back from there. Its orbits
    # are shallower than real ones, and its nose has hardly an underside.
    closed = (1 - 0.9 * nostrils(template)) * (1 - 0.5 * deep_set(template))

    return Head(
        template=template,
        triangles=triangles,
        part=part,
        names=names,
        numbers={name: number for number, name in enumerate(names)},
        starts=stored["starts"],
        indices=stored["indices"].astype(np.int32),
        offsets=stored["offsets"].astype(np.float32) * stored["step"],
        changes=changes,
        actions={name: number for number, name in enumerate(names) if number >= local_end},
        shadow=stored["shadow"].astype(np.float32) * np.float32(4 / 127) * closed[:, None],
        openness=stored["openness"].astype(np.float32) / np.float32(255) * closed,
        lips=stored["lips"].astype(np.float32) / np.float32(255),
        eye_left=eyes[template[eyes, 0] > 0],
        eye_right=eyes[template[eyes, 0] < 0],
        nose_tip=nearest(0.0, 6.97),
        mouth_left=nearest(0.25, 6.615),
        mouth_right=nearest(-0.25, 6.615),
        lip_seam=skin[np.abs(template[skin] - [0, 6.612, 1.52]).max(1) < 0.02],
        upper_teeth=upper,
        biting_edge=upper[(abs(template[upper, 0]) < 0.15) & (template[upper, 1] < 6.64)],
    )


def deep_set(template: np.ndarray) -> np.ndarray:
    """How far each vertex (V, 3) lies in an orbit or under the nose, float32 (V,): 0 .. 1."""
    x, y, z = np.abs(template[:, 0]), template[:, 1], template[:, 2]
    inner, outer = spot(x, y, (0.16, 7.37), (0.08, 0.07)), spot(x, y, (0.33, 7.37), (0.16, 0.045))
    orbit = np.maximum(inner, 0.6 * outer) * (z > 1.0)
    under = spot(x, y, (0.0, 6.865), (0.10, 0.035)) * (z > 1.5)
    return np.maximum(orbit, under).astype(np.float32)


def nostrils(template: np.ndarray) -> np.ndarray:
    """How far each vertex (V, 3) lies within a nostril, float32 (V,): 0 outside .. 1 inside."""
    x, y, z = np.abs(template[:, 0]), template[:, 1], template[:, 2]
    along = (z - 1.568) / 0.040
    across = (x - 0.099 + 0.45 * (z - 1.568)) / 0.029
    near = (y > 6.855) & (y < 6.885) & (z > 1.5)
    return (near * np.clip((1.3 - np.hypot(across, along)) / 0.6, 0, 1)).astype(np.float32)
