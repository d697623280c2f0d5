"""A trained network out into use: as an ONNX file with its facts beside it, or by torch.export.

In: a trained embedder and a path. Out: files that gave the network's own vectors when they were
written.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import facelab
from facelab import files
from facelab.embedders.external import checksum
from facelab.embedders.int8 import quiet, write_int8
from facelab.embedders.onnx import OnnxEmbedder
from facelab.embedders.providers import opened
from facelab.embedders.stated import check_free, folder_beside, write_facts
from facelab.embedders.weights import brief
from facelab.errors import BadInput, FacelabError, need
from facelab.faces.faceset import FaceSet
from facelab.faces.origin import facts
from facelab.places import check_file

LEAST_COSINE = 0.99999
_INPUT, _OUTPUT = "images", "embeddings"
_VECTORS = "not of length 1: the mirror image's is added, then the sum is divided by its length"


class Whole(NamedTuple):
    """A network that ends in something else than an embedding, to be written in its place.

    Attributes
    ----------
    network, output
        Which; what its output is called.
    facts
        What the file beside it states of the output.
    """

    network: nn.Module
    output: str
    facts: dict[str, Any]


def write_onnx(
    embedder: Any,
    path: Path,
    int8: FaceSet | None,
    opset: int | None,
    replace: bool,
    whole: Whole | None = None,
) -> Path:
    """As `TrainedEmbedder.to_onnx` says."""
    need("onnxscript", "onnx")
    check_free(path, replace)
    whole = whole or Whole(embedder.network, _OUTPUT, _vectors(embedder))
    network, output = _plain(whole.network), whole.output
    # onnxruntime goes by a file's suffix, and what is written aside has none yet.
    with files.write_file(path) as aside, folder_beside(aside) as folder:
        made = Path(folder) / "float.onnx"
        told = _facts(embedder) | whole.facts
        told["opset"] = _export(network, embedder, made, opset, output)
        session = opened(made, "cpu")
        _check(lambda images: session.run([output], {_INPUT: images})[0], network, embedder, path)
        if int8 is not None:
            files.write_json(made.with_suffix(".json"), told)
            smaller = Path(folder) / "int8.onnx"
            told |= write_int8(OnnxEmbedder(made, device="cpu"), smaller, int8)
            made = smaller
        sum_of = checksum(made)
        made.replace(aside)
    write_facts(path, told | {"sha256": sum_of})
    return path


def write_torch_export(embedder: Any, path: Path, replace: bool) -> Path:
    """As `TrainedEmbedder.to_torch_export` says."""
    if path.suffix != ".pt2":
        raise BadInput(f"{path} must end in .pt2, as what torch.export writes does")
    check_file(path, replace, None)
    network = _plain(embedder.network)
    program = _exported(network, embedder)
    with files.write_file(path) as aside, folder_beside(aside) as folder:
        made = Path(folder) / "model.pt2"
        with quiet():
            torch.export.save(program, made, extra_files={"facts.json": _told(embedder)})
            again = torch.export.load(made).module()
        with torch.inference_mode():
            _check(lambda images: again(torch.from_numpy(images)).numpy(), network, embedder, path)
        made.replace(aside)
    return path


def _facts(embedder: Any) -> dict[str, Any]:
    trained_on = embedder.card.get("faces", {})
    return {
        "name": embedder.name,
        **{"channels": "rgb", "mean": 0, "std": 255, "size": embedder.size, "resample": "area"},
        "input": _INPUT,
        "precision": "fp32",
        "embedder": embedder.identity(),
        "trained_on": facts(trained_on)
        | {key: embedder.card[key] for key in ("subjects", "images") if key in embedder.card},
        "made_by": f"facelab {facelab.__version__}, torch {torch.__version__}",
    }


def _told(embedder: Any) -> str:
    return files.json_text(_facts(embedder) | _vectors(embedder))


def _vectors(embedder: Any) -> dict[str, Any]:
    """What is stated of an embedder's output."""
    return {"output": _OUTPUT, "dim": embedder.dim, "vectors": _VECTORS}


def _plain(network: nn.Module) -> nn.Module:
    """The network on the CPU in float32, its memory laid out as files have it."""
    network = copy.deepcopy(network).cpu().float().eval()
    return network.to(memory_format=torch.contiguous_format)


def _exported(network: nn.Module, embedder: Any) -> Any:
    """The network as a program for any number of faces."""
    # Of two faces: an axis of one would be taken for one that is always one.
    two = torch.zeros(2, 3, embedder.size, embedder.size)
    try:
        with quiet():
            # As a tuple of arguments: their names are the network's own affair.
            return torch.export.export(
                network, (two,), dynamic_shapes=({0: torch.export.Dim("faces")},)
            )
    except Exception as error:
        # torch.export has errors of its own for each of the things that it cannot follow.
        backbone = embedder.recipe["backbone"]
        raise BadInput(f"torch cannot export {backbone} ({brief(error)})") from error


def _export(network: nn.Module, embedder: Any, path: Path, opset: int | None, output: str) -> int:
    """Write the ONNX file; the opset it is of."""
    program = _exported(network, embedder)
    try:
        with quiet():
            made = torch.onnx.export(
                program,
                input_names=[_INPUT],
                output_names=[output],
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
            # Of more than 2 GB, protobuf's limit, none of the field is.
            made.save(str(path), external_data=False)
    except Exception as error:
        backbone = embedder.recipe["backbone"]
        raise BadInput(f"{backbone} cannot be written as ONNX ({brief(error)})") from error
    return made.model.opset_imports[""]


def _check(
    run: Callable[[np.ndarray], np.ndarray],
    network: nn.Module,
    embedder: Any,
    path: Path,
) -> None:
    """Hold what was written against the network, on noise, in batches of three sizes."""
    rng = np.random.default_rng(0)
    for count in (1, 2, 5):
        images = rng.random((count, 3, embedder.size, embedder.size), np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(images)).numpy().astype(np.float64)
        found = run(images).astype(np.float64)
        cosine = cosines(found, expected)
        if not (cosine >= LEAST_COSINE).all():
            raise FacelabError(
                f"{path} was not written: the exported network gives other vectors than "
                f"{embedder.name} (cosine {cosine.min():.6f})"
            )


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths
