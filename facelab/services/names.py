"""Whose answers there are, and what is done about several faces, as words to choose from."""

from typing import Literal

Service = Literal[
    "rekognition", "azure", "facepp", "tencent", "aliyun", "baidu", "huawei", "luxand", "kairos",
    "compreface", "deepface", "text", "plain",
]  # fmt: skip
Several = Literal["best", "largest", "drop"]
