"""The network that is trained: a timm backbone, a neck, one linear layer.

In: what a recipe says of the network. Out: `Network`, with pretrained weights where they are asked
for.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from facelab.embedders.backbones import create
from facelab.embedders.own import own_backbone
from facelab.embedders.weights import brief, without_weights
from facelab.errors import BadInput

USUAL = [0.5, 0.5, 0.5]  # mean and std that make of 0 to 1 what goes from -1 to 1


class Network(nn.Module):
    """A backbone and its neck: images (B, 3, size, size) from 0 to 1 in, embeddings (B, dim) out.

    Parameters are those of the same names in `facelab.training.Recipe`, but for three. A backbone
    is the name of a timm model, "iresnet18", "iresnet50", "iresnet100" or "mobilefacenet",
    "hf-hub:owner/name" or "local-dir:folder" (both with their weights); or a module of one's own,
    or what makes one, for which there are no options and no `stem_stride`.

    Parameters
    ----------
    mean, std
        What is taken from every colour, and what that is divided by.
    affine
        Whether the last norm has scale and shift, as in some networks of others.

    Attributes
    ----------
    built
        `backbone`, `backbone_options` and what differs from the usual `mean`, `std` and `affine`:
        they build the same network without its weights, and without asking the hub. For a backbone
        of one's own `own`, what it is known by.
    still
        Names of modules that stay in evaluation mode in training: what they know of the batches
        (norms' statistics) is not learnt anew.

    Raises
    ------
    BadInput
        There is no such model, or it cannot take this size, stride, neck or checkpoint.
    FacelabError
        Pretrained weights could not be fetched.
    """

    def __init__(
        self,
        backbone: str | nn.Module | Callable[[], nn.Module],
        backbone_options: dict[str, Any],
        stem_stride: int | None,
        neck: str,
        size: int,
        dim: int,
        *,
        mean: Sequence[float] = USUAL,
        std: Sequence[float] = USUAL,
        affine: bool = False,
    ) -> None:
        super().__init__()
        self.still: list[str] = []
        if isinstance(backbone, str):
            self.backbone, self.built = create(backbone, backbone_options, size)
        else:
            self.backbone, about = own_backbone(backbone, size)
            self.built = {"own": about}
            backbone, stem_stride = about["name"], None
        self.mean, self.std = list(mean), list(std)
        self.built |= {} if self.mean == USUAL else {"mean": self.mean}
        self.built |= {} if self.std == USUAL else {"std": self.std}
        self.built |= {"affine": True} if affine else {}
        own = self.mean != USUAL or self.std != USUAL
        normal = torch.tensor([self.mean, self.std])[..., None, None] if own else None
        self.register_buffer("normal", normal, persistent=False)
        if stem_stride:
            _set_stem_stride(self.backbone, stem_stride, backbone)
        self.neck = neck
        self.layout = "NCHW"
        self.eval()
        features = self._try(backbone, stem_stride, size)
        if neck == "depthwise":
            self.layout = _layout(features, self.backbone.num_features, backbone)
            features = self._map(features)
            channels, side = features.shape[1:3]
            # MobileFaceNet's global depthwise convolution: every channel weighs its own places.
            self.depthwise = nn.Sequential(
                nn.Conv2d(channels, channels, side, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
            ).eval()
        features = self._neck(features)
        if features.ndim != 2:
            raise BadInput(
                f"the neck {neck} makes {features.ndim} dimensions of {backbone}'s map, not one "
                "vector an image: leave global_pool out of backbone_options"
            )
        self._freeze_unused(features)
        self.train()
        # Without scale and shift the mean square of lengths is held at dim: margins on the sphere
        # want that, heads that reward length cannot do with it.
        self.embed = nn.Sequential(
            nn.Linear(features.shape[1], dim, bias=False), nn.BatchNorm1d(dim, affine=affine)
        )

    def train(self, mode: bool = True) -> "Network":
        """Training mode, but for what is to stay still."""
        super().train(mode)
        for name in self.still:
            self.get_submodule(name).eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone.forward_features(self._normal(images))
        if self.neck == "depthwise":
            features = self._map(features)
        return self.embed(self._neck(features))

    def _normal(self, images: Tensor) -> Tensor:
        if self.normal is None:
            return images * 2 - 1
        return (images - self.normal[0]) / self.normal[1]

    def _map(self, features: Tensor) -> Tensor:
        """The backbone's last map as (B, channels, side, side)."""
        if self.layout == "NHWC":
            return features.permute(0, 3, 1, 2)
        if self.layout == "tokens":
            # What comes before the places are class tokens and the like.
            side = math.isqrt(features.shape[1])
            places = features[:, features.shape[1] - side * side :]
            return places.transpose(1, 2).unflatten(2, (side, side))
        return features

    def _neck(self, features: Tensor) -> Tensor:
        if self.neck == "flatten":
            return features.flatten(1)
        if self.neck == "depthwise":
            return self.depthwise(features).flatten(1)
        return self.backbone.forward_head(features, pre_logits=True)

    def _try(self, name: str, stem_stride: int | None, size: int) -> Tensor:
        """The backbone's last map of a black image."""
        try:
            features = self.backbone.forward_features(torch.zeros(1, 3, size, size))
        except (RuntimeError, AssertionError, ValueError) as error:
            stem = f" with a stem_stride of {stem_stride}" if stem_stride else ""
            remedy = "leave stem_stride out or " if stem_stride else ""
            raise BadInput(
                f"{name} cannot take images of {size} px{stem} ({brief(error)}): {remedy}choose "
                "another size; every family takes its own (often 224), most any multiple of 32"
            ) from error
        if not isinstance(features, Tensor):
            raise BadInput(
                f"{name} ends in several maps, and a neck works on one: choose another backbone"
            )
        return features

    def _freeze_unused(self, features: Tensor) -> None:
        """Take from training what the features do not depend on: DDP would wait for its gradient.

        Such as the last layer of MobileNetV3 and its like, which belongs to their pooling.
        """
        parameters = [p for p in self.parameters() if p.requires_grad]
        if not parameters:  # of one's own, frozen: the last layer learns
            return
        if not features.requires_grad:
            raise BadInput(
                f"no gradient reaches the parameters of {self.built.get('own', {}).get('name')}: "
                "freeze them (requires_grad_(False)), or leave out what cuts the gradient"
            )
        gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)


def network_of(
    recipe: dict[str, Any],
    pretrained: bool = True,
    backbone: nn.Module | Callable[[], nn.Module] | None = None,
) -> Network:
    """The network a recipe (as plain values) describes; `pretrained=False` fetches no weights.

    A backbone of one's own stands in for the recipe's.
    """
    options = dict(recipe["backbone_options"])
    if not pretrained:
        options = {**without_weights(options), "pretrained": False}
    kept = {name: recipe[name] for name in ("backbone", "stem_stride", "neck", "size", "dim")}
    if backbone is not None:
        kept["backbone"] = backbone
    own = {name: recipe[name] for name in ("mean", "std", "affine") if name in recipe}
    if recipe.get("lengths") == "free":  # recipes of earlier versions do not say
        own["affine"] = True
    return Network(backbone_options=options, **kept, **own)


def _layout(features: Tensor, channels: int, name: str) -> str:
    """How the last map is laid out: NCHW, NHWC or tokens (B, places, channels)."""
    shape = tuple(features.shape[1:])
    if len(shape) == 3 and shape[0] == channels and shape[1] == shape[2]:
        return "NCHW"
    if len(shape) == 3 and shape[2] == channels and shape[0] == shape[1]:
        return "NHWC"
    if len(shape) == 2 and shape[1] == channels:
        return "tokens"
    raise BadInput(
        f"the neck depthwise needs a square map, and {name} ends in {shape}: use neck pool"
    )


def _set_stem_stride(backbone: nn.Module, stride: int, name: str) -> None:
    """Make the stem shrink the image by `stride`: its last strided layers lose their stride."""
    if backbone.pretrained_cfg.get("fixed_input_size"):
        raise BadInput(
            f"{name} divides the image into patches of a fixed number: leave stem_stride out "
            "(vision transformers take patch_size in backbone_options instead)"
        )
    steps = _stem(backbone)
    if not steps:
        raise BadInput(f"{name} has no convolution as its stem: leave stem_stride out")
    pool = getattr(backbone, "maxpool", None)
    has_pool = pool is not None and not isinstance(pool, nn.Identity)
    built = math.prod(step[0].stride[0] for step in steps) * (2 if has_pool else 1)
    rest = stride
    for step in steps:
        kept = min(rest, step[0].stride[0])
        rest //= kept
        for convolution in step:
            convolution.stride = (kept, kept)
    if has_pool:
        if rest == 1:
            backbone.maxpool = nn.Identity()
        rest = max(1, rest // 2)
    if rest > 1:
        raise BadInput(
            f"the stem of {name} shrinks by {built}, not by {stride}: give a stem_stride of "
            f"{built} or less, or leave it out"
        )


def _stem(backbone: nn.Module) -> list[list[nn.Conv2d]]:
    """The stem's strided convolutions in order, those side by side together; else its first."""
    first = next((n for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        return []
    # Some models have no stem of their own, but one long list of layers: there, it is the first.
    child = first.split(".")[0]
    stem = child if child.startswith(("stem", "conv", "patch_embed")) else first
    steps: dict[int, list[nn.Conv2d]] = {}
    seen = []

    def note(convolution: nn.Conv2d, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0])  # kept, so that no other tensor gets its id
        if max(convolution.stride) > 1 or convolution is backbone.get_submodule(first):
            steps.setdefault(id(inputs[0]), []).append(convolution)

    hooks = [
        module.register_forward_pre_hook(note)
        for module in backbone.get_submodule(stem).modules()
        if isinstance(module, nn.Conv2d)
    ]
    was_training = backbone.training
    with torch.no_grad():
        backbone.eval().forward_features(torch.zeros(1, 3, 64, 64))
    backbone.train(was_training)
    for hook in hooks:
        hook.remove()
    return list(steps.values())
