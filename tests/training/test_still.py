"""What a recipe freezes stays as it is, and what it slows moves less."""

import dataclasses
from pathlib import Path

import pytest
import torch
from test_distributed import launch
from torch import nn
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.network import network_of
from facelab.errors import BadInput
from facelab.training.heads import CosFace
from facelab.training.optimise import optimiser_of
from facelab.training.still import factors, hold

SHORT = dataclasses.replace(TINY, steps=6)


def train(recipe, **given):
    return fl.train(patterns(), recipe, device="cpu", progress=False, **given)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """An embedder of six steps, and its folder."""
    embedder = train(SHORT)
    return embedder, embedder.save(tmp_path_factory.mktemp("begun") / "embedder")


def moved(before, after) -> set[str]:
    """Names of the weights and statistics that are not what they were."""
    theirs = after.network.state_dict()
    return {n for n, v in before.network.state_dict().items() if not torch.equal(v, theirs[n])}


def test_a_frozen_trunk_keeps_its_weights_and_its_norms_statistics(begun):
    first, folder = begun
    names = moved(first, train(dataclasses.replace(SHORT, start=folder, freeze=["backbone"])))
    assert names == {
        "embed.0.weight",
        *(f"embed.1.{leaf}" for leaf in ("running_mean", "running_var", "num_batches_tracked")),
    }


def test_a_part_within_a_part_is_frozen_by_its_name(begun):
    first, folder = begun
    recipe = dataclasses.replace(SHORT, start=folder, freeze=["backbone.layer1", "embed.0"])
    names = moved(first, train(recipe))
    state = set(first.network.state_dict())
    assert names == {
        name for name in state if not name.startswith(("backbone.layer1.", "embed.0."))
    }


def test_with_the_head_alone_the_embedder_stays_what_it_was_and_the_loss_falls(begun):
    first, folder = begun
    recipe = dataclasses.replace(
        SHORT, start=folder, freeze=["backbone", "embed"], steps=40, margin=0.0,
        start_options={"centres": False},
    )  # fmt: skip
    made = train(recipe)
    assert moved(first, made) == set()
    assert made.history["loss"].iloc[-5:].mean() < 0.8 * made.history["loss"].iloc[0]


def test_the_head_may_stay_and_the_rest_move(begun):
    first, folder = begun
    made = train(dataclasses.replace(SHORT, start=folder, freeze=["head"]))
    assert torch.equal(made.centres.weight, first.centres.weight)
    assert len(moved(first, made)) == len(first.network.state_dict())


def test_the_head_learns_first_and_the_rest_joins_in(begun, tmp_path):
    first, folder = begun
    recipe = dataclasses.replace(
        SHORT, start=folder, head_first=0.5, start_options={"centres": False}
    )
    made = train(recipe, checkpoints=tmp_path / "kept", checkpoint_every=1, keep=9)
    for step in range(1, 7):
        held = torch.load(tmp_path / "kept" / f"step-{step:09d}.pt", weights_only=True)["state"]
        same = all(
            torch.equal(value, first.network.state_dict()[name])
            for name, value in held["network"].items()
        )
        assert same == (step <= 3), step
    # A training that was stopped in the midst of it goes on the same way.
    for step in range(3, 7):
        (tmp_path / "kept" / f"step-{step:09d}.pt").unlink()
    again = train(recipe, checkpoints=tmp_path / "kept", resume=True)
    assert moved(made, again) == set()


def test_learning_rates_by_part_are_those_of_the_longest_name():
    torch.manual_seed(0)
    recipe = dataclasses.replace(
        TINY, lr_factors={"backbone.layer1": 0.5, "backbone": 0.1, "head": 10}
    )
    network, head = network_of(recipe.to_dict()), CosFace(32, 5, 16.0, 0.2)
    found = factors(network, head, recipe)
    for name, parameter in network.named_parameters():
        layer1, backbone = name.startswith("backbone.layer1."), name.startswith("backbone.")
        assert found.get(parameter) == (0.5 if layer1 else 0.1 if backbone else None), name
    assert found[head.weight] == 10
    every = [*network.parameters(), head.weight]
    groups = optimiser_of(every, recipe, found).param_groups
    assert sorted({group["factor"] for group in groups}) == [0.1, 0.5, 1.0, 10]
    assert sum(len(group["params"]) for group in groups) == len(every)
    for group in groups:
        assert {found.get(p, 1.0) for p in group["params"]} <= {group["factor"]}
        assert {p.ndim > 1 for p in group["params"]} <= {group["weight_decay"] > 0}


@pytest.mark.parametrize("centres", [1.0, 0.9])
def test_a_step_of_sgd_moves_a_part_by_its_factor(begun, centres):
    first, folder = begun
    plain = dataclasses.replace(
        SHORT, start=folder, steps=1, optimiser="sgd", lr=0.05, momentum=0.0, weight_decay=0.0,
        warm_up=0.0, clip=1e9, centres=centres, precision="fp64",
    )  # fmt: skip
    slower = dataclasses.replace(plain, lr_factors={"embed": 0.25, "head": 3.0})
    a, b = train(plain), train(slower)

    def went(made, name):
        return made.network.state_dict()[name] - first.network.state_dict()[name]

    torch.testing.assert_close(
        went(b, "embed.0.weight"), 0.25 * went(a, "embed.0.weight"), rtol=1e-3, atol=1e-7
    )
    torch.testing.assert_close(went(b, "backbone.conv1.weight"), went(a, "backbone.conv1.weight"))
    heads = [made.centres.weight - first.centres.weight for made in (a, b)]
    torch.testing.assert_close(heads[1], 3 * heads[0], rtol=1e-3, atol=1e-7)


def test_parts_that_are_not_there_and_nothing_to_learn_are_told_in_one_sentence():
    torch.manual_seed(0)
    network, head = network_of(TINY.to_dict()), CosFace(32, 5, 16.0, 0.2)

    def words(verb, head=head, **given):
        with pytest.raises(BadInput) as caught:
            verb(network, head, dataclasses.replace(TINY, **given))
        network.still.clear()
        network.requires_grad_(True), head.requires_grad_(True)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    typo = words(hold, freeze=["bakbone"])
    assert typo.startswith("freeze: the network has no part 'bakbone' (did you mean 'backbone'?)")
    assert "backbone, embed, head, backbone.conv1" in typo
    assert "no part 'embd' (did you mean 'embed'?)" in words(factors, lr_factors={"embd": 2})
    assert "has no weights of its own" in words(hold, freeze=["backbone.act1"])
    everything = words(hold, freeze=["backbone", "embed", "head"])
    assert everything.startswith("freeze keeps all of the network still (backbone, embed, head)")
    assert everything.endswith("leave out one of backbone, embed, head")
    nothing = words(hold, nn.Identity(), freeze=["backbone", "embed"])
    assert "the head cosface has nothing to learn" in nothing
    network.backbone.layer1.requires_grad_(False)
    slow = words(factors, lr_factors={"backbone.layer1": 2}, freeze=["backbone.layer1"])
    assert slow.startswith("lr_factors: backbone.layer1 does not learn (freeze: backbone.layer1)")


@pytest.mark.parametrize(
    "given, words",
    [
        ({"lr_factors": {"embed": 0}}, r"lr_factors\.embed must be above 0"),
        ({"start_options": {"colour": "BGR"}}, "there is no start: give one"),
        (
            {"start": "x", "backbone_options": {"pretrained": True}},
            "both start and the backbone give weights",
        ),
        ({"freeze": ["head"], "centres": 0.5}, r"centres must be 1, not 0\.5"),
        ({"freeze": ["head"], "head_first": 0.1}, "head_first lets the head learn alone, and"),
        ({"head": "contrast", "together": 2, "head_first": 0.1}, "head_first must be 0"),
        ({"lora": {"rank": 2}, "freeze": ["backbone.x"]}, r"leave backbone\.x out of freeze"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(given, words):
    with pytest.raises(BadInput, match=words):
        fl.Recipe(**given)


def test_two_processes_hold_still_what_one_does(tmp_path, begun):
    _, folder = begun
    patterns().save(tmp_path / "faces")
    plain = {"start": folder, "precision": "fp64"}
    recipes = {
        "trunk": dataclasses.replace(SHORT, **plain, freeze=["backbone"], lr_factors={"head": 2}),
        "head": dataclasses.replace(
            SHORT, **plain, freeze=["backbone", "embed"], accumulate=2, steps=3
        ),
        "first": dataclasses.replace(SHORT, **plain, head_first=0.5, accumulate=2),
    }
    files = [recipe.to_yaml(tmp_path / f"{name}.yaml") for name, recipe in recipes.items()]
    script = Path(__file__).with_name("train_together.py")
    run = launch(2, script, tmp_path / "faces", tmp_path / "faces", tmp_path, *files)
    assert run.returncode == 0, run.stderr
    for name, recipe in recipes.items():
        one = train(recipe)
        for rank in ("0", "1"):
            two = fl.load_embedder(tmp_path / name / rank)
            assert two.card["start"]["centres"] == one.card["start"]["centres"] == "the start's"
            theirs = two.network.state_dict()
            for part, value in one.network.state_dict().items():
                torch.testing.assert_close(theirs[part], value, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(two.centres.weight, one.centres.weight, rtol=1e-5, atol=1e-6)
