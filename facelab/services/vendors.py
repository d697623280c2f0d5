"""What each vendor's answer means: one function a service.

In: a response as parsed JSON, and what the caller says about the call. Out: findings, one a pair of
faces, or one that says why there is none. Nothing else of the response goes on: no picture, no
token, no attribute of a face.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from facelab.comparisons.answered import CENSORED, OK
from facelab.services.findings import (
    ERROR,
    NO_PROBE,
    NO_REFERENCE,
    REFUSED,
    SEVERAL,
    THROTTLED,
    Call,
    Finding,
    Malformed,
    an_object,
    code_of,
    failed,
    name_of,
    number,
    objects,
    ranked,
)
from facelab.services.language import text

# ---- Amazon Rekognition

_DEFAULT = 80.0  # of SimilarityThreshold and FaceMatchThreshold
_FINAL = ("InvalidImageFormatException", "ImageTooLargeException")


def _area(face: Any) -> float:
    box = an_object(face, "a face").get("BoundingBox") or {}
    size = [an_object(box, "a box").get(side, 0) for side in ("Width", "Height")]
    return float(np.prod([number(side, "the side of a box") for side in size]))


def rekognition(answer: Any, call: Call) -> list[Finding]:
    """CompareFaces, SearchFaces(ByImage), IndexFaces, DetectFaces, ListFaces and errors."""
    answer = an_object(answer)
    inner = answer.get("Error") if isinstance(answer.get("Error"), dict) else answer
    code = inner.get("__type") or inner.get("Code") or inner.get("code")
    if code is not None:
        if code_of(code) == "InvalidParameterException":
            return [Finding(NO_PROBE, reason="InvalidParameterException")]
        if code_of(code) in _FINAL:
            return [Finding(REFUSED, reason=code_of(code))]
        return [failed(code, inner.get("Message", ""))]
    version = name_of(answer.get("FaceModelVersion")) or call.version
    if "FaceDetails" in answer:
        faces = len(objects(answer["FaceDetails"], "FaceDetails"))
        return [_seen("detect", faces, version)]
    if "FaceRecords" in answer or "UnindexedFaces" in answer:
        return [_enrolled(answer, version)]
    if "Faces" in answer and "FaceMatches" not in answer:
        faces = objects(answer["Faces"], "Faces")
        told = {name_of(face.get("IndexFacesModelVersion")) for face in faces} - {None}
        version = version or (told.pop() if len(told) == 1 else None)
        return [Finding(OK, kind="list", version=version, faces_reference=len(faces))]
    if any(name in answer for name in ("SearchedFaceId", "SearchedFaceBoundingBox")):
        return _rekognition_search(answer, call, version)
    if "FaceMatches" in answer or "UnmatchedFaces" in answer:
        return [_rekognition_compare(answer, call, version)]
    raise Malformed("it has none of the fields of an answer of Rekognition")


def _seen(kind: str, faces: int, version: str | None) -> Finding:
    status = OK if faces else NO_PROBE
    return Finding(status, kind=kind, version=version, faces_probe=faces)


def _enrolled(answer: dict[str, Any], version: str | None) -> Finding:
    kept = objects(answer.get("FaceRecords") or [], "FaceRecords")
    lost = objects(answer.get("UnindexedFaces") or [], "UnindexedFaces")
    faces = len(kept) + len(lost)
    if kept:
        return Finding(OK, kind="enrol", version=version, faces_probe=faces)
    reasons = sorted({code_of(why) for face in lost for why in face.get("Reasons") or []})
    status = REFUSED if lost else NO_PROBE
    return Finding(
        status, kind="enrol", version=version, faces_probe=faces, reason=" ".join(reasons)
    )


def _rekognition_compare(answer: dict[str, Any], call: Call, version: str | None) -> Finding:
    matches = objects(answer.get("FaceMatches") or [], "FaceMatches")
    others = objects(answer.get("UnmatchedFaces") or [], "UnmatchedFaces")
    probe = 1 if answer.get("SourceImageFace") else None
    faces = [
        (number(one.get("Similarity"), "Similarity", 100.0), _area(one.get("Face") or {}))
        for one in matches
    ]
    faces += [(None, _area(one)) for one in others]
    least = min((score for score, _ in faces if score is not None), default=np.inf)
    used = call.threshold
    if used is None:  # the default, unless a lower score shows that it was another
        used = _DEFAULT if least >= _DEFAULT else np.nan
    elif least < used:
        raise Malformed(f"Similarity {least:g} is below the threshold {used:g} of the call")
    told = Finding(
        NO_REFERENCE, threshold=used, version=version, faces_probe=probe, faces_reference=len(faces)
    )
    if not faces:
        return told
    status, score = ranked(faces, call.several)
    return replace(told, status=status, score=score, reason=SEVERAL * (status == REFUSED))


def _rekognition_search(answer: dict[str, Any], call: Call, version: str | None) -> list[Finding]:
    used = _DEFAULT if call.threshold is None else call.threshold
    told = Finding(CENSORED, kind="search", threshold=used, version=version, faces_probe=1)
    found = []
    for one in objects(answer.get("FaceMatches") or [], "FaceMatches"):
        face = an_object(one.get("Face") or {}, "Face")
        found.append(
            replace(
                told,
                status=OK,
                score=number(one.get("Similarity"), "Similarity", 100.0),
                version=version or name_of(face.get("IndexFacesModelVersion")),
                candidate=name_of(face.get("ExternalImageId")) or name_of(face.get("UserId")),
            )
        )
    return found or [told]


# ---- Azure Face

_IDENTICAL = 0.5


def azure(answer: Any, call: Call) -> list[Finding]:
    """detect, verify, identify, findsimilar, group and errors."""
    if isinstance(answer, dict):
        return _azure_object(answer, call)
    faces = objects(answer, "the answer")
    if not faces:
        if call.kind == "search" or (call.kind is None and call.pair):
            return [_below(call, "search")]
        return [Finding(NO_PROBE, kind="detect", version=call.version, faces_probe=0)]
    if any("candidates" in face for face in faces):
        return [one for face in faces for one in _identified(face, call)]
    if any("confidence" in face for face in faces):
        return [
            Finding(
                OK,
                number(face.get("confidence"), "confidence", 1.0),
                "search",
                threshold=np.nan if call.threshold is None else call.threshold,
                version=call.version,
                candidate=name_of(face.get("persistedFaceId")),
            )
            for face in faces
        ]
    if all("faceRectangle" in face or "faceId" in face for face in faces):
        told = {name_of(face.get("recognitionModel")) for face in faces} - {None}
        version = call.version or (told.pop() if len(told) == 1 else None)
        return [_seen("detect", len(faces), version)]
    raise Malformed("it has none of the fields of an answer of Azure Face")


def _below(call: Call, kind: str) -> Finding:
    used = np.nan if call.threshold is None else call.threshold
    return Finding(CENSORED, kind=kind, threshold=used, version=call.version)


def _identified(face: dict[str, Any], call: Call) -> list[Finding]:
    told = replace(_below(call, "search"), faces_probe=1)
    found = [
        replace(
            told,
            status=OK,
            score=number(one.get("confidence"), "confidence", 1.0),
            candidate=name_of(one.get("personId")),
        )
        for one in objects(face.get("candidates"), "candidates")
    ]
    return found or [told]


def _azure_object(answer: dict[str, Any], call: Call) -> list[Finding]:
    if "error" in answer:
        error = an_object(answer["error"], "error")
        code = error.get("code") or error.get("statusCode") or "error"
        return [failed(code, error.get("message", ""))]
    if "statusCode" in answer and "message" in answer:
        return [failed(answer["statusCode"], answer["message"])]
    if {"probe", "reference"} <= set(answer):
        return [_azure_pair(answer, call)]
    if "confidence" in answer:
        score = number(answer["confidence"], "confidence", 1.0)
        used = _IDENTICAL if call.threshold is None else call.threshold
        same = answer.get("isIdentical")
        if same is not None and not isinstance(same, bool):
            raise Malformed("isIdentical is neither true nor false")
        odd = call.threshold is None and same is not None and same != (score >= _IDENTICAL)
        reason = f"isIdentical is {str(same).lower()} at {score:g}" if odd else ""
        return [Finding(OK, score, "verify", used, call.version, reason=reason)]
    if "groups" in answer and "messyGroup" in answer:
        return [Finding(OK, kind="group", version=call.version)]
    if "faceId" in answer and "candidates" in answer:
        return _identified(answer, call)
    raise Malformed("it has none of the fields of an answer of Azure Face")


def _azure_pair(answer: dict[str, Any], call: Call) -> Finding:
    """Detect of both photos and verify, as `fl.service_client` hands them on."""
    faces = [len(objects(answer[side], side)) for side in ("probe", "reference")]
    seen = {"faces_probe": faces[0], "faces_reference": faces[1], "version": call.version}
    if not all(faces):
        return Finding(NO_REFERENCE if faces[0] else NO_PROBE, kind="verify", **seen)
    if call.several == "drop" and max(faces) > 1:
        return Finding(REFUSED, kind="verify", reason=SEVERAL, **seen)
    [found] = _azure_object(an_object(answer.get("verify"), "verify"), call)
    return replace(found, faces_probe=faces[0], faces_reference=faces[1])


# ---- Face++ and those like it


def facepp(answer: Any, call: Call) -> list[Finding]:
    """Face++ (Megvii): compare, search, detect and errors."""
    answer = an_object(answer)
    if "error_message" in answer:
        return [failed(answer["error_message"])]
    thresholds = _thresholds(answer.get("thresholds"))
    if "results" in answer:
        used = np.nan if call.threshold is None else call.threshold
        told = Finding(CENSORED, kind="search", threshold=used, version=call.version)
        told = replace(told, thresholds=thresholds)
        found = [
            replace(
                told,
                status=OK,
                score=number(one.get("confidence"), "confidence", 100.0),
                candidate=name_of(one.get("user_id")) or None,
            )
            for one in objects(answer["results"], "results")
        ]
        return found or [told]
    if "confidence" in answer:
        score = number(answer["confidence"], "confidence", 100.0)
        one, other = (_faces(answer, side) for side in ("faces1", "faces2"))
        if call.several == "drop" and max(one or 0, other or 0) > 1:
            return [Finding(REFUSED, np.nan, "compare", np.nan, call.version, one, other,
                            None, thresholds, SEVERAL)]  # fmt: skip
        used = np.nan if call.threshold is None else call.threshold
        return [Finding(OK, score, "compare", used, call.version, one, other, None, thresholds)]
    if "faces1" in answer or "faces2" in answer:
        one, other = (_faces(answer, side) for side in ("faces1", "faces2"))
        if one and other:
            raise Malformed("it has faces and no confidence")
        status = NO_PROBE if not one else NO_REFERENCE
        return [Finding(status, version=call.version, faces_probe=one, faces_reference=other)]
    if "faces" in answer:
        return [_seen("detect", len(objects(answer["faces"], "faces")), call.version)]
    raise Malformed("it has none of the fields of an answer of Face++")


def _faces(answer: dict[str, Any], side: str) -> int | None:
    return len(objects(answer[side], side)) if side in answer else None


def _thresholds(value: Any) -> tuple[tuple[str, float], ...]:
    if value is None:
        return ()
    told = an_object(value, "thresholds")
    return tuple((str(k)[:8], number(v, "a threshold", 100.0)) for k, v in sorted(told.items()))


def tencent(answer: Any, call: Call) -> list[Finding]:
    """Tencent Cloud: CompareFace, DetectFace and errors."""
    inner = an_object(an_object(answer).get("Response"), "Response")
    if "Error" in inner:
        error = an_object(inner["Error"], "Error")
        return [failed(error.get("Code"), error.get("Message", ""))]
    version = name_of(inner.get("FaceModelVersion")) or call.version
    if "Score" in inner:
        used = np.nan if call.threshold is None else call.threshold
        return [Finding(OK, number(inner["Score"], "Score", 100.0), "compare", used, version)]
    if "FaceInfos" in inner:
        return [_seen("detect", len(objects(inner["FaceInfos"], "FaceInfos")), version)]
    raise Malformed("it has none of the fields of an answer of Tencent")


def aliyun(answer: Any, call: Call) -> list[Finding]:
    """Alibaba Cloud: CompareFace and errors."""
    answer = an_object(answer)
    if "Code" in answer and "Data" not in answer:
        return [failed(answer["Code"], answer.get("Message", ""))]
    data = an_object(answer.get("Data"), "Data")
    told = data.get("Thresholds") or []
    if not isinstance(told, list):
        raise Malformed("Thresholds is no list")
    thresholds = tuple(
        (rate, number(value, "a threshold", 100.0))
        for rate, value in zip(("1e-3", "1e-4", "1e-5"), told, strict=False)
    )
    score = number(data.get("Confidence"), "Confidence", 100.0)
    return [Finding(OK, score, version=call.version, thresholds=thresholds)]


def luxand(answer: Any, call: Call) -> list[Finding]:
    """Luxand.cloud: similarity and failures."""
    answer = an_object(answer)
    if str(answer.get("status", "")).lower() in ("failure", "error"):
        found = failed("failure", answer.get("message", ""))
        return [replace(found, status=REFUSED) if found.status == ERROR else found]
    return [_scored(answer, ("score", "similarity"), 1.0, call)]


def compreface(answer: Any, call: Call) -> list[Finding]:
    """CompreFace: verify, recognise, detect and errors."""
    answer = an_object(answer)
    if "result" not in answer:
        if "message" in answer or "code" in answer:
            return [failed(answer.get("code", "error"), answer.get("message", ""))]
        raise Malformed("it has none of the fields of an answer of CompreFace")
    results = objects(answer["result"], "result")
    if not results:
        return [Finding(NO_PROBE, version=call.version, faces_probe=0)]
    if any("face_matches" in one for one in results):
        faces = [
            (number(face.get("similarity"), "similarity", 1.0), _box(face))
            for one in results
            for face in objects(one.get("face_matches"), "face_matches")
        ]
        told = Finding(NO_REFERENCE, kind="verify", version=call.version, faces_probe=1)
        told = replace(told, faces_reference=len(faces))
        if not faces:
            return [told]
        status, score = ranked(faces, call.several)
        return [replace(told, status=status, score=score, reason=SEVERAL * (status == REFUSED))]
    if not any("subjects" in one for one in results):
        return [_seen("detect", len(results), call.version)]
    if call.several == "drop" and len(results) > 1:
        return [Finding(REFUSED, kind="search", faces_probe=len(results), reason=SEVERAL)]
    if call.several == "largest":
        results = [max(results, key=_box)]
    told = replace(_below(call, "search"), faces_probe=len(results))
    found = [
        replace(
            told,
            status=OK,
            score=number(one.get("similarity"), "similarity", 1.0),
            candidate=name_of(one.get("subject")),
        )
        for face in results
        for one in objects(face.get("subjects") or [], "subjects")
    ]
    return found or [told]


def _box(face: dict[str, Any]) -> float:
    box = an_object(face.get("box") or {}, "box")
    ends = [box.get(name, 0) for name in ("x_max", "x_min", "y_max", "y_min")]
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise Malformed("an end of a box is no number")
    return float((ends[0] - ends[1]) * (ends[2] - ends[3]))


def deepface(answer: Any, call: Call) -> list[Finding]:
    """DeepFace.verify: a distance, so that a higher one is less alike."""
    answer = an_object(answer)
    if "distance" not in answer:
        for name in ("exception", "error", "message"):
            if name in answer:
                return [failed(name, answer[name])]
    used = answer.get("threshold", call.threshold)
    used = np.nan if used is None else number(used, "threshold")
    told = [name_of(answer.get(key)) for key in ("model", "detector_backend", "similarity_metric")]
    version = call.version or " ".join(filter(None, told)) or None
    return [Finding(OK, number(answer.get("distance"), "distance"), "verify", used, version)]


def _scored(answer: dict[str, Any], names: tuple[str, ...], most: float, call: Call) -> Finding:
    found = [name for name in names if name in answer]
    if not found:
        raise Malformed(f"it has no {' or '.join(names)}")
    used = np.nan if call.threshold is None else call.threshold
    score = number(answer[found[0]], found[0], most)
    return Finding(OK, score, threshold=used, version=call.version)


def plain(answer: Any, call: Call) -> list[Finding]:
    """What a function of one's own gives: a number, or an object with `score`.

    `status` may be one of the statuses; `threshold_used` and `model_version` are taken over.
    """
    if isinstance(answer, int | float):
        answer = {"score": answer}
    answer = an_object(answer)
    if isinstance(answer.get("threshold_used"), int | float):
        call = replace(call, threshold=number(answer["threshold_used"], "threshold_used"))
    call = replace(call, version=name_of(answer.get("model_version")) or call.version)
    status = answer.get("status", OK)
    if status == OK:
        if "error" in answer and "score" not in answer:
            return [failed(answer["error"], answer.get("message", ""))]
        score = number(answer.get("score"), "score", least=-np.inf)
        used = np.nan if call.threshold is None else call.threshold
        return [Finding(OK, score, threshold=used, version=call.version)]
    if status == CENSORED:
        return [_below(call, "compare")]
    if status in (NO_PROBE, NO_REFERENCE, REFUSED, THROTTLED, ERROR):
        return [Finding(status, version=call.version, reason=code_of(answer.get("reason", status)))]
    raise Malformed("its status is none of those there are")


VENDORS: dict[str, Callable[[Any, Call], list[Finding]]] = {
    "rekognition": rekognition,
    "azure": azure,
    "facepp": facepp,
    "tencent": tencent,
    "aliyun": aliyun,
    "luxand": luxand,
    "compreface": compreface,
    "deepface": deepface,
    "text": text,
    "plain": plain,
}
DISTANCES = ("deepface",)
