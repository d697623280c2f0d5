"""Photograph a subject: its mesh and skin, made once, and one photo's pose, light and lens.

In: a `Subject` and a `Capture`. Out: uint8 RGB before JPEG, aligned to the ArcFace template by the
five projected landmarks, or a whole frame with the head in its middle half.
"""

from collections import namedtuple
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from facelab.faces.template import TEMPLATE
from facelab.synthetic.backdrop import draw_backdrop
from facelab.synthetic.camera import develop
from facelab.synthetic.capture import Capture
from facelab.synthetic.dressing import Dressed, dress
from facelab.synthetic.hair import Hair, grow_hair
from facelab.synthetic.head import Head
from facelab.synthetic.kernel import (
    OPENNESS,
    REACH,
    photograph,
    through_lenses,
)
from facelab.synthetic.mesh import (
    add_targets,
    fit,
    hollows,
    landmarks,
    light_reaching,
    place_on_screen,
    pose,
    project,
    vertex_normals,
    write_normals,
)
from facelab.synthetic.paint import beard_field, grow_on_skin, lattice, paint_skin
from facelab.synthetic.parameters import BACKGROUNDS
from facelab.synthetic.subjects import Subject, neutral_shape
from facelab.synthetic.visibility import rasterise

PIXELS_A_DM = 57.0  # of an aligned 112 px crop, for the mean head
PIXELS_A_DM_WHOLE = 24.6  # of a whole frame of 112 px
# Light that a fold of the skin keeps out where the surface bends by FOLDED or more, 1/dm.
FOLD, FOLDED = 0.7, 12.0
# What parts the lips, so that light falls on the teeth.
PARTING = ("jawOpen", "mouthUpperUpLeft", "mouthLowerDownLeft", "mouthStretchLeft")
# Of the tone curve: with it, faces have about the contrast that photos on LFW have.
CONTRAST = 2.0
Look = namedtuple("Look", "hair iris white noise curl")
Shot = namedtuple(
    "Shot",
    "light half light_size key fill_from fill sky ground gaze turn lipstick lipstick_amount "
    "eye_shadow parted shirt glasses_colour headwear_colour brim",
)


@cache
def tone_curve() -> np.ndarray:
    """What the camera makes of 4,096 steps of linear light: sRGB, 0..255, bent like an S.

    Cameras give their pictures more contrast than the scene has, and less in highlights and shade.
    """
    linear = np.linspace(0, 1, 4097)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    bent = np.tanh(CONTRAST * (srgb - 0.5)) / np.tanh(CONTRAST / 2)
    return (127.5 + 127.5 * bent).astype(np.float32)


@dataclass(frozen=True)
class Body:
    """What no look changes: the neutral head (V, 3) of a subject, its normals and hollows, and its
    bare skin by size.
    """

    neutral: np.ndarray
    normals: np.ndarray
    hollows: np.ndarray
    skins: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A subject with one look, ready to be photographed.

    `beard` is its density (V,), `hollows` are those of the face at rest; `skins` and `wardrobe`
    fill as sizes, glasses and hats are asked for.
    """

    subject: Subject
    head: Head
    body: Body
    neutral: np.ndarray
    hair: Hair
    beard: np.ndarray
    hollows: np.ndarray
    skins: dict[int, np.ndarray] = field(default_factory=dict)
    wardrobe: dict[tuple[str, str], Dressed] = field(default_factory=dict)

    def skin(self, size: int) -> np.ndarray:
        """The skin map for crops of `size` px."""
        if size not in self.skins:
            bare = self.body.skins
            if size not in bare:
                bare[size] = paint_skin(self.subject, self.head, size)
            self.skins[size] = grow_on_skin(bare[size], self.subject, self.beard, size)
        return self.skins[size]

    def dressed(self, glasses: str, headwear: str) -> Dressed:
        """The mesh with these glasses and this headwear."""
        worn = glasses, headwear
        if worn not in self.wardrobe:
            self.wardrobe[worn] = dress(
                self.neutral, self.hair, self.subject.lashes, glasses, headwear, self.head
            )
        return self.wardrobe[worn]


def build_body(subject: Subject, head: Head) -> Body:
    """What all looks of a subject have in common."""
    neutral = neutral_shape(subject, head).astype(np.float32)
    normals = vertex_normals(neutral, head.triangles)
    return Body(neutral, normals, hollows(neutral, head.triangles, normals))


def build_model(subject: Subject, head: Head, body: Body | None = None) -> Model:
    """Everything that is the same in all photos of a subject's look."""
    body = body or build_body(subject, head)
    neutral, at_rest = body.neutral, body.hollows
    beard = beard_field(subject, head)
    volume = np.clip(beard - 0.45, 0, None)
    if volume.any():  # of a full beard
        neutral = (neutral + 0.12 * volume[:, None] * body.normals).astype(np.float32)
        at_rest = hollows(neutral, head.triangles, vertex_normals(neutral, head.triangles))
    hair = grow_hair(subject, body.neutral, body.normals, head)
    return Model(subject, head, body, neutral, hair, beard, at_rest)


def direction(azimuth: float, elevation: float) -> np.ndarray:
    """Unit vector towards a light, degrees; 0, 0 is where the camera stands."""
    a, e = np.radians([azimuth, elevation])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])


def rotation(capture: Capture) -> np.ndarray:
    """The head's turn, (3, 3)."""
    yaw, pitch, roll = np.radians([-capture.yaw, -capture.pitch, -capture.roll])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    lean = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return lean @ nod @ turn


def tint(warmth: float) -> np.ndarray:
    """RGB of a light of unit brightness; above 0 is warmer."""
    return np.array([1 + warmth, 1.0, 1 - 1.3 * warmth])


def take_shot(subject: Subject, capture: Capture, brim: float) -> Shot:
    """The capture's light and colours in the form that the kernel wants."""
    light = direction(capture.light_azimuth, capture.light_elevation)
    half = light + np.array([0, 0, 1])
    sky = capture.ambient * tint(capture.ambient_warmth)
    habit = subject.lipstick
    return Shot(
        light=triple(light),
        half=triple(half / max(1e-6, np.linalg.norm(half))),
        light_size=float(capture.light_size),
        key=triple(capture.light_strength * tint(capture.light_warmth)),
        fill_from=triple(direction(capture.fill_azimuth, 10.0)),
        fill=triple(capture.fill_strength * tint(capture.fill_warmth)),
        sky=triple(sky),
        ground=triple(0.55 * sky * (0.6 + 0.6 * capture.shirt)),
        gaze=(float(capture.gaze[0]), float(capture.gaze[1])),
        turn=tuple(rotation(capture).ravel().tolist()),
        # What the layer lets through: rose to brick, and more or less of it.
        lipstick=(
            0.95 - 0.25 * habit[1],
            0.62 - 0.30 * habit[1],
            0.58 + 0.2 * habit[0] - 0.2 * habit[1],
        ),
        lipstick_amount=0.8 if capture.makeup < habit[2] * 0.9 - 0.2 else 0.0,
        eye_shadow=subject.eye_makeup * (capture.makeup < habit[2]),
        parted=min(1.0, 0.2 + 3 * sum(capture.actions.get(name, 0.0) for name in PARTING)),
        shirt=triple(capture.shirt),
        glasses_colour=triple(capture.glasses_colour),
        headwear_colour=triple(capture.headwear_colour),
        brim=float(brim),
    )


def triple(values: np.ndarray) -> tuple[float, float, float]:
    """Three numbers as a tuple: arrays in the kernel's tuples would be counted at every pixel."""
    first, second, third = np.asarray(values, float).tolist()
    return first, second, third


def exposed(subject: Subject, capture: Capture) -> float:
    """What the camera multiplies light by.

    The meter makes up for a darker or lighter face by the share `metering`; what it leaves is how
    real cameras under-expose darker skin.
    """
    brightness = float(subject.skin @ [0.2126, 0.7152, 0.0722])
    return 0.95 * (0.35 / brightness) ** capture.metering * 2**capture.exposure


def aim(found: np.ndarray, capture: Capture, size: int, frame: str) -> tuple:
    """The similarity (a, b, x, y) that brings the projected face to its place in the picture."""
    scale = size / 112
    if frame == "aligned":
        target = TEMPLATE * scale
        a, b, x, y = fit(found, target)
        pivot = target.mean(0)
    else:
        # The head fills the middle half, the middle of the features a little below its centre.
        a, b = PIXELS_A_DM_WHOLE * scale, 0.0
        pivot = np.array([0.5, 0.57]) * size
        x, y = pivot - a * found.mean(0)
    turn = np.radians(capture.tilt) if frame == "aligned" else 0.0
    c, s = np.cos(turn) * capture.zoom, np.sin(turn) * capture.zoom
    x, y = x - pivot[0], y - pivot[1]
    a, b, x, y = a * c - b * s, a * s + b * c, x * c - y * s, x * s + y * c
    shift_x, shift_y = np.asarray(capture.shift) * scale
    return a, b, x + pivot[0] + shift_x, y + pivot[1] + shift_y


def posed(worn: Dressed, capture: Capture, head: Head) -> np.ndarray:
    """The vertices (V, 3) with the capture's expression and the head turned, in dm."""
    acting = [(head.actions[name], weight) for name, weight in capture.actions.items() if weight]
    vertices = worn.neutral.copy()
    add_targets(
        vertices,
        np.array([number for number, _ in acting], np.int64),
        np.array([weight for _, weight in acting], np.float32),
        head.starts,
        head.indices,
        head.offsets,
    )
    pose(vertices, worn.sway, rotation(capture))
    return vertices


def on_screen(
    worn: Dressed, vertices: np.ndarray, capture: Capture, head: Head, size: int, frame: str
) -> np.ndarray:
    """Where posed vertices come to lie, float32 (V, 3), on the grid of 2 x 2 samples a pixel."""
    screen = project(vertices, capture.distance)
    points = np.array([head.nose_tip, head.mouth_right, head.mouth_left])
    found = landmarks(screen, np.stack([head.eye_right, head.eye_left]), points)
    a, b, x, y = (2 * number for number in aim(found, capture, size, frame))
    place_on_screen(screen, a, b, x, y, worn.setback)
    return screen


def fold(model: Model, vertices: np.ndarray, table: np.ndarray) -> None:
    """Darken, in the vertex table, what the expression has made more hollow than it is at rest."""
    bare = len(model.hollows)
    bent = hollows(vertices[:bare], model.head.triangles, table[:bare, :3]) - model.hollows
    kept = 1 - FOLD * np.clip(bent / np.float32(FOLDED), 0, 1)
    table[:bare, OPENNESS] *= kept
    table[:bare, REACH] *= kept


def render(
    model: Model,
    capture: Capture,
    head: Head,
    size: int,
    random: np.random.Generator,
    frame: str = "aligned",
) -> np.ndarray:
    """One photo, uint8 (size, size, 3), before JPEG; `random` gives the sensor's noise."""
    worn, subject = model.dressed(capture.glasses, capture.headwear), model.subject
    shot = take_shot(subject, capture, worn.brim)
    vertices = posed(worn, capture, head)
    screen = on_screen(worn, vertices, capture, head, size, frame)
    table = worn.table.copy()
    write_normals(vertices, worn.triangles, table)
    first = 0
    for shadow in worn.shadow:
        reached = table[first : first + len(shadow), REACH]
        light_reaching(shadow, shot.turn, shot.light, capture.light_size, reached)
        first += len(shadow)
    fold(model, vertices, table)
    depth, nearest, veil = rasterise(
        screen,
        worn.triangles,
        2 * size,
        worn.closed,
        worn.solid,
        worn.cover,
        worn.place,
        worn.card,
        model.hair.texture,
        lattice(),
    )
    backdrop = draw_backdrop(
        BACKGROUNDS.index(capture.background),
        np.asarray(capture.background_colours, float),
        np.asarray(capture.background_place, float),
        max(12, size // 4),  # out of focus
        lattice(),
    )
    look = Look(
        triple(subject.hair_colour),
        triple(subject.iris),
        1 - 0.3 * subject.melanin,  # where skin is dark, the whites are darker, too
        triple(subject.noise),
        float(subject.hair_curl),
    )
    light = photograph(
        worn.triangles,
        worn.part,
        model.skin(size),
        look,
        shot,
        table,
        screen,
        depth,
        nearest,
        veil,
        backdrop,
        lattice(),
    )
    if len(worn.lenses):
        dark = capture.glasses == "sun"
        passed = np.full(3, 0.12 if dark else 0.96)
        mirrored = np.array(shot.sky) * (0.03 if dark else 0.006)
        through_lenses(light, screen, worn.lenses, depth, passed, mirrored)
    # Blur is given in pixels of an aligned crop; in a whole frame the face is smaller.
    share = 1.0 if frame == "aligned" else PIXELS_A_DM_WHOLE / PIXELS_A_DM
    grain = random.integers(0, 2**64, (size, size), np.uint64)
    return develop(
        light,
        capture.focus_blur * share,
        capture.motion_blur * share,
        np.radians(capture.motion_angle),
        exposed(subject, capture),
        capture.noise,
        tone_curve(),
        grain,
    )
