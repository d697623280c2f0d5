"""What answers of Luxand, Kairos, CompreFace, DeepFace and of a function of one's own mean.

In: a response as parsed JSON, and what the caller says about the call. Out: findings.
"""

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
    below,
    code_of,
    failed,
    name_of,
    number,
    objects,
    ranked,
    seen,
)


def luxand(answer: Any, call: Call) -> list[Finding]:
    """Luxand.cloud: similarity, verify, search, detect and failures."""
    if isinstance(answer, list):
        people = objects(answer, "the answer")
        if not any("probability" in one for one in people):
            searched = call.kind == "search" or (call.kind is None and call.pair and not people)
            return [
                below(call, "search") if searched else seen("detect", len(people), call.version)
            ]
        told = replace(below(call, "search"), status=OK)
        return [
            replace(
                told,
                score=number(one.get("probability"), "probability", 1.0),
                candidate=name_of(one.get("name")) or name_of(one.get("uuid")),
            )
            for one in people
        ]
    answer = an_object(answer)
    scored = any(name in answer for name in ("score", "similarity", "probability"))
    if str(answer.get("status", "")).lower() in ("failure", "error") and not scored:
        found = failed("failure", answer.get("message", ""))
        return [replace(found, status=REFUSED) if found.status == ERROR else found]
    return [_scored(answer, ("score", "similarity", "probability"), 1.0, call)]


def kairos(answer: Any, call: Call) -> list[Finding]:
    """Kairos: verify, recognize, detect, enroll and errors."""
    answer = an_object(answer)
    if answer.get("Errors"):
        error = objects(answer["Errors"], "Errors")[0]
        return [failed(error.get("ErrCode", "error"), error.get("Message", ""))]
    found = []
    for image in objects(answer.get("images"), "images"):
        if "faces" in image:
            found.append(seen("detect", len(objects(image["faces"], "faces")), call.version))
            continue
        told = an_object(image.get("transaction"), "transaction")
        candidates = objects(image.get("candidates") or [], "candidates")
        if not candidates and "confidence" not in told:
            found.append(below(call, "search"))
            continue
        kind = "search" if candidates else "verify"
        for one in candidates or [told]:
            found.append(
                replace(
                    below(call, kind),
                    status=OK,
                    score=number(one.get("confidence"), "confidence", 1.0),
                    candidate=name_of(one.get("subject_id")),
                )
            )
    if not found:
        raise Malformed("it has no image")
    return found


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
        return [seen("detect", len(results), call.version)]
    if call.several == "drop" and len(results) > 1:
        return [Finding(REFUSED, kind="search", faces_probe=len(results), reason=SEVERAL)]
    if call.several == "largest":
        results = [max(results, key=_box)]
    told = replace(below(call, "search"), faces_probe=len(results))
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
    sides = ("x_max", "x_min", "y_max", "y_min")
    ends = [number(box.get(name, 0), "an end of a box", least=-np.inf) for name in sides]
    return (ends[0] - ends[1]) * (ends[2] - ends[3])


def deepface(answer: Any, call: Call) -> list[Finding]:
    """DeepFace: verify and find, as the package or its server gives them: distances."""
    if isinstance(answer, dict) and isinstance(answer.get("results"), list):
        answer = answer["results"]
    if isinstance(answer, list):
        return _found(answer, call)
    answer = an_object(answer)
    if "distance" not in answer:
        for name in ("exception", "error", "message"):
            if name in answer:
                return [failed(name, answer[name])]
    used = answer.get("threshold", answer.get("max_threshold_to_verify", call.threshold))
    used = np.nan if used is None else number(used, "threshold")
    told = [name_of(answer.get(key)) for key in ("model", "detector_backend", "similarity_metric")]
    version = call.version or " ".join(filter(None, told)) or None
    return [Finding(OK, number(answer.get("distance"), "distance"), "verify", used, version)]


def _found(answer: list[Any], call: Call) -> list[Finding]:
    """Whom `find` found, of every face of the photo; a list of each face's, or of one's."""
    if not answer:
        return [below(call, "search")]
    faces = answer if all(isinstance(one, list) for one in answer) else [answer]
    told = replace(below(call, "search"), faces_probe=len(faces))
    found = []
    for face in faces:
        for one in objects(face, "the answer"):
            used = one.get("threshold", call.threshold)
            found.append(
                replace(
                    told,
                    status=OK,
                    score=number(one.get("distance"), "distance"),
                    threshold=np.nan if used is None else number(used, "threshold"),
                    candidate=name_of(one.get("identity")),
                )
            )
    return found or [told]


def _scored(answer: dict[str, Any], names: tuple[str, ...], most: float, call: Call) -> Finding:
    found = [name for name in names if name in answer]
    if not found:
        raise Malformed(f"it has no {' or '.join(names)}")
    used = np.nan if call.threshold is None else call.threshold
    score = number(answer[found[0]], found[0], most)
    return Finding(OK, score, threshold=used, version=call.version)


_SCORES = ("score", "similarity", "confidence", "probability", "match_score")


def plain(answer: Any, call: Call) -> list[Finding]:
    """What a function of one's own gives: a number, or an object with `score`.

    Or with `similarity`, `confidence`, `probability` or `match_score`; `status` may be one of the
    statuses, and `threshold_used` and `model_version` are taken over.
    """
    if isinstance(answer, int | float):
        answer = {"score": answer}
    answer = an_object(answer)
    if isinstance(answer.get("threshold_used"), int | float):
        call = replace(call, threshold=number(answer["threshold_used"], "threshold_used"))
    call = replace(call, version=name_of(answer.get("model_version")) or call.version)
    status = answer.get("status", OK)
    if status == OK:
        named = next((name for name in _SCORES if name in answer), "score")
        if "error" in answer and named not in answer:
            return [failed(answer["error"], answer.get("message", ""))]
        score = number(answer.get(named), named, least=-np.inf)
        used = np.nan if call.threshold is None else call.threshold
        return [Finding(OK, score, threshold=used, version=call.version)]
    if status == CENSORED:
        return [below(call, "compare")]
    if status in (NO_PROBE, NO_REFERENCE, REFUSED, THROTTLED, ERROR):
        return [Finding(status, version=call.version, reason=code_of(answer.get("reason", status)))]
    raise Malformed("its status is none of those there are")
