"""Sampled class centres against the whole head."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from facelab.errors import BadInput
from facelab.training.centres import SampledCentres, sampled
from facelab.training.heads import HEADS

OPTIMISERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01, fused=True),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "plain sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, fused=True),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01, foreach=True),
}


class Training:
    """A layer and a head of 40 subjects, with sampled centres or, at share None, the whole head."""

    def __init__(self, optimiser: str, share: float | None, head: str = "arcface") -> None:
        torch.manual_seed(1)
        self.layer, self.head = nn.Linear(6, 8), HEADS[head](8, 40, 16.0, 0.3)
        groups = [{"params": list(self.layer.parameters()), "weight_decay": 0.02}]
        if share is None:
            groups.append({"params": list(self.head.parameters()), "weight_decay": 0.05})
        self.optimiser = OPTIMISERS[optimiser](groups)
        self.centres = None
        if share is not None:
            self.centres = SampledCentres(
                self.head.weight, self.optimiser, share, seed=7, weight_decay=0.05
            )

    def step(self, number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        images = torch.randn(16, 6, generator=generator)
        labels = torch.randint(40, (16,), generator=generator)
        for group in self.optimiser.param_groups:
            group["lr"] = 0.02 / (1 + number)
        weight, rows = None, labels
        if self.centres:
            weight, rows = self.centres.begin(number, labels.numpy())
        self.optimiser.zero_grad()
        losses = self.head.losses(self.layer(images), rows, weight=weight)
        losses.mean().backward()
        moved = weight if self.centres else self.head.weight
        # Tight, so that clipping is at work in every step.
        nn.utils.clip_grad_norm_([*self.layer.parameters(), moved], 0.1)
        self.optimiser.step()
        if self.centres:
            self.centres.end()

    def saved(self) -> dict:
        return {
            name: getattr(self, name).state_dict()
            for name in ("layer", "head", "optimiser", "centres")
        }

    def load(self, saved: dict) -> None:
        for name, state in saved.items():
            getattr(self, name).load_state_dict(state)


@pytest.mark.parametrize("head", ["arcface", "subcenter", "curricular"])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_with_all_centres_training_is_that_of_the_whole_head_bit_for_bit(optimiser, head):
    whole, sampling = Training(optimiser, None, head), Training(optimiser, 1.0, head)
    for number in range(12):
        whole.step(number)
        sampling.step(number)
    assert torch.equal(sampling.head.weight, whole.head.weight)
    assert torch.equal(sampling.layer.weight, whole.layer.weight)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_goes_on_from_a_saved_state_bit_for_bit(optimiser, tmp_path):
    through, first, second = (Training(optimiser, 0.5) for _ in range(3))
    for number in range(12):
        through.step(number)
    for number in range(5):
        first.step(number)
    torch.save(first.saved(), tmp_path / "state.pt")
    # What is loaded is a copy: going on with the first does not change the second.
    saved = first.saved()
    second.step(90)
    second.load(torch.load(tmp_path / "state.pt", weights_only=True))
    for number in range(5, 12):
        second.step(number)
    assert torch.equal(second.head.weight, through.head.weight)
    assert torch.equal(second.layer.weight, through.layer.weight)
    third = Training(optimiser, 0.5)
    third.load(saved)
    before = {name: values.clone() for name, values in first.centres.state_dict().items()}
    third.step(5)
    after = first.centres.state_dict()
    assert all(torch.equal(values, before[name]) for name, values in after.items())


@pytest.mark.parametrize("head", sorted(set(HEADS) - {"contrast"}))
def test_gradients_on_the_sampled_centres_are_those_of_a_head_with_these_subjects(head):
    training = Training("sgd", 0.5, head)
    training.head.eval()
    generator = torch.Generator().manual_seed(0)
    embeddings = 12 * torch.randn(16, 8, generator=generator)
    labels = torch.randint(40, (16,), generator=generator)
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))

    leaf, rows = training.centres.begin(3, labels.numpy())
    training.head.losses(ours, rows, weight=leaf).mean().backward()

    chosen = sampled(labels.numpy(), 40, 0.5, 7, 3)
    dense = HEADS[head](8, 20, 16.0, 0.3).eval()
    dense.weight.data = training.head.weight.data[chosen].clone()
    position = {subject: row for row, subject in enumerate(chosen.tolist())}
    own = torch.tensor([position[label] for label in labels.tolist()])
    dense.losses(theirs, own).mean().backward()
    torch.testing.assert_close(leaf.grad, dense.weight.grad)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert training.head.weight.grad is None


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_only_the_centres_of_the_step_move(optimiser):
    training = Training(optimiser, 0.5)
    for number in range(4):
        before = training.head.weight.clone()
        generator = torch.Generator().manual_seed(number)
        torch.randn(16, 6, generator=generator)
        labels = torch.randint(40, (16,), generator=generator).numpy()
        training.step(number)
        moved = (training.head.weight != before).any(1).nonzero()[:, 0].numpy()
        assert np.array_equal(moved, sampled(labels, 40, 0.5, 7, number))


def test_a_centre_moves_as_if_it_were_alone_with_its_own_moments():
    """Every centre against an optimiser of its own, stepped when the centre takes part."""
    training = Training("adamw", 0.5)
    alone = [training.head.weight[row].clone().requires_grad_() for row in range(40)]
    own = [torch.optim.AdamW([row], lr=0.01, weight_decay=0.05) for row in alone]
    generator = torch.Generator().manual_seed(0)
    for number in range(30):
        # Subjects in turn, so that all centres take part equally often: once every other step.
        labels = torch.arange(20) + 20 * (number % 2)
        leaf, rows = training.centres.begin(number, labels.numpy())
        assert rows.tolist() == list(range(20))
        leaf.grad = torch.randn(20, 8, generator=generator)
        for row, gradient in zip(labels.tolist(), leaf.grad, strict=True):
            alone[row].grad = gradient.clone()
            own[row].step()
        training.optimiser.step()
        training.centres.end()
    torch.testing.assert_close(training.head.weight.data, torch.stack(alone).data)


def test_who_takes_part_is_the_batch_and_others_at_random_in_order_without_repeats():
    labels, counts = np.array([3, 50, 3, 99, 0]), np.zeros(100)
    for step in range(2000):
        chosen = sampled(labels, 100, 0.2, 5, step)
        assert len(chosen) == 20
        assert (np.diff(chosen) > 0).all()
        assert np.isin(labels, chosen).all()
        counts[chosen] += 1
    others = np.delete(counts, labels)
    # Each of 96 others in 16 places: binomial, 5 deviations.
    share = 16 / 96
    assert np.abs(others / 2000 - share).max() < 5 * np.sqrt(share * (1 - share) / 2000)


def test_chance_depends_on_seed_and_step_alone():
    labels = np.array([3, 50])
    first = sampled(labels, 1000, 0.1, 5, 8)
    np.random.default_rng().random(3)
    assert np.array_equal(first, sampled(labels[::-1], 1000, 0.1, 5, 8))
    assert not np.array_equal(first, sampled(labels, 1000, 0.1, 5, 9))
    assert not np.array_equal(first, sampled(labels, 1000, 0.1, 6, 8))


def test_a_batch_of_more_subjects_than_the_share_is_taken_whole():
    assert sampled(np.array([9, 2, 5, 2]), 10, 0.1, 0, 0).tolist() == [2, 5, 9]
    assert sampled(np.array([9, 2]), 10, 1.0, 0, 0).tolist() == list(range(10))


def test_a_step_that_the_scaler_leaves_out_leaves_all_as_it_was():
    training = Training("adamw", 0.5)
    training.step(0)
    before = training.saved()
    before = {"weight": before["head"]["weight"].clone(), **before["centres"]}
    before = {name: values.clone() for name, values in before.items()}
    training.centres.begin(1, np.arange(16))
    training.centres.end()
    after = {"weight": training.head.weight.data, **training.centres.state_dict()}
    assert set(after) == {"weight", "step", "exp_avg", "exp_avg_sq"}
    assert all(torch.equal(values, before[name]) for name, values in after.items())


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(BadInput, match="centres must be above 0 and at most 1"):
        Training("sgd", share)


MEMORY = """
import sys, torch
from torch import nn
from facelab.training.centres import SampledCentres
from facelab.training.heads import HEADS

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

def train(subjects, share):
    layer, head = nn.Linear(64, 256), HEADS["arcface"](256, subjects, 64.0, 0.5)
    groups = [{"params": list(layer.parameters())}]
    if share == 1:
        groups.append({"params": [head.weight]})
    optimiser = torch.optim.AdamW(groups, lr=1e-2, fused=True)
    centres = SampledCentres(head.weight, optimiser, share, 0) if share < 1 else None
    images, labels, losses = torch.randn(128, 64), torch.randint(subjects, (128,)), []
    for step in range(3):
        optimiser.zero_grad()
        weight, rows = centres.begin(step, labels.numpy()) if centres else (None, labels)
        loss = head.losses(layer(images), rows, weight=weight).mean()
        loss.backward()
        optimiser.step()
        if centres:
            centres.end()
        losses.append(loss.item())
    return losses

# A first run brings in what torch loads late.
train(100, float(sys.argv[1]))
before = peak()
losses = train(93_000, float(sys.argv[1]))
print(peak() - before, losses[0], losses[-1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_93_000_subjects_take_the_memory_of_weight_and_moments_and_little_more():
    """In MB: weight and moments are 3 x 91; a gradient is 91 more, logits are 45 for each use."""
    sampling, whole = (
        [
            float(value)
            for value in subprocess.run(
                [sys.executable, "-c", MEMORY, share], capture_output=True, text=True, check=True
            ).stdout.split()
        ]
        for share in ("0.05", "1")
    )
    held = 3 * 93_000 * 256 * 4 / 2**20
    print(f"beyond what is held: {sampling[0] - held:.0f} MB sampled, {whole[0] - held:.0f} whole")
    assert sampling[0] - held < 100
    assert whole[0] - held > 300
    assert sampling[2] < sampling[1]
