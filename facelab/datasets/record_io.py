"""RecordIO, the container of MXNet and InsightFace: many images with labels in one file.

In: `.rec` and its `.idx`. Out: where each record starts, the labels of all records at once, and the
bytes of one. Nothing of the file stays in memory but its labels.
"""

import mmap
from pathlib import Path

import numpy as np

from facelab.errors import BadInput
from facelab.limits import PHOTO, RECORD_INDEX, read_bytes

MAGIC = 0xCED7230A
_MAGIC = MAGIC.to_bytes(4, "little")
_LENGTH = (1 << 29) - 1
# A payload starts with `<IfQQ`: flag, label, id, id2; `flag` float32 labels follow if it is not 0.
HEADER = 24
_MOST_LABELS = 1024
_DIGITS = 19  # which int64 no longer holds


def read_index(path: Path) -> dict[int, int]:
    """Key to byte offset, from lines `key<tab>offset`."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no index {path}: it belongs beside the .rec file")
    index = {}
    for number, line in enumerate(read_bytes(path, RECORD_INDEX).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not all(map(_is_number, words)):
            raise BadInput(f"{path} line {number} is not `key offset`: get or make the index again")
        key, offset = int(words[0]), int(words[1])
        if key in index:
            raise BadInput(f"{path} line {number} lists key {key} again")
        index[key] = offset
    if not index:
        raise BadInput(f"{path} lists no records")
    return index


def _is_number(word: bytes) -> bool:
    return word.isdigit() and len(word) < _DIGITS


def record(path: Path, offset: int) -> bytes:
    """The payload of the record at an offset, its parts joined.

    A writer cuts a payload where it holds the magic number at a multiple of 4 bytes, and leaves the
    number out; it comes back here. Parts are marked whole 0, first 1, middle 2, last 3.

    Raises
    ------
    BadInput
        No record starts there, or it is cut short.
    """
    parts, room = [], PHOTO.bytes
    with path.open("rb") as file:
        if not 0 <= offset < file.seek(0, 2):
            raise BadInput(f"{path} has no record at byte {offset}: the file is cut short")
        file.seek(offset)
        while True:
            head = file.read(8)
            if len(head) < 8 or head[:4] != _MAGIC:
                raise BadInput(f"{path} has no record at byte {offset}: the file is damaged")
            word = int.from_bytes(head[4:], "little")
            kind, length = word >> 29, word & _LENGTH
            if kind not in ((2, 3) if parts else (0, 1)):
                raise BadInput(f"{path} has a part of kind {kind} out of place at byte {offset}")
            part = file.read(length)
            if len(part) < length:
                raise BadInput(f"{path} is cut short within the record at byte {offset}")
            parts.append(part)
            room -= length
            if room < 0:
                raise BadInput(f"{path} has more than {PHOTO.what} at byte {offset}")
            if kind in (0, 3):
                return _MAGIC.join(parts)
            file.seek(-length % 4, 1)


def unpacked(payload: bytes, where: str) -> tuple[np.ndarray, bytes]:
    """The float32 labels of a payload, and what follows them (the encoded image)."""
    flag = int.from_bytes(payload[:4], "little")
    start = HEADER + 4 * flag
    if len(payload) < HEADER or flag > _MOST_LABELS or len(payload) < start:
        raise BadInput(f"{where} has no header of flag, label and ids: the file is damaged")
    labels = payload[HEADER:start] if flag else payload[4:8]
    return np.frombuffer(labels, "<f4"), payload[start:]


def image_at(path: Path, offset: int) -> bytes:
    """The encoded image of the record at an offset."""
    return unpacked(record(path, offset), f"{path} at byte {offset}")[1]


def labels_at(path: Path, offsets: np.ndarray, count: int) -> np.ndarray:
    """The first `count` labels of many records, read in one pass over their headers.

    Parameters
    ----------
    path
        The `.rec` file; it is mapped, not loaded.
    offsets
        int64 (N,), where the records start.
    count
        1 or more; NaN where a record has fewer labels.

    Returns
    -------
    numpy.ndarray
        float32 (N, count).

    Raises
    ------
    BadInput
        The index and the file disagree, or the file is cut short: the sentence names the place.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        # Room for the longest header that is looked at; a record of fewer bytes is read singly.
        need = 8 + HEADER + 4 * count
        bad = (offsets % 4 != 0) | (offsets + 8 > size)
        if bad.any():
            raise BadInput(
                f"{path} has no record at byte {offsets[bad.argmax()]}, where its index says: the "
                "file is cut short, or the index is another file's"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            words = np.frombuffer(mapped, "<u4", count=size // 4)
            start = offsets // 4
            kind, length = words[start + 1] >> 29, (words[start + 1] & _LENGTH).astype(np.int64)
            wrong = (words[start] != MAGIC) | ~np.isin(kind, (0, 1)) | (offsets + 8 + length > size)
            simple = (length >= need - 8) & (offsets + need <= size) & ~wrong
            labels = np.full((len(offsets), count), np.nan, np.float32)
            place = start[simple]
            flag = words[place + 2]
            labels[simple, 0] = words[place + 3].view("<f4")
            for number in range(count):
                has = flag > number
                values = words[place + 2 + HEADER // 4 + number].view("<f4")
                labels[np.flatnonzero(simple)[has], number] = values[has]
            del words
    if wrong.any():
        raise BadInput(
            f"{path} has no whole record at byte {offsets[wrong.argmax()]}, where its index says "
            f"({wrong.sum()} of {len(offsets)}): the file is cut short, or the index is another "
            "file's"
        )
    for row in np.flatnonzero(~simple):
        offset = int(offsets[row])
        found = unpacked(record(path, offset), f"{path} at byte {offset}")[0][:count]
        labels[row, : len(found)] = found
    return labels
