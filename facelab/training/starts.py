"""Starts: training goes on from a network that exists.

In: a recipe that names a start. Out: its weights by our names, its mean and std, its head's
centres; what of them the recipe's network took, for the card. Where the start lies decides nothing:
what is in it does.
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facelab.embedders.backbones import create
from facelab.embedders.converters import converted, not_whole, told_by
from facelab.embedders.network import Network, network_of
from facelab.embedders.tensors import as_bytes
from facelab.embedders.trained import Centres, TrainedEmbedder
from facelab.embedders.weights import state_in
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.training.answering import CARD, open_answering
from facelab.training.examples import Examples
from facelab.training.recipe import Recipe
from facelab.training.targets import LabelHead

# Subjects whose photo is looked at to see whether centres are theirs, and how often it must fit.
_LOOKED_AT, _NEAR = 256, 0.7
_NETWORK = ("backbone", "backbone_options", "stem_stride", "neck", "size", "dim")
_HUBS = ("timm:", "hf-hub:", "local-dir:")


@dataclass(frozen=True)
class Start:
    """What training goes on from.

    Attributes
    ----------
    source, layout
        The folder, file or model that the recipe names; whose names its weights had.
    weights
        Of the recipe's network, by our names: all of them, or the backbone's.
    own
        `mean`, `std` and `affine` of the network.
    centres
        Of its head, or None.
    head
        That says labels, of an analyser; or None.
    left
        Names of weights in a file that belong to no part of the recogniser.
    """

    source: str
    layout: str
    weights: dict[str, Tensor]
    own: dict[str, Any]
    centres: Centres | None = None
    head: LabelHead | None = None
    left: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """The SHA-256 of all that it gives to a training."""
        told = hashlib.sha256(repr(sorted(self.own.items())).encode())
        given = {**self.weights, **(self.centres._asdict() if self.centres else {})}
        if self.head is not None:
            told.update(repr((type(self.head).__name__, self.head.labels)).encode())
            given |= {f"head {name}": value for name, value in self.head.state_dict().items()}
        for name, values in sorted(given.items()):
            told.update(f"{name} {values.dtype} {tuple(values.shape)}".encode() + as_bytes(values))
        return told.hexdigest()


def start_of(recipe: Recipe) -> Start | None:
    """What a recipe goes on from; None where it begins anew. Random numbers stay as they are.

    Raises
    ------
    BadInput
        There is nothing of the kind, it is of another network than the recipe's, or only a part of
        it fits.
    FacelabError
        Weights could not be fetched.
    """
    if recipe.start is None:
        return None
    options = recipe.start_options
    with torch.random.fork_rng(devices=[]):  # layers are filled with random numbers first
        if recipe.start.startswith(_HUBS):
            start = _of_timm(recipe)
        elif (Path(recipe.start) / "embedder.json").is_file():
            start = _of_ours(recipe, TrainedEmbedder.load(recipe.start))
        elif (Path(recipe.start) / CARD).is_file():
            embedder, head, _ = open_answering(recipe.start)
            start = replace(_of_ours(recipe, embedder), head=head)
        else:
            start = _of_file(recipe)
    said = {name: getattr(options, name) for name in ("mean", "std")}
    start.own.update({name: list(value) for name, value in said.items() if value is not None})
    if options.colour == "BGR":
        first = next(n for n, v in start.weights.items() if v.ndim == 4 and v.shape[1] == 3)
        start.weights[first] = start.weights[first].flip(1)
    return start if options.centres else replace(start, centres=None, head=None)


def decided(recipe: Recipe, start: dict[str, Any] | None) -> dict[str, Any]:
    """Everything in a recipe that decides a training; for its start, the `sha256` of what it gives.

    Parameters
    ----------
    start
        What is told `about` it.
    """
    return {**recipe.to_dict(), "start": start and start["sha256"]}


def network_from(recipe: Recipe, start: Start | None) -> Network:
    """The recipe's network, with the start's weights where there is one.

    Raises
    ------
    BadInput
        The recipe asks for what such a network cannot do.
    """
    if start is None:
        return network_of(recipe.to_dict())
    if recipe.mitigate.meta_margins and start.own.get("affine"):
        raise BadInput(
            f"mitigate.meta_margins needs a last norm without scale and shift, and {start.source} "
            "has them: give the margins by group as numbers"
        )
    network = network_of(recipe.to_dict() | start.own, pretrained=False)
    network.load_state_dict(start.weights, strict=False)
    return network


def keeps_centres(recipe: Recipe, faces: FaceSet) -> bool:
    """Whether an embedder keeps its centres, which are templates of whom it was trained on."""
    if recipe.keep_centres is None:
        return bool(faces.card.get("synthetic"))
    return recipe.keep_centres


def take_centres(
    head: nn.Module, network: Network, examples: Examples, start: Start | None, mine: slice
) -> str:
    """Put the start's centres into a head if they are those of exactly these subjects.

    Names alone do not tell: people of two sets may have the same. Where all names are the same, a
    centre must lie nearer to a photo of its own subject than to seven of ten photos of others; with
    other people it is five. `mine` are the subjects whose centres this process holds.

    Returns
    -------
    str
        Whose centres the head has now, for the card.
    """
    centres = start and start.centres
    weight = getattr(head, "weight", None)
    if centres is None or weight is None:
        return "new"
    rows = {bytes(row): place for place, row in enumerate(centres.subjects.numpy())}
    places = [rows.get(bytes(row)) for row in hashed(examples.subjects).numpy()]
    if None in places or len(places) != len(rows):
        return "new: other subjects"
    given = centres.weight[places]
    if given[mine].shape != weight.shape:
        return "new: the head has others"
    if _nearness(network, examples, given) < _NEAR:
        return "new: the names are the same, and the centres do not fit the faces"
    with torch.no_grad():
        weight.copy_(given[mine])
    return "the start's"


def take_head(head: LabelHead, start: Start | None) -> str:
    """Put the start's into a head that says the same labels in the same order, and nothing else.

    Returns
    -------
    str
        Whose head it is now, for the card.
    """
    theirs = start and start.head
    if theirs is None:
        return "new"
    if (type(theirs), theirs.labels) != (type(head), head.labels):
        return "new: other labels"
    head.load_state_dict(theirs.state_dict())
    return "the start's"


def _nearness(network: Network, examples: Examples, centres: Tensor) -> float:
    """How often a photo lies nearer to its subject's centre than a photo of somebody else."""
    firsts = np.unique(examples.labels, return_index=True)[1]
    chosen = np.unique(np.linspace(0, len(firsts) - 1, _LOOKED_AT).astype(int))
    linear = network.embed[0].weight
    network.eval()
    with torch.no_grad():
        images = examples.images(firsts[chosen]).to(linear.device, linear.dtype)
        unit = nn.functional.normalize(network(images).float())
        given = centres[chosen].to(unit).reshape(len(chosen), -1, unit.shape[1])
        cosines = torch.einsum("bd,nkd->bnk", unit, nn.functional.normalize(given, dim=-1)).amax(2)
    network.train()
    own = cosines.diagonal()
    others = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    return float((own[None, :] > cosines)[others].float().mean())


def centres_of(head: nn.Module, subjects: Any) -> Centres | None:
    """A head's centres as an embedder keeps them; None of a head that has none."""
    weight = getattr(head, "weight", None)
    if weight is None:
        return None
    weight = weight.detach().to("cpu", torch.float32, copy=True)
    if across := getattr(head, "across", None):
        weight = across.processes.all_rows(weight, across.cuts)
    return Centres(hashed(subjects), weight)


def hashed(subjects: Any) -> Tensor:
    """uint8 (subjects, 32): the SHA-256 of every name."""
    told = b"".join(hashlib.sha256(str(name).encode()).digest() for name in subjects)
    return torch.frombuffer(bytearray(told), dtype=torch.uint8).view(-1, 32)


def about(start: Start, network: Network, centres: str) -> dict[str, Any]:
    """What of a start was taken, for the embedder's card; `centres` as `take_centres` says it."""
    state = network.state_dict()
    new = [name for name in state if name not in start.weights]
    return {
        "source": start.source,
        "sha256": start.digest(),
        "names": start.layout,
        "taken": len(start.weights),
        "of": len(state),
        "values": sum(value.numel() for value in start.weights.values()),
        "new": sorted({name.split(".")[0] for name in new}),
        "left": start.left[:10],
        "mean": network.mean,
        "std": network.std,
        "centres": centres,
    }


# ---- where they come from


def _of_ours(recipe: Recipe, embedder: TrainedEmbedder) -> Start:
    built = embedder.network.built
    _check_same(recipe, embedder.recipe | built)
    own = {name: built[name] for name in ("mean", "std", "affine") if name in built}
    weights = embedder.network.state_dict()
    return Start(recipe.start, "facelab", weights, own, embedder.centres)


def _of_timm(recipe: Recipe) -> Start:
    name = recipe.start.removeprefix("timm:")
    if name != recipe.start:
        _check_same(recipe, {"backbone": name.split(".")[0]})
        backbone, _ = create(name, {**recipe.backbone_options, "pretrained": True}, recipe.size)
    else:
        backbone, built = create(name, {}, recipe.size)
        _check_same(recipe, built)
    return _of_backbone(recipe, backbone, "timm")


def _of_backbone(recipe: Recipe, backbone: nn.Module, layout: str) -> Start:
    """The weights of a backbone alone; what follows it is new."""
    about = backbone.pretrained_cfg
    own = {name: list(about[name]) for name in ("mean", "std") if about.get(name)}
    weights = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    return Start(recipe.start, layout, weights, own)


def _of_file(recipe: Recipe) -> Start:
    if not Path(recipe.start).exists():
        raise BadInput(
            f"start: there is nothing at {recipe.start}: give a folder that an embedder or "
            "an analyser was saved to, a file of weights, or timm:NAME, hf-hub:OWNER/NAME or "
            "local-dir:FOLDER"
        )
    state = state_in(recipe.start, "start")
    told = told_by(state)
    if told is None:
        return _of_timm_file(recipe, state)
    _check_same(recipe, told.network)
    own = {"affine": True} if told.affine else {}
    # A scale and shift that the recipe alone asks for begin as none.
    asked = recipe.to_dict() | {"lengths": "fixed"} | own
    wanted = network_of(asked, pretrained=False).state_dict()
    weights = converted(told, wanted, recipe.start)
    return Start(recipe.start, told.layout.name, weights, own, left=told.left)


def _of_timm_file(recipe: Recipe, state: dict[str, Tensor]) -> Start:
    """Weights by timm's names, which timm itself fits to the model."""
    options = {**recipe.backbone_options, "checkpoint_path": recipe.start}
    try:
        backbone, _ = create(recipe.backbone, options, recipe.size)
    except BadInput as error:
        plain, _ = create(recipe.backbone, recipe.backbone_options, recipe.size)
        wanted = plain.state_dict()
        missing = [n for n, v in wanted.items() if n not in state or state[n].shape != v.shape]
        rest = [name for name in state if name not in wanted]
        if not missing and not rest:
            raise
        counts = len(wanted) - len(missing), len(wanted)
        raise BadInput(not_whole(recipe.start, "timm", *counts, missing, rest)) from error
    return _of_backbone(recipe, backbone, "timm")


def _check_same(recipe: Recipe, theirs: dict[str, Any]) -> None:
    """Refuse a start of another network than the recipe's, and say what to write."""
    ours = recipe.to_dict()
    theirs = {name: theirs[name] for name in _NETWORK if name in theirs}
    for told in (ours, theirs):
        told["backbone"] = told.get("backbone", ours["backbone"]).split(".")[0]
        # How much is dropped out in training is the recipe's to say; sizes stand for themselves.
        told["backbone_options"] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in told.get("backbone_options", ours["backbone_options"]).items()
            if "drop" not in name and name != "img_size"
        }
    other = [name for name in theirs if theirs[name] != ours[name]]
    if other:
        said, asked = (
            ", ".join(f"{name}: {told[name]}" for name in other) for told in (theirs, ours)
        )
        raise BadInput(
            f"start: {recipe.start} is of another network than the recipe's: write {said} in the "
            f"recipe, which says {asked}, or give another start"
        )
