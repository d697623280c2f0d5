"""The examples of the docstrings: every public name has one, and it prints what it says."""

import ast
import doctest
import inspect
import tempfile
from pathlib import Path

import pytest

import facelab as fl

HOUSE = Path(fl.__file__).parent
# What lists the public names; three rooms are offered whole.
STUBS = {
    "fl": "__init__.pyi",
    "fl.datasets": "datasets/__init__.pyi",
    "fl.plots": "figures/plots.pyi",
    "fl.widgets": "widgets/__init__.pyi",
}
# They start a kernel, or a process that measures.
SLOW = {"fl.run", "fl.search_speed", "fl.share", "fl.sweep"}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_names() -> list[str]:
    """What can be called, read from the stubs alone: collecting tests imports nothing of weight.

    A constant, which is written in capitals, has no docstring.
    """
    names = []
    for room, file in STUBS.items():
        for line in ast.parse((HOUSE / file).read_text(encoding="utf-8")).body:
            if isinstance(line, ast.ImportFrom):
                names += [f"{room}.{alias.name}" for alias in line.names]
    return [name for name in names if name not in STUBS and not name.rpartition(".")[2].isupper()]


def found(name: str) -> object:
    thing = fl
    for part in name.split(".")[1:]:
        thing = getattr(thing, part)
    return thing


def marked(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name


NAMES = public_names()


def test_no_name_is_missed():
    offered = {f"{room}.{name}" for room in STUBS for name in found(room).__all__}
    assert {name for name in offered - set(STUBS) if callable(found(name))} == set(NAMES)
    assert set(NAMES) >= SLOW


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_can_be_copied(name):
    told = inspect.getdoc(found(name))
    examples = doctest.DocTestParser().get_examples(told, name)
    assert examples, f"the docstring of {name} has no example: give it a short one that runs"
    assert "\n\nExamples\n--------\n>>> " in told, f"{name} has an example outside its section"
    assert examples[0].source == "import facelab as fl\n", f"{name}: who copies it lacks `fl`"


@pytest.mark.filterwarnings("ignore::UserWarning")  # such as that a test is too small
@pytest.mark.parametrize("name", [marked(name) for name in NAMES])
def test_an_example_prints_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told, said = inspect.getdoc(found(name)), []
    test = doctest.DocTestParser().get_doctest(told, {"__name__": "__main__"}, name, None, None)
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append)
    assert not said, f"the example of {name} prints something else:\n{''.join(said)}"
