"""The examples of the docstrings: every public name has one, and it prints what it says."""

import ast
import doctest
import tempfile
from pathlib import Path

import pytest

import facelab as fl

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# They start a kernel, or a process that measures.
SLOW = {"fl.run", "fl.search_speed", "fl.share", "fl.sweep"}


def in_the_stub() -> list[str]:
    """The names of `facelab/__init__.pyi`, in its order; none of them is imported for that."""
    stub = ast.parse(Path(fl.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    lines = [line for line in stub.body if isinstance(line, ast.ImportFrom)]
    return [f"fl.{alias.name}" for line in lines for alias in line.names]


def public_names() -> list[str]:
    """What can be called, for a constant has no docstring and a module shows its names."""
    names = in_the_stub()
    for room in ("fl.datasets", "fl.plots", "fl.widgets"):
        names += [f"{room}.{name}" for name in found(room).__all__]
    return [name for name in names if callable(found(name))]


def found(name: str) -> object:
    thing = fl
    for part in name.split(".")[1:]:
        thing = getattr(thing, part)
    return thing


def marked(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name


NAMES = public_names()


def test_every_public_name_is_there_once():
    assert len(NAMES) == len(set(NAMES)) > 200
    assert set(NAMES) >= SLOW


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_can_be_copied(name):
    examples = doctest.DocTestParser().get_examples(found(name).__doc__ or "", name)
    assert examples, f"the docstring of {name} has no example: give it a short one that runs"
    assert examples[0].source == "import facelab as fl\n", f"{name}: its example starts elsewhere"
    assert "    Examples\n    --------\n" in found(name).__doc__, f"{name}: no section Examples"


@pytest.mark.filterwarnings("ignore::UserWarning")  # such as that a test is too small
@pytest.mark.parametrize("name", [marked(name) for name in NAMES])
def test_an_example_prints_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    parser = doctest.DocTestParser()
    test = parser.get_doctest(found(name).__doc__, {"__name__": "__main__"}, name, None, None)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=told.append)
    assert not told, f"the example of {name} prints something else:\n{''.join(told)}"
