"""WebDataset's shards: tar files in which `0001.jpg` and `0001.cls` are one sample.

In: tar files, as they were packed for training. Out: a `Reader` whose images stay in the shards
until they are read, one at a time.
"""

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.walking import PICTURES
from facelab.errors import BadInput, how_many
from facelab.limits import PHOTO, Limit, opened, spelt
from facelab.words import read

_BLOCK = tarfile.BLOCKSIZE
_SHARD = Limit("a shard", 2**62)
_BESIDE = 10**6  # bytes of what stands beside an image; a label has a hundred


@as_annotated
def webdataset(
    shards: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    subject: str = "cls",
    label: str | Sequence[str] = (),
    image: str | None = None,
) -> reader.Reader:
    """Read shards of WebDataset.

    Parameters
    ----------
    shards
        A folder of `.tar` files, one of them, or a list. Compressed ones are refused: an image in
        them cannot be read without all before it.
    subject
        What says who is shown: the extension of a sample's member whose text is the name (`cls`,
        `txt`), else a key of its `json`.
    label
        Keys of the samples' `json` to take as label columns.
    image
        The extension of the member that is the face, where samples have several pictures.

    Returns
    -------
    Reader
        `image` is the shard's name and the sample's (`train-0000/000012`).

    Raises
    ------
    BadInput
        A shard is damaged, cut short or compressed, a sample does not say who is shown or lacks a
        label, or has several pictures.

    Examples
    --------
    >>> import facelab as fl
    >>> import io, tarfile
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "train-0.tar"
    >>> with tarfile.open(path, "w") as shard:
    ...     for name, data in {"1.jpg": b"a", "1.cls": b"7", "2.jpg": b"b", "2.cls": b"7"}.items():
    ...         member = tarfile.TarInfo(name)
    ...         member.size = len(data)
    ...         shard.addfile(member, io.BytesIO(data))
    >>> fl.datasets.webdataset(path).table[["subject", "image"]].values.tolist()
    [['7', 'train-0/1'], ['7', 'train-0/2']]
    """
    paths = _shards(shards)
    keys = [label] if isinstance(label, str) else list(label)
    reader.check_labels(keys, "webdataset")
    rows, bare = [], 0
    for path in paths:
        for sample in _samples(path):
            found = _image_of(sample, image)
            if found is None:
                bare += 1
                continue
            values = _values(sample)
            who = sample.text.get(subject, values.get(subject))
            if who is None:
                has = ", ".join([*sample.text, *values]) or "nothing beside its image"
                raise BadInput(
                    f"{sample.where} has no {subject!r} that says who is shown, it has {has}: give "
                    "subject="
                )
            rows.append(
                {"path": str(path), "offset": found, "subject": str(who).strip()}
                | {"image": f"{path.stem}/{sample.name}"}
                | {key: _label(values, key, sample) for key in keys}
            )
    if not rows:
        raise BadInput(
            f"there are no images in {how_many(len(paths), 'shard')} of {paths[0].parent}"
        )
    table = pd.DataFrame(rows)
    for key in keys:
        table[key] = reader.as_categorical(table[key])
    notes = [f"{how_many(bare, 'sample has', 'samples have')} no image."] * bool(bare)
    root = Path(os.path.commonpath([path.parent for path in paths]))
    card = reader.card(root.name, "not stated", "not stated")
    return reader.Reader(root.name, root, table, card, tuple(notes), image_at)


def image_at(path: Path, offset: int) -> bytes:
    """The bytes of the member whose data starts at an offset."""
    with path.open("rb") as file:
        file.seek(max(0, offset - _BLOCK))
        head = file.read(_BLOCK)
        try:
            size = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape").size
        except tarfile.HeaderError as error:
            raise BadInput(f"{path} has no member at byte {offset}: it is damaged") from error
        if size > PHOTO.bytes:
            raise BadInput(f"{path} has {spelt(size)} at byte {offset}, more than {PHOTO.what}")
        data = file.read(size)
    if len(data) < size:
        raise BadInput(f"{path} is cut short within the image at byte {offset}")
    return data


class _Sample(NamedTuple):
    """The members of one name: where the pictures' data starts, and the text of the others."""

    name: str
    where: str
    pictures: dict[str, int]
    text: dict[str, str]


def _shards(given: str | os.PathLike | Sequence[str | os.PathLike]) -> list[Path]:
    if isinstance(given, str | os.PathLike):
        place = Path(given)
        if place.is_dir():
            found = sorted(place.glob("*.tar"))
            if not found:
                raise BadInput(f"{place} holds no .tar file: give the folder of the shards")
        else:
            found = [place]
    else:
        found = [Path(one) for one in given]
        if not found:
            raise BadInput("there are no shards: give one or more .tar files")
    for path in found:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
    names = [path.stem for path in found]
    if len(set(names)) < len(names):
        raise BadInput(f"two shards are called {max(names, key=names.count)}: rename one")
    return [path.resolve() for path in found]


def _samples(path: Path) -> list[_Sample]:
    """A shard's samples, in order of their first members."""
    samples: dict[str, _Sample] = {}
    end = 0
    with opened(path, _SHARD) as file:
        if file.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"(\xb5"):
            raise BadInput(f"{path} is compressed: unpack it (gunzip) to a plain .tar")
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # or all of a million would be held
                    if member.isreg():
                        _take(samples, member, file, path)
                    end = tar.offset
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise BadInput(f"{path} is damaged or cut short ({reader.one_line(error)})") from error
        # Python's tarfile takes a damaged header for the end.
        file.seek(end)
        if file.read(_BLOCK).strip(b"\0"):
            raise BadInput(f"{path} is damaged at byte {end}")
    return list(samples.values())


def _take(samples: dict[str, _Sample], member: tarfile.TarInfo, file: BinaryIO, path: Path) -> None:
    folder, _, last = member.name.rpartition("/")
    start, _, extension = last.partition(".")
    name = f"{folder}/{start}" if folder else start
    sample = samples.setdefault(name, _Sample(name, f"{path}: {name}", {}, {}))
    if extension in sample.pictures or extension in sample.text:
        raise BadInput(f"{sample.where} has two members .{extension}: pack the shard again")
    if f".{extension.rpartition('.')[2].lower()}" in PICTURES:
        sample.pictures[extension] = member.offset_data
    elif member.size <= _BESIDE:
        there = file.tell()
        file.seek(member.offset_data)
        sample.text[extension] = file.read(member.size).decode("utf-8", "backslashreplace")
        file.seek(there)


def _image_of(sample: _Sample, image: str | None) -> int | None:
    """Where the face's data starts; None where the sample has none."""
    if image is not None:
        return sample.pictures.get(image)
    if len(sample.pictures) > 1:
        raise BadInput(
            f"{sample.where} has several pictures ({', '.join(sample.pictures)}): give image=, the "
            "extension of the face"
        )
    return next(iter(sample.pictures.values()), None)


def _values(sample: _Sample) -> dict[str, Any]:
    """What a sample's json says."""
    if "json" not in sample.text:
        return {}
    values = read(sample.text["json"].encode(), Path(f"{sample.where}.json"), "json")
    if not isinstance(values, dict):
        raise BadInput(f"{sample.where}.json holds no names with values")
    return values


def _label(values: dict[str, Any], key: str, sample: _Sample) -> str:
    if key not in values:
        raise BadInput(f"{sample.where} has no label {key!r} in its json{_has(values)}")
    value = values[key]
    if isinstance(value, dict | list):
        raise BadInput(f"{sample.where} has no single value as {key!r}")
    return "" if value is None else str(value)


def _has(values: dict[str, Any]) -> str:
    return f", which has {', '.join(map(str, values)) or 'nothing'}"
