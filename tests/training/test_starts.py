"""Going on from networks that exist: ours, timm's, and those of other projects."""

import dataclasses
import json

import numpy as np
import published_weights as published
import pytest
import timm
import torch
from safetensors.torch import save_file
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, FacelabError
from facelab.training.arms import Names
from facelab.training.starts import hashed, network_from, start_of

FACE = {"backbone_options": {}, "stem_stride": None, "size": 112, "dim": 64}
MOBILE = {"backbone": "mobilefacenet", "neck": "depthwise"}
STEP = dataclasses.replace(TINY, steps=1, warm_up=0, lr=1e-12, weight_decay=0)


def train(faces, recipe, **given):
    return fl.train(faces, recipe, device="cpu", progress=False, **given)


def state_of(embedder) -> dict:
    return {name: value.clone() for name, value in embedder.network.state_dict().items()}


# ---- other projects' files

PUBLISHED = {
    "arcface_torch IResNet-18": (
        published.arcface_iresnet(published.DEPTHS["18"], 64),
        {"backbone": "iresnet18"},
        published.Theirs.arcface_iresnet,
    ),
    "CVLFace IR-18": (
        published.cvlface_iresnet(published.DEPTHS["18"], 64),
        {"backbone": "iresnet18", "backbone_options": {"plain_shortcuts": True}},
        published.Theirs.cvlface_iresnet,
    ),
    "arcface_torch MobileFaceNet": (
        published.arcface_mobile(2, 64),
        {**MOBILE, "backbone_options": {"widen": 2}},
        lambda theirs, x: theirs.mobile(x, arcface=True),
    ),
    "arcface_torch MobileFaceNet of scale 1": (
        published.arcface_mobile(1, 64),
        MOBILE,
        lambda theirs, x: theirs.mobile(x, arcface=True),
    ),
    "InsightFace_Pytorch MobileFaceNet": (
        published.other_mobile(64),
        MOBILE,
        lambda theirs, x: theirs.mobile(x, arcface=False),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recogniser_goes_on_as_what_it_was(name, tmp_path):
    """All of its weights, neck and embedding too: the same embeddings to the last few digits."""
    keys, says, theirs = PUBLISHED[name]
    state = published.filled(keys)
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "theirs.pt")
    recipe = fl.Recipe(**{**FACE, **says, "start": tmp_path / "theirs.pt"})
    start = start_of(recipe)
    ours = network_from(recipe, start).eval()
    assert set(start.weights) == set(ours.state_dict()), "nothing of the network is new"
    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found, expected = ours(images), theirs(published.Theirs(state), images * 2 - 1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.std().item())


@pytest.mark.parametrize("depth", ["50", "100"])
@pytest.mark.parametrize("layout", ["arcface", "cvlface"])
def test_deep_published_recognisers_are_told_and_taken_whole(depth, layout):
    from facelab.embedders.converters import converted, told_by
    from facelab.embedders.network import network_of

    keys = getattr(published, f"{layout}_iresnet")(published.DEPTHS[depth])
    state = {name: torch.empty(shape, device="meta") for name, shape in keys.items()}
    told = told_by({f"net.{name}": value for name, value in state.items()})
    assert told.network["backbone"] == f"iresnet{depth}"
    assert (told.network["size"], told.network["dim"]) == (112, 512)
    with torch.device("meta"):
        wanted = network_of({**told.network, "affine": told.affine}, pretrained=False).state_dict()
    taken = converted(told, wanted, "theirs")
    assert {n: v.shape for n, v in taken.items()} == {n: v.shape for n, v in wanted.items()}


def test_blue_first_networks_and_their_own_mean_and_std_are_taken_as_said(tmp_path):
    state = published.filled(published.other_mobile(64))
    save_file(state, tmp_path / "blue.safetensors")
    options = {"colour": "BGR", "mean": [0.1, 0.2, 0.3], "std": 0.25}
    recipe = fl.Recipe(
        **{**FACE, **MOBILE, "start": tmp_path / "blue.safetensors", "start_options": options}
    )
    ours = network_from(recipe, start_of(recipe)).eval()
    images = torch.rand(2, 3, 112, 112)
    given = ((images - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / 0.25).flip(1)
    with torch.inference_mode():
        expected = published.Theirs(state).mobile(given, arcface=False)
        torch.testing.assert_close(ours(images), expected, rtol=1e-3, atol=1e-3)
    assert ours.built["mean"] == [0.1, 0.2, 0.3] and ours.built["std"] == [0.25] * 3


def test_what_a_start_gave_is_saved_and_embeds_as_it_did(tmp_path):
    """Its mean and std, and the scale and shift of its last norm, which ours have not."""
    save_file(published.filled(published.arcface_mobile(1, 64)), tmp_path / "mbf.safetensors")
    options = {"mean": 0.4, "std": 0.3}
    recipe = fl.Recipe(
        **{**FACE, **MOBILE, "start": tmp_path / "mbf.safetensors", "start_options": options},
        steps=1, batch=8, lr=1e-4, wccn=0.1,
    )  # fmt: skip
    faces = patterns(subjects=4, images=2)
    made = train(faces, recipe)
    assert made.network.embed[1].affine and made.network.built["mean"] == [0.4] * 3
    card = made.card["start"]
    assert (card["names"], card["taken"], card["new"]) == ("arcface_torch", card["of"], [])
    loaded = TrainedEmbedder.load(made.save(tmp_path / "made"))
    told = json.loads((tmp_path / "made" / "embedder.json").read_text())
    assert (told["input"]["mean"], told["input"]["std"]) == (0.4, 0.3)
    vectors = [one.embed(faces, progress=False).vectors for one in (made, loaded)]
    np.testing.assert_array_equal(*vectors)


def test_a_scale_and_shift_that_the_recipe_alone_asks_for_begin_as_none(tmp_path):
    keys = published.cvlface_iresnet((1, 1, 1, 1), 64)
    torch.save(published.filled(keys), tmp_path / "theirs.pt")
    options = {"layers": [1, 1, 1, 1], "plain_shortcuts": True}
    given = {**FACE, "backbone": "iresnet18", "backbone_options": options, "lengths": "free"}
    recipe = fl.Recipe(**given, start=tmp_path / "theirs.pt")
    last = network_from(recipe, start_of(recipe)).embed[1]
    assert last.weight.unique().tolist() == [1] and last.bias.unique().tolist() == [0]


def test_a_checkpoint_of_arcface_torch_leaves_its_head_and_optimiser_behind(tmp_path):
    state = published.filled(published.arcface_mobile(1, 64))
    kept = {"epoch": 3, "state_dict_backbone": state, "state_optimizer": {"lr": 0.1}}
    torch.save(kept, tmp_path / "checkpoint_gpu_0.pt")
    recipe = fl.Recipe(**{**FACE, **MOBILE, "start": tmp_path / "checkpoint_gpu_0.pt"})
    weights = start_of(recipe).weights
    assert torch.equal(weights["backbone.stem.0.weight"], state["layers.0.layers.0.weight"])


def refusal(recipe) -> str:
    with pytest.raises(BadInput) as caught:
        start_of(recipe)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_fit_in_part_are_refused_with_the_count(tmp_path):
    keys = published.arcface_mobile(1, 64)
    state = published.filled(keys)
    half = dict(list(state.items())[len(state) // 2 :])
    recipe = fl.Recipe(**{**FACE, **MOBILE, "start": tmp_path / "half.pt"})
    torch.save(half, recipe.start)
    words = refusal(recipe)
    there, needed = (len([n for n in part if "num_batches" not in n]) for part in (half, keys))
    assert f"has {there} of the {needed} weights that the recipe's network needs" in words
    assert words.endswith("or the backbone and options that it was made with")
    torch.save({**state, "layers.9.se.weight": torch.ones(3)}, recipe.start)
    assert "the network has no layers.9.se.weight" in refusal(recipe)
    # Names of timm's.
    small = timm.create_model("resnet18", num_classes=0, **TINY.backbone_options).state_dict()
    kept = dict(list(small.items())[::2])
    torch.save(kept, tmp_path / "timm.pt")
    words = refusal(dataclasses.replace(TINY, start=str(tmp_path / "timm.pt")))
    assert f"has {len(kept)} of the {len(small)} weights" in words


def test_another_network_than_the_recipes_is_named_with_what_to_write(tmp_path):
    save_file(published.filled(published.arcface_mobile(2, 64)), tmp_path / "mbf.safetensors")
    says = {**FACE, "start": tmp_path / "mbf.safetensors"}
    words = refusal(fl.Recipe(**{**says, "backbone": "iresnet18", "size": 96}))
    assert "write backbone: mobilefacenet" in words
    for part in ("backbone_options: {'widen': 2}", "neck: depthwise", "size: 112"):
        assert part in words
    assert "dim" not in words, "what is the same is not told"
    words = refusal(fl.Recipe(**{**says, **MOBILE, "dim": 128, "backbone_options": {"widen": 2}}))
    assert "write dim: 64 in the recipe, which says dim: 128" in words


def test_what_is_no_start_is_refused_in_one_sentence(tmp_path):
    def words(start):
        return refusal(dataclasses.replace(TINY, start=str(start)))

    assert words(tmp_path / "nothing").startswith(f"start: there is nothing at {tmp_path}")
    (tmp_path / "text.pt").write_text("no weights")
    assert "is damaged or holds no weights" in words(tmp_path / "text.pt")
    torch.save({"model": TINY}, tmp_path / "pickled.pt")  # would run code of its own
    assert "is damaged or holds no weights" in words(tmp_path / "pickled.pt")
    (tmp_path / "empty").mkdir()
    assert "there is no file" in words(tmp_path / "empty")


# ---- timm's and the hub's


def test_a_model_of_the_hub_brings_its_backbone_mean_and_std(tmp_path):
    torch.manual_seed(3)
    source = timm.create_model("resnet18", num_classes=5, **TINY.backbone_options)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "resnet18",
        "num_classes": 5,
        "model_args": TINY.backbone_options,
        "pretrained_cfg": {
            **{"num_classes": 5, "classifier": "fc", "first_conv": "conv1"},
            **{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = train(patterns(), dataclasses.replace(STEP, start=f"local-dir:{tmp_path}"))
    torch.testing.assert_close(made.network.backbone.conv1.weight, source.conv1.weight)
    card = made.card["start"]
    assert (card["new"], card["mean"]) == (["embed"], [0.485, 0.456, 0.406])
    assert card["of"] - card["taken"] == 4, "the embedding's matrix and what its norm knows"
    other = dataclasses.replace(TINY, backbone="resnet34", start=f"local-dir:{tmp_path}")
    assert "write backbone: resnet18" in refusal(other)
    assert "write backbone: resnet34" in refusal(
        dataclasses.replace(TINY, start="timm:resnet34.a1_in1k")
    )


def test_a_hub_that_is_out_of_reach_is_said(monkeypatch):
    def download(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    with pytest.raises(FacelabError, match="could not be fetched"):
        start_of(dataclasses.replace(TINY, start="hf-hub:owner/name"))


# ---- ours


@pytest.fixture(scope="module")
def faces():
    return patterns()


@pytest.fixture(scope="module")
def first(faces):
    return train(faces, TINY)


@pytest.fixture(scope="module")
def folder(first, tmp_path_factory):
    return first.save(tmp_path_factory.mktemp("first") / "embedder")


def test_our_own_embedder_goes_on_where_it_stood(faces, first, folder):
    """Weights, and centres where the subjects are the same, in whatever order they come."""
    made = train(faces, dataclasses.replace(STEP, start=folder))
    before, after = state_of(first), state_of(made)
    for name in before:
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(after[name], before[name], rtol=1e-5, atol=1e-7)
    assert made.card["start"]["taken"] == made.card["start"]["of"] == len(before)
    assert made.card["start"]["centres"] == "the start's"
    turned = faces[np.argsort(faces.table["image"].to_numpy())[::-1]]
    assert train(turned, dataclasses.replace(STEP, start=folder)).card["start"]["centres"] == (
        "the start's"
    )
    torch.testing.assert_close(made.centres.weight, first.centres.weight)
    names = sorted(faces.table["subject"].unique())
    assert set(map(bytes, made.centres.subjects.numpy())) == set(map(bytes, hashed(names).numpy()))
    anew = train(faces, STEP)
    assert made.history["loss"].iloc[0] < anew.history["loss"].iloc[0] / 3
    other = train(patterns(prefix="t"), dataclasses.replace(STEP, start=folder))
    assert other.card["start"]["centres"] == "new: other subjects"
    fewer = train(patterns(subjects=8), dataclasses.replace(STEP, start=folder))
    assert fewer.card["start"]["centres"] == "new: other subjects"
    namesakes = train(patterns(seed=4), dataclasses.replace(STEP, start=folder))
    said = "new: the names are the same, and the centres do not fit the faces"
    assert namesakes.card["start"]["centres"] == said
    several = train(faces, dataclasses.replace(STEP, start=folder, head="subcenter"))
    assert several.card["start"]["centres"] == "new: the head has others"
    asked = dataclasses.replace(STEP, start=folder, start_options={"centres": False})
    assert train(faces, asked).card["start"]["centres"] == "new"


def test_a_trained_embedder_can_go_to_others_without_its_centres(faces, first, folder, tmp_path):
    assert TrainedEmbedder.load(folder).centres.weight.shape == (12, 32)
    for value in first.centres.subjects.numpy():
        assert b"s00" not in bytes(value), "nobody is named"
    plain = train(faces, dataclasses.replace(STEP, keep_centres=False))
    assert plain.centres is None
    assert not (plain.save(tmp_path / "plain") / "centres.safetensors").exists()


def test_centres_of_people_who_may_be_real_are_kept_only_where_asked_for(faces):
    real = fl.FaceSet.from_arrays(faces.table, faces.crops, name="real", synthetic=False)
    assert train(real, STEP).centres is None
    assert train(real, dataclasses.replace(STEP, keep_centres=True)).centres is not None


class Plain(torch.nn.Module):
    """A head of one's own, with a centre a subject or with the same the other way round."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(shape))

    def losses(self, embeddings, labels):
        weight = self.weight.T if self.weight.shape[0] == 12 else self.weight
        return torch.nn.functional.cross_entropy(
            embeddings.float() @ weight, labels, reduction="none"
        )


def test_a_head_of_ones_own_begins_with_the_starts_centres_where_it_has_one_a_subject(
    faces, first, folder, tmp_path
):
    recipe = dataclasses.replace(STEP, start=folder)
    made = train(faces, recipe, head=lambda dim, subjects: Plain(subjects, dim))
    assert made.card["start"]["centres"] == "the start's"
    torch.testing.assert_close(made.centres.weight, first.centres.weight)
    turned = train(faces, recipe, head=Plain)
    assert turned.card["start"]["centres"] == "new" and turned.centres is None
    assert TrainedEmbedder.load(turned.save(tmp_path / "turned")).centres is None


def test_ours_of_another_kind_is_named_with_what_to_write(folder):
    words = refusal(dataclasses.replace(TINY, start=folder, dim=16, size=48))
    assert "write size: 32, dim: 32 in the recipe, which says size: 48, dim: 16" in words


def test_where_a_start_lies_decides_nothing_and_what_it_holds_everything(
    faces, first, folder, tmp_path
):
    there = first.save(tmp_path / "there")
    names = {
        Names(torch.device("cpu")).of(dataclasses.replace(TINY, start=start), faces)
        for start in (folder, there)
    }
    assert len(names) == 1
    first.network.embed[0].weight.data[0, 0] += 1
    try:
        other = first.save(tmp_path / "other")
    finally:
        first.network.embed[0].weight.data[0, 0] -= 1
    names.add(Names(torch.device("cpu")).of(dataclasses.replace(TINY, start=other), faces))
    names.add(Names(torch.device("cpu")).of(TINY, faces))
    assert len(names) == 3

    recipe = dataclasses.replace(TINY, start=folder, steps=4)
    whole = train(faces, recipe, checkpoints=tmp_path / "saved", checkpoint_every=2, keep=9)
    (tmp_path / "saved" / "step-000000004.pt").unlink()
    resumed = train(
        faces, dataclasses.replace(recipe, start=there), checkpoints=tmp_path / "saved", resume=True
    )
    for name, value in state_of(whole).items():
        assert torch.equal(value, state_of(resumed)[name])
    assert whole.identity() == resumed.identity()
    with pytest.raises(BadInput, match=r"another training, which differs in recipe\.start"):
        train(
            faces, dataclasses.replace(recipe, start=other), checkpoints=tmp_path / "saved",
            resume=True,
        )  # fmt: skip


def test_arms_go_on_from_starts_and_are_kept_by_what_these_hold(faces, folder, tmp_path):
    recipes = {
        "new": dataclasses.replace(TINY, steps=2),
        "continued": dataclasses.replace(TINY, steps=2, start=folder),
    }
    arms = dict.fromkeys(recipes, faces)
    made = fl.train_arms(arms, recipes, [0], jobs=1, kept=tmp_path)
    assert made["continued", 0].card["start"]["centres"] == "the start's"
    assert "start" not in made["new", 0].card
    assert made["continued", 0].history["loss"].iloc[0] < made["new", 0].history["loss"].iloc[0]


def test_the_caller_keeps_their_random_numbers(folder):
    before = torch.random.get_rng_state()
    start_of(dataclasses.replace(TINY, start=folder))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_centres_are_known_again_where_embeddings_were_whitened_after_training(faces, tmp_path):
    folder = train(faces, dataclasses.replace(TINY, wccn=0.1)).save(tmp_path / "whitened")
    made = train(faces, dataclasses.replace(STEP, start=folder))
    assert made.card["start"]["centres"] == "the start's"
