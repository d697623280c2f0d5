"""Weights of a backbone: read from a file or fetched, and what goes wrong in one sentence.

In: a path or a name. Out: a state dictionary, or an error that says what to do.
"""

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from facelab import files
from facelab.embedders.tensors import as_bytes
from facelab.errors import BadInput, FacelabError

# Options that say where weights come from, not what the network is.
_WEIGHTS = (
    "pretrained",
    "checkpoint_path",
    "cache_dir",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
)


_INDEX = ".index.json"  # names the shards of a checkpoint that was saved in several files
_IN_FOLDER = ("model.safetensors", f"model.safetensors{_INDEX}", "pytorch_model.bin", "model.pt")


def without_weights(options: dict[str, Any]) -> dict[str, Any]:
    """Options for `timm.create_model` less those that only say where weights come from."""
    return {key: value for key, value in options.items() if key not in _WEIGHTS}


def digest_of(network: nn.Module) -> str:
    """The SHA-256 of a network's weights, their names, kinds and shapes."""
    told = hashlib.sha256()
    for name, weights in sorted(network.state_dict().items()):
        told.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode() + as_bytes(weights))
    return told.hexdigest()


def brief(error: BaseException) -> str:
    """An error's message as a part of a sentence."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:200] + " ..."


def state_in(path: str, asked: str = "checkpoint_path") -> dict[str, Tensor]:
    """The weights in a file, or in a folder's, by their names there; nothing else is unpickled.

    Raises
    ------
    BadInput
        There is no such file, or it holds no weights; the sentence begins with `asked`.
    """
    from timm.models import load_state_dict

    file = Path(path)
    in_folder = (file / name for name in _IN_FOLDER)
    file = next((found for found in in_folder if found.is_file()), file)
    if not file.is_file():
        raise BadInput(f"{asked}: there is no file {file}")
    try:
        state = {}
        for part in _shards(file):
            state |= load_state_dict(str(part), weights_only=True)
        # arcface_torch keeps the network beside its head and its optimiser.
        state = dict(state.get("state_dict_backbone", state))
        state = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        if not state:
            raise ValueError("no tensors")
    except (
        *(OSError, RuntimeError, ValueError, KeyError, EOFError, TypeError, AttributeError),
        MemoryError,
        *(SafetensorError, pickle.UnpicklingError),
    ) as error:
        raise BadInput(
            f"{asked}: {file} is damaged or holds no weights that PyTorch or safetensors can read "
            f"({type(error).__name__}): give another file"
        ) from error
    return state


def weights_in(path: str, classifier: str | tuple[str, ...] | None) -> dict[str, Tensor]:
    """The weights in a file, less the classifier's; of a trained embedder, its backbone's."""
    state = state_in(path)
    names = list(state)
    if any(name.startswith("backbone.") for name in names):
        return {
            name.removeprefix("backbone."): state[name]
            for name in names
            if name.startswith("backbone.")
        }
    classifier = (classifier,) if isinstance(classifier, str) else classifier or ()
    dropped = tuple(f"{layer}." for layer in classifier)
    return {name: state[name] for name in names if not name.startswith(dropped)}


def _shards(file: Path) -> list[Path]:
    """The files of a checkpoint: those that an index names, or the one itself."""
    if not file.name.endswith(_INDEX):
        return [file]
    return sorted(file.parent / name for name in {*files.read_values(file)["weight_map"].values()})


@contextmanager
def explained(
    name: str, options: dict[str, Any], checkpoint: str | None = None, fetches: bool = False
) -> Iterator[None]:
    """What goes wrong while a model is made, in one sentence."""
    fetches = not checkpoint and (fetches or bool(options.get("pretrained")))
    try:
        with _no_long_wait() if fetches else nullcontext():
            yield
    except BadInput:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        if checkpoint:
            raise BadInput(
                f"checkpoint_path: {checkpoint} does not fit {name} ({brief(error)}): give the "
                "backbone it was made for, with the same backbone_options"
            ) from error
        said = without_weights(options)
        raise BadInput(f"timm cannot build {name} with {said}: {brief(error)}") from error
    except Exception as error:
        # The hub's client has changed what its errors derive from; some are no OSError.
        if not fetches:
            raise
        raise FacelabError(
            f"the pretrained weights of {name} could not be fetched ({brief(error)}): give "
            "`checkpoint_path` in backbone_options, or train from scratch"
        ) from error


@contextmanager
def _no_long_wait() -> Iterator[None]:
    """Use the hub's cache alone where one request of at most 5 seconds does not reach the hub.

    Its client would ask six times for each file, over 23 seconds.
    """
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE
    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:
        # Errors of requests, httpx or httpx2, by the client's version: any of them says that the
        # hub is out of reach. What the cache lacks is then told by the client itself.
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
