"""What decides a run: its notebook, parameters, code and machine, and what lies behind the paths.

In: checked parameters. Out: a key, the same for the same result; what is in the folders that
parameters name; the cards of the faces among them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facelab import files, sums
from facelab.embedders.external import model_files
from facelab.errors import BadInput
from facelab.faces.origin import as_card, facts
from facelab.keeping import code_of, digest, made_with

# Whose versions decide a digit of what notebooks compute.
_PACKAGES = (
    *("numpy", "numba", "scipy", "pandas", "pillow", "torch", "torchvision", "timm"),
    *("onnxruntime", "opencv-python-headless", "dlib-bin", "faiss-cpu", "scikit-learn", "infomap"),
)


def key_of(notebook: Path, shown: Mapping[str, Any]) -> str:
    """A name for everything that decides a run's result, but for what is in folders."""
    from facelab.embedders.tensors import computes_on, pick_device

    decides = [files.sha256(notebook), code_of(), shown, _contents_of_files(shown)]
    return digest([*decides, made_with(*_PACKAGES), computes_on(pick_device("auto"))])


def folders_of(shown: Mapping[str, Any], home: Path) -> dict[str, str]:
    """The folders that parameters name, and what is in them.

    A place where results are kept decides nothing, for each lies there under all that decides it;
    nor does a folder that holds the runs themselves, or this one, where a text is merely its name.
    """
    around = {place for own in (home.resolve(), Path.cwd()) for place in (own, *own.parents)}
    return {
        str(path): files.contents(path)
        for path in _paths(shown)
        if path.is_dir() and path.resolve() not in around and not (path / ".locks").is_dir()
    }


def written_to(folders: Mapping[str, str], home: Path) -> dict[str, str | None]:
    """The folders as a run has left them: None is one whose content changed meanwhile."""
    now = folders_of({"folders": list(folders)}, home)
    return {path: was if now.get(path) == was else None for path, was in folders.items()}


def same_folders(was: Mapping[str, str | None], now: Mapping[str, str]) -> bool:
    """Whether a run found the same in its folders, but for those that it wrote to or made."""
    return all(was.get(path) in (None, content) for path, content in now.items())


def cards_of(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where the FaceSets and embeddings that parameters name come from, and under which terms."""
    found = [path / "card.json" for path in _paths(shown)]
    cards = [_card(file) for file in found if file.is_file()]
    # Embeddings hold the facts of their faces; a FaceSet's card is those facts.
    return [facts(card.get("faces", card)) for card in cards]


def _card(file: Path) -> dict[str, Any]:
    """A card of ours; a damaged one stops whoever opens its folder, with a sentence of its own."""
    try:
        card = as_card(sums.open_stored(file.parent, file.name, "card").card)
    except (BadInput, OSError):
        return {}
    return card if isinstance(card.get("faces", {}), dict) else {}


def _paths(value: Any) -> list[Path]:
    """The files and folders that values name."""
    if isinstance(value, Mapping):
        return [path for item in value.values() for path in _paths(item)]
    if isinstance(value, list | tuple):
        return [path for item in value for path in _paths(item)]
    # os.path: a text that is too long for a path, or holds NUL, is none
    return [Path(value)] if isinstance(value, str) and value and os.path.exists(value) else []


def _contents_of_files(shown: Mapping[str, Any]) -> list[list[str]]:
    """The sums of the files that parameters name, and of those that lead on to others."""
    found: dict[Path, None] = {}
    waiting = [path for path in _paths(shown) if path.is_file()]
    while waiting:
        path = waiting.pop(0)
        if path not in found:
            found[path] = None
            waiting += [part for part in _led_to(path) if part.is_file()]
    return [[path.name, files.sha256(path)] for path in found]


def _led_to(path: Path) -> list[Path]:
    """The files that a model has beside it, or that a yaml or json file names."""
    stated = [path.with_suffix(suffix) for suffix in (".json", ".yaml", ".yml")]
    if path.suffix.lower() == ".onnx":
        try:
            return [*model_files(path)[1:], *stated]
        except BadInput:  # whoever opens it says so
            return stated
    if path in stated:
        try:
            return _paths(files.read_values(path))
        except BadInput:
            return []
    return []
