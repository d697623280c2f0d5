"""The population as users change it: what a yaml of theirs says holds, and nothing else moves."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from drawn_people import BY_GENDER, BY_GROUP, BY_PHENOTYPE, draw_subject

import facelab as fl
from facelab.errors import BadInput
from facelab.synthetic import population as rooms
from facelab.synthetic.capture import capture_values
from facelab.synthetic.head import load_head
from facelab.synthetic.parameters import CAPTURE, GROUPS, LOOK, OWN_GLASSES, PARAMETERS
from facelab.synthetic.plan import Order, faces_of, people
from facelab.synthetic.population import Population, default_population
from facelab.synthetic.shapes import load_shapes
from facelab.synthetic.subjects import (
    interleave,
    neutral_shape,
    subject_stream,
    subject_values,
)


@pytest.fixture(scope="module")
def head():
    return load_head()


def captures(count, group="asian/female", population=None):
    return [capture_values(subject_stream(0, n, 1, 0), group, population) for n in range(count)]


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
    places = [place for place, name in enumerate(names) if name.startswith("nose")]
    nose = shapes[:, places] / load_shapes().sd[places]
    families = nose.reshape(100, 4, -1)
    within = np.corrcoef(families[:, 0].ravel(), families[:, 1].ravel())[0, 1]
    between = np.corrcoef(families[:-1, 0].ravel(), families[1:, 0].ravel())[0, 1]
    assert within == pytest.approx(alike, abs=0.06)
    assert abs(between) < 0.06
    said = some.distribution("shape_nose", "asian/male").at((np.arange(999) + 0.5) / 999)
    # What is rare in everything at once is drawn in, the more where a family is rare together.
    assert nose.std() == pytest.approx(said.std(), rel=0.1)
    other = draw_subject(0, 2, "asian/female", head, some)
    assert np.array_equal(other.shape, draw_subject(0, 2, "asian/female", head).shape)


def test_another_look_is_the_same_person(head):
    looks = [subject_values(0, 5, "asian/female", head, look=look) for look in range(6)]
    for name, value in looks[0].items():
        same = [np.array_equal(value, other[name]) for other in looks[1:]]
        assert all(same) or name in LOOK
    assert len({look["hair_style"] for look in looks}) > 2


def test_looks_change_after_so_many_photos():
    plain, faces = (
        fl.synthesize(6, 4, seed=1, size=32, jobs=1, population={"images_per_look": each})
        for each in (0, 2)
    )
    first = plain.table["image"].str[-3:].astype(int).to_numpy() < 2
    assert np.array_equal(faces.crops[first], plain.crops[first])
    assert (faces.crops[~first] != plain.crops[~first]).any((1, 2, 3)).all()
    assert plain.table.groupby("subject")["hair_style"].nunique().eq(1).all()
    assert faces.table.groupby("subject")["hair_style"].nunique().max() == 2


def test_redrawn_looks_leave_face_and_photo_as_they_were(head):
    """Head, skin and eyes to the last digit; and every parameter of every photo."""
    plain, redrawn = (
        fl.synthesize(6, 4, seed=1, size=32, jobs=1, population={"images_per_look": each})
        for each in (0, 1)
    )
    own = {name.removeprefix("own_") for name in LOOK} | set(LOOK)
    kept = [column for column in plain.table if column not in own]
    pd.testing.assert_frame_equal(plain.table[kept], redrawn.table[kept])
    assert redrawn.table.groupby("subject")["hair_style"].nunique().mean() > 2
    for number, group in enumerate(GROUPS):
        first, *others = (draw_subject(1, number, group, head, look=look) for look in range(4))
        shape = neutral_shape(first, head)
        for other in others:
            assert neutral_shape(other, head).tobytes() == shape.tobytes()
            assert other.skin.tobytes() == first.skin.tobytes()
            assert other.marks.tobytes() == first.marks.tobytes()
            assert other.iris.tobytes() == first.iris.tobytes()


def test_where_looks_are_hidden_redrawn_ones_are_the_same_bytes():
    """Bald, shaven and without make-up, a redrawn look has nothing to show."""
    hidden = {"hair_style": {"choice": {"bald": 1}}, "dyed": 0, "beard": 0, "stubble": 0}
    hidden |= {"lipstick_habit": 0, "own_glasses": {"choice": {"none": 1}}}
    plain, redrawn = (
        fl.synthesize(6, 4, seed=1, size=32, jobs=1, population={**hidden, "images_per_look": each})
        for each in (0, 1)
    )
    assert np.array_equal(plain.crops, redrawn.crops)


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
    changed = mine.changed(exposure=0, female={"exposure": 1}, **{"asian/female": {"exposure": 2}})
    groups = ("african/male", "african/female", "asian/female")
    assert [changed.distribution("exposure", group).numbers[0] for group in groups] == [0, 1, 2]
    assert changed.setting("look_alikes", "asian/male") == mine.setting("look_alikes", "asian/male")
    assert Population(default_population().to_dict()) == default_population()


def test_every_shipped_population_is_valid_and_changes_photos_not_people():
    files = list((Path(__file__).parents[2] / "experiments" / "populations").glob("*.yaml"))
    assert files
    for file in files:
        own = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert Population.load(file) == Population(own)
        assert set(own) <= {*CAPTURE, "images_per_look"}, file.name  # whose hair may stay


def test_the_default_yaml_documents_every_parameter_and_no_other():
    text = rooms.DEFAULT_FILE.read_text()
    top = {key for key in yaml.safe_load(text) if key not in rooms._KEYS}
    assert top == {*PARAMETERS, *rooms._SETTINGS, "subjects", "shares"}


def test_the_table_says_what_holds_for_whom():
    table = Population({"asian/male": {"yaw": 0}}).table()
    assert list(table.columns) == ["differs", *GROUPS]
    assert set(table.index[table["differs"]]) == BY_PHENOTYPE | BY_GENDER | BY_GROUP | {"yaw"}
    assert table.loc["yaw", "asian/male"] == "0"
    assert table.loc["gloss", "asian/male"].startswith("uniform [0.")
    assert table.loc["zoom", "asian/male"] == "normal [1, 0.02], low 0.94, high 1.06"
    assert table.loc["iris_tone", "african/male"].startswith("dark_brown 0.8, brown 0.17")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"yaww": 1}, "no parameter 'yaww' .did you mean 'yaw'"),
        ({"martian/male": {"yaw": 1}}, "no group 'martian/male'"),
        ({"africa": {"yaw": 1}}, ".did you mean 'african'"),
        ({"african": {"yaww": 1}}, "no parameter 'yaww of african' .did you mean 'yaw'"),
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
        ({"shares": {1: 0.5}}, "no group '1'"),
        ({"yaw": 10**400}, "is no distribution"),
        ({"yaw": {"normal": [0, 10**400]}}, "is not a number"),
        ({"yaw": float("nan")}, "is no distribution"),
        ({"yaw": {"normal": [0, [1]]}}, r"\[1\] is not a number"),
        ({"subjects": "3"}, "`subjects` must be a whole number"),
        ({"yaw": "nan"}, "is no distribution"),
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
        ("", "mine.yaml is empty"),
        ("yaww: 1", "mine.yaml: there is no parameter 'yaww'"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=sentence):
            Population.load(path)
    path.write_text("# nothing differs\n")
    assert Population.load(path) == default_population()


def test_numbers_that_pyyaml_takes_for_text_are_numbers(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "yaw: {normal: [0, 1e-3], high: 1e1}\nblink: 5e-2\nglasses: {choice: {sun: 1e0}}\n"
        "roll: 1e-1\nlook_alikes: 1e-1\nshares: {asian/male: 5e-1}\n"
    )
    expected = {"yaw": {"normal": [0, 1e-3], "high": 10}, "blink": 0.05, "glasses": "sun"}
    expected |= {"roll": 0.1, "look_alikes": 0.1, "shares": {"asian/male": 0.5}}
    assert Population.load(path) == Population(expected)


def test_groups_are_evenly_mixed():
    assert interleave({"a": 2, "b": 1, "c": 0}) == ["a", "b", "a"]


def test_own_glasses_are_the_subjects_in_colour_and_kind(head):
    own = {"glasses": "own", "own_glasses": "aviator", "glasses_onset": 0, "images_per_look": 0}
    population = Population({"subjects": 6, **own})
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


def test_glasses_are_worn_from_an_age_on():
    always = {"glasses": "own", "own_glasses": "round", "glasses_onset": 45, "subjects": 24}
    for person in people(Order(Population(always), 3, 32, "aligned")):
        for (face,) in faces_of(Order(Population(always), 3, 32, "aligned"), person):
            worn = "round" if face.values["age"] >= 45 else "none"
            assert face.capture["glasses"] == worn
