"""Embeddings that are kept: found again by everything that decides them, and by nothing less."""

import numpy as np
import pytest

import facelab as fl
from facelab.embedders.network import network_of


def embedder(seed: int = 0):
    import torch

    from facelab.embedders.trained import TrainedEmbedder

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
    kept = fl.embed(one, fl.FaceSet(relabelled, faces.crops, faces.card), kept=tmp_path)
    assert kept.table["gender"].tolist() == relabelled["gender"].tolist()


def test_what_cannot_be_told_apart_is_not_kept(faces, tmp_path):
    function = fl.embedder_of(lambda crops: crops.reshape(len(crops), -1)[:, :64] + 1.0, "mine")
    assert len(fl.embed(function, faces)) == len(faces)
    with pytest.raises(fl.BadInput, match="embeddings by mine cannot be kept"):
        fl.embed(function, faces, kept=tmp_path)
