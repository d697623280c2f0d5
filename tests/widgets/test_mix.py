"""The mix composer: every position is a mix that can be made, and what gives way is said."""

import random

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab import widgets
from facelab.widgets.feasible import Stock, Wish


def people(**held):
    """A FaceSet with a subject of each group for every number of images."""
    rows = [
        (f"{group}{number}", f"{group}{number}/{image}", group)
        for group, images in held.items()
        for number, count in enumerate(images)
        for image in range(count)
    ]
    table = pd.DataFrame(rows, columns=["subject", "image", "race"])
    crops = np.zeros((len(table), 32, 32, 3), np.uint8)
    return fl.FaceSet.from_arrays(table, crops, name="none", synthetic=True)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_asked_for_last_is_kept_and_the_mix_can_be_made(seed):
    rng = random.Random(seed)
    for _ in range(20):
        held = {
            f"g{k}": [rng.randint(1, rng.choice([1, 5, 9])) for _ in range(rng.choice([1, 3, 40]))]
            for k in range(rng.randint(1, 6))
        }
        stock = Stock(held)
        everybody = [images for group in held.values() for images in group]
        named = {g: rng.choice([0, 0.1, 0.33, 0.9, 1]) for g in held if rng.random() < 0.5}
        wish = Wish(
            named,
            rng.randint(1, len(everybody)),
            rng.randint(1, max(everybody)),
            rng.choice([None, "subjects", "images", *named]),
        )
        mix = stock.mix(wish)
        taken = sum(mix.counts.values())
        there = {g: sum(n >= mix.images for n in images) for g, images in held.items()}
        assert all(mix.counts[group] <= there[group] for group in held)
        assert sum(mix.shares.values()) == pytest.approx(1)
        assert 1 <= taken <= wish.subjects and 1 <= mix.images <= wish.images
        assert mix.told or (taken, mix.images) == (wish.subjects, wish.images)
        if wish.last == "subjects":
            assert taken == wish.subjects
        elif wish.last == "images":
            assert mix.images == wish.images
        elif wish.last and len(held) > 1:
            assert mix.shares[wish.last] == pytest.approx(named[wish.last])
        else:
            nearest = fl.group_counts(list(held), mix.shares, taken)
            assert mix.counts == nearest


def test_it_takes_as_many_subjects_as_there_are_for_the_shares():
    stock = Stock({"a": [4] * 7, "b": [4] * 100})
    for percent in range(1, 100):
        mix = stock.mix(Wish({"a": percent / 100}, 90, 4, "a"))
        taken = sum(mix.counts.values())
        for more in range(taken + 1, 91):
            counts = fl.group_counts(["a", "b"], mix.shares, more)
            assert counts["a"] > 7 or counts["b"] > 100


def test_it_opens_on_a_mix_that_can_be_made_and_says_what_gave_way():
    few = people(african=[8] * 7, asian=[8] * 7, caucasian=[8] * 30)
    dial = widgets.mix_composer(few, "race", subjects=30, images_per_subject=8)
    assert dial.value["counts"] == {"african": 7, "asian": 7, "caucasian": 7}
    assert (dial.subjects.value, dial.images.value) == (21, 8)
    told = "21 subjects instead of 30: there are 7 of african with at least 8 images."
    assert dial.value["told"] == told and told in dial.status.value
    assert not dial.button.disabled and "#B2182B" not in dial.status.value


def test_what_gave_way_comes_back_when_there_is_room():
    dial = widgets.mix_composer(
        people(a=[4] * 5, b=[4] * 50), "race", subjects=20, images_per_subject=4
    )
    assert dial.subjects.value == 10
    for percent, taken in ((20, 20), (90, 6), (10, 20), (0, 20)):
        dial.sliders["a"].value = percent
        assert dial.sliders["b"].value == 100 - percent and dial.sliders["a"].value == percent
        assert dial.subjects.value == taken == len(dial.faces.subjects)
    assert dial.value["told"] == ""


def test_shares_that_add_up_to_more_are_scaled_to_what_the_last_leaves():
    dial = widgets.mix_composer(
        people(a=[2] * 50, b=[2] * 50, c=[2] * 50), "race", subjects=40, images_per_subject=2
    )
    dial.sliders["a"].value = 90
    dial.sliders["b"].value = 80
    assert [dial.sliders[g].value for g in "abc"] == [20, 80, 0]
    dial.sliders["b"].value = 5
    assert [dial.sliders[g].value for g in "abc"] == [90, 5, 5]
    assert dial.value["shares"] == {"a": 0.9, "b": 0.05}
    dial.balance()
    assert [dial.sliders[g].value for g in "abc"] == [34, 33, 33]
    assert sorted(dial.value["counts"].values()) == [13, 13, 14]


def test_what_the_composer_sets_is_not_taken_for_a_wish_of_the_user():
    dial = widgets.mix_composer(
        people(a=[2] * 9, b=[2] * 9, c=[2] * 9), "race", subjects=9, images_per_subject=2
    )
    dial.sliders["a"].value = 50
    assert set(dial.value["shares"]) == {"a"}
    # A browser sends back what it was told, and that changes nothing.
    dial.sliders["b"].set_state({"value": dial.sliders["b"].value})
    assert set(dial.value["shares"]) == {"a"}
    assert all(isinstance(one.value, int) for one in dial._controls.values())


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish({"a": 1.0}, 9, 6, "a"), "3 images of each instead of 6: nobody of a has more. "
         "1 subject instead of 9: there is 1 of a with at least 3 images."),
        (Wish({"a": 0.0}, 9, 9, "a"), "6 images of each instead of 9: nobody of the others has "
         "more. 1 subject instead of 9: there is 1 of b with at least 6 images."),
        (Wish({"a": 0.8}, 5, 1, "subjects"), "Other shares: all of a are taken."),
        (Wish({}, 6, 3, "subjects"), "1 image of each instead of 3: fewer than 6 subjects have "
         "more. Other shares: all of a and b are taken."),
        (Wish({}, 4, 1), ""),
    ],
)  # fmt: skip
def test_it_says_in_a_sentence_what_gave_way(wish, told):
    stock = Stock({"a": [1, 3], "b": [1, 2, 3, 6]})
    mix = stock.mix(wish)
    assert mix.told == told


def test_a_group_alone_is_all_there_is_and_nobody_may_stand_in_two():
    dial = widgets.mix_composer(people(a=[2, 3]), "race")
    assert dial.sliders["a"].value == 100 and dial.sliders["a"].disabled
    dial.sliders["a"].value = 40
    assert dial.sliders["a"].value == 100 and dial.faces is not None
    both = people(a=[2, 3], b=[2])
    table = both.table.assign(subject=["a0"] * 2 + ["a1"] * 3 + ["a0"] * 2)
    mixed = fl.FaceSet.from_arrays(table, both.crops, name="none", synthetic=True)
    with pytest.raises(fl.BadInput, match="stands in more than one group"):
        widgets.mix_composer(mixed, "race")


@pytest.mark.parametrize(
    "held", [{"a": [3], "b": [3] * 9}, {"a": [5], "b": [2, 2, 2]}, {"a": [2, 2]}]
)
def test_a_mix_is_of_two_people_or_more(held):
    dial = widgets.mix_composer(people(**held), "race")
    for slider in (*dial.sliders.values(), dial.images, dial.subjects):
        for value in (slider.min, slider.max):
            slider.value = value
            assert sum(dial.mix.counts.values()) >= 2 and len(dial.faces.subjects) >= 2
            assert not dial.button.disabled
