"""The project's own frame: the lists of packages agree, and nothing of one machine is in them."""

import importlib.machinery
import importlib.util
import re
import sys
import tomllib
import types
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
WAYS_IN = (ROOT / "docs" / "how-to" / "anywhere.md").read_text()

# Packages that conda-forge knows under another name.
CONDA_NAMES = {
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "torch": "pytorch",
    "opencv-python-headless": "py-opencv",
    "dlib-bin": "dlib",
    "face-recognition-models": "face_recognition_models",
    "infomap": "python-infomap",
    "playwright": "playwright-python",
}


def requirements() -> dict[str, str]:
    """Package to version bound, for the project and all its extras."""
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return dict(re.fullmatch(r"([\w.-]+)(>=[\d.]+(?:b\d+)?)", line).groups() for line in lines)


def test_conda_and_pyproject_name_the_same_packages_and_versions():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    *from_pypi, itself = listed[-1]["pip"]
    assert itself == "-e ."
    conda = {*listed[:-1], *from_pypi} - {"pip", f"python{PROJECT['requires-python']}"}
    assert conda == {CONDA_NAMES.get(name, name) + bound for name, bound in requirements().items()}


def test_the_lock_pins_every_package_with_hashes_and_holds_no_address():
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, flags=re.MULTILINE))
    assert set(requirements()) <= set(pinned)
    for block in re.split(r"\n(?=[\w.-]+==)", LOCK.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in LOCK and "--index" not in LOCK and "--find-links" not in LOCK


@pytest.mark.parametrize("command", ["make experiment", "make test"])
def test_the_readme_names_the_commands(command):
    assert command in (ROOT / "README.md").read_text()
    assert f"\n{command.removeprefix('make ')}:" in (ROOT / "Makefile").read_text()


def test_the_page_of_the_house_maps_every_module_that_there_is():
    page = (ROOT / "docs" / "house.md").read_text()
    modules = [p.name for p in (ROOT / "facelab").glob("*.py") if not p.name.startswith("__")]
    packages = [f"{p.parent.name}/" for p in (ROOT / "facelab").glob("*/__init__.py")]
    assert [name for name in modules + packages if f"`{name}`" not in page] == []


def test_the_pythons_that_are_named_are_those_that_are_tried():
    told = [re.search(r"Python :: (3\.\d+)$", line) for line in PROJECT["classifiers"]]
    named = [found[1] for found in told if found]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yaml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == [named[0], named[-1]]
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert f"{named[0]} to {named[-1]} are tried" in WAYS_IN


# ---- the lighter road: a torch that is there already


def test_the_road_without_a_gpu_is_the_same_on_the_page_and_for_binder():
    index, *wanted, _ = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    assert set(wanted) == {line for line in PROJECT["dependencies"] if line.startswith("torch")}
    assert f"pip install torch torchvision {index.replace('extra-', '')}\n" in WAYS_IN
    assert "conda env create -f environment.yml\n" in WAYS_IN


@pytest.fixture(scope="module")
def without_torch():
    path = ROOT / ".ci" / "without-torch"
    loader = importlib.machinery.SourceFileLoader("without_torch", str(path))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("without_torch", loader)
    )
    loader.exec_module(module)
    return module


def test_the_lock_without_torch_lacks_what_torch_alone_needs_and_nothing_else(without_torch):
    names = set(re.findall(r"^([\w.-]+)==", LOCK, flags=re.MULTILINE))
    left = set(re.findall(r"^([\w.-]+)==", without_torch.without(LOCK), flags=re.MULTILINE))
    gone = names - left
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= gone
    assert not [name for name in left if name.startswith(("nvidia-", "cuda-"))]
    assert set(requirements()) - {"torch", "torchvision"} <= left
    small = (
        "a==1 \\\n    --hash=sha256:0\n    # via\n    #   facelab (pyproject.toml)\n    #   torch\n"
        "b==1 \\\n    --hash=sha256:0\n    # via torch\n"
        "c==1 \\\n    --hash=sha256:0\n    # via b\n"
        "torch==2 \\\n    --hash=sha256:0\n    # via facelab (pyproject.toml)\n"
    )
    assert re.findall(r"^(\w+)==", without_torch.without(small), flags=re.MULTILINE) == ["a"]


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"torch": "2.15.0+cpu", "torchvision": "0.29.2"}, ""),
        ({"torch": "2.4.1", "torchvision": "0.29.2"}, "torch 2.4.1 is there and torch>="),
        ({"torch": "2.15.0", "torchvision": None}, "torchvision cannot be imported"),
    ],
)
def test_a_torch_that_does_not_do_is_told_in_one_sentence(without_torch, monkeypatch, there, words):
    for name, version in there.items():
        module = version and types.SimpleNamespace(__version__=version)
        monkeypatch.setitem(sys.modules, name, module)
    told = without_torch.complaint()
    assert words in told and bool(words) == bool(told) and "\n" not in told
