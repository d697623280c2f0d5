"""What is to be run: experiment files, notebook parameters, and whether they fit.

In: a notebook or an experiment yaml, parameters. Out: `Experiment`, checked before anything starts.
"""

import ast
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StrictStr
from pydantic.dataclasses import dataclass as checked_dataclass

from facelab import files
from facelab.arguments import as_annotated
from facelab.errors import BadInput, did_you_mean
from facelab.limits import MOST_CASES
from facelab.places import check_plain
from facelab.words import AsWritten, Typed, Word, advice, checked, listed, number, values, whole

if TYPE_CHECKING:
    from nbformat import NotebookNode

UNKNOWN = object()  # a default that is not a literal: any value may take its place


@dataclass(frozen=True)
class Experiment:
    """A notebook, the name that its runs are kept under, fixed parameters, and the cases.

    `written_cases` are the parameters in which the runs differ, None for a single run; `summary` is
    the notebook that looks at all of them. Parameters stand here in the words of the file: the
    notebook's defaults say what they are.
    """

    notebook: Path
    name: str
    written: dict[str, Any] = field(default_factory=dict)
    written_cases: tuple[dict[str, Any], ...] | None = None
    summary: Path | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The fixed parameters, as yaml reads them."""
        return values(self.written)

    @property
    def cases(self) -> tuple[dict[str, Any], ...] | None:
        """The cases, as yaml reads them."""
        return None if self.written_cases is None else tuple(map(values, self.written_cases))

    def fixed(self, quick: bool = False) -> dict[str, Any]:
        """The fixed parameters in the words of the file; the notebook's quick setting over them."""
        return {**self.written, **(quick_parameters(self.notebook) if quick else {})}


_Parameters = dict[StrictStr, AsWritten]
_Values = Annotated[list[AsWritten], Field(min_length=1)]


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Written:
    """What stands in an experiment yaml."""

    notebook: StrictStr
    name: Annotated[str, BeforeValidator(lambda name: str(name or ""))] = ""
    parameters: _Parameters | None = None
    cases: list[_Parameters] = field(default_factory=lambda: [{}])
    grid: dict[StrictStr, _Values] = field(default_factory=dict)
    seeds: _Values = field(default_factory=list)
    summary: StrictStr | None = None


@as_annotated
def read_experiment(source: str | Path) -> Experiment:
    """A notebook as it is, or the experiment that a yaml file describes.

    A yaml has the keys `notebook` (a path beside the yaml), `name` and `parameters`. For a sweep
    also `cases` (a list of parameters) or `grid` (lists of values, all combinations of which are
    cases) or both (each of the list with each of the grid), `seeds` (every case once with each, as
    the parameter `seed`) and `summary` (a notebook, run over the finished sweep).

    Raises
    ------
    FileNotFoundError, BadInput
        The file is not there, or is neither a notebook nor such a yaml.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "sums.yaml"
    >>> path.with_name("sum.ipynb").touch()
    >>> _ = path.write_text("{notebook: sum.ipynb, grid: {n: [1, 2]}, seeds: [0, 1]}")
    >>> fl.read_experiment(path).cases
    ({'n': 1, 'seed': 0}, {'n': 1, 'seed': 1}, {'n': 2, 'seed': 0}, {'n': 2, 'seed': 1})
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}: give a notebook or an experiment yaml")
    if source.suffix == ".ipynb":
        return Experiment(source, _run_name(source.stem))
    if source.suffix not in (".yaml", ".yml"):
        raise BadInput(f"{source} is neither a notebook (.ipynb) nor an experiment (.yaml)")
    content = files.read_written(source)
    if not isinstance(content, dict) or "notebook" not in content:
        raise BadInput(f"{source} names no notebook: it needs a line `notebook: <path>`")
    written = checked(_Written, content, "an experiment", source)
    name = written.name or _run_name(source.stem)
    check_name(name, f"{source}: ")
    return Experiment(
        _beside(source, written.notebook),
        name,
        written.parameters or {},
        _cases(written, source) if {"cases", "grid", "seeds"} & set(content) else None,
        _beside(source, written.summary) if written.summary else None,
    )


def check_name(name: str, where: str = "") -> None:
    """Refuse a name that not every disk takes, or that climbs out of its place."""
    check_plain(name, where)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise BadInput(f"{where}the name {name!r} must be letters, digits, '-', '_' and '.'")


def _beside(source: Path, name: str) -> Path:
    notebook = source.parent / name
    if not notebook.is_file():
        raise FileNotFoundError(f"{source} names the notebook {notebook}, which is not there")
    return notebook


def _cases(written: _Written, source: Path) -> tuple[dict[str, Any], ...]:
    """The parameters of every run of a sweep."""
    listed = written.cases
    count = len(listed) * math.prod(map(len, written.grid.values())) * max(len(written.seeds), 1)
    if count > MOST_CASES:
        raise BadInput(f"{source} has {count:,} cases, and a sweep at most {MOST_CASES:,}")
    grid = written.grid | ({"seed": written.seeds} if written.seeds else {})
    combinations = [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    for place, names in (("cases", {name for case in listed for name in case}), ("grid", grid)):
        other = (written.parameters or {}) | (grid if place == "cases" else {})
        twice = sorted(set(names) & set(other))
        if twice:
            raise BadInput(f"{source}: {twice[0]} is set in {place} and elsewhere: set it once")
    cases = [{**case, **combination} for case in listed for combination in combinations]
    for place, case in enumerate(cases):
        if case in cases[:place]:
            raise BadInput(f"{source} has the same case twice: {case}")
    if not cases:
        raise BadInput(f"{source} has no cases")
    return tuple(cases)


def quick_parameters(notebook: str | Path) -> dict[str, Any]:
    """A notebook's quick setting: what `quick.yaml` beside it holds under its name.

    Raises
    ------
    BadInput
        There is none.
    """
    notebook = Path(notebook)
    file = notebook.with_name("quick.yaml")
    settings = files.read_written(file) or {} if file.is_file() else {}
    settings = checked(dict[str, _Parameters], settings, "the quick settings", file)
    if notebook.stem not in settings:
        raise BadInput(f"{notebook} has no quick setting: {file} says nothing of {notebook.stem}")
    return settings[notebook.stem]


def kept_as(name: str, quick: bool) -> str:
    """The name that runs are kept under: quick ones have their own."""
    return f"{name.removesuffix('-quick')}-quick" if quick else name


def _run_name(stem: str) -> str:
    """`03_balanced_retraining` is kept as `balanced-retraining`."""
    return re.sub(r"^\d+[_-]", "", stem).replace("_", "-").strip(".-") or "run"


# ---- parameters


class Defaults(dict[str, Any]):
    """Parameters and their defaults; `optional` are those that may be None, as `x: str | None`."""

    optional: frozenset[str] = frozenset()


def notebook_parameters(book: "NotebookNode", path: str | Path) -> Defaults:
    """The parameters of a notebook with their defaults, from the cell tagged `parameters`."""
    for cell in book.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            break
    else:
        return Defaults()
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"the parameters cell of {path} is not plain Python: {error}") from error
    found = Defaults()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and getattr(node, "value", None) is not None:
                found[target.id] = _literal(node.value)
                if "None" in ast.unparse(getattr(node, "annotation", target)):
                    found.optional |= {target.id}
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return UNKNOWN


def check_parameters(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values as the notebook's own kinds of values.

    What was written in yaml or on a command line is read with the default in hand: where that is
    text, it stays what was written. A whole number may stand for a decimal one, text such as `1e-3`
    for a number, one word for a list of words; a default of None takes anything, and a parameter
    annotated as `x: str | None` takes None, written `null` in yaml or as Python does.

    Raises
    ------
    BadInput
        A name is unknown (the message lists the known and the closest), or a value has the wrong
        type.
    """
    optional = getattr(known, "optional", frozenset())
    known = {name: value for name, value in known.items() if name != "run_folder"}
    checked = {}
    for name, value in given.items():
        if name not in known:
            names = ", ".join(known) or "none (no cell is tagged `parameters`)"
            hint = did_you_mean(name, known)
            raise BadInput(f"the notebook has no parameter {name!r}{hint}; it has: {names}")
        nothing = name in optional and _is_nothing(value)
        checked[name] = None if nothing else _storable(like(value, known[name], name), name)
    return checked


def _is_nothing(value: Any) -> bool:
    """Whether somebody has given None: as such, or as a word that stands for it."""
    word = value.strip() if isinstance(value, Word) else ""
    return value is None or word == "None" or (bool(word) and value.value is None)


def like(value: Any, default: Any, name: str) -> Any:
    """A value as the kind of another, which words are read by.

    Raises
    ------
    BadInput
        It does not fit; the message names it.
    """
    if isinstance(value, Path):
        value = str(value)
    elif hasattr(value, "tolist"):  # NumPy's
        value = value.tolist()
    found = None
    match default:
        case None | Mapping() if default is None or _is_mapping(value):
            return _read(value, default)
        case bool():
            found = value.value if isinstance(value, Word) else value
            found = found if isinstance(found, bool) else None
        case int():
            found = whole(value) if isinstance(value, Word) else value
            found = found if isinstance(found, int) and not isinstance(found, bool) else None
        case float():
            found = _number(value)
        case str():
            found = str(value) if isinstance(value, str) else None
        case list() | tuple():
            found = _list_like(value, default, name)
        case _ if default is UNKNOWN:
            return _read(value, None)
    if found is None:
        wanted = f"{_kind(default)}, such as {default!r}"
        given = str(value) if isinstance(value, Word) else value
        raise BadInput(f"parameter {name} must be {wanted}, not {given!r}{advice(given)}")
    return found


def meant(value: Any, stored: Any) -> bool:
    """Whether a value that somebody looks for is one that a run has stored."""
    try:
        return like(value, stored, "") == stored
    except BadInput:
        return False


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = repr(value)
    return number(value) if isinstance(value, str) else None


def _list_like(value: Any, default: list | tuple, name: str) -> list[Any] | None:
    """The items of a list, which a command line and yaml also write without brackets."""
    kinds = {type(item) for item in default}
    example = default[0] if len(kinds) == 1 else None
    if isinstance(value, Typed) and value.lstrip()[:1] in ("[", "{"):
        value = value.opened
    if isinstance(value, str) and not isinstance(example, list | tuple | dict):
        value = listed(value, isinstance(example, str)) or value
    if not isinstance(value, list | tuple):
        return None
    return [like(item, example, f"{name} (each item)") for item in value]


def _is_mapping(value: Any) -> bool:
    return isinstance(value.opened if isinstance(value, Typed) else value, Mapping)


def _read(value: Any, default: Any) -> Any:
    """Words as yaml reads them, but where a mapping's own default of that name is text."""
    value = value.opened if isinstance(value, Typed) else value
    if not isinstance(value, Mapping):
        return list(value) if isinstance(value, tuple) else values(value)
    texts = default if isinstance(default, Mapping) else {}
    return {
        name: str(item) if isinstance(item, Word) and isinstance(texts.get(name), str)
        else _read(item, texts.get(name))
        for name, item in value.items()
    }  # fmt: skip


def _storable(value: Any, name: str) -> Any:
    """Refuse what would not be the same in the notebook and in the run's record."""
    match value:
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise BadInput(f"the name {key!r} in parameter {name} must be text")
                _storable(item, f"{name}.{key}")
        case list() | tuple():
            for item in value:
                _storable(item, f"{name} (each item)")
        case float() if not math.isfinite(value):
            raise BadInput(f"parameter {name} must be a finite number, not {value}")
        case str() if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadInput(f"parameter {name} is {value!a}, which is not text in UTF-8")
        case None | bool() | int() | float() | str():
            pass
        case _:
            kind = type(value).__name__
            raise BadInput(
                f"parameter {name} is a {kind}, which no notebook can be given: give text, "
                "numbers, lists or mappings"
            )
    return value


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false", int: "a whole number", float: "a number", str: "text",
        list: "a list", tuple: "a list", dict: "a mapping",
    }  # fmt: skip
    return kinds.get(type(value), type(value).__name__)
