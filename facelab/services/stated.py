"""What answers of Face++ and of clouds like it mean: Tencent, Alibaba, Baidu, Huawei.

In: a response as parsed JSON, and what the caller says about the call. Out: findings.
"""

import json
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
    below,
    failed,
    name_of,
    number,
    objects,
    seen,
)


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
        return [seen("detect", len(objects(answer["faces"], "faces")), call.version)]
    raise Malformed("it has none of the fields of an answer of Face++")


def _faces(answer: dict[str, Any], side: str) -> int | None:
    return len(objects(answer[side], side)) if side in answer else None


def _thresholds(value: Any) -> tuple[tuple[str, float], ...]:
    if value is None:
        return ()
    told = an_object(value, "thresholds")
    return tuple((str(k)[:8], number(v, "a threshold", 100.0)) for k, v in sorted(told.items()))


def tencent(answer: Any, call: Call) -> list[Finding]:
    """Tencent Cloud: compare, verify, search, detect and errors, with or without `Response`."""
    answer = an_object(answer)
    inner = an_object(answer.get("Response", answer), "Response")
    if "Error" in inner:
        error = an_object(inner["Error"], "Error")
        return [failed(error.get("Code"), error.get("Message", ""))]
    version = name_of(inner.get("FaceModelVersion")) or call.version
    used = np.nan if call.threshold is None else call.threshold
    if "Score" in inner:
        kind = "verify" if "IsMatch" in inner else "compare"
        return [Finding(OK, number(inner["Score"], "Score", 100.0), kind, used, version)]
    if "Sim" in inner:  # FaceID's comparison of a photo with a document
        return [Finding(OK, number(inner["Sim"], "Sim", 100.0), "verify", used, version)]
    if "Results" in inner or "ResultsReturnsByGroup" in inner:
        return _candidates(inner, replace(below(call, "search"), version=version))
    if "FaceInfos" in inner:
        return [seen("detect", len(objects(inner["FaceInfos"], "FaceInfos")), version)]
    raise Malformed("it has none of the fields of an answer of Tencent")


def _candidates(inner: dict[str, Any], told: Finding) -> list[Finding]:
    """Whom a search found, of every face of the photo, in one list or by group."""
    faces = objects(inner.get("Results") or inner.get("ResultsReturnsByGroup") or [], "Results")
    listed = []
    for face in faces:
        parts = objects(face["GroupCandidates"], "groups") if "GroupCandidates" in face else [face]
        listed += [one for part in parts for one in objects(part.get("Candidates") or [], "them")]
    told = replace(told, faces_probe=len(faces))
    found = [
        replace(
            told,
            status=OK,
            score=number(one.get("Score"), "Score", 100.0),
            candidate=name_of(one.get("PersonId")),
        )
        for one in listed
    ]
    return found or [told]


def aliyun(answer: Any, call: Call) -> list[Finding]:
    """Alibaba Cloud: CompareFace, SearchFace, DetectFace, FaceCompare, EkycVerify and errors."""
    answer = an_object(answer)
    data = answer.get("Data", answer.get("Result", answer.get("ResultObject")))
    if data is None and ("Code" in answer or "code" in answer):
        code, said = (answer.get(a, answer.get(b)) for a, b in (("Code", "code"), ("Message", "")))
        return [failed(code, said or answer.get("message", ""))]
    data = an_object(data, "Data")
    used = np.nan if call.threshold is None else call.threshold
    if isinstance(data.get("ExtFaceInfo"), str):  # of EkycVerify: JSON within JSON
        data = _inner(data["ExtFaceInfo"])
    if "FaceComparisonScore" in data:
        score = number(data["FaceComparisonScore"], "FaceComparisonScore", 100.0)
        return [Finding(OK, score, threshold=used, version=call.version)]
    if "MatchList" in data:
        faces = objects(data["MatchList"] or [], "MatchList")
        told = replace(below(call, "search"), faces_probe=len(faces))
        found = [
            replace(
                told,
                status=OK,
                score=number(one.get("Confidence", one.get("Score")), "Confidence", 100.0),
                candidate=name_of(one.get("EntityId")),
            )
            for face in faces
            for one in objects(face.get("FaceItems") or [], "FaceItems")
        ]
        return found or [told]
    if "FaceCount" in data and "Confidence" not in data:
        return [seen("detect", int(number(data["FaceCount"], "FaceCount", 1e4)), call.version)]
    told = data.get("Thresholds") or []
    if not isinstance(told, list):
        raise Malformed("Thresholds is no list")
    thresholds = tuple(
        (rate, number(value, "a threshold", 100.0))
        for rate, value in zip(("1e-3", "1e-4", "1e-5"), told, strict=False)
    )
    score = number(data.get("Confidence"), "Confidence", 100.0)
    return [Finding(OK, score, threshold=used, version=call.version, thresholds=thresholds)]


def _inner(text: str) -> dict[str, Any]:
    """What EkycVerify says of the face, whose names begin with a small letter."""
    try:
        told = an_object(json.loads(text), "ExtFaceInfo")
    except (ValueError, RecursionError):
        raise Malformed("ExtFaceInfo is no JSON") from None
    return {name[:1].upper() + name[1:]: value for name, value in told.items()}


_NOBODY = 222207  # Baidu: the search matched nobody


def baidu(answer: Any, call: Call) -> list[Finding]:
    """Baidu: match, search, multi-search, detect and errors."""
    answer = an_object(answer)
    code = answer.get("error_code", 0)
    if code == _NOBODY:
        return [below(call, "search")]
    if code:
        return [failed(code, answer.get("error_msg", ""))]
    result = an_object(answer.get("result"), "result")
    used = np.nan if call.threshold is None else call.threshold
    if "score" in result:
        score = number(result["score"], "score", 100.0)
        return [Finding(OK, score, "compare", used, call.version)]
    faces, users = result.get("face_list"), result.get("user_list")
    faces = None if faces is None else objects(faces, "face_list")
    if users is None and faces and any("user_list" in one for one in faces):
        users = [one for face in faces for one in objects(face.get("user_list") or [], "user_list")]
    if users is not None:
        told = replace(below(call, "search"), faces_probe=len(faces) if faces else 1)
        found = [
            replace(
                told,
                status=OK,
                score=number(one.get("score"), "score", 100.0),
                candidate=name_of(one.get("user_id")),
            )
            for one in objects(users, "user_list")
        ]
        return found or [told]
    if faces is not None:
        return [seen("detect", len(faces), call.version)]
    raise Malformed("it has none of the fields of an answer of Baidu")


def huawei(answer: Any, call: Call) -> list[Finding]:
    """Huawei Cloud: compare, search, detect and errors."""
    answer = an_object(answer)
    if "error_code" in answer:
        return [failed(answer["error_code"], answer.get("error_msg", ""))]
    used = np.nan if call.threshold is None else call.threshold
    if "similarity" in answer:
        score = number(answer["similarity"], "similarity", 1.0)
        one, other = (1 if answer.get(f"image{k}_face") else None for k in (1, 2))
        return [Finding(OK, score, "compare", used, call.version, one, other)]
    faces = objects(answer.get("faces"), "faces")
    if not any("similarity" in face for face in faces):
        searched = call.kind == "search" or (call.kind is None and call.pair and not faces)
        return [below(call, "search") if searched else seen("detect", len(faces), call.version)]
    return [
        Finding(
            OK,
            number(face.get("similarity"), "similarity", 1.0),
            "search",
            used,
            call.version,
            1,
            candidate=name_of(face.get("external_image_id")),
        )
        for face in faces
    ]
