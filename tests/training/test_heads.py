"""The heads against the papers' formulas, written out, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning.losses import (
    ArcFaceLoss,
    CosFaceLoss,
    NormalizedSoftmaxLoss,
    NTXentLoss,
    SubCenterArcFaceLoss,
)
from torch.nn import functional as F

from facelab.errors import BadInput
from facelab.training.heads import HEADS, ClassHead, Contrast

CLASSIFY = [name for name, kind in HEADS.items() if issubclass(kind, ClassHead)]
# Margins as in the papers; what Combined is for shows only with all three.
MARGINS = {"cosface": 0.35, "combined": 0.3, "adaface": 0.4, "magface": 0.45}
OPTIONS = {"combined": {"m1": 1.2, "m3": 0.1}, "subcenter": {"k": 2}}
NEAR = 1 - 1e-7
ENDS = torch.tensor([1, -1, NEAR, -NEAR], dtype=torch.float64)


def head_of(
    name: str, subjects: int = 5, dim: int = 8, scale: float = 16.0, margin=None, **options
):
    """A head in float64 with centres of many lengths, the first along the first axis."""
    torch.manual_seed(3)
    margin = MARGINS.get(name, 0.5) if margin is None else margin
    head = HEADS[name](dim, subjects, scale, margin, **(OPTIONS.get(name, {}) | options)).double()
    if name != "contrast":
        head.weight.data.normal_()
        first = head.weight.data[0]
        first.copy_(3 * torch.eye(dim)[: first.numel() // dim].view_as(first))
    return head


def at_cosines(cosines: torch.Tensor, dim: int = 8) -> torch.Tensor:
    """Embeddings (N, dim) at given cosines to the first axis, of lengths from 2 to 130."""
    embeddings = torch.zeros(len(cosines), dim, dtype=torch.float64)
    embeddings[:, 0] = cosines
    embeddings[:, 3] = ((1 - cosines) * (1 + cosines)).sqrt()
    return embeddings * torch.linspace(2, 130, len(cosines), dtype=torch.float64)[:, None]


def some_images(ends: torch.Tensor = ENDS[2:]) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings all around: half of them of subject 0 at chosen angles, and their labels."""
    angles = [1e-3, 1e-2, *torch.linspace(0.05, 3.1, 30).tolist(), math.pi - 1e-2, math.pi - 1e-3]
    first = at_cosines(torch.cat([ends, torch.tensor(angles, dtype=torch.float64).cos()]))
    generator = torch.Generator().manual_seed(0)
    others = 12 * torch.randn(20, 8, generator=generator, dtype=torch.float64)
    labels = torch.cat([torch.zeros(len(first), dtype=torch.long), torch.arange(20) % 5])
    return torch.cat([first, others]), labels


def angular(theta: torch.Tensor, m: float) -> torch.Tensor:
    """cos(theta + m), and ArcFace's own way past pi."""
    return torch.cos(theta + m) if theta + m <= math.pi else theta.cos() - m * math.sin(m)


def true_of_paper(name, theta, length, m, batch) -> torch.Tensor:
    """The true subject's target in each paper's own letters."""
    if name == "softmax":
        return torch.cos(theta)
    if name == "cosface":
        return torch.cos(theta) - m
    if name == "combined":
        m1, m2, m3 = 1.2, m, 0.1
        if m1 * theta + m2 <= math.pi:
            return torch.cos(m1 * theta + m2) - m3
        turn = (math.pi - m2) / m1
        return torch.cos(theta) - max(m2 * math.sin(m2), 1 + math.cos(turn)) - m3
    if name == "adaface":
        norms = torch.linalg.vector_norm(batch, dim=1).detach().clip(0.001, 100)
        mu = 0.01 * norms.mean() + 0.99 * 20
        sigma = 0.01 * norms.std() + 0.99 * 100
        z = ((length.detach().clip(0.001, 100) - mu) / ((sigma + 1e-3) / 0.333)).clip(-1, 1)
        g_angle, g_add = -m * z, m * z + m
        phi = theta + g_angle
        if phi > math.pi:
            turn = math.pi - g_angle
            joint = torch.maximum(g_angle * g_angle.sin(), 1 + turn.cos())
            return torch.cos(theta) - joint - g_add
        return (torch.cos(phi) if phi > 0 else torch.ones_like(phi)) - g_add
    if name == "magface":
        l_a, u_a, l_m, u_m = 10, 110, m, 0.8
        a = length.clamp(l_a, u_a)
        margin = (u_m - l_m) / (u_a - l_a) * (a - l_a) + l_m
        return (
            torch.cos(theta + margin)
            if theta + margin <= math.pi
            else torch.cos(theta) - margin * torch.sin(margin)
        )
    return angular(theta, m)


def losses_of_paper(name, x, weight, labels, s, m) -> torch.Tensor:
    """Every image's loss, one at a time, of a head that has seen no batch before."""

    def cosine(i, j):
        centres = weight[j] if name == "subcenter" else weight[j][None]
        return torch.stack([x[i] @ w / (x[i].norm() * w.norm()) for w in centres]).max()

    count = range(len(x))
    t = 0.01 * sum(cosine(i, labels[i]).item() for i in count) / len(x)
    losses = []
    for i in count:
        length = x[i].norm()
        theta = torch.acos(cosine(i, labels[i]).clamp(-1, 1))
        true = true_of_paper(name, theta, length, m, x)
        others = 0
        for j in set(range(len(weight))) - {labels[i].item()}:
            c = cosine(i, j)
            if name == "curricular" and c > true:
                c = c * (t + c)
            others = others + torch.exp(s * c)
        loss = -torch.log(torch.exp(s * true) / (torch.exp(s * true) + others))
        if name == "magface":
            a = length.clamp(10, 110)
            loss = loss + 35 * (1 / a + a / 110**2)
        losses.append(loss)
    return torch.stack(losses)


@pytest.mark.parametrize("scale", [4.0, 64.0])
@pytest.mark.parametrize("name", CLASSIFY)
def test_values_and_gradients_are_those_of_the_papers_formula(name, scale):
    head = head_of(name, scale=scale)
    embeddings, labels = some_images()
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    losses = head.losses(ours, labels)
    losses.mean().backward()
    weight = head.weight.detach().clone().requires_grad_()
    expected = losses_of_paper(name, theirs, weight, labels, scale, head.margin)
    expected.mean().backward()
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.weight.grad, weight.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CLASSIFY)
def test_on_the_centre_and_opposite_to_it_values_are_exact_and_gradients_finite(name):
    head = head_of(name, scale=64.0)
    embeddings, labels = some_images(ENDS)
    ours = embeddings.clone().requires_grad_()
    losses = head.losses(ours, labels)
    losses.mean().backward()
    expected = losses_of_paper(name, embeddings, head.weight.detach(), labels, 64.0, head.margin)
    torch.testing.assert_close(losses.detach(), expected, atol=1e-5, rtol=1e-5)
    assert torch.isfinite(ours.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_at_the_ends_a_cosine_in_float32_is_lowered_by_the_whole_angle_and_no_more():
    cosine, margin = torch.tensor([1.0, 1 - 2**-24]), torch.full((2,), 0.5)
    target = HEADS["arcface"](2, 2, 1.0, 0.5).lowered(cosine, margin, 1.0, cosine)
    expected = torch.cos(torch.acos(cosine.double()) + 0.5)
    torch.testing.assert_close(target.double(), expected, atol=2e-7, rtol=0)


def arcface_of_pml(head):
    return ArcFaceLoss(5, 8, margin=math.degrees(head.margin), scale=head.scale)


def subcenter_of_pml(head):
    return SubCenterArcFaceLoss(
        num_classes=5,
        embedding_size=8,
        margin=math.degrees(head.margin),
        scale=head.scale,
        sub_centers=head.k,
    )


REFERENCES = {
    "softmax": lambda head: NormalizedSoftmaxLoss(5, 8, temperature=1 / head.scale),
    "cosface": lambda head: CosFaceLoss(5, 8, margin=head.margin, scale=head.scale),
    "arcface": arcface_of_pml,
    "combined": arcface_of_pml,
    "subcenter": subcenter_of_pml,
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("scale, margin", [(64.0, 0.5), (30.0, 0.35), (16.0, 0.0)])
def test_values_and_gradients_are_those_of_pytorch_metric_learning(name, scale, margin):
    options = {"m1": 1.0, "m3": 0.0} if name == "combined" else {}
    head = head_of(name, scale=scale, margin=margin, **options)
    reference = REFERENCES[name](head)
    reference.W.data = head.weight.detach().view(-1, 8).T.clone()
    embeddings, labels = some_images()
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    loss = head.losses(ours, labels).mean()
    loss.backward()
    expected = reference(theirs, labels)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    theirs_weight = reference.W.grad.T.reshape(head.weight.shape)
    torch.testing.assert_close(head.weight.grad, theirs_weight, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5, 1.5, 3.0])
@pytest.mark.parametrize(
    "name, options",
    [
        *((name, {}) for name in CLASSIFY if name != "magface"),
        *(("combined", {"m1": m1, "m3": 0.2}) for m1 in (0.9, 1.35, 2.0, 4.0)),
        ("adaface", {"h": 3.0}),
        ("magface", {"u_m": 3.5}),
    ],
)
def test_no_head_rewards_moving_away_from_the_own_centre(name, options, margin):
    head = HEADS[name](2, 2, 1.0, margin, **options).eval()
    cosine = torch.linspace(0, math.pi, 2001).double().cos()
    for length in (1.0, 20.0, 60.0, 100.0):
        lengths = torch.full_like(cosine, length)
        target = head.lowered(cosine, torch.full_like(cosine, margin), 1.0, lengths)
        assert (target.diff() <= 1e-9).all()
        assert (target <= 1).all()


def test_margins_of_images_stand_in_for_the_heads_own():
    embeddings, labels = some_images()
    margins = torch.linspace(0, 0.6, len(labels), dtype=torch.float64)
    for name in set(CLASSIFY) - {"softmax"} | {"contrast"}:
        losses = head_of(name).eval().losses(embeddings, labels, margins=margins)
        for i in range(0, len(labels), 7):
            # MagFace keeps the slope of m(a): all of it moves.
            move = {"u_m": 0.8 - 0.45 + margins[i].item()} if name == "magface" else {}
            alone = head_of(name, margin=margins[i].item(), **move).eval()
            assert losses[i].item() == pytest.approx(alone.losses(embeddings, labels)[i].item())


def test_groups_cannot_have_margins_where_there_is_no_margin():
    with pytest.raises(BadInput, match="softmax has no margin"):
        head_of("softmax").losses(*some_images(), margins=torch.zeros(56))


@pytest.mark.parametrize("name", sorted(set(CLASSIFY) - {"softmax", "magface"}))
def test_gradients_reach_the_margins_of_images(name):
    head, (embeddings, labels) = head_of(name).eval(), some_images()
    margins = torch.linspace(0.1, 0.6, len(labels), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda margins: head.losses(embeddings, labels, margins=margins), margins
    )


@pytest.mark.parametrize("name", sorted(set(CLASSIFY) - {"curricular"}))
def test_a_ramp_of_0_is_the_plain_softmax(name):
    embeddings, labels = some_images()
    head = head_of(name, lambda_g=0.0) if name == "magface" else head_of(name)
    start = head.losses(embeddings, labels, ramp=0.0)
    logits = head.scale * head.cosines(F.normalize(embeddings), head.weight)
    plain = F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(start, plain, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", sorted({*CLASSIFY, "contrast"} - {"combined", "magface"}))
def test_half_a_ramp_is_half_the_margin(name):
    embeddings, labels = some_images()
    ramped = head_of(name).losses(embeddings, labels, ramp=0.5)
    halved = head_of(name, margin=MARGINS.get(name, 0.5) / 2).losses(embeddings, labels)
    assert torch.equal(ramped, halved)


def test_half_a_ramp_halves_every_margin_of_the_heads_with_several():
    embeddings, labels = some_images()
    halved = head_of("combined", margin=0.15, m1=1.1, m3=0.05).losses(embeddings, labels)
    ramped = head_of("combined").losses(embeddings, labels, ramp=0.5)
    torch.testing.assert_close(ramped, halved)
    halved = head_of("magface", margin=0.225, u_m=0.4).losses(embeddings, labels)
    ramped = head_of("magface").losses(embeddings, labels, ramp=0.5)
    torch.testing.assert_close(ramped, halved)


@pytest.mark.parametrize("name", CLASSIFY)
def test_some_centres_make_the_loss_of_a_head_with_those_subjects_only(name):
    embeddings, labels = some_images()
    whole, chosen = head_of(name, subjects=9).eval(), torch.tensor([0, 1, 2, 3, 4, 7])
    only = head_of(name, subjects=6).eval()
    only.weight.data = whole.weight.data[chosen]
    losses = whole.losses(embeddings, labels, weight=whole.weight[chosen])
    assert torch.equal(losses, only.losses(embeddings, labels))


@pytest.mark.parametrize("name", CLASSIFY)
def test_smoothing_spreads_a_share_of_the_target_over_all_subjects(name):
    embeddings, labels = some_images()
    head = head_of(name).eval()
    logits = head(embeddings, labels)
    penalty = head.losses(embeddings, labels) - F.cross_entropy(logits, labels, reduction="none")
    target = 0.9 * F.one_hot(labels, 5) + 0.1 / 5
    expected = -(target * logits.log_softmax(1)).sum(1) + penalty
    smoothed = head.losses(embeddings, labels, smoothing=0.1)
    torch.testing.assert_close(smoothed, expected)
    assert (smoothed - head.losses(embeddings, labels)).abs().max() > 0.01


@pytest.mark.parametrize("name", HEADS)
def test_losses_are_float32_also_under_autocast_and_from_bf16(name):
    embeddings = 8 * torch.randn(6, 32, generator=torch.Generator().manual_seed(1)).bfloat16()
    torch.manual_seed(0)
    head, labels = HEADS[name](32, 9, 64.0, 0.4).eval(), torch.arange(6) // 2
    expected = head.losses(embeddings.float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        losses = head.losses(embeddings, labels)
    assert losses.dtype == torch.float32
    assert losses.shape == (6,)
    assert torch.equal(losses, expected)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_on_the_centre_opposite_to_it_and_at_length_0(name, dtype):
    head = HEADS[name](2, 2, 64.0, 0.5)
    if name != "contrast":
        centres = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        head.weight.data.copy_(centres[:, None] if name == "subcenter" else centres)
    embeddings = torch.tensor([[1.0, 0.0], [-5.0, 0.0], [1e-8, 1.0], [0.0, 0.0]], dtype=dtype)
    embeddings.requires_grad_()
    head.losses(embeddings, torch.tensor([0, 0, 0, 1])).mean().backward()
    assert torch.isfinite(embeddings.grad).all()
    assert name == "contrast" or torch.isfinite(head.weight.grad).all()


@pytest.mark.parametrize("steps", [200, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", HEADS)
def test_random_steps_never_make_a_loss_or_weight_that_is_not_a_number(name, dtype, steps):
    torch.manual_seed(5)
    layer, head = torch.nn.Linear(8, 16, bias=False), HEADS[name](16, 10, 64.0, 0.5)
    parameters = [*layer.parameters(), *head.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)
    for step in range(steps):
        # From nothing to far too much, a face of no light at all among them, and twice the same.
        images = torch.randn(8, 8) * 10 ** (torch.rand(8, 1) * 16 - 8)
        images[0], images[1] = 0, images[2]
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            embeddings = layer(images)
        assert embeddings.dtype == dtype
        losses = head.losses(embeddings, torch.randint(10, (8,)), ramp=min(1, step / 100))
        optimiser.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0, error_if_nonfinite=True)
        optimiser.step()
        assert losses.isfinite().all()
    for values in [*layer.state_dict().values(), *head.state_dict().values()]:
        assert values.isfinite().all()


def test_adaface_and_curricularface_follow_the_batches_in_training_only():
    embeddings, labels = some_images()
    lengths = torch.linalg.vector_norm(embeddings, dim=1).clamp(0.001, 100)
    adaface = head_of("adaface", t_alpha=0.1)
    for _ in range(2):
        adaface.losses(embeddings, labels)
    assert adaface.mean.item() == pytest.approx(0.81 * 20 + 0.19 * lengths.mean().item())
    assert adaface.deviation.item() == pytest.approx(0.81 * 100 + 0.19 * lengths.std().item())
    curricular = head_of("curricular", t_alpha=0.1)
    curricular.losses(embeddings, labels)
    cosines = F.normalize(embeddings) @ F.normalize(curricular.weight.detach(), dim=1).T
    assert curricular.t.item() == pytest.approx(0.1 * cosines[range(56), labels].mean().item())
    for head, names in [(adaface, {"mean", "deviation"}), (curricular, {"t"})]:
        before = {name: values.clone() for name, values in head.state_dict().items()}
        assert names < set(before)
        head.eval().losses(embeddings, labels)
        assert all(torch.equal(values, before[name]) for name, values in head.state_dict().items())


def test_a_batch_of_one_image_leaves_adafaces_deviation_a_number():
    head = head_of("adaface")
    assert head.losses(torch.ones(1, 8).double(), torch.tensor([1])).isfinite().all()
    assert (head.mean.item(), head.deviation.item()) == (20, 100)


def test_magfaces_reward_for_length_is_least_at_the_longest():
    head = head_of("magface", margin=0.0, u_m=0.0)
    lengths = torch.tensor([5.0, 10.0, 50.0, 110.0, 200.0]).double()
    rewards = head.penalty(lengths[:, None] * torch.eye(8, dtype=torch.float64)[:1])
    assert rewards.tolist() == pytest.approx(
        [35 * (1 / a + a / 12100) for a in (10, 10, 50, 110, 110)]
    )
    assert (rewards.diff() <= 0).all()


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("arcface", {"h": 1.0}, "'h' is not an option of the head ArcFace; its options: none"),
        (
            "adaface",
            {"H": 1.0},
            "'H' is not an option of the head AdaFace.*; its options: h, t_alp",
        ),
        ("adaface", {"h": -1}, "the option h of the head AdaFace must be 0 or more, not -1"),
        ("adaface", {"h": "1"}, "the option h of .* not '1'"),
        ("adaface", {"t_alpha": 1.5}, "the option t_alpha of .* between 0 and 1, not 1.5"),
        ("combined", {"m1": 0}, "the option m1 .* above 0, not 0"),
        ("combined", {"m3": math.nan}, "the option m3 .* 0 or more, not nan"),
        ("magface", {"l_a": 200}, r"the option u_a .* above l_a \(200\), not 110"),
        ("magface", {"u_m": 0.1}, r"the option u_m .* at least the margin \(0.5\), not 0.1"),
        ("subcenter", {"k": 1.5}, "the option k .* whole number of at least 1, not 1.5"),
        ("subcenter", {"k": True}, "the option k .* not True"),
        ("curricular", {"t_alpha": -0.1}, "the option t_alpha of the head CurricularFace"),
        ("contrast", {"k": 2}, "'k' is not an option of the head Contrast"),
    ],
)
def test_a_wrong_option_is_named(name, options, message):
    with pytest.raises(BadInput, match=message):
        HEADS[name](4, 3, 16.0, 0.5, **options)


def some_pairs(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(12, 8, generator=generator, dtype=dtype), torch.arange(12) // 2 % 4


def test_contrast_is_the_nt_xent_of_pytorch_metric_learning():
    # As many pairs an image: pytorch-metric-learning takes the mean over pairs.
    embeddings, labels = some_pairs()[0], torch.arange(12) % 4
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    loss = Contrast(8, 4, 16.0, 0.0).losses(ours, labels).mean()
    expected = NTXentLoss(temperature=1 / 16)(theirs, labels)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


def test_contrast_lowers_mated_pairs_by_the_margin_and_takes_the_mean_of_an_images_pairs():
    embeddings, labels = some_pairs()
    labels[11] = 9
    cosines = F.normalize(embeddings) @ F.normalize(embeddings).T
    means = []
    for i in range(12):
        others = torch.exp(10 * cosines[i, labels != labels[i]]).sum()
        pairs = []
        for j in set(range(12)) - {i}:
            if labels[i] == labels[j]:
                mated = torch.exp(10 * (cosines[i, j] - 0.2))
                pairs.append(-torch.log(mated / (mated + others)).item())
        if pairs:
            means.append(sum(pairs) / len(pairs))
    losses = Contrast(8, 4, 10.0, 0.2).losses(embeddings, labels)
    assert len(means) == 11
    assert losses[:11].tolist() == pytest.approx([12 / 11 * mean for mean in means])
    assert losses[11] == 0
    # So an image without a mated pair does not count in the mean over the batch.
    assert losses.mean().item() == pytest.approx(sum(means) / 11)


@pytest.mark.parametrize("labels", [torch.arange(6), torch.zeros(6, dtype=torch.long)])
def test_contrast_of_a_batch_without_mated_or_without_non_mated_pairs_is_0(labels):
    embeddings = torch.randn(6, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    losses = Contrast(8, 6, 64.0, 0.3).losses(embeddings, labels)
    losses.sum().backward()
    assert (losses == 0).all()
    assert (embeddings.grad == 0).all()


@pytest.mark.parametrize("wrong", [{"smoothing": 0.1}, {"weight": torch.ones(4, 8)}])
def test_contrast_has_no_use_for_smoothing_or_centres(wrong):
    with pytest.raises(BadInput, match="pairs, not centres"):
        Contrast(8, 4, 64.0, 0.3).losses(*some_pairs(), **wrong)


def test_the_issues_heads_are_there_by_name():
    names = "softmax cosface arcface combined adaface magface subcenter curricular contrast"
    assert list(HEADS) == names.split()
