"""How a photo is taken: pose, expression, light, camera; each a named number with a distribution.

In: a random stream. Out: a `Capture`. Nothing here knows the subject or the group.
"""

from dataclasses import dataclass

import numpy as np

# Expressions as facial actions (ARKit names); both sides act unless a side is named.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.65, "cheekSquint": 0.3},
    "laugh": {"mouthSmile": 0.8, "jawOpen": 0.3, "cheekSquint": 0.6, "eyeSquint": 0.35},
    "surprise": {"jawOpen": 0.35, "browInnerUp": 0.8, "browOuterUp": 0.7, "eyeWide": 0.6},
    "anger": {"browDown": 0.8, "noseSneer": 0.35, "mouthPress": 0.5, "eyeSquint": 0.3},
    "sadness": {"browInnerUp": 0.7, "mouthFrown": 0.6, "mouthShrugLower": 0.3},
    "fear": {"browInnerUp": 0.8, "eyeWide": 0.7, "mouthStretch": 0.5, "jawOpen": 0.15},
    "disgust": {"noseSneer": 0.8, "mouthUpperUp": 0.5, "browDown": 0.4, "eyeSquint": 0.3},
    "talking": {"jawOpen": 0.22, "mouthFunnel": 0.35, "mouthLowerDown": 0.2},
}
EXPRESSION_SHARES = (0.34, 0.2, 0.1, 0.06, 0.06, 0.06, 0.04, 0.04, 0.1)
# Small movements that every photo has, whatever the expression: sd of |normal|.
RESTLESS = {
    "jawOpen": 0.04,
    "jawLeft": 0.06,
    "jawRight": 0.06,
    "mouthLeft": 0.06,
    "mouthRight": 0.06,
    "mouthSmileLeft": 0.08,
    "mouthSmileRight": 0.08,
    "browInnerUp": 0.10,
    "browDownLeft": 0.08,
    "browDownRight": 0.08,
    "mouthPucker": 0.05,
    "eyeSquintLeft": 0.12,
    "eyeSquintRight": 0.12,
}


@dataclass(frozen=True)
class Capture:
    """One photo's conditions.

    Attributes
    ----------
    yaw, pitch, roll : float
        Degrees; normal with sd 17, 8, 6, clipped at 42, 20, 15. Positive yaw looks to the
        picture's right, positive pitch up.
    distance : float
        Camera to face in dm, log-uniform 5..25 (near cameras enlarge the nose).
    light_azimuth, light_elevation : float
        Degrees, 0 = from the camera; normal with sd 40 (clipped at 85) and mean 28, sd 20.
    light_strength, ambient : float
        Key light log-normal around 0.85; ambient light uniform 0.25..0.8.
    light_warmth, ambient_warmth : float
        Colour of each: normal, sd 0.12 and 0.08; above 0 is warmer.
    metering : float
        How far the camera's meter makes up for a darker or lighter face, 0 not at all, 1 wholly;
        uniform 0.3..0.6.
    exposure : float
        Stops off what the meter chose; normal, sd 0.3.
    expression : str
        A name of `EXPRESSIONS`; strength uniform 0.5..1.1.
    actions : dict of str to float
        Every facial action with its strength, restless ones and lids included.
    gaze : (float, float)
        Where the eyes look, right and up, as a share of the eyeball's radius; sd 0.12 and 0.07.
    blur : float
        Gaussian sd in pixels of a 112 px crop; |normal| of sd 0.45, at most 1.3.
    noise : float
        Sensor noise at mid grey, sd as a share of full scale, uniform 0.003..0.03.
    jpeg_quality : int
        Uniform 40..95.
    shift, zoom, tilt
        Alignment jitter: sd 0.9 px of 112 (each way), 2 %, 1.5 degrees.
    background, shirt : numpy.ndarray
        Colours (linear RGB) and a random place in the noise that patterns the background.
    makeup : float
        Uniform; who wears lipstick wears it when this is below their own habit.
    """

    yaw: float
    pitch: float
    roll: float
    distance: float
    light_azimuth: float
    light_elevation: float
    light_strength: float
    light_warmth: float
    ambient: float
    ambient_warmth: float
    metering: float
    exposure: float
    expression: str
    actions: dict[str, float]
    gaze: tuple[float, float]
    blur: float
    noise: float
    jpeg_quality: int
    shift: tuple[float, float]
    zoom: float
    tilt: float
    background: np.ndarray
    shirt: np.ndarray
    makeup: float


def draw_capture(random: np.random.Generator, action_names: list[str]) -> Capture:
    """Draw one photo's conditions; see `Capture` for the distributions."""
    normal = np.clip(random.normal(0, 1, 32), -3, 3)
    uniform = random.uniform(0, 1, 40)
    place = int(np.searchsorted(np.cumsum(EXPRESSION_SHARES)[:-1], uniform[0]))
    expression = list(EXPRESSIONS)[place]
    strength = 0.5 + 0.6 * uniform[1]
    actions: dict[str, float] = {}
    for name, amount in EXPRESSIONS[expression].items():
        sides = [name] if name in action_names else [name + "Left", name + "Right"]
        for side in sides:
            actions[side] = amount * strength
    for (name, sd), draw in zip(RESTLESS.items(), normal[18:], strict=False):
        actions[name] = min(1.0, actions.get(name, 0.0) + sd * abs(draw))
    lids = 0.10 + 0.25 * uniform[2] ** 2 - 0.5 * actions.get("eyeWideLeft", 0.0)
    for side in ("Left", "Right"):
        actions["eyeBlink" + side] = max(0.0, lids)
    gaze = (0.12 * normal[11], 0.07 * normal[12])
    down = max(0.0, -gaze[1])
    for side in ("Left", "Right"):
        actions["eyeLookDown" + side] = 2 * down

    hue = uniform[3:6] ** 1.5
    grey = uniform[6]
    colour = 0.02 + 0.8 * (hue * (1 - grey) + hue.mean() * grey) * (0.2 + 0.8 * uniform[7])
    other_hue = uniform[8:11] ** 1.5
    other = 0.02 + 0.8 * (other_hue * (1 - grey) + other_hue.mean() * grey) * uniform[11]
    background = np.concatenate([colour, other, 100 * uniform[12:15], uniform[15:18]])
    shirt = 0.02 + 0.7 * (uniform[18:21] * 0.6 + uniform[21] * 0.4) * uniform[22]
    return Capture(
        yaw=float(np.clip(17 * normal[0], -42, 42)),
        pitch=float(np.clip(8 * normal[1], -20, 20)),
        roll=float(np.clip(6 * normal[2], -15, 15)),
        distance=float(5 * 5 ** uniform[23]),
        light_azimuth=float(np.clip(40 * normal[3], -85, 85)),
        light_elevation=float(np.clip(28 + 20 * normal[4], -20, 80)),
        light_strength=float(0.85 * np.exp(0.3 * normal[5])),
        light_warmth=float(0.12 * normal[6]),
        ambient=float(0.25 + 0.55 * uniform[24]),
        ambient_warmth=float(0.08 * normal[7]),
        metering=float(0.3 + 0.3 * uniform[28]),
        exposure=float(0.3 * normal[8]),
        expression=expression,
        actions=actions,
        gaze=gaze,
        blur=float(min(1.3, 0.45 * abs(normal[9]))),
        noise=float(0.003 + 0.027 * uniform[25]),
        jpeg_quality=int(40 + 56 * uniform[26]),
        shift=(0.9 * normal[13], 0.9 * normal[14]),
        zoom=float(1 + 0.02 * normal[15]),
        tilt=float(1.5 * normal[16]),
        background=background,
        shirt=shirt,
        makeup=float(uniform[27]),
    )
