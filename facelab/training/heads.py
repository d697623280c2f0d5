"""Heads: what shapes the embedding in training, and is thrown away at test time.

In: embeddings (B, D) and the subjects' numbers (B). Out: a loss. `ArcFace` and `CosFace` classify
the training subjects, `Contrast` tells the pairs within a batch apart. Each lowers the true
subject's similarity by a margin, so that the embedding must do better than win.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MarginHead(nn.Module, ABC):
    """Scaled cosines between embeddings and one learnt centre a subject.

    Parameters
    ----------
    dim, subjects
        Length of an embedding; number of training subjects.
    scale
        What cosines are multiplied with (s in the papers).
    margin
        What the true subject's similarity is lowered by (m); an attribute, so that the training
        loop can let it grow.
    """

    def __init__(self, dim: int, subjects: int, scale: float, margin: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(subjects, dim) * 0.01)
        self.scale = scale
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        # float32 also under autocast: bf16 has 8 bits, two cosines 0.004 apart would be equal.
        with torch.autocast(embeddings.device.type, enabled=False):
            kind = torch.promote_types(embeddings.dtype, torch.float32)
            cosines = F.linear(F.normalize(embeddings.to(kind)), F.normalize(self.weight.to(kind)))
            rows = torch.arange(len(labels), device=labels.device)
            target = self.lowered(cosines[rows, labels])
            return self.scale * cosines.index_put((rows, labels), target)

    def loss(self, embeddings: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross entropy; `smoothing` is the share of the target spread over other subjects."""
        return F.cross_entropy(self(embeddings, labels), labels, label_smoothing=smoothing)

    @abstractmethod
    def lowered(self, cosine: Tensor) -> Tensor:
        """The true subject's cosine, less the margin."""


class CosFace(MarginHead):
    """Additive cosine margin: cos(theta) - m (Wang et al. 2018, arXiv 1801.09414, eq. 4)."""

    def lowered(self, cosine: Tensor) -> Tensor:
        return cosine - self.margin


class ArcFace(MarginHead):
    """Additive angular margin: cos(theta + m) (Deng et al. 2019, arXiv 1801.07698, eq. 3)."""

    def lowered(self, cosine: Tensor) -> Tensor:
        # Kept off +-1, where the sine's gradient is infinite.
        edge = 1 - 10 * torch.finfo(cosine.dtype).eps
        sine = (1 - cosine.clamp(-edge, edge) ** 2).sqrt()
        angular = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        # Past theta + m = pi the cosine would rise again and reward getting worse.
        past_pi = cosine < -math.cos(self.margin)
        return torch.where(past_pi, cosine - self.margin * math.sin(self.margin), angular)


class Contrast(nn.Module):
    """Every mated pair of a batch against the non-mated pairs of its first image.

    The loss of a pair is -log(p / (p + n)): p is exp(scale * (cosine - margin)), n the sum of
    exp(scale * cosine) over the images of other subjects (NT-Xent, Chen et al. 2020,
    arXiv 2002.05709, eq. 1, with the subjects as labels); the mean over all pairs. There are no
    centres to learn, so it learns much in few passes over many subjects.

    Parameters
    ----------
    dim, subjects
        Not used: nothing is learnt here.
    scale
        What cosines are multiplied with, the inverse of the papers' temperature.
    margin
        What a mated pair's cosine is lowered by.
    """

    def __init__(self, dim: int, subjects: int, scale: float, margin: float) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin

    def loss(self, embeddings: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The mean loss of the mated pairs; 0 if there are none. `smoothing` must be 0."""
        with torch.autocast(embeddings.device.type, enabled=False):
            kind = torch.promote_types(embeddings.dtype, torch.float32)
            unit = F.normalize(embeddings.to(kind))
            logits = self.scale * unit @ unit.T
            same = labels[:, None] == labels
            non_mated = logits.masked_fill(same, -torch.inf).logsumexp(1, keepdim=True)
            itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            losses = F.softplus(non_mated - (logits - self.scale * self.margin))
            losses = losses[same & ~itself]
            return losses.sum() / max(1, len(losses))


HEADS = {"arcface": ArcFace, "cosface": CosFace, "contrast": Contrast}
