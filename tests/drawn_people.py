"""Subjects and captures drawn one at a time, shared by the tests of the population."""

import numpy as np

from facelab.synthetic.capture import Capture, build_capture, capture_values, with_own_glasses
from facelab.synthetic.head import Head
from facelab.synthetic.population import Population
from facelab.synthetic.subjects import Subject, build_subject, subject_name, subject_values

# All that the built-in population lets depend on the group.
BY_PHENOTYPE = {"melanin", "hair_tone", "hair_curl", "dye_tone", "iris_tone"}
BY_GENDER = {"balding", "dyed", "brow_thickness", "beard", "stubble", "lashes"}
BY_GENDER |= {"lipstick_habit", "eye_makeup", "lip_red", "brow_density"}
BY_GENDER |= {"brow_height", "brow_arch"}
BY_GROUP = {"hair_style"}


def draw_subject(
    seed: int,
    number: int,
    group: str,
    head: Head,
    population: Population | None = None,
    family: int = 0,
    look: int = 0,
) -> Subject:
    """Subject `number` of the population `seed`, as a member of `group`.

    The quantiles are the same whatever the group: the same number in another group is the same
    person with another phenotype base and palette. `family` counts the group's families of
    look-alikes, and matters only where the population has some. Another `look` is the same person
    with other hair, beard and make-up.
    """
    values = subject_values(seed, number, group, head, population, family, look)
    return build_subject(subject_name(seed, number), *group.split("/"), values)


def draw_capture(
    random: np.random.Generator, group: str, head: Head, population: Population | None = None
) -> Capture:
    """One photo's conditions as the population has them for the group, without own glasses.

    The stream, `subject_stream(seed, number, 1, image)`, goes on to be the sensor's grain.
    """
    values = capture_values(random, group, population)
    return build_capture(with_own_glasses(values, {"own_glasses": "none"}), head)
