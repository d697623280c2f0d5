"""The course comes with the package, and the package's own page leads to where it lies."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import facelab as fl
from facelab.cli import app as cli
from facelab.runs.course import copy_course, course

ROOT = Path(__file__).parents[2]


def test_the_course_is_copied_out_whole_and_runs_where_it_lies(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.command(["notebooks"]) == 0
    place = tmp_path / "facelab-course"
    copied = {path.name for path in (place / "notebooks").iterdir()}
    assert copied == {path.name for path in (ROOT / "notebooks").iterdir()} - {".ipynb_checkpoints"}
    for file in (place / "experiments").glob("*.yaml"):
        assert fl.read_experiment(file).notebook.is_relative_to(place)
    assert not (place / "experiments" / "gallery").exists()
    assert cli.command(["notebooks"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_an_installation_without_the_course_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(fl, "__file__", str(tmp_path / "facelab" / "__init__.py"))
    with pytest.raises(fl.BadInput, match="install facelab again"):
        course()


@pytest.mark.parametrize("there", [True, False])
def test_lab_opens_the_first_notebook_and_hands_the_rest_on(tmp_path, monkeypatch, there):
    from jupyterlab.labapp import LabApp

    opened = []
    monkeypatch.setattr(LabApp, "launch_instance", lambda words: opened.append(words))
    place = tmp_path / "mine"
    if there:
        copy_course(place)
    assert cli.command(["lab", str(place), "--no-browser", "--port=8899"]) == 0
    assert (place / "notebooks" / "00_start_here.ipynb").is_file()
    (words,) = opened
    assert words[:2] == [
        "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
        f"--ServerApp.root_dir={place}",
    ]
    assert words[2:] == ["--no-browser", "--port=8899"]


# ---- the package's page


def links():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("url", "picture", "page"),
    [
        ("https://github.com/a/b", "/raw/v1/", "/blob/v1/"),
        ("https://gitlab.com/a/b", "/-/raw/v1/", "/-/blob/v1/"),
    ],
)
def test_readme_links_are_absolute_where_the_repository_is_known(url, picture, page):
    text = (ROOT / "README.md").read_text()
    made = links().absolute(text, url, "v1")
    found = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", made)
    assert len(found) > 10
    for is_picture, target in found:
        assert target.startswith(("https://", "#")), target
        if target.startswith(url):
            kind = picture if is_picture else page
            inside = target.removeprefix(url + kind)
            assert inside != target and (ROOT / inside).exists(), target


def test_binder_gets_what_the_project_needs():
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    assert lines[-1] == ".[search]"  # whose notebook is part of the course
    assert any("download.pytorch.org/whl/cpu" in line for line in lines)
    assert (ROOT / ".binder" / "runtime.txt").read_text().strip() in ("python-3.11", "python-3.12")
    start = (ROOT / ".binder" / "postBuild").read_text()
    assert "warm_up" in start and subprocess.run(["bash", "-n", "-c", start]).returncode == 0


@pytest.mark.slow
def test_sdist_and_wheel_are_whole_in_a_fresh_environment():
    done = subprocess.run([ROOT / ".ci" / "wheel", sys.executable], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("the wheel is whole\n")


def test_the_workflow_tries_the_wheel_with_its_own_dependencies():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yaml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["wheel"]["steps"]]
    assert any(".ci/wheel" in step and "--whole" in step for step in steps)
