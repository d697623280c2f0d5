"""What an answer of Amazon Rekognition means.

In: a response as parsed JSON, and what the caller says about the call. Out: findings.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from facelab.comparisons.answered import CENSORED, OK
from facelab.services.findings import (
    NO_PROBE,
    NO_REFERENCE,
    REFUSED,
    SEVERAL,
    Call,
    Finding,
    Malformed,
    an_object,
    code_of,
    codes,
    failed,
    name_of,
    number,
    objects,
    ranked,
    seen,
)

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
        return [seen("detect", faces, version)]
    if "FaceRecords" in answer or "UnindexedFaces" in answer:
        return [_enrolled(answer, version)]
    if "Faces" in answer and "FaceMatches" not in answer:
        faces = objects(answer["Faces"], "Faces")
        told = {name_of(face.get("IndexFacesModelVersion")) for face in faces} - {None}
        version = version or (told.pop() if len(told) == 1 else None)
        return [Finding(OK, kind="list", version=version, faces_reference=len(faces))]
    if "UserMatches" in answer:
        return _users(answer, call, version)
    if "Users" in answer:
        count = len(objects(answer["Users"], "Users"))
        return [Finding(OK, kind="list", version=version, faces_reference=count)]
    if any(name in answer for name in ("SearchedFaceId", "SearchedFaceBoundingBox")):
        return _rekognition_search(answer, call, version)
    if "FaceMatches" in answer or "UnmatchedFaces" in answer:
        return [_rekognition_compare(answer, call, version)]
    raise Malformed("it has none of the fields of an answer of Rekognition")


def _enrolled(answer: dict[str, Any], version: str | None) -> Finding:
    kept = objects(answer.get("FaceRecords") or [], "FaceRecords")
    lost = objects(answer.get("UnindexedFaces") or [], "UnindexedFaces")
    faces = len(kept) + len(lost)
    if kept:
        return Finding(OK, kind="enrol", version=version, faces_probe=faces)
    reasons = sorted(set().union(*(codes(face.get("Reasons"), "Reasons") for face in lost)))
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


def _users(answer: dict[str, Any], call: Call, version: str | None) -> list[Finding]:
    """SearchUsers and SearchUsersByImage; a photo without a valid face has no SearchedFace."""
    of_whom = ("SearchedFace", "SearchedUser", "UnsearchedFaces")
    unsearched = objects(answer.get("UnsearchedFaces") or [], "UnsearchedFaces")
    used = _DEFAULT if call.threshold is None else call.threshold
    told = Finding(CENSORED, kind="search", threshold=used, version=version, faces_probe=1)
    matches = objects(answer["UserMatches"] or [], "UserMatches")
    if not matches and not any(answer.get(name) for name in of_whom[:2]):
        reasons = set().union(*(codes(face.get("Reasons"), "Reasons") for face in unsearched))
        status = REFUSED if unsearched else NO_PROBE
        reason = " ".join(sorted(reasons))
        return [replace(told, status=status, faces_probe=len(unsearched), reason=reason)]
    found = [
        replace(
            told,
            status=OK,
            score=number(one.get("Similarity"), "Similarity", 100.0),
            candidate=name_of(an_object(one.get("User") or {}, "User").get("UserId")),
        )
        for one in matches
    ]
    return found or [told]
