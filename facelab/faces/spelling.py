"""Why names do not meet: one is the other with a folder, a suffix or capitals.

In: a name that was not found, and the names that are there. Out: words for a message; of a label,
what spellings of it have in common.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

_Spelling = Callable[[str], str]


def _slashed(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _bare(name: str) -> PurePosixPath:
    path = PurePosixPath(_slashed(name))
    return path.parent / path.stem


# From what is most to what is least alike; each says what is left out of both names.
_DIFFERENCES: dict[str, _Spelling] = {
    "slashes differ": _slashed,
    "capitals differ": lambda name: _slashed(name).casefold(),
    "folders differ": lambda name: PurePosixPath(_slashed(name)).name,
    "suffixes differ": lambda name: str(_bare(name)),
    "folders and suffixes differ": lambda name: _bare(name).name.casefold(),
}


_BETWEEN = re.compile(r"[\s_-]+")


def folded(label: str) -> str:
    """A label without what no reader sees, in one width, case and spacing.

    Examples
    --------
    >>> folded("East_Asian"), folded("east  asian")
    ('east asian', 'east asian')
    """
    if not label.isascii():
        composed = unicodedata.normalize("NFKC", label)
        label = "".join(one for one in composed if unicodedata.category(one) != "Cf")
    return _BETWEEN.sub(" ", label).strip().casefold()


def nearly(name: str, known: Iterable[str]) -> str:
    """What keeps a name from being one of those known, in words, or "".

    Examples
    --------
    >>> nearly("ada/1.jpg", ["0.jpg", "1.jpg"])
    "'1.jpg' is, and folders differ"
    """
    other, what = _nearest(name, known)
    return f"{other!r} is, and {what}" if what else ""


def apart(name: str, known: Iterable[str]) -> str:
    """As `nearly`, without a name: for what is stored and shared."""
    return _nearest(name, known)[1]


def _nearest(name: str, known: Iterable[str]) -> tuple[str, str]:
    known = [str(other) for other in known]
    for what, spelt in _DIFFERENCES.items():
        wanted = spelt(name)
        for other in known:
            if name and other and other != name and spelt(other) == wanted:
                return other, what
    return "", ""
