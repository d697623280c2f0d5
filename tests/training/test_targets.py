"""Heads that say labels: values against the formulas, chances that sum to one, order kept."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from torch.nn import functional as F

from facelab.errors import BadInput
from facelab.training.recipe import Recipe
from facelab.training.targets import KINDS, ExpectedNumber, OrderedLabels, Target

BANDS = ("0-9", "10-19", "20-29", "30+")


def embeddings(rows=7, dim=5, scale=1.0):
    return scale * torch.randn(rows, dim, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=sorted(KINDS))
def head(request):
    torch.manual_seed(0)
    return KINDS[request.param](5, ("18", "19", "20", "21"))


def test_chances_are_those_of_all_labels_and_sum_to_one(head):
    for scale in (1, 1e3):
        chances = head(embeddings(scale=scale)).detach().numpy()
        assert chances.shape == (7, 4) and (chances >= 0).all()
        assert chances.sum(axis=1) == pytest.approx(np.ones(7), abs=1e-6)


def test_no_face_however_far_out_gives_a_loss_or_a_gradient_that_is_no_number(head):
    given = embeddings(scale=1e4).requires_grad_()
    learnt = torch.tensor([0, 1, 2, 3, 0, 3, 1])
    learnt = 18.0 + learnt if isinstance(head, ExpectedNumber) else learnt
    losses = head.losses(given, learnt)
    losses.sum().backward()
    assert losses.shape == (7,) and torch.isfinite(losses).all()
    assert torch.isfinite(given.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_labels_in_order_follow_the_proportional_odds_model():
    torch.manual_seed(3)
    head = OrderedLabels(5, BANDS).double()
    with torch.no_grad():
        head.first.fill_(-1.5)
        head.steps.copy_(torch.tensor([0.3, -2.0], dtype=torch.float64))
    given = embeddings().double()
    number = head.logits(given).detach().numpy()[:, 0]
    edges = np.cumsum([-1.5, np.exp(0.3), np.exp(-2.0)])
    above = expit(number[:, None] - edges)  # P(label > k)
    whole = np.hstack([np.ones((7, 1)), above, np.zeros((7, 1))])
    chances = whole[:, :-1] - whole[:, 1:]
    assert head(given).detach().numpy() == pytest.approx(chances, abs=1e-12)
    learnt = torch.tensor([0, 1, 2, 3, 3, 1, 0])
    expected = -np.log(chances[np.arange(7), learnt.numpy()])
    assert head.losses(given, learnt).detach().numpy() == pytest.approx(expected, rel=1e-9)


def test_of_two_labels_order_is_logistic_regression():
    torch.manual_seed(0)
    head = OrderedLabels(5, ("no", "yes"))
    given, learnt = embeddings(), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    logit = head.logits(given)[:, 0] - head.first
    expected = F.binary_cross_entropy_with_logits(logit, learnt.float(), reduction="none")
    assert torch.allclose(head.losses(given, learnt), expected, atol=1e-6)


def test_a_number_is_taught_as_a_bell_and_said_as_the_mean():
    torch.manual_seed(0)
    head = ExpectedNumber(5, [str(n) for n in range(0, 60, 2)]).double()
    given, years = embeddings().double(), torch.tensor([3.0, 10, 11, 58, 0, 22.5, 41])
    logits, numbers = head.logits(given).detach().numpy(), np.arange(0, 60, 2.0)
    apart = (numbers - years.numpy()[:, None]) / 2
    taught = softmax(-(apart**2) / 8, axis=1)
    mean = softmax(logits, axis=1) @ numbers
    expected = -(taught * log_softmax(logits, axis=1)).sum(axis=1) + abs(mean - years.numpy()) / 2
    assert head.losses(given, years).detach().numpy() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "asked", "words"),
    [
        ("softmax", {"ema": 0.9}, "ema is of trainings that tell people apart"),
        ("softmax", {"together": 2}, "together is of"),
        ("softmax", {"centres": 0.5}, "centres is of"),
        ("softmax", {"wccn": 0.1}, "wccn is of"),
        ("softmax", {"mitigate": {"by": ["g"], "margins": {"a": 0.1}}}, "mitigate.margins is of"),
        ("softmax", {"mitigate": {"by": ["g"], "meta_margins": 0.1}}, "mitigate.meta_margins is"),
        ("softmax", {"validate": {"keep": "fnmr"}}, "validate.keep fnmr is of"),
        ("ordinal", {"label_smoothing": 0.1}, "label_smoothing is of softmax, and age is ordinal"),
        ("expected", {"mitigate": {"by": ["g"], "focal": 1}}, "needs chances of labels"),
    ],
)
def test_what_a_recipe_asks_of_people_is_refused_where_labels_are_learnt(kind, asked, words):
    target = Target("age", kind, BANDS, np.zeros(3))
    with pytest.raises(BadInput, match=words):
        target.check(Recipe.from_dict(asked))
    target.check(Recipe())


@pytest.mark.parametrize("kind", ["softmax", "ordinal"])
def test_before_a_face_is_seen_labels_are_expected_as_often_as_they_come(kind):
    values = np.repeat(np.arange(4), [40, 5, 50, 5])
    head = Target("age", kind, BANDS, values).head(5)
    chances = head(torch.zeros(1, 5)).detach().numpy()[0]
    assert chances == pytest.approx([0.4, 0.05, 0.5, 0.05], abs=1e-5)


def test_before_a_face_is_seen_a_number_is_expected_to_be_the_mean():
    years = np.array([20, 25, 30, 41], np.float32)
    head = Target("age", "expected", tuple(str(n) for n in range(10, 60)), years).head(5)
    chances = head(torch.zeros(1, 5)).detach()[0]
    assert float((chances * head.numbers).sum()) == pytest.approx(29, abs=0.01)
