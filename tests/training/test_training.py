"""Recipes and the training loop."""

import dataclasses
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab import files
from facelab.embedders.network import network_of
from facelab.errors import BadInput, FacelabError
from facelab.training import parts
from facelab.training.recipe import Augmentation, Mitigation, Recipe

# ---- recipes


def test_a_recipe_comes_back_from_yaml_as_it_was_written(tmp_path):
    recipe = Recipe(
        head="arcface", steps=7, stem_stride=None, augment=Augmentation(flip=0.0, rotate=12)
    )
    assert Recipe.from_yaml(recipe.to_yaml(tmp_path / "recipe.yaml")) == recipe


def test_the_default_recipe_is_the_shipped_small_one():
    recipes = Path(__file__).parents[2] / "experiments" / "recipes"
    assert Recipe.from_yaml(recipes / "small.yaml") == Recipe()


def test_every_shipped_recipe_is_valid():
    recipes = Path(__file__).parents[2] / "experiments" / "recipes"
    for path in recipes.glob("*.yaml"):
        Recipe.from_yaml(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("epochs: 3", "'epochs' is not part of a recipe"),
        ("epohcs: 3", "'epohcs' is not part of a recipe; a recipe has backbone, backbone_options,"),
        ("stpes: 3", "'stpes' is not part of a recipe (did you mean 'steps'?); a recipe has"),
        (
            "augment: {flop: 1}",
            "'augment.flop' is not part of a recipe (did you mean 'flip'?); augment has flip",
        ),
        ("augment: 3", "augment must be names with values, not 3"),
        ("lr: fast", "lr must be a number, not 'fast'"),
        ("steps: 1.5", "steps must be a whole number, not 1.5"),
        ("steps: true", "steps must be a whole number, not True"),
        ("batch: 1", "batch must be at least 2"),
        ("lr: -1", "lr must be above 0, not -1.0"),
        ("head: triplet", "head must be one of softmax, cosface, arcface, combined, adaface"),
        ("centres: 0", "centres must be above 0, at most 1, not 0.0"),
        ("accumulate: 3", "accumulate must be a divisor of batch (32), not 3"),
        ("schedule: steps", "milestones must be shares of the steps, not []"),
        ("milestones: [0.7, 0.5]", "milestones must be rising shares of the steps"),
        ("milestones: [half]", "milestones.0 must be a number, not 'half'"),
        ("ema: 1", "ema must be from 0 to below 1"),
        ("mitigate: {dro: 0.1}", "mitigate.by must be the columns that make the groups, not []"),
        ("mitigate: {weights: rare}", "mitigate.weights must be none, inverse, odds or numbers"),
        ("mitigate: {by: [race], weights: {a: -1}}", "mitigate.weights must be numbers from 0"),
        ("mitigate: {by: [race], group_power: 2}", "mitigate.group_power must be between 0 and 1"),
        (
            "mitigate: {by: [race], margins: {a: 0.1}, meta_margins: 0.1}",
            "mitigate.margins must be empty where meta_margins learns them",
        ),
        (
            "{centres: 0.5, mitigate: {by: [race], meta_margins: 0.1}}",
            "centres must be 1 where margins by group are learnt, not 0.5",
        ),
        ("validate: {patience: 2}", "validate.keep must be a figure to be patient about"),
        ("validate: {keep: garbe}", "validate.by must be the groups that garbe compares"),
        ("together: 5", "together must be a divisor of batch (32), not 5"),
        ("head: contrast", "together must be at least 2 for the head contrast, not 1"),
        (
            "{head: contrast, together: 2, label_smoothing: 0.1}",
            "label_smoothing must be 0 for the head contrast, not 0.1",
        ),
        ("stem_stride: 3", "stem_stride must be 1, 2, 4 or null, not 3"),
        ("augment: {blur: 2}", "augment.blur must be between 0 and 1, not 2"),
        ("augment: {soften: -1}", "augment.soften must be 0 or more, not -1"),
        ("augment: {stretch: 1}", "augment.stretch must be from 0 to below 1, not 1"),
        ("[1, 2]", "a recipe must be names with values, not [1, 2]"),
        ("small", "a recipe must be names with values, not 'small'"),
        ("0", "a recipe must be names with values, not 0"),
        ("mitigate:", "mitigate must be names with values, not None"),
        ("mitigate: [dro]", "mitigate must be names with values, not ['dro']"),
        ("{mitigate: {by: [a], margins: 3}}", "mitigate.margins must be names with values, not 3"),
        ("{mitigate: {by: [a], margins: {x: y}}}", "mitigate.margins.x must be a number, not 'y'"),
        ("{mitigate: {by: [a], weights: [1]}}", "mitigate.weights must be none, inverse, odds or"),
        ("{mitigate: {by: [a], weights: {x: [1]}}}", "mitigate.weights.x must be a number, not"),
        ("validate: {evry: 3}", "'validate.evry' is not part of a recipe (did you mean 'every'?)"),
        ("validate: {every: many}", "validate.every must be a whole number, not 'many'"),
        ("3: 4", "'3' is not part of a recipe; a recipe has"),
        ("augment: {on: 1}", "'augment.on' is not part of a recipe"),
        ("backbone_options: [1]", "backbone_options must be names with values, not [1]"),
        ("head: [cosface]", "head must be one of softmax, cosface"),
        ("steps: '3'", "steps must be a whole number, not '3'"),
        ("steps: 1e3", "steps must be a whole number, not 1000.0"),
        ("compile: 1", "compile must be true or false, not 1"),
        ("compile: 'yes'", "compile must be true or false, not 'yes'"),
        ("lr: true", "lr must be a number, not True"),
        ("lr: .nan", "lr must be a finite number, not nan"),
        ("clip: .inf", "clip must be a finite number, not inf"),
        ("lr: 1e999", "lr must be a finite number, not inf"),
        ("mitigate: {by: [a], weights: {x: .nan}}", "mitigate.weights.x must be a finite number"),
        (f"lr: 1{'0' * 400}", "lr must be a number, not 1000"),
        (f"steps: {'9' * 5000}", "steps must be a whole number, not inf"),
        ("[" * 5000, "is not valid yaml: brackets stand more than 64 deep"),
        ("lr: 2024-13-45", "lr must be a number, not '2024-13-45'"),
        (
            "lr: !!python/name:os.system",
            "not valid yaml: line 1: could not determine a const",
        ),
        ("a: [", "is not valid yaml: line 1: expected the node content"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_sentence_naming_the_file(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        Recipe.from_yaml(path)
    assert message in str(error.value)
    assert "recipe.yaml" in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 700


def test_numbers_that_pyyaml_takes_for_text_are_numbers(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "lr: 1e-3\nweight_decay: 5E-2\nscale: '24'\nmilestones: [1e-1, 5e-1]\n"
        "head_options: {t_alpha: 1e-2}\naugment: {noise: 1e-2}\nvalidate: {fmr: 1e-4}\n"
        "mitigate: {by: [race], dro: 1e-2, margins: {a: 1e-1, b: 1}, weights: {a: 2e0, b: '.1'}}\n"
    )
    recipe = Recipe.from_yaml(path)
    assert (recipe.lr, recipe.weight_decay, recipe.scale) == (0.001, 0.05, 24.0)
    assert (recipe.milestones, recipe.head_options) == ([0.1, 0.5], {"t_alpha": 0.01})
    assert (recipe.augment.noise, recipe.validate.fmr, recipe.mitigate.dro) == (0.01, 1e-4, 0.01)
    assert (recipe.mitigate.margins, recipe.mitigate.weights) == (
        {"a": 0.1, "b": 1},
        {"a": 2.0, "b": 0.1},
    )
    assert Recipe.from_dict({"mitigate": {"by": ["race"], "dro": "1e-2"}}).mitigate.dro == 0.01


def test_an_empty_recipe_is_the_default_one(tmp_path):
    (tmp_path / "recipe.yaml").write_text("# nothing yet\n")
    assert Recipe.from_yaml(tmp_path / "recipe.yaml") == Recipe()


def test_a_recipes_digest_is_that_of_what_was_written():
    """A kept training is found by it: fields are floats or ints, numbers by group as they stand."""
    recipe = Recipe(lr=1, mitigate=Mitigation(by=["race"], weights={"a": 1, "b": 0.5}))
    told = files.as_json(recipe.to_dict())
    assert (
        '"lr": 1.0' in told and '"weights": {"a": 1, "b": 0.5}' in told and '"steps": 2000' in told
    )
    assert Recipe.from_dict(json.loads(told)) == recipe


def test_a_recipe_is_checked_however_it_is_made():
    with pytest.raises(BadInput, match=r"^steps must be a whole number, not '7'$"):
        dataclasses.replace(Recipe(), steps="7")
    with pytest.raises(BadInput, match=r"^augment\.flip must be between 0 and 1, not 2\.0$"):
        Augmentation(flip=2)
    with pytest.raises(BadInput, match=r"^'augment\.flop' is not part of a recipe"):
        Augmentation(flop=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().lr = 1.0
    assert pickle.loads(pickle.dumps(Recipe(steps=7))) == dataclasses.replace(Recipe(), steps=7)


# ---- the loop


def test_training_lowers_the_loss_and_separates_the_subjects():
    faces = patterns()
    embedder = fl.train(faces, dataclasses.replace(TINY, steps=40))
    losses = embedder.history["loss"]
    assert losses.iloc[-5:].mean() < 0.5 * losses.iloc[:5].mean()
    scores = embedder.embed(faces).vectors
    scores = scores @ scores.T
    mated = faces.table["subject"].to_numpy()[:, None] == faces.table["subject"].to_numpy()
    assert scores[mated].mean() > scores[~mated].mean() + 0.5


def test_contrast_separates_the_subjects_too():
    recipe = dataclasses.replace(TINY, head="contrast", together=2, margin=0.0, steps=40)
    embedder = fl.train(patterns(), recipe)
    scores = embedder.embed(patterns()).vectors
    scores = scores @ scores.T
    subject = patterns().table["subject"].to_numpy()
    mated = subject[:, None] == subject
    assert scores[mated].mean() > scores[~mated].mean() + 0.5


def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_randomness_alone():
    faces = patterns()
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, again, other = (fl.train(faces, TINY, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), before)
    vectors = [embedder.embed(faces).vectors for embedder in (first, again, other)]
    assert np.array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2], atol=0.05)
    assert first.recipe["seed"] == 4


def test_history_and_card_tell_what_happened():
    faces = patterns()
    embedder = fl.train(faces, TINY)
    history = embedder.history
    assert list(history.columns) == ["step", "epoch", "loss", "lr", "seconds"]
    assert history["step"].iloc[-1] == TINY.steps
    assert history["epoch"].iloc[-1] == pytest.approx(TINY.steps * TINY.batch / len(faces))
    assert history["seconds"].is_monotonic_increasing
    assert embedder.card["subjects"] == 12 and embedder.card["images"] == 72
    assert embedder.card["composition"] == {"gender": {"female": 6, "male": 6}}
    assert embedder.card["faces"]["name"] == "patterns"


def test_a_resized_set_trains_as_one_that_was_resized_before():
    large = patterns(size=64)
    from facelab.embedders.tensors import resized

    small = fl.FaceSet(large.table, resized(large.crops, 32), large.card)
    a, b = (fl.train(faces, TINY).history["loss"] for faces in (large, small))
    assert np.array_equal(a, b)


def test_training_on_one_subject_is_refused():
    with pytest.raises(BadInput, match="at least 2 subjects; 'patterns' has 1"):
        fl.train(patterns()[:6], TINY)


def test_training_on_faces_without_a_subject_is_refused_naming_one():
    faces = patterns()
    faces.table.loc[[8, 9], "subject"] = None
    with pytest.raises(BadInput, match=r"2 faces have no subject .* 's001/2'"):
        fl.train(faces, TINY)


def test_a_diverging_loss_stops_with_step_subjects_and_advice(monkeypatch):
    real = parts.network_from
    calls = []

    def broken(recipe, start):
        network = real(recipe, start)

        def third_is_nan(module, inputs, output):
            calls.append(1)
            return output * math.nan if len(calls) == 3 else output

        network.register_forward_hook(third_is_nan)
        return network

    monkeypatch.setattr(parts, "network_from", broken)
    with pytest.raises(FacelabError, match=r"not a number at step 3: lower lr .* subjects: .*s0"):
        fl.train(patterns(), TINY)


def test_an_unknown_backbone_is_refused_with_names_near_it():
    with pytest.raises(BadInput, match="timm has no model 'resnet19x'"):
        fl.train(patterns(), dataclasses.replace(TINY, backbone="resnet19x"))
    with pytest.raises(BadInput, match="timm cannot build resnet18 with"):
        fl.train(patterns(), dataclasses.replace(TINY, backbone_options={"depth": 3}))


@pytest.mark.parametrize(
    "backbone, stem_stride, neck",
    [
        ("resnet18", 1, "pool"),
        ("resnet18", 4, "flatten"),
        ("mobilenetv4_conv_small_050", 1, "flatten"),
        ("mobilenetv4_conv_small_050", None, "pool"),
    ],
)
def test_timm_models_train_by_name(backbone, stem_stride, neck):
    recipe = dataclasses.replace(
        TINY,
        backbone=backbone,
        backbone_options={},
        stem_stride=stem_stride,
        neck=neck,
        steps=1,
        size=64,
    )
    embedder = fl.train(patterns(), recipe)
    assert embedder.embed(patterns()).vectors.shape == (72, 32)


def test_the_stem_stride_sets_how_far_the_stem_shrinks():
    for stride in (1, 2, 4):
        recipe = dataclasses.replace(TINY, stem_stride=stride).to_dict()
        backbone = network_of(recipe).backbone
        side = backbone.forward_features(torch.zeros(1, 3, 64, 64)).shape[-1]
        assert side == 64 // stride // 8
    with pytest.raises(BadInput, match="shrinks by 2, not by 4"):
        network_of(
            TINY.to_dict()
            | {"backbone": "mobilenetv4_conv_small_050", "backbone_options": {}}
            | {"stem_stride": 4}
        )


def test_bf16_trains_too():
    faces = patterns()
    embedder = fl.train(faces, dataclasses.replace(TINY, precision="bf16", steps=30))
    assert embedder.card["precision"] == "bf16"
    assert embedder.history["loss"].iloc[-1] < embedder.history["loss"].iloc[0]
    assert all(p.dtype == torch.float32 for p in embedder.network.parameters())


@pytest.mark.gpu
def test_training_on_a_gpu_gives_an_embedder_that_works_on_a_cpu(tmp_path):
    faces = patterns()
    embedder = fl.train(faces, dataclasses.replace(TINY, steps=40), device="cuda")
    assert embedder.card["device"] == "cuda"
    loaded = fl.load_embedder(embedder.save(tmp_path / "embedder"))
    close = (loaded.embed(faces).vectors * embedder.embed(faces).vectors).sum(1)
    assert close.min() > 0.999
