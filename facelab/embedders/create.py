"""A timm model by its name, with weights from the hub, a file, or none.

In: a name and options. Out: the model, without its classifier.
"""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from facelab.errors import BadInput, FacelabError

# Options that say where weights come from, not what the network is.
_WEIGHTS = (
    "pretrained",
    "checkpoint_path",
    "cache_dir",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
)


def create(name: str, options: dict[str, Any], size: int) -> tuple[nn.Module, dict[str, Any]]:
    """A backbone for images of a size, and what builds the same again without its weights.

    Parameters
    ----------
    name
        As timm names its models; "hf-hub:owner/name" and "local-dir:folder" come with their
        weights.
    options
        Keyword arguments for `timm.create_model`. `checkpoint_path` is a file of timm's or
        PyTorch's, or a trained embedder's folder, and must fit to the last weight.
    size
        Side of the images in pixels, for models that must know it.

    Returns
    -------
    model, {"backbone": name, "backbone_options": options}

    Raises
    ------
    BadInput
        There is no such model, it does not take these options, or the checkpoint does not fit.
    FacelabError
        Weights could not be fetched.
    """
    import timm

    # They enter themselves among timm's models.
    import facelab.embedders.iresnet
    import facelab.embedders.mobilefacenet  # noqa: F401

    options = dict(options)
    checkpoint = options.pop("checkpoint_path", None)
    architecture = name
    if ":" in name:
        options.setdefault("pretrained", not checkpoint)
        architecture, options = _described(name, options)
    if not timm.is_model(architecture):
        family = re.split(r"[_\d]", architecture)[0]
        near = timm.list_models(f"*{architecture.split('_')[0]}*")[:5]
        near = near or (timm.list_models(f"{family}*")[:5] if family else [])
        hint = f"; there are: {', '.join(near)}" if near else ""
        raise BadInput(f"timm has no model {architecture!r}{hint}")
    with _explained(name, options, checkpoint):
        about = options.get("pretrained_cfg") or timm.get_pretrained_cfg(architecture).to_dict()
        if about.get("fixed_input_size") and not options.get("dynamic_img_size"):
            options.setdefault("img_size", size)
        if checkpoint:
            # Of no classes, as the model: so that timm holds every weight against the model's.
            options["pretrained_cfg_overlay"] = {
                "state_dict": _weights(checkpoint, about.get("classifier")),
                **{"source": None, "custom_load": False, "num_classes": 0, "label_offset": 0},
            }
            options["pretrained"] = True
        backbone = timm.create_model(architecture, num_classes=0, **options)
    backbone.pretrained_cfg.pop("state_dict", None)
    return backbone, {"backbone": architecture, "backbone_options": without_weights(options)}


def without_weights(options: dict[str, Any]) -> dict[str, Any]:
    """Options for `timm.create_model` less those that only say where weights come from."""
    return {key: value for key, value in options.items() if key not in _WEIGHTS}


def brief(error: BaseException) -> str:
    """An error's message as a part of a sentence."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:200] + " ..."


def _described(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The architecture and options of a model that a `config.json` describes."""
    from timm.models import load_model_config_from_hf, parse_model_name
    from timm.models._hub import load_model_config_from_path

    with _explained(name, options, fetches=True):
        source, where = parse_model_name(name)
        if source == "local-dir" and not Path(where, "config.json").is_file():
            raise BadInput(f"backbone {name!r}: there is no file {Path(where, 'config.json')}")
        read = load_model_config_from_hf if source == "hf-hub" else load_model_config_from_path
        about, architecture, saved = read(where)
    # Its own size gives way to the recipe's.
    saved = {key: value for key, value in saved.items() if key != "img_size"}
    return architecture, {**saved, **options, "pretrained_cfg": about}


def _weights(path: str, classifier: str | tuple[str, ...] | None) -> dict[str, Tensor]:
    """The weights in a file, less the classifier's; of a trained embedder, its backbone's."""
    from timm.models import load_state_dict

    file = Path(path)
    if (file / "model.safetensors").is_file():
        file = file / "model.safetensors"
    if not file.is_file():
        raise BadInput(f"checkpoint_path: there is no file {file}")
    try:
        state = load_state_dict(str(file))
        names = list(state)
    except (
        *(OSError, RuntimeError, ValueError, KeyError, EOFError, TypeError, AttributeError),
        *(SafetensorError, pickle.UnpicklingError),
    ) as error:
        raise BadInput(
            f"checkpoint_path: {file} is damaged or holds no weights that PyTorch or safetensors "
            f"can read ({type(error).__name__}): give another file"
        ) from error
    if any(name.startswith("backbone.") for name in names):
        return {
            name.removeprefix("backbone."): state[name]
            for name in names
            if name.startswith("backbone.")
        }
    classifier = (classifier,) if isinstance(classifier, str) else classifier or ()
    dropped = tuple(f"{layer}." for layer in classifier)
    return {name: state[name] for name in names if not name.startswith(dropped)}


@contextmanager
def _explained(
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
