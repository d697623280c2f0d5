"""The population as a declaration: identity free of the group, and every distribution in the
user's hands."""

import numpy as np
import pytest
from drawn_people import BY_GENDER, BY_GROUP, BY_PHENOTYPE, draw_capture, draw_subject
from scipy import stats

import facelab as fl
from facelab.faces.colour import srgb_to_lab
from facelab.synthetic.capture import ACTIONS, LOOSE_ACTIONS, RESTLESS, capture_values
from facelab.synthetic.distributions import Plan, read_distribution
from facelab.synthetic.head import load_head
from facelab.synthetic.normal import normal_score, normal_share
from facelab.synthetic.parameters import CAPTURE, GROUPS, PARAMETERS, SUBJECT
from facelab.synthetic.population import Population, default_population
from facelab.synthetic.subjects import (
    SHORT_HAIR,
    blood_slope,
    melanin_slope,
    neutral_shape,
    skin_albedo,
    subject_stream,
    subject_values,
    to_srgb,
)


@pytest.fixture(scope="module")
def head():
    return load_head()


def captures(count, group="asian/female", population=None):
    return [capture_values(subject_stream(0, n, 1, 0), group, population) for n in range(count)]


# ---- distributions


QUANTILES = np.array([1e-6, 0.02, 0.3, 0.5, 0.9, 0.999])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"normal": [3, 2]}, stats.norm(3, 2).ppf(QUANTILES)),
        ({"normal": [0, 1], "low": -1, "high": 2}, np.clip(stats.norm.ppf(QUANTILES), -1, 2)),
        ({"log_normal": [0.85, 0.3]}, stats.lognorm(0.3, scale=0.85).ppf(QUANTILES)),
        ({"uniform": [2, 6]}, 2 + 4 * QUANTILES),
        ({"uniform": [-1, 1], "low": 0}, np.maximum(2 * QUANTILES - 1, 0)),
        ({"log_uniform": [5, 25]}, stats.loguniform(5, 25).ppf(QUANTILES)),
        ({"power": [1, 3, 2]}, 1 + 2 * QUANTILES**2),
        (0.4, np.full(6, 0.4)),
    ],
)
def test_a_distribution_gives_the_textbook_quantiles(given, expected):
    found = read_distribution("x", given)
    assert np.allclose(found.at(QUANTILES), expected, atol=1e-12)
    assert np.allclose(Plan([found] * 6).values(QUANTILES), expected, atol=1e-12)
    assert read_distribution("x", found.to_yaml()) == found


def test_a_choice_takes_each_label_as_often_as_its_share():
    found = read_distribution("x", {"choice": {"a": 0.2, "b": 0.0, "c": 0.8}}, labels=tuple("abcd"))
    even = (np.arange(1000) + 0.5) / 1000
    labels, counts = np.unique(found.at(even), return_counts=True)
    assert dict(zip(labels, counts, strict=True)) == {"a": 200, "c": 800}
    assert [Plan([found]).values(np.array([u]))[0] for u in (0.1, 0.2, 0.9)] == ["a", "c", "c"]
    often = read_distribution("x", 0.25, chance=True)
    assert often.at(even).sum() == 250


def test_normal_scores_equal_scipy():
    shares = np.concatenate([np.linspace(1e-4, 1 - 1e-4, 999), 10.0 ** -np.arange(4, 17)])
    scores = stats.norm.ppf(shares)
    assert np.allclose(normal_score(shares), scores, rtol=1e-14, atol=1e-14)
    assert np.allclose(normal_share(scores), shares, rtol=1e-10)


# ---- identity and the group


def test_the_group_matters_only_where_the_yaml_says_so():
    default = default_population()
    assert {
        name for name in PARAMETERS if default.differs(name)
    } == BY_PHENOTYPE | BY_GENDER | BY_GROUP
    assert not any(default.differs(name) for name in CAPTURE)
    for name in BY_PHENOTYPE:
        assert default.distribution(name, "asian/male") == default.distribution(
            name, "asian/female"
        )
    for name in BY_GENDER:
        assert default.distribution(name, "asian/male") == default.distribution(
            name, "african/male"
        )


def test_one_subject_is_the_same_person_in_every_group(head):
    for number in range(20):
        people = [subject_values(5, number, group, head) for group in GROUPS]
        for person in people[1:]:
            for name in person.keys() - BY_PHENOTYPE - BY_GENDER - BY_GROUP:
                assert np.array_equal(person[name], people[0][name]), name
        faces = [draw_subject(5, number, group, head) for group in GROUPS]
        for face in faces[1:]:
            for name in ("shape", "skin_modes", "marks", "noise"):
                assert np.array_equal(getattr(face, name), getattr(faces[0], name))


def identity(groups, head, population=None):
    """One row a subject, one column an identity parameter (choices as numbers)."""
    rows = []
    for number, group in enumerate(groups):
        values = subject_values(0, number, group, head, population)
        row = list(values["shape"])
        for name, wanted in SUBJECT.items():
            if wanted.count and name not in BY_PHENOTYPE | BY_GENDER | BY_GROUP:
                value = wanted.labels.index(values[name]) if wanted.labels else values[name]
                row += np.ravel(value).tolist()
        rows.append(row)
    return np.array(rows, dtype=float)


def smallest_p(groups, table):
    """The smallest p of Kolmogorov-Smirnov tests of every group against the others, corrected for
    how many tests there are (Bonferroni)."""
    groups, found = np.array(groups), []
    for column in table.T:
        if np.ptp(column) == 0:
            continue
        for group in GROUPS:
            here = groups == group
            found.append(stats.ks_2samp(column[here], column[~here], method="asymp").pvalue)
    assert len(found) > 6 * 200
    return min(found) * len(found)


def test_identity_has_one_distribution_over_the_groups(head):
    groups = [GROUPS[number % 6] for number in range(900)]
    assert smallest_p(groups, identity(groups, head)) > 0.05
    # and the test would notice: a shift of the nose in one group
    other = Population({"asian/male": {"shape_nose": {"normal": [0.3, 0.72]}}})
    assert smallest_p(groups, identity(groups, head, other)) < 1e-3


def test_local_changes_stay_within_what_the_head_has(head):
    shapes = np.array([draw_subject(0, n, GROUPS[n % 6], head).shape for n in range(120)])
    assert np.abs(shapes).max() <= 1
    assert 0.05 < shapes.std(0).min() < shapes.std(0).max() < 0.8


def test_left_and_right_changes_are_nearly_alike(head):
    names = [name for name, _, _ in head.changes]
    left = [place for place, name in enumerate(names) if name.startswith("l-")]
    right = [names.index("r-" + names[place][2:]) for place in left]
    shapes = np.array([draw_subject(0, n, GROUPS[0], head).shape for n in range(80)])
    agreement = np.corrcoef(shapes[:, left].ravel(), shapes[:, right].ravel())[0, 1]
    assert 0.85 < agreement < 0.99
    twins = Population({"own_side": 0})
    shape = draw_subject(0, 0, GROUPS[0], head, twins).shape
    assert np.allclose(shape[left], shape[right])


def test_subjects_of_one_group_differ_in_shape(head):
    shapes = [neutral_shape(draw_subject(0, n, "asian/female", head), head) for n in (0, 1)]
    front = head.template[:, 2] > 1
    assert np.abs(shapes[0] - shapes[1])[front].mean() > 0.02  # 2 mm


# ---- skin


@pytest.mark.parametrize(
    ("rgb", "lightness", "b"),
    # Published CIELAB (D65) values of the sRGB primaries.
    [((1, 0, 0), 53.24, 67.20), ((1, 1, 0), 97.14, 94.48), ((0, 1, 0), 87.73, 83.18)],
)
def test_ita_of_an_albedo_equals_hand_values(rgb, lightness, b):
    found = fl.ita(srgb_to_lab(to_srgb(np.array(rgb, float))))
    assert found == pytest.approx(np.degrees(np.arctan((lightness - 50) / b)), abs=0.05)


def test_more_melanin_is_darker_and_the_slope_is_its_derivative():
    angles = []
    for melanin in (0.1, 0.3, 0.6, 0.9):
        albedo = skin_albedo(melanin, 0.0)
        step = np.log(skin_albedo(melanin + 1e-5, 0.0)) - np.log(albedo)
        assert np.allclose(-step / 1e-5, melanin_slope(melanin), rtol=1e-3)
        redder = np.log(albedo / skin_albedo(melanin, 0.01))
        assert np.allclose(redder / 0.01, blood_slope(melanin), rtol=1e-6)
        angles.append(fl.ita(srgb_to_lab(to_srgb(albedo))))
    assert np.all(np.diff(angles) < 0)


def test_skin_tones_of_phenotypes_overlap(head):
    ita = {
        name: [draw_subject(0, n, f"{name}/male", head).ita for n in range(150)]
        for name in ("african", "asian", "caucasian")
    }
    assert np.mean(ita["african"]) < np.mean(ita["asian"]) < np.mean(ita["caucasian"])
    assert max(ita["african"]) > min(ita["asian"])
    assert max(ita["asian"]) > np.mean(ita["caucasian"])


# ---- what is drawn


def test_captures_are_distributed_as_the_yaml_says():
    drawn, even = captures(2000), (np.arange(20_000) + 0.5) / 20_000
    for name, wanted in CAPTURE.items():
        values = np.array([photo[name] for photo in drawn])
        expected = default_population().distribution(name, GROUPS[0]).at(even)
        if wanted.labels or wanted.chance:
            for label in np.unique(expected):
                share = np.mean(expected == label)
                assert np.mean(values == label) == pytest.approx(share, abs=0.012 + share / 10)
        elif name in ("jpeg_quality", "random_actions"):
            assert values.mean() == pytest.approx(np.floor(expected).mean(), rel=0.02)
            assert values.min() == int(expected.min())
        elif np.ptp(expected):
            assert stats.ks_2samp(values, expected).pvalue > 1e-3, name


def test_a_photo_is_as_hard_as_one_of_a_camera():
    drawn = captures(1500)
    assert 10 < np.std([values["yaw"] for values in drawn]) < 15
    assert 5 < np.std([values["pitch"] for values in drawn]) < 9
    assert {values["expression"] for values in drawn} == {*ACTIONS, "random"}
    glasses = [values["glasses"] for values in drawn]
    assert 0.6 < glasses.count("own") / len(drawn) < 0.8
    assert 0.001 < glasses.count("sun") / len(drawn) < 0.03
    assert 0.02 < np.mean([values["headwear"] != "none" for values in drawn]) < 0.1
    assert np.mean([values["motion_blur"] > 0 for values in drawn]) < 0.2
    assert {values["background"] for values in drawn} == set(CAPTURE["background"].labels)


def test_eyes_are_open_but_for_rare_blinks(head):
    for group in GROUPS:
        drawn = [draw_capture(subject_stream(0, n, 1, 0), group, head) for n in range(400)]
        lids = np.array([photo.actions["eyeBlinkLeft"] for photo in drawn])
        assert 0 < np.mean(lids > 0.3) < 0.05
        assert np.median(lids) < 0.12


def test_expressions_are_made_of_the_heads_own_actions(head):
    for actions in (*ACTIONS.values(), LOOSE_ACTIONS, RESTLESS):
        for name in actions:
            assert name in head.actions or {name + "Left", name + "Right"} <= set(head.actions)
    calm = Population({"restless": 0, "expression": "random", "mouth_open": 0, "gaze_up": 0.01})
    sizes = set()
    for number in range(100):
        photo = draw_capture(subject_stream(0, number, 1, 0), GROUPS[0], head, calm)
        moved = {name for name, amount in photo.actions.items() if amount > 0}
        sizes.add(len({name.removesuffix("Left").removesuffix("Right") for name in moved}))
        assert all(amount <= 1 for amount in photo.actions.values())
    assert sizes <= set(range(2, 8))
    assert len(sizes) > 3


def test_restless_movements_scale_with_their_factor(head):
    def moved(factor):
        still = Population({"restless": factor, "expression": "neutral", "mouth_open": 0})
        photo = draw_capture(subject_stream(0, 1, 1, 0), GROUPS[0], head, still)
        return np.array([photo.actions[name] for name in RESTLESS])

    assert not moved(0).any()
    assert np.allclose(moved(2), 2 * moved(1))


def test_hair_goes_by_group(head):
    styles = {
        group: [draw_subject(0, n, group, head).hair_style for n in range(300)] for group in GROUPS
    }
    for group, drawn in styles.items():
        short = np.isin(drawn, SHORT_HAIR).mean()
        assert (short < 0.1) if group.endswith("female") else (short > 0.3)
        coily = ["afro_short", "afro_round", "afro_large", "twist_out", "puff", "cornrows"]
        coily += ["flat_twists", "box_braids", "locks", "locks_short"]
        share = np.isin(drawn, coily).mean()
        assert (share > 0.2) if group.startswith("african") else (share < 0.06)


def test_marks_are_as_many_as_counted(head):
    subject, values = draw_subject(0, 1, GROUPS[0], head), subject_values(0, 1, GROUPS[0], head)
    assert (subject.marks[:, 3] > 0).sum() == int(values["mark_count"])
