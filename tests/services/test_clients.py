"""Thin clients against servers on loopback that answer as the vendors do."""

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

import facelab as fl
from facelab.services import calling
from facelab.services.journal import Journal

KEY = "k3y-Of-The-auditor-0123456789"
SECRET = "s3cr3t/Of+The/auditor/0123456789"
FACE = {"BoundingBox": {"Width": 0.5, "Height": 0.5, "Left": 0.1, "Top": 0.1}, "Confidence": 99.9}
# What a photo shows is what stands in it: a person, or how the service fails.
PHOTOS = {
    **{f"{name}{k}.jpg": f"{name} {k}".encode() for name in ("ada", "bea", "cy") for k in (1, 2)},
    "empty.jpg": b"empty 1",
    "busy.jpg": b"busy 1",
    "slow.jpg": b"slow 1",
    "half.jpg": b"half 1",
    "huge.jpg": b"huge 1",
    "echo.jpg": b"echo 1",
}


class Vendor(BaseHTTPRequestHandler):
    """Both services: Rekognition's one address, Azure's two."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        if self.path == "/":
            self.rekognition(json.loads(body))
        elif self.path.partition("?")[0].endswith("/detect"):
            self.detect(body)
        else:
            self.verify(json.loads(body))

    def rekognition(self, asked):
        photos = [
            b64decode(asked[f"{side}Image"]["Bytes"]).decode() for side in ("Source", "Target")
        ]
        one, other = (photo.split()[0] for photo in photos)
        if "empty" in (one, other):
            text = "Request has invalid parameters"
            return self.say(400, {"__type": "InvalidParameterException", "Message": text})
        if self.busy(one):
            return self.say(400, {"__type": "ThrottlingException", "Message": "Rate exceeded"})
        if one == "huge":
            return self.say(400, {"__type": "ImageTooLargeException", "Message": "5 MB"})
        if one == "slow":
            time.sleep(1.5)
        score = 99.5 if one == other else 12.25
        answer = {"SourceImageFace": FACE, "FaceMatches": [], "UnmatchedFaces": []}
        if score >= asked["SimilarityThreshold"]:
            answer["FaceMatches"] = [{"Similarity": score, "Face": FACE}]
        else:
            answer["UnmatchedFaces"] = [FACE]
        if one == "echo":  # a service that says back what it was sent
            answer["SourceImageOrientationCorrection"] = self.headers["Authorization"]
        return self.say(200, answer, half=one == "half")

    def detect(self, body):
        name = body.decode().split()[0]
        if self.busy(name):
            text = "Rate limit is exceeded. Try again in 2 seconds."
            return self.say(429, {"error": {"statusCode": 429, "message": text}})
        if name == "huge":
            error = {"code": "InvalidImageSize", "message": "Image size is too small."}
            return self.say(400, {"error": error})
        if name == "slow":
            time.sleep(1.5)
        box = {"top": 1, "left": 1, "width": 50, "height": 50}
        face = {"faceId": f"{name}-{len(self.server.seen)}", "faceRectangle": box}
        return self.say(200, [] if name == "empty" else [face], half=name == "half")

    def verify(self, asked):
        one, other = (asked[f"faceId{place}"].partition("-")[0] for place in (1, 2))
        same = one == other
        self.say(200, {"isIdentical": same, "confidence": 0.91 if same else 0.08})

    def busy(self, name):
        """Throttled, the first time."""
        first = name == "busy" and name not in self.server.throttled
        self.server.throttled.add(name)
        return first

    def say(self, status, answer, half=False):
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1" if self.path == "/" else
                         "application/json")  # fmt: skip
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self.close_connection = True

    def log_message(self, *given):
        pass


@pytest.fixture
def vendor(monkeypatch):
    """A server on loopback; its address, and what it was sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    server.seen, server.throttled = [], set()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.address = f"http://127.0.0.1:{server.server_port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AZURE_FACE_KEY": KEY,
        "AZURE_FACE_ENDPOINT": server.address,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    waits = []
    monkeypatch.setattr(calling._Caller, "_sleep", lambda self, seconds: waits.append(seconds))
    server.waits = waits
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in PHOTOS.items():
        (folder / name).write_bytes(data)
    return folder


def plan_of(*pairs):
    plan = pd.DataFrame(pairs, columns=["image_a", "image_b"])
    for side in ("a", "b"):
        plan[f"subject_{side}"] = plan[f"image_{side}"].str.rstrip("12.jpg")
        plan[f"group_{side}"] = "x"
    return plan


PEOPLE = plan_of(("ada1.jpg", "ada2.jpg"), ("ada1.jpg", "bea1.jpg"), ("bea1.jpg", "cy2.jpg"))
TROUBLE = plan_of(
    ("empty.jpg", "ada1.jpg"), ("ada1.jpg", "empty.jpg"), ("busy.jpg", "ada1.jpg"),
    ("huge.jpg", "ada1.jpg"), ("slow.jpg", "ada1.jpg"), ("half.jpg", "ada1.jpg"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("service", "scores", "used"),
    [("rekognition", [99.5, 12.25, 12.25], 0.0), ("azure", [0.91, 0.08, 0.08], 0.5)],
)
def test_people_are_compared_and_each_pair_is_asked_once(
    vendor, photos, tmp_path, service, scores, used
):
    client = fl.service_client(service, photos, vendor.address)
    found = fl.call_pairs(client, PEOPLE, tmp_path / "out", service=service)
    assert found["score"].tolist() == scores and found["status"].eq("ok").all()
    assert found["threshold_used"].tolist() == [used] * 3
    assert found["faces_probe"].tolist() == [1] * 3
    asked = [path.partition("?")[0].rpartition("/")[2] for path, _, _ in vendor.seen]
    if service == "azure":  # each of four photos is detected once
        assert asked.count("detect") == 4 and asked.count("verify") == 3
        assert set(found["model_version"]) == {"recognition_04"}
        assert "recognitionModel=recognition_04" in vendor.seen[0][0]
    else:
        assert len(asked) == 3
    read = fl.read_answers(tmp_path / "out", service=service)
    assert read["score"].tolist() == scores and read["threshold_used"].tolist() == [used] * 3


@pytest.mark.parametrize(
    ("service", "statuses", "reasons"),
    [
        (
            "rekognition",
            ["no_face_probe", "no_face_probe", "ok", "refused", "error", "error"],
            ["InvalidParameterException"] * 2 + ["", "ImageTooLargeException", "Timeout", ""],
        ),
        (
            "azure",
            ["no_face_probe", "no_face_reference", "ok", "refused", "error", "error"],
            ["", "", "", "InvalidImageSize", "", ""],
        ),
    ],
)
def test_every_trouble_is_said(vendor, photos, tmp_path, service, statuses, reasons):
    """No face, throttling, an image that is refused, a time-out, half an answer."""
    client = fl.service_client(service, photos, vendor.address, timeout=0.5)
    found = fl.call_pairs(client, TROUBLE, tmp_path / "out", service=service, tries=2)
    assert found["status"].tolist() == statuses
    for told, expected in zip(found["reason"], reasons, strict=True):
        assert expected in told
    assert all(found.loc[found["status"] == "error", "reason"].str.len() > 5)
    # Throttled once, timed out twice, cut off twice: every try was counted, and none was hidden.
    assert found.attrs["calls"] == 6 + 1 + 1 + 1 and found.attrs["to_go"] == 2
    assert [wait for wait in vendor.waits if wait] == [2.0 if service == "azure" else 1.0, 1.0, 1.0]
    asked = [body for _, _, body in vendor.seen]
    assert sum(b"slow" in one or b"c2xvdyAx" in one for one in asked) == 2, "tries are ours alone"


@pytest.mark.parametrize("service", ["rekognition", "azure"])
def test_keys_come_from_the_environment_and_reach_no_file(vendor, photos, tmp_path, service):
    plan = plan_of(("ada1.jpg", "ada2.jpg"), ("echo.jpg", "bea1.jpg"), ("huge.jpg", "ada1.jpg"))
    client = fl.service_client(service, photos, vendor.address)
    found = fl.call_pairs(client, plan, tmp_path / "out", service=service)
    sent = json.dumps([headers for _, headers, _ in vendor.seen])
    assert KEY in sent, "the service was told the key"
    written = b"".join(
        path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    for secret in (KEY, SECRET):
        assert secret.encode() not in written
        assert secret not in found.to_csv() + json.dumps(found.attrs, default=str)
    if service == "azure":
        assert b"faceId" not in written, "no token of a face either"
    else:
        assert b"(a key)" in written, "it was said back, and struck out"


def test_a_key_that_is_not_there_and_a_folder_that_is_none_are_one_sentence(
    vendor, photos, monkeypatch
):
    monkeypatch.delenv("AZURE_FACE_KEY")
    with pytest.raises(fl.BadInput, match="AZURE_FACE_KEY is not in the environment"):
        fl.service_client("azure", photos)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(photos / "none"))
    with pytest.raises(fl.BadInput, match="AWS_DEFAULT_REGION"):
        fl.service_client("rekognition", photos)
    with pytest.raises(fl.BadInput, match="there is no folder"):
        fl.service_client("azure", photos / "none")
    with pytest.raises(fl.BadInput, match=r"0\.\.100"):
        fl.service_client("rekognition", photos, threshold=101)
    with pytest.raises(fl.BadInput, match="above 0"):
        fl.service_client("azure", photos, timeout=0)


def test_a_photo_outside_of_the_folder_is_not_sent(vendor, photos, tmp_path):
    (tmp_path / "private.jpg").write_bytes(b"ada 1")
    client = fl.service_client("rekognition", photos, vendor.address)
    with pytest.raises(fl.BadInput, match="not in the folder of the photos"):
        client({"image_a": "../private.jpg", "image_b": "ada1.jpg"})
    with pytest.raises(fl.BadInput, match="has no image_b"):
        client({"image_a": "ada1.jpg"})
    assert not vendor.seen


@pytest.mark.parametrize(("service", "package"), [("rekognition", "boto3"), ("azure", "azure.ai")])
def test_a_missing_package_is_one_sentence(monkeypatch, photos, service, package):
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(fl.MissingExtra, match=rf"pip install 'facelab\[{service}\]'"):
        fl.service_client(service, photos)


# ---- killed at any moment


class Counting(BaseHTTPRequestHandler):
    """Notes who was paid for, then answers."""

    def do_GET(self):
        number = int(self.path[1:])
        with self.server.lock:
            self.server.paid[number] = self.server.paid.get(number, 0) + 1
        time.sleep(0.002)
        data = str(number / 1000).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *given):
        pass


@pytest.fixture
def counting():
    """A service on loopback that notes how often each pair was paid for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    server.paid, server.lock = {}, threading.Lock()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def calling_child(server, plan, folder):
    """A process that calls, four pairs at a time."""
    child = os.fork()
    if not child:
        try:
            address = f"http://127.0.0.1:{server.server_port}"

            def ask(pair):
                return float(urllib.request.urlopen(f"{address}/{pair['row_a']}").read())

            fl.call_pairs(ask, plan, folder, jobs=4)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def test_a_process_that_is_killed_fifty_times_pays_for_no_answer_twice(counting, tmp_path):
    """Kill -9 at moments by chance; each time another process goes on."""
    kills, ended, kept = 50, 0, {}
    plan = pd.DataFrame({"row_a": range(400), "row_b": -1})
    folder = tmp_path / "answers"
    for place in range(kills + 1):
        child = calling_child(counting, plan, folder)
        due = len(kept) + (len(plan) - len(kept)) // (kills - place + 1)
        stop = time.monotonic() + 60
        while place < kills and len(counting.paid) < due and time.monotonic() < stop:
            time.sleep(0.0005)
        if place < kills:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        ended += code == -signal.SIGKILL
        assert code == (-signal.SIGKILL if place < kills else 0)
        told = Journal(folder).read() if folder.is_dir() else []
        now = {entry["pair"] for entry in told if entry["kind"] == "answer"}
        assert set(kept) <= now, "an answer that was kept is gone"
        assert sum(entry["kind"] == "call" for entry in told) >= sum(counting.paid.values())
        paid = {name: counting.paid[int(json.loads(name)[0])] for name in now}
        assert all(paid[name] == times for name, times in kept.items()), "an answer was paid twice"
        kept = paid
    assert ended == kills and len(kept) == len(plan)
    # What was on its way when a kill came, four at a time, is all that was asked again.
    assert sum(counting.paid.values()) <= len(plan) + 4 * kills
    answers = fl.read_answers(folder, service="plain")
    assert sorted(answers["score"]) == [k / 1000 for k in range(len(plan))]
