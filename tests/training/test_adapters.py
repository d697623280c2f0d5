"""Adapters of low rank: a few weights learn, and the embedder that is saved is a plain one."""

import dataclasses

import numpy as np
import pytest
import torch
from training_sets import patterns

import facelab as fl
from facelab.embedders.network import network_of
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, MissingExtra
from facelab.training.adapters import adapt, merged

VIT = fl.Recipe(
    backbone="vit_tiny_patch16_224",
    backbone_options={"depth": 2, "embed_dim": 48, "num_heads": 3, "patch_size": 8},
    stem_stride=None,
    size=32,
    dim=16,
    batch=16,
    steps=3,
    lr=1e-2,
    precision="fp32",
    lora={"rank": 4, "alpha": 8},
)


def test_an_embedder_trained_with_adapters_is_saved_without_them(tmp_path):
    faces = patterns()
    first = fl.train(faces, dataclasses.replace(VIT, lora={"rank": 0}), progress=False)
    folder = first.save(tmp_path / "first")
    recipe = dataclasses.replace(VIT, start=folder)
    made = fl.train(
        faces, recipe, progress=False, checkpoints=tmp_path / "kept", checkpoint_every=1, keep=9
    )
    before, after = first.network.state_dict(), made.network.state_dict()
    assert list(before) == list(after), "the names of a plain one"
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    layers = [
        f"backbone.blocks.{n}.attn.{layer}.weight" for n in (0, 1) for layer in ("qkv", "proj")
    ]
    assert {name for name in moved if name.startswith("backbone.")} == set(layers)
    for name in layers:  # of the rank that was asked for
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-3) <= 4
    loaded = TrainedEmbedder.load(made.save(tmp_path / "made"))
    vectors = [one.embed(faces, progress=False).vectors for one in (made, loaded)]
    np.testing.assert_array_equal(*vectors)
    for step in (2, 3):
        (tmp_path / "kept" / f"step-{step:09d}.pt").unlink()
    again = fl.train(faces, recipe, progress=False, checkpoints=tmp_path / "kept", resume=True)
    assert all(torch.equal(value, again.network.state_dict()[n]) for n, value in after.items())


def test_merged_weights_compute_what_adapters_computed():
    torch.manual_seed(0)
    network = network_of(VIT.to_dict())
    adapt(network, VIT.lora, VIT.backbone)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:  # which begin at 0
            torch.nn.init.normal_(parameter, std=0.3)
    network.eval()
    plain = network_of(VIT.to_dict()).eval()
    images = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        without = plain(images)
        plain.load_state_dict(merged(network.state_dict(), VIT.lora))
        torch.testing.assert_close(plain(images), network(images), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(plain(images), without, atol=1e-2)


def test_the_backbone_itself_does_not_learn_beside_its_adapters():
    network = network_of(VIT.to_dict())
    adapt(network, VIT.lora, VIT.backbone)
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {name for name in learning if "lora_" not in name} == {"embed.0.weight"}
    assert len([name for name in learning if "lora_" in name]) == 2 * 2 * 2
    assert not network.train().backbone.training


def test_what_takes_no_adapters_is_told_in_one_sentence():
    def words(recipe):
        with pytest.raises(BadInput) as caught:
            adapt(network_of(recipe.to_dict()), recipe.lora, recipe.backbone)
        return str(caught.value)

    plain = fl.Recipe(size=32, lora={"rank": 2})
    assert "resnet18 has no layer attn.qkv or attn.proj: take a vision transformer" in words(plain)
    patches = dataclasses.replace(VIT, lora={"rank": 2, "layers": ["patch_embed.proj"]})
    assert "patch_embed.proj of vit_tiny_patch16_224 is no linear layer" in words(patches)
    whole = dataclasses.replace(VIT, lora={"rank": 2, "layers": ["blocks.0.attn"]})
    assert "takes no adapters there" in words(whole)


def test_without_the_extra_the_command_that_brings_it_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"pip install 'facelab\[lora\]'"):
        adapt(network_of(VIT.to_dict()), VIT.lora, VIT.backbone)
