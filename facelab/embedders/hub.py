"""Models of timm and the Hugging Face hub as embedders, without any training of ours.

In: a name, with weights from the hub, its cache or a file. Out: an embedder of the model's pooled
features. Weights learnt on ImageNet tell faces apart poorly: they are a floor to compare with.
"""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from facelab.embedders.backbones import create
from facelab.embedders.function import FunctionEmbedder
from facelab.embedders.tensors import as_images, pick_device
from facelab.embedders.weights import brief
from facelab.errors import BadInput, FacelabError


def hub_embedder(
    source: str,
    *,
    size: int | None = None,
    name: str | None = None,
    device: str = "auto",
    **options: Any,
) -> FunctionEmbedder:
    """A pretrained model's pooled features as embeddings.

    Crops of another side than the model's are resampled (bicubic, antialiased), whole: no centre
    is cut out, for they are faces already. Mean and std are those the weights were trained with.

    Parameters
    ----------
    source
        "timm:resnet18" or any other name of timm's with pretrained weights, "hf-hub:owner/name"
        or "local-dir:folder".
    size
        Side of the model's input; by default the one its weights were trained for.
    name
        What to call it in tables and figures; by default the source.
    device
        "auto" is CUDA, else Apple's MPS, else the CPU.
    options
        For `timm.create_model`; `checkpoint_path` is a file of weights.

    Raises
    ------
    BadInput
        There is no such model, none with pretrained weights, or no such device.
    FacelabError
        The weights could not be fetched and are not in the hub's cache.
    """
    from timm.data import resolve_data_config

    where = pick_device(device)
    architecture = source.removeprefix("timm:")
    given = dict(options)
    if architecture != source and "checkpoint_path" not in options:
        _check_weights(source, architecture)
        given["pretrained"] = True
    try:
        model, _ = create(architecture, given, size)
    except BadInput:
        raise
    except FacelabError as error:
        raise FacelabError(
            f"the weights of {source} could not be fetched ({brief(error.__cause__ or error)}): "
            "run it once where there is a network, or give checkpoint_path, a file of weights"
        ) from error
    config = resolve_data_config({}, model=model)
    features = _Features(
        model.eval().requires_grad_(False).to(where),
        size or config["input_size"][-1],
        config["mean"],
        config["std"],
    )
    about = {"model": {"source": source, "size": features.size}}
    return FunctionEmbedder(features, name or source, None, **about)


def _check_weights(source: str, name: str) -> None:
    """timm's own advice for a model without pretrained weights is to take random ones."""
    import timm

    # They enter themselves among timm's models.
    import facelab.embedders.mobilefacenet  # noqa: F401

    if timm.is_model(name) and not timm.get_pretrained_cfg(name).has_weights:
        raise BadInput(
            f"timm has no pretrained weights of {source}: give checkpoint_path, a file of weights"
        )


class _Features:
    """uint8 crops (n, S, S, 3) to a model's pooled features (n, D)."""

    def __init__(self, model: Any, size: int, mean: tuple, std: tuple) -> None:
        self.model, self.size = model, size
        self.device = next(model.parameters()).device
        self.mean, self.std = (
            torch.tensor(values, device=self.device).view(3, 1, 1) for values in (mean, std)
        )

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images = as_images(crops, self.device)
            if images.shape[-1] != self.size:
                side = (self.size, self.size)
                images = interpolate(images, side, mode="bicubic", antialias=True).clamp(0, 1)
            return self.model((images - self.mean) / self.std).float().cpu().numpy()
