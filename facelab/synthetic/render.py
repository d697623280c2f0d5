"""Photograph a subject: its mesh and colours, made once, and one photo's light and lens.

In: a `Subject` and a `Capture`. Out: uint8 RGB, aligned to the ArcFace template by the five
projected landmarks, before JPEG.
"""

from collections import namedtuple
from dataclasses import dataclass
from functools import cache

import numpy as np

from facelab.faces import TEMPLATE
from facelab.synthetic.camera import develop
from facelab.synthetic.capture import Capture
from facelab.synthetic.hair import grow_hair, hair_margin
from facelab.synthetic.head import PARTS, Head
from facelab.synthetic.kernel import noise_at, photograph
from facelab.synthetic.mesh import (
    add_targets,
    light_reaching,
    pose,
    project,
    vertex_normals,
)
from facelab.synthetic.population import BLOOD, Subject, melanin_slope, neutral_shape

Mesh = namedtuple(
    "Mesh",
    "neutral triangles part closed place cover fields shadow sway setback landmarks eyes",
)
Look = namedtuple(
    "Look",
    "skin melanin blood hair brow_colour iris brow marks noise curl lip_red lip_dark freckles "
    "wrinkles gloss blotches beard_tone",
)
Shot = namedtuple(
    "Shot",
    "rotation distance light key sky ground gain gaze lipstick lipstick_amount shirt background "
    "shift zoom tilt blur noise",
)


@cache
def tables() -> tuple[np.ndarray, np.ndarray]:
    """The noise lattice (32, 32, 32), 0..1, and the sRGB curve at 4,096 steps; the same for all."""
    lattice = np.random.Generator(np.random.Philox(20240229)).random((32, 32, 32), np.float32)
    linear = np.linspace(0, 1, 4097)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return lattice, (255 * srgb).astype(np.float32)


@dataclass(frozen=True)
class Model:
    """A subject ready to be photographed."""

    subject: Subject
    mesh: Mesh
    look: Look


def build_model(subject: Subject, head: Head) -> Model:
    """Everything that is the same in all photos of a subject."""
    neutral = neutral_shape(subject, head)
    extra, extra_place, extra_triangles, extra_cover, over = grow_hair(subject, neutral, head)
    bare, count = len(neutral), len(neutral) + len(extra)
    place = np.concatenate([head.template, extra_place]).astype(np.float32)

    cover = np.full(count, 9.0, np.float32)
    lash = np.unique(head.triangles[head.part == PARTS["lash"]])
    cover[lash] = subject.lashes
    cover[bare:] = extra_cover
    setback = np.zeros(count, np.float32)
    for part, amount in (("teeth", 0.07), ("mouth", 0.03), ("eye", 0.004)):
        setback[np.unique(head.triangles[head.part == PARTS[part]])] += np.float32(amount)
    margin = hair_margin(subject, head.template)
    x, y, z = np.abs(head.template[:, 0]), head.template[:, 1], head.template[:, 2]
    ear = (x > 0.72) & (y < 7.4) & (z > 0.2)
    density = 0.85 if subject.hair_volume > 0 else 0.45
    paint = np.where(ear, 0, density * np.clip(0.45 + margin / 0.16, 0, 1))
    # The head turns on the neck; shoulders stay.
    sway = np.clip((place[:, 1] - 5.6) / 0.75, 0, 1)
    sway = (sway * sway * (3 - 2 * sway)).astype(np.float32)
    melanin, blood = skin_fields(subject, head)
    fields = np.stack(
        [head.openness, head.lips, paint, beard_field(subject, head), melanin, blood], 1
    ).astype(np.float32)
    mesh = Mesh(
        neutral=np.concatenate([neutral, extra]).astype(np.float32),
        triangles=np.concatenate([head.triangles, extra_triangles + bare]).astype(np.int32),
        part=np.concatenate([head.part, np.full(len(extra_triangles), PARTS["hair"], np.uint8)]),
        closed=int(np.searchsorted(head.part, PARTS["lash"])),
        place=place,
        cover=cover,
        fields=np.concatenate([fields, fields[over]]),
        shadow=np.concatenate([head.shadow, head.shadow[over]]),
        sway=sway,
        setback=setback,
        landmarks=np.array([head.nose_tip, head.mouth_right, head.mouth_left], np.int32),
        eyes=np.stack([head.eye_right, head.eye_left]).astype(np.int32),
    )
    look = Look(
        skin=subject.skin,
        melanin=melanin_slope(subject.melanin),
        blood=BLOOD,
        hair=subject.hair_colour,
        brow_colour=subject.brow_colour,
        iris=subject.iris,
        brow=subject.brow,
        marks=subject.marks.astype(np.float64),
        noise=subject.noise,
        curl=subject.hair_curl,
        lip_red=subject.lip_red,
        lip_dark=subject.lip_dark,
        freckles=subject.freckles,
        wrinkles=subject.wrinkles,
        gloss=subject.gloss,
        blotches=subject.blotches,
        beard_tone=float(subject.beard[4]),
    )
    return Model(subject, mesh, look)


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def skin_fields(subject: Subject, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """More or less melanin and blood than the subject's mean, at each vertex of the head."""
    x, y, z = np.abs(head.template[:, 0]), head.template[:, 1], head.template[:, 2]

    def spot(x0: float, y0: float, width: float, height: float) -> np.ndarray:
        return np.exp(-(((x - x0) / width) ** 2) - ((y - y0) / height) ** 2)

    lattice, _ = tables()
    broad = noise_at(lattice, head.template * 3.5 + subject.noise)
    under = spot(0.30, 7.14, 0.17, 0.06) * ramp(z, 1.1, 1.3)
    melanin = 1.2 * subject.blotches * (broad - 0.5) + (0.02 + 0.05 * subject.wrinkles) * under
    # Cheeks, nose and ears carry more blood; the skin under the eyes is thin.
    blood = 0.20 * (broad - 0.5) + 0.15 * under
    blood += 0.30 * spot(0.42, 6.95, 0.17, 0.17) * ramp(z, 0.9, 1.1)
    blood += 0.25 * spot(0.0, 6.90, 0.12, 0.11) * ramp(z, 1.4, 1.5)
    blood += 0.30 * ramp(x, 0.78, 0.86) * ramp(y, 6.7, 6.8) * ramp(-y, -7.5, -7.3)
    return melanin, blood


def beard_field(subject: Subject, head: Head) -> np.ndarray:
    """How dense the beard is at each vertex of the head, 0..1."""
    x, y, z = np.abs(head.template[:, 0]), head.template[:, 1], head.template[:, 2]

    ahead = ramp(z, 0.35, 0.6)
    upper = 6.60 + 0.75 * np.clip(x - 0.28, 0, 1) + 0.04 * (subject.beard[4] - 0.5)
    jaw = ramp(upper - y, -0.06, 0.10) * ramp(y, 5.98, 6.18) * ahead
    sides = jaw * ramp(x, 0.16, 0.30)
    chin = jaw * (1 - ramp(x, 0.2, 0.32)) * ramp(6.58 - y, 0.0, 0.06)
    moustache = ramp(y, 6.64, 6.69) * ramp(6.86 - y, 0, 0.05) * (1 - ramp(x, 0.22, 0.34))
    moustache = moustache * ramp(z, 1.2, 1.3)
    cheeks, lip, point, stubble, _ = subject.beard
    area = np.maximum(np.maximum(sides, chin), moustache)
    field = np.maximum(np.maximum(cheeks * sides, point * chin), lip * moustache)
    field = np.maximum(field, 0.5 * stubble * area)
    return field * (1 - np.clip(head.lips * 2.5 - 0.3, 0, 1))


def take_shot(model: Model, capture: Capture) -> Shot:
    """The capture's numbers in the form that the kernel wants."""
    yaw, pitch, roll = np.radians([-capture.yaw, -capture.pitch, -capture.roll])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    lean = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    azimuth, elevation = np.radians([capture.light_azimuth, capture.light_elevation])
    light = np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )

    def tint(warmth: float) -> np.ndarray:
        return np.array([1 + warmth, 1.0, 1 - 1.3 * warmth])

    key = capture.light_strength * tint(capture.light_warmth)
    sky = capture.ambient * tint(capture.ambient_warmth)
    ground = 0.55 * sky * (0.6 + 0.6 * capture.shirt)
    brightness = float(model.look.skin @ [0.2126, 0.7152, 0.0722])
    metered = (0.35 / brightness) ** capture.metering
    habit = model.subject.lipstick
    return Shot(
        rotation=lean @ nod @ turn,
        distance=capture.distance,
        light=light,
        key=key,
        sky=sky,
        ground=ground,
        gain=0.95 * metered * 2**capture.exposure,
        gaze=np.array(capture.gaze),
        lipstick=np.array([0.30 + 0.3 * habit[0], 0.03 + 0.12 * habit[1], 0.05 + 0.1 * habit[1]]),
        lipstick_amount=0.75 if capture.makeup < habit[2] * 0.9 - 0.2 else 0.0,
        shirt=capture.shirt,
        background=capture.background,
        shift=np.array(capture.shift),
        zoom=capture.zoom,
        tilt=np.radians(capture.tilt),
        blur=capture.blur,
        noise=capture.noise,
    )


def render(
    model: Model, capture: Capture, head: Head, size: int, random: np.random.Generator
) -> np.ndarray:
    """One aligned photo, uint8 (size, size, 3), before JPEG."""
    numbers = [head.actions[name] for name, weight in capture.actions.items() if weight > 0]
    weights = [weight for weight in capture.actions.values() if weight > 0]
    lattice, curve = tables()
    mesh, shot = model.mesh, take_shot(model, capture)
    vertices = mesh.neutral.copy()
    add_targets(
        vertices,
        np.array(numbers, np.int64),
        np.array(weights, np.float32),
        head.starts,
        head.indices,
        head.offsets,
    )
    pose(vertices, mesh.sway, shot.rotation)
    screen = project(mesh, shot, vertices, TEMPLATE * (size / 112))
    normals = vertex_normals(vertices, mesh.triangles)
    reach = light_reaching(mesh.shadow, shot.rotation, shot.light)
    light = photograph(mesh, model.look, shot, vertices, normals, screen, reach, lattice, size)
    grain = random.integers(0, 2**32, (size, size, 3), np.uint32)
    return develop(light, shot.blur, shot.gain, shot.noise, curve, grain)
