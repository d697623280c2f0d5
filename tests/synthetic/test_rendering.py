"""Rendering: what is nearest is seen, landmarks lie on the template, light does its part."""

import dataclasses

import numpy as np
import pytest
from drawn_people import draw_capture, draw_subject
from scipy.spatial import ConvexHull

from facelab.faces.template import TEMPLATE
from facelab.synthetic.camera import develop, smeared
from facelab.synthetic.capture import capture_values, facial_actions
from facelab.synthetic.head import PARTS, load_head
from facelab.synthetic.kernel import COLUMNS, OPENNESS, REACH
from facelab.synthetic.mesh import (
    add_targets,
    fit,
    hollows,
    landmarks,
    vertex_normals,
    write_normals,
)
from facelab.synthetic.paint import lattice, solid
from facelab.synthetic.parameters import BACKGROUNDS, GLASSES, GROUPS, HAIR_STYLES, HEADWEAR
from facelab.synthetic.render import (
    FOLD,
    build_model,
    fold,
    on_screen,
    posed,
    render,
    take_shot,
    tone_curve,
)
from facelab.synthetic.subjects import SHORT_HAIR, neutral_shape, subject_stream
from facelab.synthetic.visibility import pyramid, rasterise

SIZE = 112


@pytest.fixture(scope="module")
def head():
    return load_head()


def capture_of(head, number, **changed):
    stream = subject_stream(2, number, 1, 0)
    capture = draw_capture(stream, GROUPS[number % 6], head)
    plain = {"glasses": "none", "headwear": "none", "shift": (0.0, 0.0), "zoom": 1.0, "tilt": 0.0}
    return dataclasses.replace(capture, **plain | changed)


def model_of(head, number, **changed):
    subject = draw_subject(2, number, GROUPS[number % 6], head)
    return build_model(dataclasses.replace(subject, **changed), head)


def screen_of(head, number, frame="aligned", **changed):
    """The head's vertices in crop pixels, and the whole mesh."""
    model, capture = model_of(head, number), capture_of(head, number, **changed)
    worn = model.dressed(capture.glasses, capture.headwear)
    vertices = posed(worn, capture, head)
    screen = on_screen(worn, vertices, capture, head, SIZE, frame) / np.float32([2, 2, 1])
    return screen, worn


def photo(head, model, capture, size=64, frame="aligned"):
    return render(model, capture, head, size, subject_stream(0, 0), frame)


def draw_solid(screen, triangles, size, closed=0):
    return rasterise(screen, triangles, size, *solid(screen, triangles, closed), lattice())[:2]


# ---- visibility


def slow_rasterise(screen, triangles, size):
    """Every triangle against every sample, in NumPy."""
    depth, nearest = np.full((size, size), np.inf), np.full((size, size), -1)
    y, x = np.mgrid[:size, :size] + 0.5
    for number, (a, b, c) in enumerate(screen[triangles].astype(float)):
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        u = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
        v = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
        w = 1 - u - v
        z = u * a[2] + v * b[2] + w * c[2]
        seen = (u >= 0) & (v >= 0) & (w >= 0) & (z < depth)
        depth[seen], nearest[seen] = z[seen], number
    return depth, nearest


def test_rasteriser_equals_a_slow_reference(head):
    screen, _ = screen_of(head, 0)
    fine = np.ascontiguousarray(screen * np.float32([48 / SIZE, 48 / SIZE, 1]))
    depth, nearest = draw_solid(fine, head.triangles, 48)
    slow_depth, slow_nearest = slow_rasterise(fine, head.triangles, 48)
    assert (slow_nearest >= 0).mean() > 0.5
    assert (nearest == slow_nearest).mean() > 0.998  # edges may fall either way by rounding
    same = nearest == slow_nearest
    assert np.allclose(depth[same], slow_depth[same], atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_random_triangles_are_drawn_nearest_first(seed):
    random = np.random.default_rng(seed)
    screen = (random.uniform(-8, 40, (60, 3))).astype(np.float32)
    screen[::7] = np.round(screen[::7])  # corners on samples, edges along rows and columns
    screen[1::9, 1] = screen[::9, 1][: len(screen[1::9])]
    triangles = np.arange(60, dtype=np.int32).reshape(20, 3)
    _, nearest = draw_solid(screen, triangles, 32)
    _, slow_nearest = slow_rasterise(screen, triangles, 32)
    assert (nearest == slow_nearest).mean() > 0.998
    assert len(np.unique(nearest)) > 5


def test_leaving_out_far_sides_of_closed_surfaces_changes_nothing(head):
    screen, worn = screen_of(head, 1)
    closed = head.triangles[: worn.closed]
    both, _ = draw_solid(screen, closed, SIZE)
    front, _ = draw_solid(screen, closed, SIZE, closed=len(closed))
    seen = np.isfinite(front)
    assert seen.mean() > 0.4
    assert np.isfinite(both[seen]).all()
    assert np.mean(np.abs(both[seen] - front[seen]) > 0.02) < 0.01


def test_a_card_lets_through_what_its_texture_leaves():
    screen = np.float32([[0, 0, 1], [0, 32, 1], [32, 32, 1], [32, 0, 1]])
    triangles = np.int32([[0, 1, 2], [0, 2, 3]])
    texture = np.zeros((2, 2, 2), np.uint8)
    texture[0, 1, 1], texture[1, 0, 1] = 255, 128
    card = np.float32([[0, 0], [0, 1], [1, 1], [1, 0]])
    cover = np.full(4, 9, np.float32)

    def draw(screen, card, texture):
        layers = pyramid(texture)
        return rasterise(screen, triangles, 32, 0, 0, cover, screen, card, layers, lattice())

    depth, nearest, veil = draw(screen, card, texture)
    assert (nearest == -1).all() and np.isinf(depth).all()  # nothing solid
    # Between the middles of texels they are mixed, and these are a 32nd from here.
    assert veil.passing[8, 24] < 0.07
    assert veil.passing[8, 8] > 0.9 and veil.passing[24, 24] > 0.9
    np.testing.assert_allclose(veil.passing[24, 8], 1 - 128 / 255, atol=0.05)
    # Seen from afar, a texel is smaller than a sample: what passes is the mean.
    fine = np.tile(texture, (32, 32, 1))
    _, _, veil = draw(screen, card, fine)
    away = ~np.eye(32, dtype=bool)  # samples on the edge of both triangles count twice
    np.testing.assert_allclose(veil.passing[away], 1 - texture[..., 1].mean() / 255, atol=0.01)
    # Repeated three times, the pattern stands there three times.
    _, _, veil = draw(screen, card * 3, np.tile(np.repeat(texture, 8, 1), (8, 1, 1)))
    assert np.ptp(veil.passing) > 0.5


def test_hair_lets_through_what_all_of_its_layers_leave():
    screen = np.float32([[0, 0, 2], [0, 16, 2], [16.3, 16, 2], [16, 0, 2]])
    both = np.concatenate([screen, screen - np.float32([0, 0, 1])])
    triangles = np.int32([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    texture = pyramid(np.full((4, 4, 2), 102, np.uint8))
    for order in ([0, 1, 2, 3], [2, 3, 0, 1]):
        _, _, veil = rasterise(
            both, triangles[order], 16, 0, 0, np.full(8, 9, np.float32), both,
            np.full((8, 2), 0.5, np.float32), texture, lattice(),
        )  # fmt: skip
        np.testing.assert_allclose(veil.passing, 0.36, atol=1e-6)
        np.testing.assert_allclose(veil.depth, 1, atol=1e-6)  # and shows the nearest


def test_normals_equal_numpy(head):
    vertices = head.template
    corner = vertices[head.triangles].astype(float)
    faces = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    expected = np.zeros(vertices.shape)
    for place in range(3):
        np.add.at(expected, head.triangles[:, place], faces)
    length = np.linalg.norm(expected, axis=1, keepdims=True)
    kept = length[:, 0] > 1e-6
    expected = expected[kept] / length[kept]
    assert np.allclose(vertex_normals(vertices, head.triangles)[kept], expected, atol=2e-3)


@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_a_sphere_is_hollow_from_inside_and_bulges_from_outside(radius):
    outward = np.random.default_rng(0).normal(size=(300, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    outward = outward.astype(np.float32)
    triangles = ConvexHull(outward).simplices
    assert np.allclose(hollows(radius * outward, triangles, outward), -1 / radius, rtol=0.02)
    assert np.allclose(hollows(radius * outward, triangles, -outward), 1 / radius, rtol=0.02)


# ---- where the face lies


def five(head, screen):
    points = np.array([head.nose_tip, head.mouth_right, head.mouth_left])
    return landmarks(screen, np.stack([head.eye_right, head.eye_left]), points)


@pytest.mark.parametrize("number", range(6))
def test_landmarks_land_on_the_template(head, number):
    found = five(head, screen_of(head, number)[0])
    # A least-squares similarity leaves no mean offset, and no rotation or scale to gain.
    assert np.allclose(fit(found, TEMPLATE), (1, 0, 0, 0), atol=2e-3)
    assert np.linalg.norm(found - TEMPLATE, axis=1).mean() < 11


def test_a_fit_recovers_a_similarity():
    random = np.random.default_rng(0)
    points = random.normal(size=(5, 2))
    a, b, x, y = 1.3, -0.4, 5.0, -2.0
    moved = points @ np.array([[a, b], [-b, a]]) + [x, y]
    assert np.allclose(fit(points, moved), (a, b, x, y))


def test_alignment_jitter_moves_the_picture_by_its_amount(head):
    screen, _ = screen_of(head, 2)
    moved, _ = screen_of(head, 2, shift=(2.0, -1.0))
    assert np.allclose(moved[:, :2] - screen[:, :2], [2, -1], atol=1e-3)


def test_the_face_fills_an_aligned_crop(head):
    for number in range(6):
        screen, _ = screen_of(head, number)
        _, nearest = draw_solid(screen, head.triangles, SIZE)
        assert (nearest[35:88, 44:68] >= 0).mean() > 0.97
        assert 0.35 < (nearest >= 0).mean() < 0.95


def test_a_whole_frame_has_the_head_in_its_middle_half(head):
    for number in range(6):
        screen, _ = screen_of(head, number, frame="full", yaw=0.0, pitch=0.0, roll=0.0)
        features = five(head, screen)
        assert np.all((features > SIZE * 0.3) & (features < SIZE * 0.7))
        face = (head.part == PARTS["skin"]) & (head.template[head.triangles[:, 0], 1] > 6.1)
        y = screen[np.unique(head.triangles[face]), 1] / SIZE
        assert 0.12 < y.min() < 0.4
        assert 0.6 < y.max() < 0.9  # the neck below the chin included


def test_an_open_jaw_parts_the_lips(head):
    closed, _ = screen_of(head, 0, actions={})
    opened, _ = screen_of(head, 0, actions={"jawOpen": 0.8})
    vertices = {}
    for name, actions in (("closed", {}), ("opened", {"jawOpen": 0.8})):
        worn = model_of(head, 0).dressed("none", "none")
        vertices[name] = posed(worn, capture_of(head, 0, actions=actions), head)
    lower = np.flatnonzero((head.lips > 0.4) & (head.template[:, 1] < 6.58))
    upper = np.flatnonzero((head.lips > 0.4) & (head.template[:, 1] > 6.68))
    moved = vertices["opened"] - vertices["closed"]
    assert moved[lower, 1].mean() < -0.05
    assert abs(moved[upper, 1].mean()) < abs(moved[lower, 1].mean()) / 3
    assert not np.allclose(closed, opened)


@pytest.mark.parametrize("number", range(12))
def test_the_upper_teeth_hang_behind_the_seam_of_the_lips(head, number):
    shape = neutral_shape(draw_subject(2, number, GROUPS[number % 6], head), head)

    def hang(vertices):
        return vertices[head.biting_edge, 1].mean() - vertices[head.lip_seam, 1].mean()

    assert hang(shape) == pytest.approx(hang(head.template), abs=1e-4)


def smile(head, number, teeth):
    """A full smile's facial actions, and nothing else that moves the mouth."""
    values = capture_values(subject_stream(2, number, 1, 0), GROUPS[number % 6])
    smiling = {"expression": "happiness", "expression_strength": 1.0, "teeth": teeth}
    return facial_actions(values | smiling | {"mouth_open": 0.0, "restless": 0.0}, head)


@pytest.mark.parametrize("number", range(6))
def test_a_smile_shows_as_much_of_the_teeth_as_asked_for(head, number):
    shown = []
    for teeth in (0.0, 1.0):
        straight = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "actions": smile(head, number, teeth)}
        screen, worn = screen_of(head, number, **straight)
        nearest = draw_solid(screen, worn.triangles, SIZE, worn.closed)[1]
        shown.append(np.isin(nearest, np.flatnonzero(worn.part == PARTS["teeth"])).sum())
    assert shown[0] < 15
    assert shown[1] > shown[0] + 20


def light_kept(head, number, actions):
    """What the folds of an expression leave of the light at each vertex of the head, 0..1."""
    model, capture = model_of(head, number), capture_of(head, number, actions=actions)
    worn = model.dressed("none", "none")
    vertices = posed(worn, capture, head)
    table = np.ones((len(vertices), COLUMNS), np.float32)
    write_normals(vertices, worn.triangles, table)
    fold(model, vertices, table)
    assert np.array_equal(table[:, OPENNESS], table[:, REACH])
    return table[: len(head.template), OPENNESS]


@pytest.mark.parametrize("number", range(6))
def test_a_smile_folds_the_cheeks_and_a_face_at_rest_has_no_folds(head, number):
    above_the_neck = head.template[:, 1] > 6.4
    assert light_kept(head, number, {})[above_the_neck].min() > 0.97
    kept = light_kept(head, number, smile(head, number, 1.0))
    x, y, z = head.template.T
    cheeks = (abs(x) > 0.2) & (abs(x) < 0.5) & (y > 6.55) & (y < 6.95) & (z > 1.1)
    forehead = (y > 7.55) & (z > 1.1)
    assert kept[cheeks].min() < 1 - 0.5 * FOLD
    assert kept[forehead].min() > 0.95
    assert kept.min() >= 1 - FOLD - 1e-6


# ---- light and camera


def test_more_light_and_lighter_skin_give_brighter_faces(head):
    capture = capture_of(head, 4, exposure=0.0)

    def brightness(melanin, **changed):
        model = model_of(head, 4, melanin=melanin)
        return photo(head, model, dataclasses.replace(capture, **changed))[25:50, 22:42].mean()

    plain = brightness(0.2)
    assert brightness(0.2, exposure=0.7) > plain + 10
    assert brightness(0.9) < plain - 20
    assert brightness(0.9, metering=1.0) > brightness(0.9, metering=0.0)


def test_a_light_from_the_left_lights_the_left_of_the_picture(head):
    model = model_of(head, 1)
    sides = {}
    for azimuth in (-70.0, 70.0):
        capture = capture_of(
            head, 1, light_azimuth=azimuth, light_elevation=10.0, yaw=0.0, fill_strength=0.0
        )
        face = photo(head, model, capture).astype(float)[20:50]
        sides[azimuth] = face[:, 16:30].mean() - face[:, 34:48].mean()
    assert sides[-70.0] > 10
    assert sides[70.0] < -10


def test_a_warm_fill_light_warms_the_picture(head):
    model = model_of(head, 1)
    red = {}
    for warmth in (-0.5, 0.5):
        capture = capture_of(head, 1, fill_strength=1.0, fill_azimuth=0.0, fill_warmth=warmth)
        face = photo(head, model, capture).astype(float)[25:50, 22:42].mean((0, 1))
        red[warmth] = face[0] / face[2]
    assert red[0.5] > 1.2 * red[-0.5]


def test_blur_keeps_the_light_and_loses_the_detail(head):
    model = model_of(head, 3)
    pictures = [
        photo(head, model, capture_of(head, 3, noise=0.0, focus_blur=blur, motion_blur=0.0))
        for blur in (0.0, 2.5)
    ]
    sharp, soft = (picture.astype(float).mean(2) for picture in pictures)
    assert abs(sharp.mean() - soft.mean()) < 6
    assert np.abs(np.diff(soft)).mean() < 0.7 * np.abs(np.diff(sharp)).mean()


def test_motion_smears_along_its_direction():
    light = np.zeros((21, 21, 3), np.float32)
    light[10, 10] = 1
    across = smeared(light, 6.0, 0.0)
    assert np.allclose(across.sum(), light.sum(), rtol=1e-4)
    assert (across[10, 7:14] > 0).all()
    assert across[:9].sum() == across[12:].sum() == 0
    down = smeared(light, 6.0, np.pi / 2)
    assert np.allclose(down, across.transpose(1, 0, 2), atol=1e-5)


def test_sensor_noise_has_the_deviation_asked_for():
    random = np.random.default_rng(0)
    light = np.full((128, 128, 3), 0.25, np.float32)
    grain = random.integers(0, 2**64, (128, 128), np.uint64)
    linear = np.linspace(0, 255, 4097).astype(np.float32)  # no tone curve but the camera's own
    still = develop(light, 0.0, 0.0, 0.0, 1.0, 0.0, linear, grain).astype(float)
    noisy = develop(light, 0.0, 0.0, 0.0, 1.0, 0.04, linear, grain).astype(float)
    assert still.std() == 0
    slope = (1 + 0.4 * 0.25 + 0.16 * 0.25**2) / (1 + 0.8 * 0.25) ** 2
    expected = 255 * 0.04 * (0.25 + 0.5) * slope
    assert noisy.std((0, 1)) == pytest.approx(expected, rel=0.05)
    assert abs(np.corrcoef(noisy.reshape(-1, 3).T)[0, 1]) < 0.03


def test_the_tone_curve_is_srgb_with_more_contrast_in_the_middle():
    curve = tone_curve() / 255
    assert len(curve) == 4097 and (np.diff(curve) > 0).all()
    linear = np.arange(4097) / 4096
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    np.testing.assert_allclose(np.interp([0, 0.5, 1], srgb, curve), [0, 0.5, 1], atol=1e-5)
    assert np.interp([0.25, 0.4], srgb, curve) == pytest.approx([0.197, 0.370], abs=1e-3)


def test_teeth_behind_parted_lips_are_dark(head):
    subject = draw_subject(2, 1, GROUPS[1], head)
    shut, talking = (capture_of(head, 1, actions={"jawOpen": w}) for w in (0, 0.4))
    assert take_shot(subject, shut, np.inf).parted == 0.2
    assert take_shot(subject, talking, np.inf).parted == 1


# ---- skin, hair and what is worn


def test_lips_are_painted_where_the_mouth_is(head):
    skin = model_of(head, 0).skin(SIZE)
    lips = np.argwhere(skin[..., 4] > 128)
    middle = lips.mean(0) / skin.shape[:2]
    assert middle[1] == pytest.approx(0.5, abs=0.01)
    assert middle[0] == pytest.approx((8.6 - 6.62) / (8.6 - 5.2), abs=0.02)


def test_plain_skin_has_the_albedo_that_the_table_states(head):
    model = model_of(
        head, 1, skin_modes=np.zeros(8), blotches=0.0, freckles=0.0, wrinkles=0.0, beard=np.zeros(5)
    )
    skin = model.skin(SIZE).astype(float)
    cheeks = (skin[90:135, 70:186, :3] / 255) ** 2
    assert np.allclose(np.median(cheeks, (0, 1)), model.subject.skin, rtol=0.2)


def test_a_beard_darkens_the_chin_and_gives_it_volume(head):
    full, shaven = (
        model_of(head, 5, beard=np.full(5, level), brow_colour=np.full(3, 0.01))
        for level in (1.0, 0.0)
    )
    rows = slice(122, 140)
    dark, light = (m.skin(SIZE)[rows, 118:138, :3].mean() for m in (full, shaven))
    assert dark < 0.7 * light
    chin = np.argmin(np.abs(head.template - [0, 6.2, 1.3]).sum(1))
    assert full.neutral[chin, 2] > shaven.neutral[chin, 2]


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_hair_style_is_seen_but_none_on_a_bald_head(head, style):
    model = model_of(head, 0, hair_style=style, hair_volume=0.05 if style in SHORT_HAIR else 1.0)
    for flip in (False, True):
        model = build_model(dataclasses.replace(model.subject, hair_flip=flip), head)
        picture = photo(head, model, capture_of(head, 0, focus_blur=0.0, noise=0.0))
        bald = build_model(dataclasses.replace(model.subject, hair_style="bald"), head)
        without = photo(head, bald, capture_of(head, 0, focus_blur=0.0, noise=0.0))
        changed = (np.abs(picture.astype(int) - without).max(2) > 12).mean()
        assert (changed == 0) if style == "bald" else (changed > 0.01)


@pytest.mark.parametrize(
    ("worn", "kind"),
    [("glasses", kind) for kind in GLASSES[1:]] + [("headwear", kind) for kind in HEADWEAR[1:]],
)
def test_what_is_worn_changes_the_picture_where_it_is(head, worn, kind):
    capture = capture_of(head, 4, yaw=0.0, pitch=0.0, roll=0.0, noise=0.0, focus_blur=0.0)
    colour = np.array([0.01, 0.3, 0.01])
    dressed = dataclasses.replace(
        capture, **{worn: kind, "glasses_colour": colour, "headwear_colour": colour}
    )
    model = model_of(head, 4, hair_style="cropped", hair_volume=0.03)
    bare = photo(head, model, capture, SIZE).astype(int)
    changed = np.abs(photo(head, model, dressed, SIZE).astype(int) - bare).max(2) > 8
    eyes, top = changed[40:68, 24:88].mean(), changed[:20].mean()
    assert eyes > 0.05 if worn == "glasses" else top > 0.3
    assert changed[75:100, 45:67].mean() < 0.1  # nose and mouth stay as they were


def test_sunglasses_darken_the_eyes(head):
    capture = capture_of(head, 4, yaw=0.0, pitch=0.0, roll=0.0, noise=0.0)
    model = model_of(head, 4)
    eyes = {
        kind: photo(head, model, dataclasses.replace(capture, glasses=kind), SIZE)[50:54, 36:42]
        for kind in ("none", "aviator", "sun")
    }
    light = eyes["none"].max(-1) > 60  # a pupil cannot be darker
    assert eyes["sun"][light].mean() < 0.65 * eyes["none"][light].mean()
    assert eyes["aviator"].mean() > 0.85 * eyes["none"].mean()


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_backgrounds_differ_and_leave_the_face_alone(head, kind):
    model = model_of(head, 2)
    capture = capture_of(head, 2, yaw=0.0, pitch=0.0, noise=0.0, focus_blur=0.0)
    plain = photo(head, model, dataclasses.replace(capture, background="plain"))
    other = photo(head, model, dataclasses.replace(capture, background=kind))
    assert np.array_equal(plain[25:50, 25:40], other[25:50, 25:40])
    assert (kind == "plain") == np.array_equal(plain, other)


def test_targets_add_up(head):
    vertices = np.zeros_like(head.template)
    numbers = np.array([head.actions["jawOpen"], head.actions["cheekPuff"]], np.int64)
    add_targets(vertices, numbers, np.float32([0.5, 2.0]), head.starts, head.indices, head.offsets)
    expected = np.zeros_like(vertices)
    for number, weight in zip(numbers, (0.5, 2.0), strict=True):
        rows = slice(head.starts[number], head.starts[number + 1])
        expected[head.indices[rows]] += weight * head.offsets[rows]
    assert np.allclose(vertices, expected, atol=1e-5)
