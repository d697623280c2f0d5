"""How a photo is taken: pose, expression, light, camera, accessories, background.

In: a random stream and the population's distributions. Out: a `Capture`. Nothing here knows the
subject; the group matters only where the population says so. `build_capture` makes the capture of
its values without any randomness: a twin is taken with the same values but one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from facelab.synthetic.head import Head
from facelab.synthetic.normal import normal_score
from facelab.synthetic.parameters import CAPTURE, OWN_GLASSES
from facelab.synthetic.population import Population, capture_plan, default_population
from facelab.synthetic.subjects import quantiles

# Expressions as facial actions (ARKit names) at strength 1; both sides act unless one is named.
# The seven basic ones (Ekman) as their usual action units; "random" is made of a few actions.
ACTIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happiness": {"mouthSmile": 0.95, "cheekSquint": 0.7, "eyeSquint": 0.4},
    "sadness": {"browInnerUp": 0.7, "mouthFrown": 0.6, "mouthShrugLower": 0.3},
    "anger": {"browDown": 0.8, "noseSneer": 0.35, "mouthPress": 0.5, "eyeSquint": 0.3},
    "fear": {"browInnerUp": 0.8, "eyeWide": 0.7, "mouthStretch": 0.5, "jawOpen": 0.15},
    "disgust": {"noseSneer": 0.8, "mouthUpperUp": 0.5, "browDown": 0.4, "eyeSquint": 0.3},
    "surprise": {"jawOpen": 0.35, "browInnerUp": 0.8, "browOuterUp": 0.7, "eyeWide": 0.6},
    "contempt": {"mouthSmileLeft": 0.5, "mouthDimpleLeft": 0.7, "mouthPressLeft": 0.3},
}
# What a random expression may be made of, and how far each goes.
LOOSE_ACTIONS: dict[str, float] = {
    "jawOpen": 0.4,
    "jawForward": 0.5,
    "jawLeft": 0.4,
    "jawRight": 0.4,
    "mouthSmileLeft": 0.7,
    "mouthSmileRight": 0.7,
    "mouthFrown": 0.6,
    "mouthFunnel": 0.5,
    "mouthPucker": 0.7,
    "mouthLeft": 0.5,
    "mouthRight": 0.5,
    "mouthPress": 0.6,
    "mouthRollLower": 0.5,
    "mouthRollUpper": 0.5,
    "mouthStretch": 0.5,
    "mouthUpperUp": 0.5,
    "mouthLowerDown": 0.5,
    "mouthDimple": 0.6,
    "cheekPuff": 0.5,
    "cheekSquint": 0.6,
    "noseSneer": 0.5,
    "eyeSquint": 0.5,
    "eyeWide": 0.5,
    "browInnerUp": 0.7,
    "browOuterUpLeft": 0.7,
    "browOuterUpRight": 0.7,
    "browDown": 0.7,
}
# Small movements that every photo has, whatever the expression: sd of |normal| at restless 1.
RESTLESS = {
    "jawOpen": 0.03,
    "jawLeft": 0.04,
    "jawRight": 0.04,
    "mouthLeft": 0.04,
    "mouthRight": 0.04,
    "mouthSmileLeft": 0.08,
    "mouthSmileRight": 0.08,
    "browInnerUp": 0.06,
    "browOuterUpLeft": 0.06,
    "browOuterUpRight": 0.06,
    "mouthPressLeft": 0.05,
    "mouthPressRight": 0.05,
    "eyeSquintLeft": 0.05,
    "eyeSquintRight": 0.05,
}
# What parts the lips in happiness at `teeth` 1.
PARTED_LIPS = {"mouthUpperUp": 0.9, "mouthLowerDown": 0.75, "jawOpen": 0.05, "mouthStretch": 0.3}
# How far eyes turn to the right and up, at least and at most, as a share of the eyeball's radius.
GAZE_REACH = np.array([[-0.45, -0.3], [0.45, 0.3]])
_MOST_ACTIONS = 6
_CLOSED = 0.95  # eyeBlink in a blink


@dataclass(frozen=True)
class Capture:
    """One photo's conditions.

    Numbers mean what `population.yaml` says of the parameters they come from. Attributes that are
    made of several:

    Attributes
    ----------
    actions : dict of str to float
        Every facial action with its strength, restless ones and lids included.
    gaze : (float, float)
        Where the eyes look in the head's frame, right and up, as a share of the eyeball's radius.
    shift : (float, float)
        Alignment jitter in pixels of a 112 px crop, right and down.
    shirt, glasses_colour, headwear_colour : float64 (3,)
        Linear RGB.
    background_colours : float64 (2, 3)
        Linear RGB of the background's two tones.
    background_place : float64 (6,)
        0..1: where in its pattern the background is taken from.
    """

    yaw: float
    pitch: float
    roll: float
    distance: float
    light_azimuth: float
    light_elevation: float
    light_strength: float
    light_warmth: float
    light_size: float
    fill_azimuth: float
    fill_strength: float
    fill_warmth: float
    ambient: float
    ambient_warmth: float
    metering: float
    exposure: float
    expression: str
    expression_strength: float
    actions: dict[str, float]
    gaze: tuple[float, float]
    makeup: float
    glasses: str
    glasses_colour: np.ndarray
    headwear: str
    headwear_colour: np.ndarray
    shirt: np.ndarray
    background: str
    background_colours: np.ndarray
    background_place: np.ndarray
    focus_blur: float
    motion_blur: float
    motion_angle: float
    noise: float
    jpeg_quality: int
    shift: tuple[float, float]
    zoom: float
    tilt: float


# Parameters that are an attribute of their own.
_PLAIN = [
    name for name in CAPTURE if name in Capture.__dataclass_fields__ and name != "jpeg_quality"
]


def capture_values(
    random: np.random.Generator, group: str, population: Population | None = None
) -> dict[str, Any]:
    """The value of every parameter of `parameters.CAPTURE` for one photo, and the small draws."""
    population = population or default_population()
    count = len(CAPTURE)
    u = quantiles(random, count + len(RESTLESS) + 2 * _MOST_ACTIONS + 6)
    values = dict(zip(CAPTURE, capture_plan(population, group).values(u[:count]), strict=True))
    values["jpeg_quality"] = int(values["jpeg_quality"])
    values["random_actions"] = int(values["random_actions"])
    own = np.split(u[count:], np.cumsum([len(RESTLESS), _MOST_ACTIONS, _MOST_ACTIONS]))
    values["restless_quantiles"], values["action_choices"] = own[:2]
    values["action_amounts"], values["background_place"] = own[2:]
    return values


def with_own_glasses(capture: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The capture's values, with the subject's own glasses where it says so."""
    if capture["glasses"] != "own":
        return capture
    if values["own_glasses"] == "none":
        return capture | {"glasses": "none"}
    return capture | {name.removeprefix("own_"): values[name] for name in OWN_GLASSES}


def build_capture(values: dict[str, Any], head: Head) -> Capture:
    """The capture with these values."""
    v = values
    return Capture(
        **{name: v[name] for name in _PLAIN},
        actions=facial_actions(v, head),
        gaze=gaze(v),
        glasses_colour=_colour(v, "glasses"),
        headwear_colour=_colour(v, "headwear"),
        shirt=_colour(v, "shirt"),
        background_colours=np.stack([_colour(v, "background"), _colour(v, "background", "_2")]),
        background_place=v["background_place"],
        jpeg_quality=int(v["jpeg_quality"]),
        shift=(v["shift_x"], v["shift_y"]),
    )


def gaze(values: dict[str, Any]) -> tuple[float, float]:
    """Where the eyes look in the head's frame: they turn back to the camera as the head turns."""
    v = values
    yaw, pitch = np.sin(np.radians([v["yaw"], v["pitch"]])) * v["eye_contact"]
    right, up = np.clip([v["gaze_right"] + yaw, v["gaze_up"] - pitch], *GAZE_REACH)
    return float(right), float(up)


def facial_actions(values: dict[str, Any], head: Head) -> dict[str, float]:
    """Every facial action with its strength: expression, small movements, lids and gaze."""
    v = values
    actions: dict[str, float] = {}

    def act(name: str, amount: float) -> None:
        for side in [name] if name in head.actions else [name + "Left", name + "Right"]:
            actions[side] = min(1.0, actions.get(side, 0.0) + amount)

    if v["expression"] == "random":
        loose = list(LOOSE_ACTIONS)
        for n in range(int(v["random_actions"])):
            # without replacement: each choice is taken from those that are left
            name = loose.pop(int(v["action_choices"][n] * len(loose)))
            amount = LOOSE_ACTIONS[name] * v["action_amounts"][n]
            act(name, v["expression_strength"] * amount)
    else:
        for name, amount in ACTIONS[v["expression"]].items():
            act(name, v["expression_strength"] * amount)
        if v["expression"] == "happiness":
            for name, amount in PARTED_LIPS.items():
                act(name, v["expression_strength"] * v["teeth"] * amount)
    act("jawOpen", v["mouth_open"])
    draws = np.minimum(np.abs(normal_score(v["restless_quantiles"])), 3).tolist()
    for (name, sd), draw in zip(RESTLESS.items(), draws, strict=True):
        act(name, v["restless"] * sd * draw)
    lids = _CLOSED if v["blink"] else v["lids"] - 0.5 * actions.get("eyeWideLeft", 0.0)
    act("eyeBlink", max(0.0, lids))
    # Lids go down with the eyes.
    act("eyeLookDown", 2 * max(0.0, -gaze(v)[1]))
    return actions


def _colour(values: dict[str, Any], what: str, end: str = "") -> np.ndarray:
    """Linear RGB of a hue (0 and 1 red, 1/3 green), a saturation and a brightness, each 0..1."""
    hue, saturation, brightness = (
        values[f"{what}_{part}{end}"] for part in ("hue", "saturation", "brightness")
    )
    wheel = (abs(6 * hue - 3) - 1, 2 - abs(6 * hue - 2), 2 - abs(6 * hue - 4))
    pure = (min(1.0, max(0.0, channel)) for channel in wheel)
    return np.array([brightness * (1 - saturation + saturation * channel) for channel in pure])
