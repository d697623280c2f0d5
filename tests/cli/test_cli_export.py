"""`facelab export`: a thin skin over `to_onnx`, `to_int8` and `to_torch_export`."""

import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.cli import app as cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("export")
    faces = patterns(subjects=10, images=5)
    faces.save(place / "faces")
    fl.train(faces, TINY, device="cpu", progress=False).save(place / "trained")
    return place


def run(capsys, *words):
    code = cli.command(["export", *map(str, words)])
    return code, capsys.readouterr().err


def test_an_embedder_goes_out_as_a_file(folder, capsys):
    out = folder / "whole.onnx"
    assert run(capsys, folder / "trained", "--out", out)[0] == 0
    assert fl.load_embedder(out).size == 32
    assert run(capsys, out, "--int8", folder / "faces", "-o", folder / "small.onnx")[0] == 0
    assert fl.load_embedder(folder / "small.onnx").about["precision"] == "int8"
    assert run(capsys, folder / "trained", "--out", folder / "whole.pt2")[0] == 0
    assert torch.export.load(folder / "whole.pt2").module()(torch.zeros(3, 3, 32, 32)).shape[0] == 3
    code, said = run(capsys, folder / "trained", "--out", out)
    assert code == 1 and "whole.onnx exists already" in said
    assert run(capsys, folder / "trained", "--out", out, "--force")[0] == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trained", "--out", "a.bin"], "must end in .onnx"),
        (["trained", "--out", "a.pt2", "--int8", "faces"], ".pt2 is of a trained embedder in flo"),
        (["first.onnx", "--out", "a.onnx"], "is an .onnx file already: --int8 FACES makes"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(folder, words, sentence, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    if not (folder / "first.onnx").exists():
        run(capsys, "trained", "--out", "first.onnx")
    code, said = run(capsys, *words)
    assert code == 1 and sentence in said
    assert not (folder / words[2]).exists()
