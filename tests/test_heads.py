"""The margin heads against their formulas and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss, NTXentLoss
from torch.nn import functional as F

from facelab.training.heads import HEADS, ArcFace, Contrast, CosFace


def at_angles(theta: torch.Tensor, subjects: int = 5, dim: int = 8) -> tuple:
    """Embeddings at given angles from the centre of subject 0, of lengths other than 1."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0]
    embeddings = theta.cos()[:, None] * axes[0] + theta.sin()[:, None] * axes[1]
    centres = torch.randn(subjects, dim, generator=generator, dtype=torch.float64)
    centres[0] = 3 * axes[0]
    lengths = torch.linspace(0.5, 4, len(theta), dtype=torch.float64)[:, None]
    return embeddings * lengths, centres


def head_of(kind: type, centres: torch.Tensor, scale: float, margin: float) -> torch.nn.Module:
    head = kind(centres.shape[1], len(centres), scale, margin).to(centres.dtype)
    head.weight.data.copy_(centres)
    return head


REFERENCES = {
    ArcFace: lambda centres, scale, margin: ArcFaceLoss(
        len(centres), centres.shape[1], margin=math.degrees(margin), scale=scale
    ),
    CosFace: lambda centres, scale, margin: CosFaceLoss(
        len(centres), centres.shape[1], margin=margin, scale=scale
    ),
}


@pytest.mark.parametrize("kind", [ArcFace, CosFace])
@pytest.mark.parametrize("scale, margin", [(64.0, 0.5), (30.0, 0.35), (16.0, 0.0)])
def test_values_and_gradients_are_those_of_pytorch_metric_learning(kind, scale, margin):
    near_ends = [1e-3, 1e-2, math.pi - 1e-2, math.pi - 1e-3]
    theta = torch.tensor([*near_ends, *torch.linspace(0.05, 3.1, 40).tolist()]).double()
    embeddings, centres = at_angles(theta)
    labels = torch.arange(len(theta)) % 5
    labels[:20] = 0
    head = head_of(kind, centres, scale, margin)
    reference = REFERENCES[kind](centres, scale, margin)
    reference.W.data = centres.T.clone()

    ours = embeddings.clone().requires_grad_()
    loss = F.cross_entropy(head(ours, labels), labels)
    loss.backward()
    theirs = embeddings.clone().requires_grad_()
    expected = reference(theirs, labels)
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.weight.grad, reference.W.grad.T, atol=1e-5, rtol=1e-5)


def test_arcface_lowers_the_true_subject_by_the_angle_and_no_other():
    theta = torch.tensor([0.3, 1.2, 2.0]).double()
    embeddings, centres = at_angles(theta)
    labels = torch.zeros(3, dtype=torch.long)
    logits = head_of(ArcFace, centres, 10.0, 0.5)(embeddings, labels)
    cosines = F.normalize(embeddings) @ F.normalize(centres).T
    torch.testing.assert_close(logits[:, 0], 10 * torch.cos(theta + 0.5))
    torch.testing.assert_close(logits[:, 1:], 10 * cosines[:, 1:])


def test_cosface_lowers_the_true_subject_by_the_margin_and_no_other():
    theta = torch.tensor([0.3, 1.2, 2.0]).double()
    embeddings, centres = at_angles(theta)
    labels = torch.zeros(3, dtype=torch.long)
    logits = head_of(CosFace, centres, 10.0, 0.35)(embeddings, labels)
    cosines = F.normalize(embeddings) @ F.normalize(centres).T
    torch.testing.assert_close(logits[:, 0], 10 * (theta.cos() - 0.35))
    torch.testing.assert_close(logits[:, 1:], 10 * cosines[:, 1:])


def test_arcface_never_rewards_moving_away_past_pi():
    theta = torch.linspace(0, math.pi, 2001).double()
    target = head_of(ArcFace, torch.eye(2).double(), 1.0, 0.5).lowered(theta.cos())
    # At the joint pi - m the guard steps down, as in the authors' code: never up.
    assert (target.diff() <= 1e-9).all()


@pytest.mark.parametrize("kind", [ArcFace, CosFace])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_on_the_centre_and_opposite_to_it(kind, dtype):
    head = head_of(kind, torch.tensor([[2.0, 0.0], [0.0, 1.0]]), 64.0, 0.5)
    embeddings = torch.tensor([[1.0, 0.0], [-5.0, 0.0], [1e-8, 1.0]], dtype=dtype)
    embeddings.requires_grad_()
    labels = torch.tensor([0, 0, 0])
    F.cross_entropy(head(embeddings, labels), labels).backward()
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(head.weight.grad).all()


@pytest.mark.parametrize("kind", [ArcFace, CosFace])
def test_logits_stay_float32_under_autocast(kind):
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(6, 32, generator=generator)
    head, labels = kind(32, 9, 64.0, 0.4), torch.arange(6)
    expected = head(embeddings, labels)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(embeddings, labels)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, expected)


def some_pairs(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(12, 8, generator=generator, dtype=dtype), torch.arange(12) // 2 % 4


def test_contrast_is_the_nt_xent_of_pytorch_metric_learning():
    embeddings, labels = some_pairs()
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    loss = Contrast(8, 4, 16.0, 0.0).loss(ours, labels)
    expected = NTXentLoss(temperature=1 / 16)(theirs, labels)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


def test_contrast_lowers_mated_pairs_by_the_margin_and_no_others():
    embeddings, labels = some_pairs()
    cosines = F.normalize(embeddings) @ F.normalize(embeddings).T
    losses = []
    for i in range(12):
        others = torch.exp(10 * cosines[i, labels != labels[i]]).sum()
        for j in set(range(12)) - {i}:
            if labels[i] == labels[j]:
                mated = torch.exp(10 * (cosines[i, j] - 0.2))
                losses.append(-torch.log(mated / (mated + others)))
    loss = Contrast(8, 4, 10.0, 0.2).loss(embeddings, labels)
    assert loss.item() == pytest.approx(torch.stack(losses).mean().item())


@pytest.mark.parametrize("labels", [torch.arange(6), torch.zeros(6, dtype=torch.long)])
def test_contrast_of_a_batch_without_mated_or_without_non_mated_pairs_is_0(labels):
    embeddings = torch.randn(6, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = Contrast(8, 6, 64.0, 0.3).loss(embeddings, labels)
    loss.backward()
    assert loss.item() == 0
    assert (embeddings.grad == 0).all()


def test_contrast_stays_float32_under_autocast():
    embeddings, labels = some_pairs(torch.float32)
    head = Contrast(8, 4, 64.0, 0.3)
    expected = head.loss(embeddings, labels)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head.loss(embeddings, labels), expected)


def test_every_head_of_a_recipe_is_there():
    assert {"arcface": ArcFace, "cosface": CosFace, "contrast": Contrast} == HEADS
