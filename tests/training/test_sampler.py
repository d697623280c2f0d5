"""Who is in the batch: shares, turns, and batches that follow from the step alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput
from facelab.training.sampler import Sampler

# 40 subjects with 1 to 500 images; the second group has three, the third one.
IMAGES = np.concatenate([np.geomspace(1, 500, 36).astype(int), [8, 40, 200], [30]])
GROUP = np.array([0] * 36 + [1] * 3 + [2])


def rows_of(images: np.ndarray, group: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Every image's subject and group, in no order."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(images)), images))
    return labels, group[labels]


def asked(images, group, group_power: float, subject_power: float) -> np.ndarray:
    """The definition, subject by subject."""
    by_group = {g: sum(n for n, h in zip(images, group, strict=True) if h == g) for g in group}
    all_groups = sum(total**group_power for total in by_group.values())
    shares = []
    for n, g in zip(images, group, strict=True):
        of_group = sum(m**subject_power for m, h in zip(images, group, strict=True) if h == g)
        shares.append(by_group[g] ** group_power / all_groups * n**subject_power / of_group)
    return np.array(shares)


def drawn(sampler: Sampler, batches: int) -> np.ndarray:
    return np.concatenate([sampler.batch(step) for step in range(batches)])


@pytest.mark.parametrize("together", [1, 2, 4])
@pytest.mark.parametrize("subject_power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("group_power", [0.0, 0.5, 1.0])
def test_over_10000_batches_every_group_and_subject_has_the_share_asked_for(
    group_power, subject_power, together
):
    images = np.maximum(IMAGES, together)
    labels, groups = rows_of(images, GROUP)
    sampler = Sampler(labels, groups, 8, together, group_power, subject_power, seed=3)
    rows = drawn(sampler, 10_000)
    shares = asked(images, GROUP, group_power, subject_power)
    sets = len(labels) // together
    passes = len(rows) // (sets * together)
    assert passes > 15

    # In each pass a subject is within one set of its due.
    whole = rows[: passes * sets * together].reshape(passes, sets * together)
    counts = np.array([np.bincount(labels[part], minlength=len(images)) for part in whole])
    counts = counts / together
    due = sets * shares
    assert (np.abs(counts - due) < 1 + 1e-5).all()

    # What is left to chance is a coin a pass with the right mean: 4.5 standard deviations.
    rest = np.clip(due % 1, 0, 1)
    allowed = 4.5 * np.sqrt(passes * rest * (1 - rest)) + 1e-3
    assert (np.abs(counts.sum(0) - passes * due) < allowed).all()

    # Groups, over all batches: 4 deviations of drawing with replacement, which is more.
    of_groups = np.bincount(groups[rows]) / len(rows)
    due = np.bincount(GROUP, shares)
    allowed = 4 * np.sqrt(due * (1 - due) / (len(rows) / together))
    assert (np.abs(of_groups - due) < allowed).all()


def test_as_in_the_data_every_image_comes_once_a_pass():
    labels, groups = rows_of(IMAGES, GROUP)
    rows = drawn(Sampler(labels, groups, 16), 600)
    whole = len(rows) // len(labels) * len(labels)
    passes = rows[:whole].reshape(-1, len(labels))
    assert len(passes) >= 2
    assert (np.sort(passes) == np.arange(len(labels))).all()
    assert not np.array_equal(passes[0], passes[1])


def test_every_place_in_a_pass_is_alike():
    """The order is shuffled: the first batch is no more of one group than the last."""
    labels, groups = rows_of(np.full(20, 10), np.repeat([0, 1], [15, 5]))
    first = np.array(
        [(groups[Sampler(labels, groups, 40, seed=seed).batch(0)] == 1).sum() for seed in range(99)]
    )
    # Hypergeometric: 50 of 200, 40 drawn, so 10 +- 2.46 in one and +- 0.25 in the mean of 99.
    assert first.mean() == pytest.approx(10, abs=1.0)
    assert first.std() == pytest.approx(2.46, abs=0.7)


def test_within_a_pass_a_subjects_images_take_turns():
    labels, groups = rows_of(IMAGES, GROUP)
    sampler = Sampler(labels, groups, len(labels), group_power=0.0, subject_power=0.0)
    for step in range(5):
        counts = np.bincount(sampler.batch(step), minlength=len(labels))
        for subject in range(len(IMAGES)):
            of_subject = counts[labels == subject]
            assert of_subject.max() - of_subject.min() <= 1


def test_over_many_passes_all_images_of_a_subject_come_equally_often():
    labels, groups = rows_of(np.array([5, 7, 60]), np.array([0, 0, 1]))
    sampler = Sampler(labels, groups, len(labels) // 4 * 4, 4, 0.0, 0.5)
    counts = np.bincount(drawn(sampler, 2000), minlength=len(labels))
    for subject in range(3):
        of_subject = counts[labels == subject]
        # A turn leaves some out by chance: at most a binomial count's deviation.
        assert np.abs(of_subject / of_subject.mean() - 1).max() < 5 / np.sqrt(of_subject.mean())


def test_images_that_come_together_are_of_one_subject_and_all_have_their_turn():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [3, 4, 5, 6, 7, 8]))
    rows = drawn(Sampler(labels, None, 9, together=3), 44).reshape(-1, 3)
    assert (labels[rows] == labels[rows[:, :1]]).all()
    assert all(len(set(together)) == 3 for together in rows.tolist())
    # 33 images are a pass of 11 sets, in which the subjects are due 1, 4/3, 5/3, 2, 7/3 and 8/3.
    for start in range(0, len(rows), 11):
        counts = np.bincount(labels[rows[start : start + 11, 0]], minlength=6)
        assert (counts >= [1, 1, 1, 2, 2, 2]).all() and (counts <= [1, 2, 2, 2, 3, 3]).all()
    assert set(rows.ravel()) == set(range(len(labels)))


@settings(max_examples=60, deadline=None)
@given(
    images=st.lists(st.integers(1, 30), min_size=1, max_size=15),
    groups=st.integers(1, 4),
    together=st.integers(1, 4),
    sets_a_batch=st.integers(1, 40),
    powers=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=st.integers(0, 2**31),
    step=st.integers(0, 10_000),
)
def test_any_batch_is_whole_sets_of_one_subject_and_follows_from_its_number(
    images, groups, together, sets_a_batch, powers, seed, step
):
    images = np.maximum(images, together)
    group = np.arange(len(images)) % groups
    labels, of_rows = rows_of(images, group, seed)

    def made() -> Sampler:
        return Sampler(labels, of_rows, sets_a_batch * together, together, *powers, seed)

    rows = made().batch(step)
    assert rows.shape == (sets_a_batch * together,)
    sets = rows.reshape(-1, together)
    assert (labels[sets] == labels[sets[:, :1]]).all()
    assert all(len(set(one)) == together for one in sets.tolist())
    # From another instance, in any order of calls.
    other = made()
    backwards = {number: other.batch(number) for number in (step + 2, step, step + 1, 0, step)}
    assert np.array_equal(backwards[step], rows)
    assert np.array_equal(made().batch(step + 1), backwards[step + 1])


def test_a_batch_larger_than_the_data_goes_on_into_the_next_passes():
    labels = np.repeat([0, 1], 3)
    small, large = Sampler(labels, None, 2), Sampler(labels, None, 20)
    assert np.array_equal(large.batch(0), drawn(small, 10))
    assert np.array_equal(large.batch(3), drawn(small, 40)[-20:])
    assert np.bincount(large.batch(0)[:18]).tolist() == [3] * 6


def test_seeds_differ():
    labels, groups = rows_of(IMAGES, GROUP)
    a, b = (Sampler(labels, groups, 32, seed=seed).batch(0) for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_rounding_in_long_sums_makes_no_pass_longer_or_shorter(monkeypatch):
    """The sum of the dues is off by a millionth here; the draw that would show it comes up."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(1000), rng.integers(1, 5, 1000))
    sampler = Sampler(labels, None, 8, subject_power=0.5)

    class Unlucky:
        permutation = staticmethod(np.random.default_rng(1).permutation)

        def __init__(self, start: float) -> None:
            self.start = start

        def random(self, size: int | None = None):
            return self.start if size is None else rng.random(size)

    for off, start in ((1 - 1e-8, 0.0), (1 + 1e-8, 1 - 1e-9)):
        sampler.due = sampler.sets * sampler.due / sampler.due.sum() * off
        assert len(sampler._draw(Unlucky(start))) == len(labels)


def test_a_subject_with_too_few_images_to_come_together_is_refused():
    recipe = dataclasses.replace(TINY, together=8)
    with pytest.raises(BadInput, match="a subject has only 6 of the 8 images that come together"):
        fl.train(patterns(), recipe)


def test_a_subject_in_two_groups_is_refused():
    with pytest.raises(BadInput, match="a subject stands in two groups"):
        Sampler(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
