"""What an ONNX model is made of: its file, and the files beside it in which its weights may lie.

In: a model's path. Out: the files that decide what it computes, and one checksum of them all. The
model is read as protobuf lays it out, for onnxruntime does not tell, and the onnx package is large.
"""

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from facelab import files
from facelab.errors import BadInput
from facelab.limits import MODEL, Limit, check_file

# By message and number, the fields in which tensors may stand; of a tensor, where its data lies.
# From onnx.proto, whose numbers never change.
_FIELDS = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
        **{22: "sparse", 23: "sparse"},
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_FIXED = {1: 8, 5: 4}  # bytes of protobuf's fixed wire types
_LONGEST = 63  # bits of protobuf's numbers
_WEIGHTS = Limit("a file of weights", 2**62)
_BYTES = 2  # and the one of known length: texts, messages, raw data


def model_files(path: Path) -> list[Path]:
    """The model's file, then those that hold its weights, by name.

    Raises
    ------
    BadInput
        The file is not laid out as a model is.
    """
    check_file(path, MODEL)
    try:
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            names = set(_locations(data, "model", 0, len(data)))
    except (IndexError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is damaged, or no ONNX model: give another file") from error
    return [path, *(_beside(path, name) for name in sorted(names))]


def _beside(path: Path, name: str) -> Path:
    """A file of weights that a model names: in its own folder or below, and a regular one."""
    folder = path.parent.resolve()
    place = path.parent / name
    if not name or "\0" in name or not place.resolve().is_relative_to(folder):
        raise BadInput(f"{path} says that its weights lie in {name!r}, outside its folder")
    check_file(place, _WEIGHTS)
    return place


def checksum(path: Path) -> str:
    """The SHA-256 of a model's file; where weights lie in others, of all of them together."""
    parts = model_files(path)
    sums = [files.sha256(part) for part in parts]
    if len(sums) == 1:
        return sums[0]
    lines = (f"{part.name} {one}\n" for part, one in zip(parts, sums, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def quantises_by_batch(path: Path) -> bool:
    """Whether a model rounds by the largest number of the batch it is given.

    The operators that do so (DynamicQuantizeLinear, onnxruntime's DynamicQuantizeMatMul and LSTM)
    stand in the file by name; the word elsewhere in it costs time and no more.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"DynamicQuantize") >= 0


def _locations(data: mmap.mmap, message: str, start: int, end: int) -> Iterator[str]:
    """The names of files in which tensors of a message say that their data lies."""
    if message == "entry":
        told = {number: data[first:last] for number, first, last in _parts(data, start, end)}
        if told.get(1) == b"location":
            yield told.get(2, b"").decode()
        return
    for number, first, last in _parts(data, start, end):
        if inner := _FIELDS[message].get(number):
            yield from _locations(data, inner, first, last)


def _parts(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of known length of a message, by number; all others are passed over."""
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if not tag >> 3 or kind not in (0, _BYTES, *_FIXED):
            raise ValueError("no field of protobuf")
        if kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("longer than what it stands in")
            yield tag >> 3, at, at + length
            at += length
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            _, at = _varint(data, at)


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the last without the eighth, and where it ends."""
    value = shift = 0
    while shift <= _LONGEST:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("no number of protobuf")
