"""Our own embedders: a trained network with its recipe, card and history.

In: what `train` made, or the folder it was saved to. Out: `Embeddings`; on disk
`model.safetensors`, `embedder.json`, `history.csv` and, where training watched held-out subjects,
`validation.csv`.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from torch import nn

import facelab
from facelab import files, sums
from facelab.artefacts import EMBEDDER
from facelab.embedders.batches import embed_batches
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import NEXT
from facelab.embedders.network import Network, network_of
from facelab.embedders.own import own_backbone
from facelab.embedders.sources import name_of
from facelab.embedders.tensors import (
    as_bytes,
    as_images,
    computes_on,
    pick_device,
    resized,
)
from facelab.errors import BadInput
from facelab.faces.cells import as_csv, from_csv
from facelab.faces.faceset import FaceSet
from facelab.faces.presenting import presented
from facelab.words import checked


@dataclass
class _Saved:
    """What of `embedder.json` opens an embedder again."""

    name: str
    recipe: dict[str, Any]
    card: dict[str, Any]
    built: dict[str, Any] = field(default_factory=dict)


class TrainedEmbedder:
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

    @property
    def backbone(self) -> str:
        """What it is called: the recipe's, or one's own."""
        return self.network.built.get("own", {}).get("name", self.recipe["backbone"])

    def __repr__(self) -> str:
        return f"TrainedEmbedder {self.name!r}: {self.backbone}, {self.size} px, {self.dim}-d"

    def _repr_html_(self) -> str:
        facts = {
            "network": self.backbone,
            "takes": f"{self.size} px",
            "gives": f"{self.dim} numbers a face",
            "steps of training": len(self.history),
        }
        return presented(f"Trained embedder {self.name}", facts, NEXT)

    def identity(self) -> str:
        """The SHA-256 of the recipe and the weights: the same embedder has it on every machine."""
        told = hashlib.sha256(files.as_json(self.recipe).encode())
        for name, weights in sorted(self.network.state_dict().items()):
            told.update(name.encode() + as_bytes(weights))
        return told.hexdigest()

    def computed(self) -> list[Any]:
        """What else decides the last digits here: the layers as they are, and the device."""
        device = next(self.network.parameters()).device
        return [self.network.built, str(self.network), computes_on(device)]

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
        on_cpu = next(self.network.parameters()).device.type == "cpu"
        with _one_thread_each() if on_cpu else nullcontext():
            return embed_batches(
                self._run, faces, self.dim, name=self.name, flip=flip, batch=batch, jobs=jobs,
                workers="threads" if on_cpu else None, progress=progress,
            )  # fmt: skip

    def _run(self, crops: np.ndarray) -> np.ndarray:
        """Raw outputs (n, D) of uint8 crops (n, S, S, 3)."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            return self.network(as_images(resized(crops, self.size), device)).cpu().numpy()

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as `model.safetensors`, `embedder.json`, `history.csv` and `validation.csv`."""
        with files.write_folder(folder, replace, EMBEDDER) as aside:
            state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
            safetensors.torch.save_file(state, aside / "model.safetensors")
            files.write_text(aside / "history.csv", as_csv(self.history))
            if self.validation is not None:
                files.write_text(aside / "validation.csv", as_csv(self.validation))
            about = {
                "kind": "timm",
                "name": self.name,
                "facelab": facelab.__version__,
                "input": {"size": self.size, "colour": "RGB", "mean": 0.5, "std": 0.5},
                "recipe": self.recipe,
                # The recipe's may be a name on the hub: this one builds without asking there.
                "built": self.network.built,
                "card": self.card,
            }
            sums.write_card(aside, "embedder.json", about)
        return Path(folder)

    @classmethod
    @files.of_one_version
    def load(
        cls,
        folder: str | Path,
        device: str = "cpu",
        backbone: nn.Module | Callable[[], nn.Module] | None = None,
    ) -> "TrainedEmbedder":
        """Open a saved embedder; it embeds bit by bit as it did when it was saved.

        Parameters
        ----------
        folder
            What `save` wrote.
        device
            Where to compute.
        backbone
            The backbone of one's own that it was trained with: a module, whose weights do not
            matter, or what makes one. Of another name or source than it was, it is warned of.

        Raises
        ------
        FileNotFoundError
            `embedder.json`, `model.safetensors` or `history.csv` is not there.
        BadInput
            A file is damaged, or they do not belong together; or the backbone was one's own and is
            not given, or does not hold the weights.
        """
        where = pick_device(device)
        folder = files.stored(folder)
        needed = ("model.safetensors", "history.csv")
        with files.reading(folder, "a trained embedder"):
            stored = sums.open_stored(folder, "embedder.json", "trained embedder", needed)
            stored.check("model.safetensors", "history.csv")
            weights = stored.read("model.safetensors")
            saved = checked(_Saved, stored.card, "an embedder", "embedder.json")
            _check_backbone(saved.built.get("own"), backbone, saved.recipe["size"])
            network = network_of(saved.recipe | saved.built, pretrained=False, backbone=backbone)
            try:
                network.load_state_dict(safetensors.torch.load(weights))
            except (RuntimeError, SafetensorError) as error:
                if backbone is not None:
                    raise BadInput(
                        f"its weights are not those of {name_of(backbone)}: give the backbone as "
                        "it was in training"
                    ) from error
                raise ValueError(error) from error
            history = from_csv(stored.read("history.csv"), encoding="utf-8")
            looks = "validation.csv"
            validation = _read_looks(stored.read(looks)) if stored.holds(looks) else None
            if saved.recipe["channels_last"]:
                network = network.to(memory_format=torch.channels_last)
        network = network.to(where)
        return cls(network, saved.recipe, saved.card, history, saved.name, validation)


def _check_backbone(own: dict[str, Any] | None, backbone: Any, size: int) -> None:
    """The backbone given is the one that was trained, as far as names and sources tell."""
    if own is None and backbone is None:
        return
    if own is None:
        raise BadInput("its backbone has a name: leave `backbone` out")
    if backbone is None:
        raise BadInput(
            f"its backbone was somebody's own, {own['name']}, which is not saved with the weights: "
            "give it, as in fl.load_embedder(folder, backbone=...)"
        )
    given = own_backbone(backbone, size)[1]
    # A process that was sent a notebook's class has no source of it.
    known = [key for key in ("name", "source") if own[key] and given[key]]
    was, now = ({key: one[key] for key in known} for one in (own, given))
    if different := files.difference(was, now):
        warnings.warn(
            f"the backbone given differs from the one that was trained, {own['name']}, in "
            f"{different}: it may embed otherwise",
            stacklevel=5,
        )


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Every thread that starts meanwhile computes on one core."""
    # torch lets go of the interpreter while it computes. Two OpenMP teams on the same two cores
    # would wait for each other by spinning, so every thread keeps to itself.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read_looks(data: bytes) -> pd.DataFrame:
    """The stored validation table; groups may be called NA, 007 or 1.0, and stay called so."""
    looks = from_csv(data)
    numbers = looks.columns.drop(["group", "note"], errors="ignore")
    return looks.assign(**looks[numbers].apply(pd.to_numeric))
