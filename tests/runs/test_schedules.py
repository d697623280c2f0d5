"""What is documented for schedulers runs as it stands: in an empty environment, twice, safely."""

import re
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
import yaml

import facelab as fl
from facelab.runs.definitions import read_experiment
from facelab.runs.experiments import plan

HOME = Path(__file__).parents[2]
SCHEDULES = HOME / "experiments" / "schedules"
COMMAND = ".venv/bin/facelab run experiments/skew-sweep.yaml --jobs 2"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder that looks like a checkout to the documented line, with a small sweep in it."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "experiments" / "runs").mkdir(parents=True)
    script = f'#!/bin/sh\nexport PYTHONPATH={HOME}; exec {sys.executable} -m facelab "$@"\n'
    (tmp_path / ".venv" / "bin" / "facelab").write_text(script)
    (tmp_path / ".venv" / "bin" / "facelab").chmod(0o755)
    book = nbformat.v4.new_notebook()
    first = "n = 1\nfail = 0\nrun_folder = None"
    book.cells = [
        nbformat.v4.new_code_cell(first, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("assert n != fail"),
    ]
    nbformat.write(book, tmp_path / "one.ipynb")
    (tmp_path / "experiments" / "skew-sweep.yaml").write_text(
        "notebook: ../one.ipynb\nname: sums\ngrid: {n: [1, 2]}\n"
    )
    return tmp_path


def cron_line() -> str:
    (line,) = [
        line
        for line in (SCHEDULES / "crontab").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    return line


def as_cron_runs(command: str) -> subprocess.CompletedProcess:
    """cron's environment: HOME, LOGNAME, SHELL and a PATH of two folders, and nothing else."""
    environment = {"HOME": "/", "LOGNAME": "me", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", "-c", command], env=environment, cwd="/", capture_output=True, text=True
    )


def test_the_crontab_line_runs_in_crons_environment_and_again_does_nothing(checkout):
    assert re.match(r"[\d*/,-]+( [\d*/,-]+){4} ", cron_line())
    command = cron_line().split(" ", 5)[5].replace("/home/me/facelab", str(checkout))
    assert "%" not in command  # cron would read it as the end of a line
    done = as_cron_runs(command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    runs = fl.runs(checkout / "experiments" / "runs")
    assert runs["status"].tolist() == ["finished"] * 2
    as_cron_runs(command)
    again = fl.runs(checkout / "experiments" / "runs")
    assert again["run_id"].tolist() == runs["run_id"].tolist()
    log = (checkout / "experiments" / "runs" / "nightly.log").read_text()
    assert "2 of 2 cases were done before" in log
    # A failure reaches whoever cron mails: the log's last lines.
    sweep = checkout / "experiments" / "skew-sweep.yaml"
    sweep.write_text(sweep.read_text() + "parameters: {fail: 2}\n")
    assert "1 of 2 cases failed, first n=2" in as_cron_runs(command).stdout


def test_all_three_schedulers_call_the_same_command():
    assert COMMAND in cron_line()
    workflow = yaml.safe_load((SCHEDULES / "github-actions.yaml").read_text())
    steps = workflow["jobs"]["sweep"]["steps"]
    assert COMMAND in [step.get("run") for step in steps]
    assert "make install" in [step.get("run") for step in steps]


def test_the_dag_is_one_task_with_the_command(monkeypatch):
    given = {}

    class Dag:
        def __init__(self, name, **options):
            given["dag"] = options

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    names = ["airflow", "airflow.sdk", "airflow.providers", "airflow.providers.standard"]
    names += [
        "airflow.providers.standard.operators",
        "airflow.providers.standard.operators.bash",
    ]
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["airflow.sdk"].DAG = Dag
    sys.modules[names[-1]].BashOperator = lambda **options: given.update(task=options)
    exec(compile((SCHEDULES / "airflow_dag.py").read_text(), "dag", "exec"), {})
    assert given["task"]["bash_command"] == COMMAND
    assert given["dag"]["max_active_runs"] == 1


def test_the_scheduled_sweep_fits_its_notebooks():
    found = read_experiment(HOME / "experiments" / "skew-sweep.yaml")
    assert len(found.cases) == 6
    for case in found.cases:
        plan(found.notebook, {**found.parameters, **case}, Path("runs"))
    plan(found.summary, {"runs": ["a"]}, Path("runs"))
