"""What an answer of Azure Face means.

In: a response as parsed JSON, and what the caller says about the call. Out: findings.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from facelab.comparisons.answered import OK
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

_IDENTICAL = 0.5


def azure(answer: Any, call: Call) -> list[Finding]:
    """detect, verify, identify, findsimilar, group and errors."""
    if isinstance(answer, dict):
        return _azure_object(answer, call)
    faces = objects(answer, "the answer")
    if not faces:
        if call.kind == "search" or (call.kind is None and call.pair):
            return [below(call, "search")]
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
        return [seen("detect", len(faces), version)]
    raise Malformed("it has none of the fields of an answer of Azure Face")


def _identified(face: dict[str, Any], call: Call) -> list[Finding]:
    told = replace(below(call, "search"), faces_probe=1)
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
    if (live := _live(answer)) is not None:
        return live
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


def _live(answer: dict[str, Any]) -> list[Finding] | None:
    """The comparison in the result of a liveness session with verify, of the last attempt."""
    results = answer.get("results")
    if isinstance(results, dict) and isinstance(results.get("attempts"), list):
        attempts = objects(results["attempts"], "attempts")
        version = name_of(answer.get("modelVersion"))
        if not attempts:
            raise Malformed("the session has no attempt")
        last = max(attempts, key=lambda one: number(one.get("attemptId", 0), "attemptId"))
        if last.get("error"):
            error = an_object(last["error"], "error")
            return [failed(error.get("code"), error.get("message", ""), kind="verify")]
        answer = an_object(last.get("result"), "the result")
    elif "verifyResult" in answer:
        version = None
    else:
        return None
    told = an_object(answer.get("verifyResult"), "verifyResult")
    score = number(told.get("matchConfidence"), "matchConfidence", 1.0)
    return [Finding(OK, score, "verify", _IDENTICAL, version)]
