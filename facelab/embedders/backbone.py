"""Our own embedders: a trained network with its recipe, card and history.

In: what `train` made, or the folder it was saved to. Out: `Embeddings`; on disk
`model.safetensors`, `embedder.json`, `history.csv` and, where training watched held-out subjects,
`validation.csv`.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import facelab
from facelab import files
from facelab.embedders.network import Network, network_of
from facelab.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.faces import FaceSet
from facelab.progress import bar
from facelab.provenance import facts


def resized(crops: np.ndarray, size: int) -> np.ndarray:
    """Crops of another side length: every new pixel is the mean of the area it covers.

    Parameters
    ----------
    crops
        uint8 (N, S, S, 3).
    size
        The new side.

    Returns
    -------
    uint8 (N, size, size, 3)
    """
    side = crops.shape[1]
    if side == size:
        return crops
    edges = np.arange(size + 1) * (side / size)
    pixel = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights = (np.maximum(overlap, 0) * (size / side)).astype(np.float32)
    result = np.empty((len(crops), size, size, 3), np.uint8)
    for start in range(0, len(crops), 256):
        part = crops[start : start + 256].astype(np.float32)
        rows = np.matmul(weights, part.reshape(len(part), side, -1))
        rows = rows.reshape(len(part), size, side, 3)
        result[start : start + 256] = np.rint(np.matmul(weights, rows)).astype(np.uint8)
    return result


def write_resized(faces: FaceSet, out: np.ndarray) -> None:
    """Put the crops of all faces, at the side of `out`, into `out`: uint8 (N, size, size, 3)."""
    for start in range(0, len(faces), 1024):
        rows = slice(start, start + 1024)
        out[rows] = resized(faces.gather(rows), out.shape[1])


def as_images(crops: np.ndarray, device: torch.device) -> Tensor:
    """Crops as the network takes them: float (B, 3, S, S) from 0 to 1, channels last."""
    # Copied: torch refuses to look at memory that it may not write, as a memory map's.
    images = (
        torch.tensor(np.ascontiguousarray(crops)).to(device, non_blocking=True).permute(0, 3, 1, 2)
    )
    return images.to(torch.float32).div_(255)


def pick_device(device: str) -> torch.device:
    """ "auto" is CUDA, else Apple's MPS, else the CPU."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class TimmEmbedder:
    """A trained embedder.

    Attributes
    ----------
    network
        The `Network`, in evaluation mode.
    recipe
        The recipe it was trained with, as plain values.
    card
        Who was in its training data, how long it took, what made it.
    history
        DataFrame of the training: step, epoch, loss, lr, seconds.
    validation
        DataFrame of the looks at held-out subjects while it trained (step, group, fmr, fnmr ...),
        or None.
    name, dim, size
        What it is called; length of an embedding; side of its input in pixels.
    """

    def __init__(
        self,
        network: Network,
        recipe: dict[str, Any],
        card: dict[str, Any],
        history: pd.DataFrame,
        name: str,
        validation: pd.DataFrame | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe
        self.card = card
        self.history = history
        self.validation = validation
        self.name = name
        self.dim = recipe["dim"]
        self.size = recipe["size"]

    def __repr__(self) -> str:
        return (
            f"TimmEmbedder {self.name!r}: {self.recipe['backbone']}, {self.size} px, {self.dim}-d"
        )

    def identity(self) -> str:
        """The SHA-256 of the recipe and the weights: what decides its embeddings."""
        told = hashlib.sha256(files.as_json(self.recipe).encode())
        for name, weights in sorted(self.network.state_dict().items()):
            told.update(name.encode())
            told.update(weights.cpu().contiguous().numpy().tobytes())
        return told.hexdigest()

    def embed(
        self,
        faces: FaceSet,
        flip: bool = True,
        batch: int = 256,
        jobs: int | None = None,
        progress: bool = True,
    ) -> Embeddings:
        """Embed every face.

        Parameters
        ----------
        faces
            A FaceSet; crops of another size are area-averaged.
        flip
            Add the mirror image's embedding before normalising.
        batch
            Faces at a time.
        jobs
            Batches worked on side by side on a CPU, one thread each; None is one a core. The
            result does not depend on it.
        progress
            Show a bar.

        Returns
        -------
        Embeddings
            float32 (len(faces), dim), rows of length 1, with the faces' table.

        Raises
        ------
        BadInput
            An embedding is not finite; the message names the image.
        """
        device = next(self.network.parameters()).device
        vectors = np.empty((len(faces), self.dim), np.float32)

        def one(start: int) -> None:
            crops = resized(faces.gather(slice(start, start + batch)), self.size)
            with torch.inference_mode():
                images = as_images(crops, device)
                found = self.network(images)
                if flip:
                    found = found + self.network(images.flip(3))
                vectors[start : start + batch] = found.cpu().numpy()

        starts = range(0, len(faces), batch)
        shown = bar(total=len(faces), desc=f"embed with {self.name}", unit="face", show=progress)
        with shown:
            if device.type == "cpu":
                for start, _ in zip(starts, _in_threads(one, starts, jobs), strict=True):
                    shown.update(min(batch, len(faces) - start))
            else:
                for start in starts:
                    one(start)
                    shown.update(min(batch, len(faces) - start))
        return Embeddings.from_arrays(
            vectors, faces.table, embedder=self.name, flip=flip, faces=facts(faces.card)
        )

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as `model.safetensors`, `embedder.json`, `history.csv` and `validation.csv`."""
        with files.write_folder(folder, replace) as aside:
            state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
            save_file(state, aside / "model.safetensors")
            self.history.to_csv(aside / "history.csv", index=False)
            if self.validation is not None:
                self.validation.to_csv(aside / "validation.csv", index=False)
            about = {
                "kind": "timm",
                "name": self.name,
                "facelab": facelab.__version__,
                "input": {"size": self.size, "colour": "RGB", "mean": 0.5, "std": 0.5},
                "recipe": self.recipe,
                # The recipe's may be a name on the hub: this one builds without asking there.
                "built": self.network.built,
                "card": self.card,
                "sha256": files.sha256(aside / "model.safetensors"),
            }
            files.write_json(aside / "embedder.json", about)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "TimmEmbedder":
        """Open a saved embedder; it embeds bit by bit as it did when it was saved.

        Raises
        ------
        FileNotFoundError
            `embedder.json`, `model.safetensors` or `history.csv` is not there.
        BadInput
            A file is damaged, or they do not belong together.
        """
        folder = Path(folder)
        for name in ("embedder.json", "model.safetensors", "history.csv"):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder} is not a trained embedder: {name} is missing")
        try:
            about = json.loads((folder / "embedder.json").read_text(encoding="utf-8"))
            built = about.get("built", {})
            network = network_of({**about["recipe"], **built}, pretrained=False)
            network.load_state_dict(load_file(folder / "model.safetensors"))
            history = pd.read_csv(folder / "history.csv")
            looks = folder / "validation.csv"
            validation = pd.read_csv(looks) if looks.is_file() else None
        except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise BadInput(f"{folder} cannot be read as a trained embedder: {error}") from error
        if about["recipe"]["channels_last"]:
            network = network.to(memory_format=torch.channels_last)
        network = network.to(pick_device(device))
        return cls(network, about["recipe"], about["card"], history, about["name"], validation)


def _in_threads(work: Any, items: range, jobs: int | None) -> Any:
    """Results of `work` in order, worked out by `jobs` threads that use one core each."""
    # torch lets go of the interpreter while it computes. Two OpenMP teams on the same two cores
    # would wait for each other by spinning, so every thread keeps to itself.
    before = torch.get_num_threads()
    jobs = jobs or joblib.cpu_count()
    try:
        with ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, items)
    finally:
        torch.set_num_threads(before)
