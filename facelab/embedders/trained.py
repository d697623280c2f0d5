"""Our own embedders: a trained network with its recipe, card and history.

In: what `train` made, or the folder it was saved to. Out: `Embeddings`; on disk
`model.safetensors`, `embedder.json`, `history.csv` and, where training watched held-out subjects,
`validation.csv`, and where it had centres, `centres.safetensors`.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from torch import Tensor, nn

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
    HALVES,
    as_bytes,
    as_images,
    computes_bf16,
    computes_on,
    pick_device,
    resized,
)
from facelab.errors import BadInput, check_option, warn
from facelab.faces.cells import as_csv, as_numbers, from_csv
from facelab.faces.faceset import FaceSet
from facelab.faces.presenting import presented
from facelab.words import checked

_CENTRES = "centres.safetensors"


@dataclass
class _Saved:
    """What of `embedder.json` opens an embedder again."""

    name: str
    recipe: dict[str, Any]
    card: dict[str, Any]
    built: dict[str, Any] = field(default_factory=dict)


class Centres(NamedTuple):
    """A training head's centres.

    Attributes
    ----------
    subjects
        uint8 (subjects, 32): the SHA-256 of each subject's name, which says whether another set has
        the same subjects and names nobody.
    weight
        float32 (subjects, dim), or (subjects, k, dim) of a head with k centres a subject.
    """

    subjects: Tensor
    weight: Tensor


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
    device, precision
        Where it computes and in what: "fp32", or by autocast "bf16" or "fp16".
    history
        DataFrame of the training: step, epoch, loss, lr, seconds.
    validation
        DataFrame of the looks at held-out subjects while it trained (step, group, fmr, fnmr ...),
        or None.
    centres
        The `Centres` that its training ended with, or None.
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
        centres: Centres | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe
        self.card = card
        self.history = history
        self.validation = validation
        self.centres = centres
        self.name = name
        self.dim = recipe["dim"]
        self.size = recipe["size"]
        self.precision = "fp32"

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
        # Where a start lay is no part of what was made of it; its mean and std are.
        recipe = {name: value for name, value in self.recipe.items() if name != "start"}
        recipe |= {
            key: self.network.built[key] for key in ("mean", "std") if key in self.network.built
        }
        told = hashlib.sha256(files.as_json(recipe).encode())
        for name, weights in sorted(self.network.state_dict().items()):
            told.update(name.encode() + as_bytes(weights))
        return told.hexdigest()

    def computed(self) -> list[Any]:
        """What else decides the last digits here: the layers as they are, and the device."""
        return [self.network.built, str(self.network), computes_on(self.device), self.precision]

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def to(self, device: str = "auto", precision: str = "fp32") -> "TrainedEmbedder":
        """Compute on another device, or in another precision, from now on.

        Parameters
        ----------
        device
            "auto" (CUDA, MPS, else CPU) or a torch device.
        precision
            "fp32", in which all published figures are; "bf16" or "fp16", by autocast: layers that
            multiply compute in it, the weights stay as they are; or "auto": bf16 where the device
            has instructions for it, else fp32. A vector's cosine with that of fp32 is 0.9999 and
            more, its scores move by some thousandths: an audit is of one precision.

        Returns
        -------
        TrainedEmbedder
            This one.

        Raises
        ------
        BadInput
            There is no such device or precision, or the device does not compute in it.
        """
        where = pick_device(device)
        check_option("precision", precision, ("auto", "fp32", "bf16", "fp16"))
        if precision == "auto":
            precision = "bf16" if computes_bf16(where) else "fp32"
        if precision == "fp16" and where.type == "cpu":
            raise BadInput("precision fp16 needs a GPU, and this is the CPU: take bf16 or fp32")
        self.network, self.precision = self.network.to(where), precision
        return self

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
        on_cpu = self.device.type == "cpu"
        with _one_thread_each() if on_cpu else nullcontext():
            return embed_batches(
                self._run, faces, self.dim, name=self.name, flip=flip, batch=batch, jobs=jobs,
                workers="threads" if on_cpu else None, progress=progress,
                device=self.device.type, precision=self.precision,
            )  # fmt: skip

    def _run(self, crops: np.ndarray) -> np.ndarray:
        """Raw outputs (n, D) of uint8 crops (n, S, S, 3)."""
        half = HALVES.get(self.precision)
        # Without a cache of cast weights: threads would share it.
        autocast = torch.autocast(
            self.device.type, half, enabled=half is not None, cache_enabled=False
        )
        with torch.inference_mode(), autocast:
            found = self.network(as_images(resized(crops, self.size), self.device))
        return found.float().cpu().numpy()

    def to_onnx(
        self,
        path: str | Path,
        *,
        int8: FaceSet | None = None,
        opset: int | None = None,
        replace: bool = False,
    ) -> Path:
        """Write the network as an ONNX file, and `model.json` beside it, which says how to use it.

        `fl.load_embedder(path)` opens it without options; crops of another size are area-averaged
        there as here. Before the file has its name it is run beside this network on noise.

        Parameters
        ----------
        path
            `model.onnx`. Input `images`, float32 (faces, 3, size, size), RGB from 0 to 1; output
            `embeddings`, float32 (faces, dim), not yet of length 1.
        int8
            Some hundred faces, none of the test, over which the range of every layer's numbers is
            measured; then weights and layers are rounded to 8 bits (onnxruntime's static
            quantisation). Whose errors that changes, `fl.compare_embedders` says. None: float32.
        opset
            Of ONNX; None is the exporter's.
        replace
            Put them in the place of files that are there.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        MissingExtra
            The `onnx` extra is not installed.
        BadInput
            The name does not end in .onnx, something is there, or torch cannot export the network.
        FacelabError
            The file gives other vectors than the network: a cosine below 0.99999.
        """
        from facelab.embedders.exporting import write_onnx

        return write_onnx(self, Path(path), int8, opset, replace)

    def to_torch_export(self, path: str | Path, *, replace: bool = False) -> Path:
        """Write the network as `torch.export` does, to be run by torch without facelab.

        `torch.export.load(path).module()` takes float32 (faces, 3, size, size), RGB from 0 to 1,
        and gives float32 (faces, dim), not yet of length 1, for any number of faces.

        Parameters
        ----------
        path
            `model.pt2`.
        replace
            Put it in the place of a file that is there.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        BadInput, FacelabError
            As of `to_onnx`.
        """
        from facelab.embedders.exporting import write_torch_export

        return write_torch_export(self, Path(path), replace)

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as `model.safetensors`, `embedder.json`, `history.csv` and what else there is."""
        with files.write_folder(folder, replace, EMBEDDER) as aside:
            state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
            safetensors.torch.save_file(state, aside / "model.safetensors")
            files.write_text(aside / "history.csv", as_csv(self.history))
            if self.validation is not None:
                files.write_text(aside / "validation.csv", as_csv(self.validation))
            if self.centres is not None:
                kept = {name: part.contiguous() for name, part in self.centres._asdict().items()}
                safetensors.torch.save_file(kept, aside / _CENTRES)
            about = {
                "kind": "timm",
                "name": self.name,
                "facelab": facelab.__version__,
                "input": {
                    **{"size": self.size, "colour": "RGB"},
                    **{name: _short(getattr(self.network, name)) for name in ("mean", "std")},
                },
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
        """Open a saved embedder; on the same device it embeds bit by bit as when it was saved.

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
            stored.check("model.safetensors", "history.csv", _CENTRES)
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
            centres = _read_centres(stored.read(_CENTRES)) if stored.holds(_CENTRES) else None
            if saved.recipe["channels_last"]:
                network = network.to(memory_format=torch.channels_last)
        network = network.to(where)
        return cls(network, saved.recipe, saved.card, history, saved.name, validation, centres)


def _check_backbone(own: dict[str, Any] | None, backbone: Any, size: int) -> None:
    """The backbone given is the one that was trained, as far as names and sources tell."""
    if own is None and backbone is None:
        return
    if own is None:
        raise BadInput("its backbone has a name: leave `backbone` out")
    if backbone is None:
        raise BadInput(
            f"its backbone was somebody's own, {own['name']}, which is not saved with the weights: "
            "give it, as in backbone=MyNetwork"
        )
    given = own_backbone(backbone, size)[1]
    # A process that was sent a notebook's class has no source of it.
    known = [key for key in ("name", "source") if own[key] and given[key]]
    was, now = ({key: one[key] for key in known} for one in (own, given))
    if different := files.difference(was, now):
        warn(
            f"the backbone given differs from the one that was trained, {own['name']}, in "
            f"{different}: it may embed otherwise"
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


def _short(three: list[float]) -> float | list[float]:
    """One number where all colours have the same."""
    return three[0] if len(set(three)) == 1 else three


def _read_centres(data: bytes) -> Centres:
    try:
        held = safetensors.torch.load(data)
        found = Centres(**held)
        whole = found.subjects.shape == (len(found.weight), 32) and found.weight.ndim > 1
    except (TypeError, SafetensorError) as error:
        raise ValueError(f"{_CENTRES} holds other things") from error
    if not whole or found.subjects.dtype != torch.uint8 or found.weight.dtype != torch.float32:
        raise ValueError(f"{_CENTRES} holds other things")
    return found


def _read_looks(data: bytes) -> pd.DataFrame:
    """The stored validation table; groups may be called NA, 007 or 1.0, and stay called so."""
    looks = from_csv(data)
    numbers = looks.columns.drop(["group", "note"], errors="ignore")
    return looks.assign(**looks[numbers].apply(as_numbers))
