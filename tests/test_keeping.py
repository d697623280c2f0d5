"""Work that is done once: found again by content, and done by one where several want it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import facelab as fl
from facelab.embedders.network import network_of
from facelab.faces.faceset import content


def embedder(seed: int = 0):
    import torch

    from facelab.embedders.trained import TrainedEmbedder

    torch.manual_seed(seed)
    recipe = fl.Recipe(size=32, dim=16, backbone_options={"layers": [1, 1, 1, 1]}).to_dict()
    network = network_of(recipe, pretrained=False)
    return TrainedEmbedder(network, recipe, {}, None, f"made-{seed}")


MAKE = """
import sys, time
from facelab import files
from facelab.keeping import once

def make(out):
    print("at it", flush=True)
    time.sleep(float(sys.argv[2]))
    with files.write_folder(out) as aside:
        (aside / "x").write_text("whole")

once(sys.argv[1], "thing", {"a": 1}, make)
"""


def wanting(folder: Path, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", MAKE, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_several_that_want_the_same_one_makes_it(tmp_path):
    started = [wanting(tmp_path, 1.0) for _ in range(3)]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sorted(said) == ["", "", "at it\n"]
    (kept,) = tmp_path.glob("thing-*")
    assert (kept / "x").read_text() == "whole"


def test_who_waits_for_a_killed_one_makes_it_itself(tmp_path):
    first = wanting(tmp_path, 600)
    assert first.stdout.readline() == "at it\n"
    second = wanting(tmp_path, 0)
    with pytest.raises(subprocess.TimeoutExpired):
        second.communicate(timeout=3)
    first.kill()
    first.communicate()
    assert second.communicate()[0] == "at it\n"
    (kept,) = tmp_path.glob("thing-*")
    assert (kept / "x").read_text() == "whole"


def test_a_population_is_rendered_once_and_is_the_same_afterwards(tmp_path, monkeypatch):
    wanted = {"subjects": 6, "images_per_subject": 2, "size": 32, "jobs": 1}
    first = fl.synthesize(**wanted, kept=tmp_path)
    from facelab.synthetic import produce

    monkeypatch.setattr(produce, "make", None)
    again = fl.synthesize(**wanted, kept=tmp_path)
    assert (again.crops == first.crops).all()
    assert again.table.equals(first.table)
    monkeypatch.undo()
    other = fl.synthesize(**wanted, seed=1, kept=tmp_path)
    assert (other.crops != first.crops).any()
    assert len(list(tmp_path.glob("faces-*"))) == 2
    plain = fl.synthesize(**wanted)
    assert (plain.crops == first.crops).all()
    assert content(plain) == content(first)
    with pytest.raises(fl.BadInput, match="either `out`"):
        fl.synthesize(**wanted, out=tmp_path / "x", kept=tmp_path)


def test_embeddings_are_kept_by_weights_and_by_every_pixel(faces, tmp_path, monkeypatch):
    one, other = embedder(0), embedder(1)
    made = []
    for each in (one, other):
        plain = each.embed
        monkeypatch.setattr(each, "embed", lambda *a, f=plain, **k: made.append(1) or f(*a, **k))
    first = fl.embed(one, faces, kept=tmp_path)
    again = fl.embed(one, faces, kept=tmp_path)
    assert len(made) == 1
    assert (again.vectors == first.vectors).all()
    assert again.card == first.card
    assert again.table.equals(first.table)
    assert (fl.embed(other, faces, kept=tmp_path).vectors != first.vectors).any()
    assert len(made) == 2

    crops = np.array(faces.crops)
    crops[7, 3, 3] ^= 1
    changed = fl.FaceSet(faces.table, crops, faces.card)
    fl.embed(one, changed, kept=tmp_path)
    fl.embed(one, faces, flip=False, kept=tmp_path)
    assert len(made) == 4
    relabelled = faces.table.assign(gender=faces.table["gender"][::-1].to_numpy())
    kept = fl.embed(one, fl.FaceSet(relabelled, faces.crops, faces.card), kept=tmp_path)
    assert kept.table["gender"].tolist() == relabelled["gender"].tolist()


def test_what_cannot_be_told_apart_is_not_kept(faces, tmp_path):
    function = fl.embedder_of(lambda crops: crops.reshape(len(crops), -1)[:, :64] + 1.0, "mine")
    assert len(fl.embed(function, faces)) == len(faces)
    with pytest.raises(fl.BadInput, match="embeddings by mine cannot be kept"):
        fl.embed(function, faces, kept=tmp_path)
