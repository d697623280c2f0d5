"""Embedders: faces in, unit vectors out.

Every kind has `.name`, `.dim`, `.size` and `.embed(faces, flip=True, batch=256, jobs=None)`, which
returns `Embeddings`. Ours are folders that `train` saved; others' are ONNX files.
"""

from pathlib import Path
from typing import Any

from facelab.errors import BadInput


def load_embedder(path: str | Path, **options: Any) -> Any:
    """Open an embedder.

    Parameters
    ----------
    path
        A folder that a trained embedder's `save` wrote, or an `.onnx` file.
    options
        For ONNX files: how faces are prepared, see `facelab.embedders.onnx.OnnxEmbedder`.

    Returns
    -------
    TimmEmbedder or OnnxEmbedder

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    BadInput
        It is neither of the two kinds.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no embedder at {path}: give a folder saved by training or an .onnx file"
        )
    if (path / "embedder.json").is_file():
        if options:
            raise BadInput(f"a trained embedder takes no options, but got: {', '.join(options)}")
        from facelab.embedders.backbone import TimmEmbedder

        return TimmEmbedder.load(path)
    if path.is_file() and path.suffix.lower() == ".onnx":
        from facelab.embedders.onnx import OnnxEmbedder

        return OnnxEmbedder(path, **options)
    raise BadInput(
        f"{path} is neither a trained embedder (a folder with embedder.json) nor an .onnx file"
    )
