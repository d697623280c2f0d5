"""Rows of crops into a buffer: copied where they are in memory, read by threads where they are not.

In: where crops are stored, and row numbers. Out: the rows, in a buffer of the caller's. Through a
memory map, rows that lie on a disk come one after the other, page by page; a disk gives many times
as much to whoever asks for several at a time.
"""

import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from facelab.errors import BadInput
from facelab.sums import Mapped

READERS = 16  # reads at a time
_AT_ONCE = 8  # rows a thread is handed


class Rows:
    """Crops by row.

    Parameters
    ----------
    store
        The crops, uint8 (N, S, S, 3): an array, one that is mapped from a file, or what gives them
        as an array does.
    chosen
        Rows of the store that there are; None is all of them.
    descriptor, start
        An open file that holds the store's bytes from a place on, and is closed with this; by
        default that of a `Mapped`.
    """

    def __init__(
        self,
        store: Any,
        chosen: np.ndarray | None = None,
        descriptor: int | None = None,
        start: int = 0,
    ) -> None:
        self.store, self._chosen = store, chosen
        self._file, self._start = descriptor, start
        # What is in the page cache is copied at once; on others it is not told apart.
        self._tells = hasattr(os, "RWF_NOWAIT")
        self._threads: ThreadPoolExecutor | None = None
        if descriptor is not None:
            weakref.finalize(self, os.close, descriptor)

    def into(self, out: np.ndarray, rows: np.ndarray) -> None:
        """Put some rows into `out`, uint8 (len(rows), S, S, 3), contiguous."""
        rows = rows if self._chosen is None else self._chosen[rows]
        store, file, start = self.store, self._file, self._start
        if isinstance(store, Mapped):
            array = store.checked()
            file, start = store.descriptor, getattr(array, "offset", 0)
            store = array
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(store):
            raise IndexError(f"there are {len(store)} crops, and a row beyond them is asked for")
        if not isinstance(store, np.ndarray):  # whatever gives crops when it is asked for rows
            out[:] = store[rows]
            return
        if file is None or not hasattr(os, "preadv"):
            np.take(store, rows, axis=0, out=out, mode="clip")  # "raise" would copy twice
            return
        size = out[0].nbytes if len(out) else 0
        places = [
            (memoryview(one).cast("B"), start + int(row) * size)
            for one, row in zip(out, rows, strict=True)
        ]
        away = [place for place in places if not self._is_near(file, *place)]
        if not away:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(READERS, "facelab-read")
        parts = (away[at : at + _AT_ONCE] for at in range(0, len(away), _AT_ONCE))
        for one in [self._threads.submit(_read, file, part) for part in parts]:
            one.result()

    def _is_near(self, file: int, into: memoryview, at: int) -> bool:
        """Read what is in memory already; whether it was."""
        if not self._tells:
            return False
        try:
            return os.preadv(file, [into], at, os.RWF_NOWAIT) == len(into)
        except BlockingIOError:
            return False
        except OSError:  # some file systems cannot say
            self._tells = False
            return False


def _read(file: int, places: list[tuple[memoryview, int]]) -> None:
    for into, at in places:
        while len(into):
            done = os.preadv(file, [into], at)
            if not done:
                raise BadInput("the file of the crops ends before they do: it was cut short")
            into, at = into[done:], at + done
