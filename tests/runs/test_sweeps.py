"""Sweeps: every case once, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

import facelab as fl
from facelab.runs.definitions import read_experiment

PARAMETERS = "n = 1\nseed = 0\nfail_at = -1\nfill = 0\npause = 0\nrun_folder = None"
WORK = """\
import time
from pathlib import Path
from facelab.runs.records import Record
record = Record(run_folder)
time.sleep(pause)
if n == fail_at:
    raise ValueError("the oven is cold")
Path(run_folder, "ballast").write_bytes(bytes(fill))
print("at", n)
record.metrics({"sum": 10 * n + seed})"""
SUMMARY = """\
import json
from pathlib import Path
from facelab.runs.records import Record
sums = [json.loads(Path(folder, "metrics.json").read_text())["sum"] for folder in runs]
Record(run_folder).metrics({"sums": sums})"""


def write_notebook(path: Path, parameters: str, work: str) -> None:
    book = nbformat.v4.new_notebook()
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    book.cells = [first, nbformat.v4.new_code_cell(work)]
    nbformat.write(book, path)


def write_sweep(place: Path, **keys) -> Path:
    write_notebook(place / "one.ipynb", PARAMETERS, WORK)
    write_notebook(place / "all.ipynb", "runs = []\nrun_folder = None", SUMMARY)
    path = place / "sums.yaml"
    path.write_text(yaml.safe_dump({"notebook": "one.ipynb", **keys}))
    return path


def finished(place: Path) -> pd.DataFrame:
    return fl.runs(place / "runs", name="sums", status="finished")


# ---- which cases there are


def test_cases_are_the_list_times_the_grid_times_the_seeds(tmp_path):
    path = write_sweep(tmp_path, cases=[{"fill": 0}, {"fill": 1}], grid={"n": [1, 2]}, seeds=[5, 6])
    assert read_experiment(path).cases == tuple(
        {"fill": fill, "n": n, "seed": seed} for fill in (0, 1) for n in (1, 2) for seed in (5, 6)
    )
    assert read_experiment(write_sweep(tmp_path, parameters={"n": 3})).cases is None


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"cases": {"n": 1}}, r"cases must be a list such as \[a, b\], not {'n': 1}"),
        ({"cases": [{"n": 1}, 3]}, r"cases\.1 must be names with values, not 3"),
        ({"cases": None}, "cases must be a list"),
        ({"cases": []}, "has no cases"),
        ({"cases": [{"n": 1}, {"n": 1}]}, "the same case twice"),
        ({"grid": ["n"]}, r"grid must be names with values, not \['n'\]"),
        ({"grid": {"n": 3}}, r"grid\.n must be a list such as \[a, b\], not 3"),
        ({"grid": {"n": []}}, r"grid\.n must be a list of at least one value, not \[\]"),
        ({"seeds": []}, r"seeds must be a list of at least one value, not \[\]"),
        ({"seeds": 3}, "seeds must be a list such as"),
        ({"grid": {"n": [1]}, "parameters": {"n": 2}}, "n is set in grid and elsewhere"),
        ({"grid": {"n": [1]}, "cases": [{"n": 2}]}, "n is set in cases and elsewhere"),
        ({"grid": {"n": [1]}, "summary": "no.ipynb"}, "no.ipynb, which is not there"),
    ],
)
def test_a_wrong_sweep_is_one_sentence(tmp_path, keys, sentence):
    path = write_sweep(tmp_path, **keys)
    with pytest.raises((fl.BadInput, FileNotFoundError), match=sentence) as caught:
        read_experiment(path)
    assert "\n" not in str(caught.value)


def test_a_wrong_parameter_stops_the_sweep_before_it_starts(tmp_path):
    path = write_sweep(tmp_path, grid={"n": [1, "two"]})
    with pytest.raises(fl.BadInput, match="parameter n must be a whole number"):
        fl.sweep(path, out=tmp_path / "runs")
    path = write_sweep(tmp_path, grid={"n": [1, 2]})
    with pytest.raises(fl.BadInput, match=r"n differs between the cases of .*: change it there"):
        fl.sweep(path, {"n": 3}, out=tmp_path / "runs")
    with pytest.raises(fl.BadInput, match=r"has 2 cases: run it with fl\.sweep"):
        fl.run(path, out=tmp_path / "runs")
    with pytest.raises(fl.BadInput, match=r"has no cases: run it with fl\.run"):
        fl.sweep(write_sweep(tmp_path), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


# ---- what becomes of them


def test_a_failing_case_leaves_the_others_and_is_the_only_one_run_again(tmp_path, capfd):
    path = write_sweep(tmp_path, grid={"n": [1, 2, 3]}, summary="all.ipynb")
    with pytest.raises(fl.SweepFailed, match=r"1 of 3 cases failed, first n=2: .*oven") as caught:
        fl.sweep(path, {"fail_at": 2}, out=tmp_path / "runs", jobs=2)
    assert caught.value.table["status"].tolist() == ["finished", "failed", "finished"]
    assert "[3/3]" in capfd.readouterr().err
    folder = Path(caught.value.table["folder"][0])
    assert json.loads((folder / "metrics.json").read_text())["sum"] == 10
    assert (folder / "log.txt").read_text() == "at 1\n"
    assert (folder / "report.html").is_file()

    with pytest.raises(fl.SweepFailed):
        fl.sweep(path, {"fail_at": 2}, out=tmp_path / "runs")
    assert "2 of 3 cases were done before" in capfd.readouterr().err
    assert len(finished(tmp_path)) == 2
    # Other parameters are other cases; then the summary sees all of them, in the yaml's order.
    table = fl.sweep(path, out=tmp_path / "runs")
    assert table["status"].tolist() == ["finished"] * 3
    last = fl.runs(tmp_path / "runs", name="sums-summary")["folder"].iloc[-1]
    assert json.loads(Path(last, "metrics.json").read_text())["sums"] == [10, 20, 30]


def test_what_decides_a_case_makes_it_another(tmp_path):
    (tmp_path / "given.txt").write_text("a")
    write_notebook(tmp_path / "one.ipynb", PARAMETERS + "\ndata = ''", WORK)
    path = tmp_path / "sums.yaml"
    path.write_text("notebook: one.ipynb\ngrid: {n: [1]}\n")
    given = {"data": str(tmp_path / "given.txt")}

    def status():
        return fl.sweep(path, given, out=tmp_path / "runs")["status"].tolist()

    assert status() == ["finished"]
    assert status() == ["done before"]
    (tmp_path / "given.txt").write_text("b")
    assert status() == ["finished"]
    write_notebook(tmp_path / "one.ipynb", PARAMETERS + "\ndata = ''", WORK + "\nprint(1)")
    assert status() == ["finished"]
    again = fl.sweep(path, given, out=tmp_path / "runs", again=True)
    assert again["status"].tolist() == ["finished"]
    assert len(finished(tmp_path)) == 4


def command(place: Path, *words: str) -> list[str]:
    return [
        *(sys.executable, "-m", "facelab", "run", str(place / "sums.yaml")),
        *("-o", str(place / "runs"), *words),
    ]


def test_a_killed_sweep_goes_on_and_a_second_one_is_refused_meanwhile(tmp_path):
    # Slow enough for the second to come while the first is at work.
    write_sweep(tmp_path, grid={"n": [1, 2, 3]}, seeds=[0, 1], parameters={"pause": 3})
    first = subprocess.Popen(command(tmp_path, "--jobs", "2"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(finished(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    before = set(finished(tmp_path)["run_id"])
    second = subprocess.run(command(tmp_path), capture_output=True, text=True)
    assert second.returncode == 1
    assert f"another run (process {first.pid})" in second.stderr
    os.kill(first.pid, signal.SIGKILL)
    first.wait()

    done = subprocess.run(
        command(tmp_path, "--jobs", "2"), capture_output=True, text=True, check=True
    )
    table = finished(tmp_path)
    assert before and before <= set(table["run_id"])
    assert "cases were done before" in done.stderr
    assert len(table) == 6
    assert sorted((p["n"], p["seed"]) for p in table["parameters"]) == [
        (n, seed) for n in (1, 2, 3) for seed in (0, 1)
    ]
    # A case that was at work when its sweep was killed may be kept as a failed one.
    assert set(fl.runs(tmp_path / "runs")["status"]) <= {"finished", "failed"}
    assert not list((tmp_path / "runs" / "sums").glob(".*partial"))


def test_a_full_disk_leaves_no_half_record(tmp_path):
    disk = tmp_path / "runs"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk])
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        path = write_sweep(tmp_path, grid={"n": [1, 2]}, parameters={"fill": 1_000_000})
        with pytest.raises(fl.SweepFailed, match=r"2 of 2 cases failed.*No space left"):
            fl.sweep(path, out=disk)
        for folder in (disk / "sums").iterdir():
            if folder.is_dir() and folder.name != "latest":
                assert json.loads((folder / "run.json").read_text())["status"] == "failed"
        assert finished(tmp_path).empty
    finally:
        subprocess.run(["umount", disk], check=True)


def test_runs_are_filtered_by_name_status_and_parameters(tmp_path):
    path = write_sweep(tmp_path, grid={"n": [1, 2]})
    fl.sweep(path, out=tmp_path / "runs")
    assert fl.runs(tmp_path / "runs", parameters={"n": 2})["parameters"].tolist() == [{"n": 2}]
    assert fl.runs(tmp_path / "runs", name="other").empty
    assert fl.runs(tmp_path / "runs", status="failed").empty
    assert len(fl.runs(tmp_path / "runs", name="sums", status="finished")) == 2


def test_a_dask_cluster_gives_the_same_numbers(tmp_path):
    pytest.importorskip("distributed")
    path = write_sweep(tmp_path, grid={"n": [1, 2]}, seeds=[0, 3])
    here = fl.sweep(path, out=tmp_path / "here")
    there = fl.sweep(path, out=tmp_path / "there", jobs=2, cluster="local")
    sums = [
        [json.loads(Path(folder, "metrics.json").read_text())["sum"] for folder in table["folder"]]
        for table in (here, there)
    ]
    assert sums[0] == sums[1] == [10, 13, 20, 23]
