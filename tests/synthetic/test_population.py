"""The population as a declaration: identity free of the group, and every distribution in the
user's hands."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

import facelab as fl
from facelab.errors import BadInput
from facelab.synthetic import population as rooms
from facelab.synthetic.capture import ACTIONS, LOOSE_ACTIONS, RESTLESS, capture_values, draw_capture
from facelab.synthetic.distributions import Plan, read_distribution
from facelab.synthetic.head import load_head
from facelab.synthetic.normal import normal_score, normal_share
from facelab.synthetic.parameters import CAPTURE, GROUPS, LOOK, OWN_GLASSES, PARAMETERS, SUBJECT
from facelab.synthetic.plan import Order, faces_of, people
from facelab.synthetic.population import Population, default_population
from facelab.synthetic.subjects import (
    draw_subject,
    interleave,
    melanin_slope,
    neutral_shape,
    skin_albedo,
    subject_stream,
    subject_values,
    to_srgb,
)

# All that the built-in population lets depend on the group.
BY_PHENOTYPE = {"melanin", "hair_tone", "hair_curl", "afro", "iris_tone"}
BY_GENDER = {"hair_style", "balding", "dyed", "brow_thickness", "beard", "stubble", "lashes"}
BY_GENDER |= {"lipstick_habit"}


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
    assert {name for name in PARAMETERS if default.differs(name)} == BY_PHENOTYPE | BY_GENDER
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
            for name in person.keys() - BY_PHENOTYPE - BY_GENDER:
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
            if wanted.count and name not in BY_PHENOTYPE | BY_GENDER:
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
    assert 0.1 < shapes.std(0).min() < shapes.std(0).max() < 0.8


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
    found = fl.ita(fl.groups.srgb_to_lab(to_srgb(np.array(rgb, float))))
    assert found == pytest.approx(np.degrees(np.arctan((lightness - 50) / b)), abs=0.05)


def test_more_melanin_is_darker_and_the_slope_is_its_derivative():
    angles = []
    for melanin in (0.1, 0.3, 0.6, 0.9):
        albedo = skin_albedo(melanin, 0.05)
        step = np.log(skin_albedo(melanin + 1e-5, 0.05)) - np.log(albedo)
        assert np.allclose(-step / 1e-5, melanin_slope(melanin), rtol=1e-3)
        angles.append(fl.ita(fl.groups.srgb_to_lab(to_srgb(albedo))))
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
    assert 13 < np.std([values["yaw"] for values in drawn]) < 18
    assert 5 < np.std([values["pitch"] for values in drawn]) < 9
    assert {values["expression"] for values in drawn} == {*ACTIONS, "random"}
    glasses = [values["glasses"] for values in drawn]
    assert 0.8 < glasses.count("own") / len(drawn) < 0.95
    assert 0.003 < glasses.count("sun") / len(drawn) < 0.03
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


def test_hair_goes_by_gender_and_afros_by_phenotype(head):
    styles = {
        group: [draw_subject(0, n, group, head).hair_style for n in range(300)] for group in GROUPS
    }
    for group, drawn in styles.items():
        long = np.isin(drawn, ["bob01", "bob02", "long01", "ponytail01", "braid01"]).mean()
        assert (long > 0.4) if group.endswith("female") else (long < 0.1)
        afro = np.mean(np.array(drawn) == "afro01")
        assert (afro > 0.15) if group.startswith("african") else (afro < 0.06)


def test_marks_are_as_many_as_counted(head):
    subject, values = draw_subject(0, 1, GROUPS[0], head), subject_values(0, 1, GROUPS[0], head)
    assert (subject.marks[:, 3] > 0).sum() == int(values["mark_count"])


# ---- what users change


def test_fewer_photos_for_a_group():
    faces = fl.synthesize(
        12, seed=1, size=32, jobs=1,
        population={"images_per_subject": 3, "african/female": {"images_per_subject": 1}},
    )  # fmt: skip
    images = faces.composition(["phenotype", "gender"])["images"]
    assert images["african/female"] == 2
    assert images.drop("african/female").eq(6).all()
    assert faces.card["parameters"]["population"]["african/female"]["images_per_subject"] == 1
    # explicit arguments override
    faces = fl.synthesize(6, 2, size=32, jobs=1, population={"male": {"images_per_subject": 9}})
    assert faces.composition("gender")["images"].eq(6).all()


def test_worse_light_for_a_phenotype_leaves_the_others_alone():
    darker = Population({"african": {"exposure": {"normal": [-1, 0.5]}}})
    assert [n for n in PARAMETERS if darker.differs(n) and n in CAPTURE] == ["exposure"]
    here = np.array([values["exposure"] for values in captures(400, "african/male", darker)])
    usual = captures(400, "african/male")
    assert here.mean() == pytest.approx(-1, abs=0.08)
    assert np.corrcoef(here, [values["exposure"] for values in usual])[0, 1] > 0.999
    for was, now in zip(usual, captures(400, "african/male", darker), strict=True):
        assert {k: v for k, v in was.items() if k in CAPTURE and k != "exposure"} == {
            k: v for k, v in now.items() if k in CAPTURE and k != "exposure"
        }
    other = [values["exposure"] for values in captures(50, "asian/male", darker)]
    assert other == [values["exposure"] for values in captures(50, "asian/male")]


def test_older_men(head):
    older = Population({"male": {"age": {"uniform": [60, 80]}}})
    ages = [draw_subject(0, n, "asian/male", head, older).age for n in range(50)]
    assert min(ages) >= 60
    assert draw_subject(0, 3, "asian/female", head, older).age == draw_subject(
        0, 3, "asian/female", head
    ).age  # fmt: skip


@pytest.mark.parametrize("alike", [0.3, 0.8])
def test_look_alikes_correlate_within_families_and_keep_their_distribution(head, alike):
    some = Population({"asian/male": {"look_alikes": alike, "family_size": 4}})
    shapes = np.array(
        [draw_subject(0, n, "asian/male", head, some, n // 4).shape for n in range(400)]
    )
    names = [name for name, _, _ in head.changes]
    nose = shapes[:, [place for place, name in enumerate(names) if name.startswith("nose")]]
    families = nose.reshape(100, 4, -1)
    within = np.corrcoef(families[:, 0].ravel(), families[:, 1].ravel())[0, 1]
    between = np.corrcoef(families[:-1, 0].ravel(), families[1:, 0].ravel())[0, 1]
    assert within == pytest.approx(alike, abs=0.06)
    assert abs(between) < 0.06
    said = some.distribution("shape_nose", "asian/male").at((np.arange(999) + 0.5) / 999)
    assert nose.std() == pytest.approx(said.std(), rel=0.06)
    other = draw_subject(0, 2, "asian/female", head, some)
    assert np.array_equal(other.shape, draw_subject(0, 2, "asian/female", head).shape)


def test_another_look_is_the_same_person(head):
    looks = [subject_values(0, 5, "asian/female", head, look=look) for look in range(6)]
    for name, value in looks[0].items():
        same = [np.array_equal(value, other[name]) for other in looks[1:]]
        assert all(same) or name in LOOK
    assert len({look["hair_style"] for look in looks}) > 2


def test_looks_change_after_so_many_photos():
    plain = fl.synthesize(6, 4, seed=1, size=32, jobs=1)
    faces = fl.synthesize(6, 4, seed=1, size=32, jobs=1, population={"images_per_look": 2})
    first = plain.table["image"].str[-3:].astype(int).to_numpy() < 2
    assert np.array_equal(faces.crops[first], plain.crops[first])
    assert (faces.crops[~first] != plain.crops[~first]).any((1, 2, 3)).all()
    assert plain.table.groupby("subject")["hair_style"].nunique().eq(1).all()
    assert faces.table.groupby("subject")["hair_style"].nunique().max() == 2


def test_families_are_counted_within_the_group():
    from facelab.synthetic.plan import people
    from facelab.synthetic.produce import checked_order

    some = Population({"subjects": 36, "family_size": 2})
    roll = list(people(checked_order(some, 0, 32, "aligned")))
    families = [person.family for person in roll if person.group == "asian/male"]
    assert families == [0, 0, 1, 1, 2, 2]


def test_the_narrowest_word_of_the_user_holds():
    mine = Population(
        {
            "melanin": {"uniform": [0.1, 0.2]},
            "female": {"melanin": {"uniform": [0.3, 0.4]}},
            "asian/female": {"melanin": 0.5},
        }
    )
    numbers = {group: mine.distribution("melanin", group).numbers[0] for group in GROUPS}
    assert numbers == {
        group: 0.5 if group == "asian/female" else 0.3 if group.endswith("female") else 0.1
        for group in GROUPS
    }


def test_a_population_is_its_own_yaml(tmp_path):
    mine = Population(
        {
            "subjects": 30,
            "shares": {"asian/male": 0.5},
            "african": {"exposure": {"normal": [-1, 0.5]}, "look_alikes": 0.4},
            "glasses": "sun",
        }
    )
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(mine.to_dict()))
    assert Population.load(path) == mine
    assert hash(Population.load(path)) == hash(mine)
    assert mine != default_population()
    assert repr(mine) == "Population: 30 subjects; own: look_alikes, exposure, glasses"
    assert mine.changed(subjects=12).subjects == 12
    assert Population(default_population().to_dict()) == default_population()


def test_every_shipped_population_is_valid_and_changes_photos_not_people():
    files = list((Path(__file__).parents[2] / "experiments" / "populations").glob("*.yaml"))
    assert files
    for file in files:
        own = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert Population.load(file) == Population(own)
        assert set(own) <= set(CAPTURE), file.name


def test_the_default_yaml_documents_every_parameter_and_no_other():
    text = rooms.DEFAULT_FILE.read_text()
    top = {key for key in yaml.safe_load(text) if key not in rooms._KEYS}
    assert top == {*PARAMETERS, *rooms._SETTINGS, "subjects", "shares"}


def test_the_table_says_what_holds_for_whom():
    table = Population({"asian/male": {"yaw": 0}}).table()
    assert list(table.columns) == ["differs", *GROUPS]
    assert set(table.index[table["differs"]]) == BY_PHENOTYPE | BY_GENDER | {"yaw"}
    assert table.loc["yaw", "asian/male"] == "0"
    assert table.loc["muscle", "asian/male"] == "uniform [0, 1]"
    assert table.loc["zoom", "asian/male"] == "normal [1, 0.02], low 0.94, high 1.06"
    assert table.loc["iris_tone", "african/male"].startswith("dark_brown 0.8, brown 0.17")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"yaww": 1}, "no parameter 'yaww': did you mean yaw?"),
        ({"martian/male": {"yaw": 1}}, "no group 'martian/male'"),
        ({"africa": {"yaw": 1}}, "did you mean african?"),
        ({"african": {"yaww": 1}}, "no parameter 'yaww of african': did you mean yaw?"),
        ({"african": 3}, "african must hold parameters"),
        ({"yaw": {"gauss": [0, 1]}}, "yaw: .* is no distribution of a number"),
        ({"yaw": {"normal": [0]}}, r"normal takes \[mean, sd\]"),
        ({"yaw": {"normal": [0, -1]}}, "sd must not be negative"),
        ({"yaw": {"normal": [0, "wide"]}}, "'wide' is not a number"),
        ({"yaw": {"uniform": [5, 1]}}, "swap them"),
        ({"yaw": {"uniform": [0, 100]}}, "100 is beyond what can be rendered, -60 to 60"),
        ({"yaw": {"normal": [0, 10], "high": 90}}, "90 is beyond"),
        ({"melanin": True}, "is no distribution"),
        ({"distance": {"log_uniform": [0, 9]}}, "needs numbers above 0"),
        ({"age": {"power": [20, 60, 0]}}, "exponent must be above 0"),
        ({"male": {"age": 90}}, "age of male: 90 is beyond what can be rendered, 18 to 80"),
        ({"glasses": {"choice": {"sun": 0.4, "none": 0.5}}}, "glasses: the shares add up to 0.9"),
        ({"glasses": {"choice": {"pink": 1}}}, "there is no 'pink'; there are: none, round"),
        ({"glasses": {"choice": {"sun": 2, "none": -1}}}, "share of sun must be 0 to 1"),
        ({"glasses": {"uniform": [0, 1]}}, "is no choice"),
        ({"blink": 3}, "blink: give the share that has it"),
        ({"images_per_subject": 2.5}, "`images_per_subject` must be a whole number"),
        ({"look_alikes": 2}, "`look_alikes` must be a number from 0 to 1"),
        ({"african": {"subjects": 3}}, "subjects can only stand at the top"),
        ({"shares": {"asian/male": 2}}, "between 0 and 1"),
        ({"shares": [1]}, "shares must name groups"),
        ({"shares": {"asian/male": "half"}}, "shares must name groups with their share, not"),
        ({"shares": {"asian/male": [1]}}, "shares must name groups"),
        ({"shares": {1: 0.5}}, "no group 1"),
        ({"yaw": 10**400}, "is no distribution"),
        ({"yaw": {"normal": [0, 10**400]}}, "is not a number"),
        ({"yaw": float("nan")}, "is no distribution"),
        ({"yaw": {"normal": [0, [1]]}}, r"\[1\] is not a number"),
        ({"subjects": 10**400}, "`subjects` must be a whole number"),
        ({"subjects": float("inf")}, "`subjects` must be a whole number"),
        ({"blink": 10**400}, "blink: give the share"),
        ({"glasses": {"choice": {"sun": 10**400}}}, "share of sun must be 0 to 1"),
        ({1: 2}, "no parameter '1'"),
        ({"african": [1]}, "african must hold parameters"),
        ({"african": {None: 1}}, "no parameter 'None of african'"),
        ({"african": {"yaw": 1}, "female": {"yaw": 2}}, "african and female both say yaw"),
        ([1, 2], "a population is a mapping"),
    ],
)
def test_bad_yaml_gives_one_clear_sentence(given, sentence):
    with pytest.raises(BadInput, match=sentence):
        Population(given)


def test_a_bad_file_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(FileNotFoundError, match=r"no population file .*mine.yaml"):
        Population.load(path)
    for text, sentence in (
        ("a: [1", "is not valid yaml"),
        ("- 1", "must hold parameters"),
        ("yaww: 1", "mine.yaml: there is no parameter 'yaww'"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=sentence):
            Population.load(path)
    path.write_text("")
    assert Population.load(path) == default_population()


def test_numbers_that_pyyaml_takes_for_text_are_numbers(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("yaw: {normal: [0, 1e-3]}\nblink: 5e-2\nglasses: {choice: {sun: 1e0}}\n")
    expected = Population({"yaw": {"normal": [0, 1e-3]}, "blink": 0.05, "glasses": "sun"})
    assert Population.load(path) == expected


def test_groups_are_evenly_mixed():
    assert interleave({"a": 2, "b": 1, "c": 0}) == ["a", "b", "a"]


def test_own_glasses_are_the_subjects_in_colour_and_kind(head):
    population = Population({"glasses": "own", "own_glasses": "aviator", "subjects": 6})
    order = Order(population, 3, 32, "aligned")
    for person in people(order):
        worn = [
            tuple(face.capture[name.removeprefix("own_")] for name in OWN_GLASSES)
            for faces in faces_of(order, person)
            for face in faces
        ]
        assert len(set(worn)) == 1
        assert worn[0][0] == "aviator"


def test_who_has_no_glasses_wears_none_of_their_own():
    population = Population({"glasses": "own", "own_glasses": "none", "subjects": 6})
    order = Order(population, 3, 32, "aligned")
    for person in people(order):
        for (face,) in faces_of(order, person):
            assert face.capture["glasses"] == "none"
