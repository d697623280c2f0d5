"""What an answer says of a pair of faces, and the words in which services refuse.

In: parts of a response. Out: numbers, names and codes that were checked, and findings.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from facelab.comparisons.answered import CENSORED, OK
from facelab.faces.names import escaped

NO_PROBE, NO_REFERENCE = "no_face_probe", "no_face_reference"
REFUSED, THROTTLED, ERROR = "refused", "throttled", "error"
SEVERAL = "several faces"  # the reason of what the rule "drop" refused


@dataclass(frozen=True)
class Call:
    """What the caller tells of a call: its kind, his threshold, the rule for several faces."""

    kind: str | None = None
    threshold: float | None = None
    version: str | None = None
    several: str = "best"
    pair: bool = False


@dataclass(frozen=True)
class Finding:
    """What one answer says of one pair: `candidate` is the subject that a search found, `votes`
    how often a model that was asked several times said what."""

    status: str
    score: float = np.nan
    kind: str = "compare"
    threshold: float = np.nan
    version: str | None = None
    faces_probe: int | None = None
    faces_reference: int | None = None
    candidate: str | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    reason: str = ""
    votes: tuple[tuple[str, int], ...] = ()


class Malformed(ValueError):
    """It is no answer of this service; the message says why."""


# ---- numbers and codes


def number(value: Any, what: str, most: float = np.inf, least: float = 0.0) -> float:
    """A finite number between the least and the most there is; anything else is no answer."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{what} is no number")
    try:
        found = float(value)
    except OverflowError:
        raise Malformed(f"{what} is no finite number") from None
    if not np.isfinite(found):
        raise Malformed(f"{what} is no finite number")
    if not least <= found <= most:
        raise Malformed(f"{what} is not between {least:g} and {most:g}")
    return found


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Malformed(f"{what} is no list of objects")
    return value


def codes(value: Any, what: str) -> set[str]:
    """The codes in a list of them; none where there is no list."""
    if value is not None and not isinstance(value, list):
        raise Malformed(f"{what} is no list")
    return {code_of(one) for one in value or []}


def an_object(value: Any, what: str = "the answer") -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise Malformed(f"{what} is no object")
    return value


def name_of(value: Any) -> str | None:
    """A text or a whole number as a name; half a surrogate pair in it is spelt out."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return escaped(str(value))


def code_of(value: Any) -> str:
    """A code that says what went wrong; never a message, in which anything may stand."""
    found = re.search(r"[A-Za-z_.]{2,60}\d{0,6}|\d{1,6}", str(value).rpartition("#")[2])
    return found.group() if found else "an error without a code"


_AGAIN = re.compile(
    r"throttl|throughput|limit_?exceeded|rate_?limit|too_?many|concurrency|quota|slow_?down|qps"
    r"|(?<!\d)429(?!\d)",
    re.I,
)
_AGAIN_SAID = re.compile(
    r"rate limit|quota|too many|request limit|\bqps\b|throttl|flow control|too frequent"
    r"|invoke frequency|temporarily unavailable|limit (?:was |is )?(?:reached|exceeded)",
    re.I,
)
_NO_FACE = re.compile(r"no_?face|face_?not_?(detected|exist|in)|nofacedetected", re.I)
_NO_FACE_SAID = re.compile(
    r"no faces?\b|face could not be detected|can.?t find (a )?face|faces? not (found|detected)"
    r"|not has face|without (a |any )?face|faces? (was|were|is|are) not (found|detected)",
    re.I,
)
_PHOTO = re.compile(
    r"image|photo|picture|resolution|file_too_large|unsupported|invalid_?size|413|too_?large"
    r"|quality|face_?size|pose|blur|occlu",
    re.I,
)
_PHOTO_SAID = re.compile(
    r"(image|photo|picture|face)('s)? (size|quality|resolution|format|check)|too (small|large)"
    r"|blurr|occlu|\bcovered\b|(not a |un)supported (image|format|file)|cartoon",
    re.I,
)
_LINE = re.compile(r"timeout|timed_?out|download|url|s3object|internal|expired|token", re.I)


def failed(code: Any, message: Any = "", kind: str = "compare") -> Finding:
    """What a code says: to be called again, no face, a photo that was refused, or anything else."""
    code, said = code_of(code), str(message)[:300]
    either = f"{code} {said}"
    if _AGAIN.search(code) or _AGAIN_SAID.search(said):
        return Finding(THROTTLED, kind=kind, reason=code)
    missing = _NO_FACE.search(code) or _NO_FACE_SAID.search(said)
    if missing and not re.search(r"faceid|face id|expired", said, re.I):
        return Finding(_whose(either), kind=kind, reason=code)
    if (_PHOTO.search(code) or _PHOTO_SAID.search(said)) and not _LINE.search(either):
        return Finding(REFUSED, kind=kind, reason=code)
    return Finding(ERROR, kind=kind, reason=code)


def of_text(answer: str) -> Finding:
    """What an answer in plain text says by its HTTP status, as a 413 of Face++ does."""
    found = re.search(r"\b(413|429|4\d\d|5\d\d)\b", answer[:2000])
    if found:
        return failed(found.group())
    raise Malformed("it is text and no answer")


def _whose(text: str) -> str:
    """Whose face is missing, where the service says so; the probe's where it does not."""
    second = re.search(r"target|reference|second|img2|image_?2", text, re.I)
    return NO_REFERENCE if second else NO_PROBE


def ranked(faces: list[tuple[float | None, float]], several: str) -> tuple[str, float]:
    """Score or not, of several faces with (score, area), by the rule."""
    if several == "drop" and len(faces) > 1:
        return REFUSED, np.nan
    if several == "largest":
        score = max(faces, key=lambda face: face[1])[0]
    else:
        scores = [score for score, _ in faces if score is not None]
        score = max(scores) if scores else None
    return (OK, score) if score is not None else (CENSORED, np.nan)


def seen(kind: str, faces: int, version: str | None) -> Finding:
    """Faces that were found in one photo, or none."""
    status = OK if faces else NO_PROBE
    return Finding(status, kind=kind, version=version, faces_probe=faces)


def below(call: Call, kind: str) -> Finding:
    """No score: it lies below the threshold of the call."""
    used = np.nan if call.threshold is None else call.threshold
    return Finding(CENSORED, kind=kind, threshold=used, version=call.version)
