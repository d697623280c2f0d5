"""Runs: a notebook goes in, a whole folder comes out, or a sentence."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

import facelab as fl
from facelab import sums
from facelab.pages.allowed import Allowed
from facelab.pages.notebooks import notebook_html
from facelab.runs import experiments, records
from facelab.runs.definitions import check_parameters, notebook_parameters, quick_parameters
from facelab.runs.experiments import RunFailed
from facelab.runs.records import Record
from facelab.words import Typed, Word

PARAMETERS = """\
n = 3                # how many (a = b)
fmr = 1e-3
seeds = [
    0,
    1,
]
label: str = "x"
fail = False
recipe = None
run_folder = None"""

CELLS = [
    """import sys, os
from facelab import plots, sums
from facelab.runs.records import Record
record = Record(run_folder)
with record.stage("count"):
    total = sum(seeds) + n
print("python is", sys.executable, "in", os.getcwd())""",
    """import pandas as pd
record.table("rates", pd.DataFrame({"group": ["a/b", "<script>"], "fmr": [0.1, 0.2]}))""",
    """curve = pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]})
record.figure("curve", plots.training_curves({"one": curve}))""",
    """if fail:
    raise ValueError("the oven\\nis cold")""",
    """record.metrics({"total": total, "fmr": fmr, "ratio": float("inf")})""",
]


def write_notebook(path: Path, parameters: str = PARAMETERS, cells=CELLS) -> Path:
    book = nbformat.v4.new_notebook()
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    book.cells = [nbformat.v4.new_markdown_cell("# What is <the> sum?"), first]
    book.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(book, path)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a notebook, where this Python is not the kernel that Jupyter would choose."""
    place = tmp_path_factory.mktemp("experiments")
    kernel = place / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/no/such/python"], "display_name": "stray", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    write_notebook(place / "03_small_sum.ipynb")
    return place


@pytest.fixture(scope="module")
def finished(place) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(place / "jupyter"))
        patch.chdir(place)
        return fl.run("03_small_sum.ipynb", {"n": 5, "fmr": "1e-2"}, out="runs").absolute()


@pytest.fixture(scope="module")
def failed(place, finished) -> RunFailed:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        with pytest.raises(RunFailed) as caught:
            fl.run("03_small_sum.ipynb", {"fail": True}, out="runs")
    return caught.value


# ---- a run


def test_a_finished_run_is_a_whole_folder_under_the_notebooks_name(finished, place):
    assert finished.parent == place / "runs" / "small-sum"
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", finished.name)
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert names == {
        "notebook.ipynb",
        "report.html",
        "params.yaml",
        "metrics.json",
        "environment.txt",
        "run.json",
        "shown.jsonl",
        "tables/rates.csv",
        "figures/curve.png",
    }
    assert set(json.loads((finished / "run.json").read_text())["sha256"]) == names
    assert fl.verify(finished) == finished


def test_parameters_reach_the_notebook_and_are_kept(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["total"] == 6
    assert metrics["fmr"] == 0.01
    assert metrics["ratio"] is None, "infinity is no JSON number"
    assert metrics["seconds"]["count"] >= 0
    kept = yaml.safe_load((finished / "params.yaml").read_text())
    assert kept["n"] == 5
    assert kept["seeds"] == [0, 1], "defaults are kept too"


def test_the_kernel_is_this_python_in_the_callers_folder(finished, place):
    text = (finished / "notebook.ipynb").read_text()
    assert f"python is {sys.executable} in {place}" in text


def test_the_kept_notebook_names_the_folder_that_it_lies_in(finished):
    text = (finished / "notebook.ipynb").read_text()
    assert ".partial" not in text
    assert finished.name in text


def test_environment_says_what_it_ran_on(finished):
    text = (finished / "environment.txt").read_text()
    assert f"python {sys.version.split()[0]}" in text
    assert f"pandas=={pd.__version__}" in text
    assert re.search(r"facelab [\d.]+, commit [0-9a-f]{40}|not a git checkout", text)
    assert re.search(r"seconds \d", text)
    assert "cpu " in text


def test_the_report_needs_no_network_and_folds_its_code(finished):
    page = (finished / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", page)
    assert "@import" not in page
    assert page.count("<script") == 0
    assert "<title>What is &lt;the&gt; sum?</title>" in page
    assert re.search(r'<details class="code">(?!.*open)', page)
    assert re.search(r'<img alt="Training loss[^"]*"[^>]* src="data:image/png', page)
    assert "&lt;script&gt;" in page
    assert len(page) < 10_000_000


def test_latest_points_at_the_finished_run_and_not_at_the_failed(finished, failed):
    latest = finished.parent / "latest"
    assert os.readlink(latest) == finished.name


def test_a_failed_run_says_which_cell_and_where_to_look(failed, place):
    assert re.search(
        r"cell 6 of 03_small_sum.ipynb failed: ValueError: the oven is cold", str(failed)
    )
    folder = place / failed.folder
    assert folder.name.endswith(".failed")
    assert "the oven" in (folder / "notebook.ipynb").read_text()
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert not (folder / "report.html").exists()
    assert not list(folder.parent.glob(".*")), "nothing half-written stays"


def test_runs_lists_the_finished_and_the_failed(finished, failed, place):
    table = fl.runs(place / "runs")
    assert list(table["status"]) == ["finished", "failed"]
    assert table["parameters"][0] == {"n": 5, "fmr": 0.01}
    assert "the oven is cold" in table["error"][1]
    assert fl.runs(place / "nothing").empty


def test_a_run_whose_process_is_gone_is_abandoned(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = tmp_path / "x" / ".20260101T000000Z-0000.partial"
    folder.mkdir(parents=True)
    record = {"name": "x", "run_id": "r", "status": "running", "pid": gone.pid}
    sums.write_card(folder, "run.json", {**record, "host": socket.gethostname()})
    assert fl.runs(tmp_path)["status"].tolist() == ["abandoned"]


def test_an_interrupted_run_is_kept_as_failed_and_stays_an_interrupt(place, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiments, "execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fl.run(place / "03_small_sum.ipynb", out=tmp_path)
    (folder,) = (tmp_path / "small-sum").iterdir()
    assert folder.name.endswith(".failed")
    assert "interrupted" in json.loads((folder / "run.json").read_text())["error"]


def test_a_polite_end_ends_the_workers_too(tmp_path):
    cell = """import joblib, os, pathlib, time

def work(number):
    pathlib.Path(f"pid{number}").write_text(str(os.getpid()))
    time.sleep(300)

joblib.Parallel(n_jobs=2)(joblib.delayed(work)(number) for number in range(2))"""
    write_notebook(tmp_path / "slow.ipynb", cells=[cell])
    command = [sys.executable, "-m", "facelab", "run", "slow.ipynb", "--out", "runs"]
    done = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    notes = [tmp_path / "pid0", tmp_path / "pid1"]
    deadline = time.monotonic() + 90
    while not all(note.exists() and note.read_text() for note in notes):
        assert time.monotonic() < deadline and done.poll() is None
        time.sleep(0.2)
    done.send_signal(signal.SIGTERM)
    _, err = done.communicate(timeout=60)
    assert done.returncode == 143
    assert "Traceback" not in err and err.count("facelab: ") == 1
    for note in notes:
        assert not _runs(int(note.read_text()))
    (kept,) = (tmp_path / "runs" / "slow").iterdir()
    assert kept.name.endswith(".failed")


def _runs(pid: int) -> bool:
    """Whether a process is there and is not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---- parameters, checked before anything starts


def test_parameters_are_read_from_their_cell():
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    assert notebook_parameters(book, "x") == {
        "n": 3,
        "fmr": 1e-3,
        "seeds": [0, 1],
        "label": "x",
        "fail": False,
        "recipe": None,
        "run_folder": None,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fmrr": 1}, r"no parameter 'fmrr' \(did you mean 'fmr'\?\); it has: n, fmr, seeds"),
        ({"m": 1}, r"no parameter 'm'.*it has: n, fmr"),
        ({"n": "many"}, r"parameter n must be a whole number, such as 3, not 'many'"),
        ({"n": True}, "parameter n must be a whole number"),
        ({"n": 2.5}, "parameter n must be a whole number"),
        ({"fail": 1}, "parameter fail must be true or false"),
        ({"fmr": "low"}, "parameter fmr must be a number"),
        ({"fmr": 10**400}, "parameter fmr must be a number"),
        ({"seeds": 3}, "parameter seeds must be a list"),
        ({"seeds": [0, "a"]}, r"parameter seeds \(each item\) must be a whole number"),
        ({"label": None}, "parameter label must be text"),
        ({"run_folder": "x"}, "no parameter 'run_folder'"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_run(place, tmp_path, given, message):
    with pytest.raises(fl.BadInput, match=message):
        fl.run(place / "03_small_sum.ipynb", given, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_numbers_that_yaml_reads_as_text_are_numbers():
    known = {"fmr": 1e-3, "rates": [0.1]}
    assert check_parameters(known, {"fmr": "1e-4", "rates": ["1e-2", 1]}) == {
        "fmr": 1e-4,
        "rates": [0.01, 1.0],
    }


def test_a_default_of_none_takes_anything():
    assert check_parameters({"recipe": None}, {"recipe": {"steps": 3}}) == {"recipe": {"steps": 3}}


@pytest.mark.parametrize("given", [None, Word("null"), Word("~"), Typed("None")])
def test_where_none_is_a_value_it_can_be_given(given):
    book = nbformat.v4.new_notebook()
    cell = 'kept: str | None = "data"\nlabel = "x"'
    book.cells = [nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})]
    known = notebook_parameters(book, "x")
    assert check_parameters(known, {"kept": given}) == {"kept": None}
    assert check_parameters(known, {"kept": Word("nullset")}) == {"kept": "nullset"}
    if given is not None:
        assert check_parameters(known, {"label": given}) == {"label": str(given)}


# ---- experiments in yaml


def test_a_yaml_names_its_notebook_beside_itself(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "plans").mkdir()
    write_notebook(tmp_path / "notebooks" / "01_a_b.ipynb")
    plan = tmp_path / "plans" / "my-plan.yaml"
    plan.write_text("notebook: ../notebooks/01_a_b.ipynb\nparameters: {n: 4}\n")
    found = experiments.read_experiment(plan)
    assert (found.name, found.parameters) == ("my-plan", {"n": 4})
    assert found.notebook.samefile(tmp_path / "notebooks" / "01_a_b.ipynb")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters: {}", "names no notebook"),
        ("notebook: there.ipynb", "which is not there"),
        (
            "notebook: a.ipynb\ncolour: red",
            "'colour' is not part of an experiment; an experiment has",
        ),
        ("notebook: a.ipynb\nseed: [1]", r"'seed' is not part .* \(did you mean 'seeds'\?\)"),
        ("", "is empty: write in it"),
        ("a.ipynb", "names no notebook"),
        ("- notebook: a.ipynb", "names no notebook"),
        ("notebook: 3", "names the notebook .*3, which is not there"),
        ("notebook: [a.ipynb]", r"notebook must be text, not \['a.ipynb'\]"),
        ("notebook: a.ipynb\nsummary: {a: b}", "summary must be text, not {'a': 'b'}"),
        (
            "notebook: a.ipynb\nparameters: [n]",
            r"parameters must be names with values, not \['n'\]",
        ),
        ("notebook: a.ipynb\n1: 2", "'1' is not part of an experiment"),
        ("notebook: [", "not valid yaml"),
        ("notebook: a.ipynb\nname: ../out", "the name '../out' must be letters"),
    ],
)
def test_a_wrong_yaml_is_one_sentence(tmp_path, text, message):
    write_notebook(tmp_path / "a.ipynb")
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises((fl.BadInput, FileNotFoundError), match=message) as caught:
        experiments.read_experiment(tmp_path / "plan.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty: write in it"),
        ("other: {n: 1}", "has no quick setting"),
        ("a: 3", r"quick\.yaml: a must be names with values, not 3"),
        ("[a]", r"quick\.yaml: the quick settings must be names with values"),
        ("a: [", "is not valid yaml"),
    ],
)
def test_a_wrong_quick_setting_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / "quick.yaml").write_text(text)
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        quick_parameters(tmp_path / "a.ipynb")
    assert "\n" not in str(caught.value)


def test_the_main_experiment_fits_its_notebook():
    plan = experiments.read_experiment("experiments/balanced-retraining.yaml")
    book = nbformat.read(plan.notebook, as_version=4)
    assert plan.name == "balanced-retraining"
    known = notebook_parameters(book, plan.notebook)
    assert check_parameters(known, plan.parameters) == plan.parameters


# ---- what a notebook keeps


def test_without_a_run_folder_everything_is_shown_and_nothing_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = Record(None)
    with record.stage("wait"):
        pass
    frame = pd.DataFrame({"a": [1]})
    assert record.table("t", frame) is frame
    assert "wait" in record.metrics({})["seconds"]
    assert not list(tmp_path.iterdir())


def test_stages_of_one_name_add_up(monkeypatch):
    times = iter([0.0, 1.0, 10.0, 12.0])
    monkeypatch.setattr(records.time, "perf_counter", lambda: next(times))
    record = Record(None)
    for _ in range(2):
        with record.stage("embed"):
            pass
    assert record.seconds == {"embed": 3.0}


def test_a_table_keeps_its_index_when_that_has_a_name(tmp_path):
    record = Record(tmp_path)
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.Index(["x", "y"], name="group"))
    record.table("named", frame)
    record.table("plain", frame.reset_index())
    texts = [(tmp_path / "tables" / f"{name}.csv").read_text() for name in ("named", "plain")]
    assert texts == ["group,n\nx,1\ny,2\n"] * 2


def test_scripts_and_widgets_do_not_reach_the_report():
    out = nbformat.v4.new_output(
        "display_data",
        {"application/javascript": "fetch('https://evil')", "text/plain": "a plain word"},
    )
    cell = nbformat.v4.new_code_cell("1", outputs=[out])
    page = notebook_html(nbformat.v4.new_notebook(cells=[cell]), Allowed())
    assert "evil" not in page
    assert "a plain word" in page


# ---- MLflow


def test_a_run_is_mirrored_in_mlflow(finished, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "ml").as_uri())
    assert records.mirror_wanted()
    records.mirror(finished, "small-sum")
    (metric,) = tmp_path.glob("ml/*/*/metrics/total")
    assert metric.read_text().split()[1] == "6.0"
    (artifacts,) = tmp_path.glob("ml/*/*/artifacts")
    kept = {str(one.relative_to(artifacts)) for one in artifacts.rglob("*") if one.is_file()}
    assert kept == {"shared.html", "metrics.json", "tables/rates.csv", "figures/curve.png"}
    (parameter,) = tmp_path.glob("ml/*/*/params/n")
    assert parameter.read_text() == "5"


def test_without_mlflow_the_run_does_not_even_start(place, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///nowhere")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(fl.MissingExtra, match=r"facelab\[mlflow\]"):
        fl.run(place / "03_small_sum.ipynb", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_nested_numbers_are_named_by_their_path():
    values = {"arms": {"skewed": [{"t": 1, "note": "x", "ok": True, "none": None}]}}
    assert records.flatten(values) == {"arms.skewed.0.t": 1.0}
