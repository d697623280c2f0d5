"""A timm model by its name, with weights from the hub, a file, or none; ours are among them.

In: a name and options. Out: the model, without its classifier.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facelab.embedders.weights import digest_of, explained, weights_in, without_weights
from facelab.errors import BadInput


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
        hint = f"; it has, among others: {', '.join(near)}" if near else ""
        raise BadInput(f"timm has no model {architecture!r}{hint}")
    with explained(name, options, checkpoint):
        about = options.get("pretrained_cfg") or timm.get_pretrained_cfg(architecture).to_dict()
        if about.get("fixed_input_size") and not options.get("dynamic_img_size"):
            options.setdefault("img_size", size)
        if checkpoint:
            # Of no classes, as the model: so that timm holds every weight against the model's.
            options["pretrained_cfg_overlay"] = {
                "state_dict": weights_in(checkpoint, about.get("classifier")),
                **{"source": None, "custom_load": False, "num_classes": 0, "label_offset": 0},
            }
            options["pretrained"] = True
        backbone = timm.create_model(architecture, num_classes=0, **options)
    backbone.pretrained_cfg.pop("state_dict", None)
    return backbone, {"backbone": architecture, "backbone_options": without_weights(options)}


def given_weights(name: str, options: dict[str, Any], size: int) -> str | None:
    """The SHA-256 of the weights that a backbone comes with, whatever path or name leads to them.

    None where it comes with none.
    """
    if ":" not in name and not options.get("pretrained") and not options.get("checkpoint_path"):
        return None
    with torch.random.fork_rng(devices=[]):  # layers are filled with random numbers first
        return digest_of(create(name, options, size)[0])


def _described(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The architecture and options of a model that a `config.json` describes."""
    from timm.models import load_model_config_from_hf, parse_model_name
    from timm.models._hub import load_model_config_from_path

    with explained(name, options, fetches=True):
        source, where = parse_model_name(name)
        if source == "local-dir" and not Path(where, "config.json").is_file():
            raise BadInput(f"backbone {name!r}: there is no file {Path(where, 'config.json')}")
        read = load_model_config_from_hf if source == "hf-hub" else load_model_config_from_path
        about, architecture, saved = read(where)
    # Its own size gives way to the recipe's.
    saved = {key: value for key, value in saved.items() if key != "img_size"}
    return architecture, {**saved, **options, "pretrained_cfg": about}
