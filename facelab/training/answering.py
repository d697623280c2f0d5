"""A network and the head that says labels or numbers, as they are stored together.

In: the folder of a trained analyser. Out: both, and what they have learnt to say. On disk
`analyser.json`, `head.safetensors` and, in `embedder/`, the network as any embedder is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from facelab import files, sums
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import Damaged
from facelab.training.targets import KINDS, LabelHead
from facelab.words import checked

CARD, HEAD, NETWORK = "analyser.json", "head.safetensors", "embedder"


@dataclass
class Saved:
    """What of `analyser.json` opens an analyser again."""

    name: str
    column: str
    kind: str
    labels: list[str]
    embedder: str
    card: dict[str, Any] = field(default_factory=dict)


class Answering(NamedTuple):
    """The network, its head, and what its card says."""

    embedder: TrainedEmbedder
    head: LabelHead
    saved: Saved


@files.of_one_version
def open_answering(
    folder: str | Path,
    device: str = "cpu",
    backbone: nn.Module | Callable[[], nn.Module] | None = None,
) -> Answering:
    """Open what `TrainedAnalyser.save` wrote, as `TrainedEmbedder.load` opens an embedder.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    BadInput
        A file is damaged, or they do not belong together.
    """
    folder = files.stored(folder)
    with files.reading(folder, "a trained analyser"):
        stored = sums.open_stored(folder, CARD, "trained analyser", (HEAD,))
        saved = checked(Saved, stored.card, "an analyser", CARD)
        if saved.kind not in KINDS or len(saved.labels) < 2:
            raise ValueError(f"{CARD} holds other things")
        embedder = TrainedEmbedder.load(folder / NETWORK, device, backbone)
        if embedder.identity() != saved.embedder:
            raise Damaged(
                f"{folder / NETWORK} is another network than {CARD} was written with: copy "
                "or make the analyser again"
            )
        if (inside := f"{NETWORK}/embedder.json") in stored.sums:
            stored.path(inside)
        head = KINDS[saved.kind](embedder.dim, saved.labels)
        try:
            head.load_state_dict(safetensors.torch.load(stored.read(HEAD)))
        except (RuntimeError, SafetensorError) as error:
            raise ValueError(error) from error
    return Answering(embedder, head, saved)
