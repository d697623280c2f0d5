"""Presets: what is known of well-known models reaches the input, the checks and the card."""

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper, save

import facelab as fl
from facelab.embedders.onnx import presets


def write_model(path, shape, dim, output="vectors", axes=(2, 3)):
    """The mean colour, in the order of the channels, times a matrix."""
    weights = np.random.default_rng(0).normal(size=(3, dim)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array(axes), "axes"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path, weights


def some(size):
    crops = np.random.default_rng(1).integers(0, 256, (2, 1, 1, 3), np.uint8)
    crops = np.broadcast_to(crops, (2, size, size, 3)).copy()
    table = pd.DataFrame({"subject": ["a", "b"], "image": ["a", "b"]})
    return fl.FaceSet.from_arrays(table, crops), crops[:, 0, 0].astype(float)


# Channels, mean and std of every preset, written out again from the models' own code.
EXPECTED = {
    "w600k_r50": ("rgb", 127.5, 127.5, 112, 512),
    "w600k_mbf": ("rgb", 127.5, 127.5, 112, 512),
    "glintr100": ("rgb", 127.5, 127.5, 112, 512),
    "arcface_ms1mv3": ("rgb", 127.5, 127.5, 112, 512),
    "adaface_ms1m": ("bgr", 127.5, 127.5, 112, 512),
    "adaface_webface": ("bgr", 127.5, 127.5, 112, 512),
    "sface": ("rgb", 0, 1, 112, 128),
    "mobilefacenet": ("rgb", 127.5, 128, 112, 128),
    "edgeface": ("rgb", 127.5, 127.5, 112, 512),
    "facenet": ("rgb", 127.5, 128, 160, 512),
}


@pytest.mark.parametrize("preset", EXPECTED)
@pytest.mark.parametrize("first", [True, False], ids=["NCHW", "NHWC"])
def test_a_preset_prepares_pixels_as_the_models_own_code_does(tmp_path, preset, first):
    assert set(presets()) == set(EXPECTED)
    channels, mean, std, size, dim = EXPECTED[preset]
    shape = ["n", 3, "h", "w"] if first else ["n", "h", "w", 3]
    name = presets()[preset].get("output", "vectors")
    path, weights = write_model(tmp_path / "m.onnx", shape, dim, name, (2, 3) if first else (1, 2))
    embedder = fl.load_embedder(path, preset=preset)
    assert (embedder.size, embedder.dim) == (size, dim)
    faces, colours = some(size)
    expected = ((colours[:, ::-1] if channels == "bgr" else colours) - mean) / std @ weights
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for flip in (True, False):  # one colour is its own mirror image
        found = embedder.embed(faces, flip=flip)
        np.testing.assert_allclose(found.vectors, expected, atol=1e-4)
    model = found.card["model"]
    assert model["preset"] == preset
    assert model["ms_celeb"] == presets()[preset]["ms_celeb"]
    assert model["training_data"] and model["licence"]


def test_arguments_win_over_a_preset_and_a_preset_over_the_file_beside(tmp_path):
    path, _ = write_model(tmp_path / "m.onnx", ["n", 3, 112, 112], 512)
    path.with_suffix(".json").write_text('{"channels": "rgb", "mean": 0, "std": 255, "name": "x"}')
    embedder = fl.load_embedder(path, preset="w600k_r50", std=128)
    assert embedder.preprocessing == {"channels": "rgb", "mean": 127.5, "std": 128}
    assert embedder.name == "x"


def test_another_model_than_the_presets_is_refused(tmp_path):
    path, _ = write_model(tmp_path / "m.onnx", ["n", 3, 112, 112], 128)
    with pytest.raises(fl.BadInput, match="vectors of 128 numbers, and the preset glintr100 is of"):
        fl.load_embedder(path, preset="glintr100")
    with pytest.raises(fl.BadInput, match="takes images of 112 px, not of size=160"):
        fl.load_embedder(path, preset="facenet")
    with pytest.raises(fl.BadInput, match="has no output 'output'; it has: vectors"):
        fl.load_embedder(path, preset="adaface_ms1m")
    with pytest.raises(fl.BadInput, match=r"no preset 'arcface' .*; there are: w600k_r50, "):
        fl.load_embedder(path, preset="arcface")


def test_without_a_preset_the_card_names_none(tmp_path):
    path, _ = write_model(tmp_path / "m.onnx", ["n", 3, 112, 112], 8)
    card = fl.load_embedder(path, channels="rgb", mean=0, std=1).embed(some(112)[0]).card
    assert "model" not in card


@pytest.mark.real
def test_the_preset_of_the_real_model_is_that_of_its_measured_accuracy(real):
    path = real / "models" / "mobilefacenet.onnx"
    embedder = fl.load_embedder(path, preset="mobilefacenet")
    assert embedder.preprocessing == {"channels": "rgb", "mean": 127.5, "std": 128}
    assert (embedder.size, embedder.dim) == (112, 128)
