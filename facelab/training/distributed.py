"""Several processes that train one network, as `torchrun` starts them.

In: the environment that `torchrun` sets. Out: which part of every batch and of the centres is ours,
and the sums over all processes that make the result that of one process: embeddings are gathered,
everybody works out the whole batch's loss with the others (`shards`), gradients are added up, batch
norm sees the whole batch (`norms`). What one process finds out is told to all.
"""

import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from facelab.embedders.tensors import pick_device
from facelab.errors import BadInput, FacelabError
from facelab.training.pulses import pulses
from facelab.workers import end_with

T = TypeVar("T")

# For what one process does while all others wait, such as a look at held-out subjects: whether it
# still lives is not told by the time it takes, but by its pulse.
_PATIENT = timedelta(days=7)
# What gloo, nccl and the store say when a process is gone, in words alone.
_GONE = ("connection", "gloo", "nccl", "socket", "broken pipe", "timed out", "timeout", "peer")


@dataclass(frozen=True)
class Team:
    """The processes of one training: how many, which of them this is, and its device.

    `words` and `writing` are groups of the same processes: for what is told while a training goes
    on, and for the threads that write its checkpoints.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    words: Any = None
    writing: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and shows."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """This process's share of a batch.

        Raises
        ------
        BadInput
            The batch does not divide among the processes.
        """
        if batch % self.size:
            raise BadInput(
                f"a batch of {batch} images does not divide among {self.size} processes: change "
                "batch, accumulate or the number of processes"
            )
        length = batch // self.size
        return slice(self.rank * length, (self.rank + 1) * length)

    def rows(self, subjects: int, rank: int | None = None) -> slice:
        """The subjects whose centres a process holds, by default this one."""
        rank = self.rank if rank is None else rank
        return slice(subjects * rank // self.size, subjects * (rank + 1) // self.size)

    def gather(self, part: Tensor) -> Tensor:
        """The tensors of all processes below each other; gradients flow to one's own."""
        return _Gather.apply(part, self) if self.size > 1 else part

    def added(self, part: Tensor) -> Tensor:
        """The sum of what the processes hold, the same on all; so is its gradient."""
        return _Add.apply(part) if self.size > 1 else part

    def handed_out(self, whole: Tensor) -> Tensor:
        """What is the same on all processes, of which each makes something else.

        Its gradient is the sum of what comes back to all of them.
        """
        return _HandOut.apply(whole) if self.size > 1 else whole

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return flag
        told = torch.tensor([float(flag)], device=self.device)
        distributed.all_reduce(told)
        return bool(told.item())

    def told(self, work: Callable[[], T]) -> T:
        """What the first process finds out, on all of them; what it raises, on all of them, too."""
        if self.size == 1:
            return work()
        kept: list[Any] = [None, None]
        if self.leads:
            try:
                kept[0] = work()
            except Exception as error:
                kept[1] = _as_told(error)
                distributed.broadcast_object_list(kept, 0, self.words)
                raise
        distributed.broadcast_object_list(kept, 0, self.words)
        if kept[1] is not None:
            raise kept[1]
        return kept[0]

    def heard(self, words: T, group: Any = None) -> list[T]:
        """What every process has to say, in the order of their ranks."""
        if self.size == 1:
            return [words]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, words, group or self.words)
        return found

    def all_rows(self, ours: Tensor, cuts: Sequence[int]) -> Tensor:
        """The rows of all processes below each other, on the host.

        `cuts` are where each one's begin, and at last how many there are.
        """
        whole = ours.new_empty(cuts[-1], *ours.shape[1:])
        whole[cuts[self.rank] : cuts[self.rank + 1]] = ours
        for rank, (start, stop) in enumerate(pairwise(cuts)):
            if start < stop:
                distributed.broadcast(whole[start:stop], rank, self.words)
        return whole

    def as_the_first(self, module: nn.Module) -> None:
        """Give a module the weights it has on the first process."""
        if self.size > 1:
            for value in module.state_dict().values():
                distributed.broadcast(value, 0)

    def spread(self, network: nn.Module) -> nn.Module:
        """The network as all processes train it together; its parameters are the same objects."""
        if self.size == 1 or not any(p.requires_grad for p in network.parameters()):
            return network
        from facelab.training.norms import over_all_processes

        over_all_processes(network, self.device)
        ids = [self.device.index] if self.device.type == "cuda" else None
        shared = DistributedDataParallel(network, device_ids=ids)
        shared.register_comm_hook(None, _add_up)
        return shared

    def scaler(self, enabled: bool) -> torch.amp.GradScaler:
        """What scales a loss of half precision; all processes agree on every step it leaves out."""
        if self.size == 1:
            return torch.amp.GradScaler(self.device.type, enabled=enabled)
        from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

        return ShardedGradScaler(self.device.type, enabled=enabled)


@contextmanager
def team(device: str) -> Iterator[Team]:
    """Join the other processes if `torchrun` started this one, and leave them at the end.

    Raises
    ------
    FacelabError
        Another process was lost.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(pick_device(device))
        return
    where = pick_device(device)
    if where.type == "cuda":
        where = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(where)
    ours = not distributed.is_initialized()
    if ours:
        _check_launcher()
        distributed.init_process_group("nccl" if where.type == "cuda" else "gloo")
    rank, kept = distributed.get_rank(), {"backend": "gloo", "timeout": _PATIENT}
    words, writing = (distributed.new_group(**kept) for _ in range(2))
    try:
        with pulses(rank, size, words):
            yield Team(where, rank, size, words, writing)
            # Who leaves first closes what the others may still be told by.
            distributed.barrier(words)
    except Exception as error:
        if not _is_of_others(error):
            if ours:
                distributed.destroy_process_group()
            raise
        # Nobody is there to say goodbye to.
        line = str(error).strip().splitlines()[0]
        raise FacelabError(
            f"process {rank} of {size} lost another one ({line}), and all stop: what ended that "
            "one stands in its own output; with `checkpoints`, resume goes on from the newest"
        ) from error
    if ours:
        distributed.destroy_process_group()


def _is_of_others(error: Exception) -> bool:
    """Whether an error says that another process cannot be reached."""
    if isinstance(error, distributed.DistError):
        return True
    return type(error) is RuntimeError and any(word in str(error).lower() for word in _GONE)


def _as_told(error: Exception) -> Exception:
    """An error as other processes can raise it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        # Some keep what has no words: files, locks, more arguments than their message.
        return FacelabError(f"{type(error).__name__} on the first process: {error}")
    return error


def _check_launcher() -> None:
    """Tie this process to `torchrun`, which may be gone by now: torch would wait for half an hour.

    Raises
    ------
    FacelabError
        Nobody listens where the processes are to meet.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with(os.getppid())
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        socket.create_connection(where, timeout=60).close()
    except OSError as error:
        raise FacelabError(
            f"torchrun does not answer at {where[0]}:{where[1]} ({error.strerror or error}): it "
            "was ended, or this machine does not reach it"
        ) from error


class _Gather(torch.autograd.Function):
    """All processes' rows. Each works out the same loss from them, so no gradient is exchanged."""

    @staticmethod
    def forward(context: Any, part: Tensor, team: Team) -> Tensor:
        context.part = slice(team.rank * len(part), (team.rank + 1) * len(part))
        whole = [torch.empty_like(part) for _ in range(team.size)]
        distributed.all_gather(whole, part.contiguous())
        return torch.cat(whole)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient[context.part], None


class _Add(torch.autograd.Function):
    """A sum over the processes; each works out the same from it, so its gradient is there."""

    @staticmethod
    def forward(context: Any, part: Tensor) -> Tensor:
        whole = part.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _HandOut.apply(gradient)


class _HandOut(torch.autograd.Function):
    """What all hold alike and use differently; its gradient is the sum of all."""

    @staticmethod
    def forward(context: Any, whole: Tensor) -> Tensor:
        return whole.view_as(whole)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _Add.apply(gradient)


def _add_up(state: None, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
    """Add gradients up: each process holds its images' share of one loss, not a loss of its own."""
    done = distributed.all_reduce(bucket.buffer(), async_op=True).get_future()
    return done.then(lambda future: future.value()[0])
