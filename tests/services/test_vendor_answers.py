"""Vendors' saved answers: what each says of a pair, and what it does not."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from altered import altered

import facelab as fl

VENDOR = Path(os.environ.get("FACELAB_REAL", "/nowhere")) / "vendor"
real = pytest.mark.skipif(not VENDOR.is_dir(), reason="FACELAB_REAL holds no vendor answers")

# Of every example: call, then by row the score, the status, the threshold, and faces in the photos.
EXAMPLES = {
    "azure_detect_v1.0_200": ("detect", [(None, "ok", None, 1, None)]),
    "azure_detect_v1.2_200": ("detect", [(None, "ok", None, 1, None)]),
    "azure_findsimilar_200": ("search", [(0.8, "ok", None, None, None)]),
    "azure_group_200": ("group", [(None, "ok", None, None, None)]),
    "azure_identify_200": ("search", [(0.8, "ok", None, 1, None)]),
    "azure_verify_200": ("verify", [(0.8, "ok", 0.5, None, None)]),
    "azure_verify_400": ("compare", [(None, "error", None, None, None)]),
    "azure_verify_403_quota": ("compare", [(None, "throttled", None, None, None)]),
    "azure_verify_404": ("compare", [(None, "error", None, None, None)]),
    "azure_verify_429": ("compare", [(None, "throttled", None, None, None)]),
    "rekognition_CompareFaces_0": ("compare", [(100.0, "ok", 80.0, 1, 1)]),
    "rekognition_DetectFaces_0": ("detect", [(None, "ok", None, 1, None)]),
    "rekognition_IndexFaces_0": ("enrol", [(None, "ok", None, 2, None)]),
    "rekognition_ListFaces_0": ("list", [(None, "ok", None, None, 11)]),
    "rekognition_SearchFacesByImage_0": ("search", [(99.97036743164062, "ok", 80.0, 1, None)]),
    "rekognition_SearchFaces_0": (
        "search",
        [
            (99.97222137451172, "ok", 80.0, 1, None),
            (97.04154968261719, "ok", 80.0, 1, None),
            (95.94520568847656, "ok", 80.0, 1, None),
        ],
    ),
}
_TOLD = ["score", "status", "threshold_used", "faces_probe", "faces_reference"]


def told(frame: pd.DataFrame) -> list[tuple]:
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame[_TOLD].itertuples(index=False)
    ]


@real
def test_every_example_of_the_folder_stands_in_the_table():
    assert {path.stem for path in VENDOR.glob("*.json")} == set(EXAMPLES)


@real
@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.filterwarnings("ignore:.*must be made again")
def test_a_vendors_own_example_is_read_right(name):
    call, rows = EXAMPLES[name]
    found = fl.read_answers(VENDOR / f"{name}.json", service=name.partition("_")[0])
    assert told(found) == rows
    assert set(found["call"]) == {call}
    versions = {
        "azure_detect_v1.0_200": "recognition_01",
        "azure_detect_v1.2_200": "recognition_03",
    }
    assert found["model_version"].iloc[0] == versions.get(name)
    assert list(found.attrs["card"]["files"]) == [f"{name}.json"]


FACE = {"BoundingBox": {"Width": 0.2, "Height": 0.2}}
LARGE = {"BoundingBox": {"Width": 0.5, "Height": 0.5}}
LIMITS = {"1e-3": 62.327, "1e-4": 69.101, "1e-5": 73.975}
# service, what the caller says, the answer; then score, status, threshold
ANSWERS = [
    ("rekognition", {}, {"FaceMatches": [], "UnmatchedFaces": [FACE]},
     (None, "below_threshold", 80)),
    ("rekognition", {"threshold": 0}, {"FaceMatches": [{"Similarity": 3.1, "Face": FACE}]},
     (3.1, "ok", 0)),
    ("rekognition", {"request": {"SimilarityThreshold": 95}},
     {"FaceMatches": [], "UnmatchedFaces": [FACE]}, (None, "below_threshold", 95)),
    ("rekognition", {}, {"FaceMatches": [], "UnmatchedFaces": [], "SourceImageFace": FACE},
     (None, "no_face_reference", 80)),
    ("rekognition", {}, {"FaceMatches": [{"Similarity": 12, "Face": FACE}]}, (12.0, "ok", None)),
    ("rekognition", {}, {"__type": "InvalidParameterException", "Message": "Request has invalid "
     "parameters"}, (None, "no_face_probe", None)),
    ("rekognition", {}, {"__type": "com.amazonaws#ThrottlingException"}, (None, "throttled", None)),
    ("rekognition", {}, {"Error": {"Code": "ProvisionedThroughputExceededException"}},
     (None, "throttled", None)),
    ("rekognition", {}, {"__type": "ImageTooLargeException"}, (None, "refused", None)),
    ("rekognition", {}, {"__type": "InternalServerError"}, (None, "error", None)),
    ("rekognition", {}, {"__type": "InvalidS3ObjectException"}, (None, "error", None)),
    ("rekognition", {}, {"FaceMatches": [], "SearchedFaceBoundingBox": {}},
     (None, "below_threshold", 80)),
    ("rekognition", {}, {"FaceRecords": [], "UnindexedFaces": [{"Reasons": ["EXTREME_POSE"]}]},
     (None, "refused", None)),
    ("rekognition", {}, {"FaceDetails": []}, (None, "no_face_probe", None)),
    ("azure", {}, [], (None, "no_face_probe", None)),
    ("azure", {"call": "findsimilar", "threshold": 0.4}, [], (None, "below_threshold", 0.4)),
    ("azure", {"threshold": 0.6}, [{"faceId": "x", "candidates": []}],
     (None, "below_threshold", 0.6)),
    ("azure", {}, {"error": {"code": "InvalidImageSize", "message": "too small"}},
     (None, "refused", None)),
    ("facepp", {}, {"confidence": 71.25, "thresholds": LIMITS, "faces1": [{}], "faces2": [{}]},
     (71.25, "ok", None)),
    ("facepp", {}, {"faces1": [], "faces2": [{}]}, (None, "no_face_probe", None)),
    ("facepp", {}, {"faces1": [{}], "faces2": []}, (None, "no_face_reference", None)),
    ("facepp", {}, {"error_message": "CONCURRENCY_LIMIT_EXCEEDED"}, (None, "throttled", None)),
    ("facepp", {}, {"error_message": "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file1"},
     (None, "refused", None)),
    ("facepp", {}, {"error_message": "INVALID_FACE_TOKEN"}, (None, "error", None)),
    ("facepp", {}, "<html>413 Request Entity Too Large</html>", (None, "refused", None)),
    ("tencent", {}, {"Response": {"Score": 41.5, "RequestId": "r"}}, (41.5, "ok", None)),
    ("tencent", {}, {"Response": {"Error": {"Code": "InvalidParameterValue.NoFaceInPhoto"}}},
     (None, "no_face_probe", None)),
    ("tencent", {}, {"Response": {"Error": {"Code": "FailedOperation.ImageResolutionTooSmall"}}},
     (None, "refused", None)),
    ("tencent", {}, {"Response": {"Error": {"Code": "RequestLimitExceeded"}}},
     (None, "throttled", None)),
    ("aliyun", {}, {"Data": {"Confidence": 88.0, "Thresholds": [61, 69, 75]}}, (88.0, "ok", None)),
    ("luxand", {}, {"score": 0.93, "similar": True}, (0.93, "ok", None)),
    ("luxand", {}, {"status": "failure", "message": "Can't find faces"},
     (None, "no_face_probe", None)),
    ("luxand", {}, {"status": "failure"}, (None, "refused", None)),
    ("compreface", {}, {"result": [{"face_matches": [{"similarity": 0.7, "box": {}}]}]},
     (0.7, "ok", None)),
    ("compreface", {}, {"message": "No face is found in the given image", "code": 28},
     (None, "no_face_probe", None)),
    ("compreface", {}, {"result": [{"subjects": [{"subject": "eve", "similarity": 0.9}]}]},
     (0.9, "ok", None)),
    ("deepface", {}, {"verified": True, "distance": 0.31, "threshold": 0.68, "model": "VGG-Face"},
     (0.31, "ok", 0.68)),
    # shapes of the vendors' documentation
    ("rekognition", {}, {"UserMatches": [{"Similarity": 99.5, "User": {"UserId": "eve",
     "UserStatus": "ACTIVE"}}], "FaceModelVersion": "6", "SearchedFace": {"FaceDetail": FACE}},
     (99.5, "ok", 80)),
    ("rekognition", {"UserMatchThreshold": 70}, {"UserMatches": [], "SearchedUser": {"UserId": "a"}
     }, (None, "below_threshold", 70)),
    ("rekognition", {}, {"UserMatches": [], "FaceModelVersion": "6", "UnsearchedFaces": []},
     (None, "no_face_probe", 80)),
    ("rekognition", {}, {"UserMatches": [], "UnsearchedFaces": [{"Reasons": ["LOW_FACE_QUALITY"]}]},
     (None, "refused", 80)),
    ("rekognition", {}, {"Users": [{"UserId": "a"}], "NextToken": ""}, (None, "ok", None)),
    ("azure", {}, {"sessionId": "s", "status": "Succeeded", "modelVersion": "2024-11-15", "results":
     {"attempts": [{"attemptId": 2, "attemptStatus": "Succeeded", "result": {"livenessDecision":
      "realface", "verifyResult": {"matchConfidence": 0.93, "isIdentical": True}}},
      {"attemptId": 1, "error": {"code": "FaceWithMaskDetected"}}]}}, (0.93, "ok", 0.5)),
    ("azure", {}, {"verifyResult": {"matchConfidence": 0.2, "isIdentical": False}},
     (0.2, "ok", 0.5)),
    ("azure", {}, {"probe": [], "reference": [{"faceRectangle": {}}]},
     (None, "no_face_probe", None)),
    ("azure", {}, {"probe": [{}], "reference": [{}, {}], "verify": {"isIdentical": False,
     "confidence": 0.3}}, (0.3, "ok", 0.5)),
    ("tencent", {}, {"Response": {"IsMatch": True, "Score": 96.0, "FaceModelVersion": "3.0"}},
     (96.0, "ok", None)),
    ("tencent", {"threshold": 60}, {"Response": {"Results": [{"Candidates": [{"PersonId": "eve",
     "Score": 88.5}], "FaceRect": {}, "RetCode": 0}], "FaceNum": 1}}, (88.5, "ok", 60)),
    ("tencent", {"threshold": 60}, {"Response": {"ResultsReturnsByGroup": [{"GroupCandidates":
     [{"GroupId": "g", "Candidates": []}], "RetCode": 0}]}}, (None, "below_threshold", 60)),
    ("tencent", {}, {"Score": 41.5, "FaceModelVersion": "3.0"}, (41.5, "ok", None)),
    ("tencent", {}, {"Response": {"Error": {"Code": "FailedOperation.FaceQualityNotQualified",
     "Message": "x"}}}, (None, "refused", None)),
    ("aliyun", {}, {"RequestId": "r", "Data": {"Confidence": 12.5, "Thresholds": [61, 69, 75],
     "IsMaskA": 0, "QualityScoreA": 75.9, "RectAList": [1, 2, 3, 4]}}, (12.5, "ok", None)),
    ("aliyun", {"threshold": 50}, {"Data": {"MatchList": [{"FaceItems": [{"EntityId": "eve",
     "Score": 0.8, "Confidence": 81.3}]}]}}, (81.3, "ok", 50)),
    ("aliyun", {"threshold": 50}, {"Data": {"MatchList": []}}, (None, "below_threshold", 50)),
    ("aliyun", {}, {"Code": "Success", "Result": {"Passed": "Y", "FaceComparisonScore": 97.0}},
     (97.0, "ok", None)),
    ("aliyun", {}, {"Code": "Success", "Result": {"Passed": "N", "SubCode": "205",
     "ExtFaceInfo": '{"faceAttack": "N", "faceComparisonScore": 52.57, "facePassed": "N"}'}},
     (52.57, "ok", None)),
    ("aliyun", {}, {"Code": "Success", "Result": {"ExtFaceInfo": "{"}}, (None, "error", None)),
    ("aliyun", {}, {"Code": "InvalidImage.NotFoundFace", "Message": "no face"},
     (None, "no_face_probe", None)),
    ("aliyun", {}, {"code": "Throttling.User", "message": "flow control"},
     (None, "throttled", None)),
    ("baidu", {}, {"error_code": 0, "error_msg": "SUCCESS", "result": {"score": 44.3,
     "face_list": [{"face_token": "t"}, {"face_token": "u"}]}}, (44.3, "ok", None)),
    ("baidu", {}, {"error_code": 0, "result": {"face_token": "t", "user_list": [{"group_id": "g",
     "user_id": "eve", "score": 86.59}]}}, (86.59, "ok", None)),
    ("baidu", {"threshold": 80}, {"error_code": 222207, "error_msg": "match user is not found",
     "result": None}, (None, "below_threshold", 80)),
    ("baidu", {}, {"error_code": 18, "error_msg": "Open api qps request limit reached"},
     (None, "throttled", None)),
    ("baidu", {}, {"error_code": 222202, "error_msg": "pic not has face", "result": None},
     (None, "no_face_probe", None)),
    ("baidu", {}, {"error_code": 222213, "error_msg": "face size is too small"},
     (None, "refused", None)),
    ("baidu", {}, {"error_code": 110, "error_msg": "Access token invalid or no longer valid"},
     (None, "error", None)),
    ("huawei", {}, {"image1_face": {"bounding_box": {}}, "image2_face": {"bounding_box": {}},
     "similarity": 0.42}, (0.42, "ok", None)),
    ("huawei", {"threshold": 0.9}, {"faces": [{"similarity": 0.95, "external_image_id": "eve"}]},
     (0.95, "ok", 0.9)),
    ("huawei", {"call": "search", "threshold": 0.9}, {"faces": []},
     (None, "below_threshold", 0.9)),
    ("huawei", {}, {"error_code": "FRS.0501", "error_msg": "Detect no face, check your picture"},
     (None, "no_face_probe", None)),
    ("huawei", {}, {"error_code": "FRS.0120", "error_msg": "system busy, please check the api "
     "invoke frequency."}, (None, "throttled", None)),
    ("luxand", {}, {"status": "success", "message": "verified", "probability": 0.99},
     (0.99, "ok", None)),
    ("luxand", {}, {"status": "failure", "message": "not verified", "probability": 0.31},
     (0.31, "ok", None)),
    ("luxand", {}, [{"uuid": "u", "name": "eve", "probability": 0.97, "rectangle": {}}],
     (0.97, "ok", None)),
    ("luxand", {"call": "search"}, [], (None, "below_threshold", None)),
    ("kairos", {}, {"images": [{"transaction": {"status": "success", "subject_id": "eve",
     "confidence": 0.92, "quality": 0.8}}]}, (0.92, "ok", None)),
    ("kairos", {"threshold": 0.6}, {"images": [{"transaction": {"status": "failure", "message":
     "no match found"}}]}, (None, "below_threshold", 0.6)),
    ("kairos", {}, {"images": [{"transaction": {"status": "success", "confidence": 0.7},
     "candidates": [{"subject_id": "eve", "confidence": 0.7}]}]}, (0.7, "ok", None)),
    ("kairos", {}, {"Errors": [{"Message": "no faces found in the image", "ErrCode": 5002}]},
     (None, "no_face_probe", None)),
    ("deepface", {}, {"verified": False, "distance": 0.7, "max_threshold_to_verify": 0.4},
     (0.7, "ok", 0.4)),
    ("deepface", {}, [[{"identity": "eve.jpg", "distance": 0.2, "threshold": 0.68}]],
     (0.2, "ok", 0.68)),
    ("deepface", {"threshold": 0.68}, [[]], (None, "below_threshold", 0.68)),
    ("deepface", {}, {"exception": "Face could not be detected in numpy array."},
     (None, "no_face_probe", None)),
    ("rekognition", {}, {"request": {"SimilarityThreshold": 0}, "response": {"FaceMatches": [
     {"Similarity": 95.5, "Face": FACE}]}}, (95.5, "ok", 0)),
    ("plain", {}, {"similarity": 0.5}, (0.5, "ok", None)),
    ("plain", {}, 0.25, (0.25, "ok", None)),
    ("plain", {}, {"status": "below_threshold", "threshold_used": 0.5},
     (None, "below_threshold", 0.5)),
]  # fmt: skip


@pytest.mark.parametrize(("service", "about", "answer", "expected"), ANSWERS)
@pytest.mark.filterwarnings("ignore:.*must be made again")
def test_an_answer_says_what_it_says(tmp_path, service, about, answer, expected):
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({**about, "response": answer}))
    (found,) = told(fl.read_answers(file, service=service))
    assert found[:3] == expected


def test_of_several_faces_the_rule_that_was_stated_takes_one(tmp_path):
    answer = {"FaceMatches": [{"Similarity": 91.0, "Face": FACE}], "UnmatchedFaces": [LARGE]}
    (tmp_path / "one.json").write_text(json.dumps(answer))
    statuses = {
        rule: fl.read_answers(tmp_path, several=rule)[["status", "faces_reference"]]
        .iloc[0]
        .tolist()
        for rule in ("best", "largest", "drop")
    }
    assert statuses == {
        "best": ["ok", 2],
        "largest": ["below_threshold", 2],
        "drop": ["refused", 2],
    }
    dropped = fl.read_answers(tmp_path, several="drop").assign(group_a="x", group_b="x")
    assert fl.answers_by_group(dropped)["several_faces"].tolist() == [1, 1]


def test_a_csv_of_calls_is_read_whether_it_holds_answers_or_their_numbers(tmp_path):
    answer = json.dumps({"isIdentical": True, "confidence": 0.75})
    with open(tmp_path / "calls.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["probe", "reference", "subject_a", "subject_b", "group_a", "response"])
        lines.writerow(["a1.jpg", "a2.jpg", "007", "007", "x", answer])
        lines.writerow(["a1.jpg", "b1.jpg", "007", "8", "x", "429 Too Many Requests"])
    with pytest.warns(UserWarning, match="1 call of 2 must be made again"):
        found = fl.read_answers(tmp_path / "calls.csv", service="azure")
    assert found["status"].tolist() == ["ok", "throttled"]
    assert found["subject_a"].tolist() == ["007", "007"]
    assert found["mated"].tolist() == [True, False]
    (tmp_path / "own.csv").write_text("image_a,image_b,score\na1,b1,0.5\na1,b2,nan\n")
    with pytest.warns(UserWarning, match="made again"):
        own = fl.read_answers(tmp_path / "own.csv", service="plain")
    assert own["status"].tolist() == ["ok", "error"]
    text = 'image_a;image_b;response\na1;b1;"{""confidence"": 61.5}"\na1;b2;"[1,2]"\n'
    (tmp_path / "parted.csv").write_text(text)
    with pytest.warns(UserWarning, match="made again"):
        parted = fl.read_answers(tmp_path / "parted.csv", service="facepp")
    assert parted["score"].iloc[0] == 61.5 and parted["status"].tolist() == ["ok", "error"]
    (tmp_path / "comma.csv").write_text("image_a;image_b;score;weight\na1;b1;0,5;1,25\n")
    comma = fl.read_answers(tmp_path / "comma.csv", service="plain")
    assert comma[["score", "weight"]].iloc[0].tolist() == [0.5, 1.25]
    text = "image_a,image_b,score\na1,b1,0.5,\na,1,b2,0.5\n"  # an image called "a,1"
    (tmp_path / "longer.csv").write_text(text)
    with pytest.warns(UserWarning, match="made again"):
        longer = fl.read_answers(tmp_path / "longer.csv", service="plain")
    assert longer["status"].tolist() == ["ok", "error"]
    assert "more cells than the first line has names" in longer["reason"].iloc[1]


@pytest.mark.parametrize(
    "written",
    [
        "Probe,Reference,is_same,score\na,b,Yes,0.5\na,c,impostor,0.25\n",
        "file1;file2;same;score\na;b;1;0,5\na;c;0;0,25\n",
        '{"image_a": "a", "image_b": "b", "mated": true, "score": 0.5}\n'
        '{"image_a": "a", "image_b": "c", "mated": false, "score": 0.25}\n',
        '[{"img1": "a", "img2": "b", "genuine": 1, "score": 0.5},'
        ' {"img1": "a", "img2": "c", "genuine": 0, "score": 0.25}]',
    ],
)
def test_pairs_that_stand_beside_their_scores_are_read_by_any_usual_name(tmp_path, written):
    suffix = {"{": ".jsonl", "[": ".json"}.get(written[0], ".csv")
    (tmp_path / f"answers{suffix}").write_text(written)
    found = fl.read_answers(tmp_path, service="plain")
    columns = ["image_a", "image_b", "mated", "score", "status"]
    assert found[columns].values.tolist() == [
        ["a", "b", True, 0.5, "ok"],
        ["a", "c", False, 0.25, "ok"],
    ]


def test_answers_of_nobody_knows_whom_are_read_and_said_to_be(tmp_path):
    (tmp_path / "calls.csv").write_text("one,other,score\na,b,0.5\na,c,0.2\n")
    with pytest.warns(UserWarning, match="no answer says whose photos were compared"):
        found = fl.read_answers(tmp_path, service="plain")
    assert found["score"].tolist() == [0.5, 0.2]


@pytest.mark.parametrize(
    ("said", "status"),
    [("InvalidParameterException", "no_face_probe"), ("ThrottlingException", "throttled"),
     ("ImageTooLargeException", "refused"), ("AccessDeniedException", "error")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*must be made again")
def test_what_the_command_line_of_aws_prints_of_an_error_is_that_error(tmp_path, said, status):
    text = f"\nAn error occurred ({said}) when calling the CompareFaces operation: so it is\n"
    (tmp_path / "a.json").write_text(text)
    found = fl.read_answers(tmp_path, service="rekognition")
    assert found[["status", "reason"]].iloc[0].tolist() == [status, said]


def test_neither_pictures_nor_tokens_are_kept(tmp_path):
    picture = "data:image/jpeg;base64," + "A" * 5000
    answer = {
        "confidence": 80.0, "faces1": [{"face_token": "t0k3nOfAFace"}], "faces2": [{}],
        "request_id": "r3qu3st",
    }  # fmt: skip
    record = {"probe": picture, "reference": "b.jpg", "response": answer}
    (tmp_path / "answers.jsonl").write_text(json.dumps(record))
    found = fl.read_answers(tmp_path, service="facepp")
    text = found.to_csv() + json.dumps(found.attrs)
    assert "AAAA" not in text and "t0k3nOfAFace" not in text and "r3qu3st" not in text
    assert found["image_b"].tolist() == ["b.jpg"]


def test_versions_are_never_pooled_and_a_change_of_them_is_said(tmp_path):
    people = {"subject_a": "a", "subject_b": "b"}
    lines = [
        {**people, "model_version": version, "response": {"confidence": 0.2}}
        for version in ("recognition_03", "recognition_03", "recognition_04")
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match="2 versions, which are different systems"):
        found = fl.read_answers(tmp_path, service="azure")
    with pytest.raises(fl.BadInput, match=r"recognition_03 \(2\), recognition_04 \(1\)"):
        fl.Comparisons.from_answers(found)
    one = found[found["model_version"] == "recognition_03"]
    assert len(fl.Comparisons.from_answers(one)) == 2


def test_a_vendors_thresholds_that_move_are_said(tmp_path):
    lines = [
        {"response": {"confidence": 50, "faces1": [{}], "faces2": [{}], "thresholds": limits}}
        for limits in (LIMITS, {**LIMITS, "1e-3": 65.3})
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match="thresholds changed"):
        fl.read_answers(tmp_path, service="facepp")


def test_a_search_names_whom_it_found(tmp_path):
    face = {"ExternalImageId": "eve", "FaceId": "x", "IndexFacesModelVersion": "6.0"}
    answer = {"FaceMatches": [{"Similarity": 88.0, "Face": face}], "SearchedFaceConfidence": 99,
              "SearchedFaceBoundingBox": {}}  # fmt: skip
    (tmp_path / "a.jsonl").write_text(json.dumps({"subject_a": "eve", "response": answer}))
    found = fl.read_answers(tmp_path)
    assert found[["subject_b", "mated", "model_version"]].values.tolist() == [["eve", True, "6.0"]]


GOOD = {
    "rekognition": {"FaceMatches": [{"Similarity": 91.0, "Face": FACE}], "UnmatchedFaces": [FACE]},
    "azure": [{"faceId": "x", "candidates": [{"personId": "p", "confidence": 0.7}]}],
    "facepp": {"confidence": 71.0, "thresholds": LIMITS, "faces1": [{}], "faces2": [{}]},
    "tencent": {"Response": {"Score": 50.0}},
    "aliyun": {"Data": {"Confidence": 50.0, "Thresholds": [61, 69, 75]}},
    "baidu": {"error_code": 0, "result": {"score": 50.0}},
    "huawei": {"similarity": 0.5},
    "luxand": {"score": 0.5},
    "kairos": {"images": [{"transaction": {"confidence": 0.7}}]},
    "compreface": {"result": [{"face_matches": [{"similarity": 0.7, "box": {"x_max": 3}}]}]},
    "deepface": {"distance": 0.3, "threshold": 0.6},
    "plain": {"score": 1.0},
}
HOSTILE = ["high", True, -1e-9, 1e308 * 10, float("nan"), [], {}, None, [[[1]]], "91.0", 10**400]


def spoilt(value, bad):
    """Every version of a value with one of its numbers replaced."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: one} for one in spoilt(inner, bad))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from ([*value[:place], one, *value[place + 1 :]] for one in spoilt(inner, bad))
    elif isinstance(value, float):
        yield bad


def hostile_answers():
    for service, good in GOOD.items():
        for bad in HOSTILE:
            for answer in spoilt(good, bad):
                yield service, json.dumps({"response": answer})
        for answer in ({}, [1], "text", None, {"result": "x"}, [[]], {"a": {"b": {}}}, 7, {"x": 0}):
            if not (service == "plain" and answer == 7):
                yield service, json.dumps({"response": answer})
        for line in (
            '{"response": {"score": 1,',
            "[" * 100_000,
            '{"a": 1, "a": 2}',
            "\x00",
            "Infinity",
        ):
            yield service, line


@pytest.mark.filterwarnings("ignore:.*must be made again")
def test_hostile_answers_are_set_aside_with_a_reason(tmp_path):
    count = 0
    for service in GOOD:
        lines = [line for name, line in hostile_answers() if name == service]
        (tmp_path / "answers.jsonl").write_text("\n".join(lines))
        found = fl.read_answers(tmp_path, service=service)
        assert len(found) >= len(lines)
        good = found[found["status"] == "ok"]
        # What is spoilt beside the score (a box, a threshold) leaves the score as it was.
        assert set(good["score"]) <= {91.0, 0.7, 71.0, 50.0, 0.5, 0.3, 1.0, -1e-9}
        aside = found[found["status"] == "error"]
        assert (aside["reason"].str.len() > 5).all() and (aside["reason"].str.len() < 200).all()
        assert not np.isfinite(aside["score"]).any()
        count += len(aside)
    assert count > 200


@pytest.mark.filterwarnings("ignore")
def test_whatever_part_of_a_documented_answer_is_spoilt_it_is_read_or_set_aside(tmp_path):
    count = 0
    for service in sorted({name for name, *_ in ANSWERS}):
        lines = [
            json.dumps({**about, "response": one})
            for name, about, answer, _ in ANSWERS
            for bad in (None, 7, -1.5, "x", [], [7], {}, {"x": [None]}, True)
            if name == service
            for one in altered(answer, bad)
        ]
        (tmp_path / "answers.jsonl").write_text("\n".join(lines))
        found = fl.read_answers(tmp_path, service=service)
        assert len(found) >= len(lines) * 0.9
        known = found["status"] == "ok"
        scored = found.loc[known, "score"].dropna()
        assert np.isfinite(scored).all() and found.loc[~known, "score"].isna().all()
        count += len(lines)
    assert count > 3000


def test_what_holds_no_answer_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        fl.read_answers(tmp_path / "none.jsonl")
    with pytest.raises(fl.BadInput, match="holds no answers"):
        fl.read_answers(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(fl.BadInput, match="holds no answer"):
        fl.read_answers(tmp_path)
    with pytest.raises(fl.BadInput, match="service"):
        fl.read_answers(tmp_path, service="rekogniton")


@pytest.mark.filterwarnings("ignore:.*(must be made again|versions|thresholds)")
def test_anything_anywhere_in_a_record_is_a_row_that_can_be_written_down(tmp_path):
    about = {"subject_a": "a", "subject_b": "b", "group_a": "x", "mated": False, "weight": 2.0,
             "threshold": 0.5, "row_a": 1, "stratum": 3, "model_version": "1",
             "request": {"SimilarityThreshold": 80}, "call": "compare"}  # fmt: skip
    file = tmp_path / "answers.jsonl"
    for service, answer in GOOD.items():
        record = {**about, "response": answer}
        lines = [
            json.dumps(one) for odd in [*HOSTILE, "\ud800", 2.5] for one in altered(record, odd)
        ]
        file.write_text("\n".join([json.dumps(record), *lines]))
        found = fl.read_answers(file, service=service)
        assert len(found) == 1 + len(lines)
        assert found.loc[0, "status"] in ("ok", "error")
        found.to_csv(tmp_path / "found.csv")
        fl.answers_by_group(found)
        pairs = found[found["call"].isin(["compare", "verify", "search"])]
        assert np.isfinite(pairs.loc[pairs["status"] == "ok", "score"]).all()
