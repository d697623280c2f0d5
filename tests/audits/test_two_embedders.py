"""Two embedders on the same people: a harm to one group is found in it, and none at equality."""

import numpy as np
import pytest
from training_sets import patterns

import facelab as fl
from facelab.errors import BadInput


@pytest.fixture(scope="module")
def people() -> fl.FaceSet:
    return patterns(subjects=80, images=5, size=16)


def pixels(crops):
    return crops.reshape(len(crops), -1).astype(np.float32) - 127.5


def test_they_are_compared_as_their_audits_are(people):
    one = fl.embedder_of(pixels, "one", size=16)
    other = fl.embedder_of(lambda crops: pixels(crops // 64 * 64), "other", size=16)
    found = fl.compare_embedders({"one": one, "other": other}, people, "gender", 0.01)
    arms = {e.name: fl.audit(e.embed(people), "gender", 0.01) for e in (one, other)}
    expected = fl.compare_audits(arms)
    assert found.table.equals(expected.table)
    assert found.arms == ("one", "other")


def test_an_embedder_beside_itself_shows_no_change(people):
    one = fl.embedder_of(pixels, "one", size=16)
    table = fl.compare_embedders({"a": one, "b": one}, people, "gender", 0.01).table
    rates = table[table["quantity"].str.startswith(("fmr", "fnmr"))]
    assert (rates["difference"] == 0).all()
    # The FMR of all is what the thresholds were set for, and has no interval.
    known = rates[rates["quantity"] != "fmr:all"]
    assert ((known["low"] <= 0) & (known["high"] >= 0)).all()


def test_a_harm_to_one_group_is_found_in_it_alone(people):
    """What one network makes of women's faces has more noise; each crop says which row it is."""
    count, rng = len(people), np.random.default_rng(0)
    crops = np.array(people.crops)
    crops[:, 0, 0, 0], crops[:, 0, 0, 1] = np.divmod(np.arange(count), 256)
    faces = fl.FaceSet(people.table, crops, people.card)
    who = people.table["subject"].astype("category").cat.codes.to_numpy()
    vectors = rng.normal(size=(80, 32))[who] + 0.7 * rng.normal(size=(count, 32))
    women = (people.table["gender"] == "female").to_numpy()
    noise = 0.8 * rng.normal(size=(count, 32)) * women[:, None]

    def looked_up(rows):
        def run(crops):
            high, low = (crops[:, 0, 0, channel].astype(int) for channel in (0, 1))
            return rows[(256 * high + low) % count]

        return run

    arms = {
        "float": fl.embedder_of(looked_up(vectors), "float", size=16),
        "int8": fl.embedder_of(looked_up(vectors + noise), "int8", size=16),
    }
    found = fl.compare_embedders(arms, faces, "gender", 0.001, flip=False)
    hurt, spared = found.row("fnmr:female"), found.row("fnmr:male")
    assert hurt["low"] > 0.2 and hurt["family_low"] > 1
    assert spared["family_low"] <= 1 <= spared["family_high"]
    assert "int8" in found.summary("fnmr:female")


def test_what_is_no_pair_of_embedders_is_one_sentence(people):
    one = fl.embedder_of(pixels, "one", size=16)
    with pytest.raises(BadInput, match="two embedders can be compared, not 1"):
        fl.compare_embedders({"one": one}, people, "gender")
    with pytest.raises(BadInput, match=r"'b' is no embedder but the path 'model\.onnx'"):
        fl.compare_embedders({"a": one, "b": "model.onnx"}, people, "gender")
