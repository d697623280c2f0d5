"""Answers that cost money, kept the moment they come: a journal that a kill cannot spoil.

In: answers, one at a time. Out: lines in a file, each with its own sum, on the disk before the next
call is made. A half-written last line is what a kill leaves, and is set aside.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from facelab import limits
from facelab.errors import BadInput, not_written

NAME = "answers.jsonl"
_LINE = re.compile(rb"[0-9a-f]{16} \{")


class Journal:
    """A file of answers, open to be added to; one process at a time (`keeping.locked`)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file: IO[bytes] | None = None

    def read(self) -> list[dict[str, Any]]:
        """Every whole line; what a kill left of the last one is cut off.

        Raises
        ------
        BadInput
            A line in the middle is not as it was written.
        """
        if not self.path.exists():
            return []
        data, found, whole = limits.read_bytes(self.path, limits.LABELS), [], 0
        for number, line in enumerate(_lines(data), 1):
            entry = _checked(line)
            end = whole + len(line)
            if entry is None:
                if end < len(data):
                    raise BadInput(
                        f"line {number} of {self.path} is not as it was written: restore the file, "
                        "or take the line out, and its pair will be called again"
                    )
                break  # the last line, of a call that was never said to be done
            found.append(entry)
            whole = end
        if whole < len(data):
            with open(self.path, "r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())
        return found

    def add(self, entry: dict[str, Any], settled: bool = True) -> None:
        """Write one line, which a kill does not undo; `settled`: wait until it is on the disk."""
        text = json.dumps(entry, ensure_ascii=True, sort_keys=True)
        try:
            if self._file is None:
                self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - see close
                _settle(self.path.parent)
            line = f"{_sum(text)} {text}\n".encode()
            while line:
                line = line[self._file.write(line) :]
            if settled:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise not_written(error, self.path, "the answers before it are kept") from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def journalled(data: bytes) -> list[dict[str, Any]] | None:
    """The last answer of each pair in a journal, with what is known of it; None of another file."""
    if not _LINE.match(data):
        return None
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(data):
        entry = _checked(line)
        if entry is None:
            found[str(len(found))] = {"fault": "the line is not as it was written"}
        elif entry["kind"] == "answer":
            found[entry["pair"]] = {**entry.get("about", {}), "response": entry["response"]}
    return list(found.values())


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end + 1
        yield data[start:end]
        start = end


def _checked(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None where it is not as it was written."""
    told, _, text = line.partition(b" ")
    if not line.endswith(b"\n") or _sum(text[:-1].decode("utf-8", "replace")).encode() != told:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _settle(folder: Path) -> None:
    """Have the folder's own entry on the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
