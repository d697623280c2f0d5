"""ONNX embedders: what the model is fed is what was stated, and nothing is guessed."""

import json
import sys

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

import facelab as fl
from facelab.embedders.onnx import OnnxEmbedder

SIZE, DIM = 8, 5
WEIGHTS = np.random.default_rng(0).normal(size=(3 * SIZE * SIZE, DIM)).astype(np.float32)
STATED = {"channels": "rgb", "mean": 127.5, "std": 128}


def write_model(path, shape, outputs=("vectors",), axis=1, element=TensorProto.FLOAT):
    """One linear layer over the flattened input."""
    nodes = [helper.make_node("Flatten", ["images"], ["flat"], axis=axis)]
    nodes += [helper.make_node("MatMul", ["flat", "weights"], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", element, shape)],
        [helper.make_tensor_value_info(name, element, None) for name in outputs],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "tiny.onnx", ["n", 3, SIZE, SIZE])


@pytest.fixture
def crops():
    return np.random.default_rng(1).integers(0, 256, (7, SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def some(crops):
    table = pd.DataFrame({"subject": list("aabbccd"), "image": [str(n) for n in range(7)]})
    return fl.FaceSet.from_arrays(table, crops, name="seven", licence="none", synthetic=True)


def by_hand(crops, flip=False, first=True, bgr=False, mean=127.5, std=128.0):
    def vectors(images):
        pixels = images[..., ::-1] if bgr else images
        pixels = (pixels.astype(np.float64) - mean) / std
        pixels = pixels.transpose(0, 3, 1, 2) if first else pixels
        return pixels.reshape(len(images), -1) @ WEIGHTS

    result = vectors(crops) + (vectors(crops[:, :, ::-1]) if flip else 0)
    return result / np.linalg.norm(result, axis=1, keepdims=True)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("count", ["n", 1, 4])
@pytest.mark.parametrize("first", [True, False])
def test_vectors_are_those_of_numpy(tmp_path, some, crops, flip, count, first):
    shape = [count, 3, SIZE, SIZE] if first else [count, SIZE, SIZE, 3]
    embedder = fl.load_embedder(write_model(tmp_path / "tiny.onnx", shape), **STATED)
    assert (embedder.size, embedder.dim, embedder.name) == (SIZE, DIM, "tiny")
    for batch, jobs in [(64, 1), (3, 2)]:
        embeddings = embedder.embed(some, flip=flip, batch=batch, jobs=jobs)
        np.testing.assert_allclose(embeddings.vectors, by_hand(crops, flip, first), atol=2e-6)
    assert embeddings.vectors.dtype == np.float32
    assert embeddings.table["subject"].tolist() == list("aabbccd")


def test_the_card_says_what_made_the_vectors(model, some):
    card = OnnxEmbedder(model, **STATED).embed(some).card
    assert card["embedder"] == "tiny"
    assert card["flip"] is True
    assert card["preprocessing"] == STATED
    assert len(card["model_sha256"]) == 64
    assert card["faces"] == {"name": "seven", "synthetic": True, "licence": "none"}


def test_channels_mean_and_std_are_applied_in_the_models_order(model, some, crops):
    mean, std = [104.0, 117.0, 123.0], [1.0, 2.0, 4.0]
    embedder = OnnxEmbedder(model, channels="bgr", mean=mean, std=std)
    expected = by_hand(crops, bgr=True, mean=np.array(mean), std=np.array(std))
    np.testing.assert_allclose(embedder.embed(some, flip=False).vectors, expected, atol=2e-6)


def test_preprocessing_is_read_beside_the_model_and_arguments_win(model, some, crops):
    model.with_suffix(".json").write_text(json.dumps({**STATED, "name": "stated"}))
    embedder = fl.load_embedder(model)
    assert embedder.name == "stated"
    np.testing.assert_allclose(embedder.embed(some, flip=False).vectors, by_hand(crops), atol=2e-6)
    other = fl.load_embedder(model, mean=0.0, std=255.0)
    np.testing.assert_allclose(
        other.embed(some, flip=False).vectors, by_hand(crops, mean=0.0, std=255.0), atol=2e-6
    )
    model.with_suffix(".yaml").write_text("channels: rgb\nmean: 0\nstd: 1\n")
    with pytest.raises(fl.BadInput, match=r"tiny\.json and tiny\.yaml both describe tiny\.onnx"):
        fl.load_embedder(model)
    model.with_suffix(".json").unlink()
    assert fl.load_embedder(model).preprocessing == {"channels": "rgb", "mean": 0, "std": 1}


def test_nothing_is_guessed(model):
    with pytest.raises(fl.BadInput, match=r"not stated \(channels, mean, std\).*tiny\.json"):
        OnnxEmbedder(model)
    with pytest.raises(fl.BadInput, match=r"not stated \(std\)"):
        OnnxEmbedder(model, channels="rgb", mean=0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channels": "RBG"}, "channels must be 'rgb' or 'bgr', not 'RBG'"),
        ({"mean": [1, 2]}, r"mean must be one number or three, not \[1, 2\]"),
        ({"std": 0}, "std must be greater than 0"),
        ({"std": "wide"}, "std must be one number or three"),
        ({"size": 112}, "takes images of 8 px, not of size=112"),
        ({"size": "large"}, "size must be a whole number of pixels, such as 112, not 'large'"),
        ({"size": 8.5}, "size must be a whole number"),
        ({"size": [8]}, "size must be a whole number"),
        ({"size": True}, "size must be a whole number"),
        ({"output": "fc1"}, "no output 'fc1'; it has: vectors"),
    ],
)
def test_wrong_options_are_one_sentence(model, options, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        OnnxEmbedder(model, **{**STATED, **options})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"channels": "rgb", "scale": 2}', "states scale; known are channels, mean, std, size"),
        ("[1]", "states no names with values"),
        ("null", "states no names with values"),
        ('"rgb"', "states no names with values"),
        ("{", "cannot be read"),
        ("", "is empty: write in it what is meant"),
    ],
)
def test_a_wrong_file_beside_the_model_is_one_sentence(model, text, sentence):
    model.with_suffix(".json").write_text(text)
    with pytest.raises(fl.BadInput, match=sentence):
        OnnxEmbedder(model, **STATED)


def test_several_outputs_ask_for_the_name(tmp_path, some, crops):
    path = write_model(tmp_path / "two.onnx", ["n", 3, SIZE, SIZE], outputs=("a", "b"))
    with pytest.raises(fl.BadInput, match=r"several outputs \(a, b\): give output"):
        OnnxEmbedder(path, **STATED)
    embedder = OnnxEmbedder(path, **STATED, output="b")
    np.testing.assert_allclose(embedder.embed(some, flip=False).vectors, by_hand(crops), atol=2e-6)


def test_what_is_no_embedder_is_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(fl.BadInput, match="is not a model that onnxruntime can run") as caught:
        OnnxEmbedder(tmp_path / "text.onnx", **STATED)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="there is no model"):
        OnnxEmbedder(tmp_path / "none.onnx", **STATED)
    flat = write_model(tmp_path / "flat.onnx", ["n", 3 * SIZE * SIZE])
    with pytest.raises(fl.BadInput, match="an embedder takes one tensor"):
        OnnxEmbedder(flat, **STATED)
    oblong = write_model(tmp_path / "oblong.onnx", ["n", 3, 4, 16])
    with pytest.raises(fl.BadInput, match="only square ones"):
        OnnxEmbedder(oblong, **STATED)
    merged = write_model(tmp_path / "merged.onnx", [2, 3, SIZE, SIZE], axis=0)
    with pytest.raises(fl.BadInput):
        OnnxEmbedder(merged, **STATED)


def test_an_open_image_size_must_be_given(tmp_path, some):
    path = write_model(tmp_path / "open.onnx", ["n", 3, "h", "w"])
    with pytest.raises(fl.BadInput, match="leaves its image size open: give size"):
        OnnxEmbedder(path, **STATED)
    assert len(OnnxEmbedder(path, **STATED, size=SIZE).embed(some)) == 7


def test_faces_of_another_size_and_empty_sets(model, some, faces):
    embedder = OnnxEmbedder(model, **STATED)
    with pytest.raises(fl.BadInput, match="takes faces of 8 px and these are of 32 px"):
        embedder.embed(faces)
    assert embedder.embed(some[:0]).vectors.shape == (0, DIM)


def test_a_face_without_a_vector_is_named(model, some):
    gray = fl.FaceSet.from_arrays(some.table, np.full((7, SIZE, SIZE, 3), 9, np.uint8))
    with pytest.raises(fl.BadInput, match="image '0' has length zero"):
        OnnxEmbedder(model, channels="rgb", mean=9, std=1).embed(gray)


def test_without_onnxruntime_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(fl.MissingExtra, match=r"pip install 'facelab\[onnx\]'"):
        OnnxEmbedder(model, **STATED)


def write_shaped(path, shape, dims):
    """The linear layer of `write_model`, its output reshaped."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["rows"]),
        helper.make_node("Reshape", ["rows", "dims"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shaped",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(WEIGHTS, "weights"),
            numpy_helper.from_array(np.array(dims, dtype=np.int64), "dims"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("dims", [(-1, DIM, 1, 1), (-1, 1, 1, DIM), (-1, 1, DIM), (1, -1, DIM)])
@pytest.mark.parametrize("layout", [["n", 3, SIZE, SIZE], ["n", SIZE, SIZE, 3], [4, 3, SIZE, SIZE]])
def test_axes_of_one_in_the_output_go(tmp_path, some, crops, dims, layout):
    embedder = OnnxEmbedder(write_shaped(tmp_path / "a.onnx", layout, dims), **STATED)
    assert embedder.dim == DIM
    expected = by_hand(crops, first=layout[1] == 3)
    np.testing.assert_allclose(embedder.embed(some, flip=False).vectors, expected, atol=2e-6)


def test_a_batch_that_is_open_in_name_only_is_run_one_by_one(tmp_path, some, crops):
    path = write_shaped(tmp_path / "a.onnx", ["n", 3, SIZE, SIZE], (1, DIM))
    found = OnnxEmbedder(path, **STATED).embed(some, flip=False).vectors
    np.testing.assert_allclose(found, by_hand(crops), atol=2e-6)


@pytest.mark.parametrize(
    ("dims", "sentence"),
    [
        ((-1, DIM, 3), "cannot be run on images of 8 px"),
        ((-1,), r"gives \(5,\) for 1 crops: one row of numbers each is needed"),
    ],
)
def test_outputs_that_are_no_vectors_get_the_advice_that_functions_get(tmp_path, dims, sentence):
    path = write_shaped(tmp_path / "a.onnx", ["n", 3, SIZE, SIZE], dims)
    with pytest.raises(fl.BadInput, match=sentence):
        OnnxEmbedder(path, **STATED)


def test_several_outputs_are_named_as_those_of_a_function_are(tmp_path):
    path = write_model(tmp_path / "a.onnx", ["n", 3, SIZE, SIZE], outputs=("a", "b"))
    with pytest.raises(fl.BadInput) as of_a_file:
        OnnxEmbedder(path, **STATED)
    both = np.ones((3, 2))
    with pytest.raises(fl.BadInput) as of_a_function:
        fl.embedder_of(lambda crops: {"a": both, "b": both}, "a.onnx", size=SIZE)
    assert str(of_a_file.value) == str(of_a_function.value)
    assert OnnxEmbedder(path, **STATED, output="b").dim == DIM
