"""A backbone of one's own, in the place of a named one.

In: any module of torch, or a function that makes one. Out: a module with the methods that `Network`
asks of timm's, once it has shown that it gives a map or a vector an image.
"""

import copy
import functools
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from facelab.embedders.sources import described, name_of
from facelab.embedders.weights import brief
from facelab.errors import BadInput, a_kind

_MAKERS = (type, types.FunctionType, types.MethodType, functools.partial)
_TRIED = 2  # images: with one, nobody could tell the batch from what else has length one


class OwnBackbone(nn.Module):
    """A module that takes images (B, 3, S, S) from -1 to 1 and gives a map (B, C, H, W) or a vector
    (B, D) of each.

    Parameters
    ----------
    module
        Trained as it is; see `made`.
    size
        Side of the images in pixels.
    name
        What messages call it.

    Raises
    ------
    BadInput
        Tried on noise, it fails or gives something else; or it has no parameters.
    """

    def __init__(self, module: nn.Module, size: int, name: str) -> None:
        super().__init__()
        if not any(True for _ in module.parameters()):
            raise BadInput(
                f"the backbone {name} has no parameters: there is nothing to train in it"
            )
        self.module = module
        features = self._tried(size, name)
        self.num_features = features.shape[1]

    def forward_features(self, images: Tensor) -> Tensor:
        """The map or the vector."""
        return self.module(images)

    def forward_head(self, features: Tensor, pre_logits: bool = True) -> Tensor:
        """A map averaged over its places; a vector as it is."""
        return features.mean((2, 3)) if features.ndim == 4 else features

    def _tried(self, size: int, name: str) -> Tensor:
        noise = (
            torch.rand(_TRIED, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        )
        was_training = self.module.training
        try:
            with torch.no_grad():
                found = self.module.eval()(noise)
        except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:
            raise BadInput(
                f"the backbone {name} fails on images {tuple(noise.shape)} ({brief(error)}): it "
                f"must take those of the recipe's size ({size})"
            ) from error
        finally:
            self.module.train(was_training)
        wanted = "give a map (images, channels, height, width) or a vector (images, numbers)"
        if not isinstance(found, Tensor):
            raise BadInput(f"the backbone {name} gives {a_kind(found)}, not a tensor: {wanted}")
        shape = tuple(found.shape)
        if found.ndim not in (2, 4) or shape[0] != _TRIED or not found.numel():
            raise BadInput(f"the backbone {name} gives {shape} for {_TRIED} images: {wanted}")
        if not found.is_floating_point():
            raise BadInput(f"the backbone {name} gives {found.dtype}: {wanted} as floats")
        if not torch.isfinite(found).all():
            raise BadInput(f"the backbone {name} gives numbers that are not finite, for noise")
        return found


def made(part: Any, what: str, *given: Any) -> Any:
    """A part as it is used: a copy of an object, or what a class or function makes.

    So two trainings with the same part begin alike, and the part stays as its owner has it.

    Parameters
    ----------
    part
        A module or other object; or a class or function that makes it.
    what
        What messages call its kind, such as "backbone".
    given
        What a class or function is called with.

    Raises
    ------
    BadInput
        It cannot be copied or made.
    """
    maker = isinstance(part, _MAKERS)
    try:
        return part(*given) if maker else copy.deepcopy(part)
    except (TypeError, RuntimeError, AttributeError) as error:
        how = "made with " + (f"{given}" if given else "no arguments") if maker else "copied"
        raise BadInput(
            f"the {what} {name_of(part)} cannot be {how} ({brief(error)}): give a module, or a "
            "function that makes one"
        ) from error


def own_backbone(
    part: nn.Module | Callable[[], nn.Module], size: int
) -> tuple[OwnBackbone, dict[str, Any]]:
    """A backbone that may be trained, and the words it is known by.

    Raises
    ------
    BadInput
        It is none, or not fit for images of this size.
    """
    module = made(part, "backbone")
    if not isinstance(module, nn.Module):
        raise BadInput(
            f"a backbone is a module of torch, or a function that makes one, not {a_kind(module)}"
        )
    # Told of the module, whether it was given or made.
    about = described(module)
    return OwnBackbone(module.cpu(), size, about["name"]), about
