"""What decides a run: every byte behind the paths that its parameters name, nothing it makes."""

import os

import numpy as np
import pytest

import facelab as fl
from facelab import sums
from facelab.runs import inputs, sweeps
from facelab.runs.experiments import Case
from facelab.runs.inputs import cards_of, folders_of, key_of, same_folders, written_to
from facelab.runs.sweeps import _done, _end_abandoned


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "sum.ipynb"
    path.write_text("{}")
    return path


def in_place(file, data):
    """Change a file but not its size, nor its time."""
    stamp = file.stat()
    assert len(data) == stamp.st_size
    file.write_bytes(data)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def everything(notebook, shown):
    home = notebook.parent / "runs" / "sum"
    return key_of(notebook, shown), folders_of(shown, home)


@pytest.mark.parametrize(
    "kind", ["a file", "behind a link", "in a folder", "in a linked folder", "named in a yaml"]
)
def test_a_change_in_place_of_what_a_parameter_names_is_another_run(tmp_path, notebook, kind):
    data = tmp_path / "data"
    data.mkdir()
    file = data / "scores.csv"
    file.write_bytes(b"one")
    (tmp_path / "link.csv").symlink_to(file)
    (tmp_path / "linked").symlink_to(data)
    (tmp_path / "recipe.yaml").write_text(f"checkpoint: {file}")
    named = {
        "a file": file,
        "behind a link": tmp_path / "link.csv",
        "in a folder": data,
        "in a linked folder": tmp_path / "linked",
        "named in a yaml": tmp_path / "recipe.yaml",
    }[kind]
    shown = {"n": 1, "given": {"deep": [str(named)]}}
    before = everything(notebook, shown)
    assert everything(notebook, shown) == before
    in_place(file, b"two")
    assert everything(notebook, shown) != before


def test_a_model_is_its_weights_beside_it_and_what_is_stated_of_it(tmp_path, notebook):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, external_data_helper, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones(64, "f4"), "weights")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weights"], ["y"])], "g", [value], [value], [weights]
    )
    model = helper.make_model(graph)
    external_data_helper.convert_model_to_external_data(model, location="w", size_threshold=1)
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "m.json").write_text('{"mean": 1}')
    keys = {key_of(notebook, {"model": str(tmp_path / "m.onnx")})}
    in_place(tmp_path / "w", bytes(256))
    keys.add(key_of(notebook, {"model": str(tmp_path / "m.onnx")}))
    in_place(tmp_path / "m.json", b'{"mean": 2}')
    keys.add(key_of(notebook, {"model": str(tmp_path / "m.onnx")}))
    assert len(keys) == 3


def test_code_versions_and_device_are_part_of_the_key(notebook, monkeypatch):
    from facelab.embedders import tensors

    keys = {key_of(notebook, {"n": 1}), key_of(notebook, {"n": "1"})}
    for module, name, value in (
        (inputs, "code_of", lambda *_: "other"),
        (inputs, "made_with", lambda *_: {"torch": "1.0"}),
        (tensors, "computes_on", lambda _: "cuda ANOTHER"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            keys.add(key_of(notebook, {"n": 1}))
    assert len(keys) == 5


def test_a_text_that_is_merely_the_name_of_a_folder_reads_no_disk(tmp_path, monkeypatch):
    """Such as "/" between labels, "." for a decimal point, or the folder of the runs."""
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "experiments" / "runs" / "sum"
    home.mkdir(parents=True)
    shown = {"between": "/", "point": ".", "up": "..", "runs": "experiments/runs", "out": str(home)}
    assert folders_of(shown, home) == {}


def test_where_things_are_kept_decides_nothing(tmp_path):
    (tmp_path / "kept" / ".locks").mkdir(parents=True)
    (tmp_path / "kept" / "faces-0a1b").mkdir()
    assert folders_of({"kept": str(tmp_path / "kept")}, tmp_path / "runs" / "sum") == {}


def test_a_folder_that_the_run_wrote_to_is_not_held_against_it(tmp_path):
    home = tmp_path / "runs" / "sum"
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    shown = {"faces": str(tmp_path / "in"), "out": str(tmp_path / "out")}
    shown["made"] = str(tmp_path / "made")
    before = folders_of(shown, home)
    (tmp_path / "out" / "result").write_text("x")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "result").write_text("x")
    noted = written_to(before, home)
    assert noted == {shown["faces"]: before[shown["faces"]], shown["out"]: None}
    assert same_folders(noted, folders_of(shown, home))
    (tmp_path / "out" / "result").write_text("y")
    assert same_folders(noted, folders_of(shown, home))
    (tmp_path / "in" / "a").write_text("b")
    assert not same_folders(noted, folders_of(shown, home))


@pytest.mark.parametrize("card", ["", "[]", "{", '{"faces": 3}', '{"sets": "x"}', '{"name": "x"}'])
def test_a_card_that_is_none_of_ours_stops_no_run(tmp_path, card):
    (tmp_path / "card.json").write_text(card)
    (found,) = cards_of({"folder": str(tmp_path)})
    assert found in ({}, {"name": "x"})


def test_a_kept_face_set_tells_its_origin(tmp_path):
    fl.synthesize(6, 2, size=32, jobs=1).save(tmp_path / "faces")
    (found,) = cards_of({"faces": str(tmp_path / "faces")})
    assert found["synthetic"] is True


# ---- which cases are done


def note(home, folder, **more):
    folder = home / folder
    folder.mkdir(parents=True)
    record = {"name": home.name, "run_id": folder.name, "status": "finished", "key": "k"}
    sums.write_card(folder, "run.json", {**record, **more})
    return folder


def test_a_case_is_done_where_key_and_folders_are_the_same(tmp_path, notebook):
    home = tmp_path / "runs" / "sum"
    note(home, "1", folders={"in": "a"})
    note(home, "2", folders={"in": "b"})
    note(home, "3", key=None)
    (home / "4").mkdir()
    (home / "4" / "run.json").write_text("")

    def case(content):
        return Case(notebook, home, {}, {}, "k", {"in": content}, False, False)

    assert _done(home, [case("a")])["k"]["run_id"] == "1"
    assert _done(home, [case("b")])["k"]["run_id"] == "2"
    assert _done(home, [case("c")]) == {}


def test_only_runs_of_this_name_are_ended_or_removed(tmp_path):
    home = tmp_path / "runs" / "sum"
    note(home, ".1.partial", run_id="1", status="running")
    note(home, ".2.partial", run_id="2")  # killed when it had finished
    note(home, ".3.partial", run_id="3", status="running", name="other")
    note(home, ".4.partial", run_id="another", status="running")
    (home / ".mine.partial").mkdir()
    (home / ".mine.partial" / "diary.txt").write_text("keep")
    (home / ".bad.partial").mkdir()
    (home / ".bad.partial" / "run.json").write_text("")
    _end_abandoned(home)
    left = sorted(path.name for path in home.iterdir())
    assert left == [".3.partial", ".4.partial", ".bad.partial", ".mine.partial", "2"]


def test_a_colleagues_abandoned_run_that_cannot_be_removed_stops_no_sweep(tmp_path, monkeypatch):
    home = tmp_path / "runs" / "sum"
    note(home, ".1.partial", run_id="1", status="running")
    note(home, ".2.partial", run_id="2", status="running")
    remove = sweeps.shutil.rmtree

    def refuse(path):
        if path.name == ".1.partial":
            raise PermissionError(13, "Permission denied")
        remove(path)

    monkeypatch.setattr(sweeps.shutil, "rmtree", refuse)
    with pytest.warns(UserWarning, match=r"\.1\.partial is left over"):
        _end_abandoned(home)
    assert [path.name for path in home.iterdir()] == [".1.partial"]
