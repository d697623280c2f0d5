"""What is stored carries sums, and they are compared before anything is made of it.

In: a folder with its card, the one JSON file that says what lies there. Out: the card and the files
as they were written, or one sentence on which of them is not. The card ends with the SHA-256 of
every file beside it, and last with its own: that of all its bytes before those 64 digits.
"""

import contextlib
import datetime
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import facelab
from facelab import files, limits, words
from facelab.arguments import as_annotated
from facelab.errors import BadInput, Damaged

if TYPE_CHECKING:
    import numpy as np

WHOLE = 64_000_000  # bytes of an array up to which it is compared when its folder is opened
# The one file that says what a folder holds.
CARDS = (
    *("card.json", "embedder.json", "audit.json", "identification.json", "experiment.json"),
    *("run.json", "analysis.json", "analyser.json"),
)
_CHECKPOINT = re.compile(r"step-\d{9}(\.part-\d+)?\.pt")  # with its sum in its last line
_PAGES = ("shared.html", "audit.html")  # written beside what they show, as often as they are asked
_SUM = re.compile("[0-9a-f]{64}")
_BLANK = "0" * 64


def write_card(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Write the card of a folder that is otherwise finished, with the sums of what lies there."""
    sums = {file: files.sha256(folder / file) for file in _beside(folder, name)}
    told = {key: value for key, value in values.items() if key != "sha256"}
    data = files.json_text(told | {"sha256": sums | {name: _BLANK}}).encode()
    files.write_bytes(folder / name, _summed(data, _end(name)))


def open_stored(folder: Path, name: str, what: str, needed: Iterable[str] = ()) -> "Stored":
    """Open a folder by its card, which is compared; files are, when they are asked for.

    Raises
    ------
    FileNotFoundError
        The folder, its card or a needed file is not there.
    Damaged
        The card is damaged or was changed, or has no sums.
    """
    files.check_stored(folder, (*needed, name), what)
    return Stored(folder, name)


class Stored:
    """A stored folder.

    Attributes
    ----------
    card
        What its card says, but for the sums.
    sums
        The SHA-256 of each file that was there when it was stored.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self._file = folder, folder / name
        data = limits.read_bytes(self._file, limits.JSON)
        fits = _fits(data, _end(name))
        if fits is False:
            raise _damaged(self._file, folder)
        values = words.values(words.read(data, self._file, "json"))
        if fits is None:
            raise _without(self._file, folder)
        self.card: dict[str, Any] = {k: v for k, v in values.items() if k != "sha256"}
        self.sums: dict[str, str] = {k: v for k, v in values["sha256"].items() if k != name}
        for file, digits in self.sums.items():
            inside = not Path(file).is_absolute() and ".." not in Path(file).parts
            if not inside or not isinstance(digits, str):
                raise Damaged(f"{self._file}: {file!r} with {digits!r} is no sum of a file in it")

    def check(self, *but: str) -> None:
        """Compare every file there was, but for some; what came later is nobody's of ours."""
        for name in self.sums:
            if name not in but:
                self.path(name)

    def path(self, name: str) -> Path:
        """Where a file is, compared."""
        path = self._there(name)
        if files.sha256(path) != self.sums[name]:
            raise _damaged(path, self.folder)
        return path

    def holds(self, name: str) -> bool:
        """Whether a file was stored; one that came later is refused, for it would be read.

        Raises
        ------
        BadInput
            It is there without a sum.
        """
        if name not in self.sums and (self.folder / name).exists():
            raise _without(self.folder / name, self.folder)
        return name in self.sums

    def read(self, name: str) -> bytes:
        """The bytes of a file, compared."""
        path = self._there(name)
        with open(path, "rb") as file:
            # What is too large to be ours is not read into memory.
            if os.fstat(file.fileno()).st_size > WHOLE:
                found, data = hashlib.file_digest(file, "sha256").hexdigest(), None
            else:
                data = file.read()
                found = hashlib.sha256(data).hexdigest()
            if found != self.sums[name]:
                raise _damaged(path, self.folder)
            if data is None:
                limits.check_room(os.fstat(file.fileno()).st_size, str(path))
                file.seek(0)
                data = file.read()
        return data

    def written(self, name: str) -> Any:
        """What a json or yaml file holds, the scalars of yaml as words, compared."""
        kind = "json" if name.endswith(".json") else "yaml"
        return words.read(self.read(name), self.folder / name, kind)

    def array(self, name: str, mode: str = "r") -> "Mapped":
        """An array of a `.npy` file, mapped; a small one is compared at once."""
        path = self._there(name)
        mapped = Mapped(path, self.sums[name], mode)
        if os.path.getsize(path) <= WHOLE:
            mapped.checked()
        return mapped

    def _there(self, name: str) -> Path:
        path = self.folder / name
        if not self.holds(name):
            raise _without(path, self.folder)
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.folder} is not whole: {name} is missing, of which {self._file.name} has "
                "the sum"
            )
        return path


class Mapped:
    """An array in a `.npy` file, compared before its first use, and again when the file changed.

    Parameters
    ----------
    path
        The file. What takes its place later is not seen: the file that was opened stays open.
    expected
        Its SHA-256.
    mode
        "r", or "c" for a map that can be written to without a change of the file.
    """

    def __init__(self, path: Path, expected: str, mode: str = "r") -> None:
        import numpy as np

        self._path, self._expected, self._seen = path, expected, None
        if not path.is_file():  # a pipe would be waited for
            raise _damaged(path, path.parent)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(path, "rb"))
            try:
                version = np.lib.format.read_magic(file)
                if version not in ((1, 0), (2, 0)):
                    raise ValueError("it is of another version")
                header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
                shape, fortran, dtype = header(file)
                if dtype.hasobject or fortran:
                    raise ValueError("it holds objects, or columns before rows")
                start = file.tell()
                size = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
                if os.fstat(file.fileno()).st_size != size:
                    raise ValueError("its size is another than its header says")
                self.array = (
                    np.memmap(file, dtype, mode, start, shape)
                    if size > start
                    else np.empty(shape, dtype)
                )
            except Exception as error:
                # What reads headers raises anything: TokenError, OverflowError, MemoryError ...
                raise _damaged(path, path.parent) from error
            self._opened: Any = file
            stack.pop_all()

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    # Of the open file; None where another process has handed the array on.
    descriptor = property(lambda self: self._opened and self._opened.fileno())

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> "np.ndarray":
        return self.checked()[rows]

    def checked(self) -> "np.ndarray":
        """The array; its file is read once, whole, and compared.

        Raises
        ------
        BadInput
            It is not the file that was stored.
        """
        if self._opened is None:  # handed to another process, after it was compared
            return self.array
        facts = os.fstat(self._opened.fileno())
        now = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if self._seen != now:
            if self._digest() != self._expected:
                raise _damaged(self._path, self._path.parent)
            self._seen = now
        return self.array

    def _digest(self) -> str:
        if not hasattr(os, "pread"):  # Windows, where nobody takes the place of an open file
            return files.sha256(self._path)
        # Threads and forks share where a file is read next: each part is asked for by its place.
        told, at = hashlib.sha256(), 0
        while part := os.pread(self._opened.fileno(), 1 << 20, at):
            told.update(part)
            at += len(part)
        return told.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        array = self.checked()
        if self._opened is not None:
            # Another process maps it by its name, which may be that of a newer file by then: it is
            # given one that stays this file's, or where there is none, what is in it.
            name = f"/proc/{os.getpid()}/fd/{self._opened.fileno()}"
            if os.path.exists(name) and hasattr(array, "filename"):
                array.filename = name
            else:
                array = array.copy()
        return self.__dict__ | {"_opened": None, "array": array}

    def __del__(self) -> None:
        if self.__dict__.get("_opened") is not None:
            self._opened.close()


# ---- one file that carries its own sum


def sign_file(path: Path, **more: Any) -> None:
    """Add to a finished file a last line with its own sum, which whatever reads it passes over."""
    line = files.as_json({**more, "sha256": _BLANK})
    with open(path, "r+b") as file:
        told = hashlib.file_digest(file, "sha256")
        start = f"\n{line[: -len(_BLANK) - 2]}".encode()
        told.update(start)
        file.write(start + told.hexdigest().encode() + b'"}')
        file.flush()
        os.fsync(file.fileno())


def check_signed(path: Path) -> None:
    """Refuse a file whose last line does not hold its own sum.

    Raises
    ------
    BadInput
        It is damaged or was changed, or has no sum.
    """
    end = b'"}'
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 64 - len(end)))
        digits = file.read()
        if not digits.endswith(end) or not _SUM.fullmatch(digits[:-2].decode("latin-1")):
            raise _without(path, path.parent)
        file.seek(0)
        told, left = hashlib.sha256(), size - 66
        while left:
            part = file.read(min(left, 1 << 20))
            if not part:
                break
            told.update(part)
            left -= len(part)
    if told.hexdigest().encode() != digits[:-2]:
        raise _damaged(path, path.parent)


# ---- all that lies in a folder


@as_annotated
def verify(folder: str | Path) -> Path:
    """Compare every file in a stored folder, and in those stored in it, with its sum.

    Whatever opens a folder does the same with all that it reads; this is for whoever only wants to
    know, as before an archive is handed on.

    Parameters
    ----------
    folder
        What `seal` takes.

    Returns
    -------
    Path
        The folder, which is as it was stored.

    Raises
    ------
    FileNotFoundError
        It is not there, or a file that was stored in it is not.
    BadInput
        A file is damaged, was changed, or has no sum; or nothing that facelab stores lies there.

    Examples
    --------
    >>> import facelab as fl
    >>> from tempfile import mkdtemp
    >>> folder = fl.synthesize(6, 2, size=32).save(mkdtemp(), replace=True)
    >>> fl.verify(folder) == folder
    True
    """
    folder, card, checkpoints = _found(folder, "verify")
    for path in checkpoints:
        check_signed(path)
    if card:
        stored = open_stored(folder, card, "whole")
        stored.check()
        for name in stored.sums:
            if "/" in name and Path(name).name in CARDS:
                verify((folder / name).parent)
    return folder


def _found(folder: str | Path, wish: str) -> tuple[Path, str, list[Path]]:
    """A folder with the name of its card, or with the checkpoints that are in it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to {wish}")
    cards = [name for name in CARDS if (folder / name).is_file()]
    if len(cards) > 1:
        raise BadInput(f"{folder} holds both {cards[0]} and {cards[1]}: take one of them away")
    if cards:
        return folder, cards[0], []
    checkpoints = sorted(path for path in folder.iterdir() if _CHECKPOINT.fullmatch(path.name))
    if not checkpoints:
        raise BadInput(
            f"{folder} is nothing that facelab stored: it holds none of {', '.join(CARDS)}, and no "
            "checkpoints"
        )
    return folder, "", checkpoints


# ---- what has no sums, or was changed on purpose


@as_annotated
def seal(folder: str | Path) -> Path:
    """Write the sums of what is in a folder now: from here on, what differs is refused.

    For what was stored before there were sums, and for what was changed on purpose. Whether it is
    as it was once written, nobody can say: the card notes when and by which version it was sealed,
    and which files had changed.

    Parameters
    ----------
    folder
        A FaceSet, embeddings, a trained embedder or analyser, an audit, a gallery, an
        identification, a search experiment, a run, or the checkpoints of a training.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileNotFoundError
        It is not there.
    BadInput
        It is none of these, or its card cannot be read.

    Examples
    --------
    >>> import facelab as fl
    >>> from tempfile import mkdtemp
    >>> folder = fl.synthesize(6, 2, size=32).save(mkdtemp(), replace=True)
    >>> _ = (folder / "datasheet.md").write_text("Rendered for a lecture.")
    >>> try:
    ...     fl.load(folder)
    ... except fl.BadInput as error:
    ...     print("was changed" in str(error))
    True
    >>> fl.load(fl.seal(folder)).card["sealed"][0]["changed"]
    ['datasheet.md']
    """
    folder, name, checkpoints = _found(folder, "seal")
    note = {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "by": f"facelab {facelab.__version__}",
    }
    for path in checkpoints:
        _sign_again(path, note)
    if not name:
        return folder
    card = files.read_values(folder / name)
    if not isinstance(card, dict):
        raise BadInput(f"{folder / name} holds no names with values: it is no card of facelab")
    if name == "run.json" and card.get("status") == "running":
        raise BadInput(f"the run in {folder} has not ended: only a finished or failed one is whole")
    changed = _changed(folder, name, card)
    if changed != []:
        before = card.get("sealed", [])
        before = before if isinstance(before, list) else []
        write_card(folder, name, card | {"sealed": [*before, note | {"changed": changed}]})
    return folder


def _changed(folder: Path, name: str, card: dict[str, Any]) -> list[str] | None:
    """The files that are not as the sums say; None where there are no sums."""
    fits = _fits(limits.read_bytes(folder / name, limits.JSON), _end(name))
    was = card.get("sha256")
    if fits is None or not isinstance(was, dict):
        return None
    now = {file: files.sha256(folder / file) for file in _beside(folder, name)}
    differ = {file for file in {*was, *now} - {name} if was.get(file) != now.get(file)}
    return sorted(differ | ({name} if not fits else set()))


def _sign_again(path: Path, note: dict[str, Any]) -> None:
    try:
        check_signed(path)
    except BadInput:
        with files.write_file(path) as aside:
            shutil.copyfile(path, aside)
            sign_file(aside, sealed=note)


# ---- how


def _beside(folder: Path, card: str) -> list[str]:
    """The files in a folder and its folders, but for the card, locks, pages and what is hidden.

    Of a folder in it with a card of its own it is the card, which looks after what is there.
    """
    found = []
    for place, folders, names in os.walk(folder):
        inner = Path(place).relative_to(folder)
        if inner.parts and not {*CARDS}.isdisjoint(names):
            folders.clear()
            names = [name for name in names if name in CARDS]
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [(inner / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(name for name in found if name not in (card, "lock", *_PAGES))


def _end(name: str) -> tuple[bytes, bytes]:
    """What stands before and after a card's own sum, at its very end."""
    return f'"{name}": "'.encode(), b'"\n  }\n}\n'


def _summed(data: bytes, end: tuple[bytes, bytes]) -> bytes:
    start = data[: -len(end[1]) - 64]
    return start + hashlib.sha256(start).hexdigest().encode() + end[1]


def _fits(data: bytes, end: tuple[bytes, bytes]) -> bool | None:
    """Whether a card is as its own sum says; None where it has none."""
    start, digits = data[: -len(end[1]) - 64], data[-len(end[1]) - 64 : -len(end[1])]
    is_sum = _SUM.fullmatch(digits.decode("latin-1"))
    if not (is_sum and data.endswith(end[1]) and start.endswith(end[0])):
        return None
    return hashlib.sha256(start).hexdigest().encode() == digits


def _damaged(path: Path, folder: Path) -> Damaged:
    return Damaged(
        f"{path} is damaged or was changed since it was written: copy or make it again or, if it "
        f"was changed on purpose, seal it: fl.seal(folder), facelab seal {folder}"
    )


def _without(path: Path, folder: Path) -> Damaged:
    return Damaged(
        f"{path} has no sum that shows that it is whole, as before sums were stored or when it is "
        f"damaged: make it again or, if you trust it, seal it: fl.seal, facelab seal {folder}"
    )
