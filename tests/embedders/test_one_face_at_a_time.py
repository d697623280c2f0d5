"""Networks quantised dynamically round by the batch: a face's vector is the one it has alone."""

import warnings

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import facelab as fl
from facelab.embedders.kept import embed

SIZE, DIM = 8, 16
WEIGHTS = np.random.default_rng(0).normal(size=(3 * SIZE * SIZE, DIM)).astype(np.float32)
STATED = {"channels": "rgb", "mean": 127.5, "std": 128}
TOLD = "one at a time"


def write_quantised(path, count):
    """A linear layer, its input rounded to 8 bits by its own range: as quantize_dynamic makes."""
    step = np.float32(np.abs(WEIGHTS).max() / 127)
    whole = np.round(WEIGHTS / step).astype(np.int8)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("DynamicQuantizeLinear", ["flat"], ["rounded", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["rounded", "weights", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["scale", "step"], ["both"]),
        helper.make_node("Mul", ["numbers", "both"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [count, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [count, DIM])],
        [numpy_helper.from_array(whole, "weights"), numpy_helper.from_array(step, "step")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def some():
    """Dull photos and glaring ones, so that what stands beside a photo moves the rounding."""
    rng = np.random.default_rng(1)
    contrast = np.array([10, 128, 10, 60, 128, 10, 30])[:, None, None, None]
    crops = (128 + contrast * rng.uniform(-1, 1, (7, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
    table = pd.DataFrame({"subject": list("aabbccd"), "image": [str(n) for n in range(7)]})
    return fl.FaceSet.from_arrays(table, crops, name="seven", licence="none", synthetic=True)


def alone(embedder, faces, flip):
    parts = [embedder.embed(faces[k : k + 1], flip=flip).vectors for k in range(len(faces))]
    return np.concatenate(parts)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("count", ["n", 1, 4])
def test_a_face_has_the_vector_it_has_alone_whatever_stands_beside_it(tmp_path, some, count, flip):
    path = write_quantised(tmp_path / "quantised.onnx", count)
    with pytest.warns(UserWarning, match=TOLD):
        embedder = fl.load_embedder(path, **STATED)
    expected = alone(embedder, some, flip)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was said once, when the model was opened
        for batch in (64, 3, 1):
            found = embedder.embed(some, flip=flip, batch=batch, jobs=2)
            assert (found.vectors == expected).all()
        shuffled = embedder.embed(some[::-1], flip=flip)
    assert (shuffled.vectors[::-1] == expected).all()
    assert found.card["one_at_a_time"] is True


def test_side_by_side_the_vectors_of_such_a_model_would_differ(tmp_path, some):
    path = write_quantised(tmp_path / "quantised.onnx", "n")
    with pytest.warns(UserWarning, match=TOLD):
        embedder = fl.load_embedder(path, **STATED)
    together = embedder._run(some.crops[:])
    single = np.concatenate([embedder._run(some.crops[k : k + 1]) for k in range(len(some))])
    assert np.abs(together - single).max() > 1e-3 * np.abs(single).max()


def test_a_model_that_onnxruntime_quantised_itself_is_known(tmp_path, some):
    quantisation = pytest.importorskip("onnxruntime.quantization")
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", DIM])],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "plain.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = fl.load_embedder(tmp_path / "plain.onnx", **STATED)
    quantisation.quantize_dynamic(tmp_path / "plain.onnx", tmp_path / "small.onnx")
    with pytest.warns(UserWarning, match=TOLD):
        small = fl.load_embedder(tmp_path / "small.onnx", **STATED)
    assert (small.embed(some).vectors == alone(small, some, True)).all()
    cosines = (small.embed(some).vectors * plain.embed(some).vectors).sum(axis=1)
    assert cosines.min() > 0.99
    assert "one_at_a_time" not in plain.embed(some).card
    assert plain.identity() != small.identity()


def test_what_is_kept_is_what_was_embedded_alone(tmp_path, some):
    path = write_quantised(tmp_path / "quantised.onnx", "n")
    with pytest.warns(UserWarning, match=TOLD):
        embedder = fl.load_embedder(path, **STATED)
    first = embed(embedder, some, kept=tmp_path / "kept")
    assert (first.vectors == alone(embedder, some, True)).all()
    assert (embed(embedder, some, kept=tmp_path / "kept").vectors == first.vectors).all()


def test_a_function_that_rounds_by_the_batch_is_found_out(some):
    def rounding(crops):
        flat = (crops.reshape(len(crops), -1).astype(np.float32) - 127.5) / 128
        step = np.abs(flat).max() / 127
        return np.round(flat / step) * step @ WEIGHTS

    with pytest.warns(UserWarning, match=TOLD):
        embedder = fl.embedder_of(rounding, "rounding", size=SIZE)
    assert (embedder.embed(some, batch=7).vectors == alone(embedder, some, True)).all()


def test_a_torch_network_quantised_dynamically_is_found_out(some):
    torch.manual_seed(0)
    engines = torch.backends.quantized.supported_engines
    if not {"fbgemm", "x86", "onednn"} & {*engines}:
        pytest.skip(f"torch has no engine for quantised networks here: {engines}")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE * SIZE, DIM)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear})

    def vectors(crops):
        with torch.no_grad():
            return network((torch.tensor(crops).permute(0, 3, 1, 2).float() - 127.5) / 128)

    with pytest.warns(UserWarning, match=TOLD):
        embedder = fl.embedder_of(vectors, "small", size=SIZE)
    assert (embedder.embed(some, batch=7).vectors == alone(embedder, some, True)).all()
