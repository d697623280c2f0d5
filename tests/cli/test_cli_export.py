"""`facelab export`: a thin skin over `to_onnx`, `to_int8` and `to_torch_export`."""

import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.cli import app as cli


def test_an_embedder_goes_out_as_a_file(tmp_path, capsys, monkeypatch):
    def run(*words):
        code = cli.command(["export", *words])
        return code, capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    faces = patterns(subjects=10, images=5)
    faces.save("faces")
    fl.train(faces, TINY, device="cpu", progress=False).save("trained")

    assert run("trained", "--out", "whole.onnx")[0] == 0
    assert fl.load_embedder("whole.onnx").size == 32
    small = ("whole.onnx", "--int8", "faces", "-o", "small.onnx")
    assert run(*small)[0] == 0
    assert fl.load_embedder("small.onnx").about["precision"] == "int8"
    code, said = run(*small)
    assert code == 1 and "small.onnx exists already" in said
    assert run(*small, "--force")[0] == 0
    assert run("trained", "--out", "whole.pt2")[0] == 0
    assert torch.export.load("whole.pt2").module()(torch.zeros(3, 3, 32, 32)).shape[0] == 3

    for words, sentence in {
        ("trained", "--out", "a.bin"): "must end in .onnx",
        ("trained", "--out", "a.pt2", "--int8", "faces"): ".pt2 is of a trained embedder in float",
        ("whole.onnx", "--out", "a.onnx"): "is an .onnx file already: --int8 FACES makes a smaller",
    }.items():
        code, said = run(*words)
        assert code == 1 and sentence in said
    assert not list(tmp_path.glob("a.*"))
