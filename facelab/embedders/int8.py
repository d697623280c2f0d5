"""An ONNX embedder rounded to 8 bits, over the faces it is measured on.

In: a float model, whose pixels are prepared as its facts say, and faces. Out: a smaller and faster
model, and how far its vectors are from the float ones. Source: Jacob et al. 2018, "Quantization and
training of neural networks for efficient integer-arithmetic-only inference" (arXiv 1712.05877), by
onnxruntime's static quantisation: weights by channel, layers by the least and the largest number.
"""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import facelab
from facelab import files
from facelab.embedders.external import checksum
from facelab.embedders.kinds import check_faces
from facelab.embedders.stated import check_free, folder_beside, write_facts
from facelab.errors import BadInput, need
from facelab.faces.faceset import FaceSet
from facelab.faces.origin import facts

_STEP = 16  # faces at a time
_BY_CHANNEL, _NEWER = 13, 17  # opsets
_LEAST = 32  # faces, of which the ranges are no accident


def write_rounded(model: Any, path: Path, faces: FaceSet, replace: bool) -> Path:
    """As `OnnxEmbedder.to_int8` says."""
    check_free(path, replace)
    with files.write_file(path) as aside, folder_beside(aside) as folder:
        made = Path(folder) / "int8.onnx"
        told = model.facts() | write_int8(model, made, faces)
        sum_of = checksum(made)
        made.replace(aside)
    made_by = f"facelab {facelab.__version__}"
    write_facts(path, told | {"made_by": made_by, "sha256": sum_of})
    return path


def write_int8(model: Any, path: Path, faces: FaceSet) -> dict[str, Any]:
    """Write the int8 model of an `OnnxEmbedder`; what is to be said of it."""
    quantization = need("onnxruntime.quantization", "onnx")
    check_faces(faces, "int8")
    if len(faces) < _LEAST:
        raise BadInput(
            f"int8 measures the range of every layer over faces, and {len(faces)} are too few: "
            f"give {_LEAST} or more, such as 500 of all groups"
        )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, quiet():
        fused = Path(folder) / "fused.onnx"
        # Norms become part of the convolutions before them, which are then rounded as one.
        quantization.shape_inference.quant_pre_process(
            str(_new_enough(model.path, Path(folder))), str(fused), skip_symbolic_shape=True
        )
        quantization.quantize_static(
            str(fused),
            str(path),
            _Feed(model, faces),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
    files.write_json(path.with_suffix(".json"), model.facts())
    rounded = type(model)(path, device="cpu")
    few = faces[np.unique(np.linspace(0, len(faces) - 1, 256).astype(int))]
    pair = [one.embed(few, flip=False, progress=False).vectors for one in (model, rounded)]
    cosine = (pair[0] * pair[1]).sum(axis=1)
    return {
        "precision": "int8",
        "calibration": facts(faces.card) | {"images": len(faces), "groups": _groups(faces)},
        "cosine_to_float": {"mean": float(cosine.mean()), "least": float(cosine.min())},
    }


def _new_enough(path: Path, folder: Path) -> Path:
    """The model, of an opset that has weights rounded by channel."""
    onnx = need("onnx", "onnx")
    model = onnx.load(path)
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if opset >= _BY_CHANNEL:
        return path
    try:
        newer = onnx.version_converter.convert_version(model, _NEWER)
    except Exception as error:
        # The converter has errors of its own for each operator that it does not know.
        raise BadInput(
            f"{path.name} is of ONNX's opset {opset}, and int8 needs {_BY_CHANNEL}: export it anew"
        ) from error
    onnx.save(newer, folder / "newer.onnx")
    return folder / "newer.onnx"


class _Feed:
    """Faces as a model takes them, one batch after the other, as onnxruntime's calibration asks."""

    def __init__(self, model: Any, faces: FaceSet) -> None:
        step = model.fixed or _STEP
        whole = len(faces) // step * step  # a fixed batch takes no fewer
        self._batches: Iterator[dict[str, np.ndarray]] = (
            model.pixels(faces.gather(slice(start, start + step)))
            for start in range(0, whole if model.fixed else len(faces), step)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def _groups(faces: FaceSet) -> dict[str, dict[str, int]]:
    """Images of each group, by the columns that say who somebody is."""
    constant = [column for column in faces.groups if column in faces.subjects]
    counts = {column: faces.table[column].value_counts() for column in constant}
    return {
        column: {str(group): int(n) for group, n in found.items() if n}
        for column, found in counts.items()
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What exporters say of their own insides is nothing to whoever exports."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
