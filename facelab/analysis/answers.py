"""What analysers answer, in their own words: DeepFace, Rekognition, Azure Face, Face++.

In: one saved answer to one photo. Out: its faces, each a `Face` in one vocabulary; or why there is
none. An answer of another make is refused, never half read.
"""

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facelab.analysis.scores import ROUNDED
from facelab.faces.names import escaped

NO_FACE, NO_ANSWER = "no face", "no answer"
_GENDERS = {"woman": "female", "man": "male"}
_PERCENT = 100


class NotOne(ValueError):
    """This is no answer of that make; the message completes "the answer ..."."""


class Failed(Exception):
    """There is no face in this answer; the message is the status of the row."""


@dataclass(frozen=True)
class Face:
    """One face of an answer: what was said, scores (0 to 1), and its box.

    `box` is left, top, width, height; of the photo's sides where `shares`, else in pixels.
    """

    said: dict[str, Any]
    box: tuple[float, float, float, float] | None = None
    shares: bool = False
    more: dict[str, Any] = field(default_factory=dict)


def faces_of(answer: Any, make: str) -> list[Face]:
    """The faces of an answer.

    Raises
    ------
    Failed
        It holds none, and why.
    NotOne
        It is no answer of this make.
    """
    if answer is None:
        raise Failed(NO_ANSWER)
    _refuse_errors(answer)
    found = MAKES[make](answer)
    if not found:
        raise Failed(NO_FACE)
    return found


def _refuse_errors(answer: Any) -> None:
    """What vendors write where they refuse."""
    if isinstance(answer, str):
        text = as_text(answer)
        raise Failed(NO_FACE if "could not be detected" in text else f"error: {text[:80]}")
    if not isinstance(answer, Mapping):
        return
    for key in ("error", "Error", "error_message", "errorMessage", "exception", "__type"):
        told = answer.get(key)
        if told:
            words = told
            if isinstance(told, Mapping):
                words = next(
                    (told[k] for k in ("code", "Code", "message", "Message", "statusCode")
                     if told.get(k)), "refused"
                )  # fmt: skip
            text = as_text(words)
            raise Failed(NO_FACE if "could not be detected" in text else f"error: {text[:80]}")


def as_text(value: Any) -> str:
    """One line of text, in which half a surrogate pair, which json can hold, is spelt out."""
    return escaped(" ".join(str(value).split()))


def _number(value: Any) -> float:
    """A number of an answer, NaN where there is none."""
    if isinstance(value, bool) or value is None:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _label(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    text = as_text(value).casefold()
    return _GENDERS.get(text, text) or None


def _named(one: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What an answer holds under a name: an object, or nothing."""
    told = one.get(name)
    if told is not None and not isinstance(told, Mapping):
        raise NotOne(f"has {name} that is {reprlib.repr(told)} and no object")
    return told or {}


def _scores(told: Any, over: float) -> dict[str, float]:
    """Scores as shares; where those of all labels add up to 1 or 100, that tells their unit."""
    if not isinstance(told, Mapping):
        return {}
    values = {f"score_{_label(name)}": _number(one) for name, one in told.items() if _label(name)}
    for whole in (1, _PERCENT):
        if len(values) > 1 and abs(sum(values.values()) - whole) < ROUNDED * whole:
            over = whole
    return {name: value / over for name, value in values.items()}


def _likeliest(scores: Mapping[str, float]) -> str | None:
    known = {name: value for name, value in scores.items() if value == value}
    return max(known, key=known.__getitem__).removeprefix("score_") if known else None


def _box(told: Any, *names: str) -> tuple[float, float, float, float] | None:
    if not isinstance(told, Mapping) or not all(name in told for name in names):
        return None
    box = tuple(_number(told[name]) for name in names)
    return box if np.isfinite(box).all() else None


def _list_of(answer: Any, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(one, Mapping) for one in answer):
        raise NotOne(f"is no list of {what}")
    return answer


def _deepface(answer: Any) -> list[Face]:
    """A list of dicts, one a face; scores are percent."""
    faces = [answer] if isinstance(answer, Mapping) else _list_of(answer, "faces")
    found = []
    for one in faces:
        if not {"region", "dominant_gender", "gender", "age", "dominant_emotion"} & set(one):
            raise NotOne("has no region, age, gender or emotion, as DeepFace.analyze gives them")
        # Without enforce_detection the whole photo is taken for a face where none was found.
        if one.get("face_confidence") == 0:
            continue
        said: dict[str, Any] = {}
        for mine, theirs in (("gender", "gender"), ("expression", "emotion"), ("race", "race")):
            told = one.get(theirs)
            scores = _scores(told, _PERCENT)
            label = one.get(f"dominant_{theirs}") or (told if isinstance(told, str) else None)
            if label or scores:
                said[f"predicted_{mine}"] = _label(label) or _likeliest(scores)
                said |= scores
        if "age" in one:
            said["predicted_age"] = _number(one["age"])
        found.append(Face(said, _box(one.get("region"), "x", "y", "w", "h")))
    return found


def _rekognition(answer: Any) -> list[Face]:
    """DetectFaces (FaceDetails) or IndexFaces (FaceRecords); confidences are percent."""
    if not isinstance(answer, Mapping) or not {"FaceDetails", "FaceRecords"} & set(answer):
        raise NotOne("has no FaceDetails, as Rekognition's DetectFaces gives them")
    details = answer.get("FaceDetails")
    if details is None:
        details = [
            _named(one, "FaceDetail") for one in _list_of(answer.get("FaceRecords"), "records")
        ]
    found = []
    for one in _list_of(details, "FaceDetails"):
        said: dict[str, Any] = {}
        gender = one.get("Gender")
        if isinstance(gender, Mapping):
            label = said["predicted_gender"] = _label(gender.get("Value"))
            said |= _scores({label: gender.get("Confidence")}, _PERCENT)
        age = one.get("AgeRange")
        if isinstance(age, Mapping):
            low, high = (_number(age.get(end)) for end in ("Low", "High"))
            said |= {"predicted_age": (low + high) / 2, "age_low": low, "age_high": high}
        emotions = one.get("Emotions")
        if isinstance(emotions, list) and emotions:
            told = {
                _label(part.get("Type")): part.get("Confidence")
                for part in emotions
                if isinstance(part, Mapping)
            }
            scores = _scores(told, _PERCENT)
            said |= {"predicted_expression": _likeliest(scores)} | scores
        box = _box(one.get("BoundingBox"), "Left", "Top", "Width", "Height")
        more = {"face_confidence": _number(one.get("Confidence")) / _PERCENT}
        found.append(Face(said, box, True, more))
    return found


def _azure(answer: Any) -> list[Face]:
    """Face - Detect, all versions; since 2022 without age, gender and emotion."""
    found = []
    for one in _list_of(answer, "faces, as Azure's detect gives them"):
        if not {"faceRectangle", "faceAttributes"} & set(one):
            raise NotOne("has no faceRectangle, as Azure's detect gives it")
        told = _named(one, "faceAttributes")
        said: dict[str, Any] = {}
        if told.get("gender"):
            said["predicted_gender"] = _label(told["gender"])
        if "age" in told:
            said["predicted_age"] = _number(told["age"])
        scores = _scores(told.get("emotion"), 1)
        if scores:
            said |= {"predicted_expression": _likeliest(scores)} | scores
        found.append(Face(said, _box(one.get("faceRectangle"), "left", "top", "width", "height")))
    return found


def _facepp(answer: Any) -> list[Face]:
    """Detect of Face++: percent; only the five largest faces have attributes."""
    if not isinstance(answer, Mapping) or "faces" not in answer:
        raise NotOne("has no faces, as Face++'s detect gives them")
    found = []
    for one in _list_of(answer["faces"], "faces"):
        told = _named(one, "attributes")
        said: dict[str, Any] = {}
        for mine, theirs in (("gender", "gender"), ("race", "ethnicity")):
            value = told.get(theirs)
            if isinstance(value, Mapping) and value.get("value"):
                said[f"predicted_{mine}"] = _label(value["value"])
        if isinstance(told.get("age"), Mapping):
            said["predicted_age"] = _number(told["age"].get("value"))
        scores = _scores(told.get("emotion"), _PERCENT)
        if scores:
            said |= {"predicted_expression": _likeliest(scores)} | scores
        found.append(Face(said, _box(one.get("face_rectangle"), "left", "top", "width", "height")))
    return found


MAKES: dict[str, Callable[[Any], list[Face]]] = {
    "deepface": _deepface,
    "rekognition": _rekognition,
    "azure": _azure,
    "facepp": _facepp,
}
