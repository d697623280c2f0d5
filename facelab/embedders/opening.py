"""An embedder from wherever it comes: the one door to all kinds.

In: a folder, a file, a name or a function. Out: an embedder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from facelab import files
from facelab.arguments import as_annotated
from facelab.embedders.function import embedder_of
from facelab.errors import BadInput


@as_annotated
def load_embedder(source: str | Path | Callable, *, device: str = "auto", **options: Any) -> Any:
    """Open an embedder.

    Parameters
    ----------
    source
        A folder that a trained embedder's `save` wrote; an `.onnx` file; "dlib"; "timm:name",
        "hf-hub:owner/name" or "local-dir:folder" of a model with pretrained weights; or a function
        on uint8 crops.
    device
        Where it computes: "auto" is CUDA, else Apple's (MPS; CoreML for ONNX files), else the CPU.
        For a network of torch a torch device, for ONNX files "cuda", "cuda:1", "coreml" or "cpu";
        a function and dlib's network compute where they do, and take none.
    options
        For a trained embedder `precision`, see `facelab.embedders.trained.TrainedEmbedder.to`. For
        ONNX files: how faces are prepared, or `preset`, see
        `facelab.embedders.onnx.OnnxEmbedder`. For timm's and the hub's models see
        `facelab.embedders.hub.hub_embedder`; for a function see `embedder_of`.
        For an embedder that was trained with a backbone of one's own, `backbone`: the module, or
        what makes one.

    Returns
    -------
    TrainedEmbedder, OnnxEmbedder or FunctionEmbedder

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    BadInput
        It is none of these kinds, or there is no such device here.
    MissingExtra
        What it needs is not installed.

    Examples
    --------
    >>> import facelab as fl
    >>> from tempfile import mkdtemp
    >>> faces = fl.synthesize(6, 2, size=32)
    >>> trained = fl.train(faces, fl.Recipe(steps=2, size=32, dim=64))
    >>> embedder = fl.load_embedder(trained.save(mkdtemp(), replace=True))
    >>> embedder.embed(faces).vectors.shape
    (12, 64)
    """
    if (callable(source) or source == "dlib") and device != "auto":
        what = "dlib's embedder" if source == "dlib" else "a function"
        raise BadInput(f"{what} computes where it does: leave out device={device!r}")
    if callable(source):
        return embedder_of(source, **options)
    if source == "dlib":
        _no_options("dlib's embedder", options)
        from facelab.embedders.dlib import dlib_embedder

        return dlib_embedder()
    if isinstance(source, str) and source.startswith(("timm:", "hf-hub:", "local-dir:")):
        from facelab.embedders.hub import hub_embedder

        return hub_embedder(source, device=device, **options)
    path = files.stored(source)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no embedder at {path}: give a folder saved by training, an .onnx file, "
            "dlib, timm:NAME or hf-hub:OWNER/NAME"
        )
    if (path / "embedder.json").is_file():
        precision, backbone = options.pop("precision", "fp32"), options.pop("backbone", None)
        _no_options("a trained embedder", options)
        from facelab.embedders.trained import TrainedEmbedder

        return TrainedEmbedder.load(path, device, backbone).to(device, precision)
    if path.is_file() and path.suffix.lower() == ".onnx":
        from facelab.embedders.onnx import OnnxEmbedder

        return OnnxEmbedder(path, device=device, **options)
    raise BadInput(
        f"{path} is neither a trained embedder (a folder with embedder.json) nor an .onnx file"
    )


def _no_options(what: str, options: dict[str, Any]) -> None:
    if options:
        raise BadInput(f"{what} takes no options, but got: {', '.join(options)}")
