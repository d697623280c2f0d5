"""`facelab export`: a thin skin over `to_onnx`, `to_int8` and `to_torch_export`."""

import json

import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from training_sets import TINY, patterns

import facelab as fl
from facelab.cli import app as cli
from facelab.embedders.network import network_of
from facelab.embedders.onnx import OnnxEmbedder
from facelab.embedders.trained import TrainedEmbedder


def write_onnx(path):
    """A model of one layer, and how it takes its pixels."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 4, 4])
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 48])
    node = helper.make_node("Flatten", ["images"], ["vectors"])
    graph = helper.make_graph([node], "flat", [images], [vectors])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    stated = {"channels": "rgb", "mean": 127.5, "std": 128}
    path.with_suffix(".json").write_text(json.dumps(stated))


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """The command in a folder of faces and embedders: its code, its sentence, what it called."""
    monkeypatch.chdir(tmp_path)
    patterns(subjects=2, images=2).save("faces")
    network = network_of(TINY.to_dict(), pretrained=False)
    made = TrainedEmbedder(network, TINY.to_dict(), {}, pd.DataFrame({"step": [1]}), "made")
    made.save("trained")
    write_onnx(tmp_path / "model.onnx")
    called = []
    for kind, name in (
        *((TrainedEmbedder, "to_onnx"), (TrainedEmbedder, "to_torch_export")),
        (OnnxEmbedder, "to_int8"),
    ):
        monkeypatch.setattr(
            kind,
            name,
            lambda self, path, *rest, name=name, **more: called.append((name, path, rest, more)),
        )

    def run(*words):
        called.clear()
        code = cli.command(["export", *words])
        return code, capsys.readouterr().err, list(called)

    return run


def test_an_embedder_goes_out_as_a_file(run):
    code, _, [(name, path, _, more)] = run("trained", "--out", "a.onnx", "--force")
    assert (code, name, str(path)) == (0, "to_onnx", "a.onnx")
    assert more == {"int8": None, "replace": True}
    _, _, [(name, _, _, more)] = run("trained", "--out", "a.onnx", "--int8", "faces")
    assert (name, len(more["int8"]), more["replace"]) == ("to_onnx", 4, False)
    _, _, [(name, path, _, _)] = run("trained", "--out", "a.pt2")
    assert (name, str(path)) == ("to_torch_export", "a.pt2")
    _, _, [(name, path, [faces], _)] = run("model.onnx", "--out", "a.onnx", "--int8", "faces")
    assert (name, str(path), isinstance(faces, fl.FaceSet)) == ("to_int8", "a.onnx", True)


def test_what_cannot_be_exported_is_one_sentence(run):
    for words, sentence in {
        ("trained", "--out", "model.onnx"): "model.onnx exists already",
        ("trained", "--out", "a.pt2", "--int8", "faces"): ".pt2 is of a trained embedder in float",
        ("model.onnx", "--out", "a.pt2"): ".pt2 is of a trained embedder in float",
        ("model.onnx", "--out", "a.onnx"): "is an .onnx file already: --int8 FACES makes a smaller",
    }.items():
        code, said, called = run(*words)
        assert (code, called) == (1, []) and sentence in said
