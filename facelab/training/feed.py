"""The batches of a training, read and sent to its device ahead of the step that needs them.

In: the images that are trained on and who is in which batch. Out: batches, in the order of the
steps. A thread reads the next ones while a step is at work; to a GPU they go from memory that the
GPU reads by itself, beside what it computes.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facelab.training.examples import Examples

AHEAD = 2  # batches that are ready or on their way


@dataclass(frozen=True)
class Loaded:
    """What is loaded for one step.

    Attributes
    ----------
    rows, subjects
        int (B,), on the host: the images' rows and their subjects.
    labels, groups
        int64 (B,), on the device: what is learnt of them (subjects, or a target), and groups.
    images
        uint8 (b, S, S, 3), on the device: the crops of `feed`'s `here`.
    others
        Images of the same kind, or None: those of `feed`'s `beside`.
    sent
        When all of it is on a GPU; None where it is there already.
    """

    rows: np.ndarray
    subjects: np.ndarray
    labels: Tensor
    groups: Tensor
    images: Tensor
    others: Tensor | None
    sent: Any = None

    def wait(self) -> "Loaded":
        """Let the device's own work wait until the batch is there; this process does not."""
        if self.sent is not None:
            here = torch.cuda.current_stream()
            here.wait_event(self.sent)
            for part in (self.labels, self.groups, self.images, self.others):
                if part is not None:  # else its memory would be given to the batch after next
                    part.record_stream(here)
        return self


class Feed:
    """Batches by step.

    Parameters
    ----------
    examples
        The images.
    rows
        The rows of the whole batch at a step.
    here, beside
        Which of these rows' images this process works on, and which it shows in front of them;
        None are none.
    steps
        There is none from this one on.
    ahead
        How many are begun before they are asked for.
    """

    def __init__(
        self,
        examples: Examples,
        rows: Callable[[int], np.ndarray],
        here: Callable[[np.ndarray], np.ndarray],
        beside: Callable[[np.ndarray], np.ndarray] | None,
        steps: int,
        ahead: int = AHEAD,
    ) -> None:
        self._examples, self._rows, self._steps, self._ahead = examples, rows, steps, ahead
        self._here, self._beside = here, beside
        self._thread = ThreadPoolExecutor(1, "facelab-feed")
        self._ready: dict[int, Future[Loaded]] = {}
        # Copies wait for one another, and not for what is computed.
        cuda = examples.device.type == "cuda"
        self._stream = torch.cuda.Stream(examples.device) if cuda else None

    def take(self, step: int) -> Loaded:
        """The batch of a step; those after it are begun."""
        for near in range(step, min(step + 1 + self._ahead, self._steps)):
            if near not in self._ready:
                self._ready[near] = self._thread.submit(self._make, near)
        for passed in [number for number in self._ready if number < step]:
            del self._ready[passed]
        return self._ready.pop(step).result().wait()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._ready.clear()

    def _make(self, step: int) -> Loaded:
        rows = self._rows(step)
        with torch.cuda.stream(self._stream) if self._stream else nullcontext():
            labels, groups = self._examples.labels_of(rows)
            images = self._examples.crops(self._here(rows))
            others = self._beside and self._examples.crops(self._beside(rows))
            sent = self._stream and self._stream.record_event()
        subjects = self._examples.labels[rows]
        return Loaded(rows, subjects, labels, groups, images, others, sent)
