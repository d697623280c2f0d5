"""Thin clients: the function that `call_pairs` calls, of Amazon Rekognition and of Azure Face.

In: a folder of photos, whose names are the plan's. Out: a function from a pair to the raw answer,
with what was asked. Keys come from the environment, as each vendor's own package reads them.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from facelab import limits
from facelab.arguments import as_annotated
from facelab.comparisons.given import is_number
from facelab.errors import BadInput, check_option, need

Client = Literal["rekognition", "azure"]
_FRESH = 20 * 3600.0  # seconds that a face of Azure's is asked about again; it lives 24 hours
_AZURE = ("AZURE_FACE_ENDPOINT", "AZURE_FACE_KEY")


@as_annotated
def service_client(
    service: Client,
    photos: str | Path,
    endpoint: str | None = None,
    threshold: float = 0.0,
    recognition_model: str = "recognition_04",
    detection_model: str = "detection_03",
    timeout: float = 30.0,
) -> Callable[[dict[str, Any]], Any]:
    """Make the function that asks a service about a pair, for `fl.call_pairs`.

    Nothing is called again in here: `fl.call_pairs` does that, and counts every try.

    Parameters
    ----------
    service
        "rekognition" (CompareFaces; the extra `rekognition`, which brings boto3) or "azure" (detect
        and verify; the extra `azure`, which brings azure-ai-vision-face, a preview since 2024 and
        the successor of azure-cognitiveservices-vision-face, which is no longer maintained).
    photos
        Folder with the photos that `image_a` and `image_b` of the plan name.
    endpoint
        Where to call; by default what the environment says: AWS_DEFAULT_REGION (or
        AWS_ENDPOINT_URL), AZURE_FACE_ENDPOINT. Keys are only ever read from the environment:
        AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or what else boto3 finds), AZURE_FACE_KEY.
    threshold
        Rekognition's SimilarityThreshold: with 0 it keeps no score to itself.
    recognition_model, detection_model
        Of Azure. Another recognition model is another system.
    timeout
        Seconds to wait for an answer.

    Returns
    -------
    callable
        Takes a pair (`image_a image_b`), gives ``{"request": ..., "response": ...}`` for
        ``fl.call_pairs(..., service=service)``. Azure is asked to detect each photo once in 20
        hours, so that a plan costs its pairs and its photos; face ids are not handed on.

    Raises
    ------
    MissingExtra
        The vendor's package is not installed.
    BadInput
        No folder; a key or an endpoint is not in the environment.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.service_client("azure", "no-such-folder")
    Traceback (most recent call last):
        ...
    facelab.errors.BadInput: there is no folder no-such-folder with the photos
    """
    check_option("service", service, get_args(Client))
    if not is_number(timeout) or timeout <= 0:
        raise BadInput(f"the timeout must be a number of seconds above 0, not {timeout!r}")
    folder = Path(photos)
    if not folder.is_dir():
        raise BadInput(f"there is no folder {photos} with the photos")
    if service == "rekognition":
        if not 0 <= threshold <= 100:
            raise BadInput(f"Rekognition's threshold lies in 0..100, not {threshold:g}")
        return _Rekognition(folder, endpoint, float(threshold), timeout)
    return _Azure(folder, endpoint, recognition_model, detection_model, timeout)


def _photo(folder: Path, pair: dict[str, Any], side: str) -> bytes:
    """The bytes of a photo; a name that leads out of the folder is refused."""
    name = pair.get(side)
    if not isinstance(name, str) or not name:
        raise BadInput(f"the pair has no {side}: the plan must name the photos")
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"{name!r} is not in the folder of the photos")
    return limits.read_bytes(file, limits.PHOTO)


class _Rekognition:
    """CompareFaces through boto3."""

    def __init__(self, folder: Path, endpoint: str | None, threshold: float, timeout: float):
        boto3, config = need("boto3", "rekognition"), need("botocore.config", "rekognition")
        failures = need("botocore.exceptions", "rekognition")
        options = config.Config(
            connect_timeout=timeout,
            read_timeout=timeout,
            retries={"total_max_attempts": 1},  # or tries would be paid that nobody counts
        )
        try:
            self._client = boto3.client("rekognition", endpoint_url=endpoint, config=options)
        except failures.NoRegionError as error:
            raise BadInput(
                "no region is known: set AWS_DEFAULT_REGION in the environment"
            ) from error
        self._folder, self._threshold = folder, threshold

    def __call__(self, pair: dict[str, Any]) -> dict[str, Any]:
        asked = {"SimilarityThreshold": self._threshold, "QualityFilter": "NONE"}
        one, other = (_photo(self._folder, pair, side) for side in ("image_a", "image_b"))
        answer = self._client.compare_faces(
            SourceImage={"Bytes": one}, TargetImage={"Bytes": other}, **asked
        )
        answer.pop("ResponseMetadata", None)
        return {"request": asked, "response": answer}


class _Azure:
    """Detect, once a photo, and verify through azure-ai-vision-face."""

    def __init__(
        self, folder: Path, endpoint: str | None, recognition: str, detection: str, timeout: float
    ):
        face = need("azure.ai.vision.face", "azure")
        self._failed = need("azure.core.exceptions", "azure").HttpResponseError
        credential = need("azure.core.credentials", "azure").AzureKeyCredential
        endpoint, key = endpoint or os.environ.get(_AZURE[0]), os.environ.get(_AZURE[1])
        for name, value in zip(_AZURE, (endpoint, key), strict=True):
            if not value:
                raise BadInput(f"{name} is not in the environment: set it, and nowhere else")
        self._client = face.FaceClient(
            endpoint,
            credential(key),
            retry_total=0,  # or tries would be paid that nobody counts
            connection_timeout=timeout,
            read_timeout=timeout,
        )
        self._folder = folder
        self._models = {"recognition_model": recognition, "detection_model": detection}
        self._faces: dict[str, tuple[float, list[dict[str, Any]]]] = {}
        self._lock = threading.Lock()

    def __call__(self, pair: dict[str, Any]) -> Any:
        asked = {"recognitionModel": self._models["recognition_model"]}
        try:
            seen = [self._seen(pair, side) for side in ("image_a", "image_b")]
            answer: dict[str, Any] = {
                name: [{"faceRectangle": face["faceRectangle"]} for face in faces]
                for name, faces in zip(("probe", "reference"), seen, strict=True)
            }
            if all(seen):  # the largest face of a photo comes first
                ids = {f"face_id{place}": seen[place - 1][0]["faceId"] for place in (1, 2)}
                answer["verify"] = self._client.verify_face_to_face(**ids).as_dict()
        except self._failed as error:
            return {"request": asked, "response": _told(error)}
        return {"request": asked, "response": answer}

    def _seen(self, pair: dict[str, Any], side: str) -> list[dict[str, Any]]:
        photo, name = _photo(self._folder, pair, side), str(pair[side])
        with self._lock:
            since, faces = self._faces.get(name, (-_FRESH, []))
        if time.monotonic() - since < _FRESH:
            return faces
        since = time.monotonic()
        found = self._client.detect(photo, return_face_id=True, **self._models)
        faces = [dict(face.as_dict()) for face in found]
        with self._lock:
            self._faces[name] = (since, faces)
        return faces


def _told(error: Any) -> Any:
    """What the service's JSON says of an error, or its status and text."""
    try:
        return json.loads(error.response.text())
    except (ValueError, AttributeError):
        return f"{error.status_code} {error.reason}"
