"""Recipes and the training loop."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput, FacelabError
from facelab.training import Augmentation, Recipe, engine

# ---- recipes


def test_a_recipe_comes_back_from_yaml_as_it_was_written(tmp_path):
    recipe = Recipe(
        head="arcface", steps=7, stem_stride=None, augment=Augmentation(flip=0.0, rotate=12)
    )
    assert Recipe.from_yaml(recipe.to_yaml(tmp_path / "recipe.yaml")) == recipe


def test_the_default_recipe_is_the_shipped_small_one():
    recipes = Path(__file__).parent.parent / "experiments" / "recipes"
    assert Recipe.from_yaml(recipes / "small.yaml") == Recipe()


def test_every_shipped_recipe_is_valid():
    recipes = Path(__file__).parent.parent / "experiments" / "recipes"
    for path in recipes.glob("*.yaml"):
        Recipe.from_yaml(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("epochs: 3", "'epochs' is not part of a recipe"),
        ("augment: {flop: 1}", "'flop' is not part of a augment"),
        ("augment: 3", "the augment must be names with values"),
        ("lr: fast", "lr must be of type float, not 'fast'"),
        ("steps: 1.5", "steps must be of type int, not 1.5"),
        ("steps: true", "steps must be of type int, not True"),
        ("batch: 1", "batch must be at least 2"),
        ("lr: -1", "lr must be above 0, not -1.0"),
        ("head: triplet", "head must be one of softmax, cosface, arcface, combined, adaface"),
        ("centres: 0", "centres must be above 0, at most 1, not 0.0"),
        ("accumulate: 3", "accumulate must be a divisor of batch (32), not 3"),
        ("schedule: steps", "milestones must be shares of the steps, not []"),
        ("milestones: [0.7, 0.5]", "milestones must be rising shares of the steps"),
        ("milestones: [half]", "milestones must be rising shares of the steps"),
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
        ("[1, 2]", "the recipe must be names with values"),
        ("a: [", "while parsing"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_sentence_naming_the_file(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        Recipe.from_yaml(path)
    assert message in str(error.value)
    assert "recipe.yaml" in str(error.value)


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
    from facelab.embedders.backbone import resized

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
    real = engine.network_of
    calls = []

    def broken(recipe):
        network = real(recipe)

        def third_is_nan(module, inputs, output):
            calls.append(1)
            return output * math.nan if len(calls) == 3 else output

        network.register_forward_hook(third_is_nan)
        return network

    monkeypatch.setattr(engine, "network_of", broken)
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
        backbone = engine.network_of(recipe).backbone
        side = backbone.forward_features(torch.zeros(1, 3, 64, 64)).shape[-1]
        assert side == 64 // stride // 8
    with pytest.raises(BadInput, match="shrinks by 2, not by 4"):
        engine.network_of(
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
