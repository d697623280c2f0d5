"""Twins: one value changed and nothing else."""

import dataclasses

import numpy as np
import pytest

import facelab as fl
from facelab.errors import BadInput
from facelab.synthetic.parameters import CAPTURE, OWN_GLASSES, SUBJECT
from facelab.synthetic.plan import faces_of, people
from facelab.synthetic.population import Population, default_population
from facelab.synthetic.produce import checked_order, render_face
from facelab.synthetic.subjects import build_subject
from facelab.synthetic.twins import FACTORS, read_changes

CHANGE = {
    "melanin": [0.1, 0.8],
    "phenotype": ["african", "asian", "caucasian"],
    "age": [45, 70],
    "expression": ["happiness"],
    "light_azimuth": [-60],
    "exposure": [-1.5],
    "glasses": ["sun"],
}


@pytest.fixture(scope="module")
def twins():
    return fl.synthesize_twins(CHANGE, subjects=6, images_per_subject=2, seed=1, size=32, jobs=1)


def first_photo(changes, number=0):
    order = checked_order(default_population().changed(subjects=6), 1, 32, "aligned", changes)
    person = list(people(order))[number]
    return order, next(faces_of(order, person))[0]


def subject_of(face):
    return build_subject("x", face.phenotype, face.gender, face.values)


# ---- nothing else


def test_photos_are_those_of_synthesize(twins):
    plain = fl.synthesize(6, 2, seed=1, size=32, jobs=1)
    base = twins.query("factor == 'base'")
    assert np.array_equal(base.crops, plain.crops)
    assert base.table[list(plain.table)].equals(plain.table)


@pytest.mark.parametrize("factor", list(FACTORS))
def test_a_twin_at_the_photos_own_value_is_the_photo(factor):
    order, photo = first_photo(((factor, None),))
    values = {"phenotype": photo.phenotype, "gender": photo.gender} | photo.values | photo.capture
    twin = photo.changed(0, factor, values[factor])
    crops = [render_face(order, face, {})[0] for face in (photo, twin)]
    assert np.array_equal(crops[0], crops[1])
    level = read_changes({factor: [values[factor]]})[0][1]
    assert level == values[factor]
    assert type(level) is type(values[factor])


def test_a_subjects_twin_differs_in_what_follows_from_the_value():
    _, photo = first_photo((("melanin", 0.9),))
    photo = photo.changed(0, "dyed", False)

    def different(factor, level):
        one, other = subject_of(photo), subject_of(photo.changed(0, factor, level))
        return {
            field.name
            for field in dataclasses.fields(one)
            if not np.array_equal(getattr(one, field.name), getattr(other, field.name))
        }

    assert different("melanin", 0.9) == {"melanin"}
    assert different("phenotype", "caucasian") == {"phenotype"}
    assert different("gender", "male") == {"gender"}
    assert different("weight", 0.9) == {"weight"}
    hair = {"hair_colour", "brow_colour", "beard_colour"}
    assert different("age", 80.0) == {"age", "wrinkles"} | hair


def test_a_captures_twin_differs_in_the_value_alone(twins):
    table = twins.table
    base = table[table["factor"] == "base"].set_index("image")
    for factor in ("light_azimuth", "exposure", "glasses", "expression"):
        other = table[table["factor"] == factor].set_index("twin")
        for column in [*CAPTURE, "age", "ita", "hair_style"]:
            same = (other[column].astype(str) == base.loc[other.index, column].astype(str)).all()
            assert same == (column != factor)


def test_twins_differ_in_pixels(twins):
    row = {image: place for place, image in enumerate(twins.table["image"])}
    for place, one in enumerate(twins.table.itertuples()):
        differs = (twins.crops[place] != twins.crops[row[one.twin]]).any()
        assert differs == (one.factor != "base")


def test_labels_are_the_twins_own(twins):
    table = twins.table
    assert set(table.loc[table["factor"] == "phenotype", "phenotype"]) == set(CHANGE["phenotype"])
    dark = table[(table["factor"] == "melanin") & (table["level"] == "0.8")]
    light = table[(table["factor"] == "melanin") & (table["level"] == "0.1")]
    assert (dark["ita"].to_numpy() < light["ita"].to_numpy()).all()
    assert (table.loc[(table["factor"] == "age") & (table["level"] == "70"), "age"] == 70).all()
    assert table["subject"].nunique() == 6
    assert table["image"].is_unique
    assert table["image"].iloc[1] == "s1-00001/000/melanin=0.1"


def test_a_photos_own_value_has_no_twin(twins):
    table = twins.table
    base = table[table["factor"] == "base"].set_index("image")
    counts = table[table["factor"] == "phenotype"].groupby("twin", observed=True).size()
    assert counts.eq(2).all()
    happy = (base["expression"] == "happiness").sum()
    assert (table["factor"] == "expression").sum() == len(base) - happy
    assert (table["factor"] == "melanin").sum() == 2 * len(base)


# ---- stored


def test_twins_are_the_same_for_any_number_of_processes_and_on_disk(twins, tmp_path):
    stored = fl.synthesize_twins(CHANGE, 6, 2, 1, 32, tmp_path / "twins", jobs=2)
    assert np.array_equal(stored.crops, twins.crops)
    assert stored.table.equals(twins.table)
    assert stored.card["parameters"]["changes"][:2] == [["melanin", 0.1], ["melanin", 0.8]]
    assert "twins" in stored.card["name"]


def test_twins_follow_a_population():
    dark = Population({"exposure": -1, "images_per_subject": 9})
    faces = fl.synthesize_twins({"exposure": 0}, 6, 1, size=32, jobs=1, population=dark)
    assert faces.table["exposure"].tolist() == [-1, 0] * 6


# ---- bad input


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"melanim": [0.1]}, "'melanim' cannot be changed alone .did you mean 'melanin'"),
        ({"shape_nose": [0.1]}, "'shape_nose' cannot be changed alone"),
        ({"melanin": [2]}, "melanin goes from 0.01 to 1, and not to 2"),
        ({"melanin": ["dark"]}, "and not to 'dark'"),
        ({"phenotype": ["martian"]}, "no level 'martian'.*; there are: african, asian, caucasian"),
        ({"dyed": [1]}, "dyed is true or false"),
        ({"age": [30, 30.0]}, "age 30 stands in `change` twice"),
        ({"age": []}, "gives age no levels"),
        ({}, "must name factors"),
    ],
)
def test_nonsense_is_one_sentence(change, sentence):
    with pytest.raises(BadInput, match=sentence):
        fl.synthesize_twins(change, 6, 1, size=32, jobs=1)


def test_every_single_valued_parameter_can_be_changed():
    single = {name for name, wanted in (SUBJECT | CAPTURE).items() if wanted.count == 1}
    assert set(FACTORS) == single - {*OWN_GLASSES} | {"phenotype", "gender"}
    assert "own" not in FACTORS["glasses"].labels
