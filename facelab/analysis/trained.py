"""Analysers of one's own: a trained network, the head that says labels, how it came about.

In: what `train_analyser` made, or the folder it was saved to. Out: predictions; on disk
`analyser.json`, `head.safetensors` and, in `embedder/`, the network as any embedder is stored.
"""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

import facelab
from facelab import files, sums
from facelab.analysis.outputs import Output, as_output
from facelab.analysis.predicting import Analyser
from facelab.arguments import as_annotated
from facelab.artefacts import ANALYSER
from facelab.embedders.exporting import Whole, write_onnx
from facelab.embedders.tensors import as_bytes, resized
from facelab.embedders.trained import TrainedEmbedder
from facelab.training.answering import CARD, HEAD, NETWORK, open_answering
from facelab.training.targets import LabelHead


@dataclass(frozen=True)
class Learnt:
    """What an analyser has learnt to say.

    Attributes
    ----------
    column
        Of the table that it was trained on; it names the predictions.
    kind
        "softmax", "ordinal" or "expected".
    labels
        In their order.
    """

    column: str
    kind: str
    labels: list[str]

    def output(self) -> dict[str, Any]:
        """As outputs of analysers are stated: chances of labels, or of numbers."""
        kind = "expected" if self.kind == "expected" else "softmax"
        return {"what": self.column, "kind": kind, "labels": list(self.labels)}


class _Net:
    """A network and its head, as `Analyser` runs nets."""

    def __init__(self, embedder: TrainedEmbedder, head: LabelHead, learnt: Learnt) -> None:
        self.embedder, self.head = embedder, head
        told = learnt.output()
        self.outputs = (Output("chances", told["what"], told["kind"], tuple(told["labels"])),)
        sum_of = hashlib.sha256(embedder.identity().encode())
        for name, weights in sorted(head.state_dict().items()):
            sum_of.update(name.encode() + as_bytes(weights))
        self.sha256 = sum_of.hexdigest()

    def run(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of predictions and scores of uint8 crops (n, S, S, 3)."""
        found = self.embedder._run(resized(crops, self.embedder.size))
        with torch.inference_mode():
            chances = self.head(torch.from_numpy(found)).numpy()
        return self.outputs[0].read(chances, len(crops), self.embedder.name)


@as_annotated
class TrainedAnalyser(Analyser):
    """An analyser that `train_analyser` made; it predicts as every `Analyser` does.

    Attributes
    ----------
    learnt
        Column, kind and labels.
    embedder
        The network before its last layer, as an embedder. `fl.Recipe(start=...)` goes on from the
        folder of the analyser, its last layer included where the same labels are learnt.
    card, history, recipe, validation
        Who was in the training data, how long it took; loss by step; how it was trained; errors by
        group at each look at held-out people, or None.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 2, size=32)
    >>> recipe = fl.Recipe(steps=2, size=32, dim=64)
    >>> analyser = fl.train_analyser(faces, "gender", recipe, progress=False)
    >>> analyser.learnt.labels, list(analyser.history.columns)[:3]
    (['female', 'male'], ['step', 'epoch', 'loss'])
    """

    def __init__(self, embedder: TrainedEmbedder, head: nn.Module, learnt: Learnt) -> None:
        head = copy.deepcopy(head).cpu().float().eval().requires_grad_(False)
        about = {"source": f"trained on {embedder.card.get('faces', {}).get('name', 'faces')}"}
        super().__init__(embedder.name, [_Net(embedder, head, learnt)], about)
        self.embedder, self.learnt, self._head = embedder, learnt, head

    card = property(lambda self: self.embedder.card)
    history = property(lambda self: self.embedder.history)
    recipe = property(lambda self: self.embedder.recipe)
    validation = property(lambda self: self.embedder.validation)

    def to(self, device: str = "auto", precision: str = "fp32") -> "TrainedAnalyser":
        """Compute on another device, or in another precision, from now on; as embedders do."""
        self.embedder.to(device, precision)
        return self

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as `analyser.json`, `head.safetensors` and the network in `embedder/`."""
        with files.write_folder(folder, replace, ANALYSER) as aside:
            self.embedder.save(aside / NETWORK)
            state = {name: value.contiguous() for name, value in self._head.state_dict().items()}
            safetensors.torch.save_file(state, aside / HEAD)
            about = {
                "name": self.name,
                "facelab": facelab.__version__,
                **{name: getattr(self.learnt, name) for name in ("column", "kind", "labels")},
                "embedder": self.embedder.identity(),
                "card": self.card,
            }
            sums.write_card(aside, CARD, about)
        return Path(folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str = "cpu",
        backbone: nn.Module | Callable[[], nn.Module] | None = None,
    ) -> "TrainedAnalyser":
        """Open a saved analyser; on the same device it says bit by bit what it said.

        A `backbone` of one's own is given as to `TrainedEmbedder.load`.

        Raises
        ------
        FileNotFoundError
            A file is not there.
        BadInput
            A file is damaged, or they do not belong together.
        """
        embedder, head, saved = open_answering(folder, device, backbone)
        return cls(embedder, head, Learnt(saved.column, saved.kind, saved.labels))

    def to_onnx(self, path: str | Path, *, opset: int | None = None, replace: bool = False) -> Path:
        """Write network and head as one ONNX file, and beside it a .json that says how to run it.

        `fl.analyser(path)` opens it without options; crops of another size are area-averaged there
        as here. Before the file has its name it is run beside this network on noise.

        Parameters
        ----------
        path
            `model.onnx`. Input `images`, float32 (faces, 3, size, size), RGB from 0 to 1; output
            `chances`, float32 (faces, labels).
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
            The file gives other chances than the network.
        """
        told = {"output": "chances", **self.learnt.output()}
        as_output(told, ["chances"], self.name)
        whole = nn.Sequential(copy.deepcopy(self.embedder.network), copy.deepcopy(self._head))
        facts = {"outputs": [told], "analyser": self.about["sha256"][0]}
        return write_onnx(
            self.embedder, Path(path), None, opset, replace, Whole(whole, "chances", facts)
        )
