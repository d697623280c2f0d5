"""The project's own frame: the lists of packages agree, and nothing of one machine is in them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()

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
