"""Shapes go together as people's do: the landmarks of rendered heads against those of real ones."""

import numpy as np
import pytest
from drawn_people import draw_subject
from scipy import stats

from facelab.synthetic.baking.landmarks import LANDMARKS_FILE, MIRRORED, aligned
from facelab.synthetic.baking.points import points_of, seen_from_front
from facelab.synthetic.baking.rendered import OFFSETS_FILE
from facelab.synthetic.head import load_head
from facelab.synthetic.parameters import GROUPS
from facelab.synthetic.population import Population
from facelab.synthetic.shapes import SHAPES_FILE, base_weights, cut, joint_scores, load_shapes
from facelab.synthetic.subjects import neutral_shape, subject_values


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def people():
    """Aligned landmarks of real faces, aggregated."""
    with np.load(LANDMARKS_FILE) as file:
        return {name: file[name].astype(float) for name in file.files}


def deviation(faces, people):
    """How far the mean of aligned faces is off the real one, in standard deviations."""
    mean = aligned(faces.mean(0)[None], people["mean"])[0][0]
    return np.abs(mean - people["mean"]) / people["sd"]


def spectrum(faces):
    flat = faces.reshape(len(faces), -1)
    return np.linalg.eigvalsh(np.cov(flat.T))[::-1][:10]


def test_landmarks_at_points_chosen_by_hand_have_the_real_mean_and_spread(head, people):
    """The predictor that measured real faces smooths what it sees, so that points spread wider."""
    with np.load(OFFSETS_FILE) as file:
        offsets = file["offsets"]
    found = []
    for number in range(420):
        subject = draw_subject(7, number, GROUPS[number % 6], head)
        vertices = neutral_shape(subject, head)
        found.append(points_of(seen_from_front(vertices, head), subject.brow) + offsets)
    faces = aligned(np.array(found))[0]
    assert deviation(faces, people).max() < 0.65
    ratio = spectrum(faces) / people["spectrum"][:10]
    assert (ratio > 0.75).all(), ratio
    assert (ratio < 2.6).all(), ratio


@pytest.mark.real
def test_landmarks_by_dlib_have_the_real_mean_and_eigenvalues(people):
    pytest.importorskip("dlib")
    from facelab.synthetic.baking.rendered import neutral_heads

    faces = aligned(neutral_heads(300, seed=11)[0])[0]
    off, ratio = deviation(faces, people), spectrum(faces) / people["spectrum"][:10]
    print(
        f"\n{len(faces)} heads: mean off by {off.max():.2f} sd at most; eigenvalues over those of"
    )
    print(f"real faces: {ratio.round(2)}")
    assert len(faces) > 290
    assert off.max() < 0.5
    assert (np.abs(ratio - 1) < 0.25).all()


def test_mirrored_landmarks_are_the_other_side_and_alignment_takes_away_a_similarity(people):
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(68))
    mean = people["mean"]
    assert np.abs(mean[MIRRORED] * [-1, 1] - mean).max() < 0.002
    turn = np.radians(20)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = 31 * mean @ rotation.T + [5, -70]
    assert np.allclose(aligned(moved[None], mean)[0][0], mean, atol=1e-6)


def test_scores_go_together_and_each_has_unit_spread():
    shapes = load_shapes()
    independent = np.random.default_rng(0).standard_normal((4000, len(shapes.modes)))
    scores = np.array([joint_scores(row, shapes) for row in independent])
    assert np.allclose(scores.std(0), 1, atol=0.06)
    assert np.abs(scores.mean(0)).max() < 0.06
    off = np.corrcoef(scores.T)[~np.eye(len(shapes.modes), dtype=bool)]
    expected = (shapes.modes @ shapes.modes.T)[~np.eye(len(shapes.modes), dtype=bool)]
    assert np.abs(off - expected).max() < 0.1
    assert np.abs(expected).max() > 0.4
    # Only the modes that are seen are few.
    assert 20 <= shapes.seen <= 40


def test_the_sum_of_modes_has_one_order():
    """Not a BLAS's: the same bytes on any machine."""
    shapes = load_shapes()
    scores = np.random.default_rng(1).standard_normal(len(shapes.modes))
    expected = []
    for row in shapes.modes:
        total = 0.0
        for weight, score in zip(row.tolist(), drawn_in(scores, shapes).tolist(), strict=True):
            total += weight * score
        expected.append(total)
    assert joint_scores(scores, shapes).tolist() == expected


def drawn_in(scores, shapes):
    return np.concatenate([cut(scores[: shapes.seen]), cut(scores[shapes.seen :])])


@pytest.mark.parametrize("count", [24, 119])
def test_extremes_are_drawn_in_by_their_joint_distance(count):
    rim = np.sqrt(stats.chi2(count).ppf(0.975))
    direction = np.ones(count) / np.sqrt(count)
    assert np.array_equal(cut(0.97 * rim * direction), 0.97 * rim * direction)
    far = [np.linalg.norm(cut(size * direction)) for size in (1.1 * rim, 1.5 * rim, 2 * rim)]
    assert far[0] < far[1] < far[2] < 1.3 * rim
    random = np.random.default_rng(2).standard_normal((4000, count))
    moved = np.mean([not np.array_equal(cut(row), row) for row in random])
    assert moved == pytest.approx(0.025, abs=0.01)


def test_what_users_say_of_a_region_scales_what_is_measured(head):
    names = [name for name, _, _ in head.changes]
    nose = np.array([name.startswith("nose") for name in names])
    usual = subject_values(0, 3, "asian/male", head)["shape"]
    half = Population({"shape_nose": {"normal": [0, 0.5]}})
    small = subject_values(0, 3, "asian/male", head, half)["shape"]
    assert np.array_equal(small[~nose], usual[~nose])
    inside = nose & (np.abs(usual) < 1)
    assert np.allclose(small[inside], usual[inside] / 2)
    none = Population({"shape_nose": 0})
    assert not subject_values(0, 3, "asian/male", head, none)["shape"][nose].any()


def test_base_shapes_are_the_head_models_own_but_stronger():
    weights = base_weights("asian", "female", 50, 0.5, 0.5)
    phenotypes = [weight for name, weight in weights.items() if name.count("/") == 2]
    builds = [weight for name, weight in weights.items() if name.count("/") == 3]
    assert sum(phenotypes) == pytest.approx(1)
    assert sum(builds) == pytest.approx(1)
    of_women = sum(w for name, w in weights.items() if "female" in name.split("/")[:2])
    assert of_women > 2
    assert weights["asian/female/young"] > 0 > weights["asian/male/young"]


def test_a_twin_of_another_gender_or_phenotype_is_seen(head):
    front = (head.template[:, 2] > 1) & (head.template[:, 1] > 6)
    for number in range(6):
        shapes = {}
        for group in GROUPS:
            shapes[group] = neutral_shape(draw_subject(3, number, group, head), head)[front]
        for phenotype in ("african", "asian", "caucasian"):
            apart = np.linalg.norm(
                shapes[f"{phenotype}/female"] - shapes[f"{phenotype}/male"], axis=1
            )
            assert apart.mean() > 0.025  # 2.5 mm
        apart = np.linalg.norm(shapes["african/female"] - shapes["caucasian/female"], axis=1)
        assert apart.mean() > 0.02


def test_the_distribution_is_small():
    assert SHAPES_FILE.stat().st_size < 150_000


@pytest.mark.slow
def test_the_fit_reproduces(tmp_path):
    from facelab.synthetic.baking.shapes import BROWS, bake
    from facelab.synthetic.population import default_population

    path, brows = bake(tmp_path / "shapes.npz")
    with np.load(path) as again, np.load(SHAPES_FILE) as shipped:
        assert sorted(again.files) == sorted(shipped.files)
        for name in ("mean", "women", "sd", "seen"):
            assert np.allclose(again[name], shipped[name], atol=1e-3), name
        # The signs of modes are arbitrary, their sum is not.
        assert np.allclose(
            again["modes"] @ again["modes"].T, shipped["modes"] @ shipped["modes"].T, atol=0.01
        )
    population = default_population()
    for name in BROWS:  # women's stand higher than men's; together they are where the fit has them
        mean = np.mean([population.distribution(name, group).numbers[0] for group in GROUPS])
        assert mean == pytest.approx(brows[name], abs=0.012)
