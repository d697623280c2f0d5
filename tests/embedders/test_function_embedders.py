"""Any function on crops, and models of timm and the hub, as embedders."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import facelab as fl
from facelab.embedders.function import embedder_of
from facelab.embedders.hub import hub_embedder
from facelab.embedders.onnx import presets
from facelab.embedders.opening import load_embedder

WEIGHTS = np.random.default_rng(0).normal(size=(32 * 32 * 3, 7))


def linear(crops):
    """One linear layer; the crops are given in the order that the model wants."""
    assert crops.dtype == np.uint8 and crops.flags.c_contiguous
    return (crops / 255 - 0.5).reshape(len(crops), -1) @ WEIGHTS[: crops[0].size]


def by_hand(crops, flip):
    rows = linear(crops)
    if flip:
        rows = rows + linear(np.ascontiguousarray(crops[:, :, ::-1]))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("workers", [None, "threads"])
def test_a_function_gives_the_vectors_of_numpy(faces, flip, workers):
    embedder = embedder_of(linear, size=32, workers=workers)
    assert (embedder.name, embedder.dim, embedder.size) == ("linear", 7, 32)
    found = embedder.embed(faces, flip=flip, batch=77, jobs=2)
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, by_hand(faces.crops, flip), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    assert found.table["image"].tolist() == faces.table["image"].tolist()
    assert found.card["embedder"] == "linear"
    assert found.card["flip"] is flip
    assert found.card["faces"] == {"name": "noise", "synthetic": True}


def test_a_function_goes_wherever_an_embedder_does(faces):
    embedder = load_embedder(linear, name="mine", size=32)
    audit = fl.audit(embedder.embed(faces), by="race", fmr=0.1, replicates=10)
    assert set(audit.rates["group"]) == {"all", "african", "asian", "caucasian"}
    assert embedder.embed(faces[:0]).vectors.shape == (0, 7)


def test_a_network_of_torch_may_be_given_as_it_is(faces):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3072, 5))  # its gradient is on

    def embed(crops):
        return network(torch.tensor(crops).float())

    found = embedder_of(embed, size=32).embed(faces[:4], flip=False).vectors
    weight, bias = (value.detach().numpy().astype(float) for value in network[1].parameters())
    expected = faces.crops[:4].reshape(4, -1) @ weight.T + bias
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def in_training(crops):
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3072), nn.Linear(3072, 5)).train()
    with torch.no_grad():
        return network(torch.tensor(crops).float())


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda crops: crops.mean(), r"gives \(\) for 3 crops: one row of numbers each is needed"),
        (lambda crops: np.ones((1, 8)), r"gives \(1, 8\) for 3 crops"),
        (lambda crops: np.ones((len(crops), 2, 2)), r"gives \(3, 2, 2\) for 3 crops"),
        (lambda crops: np.ones((len(crops), 0)), r"gives \(3, 0\) for 3 crops"),
        (
            lambda crops: [f"face {n}" for n in range(len(crops))],
            "gives text .a list.: one row",
        ),
        (lambda crops: None, r"gives \(\) for 3 crops"),
        (in_training, "another vector when other faces are beside it.*evaluation mode"),
        (3, "function must be a function, not 3"),
    ],
)
def test_a_function_that_gives_no_vector_a_face_is_refused_when_it_is_given(function, sentence):
    torch.manual_seed(0)
    with pytest.raises(fl.BadInput, match=sentence):
        embedder_of(function, "mine", size=32)


def pooled(crops):
    return np.asarray(linear(crops))[:, :, None, None]


@pytest.mark.parametrize(
    ("function", "output"),
    [
        (pooled, None),
        (lambda crops: torch.tensor(pooled(crops), requires_grad=True), None),
        (lambda crops: linear(crops).tolist(), None),
        (lambda crops: {"embedding": linear(crops)}, None),
        (lambda crops: {"embedding": linear(crops), "logits": np.ones((len(crops), 2))},
         "embedding"),
        (lambda crops: (np.ones((len(crops), 2)), torch.tensor(linear(crops))), 1),
    ],
)  # fmt: skip
def test_one_of_several_outputs_is_chosen_and_axes_of_one_go(faces, function, output):
    embedder = embedder_of(function, "mine", size=32, output=output)
    found = embedder.embed(faces[:9], flip=False)
    np.testing.assert_allclose(found.vectors, by_hand(faces.crops[:9], False), atol=1e-6)


@pytest.mark.parametrize(
    ("function", "output", "sentence"),
    [
        (lambda crops: {"a": linear(crops), "b": linear(crops)}, None,
         r"mine has several outputs \(a, b\): give output, the name of the one that holds"),
        (lambda crops: (linear(crops), linear(crops)), None, r"several outputs \(0, 1\)"),
        (lambda crops: {"a": linear(crops)}, "b", "mine has no output 'b'; it has: a"),
        (linear, "a", "gives one array and no output 'a'"),
        (lambda crops: linear(crops) + 1j, None, "mine gives complex numbers .an array.: one"),
        (lambda crops: linear(crops)[:, :, None] * np.ones(3), None, "as after the network's pool"),
        (lambda crops: linear(crops).T, None, r"turn them round \(.T\)"),
        (lambda crop: linear(crop)[0], None, "stack them"),
        (lambda crops: crops.nothing, None, r"mine fails on uint8 crops \(3, 32"),
        (nn.Conv2d(3, 4, 3), None, "a module of torch takes float tensors"),
    ],
)  # fmt: skip
def test_what_a_function_gives_instead_is_said_with_what_to_do(function, output, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        embedder_of(function, "mine", size=32, output=output)


def test_what_went_wrong_in_somebody_elses_function_stays_below():
    def failing(crops):
        raise KeyError("weights")

    with pytest.raises(fl.BadInput) as caught:
        embedder_of(failing)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("given", ["faces", None, np.zeros((2, 32, 32, 3), np.uint8), {"train": 1}])
def test_an_embedder_takes_faces_and_says_so(given):
    with pytest.raises(fl.BadInput, match=r"the embedder mine takes faces \(a FaceSet\), not "):
        embedder_of(linear, "mine", size=32).embed(given)


def test_what_goes_wrong_later_names_the_image_or_the_numbers(faces):
    crops = faces.crops.copy()
    crops[5] = 0

    def dark(batch):
        return np.where(batch.max(axis=(1, 2, 3))[:, None] > 0, linear(batch), np.nan)

    dark_set = fl.FaceSet.from_arrays(faces.table, crops)
    with pytest.raises(fl.BadInput, match="image 's001/0' holds a value that is not a finite"):
        embedder_of(dark, size=32).embed(dark_set)

    def growing(batch):
        return linear(batch)[:, : 7 if len(batch) < 9 else 6]

    with pytest.raises(fl.BadInput, match="vectors of 6 numbers, and of 7 before"):
        embedder_of(growing, size=32).embed(faces)
    with pytest.raises(fl.BadInput, match="takes faces of 64 px and these are of 32 px"):
        embedder_of(lambda batch: batch[:, ::16, 0, 0], "mine", size=64).embed(faces)


# ---- timm and the hub


@pytest.fixture
def weights(tmp_path):
    import timm

    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=10).eval()
    torch.save(model.state_dict(), tmp_path / "resnet18.pth")
    return model, tmp_path / "resnet18.pth"


def test_a_model_of_timm_embeds_with_its_own_mean_std_and_size(faces, weights):
    model, path = weights
    embedder = load_embedder(
        "timm:resnet18", checkpoint_path=str(path), size=32, name="r18", device="cpu"
    )
    assert (embedder.name, embedder.dim) == ("r18", 512)
    found = embedder.embed(faces[:3])
    pixels = torch.tensor(faces.crops[:3]).permute(0, 3, 1, 2).double() / 255
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    with torch.no_grad():
        rows = [
            model.double().forward_features((images - mean) / std).mean(dim=(2, 3))
            for images in (pixels, pixels.flip(3))
        ]
    expected = torch.nn.functional.normalize(sum(rows)).numpy()
    np.testing.assert_allclose(found.vectors, expected, atol=1e-4)
    assert found.card["model"] == {"source": "timm:resnet18", "size": 32}


def test_crops_of_another_side_are_resampled_whole(weights):
    embedder = hub_embedder("timm:resnet18", checkpoint_path=str(weights[1]), size=32)
    small = np.random.default_rng(0).integers(60, 190, (2, 4, 4, 3), np.uint8)
    large = np.repeat(np.repeat(small, 16, 1), 16, 2)  # blocks of 16 are blocks of 8 at half size
    table = pd.DataFrame({"subject": ["a", "b"], "image": ["a", "b"]})

    def vectors(crops):
        return embedder.embed(fl.FaceSet.from_arrays(table, crops)).vectors

    half = np.repeat(np.repeat(small, 8, 1), 8, 2)
    assert ((vectors(large) * vectors(half)).sum(axis=1) > 0.99).all()
    assert (vectors(large[::-1])[0] * vectors(half)[0]).sum() < 0.99


def test_models_without_pretrained_weights_are_refused(tmp_path):
    with pytest.raises(fl.BadInput, match="no pretrained weights of timm:iresnet18: give check"):
        load_embedder("timm:iresnet18")
    with pytest.raises(fl.BadInput, match="timm has no model 'resnet19'"):
        load_embedder("timm:resnet19")
    with pytest.raises(fl.BadInput, match="there is no file"):
        load_embedder(f"local-dir:{tmp_path}")


@pytest.mark.parametrize("source", ["timm:resnet18", "hf-hub:timm/resnet18.a1_in1k"])
def test_without_a_network_one_sentence_says_what_to_do(monkeypatch, tmp_path, source):
    import socket

    import huggingface_hub

    def unreachable(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(fl.FacelabError) as caught:
        load_embedder(source)
    assert f"weights of {source} could not be fetched" in str(caught.value)
    assert "run it once where there is a network, or give checkpoint_path" in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- what load_embedder takes


def test_names_and_paths_are_told_apart(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"give a folder .*, dlib, timm:NAME or hf-hub:"):
        load_embedder(tmp_path / "nothing")
    with pytest.raises(fl.BadInput, match="dlib's embedder takes no options, but got: size"):
        load_embedder("dlib", size=3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dlib").mkdir()
    with pytest.raises(fl.BadInput, match="dlib is neither a trained embedder"):
        load_embedder(tmp_path / "dlib")


def test_every_preset_says_how_pixels_are_prepared_and_whom_it_was_trained_on():
    for name, preset in presets().items():
        assert set(preset) <= {
            *("title", "file", "channels", "mean", "std", "size", "dim", "output"),
            *("training_data", "ms_celeb", "licence", "note", "source"),
        }, name
        assert preset["channels"] in ("rgb", "bgr")
        assert preset["size"] in (112, 160)
        assert preset["dim"] in (128, 512)
        assert preset["ms_celeb"] in ("yes", "no", "unknown")
        assert preset["training_data"] and preset["licence"] and preset["source"]
        if "MS1M" in preset["training_data"]:
            assert preset["ms_celeb"] == "yes", name
