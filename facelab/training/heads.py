"""Heads: what shapes the embedding in training, and is thrown away at test time.

In: embeddings (B, D) and the subjects' numbers (B). Out: a loss an image. All but `Contrast`
classify the training subjects by the cosines between an embedding and one learnt centre a subject;
`Contrast` tells the pairs within a batch apart. A margin lowers the true subject's similarity, so
that the embedding must do better than win.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facelab.errors import BadInput, there_are
from facelab.training.shards import Across

# Below this length an embedding has no direction, and dividing by it would make the gradient
# explode.
_SHORTEST = 1e-6
_BLOCK = 2**16  # centres drawn at a time


class Option(NamedTuple):
    """One of a head's options: its default, and the values that it takes, in words and as a test.

    A whole number as the default asks for a whole number.
    """

    default: float
    wanted: str
    holds: Callable[[float], bool]


_POSITIVE = "above 0", lambda value: value > 0
_NOT_NEGATIVE = "0 or more", lambda value: value >= 0
_SHARE = "between 0 and 1", lambda value: 0 <= value <= 1


class Head(nn.Module, ABC):
    """What every head has.

    Parameters
    ----------
    dim, subjects
        Length of an embedding; number of training subjects.
    scale
        What cosines are multiplied with (s in the papers).
    margin
        What the true subject's similarity is lowered by (m): radians for the angular heads, else
        cosine.
    options
        The head's own, by name, as its class says.

    Raises
    ------
    BadInput
        An option is not one of the head's, or out of range.
    """

    OPTIONS: ClassVar[dict[str, Option]] = {}

    def __init__(
        self, dim: int, subjects: int, scale: float, margin: float, **options: float
    ) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin
        for name, value in self.checked(options).items():
            setattr(self, name, value)

    @classmethod
    def checked(cls, options: dict[str, Any]) -> dict[str, float]:
        """Every option with its value, given or default; BadInput names the one that is wrong."""
        for name in options:
            if name not in cls.OPTIONS:
                known = there_are(name, cls.OPTIONS, "its options")
                raise BadInput(f"{name!r} is not an option of the head {cls.__name__}{known}")
        values = {name: option.default for name, option in cls.OPTIONS.items()} | options
        for name, (default, wanted, holds) in cls.OPTIONS.items():
            value = values[name]
            kinds = int if isinstance(default, int) else (int, float)
            # bool is an int to Python; NaN passes no test.
            if isinstance(value, bool) or not isinstance(value, kinds) or not holds(value):
                raise BadInput(
                    f"the option {name} of the head {cls.__name__} must be {wanted}, not {value!r}"
                )
        return values

    @abstractmethod
    def losses(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        ramp: float = 1.0,
        margins: Tensor | None = None,
        weight: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """The loss of every image, in float32 also under autocast.

        Parameters
        ----------
        embeddings
            float (B, D), of any length.
        labels
            int (B,): the images' subjects, as rows of `weight`.
        ramp
            What every margin is multiplied with, 0 to 1, so that margins can grow in training.
        margins
            float (B,): each image's own margin in the place of the head's; gradients reach it.
        weight
            The centres in use in this step, (rows, D); None is all of the head's own.
        smoothing
            Share of the target spread over all subjects.

        Returns
        -------
        float (B,)
            Buffers that follow the batches are updated in training mode only.
        """

    def _margins(self, margins: Tensor | None, ramp: float, like: Tensor) -> Tensor:
        if margins is None:
            return torch.full_like(like, self.margin * ramp)
        return margins.to(like) * ramp


class ClassHead(Head):
    """Cross entropy of scaled cosines between embeddings and one learnt centre a subject.

    -log(exp(s T) / (exp(s T) + sum over j of exp(s N_j))): T is the true subject's cosine as
    `lowered` by the margin, N_j the `others`, which are plain cosines for most. With `across`, the
    centres lie with several processes, and `weight` holds those of this one.
    """

    def __init__(
        self,
        dim: int,
        subjects: int,
        scale: float,
        margin: float,
        *,
        across: Across | None = None,
        **options: float,
    ) -> None:
        super().__init__(dim, subjects, scale, margin, **options)
        self.across = across
        rows = across.rows if across else slice(0, subjects)
        self.weight = nn.Parameter(_drawn(self.shape(subjects, dim), rows))

    def shape(self, subjects: int, dim: int) -> tuple[int, ...]:
        """Of the centres."""
        return subjects, dim

    def losses(
        self, embeddings: Tensor, labels: Tensor, *, smoothing: float = 0.0, **given: Any
    ) -> Tensor:
        if self.across:
            return self.across.losses(self, embeddings, labels, smoothing=smoothing, **given)
        logits = self(embeddings, labels, **given)
        losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        return losses + self.penalty(embeddings)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        ramp: float = 1.0,
        margins: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """The logits (B, rows of `weight`) that `losses` compares; parameters as there."""
        # float32 also under autocast: bf16 has 8 bits, two cosines 0.004 apart would be equal.
        with torch.autocast(embeddings.device.type, enabled=False):
            unit, lengths = self.unit(embeddings)
            weight = (self.weight if weight is None else weight).to(unit.dtype)
            cosines = self.cosines(unit, weight)
            rows = torch.arange(len(labels), device=labels.device)
            cosine = cosines[rows, labels]
            margin = self._margins(margins, ramp, cosine)
            target = self.lowered(cosine, margin, ramp, lengths)
            others = self.others(cosines, cosine, target)
            return self.scale * others.index_put((rows, labels), target)

    def unit(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of length 1 (B, D), in float32 at least, and the lengths that they had."""
        embeddings, lengths = _in_full(embeddings)
        return embeddings / lengths.clamp(min=_SHORTEST)[:, None], lengths

    def cosines(self, unit: Tensor, weight: Tensor) -> Tensor:
        """Between embeddings of length 1 (B, D) and every subject: (B, subjects)."""
        return F.linear(unit, F.normalize(weight, dim=-1))

    @abstractmethod
    def lowered(self, cosine: Tensor, margin: Tensor, ramp: float, lengths: Tensor) -> Tensor:
        """The true subject's cosine, less the margin; all (B,), `margin` times ramp already."""

    def others(self, cosines: Tensor, cosine: Tensor, target: Tensor) -> Tensor:
        """What stands for all subjects' cosines but the true one's: (B, subjects)."""
        return cosines

    def penalty(self, embeddings: Tensor) -> Tensor | float:
        """What is added to the losses for the embeddings themselves: (B,)."""
        return 0.0


def _drawn(shape: tuple[int, ...], rows: slice) -> Tensor:
    """Some rows of new centres; nobody draws all of them at a time, and all draw the same."""
    drawn = torch.empty(rows.stop - rows.start, *shape[1:])
    for start in range(0, shape[0], _BLOCK):
        block = torch.randn(min(_BLOCK, shape[0] - start), *shape[1:])
        first, stop = max(rows.start, start), min(rows.stop, start + len(block))
        if first < stop:
            drawn[first - rows.start : stop - rows.start] = block[first - start : stop - start]
    return drawn.mul_(0.01)


def _in_full(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings in float32 at least, and their lengths."""
    embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    return embeddings, torch.linalg.vector_norm(embeddings, dim=1)


def _at_angle(cosine: Tensor, margin: Tensor, factor: float = 1.0) -> Tensor:
    """cos(factor * theta + margin) of cos(theta), made to fall from theta = 0 to pi."""
    # The sine's gradient is infinite at cosines of +-1: there it is taken to be 0. Multiplied out,
    # 1 - cosine^2 keeps its digits near 1.
    square = (1 - cosine) * (1 + cosine)
    edge = 10 * torch.finfo(cosine.dtype).eps
    at_edge = square.detach().clamp(min=0).sqrt()
    sine = torch.where(square > edge, square.clamp(min=edge).sqrt(), at_edge)
    angle = factor * torch.atan2(sine, cosine) + margin
    # Past an angle of pi the cosine would rise again and reward getting worse. From there on the
    # target falls with cos(theta): lower by m sin(m), as in ArcFace's code, or by what it takes
    # not to step up at the joint, which is more where factor > 1 or m > 2.3. An angle below 0,
    # which a negative margin makes, counts as 0.
    joint = ((math.pi - margin) / factor).clamp(0, math.pi)
    drop = torch.maximum(margin * margin.sin(), 1 + joint.cos())
    return torch.where(angle <= math.pi, angle.clamp(min=0).cos(), cosine - drop)


class Softmax(ClassHead):
    """No margin: normalised softmax (NormFace: Wang et al. 2017, arXiv 1704.06369).

    `margin` is not used, and images cannot have their own.
    """

    def _margins(self, margins: Tensor | None, ramp: float, like: Tensor) -> Tensor:
        if margins is not None:
            raise BadInput("the head softmax has no margin: groups cannot have their own")
        return super()._margins(margins, ramp, like)

    def lowered(self, cosine: Tensor, margin: Tensor, ramp: float, lengths: Tensor) -> Tensor:
        return cosine


class CosFace(ClassHead):
    """Additive cosine margin: cos(theta) - m (Wang et al. 2018, arXiv 1801.09414, eq. 4)."""

    def lowered(self, cosine: Tensor, margin: Tensor, ramp: float, lengths: Tensor) -> Tensor:
        return cosine - margin


class ArcFace(ClassHead):
    """Additive angular margin: cos(theta + m) (Deng et al. 2019, arXiv 1801.07698, eq. 3)."""

    def lowered(self, cosine: Tensor, margin: Tensor, ramp: float, lengths: Tensor) -> Tensor:
        return _at_angle(cosine, margin)


class Combined(ClassHead):
    """All three margins: cos(m1 theta + m2) - m3 (Deng et al. 2019, arXiv 1801.07698, eq. 4).

    `margin` is m2; the ramp grows m1 from 1.

    Options
    -------
    m1
        What the angle is multiplied with (SphereFace's margin); default 1.
    m3
        What the cosine is lowered by (CosFace's margin); default 0.
    """

    OPTIONS: ClassVar = {"m1": Option(1.0, *_POSITIVE), "m3": Option(0.0, *_NOT_NEGATIVE)}

    def lowered(self, cosine: Tensor, margin: Tensor, ramp: float, lengths: Tensor) -> Tensor:
        return _at_angle(cosine, margin, 1 + ramp * (self.m1 - 1)) - ramp * self.m3


class AdaFace(ClassHead):
    """A margin that is angular for short embeddings (poor images) and additive for long ones.

    cos(theta - m q) - (m + m q), where q is how long the embedding is among the others: (length -
    mean) / (deviation / h), cut at -1 and 1 (Kim et al. 2022, arXiv 2204.00964, section 3.3). Mean
    and deviation follow the batches with weight `t_alpha`; they start at 20 and 100, as in the
    authors' code, which also cuts lengths at 0.001 and 100. No gradient passes through q.

    Options
    -------
    h
        How much of the margin depends on the length: q is h at one deviation; default 0.333.
    t_alpha
        Weight of a new batch in the running mean and deviation; default 0.01.
    """

    OPTIONS: ClassVar = {"h": Option(0.333, *_NOT_NEGATIVE), "t_alpha": Option(0.01, *_SHARE)}

    def __init__(
        self, dim: int, subjects: int, scale: float, margin: float, **options: float
    ) -> None:
        super().__init__(dim, subjects, scale, margin, **options)
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("deviation", torch.tensor(100.0))

    def lowered(self, cosine: Tensor, margin: Tensor, ramp: float, lengths: Tensor) -> Tensor:
        lengths = lengths.detach().clamp(0.001, 100)
        # One image has no deviation.
        if self.training and len(lengths) > 1:
            self.mean.lerp_(lengths.mean().to(self.mean), self.t_alpha)
            self.deviation.lerp_(lengths.std().to(self.deviation), self.t_alpha)
        quality = (self.h * (lengths - self.mean) / (self.deviation + 1e-3)).clamp(-1, 1)
        return _at_angle(cosine, -margin * quality) - (margin + margin * quality)


class MagFace(ClassHead):
    """An angular margin that grows with the embedding's length, and a reward for length.

    cos(theta + m(a)), plus lambda_g g(a) on the loss: a is the length cut at l_a and u_a, m(a)
    goes linearly from l_m at l_a to u_m at u_a, g(a) = 1 / a + a / u_a^2 (Meng et al. 2021,
    arXiv 2103.06627, section 3.2). Gradients reach the length through both. The paper's proof that
    the best length is unique asks for lambda_g of at least s K l_a^2 u_a^2 / (u_a^2 - l_a^2), K =
    (u_m - l_m) / (u_a - l_a): 22.6 with the paper's values.

    `margin` is l_m, 0.45 in the paper; an image's own margin moves its m(a) as a whole. Lengths
    must be able to grow: the network ends in a batch norm with scale and shift, as the authors'
    code has it (`Recipe.lengths`).

    Options
    -------
    l_a, u_a
        Shortest and longest length told apart; default 10 and 110. They must fit the embeddings'
        lengths, which begin near the square root of `dim`: outside of them no gradient reaches the
        length.
    u_m
        Margin at u_a, at least `margin`; default 0.8.
    lambda_g
        Weight of the reward for length; default 35.
    """

    OPTIONS: ClassVar = {
        "l_a": Option(10.0, *_POSITIVE),
        "u_a": Option(110.0, *_POSITIVE),
        "u_m": Option(0.8, *_NOT_NEGATIVE),
        "lambda_g": Option(35.0, *_NOT_NEGATIVE),
    }

    def __init__(
        self, dim: int, subjects: int, scale: float, margin: float, **options: float
    ) -> None:
        super().__init__(dim, subjects, scale, margin, **options)
        if self.u_m < margin:
            raise BadInput(
                f"the option u_m of the head MagFace must be at least the margin ({margin:g}), "
                f"not {self.u_m!r}"
            )

    @classmethod
    def checked(cls, options: dict[str, Any]) -> dict[str, float]:
        values = super().checked(options)
        if values["u_a"] <= values["l_a"]:
            raise BadInput(
                f"the option u_a of the head MagFace must be above l_a ({values['l_a']:g}), "
                f"not {values['u_a']!r}"
            )
        return values

    def lowered(self, cosine: Tensor, margin: Tensor, ramp: float, lengths: Tensor) -> Tensor:
        share = (lengths.clamp(self.l_a, self.u_a) - self.l_a) / (self.u_a - self.l_a)
        return _at_angle(cosine, margin + ramp * (self.u_m - self.margin) * share)

    def penalty(self, embeddings: Tensor) -> Tensor:
        lengths = _in_full(embeddings)[1].clamp(self.l_a, self.u_a)
        return self.lambda_g * (1 / lengths + lengths / self.u_a**2)


class SubCenter(ArcFace):
    """ArcFace with k centres a subject, of which the nearest counts.

    theta is the angle to the nearest, for the true subject and all others (Deng et al. 2020,
    Sub-center ArcFace, ECCV; also in version 4 of arXiv 1801.07698). Wrongly labelled images
    gather at a centre of their own. `weight` is (subjects, k, dim).

    Options
    -------
    k
        Centres a subject; default 3.
    """

    OPTIONS: ClassVar = {"k": Option(3, "a whole number of at least 1", lambda value: value >= 1)}

    def shape(self, subjects: int, dim: int) -> tuple[int, ...]:
        return subjects, self.k, dim

    def cosines(self, unit: Tensor, weight: Tensor) -> Tensor:
        cosines = super().cosines(unit, weight.flatten(0, 1))
        return cosines.unflatten(1, weight.shape[:2]).max(2).values


class CurricularFace(ArcFace):
    """ArcFace that comes to weigh hard non-mated comparisons more as training goes on.

    Another subject's cosine c counts as c where it is at most cos(theta + m), else as c (t + c): t
    is the running mean of the true subjects' cosines, from 0 (Huang et al. 2020, arXiv 2004.00288,
    section 3.2). No gradient passes through t.

    Options
    -------
    t_alpha
        Weight of a new batch in t; default 0.01.
    """

    OPTIONS: ClassVar = {"t_alpha": Option(0.01, *_SHARE)}

    def __init__(
        self, dim: int, subjects: int, scale: float, margin: float, **options: float
    ) -> None:
        super().__init__(dim, subjects, scale, margin, **options)
        self.register_buffer("t", torch.tensor(0.0))

    def others(self, cosines: Tensor, cosine: Tensor, target: Tensor) -> Tensor:
        if self.training:
            self.t.lerp_(cosine.detach().mean().to(self.t), self.t_alpha)
        return torch.where(cosines > target[:, None], cosines * (self.t + cosines), cosines)


class Contrast(Head):
    """Every mated pair of a batch against the non-mated pairs of its first image.

    The loss of a pair is -log(p / (p + n)): p is exp(scale * (cosine - margin)), n the sum of
    exp(scale * cosine) over the images of other subjects (NT-Xent, Chen et al. 2020,
    arXiv 2002.05709, eq. 1, with the subjects as labels). There are no centres to learn, so it
    learns much in few passes over many subjects.

    An image's loss is the mean of its pairs' times (images / images with a mated pair); it is 0
    for an image without a mated pair. So the mean over the batch is the mean over the images that
    have one, and those that have none do not count. The factor is 1 where a batch brings at least
    two images of each subject.
    """

    def losses(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        ramp: float = 1.0,
        margins: Tensor | None = None,
        weight: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        if weight is not None or smoothing:
            raise BadInput(
                "the head contrast compares pairs, not centres: give it no centres and a "
                "label_smoothing of 0"
            )
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, lengths = _in_full(embeddings)
            unit = embeddings / lengths.clamp(min=_SHORTEST)[:, None]
            logits = self.scale * unit @ unit.T
            same = labels[:, None] == labels
            non_mated = logits.masked_fill(same, -torch.inf).logsumexp(1, keepdim=True)
            margin = self._margins(margins, ramp, lengths)[:, None]
            losses = F.softplus(non_mated - (logits - self.scale * margin))
            mated = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            pairs = mated.sum(1)
            means = losses.masked_fill(~mated, 0).sum(1) / pairs.clamp(min=1)
            return means * (len(labels) / (pairs > 0).sum().clamp(min=1))


HEADS = {
    "softmax": Softmax,
    "cosface": CosFace,
    "arcface": ArcFace,
    "combined": Combined,
    "adaface": AdaFace,
    "magface": MagFace,
    "subcenter": SubCenter,
    "curricular": CurricularFace,
    "contrast": Contrast,
}
