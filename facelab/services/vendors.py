"""What each vendor's answer means: one function a service.

In: a response as parsed JSON, and what the caller says about the call. Out: findings, one a pair of
faces, or one that says why there is none. Nothing else of the response goes on: no picture, no
token, no attribute of a face.
"""

from collections.abc import Callable
from typing import Any

from facelab.services.amazon import rekognition
from facelab.services.findings import Call, Finding
from facelab.services.language import text
from facelab.services.microsoft import azure
from facelab.services.smaller import compreface, deepface, kairos, luxand, plain
from facelab.services.stated import aliyun, baidu, facepp, huawei, tencent

VENDORS: dict[str, Callable[[Any, Call], list[Finding]]] = {
    "rekognition": rekognition,
    "azure": azure,
    "facepp": facepp,
    "tencent": tencent,
    "aliyun": aliyun,
    "baidu": baidu,
    "huawei": huawei,
    "luxand": luxand,
    "kairos": kairos,
    "compreface": compreface,
    "deepface": deepface,
    "text": text,
    "plain": plain,
}
DISTANCES = ("deepface",)
