"""What other analysers have saved: every make, several faces a photo, failures kept."""

import json
import time

import numpy as np
import pandas as pd
import pytest
from altered import altered

import facelab as fl


def deepface_face(gender="Woman", w=50, x=0, confidence=0.9):
    sure = {"Woman": 97.5, "Man": 2.5} if gender == "Woman" else {"Woman": 2.5, "Man": 97.5}
    emotion = {"angry": 1.0, "happy": 90.0, "neutral": 9.0}
    return {
        **{"age": 31, "region": {"x": x, "y": 0, "w": w, "h": w}, "face_confidence": confidence},
        **{"gender": sure, "dominant_gender": gender},
        **{"emotion": emotion, "dominant_emotion": "happy"},
        **{"race": {"latino hispanic": 80.0, "white": 20.0}, "dominant_race": "latino hispanic"},
    }


def written(folder, name, told):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(told if isinstance(told, str) else json.dumps(told))
    return file


def test_deepface_in_every_dress_it_is_saved_in(tmp_path):
    answers = {"a.jpg": [deepface_face()], "b.jpg": [deepface_face("Man")]}
    one_file = written(tmp_path, "all.json", answers)
    records = [{"image": name, "response": answer} for name, answer in answers.items()]
    listed = written(tmp_path, "list.json", records)
    lines = written(tmp_path, "lines.jsonl", "\n".join(map(json.dumps, records)))
    for name, answer in answers.items():
        written(tmp_path / "folder", f"{name}.json", answer)
    tables = [
        fl.read_predictions(place, format="deepface")
        for place in (one_file, listed, lines, tmp_path / "folder")
    ]
    for table in tables:
        pd.testing.assert_frame_equal(table, tables[0])
    first = tables[0].iloc[0]
    assert first["predicted_gender"] == "female" and first["score_female"] == 0.975
    assert first["predicted_expression"] == "happy" and first["score_happy"] == 0.9
    assert first["predicted_race"] == "latino hispanic" and first["predicted_age"] == 31
    batch = written(tmp_path, "batch.json", list(answers.values()))
    assert fl.read_predictions(batch, format="deepface")["predicted_gender"].tolist() == [
        *("female", "male")
    ]


def test_deepface_as_pandas_saves_it_with_dicts_in_cells(tmp_path):
    """NumPy's numbers are told with their type; a photo's faces are rows; one cell is damaged."""
    faces = {
        "a.jpg": [deepface_face(w=9), deepface_face("Man", w=50, x=60)],
        "b.jpg": [deepface_face()],
    }
    rows = [{"img_path": name, **face} for name, found in faces.items() for face in found]
    for row in rows:
        row["gender"] = {label: np.float64(score) for label, score in row["gender"].items()}
    pd.DataFrame(rows).to_csv(tmp_path / "saved.csv")
    assert "np.float64(" in (tmp_path / "saved.csv").read_text()
    whole = written(tmp_path, "whole.json", faces)
    pd.testing.assert_frame_equal(
        fl.read_predictions(tmp_path / "saved.csv", format="deepface"),
        fl.read_predictions(whole, format="deepface"),
    )
    pd.DataFrame(rows).drop(columns="img_path").to_csv(tmp_path / "unnamed.csv", index=False)
    table = fl.read_predictions(tmp_path / "unnamed.csv", format="deepface")
    assert table["image"].tolist() == ["0", "1", "2"] and (table["status"] == "ok").all()
    rows[2]["gender"] = "{'Woman': 97.5, "
    pd.DataFrame(rows).to_csv(tmp_path / "damaged.csv", index=False)
    table = fl.read_predictions(tmp_path / "damaged.csv", format="deepface")
    assert table["predicted_gender"].tolist() == ["male", "female"]
    assert table["score_female"].isna().tolist() == [False, True]
    written(tmp_path, "other.csv", "image,label\na.jpg,cat\n")
    with pytest.raises(fl.BadInput, match="no column that DeepFace writes"):
        fl.read_predictions(tmp_path / "other.csv", format="deepface")


def test_scores_that_add_up_to_one_are_shares_whoever_is_said_to_give_percents(tmp_path):
    face = deepface_face()
    shares = {**face, "gender": {name: one / 100 for name, one in face["gender"].items()}}
    file = written(tmp_path, "mixed.json", {"a.jpg": [face], "b.jpg": [shares]})
    read = fl.read_predictions(file, format="deepface").filter(like="score_")
    assert read.shape[1] > 1
    np.testing.assert_allclose(*read.to_numpy(), rtol=1e-12)


def test_hidden_files_beside_answers_are_none(tmp_path):
    for name in ("a.jpg.json", ".a.jpg.json.swp.json", ".ipynb_checkpoints/a.jpg-checkpoint.json"):
        written(tmp_path, name, [deepface_face()])
    assert fl.read_predictions(tmp_path, format="deepface")["image"].tolist() == ["a.jpg"]


def test_failures_have_a_row_each_and_say_why(tmp_path):
    answers = {
        "none.jpg": [],
        "null.jpg": None,
        "said.jpg": "Face could not be detected in numpy array.",
        "whole.jpg": [deepface_face(confidence=0)],
        "error.jpg": {"error": {"code": "Throttled", "message": "wait"}},
        "fine.jpg": [deepface_face()],
    }
    table = fl.read_predictions(written(tmp_path, "a.json", answers), format="deepface")
    assert table.set_index("image")["status"].to_dict() == {
        "none.jpg": "no face",
        "null.jpg": "no answer",
        "said.jpg": "no face",
        "whole.jpg": "no face",
        "error.jpg": "error: Throttled",
        "fine.jpg": "ok",
    }
    written(tmp_path / "f", "x.jpg.json", [deepface_face()])
    written(tmp_path / "f", "y.jpg.json", '[{"age": 3')
    table = fl.read_predictions(tmp_path / "f", format="deepface")
    assert table["status"].tolist() == ["ok", "error: the answer cannot be read"]


def test_of_several_faces_the_largest_the_labelled_or_all(tmp_path):
    faces = [deepface_face("Man", w=40, x=0), deepface_face("Woman", w=60, x=200)]
    file = written(tmp_path, "a.json", {"a.jpg": faces})
    largest = fl.read_predictions(file, format="deepface")
    assert largest[["face", "faces", "predicted_gender"]].values.tolist() == [[1, 2, "female"]]
    every = fl.read_predictions(file, format="deepface", faces="all")
    assert every["predicted_gender"].tolist() == ["male", "female"]
    box = {"image": ["a.jpg"], "box_left": 5, "box_top": 2, "box_width": 38, "box_height": 38}
    mine = fl.read_predictions(file, format="deepface", boxes=pd.DataFrame(box))
    assert mine["predicted_gender"].tolist() == ["male"]
    away = pd.DataFrame(box | {"box_left": 900})
    lost = fl.read_predictions(file, format="deepface", boxes=away)
    assert lost["status"].tolist() == ["error: no face where the label says"]


def test_rekognition_with_attributes(tmp_path):
    answer = {
        "FaceDetails": [
            {
                "BoundingBox": {"Left": 0.1, "Top": 0.1, "Width": 0.2, "Height": 0.3},
                "Confidence": 99.9,
                "AgeRange": {"Low": 20, "High": 30},
                "Gender": {"Value": "Female", "Confidence": 98.0},
                "Emotions": [
                    {"Type": "CALM", "Confidence": 60.0},
                    {"Type": "HAPPY", "Confidence": 39.0},
                ],
            }
        ]
    }
    row = fl.read_predictions(written(tmp_path, "a.json", answer), "rekognition").iloc[0]
    assert (row["predicted_gender"], row["score_female"]) == ("female", 0.98)
    assert (row["predicted_age"], row["age_low"], row["age_high"]) == (25, 20, 30)
    assert (row["predicted_expression"], row["score_calm"]) == ("calm", 0.6)


def test_facepp_of_whose_faces_only_five_have_attributes(tmp_path):
    box = {"top": 1, "left": 1, "width": 9, "height": 9}
    told = {"gender": {"value": "Male"}, "age": {"value": 40}, "ethnicity": {"value": "WHITE"}}
    told["emotion"] = {"anger": 0.5, "neutral": 99.5}
    answers = {
        "a.jpg": {"faces": [{"face_rectangle": box, "attributes": told}], "face_num": 1},
        "b.jpg": {"faces": [{"face_rectangle": box}]},
        "c.jpg": {"faces": []},
        "d.jpg": {"error_message": "CONCURRENCY_LIMIT_EXCEEDED"},
    }
    table = fl.read_predictions(written(tmp_path, "a.json", answers), format="facepp")
    assert table["status"].tolist() == [
        *("ok", "no attribute in the answer", "no face", "error: CONCURRENCY_LIMIT_EXCEEDED")
    ]
    first = table.iloc[0]
    assert (first["predicted_gender"], first["predicted_age"]) == ("male", 40)
    assert (first["predicted_race"], first["score_neutral"]) == ("white", 0.995)


@pytest.mark.real
def test_azure_before_and_after_it_withdrew_its_attributes(real):
    old = fl.read_predictions(real / "vendor" / "azure_detect_v1.0_200.json", format="azure")
    assert old[["predicted_gender", "predicted_age"]].values.tolist() == [["male", 71.0]]
    assert old["predicted_expression"].tolist() == ["anger"] and old.loc[0, "score_anger"] == 0.575
    new = fl.read_predictions(real / "vendor" / "azure_detect_v1.2_200.json", format="azure")
    assert new["status"].tolist() == ["no attribute in the answer"]


def test_fairfaces_csv_with_scores_in_strings_and_line_breaks(tmp_path):
    gender = np.array2string(np.array([0.25, 0.75]))
    race = np.array2string(np.array([0.9, *[1 / 60] * 6]), max_line_width=30)
    assert "\n" in race
    rows = {
        "face_name_align": ["detected/a_face0.jpg", "detected/a_face1.jpg", "detected/b_face0.jpg"],
        "race": ["White", "Latino_Hispanic", "Black"],
        "race4": "White",
        "gender": ["Female", "Male", "Female"],
        "age": ["20-29", "Oct-19", "70+"],
        "race_scores_fair": [race, race, "damaged"],
        "gender_scores_fair": gender,
    }
    file = tmp_path / "test_outputs.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    with pytest.warns(UserWarning, match="1 row of .* set aside as damaged, first row 4"):
        table = fl.read_predictions(file, format="fairface", faces="all")
    assert table["image"].tolist() == ["detected/a.jpg", "detected/a.jpg", "detected/b.jpg"]
    assert table["predicted_race"].tolist() == ["white", "latino hispanic", "black"]
    assert table["predicted_age_group"].tolist() == ["20-29", "10-19", "70+"]
    assert table.loc[0, ["score_male", "score_female", "score_white"]].tolist() == [0.25, 0.75, 0.9]
    assert table["status"].tolist() == ["ok", "ok", "error: damaged row"]
    with pytest.warns(UserWarning, match=r"set aside|showed several faces"):
        first = fl.read_predictions(file, format="fairface")
    assert first["predicted_race"].tolist() == ["white", "black"]


def test_any_csv_with_its_columns_renamed(tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("file;pred;p;id\na.jpg;F;0.9;007\nb.jpg;;;008\n")
    columns = {"file": "image", "pred": "predicted_gender", "p": "confidence"}
    table = fl.read_predictions(file, format="csv", columns=columns)
    assert table["confidence"].tolist()[0] == 0.9 and table["id"].tolist() == ["007", "008"]
    assert table["predicted_gender"].isna().tolist() == [False, True]
    file.write_text("image,predicted_gender\na.jpg,female,\nb.jpg,male,\n")
    parted = fl.read_predictions(file, format="csv")
    assert parted.values.tolist() == [["a.jpg", "female"], ["b.jpg", "male"]]


@pytest.mark.parametrize(
    ("make", "told", "match"),
    [
        ("deepface", "{}", "holds no answer"),
        ("deepface", '{"a": {"FaceDetails": []}}', "no answer of deepface"),
        ("rekognition", "[1, 2]", "no answer of rekognition"),
        ("azure", '{"a": ', "not valid json"),
        ("fairface", "a,b\n1,2\n", "no column 'face_name_align'"),
        ("actionable-auditing", "Gender\nFemale\n", "Classifier <Vendor>"),
        ("actionable-auditing", "Gender,Classifier X\nFemale,Male\n", "holds 'male': it says TRUE"),
        ("csv", "", "cannot be read as a csv"),
        ("csv", "image,predicted_gender\na,da.jpg,female\n", "line 2 .* 3 cells where 2 should"),
        ("csv", "# of today\nimage,predicted_gender\nada.jpg,female\n", "2 cells where 1 should"),
        ("deepfake", "[]", "did you mean 'deepface'"),
    ],
)
def test_what_is_something_else_is_refused_in_a_sentence(tmp_path, make, told, match):
    suffix = "json" if told[:1] in "[{" and told else "csv"
    with pytest.raises(fl.BadInput, match=match) as error:
        fl.read_predictions(written(tmp_path, f"a.{suffix}", told), format=make)
    assert "\n" not in str(error.value)


def test_ten_thousand_answers_are_read_in_less_than_five_seconds(tmp_path):
    told = json.dumps([deepface_face()])
    for number in range(10_000):
        (tmp_path / f"{number}.jpg.json").write_text(told)
    start = time.process_time()
    table = fl.read_predictions(tmp_path, format="deepface")
    assert len(table) == 10_000 and (table["status"] == "ok").all()
    assert time.process_time() - start < 5


_WHOLE = {
    "deepface": [
        {
            "region": {"x": 0, "y": 0, "w": 9, "h": 9},
            "age": 31,
            "dominant_gender": "Woman",
            "gender": {"Woman": 99.1, "Man": 0.9},
            "dominant_emotion": "happy",
            "emotion": {"angry": 1, "happy": 99},
        }
    ],
    "rekognition": {
        "FaceDetails": [
            {
                "BoundingBox": {"Left": 0.1, "Top": 0.1, "Width": 0.2, "Height": 0.2},
                "AgeRange": {"Low": 3, "High": 9},
                "Gender": {"Value": "Male", "Confidence": 99.0},
                "Emotions": [{"Type": "HAPPY", "Confidence": 80.0}],
            }
        ]
    },
    "azure": [
        {
            "faceRectangle": {"left": 1, "top": 2, "width": 3, "height": 4},
            "faceAttributes": {"gender": "male", "age": 3.0, "emotion": {"anger": 0.1}},
        }
    ],
    "facepp": {
        "faces": [
            {
                "face_rectangle": {"left": 1, "top": 2, "width": 3, "height": 4},
                "attributes": {
                    "gender": {"value": "Male"},
                    "age": {"value": 21},
                    "emotion": {"anger": 1.0},
                    "ethnicity": {"value": "ASIAN"},
                },
            }
        ]
    },
}
_ODD = [None, True, "", [], {}, "x", float("nan"), -1, 10**400, ["a"], {"a": 1}, "\ud800"]


@pytest.mark.security
@pytest.mark.filterwarnings("ignore:.*set aside")
@pytest.mark.parametrize("make", _WHOLE)
def test_an_answer_with_anything_strange_in_it_is_a_row_or_refused(make, tmp_path, record_property):
    file, tries = tmp_path / "answers.json", 0
    for odd in _ODD:
        for answer in altered(_WHOLE[make], odd):
            tries += 1
            file.write_text(json.dumps({"a.jpg": answer, "b.jpg": _WHOLE[make]}))
            table = fl.read_predictions(file, format=make)
            assert table["image"].tolist() == ["a.jpg", "b.jpg"]
            assert table["predicted_age"].dtype == float
            for column in ("predicted_gender", "predicted_expression"):
                assert table[column].dropna().map(lambda said: isinstance(said, str)).all()
            table.to_csv(tmp_path / "table.csv")
    record_property("tries", ("files", tries))
