"""Embeddings that are kept: found again by everything that decides them, and by nothing less."""

import numpy as np
import pytest
import torch

import facelab as fl
from facelab.embedders import kept, trained
from facelab.embedders.network import network_of
from facelab.embedders.trained import TrainedEmbedder


def embedder(seed: int = 0):
    torch.manual_seed(seed)
    recipe = fl.Recipe(size=32, dim=16, backbone_options={"layers": [1, 1, 1, 1]}).to_dict()
    network = network_of(recipe, pretrained=False)
    return TrainedEmbedder(network, recipe, {}, None, f"made-{seed}")


def test_embeddings_are_kept_by_weights_and_by_every_pixel(faces, tmp_path, monkeypatch):
    one, other = embedder(0), embedder(1)
    made = []
    for each in (one, other):
        plain = each.embed
        monkeypatch.setattr(each, "embed", lambda *a, f=plain, **k: made.append(1) or f(*a, **k))
    first = fl.embed(one, faces, kept=tmp_path)
    again = fl.embed(one, faces, kept=tmp_path)
    assert len(made) == 1
    assert (again.vectors == first.vectors).all()
    assert again.card == first.card
    assert again.table.equals(first.table)
    assert (fl.embed(other, faces, kept=tmp_path).vectors != first.vectors).any()
    assert len(made) == 2

    crops = np.array(faces.crops)
    crops[7, 3, 3] ^= 1
    changed = fl.FaceSet(faces.table, crops, faces.card)
    fl.embed(one, changed, kept=tmp_path)
    fl.embed(one, faces, flip=False, kept=tmp_path)
    assert len(made) == 4
    relabelled = faces.table.assign(gender=faces.table["gender"][::-1].to_numpy())
    again = fl.embed(one, fl.FaceSet(relabelled, faces.crops, faces.card), kept=tmp_path)
    assert again.table["gender"].tolist() == relabelled["gender"].tolist()


def test_what_cannot_be_told_apart_is_not_kept(faces, tmp_path):
    function = fl.embedder_of(lambda crops: crops.reshape(len(crops), -1)[:, :64] + 1.0, "mine")
    assert len(fl.embed(function, faces)) == len(faces)
    with pytest.raises(fl.BadInput, match="embeddings by mine cannot be kept"):
        fl.embed(function, faces, kept=tmp_path)


def test_a_class_that_inherits_its_identity_is_not_kept(faces, tmp_path):
    """It may embed otherwise than its parent, who cannot tell."""

    class Mine(TrainedEmbedder):
        def _run(self, crops):
            return -super()._run(crops) + 1

    one = embedder(0)
    mine = Mine(one.network, one.recipe, {}, None, "mine")
    fl.embed(one, faces, kept=tmp_path)
    with pytest.raises(fl.BadInput, match="embeddings by mine cannot be kept"):
        fl.embed(mine, faces, kept=tmp_path)


def test_an_attribute_of_that_name_is_no_identity(faces, tmp_path):
    class Theirs:
        def __init__(self):
            self.name, self.identity = "theirs", lambda: "always the same"
            self.embed = print

    with pytest.raises(fl.BadInput, match="embeddings by theirs cannot be kept"):
        fl.embed(Theirs(), faces, kept=tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda patch, one: patch.setattr(kept, "code_of", lambda *_: "other code"),
        lambda patch, one: patch.setattr(kept, "made_with", lambda *_: {"torch": "1.0"}),
        lambda patch, one: patch.setattr(trained, "computes_on", lambda _: "cuda ANOTHER high"),
        lambda patch, one: setattr(one.network.backbone, "act1", torch.nn.SiLU()),
        lambda patch, one: one.network.embed[0].weight.data.view(-1)[:1].add_(1),
    ],
    ids=["code", "versions", "device", "a layer without weights", "one weight"],
)
def test_whatever_decides_embeddings_makes_others(faces, tmp_path, monkeypatch, change):
    one = embedder(0)
    fl.embed(one, faces, kept=tmp_path)
    fl.embed(one, faces, kept=tmp_path)
    assert len(list(tmp_path.glob("embeddings-*"))) == 1
    change(monkeypatch, one)
    fl.embed(one, faces, kept=tmp_path)
    assert len(list(tmp_path.glob("embeddings-*"))) == 2


def test_weights_of_a_kind_that_numpy_lacks_are_told_apart():
    one = embedder(0)
    one.network.to(torch.bfloat16)
    before = one.identity()
    one.network.embed[0].weight.data.view(-1)[:1].add_(1)
    assert one.identity() != before


@pytest.mark.parametrize("damage", ["card.json", "vectors.npy", "table.parquet"])
def test_a_damaged_entry_is_made_anew(faces, tmp_path, damage):
    one = embedder(0)
    first = fl.embed(one, faces, kept=tmp_path)
    (entry,) = tmp_path.glob("embeddings-*")
    (entry / damage).unlink()
    (entry / damage).write_bytes(b"half")
    with pytest.warns(UserWarning, match="is damaged: it is made anew"):
        again = fl.embed(one, faces, kept=tmp_path)
    assert (again.vectors == first.vectors).all()
