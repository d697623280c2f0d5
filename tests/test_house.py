"""The house itself: its rooms, one way through them, and names that editors see."""

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import facelab as fl

ROOT = Path(__file__).parents[1]
ROOMS = [
    *("faces", "photos", "datasets", "synthetic", "embedders", "training", "rates", "comparisons"),
    *("audits", "analysis", "search", "grouping", "services", "figures", "pages", "runs"),
    *("widgets", "bench", "cli"),
]
GROUND = [
    *("arguments.py", "artefacts.py", "caches.py", "errors.py", "files.py", "keeping.py"),
    *("limits.py", "moving.py", "owners.py", "places.py", "progress.py", "sums.py", "words.py"),
    *("shown.py", "workers.py"),
]
MARKERS = ["__init__.py", "__init__.pyi", "__main__.py", "py.typed"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def listed(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


def test_there_are_the_rooms_and_a_ground_floor_of_small_files():
    assert listed(ROOT / "facelab") == {*ROOMS, *GROUND, *MARKERS}


def test_the_tests_have_the_same_rooms():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == {*ROOMS, "notebooks", "browser", "security", "stored"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_which_file_to_read_first(room):
    told = importlib.import_module(f"facelab.{room}").__doc__
    first = re.search(r"Read\s+`(\w+\.py)`\s+first", told)
    assert first, f"facelab/{room}/__init__.py names no file to read first"
    assert (ROOT / "facelab" / room / first.group(1)).is_file()


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_repeats_the_name_of_its_room(room):
    names = {room, room.removesuffix("s")}
    files = (ROOT / "facelab" / room).glob("*.py")
    assert [path.name for path in files if names & set(path.stem.split("_"))] == []


def test_no_module_bears_the_name_of_a_public_function():
    """But for the room `runs`: lazy-loader keeps its name for `fl.runs`, whatever is imported."""
    functions = {n for n in fl.__all__ if isinstance(getattr(fl, n), types.FunctionType)}
    modules = pkgutil.walk_packages(fl.__path__, "facelab.")
    named = {module.name for module in modules if module.name.rpartition(".")[2] in functions}
    assert named == {"facelab.runs"}
    code = "import facelab as fl, facelab.runs.sweeps; fl.run; assert fl.runs.__name__ == 'runs'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_imports_go_one_way():
    """The contract in pyproject.toml is the drawing of the house, its exceptions included."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_dir_shows_the_public_names_alone_and_all_of_them_are_there():
    assert dir(fl) == sorted(fl.__all__)
    for name in fl.__all__:
        assert getattr(fl, name) is not None


@pytest.mark.parametrize(
    ("module", "stub", "package"),
    [
        (fl, "__init__.pyi", "facelab"),
        (fl.datasets, "datasets/__init__.pyi", "facelab.datasets"),
        (fl.widgets, "widgets/__init__.pyi", "facelab.widgets"),
        (fl.plots, "figures/plots.pyi", "facelab.figures"),
    ],
)
def test_a_stub_names_what_is_there_where_it_is(module, stub, package):
    names = []
    for line in ast.parse((ROOT / "facelab" / stub).read_text()).body:
        if isinstance(line, ast.ImportFrom):
            for alias in line.names:
                assert alias.asname == alias.name, "only `name as name` is public to a type checker"
                names.append(alias.name)
                found = getattr(module, alias.name)
                if isinstance(found, type | types.FunctionType):
                    assert found.__module__ == f"{package}.{line.module}"
    assert sorted(names) == sorted(module.__all__)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_facelab_as_fl_and_nothing_deeper(notebook):
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "facelab"
            elif isinstance(node, ast.Import):
                ours = [alias for alias in node.names if alias.name.split(".")[0] == "facelab"]
                assert [(alias.name, alias.asname) for alias in ours] in ([], [("facelab", "fl")])


def test_importing_facelab_imports_nothing_of_weight():
    code = "import sys, facelab; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "pandas", "matplotlib", "numba", "scipy", "pydantic", "jinja2"}
    assert heavy.isdisjoint(done.stdout.split())


@pytest.fixture(scope="module")
def told_to_editors(tmp_path_factory) -> str:
    """What a type checker says of typical lines, of every public name, and of one that is not."""
    lines = (ROOT / "tests" / "typical_lines.py").read_text() + "\n"
    lines += "".join(f"reveal_type(fl.{name})\n" for name in fl.__all__)
    lines += "".join(f"reveal_type(fl.plots.{name})\n" for name in fl.plots.__all__)
    script = tmp_path_factory.mktemp("editor") / "lines.py"
    script.write_text(lines + "fl.nonsense\n")
    found = subprocess.run(
        [Path(sys.executable).with_name("ty"), "check", "--output-format", "concise",
         "--python", sys.prefix, "--extra-search-path", ROOT, script],
        cwd=script.parent, capture_output=True, text=True,
    )  # fmt: skip
    return found.stdout


def test_a_type_checker_knows_every_name_its_parameters_and_what_comes_back(told_to_editors):
    complaints = [line for line in told_to_editors.splitlines() if "error[" in line]
    assert len(complaints) == 1 and "no member `nonsense`" in complaints[0]
    revealed = re.findall(r"Revealed type: `(.*)`", told_to_editors)
    assert len(revealed) == len(fl.__all__) + len(fl.plots.__all__)
    assert [words for words in revealed if words in ("Unknown", "Any")] == []


@pytest.mark.parametrize("name", fl.__all__)
def test_every_public_name_has_a_docstring_and_typed_parameters(name):
    found = getattr(fl, name)
    if isinstance(found, type | types.FunctionType | types.ModuleType):
        assert found.__doc__
    if isinstance(found, types.FunctionType):
        parameters = found.__code__.co_varnames[: found.__code__.co_argcount]
        assert [part for part in parameters if part not in found.__annotations__] == []
