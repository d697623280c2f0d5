"""Models whose weights lie in files beside them: one checksum of all that decides a vector."""

import os

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

import facelab as fl
from facelab.embedders.external import checksum, model_files

SIZE, DIM = 8, 5
STATED = {"channels": "rgb", "mean": 127.5, "std": 128}


def weights(seed):
    return np.random.default_rng(seed).normal(size=(3 * SIZE * SIZE, DIM)).astype(np.float32)


def flat(seed):
    """The weights as an initialiser of the graph."""
    nodes = [helper.make_node("Flatten", ["images"], ["flat"])]
    nodes += [helper.make_node("MatMul", ["flat", "weights"], ["vectors"])]
    return nodes, [numpy_helper.from_array(weights(seed), "weights")]


def constant(seed):
    """The weights as an attribute of a node."""
    nodes, (tensor,) = flat(seed)
    return [helper.make_node("Constant", [], ["weights"], value=tensor), *nodes], []


def branched(seed):
    """The weights in the branches of an If."""
    _, (tensor,) = flat(seed)
    inner = [
        helper.make_node("Constant", [], ["inner"], value=tensor),
        helper.make_node("MatMul", ["flat", "inner"], ["vectors_inner"]),
    ]
    out = [helper.make_tensor_value_info("vectors_inner", TensorProto.FLOAT, None)]
    branch = helper.make_graph(inner, "branch", [], out)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("If", ["yes"], ["vectors"], then_branch=branch, else_branch=branch),
    ]
    return nodes, [numpy_helper.from_array(np.array(True), "yes")]


def write(path, parts, seed=0, outside=True):
    nodes, initialisers = parts(seed)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", DIM])],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if outside:
        external_data_helper.convert_model_to_external_data(
            model, location=f"{path.name}_data", size_threshold=100, convert_attribute=True
        )
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def some():
    crops = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
    table = pd.DataFrame({"subject": list("aabb"), "image": [str(n) for n in range(4)]})
    return fl.FaceSet.from_arrays(table, crops, name="four", synthetic=True)


@pytest.mark.parametrize("parts", [flat, constant, branched])
def test_one_graph_with_other_weights_is_another_model(tmp_path, some, parts):
    one, other = (write(tmp_path / f"{seed}" / "m.onnx", parts, seed) for seed in (0, 1))
    assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in model_files(one)] == ["m.onnx", "m.onnx_data"]
    first, second = (fl.load_embedder(path, **STATED) for path in (one, other))
    assert first.identity() != second.identity()
    kept = [fl.embed(each, some, kept=tmp_path / "kept") for each in (first, second)]
    assert (kept[0].vectors != kept[1].vectors).any()
    assert kept[0].card["model_sha256"] != kept[1].card["model_sha256"]
    assert fl.load_embedder(one, **STATED).identity() == first.identity()


def test_weights_that_change_in_place_make_another_model(tmp_path, some):
    path = write(tmp_path / "m.onnx", flat)
    before = checksum(path)
    data = tmp_path / "m.onnx_data"
    stamp = data.stat()
    data.write_bytes(weights(1).tobytes().ljust(stamp.st_size, b"\0"))
    os.utime(data, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert checksum(path) != before


def test_a_model_behind_a_link_is_what_the_link_leads_to(tmp_path):
    path = write(tmp_path / "real" / "m.onnx", flat)
    (tmp_path / "linked").symlink_to(path.parent)
    assert checksum(tmp_path / "linked" / "m.onnx") == checksum(path)


def test_a_model_in_one_file_has_its_own_sum(tmp_path):
    import hashlib

    path = write(tmp_path / "m.onnx", flat, outside=False)
    assert model_files(path) == [path]
    assert checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("data", [b"", b"\x3a", b"\xff" * 50])
def test_what_is_no_model_is_named(tmp_path, data):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(fl.BadInput, match="no ONNX model"):
        model_files(tmp_path / "m.onnx")
