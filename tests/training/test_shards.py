"""What several processes have in parts, and what they tell each other, seen from one of them."""

import copy
import errno
import threading
from pathlib import Path

import pytest
import torch
from training_sets import TINY, patterns

import facelab as fl
from facelab.errors import BadInput, FacelabError, Stopped
from facelab.training.checkpoints import Checkpoints, remove_checkpoints
from facelab.training.distributed import Team, _as_told, _is_of_others
from facelab.training.heads import HEADS
from facelab.training.loop import _check_alike
from facelab.training.parts import Parts
from facelab.training.shards import Across, clip, put_together, taken_apart

CPU = torch.device("cpu")


class Half(Team):
    """One of two processes, without the other: what it says is what all say."""

    def told(self, work):
        return "the same run" if self.rank else work() and "the same run"

    def heard(self, words, group=None):
        return [words]


@pytest.fixture
def halves(tmp_path) -> tuple[Path, dict]:
    """Checkpoints of two steps, each in two parts, and what they hold."""
    whole = {
        "step": 7,
        "head": {"weight": torch.randn(5, 3), "t": torch.tensor(0.5)},
        "optimiser": {"state": {4: {"exp_avg": torch.randn(5, 3), "step": torch.tensor(7.0)}}},
        "centres": {"step": torch.arange(9), "momentum": torch.randn(5, 3)},
    }
    for step in (3, 7):
        for rank in (1, 0):  # the first writes last
            cut = slice(0, 2) if rank == 0 else slice(2, 5)
            state = copy.deepcopy(whole)
            rows = taken_apart(state, 4)
            assert rows.keys() == {"head.weight", "optimiser.exp_avg", "centres.momentum"}
            put_together(state, {name: value[cut] for name, value in rows.items()}, 4)
            saved = Checkpoints(tmp_path, 9, {"a": 1}, Half(CPU, rank, 2))
            saved.save(step, state, [0, 2, 5], 4)
            assert saved.finish() == step
    return tmp_path, whole


def test_parts_are_one_whole_again_for_any_number_of_processes(halves):
    folder, whole = halves
    assert len(list(folder.glob("step-*.part-*.pt"))) == 4
    for cut in (slice(0, 5), slice(0, 1), slice(1, 3), slice(2, 5), slice(3, 3)):
        found = Checkpoints(folder, 1, {"a": 1}).latest(CPU, cut, 4)
        expected = copy.deepcopy(whole)
        rows = {name: value[cut] for name, value in taken_apart(expected, 4).items()}
        if cut.start < cut.stop:
            put_together(expected, rows, 4)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    fl.verify(folder)
    remove_checkpoints(folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda part: part.write_bytes(part.read_bytes()[:-90]), "part-1.pt has no sum"),
        (lambda part: part.unlink(), "part-1.pt is missing"),
        (
            lambda part: part.write_bytes(part.with_name("step-000000003.part-1.pt").read_bytes()),
            "part-1.pt belongs to another checkpoint",
        ),
    ],
)
def test_a_checkpoint_of_which_a_part_is_not_whole_is_passed_over(halves, damage, told):
    folder, _ = halves
    damage(folder / "step-000000007.part-1.pt")
    with pytest.warns(UserWarning, match=rf"{told}.*: step-000000003.pt, before it, is gone on"):
        found = Checkpoints(folder, 1, {"a": 1}).latest(CPU, slice(0, 5), 4)
    assert len(found["head"]["weight"]) == 5


def test_parts_that_are_no_longer_anybodys_go(halves):
    folder, whole = halves
    saved = Checkpoints(folder, 1, {"a": 1})  # one process goes on from there
    saved.save(7, whole)
    saved.finish()
    assert [path.name for path in folder.glob("*.pt")] == ["step-000000007.pt"]


def test_the_rows_of_all_processes_are_all_subjects_once():
    for processes in (1, 2, 3, 4, 7):
        teams = [Team(CPU, rank, processes) for rank in range(processes)]
        rows = [list(range(5)[team.rows(5)]) for team in teams]
        assert [row for some in rows for row in some] == [0, 1, 2, 3, 4]
        assert Across(teams[0], 5).cuts == [
            0,
            *(sum(map(len, rows[: n + 1])) for n in range(processes)),
        ]


@pytest.mark.parametrize("head", sorted(set(HEADS) - {"contrast"}))
@pytest.mark.parametrize("block", [2**16, 16, 48])
def test_new_centres_are_the_same_however_many_draw_them(head, block, monkeypatch):
    monkeypatch.setattr("facelab.training.heads._BLOCK", block)
    torch.manual_seed(3)
    whole = HEADS[head](8, 101, 16.0, 0.3).weight
    after = torch.rand(1)
    parts = []
    for rank in range(3):
        torch.manual_seed(3)
        parts.append(HEADS[head](8, 101, 16.0, 0.3, across=Across(Team(CPU, rank, 3), 101)).weight)
        assert torch.equal(torch.rand(1), after)  # what is drawn next is the same, too
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("most", [0.1, 1e6])
def test_gradients_are_cut_as_torch_cuts_them_bit_for_bit(most):
    torch.manual_seed(0)
    layer, head = torch.nn.Linear(6, 8), HEADS["cosface"](8, 41, 16.0, 0.3)
    parameters = [*layer.parameters(), *head.parameters()]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape)
    layer.bias.grad = None
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
    for one, parameter in zip(theirs, parameters, strict=True):
        one.grad = None if parameter.grad is None else parameter.grad.clone()
    torch.nn.utils.clip_grad_norm_(theirs, most)
    clip(list(layer.parameters()), head, None, most, Team(CPU))
    for one, parameter in zip(theirs, parameters, strict=True):
        assert parameter.grad is None if one.grad is None else torch.equal(one.grad, parameter.grad)


def test_processes_that_were_given_different_trainings_are_refused():
    class Other(Team):
        def heard(self, words, group=None):
            return [words, words | {"faces": "of others"}]

    with pytest.raises(BadInput, match=r"process 1 was given another .* differs in faces"):
        _check_alike(TINY, Parts(), {"faces": patterns(), "meta": None}, Other(CPU, 0, 2))


def test_what_one_finds_wrong_can_be_raised_by_all():
    for error in (BadInput("no"), Stopped("later", "SIGTERM"), OSError(errno.ENOSPC, "full", "x")):
        told = _as_told(error)
        assert type(told) is type(error) and str(told) == str(error)
    odd = RuntimeError("odd", threading.Lock())
    assert type(_as_told(odd)) is FacelabError and "RuntimeError on the first" in str(_as_told(odd))


@pytest.mark.parametrize(
    ("error", "others"),
    [
        (RuntimeError("[gloo/tcp/pair.cc:547] Connection closed by peer [::1]:2094"), True),
        (torch.distributed.DistBackendError("NCCL error"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (torch.OutOfMemoryError("CUDA out of memory. timeout"), False),
        (BadInput("connection"), False),
    ],
)
def test_a_lost_process_is_told_from_other_errors(error, others):
    assert _is_of_others(error) is others
