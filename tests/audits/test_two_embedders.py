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
    assert ((rates["low"] <= 0) & (rates["high"] >= 0)).all()


def test_a_harm_to_one_group_is_found_in_it_alone(people):
    """Rounding that is rough where a face is dark, as are those of one group here."""
    women = (people.table["gender"] == "female").to_numpy()
    crops = np.array(people.crops)
    crops[women] //= 4
    rng = np.random.default_rng(0)
    crops = np.clip(crops + rng.normal(0, 3, crops.shape), 0, 255).astype(np.uint8)
    faces = fl.FaceSet(people.table, crops, people.card)

    def centred(crops):
        flat = crops.reshape(len(crops), -1).astype(np.float32)
        flat = flat - flat.mean(axis=1, keepdims=True)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    fine = fl.embedder_of(centred, "fine", size=16)
    rough = fl.embedder_of(lambda crops: centred(crops // 24 * 24 + crops % 2), "rough", size=16)
    found = fl.compare_embedders({"fine": fine, "rough": rough}, faces, "gender", 0.001)
    hurt, spared = found.row("fnmr:female"), found.row("fnmr:male")
    assert hurt["difference"] > 0 and hurt["low"] > 0
    assert spared["low"] <= 0 <= spared["high"] or spared["difference"] < hurt["difference"] / 4


def test_what_is_no_pair_of_embedders_is_one_sentence(people):
    one = fl.embedder_of(pixels, "one", size=16)
    with pytest.raises(BadInput, match="two embedders can be compared, not 1"):
        fl.compare_embedders({"one": one}, people, "gender")
    with pytest.raises(BadInput, match=r"'b' is no embedder but the path 'model\.onnx'"):
        fl.compare_embedders({"a": one, "b": "model.onnx"}, people, "gender")
