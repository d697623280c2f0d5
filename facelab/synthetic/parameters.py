"""What can be said about the population: every parameter that has a distribution, and its limits.

What each means, its unit and its default distribution stand in `population.yaml`; here is what the
renderer takes. The order is the order of the quantiles in a random stream: add at the end.
"""

from dataclasses import dataclass

PHENOTYPES = ("african", "asian", "caucasian")
GENDERS = ("female", "male")
GROUPS = tuple(f"{phenotype}/{gender}" for phenotype in PHENOTYPES for gender in GENDERS)

HAIR_STYLES = (
    *("bald", "cropped", "short01", "short02", "short03", "short04", "afro01"),
    *("bob01", "bob02", "long01", "ponytail01", "braid01"),
    *("fade_low", "fade_high", "afro_short", "afro_round", "afro_large"),
    *("twist_out", "cornrows", "flat_twists"),
    *("long_straight", "long_fringe", "long_wavy", "bob_fringe", "bob_wavy", "curly_medium"),
    *(
        "bun_high",
        "bun_low",
        "puff",
        "pixie",
        "undercut",
        "quiff",
        "box_braids",
        "locks",
        "locks_short",
    ),
)
BROW_STYLES = tuple(f"brow{number:02d}" for number in range(1, 13))
HAIR_TONES = ("black", "dark_brown", "brown", "dark_blond", "blond", "red")
IRIS_TONES = ("dark_brown", "brown", "hazel", "green", "blue", "grey")
EXPRESSIONS = (
    *("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise", "contempt"),
    "random",
)
BACKGROUNDS = ("plain", "gradient", "bokeh", "wall", "shelves", "foliage", "window")
GLASSES = ("none", "round", "square", "aviator", "sun")
HEADWEAR = ("none", "beanie", "cap", "scarf", "hijab", "turban", "headwrap")
OWN_GLASSES = (
    *("own_glasses", "own_glasses_hue", "own_glasses_saturation", "own_glasses_brightness"),
)

# Local changes of the head by the beginning of their names; the longest that fits decides.
SHAPE_REGIONS = {
    "shape_asymmetry": ("asym-",),
    "shape_cheeks": ("cheek-",),
    "shape_chin": ("chin-",),
    "shape_ears": ("ear-",),
    "shape_brows": ("eyebrows-",),
    "shape_eyes": ("eye-",),
    "shape_lids": ("eye-height", "eye-eyefold", "eye-bag", "eye-epicanthus"),
    "shape_forehead": ("forehead-",),
    "shape_head": ("head-",),
    "shape_mouth": ("mouth-",),
    "shape_neck": ("neck-",),
    "shape_nose": ("nose-",),
}


@dataclass(frozen=True)
class Parameter:
    """What values a parameter may take.

    Attributes
    ----------
    count : int
        How many quantiles it has; above 1 the values are drawn independently of each other.
    low, high : float
        What the renderer takes.
    labels : tuple of str
        Of a parameter that is a choice.
    chance : bool
        It happens or not.
    """

    low: float = 0.0
    high: float = 1.0
    count: int = 1
    labels: tuple[str, ...] = ()
    chance: bool = False


_SHARE, _CHANCE = Parameter(), Parameter(chance=True)

SUBJECT: dict[str, Parameter] = {
    # identity
    **{region: Parameter(-4, 4, count=0) for region in SHAPE_REGIONS},  # as many as the head has
    "muscle": _SHARE,
    "weight": _SHARE,
    "skin_modes": Parameter(-4, 4, count=8),
    "hemoglobin": Parameter(-0.6, 0.8),
    "blotches": Parameter(0, 0.3),
    "freckles": _SHARE,
    "mark_count": Parameter(0, 10.999),
    "mark_x": Parameter(-1, 1, count=10),
    "mark_y": Parameter(6, 8.2, count=10),
    "mark_size": Parameter(0.002, 0.06, count=10),
    "mark_strength": Parameter(0, 1.5, count=10),
    "mark_redness": Parameter(count=10),
    "gloss": Parameter(0, 0.4),
    "skin_place": Parameter(0, 32, count=3),
    "age": Parameter(18, 80),
    "wrinkle_habit": Parameter(0, 3),
    "brow_style": Parameter(labels=BROW_STYLES),
    "brow_height": Parameter(7.36, 7.56),
    "brow_arch": Parameter(-0.06, 0.16),
    "brow_inner": Parameter(0.02, 0.24),
    "brow_outer": Parameter(0.36, 0.68),
    "brow_slope": Parameter(-0.1, 0.1),
    # palettes
    "melanin": Parameter(0.01, 1),
    "hair_tone": Parameter(labels=HAIR_TONES),
    "hair_shade": Parameter(0.2, 3),
    "hair_curl": _SHARE,
    "iris_tone": Parameter(labels=IRIS_TONES),
    "iris_shade": Parameter(0.2, 3),
    # appearance
    "hair_style": Parameter(labels=HAIR_STYLES),
    "hair_flip": _CHANCE,
    "hair_volume": Parameter(0.9, 1.15),
    "cropped_thickness": Parameter(0.01, 0.12),
    "hairline": Parameter(-0.2, 0.25),
    "balding": Parameter(-3, 2),
    "balding_temples": _SHARE,
    "balding_crown": _SHARE,
    "grey_onset": Parameter(10, 200),
    "dyed": _CHANCE,
    "dye_tone": Parameter(labels=HAIR_TONES),
    "brow_thickness": Parameter(0.01, 0.2),
    "brow_density": Parameter(0.05, 1),
    "beard": _SHARE,
    "beard_cheeks": _CHANCE,
    "beard_moustache": _CHANCE,
    "beard_chin": _CHANCE,
    "stubble": _SHARE,
    "beard_tone": _SHARE,
    "lip_red": Parameter(0, 1.2),
    "lip_dark": Parameter(0, 0.4),
    "lashes": Parameter(0, 1.2),
    "lipstick_hue": _SHARE,
    "lipstick_depth": _SHARE,
    "lipstick_habit": _SHARE,
    "own_glasses": Parameter(labels=GLASSES),
    "own_glasses_hue": _SHARE,
    "own_glasses_saturation": _SHARE,
    "own_glasses_brightness": _SHARE,
    "eye_makeup": _SHARE,
    "glasses_onset": Parameter(0, 200),
}

# What a subject changes from look to look.
LOOK = (
    *("hair_style", "hair_flip", "hair_volume", "cropped_thickness", "dyed", "dye_tone"),
    *("beard", "beard_cheeks", "beard_moustache", "beard_chin", "stubble"),
    *("lipstick_hue", "lipstick_depth", "lipstick_habit", "eye_makeup"),
)

CAPTURE: dict[str, Parameter] = {
    "yaw": Parameter(-60, 60),
    "pitch": Parameter(-40, 40),
    "roll": Parameter(-40, 40),
    "distance": Parameter(4, 60),
    "light_azimuth": Parameter(-180, 180),
    "light_elevation": Parameter(-60, 90),
    "light_strength": Parameter(0, 5),
    "light_warmth": Parameter(-0.6, 0.6),
    "light_size": _SHARE,
    "fill_azimuth": Parameter(-180, 180),
    "fill_strength": Parameter(0, 5),
    "fill_warmth": Parameter(-0.6, 0.6),
    "ambient": Parameter(0, 5),
    "ambient_warmth": Parameter(-0.6, 0.6),
    "metering": _SHARE,
    "exposure": Parameter(-5, 5),
    "expression": Parameter(labels=EXPRESSIONS),
    "expression_strength": Parameter(0, 1.3),
    "mouth_open": _SHARE,
    "random_actions": Parameter(1, 6.999),
    "restless": Parameter(0, 3),
    "lids": _SHARE,
    "blink": _CHANCE,
    "gaze_right": Parameter(-0.5, 0.5),
    "gaze_up": Parameter(-0.3, 0.3),
    "makeup": _SHARE,
    "glasses": Parameter(labels=(*GLASSES, "own")),
    "glasses_hue": _SHARE,
    "glasses_saturation": _SHARE,
    "glasses_brightness": _SHARE,
    "headwear": Parameter(labels=HEADWEAR),
    "headwear_hue": _SHARE,
    "headwear_saturation": _SHARE,
    "headwear_brightness": _SHARE,
    "shirt_hue": _SHARE,
    "shirt_saturation": _SHARE,
    "shirt_brightness": _SHARE,
    "background": Parameter(labels=BACKGROUNDS),
    "background_hue": _SHARE,
    "background_saturation": _SHARE,
    "background_brightness": _SHARE,
    "background_hue_2": _SHARE,
    "background_saturation_2": _SHARE,
    "background_brightness_2": _SHARE,
    "focus_blur": Parameter(0, 6),
    "motion_blur": Parameter(0, 12),
    "motion_angle": Parameter(0, 180),
    "noise": Parameter(0, 0.3),
    "jpeg_quality": Parameter(1, 100.999),
    "shift_x": Parameter(-12, 12),
    "shift_y": Parameter(-12, 12),
    "zoom": Parameter(0.7, 1.4),
    "tilt": Parameter(-30, 30),
    "teeth": _SHARE,
    "eye_contact": _SHARE,
}

PARAMETERS = SUBJECT | CAPTURE
