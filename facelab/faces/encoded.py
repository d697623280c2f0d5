"""Crops as compressed images, decoded when they are asked for: a tenth of the room of raw ones.

In: encoded images, in a FaceSet's own files or where a data set keeps them. Out: crops by row, as
an array gives them; threads decode, so that a batch takes the time of its share of the processors.
"""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facelab import sums
from facelab.errors import BadInput, Damaged, check_option
from facelab.limits import check_room

DATA, STARTS = "encoded.npy", "starts.npy"
KINDS = ("jpeg", "png")
CHECK = 8  # bytes of an image's SHA-256 by which one that lies elsewhere is known again
_TASK = 8  # crops that are worth a thread
# What is decoded as it is, by many threads: what has another mode, a profile or a turn is for
# `photos` to read, one after the other.
_ODD_ONES = threading.Lock()
_FORMATS, _MODES = ("JPEG", "PNG"), ("RGB", "L")
_MORE = ("icc_profile", "exif", "transparency")


class Source(Protocol):
    """Where encoded images are."""

    def __len__(self) -> int: ...

    def checked(self) -> Any:
        """Compare what is compared as a whole: once, before many threads would."""

    def encoded(self, row: int) -> bytes:
        """The bytes of one image, compared with what they were."""

    def odd(self, data: bytes) -> np.ndarray:
        """The pixels of an image that is not decoded as it is."""

    def called(self, row: int) -> str:
        """Where an image is, for messages."""


class Encoded:
    """An array of crops, uint8 (N, S, S, 3), that holds compressed images.

    Parameters
    ----------
    source
        The images.
    size
        S; an image of another side is refused when it is read.
    """

    def __init__(self, source: Source, size: int) -> None:
        self.source, self.shape = source, (len(source), size, size, 3)

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        numbers = self._numbers(rows)
        crops = np.empty((numbers.size, *self.shape[1:]), np.uint8)
        check_room(crops.nbytes, f"{numbers.size:,} crops, decoded,")
        self.source.checked()
        threads = _threads(os.getpid())
        count = min(threads._max_workers, -(-numbers.size // _TASK))
        if count < 2:
            self._fill(crops, numbers.ravel())
        else:
            parts = np.array_split(np.arange(numbers.size), count)
            work = [
                threads.submit(self._fill, crops[part[0] : part[-1] + 1], numbers[part])
                for part in parts
            ]
            for task in work:
                task.result()
        return crops if numbers.ndim else crops[0]

    def _numbers(self, rows: Any) -> np.ndarray:
        """The rows that an index asks for, as numbers from 0."""
        count = len(self)
        if isinstance(rows, slice):
            return np.arange(*rows.indices(count))
        numbers = np.asarray(rows)
        if numbers.dtype == bool:
            numbers = np.flatnonzero(numbers)
        numbers = np.where(numbers < 0, numbers + count, numbers).astype(np.int64)
        if ((numbers < 0) | (numbers >= count)).any():
            raise IndexError(f"there are {count} crops, and a row beyond them is asked for")
        return numbers

    def _fill(self, crops: np.ndarray, rows: np.ndarray) -> None:
        side = self.shape[1]
        for place, row in enumerate(rows.tolist()):
            data = self.source.encoded(row)
            pixels = decoded(data)
            if pixels is None:
                pixels = self.source.odd(data)
            if pixels.shape != (side, side, 3):
                high, wide = pixels.shape[:2]
                raise BadInput(f"{self.source.called(row)} is {wide}x{high} px, not {side}x{side}")
            crops[place] = pixels


def decoded(data: bytes) -> np.ndarray | None:
    """The pixels of a plain image, uint8 (H, W, 3); None where it takes more to read it right."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.mode not in _MODES or not image.info.keys().isdisjoint(_MORE):
            return None
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except Exception:
        # Decoders raise anything on damaged bytes, and what is no JPEG or PNG is not for here: what
        # reads the odd ones says what it is.
        return None


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """This process's threads; those of a parent are not in its forked child."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(count or 1, thread_name_prefix="facelab-decode")


# ---- in a FaceSet's own files


class Kept:
    """Encoded images one after the other in one array, and where each starts.

    Parameters
    ----------
    data
        uint8 (bytes of all,).
    starts
        int64 (N + 1,), the last is where the last image ends.
    where
        The folder, for messages.
    """

    def __init__(self, data: np.ndarray | sums.Mapped, starts: np.ndarray, where: Path) -> None:
        sound = data.ndim == starts.ndim == 1 and len(starts) > 0
        sound = sound and data.dtype == np.uint8 and starts.dtype == np.int64
        if not (
            sound and starts[0] == 0 and starts[-1] == len(data) and (np.diff(starts) > 0).all()
        ):
            raise Damaged(f"{where / STARTS} does not fit {DATA}: save the set again")
        self._data, self._starts, self._where = data, starts, where

    def __len__(self) -> int:
        return len(self._starts) - 1

    def encoded(self, row: int) -> bytes:
        return self._data[self._starts[row] : self._starts[row + 1]].tobytes()

    def odd(self, data: bytes) -> np.ndarray:
        raise Damaged(f"{self._where / DATA} holds what is no plain JPEG or PNG: save it again")

    def called(self, row: int) -> str:
        return f"image {row} of {self._where / DATA}"

    def checked(self) -> np.ndarray:
        """The bytes of all, compared with their sum now."""
        return self._data.checked() if isinstance(self._data, sums.Mapped) else self._data


def kept_in(folder: Path, stored: sums.Stored | None = None) -> Encoded:
    """The crops of a folder that holds them encoded; where it was opened, compared as any array."""
    if stored is None:
        data, starts = (np.load(folder / name, mmap_mode="r") for name in (DATA, STARTS))
    else:
        data, starts = stored.array(DATA), stored.array(STARTS).checked()
    kept = Kept(data, starts, folder)
    first = decoded(kept.encoded(0)) if len(kept) else np.empty((1, 1, 3), np.uint8)
    return Encoded(kept, len(kept.odd(b"") if first is None else first))


# ---- where a data set keeps them


class Lying:
    """Encoded images where they lie: files, or places in files that hold many.

    Parameters
    ----------
    paths, which
        The files, and of each image the number of its file.
    offsets
        int64 (N,), where in the file.
    checks
        The first bytes of every image's SHA-256, (N, CHECK) uint8.
    read
        Takes an image's bytes, called with its path and offset.
    decode
        Reads odd images; one at a time, for it is not made for threads.
    """

    def __init__(
        self,
        paths: list[str],
        which: np.ndarray,
        offsets: np.ndarray,
        checks: np.ndarray,
        read: Callable[[Path, int], bytes],
        decode: Callable[[bytes], np.ndarray],
    ) -> None:
        self._paths, self._which, self._offsets = [Path(path) for path in paths], which, offsets
        self._checks, self._read, self._decode = checks, read, decode

    def __len__(self) -> int:
        return len(self._which)

    def checked(self) -> None:
        """Every image is compared by itself."""

    def encoded(self, row: int) -> bytes:
        path, offset = self._paths[self._which[row]], int(self._offsets[row])
        try:
            data = self._read(path, offset)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise BadInput(f"{self.called(row)} cannot be read any more ({why})") from error
        if hashlib.sha256(data).digest()[:CHECK] != self._checks[row].tobytes():
            raise BadInput(
                f"{self.called(row)} has changed since the set was opened: open it again"
            )
        return data

    def odd(self, data: bytes) -> np.ndarray:
        with _ODD_ONES:
            return self._decode(data)

    def called(self, row: int) -> str:
        path, offset = self._paths[self._which[row]], int(self._offsets[row])
        return f"{path} at byte {offset}" if offset else str(path)


# ---- written


def write_encoded(folder: Path, images: Iterable[bytes]) -> None:
    """Write `encoded.npy` and `starts.npy`; nothing of them is held in memory but the starts."""
    ends = [0]
    with open(folder / DATA, "wb") as file:
        # A .npy of some length first; its header has room for the true one.
        _header(file, 0)
        for image in images:
            file.write(image)
            ends.append(ends[-1] + len(image))
        file.seek(0)
        _header(file, ends[-1])
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / STARTS, np.array(ends, np.int64))


def _header(file: Any, length: int) -> None:
    facts = {"descr": "|u1", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, facts)


def plain(store: Encoded, rows: Iterable[int]) -> Iterator[bytes]:
    """The bytes of images as they are; those that are not plain once more, without loss."""
    for row in rows:
        data = store.source.encoded(row)
        yield data if decoded(data) is not None else next(encode([store.source.odd(data)], "png"))


def encode(crops: Iterable[np.ndarray], kind: str, quality: int = 95) -> Iterator[bytes]:
    """Crops as compressed images.

    Parameters
    ----------
    crops
        uint8 (S, S, 3) each.
    kind
        "jpeg", colours at full resolution, or "png", which loses nothing.
    quality
        Of JPEG, 1 to 100.
    """
    from PIL import Image

    check_option("stored", kind, KINDS)
    how: dict[str, Any] = {"quality": quality, "subsampling": 0} if kind == "jpeg" else {}
    for crop in crops:
        Image.fromarray(crop).save(room := io.BytesIO(), kind.upper(), **how)
        yield room.getvalue()
