"""A million faces: opened, filtered, split and composed without touching a crop.

How long each took is printed (``pytest -m slow -s``); what is checked does not depend on it.
"""

import time

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.faces.faceset import finish_folder, new_card

pytestmark = pytest.mark.slow

FACES, PER = 1_000_000, 10
PEOPLE = FACES // PER
SIZE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sparse file of crops, of which every hundred-thousandth is marked."""
    place, rng = tmp_path_factory.mktemp("million"), np.random.default_rng(0)
    who = np.arange(FACES) // PER
    names = np.char.add("n", np.char.zfill(who.astype(str), 6))
    images = np.char.add(np.char.add(names, "/"), (np.arange(FACES) % PER).astype(str))
    race, gender = rng.integers(0, 4, PEOPLE)[who], rng.integers(0, 2, PEOPLE)[who]
    races = ["african", "asian", "caucasian", "indian"]
    table = pd.DataFrame({"subject": names, "image": images})
    table["race"] = pd.Categorical.from_codes(race, races)
    table["gender"] = pd.Categorical.from_codes(gender, ["female", "male"])
    table["brightness"] = rng.normal(100, 20, FACES).astype(np.float32)
    shape = (FACES, SIZE, SIZE, 3)
    crops = np.lib.format.open_memmap(place / "crops.npy", "w+", np.uint8, shape)
    crops[::100_000] = 7
    crops.flush()
    del crops
    finish_folder(place, table, new_card("a million", True), described=False)
    return place


def timed(name, work):
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{name}: {wall:.2f} s, of which {cpu:.2f} s on the processor")
    return result


@pytest.fixture(scope="module")
def million(folder):
    return timed("open", lambda: fl.load(folder))


def test_it_opens_memory_mapped(million):
    assert isinstance(million.crops, np.memmap) and len(million) == FACES
    assert million.card["subjects"] == PEOPLE
    assert (million.gather([0, 100_000]) == 7).all() and not million.gather([1]).any()


def test_filters_agree_with_the_table(million):
    mask = (million.table["brightness"] > 100).to_numpy()
    bright = timed("mask", lambda: million[mask])
    assert len(bright) == mask.sum() == bright.card["images"]
    assert (bright.table["brightness"] > 100).all()
    women = timed("query", lambda: million.query("gender == 'female' and race == 'asian'"))
    counts = timed("composition", lambda: million.composition(["race", "gender"]))
    assert len(women) == counts.loc["asian/female", "images"]
    assert counts["images"].sum() == FACES and counts["subjects"].sum() == PEOPLE
    every = timed("every 100,000th", lambda: million[::100_000])
    assert (every.crops == 7).all()


def test_a_split_shares_no_subject_and_loses_none(million):
    parts = timed("split", lambda: million.split({"train": 0.7, "test": 0.3}))
    people = [set(part.table["subject"]) for part in parts.values()]
    assert [len(one) for one in people] == [70_000, 30_000]
    assert not people[0] & people[1]
    assert sum(map(len, parts.values())) == FACES
    whole = million.composition(["race", "gender"])["subjects"]
    part = parts["train"].composition(["race", "gender"])["subjects"]
    assert ((part - 0.7 * whole).abs() <= 2).all()


def test_a_composition_has_the_shares_asked_for(million):
    def compose():
        shares = {"indian/male": 0.3}
        by = ["race", "gender"]
        return fl.compose(million, by, shares, subjects=20_000, images_per_subject=4)

    chosen = timed("compose", compose)
    counts = chosen.composition(["race", "gender"])["subjects"]
    assert counts["indian/male"] == 6_000 and (counts.drop("indian/male") == 2_000).all()
    assert (chosen.subjects["images"] == 4).all() and len(chosen) == 80_000
