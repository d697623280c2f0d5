"""What a run shows, noted while it runs: which pictures facelab drew, and who was at hand.

In: pictures and names, as the kernel of a run meets them. Out: what the pages that are made of the
run need to know. A picture that is not noted may be a real face; a name that is noted is not
printed. Names are kept as digests: the note itself names nobody.
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from facelab.caches import cache_folder
from facelab.errors import BadInput

FILE = "shown.jsonl"  # in the folder of a run
PLACE = "FACELAB_SHOWN"  # that file's path, for the kernel of a run and its workers
QUICK = "FACELAB_QUICK"  # set where what is found only shows that a notebook runs
SAFE = ("none", "synthetic")
_GRAVITY = ("", "unknown", *SAFE, "real")
_WORD = re.compile(r"[^\W_]+")
_LONGEST = 8  # words that a name can have to be found in a text
_SHORTEST = 3  # letters that it must have
_noted: set[str] = set()


def note_picture(data: bytes, faces: str) -> None:
    """Note that facelab drew a picture, and whose faces it shows: "none", "synthetic", "real"."""
    _note({"picture": digest(data), "faces": faces})


def digest(picture: bytes) -> str:
    """What a picture is known by."""
    return hashlib.sha256(picture).hexdigest()


def quick_session() -> bool:
    """Whether this process runs a notebook in its quick setting."""
    return bool(os.environ.get(QUICK))


def note_people(*columns: Iterable[Any]) -> None:
    """Note the names of people and of their photos, which pages of this run do not print."""
    if PLACE not in os.environ:
        return
    new = {str(name) for column in columns for name in set(column)} - _noted
    if new:
        _noted.update(new)
        spelt = {one for name in new for one in _spellings(name)}
        _note({"names": sorted(_digest(one) for one in spelt)})


def _note(line: dict[str, Any]) -> None:
    if place := os.environ.get(PLACE):
        # In one piece: workers of the run note into the same file.
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(file, (json.dumps(line) + "\n").encode())
        finally:
            os.close(file)


@dataclass(frozen=True)
class Shown:
    """What was noted of a run.

    Attributes
    ----------
    pictures
        For each picture's SHA-256 whose faces it shows.
    names
        Digests of the names of people and photos.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()

    @property
    def safe(self) -> set[str]:
        """The pictures that show no real face."""
        return {known for known, faces in self.pictures.items() if faces in SAFE}

    def without_names(self, text: str) -> str:
        """A text in which pseudonyms stand for the names."""
        if not self.names:
            return text
        words = list(_WORD.finditer(text))
        plain = [_folded(word[0]) for word in words]
        parts, done, place = [], 0, 0
        while place < len(words):
            for count in range(min(_LONGEST, len(words) - place), 0, -1):
                name = " ".join(plain[place : place + count])
                if _is_name(name) and _digest(name) in self.names:
                    parts += [text[done : words[place].start()], pseudonym(name)]
                    done, place = words[place + count - 1].end(), place + count
                    break
            else:
                place += 1
        return "".join([*parts, text[done:]])


def shown_in(folder: Path) -> Shown:
    """What was noted of a run; where nothing was, nothing is known to be safe."""
    file = folder / FILE
    return read_notes(file.read_bytes() if file.is_file() else b"", file)


def read_notes(data: bytes, file: Path) -> Shown:
    """What the bytes of such a file say; it is named where they are damaged."""
    pictures: dict[str, str] = {}
    names: set[str] = set()
    try:
        for line in data.decode().splitlines():
            told = json.loads(line)
            names.update(told.get("names", ()))
            if "picture" in told:
                # One picture, one truth: who is real stays it, and who was unknown may be told.
                known = pictures.get(told["picture"])
                pictures[told["picture"]] = max(known or "", told["faces"], key=_GRAVITY.index)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise BadInput(f"{file} is damaged: run the notebook again") from error
    return Shown(pictures, frozenset(names))


def pseudonym(name: str) -> str:
    """What stands for a name on pages: the same on every page made with the same key.

    The key is FACELAB_PSEUDONYMS, or one that this user's cache holds: whoever lacks it cannot find
    a name by trying.

    Examples
    --------
    >>> pseudonym("Ada Lovelace") == pseudonym("ada_lovelace") != pseudonym("Ada Byron")
    True
    """
    plain = " ".join(_folded(word) for word in _WORD.findall(name)) or name
    return "person-" + hmac.new(_key(), plain.encode(), "sha256").hexdigest()[:8]


@cache
def _key() -> bytes:
    if told := os.environ.get("FACELAB_PSEUDONYMS"):
        return told.encode()
    file = cache_folder() / "pseudonyms.key"
    if not file.exists():
        aside = file.with_name(f".{secrets.token_hex(4)}.key")
        with open(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as new:
            new.write(secrets.token_hex(16))
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(aside, file)
        aside.unlink()
    return file.read_bytes()


def _spellings(name: str) -> Iterator[str]:
    """A name, and as a path its last part with and without its suffix, as words."""
    last = re.split(r"[/\\]", name)[-1]
    for one in (name, last, last.rpartition(".")[0]):
        spelt = " ".join(_folded(word) for word in _WORD.findall(one)[:_LONGEST])
        if _is_name(spelt):
            yield spelt


def _is_name(words: str) -> bool:
    """Whether it can be told from a number and from an initial."""
    return len(words) >= _SHORTEST and not words.replace(" ", "").isdecimal()


def _folded(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
