"""What is stated of an ONNX model in the file beside it, and whether it is that model.

In: a model's path. Out: how its pixels are prepared and what else is known of it, by name; or a
place for a new model, and its facts written there.
"""

import tempfile
from pathlib import Path
from typing import Any

from facelab import files
from facelab.errors import BadInput, check_option
from facelab.places import check_file

EXAMPLE = '{"channels": "rgb", "mean": 127.5, "std": 128}'
NEEDED = ("channels", "mean", "std")
OPTIONAL = ("size", "output", "name", "resample")
OPTIONS = {*NEEDED, *OPTIONAL}
# What facelab's own exports state besides; of these, the sum is compared, and the rest told.
TOLD = ("made_by", "embedder", "trained_on", "precision", "calibration", "cosine_to_float")
_OF_EXPORTS = {*TOLD, "input", "dim", "opset", "vectors", "sha256"}


def beside(path: Path) -> dict[str, Any]:
    """What the file beside the model states, or nothing.

    Parameters
    ----------
    path
        The model: `model.onnx` has its facts in `model.json`, `model.yaml` or `model.yml`.

    Raises
    ------
    BadInput
        Two files describe the model, or one states what is not known.
    """
    found = [place for place in places(path) if place.is_file()]
    if not found:
        return {}
    if len(found) > 1:
        names = " and ".join(place.name for place in found)
        raise BadInput(f"{names} both describe {path.name}: keep one")
    stated = files.read_values(found[0])
    known = OPTIONS | _OF_EXPORTS
    strange = set(stated) - known if isinstance(stated, dict) else {"no names with values"}
    if strange:
        raise BadInput(
            f"{found[0]} states {', '.join(sorted(map(str, strange)))}; known are "
            f"{', '.join([*NEEDED, *OPTIONAL])}, such as {EXAMPLE}"
        )
    if "resample" in stated:
        check_option("resample", stated["resample"], ("area",))
    return stated


def check_same(path: Path, stated: dict[str, Any], checksum: str) -> None:
    """Refuse what is stated of a model with another SHA-256, where one is stated."""
    if stated.get("sha256", checksum) != checksum:
        place = next(place for place in places(path) if place.is_file())
        raise BadInput(
            f"{place.name} is of another model than {path.name}, whose SHA-256 is "
            f"{checksum[:12]}...: export it again, or take the sum out if the rest is true of it"
        )


def places(path: Path) -> list[Path]:
    """Where a file that describes a model may lie."""
    return [path.with_suffix(suffix) for suffix in (".json", ".yaml", ".yml")]


# ---- written


def check_free(path: Path, replace: bool) -> None:
    """Refuse a place for a model and its facts that is taken, or a name that is no model's."""
    if path.suffix != ".onnx":
        raise BadInput(f"{path} must end in .onnx, as ONNX files do")
    for place in (path, path.with_suffix(".json")):
        check_file(place, replace, None)
    others = [place for place in places(path)[1:] if place.exists()]
    if others:
        raise BadInput(f"{others[0]} describes {path.name} already: move it away")


def folder_beside(aside: Path) -> tempfile.TemporaryDirectory:
    """A folder for what is made on the way to a file, on the same disk."""
    return tempfile.TemporaryDirectory(dir=aside.parent)


def write_facts(path: Path, told: dict[str, Any]) -> None:
    """Write what is to be known of a model beside it."""
    files.write_json(path.with_suffix(".json"), told)
